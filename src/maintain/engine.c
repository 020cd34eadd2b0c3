/*
 * engine.c
 *		What launcher, schedulers, runners and sessions share.
 *
 * A database is entered by whoever meets it first: the launcher, which looks
 * through pg_database, or a session that wants a scheduler there. Wanting one
 * is a flag beside the entry and a latch, set at COMMIT. Who leaves clears
 * what is his under the same lock under which others look, so that no wake is
 * lost between a last look and an exit.
 *
 * Commands such as DROP DATABASE need every other process out of a database.
 * They hold it: nothing of dbops starts there while it is held, what runs is
 * told to end, and the hold ends with the transaction that asked for it.
 */
#include "maintain/maintain.h"

#include <signal.h>

#include "access/xact.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/memutils.h"

#define HOLD_PATIENCE	5000L	/* ms; the server waits as long for others to leave a database */
#define HOLD_NAP		10L		/* ms */
#define SAY_AGAIN		3600000L	/* ms until the log says again that there is no room */

Engine	   *dbops_engine = NULL;
LWLock	   *dbops_engine_lock = NULL;

/* Databases that this session's transaction holds; in TopMemoryContext. */
static List *held = NIL;

static void prepare_engine(void *place);
static void wake(DatabaseEntry *entry);
static void add_hold(Oid database);
static bool is_empty(Oid database);
static void end_holds(XactEvent event, void *arg);
static bool is_taken(Oid database, int64 job);
static void cancel_runner(void *arg);

/* Ask for the shared memory. */
void
dbops_engine_init(void)
{
	dbops_shared_request("dbops engine", sizeof(Engine), prepare_engine,
						 (void **) &dbops_engine, &dbops_engine_lock);
	if (process_shared_preload_libraries_in_progress)
	{
		dbops_job_submitted_hook(dbops_engine_wake_at_commit);
		dbops_upkeep_wake_hook(dbops_engine_wake_database);
	}
}

static void
prepare_engine(void *place)
{
	Engine	   *engine = place;

	for (int i = 0; i < ENGINE_DATABASES; i++)
		engine->databases[i].next_due = DT_NOEND;
	ConditionVariableInit(&engine->left);
	dbops_crash_prepare(engine);
}

/* ---- databases ---- */

/*
 * Find a database's entry, or make one; NULL if there is none or no room. The
 * lock is held, exclusively to make one.
 */
DatabaseEntry *
dbops_engine_database(Oid oid, bool create)
{
	DatabaseEntry *unused = NULL;

	for (int i = 0; i < dbops_engine->n_databases; i++)
	{
		DatabaseEntry *entry = &dbops_engine->databases[i];

		if (entry->oid == oid)
			return entry;
		if (unused == NULL && !OidIsValid(entry->oid))
			unused = entry;
	}
	if (!create)
		return NULL;
	if (unused == NULL && dbops_engine->n_databases < ENGINE_DATABASES)
		unused = &dbops_engine->databases[dbops_engine->n_databases++];
	if (unused == NULL)
		return NULL;
	*unused = (DatabaseEntry) {.oid = oid,.next_due = DT_NOEND};
	return unused;
}

/* Have a scheduler look at a database, soon. */
void
dbops_engine_wake_database(Oid oid)
{
	DatabaseEntry *entry;

	if (dbops_engine == NULL)
		return;
	LWLockAcquire(dbops_engine_lock, LW_EXCLUSIVE);
	entry = dbops_engine_database(oid, true);
	if (entry != NULL && entry->state == DATABASE_UNKNOWN)
		dbops_engine->look_around = true;	/* it may be a template */
	if (entry != NULL)
		wake(entry);
	LWLockRelease(dbops_engine_lock);
}

/* The same for every database that has dbops. */
void
dbops_engine_wake_all(void)
{
	LWLockAcquire(dbops_engine_lock, LW_EXCLUSIVE);
	for (int i = 0; i < dbops_engine->n_databases; i++)
		if (dbops_engine->databases[i].state == DATABASE_ACTIVE)
			wake(&dbops_engine->databases[i]);
	LWLockRelease(dbops_engine_lock);
}

/* For dbops_at_commit: there is something to do in this session's database. */
void
dbops_engine_wake_at_commit(void *unused)
{
	dbops_engine_wake_database(MyDatabaseId);
}

/* Wake the scheduler, or have the launcher start one. */
static void
wake(DatabaseEntry *entry)
{
	entry->wake = true;
	if (entry->scheduler_latch != NULL)
		SetLatch(entry->scheduler_latch);
	else
		dbops_engine_wake_launcher();
}

/* The lock is held. */
void
dbops_engine_wake_launcher(void)
{
	if (dbops_engine->launcher_latch != NULL)
		SetLatch(dbops_engine->launcher_latch);
}

/* A scheduler of this database has failed: try again, ever more rarely. */
void
dbops_engine_retry_later(DatabaseEntry *entry)
{
	long		wait = 1000L << Min(entry->failures, 8);

	entry->failures++;
	entry->wake = true;
	entry->retry_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), wait);
}

/* There was no room for a process: say so in the log, but not again and again. */
void
dbops_engine_note_no_process(void)
{
	TimestampTz now = GetCurrentTimestamp();
	bool		say;

	LWLockAcquire(dbops_engine_lock, LW_EXCLUSIVE);
	say = TimestampDifferenceExceeds(dbops_engine->no_process_said, now, SAY_AGAIN);
	if (say)
		dbops_engine->no_process_said = now;
	dbops_engine->no_process_slot = true;
	LWLockRelease(dbops_engine_lock);
	if (say)
		ereport(LOG,
				(errmsg("dbops cannot start a background process, because all %d are in use", max_worker_processes),
				 errdetail("Jobs wait until one is free."),
				 errhint("Raise max_worker_processes.")));
}

/* ---- runners ---- */

/*
 * Reserve a slot for a job of this database, for a process to come or, in the
 * foreground, for this one. -1 if the job has one already or none is free.
 */
int
dbops_runner_reserve(int64 job, DbopsJobClass class, bool foreground)
{
	int			index = -1;

	if (dbops_engine == NULL)
		return -1;
	LWLockAcquire(dbops_engine_lock, LW_EXCLUSIVE);
	if (!is_taken(MyDatabaseId, job) &&
		(foreground || dbops_runner_count() < dbops_max_workers))
		for (int i = 0; i < ENGINE_RUNNERS && index < 0; i++)
			if (dbops_engine->runners[i].state == RUNNER_FREE)
				index = i;
	if (index >= 0)
	{
		RunnerSlot *slot = &dbops_engine->runners[index];
		DatabaseEntry *entry = dbops_engine_database(MyDatabaseId, false);
		uint32		generation = slot->generation + 1;

		if (entry != NULL && !foreground)
			entry->reserved = GetCurrentTimestamp();

		*slot = (RunnerSlot)
		{
			.state = foreground ? RUNNER_RUNNING : RUNNER_STARTING,
			.generation = generation,
			.foreground = foreground,
			.database = MyDatabaseId,
			.job = job,
			.class = class,
			.pid = foreground ? MyProcPid : 0,
			.since = GetCurrentTimestamp()
		};
	}
	LWLockRelease(dbops_engine_lock);
	return index;
}

/* Give a slot back; whoever waits for one, or for the job, is woken. */
void
dbops_runner_release(int index)
{
	Oid			database;

	if (index < 0)
		return;
	LWLockAcquire(dbops_engine_lock, LW_EXCLUSIVE);
	database = dbops_engine->runners[index].database;
	dbops_engine->runners[index].state = RUNNER_FREE;
	dbops_helpers_tell(index);
	for (int i = 0; i < dbops_engine->n_databases; i++)
		if (dbops_engine->databases[i].waits_for_worker)
			wake(&dbops_engine->databases[i]);
	LWLockRelease(dbops_engine_lock);
	dbops_engine_wake_database(database);
	ConditionVariableBroadcast(&dbops_engine->left);
}

/*
 * Leave a slot to the scheduler, when this process ends and has not recorded
 * how its job ended.
 */
void
dbops_runner_abandon(int index)
{
	RunnerSlot *slot = &dbops_engine->runners[index];

	LWLockAcquire(dbops_engine_lock, LW_EXCLUSIVE);
	slot->state = RUNNER_DEAD;
	dbops_helpers_tell(index);
	LWLockRelease(dbops_engine_lock);
	dbops_engine_wake_database(slot->database);
	ConditionVariableBroadcast(&dbops_engine->left);
}

/*
 * Wait until a process leaves its job, or for so many ms. The first call returns
 * at once, and whoever leaves after it is not missed by the next.
 */
void
dbops_engine_await_leaver(long ms)
{
	if (dbops_engine != NULL)
	{
		(void) ConditionVariableTimedSleep(&dbops_engine->left, ms, PG_WAIT_EXTENSION);
		return;
	}
	pgstat_report_wait_start(PG_WAIT_EXTENSION);
	dbops_clock_wait(ms);
	pgstat_report_wait_end();
}

/* Wait no more. An error ends it too. */
void
dbops_engine_await_end(void)
{
	ConditionVariableCancelSleep();
}

/* Find the slot of the process that has claimed a job, -1 if there is none; the lock is held. */
int
dbops_runner_find(Oid database, int64 job)
{
	for (int i = 0; i < ENGINE_RUNNERS; i++)
	{
		const RunnerSlot *slot = &dbops_engine->runners[i];

		if (slot->state != RUNNER_FREE && slot->worker == 0 &&
			slot->database == database && slot->job == job)
			return i;
	}
	return -1;
}

/* Has a job of this database a slot, be it of one that helps a process that is gone? */
bool
dbops_runner_has(int64 job)
{
	bool		has;

	if (dbops_engine == NULL)
		return false;
	LWLockAcquire(dbops_engine_lock, LW_SHARED);
	has = is_taken(MyDatabaseId, job);
	LWLockRelease(dbops_engine_lock);
	return has;
}

/* The same; the lock is held. */
static bool
is_taken(Oid database, int64 job)
{
	for (int i = 0; i < ENGINE_RUNNERS; i++)
	{
		const RunnerSlot *slot = &dbops_engine->runners[i];

		if (slot->state != RUNNER_FREE && slot->database == database && slot->job == job)
			return true;
	}
	return false;
}

/* How many slots of dbops.max_workers are taken; the lock is held. */
int
dbops_runner_count(void)
{
	int			count = 0;

	for (int i = 0; i < ENGINE_RUNNERS; i++)
		if (dbops_engine->runners[i].state != RUNNER_FREE &&
			!dbops_engine->runners[i].foreground)
			count++;
	return count;
}

/*
 * Must one of the two wait for the other in the same database? A concurrent
 * index build waits for every older snapshot, so two of them, or one and a long
 * snapshot, would hold each other up for their whole length.
 */
bool
dbops_class_conflict(DbopsJobClass a, DbopsJobClass b)
{
	if (a == DBOPS_CLASS_CONCURRENT_DDL)
		return b == DBOPS_CLASS_CONCURRENT_DDL || b == DBOPS_CLASS_SNAPSHOT;
	if (b == DBOPS_CLASS_CONCURRENT_DDL)
		return a == DBOPS_CLASS_SNAPSHOT;
	return a == DBOPS_CLASS_SNAPSHOT && b == DBOPS_CLASS_SNAPSHOT;
}

/*
 * The job that keeps one of this class from running in this database, 0 if
 * there is none; its own slot does not count. With a slot the class is taken.
 */
int64
dbops_runner_enter_class(int index, DbopsJobClass class)
{
	int64		other = 0;

	if (dbops_engine == NULL)
		return 0;
	LWLockAcquire(dbops_engine_lock, LW_EXCLUSIVE);
	for (int i = 0; i < ENGINE_RUNNERS && other == 0; i++)
	{
		const RunnerSlot *slot = &dbops_engine->runners[i];

		if (index >= 0 && slot->job == dbops_engine->runners[index].job)
			continue;			/* those that help each other */
		if (i != index && slot->state != RUNNER_FREE && slot->state != RUNNER_DEAD &&
			slot->database == MyDatabaseId && dbops_class_conflict(slot->class, class))
			other = slot->job;
	}
	if (index >= 0 && other == 0)
		dbops_engine->runners[index].class = class;
	LWLockRelease(dbops_engine_lock);
	return other;
}

/* Say what a job waits for; NULL: it works. */
void
dbops_runner_set_waiting(int index, const char *reason)
{
	const char *text = reason ? reason : "";

	if (index < 0)
		return;
	LWLockAcquire(dbops_engine_lock, LW_EXCLUSIVE);
	strlcpy(dbops_engine->runners[index].waiting, text, pg_mbcliplen(text, strlen(text), ENGINE_WAITING - 1) + 1);
	LWLockRelease(dbops_engine_lock);
}

/* Say how far a step is that takes long; a total of 0: the cursor says it again. */
void
dbops_runner_set_progress(int index, int64 done, int64 total)
{
	if (index < 0)
		return;
	LWLockAcquire(dbops_engine_lock, LW_EXCLUSIVE);
	dbops_engine->runners[index].done = done;
	dbops_engine->runners[index].total = total;
	LWLockRelease(dbops_engine_lock);
}

/* Say at which part of a shared phase it is; 0: none. */
void
dbops_runner_set_part(int index, int part)
{
	if (index < 0)
		return;
	LWLockAcquire(dbops_engine_lock, LW_EXCLUSIVE);
	dbops_engine->runners[index].part = part;
	LWLockRelease(dbops_engine_lock);
}

/* Interrupt a job's processes when the transaction that cancels it commits. */
void
dbops_runner_cancel_at_commit(int64 job)
{
	int64	   *copy = MemoryContextAlloc(TopTransactionContext, sizeof(int64));

	*copy = job;
	dbops_at_commit(cancel_runner, copy);
}

static void
cancel_runner(void *arg)
{
	if (dbops_engine == NULL)
		return;
	LWLockAcquire(dbops_engine_lock, LW_EXCLUSIVE);
	for (int i = 0; i < ENGINE_RUNNERS; i++)
	{
		RunnerSlot *slot = &dbops_engine->runners[i];

		if (slot->state == RUNNER_FREE || slot->database != MyDatabaseId || slot->job != *(int64 *) arg)
			continue;
		slot->cancel = true;
		dbops_runner_signal(slot, SIGINT);
	}
	LWLockRelease(dbops_engine_lock);
}

/* Signal a slot's process; one that has not attached yet looks at the slot. */
void
dbops_runner_signal(RunnerSlot *slot, int signal)
{
	if (slot->state == RUNNER_RUNNING && slot->pid != 0)
		kill(slot->pid, signal);
}

/* Tell the background jobs of a database to end, to go on later. */
void
dbops_engine_stop_runners(Oid database)
{
	LWLockAcquire(dbops_engine_lock, LW_EXCLUSIVE);
	for (int i = 0; i < ENGINE_RUNNERS; i++)
	{
		RunnerSlot *slot = &dbops_engine->runners[i];

		if (slot->state == RUNNER_FREE || slot->foreground || slot->pid == MyProcPid ||
			(OidIsValid(database) && slot->database != database))
			continue;
		slot->stop = true;
		dbops_runner_signal(slot, SIGTERM);
	}
	LWLockRelease(dbops_engine_lock);
}

/* ---- holds ---- */

/*
 * Keep dbops out of a database until this transaction ends, and wait until its
 * processes have left it, but no longer than the server would wait for them.
 */
void
dbops_engine_hold(Oid database)
{
	long		waited = 0;

	if (dbops_engine == NULL)
		return;
	add_hold(database);
	dbops_engine_stop_runners(database);
	while (!is_empty(database) && waited < HOLD_PATIENCE)
	{
		dbops_clock_wait(HOLD_NAP);
		waited += HOLD_NAP;
	}
}

/* Enter the hold, to be ended with the transaction, and stop the scheduler. */
static void
add_hold(Oid database)
{
	static bool registered = false;
	MemoryContext before = MemoryContextSwitchTo(TopMemoryContext);
	DatabaseEntry *entry;

	if (!registered)
		RegisterXactCallback(end_holds, NULL);
	registered = true;
	held = lappend_oid(held, database);
	MemoryContextSwitchTo(before);

	LWLockAcquire(dbops_engine_lock, LW_EXCLUSIVE);
	entry = dbops_engine_database(database, true);
	if (entry != NULL)
	{
		entry->holds++;
		if (entry->scheduler_pid != 0)
			kill(entry->scheduler_pid, SIGTERM);
	}
	LWLockRelease(dbops_engine_lock);
}

/* Has every process of dbops left the database? */
static bool
is_empty(Oid database)
{
	DatabaseEntry *entry;
	bool		empty;

	LWLockAcquire(dbops_engine_lock, LW_SHARED);
	entry = dbops_engine_database(database, false);
	empty = (entry == NULL || (entry->scheduler_pid == 0 && !entry->scheduler_starting));
	for (int i = 0; i < ENGINE_RUNNERS; i++)
	{
		const RunnerSlot *slot = &dbops_engine->runners[i];

		if (slot->database == database && !slot->foreground && slot->pid != MyProcPid &&
			(slot->state == RUNNER_STARTING || slot->state == RUNNER_RUNNING))
			empty = false;
	}
	LWLockRelease(dbops_engine_lock);
	return empty;
}

/* End the holds of this transaction and have a scheduler look what is left. */
static void
end_holds(XactEvent event, void *arg)
{
	ListCell   *cell;

	if (held == NIL || (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT &&
						event != XACT_EVENT_PREPARE))
		return;
	LWLockAcquire(dbops_engine_lock, LW_EXCLUSIVE);
	dbops_engine->look_around = true;	/* one may have been dropped */
	foreach(cell, held)
	{
		DatabaseEntry *entry = dbops_engine_database(lfirst_oid(cell), false);

		if (entry == NULL)
			continue;
		entry->holds--;
		wake(entry);
	}
	dbops_engine_wake_launcher();
	LWLockRelease(dbops_engine_lock);
	list_free(held);
	held = NIL;
}
