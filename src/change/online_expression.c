/*
 * online_expression.c
 *		An expression of the caller's, understood once.
 *
 * A condition, a default or what rows are to be filled with comes as text. The
 * server's own parser says that it is one expression, its analysis what it
 * means, with the search_path of the call and the rights of the table's owner;
 * so whatever is wrong with it is said before anything is changed. What goes
 * into statements is written out from that, with every name qualified.
 */
#include "change/constraint.h"

#include "core/sql.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/heap.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_relation.h"
#include "rewrite/rewriteManip.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/snapmgr.h"

typedef enum Use
{
	CONDITION,
	FILL,
	DEFAULT_VALUE
} Use;

/* An expression on its way from text to what is known of it. */
typedef struct Understanding
{
	Use			use;
	Oid			table;
	const char *column;			/* that gets the value */
	Oid			type;			/* of that */
	int32		typmod;
	const char *text;
	char	   *path;			/* the caller's */
	OnlineExpression *result;
} Understanding;

static OnlineExpression *understand(Understanding *understanding);
static void understand_as_owner(void *arg);
static Node *parse(const char *text);
static Node *analyze(const Understanding *understanding, Relation rel);
static Node *transform(const Understanding *understanding, ParseState *state, Node *raw);
static Node *transform_fill(const Understanding *understanding, ParseState *state, Node *raw);
static void judge(OnlineExpression *expression, Use use);
static bool is_null(Node *tree);
static char *write_out(Node *tree, Relation rel);

/* A condition on the rows of a table, as a CHECK constraint takes it. */
OnlineExpression *
dbops_online_condition(Oid table, const char *text)
{
	Understanding understanding = {.use = CONDITION,.table = table,.text = text};

	dbops_fragment_check_expression(text, "expression");
	return understand(&understanding);
}

/* A value for a column of a table, which may be made of others. */
OnlineExpression *
dbops_online_fill(Oid table, const char *column, const char *text)
{
	Understanding understanding = {.use = FILL,.table = table,.column = column,.text = text};

	dbops_fragment_check_expression(text, "fill");
	get_atttypetypmodcoll(table, dbops_online_column_number(table, column),
						  &understanding.type, &understanding.typmod, &(Oid) {InvalidOid});
	return understand(&understanding);
}

/* The default of a column, which need not be there yet. */
OnlineExpression *
dbops_online_default(Oid table, const char *column, Oid type, int32 typmod, const char *text)
{
	Understanding understanding = {.use = DEFAULT_VALUE,.table = table,.column = column,
	.type = type,.typmod = typmod,.text = text};

	dbops_fragment_check_expression(text, "default_value");
	return understand(&understanding);
}

static OnlineExpression *
understand(Understanding *understanding)
{
	understanding->path = dbops_query_submission_path();
	PushActiveSnapshot(GetTransactionSnapshot());
	dbops_run_as(dbops_relation_owner(understanding->table), understand_as_owner, understanding);
	PopActiveSnapshot();
	return understanding->result;
}

/* Functions that are evaluated for it have the rights of the owner. */
static void
understand_as_owner(void *arg)
{
	Understanding *understanding = arg;
	OnlineExpression *result = palloc0(sizeof(OnlineExpression));
	Relation	rel = table_open(understanding->table, AccessShareLock);

	dbops_set_nested("search_path", understanding->path);
	result->tree = analyze(understanding, rel);
	judge(result, understanding->use);
	result->sql = write_out(result->tree, rel);
	table_close(rel, NoLock);
	understanding->result = result;
}

/* The text has been looked at: it is one expression. */
static Node *
parse(const char *text)
{
	RawStmt    *raw = linitial_node(RawStmt, dbops_sql_parse(text, RAW_PARSE_PLPGSQL_EXPR));

	return linitial_node(ResTarget, castNode(SelectStmt, raw->stmt)->targetList)->val;
}

/* Errors point into the caller's text. */
static Node *
analyze(const Understanding *understanding, Relation rel)
{
	Node	   *raw = parse(understanding->text);
	ParseState *state = make_parsestate(NULL);
	ErrorContextCallback context = {
		.previous = error_context_stack,
		.callback = dbops_sql_point,
		.arg = unconstify(char *, understanding->text)
	};
	Node	   *tree;

	state->p_sourcetext = understanding->text;
	if (understanding->use != DEFAULT_VALUE)
		addNSItemToQuery(state, addRangeTableEntryForRelation(state, rel, AccessShareLock, NULL, false, true),
						 false, true, true);
	error_context_stack = &context;
	tree = transform(understanding, state, raw);
	error_context_stack = context.previous;
	return tree;
}

static Node *
transform(const Understanding *understanding, ParseState *state, Node *raw)
{
	Node	   *tree;

	if (understanding->use == DEFAULT_VALUE)
		return cookDefault(state, raw, understanding->type, understanding->typmod,
						   understanding->column, '\0');
	if (understanding->use == FILL)
		return transform_fill(understanding, state, raw);
	tree = transformExpr(state, raw, EXPR_KIND_CHECK_CONSTRAINT);
	tree = coerce_to_boolean(state, tree, "CHECK");
	assign_expr_collations(state, tree);
	return tree;
}

static Node *
transform_fill(const Understanding *understanding, ParseState *state, Node *raw)
{
	Node	   *tree = transformExpr(state, raw, EXPR_KIND_UPDATE_SOURCE);
	Oid			type = exprType(tree);

	tree = coerce_to_target_type(state, tree, type, understanding->type, understanding->typmod,
								 COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST, -1);
	if (tree == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" is of type %s but fill is of type %s",
						understanding->column, format_type_be(understanding->type), format_type_be(type)),
				 errhint("Cast the expression.")));
	assign_expr_collations(state, tree);
	return tree;
}

/* What the server would find when it plans the statement. */
static void
judge(OnlineExpression *expression, Use use)
{
	expression->has_subselect = checkExprHasSubLink(expression->tree);
	if (use == CONDITION)
		return;
	expression->is_volatile = contain_volatile_functions(expression->has_subselect ? expression->tree :
														 (Node *) expression_planner((Expr *) copyObject(expression->tree)));
	expression->is_null = !expression->is_volatile && !expression->has_subselect && is_null(expression->tree);
}

/* Of what does not depend on a row: now() and settings are those of this moment. */
static bool
is_null(Node *tree)
{
	PlannerInfo *root = makeNode(PlannerInfo);
	Node	   *value;

	root->glob = makeNode(PlannerGlobal);
	value = estimate_expression_value(root, copyObject(tree));
	while (IsA(value, CoerceToDomain))
		value = (Node *) castNode(CoerceToDomain, value)->arg;
	return IsA(value, Const) && castNode(Const, value)->constisnull;
}

static char *
write_out(Node *tree, Relation rel)
{
	int			nest_level = NewGUCNestLevel();
	List	   *names = deparse_context_for(RelationGetRelationName(rel), RelationGetRelid(rel));
	char	   *sql;

	dbops_set_nested("search_path", "pg_catalog, pg_temp");
	dbops_meaning_write();
	sql = deparse_expression(tree, names, false, false);
	AtEOXact_GUC(false, nest_level);
	return sql;
}

/* The column of the table that it reads, if it reads one; or 0. */
AttrNumber
dbops_online_only_column(const OnlineExpression *expression)
{
	Bitmapset  *read = NULL;
	int			member;

	pull_varattnos(expression->tree, 1, &read);
	return bms_get_singleton_member(read, &member) ? (AttrNumber) (member + FirstLowInvalidHeapAttributeNumber) : 0;
}

/* SQL: the columns that it reads have the names that they have now. NULL: it reads none. */
char *
dbops_online_same_read(Oid table, const OnlineExpression *expression)
{
	Bitmapset  *read = NULL;
	List	   *names = NIL;

	pull_varattnos(expression->tree, 1, &read);
	for (int member = -1; (member = bms_next_member(read, member)) >= 0;)
	{
		AttrNumber	number = (AttrNumber) (member + FirstLowInvalidHeapAttributeNumber);

		if (number > 0)
			names = lappend(names, get_attname(table, number, false));
	}
	return (names == NIL) ? NULL : dbops_online_same_columns(dbops_online_columns_of(table, names), table);
}

/* Is this what the catalog has, as nodes? */
bool
dbops_online_is_stored_as(const OnlineExpression *expression, const char *stored)
{
	return equal(expression->tree, stringToNode(stored));
}
