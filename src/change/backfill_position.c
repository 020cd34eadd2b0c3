/*
 * backfill_position.c
 *		Where a backfill goes on when its process is gone.
 *
 * The position is written with every step, so it stays small: only the table
 * in work with its blocks that are still to be walked, since the others follow
 * from their order; and where there are many pieces, neighbours are written as
 * one with what is between them. To walk blocks twice does no harm.
 *
 * Blocks are those of a table's storage; where that is new by then, they mean
 * nothing and the table is walked from its beginning.
 */
#include "change/change.h"

static void put_figures(DbopsJson *json, const BackfillRun *run);
static void put_walk(DbopsJson *json, const BackfillRun *run);
static List *ranges_of(List *ranges, const BackfillLeaf *leaf);
static void put_ranges(DbopsJson *json, const char *key, List *ranges);
static void put_range(DbopsJson *json, const BackfillRange *range);
static List *read_ranges(const BackfillRun *run, Jsonb *position, const char *key);
static void put_again(DbopsJson *json, List *again);
static void add_figures(const Jsonb *position, void *arg);
static void add_later_tables(BackfillRun *run, Oid current, bool current_too);

/* Write where the run is. */
Jsonb *
dbops_backfill_position(const BackfillRun *run)
{
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	put_figures(&json, run);
	if (run->walk.ahead != NIL || run->walk.locked != NIL)
		put_walk(&json, run);
	put_again(&json, run->again);
	return dbops_json_finish(&json);
}

static void
put_figures(DbopsJson *json, const BackfillRun *run)
{
	dbops_json_integer(json, "rows", run->progress.rows);
	dbops_json_integer(json, "batches", run->progress.batches);
	dbops_json_integer(json, "done", run->progress.blocks_done);
	dbops_json_integer(json, "total", run->progress.blocks);
	dbops_json_integer(json, "pending", run->pending);
	dbops_json_integer(json, "unfilled", run->unfilled);
	dbops_json_integer(json, "last_pending", run->last_pending);
	dbops_json_integer(json, "stalled", run->stalled);
	dbops_json_integer(json, "swept_from", run->swept_from);
	dbops_json_integer(json, "pass", run->pass);
	dbops_json_integer(json, "quarantined", run->quarantined);
	dbops_json_boolean(json, "rows_locked", run->rows_locked);
	dbops_json_text(json, "obstacle", run->obstacle);
	if (run->keys.key != NULL)
		dbops_json_text(json, "key", run->keys.key);
	if (run->keys.reached != NULL)
		dbops_json_text(json, "reached", run->keys.reached);
	dbops_backfill_put_points(json, run);
}

/* The table in work, and what is left to be walked of it, or of all for a sweep. */
static void
put_walk(DbopsJson *json, const BackfillRun *run)
{
	const BackfillWalk *walk = &run->walk;
	const BackfillLeaf *leaf = walk->leaf;

	if (leaf == NULL)
		leaf = ((BackfillRange *) linitial(walk->ahead))->leaf;
	dbops_json_integer(json, "table", leaf->relid);
	dbops_json_integer(json, "storage", leaf->filenode);
	dbops_json_integer(json, "done_before", walk->leaf ? walk->blocks_before : run->progress.blocks_done);
	dbops_json_integer(json, "round", walk->round);
	dbops_json_integer(json, "size", walk->leaf ? dbops_pace_size(&walk->pace) : 0);
	dbops_json_integer(json, "unvacuumed", walk->unvacuumed);
	put_ranges(json, "ahead", walk->sweep ? walk->ahead : ranges_of(walk->ahead, leaf));
	put_ranges(json, "locked", walk->locked);
}

/* Those of the first table; all of the others will be walked. */
static List *
ranges_of(List *ranges, const BackfillLeaf *leaf)
{
	List	   *own = NIL;
	ListCell   *cell;

	foreach(cell, ranges)
	{
		if (((BackfillRange *) lfirst(cell))->leaf != leaf)
			break;
		own = lappend(own, lfirst(cell));
	}
	return own;
}

/* Write the first of the ranges, few enough of them, neighbours as one if need be. */
static void
put_ranges(DbopsJson *json, const char *key, List *ranges)
{
	int			together = (list_length(ranges) + BACKFILL_POSITION_RANGES - 1) / BACKFILL_POSITION_RANGES;
	int			number = 0;
	int			written = 0;
	BackfillRange piece = {0};
	ListCell   *cell;

	dbops_json_array(json, key);
	foreach(cell, ranges)
	{
		BackfillRange *range = lfirst(cell);

		if (number > 0 && number < together && piece.leaf == range->leaf)
			piece.to = range->to;
		else
		{
			if (written == 2 * BACKFILL_POSITION_RANGES)
				break;
			if (number > 0)
				put_range(json, &piece);
			written++;
			piece = *range;
			number = 0;
		}
		number++;
	}
	if (number > 0)
		put_range(json, &piece);
	dbops_json_array_end(json);
}

static void
put_range(DbopsJson *json, const BackfillRange *range)
{
	dbops_json_integer(json, NULL, range->leaf->relid);
	dbops_json_integer(json, NULL, range->leaf->filenode);
	dbops_json_integer(json, NULL, range->from);
	dbops_json_integer(json, NULL, range->to);
}

/* Tables whose part of a shared walk has ended, because they were rewritten. */
static void
put_again(DbopsJson *json, List *again)
{
	ListCell   *cell;

	if (again == NIL)
		return;
	dbops_json_array(json, "again");
	foreach(cell, again)
		dbops_json_integer(json, NULL, lfirst_oid(cell));
	dbops_json_array_end(json);
}

/* Take over the figures; the walk is taken over where the tables are known. */
void
dbops_backfill_take_over(BackfillRun *run, Jsonb *position)
{
	const char *obstacle = dbops_jsonb_text(position, "obstacle");

	if (position == NULL)
		return;
	run->progress.rows = dbops_jsonb_integer(position, "rows");
	run->progress.batches = dbops_jsonb_integer(position, "batches");
	run->pending = dbops_jsonb_integer(position, "pending");
	run->unfilled = dbops_jsonb_integer(position, "unfilled");
	run->last_pending = dbops_jsonb_integer(position, "last_pending");
	run->stalled = dbops_jsonb_integer(position, "stalled");
	run->swept_from = dbops_jsonb_integer(position, "swept_from");
	run->pass = dbops_jsonb_integer(position, "pass");
	run->quarantined = dbops_jsonb_integer(position, "quarantined");
	run->rows_locked = dbops_jsonb_boolean(position, "rows_locked");
	strlcpy(run->obstacle, obstacle ? obstacle : "", sizeof(run->obstacle));
	run->keys.key = unconstify(char *, dbops_jsonb_text(position, "key"));
	run->keys.reached = unconstify(char *, dbops_jsonb_text(position, "reached"));
	dbops_backfill_take_points(run, position);
}

/* What a job that ends without success has done: it stays changed. */
Jsonb *
dbops_backfill_remains(const DbopsJob *job)
{
	DbopsJson	json = {0};
	const char *key = dbops_jsonb_text(job->position, "key");
	Jsonb	   *error = dbops_backfill_last_error(job->id);
	BackfillProgress sum = {0};

	add_figures(job->position, &sum);
	dbops_job_part_each(job->id, add_figures, &sum);
	dbops_json_object(&json, NULL);
	dbops_json_integer(&json, "rows", sum.rows);
	dbops_json_integer(&json, "batches", sum.batches);
	if (key != NULL)
	{
		dbops_json_text(&json, "method", dbops_backfill_method_name(BACKFILL_KEYSET));
		dbops_json_text(&json, "key", key);
		dbops_json_text(&json, "visited", dbops_jsonb_text(job->position, "reached"));
	}
	if (error != NULL)
		dbops_json_document(&json, "last_error", error);
	return dbops_json_finish(&json);
}

static void
add_figures(const Jsonb *position, void *arg)
{
	BackfillProgress *sum = arg;

	sum->rows += dbops_jsonb_integer(position, "rows");
	sum->batches += dbops_jsonb_integer(position, "batches");
}

/* Take over the walk; false if the position knows of none. */
bool
dbops_backfill_take_over_walk(BackfillRun *run, Jsonb *position, bool sweep)
{
	BackfillWalk *walk = &run->walk;
	Oid			table = (Oid) dbops_jsonb_integer(position, "table");
	BackfillLeaf *leaf = dbops_backfill_find_leaf(run, table);
	bool		same = (leaf != NULL && leaf->filenode == (Oid) dbops_jsonb_integer(position, "storage"));
	List	   *locked;

	if (!OidIsValid(table))
		return false;
	dbops_backfill_progress_pass(&run->progress, dbops_jsonb_integer(position, "total"), false);
	walk->sweep = sweep;
	walk->ahead = read_ranges(run, position, "ahead");
	locked = read_ranges(run, position, "locked");
	run->progress.blocks_done = dbops_jsonb_integer(position, "done_before");
	if (same && dbops_jsonb_integer(position, "size") > 0)
	{
		dbops_backfill_walk_enter(run, leaf);
		walk->round = dbops_jsonb_integer(position, "round");
		dbops_pace_begin(&walk->pace, Min(dbops_jsonb_integer(position, "size"), leaf->batch_blocks));
		walk->unvacuumed = dbops_jsonb_integer(position, "unvacuumed");
		walk->unvacuumed_of = leaf->relid;
		walk->locked = locked;
	}
	if (same)
		run->progress.blocks_done = dbops_jsonb_integer(position, "done");
	if (!sweep)
		add_later_tables(run, table, !same);
	return true;
}

/* Read the ranges of tables that have the same storage still. */
static List *
read_ranges(const BackfillRun *run, Jsonb *position, const char *key)
{
	int64	   *numbers;
	int			n = dbops_jsonb_integers(position, key, &numbers);
	List	   *ranges = NIL;

	for (int i = 0; i + BACKFILL_RANGE_NUMBERS <= n; i += BACKFILL_RANGE_NUMBERS)
	{
		BackfillLeaf *leaf = dbops_backfill_find_leaf(run, (Oid) numbers[i]);

		if (leaf != NULL && leaf->filenode == (Oid) numbers[i + 1])
			ranges = dbops_backfill_add_range(ranges, leaf,
											  (BlockNumber) numbers[i + 2],
											  (BlockNumber) numbers[i + 3]);
	}
	return ranges;
}

/* The table with an OID; NULL if there is none such. */
BackfillLeaf *
dbops_backfill_find_leaf(const BackfillRun *run, Oid relid)
{
	ListCell   *cell;

	foreach(cell, run->leaves)
		if (((BackfillLeaf *) lfirst(cell))->relid == relid)
			return lfirst(cell);
	return NULL;
}

/* Are all tables of a position known, with the storage that its blocks are of? */
bool
dbops_backfill_position_fits(const BackfillRun *run, Jsonb *position)
{
	static const char *const keys[] = {"ahead", "locked"};

	for (int k = 0; k < lengthof(keys); k++)
	{
		int64	   *numbers;
		int			n = dbops_jsonb_integers(position, keys[k], &numbers);

		for (int i = 0; i + BACKFILL_RANGE_NUMBERS <= n; i += BACKFILL_RANGE_NUMBERS)
		{
			BackfillLeaf *leaf = dbops_backfill_find_leaf(run, (Oid) numbers[i]);

			if (leaf == NULL || leaf->filenode != (Oid) numbers[i + 1])
				return false;
		}
	}
	return true;
}

/* All of the tables that come after the one in work, and perhaps all of that one. */
static void
add_later_tables(BackfillRun *run, Oid current, bool current_too)
{
	ListCell   *cell;

	foreach(cell, run->leaves)
	{
		BackfillLeaf *leaf = lfirst(cell);

		if (leaf->relid > current || (leaf->relid == current && current_too))
			run->walk.ahead = dbops_backfill_add_range(run->walk.ahead, leaf, 0, leaf->blocks);
	}
}
