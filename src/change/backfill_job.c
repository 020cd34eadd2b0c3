/*
 * backfill_job.c
 *		A backfill as a job of steps: prepare what has to be in place, walk, then
 *		count what is left and sweep that, in turn, until nothing is left or
 *		sweeping does not help; and clear up.
 *
 *		prepare -> walk -> verify -> finish
 *		                   verify -> sweep -> verify | finish
 *		prepare -> keys -> finish
 *
 * The order of a key takes one walk of its own, keys, and nothing is counted.
 *
 * Where there is nothing to prepare, or to clear up, those phases are left out.
 * Walk and sweep can be shared by several processes (backfill_share.c): their
 * steps are then those of a part.
 *
 * The same steps serve the job, which a process can take over from another one
 * at any step, and the call in the foreground, which understands its change
 * itself and keeps no position.
 */
#include "change/change.h"

#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"

enum
{
	PHASE_PREPARE,
	PHASE_WALK,
	PHASE_VERIFY,
	PHASE_SWEEP,
	PHASE_KEYS,
	PHASE_FINISH,
	PHASES
};

/* Notes about rows that a step may delete. */
#define FORGOTTEN_ROWS 10000

typedef void (*StepCallback) (DbopsJob *job, BackfillRun *run, DbopsStep *step);

static void *open_job(DbopsJob *job);
static Jsonb *result(DbopsJob *job, void *state);
static char *message(const BackfillRun *run, const char *reason);
static bool is_to_prepare(const BackfillRun *run);
static int	last_phase(const BackfillRun *run);
static const char *abandon(const DbopsJob *job, long patience);
static const char *keeps(const DbopsJob *job);
static void prepare_step(DbopsJob *job, void *state, DbopsStep *step);
static void walk_step(DbopsJob *job, void *state, DbopsStep *step);
static void verify_step(DbopsJob *job, void *state, DbopsStep *step);
static void sweep_step(DbopsJob *job, void *state, DbopsStep *step);
static void keys_step(DbopsJob *job, void *state, DbopsStep *step);
static void finish_step(DbopsJob *job, void *state, DbopsStep *step);
static void do_step(DbopsJob *job, BackfillRun *run, DbopsStep *step, StepCallback work);
static void prepare(DbopsJob *job, BackfillRun *run, DbopsStep *step);
static bool put_guard(DbopsJob *job, BackfillRun *run, DbopsStep *step);
static void require_table(const BackfillRun *run);
static void walk(DbopsJob *job, BackfillRun *run, DbopsStep *step);
static bool have_all_tables(BackfillRun *run, DbopsStep *step);
static void verify(DbopsJob *job, BackfillRun *run, DbopsStep *step);
static void sweep(DbopsJob *job, BackfillRun *run, DbopsStep *step);
static void walk_keys(DbopsJob *job, BackfillRun *run, DbopsStep *step);
static List *share(DbopsJob *job, void *state, DbopsStep *step);
static void gather(DbopsJob *job, void *state, Jsonb *position);
static void report(DbopsJob *job, void *state);
static void walk_part(DbopsJob *job, BackfillRun *run, DbopsStep *step);
static void note_others(const DbopsJob *job, BackfillProgress *progress, uint64 before);
static void look_up(DbopsJob *job, BackfillRun *run);
static void end(DbopsJob *job, BackfillRun *run, DbopsStep *step);
static void clear_up(DbopsJob *job, BackfillRun *run, DbopsStep *step);
static void note_gap(BackfillRun *run);
static void give_up(const BackfillRun *run);
static void step_is_done(DbopsStep *step, int next);

static const DbopsPhase phases[PHASES] = {
	[PHASE_PREPARE] = {"prepare", DBOPS_CLASS_BATCHES, true, false, prepare_step},
	[PHASE_WALK] = {"walk", DBOPS_CLASS_BATCHES, true, true, walk_step, share, gather},
	[PHASE_VERIFY] = {"verify", DBOPS_CLASS_SNAPSHOT, false, false, verify_step},
	[PHASE_SWEEP] = {"sweep", DBOPS_CLASS_BATCHES, true, false, sweep_step, share, gather},
	[PHASE_KEYS] = {"keys", DBOPS_CLASS_BATCHES, true, true, keys_step},
	[PHASE_FINISH] = {"finish", DBOPS_CLASS_PLAIN, true, false, finish_step}
};

const DbopsJobKind dbops_backfill_kind = {
	.name = "backfill",
	.unit = "blocks",
	.phases = phases,
	.n_phases = PHASES,
	.open = open_job,
	.result = result,
	.abandon = abandon,
	.keeps = keeps,
	.remains = dbops_backfill_remains,
	.report = report,
	.check_settings = dbops_backfill_check_settings
};

void
dbops_backfill_job_init(void)
{
	dbops_job_kind_register(&dbops_backfill_kind);
}

/* Take the run of the call, or make one of what the job keeps. */
static void *
open_job(DbopsJob *job)
{
	BackfillRun *run = job->call;

	if (run == NULL)
	{
		run = palloc0(sizeof(BackfillRun));
		dbops_backfill_read_spec(run, job->spec);
		run->request.login = GetUserId();
		run->progress.job = true;
		dbops_backfill_take_over(run, job->position);
	}
	run->job = job;
	run->memory = CurrentMemoryContext;
	if (job->phase == PHASE_PREPARE && !is_to_prepare(run))
		job->phase = PHASE_WALK;
	return run;
}

/* Has something to be in place before the walk? */
static bool
is_to_prepare(const BackfillRun *run)
{
	return run->request.sync || run->request.app_writes || run->request.method == BACKFILL_KEYSET;
}

/* The phase after the last walk or count: clear up, or nothing. */
static int
last_phase(const BackfillRun *run)
{
	return run->request.sync || run->request.method == BACKFILL_KEYSET ? PHASE_FINISH : PHASES;
}

/* What was done, and what is left and why. */
static Jsonb *
result(DbopsJob *job, void *state)
{
	BackfillRun *run = state;
	DbopsJson	json = {0};
	const char *hint;
	const char *reason = dbops_backfill_left_reason(run, &hint);

	if (job->foreground && job->id != 0)
		dbops_backfill_report(run);
	dbops_json_object(&json, NULL);
	dbops_json_integer(&json, "rows", run->progress.rows);
	dbops_json_integer(&json, "batches", run->progress.batches);
	if (run->request.method == BACKFILL_KEYSET)
	{
		dbops_json_text(&json, "method", dbops_backfill_method_name(BACKFILL_KEYSET));
		dbops_json_text(&json, "key", run->keys.key);
	}
	dbops_json_boolean(&json, "verified", run->request.verify);
	if (run->request.verify)
		dbops_json_integer(&json, "left", dbops_backfill_left(run) + run->unfilled);
	else
		dbops_json_null(&json, "left");
	if (run->request.quarantine)
		dbops_json_integer(&json, "quarantined", run->quarantined);
	dbops_json_text(&json, "reason", reason);
	dbops_backfill_put_proof(&json, run);
	dbops_json_text(&json, "meanwhile", dbops_backfill_meanwhile(run));
	if (reason != NULL || run->quarantined > 0)
		dbops_json_text(&json, "message", message(run, reason));
	return dbops_json_finish(&json);
}

/* What is left as it was, in a sentence. */
static char *
message(const BackfillRun *run, const char *reason)
{
	char	   *aside = "";

	if (run->quarantined > 0)
		aside = psprintf("%s; see dbops.backfill_errors(" INT64_FORMAT ")",
						 dbops_backfill_aside(run), run->job->id);
	if (reason == NULL)
		return aside;
	if (run->request.verify)
		reason = psprintf("%s left: %s", dbops_backfill_rows(dbops_backfill_left(run) + run->unfilled), reason);
	return psprintf("%s%s%s", aside, aside[0] != '\0' ? "; " : "", reason);
}

/* Remove the triggers of a job that ends without success, or say which stay. */
static const char *
abandon(const DbopsJob *job, long patience)
{
	const char *left = dbops_backfill_triggers_abandon(job->id, patience);

	while (left == NULL && dbops_backfill_visit_forget(job->id, FORGOTTEN_ROWS))
		CHECK_FOR_INTERRUPTS();
	return left;
}

static const char *
keeps(const DbopsJob *job)
{
	return dbops_backfill_triggers_kept(job->id);
}

static void
prepare_step(DbopsJob *job, void *state, DbopsStep *step)
{
	do_step(job, state, step, prepare);
}

static void
walk_step(DbopsJob *job, void *state, DbopsStep *step)
{
	do_step(job, state, step, walk);
}

static void
verify_step(DbopsJob *job, void *state, DbopsStep *step)
{
	do_step(job, state, step, verify);
}

static void
sweep_step(DbopsJob *job, void *state, DbopsStep *step)
{
	do_step(job, state, step, sweep);
}

static void
keys_step(DbopsJob *job, void *state, DbopsStep *step)
{
	do_step(job, state, step, walk_keys);
}

static void
finish_step(DbopsJob *job, void *state, DbopsStep *step)
{
	do_step(job, state, step, clear_up);
}

/* Do a step in the memory of the run, and report where it has come to. */
static void
do_step(DbopsJob *job, BackfillRun *run, DbopsStep *step, StepCallback work)
{
	MemoryContext passing;
	ErrorContextCallback context = {
		.previous = error_context_stack,
		.callback = dbops_backfill_progress_context,
		.arg = &run->progress
	};

	/* The call has a context of its own, which also covers what is between steps. */
	if (job->id != 0)
		error_context_stack = &context;
	dbops_backfill_tune(run, job->settings);	/* in memory that passes */
	passing = MemoryContextSwitchTo(run->memory);
	dbops_backfill_stop(run);
	if (job->share.part > 0)
		walk_part(job, run, step);
	else
		work(job, run, step);
	error_context_stack = (job->id != 0) ? context.previous : error_context_stack;

	MemoryContextSwitchTo(passing);
	step->done = Min(run->progress.blocks_done, run->progress.blocks);
	step->total = run->progress.blocks;
	step->rows = run->progress.rows;
	if (job->id != 0)
		step->position = dbops_backfill_position(run);
	if (job->share.part > 0 && step->finished)
		dbops_backfill_part_leave(run);
}

/* Put in place what has to be there before the walk. */
static void
prepare(DbopsJob *job, BackfillRun *run, DbopsStep *step)
{
	require_table(run);
	if (run->request.sync && !dbops_backfill_sync_step(run, step))
		return;
	if (run->request.app_writes && !dbops_backfill_barrier_step(run, step))
		return;
	dbops_backfill_note_point(&run->covered_since, run->request.sync);
	run->leaves = NIL;			/* to be looked up, with the blocks of now */
	if (run->request.method != BACKFILL_KEYSET)
		step_is_done(step, PHASE_WALK);
	else if (put_guard(job, run, step))
		step_is_done(step, PHASE_KEYS);
}

/* Put the guard trigger up and take the bounds; false if that is to be tried again. */
static bool
put_guard(DbopsJob *job, BackfillRun *run, DbopsStep *step)
{
	run->leaves = dbops_backfill_look_up(&run->request);
	if (dbops_backfill_guard_put(run))
		return true;
	dbops_backfill_await_table(run, step, run->request.relid);
	return false;
}

/* Visit each row once, in the order of a key. */
static void
walk_keys(DbopsJob *job, BackfillRun *run, DbopsStep *step)
{
	require_table(run);
	if (!run->looked_up)
	{
		run->leaves = dbops_backfill_look_up(&run->request);
		dbops_backfill_progress_pass(&run->progress, dbops_backfill_blocks(run->leaves), false);
		run->progress.blocks_done = dbops_jsonb_integer(job->position, "done");
		run->looked_up = true;
	}
	if (!dbops_backfill_keyset_step(run, step))
		return;
	dbops_backfill_settle(run, run->pass);
	step_is_done(step, last_phase(run));
}

/* ---- phases that are shared ---- */

/* Cut the walk into parts, if several processes are to share it. */
static List *
share(DbopsJob *job, void *state, DbopsStep *step)
{
	BackfillRun *run = state;
	MemoryContext passing = CurrentMemoryContext;
	List	   *parts;

	dbops_backfill_tune(run, job->settings);
	job->share.wanted = run->request.workers;
	if (run->request.workers <= 1 || get_rel_persistence(run->request.relid) == RELPERSISTENCE_TEMP)
		return NIL;

	MemoryContextSwitchTo(run->memory);
	if (!run->looked_up)
		look_up(job, run);
	MemoryContextSwitchTo(passing);
	parts = dbops_backfill_cut(run);
	if (parts == NIL)
		return NIL;
	step->done = ((DbopsPart *) linitial(parts))->done;
	step->total = run->progress.blocks;
	step->rows = run->progress.rows;
	step->position = dbops_backfill_position(run);
	return parts;
}

/* Take over what a part has come to. */
static void
gather(DbopsJob *job, void *state, Jsonb *position)
{
	BackfillRun *run = state;
	MemoryContext passing = MemoryContextSwitchTo(run->memory);

	if (!run->looked_up)
	{
		run->leaves = dbops_backfill_look_up(&run->request);
		run->looked_up = true;
	}
	dbops_backfill_part_gather(run, position);
	MemoryContextSwitchTo(passing);
}

/* Say how far it is, while others walk the last parts. */
static void
report(DbopsJob *job, void *state)
{
	BackfillRun *run = state;

	if (!job->foreground)
		return;
	note_others(job, &run->progress, 0);
	run->progress.in_part = true;
	dbops_backfill_progress_report(&run->progress);
	run->progress.in_part = false;
}

/* Walk the part that this process has taken. */
static void
walk_part(DbopsJob *job, BackfillRun *run, DbopsStep *step)
{
	job->share.wanted = run->request.workers;
	if (job->share.position != NULL)
		dbops_backfill_part_enter(run, job->share.position);
	note_others(job, &run->progress, run->aside.rows);
	run->walk.pace.workers = job->share.working;
	step->finished = dbops_backfill_walk_step(run, step);
}

/* Note what the other parts have come to, as far as it is known, beside rows that were changed before them. */
static void
note_others(const DbopsJob *job, BackfillProgress *progress, uint64 before)
{
	progress->other_blocks = job->share.total;
	progress->other_blocks_done = job->share.done;
	progress->other_rows = job->share.rows + before;
	progress->workers = job->share.working;
}

/* ---- the phases ---- */

/* A table that is gone has no rows left, but that is not what was asked for. */
static void
require_table(const BackfillRun *run)
{
	if (get_rel_relkind(run->request.relid) == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table %s has been dropped during the backfill", run->progress.table)));
}

/* Walk all tables once, with those that come meanwhile. */
static void
walk(DbopsJob *job, BackfillRun *run, DbopsStep *step)
{
	require_table(run);
	if (!run->looked_up)
		look_up(job, run);
	if (!run->walked)
	{
		run->walked = dbops_backfill_walk_step(run, step);
		require_table(run);
		if (!run->walked || has_subclass(run->request.relid))
			return;
	}
	else if (!have_all_tables(run, step))
		return;
	dbops_backfill_settle(run, run->pass);
	run->last_pending = PG_INT64_MAX;	/* the first count is compared with none */
	step_is_done(step, run->request.verify ? PHASE_VERIFY : last_phase(run));
}

/*
 * Have all tables been walked that there are? If not, what has come will be; a
 * partition has its trigger, an inheritance child gets it first.
 */
static bool
have_all_tables(BackfillRun *run, DbopsStep *step)
{
	if (run->request.sync && !dbops_backfill_sync_step(run, step))
		return false;
	run->walked = !dbops_backfill_walk_new(run);
	return run->walked;
}

/* Count what is left. */
static void
verify(DbopsJob *job, BackfillRun *run, DbopsStep *step)
{
	if (run->give_up)
		give_up(run);
	run->looked_up = true;
	if (dbops_backfill_verify_step(run))
		step_is_done(step, PHASE_SWEEP);
	else if (!run->count_spoiled)
		end(job, run, step);
}

/* Walk again where rows were found. */
static void
sweep(DbopsJob *job, BackfillRun *run, DbopsStep *step)
{
	if (!run->looked_up)
		look_up(job, run);
	if (!dbops_backfill_walk_step(run, step))
		return;
	dbops_backfill_settle(run, run->pass);
	if (dbops_backfill_sweep_helped(run))
		step_is_done(step, PHASE_VERIFY);
	else
		end(job, run, step);
}

/*
 * End, unless rows are left that others lock: a job can come back to those
 * later by itself. It then ends this attempt with the next step, so that the
 * next attempt begins with a count of what is left.
 */
static void
end(DbopsJob *job, BackfillRun *run, DbopsStep *step)
{
	run->give_up = (job->id != 0 && run->rows_locked && dbops_backfill_left(run) > 0);
	if (!run->give_up)
	{
		step_is_done(step, last_phase(run));
		return;
	}
	run->stalled = 0;
	run->last_pending = PG_INT64_MAX;
	step_is_done(step, PHASE_VERIFY);
}

/* Take away what prepare has put in place. */
static void
clear_up(DbopsJob *job, BackfillRun *run, DbopsStep *step)
{
	note_gap(run);
	if (dbops_backfill_triggers_clear(run, step) &&
		(run->request.method != BACKFILL_KEYSET || !dbops_backfill_visit_forget(job->id, FORGOTTEN_ROWS)))
		step_is_done(step, PHASES);
}

/* See whether the trigger stood until now, and what has come; once triggers are dropped that is known. */
static void
note_gap(BackfillRun *run)
{
	BackfillLeaf *leaf;

	if (run->clearing || !(run->request.sync || run->request.method == BACKFILL_KEYSET))
		return;
	if (run->leaves == NIL)
		run->leaves = dbops_backfill_look_up(&run->request);
	leaf = run->request.sync ? dbops_backfill_sync_gap(run) : NULL;
	if (leaf == NULL && run->request.method == BACKFILL_KEYSET)
		leaf = dbops_backfill_guard_gap(run);
	run->gap = (leaf == NULL) ? NULL : leaf->name;
	run->came = (run->request.method == BACKFILL_KEYSET) ? dbops_backfill_came(run) : NULL;
	run->clearing = true;
}

/* End an attempt that can do no more. */
static void
give_up(const BackfillRun *run)
{
	ereport(ERROR,
			(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
			 errmsg("%s left that other transactions lock: %s",
					dbops_backfill_rows(dbops_backfill_left(run)), run->obstacle),
			 errhint("%s", dbops_backfill_who(dbops_backfill_table_name(run->request.relid), "EXCLUSIVE"))));
}

/* Look the tables up in a process that takes over, and go on where the last one was. */
static void
look_up(DbopsJob *job, BackfillRun *run)
{
	bool		sweeping = (job->phase == PHASE_SWEEP);

	if (run->leaves == NIL)
		run->leaves = dbops_backfill_look_up(&run->request);
	if (!dbops_backfill_take_over_walk(run, job->position, sweeping) && !sweeping)
		dbops_backfill_walk_all(run);
	run->looked_up = true;
}

static void
step_is_done(DbopsStep *step, int next)
{
	step->finished = true;
	step->goto_phase = next;
}
