/*
 * health_checks.c
 *		What is judged of the figures that the health document shows.
 *
 * The thresholds are those of the guides whose functions and alerts applications
 * had before, and where these say nothing, those on which the usual tools agree;
 * their names stand beside them. What could not be looked at is unknown, never
 * ok.
 */
#include "observe/observe.h"

static const DbopsCheck checks[] = {
	{
		.name = "archiver.failing",
		.about = "for how long archiving WAL has failed",
		.judge = dbops_judge_archiver,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "s", .warning = 0, .critical = SECS_PER_HOUR,
			.source = "pgmonitor, pganalyze"
		}
	},
	{
		.name = "connections.active",
		.about = "sessions of clients that run a statement",
		.judge = dbops_judge_active,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "count", .warning = 50, .critical = NO_THRESHOLD,
			.duration = SECS_PER_MINUTE, .clear = 10, .source = "guide 000, pgFirstAid"
		}
	},
	{
		.name = "connections.idle_in_transaction",
		.about = "for how long a session has idled in a transaction that holds something",
		.judge = dbops_judge_idle_in_transaction,
		.before_change = true,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "s", .warning = 5 * SECS_PER_MINUTE, .critical = 30 * SECS_PER_MINUTE,
			.source = "pgmonitor, the advisor of RDS"
		}
	},
	{
		.name = "connections.used",
		.about = "share of the connections that ordinary roles may open",
		.judge = dbops_judge_connections,
		.before_change = true,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "percent", .warning = 80, .critical = 95,
			.duration = 2 * SECS_PER_MINUTE, .clear = 5, .source = "guide 002, check_postgres"
		}
	},
	{
		.name = "connections.waiting",
		.about = "sessions of clients that wait for a lock",
		.judge = dbops_judge_waiting,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "count", .warning = 5, .critical = 10,
			.duration = 30, .clear = 20, .source = "guide 002, temBoard"
		}
	},
	{
		.name = "database.size",
		.about = "what the database holds",
		.judge = dbops_judge_size,
		.advice = true,
		.threshold = {
			.unit = "bytes", .warning = NO_THRESHOLD, .critical = NO_THRESHOLD, .source = "none is good or bad as such"
		}
	},
	{
		.name = "disk.free",
		.about = "share of a file system that the server may still use",
		.judge = dbops_judge_disks,
		.before_change = true,
		.required = true,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "percent", .below = true, .warning = 20, .critical = 5,
			.guard = PLENTY_FREE, .guard_unit = "bytes", .guards_critical = true,
			.clear = 10, .source = "guide 002, check_postgres; the guard: pganalyze"
		}
	},
	{
		.name = "extension.pgstattuple",
		.about = "whether the extension is missing that measures bloat exactly",
		.judge = dbops_judge_pgstattuple,
		.advice = true,
		.threshold = {
			.unit = "count", .warning = NO_THRESHOLD, .critical = NO_THRESHOLD, .source = "none"
		}
	},
	{
		.name = "locks.waiting",
		.about = "processes that have waited for a lock for more than a minute",
		.judge = dbops_judge_lock_waits,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "count", .warning = 0, .critical = 4, .source = "check_postgres, pganalyze"
		}
	},
	{
		.name = "replication.lag",
		.about = "for how long the standby that is furthest behind has had something to replay",
		.judge = dbops_judge_replication_lag,
		.before_change = true,
		.reach = DBOPS_REACH_CLUSTER,
		.settling = true,
		.threshold = {
			.unit = "s", .warning = 30, .critical = 60,
			.duration = 30, .clear = 20, .source = "guide 002"
		}
	},
	{
		.name = "replication.lag_bytes",
		.about = "WAL that the standby that is furthest behind has yet to replay",
		.judge = dbops_judge_replication_lag_bytes,
		.reach = DBOPS_REACH_CLUSTER,
		.settling = true,
		.threshold = {
			.unit = "bytes", .warning = 100 * MB, .critical = GB,
			.duration = SECS_PER_MINUTE, .clear = 20, .source = "pganalyze, pgmonitor"
		}
	},
	{
		.name = "replication.slots",
		.about = "WAL that a slot retains, of what max_slot_wal_keep_size allows it",
		.judge = dbops_judge_slots,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "percent", .warning = 50, .critical = 80, .clear = 10, .source = "check_pgactivity, pgmonitor"
		}
	},
	{
		.name = "replication.slots_disk",
		.about = "WAL that a slot without a limit retains, of the room that WAL may still take",
		.judge = dbops_judge_slots_disk,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "percent", .warning = 20, .critical = 50, .clear = 10, .source = "check_pgactivity, pgmonitor"
		}
	},
	{
		.name = "statements.slow",
		.about = "statements with a mean time above dbops.slow_query_time",
		.judge = dbops_judge_slow_statements,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "count", .warning = 5, .critical = NO_THRESHOLD, .source = "guide 000"
		}
	},
	{
		.name = "transactions.oldest",
		.about = "for how long a transaction has kept vacuum from removing rows",
		.judge = dbops_judge_oldest_transaction,
		.before_change = true,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "s", .warning = SECS_PER_HOUR, .critical = SECS_PER_DAY, .source = "pganalyze"
		}
	},
	{
		.name = "transactions.prepared",
		.about = "for how long a transaction has been prepared",
		.judge = dbops_judge_prepared,
		.before_change = true,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "s", .warning = 5 * SECS_PER_MINUTE, .critical = SECS_PER_HOUR, .source = "check_pgactivity"
		}
	},
	{
		.name = "wraparound.multixact",
		.about = "age of the oldest multixact id, of the age at which the server stops",
		.judge = dbops_judge_multixact_age,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "percent", .warning = 50, .critical = 80, .source = "pganalyze, pgmonitor"
		}
	},
	{
		.name = "wraparound.multixact_forced",
		.about = "age of the oldest multixact id, of the age at which vacuum is forced",
		.judge = dbops_judge_multixact_forced,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "percent", .warning = 110, .critical = NO_THRESHOLD,
			.duration = 30 * SECS_PER_MINUTE, .source = "pgmonitor"
		}
	},
	{
		.name = "wraparound.xid",
		.about = "age of the oldest transaction id, of the age at which the server stops",
		.judge = dbops_judge_xid_age,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "percent", .warning = 50, .critical = 80, .source = "pganalyze, pgmonitor"
		}
	},
	{
		.name = "wraparound.xid_forced",
		.about = "age of the oldest transaction id, of the age at which vacuum is forced",
		.judge = dbops_judge_xid_forced,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "percent", .warning = 110, .critical = NO_THRESHOLD,
			.duration = 30 * SECS_PER_MINUTE, .source = "pgmonitor"
		}
	}
};

const DbopsCheckSet dbops_health_checks_set = {
	.look = dbops_health_look,
	.checks = checks,
	.n_checks = lengthof(checks),
	.reach = DBOPS_REACH_CLUSTER,
	.shown = true
};

/* Give the facts; a check that needs a part that failed fails alike. */
const Health *
dbops_health_require(const void *facts, HealthPart part)
{
	const Health *health = facts;

	if (health->errors[part] != NULL)
		ReThrowError(health->errors[part]);
	return health;
}
