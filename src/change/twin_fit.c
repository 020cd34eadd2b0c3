/*
 * twin_fit.c
 *		Can the indexes and constraints of a column be copied for the new one? Told
 *		before anything is done.
 */
#include "change/twin.h"

#include "access/table.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/defrem.h"
#include "nodes/makefuncs.h"
#include "parser/parse_coerce.h"
#include "parser/parse_oper.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* A trial of an expression on its way through the callbacks. */
typedef struct Trial
{
	const char *statement;
} Trial;

static void check_name(const TwinClone *clone);
static bool is_index(Oid relid);
static const char *misfit(const TwinClone *clone, const TwinType *type);
static bool fits_index(const TwinClone *clone, Oid type);
static const char *expression_misfit(const TwinColumn *column, const char *expression, const TwinType *type);
static void analyze(void *arg);

/* Refuse what cannot be copied, or whose copy has its name taken. */
void
dbops_twin_check_clones(List *clones)
{
	ListCell   *cell;

	foreach(cell, clones)
	{
		const TwinClone *clone = lfirst(cell);

		if (clone->refusal != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("%s of table %s names column \"%s\" and cannot be copied for a new column: it %s",
							quote_identifier(clone->name), clone->column->table, clone->column->name, clone->refusal),
					 errhint("Drop it first, and make it anew for the new column.")));
		check_name(clone);
	}
}

static void
check_name(const TwinClone *clone)
{
	Oid			other = get_relname_relid(clone->clone, get_namespace_oid(clone->column->schema, false));

	if (clone->kind != TWIN_INDEX && clone->kind != TWIN_UNIQUE)
		return;
	if (OidIsValid(other) && (!is_index(other) || IndexGetRelation(other, false) != clone->column->relid))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_TABLE),
				 errmsg("the name %s, which the copy of index %s is to have, is taken",
						quote_identifier(clone->clone), quote_identifier(clone->name)),
				 errhint("Rename that: ALTER TABLE %s RENAME TO ...;", dbops_quote_relation(other))));
}

static bool
is_index(Oid relid)
{
	return get_rel_relkind(relid) == RELKIND_INDEX || get_rel_relkind(relid) == RELKIND_PARTITIONED_INDEX;
}

/* Refuse what has no meaning for another type. */
void
dbops_twin_check_fit(List *clones, const TwinType *type)
{
	ListCell   *cell;

	foreach(cell, clones)
	{
		const TwinClone *clone = lfirst(cell);
		const char *why = misfit(clone, type);

		if (why != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
					 errmsg("%s of table %s does not fit type %s", quote_identifier(clone->name), clone->column->table,
							format_type_with_typemod(type->type, type->typmod)),
					 errdetail("%s", why),
					 errhint("Drop it first, and make one that fits afterwards.")));
	}
}

/* Why a copy does not fit; NULL: it does. */
static const char *
misfit(const TwinClone *clone, const TwinType *type)
{
	ListCell   *cell;

	if (OidIsValid(clone->operators) && !fits_index(clone, type->type))
		return "The type has no operators of the kind that the index is made of.";
	if (OidIsValid(clone->referenced_type) &&
		!OidIsValid(compatible_oper_opid(list_make1(makeString("=")), clone->referenced_type, type->type, true)))
		return "The type cannot be compared with the column that the foreign key refers to.";
	foreach(cell, clone->expressions)
	{
		const char *why = expression_misfit(clone->column, lfirst(cell), type);

		if (why != NULL)
			return why;
	}
	return NULL;
}

static bool
fits_index(const TwinClone *clone, Oid type)
{
	if (clone->operators_default)
		return OidIsValid(GetDefaultOpClass(type, clone->method));
	return IsBinaryCoercible(type, get_opclass_input_type(clone->operators));
}

/* What the server says of an expression that has a value of the type in the place of the column. */
static const char *
expression_misfit(const TwinColumn *column, const char *expression, const TwinType *type)
{
	const char *value = psprintf("CAST(NULL AS %s)", dbops_twin_type_name(type->type, type->typmod));
	Trial		trial = {
		.statement = psprintf("SELECT %s FROM ONLY %s", dbops_twin_rewrite(expression, column->name, value), column->table)
	};
	ErrorData  *error;

	return dbops_attempt(analyze, &trial, &error) ? NULL : error->message;
}

static void
analyze(void *arg)
{
	int			nest_level = NewGUCNestLevel();

	dbops_set_nested("search_path", "pg_catalog, pg_temp");
	(void) dbops_fragment_analyze(((Trial *) arg)->statement);
	AtEOXact_GUC(false, nest_level);
}
