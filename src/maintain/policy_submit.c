/*
 * policy_submit.c
 *		A policy that is due becomes a job, and a job finds its policy.
 *
 * The job's spec names the policy and no more, so that it acts on the policy as
 * that is when it begins. While one lives there is no second.
 */
#include "maintain/policy.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"

/* A job that has not ended, of a policy. */
typedef struct LiveJob
{
	int64		id;
	char	   *state;
	char	   *message;		/* or NULL */
} LiveJob;

static void submit(Due *due);
static const PolicyKind *require_kind(const Policy *policy);
static void require_possible(const Policy *policy);
static const char *describe_live(const Policy *policy);
static int64 submit_job(const Policy *policy, Jsonb *extra, bool here);
static Jsonb *job_spec(const Policy *policy, Jsonb *extra);
static char *dedupe_key(const Policy *policy);
static void refuse_running(const Policy *policy);
static List *live_jobs(const Policy *policy);
static void take_live(HeapTuple row, TupleDesc desc, void *arg);
static void take_text(HeapTuple row, TupleDesc desc, void *arg);
static bool has_refused(const MaintenanceNote *note);

const DueSource dbops_policy_source = {
	.noun = "policy",
	.table = "policy",
	.key = "id",
	.is_key = "id = $1::bigint",
	.active = "true",
	.submit = submit
};

/* Submit one policy, unless it is locked or has been submitted meanwhile. What was missed is run once. */
static void
submit(Due *due)
{
	Policy	   *policy = dbops_policy_lock_due(strtoi64(due->key, NULL, 10), due->now);
	const PolicyKind *kind;
	Recurrence	recurrence;
	DueTimes	times;
	const char *busy;
	const char *idle = NULL;

	if (policy == NULL || policy->owner != due->owner)
		return;
	dbops_due_require_role(policy->owner);
	require_possible(policy);
	kind = require_kind(policy);
	recurrence = dbops_recurrence(policy->schedule, policy->time_window, policy->time_zone);
	times = dbops_due_times(&recurrence, policy->next_run, policy->broken, due->now);
	busy = describe_live(policy);
	if (busy == NULL && kind->idle != NULL)
		idle = kind->idle(policy);
	if (busy == NULL && idle == NULL)
		due->job = submit_job(policy, NULL, false);
	dbops_due_note(due, &times, times.dropped + (busy != NULL), busy != NULL ? busy : idle);
}

/* Refuse what nobody could do anything about. */
static void
require_possible(const Policy *policy)
{
	const char *refusal = dbops_policy_refusal(policy);

	if (refusal != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s", refusal)));
}

static const PolicyKind *
require_kind(const Policy *policy)
{
	const PolicyKind *kind = dbops_policy_kind_find(policy->kind);

	if (kind == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("this version of dbops knows no policies of kind \"%s\"", policy->kind)));
	return kind;
}

/* Which job of it has not ended, as a user reads it; NULL: none. */
static const char *
describe_live(const Policy *policy)
{
	List	   *live = live_jobs(policy);
	const LiveJob *job;
	bool		waits;

	if (live == NIL)
		return NULL;
	job = linitial(live);
	waits = (strcmp(job->state, "blocked") == 0 || strcmp(job->state, "paused") == 0);
	return psprintf("job " INT64_FORMAT " is still %s%s%s", job->id, job->state,
					waits && job->message != NULL ? ": " : "", waits && job->message != NULL ? job->message : "");
}

/* ---- its jobs ---- */

/* Submit its job now; whoever waits for it does not wait for another one to be resumed. */
int64
dbops_policy_submit(const Policy *policy, Jsonb *extra, bool here)
{
	require_possible(policy);
	(void) dbops_policy_cancel_jobs(policy, false);
	refuse_running(policy);
	return submit_job(policy, extra, here);
}

static void
refuse_running(const Policy *policy)
{
	List	   *live = live_jobs(policy);
	const LiveJob *job;

	if (live == NIL)
		return;
	job = linitial(live);
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("the %s policy of %s is being looked after: job " INT64_FORMAT " is %s",
					policy->kind, policy->name, job->id, job->state),
			 errhint("CALL dbops.wait_job(" INT64_FORMAT ") waits for it, and dbops.cancel_job(" INT64_FORMAT ") ends it.",
					 job->id, job->id)));
}

static int64
submit_job(const Policy *policy, Jsonb *extra, bool here)
{
	const PolicyKind *kind = require_kind(policy);
	DbopsJobRequest request = {
		DBOPS_JOB_REQUEST,
		.kind = kind->job_kind,
		.name = dbops_policy_object(policy->relation),
		.owner = policy->owner,
		.path = policy->path,
		.spec = job_spec(policy, extra),
		.class = kind->class,
		.idempotent = true,
		.dedupe_key = dedupe_key(policy),
		.time_window = here ? NULL : policy->time_window,
		.time_zone = policy->time_zone,
		.here = here
	};

	return dbops_job_submit(&request);
}

/* Which policy, and what else is asked for. */
static Jsonb *
job_spec(const Policy *policy, Jsonb *extra)
{
	DbopsJson	json = {0};
	Jsonb	   *spec;

	dbops_json_object(&json, NULL);
	dbops_json_integer(&json, "policy", policy->id);
	spec = dbops_json_finish(&json);
	if (extra == NULL)
		return spec;
	return DatumGetJsonbP(DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(extra), JsonbPGetDatum(spec)));
}

static char *
dedupe_key(const Policy *policy)
{
	return psprintf("dbops policy " INT64_FORMAT, policy->id);
}

/* Cancel its jobs; all of them, or those that no process has claimed. Returns how many those were. */
int
dbops_policy_cancel_jobs(const Policy *policy, bool all)
{
	int			cancelled = 0;
	ListCell   *cell;

	foreach(cell, live_jobs(policy))
	{
		const LiveJob *job = lfirst(cell);

		if ((all || strcmp(job->state, "running") != 0) && dbops_job_cancel(job->id))
			cancelled++;
	}
	return cancelled;
}

/* Its jobs that have not ended, of whichever role, the oldest first. */
static List *
live_jobs(const Policy *policy)
{
	DbopsParam	params[] = {dbops_param_text(require_kind(policy)->job_kind), dbops_param_int8(policy->id)};
	List	   *live = NIL;

	dbops_store_each("SELECT id, state, message FROM dbops.job"
					 " WHERE finished_at IS NULL AND kind = $1 AND (spec ->> 'policy')::bigint = $2 ORDER BY id",
					 lengthof(params), params, take_live, &live);
	return live;
}

static void
take_live(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **live = arg;
	LiveJob    *job = palloc0(sizeof(LiveJob));

	job->id = dbops_row_int8(row, desc, 1);
	job->state = dbops_row_text(row, desc, 2);
	job->message = dbops_row_text(row, desc, 3);
	*live = lappend(*live, job);
}

/*
 * Why nothing is done about a policy: it is refused, or was when it was last
 * due, or its last job, scheduled or called, did not succeed; NULL: none of it.
 */
const char *
dbops_policy_stopped(const Policy *policy)
{
	DbopsParam	params[] = {
		dbops_param_int8(policy->id),
		dbops_param_text(require_kind(policy)->job_kind),
		dbops_param_bool(policy->broken)
	};
	const char *stopped = dbops_policy_refusal(policy);

	if (stopped == NULL)
		dbops_store_each("SELECT coalesce((SELECT note FROM dbops.policy WHERE id = $1 AND $3),"
						 " (SELECT CASE WHEN state IN ('failed', 'blocked', 'paused', 'cancelled') THEN coalesce(message, state) END"
						 "  FROM dbops.job WHERE kind = $2 AND (spec ->> 'policy')::bigint = $1 ORDER BY id DESC LIMIT 1))",
						 lengthof(params), params, take_text, &stopped);
	return stopped;
}

static void
take_text(HeapTuple row, TupleDesc desc, void *arg)
{
	*(const char **) arg = dbops_row_text(row, desc, 1);
}

/* ---- from a job ---- */

/* The policy that a job is about, as it is now. */
Policy *
dbops_policy_of_job(const DbopsJob *job)
{
	Policy	   *policy = dbops_policy_load(dbops_jsonb_integer(job->spec, "policy"));
	const char *refusal = (policy == NULL) ? "its policy has been removed" : dbops_policy_refusal(policy);

	if (refusal == NULL && policy->owner != job->owner)
		refusal = "its policy has been set again for another role";
	if (refusal != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s", refusal),
				 errhint("Cancel the job: dbops.cancel_job(" INT64_FORMAT ").", job->id)));
	return policy;
}

/* Note how a job of a policy has ended, or that it waits for a human. */
void
dbops_policy_note_end(const DbopsJob *job, const char *outcome, const char *message)
{
	int64		id = dbops_jsonb_integer(job->spec, "policy");
	Policy	   *policy = (id != 0) ? dbops_policy_load(id) : NULL;
	MaintenanceNote note = {MAINTENANCE_NOTE,.action = "job",.outcome = outcome,.message = message,.job = job->id};

	if (policy == NULL)
		return;
	note.kind = policy->kind;
	note.object = dbops_policy_object(policy->relation);
	if (!has_refused(&note))
		dbops_maintenance_note(&note);
}

/* Has the job itself noted that it is refused, with the same words? */
static bool
has_refused(const MaintenanceNote *note)
{
	DbopsParam	params[] = {
		dbops_param_text(note->object),
		dbops_param_text(note->kind),
		dbops_param_int8(note->job),
		dbops_param_text(note->message)
	};

	return dbops_store_each("SELECT FROM dbops.maintenance_log WHERE object = $1 AND kind = $2 AND job_id = $3"
							" AND outcome = 'blocked' AND starts_with($4, message) LIMIT 1",
							lengthof(params), params, NULL, NULL) == 1;
}
