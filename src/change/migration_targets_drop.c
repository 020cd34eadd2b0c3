/*
 * migration_targets_drop.c
 *		The tables that a DROP takes something from without naming them.
 *
 * What depends on an object goes with it: all of it with CASCADE, and without it
 * what is a part of it, as a foreign key is of its table. The catalog's own
 * dependencies are followed to their end, as the server follows them. A table
 * that goes, loses a column or an index, or has the other end of a foreign key
 * that goes is locked against everybody; so are the table that a partition goes
 * from, and the default partition beside it.
 */
#include "change/migration.h"

#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_language.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_ts_config.h"
#include "catalog/pg_ts_dict.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "commands/proclang.h"
#include "commands/user.h"
#include "foreign/foreign.h"
#include "nodes/makefuncs.h"
#include "parser/parse_func.h"
#include "parser/parse_oper.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"

/* What is dropped by name. */
typedef struct Roots
{
	List	   *classes;		/* of OID */
	List	   *objects;		/* of OID */
	List	   *columns;		/* of int; 0: all of it */
	List	   *named;			/* tables that the statement names, which are known without this (of OID) */
	bool		cascade;
	List	   *along;			/* of MigrationAlong * */
} Roots;

static void add_dropped(Roots *roots, const DropStmt *statement);
static void add_relation(Roots *roots, List *name);
static Oid	find_object(ObjectType type, Node *object, Oid *class);
static Oid	find_access(ObjectType type, List *name, Oid *class);
static Oid	find_by_name(ObjectType type, List *name, Oid *class);
static void add_columns(Roots *roots, Oid relid, const char *name);
static void add_owned(Roots *roots, const DropOwnedStmt *statement);
static void take_owned(HeapTuple row, TupleDesc desc, void *arg);
static void add_root(Roots *roots, Oid class, Oid object, int column);
static List *walk(Roots *roots);
static void take(HeapTuple row, TupleDesc desc, void *arg);

/* Which of MigrationDeed a row of the walk tells. */
static const struct
{
	const char *name;
	MigrationDeed deed;
}			deeds[] = {
	{"locks", MIGRATION_LOCKS},
	{"strips", MIGRATION_STRIPS},
	{"drops column", MIGRATION_DROPS_COLUMN},
	{"drops", MIGRATION_DROPS}
};

/* List them (of MigrationAlong *); none if it drops nothing. */
List *
dbops_migration_dropped_along(Node *statement)
{
	Roots		roots = {0};
	ListCell   *cell;

	switch (nodeTag(statement))
	{
		case T_DropStmt:
			add_dropped(&roots, (DropStmt *) statement);
			break;
		case T_DropOwnedStmt:
			add_owned(&roots, (DropOwnedStmt *) statement);
			break;
		case T_AlterTableStmt:
			foreach(cell, ((AlterTableStmt *) statement)->cmds)
			{
				const AlterTableCmd *command = lfirst_node(AlterTableCmd, cell);
				Oid			relid = dbops_migration_find_relation(((AlterTableStmt *) statement)->relation);

				if (!OidIsValid(relid))
					return NIL;
				roots.named = list_append_unique_oid(roots.named, relid);
				roots.cascade |= command->behavior == DROP_CASCADE;
				if (command->subtype == AT_DropColumn)
					add_columns(&roots, relid, command->name);
				else if (command->subtype == AT_DropConstraint)
					add_root(&roots, ConstraintRelationId, get_relation_constraint_oid(relid, command->name, true), 0);
			}
			break;
		default:
			break;
	}
	return roots.objects == NIL ? NIL : walk(&roots);
}

/* ---- what is named ---- */

/* Without CASCADE no more than a table takes anything along. */
static void
add_dropped(Roots *roots, const DropStmt *statement)
{
	ListCell   *cell;

	roots->cascade = statement->behavior == DROP_CASCADE;
	if (statement->concurrent || (!roots->cascade && statement->removeType != OBJECT_TABLE &&
								   statement->removeType != OBJECT_FOREIGN_TABLE && statement->removeType != OBJECT_EXTENSION))
		return;
	foreach(cell, statement->objects)
	{
		Oid			class = InvalidOid;
		Oid			object;

		switch (statement->removeType)
		{
			case OBJECT_TABLE:
			case OBJECT_INDEX:
			case OBJECT_SEQUENCE:
			case OBJECT_VIEW:
			case OBJECT_MATVIEW:
			case OBJECT_FOREIGN_TABLE:
				add_relation(roots, lfirst_node(List, cell));
				break;
			default:
				object = find_object(statement->removeType, lfirst(cell), &class);
				add_root(roots, class, object, 0);
				break;
		}
	}
}

static void
add_relation(Roots *roots, List *name)
{
	Oid			relid = list_length(name) > 3 ? InvalidOid : dbops_migration_find_relation(makeRangeVarFromNameList(name));

	if (!OidIsValid(relid))
		return;
	add_root(roots, RelationRelationId, relid, 0);
	roots->named = lappend_oid(roots->named, relid);
}

/* InvalidOid: there is none, or it is of a kind that nothing in a table depends on. */
static Oid
find_object(ObjectType type, Node *object, Oid *class)
{
	switch (type)
	{
		case OBJECT_TYPE:
		case OBJECT_DOMAIN:
			*class = TypeRelationId;
			return dbops_migration_find_type(castNode(TypeName, object)->names);
		case OBJECT_FUNCTION:
		case OBJECT_PROCEDURE:
		case OBJECT_ROUTINE:
		case OBJECT_AGGREGATE:
			*class = ProcedureRelationId;
			return LookupFuncWithArgs(type, castNode(ObjectWithArgs, object), true);
		case OBJECT_OPERATOR:
			*class = OperatorRelationId;
			return LookupOperWithArgs(castNode(ObjectWithArgs, object), true);
		case OBJECT_OPCLASS:
		case OBJECT_OPFAMILY:
			return find_access(type, castNode(List, object), class);
		case OBJECT_SCHEMA:
		case OBJECT_EXTENSION:
		case OBJECT_LANGUAGE:
		case OBJECT_ACCESS_METHOD:
		case OBJECT_FOREIGN_SERVER:
		case OBJECT_FDW:
			return find_by_name(type, list_make1(object), class);
		default:
			return IsA(object, List) ? find_by_name(type, (List *) object, class) : InvalidOid;
	}
}

/* The access method stands before the name. */
static Oid
find_access(ObjectType type, List *name, Oid *class)
{
	Oid			method = get_index_am_oid(strVal(linitial(name)), true);
	List	   *rest = list_copy_tail(name, 1);

	*class = type == OBJECT_OPCLASS ? OperatorClassRelationId : OperatorFamilyRelationId;
	if (!OidIsValid(method))
		return InvalidOid;
	return type == OBJECT_OPCLASS ? get_opclass_oid(method, rest, true) : get_opfamily_oid(method, rest, true);
}

static Oid
find_by_name(ObjectType type, List *name, Oid *class)
{
	const char *last = strVal(llast(name));

	switch (type)
	{
		case OBJECT_SCHEMA:
			*class = NamespaceRelationId;
			return get_namespace_oid(last, true);
		case OBJECT_EXTENSION:
			*class = ExtensionRelationId;
			return get_extension_oid(last, true);
		case OBJECT_LANGUAGE:
			*class = LanguageRelationId;
			return get_language_oid(last, true);
		case OBJECT_ACCESS_METHOD:
			*class = AccessMethodRelationId;
			return get_am_oid(last, true);
		case OBJECT_FOREIGN_SERVER:
			*class = ForeignServerRelationId;
			return get_foreign_server_oid(last, true);
		case OBJECT_FDW:
			*class = ForeignDataWrapperRelationId;
			return get_foreign_data_wrapper_oid(last, true);
		case OBJECT_COLLATION:
			*class = CollationRelationId;
			return get_collation_oid(name, true);
		case OBJECT_TSCONFIGURATION:
			*class = TSConfigRelationId;
			return get_ts_config_oid(name, true);
		case OBJECT_TSDICTIONARY:
			*class = TSDictionaryRelationId;
			return get_ts_dict_oid(name, true);
		default:
			return InvalidOid;
	}
}

/* Of a table and all below it. */
static void
add_columns(Roots *roots, Oid relid, const char *name)
{
	ListCell   *cell;

	foreach(cell, find_all_inheritors(relid, NoLock, NULL))
	{
		AttrNumber	column = get_attnum(lfirst_oid(cell), name);

		if (column > 0)
			add_root(roots, RelationRelationId, lfirst_oid(cell), column);
		roots->named = lappend_oid(roots->named, lfirst_oid(cell));
	}
}

static void
add_owned(Roots *roots, const DropOwnedStmt *statement)
{
	DbopsParam	param = dbops_param_oids(roleSpecsToIds(statement->roles));

	roots->cascade = true;
	dbops_query_each("SELECT classid, objid, objsubid FROM pg_shdepend WHERE refclassid = 'pg_authid'::regclass AND refobjid = ANY ($1)"
					 " AND deptype = 'o' AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())",
					 1, &param, take_owned, roots);
}

static void
take_owned(HeapTuple row, TupleDesc desc, void *arg)
{
	add_root(arg, dbops_row_oid(row, desc, 1), dbops_row_oid(row, desc, 2), dbops_row_int4(row, desc, 3));
}

static void
add_root(Roots *roots, Oid class, Oid object, int column)
{
	if (!OidIsValid(object))
		return;
	roots->classes = lappend_oid(roots->classes, class);
	roots->objects = lappend_oid(roots->objects, object);
	roots->columns = lappend_oid(roots->columns, column);
}

/* ---- what goes with it ---- */

/*
 * A part of an object that goes takes the object along, as the rule of a view
 * does. What stands at a parent stands at its children too, and is told once.
 */
static List *
walk(Roots *roots)
{
	DbopsParam	params[] = {
		dbops_param_oids(roots->classes), dbops_param_oids(roots->objects), dbops_param_oids(roots->columns),
		dbops_param_bool(roots->cascade), dbops_param_oids(roots->named)
	};

	dbops_query_each("WITH RECURSIVE gone (classid, objid, objsubid) AS ("
					 " SELECT classid, objid, objsubid::integer FROM unnest($1, $2, $3::bigint[]) r (classid, objid, objsubid)"
					 " UNION SELECT n.* FROM gone g CROSS JOIN LATERAL ("
					 "  SELECT d.classid, d.objid, d.objsubid FROM pg_depend d WHERE d.refclassid = g.classid AND d.refobjid = g.objid"
					 "  AND (g.objsubid = 0 OR d.refobjsubid = g.objsubid) AND ($4 OR d.deptype <> 'n')"
					 "  UNION ALL SELECT d.refclassid, d.refobjid, d.refobjsubid FROM pg_depend d WHERE d.classid = g.classid AND d.objid = g.objid"
					 "  AND d.objsubid = g.objsubid AND d.deptype = 'i') n),"
					 " gone_tables (oid) AS (SELECT objid FROM gone WHERE classid = 'pg_class'::regclass AND objsubid = 0),"
					 " found (relid, deed, what, part) AS ("
					 " SELECT c.oid, 'drops', NULL, NULL FROM gone_tables g JOIN pg_class c USING (oid) WHERE c.relkind IN ('r', 'p', 'm', 'f')"
					 "  AND NOT (c.relispartition AND EXISTS (SELECT FROM pg_inherits i JOIN gone_tables p ON p.oid = i.inhparent JOIN pg_class t ON t.oid = p.oid"
					 "   WHERE i.inhrelid = c.oid AND t.relnamespace = c.relnamespace))"
					 " UNION ALL SELECT a.attrelid, 'drops column', 'column', a.attname::text FROM gone g JOIN pg_attribute a ON a.attrelid = g.objid AND a.attnum = g.objsubid"
					 "  JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p', 'm', 'f') WHERE g.classid = 'pg_class'::regclass AND g.objsubid > 0 AND a.attinhcount = 0"
					 " UNION ALL SELECT i.indrelid, 'strips', 'index', c.relname::text FROM gone_tables g JOIN pg_index i ON i.indexrelid = g.oid JOIN pg_class c USING (oid)"
					 "  WHERE NOT c.relispartition AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = i.indrelid AND k.conindid = i.indexrelid)"
					 " UNION ALL SELECT k.conrelid, 'strips', 'constraint', k.conname::text FROM gone g JOIN pg_constraint k ON k.oid = g.objid"
					 "  WHERE g.classid = 'pg_constraint'::regclass AND k.conrelid <> 0 AND k.conparentid = 0 AND k.coninhcount = 0 AND k.contype <> 'n'"
					 " UNION ALL SELECT k.confrelid, 'locks', 'constraint', k.conname::text FROM gone g JOIN pg_constraint k ON k.oid = g.objid"
					 "  WHERE g.classid = 'pg_constraint'::regclass AND k.contype = 'f' AND k.conparentid = 0"
					 " UNION ALL SELECT o.relid, 'locks', o.what, min(c.relname::text COLLATE \"C\") FROM gone_tables g JOIN pg_class c USING (oid) JOIN pg_inherits i ON i.inhrelid = c.oid"
					 "  JOIN pg_partitioned_table p ON p.partrelid = i.inhparent CROSS JOIN LATERAL (VALUES (i.inhparent, 'partition'), (p.partdefid, 'neighbouring partition')) o (relid, what)"
					 "  WHERE c.relispartition AND o.relid NOT IN (0, c.oid) GROUP BY o.relid, o.what"
					 " UNION ALL SELECT t.tgrelid, 'strips', 'trigger', t.tgname::text FROM gone g JOIN pg_trigger t ON t.oid = g.objid"
					 "  WHERE g.classid = 'pg_trigger'::regclass AND NOT t.tgisinternal AND t.tgparentid = 0"
					 " UNION ALL SELECT p.polrelid, 'strips', 'policy', p.polname::text FROM gone g JOIN pg_policy p ON p.oid = g.objid WHERE g.classid = 'pg_policy'::regclass"
					 " UNION ALL SELECT e.adrelid, 'strips', 'default', a.attname::text FROM gone g JOIN pg_attrdef e ON e.oid = g.objid"
					 "  JOIN pg_attribute a ON a.attrelid = e.adrelid AND a.attnum = e.adnum AND a.attinhcount = 0 AND a.attgenerated = ''"
					 "  WHERE g.classid = 'pg_attrdef'::regclass AND (e.adrelid, e.adnum::integer) NOT IN (SELECT objid, objsubid FROM gone WHERE classid = 'pg_class'::regclass AND objsubid > 0))"
					 " SELECT DISTINCT relid, deed, what, part FROM found WHERE relid <> ALL ($5)"
					 " AND (deed = 'drops' OR relid NOT IN (SELECT oid FROM gone_tables)) ORDER BY relid, deed, what, part",
					 lengthof(params), params, take, roots);
	return roots->along;
}

static void
take(HeapTuple row, TupleDesc desc, void *arg)
{
	Roots	   *roots = arg;
	char	   *deed = dbops_row_text(row, desc, 2);

	for (int i = 0; i < lengthof(deeds); i++)
		if (strcmp(deeds[i].name, deed) == 0)
			roots->along = dbops_migration_add_along(roots->along, dbops_row_oid(row, desc, 1), deeds[i].deed,
														dbops_row_text(row, desc, 3), dbops_row_text(row, desc, 4));
}
