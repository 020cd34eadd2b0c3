/*
 * table_scans.c
 *		Tables that are read mostly from end to end.
 *
 * Such a table has many rows, was read from end to end more than a few times,
 * these scans went on for a good part of it, and they have read more rows than
 * all indexes have found. A partitioned table is judged as a whole, as statements
 * name it; of its partitions the one that was scanned most says how often it was.
 */
#include "advise/table_reads.h"

#include "miscadmin.h"

#define FEW_SCANS	10			/* as reports and dumps make them */
#define GOOD_PART	0.1			/* of the rows that a scan reads */

typedef struct KnownTable
{
	Oid			table;
	TableScans *scans;
} KnownTable;

static List *sum_up(const List *reads);
static void add_part(TableScans *scans, TableReads *reads);
static bool is_read_by_scans(const TableScans *scans);
static int	compare_scans(const ListCell *a, const ListCell *b);

/* List them, those of which most rows were read first: TableScans *. */
List *
dbops_tables_scanned(int64 min_rows, TimestampTz since)
{
	List	   *found = NIL;
	ListCell   *cell;

	foreach(cell, sum_up(dbops_table_reads(min_rows, since)))
	{
		TableScans *scans = lfirst(cell);

		if (scans->rows >= min_rows && is_read_by_scans(scans))
			found = lappend(found, scans);
	}
	list_sort(found, compare_scans);
	return found;
}

/* Put partitions together. */
static List *
sum_up(const List *reads)
{
	HASHCTL		control = {.keysize = sizeof(Oid),.entrysize = sizeof(KnownTable),.hcxt = CurrentMemoryContext};
	HTAB	   *tables = hash_create("tables that are scanned", 256, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	List	   *sums = NIL;
	ListCell   *cell;

	foreach(cell, reads)
	{
		TableReads *part = lfirst(cell);
		Oid			table = OidIsValid(part->root) ? part->root : part->table;
		bool		found;
		KnownTable *known = hash_search(tables, &table, HASH_ENTER, &found);

		CHECK_FOR_INTERRUPTS();
		if (!found)
		{
			known->scans = palloc0(sizeof(TableScans));
			known->scans->table = table;
			sums = lappend(sums, known->scans);
		}
		add_part(known->scans, part);
	}
	hash_destroy(tables);
	return sums;
}

static void
add_part(TableScans *scans, TableReads *reads)
{
	scans->parts = lappend(scans->parts, reads);
	scans->rows += reads->rows;
	scans->scans += reads->scans;
	scans->most_scans = Max(scans->most_scans, reads->scans);
	scans->rows_read += reads->rows_read;
	scans->rows_ahead += reads->rows * reads->scans;
	scans->rows_by_index += reads->rows_by_index;
	if (scans->since == 0 || (reads->since != 0 && reads->since < scans->since))
		scans->since = reads->since;
}

static bool
is_read_by_scans(const TableScans *scans)
{
	return scans->most_scans >= FEW_SCANS &&
		scans->rows_read >= GOOD_PART * scans->rows_ahead &&
		scans->rows_read > scans->rows_by_index;
}

static int
compare_scans(const ListCell *a, const ListCell *b)
{
	const TableScans *one = lfirst(a);
	const TableScans *other = lfirst(b);

	if (one->rows_read != other->rows_read)
		return (one->rows_read > other->rows_read) ? -1 : 1;
	return (one->table < other->table) ? -1 : (one->table > other->table);
}
