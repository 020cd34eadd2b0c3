/*
 * online_step.c
 *		Steps of a change that are one transaction: short ones, which may keep
 *		others out for a moment, and those that read the table beside them.
 *
 * They run as the table's owner: a CHECK or a default of a hostile owner's table
 * must not meet a superuser who calls.
 */
#include "change/online.h"

#include "core/sql.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"

/* Statements on their way through the callbacks. */
typedef struct Statements
{
	OnlineWork *work;
	const OnlineStep *step;
	const char *sql;
	List	   *parsed;			/* of RawStmt * */
	uint64		rows;			/* that the last one returned */
} Statements;

static bool is_over(OnlineWork *work, DbopsStep *step);
static void run_short(Statements *statements, bool forward);
static void uncover(const OnlineWork *work);
static void prepare(Statements *statements, OnlineWork *work, const char *sql);
static void lock_and_run(void *arg);
static void run_then(void *sql);
static void run_ours(void *arg);
static void run_as_owner(void *arg);
static void run(void *arg);
static bool try_to_scan(OnlineWork *work, DbopsStep *step);
static void scan(void *arg);
static char *ask(const char *expression);
static void run_as_meant(void *arg);
static void refuse_rows(const OnlineStep *step);
static bool is_of_rows(const OnlineStep *step, int sqlerrcode);
static void take_back(OnlineWork *work, DbopsStep *step);

/* A moment: its locks are got first, by online_lock.c. */
void
dbops_online_short_step(DbopsJob *job, void *state, DbopsStep *step)
{
	OnlineWork *work = state;
	Statements	statements;

	if (is_over(work, step))
		return;
	prepare(&statements, work, dbops_online_next(work)->sql);
	dbops_lock_wait_shows(&work->wait, job, work->next, list_length(work->plan->steps));
	if (dbops_online_try(work, step, work->plan->lock_timeout, lock_and_run, &statements))
		dbops_online_go_on(work, step);
}

/* Go on where the catalog says that nothing is left of it. */
static bool
is_over(OnlineWork *work, DbopsStep *step)
{
	if (work->covered || !dbops_online_is_reached(dbops_online_next(work)))
		return false;
	dbops_online_skip(work, step);
	return true;
}

static void
prepare(Statements *statements, OnlineWork *work, const char *sql)
{
	*statements = (Statements) {.work = work,.step = dbops_online_next(work),.sql = sql};
	statements->parsed = dbops_sql_parse(sql, RAW_PARSE_DEFAULT);
}

static void
lock_and_run(void *arg)
{
	Statements *statements = arg;
	const OnlineWork *work = statements->work;
	const OnlineStep *step = statements->step;
	bool		forward = (statements->sql == step->sql);

	if (step->holds != 0)
		dbops_online_hold(step->holds);
	dbops_online_refuse_full(statements->parsed);
	dbops_online_lock_tables(statements->parsed, work->plan->lock_timeout);
	if (forward && OidIsValid(step->index))
		(void) dbops_online_keep_index(step, false);
	if (forward)
		dbops_online_require_same(work->plan, step, statements->parsed);
	if (!(forward && work->covered && dbops_online_is_reached(step)))
		run_short(statements, forward);
	if (forward && work->covered)
		uncover(work);
}

static void
run_short(Statements *statements, bool forward)
{
	const OnlineStep *step = statements->step;

	if (forward)
		dbops_online_require_still(step);
	if (step->ours)
		dbops_run_as_extension(run_ours, statements);
	else
		run_as_owner(statements);
	if (step->then != NULL && forward)
		dbops_as_own(run_then, unconstify(char *, step->then));
}

/* What the trigger of the backfill before has seen to, this step does from now on. */
static void
uncover(const OnlineWork *work)
{
	const char *left = dbops_backfill_triggers_abandon(work->job->id, 0);

	if (left != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg_internal("%s", left)));
}

/* What was planned may have waited for long, and others have had the table meanwhile. */
void
dbops_online_require_still(const OnlineStep *step)
{
	if (step->still == NULL || dbops_online_is_so(step, step->still))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg_internal("%s", step->message),
			 errhint("Make the same call again: it goes by what is there now.")));
}

static void
run_then(void *sql)
{
	dbops_store_each(sql, 0, NULL, NULL, NULL);
}

/* What is dbops' own, with nothing in it that anybody else could have a name for. */
static void
run_ours(void *arg)
{
	dbops_set_nested("search_path", "pg_catalog, pg_temp");
	run(arg);
}

static void
run_as_owner(void *arg)
{
	Statements *statements = arg;

	dbops_run_as(statements->work->job->owner, run, statements);
}

static void
run(void *arg)
{
	Statements *statements = arg;
	ListCell   *cell;

	foreach(cell, statements->parsed)
		statements->rows = dbops_sql_run_own(lfirst_node(RawStmt, cell), statements->sql, false);
}

/* A look at all rows; what keeps rows from being read or written is not locked. */
void
dbops_online_scan_step(DbopsJob *job, void *state, DbopsStep *step)
{
	OnlineWork *work = state;

	if (work->failure == NULL && is_over(work, step))
		return;
	if (work->failure == NULL && try_to_scan(work, step))
		dbops_online_go_on(work, step);
	else if (work->failure != NULL)
		take_back(work, step);
}

/* True if all rows fit; false: that is to be tried again, or some do not, which work->failure says. */
static bool
try_to_scan(OnlineWork *work, DbopsStep *step)
{
	Statements	statements;
	volatile bool done = false;

	prepare(&statements, work, dbops_online_next(work)->sql);
	PG_TRY();
	{
		done = dbops_online_try(work, step, DBOPS_TABLE_PATIENCE, scan, &statements);
	}
	PG_CATCH();
	{
		if (!is_of_rows(statements.step, geterrcode()))
			PG_RE_THROW();
		MemoryContextSwitchTo(work->step_memory);
		work->failure = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	return done;
}

/* Is the error one about rows, before which something is to be taken back? */
static bool
is_of_rows(const OnlineStep *step, int sqlerrcode)
{
	if (step->kind == ONLINE_REFUSE &&
		(sqlerrcode == step->sqlerrcode || ERRCODE_TO_CATEGORY(sqlerrcode) == ERRCODE_DATA_EXCEPTION))
		return true;
	return ERRCODE_TO_CATEGORY(sqlerrcode) == ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION;
}

static void
scan(void *arg)
{
	Statements *statements = arg;
	const OnlineStep *step = statements->step;
	DbopsParam	seen = dbops_param_text(step->seen != NULL ? ask(step->seen) : NULL);

	dbops_run_as(statements->work->job->owner, run_as_meant, statements);
	if (step->kind == ONLINE_SCAN)
		dbops_online_require_same(statements->work->plan, step, statements->parsed);
	if (step->kind == ONLINE_REFUSE && statements->rows > 0)
		refuse_rows(step);
	if (step->note != NULL)
		dbops_store_each(step->note, 1, &seen, NULL, NULL);
}

static char *
ask(const char *expression)
{
	return dbops_store_text(psprintf("SELECT %s", expression), 0, NULL);
}

/* With what the values that it looks for depend on. */
static void
run_as_meant(void *arg)
{
	const OnlineStep *step = ((Statements *) arg)->step;

	if (step->path != NULL)
		dbops_set_nested("search_path", step->path);
	if (step->settings != NULL)
		dbops_meaning_use(step->settings);
	run(arg);
}

static void
refuse_rows(const OnlineStep *step)
{
	ereport(ERROR,
			(errcode(step->sqlerrcode),
			 errmsg_internal("%s", step->message),
			 step->hint != NULL ? errhint("%s", step->hint) : 0));
}

/* Rows do not fit: take back what was put for this step, when its locks are to be had, and raise the error. */
static void
take_back(OnlineWork *work, DbopsStep *step)
{
	const OnlineStep *failed = dbops_online_next(work);
	ErrorData  *error = work->failure;
	Statements	statements;

	if (failed->otherwise != NULL)
	{
		prepare(&statements, work, failed->otherwise);
		if (!dbops_online_try(work, step, work->plan->lock_timeout, lock_and_run, &statements))
			return;
		dbops_procedure_commit();
	}
	if (failed->hint != NULL && error->hint == NULL)
		error->hint = pstrdup(failed->hint);
	ReThrowError(error);
}
