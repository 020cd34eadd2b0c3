/*
 * migration_resolve.c
 *		resolve_migration: the ledger is told what somebody has done by hand.
 *
 * Somebody has finished what a job could not, undone a migration, or run a text
 * in psql. The ledger cannot see that, so who knows it says so, and why; it
 * stands in the log. Nothing is run.
 */
#include "change/migration.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(dbops_resolve_migration);

static void check_state(const char *state);
static void check_reason(const char *reason);
static void refuse_while_at_work(const Migration *known);
static bool is_settled(const Migration *known, const char *state);
static void store_by_hand(const char *project, const char *version);
static void note(const char *project, const char *version, const Migration *known,
				 const char *state, const char *reason);

/* resolve_migration(version text, state text, reason text, project text) → void */
Datum
dbops_resolve_migration(PG_FUNCTION_ARGS)
{
	const char *version = dbops_migration_version_argument(fcinfo, 0, "version");
	const char *project = dbops_migration_version_argument(fcinfo, 3, "project");
	const char *state = dbops_text_argument(fcinfo, 1);
	const char *reason = dbops_text_argument(fcinfo, 2);
	Migration  *known;

	dbops_require_argument(fcinfo, 1, "state");
	dbops_require_argument(fcinfo, 2, "reason");
	check_state(state);
	check_reason(reason);
	dbops_migration_lock_project(project, version, MIGRATION_PATIENCE);
	dbops_migration_require_rights(project);

	known = (strcmp(state, "applied") == 0) ? dbops_migration_load(project, version) :
		dbops_migration_find(project, version);
	if (known != NULL && is_settled(known, state))
		PG_RETURN_VOID();
	if (known == NULL)
		store_by_hand(project, version);
	else
		dbops_migration_set_state(project, version, state);
	note(project, version, known, state, reason);
	PG_RETURN_VOID();
}

static void
check_state(const char *state)
{
	if (strcmp(state, "applied") != 0 && strcmp(state, "reverted") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unrecognized state \"%s\"", state),
				 errhint("States are applied and reverted.")));
}

/* The ledger will say it for ever, so it must say something. */
static void
check_reason(const char *reason)
{
	if (reason[strspn(reason, " \t\r\n")] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("reason is empty"),
				 errhint("Say what was done by hand, such as 'the column was there already'.")));
}

/* Is there nothing to be done? A migration that a job works on is not settled by saying so. */
static bool
is_settled(const Migration *known, const char *state)
{
	refuse_while_at_work(known);
	if (strcmp(known->state, state) != 0 &&
		!(strcmp(known->state, "baseline") == 0 && strcmp(state, "applied") == 0))
		return false;
	ereport(NOTICE,
			(errmsg("migration \"%s\" of project \"%s\" is in state %s already",
					known->version, known->project, known->state)));
	return true;
}

/* A job that is not there any more, as after a restore elsewhere, works on nothing. */
static void
refuse_while_at_work(const Migration *known)
{
	dbops_migration_refuse_own_job(known->project, known->version, known->job);
	if (strcmp(known->state, "running") == 0 && dbops_migration_job_is_live(known->job))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("job " INT64_FORMAT " works on migration \"%s\" of project \"%s\"",
						known->job, known->version, known->project),
				 errhint("Wait for it: CALL dbops.wait_job(" INT64_FORMAT "); or end it: SELECT dbops.cancel_job(" INT64_FORMAT ");",
						 known->job, known->job)));
}

/* A migration that the ledger has not heard of: its texts are not known. */
static void
store_by_hand(const char *project, const char *version)
{
	Migration	migration = {
		.project = project,
		.version = version,
		.state = "applied",
		.owner = dbops_migration_owner_current(),
		.origin = "resolve_migration"
	};

	dbops_migration_store(&migration);
}

static void
note(const char *project, const char *version, const Migration *known,
	 const char *state, const char *reason)
{
	DbopsJson	details = {0};

	dbops_json_object(&details, NULL);
	dbops_json_text(&details, "from", known == NULL ? NULL : known->state);
	dbops_json_text(&details, "to", state);
	dbops_migration_note(project, version, "resolve", reason, dbops_json_finish(&details));
}
