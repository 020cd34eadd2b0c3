/*
 * schedule_submit.c
 *		Turn schedules that are due into jobs.
 *
 * A job and the next time of its schedule are written in one transaction, so
 * that a crash neither repeats nor loses a run. Whoever comes first locks the
 * schedule's row, and nobody waits for that lock: a second scheduler, or a
 * session's run_maintenance(), passes it by. One schedule that cannot be
 * submitted, because its role or zone is not there any more, is noted as such
 * and tried again later, and does not hold up the others.
 */
#include "maintain/maintain.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/syscache.h"
#include "utils/tuplestore.h"

#define LATE			60000	/* ms after which a time counts as missed */
#define MOST_STEPS		1000	/* times that are counted one by one */
#define TRY_BROKEN		600000L /* ms until a broken schedule is tried again */
#define LOOK_AGAIN		10000L	/* ms until one that somebody has locked is */

PG_FUNCTION_INFO_V1(dbops_run_maintenance);

/* A schedule that is due, on its way to a job. */
typedef struct Due
{
	char	   *name;
	Oid			owner;
	bool		broken;			/* it was when it was last tried */
	TimestampTz now;
	int64		job;			/* what has become of it; 0: none */
} Due;

/* What a schedule has to make up for. */
typedef struct Occurrence
{
	TimestampTz time;			/* the last that is not after now */
	TimestampTz next;			/* the first that is */
	int64		dropped;		/* before it */
	bool		missed;			/* it is long ago */
} Occurrence;

static List *submit(TimestampTz now, bool own);
static void take_due(HeapTuple row, TupleDesc desc, void *arg);
static void submit_one(void *arg);
static void require_role(const StoredSchedule *schedule);
static Occurrence occurrence(const StoredSchedule *schedule, TimestampTz now);
static char *judge(const StoredSchedule *schedule, const Occurrence *due);
static int64 submit_job(const StoredSchedule *schedule, TimestampTz occurrence);
static TimestampTz spread(const StoredSchedule *schedule, TimestampTz occurrence);
static void note_outcome(const StoredSchedule *schedule, const Occurrence *due, int64 job, const char *reason);
static void note_failure(const Due *due, const ErrorData *error);
static bool passes(int sqlstate);
static TimestampTz next_look(TimestampTz now);

/* Submit all that is due; for the scheduler. next_due is lowered to when the next is. */
List *
dbops_schedule_submit_due(TimestampTz now, TimestampTz *next_due)
{
	List	   *ids = submit(now, false);

	*next_due = Min(*next_due, next_look(now));
	return ids;
}

/* run_maintenance() → the ids of the jobs that were submitted */
Datum
dbops_run_maintenance(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	foreach(cell, submit(dbops_clock_now(), true))
	{
		Datum		value = Int64GetDatum(*(int64 *) lfirst(cell));
		bool		isnull = false;

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, &value, &isnull);
	}
	dbops_at_commit(dbops_engine_wake_at_commit, NULL);
	return (Datum) 0;
}

/* Submit what is due; own: only of roles that the caller may act for. */
static List *
submit(TimestampTz now, bool own)
{
	DbopsParam	param = dbops_param_time(now);
	List	   *all = NIL;
	List	   *ids = NIL;
	ListCell   *cell;

	dbops_store_each("SELECT name, owner, broken FROM dbops.schedule WHERE active AND next_run <= $1 ORDER BY next_run, name",
					 1, &param, take_due, &all);
	foreach(cell, all)
	{
		Due		   *due = lfirst(cell);
		ErrorData  *error;

		if (own && !dbops_acts_for(due->owner))
			continue;
		due->now = now;
		if (!dbops_attempt(submit_one, due, &error))
			note_failure(due, error);
		else if (due->job != 0)
			ids = lappend(ids, &due->job);
	}
	return ids;
}

static void
take_due(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **all = arg;
	Due		   *due = palloc0(sizeof(Due));

	due->name = dbops_row_text(row, desc, 1);
	due->owner = dbops_row_oid(row, desc, 2);
	due->broken = dbops_row_bool(row, desc, 3);
	*all = lappend(*all, due);
}

/* Submit one schedule, unless it is locked or has been submitted meanwhile. */
static void
submit_one(void *arg)
{
	Due		   *due = arg;
	StoredSchedule *schedule = dbops_schedule_lock_due(due->name, due->now);
	Occurrence	times;
	char	   *reason;

	due->job = 0;
	if (schedule == NULL || schedule->owner != due->owner)
		return;
	require_role(schedule);
	times = occurrence(schedule, due->now);
	reason = judge(schedule, &times);
	if (reason == NULL)
		due->job = submit_job(schedule, times.time);
	note_outcome(schedule, &times, due->job, reason);
}

/* Refuse a schedule whose role cannot run it any more. */
static void
require_role(const StoredSchedule *schedule)
{
	if (!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(schedule->owner)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("role with OID %u does not exist any more", schedule->owner)));
	dbops_command_require_login(schedule->owner);
}

/* ---- what to run ---- */

/* Find the latest time that is due, and how many came before it. */
static Occurrence
occurrence(const StoredSchedule *schedule, TimestampTz now)
{
	Recurrence	recurrence = dbops_recurrence(schedule->schedule, schedule->time_window, schedule->time_zone);
	Occurrence	found = {.time = schedule->next_run};

	found.next = dbops_recurrence_next(&recurrence, found.time);
	while (found.next <= now)
	{
		/* After a long time only the latest are looked at. */
		if (++found.dropped == MOST_STEPS)
			found.next = Max(found.next, dbops_recurrence_next(&recurrence, TimestampTzPlusMilliseconds(now, -LATE)));
		if (found.next > now)
			break;
		found.time = found.next;
		found.next = dbops_recurrence_next(&recurrence, found.time);
	}
	found.missed = schedule->broken || TimestampDifferenceExceeds(found.time, now, LATE);
	return found;
}

/* Why there is no run this time; NULL: there is. */
static char *
judge(const StoredSchedule *schedule, const Occurrence *due)
{
	if (due->missed && strcmp(schedule->missed, "skip") == 0)
		return psprintf("missed: the run of %s was not begun in time", timestamptz_to_str(due->time));
	return dbops_schedule_overlap(schedule);
}

/* ---- its job ---- */

static int64
submit_job(const StoredSchedule *schedule, TimestampTz occurrence)
{
	DbopsJobRequest request = {
		.kind = "command",
		.name = schedule->name,
		.owner = schedule->owner,
		.path = schedule->path,
		.command = schedule->command,
		.class = schedule->class,
		.atomic = schedule->atomic,
		.idempotent = schedule->idempotent,
		.priority = schedule->priority,
		.run_after = spread(schedule, occurrence),
		.timeout = schedule->timeout,
		.lock_timeout = schedule->lock_timeout,
		.max_attempts = schedule->max_attempts,
		.backoff = schedule->backoff,
		.schedule = schedule->name,
		.time_window = schedule->time_window,
		.time_zone = schedule->time_zone
	};

	return dbops_job_submit(&request);
}

/*
 * Move a time by a part of the jitter, one that is the same whenever it is
 * asked for and differs between schedules, databases and servers. What would
 * leave the window stays where it is.
 */
static TimestampTz
spread(const StoredSchedule *schedule, TimestampTz occurrence)
{
	uint64		seed = (uint64) occurrence ^ GetSystemIdentifier() ^ ((uint64) MyDatabaseId << 32);
	uint64		hash = hash_bytes_extended((const unsigned char *) schedule->name, strlen(schedule->name), seed);
	TimestampTz later = occurrence + (hash % (schedule->jitter * 1000 + 1));

	if (schedule->time_window != NULL &&
		!dbops_window_open(dbops_window_parse(schedule->time_window), later, dbops_zone_require(schedule->time_zone)))
		return occurrence;
	return later;
}

/* ---- what is written down ---- */

/* Note what became of a run, and when the next is. */
static void
note_outcome(const StoredSchedule *schedule, const Occurrence *due, int64 job, const char *reason)
{
	DbopsParam	params[] = {
		dbops_param_text(schedule->name),
		dbops_param_time(due->next),
		dbops_param_time(due->time),
		dbops_param_int8(job),
		dbops_param_int8(due->dropped + (reason != NULL ? 1 : 0)),
		dbops_param_text(reason)
	};

	dbops_store_each("UPDATE dbops.schedule SET next_run = $2, skipped = skipped + $5, note = $6, broken = false,"
					 " last_run = CASE WHEN $4 <> 0 THEN $3 ELSE last_run END,"
					 " last_job = CASE WHEN $4 <> 0 THEN $4 ELSE last_job END"
					 " WHERE name = $1",
					 lengthof(params), params, NULL, NULL);
}

/*
 * Note that it cannot be submitted, unless somebody has locked it. The log
 * says so once, and nothing of what passes: that is looked at again soon.
 */
static void
note_failure(const Due *due, const ErrorData *error)
{
	DbopsParam	params[] = {
		dbops_param_text(due->name),
		dbops_param_time(TimestampTzPlusMilliseconds(due->now, TRY_BROKEN)),
		dbops_param_text(error->message),
		dbops_param_time(due->now)
	};

	if (passes(error->sqlerrcode))
		return;
	if (!due->broken)
		ereport(LOG,
				(errmsg("schedule \"%s\" cannot be run: %s", due->name, error->message)));
	dbops_store_each("UPDATE dbops.schedule SET next_run = $2, note = left($3, 1000), broken = true, skipped = skipped + 1"
					 " WHERE ctid = (SELECT ctid FROM dbops.schedule"
					 " WHERE name = $1 AND active AND next_run <= $4 FOR UPDATE SKIP LOCKED)",
					 lengthof(params), params, NULL, NULL);
}

/* Is it an error of the moment, such as a conflict with another session? */
static bool
passes(int sqlstate)
{
	int			category = ERRCODE_TO_CATEGORY(sqlstate);

	return category == ERRCODE_TRANSACTION_ROLLBACK || category == ERRCODE_INSUFFICIENT_RESOURCES ||
		sqlstate == ERRCODE_LOCK_NOT_AVAILABLE;
}

/* When the next schedule is due; what is locked is looked at again soon. */
static TimestampTz
next_look(TimestampTz now)
{
	DbopsParam	param = dbops_param_time(TimestampTzPlusMilliseconds(now, LOOK_AGAIN));
	DbopsParam	params[] = {dbops_param_time(now), param};
	Datum		next;

	if (!dbops_store_value("SELECT min(CASE WHEN next_run <= $1 THEN $2 ELSE next_run END) FROM dbops.schedule WHERE active",
						   lengthof(params), params, TIMESTAMPTZOID, &next))
		return DT_NOEND;
	return DatumGetTimestampTz(next);
}
