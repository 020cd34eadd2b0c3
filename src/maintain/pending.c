/*
 * pending.c
 *		What other files are about to bring; each takes its function from here.
 */
#include "maintain/maintain.h"

char *
dbops_identity_refusal(void)
{
	return dbops_enabled ? NULL : pstrdup("dbops.enabled is off");
}

void
dbops_crash_watch(void)
{
}

bool
dbops_crash_was_first(Oid database, int64 job)
{
	return false;
}

char *
dbops_gate_closed(bool heavy)
{
	return NULL;
}

char *
dbops_gate_paused(void)
{
	return NULL;
}

Window *
dbops_window_parse(const char *text)
{
	return NULL;
}

bool
dbops_window_open(const Window *window, TimestampTz at, struct pg_tz *zone)
{
	return true;
}

TimestampTz
dbops_window_next(const Window *window, TimestampTz after, struct pg_tz *zone)
{
	return after;
}

List *
dbops_schedule_submit_due(TimestampTz now, TimestampTz *next_due)
{
	return NIL;
}
