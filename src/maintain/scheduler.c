/*
 * scheduler.c
 *		Look at one database while something is due there, then leave.
 *
 * A scheduler judges jobs whose process has died, turns schedules that are due
 * into jobs, starts a runner for each job that may run, and says when it is
 * next wanted: at the latest in some minutes, since what a restore brings wakes
 * nobody. Each look is one short transaction; between two of them it
 * holds nothing, and it stays only as long as jobs come or end.
 *
 * On a standby it is the reader: it looks whether dbops is there, and reads what
 * the launcher has to know. Nothing is written, and no job is looked at.
 */
#include "core/server.h"
#include "maintain/maintain.h"
#include "maintain/policy.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#define GIVE_WAY		100L	/* ms that others have to take a runner first */
#define LINGER			250L	/* ms to stay for more, after jobs were started */
#define FAIR_STAY		2000L	/* ms after which other databases that wait come first */
#define LOOK_AGAIN		10000L	/* ms until jobs that wait for a gate are looked at again */
#define LOOK_ANYWAY		60000L	/* ms until jobs that wait for a worker are, if nobody wakes us */
#define LOOK_IN_VAIN	600000L /* ms until a database where nothing is due is looked at all the same */
#define SEARCH_PACE		1000L	/* ms, for each database, between two searches for dbops on a standby */
#define PRUNE_EVERY		3600000L	/* ms between two prunings of the history */
#define LOST_START		60000L	/* ms after which a runner that has not come never will */

/* What one look found. */
typedef struct Look
{
	bool		gone;			/* the extension is not there */
	bool		locked;			/* somebody is about to change or drop it */
	TimestampTz next_due;
	List	   *starts;			/* of StoredJob *: slots are reserved */
	List	   *slots;			/* of int, beside starts */
} Look;

static Oid	my_database;
static bool finished = false;

static bool attach(void);
static void leave(int code, Datum arg);
static void free_unstarted_slots(void);
static void log_in(void);
static void work(void);
static void look(Look *look);
static bool extension_is_there(Look *look);
static void look_at_jobs(Look *look, TimestampTz now);
static void note_refusal(const char *refusal);
static void free_lost_slots(void);
static void prune_sometimes(void);
static void choose_jobs(Look *look, TimestampTz now);
static bool others_come_first(void);
static bool choose_job(StoredJob *job, Look *look, TimestampTz now);
static bool role_is_fit(StoredJob *job);
static void wait_for_worker(bool waits);
static void keep_up(void);
static bool is_woken(void);
static bool may_keep_up(void);
static bool may_part(void);
static bool start_runners(Look *look);
static bool is_wanted(const Look *look);
static TimestampTz next_search(void);
static bool others_wait(void);

void
dbops_scheduler_main(Datum arg)
{
	my_database = DatumGetObjectId(arg);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	if (!attach())
		proc_exit(0);
	dbops_disk_watch_leave_it(true);
	log_in();
	work();
	proc_exit(0);
}

/* Become the database's scheduler, unless it has one or is held. */
static bool
attach(void)
{
	DatabaseEntry *entry;
	bool		wanted;

	LWLockAcquire(dbops_engine_lock, LW_EXCLUSIVE);
	entry = dbops_engine_database(my_database, false);
	wanted = (entry != NULL && entry->holds == 0 && entry->scheduler_pid == 0);
	if (entry != NULL)
		entry->scheduler_starting = false;
	if (wanted)
	{
		entry->scheduler_pid = MyProcPid;
		entry->scheduler_latch = MyLatch;
	}
	LWLockRelease(dbops_engine_lock);
	if (wanted)
		before_shmem_exit(leave, (Datum) 0);
	return wanted;
}

/*
 * Say that the database has no scheduler. One that failed is tried again later,
 * and what it reserved without starting a process there is nobody's.
 */
static void
leave(int code, Datum arg)
{
	DatabaseEntry *entry;

	LWLockAcquire(dbops_engine_lock, LW_EXCLUSIVE);
	entry = dbops_engine_database(my_database, false);
	if (entry != NULL && entry->scheduler_pid == MyProcPid)
	{
		entry->scheduler_pid = 0;
		entry->scheduler_latch = NULL;
		if (!finished)
		{
			free_unstarted_slots();
			dbops_engine_retry_later(entry);
		}
	}
	dbops_engine_wake_launcher();
	LWLockRelease(dbops_engine_lock);
}

/* A process that comes yet finds its slot taken away, and ends; the lock is held. */
static void
free_unstarted_slots(void)
{
	for (int i = 0; i < ENGINE_RUNNERS; i++)
	{
		RunnerSlot *slot = &dbops_engine->runners[i];

		if (slot->state == RUNNER_STARTING && slot->database == my_database && slot->pid == 0)
			slot->state = RUNNER_FREE;
	}
}

/* Connect as autovacuum does: nobody's settings may slow it down or mislead it. */
static void
log_in(void)
{
	static const char *const settings[][2] = {
		{"search_path", "pg_catalog, pg_temp"},
		{"statement_timeout", "0"},
		{"lock_timeout", "5000"},
		{"idle_in_transaction_session_timeout", "0"},
		{"idle_session_timeout", "0"},
		{TRANSACTION_TIMEOUT_NAME, "0"},
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_read_only", "off"},
		{"synchronous_commit", "local"},
		{"compute_query_id", "off"},	/* pg_stat_statements is for what applications do */
		{"quote_all_identifiers", "off"},	/* names are keys */
	};

	for (int i = 0; i < lengthof(settings); i++)
		SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET, PGC_S_OVERRIDE);
	BackgroundWorkerInitializeConnectionByOid(my_database, InvalidOid, 0);
	pgstat_report_appname(MyBgworkerEntry->bgw_type);
}

/* Look until nothing is to be expected soon. */
static void
work(void)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "dbops scheduler",
												  ALLOCSET_DEFAULT_SIZES);

	for (;;)
	{
		Look		found = {.next_due = DT_NOEND};
		bool		busy;

		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		MemoryContextSwitchTo(context);
		look(&found);
		busy = start_runners(&found);
		if (busy)
			(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
							 LINGER, PG_WAIT_EXTENSION);
		if (!found.gone && !found.locked)
			keep_up();
		if (!is_wanted(&found))
			return;
		MemoryContextReset(context);
	}
}

/* Look once, in a transaction of its own. */
static void
look(Look *look)
{
	MemoryContext context = CurrentMemoryContext;
	DatabaseEntry *entry;

	LWLockAcquire(dbops_engine_lock, LW_EXCLUSIVE);
	entry = dbops_engine_database(my_database, true);
	if (entry != NULL)
		entry->wake = false;
	LWLockRelease(dbops_engine_lock);

	pgstat_report_activity(STATE_RUNNING, "looking at jobs and schedules");
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	MemoryContextSwitchTo(context);
	if (extension_is_there(look) && !RecoveryInProgress())
		look_at_jobs(look, dbops_clock_now());
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	pgstat_report_stat(true);
	pgstat_report_activity(STATE_IDLE, NULL);
}

/* Keep it from being dropped for the time of the look, but wait for nobody. */
static bool
extension_is_there(Look *look)
{
	Oid			extension = get_extension_oid("dbops", true);

	if (!OidIsValid(extension))
		look->gone = true;
	else if (!ConditionalLockDatabaseObject(ExtensionRelationId, extension, 0, AccessShareLock))
		look->locked = true;
	else
		look->gone = !OidIsValid(get_extension_oid("dbops", true));
	if (look->locked)
		look->next_due = TimestampTzPlusMilliseconds(dbops_clock_now(), LOOK_AGAIN);
	return !look->gone && !look->locked;
}

static void
look_at_jobs(Look *look, TimestampTz now)
{
	const char *refusal = dbops_identity_refusal();
	bool		refused = (refusal != NULL);

	note_refusal(refusal);
	/* What has run here is judged also when nothing more is to run: its slots are others'. */
	if (refused)
		dbops_engine_stop_runners(my_database);
	free_lost_slots();
	dbops_job_reap_slots();
	if (refused)
		return;
	dbops_identity_follow();
	if (dbops_job_reap_lost())
		look->next_due = TimestampTzPlusMilliseconds(now, LOOK_AGAIN);
	dbops_due_submit(now, &look->next_due);
	prune_sometimes();
	choose_jobs(look, now);
}

/*
 * Have everything be kept up anew when it is another than before why no job runs
 * here, or when they may again. A restore brings that it is a copy after dbops
 * itself, and somebody who is to hear of it would wait for a whole period.
 */
static void
note_refusal(const char *refusal)
{
	uint32		standing = (refusal == NULL) ? 0 : Max(1, string_hash(refusal, strlen(refusal) + 1));
	DatabaseEntry *entry;
	bool		changed;

	LWLockAcquire(dbops_engine_lock, LW_EXCLUSIVE);
	entry = dbops_engine_database(my_database, false);
	changed = (entry != NULL && entry->refusal != standing);
	if (changed)
		entry->refusal = standing;
	LWLockRelease(dbops_engine_lock);
	if (changed)
		dbops_upkeep_request(my_database, NULL);
}

/* Give back the slots of runners that have died without a word. */
static void
free_lost_slots(void)
{
	LWLockAcquire(dbops_engine_lock, LW_EXCLUSIVE);
	for (int i = 0; i < ENGINE_RUNNERS; i++)
	{
		RunnerSlot *slot = &dbops_engine->runners[i];

		if (slot->state != RUNNER_STARTING || slot->database != my_database)
			continue;
		if (slot->pid != 0 ? (kill(slot->pid, 0) != 0) :
			TimestampDifferenceExceeds(slot->since, GetCurrentTimestamp(), LOST_START))
			slot->state = RUNNER_FREE;
	}
	LWLockRelease(dbops_engine_lock);
}

static void
prune_sometimes(void)
{
	TimestampTz now = GetCurrentTimestamp();
	DatabaseEntry *entry;
	bool		due;

	LWLockAcquire(dbops_engine_lock, LW_EXCLUSIVE);
	entry = dbops_engine_database(my_database, false);
	due = (entry != NULL && entry->pruned <= now &&
		   TimestampDifferenceExceeds(entry->pruned, now, PRUNE_EVERY));
	if (due)
		entry->pruned = now;
	LWLockRelease(dbops_engine_lock);
	if (!due)
		return;
	dbops_job_prune();
	dbops_maintenance_prune();
}

/* ---- which jobs start ---- */

/* Reserve runners for the jobs that may run now, in their order. */
static void
choose_jobs(Look *look, TimestampTz now)
{
	List	   *queue = dbops_job_queue(now, &look->next_due);
	ListCell   *cell;

	wait_for_worker(false);
	if (queue != NIL && others_come_first())
		dbops_clock_wait(GIVE_WAY);
	foreach(cell, queue)
	{
		QueuedJob  *queued = lfirst(cell);

		/* However many wait for one of their class, others go on. */
		if (dbops_runner_enter_class(-1, queued->class) != 0)
			look->next_due = Min(look->next_due, TimestampTzPlusMilliseconds(now, LOOK_AGAIN));
		else if (!choose_job(dbops_job_load(queued->id), look, now))
			break;
	}
}

/*
 * Does another database wait for a runner that has had none for longer? All
 * that wait are told of a free one at the same time, and whoever is still at
 * work here would always be the first to take it.
 */
static bool
others_come_first(void)
{
	DatabaseEntry *mine;
	bool		found = false;

	LWLockAcquire(dbops_engine_lock, LW_SHARED);
	mine = dbops_engine_database(my_database, false);
	for (int i = 0; mine != NULL && i < dbops_engine->n_databases && !found; i++)
	{
		const DatabaseEntry *other = &dbops_engine->databases[i];

		found = OidIsValid(other->oid) && other != mine &&
			other->waits_for_worker && other->reserved < mine->reserved;
	}
	LWLockRelease(dbops_engine_lock);
	return found;
}

/* Reserve a runner for a job if it may run; false if there is none to reserve. */
static bool
choose_job(StoredJob *job, Look *look, TimestampTz now)
{
	TimestampTz again = TimestampTzPlusMilliseconds(now, LOOK_AGAIN);
	int			slot;

	if (job == NULL || dbops_runner_has(job->job.id) || !role_is_fit(job))
		return true;
	if (dbops_job_obstacle(job, now) != NULL || !dbops_job_lock(job))
	{
		look->next_due = Min(look->next_due, again);
		return true;
	}
	slot = dbops_runner_reserve(job->job.id, job->class, false);
	if (slot < 0)
	{
		wait_for_worker(true);
		look->next_due = Min(look->next_due, TimestampTzPlusMilliseconds(now, LOOK_ANYWAY));
		return false;
	}
	job->login = dbops_job_login(job);
	look->starts = lappend(look->starts, job);
	look->slots = lappend_int(look->slots, slot);
	return true;
}

/* Block a job whose role no process can log in as. */
static bool
role_is_fit(StoredJob *job)
{
	char	   *reason = dbops_job_role_refusal(job);

	if (reason != NULL && dbops_job_lock(job))
		dbops_job_block(job, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION, reason);
	return reason == NULL;
}

/* Ask to be woken when a runner's slot becomes free. */
static void
wait_for_worker(bool waits)
{
	DatabaseEntry *entry;

	LWLockAcquire(dbops_engine_lock, LW_EXCLUSIVE);
	entry = dbops_engine_database(my_database, false);
	if (entry != NULL)
		entry->waits_for_worker = waits;
	LWLockRelease(dbops_engine_lock);
}

/* ---- upkeep ---- */

/* Do what is due besides jobs, until there are new ones, which may run. */
static void
keep_up(void)
{
	const DbopsUpkeep *upkeep;

	while (!(dbops_enabled && is_woken()) && (upkeep = dbops_upkeep_take()) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		dbops_upkeep_run(upkeep, upkeep->parting ? may_part : may_keep_up);
	}
}

/* Has anybody asked for a look since the last one? */
static bool
is_woken(void)
{
	DatabaseEntry *entry;
	bool		woken;

	LWLockAcquire(dbops_engine_lock, LW_SHARED);
	entry = dbops_engine_database(my_database, false);
	woken = (entry != NULL && entry->wake);
	LWLockRelease(dbops_engine_lock);
	return woken;
}

/* Within the upkeep's transaction: dbops stays for its length. A copy, whose jobs do not run, is watched all the same. */
static bool
may_keep_up(void)
{
	Look		look = {.next_due = DT_NOEND};

	return extension_is_there(&look) && dbops_background_refusal() == NULL;
}

/* Also when dbops is switched off, for the last time. */
static bool
may_part(void)
{
	Look		look = {.next_due = DT_NOEND};

	return extension_is_there(&look) && (!dbops_enabled || dbops_background_refusal() == NULL);
}

/* ---- runners ---- */

/* Start a runner in each reserved slot; true if any was started. */
static bool
start_runners(Look *look)
{
	ListCell   *job;
	ListCell   *slot;
	bool		any = false;

	forboth(job, look->starts, slot, look->slots)
	{
		const StoredJob *stored = lfirst(job);

		if (dbops_runner_start(lfirst_int(slot), stored, stored->login))
			any = true;
		else
			look->next_due = Min(look->next_due,
								 TimestampTzPlusMilliseconds(dbops_clock_now(), LOOK_AGAIN));
	}
	return any;
}

/*
 * Is another look wanted soon? If not, say when the next one is, in the same
 * moment in which nobody can wake us any more.
 */
static bool
is_wanted(const Look *look)
{
	DatabaseEntry *entry;
	bool		wanted = false;

	if (look->gone)
		dbops_forget_database(my_database);
	LWLockAcquire(dbops_engine_lock, LW_EXCLUSIVE);
	entry = dbops_engine_database(my_database, false);
	if (entry != NULL)
	{
		wanted = entry->wake && entry->holds == 0 && !others_wait();
		entry->off = !dbops_enabled;
		entry->state = look->gone ? DATABASE_ABSENT : DATABASE_ACTIVE;
		entry->next_due = look->gone ? next_search() :
			Min(Min(look->next_due, dbops_upkeep_next()),
				TimestampTzPlusMilliseconds(dbops_clock_now(), LOOK_IN_VAIN));
		entry->failures = 0;
		if (!wanted)
		{
			entry->scheduler_pid = 0;
			entry->scheduler_latch = NULL;
		}
	}
	finished = !wanted;
	LWLockRelease(dbops_engine_lock);
	return wanted;
}

/*
 * When to look for dbops again where it is not. Who creates it says so, but not
 * on a standby: the more databases there are, the more rarely. The lock is held.
 */
static TimestampTz
next_search(void)
{
	long		wait = 0;

	if (!RecoveryInProgress())
		return DT_NOEND;
	for (int i = 0; i < ENGINE_DATABASES; i++)
		if (OidIsValid(dbops_engine->databases[i].oid))
			wait += SEARCH_PACE;
	return TimestampTzPlusMilliseconds(dbops_clock_now(), Max(wait, LOOK_IN_VAIN));
}

/* Has this scheduler been there for long, while other databases wait for one? */
static bool
others_wait(void)
{
	TimestampTz now = GetCurrentTimestamp();

	if (!TimestampDifferenceExceeds(MyStartTimestamp, now, FAIR_STAY))
		return false;
	for (int i = 0; i < dbops_engine->n_databases; i++)
	{
		const DatabaseEntry *entry = &dbops_engine->databases[i];

		if (OidIsValid(entry->oid) && entry->wake && entry->scheduler_pid == 0 &&
			entry->holds == 0 && entry->retry_at <= now)
			return true;
	}
	return false;
}
