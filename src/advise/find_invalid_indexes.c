/*
 * find_invalid_indexes.c
 *		Indexes that serve no query, and what is to become of them.
 *
 * What a cut-off build, rebuild or drop has left costs every write until it is
 * finished or removed. It is told from a build that goes on by who works on the
 * table, and what can go from what is wanted by definition: where a valid index
 * of the same definition is there, nothing is lost. Names prove nothing.
 *
 * A partitioned index that is invalid waits for indexes of partitions; it has
 * no file and costs nothing.
 */
#include "advise/index_advice.h"

#include "access/xlog.h"
#include "catalog/index.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

typedef struct Search
{
	const IndexNodes *nodes;
	DbopsIndexReader *reader;
	IndexNeeds *needs;
	List	   *at_work;		/* OIDs of tables and indexes that others have locked against changes of their schema */
	List	   *found;			/* of IndexAdvice * */
} Search;

PG_FUNCTION_INFO_V1(dbops_find_invalid_indexes);

static bool is_still_invalid(Oid oid);
static List *relations_at_work(void);
static void take_relation(HeapTuple row, TupleDesc desc, void *arg);
static void judge(Search *search, IndexEntry *entry);
static void judge_partitioned(IndexAdvice *advice);
static List *tables_of_children(Oid index);
static Oid	first_of_kind(const List *tables, char kind);
static const char *how_to_complete(const IndexEntry *entry, const List *lacking);
static const char *table_name(Oid table);
static void judge_left(Search *search, IndexAdvice *advice);
static const char *why_kept(Search *search, IndexAdvice *advice);
static bool keeps_something(const IndexEntry *entry);
static IndexEntry *find_twin(Search *search, const IndexEntry *entry);
static bool is_twin(List *indexes, Oid index, Oid other);
static const char *repair(const IndexEntry *entry);

/* find_invalid_indexes() → setof record */
Datum
dbops_find_invalid_indexes(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	IndexNodes *nodes = dbops_index_nodes_read();
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, dbops_invalid_indexes(nodes))
		dbops_index_advice_put(rsinfo, lfirst(cell), nodes, true, true);
	return (Datum) 0;
}

/* List them, the largest first. */
List *
dbops_invalid_indexes(const IndexNodes *nodes)
{
	List	   *entries = dbops_indexes_invalid();
	Search		search = {.nodes = nodes};
	ListCell   *cell;

	if (entries == NIL)
		return NIL;
	search.reader = dbops_index_reader_begin();
	search.needs = dbops_index_needs_begin();
	search.at_work = relations_at_work();
	foreach(cell, entries)
	{
		CHECK_FOR_INTERRUPTS();
		if (is_still_invalid(((const IndexEntry *) lfirst(cell))->oid))
			judge(&search, lfirst(cell));
	}
	dbops_index_needs_end(search.needs);
	dbops_index_reader_end(search.reader);
	list_sort(search.found, dbops_index_advice_by_size);
	return search.found;
}

/* Who built it may have finished since the list was read, or since the transaction's snapshot was taken. */
static bool
is_still_invalid(Oid oid)
{
	HeapTuple	index = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(oid));
	bool		invalid;

	if (!HeapTupleIsValid(index))
		return false;
	invalid = !(((Form_pg_index) GETSTRUCT(index))->indisvalid &&
				((Form_pg_index) GETSTRUCT(index))->indisready && ((Form_pg_index) GETSTRUCT(index))->indislive);
	ReleaseSysCache(index);
	return invalid;
}

/*
 * List what others hold with a lock as builds and drops of indexes take it, and
 * VACUUM too. What serializable transactions have read is listed as locked as well.
 */
static List *
relations_at_work(void)
{
	DbopsParam	param = dbops_param_int4(MyProcPid);
	List	   *relations = NIL;

	dbops_query_each("SELECT DISTINCT l.relation FROM pg_lock_status() l"
					 " WHERE l.locktype = 'relation' AND l.granted AND l.pid IS DISTINCT FROM $1"
					 " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
					 " AND l.mode NOT IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock', 'SIReadLock')",
					 1, &param, take_relation, &relations);
	return relations;
}

static void
take_relation(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **relations = arg;

	*relations = lappend_oid(*relations, dbops_row_oid(row, desc, 1));
}

static void
judge(Search *search, IndexEntry *entry)
{
	IndexAdvice *advice = dbops_index_advice(entry, search->nodes);

	if (dbops_index_in_progress(entry->oid) || list_member_oid(search->at_work, entry->oid))
	{
		advice->kind = "in progress";
		dbops_index_verdict(advice, DROP_NO, "a session is building, rebuilding or dropping it now");
	}
	else if (entry->partitioned)
		judge_partitioned(advice);
	else
		judge_left(search, advice);
	search->found = lappend(search->found, advice);
}

/* Say which partitions lack one. */
static void
judge_partitioned(IndexAdvice *advice)
{
	List	   *partitions = find_inheritance_children(advice->index->table, NoLock);
	List	   *lacking = list_difference_oid(partitions, tables_of_children(advice->index->oid));

	advice->kind = "incomplete";
	dbops_index_verdict(advice, DROP_NO,
						lacking == NIL ? "an index that is attached to it is invalid; when all are valid, it is too" :
						psprintf("%d of %d partitions lack an index, such as %s", list_length(lacking), list_length(partitions),
								 how_to_complete(advice->index, lacking)));
}

/* Name one that lacks an index, and what helps there. */
static const char *
how_to_complete(const IndexEntry *entry, const List *lacking)
{
	Oid			foreign = first_of_kind(lacking, RELKIND_FOREIGN_TABLE);
	Oid			plain = first_of_kind(lacking, RELKIND_RELATION);
	Oid			partitioned = first_of_kind(lacking, RELKIND_PARTITIONED_TABLE);

	if (OidIsValid(foreign))
		return psprintf("foreign table %s, which can have none, so that it never becomes valid:"
						" drop it and create it without ONLY, which takes over the indexes that are there", table_name(foreign));
	if (OidIsValid(plain))
		return psprintf("%s: create one there CONCURRENTLY, then ALTER INDEX %s ATTACH PARTITION it",
						table_name(plain), entry->name);
	if (OidIsValid(partitioned))
		return psprintf("%s, which has partitions itself: create one ON ONLY it and, CONCURRENTLY, on each of these, attach them,"
						" then ALTER INDEX %s ATTACH PARTITION it", table_name(partitioned), entry->name);
	return "one that is gone now: look again";
}

/* It may go at any moment. */
static const char *
table_name(Oid table)
{
	const char *schema = get_namespace_name(get_rel_namespace(table));
	const char *name = get_rel_name(table);

	return (schema == NULL || name == NULL) ? "one that is gone now" : dbops_quote_qualified(schema, name);
}

static Oid
first_of_kind(const List *tables, char kind)
{
	ListCell   *cell;

	foreach(cell, tables)
		if (get_rel_relkind(lfirst_oid(cell)) == kind)
			return lfirst_oid(cell);
	return InvalidOid;
}

static List *
tables_of_children(Oid index)
{
	List	   *tables = NIL;
	ListCell   *cell;

	foreach(cell, find_inheritance_children(index, NoLock))
		tables = lappend_oid(tables, IndexGetRelation(lfirst_oid(cell), true));
	return tables;
}

static void
judge_left(Search *search, IndexAdvice *advice)
{
	IndexEntry *entry = advice->index;
	const char *why;

	advice->other = entry->live ? find_twin(search, entry) : NULL;
	advice->kind = !entry->live ? "left by a drop" : (advice->other != NULL) ? "left by a rebuild" : "left by a build";
	if (RecoveryInProgress())
		dbops_index_verdict(advice, DROP_UNKNOWN, "a standby does not see whether its primary is building it: ask the primary");
	else if (list_member_oid(search->at_work, entry->table))
		dbops_index_verdict(advice, DROP_UNKNOWN, "a session has locked its table as builds of indexes do: look again when it has ended");
	else if (OidIsValid(entry->parent))
		dbops_index_verdict(advice, DROP_NO, psprintf("it is attached to a partitioned index: %s", repair(entry)));
	else if (!entry->live)
		dbops_index_verdict(advice, DROP_YES, "it was being dropped");
	else if (advice->other != NULL && entry->constraint == NULL && entry->referenced_by == NULL)
		dbops_index_verdict(advice, DROP_YES, "the other index is valid and does all that this one would");
	else if ((why = why_kept(search, advice)) != NULL)
		dbops_index_verdict(advice, DROP_NO, why);
	else
		dbops_index_verdict(advice, DROP_YES, psprintf("no query uses it; if it is wanted, %s instead", repair(entry)));
}

/* Say what an index is there for, and how to have it whole; NULL: for queries only. */
static const char *
why_kept(Search *search, IndexAdvice *advice)
{
	const IndexEntry *entry = advice->index;
	const char *fkey;

	if (get_rel_relkind(entry->table) == RELKIND_TOASTVALUE)
		return psprintf("TOAST finds its values by it: %s", repair(entry));
	if (keeps_something(entry))
		return psprintf("it is there to keep %s%s: %s, which fails where rows are in the way", advice->backs,
						entry->ready ? ", and does so for rows that are written" : "", repair(entry));
	fkey = dbops_index_serves_fkey(search->needs, advice->index, WOULD_SERVE);
	if (fkey == NULL)
		return NULL;
	advice->backs = psprintf("foreign key %s would find its rows by it", fkey);
	return psprintf("foreign key %s would find its rows by it, and by no other: %s", fkey, repair(entry));
}

/* One that is not ready enforces nothing yet. */
static bool
keeps_something(const IndexEntry *entry)
{
	return entry->constraint != NULL || entry->referenced_by != NULL || entry->replica_identity ||
		entry->clustered || (entry->ready && (entry->unique || entry->exclusion));
}

/* Find a valid index that does all that it would, and give its OID; NULL: there is none. */
static IndexEntry *
find_twin(Search *search, const IndexEntry *entry)
{
	List	   *indexes = dbops_index_read(search->reader, entry->table);
	IndexEntry *twin;
	ListCell   *cell;

	foreach(cell, indexes)
	{
		Oid			other = ((const DbopsIndex *) lfirst(cell))->oid;

		if (other == entry->oid || !is_twin(indexes, entry->oid, other))
			continue;
		twin = palloc0(sizeof(IndexEntry));
		twin->oid = other;
		return twin;
	}
	return NULL;
}

/* Whether the other one is valid and the same, were this one valid. */
static bool
is_twin(List *indexes, Oid index, Oid other)
{
	const DbopsIndex *one = dbops_index_find(indexes, index);
	const DbopsIndex *two = dbops_index_find(indexes, other);
	DbopsIndex	whole;

	if (one == NULL || two == NULL)
		return false;
	whole = *one;
	whole.valid = true;
	return dbops_index_redundancy(&whole, two) == INDEX_SAME;
}

/* How to have it whole: not all can be rebuilt while others write. */
static const char *
repair(const IndexEntry *entry)
{
	if (entry->exclusion || get_rel_relkind(entry->table) == RELKIND_TOASTVALUE)
		return psprintf("REINDEX INDEX %s (it locks out writers)", entry->name);
	return psprintf("REINDEX INDEX CONCURRENTLY %s", entry->name);
}
