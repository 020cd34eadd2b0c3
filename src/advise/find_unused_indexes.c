/*
 * find_unused_indexes.c
 *		Indexes that no query has scanned, and whether they can go.
 *
 * That nobody has scanned an index is known of the time in which everybody who
 * could was counted (index_nodes.c), and of indexes whose scans are counted at
 * all. It says nothing where nobody has read the table either. What does not
 * serve by being scanned is not listed: an index that keeps rows unique, or out
 * of each other's way, works with every row that is written.
 *
 * A partitioned index is one thing: it is used if one of its partitions is. An
 * index that was made on a partition by itself goes by those of its siblings.
 *
 * Memory: the list of indexes and, where the foreign keys of a table have to be
 * looked at, that table's.
 */
#include "advise/index_advice.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "access/xlog.h"
#include "catalog/partition.h"
#include "catalog/pg_index.h"
#include "core/server.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#define LARGEST_KEY		256		/* bytes of what tells siblings */

typedef struct Search
{
	const IndexNodes *nodes;
	TimestampTz before;			/* what was last used then is not in use */
	int64		min_bytes;
	IndexNeeds *needs;			/* NULL: not asked for yet */
	HTAB	   *read_tables;	/* with an index that was scanned, by OID */
	HTAB	   *siblings;		/* of indexes on partitions that are used, by text; NULL: not read yet */
	List	   *entries;		/* all */
	HTAB	   *stand_ins;		/* of StandIn: for which another one could be dropped; NULL: not looked for yet */
	List	   *found;			/* of IndexAdvice * */
} Search;

/* An index that does the work of another one. */
typedef struct StandIn
{
	Oid			index;
	const char *name;			/* of that one */
} StandIn;

PG_FUNCTION_INFO_V1(dbops_find_unused_indexes);

static HTAB *note_read_tables(Search *search);
static void look_at(Search *search, IndexEntry *entry);
static bool is_candidate(const IndexEntry *entry);
static bool is_in_use(const Search *search, const IndexCounters *counters);
static void judge(Search *search, IndexAdvice *advice);
static const char *why_needed(Search *search, IndexAdvice *advice);
static bool has_used_sibling(Search *search, const IndexEntry *entry);
static HTAB *read_siblings(Search *search);
static bool sibling_key(const IndexEntry *entry, char *key);
static char *column_names(Oid table, Form_pg_index index);
static const char *why_unknown(Search *search, const IndexAdvice *advice);
static bool is_table_read(const Search *search, const IndexAdvice *advice);
static const char *why_too_short(const Search *search, const IndexAdvice *advice);
static const char *why_not_both(Search *search, const IndexAdvice *advice);
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
		.before = nodes->now - unused_for_ms * 1000,
		.min_bytes = min_bytes,
		.entries = dbops_indexes_list(NIL)
	};
	ListCell   *cell;

	search.read_tables = note_read_tables(&search);
	foreach(cell, search.entries)
	{
		CHECK_FOR_INTERRUPTS();
		look_at(&search, lfirst(cell));
	}
	list_sort(search.found, dbops_index_advice_by_size);
	foreach(cell, search.found)
		judge(&search, lfirst(cell));
	if (search.needs != NULL)
		dbops_index_needs_end(search.needs);
	return search.found;
}

/* Find the tables that are read by some index, perhaps without a look at the table itself. */
static HTAB *
note_read_tables(Search *search)
{
	HASHCTL		control = {.keysize = sizeof(Oid),.entrysize = sizeof(Oid),.hcxt = CurrentMemoryContext};
	HTAB	   *tables = hash_create("tables that are read by an index", 256, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	ListCell   *cell;

	foreach(cell, search->entries)
	{
		IndexEntry *entry = lfirst(cell);
		IndexCounters counters = {0};

		CHECK_FOR_INTERRUPTS();
		if (!entry->partitioned)
			counters = dbops_index_counters(search->nodes, entry);
		if (dbops_index_is_scanned(&counters))
			(void) hash_search(tables, &entry->table, HASH_ENTER, NULL);
	}
	return tables;
}

/* The file is looked at last, since that costs most. */
static void
look_at(Search *search, IndexEntry *entry)
{
	IndexCounters counters;
	IndexAdvice *advice;

	if (!is_candidate(entry))
		return;
	counters = dbops_index_counters(search->nodes, entry);
	if (is_in_use(search, &counters))
		return;
	advice = dbops_index_advice(entry, search->nodes);
	if (advice->bytes < search->min_bytes)
		return;
	advice->observed_since = (advice->observed_since == 0) ? 0 : Max(advice->observed_since, counters.last_scan);
	search->found = lappend(search->found, advice);
}

static bool
is_candidate(const IndexEntry *entry)
{
	return entry->valid && entry->ready && entry->live && !entry->unique && !entry->exclusion &&
		entry->constraint == NULL && !OidIsValid(entry->parent);
}

/* What was used once, nobody knows when, counts as used. */
static bool
is_in_use(const Search *search, const IndexCounters *counters)
{
	return dbops_index_is_scanned(counters) &&
		(counters->undated || counters->last_scan >= search->before);
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
									 dbops_figure_duration((search->nodes->now - advice->observed_since) / (double) USECS_PER_SEC)));
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
	fkey = dbops_index_serves_fkey(search->needs, advice->index);
	if (fkey != NULL)
	{
		advice->backs = psprintf("foreign key %s finds its rows by it", fkey);
		return psprintf("foreign key %s finds its rows by it when a referenced row goes, and by no other", fkey);
	}
	if (advice->index->of_partition && has_used_sibling(search, advice->index))
		return "the same index of another partition is used";
	return NULL;
}

/* Whether an index by the same columns of another partition is used. */
static bool
has_used_sibling(Search *search, const IndexEntry *entry)
{
	char		key[LARGEST_KEY];

	if (search->siblings == NULL)
		search->siblings = read_siblings(search);
	return sibling_key(entry, key) && hash_search(search->siblings, key, HASH_FIND, NULL) != NULL;
}

static HTAB *
read_siblings(Search *search)
{
	HASHCTL		control = {.keysize = LARGEST_KEY,.entrysize = LARGEST_KEY,.hcxt = CurrentMemoryContext};
	HTAB	   *siblings = hash_create("used indexes of partitions", 256, &control, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	ListCell   *cell;

	foreach(cell, search->entries)
	{
		IndexEntry *entry = lfirst(cell);
		char		key[LARGEST_KEY];
		IndexCounters counters = {0};

		CHECK_FOR_INTERRUPTS();
		if (entry->of_partition)
			counters = dbops_index_counters(search->nodes, entry);
		if (is_in_use(search, &counters) && sibling_key(entry, key))
			(void) hash_search(siblings, key, HASH_ENTER, NULL);
	}
	return siblings;
}

/* What siblings have in common: the parent, the method and the names of the columns. No lock is taken to learn them. */
static bool
sibling_key(const IndexEntry *entry, char *key)
{
	Oid			parent = get_rel_relispartition(entry->table) ? get_partition_parent(entry->table, true) : InvalidOid;
	HeapTuple	index = OidIsValid(parent) ? SearchSysCache1(INDEXRELID, ObjectIdGetDatum(entry->oid)) : NULL;

	if (!HeapTupleIsValid(index))
		return false;
	memset(key, 0, LARGEST_KEY);
	snprintf(key, LARGEST_KEY, "%u %u %s", parent, entry->method,
			 column_names(entry->table, (Form_pg_index) GETSTRUCT(index)));
	ReleaseSysCache(index);
	return true;
}

/* One expression passes for another: rather an index too many stays. */
static char *
column_names(Oid table, Form_pg_index index)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < index->indnatts; i++)
	{
		const char *name = index->indkey.values[i] == 0 ? NULL : get_attname(table, index->indkey.values[i], true);

		appendStringInfo(&names, "%s, ", name == NULL ? "()" : dbops_quote_name(name));
	}
	return names.data;
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
	if (!is_table_read(search, advice))
		return "nobody has read its table either, so that its queries are yet to come";
	if (advice->index->has_expressions)
		return "the planner may use the statistics of its expression: keep them with CREATE STATISTICS";
	return why_not_both(search, advice);
}

static const char *
why_too_short(const Search *search, const IndexAdvice *advice)
{
	TimestampTz since = advice->observed_since;

	if (since == 0)
		return "nobody knows since when it is there";
	if (since <= search->before)
		return NULL;
	return psprintf("it has been observed for %s only: %s",
					dbops_figure_duration((search->nodes->now - since) / (double) USECS_PER_SEC),
					since == search->nodes->since ? search->nodes->since_why :
					since == advice->counters.last_scan ? "it was scanned then" :
					"it was made or rebuilt then");
}

/* Whether anything was read from the table, or from those of its partitions, since counting began. */
static bool
is_table_read(const Search *search, const IndexAdvice *advice)
{
	ListCell   *cell;

	foreach(cell, dbops_index_leaves(advice->index))
	{
		const IndexEntry *leaf = lfirst(cell);
		IndexCounters counters = {0};

		dbops_relation_counters_add(leaf->table, &counters);
		if (counters.scans > 0 || counters.tuples_fetched > 0 ||
			hash_search(search->read_tables, &leaf->table, HASH_FIND, NULL) != NULL)
			return true;
	}
	return false;
}

/* One that may be dropped because this one does the same: then only one of them can go. */
static const char *
why_not_both(Search *search, const IndexAdvice *advice)
{
	StandIn    *stand_in;

	if (search->stand_ins == NULL)
		search->stand_ins = read_stand_ins(search);
	stand_in = hash_search(search->stand_ins, &advice->index->oid, HASH_FIND, NULL);
	return (stand_in == NULL) ? NULL :
		psprintf("index %s could be dropped for this one: drop either, not both", stand_in->name);
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
