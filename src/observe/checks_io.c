/*
 * checks_io.c
 *		Checks of what the server has to read and write besides tables: how long
 *		reads take, what becomes of transactions, what decoding and
 *		pg_stat_statements leave on disk.
 *
 * All of it is told from the memory of the last hour; see checks_rates.c.
 */
#include "observe/checks.h"
#include "observe/metric.h"

#include "utils/guc.h"

typedef struct Facts
{
	SampleWindow lately;
	SampleWindow hour;
} Facts;

static const void *look(const DbopsCheckScope *scope);
static void judge_read_latency(const void *facts, DbopsCheckRun *run);
static void judge_subtransactions(const void *facts, DbopsCheckRun *run);
static void judge_multixacts(const void *facts, DbopsCheckRun *run);
static void report_misses(DbopsCheckRun *run, const SampleWindow *window, int hit, int read,
						  const char *what, const char *remedy);
static void judge_spilled(const void *facts, DbopsCheckRun *run);
static void judge_evictions(const void *facts, DbopsCheckRun *run);
static void judge_texts(const void *facts, DbopsCheckRun *run);

static const DbopsCheck checks[] = {
	{
		.name = "io.read_latency",
		.about = "time that sessions wait for a read",
		.judge = judge_read_latency,
		.reach = DBOPS_REACH_CLUSTER,
		.settling = true,
		.threshold = {
			.unit = "ms", .warning = 20, .critical = NO_THRESHOLD, .guard = 1000, .guard_unit = "reads",
			.duration = 5 * SECS_PER_MINUTE, .clear = 20, .source = "twice the seek of a disk that turns"
		}
	},
	{
		.name = "multixacts.misses",
		.about = "share of the pages of multixact ids that had to be read",
		.judge = judge_multixacts,
		.advice = true,
		.reach = DBOPS_REACH_CLUSTER,
		.settling = true,
		.threshold = {
			.unit = "percent", .warning = 5, .critical = NO_THRESHOLD, .guard = 100000, .guard_unit = "reads",
			.source = "check_pgactivity, pgwatch"
		}
	},
	{
		.name = "replication.spilled",
		.about = "bytes that logical decoding wrote to disk in the last hour, for want of memory",
		.judge = judge_spilled,
		.advice = true,
		.reach = DBOPS_REACH_CLUSTER,
		.settling = true,
		.threshold = {
			.unit = "bytes", .warning = GB, .critical = NO_THRESHOLD, .source = "check_pgactivity, pgwatch"
		}
	},
	{
		.name = "statements.evicted",
		.about = "times in the last hour that pg_stat_statements forgot a twentieth of its statements",
		.judge = judge_evictions,
		.advice = true,
		.reach = DBOPS_REACH_CLUSTER,
		.settling = true,
		.threshold = {
			.unit = "1/h", .warning = 20, .critical = NO_THRESHOLD, .source = "check_pgactivity, pganalyze; all of them in an hour"
		}
	},
	{
		.name = "statements.texts",
		.about = "size of the file of texts of pg_stat_statements",
		.judge = judge_texts,
		.advice = true,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "bytes", .warning = 256 * MB, .critical = NO_THRESHOLD, .source = "pg_exporter"
		}
	},
	{
		.name = "subtransactions.misses",
		.about = "share of the pages of the parents of subtransactions that had to be read",
		.judge = judge_subtransactions,
		.advice = true,
		.reach = DBOPS_REACH_CLUSTER,
		.settling = true,
		.threshold = {
			.unit = "percent", .warning = 5, .critical = NO_THRESHOLD, .guard = 100000, .guard_unit = "reads",
			.source = "check_pgactivity, pgwatch"
		}
	}
};

const DbopsCheckSet dbops_io_checks_set = {
	.look = look,
	.checks = checks,
	.n_checks = lengthof(checks),
	.reach = DBOPS_REACH_CLUSTER
};

static const void *
look(const DbopsCheckScope *scope)
{
	Facts	   *facts = palloc0(sizeof(Facts));

	(void) dbops_ring_window(InvalidOid, DBOPS_LATELY, &facts->lately);
	(void) dbops_ring_window(InvalidOid, DBOPS_AN_HOUR, &facts->hour);
	return facts;
}

/* Of a read from a disk or from the kernel's memory, so an average of both. */
static void
judge_read_latency(const void *facts, DbopsCheckRun *run)
{
	const SampleWindow *window = &((const Facts *) facts)->lately;
	double		reads = window->delta[CM_IO_READS];
	double		mean = reads > 0 ? window->delta[CM_IO_READ_TIME] / reads : reads;

	if (isnan(reads) && strcmp(GetConfigOptionResetString("track_io_timing"), "on") != 0)
		dbops_check_report_unknown(run, NULL, "track_io_timing is off, so that nobody knows how long reads take",
								   "ALTER SYSTEM SET track_io_timing = on; SELECT pg_reload_conf();");
	else
		dbops_window_report(run, window, mean, reads, psprintf("a read takes %.2f ms, of %.0f in %s", mean, reads, dbops_figure_duration(window->seconds)),
							"See host.pressure_io and what else uses the disk; find the statements that read the most: SELECT * FROM dbops.slow_queries(order_by => 'cache');");
}

static void
judge_subtransactions(const void *facts, DbopsCheckRun *run)
{
	report_misses(run, &((const Facts *) facts)->hour, CM_SUBTRANSACTIONS_HIT, CM_SUBTRANSACTIONS_READ, "the parents of subtransactions",
				  SLRU_SIZES_CAN_BE_SET ? "End long transactions, use fewer savepoints and blocks with EXCEPTION in one; then ALTER SYSTEM SET subtransaction_buffers = '8MB'; and restart." :
				  "End long transactions, and use fewer savepoints and blocks with EXCEPTION in one.");
}

static void
judge_multixacts(const void *facts, DbopsCheckRun *run)
{
	report_misses(run, &((const Facts *) facts)->hour, CM_MULTIXACTS_HIT, CM_MULTIXACTS_READ, "multixact ids",
				  SLRU_SIZES_CAN_BE_SET ? "End long transactions that lock rows which others reference; then ALTER SYSTEM SET multixact_offset_buffers = '1MB'; ALTER SYSTEM SET multixact_member_buffers = '2MB'; and restart." :
				  "End long transactions that lock rows which others reference, and have fewer of them lock the same rows.");
}

static void
report_misses(DbopsCheckRun *run, const SampleWindow *window, int hit, int read,
			  const char *what, const char *remedy)
{
	double		reads = window->delta[read];
	double		all = window->delta[hit] + reads;

	dbops_window_report(run, window, all > 0 ? 100 * reads / all : all, reads,
						psprintf("%.0f of %.0f pages of %s were read, in %s", reads, all, what, dbops_figure_duration(window->seconds)), remedy);
}

static void
judge_spilled(const void *facts, DbopsCheckRun *run)
{
	const SampleWindow *window = &((const Facts *) facts)->hour;
	double		bytes = window->delta[CM_SLOTS_SPILLED];

	dbops_window_report(run, window, bytes, NAN, psprintf("%s were spilled to disk in %s", dbops_figure_bytes(isnan(bytes) ? 0 : bytes),
														  dbops_figure_duration(window->seconds)),
						"SELECT slot_name, spill_bytes FROM pg_stat_replication_slots ORDER BY 2 DESC; then commit less at a time, or ALTER SYSTEM SET logical_decoding_work_mem = '256MB'; SELECT pg_reload_conf();");
}

/* Supplied once a minute, where pg_stat_statements is. After a reset they are counted anew. */
static void
judge_evictions(const void *facts, DbopsCheckRun *run)
{
	const SampleWindow *window = &((const Facts *) facts)->hour;
	double		change = window->delta[CM_STATEMENT_EVICTIONS];
	double		n = change < 0 ? window->newest.values[CM_STATEMENT_EVICTIONS] : change;

	if (window->seconds > 0 && isnan(n))
		dbops_window_report_unknown(run, window, "nobody has asked pg_stat_statements lately",
									"CREATE EXTENSION pg_stat_statements; in the home database, with its library preloaded, and look again in some minutes.");
	else
		dbops_window_report(run, window, n, NAN, psprintf("%.0f times room was made for new statements, in %s", n, dbops_figure_duration(window->seconds)),
							"Have statements take their values as parameters, or ALTER SYSTEM SET pg_stat_statements.max = 10000; and restart.");
}

static void
judge_texts(const void *facts, DbopsCheckRun *run)
{
	const SampleWindow *window = &((const Facts *) facts)->lately;
	double		bytes = window->newest.values[CM_STATEMENT_TEXTS];

	if (window->newest.at == 0)
		dbops_check_report_unknown(run, NULL, DBOPS_NO_SAMPLES, "See the check collector.samples.");
	else if (isnan(bytes))
		dbops_check_report_unknown(run, NULL, "there is no file of texts", "Add pg_stat_statements to shared_preload_libraries and restart.");
	else
		dbops_check_report_value(run, bytes, NAN, (DbopsFinding)
								 {
									 .message = psprintf("it holds %s", dbops_figure_bytes(bytes)),
									 .remedy = "Have statements take long values as parameters, or ALTER SYSTEM SET pg_stat_statements.max = 5000; and restart."
								 });
}
