/*
 * job_work.c
 *		Do the steps of a job, whoever keeps it.
 *
 * Each step is one transaction: lock the cursor, do the work, write the
 * cursor, commit. A crash loses at most the step in flight. A step need not
 * wait for the disk, since a lost one is done again together with its cursor;
 * the commits that end a phase do wait.
 *
 * A step may ask for a table to be vacuumed after it. VACUUM has transactions
 * of its own and refuses to stand inside one, so it comes when the step is
 * committed; if it is cut off, it is not done again. The same holds for a
 * callback that a step asks for; whether that was cut off, its next step finds
 * out.
 */
#include "core/job.h"

#include "access/xact.h"
#include "core/batch.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

/*
 * ms of vacuum_cost_delay beside others who wait to commit, as autovacuum has it:
 * the slowest of a hundred commits then takes hardly longer than alone, and four
 * times as long beside a vacuum at full speed (measured).
 */
#define VACUUM_DELAY "2"

static bool do_step(const DbopsJobKind *kind, DbopsJob *job,
					const DbopsJobKeeper *keeper, void *state);
static void begin_step(const DbopsPhase *phase, const DbopsJob *job);
static void vacuum_after(DbopsJob *job, const DbopsStep *step);
static void call_outside(DbopsJob *job, const DbopsStep *step);
static void move_on(const DbopsJobKind *kind, DbopsJob *job, const DbopsStep *step);
static void keep(Jsonb **document, Jsonb *before);

/*
 * Work on a job until it is done or its keeper says to leave it; true when it
 * is done. Needs an open procedure. Without a keeper the job is not stored.
 * The result is set when the job is done and its kind has one.
 */
bool
dbops_job_work(const DbopsJobKind *kind, DbopsJob *job,
			   const DbopsJobKeeper *keeper, Jsonb **result)
{
	MemoryContext lasting = CurrentMemoryContext;
	MemoryContext passing = AllocSetContextCreate(lasting, "dbops step", ALLOCSET_DEFAULT_SIZES);
	void	   *state = kind->open(job);
	bool		stays = true;

	job->keeper = keeper;
	dbops_job_gates_begin();
	while (stays && job->phase < kind->n_phases)
	{
		Jsonb	   *position = job->position;
		Jsonb	   *settings = job->settings;

		MemoryContextSwitchTo(passing);
		stays = do_step(kind, job, keeper, state);
		MemoryContextSwitchTo(lasting);
		keep(&job->position, position);
		keep(&job->settings, settings);
		MemoryContextReset(passing);
	}

	if (stays && kind->result != NULL)
		*result = kind->result(job, state);
	return stays;
}

/*
 * For a step that cannot be divided and takes long: say how far it is, and
 * what it waits for or NULL. False if it is to be given up: it then returns
 * without having changed anything, to be done again.
 */
bool
dbops_job_goes_on(DbopsJob *job, int64 done, int64 total, const char *waiting)
{
	return job->keeper == NULL ||
		job->keeper->during(job, done, total, waiting, job->keeper->arg);
}

/*
 * Do one step and what comes after it, in memory that passes with it; false if
 * the keeper leaves the job. A call without a keeper sees to it itself that
 * what it has done becomes durable.
 */
static bool
do_step(const DbopsJobKind *kind, DbopsJob *job, const DbopsJobKeeper *keeper, void *state)
{
	const DbopsPhase *phase = &kind->phases[job->phase];
	const char *durable = GetConfigOption("synchronous_commit", false, false);
	DbopsStep	step = {0};

	if (keeper == NULL)
		dbops_job_await_gates();
	begin_step(phase, job);
	if (keeper != NULL)
		keeper->begin(job, keeper->arg);
	if (keeper != NULL && phase->share != NULL)
		dbops_job_part_step(kind, job, state, &step);
	else
		phase->step(job, state, &step);
	move_on(kind, job, &step);
	if (keeper != NULL)
		keeper->save(job, &step, keeper->arg);
	if (step.finished && keeper != NULL)
		dbops_set_local("synchronous_commit", strcmp(durable, "off") == 0 ? "local" : durable);
	dbops_procedure_commit();
	if (OidIsValid(step.vacuum))
		vacuum_after(job, &step);
	if (step.outside != NULL)
		call_outside(job, &step);

	if (keeper != NULL)
		return keeper->between(job, &step, keeper->arg);
	dbops_clock_pause(step.pause);
	return true;
}

/* Set what holds for the transaction of a step. */
static void
begin_step(const DbopsPhase *phase, const DbopsJob *job)
{
	XactIsoLevel = XACT_READ_COMMITTED;
	dbops_set_local("synchronous_commit", "off");
	if (!phase->timed && !job->foreground)
		dbops_set_local("statement_timeout", "0");
	dbops_clock_restart_timeouts();
}

/*
 * Vacuum the table that the step asks for, unless the job is to be left. Where
 * the session has no delay, one is set as long as others wait to commit; who
 * runs a stored job puts it back after an error.
 */
static void
vacuum_after(DbopsJob *job, const DbopsStep *step)
{
	char	   *table = get_rel_name(step->vacuum);
	bool		yields = job->keeper != NULL && dbops_backfill_yield && VacuumCostDelay == 0 && dbops_polite_commits_wait();

	if (table == NULL ||
		!dbops_job_goes_on(job, step->done, step->total, psprintf("vacuum of table %s", quote_identifier(table))))
		return;
	if (yields)
		dbops_job_setting_put("vacuum_cost_delay", VACUUM_DELAY);
	dbops_vacuum(step->vacuum);
	if (yields)
		dbops_job_setting_put("vacuum_cost_delay", "0");
}

/* Call back as the step asks for, unless the job is to be left. */
static void
call_outside(DbopsJob *job, const DbopsStep *step)
{
	if (!dbops_job_goes_on(job, step->done, step->total, step->outside_what))
		return;
	dbops_clock_restart_timeouts();
	dbops_procedure_outside(step->outside, step->outside_arg);
}

/* Move the job's cursor as the step says. */
static void
move_on(const DbopsJobKind *kind, DbopsJob *job, const DbopsStep *step)
{
	if (step->finished)
	{
		job->phase = (step->goto_phase > 0) ? step->goto_phase : job->phase + 1;
		job->position = NULL;
	}
	if (step->position != NULL)
		job->position = step->position;
}

/* Keep what a step has changed in the job beyond its memory. */
static void
keep(Jsonb **document, Jsonb *before)
{
	if (*document == before)
		return;
	if (*document != NULL)
	{
		Jsonb	   *copy = palloc(VARSIZE(*document));

		memcpy(copy, *document, VARSIZE(*document));
		*document = copy;
	}
	if (before != NULL)
		pfree(before);
}
