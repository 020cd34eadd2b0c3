/*
 * checks_settings.c
 *		Checks of the server's settings and of its version.
 *
 * What a setting risks is judged by its value in the running server, not by
 * what its file says; that the two differ is a check of its own. Sizes are
 * compared with the memory that the server may use.
 */
#include "observe/checks.h"

#include "access/xlog.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "postmaster/autovacuum.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/guc_tables.h"

static const void *look(const DbopsCheckScope *scope);
static void judge_autovacuum(const void *facts, DbopsCheckRun *run);
static void judge_unsafe(const void *facts, DbopsCheckRun *run);
static void judge_durability(const void *facts, DbopsCheckRun *run);
static void judge_checksums(const void *facts, DbopsCheckRun *run);
static void judge_pending_restart(const void *facts, DbopsCheckRun *run);
static void judge_file_errors(const void *facts, DbopsCheckRun *run);
static void judge_access_errors(const void *facts, DbopsCheckRun *run);
static void judge_huge_pages(const void *facts, DbopsCheckRun *run);
static void judge_end_of_life(const void *facts, DbopsCheckRun *run);
static void judge_wal_level(const void *facts, DbopsCheckRun *run);
static void judge_timeouts(const void *facts, DbopsCheckRun *run);
static void judge_logging(const void *facts, DbopsCheckRun *run);
static void judge_tracking(const void *facts, DbopsCheckRun *run);
static const char *setting(const char *name);
static bool is_off(const char *name);
static void judge_setting(const char *name, bool bad, const char *risk, const char *remedy, DbopsCheckRun *run);
static List *pending_settings(void);
static char *join(const List *names);

static const DbopsCheck checks[] = {
	{
		.name = "checksums.off",
		.about = "whether nothing tells that a page was damaged",
		.judge = judge_checksums,
		.advice = true,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "count", .warning = 0, .critical = NO_THRESHOLD, .source = "check_pgactivity"
		}
	},
	{
		.name = "settings.access_errors",
		.about = "lines of pg_hba.conf that cannot be read",
		.judge = judge_access_errors,
		.threshold = {
			.unit = "count", .warning = 0, .critical = NO_THRESHOLD, .source = "check_pgactivity, pgmonitor"
		}
	},
	{
		.name = "settings.durability",
		.about = "whether commits answer before they are durable",
		.judge = judge_durability,
		.advice = true,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "count", .warning = 0, .critical = NO_THRESHOLD, .source = "Percona's advisors"
		}
	},
	{
		.name = "settings.file_errors",
		.about = "lines of the configuration files that cannot be applied",
		.judge = judge_file_errors,
		.threshold = {
			.unit = "count", .warning = 0, .critical = NO_THRESHOLD, .source = "check_pgactivity, pgmonitor"
		}
	},
	{
		.name = "settings.huge_pages",
		.about = "shared memory that was asked to be in huge pages and is not",
		.judge = judge_huge_pages,
		.advice = true,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "bytes", .warning = 8 * GB, .critical = NO_THRESHOLD, .source = "postgresqltuner, PostgreSQL's manual"
		}
	},
	{
		.name = "settings.idle_timeout",
		.about = "whether a session may idle in a transaction for ever",
		.judge = judge_timeouts,
		.advice = true,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "count", .warning = 0, .critical = NO_THRESHOLD, .source = "the advisor of RDS"
		}
	},
	{
		.name = "settings.log_lock_waits",
		.about = "whether long waits for locks leave no trace in the log",
		.judge = judge_logging,
		.advice = true,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "count", .warning = 0, .critical = NO_THRESHOLD, .source = "pganalyze, pgBadger"
		}
	},
	{
		.name = "settings.pending_restart",
		.about = "settings that wait for a restart",
		.judge = judge_pending_restart,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "count", .warning = 0, .critical = NO_THRESHOLD,
			.duration = SECS_PER_DAY, .source = "check_pgactivity, pgmonitor"
		}
	},
	{
		.name = "settings.tracking",
		.about = "figures that the server is told not to count",
		.judge = judge_tracking,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "count", .warning = 0, .critical = NO_THRESHOLD, .source = "postgresqltuner"
		}
	},
	{
		.name = "settings.unsafe",
		.about = "settings with which a crash may destroy the database, or damage goes unnoticed",
		.judge = judge_unsafe,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "count", .warning = 0, .critical = NO_THRESHOLD, .source = "Percona's advisors, postgresqltuner"
		}
	},
	{
		.name = "settings.wal_level",
		.about = "whether WAL is too little for standbys and for backups of the running server",
		.judge = judge_wal_level,
		.advice = true,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "count", .warning = 0, .critical = NO_THRESHOLD, .source = "PostgreSQL's manual"
		}
	},
	{
		.name = "vacuum.disabled",
		.about = "whether nothing vacuums by itself",
		.judge = judge_autovacuum,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "count", .warning = 0, .critical = NO_THRESHOLD, .source = "postgresqltuner, Percona's advisors"
		}
	},
	{
		.name = "version.end_of_life",
		.about = "days until nobody repairs this major version any more",
		.judge = judge_end_of_life,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "days", .below = true, .warning = 180, .critical = 0, .source = "PostgreSQL's versioning policy, check_pgactivity"
		}
	}
};

const DbopsCheckSet dbops_setting_checks_set = {
	.look = look,
	.checks = checks,
	.n_checks = lengthof(checks),
	.reach = DBOPS_REACH_CLUSTER
};

/* Settings are where they are. */
static const void *
look(const DbopsCheckScope *scope)
{
	return NULL;
}

/* A setting as the server has it, not the session that asks. */
static const char *
setting(const char *name)
{
	const char *value = GetConfigOptionResetString(name);

	return value == NULL ? "" : value;
}

static bool
is_off(const char *name)
{
	return strcmp(setting(name), "off") == 0;
}

static void
judge_setting(const char *name, bool bad, const char *risk, const char *remedy, DbopsCheckRun *run)
{
	dbops_check_report_value(run, bad ? 1 : 0, NAN, (DbopsFinding)
							 {
								 .message = bad ? psprintf("%s is %s: %s", name, setting(name), risk) :
									 psprintf("%s is %s", name, setting(name)),
								 .remedy = remedy
							 });
}

/* Tables that have grown old are vacuumed all the same, and that at the worst of times. */
static void
judge_autovacuum(const void *facts, DbopsCheckRun *run)
{
	bool		bad = !AutoVacuumingActive();

	dbops_check_report_value(run, bad ? 1 : 0, NAN, (DbopsFinding)
							 {
								 .message = !bad ? "autovacuum is on" : is_off("track_counts") ?
									 "track_counts is off, so that autovacuum does not know what to do" :
									 "autovacuum is off: dead rows stay, and statistics grow old",
								 .remedy = "ALTER SYSTEM SET autovacuum = on; ALTER SYSTEM SET track_counts = on; SELECT pg_reload_conf();"
							 });
}

static void
judge_unsafe(const void *facts, DbopsCheckRun *run)
{
	static const struct
	{
		const char *name;
		const char *bad;
		const char *risk;
	}			settings[] = {
		{"fsync", "off", "a crash of the machine may destroy the database"},
		{"full_page_writes", "off", "a crash of the machine may tear pages"},
		{"zero_damaged_pages", "on", "damaged pages are read as empty, and so lost"},
		{"ignore_checksum_failure", "on", "damaged pages are read as if nothing was wrong"},
		{"ignore_invalid_pages", "on", "recovery goes on over pages that are missing"},
		{"ignore_system_indexes", "on", "catalogs are read without their indexes"}
	};
	int			bad = 0;

	for (int i = 0; i < lengthof(settings); i++)
		bad += (strcmp(setting(settings[i].name), settings[i].bad) == 0);
	if (bad == 0)
		dbops_check_report_value(run, 0, NAN, (DbopsFinding) {.message = "no setting puts the data at risk"});
	for (int i = 0; i < lengthof(settings); i++)
		if (strcmp(setting(settings[i].name), settings[i].bad) == 0)
			dbops_check_report_value(run, bad, NAN, (DbopsFinding)
									 {
										 .object = settings[i].name,
										 .message = psprintf("it is %s: %s", settings[i].bad, settings[i].risk),
										 .remedy = psprintf("ALTER SYSTEM RESET %s; and take it out of postgresql.conf", settings[i].name)
									 });
}

static void
judge_durability(const void *facts, DbopsCheckRun *run)
{
	judge_setting("synchronous_commit", is_off("synchronous_commit"), "a crash may lose the commits of the last moment",
				  "ALTER SYSTEM RESET synchronous_commit; SELECT pg_reload_conf(); unless that is meant", run);
}

static void
judge_checksums(const void *facts, DbopsCheckRun *run)
{
	judge_setting("data_checksums", !DataChecksumsEnabled(), "nothing tells that a page was damaged by its disk",
				  "Stop the server and run pg_checksums --enable.", run);
}

static void
judge_wal_level(const void *facts, DbopsCheckRun *run)
{
	judge_setting("wal_level", strcmp(setting("wal_level"), "minimal") == 0, "there can be neither standbys nor backups of the running server",
				  "ALTER SYSTEM SET wal_level = replica; and restart", run);
}

static void
judge_timeouts(const void *facts, DbopsCheckRun *run)
{
	judge_setting("idle_in_transaction_session_timeout", strcmp(setting("idle_in_transaction_session_timeout"), "0") == 0,
				  "a client that has gone quiet in a transaction keeps its locks for ever",
				  "ALTER SYSTEM SET idle_in_transaction_session_timeout = '30min'; SELECT pg_reload_conf();", run);
}

static void
judge_logging(const void *facts, DbopsCheckRun *run)
{
	judge_setting("log_lock_waits", is_off("log_lock_waits"), "who waited for whom cannot be found out afterwards",
				  "ALTER SYSTEM SET log_lock_waits = on; SELECT pg_reload_conf();", run);
}

static void
judge_tracking(const void *facts, DbopsCheckRun *run)
{
	bool		bad = is_off("track_counts") || is_off("track_activities");

	dbops_check_report_value(run, is_off("track_counts") + is_off("track_activities"), NAN, (DbopsFinding)
							 {
								 .message = bad ? psprintf("track_counts is %s, track_activities is %s: much of what is checked cannot be known",
														   setting("track_counts"), setting("track_activities")) :
									 "the server counts what is checked",
								 .remedy = "ALTER SYSTEM SET track_counts = on; ALTER SYSTEM SET track_activities = on; SELECT pg_reload_conf();"
							 });
}

/* The files were read anew, and say what only a start can do. */
static void
judge_pending_restart(const void *facts, DbopsCheckRun *run)
{
	List	   *pending = pending_settings();
	int			n = list_length(pending);

	dbops_check_report_value(run, n, NAN, (DbopsFinding)
							 {
								 .message = n == 0 ? "no setting waits for a restart" :
									 psprintf(ngettext("%d setting waits for a restart: %s", "%d settings wait for a restart: %s", n),
											  n, join(pending)),
								 .remedy = "Restart the server at a quiet time, or take the change back."
							 });
}

/* Their names (of char *). */
static List *
pending_settings(void)
{
	List	   *pending = NIL;
	int			n;
	struct config_generic **settings = all_settings(&n);

	for (int i = 0; i < n; i++)
		if (settings[i]->status & GUC_PENDING_RESTART)
			pending = lappend(pending, pstrdup(settings[i]->name));
	return pending;
}

static char *
join(const List *names)
{
	StringInfoData joined;
	ListCell   *cell;

	initStringInfo(&joined);
	foreach(cell, names)
		appendStringInfo(&joined, "%s%s", joined.len == 0 ? "" : ", ", (const char *) lfirst(cell));
	return joined.data;
}

/* Their lines are shown to nobody, only where they stand; what waits for a restart is no error. */
static void
judge_file_errors(const void *facts, DbopsCheckRun *run)
{
	static const CatalogQuestion question = {
		.sql = "SELECT format('line %s of %s', sourceline, regexp_replace(sourcefile, '^.*/', '')), format('%s: %s', name, error),"
		" 'Correct it, and SELECT pg_reload_conf();', count(*) OVER ()"
		" FROM pg_catalog.pg_show_all_file_settings() WHERE error IS NOT NULL"
		" AND (name IS NULL OR NOT name = ANY ($1)) ORDER BY sourcefile, sourceline LIMIT 10",
		.as_owner = true,
		.none = "the configuration files can be applied"
	};
	DbopsParam	param = dbops_param_texts(pending_settings());

	dbops_check_ask(run, &question, 1, &param);
}

static void
judge_access_errors(const void *facts, DbopsCheckRun *run)
{
	static const CatalogQuestion question = {
		.sql = "SELECT format('line %s of pg_hba.conf', line_number), error, 'Correct it, and SELECT pg_reload_conf();', count(*) OVER ()"
		" FROM pg_catalog.pg_hba_file_rules() WHERE error IS NOT NULL ORDER BY line_number LIMIT 10",
		.as_owner = true,
		.none = "pg_hba.conf can be read"
	};

	dbops_check_ask(run, &question, 0, NULL);
}

/* A large shared memory in small pages costs memory and time in each process. */
static void
judge_huge_pages(const void *facts, DbopsCheckRun *run)
{
	double		bytes = strtod(setting("shared_memory_size"), NULL) * MB;
	const char *status = HUGE_PAGES_STATUS;
	bool		on = (strcmp(status, "on") == 0);

	if (strcmp(status, "unknown") == 0 && bytes > dbops_check_threshold(run)->warning)
		dbops_check_report_unknown(run, NULL, "this server does not tell whether it got huge pages", "See HugePages_Free in /proc/meminfo.");
	else
		dbops_check_report_value(run, on ? 0 : bytes, NAN, (DbopsFinding)
								 {
									 .message = on ? psprintf("%s of shared memory are in huge pages", dbops_figure_bytes(bytes)) :
										 psprintf("%s of shared memory are in small pages", dbops_figure_bytes(bytes)),
									 .remedy = "Set vm.nr_hugepages on the machine to what SHOW shared_memory_size_in_huge_pages says, and restart."
								 });
}

/* November of the fifth year; known when dbops was built. */
static void
judge_end_of_life(const void *facts, DbopsCheckRun *run)
{
	int			major = atoi(setting("server_version_num")) / 10000;
	int			year = 2012 + major;	/* 15 ends in 2027 */
	TimestampTz end = (date2j(year, 11, 11) - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY;
	double		days = (end - dbops_clock_now()) / (double) USECS_PER_DAY;

	dbops_check_report_value(run, floor(days), NAN, (DbopsFinding)
							 {
								 .message = days > 0 ? psprintf("PostgreSQL %d is maintained until November %d", major, year) :
									 psprintf("PostgreSQL %d has not been maintained since November %d", major, year),
								 .remedy = "Plan the upgrade to a newer major version with pg_upgrade or logical replication."
							 });
}
