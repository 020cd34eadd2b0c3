/*
 * index_unseen.c
 *		Who may scan indexes, and is not among the nodes whose counters are known.
 *
 * These are the standbys that are connected, those for which a slot is kept, the
 * expected ones, those that other nodes feed, as they have told, and those that
 * were connected lately: one that restarts just now has neither connection nor
 * slot. So the standbys that are connected are written down from time to time.
 *
 * A standby goes by its application_name, one that is not there by its slot's.
 */
#include "advise/index_advice.h"

#include "access/xlog.h"
#include "core/server.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "replication/slot.h"
#include "utils/builtins.h"
#include "utils/varlena.h"

PG_FUNCTION_INFO_V1(dbops_note_standbys);

/* A boolean setting that is switched off, in any way to spell it. */
#define IS_OFF	"~* '^track_counts=(of|off|f|fa|fal|fals|false|n|no|0)$'"

static bool is_counted(void);
static void take_uncounted(HeapTuple row, TupleDesc desc, void *arg);
static void turn_blind(IndexNodes *nodes, const char *why);
static void look_for(IndexNodes *nodes, const char *name);
static void find_unseen_standbys(IndexNodes *nodes);
static void find_unseen_slots(IndexNodes *nodes);
static List *idle_slots(void);
static void find_unseen_expected(IndexNodes *nodes);
static void find_unseen_before(IndexNodes *nodes);
static void take_standby(HeapTuple row, TupleDesc desc, void *arg);
static List *connected_standbys(bool *all_known);
static void keep_standbys(void *arg);
static int64 note_standbys(void);

static const DbopsUpkeep keeping_standbys = {
	.name = "index_standbys",.every = 600000,.elsewhere = 600000,.run = keep_standbys
};

/* Register what is done in the background. */
void
dbops_index_unseen_init(void)
{
	dbops_upkeep_register(&keeping_standbys);
}

/* Find a reason why the counters do not tell of all scans. The first one is enough. */
void
dbops_index_find_unseen(IndexNodes *nodes)
{
	const char *uncounted = dbops_index_uncounted();
	ListCell   *cell;

	if (uncounted != NULL)
		turn_blind(nodes, uncounted);
	if (RecoveryInProgress())
		turn_blind(nodes, "this is a standby, which knows of its own scans only: ask the primary");
	find_unseen_standbys(nodes);
	find_unseen_slots(nodes);
	find_unseen_expected(nodes);
	foreach(cell, nodes->behind)
		look_for(nodes, lfirst(cell));
	find_unseen_before(nodes);
}

/* Why scans of this database are not counted, or not all; NULL: they are. */
const char *
dbops_index_uncounted(void)
{
	char	   *whose = NULL;

	if (!is_counted())
		return "track_counts is off, so that nothing is counted";
	dbops_query_each("SELECT CASE WHEN s.setrole = 0 THEN 'this database' ELSE s.setrole::regrole::text END FROM pg_db_role_setting s"
					 " WHERE s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))"
					 " AND EXISTS (SELECT FROM unnest(s.setconfig) c WHERE c " IS_OFF ")"
					 " UNION ALL SELECT p.oid::regprocedure::text FROM pg_proc p WHERE p.proconfig IS NOT NULL"
					 " AND EXISTS (SELECT FROM unnest(p.proconfig) c WHERE c " IS_OFF ") LIMIT 1",
					 0, NULL, take_uncounted, &whose);
	return (whose == NULL) ? NULL : psprintf("track_counts is off for %s, whose scans are not counted", whose);
}

static void
take_uncounted(HeapTuple row, TupleDesc desc, void *arg)
{
	*(char **) arg = dbops_row_text(row, desc, 1);
}

/* In this session and, whatever it has set for itself, in others. */
static bool
is_counted(void)
{
	const struct config_generic *setting = find_setting("track_counts");

	return pgstat_track_counts && setting != NULL && ((const struct config_bool *) setting)->reset_val;
}

static void
turn_blind(IndexNodes *nodes, const char *why)
{
	if (nodes->blind == NULL)
		nodes->blind = why;
}

static void
look_for(IndexNodes *nodes, const char *name)
{
	if (!dbops_texts_have(nodes->imports, name))
		turn_blind(nodes, psprintf("what standby %s scans is not known: see dbops.import_index_usage()", dbops_quote_name(name)));
}

/* Two that call themselves the same cannot both be known. */
static void
find_unseen_standbys(IndexNodes *nodes)
{
	bool		all_known;
	List	   *seen = NIL;
	ListCell   *cell;

	foreach(cell, connected_standbys(&all_known))
	{
		char	   *name = lfirst(cell);

		if (dbops_texts_have(seen, name))
			turn_blind(nodes, psprintf("several standbys are called %s: give each its own application_name", dbops_quote_name(name)));
		look_for(nodes, name);
		seen = lappend(seen, name);
	}
	if (!all_known)
		turn_blind(nodes, "a standby has connected whose name this transaction does not see: ask again in another one");
}

/* List the names of those that apply what they get; a session sees who is connected as of its first look in a transaction. */
static List *
connected_standbys(bool *all_known)
{
	List	   *names = NIL;
	ListCell   *cell;

	*all_known = true;
	foreach(cell, dbops_standbys_read(dbops_written()))
	{
		const Standby *standby = lfirst(cell);
		const char *name = (standby->logical || !standby->applies) ? NULL : dbops_standby_name(standby->pid);

		if (name != NULL)
			names = lappend(names, unconstify(char *, name));
		else if (!standby->logical && standby->applies)
			*all_known = false;
	}
	return names;
}

/* A slot that nobody uses is kept for a standby that will come back. */
static void
find_unseen_slots(IndexNodes *nodes)
{
	ListCell   *cell;

	foreach(cell, idle_slots())
		if (!dbops_texts_have(nodes->imports, lfirst(cell)))
			turn_blind(nodes, psprintf("slot %s is kept for a standby whose scans are not known: see dbops.import_index_usage()",
									   dbops_quote_name(lfirst(cell))));
}

static List *
idle_slots(void)
{
	List	   *idle = NIL;

	LWLockAcquire(ReplicationSlotControlLock, LW_SHARED);
	for (int i = 0; i < max_replication_slots; i++)
	{
		ReplicationSlot *slot = &ReplicationSlotCtl->replication_slots[i];

		if (slot->in_use && slot->active_pid == 0 && SlotIsPhysical(slot) && slot->data.persistency == RS_PERSISTENT)
			idle = lappend(idle, pstrdup(NameStr(slot->data.name)));
	}
	LWLockRelease(ReplicationSlotControlLock);
	return idle;
}

static void
find_unseen_expected(IndexNodes *nodes)
{
	List	   *expected;
	ListCell   *cell;

	if (!SplitIdentifierString(pstrdup(dbops_expected_standbys), ',', &expected))
	{
		turn_blind(nodes, "dbops.expected_standbys is no list of names");
		return;
	}
	foreach(cell, expected)
		look_for(nodes, lfirst(cell));
}

/* One that was connected may be away for a minute. */
static void
find_unseen_before(IndexNodes *nodes)
{
	DbopsParam	param = dbops_param_time(nodes->now - DBOPS_IMPORT_DAYS * USECS_PER_DAY);

	dbops_store_each("SELECT name, seen_at FROM dbops.index_usage_standby WHERE seen_at >= $1 ORDER BY name",
					 1, &param, take_standby, nodes);
}

static void
take_standby(HeapTuple row, TupleDesc desc, void *arg)
{
	IndexNodes *nodes = arg;
	const char *name = dbops_row_text(row, desc, 1);

	if (dbops_texts_have(nodes->imports, name))
		return;
	turn_blind(nodes, psprintf("what standby %s scans is not known, which was connected %s ago: see dbops.import_index_usage() or, if it is no more,"
							   " SELECT dbops.forget_index_usage(%s)",
							   dbops_quote_name(name),
							   dbops_figure_duration(Max(nodes->now - dbops_row_time(row, desc, 2), 0) / (double) USECS_PER_SEC),
							   quote_literal_cstr(name)));
}

/* List who reads from this server's WAL, now or when it comes back. */
List *
dbops_index_readers(void)
{
	bool		all_known;

	return list_concat(connected_standbys(&all_known), idle_slots());
}

static void
keep_standbys(void *arg)
{
	(void) note_standbys();
}

/* note_standbys() → how many were written down */
Datum
dbops_note_standbys(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(note_standbys());
}

/* Write down who is connected, and forget who was long ago. */
static int64
note_standbys(void)
{
	bool		all_known;
	List	   *names = connected_standbys(&all_known);
	DbopsParam	params[] = {dbops_param_time(dbops_clock_now()), dbops_param_texts(names)};

	if (names != NIL)
		dbops_store_each("INSERT INTO dbops.index_usage_standby (name, seen_at) SELECT DISTINCT name, $1 FROM unnest($2) name"
						 " ON CONFLICT (name) DO UPDATE SET seen_at = excluded.seen_at",
						 lengthof(params), params, NULL, NULL);
	dbops_store_each("DELETE FROM dbops.index_usage_standby WHERE seen_at < $1 - interval '7 days'", 1, params, NULL, NULL);
	return list_length(names);
}
