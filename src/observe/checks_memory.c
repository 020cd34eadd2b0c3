/*
 * checks_memory.c
 *		Checks of whether memory runs out: what settings allow, what was swapped
 *		in, and whom the kernel has killed.
 *
 * A kill of a process of the server is a crash of the server, and a crash makes
 * the samples begin anew. So what was killed before the last one is told by the
 * postmaster's own count.
 */
#include "observe/checks.h"
#include "observe/metric.h"

#include "miscadmin.h"
#include "postmaster/autovacuum.h"
#include "utils/guc.h"

static const void *look(const DbopsCheckScope *scope);
static void judge_kills(const void *facts, DbopsCheckRun *run);
static double kills_before_crash(void);
static void judge_commitment(const void *facts, DbopsCheckRun *run);
static double memory_of_server(const Sample *newest);
static double bytes_of(const char *name, double unit);
static void judge_swapping(const void *facts, DbopsCheckRun *run);

static const DbopsCheck checks[] = {
	{
		.name = "memory.commitment",
		.about = "memory that the server takes if all sessions use what they may, of what it has",
		.judge = judge_commitment,
		.advice = true,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "percent", .warning = 200, .critical = NO_THRESHOLD, .source = "postgresqltuner, PGTune"
		}
	},
	{
		.name = "memory.kills",
		.about = "processes that the kernel killed for want of memory in the last hour",
		.judge = judge_kills,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "1/h", .warning = 0, .critical = NO_THRESHOLD, .source = "node_exporter's rules"
		}
	},
	{
		.name = "memory.swapping",
		.about = "bytes that the machine reads back from its swap space in a second",
		.judge = judge_swapping,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "bytes/s", .warning = MB, .critical = NO_THRESHOLD,
			.duration = 5 * SECS_PER_MINUTE, .clear = 20, .source = "pages that are missed 256 times a second"
		}
	}
};

const DbopsCheckSet dbops_memory_checks_set = {
	.look = look,
	.checks = checks,
	.n_checks = lengthof(checks),
	.reach = DBOPS_REACH_CLUSTER
};

typedef struct Facts
{
	SampleWindow lately;
	SampleWindow hour;
} Facts;

static const void *
look(const DbopsCheckScope *scope)
{
	Facts	   *facts = palloc0(sizeof(Facts));

	(void) dbops_ring_window(InvalidOid, DBOPS_LATELY, &facts->lately);
	(void) dbops_ring_window(InvalidOid, DBOPS_AN_HOUR, &facts->hour);
	return facts;
}

static void
judge_kills(const void *facts, DbopsCheckRun *run)
{
	const SampleWindow *window = &((const Facts *) facts)->hour;
	double		before = kills_before_crash();
	const char *remedy = "See the kernel's log for whom: dmesg | grep -i 'killed process'; then lower work_mem or the number of connections, or give the server more memory.";

	if (before > 0)
		dbops_check_report_value(run, before + (isnan(window->delta[CM_MEMORY_KILLS]) ? 0 : window->delta[CM_MEMORY_KILLS]), NAN, (DbopsFinding)
								 {
									 .message = psprintf("the kernel killed %.0f processes for want of memory, and the server crashed", before),
									 .remedy = remedy
								 });
	else
		dbops_window_report_events(run, window, CM_MEMORY_KILLS, "process was killed by the kernel for want of memory",
								   "processes were killed by the kernel for want of memory", remedy);
}

/* How many it had killed when the server last crashed, if that was in the last hour. */
static double
kills_before_crash(void)
{
	Starts		starts;

	if (!dbops_starts_read(&starts) || starts.crashes == 0 ||
		dbops_clock_now() - starts.crashed_at[0] > DBOPS_AN_HOUR * USECS_PER_SEC)
		return 0;
	return starts.kills;
}

/* One sort or hash table a session, for a plan may have several and most have none. */
static void
judge_commitment(const void *facts, DbopsCheckRun *run)
{
	double		memory = memory_of_server(&((const Facts *) facts)->lately.newest);
	double		shared = bytes_of("shared_memory_size", MB);
	double		session = bytes_of("work_mem", 1024) * strtod(GetConfigOptionResetString("hash_mem_multiplier"), NULL);
	double		sessions = MaxConnections * session;
	double		vacuum = bytes_of("autovacuum_work_mem", 1024);
	double		all;

	if (vacuum < 0)
		vacuum = bytes_of("maintenance_work_mem", 1024);
	all = shared + sessions + autovacuum_max_workers * vacuum;
	if (isnan(memory))
		dbops_check_report_unknown(run, NULL, "the kernel does not tell how much memory there is", "See whether /proc is mounted where the server runs.");
	else
		dbops_check_report_value(run, dbops_figure_percent(all, memory), NAN, (DbopsFinding)
								 {
									 .message = psprintf("%d sessions may take %s each, and with shared memory and autovacuum %s in all; the server has %s", MaxConnections,
														 dbops_figure_bytes(session), dbops_figure_bytes(all), dbops_figure_bytes(memory)),
									 .remedy = "Lower max_connections and use a connection pool, or lower work_mem and set it for those who need it: ALTER ROLE ... SET work_mem = ...;"
								 });
}

static double
memory_of_server(const Sample *newest)
{
	Host		host;

	if (newest->at != 0)
		return newest->values[CM_MEMORY_TOTAL];
	dbops_host_read("", &host);
	return host.memory_total;
}

/* As the server has it, not the session that asks. */
static double
bytes_of(const char *name, double unit)
{
	return strtod(GetConfigOptionResetString(name), NULL) * unit;
}

static void
judge_swapping(const void *facts, DbopsCheckRun *run)
{
	const SampleWindow *window = &((const Facts *) facts)->lately;
	double		rate = dbops_ring_per_second(window, CM_MEMORY_SWAPPED_IN);

	dbops_window_report(run, window, rate, NAN, psprintf("%s are read from swap space in a second", dbops_figure_bytes(isnan(rate) ? 0 : rate)),
						"Lower shared_buffers, work_mem or the number of connections, and vm.swappiness; see what else takes the machine's memory.");
}
