/*
 * lint_change.c
 *		The changes of rows that a statement makes, and which of them are of all rows.
 *
 * They may stand in WITH, and inside of COPY, CREATE TABLE AS and EXPLAIN ANALYZE.
 * PREPARE and EXPLAIN alone run nothing. A condition is a constant where the server
 * makes one of it and calls nothing of a user's for that: one that names a column
 * is not, but that a column which has no NULL is not NULL.
 */
#include "change/lint.h"
#include "change/unrun.h"
#include "compat.h"

#include "commands/defrem.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_clause.h"
#include "parser/parse_collate.h"

/* A condition on its way through the attempt. */
typedef struct Folding
{
	Node	   *condition;
	Const	   *constant;		/* what is left of it; or NULL */
} Folding;

static Node *what_is_run(Lint *lint, Node *statement);
static bool is_analyzed(const ExplainStmt *statement);
static const WithClause *with_of(Node *statement);
static bool is_change(Node *statement);
static bool merges_all(const LintTable *table, const MergeStmt *statement);
static bool changes_each(const LintTable *table, const MergeStmt *statement, bool by_source);
static bool is_constant(const LintTable *table, Node *condition, bool value);
static bool all_are(const LintTable *table, const List *conditions, bool value);
static bool any_is(const LintTable *table, const List *conditions, bool value);
static bool never_null(const LintTable *table, Node *value);
static bool names_something(Node *node, void *arg);
static void fold(void *arg);

/* The UPDATE, DELETE and MERGE statements that are run with a statement (List of Node *). */
List *
dbops_lint_changes(Lint *lint, Node *statement)
{
	Node	   *run = what_is_run(lint, statement);
	const WithClause *with = run == NULL ? NULL : with_of(run);
	List	   *changes = NIL;
	ListCell   *cell;

	if (with != NULL)
		foreach(cell, with->ctes)
			if (is_change(lfirst_node(CommonTableExpr, cell)->ctequery))
				changes = lappend(changes, lfirst_node(CommonTableExpr, cell)->ctequery);
	if (run != NULL && is_change(run))
		changes = lappend(changes, run);
	return changes;
}

/* What stands in the statement and is run, which may be itself; or NULL. */
static Node *
what_is_run(Lint *lint, Node *statement)
{
	const CreateTableAsStmt *create;

	switch (nodeTag(statement))
	{
		case T_ExplainStmt:
			return is_analyzed((ExplainStmt *) statement) ? what_is_run(lint, ((ExplainStmt *) statement)->query) : NULL;
		case T_CopyStmt:
			return ((CopyStmt *) statement)->query;
		case T_CreateTableAsStmt:
			create = (CreateTableAsStmt *) statement;
			return create->into->skipData || (create->if_not_exists && dbops_lint_find(lint, create->into->rel) != NULL) ? NULL : create->query;
		default:
			return statement;
	}
}

/* Of an option that is given twice the last counts. */
static bool
is_analyzed(const ExplainStmt *statement)
{
	bool		analyzed = false;
	ListCell   *cell;

	foreach(cell, statement->options)
		if (strcmp(lfirst_node(DefElem, cell)->defname, "analyze") == 0)
			analyzed = defGetBoolean(lfirst_node(DefElem, cell));
	return analyzed;
}

/* Only there the server takes changes in WITH. */
static const WithClause *
with_of(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_SelectStmt:
			return ((SelectStmt *) statement)->withClause;
		case T_InsertStmt:
			return ((InsertStmt *) statement)->withClause;
		case T_UpdateStmt:
			return ((UpdateStmt *) statement)->withClause;
		case T_DeleteStmt:
			return ((DeleteStmt *) statement)->withClause;
		case T_MergeStmt:
			return ((MergeStmt *) statement)->withClause;
		default:
			return NULL;
	}
}

/* MERGE may do no more than insert. */
static bool
is_change(Node *statement)
{
	ListCell   *cell;

	if (!IsA(statement, MergeStmt))
		return IsA(statement, UpdateStmt) || IsA(statement, DeleteStmt);
	foreach(cell, ((MergeStmt *) statement)->mergeWhenClauses)
		if (lfirst_node(MergeWhenClause, cell)->commandType == CMD_UPDATE || lfirst_node(MergeWhenClause, cell)->commandType == CMD_DELETE)
			return true;
	return false;
}

/* Does a change reach all rows of its table, whatever they hold? */
bool
dbops_lint_changes_all(const LintTable *table, Node *change)
{
	switch (nodeTag(change))
	{
		case T_UpdateStmt:
			return is_constant(table, ((UpdateStmt *) change)->whereClause, true);
		case T_DeleteStmt:
			return is_constant(table, ((DeleteStmt *) change)->whereClause, true);
		default:
			return merges_all(table, castNode(MergeStmt, change));
	}
}

/* Joined to whatever the source has, or to nothing of it. */
static bool
merges_all(const LintTable *table, const MergeStmt *statement)
{
	return (is_constant(table, statement->joinCondition, true) && changes_each(table, statement, false)) ||
		(is_constant(table, statement->joinCondition, false) && changes_each(table, statement, true));
}

/* The first action whose condition a row meets is what becomes of it. */
static bool
changes_each(const LintTable *table, const MergeStmt *statement, bool by_source)
{
	ListCell   *cell;

	foreach(cell, statement->mergeWhenClauses)
	{
		const MergeWhenClause *when = lfirst_node(MergeWhenClause, cell);

		if (by_source ? !merge_is_of_rest(when) : !merge_is_of_matched(when))
			continue;
		if (when->commandType != CMD_UPDATE && when->commandType != CMD_DELETE)
			return false;
		if (is_constant(table, when->condition, true))
			return true;
	}
	return false;
}

/* Is a condition of the parser's, none being true, always that value? */
static bool
is_constant(const LintTable *table, Node *condition, bool value)
{
	const BoolExpr *several = (const BoolExpr *) condition;
	Folding		folding = {.condition = condition};
	ErrorData  *error;

	check_stack_depth();
	if (condition == NULL)
		return value;
	if (IsA(condition, BoolExpr))
		switch (several->boolop)
		{
			case NOT_EXPR:
				return is_constant(table, linitial(several->args), !value);
			case AND_EXPR:
				return value ? all_are(table, several->args, true) : any_is(table, several->args, false);
			case OR_EXPR:
				return value ? any_is(table, several->args, true) : all_are(table, several->args, false);
		}
	if (IsA(condition, NullTest) && never_null(table, (Node *) ((NullTest *) condition)->arg))
		return value == (((NullTest *) condition)->nulltesttype == IS_NOT_NULL);
	return !names_something(condition, NULL) && dbops_attempt(fold, &folding, &error) &&
		folding.constant != NULL && !folding.constant->constisnull && DatumGetBool(folding.constant->constvalue) == value;
}

static bool
all_are(const LintTable *table, const List *conditions, bool value)
{
	ListCell   *cell;

	foreach(cell, conditions)
		if (!is_constant(table, lfirst(cell), value))
			return false;
	return true;
}

static bool
any_is(const LintTable *table, const List *conditions, bool value)
{
	ListCell   *cell;

	foreach(cell, conditions)
		if (is_constant(table, lfirst(cell), value))
			return true;
	return false;
}

/* A column without anything before it, of which the table allows no NULL; a table beside it may have no such column. */
static bool
never_null(const LintTable *table, Node *value)
{
	const ColumnRef *reference = (const ColumnRef *) value;
	LintColumn	column;

	return IsA(value, ColumnRef) && list_length(reference->fields) == 1 && IsA(linitial(reference->fields), String) &&
		dbops_lint_column(table, strVal(linitial(reference->fields)), &column) && column.not_null;
}

/* Something that is known only when rows are looked at, or when it is run. */
static bool
names_something(Node *node, void *arg)
{
	if (node == NULL)
		return false;
	if (IsA(node, ColumnRef) || IsA(node, ParamRef) || IsA(node, SubLink) || IsA(node, CurrentOfExpr))
		return true;
	return raw_expression_tree_walker(node, names_something, arg);
}

static void
fold(void *arg)
{
	Folding    *folding = arg;
	ParseState *state = make_parsestate(NULL);
	Node	   *folded = transformWhereClause(state, copyObject(folding->condition), EXPR_KIND_WHERE, "WHERE");

	assign_expr_collations(state, folded);
	folded = dbops_fold_unrun(folded);
	folding->constant = IsA(folded, Const) ? (Const *) folded : NULL;
}
