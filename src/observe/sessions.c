/*
 * sessions.c
 *		Who is connected, and what they wait for or hold.
 *
 * One pass over the processes' slots and one over the backends' status, both
 * in shared memory. The slots are read without a lock: each field is read
 * whole, and a process that comes or goes meanwhile is counted or not, as it
 * would be a moment later. Status is what the transaction first saw of it, as
 * in pg_stat_activity.
 */
#include "observe/observe.h"

#include "access/twophase.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/postmaster.h"
#include "storage/proc.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"

/* What a process's slot says beyond its status. */
typedef struct Process
{
	int			pid;
	bool		waits;			/* for a heavyweight lock */
	TimestampTz waits_since;
	bool		holds_horizon;	/* a transaction id or a snapshot */
	bool		holds_locks;
} Process;

static Process *read_processes(Sessions *sessions, int *n);
static Process describe_process(PGPROC *proc);
static bool holds_horizon(PGPROC *proc);
static int	by_pid(const void *a, const void *b);
static void count_lock_wait(Sessions *sessions, const Process *process);
static void count_client(Sessions *sessions, const PgBackendStatus *status,
						 const Process *process);
static void count_transaction(Sessions *sessions, const PgBackendStatus *status,
							  const Process *process);
static bool is_idle_in_transaction(const PgBackendStatus *status);
static void keep_older(Transaction *oldest, const PgBackendStatus *status,
					   TimestampTz since);
static double seconds_since(TimestampTz time);
static bool may_have_prepared(void);
static void read_prepared(Sessions *sessions);
static void take_prepared(HeapTuple row, TupleDesc desc, void *arg);

/* Look at all sessions. */
void
dbops_sessions_read(Sessions *sessions)
{
	int			n_processes;
	Process    *processes = read_processes(sessions, &n_processes);
	int			n = pgstat_fetch_stat_numbackends();

	for (int i = 1; i <= n; i++)
	{
		PgBackendStatus *status = &pgstat_get_local_beentry_by_index(i)->backendStatus;
		Process		key = {.pid = status->st_procpid};
		Process    *process = bsearch(&key, processes, n_processes,
									  sizeof(Process), by_pid);

		if (status->st_backendType == B_BACKEND)
			count_client(sessions, status, process);
		if (status->st_backendType == B_BACKEND ||
			status->st_backendType == B_BG_WORKER)
			count_transaction(sessions, status, process);
	}
	sessions->usable = MaxConnections - SuperuserReservedConnections - ReservedConnections;
	if (may_have_prepared())
		read_prepared(sessions);
}

/*
 * Whether too little is known of the sessions to say that few are active or
 * that none holds a transaction open.
 */
bool
dbops_sessions_hide(const Sessions *sessions)
{
	return sessions->untracked > 0;
}

/* Copy what matters of every process's slot, ordered by pid. */
static Process *
read_processes(Sessions *sessions, int *n)
{
	Process    *processes = palloc(sizeof(Process) * ProcGlobal->allProcCount);

	*n = 0;
	for (uint32 i = 0; i < ProcGlobal->allProcCount; i++)
	{
		PGPROC	   *proc = GetPGProcByNumber(i);

		if (proc->pid == 0)
			continue;
		processes[*n] = describe_process(proc);
		count_lock_wait(sessions, &processes[*n]);
		(*n)++;
	}
	qsort(processes, *n, sizeof(Process), by_pid);
	return processes;
}

static Process
describe_process(PGPROC *proc)
{
	return (Process)
	{
		.pid = proc->pid,
		.waits = (proc->waitStatus == PROC_WAIT_STATUS_WAITING),
		.waits_since = pg_atomic_read_u64(&proc->waitStart),
		.holds_horizon = holds_horizon(proc),
		.holds_locks = proc_holds_locks(proc)
	};
}

/* Whether vacuum keeps rows for it; as ComputeXidHorizons() has it, not for a
 * VACUUM, whatever snapshot that uses. */
static bool
holds_horizon(PGPROC *proc)
{
	return (proc->statusFlags & (PROC_IN_VACUUM | PROC_IN_LOGICAL_DECODING)) == 0 &&
		(TransactionIdIsValid(proc->xid) || TransactionIdIsValid(proc->xmin));
}

static int
by_pid(const void *a, const void *b)
{
	int			left = ((const Process *) a)->pid;
	int			right = ((const Process *) b)->pid;

	return (left > right) - (left < right);
}

/* Count a wait for a lock; when it began is known a moment after it has. */
static void
count_lock_wait(Sessions *sessions, const Process *process)
{
	double		waited;

	if (!process->waits)
		return;
	sessions->lock_waits++;
	if (process->waits_since == 0)
		return;
	waited = seconds_since(process->waits_since);
	sessions->longest_lock_wait = Max(sessions->longest_lock_wait, waited);
	if (waited >= LONG_LOCK_WAIT)
		sessions->long_lock_waits++;
}

static void
count_client(Sessions *sessions, const PgBackendStatus *status, const Process *process)
{
	sessions->clients++;
	if (status->st_state == STATE_RUNNING)
		sessions->active++;
	else if (status->st_state == STATE_IDLE)
		sessions->idle++;
	else if (is_idle_in_transaction(status))
		sessions->idle_in_transaction++;
	else if (status->st_state == STATE_DISABLED)
		sessions->untracked++;

	if (process != NULL && process->waits)
		sessions->waiting++;
}

/* Find the oldest transactions. One that holds nothing harms nobody. */
static void
count_transaction(Sessions *sessions, const PgBackendStatus *status, const Process *process)
{
	if (status->st_xact_start_timestamp == 0)
		return;
	keep_older(&sessions->oldest, status, status->st_xact_start_timestamp);
	if (process == NULL)
		return;
	if (process->holds_horizon)
		keep_older(&sessions->oldest_horizon, status, status->st_xact_start_timestamp);
	if (is_idle_in_transaction(status) &&
		(process->holds_horizon || process->holds_locks))
		keep_older(&sessions->oldest_idle, status, status->st_state_start_timestamp);
}

static bool
is_idle_in_transaction(const PgBackendStatus *status)
{
	return status->st_state == STATE_IDLEINTRANSACTION ||
		status->st_state == STATE_IDLEINTRANSACTION_ABORTED;
}

static void
keep_older(Transaction *oldest, const PgBackendStatus *status, TimestampTz since)
{
	double		age = seconds_since(since);

	if (oldest->pid != 0 && oldest->age >= age)
		return;
	oldest->pid = status->st_procpid;
	oldest->age = age;
	oldest->idle = is_idle_in_transaction(status);
}

static double
seconds_since(TimestampTz time)
{
	return Max(0, (dbops_clock_now() - time) / (double) USECS_PER_SEC);
}

/* Prepared transactions have slots too; one that was used keeps its mark. */
static bool
may_have_prepared(void)
{
	for (int i = 0; i < max_prepared_xacts; i++)
		if (TransactionIdIsValid(PreparedXactProcs[i].xid))
			return true;
	return false;
}

/* Ask how many transactions are prepared, and how old the oldest is. */
static void
read_prepared(Sessions *sessions)
{
	sessions->prepared = (int)
		dbops_query_each("SELECT gid, prepared FROM pg_prepared_xact() ORDER BY prepared DESC",
						 0, NULL, take_prepared, sessions);
}

/* The last one taken is the oldest. */
static void
take_prepared(HeapTuple row, TupleDesc desc, void *arg)
{
	Sessions   *sessions = arg;
	bool		isnull;

	sessions->oldest_prepared_gid =
		TextDatumGetCString(heap_getattr(row, 1, desc, &isnull));
	sessions->oldest_prepared =
		seconds_since(DatumGetTimestampTz(heap_getattr(row, 2, desc, &isnull)));
}
