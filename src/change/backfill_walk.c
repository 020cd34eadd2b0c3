/*
 * backfill_walk.c
 *		Walk the blocks of tables, a batch a step.
 *
 * The size of a batch grows from what is certain to hold no more rows than
 * asked for to what the table's density suggests, and follows the rows that
 * batches turn out to change, since statistics may be old. A batch that meets
 * rows locked by others is split until only the locked rows' blocks are left
 * out; the walk comes back to those before it leaves the table. Where block
 * after block is locked, more and more of them are left out at once, so that
 * the waiting does not grow with their number. A lock on the table itself is
 * waited for without standing in its queue, so that nobody queues behind the
 * backfill.
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

static bool is_known(const BackfillRun *run, const BackfillLeaf *leaf);
static void do_batch(BackfillRun *run, DbopsStep *step);
static void go_on(BackfillRun *run, BlockNumber to);
static void size_for_round(BackfillWalk *walk);
static void begin_again(BackfillRun *run);
static List *remove_ranges(List *ranges, const BackfillLeaf *leaf);
static void leave_out(BackfillRun *run, BlockNumber from, BlockNumber to);
static bool has_ranges(const BackfillWalk *walk);
static void come_back(BackfillRun *run, DbopsStep *step);
static BlockNumber first_size(const BackfillLeaf *leaf);
static void adapt_size(BackfillWalk *walk, uint64 rows);

/* Begin a walk of all blocks of all tables. */
void
dbops_backfill_walk_all(BackfillRun *run)
{
	ListCell   *cell;

	foreach(cell, run->leaves)
	{
		BackfillLeaf *leaf = lfirst(cell);

		run->walk.ahead = dbops_backfill_add_range(run->walk.ahead, leaf, 0, leaf->blocks);
	}
	dbops_backfill_progress_pass(&run->progress, dbops_backfill_blocks(run->leaves), false);
}

/* Go on with the tables that have come since the walk began; false if there are none. */
bool
dbops_backfill_walk_new(BackfillRun *run)
{
	List	   *leaves = dbops_backfill_look_up(&run->request);
	List	   *new = NIL;
	ListCell   *cell;

	foreach(cell, leaves)
		if (!is_known(run, lfirst(cell)))
			new = lappend(new, lfirst(cell));
	foreach(cell, new)
	{
		BackfillLeaf *leaf = lfirst(cell);

		run->walk.ahead = dbops_backfill_add_range(run->walk.ahead, leaf, 0, leaf->blocks);
		run->progress.blocks += leaf->blocks;
	}
	run->leaves = list_concat(run->leaves, new);
	return run->walk.ahead != NIL;
}

static bool
is_known(const BackfillRun *run, const BackfillLeaf *leaf)
{
	ListCell   *cell;

	foreach(cell, run->leaves)
		if (((BackfillLeaf *) lfirst(cell))->relid == leaf->relid)
			return true;
	return false;
}

/* Add blocks to a list of ranges, unless they are none. */
List *
dbops_backfill_add_range(List *ranges, BackfillLeaf *leaf, BlockNumber from, BlockNumber to)
{
	BackfillRange *range;

	if (from >= to)
		return ranges;
	range = palloc(sizeof(BackfillRange));
	range->leaf = leaf;
	range->from = from;
	range->to = to;
	return lappend(ranges, range);
}

/*
 * Do a batch, or what keeps it from being done, and find out what comes next;
 * true when nothing does.
 */
bool
dbops_backfill_walk_step(BackfillRun *run, DbopsStep *step)
{
	BackfillWalk *walk = &run->walk;

	if (walk->ahead != NIL)
		do_batch(run, step);

	while (walk->leaf != NULL && !has_ranges(walk))
	{
		if (walk->locked != NIL && walk->round < LOCKED_ROUNDS)
			come_back(run, step);
		else
		{
			run->rows_locked |= (walk->locked != NIL);
			dbops_backfill_walk_leave(walk);
		}
	}
	if (walk->leaf == NULL)
		run->progress.leaf = NULL;
	return walk->ahead == NIL;
}

/* Begin with a table. */
void
dbops_backfill_walk_enter(BackfillRun *run, BackfillLeaf *leaf)
{
	BackfillWalk *walk = &run->walk;

	walk->leaf = leaf;
	walk->batcher = dbops_backfill_batcher(run->change, leaf);
	walk->size = first_size(leaf);
	walk->skip = 1;
	walk->round = 0;
	walk->waited = 0;
	walk->blocks_before = run->progress.blocks_done;
}

/* End with a table. */
void
dbops_backfill_walk_leave(BackfillWalk *walk)
{
	list_free_deep(walk->locked);
	walk->locked = NIL;
	dbops_backfill_batcher_free(walk->batcher);
	walk->batcher = NULL;
	walk->leaf = NULL;
}

/* Do the next batch and say how long to wait after it. */
static void
do_batch(BackfillRun *run, DbopsStep *step)
{
	BackfillWalk *walk = &run->walk;
	BackfillRange *range = linitial(walk->ahead);
	BackfillOutcome outcome;
	BlockNumber to;
	uint64		rows;

	if (walk->leaf == NULL)
		dbops_backfill_walk_enter(run, range->leaf);
	to = (range->to - range->from > walk->size) ? range->from + walk->size : range->to;
	dbops_backfill_progress_range(&run->progress, walk->leaf, range->from, to);

	outcome = dbops_backfill_update(walk->batcher, range->from, to, &rows);
	if (outcome == BATCH_FAILED)
		outcome = dbops_backfill_update_pieces(run, walk->batcher, walk->leaf, range->from, &to, &rows);
	switch (outcome)
	{
		case BATCH_DONE:
			dbops_backfill_progress_batch(&run->progress, rows);
			walk->waited = 0;
			walk->skip = 1;
			adapt_size(walk, rows);
			step->pause = (rows > 0) ? run->request.pause : 0;
			if (rows > 0)
				dbops_backfill_ask_for_vacuum(run, step, walk->leaf, to - range->from);
			go_on(run, to);
			break;

		case BATCH_ROWS_LOCKED:
			/* Split, so that only the rows that are locked have to wait. */
			walk->size = Max((to - range->from) / 2, walk->skip);
			if (to - range->from <= walk->skip)
				leave_out(run, range->from, to);
			break;

		case BATCH_TABLE_LOCKED:
			dbops_backfill_note_wait(walk->leaf, &walk->waited);
			step->pause = BACKFILL_TABLE_WAIT;
			step->waiting = psprintf("for a lock on table %s that another session holds",
									 walk->leaf->name);
			break;

		case BATCH_REWRITTEN:
			begin_again(run);
			break;

		case BATCH_GONE:
			go_on(run, range->to);
			break;

		case BATCH_FAILED:
			break;
	}
}

/*
 * Have a table vacuumed when enough of its blocks were changed since it was
 * last. Of several processes each counts its own, so that together they do it
 * as often as one would, whichever of them works on the table.
 */
void
dbops_backfill_ask_for_vacuum(BackfillRun *run, DbopsStep *step, const BackfillLeaf *leaf, BlockNumber changed)
{
	BackfillWalk *walk = &run->walk;
	double		share = run->request.vacuum_every * leaf->blocks;

	if (walk->unvacuumed_of != leaf->relid)
		walk->unvacuumed = 0;	/* else it goes on, perhaps in another part of the table */
	walk->unvacuumed_of = leaf->relid;
	walk->unvacuumed += changed;
	if (share == 0 || walk->unvacuumed < Max(share, BACKFILL_VACUUM_BLOCKS))
		return;
	walk->unvacuumed = 0;
	step->vacuum = leaf->relid;
}

/* Go on behind what has been done or left out. */
static void
go_on(BackfillRun *run, BlockNumber to)
{
	BackfillWalk *walk = &run->walk;
	BackfillRange *range = linitial(walk->ahead);

	if (walk->round == 0)
		run->progress.blocks_done += to - range->from;
	range->from = to;
	if (range->from >= range->to)
	{
		walk->ahead = list_delete_first(walk->ahead);
		pfree(range);
		size_for_round(walk);
	}
	dbops_backfill_progress_report(&run->progress);
}

/* What was left out is tried again as it was left out. */
static void
size_for_round(BackfillWalk *walk)
{
	if (walk->round > 0 && has_ranges(walk))
	{
		BackfillRange *range = linitial(walk->ahead);

		walk->size = range->to - range->from;
	}
}

/* The table was rewritten: walk all of it. */
static void
begin_again(BackfillRun *run)
{
	BackfillWalk *walk = &run->walk;
	BackfillLeaf *leaf = walk->leaf;
	BackfillRange *whole = palloc(sizeof(BackfillRange));

	ereport(NOTICE,
			(errmsg("table %s was rewritten, beginning again with its first block", leaf->name)));
	if (run->progress.in_part)
	{
		/* Who gathers the parts has all of it walked anew, once. */
		run->again = list_append_unique_oid(run->again, leaf->relid);
		dbops_backfill_walk_leave(walk);
		walk->ahead = remove_ranges(walk->ahead, leaf);
		return;
	}
	dbops_backfill_look_again(leaf, &run->request);
	run->progress.blocks_done = walk->blocks_before;
	dbops_backfill_walk_leave(walk);
	walk->ahead = remove_ranges(walk->ahead, leaf);
	if (leaf->blocks == 0)
		return;
	whole->leaf = leaf;
	whole->from = 0;
	whole->to = leaf->blocks;
	walk->ahead = lcons(whole, walk->ahead);
}

static List *
remove_ranges(List *ranges, const BackfillLeaf *leaf)
{
	ListCell   *cell;

	foreach(cell, ranges)
		if (((BackfillRange *) lfirst(cell))->leaf == leaf)
			ranges = foreach_delete_current(ranges, cell);
	return ranges;
}

/* Leave out blocks whose rows others lock, for later; the next time twice as many. */
static void
leave_out(BackfillRun *run, BlockNumber from, BlockNumber to)
{
	BackfillWalk *walk = &run->walk;

	if (walk->locked == NIL && walk->round == 0)
		ereport(NOTICE,
				(errmsg("leaving out rows of table %s that other sessions have locked, to come back to them later",
						walk->leaf->name)));
	walk->locked = dbops_backfill_add_range(walk->locked, walk->leaf, from, to);
	walk->skip = Min(walk->skip * 2, Max(walk->leaf->batch_blocks, 1));
	strlcpy(run->obstacle, dbops_backfill_obstacle(walk->batcher), sizeof(run->obstacle));
	go_on(run, to);
}

/* Is there more to do of the present table? */
static bool
has_ranges(const BackfillWalk *walk)
{
	return walk->ahead != NIL && ((BackfillRange *) linitial(walk->ahead))->leaf == walk->leaf;
}

/* Come back, after a while, to the blocks whose rows others had locked. */
static void
come_back(BackfillRun *run, DbopsStep *step)
{
	BackfillWalk *walk = &run->walk;

	step->pause = Max(step->pause, LOCKED_WAIT << walk->round);
	step->waiting = psprintf("for rows of table %s that other sessions have locked",
							 walk->leaf->name);
	walk->round++;
	walk->ahead = list_concat(walk->locked, walk->ahead);
	walk->locked = NIL;
	walk->skip = 1;
	size_for_round(walk);
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

/* Note a wait for the lock on a table, up to the end of patience. */
void
dbops_backfill_note_wait(const BackfillLeaf *leaf, long *waited)
{
	if (*waited >= BACKFILL_TABLE_PATIENCE)
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("table %s has been locked by other sessions for %ld s",
						leaf->name, *waited / 1000),
				 errhint("Look for them in pg_locks, and CALL again with the same arguments to go on: rows that no longer match, or have their value, are left alone.")));
	if (*waited == 0)
		ereport(NOTICE,
				(errmsg("waiting for a lock on table %s that another session holds",
						leaf->name)));
	*waited += BACKFILL_TABLE_WAIT + dbops_backfill_lock_timeout;
}
