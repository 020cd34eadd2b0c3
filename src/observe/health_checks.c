/*
 * health_checks.c
 *		What is judged about this server, and what the judging has in common.
 *
 * Three checks follow the function that applications had before: more than 50
 * active sessions, more than 10 slow statements, a hit ratio below 95 percent.
 * The other thresholds are those on which the usual tools agree; their names
 * stand beside them. What could not be looked at is unknown, never ok.
 */
#include "observe/observe.h"

#include <math.h>

static const DbopsCheck checks[] = {
	{.name = "archiver.failing", .judge = dbops_judge_archiver},
	{.name = "cache.hit_ratio", .judge = dbops_judge_hit_ratio},
	{.name = "connections.active", .judge = dbops_judge_active},
	{.name = "connections.idle_in_transaction", .judge = dbops_judge_idle_in_transaction, .before_change = true},
	{.name = "connections.used", .judge = dbops_judge_connections, .before_change = true},
	{.name = "database.deadlocks", .judge = dbops_judge_deadlocks},
	{.name = "database.size", .judge = dbops_judge_size},
	{.name = "disk.free", .judge = dbops_judge_disks, .before_change = true},
	{.name = "extension.pgstattuple", .judge = dbops_judge_pgstattuple},
	{.name = "locks.waiting", .judge = dbops_judge_lock_waits},
	{.name = "replication.lag", .judge = dbops_judge_replication_lag, .before_change = true},
	{.name = "replication.slots", .judge = dbops_judge_slots},
	{.name = "statements.slow", .judge = dbops_judge_slow_statements},
	{.name = "transactions.oldest", .judge = dbops_judge_oldest_transaction, .before_change = true},
	{.name = "transactions.prepared", .judge = dbops_judge_prepared, .before_change = true},
	{.name = "wraparound.multixact", .judge = dbops_judge_multixact_age},
	{.name = "wraparound.xid", .judge = dbops_judge_xid_age}
};

const DbopsCheckSet dbops_health_checks_set = {
	.look = dbops_health_look,
	.checks = checks,
	.n_checks = lengthof(checks),
	.reach = DBOPS_REACH_CLUSTER
};

static void put_figure(DbopsJson *json, const char *key, double figure);

/* Give the facts; a check that needs a part that failed fails alike. */
const Health *
dbops_health_require(const void *facts, HealthPart part)
{
	const Health *health = facts;

	if (health->errors[part] != NULL)
		ReThrowError(health->errors[part]);
	return health;
}

/* Report a figure that should not be above its thresholds. */
void
dbops_health_report_above(DbopsCheckRun *run, double value, double warning, double critical,
						  DbopsFinding finding)
{
	finding.severity = (value > critical) ? DBOPS_CRITICAL :
		(value > warning) ? DBOPS_WARNING : DBOPS_OK;
	if (finding.severity == DBOPS_OK)
		finding.remedy = NULL;
	if (finding.data == NULL)
		finding.data = dbops_health_figures(value, warning, critical);
	dbops_check_report(run, finding);
}

void
dbops_health_report_unknown(DbopsCheckRun *run, const char *object, const char *message,
							const char *remedy)
{
	dbops_check_report(run, (DbopsFinding)
					   {
						   .severity = DBOPS_UNKNOWN,
						   .object = object,
						   .message = message,
						   .remedy = remedy
					   });
}

Jsonb *
dbops_health_figures(double value, double warning, double critical)
{
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	put_figure(&json, "value", value);
	put_figure(&json, "warning", warning);
	put_figure(&json, "critical", critical);
	return dbops_json_finish(&json);
}

/* A check that has no such threshold does not mention it. */
static void
put_figure(DbopsJson *json, const char *key, double figure)
{
	if (figure == NO_THRESHOLD)
		return;
	if (figure == floor(figure))
		dbops_json_integer(json, key, (int64) figure);
	else
		dbops_json_decimal(json, key, figure);
}
