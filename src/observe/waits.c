/*
 * waits.c
 *		What sessions waited for, and for whom, minute by minute.
 *
 * At each tick every session that runs a statement is looked at. What it waits
 * for, the statement and whose lock is in its way are one kind of entry of the
 * minute, which counts how often it was seen: as often as a time lasts. The
 * last minutes stand in shared memory, 250 kB under one lock, until a scheduler
 * has written them down. A minute with many kinds tells further ones apart without
 * their statement, and one with too many counts the rest as one. Those who wait
 * for the same lock wait for the same root, which is looked for once.
 *
 * A session that samples for itself, as the ring has it, has its own minutes.
 */
#include "observe/history.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/array.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#define MOST_TRACED		32		/* locks a tick whose blocker is looked for */
#define KEPT_KINDS		64		/* of a minute, for waits that are told apart without their statement */
#define LONGEST_CHAIN	16		/* of those who wait for each other */

#define EVENT_CLASS(event)	((event) & 0xFF000000U)

typedef struct Waits
{
	WaitMinute	minutes[WAIT_MINUTES];	/* a minute has its place by its time */
} Waits;

/* Who is at the root of all waits for a lock. */
typedef struct Traced
{
	const void *lock;
	WaitEntry	root;			/* the part of it that says who blocks */
} Traced;

/* All that a tick looks at. */
typedef struct Look
{
	WaitMinute *minute;
	Process    *processes;
	int			n_processes;
	int			n_sessions;
	Traced		traced[MOST_TRACED];
	int			n_traced;
} Look;

static Waits *shared_waits = NULL;	/* or NULL */
static LWLock *shared_waits_lock = NULL;
static Waits *own_waits = NULL;

static Waits *lock_waits(LWLockMode mode);
static void unlock_waits(void);
static WaitMinute *minute_of(Waits *waits, TimestampTz at, int cadence);
static bool is_at_work(const PgBackendStatus *status, uint32 event);
static WaitEntry describe(Look *look, const PgBackendStatus *status, const Process *process);
static const WaitEntry *find_traced(Look *look, const Process *process);
static WaitEntry trace(const Look *look, int pid);
static int	find_root(int pid);
static bool find_blocker(int pid, int *blocker);
static const PgBackendStatus *find_status(const Look *look, int pid);
static BlockerState state_of(const PgBackendStatus *status);
static void count(WaitMinute *minute, const WaitEntry *entry);
static bool count_as(WaitMinute *minute, const WaitEntry *kind, int most);
static bool is_same(const WaitEntry *a, const WaitEntry *b);

/* Ask for the shared memory. */
void
dbops_waits_init(void)
{
	dbops_shared_request("dbops waits", sizeof(Waits), NULL,
						 (void **) &shared_waits, &shared_waits_lock);
}

/* Look at all sessions; what others wrote of them is looked at only once, before the lock. */
void
dbops_waits_sample(TimestampTz at, int cadence)
{
	Look		look = {.n_sessions = pgstat_fetch_stat_numbackends()};
	WaitEntry  *entries = palloc(sizeof(WaitEntry) * (look.n_sessions + 1));
	int			n = 0;
	Waits	   *waits;

	look.processes = dbops_processes_read(&look.n_processes);
	for (int i = 1; i <= look.n_sessions; i++)
	{
		const PgBackendStatus *status = &pgstat_get_local_beentry_by_index(i)->backendStatus;
		const Process *process = dbops_process_find(look.processes, look.n_processes, status->st_procpid);

		if (process != NULL && is_at_work(status, process->wait_event))
			entries[n++] = describe(&look, status, process);
	}

	waits = lock_waits(LW_EXCLUSIVE);
	look.minute = minute_of(waits, at, cadence);
	for (int i = 0; i < n; i++)
		count(look.minute, &entries[i]);
	unlock_waits();
	pfree(look.processes);
	pfree(entries);
}

/* Copy the minutes of a time, the oldest first. Returns how many there are. */
int
dbops_waits_read(TimestampTz since, TimestampTz until, WaitMinute *minutes)
{
	TimestampTz last = 0;
	Waits	   *waits = lock_waits(LW_SHARED);
	int			n = 0;

	for (int i = 0; i < WAIT_MINUTES; i++)
	{
		const WaitMinute *next = NULL;

		for (int j = 0; j < WAIT_MINUTES; j++)
		{
			const WaitMinute *minute = &waits->minutes[j];

			if (minute->at >= since && minute->at < until && minute->at > last &&
				(next == NULL || minute->at < next->at))
				next = minute;
		}
		if (next == NULL)
			break;
		minutes[n++] = *next;
		last = next->at;
	}
	unlock_waits();
	return n;
}

static Waits *
lock_waits(LWLockMode mode)
{
	if (!dbops_ring_is_own())
	{
		LWLockAcquire(shared_waits_lock, mode);
		return shared_waits;
	}
	if (own_waits == NULL)
		own_waits = MemoryContextAllocZero(TopMemoryContext, sizeof(Waits));
	return own_waits;
}

static void
unlock_waits(void)
{
	if (!dbops_ring_is_own())
		LWLockRelease(shared_waits_lock);
}

/* Find the minute of a time, in the place of one that is over. */
static WaitMinute *
minute_of(Waits *waits, TimestampTz at, int cadence)
{
	TimestampTz begin = dbops_bucket_begin(at, SECS_PER_MINUTE);
	int			place = (int) ((begin / (SECS_PER_MINUTE * USECS_PER_SEC)) % WAIT_MINUTES);
	WaitMinute *minute = &waits->minutes[(place + WAIT_MINUTES) % WAIT_MINUTES];

	if (minute->at != begin)
	{
		minute->at = begin;
		minute->n = 0;
	}
	minute->cadence = cadence;
	return minute;
}

/* What only waits for work to come is not. */
static bool
is_at_work(const PgBackendStatus *status, uint32 event)
{
	return OidIsValid(status->st_databaseid) &&
		(status->st_state == STATE_RUNNING || status->st_state == STATE_FASTPATH) &&
		status->st_backendType != B_WAL_SENDER &&
		EVENT_CLASS(event) != PG_WAIT_ACTIVITY;
}

static WaitEntry
describe(Look *look, const PgBackendStatus *status, const Process *process)
{
	const WaitEntry *root = process->waits ? find_traced(look, process) : NULL;
	WaitEntry	entry = (root != NULL) ? *root : (WaitEntry) {0};

	entry.database = status->st_databaseid;
	entry.event = process->wait_event;
	entry.query_id = status->st_query_id;
	entry.samples = 1;
	return entry;
}

/* Who blocks all that wait for the lock that a process waits for; NULL: it is not known. */
static const WaitEntry *
find_traced(Look *look, const Process *process)
{
	Traced	   *traced;

	for (int i = 0; i < look->n_traced; i++)
		if (look->traced[i].lock == process->lock)
			return &look->traced[i].root;
	if (look->n_traced == MOST_TRACED)
		return NULL;
	traced = &look->traced[look->n_traced++];
	traced->lock = process->lock;
	traced->root = trace(look, process->pid);
	return &traced->root;
}

/* Find who is at the root of a wait. */
static WaitEntry
trace(const Look *look, int pid)
{
	int			root = find_root(pid);
	const PgBackendStatus *status = find_status(look, root);
	WaitEntry	entry = {0};

	if (root == pid)
		return entry;			/* it waits no more */
	entry.blocker = root;
	entry.blocker_state = (root == 0) ? BLOCKER_PREPARED : state_of(status);
	if (status == NULL)
		return entry;
	entry.blocker_role = status->st_userid;
	entry.blocker_query_id = status->st_query_id;
	return entry;
}

/* Follow those who wait for each other; in a circle, anyone will do. */
static int
find_root(int pid)
{
	int			root = pid;
	int			blocker;

	for (int i = 0; i < LONGEST_CHAIN && root != 0 && find_blocker(root, &blocker); i++)
		root = blocker;
	return root;
}

/* The first of those who are in a process's way, a session before a prepared transaction. */
static bool
find_blocker(int pid, int *blocker)
{
	ArrayType  *pids = DatumGetArrayTypeP(DirectFunctionCall1(pg_blocking_pids, Int32GetDatum(pid)));
	int			n = ArrayGetNItems(ARR_NDIM(pids), ARR_DIMS(pids));
	const int32 *pid_of = (const int32 *) ARR_DATA_PTR(pids);

	if (n == 0)
		return false;
	*blocker = pid_of[0];
	for (int i = 1; i < n && *blocker == 0; i++)
		*blocker = pid_of[i];
	return true;
}

static const PgBackendStatus *
find_status(const Look *look, int pid)
{
	for (int i = 1; i <= look->n_sessions && pid != 0; i++)
	{
		const PgBackendStatus *status = &pgstat_get_local_beentry_by_index(i)->backendStatus;

		if (status->st_procpid == pid)
			return status;
	}
	return NULL;
}

static BlockerState
state_of(const PgBackendStatus *status)
{
	if (status == NULL)
		return BLOCKER_OTHER;
	switch (status->st_state)
	{
		case STATE_RUNNING:
		case STATE_FASTPATH:
			return BLOCKER_ACTIVE;
		case STATE_IDLEINTRANSACTION:
		case STATE_IDLEINTRANSACTION_ABORTED:
			return BLOCKER_IDLE;
		default:
			return BLOCKER_OTHER;
	}
}

/* Count what was seen: for itself, without its statement, or with all others. */
static void
count(WaitMinute *minute, const WaitEntry *entry)
{
	WaitEntry	kind = *entry;

	if (count_as(minute, &kind, WAIT_ENTRIES - 1 - KEPT_KINDS))
		return;
	kind.query_id = 0;
	if (count_as(minute, &kind, WAIT_ENTRIES - 1))
		return;
	if (minute->n < WAIT_ENTRIES)
		minute->entries[minute->n++] = (WaitEntry) {0};
	minute->entries[WAIT_ENTRIES - 1].samples++;
}

/* Count it as a kind that there is, or a new one as long as there are fewer than so many. */
static bool
count_as(WaitMinute *minute, const WaitEntry *kind, int most)
{
	for (int i = 0; i < Min(minute->n, WAIT_ENTRIES - 1); i++)
		if (is_same(&minute->entries[i], kind))
		{
			minute->entries[i].samples++;
			return true;
		}
	if (minute->n >= most)
		return false;
	minute->entries[minute->n++] = *kind;
	return true;
}

static bool
is_same(const WaitEntry *a, const WaitEntry *b)
{
	return a->database == b->database && a->event == b->event && a->query_id == b->query_id &&
		a->blocker_state == b->blocker_state && a->blocker == b->blocker &&
		a->blocker_role == b->blocker_role && a->blocker_query_id == b->blocker_query_id;
}
