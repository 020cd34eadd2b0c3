/*
 * table_reads.c
 *		How tables were read in a time, and not ever since.
 *
 * The server's counters only grow: a table that was read from end to end before
 * it got its index looks bad for ever. So once a day the counters of large tables
 * are written down, and what was read in a time is what they have grown by. Where
 * nothing was written down before that time, or the counters have been reset, all
 * that they have counts. What a server has written down before it was promoted is
 * what its primary counted, and so has a standby.
 */
#include "advise/table_reads.h"
#include "core/rule.h"

#include "access/xlog.h"
#include "advise/index_advice.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"

#define KEPT_ROWS		10000	/* tables with as many rows are written down */
#define KEPT_PART_ROWS	1000	/* and partitions with as many */
#define KEPT_DAYS		"31"

/* Tables on their way into a list. */
typedef struct Reading
{
	List	   *tables;			/* of TableReads * */
	int64		min_rows;
	HTAB	   *by_index;		/* of IndexReads */
	TimestampTz counting;		/* in whichever role */
	TimestampTz in_role;		/* in this one */
} Reading;

/* What the indexes of a table have found. */
typedef struct IndexReads
{
	Oid			table;
	IndexCounters counters;
} IndexReads;

PG_FUNCTION_INFO_V1(dbops_note_table_reads);

static void keep_daily(void *arg);
static int64 note_tables(void);
static HTAB *read_by_index(void);
static void take_index(HeapTuple row, TupleDesc desc, void *arg);
static void take_table(HeapTuple row, TupleDesc desc, void *arg);
static void count(const Reading *reading, TableReads *reads);
static void subtract(TableReads *reads, HeapTuple row, TupleDesc desc, TimestampTz in_role);

static const DbopsUpkeep keeping_reads = {
	.name = "table_reads",.every = 3600000,.elsewhere = 3600000,.run = keep_daily
};

/* Register what is done in the background. */
void
dbops_table_reads_init(void)
{
	dbops_upkeep_register(&keeping_reads);
}

/* Once a day is enough. */
static void
keep_daily(void *arg)
{
	DbopsParam	day = dbops_param_time(dbops_clock_now() - 23 * USECS_PER_HOUR);
	Datum		known;

	if (!dbops_store_value("SELECT true FROM dbops.table_reads WHERE at > $1 LIMIT 1", 1, &day, BOOLOID, &known))
		(void) note_tables();
}

/* note_table_reads() → how many tables were written down */
Datum
dbops_note_table_reads(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(note_tables());
}

/* Write down what was counted of large tables, and forget what is old. */
static int64
note_tables(void)
{
	List	   *tables = dbops_table_reads(KEPT_ROWS, DT_NOEND);
	TimestampTz now = dbops_clock_now();
	DbopsParam	param = dbops_param_time(now);
	int64		noted = 0;
	ListCell   *cell;

	foreach(cell, tables)
	{
		const TableReads *reads = lfirst(cell);
		DbopsParam	params[] = {
			dbops_param_oid(reads->table), dbops_param_time(now), dbops_param_int8(reads->scans),
			dbops_param_int8(reads->rows_read), dbops_param_int8(reads->rows_by_index)
		};

		CHECK_FOR_INTERRUPTS();
		if (reads->rows < (OidIsValid(reads->root) ? KEPT_PART_ROWS : KEPT_ROWS))
			continue;
		noted++;
		dbops_store_each_kept("INSERT INTO dbops.table_reads (table_oid, at, scans, rows_read, rows_by_index)"
							  " VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
							  lengthof(params), params, NULL, NULL);
	}
	dbops_store_each("DELETE FROM dbops.table_reads WHERE at < $1 - interval '" KEPT_DAYS " days'", 1, &param, NULL, NULL);
	return noted;
}

/*
 * List the users' tables with at least so many rows, and how they were read since
 * a time; DT_NOEND: all that was counted. Partitions are among them, each by
 * itself and however few rows it has.
 */
List *
dbops_table_reads(int64 min_rows, TimestampTz since)
{
	const char *why;
	Reading		reading = {
		.min_rows = min_rows,.by_index = read_by_index(),
		.counting = dbops_counters_since(),
		.in_role = RecoveryInProgress() ? DT_NOEND : dbops_counting_since(&why)
	};
	DbopsParam	params[] = {dbops_param_int8(min_rows), dbops_param_time(since)};

	dbops_store_each("SELECT c.oid, n.nspname::text, c.relname::text, c.reltuples::float8,"
					 " CASE WHEN c.relispartition THEN pg_partition_root(c.oid)::oid END, k.at, k.scans, k.rows_read, k.rows_by_index"
					 " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
					 " LEFT JOIN LATERAL (SELECT r.* FROM dbops.table_reads r WHERE r.table_oid = c.oid AND r.at <= $2"
					 " AND $2 <> 'infinity' ORDER BY r.at DESC LIMIT 1) k ON true"
					 " WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND c.oid >= 16384"
					 " AND (c.reltuples >= $1 OR c.reltuples < 0 OR c.relispartition)"
					 " AND n.nspname <> 'information_schema'"
					 " AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')"
					 " ORDER BY c.oid",
					 lengthof(params), params, take_table, &reading);
	return reading.tables;
}

/* Sum up what the indexes of each table have found. */
static HTAB *
read_by_index(void)
{
	HASHCTL		control = {.keysize = sizeof(Oid),.entrysize = sizeof(IndexReads),.hcxt = CurrentMemoryContext};
	HTAB	   *tables = hash_create("reads by index", 256, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);

	dbops_query_latest("SELECT indrelid, indexrelid FROM pg_index WHERE indrelid >= 16384", 0, NULL, take_index, tables);
	return tables;
}

static void
take_index(HeapTuple row, TupleDesc desc, void *arg)
{
	Oid			table = dbops_row_oid(row, desc, 1);
	bool		found;
	IndexReads *reads = hash_search(arg, &table, HASH_ENTER, &found);

	if (!found)
		*reads = (IndexReads) {.table = table};
	dbops_relation_counters_add(dbops_row_oid(row, desc, 2), &reads->counters);
}

static void
take_table(HeapTuple row, TupleDesc desc, void *arg)
{
	Reading    *reading = arg;
	TableReads *reads = palloc0(sizeof(TableReads));

	reads->table = dbops_row_oid(row, desc, 1);
	reads->schema = dbops_row_text(row, desc, 2);
	reads->name = dbops_row_text(row, desc, 3);
	reads->rows = dbops_row_float8(row, desc, 4);
	reads->root = dbops_row_oid(row, desc, 5);
	count(reading, reads);
	subtract(reads, row, desc, reading->in_role);
	if (reads->rows >= reading->min_rows || OidIsValid(reads->root))
		reading->tables = lappend(reading->tables, reads);
}

/* The time is read after the counters, so that a reset meanwhile is told. */
static void
count(const Reading *reading, TableReads *reads)
{
	const IndexReads *by_index = hash_search(reading->by_index, &reads->table, HASH_FIND, NULL);
	TimestampTz reset;
	IndexCounters counters = {0};

	dbops_relation_counters_add(reads->table, &counters);
	reads->scans = counters.scans;
	reads->rows_read = counters.tuples_read;
	reads->rows_by_index = (by_index == NULL) ? 0 : by_index->counters.tuples_read;
	if (reads->rows < 0)
		reads->rows = counters.live_rows;	/* never analyzed */
	reset = dbops_counters_reset();
	reads->since = Max(reading->counting, reset);
}

/* What was counted by then is not of the time, unless it was reset since or counted by another. A dropped index takes along what it has found. */
static void
subtract(TableReads *reads, HeapTuple row, TupleDesc desc, TimestampTz in_role)
{
	TimestampTz at = dbops_row_time(row, desc, 6);
	int64		scans = dbops_row_int8(row, desc, 7);
	int64		rows_read = dbops_row_int8(row, desc, 8);

	if (at < Max(reads->since, in_role) || scans > reads->scans || rows_read > reads->rows_read)
		return;
	reads->scans -= scans;
	reads->rows_read -= rows_read;
	reads->rows_by_index = Max(reads->rows_by_index - dbops_row_int8(row, desc, 9), 0);
	reads->since = at;
}
