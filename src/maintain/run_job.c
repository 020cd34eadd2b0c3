/*
 * run_job.c
 *		CALL run_job() and CALL wait_job(): jobs in the foreground.
 *
 * run_job runs a job here and now, by the same code as a runner and without
 * needing one. wait_job waits for a job that runs elsewhere. It is a procedure,
 * because it must commit first and hold no snapshot while it waits: a
 * concurrent index build waits for every older snapshot in its database.
 */
#include "maintain/maintain.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(dbops_run_job);
PG_FUNCTION_INFO_V1(dbops_wait_job);

#define FIRST_NAP	10L			/* ms between two looks at a job that nobody leaves; doubles */
#define LONGEST_NAP	500L
#define DEEPEST		2			/* jobs that one session runs: a job's SQL may CALL what is another job */

static int	slots[DEEPEST];
static int	depth = 0;

static char *closed_gate(void);
static void run_attended(int64 id);
static void run_or_wait(int64 id, const Jsonb *terms, long patience);
static void require_done(int64 id);
static void wait_attended(int64 id, long patience);
static char *last_message(int64 id);
static char *await_end(int64 id, TimestampTz until, JobProgress *progress);
static bool take_on(int64 id, const Jsonb *terms, long patience);
static void take_terms(int64 id, const Jsonb *terms);
static void end_procedure(void);
static bool run_here(int64 id, bool attended);
static StoredJob *claim_and_run(int64 id, bool attended);
static StoredJob *claim(int64 id, bool attended);
static void refuse_state(int64 id, bool attended);
static void refuse_ending(const StoredJob *job);
static void require_same_role(const StoredJob *job);
static void release_slot(void);
static void abandon_slot(int code, Datum arg);
static void run(StoredJob *job, MemoryContext context);
static char *look_at_state(int64 id);
static Datum state_row(FunctionCallInfo fcinfo, const char *state);

/* Serve calls of other areas: what is done by a job, and what waits at the gates. */
void
dbops_run_job_init(void)
{
	dbops_job_run_here_hook(run_attended);
	dbops_job_have_done_hook(run_or_wait);
	dbops_job_end_idle_hook(dbops_job_end_unclaimed);
	dbops_job_gate_hook(closed_gate);
}

/* All that a call in the foreground does in steps leaves many dead rows. */
static char *
closed_gate(void)
{
	return dbops_gate_closed(true);
}

/* Only for who has just made the job, or found it at rest. */
static void
run_attended(int64 id)
{
	if (!run_here(id, true))
		refuse_state(id, false);
}

/* One whose process is dead is not in work. */
static void
run_or_wait(int64 id, const Jsonb *terms, long patience)
{
	(void) dbops_job_reap_lost();
	while (!take_on(id, terms, patience))
		;
}

/* False: another process has taken it meanwhile, or done it. */
static bool
take_on(int64 id, const Jsonb *terms, long patience)
{
	const char *state = look_at_state(id);

	if (strcmp(state, "running") == 0)
	{
		wait_attended(id, patience);
		return true;
	}
	if (strcmp(state, "succeeded") == 0)
	{
		end_procedure();
		return true;
	}
	take_terms(id, terms);
	if (!run_here(id, true))
		return false;
	require_done(id);
	return true;
}

/* Unless a process has begun to work on it meanwhile. */
static void
take_terms(int64 id, const Jsonb *terms)
{
	DbopsParam	params[] = {dbops_param_int8(id), dbops_param_jsonb(terms)};

	dbops_store_each("UPDATE dbops.job SET spec = spec || $2 WHERE id = $1 AND state IN ('queued', 'paused', 'blocked') AND NOT spec @> $2",
					 lengthof(params), params, NULL, NULL);
}

/* Somebody may have had it leave off; what was asked for is not there then. */
static void
require_done(int64 id)
{
	if (strcmp(look_at_state(id), "succeeded") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job " INT64_FORMAT ", which does this, is %s", id, look_at_state(id)),
				 errhint("SELECT dbops.resume_job(" INT64_FORMAT "); has it go on in the background; the same call does so here.", id)));
}

/* Wait for a job that runs elsewhere; that it fails is an error of the call. Ends the procedure. */
static void
wait_attended(int64 id, long patience)
{
	JobProgress progress = {.id = id,.patience = patience,.moved_at = GetCurrentTimestamp()};
	char	   *state;

	ereport(NOTICE,
			(errmsg("job " INT64_FORMAT " is at work on this already; waiting for it", id)));
	state = await_end(id, DT_NOEND, &progress);
	if (strcmp(state, "succeeded") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job " INT64_FORMAT ", which had been at work on this already, is %s", id, state),
				 errdetail_internal("%s", last_message(id)),
				 errhint("See to that, and make the same call again.")));
	end_procedure();
}

/* In the memory that one is in. */
static void
end_procedure(void)
{
	MemoryContext context = CurrentMemoryContext;

	dbops_procedure_end();
	MemoryContextSwitchTo(context);
}

static char *
last_message(int64 id)
{
	DbopsParam	param = dbops_param_int8(id);
	char	   *message = dbops_store_text("SELECT message FROM dbops.job WHERE id = $1", 1, &param);

	return (message != NULL) ? message : "It has left no message.";
}

/* run_job(job_id bigint) */
Datum
dbops_run_job(PG_FUNCTION_ARGS)
{
	dbops_require_argument(fcinfo, 0, "job_id");
	dbops_procedure_begin(fcinfo, "run_job");
	(void) run_here(PG_GETARG_INT64(0), false);
	PG_RETURN_VOID();
}

/*
 * Claim a job, leave the procedure that is open and run the job. attended: it
 * is the work of the call and ends with it; false if another process has it, or
 * has done it.
 */
static bool
run_here(int64 id, bool attended)
{
	StoredJob  *volatile job = NULL;

	if (depth == DEEPEST)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot run job " INT64_FORMAT " in a job that runs in another one", id),
				 errhint("CALL it in a session of its own.")));
	slots[depth++] = -1;
	PG_TRY();
	{
		job = claim_and_run(id, attended);
	}
	PG_CATCH();
	{
		release_slot();
		PG_RE_THROW();
	}
	PG_END_TRY();
	release_slot();
	if (job != NULL && job->error != NULL)
		ReThrowError(job->error);
	return job != NULL;
}

static StoredJob *
claim_and_run(int64 id, bool attended)
{
	MemoryContext context = PortalContext;	/* lasts across transactions */
	StoredJob  *job;

	MemoryContextSwitchTo(context);
	job = claim(id, attended);
	if (job == NULL)
		return NULL;
	job->attended = attended;
	dbops_procedure_commit();
	dbops_procedure_end();
	run(job, context);
	return job;
}

/*
 * Claim a job for this session, whose role must be the job's. Where nothing
 * runs in the background, it falls to us to notice that who had it is dead.
 * attended: NULL if it is in work by now, or done, which serves as well.
 */
static StoredJob *
claim(int64 id, bool attended)
{
	static bool registered = false;
	StoredJob  *job = dbops_job_require(id);

	require_same_role(job);
	refuse_ending(job);
	if (!registered)
		before_shmem_exit(abandon_slot, (Datum) 0);
	registered = true;
	job->job.foreground = true;
	dbops_helpers_await(id);
	(void) dbops_job_reap_lost();
	slots[depth - 1] = dbops_runner_reserve(id, job->class, true);
	if (dbops_job_claim(job))
		return job;
	refuse_state(id, attended);
	return NULL;
}

/* Return only if it serves whoever attends that somebody else is at it, or was. */
static void
refuse_state(int64 id, bool attended)
{
	const char *state = dbops_job_load(id)->state;

	if (attended && (strcmp(state, "running") == 0 || strcmp(state, "succeeded") == 0))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("cannot run job " INT64_FORMAT ", which is %s", id, state),
			 errhint("Only a job that is queued, paused or blocked can be run; wait_job waits for one that runs.")));
}

/* What is to be ended is not run again. */
static void
refuse_ending(const StoredJob *job)
{
	if (job->ending != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("cannot run job " INT64_FORMAT ", which is about to end as %s", job->job.id,
						dbops_jsonb_text(job->ending, "state")),
				 errhint("It ends by itself when others have left its table, or at once by cancel_job(" INT64_FORMAT ").", job->job.id)));
}

/*
 * A user's SQL runs as the job's role. A session that has only taken the role on
 * would let the SQL take it off, and be more than its role may be.
 */
static void
require_same_role(const StoredJob *job)
{
	if (dbops_job_runs_as_owner(job) &&
		(job->job.owner != GetUserId() || job->job.owner != GetAuthenticatedUserId()))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("job " INT64_FORMAT " runs as role \"%s\"", job->job.id,
						dbops_job_owner_name(job)),
				 errhint("Connect as that role and CALL again, or leave it to the background.")));
}

/* Give the slot back, however the call ends. */
static void
release_slot(void)
{
	dbops_runner_release(slots[--depth]);
}

/* The session ends in the middle of its jobs; its transaction is not aborted yet. */
static void
abandon_slot(int code, Datum arg)
{
	while (depth > 0)
	{
		int			slot = slots[--depth];

		if (slot < 0)
			continue;
		dbops_engine->runners[slot].committed = dbops_job_has_committed();
		dbops_runner_abandon(slot);
	}
}

/* Run and commit it; an error, of the commit too, is recorded before it is the caller's. */
static void
run(StoredJob *job, MemoryContext context)
{
	PG_TRY();
	{
		dbops_job_run(job, slots[depth - 1]);
		dbops_job_commit();
		StartTransactionCommand();
	}
	PG_CATCH();
	{
		dbops_job_run_failed(job, slots[depth - 1], context);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
}

/* wait_job(job_id bigint, timeout interval, INOUT state text) */
Datum
dbops_wait_job(PG_FUNCTION_ARGS)
{
	MemoryContext context = CurrentMemoryContext;
	TimestampTz end = DT_NOEND;
	int64		id;
	char	   *state;

	dbops_require_argument(fcinfo, 0, "job_id");
	id = PG_GETARG_INT64(0);
	if (!PG_ARGISNULL(1))
		end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
										  dbops_timeout_argument(fcinfo, 1, "timeout"));
	dbops_procedure_begin(fcinfo, "wait_job");
	state = await_end(id, end, NULL);
	dbops_procedure_end();
	MemoryContextSwitchTo(context);
	return state_row(fcinfo, state);
}

/*
 * Wait until nobody works on a job any more; the state that it is in then. It is
 * an error if that is not so in time, or, if progress is given, if it does not get on.
 */
static char *
await_end(int64 id, TimestampTz until, JobProgress *progress)
{
	MemoryContext look = AllocSetContextCreate(CurrentMemoryContext, "dbops wait", ALLOCSET_SMALL_SIZES);
	long		nap = FIRST_NAP;
	char	   *state;
	bool		live;

	for (;;)
	{
		MemoryContextReset(look);
		MemoryContextSwitchTo(look);
		state = look_at_state(id);
		live = (strcmp(state, "queued") == 0 || strcmp(state, "running") == 0);
		if (live && progress != NULL)
			dbops_job_require_progress(progress);
		dbops_procedure_commit();
		if (!live)
			break;
		if (GetCurrentTimestamp() >= until)
			ereport(ERROR,
					(errcode(ERRCODE_QUERY_CANCELED),
					 errmsg("job " INT64_FORMAT " is still %s", id, state),
					 errhint("It goes on; see dbops.job_status(" INT64_FORMAT "), or CALL wait_job again.", id)));
		dbops_engine_await_leaver(nap);
		nap = Min(nap * 2, LONGEST_NAP);
	}
	dbops_engine_await_end();
	return state;
}

static char *
look_at_state(int64 id)
{
	StoredJob  *job = dbops_job_load(id);

	if (job == NULL)
		dbops_job_refuse_unknown(id);
	return unconstify(char *, job->state);
}

/* The row that a procedure with one INOUT argument returns. */
static Datum
state_row(FunctionCallInfo fcinfo, const char *state)
{
	TupleDesc	desc;
	Datum		value = CStringGetTextDatum(state);
	bool		isnull = false;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), &value, &isnull));
}
