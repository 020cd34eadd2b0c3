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

#include "access/xact.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

/* Blocks that are counted at once, between two looks at progress (32 MB). */
#define COUNT_BLOCKS 4096

/* Counts that may find no fewer rows than before, while they find few or many. */
#define STALLED_COUNTS_FEW 3
#define STALLED_COUNTS_MANY 1

/* Where rows were found. */
typedef struct Found
{
	BackfillLeaf *leaf;
	BlockNumber from;
	BlockNumber to;
} Found;

static List *count(BackfillRun *run);
static bool have_same_storage(List *before, List *after);
static List *look_up_tables(BackfillRun *run);
static List *count_table(BackfillRun *run, BackfillLeaf *leaf);
static BlockNumber count_range(BackfillWalk *walk, BlockNumber from, List **found);
static Found *make_found(BackfillLeaf *leaf, BlockNumber from, BlockNumber to);
static void sweep(BackfillRun *run, List *found);
static void sweep_end(BackfillWalk *walk);
static bool has_stalled(const BackfillRun *run, uint64 last, int *stalled);

/*
 * Count and sweep until nothing is left or sweeping does not help: a trigger
 * that undoes the assignment must not have the table rewritten for ever.
 * What is left then stands in the run.
 */
void
dbops_backfill_verify(BackfillRun *run)
{
	uint64		last = run->progress.rows;
	int			stalled = 0;

	for (;;)
	{
		uint64		before = run->progress.rows;
		List	   *found = count(run);

		if (run->count_spoiled)
			continue;
		if (run->pending == 0 || has_stalled(run, last, &stalled))
			return;
		last = run->pending;

		sweep(run, found);
		list_free_deep(found);
		if (run->progress.rows == before)
			return;				/* what was found could not be changed */
	}
}

/* Has the count stopped to fall? A few rows may come back by chance. */
static bool
has_stalled(const BackfillRun *run, uint64 last, int *stalled)
{
	bool		few = run->pending <= run->request.batch_size;

	if (run->pending >= last)
		(*stalled)++;
	return *stalled >= (few ? STALLED_COUNTS_FEW : STALLED_COUNTS_MANY);
}

/* Count what is left in all tables, with those that have come meanwhile. */
static List *
count(BackfillRun *run)
{
	List	   *found = NIL;
	List	   *before;
	ListCell   *cell;

	dbops_backfill_begin_transaction();
	before = look_up_tables(run);
	PushActiveSnapshot(GetTransactionSnapshot());
	run->leaves = look_up_tables(run);

	run->pending = 0;
	run->unfilled = 0;
	run->count_spoiled = !have_same_storage(before, run->leaves);
	dbops_backfill_progress_pass(&run->progress, dbops_backfill_blocks(run->leaves), true);
	foreach(cell, run->leaves)
		found = list_concat(found, count_table(run, lfirst(cell)));
	PopActiveSnapshot();
	dbops_procedure_commit();
	return found;
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

/* Look up the tables and give their locks back at once. */
static List *
look_up_tables(BackfillRun *run)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	List	   *leaves;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	leaves = dbops_backfill_leaves(&run->request);
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return leaves;
}

static List *
count_table(BackfillRun *run, BackfillLeaf *leaf)
{
	BackfillWalk walk;
	List	   *found = NIL;
	BlockNumber from = 0;

	dbops_backfill_walk_begin(&walk, run, leaf);
	while (from < leaf->blocks && !run->count_spoiled)
	{
		from = count_range(&walk, from, &found);
		dbops_backfill_progress_report(&run->progress);
	}
	dbops_backfill_walk_end(&walk);
	return found;
}

/* Count a range and note it if rows are found. Returns where to go on. */
static BlockNumber
count_range(BackfillWalk *walk, BlockNumber from, List **found)
{
	BackfillRun *run = walk->run;
	BackfillLeaf *leaf = walk->leaf;
	BlockNumber to = (leaf->blocks - from > COUNT_BLOCKS) ? from + COUNT_BLOCKS : leaf->blocks;
	BackfillCounts counts = {0};

	dbops_backfill_progress_range(&run->progress, leaf, from, to);
	switch (dbops_backfill_count(walk->batcher, from, to, &counts))
	{
		case BATCH_ROWS_LOCKED:
		case BATCH_TABLE_LOCKED:
			dbops_backfill_walk_wait(walk);
			return from;

		case BATCH_REWRITTEN:
			run->count_spoiled = true;
			return from;

		case BATCH_GONE:
			return leaf->blocks;

		case BATCH_DONE:
			break;
	}

	walk->waited = 0;
	run->pending += counts.pending;
	if (run->change->null_column != NULL)
		run->unfilled += counts.matching - counts.pending;
	run->progress.blocks_done += to - from;
	if (counts.pending > 0)
		*found = lappend(*found, make_found(leaf, from, to));
	return to;
}

static Found *
make_found(BackfillLeaf *leaf, BlockNumber from, BlockNumber to)
{
	Found	   *found = palloc(sizeof(Found));

	found->leaf = leaf;
	found->from = from;
	found->to = to;
	return found;
}

/* Walk again where rows were found, which is in the order of the tables. */
static void
sweep(BackfillRun *run, List *found)
{
	BackfillWalk walk = {0};
	uint64		blocks = 0;
	ListCell   *cell;

	foreach(cell, found)
		blocks += ((Found *) lfirst(cell))->to - ((Found *) lfirst(cell))->from;
	dbops_backfill_progress_pass(&run->progress, blocks, false);
	run->rows_locked = false;

	foreach(cell, found)
	{
		Found	   *range = lfirst(cell);

		if (walk.leaf != range->leaf)
		{
			sweep_end(&walk);
			dbops_backfill_walk_begin(&walk, run, range->leaf);
		}
		dbops_backfill_walk_range(&walk, range->from, range->to);
	}
	sweep_end(&walk);
}

static void
sweep_end(BackfillWalk *walk)
{
	if (walk->leaf == NULL)
		return;
	dbops_backfill_walk_locked(walk);
	dbops_backfill_walk_end(walk);
}
