/*
 * checks_host.c
 *		Checks of the machine, or of the container that the server has of it.
 *
 * The figures are those of the newest sample, or read now where nothing is
 * sampled. What a file system or kernel does not tell is unknown.
 */
#include "observe/checks.h"
#include "observe/metric.h"

#include <unistd.h>

#include "storage/fd.h"

#define SAMPLE_SERVES	30		/* s */

typedef struct Facts
{
	Host		host;
	double		active;			/* sessions */
	Disks		disks;
	ErrorData  *error;			/* of the disks; NULL: they were read */
} Facts;

static const void *look(const DbopsCheckScope *scope);
static void read_host(Facts *facts);
static void read_disks(void *arg);
static void judge_load(const void *facts, DbopsCheckRun *run);
static void judge_active(const void *facts, DbopsCheckRun *run);
static const char *say_processors(double n);
static void judge_memory(const void *facts, DbopsCheckRun *run);
static void judge_swap(const void *facts, DbopsCheckRun *run);
static bool read_swap(double *total, double *left);
static void judge_overcommit(const void *facts, DbopsCheckRun *run);
static void judge_transparent_pages(const void *facts, DbopsCheckRun *run);
static bool read_line(const char *path, char *line, int size);
static void judge_pressure_cpu(const void *facts, DbopsCheckRun *run);
static void judge_pressure_io(const void *facts, DbopsCheckRun *run);
static void judge_pressure_memory(const void *facts, DbopsCheckRun *run);
static void report_pressure(DbopsCheckRun *run, double percent, const char *what, const char *remedy);
static void judge_files(const void *facts, DbopsCheckRun *run);
static void judge_read_only(const void *facts, DbopsCheckRun *run);
static bool report_silent_disk(const void *facts, DbopsCheckRun *run);
static const Disks *require_disks(const void *facts);

static const DbopsCheck checks[] = {
	{
		.name = "disk.files",
		.about = "share of the files that a file system can still hold",
		.judge = judge_files,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "percent", .below = true, .warning = 10, .critical = 5, .clear = 10, .source = "check_postgres, node_exporter's rules"
		}
	},
	{
		.name = "disk.read_only",
		.about = "file systems of the server that cannot be written to",
		.judge = judge_read_only,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "count", .warning = NO_THRESHOLD, .critical = 0, .source = "node_exporter's rules"
		}
	},
	{
		.name = "host.active_per_cpu",
		.about = "sessions that run a statement, for each processor that the server may use",
		.judge = judge_active,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "times", .warning = 4, .critical = NO_THRESHOLD, .guard = 8, .guard_unit = "sessions",
			.duration = 5 * SECS_PER_MINUTE, .clear = 20, .source = "pganalyze, PoWA"
		}
	},
	{
		.name = "host.load",
		.about = "load of the machine for each of its processors",
		.judge = judge_load,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "times", .warning = 2, .critical = NO_THRESHOLD,
			.duration = 5 * SECS_PER_MINUTE, .clear = 20, .source = "temBoard, doubled"
		}
	},
	{
		.name = "host.memory",
		.about = "share of the memory that is left to the server",
		.judge = judge_memory,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "percent", .below = true, .warning = 10, .critical = 5, .guard = 4 * GB, .guard_unit = "bytes",
			.duration = 5 * SECS_PER_MINUTE, .clear = 20, .source = "node_exporter's rules"
		}
	},
	{
		.name = "host.overcommit",
		.about = "whether the kernel may kill the server for want of memory",
		.judge = judge_overcommit,
		.advice = true,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "count", .warning = 0, .critical = NO_THRESHOLD, .source = "PostgreSQL's manual, postgresqltuner"
		}
	},
	{
		.name = "host.pressure_cpu",
		.about = "share of the last minute in which something waited for a processor",
		.judge = judge_pressure_cpu,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "percent", .warning = 60, .critical = NO_THRESHOLD,
			.duration = 5 * SECS_PER_MINUTE, .clear = 20, .source = "the kernel's manual of PSI, systemd-oomd"
		}
	},
	{
		.name = "host.pressure_io",
		.about = "share of the last minute in which something waited for a disk",
		.judge = judge_pressure_io,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "percent", .warning = 60, .critical = NO_THRESHOLD,
			.duration = 5 * SECS_PER_MINUTE, .clear = 20, .source = "the kernel's manual of PSI, systemd-oomd"
		}
	},
	{
		.name = "host.pressure_memory",
		.about = "share of the last minute in which something waited for memory",
		.judge = judge_pressure_memory,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "percent", .warning = 20, .critical = 60,
			.duration = SECS_PER_MINUTE, .clear = 20, .source = "the kernel's manual of PSI, systemd-oomd"
		}
	},
	{
		.name = "host.swap",
		.about = "share of the machine's swap space that is in use",
		.judge = judge_swap,
		.advice = true,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "percent", .warning = 30, .critical = NO_THRESHOLD, .guard = 256 * MB, .guard_unit = "bytes",
			.duration = 5 * SECS_PER_MINUTE, .clear = 20, .source = "temBoard"
		}
	},
	{
		.name = "host.transparent_huge_pages",
		.about = "whether the kernel makes huge pages of small ones by itself",
		.judge = judge_transparent_pages,
		.advice = true,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "count", .warning = 0, .critical = NO_THRESHOLD, .source = "postgresqltuner"
		}
	}
};

const DbopsCheckSet dbops_host_checks_set = {
	.look = look,
	.checks = checks,
	.n_checks = lengthof(checks),
	.reach = DBOPS_REACH_CLUSTER
};

static const void *
look(const DbopsCheckScope *scope)
{
	Facts	   *facts = palloc0(sizeof(Facts));

	read_host(facts);
	(void) dbops_attempt(read_disks, facts, &facts->error);
	return facts;
}

/* From the newest sample unless it is old. */
static void
read_host(Facts *facts)
{
	Sample		newest;
	double		age;

	facts->active = NAN;
	if (dbops_ring_newest(InvalidOid, &newest))
	{
		age = dbops_health_age(newest.at);
		if (age >= 0 && age <= SAMPLE_SERVES)
		{
			facts->active = newest.values[CM_CONNECTIONS_ACTIVE];
			facts->host = (Host)
			{
				.cpus = newest.values[CM_HOST_CPUS],
				.load = newest.values[CM_HOST_LOAD],
				.memory_total = newest.values[CM_MEMORY_TOTAL],
				.memory_available = newest.values[CM_MEMORY_AVAILABLE],
				.pressure_cpu = newest.values[CM_PRESSURE_CPU],
				.pressure_io = newest.values[CM_PRESSURE_IO],
				.pressure_memory = newest.values[CM_PRESSURE_MEMORY]
			};
			return;
		}
	}
	dbops_host_read("", &facts->host);
}

static void
read_disks(void *arg)
{
	dbops_disks_read(&((Facts *) arg)->disks);
}

/* A container is told the load of the whole machine, so that its own share of the processors is no measure. */
static void
judge_load(const void *facts, DbopsCheckRun *run)
{
	const Host *host = &((const Facts *) facts)->host;
	long		cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (isnan(host->load) || cpus <= 0)
		dbops_check_report_unknown(run, NULL, "the kernel does not tell the load or the processors", "See whether /proc is mounted where the server runs.");
	else
		dbops_check_report_value(run, host->load / cpus, NAN, (DbopsFinding)
								 {
									 .message = psprintf("the load is %.2f; the machine has %s", host->load, dbops_figure_count(cpus, "processor", "processors")),
									 .remedy = "See what runs: SELECT * FROM dbops.connections() WHERE state = 'active'; and what else the machine does."
								 });
}

static void
judge_active(const void *facts, DbopsCheckRun *run)
{
	const Facts *seen = facts;

	if (isnan(seen->active))
		dbops_check_report_unknown(run, NULL, DBOPS_NO_SAMPLES, "See the check collector.samples.");
	else if (isnan(seen->host.cpus))
		dbops_check_report_unknown(run, NULL, "the kernel does not tell the processors", "See whether /proc is mounted where the server runs.");
	else
		dbops_check_report_value(run, seen->active / seen->host.cpus, seen->active, (DbopsFinding)
								 {
									 .message = psprintf("%s active; the server may use %s", dbops_figure_count(seen->active, "session is", "sessions are"),
														 say_processors(seen->host.cpus)),
									 .remedy = "See what they wait for: SELECT * FROM dbops.connections() WHERE state = 'active'; a connection pool keeps their number down."
								 });
}

/* A part of one, too, where a control group says so. */
static const char *
say_processors(double n)
{
	return psprintf(n == 1 ? "%g processor" : "%g processors", n);
}

static void
judge_memory(const void *facts, DbopsCheckRun *run)
{
	const Host *host = &((const Facts *) facts)->host;

	if (isnan(host->memory_total) || isnan(host->memory_available))
		dbops_check_report_unknown(run, NULL, "the kernel does not tell how much memory is left", "See whether /proc is mounted where the server runs.");
	else
		dbops_check_report_value(run, dbops_figure_percent(host->memory_available, host->memory_total), host->memory_available, (DbopsFinding)
								 {
									 .message = psprintf("%s of %s are left", dbops_figure_bytes(host->memory_available), dbops_figure_bytes(host->memory_total)),
									 .remedy = "Lower work_mem or the number of connections, or give the server more memory."
								 });
}

static void
judge_swap(const void *facts, DbopsCheckRun *run)
{
	double		total;
	double		left;

	if (!read_swap(&total, &left))
		dbops_check_report_unknown(run, NULL, "the kernel does not tell how much is swapped out", "See whether /proc is mounted where the server runs.");
	else
		dbops_check_report_value(run, total > 0 ? dbops_figure_percent(total - left, total) : 0, total - left, (DbopsFinding)
								 {
									 .message = total == 0 ? "the machine has no swap space" :
										 psprintf("%s of %s of swap space are in use", dbops_figure_bytes(total - left), dbops_figure_bytes(total)),
									 .remedy = "Lower shared_buffers, work_mem or the number of connections, and vm.swappiness."
								 });
}

static bool
read_swap(double *total, double *left)
{
	FILE	   *file = AllocateFile("/proc/meminfo", "r");
	char		line[256];
	int			found = 0;

	if (file == NULL)
		return false;
	while (found < 2 && fgets(line, sizeof(line), file) != NULL)
		found += sscanf(line, "SwapTotal: %lf", total) == 1 || sscanf(line, "SwapFree: %lf", left) == 1;
	FreeFile(file);
	*total *= 1024;
	*left *= 1024;
	return found == 2;
}

static void
judge_overcommit(const void *facts, DbopsCheckRun *run)
{
	char		line[64];

	if (!read_line("/proc/sys/vm/overcommit_memory", line, sizeof(line)))
		dbops_check_report_unknown(run, NULL, "the kernel does not tell whether it promises more memory than there is", "See whether /proc is mounted where the server runs.");
	else
		dbops_check_report_value(run, line[0] == '2' ? 0 : 1, NAN, (DbopsFinding)
								 {
									 .message = line[0] == '2' ? "the kernel promises no more memory than there is" :
										 "the kernel promises more memory than there is, and kills processes when it is asked for",
									 .remedy = "On a machine of its own: sysctl vm.overcommit_memory=2 with a fitting vm.overcommit_ratio; in a container, give it a margin."
								 });
}

static void
judge_transparent_pages(const void *facts, DbopsCheckRun *run)
{
	char		line[64];
	bool		always;

	if (!read_line("/sys/kernel/mm/transparent_hugepage/enabled", line, sizeof(line)))
	{
		dbops_check_report_value(run, 0, NAN, (DbopsFinding) {.message = "the kernel makes no huge pages by itself"});
		return;
	}
	always = strstr(line, "[always]") != NULL;
	dbops_check_report_value(run, always ? 1 : 0, NAN, (DbopsFinding)
							 {
								 .message = always ? "the kernel makes huge pages by itself, which can stall sessions" : "the kernel makes huge pages where it is asked to",
								 .remedy = "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled, and have it done at boot."
							 });
}

/* The first line of a file; false: it cannot be read. */
static bool
read_line(const char *path, char *line, int size)
{
	FILE	   *file = AllocateFile(path, "r");
	bool		found;

	if (file == NULL)
		return false;
	found = fgets(line, size, file) != NULL;
	FreeFile(file);
	return found;
}

static void
judge_pressure_cpu(const void *facts, DbopsCheckRun *run)
{
	report_pressure(run, ((const Facts *) facts)->host.pressure_cpu, "a processor", "See what runs: SELECT * FROM dbops.connections() WHERE state = 'active';");
}

static void
judge_pressure_io(const void *facts, DbopsCheckRun *run)
{
	report_pressure(run, ((const Facts *) facts)->host.pressure_io, "a disk", "Find the statements that read the most: SELECT * FROM dbops.slow_queries(order_by => 'cache');");
}

static void
judge_pressure_memory(const void *facts, DbopsCheckRun *run)
{
	report_pressure(run, ((const Facts *) facts)->host.pressure_memory, "memory", "Lower work_mem or the number of connections, or give the server more memory.");
}

static void
report_pressure(DbopsCheckRun *run, double percent, const char *what, const char *remedy)
{
	if (isnan(percent))
		dbops_check_report_unknown(run, NULL, "the kernel does not tell for how long processes wait", "Boot with psi=1, and let the server see /proc/pressure or the files of its control group.");
	else
		dbops_check_report_value(run, percent, NAN, (DbopsFinding)
								 {
									 .message = psprintf("in %.2f percent of the last minute something waited for %s", percent, what),
									 .remedy = remedy
								 });
}

static void
judge_files(const void *facts, DbopsCheckRun *run)
{
	double		least = NAN;
	const char *where = NULL;
	ListCell   *cell;

	if (report_silent_disk(facts, run))
		return;
	foreach(cell, require_disks(facts)->list)
	{
		const Disk *disk = lfirst(cell);

		if (disk->total > 0 && !isnan(disk->files_free) && !(least <= disk->files_free))
		{
			least = disk->files_free;
			where = disk->name;
		}
	}
	if (where == NULL)
		dbops_check_report(run, (DbopsFinding) {.message = "no file system sets a limit to the number of files"});
	else
		dbops_check_report_value(run, least, NAN, (DbopsFinding)
								 {
									 .message = psprintf("%s can hold %.2f percent of its files more, and no other has less", where, least),
									 .remedy = "Remove files that are not the server's, or move tables to a tablespace on another file system."
								 });
}

static void
judge_read_only(const void *facts, DbopsCheckRun *run)
{
	int			n = 0;
	const char *where = NULL;
	ListCell   *cell;

	if (report_silent_disk(facts, run))
		return;
	foreach(cell, require_disks(facts)->list)
	{
		const Disk *disk = lfirst(cell);

		if (disk->total > 0 && disk->read_only)
		{
			n++;
			where = disk->name;
		}
	}
	dbops_check_report_value(run, n, NAN, (DbopsFinding)
							 {
								 .message = n == 0 ? "every file system of the server can be written to" : psprintf("%s cannot be written to", where),
								 .remedy = "See the kernel's log: a file system with errors is mounted read-only; move the server to another disk."
							 });
}

/* Report one of which nothing is known, if there is any: what the others say does not stand for it. */
static bool
report_silent_disk(const void *facts, DbopsCheckRun *run)
{
	ListCell   *cell;

	foreach(cell, require_disks(facts)->list)
	{
		const Disk *disk = lfirst(cell);

		if (disk->silent == NULL)
			continue;
		dbops_check_report_unknown(run, NULL, psprintf("of %s, %s", disk->name, disk->silent), "See the check disk.free.");
		return true;
	}
	return false;
}

static const Disks *
require_disks(const void *facts)
{
	const Facts *seen = facts;

	if (seen->error != NULL)
		ReThrowError(seen->error);
	return &seen->disks;
}
