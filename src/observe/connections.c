/*
 * connections.c
 *		connections(): every client's session, and what it does or waits for.
 *
 * The longest transactions come first, then the longest statements: that is
 * what one looks for. Parallel workers are counted with their leader.
 */
#include "observe/report.h"

PG_FUNCTION_INFO_V1(dbops_connections);

static void put_connection(ReportRow *row, const Activity *activity, const LockGraph *graph, bool texts);
static List *blocked_by(const LockGraph *graph, int pid);
static int	by_age(const ListCell *a, const ListCell *b);
static int	compare_times(TimestampTz left, TimestampTz right);
static double seconds_since(TimestampTz time);

/* connections() → the sessions of clients */
Datum
dbops_connections(PG_FUNCTION_ARGS)
{
	bool		texts = dbops_report_shows_texts();
	List	   *activities;
	LockGraph	graph;
	ReportRow	row;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	dbops_report_begin(&row, (ReturnSetInfo *) fcinfo->resultinfo);
	activities = dbops_activity_read();
	dbops_lock_graph_read(&graph);
	list_sort(activities, by_age);
	foreach(cell, activities)
	{
		const Activity *activity = lfirst(cell);

		if (strcmp(activity->type, "client backend") == 0)
			put_connection(&row, activity, &graph, texts);
	}
	return (Datum) 0;
}

static void
put_connection(ReportRow *row, const Activity *activity, const LockGraph *graph, bool texts)
{
	dbops_report_pid(row, activity->pid);
	dbops_report_text(row, OidIsValid(activity->database) ? dbops_database_name(activity->database) : NULL);
	dbops_report_text(row, OidIsValid(activity->role) ? dbops_role_name(activity->role) : NULL);
	dbops_report_text(row, activity->application);
	dbops_report_text(row, activity->client);
	dbops_report_boolean(row, activity->encrypted);
	dbops_report_text(row, activity->state);
	dbops_report_interval(row, seconds_since(activity->state_since));
	dbops_report_interval(row, seconds_since(activity->transaction_since));
	dbops_report_time(row, activity->connected);
	dbops_report_text(row, activity->wait_type);
	dbops_report_text(row, activity->wait);
	dbops_report_pids(row, blocked_by(graph, activity->pid));
	dbops_report_integer(row, activity->workers);
	if (activity->query_id != 0)
		dbops_report_bigint(row, activity->query_id);
	else
		dbops_report_bytes(row, -1);
	dbops_report_text(row, texts ? activity->query : NULL);
	dbops_report_put(row);
}

static List *
blocked_by(const LockGraph *graph, int pid)
{
	int			party = dbops_lock_party(graph, pid);

	return party < 0 ? NIL : dbops_lock_blocking_pids(graph, party);
}

/* The longest transaction first, then who has been in its state longest. */
static int
by_age(const ListCell *a, const ListCell *b)
{
	const Activity *left = lfirst(a);
	const Activity *right = lfirst(b);
	int			order = compare_times(left->transaction_since, right->transaction_since);

	if (order == 0)
		order = compare_times(left->state_since, right->state_since);
	return order != 0 ? order : left->pid - right->pid;
}

/* The earlier one first, no time last. */
static int
compare_times(TimestampTz left, TimestampTz right)
{
	left = left != 0 ? left : DT_NOEND;
	right = right != 0 ? right : DT_NOEND;
	return (left > right) - (left < right);
}

static double
seconds_since(TimestampTz time)
{
	return time == 0 ? NAN : Max(0, (dbops_clock_now() - time) / (double) USECS_PER_SEC);
}
