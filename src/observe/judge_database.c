/*
 * judge_database.c
 *		Checks of the database: its statements, ids and size.
 */
#include "observe/observe.h"

#include "miscadmin.h"
#include "utils/builtins.h"

#define STARTING		300.0	/* s, in which the home database may not have counted yet */

static bool report_members_low(const Ages *ages, DbopsCheckRun *run);
static const char *in_database(Oid database);
static const char *short_time(int ms);

void
dbops_judge_slow_statements(const void *facts, DbopsCheckRun *run)
{
	const Statements *statements = &dbops_health_require(facts, PART_STATEMENTS)->statements;

	switch (statements->state)
	{
		case STATEMENTS_READ:
			dbops_check_report_value(run, statements->slow, NAN, (DbopsFinding)
									  {
										  .message = psprintf(ngettext(INT64_FORMAT " statement takes more than %s on average",
																	   INT64_FORMAT " statements take more than %s on average",
																	   statements->slow), statements->slow, short_time(statements->slow_over)),
										  .remedy = psprintf("SELECT * FROM dbops.slow_queries(NULL, 'total') WHERE mean_ms > %d;", statements->slow_over)
									  });
			break;
		case STATEMENTS_MISSING:
			dbops_check_report_unknown(run, NULL, "pg_stat_statements is not installed in this database",
										"Add pg_stat_statements to shared_preload_libraries, restart, then CREATE EXTENSION pg_stat_statements;");
			break;
		case STATEMENTS_NOT_LOADED:
			dbops_check_report_unknown(run, NULL, "pg_stat_statements is installed but not preloaded",
										"Add pg_stat_statements to shared_preload_libraries and restart.");
			break;
		case STATEMENTS_TOO_OLD:
			dbops_check_report_unknown(run, NULL, "the installed version of pg_stat_statements is too old",
										"ALTER EXTENSION pg_stat_statements UPDATE;");
			break;
		case STATEMENTS_DENIED:
			dbops_check_report_unknown(run, NULL, "permission denied for the function of pg_stat_statements",
										psprintf("GRANT EXECUTE ON FUNCTION %s(boolean) TO %s;",
												 dbops_extension_object("pg_stat_statements", "pg_stat_statements"),
												 quote_identifier(GetUserNameFromId(GetUserId(), false))));
			break;
		case STATEMENTS_OFF:
			dbops_check_report_unknown(run, NULL, "pg_stat_statements is told to track nothing",
										"Set pg_stat_statements.track to top and compute_query_id to auto.");
			break;
		case STATEMENTS_UNSEEN:
			dbops_check_report(run, (DbopsFinding)
							   {
								   .severity = DBOPS_UNKNOWN,
								   .message = "no statements have been counted lately",
								   .remedy = "CREATE EXTENSION pg_stat_statements; in the home database, with its library preloaded: they are counted there once a minute.",
								   .partial = dbops_health_age(PgStartTime) < STARTING
							   });
			break;
		case STATEMENTS_NONE:
			dbops_check_report_unknown(run, NULL, "pg_stat_statements has recorded nothing; a setting of this role, database or connection hides what it is told to track",
										"See in postgresql.conf whether pg_stat_statements.track is none or compute_query_id is off.");
			break;
	}
}

/* Name a time that is set in milliseconds and mostly meant in seconds. */
static const char *
short_time(int ms)
{
	return ms < 1000 ? psprintf("%d ms", ms) : psprintf("%g s", ms / 1000.0);
}

void
dbops_judge_xid_age(const void *facts, DbopsCheckRun *run)
{
	const Ages *ages = &dbops_health_require(facts, PART_AGES)->ages;

	dbops_check_report_value(run, dbops_figure_percent(ages->xid_age, ages->xid_stop_age), NAN, (DbopsFinding)
							 {
								 .message = psprintf("the age of the oldest transaction id%s is " INT64_FORMAT "; the server complains at "
													 INT64_FORMAT " and stops at " INT64_FORMAT,
													 in_database(ages->xid_database), ages->xid_age,
													 ages->xid_warn_age, ages->xid_stop_age),
								 .remedy = "End old and prepared transactions, drop unused replication slots, then VACUUM the tables with the oldest relfrozenxid in that database."
							 });
}

/* Beyond the age that forces vacuum it is either at work or kept from it. */
void
dbops_judge_xid_forced(const void *facts, DbopsCheckRun *run)
{
	const Ages *ages = &dbops_health_require(facts, PART_AGES)->ages;

	dbops_check_report_value(run, dbops_figure_percent(ages->xid_age, ages->xid_freeze_age), NAN, (DbopsFinding)
							 {
								 .message = psprintf("the age of the oldest transaction id%s is " INT64_FORMAT "; vacuum is forced at " INT64_FORMAT,
													 in_database(ages->xid_database), ages->xid_age, ages->xid_freeze_age),
								 .remedy = "See in pg_stat_progress_vacuum whether vacuum gets on; end old and prepared transactions and drop unused replication slots that keep it from freezing."
							 });
}

void
dbops_judge_multixact_age(const void *facts, DbopsCheckRun *run)
{
	const Ages *ages = &dbops_health_require(facts, PART_AGES)->ages;

	dbops_check_report_value(run, dbops_figure_percent(ages->multixact_age, ages->multixact_stop_age), NAN, (DbopsFinding)
							 {
								 .message = psprintf("the age of the oldest multixact id is " INT64_FORMAT "; the server complains at "
													 INT64_FORMAT " and stops at " INT64_FORMAT,
													 ages->multixact_age, ages->multixact_warn_age, ages->multixact_stop_age),
								 .remedy = "End old and prepared transactions, then VACUUM the tables with the oldest relminmxid."
							 });
}

void
dbops_judge_multixact_forced(const void *facts, DbopsCheckRun *run)
{
	const Ages *ages = &dbops_health_require(facts, PART_AGES)->ages;

	if (report_members_low(ages, run))
		return;
	dbops_check_report_value(run, dbops_figure_percent(ages->multixact_age, ages->multixact_freeze_age), NAN, (DbopsFinding)
							 {
								 .message = psprintf("the age of the oldest multixact id is " INT64_FORMAT "; vacuum is forced at " INT64_FORMAT,
													 ages->multixact_age, ages->multixact_freeze_age),
								 .remedy = "End old and prepared transactions, then VACUUM the tables with the oldest relminmxid."
							 });
}

/* Members of multixact ids have a space of their own, which can run out first. */
static bool
report_members_low(const Ages *ages, DbopsCheckRun *run)
{
	if (ages->multixact_members_low)
		dbops_check_report(run, (DbopsFinding)
						   {
							   .severity = DBOPS_WARNING,
							   .message = psprintf("the space of the members of multixact ids is more than half used; the oldest id is of age "
												   INT64_FORMAT, ages->multixact_age),
							   .remedy = "End old and prepared transactions, then VACUUM the tables with the oldest relminmxid."
						   });
	return ages->multixact_members_low;
}

/* In which database, where its name can be had at once. */
static const char *
in_database(Oid database)
{
	const char *name = dbops_database_name(database);

	return name == NULL ? "" : psprintf(", in database %s,", quote_identifier(name));
}

/* No size is good or bad as such, but a missing one must be seen. */
void
dbops_judge_size(const void *facts, DbopsCheckRun *run)
{
	const Sizes *sizes = &dbops_health_require(facts, PART_SIZES)->sizes;

	if (sizes->measured_at == 0)
		dbops_check_report_unknown(run, NULL, "the database is still being measured",
									"Call again, or SET dbops.health_max_age = 0 once, which waits for the measurement.");
	else
		dbops_check_report_value(run, sizes->database, NAN, (DbopsFinding)
								 {
									 .message = psprintf("the database holds %s", dbops_figure_bytes(sizes->database)),
									 .remedy = "SELECT * FROM dbops.largest_relations();"
								 });
}

/* Exact figures of bloat need it; without it none are made up. */
void
dbops_judge_pgstattuple(const void *facts, DbopsCheckRun *run)
{
	DbopsExtension extension = dbops_extension_find("pgstattuple");

	if (extension.hidden)
		dbops_check_report_unknown(run, NULL, "pg_extension is locked", "Look again later.");
	else if (OidIsValid(extension.oid))
		dbops_check_report(run, (DbopsFinding) {.message = "pgstattuple is installed"});
	else
		dbops_check_report_unknown(run, NULL, "pgstattuple is not installed, so that bloat cannot be measured exactly",
									"CREATE EXTENSION pgstattuple;");
}
