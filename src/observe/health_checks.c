/*
 * health_checks.c
 *		What is judged about this server, and from which figure on.
 *
 * A threshold needs something to act on: shares go with absolute amounts, an
 * open transaction counts when it holds something, and a figure since the last
 * reset never is more than a warning, since it cannot tell what goes on now.
 * What could not be looked at is unknown, never ok.
 *
 * Three checks follow the function that applications had before: more than 50
 * active sessions, more than 10 slow statements, a hit ratio below 95 percent.
 * The other thresholds are those on which the usual tools agree; their names
 * stand beside them.
 */
#include "observe/observe.h"

#include <math.h>

#include "access/xlog.h"
#include "commands/dbcommands.h"
#include "utils/builtins.h"

#define NONE		INFINITY	/* no such threshold */
#define MINUTE		60.0
#define HOUR		(60 * MINUTE)
#define DAY			(24 * HOUR)
#define MB			(1024.0 * 1024)
#define GB			(1024 * MB)

static void judge_active(const void *facts, DbopsCheckRun *run);
static void judge_connections(const void *facts, DbopsCheckRun *run);
static void judge_idle_in_transaction(const void *facts, DbopsCheckRun *run);
static void judge_lock_waits(const void *facts, DbopsCheckRun *run);
static void judge_oldest_transaction(const void *facts, DbopsCheckRun *run);
static void judge_prepared(const void *facts, DbopsCheckRun *run);
static void judge_slow_statements(const void *facts, DbopsCheckRun *run);
static void judge_hit_ratio(const void *facts, DbopsCheckRun *run);
static void judge_deadlocks(const void *facts, DbopsCheckRun *run);
static void judge_xid_age(const void *facts, DbopsCheckRun *run);
static void judge_multixact_age(const void *facts, DbopsCheckRun *run);
static void judge_replication_lag(const void *facts, DbopsCheckRun *run);
static void judge_slots(const void *facts, DbopsCheckRun *run);
static void judge_archiver(const void *facts, DbopsCheckRun *run);
static void judge_disks(const void *facts, DbopsCheckRun *run);
static void judge_size(const void *facts, DbopsCheckRun *run);
static void judge_pgstattuple(const void *facts, DbopsCheckRun *run);

static const DbopsCheck checks[] = {
	{"archiver.failing", judge_archiver},
	{"cache.hit_ratio", judge_hit_ratio},
	{"connections.active", judge_active},
	{"connections.idle_in_transaction", judge_idle_in_transaction},
	{"connections.used", judge_connections},
	{"database.deadlocks", judge_deadlocks},
	{"database.size", judge_size},
	{"disk.free", judge_disks},
	{"extension.pgstattuple", judge_pgstattuple},
	{"locks.waiting", judge_lock_waits},
	{"replication.lag", judge_replication_lag},
	{"replication.slots", judge_slots},
	{"statements.slow", judge_slow_statements},
	{"transactions.oldest", judge_oldest_transaction},
	{"transactions.prepared", judge_prepared},
	{"wraparound.multixact", judge_multixact_age},
	{"wraparound.xid", judge_xid_age}
};

const DbopsCheckSet dbops_health_checks_set = {
	.look = dbops_health_look,
	.checks = checks,
	.n_checks = lengthof(checks)
};

static const Health *require(const void *facts, HealthPart part);
static void report_above(DbopsCheckRun *run, double value, double warning,
						 double critical, DbopsFinding finding);
static void report_unknown(DbopsCheckRun *run, const char *object,
						   const char *message, const char *remedy);
static void judge_slot(const Slot *slot, int64 wal_free, DbopsCheckRun *run);
static void judge_disk(const Disk *disk, DbopsCheckRun *run);
static Jsonb *figures(double value, double warning, double critical);
static void put_figure(DbopsJson *json, const char *key, double figure);
static const char *duration(double seconds);
static const char *size(double bytes);

/* ---- sessions and what they hold ---- */

static void
judge_active(const void *facts, DbopsCheckRun *run)
{
	const Sessions *sessions = &require(facts, PART_SESSIONS)->sessions;

	if (sessions->untracked > 0 && sessions->active <= 50)
		report_unknown(run, NULL,
					   psprintf(ngettext("%d session hides whether it is active",
											  "%d sessions hide whether they are active",
											  sessions->untracked), sessions->untracked),
					   "ALTER SYSTEM SET track_activities = on; SELECT pg_reload_conf();");
	else
		report_above(run, sessions->active, 50, NONE, (DbopsFinding)
					 {
						 .message = psprintf(ngettext("%d session is active", "%d sessions are active",
												  sessions->active), sessions->active),
						 .remedy = "See in pg_stat_activity what they run; a connection pool keeps their number down."
					 });
}

/* 80 and 95 percent: postgres_exporter's rules, check_postgres. */
static void
judge_connections(const void *facts, DbopsCheckRun *run)
{
	const Sessions *sessions = &require(facts, PART_SESSIONS)->sessions;

	report_above(run, dbops_percent(sessions->clients, sessions->usable), 80, 95, (DbopsFinding)
				 {
					 .message = psprintf("%d of %d connections are in use",
										 sessions->clients, sessions->usable),
					 .remedy = "Use a connection pool, or raise max_connections and restart."
				 });
}

/* 300 s: pgmonitor, the RDS advisor's 1800 s. */
static void
judge_idle_in_transaction(const void *facts, DbopsCheckRun *run)
{
	const Transaction *oldest = &require(facts, PART_SESSIONS)->sessions.oldest_idle;

	report_above(run, oldest->age, 5 * MINUTE, 30 * MINUTE, (DbopsFinding)
				 {
					 .message = oldest->pid == 0 ? "no session idles in a transaction that holds anything" :
						 psprintf("process %d has idled for %s in a transaction that holds locks or a snapshot",
								  oldest->pid, duration(oldest->age)),
					 .remedy = psprintf("SELECT pg_terminate_backend(%d);", oldest->pid)
				 });
}

/* One for a minute, five for a minute: check_postgres, pganalyze. */
static void
judge_lock_waits(const void *facts, DbopsCheckRun *run)
{
	const Sessions *sessions = &require(facts, PART_SESSIONS)->sessions;

	report_above(run, sessions->long_lock_waits, 0, 4, (DbopsFinding)
				 {
					 .message = sessions->lock_waits == 0 ? "no process waits for a lock" :
						 psprintf("of %d that wait for a lock, %d have for more than %d s, the longest for %s",
								  sessions->lock_waits, sessions->long_lock_waits,
								  LONG_LOCK_WAIT, duration(sessions->longest_lock_wait)),
					 .remedy = "SELECT pid, pg_blocking_pids(pid), query FROM pg_stat_activity WHERE wait_event_type = 'Lock';"
				 });
}

/* An hour and a day: pganalyze's xmin horizon. */
static void
judge_oldest_transaction(const void *facts, DbopsCheckRun *run)
{
	const Transaction *oldest = &require(facts, PART_SESSIONS)->sessions.oldest_horizon;

	report_above(run, oldest->age, HOUR, DAY, (DbopsFinding)
				 {
					 .message = oldest->pid == 0 ? "no transaction keeps vacuum from removing rows" :
						 psprintf("the transaction of process %d has kept vacuum from removing rows for %s",
								  oldest->pid, duration(oldest->age)),
					 .remedy = psprintf("SELECT pg_cancel_backend(%d);", oldest->pid)
				 });
}

/* Five minutes: check_pgactivity. */
static void
judge_prepared(const void *facts, DbopsCheckRun *run)
{
	const Sessions *sessions = &require(facts, PART_SESSIONS)->sessions;

	report_above(run, sessions->oldest_prepared, 5 * MINUTE, HOUR, (DbopsFinding)
				 {
					 .message = sessions->prepared == 0 ? "no transaction is prepared" :
						 psprintf("of %d prepared, the oldest transaction, %s, has been for %s",
								  sessions->prepared, sessions->oldest_prepared_gid,
								  duration(sessions->oldest_prepared)),
					 .remedy = sessions->prepared == 0 ? NULL :
						 psprintf("COMMIT PREPARED %s; or ROLLBACK PREPARED, in its database",
								  quote_literal_cstr(sessions->oldest_prepared_gid))
				 });
}

/* ---- statements and counters ---- */

static void
judge_slow_statements(const void *facts, DbopsCheckRun *run)
{
	const Statements *statements = &require(facts, PART_STATEMENTS)->statements;

	switch (statements->state)
	{
		case STATEMENTS_READ:
			report_above(run, statements->slow, 10, NONE, (DbopsFinding)
						 {
							 .message = psprintf(ngettext(INT64_FORMAT " statement takes more than 1 s on average",
														  INT64_FORMAT " statements take more than 1 s on average",
														  statements->slow), statements->slow),
							 .remedy = "SELECT * FROM pg_stat_statements WHERE mean_exec_time > 1000 ORDER BY total_exec_time DESC;"
						 });
			break;
		case STATEMENTS_MISSING:
			report_unknown(run, NULL, "pg_stat_statements is not installed in this database",
						   "Add pg_stat_statements to shared_preload_libraries, restart, then CREATE EXTENSION pg_stat_statements;");
			break;
		case STATEMENTS_NOT_LOADED:
			report_unknown(run, NULL, "pg_stat_statements is installed but not preloaded",
						   "Add pg_stat_statements to shared_preload_libraries and restart.");
			break;
		case STATEMENTS_TOO_OLD:
			report_unknown(run, NULL, "the installed version of pg_stat_statements is too old",
						   "ALTER EXTENSION pg_stat_statements UPDATE;");
			break;
		case STATEMENTS_DENIED:
			report_unknown(run, NULL, "permission denied for the function of pg_stat_statements",
						   "GRANT EXECUTE ON FUNCTION pg_stat_statements(boolean) to this role.");
			break;
		case STATEMENTS_OFF:
			report_unknown(run, NULL, "pg_stat_statements is told to track nothing",
						   "Set pg_stat_statements.track to top and compute_query_id to auto.");
			break;
	}
}

static void
judge_hit_ratio(const void *facts, DbopsCheckRun *run)
{
	const Counters *counters = &require(facts, PART_COUNTERS)->counters;
	double		ratio = dbops_hit_ratio(counters);
	bool		low = ratio < 95;

	if (isnan(ratio))
	{
		report_unknown(run, NULL, "no block has been read since the statistics' reset", NULL);
		return;
	}
	dbops_check_report(run, (DbopsFinding)
					   {
						   .severity = low ? DBOPS_WARNING : DBOPS_OK,
						   .message = psprintf("%.2f percent of the blocks read were in shared buffers, since the statistics' reset", ratio),
						   .remedy = low ? "Raise shared_buffers, or find the statements that read the most in pg_stat_statements (shared_blks_read)." : NULL,
						   .data = figures(ratio, 95, NONE)
					   });
}

/* A count since the reset cannot say that anything is wrong now. */
static void
judge_deadlocks(const void *facts, DbopsCheckRun *run)
{
	const Counters *counters = &require(facts, PART_COUNTERS)->counters;

	dbops_check_report(run, (DbopsFinding)
					   {
						   .severity = counters->deadlocks > 0 ? DBOPS_INFO : DBOPS_OK,
						   .message = psprintf(ngettext(INT64_FORMAT " deadlock since the statistics' reset",
														INT64_FORMAT " deadlocks since the statistics' reset",
														counters->deadlocks), counters->deadlocks),
						   .remedy = counters->deadlocks > 0 ? "The server's log names the statements of each." : NULL,
						   .data = figures(counters->deadlocks, NONE, NONE)
					   });
}

/* Vacuum is forced at the freeze age and has a tenth more to get it done. */
static void
judge_xid_age(const void *facts, DbopsCheckRun *run)
{
	const Ages *ages = &require(facts, PART_AGES)->ages;
	const char *database = get_database_name(ages->xid_database);

	report_above(run, ages->xid_age, ages->xid_freeze_age * 1.1, ages->xid_warn_age, (DbopsFinding)
				 {
					 .message = psprintf("the oldest transaction id, in database %s, is " INT64_FORMAT " ids old; vacuum is forced at "
										 INT64_FORMAT ", the server stops at " INT64_FORMAT,
										 database == NULL ? "?" : quote_identifier(database),
										 ages->xid_age, ages->xid_freeze_age, ages->xid_stop_age),
					 .remedy = "End old and prepared transactions, drop unused replication slots, then VACUUM the tables with the oldest relfrozenxid in that database."
				 });
}

static void
judge_multixact_age(const void *facts, DbopsCheckRun *run)
{
	const Ages *ages = &require(facts, PART_AGES)->ages;
	double		warning = ages->multixact_members_low ? 0 : ages->multixact_freeze_age * 1.1;

	report_above(run, ages->multixact_age, warning, ages->multixact_warn_age, (DbopsFinding)
				 {
					 .message = psprintf("the oldest multixact id is " INT64_FORMAT " ids old; vacuum is forced at " INT64_FORMAT
										 ", the server stops at " INT64_FORMAT "%s",
										 ages->multixact_age, ages->multixact_freeze_age, ages->multixact_stop_age,
										 ages->multixact_members_low ? "; the space of their members is more than half used" : ""),
					 .remedy = "End old and prepared transactions, then VACUUM the tables with the oldest relminmxid."
				 });
}

/* ---- the server and its surroundings ---- */

/*
 * 16 MB and 30 s, 1 GB and 300 s: CloudNativePG, pgmonitor, pganalyze. Both
 * must be exceeded; but who is 1 GB behind is late whatever the time says,
 * since a standby that is stuck stops reporting it.
 */
static void
judge_replication_lag(const void *facts, DbopsCheckRun *run)
{
	const Replication *replication = &require(facts, PART_REPLICATION)->replication;
	double		bytes = replication->lag_bytes;
	double		lag = replication->lag;

	if (replication->standby && !replication->receiving)
		dbops_check_report(run, (DbopsFinding)
						   {
							   .severity = replication->should_receive ? DBOPS_WARNING : DBOPS_UNKNOWN,
							   .message = "this standby receives no WAL, so that its lag cannot be told",
							   .remedy = "See the server's log for why primary_conninfo does not connect."
						   });
	else if (bytes < 0)
		dbops_check_report(run, (DbopsFinding) {.message = "nothing replicates from this server"});
	else if (isnan(lag) && bytes >= 16 * MB && bytes < GB)
		report_unknown(run, NULL, psprintf("%s of WAL is yet to be replayed, since when is not known", size(bytes)), NULL);
	else
		report_above(run, (bytes >= GB && lag >= 300) ? 2 : (bytes >= GB || (bytes >= 16 * MB && lag >= 30)),
					 0, 1, (DbopsFinding)
					 {
						 .message = psprintf("%s is %s behind%s",
											 replication->standby ? "this standby" : "the last standby",
											 size(bytes), isnan(lag) ? "" : psprintf(", %s", duration(lag))),
						 .remedy = "See pg_stat_replication, and on the standby what replay waits for.",
						 .data = figures(bytes, 16 * MB, GB)
					 });
}

static void
judge_slots(const void *facts, DbopsCheckRun *run)
{
	const Health *health = require(facts, PART_REPLICATION);
	const Disk *wal = linitial(require(facts, PART_DISKS)->disks.list);
	ListCell   *cell;

	if (health->replication.slots == NIL)
		dbops_check_report(run, (DbopsFinding) {.message = "there are no replication slots"});
	foreach(cell, health->replication.slots)
		judge_slot(lfirst(cell), wal->free, run);
}

/*
 * Half and four fifths of max_slot_wal_keep_size; without one, a fifth and a
 * half of what is free: check_pgactivity, pgmonitor.
 */
static void
judge_slot(const Slot *slot, int64 wal_free, DbopsCheckRun *run)
{
	const char *name = quote_identifier(pstrdup(NameStr(slot->name)));
	const char *remedy = psprintf("Bring its consumer back, or SELECT pg_drop_replication_slot(%s);",
								  quote_literal_cstr(NameStr(slot->name)));
	double		limit = max_slot_wal_keep_size_mb * MB;

	if (slot->lost)
		dbops_check_report(run, (DbopsFinding)
						   {
							   .severity = DBOPS_CRITICAL,
							   .object = name,
							   .message = "the slot was invalidated: WAL or rows that its consumer needs are gone",
							   .remedy = psprintf("Rebuild its consumer, and SELECT pg_drop_replication_slot(%s);",
												  quote_literal_cstr(NameStr(slot->name)))
						   });
	else if (limit < 0 && wal_free == 0)
		report_unknown(run, name, psprintf("the slot retains %s; how much WAL may grow is not known",
										   size(slot->retained)), NULL);
	else
		report_above(run, slot->retained,
					 limit >= 0 ? limit * 0.5 : wal_free * 0.2,
					 limit >= 0 ? limit * 0.8 : wal_free * 0.5, (DbopsFinding)
					 {
						 .object = name,
						 .message = psprintf("the slot retains %s of WAL%s", size(slot->retained),
											 slot->active ? "" : " and is not in use"),
						 .remedy = remedy
					 });
}

/* Failing is what the last attempt did; an hour of it: pgmonitor, pganalyze. */
static void
judge_archiver(const void *facts, DbopsCheckRun *run)
{
	const Archiver *archiver = &require(facts, PART_ARCHIVER)->archiver;
	bool		failing = archiver->last_failure > archiver->last_success;
	TimestampTz worked = archiver->last_success != 0 ? archiver->last_success : archiver->since;
	double		since = (dbops_clock_now() - worked) / (double) USECS_PER_SEC;

	if (!archiver->on)
		dbops_check_report(run, (DbopsFinding) {.message = "WAL is not archived: archive_mode is off here"});
	else if (!archiver->configured)
		dbops_check_report(run, (DbopsFinding)
						   {
							   .severity = DBOPS_WARNING,
							   .message = "archive_mode is on, but WAL is kept because nothing archives it",
							   .remedy = "Set archive_command or archive_library."
						   });
	else if (failing)
		report_above(run, since, 0, HOUR, (DbopsFinding)
					 {
						 .message = psprintf("the last attempt to archive WAL failed; nothing was archived for %s", duration(since)),
						 .remedy = "See the server's log for what archive_command or archive_library says."
					 });
	else
		dbops_check_report(run, (DbopsFinding) {.message = "the last attempt to archive WAL succeeded, or none was made"});
}

static void
judge_disks(const void *facts, DbopsCheckRun *run)
{
	ListCell   *cell;

	foreach(cell, require(facts, PART_DISKS)->disks.list)
		judge_disk(lfirst(cell), run);
}

/* 15 and 5 percent, unless 50 GB are free: pganalyze, check_postgres. */
static void
judge_disk(const Disk *disk, DbopsCheckRun *run)
{
	double		percent = dbops_disk_free_percent(disk);
	bool		plenty = (disk->free >= 50 * GB);
	DbopsSeverity severity = (percent < 5 && !plenty) ? DBOPS_CRITICAL :
		(percent < 15 && !plenty) ? DBOPS_WARNING : DBOPS_OK;

	if (isnan(percent))
		report_unknown(run, disk->name, "its file system does not tell how much is free", NULL);
	else
		dbops_check_report(run, (DbopsFinding)
						   {
							   .severity = severity,
							   .object = disk->name,
							   .message = psprintf("%s free, %.2f percent%s", size(disk->free), percent,
												   disk->same_as == NULL ? "" : psprintf(", on the same device as %s", disk->same_as)),
							   .remedy = severity == DBOPS_OK ? NULL : "Make room before it is full: a server without room for WAL stops.",
							   .data = figures(percent, 15, 5)
						   });
}

/* No size is good or bad as such, but a missing one must be seen. */
static void
judge_size(const void *facts, DbopsCheckRun *run)
{
	const Sizes *sizes = &require(facts, PART_SIZES)->sizes;

	if (sizes->measured_at == 0)
		report_unknown(run, NULL, "the database is still being measured",
					   "Call again, or SET dbops.size_max_age = 0 once, which waits for the measurement.");
	else
		dbops_check_report(run, (DbopsFinding)
						   {
							   .message = psprintf("the database holds %s", size(sizes->database)),
							   .data = figures(sizes->database, NONE, NONE)
						   });
}

static void
judge_pgstattuple(const void *facts, DbopsCheckRun *run)
{
	if (OidIsValid(dbops_extension_find("pgstattuple").oid))
		dbops_check_report(run, (DbopsFinding) {.message = "pgstattuple is installed"});
	else
		report_unknown(run, NULL, "pgstattuple is not installed, so that bloat cannot be measured exactly",
					   "CREATE EXTENSION pgstattuple;");
}

/* ---- what the checks share ---- */

/* Give the facts; a check that needs a part that failed fails alike. */
static const Health *
require(const void *facts, HealthPart part)
{
	const Health *health = facts;

	if (health->errors[part] != NULL)
		ReThrowError(health->errors[part]);
	return health;
}

/* Report a figure that should not be above its thresholds. */
static void
report_above(DbopsCheckRun *run, double value, double warning, double critical,
			 DbopsFinding finding)
{
	finding.severity = (value > critical) ? DBOPS_CRITICAL :
		(value > warning) ? DBOPS_WARNING : DBOPS_OK;
	if (finding.severity == DBOPS_OK)
		finding.remedy = NULL;
	if (finding.data == NULL)
		finding.data = figures(value, warning, critical);
	dbops_check_report(run, finding);
}

static void
report_unknown(DbopsCheckRun *run, const char *object, const char *message,
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

static Jsonb *
figures(double value, double warning, double critical)
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
	if (figure == NONE)
		return;
	if (figure == floor(figure))
		dbops_json_integer(json, key, (int64) figure);
	else
		dbops_json_decimal(json, key, figure);
}

static const char *
duration(double seconds)
{
	if (seconds < 2 * MINUTE)
		return psprintf("%.0f s", seconds);
	if (seconds < 2 * HOUR)
		return psprintf("%.0f min", seconds / MINUTE);
	if (seconds < 2 * DAY)
		return psprintf("%.1f h", seconds / HOUR);
	return psprintf("%.1f days", seconds / DAY);
}

static const char *
size(double bytes)
{
	return TextDatumGetCString(DirectFunctionCall1(pg_size_pretty,
												   Int64GetDatum((int64) bytes)));
}
