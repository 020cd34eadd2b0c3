/*
 * schedule_overlap.c
 *		Runs of one schedule beside each other: they follow one another.
 *
 * When a run is due, the jobs of the runs before decide whether there is to be
 * one. When there is, its job waits until theirs have ended, so that no two
 * ever run at a time, whatever cancelling or repeating them takes.
 */
#include "maintain/maintain.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

/* A job that has not ended, of the schedule. */
typedef struct LiveJob
{
	int64		id;
	char	   *state;
	char	   *sqlstate;		/* or NULL */
	int			attempts;
} LiveJob;

static List *live_jobs(const StoredSchedule *schedule);
static void take_live(HeapTuple row, TupleDesc desc, void *arg);
static List *end_blocked(List *live, char **reason);
static bool waits(const LiveJob *job);
static void supersede(int64 id);

/*
 * Why a schedule is not run again now for the sake of its earlier runs; NULL:
 * it is. Those are cancelled or ended where that makes room for it.
 */
char *
dbops_schedule_overlap(const StoredSchedule *schedule)
{
	char	   *reason = NULL;
	List	   *live = end_blocked(live_jobs(schedule), &reason);
	LiveJob    *first = (live == NIL) ? NULL : linitial(live);
	ListCell   *cell;

	if (first == NULL || reason != NULL)
		return reason;
	if (strcmp(schedule->overlap, "cancel_old") == 0)
	{
		foreach(cell, live)
			(void) dbops_job_cancel(((LiveJob *) lfirst(cell))->id);
		return NULL;
	}
	if (strcmp(schedule->overlap, "queue_one") == 0 && list_length(live) == 1 && !waits(first))
		return NULL;
	return psprintf("skipped: job " INT64_FORMAT " has not ended (%s)", first->id, first->state);
}

/*
 * Load the schedule's jobs that have not ended, the oldest first. Those of
 * another role are of a schedule that had the name before.
 */
static List *
live_jobs(const StoredSchedule *schedule)
{
	DbopsParam	params[] = {dbops_param_text(schedule->name), dbops_param_oid(schedule->owner)};
	List	   *live = NIL;

	dbops_store_each("SELECT id, state, sqlstate, attempts FROM dbops.job"
					 " WHERE finished_at IS NULL AND kind = 'command' AND schedule = $1 AND owner = $2 ORDER BY id",
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
	job->sqlstate = dbops_row_text(row, desc, 3);
	job->attempts = dbops_row_int4(row, desc, 4);
	*live = lappend(*live, job);
}

/*
 * End the blocked jobs: the new run is a better try than an old one that
 * waits for a human. Only what may have been done already must be judged by
 * one before it is done again. Returns the others.
 */
static List *
end_blocked(List *live, char **reason)
{
	List	   *others = NIL;
	ListCell   *cell;

	foreach(cell, live)
	{
		LiveJob    *job = lfirst(cell);

		if (strcmp(job->state, "blocked") != 0)
			others = lappend(others, job);
		else if (job->sqlstate != NULL &&
				 strcmp(job->sqlstate, unpack_sql_state(ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN)) == 0)
			*reason = psprintf("skipped: the outcome of job " INT64_FORMAT " is unknown; call resume_job or cancel_job", job->id);
		else
			supersede(job->id);
	}
	return others;
}

/* Is the job one that has not begun? */
static bool
waits(const LiveJob *job)
{
	return strcmp(job->state, "queued") == 0 && job->attempts == 0;
}

static void
supersede(int64 id)
{
	DbopsParam	params[] = {dbops_param_int8(id), dbops_param_time(dbops_clock_now())};

	dbops_store_each("UPDATE dbops.job SET state = 'failed', finished_at = $2,"
					 " message = left('gave way to the next run of its schedule; it was blocked: ' || coalesce(message, ''), 1000)"
					 " WHERE id = $1 AND state = 'blocked'",
					 lengthof(params), params, NULL, NULL);
}

/*
 * Which job a job of a schedule waits for, because runs of one schedule follow
 * each other; NULL: for none.
 */
char *
dbops_schedule_obstacle(int64 job)
{
	DbopsParam	param = dbops_param_int8(job);
	Datum		other;

	if (!dbops_store_value("SELECT o.id FROM dbops.job j JOIN dbops.job o ON (o.kind, o.schedule, o.owner) = (j.kind, j.schedule, j.owner)"
						   " WHERE j.id = $1 AND o.id < j.id AND o.finished_at IS NULL ORDER BY o.id LIMIT 1",
						   1, &param, INT8OID, &other))
		return NULL;
	return psprintf("for job " INT64_FORMAT ", the run before of the same schedule", DatumGetInt64(other));
}
