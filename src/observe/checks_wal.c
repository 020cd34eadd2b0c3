/*
 * checks_wal.c
 *		Checks of WAL: what waits to be archived, what the directory holds, what a
 *		crash would have to replay, and of backups and checksums.
 */
#include "observe/checks.h"
#include "observe/metric.h"

#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "replication/slot.h"
#include "storage/fd.h"

#define MOST_FILES		20000	/* of WAL that are counted */
#define MOST_WAITING	1000	/* that are counted while they wait to be archived */

typedef struct Facts
{
	Oid			database;
	Replication replication;
	ErrorData  *error;			/* NULL: it was read */
	double		directory;		/* bytes */
	int			waiting;		/* files to be archived */
} Facts;

static const void *look(const DbopsCheckScope *scope);
static void read_wal(void *arg);
static double directory_bytes(void);
static const Facts *require(const void *facts);
static void judge_backlog(const void *facts, DbopsCheckRun *run);
static void judge_directory(const void *facts, DbopsCheckRun *run);
static void report_silence(DbopsCheckRun *run);
static double explained_bytes(const Facts *facts);
static void judge_distance(const void *facts, DbopsCheckRun *run);
static void judge_checksums(const void *facts, DbopsCheckRun *run);
static double checksum_failures(Oid database);
static void judge_backup(const void *facts, DbopsCheckRun *run);
static void judge_started(const void *facts, DbopsCheckRun *run);

static const DbopsCheck checks[] = {
	{
		.name = "archiver.backlog",
		.about = "files of WAL that wait to be archived",
		.judge = judge_backlog,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "count", .warning = 20, .critical = 200,
			.duration = 5 * SECS_PER_MINUTE, .clear = 20, .source = "temBoard, check_postgres"
		}
	},
	{
		.name = "backup.age",
		.about = "time since the newest backup that is recorded",
		.judge = judge_backup,
		.threshold = {
			.unit = "s", .warning = 2 * SECS_PER_DAY, .critical = 7 * SECS_PER_DAY, .source = "pgmonitor"
		}
	},
	{
		.name = "checkpoints.distance",
		.about = "WAL that a crash now would have to replay, of max_wal_size",
		.judge = judge_distance,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "percent", .warning = 200, .critical = NO_THRESHOLD,
			.duration = 5 * SECS_PER_MINUTE, .source = "PostgreSQL's manual"
		}
	},
	{
		.name = "checksums.failures",
		.about = "damaged pages that were read since the statistics' reset",
		.judge = judge_checksums,
		.reach = DBOPS_REACH_DATABASE,
		.threshold = {
			.unit = "count", .warning = NO_THRESHOLD, .critical = 0, .source = "check_pgactivity, pgmonitor"
		}
	},
	{
		.name = "server.uptime",
		.about = "time since the server was started",
		.judge = judge_started,
		.advice = true,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "s", .below = true, .warning = 5 * SECS_PER_MINUTE, .critical = NO_THRESHOLD, .source = "check_pgactivity"
		}
	},
	{
		.name = "wal.directory",
		.about = "what the directory of WAL holds, of what settings, slots and the archiver explain",
		.judge = judge_directory,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "percent", .warning = 150, .critical = NO_THRESHOLD, .guard = GB, .guard_unit = "bytes",
			.duration = 10 * SECS_PER_MINUTE, .source = "check_pgactivity, temBoard"
		}
	}
};

const DbopsCheckSet dbops_wal_checks_set = {
	.look = look,
	.checks = checks,
	.n_checks = lengthof(checks),
	.reach = DBOPS_REACH_CLUSTER
};

static const void *
look(const DbopsCheckScope *scope)
{
	Facts	   *facts = palloc0(sizeof(Facts));

	facts->database = scope->database;
	(void) dbops_attempt(read_wal, facts, &facts->error);
	return facts;
}

static void
read_wal(void *arg)
{
	Facts	   *facts = arg;

	dbops_replication_read(&facts->replication);
	facts->directory = directory_bytes();
	facts->waiting = dbops_archive_on() ? dbops_archive_waiting(MOST_WAITING) : 0;
}

/* All files of WAL are of one size. NaN: not known. */
static double
directory_bytes(void)
{
	int			files = dbops_wal_files(MOST_FILES);

	return (files >= 0) ? (double) files * wal_segment_size : NAN;
}

static const Facts *
require(const void *facts)
{
	if (((const Facts *) facts)->error != NULL)
		ReThrowError(((const Facts *) facts)->error);
	return facts;
}

static void
judge_backlog(const void *facts, DbopsCheckRun *run)
{
	int			waiting = require(facts)->waiting;

	if (waiting < 0)
	{
		report_silence(run);
		return;
	}
	dbops_check_report_value(run, waiting, NAN, (DbopsFinding)
							 {
								 .message = !dbops_archive_on() ? "WAL is not archived: archive_mode is off here" :
									 psprintf("%d%s files of WAL wait to be archived", waiting, waiting == MOST_WAITING ? " or more" : ""),
								 .remedy = "See the server's log and pg_stat_archiver: archive_command fails, or is slower than WAL is written."
							 });
}

static void
judge_directory(const void *facts, DbopsCheckRun *run)
{
	const Facts *seen = require(facts);
	double		explained = explained_bytes(seen);

	if (isnan(seen->directory))
	{
		report_silence(run);
		return;
	}
	dbops_check_report_value(run, dbops_figure_percent(seen->directory, explained), seen->directory, (DbopsFinding)
							 {
								 .message = psprintf("it holds %s; settings, slots and the archiver explain %s",
													 dbops_figure_bytes(seen->directory), dbops_figure_bytes(explained)),
								 .remedy = "See whether checkpoints keep up: the checks checkpoints.duration and host.pressure_io."
							 });
}

static void
report_silence(DbopsCheckRun *run)
{
	dbops_check_report_unknown(run, NULL, "the file system of WAL has not been asked yet, or does not answer", "See the check disk.free.");
}

static double
explained_bytes(const Facts *facts)
{
	double		retained = 0;
	ListCell   *cell;

	foreach(cell, facts->replication.slots)
		retained = Max(retained, ((const Slot *) lfirst(cell))->retained);
	return Max(max_wal_size_mb, min_wal_size_mb) * MB + Max(wal_keep_size_mb * MB, retained) +
		(double) facts->waiting * wal_segment_size;
}

static void
judge_distance(const void *facts, DbopsCheckRun *run)
{
	XLogRecPtr	redo = GetRedoRecPtr();
	XLogRecPtr	written = dbops_written();
	double		bytes = (written > redo) ? written - redo : 0;

	dbops_check_report_value(run, dbops_figure_percent(bytes, max_wal_size_mb * MB), NAN, (DbopsFinding)
							 {
								 .message = psprintf("a crash would have to replay %s", dbops_figure_bytes(bytes)),
								 .remedy = "See whether checkpoints keep up: the checks checkpoints.duration and host.pressure_io."
							 });
}

static void
judge_checksums(const void *facts, DbopsCheckRun *run)
{
	double		n = checksum_failures(require(facts)->database) + checksum_failures(InvalidOid);

	dbops_check_report_value(run, DataChecksumsEnabled() ? n : 0, NAN, (DbopsFinding)
							 {
								 .message = !DataChecksumsEnabled() ? "pages have no checksums" : n == 0 ? "no damaged page was read" :
									 psprintf("%s read", dbops_figure_count(n, "damaged page was", "damaged pages were")),
								 .remedy = "See the server's log for which; restore them from a backup, look at the disks, then SELECT pg_stat_reset();"
							 });
}

/* In a database; InvalidOid: in what all of them share. */
static double
checksum_failures(Oid database)
{
	PgStat_StatDBEntry *entry = pgstat_fetch_stat_dbentry(database);

	return entry == NULL ? 0 : stat_database_counter(entry, checksum_failures);
}

static void
judge_backup(const void *facts, DbopsCheckRun *run)
{
	DbopsBackup backup;
	double		age;

	if (!dbops_backup_newest(&backup))
	{
		dbops_check_report_unknown(run, NULL, "no backup is recorded", "Record backups where they are made, so that their age is known.");
		return;
	}
	age = (dbops_clock_now() - backup.ended) / (double) USECS_PER_SEC;
	dbops_check_report_value(run, age, NAN, (DbopsFinding)
							 {
								 .message = psprintf("the newest backup, %s, is %s old", backup.label, dbops_figure_duration(age)),
								 .remedy = "Make a backup, and see why none was made."
							 });
}

static void
judge_started(const void *facts, DbopsCheckRun *run)
{
	double		age = (dbops_clock_now() - PgStartTime) / (double) USECS_PER_SEC;

	dbops_check_report_value(run, floor(age), NAN, (DbopsFinding)
							 {
								 .message = psprintf("the server was started %s ago", dbops_figure_duration(Max(0, age))),
								 .remedy = "See the server's log for why it was started; figures of an hour are of less until then."
							 });
}
