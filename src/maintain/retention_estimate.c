/*
 * retention_estimate.c
 *		How many rows there are, and how many of them would be deleted.
 *
 * The rows are counted in blocks drawn from all over the table, by the very
 * condition that deletes them, so that statistics need not be new and the cost
 * does not depend on the table's size. A small table is counted.
 */
#include "maintain/retention.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "common/pg_prng.h"
#include "core/server.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#define SAMPLE_BLOCKS	300
#define SAMPLE_TIME		2000	/* ms, after which no other block is looked at */
#define PART_BLOCKS		16		/* of a small table, between two looks at the clock */
#define STRIDE			7919	/* a prime, so that blocks come from all over however early it ends */

/* A table that is looked at. */
typedef struct Look
{
	const RetentionSpec *spec;
	const RetentionLeaf *leaf;
	const char *expired;
	const char *meant_sql;
	int64		cutoff;
	int64		confirmed;
	DbopsStatement *statement;
	DbopsStatement *places;		/* of the old rows; NULL: no table of another role is asked about them */
	ArrayType  *found_places;	/* or NULL */
	double		blocks;			/* that were looked at */
	double		rows;
	double		old;
	double		meant;			/* these, and those that something keeps */
	double		beyond;
	int64		oldest;			/* raw value; only if found */
	bool		found;
} Look;

static void look(void *arg);
static void look_as_owner(void *arg);
static void sample_all(int64 blocks, TimestampTz end, RetentionCounting count, void *arg);
static void count_blocks(void *arg, int64 from, int64 to);
static void take_counts(HeapTuple row, TupleDesc desc, void *arg);
static void ask_others(Look *at, Datum *values);
static void take_places(HeapTuple row, TupleDesc desc, void *arg);
static char *places_sql(const Look *at);
static char *count_sql(const Look *look);

/*
 * The condition of the rows that are counted. Where a foreign key has no index,
 * who refers to them is not asked, since that would be a scan for each: no run
 * begins there.
 */
const char *
dbops_retention_counted(const RetentionSpec *spec, Oid relid)
{
	return (dbops_retention_unindexed(spec->relid) != NULL || dbops_retention_unindexed(relid) != NULL) ?
		dbops_retention_meant(spec) :
		dbops_retention_expired(spec, relid, InvalidOid);
}

/*
 * Add what is found in a table to the sums; expired NULL: its rows stay, however
 * old they are. So do those of another role's, which is not looked into.
 */
void
dbops_retention_estimate(const RetentionSpec *spec, const RetentionLeaf *leaf, const char *expired,
						 int64 cutoff, int64 confirmed, RetentionEstimate *sum)
{
	Look		at = {
		.spec = spec,.leaf = leaf,.expired = (expired != NULL) ? expired : "false",
		.meant_sql = (expired != NULL) ? dbops_retention_meant(spec) : "false",
		.cutoff = cutoff,.confirmed = confirmed
	};
	double		scale;

	if (leaf->blocks == 0)
		return;
	if (dbops_relation_owner(leaf->relid) != spec->owner)
	{
		sum->rows += leaf->rows;
		sum->exact = false;
		return;
	}
	dbops_query_inside(look, &at);
	scale = leaf->blocks / Max(at.blocks, 1);
	sum->rows += at.rows * scale;
	sum->expired += at.old * scale;
	sum->kept += (at.meant - at.old) * scale;
	sum->beyond += at.beyond * scale;
	sum->bytes += at.old / Max(at.rows, 1) * dbops_relation_bytes(leaf->relid);
	sum->exact &= (at.blocks >= leaf->blocks);
	if (at.found)
	{
		int64		oldest = dbops_partition_position(&spec->clock, dbops_retention_datum(&spec->clock, at.oldest));

		sum->oldest = (sum->oldest == RETENTION_NONE) ? oldest : Min(sum->oldest, oldest);
	}
}

static void
look(void *arg)
{
	Look	   *at = arg;

	dbops_run_as(at->spec->owner, look_as_owner, at);
}

static void
look_as_owner(void *arg)
{
	Look	   *at = arg;
	Oid			types[] = {TIDOID, TIDOID, at->spec->clock.type, at->spec->clock.type};

	dbops_retention_pin_settings(at->spec);
	dbops_set_nested("plan_cache_mode", "force_generic_plan");
	dbops_set_nested("row_security", "off");
	at->statement = dbops_statement_prepare(count_sql(at), lengthof(types), types);
	if (strcmp(at->expired, "false") != 0 && dbops_retention_unindexed(at->spec->relid) == NULL &&
		dbops_retention_unindexed(at->leaf->relid) == NULL &&
		dbops_retention_asks_others(at->leaf->relid, at->spec->owner))
		at->places = dbops_statement_prepare(places_sql(at), 3, types);
	PushActiveSnapshot(GetTransactionSnapshot());
	dbops_retention_sample(at->leaf->blocks, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), SAMPLE_TIME), count_blocks, at);
	PopActiveSnapshot();
	dbops_statement_free(at->statement);
	if (at->places != NULL)
		dbops_statement_free(at->places);
}

/* Have all blocks counted, or one of each of equal parts; once at least, and until then. */
void
dbops_retention_sample(int64 blocks, TimestampTz end, RetentionCounting count, void *arg)
{
	if (blocks <= SAMPLE_BLOCKS)
	{
		sample_all(blocks, end, count, arg);
		return;
	}
	for (int i = 0; i < SAMPLE_BLOCKS && (i == 0 || GetCurrentTimestamp() < end); i++)
	{
		int			part = (int) ((int64) i * STRIDE % SAMPLE_BLOCKS);
		int64		block = (int64) ((part + pg_prng_double(&pg_global_prng_state)) * blocks / SAMPLE_BLOCKS);

		count(arg, block, block + 1);
	}
}

/* All blocks of a small table, unless that takes too long. */
static void
sample_all(int64 blocks, TimestampTz end, RetentionCounting count, void *arg)
{
	int			parts = (int) ((blocks + PART_BLOCKS - 1) / PART_BLOCKS);

	for (int i = 0; i < parts && (i == 0 || GetCurrentTimestamp() < end); i++)
	{
		int64		from = (int64) i * STRIDE % parts * PART_BLOCKS;

		count(arg, from, Min(from + PART_BLOCKS, blocks));
	}
}

static void
count_blocks(void *arg, int64 from, int64 to)
{
	Look	   *at = arg;
	const PartitionClock *clock = &at->spec->clock;
	bool		any = (at->confirmed == RETENTION_NONE);
	ItemPointerData bounds[2];
	Datum		values[4];

	CHECK_FOR_INTERRUPTS();
	ItemPointerSet(&bounds[0], (BlockNumber) from, 0);
	ItemPointerSet(&bounds[1], (BlockNumber) to, 0);
	values[0] = PointerGetDatum(&bounds[0]);
	values[1] = PointerGetDatum(&bounds[1]);
	values[2] = dbops_partition_value(clock, at->cutoff);
	values[3] = any ? dbops_retention_datum(clock, dbops_retention_least(clock)) : dbops_partition_value(clock, at->confirmed);
	dbops_statement_run(at->statement, values, true, take_counts, at);
	if (at->places != NULL)
		ask_others(at, values);
	at->blocks += to - from;
}

/* Leave out the old rows of these blocks that rows of other roles' tables refer to. */
static void
ask_others(Look *at, Datum *values)
{
	Datum		places;
	double		count;
	double		kept;

	at->found_places = NULL;
	dbops_statement_run(at->places, values, true, take_places, at);
	if (at->found_places == NULL)
		return;
	places = PointerGetDatum(at->found_places);
	count = ArrayGetNItems(ARR_NDIM(at->found_places), ARR_DIMS(at->found_places));
	kept = count - dbops_retention_ask_others(at->leaf, at->spec->owner, &places);
	at->beyond -= at->beyond * kept / at->old;
	at->old -= kept;
}

static void
take_places(HeapTuple row, TupleDesc desc, void *arg)
{
	Look	   *at = arg;
	bool		isnull;
	Datum		places = heap_getattr(row, 1, desc, &isnull);

	if (!isnull)
		at->found_places = DatumGetArrayTypePCopy(places);
}

static void
take_counts(HeapTuple row, TupleDesc desc, void *arg)
{
	Look	   *at = arg;
	bool		isnull;
	Datum		oldest = heap_getattr(row, 4, desc, &isnull);

	at->rows += dbops_row_int8(row, desc, 1);
	at->old += dbops_row_int8(row, desc, 2);
	at->beyond += dbops_row_int8(row, desc, 3);
	at->meant += dbops_row_int8(row, desc, 5);
	if (isnull)
		return;
	if (!at->found || dbops_retention_raw(&at->spec->clock, oldest) < at->oldest)
		at->oldest = dbops_retention_raw(&at->spec->clock, oldest);
	at->found = true;
}

static char *
count_sql(const Look *at)
{
	const char *column = psprintf(RETENTION_ROW ".%s", quote_identifier(at->spec->column));
	const char *old = psprintf("%s OPERATOR(pg_catalog.<) $3 AND %s", column, at->expired);

	return psprintf("SELECT pg_catalog.count(*), pg_catalog.count(*) FILTER (WHERE %s),"
					" pg_catalog.count(*) FILTER (WHERE %s AND %s OPERATOR(pg_catalog.>=) $4),"
					" pg_catalog.min(%s) FILTER (WHERE %s),"
					" pg_catalog.count(*) FILTER (WHERE %s OPERATOR(pg_catalog.<) $3 AND %s)"
					" FROM ONLY %s AS " RETENTION_ROW
					" WHERE " RETENTION_ROW ".ctid OPERATOR(pg_catalog.>=) $1 AND " RETENTION_ROW ".ctid OPERATOR(pg_catalog.<) $2",
					old, old, column, column, old, column, at->meant_sql, at->leaf->name);
}

static char *
places_sql(const Look *at)
{
	return psprintf("SELECT pg_catalog.array_agg(" RETENTION_ROW ".ctid) FROM ONLY %s AS " RETENTION_ROW
					" WHERE " RETENTION_ROW ".ctid OPERATOR(pg_catalog.>=) $1 AND " RETENTION_ROW ".ctid OPERATOR(pg_catalog.<) $2"
					" AND " RETENTION_ROW ".%s OPERATOR(pg_catalog.<) $3 AND %s",
					at->leaf->name, quote_identifier(at->spec->column), at->expired);
}

/* A share of the rows, as a user reads it. */
char *
dbops_retention_share(const RetentionEstimate *estimate)
{
	return psprintf("%s%.0f of %.0f rows (%.0f %%)", estimate->exact ? "" : "about ",
					estimate->expired, estimate->rows, dbops_figure_percent(estimate->expired, estimate->rows));
}

/* The rows that somebody confirms who has seen the figures: also those that are freed when others of the table have gone. */
double
dbops_retention_countable(const RetentionSpec *spec, const RetentionEstimate *estimate)
{
	double		freed = dbops_retention_refers_to_itself(spec->relid) ? estimate->kept : 0;

	return (estimate->expired + freed) * (estimate->exact ? 1 : 1 + RETENTION_SAMPLE_ERROR);
}

/* How many of the expired rows nobody has confirmed: younger ones, and those that are more than there were. */
double
dbops_retention_unconfirmed(const RetentionMemory *memory, const RetentionEstimate *estimate)
{
	double		before = estimate->expired - estimate->beyond;

	return estimate->beyond + Max(before - memory->confirmed_rows, 0);
}

/* Add up what is found in all tables; confirmed: rows before that may go. */
void
dbops_retention_estimate_all(const RetentionSpec *spec, int64 cutoff, int64 confirmed, RetentionEstimate *sum)
{
	List	   *old = dbops_retention_tables(spec, cutoff, false);
	ListCell   *cell;

	foreach(cell, find_all_inheritors(spec->relid, NoLock, NULL))
	{
		Oid			relid = lfirst_oid(cell);
		RetentionLeaf *leaf;

		if (get_rel_relkind(relid) != RELKIND_RELATION)
			continue;
		leaf = dbops_retention_leaf(spec, relid);
		if (leaf != NULL)
			dbops_retention_estimate(spec, leaf,
									 list_member_oid(old, relid) ? dbops_retention_counted(spec, relid) : NULL,
									 cutoff, confirmed, sum);
	}
}

/* Would too many partitions go at once? As a user reads it; NULL: no. One may always go, where another one is left. */
const char *
dbops_retention_too_many(const RetentionSpec *spec, int64 cutoff, int64 confirmed)
{
	PartitionSet *set;
	int			count = 0;
	int			all;
	ListCell   *cell;

	if (!dbops_retention_by_partition(spec))
		return NULL;
	set = dbops_partition_set_read(spec->relid, spec->clock.zone, spec->clock.unit);
	all = list_length(set->partitions);
	foreach(cell, dbops_partition_expired(set, cutoff))
		count += (((Partition *) lfirst(cell))->upper > confirmed);
	if (count == 0 || (count == 1 && all > 1) || count * 100 <= all * dbops_max_retention_percent)
		return NULL;
	return psprintf("%d of %d partitions are more than dbops.max_retention_percent (%d) allows at once",
					count, all, dbops_max_retention_percent);
}
