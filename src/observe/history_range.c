/*
 * history_range.c
 *		The time that is asked about, as all calls take it that read history.
 */
#include "observe/history.h"

#include "common/int.h"

/*
 * Take since and until, the second of which follows in the arguments. Where one
 * is not given, it is so long before until, which is now.
 */
void
dbops_history_range(FunctionCallInfo fcinfo, int number, TimestampTz usual, const char *usually,
					TimestampTz *since, TimestampTz *until)
{
	int64		length;

	*until = PG_ARGISNULL(number + 1) ? dbops_clock_now() : PG_GETARG_TIMESTAMPTZ(number + 1);
	*since = !PG_ARGISNULL(number) ? PG_GETARG_TIMESTAMPTZ(number) :
		TIMESTAMP_NOT_FINITE(*until) ? 0 : *until - usual;
	if (TIMESTAMP_NOT_FINITE(*since) || TIMESTAMP_NOT_FINITE(*until))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("since and until must be finite"),
				 errhint("Such as now() - interval '7 days'; without since, it is %s before until.", usually)));
	if (*since >= *until)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("since must be before until"),
				 errhint("Without until, it is now; without since, %s before until.", usually)));
	if (pg_sub_s64_overflow(*until, *since, &length))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("since and until are farther apart than can be told"),
				 errhint("Such as now() - interval '7 days'; there is no history of other centuries.")));
}
