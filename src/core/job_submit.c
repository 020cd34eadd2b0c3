/*
 * job_submit.c
 *		Put a job in the queue.
 *
 * A job is a row; whoever works on jobs is told at COMMIT that there is one.
 */
#include "core/job.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"

static DbopsCallback submitted = NULL;
static void (*run_here) (int64 id) = NULL;
static void (*have_done) (int64 id, const Jsonb *terms, long patience) = NULL;
static bool (*end_idle) (int64 id) = NULL;

static void tell_who_runs_it(int64 id);

/* Have a function called when a transaction that submitted jobs has committed. */
void
dbops_job_submitted_hook(DbopsCallback hook)
{
	submitted = hook;
}

/* Are there processes that run jobs? Not unless dbops is preloaded. */
bool
dbops_job_workers_exist(void)
{
	return submitted != NULL;
}

/* Have a function run the jobs that a call in the foreground is done by. */
void
dbops_job_run_here_hook(void (*hook) (int64 id))
{
	run_here = hook;
}

/* Have a function do so that waits for those that run elsewhere. */
void
dbops_job_have_done_hook(void (*hook) (int64 id, const Jsonb *terms, long patience))
{
	have_done = hook;
}

/*
 * Have a job done that may be in work elsewhere already, as the work of a call,
 * which then waits for it, unless it does not get on for patience ms. Otherwise
 * it goes on with terms, those members of its spec that are the call's. Needs an
 * open procedure, and ends it.
 */
void
dbops_job_have_done(int64 id, const Jsonb *terms, long patience)
{
	have_done(id, terms, patience);
}

/*
 * Run a job of this transaction in this session, as the work of a call. Needs
 * an open procedure, and ends it. If the call is interrupted or fails the job
 * does not go on by itself: it is cancelled or has failed, or is paused if it
 * must not be begun anew.
 */
void
dbops_job_run_here(int64 id)
{
	run_here(id);
}

/* Have a function end jobs that make room for others. */
void
dbops_job_end_idle_hook(bool (*hook) (int64 id))
{
	end_idle = hook;
}

/*
 * End a job that no process works on, for one of the caller's that does more of
 * the same; false: a process does.
 */
bool
dbops_job_end_idle(int64 id)
{
	return end_idle(id);
}

/* Submit a job; returns its id, or that of the live job with the same dedupe key. */
int64
dbops_job_submit(const DbopsJobRequest *request)
{
	TimestampTz now = dbops_clock_now();
	DbopsParam	params[] = {
		dbops_param_text(request->kind),
		dbops_param_text(request->name),
		dbops_param_text(request->schedule),
		dbops_param_oid(request->owner),
		dbops_param_oid(GetUserId()),
		dbops_param_text(request->command),
		dbops_param_jsonb(request->spec),
		dbops_param_text(request->path),
		dbops_param_int4(request->class),
		dbops_param_bool(request->atomic),
		dbops_param_bool(request->idempotent),
		dbops_param_int4(request->priority),
		dbops_param_time(request->run_after != 0 ? request->run_after : now),
		dbops_param_text(request->time_window),
		dbops_param_text(request->time_zone),
		dbops_param_int8(request->timeout),
		dbops_param_int8(request->lock_timeout),
		dbops_param_int4(request->max_attempts),
		dbops_param_int8(request->backoff),
		dbops_param_text(request->dedupe_key),
		dbops_param_time(now)
	};
	Datum		id;

	if (submitted != NULL)
		dbops_at_commit(submitted, NULL);
	while (!dbops_store_value("INSERT INTO dbops.job (kind, name, schedule, owner, submitter, command, spec, path, class, atomic,"
							  " idempotent, priority, run_after, time_window, time_zone, timeout, lock_timeout, max_attempts,"
							  " backoff, dedupe_key, submitted_at)"
							  " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)"
							  " ON CONFLICT (owner, dedupe_key) WHERE finished_at IS NULL AND dedupe_key IS NOT NULL DO NOTHING"
							  " RETURNING id",
							  lengthof(params), params, INT8OID, &id))
	{
		/* Nobody may have ended it since. */
		if (dbops_store_value("SELECT id FROM dbops.job WHERE owner = $1 AND dedupe_key = $2 AND finished_at IS NULL",
							  2, (DbopsParam[]) {params[3], params[19]}, INT8OID, &id))
			break;
		CHECK_FOR_INTERRUPTS();
	}
	if (!dbops_job_workers_exist() && !request->here)
		tell_who_runs_it(DatumGetInt64(id));
	return DatumGetInt64(id);
}

/* Tell that a job will not begin by itself. */
static void
tell_who_runs_it(int64 id)
{
	ereport(NOTICE,
			(errmsg("job " INT64_FORMAT " will not begin by itself, because dbops is not preloaded", id),
			 errhint("Run it with CALL dbops.run_job(" INT64_FORMAT "), or add dbops to shared_preload_libraries and restart the server.", id)));
}
