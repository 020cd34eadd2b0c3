/*
 * job_run.c
 *		Run a claimed job, in a runner or in a session that CALLs run_job.
 *
 * A command runs as it would for a client. What it does in one transaction is
 * committed together with the record of its success; otherwise the record
 * follows. Work in steps goes through job_work.c, which is given here what a
 * stored job needs: its cursor, and between two steps a look at what others
 * ask of it and at the gates, in transactions that hold nothing.
 *
 * The caller is in a transaction before and after, with no SPI connection.
 */
#include "maintain/maintain.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/timeout.h"

#define NAP			1000L		/* ms between two looks while the job waits */
#define MOST_RECORDS 5			/* tries to record a failure that somebody interrupts */
#define PATIENCE	10000L		/* ms after which a waiting job gives its process back */
#define LONGEST_CLEARING 600000 /* ms for which a job is not left because of what it would leave behind */

/* A stored job whose steps are being done. */
typedef struct Keeping
{
	StoredJob  *job;
	const DbopsJobKind *kind;
	int			slot;			/* -1: none */
	int			phase;			/* that the class was entered for; -1: none yet */
	int64		steps_here;		/* done by this process */
	int64		done;			/* as the last of them said */
	int64		rows;
	TimestampTz looked;			/* when the last look within a step was */
	TimestampTz met;			/* when a job was first in the way of this phase; 0: none is */
	long		waited;			/* ms, for what kept it from going on, since the cursor was written */
	HelpersKept helpers;
	TimestampTz clears_since;	/* tries to remove what must not stay when the job is left; 0: does not */
	bool		cleared;		/* has done so, since the last step */
	const char *leave_as;		/* the state to leave the job in; NULL: it goes on */
	const char *why;
} Keeping;

static TimeoutId job_timeout;
static volatile sig_atomic_t timed_out = false;
static bool may_have_committed = false;
static LocalTransactionId began_in = InvalidLocalTransactionId;

static void name_job(void *arg);
static void run_command(StoredJob *job);
static void run_steps(StoredJob *job, int slot);
static const DbopsJobKind *require_kind(const StoredJob *job);
static bool do_steps(Keeping *keeping, Jsonb **result);
static void prepare_process(const StoredJob *job);
static void change_settings(const StoredJob *job);
static void allow_record(void);
static void begin_step(DbopsJob *job, void *arg);
static void lock_cursor(const StoredJob *job);
static void save_step(DbopsJob *job, const DbopsStep *step, void *arg);
static void save_cursor(const Keeping *keeping, const DbopsStep *step);
static void note_progress(Keeping *keeping, const DbopsStep *step);
static bool phase_gets_on(const Keeping *keeping);
static void take_part(DbopsJob *job, int part, void *arg);
static bool during_step(DbopsJob *job, int64 done, int64 total, const char *waiting, void *arg);
static bool between_steps(DbopsJob *job, const DbopsStep *step, void *arg);
static bool look_between(Keeping *keeping, long pause, const char *waiting);
static bool are_equal(const Jsonb *a, const Jsonb *b);
static void follow_configuration(void);
static char *look_once(Keeping *keeping);
static bool is_helpful(Keeping *keeping);
static char *find_obstacle(Keeping *keeping);
static char *meet_job(Keeping *keeping, int64 other);
static char *clear_up(Keeping *keeping, char *obstacle);
static void leave(Keeping *keeping, const char *state, const char *why);
static void start_timer(long ms);
static void stop_timer(void);
static void time_is_over(void);
static bool try_to_record(StoredJob *job, MemoryContext context, ErrorData *error, bool last);
static void record(StoredJob *job, ErrorData *error);
static bool is_paused_by_cancel(const StoredJob *job);
static void explain_drop(const StoredJob *job, ErrorData *error);
static void end_attended(StoredJob *job, ErrorData *error);

/* Run a claimed job and record how it ended. Errors are the caller's to record. */
void
dbops_job_run(StoredJob *job, int slot)
{
	ErrorContextCallback context = {
		.previous = error_context_stack,.callback = name_job,.arg = job
	};

	timed_out = false;
	may_have_committed = false;
	error_context_stack = &context;
	if (job->command != NULL)
		run_command(job);
	else
		run_steps(job, slot);
	error_context_stack = context.previous;
}

/* Say in messages which job they are about. */
static void
name_job(void *arg)
{
	StoredJob  *job = arg;

	if (job->job.name != NULL)
		errcontext("job " INT64_FORMAT " \"%s\" of dbops", job->job.id, job->job.name);
	else
		errcontext("job " INT64_FORMAT " of dbops", job->job.id);
}

/*
 * Commit the last transaction of a job, in which deferred triggers may run for
 * as long as the job's timeout allows.
 */
void
dbops_job_commit(void)
{
	CommitTransactionCommand();
	stop_timer();
}

/* Has the command that is running committed something on its way? */
bool
dbops_job_has_committed(void)
{
	return may_have_committed ||
		(LocalTransactionIdIsValid(began_in) && proc_local_xid(MyProc) != began_in);
}

/* ---- commands ---- */

static void
run_command(StoredJob *job)
{
	Jsonb	   *result;

	change_settings(job);
	if (!job->job.foreground)
	{
		debug_query_string = job->command;
		pgstat_report_activity(STATE_RUNNING, job->command);
	}
	start_timer(job->timeout);
	began_in = proc_local_xid(MyProc);
	result = dbops_command_run(job->command, &may_have_committed);
	began_in = InvalidLocalTransactionId;
	dbops_job_settings_restore();
	allow_record();
	dbops_job_succeed(job, result);
}

/* Run with the path of the submission and the job's limits. */
static void
change_settings(const StoredJob *job)
{
	dbops_job_setting_put("search_path", job->job.path);
	dbops_job_setting_put("lock_timeout", psprintf("%ld", job->lock_timeout));
}

/* A command that made its transaction read-only is recorded all the same. */
static void
allow_record(void)
{
	if (!RecoveryInProgress())
		XactReadOnly = false;
}

/* ---- steps ---- */

static void
run_steps(StoredJob *job, int slot)
{
	Keeping		keeping = {.job = job,.kind = require_kind(job),.slot = slot,.phase = -1};
	Jsonb	   *result = NULL;
	bool		finished;

	if (!job->job.foreground)
		prepare_process(job);
	dbops_procedure_begin_process();
	finished = do_steps(&keeping, &result);
	if (keeping.kind->leave != NULL)
		keeping.kind->leave();
	dbops_helpers_end(slot, false);
	dbops_job_settings_restore();
	if (finished)
		dbops_job_succeed(job, result);
	else
		dbops_job_end_unfinished(job, keeping.leave_as, keeping.why);
	dbops_procedure_end();
}

/*
 * Do steps of a job beside the process that has claimed it, as long as there
 * are parts of a shared phase to be done. Errors are the caller's to tell.
 */
void
dbops_job_help(StoredJob *job, int slot)
{
	Keeping		keeping = {.job = job,.kind = require_kind(job),.slot = slot,.phase = -1};
	Jsonb	   *result = NULL;
	ErrorContextCallback context = {
		.previous = error_context_stack,.callback = name_job,.arg = job
	};

	error_context_stack = &context;
	prepare_process(job);
	dbops_procedure_begin_process();
	(void) do_steps(&keeping, &result);
	dbops_procedure_end();
	error_context_stack = context.previous;
}

static const DbopsJobKind *
require_kind(const StoredJob *job)
{
	const DbopsJobKind *kind = dbops_job_kind_find(job->job.kind);

	if (kind == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("this version of dbops knows no kind of job \"%s\"", job->job.kind),
				 errhint("Install the version that submitted it.")));
	return kind;
}

/* Do steps until the work is done; false if the process leaves it before. */
static bool
do_steps(Keeping *keeping, Jsonb **result)
{
	DbopsJobKeeper keeper = {
		.begin = begin_step,.save = save_step,.during = during_step,
		.take_part = take_part,.between = between_steps,.arg = keeping
	};

	return look_between(keeping, 0, NULL) &&
		dbops_job_work(keeping->kind, &keeping->job->job, &keeper, result);
}

/* All transactions of a process that does steps are ours. */
static void
prepare_process(const StoredJob *job)
{
	pgstat_report_activity(STATE_RUNNING,
						   psprintf("%s of %s", job->job.kind, job->job.name ? job->job.name : "?"));
	dbops_set_session("default_transaction_read_only", "off");
	dbops_set_session("default_transaction_isolation", "read committed");
	dbops_job_own_transaction();
}

/*
 * Make the transaction that has just begun one that dbops can write in,
 * whatever the defaults of its role are.
 */
void
dbops_job_own_transaction(void)
{
	allow_record();
	XactIsoLevel = XACT_READ_COMMITTED;
}

/* Who helps has no cursor but that of its part. */
static void
begin_step(DbopsJob *job, void *arg)
{
	Keeping    *keeping = arg;

	if (job->worker == 0)
		lock_cursor(keeping->job);
	keeping->cleared = false;
	SetCurrentStatementStartTimestamp();
	if (keeping->kind->phases[job->phase].timed)
		start_timer(keeping->job->timeout);
}

/* Lock the cursor, which nobody else writes, before any row of the user's. */
static void
lock_cursor(const StoredJob *job)
{
	DbopsParam	params[] = {dbops_param_int8(job->job.id), dbops_param_time(dbops_clock_now())};

	if (job->steps == 0)
		dbops_store_each("INSERT INTO dbops.job_cursor (job_id, phase, began_at, moved_at)"
						 " VALUES ($1, 0, $2, $2) ON CONFLICT (job_id) DO NOTHING",
						 lengthof(params), params, NULL, NULL);
	dbops_store_each("SELECT FROM dbops.job_cursor WHERE job_id = $1 FOR UPDATE", 1, params, NULL, NULL);
}

static void
save_step(DbopsJob *job, const DbopsStep *step, void *arg)
{
	Keeping    *keeping = arg;

	stop_timer();
	dbops_runner_set_progress(keeping->slot, 0, 0);
	if (job->worker == 0)
		save_cursor(keeping, step);
	keeping->waited = 0;
	note_progress(keeping, step);
	keeping->steps_here++;
	keeping->job->steps++;
}

/*
 * Write the cursor in the step's own transaction. While a phase is shared its
 * rows are those of before: the parts count their own. What was waited for is
 * no work, so a phase counts as begun that much later.
 */
static void
save_cursor(const Keeping *keeping, const DbopsStep *step)
{
	const DbopsJob *job = &keeping->job->job;
	DbopsParam	params[] = {
		dbops_param_int8(job->id),
		dbops_param_int4(job->phase),
		dbops_param_jsonb(job->position),
		dbops_param_int8(step->done),
		dbops_param_int8(step->total),
		dbops_param_int8(step->rows),
		dbops_param_time(dbops_clock_now()),
		dbops_param_bool(keeping->steps_here == 0 || step->finished),
		dbops_param_bool(step->finished),
		dbops_param_bool(job->share.shared && step->position == NULL),
		dbops_param_int8(keeping->waited)
	};

	dbops_store_each("UPDATE dbops.job_cursor SET phase = $2, position = $3, done = $4, total = $5,"
					 " row_count = CASE WHEN $10 THEN row_count ELSE $6 END,"
					 " steps = steps + 1, moved_at = $7,"
					 " began_at = CASE WHEN $8 THEN $7 ELSE began_at + $11 * interval '1 ms' END,"
					 " began_done = CASE WHEN $9 THEN 0 WHEN $8 THEN $4 ELSE began_done END"
					 " WHERE job_id = $1",
					 lengthof(params), params, NULL, NULL);
}

/* Remember what is worked on, for the case that it takes the server down. */
static void
take_part(DbopsJob *job, int part, void *arg)
{
	Keeping    *keeping = arg;

	dbops_runner_set_part(keeping->slot, part);
}

/* To count or to wait again and again does not get a job on: rows do, and phases that say so. */
static void
note_progress(Keeping *keeping, const DbopsStep *step)
{
	if (keeping->steps_here > 0 &&
		(step->rows > keeping->rows || (phase_gets_on(keeping) && step->done > keeping->done)))
		keeping->job->moved = true;
	keeping->done = step->done;
	keeping->rows = step->rows;
}

static bool
phase_gets_on(const Keeping *keeping)
{
	int			phase = keeping->job->job.phase;

	return phase < keeping->kind->n_phases && keeping->kind->phases[phase].gets_on;
}

/*
 * Tell others how far a step is that takes long, and look now and then whether
 * somebody wants the job to be left.
 */
static bool
during_step(DbopsJob *job, int64 done, int64 total, const char *waiting, void *arg)
{
	Keeping    *keeping = arg;
	TimestampTz now = GetCurrentTimestamp();
	JobRequests requests;

	dbops_runner_set_progress(keeping->slot, done, total);
	dbops_runner_set_waiting(keeping->slot, waiting);
	if (!TimestampDifferenceExceeds(keeping->looked, now, NAP))
		return true;
	keeping->looked = now;
	follow_configuration();
	dbops_job_requests(job->id, &requests);
	return !requests.cancel && !requests.pause && (dbops_enabled || job->foreground);
}

/* Wait as the step wishes, and as long as others ask for it. */
static bool
between_steps(DbopsJob *job, const DbopsStep *step, void *arg)
{
	Keeping    *keeping = arg;

	keeping->job->rows = step->rows;
	if (job->worker == 0 && job->share.shared)
		dbops_helpers_keep(keeping->job, keeping->slot, &keeping->helpers, step->done + step->rows);
	return look_between(keeping, step->pause, step->waiting ? pstrdup(step->waiting) : NULL);
}

/*
 * Look at what is asked of the job and at the gates, until the pause is over
 * and the way is free, or the job is to be left: then false. A job that would
 * have to wait for long is left, so that another one can have its process.
 */
static bool
look_between(Keeping *keeping, long pause, const char *waiting)
{
	const Jsonb *settings = keeping->job->job.settings;
	long		waited = 0;

	if (waiting == NULL && pause > NAP)
		waiting = psprintf("for its pause of %g s", pause / 1000.0);
	for (;;)
	{
		char	   *obstacle = look_once(keeping);
		long		nap;

		/* What is tuned holds at once. */
		if (!are_equal(settings, keeping->job->job.settings))
			pause = 0;
		if (obstacle != NULL && waited >= PATIENCE && !keeping->job->job.foreground)
			leave(keeping, "queued", NULL);
		if (keeping->leave_as != NULL || waited >= PATIENCE)
			obstacle = clear_up(keeping, obstacle);
		nap = (obstacle != NULL) ? NAP : Min(pause, NAP);
		if (keeping->leave_as != NULL || nap <= 0)
			break;

		dbops_runner_set_waiting(keeping->slot, obstacle != NULL ? obstacle : waiting);
		dbops_clock_pause(nap);
		pause -= nap;
		waited += (obstacle != NULL) ? nap : 0;
	}
	dbops_job_gates_note(waited);
	keeping->waited += waited;
	dbops_runner_set_waiting(keeping->slot, NULL);
	return keeping->leave_as == NULL;
}

/* Either may be NULL. */
static bool
are_equal(const Jsonb *a, const Jsonb *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return VARSIZE(a) == VARSIZE(b) && memcmp(a, b, VARSIZE(a)) == 0;
}

static void
follow_configuration(void)
{
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
}

/* Look once, in a transaction of its own. Returns what keeps the job from going on. */
static char *
look_once(Keeping *keeping)
{
	JobRequests requests;
	char	   *obstacle;

	follow_configuration();
	dbops_job_requests(keeping->job->job.id, &requests);
	keeping->job->job.settings = requests.settings;
	obstacle = find_obstacle(keeping);
	dbops_procedure_commit();

	if (requests.cancel)
		leave(keeping, "cancelled", "cancelled");
	else if (requests.pause)
		leave(keeping, "paused", "paused");
	else if (!dbops_enabled && !keeping->job->job.foreground)
		leave(keeping, "queued", NULL);
	else if (keeping->job->job.worker > 0 && !is_helpful(keeping))
		leave(keeping, "queued", NULL);
	return obstacle;
}

/* Is there work for this process, which helps another one, and none that is more urgent? */
static bool
is_helpful(Keeping *keeping)
{
	DbopsJob   *job = &keeping->job->job;
	TimestampTz now = GetCurrentTimestamp();
	bool		gives_way = TimestampDifferenceExceeds(keeping->helpers.looked, now, NAP);

	if (gives_way)
		keeping->helpers.looked = now;
	return dbops_helper_is_wanted(keeping->slot, gives_way, &job->share.working) && !job->share.idle &&
		(job->share.wanted == 0 || job->worker < job->share.wanted);
}

/* What keeps the next step from being done; NULL: nothing. */
static char *
find_obstacle(Keeping *keeping)
{
	StoredJob  *job = keeping->job;
	char	   *obstacle = NULL;

	if (job->job.phase >= keeping->kind->n_phases)
		return NULL;
	if (!job->job.foreground)
		obstacle = dbops_job_obstacle_within(job, dbops_clock_now());
	else if ((obstacle = dbops_gate_closed(dbops_job_is_heavy(job))) != NULL)
		dbops_job_tell_gate(obstacle);
	if (obstacle == NULL && keeping->phase != job->job.phase)
	{
		int64		other = dbops_runner_enter_class(keeping->slot, keeping->kind->phases[job->job.phase].class);

		if (other != 0)
			return meet_job(keeping, other);
		keeping->phase = job->job.phase;
		keeping->met = 0;
	}
	return obstacle;
}

/* Another job is in the way: nobody looks after one that runs in the background, but who calls is told, and has asked how long to wait. */
static char *
meet_job(Keeping *keeping, int64 other)
{
	StoredJob  *job = keeping->job;
	char	   *obstacle = dbops_job_class_obstacle(other);
	TimestampTz now = GetCurrentTimestamp();
	long		patience;

	if (!job->job.foreground)
		return obstacle;
	if (keeping->met == 0)
		keeping->met = now;
	patience = (keeping->kind->patience != NULL) ? keeping->kind->patience(&job->job) : LONG_MAX;
	if ((long) (now - keeping->met) / 1000 < patience)
	{
		dbops_job_tell_gate(obstacle);
		return obstacle;
	}
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("job " INT64_FORMAT " has waited for %g s %s", job->job.id, patience / 1000.0, obstacle),
			 errhint("What that waits for: SELECT waiting FROM dbops.jobs() WHERE id = " INT64_FORMAT "; Make the same call again when it has ended, or with a longer max_wait; what was done stays.", other)));
}

/*
 * Remove what must not stay while nobody works on the job, or as long as it
 * waits. Returns what keeps it from going on, or from being left, if that has not
 * taken too long.
 */
static char *
clear_up(Keeping *keeping, char *obstacle)
{
	const char *left;

	if (!keeping->kind->passing || keeping->cleared || keeping->job->job.worker > 0)
		return obstacle;
	left = dbops_job_abandon(keeping->job, 0);
	dbops_procedure_commit();
	keeping->cleared = (left == NULL);
	if (keeping->cleared)
		keeping->clears_since = 0;
	else if (keeping->clears_since == 0)
		keeping->clears_since = GetCurrentTimestamp();
	if (left == NULL || TimestampDifferenceExceeds(keeping->clears_since, GetCurrentTimestamp(), LONGEST_CLEARING))
		return obstacle;
	keeping->leave_as = NULL;
	return psprintf("to remove %s", left);
}

static void
leave(Keeping *keeping, const char *state, const char *why)
{
	keeping->leave_as = state;
	keeping->why = why;
}

/* ---- failures ---- */

/*
 * Record a failure: called where the error was caught, before anything else.
 * Ends the transaction, records in one of its own, and is in one afterwards.
 * Who cancels once more, out of impatience, does not keep it from being recorded.
 */
void
dbops_job_run_failed(StoredJob *job, int slot, MemoryContext context)
{
	ErrorData  *error = dbops_job_take_error(slot, context);
	const DbopsJobKind *kind = (job->command == NULL) ? dbops_job_kind_find(job->job.kind) : NULL;
	int			tries = 1;

	if (kind != NULL && kind->leave != NULL)
		kind->leave();
	while (!try_to_record(job, context, error, tries == MOST_RECORDS))
		tries++;
	dbops_runner_set_waiting(slot, NULL);
	StartTransactionCommand();
	MemoryContextSwitchTo(context);
	job->error = error;
}

/* Record it in a transaction; false if that was cancelled, unless it was the last try. */
static bool
try_to_record(StoredJob *job, MemoryContext context, ErrorData *error, bool last)
{
	volatile bool recorded = false;

	PG_TRY();
	{
		StartTransactionCommand();
		MemoryContextSwitchTo(context);
		dbops_job_own_transaction();
		dbops_job_settings_restore();
		if (OidIsValid(get_extension_oid("dbops", true)))
			record(job, error);
		else
			explain_drop(job, error);
		CommitTransactionCommand();
		recorded = true;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		if (last || geterrcode() != ERRCODE_QUERY_CANCELED)
			PG_RE_THROW();
		HOLD_INTERRUPTS();
		FlushErrorState();
		AbortOutOfAnyTransaction();
		QueryCancelPending = false;
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
	return recorded;
}

/* Record what becomes of the job. */
static void
record(StoredJob *job, ErrorData *error)
{
	bool		repeatable = job->command == NULL || job->idempotent || !may_have_committed;
	JobRequests requests;

	dbops_job_requests(job->job.id, &requests);
	if (error->sqlerrcode == ERRCODE_QUERY_CANCELED && requests.cancel)
		dbops_job_end_unfinished(job, "cancelled", "cancelled");
	else if (job->attended)
		end_attended(job, error);
	else if (error->sqlerrcode == ERRCODE_QUERY_CANCELED && !timed_out && is_paused_by_cancel(job))
		dbops_job_end_unfinished(job, "paused", psprintf("%s; resume_job lets it go on", error->message));
	else
	{
		dbops_job_explain_cancel(job, error);
		dbops_job_fail(job, error, repeatable);
	}
}

/* Work in steps goes on where it was, unless whoever asked for it does so again. */
static bool
is_paused_by_cancel(const StoredJob *job)
{
	const DbopsJobKind *kind = dbops_job_kind_find(job->job.kind);

	return job->command == NULL && (kind == NULL || !kind->asked_again);
}

/*
 * Say that the extension is gone, where the error comes of that. Nothing can be
 * recorded any more, so that whoever waits has to be told all there is to know.
 */
static void
explain_drop(const StoredJob *job, ErrorData *error)
{
	/* An object that was found a moment before it was gone is an internal error. */
	if (error->sqlerrcode != ERRCODE_UNDEFINED_SCHEMA && error->sqlerrcode != ERRCODE_UNDEFINED_TABLE &&
		error->sqlerrcode != ERRCODE_UNDEFINED_FUNCTION && error->sqlerrcode != ERRCODE_INTERNAL_ERROR)
		return;
	error->sqlerrcode = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
	error->message = psprintf("extension dbops has been dropped while job " INT64_FORMAT " was running", job->job.id);
	if (job->command != NULL)
		error->detail = pstrdup("What the job did in its last transaction has been undone.");
	else
	{
		error->detail = psprintf("At least " INT64_FORMAT " rows have been changed and committed.", job->rows);
		error->hint = pstrdup(job->idempotent ? "CREATE EXTENSION dbops; then the same call does the rest." :
							  "Find out which rows have been changed before you call again: where the job was is gone with the extension.");
	}
	error->context = NULL;
	error->internalquery = NULL;
	error->internalpos = 0;
	error->cursorpos = 0;
}

/*
 * Take the error that was caught and end the transaction that it was in, and
 * then the processes that help this one: nothing of the job goes on.
 */
ErrorData *
dbops_job_take_error(int slot, MemoryContext context)
{
	ErrorData  *error;

	HOLD_INTERRUPTS();
	stop_timer();
	may_have_committed = dbops_job_has_committed();
	began_in = InvalidLocalTransactionId;
	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	AbortOutOfAnyTransaction();
	dbops_helpers_end(slot, true);
	QueryCancelPending = false;
	RESUME_INTERRUPTS();
	return error;
}

/* The call is over, and with it the job, unless it must not be begun anew. */
static void
end_attended(StoredJob *job, ErrorData *error)
{
	dbops_job_explain_cancel(job, error);
	if (!job->idempotent)
		dbops_job_end_unfinished(job, "paused", psprintf("%s; the same call, or resume_job, lets it go on", error->message));
	else if (error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		dbops_job_end_unfinished(job, "cancelled", "cancelled with the call that it was the work of");
	else
		dbops_job_fail(job, error, false);
}

/* Our timer interrupts as a user would; say that it was the timer. */
void
dbops_job_explain_cancel(StoredJob *job, ErrorData *error)
{
	if (error->sqlerrcode == ERRCODE_QUERY_CANCELED && timed_out)
	{
		error->sqlerrcode = ERRCODE_OPERATOR_INTERVENTION;
		error->message = psprintf("timed out after %g s", job->timeout / 1000.0);
		ereport(LOG,
				(errmsg("job " INT64_FORMAT " %s", job->job.id, error->message)));
	}
}

/* ---- the timer ---- */

/*
 * Of ours, since in a background process nobody arms statement_timeout, and a
 * command may set that as it likes.
 */
static void
start_timer(long ms)
{
	static bool registered = false;

	if (!registered)
		job_timeout = RegisterTimeout(USER_TIMEOUT, time_is_over);
	registered = true;
	if (ms > 0)
		enable_timeout_after(job_timeout, ms);
}

static void
stop_timer(void)
{
	if (job_timeout != 0)
		disable_timeout(job_timeout, false);
}

/* Runs in the signal's handler. */
static void
time_is_over(void)
{
	timed_out = true;
	kill(MyProcPid, SIGINT);
}
