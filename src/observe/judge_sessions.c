/*
 * judge_sessions.c
 *		Checks of sessions, of what they wait for and of what they hold.
 *
 * An open transaction counts when it holds something; a wait counts when it
 * has lasted.
 */
#include "observe/observe.h"

#include "miscadmin.h"
#include "utils/builtins.h"

static void report_hidden(const Sessions *sessions, DbopsCheckRun *run);
static const char *end_transaction(const Transaction *transaction);

/* The rule of the old function. */
void
dbops_judge_active(const void *facts, DbopsCheckRun *run)
{
	const Sessions *sessions = &dbops_health_require(facts, PART_SESSIONS)->sessions;

	if (dbops_sessions_hide(sessions) && sessions->active <= MANY_ACTIVE)
		report_hidden(sessions, run);
	else
		dbops_health_report_above(run, sessions->active, MANY_ACTIVE, NO_THRESHOLD, (DbopsFinding)
								  {
									  .message = psprintf(ngettext("%d session is active", "%d sessions are active",
															   sessions->active), sessions->active),
									  .remedy = "See in pg_stat_activity what they run; a connection pool keeps their number down."
								  });
}

/* 80 and 95 percent: postgres_exporter's rules, check_postgres. */
void
dbops_judge_connections(const void *facts, DbopsCheckRun *run)
{
	const Sessions *sessions = &dbops_health_require(facts, PART_SESSIONS)->sessions;

	dbops_health_report_above(run, dbops_figure_percent(sessions->clients, sessions->usable), 80, 95, (DbopsFinding)
							  {
								  .message = psprintf("%d of %d connections are in use",
													  sessions->clients, sessions->usable),
								  .remedy = "Use a connection pool, or raise max_connections and restart."
							  });
}

/* 300 s: pgmonitor, the RDS advisor's 1800 s. */
void
dbops_judge_idle_in_transaction(const void *facts, DbopsCheckRun *run)
{
	const Sessions *sessions = &dbops_health_require(facts, PART_SESSIONS)->sessions;
	const Transaction *oldest = &sessions->oldest_idle;

	if (dbops_sessions_hide(sessions) && oldest->age <= 5 * SECS_PER_MINUTE)
		report_hidden(sessions, run);
	else
		dbops_health_report_above(run, oldest->age, 5 * SECS_PER_MINUTE, 30 * SECS_PER_MINUTE, (DbopsFinding)
							  {
								  .message = oldest->pid == 0 ? "no session idles in a transaction that holds anything" :
									  psprintf("process %d has idled for %s in a transaction that holds locks or a snapshot",
											   oldest->pid, dbops_figure_duration(oldest->age)),
								  .remedy = end_transaction(oldest)
							  });
}

/* One for a minute, five for a minute: check_postgres, pganalyze. */
void
dbops_judge_lock_waits(const void *facts, DbopsCheckRun *run)
{
	const Sessions *sessions = &dbops_health_require(facts, PART_SESSIONS)->sessions;

	dbops_health_report_above(run, sessions->long_lock_waits, 0, 4, (DbopsFinding)
							  {
								  .message = sessions->lock_waits == 0 ? "no process waits for a lock" :
									  psprintf("of %d that wait for a lock, %d have for more than %d s, the longest for %s",
											   sessions->lock_waits, sessions->long_lock_waits,
											   LONG_LOCK_WAIT, dbops_figure_duration(sessions->longest_lock_wait)),
								  .remedy = "SELECT pid, pg_blocking_pids(pid), query FROM pg_stat_activity WHERE wait_event_type = 'Lock';"
							  });
}

/* An hour and a day: pganalyze's xmin horizon. */
void
dbops_judge_oldest_transaction(const void *facts, DbopsCheckRun *run)
{
	const Sessions *sessions = &dbops_health_require(facts, PART_SESSIONS)->sessions;
	const Transaction *oldest = &sessions->oldest_horizon;

	if (dbops_sessions_hide(sessions) && oldest->age <= SECS_PER_HOUR)
		report_hidden(sessions, run);
	else
		dbops_health_report_above(run, oldest->age, SECS_PER_HOUR, SECS_PER_DAY, (DbopsFinding)
							  {
								  .message = oldest->pid == 0 ? "no transaction keeps vacuum from removing rows" :
									  psprintf("the transaction of process %d has kept vacuum from removing rows for %s",
											   oldest->pid, dbops_figure_duration(oldest->age)),
								  .remedy = end_transaction(oldest)
							  });
}

/* Five minutes: check_pgactivity. */
void
dbops_judge_prepared(const void *facts, DbopsCheckRun *run)
{
	const Sessions *sessions = &dbops_health_require(facts, PART_SESSIONS)->sessions;

	dbops_health_report_above(run, sessions->oldest_prepared, 5 * SECS_PER_MINUTE, SECS_PER_HOUR, (DbopsFinding)
							  {
								  .message = sessions->prepared == 0 ? "no transaction is prepared" :
									  psprintf("of %d prepared, the oldest transaction, %s, has been for %s",
											   sessions->prepared, sessions->oldest_prepared_gid,
											   dbops_figure_duration(sessions->oldest_prepared)),
								  .remedy = sessions->prepared == 0 ? NULL :
									  psprintf("ROLLBACK PREPARED %s;", quote_literal_cstr(sessions->oldest_prepared_gid))
							  });
}

/* Say that sessions which are not tracked could be what is looked for. */
static void
report_hidden(const Sessions *sessions, DbopsCheckRun *run)
{
	dbops_health_report_unknown(run, NULL,
								psprintf(ngettext("%d session hides what it does",
												  "%d sessions hide what they do",
												  sessions->untracked), sessions->untracked),
								"Set track_activities to on, and SELECT pg_reload_conf();");
}

/* A session that waits for its client cannot be cancelled, only ended. */
static const char *
end_transaction(const Transaction *transaction)
{
	if (transaction->pid == MyProcPid)
		return "End the transaction in which this was asked.";
	return psprintf("SELECT %s(%d);",
					transaction->idle ? "pg_terminate_backend" : "pg_cancel_backend",
					transaction->pid);
}
