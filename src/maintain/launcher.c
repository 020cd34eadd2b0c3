/*
 * launcher.c
 *		The one process of dbops that is always there.
 *
 * It has no database connection: it reads pg_database, and starts a scheduler
 * in a database when something is due there or somebody asked for one. So any
 * number of databases costs one idle process, and no database is kept from
 * being dropped or copied. It looks into none itself: the first scheduler of a
 * database says whether dbops is there, and when it is next wanted.
 *
 * In between it runs the ticks that areas have registered. On a standby it does
 * that as well, writes nothing and waits for promotion. What it has to know of the
 * home database, such as which checks are turned off, a reader reads there: it
 * is a scheduler that can do nothing else. Other databases have none, but those
 * that may be home.
 */
#include "core/home.h"
#include "core/server.h"
#include "core/server_default.h"
#include "maintain/maintain.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#define RESTART			5		/* s until the postmaster starts a launcher that failed */
#define LOOK_AROUND		60000L	/* ms between two looks at pg_database */
#define LOOK_RECOVERY	1000L	/* ms between two looks whether recovery has ended, or a reader is due */
#define AT_ONCE			2		/* schedulers that are started at the same time */
#define AT_ONCE_LONG	4		/* and that are at work, those that have been for long counted as well */
#define FOR_LONG		60000L	/* ms */
#define LONGEST_RETRY	60000L	/* ms */
#define FORMER_FIRST	60000L	/* ms after the start for which the former home is waited for */

/* A scheduler that this launcher has registered, until it has ended. */
typedef struct Started
{
	Oid			database;
	TimestampTz since;			/* real time */
	BackgroundWorkerHandle *handle;
} Started;

static List *started = NIL;		/* of Started * */
static TimestampTz looked_around = 0;
static TimestampTz next_try = 0;	/* after a failure to register; 0: at once */
static int	failed_tries = 0;
static bool was_enabled = true;
static Oid	parting = InvalidOid;	/* dbops is switched off: one more scheduler is to look here */
static int	beat = -1;			/* dbops.heartbeat, as last seen; -1: not yet */
static Oid	named_home = InvalidOid;	/* by dbops.home_database, as last looked around */

static void take_office(void);
static void leave_office(int code, Datum arg);
static long look_after(void);
static void follow_promotion(void);
static void obey_switch(void);
static void follow_beat(void);
static void part(void);
static void forget_off(void);
static void wake_all(void);
static void stop_schedulers(void);
static void look_around(TimestampTz now);
static Oid	choose_home(void);
static bool is_former_waited_for(Oid home);
static bool may_have_dbops(Oid database);
static bool may_be_home(const DatabaseEntry *entry);
static Oid	choose_oldest(void);
static List *list_databases(void);
static void enter_databases(List *oids);
static bool is_unused(const DatabaseEntry *entry);
static void finish_started(void);
static void note_lost(Oid database);
static void start_due(TimestampTz now);
static Oid	take_due(TimestampTz now);
static bool is_due(const DatabaseEntry *entry, TimestampTz now);
static bool may_serve(const DatabaseEntry *entry, Oid home);
static bool goes_before(const DatabaseEntry *one, const DatabaseEntry *other, Oid home);
static bool may_start(TimestampTz real);
static bool start_scheduler(Oid database);
static void note_no_slot(Oid database, TimestampTz now);
static long until_next(TimestampTz now);

/* Register the launcher; called when the library is preloaded. */
void
dbops_launcher_init(void)
{
	BackgroundWorker worker = {
		.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
		.bgw_start_time = BgWorkerStart_ConsistentState,
		.bgw_restart_time = RESTART,
		.bgw_library_name = "dbops",
		.bgw_function_name = "dbops_launcher_main",
		.bgw_name = "dbops launcher",
		.bgw_type = "dbops launcher"
	};

	if (process_shared_preload_libraries_in_progress && !IsBinaryUpgrade)
		RegisterBackgroundWorker(&worker);
}

/* Look after the databases until the server stops. */
void
dbops_launcher_main(Datum arg)
{
	MemoryContext context;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	SetConfigOption(TRANSACTION_TIMEOUT_NAME, "0", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("quote_all_identifiers", "off", PGC_SUSET, PGC_S_OVERRIDE); /* names are keys */
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	take_office();
	dbops_disk_watch_leave_it(false);
	context = AllocSetContextCreate(TopMemoryContext, "dbops launcher", ALLOCSET_DEFAULT_SIZES);

	for (;;)
	{
		long		nap;

		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(context);
		nap = look_after();
		MemoryContextSwitchTo(TopMemoryContext);
		MemoryContextReset(context);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 nap, PG_WAIT_EXTENSION);
	}
}

/* Let others wake us. What a launcher before us has started, we do not know. */
static void
take_office(void)
{
	before_shmem_exit(leave_office, (Datum) 0);
	LWLockAcquire(dbops_engine_lock, LW_EXCLUSIVE);
	dbops_engine->launcher_pid = MyProcPid;
	dbops_engine->launcher_latch = MyLatch;
	for (int i = 0; i < dbops_engine->n_databases; i++)
		dbops_engine->databases[i].scheduler_starting = false;
	LWLockRelease(dbops_engine_lock);
}

static void
leave_office(int code, Datum arg)
{
	LWLockAcquire(dbops_engine_lock, LW_EXCLUSIVE);
	dbops_engine->launcher_pid = 0;
	dbops_engine->launcher_latch = NULL;
	LWLockRelease(dbops_engine_lock);
}

/* Do what is to be done now. Returns for how long nothing will be, in ms. */
static long
look_after(void)
{
	TimestampTz now = dbops_clock_now();
	long		until_tick;

	obey_switch();
	if (!dbops_enabled)
	{
		finish_started();
		part();
		return RecoveryInProgress() ? LOOK_RECOVERY : LOOK_AROUND;
	}
	until_tick = dbops_tick_run();
	follow_promotion();
	if (looked_around == 0 || dbops_engine->look_around ||
		TimestampDifferenceExceeds(looked_around, GetCurrentTimestamp(), LOOK_AROUND))
		look_around(now);
	dbops_home_note(choose_home());
	finish_started();
	start_due(now);
	return Min(RecoveryInProgress() ? LOOK_RECOVERY : until_next(now), until_tick);
}

/* What a standby could not do, or needed not to know, is to be done now. */
static void
follow_promotion(void)
{
	static bool was_standby = false;
	Oid			home = dbops_home_database();

	if (was_standby && !RecoveryInProgress())
	{
		LWLockAcquire(dbops_engine_lock, LW_EXCLUSIVE);
		for (int i = 0; i < dbops_engine->n_databases; i++)
			if (OidIsValid(dbops_engine->databases[i].oid))
				dbops_engine->databases[i].wake = true;
		LWLockRelease(dbops_engine_lock);
		looked_around = 0;
		if (OidIsValid(home))
			dbops_upkeep_request(home, NULL);
	}
	was_standby = RecoveryInProgress();
}

/* Take over the configuration; stop everything, or begin again, by dbops.enabled. */
static void
obey_switch(void)
{
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
		wake_all();				/* limits may have become wider */
		looked_around = 0;		/* another home may have been named */
	}
	dbops_server_note();
	if (was_enabled && !dbops_enabled)
	{
		stop_schedulers();
		dbops_engine_stop_runners(InvalidOid);
		parting = RecoveryInProgress() ? InvalidOid : dbops_home_database();
	}
	if (!was_enabled && dbops_enabled)
	{
		parting = InvalidOid;
		forget_off();
	}
	if (was_enabled != dbops_enabled || beat != dbops_heartbeat)
		follow_beat();
	was_enabled = dbops_enabled;
}

/* Standbys that are not told that the beat is another, or has ended, would miss it. */
static void
follow_beat(void)
{
	if (beat != -1 && OidIsValid(dbops_home_database()))
		dbops_upkeep_request(dbops_home_database(), "heartbeat");
	beat = dbops_heartbeat;
}

/* Have home's scheduler come for the last time, once the one that was stopped has left. */
static void
part(void)
{
	DatabaseEntry *entry;
	bool		can;

	LWLockAcquire(dbops_engine_lock, LW_EXCLUSIVE);
	entry = OidIsValid(parting) ? dbops_engine_database(parting, false) : NULL;
	can = (entry != NULL && is_unused(entry));
	if (can)
		entry->scheduler_starting = true;
	LWLockRelease(dbops_engine_lock);
	if (!can)
		return;
	if (start_scheduler(parting))
		parting = InvalidOid;
	else
		note_no_slot(parting, dbops_clock_now());
}

/* What a scheduler saw as turned off with the whole server is not so any more. */
static void
forget_off(void)
{
	LWLockAcquire(dbops_engine_lock, LW_EXCLUSIVE);
	for (int i = 0; i < dbops_engine->n_databases; i++)
		dbops_engine->databases[i].off = false;
	LWLockRelease(dbops_engine_lock);
}

/* Have a scheduler look at every database that has dbops. */
static void
wake_all(void)
{
	LWLockAcquire(dbops_engine_lock, LW_EXCLUSIVE);
	for (int i = 0; i < dbops_engine->n_databases; i++)
		if (dbops_engine->databases[i].state == DATABASE_ACTIVE)
			dbops_engine->databases[i].wake = true;
	LWLockRelease(dbops_engine_lock);
}

static void
stop_schedulers(void)
{
	LWLockAcquire(dbops_engine_lock, LW_EXCLUSIVE);
	for (int i = 0; i < dbops_engine->n_databases; i++)
		if (dbops_engine->databases[i].scheduler_pid != 0)
			kill(dbops_engine->databases[i].scheduler_pid, SIGTERM);
	LWLockRelease(dbops_engine_lock);
}

/* ---- which databases there are ---- */

/* Enter databases that have come and forget those that have gone. */
static void
look_around(TimestampTz now)
{
	dbops_engine->look_around = false;
	enter_databases(list_databases());
	looked_around = GetCurrentTimestamp();
}

/* List the databases that can be connected to, but for templates. */
static List *
list_databases(void)
{
	MemoryContext context = CurrentMemoryContext;
	List	   *oids = NIL;
	Relation	rel;
	TableScanDesc scan;
	HeapTuple	tuple;

	named_home = InvalidOid;
	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(rel, 0, NULL);
	while (HeapTupleIsValid(tuple = heap_getnext(scan, ForwardScanDirection)))
	{
		Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);
		MemoryContext before = MemoryContextSwitchTo(context);

		if (database->datallowconn && !database->datistemplate &&
			database->datconnlimit != DATCONNLIMIT_INVALID_DB)
			oids = lappend_oid(oids, database->oid);
		if (strcmp(NameStr(database->datname), dbops_home_name) == 0)
			named_home = database->oid;
		MemoryContextSwitchTo(before);
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	return oids;
}

static void
enter_databases(List *oids)
{
	static bool complained = false;
	bool		full = false;
	List	   *gone = NIL;
	ListCell   *cell;

	LWLockAcquire(dbops_engine_lock, LW_EXCLUSIVE);
	for (int i = 0; i < dbops_engine->n_databases; i++)
	{
		DatabaseEntry *entry = &dbops_engine->databases[i];

		if (OidIsValid(entry->oid) && is_unused(entry) && !list_member_oid(oids, entry->oid))
		{
			gone = lappend_oid(gone, entry->oid);
			*entry = (DatabaseEntry) {.next_due = DT_NOEND};
		}
	}
	for (int i = 0; i < ENGINE_RUNNERS; i++)
		if (dbops_engine->runners[i].state == RUNNER_DEAD &&
			!list_member_oid(oids, dbops_engine->runners[i].database))
			dbops_engine->runners[i].state = RUNNER_FREE;
	foreach(cell, oids)
	{
		if (dbops_engine_database(lfirst_oid(cell), false) != NULL)
			continue;
		if (dbops_engine_database(lfirst_oid(cell), true) != NULL)
			dbops_engine_database(lfirst_oid(cell), false)->wake = true;
		else
			full = true;
	}
	LWLockRelease(dbops_engine_lock);

	foreach(cell, gone)
		dbops_forget_database(lfirst_oid(cell));
	if (full && !complained)
		ereport(LOG,
				(errmsg("dbops looks after %d databases and no more", ENGINE_DATABASES)));
	complained = full;
}

/*
 * Choose the database that holds what is the cluster's: the one that is named,
 * or the oldest that has dbops when it is gone, has none or has it turned off, as
 * nobody would be told of the cluster's alerts otherwise.
 */
static Oid
choose_home(void)
{
	static bool complained = false;
	bool		named = (dbops_home_name[0] != '\0');
	bool		fits = named && OidIsValid(named_home) && may_have_dbops(named_home);
	Oid			home = fits ? named_home : choose_oldest();

	if (named && !fits && !complained)
		ereport(LOG,
				(errmsg("there is no database \"%s\" with dbops at work, which dbops.home_database names", dbops_home_name),
				 errdetail("The oldest database in which dbops is at work takes its place."),
				 errhint("Create the extension there, set dbops.enabled = on for it, or set dbops.home_database to another.")));
	complained = named && !fits;
	return is_former_waited_for(home) ? dbops_home_former() : home;
}

/*
 * Is the home of before the start to be looked after first, since another one is
 * to take over what it says was told? Once it has been, it is home no more.
 */
static bool
is_former_waited_for(Oid home)
{
	static bool over = false;
	Oid			former = dbops_home_former();
	const DatabaseEntry *entry;

	if (over || RecoveryInProgress())
		return false;
	LWLockAcquire(dbops_engine_lock, LW_SHARED);
	entry = OidIsValid(former) ? dbops_engine_database(former, false) : NULL;
	over = entry == NULL || former == home || !may_be_home(entry) ||
		(entry->state == DATABASE_ACTIVE && is_unused(entry)) ||
		TimestampDifferenceExceeds(MyStartTimestamp, GetCurrentTimestamp(), FORMER_FIRST);
	LWLockRelease(dbops_engine_lock);
	return !over;
}

/* Can a database be looked after, and is it not known that it has no dbops? */
static bool
may_have_dbops(Oid database)
{
	const DatabaseEntry *entry;
	bool		may;

	LWLockAcquire(dbops_engine_lock, LW_SHARED);
	entry = dbops_engine_database(database, false);
	may = (entry != NULL && may_be_home(entry));
	LWLockRelease(dbops_engine_lock);
	return may;
}

/* One into which no scheduler gets does not keep the others waiting, nor does one in which dbops does nothing. */
static bool
may_be_home(const DatabaseEntry *entry)
{
	return OidIsValid(entry->oid) && !entry->off && entry->state != DATABASE_ABSENT &&
		!(entry->state == DATABASE_UNKNOWN && entry->failures > 0);
}

/* The oldest that has dbops, once none that is older can turn out to have it. */
static Oid
choose_oldest(void)
{
	const DatabaseEntry *oldest = NULL;
	Oid			home;

	LWLockAcquire(dbops_engine_lock, LW_SHARED);
	for (int i = 0; i < dbops_engine->n_databases; i++)
	{
		const DatabaseEntry *entry = &dbops_engine->databases[i];

		if (!may_be_home(entry))
			continue;
		if (oldest == NULL || entry->oid < oldest->oid)
			oldest = entry;
	}
	home = (oldest != NULL && oldest->state == DATABASE_ACTIVE) ? oldest->oid : InvalidOid;
	LWLockRelease(dbops_engine_lock);
	return home;
}

/* Nobody has to do with the entry just now; the lock is held. */
static bool
is_unused(const DatabaseEntry *entry)
{
	return entry->holds == 0 && entry->scheduler_pid == 0 && !entry->scheduler_starting;
}

/* ---- schedulers ---- */

/* Forget the schedulers that have ended; one that never came is tried again later. */
static void
finish_started(void)
{
	ListCell   *cell;

	foreach(cell, started)
	{
		Started    *scheduler = lfirst(cell);
		pid_t		pid;

		if (GetBackgroundWorkerPid(scheduler->handle, &pid) != BGWH_STOPPED)
			continue;
		note_lost(scheduler->database);
		pfree(scheduler->handle);
		pfree(scheduler);
		started = foreach_delete_current(started, cell);
	}
}

/* A scheduler that has attached has said itself how it ended. */
static void
note_lost(Oid database)
{
	DatabaseEntry *entry;

	LWLockAcquire(dbops_engine_lock, LW_EXCLUSIVE);
	entry = dbops_engine_database(database, false);
	if (entry != NULL && entry->scheduler_starting)
	{
		entry->scheduler_starting = false;
		dbops_engine_retry_later(entry);
	}
	LWLockRelease(dbops_engine_lock);
}

/* Start schedulers where they are due, a few at a time. */
static void
start_due(TimestampTz now)
{
	Oid			database;

	if (next_try > GetCurrentTimestamp())
		return;
	while (may_start(GetCurrentTimestamp()) && OidIsValid(database = take_due(now)))
	{
		if (!start_scheduler(database))
		{
			note_no_slot(database, now);
			return;
		}
		if (failed_tries > 0)
			dbops_engine->no_process_slot = false;
		next_try = 0;
		failed_tries = 0;
	}
}

/*
 * Choose a database whose scheduler is due; none while it is not known which of
 * them have gone or have become templates.
 */
static Oid
take_due(TimestampTz now)
{
	DatabaseEntry *chosen = NULL;
	Oid			oid = InvalidOid;
	Oid			home = dbops_home_database();

	LWLockAcquire(dbops_engine_lock, LW_EXCLUSIVE);
	for (int i = 0; i < dbops_engine->n_databases && !dbops_engine->look_around; i++)
	{
		DatabaseEntry *entry = &dbops_engine->databases[i];

		if (is_due(entry, now) && may_serve(entry, home) && (chosen == NULL || goes_before(entry, chosen, home)))
			chosen = entry;
	}
	if (chosen != NULL)
	{
		chosen->scheduler_starting = true;
		chosen->served = GetCurrentTimestamp();
		oid = chosen->oid;
	}
	LWLockRelease(dbops_engine_lock);
	return oid;
}

static bool
is_due(const DatabaseEntry *entry, TimestampTz now)
{
	return OidIsValid(entry->oid) && is_unused(entry) &&
		(entry->wake || entry->next_due <= now) &&
		entry->retry_at <= GetCurrentTimestamp();
}

/* On a standby only home has a reader, and what may turn out to be home. */
static bool
may_serve(const DatabaseEntry *entry, Oid home)
{
	return !RecoveryInProgress() || !OidIsValid(home) || entry->oid == home ||
		(entry->oid < home && home != named_home);
}

/*
 * The home database goes first, since the cluster's alerts wait for it; then who
 * was served longest ago, and of those that never were the oldest, as it may be home.
 */
static bool
goes_before(const DatabaseEntry *one, const DatabaseEntry *other, Oid home)
{
	if ((one->oid == home) != (other->oid == home))
		return one->oid == home;
	if (one->served != other->served)
		return one->served < other->served;
	return one->oid < other->oid;
}

/*
 * Is there room for one more at work? Of those that have been for long, which may
 * hang where no signal reaches them, a few more are let be: the others go on.
 */
static bool
may_start(TimestampTz real)
{
	int			fresh = 0;
	ListCell   *cell;

	foreach(cell, started)
		if (!TimestampDifferenceExceeds(((Started *) lfirst(cell))->since, real, FOR_LONG))
			fresh++;
	return fresh < AT_ONCE && list_length(started) < AT_ONCE_LONG;
}

static bool
start_scheduler(Oid database)
{
	bool		reads = RecoveryInProgress();
	BackgroundWorker worker = {
		.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
		.bgw_start_time = reads ? BgWorkerStart_ConsistentState : BgWorkerStart_RecoveryFinished,
		.bgw_restart_time = BGW_NEVER_RESTART,
		.bgw_library_name = "dbops",
		.bgw_function_name = "dbops_scheduler_main",
		.bgw_main_arg = ObjectIdGetDatum(database),
		.bgw_notify_pid = MyProcPid
	};
	MemoryContext before = MemoryContextSwitchTo(TopMemoryContext);
	Started    *scheduler = palloc(sizeof(Started));
	bool		registered;

	strlcpy(worker.bgw_type, reads ? "dbops reader" : "dbops scheduler", BGW_MAXLEN);
	snprintf(worker.bgw_name, BGW_MAXLEN, "%s of database %u", worker.bgw_type, database);
	scheduler->database = database;
	scheduler->since = GetCurrentTimestamp();
	registered = RegisterDynamicBackgroundWorker(&worker, &scheduler->handle);
	if (registered)
		started = lappend(started, scheduler);
	else
		pfree(scheduler);
	MemoryContextSwitchTo(before);
	return registered;
}

/* There is no room for a process: try again, ever more rarely. */
static void
note_no_slot(Oid database, TimestampTz now)
{
	DatabaseEntry *entry;
	long		wait = Min(1000L << Min(failed_tries, 6), LONGEST_RETRY);

	failed_tries++;
	dbops_engine_note_no_process();
	next_try = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), wait);
	LWLockAcquire(dbops_engine_lock, LW_EXCLUSIVE);
	entry = dbops_engine_database(database, false);
	if (entry != NULL)
		entry->scheduler_starting = false;
	LWLockRelease(dbops_engine_lock);
}

/* How long until a scheduler is due, in ms; while AT_ONCE are starting, their end wakes us. */
static long
until_next(TimestampTz now)
{
	TimestampTz real = GetCurrentTimestamp();
	long		nap = LOOK_AROUND;

	if (!may_start(real))
		return nap;
	LWLockAcquire(dbops_engine_lock, LW_SHARED);
	for (int i = 0; i < dbops_engine->n_databases; i++)
	{
		const DatabaseEntry *entry = &dbops_engine->databases[i];
		long		wait;

		if (!OidIsValid(entry->oid) || !is_unused(entry))
			continue;
		wait = entry->wake ? 0 :
			(entry->next_due == DT_NOEND) ? LOOK_AROUND :
			TimestampDifferenceMilliseconds(now, entry->next_due);
		wait = Max(wait, TimestampDifferenceMilliseconds(real, entry->retry_at));
		nap = Min(nap, wait);
	}
	LWLockRelease(dbops_engine_lock);
	if (next_try > real)
		nap = Max(nap, TimestampDifferenceMilliseconds(real, next_try));
	return nap;
}
