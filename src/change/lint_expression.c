/*
 * lint_expression.c
 *		What the type and the default of a new column mean to the server.
 *
 * Both are looked up and analyzed as ALTER TABLE does it, and nothing of them is
 * evaluated: a text may be judged by somebody who would not run it.
 */
#include "change/lint.h"

#include "catalog/heap.h"
#include "optimizer/optimizer.h"
#include "parser/parse_type.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

/* A default on its way through the attempt. */
typedef struct Cooking
{
	const ColumnDef *column;
	Node	   *raw;
	LintValue	value;
} Cooking;

static void cook(void *arg);

/* Find what the default of a new column is for each row; raw: as it is written, NULL: that of the type. */
LintValue
dbops_lint_default(const ColumnDef *column, Node *raw)
{
	Cooking		cooking = {.column = column,.raw = raw};
	ErrorData  *error;

	if (!dbops_attempt(cook, &cooking, &error))
		cooking.value.error = error->message;
	return cooking.value;
}

/* The server takes the expression as it is planned: a function that is inlined may turn out better than it is declared. */
static void
cook(void *arg)
{
	Cooking    *cooking = arg;
	int			nest_level;
	Oid			type;
	int32		typmod;
	Node	   *tree;

	typenameTypeIdAndMod(NULL, cooking->column->typeName, &type, &typmod);
	tree = (cooking->raw == NULL) ? get_typdefault(type) :
		cookDefault(make_parsestate(NULL), copyObject(cooking->raw), type, typmod, cooking->column->colname, '\0');
	if (tree == NULL)
	{
		cooking->value.known = true;
		return;
	}
	cooking->value.is_volatile = contain_volatile_functions(tree);
	nest_level = NewGUCNestLevel();
	dbops_set_nested("search_path", "pg_catalog, pg_temp");
	cooking->value.sql = deparse_expression(tree, NIL, false, false);
	AtEOXact_GUC(false, nest_level);
	cooking->value.known = true;
}

/* Look a type up; false: there is none of the name at this place. */
bool
dbops_lint_type(const TypeName *name, Oid *type, int32 *typmod)
{
	Type		found = LookupTypeName(NULL, name, typmod, true);

	if (found == NULL)
		return false;
	*type = typeTypeId(found);
	ReleaseSysCache(found);
	return true;
}

/* A type as a user writes it. */
char *
dbops_lint_type_name(const TypeName *name)
{
	Oid			type;
	int32		typmod;

	return dbops_lint_type(name, &type, &typmod) ? format_type_with_typemod(type, typmod) : TypeNameToString(name);
}
