/*
 * reindex_index.c
 *		An index as the catalogs have it, for who may rebuild it.
 *
 * Only catalogs are read and the lengths of files, without a lock: what is found
 * is judged again when its turn has come.
 */
#include "maintain/reindex.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* Of indexes that have a file. */
#define INDEX_COLUMNS \
	"SELECT c.oid, t.oid, quote_ident(n.nspname) || '.' || quote_ident(c.relname)," \
	" quote_ident(tn.nspname) || '.' || quote_ident(t.relname), t.relowner, c.reltablespace, c.relam = 403," \
	" i.indisunique, i.indisexclusion, i.indisvalid, t.oid < 16384, c.relpersistence = 't'," \
	" NOT i.indisvalid AND c.relname ~ '" LEFTOVER_NAME "', c.relpersistence = 'p'," \
	" coalesce(nullif(c.reltuples, -1), nullif(t.reltuples, -1), -1)::bigint," \
	" c.relpages::bigint * current_setting('block_size')::bigint," \
	" coalesce((SELECT d.refobjid FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = t.oid AND t.relkind = 't'" \
	" AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'i'), t.oid)" \
	" FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid" \
	" JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_namespace tn ON tn.oid = t.relnamespace" \
	" WHERE c.relkind = 'i'"

/* $1 and its partitions of all levels, whoever has locked them. */
#define PARTITION_TREE \
	"WITH RECURSIVE tree AS (SELECT $1 AS relid UNION SELECT h.inhrelid FROM tree JOIN pg_inherits h ON h.inhparent = relid" \
	" JOIN pg_class p ON p.oid = h.inhrelid AND p.relispartition)"

/* Their versions when they were recorded, and today; 100 is that of the database. */
#define COLLATIONS_OF_INDEXES \
	"SELECT c.oid, 'collation ' || quote_ident(c.collname) AS what, c.collversion AS was, pg_collation_actual_version(c.oid) AS now" \
	" FROM pg_collation c WHERE c.collversion IS NOT NULL" \
	" AND c.oid IN (SELECT u FROM pg_index i, unnest(i.indcollation::oid[]) u WHERE i.indrelid >= 16384)" \
	" UNION ALL SELECT 100, 'the collation of the database', d.datcollversion, pg_database_collation_actual_version(d.oid)" \
	" FROM pg_database d WHERE d.datname = current_database() AND d.datcollversion IS NOT NULL"

/* Indexes that are looked for. */
typedef struct Search
{
	int64		min_bytes;
	List	   *found;			/* of ReindexIndex * */
} Search;

static void take_index(HeapTuple row, TupleDesc desc, void *arg);
static void take_oid(HeapTuple row, TupleDesc desc, void *arg);
static void take_mismatch(HeapTuple row, TupleDesc desc, void *arg);
static int	compare_bytes(const ListCell *a, const ListCell *b);

/* Find one; NULL if there is none, or it has no file of its own. */
ReindexIndex *
dbops_reindex_index(Oid index)
{
	DbopsParam	params[] = {dbops_param_oid(index)};
	Search		search = {0};

	dbops_query_each(INDEX_COLUMNS " AND c.oid = $1", lengthof(params), params, take_index, &search);
	return (search.found == NIL) ? NULL : linitial(search.found);
}

/*
 * Those of a table, its partitions and what is stored out of line of them, or
 * of the database, that are no smaller; the largest first.
 */
List *
dbops_reindex_indexes(Oid table, int64 min_bytes)
{
	DbopsParam	params[] = {dbops_param_oid(table)};
	Search		search = {.min_bytes = min_bytes};

	dbops_query_each(PARTITION_TREE
					 ", place AS (SELECT relid AS oid FROM tree UNION SELECT r.reltoastrelid FROM pg_class r JOIN tree ON r.oid = relid) "
					 INDEX_COLUMNS " AND i.indisready AND ($1 IS NULL OR t.oid IN (SELECT oid FROM place))",
					 lengthof(params), params, take_index, &search);
	list_sort(search.found, compare_bytes);
	return search.found;
}

static void
take_index(HeapTuple row, TupleDesc desc, void *arg)
{
	Search	   *search = arg;
	ReindexIndex index;
	ReindexIndex *copy;

	CHECK_FOR_INTERRUPTS();
	index.oid = dbops_row_oid(row, desc, 1);
	index.bytes = dbops_relation_bytes(index.oid);
	if (index.bytes == 0)
		index.bytes = dbops_row_int8(row, desc, 16);
	if (index.bytes < search->min_bytes)
		return;
	index.table = dbops_row_oid(row, desc, 2);
	index.main = dbops_row_oid(row, desc, 17);
	index.name = dbops_row_text(row, desc, 3);
	index.table_name = dbops_row_text(row, desc, 4);
	index.owner = dbops_row_oid(row, desc, 5);
	index.tablespace = dbops_row_oid(row, desc, 6);
	if (!OidIsValid(index.tablespace))
		index.tablespace = MyDatabaseTableSpace;
	index.btree = dbops_row_bool(row, desc, 7);
	index.unique = dbops_row_bool(row, desc, 8);
	index.exclusion = dbops_row_bool(row, desc, 9);
	index.valid = dbops_row_bool(row, desc, 10);
	index.of_catalog = dbops_row_bool(row, desc, 11);
	index.temporary = dbops_row_bool(row, desc, 12);
	index.leftover = dbops_row_bool(row, desc, 13);
	index.logged = dbops_row_bool(row, desc, 14);
	index.rows = dbops_row_int8(row, desc, 15);
	index.table_bytes = dbops_relation_bytes(index.table);
	copy = palloc(sizeof(ReindexIndex));
	*copy = index;
	search->found = lappend(search->found, copy);
}

static int
compare_bytes(const ListCell *a, const ListCell *b)
{
	const ReindexIndex *one = lfirst(a);
	const ReindexIndex *other = lfirst(b);

	if (one->bytes != other->bytes)
		return (one->bytes > other->bytes) ? -1 : 1;
	return (one->oid < other->oid) ? -1 : (one->oid > other->oid);
}

/* The indexes with a file that one consists of: itself, or its partitions. List of OIDs. */
List *
dbops_reindex_leaves(Oid index)
{
	DbopsParam	params[] = {dbops_param_oid(index)};
	List	   *leaves = NIL;

	dbops_query_each(PARTITION_TREE " SELECT c.oid FROM tree"
					 " JOIN pg_class c ON c.oid = relid WHERE c.relkind = 'i' ORDER BY c.oid",
					 lengthof(params), params, take_oid, &leaves);
	return leaves;
}

static void
take_oid(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **oids = arg;

	*oids = lappend_oid(*oids, dbops_row_oid(row, desc, 1));
}

/* The index of a table that has a name, as SQL writes it; InvalidOid: none. */
Oid
dbops_reindex_find(Oid table, const char *name)
{
	DbopsParam	params[] = {dbops_param_oid(table), dbops_param_text(name)};
	Datum		found;

	if (!dbops_query_value("SELECT c.oid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
						   " JOIN pg_namespace n ON n.oid = c.relnamespace"
						   " WHERE i.indrelid = $1 AND quote_ident(n.nspname) || '.' || quote_ident(c.relname) = $2",
						   lengthof(params), params, OIDOID, &found))
		return InvalidOid;
	return DatumGetObjectId(found);
}

/* Why it cannot be rebuilt concurrently at all, as a user reads it; NULL: it can. */
const char *
dbops_reindex_refusal(const ReindexIndex *index)
{
	if (index->of_catalog)
		return "its table is a catalog, which the server does not rebuild concurrently";
	if (index->exclusion)
		return "it belongs to an exclusion constraint, which the server does not rebuild concurrently";
	if (index->temporary)
		return "its table is temporary: no other session can rebuild it";
	if (index->leftover)
		return "it is what a rebuild has left that was cut off: dbops.drop_leftover_index() removes it";
	return NULL;
}

/* The indexes of whose collations one has another order than when it was recorded, of ReindexMismatch *, by their OIDs. */
List *
dbops_reindex_mismatches(void)
{
	List	   *found = NIL;

	dbops_query_each("SELECT DISTINCT ON (i.indexrelid) i.indexrelid,"
					 " format('%s was of version %s and is of %s: rows may stand in the wrong order', what, was, now)"
					 " FROM (" COLLATIONS_OF_INDEXES ") v JOIN (SELECT DISTINCT indexrelid, unnest(indcollation::oid[]) AS collation FROM pg_index) i"
					 " ON i.collation = v.oid WHERE was IS DISTINCT FROM now ORDER BY i.indexrelid",
					 0, NULL, take_mismatch, &found);
	return found;
}

static void
take_mismatch(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **found = arg;
	ReindexMismatch *mismatch = palloc(sizeof(ReindexMismatch));

	mismatch->index = dbops_row_oid(row, desc, 1);
	mismatch->what = dbops_row_text(row, desc, 2);
	*found = lappend(*found, mismatch);
}
