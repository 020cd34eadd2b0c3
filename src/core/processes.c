/*
 * processes.c
 *		What every process holds and waits for, out of its slot in shared memory.
 *
 * The slots are read without a lock: each field is read whole, and a process
 * that comes or goes meanwhile is seen or not, as it would be a moment later.
 */
#include "core/server.h"

#include "access/twophase.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/builtins.h"

static Process describe_process(PGPROC *proc);
static bool holds_horizon(PGPROC *proc);
static int	by_pid(const void *a, const void *b);
static bool may_have_prepared(void);
static void count_prepared(Prepared *prepared);
static void take_prepared(HeapTuple row, TupleDesc desc, void *arg);

/* Copy what matters of every process's slot, ordered by pid. */
Process *
dbops_processes_read(int *n)
{
	Process    *processes = palloc(sizeof(Process) * ProcGlobal->allProcCount);

	*n = 0;
	for (uint32 i = 0; i < ProcGlobal->allProcCount; i++)
	{
		PGPROC	   *proc = GetPGProcByNumber(i);

		if (proc->pid != 0)
			processes[(*n)++] = describe_process(proc);
	}
	qsort(processes, *n, sizeof(Process), by_pid);
	return processes;
}

/* Find one of them; NULL if it is not there. */
Process *
dbops_process_find(Process *processes, int n, int pid)
{
	Process		key = {.pid = pid};

	return bsearch(&key, processes, n, sizeof(Process), by_pid);
}

static Process
describe_process(PGPROC *proc)
{
	PGPROC	   *leader = proc->lockGroupLeader;

	return (Process)
	{
		.pid = proc->pid,
		.leader = (leader != NULL && leader->pid != 0) ? leader->pid : proc->pid,
		.database = proc->databaseId,
		.waits = (proc->waitStatus == PROC_WAIT_STATUS_WAITING),
		.lock = *(LOCK *volatile *) &proc->waitLock,
		.waits_since = pg_atomic_read_u64(&proc->waitStart),
		.wait_event = *(volatile uint32 *) &proc->wait_event_info,
		.holds_horizon = holds_horizon(proc),
		.holds_everywhere = TransactionIdIsValid(proc->xid) ||
			(proc->statusFlags & PROC_AFFECTS_ALL_HORIZONS) != 0,
		.holds_locks = proc_holds_locks(proc),
		.xmin = proc->xmin
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

/* Ask how many transactions are prepared, and how old the oldest is; without a database, about how old. */
void
dbops_prepared_read(Prepared *prepared)
{
	*prepared = (Prepared) {0};
	if (!may_have_prepared())
		return;
	if (!OidIsValid(MyDatabaseId))
		count_prepared(prepared);
	else
		prepared->count = (int)
			dbops_query_each("SELECT gid, prepared FROM pg_prepared_xact() ORDER BY prepared DESC",
							 0, NULL, take_prepared, prepared);
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

/* One that was used keeps its mark, whose transaction has ended then. */
static void
count_prepared(Prepared *prepared)
{
	for (int i = 0; i < max_prepared_xacts; i++)
	{
		TransactionId xid = PreparedXactProcs[i].xid;

		if (!TransactionIdIsValid(xid) || !TransactionIdIsInProgress(xid))
			continue;
		prepared->count++;
		prepared->age = Max(prepared->age, dbops_past_since_xid(xid));
	}
}

/* The last one taken is the oldest. */
static void
take_prepared(HeapTuple row, TupleDesc desc, void *arg)
{
	Prepared   *prepared = arg;
	TimestampTz since = dbops_row_time(row, desc, 2);

	prepared->gid = dbops_row_text(row, desc, 1);
	prepared->age = Max(0, (dbops_clock_now() - since) / (double) USECS_PER_SEC);
}
