/*
 * history_checks.c
 *		Checks of history: whether it is written, and what it takes.
 *
 * Memory has an hour, so that there is time to mend what keeps a scheduler from
 * writing; after that samples are lost. How far minutes have been written says
 * it for all tiers, as each is made of the one before.
 */
#include "observe/history.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"

#define REMEDY	"Let it be tried here, which shows the error: SELECT dbops.roll_up_metrics(); what has failed before is in the server's log, of dbops scheduler."

typedef struct Facts
{
	int64		bytes;
	double		age;			/* s since the last minute of this database that was written */
	double		cluster_age;	/* NaN: that is written elsewhere */
} Facts;

static const void *look(const DbopsCheckScope *scope);
static double unwritten(bool cluster);
static void judge_age(const void *facts, DbopsCheckRun *run);
static void report_age(DbopsCheckRun *run, const char *object, double age);
static void judge_size(const void *facts, DbopsCheckRun *run);

static const DbopsCheck checks[] = {
	{
		.name = "history.age",
		.about = "how long nothing was written to the history of this database, and in the home database to that of the cluster",
		.judge = judge_age,
		.threshold = {
			.unit = "s", .warning = 1800, .critical = DBOPS_NO_THRESHOLD, .duration = 600,
			.source = "dbops: it is written every ten minutes, and memory has an hour"
		}
	},
	{
		.name = "history.size",
		.about = "what the history in this database takes, of dbops.history_max_size",
		.judge = judge_size,
		.advice = true,
		.threshold = {
			.unit = "percent", .warning = 90, .critical = DBOPS_NO_THRESHOLD, .source = "dbops: from there on minutes are dropped"
		}
	}
};

static const DbopsCheckSet check_set = {
	.look = look,
	.checks = checks,
	.n_checks = lengthof(checks),
	.reach = DBOPS_REACH_CATALOG
};

/* Register them. */
void
dbops_history_checks_init(void)
{
	dbops_check_register(&check_set);
}

static const void *
look(const DbopsCheckScope *scope)
{
	Facts	   *facts = palloc(sizeof(Facts));

	facts->bytes = dbops_history_bytes();
	facts->age = unwritten(false);
	facts->cluster_age = (dbops_home_database() == MyDatabaseId) ? unwritten(true) : NAN;
	return facts;
}

/* For how many seconds has nothing been written, while there was somebody to write? */
static double
unwritten(bool cluster)
{
	DbopsParam	params[] = {dbops_param_bool(cluster), dbops_param_text(dbops_history_tiers[0].name)};
	Datum		until;
	TimestampTz written = PgStartTime;

	if (dbops_store_value("SELECT max(rolled_until) FROM dbops.history_progress WHERE tier = 'begun' OR tier = $2 AND cluster = $1",
						  lengthof(params), params, TIMESTAMPTZOID, &until))
		written = Max(written, DatumGetTimestampTz(until));
	return Max(0, (dbops_clock_now() - written) / (double) USECS_PER_SEC);
}

static void
judge_age(const void *facts, DbopsCheckRun *run)
{
	const Facts *seen = facts;
	CollectorState collector;

	dbops_collector_state(&collector);
	if (RecoveryInProgress())
		dbops_check_report(run, (DbopsFinding) {.message = "a standby writes no history; its primary does"});
	else if (!collector.preloaded)
		dbops_check_report_unknown(run, NULL, "nobody writes history: dbops is not preloaded", "Add dbops to shared_preload_libraries and restart.");
	else if (!dbops_enabled)
		dbops_check_report_unknown(run, NULL, "nobody writes history: dbops.enabled is off here",
								   "See where it is set: SELECT source, sourcefile FROM pg_settings WHERE name = 'dbops.enabled'; then set it to on there.");
	else
	{
		report_age(run, NULL, seen->age);
		if (!isnan(seen->cluster_age))
			report_age(run, "cluster", seen->cluster_age);
	}
}

static void
report_age(DbopsCheckRun *run, const char *object, double age)
{
	dbops_check_report_value(run, age, NAN, (DbopsFinding)
							 {
								 .object = object,
								 .message = psprintf("the history of the %s reaches up to %s ago", object == NULL ? "database" : "cluster", dbops_figure_duration(age)),
								 .remedy = REMEDY
							 });
}

static void
judge_size(const void *facts, DbopsCheckRun *run)
{
	int64		bytes = ((const Facts *) facts)->bytes;

	if (dbops_history_max_size == 0)
	{
		dbops_check_report(run, (DbopsFinding) {
			.message = psprintf("history takes %s, without a limit", dbops_figure_bytes(bytes))
		});
		return;
	}
	dbops_check_report_value(run, dbops_figure_percent(bytes, dbops_history_max_size * MB), NAN,
							 (DbopsFinding) {
		.message = psprintf("history takes %s of the %s that it may", dbops_figure_bytes(bytes),
							dbops_figure_bytes(dbops_history_max_size * MB)),
		.remedy = "Set dbops.history_max_size higher: the oldest minutes are dropped to keep to it."
	});
}
