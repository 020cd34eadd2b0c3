/*
 * retention_walk.c
 *		Delete the old rows of one table, batch after batch.
 *
 * By an index of the column a batch is the range of so many entries, which are
 * counted in the first one and guessed from there on, as long as the guess holds,
 * since to count them is to walk them twice. The next one begins where it ends, so that what is dead already is not walked again,
 * and a run begins with the least value there is, so that nothing behind it is
 * missed. More entries of one value than a batch may have are read once as a
 * list of places and deleted by these, a part at a time. Without an index a
 * batch is a range of blocks, from the first one on. A batch that takes too long
 * is cut off and made smaller, at last to the places of one block, and of one
 * row, which takes the time that it takes.
 *
 * A batch that meets rows locked by others is done again without these; they
 * are left to the next run.
 *
 * A table whose rows refer to each other is walked again and again: each time
 * those go that no row refers to any more.
 */
#include "maintain/retention.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"

#define BATCH_BYTES		(64 * 1024 * 1024.0)	/* that a batch may delete */
#define FIRST_ROWS		1000
#define FIRST_BLOCKS	16
#define MOST_PLACES		1000000	/* of one value, that are kept in memory */
#define TABLE_WAIT		100L	/* ms between two tries for a lock */
#define LONGEST_WAIT	60000	/* ms of tries before the step fails */

/* A question of one value. */
typedef struct Probe
{
	const RetentionSpec *spec;
	const RetentionLeaf *leaf;
	const char *sql;
	const Oid  *types;
	Datum		values[3];
	Datum		value;			/* the answer */
	bool		found;
} Probe;

static bool is_divisible(const RetentionWalk *walk, const RetentionDelete *delete);
static void follow_index(const RetentionSpec *spec, RetentionWalk *walk);
static void begin(const RetentionSpec *spec, RetentionWalk *walk);
static double most(const RetentionWalk *walk);
static bool prepare_keys(const RetentionSpec *spec, RetentionWalk *walk, int64 last, RetentionDelete *delete);
static int64 find_end(const RetentionSpec *spec, const RetentionWalk *walk, int64 last);
static void learn_span(RetentionWalk *walk, const RetentionDelete *delete, const DbopsBatch *batch);
static bool find_key(const RetentionSpec *spec, const RetentionWalk *walk, int64 last, int64 behind, int64 *found);
static const char *partial_condition(const RetentionSpec *spec, const RetentionLeaf *leaf);
static void prepare_places(RetentionWalk *walk, RetentionDelete *delete);
static void read_places(const RetentionSpec *spec, RetentionWalk *walk);
static void forget_places(RetentionWalk *walk);
static void probe(void *arg);
static void probe_as_owner(void *arg);
static void take_plan(struct PlannedStmt *plan, void *arg);
static void take_value(HeapTuple row, TupleDesc desc, void *arg);
static bool prepare_blocks(RetentionWalk *walk, RetentionDelete *delete);
static void is_done(const RetentionSpec *spec, RetentionWalk *walk, const RetentionDelete *delete,
					const DbopsBatch *batch, DbopsStep *step);
static void go_on(const RetentionSpec *spec, RetentionWalk *walk, const RetentionDelete *delete);
static void settle(const RetentionSpec *spec, RetentionWalk *walk, const RetentionDelete *delete,
				   RetentionOutcome outcome, DbopsStep *step);
static void take_apart(RetentionWalk *walk, BlockNumber block);
static void leave_out(const RetentionSpec *spec, RetentionWalk *walk, const RetentionDelete *delete, RetentionOutcome outcome);
static void wait_for_table(RetentionWalk *walk, const RetentionDelete *delete, DbopsStep *step);

/* Do a batch; true when nothing of the table is left to be done. */
bool
dbops_retention_walk_step(const RetentionSpec *spec, RetentionWalk *walk, int64 cutoff,
						  DbopsStep *step, DbopsBatch *batch)
{
	RetentionDelete delete = {
		.spec = spec,.leaf = walk->leaf,.cutoff = cutoff,.skip_locked = walk->careful
	};
	int64		last = dbops_retention_raw(&spec->clock, dbops_partition_value(&spec->clock, cutoff));
	RetentionOutcome outcome;
	bool		any;

	follow_index(spec, walk);
	if (!walk->begun)
		begin(spec, walk);
	any = OidIsValid(walk->leaf->index) ? prepare_keys(spec, walk, last, &delete) : prepare_blocks(walk, &delete);
	if (!any)
		return true;
	batch->most_ms = is_divisible(walk, &delete) ? dbops_pace_most_ms(&walk->limits) : 0;
	outcome = dbops_retention_batch(walk->statements, &delete, batch);
	if (outcome == REWRITTEN)
		return true;			/* the next run sees to it */
	if (outcome == DELETED)
		is_done(spec, walk, &delete, batch, step);
	else
		settle(spec, walk, &delete, outcome, step);
	return false;
}

/* A row that another one of the table refers to can go when that is gone: may there be such rows by now? */
bool
dbops_retention_walk_frees_rows(const RetentionWalk *walk, int passes_before)
{
	return walk->deleted > 0 && passes_before + walk->passes + 1 < RETENTION_PASSES && dbops_retention_refers_to_itself(walk->leaf->relid);
}

/* Begin anew with the same table. */
void
dbops_retention_walk_again(RetentionWalk *walk)
{
	walk->passes++;
	walk->begun = walk->taken_over = false;
	walk->deleted = walk->left = 0;
}

/* Can a range be made smaller? */
static bool
is_divisible(const RetentionWalk *walk, const RetentionDelete *delete)
{
	return delete->range == RANGE_BLOCKS || dbops_pace_size(&walk->pace) > 1;
}

/* Where the index was rebuilt, go on by the new one; where it is gone, begin anew by blocks. */
static void
follow_index(const RetentionSpec *spec, RetentionWalk *walk)
{
	MemoryContext before = MemoryContextSwitchTo(walk->memory);

	if (!dbops_retention_keeps_index(spec, walk->leaf))
	{
		dbops_retention_statements_free(walk->statements);
		walk->statements = dbops_retention_statements(walk->memory);
		if (!OidIsValid(walk->leaf->index))
		{
			forget_places(walk);
			walk->begun = walk->taken_over = false;
		}
	}
	MemoryContextSwitchTo(before);
}

/* Find where the table begins. */
static void
begin(const RetentionSpec *spec, RetentionWalk *walk)
{
	bool		by_key = OidIsValid(walk->leaf->index);

	walk->begun = true;
	walk->span = 0;
	if (!walk->taken_over)
		walk->at = by_key ? dbops_retention_least(&spec->clock) : 0;
	dbops_pace_begin(&walk->pace, Min(by_key ? FIRST_ROWS : FIRST_BLOCKS, (BlockNumber) most(walk)));
	(void) dbops_pace_spend(&walk->pace, &walk->limits);
}

/* The rows, or blocks, of so many bytes. */
static double
most(const RetentionWalk *walk)
{
	const RetentionLeaf *leaf = walk->leaf;
	double		of_block = leaf->bytes * Max(leaf->rows / Max(leaf->blocks, 1), 1);

	return Max(BATCH_BYTES / (OidIsValid(leaf->index) ? leaf->bytes : of_block), 1);
}

/* The next entries of the index; false: none is left. */
static bool
prepare_keys(const RetentionSpec *spec, RetentionWalk *walk, int64 last, RetentionDelete *delete)
{
	while (walk->places == NULL)
	{
		if (!find_key(spec, walk, last, 0, &walk->at))
			return false;
		delete->range = RANGE_KEYS;
		delete->from = walk->at;
		delete->to = find_end(spec, walk, last);
		if (delete->to > delete->from)
			return true;
		ItemPointerSet(&walk->after, 0, 0);
		read_places(spec, walk);	/* none, if others have just deleted them */
	}
	prepare_places(walk, delete);
	return true;
}

/* Where the next entries end, of as many as a batch may have. A single one is not guessed: nothing cuts its batch off. */
static int64
find_end(const RetentionSpec *spec, const RetentionWalk *walk, int64 last)
{
	double		size = dbops_pace_size(&walk->pace);
	int64		end;

	if (size > 1 && walk->span * size >= 1)
		return (walk->span * size < (double) last - walk->at) ? walk->at + (int64) (walk->span * size) : last;
	return find_key(spec, walk, last, (int64) size, &end) ? end : last;
}

/* From a range that was counted guess the next ones, until one has turned out half or twice as full. */
static void
learn_span(RetentionWalk *walk, const RetentionDelete *delete, const DbopsBatch *batch)
{
	double		size = dbops_pace_size(&walk->pace);
	double		share = batch->rows / size;

	if (walk->span == 0)
	{
		walk->span = ((double) delete->to - delete->from) / size;
		walk->share = share;
	}
	if (batch->rows == 0 || share > walk->share * 2 || share * 2 < walk->share)
		walk->span = 0;
}

/* The value of the entry so many behind where the walk is; false: there is none before the last one. */
static bool
find_key(const RetentionSpec *spec, const RetentionWalk *walk, int64 last, int64 behind, int64 *found)
{
	const char *column = quote_identifier(spec->column);
	Oid			types[] = {spec->clock.type, spec->clock.type, INT8OID};
	Probe		at = {
		.spec = spec,.leaf = walk->leaf,.types = types,
		.values = {
			dbops_retention_datum(&spec->clock, walk->at),
			dbops_retention_datum(&spec->clock, last),
			Int64GetDatum(behind)
		}
	};

	at.sql = psprintf("SELECT " RETENTION_ROW ".%s FROM ONLY %s AS " RETENTION_ROW
					  " WHERE " RETENTION_ROW ".%s OPERATOR(pg_catalog.>=) $1 AND " RETENTION_ROW ".%s OPERATOR(pg_catalog.<) $2%s"
					  " ORDER BY " RETENTION_ROW ".%s OFFSET $3 LIMIT 1",
					  column, walk->leaf->name, column, column, partial_condition(spec, walk->leaf), column);
	dbops_query_inside(probe, &at);
	if (at.found)
		*found = dbops_retention_raw(&spec->clock, at.value);
	return at.found;
}

/* What a partial index is asked by. */
static const char *
partial_condition(const RetentionSpec *spec, const RetentionLeaf *leaf)
{
	return (leaf->partial && spec->condition != NULL) ? psprintf(" AND (%s)", spec->condition) : "";
}

/* The next of many rows of one value. */
static void
prepare_places(RetentionWalk *walk, RetentionDelete *delete)
{
	int			all = ArrayGetNItems(ARR_NDIM(walk->places), ARR_DIMS(walk->places));
	int			n = Min(all - walk->at_place, (int) dbops_pace_size(&walk->pace));
	ItemPointer places = (ItemPointer) ARR_DATA_PTR(walk->places);
	Datum	   *values = palloc(sizeof(Datum) * Max(n, 1));

	for (int i = 0; i < n; i++)
		values[i] = PointerGetDatum(&places[walk->at_place + i]);
	delete->range = RANGE_PLACES;
	delete->places = PointerGetDatum(construct_array(values, n, TIDOID, sizeof(ItemPointerData), false, TYPALIGN_SHORT));
	delete->from = walk->at_place;
	delete->to = walk->at_place + n;
}

/* Read where the rows of the value are, behind those that were read before; none: go on behind the value. */
static void
read_places(const RetentionSpec *spec, RetentionWalk *walk)
{
	Oid			types[] = {spec->clock.type, TIDOID, INT8OID};
	Probe		at = {
		.spec = spec,.leaf = walk->leaf,.types = types,
		.values = {
			dbops_retention_datum(&spec->clock, walk->at),
			PointerGetDatum(&walk->after),
			Int64GetDatum(MOST_PLACES)
		}
	};

	at.sql = psprintf("SELECT pg_catalog.array_agg(p.ctid ORDER BY p.ctid) FROM (SELECT " RETENTION_ROW ".ctid FROM ONLY %s AS " RETENTION_ROW
					  " WHERE " RETENTION_ROW ".%s OPERATOR(pg_catalog.=) $1 AND " RETENTION_ROW ".ctid OPERATOR(pg_catalog.>) $2%s"
					  " ORDER BY " RETENTION_ROW ".ctid LIMIT $3) p",
					  walk->leaf->name, quote_identifier(spec->column), partial_condition(spec, walk->leaf));
	dbops_query_inside(probe, &at);
	forget_places(walk);
	if (at.found)
	{
		MemoryContext before = MemoryContextSwitchTo(walk->memory);

		walk->places = DatumGetArrayTypePCopy(at.value);
		MemoryContextSwitchTo(before);
	}
}

static void
forget_places(RetentionWalk *walk)
{
	if (walk->places != NULL)
		pfree(walk->places);
	walk->places = NULL;
	walk->at_place = 0;
}

/* Ask for one value as the owner. */
static void
probe(void *arg)
{
	dbops_run_as(((Probe *) arg)->spec->owner, probe_as_owner, arg);
}

static void
probe_as_owner(void *arg)
{
	Probe	   *at = arg;
	DbopsScan	scan = {.relid = at->leaf->relid,.index = at->leaf->index,.rows = FIRST_ROWS};
	DbopsStatement *statement;

	dbops_retention_pin_settings(at->spec);
	dbops_set_nested("plan_cache_mode", "force_generic_plan");
	dbops_set_nested("row_security", "off");
	statement = dbops_statement_prepare(at->sql, 3, at->types);
	dbops_scan_inspect(statement, &scan, take_plan, NULL);
	PushActiveSnapshot(GetTransactionSnapshot());
	dbops_statement_run(statement, at->values, true, take_value, at);
	PopActiveSnapshot();
	dbops_statement_free(statement);
}

static void
take_plan(struct PlannedStmt *plan, void *arg)
{
}

static void
take_value(HeapTuple row, TupleDesc desc, void *arg)
{
	Probe	   *at = arg;
	bool		isnull;
	Datum		value = heap_getattr(row, 1, desc, &isnull);

	if (isnull)
		return;
	at->value = datumCopy(value, TupleDescAttr(desc, 0)->attbyval, TupleDescAttr(desc, 0)->attlen);
	at->found = true;
}

/* The next blocks; false: none is left. */
static bool
prepare_blocks(RetentionWalk *walk, RetentionDelete *delete)
{
	if (walk->places != NULL)
	{
		prepare_places(walk, delete);
		return true;
	}
	if (walk->at >= walk->leaf->blocks)
		return false;
	delete->range = RANGE_BLOCKS;
	delete->from = walk->at;
	delete->to = Min(walk->at + dbops_pace_size(&walk->pace), walk->leaf->blocks);
	return true;
}

/* ---- what comes next ---- */

static void
is_done(const RetentionSpec *spec, RetentionWalk *walk, const RetentionDelete *delete,
		const DbopsBatch *batch, DbopsStep *step)
{
	uint64		size = (delete->range == RANGE_KEYS) ? dbops_pace_size(&walk->pace) : delete->to - delete->from;

	walk->waits_since = 0;
	walk->refusals = 0;
	if (walk->careful)
		walk->left |= RETENTION_LEFT_LOCKED;
	walk->careful = false;
	if (delete->range == RANGE_KEYS)
		learn_span(walk, delete, batch);
	dbops_pace_follow(&walk->pace, &walk->limits, (BlockNumber) Max(size, 1), most(walk), batch);
	dbops_pace_pause(&walk->pace, &walk->limits, step, batch);
	go_on(spec, walk, delete);
}

/* Go on behind a range. */
static void
go_on(const RetentionSpec *spec, RetentionWalk *walk, const RetentionDelete *delete)
{
	if (delete->range != RANGE_PLACES)
	{
		walk->at = delete->to;
		return;
	}
	walk->at_place = delete->to;
	if (walk->at_place < ArrayGetNItems(ARR_NDIM(walk->places), ARR_DIMS(walk->places)))
		return;
	walk->after = ((ItemPointer) ARR_DATA_PTR(walk->places))[walk->at_place - 1];
	if (walk->at_place < MOST_PLACES)
		forget_places(walk);
	else
		read_places(spec, walk);
	if (walk->places != NULL)
		return;
	walk->at++;					/* behind the value, or the block */
	if (!OidIsValid(walk->leaf->index))
		dbops_pace_begin(&walk->pace, 1);
}

/* A range was not done: find out how it may be. */
static void
settle(const RetentionSpec *spec, RetentionWalk *walk, const RetentionDelete *delete,
	   RetentionOutcome outcome, DbopsStep *step)
{
	BlockNumber size = dbops_pace_size(&walk->pace);

	walk->span = 0;
	switch (outcome)
	{
		case TABLE_LOCKED:
			wait_for_table(walk, delete, step);
			return;
		case ROWS_LOCKED:
			if (!walk->careful)
			{
				walk->careful = true;
				return;
			}
			break;
		case REFERENCED:
			if (walk->refusals++ < 1)
				return;			/* the next snapshot sees what refers */
			break;
		default:
			break;
	}
	if (size > 1)
		dbops_pace_cut(&walk->pace, size / 4);
	else if (delete->range == RANGE_BLOCKS)
		take_apart(walk, (BlockNumber) delete->from);
	else
		leave_out(spec, walk, delete, outcome);
}

/* Go on by the places of a block, whether there are rows or not. */
static void
take_apart(RetentionWalk *walk, BlockNumber block)
{
	MemoryContext before = MemoryContextSwitchTo(walk->memory);
	ItemPointerData places[MaxHeapTuplesPerPage];
	Datum		values[MaxHeapTuplesPerPage];

	for (int i = 0; i < MaxHeapTuplesPerPage; i++)
	{
		ItemPointerSet(&places[i], block, i + FirstOffsetNumber);
		values[i] = PointerGetDatum(&places[i]);
	}
	walk->places = construct_array(values, MaxHeapTuplesPerPage, TIDOID, sizeof(ItemPointerData), false, TYPALIGN_SHORT);
	walk->at_place = 0;
	dbops_pace_begin(&walk->pace, MaxHeapTuplesPerPage / 4);
	MemoryContextSwitchTo(before);
}

/* The range cannot be made smaller: it is left to the next run. */
static void
leave_out(const RetentionSpec *spec, RetentionWalk *walk, const RetentionDelete *delete, RetentionOutcome outcome)
{
	walk->left |= (outcome == ROWS_LOCKED) ? RETENTION_LEFT_LOCKED :
		(outcome == REFERENCED) ? RETENTION_LEFT_REFERENCED :
		(outcome == UNCHANGEABLE) ? RETENTION_LEFT_UNCHANGEABLE : RETENTION_LEFT_LONG;
	if (outcome == UNCHANGEABLE)
		walk->obstacle = delete->obstacle;
	walk->careful = false;
	walk->refusals = 0;
	go_on(spec, walk, delete);
}

/* Try again later, without standing in the queue of the lock for long. */
static void
wait_for_table(RetentionWalk *walk, const RetentionDelete *delete, DbopsStep *step)
{
	TimestampTz now = GetCurrentTimestamp();

	if (walk->waits_since == 0)
		walk->waits_since = now;
	if (TimestampDifferenceExceeds(walk->waits_since, now, LONGEST_WAIT))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("rows of table %s could not be deleted for %d s: %s", walk->leaf->name,
						LONGEST_WAIT / 1000, delete->obstacle),
				 errhint("See dbops.blocking_sessions().")));
	step->pause = TABLE_WAIT;
	step->waiting = psprintf("for a lock on table %s: %s", walk->leaf->name, delete->obstacle);
}
