/*
 * index_nodes.c
 *		How often indexes were scanned, here and on other nodes.
 *
 * Each server counts for itself, and forgets: when its statistics are reset or
 * lost in a crash, and in effect when it is promoted, since it has not seen what
 * its primary did. What other nodes have counted is imported by hand
 * (import_index_usage.c) and is as of then. That an index was not scanned is
 * known only of the time in which all of them have counted, and only where all
 * nodes that read this database are known (index_unseen.c).
 *
 * Counters are looked up where the server keeps them: fetched in the usual way,
 * those of every index would stay in this session's memory, and what a reset
 * has begun anew would look old until the transaction ends.
 */
#include "advise/index_advice.h"

#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "catalog/catalog.h"
#include "common/int.h"
#include "core/server.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/builtins.h"
#include "utils/pgstat_internal.h"

/* Of a column over several nodes, which each may have counted much. */
#define SUM_OF(column) "least(sum(" column "), 9223372036854775807)::bigint"

typedef struct ImportedUsage
{
	Oid			index;
	IndexCounters counters;
	const char *node;			/* that scanned it, or one of them */
	int64		nnodes;			/* that did */
} ImportedUsage;

static void read_imports(IndexNodes *nodes);
static void take_node(HeapTuple row, TupleDesc desc, void *arg);
static void take_usage(HeapTuple row, TupleDesc desc, void *arg);
static void begin_no_earlier(IndexNodes *nodes, TimestampTz since, const char *why);
static TimestampTz kept_since(void);
static TimestampTz promoted_at(void);
static PgStatShared_Common *lock_counters(PgStat_Kind kind, Oid object, PgStatShared_HashEntry **entry);
static void add_counters(const IndexCounters *from, IndexCounters *sum);
static int64 add_count(int64 one, int64 other);

/* Find out whose counters are known, and since when all of them have counted. */
IndexNodes *
dbops_index_nodes_read(void)
{
	IndexNodes *nodes = palloc0(sizeof(IndexNodes));

	nodes->now = dbops_clock_now();
	nodes->until = nodes->now;
	nodes->names = list_make1(THIS_SERVER);
	nodes->since = dbops_counting_since(&nodes->since_why);
	read_imports(nodes);
	dbops_index_find_unseen(nodes);
	return nodes;
}

/* Since when this server has counted, in the role that it has. */
TimestampTz
dbops_counting_since(const char **why)
{
	TimestampTz since = dbops_counters_since();
	TimestampTz promoted = promoted_at();

	*why = (since == dbops_counters_reset()) ? "statistics were reset then" :
		"the server was new then, or had lost its statistics in a crash";
	if (promoted > since)
	{
		since = promoted;
		*why = "this server was promoted then";
	}
	return since;
}

/* Since when it has counted in whichever role. */
TimestampTz
dbops_counters_since(void)
{
	TimestampTz kept = kept_since();
	TimestampTz reset = dbops_counters_reset();

	return Max(kept, reset);
}

/* When any counter of this database was last reset, as of now: whoever has read counters before knows what they miss. */
TimestampTz
dbops_counters_reset(void)
{
	PgStatShared_HashEntry *entry;
	PgStatShared_Database *database = (PgStatShared_Database *) lock_counters(PGSTAT_KIND_DATABASE, InvalidOid, &entry);
	TimestampTz reset = 0;

	if (database != NULL)
	{
		reset = database->stats.stat_reset_timestamp;
		LWLockRelease(&database->header.lock);
		dshash_release_lock(pgStatLocal.shared_hash, entry);
	}
	return reset;
}

/*
 * After a crash, and when a server first starts, everything is counted anew; each
 * of these counters begins then or, if somebody has reset it, later, so that the
 * oldest tells.
 */
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
	dbops_store_each("SELECT node, observed_since, taken_at, downstream FROM dbops.index_usage_node ORDER BY node",
					 0, NULL, take_node, nodes);
	dbops_store_each("SELECT index_oid, " SUM_OF("scans") ", " SUM_OF("tuples_read") ", " SUM_OF("tuples_fetched") ","
					 " CASE WHEN count(last_scan) = count(*) THEN max(last_scan) END, min(node), count(*)"
					 " FROM dbops.index_usage_imported WHERE scans > 0 OR tuples_read > 0 GROUP BY index_oid",
					 0, NULL, take_usage, nodes);
}

static void
take_node(HeapTuple row, TupleDesc desc, void *arg)
{
	IndexNodes *nodes = arg;
	const char *name = dbops_row_text(row, desc, 1);
	TimestampTz taken = dbops_row_time(row, desc, 3);

	nodes->names = lappend(nodes->names, unconstify(char *, name));
	nodes->imports = lappend(nodes->imports, unconstify(char *, name));
	nodes->behind = list_concat(nodes->behind, dbops_row_texts(row, desc, 4));
	nodes->until = Min(nodes->until, taken);
	begin_no_earlier(nodes, dbops_row_time(row, desc, 2),
					 psprintf("node %s has counted since then", dbops_quote_name(name)));
	if (taken < nodes->now - DBOPS_IMPORT_DAYS * USECS_PER_DAY && nodes->blind == NULL)
		nodes->blind = psprintf("the figures of node %s are %s old: import them again, or SELECT dbops.forget_index_usage(%s)",
								dbops_quote_name(name),
								dbops_figure_duration((nodes->now - taken) / (double) USECS_PER_SEC),
								quote_literal_cstr(name));
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
	usage->node = dbops_row_text(row, desc, 6);
	usage->nnodes = dbops_row_int8(row, desc, 7);
}

/* Sum up what is known of an index, over its partitions and all nodes. */
IndexCounters
dbops_index_counters(const IndexNodes *nodes, IndexEntry *entry)
{
	IndexCounters sum = dbops_index_counters_here(entry);
	ListCell   *cell;

	foreach(cell, dbops_index_leaves(entry))
	{
		ImportedUsage *imported = hash_search(nodes->imported, &((IndexEntry *) lfirst(cell))->oid, HASH_FIND, NULL);

		if (imported != NULL)
			add_counters(&imported->counters, &sum);
	}
	return sum;
}

/* The same of this server alone. */
IndexCounters
dbops_index_counters_here(IndexEntry *entry)
{
	IndexCounters sum = {0};
	ListCell   *cell;

	foreach(cell, dbops_index_leaves(entry))
		dbops_relation_counters_add(((IndexEntry *) lfirst(cell))->oid, &sum);
	return sum;
}

/* Say who else has scanned an index, as a phrase; NULL: nobody. */
const char *
dbops_index_scanned_elsewhere(const IndexNodes *nodes, IndexEntry *entry)
{
	ListCell   *cell;

	foreach(cell, dbops_index_leaves(entry))
	{
		ImportedUsage *imported = hash_search(nodes->imported, &((IndexEntry *) lfirst(cell))->oid, HASH_FIND, NULL);

		if (imported != NULL)
			return imported->nnodes > 1 ?
				psprintf("scans of node %s and %lld more", dbops_quote_name(imported->node), (long long) imported->nnodes - 1) :
				psprintf("scans of node %s", dbops_quote_name(imported->node));
	}
	return NULL;
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
	PgStatShared_HashEntry *entry;
	PgStatShared_Relation *shared = (PgStatShared_Relation *) lock_counters(PGSTAT_KIND_RELATION, relation, &entry);
	IndexCounters counters = {0};

	if (shared == NULL)
		return;
	counters.scans = shared->stats.numscans;
	counters.tuples_read = shared->stats.tuples_returned;
	counters.tuples_fetched = shared->stats.tuples_fetched;
	counters.live_rows = stat_table_live(&shared->stats);
	counters.last_scan = stat_last_scan(&shared->stats);
	LWLockRelease(&shared->header.lock);
	dshash_release_lock(pgStatLocal.shared_hash, entry);
	add_counters(&counters, sum);
}

/* Find what is counted of a relation, or of this database, and lock it and its entry; NULL: nothing is. */
static PgStatShared_Common *
lock_counters(PgStat_Kind kind, Oid object, PgStatShared_HashEntry **entry)
{
	PgStat_HashKey key = {kind, IsSharedRelation(object) ? InvalidOid : MyDatabaseId, object};
	PgStatShared_Common *counters;

	*entry = dshash_find(pgStatLocal.shared_hash, &key, false);
	if (*entry == NULL)
		return NULL;
	if ((*entry)->dropped)
	{
		dshash_release_lock(pgStatLocal.shared_hash, *entry);
		return NULL;
	}
	counters = dsa_get_address(pgStatLocal.dsa, (*entry)->body);
	LWLockAcquire(&counters->lock, LW_SHARED);
	return counters;
}

static void
add_counters(const IndexCounters *from, IndexCounters *sum)
{
	sum->scans = add_count(sum->scans, from->scans);
	sum->tuples_read = add_count(sum->tuples_read, from->tuples_read);
	sum->tuples_fetched = add_count(sum->tuples_fetched, from->tuples_fetched);
	sum->live_rows = add_count(sum->live_rows, from->live_rows);
	sum->last_scan = Max(sum->last_scan, from->last_scan);
	sum->undated = sum->undated || (dbops_index_is_scanned(from) && from->last_scan == 0);
}

/* What other nodes told is theirs: too much stays the most there is. */
static int64
add_count(int64 one, int64 other)
{
	int64		sum;

	return pg_add_s64_overflow(one, other, &sum) ? PG_INT64_MAX : sum;
}
