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

static bool report_hidden(const Sessions *sessions, double seen, DbopsCheckRun *run);
static const char *end_transaction(const Transaction *transaction);

void
dbops_judge_active(const void *facts, DbopsCheckRun *run)
{
	const Sessions *sessions = &dbops_health_require(facts, PART_SESSIONS)->sessions;

	if (report_hidden(sessions, sessions->active, run))
		return;
	dbops_check_report_value(run, sessions->active, NAN, (DbopsFinding)
							 {
								 .message = psprintf(ngettext("%d session is active", "%d sessions are active",
															  sessions->active), sessions->active),
								 .remedy = "See in pg_stat_activity what they run; a connection pool keeps their number down."
							 });
}

void
dbops_judge_connections(const void *facts, DbopsCheckRun *run)
{
	const Sessions *sessions = &dbops_health_require(facts, PART_SESSIONS)->sessions;

	dbops_check_report_value(run, dbops_sessions_used_percent(sessions), NAN, (DbopsFinding)
							 {
								 .message = psprintf(ngettext("%d connection is in use; ordinary roles may open %d",
															  "%d connections are in use; ordinary roles may open %d",
															  sessions->clients), sessions->clients, sessions->usable),
								 .remedy = "Check for connection leaks, consider increasing pool size: SELECT * FROM dbops.connections(); the server's own limit is max_connections."
							 });
}

void
dbops_judge_waiting(const void *facts, DbopsCheckRun *run)
{
	const Sessions *sessions = &dbops_health_require(facts, PART_SESSIONS)->sessions;

	dbops_check_report_value(run, sessions->waiting, NAN, (DbopsFinding)
							 {
								 .message = psprintf(ngettext("%d session waits for a lock", "%d sessions wait for a lock",
															  sessions->waiting), sessions->waiting),
								 .remedy = "Immediate investigation, may need to kill long-running queries: SELECT * FROM dbops.blocking_sessions();"
							 });
}

void
dbops_judge_idle_in_transaction(const void *facts, DbopsCheckRun *run)
{
	const Sessions *sessions = &dbops_health_require(facts, PART_SESSIONS)->sessions;
	const Transaction *oldest = &sessions->oldest_idle;

	if (report_hidden(sessions, oldest->age, run))
		return;
	dbops_check_report_value(run, oldest->age, NAN, (DbopsFinding)
							 {
								 .message = oldest->pid == 0 ? "no session idles in a transaction that holds anything" :
									 psprintf("process %d has idled for %s in a transaction that holds locks or a snapshot",
											  oldest->pid, dbops_figure_duration(oldest->age)),
								 .remedy = end_transaction(oldest)
							 });
}

void
dbops_judge_lock_waits(const void *facts, DbopsCheckRun *run)
{
	const Sessions *sessions = &dbops_health_require(facts, PART_SESSIONS)->sessions;

	dbops_check_report_value(run, sessions->long_lock_waits, NAN, (DbopsFinding)
							 {
								 .message = sessions->lock_waits == 0 ? "no process waits for a lock" :
									 psprintf("%s for a lock, %d for more than %d s, the longest for %s",
											  dbops_figure_count(sessions->lock_waits, "process waits", "processes wait"), sessions->long_lock_waits,
											  LONG_LOCK_WAIT, dbops_figure_duration(sessions->longest_lock_wait)),
								 .remedy = "SELECT pid, pg_blocking_pids(pid), query FROM pg_stat_activity WHERE wait_event_type = 'Lock';"
							 });
}

void
dbops_judge_oldest_transaction(const void *facts, DbopsCheckRun *run)
{
	const Sessions *sessions = &dbops_health_require(facts, PART_SESSIONS)->sessions;
	const Transaction *oldest = &sessions->oldest_horizon;

	if (report_hidden(sessions, oldest->age, run))
		return;
	dbops_check_report_value(run, oldest->age, NAN, (DbopsFinding)
							 {
								 .message = oldest->pid == 0 ? "no transaction keeps vacuum from removing rows" :
									 psprintf("the transaction of process %d has kept vacuum from removing rows for %s",
											  oldest->pid, dbops_figure_duration(oldest->age)),
								 .remedy = end_transaction(oldest)
							 });
}

/* Its name is not known to who is in no database. */
void
dbops_judge_prepared(const void *facts, DbopsCheckRun *run)
{
	const Sessions *sessions = &dbops_health_require(facts, PART_SESSIONS)->sessions;
	const char *gid = sessions->oldest_prepared_gid;

	dbops_check_report_value(run, sessions->oldest_prepared, NAN, (DbopsFinding)
							 {
								 .message = sessions->prepared == 0 ? "no transaction is prepared" :
									 psprintf("of %d prepared, the oldest transaction%s has been for %s",
											  sessions->prepared, gid == NULL ? "" : psprintf(", %s,", gid),
											  dbops_figure_duration(sessions->oldest_prepared)),
								 .remedy = gid == NULL ? "SELECT * FROM pg_prepared_xacts; then ROLLBACK PREPARED or COMMIT PREPARED." :
									 psprintf("ROLLBACK PREPARED %s;", quote_literal_cstr(gid))
							 });
}

/* Say that sessions which are not tracked could be what is looked for, unless enough is seen for a warning. */
static bool
report_hidden(const Sessions *sessions, double seen, DbopsCheckRun *run)
{
	if (!dbops_sessions_hide(sessions) || seen > dbops_check_threshold(run)->warning)
		return false;
	dbops_check_report_unknown(run, NULL,
							   psprintf(ngettext("%d session hides what it does",
												 "%d sessions hide what they do",
												 sessions->untracked), sessions->untracked),
							   "Set track_activities to on, and SELECT pg_reload_conf();");
	return true;
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
