/*
 * find_duplicate_indexes.c
 *		Indexes whose work another index of the same table does as well.
 *
 * Of two that are the same, one stays: what keeps a constraint, or is needed for
 * something else, before what does not, then the older one. One that only begins
 * like another goes, never the longer one. Nothing is told to go because of an
 * index that is told to go itself.
 *
 * A query that used the one can use the other, on every node, so that it does not
 * matter how often either was scanned, with one exception: an index that is much
 * smaller than the one that could replace it, and is used, is cheaper to read,
 * be it for what that one includes, or for rows that it does not deduplicate.
 *
 * Partitions' indexes are judged by the partitioned index that they are attached
 * to.
 *
 * Memory: the list of indexes, and what one table's need, which is freed before
 * the next table.
 */
#include "advise/index_advice.h"

#include "core/server.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#define MUCH_LARGER		3.0		/* times the size: reading it instead is not the same */

typedef struct Search
{
	const IndexNodes *nodes;
	MemoryContext context;		/* of the result */
	MemoryContext per_table;
	DbopsIndexReader *reader;
	List	   *found;			/* of IndexAdvice * */
} Search;

/* What one index can be spared for. */
typedef struct Spare
{
	IndexRedundancy redundancy;
	int			by;				/* number of the other index in its table */
} Spare;

PG_FUNCTION_INFO_V1(dbops_find_duplicate_indexes);

static void judge_table(Search *search, List *entries, int from, int to);
static const DbopsIndex **match_shapes(Search *search, List *entries, int from, int n);
static Spare find_replacement(List *entries, int from, const DbopsIndex **shapes, const bool *spared, int n, int index);
static bool goes_first(const IndexEntry *entry, const IndexEntry *other);
static int	standing(const IndexEntry *entry);
static void add_advice(Search *search, IndexEntry *entry, IndexEntry *other, IndexRedundancy redundancy);
static void judge(IndexAdvice *advice, IndexRedundancy redundancy, const IndexNodes *nodes);

/* find_duplicate_indexes() → setof record */
Datum
dbops_find_duplicate_indexes(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	IndexNodes *nodes = dbops_index_nodes_read();
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, dbops_duplicate_indexes(nodes))
		dbops_index_advice_put(rsinfo, lfirst(cell), nodes, true, true);
	return (Datum) 0;
}

/* List them, the largest first. */
List *
dbops_duplicate_indexes(const IndexNodes *nodes)
{
	List	   *entries = dbops_indexes_list(NIL);
	Search		search = {.nodes = nodes,.context = CurrentMemoryContext};
	int			next;

	search.per_table = AllocSetContextCreate(CurrentMemoryContext, "dbops indexes of a table", ALLOCSET_DEFAULT_SIZES);
	search.reader = dbops_index_reader_begin();
	for (int first = 0; first < list_length(entries); first = next)
	{
		Oid			table = ((IndexEntry *) list_nth(entries, first))->table;

		CHECK_FOR_INTERRUPTS();
		for (next = first + 1; next < list_length(entries); next++)
			if (((IndexEntry *) list_nth(entries, next))->table != table)
				break;
		if (next - first > 1)
			judge_table(&search, entries, first, next);
	}
	dbops_index_reader_end(search.reader);
	MemoryContextDelete(search.per_table);
	list_sort(search.found, dbops_index_advice_by_size);
	return search.found;
}

/* Judge the indexes of one table, which are those from .. to - 1. */
static void
judge_table(Search *search, List *entries, int from, int to)
{
	MemoryContext caller = MemoryContextSwitchTo(search->per_table);
	int			n = to - from;
	const DbopsIndex **shapes = match_shapes(search, entries, from, n);
	bool	   *spared = palloc0(sizeof(bool) * n);
	Spare	   *spares = palloc(sizeof(Spare) * n);

	/* Which go comes first, since an index that goes replaces no other. */
	for (int i = 0; i < n; i++)
		spared[i] = find_replacement(entries, from, shapes, NULL, n, i).redundancy != INDEX_NEEDED;
	for (int i = 0; i < n; i++)
		spares[i] = spared[i] ? find_replacement(entries, from, shapes, spared, n, i) : (Spare) {0};
	MemoryContextSwitchTo(search->context);
	for (int i = 0; i < n; i++)
		if (spares[i].redundancy != INDEX_NEEDED)
			add_advice(search, list_nth(entries, from + i), list_nth(entries, from + spares[i].by),
					   spares[i].redundancy);
	MemoryContextSwitchTo(caller);
	MemoryContextReset(search->per_table);
}

/* Read what the entries look like; NULL: dropped meanwhile. */
static const DbopsIndex **
match_shapes(Search *search, List *entries, int from, int n)
{
	const DbopsIndex **shapes = palloc(sizeof(DbopsIndex *) * n);
	List	   *indexes = dbops_index_read(search->reader, ((IndexEntry *) list_nth(entries, from))->table);

	for (int i = 0; i < n; i++)
		shapes[i] = dbops_index_find(indexes, ((IndexEntry *) list_nth(entries, from + i))->oid);
	return shapes;
}

/* Find an index that stays and does what this one does; spared: those that do not stay, or NULL. */
static Spare
find_replacement(List *entries, int from, const DbopsIndex **shapes, const bool *spared, int n, int index)
{
	IndexEntry *entry = list_nth(entries, from + index);
	Spare		best = {.redundancy = INDEX_NEEDED};

	if (shapes[index] == NULL || !entry->valid || OidIsValid(entry->parent))
		return best;
	for (int i = 0; i < n; i++)
	{
		IndexEntry *other = list_nth(entries, from + i);
		IndexRedundancy redundancy = (i == index || shapes[i] == NULL || (spared != NULL && spared[i])) ?
			INDEX_NEEDED : dbops_index_redundancy(shapes[index], shapes[i]);

		if (redundancy == INDEX_NEEDED ||
			(dbops_index_redundancy(shapes[i], shapes[index]) != INDEX_NEEDED && !goes_first(entry, other)))
			continue;
		if (best.redundancy == INDEX_NEEDED || redundancy < best.redundancy)
			best = (Spare) {.redundancy = redundancy,.by = i};
	}
	return best;
}

/* Of two that could replace each other, whether this is the one to go. */
static bool
goes_first(const IndexEntry *entry, const IndexEntry *other)
{
	if (standing(entry) != standing(other))
		return standing(entry) < standing(other);
	return entry->oid > other->oid;
}

/* How much depends on an index. */
static int
standing(const IndexEntry *entry)
{
	if (OidIsValid(entry->parent))
		return 6;				/* cannot go alone */
	if (entry->referenced_by != NULL)
		return 5;
	if (entry->constraint != NULL)
		return 4;
	if (entry->replica_identity)
		return 3;
	if (entry->clustered)
		return 2;
	return entry->unique ? 1 : 0;
}

static void
add_advice(Search *search, IndexEntry *entry, IndexEntry *other, IndexRedundancy redundancy)
{
	IndexAdvice *advice = dbops_index_advice(entry, search->nodes);

	advice->kind = dbops_redundancy_name(redundancy);
	advice->other = other;
	judge(advice, redundancy, search->nodes);
	search->found = lappend(search->found, advice);
}

/* Uniqueness alone keeps no index, since the other one enforces it as well. */
static void
judge(IndexAdvice *advice, IndexRedundancy redundancy, const IndexNodes *nodes)
{
	const IndexEntry *entry = advice->index;
	int64		other_bytes = dbops_index_bytes(advice->other);

	if (entry->constraint != NULL)
		dbops_index_verdict(advice, DROP_NO, psprintf("it enforces a constraint: if two are not meant, ALTER TABLE %s DROP CONSTRAINT %s",
													  entry->table_name, entry->constraint));
	else if (entry->referenced_by != NULL || entry->replica_identity || entry->clustered)
		dbops_index_verdict(advice, DROP_NO, psprintf("it is needed: %s", advice->backs));
	else if (other_bytes > MUCH_LARGER * advice->bytes &&
			 (advice->counters.scans > 0 || nodes->blind != NULL))
		dbops_index_verdict(advice, DROP_UNKNOWN,
							psprintf("the other index is much larger (%s against %s), so that scans would read more",
									 dbops_figure_bytes(other_bytes), dbops_figure_bytes(advice->bytes)));
	else
		dbops_index_verdict(advice, DROP_YES,
							redundancy == INDEX_PREFIX ? "the other index begins with the same keys" :
							redundancy == INDEX_REVERSED ? "the other index is the same, read backward" :
							redundancy == INDEX_BESIDE_UNIQUE ? "the other index is the same, and keeps rows unique too" :
							"the other index is the same");
}
