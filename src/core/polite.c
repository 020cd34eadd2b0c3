/*
 * polite.c
 *		How a batch behaves among the locks of others.
 *
 * It waits for locks only for a short time, all its waits together
 * (dbops.backfill_lock_timeout), and gives up sooner than another session looks
 * for a deadlock. In a deadlock there are two cases:
 *
 * - The other session has been waiting for us already. We look at once
 *   (deadlock_timeout of 1 ms), and it cannot have looked before we began to
 *   wait and found anything. It looks once, after its deadlock_timeout, which a
 *   batch and its wait together stay below.
 *
 * - We have been waiting already when the other session begins to. The server
 *   looks for a deadlock once in a wait, which was too early; so we have it
 *   look again every few milliseconds.
 *
 * So we are the ones to give way, unless the other session's deadlock_timeout
 * is shorter than LOOK_AGAIN, or runs out within the milliseconds between the
 * beginning of our wait and our look.
 *
 * Our waits are short and are told about by ourselves, so they are kept out of
 * the log (log_lock_waits).
 *
 * Others also wait for our WAL: whoever commits has all that was written before
 * flushed. That is looked for by the same clock.
 *
 * A batch that can be divided is cut off when it has worked for too long, as by
 * a cancel of its statement: nobody knows before what a row takes, and who
 * wants a row of it waits. What it waits for locks does not count.
 *
 * So is work that keeps a table locked for long, such as a vacuum, as soon as
 * others have waited for the table as long as they would for autovacuum.
 */
#include "core/batch.h"

#include <signal.h>

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/timeout.h"
#include "utils/wait_event.h"

#define LOOK_AGAIN 5			/* ms between two looks for a deadlock */
#define LOOKS 4					/* for who waits for a table, in the course of deadlock_timeout */
#define COMMITS_FOLLOW 100		/* ms within which more are expected to commit */

static TimeoutId ticker;

/* What the present batch may wait in all, and has waited, in ms. */
static int	patience;
static volatile sig_atomic_t waited;

/* When it is cut off; DT_NOEND: never. And that it was. */
static volatile TimestampTz cut_at = DT_NOEND;
static volatile sig_atomic_t cut_off;

/* Somebody asked for its end meanwhile, which is not to be taken for our cutting it off. */
static volatile sig_atomic_t cancelled;

/* The table that is kept locked for long, and who waits for it: 0 for nobody. */
static TimeoutId table_clock;
static Oid kept_table;
static volatile sig_atomic_t table_waiter;

/* When others were seen last that wait for the flush of their commit. */
static volatile TimestampTz commits_waited_at;

static void hear_cancels(TimestampTz cut_off_at);
static void tick(void);
static void look_at_commits(void);
static bool waits_to_commit(const PGPROC *proc);
static void cut_off_in_time(void);
static void note_cancel(SIGNAL_ARGS);
static void look_at_waiters(void);
static int	find_waiter(Oid relid);
static bool is_ours(const LOCKTAG *tag, Oid relid);

/* The ms that a batch waits for locks at most, below anybody's deadlock_timeout. */
int
dbops_polite_lock_wait(void)
{
	int			wait = Min(dbops_backfill_lock_timeout, Max(DeadlockTimeout / 2, 1));

	return (LockTimeout > 0) ? Min(wait, LockTimeout) : wait;
}

/* Wait briefly for locks, and be the first to notice a deadlock, in nested settings. */
void
dbops_polite_bound_lock_waits(void)
{
	patience = dbops_polite_lock_wait();
	dbops_set_nested("lock_timeout", psprintf("%d", patience));
	dbops_set_nested("deadlock_timeout", "1");
	dbops_set_nested("log_lock_waits", "off");
}

/*
 * Begin to look for deadlocks, and to count the ms that are waited, in these
 * settings. most_ms: when to cut the batch off; 0: never.
 */
void
dbops_polite_watch_begin(int most_ms)
{
	static bool registered = false;
	TimestampTz now = GetCurrentTimestamp();

	if (!registered)
		ticker = RegisterTimeout(USER_TIMEOUT, tick);
	registered = true;
	waited = 0;
	hear_cancels((most_ms > 0) ? TimestampTzPlusMilliseconds(now, most_ms) : DT_NOEND);
	enable_timeout_every(ticker, TimestampTzPlusMilliseconds(now, LOOK_AGAIN), LOOK_AGAIN);
}

static void
hear_cancels(TimestampTz cut_off_at)
{
	cut_off = false;
	cancelled = false;
	pqsignal(SIGINT, note_cancel);
	cut_at = cut_off_at;
}

/*
 * End it; before the settings end, or after they were undone by an error. A
 * batch that is through before it has noticed that it was cut off is done.
 */
void
dbops_polite_watch_end(void)
{
	if (ticker != 0)
		disable_timeout(ticker, false);
	pqsignal(SIGINT, StatementCancelHandler);
	if (cut_off && !cancelled)
		QueryCancelPending = false;
}

/*
 * The handler of SIGINT meanwhile, which notes that somebody asks for an end.
 * The server's own timeouts send that signal as well.
 */
static void
note_cancel(SIGNAL_ARGS)
{
	if (!get_timeout_indicator(LOCK_TIMEOUT, false) && !get_timeout_indicator(STATEMENT_TIMEOUT, false))
		cancelled = true;
	StatementCancelHandler(postgres_signal_arg);
}

/*
 * Raise the error of our cutting off again if code that the batch ran has
 * caught it, as a handler for query_canceled does: what that made of it is not
 * what is asked for.
 */
void
dbops_polite_refuse_uncut(void)
{
	if (cut_off && !QueryCancelPending)
		ereport(ERROR,
				(errcode(ERRCODE_QUERY_CANCELED),
				 errmsg("canceling statement due to user request")));
}

/*
 * Runs in the signal's handler: the next wait may last for what is left of
 * patience. A process that is being ended in the middle of a batch has no slot
 * any more, but still a clock.
 */
static void
tick(void)
{
	if (proc_exit_inprogress || MyProc == NULL)
		return;
	look_at_commits();
	if (MyProc->waitLock == NULL)
	{
		cut_off_in_time();
		return;
	}
	waited += LOOK_AGAIN;
	if (cut_at != DT_NOEND)
		cut_at = TimestampTzPlusMilliseconds(cut_at, LOOK_AGAIN);
	LockTimeout = Max(patience - waited, 1);
	CheckDeadLockAlert();
}

/* Does anybody wait for a commit to be flushed, behind our WAL perhaps, or did so lately? */
bool
dbops_polite_commits_wait(void)
{
	look_at_commits();
	return !TimestampDifferenceExceeds(commits_waited_at, GetCurrentTimestamp(), COMMITS_FOLLOW);
}

/* Reads the slots as dbops_polite_is_waited_for() does. */
static void
look_at_commits(void)
{
	for (uint32 i = 0; i < ProcGlobal->allProcCount; i++)
	{
		if (!waits_to_commit(GetPGProcByNumber(i)))
			continue;
		commits_waited_at = GetCurrentTimestamp();
		return;
	}
}

/*
 * Is it committing, and waits for WAL to be flushed or replicated? A commit
 * holds off the next checkpoint until it is flushed; who waits for room in WAL
 * buffers, as another worker may, does not.
 */
static bool
waits_to_commit(const PGPROC *proc)
{
	uint32		event = *(volatile const uint32 *) &proc->wait_event_info;

	if (proc == MyProc)
		return false;
	if (event == WAIT_EVENT_SYNC_REP)
		return true;
	return (proc->delayChkptFlags & DELAY_CHKPT_START) != 0 &&
		(event == WAIT_EVENT_WAL_SYNC || event == WAIT_EVENT_WAL_WRITE ||
		 event == (PG_WAIT_LWLOCK | WALWriteLock->tranche));
}

/* Cancel the statement as a user would, unless one has just done so. */
static void
cut_off_in_time(void)
{
	if (cut_off || QueryCancelPending || GetCurrentTimestamp() < cut_at)
		return;
	cut_off = true;
	InterruptPending = true;
	QueryCancelPending = true;
}

/*
 * Begin to look who waits for a table that is kept locked for long, and cut off
 * what is done with it when somebody has waited for deadlock_timeout, as the
 * server does with autovacuum.
 */
void
dbops_polite_keep_begin(Oid relid)
{
	static bool registered = false;
	int			every = Max(DeadlockTimeout / LOOKS, 1);

	if (!registered)
		table_clock = RegisterTimeout(USER_TIMEOUT, look_at_waiters);
	registered = true;
	kept_table = relid;
	hear_cancels(DT_NOEND);
	enable_timeout_every(table_clock, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), every), every);
}

/* End it. The process for which it was cut off; 0: it was not, or somebody asks for its end. */
int
dbops_polite_keep_end(void)
{
	disable_timeout(table_clock, false);
	pqsignal(SIGINT, StatementCancelHandler);
	if (!cut_off || cancelled)
		return 0;
	QueryCancelPending = false;
	return table_waiter;
}

/* Runs in the signal's handler. */
static void
look_at_waiters(void)
{
	int			waiter;

	if (proc_exit_inprogress || MyProc == NULL || cut_off)
		return;
	waiter = find_waiter(kept_table);
	if (waiter == 0)
		cut_at = DT_NOEND;
	else if (cut_at == DT_NOEND)
		cut_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), DeadlockTimeout);
	table_waiter = waiter;
	cut_off_in_time();
}

/*
 * Does anybody wait for the rows or the table that the current transaction has
 * locked? Waiters for rows wait for the id of the subtransaction that changed
 * them, so this is to be asked before that ends. The slots are read without a
 * lock, as they were a moment ago; what they point to stays shared memory. The
 * server's own LockHasWaiters cannot be asked about the table: it does not know
 * locks that were taken by the fast path.
 */
bool
dbops_polite_is_waited_for(Oid relid)
{
	return find_waiter(relid) != 0;
}

/* The process of one who waits; 0: nobody. */
static int
find_waiter(Oid relid)
{
	for (uint32 i = 0; i < ProcGlobal->allProcCount; i++)
	{
		PGPROC	   *proc = GetPGProcByNumber(i);
		LOCK	   *lock = *(LOCK *volatile *) &proc->waitLock;

		if (lock != NULL && proc != MyProc && is_ours(&lock->tag, relid))
			return proc->pid;
	}
	return 0;
}

static bool
is_ours(const LOCKTAG *tag, Oid relid)
{
	TransactionId xid = tag->locktag_field1;

	if (tag->locktag_type == LOCKTAG_TRANSACTION)
		return TransactionIdIsValid(xid) &&
			(xid == GetCurrentTransactionIdIfAny() || xid == GetTopTransactionIdIfAny());
	return tag->locktag_type == LOCKTAG_RELATION && tag->locktag_field1 == MyDatabaseId &&
		tag->locktag_field2 == relid;
}

/* Errors that only say that others were there first, such as with a row that went to another partition. */
bool
dbops_polite_gave_way(int sqlerrcode)
{
	return sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ||
		sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED ||
		sqlerrcode == ERRCODE_T_R_SERIALIZATION_FAILURE;
}

/*
 * Is it the error of our cutting the batch off, or what code that the batch ran
 * has made of that, or of statement_timeout; and not of somebody's cancel?
 */
bool
dbops_polite_took_too_long(const ErrorData *error)
{
	if (cut_off)
		return !cancelled;
	return error->sqlerrcode == ERRCODE_QUERY_CANCELED && error->message_id != NULL &&
		strcmp(error->message_id, "canceling statement due to statement timeout") == 0;
}
