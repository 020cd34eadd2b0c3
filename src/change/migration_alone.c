/*
 * migration_alone.c
 *		A statement of a migration that cannot share a transaction.
 *
 * It is run at top level between two steps of the job, and takes some:
 *
 *		begin	its aim is noted; nothing has been done
 *		judge	the catalog says that it is done, and so does the ledger from
 *				now on; or it is to be run after this step, or what a cut off
 *				run of it has left is to be removed
 *		judge	...
 *
 * A process may die at any point, and another one judges again. What is noted
 * stays when the job fails, so the same is true of the next job.
 *
 * A concurrent build that is cut off has worked in vain, so it waits for locks
 * without a limit of its own, as it waits for old transactions; neither keeps
 * anybody from reading or writing. It is not begun before its table is free. In a
 * deadlock it gives way all the same, and is begun anew: a transaction that it
 * waits for has more to lose, and may be one that nobody will do again.
 */
#include "change/migration_work.h"

#include "core/server.h"
#include "core/sql.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timeout.h"

/* What becomes of the statement; see the file's comment. */
static void begin(MigrationWork *work);
static char *place(void);
static Jsonb *look_for_aim(MigrationWork *work);
static Jsonb *find_begun(const char *project, const char *version, const char *direction);
static Jsonb *find_own_begun(const MigrationWork *work);
static void take_aim(MigrationWork *work, const Jsonb *begun);
static bool is_other_statement(const MigrationWork *work, const Jsonb *begun);
static bool is_done(MigrationWork *work, DbopsStep *step, const MigrationOutcome *outcome);
static void record_done(MigrationWork *work);
static void describe_effect(MigrationReceipt *receipt, const MigrationWork *work);
static void refuse_vain_run(const MigrationWork *work);
static void set_state(const MigrationWork *work, const char *state, Jsonb *receipt);
static void have_run(MigrationWork *work, DbopsStep *step, const MigrationOutcome *outcome);
static void lock_table(void *arg);
static void run_outside(void *arg);
static void run_remedy(MigrationWork *work);
static void run_statement(MigrationWork *work);
static void execute(void *arg);
static long lock_limit(const MigrationWork *work, Node *statement);
static bool is_plain_vacuum(const VacuumStmt *statement);

/* Get on with the next statement, which is alone; true if it is done. */
bool
dbops_migration_alone_step(MigrationWork *work, DbopsStep *step)
{
	Jsonb	   *begun = find_own_begun(work);
	MigrationOutcome outcome;

	if (begun == NULL)
	{
		begin(work);
		return false;
	}
	take_aim(work, begun);
	outcome = dbops_migration_outcome(work->aim, work->ran);
	if (!is_other_statement(work, begun))
		return is_done(work, step, &outcome);
	if (outcome.remedy != NULL)
		have_run(work, step, &outcome);
	else
		set_state(work, "pending", NULL);
	return false;
}

/* Note the aim of the statement; from now on what the catalog says is its work. */
static void
begin(MigrationWork *work)
{
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	dbops_json_text(&json, "sql", dbops_migration_statement_sql(work->text, dbops_migration_work_next(work)));
	dbops_json_document(&json, "aim", look_for_aim(work));
	dbops_json_text(&json, "place", place());
	set_state(work, "running", dbops_json_finish(&json));
}

/* Where the OIDs of an aim are those of the objects: a restored ledger is elsewhere. */
static char *
place(void)
{
	return psprintf(UINT64_FORMAT "/%u", GetSystemIdentifier(), MyDatabaseId);
}

/* With the settings that the statement will be run with. */
static Jsonb *
look_for_aim(MigrationWork *work)
{
	const MigrationStatement *statement = dbops_migration_work_next(work);
	int			nest_level = NewGUCNestLevel();
	Jsonb	   *volatile aim = NULL;

	work->at = work->next;
	dbops_migration_settings_nest_all(work);
	PG_TRY();
	{
		aim = dbops_migration_aim(dbops_migration_statement_parse(work->text, statement));
	}
	PG_CATCH();
	{
		dbops_migration_work_rethrow(work);
	}
	PG_END_TRY();
	AtEOXact_GUC(false, nest_level);
	return aim;
}

/* Is there one that was begun, and is not done? */
bool
dbops_migration_alone_is_begun(const MigrationWork *work)
{
	return work->next <= list_length(work->text->statements) && find_own_begun(work) != NULL;
}

static Jsonb *
find_own_begun(const MigrationWork *work)
{
	return find_begun(work->migration->project, work->migration->version, work->direction);
}

/* What was noted of the statement that was begun and is not done; NULL: none was. */
static Jsonb *
find_begun(const char *project, const char *version, const char *direction)
{
	DbopsParam	params[] = {
		dbops_param_text(project), dbops_param_text(version), dbops_param_text(direction), dbops_param_text(place())
	};
	Datum		receipt;

	if (!dbops_store_value("SELECT receipt FROM dbops.migration_step"
						   " WHERE project = $1 AND version = $2 AND direction = $3 AND state = 'running'"
						   " AND receipt ->> 'place' = $4",
						   lengthof(params), params, JSONBOID, &receipt))
		return NULL;
	return DatumGetJsonbP(receipt);
}

/* Keep the aim as long as the statement is at work. */
static void
take_aim(MigrationWork *work, const Jsonb *begun)
{
	MemoryContext passing;

	if (work->aim != NULL)
		return;
	passing = MemoryContextSwitchTo(work->statement_memory);
	work->aim = dbops_jsonb_document(begun, "aim");
	MemoryContextSwitchTo(passing);
}

/* Has the text been changed since, in what was not done yet? */
static bool
is_other_statement(const MigrationWork *work, const Jsonb *begun)
{
	const char *sql = dbops_migration_statement_sql(work->text, dbops_migration_work_next(work));

	return dbops_migration_text_compare(dbops_jsonb_text(begun, "sql"), sql).likeness == TEXTS_DIFFERENT;
}

/* Do what the outcome asks for; true if that is nothing more. */
static bool
is_done(MigrationWork *work, DbopsStep *step, const MigrationOutcome *outcome)
{
	if (outcome->done)
		record_done(work);
	else if (work->ran && outcome->remedy == NULL)
		refuse_vain_run(work);
	else
		have_run(work, step, outcome);
	return outcome->done;
}

/* Another process may have run it, and died before it could say so. */
static void
record_done(MigrationWork *work)
{
	const MigrationStatement *statement = dbops_migration_work_next(work);
	MigrationReceipt receipt = {MIGRATION_RECEIPT};

	if (work->ran)
		receipt = work->receipt;
	else
		receipt.message = "found done in the catalog; the process that did it had ended";
	receipt.version = work->migration->version;
	receipt.direction = work->direction;
	receipt.step = statement->number;
	receipt.line = statement->line;
	receipt.command = statement->command;
	receipt.state = "done";
	describe_effect(&receipt, work);
	dbops_migration_finish_step(work->migration->project, &receipt);
}

/* What it does and locks in its own transactions is not watched: it is known of each form. */
static void
describe_effect(MigrationReceipt *receipt, const MigrationWork *work)
{
	const char *kind = dbops_jsonb_text(work->aim, "kind");
	Oid			table = dbops_jsonb_integer(work->aim, "table");
	DbopsJson	json = {0};

	if (strcmp(kind, "other") == 0)
		return;
	receipt->effect = (strcmp(kind, "create index") == 0 || strcmp(kind, "reindex") == 0) ? "index build" : "metadata";
	if (get_rel_name(table) == NULL)
		return;
	dbops_json_object(&json, NULL);
	dbops_json_text(&json, dbops_quote_relation(table), "ShareUpdateExclusiveLock");
	receipt->locks = dbops_json_finish(&json);
}

static void
refuse_vain_run(const MigrationWork *work)
{
	const MigrationStatement *statement = dbops_migration_work_next(work);

	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("statement %d, %s, of migration \"%s\" has been run, and what it is to bring about is not there",
					statement->number, statement->command, work->migration->version),
			 errhint("Another session may have undone it, or something else has the name. Look, and apply the migration again.")));
}

static void
set_state(const MigrationWork *work, const char *state, Jsonb *receipt)
{
	DbopsParam	params[] = {
		dbops_param_text(work->migration->project),
		dbops_param_text(work->migration->version),
		dbops_param_text(work->direction),
		dbops_param_int4(work->next),
		dbops_param_text(state),
		dbops_param_jsonb(receipt)
	};

	dbops_store_each("UPDATE dbops.migration_step SET state = $5, receipt = $6"
					 " WHERE project = $1 AND version = $2 AND direction = $3 AND step = $4",
					 lengthof(params), params, NULL, NULL);
}

/* ---- to have it run after the step ---- */

/* Have the remedy run, or the statement, when the table is free. */
static void
have_run(MigrationWork *work, DbopsStep *step, const MigrationOutcome *outcome)
{
	const MigrationStatement *statement = dbops_migration_work_next(work);
	ErrorData  *met = work->met;

	work->met = NULL;
	work->ran = false;
	work->table = outcome->table;
	work->remedy = (outcome->remedy == NULL) ? NULL : MemoryContextStrdup(work->statement_memory, outcome->remedy);
	if (met != NULL)
		dbops_migration_work_wait(work, step, met, work->blocker);
	else if (dbops_migration_work_try(work, step, DBOPS_TABLE_PATIENCE, lock_table, work))
	{
		step->outside = run_outside;
		step->outside_arg = work;
		step->outside_what = psprintf("%s, statement %d", work->remedy ? work->remedy : statement->command,
									  statement->number);
	}
}

static void
lock_table(void *arg)
{
	dbops_migration_see_free(((const MigrationWork *) arg)->table);
}

/* ---- at top level ---- */

/* Run it in transactions of its own; who has met a lock tries again. */
static void
run_outside(void *arg)
{
	MigrationWork *work = arg;
	MemoryContext passing = MemoryContextSwitchTo(work->statement_memory);

	work->at = work->next;
	work->blocker = NULL;
	dbops_blocker_watch_giving_way();
	PG_TRY();
	{
		dbops_migration_settings_put(work);
		if (work->remedy != NULL)
			run_remedy(work);
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
		if (!dbops_migration_met_a_lock(geterrcode()))
			dbops_migration_work_rethrow(work);
		work->met = dbops_procedure_begin_anew(work->statement_memory);
		dbops_job_settings_restore();
		work->blocker = dbops_blocker_watched();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(passing);
}

static void
run_remedy(MigrationWork *work)
{
	RawStmt    *raw = linitial_node(RawStmt, dbops_sql_parse(work->remedy, RAW_PARSE_DEFAULT));

	dbops_migration_remedy_run(work->aim, work->remedy, work->table, lock_limit(work, raw->stmt));
}

static void
run_statement(MigrationWork *work)
{
	RawStmt    *raw = dbops_migration_statement_parse(work->text, dbops_migration_work_next(work));

	dbops_job_setting_put("lock_timeout", psprintf("%ld", lock_limit(work, raw->stmt)));
	dbops_clock_restart_timeouts();
	work->receipt = (MigrationReceipt) {MIGRATION_RECEIPT};
	dbops_migration_watch_alone(&work->receipt, execute, work);
	work->ran = true;
}

static void
execute(void *arg)
{
	const MigrationWork *work = arg;
	MigrationRun run = {
		.text = work->text,
		.version = work->migration->version,
		.direction = work->direction,
		.first = work->next,
		.last = work->next
	};

	dbops_migration_run_alone(&run);
}

/* The limit of its waits, in ms: of those that keep others out lock_timeout; of those that do not, only builds have none. */
static long
lock_limit(const MigrationWork *work, Node *statement)
{
	if (dbops_sql_is_concurrent(statement) && !IsA(statement, AlterTableStmt))
		return 0;
	if (IsA(statement, VacuumStmt) && is_plain_vacuum((VacuumStmt *) statement))
		return Max(work->max_wait, DBOPS_TABLE_PATIENCE);
	return work->lock_timeout;
}

static bool
is_plain_vacuum(const VacuumStmt *statement)
{
	ListCell   *cell;

	foreach(cell, statement->options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, "full") == 0)
			return !defGetBoolean(option);
	}
	return true;
}

/* ---- when the job has ended ---- */

/* What a statement that was cut off has left, as SQL that removes it; or NULL. */
char *
dbops_migration_alone_leftover(const char *project, const char *version, const char *direction)
{
	Jsonb	   *begun = find_begun(project, version, direction);

	if (begun == NULL)
		return NULL;
	return dbops_migration_outcome(dbops_jsonb_document(begun, "aim"), false).remedy;
}
