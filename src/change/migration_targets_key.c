/*
 * migration_targets_key.c
 *		The other tables of foreign keys that a statement takes away.
 *
 * A foreign key has triggers on both of its tables. Whoever drops it, its column
 * or its table locks the other one too, against everybody, and names it nowhere.
 */
#include "change/migration.h"

#include "utils/lsyscache.h"

/* The table and all below it, with the number that a column has in each. */
#define TREE \
	"WITH RECURSIVE tree (oid) AS (SELECT $1 UNION SELECT i.inhrelid FROM pg_inherits i JOIN tree t ON i.inhparent = t.oid)," \
	" own (oid, attnum) AS (SELECT t.oid, a.attnum FROM tree t LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attname = $2 AND NOT a.attisdropped)"

static List *other_tables(Oid relid, const char *name, const char *sql);
static void add_table(HeapTuple row, TupleDesc desc, void *arg);

/* Of the foreign keys that a column is in, on either side (of OID); of a table's all where column is NULL. */
List *
dbops_migration_tables_of_column_keys(Oid relid, const char *column)
{
	return other_tables(relid, column,
						TREE " SELECT k.confrelid FROM pg_constraint k JOIN own o ON o.oid = k.conrelid"
						" WHERE k.contype = 'f' AND ($2 IS NULL OR o.attnum = ANY (k.conkey))"
						" UNION SELECT k.conrelid FROM pg_constraint k JOIN own o ON o.oid = k.confrelid"
						" WHERE k.contype = 'f' AND ($2 IS NULL OR o.attnum = ANY (k.confkey)) ORDER BY 1");
}

/* Of a foreign key of a table, by its name (of OID); none if it is another constraint. */
List *
dbops_migration_tables_of_key(Oid relid, const char *constraint)
{
	return other_tables(relid, constraint,
						"WITH RECURSIVE keys (oid, confrelid) AS ("
						" SELECT oid, confrelid FROM pg_constraint WHERE contype = 'f' AND conrelid = $1 AND conname = $2"
						" UNION SELECT k.oid, k.confrelid FROM pg_constraint k JOIN keys p ON k.conparentid = p.oid)"
						" SELECT DISTINCT confrelid FROM keys ORDER BY 1");
}

static List *
other_tables(Oid relid, const char *name, const char *sql)
{
	DbopsParam	params[] = {dbops_param_oid(relid), dbops_param_text(name)};
	List	   *tables = NIL;

	if (OidIsValid(relid))
		dbops_query_each(sql, lengthof(params), params, add_table, &tables);
	return tables;
}

static void
add_table(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **tables = arg;

	*tables = lappend_oid(*tables, dbops_row_oid(row, desc, 1));
}
