/*
 * due.c
 *		Turn what is due, schedules and policies, into jobs; run_maintenance().
 *
 * A job and the next time of what it comes from are written in one transaction,
 * so that a crash neither repeats nor loses a run. Whoever comes first locks
 * the row, and nobody waits for that lock: a second scheduler, or a session's
 * run_maintenance(), passes it by. One that cannot be submitted, because its
 * role or zone is not there any more, is noted as such and tried again later,
 * and does not hold up the others.
 */
#include "maintain/maintain.h"

#include "maintain/policy.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/syscache.h"
#include "utils/tuplestore.h"

#define LATE			60000	/* ms after which a time counts as missed */
#define MOST_STEPS		1000	/* times that are counted one by one */
#define TRY_BROKEN		600000L /* ms until what is broken is tried again */
#define LOOK_AGAIN		10000L	/* ms until what somebody has locked is */

PG_FUNCTION_INFO_V1(dbops_run_maintenance);

static const DueSource *const sources[] = {&dbops_schedule_source, &dbops_policy_source};

static List *submit_all(TimestampTz now, bool own);
static List *submit(const DueSource *source, TimestampTz now, bool own);
static void take_due(HeapTuple row, TupleDesc desc, void *arg);
static void submit_one(void *arg);
static void note_failure(const Due *due, const ErrorData *error);
static bool passes(int sqlstate);
static TimestampTz next_look(const DueSource *source, TimestampTz now);

/* Submit all that is due; for the scheduler. next_due is lowered to when the next is. */
void
dbops_due_submit(TimestampTz now, TimestampTz *next_due)
{
	(void) submit_all(now, false);
	for (int i = 0; i < lengthof(sources); i++)
		*next_due = Min(*next_due, next_look(sources[i], now));
}

/* run_maintenance() → the ids of the jobs that were submitted */
Datum
dbops_run_maintenance(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	foreach(cell, submit_all(dbops_clock_now(), true))
	{
		Datum		value = Int64GetDatum(((Due *) lfirst(cell))->job);
		bool		isnull = false;

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, &value, &isnull);
	}
	dbops_at_commit(dbops_engine_wake_at_commit, NULL);
	return (Datum) 0;
}

/* Submit what is due; own: only of roles that the caller may act for. Returns what has become a job. */
static List *
submit_all(TimestampTz now, bool own)
{
	List	   *submitted = NIL;

	dbops_policy_forget_dropped(own);
	for (int i = 0; i < lengthof(sources); i++)
		submitted = list_concat(submitted, submit(sources[i], now, own));
	return submitted;
}

static List *
submit(const DueSource *source, TimestampTz now, bool own)
{
	DbopsParam	param = dbops_param_time(now);
	List	   *all = NIL;
	List	   *submitted = NIL;
	ListCell   *cell;

	dbops_store_each(psprintf("SELECT %s::text, name, owner, broken FROM dbops.%s WHERE %s AND next_run <= $1 ORDER BY next_run, name",
							  source->key, source->table, source->active),
					 1, &param, take_due, &all);
	foreach(cell, all)
	{
		Due		   *due = lfirst(cell);
		ErrorData  *error;

		if (own && !dbops_acts_for(due->owner))
			continue;
		due->source = source;
		due->now = now;
		if (!dbops_attempt(submit_one, due, &error))
			note_failure(due, error);
		else if (due->job != 0)
			submitted = lappend(submitted, due);
	}
	return submitted;
}

static void
take_due(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **all = arg;
	Due		   *due = palloc0(sizeof(Due));

	due->key = dbops_row_text(row, desc, 1);
	due->name = dbops_row_text(row, desc, 2);
	due->owner = dbops_row_oid(row, desc, 3);
	due->broken = dbops_row_bool(row, desc, 4);
	*all = lappend(*all, due);
}

static void
submit_one(void *arg)
{
	Due		   *due = arg;

	due->job = 0;
	due->source->submit(due);
}

/* ---- what the sources need ---- */

/* Refuse what belongs to a role that is gone. */
void
dbops_due_require_role(Oid role)
{
	if (!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(role)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("role with OID %u does not exist any more", role)));
}

/* Find the latest time that is due, and how many came before it; broken: it was tried in vain. */
DueTimes
dbops_due_times(const Recurrence *recurrence, TimestampTz next_run, bool broken, TimestampTz now)
{
	DueTimes	found = {.time = next_run};

	found.next = dbops_recurrence_next(recurrence, found.time);
	while (found.next <= now)
	{
		/* After a long time only the latest are looked at. */
		if (++found.dropped == MOST_STEPS)
			found.next = Max(found.next, dbops_recurrence_next(recurrence, TimestampTzPlusMilliseconds(now, -LATE)));
		if (found.next > now)
			break;
		found.time = found.next;
		found.next = dbops_recurrence_next(recurrence, found.time);
	}
	found.missed = broken || TimestampDifferenceExceeds(found.time, now, LATE);
	return found;
}

/* ---- what is written down ---- */

/* Note what became of a run, how many were left out, and when the next is. */
void
dbops_due_note(const Due *due, const DueTimes *times, int64 skipped, const char *reason)
{
	DbopsParam	params[] = {
		dbops_param_text(due->key),
		dbops_param_time(times->next),
		dbops_param_time(times->time),
		dbops_param_int8(due->job),
		dbops_param_int8(skipped),
		dbops_param_text(reason)
	};

	dbops_store_each(psprintf("UPDATE dbops.%s SET next_run = $2, skipped = skipped + $5, note = left($6, 1000), broken = false,"
							  " last_run = CASE WHEN $4 <> 0 THEN $3 ELSE last_run END,"
							  " last_job = CASE WHEN $4 <> 0 THEN $4 ELSE last_job END"
							  " WHERE %s",
							  due->source->table, due->source->is_key),
					 lengthof(params), params, NULL, NULL);
}

/*
 * Note that it cannot be submitted, unless somebody has locked it. The log
 * says so once, and nothing of what passes: that is looked at again soon.
 */
static void
note_failure(const Due *due, const ErrorData *error)
{
	const DueSource *source = due->source;
	DbopsParam	params[] = {
		dbops_param_text(due->key),
		dbops_param_time(TimestampTzPlusMilliseconds(due->now, TRY_BROKEN)),
		dbops_param_text(error->message),
		dbops_param_time(due->now)
	};

	if (passes(error->sqlerrcode))
		return;
	if (!due->broken)
		ereport(LOG,
				(errmsg("%s \"%s\" cannot be run: %s", source->noun, due->name, error->message)));
	dbops_store_each(psprintf("UPDATE dbops.%s SET next_run = $2, note = left($3, 1000), broken = true, skipped = skipped + 1"
							  " WHERE ctid = (SELECT ctid FROM dbops.%s"
							  " WHERE %s AND %s AND next_run <= $4 FOR UPDATE SKIP LOCKED)",
							  source->table, source->table, source->is_key, source->active),
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

/* When the next one is due; what is locked is looked at again soon. */
static TimestampTz
next_look(const DueSource *source, TimestampTz now)
{
	DbopsParam	params[] = {
		dbops_param_time(now),
		dbops_param_time(TimestampTzPlusMilliseconds(now, LOOK_AGAIN))
	};
	Datum		next;

	if (!dbops_store_value(psprintf("SELECT min(CASE WHEN next_run <= $1 THEN $2 ELSE next_run END) FROM dbops.%s WHERE %s",
									source->table, source->active),
						   lengthof(params), params, TIMESTAMPTZOID, &next))
		return DT_NOEND;
	return DatumGetTimestampTz(next);
}
