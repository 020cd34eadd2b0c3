/*
 * migration_step_log.c
 *		The statements of migrations, as the ledger keeps them.
 *
 * Each statement that has run leaves a row with its receipt. A text may have
 * 100,000 of them, so rows are written many at a time, in the transaction of the
 * statements that they tell of. Texts that are done in steps have their rows
 * before, so that everybody sees what is still to come.
 */
#include "change/migration.h"

#include "catalog/pg_type.h"
#include "utils/memutils.h"

#define ROWS_AT_A_TIME 200

/* Steps that are done and not all written yet. */
struct StepLog
{
	const char *project;
	MemoryContext memory;		/* of the rows; reset when they are written */
	List	   *rows;			/* of Jsonb * */
};

static void insert_pending(const Migration *migration, const MigrationText *text,
						   const char *direction, int first);
static Jsonb *describe(const MigrationReceipt *receipt);
static void write_rows(StepLog *log);

/*
 * Note down the statements of a text as steps that are pending, from the given
 * one on; steps before it stay as they are, and what a cut off one has noted.
 * The migration has its row already.
 */
void
dbops_migration_plan_steps(const Migration *migration, const MigrationText *text,
						   const char *direction, int first)
{
	DbopsParam	params[] = {
		dbops_param_text(migration->project),
		dbops_param_text(migration->version),
		dbops_param_text(direction),
		dbops_param_int4(first)
	};

	dbops_store_each_kept("DELETE FROM dbops.migration_step WHERE project = $1 AND version = $2 AND direction = $3"
						  " AND step >= $4 AND NOT (step = $4 AND state = 'running')",
						  lengthof(params), params, NULL, NULL);
	insert_pending(migration, text, direction, first);
}

static void
insert_pending(const Migration *migration, const MigrationText *text,
			   const char *direction, int first)
{
	List	   *lines = NIL;
	List	   *commands = NIL;
	DbopsParam	params[6];
	ListCell   *cell;

	foreach(cell, text->statements)
	{
		MigrationStatement *statement = lfirst(cell);

		if (statement->number < first)
			continue;
		lines = lappend(lines, psprintf("%d", statement->line));
		commands = lappend(commands, unconstify(char *, statement->command));
	}
	params[0] = dbops_param_text(migration->project);
	params[1] = dbops_param_text(migration->version);
	params[2] = dbops_param_text(direction);
	params[3] = dbops_param_int4(first);
	params[4] = dbops_param_texts(lines);
	params[5] = dbops_param_texts(commands);
	dbops_store_each_kept("INSERT INTO dbops.migration_step (project, version, direction, step, line, command, state)"
						  " SELECT $1, $2, $3, $4 + n - 1, line::integer, command, 'pending'"
						  " FROM unnest($5, $6) WITH ORDINALITY s (line, command, n)"
						  " ON CONFLICT (project, version, direction, step) DO UPDATE"
						  " SET line = EXCLUDED.line, command = EXCLUDED.command",
						  lengthof(params), params, NULL, NULL);
}

/* Forget the steps of an earlier time, in both directions. */
void
dbops_migration_clear_steps(const char *project, const char *version)
{
	DbopsParam	params[] = {dbops_param_text(project), dbops_param_text(version)};

	dbops_store_each_kept("DELETE FROM dbops.migration_step WHERE project = $1 AND version = $2",
						  lengthof(params), params, NULL, NULL);
}

/* Write the step of a statement that is done, pending before or not. */
void
dbops_migration_finish_step(const char *project, const MigrationReceipt *receipt)
{
	StepLog    *log = dbops_step_log_begin(project);

	dbops_step_log_add(log, receipt);
	dbops_step_log_end(log);
}

/* Begin to write steps that are done, many at a time; in memory that is current now. */
StepLog *
dbops_step_log_begin(const char *project)
{
	StepLog    *log = palloc0(sizeof(StepLog));

	log->project = project;
	log->memory = AllocSetContextCreate(CurrentMemoryContext, "migration steps", ALLOCSET_DEFAULT_SIZES);
	return log;
}

/* Add the step of a statement that is done. */
void
dbops_step_log_add(StepLog *log, const MigrationReceipt *receipt)
{
	MemoryContext caller = MemoryContextSwitchTo(log->memory);

	log->rows = lappend(log->rows, describe(receipt));
	MemoryContextSwitchTo(caller);
	if (list_length(log->rows) >= ROWS_AT_A_TIME)
		write_rows(log);
}

/* The row of a step, as a document. */
static Jsonb *
describe(const MigrationReceipt *receipt)
{
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	dbops_json_text(&json, "version", receipt->version);
	dbops_json_text(&json, "direction", receipt->direction);
	dbops_json_integer(&json, "step", receipt->step);
	dbops_json_integer(&json, "line", receipt->line);
	dbops_json_text(&json, "command", receipt->command);
	dbops_json_time(&json, "finished_at", dbops_clock_now());
	dbops_json_document(&json, "receipt", dbops_migration_receipt_document(receipt));
	return dbops_json_finish(&json);
}

/* Write those that are left. */
void
dbops_step_log_end(StepLog *log)
{
	write_rows(log);
	MemoryContextDelete(log->memory);
	pfree(log);
}

static void
write_rows(StepLog *log)
{
	MemoryContext caller = MemoryContextSwitchTo(log->memory);
	DbopsJson	json = {0};
	DbopsParam	params[2];
	ListCell   *cell;

	dbops_json_object(&json, NULL);
	dbops_json_array(&json, "rows");
	foreach(cell, log->rows)
		dbops_json_document(&json, NULL, lfirst(cell));
	dbops_json_array_end(&json);
	params[0] = dbops_param_text(log->project);
	params[1] = dbops_param_jsonb(dbops_json_finish(&json));
	dbops_store_each_kept("INSERT INTO dbops.migration_step (project, version, direction, step, line, command, state, finished_at, receipt)"
						  " SELECT $1, r.version, r.direction, r.step, r.line, r.command, 'done', r.finished_at, r.receipt"
						  " FROM jsonb_to_recordset($2 -> 'rows') r (version text, direction text, step integer, line integer,"
						  " command text, finished_at timestamptz, receipt jsonb)"
						  " ON CONFLICT (project, version, direction, step) DO UPDATE"
						  " SET state = 'done', finished_at = EXCLUDED.finished_at, receipt = EXCLUDED.receipt",
						  lengthof(params), params, NULL, NULL);
	log->rows = NIL;
	MemoryContextSwitchTo(caller);
	MemoryContextReset(log->memory);
}

/* The last statement that is done, counted from the first without a gap; 0: none. */
int
dbops_migration_steps_done(const char *project, const char *version, const char *direction)
{
	DbopsParam	params[] = {
		dbops_param_text(project),
		dbops_param_text(version),
		dbops_param_text(direction)
	};
	Datum		done;

	if (!dbops_store_value("SELECT count(*)::integer FROM"
						   " (SELECT step, row_number() OVER (ORDER BY step) AS n FROM dbops.migration_step"
						   " WHERE project = $1 AND version = $2 AND direction = $3 AND state = 'done') s WHERE step = n",
						   lengthof(params), params, INT4OID, &done))
		return 0;
	return DatumGetInt32(done);
}

/* Are all steps of the text in this state? Also if there are none. */
bool
dbops_migration_steps_are(const char *project, const char *version, const char *direction,
						  const char *state)
{
	DbopsParam	params[] = {
		dbops_param_text(project),
		dbops_param_text(version),
		dbops_param_text(direction),
		dbops_param_text(state)
	};

	return dbops_store_each("SELECT FROM dbops.migration_step WHERE project = $1 AND version = $2 AND direction = $3"
							" AND state <> $4 LIMIT 1",
							lengthof(params), params, NULL, NULL) == 0;
}
