/*
 * backfill_walk.c
 *		Walk the blocks of tables, a batch a step.
 *
 * The size of a batch begins with a few blocks, never more than are certain to
 * hold no more rows than asked for, and follows the rows that batches turn out
 * to change, since statistics may be old; below that it follows the time that a
 * batch may take and the harm that it does (pace.c). A block that
 * takes too long is done by some of its line pointers at a time. The place
 * where that goes on is not kept: who takes the walk over begins with the
 * block, whose rows may be met again. A batch that meets rows locked
 * by others is rolled back and done without waiting for any row; the walk comes
 * back to its blocks before it leaves the table. Batches after it wait for no
 * row either, the more of them the more often that happens, so that the waiting
 * does not grow with the number of locked rows. Where even that meets locks, of
 * other tables that triggers or foreign keys reach, the batch is split until
 * only their rows are left out. A lock on the table itself is waited for
 * without standing in its queue, so that nobody queues behind the backfill.
 */
#include "change/change.h"

#include "utils/builtins.h"

/*
 * Where no rows match, a batch grows to this many times the size that it began
 * with: what comes next is not known.
 */
#define EMPTY_GROWTH 2

/* Blocks to begin a table with, since nobody knows what a row takes. */
#define FIRST_BLOCKS 4

/* A block that takes too long is done by this share of its line pointers at first. */
#define FIRST_PLACES 4

/* The most batches after one that has met a lock that wait for no row. */
#define MOST_CARE 256

/* How often, and how long at first, rows locked by others are waited for. */
#define LOCKED_ROUNDS 6
#define LOCKED_WAIT 100L		/* ms; doubles each round */

static bool is_known(const BackfillRun *run, const BackfillLeaf *leaf);
static void do_batch(BackfillRun *run, DbopsStep *step);
static BackfillOutcome do_pieces(BackfillRun *run, DbopsStep *step, BlockNumber from, BlockNumber to);
static void pieces_are_done(BackfillRun *run, DbopsStep *step, uint64 end, const DbopsBatch *batch);
static BackfillOutcome try_batch(BackfillRun *run, BlockNumber from, BlockNumber to, DbopsBatch *batch);
static BackfillOutcome update(BackfillRun *run, BlockNumber from, BlockNumber to, DbopsBatch *batch);
static int	last_place(const BackfillWalk *walk);
static void follow_places(BackfillRun *run, const DbopsBatch *batch);
static void took_too_long(BackfillRun *run, BlockNumber blocks, const DbopsBatch *batch);
static void batch_is_done(BackfillRun *run, DbopsStep *step, BlockNumber to, const DbopsBatch *batch);
static double row_limit(const BackfillWalk *walk, BlockNumber blocks, uint64 rows);
static void go_on(BackfillRun *run, BlockNumber to);
static void begin_again(BackfillRun *run);
static List *remove_ranges(List *ranges, const BackfillLeaf *leaf);
static void leave_out(BackfillRun *run, BlockNumber from, BlockNumber to);
static void note_locked(BackfillRun *run, BlockNumber from, BlockNumber to);
static bool has_ranges(const BackfillWalk *walk);
static void come_back(BackfillRun *run, DbopsStep *step);

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
	if (walk->pace_of != leaf->relid)	/* else it goes on, perhaps in another part of the table */
	{
		dbops_pace_begin(&walk->pace, Min(dbops_backfill_certain_blocks(leaf), FIRST_BLOCKS));
		walk->places = 0;
		walk->careful = 0;
		walk->care = 0;
	}
	walk->pace_of = leaf->relid;
	(void) dbops_pace_spend(&walk->pace, &run->request.limits);
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
	walk->at_place = 0;
	walk->empty = 0;
	walk->any = false;
}

/* Do the next batch and say how long to wait after it. */
static void
do_batch(BackfillRun *run, DbopsStep *step)
{
	BackfillWalk *walk = &run->walk;
	BackfillRange *range = linitial(walk->ahead);
	BackfillOutcome outcome;
	DbopsBatch batch = {0};
	BlockNumber size;
	BlockNumber to;

	if (walk->leaf == NULL)
		dbops_backfill_walk_enter(run, range->leaf);
	size = (walk->places > 0) ? 1 : dbops_pace_size(&walk->pace);
	to = (range->to - range->from > size) ? range->from + size : range->to;
	dbops_backfill_progress_range(&run->progress, walk->leaf, range->from, to);

	outcome = try_batch(run, range->from, to, &batch);
	if (outcome == BATCH_FAILED)
		outcome = do_pieces(run, step, range->from, to);
	else if (outcome == BATCH_DONE)
		batch_is_done(run, step, to, &batch);
	switch (outcome)
	{
		case BATCH_DONE:
			break;

		case BATCH_ROWS_LOCKED:
			/* Split, so that only the rows that meet the lock have to wait. */
			dbops_pace_cut(&walk->pace, Max((to - range->from) / 2, walk->skip));
			if (to - range->from <= walk->skip)
				leave_out(run, range->from, to);
			break;

		case BATCH_TOO_LONG:
			took_too_long(run, to - range->from, &batch);
			break;

		case BATCH_TABLE_LOCKED:
			dbops_backfill_note_wait(run, walk->leaf, &walk->waited);
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

/* Do a batch that has failed piece by piece, and go on where that ends. */
static BackfillOutcome
do_pieces(BackfillRun *run, DbopsStep *step, BlockNumber from, BlockNumber to)
{
	BackfillWalk *walk = &run->walk;
	DbopsBatch batch = {0};
	uint64		end = (walk->places > 0) ? BACKFILL_PLACE(from) + last_place(walk) : BACKFILL_PLACE(to);
	BackfillOutcome outcome = dbops_backfill_update_pieces(run, walk->batcher, walk->leaf,
														   BACKFILL_PLACE(from) + walk->at_place,
														   &end, &batch.rows);

	if (outcome == BATCH_DONE)
		pieces_are_done(run, step, end, &batch);
	return outcome;
}

/* Go on behind pieces, perhaps within a block. */
static void
pieces_are_done(BackfillRun *run, DbopsStep *step, uint64 end, const DbopsBatch *batch)
{
	BackfillWalk *walk = &run->walk;
	BlockNumber from = ((BackfillRange *) linitial(walk->ahead))->from;
	BlockNumber to = end / BACKFILL_BLOCK_PLACES;

	dbops_backfill_progress_batch(&run->progress, batch->rows);
	walk->waited = 0;
	walk->skip = 1;
	dbops_pace_pause(&walk->pace, &run->request.limits, step, batch);
	if (to > from)
	{
		dbops_backfill_ask_for_vacuum(run, step, walk->leaf, to - from);
		walk->places = 0;
		go_on(run, to);
	}
	walk->at_place = end % BACKFILL_BLOCK_PLACES;
	if (walk->at_place > 0 && walk->places == 0)
		walk->places = BACKFILL_BLOCK_PLACES;
	walk->any = (walk->at_place > 0);
}

/* Do it, and if it meets a lock, do it without waiting for rows. */
static BackfillOutcome
try_batch(BackfillRun *run, BlockNumber from, BlockNumber to, DbopsBatch *batch)
{
	BackfillWalk *walk = &run->walk;
	BackfillOutcome outcome;

	batch->most_ms = dbops_pace_most_ms(&run->request.limits);
	batch->careful = (walk->careful > 0);
	outcome = update(run, from, to, batch);
	if (batch->careful)
		walk->careful--;
	else if (outcome == BATCH_DONE)
		walk->care = 0;
	else if (outcome == BATCH_ROWS_LOCKED)
	{
		strlcpy(run->obstacle, dbops_backfill_obstacle(walk->batcher), sizeof(run->obstacle));
		dbops_pace_harm(&walk->pace, &run->request.limits);
		walk->care = Min(Max(walk->care * 2, 1), MOST_CARE);
		walk->careful = walk->care;
		batch->careful = true;
		outcome = update(run, from, to, batch);
	}
	return outcome;
}

/* Do the blocks, or of the one block what is next. */
static BackfillOutcome
update(BackfillRun *run, BlockNumber from, BlockNumber to, DbopsBatch *batch)
{
	BackfillWalk *walk = &run->walk;

	if (walk->places == 0)
		return dbops_backfill_update(walk->batcher, from, to, batch);
	return dbops_backfill_update_places(walk->batcher, from, walk->at_place, last_place(walk), batch);
}

/* Where the next batch within a block ends. Where no rows are, it soon has all that is left. */
static int
last_place(const BackfillWalk *walk)
{
	return Min(walk->at_place + (walk->places << walk->empty), BACKFILL_BLOCK_PLACES);
}

/*
 * Go on behind a batch within a block. When as many line pointers as a block
 * has could be done at once, the next batch is blocks again.
 */
static void
follow_places(BackfillRun *run, const DbopsBatch *batch)
{
	BackfillWalk *walk = &run->walk;
	int			to = last_place(walk);
	int			done = to - walk->at_place;

	walk->empty = (batch->rows == 0) ? walk->empty + 1 : 0;
	walk->any |= (batch->rows > 0 || batch->left > 0);
	if (batch->rows > 0)
		walk->places = dbops_pace_places(&run->request.limits, done, batch);
	walk->at_place = to;
}

/* A batch was cut off: make the next one smaller, within a block if it was one. */
static void
took_too_long(BackfillRun *run, BlockNumber blocks, const DbopsBatch *batch)
{
	BackfillWalk *walk = &run->walk;
	int			places = BACKFILL_BLOCK_PLACES;

	if (walk->places > 0)
		places = last_place(walk) - walk->at_place;
	else
		dbops_pace_too_long(&walk->pace, blocks, batch);
	if (blocks > 1)
		return;
	walk->places = Max(places / FIRST_PLACES, 1);
	walk->empty = 0;
}

/* Go on behind a batch, and note its blocks if others have locked rows of them. */
static void
batch_is_done(BackfillRun *run, DbopsStep *step, BlockNumber to, const DbopsBatch *batch)
{
	BackfillWalk *walk = &run->walk;
	BlockNumber from = ((BackfillRange *) linitial(walk->ahead))->from;

	dbops_backfill_progress_batch(&run->progress, batch->rows);
	walk->waited = 0;
	walk->skip = 1;
	if (walk->places > 0)
		follow_places(run, batch);
	else
		dbops_pace_follow(&walk->pace, &run->request.limits, to - from,
								   row_limit(walk, to - from, batch->rows), batch);
	dbops_pace_pause(&walk->pace, &run->request.limits, step, batch);
	if (batch->left > 0)
		note_locked(run, from, to);
	if (walk->at_place > 0 && walk->at_place < BACKFILL_BLOCK_PLACES)
		return;					/* there is more of the block */
	if (batch->rows > 0 || walk->at_place > 0)
		dbops_backfill_ask_for_vacuum(run, step, walk->leaf, to - from);
	if (walk->places >= BACKFILL_BLOCK_PLACES || !walk->any)
		walk->places = 0;
	go_on(run, to);
}

/* Blocks that hold a batch of rows, as far as the table's density and the last batch tell. */
static double
row_limit(const BackfillWalk *walk, BlockNumber blocks, uint64 rows)
{
	const BackfillLeaf *leaf = walk->leaf;

	if (rows == 0)
		return Min(leaf->batch_blocks, EMPTY_GROWTH * dbops_backfill_certain_blocks(leaf));
	return Min(leaf->batch_blocks, Max((double) blocks * leaf->batch_rows / rows, 1));
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
	walk->at_place = 0;
	walk->empty = 0;
	walk->any = false;
	range->from = to;
	if (range->from >= range->to)
	{
		walk->ahead = list_delete_first(walk->ahead);
		pfree(range);
	}
	dbops_backfill_progress_report(&run->progress);
}

/* The table was rewritten: walk all of it. */
static void
begin_again(BackfillRun *run)
{
	BackfillWalk *walk = &run->walk;
	BackfillLeaf *leaf = walk->leaf;
	BackfillRange *whole = palloc(sizeof(BackfillRange));

	if (run->progress.in_part)
	{
		/* Who gathers the parts says so and has all of it walked anew, once. */
		run->again = list_append_unique_oid(run->again, leaf->relid);
		dbops_backfill_walk_leave(walk);
		walk->ahead = remove_ranges(walk->ahead, leaf);
		return;
	}
	dbops_backfill_tell_rewritten(leaf);
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

void
dbops_backfill_tell_rewritten(const BackfillLeaf *leaf)
{
	ereport(NOTICE,
			(errmsg("table %s was rewritten, beginning again with its first block", leaf->name)));
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

/* Leave out blocks whose rows meet locks, for later; the next time twice as many. */
static void
leave_out(BackfillRun *run, BlockNumber from, BlockNumber to)
{
	BackfillWalk *walk = &run->walk;

	walk->skip = Min(walk->skip * 2, Max(walk->leaf->batch_blocks, 1));
	strlcpy(run->obstacle, dbops_backfill_obstacle(walk->batcher), sizeof(run->obstacle));
	note_locked(run, from, to);
	go_on(run, to);
}

/* Have blocks come back to. */
static void
note_locked(BackfillRun *run, BlockNumber from, BlockNumber to)
{
	BackfillWalk *walk = &run->walk;

	if (walk->locked != NIL && ((BackfillRange *) llast(walk->locked))->to == to)
		return;					/* by another batch of the same block */
	if (walk->locked == NIL && walk->round == 0)
		ereport(NOTICE,
				(errmsg("leaving out rows of table %s that other sessions have locked, to come back to them later",
						walk->leaf->name)));
	walk->locked = dbops_backfill_add_range(walk->locked, walk->leaf, from, to);
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
}

/* Blocks that hold no more than a batch of rows, however densely they are filled. */
BlockNumber
dbops_backfill_certain_blocks(const BackfillLeaf *leaf)
{
	return Min(leaf->batch_rows / MaxHeapTuplesPerPage + 1, leaf->batch_blocks);
}

/* Note a wait for the lock on a table, up to the end of patience. */
void
dbops_backfill_note_wait(const BackfillRun *run, const BackfillLeaf *leaf, long *waited)
{
	if (!dbops_backfill_is_patient(run, *waited))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("table %s has been locked by other sessions for %ld s",
						leaf->name, *waited / 1000),
				 errhint("Make the same call again when they have left it: rows that no longer match, or have their value, are left alone. %s",
						 dbops_backfill_who(leaf->name, "ROW EXCLUSIVE"))));
	if (*waited == 0)
		ereport(NOTICE,
				(errmsg("waiting for a lock on table %s that another session holds",
						leaf->name),
				 errhint("%s", dbops_backfill_who(leaf->name, "ROW EXCLUSIVE"))));
	*waited += BACKFILL_TABLE_WAIT + dbops_polite_lock_wait();
}

/* May a wait that has lasted for so long go on? */
bool
dbops_backfill_is_patient(const BackfillRun *run, long waited)
{
	return waited < (run->patience > 0 ? run->patience : BACKFILL_TABLE_PATIENCE);
}

/* For a hint: the query that shows who keeps a lock of a mode from being had. Rows are locked by who has ROW SHARE or more. */
char *
dbops_backfill_who(const char *table, const char *mode)
{
	return psprintf("Who is there: SELECT * FROM dbops.blockers(%s, '%s');", quote_literal_cstr(table), mode);
}
