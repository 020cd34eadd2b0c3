/*
 * migration_targets_whole.c
 *		The tables of a statement that names all of them at once.
 *
 * VACUUM FULL and CLUSTER without a name, REINDEX of a schema or a database, and
 * ALTER ... ALL IN TABLESPACE work on one table behind the other. Which they are
 * is asked as the server asks it: those that the user may do it with.
 */
#include "change/migration.h"

#include "compat.h"

#include "catalog/pg_class.h"
#include "commands/defrem.h"

static bool is_full(const VacuumStmt *statement);
static List *tables_of_reindex(const ReindexStmt *statement);
static List *tables_of_move(const AlterTableMoveAllStmt *statement);
static List *list_tables(const char *sql, int n_params, const DbopsParam *params);
static void add_table(HeapTuple row, TupleDesc desc, void *arg);

/* List them (of OID); none where the statement names a table, or all are worked on beside others. */
List *
dbops_migration_tables_of_whole(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_VacuumStmt:
			if (((VacuumStmt *) statement)->rels != NIL || !is_full((VacuumStmt *) statement))
				return NIL;
			return list_tables("SELECT oid FROM pg_class c WHERE relkind IN ('r', 'm') AND relpersistence <> 't' AND (" MAY_MAINTAIN
							   " OR pg_has_role((SELECT datdba FROM pg_database WHERE datname = current_database()), 'USAGE')) ORDER BY oid", 0, NULL);
		case T_ClusterStmt:
			if (((ClusterStmt *) statement)->relation != NULL)
				return NIL;
			return list_tables("SELECT oid FROM pg_class c WHERE relkind IN ('r', 'm') AND relpersistence <> 't' AND " MAY_MAINTAIN
							   " AND EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid AND indisclustered) ORDER BY oid", 0, NULL);
		case T_ReindexStmt:
			return tables_of_reindex((ReindexStmt *) statement);
		case T_AlterTableMoveAllStmt:
			return tables_of_move((AlterTableMoveAllStmt *) statement);
		default:
			return NIL;
	}
}

static bool
is_full(const VacuumStmt *statement)
{
	ListCell   *cell;
	bool		full = false;

	foreach(cell, statement->options)
		if (strcmp(lfirst_node(DefElem, cell)->defname, "full") == 0)
			full = defGetBoolean(lfirst_node(DefElem, cell));
	return full;
}

/* The system's are those of pg_catalog, which a database has besides others. */
static List *
tables_of_reindex(const ReindexStmt *statement)
{
	DbopsParam	params[] = {dbops_param_text(statement->kind == REINDEX_OBJECT_SCHEMA ? statement->name : NULL), dbops_param_bool(false)};

	if (statement->kind == REINDEX_OBJECT_INDEX || statement->kind == REINDEX_OBJECT_TABLE)
		return NIL;
	params[1].value = BoolGetDatum(statement->kind == REINDEX_OBJECT_SYSTEM);
	return list_tables("SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
					   " WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND c.relhasindex"
					   " AND ($1 IS NULL OR n.nspname = $1) AND (NOT $2 OR n.nspname = 'pg_catalog') ORDER BY c.oid", lengthof(params), params);
}

/* Of indexes, their tables: who uses one waits while it is moved. */
static List *
tables_of_move(const AlterTableMoveAllStmt *statement)
{
	DbopsParam	params[] = {
		dbops_param_text(statement->orig_tablespacename),
		dbops_param_text(statement->new_tablespacename),
		dbops_param_text(statement->objtype == OBJECT_MATVIEW ? "m" : statement->objtype == OBJECT_INDEX ? "i" : "r"),
		dbops_param_texts(NIL)
	};
	List	   *roles = NIL;
	ListCell   *cell;

	foreach(cell, statement->roles)
		roles = lappend(roles, get_rolespec_name(lfirst_node(RoleSpec, cell)));
	params[3] = dbops_param_texts(roles);
	return list_tables("SELECT DISTINCT coalesce(i.indrelid, c.oid) FROM pg_class c LEFT JOIN pg_index i ON i.indexrelid = c.oid"
					   " JOIN pg_database d ON d.datname = current_database()"
					   " JOIN pg_tablespace s ON s.oid = coalesce(nullif(c.reltablespace, 0), d.dattablespace)"
					   " WHERE s.spcname = $1 AND $1 <> $2 AND c.relkind = $3::\"char\" AND c.relpersistence <> 't' AND NOT c.relisshared"
					   " AND c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'pg_toast'::regnamespace)"
					   " AND (cardinality($4) = 0 OR pg_get_userbyid(c.relowner)::text = ANY ($4)) ORDER BY 1", lengthof(params), params);
}

static List *
list_tables(const char *sql, int n_params, const DbopsParam *params)
{
	List	   *tables = NIL;

	dbops_query_each(sql, n_params, params, add_table, &tables);
	return tables;
}

static void
add_table(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **tables = arg;

	*tables = lappend_oid(*tables, dbops_row_oid(row, desc, 1));
}
