/*
 * index_nodes.c
 *		How often indexes were scanned, here and on other nodes.
 *
 * Each server counts for itself, and forgets: when its statistics are reset or
 * lost in a crash, and in effect when it is promoted, since it has not seen what
 * its primary did. What other nodes have counted is imported by hand
 * (import_index_usage.c) and is as of then. That an index was not scanned is
 * known only where all nodes that read this database are, each for itself and
 * not long ago; otherwise there is a reason why the counters cannot be trusted.
 *
 * Counters are looked up where the server keeps them: fetched in the usual way,
 * those of every index would stay in this session's memory.
 */
#include "advise/index_advice.h"

#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "catalog/catalog.h"
#include "core/server.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "replication/slot.h"
#include "utils/builtins.h"
#include "utils/pgstat_internal.h"
#include "utils/varlena.h"

#define STALE_DAYS	7			/* an import is too old to say that something is unused */

typedef struct ImportedUsage
{
	Oid			index;
	IndexCounters counters;
} ImportedUsage;

static void read_imports(IndexNodes *nodes);
static void take_node(HeapTuple row, TupleDesc desc, void *arg);
static void take_usage(HeapTuple row, TupleDesc desc, void *arg);
static void begin_no_earlier(IndexNodes *nodes, TimestampTz since, const char *why);
static TimestampTz kept_since(void);
static TimestampTz promoted_at(void);
static void find_blind_spots(IndexNodes *nodes);
static void find_unseen_standbys(IndexNodes *nodes);
static void find_unseen_slots(IndexNodes *nodes);
static void find_unseen_expected(IndexNodes *nodes);
static void turn_blind(IndexNodes *nodes, const char *why);
static void add_counters(const IndexCounters *from, IndexCounters *sum);

/* Find out whose counters are known, and since when all of them have counted. */
IndexNodes *
dbops_index_nodes_read(void)
{
	IndexNodes *nodes = palloc0(sizeof(IndexNodes));

	nodes->now = dbops_clock_now();
	nodes->names = list_make1("this server");
	nodes->since = dbops_counting_since(&nodes->since_why);
	read_imports(nodes);
	find_blind_spots(nodes);
	return nodes;
}

/*
 * Since when this server has counted, in the role that it has. After a crash, and
 * when a server first starts, everything is counted anew; each of these counters
 * begins then or, if somebody has reset it, later, so that the oldest tells.
 */
TimestampTz
dbops_counting_since(const char **why)
{
	PgStat_StatDBEntry *database = pgstat_fetch_stat_dbentry(MyDatabaseId);
	TimestampTz since = kept_since();
	TimestampTz promoted = promoted_at();

	*why = "the server was new then, or had lost its statistics in a crash";
	if (database != NULL && database->stat_reset_timestamp > since)
	{
		since = database->stat_reset_timestamp;
		*why = "statistics were reset then";
	}
	if (promoted > since)
	{
		since = promoted;
		*why = "this server was promoted then";
	}
	return since;
}

static TimestampTz
kept_since(void)
{
	TimestampTz archiver = pgstat_fetch_stat_archiver()->stat_reset_timestamp;
	TimestampTz writer = pgstat_fetch_stat_bgwriter()->stat_reset_timestamp;
	TimestampTz wal = pgstat_fetch_stat_wal()->stat_reset_timestamp;

	return Min(Min(archiver, writer), wal);
}

/* A promoted server has written down then where its timeline comes from; 0: it was not promoted. */
static TimestampTz
promoted_at(void)
{
	char		path[MAXPGPATH];

	if (RecoveryInProgress() || GetWALInsertionTimeLine() <= 1)
		return 0;
	TLHistoryFilePath(path, GetWALInsertionTimeLine());
	return dbops_file_since(path);
}

static void
read_imports(IndexNodes *nodes)
{
	HASHCTL		control = {
		.keysize = sizeof(Oid),
		.entrysize = sizeof(ImportedUsage),
		.hcxt = CurrentMemoryContext
	};

	nodes->imported = hash_create("usage of indexes on other nodes", 256, &control,
								  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	dbops_store_each("SELECT node, observed_since, taken_at FROM dbops.index_usage_node ORDER BY node",
					 0, NULL, take_node, nodes);
	dbops_store_each("SELECT index_oid, sum(scans)::bigint, sum(tuples_read)::bigint, sum(tuples_fetched)::bigint, CASE WHEN count(last_scan) = count(*) THEN max(last_scan) END"
					 " FROM dbops.index_usage_imported GROUP BY index_oid",
					 0, NULL, take_usage, nodes);
}

static void
take_node(HeapTuple row, TupleDesc desc, void *arg)
{
	IndexNodes *nodes = arg;
	const char *name = dbops_row_text(row, desc, 1);
	TimestampTz taken = dbops_row_time(row, desc, 3);

	nodes->names = lappend(nodes->names, unconstify(char *, name));
	begin_no_earlier(nodes, dbops_row_time(row, desc, 2),
					 psprintf("node %s has counted since then", dbops_quote_name(name)));
	if (taken < nodes->now - STALE_DAYS * USECS_PER_DAY)
		turn_blind(nodes, psprintf("the figures of node %s are %s old: import them again, or SELECT dbops.forget_index_usage(%s)",
								   dbops_quote_name(name),
								   dbops_figure_duration((nodes->now - taken) / (double) USECS_PER_SEC),
								   quote_literal_cstr(name)));
}

static void
begin_no_earlier(IndexNodes *nodes, TimestampTz since, const char *why)
{
	if (since <= nodes->since)
		return;
	nodes->since = since;
	nodes->since_why = why;
}

static void
take_usage(HeapTuple row, TupleDesc desc, void *arg)
{
	IndexNodes *nodes = arg;
	Oid			index = dbops_row_oid(row, desc, 1);
	ImportedUsage *usage = hash_search(nodes->imported, &index, HASH_ENTER, NULL);

	usage->counters.scans = dbops_row_int8(row, desc, 2);
	usage->counters.tuples_read = dbops_row_int8(row, desc, 3);
	usage->counters.tuples_fetched = dbops_row_int8(row, desc, 4);
	usage->counters.last_scan = dbops_row_time(row, desc, 5);
}

/* Who reads this database and is not known. The first reason is enough. */
static void
find_blind_spots(IndexNodes *nodes)
{
	if (!pgstat_track_counts)
		turn_blind(nodes, "track_counts is off, so that nothing is counted");
	if (RecoveryInProgress())
		turn_blind(nodes, "this is a standby, which knows of its own scans only: ask the primary");
	find_unseen_standbys(nodes);
	find_unseen_slots(nodes);
	find_unseen_expected(nodes);
}

static void
turn_blind(IndexNodes *nodes, const char *why)
{
	if (nodes->blind == NULL)
		nodes->blind = why;
}

/* Two that call themselves the same cannot both be known. */
static void
find_unseen_standbys(IndexNodes *nodes)
{
	List	   *seen = NIL;
	ListCell   *cell;

	foreach(cell, dbops_standbys_read(dbops_written()))
	{
		const Standby *standby = lfirst(cell);
		const char *name = (standby->logical || !standby->applies) ? NULL : dbops_standby_name(standby->pid);

		if (name == NULL)
			continue;
		if (dbops_texts_have(seen, name))
			turn_blind(nodes, psprintf("several standbys are called %s: give each its own application_name", dbops_quote_name(name)));
		else if (!dbops_texts_have(nodes->names, name))
			turn_blind(nodes, psprintf("what standby %s scans is not known: see dbops.import_index_usage()", dbops_quote_name(name)));
		seen = lappend(seen, unconstify(char *, name));
	}
}

/* A slot that nobody uses is kept for a standby that will come back. */
static void
find_unseen_slots(IndexNodes *nodes)
{
	List	   *unused = NIL;
	ListCell   *cell;

	LWLockAcquire(ReplicationSlotControlLock, LW_SHARED);
	for (int i = 0; i < max_replication_slots; i++)
	{
		ReplicationSlot *slot = &ReplicationSlotCtl->replication_slots[i];

		if (slot->in_use && slot->active_pid == 0 && SlotIsPhysical(slot) && slot->data.persistency == RS_PERSISTENT)
			unused = lappend(unused, pstrdup(NameStr(slot->data.name)));
	}
	LWLockRelease(ReplicationSlotControlLock);
	foreach(cell, unused)
		if (!dbops_texts_have(nodes->names, lfirst(cell)))
			turn_blind(nodes, psprintf("slot %s is kept for a standby whose scans are not known: see dbops.import_index_usage()",
									   dbops_quote_name(lfirst(cell))));
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
		if (!dbops_texts_have(nodes->names, lfirst(cell)))
			turn_blind(nodes, psprintf("what standby %s scans is not known: see dbops.import_index_usage()",
									   dbops_quote_name(lfirst(cell))));
}

/* Sum up what is known of an index, over its partitions and all nodes. */
IndexCounters
dbops_index_counters(const IndexNodes *nodes, IndexEntry *entry)
{
	IndexCounters sum = {0};
	ListCell   *cell;

	foreach(cell, dbops_index_leaves(entry))
	{
		IndexEntry *leaf = lfirst(cell);
		ImportedUsage *imported = hash_search(nodes->imported, &leaf->oid, HASH_FIND, NULL);

		dbops_relation_counters_add(leaf->oid, &sum);
		if (imported != NULL)
			add_counters(&imported->counters, &sum);
	}
	return sum;
}

/* Whether anybody has scanned an index. Some methods count the entries that were read, and no scans. */
bool
dbops_index_is_scanned(const IndexCounters *counters)
{
	return counters->scans > 0 || counters->tuples_read > 0;
}

/* Add what this server has counted of an index, or of a table's sequential scans. */
void
dbops_relation_counters_add(Oid relation, IndexCounters *sum)
{
	PgStat_HashKey key = {PGSTAT_KIND_RELATION, IsSharedRelation(relation) ? InvalidOid : MyDatabaseId, relation};
	PgStatShared_HashEntry *entry = dshash_find(pgStatLocal.shared_hash, &key, false);

	if (entry == NULL)
		return;
	if (!entry->dropped)
	{
		PgStatShared_Relation *shared = dsa_get_address(pgStatLocal.dsa, entry->body);
		IndexCounters counters;

		LWLockAcquire(&shared->header.lock, LW_SHARED);
		counters.scans = shared->stats.numscans;
		counters.tuples_read = shared->stats.tuples_returned;
		counters.tuples_fetched = shared->stats.tuples_fetched;
		counters.last_scan = stat_last_scan(&shared->stats);
		LWLockRelease(&shared->header.lock);
		add_counters(&counters, sum);
	}
	dshash_release_lock(pgStatLocal.shared_hash, entry);
}

static void
add_counters(const IndexCounters *from, IndexCounters *sum)
{
	sum->scans += from->scans;
	sum->tuples_read += from->tuples_read;
	sum->tuples_fetched += from->tuples_fetched;
	sum->last_scan = Max(sum->last_scan, from->last_scan);
	sum->undated = sum->undated || (dbops_index_is_scanned(from) && from->last_scan == 0);
}
