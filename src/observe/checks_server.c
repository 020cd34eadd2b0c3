/*
 * checks_server.c
 *		Checks of the server as such: its role, its crashes, its program, its clock,
 *		and whether all that is used of it is sampled.
 *
 * These are events as a rule, which are bad for an hour and then the past: who
 * is told of them wants to know why, and an alert must have time to be told.
 */
#include "observe/checks.h"
#include "observe/metric.h"
#include "observe/setting_drift.h"

#include <sys/stat.h>

#include "access/xlog.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"

#define MOST_NAMED		10		/* settings */

static const void *look(const DbopsCheckScope *scope);
static void judge_databases(const void *facts, DbopsCheckRun *run);
static void judge_program(const void *facts, DbopsCheckRun *run);
static bool is_other(const struct stat *running, const struct stat *installed);
static void judge_crashes(const void *facts, DbopsCheckRun *run);
static bool is_recent(TimestampTz at);
static void judge_role(const void *facts, DbopsCheckRun *run);
static void judge_promotion(const void *facts, DbopsCheckRun *run);
static const char *what_changed(const SampleWindow *window);
static void judge_clock(const void *facts, DbopsCheckRun *run);
static void judge_settings(const void *facts, DbopsCheckRun *run);

static const DbopsCheck checks[] = {
	{
		.name = "collector.databases",
		.about = "databases in use of which no samples are kept, since there is no room for more",
		.judge = judge_databases,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "count", .warning = 0, .critical = NO_THRESHOLD, .source = "nothing is known there of what happens"
		}
	},
	{
		.name = "host.clock",
		.about = "seconds by which the clock was set back in the last hour",
		.judge = judge_clock,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "s", .warning = 2, .critical = NO_THRESHOLD, .source = "check_postgres"
		}
	},
	{
		.name = "server.crashes",
		.about = "crashes in the last hour, after which the server began anew",
		.judge = judge_crashes,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "1/h", .warning = 0, .critical = 2, .source = "CloudNativePG, postgres_exporter"
		}
	},
	{
		.name = "server.program",
		.about = "whether another program is installed than the one that runs",
		.judge = judge_program,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "count", .warning = 0, .critical = NO_THRESHOLD,
			.duration = SECS_PER_DAY, .source = "needrestart"
		}
	},
	{
		.name = "server.promoted",
		.about = "changes of the server's role or timeline in the last hour",
		.judge = judge_promotion,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "count", .warning = 0, .critical = NO_THRESHOLD, .source = "postgres_exporter"
		}
	},
	{
		.name = "server.role",
		.about = "whether the server is not what dbops.expected_role says",
		.judge = judge_role,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "count", .warning = NO_THRESHOLD, .critical = 0, .source = "check_pgactivity"
		}
	},
	{
		.name = "settings.changed",
		.about = "settings of the server that were changed in the last day",
		.judge = judge_settings,
		.advice = true,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "count", .warning = 0, .critical = NO_THRESHOLD, .source = "check_postgres, pgwatch"
		}
	}
};

const DbopsCheckSet dbops_server_checks_set = {
	.look = look,
	.checks = checks,
	.n_checks = lengthof(checks),
	.reach = DBOPS_REACH_CLUSTER
};

/* The last hour. */
static const void *
look(const DbopsCheckScope *scope)
{
	SampleWindow *window = palloc0(sizeof(SampleWindow));

	(void) dbops_ring_window(InvalidOid, DBOPS_AN_HOUR, window);
	return window;
}

/* ---- what is sampled of it ---- */

static void
judge_databases(const void *facts, DbopsCheckRun *run)
{
	const SampleWindow *window = facts;
	double		unsampled = window->newest.at == 0 ? NAN : window->newest.values[CM_DATABASES_UNSAMPLED];

	if (isnan(unsampled))
		dbops_check_report_unknown(run, NULL, DBOPS_NO_SAMPLES, "See the check collector.samples.");
	else
		dbops_check_report_value(run, unsampled, NAN, (DbopsFinding)
								 {
									 .message = unsampled == 0 ? "samples of all databases in use are kept" :
										 psprintf("%s in use beside the %d of which samples are kept; what happens there is not known",
												  dbops_figure_count(unsampled, "database is", "databases are"), RING_DATABASES),
									 .remedy = "Disconnect from databases that nobody needs: one is given up a minute after its last client has gone."
								 });
}

/* ---- its program ---- */

/* Every process still has the file that the postmaster was started from, whatever its name leads to now. */
static void
judge_program(const void *facts, DbopsCheckRun *run)
{
	struct stat running;
	struct stat installed;
	bool		gone = (stat(my_exec_path, &installed) != 0);
	bool		other;

	if (stat("/proc/self/exe", &running) != 0)
	{
		dbops_check_report_unknown(run, NULL, "the kernel does not tell which program runs", "See whether /proc is mounted where the server runs.");
		return;
	}
	other = gone || is_other(&running, &installed);
	dbops_check_report_value(run, other ? 1 : 0, NAN, (DbopsFinding)
							 {
								 .message = !other ? "the program that runs is the one that is installed" :
									 gone ? "the program that runs was removed: no session could be had after a restart" :
									 psprintf("PostgreSQL " PG_VERSION " runs, and its program was replaced %s ago",
											  dbops_figure_duration(Max(0, dbops_health_age(time_t_to_timestamptz(installed.st_ctime))))),
								 .remedy = gone ? "Install the program again where it was." : "Restart the server at a quiet time: until then what was repaired is not."
							 });
}

/* The same again, as of a package that was installed anew, is not another. */
static bool
is_other(const struct stat *running, const struct stat *installed)
{
	if (running->st_dev == installed->st_dev && running->st_ino == installed->st_ino)
		return false;
	return running->st_size != installed->st_size || running->st_mtime != installed->st_mtime;
}

/* ---- its crashes ---- */

/* One of a process ends all sessions; one of the server itself shows when it is started. */
static void
judge_crashes(const void *facts, DbopsCheckRun *run)
{
	Starts		starts;
	bool		unclean;
	int			n;

	if (!dbops_starts_read(&starts))
	{
		dbops_check_report_unknown(run, NULL, "nobody counts crashes: dbops is not preloaded", "Add dbops to shared_preload_libraries and restart.");
		return;
	}
	unclean = starts.unclean && is_recent(PgStartTime);
	n = unclean ? 1 : 0;
	for (int i = 0; i < KNOWN_CRASHES; i++)
		n += is_recent(starts.crashed_at[i]);
	dbops_check_report_value(run, n, NAN, (DbopsFinding)
							 {
								 .message = n == 0 ? "the server has not crashed in the last hour" :
									 is_recent(starts.crashed_at[0]) ?
									 psprintf("a process crashed %s ago, which ended all sessions", dbops_figure_duration(Max(0, dbops_health_age(starts.crashed_at[0])))) :
									 psprintf("the server was started %s ago, and was not shut down before", dbops_figure_duration(Max(0, dbops_health_age(PgStartTime)))),
								 .remedy = "See the server's log of that time for \"was terminated by signal\" and PANIC, and the kernel's log."
							 });
}

static bool
is_recent(TimestampTz at)
{
	return at != 0 && dbops_health_age(at) < DBOPS_AN_HOUR;
}

/* ---- its role ---- */

static void
judge_role(const void *facts, DbopsCheckRun *run)
{
	bool		standby = RecoveryInProgress();
	const char *role = standby ? "a standby" : "a primary";
	bool		other = dbops_expected_role == (standby ? DBOPS_ROLE_PRIMARY : DBOPS_ROLE_STANDBY);

	dbops_check_report_value(run, other ? 1 : 0, NAN, (DbopsFinding)
							 {
								 .message = dbops_expected_role == DBOPS_ROLE_ANY ? psprintf("the server is %s; dbops.expected_role expects neither", role) :
									 other ? psprintf("the server is %s, which it should not be", role) : psprintf("the server is %s, as it should be", role),
								 .remedy = psprintf("If it is meant to be: ALTER SYSTEM SET dbops.expected_role = '%s'; SELECT pg_reload_conf(); if not, see who has promoted or replaced it, before applications write to two primaries.",
													standby ? "standby" : "primary")
							 });
}

/* A change to what is expected is none to be told. */
static void
judge_promotion(const void *facts, DbopsCheckRun *run)
{
	const SampleWindow *window = facts;
	double		roles = fabs(window->delta[CM_STANDBY]);
	double		timelines = fabs(window->delta[CM_TIMELINE]);
	bool		expected = dbops_expected_role == (RecoveryInProgress() ? DBOPS_ROLE_STANDBY : DBOPS_ROLE_PRIMARY);

	dbops_window_report(run, window, expected ? 0 * roles : Max(roles, timelines), NAN, what_changed(window),
						psprintf("See the log of this server and of its primary for why. If it is to stay so: ALTER SYSTEM SET dbops.expected_role = '%s'; SELECT pg_reload_conf();",
								 RecoveryInProgress() ? "standby" : "primary"));
}

static const char *
what_changed(const SampleWindow *window)
{
	double		timeline = window->newest.values[CM_TIMELINE];
	double		before = timeline - window->delta[CM_TIMELINE];

	if (window->delta[CM_STANDBY] < 0)
		return psprintf("this server was promoted: it was a standby, and goes on with timeline %.0f", timeline);
	if (window->delta[CM_TIMELINE] != 0)
		return psprintf("the timeline was %.0f and is %.0f: another server was promoted before this one", before, timeline);
	return psprintf("neither role nor timeline has changed in %s", dbops_figure_duration(window->seconds));
}

/* ---- its clock ---- */

static void
judge_clock(const void *facts, DbopsCheckRun *run)
{
	const SampleWindow *window = facts;
	double		back = window->newest.at == 0 ? NAN : window->newest.values[CM_CLOCK_SET_BACK];

	if (isnan(back))
		dbops_check_report_unknown(run, NULL, DBOPS_NO_SAMPLES, "See the check collector.samples.");
	else
		dbops_check_report_value(run, back, NAN, (DbopsFinding)
								 {
									 .message = back == 0 ? "the clock was not set back in the last hour" : psprintf("the clock was set back by %s", dbops_figure_duration(back)),
									 .remedy = "Let chrony or systemd-timesyncd slew the clock instead of stepping it; rows written meanwhile have times of the future."
								 });
}

/* ---- its settings ---- */

/* Their names only: what a setting is may be secret. */
static void
judge_settings(const void *facts, DbopsCheckRun *run)
{
	List	   *names;
	TimestampTz followed = dbops_setting_drift_read(dbops_clock_now() - USECS_PER_DAY, &names);
	StringInfoData text;
	ListCell   *cell;

	if (followed == 0)
	{
		dbops_check_report_unknown(run, NULL, "nobody follows the settings",
								   "Add dbops to shared_preload_libraries and restart; if it is there, look again in a minute.");
		return;
	}
	initStringInfo(&text);
	foreach(cell, names)
		if (foreach_current_index(cell) < MOST_NAMED)
			appendStringInfo(&text, "%s%s", text.len == 0 ? "" : ", ", (const char *) lfirst(cell));
	if (list_length(names) > MOST_NAMED)
		appendStringInfo(&text, " and %d more", list_length(names) - MOST_NAMED);
	dbops_check_report_value(run, list_length(names), NAN, (DbopsFinding)
							 {
								 .message = names == NIL ? psprintf("no setting was changed in %s", dbops_figure_duration(Min(SECS_PER_DAY, Max(0, dbops_health_age(followed))))) :
									 psprintf("changed in the last day: %s", text.data),
								 .remedy = "See what they are and where they stand: SELECT name, setting, sourcefile, sourceline FROM pg_settings WHERE sourcefile IS NOT NULL;"
							 });
}
