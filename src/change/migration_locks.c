/*
 * migration_locks.c
 *		The locks of this session, and who waits for them.
 *
 * The server's own view of all locks copies the table of the whole cluster
 * while nobody can take a lock. A receipt needs one session's locks after each
 * statement, so only its own lists are read, a partition at a time.
 */
#include "change/migration_watch.h"

#include "miscadmin.h"
#include "storage/lock.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "utils/timestamp.h"

/* Who waits for this session, directly or behind somebody who does. */
typedef struct Waiters
{
	int			n;
	TimestampTz since;			/* when the first of them began; DT_NOEND: nobody */
} Waiters;

static void add_fast_path(HeldLocks *held, int *room);
static void add_partition(HeldLocks *held, int *room, int partition);
static void add(HeldLocks *held, int *room, Oid relid, LOCKMASK modes);
static HeldLocks *sort(HeldLocks *held);
static int	compare(const void *a, const void *b);
static void count_partition(Waiters *waiters, int partition);
static void count_queue(Waiters *waiters, LOCK *lock, LOCKMASK blocking);

/* Read the locks on relations that this session holds. */
HeldLocks *
dbops_locks_held(void)
{
	HeldLocks  *held = palloc0(sizeof(HeldLocks));
	int			room = 64;

	held->locks = palloc(sizeof(HeldLock) * room);

	/* Others may move a lock from the fast path to the table, but never back. */
	add_fast_path(held, &room);
	for (int i = 0; i < NUM_LOCK_PARTITIONS; i++)
		add_partition(held, &room, i);
	return sort(held);
}

/* Join two sets of locks: each relation with all modes. */
HeldLocks *
dbops_locks_join(const HeldLocks *some, const HeldLocks *others)
{
	HeldLocks  *joined = palloc0(sizeof(HeldLocks));
	int			room = some->n + others->n + 1;

	joined->locks = palloc(sizeof(HeldLock) * room);
	for (int i = 0; i < some->n; i++)
		add(joined, &room, some->locks[i].relid, some->locks[i].modes);
	for (int i = 0; i < others->n; i++)
		add(joined, &room, others->locks[i].relid, others->locks[i].modes);
	return sort(joined);
}

void
dbops_locks_free(HeldLocks *held)
{
	pfree(held->locks);
	pfree(held);
}

/* Look up the modes in which a relation is held; 0 if it is not. */
LOCKMASK
dbops_locks_on(const HeldLocks *held, Oid relid)
{
	HeldLock	key = {.relid = relid};
	HeldLock   *found = bsearch(&key, held->locks, held->n, sizeof(HeldLock), compare);

	return found == NULL ? 0 : found->modes;
}

/*
 * Count the sessions that wait for a lock of any kind that this one holds, and
 * for how long the first of them does, in ms.
 */
void
dbops_locks_count_blocked(int *sessions, double *longest)
{
	Waiters		waiters = {.since = DT_NOEND};

	for (int i = 0; i < NUM_LOCK_PARTITIONS; i++)
		count_partition(&waiters, i);
	*sessions = waiters.n;
	*longest = waiters.since == DT_NOEND ? 0 :
		Max(GetCurrentTimestamp() - waiters.since, 0) / 1000.0;
}

static void
add_fast_path(HeldLocks *held, int *room)
{
	LWLockAcquire(&MyProc->fpInfoLock, LW_SHARED);
	for (int i = 0; i < FAST_PATH_SLOTS; i++)
		if (fast_path_modes(MyProc, i) != 0)
			add(held, room, MyProc->fpRelId[i], fast_path_modes(MyProc, i));
	LWLockRelease(&MyProc->fpInfoLock);
}

static void
add_partition(HeldLocks *held, int *room, int partition)
{
	LWLockAcquire(LockHashPartitionLockByIndex(partition), LW_SHARED);
	for (PROCLOCK *mine = next_proclock(MyProc, partition, NULL); mine != NULL;
		 mine = next_proclock(MyProc, partition, mine))
	{
		LOCKTAG    *tag = &mine->tag.myLock->tag;

		if (tag->locktag_type == LOCKTAG_RELATION && mine->holdMask != 0 &&
			(tag->locktag_field1 == MyDatabaseId || tag->locktag_field1 == InvalidOid))
			add(held, room, tag->locktag_field2, mine->holdMask);
	}
	LWLockRelease(LockHashPartitionLockByIndex(partition));
}

static void
add(HeldLocks *held, int *room, Oid relid, LOCKMASK modes)
{
	if (held->n == *room)
	{
		*room *= 2;
		held->locks = repalloc(held->locks, sizeof(HeldLock) * *room);
	}
	held->locks[held->n].relid = relid;
	held->locks[held->n].modes = modes;
	held->n++;
}

/* Put the relations in order, each once. */
static HeldLocks *
sort(HeldLocks *held)
{
	int			n = 0;

	qsort(held->locks, held->n, sizeof(HeldLock), compare);
	for (int i = 0; i < held->n; i++)
	{
		if (n > 0 && held->locks[n - 1].relid == held->locks[i].relid)
			held->locks[n - 1].modes |= held->locks[i].modes;
		else
			held->locks[n++] = held->locks[i];
	}
	held->n = n;
	return held;
}

static int
compare(const void *a, const void *b)
{
	Oid			left = ((const HeldLock *) a)->relid;
	Oid			right = ((const HeldLock *) b)->relid;

	return left < right ? -1 : left > right;
}

static void
count_partition(Waiters *waiters, int partition)
{
	LWLockAcquire(LockHashPartitionLockByIndex(partition), LW_SHARED);
	for (PROCLOCK *mine = next_proclock(MyProc, partition, NULL); mine != NULL;
		 mine = next_proclock(MyProc, partition, mine))
		if (mine->holdMask != 0)
			count_queue(waiters, mine->tag.myLock, mine->holdMask);
	LWLockRelease(LockHashPartitionLockByIndex(partition));
}

/*
 * Who asks for a mode that conflicts with ours waits for us, and who asks for
 * one that conflicts with somebody's before him in the line waits for him.
 */
static void
count_queue(Waiters *waiters, LOCK *lock, LOCKMASK blocking)
{
	LockMethod	method = GetLocksMethodTable(lock);

	for (PGPROC *proc = next_waiter(lock, NULL); proc != NULL; proc = next_waiter(lock, proc))
	{
		TimestampTz since = pg_atomic_read_u64(&proc->waitStart);

		if (proc == MyProc || proc->lockGroupLeader == MyProc ||
			(method->conflictTab[proc->waitLockMode] & blocking) == 0)
			continue;
		waiters->n++;
		blocking |= LOCKBIT_ON(proc->waitLockMode);
		if (since != 0 && since < waiters->since)
			waiters->since = since;
	}
}
