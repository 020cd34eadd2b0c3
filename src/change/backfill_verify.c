/*
 * backfill_verify.c
 *		Prove that a backfill has left no row, or sweep what it has left.
 *
 * A row can escape the walk: another session moves it behind the walk, changes
 * it at the very moment, or holds its lock. So the rows that are still to be
 * changed are counted, and the blocks where some were found are walked again,
 * until a count finds none. One snapshot serves for the whole count: every row
 * stands in exactly one place of it, wherever it is moved meanwhile, so that
 * zero is a proof. The tables and their sizes are looked up after the snapshot
 * is taken, so that nothing it sees is missed. Locks are given back after every
 * range of blocks; a count during which a table comes or gets new storage is
 * thrown away, because a rewrite may hide rows from older snapshots.
 */
#include "change/change.h"

#include "utils/snapmgr.h"

/* Blocks that are counted at once, between two looks at progress (32 MB). */
#define COUNT_BLOCKS 4096

/* Counts that may find no fewer rows than before, while they find few or many. */
#define STALLED_COUNTS_FEW 3
#define STALLED_COUNTS_MANY 2

/* What a count has found. */
typedef struct Count
{
	BackfillRun *run;
	BackfillLeaf *leaf;
	BackfillBatcher *batcher;
	List	   *found;			/* BackfillRange */
	long		waited;			/* ms waited for the table's lock since the last range */
} Count;

static List *count(BackfillRun *run);
static bool have_same_storage(List *before, List *after);
static void count_table(Count *count, BackfillLeaf *leaf);
static bool goes_on(const Count *count);
static BlockNumber count_range(Count *count, BlockNumber from);
static void begin_sweep(BackfillRun *run, List *found);
static bool only_set_aside(const BackfillRun *run);
static bool has_stalled(BackfillRun *run);

/*
 * Count what is left, in one transaction; true if it is to be swept. Not if
 * nothing is left or sweeping does not help: a trigger that undoes the
 * assignment must not have the table rewritten for ever. What is left then
 * stands in the run. A count that was spoiled says so and is to be repeated.
 */
bool
dbops_backfill_verify_step(BackfillRun *run)
{
	List	   *found;

	run->swept_from = run->progress.rows;
	found = count(run);
	if (!run->count_spoiled)
		dbops_backfill_settle(run, run->pending == 0 ? run->pass + 1 : run->pass);
	if (run->count_spoiled || run->pending == 0 || only_set_aside(run) || has_stalled(run))
	{
		list_free_deep(found);
		return false;
	}
	run->last_pending = run->pending;
	begin_sweep(run, found);
	return true;
}

/* Could anything of what was found be changed? */
bool
dbops_backfill_sweep_helped(const BackfillRun *run)
{
	return run->progress.rows > run->swept_from;
}

/* Is nothing left but rows that have failed in a sweep, too? */
static bool
only_set_aside(const BackfillRun *run)
{
	return run->pass > 0 && dbops_backfill_left(run) == 0;
}

/* Has the count stopped to fall? A few rows may come back by chance. */
static bool
has_stalled(BackfillRun *run)
{
	bool		few = run->pending <= run->request.batch_size;

	if (run->pending >= run->last_pending)
		run->stalled++;
	return run->stalled >= (few ? STALLED_COUNTS_FEW : STALLED_COUNTS_MANY);
}

/* Count what is left in all tables, with those that have come meanwhile. */
static List *
count(BackfillRun *run)
{
	Count		count = {.run = run};
	List	   *before = dbops_backfill_look_up(&run->request);
	ListCell   *cell;

	dbops_backfill_note_point(&run->counted_at, false);
	PushActiveSnapshot(GetTransactionSnapshot());
	run->leaves = dbops_backfill_look_up(&run->request);
	run->counted_tables = list_length(run->leaves);
	run->counted_blocks = dbops_backfill_blocks(run->leaves);

	run->pending = 0;
	run->unfilled = 0;
	run->count_spoiled = !have_same_storage(before, run->leaves);
	dbops_backfill_progress_pass(&run->progress, dbops_backfill_blocks(run->leaves), true);
	foreach(cell, run->leaves)
		count_table(&count, lfirst(cell));
	PopActiveSnapshot();
	run->progress.leaf = NULL;
	return count.found;
}

/* Is each table, and its storage, among those of before? */
static bool
have_same_storage(List *before, List *after)
{
	ListCell   *old;
	ListCell   *new;

	if (list_length(before) != list_length(after))
		return false;
	forboth(old, before, new, after)
	{
		BackfillLeaf *was = lfirst(old);
		BackfillLeaf *is = lfirst(new);

		if (was->relid != is->relid || was->filenode != is->filenode)
			return false;
	}
	return true;
}

static void
count_table(Count *count, BackfillLeaf *leaf)
{
	BlockNumber from = 0;

	count->leaf = leaf;
	count->batcher = dbops_backfill_batcher(count->run->change, leaf);
	count->waited = 0;
	while (from < leaf->blocks && !count->run->count_spoiled)
	{
		from = count_range(count, from);
		dbops_backfill_progress_report(&count->run->progress);
		if (!goes_on(count))
			count->run->count_spoiled = true;
	}
	dbops_backfill_batcher_free(count->batcher);
}

/* Tell others how far the count is; false if it is to be given up. */
static bool
goes_on(const Count *count)
{
	const BackfillProgress *progress = &count->run->progress;

	return dbops_job_goes_on(count->run->job, progress->blocks_done, progress->blocks,
							 count->waited > 0 ? psprintf("for a lock on table %s", count->leaf->name) : NULL);
}

/* Count a range and note it if rows are found. Returns where to go on. */
static BlockNumber
count_range(Count *count, BlockNumber from)
{
	BackfillRun *run = count->run;
	BackfillLeaf *leaf = count->leaf;
	BlockNumber to = (leaf->blocks - from > COUNT_BLOCKS) ? from + COUNT_BLOCKS : leaf->blocks;
	BackfillCounts counts = {0};
	BackfillOutcome outcome;

	dbops_backfill_progress_range(&run->progress, leaf, from, to);
	outcome = dbops_backfill_count(count->batcher, from, to, &counts);
	if (outcome == BATCH_FAILED)
		outcome = dbops_backfill_count_pieces(run, count->batcher, leaf, from, to, &counts);
	dbops_backfill_stop(run);
	switch (outcome)
	{
		case BATCH_TOO_LONG:	/* an update only */
		case BATCH_ROWS_LOCKED:
		case BATCH_TABLE_LOCKED:
			/* The snapshot must last, so that this wait is inside the step. */
			dbops_backfill_note_wait(run, leaf, &count->waited);
			dbops_clock_pause(BACKFILL_TABLE_WAIT);
			return from;

		case BATCH_REWRITTEN:
			run->count_spoiled = true;
			return from;

		case BATCH_GONE:
			return leaf->blocks;

		case BATCH_DONE:
		case BATCH_FAILED:
			break;
	}

	count->waited = 0;
	run->pending += counts.pending;
	if (run->change->null_column != NULL)
		run->unfilled += counts.matching - counts.pending;
	run->progress.blocks_done += to - from;
	if (counts.pending > 0)
		count->found = dbops_backfill_add_range(count->found, leaf, from, to);
	return to;
}

/* Walk again where rows were found, which is in the order of the tables. */
static void
begin_sweep(BackfillRun *run, List *found)
{
	uint64		blocks = 0;
	ListCell   *cell;

	foreach(cell, found)
		blocks += ((BackfillRange *) lfirst(cell))->to - ((BackfillRange *) lfirst(cell))->from;
	dbops_backfill_progress_pass(&run->progress, blocks, false);
	run->rows_locked = false;
	run->pass++;
	run->walk.sweep = true;
	run->walk.ahead = found;
}
