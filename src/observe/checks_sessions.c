/*
 * checks_sessions.c
 *		Checks of sessions one by one: long transactions and statements, blocked
 *		vacuum, and what all sessions together use up.
 *
 * One pass over the status of processes, in shared memory. A dump and the copy
 * for a standby take long by nature: their transactions do not count, nor do those
 * whose statement has a comment that says so.
 */
#include "observe/checks.h"
#include "observe/metric.h"

#include "access/twophase.h"
#include "commands/async.h"
#include "commands/progress.h"
#include "libpq/pqcomm.h"
#include "miscadmin.h"
#include "parser/scansup.h"
#include "postmaster/autovacuum.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/backend_status.h"
#include "utils/fmgrprotos.h"

#define QUIET_MARK		"dbops:no-alert"	/* in a comment of a statement that takes long by intent */
#define VACUUM_WORD		"vacuum"	/* no other command begins with it */

/* The longest of a kind. */
typedef struct Longest
{
	int			pid;			/* 0: there is none */
	double		age;			/* s */
} Longest;

typedef struct Facts
{
	Longest		transaction;
	Longest		statement;
	Longest		blocked_vacuum; /* waits for a lock */
	int			hidden;			/* sessions that are not tracked */
	int			unencrypted;	/* sessions from elsewhere */
	int			vacuuming;		/* autovacuum's processes */
} Facts;

static const void *look(const DbopsCheckScope *scope);
static void take_client(Facts *facts, const PgBackendStatus *status);
static bool takes_long_by_nature(const PgBackendStatus *status);
static bool is_unencrypted(const PgBackendStatus *status);
static bool vacuums(const PgBackendStatus *status);
static void keep_longer(Longest *longest, int pid, TimestampTz since);
static void judge_transaction(const void *facts, DbopsCheckRun *run);
static void judge_statement(const void *facts, DbopsCheckRun *run);
static bool report_hidden(const Facts *facts, const Longest *longest, DbopsCheckRun *run);
static void judge_blocked_vacuum(const void *facts, DbopsCheckRun *run);
static void judge_workers(const void *facts, DbopsCheckRun *run);
static void judge_unencrypted(const void *facts, DbopsCheckRun *run);
static void judge_fast_path(const void *facts, DbopsCheckRun *run);
static void judge_locks(const void *facts, DbopsCheckRun *run);
static void judge_notifications(const void *facts, DbopsCheckRun *run);

static const DbopsCheck checks[] = {
	{
		.name = "connections.unencrypted",
		.about = "sessions that come over a network without encryption",
		.judge = judge_unencrypted,
		.advice = true,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "count", .warning = 0, .critical = NO_THRESHOLD, .source = "ruby-pg-extras, pgwatch"
		}
	},
	{
		.name = "locks.fast_path",
		.about = "sessions with so many locks of relations that more go through the table that all share",
		.judge = judge_fast_path,
		.advice = true,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "count", .warning = 16, .critical = NO_THRESHOLD,
			.duration = 5 * SECS_PER_MINUTE, .clear = 20, .source = "pgwatch; as many as the table has parts"
		}
	},
	{
		.name = "locks.table_used",
		.about = "share of the lock table that is in use",
		.judge = judge_locks,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "percent", .warning = 50, .critical = 80, .clear = 20, .source = "check_pgactivity, postgres_exporter"
		}
	},
	{
		.name = "notifications.queue",
		.about = "share of the queue of notifications that is in use",
		.judge = judge_notifications,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "percent", .warning = 10, .critical = 50, .clear = 20, .source = "pgmetrics"
		}
	},
	{
		.name = "statements.longest",
		.about = "for how long a session's statement has run",
		.judge = judge_statement,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "s", .warning = 30 * SECS_PER_MINUTE, .critical = 12 * SECS_PER_HOUR, .source = "pganalyze, pgmonitor"
		}
	},
	{
		.name = "transactions.longest",
		.about = "for how long a session's transaction has been open, dumps apart",
		.judge = judge_transaction,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "s", .warning = 30 * SECS_PER_MINUTE, .critical = 12 * SECS_PER_HOUR, .source = "pganalyze, pgmonitor"
		}
	},
	{
		.name = "vacuum.blocked",
		.about = "for how long a vacuum has waited for a lock",
		.judge = judge_blocked_vacuum,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "s", .warning = 5 * SECS_PER_MINUTE, .critical = NO_THRESHOLD, .source = "pganalyze"
		}
	},
	{
		.name = "vacuum.workers",
		.about = "share of autovacuum's processes that are at work",
		.judge = judge_workers,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "percent", .warning = 99, .critical = NO_THRESHOLD,
			.duration = 30 * SECS_PER_MINUTE, .source = "check_pgactivity, postgresai"
		}
	}
};

const DbopsCheckSet dbops_session_checks_set = {
	.look = look,
	.checks = checks,
	.n_checks = lengthof(checks),
	.reach = DBOPS_REACH_CLUSTER
};

static const void *
look(const DbopsCheckScope *scope)
{
	Facts	   *facts = palloc0(sizeof(Facts));
	int			n_processes;
	Process    *processes = dbops_processes_read(&n_processes);
	int			n = pgstat_fetch_stat_numbackends();

	for (int i = 1; i <= n; i++)
	{
		const PgBackendStatus *status = &pgstat_get_local_beentry_by_index(i)->backendStatus;
		const Process *process = dbops_process_find(processes, n_processes, status->st_procpid);

		if (status->st_backendType == B_BACKEND)
			take_client(facts, status);
		if (status->st_backendType == B_AUTOVAC_WORKER)
			facts->vacuuming++;
		if (process != NULL && process->waits && process->waits_since != 0 && vacuums(status))
			keep_longer(&facts->blocked_vacuum, status->st_procpid, process->waits_since);
	}
	return facts;
}

static void
take_client(Facts *facts, const PgBackendStatus *status)
{
	if (status->st_state == STATE_DISABLED)
		facts->hidden++;
	if (is_unencrypted(status))
		facts->unencrypted++;
	if (takes_long_by_nature(status))
		return;
	if (status->st_xact_start_timestamp != 0)
		keep_longer(&facts->transaction, status->st_procpid, status->st_xact_start_timestamp);
	if (status->st_state == STATE_RUNNING)
		keep_longer(&facts->statement, status->st_procpid, status->st_activity_start_timestamp);
}

static bool
takes_long_by_nature(const PgBackendStatus *status)
{
	return strstr(status->st_activity_raw, QUIET_MARK) != NULL ||
		strcmp(status->st_appname, "pg_dump") == 0 || strcmp(status->st_appname, "pg_dumpall") == 0 ||
		status->st_progress_command == PROGRESS_COMMAND_BASEBACKUP;
}

/* Does it come from another machine, for all to read? */
static bool
is_unencrypted(const PgBackendStatus *status)
{
	const struct sockaddr *address = (const struct sockaddr *) &status->st_clientaddr.addr;

	if (status->st_ssl || status->st_gss)
		return false;
	if (address->sa_family == AF_INET)
		return (ntohl(((const struct sockaddr_in *) address)->sin_addr.s_addr) >> 24) != 127;
	if (address->sa_family == AF_INET6)
		return !IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *) address)->sin6_addr);
	return false;
}

/* Until it has the lock on its table, only its statement tells what it is about to do. */
static bool
vacuums(const PgBackendStatus *status)
{
	const char *statement = status->st_activity_raw;

	if (status->st_backendType == B_AUTOVAC_WORKER || status->st_progress_command == PROGRESS_COMMAND_VACUUM)
		return true;
	while (scanner_isspace(*statement))
		statement++;
	return status->st_state == STATE_RUNNING && pg_strncasecmp(statement, VACUUM_WORD, strlen(VACUUM_WORD)) == 0;
}

static void
keep_longer(Longest *longest, int pid, TimestampTz since)
{
	double		age = Max(0, (dbops_clock_now() - since) / (double) USECS_PER_SEC);

	if (longest->pid == 0 || age > longest->age)
		*longest = (Longest) {.pid = pid, .age = age};
}

static void
judge_transaction(const void *facts, DbopsCheckRun *run)
{
	const Longest *longest = &((const Facts *) facts)->transaction;

	if (report_hidden(facts, longest, run))
		return;
	dbops_check_report_value(run, longest->age, NAN, (DbopsFinding)
							 {
								 .message = longest->pid == 0 ? "no transaction is open" :
									 psprintf("the transaction of process %d has been open for %s", longest->pid, dbops_figure_duration(longest->age)),
								 .remedy = psprintf("See SELECT * FROM dbops.connections() WHERE pid = %1$d; then SELECT pg_terminate_backend(%1$d);", longest->pid)
							 });
}

static void
judge_statement(const void *facts, DbopsCheckRun *run)
{
	const Longest *longest = &((const Facts *) facts)->statement;

	if (report_hidden(facts, longest, run))
		return;
	dbops_check_report_value(run, longest->age, NAN, (DbopsFinding)
							 {
								 .message = longest->pid == 0 ? "no statement is running" :
									 psprintf("the statement of process %d has run for %s", longest->pid, dbops_figure_duration(longest->age)),
								 .remedy = psprintf("See SELECT * FROM dbops.connections() WHERE pid = %1$d; then SELECT pg_cancel_backend(%1$d);", longest->pid)
							 });
}

static bool
report_hidden(const Facts *facts, const Longest *longest, DbopsCheckRun *run)
{
	if (facts->hidden == 0 || longest->age > dbops_check_threshold(run)->warning)
		return false;
	dbops_check_report_unknown(run, NULL, psprintf(ngettext("%d session hides what it does", "%d sessions hide what they do", facts->hidden), facts->hidden),
							   "Set track_activities to on, and SELECT pg_reload_conf();");
	return true;
}

static void
judge_blocked_vacuum(const void *facts, DbopsCheckRun *run)
{
	const Longest *blocked = &((const Facts *) facts)->blocked_vacuum;

	dbops_check_report_value(run, blocked->age, NAN, (DbopsFinding)
							 {
								 .message = blocked->pid == 0 ? "no vacuum waits for a lock" :
									 psprintf("process %d, which vacuums, has waited for a lock for %s", blocked->pid, dbops_figure_duration(blocked->age)),
								 .remedy = "See SELECT * FROM dbops.blocking_sessions(); and end who holds the lock."
							 });
}

static void
judge_workers(const void *facts, DbopsCheckRun *run)
{
	int			vacuuming = ((const Facts *) facts)->vacuuming;

	dbops_check_report_value(run, 100.0 * vacuuming / Max(autovacuum_max_workers, 1), NAN, (DbopsFinding)
							 {
								 .message = psprintf("%d of %s of autovacuum at work", vacuuming,
													 dbops_figure_count(autovacuum_max_workers, "process", "processes")),
								 .remedy = "Let each get on faster: lower autovacuum_vacuum_cost_delay or raise autovacuum_vacuum_cost_limit; then more of them: autovacuum_max_workers."
							 });
}

static void
judge_unencrypted(const void *facts, DbopsCheckRun *run)
{
	int			n = ((const Facts *) facts)->unencrypted;

	dbops_check_report_value(run, n, NAN, (DbopsFinding)
							 {
								 .message = psprintf(ngettext("%d session comes over a network without encryption",
															  "%d sessions come over a network without encryption", n), n),
								 .remedy = "Set ssl = on, and hostssl in place of host in pg_hba.conf."
							 });
}

/* As the newest sample has it. */
static void
judge_fast_path(const void *facts, DbopsCheckRun *run)
{
	Sample		newest;
	double		n;

	if (!dbops_ring_newest(InvalidOid, &newest) || isnan(newest.values[CM_FAST_PATH_FULL]))
	{
		dbops_check_report_unknown(run, NULL, DBOPS_NO_SAMPLES, "See the check collector.samples.");
		return;
	}
	n = newest.values[CM_FAST_PATH_FULL];
	dbops_check_report_value(run, n, NAN, (DbopsFinding)
							 {
								 .message = psprintf("%s locked as many relations as one can on its own", dbops_figure_count(n, "session has", "sessions have")),
								 .remedy = FAST_PATH_CAN_BE_SET ?
									 "Touch fewer tables, partitions and indexes in a statement, or ALTER SYSTEM SET max_locks_per_transaction = 256; and restart." :
									 "Touch fewer tables, partitions and indexes in a statement: those beyond 16 are locked where all sessions meet."
							 });
}

static void
judge_locks(const void *facts, DbopsCheckRun *run)
{
	long		room;
	long		used = dbops_lock_table_used(&room);

	dbops_check_report_value(run, dbops_figure_percent(used, room), NAN, (DbopsFinding)
							 {
								 .message = psprintf("%ld of %ld locks are in use", used, room),
								 .remedy = "Raise max_locks_per_transaction and restart, or lock fewer tables in a transaction: see pg_locks."
							 });
}

static void
judge_notifications(const void *facts, DbopsCheckRun *run)
{
	double		percent = 100 * DatumGetFloat8(DirectFunctionCall1(pg_notification_queue_usage, (Datum) 0));

	dbops_check_report_value(run, percent, NAN, (DbopsFinding)
							 {
								 .message = psprintf("%.2f percent of the queue of notifications are in use", percent),
								 .remedy = "Find the session that listens and has a transaction open for long: SELECT * FROM dbops.connections();"
							 });
}
