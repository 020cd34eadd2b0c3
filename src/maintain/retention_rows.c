/*
 * retention_rows.c
 *		Delete the old rows of one table after the other, in the order of their
 *		OIDs, and have each vacuumed where that helps.
 */
#include "maintain/retention_run.h"

#include "access/relation.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_inherits.h"
#include "storage/procarray.h"

#define VACUUM_SHARE	0.1		/* of the rows, after which the table is vacuumed */
#define VACUUM_ROWS		10000.0	/* fewer are not worth it */
#define VACUUM_TIME		600000	/* ms between two vacuums on the way, each of which reads all indexes */

static void note_obstacle(RetentionRun *run);
static bool enter_next(RetentionRun *run, const RetentionSpec *spec);
static void choose(const RetentionRun *run, const RetentionSpec *spec, RetentionLeaf *leaf);
static bool begin_round(RetentionRun *run, const RetentionSpec *spec);
static bool walk_again(RetentionRun *run, const RetentionSpec *spec);
static bool are_too_many(RetentionRun *run, const RetentionEstimate *freed, bool at_end);
static void leave_leaf(RetentionRun *run);
static void ask_for_vacuum(RetentionRun *run, DbopsStep *step, bool at_end);
static bool vacuum_helps(const RetentionRun *run);

void
dbops_retention_rows_step(DbopsJob *job, void *state, DbopsStep *step)
{
	RetentionRun *run = state;
	Policy	   *policy;
	RetentionSpec *spec = dbops_retention_take_spec(run, &policy);
	DbopsBatch	batch = {0};

	dbops_retention_check_references(spec->relid);
	if (dbops_retention_is_over(run) || (run->walk.leaf == NULL && !enter_next(run, spec) && !begin_round(run, spec)))
		step->finished = true;
	else if (!dbops_retention_walk_step(spec, &run->walk, run->cutoff, step, &batch))
	{
		run->rows += batch.rows;
		run->walk.deleted += batch.rows;
		run->of_round += batch.rows;
		run->since_vacuum += batch.rows;
		run->work += batch.ms;
		note_obstacle(run);
		ask_for_vacuum(run, step, false);
		run->last_xid = GetTopTransactionIdIfAny();
	}
	else if (!walk_again(run, spec))
	{
		ask_for_vacuum(run, step, true);
		run->left |= run->walk.left;
		leave_leaf(run);
	}
	step->done = run->rows;
	step->total = Max(run->expected, run->rows);
	step->rows = run->rows;
	dbops_retention_position_save(run, step);
}

/* Say which rows stay for something that a user can change. */
static void
note_obstacle(RetentionRun *run)
{
	if (run->walk.obstacle != NULL)
		dbops_retention_note(run, run->walk.leaf->name, "delete rows", "skipped", run->walk.obstacle, -1);
	run->walk.obstacle = NULL;
}

/*
 * Begin with the next table, in the order of OIDs; false: there is none. One
 * that was begun by key, whose index is gone since, begins anew by blocks.
 */
static bool
enter_next(RetentionRun *run, const RetentionSpec *spec)
{
	MemoryContext before = MemoryContextSwitchTo(run->memory);
	RetentionLeaf *leaf = dbops_retention_next_leaf(spec, run->cutoff, run->next_leaf);

	if (leaf != NULL)
	{
		if (leaf->relid != run->taken_leaf)
			choose(run, spec, leaf);
		else if (run->taken_by_blocks)
			leaf->index = InvalidOid;
		run->walk.leaf = leaf;
		run->walk.statements = dbops_retention_statements(run->memory);
		run->walk.taken_over = (leaf->relid == run->taken_leaf && leaf->filenode == run->taken_storage &&
								run->taken_by_blocks == !OidIsValid(leaf->index));
		run->walk.at = run->walk.taken_over ? run->taken_at : 0;
		run->next_leaf = leaf->relid;
		dbops_retention_check_references(leaf->relid);
	}
	MemoryContextSwitchTo(before);
	return run->walk.leaf != NULL;
}

/* By key or by block; who takes a table over goes on as it was begun. A table alone was looked at to begin with. */
static void
choose(const RetentionRun *run, const RetentionSpec *spec, RetentionLeaf *leaf)
{
	RetentionEstimate estimate = {.oldest = RETENTION_NONE,.exact = true};
	bool		alone = (leaf->relid == spec->relid && !has_subclass(leaf->relid));

	if (!OidIsValid(leaf->index))
		return;
	if (!alone)
		dbops_retention_estimate(spec, leaf, dbops_retention_counted(spec, leaf->relid), run->cutoff,
								 RETENTION_NONE, &estimate);
	dbops_retention_choose(leaf, alone ? run->expected : estimate.expired);
}

/* All tables again, where rows of one that are gone now have kept rows of another one. */
static bool
begin_round(RetentionRun *run, const RetentionSpec *spec)
{
	RetentionEstimate estimate = {.oldest = RETENTION_NONE,.exact = true};

	if (run->of_round == 0 || run->passes_before + run->passes >= RETENTION_PASSES || !has_subclass(spec->relid) ||
		!dbops_retention_refers_to_itself(spec->relid))
		return false;
	dbops_retention_estimate_all(spec, run->cutoff, RETENTION_NONE, &estimate);
	if (estimate.expired < 1 || are_too_many(run, &estimate, true))
		return false;
	run->passes_before += run->passes;
	run->passes = 0;
	run->of_round = 0;
	run->next_leaf = InvalidOid;
	return enter_next(run, spec);
}

/* More in all than may go? Where nothing else can be done that ends the run. */
static bool
are_too_many(RetentionRun *run, const RetentionEstimate *freed, bool at_end)
{
	if (run->rows + freed->expired <= run->most)
		return false;
	if (at_end)
		run->stopped = "more rows can go now that others of the table have gone than may go unconfirmed";
	return true;
}

/* The same table, where that takes rows that could not go before. */
static bool
walk_again(RetentionRun *run, const RetentionSpec *spec)
{
	RetentionEstimate estimate = {.oldest = RETENTION_NONE,.exact = true};
	const RetentionLeaf *leaf = run->walk.leaf;

	if (!dbops_retention_walk_frees_rows(&run->walk, run->passes_before))
		return false;
	dbops_retention_estimate(spec, leaf, dbops_retention_counted(spec, leaf->relid), run->cutoff,
							 RETENTION_NONE, &estimate);
	if (estimate.expired < 1 || are_too_many(run, &estimate, !has_subclass(spec->relid)))
		return false;
	dbops_retention_walk_again(&run->walk);
	return true;
}

static void
leave_leaf(RetentionRun *run)
{
	RetentionWalk left = {.memory = run->memory,.limits = run->walk.limits};

	dbops_retention_statements_free(run->walk.statements);
	run->next_leaf = run->walk.leaf->relid + 1;
	run->passes = Max(run->passes, run->walk.passes + 1);
	run->since_vacuum = 0;
	run->taken_leaf = InvalidOid;
	run->walk = left;
}

/* Have the table vacuumed after many rows, if that can remove them: at its end, and on the way of a long run. */
static void
ask_for_vacuum(RetentionRun *run, DbopsStep *step, bool at_end)
{
	TimestampTz now = GetCurrentTimestamp();

	if (run->vacuumed == 0)
		run->vacuumed = now;
	if (run->since_vacuum < Max(run->walk.leaf->rows * VACUUM_SHARE, VACUUM_ROWS) ||
		(!at_end && !TimestampDifferenceExceeds(run->vacuumed, now, VACUUM_TIME)) || !vacuum_helps(run))
		return;
	step->vacuum = run->walk.leaf->relid;
	run->since_vacuum = 0;
	run->vacuumed = now;
}

/* Is nobody left who may see what the last batch has deleted? */
static bool
vacuum_helps(const RetentionRun *run)
{
	Relation	rel = try_relation_open(run->walk.leaf->relid, AccessShareLock);
	bool		helps;

	if (rel == NULL)
		return false;
	helps = !TransactionIdIsValid(run->last_xid) ||
		TransactionIdPrecedes(run->last_xid, GetOldestNonRemovableTransactionId(rel));
	relation_close(rel, NoLock);
	return helps;
}
