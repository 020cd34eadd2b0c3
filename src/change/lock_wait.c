/*
 * lock_wait.c
 *		Between two tries to get a lock that others hold.
 *
 * Whoever has not got it gives back what it has, so that nobody is kept waiting,
 * and tries again after a time that differs each time, so as not to meet the same
 * others again.
 */
#include "change/lock_wait.h"

#include "common/pg_prng.h"
#include "mb/pg_wchar.h"

#define SHORTEST_PAUSE	50		/* ms between two tries */
#define LONGEST_PAUSE	500

/* How long has it been waited for, since the first try that has failed (ms)? */
double
dbops_lock_wait_lasts(LockWait *wait)
{
	instr_time	now;

	if (!wait->waits)
		INSTR_TIME_SET_CURRENT(wait->since);
	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, wait->since);
	return INSTR_TIME_GET_MILLISEC(now);
}

/* It waits while it tries, too: for a step that is done in a moment when it has its lock. */
void
dbops_lock_wait_shows(const LockWait *wait, DbopsJob *job, int64 done, int64 total)
{
	if (wait->waits)
		(void) dbops_job_goes_on(job, done, total, wait->whom);
}

/* Have the step tried again; true if this is the first wait. */
bool
dbops_lock_wait_again(LockWait *wait, DbopsStep *step, const char *whom)
{
	bool		first = !wait->waits;

	wait->waits = true;
	step->pause = SHORTEST_PAUSE + (long) (pg_prng_double(&pg_global_prng_state) * (LONGEST_PAUSE - SHORTEST_PAUSE));
	step->waiting = psprintf("for a lock of another session: %s", whom);
	strlcpy(wait->whom, step->waiting, pg_mbcliplen(step->waiting, strlen(step->waiting), sizeof(wait->whom) - 1) + 1);
	return first;
}
