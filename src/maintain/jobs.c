/*
 * jobs.c
 *		jobs() and job_status(): what has become of jobs.
 *
 * What is stored comes from the tables, what is only true now (who works, and
 * what for others wait) from shared memory and from the same function that
 * the scheduler asks. Commands, and what they returned, are shown to who may
 * act for the job's role and to who may read all statistics.
 */
#include "maintain/maintain.h"

#include "access/htup_details.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

PG_FUNCTION_INFO_V1(dbops_jobs);
PG_FUNCTION_INFO_V1(dbops_job_status);
PG_FUNCTION_INFO_V1(dbops_job_waiting);

#define JOB_COLUMNS \
	" j.id, j.kind, j.name, j.state, j.owner, coalesce(p.done, c.done), coalesce(p.total, c.total)," \
	" coalesce(c.row_count + coalesce(p.row_count, 0)," \
	" CASE WHEN jsonb_typeof(j.result -> 'rows') = 'number' THEN (j.result ->> 'rows')::bigint END, -1), c.began_at, c.began_done, c.moved_at," \
	" coalesce(c.phase, 0), j.attempts, j.max_attempts, j.crashes, j.sqlstate, j.message, j.submitted_at, j.started_at," \
	" j.finished_at, j.command, j.result, j.schedule, coalesce(r.priority, j.priority), j.run_after," \
	" coalesce(r.cancel, false), coalesce(r.pause, false)" \
	" FROM dbops.job j" \
	" LEFT JOIN dbops.job_cursor c ON c.job_id = j.id" \
	" LEFT JOIN LATERAL (SELECT sum(done)::bigint AS done, sum(total)::bigint AS total, sum(row_count)::bigint AS row_count" \
	" FROM dbops.job_part p WHERE p.job_id = j.id) p ON true" \
	" LEFT JOIN dbops.job_request r ON r.job_id = j.id"

/* A job as a report shows it. */
typedef struct Shown
{
	int64		id;
	char	   *kind;
	char	   *name;
	char	   *state;
	Oid			owner;
	int64		done;
	int64		total;
	int64		rows;			/* -1: it counts none */
	TimestampTz began_at;
	int64		began_done;
	TimestampTz moved_at;
	int			phase;
	int			attempts;
	int			max_attempts;
	int			crashes;
	char	   *sqlstate;
	char	   *message;
	TimestampTz submitted_at;
	TimestampTz started_at;
	TimestampTz finished_at;
	char	   *command;
	Jsonb	   *result;
	char	   *schedule;
	int			priority;
	TimestampTz run_after;
	bool		cancelling;
	bool		pausing;

	/* derived */
	int			workers;		/* processes that work on it */
	bool		open;			/* the caller may see what it does */
	char	   *waiting;		/* NULL: it works, or has ended */
	double		rate;			/* of its unit, a second; 0: not known */
	double		left;			/* s; negative: not known */
} Shown;

static void take_shown(HeapTuple row, TupleDesc desc, void *arg);
static void derive(Shown *job);
static char *look_at_slot(Shown *job);
static char *read_slot(Shown *job, bool *alive, int *pid);
static char *watch(Shown *job, int pid, char *waiting);
static void put_shown(ReturnSetInfo *rsinfo, const Shown *job);
static const char *phase_name(const Shown *job);
static const char *unit_name(const Shown *job);
static Jsonb *shown_document(const Shown *job);
static void put_progress(DbopsJson *json, const Shown *job);

/* jobs(row_limit int) → the live jobs and the latest that have ended */
Datum
dbops_jobs(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	DbopsParam	limit = dbops_param_int4(PG_ARGISNULL(0) ? PG_INT32_MAX : PG_GETARG_INT32(0));
	List	   *shown = NIL;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	dbops_store_each("SELECT" JOB_COLUMNS
					 " ORDER BY j.finished_at IS NOT NULL, j.finished_at DESC, j.id LIMIT $1",
					 1, &limit, take_shown, &shown);
	foreach(cell, shown)
	{
		derive(lfirst(cell));
		put_shown(rsinfo, lfirst(cell));
	}
	return (Datum) 0;
}

/* job_status(job_id bigint) → jsonb */
Datum
dbops_job_status(PG_FUNCTION_ARGS)
{
	DbopsParam	id = dbops_param_int8(PG_GETARG_INT64(0));
	List	   *shown = NIL;

	dbops_store_each("SELECT" JOB_COLUMNS " WHERE j.id = $1", 1, &id, take_shown, &shown);
	if (shown == NIL)
		dbops_job_refuse_unknown(PG_GETARG_INT64(0));
	derive(linitial(shown));
	PG_RETURN_JSONB_P(shown_document(linitial(shown)));
}

static void
take_shown(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **shown = arg;
	Shown	   *job = palloc0(sizeof(Shown));

	job->id = dbops_row_int8(row, desc, 1);
	job->kind = dbops_row_text(row, desc, 2);
	job->name = dbops_row_text(row, desc, 3);
	job->state = dbops_row_text(row, desc, 4);
	job->owner = dbops_row_oid(row, desc, 5);
	job->done = dbops_row_int8(row, desc, 6);
	job->total = dbops_row_int8(row, desc, 7);
	job->rows = dbops_row_int8(row, desc, 8);
	job->began_at = dbops_row_time(row, desc, 9);
	job->began_done = dbops_row_int8(row, desc, 10);
	job->moved_at = dbops_row_time(row, desc, 11);
	job->phase = dbops_row_int4(row, desc, 12);
	job->attempts = dbops_row_int4(row, desc, 13);
	job->max_attempts = dbops_row_int4(row, desc, 14);
	job->crashes = dbops_row_int4(row, desc, 15);
	job->sqlstate = dbops_row_text(row, desc, 16);
	job->message = dbops_row_text(row, desc, 17);
	job->submitted_at = dbops_row_time(row, desc, 18);
	job->started_at = dbops_row_time(row, desc, 19);
	job->finished_at = dbops_row_time(row, desc, 20);
	job->command = dbops_row_text(row, desc, 21);
	job->result = dbops_row_jsonb(row, desc, 22);
	job->schedule = dbops_row_text(row, desc, 23);
	job->priority = dbops_row_int4(row, desc, 24);
	job->run_after = dbops_row_time(row, desc, 25);
	job->cancelling = dbops_row_bool(row, desc, 26);
	job->pausing = dbops_row_bool(row, desc, 27);
	*shown = lappend(*shown, job);
}

/* Add what is only true now, as the caller, not as the owner of the tables. */
static void
derive(Shown *job)
{
	double		took;

	job->waiting = look_at_slot(job);
	took = (job->moved_at - job->began_at) / (double) USECS_PER_SEC;
	job->open = dbops_acts_for(job->owner) || has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS);
	job->rate = (job->moved_at > job->began_at) ? (job->done - job->began_done) / took : 0;
	job->left = (job->rate > 0 && job->total >= job->done) ? (job->total - job->done) / job->rate : -1;
}

/* What a live job waits for; NULL: for nothing. Within a long step, how far that is. */
static char *
look_at_slot(Shown *job)
{
	char	   *waiting;
	bool		alive;
	int			pid;

	if (strcmp(job->state, "queued") == 0)
	{
		StoredJob  *stored = dbops_job_load(job->id);

		return (stored == NULL) ? NULL : dbops_job_waits_for(stored, dbops_clock_now());
	}
	if (strcmp(job->state, "blocked") == 0)
		return pstrdup("for resume_job or cancel_job");
	if (strcmp(job->state, "paused") == 0)
		return pstrdup("for resume_job");
	if (strcmp(job->state, "running") != 0 || dbops_engine == NULL)
		return NULL;

	/* Its process was stopped, or is another server's: it goes on when it may. */
	waiting = read_slot(job, &alive, &pid);
	return alive ? watch(job, pid, waiting) : dbops_identity_refusal();
}

static char *
read_slot(Shown *job, bool *alive, int *pid)
{
	char	   *waiting = NULL;
	int			index;

	LWLockAcquire(dbops_engine_lock, LW_SHARED);
	index = dbops_runner_find(MyDatabaseId, job->id);
	*alive = (index >= 0 && dbops_engine->runners[index].state != RUNNER_DEAD);
	if (*alive)
	{
		const RunnerSlot *slot = &dbops_engine->runners[index];

		*pid = slot->pid;
		if (slot->waiting[0] != '\0')
			waiting = pstrdup(slot->waiting);
		if (slot->total > 0)
		{
			job->done = slot->done;
			job->total = slot->total;
			job->moved_at = dbops_clock_now();
		}
		job->workers = 1 + dbops_helpers_count(index, NULL);
	}
	LWLockRelease(dbops_engine_lock);
	return waiting;
}

/* Add what the process does within a long statement of its own, where its kind can tell. */
static char *
watch(Shown *job, int pid, char *waiting)
{
	const DbopsJobKind *kind = dbops_job_kind_find(job->kind);
	char	   *sight;

	if (waiting == NULL || pid == 0 || kind == NULL || kind->watch == NULL)
		return waiting;
	sight = kind->watch(pid, &job->done, &job->total);
	if (sight == NULL)
		return waiting;
	job->moved_at = dbops_clock_now();
	return psprintf("%s, %s", waiting, sight);
}

static const char *
phase_name(const Shown *job)
{
	const DbopsJobKind *kind = dbops_job_kind_find(job->kind);

	if (kind == NULL || job->phase >= kind->n_phases)
		return NULL;
	return kind->phases[job->phase].name;
}

static const char *
unit_name(const Shown *job)
{
	const DbopsJobKind *kind = dbops_job_kind_find(job->kind);

	return (kind == NULL) ? NULL : kind->unit;
}

#define TEXT_OR_NULL(i, text) \
	(nulls[i] = ((text) == NULL), values[i] = nulls[i] ? (Datum) 0 : CStringGetTextDatum(text))
#define TIME_OR_NULL(i, time) \
	(nulls[i] = ((time) == 0), values[i] = TimestampTzGetDatum(time))

/* Put one row of jobs(). */
static void
put_shown(ReturnSetInfo *rsinfo, const Shown *job)
{
	Datum		values[18];
	bool		nulls[18] = {false};

	values[0] = Int64GetDatum(job->id);
	TEXT_OR_NULL(1, job->kind);
	TEXT_OR_NULL(2, job->name);
	TEXT_OR_NULL(3, job->state);
	values[4] = ObjectIdGetDatum(job->owner);
	TEXT_OR_NULL(5, job->waiting);
	nulls[6] = (job->total <= 0);
	values[6] = nulls[6] ? (Datum) 0 :
		NumericGetDatum(int64_div_fast_to_numeric(Min(job->done, job->total) * 1000 / job->total, 1));
	nulls[7] = (job->rows < 0);
	values[7] = Int64GetDatum(job->rows);
	nulls[8] = (job->rate <= 0);
	values[8] = nulls[8] ? (Datum) 0 : NumericGetDatum(int64_to_numeric((int64) job->rate));
	nulls[9] = (job->left < 0 || job->finished_at != 0);
	values[9] = nulls[9] ? (Datum) 0 : IntervalPGetDatum(dbops_interval_of_ms((int64) (job->left * 1000)));
	TEXT_OR_NULL(10, job->message);
	values[11] = Int32GetDatum(job->attempts);
	TIME_OR_NULL(12, job->submitted_at);
	TIME_OR_NULL(13, job->started_at);
	TIME_OR_NULL(14, job->finished_at);
	TEXT_OR_NULL(15, job->schedule);
	TEXT_OR_NULL(16, job->open ? job->command : NULL);
	nulls[17] = (job->workers == 0);
	values[17] = Int32GetDatum(job->workers);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* Write a job as a document, for applications. */
static Jsonb *
shown_document(const Shown *job)
{
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	dbops_json_integer(&json, "id", job->id);
	dbops_json_text(&json, "kind", job->kind);
	dbops_json_text(&json, "name", job->name);
	dbops_json_text(&json, "schedule", job->schedule);
	dbops_json_text(&json, "state", job->state);
	dbops_json_text(&json, "owner", GetUserNameFromId(job->owner, true));
	dbops_json_text(&json, "waiting", job->waiting);
	dbops_json_boolean(&json, "cancelling", job->cancelling && job->finished_at == 0);
	dbops_json_boolean(&json, "pausing", job->pausing && job->finished_at == 0);
	dbops_json_integer(&json, "priority", job->priority);
	dbops_json_integer(&json, "attempts", job->attempts);
	dbops_json_integer(&json, "max_attempts", job->max_attempts);
	dbops_json_integer(&json, "crashes", job->crashes);
	dbops_json_text(&json, "sqlstate", job->sqlstate);
	dbops_json_text(&json, "message", job->message);
	dbops_json_time(&json, "submitted_at", job->submitted_at);
	dbops_json_time(&json, "run_after", TIMESTAMP_NOT_FINITE(job->run_after) ? 0 : job->run_after);
	dbops_json_time(&json, "started_at", job->started_at);
	dbops_json_time(&json, "finished_at", job->finished_at);
	put_progress(&json, job);
	dbops_json_text(&json, "command", job->open ? job->command : NULL);
	dbops_json_document(&json, "result", job->open ? job->result : NULL);
	return dbops_json_finish(&json);
}

/* How far a job in steps is; null for others, and when it is over. */
static void
put_progress(DbopsJson *json, const Shown *job)
{
	if (job->began_at == 0)
	{
		dbops_json_null(json, "progress");
		return;
	}
	dbops_json_object(json, "progress");
	dbops_json_text(json, "phase", phase_name(job));
	dbops_json_text(json, "unit", unit_name(job));
	dbops_json_integer(json, "done", job->done);
	dbops_json_integer(json, "total", job->total);
	dbops_json_integer(json, "rows", job->rows);
	dbops_json_decimal(json, "per_second", job->rate);
	if (job->left < 0)
		dbops_json_null(json, "seconds_left");
	else
		dbops_json_decimal(json, "seconds_left", job->left);
	dbops_json_integer(json, "workers", job->workers);
	dbops_json_time(json, "moved_at", job->moved_at);
	dbops_json_object_end(json);
}
