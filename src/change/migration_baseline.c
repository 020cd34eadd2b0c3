/*
 * migration_baseline.c
 *		baseline_migration: the schema was there before the ledger.
 *
 * A baseline says that everything up to a version is there already, so that a
 * folder which begins with the schema's history can be deployed where that
 * history has happened. Nothing is run.
 */
#include "change/drift.h"

#include "miscadmin.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(dbops_baseline_migration);

static bool is_there(const Migration *known);

/* baseline_migration(version text, name text, project text, reason text) → void */
Datum
dbops_baseline_migration(PG_FUNCTION_ARGS)
{
	Migration	baseline = {.state = "baseline",.origin = "dbops"};

	baseline.version = dbops_migration_version_argument(fcinfo, 0, "version");
	baseline.name = dbops_text_argument(fcinfo, 1);
	baseline.project = dbops_migration_version_argument(fcinfo, 2, "project");
	baseline.owner = dbops_migration_owner_current();
	dbops_migration_begin(baseline.project, baseline.version, MIGRATION_PATIENCE);
	if (is_there(dbops_migration_load(baseline.project, baseline.version)))
		PG_RETURN_VOID();

	dbops_migration_store(&baseline);
	dbops_migration_note(baseline.project, baseline.version, "baseline",
						 dbops_text_argument(fcinfo, 3), NULL);
	dbops_drift_know();
	PG_RETURN_VOID();
}

/* Has the same baseline been set before? The ledger's row of a migration is not replaced by one. */
static bool
is_there(const Migration *known)
{
	if (known == NULL)
		return false;
	if (strcmp(known->state, "baseline") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("migration \"%s\" of project \"%s\" is in the ledger already, as %s",
						known->version, known->project, known->state),
				 errhint("A baseline stands before the migrations that dbops applies; to say what has become of one of them, use dbops.resolve_migration().")));
	ereport(NOTICE,
			(errmsg("version \"%s\" is the baseline of project \"%s\" already", known->version, known->project)));
	return true;
}
