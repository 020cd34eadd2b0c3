/*
 * migration_rollback.c
 *		rollback_migration(): run the text that takes a migration back.
 *
 * The down text is the one that the ledger has kept since the migration was
 * applied. It runs only as the role that has applied it: who may call this
 * could otherwise be made to run, with his rights, what another has stored.
 *
 * Migrations go in the reverse of the order in which they came: what was
 * applied later may rest on what came before. Repeatable ones have no place in
 * that order; only those that say that they require a migration keep it.
 */
#include "change/migration.h"

#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

/* Of migrations that are in the way, so many are named. */
#define MAX_NAMES 10

PG_FUNCTION_INFO_V1(dbops_rollback_migration);

/* A call of rollback_migration. */
typedef struct Rollback
{
	Migration  *migration;
	MigrationCall call;
} Rollback;

static void roll_back(Rollback *rollback);
static const char *find_last(const char *project);
static bool is_reverted_already(Rollback *rollback);
static void require_reversible(const Migration *migration);
static void require_owner(const Migration *migration);
static void require_last(const Migration *migration);
static bool rests_on(const Migration *other, const Migration *migration);
static bool is_in_place(const Migration *migration);
static void run_at_once(Rollback *rollback);
static void record_reverted(void *arg);
static void have_done_in_steps(Rollback *rollback, int first);
static Jsonb *describe(const Rollback *rollback);
static void report(Rollback *rollback, const char *state);

/*
 * rollback_migration(version text, project text, lock_timeout interval,
 *		   max_wait interval, reason text) → setof migration_receipt
 */
Datum
dbops_rollback_migration(PG_FUNCTION_ARGS)
{
	Rollback	rollback = {.call = {.direction = "down",.record = record_reverted}};
	MigrationCall *call = &rollback.call;

	call->version = PG_ARGISNULL(0) ? NULL : dbops_migration_version_argument(fcinfo, 0, "version");
	call->project = dbops_migration_version_argument(fcinfo, 1, "project");
	call->lock_timeout = dbops_migration_wait_argument(fcinfo, 2, "lock_timeout", 1);
	call->max_wait = dbops_migration_wait_argument(fcinfo, 3, "max_wait", 0);
	call->reason = dbops_text_argument(fcinfo, 4);
	call->arg = &rollback;
	dbops_migration_call_begin(call, fcinfo);
	roll_back(&rollback);
	return (Datum) 0;
}

static void
roll_back(Rollback *rollback)
{
	int			done = 0;

	dbops_migration_lock_project(rollback->call.project, rollback->call.version, rollback->call.max_wait);
	dbops_migration_require_rights(rollback->call.project);
	if (rollback->call.version == NULL)
		rollback->call.version = find_last(rollback->call.project);
	dbops_migration_require_idle(rollback->call.project, rollback->call.version);
	rollback->migration = dbops_migration_find(rollback->call.project, rollback->call.version);
	if (is_reverted_already(rollback))
		return;

	require_reversible(rollback->migration);
	require_owner(rollback->migration);
	require_last(rollback->migration);
	rollback->call.text = dbops_migration_text_read("down_sql", rollback->migration->down_sql);
	if (strcmp(rollback->migration->state, "applied") != 0)
		done = dbops_migration_steps_done(rollback->call.project, rollback->call.version, "down");
	if (rollback->call.text->in_steps || done > 0)
		have_done_in_steps(rollback, done + 1);
	else
		run_at_once(rollback);
}

/* ---- which one, and whether it may be ---- */

/* The version that was applied last. */
static const char *
find_last(const char *project)
{
	const Migration *last = NULL;
	ListCell   *cell;

	foreach(cell, dbops_migration_list(project))
	{
		const Migration *migration = lfirst(cell);

		if (is_in_place(migration) && !migration->repeatable)
			last = migration;
	}
	if (last == NULL || strcmp(last->state, "baseline") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no migration of project \"%s\" is applied that could be rolled back", project),
				 errhint("SELECT * FROM dbops.migration_status(%s) lists those that the ledger has.", quote_literal_cstr(project))));
	return last->version;
}

static bool
is_reverted_already(Rollback *rollback)
{
	if (strcmp(rollback->migration->state, "reverted") != 0)
		return false;
	ereport(NOTICE,
			(errmsg("migration \"%s\" of project \"%s\" is rolled back already",
					rollback->call.version, rollback->call.project)));
	report(rollback, "already reverted");
	return true;
}

/* What is in state running here was left by a job that is gone. */
static void
require_reversible(const Migration *migration)
{
	if (strcmp(migration->state, "applied") != 0 && strcmp(migration->state, "failed") != 0 &&
		strcmp(migration->state, "running") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("migration \"%s\" of project \"%s\" was never run: it is in state %s",
						migration->version, migration->project, migration->state),
				 errhint("To have the ledger forget it, SELECT dbops.resolve_migration(%s, 'reverted', 'why', %s);",
						 quote_literal_cstr(migration->version), quote_literal_cstr(migration->project))));
	if (migration->down_sql == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("migration \"%s\" of project \"%s\" has no down text",
						migration->version, migration->project),
				 migration->up_sql == NULL ? errdetail("It comes from %s.", migration->origin) : 0,
				 errhint("Give one with apply_migration(%s, up_sql, down_sql), apply a new migration that takes it back, or undo it by hand and say so with dbops.resolve_migration().",
						 quote_literal_cstr(migration->version))));
}

static void
require_owner(const Migration *migration)
{
	const char *name = dbops_migration_owner_name(&migration->owner);
	Oid			role = dbops_migration_owner_role(&migration->owner);

	if (role != GetUserId())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("migration \"%s\" of project \"%s\" is rolled back only by role \"%s\", which has applied it",
						migration->version, migration->project, name),
				 errdetail("Its down text was stored by that role, and runs with that role's rights."),
				 OidIsValid(role) ? errhint("SET ROLE %s, if you may.", quote_identifier(name)) :
				 errhint("That role was dropped, whoever may have its name today: give the down text anew with apply_migration(), or undo the migration by hand and say so with dbops.resolve_migration().")));
}

/* Refuse while others are in place that came later or require it, and name them. */
static void
require_last(const Migration *migration)
{
	const Migration *latest = NULL;
	StringInfoData names;
	int			count = 0;
	ListCell   *cell;

	initStringInfo(&names);
	foreach(cell, dbops_migration_list(migration->project))
	{
		const Migration *other = lfirst(cell);

		if (!rests_on(other, migration))
			continue;
		latest = other;
		if (++count > MAX_NAMES)
			continue;
		appendStringInfo(&names, "%s\"%s\"%s", names.len > 0 ? ", " : "", other->version,
						 dbops_texts_have(other->requires, migration->version) ? ", which requires it" : "");
	}
	if (count > MAX_NAMES)
		appendStringInfo(&names, " and %d more", count - MAX_NAMES);
	if (latest != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("migration \"%s\" of project \"%s\" is not the last one", migration->version, migration->project),
				 errdetail("After it came %s.", names.data),
				 errhint("Roll the last one back first: SELECT * FROM dbops.rollback_migration(%s, %s);",
						 quote_literal_cstr(latest->version), quote_literal_cstr(migration->project))));
}

static bool
rests_on(const Migration *other, const Migration *migration)
{
	if (!is_in_place(other) || strcmp(other->version, migration->version) == 0)
		return false;
	return dbops_texts_have(other->requires, migration->version) ||
		(other->position > migration->position && !other->repeatable);
}

/* Is there something of it in the database, as far as the ledger knows? */
static bool
is_in_place(const Migration *migration)
{
	return strcmp(migration->state, "reverted") != 0 && strcmp(migration->state, "skipped") != 0;
}

/* ---- at once ---- */

static void
run_at_once(Rollback *rollback)
{
	dbops_migration_call_run(&rollback->call);
	dbops_migration_note(rollback->call.project, rollback->call.version, "roll_back",
						 rollback->call.reason, describe(rollback));
	report(rollback, "reverted");
}

static void
record_reverted(void *arg)
{
	const Rollback *rollback = arg;

	dbops_migration_set_state(rollback->call.project, rollback->call.version, "reverted");
	dbops_migration_plan_steps(rollback->migration, rollback->call.text, "down", 1);
}

/* ---- in steps ---- */

/* Have a job do what is not done yet. It begins when the caller's transaction commits. */
static void
have_done_in_steps(Rollback *rollback, int first)
{
	Migration  *migration = rollback->migration;

	migration->state = "running";
	dbops_migration_plan_steps(migration, rollback->call.text, "down", first);
	dbops_migration_call_submit(&rollback->call, migration);
	dbops_migration_note(rollback->call.project, rollback->call.version, "start",
						 rollback->call.reason, describe(rollback));
	report(rollback, "submitted");
}

/* What the log keeps of a rollback. */
static Jsonb *
describe(const Rollback *rollback)
{
	DbopsJson	json = {0};

	dbops_migration_call_describe(&rollback->call, &json);
	dbops_json_text(&json, "direction", "down");
	if (strcmp(rollback->migration->state, "running") == 0)
		dbops_json_integer(&json, "job_id", rollback->migration->job);
	return dbops_json_finish(&json);
}

/* Return the row that sums up. */
static void
report(Rollback *rollback, const char *state)
{
	int64		job = (strcmp(state, "submitted") == 0) ? rollback->migration->job : 0;

	dbops_migration_call_report(&rollback->call, state, NULL, job);
}
