/*
 * pending.c
 *		What other files are about to bring; each takes its function from here.
 */
#include "maintain/maintain.h"

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

List *
dbops_schedule_submit_due(TimestampTz now, TimestampTz *next_due)
{
	return NIL;
}
