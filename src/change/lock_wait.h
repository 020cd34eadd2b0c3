/*
 * lock_wait.h
 *		Between two tries to get a lock that others hold.
 */
#ifndef DBOPS_LOCK_WAIT_H
#define DBOPS_LOCK_WAIT_H

#include "core/job.h"

#include "portability/instr_time.h"

typedef struct LockWait
{
	bool		waits;			/* a try has failed */
	char		whom[256];		/* that it waits for, as jobs() tells it */
	instr_time	since;
} LockWait;

extern double dbops_lock_wait_lasts(LockWait *wait);
extern void dbops_lock_wait_shows(const LockWait *wait, DbopsJob *job, int64 done, int64 total);
extern bool dbops_lock_wait_again(LockWait *wait, DbopsStep *step, const char *whom);

#endif							/* DBOPS_LOCK_WAIT_H */
