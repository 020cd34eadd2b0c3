/*
 * expression.c
 *		Simplifying what users wrote without running it.
 *
 * The planner simplifies a query's clauses, and an index's expressions and
 * predicate, before it compares them, and so does this module. But in doing so
 * the server calls immutable functions whose arguments are known, parses SQL
 * functions in order to inline them, and plans the checks of domains. A report
 * that a superuser calls must do none of that with what the owner of a table
 * brought along, nor fail because of it. Hence the rule:
 *
 *		An expression is simplified only if every function and domain in it
 *		is the server's own and it contains no constant; otherwise it is
 *		taken as it is stored.
 *
 * Without a constant nothing is known beforehand, and nothing is called: not
 * by way of the server's own functions on arrays and rows either, which call
 * those of the elements' types. What the rule gives up is little. The lookup
 * compares with values that are not known when it is planned, so no constant
 * ever makes an index serve it.
 *
 * For the same reason predicate_implied_by() may be given any predicate: it
 * calls an operator only to compare a constant of the predicate with one that
 * the lookup compares with, of which there are none. Whether a function is
 * strict, which proves IS NOT NULL, is read from the catalog.
 */
#include "advise/advise.h"

#include "access/transam.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"

static bool is_left_alone(Node *node, void *context);
static bool is_users_function(Oid function, void *context);

/* Simplify an expression as the planner would, as far as nothing is called. */
Node *
dbops_expression_simplify(Node *expression)
{
	if (!is_left_alone(expression, NULL))
		expression = eval_const_expressions(NULL, expression);
	fix_opfuncids(expression);
	return expression;
}

/* Look for what might be called if the expression were simplified. */
static bool
is_left_alone(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Const) || IsA(node, CaseTestExpr) ||
		check_functions_in_node(node, is_users_function, context))
		return true;
	if (IsA(node, CoerceToDomain) &&
		((CoerceToDomain *) node)->resulttype >= FirstNormalObjectId)
		return true;
	return expression_tree_walker(node, is_left_alone, context);
}

/* Say whether a function came after the server's own. */
static bool
is_users_function(Oid function, void *context)
{
	return function >= FirstNormalObjectId;
}
