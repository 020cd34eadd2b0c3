/*
 * index_catalog.c
 *		The indexes of users' tables, as the catalogs list them.
 *
 * One query reads them all, or those of some tables, and what the catalogs say
 * of each that matters to who would drop it. No relation is opened or locked.
 * What belongs to the server, to an extension or to a temporary table is left
 * out unless its table is asked for by name.
 *
 * Memory: some hundred bytes for each index.
 */
#include "advise/index_advice.h"

#include "access/transam.h"
#include "miscadmin.h"

#define INDEX_COLUMNS \
	"SELECT i.indexrelid, i.indrelid, n.nspname::text, c.relname::text, tn.nspname::text, t.relname::text," \
	" c.relam, c.relkind = 'I', h.inhparent, t.relispartition, c.relpersistence = 't' AND c.relnamespace <> pg_my_temp_schema()," \
	" i.indisunique, i.indisexclusion, i.indexprs IS NOT NULL, i.indisvalid, i.indisready, i.indislive," \
	" i.indisreplident, i.indisclustered, k.conname::text, f.conname::text" \
	" FROM pg_index i" \
	" JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace" \
	" JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace tn ON tn.oid = t.relnamespace" \
	" LEFT JOIN pg_inherits h ON h.inhrelid = i.indexrelid" \
	" LEFT JOIN (SELECT conindid, min(conname::text) AS conname FROM pg_constraint WHERE contype IN ('p', 'u', 'x') GROUP BY 1) k" \
	" ON k.conindid = i.indexrelid" \
	" LEFT JOIN (SELECT conindid, min(conname::text) AS conname FROM pg_constraint WHERE contype = 'f' GROUP BY 1) f" \
	" ON f.conindid = i.indexrelid "

#define IS_USERS \
	" i.indexrelid >= 16384 AND c.relpersistence <> 't' AND tn.nspname <> 'information_schema'" \
	" AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indrelid AND d.deptype = 'e')"

#define IN_ORDER	" ORDER BY i.indrelid, i.indexrelid"

typedef struct KnownEntry
{
	Oid			index;
	IndexEntry *entry;
} KnownEntry;

static List *list(const char *sql, int nparams, const DbopsParam *params);
static void add_entry(HeapTuple row, TupleDesc desc, void *arg);
static void read_flags(HeapTuple row, TupleDesc desc, IndexEntry *entry);
static void link_partitions(List *entries);
static void lift_needs(HTAB *partitioned, const IndexEntry *entry);
static void collect_leaves(IndexEntry *entry, List **leaves);
static char *quoted_or_null(const char *name);

/* List the indexes of some tables, or of all users' tables: by table, then by age. List of IndexEntry *. */
List *
dbops_indexes_list(const List *tables)
{
	DbopsParam	param = dbops_param_oids(tables);

	if (tables != NIL)
		return list(INDEX_COLUMNS "WHERE i.indrelid = ANY ($1)" IN_ORDER, 1, &param);
	return list(INDEX_COLUMNS "WHERE" IS_USERS " AND tn.nspname <> 'pg_toast'" IN_ORDER, 0, NULL);
}

/* List those that serve no query or are not kept up to date; those of TOAST tables too. */
List *
dbops_indexes_invalid(void)
{
	return list(INDEX_COLUMNS "WHERE NOT (i.indisvalid AND i.indisready AND i.indislive) AND" IS_USERS IN_ORDER, 0, NULL);
}

static List *
list(const char *sql, int nparams, const DbopsParam *params)
{
	List	   *entries = NIL;

	dbops_query_each(sql, nparams, params, add_entry, &entries);
	link_partitions(entries);
	return entries;
}

static void
add_entry(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **entries = arg;
	IndexEntry *entry = palloc0(sizeof(IndexEntry));

	CHECK_FOR_INTERRUPTS();
	entry->oid = dbops_row_oid(row, desc, 1);
	entry->table = dbops_row_oid(row, desc, 2);
	entry->bare_name = dbops_row_text(row, desc, 4);
	entry->name = dbops_quote_qualified(dbops_row_text(row, desc, 3), entry->bare_name);
	entry->table_name = dbops_quote_qualified(dbops_row_text(row, desc, 5), dbops_row_text(row, desc, 6));
	entry->method = dbops_row_oid(row, desc, 7);
	read_flags(row, desc, entry);
	entry->constraint = quoted_or_null(dbops_row_text(row, desc, 20));
	entry->referenced_by = quoted_or_null(dbops_row_text(row, desc, 21));
	*entries = lappend(*entries, entry);
}

static void
read_flags(HeapTuple row, TupleDesc desc, IndexEntry *entry)
{
	entry->partitioned = dbops_row_bool(row, desc, 8);
	entry->parent = dbops_row_oid(row, desc, 9);
	entry->of_partition = dbops_row_bool(row, desc, 10);
	entry->others_temporary = dbops_row_bool(row, desc, 11);
	entry->unique = dbops_row_bool(row, desc, 12);
	entry->exclusion = dbops_row_bool(row, desc, 13);
	entry->has_expressions = dbops_row_bool(row, desc, 14);
	entry->valid = dbops_row_bool(row, desc, 15);
	entry->ready = dbops_row_bool(row, desc, 16);
	entry->live = dbops_row_bool(row, desc, 17);
	entry->replica_identity = dbops_row_bool(row, desc, 18);
	entry->clustered = dbops_row_bool(row, desc, 19);
}

static char *
quoted_or_null(const char *name)
{
	return (name == NULL) ? NULL : dbops_quote_name(name);
}

/* Let each partitioned index know what is attached to it. */
static void
link_partitions(List *entries)
{
	HASHCTL		control = {
		.keysize = sizeof(Oid),
		.entrysize = sizeof(KnownEntry),
		.hcxt = CurrentMemoryContext
	};
	HTAB	   *partitioned = hash_create("partitioned indexes", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	ListCell   *cell;

	foreach(cell, entries)
	{
		IndexEntry *entry = lfirst(cell);

		if (entry->partitioned)
			((KnownEntry *) hash_search(partitioned, &entry->oid, HASH_ENTER, NULL))->entry = entry;
	}
	foreach(cell, entries)
	{
		IndexEntry *entry = lfirst(cell);
		KnownEntry *parent = OidIsValid(entry->parent) ?
			hash_search(partitioned, &entry->parent, HASH_FIND, NULL) : NULL;

		if (parent != NULL)
			parent->entry->children = lappend(parent->entry->children, entry);
		lift_needs(partitioned, entry);
	}
	hash_destroy(partitioned);
}

/* What needs the index of one partition needs all of it. Replica identity and CLUSTER are said of each partition. */
static void
lift_needs(HTAB *partitioned, const IndexEntry *entry)
{
	Oid			parent = entry->parent;
	KnownEntry *above;

	while (OidIsValid(parent) && (above = hash_search(partitioned, &parent, HASH_FIND, NULL)) != NULL)
	{
		above->entry->replica_identity |= entry->replica_identity;
		above->entry->clustered |= entry->clustered;
		if (above->entry->referenced_by == NULL)
			above->entry->referenced_by = entry->referenced_by;
		parent = above->entry->parent;
	}
}

/* List the indexes with files that an index consists of: itself, or those below it. */
List *
dbops_index_leaves(IndexEntry *entry)
{
	List	   *leaves = NIL;

	collect_leaves(entry, &leaves);
	return leaves;
}

static void
collect_leaves(IndexEntry *entry, List **leaves)
{
	ListCell   *cell;

	check_stack_depth();
	if (!entry->partitioned)
		*leaves = lappend(*leaves, entry);
	foreach(cell, entry->children)
		collect_leaves(lfirst(cell), leaves);
}

/* Sum up its files, in bytes; -1: they are another session's, or not known by name. */
int64
dbops_index_bytes(IndexEntry *entry)
{
	int64		bytes = 0;
	ListCell   *cell;

	if (entry->others_temporary)
		return -1;
	if (entry->oid < FirstNormalObjectId && dbops_relation_bytes(entry->oid) == 0)
		return -1;
	foreach(cell, dbops_index_leaves(entry))
		bytes += dbops_relation_bytes(((IndexEntry *) lfirst(cell))->oid);
	return bytes;
}
