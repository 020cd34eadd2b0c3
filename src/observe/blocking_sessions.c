/*
 * blocking_sessions.c
 *		blocking_sessions(): who waits for whom, and what would end it.
 *
 * A row for each session or prepared transaction that waits for a heavyweight
 * lock or keeps another waiting, below the one that it waits for. What would
 * let all below a root go on is told with each of them: a statement that runs is
 * cancelled, but one that has ended long ago cannot be, so a session that idles
 * is terminated, and a prepared transaction, which has no session, rolled back.
 */
#include "observe/report.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(dbops_blocking_sessions);

/* A transaction that was prepared, as its party is known. */
typedef struct PreparedOne
{
	TransactionId xid;
	const char *gid;
	TimestampTz since;
	Oid			role;
	Oid			database;
} PreparedOne;

typedef struct Look
{
	LockGraph	graph;
	List	   *activities;
	List	   *prepared;		/* of PreparedOne *; read when one holds a lock */
	Blocked    *tree;
	bool		texts;			/* may be shown */
} Look;

static List *read_prepared(const LockGraph *graph);
static void take_prepared(HeapTuple row, TupleDesc desc, void *arg);
static const PreparedOne *find_prepared(const Look *look, int party);
static void put_party(ReportRow *row, const Look *look, int number);
static void put_place(ReportRow *row, const Look *look, int number);
static void put_wait(ReportRow *row, const Look *look, int number);
static void put_session(ReportRow *row, const Look *look, int number);
static void put_prepared(ReportRow *row, const PreparedOne *prepared);
static const char *name_party(const Look *look, int number);
static const char *path_to(const Look *look, int number);
static const char *name_object(const LockParty *party);
static const char *name_relation(const LockParty *party);
static TimestampTz idle_since(const Look *look, int number);
static const char *remedy(const Look *look, int root);
static bool holds_for_session(const Look *look, int root);

/* blocking_sessions() → a tree of those who wait and those they wait for */
Datum
dbops_blocking_sessions(PG_FUNCTION_ARGS)
{
	Look		look = {.texts = dbops_report_shows_texts()};
	ReportRow	row;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	dbops_report_begin(&row, (ReturnSetInfo *) fcinfo->resultinfo);
	dbops_lock_graph_read(&look.graph);
	if (look.graph.n == 0)
		return (Datum) 0;
	look.activities = dbops_activity_read();
	look.prepared = read_prepared(&look.graph);
	look.tree = dbops_blocking_tree(&look.graph, look.activities);
	foreach(cell, dbops_blocking_order(&look.graph, look.tree))
		put_party(&row, &look, lfirst_int(cell));
	return (Datum) 0;
}

/* Ask for the prepared transactions, if any holds a lock. */
static List *
read_prepared(const LockGraph *graph)
{
	List	   *prepared = NIL;

	for (int i = 0; i < graph->n && prepared == NIL; i++)
		if (graph->parties[i].pid == 0)
			dbops_store_each("SELECT transaction::text::bigint, gid, prepared, ownerid, dbid FROM pg_prepared_xact()",
							 0, NULL, take_prepared, &prepared);
	return prepared;
}

static void
take_prepared(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **all = arg;
	PreparedOne *prepared = palloc(sizeof(PreparedOne));

	prepared->xid = (TransactionId) dbops_row_int8(row, desc, 1);
	prepared->gid = dbops_row_text(row, desc, 2);
	prepared->since = dbops_row_time(row, desc, 3);
	prepared->role = dbops_row_oid(row, desc, 4);
	prepared->database = dbops_row_oid(row, desc, 5);
	*all = lappend(*all, prepared);
}

/* Which prepared transaction a party is; NULL: none, or it has ended. */
static const PreparedOne *
find_prepared(const Look *look, int party)
{
	ListCell   *cell;

	foreach(cell, look->prepared)
	{
		const PreparedOne *prepared = lfirst(cell);

		if (look->graph.parties[party].pid == 0 && prepared->xid == look->graph.parties[party].xid)
			return prepared;
	}
	return NULL;
}

static void
put_party(ReportRow *row, const Look *look, int number)
{
	put_place(row, look, number);
	put_wait(row, look, number);
	put_session(row, look, number);
	dbops_report_put(row);
}

/* Where it stands in the tree, and what to do about the root. */
static void
put_place(ReportRow *row, const Look *look, int number)
{
	const Blocked *place = &look->tree[number];
	const LockParty *party = &look->graph.parties[number];

	dbops_report_text(row, psprintf("%*s%s", place->depth * 2, "", name_party(look, number)));
	dbops_report_integer(row, place->depth);
	dbops_report_pid(row, party->pid);
	dbops_report_text(row, name_party(look, place->root));
	dbops_report_time(row, idle_since(look, place->root));
	dbops_report_text(row, remedy(look, place->root));
	dbops_report_integer(row, place->n_below);
	dbops_report_pids(row, dbops_lock_blocking_pids(&look->graph, number));
	dbops_report_boolean(row, place->circle);
	dbops_report_text(row, path_to(look, number));
}

/* What it waits for, and for how long. */
static void
put_wait(ReportRow *row, const Look *look, int number)
{
	const LockParty *party = &look->graph.parties[number];
	double		waited = NAN;

	if (party->waits)
		waited = party->since == 0 ? 0 : Max(0, (dbops_clock_now() - party->since) / (double) USECS_PER_SEC);
	dbops_report_interval(row, waited);
	dbops_report_text(row, party->waits ? LockTagTypeNames[party->tag.locktag_type] : NULL);
	dbops_report_text(row, party->waits ? GetLockmodeName(party->tag.locktag_lockmethodid, party->mode) : NULL);
	dbops_report_text(row, party->waits ? name_relation(party) : NULL);
	dbops_report_text(row, party->waits ? name_object(party) : NULL);
}

/* Who it is and what it does. */
static void
put_session(ReportRow *row, const Look *look, int number)
{
	const LockParty *party = &look->graph.parties[number];
	const Activity *activity = dbops_activity_find(look->activities, party->pid);
	static const Activity nobody;

	if (party->pid == 0 && find_prepared(look, number) != NULL)
	{
		put_prepared(row, find_prepared(look, number));
		return;
	}
	if (activity == NULL)
		activity = &nobody;
	dbops_report_text(row, OidIsValid(activity->database) ? dbops_database_name(activity->database) : NULL);
	dbops_report_text(row, OidIsValid(activity->role) ? dbops_role_name(activity->role) : NULL);
	dbops_report_text(row, activity->application);
	dbops_report_text(row, activity->type);
	dbops_report_text(row, activity->state);
	dbops_report_time(row, activity->state_since);
	dbops_report_time(row, activity->transaction_since);
	dbops_report_integer(row, activity->workers);
	dbops_report_text(row, look->texts ? activity->query : NULL);
}

static void
put_prepared(ReportRow *row, const PreparedOne *prepared)
{
	dbops_report_text(row, dbops_database_name(prepared->database));
	dbops_report_text(row, dbops_role_name(prepared->role));
	dbops_report_text(row, NULL);
	dbops_report_text(row, "prepared transaction");
	dbops_report_text(row, "prepared");
	dbops_report_time(row, prepared->since);
	dbops_report_time(row, prepared->since);
	dbops_report_integer(row, 0);
	dbops_report_text(row, NULL);
}

/* By its process, or by the name that it was prepared under. */
static const char *
name_party(const Look *look, int number)
{
	const PreparedOne *prepared;

	if (look->graph.parties[number].pid != 0)
		return psprintf("%d", look->graph.parties[number].pid);
	prepared = find_prepared(look, number);
	return prepared == NULL ? "prepared" : psprintf("prepared %s", quote_literal_cstr(prepared->gid));
}

static const char *
path_to(const Look *look, int number)
{
	const char *path = name_party(look, number);

	for (int above = look->tree[number].parent; above >= 0; above = look->tree[above].parent)
		path = psprintf("%s > %s", name_party(look, above), path);
	return path;
}

/* The relation whose lock, row, page or growth is waited for; that of another database by its number. */
static const char *
name_relation(const LockParty *party)
{
	if (!OidIsValid(party->relation))
		return NULL;
	if (OidIsValid(party->database) && party->database != MyDatabaseId)
		return psprintf("%u", party->relation);
	return dbops_relation_name(party->relation);
}

/* What is locked, if it is no relation. */
static const char *
name_object(const LockParty *party)
{
	const LOCKTAG *tag = &party->tag;

	switch ((LockTagType) tag->locktag_type)
	{
		case LOCKTAG_TRANSACTION:
			return psprintf("transaction %u", tag->locktag_field1);
		case LOCKTAG_VIRTUALTRANSACTION:
			return psprintf("virtual transaction %u/%u", tag->locktag_field1, tag->locktag_field2);
		case LOCKTAG_PAGE:
			return psprintf("page %u", tag->locktag_field3);
		case LOCKTAG_TUPLE:
			return psprintf("row (%u,%u)", tag->locktag_field3, tag->locktag_field4);
		case LOCKTAG_ADVISORY:
			return tag->locktag_field4 == 1 ?
				psprintf("key " INT64_FORMAT, (int64) tag->locktag_field2 << 32 | tag->locktag_field3) :
				psprintf("keys %d, %d", (int32) tag->locktag_field2, (int32) tag->locktag_field3);
		case LOCKTAG_OBJECT:
			return psprintf("object %u of catalog %u", tag->locktag_field3, tag->locktag_field2);
		default:
			return NULL;
	}
}

/* Since when a session idles in its transaction; 0: it does not. */
static TimestampTz
idle_since(const Look *look, int number)
{
	const Activity *activity = dbops_activity_find(look->activities, look->graph.parties[number].pid);

	return activity != NULL && dbops_activity_is_idle_in_transaction(activity) ? activity->state_since : 0;
}

/* What would let those below a root go on; NULL: nothing that could be typed. */
static const char *
remedy(const Look *look, int root)
{
	const LockParty *party = &look->graph.parties[root];
	const PreparedOne *prepared = find_prepared(look, root);
	const Activity *activity = dbops_activity_find(look->activities, party->pid);
	bool		active;

	if (prepared != NULL)
		return psprintf("ROLLBACK PREPARED %s;", quote_literal_cstr(prepared->gid));
	if (activity == NULL)
		return NULL;
	active = party->waits || (activity->state != NULL && strcmp(activity->state, "active") == 0);
	return dbops_activity_remedy(activity, active && !holds_for_session(look, root));
}

/* Advisory locks may outlive the statement and its transaction. */
static bool
holds_for_session(const Look *look, int root)
{
	ListCell   *cell;

	foreach(cell, look->tree[root].children)
		if (look->graph.parties[lfirst_int(cell)].tag.locktag_type == LOCKTAG_ADVISORY)
			return true;
	return false;
}
