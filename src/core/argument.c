/*
 * argument.c
 *		Arguments of SQL functions, as all of them take them.
 */
#include "core/core.h"

#include <math.h>

#include "utils/builtins.h"
#include "utils/timestamp.h"

/* Refuse a null where there must be a value; those functions are not STRICT, to say so. */
void
dbops_require_argument(FunctionCallInfo fcinfo, int number, const char *name)
{
	if (PG_ARGISNULL(number))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name)));
}

/* A text; null is NULL. */
char *
dbops_text_argument(FunctionCallInfo fcinfo, int number)
{
	return PG_ARGISNULL(number) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(number));
}

/* A reason that somebody can read later: there must be one, of bounded length. */
char *
dbops_reason_argument(FunctionCallInfo fcinfo, int number)
{
	char	   *reason = PG_ARGISNULL(number) ? "" : dbops_text_argument(fcinfo, number);

	if (strspn(reason, " \t\r\n") == strlen(reason))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("reason must not be empty"),
				 errhint("Say why, for those who wonder later.")));
	if (strlen(reason) >= NOTE_REASON_SIZE)
		ereport(ERROR,
				(errcode(ERRCODE_STRING_DATA_RIGHT_TRUNCATION),
				 errmsg("reason must not be longer than %d bytes", NOTE_REASON_SIZE - 1),
				 errhint("Say it in a sentence.")));
	return reason;
}

/* Until when something is so: a time to come, and not for ever. */
TimestampTz
dbops_until_argument(FunctionCallInfo fcinfo, int number)
{
	TimestampTz until = PG_ARGISNULL(number) ? DT_NOEND : PG_GETARG_TIMESTAMPTZ(number);

	if (TIMESTAMP_NOT_FINITE(until))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("until must be given"),
				 errhint("Such as now() + interval '1 hour'; it ends by itself then.")));
	if (until <= dbops_clock_now())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("until must be in the future"),
				 errhint("Such as now() + interval '1 hour'.")));
	return until;
}

/* An interval in milliseconds, rounded up; a month has 30 days. */
int64
dbops_interval_ms(const Interval *interval)
{
	double		seconds = interval->time / (double) USECS_PER_SEC +
		(double) SECS_PER_DAY * (interval->day + (double) DAYS_PER_MONTH * interval->month);
	double		ms = ceil(seconds * 1000);

	return (int64) Min(Max(ms, -1e15), 1e15);
}

/* Milliseconds as an interval. */
Interval *
dbops_interval_of_ms(int64 ms)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->time = ms * 1000;
	return interval;
}

/* An interval as everybody reads it, whatever the style of the session. */
char *
dbops_interval_text(const Interval *interval)
{
	int			nest_level = NewGUCNestLevel();
	char	   *text;

	dbops_set_nested("intervalstyle", "postgres");
	text = DatumGetCString(DirectFunctionCall1(interval_out, IntervalPGetDatum(interval)));
	AtEOXact_GUC(false, nest_level);
	return text;
}
