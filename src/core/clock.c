/*
 * clock.c
 *		What time it is, as far as dbops is concerned.
 *
 * Everything that compares a time with now asks here, so that a test can set
 * the time (dbops.test_now, superusers only) where it would otherwise sleep.
 * How long work took is measured, not asked for here.
 */
#include "core/core.h"

#include <math.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "portability/instr_time.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/timeout.h"

static void take_back_timeout(void);

/* Say what time it is. */
TimestampTz
dbops_clock_now(void)
{
	if (dbops_test_now > 0 && (dbops_test_clock || !AmBackgroundWorkerProcess()))
		return time_t_to_timestamptz(0) + llround(dbops_test_now * USECS_PER_SEC);
	return GetCurrentTimestamp();
}

/*
 * Let the timeouts of statement and transaction begin anew: a procedure that
 * commits means each of its steps, not the sum of them.
 */
void
dbops_clock_restart_timeouts(void)
{
	take_back_timeout();
	if (StatementTimeout > 0)
		enable_timeout_after(STATEMENT_TIMEOUT, StatementTimeout);
	if (TransactionTimeout > 0)
		enable_timeout_after(TRANSACTION_TIMEOUT, TransactionTimeout);
}

/*
 * What was done before statement_timeout was noticed is done: take its cancel
 * back, which would be a user's without the mark that arming it anew removes.
 */
static void
take_back_timeout(void)
{
	if (StatementTimeout > 0 && get_timeout_indicator(STATEMENT_TIMEOUT, true))
		QueryCancelPending = false;
}

/* Wait between two steps, which the timeouts are not about. */
void
dbops_clock_pause(long ms)
{
	if (ms <= 0)
		return;
	take_back_timeout();
	if (StatementTimeout > 0)
		disable_timeout(STATEMENT_TIMEOUT, false);
	if (TransactionTimeout > 0)
		disable_timeout(TRANSACTION_TIMEOUT, false);
	dbops_clock_wait(ms);
	dbops_clock_restart_timeouts();
}

/* Wait for so many milliseconds; a cancel or the end of the server ends it. */
void
dbops_clock_wait(long ms)
{
	instr_time	begin;
	instr_time	now;
	long		left = ms;

	INSTR_TIME_SET_CURRENT(begin);
	while (left > 0)
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 left, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();

		INSTR_TIME_SET_CURRENT(now);
		INSTR_TIME_SUBTRACT(now, begin);
		left = ms - (long) INSTR_TIME_GET_MILLISEC(now);
	}
}
