/*
 * checks_rates.c
 *		Checks of what has happened lately, told from the memory of the last hour.
 *
 * What the server has counted since its statistics' reset says nothing of now.
 * So two samples are compared; without any, these checks are unknown for a
 * reason that they share, and collector.samples says it for all of them. Few
 * events are no ratio: then the guard lets them pass.
 */
#include "observe/checks.h"
#include "observe/metric.h"

#include "access/xlog.h"
#include "postmaster/bgwriter.h"

#define TWO_MINUTES		120		/* s, of what is supplied once a minute, or goes on */
#define LEAST_OF_HOUR	1200	/* s that must be known to tell a trend */

/* What was compared; a window of 0 s is none. */
typedef struct Facts
{
	CollectorState collector;
	SampleWindow cluster_minutes;
	SampleWindow cluster;		/* lately */
	SampleWindow cluster_hour;
	SampleWindow two_minutes;	/* of the database */
	SampleWindow database;		/* lately */
	SampleWindow hour;			/* of the database */
	Oid			database_oid;	/* or InvalidOid */
} Facts;

static const void *look(const DbopsCheckScope *scope);
static void judge_collector(const void *facts, DbopsCheckRun *run);
static void judge_deadlocks(const void *facts, DbopsCheckRun *run);
static void judge_conflicts(const void *facts, DbopsCheckRun *run);
static void judge_hit_ratio(const void *facts, DbopsCheckRun *run);
static void judge_index_hit_ratio(const void *facts, DbopsCheckRun *run);
static void judge_temp(const void *facts, DbopsCheckRun *run);
static void judge_rollbacks(const void *facts, DbopsCheckRun *run);
static void judge_abandoned(const void *facts, DbopsCheckRun *run);
static void judge_fatal(const void *facts, DbopsCheckRun *run);
static void judge_killed(const void *facts, DbopsCheckRun *run);
static void judge_churn(const void *facts, DbopsCheckRun *run);
static void judge_slow_calls(const void *facts, DbopsCheckRun *run);
static void judge_checkpoints_requested(const void *facts, DbopsCheckRun *run);
static void judge_checkpoint_time(const void *facts, DbopsCheckRun *run);
static void judge_backend_fsyncs(const void *facts, DbopsCheckRun *run);
static void judge_backend_writes(const void *facts, DbopsCheckRun *run);
static void judge_cleaning(const void *facts, DbopsCheckRun *run);
static void judge_wal_rate(const void *facts, DbopsCheckRun *run);
static void judge_full_page_images(const void *facts, DbopsCheckRun *run);
static void judge_wal_buffers(const void *facts, DbopsCheckRun *run);
static void judge_days_left(const void *facts, DbopsCheckRun *run);
static void judge_archive_failures(const void *facts, DbopsCheckRun *run);
static void report_hits(DbopsCheckRun *run, const SampleWindow *window, double hit, double asked,
						const char *what, const char *remedy);

static const DbopsCheck checks[] = {
	{
		.name = "archiver.failures",
		.about = "attempts to archive WAL that failed in the last two minutes",
		.judge = judge_archive_failures,
		.reach = DBOPS_REACH_CLUSTER,
		.settling = true,
		.threshold = {
			.unit = "count", .warning = 0, .critical = NO_THRESHOLD,
			.duration = 5 * SECS_PER_MINUTE, .source = "Percona's advisors, check_pgactivity"
		}
	},
	{
		.name = "buffers.backend_writes",
		.about = "share of the blocks written that sessions had to write themselves",
		.judge = judge_backend_writes,
		.advice = true,
		.reach = DBOPS_REACH_CLUSTER,
		.settling = true,
		.threshold = {
			.unit = "percent", .warning = 50, .critical = NO_THRESHOLD, .guard = 10000, .guard_unit = "blocks",
			.source = "postgresqltuner"
		}
	},
	{
		.name = "buffers.cleaning_stopped",
		.about = "how often the background writer stopped because it had written enough",
		.judge = judge_cleaning,
		.advice = true,
		.reach = DBOPS_REACH_CLUSTER,
		.settling = true,
		.threshold = {
			.unit = "1/h", .warning = 1000, .critical = NO_THRESHOLD, .source = "check_pgactivity, postgresqltuner"
		}
	},
	{
		.name = "cache.hit_ratio",
		.about = "share of the blocks asked for that were found in shared buffers",
		.judge = judge_hit_ratio,
		.reach = DBOPS_REACH_DATABASE,
		.settling = true,
		.threshold = {
			.unit = "percent", .below = true, .warning = 90, .critical = NO_THRESHOLD,
			.duration = 15 * SECS_PER_MINUTE, .clear = 1, .source = "guide 000, temBoard; of 10000 blocks at least"
		}
	},
	{
		.name = "cache.index_hit_ratio",
		.about = "share of the blocks of indexes asked for that were found in shared buffers",
		.judge = judge_index_hit_ratio,
		.reach = DBOPS_REACH_DATABASE,
		.settling = true,
		.threshold = {
			.unit = "percent", .below = true, .warning = 95, .critical = NO_THRESHOLD,
			.duration = 15 * SECS_PER_MINUTE, .clear = 1, .source = "guide 003; of 10000 blocks at least"
		}
	},
	{
		.name = "checkpoints.backend_fsyncs",
		.about = "files that sessions had to flush themselves in the last hour",
		.judge = judge_backend_fsyncs,
		.reach = DBOPS_REACH_CLUSTER,
		.settling = true,
		.threshold = {
			.unit = "1/h", .warning = 0, .critical = NO_THRESHOLD, .source = "postgresqltuner"
		}
	},
	{
		.name = "checkpoints.duration",
		.about = "mean time of a checkpoint, of the time that it is to be spread over",
		.judge = judge_checkpoint_time,
		.reach = DBOPS_REACH_CLUSTER,
		.settling = true,
		.threshold = {
			.unit = "percent", .warning = 120, .critical = NO_THRESHOLD, .guard = 2, .guard_unit = "checkpoints",
			.source = "pganalyze"
		}
	},
	/* Not critical, and of more than some: whoever creates a database or takes a backup requests them too. */
	{
		.name = "checkpoints.requested",
		.about = "share of the last hour's checkpoints that came before their time",
		.judge = judge_checkpoints_requested,
		.reach = DBOPS_REACH_CLUSTER,
		.settling = true,
		.threshold = {
			.unit = "percent", .warning = 50, .critical = NO_THRESHOLD, .guard = 5, .guard_unit = "checkpoints",
			.duration = 30 * SECS_PER_MINUTE, .source = "awesome-prometheus-alerts, check_postgres"
		}
	},
	{
		.name = "collector.samples",
		.about = "age of the newest sample that the launcher took",
		.judge = judge_collector,
		.required = true,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "s", .warning = 30, .critical = NO_THRESHOLD, .source = "three ticks"
		}
	},
	{
		.name = "connections.abandoned",
		.about = "sessions of the last hour whose clients went away",
		.judge = judge_abandoned,
		.reach = DBOPS_REACH_DATABASE,
		.settling = true,
		.threshold = {
			.unit = "1/h", .warning = 100, .critical = NO_THRESHOLD, .clear = 20, .source = "check_pgactivity"
		}
	},
	{
		.name = "connections.churn",
		.about = "sessions opened in a second",
		.judge = judge_churn,
		.advice = true,
		.reach = DBOPS_REACH_DATABASE,
		.settling = true,
		.threshold = {
			.unit = "1/s", .warning = 10, .critical = NO_THRESHOLD, .clear = 20, .source = "pg_exporter"
		}
	},
	{
		.name = "connections.fatal",
		.about = "sessions of the last hour that ended in a fatal error",
		.judge = judge_fatal,
		.reach = DBOPS_REACH_DATABASE,
		.settling = true,
		.threshold = {
			.unit = "1/h", .warning = 10, .critical = NO_THRESHOLD, .clear = 20, .source = "check_pgactivity"
		}
	},
	{
		.name = "connections.killed",
		.about = "sessions of the last hour that somebody ended",
		.judge = judge_killed,
		.reach = DBOPS_REACH_DATABASE,
		.settling = true,
		.threshold = {
			.unit = "1/h", .warning = 10, .critical = NO_THRESHOLD, .clear = 20, .source = "check_pgactivity"
		}
	},
	{
		.name = "database.deadlocks",
		.about = "deadlocks of the last hour",
		.judge = judge_deadlocks,
		.reach = DBOPS_REACH_DATABASE,
		.settling = true,
		.threshold = {
			.unit = "1/h", .warning = 5, .critical = NO_THRESHOLD, .source = "guide 002"
		}
	},
	{
		.name = "replication.conflicts",
		.about = "statements of the last hour that replay has cancelled",
		.judge = judge_conflicts,
		.reach = DBOPS_REACH_DATABASE,
		.settling = true,
		.threshold = {
			.unit = "1/h", .warning = 0, .critical = NO_THRESHOLD, .source = "check_postgres, pgwatch"
		}
	},
	{
		.name = "statements.slow_calls",
		.about = "calls in a minute of statements that take longer on average than dbops.slow_query_time",
		.judge = judge_slow_calls,
		.reach = DBOPS_REACH_DATABASE,
		.settling = true,
		.threshold = {
			.unit = "1/min", .warning = 100, .critical = NO_THRESHOLD, .clear = 20, .source = "guide 002"
		}
	},
	{
		.name = "temp.rate",
		.about = "bytes of temporary files written in a second",
		.judge = judge_temp,
		.reach = DBOPS_REACH_DATABASE,
		.settling = true,
		.threshold = {
			.unit = "bytes/s", .warning = 100 * MB, .critical = NO_THRESHOLD,
			.duration = 5 * SECS_PER_MINUTE, .clear = 20, .source = "temBoard, pganalyze"
		}
	},
	{
		.name = "transactions.rollbacks",
		.about = "share of the transactions that were rolled back",
		.judge = judge_rollbacks,
		.reach = DBOPS_REACH_DATABASE,
		.settling = true,
		.threshold = {
			.unit = "percent", .warning = 10, .critical = NO_THRESHOLD, .guard = 1000, .guard_unit = "transactions",
			.duration = 5 * SECS_PER_MINUTE, .clear = 20, .source = "temBoard, postgres_exporter"
		}
	},
	{
		.name = "wal.buffers_full",
		.about = "how often sessions had to write WAL because its buffers were full",
		.judge = judge_wal_buffers,
		.advice = true,
		.reach = DBOPS_REACH_CLUSTER,
		.settling = true,
		.threshold = {
			.unit = "1/h", .warning = 3600, .critical = NO_THRESHOLD, .source = "pg_profile"
		}
	},
	{
		.name = "wal.full_page_images",
		.about = "share of WAL that is whole pages, which checkpoints bring about",
		.judge = judge_full_page_images,
		.advice = true,
		.reach = DBOPS_REACH_CLUSTER,
		.settling = true,
		.threshold = {
			.unit = "percent", .warning = 50, .critical = NO_THRESHOLD, .guard = GB, .guard_unit = "bytes",
			.source = "pgwatch, pg_profile"
		}
	},
	{
		.name = "wal.rate",
		.about = "bytes of WAL written in a second",
		.judge = judge_wal_rate,
		.reach = DBOPS_REACH_CLUSTER,
		.settling = true,
		.threshold = {
			.unit = "bytes/s", .warning = NO_THRESHOLD, .critical = NO_THRESHOLD, .source = "what is much depends on the server"
		}
	},
	{
		.name = "wraparound.days_left",
		.about = "days until the server gives out no more transaction ids, at the rate of the last hour",
		.judge = judge_days_left,
		.reach = DBOPS_REACH_CLUSTER,
		.settling = true,
		.threshold = {
			.unit = "days", .below = true, .warning = 7, .critical = 2, .guard = 1000000000, .guard_unit = "ids left",
			.duration = 30 * SECS_PER_MINUTE, .source = "pgmonitor's prediction for disks"
		}
	}
};

const DbopsCheckSet dbops_rate_checks_set = {
	.look = look,
	.checks = checks,
	.n_checks = lengthof(checks),
	.reach = DBOPS_REACH_CLUSTER
};

static const void *
look(const DbopsCheckScope *scope)
{
	Facts	   *facts = palloc0(sizeof(Facts));

	dbops_collector_state(&facts->collector);
	(void) dbops_ring_window(InvalidOid, TWO_MINUTES, &facts->cluster_minutes);
	(void) dbops_ring_window(InvalidOid, DBOPS_LATELY, &facts->cluster);
	(void) dbops_ring_window(InvalidOid, DBOPS_AN_HOUR, &facts->cluster_hour);
	facts->database_oid = scope->database;
	if (OidIsValid(scope->database))
	{
		(void) dbops_ring_window(scope->database, TWO_MINUTES, &facts->two_minutes);
		(void) dbops_ring_window(scope->database, DBOPS_LATELY, &facts->database);
		(void) dbops_ring_window(scope->database, DBOPS_AN_HOUR, &facts->hour);
	}
	return facts;
}

static void
judge_collector(const void *facts, DbopsCheckRun *run)
{
	const CollectorState *collector = &((const Facts *) facts)->collector;

	if (!collector->preloaded)
		dbops_check_report_unknown(run, NULL, "nothing is sampled, so that what happens in a time is not known: dbops is not preloaded",
								   "Add dbops to shared_preload_libraries and restart.");
	else if (isnan(collector->age))
		dbops_check_report_unknown(run, NULL, "the launcher has not taken a sample yet",
								   "Look again in ten seconds; if it stays so, see the server's log, and SHOW dbops.collector;");
	else
		dbops_check_report_value(run, collector->age, NAN, (DbopsFinding)
								 {
									 .message = psprintf("the launcher took the last sample %s ago", dbops_figure_duration(collector->age)),
									 .remedy = "See the server's log for what became of the dbops launcher, and SHOW dbops.collector;"
								 });
}

static void
judge_deadlocks(const void *facts, DbopsCheckRun *run)
{
	dbops_window_report_events(run, &((const Facts *) facts)->hour, DM_DEADLOCKS, "deadlock", "deadlocks",
				  "Review queries causing deadlocks, optimize transaction scope: the server's log names the statements of each; lock rows and tables in the same order everywhere.");
}

static void
judge_conflicts(const void *facts, DbopsCheckRun *run)
{
	dbops_window_report_events(run, &((const Facts *) facts)->hour, DM_CONFLICTS, "statement was cancelled by replay", "statements were cancelled by replay",
				  "Set hot_standby_feedback = on, or a longer max_standby_streaming_delay.");
}

static void
judge_abandoned(const void *facts, DbopsCheckRun *run)
{
	dbops_window_report_events(run, &((const Facts *) facts)->hour, DM_SESSIONS_ABANDONED, "session was left by its client", "sessions were left by their clients",
				  "Have applications close their connections; see the network for what cuts them.");
}

static void
judge_fatal(const void *facts, DbopsCheckRun *run)
{
	dbops_window_report_events(run, &((const Facts *) facts)->hour, DM_SESSIONS_FATAL, "session ended in a fatal error", "sessions ended in a fatal error",
				  "See the server's log for FATAL.");
}

static void
judge_killed(const void *facts, DbopsCheckRun *run)
{
	dbops_window_report_events(run, &((const Facts *) facts)->hour, DM_SESSIONS_KILLED, "session was ended by somebody", "sessions were ended by somebody",
				  "See the server's log for who calls pg_terminate_backend().");
}

/* Where nothing is sampled it is the ratio that the document of health shows, since the statistics' reset. */
static void
judge_hit_ratio(const void *facts, DbopsCheckRun *run)
{
	const SampleWindow *window = &((const Facts *) facts)->database;
	const char *remedy = "Raise shared_buffers, or find the statements that read the most: SELECT * FROM dbops.slow_queries(order_by => 'cache');";
	double		hit = window->delta[DM_BLOCKS_HIT];
	double		asked = hit + window->delta[DM_BLOCKS_READ];
	Counters	counters = {0};

	if (window->seconds > 0 && isnan(asked))
		dbops_window_report(run, window, NAN, NAN, NULL, NULL);
	else if (window->seconds > 0)
		report_hits(run, window, hit, asked, "blocks", remedy);
	else
	{
		dbops_counters_read(((const Facts *) facts)->database_oid, &counters);
		report_hits(run, NULL, counters.blocks_hit, counters.blocks_fetched, "blocks", remedy);
	}
}

static void
judge_index_hit_ratio(const void *facts, DbopsCheckRun *run)
{
	const SampleWindow *window = &((const Facts *) facts)->hour;
	double		asked = window->delta[DM_INDEX_FETCHED];

	if (window->seconds == 0 || isnan(asked))
		dbops_window_report(run, window, NAN, NAN, NULL, NULL);
	else
		report_hits(run, window, window->delta[DM_INDEX_HIT], asked, "blocks of indexes",
					"Raise shared_buffers, rebuild bloated indexes, and drop those that nothing uses.");
}

/* Few are no ratio. Without a window it is since the statistics' reset. */
static void
report_hits(DbopsCheckRun *run, const SampleWindow *window, double hit, double asked, const char *what, const char *remedy)
{
	const double least = 10000;
	double		percent = dbops_figure_percent(hit, asked);
	const char *when = (window == NULL) ? "since the statistics' reset" : psprintf("in %s", dbops_figure_duration(window->seconds));
	DbopsFinding finding = {.remedy = remedy,.partial = (window == NULL || dbops_window_is_partial(window))};

	if (asked < least)
	{
		finding.message = psprintf("too few %s were asked for %s to tell a ratio: %.0f", what, when, asked);
		finding.remedy = NULL;
		dbops_check_report(run, finding);
		return;
	}
	finding.message = psprintf("%.2f percent of %.0f %s were in shared buffers, %s", percent, asked, what, when);
	dbops_check_report_value(run, percent, NAN, finding);
}

static void
judge_temp(const void *facts, DbopsCheckRun *run)
{
	const SampleWindow *window = &((const Facts *) facts)->database;
	double		rate = dbops_ring_per_second(window, DM_TEMP_BYTES);

	dbops_window_report(run, window, rate, NAN, psprintf("%s of temporary files are written in a second", dbops_figure_bytes(isnan(rate) ? 0 : rate)),
		   "Find the statements that sort or hash the most: SELECT * FROM dbops.slow_queries(order_by => 'temp'); then raise work_mem for them.");
}

static void
judge_rollbacks(const void *facts, DbopsCheckRun *run)
{
	const SampleWindow *window = &((const Facts *) facts)->database;
	double		all = window->delta[DM_TRANSACTIONS_COMMITTED] + window->delta[DM_TRANSACTIONS_ROLLED_BACK];
	double		percent = all > 0 ? 100 * window->delta[DM_TRANSACTIONS_ROLLED_BACK] / all : all;

	dbops_window_report(run, window, percent, all, psprintf("%.2f percent of %s were rolled back", percent, dbops_figure_count(all, "transaction", "transactions")),
		   "See the server's log for the errors of statements.");
}

static void
judge_churn(const void *facts, DbopsCheckRun *run)
{
	const SampleWindow *window = &((const Facts *) facts)->database;
	double		rate = dbops_ring_per_second(window, DM_SESSIONS_OPENED);

	dbops_window_report(run, window, rate, NAN, psprintf("%.2f sessions are opened in a second", rate), "Use a connection pool.");
}

/* Supplied once a minute, where pg_stat_statements is; after a start that takes some minutes. */
static void
judge_slow_calls(const void *facts, DbopsCheckRun *run)
{
	const SampleWindow *window = &((const Facts *) facts)->two_minutes;
	double		rate = dbops_ring_per_second(window, DM_STATEMENT_SLOW_CALLS) * SECS_PER_MINUTE;

	if (window->seconds > 0 && isnan(rate))
		dbops_window_report_unknown(run, &((const Facts *) facts)->database, "no statements of this database were counted for the last two minutes",
					   "Look again in some minutes. If it stays so: CREATE EXTENSION pg_stat_statements; in the home database, with its library preloaded.");
	else
		dbops_window_report(run, window, rate, NAN, psprintf("%.1f slow statements in a minute", rate),
			   "Review slow query log, optimize queries or add indexes: SELECT * FROM dbops.slow_queries(); then EXPLAIN (ANALYZE, BUFFERS) the first of them.");
}

static void
judge_checkpoints_requested(const void *facts, DbopsCheckRun *run)
{
	const SampleWindow *window = &((const Facts *) facts)->cluster_hour;
	double		requested = window->delta[CM_CHECKPOINTS_REQUESTED];
	double		all = requested + window->delta[CM_CHECKPOINTS_TIMED];

	dbops_window_report(run, window, all > 0 ? 100 * requested / all : all, all, psprintf("%.0f of %s came before time", requested, dbops_figure_count(all, "checkpoint", "checkpoints")),
		   "Raise max_wal_size until checkpoints come by time.");
}

static void
judge_checkpoint_time(const void *facts, DbopsCheckRun *run)
{
	const SampleWindow *window = &((const Facts *) facts)->cluster_hour;
	double		n = window->delta[CM_CHECKPOINTS_REQUESTED] + window->delta[CM_CHECKPOINTS_TIMED];
	double		mean = (window->delta[CM_CHECKPOINT_WRITE_TIME] + window->delta[CM_CHECKPOINT_SYNC_TIME]) / Max(n, 1) / 1000;
	double		target = CheckPointTimeout * CheckPointCompletionTarget;

	dbops_window_report(run, window, dbops_figure_percent(mean, target), n, psprintf("a checkpoint takes %s, and is to be spread over %s",
																		dbops_figure_duration(isnan(mean) ? 0 : mean), dbops_figure_duration(target)),
		   "See whether the disks keep up: SELECT * FROM dbops.disk_usage(); and host.pressure_io.");
}

static void
judge_backend_fsyncs(const void *facts, DbopsCheckRun *run)
{
	dbops_window_report_events(run, &((const Facts *) facts)->cluster_hour, CM_BUFFERS_BACKEND_FSYNC,
				  "file was flushed by a session itself", "files were flushed by sessions themselves",
				  "The checkpointer does not keep up: see host.pressure_io, and raise shared_buffers.");
}

static void
judge_backend_writes(const void *facts, DbopsCheckRun *run)
{
	const SampleWindow *window = &((const Facts *) facts)->cluster_hour;
	double		own = window->delta[CM_BUFFERS_BACKEND];
	double		all = own + window->delta[CM_BUFFERS_CHECKPOINT] + window->delta[CM_BUFFERS_CLEANED];

	dbops_window_report(run, window, all > 0 ? 100 * own / all : all, all, psprintf("sessions wrote %.0f of %s themselves", own, dbops_figure_count(all, "block", "blocks")),
		   "Raise shared_buffers, or bgwriter_lru_maxpages and bgwriter_lru_multiplier.");
}

static void
judge_cleaning(const void *facts, DbopsCheckRun *run)
{
	dbops_window_report_events(run, &((const Facts *) facts)->cluster_hour, CM_CLEANING_STOPPED,
				  "round of the background writer was cut short", "rounds of the background writer were cut short",
				  "Raise bgwriter_lru_maxpages.");
}

static void
judge_wal_rate(const void *facts, DbopsCheckRun *run)
{
	const SampleWindow *window = &((const Facts *) facts)->cluster;
	double		rate = dbops_ring_per_second(window, CM_WAL_POSITION);

	dbops_window_report(run, window, rate, NAN, psprintf("%s of WAL are written in a second", dbops_figure_bytes(isnan(rate) ? 0 : rate)),
		   "Find the statements that write the most: SELECT * FROM dbops.slow_queries(order_by => 'wal');");
}

static void
judge_full_page_images(const void *facts, DbopsCheckRun *run)
{
	const SampleWindow *window = &((const Facts *) facts)->cluster_hour;
	double		all = window->delta[CM_WAL_POSITION];
	double		pages = window->delta[CM_WAL_FULL_PAGE_IMAGES] * BLCKSZ;

	dbops_window_report(run, window, all > 0 ? Min(100, 100 * pages / all) : all, all,
		   psprintf("of %s of WAL about %s are whole pages", dbops_figure_bytes(isnan(all) ? 0 : all), dbops_figure_bytes(isnan(pages) ? 0 : Min(pages, all))),
		   "Raise max_wal_size and checkpoint_timeout, or set wal_compression = on.");
}

static void
judge_wal_buffers(const void *facts, DbopsCheckRun *run)
{
	dbops_window_report_events(run, &((const Facts *) facts)->cluster_hour, CM_WAL_BUFFERS_FULL, "time WAL buffers were full", "times WAL buffers were full",
				  "Raise wal_buffers and restart.");
}

/*
 * Ids that are not given out last for ever: those are as good as a hundred years.
 * A busy server gives out those of a week every week, and vacuum freezes them in
 * time: only when half of them are gone has it not.
 */
static void
judge_days_left(const void *facts, DbopsCheckRun *run)
{
	const SampleWindow *window = &((const Facts *) facts)->cluster_hour;
	const double ever = 36500;
	double		rate = dbops_ring_per_second(window, CM_XIDS_GIVEN);
	Ages		ages;
	double		left;
	double		days;

	dbops_ages_read(&ages);
	left = Max(0, ages.xid_stop_age - ages.xid_age);
	days = Min(ever, left / Max(rate, 1e-9) / SECS_PER_DAY);
	if (window->seconds > 0 && window->seconds < LEAST_OF_HOUR)
		dbops_window_report_unknown(run, window, DBOPS_NO_SAMPLES, "Look again when twenty minutes have been sampled.");
	else
		dbops_window_report(run, window, isnan(rate) ? rate : floor(days), left,
			   psprintf("%.1f transaction ids are given out in a second; unless the oldest are frozen, they last for %s", rate,
						days == ever ? "ever" : dbops_figure_duration(days * SECS_PER_DAY)),
			   "End old and prepared transactions, drop unused replication slots, then VACUUM the tables with the oldest relfrozenxid.");
}

/* The archiver tries again: one that has failed and succeeded since is the past. */
static void
judge_archive_failures(const void *facts, DbopsCheckRun *run)
{
	const SampleWindow *window = &((const Facts *) facts)->cluster_minutes;

	if (!dbops_archive_on())
		dbops_check_report(run, (DbopsFinding) {.message = "WAL is not archived: archive_mode is off here"});
	else
		dbops_window_report_events(run, window, CM_ARCHIVE_FAILED, "attempt to archive WAL failed", "attempts to archive WAL failed",
					  "See the server's log for what archive_command or archive_library says.");
}
