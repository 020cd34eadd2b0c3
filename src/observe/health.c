/*
 * health.c
 *		system_health_check() and health_checks(): the state of the server.
 *
 * Everything is looked at once; then the same figures are shown in the
 * document and judged by the checks. A part that cannot be looked at leaves
 * null figures and unknown checks, and the rest stands.
 */
#include "observe/observe.h"

#include <math.h>

#include "access/xlog.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "postmaster/postmaster.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(dbops_system_health_check);
PG_FUNCTION_INFO_V1(dbops_health_checks);

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

static bool stands(const Health *health, HealthPart part);
static bool has_statements(const Health *health);
static const char *judge_status(const Health *health, const List *findings);
static void put_flat(DbopsJson *json, const Health *health, const char *status);
static void put_connections(DbopsJson *json, const Health *health);
static void put_performance(DbopsJson *json, const Health *health);
static void put_health(DbopsJson *json, const Health *health);
static void put_replication(DbopsJson *json, const Replication *replication);
static void put_transaction(DbopsJson *json, const Transaction *oldest);
static void put_age(DbopsJson *json, const char *key, int64 age, int64 freeze_age,
					int64 warn_age, int64 stop_age);
static void put_storage(DbopsJson *json, const Health *health);
static void put_largest_tables(DbopsJson *json, const Sizes *sizes);
static void put_disk(DbopsJson *json, const char *key, const Disk *disk);
static void put_server(DbopsJson *json);
static void put_extension(DbopsJson *json, const char *name);
static void put_freshness(DbopsJson *json, const Health *health);
static void put_summary(DbopsJson *json, const List *findings);
static void put_checks(DbopsJson *json, const List *findings, bool verbose);
static void put_finding(DbopsJson *json, const DbopsFinding *finding);
static int64 megabytes_hundredths(int64 bytes);

/* Register the checks and ask for the memory of the sizes. */
void
dbops_observe_init(void)
{
	dbops_check_register(&dbops_health_checks_set);
	dbops_sizes_init();
}

/* system_health_check(verbose boolean) → jsonb */
Datum
dbops_system_health_check(PG_FUNCTION_ARGS)
{
	bool		verbose = PG_GETARG_BOOL(0);
	DbopsCheckRun *run = dbops_check_look();
	const Health *health = dbops_check_facts(run, &dbops_health_checks_set);
	List	   *findings = dbops_check_judge(run);
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	put_flat(&json, health, judge_status(health, findings));
	put_connections(&json, health);
	put_performance(&json, health);
	put_health(&json, health);
	put_storage(&json, health);
	put_server(&json);
	put_freshness(&json, health);
	put_summary(&json, findings);
	put_checks(&json, findings, verbose);
	PG_RETURN_JSONB_P(dbops_json_finish(&json));
}

/* health_checks() → SETOF finding */
Datum
dbops_health_checks(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, dbops_check_judge(dbops_check_look()))
		dbops_finding_put(result, lfirst(cell));
	return (Datum) 0;
}

/* Look at each part; the one that fails keeps its error. */
const void *
dbops_health_look(void)
{
	Health	   *health = palloc0(sizeof(Health));

	for (int part = 0; part < N_PARTS; part++)
		(void) dbops_attempt(looks[part], health, &health->errors[part]);
	return health;
}

static void
look_at_sessions(void *health)
{
	dbops_sessions_read(&((Health *) health)->sessions);
}

static void
look_at_statements(void *health)
{
	dbops_statements_read(&((Health *) health)->statements);
}

static void
look_at_counters(void *health)
{
	dbops_counters_read(&((Health *) health)->counters);
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

static bool
stands(const Health *health, HealthPart part)
{
	return health->errors[part] == NULL;
}

static bool
has_statements(const Health *health)
{
	return stands(health, PART_STATEMENTS) &&
		health->statements.state == STATEMENTS_READ;
}

/* Part of a whole in percent; NaN if there is no whole. */
double
dbops_percent(double part, double whole)
{
	return whole > 0 ? 100.0 * part / whole : NAN;
}

/* How many of the blocks asked for were found, in percent to two decimals. */
double
dbops_hit_ratio(const Counters *counters)
{
	return round(dbops_percent(counters->blocks_hit, counters->blocks_fetched) * 100) / 100;
}

/*
 * Sum it up in the word that applications know: the three rules that they
 * always had, unless a check is critical. A figure that is not known breaks no
 * rule.
 */
static const char *
judge_status(const Health *health, const List *findings)
{
	/* Findings come with the gravest first. */
	if (findings != NIL &&
		((const DbopsFinding *) linitial(findings))->severity == DBOPS_CRITICAL)
		return "critical";
	if ((stands(health, PART_SESSIONS) && health->sessions.active > 50) ||
		(has_statements(health) && health->statements.slow > 10) ||
		(stands(health, PART_COUNTERS) && dbops_hit_ratio(&health->counters) < 95))
		return "warning";
	return "healthy";
}

/* The keys that applications read today, flat and by their old names. */
static void
put_flat(DbopsJson *json, const Health *health, const char *status)
{
	bool		measured = stands(health, PART_SIZES) && health->sizes.measured_at != 0;

	dbops_json_time(json, "timestamp", dbops_clock_now());
	dbops_json_text(json, "status", status);
	dbops_json_decimal(json, "database_size_mb", !measured ? NAN :
					   megabytes_hundredths(health->sizes.database) / 100.0);
	if (stands(health, PART_SESSIONS))
		dbops_json_integer(json, "active_connections", health->sessions.active);
	else
		dbops_json_null(json, "active_connections");
	if (has_statements(health))
		dbops_json_integer(json, "slow_queries", health->statements.slow);
	else
		dbops_json_null(json, "slow_queries");
	dbops_json_decimal(json, "cache_hit_ratio",
					   stands(health, PART_COUNTERS) ? dbops_hit_ratio(&health->counters) : NAN);
}

static void
put_connections(DbopsJson *json, const Health *health)
{
	const Sessions *sessions = &health->sessions;

	if (!stands(health, PART_SESSIONS))
	{
		dbops_json_null(json, "connections");
		return;
	}
	dbops_json_object(json, "connections");
	dbops_json_integer(json, "total", sessions->clients);
	dbops_json_integer(json, "active", sessions->active);
	dbops_json_integer(json, "idle", sessions->idle);
	dbops_json_integer(json, "idle_in_transaction", sessions->idle_in_transaction);
	dbops_json_integer(json, "waiting", sessions->waiting);
	dbops_json_integer(json, "max", MaxConnections);
	dbops_json_decimal(json, "pool_utilization",
					   dbops_percent(sessions->clients, sessions->usable));
	dbops_json_object_end(json);
}

static void
put_performance(DbopsJson *json, const Health *health)
{
	const Sizes *sizes = &health->sizes;
	const Statements *statements = &health->statements;

	dbops_json_object(json, "performance");
	dbops_json_decimal(json, "avg_query_time_ms",
					   has_statements(health) && statements->calls > 0 ?
					   statements->total_time / statements->calls : NAN);
	dbops_json_decimal(json, "cache_hit_ratio",
					   stands(health, PART_COUNTERS) ? dbops_hit_ratio(&health->counters) : NAN);
	dbops_json_decimal(json, "index_hit_ratio",
					   stands(health, PART_SIZES) ?
					   dbops_percent(sizes->index_hit, sizes->index_fetched) : NAN);
	dbops_json_time(json, "since",
					stands(health, PART_COUNTERS) ? health->counters.since : 0);
	dbops_json_object_end(json);
}

static void
put_health(DbopsJson *json, const Health *health)
{
	const Ages *ages = &health->ages;

	dbops_json_object(json, "health");
	if (stands(health, PART_REPLICATION))
		put_replication(json, &health->replication);
	if (stands(health, PART_COUNTERS))
		dbops_json_integer(json, "deadlocks", health->counters.deadlocks);
	if (stands(health, PART_SESSIONS))
	{
		dbops_json_integer(json, "lock_waits", health->sessions.lock_waits);
		put_transaction(json, &health->sessions.oldest);
	}
	if (stands(health, PART_AGES))
	{
		put_age(json, "xid", ages->xid_age, ages->xid_freeze_age,
				ages->xid_warn_age, ages->xid_stop_age);
		put_age(json, "multixact", ages->multixact_age, ages->multixact_freeze_age,
				ages->multixact_warn_age, ages->multixact_stop_age);
	}
	dbops_json_object_end(json);
}

static void
put_replication(DbopsJson *json, const Replication *replication)
{
	dbops_json_decimal(json, "replication_lag_s", replication->lag);
	if (replication->lag_bytes >= 0)
		dbops_json_integer(json, "replication_lag_bytes", replication->lag_bytes);
	else
		dbops_json_null(json, "replication_lag_bytes");
	dbops_json_integer(json, "standbys", replication->standbys);
}

static void
put_transaction(DbopsJson *json, const Transaction *oldest)
{
	if (oldest->pid == 0)
	{
		dbops_json_null(json, "oldest_transaction");
		return;
	}
	dbops_json_object(json, "oldest_transaction");
	dbops_json_decimal(json, "age_s", oldest->age);
	dbops_json_integer(json, "pid", oldest->pid);
	dbops_json_object_end(json);
}

static void
put_age(DbopsJson *json, const char *key, int64 age, int64 freeze_age,
		int64 warn_age, int64 stop_age)
{
	dbops_json_object(json, key);
	dbops_json_integer(json, "age", age);
	dbops_json_integer(json, "freeze_max_age", freeze_age);
	dbops_json_integer(json, "warn_age", warn_age);
	dbops_json_integer(json, "stop_age", stop_age);
	dbops_json_decimal(json, "used_percent", dbops_percent(age, stop_age));
	dbops_json_object_end(json);
}

static void
put_storage(DbopsJson *json, const Health *health)
{
	const Sizes *sizes = &health->sizes;
	const Disk *wal;

	dbops_json_object(json, "storage");
	if (stands(health, PART_SIZES) && sizes->measured_at != 0)
	{
		dbops_json_integer(json, "database_size", sizes->database);
		put_largest_tables(json, sizes);
	}
	else
	{
		dbops_json_null(json, "database_size");
		dbops_json_null(json, "largest_tables");
	}
	if (stands(health, PART_DISKS))
	{
		wal = linitial(health->disks.list);
		put_disk(json, "wal", wal);
		dbops_json_array(json, "tablespaces");
		for (int i = 1; i < list_length(health->disks.list); i++)
			put_disk(json, NULL, list_nth(health->disks.list, i));
		dbops_json_array_end(json);
	}
	dbops_json_object_end(json);
}

/* Names are those of now; a table that was dropped since is left out. */
static void
put_largest_tables(DbopsJson *json, const Sizes *sizes)
{
	dbops_json_array(json, "largest_tables");
	for (int i = 0; i < sizes->n_largest; i++)
	{
		Oid			relid = sizes->largest[i].relid;
		char	   *schema = get_namespace_name(get_rel_namespace(relid));
		char	   *name = get_rel_name(relid);

		if (schema == NULL || name == NULL)
			continue;
		dbops_json_object(json, NULL);
		dbops_json_text(json, "name", quote_qualified_identifier(schema, name));
		dbops_json_integer(json, "bytes", sizes->largest[i].bytes);
		dbops_json_object_end(json);
	}
	dbops_json_array_end(json);
}

static void
put_disk(DbopsJson *json, const char *key, const Disk *disk)
{
	dbops_json_object(json, key);
	if (disk->tablespace != NULL)
		dbops_json_text(json, "name", disk->tablespace);
	if (disk->total > 0)
	{
		dbops_json_integer(json, "total_bytes", disk->total);
		dbops_json_integer(json, "used_bytes", disk->used);
		dbops_json_integer(json, "free_bytes", disk->free);
	}
	else
		dbops_json_null(json, "free_bytes");
	dbops_json_decimal(json, "free_percent", dbops_disk_free_percent(disk));
	dbops_json_text(json, "same_device_as", disk->same_as);
	dbops_json_object_end(json);
}

static void
put_server(DbopsJson *json)
{
	dbops_json_object(json, "server");
	dbops_json_text(json, "version", PG_VERSION);
	dbops_json_text(json, "dbops", DBOPS_VERSION);
	dbops_json_text(json, "role", RecoveryInProgress() ? "standby" : "primary");
	dbops_json_text(json, "database", get_database_name(MyDatabaseId));
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

/* How old is what was not looked at just now. */
static void
put_freshness(DbopsJson *json, const Health *health)
{
	double		age = stands(health, PART_SIZES) ? dbops_sizes_age(&health->sizes) : NAN;

	dbops_json_object(json, "freshness");
	dbops_json_text(json, "collector", "none");
	dbops_json_decimal(json, "size_age_s", age);
	dbops_json_decimal(json, "largest_tables_age_s", age);
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
	dbops_json_object_end(json);
}

/* Hundredths of 1024², rounded half up as numeric is. */
static int64
megabytes_hundredths(int64 bytes)
{
	return (bytes * 100 + 512 * 1024) / (1024 * 1024);
}
