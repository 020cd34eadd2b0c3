/*
 * job_store.c
 *		A job's row, and the transitions of its state.
 *
 *		queued -> running -> succeeded | failed | cancelled
 *		running -> queued (to be repeated, or told to make room)
 *		running -> paused -> queued, queued -> paused
 *		queued | running -> blocked -> queued (a human has acted)
 *		running -> queued, to be ended: what it has left could not be removed
 *
 * Only the process that has claimed a job, or the scheduler when that process
 * is dead, ends a running one; the claim names the process by its id and start
 * time, and every update asks for it, so that nobody ends another's work. What
 * others ask of a job stands in rows of its own, read without a lock.
 */
#include "maintain/policy.h"

#include "catalog/pg_type.h"
#include "common/pg_prng.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/pmsignal.h"
#include "utils/builtins.h"

#define LONGEST_BACKOFF	3600000L	/* ms */
#define FIRST_CRASH_BACKOFF	60000L	/* ms, after the second crash */
#define MOST_CRASHES	3
#define ABANDON_PATIENCE 2000L	/* ms, of the process that ends its own job */
#define FIRST_END_AGAIN 1000L	/* ms until a job that could not be ended is again; doubles */
#define LONGEST_END_AGAIN 600000L
#define QUEUE_LENGTH	10000	/* jobs that one look considers */

/* What an error says about trying again. */
typedef enum ErrorClass
{
	ERROR_RETRY,				/* it may go away by itself */
	ERROR_BLOCK,				/* a human must act first */
	ERROR_FAIL					/* it will be the same every time */
} ErrorClass;

static void take_job(HeapTuple row, TupleDesc desc, void *arg);
static void take_queued(HeapTuple row, TupleDesc desc, void *arg);
static void take_requests(HeapTuple row, TupleDesc desc, void *arg);
static bool take_claim(StoredJob *job);
static void forget_pause(const StoredJob *job);
static bool end_claimed(const StoredJob *job, const char *state, TimestampTz run_after,
						int sqlstate, const char *message, Jsonb *result);
static void end_as_told(StoredJob *job);
static const char *pass(const StoredJob *job);
static void abandon(const StoredJob *job, const char *state, int sqlstate, const char *message);
static void end_later(const StoredJob *job, Jsonb *ending, const char *left);
static Jsonb *describe_end(const StoredJob *job, const char *state, int sqlstate, const char *message);
static TimestampTz end_again_at(int tries);
static ErrorClass classify_of(const StoredJob *job, int sqlstate);
static ErrorClass classify(int sqlstate);
static const char *what_to_do(const StoredJob *job, const ErrorData *error);
static void give_up(const StoredJob *job, const ErrorData *error, const char *why);
static void retry(StoredJob *job, const ErrorData *error);
static bool take_dead_slot(RunnerSlot *slot);
static void judge_slot(const RunnerSlot *slot);
static void judge_lost(HeapTuple row, TupleDesc desc, void *arg);
static void count_lost_start(int64 id);
static void judge_death(StoredJob *job, const RunnerSlot *slot);
static void judge_crash(StoredJob *job, int part);
static void count_crash(StoredJob *job, int part);

/* ---- reading ---- */

/* Load a job into the current memory; NULL if there is none. */
StoredJob *
dbops_job_load(int64 id)
{
	StoredJob  *job = palloc0(sizeof(StoredJob));
	DbopsParam	param = dbops_param_int8(id);

	if (dbops_store_each("SELECT j.id, j.kind, j.name, j.owner, j.path, j.spec, r.settings,"
						 " coalesce(c.phase, 0), c.position, j.state, j.command, j.atomic, j.idempotent, j.class,"
						 " j.time_window, j.time_zone, j.attempts, j.crashes, coalesce(r.max_attempts, j.max_attempts),"
						 " coalesce(r.timeout, j.timeout), coalesce(r.lock_timeout, j.lock_timeout), j.backoff, j.run_after, j.runner_pid, j.runner_start, coalesce(c.steps, 0), j.crash_steps, j.ending"
						 " FROM dbops.job j"
						 " LEFT JOIN dbops.job_cursor c ON c.job_id = j.id"
						 " LEFT JOIN dbops.job_request r ON r.job_id = j.id"
						 " WHERE j.id = $1",
						 1, &param, take_job, job) == 0)
		return NULL;
	return job;
}

static void
take_job(HeapTuple row, TupleDesc desc, void *arg)
{
	StoredJob  *job = arg;

	job->job.id = dbops_row_int8(row, desc, 1);
	job->job.kind = dbops_row_text(row, desc, 2);
	job->job.name = dbops_row_text(row, desc, 3);
	job->job.owner = dbops_row_oid(row, desc, 4);
	job->job.path = dbops_row_text(row, desc, 5);
	job->job.spec = dbops_row_jsonb(row, desc, 6);
	job->job.settings = dbops_row_jsonb(row, desc, 7);
	job->job.phase = dbops_row_int4(row, desc, 8);
	job->job.position = dbops_row_jsonb(row, desc, 9);
	job->state = dbops_row_text(row, desc, 10);
	job->command = dbops_row_text(row, desc, 11);
	job->atomic = dbops_row_bool(row, desc, 12);
	job->idempotent = dbops_row_bool(row, desc, 13);
	job->class = dbops_row_int4(row, desc, 14);
	job->time_window = dbops_row_text(row, desc, 15);
	job->time_zone = dbops_row_text(row, desc, 16);
	job->attempts = dbops_row_int4(row, desc, 17);
	job->crashes = dbops_row_int4(row, desc, 18);
	job->max_attempts = dbops_row_int4(row, desc, 19);
	job->timeout = dbops_row_int8(row, desc, 20);
	job->lock_timeout = dbops_row_int8(row, desc, 21);
	job->backoff = dbops_row_int8(row, desc, 22);
	job->run_after = dbops_row_time(row, desc, 23);
	job->runner_pid = dbops_row_int4(row, desc, 24);
	job->runner_start = dbops_row_time(row, desc, 25);
	job->steps = dbops_row_int8(row, desc, 26);
	job->crash_steps = dbops_row_int8(row, desc, 27);
	job->ending = dbops_row_jsonb(row, desc, 28);
}

/*
 * The jobs that are due, in the order in which they are to start (of
 * QueuedJob *); next_due is lowered to when the first of the others is.
 */
List *
dbops_job_queue(TimestampTz now, TimestampTz *next_due)
{
	DbopsParam	params[] = {dbops_param_time(now), dbops_param_int4(QUEUE_LENGTH)};
	List	   *queued = NIL;
	Datum		later;

	dbops_store_each("SELECT j.id, j.class FROM dbops.job j LEFT JOIN dbops.job_request r ON r.job_id = j.id"
					 " WHERE j.finished_at IS NULL AND j.state = 'queued' AND j.run_after <= $1"
					 " ORDER BY coalesce(r.priority, j.priority) DESC, j.run_after, j.id"
					 " LIMIT $2",
					 2, params, take_queued, &queued);
	if (dbops_store_value("SELECT min(run_after) FROM dbops.job"
						  " WHERE finished_at IS NULL AND state = 'queued' AND run_after > $1",
						  1, params, TIMESTAMPTZOID, &later))
		*next_due = Min(*next_due, DatumGetTimestampTz(later));
	return queued;
}

static void
take_queued(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **queued = arg;
	QueuedJob  *job = palloc(sizeof(QueuedJob));

	job->id = dbops_row_int8(row, desc, 1);
	job->class = dbops_row_int4(row, desc, 2);
	*queued = lappend(*queued, job);
}

/* Read what others ask of a job. */
void
dbops_job_requests(int64 id, JobRequests *requests)
{
	DbopsParam	param = dbops_param_int8(id);

	*requests = (JobRequests) {0};
	dbops_store_each("SELECT cancel, pause, settings FROM dbops.job_request WHERE job_id = $1",
					 1, &param, take_requests, requests);
}

static void
take_requests(HeapTuple row, TupleDesc desc, void *arg)
{
	JobRequests *requests = arg;

	requests->cancel = dbops_row_bool(row, desc, 1);
	requests->pause = dbops_row_bool(row, desc, 2);
	requests->settings = dbops_row_jsonb(row, desc, 3);
}

/* ---- transitions by the process that works on the job ---- */

/*
 * Become the process that works on a queued job, or in the foreground on one
 * that is paused or blocked; false if it is none of these any more, or is to
 * be ended.
 */
bool
dbops_job_claim(StoredJob *job)
{
	JobRequests requests;

	if (!take_claim(job))
		return false;
	if (job->job.foreground)
		forget_pause(job);
	dbops_job_requests(job->job.id, &requests);
	if (requests.cancel)
		dbops_job_end_unfinished(job, "cancelled", "cancelled");
	else if (job->ending != NULL)
		end_as_told(job);
	return !requests.cancel && job->ending == NULL;
}

/* End a job that had come to its end before, but could not leave everything as it was. */
static void
end_as_told(StoredJob *job)
{
	const char *sqlstate = dbops_jsonb_text(job->ending, "sqlstate");

	end_claimed(job, dbops_jsonb_text(job->ending, "state"), 0,
				sqlstate ? MAKE_SQLSTATE(sqlstate[0], sqlstate[1], sqlstate[2], sqlstate[3], sqlstate[4]) : 0,
				dbops_jsonb_text(job->ending, "message"), NULL);
}

static bool
take_claim(StoredJob *job)
{
	DbopsParam	params[] = {
		dbops_param_int8(job->job.id),
		dbops_param_int4(MyProcPid),
		dbops_param_time(MyStartTimestamp),
		dbops_param_time(dbops_clock_now()),
		dbops_param_bool(job->job.foreground)
	};

	job->runner_pid = MyProcPid;
	job->runner_start = MyStartTimestamp;
	job->attempts++;
	return dbops_store_each("UPDATE dbops.job SET state = 'running', attempts = attempts + 1, runner_pid = $2, runner_start = $3,"
							" started_at = $4, sqlstate = NULL, message = NULL"
							" WHERE id = $1 AND (state = 'queued' OR $5 AND state IN ('paused', 'blocked'))",
							lengthof(params), params, NULL, NULL) == 1;
}

/* Who runs a paused job in the foreground means it to go on. */
static void
forget_pause(const StoredJob *job)
{
	DbopsParam	param = dbops_param_int8(job->job.id);

	dbops_store_each("UPDATE dbops.job_request SET pause = false WHERE job_id = $1 AND pause",
					 1, &param, NULL, NULL);
}

/* The work is done; in the same transaction as the work, where that is one. */
void
dbops_job_succeed(StoredJob *job, Jsonb *result)
{
	DbopsParam	param = dbops_param_int8(job->job.id);

	if (!end_claimed(job, "succeeded", 0, 0, NULL, result))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job " INT64_FORMAT " is not this process's any more", job->job.id)));
	dbops_store_each("DELETE FROM dbops.job_cursor WHERE job_id = $1", 1, &param, NULL, NULL);
}

/*
 * The work has failed: try again later, wait for a human, or give up.
 * repeatable: nothing of the attempt can have been committed, or doing it
 * twice does no harm.
 */
void
dbops_job_fail(StoredJob *job, const ErrorData *error, bool repeatable)
{
	/* Attempts are counted that got nowhere. */
	if (job->moved)
		job->attempts = 1;

	switch (classify_of(job, error->sqlerrcode))
	{
		case ERROR_RETRY:
			if (repeatable && job->attempts < job->max_attempts)
				retry(job, error);
			else
				give_up(job, error, repeatable ? NULL : " (not repeated, because a part of it may have been committed)");
			break;
		case ERROR_BLOCK:
			end_claimed(job, "blocked", 0, error->sqlerrcode, what_to_do(job, error), NULL);
			break;
		case ERROR_FAIL:
			give_up(job, error, NULL);
			break;
	}
}

/* The message for a human who must act. What to do is known best where work in steps is done. */
static const char *
what_to_do(const StoredJob *job, const ErrorData *error)
{
	if (job->command != NULL || error->hint == NULL)
		return error->message;
	return psprintf("%s (hint: %s)", error->message, error->hint);
}

/* Work in steps that must not be begun anew is left for a human to go on with. */
static void
give_up(const StoredJob *job, const ErrorData *error, const char *why)
{
	bool		goes_on = (job->command == NULL && !job->idempotent);

	end_claimed(job, goes_on ? "blocked" : "failed", 0, error->sqlerrcode,
				psprintf("%s%s", error->message, why ? why : ""), NULL);
}

/* The process leaves a job that is not done: queued, paused or cancelled. */
void
dbops_job_end_unfinished(StoredJob *job, const char *state, const char *message)
{
	end_claimed(job, state, 0, 0, message, NULL);
}

/* Queue the job again, after a time that doubles with each attempt. */
static void
retry(StoredJob *job, const ErrorData *error)
{
	double		wait = Min((double) job->backoff * (1 << Min(job->attempts - 1, 20)), LONGEST_BACKOFF);

	/* Jobs that failed together shall not come back together. */
	wait *= 0.9 + 0.2 * pg_prng_double(&pg_global_prng_state);
	end_claimed(job, "queued", TimestampTzPlusMilliseconds(dbops_clock_now(), (int64) wait),
				error->sqlerrcode, error->message, NULL);
}

/*
 * End a claim. An attempt that was only told to make room does not count.
 * False if the job is claimed by another process or by none.
 */
static bool
end_claimed(const StoredJob *job, const char *state, TimestampTz run_after,
			int sqlstate, const char *message, Jsonb *result)
{
	bool		counts = (sqlstate != 0 || strcmp(state, "queued") != 0);
	bool		stays = (strcmp(state, "blocked") == 0 || strcmp(state, "paused") == 0);
	bool		fails = (strcmp(state, "failed") == 0 || strcmp(state, "cancelled") == 0);
	bool		ours;
	const char *left = (fails || strcmp(state, "succeeded") == 0) ? NULL : pass(job);
	DbopsParam	params[] = {
		dbops_param_int8(job->job.id),
		dbops_param_int4(job->runner_pid),
		dbops_param_time(job->runner_start),
		dbops_param_text(state),
		dbops_param_time(run_after),
		dbops_param_text(sqlstate != 0 ? unpack_sql_state(sqlstate) : NULL),
		dbops_param_text(stays ? psprintf("%s%s%s%s", message, dbops_job_keeps(job),
										  left != NULL ? "; this stays until it goes on: " : "", left != NULL ? left : "") : message),
		dbops_param_jsonb(result),
		dbops_param_time(dbops_clock_now()),
		dbops_param_int4(counts ? job->attempts : Max(job->attempts - 1, 0)),
		dbops_param_int4(job->crashes),
		dbops_param_int8(job->crash_steps)
	};

	ours = dbops_store_each("UPDATE dbops.job SET state = $4, run_after = coalesce($5, run_after), sqlstate = $6,"
							" message = left(coalesce($7, $8 ->> 'message'), 1000), result = $8 - 'message', attempts = $10, crashes = $11, crash_steps = $12,"
							" runner_pid = NULL, runner_start = NULL,"
							" ending = CASE WHEN $4 IN ('succeeded', 'failed', 'cancelled') THEN NULL ELSE ending END,"
							" finished_at = CASE WHEN $4 IN ('succeeded', 'failed', 'cancelled') THEN $9 END"
							" WHERE id = $1 AND state = 'running' AND runner_pid = $2 AND runner_start = $3",
							lengthof(params), params, NULL, NULL) == 1;
	if (ours && (strcmp(state, "failed") == 0 || strcmp(state, "blocked") == 0))
		dbops_policy_note_end(&job->job, state, message);
	if (ours && fails)
		abandon(job, state, sqlstate, message);
	return ours;
}

/* Remove what must not stay while nobody works for the job; returns what is left, or NULL. */
static const char *
pass(const StoredJob *job)
{
	const DbopsJobKind *kind = dbops_job_kind_find(job->job.kind);

	if (kind == NULL || !kind->passing)
		return NULL;
	return dbops_job_abandon(job, job->runner_pid == MyProcPid ? ABANDON_PATIENCE : 0);
}

/* Remove what must not stay of a job that has just ended without success, or have it end later. */
static void
abandon(const StoredJob *job, const char *state, int sqlstate, const char *message)
{
	const char *left = dbops_job_abandon(job, job->runner_pid == MyProcPid ? ABANDON_PATIENCE : 0);

	if (left != NULL)
		end_later(job, describe_end(job, state, sqlstate, message), left);
}

/*
 * Put a job that has just ended back into the queue, to be ended as this says,
 * again and again, since who is in the way will be gone some day. It is nothing
 * that the same work would be a repetition of.
 */
static void
end_later(const StoredJob *job, Jsonb *ending, const char *left)
{
	TimestampTz again = end_again_at(dbops_jsonb_integer(ending, "tries"));
	const char *state = dbops_jsonb_text(ending, "state");
	const char *message = dbops_jsonb_text(ending, "message");
	bool		same = (strcmp(state, message) == 0);
	DbopsParam	params[] = {
		dbops_param_int8(job->job.id),
		dbops_param_text(unpack_sql_state(ERRCODE_OBJECT_IN_USE)),
		dbops_param_text(psprintf("%s; that is tried again by itself, and by cancel_job(" INT64_FORMAT "), before the job ends: %s%s%s",
								  left, job->job.id, state, same ? "" : ", ", same ? "" : message)),
		dbops_param_time(again),
		dbops_param_jsonb(ending)
	};

	dbops_store_each("UPDATE dbops.job SET state = 'queued', sqlstate = $2, message = left($3, 1000), finished_at = NULL,"
					 " run_after = $4, ending = $5, dedupe_key = NULL"
					 " WHERE id = $1",
					 lengthof(params), params, NULL, NULL);
	dbops_at_commit(dbops_engine_wake_at_commit, NULL);
}

static Jsonb *
describe_end(const StoredJob *job, const char *state, int sqlstate, const char *message)
{
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	dbops_json_text(&json, "state", state);
	dbops_json_text(&json, "sqlstate", sqlstate != 0 ? unpack_sql_state(sqlstate) : NULL);
	dbops_json_text(&json, "message", message);
	dbops_json_integer(&json, "tries", job->ending ? dbops_jsonb_integer(job->ending, "tries") + 1 : 1);
	return dbops_json_finish(&json);
}

/* After a time that doubles with each try. */
static TimestampTz
end_again_at(int tries)
{
	double		wait = Min((double) FIRST_END_AGAIN * (1 << Min(tries - 1, 20)), LONGEST_END_AGAIN);

	wait *= 0.9 + 0.2 * pg_prng_double(&pg_global_prng_state);
	return TimestampTzPlusMilliseconds(dbops_clock_now(), (int64) wait);
}

/*
 * Lock a queued job until this transaction ends; false if it is queued no more,
 * or somebody has it locked: a session that cancels or pauses it and has not
 * ended its transaction holds up nobody else.
 */
bool
dbops_job_lock(const StoredJob *job)
{
	DbopsParam	param = dbops_param_int8(job->job.id);

	return dbops_store_each("SELECT FROM dbops.job WHERE id = $1 AND state = 'queued' FOR NO KEY UPDATE SKIP LOCKED",
							1, &param, NULL, NULL) == 1;
}

/* Take a queued job out of the queue until a human acts. */
void
dbops_job_block(StoredJob *job, int sqlstate, const char *message)
{
	DbopsParam	params[] = {
		dbops_param_int8(job->job.id),
		dbops_param_text(unpack_sql_state(sqlstate)),
		dbops_param_text(message)
	};

	if (dbops_store_each("UPDATE dbops.job SET state = 'blocked', sqlstate = $2, message = left($3, 1000)"
						 " WHERE id = $1 AND state = 'queued'",
						 lengthof(params), params, NULL, NULL) == 1)
		dbops_policy_note_end(&job->job, "blocked", message);
}

/*
 * A job that somebody waits for ends. One that is asked for again waits for no
 * human, and has waited for locks as long as it was to.
 */
static ErrorClass
classify_of(const StoredJob *job, int sqlstate)
{
	const DbopsJobKind *kind = dbops_job_kind_find(job->job.kind);
	ErrorClass	class = classify(sqlstate);

	if (job->attended ||
		(kind != NULL && kind->asked_again && (class == ERROR_BLOCK || sqlstate == ERRCODE_LOCK_NOT_AVAILABLE)))
		return ERROR_FAIL;
	return class;
}

/*
 * What an error says about trying again: conflicts with others and lack of
 * resources go away; missing rights and objects need a human; the rest lies in
 * the data or in the command.
 */
static ErrorClass
classify(int sqlstate)
{
	/* Who interrupts a command does not want it to begin anew. */
	if (sqlstate == ERRCODE_QUERY_CANCELED)
		return ERROR_FAIL;

	switch (ERRCODE_TO_CATEGORY(sqlstate))
	{
		case ERRCODE_TRANSACTION_ROLLBACK:
		case ERRCODE_CONNECTION_EXCEPTION:
		case ERRCODE_OPERATOR_INTERVENTION:
		case ERRCODE_SYSTEM_ERROR:
			return ERROR_RETRY;
		case ERRCODE_INSUFFICIENT_RESOURCES:
			return (sqlstate == ERRCODE_DISK_FULL) ? ERROR_BLOCK : ERROR_RETRY;
		case ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION:
		case ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION:
		case ERRCODE_INVALID_CATALOG_NAME:
		case ERRCODE_INVALID_SCHEMA_NAME:
		case ERRCODE_FEATURE_NOT_SUPPORTED:
		case ERRCODE_CONFIG_FILE_ERROR:
			return ERROR_BLOCK;
		case ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE:
			return (sqlstate == ERRCODE_LOCK_NOT_AVAILABLE || sqlstate == ERRCODE_OBJECT_IN_USE) ?
				ERROR_RETRY : ERROR_BLOCK;
		default:
			return ERROR_FAIL;
	}
}

/* ---- jobs whose process has died ---- */

/*
 * Judge the jobs whose process has left its slot; but all processes end with the
 * postmaster, which is no attempt of a job. The next server finds them.
 */
void
dbops_job_reap_slots(void)
{
	RunnerSlot	slot;

	while (take_dead_slot(&slot))
	{
		if (!PostmasterIsAlive())
			proc_exit(1);
		judge_slot(&slot);
	}
}

/*
 * Judge those that a crash or another server has left without a slot. One
 * whose slot is left in the meantime is for the next look, which is woken.
 * True if one without a slot may still be at work: a session in the foreground
 * gives its slot back a moment before it is gone.
 */
bool
dbops_job_reap_lost(void)
{
	bool		remain = false;

	dbops_store_each("SELECT j.id, EXISTS (SELECT FROM pg_stat_get_activity(NULL) a"
					 " WHERE a.pid = j.runner_pid AND a.backend_start = j.runner_start)"
					 " FROM dbops.job j WHERE j.finished_at IS NULL AND j.state = 'running'",
					 0, NULL, judge_lost, &remain);
	return remain;
}

/* Read and free a slot whose process has died. */
static bool
take_dead_slot(RunnerSlot *slot)
{
	bool		found = false;

	LWLockAcquire(dbops_engine_lock, LW_EXCLUSIVE);
	for (int i = 0; i < ENGINE_RUNNERS && !found; i++)
	{
		if (dbops_engine->runners[i].state != RUNNER_DEAD ||
			dbops_engine->runners[i].database != MyDatabaseId)
			continue;
		*slot = dbops_engine->runners[i];
		dbops_engine->runners[i].state = RUNNER_FREE;
		found = true;
	}
	LWLockRelease(dbops_engine_lock);
	return found;
}

/* Its process died at work, or before it could claim the job. */
static void
judge_slot(const RunnerSlot *slot)
{
	StoredJob  *job = dbops_job_load(slot->job);

	if (job != NULL && strcmp(job->state, "running") == 0 && job->runner_pid == slot->pid)
		judge_death(job, slot);
	else if (!slot->stop)
		count_lost_start(slot->job);
}

static void
judge_lost(HeapTuple row, TupleDesc desc, void *arg)
{
	StoredJob  *job = dbops_job_load(dbops_row_int8(row, desc, 1));
	bool	   *remain = arg;

	if (job == NULL || strcmp(job->state, "running") != 0 || dbops_runner_has(job->job.id))
		return;
	if (dbops_row_bool(row, desc, 2))
		*remain = true;
	else
		judge_death(job, NULL);
}

/* A process that could not even log in: later again, and then a human must look. */
static void
count_lost_start(int64 id)
{
	DbopsParam	params[] = {
		dbops_param_int8(id),
		dbops_param_time(dbops_clock_now()),
		dbops_param_text(unpack_sql_state(ERRCODE_CANNOT_CONNECT_NOW)),
		dbops_param_text("its process could not log in; the server's log says why")
	};

	dbops_store_each("UPDATE dbops.job SET attempts = attempts + 1, sqlstate = $3, message = $4,"
					 " state = CASE WHEN attempts + 1 >= max_attempts THEN 'blocked' ELSE state END,"
					 " run_after = $2 + interval '1 millisecond' * least(backoff * 2 ^ least(attempts, 20), 3600000)"
					 " WHERE id = (SELECT id FROM dbops.job WHERE id = $1 AND state = 'queued' FOR NO KEY UPDATE SKIP LOCKED)",
					 lengthof(params), params, NULL, NULL);
}

/*
 * Decide what becomes of a job whose process left it. Work in steps, or in one
 * transaction, has been undone as far as it was not committed with its record;
 * of anything else nobody knows how much was done. slot: what the process left;
 * NULL: nothing, since the server ended too.
 */
static void
judge_death(StoredJob *job, const RunnerSlot *slot)
{
	ErrorData	died = {
		.sqlerrcode = ERRCODE_ADMIN_SHUTDOWN,
		.message = "its process was terminated"
	};
	JobRequests requests;
	int			part;

	dbops_job_requests(job->job.id, &requests);
	if (requests.cancel)
		end_claimed(job, "cancelled", 0, 0, "cancelled", NULL);
	else if (job->command != NULL && !job->atomic && !job->idempotent &&
			 (slot == NULL || slot->committed))
		end_claimed(job, "blocked", 0, ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN,
					"outcome unknown: its process ended before the command did, and a part of it may have been committed; "
					"resume_job runs it again, cancel_job leaves it as it is", NULL);
	else if (dbops_crash_was_first(MyDatabaseId, job->job.id, &part))
		judge_crash(job, part);
	else if (slot != NULL && !slot->stop)
		dbops_job_fail(job, &died, true);
	else
		end_claimed(job, "queued", 0, 0, NULL, NULL);
}

/* Its process took the server down: at once, then later, then not any more. */
static void
judge_crash(StoredJob *job, int part)
{
	long		wait;

	count_crash(job, part);
	wait = (job->crashes == 1) ? 0 : FIRST_CRASH_BACKOFF;
	if (job->crashes >= MOST_CRASHES)
		end_claimed(job, "blocked", 0, ERRCODE_CRASH_SHUTDOWN,
					psprintf("its process has crashed the server %d times", job->crashes), NULL);
	else
		end_claimed(job, "queued", TimestampTzPlusMilliseconds(dbops_clock_now(), wait),
					0, psprintf("its process has crashed the server; crash %d of %d",
								job->crashes, MOST_CRASHES), NULL);
}

/*
 * Count the crashes without a step between them. Where a phase is shared those
 * of its part count: the steps that others did meanwhile prove nothing.
 */
static void
count_crash(StoredJob *job, int part)
{
	int			crashes = (part > 0) ? dbops_job_part_crashes(job->job.id, part) : 0;

	if (crashes > 0)
		job->crashes = crashes;
	else if (job->steps > job->crash_steps)
		job->crashes = 1;
	else
		job->crashes++;
	job->crash_steps = job->steps;
}

/* ---- history ---- */

/* Delete ended jobs that are too old or too many of their kind. */
void
dbops_job_prune(void)
{
	DbopsParam	params[] = {
		dbops_param_time(TimestampTzPlusMilliseconds(dbops_clock_now(), -60000.0 * dbops_job_history_age)),
		dbops_param_int4(dbops_job_history_count)
	};

	dbops_store_each("WITH ended AS (SELECT id, finished_at,"
					 " row_number() OVER (PARTITION BY kind, schedule, state <> 'succeeded' ORDER BY finished_at DESC) AS rank"
					 " FROM dbops.job WHERE finished_at IS NOT NULL)"
					 " DELETE FROM dbops.job j USING ended e"
					 " WHERE j.id = e.id AND (e.finished_at < $1 OR e.rank > $2)",
					 lengthof(params), params, NULL, NULL);
	dbops_store_each("DELETE FROM dbops.job_request r WHERE ctid IN ("
					 " SELECT r.ctid FROM dbops.job_request r WHERE NOT EXISTS ("
					 " SELECT FROM dbops.job j WHERE j.id = r.job_id AND j.finished_at IS NULL) FOR UPDATE SKIP LOCKED)",
					 0, NULL, NULL, NULL);
	dbops_store_each("DELETE FROM dbops.job_part p WHERE NOT EXISTS ("
					 " SELECT FROM dbops.job j WHERE j.id = p.job_id AND j.finished_at IS NULL)",
					 0, NULL, NULL, NULL);
	dbops_store_each("DELETE FROM dbops.job_cursor c WHERE NOT EXISTS ("
					 " SELECT FROM dbops.job j WHERE j.id = c.job_id AND j.finished_at IS NULL)",
					 0, NULL, NULL, NULL);
}
