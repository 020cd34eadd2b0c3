/*
 * sessions.c
 *		Who is connected, and what they wait for or hold.
 *
 * One pass over the processes' slots and one over the backends' status, both
 * in shared memory. Status is what the transaction first saw of it, as in
 * pg_stat_activity.
 */
#include "observe/observe.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/postmaster.h"
#include "utils/backend_status.h"

static void count_lock_wait(Sessions *sessions, const Process *process);
static void count_client(Sessions *sessions, const PgBackendStatus *status,
						 const Process *process);
static void count_transaction(Sessions *sessions, const PgBackendStatus *status,
							  const Process *process);
static bool is_idle_in_transaction(const PgBackendStatus *status);
static void keep_older(Transaction *oldest, const PgBackendStatus *status,
					   TimestampTz since);
static double seconds_since(TimestampTz time);
static void read_prepared(Sessions *sessions);

/* Look at all sessions. */
void
dbops_sessions_read(Sessions *sessions)
{
	int			n_processes;
	Process    *processes = dbops_processes_read(&n_processes);
	int			n = pgstat_fetch_stat_numbackends();

	for (int i = 0; i < n_processes; i++)
		count_lock_wait(sessions, &processes[i]);
	for (int i = 1; i <= n; i++)
	{
		PgBackendStatus *status = &pgstat_get_local_beentry_by_index(i)->backendStatus;
		Process    *process = dbops_process_find(processes, n_processes, status->st_procpid);

		if (status->st_backendType == B_BACKEND)
			count_client(sessions, status, process);
		if (status->st_backendType == B_BACKEND ||
			status->st_backendType == B_BG_WORKER)
			count_transaction(sessions, status, process);
	}
	sessions->usable = MaxConnections - SuperuserReservedConnections - ReservedConnections;
	read_prepared(sessions);
}

/*
 * How many of the connections that ordinary roles may open are in use, in
 * percent. When all are, superusers may open some more.
 */
double
dbops_sessions_used_percent(const Sessions *sessions)
{
	return dbops_figure_percent(Min(sessions->clients, sessions->usable), sessions->usable);
}

/*
 * Whether too little is known of the sessions to say that few are active or
 * that none holds a transaction open.
 */
bool
dbops_sessions_hide(const Sessions *sessions)
{
	return sessions->untracked > 0;
}

/* Count a wait for a lock; when it began is known a moment after it has. */
static void
count_lock_wait(Sessions *sessions, const Process *process)
{
	double		waited;

	if (!process->waits)
		return;
	sessions->lock_waits++;
	if (process->waits_since == 0)
		return;
	waited = seconds_since(process->waits_since);
	sessions->longest_lock_wait = Max(sessions->longest_lock_wait, waited);
	if (waited >= LONG_LOCK_WAIT)
		sessions->long_lock_waits++;
}

static void
count_client(Sessions *sessions, const PgBackendStatus *status, const Process *process)
{
	sessions->clients++;
	if (status->st_state == STATE_RUNNING)
		sessions->active++;
	else if (status->st_state == STATE_IDLE)
		sessions->idle++;
	else if (is_idle_in_transaction(status))
		sessions->idle_in_transaction++;
	else if (status->st_state == STATE_DISABLED)
		sessions->untracked++;

	if (process != NULL && process->waits)
		sessions->waiting++;
}

/* Find the oldest transactions. One that holds nothing harms nobody. */
static void
count_transaction(Sessions *sessions, const PgBackendStatus *status, const Process *process)
{
	if (status->st_xact_start_timestamp == 0)
		return;
	keep_older(&sessions->oldest, status, status->st_xact_start_timestamp);
	if (process == NULL)
		return;
	if (process->holds_horizon)
		keep_older(&sessions->oldest_horizon, status, status->st_xact_start_timestamp);
	if (is_idle_in_transaction(status) &&
		(process->holds_horizon || process->holds_locks))
		keep_older(&sessions->oldest_idle, status, status->st_state_start_timestamp);
}

static bool
is_idle_in_transaction(const PgBackendStatus *status)
{
	return status->st_state == STATE_IDLEINTRANSACTION ||
		status->st_state == STATE_IDLEINTRANSACTION_ABORTED;
}

static void
keep_older(Transaction *oldest, const PgBackendStatus *status, TimestampTz since)
{
	double		age = seconds_since(since);

	if (oldest->pid != 0 && oldest->age >= age)
		return;
	oldest->pid = status->st_procpid;
	oldest->age = age;
	oldest->idle = is_idle_in_transaction(status);
}

static double
seconds_since(TimestampTz time)
{
	return Max(0, (dbops_clock_now() - time) / (double) USECS_PER_SEC);
}

/* Ask how many transactions are prepared, and how old the oldest is. */
static void
read_prepared(Sessions *sessions)
{
	Prepared	prepared;

	dbops_prepared_read(&prepared);
	sessions->prepared = prepared.count;
	sessions->oldest_prepared = prepared.age;
	sessions->oldest_prepared_gid = prepared.gid;
}
