/*
 * backfill_walk.c
 *		Walk the blocks of a table, a batch and a commit at a time.
 *
 * The size of a batch grows from a few blocks to what the table's density
 * suggests and shrinks when a batch turns out to change more rows than asked
 * for. A batch that meets rows locked by others is split until only the
 * locked rows' blocks are left out; the walk comes back to those at its end.
 * A lock on the table itself is waited for without standing in its queue, so
 * that nobody queues behind the backfill.
 */
#include "change/change.h"

/* A walk begins with batches of this many blocks and doubles them. */
#define FIRST_BLOCKS 64

/* How often, and how long at first, rows locked by others are waited for. */
#define LOCKED_ROUNDS 6
#define LOCKED_WAIT 100L		/* ms; doubles each round */

/* How long to wait between two tries for the table's lock. */
#define TABLE_WAIT 100L			/* ms */

static BlockNumber take_batch(BackfillWalk *walk, BlockNumber from, BlockNumber to);
static BackfillOutcome update_batch(BackfillWalk *walk, BlockNumber from,
									BlockNumber to, uint64 *rows);
static void adapt_size(BackfillWalk *walk, uint64 rows);

void
dbops_backfill_walk_begin(BackfillWalk *walk, BackfillRun *run, BackfillLeaf *leaf)
{
	memset(walk, 0, sizeof(*walk));
	walk->run = run;
	walk->leaf = leaf;
	walk->batcher = dbops_backfill_batcher(run->change, leaf);
	walk->size = Min(FIRST_BLOCKS, leaf->batch_blocks);
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

	dbops_backfill_walk_begin(&walk, run, leaf);
	do
	{
		walk.restart = false;
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
			adapt_size(walk, rows);
			if (rows > 0)
				dbops_clock_wait(walk->run->request.pause);
			return to;

		case BATCH_ROWS_LOCKED:
			/* Split, so that only the rows that are locked have to wait. */
			walk->size = Max((to - from) / 2, 1);
			if (to - from > 1)
				return from;
			walk->locked = lappend_oid(walk->locked, from);
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

/* Grow towards the size that the table's density suggests, or correct it. */
static void
adapt_size(BackfillWalk *walk, uint64 rows)
{
	BlockNumber limit = walk->leaf->batch_blocks;

	if (rows > walk->run->request.batch_size)
		walk->leaf->batch_blocks = limit =
			Max((double) walk->size * walk->run->request.batch_size / rows, 1);
	walk->size = (walk->size > limit / 2) ? limit : walk->size * 2;
}

/* Come back to the blocks whose rows others had locked, a few times. */
void
dbops_backfill_walk_locked(BackfillWalk *walk)
{
	for (int round = 0; round < LOCKED_ROUNDS && walk->locked != NIL && !walk->restart; round++)
	{
		List	   *blocks = walk->locked;
		ListCell   *cell;

		dbops_clock_wait(LOCKED_WAIT << round);
		walk->locked = NIL;
		foreach(cell, blocks)
		{
			walk->size = 1;
			dbops_backfill_walk_range(walk, lfirst_oid(cell), lfirst_oid(cell) + 1);
		}
		list_free(blocks);
	}
	walk->run->rows_locked |= (walk->locked != NIL);
	list_free(walk->locked);
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
				 errhint("Look for them in pg_locks, and CALL again with the same arguments to go on: rows that have been changed are left alone.")));
	if (walk->waited == 0)
		ereport(NOTICE,
				(errmsg("waiting for a lock on table %s that another session holds",
						walk->leaf->name)));
	dbops_clock_wait(TABLE_WAIT);
	walk->waited += TABLE_WAIT + dbops_backfill_lock_timeout;
}
