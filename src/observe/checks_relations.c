/*
 * checks_relations.c
 *		Checks of tables: whether they are vacuumed, analyzed, and where their rows are.
 *
 * Every threshold goes with a number of rows, since a share of few is nothing.
 */
#include "observe/relation_pass.h"

#include "access/xlog.h"
#include "catalog/catalog.h"
#include "catalog/pg_class.h"
#include "pgstat.h"
#include "utils/lsyscache.h"

static void judge_xid_age(const void *facts, DbopsCheckRun *run);
static void judge_multixact_age(const void *facts, DbopsCheckRun *run);
static void judge_dead(const void *facts, DbopsCheckRun *run);
static void judge_overdue(const void *facts, DbopsCheckRun *run);
static void judge_analyze_overdue(const void *facts, DbopsCheckRun *run);
static void judge_never_analyzed(const void *facts, DbopsCheckRun *run);
static void judge_parent_never_analyzed(const void *facts, DbopsCheckRun *run);
static void judge_no_autovacuum(const void *facts, DbopsCheckRun *run);
static void judge_not_hot(const void *facts, DbopsCheckRun *run);
static void judge_unlogged(const void *facts, DbopsCheckRun *run);
static void judge_orphaned(const void *facts, DbopsCheckRun *run);
static void report_counted(const void *facts, RelationAspect aspect, NotableCallback describe,
						   const char *none, DbopsCheckRun *run);
static void report(const void *facts, RelationAspect aspect, NotableCallback describe,
				   const char *none, DbopsCheckRun *run);
static const DbopsFinding *about_xid_age(const Notable *notable);
static const DbopsFinding *about_multixact_age(const Notable *notable);
static const DbopsFinding *about_age(const Notable *notable, const char *kind);
static const DbopsFinding *about_dead(const Notable *notable);
static const DbopsFinding *about_overdue(const Notable *notable);
static const DbopsFinding *about_analyze_overdue(const Notable *notable);
static const DbopsFinding *about_never_analyzed(const Notable *notable);
static const DbopsFinding *about_parent_never_analyzed(const Notable *notable);
static const DbopsFinding *about_no_autovacuum(const Notable *notable);
static const DbopsFinding *about_not_hot(const Notable *notable);
static const DbopsFinding *about_unlogged(const Notable *notable);
static const DbopsFinding *about_orphaned(const Notable *notable);
static const DbopsFinding *finding(const Notable *notable, const char *message, const char *command);
static const char *name_of(Oid relid);

static const DbopsCheck checks[] = {
	{
		.name = "analyze.never",
		.about = "rows of a table about which the planner knows nothing",
		.judge = judge_never_analyzed,
		.threshold = {
			.unit = "count", .warning = 10000, .critical = NO_THRESHOLD,
			.duration = SECS_PER_HOUR, .source = "pgFirstAid, postgres_dba"
		}
	},
	{
		.name = "analyze.overdue",
		.about = "rows changed since a table was analyzed, in multiples of what autovacuum would act on",
		.judge = judge_analyze_overdue,
		.threshold = {
			.unit = "times", .warning = 2, .critical = NO_THRESHOLD, .guard = 10000, .guard_unit = "rows",
			.duration = 6 * SECS_PER_HOUR, .source = "postgresai, check_pgactivity"
		}
	},
	{
		.name = "analyze.partitioned",
		.about = "rows below a partitioned table about which the planner knows nothing as a whole",
		.judge = judge_parent_never_analyzed,
		.advice = true,
		.threshold = {
			.unit = "count", .warning = 10000, .critical = NO_THRESHOLD, .source = "postgresai"
		}
	},
	{
		.name = "tables.orphaned",
		.about = "temporary tables whose session is gone",
		.judge = judge_orphaned,
		.threshold = {
			.unit = "count", .warning = 0, .critical = NO_THRESHOLD,
			.duration = SECS_PER_HOUR, .source = "postgres_dba"
		}
	},
	{
		.name = "tables.unlogged",
		.about = "what a table holds that is empty after a crash and on standbys",
		.judge = judge_unlogged,
		.advice = true,
		.threshold = {
			.unit = "bytes", .warning = 0, .critical = NO_THRESHOLD, .source = "check_pgactivity"
		}
	},
	{
		.name = "updates.not_hot",
		.about = "share of a table's updates that had to change its indexes",
		.judge = judge_not_hot,
		.advice = true,
		.threshold = {
			.unit = "percent", .warning = 90, .critical = NO_THRESHOLD, .guard = 10000, .guard_unit = "updates",
			.source = "ruby-pg-extras"
		}
	},
	{
		.name = "vacuum.dead_rows",
		.about = "share of a table's rows that are dead",
		.judge = judge_dead,
		.threshold = {
			.unit = "percent", .warning = 20, .critical = NO_THRESHOLD, .guard = 100000, .guard_unit = "rows",
			.duration = SECS_PER_HOUR, .clear = 20, .source = "postgresai, awesome-prometheus-alerts"
		}
	},
	{
		.name = "vacuum.disabled_table",
		.about = "rows of a table for which autovacuum is off",
		.judge = judge_no_autovacuum,
		.threshold = {
			.unit = "count", .warning = 10000, .critical = NO_THRESHOLD, .source = "postgresai"
		}
	},
	{
		.name = "vacuum.overdue",
		.about = "dead or inserted rows of a table, in multiples of what autovacuum would act on",
		.judge = judge_overdue,
		.threshold = {
			.unit = "times", .warning = 2, .critical = 10, .guard = 100000, .guard_unit = "rows",
			.duration = 6 * SECS_PER_HOUR, .source = "postgresai, pganalyze"
		}
	},
	{
		.name = "wraparound.table_multixact",
		.about = "age of a table's oldest multixact id, of the age at which vacuum is forced",
		.judge = judge_multixact_age,
		.threshold = {
			.unit = "percent", .warning = 110, .critical = NO_THRESHOLD,
			.duration = 30 * SECS_PER_MINUTE, .source = "pgmonitor"
		}
	},
	{
		.name = "wraparound.table_xid",
		.about = "age of a table's oldest transaction id, of the age at which vacuum is forced",
		.judge = judge_xid_age,
		.threshold = {
			.unit = "percent", .warning = 110, .critical = NO_THRESHOLD,
			.duration = 30 * SECS_PER_MINUTE, .source = "pgmonitor"
		}
	}
};

const DbopsCheckSet dbops_relation_checks_set = {
	.look = dbops_relation_pass,
	.checks = checks,
	.n_checks = lengthof(checks)
};

/* The same of what the server counts, which is where rows are changed, and unless it is told not to. */
static void
report_counted(const void *facts, RelationAspect aspect, NotableCallback describe,
			   const char *none, DbopsCheckRun *run)
{
	if (RecoveryInProgress())
		dbops_check_report_unknown(run, NULL, "a standby counts no rows of tables", "Look on its primary.");
	else if (!pgstat_track_counts)
		dbops_check_report_unknown(run, NULL, "track_counts is off, so that no rows are counted", "ALTER SYSTEM SET track_counts = on; SELECT pg_reload_conf();");
	else
		report(facts, aspect, describe, none, run);
}

/* Report an aspect, or why the pass could not be made. */
static void
report(const void *facts, RelationAspect aspect, NotableCallback describe,
	   const char *none, DbopsCheckRun *run)
{
	const RelationPass *pass = facts;
	Notables	notables = pass->aspects[aspect];

	if (pass->error != NULL)
		ReThrowError(pass->error);
	dbops_notables_report(run, &notables, describe, none);
}

static void
judge_xid_age(const void *facts, DbopsCheckRun *run)
{
	report(facts, ASPECT_XID_AGE, about_xid_age, "no table's oldest transaction id is much older than what forces vacuum", run);
}

static const DbopsFinding *
about_xid_age(const Notable *notable)
{
	return about_age(notable, "transaction");
}

static void
judge_multixact_age(const void *facts, DbopsCheckRun *run)
{
	report(facts, ASPECT_MULTIXACT_AGE, about_multixact_age, "no table's oldest multixact id is much older than what forces vacuum", run);
}

static const DbopsFinding *
about_multixact_age(const Notable *notable)
{
	return about_age(notable, "multixact");
}

static const DbopsFinding *
about_age(const Notable *notable, const char *kind)
{
	return finding(notable, psprintf("its oldest %s id is %.0f ids old; vacuum is forced at %.0f", kind,
									 notable->figure, 100 * notable->figure / notable->value),
				   "VACUUM (FREEZE) %s;");
}

static void
judge_dead(const void *facts, DbopsCheckRun *run)
{
	report_counted(facts, ASPECT_DEAD, about_dead, "no table has many dead rows", run);
}

static const DbopsFinding *
about_dead(const Notable *notable)
{
	return finding(notable, psprintf("%.1f percent of its rows are dead, %.0f of them", notable->value, notable->guard),
				   "See SELECT * FROM dbops.health_checks() WHERE check_name = 'transactions.oldest'; then VACUUM %s;");
}

static void
judge_overdue(const void *facts, DbopsCheckRun *run)
{
	report_counted(facts, ASPECT_OVERDUE, about_overdue, "no table waits for vacuum in vain", run);
}

static const DbopsFinding *
about_overdue(const Notable *notable)
{
	return finding(notable, psprintf("%s %s, %.1f times as many as autovacuum acts on", dbops_figure_count(notable->guard, "row is", "rows are"),
									 notable->figure == 0 ? "dead" : "new since VACUUM", notable->value),
				   "VACUUM %s;");
}

static void
judge_analyze_overdue(const void *facts, DbopsCheckRun *run)
{
	report_counted(facts, ASPECT_ANALYZE_OVERDUE, about_analyze_overdue, "no table waits for analyze in vain", run);
}

static const DbopsFinding *
about_analyze_overdue(const Notable *notable)
{
	return finding(notable, psprintf("%s changed since it was analyzed, %.1f times as many as autovacuum acts on",
									 dbops_figure_count(notable->guard, "row was", "rows were"), notable->value),
				   "ANALYZE %s;");
}

static void
judge_never_analyzed(const void *facts, DbopsCheckRun *run)
{
	report_counted(facts, ASPECT_NEVER_ANALYZED, about_never_analyzed, "every table with more than a few rows was analyzed", run);
}

static const DbopsFinding *
about_never_analyzed(const Notable *notable)
{
	return finding(notable, psprintf("it has %s and was never analyzed", dbops_figure_count(notable->value, "row", "rows")), "ANALYZE %s;");
}

static void
judge_parent_never_analyzed(const void *facts, DbopsCheckRun *run)
{
	report_counted(facts, ASPECT_PARENT_NEVER_ANALYZED, about_parent_never_analyzed, "every partitioned table with more than a few rows was analyzed", run);
}

static const DbopsFinding *
about_parent_never_analyzed(const Notable *notable)
{
	return finding(notable, psprintf("its partitions have %s, and it was never analyzed as a whole, which autovacuum does not do",
									 dbops_figure_count(notable->value, "row", "rows")), "ANALYZE %s;");
}

static void
judge_no_autovacuum(const void *facts, DbopsCheckRun *run)
{
	report(facts, ASPECT_NO_AUTOVACUUM, about_no_autovacuum, "autovacuum is off for no table with more than a few rows", run);
}

static const DbopsFinding *
about_no_autovacuum(const Notable *notable)
{
	return finding(notable, psprintf("it has %s, and autovacuum is off for it", dbops_figure_count(notable->value, "row", "rows")),
				   "ALTER TABLE %s RESET (autovacuum_enabled);");
}

static void
judge_not_hot(const void *facts, DbopsCheckRun *run)
{
	report_counted(facts, ASPECT_NOT_HOT, about_not_hot, "most updates leave indexes alone where there are many", run);
}

static const DbopsFinding *
about_not_hot(const Notable *notable)
{
	return finding(notable, psprintf("%.1f percent of %s since the statistics' reset had to change its indexes", notable->value, dbops_figure_count(notable->guard, "update", "updates")),
				   "Drop indexes on columns that are updated, or ALTER TABLE %s SET (fillfactor = 90);");
}

static void
judge_unlogged(const void *facts, DbopsCheckRun *run)
{
	report(facts, ASPECT_UNLOGGED, about_unlogged, "no unlogged table holds anything", run);
}

static const DbopsFinding *
about_unlogged(const Notable *notable)
{
	return finding(notable, psprintf("it is unlogged and holds %s, which a crash empties and no standby has",
									 dbops_figure_bytes(notable->value)),
				   "ALTER TABLE %s SET LOGGED; unless its rows can be made again.");
}

static void
judge_orphaned(const void *facts, DbopsCheckRun *run)
{
	report(facts, ASPECT_ORPHANED, about_orphaned, "no temporary table has outlived its session", run);
}

static const DbopsFinding *
about_orphaned(const Notable *notable)
{
	return finding(notable, "its session is gone; it keeps transaction ids from being given out again", "DROP TABLE %s;");
}

/* What is said of a table; NULL: it is gone. In the command, %s is its name. */
static const DbopsFinding *
finding(const Notable *notable, const char *message, const char *command)
{
	DbopsFinding *finding = palloc0(sizeof(DbopsFinding));
	const char *place = strstr(command, "%s");

	finding->object = name_of(notable->object);
	if (finding->object == NULL)
		return NULL;
	finding->message = message;
	finding->remedy = psprintf("%.*s%s%s", (int) (place - command), command, finding->object, place + 2);
	return finding;
}

static const char *
name_of(Oid relid)
{
	char	   *name = get_rel_name(relid);
	char	   *schema = get_namespace_name(get_rel_namespace(relid));

	return (name == NULL || schema == NULL) ? NULL : dbops_quote_qualified(schema, name);
}
