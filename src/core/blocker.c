/*
 * blocker.c
 *		Who has the lock that is waited for?
 *
 * When a wait for a lock has timed out, the server does not say any more which
 * lock that was. So a clock looks at what the session waits for, often enough
 * to see every wait that lasts as long as lock_timeout, and remembers it.
 *
 * The server looks for a deadlock once in a wait, and so the one that begins to
 * wait last has its transaction ended. Where that is to be us, since others have
 * more to lose, the same clock has it look again, sooner than others look.
 */
#include "core/server.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "utils/backend_status.h"
#include "utils/timeout.h"

#define LOOKS 4					/* in the course of the shortest wait that matters */

static TimeoutId clock_id;
static bool gives_way;

/* What was waited for last; written by the handler of the clock's signal. */
static LOCKTAG watched_tag;
static volatile LOCKMODE watched_mode = NoLock;

static void watch(long wait);
static void look(void);
static int	find_holder(const LOCKTAG *tag, LOCKMODE mode, bool *found);
static void take_sentence(HeapTuple row, TupleDesc desc, void *arg);

/* Begin to look what this session waits for. */
void
dbops_blocker_watch(long lock_timeout)
{
	gives_way = false;
	watch(lock_timeout);
}

/*
 * The same, and be the one that a deadlock ends. Where log_lock_waits is on the
 * server tells of each look, which is to be kept from its log.
 */
void
dbops_blocker_watch_giving_way(void)
{
	gives_way = true;
	watch(DeadlockTimeout);
}

static void
watch(long wait)
{
	static bool registered = false;
	int			every = Max((int) (wait / LOOKS), 1);

	if (!registered)
		clock_id = RegisterTimeout(USER_TIMEOUT, look);
	registered = true;
	watched_mode = NoLock;
	enable_timeout_every(clock_id, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), every), every);
}

/* Runs in the signal's handler. */
static void
look(void)
{
	LOCK	   *lock;

	if (proc_exit_inprogress || MyProc == NULL)
		return;
	lock = MyProc->waitLock;
	if (lock == NULL)
		return;
	watched_tag = lock->tag;
	watched_mode = MyProc->waitLockMode;
	if (gives_way)
		CheckDeadLockAlert();
}

/* End it. */
void
dbops_blocker_unwatch(void)
{
	disable_timeout(clock_id, false);
}

/* End it, and say who has what was waited for last; NULL: nobody any more. */
char *
dbops_blocker_watched(void)
{
	dbops_blocker_unwatch();
	return (watched_mode == NoLock) ? NULL : dbops_blocker(&watched_tag, watched_mode);
}

/* Say in sentences who holds a lock that conflicts with this one; NULL: nobody now. */
char *
dbops_blocker(const LOCKTAG *tag, LOCKMODE mode)
{
	bool		found;
	int			pid = find_holder(tag, mode, &found);
	DbopsParam	params[] = {dbops_param_int4(pid)};
	char	   *sentence = NULL;

	if (!found)
		return NULL;
	if (pid == 0)
		return pstrdup("A prepared transaction holds it.");
	pgstat_clear_backend_activity_snapshot();
	dbops_query_each("SELECT format('Process %s (%s) holds it, in a transaction since %s, %s: %s', pid,"
					 " coalesce(nullif(application_name, ''), 'no application_name'),"
					 " coalesce(xact_start::timestamptz(0)::text, 'a time that is not shown'),"
					 " coalesce(state, 'in a state that is not shown'), left(regexp_replace(query, '\\s+', ' ', 'g'), 100))"
					 " FROM pg_stat_get_activity($1)",
					 lengthof(params), params, take_sentence, &sentence);
	return sentence;
}

static void
take_sentence(HeapTuple row, TupleDesc desc, void *arg)
{
	*(char **) arg = dbops_row_text(row, desc, 1);
}

/*
 * The process of one that holds it; 0 is a prepared transaction, which has the
 * name of the session that has prepared it, but not that of its transaction of today.
 */
static int
find_holder(const LOCKTAG *tag, LOCKMODE mode, bool *found)
{
	int			count;
	VirtualTransactionId *holders = GetLockConflicts(tag, mode, &count);

	*found = (count > 0);
	for (int i = 0; i < count; i++)
	{
		PGPROC	   *proc = vxid_process(holders[i]);

		if (proc != NULL && proc->pid != 0 && proc_local_xid(proc) == holders[i].localTransactionId)
			return proc->pid;
	}
	return 0;
}
