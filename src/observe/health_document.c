/*
 * health_document.c
 *		The document that system_health_check() returns.
 *
 * The flat keys at the top are a contract with the applications that read
 * them; everything else is nested. What is not known is null.
 */
#include "observe/health_document.h"
#include "observe/maintenance_mode.h"

#include <math.h>

#include "access/xlog.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

static void put_flat(DbopsJson *json, const Health *health, const char *status);
static void put_count(DbopsJson *json, const char *key, bool known, int64 count);
static void put_connections(DbopsJson *json, const Health *health);
static void put_health(DbopsJson *json, const Health *health);
static void put_replication(DbopsJson *json, bool known, const Replication *replication);
static void put_oldest_transaction(DbopsJson *json, const Health *health);
static void put_age(DbopsJson *json, const char *key, bool known, int64 age,
					int64 freeze_age, int64 warn_age, int64 stop_age);
static void put_server(DbopsJson *json);
static void put_extension(DbopsJson *json, const char *name);
static void put_freshness(DbopsJson *json, const Verdict *verdict);
static void put_summary(DbopsJson *json, const List *findings);
static void put_verdict(DbopsJson *json, const Verdict *verdict);
static void put_checks(DbopsJson *json, const List *findings, bool verbose);
static void put_finding(DbopsJson *json, const DbopsFinding *finding);
static int64 megabytes_hundredths(int64 bytes);

/* Put it together from what was looked at and what was found. */
Jsonb *
dbops_health_document(const Verdict *verdict, bool verbose)
{
	const Health *health = verdict->health;
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	put_flat(&json, health, verdict->status);
	put_connections(&json, health);
	dbops_health_put_performance(&json, health);
	put_health(&json, health);
	dbops_health_put_storage(&json, health);
	dbops_health_put_host(&json);
	put_server(&json);
	put_freshness(&json, verdict);
	dbops_maintenance_mode_put(&json, "maintenance");
	put_summary(&json, verdict->findings);
	put_verdict(&json, verdict);
	put_checks(&json, verdict->findings, verbose);
	return dbops_json_finish(&json);
}

/* The keys that applications read today, flat and by their old names. */
static void
put_flat(DbopsJson *json, const Health *health, const char *status)
{
	bool		measured = dbops_health_stands(health, PART_SIZES) && health->sizes.measured_at != 0;

	dbops_json_time(json, "timestamp", dbops_clock_now());
	dbops_json_text(json, "status", status);
	dbops_json_decimal(json, "database_size_mb", !measured ? NAN :
					   megabytes_hundredths(health->sizes.database) / 100.0);
	put_count(json, "active_connections", dbops_health_stands(health, PART_SESSIONS) &&
			  !dbops_sessions_hide(&health->sessions), health->sessions.active);
	put_count(json, "slow_queries", dbops_health_has_statements(health), health->statements.slow);
	dbops_json_decimal(json, "cache_hit_ratio",
					   dbops_health_stands(health, PART_COUNTERS) ? dbops_hit_ratio(&health->counters) : NAN);
}

static void
put_count(DbopsJson *json, const char *key, bool known, int64 count)
{
	if (known)
		dbops_json_integer(json, key, count);
	else
		dbops_json_null(json, key);
}

static void
put_connections(DbopsJson *json, const Health *health)
{
	const Sessions *sessions = &health->sessions;
	bool		known = !dbops_sessions_hide(sessions);

	if (!dbops_health_stands(health, PART_SESSIONS))
	{
		dbops_json_null(json, "connections");
		return;
	}
	dbops_json_object(json, "connections");
	dbops_json_integer(json, "total", sessions->clients);
	put_count(json, "active", known, sessions->active);
	put_count(json, "idle", known, sessions->idle);
	put_count(json, "idle_in_transaction", known, sessions->idle_in_transaction);
	dbops_json_integer(json, "waiting", sessions->waiting);
	dbops_json_integer(json, "max", sessions->usable);
	dbops_json_decimal(json, "pool_utilization", dbops_sessions_used_percent(sessions));
	dbops_json_integer(json, "max_connections", MaxConnections);
	dbops_json_object_end(json);
}

static void
put_health(DbopsJson *json, const Health *health)
{
	const Ages *ages = &health->ages;
	bool		stands = dbops_health_stands(health, PART_AGES);

	dbops_json_object(json, "health");
	put_replication(json, dbops_health_stands(health, PART_REPLICATION), &health->replication);
	put_count(json, "deadlocks", dbops_health_stands(health, PART_COUNTERS),
			  health->counters.deadlocks);
	put_count(json, "lock_waits", dbops_health_stands(health, PART_SESSIONS),
			  health->sessions.lock_waits);
	put_oldest_transaction(json, health);
	put_age(json, "xid", stands, ages->xid_age, ages->xid_freeze_age,
			ages->xid_warn_age, ages->xid_stop_age);
	put_age(json, "multixact", stands, ages->multixact_age, ages->multixact_freeze_age,
			ages->multixact_warn_age, ages->multixact_stop_age);
	dbops_json_object_end(json);
}

static void
put_replication(DbopsJson *json, bool known, const Replication *replication)
{
	dbops_json_decimal(json, "replication_lag_s", known ? replication->lag : NAN);
	dbops_json_decimal(json, "replication_lag_ms", known ? replication->lag * 1000 : NAN);
	put_count(json, "replication_lag_bytes", known && replication->lag_bytes >= 0,
			  replication->lag_bytes);
	put_count(json, "standbys", known, replication->standbys);
}

/* A session's, or one that is prepared and so has no process. */
static void
put_oldest_transaction(DbopsJson *json, const Health *health)
{
	const Sessions *sessions = &health->sessions;
	bool		prepared = sessions->prepared > 0 &&
		(sessions->oldest.pid == 0 || sessions->oldest_prepared > sessions->oldest.age);

	if (!dbops_health_stands(health, PART_SESSIONS) ||
		(sessions->oldest.pid == 0 && !prepared))
	{
		dbops_json_null(json, "oldest_transaction");
		return;
	}
	dbops_json_object(json, "oldest_transaction");
	dbops_json_decimal(json, "age_s", prepared ? sessions->oldest_prepared : sessions->oldest.age);
	put_count(json, "pid", !prepared, sessions->oldest.pid);
	dbops_json_text(json, "gid", prepared ? sessions->oldest_prepared_gid : NULL);
	dbops_json_object_end(json);
}

static void
put_age(DbopsJson *json, const char *key, bool known, int64 age, int64 freeze_age,
		int64 warn_age, int64 stop_age)
{
	if (!known)
	{
		dbops_json_null(json, key);
		return;
	}
	dbops_json_object(json, key);
	dbops_json_integer(json, "age", age);
	dbops_json_integer(json, "freeze_max_age", freeze_age);
	dbops_json_integer(json, "warn_age", warn_age);
	dbops_json_integer(json, "stop_age", stop_age);
	dbops_json_decimal(json, "used_percent", dbops_figure_percent(age, stop_age));
	dbops_json_object_end(json);
}

static void
put_server(DbopsJson *json)
{
	dbops_json_object(json, "server");
	dbops_json_text(json, "version", PG_VERSION);
	dbops_json_text(json, "dbops", DBOPS_VERSION);
	dbops_json_text(json, "role", RecoveryInProgress() ? "standby" : "primary");
	dbops_json_text(json, "database", dbops_database_name(MyDatabaseId));
	dbops_json_time(json, "started", PgStartTime);
	dbops_json_object(json, "extensions");
	put_extension(json, "pg_stat_statements");
	put_extension(json, "pgstattuple");
	dbops_json_object_end(json);
	dbops_json_object_end(json);
}

/* Its version; null if it is not in this database. */
static void
put_extension(DbopsJson *json, const char *name)
{
	dbops_json_text(json, name, dbops_extension_find(name).version);
}

/* How old is what was not looked at just now, and whether samples come. */
static void
put_freshness(DbopsJson *json, const Verdict *verdict)
{
	const Health *health = verdict->health;
	double		age = dbops_health_stands(health, PART_SIZES) ?
		dbops_health_age(health->sizes.measured_at) : NAN;

	dbops_json_object(json, "freshness");
	dbops_json_text(json, "collector", dbops_collector_word(&verdict->collector));
	dbops_json_decimal(json, "sample_age_s", verdict->collector.age);
	dbops_json_decimal(json, "sample_cost_ms", verdict->collector.tick_ms);
	dbops_json_decimal(json, "checks_age_s", dbops_health_age(verdict->judged_at));
	dbops_json_decimal(json, "statements_age_s", dbops_health_has_statements(health) ?
					   dbops_health_age(health->statements.read_at) : NAN);
	dbops_json_decimal(json, "size_age_s", age);
	dbops_json_decimal(json, "largest_tables_age_s", health->sizes.n_largest >= 0 ? age : NAN);
	dbops_json_decimal(json, "index_hit_ratio_age_s", dbops_health_has_index_figures(health) ? age : NAN);
	dbops_json_object_end(json);
}

/* Count the findings of each severity. */
static void
put_summary(DbopsJson *json, const List *findings)
{
	int			counts[DBOPS_CRITICAL + 1] = {0};
	ListCell   *cell;

	foreach(cell, findings)
		counts[((const DbopsFinding *) lfirst(cell))->severity]++;

	dbops_json_object(json, "summary");
	for (DbopsSeverity severity = DBOPS_OK; severity <= DBOPS_CRITICAL; severity++)
		dbops_json_integer(json, dbops_severity_name(severity), counts[severity]);
	dbops_json_object_end(json);
}

/* What the checks together say, and which of them made the status what it is. */
static void
put_verdict(DbopsJson *json, const Verdict *verdict)
{
	ListCell   *cell;

	dbops_json_object(json, "verdict");
	dbops_json_text(json, "worst", dbops_severity_name(verdict->worst));
	dbops_json_integer(json, "muted", verdict->muted);
	dbops_json_array(json, "reasons");
	foreach(cell, verdict->reasons)
		dbops_json_text(json, NULL, lfirst(cell));
	dbops_json_array_end(json);
	dbops_json_object_end(json);
}

static void
put_checks(DbopsJson *json, const List *findings, bool verbose)
{
	ListCell   *cell;

	dbops_json_array(json, "checks");
	foreach(cell, findings)
	{
		const DbopsFinding *finding = lfirst(cell);

		if (verbose || finding->severity != DBOPS_OK)
			put_finding(json, finding);
	}
	dbops_json_array_end(json);
}

static void
put_finding(DbopsJson *json, const DbopsFinding *finding)
{
	dbops_json_object(json, NULL);
	dbops_json_text(json, "check_name", finding->check_name);
	dbops_json_text(json, "severity", dbops_severity_name(finding->severity));
	dbops_json_text(json, "object", finding->object);
	dbops_json_text(json, "message", finding->message);
	dbops_json_text(json, "remedy", finding->remedy);
	dbops_json_text(json, "key", finding->key);
	dbops_json_document(json, "data", finding->data);
	dbops_json_text(json, "source", finding->check == NULL ? NULL : finding->check->threshold.source);
	dbops_json_time(json, "since", dbops_verdict_since(finding));
	dbops_json_time(json, "muted_until", finding->muted_until);
	dbops_json_object_end(json);
}

/* Hundredths of 1024², rounded half up as numeric is. */
static int64
megabytes_hundredths(int64 bytes)
{
	return (bytes * 100 + 512 * 1024) / (1024 * 1024);
}
