/*
 * runner.c
 *		The process that runs one job, or helps one that does, logged in as the
 *		job's role.
 *
 * It claims the job in a transaction of its own, which is the mark that it was
 * begun; runs it; and records how it ended. If it dies on the way its slot and
 * the claim stay, and the scheduler judges by them.
 */
#include "maintain/maintain.h"

#include "access/xact.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/ps_status.h"

#define CLAIM_TIMEOUT	"5s"	/* of a lock that somebody has on the job */

static int	my_slot = -1;
static RunnerArgs my_args;
static bool done = false;		/* the job is recorded, or was not begun */

static bool attach(int slot);
static void leave(int code, Datum arg);
static void note_committed(int code, Datum arg);
static void log_in(void);
static StoredJob *claim(int64 id);
static void run(StoredJob *job, MemoryContext context);
static void await_start(BackgroundWorkerHandle *handle, int index, uint32 generation);
static void set_start(int index, uint32 generation, pid_t pid);

void
dbops_runner_main(Datum arg)
{
	MemoryContext context;
	StoredJob  *job;

	memcpy(&my_args, MyBgworkerEntry->bgw_extra, sizeof(my_args));
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	dbops_crash_watch();
	BackgroundWorkerUnblockSignals();
	if (!attach(DatumGetInt32(arg)))
		proc_exit(0);
	log_in();

	/* Where a client's portal would have it: it outlives the job's transactions. */
	context = AllocSetContextCreate(TopMemoryContext, "dbops job", ALLOCSET_DEFAULT_SIZES);
	PortalContext = context;
	MessageContext = AllocSetContextCreate(context, "dbops command", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(context);
	if (dbops_engine->runners[my_slot].worker > 0)
		dbops_helper_run(my_slot, context);
	else if ((job = claim(dbops_engine->runners[my_slot].job)) != NULL)
		run(job, context);
	done = true;
	proc_exit(0);
}

/* Take the slot that the scheduler has reserved, unless it is too late. */
static bool
attach(int index)
{
	RunnerSlot *slot = &dbops_engine->runners[index];
	DatabaseEntry *entry;
	bool		ours;

	LWLockAcquire(dbops_engine_lock, LW_EXCLUSIVE);
	entry = dbops_engine_database(my_args.database, false);
	ours = (slot->state == RUNNER_STARTING && slot->generation == my_args.generation);
	if (ours && (slot->stop || entry == NULL || entry->holds > 0))
	{
		slot->state = RUNNER_FREE;
		ours = false;
	}
	if (ours)
	{
		slot->state = RUNNER_RUNNING;
		slot->pid = MyProcPid;
		my_slot = index;
	}
	LWLockRelease(dbops_engine_lock);
	if (ours)
		before_shmem_exit(leave, (Datum) 0);
	return ours;
}

/* Give the slot back, or leave it with what the scheduler must know. */
static void
leave(int code, Datum arg)
{
	if (dbops_engine->runners[my_slot].worker > 0)
		dbops_helper_leave(my_slot, done);
	else if (done)
		dbops_runner_release(my_slot);
	else
		dbops_runner_abandon(my_slot);
}

/* Comes before the server aborts the transaction, which would hide it. */
static void
note_committed(int code, Datum arg)
{
	dbops_engine->runners[my_slot].committed = dbops_job_has_committed();
}

/* Log in as the job's role; its own settings hold, but for what would end a job early. */
static void
log_in(void)
{
	static const char *const settings[][2] = {
		{"statement_timeout", "0"},
		{"idle_in_transaction_session_timeout", "0"},
		{"idle_session_timeout", "0"},
		{"client_min_messages", "error"},
	};

	/* Logging in is a transaction already. */
	SetConfigOption(TRANSACTION_TIMEOUT_NAME, "0", PGC_SUSET, PGC_S_OVERRIDE);
	BackgroundWorkerInitializeConnectionByOid(my_args.database, my_args.role,
											  BGWORKER_BYPASS_ROLELOGINCHECK);
	before_shmem_exit(note_committed, (Datum) 0);
	StartTransactionCommand();
	for (int i = 0; i < lengthof(settings); i++)
		dbops_set_session(settings[i][0], settings[i][1]);
	CommitTransactionCommand();
	process_session_preload_libraries();
}

/* Claim the job; NULL if it is not to be run any more. */
static StoredJob *
claim(int64 id)
{
	MemoryContext context = CurrentMemoryContext;
	StoredJob  *job = NULL;

	StartTransactionCommand();
	MemoryContextSwitchTo(context);
	dbops_job_own_transaction();
	dbops_set_local("lock_timeout", CLAIM_TIMEOUT);
	if (OidIsValid(get_extension_oid("dbops", true)) && dbops_identity_refusal() == NULL)
		job = dbops_job_load(id);
	/* The mark must be there after a crash, but no standby is waited for. */
	dbops_set_local("synchronous_commit", "local");
	if (job != NULL && !dbops_job_claim(job))
		job = NULL;
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	if (job == NULL)
		return NULL;

	pgstat_report_appname(psprintf("dbops job " INT64_FORMAT, id));
	set_ps_display(psprintf("job " INT64_FORMAT, id));
	return job;
}

/* Run the job and record what came of it, the commit too; the log has the whole error. */
static void
run(StoredJob *job, MemoryContext context)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		dbops_job_run(job, my_slot);
		dbops_job_commit();
	}
	PG_CATCH();
	{
		EmitErrorReport();
		dbops_job_run_failed(job, my_slot, context);
		CommitTransactionCommand();
	}
	PG_END_TRY();
	pgstat_report_stat(true);
	pgstat_report_activity(STATE_IDLE, NULL);
}

/* ---- to start one ---- */

/*
 * Have a process started in a slot that is reserved; false if there is no room
 * for it, and then the slot is free again.
 */
bool
dbops_runner_start(int index, const StoredJob *job, Oid login)
{
	const RunnerSlot *slot = &dbops_engine->runners[index];
	RunnerArgs	args = {
		.database = MyDatabaseId,
		.role = login,
		.generation = slot->generation
	};
	BackgroundWorker worker = {
		.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
		.bgw_start_time = BgWorkerStart_RecoveryFinished,
		.bgw_restart_time = BGW_NEVER_RESTART,
		.bgw_library_name = "dbops",
		.bgw_function_name = "dbops_runner_main",
		.bgw_type = "dbops runner",
		.bgw_main_arg = Int32GetDatum(index),
		.bgw_notify_pid = MyProcPid
	};
	BackgroundWorkerHandle *handle;

	StaticAssertStmt(sizeof(RunnerArgs) <= BGW_EXTRALEN, "too large for the arguments of a worker");
	memcpy(worker.bgw_extra, &args, sizeof(args));
	snprintf(worker.bgw_name, BGW_MAXLEN, "dbops runner of job " INT64_FORMAT, job->job.id);

	if (!RegisterDynamicBackgroundWorker(&worker, &handle))
	{
		set_start(index, args.generation, 0);
		dbops_engine_note_no_process();
		return false;
	}
	dbops_engine->no_process_slot = false;
	await_start(handle, index, args.generation);
	pfree(handle);
	return true;
}

/* Learn its process id, so that its death can be noticed whenever it comes. */
static void
await_start(BackgroundWorkerHandle *handle, int index, uint32 generation)
{
	pid_t		pid;
	bool		alive = (WaitForBackgroundWorkerStartup(handle, &pid) == BGWH_STARTED);

	set_start(index, generation, alive ? pid : 0);
}

/* Note the process of a slot that has not attached yet; 0: it never will. */
static void
set_start(int index, uint32 generation, pid_t pid)
{
	RunnerSlot *slot = &dbops_engine->runners[index];

	LWLockAcquire(dbops_engine_lock, LW_EXCLUSIVE);
	if (slot->state == RUNNER_STARTING && slot->generation == generation)
	{
		slot->pid = pid;
		if (pid == 0)
			slot->state = RUNNER_FREE;
	}
	LWLockRelease(dbops_engine_lock);
}
