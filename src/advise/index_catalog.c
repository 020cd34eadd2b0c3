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
#include "core/rule.h"

#include "miscadmin.h"
#include "utils/lsyscache.h"

#define INDEX_COLUMNS \
	"SELECT i.indexrelid, i.indrelid, n.nspname::text, c.relname::text," \
	" c.relam, c.relkind = 'I', h.inhparent, p.inhparent, c.relpersistence = 't' AND c.relnamespace <> pg_my_temp_schema()," \
	" i.indisunique, i.indisexclusion, i.indexprs IS NOT NULL, i.indisvalid, i.indisready, i.indislive," \
	" i.indisreplident, i.indisclustered, k.conname::text, f.conname::text" \
	" FROM pg_index i" \
	" JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace" \
	" LEFT JOIN pg_inherits h ON h.inhrelid = i.indexrelid" \
	" LEFT JOIN (SELECT inhrelid, min(inhparent) AS inhparent FROM pg_inherits GROUP BY 1) p ON p.inhrelid = i.indrelid" \
	" LEFT JOIN (SELECT conindid, min(conname::text) AS conname FROM pg_constraint WHERE contype IN ('p', 'u', 'x') GROUP BY 1) k" \
	" ON k.conindid = i.indexrelid" \
	" LEFT JOIN (SELECT conindid, min(conname::text) AS conname FROM pg_constraint WHERE contype = 'f' GROUP BY 1) f" \
	" ON f.conindid = i.indexrelid "

#define IS_USERS \
	" i.indexrelid >= 16384 AND c.relpersistence <> 't' AND n.nspname <> 'information_schema'" \
	" AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indrelid AND d.deptype = 'e')"

typedef struct KnownEntry
{
	Oid			index;
	IndexEntry *entry;
} KnownEntry;

static List *list(const char *sql, int nparams, const DbopsParam *params);
static void add_entry(HeapTuple row, TupleDesc desc, void *arg);
static void read_flags(HeapTuple row, TupleDesc desc, IndexEntry *entry);
static int	by_table(const ListCell *a, const ListCell *b);
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
		return list(INDEX_COLUMNS "WHERE i.indrelid = ANY ($1)", 1, &param);
	return list(INDEX_COLUMNS "WHERE" IS_USERS " AND n.nspname <> 'pg_toast'", 0, NULL);
}

/* List those of some of users' tables, likewise. */
List *
dbops_indexes_list_among(const List *tables)
{
	DbopsParam	param = dbops_param_oids(tables);

	if (tables == NIL)
		return NIL;
	return list(INDEX_COLUMNS "WHERE i.indrelid = ANY ($1) AND" IS_USERS " AND n.nspname <> 'pg_toast'", 1, &param);
}

/* List those that serve no query or are not kept up to date; those of TOAST tables too. */
List *
dbops_indexes_invalid(void)
{
	return list(INDEX_COLUMNS "WHERE NOT (i.indisvalid AND i.indisready AND i.indislive) AND" IS_USERS, 0, NULL);
}

static List *
list(const char *sql, int nparams, const DbopsParam *params)
{
	List	   *entries = NIL;

	dbops_query_latest(sql, nparams, params, add_entry, &entries);
	list_sort(entries, by_table);
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
	entry->schema = dbops_row_text(row, desc, 3);
	entry->name = dbops_quote_qualified(entry->schema, dbops_row_text(row, desc, 4));
	entry->method = dbops_row_oid(row, desc, 5);
	read_flags(row, desc, entry);
	entry->constraint = quoted_or_null(dbops_row_text(row, desc, 18));
	entry->referenced_by = quoted_or_null(dbops_row_text(row, desc, 19));
	*entries = lappend(*entries, entry);
}

static void
read_flags(HeapTuple row, TupleDesc desc, IndexEntry *entry)
{
	entry->partitioned = dbops_row_bool(row, desc, 6);
	entry->parent = dbops_row_oid(row, desc, 7);
	entry->table_parent = dbops_row_oid(row, desc, 8);
	entry->others_temporary = dbops_row_bool(row, desc, 9);
	entry->unique = dbops_row_bool(row, desc, 10);
	entry->exclusion = dbops_row_bool(row, desc, 11);
	entry->has_expressions = dbops_row_bool(row, desc, 12);
	entry->valid = dbops_row_bool(row, desc, 13);
	entry->ready = dbops_row_bool(row, desc, 14);
	entry->live = dbops_row_bool(row, desc, 15);
	entry->replica_identity = dbops_row_bool(row, desc, 16);
	entry->clustered = dbops_row_bool(row, desc, 17);
}

static char *
quoted_or_null(const char *name)
{
	return (name == NULL) ? NULL : dbops_quote_name(name);
}

/* By table, then by age. */
static int
by_table(const ListCell *a, const ListCell *b)
{
	const IndexEntry *one = lfirst(a);
	const IndexEntry *other = lfirst(b);

	if (one->table != other->table)
		return (one->table < other->table) ? -1 : 1;
	return (one->oid > other->oid) - (one->oid < other->oid);
}

/* Name the table, qualified and quoted: it is in the schema of its indexes. */
const char *
dbops_index_table_name(const IndexEntry *entry)
{
	const char *name = get_rel_name(entry->table);

	return (name == NULL) ? "(dropped)" : dbops_quote_qualified(entry->schema, name);
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

/*
 * What needs the index of one partition needs all of it. Replica identity and
 * CLUSTER are said of each partition; a constraint of a partition alone may have
 * been there before the index was attached.
 */
static void
lift_needs(HTAB *partitioned, const IndexEntry *entry)
{
	Oid			parent = entry->parent;
	KnownEntry *above;

	while (OidIsValid(parent) && (above = hash_search(partitioned, &parent, HASH_FIND, NULL)) != NULL)
	{
		if (entry->constraint != NULL && above->entry->constraint == NULL)
			above->entry->part_constraint = psprintf("%s of %s", entry->constraint, dbops_index_table_name(entry));
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

/* Sum up its files, in bytes; -1: they are another session's. */
int64
dbops_index_bytes(IndexEntry *entry)
{
	int64		bytes = 0;
	ListCell   *cell;

	if (entry->others_temporary)
		return -1;
	foreach(cell, dbops_index_leaves(entry))
		bytes += dbops_relation_bytes(((IndexEntry *) lfirst(cell))->oid);
	return bytes;
}
