/*
 * twin_default.c
 *		Can the default of a column be that of a column of another type? Told before
 *		anything is done.
 *
 * The same rule holds as for ALTER COLUMN ... TYPE: it is assigned. What an
 * explicit cast would make of it may fail with every row that is inserted.
 */
#include "change/twin.h"

#include "access/table.h"
#include "catalog/pg_inherits.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_coerce.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

static void check_one(Oid relid, const TwinColumn *column, const TwinType *type);
static Node *default_of(Oid relid, AttrNumber attnum);

/* Refuse one, of the table or of a partition, that cannot be assigned. */
void
dbops_twin_check_default(const TwinColumn *column, const TwinType *type)
{
	ListCell   *cell;

	foreach(cell, find_all_inheritors(column->relid, NoLock, NULL))
		check_one(lfirst_oid(cell), column, type);
}

static void
check_one(Oid relid, const TwinColumn *column, const TwinType *type)
{
	Node	   *value = default_of(relid, get_attnum(relid, column->name));
	Oid			from = (value != NULL) ? exprType(value) : InvalidOid;

	if (value == NULL ||
		coerce_to_target_type(NULL, value, from, type->type, type->typmod, COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST, -1) != NULL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("default for column \"%s\" of table %s cannot be cast automatically from type %s to type %s", column->name,
					dbops_quote_relation(relid), format_type_be(from), format_type_with_typemod(type->type, type->typmod)),
			 errhint("ALTER TABLE %s ALTER COLUMN %s DROP DEFAULT; first, and set another one after finish_change().",
					 dbops_quote_relation(relid), quote_identifier(column->name))));
}

/* As it was given, without what the server has put around it for the type that the column has; or NULL. */
static Node *
default_of(Oid relid, AttrNumber attnum)
{
	Relation	rel = table_open(relid, AccessShareLock);
	bool		has_default = TupleDescAttr(RelationGetDescr(rel), attnum - 1)->atthasdef;
	Node	   *value = has_default ? build_column_default(rel, attnum) : NULL;

	table_close(rel, AccessShareLock);
	return (value != NULL) ? strip_implicit_coercions(value) : NULL;
}
