/*
 * activity.c
 *		What each session does, as the server itself tells it.
 *
 * Read with the rights of the extension's owner, so that it is complete
 * whatever the caller may see; who shows it leaves out what he may not. The
 * processes of a parallel query are one session, that of their leader.
 */
#include "core/report.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/backend_status.h"

static void take_activity(HeapTuple row, TupleDesc desc, void *arg);
static List *fold_workers(List *all);

/* List all processes that have a session or work for the server, as they are now. */
List *
dbops_activity_read(void)
{
	List	   *all = NIL;

	pgstat_clear_backend_activity_snapshot();
	dbops_store_each("SELECT pid, leader_pid, datid, usesysid, backend_type, application_name, host(client_addr),"
					 " ssl OR gss_enc, state, state_change, backend_start, xact_start, query_start,"
					 " wait_event_type, wait_event, query_id, query"
					 " FROM pg_stat_get_activity(NULL) ORDER BY pid",
					 0, NULL, take_activity, &all);
	return fold_workers(all);
}

static void
take_activity(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **all = arg;
	Activity   *activity = palloc0(sizeof(Activity));

	*activity = (Activity)
	{
		.pid = dbops_row_int4(row, desc, 1),
		.leader = dbops_row_int4(row, desc, 2),
		.database = dbops_row_oid(row, desc, 3),
		.role = dbops_row_oid(row, desc, 4),
		.type = dbops_row_text(row, desc, 5),
		.application = dbops_row_text(row, desc, 6),
		.client = dbops_row_text(row, desc, 7),
		.encrypted = dbops_row_bool(row, desc, 8),
		.state = dbops_row_text(row, desc, 9),
		.state_since = dbops_row_time(row, desc, 10),
		.connected = dbops_row_time(row, desc, 11),
		.transaction_since = dbops_row_time(row, desc, 12),
		.query_since = dbops_row_time(row, desc, 13),
		.wait_type = dbops_row_text(row, desc, 14),
		.wait = dbops_row_text(row, desc, 15),
		.query_id = dbops_row_int8(row, desc, 16),
		.query = dbops_row_text(row, desc, 17)
	};
	*all = lappend(*all, activity);
}

/* Count parallel workers with their leader; one whose leader has gone stands for itself. */
static List *
fold_workers(List *all)
{
	List	   *sessions = NIL;
	ListCell   *cell;

	foreach(cell, all)
	{
		Activity   *activity = lfirst(cell);
		Activity   *leader = activity->leader != 0 ? dbops_activity_find(all, activity->leader) : NULL;

		if (leader != NULL && leader != activity)
			leader->workers++;
		else
			sessions = lappend(sessions, activity);
	}
	return sessions;
}

/* Find a process; NULL if it is not there. */
Activity *
dbops_activity_find(const List *activities, int pid)
{
	int			low = 0;
	int			high = list_length(activities) - 1;

	while (low <= high)
	{
		int			middle = (low + high) / 2;
		Activity   *activity = list_nth(activities, middle);

		if (activity->pid == pid)
			return activity;
		if (activity->pid < pid)
			low = middle + 1;
		else
			high = middle - 1;
	}
	return NULL;
}

bool
dbops_activity_is_idle_in_transaction(const Activity *activity)
{
	return activity->state != NULL && strncmp(activity->state, "idle in transaction", strlen("idle in transaction")) == 0;
}

/*
 * What to type so that a session lets others go on; NULL: nothing that could be
 * typed. A statement can be cancelled, between two there is nothing to cancel;
 * the server's own processes go their way.
 */
const char *
dbops_activity_remedy(const Activity *activity, bool has_statement)
{
	if (activity->pid == MyProcPid)
		return IsTransactionBlock() ? "COMMIT;" : NULL;
	if (strcmp(activity->type, "autovacuum worker") == 0)
		has_statement = true;
	else if (!OidIsValid(activity->database) && strcmp(activity->type, "walsender") != 0)
		return NULL;
	return psprintf("SELECT %s(%d);", has_statement ? "pg_cancel_backend" : "pg_terminate_backend", activity->pid);
}
