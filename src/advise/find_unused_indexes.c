/*
 * find_unused_indexes.c
 *		Indexes that no query has scanned, and whether they can go.
 *
 * That nobody has scanned an index is known of the time in which everybody who
 * could was counted (index_nodes.c), and of indexes whose scans are counted at
 * all. It says nothing where nobody has read the table either: by an index, or by
 * more sequential scans than builds of its indexes and a dump each night are
 * counted as. What does not
 * serve by being scanned is not listed: an index that keeps rows unique, or out
 * of each other's way, works with every row that is written. One that only other
 * nodes scan is, as this server's own counters make it look unused.
 *
 * A partitioned index is one thing: it is used if one of its partitions is. An
 * index that was made on a partition, or on a child by inheritance, by itself goes
 * by those of its siblings.
 *
 * Memory: the list of indexes and, where the foreign keys of a table have to be
 * looked at, that table's.
 */
#include "advise/index_advice.h"
#include "advise/table_reads.h"

#include "access/transam.h"
#include "core/server.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#define BUILD_SCANS		4		/* as many scans a build is counted as: of each process, and to validate */

typedef struct Search
{
	const IndexNodes *nodes;
	int64		unused_for;		/* us */
	TimestampTz before;			/* what was last used then is not in use */
	int64		min_bytes;
	IndexNeeds *needs;			/* NULL: not asked for yet */
	HTAB	   *tables;			/* of ReadTable */
	bool		reads_known;	/* what they say of sequential scans is filled in */
	HTAB	   *siblings;		/* of indexes on partitions that are used; NULL: not read yet */
	List	   *entries;		/* all */
	HTAB	   *stand_ins;		/* of StandIn: for which another one could be dropped; NULL: not looked for yet */
	List	   *found;			/* of IndexAdvice * */
} Search;

/* Who reads a table. */
typedef struct ReadTable
{
	Oid			table;
	int			nindexes;
	bool		by_index;		/* some node has used an index of it */
	int64		rows_by_index;	/* that indexes found in that time, here */
	int64		scans;			/* sequential ones in that time, here */
	double		days;			/* in which these were made */
} ReadTable;

/* An index that does the work of another one. */
typedef struct StandIn
{
	Oid			index;
	const char *name;			/* of that one */
} StandIn;

PG_FUNCTION_INFO_V1(dbops_find_unused_indexes);

static HTAB *note_tables(const Search *search);
static void look_at(Search *search, IndexEntry *entry);
static bool is_candidate(const IndexEntry *entry);
static void judge(Search *search, IndexAdvice *advice);
static const char *why_needed(Search *search, IndexAdvice *advice);
static bool has_used_sibling(Search *search, const IndexEntry *entry);
static const char *why_unknown(Search *search, const IndexAdvice *advice);
static bool is_table_read(Search *search, const IndexAdvice *advice);
static void note_reads(Search *search);
static bool is_read(const ReadTable *table);
static bool has_young_part(const Search *search, IndexEntry *entry);
static const char *why_too_short(const Search *search, const IndexAdvice *advice);
static const char *why_not_both(Search *search, const IndexAdvice *advice);
static const StandIn *find_stand_in(HTAB *stand_ins, const IndexEntry *entry);
static HTAB *read_stand_ins(const Search *search);

/* find_unused_indexes(min_bytes, unused_for) → setof record */
Datum
dbops_find_unused_indexes(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	IndexNodes *nodes;
	int64		min_bytes;
	int64		unused_for;
	ListCell   *cell;

	dbops_require_argument(fcinfo, 0, "min_bytes");
	dbops_require_argument(fcinfo, 1, "unused_for");
	min_bytes = PG_GETARG_INT64(0);
	unused_for = dbops_interval_ms(PG_GETARG_INTERVAL_P(1));
	if (min_bytes < 0 || unused_for < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be negative", min_bytes < 0 ? "min_bytes" : "unused_for"),
				 errhint("Type for example SELECT * FROM dbops.find_unused_indexes(1048576, '30 days');")));
	InitMaterializedSRF(fcinfo, 0);
	nodes = dbops_index_nodes_read();
	foreach(cell, dbops_unused_indexes(nodes, min_bytes, unused_for))
		dbops_index_advice_put(rsinfo, lfirst(cell), nodes, false, false);
	return (Datum) 0;
}

/* List those of some size that were not scanned for some time, the largest first. */
List *
dbops_unused_indexes(const IndexNodes *nodes, int64 min_bytes, int64 unused_for_ms)
{
	Search		search = {
		.nodes = nodes,
		.unused_for = unused_for_ms * 1000,
		.before = nodes->now - unused_for_ms * 1000,
		.min_bytes = min_bytes,
		.entries = dbops_indexes_list(NIL)
	};
	ListCell   *cell;

	search.tables = note_tables(&search);
	foreach(cell, search.entries)
	{
		CHECK_FOR_INTERRUPTS();
		look_at(&search, lfirst(cell));
	}
	list_sort(search.found, dbops_index_advice_by_size);
	foreach(cell, search.found)
	{
		CHECK_FOR_INTERRUPTS();
		judge(&search, lfirst(cell));
	}
	if (search.needs != NULL)
		dbops_index_needs_end(search.needs);
	return search.found;
}

/* Count the indexes of each table, and note where one is used, perhaps without a look at the table itself. */
static HTAB *
note_tables(const Search *search)
{
	HASHCTL		control = {.keysize = sizeof(Oid),.entrysize = sizeof(ReadTable),.hcxt = CurrentMemoryContext};
	HTAB	   *tables = hash_create("tables with indexes", 256, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	ListCell   *cell;

	foreach(cell, search->entries)
	{
		IndexEntry *entry = lfirst(cell);
		bool		found;
		ReadTable  *table = hash_search(tables, &entry->table, HASH_ENTER, &found);
		IndexCounters counters = {0};

		CHECK_FOR_INTERRUPTS();
		if (!found)
			*table = (ReadTable) {.table = entry->table};
		table->nindexes++;
		if (!entry->partitioned)
			counters = dbops_index_counters(search->nodes, entry);
		table->by_index = table->by_index || dbops_index_was_used(&counters, search->before);
	}
	return tables;
}

/* The file is looked at last, since that costs most. */
static void
look_at(Search *search, IndexEntry *entry)
{
	IndexCounters here;
	IndexCounters counters;
	IndexAdvice *advice;

	if (!is_candidate(entry))
		return;
	here = dbops_index_counters_here(entry);
	if (dbops_index_was_used(&here, search->before))
		return;
	advice = dbops_index_advice(entry, search->nodes);
	if (advice->bytes < search->min_bytes)
		return;
	counters = advice->counters;
	if (dbops_index_was_used(&counters, search->before))
		advice->backs = dbops_index_scanned_elsewhere(search->nodes, entry);
	advice->observed_since = (advice->observed_since == 0) ? 0 : Max(advice->observed_since, counters.last_scan);
	search->found = lappend(search->found, advice);
}

static bool
is_candidate(const IndexEntry *entry)
{
	return entry->valid && entry->ready && entry->live && !entry->unique && !entry->exclusion &&
		entry->constraint == NULL && !OidIsValid(entry->parent);
}

static void
judge(Search *search, IndexAdvice *advice)
{
	const char *why;

	if ((why = why_needed(search, advice)) != NULL)
		dbops_index_verdict(advice, DROP_NO, why);
	else if ((why = why_unknown(search, advice)) != NULL)
		dbops_index_verdict(advice, DROP_UNKNOWN, why);
	else
	{
		dbops_index_verdict(advice, DROP_YES,
							psprintf("nobody has scanned it for %s",
									 dbops_figure_duration((search->nodes->until - advice->observed_since) / (double) USECS_PER_SEC)));
		dbops_index_needs_drop(search->needs, advice->index);
	}
}

/* Who needs it although nobody scans it; NULL: nobody. */
static const char *
why_needed(Search *search, IndexAdvice *advice)
{
	const char *fkey;

	if (advice->backs != NULL)
		return psprintf("it is needed: %s", advice->backs);
	if (search->needs == NULL)
		search->needs = dbops_index_needs_begin();
	fkey = dbops_index_serves_fkey(search->needs, advice->index, SERVES_ALONE);
	if (fkey != NULL)
	{
		advice->backs = psprintf("foreign key %s finds its rows by it", fkey);
		return psprintf("foreign key %s finds its rows by it when a referenced row goes, and by no other", fkey);
	}
	if (has_used_sibling(search, advice->index))
		return "the same index of another partition or child is used";
	return NULL;
}

/* Whether an index by the same columns of another partition or child, or of one of its own table's, is used. */
static bool
has_used_sibling(Search *search, const IndexEntry *entry)
{
	if (search->siblings == NULL)
		search->siblings = dbops_index_siblings(search->nodes, search->entries, search->before);
	return dbops_index_has_sibling(search->siblings, entry);
}

/* Why it cannot be told that it is of no use; NULL: it can. */
static const char *
why_unknown(Search *search, const IndexAdvice *advice)
{
	const char *too_short;

	if (search->nodes->blind != NULL)
		return search->nodes->blind;
	if (advice->index->method >= FirstNormalObjectId)
		return "its access method may not count scans";
	too_short = why_too_short(search, advice);
	if (too_short != NULL)
		return too_short;
	if (advice->index->partitioned && has_young_part(search, advice->index))
		return "partitions have come in that time, so that others may have gone, and nobody knows any more how often theirs were scanned";
	if (!is_table_read(search, advice))
		return "its table was read no more often than builds of indexes and nightly dumps do, so that its queries may be yet to come";
	if (advice->index->has_expressions)
		return "the planner may use the statistics of its expression: keep them with CREATE STATISTICS";
	return why_not_both(search, advice);
}

/* Whether the index of a partition was made in that time. */
static bool
has_young_part(const Search *search, IndexEntry *entry)
{
	ListCell   *cell;

	foreach(cell, dbops_index_leaves(entry))
		if (dbops_index_file_since(((const IndexEntry *) lfirst(cell))->oid) > search->before)
			return true;
	return false;
}

static const char *
why_too_short(const Search *search, const IndexAdvice *advice)
{
	const IndexNodes *nodes = search->nodes;
	TimestampTz since = advice->observed_since;

	if (since == 0)
		return "nobody knows since when it is there";
	if (dbops_index_was_watched(advice, nodes, search->unused_for))
		return NULL;
	return psprintf("it has been observed for %s only: %s",
					dbops_figure_duration(Max(nodes->until - since, 0) / (double) USECS_PER_SEC),
					since <= search->before ? "other nodes have told of no more, import their figures again" :
					since == nodes->since ? nodes->since_why :
					since == advice->counters.last_scan ? "it was scanned then" :
					since == dbops_counters_reset() ? "statistics were reset then" :
					"it was made or rebuilt then");
}

/* Whether the table, or one of its partitions, was read in that time, or ever where that is not known. */
static bool
is_table_read(Search *search, const IndexAdvice *advice)
{
	ListCell   *cell;

	if (!search->reads_known)
		note_reads(search);
	foreach(cell, dbops_index_leaves(advice->index))
	{
		Oid			table = ((const IndexEntry *) lfirst(cell))->table;

		if (is_read(hash_search(search->tables, &table, HASH_FIND, NULL)))
			return true;
	}
	return false;
}

static void
note_reads(Search *search)
{
	ListCell   *cell;

	foreach(cell, dbops_table_reads(ANY_ROWS, search->before))
	{
		const TableReads *reads = lfirst(cell);
		ReadTable  *table = hash_search(search->tables, &reads->table, HASH_FIND, NULL);

		if (table == NULL)
			continue;
		table->rows_by_index = reads->rows_by_index;
		table->scans = reads->scans;
		table->days = Max(search->nodes->now - reads->since, 0) / (double) USECS_PER_DAY;
	}
	search->reads_known = true;
}

static bool
is_read(const ReadTable *table)
{
	return table != NULL &&
		(table->by_index || table->rows_by_index > 0 || table->scans > BUILD_SCANS * table->nindexes + table->days);
}

/* One that may be dropped because this one does the same: then only one of them can go. */
static const char *
why_not_both(Search *search, const IndexAdvice *advice)
{
	const StandIn *stand_in;

	if (search->stand_ins == NULL)
		search->stand_ins = read_stand_ins(search);
	stand_in = find_stand_in(search->stand_ins, advice->index);
	return (stand_in == NULL) ? NULL :
		psprintf("index %s could be dropped for this one: drop either, not both", stand_in->name);
}

/* It, or an index of one of its partitions, which goes with it; NULL: none. */
static const StandIn *
find_stand_in(HTAB *stand_ins, const IndexEntry *entry)
{
	const StandIn *stand_in = hash_search(stand_ins, &entry->oid, HASH_FIND, NULL);
	ListCell   *cell;

	check_stack_depth();
	foreach(cell, entry->children)
		if (stand_in == NULL)
			stand_in = find_stand_in(stand_ins, lfirst(cell));
	return stand_in;
}

static HTAB *
read_stand_ins(const Search *search)
{
	HASHCTL		control = {.keysize = sizeof(Oid),.entrysize = sizeof(StandIn),.hcxt = CurrentMemoryContext};
	HTAB	   *stand_ins = hash_create("indexes that could replace others", 256, &control,
										HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	ListCell   *cell;

	foreach(cell, dbops_duplicate_indexes(search->nodes))
	{
		const IndexAdvice *duplicate = lfirst(cell);

		if (duplicate->safe == DROP_YES)
			((StandIn *) hash_search(stand_ins, &duplicate->other->oid, HASH_ENTER, NULL))->name = duplicate->index->name;
	}
	return stand_ins;
}
