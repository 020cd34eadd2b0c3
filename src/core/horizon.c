/*
 * horizon.c
 *		Who keeps vacuum from removing dead rows in this database, and since when.
 *
 * A snapshot does so in its own database, and a transaction that has an id in
 * all, because every later snapshot goes back to it. Sessions, prepared
 * transactions, replication slots, and standbys that send feedback: the server
 * knows since when only of the first two; for the others past.c does.
 */
#include "core/server.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "replication/slot.h"
#include "storage/lwlock.h"
#include "storage/spin.h"
#include "utils/backend_status.h"

static void look_at_sessions(HorizonIgnores ignores, bool only_here, HorizonHolder *oldest);
static bool is_here(const Process *process, const PgBackendStatus *status);
static bool holds_here(const Process *process);
static double holds_since(const Process *process, const PgBackendStatus *status);
static const char *describe_session(const PgBackendStatus *status);
static const char *describe_kind(BackendType type);
static void look_at_prepared(HorizonHolder *oldest);
static void look_at_slots(HorizonHolder *oldest);
static const char *describe_slot(const char *name, int pid);
static void keep_older(HorizonHolder *oldest, double age, const char *name);

/*
 * Find who has done so for longest; its name is NULL when nobody does.
 * Processes that the callback ignores do not count.
 */
void
dbops_horizon_oldest(HorizonIgnores ignores, HorizonHolder *oldest)
{
	*oldest = (HorizonHolder) {0};
	dbops_past_mark();
	look_at_sessions(ignores, false, oldest);
	look_at_prepared(oldest);
	look_at_slots(oldest);
}

/* The same, of those only that a concurrent build waits for: sessions of this database. */
void
dbops_horizon_oldest_session(HorizonIgnores ignores, HorizonHolder *oldest)
{
	*oldest = (HorizonHolder) {0};
	dbops_past_mark();
	look_at_sessions(ignores, true, oldest);
}

/* The status of sessions is got anew, also within a transaction. */
static void
look_at_sessions(HorizonIgnores ignores, bool only_here, HorizonHolder *oldest)
{
	int			n_processes;
	Process    *processes = dbops_processes_read(&n_processes);
	int			n;

	pgstat_clear_backend_activity_snapshot();
	n = pgstat_fetch_stat_numbackends();
	for (int i = 1; i <= n; i++)
	{
		PgBackendStatus *status = &pgstat_get_local_beentry_by_index(i)->backendStatus;
		Process    *process = dbops_process_find(processes, n_processes, status->st_procpid);
		double		age;

		if (process == NULL || !holds_here(process) || ignores(process->leader) ||
			(only_here && !is_here(process, status)))
			continue;
		age = holds_since(process, status);
		if (oldest->name == NULL || age > oldest->age)
			keep_older(oldest, age, describe_session(status));
	}
	pfree(processes);
}

/* Is it of this database, and no standby's? */
static bool
is_here(const Process *process, const PgBackendStatus *status)
{
	return process->database == MyDatabaseId && status->st_backendType != B_WAL_SENDER;
}

static bool
holds_here(const Process *process)
{
	return process->holds_horizon &&
		(process->holds_everywhere || process->database == MyDatabaseId);
}

/* A standby's sender has no transaction, and a session may hide its own. */
static double
holds_since(const Process *process, const PgBackendStatus *status)
{
	if (status->st_xact_start_timestamp != 0)
		return (dbops_clock_now() - status->st_xact_start_timestamp) / (double) USECS_PER_SEC;
	if (TransactionIdIsValid(process->xmin))
		return dbops_past_since_xid(process->xmin);
	return 0;
}

static const char *
describe_session(const PgBackendStatus *status)
{
	const char *application = status->st_appname;
	const char *role = OidIsValid(status->st_userid) ? dbops_role_name(status->st_userid) : NULL;

	if (status->st_backendType == B_WAL_SENDER)
		return psprintf("standby \"%s\"", application);
	return psprintf("%s %d%s%s%s", describe_kind(status->st_backendType), status->st_procpid,
					role == NULL ? "" : psprintf(" of role \"%s\"", role),
					application[0] == '\0' ? "" : psprintf(", application \"%s\"", application),
					status->st_state == STATE_IDLEINTRANSACTION ? ", idle in transaction" : "");
}

static const char *
describe_kind(BackendType type)
{
	switch (type)
	{
		case B_BACKEND:
			return "session";
		case B_AUTOVAC_WORKER:
			return "autovacuum process";
		default:
			return "process";
	}
}

static void
look_at_prepared(HorizonHolder *oldest)
{
	Prepared	prepared;

	dbops_prepared_read(&prepared);
	if (prepared.count > 0)
		keep_older(oldest, prepared.age, psprintf("prepared transaction \"%s\"", prepared.gid));
}

/* A slot's catalog_xmin is left alone: it keeps no rows of users' tables. */
static void
look_at_slots(HorizonHolder *oldest)
{
	LWLockAcquire(ReplicationSlotControlLock, LW_SHARED);
	for (int i = 0; i < max_replication_slots; i++)
	{
		ReplicationSlot *slot = &ReplicationSlotCtl->replication_slots[i];
		TransactionId xmin;
		int			pid;

		if (!slot->in_use)
			continue;
		SpinLockAcquire(&slot->mutex);
		xmin = slot_is_invalidated(slot) ? InvalidTransactionId : slot->effective_xmin;
		pid = slot->active_pid;
		SpinLockRelease(&slot->mutex);

		if (TransactionIdIsValid(xmin))
			keep_older(oldest, dbops_past_since_xid(xmin),
					   describe_slot(NameStr(slot->data.name), pid));
	}
	LWLockRelease(ReplicationSlotControlLock);
}

/* With the standby that sends feedback through it. */
static const char *
describe_slot(const char *name, int pid)
{
	const char *standby = (pid == 0) ? NULL : dbops_standby_name(pid);

	if (standby == NULL)
		return psprintf("replication slot \"%s\"", name);
	return psprintf("replication slot \"%s\" of standby \"%s\"", name, standby);
}

static void
keep_older(HorizonHolder *oldest, double age, const char *name)
{
	if (oldest->name != NULL && oldest->age >= age)
		return;
	oldest->age = age;
	oldest->name = name;
}
