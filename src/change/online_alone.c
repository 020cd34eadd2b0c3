/*
 * online_alone.c
 *		Steps of a change that share no transaction, such as CREATE INDEX
 *		CONCURRENTLY.
 *
 *		begin	its aim is noted; nothing has been done
 *		judge	the catalog says that it is done; or it is to be run after this
 *				step, or what a cut off run of it has left is to be removed
 *		judge	...
 *
 * A build that is cut off has worked in vain, so once it has begun it waits for
 * others without a limit of its own, which keeps nobody from reading or writing;
 * it is not begun before its table is free. In a deadlock it gives way, and is
 * begun anew. One that fails, such as that of a unique index where rows are equal,
 * is removed before the error is raised.
 */
#include "change/online.h"

#include "change/migration_work.h"
#include "core/server.h"
#include "core/sql.h"

#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/memutils.h"
#include "utils/timeout.h"

#define OLD_TRANSACTION	1		/* s; of younger ones nothing is said */

static void begin(OnlineWork *work);
static RawStmt *parse(const char *sql);
static void judge(OnlineWork *work, DbopsStep *step);
static void end_failed(OnlineWork *work, DbopsStep *step, const MigrationOutcome *outcome);
static bool is_what_was_asked(const OnlineWork *work);
static void refuse_another(const OnlineWork *work);
static void refuse_vain_run(const OnlineWork *work);
static void have_run(OnlineWork *work, DbopsStep *step, const MigrationOutcome *outcome);
static void tell_whom(const OnlineWork *work);
static bool is_own(int pid);
static void lock_table(void *arg);
static void run_outside(void *arg);
static void take_error(OnlineWork *work);
static bool is_interrupted(int sqlerrcode);
static void run_statement(OnlineWork *work);

/* Get on with it. */
void
dbops_online_alone_step(DbopsJob *job, void *state, DbopsStep *step)
{
	OnlineWork *work = state;

	if (work->aim == NULL && dbops_online_is_reached(dbops_online_next(work)))
		dbops_online_skip(work, step);
	else if (work->aim == NULL)
		begin(work);
	else
		judge(work, step);
	dbops_online_put_position(work, step);
}

/* Note its aim: from now on what the catalog says is its work. */
static void
begin(OnlineWork *work)
{
	MemoryContext passing = MemoryContextSwitchTo(work->step_memory);

	work->aim = dbops_migration_aim(parse(dbops_online_next(work)->sql));
	MemoryContextSwitchTo(passing);
}

static RawStmt *
parse(const char *sql)
{
	return linitial_node(RawStmt, dbops_sql_parse(sql, RAW_PARSE_DEFAULT));
}

static void
judge(OnlineWork *work, DbopsStep *step)
{
	MigrationOutcome outcome = dbops_migration_outcome(work->aim, work->ran);

	if (work->failure != NULL)
		end_failed(work, step, &outcome);
	else if (outcome.done && is_what_was_asked(work))
		dbops_online_go_on(work, step);
	else if (outcome.done)
		refuse_another(work);
	else if (work->ran && outcome.remedy == NULL)
		refuse_vain_run(work);
	else
		have_run(work, step, &outcome);
}

/* Raise the error, when nothing is left of it, or what is left cannot be removed now. */
static void
end_failed(OnlineWork *work, DbopsStep *step, const MigrationOutcome *outcome)
{
	const char *hint = dbops_online_next(work)->hint;

	if (hint != NULL && work->failure->hint == NULL &&
		ERRCODE_TO_CATEGORY(work->failure->sqlerrcode) == ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION)
		work->failure->hint = MemoryContextStrdup(work->step_memory, hint);
	if (outcome->remedy == NULL || work->met != NULL)
		ReThrowError(work->failure);
	have_run(work, step, outcome);
}

/* What the statement is about is there; others may have made it, and differently. */
static bool
is_what_was_asked(const OnlineWork *work)
{
	const OnlineStep *step = dbops_online_next(work);

	return step->reached == NULL || dbops_online_is_reached(step);
}

static void
refuse_another(const OnlineWork *work)
{
	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_TABLE),
			 errmsg("%s: something else has got that name meanwhile", dbops_online_next(work)->sql),
			 errhint("Make the same call again: it goes by what is there now.")));
}

static void
refuse_vain_run(const OnlineWork *work)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("%s has been run, and what it is to bring about is not there", dbops_online_next(work)->sql),
			 errhint("Another session may have undone it. Look, and make the same call again.")));
}

/* Have the remedy run, or the statement, when the table is free. */
static void
have_run(OnlineWork *work, DbopsStep *step, const MigrationOutcome *outcome)
{
	ErrorData  *met = work->met;

	work->met = NULL;
	work->ran = false;
	work->table = outcome->table;
	work->remedy = (outcome->remedy == NULL) ? NULL : MemoryContextStrdup(work->step_memory, outcome->remedy);
	if (met != NULL)
		dbops_online_wait(work, step, met, work->blocker);
	else if (dbops_online_try(work, step, DBOPS_TABLE_PATIENCE, lock_table, work))
	{
		step->outside = run_outside;
		step->outside_arg = work;
		step->outside_what = (work->remedy != NULL) ? work->remedy : dbops_online_next(work)->sql;
		tell_whom(work);
	}
}

/* Say for whom it will wait, to who waits for it; of a job, its status says so. */
static void
tell_whom(const OnlineWork *work)
{
	HorizonHolder oldest;

	if (!work->job->foreground)
		return;
	dbops_horizon_oldest_session(is_own, &oldest);
	if (oldest.name != NULL && oldest.age >= OLD_TRANSACTION)
		ereport(NOTICE,
				(errmsg("%s of %s waits for transactions that began before it, such as one of %s",
						work->plan->call, work->plan->name, dbops_figure_duration(oldest.age)),
				 errdetail_internal("%s", oldest.name)));
}

static bool
is_own(int pid)
{
	return pid == MyProcPid;
}

static void
lock_table(void *arg)
{
	const OnlineWork *work = arg;

	dbops_migration_see_free(work->table);
	if (work->remedy != NULL)
		return;
	dbops_online_require_same(work->plan, dbops_online_next(work), list_make1(parse(dbops_online_next(work)->sql)));
	dbops_online_require_still(dbops_online_next(work));
}

/* Run it in transactions of its own; who has met a lock tries again. */
static void
run_outside(void *arg)
{
	OnlineWork *work = arg;
	MemoryContext passing = MemoryContextSwitchTo(work->step_memory);

	work->blocker = NULL;
	dbops_blocker_watch_giving_way();
	PG_TRY();
	{
		dbops_job_setting_put("search_path", work->job->path);
		if (work->remedy != NULL)
			dbops_migration_remedy_run(work->aim, work->remedy, work->table, 0);
		else
			run_statement(work);
		disable_timeout(STATEMENT_TIMEOUT, false);
		dbops_blocker_unwatch();
		dbops_job_settings_restore();
	}
	PG_CATCH();
	{
		disable_timeout(STATEMENT_TIMEOUT, false);
		dbops_blocker_unwatch();
		if (work->failure != NULL ? !dbops_migration_met_a_lock(geterrcode()) : is_interrupted(geterrcode()))
			PG_RE_THROW();
		take_error(work);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(passing);
}

/* A lock will be free again; of anything else what it has left is removed. */
static void
take_error(OnlineWork *work)
{
	ErrorData  *error = dbops_procedure_begin_anew(work->step_memory);

	dbops_job_settings_restore();
	work->blocker = dbops_blocker_watched();
	if (dbops_migration_met_a_lock(error->sqlerrcode))
		work->met = error;
	else
		work->failure = error;
}

/* By who does not want to wait for anything more. */
static bool
is_interrupted(int sqlerrcode)
{
	return sqlerrcode == ERRCODE_QUERY_CANCELED || ERRCODE_TO_CATEGORY(sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION;
}

/* Without a limit of its waits, which keep nobody out. */
static void
run_statement(OnlineWork *work)
{
	const OnlineStep *step = dbops_online_next(work);
	LOCKTAG		kept = {0};

	if (OidIsValid(step->index))
		kept = dbops_online_keep_index(step, true);
	PG_TRY();
	{
		dbops_job_setting_put("lock_timeout", "0");
		dbops_clock_restart_timeouts();
		(void) dbops_sql_run_own(parse(step->sql), step->sql, true);
	}
	PG_FINALLY();
	{
		if (OidIsValid(step->index))
			(void) LockRelease(&kept, ShareUpdateExclusiveLock, true);
	}
	PG_END_TRY();
	work->ran = true;
}
