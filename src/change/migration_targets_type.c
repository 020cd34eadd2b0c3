/*
 * migration_targets_type.c
 *		The tables that are made with a type.
 *
 * Who adds a constraint to a domain has all tables looked through that have a
 * column of it, and who drops a type takes columns out of them; neither names
 * one. They are found by what the catalog says to depend on the type, through
 * domains over it, and arrays, composite types and ranges of it.
 */
#include "change/migration.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "nodes/value.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

static void add_table(HeapTuple row, TupleDesc desc, void *arg);

/* List the tables that exist and hold values of a type (of OID). */
List *
dbops_migration_tables_of_type(Oid type)
{
	DbopsParam	param = dbops_param_oid(type);
	List	   *tables = NIL;

	if (OidIsValid(type))
		dbops_query_each("WITH RECURSIVE made (type, relation) AS ("
					 " SELECT $1, 0::oid"
					 " UNION SELECT coalesce(c.reltype, d.objid), coalesce(c.oid, 0)"
					 " FROM made m JOIN pg_depend d ON d.refclassid = 'pg_type'::regclass AND d.refobjid = m.type"
					 " AND d.classid IN ('pg_type'::regclass, 'pg_class'::regclass)"
					 " LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid"
					 " WHERE m.type <> 0)"
					 " SELECT DISTINCT c.oid FROM made m JOIN pg_class c ON c.oid = m.relation AND c.relkind IN ('r', 'm', 'p', 'f')"
					 " ORDER BY c.oid",
					 1, &param, add_table, &tables);
	return tables;
}

/*
 * List the tables because of which the server refuses to change a domain's constraints
 * (of OID): with a column of an array, range or composite type that has the domain
 * in it, or of the row of a table with such a column.
 */
List *
dbops_migration_tables_around_domain(Oid type)
{
	DbopsParam	param = dbops_param_oid(type);
	List	   *tables = NIL;

	if (OidIsValid(type))
		dbops_query_each("WITH RECURSIVE made (type, is_around, relation, has_around) AS ("
					 " SELECT $1, false, 0::oid, false"
					 " UNION SELECT coalesce(c.reltype, d.objid), m.is_around OR c.oid IS NOT NULL OR t.typtype <> 'd', coalesce(c.oid, 0), m.is_around"
					 " FROM made m JOIN pg_depend d ON d.refclassid = 'pg_type'::regclass AND d.refobjid = m.type"
					 " AND d.classid IN ('pg_type'::regclass, 'pg_class'::regclass)"
					 " LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid"
					 " LEFT JOIN pg_type t ON d.classid = 'pg_type'::regclass AND t.oid = d.objid"
					 " WHERE m.type <> 0)"
					 " SELECT DISTINCT c.oid FROM made m JOIN pg_class c ON c.oid = m.relation AND c.relkind IN ('r', 'm', 'p')"
					 " WHERE m.has_around ORDER BY c.oid",
					 1, &param, add_table, &tables);
	return tables;
}

/* List the tables that are made OF a composite type (of OID). */
List *
dbops_migration_tables_like_type(Oid type)
{
	DbopsParam	param = dbops_param_oid(type);
	List	   *tables = NIL;

	if (OidIsValid(type))
		dbops_query_each("SELECT oid FROM pg_class WHERE reloftype = $1 ORDER BY oid", 1, &param, add_table, &tables);
	return tables;
}

/* Look a type up as tables are, whether its schema may be used or not; InvalidOid: there is none. */
Oid
dbops_migration_find_type(List *names)
{
	char	   *schema;
	char	   *type;
	Oid			namespace;

	DeconstructQualifiedName(names, &schema, &type);
	if (schema == NULL)
		return TypenameGetTypid(type);
	namespace = get_namespace_oid(schema, true);
	return GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum(type), ObjectIdGetDatum(namespace));
}

static void
add_table(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **tables = arg;

	*tables = lappend_oid(*tables, dbops_row_oid(row, desc, 1));
}
