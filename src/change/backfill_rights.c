/*
 * backfill_rights.c
 *		May the table's owner do what the change asks for?
 *
 * Rows are changed with the rights of the table's owner, whoever calls. Whether
 * these suffice the server would say only when the first batch is run; so the
 * statement is looked through when it is understood: the tables and columns
 * that it reads and assigns, those behind views with the rights that views
 * have, and the functions that it calls. What stands in the body of a function
 * is not looked into.
 */
#include "change/change.h"

#include "catalog/pg_proc.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "utils/lsyscache.h"

static bool check_node(Node *node, void *context);
static void check_tables(Query *query, Relation target);
static bool check_function(Oid function, void *context);

/* Refuse a query that the current user, the owner of the target, may not run. */
void
dbops_backfill_check_rights(const Query *query, Relation target)
{
	ListCell   *cell;

	foreach(cell, QueryRewrite(copyObject(unconstify(Query *, query))))
		(void) check_node(lfirst(cell), target);
}

static bool
check_node(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		check_tables((Query *) node, context);
		return query_tree_walker((Query *) node, check_node, context, 0);
	}
	(void) check_functions_in_node(node, check_function, context);
	return expression_tree_walker(node, check_node, context);
}

static void
check_tables(Query *query, Relation target)
{
	ListCell   *cell;

	foreach(cell, query->rtable)
	{
		RangeTblEntry *entry = lfirst_node(RangeTblEntry, cell);
		Oid			role;

		if (rte_is_permitted(query, entry, &role))
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for table %s", get_rel_name(entry->relid)),
				 errdetail("Role \"%s\" lacks the right. Rows of table \"%s\" are changed with the rights of its owner.",
						   GetUserNameFromId(OidIsValid(role) ? role : GetUserId(), false),
						   RelationGetRelationName(target)),
				 errhint("GRANT the role what set_clause and where_clause need.")));
	}
}

/* A function, also one behind an operator. */
static bool
check_function(Oid function, void *context)
{
	Relation	target = context;

	if (object_aclcheck(ProcedureRelationId, function, GetUserId(), ACL_EXECUTE) == ACLCHECK_OK)
		return false;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied for function %s", get_func_name(function)),
			 errdetail("Role \"%s\" lacks the right. Rows of table \"%s\" are changed with the rights of its owner.",
					   GetUserNameFromId(GetUserId(), false), RelationGetRelationName(target)),
			 errhint("GRANT the role what set_clause and where_clause need.")));
	return true;
}
