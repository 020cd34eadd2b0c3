/*
 * helper.c
 *		A process that helps the one that has claimed a job, in a phase that
 *		several share.
 *
 * It is a runner whose slot says whom it helps. It does the job's steps on
 * parts of its own and never writes the job's row or cursor. It leaves when no
 * part is left to be taken, when that process tells it to or ends, when a job
 * waits for a process, and when what is asked of its own job says so. What it fails with it leaves with its
 * part, for that process to fail with.
 */
#include "maintain/maintain.h"

#include "access/xact.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/memutils.h"
#include "utils/ps_status.h"

#define TELL_TIMEOUT	"5s"	/* of a lock that another process has on a part */

static StoredJob *load(const RunnerSlot *slot);
static void tell_failure(StoredJob *job, const RunnerSlot *slot, MemoryContext context);

/* Help with the job of a slot, and leave what fails for the process that is helped. */
void
dbops_helper_run(int index, MemoryContext context)
{
	const RunnerSlot *slot = &dbops_engine->runners[index];
	StoredJob  *job = load(slot);

	if (job == NULL)
		return;
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		dbops_job_help(job, index);
		CommitTransactionCommand();
	}
	PG_CATCH();
	{
		EmitErrorReport();
		tell_failure(job, slot, context);
	}
	PG_END_TRY();
	pgstat_report_stat(true);
	pgstat_report_activity(STATE_IDLE, NULL);
}

/* Load the job; NULL if there is nothing to help with any more. */
static StoredJob *
load(const RunnerSlot *slot)
{
	MemoryContext context = CurrentMemoryContext;
	StoredJob  *job;
	bool		allowed;

	StartTransactionCommand();
	MemoryContextSwitchTo(context);
	dbops_job_own_transaction();
	allowed = OidIsValid(get_extension_oid("dbops", true)) && dbops_identity_refusal() == NULL;
	job = allowed ? dbops_job_load(slot->job) : NULL;
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	if (job == NULL || strcmp(job->state, "running") != 0)
		return NULL;

	job->job.worker = slot->worker;
	pgstat_report_appname(psprintf("dbops job " INT64_FORMAT " worker %d", slot->job, slot->worker + 1));
	set_ps_display(psprintf("job " INT64_FORMAT " worker %d", slot->job, slot->worker + 1));
	return job;
}

/* Unless it was interrupted together with the process that it helps. */
static void
tell_failure(StoredJob *job, const RunnerSlot *slot, MemoryContext context)
{
	ErrorData  *error = dbops_job_take_error(-1, context);
	bool		told;

	if (slot->stop || slot->cancel)
		return;
	dbops_job_explain_cancel(job, error);
	StartTransactionCommand();
	MemoryContextSwitchTo(context);
	dbops_job_own_transaction();
	dbops_set_local("lock_timeout", TELL_TIMEOUT);
	told = dbops_job_part_fail(job->job.id, slot->worker, error);
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	if (!told)
		ereport(LOG,
				(errmsg("the phase of job " INT64_FORMAT " that failed here has ended", job->job.id)));
}

/*
 * Is it to go on, as far as the process that it helps says? gives_way: not
 * either if a job waits for a process. working: how many share the job now.
 */
bool
dbops_helper_is_wanted(int index, bool gives_way, int *working)
{
	bool		wanted;

	LWLockAcquire(dbops_engine_lock, LW_SHARED);
	wanted = !dbops_engine->runners[index].stop &&
		!(gives_way && dbops_runner_count() >= dbops_max_workers && dbops_helpers_give_way());
	*working = 1 + dbops_helpers_count(dbops_engine->runners[index].leader, NULL);
	LWLockRelease(dbops_engine_lock);
	return wanted;
}

/* Give the slot back. done: it ended by itself; else who is helped counts its death. */
void
dbops_helper_leave(int index, bool done)
{
	RunnerSlot *slot = &dbops_engine->runners[index];

	LWLockAcquire(dbops_engine_lock, LW_EXCLUSIVE);
	if (!done && !slot->stop)
		dbops_engine->runners[slot->leader].deaths++;
	LWLockRelease(dbops_engine_lock);
	dbops_runner_release(index);
}
