/*
 * twin_convert.c
 *		How a value of a column becomes one of another type.
 *
 * The same rules hold as for ALTER COLUMN ... TYPE: what USING yields, or the
 * column itself, is assigned to the new type.
 */
#include "change/twin.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/snapmgr.h"

/* A conversion on its way through the callbacks. */
typedef struct ConversionWork
{
	const TwinColumn *column;
	const TwinType *type;
	const char *using;			/* or NULL */
	const char *path;			/* search_path of the caller */
	TwinConversion conversion;
} ConversionWork;

static void convert(void *arg);
static Node *analyze(const ConversionWork *work, Relation rel);
static void check_kind(const Query *query);
static bool has_moment(Node *node, void *context);
static Node *assign(const ConversionWork *work, Node *value);
static void check_elements(const ConversionWork *work, Node *assigned);
static List *columns_of(Node *value, Relation rel);
static char *deparse(const ConversionWork *work, Node *value, Relation rel);

/* Understand it, with the rights of the table's owner; refuse what the server would, or a trigger cannot do. */
TwinConversion
dbops_twin_convert(const TwinColumn *column, const TwinType *type, const char *using)
{
	ConversionWork work = {.column = column,.type = type,.using = using,.path = dbops_query_submission_path()};

	if (using != NULL)
		dbops_fragment_check_expression(using, "using_expression");
	PushActiveSnapshot(GetTransactionSnapshot());
	dbops_run_as(dbops_relation_owner(column->relid), convert, &work);
	PopActiveSnapshot();
	return work.conversion;
}

static void
convert(void *arg)
{
	ConversionWork *work = arg;
	Relation	rel = table_open(work->column->relid, AccessShareLock);
	Node	   *value;
	Node	   *assigned;

	dbops_set_nested("search_path", work->path);
	value = analyze(work, rel);
	assigned = assign(work, value);
	check_elements(work, assigned);
	work->conversion.reads = columns_of(value, rel);
	work->conversion.may_fail = contain_leaked_vars(assigned);
	work->conversion.plain = work->using == NULL && dbops_twin_is_plain(work->column, work->type, assigned);
	if (work->using != NULL)
		work->conversion.expression = deparse(work, value, rel);
	table_close(rel, AccessShareLock);
}

/* The value as the server understands it. */
static Node *
analyze(const ConversionWork *work, Relation rel)
{
	const char *value = (work->using != NULL) ? work->using : quote_identifier(work->column->name);
	Query	   *query = dbops_fragment_analyze(psprintf("SELECT (%s) FROM ONLY %s", value, work->column->table));

	check_kind(query);
	dbops_backfill_sync_check(query);
	dbops_backfill_check_rights(query, rel);
	return (Node *) linitial_node(TargetEntry, query->targetList)->expr;
}

static void
check_kind(const Query *query)
{
	Node	   *value = (Node *) linitial_node(TargetEntry, query->targetList)->expr;

	if (query->hasAggs || query->hasWindowFuncs || query->hasTargetSRFs)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("using_expression must yield one value from one row"),
				 errhint("Leave out aggregates, window functions and functions that return sets.")));
	if (contain_volatile_functions(value) || has_moment(value, NULL))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("using_expression must yield the same value for the same row whenever it is evaluated"),
				 errhint("Leave out volatile functions, the time and the current user.")));
}

static bool
has_moment(Node *node, void *context)
{
	if (node == NULL)
		return false;
	return dbops_backfill_is_moment(node) || expression_tree_walker(node, has_moment, context);
}

static Node *
assign(const ConversionWork *work, Node *value)
{
	const TwinType *type = work->type;
	Node	   *assigned = coerce_to_target_type(NULL, copyObject(value), exprType(value), type->type, type->typmod,
												 COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST, -1);

	if (assigned == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" cannot be cast automatically from type %s to type %s", work->column->name,
						format_type_be(exprType(value)), format_type_with_typemod(type->type, type->typmod)),
				 errhint("Say how in using_expression, such as '%s::%s'.", quote_identifier(work->column->name),
						 format_type_with_typemod(type->type, type->typmod))));
	return assigned;
}

/* There is no SQL for the assignment of an array whose elements may be too long: only for one that cuts them. */
static void
check_elements(const ConversionWork *work, Node *assigned)
{
	Node	   *node = (Node *) expression_planner((Expr *) copyObject(assigned));
	const FuncExpr *element;

	while (IsA(node, CoerceToDomain))
		node = (Node *) ((CoerceToDomain *) node)->arg;
	element = IsA(node, ArrayCoerceExpr) ? (FuncExpr *) ((ArrayCoerceExpr *) node)->elemexpr : NULL;
	if (element != NULL && IsA(element, FuncExpr) && list_length(element->args) == 3 && !DatumGetBool(lthird_node(Const, element->args)->constvalue))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("elements of column \"%s\" may be too long for type %s", work->column->name,
						format_type_with_typemod(work->type->type, work->type->typmod)),
				 errhint("Have them cut in using_expression: '%s::%s'.", quote_identifier(work->column->name),
						 format_type_with_typemod(work->type->type, work->type->typmod))));
}

/* The columns that it reads (List of char *). */
static List *
columns_of(Node *value, Relation rel)
{
	Bitmapset  *read = NULL;
	List	   *columns = NIL;
	int			member = -1;

	pull_varattnos(value, 1, &read);
	while ((member = bms_next_member(read, member)) >= 0)
	{
		AttrNumber	attnum = member + FirstLowInvalidHeapAttributeNumber;

		if (attnum <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("using_expression must not read the row as a whole"),
					 errhint("Name the columns that it reads.")));
		columns = lappend(columns, get_attname(RelationGetRelid(rel), attnum, false));
	}
	return columns;
}

/* As text that means the same on the search_path which is safe from others, whatever the settings are. */
static char *
deparse(const ConversionWork *work, Node *value, Relation rel)
{
	List	   *names = deparse_context_for(RelationGetRelationName(rel), RelationGetRelid(rel));

	dbops_set_nested("search_path", dbops_query_safe_path(work->path));
	dbops_meaning_write();
	return psprintf("(%s)", deparse_expression(value, names, false, true));
}

/* As SQL has it, whatever the search_path is. */
char *
dbops_twin_type_name(Oid type, int32 typmod)
{
	return format_type_extended(type, typmod, FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY);
}
