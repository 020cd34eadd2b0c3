/*
 * backfill_change.c
 *		Understand what a backfill is to assign, and to which rows.
 *
 * The caller's set list and predicate are analyzed by the server, once, with
 * the caller's search_path, and kept as SQL text: written out for a path on
 * which the server's own objects come first, with every cast that the analysis
 * has found, so that nothing in it can come to mean another thing. As in one
 * UPDATE statement, what is the same for every row and depends on the moment
 * (now(), CURRENT_USER, a setting) is evaluated once, before the first batch.
 */
#include "change/change.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/snapmgr.h"

/* Whole rows on their way through a query. */
typedef struct RowWalk
{
	int			level;			/* of subselect */
	Oid			type;			/* of the rows of the named table */
} RowWalk;

/* What the analysis works on, and what comes of it, in the caller's memory. */
typedef struct Understanding
{
	const BackfillRequest *request;
	BackfillChange *change;
	char	   *path;			/* the caller's search_path, as names */
} Understanding;

static void understand(void *arg);
static Query *analyze(const BackfillRequest *request, Relation rel);
static void check_targets(Query *query, Relation rel);
static void check_target(const TargetEntry *target, Relation rel);
static bool assigns_part(Node *node);
static void fill_in_default(TargetEntry *target, Relation rel);
static void check_assigned_once(Query *query, Relation rel);
static void check_partition_key(const TargetEntry *target, Relation rel);
static Node *fix_moment(Node *node, void *lazy);
static bool is_fixable(Node *node, bool lazy);
static bool is_not_fixable(Node *node, void *context);
static Node *evaluate(Node *node);
static void deparse(Query *query, Relation rel, bool compare_image,
					int null_resno, BackfillChange *change);
static Node *name_row_type(Node *node, RowWalk *walk);
static Node *strip_assignment_cast(Node *node);
static char *deparse_set_list(Query *query, Relation rel, List *names);
static List *deparse_columns(Query *query, Relation rel, List *names);
static char *deparse_image_comparison(const BackfillChange *change);
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
		.change = palloc0(sizeof(BackfillChange)),
		.path = dbops_query_submission_path()
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
	Query	   *query;
	bool		compare_image;
	int			null_resno;

	dbops_set_nested("search_path", understanding->path);
	query = analyze(understanding->request, rel);
	check_targets(query, rel);
	dbops_backfill_check_rights(query, rel);
	query = (Query *) fix_moment((Node *) query, NULL);
	if (understanding->request->sync)
		dbops_backfill_sync_check(query);
	dbops_backfill_judge_repeat(query, rel, understanding->change,
								&compare_image, &null_resno);

	understanding->change->relid = RelationGetRelid(rel);
	understanding->change->used = dbops_backfill_columns(query, rel);
	understanding->change->path = dbops_query_safe_path(understanding->path);
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
	check_assigned_once(query, rel);
}

/* The server would find this only when a statement is first run. */
static void
check_assigned_once(Query *query, Relation rel)
{
	Bitmapset  *assigned = NULL;
	ListCell   *cell;

	foreach(cell, query->targetList)
	{
		int			resno = lfirst_node(TargetEntry, cell)->resno;

		if (bms_is_member(resno, assigned))
			ereport(ERROR,
					(errcode(ERRCODE_SYNTAX_ERROR),
					 errmsg("set_clause assigns column \"%s\" more than once",
							get_attname(RelationGetRelid(rel), resno, false))));
		assigned = bms_add_member(assigned, resno);
	}
}

static void
check_target(const TargetEntry *target, Relation rel)
{
	Form_pg_attribute column = TupleDescAttr(RelationGetDescr(rel), target->resno - 1);

	if (column->attgenerated != '\0' || column->attidentity == ATTRIBUTE_IDENTITY_ALWAYS)
		ereport(ERROR,
				(errcode(ERRCODE_GENERATED_ALWAYS),
				 errmsg("column \"%s\" cannot be backfilled because its values are always generated",
						NameStr(column->attname))));
	if (assigns_part((Node *) target->expr))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("set_clause assigns a part of column \"%s\"", NameStr(column->attname)),
				 errhint("Assign the whole column.")));
	check_partition_key(target, rel);
}

/* Is it an element or a field of the column that is assigned? A subscript may also be read. */
static bool
assigns_part(Node *node)
{
	if (IsA(node, CoerceToDomain))
		node = (Node *) ((CoerceToDomain *) node)->arg;
	return IsA(node, FieldStore) ||
		(IsA(node, SubscriptingRef) && ((SubscriptingRef *) node)->refassgnexpr != NULL);
}

/* Refuse a column of the partition key of any table above or below. */
static void
check_partition_key(const TargetEntry *target, Relation rel)
{
	char	   *column = get_attname(RelationGetRelid(rel), target->resno, false);
	List	   *tables = find_all_inheritors(RelationGetRelid(rel), NoLock, NULL);
	ListCell   *cell;

	if (rel->rd_rel->relispartition)
		tables = list_concat(tables, get_partition_ancestors(RelationGetRelid(rel)));
	foreach(cell, tables)
		if (dbops_backfill_is_partition_key(lfirst_oid(cell), column))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("column \"%s\" cannot be backfilled because it is part of the partition key of table \"%s\"",
							column, get_rel_name(lfirst_oid(cell))),
					 errdetail("Its rows would move to other partitions.")));
}

/* Is a column part of the partition key of a table? */
bool
dbops_backfill_is_partition_key(Oid relid, const char *column)
{
	Relation	rel;
	bool		found;

	if (get_rel_relkind(relid) != RELKIND_PARTITIONED_TABLE)
		return false;
	rel = table_open(relid, AccessShareLock);
	found = has_partition_attrs(rel, bms_make_singleton(get_attnum(relid, column) -
														FirstLowInvalidHeapAttributeNumber),
								NULL);
	table_close(rel, NoLock);
	return found;
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
 * Evaluate what is the same for every row and depends on the moment: the
 * largest parts that read nothing of a row and are stable. Behind CASE and
 * COALESCE, which may never come to be evaluated, only the time itself is.
 */
static Node *
fix_moment(Node *node, void *lazy)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Query))
		return (Node *) query_tree_mutator((Query *) node, fix_moment, lazy,
										   QTW_IGNORE_RANGE_TABLE);
	if (is_fixable(node, lazy != NULL))
		return evaluate(node);

	if (IsA(node, CaseExpr) || IsA(node, CoalesceExpr))
		lazy = node;
	return expression_tree_mutator(node, fix_moment, lazy);
}

/* Is the whole expression stable, no constant, and free of rows? */
static bool
is_fixable(Node *node, bool lazy)
{
	switch (nodeTag(node))
	{
		case T_FuncExpr:
		case T_OpExpr:
		case T_ScalarArrayOpExpr:
		case T_CoerceViaIO:
		case T_SQLValueFunction:
		case T_CaseExpr:
		case T_CoalesceExpr:
			if (lazy && !dbops_backfill_is_moment(node))
				return false;
			return contain_mutable_functions(node) &&
				!contain_volatile_functions(node) &&
				!is_not_fixable(node, NULL);
		default:
			return false;
	}
}

/* Look for what an expression cannot be evaluated with outside of its query. */
static bool
is_not_fixable(Node *node, void *context)
{
	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_Var:
		case T_Param:
		case T_SubLink:
		case T_Aggref:
		case T_GroupingFunc:
		case T_WindowFunc:
		case T_SetToDefault:
		case T_CaseTestExpr:
		case T_CoerceToDomain:
		case T_CoerceToDomainValue:
		case T_CurrentOfExpr:
			return !IsA(node, CaseTestExpr);
		case T_FuncExpr:
			if (((FuncExpr *) node)->funcretset)
				return true;
			break;
		default:
			break;
	}
	return expression_tree_walker(node, is_not_fixable, context);
}

/* The time, and who asks from where: cannot fail, and are others in another session. */
bool
dbops_backfill_is_moment(Node *node)
{
	if (!IsA(node, FuncExpr))
		return IsA(node, SQLValueFunction);

	switch (((FuncExpr *) node)->funcid)
	{
		case F_NOW:
		case F_TRANSACTION_TIMESTAMP:
		case F_STATEMENT_TIMESTAMP:
		case F_SESSION_USER:
		case F_CURRENT_SETTING_TEXT_BOOL:
		case F_TXID_CURRENT:
		case F_PG_CURRENT_XACT_ID:
		case F_INET_CLIENT_ADDR:
		case F_INET_CLIENT_PORT:
		case F_PG_BACKEND_PID:
			return true;
		default:
			return false;
	}
}

/* Have the planner evaluate it as it estimates; keep it if that gives no plain value. */
static Node *
evaluate(Node *node)
{
	PlannerInfo *root = makeNode(PlannerInfo);
	Node	   *value;

	root->glob = makeNode(PlannerGlobal);
	value = estimate_expression_value(root, copyObject(node));
	if (!IsA(value, Const) || type_is_rowtype(exprType(value)) ||
		get_typtype(exprType(value)) == TYPTYPE_PSEUDO)
		return node;
	return value;
}

/* Write the change as text for the path that its statements will run with. */
static void
deparse(Query *query, Relation rel, bool compare_image, int null_resno,
		BackfillChange *change)
{
	int			nest_level = NewGUCNestLevel();
	char	   *alias = RelationGetRelationName(rel);
	List	   *names = deparse_context_for(alias, RelationGetRelid(rel));
	RowWalk		rows = {.type = rel->rd_rel->reltype};
	Node	   *where;

	if (rel->rd_rel->relhassubclass)
	{
		query->targetList = (List *) name_row_type((Node *) query->targetList, &rows);
		query->jointree->quals = name_row_type(query->jointree->quals, &rows);
	}
	where = query->jointree->quals;

	dbops_set_nested("search_path", change->path);
	dbops_meaning_write();

	change->alias = pstrdup(quote_identifier(alias));
	change->set_list = deparse_set_list(query, rel, names);
	change->columns = deparse_columns(query, rel, names);
	change->matches = (where == NULL) ? pstrdup("true") :
		deparse_expression(where, names, true, true);

	if (compare_image)
		change->pending = deparse_image_comparison(change);
	else if (null_resno > 0)
	{
		TargetEntry *target = get_tle_by_resno(query->targetList, null_resno);

		change->pending = psprintf("(%s) IS NOT NULL",
								   deparse_expression((Node *) target->expr, names, true, true));
	}
	else
		change->pending = pstrdup("true");

	if (null_resno > 0)
		change->null_column = pstrdup(get_attname(RelationGetRelid(rel), null_resno, false));

	AtEOXact_GUC(false, nest_level);
}

/*
 * A reference to the whole row means a row of the named table's type, also
 * where the text is used for a table below it, which may have other columns.
 */
static Node *
name_row_type(Node *node, RowWalk *walk)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;
		ConvertRowtypeExpr *convert;

		if (var->varno != 1 || var->varlevelsup != walk->level || var->varattno != InvalidAttrNumber)
			return copyObject(node);
		convert = makeNode(ConvertRowtypeExpr);
		convert->arg = (Expr *) copyObject(node);
		convert->resulttype = walk->type;
		convert->convertformat = COERCE_EXPLICIT_CAST;
		convert->location = -1;
		return (Node *) convert;
	}
	if (IsA(node, Query))
	{
		Query	   *query;

		walk->level++;
		query = query_tree_mutator((Query *) node, name_row_type, walk, 0);
		walk->level--;
		return (Node *) query;
	}
	return expression_tree_mutator(node, name_row_type, walk);
}

/*
 * Leave out the casts that the assignment itself has added: it will add them
 * again, and as casts that were asked for they would truncate in silence.
 */
static Node *
strip_assignment_cast(Node *node)
{
	for (;;)
	{
		if (IsA(node, FuncExpr) &&
			((FuncExpr *) node)->funcformat == COERCE_IMPLICIT_CAST)
			node = linitial(((FuncExpr *) node)->args);
		else if (IsA(node, RelabelType) &&
				 ((RelabelType *) node)->relabelformat == COERCE_IMPLICIT_CAST)
			node = (Node *) ((RelabelType *) node)->arg;
		else if (IsA(node, CoerceViaIO) &&
				 ((CoerceViaIO *) node)->coerceformat == COERCE_IMPLICIT_CAST)
			node = (Node *) ((CoerceViaIO *) node)->arg;
		else if (IsA(node, ArrayCoerceExpr) &&
				 ((ArrayCoerceExpr *) node)->coerceformat == COERCE_IMPLICIT_CAST)
			node = (Node *) ((ArrayCoerceExpr *) node)->arg;
		else if (IsA(node, CoerceToDomain) &&
				 ((CoerceToDomain *) node)->coercionformat == COERCE_IMPLICIT_CAST)
			node = (Node *) ((CoerceToDomain *) node)->arg;
		else
			return node;
	}
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
						 deparse_expression(strip_assignment_cast((Node *) target->expr),
											names, true, true));
	}
	return list.data;
}

/* Each column that is assigned, with its value as the assignment casts it. */
static List *
deparse_columns(Query *query, Relation rel, List *names)
{
	List	   *columns = NIL;
	ListCell   *cell;

	foreach(cell, query->targetList)
	{
		TargetEntry *target = lfirst_node(TargetEntry, cell);
		Form_pg_attribute type = TupleDescAttr(RelationGetDescr(rel), target->resno - 1);
		BackfillColumn *column = palloc(sizeof(BackfillColumn));

		column->name = pstrdup(NameStr(type->attname));
		column->value = psprintf("CAST(%s AS %s)",
								 deparse_expression((Node *) target->expr, names, true, true),
								 format_type_with_typemod(type->atttypid, type->atttypmod));
		columns = lappend(columns, column);
	}
	return columns;
}

/*
 * Say "some assigned column differs from its expression" by the stored bytes,
 * which every type has: equality is coarser than what an assignment changes
 * (1.0 and 1.00, 'a' and 'A' under some collations) and some types have none.
 */
static char *
deparse_image_comparison(const BackfillChange *change)
{
	StringInfoData columns;
	StringInfoData values;
	ListCell   *cell;

	initStringInfo(&columns);
	initStringInfo(&values);
	foreach(cell, change->columns)
	{
		const BackfillColumn *column = lfirst(cell);
		const char *separator = columns.len > 0 ? ", " : "";

		appendStringInfo(&columns, "%s%s.%s", separator, change->alias, quote_identifier(column->name));
		appendStringInfo(&values, "%s%s", separator, column->value);
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

/*
 * Have its texts mean what they meant to who submitted them, with the search_path
 * that they are written for, until the nested settings end.
 */
void
dbops_backfill_use_meaning(const BackfillChange *change)
{
	dbops_set_nested("search_path", change->path);
	dbops_meaning_use(change->settings);
}
