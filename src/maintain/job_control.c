/*
 * job_control.c
 *		cancel_job, pause_job, resume_job and tune_job: what is asked of a job.
 *
 * A request is a row of its own, which the job's process reads between steps
 * without a lock; so a session that asks and then sits on its transaction
 * holds up no job. A job that no process has claimed is changed at once. A
 * process is interrupted when the request has committed.
 */
#include "maintain/maintain.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(dbops_cancel_job);
PG_FUNCTION_INFO_V1(dbops_pause_job);
PG_FUNCTION_INFO_V1(dbops_resume_job);
PG_FUNCTION_INFO_V1(dbops_tune_job);

#define CANCEL_PATIENCE 1000L	/* ms that cancel_job may take to remove what must not stay */

/* What is asked; a param without a type is not. */
typedef struct Request
{
	DbopsParam	cancel;
	DbopsParam	pause;
	DbopsParam	priority;
	DbopsParam	timeout;
	DbopsParam	lock_timeout;
	DbopsParam	max_attempts;
	DbopsParam	settings;
} Request;

static void request(int64 id, Request wish);
static DbopsParam or_null(DbopsParam wish, Oid type);
static void abandon(int64 id);
static bool change_unclaimed(int64 id, const char *from, const char *to, const char *message);
static void refuse_state(const StoredJob *job, const char *what, const char *hint);
static void check_kind_settings(const StoredJob *job, Jsonb *settings);

/* cancel_job(job_id bigint) → the state that it is in now */
Datum
dbops_cancel_job(PG_FUNCTION_ARGS)
{
	int64		id = PG_GETARG_INT64(0);
	StoredJob  *job = dbops_job_require(id);

	if (dbops_job_has_ended(job))
		refuse_state(job, "cancel", "Only a job that has not ended can be cancelled.");
	PG_RETURN_TEXT_P(cstring_to_text(dbops_job_cancel(id) ? "cancelled" : "cancelling"));
}

/*
 * Cancel a job; false if a process has to end it first. Where nothing runs in the
 * background, nobody else notices that a process which should is dead.
 */
bool
dbops_job_cancel(int64 id)
{
	if (!dbops_job_workers_exist())
		(void) dbops_job_reap_lost();
	request(id, (Request) {.cancel = dbops_param_bool(true)});
	if (change_unclaimed(id, "{queued,paused,blocked}", "cancelled", "cancelled"))
	{
		abandon(id);
		return true;
	}
	dbops_runner_cancel_at_commit(id);
	return false;
}

/* Cancel a job that no process has claimed, or whose process is dead; false: one is at work on it. */
bool
dbops_job_end_unclaimed(int64 id)
{
	(void) dbops_job_reap_lost();
	if (!change_unclaimed(id, "{queued,paused,blocked}", "cancelled", "replaced by the same call, made again"))
		return false;
	abandon(id);
	return true;
}

/* Remove what must not stay of the job, or refuse to cancel it now. */
static void
abandon(int64 id)
{
	const char *left = dbops_job_abandon(dbops_job_load(id), CANCEL_PATIENCE);

	if (left != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("cannot cancel job " INT64_FORMAT " now", id),
				 errdetail_internal("%s.", left),
				 errhint("Wait for those who hold the table or end their sessions, and call cancel_job(" INT64_FORMAT ") again.", id)));
}

/* pause_job(job_id bigint) → the state that it is in now */
Datum
dbops_pause_job(PG_FUNCTION_ARGS)
{
	int64		id = PG_GETARG_INT64(0);
	StoredJob  *job = dbops_job_require(id);

	if (change_unclaimed(id, "{queued}", "paused", "paused"))
		PG_RETURN_TEXT_P(cstring_to_text("paused"));
	job = dbops_job_require(id);
	if (strcmp(job->state, "running") != 0)
		refuse_state(job, "pause", "Only a queued or a running job can be paused.");
	if (job->command != NULL)
		refuse_state(job, "pause", "A command that runs cannot be paused; cancel_job ends it.");
	request(id, (Request) {.pause = dbops_param_bool(true)});
	PG_RETURN_TEXT_P(cstring_to_text("pausing"));
}

/* resume_job(job_id bigint) → the state that it is in now */
Datum
dbops_resume_job(PG_FUNCTION_ARGS)
{
	int64		id = PG_GETARG_INT64(0);
	StoredJob  *job = dbops_job_require(id);

	request(id, (Request) {.pause = dbops_param_bool(false)});
	if (change_unclaimed(id, "{paused,blocked}", "queued", NULL))
	{
		dbops_at_commit(dbops_engine_wake_at_commit, NULL);
		PG_RETURN_TEXT_P(cstring_to_text("queued"));
	}
	job = dbops_job_require(id);
	if (dbops_job_has_ended(job))
		refuse_state(job, "resume", "Submit it again.");
	PG_RETURN_TEXT_P(cstring_to_text(job->state));
}

/*
 * tune_job(job_id bigint, priority int, timeout interval, lock_timeout
 *			interval, max_attempts int, settings jsonb)
 */
Datum
dbops_tune_job(PG_FUNCTION_ARGS)
{
	Request		wish = {0};
	StoredJob  *job;

	dbops_require_argument(fcinfo, 0, "job_id");
	job = dbops_job_require(PG_GETARG_INT64(0));
	if (dbops_job_has_ended(job))
		refuse_state(job, "tune", "Only a job that has not ended can be tuned.");
	if (!PG_ARGISNULL(1))
		wish.priority = dbops_param_int4(PG_GETARG_INT32(1));
	if (!PG_ARGISNULL(2))
		wish.timeout = dbops_param_int8(dbops_timeout_argument(fcinfo, 2, "timeout"));
	if (!PG_ARGISNULL(3))
		wish.lock_timeout = dbops_param_int8(dbops_timeout_argument(fcinfo, 3, "lock_timeout"));
	if (!PG_ARGISNULL(4))
		wish.max_attempts = dbops_param_int4(dbops_attempts_argument(fcinfo, 4));
	if (!PG_ARGISNULL(5))
	{
		check_kind_settings(job, PG_GETARG_JSONB_P(5));
		wish.settings = dbops_param_jsonb(PG_GETARG_JSONB_P(5));
	}
	request(job->job.id, wish);
	dbops_at_commit(dbops_engine_wake_at_commit, NULL);
	PG_RETURN_VOID();
}

/* Load a job that the caller may act on, or refuse. */
StoredJob *
dbops_job_require(int64 id)
{
	StoredJob  *job = dbops_job_load(id);

	if (job == NULL)
		dbops_job_refuse_unknown(id);
	if (!dbops_acts_for(job->job.owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("job " INT64_FORMAT " belongs to role \"%s\"", id,
						dbops_job_owner_name(job)),
				 errhint("Only members of that role and admins of dbops may act on it.")));
	return job;
}

/* The role's name, or its OID when it does not exist any more. */
char *
dbops_job_owner_name(const StoredJob *job)
{
	char	   *name = GetUserNameFromId(job->job.owner, true);

	return (name != NULL) ? name : psprintf("%u", job->job.owner);
}

/* The error of an id that no job has. */
void
dbops_job_refuse_unknown(int64 id)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("there is no job " INT64_FORMAT " in this database", id),
			 errhint("See dbops.jobs(); those that ended long ago are deleted (dbops.job_history_age, dbops.job_history_count).")));
}

bool
dbops_job_has_ended(const StoredJob *job)
{
	return strcmp(job->state, "succeeded") == 0 || strcmp(job->state, "failed") == 0 ||
		strcmp(job->state, "cancelled") == 0;
}

/* Leave a request; what is not wished stays as it was. */
static void
request(int64 id, Request wish)
{
	DbopsParam	params[] = {
		dbops_param_int8(id),
		or_null(wish.cancel, BOOLOID),
		or_null(wish.pause, BOOLOID),
		or_null(wish.priority, INT4OID),
		or_null(wish.timeout, INT8OID),
		or_null(wish.lock_timeout, INT8OID),
		or_null(wish.max_attempts, INT4OID),
		or_null(wish.settings, JSONBOID),
		dbops_param_oid(GetUserId()),
		dbops_param_time(dbops_clock_now())
	};

	dbops_store_each("INSERT INTO dbops.job_request AS r"
					 " (job_id, cancel, pause, priority, timeout, lock_timeout, max_attempts, settings, requested_by, requested_at)"
					 " VALUES ($1, coalesce($2, false), coalesce($3, false), $4, $5, $6, $7, $8, $9, $10)"
					 " ON CONFLICT (job_id) DO UPDATE SET cancel = coalesce($2, r.cancel), pause = coalesce($3, r.pause),"
					 " priority = coalesce($4, r.priority), timeout = coalesce($5, r.timeout),"
					 " lock_timeout = coalesce($6, r.lock_timeout), max_attempts = coalesce($7, r.max_attempts),"
					 " settings = coalesce(r.settings || $8, $8, r.settings), requested_by = $9, requested_at = $10",
					 lengthof(params), params, NULL, NULL);
}

/* A wish that was not made is null. */
static DbopsParam
or_null(DbopsParam wish, Oid type)
{
	if (!OidIsValid(wish.type))
		return (DbopsParam) {.type = type,.isnull = true};
	return wish;
}

/* Change the state of a job that no process has claimed; false if one has. */
static bool
change_unclaimed(int64 id, const char *from, const char *to, const char *message)
{
	DbopsParam	params[] = {
		dbops_param_int8(id),
		dbops_param_text(from),
		dbops_param_text(to),
		dbops_param_text(message),
		dbops_param_time(dbops_clock_now())
	};

	return dbops_store_each("UPDATE dbops.job SET state = $3, message = $4, sqlstate = NULL,"
							" attempts = CASE WHEN $3 = 'queued' THEN 0 ELSE attempts END,"
							" crashes = CASE WHEN $3 = 'queued' THEN 0 ELSE crashes END,"
							" ending = CASE WHEN $3 = 'cancelled' THEN NULL ELSE ending END,"
							" finished_at = CASE WHEN $3 = 'cancelled' THEN $5 END"
							" WHERE id = $1 AND state = ANY ($2::text[])",
							lengthof(params), params, NULL, NULL) == 1;
}

static void
refuse_state(const StoredJob *job, const char *what, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("cannot %s job " INT64_FORMAT ", which is %s", what, job->job.id, job->state),
			 errhint("%s", hint)));
}

/* Have the kind check its own settings. */
static void
check_kind_settings(const StoredJob *job, Jsonb *settings)
{
	const DbopsJobKind *kind = dbops_job_kind_find(job->job.kind);

	if (!JB_ROOT_IS_OBJECT(settings))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("settings must be a JSON object")));
	if (JB_ROOT_COUNT(settings) == 0)
		return;
	if (kind == NULL || kind->check_settings == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a job of kind %s has no settings of its own", job->job.kind)));
	kind->check_settings(settings);
}
