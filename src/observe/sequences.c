/*
 * sequences.c
 *		How far sequences have come on the way to their end.
 *
 * A sequence ends where its own bound is or, earlier, where the type of a
 * column that it fills ends: bigint sequences of integer columns are the
 * common accident, since nothing in the sequence tells. Which way it goes is
 * what its increment says. Its last value is read from its page, as the
 * server's function would, but without waiting for who has locked it.
 *
 * Once a day the last values of those that have come some way are kept.
 */
#include "observe/forecast.h"

#include <math.h>

#include "access/relation.h"
#include "commands/sequence.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#define KEPT_FROM	0.1			/* percent used */
#define MOST_KEPT	1000		/* sequences, a day */
#define KEEP_DAYS	"400 days"

/*
 * Every sequence with the integer column that ends first among those that it
 * fills: as serial or identity, or in a default. A domain counts as its type.
 */
#define SEQUENCES \
	"SELECT s.seqrelid, n.nspname::text, c.relname::text, s.seqincrement, s.seqmin, s.seqmax, s.seqcycle, f.relid, f.attname::text, " \
	"coalesce(f.type, s.seqtypid)::regtype::text, " \
	"CASE f.type WHEN 21 THEN 32767 WHEN 23 THEN 2147483647 ELSE 9223372036854775807 END::int8 " \
	"FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace " \
	"LEFT JOIN LATERAL (" \
	"SELECT a.attrelid AS relid, a.attname, CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END AS type " \
	"FROM (SELECT d.refobjid AS relid, d.refobjsubid AS number FROM pg_depend d " \
	"WHERE d.classid = 'pg_class'::regclass AND d.objid = s.seqrelid AND d.refclassid = 'pg_class'::regclass " \
	"AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i') " \
	"UNION SELECT e.adrelid, e.adnum FROM pg_depend d JOIN pg_attrdef e ON e.oid = d.objid " \
	"WHERE d.classid = 'pg_attrdef'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = s.seqrelid) u " \
	"JOIN pg_attribute a ON a.attrelid = u.relid AND a.attnum = u.number JOIN pg_type t ON t.oid = a.atttypid " \
	"WHERE CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END IN (20, 21, 23) " \
	"ORDER BY array_position(ARRAY[21, 23, 20]::oid[], CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END), a.attrelid, a.attnum " \
	"LIMIT 1) f ON true " \
	"WHERE c.relpersistence <> 't' AND (c.relpersistence <> 'u' OR NOT pg_is_in_recovery()) ORDER BY s.seqrelid"

typedef struct Reading
{
	List	   *found;			/* of Sequence * */
	double		least_used;
} Reading;

static void add_sequence(HeapTuple row, TupleDesc desc, void *arg);
static Sequence *make_sequence(HeapTuple row, TupleDesc desc);
static bool read_last(Sequence *sequence);
static bool read_page(Relation relation, int64 *last);
static double used_percent(const Sequence *sequence);
static int	compare_used(const ListCell *a, const ListCell *b);
static void keep_sequences(void *arg);

static const DbopsUpkeep upkeep = {
	.name = "sequences",
	.every = SECS_PER_DAY * 1000L,
	.elsewhere = SECS_PER_DAY * 1000L,
	.run = keep_sequences
};

void
dbops_sequences_init(void)
{
	dbops_upkeep_register(&upkeep);
}

/* List the sequences of which at least so many percent are used. One that is locked is left out. */
List *
dbops_sequences_read(double least_used)
{
	Reading		reading = {.least_used = least_used};

	dbops_query_each(SEQUENCES, 0, NULL, add_sequence, &reading);
	list_sort(reading.found, compare_used);
	return reading.found;
}

static void
add_sequence(HeapTuple row, TupleDesc desc, void *arg)
{
	Reading    *reading = arg;
	Sequence   *sequence = make_sequence(row, desc);

	CHECK_FOR_INTERRUPTS();
	if (!read_last(sequence))
		return;
	sequence->used = used_percent(sequence);
	if (sequence->used >= reading->least_used)
		reading->found = lappend(reading->found, sequence);
}

/* What the catalog says of one. */
static Sequence *
make_sequence(HeapTuple row, TupleDesc desc)
{
	Sequence   *sequence = palloc0(sizeof(Sequence));
	int64		low = dbops_row_int8(row, desc, 5);
	int64		high = dbops_row_int8(row, desc, 6);
	int64		most = dbops_row_int8(row, desc, 11);

	sequence->oid = dbops_row_oid(row, desc, 1);
	sequence->name = dbops_quote_qualified(dbops_row_text(row, desc, 2), dbops_row_text(row, desc, 3));
	sequence->increment = dbops_row_int8(row, desc, 4);
	sequence->ascends = sequence->increment > 0;
	/* it may have been dropped since */
	if (get_rel_name(dbops_row_oid(row, desc, 8)) != NULL)
		sequence->column = psprintf("%s.%s", dbops_quote_relation(dbops_row_oid(row, desc, 8)),
									dbops_quote_name(dbops_row_text(row, desc, 9)));
	sequence->type = dbops_row_text(row, desc, 10);
	sequence->start = sequence->ascends ? low : high;
	sequence->bound = sequence->ascends ? Min(high, most) : Max(low, -most - 1);
	/* one that begins anew before the column ends never ends */
	sequence->cycles = dbops_row_bool(row, desc, 7) && sequence->bound == (sequence->ascends ? high : low);
	return sequence;
}

/* Read the last value that was given out; false: none was, or it is locked or gone. */
static bool
read_last(Sequence *sequence)
{
	Relation	relation;
	bool		read = false;

	if (!ConditionalLockRelationOid(sequence->oid, AccessShareLock))
		return false;
	if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(sequence->oid)))
	{
		relation = relation_open(sequence->oid, NoLock);
		read = relation->rd_rel->relkind == RELKIND_SEQUENCE && read_page(relation, &sequence->last);
		relation_close(relation, NoLock);
	}
	UnlockRelationOid(sequence->oid, AccessShareLock);
	return read;
}

static bool
read_page(Relation relation, int64 *last)
{
	Buffer		buffer;
	ItemId		item;
	bool		called = false;

	if (RelationGetNumberOfBlocks(relation) == 0)
		return false;
	buffer = ReadBuffer(relation, 0);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	item = PageGetItemId(BufferGetPage(buffer), FirstOffsetNumber);
	if (ItemIdIsNormal(item))
	{
		HeapTupleHeader tuple = (HeapTupleHeader) PageGetItem(BufferGetPage(buffer), item);
		Form_pg_sequence_data data = (Form_pg_sequence_data) ((char *) tuple + tuple->t_hoff);

		*last = data->last_value;
		called = data->is_called;
	}
	UnlockReleaseBuffer(buffer);
	return called;
}

/* Of the room between its start and its bound; a column that has ended is at more than 100. */
static double
used_percent(const Sequence *sequence)
{
	return dbops_figure_percent(fabs((double) sequence->last - sequence->start),
								fabs((double) sequence->bound - sequence->start));
}

static int
compare_used(const ListCell *a, const ListCell *b)
{
	const Sequence *x = lfirst(a);
	const Sequence *y = lfirst(b);

	if (x->used != y->used)
		return x->used > y->used ? -1 : 1;
	return (x->oid > y->oid) - (x->oid < y->oid);
}

/* Once a day: keep where they are. */
static void
keep_sequences(void *arg)
{
	List	   *sequences = dbops_sequences_read(KEPT_FROM);
	TimestampTz now = dbops_clock_now();
	ListCell   *cell;
	int			kept = 0;

	foreach(cell, sequences)
	{
		const Sequence *sequence = lfirst(cell);
		DbopsParam	params[] = {dbops_param_time(now), dbops_param_oid(sequence->oid), dbops_param_int8(sequence->last)};

		if (sequence->cycles || kept++ >= MOST_KEPT)
			continue;
		dbops_store_each("INSERT INTO dbops.sequence_1d (at, sequence, last_value) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
						 lengthof(params), params, NULL, NULL);
	}
	dbops_store_each("DELETE FROM dbops.sequence_1d WHERE at < $1 - interval '" KEEP_DAYS "'", 1,
					 (DbopsParam[]) {dbops_param_time(now)}, NULL, NULL);
}
