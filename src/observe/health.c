/*
 * health.c
 *		system_health_check() and health_checks(): the state of the server.
 *
 * Everything is looked at once; then the same figures are shown in the
 * document and judged by the checks. A part that cannot be looked at leaves
 * null figures and unknown checks, and the rest stands.
 */
#include "observe/alert.h"
#include "observe/board.h"
#include "observe/checks.h"
#include "observe/growth.h"
#include "observe/history.h"
#include "observe/maintenance_mode.h"
#include "observe/verdict.h"
#include "observe/metric.h"
#include "observe/replication.h"
#include "observe/setting_drift.h"
#include "observe/size_history.h"
#include "observe/statement.h"

#include <math.h>

#define REUSE_FACTOR	1000.0	/* a figure serves this times its cost */

PG_FUNCTION_INFO_V1(dbops_system_health_check);
PG_FUNCTION_INFO_V1(dbops_health_checks);
PG_FUNCTION_INFO_V1(dbops_health_public);

static bool needs_connection(HealthPart part);
static void look_at_sessions(void *health);
static void look_at_statements(void *health);
static void look_at_counters(void *health);
static void look_at_ages(void *health);
static void look_at_replication(void *health);
static void look_at_archiver(void *health);
static void look_at_disks(void *health);
static void look_at_sizes(void *health);

static const DbopsCallback looks[N_PARTS] = {
	[PART_SESSIONS] = look_at_sessions,
	[PART_STATEMENTS] = look_at_statements,
	[PART_COUNTERS] = look_at_counters,
	[PART_AGES] = look_at_ages,
	[PART_REPLICATION] = look_at_replication,
	[PART_ARCHIVER] = look_at_archiver,
	[PART_DISKS] = look_at_disks,
	[PART_SIZES] = look_at_sizes
};

static void reach_verdict(void *verdict);

/* Register the checks and ask for the memory of what is kept. */
void
dbops_observe_init(void)
{
	dbops_maintenance_mode_init();
	dbops_override_init();
	dbops_check_register(&dbops_health_checks_set);
	dbops_checks_init();
	dbops_board_init();
	dbops_collector_init();
	dbops_alert_init();
	dbops_growth_init();
	dbops_history_init();
	dbops_rollup_init();
	dbops_waits_init();
	dbops_replication_init();
	dbops_primary_beat_init();
	dbops_sequences_init();
	dbops_setting_drift_init();
	dbops_size_history_init();
	dbops_sizes_init();
	dbops_statement_history_init();
	dbops_statements_init();
}

/* system_health_check(verbose boolean) → jsonb */
Datum
dbops_system_health_check(PG_FUNCTION_ARGS)
{
	Verdict		verdict;
	bool		verbose = PG_GETARG_BOOL(0);

	dbops_verdict_reach(&verdict, verbose ? VERDICT_IN_FULL : VERDICT_SERVED);
	PG_RETURN_JSONB_P(dbops_health_document(&verdict, verbose));
}

/* health_public() → jsonb: the status and the time, the same whoever asks */
Datum
dbops_health_public(PG_FUNCTION_ARGS)
{
	DbopsJson	json = {0};
	Verdict		verdict;

	dbops_run_as_extension(reach_verdict, &verdict);
	dbops_json_object(&json, NULL);
	dbops_json_text(&json, "status", verdict.status);
	dbops_json_time(&json, "timestamp", dbops_clock_now());
	PG_RETURN_JSONB_P(dbops_json_finish(&json));
}

static void
reach_verdict(void *verdict)
{
	dbops_verdict_reach(verdict, VERDICT_SERVED);
}

/* health_checks() → SETOF finding */
Datum
dbops_health_checks(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Verdict		verdict;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	dbops_verdict_reach(&verdict, VERDICT_ANEW);
	foreach(cell, verdict.findings)
	{
		DbopsFinding finding = *(const DbopsFinding *) lfirst(cell);

		finding.since = dbops_verdict_since(&finding);
		finding.data = dbops_check_explain(verdict.run, &finding);
		dbops_finding_put(result, &finding);
	}
	return (Datum) 0;
}

/* Look at each part; the one that fails keeps its error. */
const void *
dbops_health_look(const DbopsCheckScope *scope)
{
	Health	   *health = palloc0(sizeof(Health));

	health->scope = *scope;
	for (int part = 0; part < N_PARTS; part++)
		if (scope->connected || !needs_connection(part))
			(void) dbops_attempt(looks[part], health, &health->errors[part]);
	return health;
}

/* What has to be read in the database itself; those who judge from elsewhere do without. */
static bool
needs_connection(HealthPart part)
{
	return part == PART_SIZES;
}

static void
look_at_sessions(void *health)
{
	dbops_sessions_read(&((Health *) health)->sessions);
}

static void
look_at_statements(void *health)
{
	Health	   *all = health;

	if (all->scope.connected)
		dbops_statements_read(&all->statements);
	else
		(void) dbops_statements_kept(&all->statements);
}

static void
look_at_counters(void *health)
{
	Health	   *all = health;

	dbops_counters_read(all->scope.database, &all->counters);
}

static void
look_at_ages(void *health)
{
	dbops_ages_read(&((Health *) health)->ages);
}

static void
look_at_replication(void *health)
{
	dbops_replication_read(&((Health *) health)->replication);
}

static void
look_at_archiver(void *health)
{
	dbops_archiver_read(&((Health *) health)->archiver);
}

static void
look_at_disks(void *health)
{
	dbops_disks_read(&((Health *) health)->disks);
}

static void
look_at_sizes(void *health)
{
	dbops_sizes_read(&((Health *) health)->sizes);
}

/* Whether a part could be looked at. */
bool
dbops_health_stands(const Health *health, HealthPart part)
{
	return health->errors[part] == NULL;
}

/* Whether there are figures of statements. */
bool
dbops_health_has_statements(const Health *health)
{
	return dbops_health_stands(health, PART_STATEMENTS) &&
		health->statements.state == STATEMENTS_READ;
}

/*
 * Whether a figure that took so many milliseconds need not be got again: for
 * dbops.health_max_age, or a thousand times as long as it took if that is less.
 * A clock that was set back makes it worthless.
 */
bool
dbops_health_is_fresh(TimestampTz at, double took)
{
	double		age = dbops_health_age(at);

	return age >= 0 && age < Min(dbops_health_max_age, took * REUSE_FACTOR / 1000);
}

/* Whether a figure that the background gets serves, for so many seconds. With dbops.health_max_age = 0 none does. */
bool
dbops_health_is_kept(TimestampTz at, double kept_for)
{
	double		age = dbops_health_age(at);

	return dbops_health_max_age > 0 && age >= 0 && age < kept_for;
}

/* How old a figure is, in seconds; NaN if there is none. */
double
dbops_health_age(TimestampTz at)
{
	return (at == 0) ? NAN : (dbops_clock_now() - at) / (double) USECS_PER_SEC;
}

/* How many of the blocks asked for were found, in percent to two decimals. */
double
dbops_hit_ratio(const Counters *counters)
{
	return round(dbops_figure_percent(counters->blocks_hit, counters->blocks_fetched) * 100) / 100;
}
