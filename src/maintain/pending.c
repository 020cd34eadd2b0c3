/*
 * pending.c
 *		What other files are about to bring; each takes its function from here.
 */
#include "maintain/maintain.h"

List *
dbops_schedule_submit_due(TimestampTz now, TimestampTz *next_due)
{
	return NIL;
}
