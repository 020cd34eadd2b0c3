/*
 * lock_graph.c
 *		Who waits for a heavyweight lock, and for whom.
 *
 * One look at all waits, with every partition of the lock table locked shared,
 * in their order, as the server itself does for pg_locks; but only the locks
 * that somebody waits for are gone through, however many there are. What is
 * seen is one moment, so a circle of waits is one.
 *
 * Kept waiting one is by those that hold a conflicting lock, and by those that
 * wait for one ahead in the queue. Locks on the fast path conflict with nothing
 * that is waited for: whoever asks for a strong lock moves them first.
 */
#include "observe/report.h"

#include "access/twophase.h"
#include "storage/proc.h"

/* Where it is put together. */
typedef struct Graph
{
	LockGraph  *graph;
	int			n_places;		/* for parties */
	int		   *party_of;		/* by process: number of the party, -1: none */
} Graph;

static void read_waits(Graph *graph);
static int	n_processes(void);
static int	find_party(Graph *graph, PGPROC *proc);
static void add_wait(Graph *graph, PGPROC *waiter);
static void describe_wait(LockParty *party, PGPROC *waiter);
static void find_row(LockParty *party, PGPROC *waiter);
static void set_relation(LockParty *party, const LOCKTAG *tag);
static void add_holders(Graph *graph, int waiter, LOCK *lock, LOCKMASK conflicts);
static void add_ahead(Graph *graph, int waiter, PGPROC *proc, LOCKMASK conflicts);

/* Read all waits for heavyweight locks. */
void
dbops_lock_graph_read(LockGraph *read)
{
	Graph		graph = {.graph = read, .n_places = n_processes()};

	read->n = 0;
	read->parties = palloc0(sizeof(LockParty) * graph.n_places);
	graph.party_of = palloc(sizeof(int) * graph.n_places);
	for (int i = 0; i < graph.n_places; i++)
		graph.party_of[i] = -1;

	for (int i = 0; i < NUM_LOCK_PARTITIONS; i++)
		LWLockAcquire(LockHashPartitionLockByIndex(i), LW_SHARED);
	read_waits(&graph);
	for (int i = NUM_LOCK_PARTITIONS - 1; i >= 0; i--)
		LWLockRelease(LockHashPartitionLockByIndex(i));
}

/* Prepared transactions stand behind the processes. */
static int
n_processes(void)
{
	return ProcGlobal->allProcCount + max_prepared_xacts;
}

static void
read_waits(Graph *graph)
{
	for (uint32 i = 0; i < ProcGlobal->allProcCount; i++)
	{
		PGPROC	   *proc = GetPGProcByNumber(i);

		if (proc->pid != 0 && proc->waitLock != NULL && proc->waitStatus == PROC_WAIT_STATUS_WAITING)
			add_wait(graph, proc);
	}
}

/* Find the party that a process belongs to, that of its leader, or add it. */
static int
find_party(Graph *graph, PGPROC *proc)
{
	PGPROC	   *leader = proc->lockGroupLeader != NULL ? proc->lockGroupLeader : proc;
	int			place = leader - ProcGlobal->allProcs;

	if (place < 0 || place >= graph->n_places)
		elog(ERROR, "a process stands at place %d", place);
	if (graph->party_of[place] < 0)
	{
		graph->party_of[place] = graph->graph->n++;
		graph->graph->parties[graph->party_of[place]] = (LockParty) {.pid = leader->pid, .xid = leader->xid};
	}
	return graph->party_of[place];
}

static void
add_wait(Graph *graph, PGPROC *waiter)
{
	int			number = find_party(graph, waiter);
	LOCK	   *lock = waiter->waitLock;
	LOCKMASK	conflicts = GetLocksMethodTable(lock)->conflictTab[waiter->waitLockMode];

	describe_wait(&graph->graph->parties[number], waiter);
	add_holders(graph, number, lock, conflicts);
	add_ahead(graph, number, waiter, conflicts);
}

/* Of a leader and its workers the one that began to wait first says what for. */
static void
describe_wait(LockParty *party, PGPROC *waiter)
{
	TimestampTz since = (TimestampTz) pg_atomic_read_u64(&waiter->waitStart);

	if (party->waits && (since == 0 || (party->since != 0 && party->since <= since)))
		return;
	party->waits = true;
	party->tag = waiter->waitLock->tag;
	party->mode = waiter->waitLockMode;
	party->since = since;
	party->relation = InvalidOid;
	set_relation(party, &party->tag);
	if (party->tag.locktag_type == LOCKTAG_TRANSACTION)
		find_row(party, waiter);
}

/* Who waits for a transaction to end mostly waits for a row, which it has queued up for with a lock of its own. */
static void
find_row(LockParty *party, PGPROC *waiter)
{
	for (int i = 0; i < NUM_LOCK_PARTITIONS; i++)
		for (PROCLOCK *held = next_proclock(waiter, i, NULL); held != NULL; held = next_proclock(waiter, i, held))
			if (held->tag.myLock->tag.locktag_type == LOCKTAG_TUPLE)
				set_relation(party, &held->tag.myLock->tag);
}

static void
set_relation(LockParty *party, const LOCKTAG *tag)
{
	switch ((LockTagType) tag->locktag_type)
	{
		case LOCKTAG_RELATION:
		case LOCKTAG_RELATION_EXTEND:
		case LOCKTAG_PAGE:
		case LOCKTAG_TUPLE:
			party->database = tag->locktag_field1;
			party->relation = tag->locktag_field2;
			break;
		default:
			break;
	}
}

static void
add_holders(Graph *graph, int waiter, LOCK *lock, LOCKMASK conflicts)
{
	LockParty  *party = &graph->graph->parties[waiter];

	for (PROCLOCK *held = next_holder(lock, NULL); held != NULL; held = next_holder(lock, held))
		if ((held->holdMask & conflicts) != 0)
		{
			int			holder = find_party(graph, held->tag.myProc);

			if (holder != waiter)
				party->holders = list_append_unique_int(party->holders, holder);
		}
}

static void
add_ahead(Graph *graph, int waiter, PGPROC *proc, LOCKMASK conflicts)
{
	LockParty  *party = &graph->graph->parties[waiter];

	if (party->holders != NIL)
		return;
	for (PGPROC *ahead = next_waiter(proc->waitLock, NULL); ahead != NULL && ahead != proc;
		 ahead = next_waiter(proc->waitLock, ahead))
		if ((LOCKBIT_ON(ahead->waitLockMode) & conflicts) != 0)
		{
			int			other = find_party(graph, ahead);

			if (other != waiter)
				party->ahead = list_append_unique_int(party->ahead, other);
		}
}

/* Whom a party waits for: who holds the lock, and where nobody does, who is ahead. */
const List *
dbops_lock_blockers(const LockGraph *graph, int party)
{
	const LockParty *waiter = &graph->parties[party];

	return waiter->holders != NIL ? waiter->holders : waiter->ahead;
}

/* The same by their processes; 0 is a prepared transaction. */
List *
dbops_lock_blocking_pids(const LockGraph *graph, int party)
{
	List	   *pids = NIL;
	ListCell   *cell;

	foreach(cell, dbops_lock_blockers(graph, party))
		pids = lappend_int(pids, graph->parties[lfirst_int(cell)].pid);
	list_sort(pids, list_int_cmp);
	return pids;
}

/* Find the party of a process; -1: it neither waits nor is waited for. */
int
dbops_lock_party(const LockGraph *graph, int pid)
{
	for (int i = 0; i < graph->n; i++)
		if (graph->parties[i].pid == pid)
			return i;
	return -1;
}
