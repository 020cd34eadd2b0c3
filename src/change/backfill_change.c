/*
 * backfill_change.c
 *		Understand what a backfill is to assign, and to which rows.
 *
 * The caller's set list and predicate are analyzed by the server, once, with
 * the caller's search_path, and kept as SQL text that means the same under
 * any search_path. As in one UPDATE statement, what is the same for every row
 * and depends on the moment (now(), CURRENT_USER, a setting) is evaluated
 * once, before the first batch.
 */
#include "change/change.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_proc.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/snapmgr.h"

/* What the analysis works on, and what comes of it, in the caller's memory. */
typedef struct Understanding
{
	const BackfillRequest *request;
	BackfillChange *change;
} Understanding;

static void understand(void *arg);
static Query *analyze(const BackfillRequest *request, Relation rel);
static void check_targets(Query *query, Relation rel);
static void check_target(const TargetEntry *target, Relation rel);
static void fill_in_default(TargetEntry *target, Relation rel);
static Node *fix_moment(Node *node, void *context);
static bool is_fixable(Node *node);
static bool has_constant_arguments(Node *node);
static bool is_not_constant(Node *node, void *context);
static void deparse(Query *query, Relation rel, bool compare_image,
					int null_resno, BackfillChange *change);
static char *deparse_set_list(Query *query, Relation rel, List *names);
static char *deparse_image_comparison(Query *query, Relation rel, List *names,
									  const char *alias);
static char *column_name(const TargetEntry *target, Relation rel);

/*
 * Analyze the request and judge whether its rows may be met twice. Code of
 * the table's owner runs with the owner's rights here already.
 */
BackfillChange *
dbops_backfill_understand(const BackfillRequest *request)
{
	Understanding understanding = {
		.request = request,
		.change = palloc0(sizeof(BackfillChange))
	};
	Relation	rel = table_open(request->relid, RowExclusiveLock);
	Oid			owner = rel->rd_rel->relowner;

	dbops_fragment_check_set_list(request->set_clause, "set_clause");
	if (request->where_clause != NULL)
		dbops_fragment_check_expression(request->where_clause, "where_clause");

	PushActiveSnapshot(GetTransactionSnapshot());
	dbops_run_as(owner, understand, &understanding);
	PopActiveSnapshot();

	table_close(rel, NoLock);
	return understanding.change;
}

static void
understand(void *arg)
{
	Understanding *understanding = arg;
	Relation	rel = table_open(understanding->request->relid, NoLock);
	Query	   *query = analyze(understanding->request, rel);
	bool		compare_image;
	int			null_resno;

	check_targets(query, rel);
	query = (Query *) fix_moment((Node *) query, NULL);
	dbops_backfill_judge_repeat(query, rel, understanding->change,
								&compare_image, &null_resno);

	deparse(query, rel, compare_image, null_resno, understanding->change);
	table_close(rel, NoLock);
}

/* Have the server analyze the UPDATE that the request stands for. */
static Query *
analyze(const BackfillRequest *request, Relation rel)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "UPDATE ONLY %s SET %s",
					 quote_qualified_identifier(get_namespace_name(RelationGetNamespace(rel)),
												RelationGetRelationName(rel)),
					 request->set_clause);
	if (request->where_clause != NULL)
		appendStringInfo(&sql, "\nWHERE %s", request->where_clause);
	return dbops_fragment_analyze(sql.data);
}

/* Refuse assignments that a backfill cannot make; complete DEFAULTs. */
static void
check_targets(Query *query, Relation rel)
{
	ListCell   *cell;

	foreach(cell, query->targetList)
	{
		TargetEntry *target = lfirst_node(TargetEntry, cell);

		if (target->resjunk)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("set_clause assigns several columns from one subselect"),
					 errhint("Give each column a subselect of its own.")));
		check_target(target, rel);
		fill_in_default(target, rel);
	}
}

static void
check_target(const TargetEntry *target, Relation rel)
{
	Form_pg_attribute column = TupleDescAttr(RelationGetDescr(rel), target->resno - 1);
	Bitmapset  *member = bms_make_singleton(target->resno - FirstLowInvalidHeapAttributeNumber);

	if (column->attgenerated != '\0' || column->attidentity == ATTRIBUTE_IDENTITY_ALWAYS)
		ereport(ERROR,
				(errcode(ERRCODE_GENERATED_ALWAYS),
				 errmsg("column \"%s\" cannot be backfilled because its values are always generated",
						NameStr(column->attname))));
	if (IsA(target->expr, SubscriptingRef) || IsA(target->expr, FieldStore))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("set_clause assigns a part of column \"%s\"", NameStr(column->attname)),
				 errhint("Assign the whole column.")));
	if (has_partition_attrs(rel, member, NULL))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("column \"%s\" cannot be backfilled because it is part of the partition key",
						NameStr(column->attname)),
				 errdetail("Its rows would move to other partitions.")));
}

/* Put the column's default in the place of the word DEFAULT. */
static void
fill_in_default(TargetEntry *target, Relation rel)
{
	Form_pg_attribute column = TupleDescAttr(RelationGetDescr(rel), target->resno - 1);

	if (!IsA(target->expr, SetToDefault))
		return;
	target->expr = (Expr *) build_column_default(rel, target->resno);
	if (target->expr == NULL)
		target->expr = (Expr *) makeNullConst(column->atttypid, column->atttypmod,
											  column->attcollation);
}

/*
 * Evaluate what is the same for every row and depends on the moment: calls
 * of stable functions without any input from the row.
 */
static Node *
fix_moment(Node *node, void *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Query))
		return (Node *) query_tree_mutator((Query *) node, fix_moment, context, 0);

	node = expression_tree_mutator(node, fix_moment, context);
	if (!is_fixable(node) || !has_constant_arguments(node))
		return node;
	return (Node *) evaluate_expr((Expr *) node, exprType(node),
								  exprTypmod(node), exprCollation(node));
}

/* Calls that the server takes for stable; folding immutable ones is its own job. */
static bool
is_fixable(Node *node)
{
	switch (nodeTag(node))
	{
		case T_FuncExpr:
			return !((FuncExpr *) node)->funcretset &&
				func_volatile(((FuncExpr *) node)->funcid) != PROVOLATILE_VOLATILE;
		case T_OpExpr:
		case T_ScalarArrayOpExpr:
		case T_CoerceViaIO:
		case T_SQLValueFunction:
		case T_RelabelType:
			return !contain_volatile_functions(node);
		default:
			return false;
	}
}

static bool
has_constant_arguments(Node *node)
{
	return !expression_tree_walker(node, is_not_constant, NULL);
}

static bool
is_not_constant(Node *node, void *context)
{
	if (IsA(node, List))
		return expression_tree_walker(node, is_not_constant, context);
	return !IsA(node, Const);
}

/* Write the change as text that means the same under any search_path. */
static void
deparse(Query *query, Relation rel, bool compare_image, int null_resno,
		BackfillChange *change)
{
	int			nest_level = NewGUCNestLevel();
	char	   *alias = RelationGetRelationName(rel);
	List	   *names = deparse_context_for(alias, RelationGetRelid(rel));
	Node	   *where = query->jointree->quals;

	dbops_set_nested("search_path", "pg_catalog");
	dbops_set_nested("DateStyle", "ISO");
	dbops_set_nested("IntervalStyle", "postgres");
	dbops_set_nested("extra_float_digits", "3");
	dbops_set_nested("bytea_output", "hex");

	change->alias = pstrdup(quote_identifier(alias));
	change->set_list = deparse_set_list(query, rel, names);
	change->matches = (where == NULL) ? pstrdup("true") :
		deparse_expression(where, names, true, false);

	if (compare_image)
		change->pending = deparse_image_comparison(query, rel, names, change->alias);
	else if (null_resno > 0)
	{
		TargetEntry *target = get_tle_by_resno(query->targetList, null_resno);

		change->pending = psprintf("(%s) IS NOT NULL",
								   deparse_expression((Node *) target->expr, names, true, false));
		change->null_column = pstrdup(get_attname(RelationGetRelid(rel), null_resno, false));
	}
	else
		change->pending = pstrdup("true");

	AtEOXact_GUC(false, nest_level);
}

static char *
deparse_set_list(Query *query, Relation rel, List *names)
{
	StringInfoData list;
	ListCell   *cell;

	initStringInfo(&list);
	foreach(cell, query->targetList)
	{
		TargetEntry *target = lfirst_node(TargetEntry, cell);

		appendStringInfo(&list, "%s%s = %s", list.len > 0 ? ", " : "",
						 column_name(target, rel),
						 deparse_expression((Node *) target->expr, names, true, false));
	}
	return list.data;
}

/*
 * Say "some assigned column differs from its expression" by the stored bytes,
 * which every type has: equality is coarser than what an assignment changes
 * (1.0 and 1.00, 'a' and 'A' under some collations) and some types have none.
 */
static char *
deparse_image_comparison(Query *query, Relation rel, List *names, const char *alias)
{
	StringInfoData columns;
	StringInfoData values;
	ListCell   *cell;

	initStringInfo(&columns);
	initStringInfo(&values);
	foreach(cell, query->targetList)
	{
		TargetEntry *target = lfirst_node(TargetEntry, cell);
		Form_pg_attribute column = TupleDescAttr(RelationGetDescr(rel), target->resno - 1);
		const char *separator = columns.len > 0 ? ", " : "";

		appendStringInfo(&columns, "%s%s.%s", separator, alias, column_name(target, rel));
		appendStringInfo(&values, "%sCAST(%s AS %s)", separator,
						 deparse_expression((Node *) target->expr, names, true, false),
						 format_type_with_typemod(column->atttypid, column->atttypmod));
	}
	return psprintf("pg_catalog.record_image_ne(ROW(%s), ROW(%s))",
					columns.data, values.data);
}

static char *
column_name(const TargetEntry *target, Relation rel)
{
	return pstrdup(quote_identifier(get_attname(RelationGetRelid(rel),
												target->resno, false)));
}
