/*
 * clock.c
 *		What time it is, as far as dbops is concerned.
 *
 * Everything that compares a time with now asks here, so that a test can set
 * the time (dbops.test_now, superusers only) where it would otherwise sleep.
 * How long work took is measured, not asked for here.
 */
#include "core/core.h"

/* Say what time it is. */
TimestampTz
dbops_clock_now(void)
{
	if (dbops_test_now > 0)
		return time_t_to_timestamptz((pg_time_t) dbops_test_now);
	return GetCurrentTimestamp();
}
