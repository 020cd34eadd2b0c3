/*
 * upkeep.c
 *		What a scheduler does besides starting jobs.
 *
 * Areas register what they want done in every database from time to time, more
 * often in the home database. When each is due is kept in shared memory, since
 * a scheduler leaves when it has nothing to do; after a restart everything is
 * due at once. Each upkeep has a transaction of its own: one that fails is
 * logged and comes again when its time has passed, and the others stand.
 *
 * On a standby only that is done which reads what its launcher has to know.
 *
 * The times are those of the clock that tests may set. One that lies farther
 * ahead than an upkeep's period is of a clock that has been set back since.
 */
#include "core/core.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "pgstat.h"

#define MOST_UPKEEPS	24

typedef struct UpkeepTimes
{
	TimestampTz due[MOST_UPKEEPS];	/* in the order of registration; 0: at once */
} UpkeepTimes;

/* Guarded by upkeeps_lock. */
typedef struct Upkeeps
{
	Oid			databases[DBOPS_MOST_DATABASES];	/* InvalidOid: the entry is free */
	UpkeepTimes times[DBOPS_MOST_DATABASES];	/* beside it */
} Upkeeps;

static DbopsUpkeep registered[MOST_UPKEEPS];
static int	n_registered = 0;

static Upkeeps *upkeeps = NULL; /* NULL: not preloaded */
static LWLock *upkeeps_lock = NULL;
static void (*wake_database) (Oid database) = NULL;

static void forget(Oid database);
static UpkeepTimes *find_times(Oid database, bool create);
static long period(const DbopsUpkeep *upkeep, bool at_home);
static TimestampTz due_time(const DbopsUpkeep *upkeep, TimestampTz due, TimestampTz now, bool at_home);
static void run_in_transaction(const DbopsUpkeep *upkeep, bool (*may_run) (void));

/* Ask for the shared memory. */
void
dbops_upkeep_init(void)
{
	dbops_shared_request("dbops upkeep", sizeof(Upkeeps), NULL,
						 (void **) &upkeeps, &upkeeps_lock);
	dbops_forget_register(forget);
}

/* Register an upkeep; called when the library is loaded. */
void
dbops_upkeep_register(const DbopsUpkeep *upkeep)
{
	if (n_registered == MOST_UPKEEPS)
		elog(ERROR, "too many kinds of upkeep");
	registered[n_registered++] = *upkeep;
}

/* Say how a database's scheduler is woken. */
void
dbops_upkeep_wake_hook(void (*wake) (Oid database))
{
	wake_database = wake;
}

/* Have an upkeep of a database, or with NULL each of them, done now. */
void
dbops_upkeep_request(Oid database, const char *name)
{
	UpkeepTimes *times;

	if (upkeeps == NULL)
		return;
	LWLockAcquire(upkeeps_lock, LW_EXCLUSIVE);
	times = find_times(database, true);
	for (int i = 0; times != NULL && i < n_registered; i++)
		if (name == NULL || strcmp(registered[i].name, name) == 0)
			times->due[i] = 0;
	LWLockRelease(upkeeps_lock);
	if (wake_database != NULL)
		wake_database(database);
}

/* Should dbops come back there, everything is due at once. */
static void
forget(Oid database)
{
	UpkeepTimes *times;

	if (upkeeps == NULL)
		return;
	LWLockAcquire(upkeeps_lock, LW_EXCLUSIVE);
	times = find_times(database, false);
	if (times != NULL)
	{
		upkeeps->databases[times - upkeeps->times] = InvalidOid;
		memset(times, 0, sizeof(UpkeepTimes));
	}
	LWLockRelease(upkeeps_lock);
}

/* Take an upkeep of this database that is due; it is so again a period later. NULL: none is. */
const DbopsUpkeep *
dbops_upkeep_take(void)
{
	TimestampTz now = dbops_clock_now();
	bool		at_home = (dbops_home_database() == MyDatabaseId);
	const DbopsUpkeep *taken = NULL;
	UpkeepTimes *times;

	LWLockAcquire(upkeeps_lock, LW_EXCLUSIVE);
	times = find_times(MyDatabaseId, true);
	for (int i = 0; times != NULL && i < n_registered && taken == NULL; i++)
	{
		const DbopsUpkeep *upkeep = &registered[i];

		if (due_time(upkeep, times->due[i], now, at_home) > now)
			continue;
		times->due[i] = TimestampTzPlusMilliseconds(now, period(upkeep, at_home));
		taken = upkeep;
	}
	LWLockRelease(upkeeps_lock);
	return taken;
}

/* When the next upkeep of this database is due; DT_NOEND: never. */
TimestampTz
dbops_upkeep_next(void)
{
	TimestampTz now = dbops_clock_now();
	TimestampTz next = DT_NOEND;
	bool		at_home = (dbops_home_database() == MyDatabaseId);
	UpkeepTimes *times;

	LWLockAcquire(upkeeps_lock, LW_SHARED);
	times = find_times(MyDatabaseId, false);
	for (int i = 0; times != NULL && i < n_registered; i++)
		next = Min(next, due_time(&registered[i], times->due[i], now, at_home));
	LWLockRelease(upkeeps_lock);
	return next;
}

/* Find the times of a database; the lock is held, exclusively to make them. NULL: there is no room. */
static UpkeepTimes *
find_times(Oid database, bool create)
{
	int			unused = -1;

	for (int i = 0; i < DBOPS_MOST_DATABASES; i++)
	{
		if (upkeeps->databases[i] == database)
			return &upkeeps->times[i];
		if (unused < 0 && !OidIsValid(upkeeps->databases[i]))
			unused = i;
	}
	if (!create || unused < 0)
		return NULL;
	upkeeps->databases[unused] = database;
	return &upkeeps->times[unused];
}

/* How far apart its runs are, in ms; 0: it does not run here. */
static long
period(const DbopsUpkeep *upkeep, bool at_home)
{
	if (RecoveryInProgress() && upkeep->read == NULL)
		return 0;
	return at_home ? upkeep->every : upkeep->elsewhere;
}

static TimestampTz
due_time(const DbopsUpkeep *upkeep, TimestampTz due, TimestampTz now, bool at_home)
{
	TimestampTz latest = TimestampTzPlusMilliseconds(now, period(upkeep, at_home));

	if (period(upkeep, at_home) == 0)
		return DT_NOEND;
	return due > latest ? now : due;
}

/*
 * Do an upkeep in a transaction of its own, as the extension's owner, if it
 * still may run then. An error is logged.
 */
void
dbops_upkeep_run(const DbopsUpkeep *upkeep, bool (*may_run) (void))
{
	MemoryContext context = CurrentMemoryContext;

	pgstat_report_activity(STATE_RUNNING, upkeep->name);
	PG_TRY();
	{
		run_in_transaction(upkeep, may_run);
	}
	PG_CATCH();
	{
		HOLD_INTERRUPTS();
		MemoryContextSwitchTo(context);
		EmitErrorReport();
		FlushErrorState();
		AbortOutOfAnyTransaction();
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	pgstat_report_stat(true);
	pgstat_report_activity(STATE_IDLE, NULL);
}

/* What is lost with the last moments before a crash is made up for, so that nobody waits for the disk. */
static void
run_in_transaction(const DbopsUpkeep *upkeep, bool (*may_run) (void))
{
	MemoryContext context = CurrentMemoryContext;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	MemoryContextSwitchTo(context);
	if (may_run())
	{
		dbops_set_local("synchronous_commit", "off");
		dbops_run_as_extension(RecoveryInProgress() ? upkeep->read : upkeep->run, NULL);
	}
	CommitTransactionCommand();
}
