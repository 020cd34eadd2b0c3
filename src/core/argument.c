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
