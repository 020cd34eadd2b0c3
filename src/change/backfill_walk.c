/*
 * backfill_walk.c
 *		Walk the blocks of a table, a batch and a commit at a time.
 *
 * The size of a batch grows from what is certain to hold no more rows than
 * asked for to what the table's density suggests, and follows the rows that
 * batches turn out to change, since statistics may be old. A batch that meets rows locked by others is split until only the
 * locked rows' blocks are left out; the walk comes back to those at its end.
 * Where block after block is locked, more and more of them are left out at
 * once, so that the waiting does not grow with their number.
 * A lock on the table itself is waited for without standing in its queue, so
 * that nobody queues behind the backfill.
 */
#include "change/change.h"

#include "access/htup_details.h"

/*
 * Where no rows match, a batch grows to this many times the size that it began
 * with: what comes next is not known.
 */
#define EMPTY_GROWTH 2

/* How often, and how long at first, rows locked by others are waited for. */
#define LOCKED_ROUNDS 6
#define LOCKED_WAIT 100L		/* ms; doubles each round */

/* How long to wait between two tries for the table's lock. */
#define TABLE_WAIT 100L			/* ms */

/* Blocks that were left out together. */
typedef struct LockedRange
{
	BlockNumber from;
	BlockNumber to;
} LockedRange;

static void leave_out(BackfillWalk *walk, BlockNumber from, BlockNumber to);
static BlockNumber take_batch(BackfillWalk *walk, BlockNumber from, BlockNumber to);
static BackfillOutcome update_batch(BackfillWalk *walk, BlockNumber from,
									BlockNumber to, uint64 *rows);
static BlockNumber first_size(const BackfillLeaf *leaf);
static void adapt_size(BackfillWalk *walk, uint64 rows);

void
dbops_backfill_walk_begin(BackfillWalk *walk, BackfillRun *run, BackfillLeaf *leaf)
{
	memset(walk, 0, sizeof(*walk));
	walk->run = run;
	walk->leaf = leaf;
	walk->batcher = dbops_backfill_batcher(run->change, leaf);
	walk->size = first_size(leaf);
	walk->skip = 1;
}

void
dbops_backfill_walk_end(BackfillWalk *walk)
{
	dbops_backfill_batcher_free(walk->batcher);
	walk->run->progress.leaf = NULL;
}

/* Change all pending rows of a table, anew if it is rewritten meanwhile. */
void
dbops_backfill_walk_table(BackfillRun *run, BackfillLeaf *leaf)
{
	BackfillWalk walk;
	uint64		blocks_done = run->progress.blocks_done;

	dbops_backfill_walk_begin(&walk, run, leaf);
	do
	{
		walk.restart = false;
		run->progress.blocks_done = blocks_done;
		dbops_backfill_walk_range(&walk, 0, leaf->blocks);
		dbops_backfill_walk_locked(&walk);
	} while (walk.restart);
	dbops_backfill_walk_end(&walk);
}

/* Change the rows of [from, to) batch by batch. */
void
dbops_backfill_walk_range(BackfillWalk *walk, BlockNumber from, BlockNumber to)
{
	BackfillProgress *progress = &walk->run->progress;

	while (from < to && !walk->restart)
	{
		BlockNumber end = (to - from > walk->size) ? from + walk->size : to;
		BlockNumber next = take_batch(walk, from, end);

		progress->blocks_done += next - from;
		from = next;
		dbops_backfill_progress_report(progress);
	}
}

/* Do a batch, or what keeps it from being done. Returns where to go on. */
static BlockNumber
take_batch(BackfillWalk *walk, BlockNumber from, BlockNumber to)
{
	uint64		rows;

	switch (update_batch(walk, from, to, &rows))
	{
		case BATCH_DONE:
			walk->waited = 0;
			walk->skip = 1;
			adapt_size(walk, rows);
			if (rows > 0)
				dbops_clock_pause(walk->run->request.pause);
			return to;

		case BATCH_ROWS_LOCKED:
			/* Split, so that only the rows that are locked have to wait. */
			walk->size = Max((to - from) / 2, walk->skip);
			if (to - from > walk->skip)
				return from;
			leave_out(walk, from, to);
			return to;

		case BATCH_TABLE_LOCKED:
			dbops_backfill_walk_wait(walk);
			return from;

		case BATCH_REWRITTEN:
			ereport(NOTICE,
					(errmsg("table %s was rewritten, beginning again with its first block",
							walk->leaf->name)));
			dbops_backfill_look_again(walk->leaf, walk->run->request.batch_size);
			dbops_procedure_commit();
			walk->restart = true;
			return to;

		case BATCH_GONE:
			return to;
	}
	return to;					/* keep the compiler quiet */
}

/* Run a batch and commit it. */
static BackfillOutcome
update_batch(BackfillWalk *walk, BlockNumber from, BlockNumber to, uint64 *rows)
{
	BackfillProgress *progress = &walk->run->progress;
	BackfillOutcome outcome;

	dbops_backfill_progress_range(progress, walk->leaf, from, to);
	outcome = dbops_backfill_update(walk->batcher, from, to, rows);
	dbops_procedure_commit();

	if (*rows > 0)
	{
		progress->rows += *rows;
		progress->batches++;
	}
	return outcome;
}

/* Blocks that hold no more than a batch of rows, however densely they are filled. */
static BlockNumber
first_size(const BackfillLeaf *leaf)
{
	return Min(leaf->batch_rows / MaxHeapTuplesPerPage + 1, leaf->batch_blocks);
}

/* Grow towards the size that the table's density suggests, as far as rows allow. */
static void
adapt_size(BackfillWalk *walk, uint64 rows)
{
	BlockNumber limit = walk->leaf->batch_blocks;

	if (rows == 0)
		limit = Min(limit, EMPTY_GROWTH * first_size(walk->leaf));
	else
		limit = Min(limit, Max((double) walk->size * walk->leaf->batch_rows / rows, 1));
	walk->size = (walk->size > limit / 2) ? limit : walk->size * 2;
}

/* Leave out blocks whose rows others lock, for later; the next time twice as many. */
static void
leave_out(BackfillWalk *walk, BlockNumber from, BlockNumber to)
{
	LockedRange *range = palloc(sizeof(LockedRange));

	if (walk->locked == NIL && !walk->returning)
		ereport(NOTICE,
				(errmsg("leaving out rows of table %s that other sessions have locked, to come back to them later",
						walk->leaf->name)));
	range->from = from;
	range->to = to;
	walk->locked = lappend(walk->locked, range);
	walk->skip = Min(walk->skip * 2, Max(walk->leaf->batch_blocks, 1));
	strlcpy(walk->run->obstacle, dbops_backfill_obstacle(walk->batcher),
			sizeof(walk->run->obstacle));
}

/* Come back to the blocks whose rows others had locked, a few times. */
void
dbops_backfill_walk_locked(BackfillWalk *walk)
{
	uint64		blocks_done = walk->run->progress.blocks_done;

	walk->returning = true;
	for (int round = 0; round < LOCKED_ROUNDS && walk->locked != NIL && !walk->restart; round++)
	{
		List	   *ranges = walk->locked;
		ListCell   *cell;

		dbops_clock_pause(LOCKED_WAIT << round);
		walk->locked = NIL;
		walk->skip = 1;
		foreach(cell, ranges)
		{
			LockedRange *range = lfirst(cell);

			walk->size = range->to - range->from;
			dbops_backfill_walk_range(walk, range->from, range->to);
		}
		list_free_deep(ranges);
		walk->run->progress.blocks_done = blocks_done;
	}
	walk->returning = false;
	walk->run->rows_locked |= (walk->locked != NIL);
	list_free_deep(walk->locked);
	walk->locked = NIL;
}

/* Wait for the lock on the table without standing in its queue. */
void
dbops_backfill_walk_wait(BackfillWalk *walk)
{
	if (walk->waited >= BACKFILL_TABLE_PATIENCE)
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("table %s has been locked by other sessions for %ld s",
						walk->leaf->name, walk->waited / 1000),
				 errhint("Look for them in pg_locks, and CALL again with the same arguments to go on: rows that no longer match, or have their value, are left alone.")));
	if (walk->waited == 0)
		ereport(NOTICE,
				(errmsg("waiting for a lock on table %s that another session holds",
						walk->leaf->name)));
	dbops_clock_pause(TABLE_WAIT);
	walk->waited += TABLE_WAIT + dbops_backfill_lock_timeout;
}
