/*
 * enqueue.c
 *		enqueue(): have a command run in the background.
 *
 * What can be known when a job is submitted is refused then: the caller is
 * still there to mend it.
 */
#include "maintain/maintain.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(dbops_enqueue);

/*
 * enqueue(command text, name text, run_after timestamptz, timeout interval,
 *		   lock_timeout interval, max_attempts int, backoff interval,
 *		   priority int, dedupe_key text, idempotent bool) → bigint
 */
Datum
dbops_enqueue(PG_FUNCTION_ARGS)
{
	DbopsJobRequest request = {.kind = "command",.owner = GetUserId()};
	CommandText checked;

	dbops_require_argument(fcinfo, 0, "command");
	request.command = text_to_cstring(PG_GETARG_TEXT_PP(0));
	checked = dbops_command_check(request.command);
	dbops_require_login(request.owner);

	request.name = PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1));
	request.run_after = PG_ARGISNULL(2) ? 0 : PG_GETARG_TIMESTAMPTZ(2);
	request.timeout = dbops_timeout_argument(fcinfo, 3, "timeout");
	request.lock_timeout = dbops_timeout_argument(fcinfo, 4, "lock_timeout");
	request.max_attempts = dbops_attempts_argument(fcinfo, 5);
	request.backoff = dbops_timeout_argument(fcinfo, 6, "backoff");
	request.priority = PG_ARGISNULL(7) ? 0 : PG_GETARG_INT32(7);
	request.dedupe_key = PG_ARGISNULL(8) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(8));
	request.idempotent = checked.repeatable || (!PG_ARGISNULL(9) && PG_GETARG_BOOL(9));
	request.path = dbops_query_submission_path();
	request.atomic = checked.atomic;
	request.class = checked.class;
	PG_RETURN_INT64(dbops_job_submit(&request));
}

/* Take an interval argument for milliseconds; null is 0, and 0 is refused. */
long
dbops_timeout_argument(FunctionCallInfo fcinfo, int number, const char *name)
{
	long		ms;

	if (PG_ARGISNULL(number))
		return 0;
	ms = dbops_interval_ms(PG_GETARG_INTERVAL_P(number));
	if (ms < 1 || ms > MAX_TIMEOUT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be more than 0 and at most %d days", name, (int) (MAX_TIMEOUT / 86400000L)),
				 errhint("Give null for none.")));
	return ms;
}

/* Take the argument max_attempts. */
int
dbops_attempts_argument(FunctionCallInfo fcinfo, int number)
{
	int			attempts = PG_ARGISNULL(number) ? 1 : PG_GETARG_INT32(number);

	if (attempts < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_attempts must be at least 1")));
	return attempts;
}
