/*
 * ddl_guard_temporary.c
 *		Is all that a statement is about temporary?
 *
 * What is in the temporary schema belongs to one session and is no part of the
 * schema. It is told by names, as the server would find them; nothing is locked.
 * What is dropped IF EXISTS and does not exist is nobody's either.
 */
#include "change/ddl_guard.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "nodes/makefuncs.h"
#include "utils/lsyscache.h"
#include "utils/varlena.h"

static bool makes_temporary(const RangeVar *name);
static bool path_begins_temporary(void);
static bool is_temporary(const RangeVar *name);
static bool are_temporary(const List *names);
static bool drops_temporary(const DropStmt *statement);
static bool is_object_temporary(ObjectType type, Node *object);
static bool is_list_temporary(List *name, int n_behind);
static bool is_in_temporary(const List *name);
static bool is_type_temporary(List *name);
static bool is_made_in_temporary(const List *name);
static bool is_schema_temporary(const char *name);
static bool is_missing(ObjectType type, Node *object);
static bool grants_temporary(const GrantStmt *statement);

/* Tell it; false where that is not known. */
bool
dbops_guard_is_temporary(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_CreateStmt:
			return makes_temporary(((CreateStmt *) statement)->relation);
		case T_CreateTableAsStmt:
			return makes_temporary(((CreateTableAsStmt *) statement)->into->rel);
		case T_ViewStmt:
			return makes_temporary(((ViewStmt *) statement)->view);
		case T_CreateSeqStmt:
			return makes_temporary(((CreateSeqStmt *) statement)->sequence);
		case T_CompositeTypeStmt:
			return makes_temporary(((CompositeTypeStmt *) statement)->typevar);
		case T_IndexStmt:
			return is_temporary(((IndexStmt *) statement)->relation);
		case T_AlterTableStmt:
			return is_temporary(((AlterTableStmt *) statement)->relation);
		case T_AlterSeqStmt:
			return is_temporary(((AlterSeqStmt *) statement)->sequence);
		case T_RenameStmt:
			return ((RenameStmt *) statement)->relation != NULL ? is_temporary(((RenameStmt *) statement)->relation) :
				is_object_temporary(((RenameStmt *) statement)->renameType, ((RenameStmt *) statement)->object);
		case T_AlterObjectSchemaStmt:
			return is_temporary(((AlterObjectSchemaStmt *) statement)->relation);
		case T_CreateTrigStmt:
			return is_temporary(((CreateTrigStmt *) statement)->relation);
		case T_RuleStmt:
			return is_temporary(((RuleStmt *) statement)->relation);
		case T_CreatePolicyStmt:
			return is_temporary(((CreatePolicyStmt *) statement)->table);
		case T_AlterPolicyStmt:
			return is_temporary(((AlterPolicyStmt *) statement)->table);
		case T_CreateStatsStmt:
			return are_temporary(((CreateStatsStmt *) statement)->relations);
		case T_GrantStmt:
			return grants_temporary((GrantStmt *) statement);
		case T_CommentStmt:
			return is_object_temporary(((CommentStmt *) statement)->objtype, ((CommentStmt *) statement)->object);
		case T_DropStmt:
			return drops_temporary((DropStmt *) statement);
		case T_SecLabelStmt:
			return is_object_temporary(((SecLabelStmt *) statement)->objtype, ((SecLabelStmt *) statement)->object);
		case T_AlterOwnerStmt:
			return is_object_temporary(((AlterOwnerStmt *) statement)->objectType, ((AlterOwnerStmt *) statement)->object);
		case T_CreateFunctionStmt:
			return is_made_in_temporary(((CreateFunctionStmt *) statement)->funcname);
		case T_AlterFunctionStmt:
			return is_in_temporary(((AlterFunctionStmt *) statement)->func->objname);
		case T_DefineStmt:
			return is_made_in_temporary(((DefineStmt *) statement)->defnames);
		case T_CreateEnumStmt:
			return is_made_in_temporary(((CreateEnumStmt *) statement)->typeName);
		case T_CreateDomainStmt:
			return is_made_in_temporary(((CreateDomainStmt *) statement)->domainname);
		case T_CreateRangeStmt:
			return is_made_in_temporary(((CreateRangeStmt *) statement)->typeName);
		case T_AlterEnumStmt:
			return is_type_temporary(((AlterEnumStmt *) statement)->typeName);
		case T_AlterDomainStmt:
			return is_type_temporary(((AlterDomainStmt *) statement)->typeName);
		case T_AlterTypeStmt:
			return is_type_temporary(((AlterTypeStmt *) statement)->typeName);
		default:
			return false;
	}
}

/* ---- what is made ---- */

static bool
makes_temporary(const RangeVar *name)
{
	if (name->schemaname != NULL)
		return is_schema_temporary(name->schemaname);
	return name->relpersistence == RELPERSISTENCE_TEMP || path_begins_temporary();
}

static bool
path_begins_temporary(void)
{
	List	   *names = NIL;

	return SplitIdentifierString(pstrdup(namespace_search_path), ',', &names) &&
		names != NIL && is_schema_temporary(linitial(names));
}

/* ---- what is there ---- */

static bool
is_temporary(const RangeVar *name)
{
	Oid			relid;

	if (name == NULL)
		return false;
	if (name->schemaname != NULL && is_schema_temporary(name->schemaname))
		return true;
	relid = dbops_migration_find_relation(name);
	return OidIsValid(relid) && get_rel_persistence(relid) == RELPERSISTENCE_TEMP;
}

static bool
are_temporary(const List *names)
{
	ListCell   *cell;

	foreach(cell, names)
		if (!IsA(lfirst(cell), RangeVar) || !is_temporary(lfirst(cell)))
			return false;
	return names != NIL;
}

static bool
drops_temporary(const DropStmt *statement)
{
	ListCell   *cell;

	foreach(cell, statement->objects)
		if (!is_object_temporary(statement->removeType, lfirst(cell)) &&
			!(statement->missing_ok && is_missing(statement->removeType, lfirst(cell))))
			return false;
	return true;
}

/* Of relations; of others it is not asked. */
static bool
is_missing(ObjectType type, Node *object)
{
	switch (type)
	{
		case OBJECT_TABLE:
		case OBJECT_VIEW:
		case OBJECT_MATVIEW:
		case OBJECT_INDEX:
		case OBJECT_SEQUENCE:
		case OBJECT_FOREIGN_TABLE:
			return list_length(castNode(List, object)) <= 3 &&
				!OidIsValid(dbops_migration_find_relation(makeRangeVarFromNameList(castNode(List, object))));
		default:
			return false;
	}
}

static bool
grants_temporary(const GrantStmt *statement)
{
	ListCell   *cell;

	if (statement->targtype != ACL_TARGET_OBJECT)
		return false;
	if (statement->objtype == OBJECT_TABLE || statement->objtype == OBJECT_SEQUENCE)
		return are_temporary(statement->objects);
	foreach(cell, statement->objects)
		if (!is_object_temporary(statement->objtype, lfirst(cell)))
			return false;
	return true;
}

static bool
is_object_temporary(ObjectType type, Node *object)
{
	switch (type)
	{
		case OBJECT_TABLE:
		case OBJECT_VIEW:
		case OBJECT_INDEX:
		case OBJECT_SEQUENCE:
			return is_list_temporary(castNode(List, object), 0);
		case OBJECT_COLUMN:
		case OBJECT_TABCONSTRAINT:
		case OBJECT_TRIGGER:
		case OBJECT_RULE:
		case OBJECT_POLICY:
			return is_list_temporary(castNode(List, object), 1);
		case OBJECT_DOMCONSTRAINT:
			return IsA(object, List) && IsA(linitial((List *) object), TypeName) &&
				is_type_temporary(linitial_node(TypeName, (List *) object)->names);
		case OBJECT_FUNCTION:
		case OBJECT_PROCEDURE:
		case OBJECT_ROUTINE:
		case OBJECT_AGGREGATE:
			return is_in_temporary(castNode(ObjectWithArgs, object)->objname);
		case OBJECT_TYPE:
		case OBJECT_DOMAIN:
			return IsA(object, TypeName) ? is_type_temporary(((TypeName *) object)->names) :
				IsA(object, List) && is_type_temporary((List *) object);
		default:
			return false;
	}
}

/* A relation's name, with as many names of parts of it behind. */
static bool
is_list_temporary(List *name, int n_behind)
{
	int			length = list_length(name) - n_behind;

	return length > 0 && length <= 3 &&
		is_temporary(makeRangeVarFromNameList(list_truncate(list_copy(name), length)));
}

/* A function is found there by its schema only, a type also without. */
static bool
is_in_temporary(const List *name)
{
	return list_length(name) == 2 && is_schema_temporary(strVal(linitial(name)));
}

static bool
is_type_temporary(List *name)
{
	Oid			type = dbops_migration_find_type(name);
	char	   *schema;
	char	   *last;

	if (!OidIsValid(type))
		return is_in_temporary(name);
	DeconstructQualifiedName(name, &schema, &last);
	return schema != NULL ? is_schema_temporary(schema) : OidIsValid(TypenameGetTypidExtended(last, true)) && !OidIsValid(TypenameGetTypidExtended(last, false));
}

static bool
is_made_in_temporary(const List *name)
{
	return list_length(name) == 1 ? path_begins_temporary() : is_in_temporary(name);
}

/* By its alias or by its name. */
static bool
is_schema_temporary(const char *name)
{
	return strcmp(name, "pg_temp") == 0 || isTempNamespace(get_namespace_oid(name, true));
}
