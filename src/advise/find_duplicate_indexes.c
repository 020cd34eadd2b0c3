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
 * That it is not used is known as it is of any index: once all nodes have watched
 * it for long enough.
 *
 * Partitions' indexes are judged by the partitioned index that they are attached
 * to.
 *
 * First the tables are found that have such indexes, by what these look like;
 * what else matters is read for those alone, which are few. Memory: the list of
 * their indexes, and what one table's need, which is freed before the next table.
 */
#include "advise/index_advice.h"
#include "core/rule.h"

#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "core/server.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#define MUCH_LARGER		3.0		/* times the size: reading it instead is not the same */
#define EMPTY			(2 * BLCKSZ)	/* bytes: of no rows, or of so few that it does not matter now */
#define LONG_ENOUGH		(30 * USECS_PER_DAY)	/* without a scan: it is not used */

typedef struct Search
{
	const IndexNodes *nodes;
	MemoryContext context;		/* of the result */
	MemoryContext per_table;
	DbopsIndexReader *reader;
	IndexNeeds *needs;
	List	   *found;			/* of IndexAdvice * */
} Search;

/* What one index can be spared for. */
typedef struct Spare
{
	IndexRedundancy redundancy;
	int			by;				/* number of the other index in its table */
} Spare;

PG_FUNCTION_INFO_V1(dbops_find_duplicate_indexes);

static void keep_for_those_that_go(Search *search);
static void note_going(HTAB *going, const IndexEntry *entry);
static List *tables_with_several(void);
static void take_table(HeapTuple row, TupleDesc desc, void *arg);
static List *tables_with_duplicates(Search *search);
static bool has_duplicates(const List *indexes);
static void judge_table(Search *search, List *entries, int from, int to);
static const DbopsIndex **match_shapes(Search *search, List *entries, int from, int n);
static Spare find_replacement(List *entries, int from, const DbopsIndex **shapes, const bool *spared, int n, int index);
static bool goes_first(const IndexEntry *entry, const IndexEntry *other);
static int	standing(const IndexEntry *entry);
static void add_advice(Search *search, IndexEntry *entry, IndexEntry *other, IndexRedundancy redundancy);
static void judge(IndexAdvice *advice, IndexRedundancy redundancy, const IndexNodes *nodes);
static bool may_be_used(const IndexAdvice *advice, const IndexNodes *nodes);
static const char *what_it_is(IndexRedundancy redundancy);

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
	Search		search = {.nodes = nodes,.context = CurrentMemoryContext};
	List	   *entries;
	int			next;

	search.per_table = AllocSetContextCreate(CurrentMemoryContext, "dbops indexes of a table", ALLOCSET_DEFAULT_SIZES);
	search.reader = dbops_index_reader_begin();
	search.needs = dbops_index_needs_begin();
	entries = dbops_indexes_list_among(tables_with_duplicates(&search));
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
	dbops_index_needs_end(search.needs);
	dbops_index_reader_end(search.reader);
	MemoryContextDelete(search.per_table);
	keep_for_those_that_go(&search);
	list_sort(search.found, dbops_index_advice_by_size);
	return search.found;
}

/*
 * An index of a partition goes with the partitioned index that it is attached to:
 * nothing is safe to drop because of it before that one is gone.
 */
static void
keep_for_those_that_go(Search *search)
{
	HASHCTL		control = {.keysize = sizeof(Oid),.entrysize = sizeof(Oid),.hcxt = CurrentMemoryContext};
	HTAB	   *going = hash_create("indexes that go with others", 256, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	ListCell   *cell;

	foreach(cell, search->found)
	{
		const IndexAdvice *advice = lfirst(cell);

		if (advice->safe == DROP_YES)
			note_going(going, advice->index);
	}
	foreach(cell, search->found)
	{
		IndexAdvice *advice = lfirst(cell);

		if (advice->safe == DROP_YES && hash_search(going, &advice->other->oid, HASH_FIND, NULL) != NULL)
			dbops_index_verdict(advice, DROP_UNKNOWN, "the other index can go with the partitioned index that it is a part of: drop that first, and look again");
	}
	hash_destroy(going);
}

static void
note_going(HTAB *going, const IndexEntry *entry)
{
	ListCell   *cell;

	check_stack_depth();
	(void) hash_search(going, &entry->oid, HASH_ENTER, NULL);
	foreach(cell, entry->children)
		note_going(going, lfirst(cell));
}

static List *
tables_with_several(void)
{
	List	   *tables = NIL;

	dbops_query_latest("SELECT indrelid FROM pg_index WHERE indrelid >= 16384 GROUP BY 1 HAVING count(*) > 1 ORDER BY 1",
					   0, NULL, take_table, &tables);
	return tables;
}

static void
take_table(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **tables = arg;

	*tables = lappend_oid(*tables, dbops_row_oid(row, desc, 1));
}

/* With all partitions of a partitioned table, whose needs are its. */
static List *
tables_with_duplicates(Search *search)
{
	List	   *tables = NIL;
	ListCell   *cell;

	foreach(cell, tables_with_several())
	{
		MemoryContext caller = MemoryContextSwitchTo(search->per_table);
		bool		has = has_duplicates(dbops_index_read(search->reader, lfirst_oid(cell)));

		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(caller);
		MemoryContextReset(search->per_table);
		if (has)
			tables = list_concat(tables, get_rel_relkind(lfirst_oid(cell)) == RELKIND_PARTITIONED_TABLE ?
								 find_all_inheritors(lfirst_oid(cell), NoLock, NULL) : list_make1_oid(lfirst_oid(cell)));
	}
	return tables;
}

static bool
has_duplicates(const List *indexes)
{
	ListCell   *one;
	ListCell   *other;

	foreach(one, indexes)
		foreach(other, indexes)
			if (lfirst(one) != lfirst(other) && dbops_index_redundancy(lfirst(one), lfirst(other)) != INDEX_NEEDED)
				return true;
	return false;
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
	if (entry->constraint != NULL || entry->part_constraint != NULL)
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
	const char *fkey = (advice->backs != NULL) ? NULL : dbops_index_serves_fkey(search->needs, entry, SERVES);

	advice->kind = dbops_redundancy_name(redundancy);
	advice->other = other;
	if (fkey != NULL)
		advice->backs = psprintf("foreign key %s finds its rows by it, or by the other index", fkey);
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
													  dbops_index_table_name(entry), entry->constraint));
	else if (entry->part_constraint != NULL || entry->referenced_by != NULL || entry->replica_identity || entry->clustered)
		dbops_index_verdict(advice, DROP_NO, psprintf("it is needed: %s", advice->backs));
	else if (other_bytes > MUCH_LARGER * advice->bytes && may_be_used(advice, nodes))
		dbops_index_verdict(advice, DROP_UNKNOWN,
							psprintf("the other index is much larger (%s against %s), so that scans would read more",
									 dbops_figure_bytes(other_bytes), dbops_figure_bytes(advice->bytes)));
	else if ((redundancy == INDEX_PREFIX || redundancy == INDEX_COVERED) && other_bytes <= EMPTY &&
			 dbops_index_was_used(&advice->counters, nodes->now - LONG_ENOUGH))
		dbops_index_verdict(advice, DROP_UNKNOWN, "it is used, and both are empty now, so that how large they are otherwise is not known");
	else
		dbops_index_verdict(advice, DROP_YES, what_it_is(redundancy));
}

/* What nobody has watched for long may be. */
static bool
may_be_used(const IndexAdvice *advice, const IndexNodes *nodes)
{
	return dbops_index_was_used(&advice->counters, nodes->now - LONG_ENOUGH) ||
		!dbops_index_was_watched(advice, nodes, LONG_ENOUGH);
}

/* Say what the other index is. */
static const char *
what_it_is(IndexRedundancy redundancy)
{
	switch (redundancy)
	{
		case INDEX_PREFIX:
			return "the other index begins with the same keys";
		case INDEX_COVERED:
			return "the other index has the same keys, and includes more columns";
		case INDEX_REVERSED:
			return "the other index is the same, read backward";
		case INDEX_BESIDE_UNIQUE:
			return "the other index is the same, and keeps rows unique too";
		default:
			return "the other index is the same";
	}
}
