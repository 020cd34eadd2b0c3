/*
 * recurrence.c
 *		The times of a schedule: its cron line seen through its window.
 *
 * A time outside the window is moved to when the window opens, and several
 * that are moved there are one. So a schedule with a window runs in it, once
 * at its opening for all that came while it was closed.
 */
#include "maintain/maintain.h"

#include "miscadmin.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#define MOST_RUNS	1000

PG_FUNCTION_INFO_V1(dbops_next_runs);

static Recurrence previewed(FunctionCallInfo fcinfo, TimestampTz *first);
static Recurrence of_schedule(const char *name, TimestampTz *first);
static char *text_or_null(FunctionCallInfo fcinfo, int number);

/* Read what says when something recurs, or refuse it. */
Recurrence
dbops_recurrence(const char *schedule, const char *time_window, const char *time_zone)
{
	return (Recurrence)
	{
		.zone = dbops_zone_require(time_zone),
		.cron = dbops_cron_parse(schedule),
		.window = (time_window == NULL) ? NULL : dbops_window_parse(time_window)
	};
}

/* The first time after another; DT_NOEND if there is none. */
TimestampTz
dbops_recurrence_next(const Recurrence *recurrence, TimestampTz after)
{
	TimestampTz next = dbops_cron_next(recurrence->cron, after, recurrence->zone);

	if (recurrence->window != NULL)
		next = dbops_window_next(recurrence->window, next, recurrence->zone);
	return next;
}

/*
 * next_runs(name text, n int, schedule text, time_zone text, time_window text)
 *		→ when a schedule, or one that is given here, runs next
 */
Datum
dbops_next_runs(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	int			count = PG_ARGISNULL(1) ? 5 : PG_GETARG_INT32(1);
	TimestampTz next;
	Recurrence	recurrence = previewed(fcinfo, &next);

	if (count < 1 || count > MOST_RUNS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("n must be between 1 and %d", MOST_RUNS)));
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	for (int i = 0; i < count && !TIMESTAMP_NOT_FINITE(next); i++)
	{
		Datum		value = TimestampTzGetDatum(next);
		bool		isnull = false;

		CHECK_FOR_INTERRUPTS();
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, &value, &isnull);
		next = dbops_recurrence_next(&recurrence, next);
	}
	return (Datum) 0;
}

/* Take what is to be previewed, and when it runs first. */
static Recurrence
previewed(FunctionCallInfo fcinfo, TimestampTz *first)
{
	const char *name = text_or_null(fcinfo, 0);
	const char *schedule = text_or_null(fcinfo, 2);
	const char *zone = text_or_null(fcinfo, 3);
	Recurrence	recurrence;

	if ((name == NULL) == (schedule == NULL))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("either name or schedule must be given"),
				 errhint("Such as next_runs('nightly'), or next_runs(schedule => '0 3 * * *', time_zone => 'Europe/Berlin').")));
	if (name != NULL)
		return of_schedule(name, first);
	recurrence = dbops_recurrence(schedule, text_or_null(fcinfo, 4),
								  zone != NULL ? zone : pg_get_timezone_name(session_timezone));
	*first = dbops_recurrence_next(&recurrence, dbops_clock_now());
	return recurrence;
}

/* The same of a stored schedule; one that is not active as if it were. */
static Recurrence
of_schedule(const char *name, TimestampTz *first)
{
	StoredSchedule *stored = dbops_schedule_load(name);
	Recurrence	recurrence;

	if (stored == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no schedule \"%s\" in this database", name),
				 errhint("See dbops.policies().")));
	recurrence = dbops_recurrence(stored->schedule, stored->time_window, stored->time_zone);
	*first = stored->active ? stored->next_run : dbops_recurrence_next(&recurrence, dbops_clock_now());
	return recurrence;
}

static char *
text_or_null(FunctionCallInfo fcinfo, int number)
{
	return PG_ARGISNULL(number) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(number));
}
