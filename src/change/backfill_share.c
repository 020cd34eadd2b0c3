/*
 * backfill_share.c
 *		Cut a walk into parts that several processes share.
 *
 * A part is a few ranges of blocks, of one table or of neighbours in the order
 * of the tables, with a position like that of a whole walk; so a process walks
 * it as it would walk all. Parts are of nearly the same size and many more
 * than processes, and none is larger than a process walks in some moments: rows
 * that stand together, or a process that dies, leave no other one without work
 * for long.
 *
 * A process that works on a part puts aside what the backfill had come to
 * before, so that its figures are the part's; the process that gathers the
 * parts adds them up. A table that is rewritten ends the parts of its old
 * storage; it is walked anew, as a whole, when the others are done. Beside them
 * stands a part that is finished, which says of which tables they are: what has
 * come since is walked afterwards, whichever process gathers them. It has the
 * blocks that were done before, so that the parts add up to the whole.
 */
#include "change/change.h"

#define PARTS_A_WORKER	16
#define LARGEST_PART	131072	/* blocks: 1 GB */

/* Parts in the making. */
typedef struct Cutting
{
	BackfillRun *run;
	List	   *parts;			/* DbopsPart */
	List	   *ranges;			/* BackfillRange, of the next part */
	BlockNumber size;			/* blocks that a part should have */
	BlockNumber filled;			/* blocks of those ranges */
} Cutting;

static DbopsPart *tables_part(const BackfillRun *run, List *ranges);
static uint64 count_blocks(List *ranges);
static List *all_ranges(const BackfillWalk *walk);
static BlockNumber part_size(const BackfillRun *run, List *ranges);
static void cut_range(Cutting *cutting, const BackfillRange *range);
static void end_part(Cutting *cutting);
static Jsonb *part_position(BackfillRun *run, List *ranges, BlockNumber blocks);
static void put_aside(BackfillRun *run);
static void take_back(BackfillRun *run);
static List *read_again(Jsonb *position);
static void note_rewritten(BackfillRun *run, Jsonb *position, const char *key);
static void keep_tables(BackfillRun *run, int64 *tables, int n);
static int	compare_oids(const void *a, const void *b);
static void walk_again(BackfillRun *run, Oid relid);

/*
 * Cut what is ahead of the walk into parts (of DbopsPart *), after which the
 * walk itself has nothing ahead; NIL if there is nothing.
 */
List *
dbops_backfill_cut(BackfillRun *run)
{
	BackfillWalk *walk = &run->walk;
	List	   *ranges = all_ranges(walk);
	Cutting		cutting = {.run = run,.size = part_size(run, ranges)};
	ListCell   *cell;

	if (ranges == NIL)
		return NIL;
	cutting.parts = list_make1(tables_part(run, ranges));
	foreach(cell, ranges)
		cut_range(&cutting, lfirst(cell));
	end_part(&cutting);
	if (walk->leaf != NULL)
		dbops_backfill_walk_leave(walk);
	list_free_deep(walk->ahead);
	walk->ahead = NIL;
	run->progress.leaf = NULL;
	return cutting.parts;
}

/* The part that says which tables are known, and what was done before. */
static DbopsPart *
tables_part(const BackfillRun *run, List *ranges)
{
	DbopsPart  *part = palloc0(sizeof(DbopsPart));
	DbopsJson	json = {0};
	uint64		ahead = count_blocks(ranges);
	ListCell   *cell;

	dbops_json_object(&json, NULL);
	dbops_json_array(&json, "tables");
	foreach(cell, run->leaves)
		dbops_json_integer(&json, NULL, ((BackfillLeaf *) lfirst(cell))->relid);
	dbops_json_array_end(&json);
	part->position = dbops_json_finish(&json);
	part->total = (run->progress.blocks > ahead) ? run->progress.blocks - ahead : 0;
	part->done = part->total;
	return part;
}

static uint64
count_blocks(List *ranges)
{
	uint64		blocks = 0;
	ListCell   *cell;

	foreach(cell, ranges)
		blocks += ((BackfillRange *) lfirst(cell))->to - ((BackfillRange *) lfirst(cell))->from;
	return blocks;
}

/* What is ahead and what was left out, those that touch each other as one. */
static List *
all_ranges(const BackfillWalk *walk)
{
	List	   *ranges = NIL;
	BackfillRange *last = NULL;
	ListCell   *cell;

	foreach(cell, list_concat_copy(walk->locked, walk->ahead))
	{
		BackfillRange *range = lfirst(cell);

		if (last != NULL && last->leaf == range->leaf && last->to == range->from)
			last->to = range->to;
		else
		{
			ranges = dbops_backfill_add_range(ranges, range->leaf, range->from, range->to);
			last = llast(ranges);
		}
	}
	return ranges;
}

/*
 * A part should be large enough for a batch of the smallest rows; one of large
 * rows is bounded by its time, or by the budget of WAL, and may well be less.
 */
static BlockNumber
part_size(const BackfillRun *run, List *ranges)
{
	uint64		blocks = count_blocks(ranges) / ((uint64) run->request.workers * PARTS_A_WORKER);
	BlockNumber least = 1;
	ListCell   *cell;

	foreach(cell, ranges)
		least = Max(least, dbops_backfill_certain_blocks(((BackfillRange *) lfirst(cell))->leaf));
	return Min(Max(blocks, least), LARGEST_PART);
}

/* Put a range into the part in the making, and what does not fit into the next ones. */
static void
cut_range(Cutting *cutting, const BackfillRange *range)
{
	BlockNumber from = range->from;

	while (from < range->to)
	{
		BlockNumber size = Min(range->to - from, cutting->size - cutting->filled);

		cutting->ranges = dbops_backfill_add_range(cutting->ranges, range->leaf, from, from + size);
		cutting->filled += size;
		from += size;
		if (cutting->filled >= cutting->size ||
			list_length(cutting->ranges) >= BACKFILL_POSITION_RANGES)
			end_part(cutting);
	}
}

static void
end_part(Cutting *cutting)
{
	DbopsPart  *part;

	if (cutting->ranges == NIL)
		return;
	part = palloc0(sizeof(DbopsPart));
	part->position = part_position(cutting->run, cutting->ranges, cutting->filled);
	part->total = cutting->filled;
	cutting->parts = lappend(cutting->parts, part);
	list_free_deep(cutting->ranges);
	cutting->ranges = NIL;
	cutting->filled = 0;
}

/* Write where the walk of a part begins, as that of a walk which has just these ranges. */
static Jsonb *
part_position(BackfillRun *run, List *ranges, BlockNumber blocks)
{
	BackfillRun part = {.progress.blocks = blocks,.pass = run->pass};

	part.walk.sweep = true;		/* so that no more than these are walked */
	part.walk.ahead = ranges;
	return dbops_backfill_position(&part);
}

/*
 * Begin, or go on, with a part. Where its tables are not as this process knows
 * them, it looks them up anew.
 */
void
dbops_backfill_part_enter(BackfillRun *run, Jsonb *position)
{
	put_aside(run);
	if (run->leaves == NIL || !dbops_backfill_position_fits(run, position))
		run->leaves = dbops_backfill_look_up(&run->request);
	run->looked_up = true;
	run->again = read_again(position);
	note_rewritten(run, position, "ahead");
	note_rewritten(run, position, "locked");

	run->progress.rows = dbops_jsonb_integer(position, "rows");
	run->progress.batches = dbops_jsonb_integer(position, "batches");
	run->rows_locked = dbops_jsonb_boolean(position, "rows_locked");
	run->pass = dbops_jsonb_integer(position, "pass");
	(void) dbops_backfill_take_over_walk(run, position, true);
	if (!INSTR_TIME_IS_ZERO(run->aside.pass_begin))
		run->progress.pass_begin = run->aside.pass_begin;
}

/* The tables that a position says are to be walked anew. */
static List *
read_again(Jsonb *position)
{
	int64	   *tables;
	int			n = dbops_jsonb_integers(position, "again", &tables);
	List	   *again = NIL;

	for (int i = 0; i < n; i++)
		again = list_append_unique_oid(again, (Oid) tables[i]);
	return again;
}

/* Have the tables walked anew whose storage is not that which the part was cut from. */
static void
note_rewritten(BackfillRun *run, Jsonb *position, const char *key)
{
	int64	   *numbers;
	int			n = dbops_jsonb_integers(position, key, &numbers);

	for (int i = 0; i + BACKFILL_RANGE_NUMBERS <= n; i += BACKFILL_RANGE_NUMBERS)
	{
		BackfillLeaf *leaf = dbops_backfill_find_leaf(run, (Oid) numbers[i]);

		if (leaf != NULL && leaf->filenode != (Oid) numbers[i + 1])
			run->again = list_append_unique_oid(run->again, leaf->relid);
	}
}

/* End with a part, whose figures have been written. */
void
dbops_backfill_part_leave(BackfillRun *run)
{
	take_back(run);
	list_free(run->again);
	run->again = NIL;
}

static void
put_aside(BackfillRun *run)
{
	BackfillProgress *progress = &run->progress;

	run->aside = (BackfillAside)
	{
		.rows = progress->rows,
		.batches = progress->batches,
		.blocks = progress->blocks,
		.blocks_done = progress->blocks_done,
		.pass_begin = progress->pass_begin,
		.rows_locked = run->rows_locked,
		.sweep = run->walk.sweep
	};
	progress->in_part = true;
}

static void
take_back(BackfillRun *run)
{
	BackfillProgress *progress = &run->progress;
	const BackfillAside *aside = &run->aside;

	progress->rows = aside->rows;
	progress->batches = aside->batches;
	progress->blocks = aside->blocks;
	progress->blocks_done = aside->blocks_done;
	run->rows_locked = aside->rows_locked;
	run->walk.sweep = aside->sweep;
	progress->in_part = false;
}

/* Add to the backfill what a part has come to. */
void
dbops_backfill_part_gather(BackfillRun *run, Jsonb *position)
{
	const char *obstacle = dbops_jsonb_text(position, "obstacle");
	int64	   *tables;
	int			n = dbops_jsonb_integers(position, "tables", &tables);
	ListCell   *cell;

	if (n > 0)
		keep_tables(run, tables, n);
	run->progress.rows += dbops_jsonb_integer(position, "rows");
	run->progress.batches += dbops_jsonb_integer(position, "batches");
	run->progress.blocks_done = run->progress.blocks;
	run->rows_locked |= dbops_jsonb_boolean(position, "rows_locked");
	if (obstacle != NULL && obstacle[0] != '\0')
		strlcpy(run->obstacle, obstacle, sizeof(run->obstacle));
	foreach(cell, read_again(position))
		walk_again(run, lfirst_oid(cell));
}

/* Forget the tables that have come since. */
static void
keep_tables(BackfillRun *run, int64 *tables, int n)
{
	List	   *kept = NIL;
	ListCell   *cell;

	qsort(tables, n, sizeof(int64), compare_oids);
	foreach(cell, run->leaves)
	{
		BackfillLeaf *leaf = lfirst(cell);
		int64		relid = leaf->relid;

		if (bsearch(&relid, tables, n, sizeof(int64), compare_oids) != NULL)
			kept = lappend(kept, leaf);
	}
	run->leaves = kept;
}

static int
compare_oids(const void *a, const void *b)
{
	int64		left = *(const int64 *) a;
	int64		right = *(const int64 *) b;

	return (left > right) - (left < right);
}

/* Put a table that was rewritten ahead of the walk, as a whole and once. */
static void
walk_again(BackfillRun *run, Oid relid)
{
	BackfillLeaf *leaf = dbops_backfill_find_leaf(run, relid);
	ListCell   *cell;

	if (leaf == NULL)
		return;
	foreach(cell, run->walk.ahead)
		if (((BackfillRange *) lfirst(cell))->leaf == leaf)
			return;
	dbops_backfill_look_again(leaf, &run->request);
	if (leaf->blocks > 0)
		dbops_backfill_tell_rewritten(leaf);
	run->walk.ahead = dbops_backfill_add_range(run->walk.ahead, leaf, 0, leaf->blocks);
	dbops_backfill_progress_pass(&run->progress, run->progress.blocks + leaf->blocks, false);
}
