/*
 * scan.c
 *		How a statement reads the table that it is about.
 *
 * The rows of a batch are those of a range of blocks, or of a range of values of
 * an index, so that a batch costs what its range costs and nothing grows with
 * the table. The planner would often prefer something else, and do that again
 * for every batch; for these statements, and no others, a hook shows it only
 * what it may use of the target, and the plan is checked.
 *
 * The target is the first table of the statement, of a SELECT ... FOR UPDATE
 * inside of it, or of the one DELETE that it has in a WITH clause.
 */
#include "core/batch.h"

#include "nodes/pathnodes.h"
#include "nodes/plannodes.h"
#include "optimizer/plancat.h"
#include "parser/parsetree.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"

/* The planner thinks of a target as at least this large, in blocks. */
#define LARGE_TABLE 1000

/*
 * The planner takes a range of unknown bounds for this share of the table
 * (DEFAULT_RANGE_INEQ_SEL), so a table of a batch's rows divided by it makes it
 * plan for a batch.
 */
#define RANGE_SHARE 0.005

static get_relation_info_hook_type previous_relation_info_hook = NULL;

/* How the statement is to be read that is being planned right now, or NULL. */
static const DbopsScan *planned = NULL;

static void show_only_what_is_meant(PlannerInfo *root, Oid relid, bool inhparent, RelOptInfo *rel);
static List *only_index(List *indexes, Oid index);
static bool is_target(PlannerInfo *root, Oid relid, RelOptInfo *rel);
static void use_settings(const DbopsScan *scan);
static const ModifyTable *find_delete(const PlannedStmt *plan);
static bool scans_otherwise(Plan *plan, Index target, Oid index);

/* Put the hook in place; it does nothing unless such a statement is being planned. */
void
dbops_scan_init(void)
{
	previous_relation_info_hook = get_relation_info_hook;
	get_relation_info_hook = show_only_what_is_meant;
}

/*
 * Hide the other indexes of the target, its being small, for which the planner
 * would read all of it and keep doing so when it has grown, and its being large,
 * for which it would read all of other tables to join a batch with them.
 */
static void
show_only_what_is_meant(PlannerInfo *root, Oid relid, bool inhparent, RelOptInfo *rel)
{
	if (previous_relation_info_hook)
		previous_relation_info_hook(root, relid, inhparent, rel);

	if (is_target(root, relid, rel))
	{
		rel->indexlist = only_index(rel->indexlist, planned->index);
		rel->pages = Max(rel->pages, LARGE_TABLE);
		rel->tuples = Min(rel->tuples, planned->rows / RANGE_SHARE);
	}
}

static List *
only_index(List *indexes, Oid index)
{
	ListCell   *cell;

	foreach(cell, indexes)
		if (lfirst_node(IndexOptInfo, cell)->indexoid == index)
			return list_make1(lfirst(cell));
	return NIL;
}

/*
 * Is this the table that the statement changes or counts, or locks first, not a
 * subselect's of the user's, which neither locks nor deletes anything?
 */
static bool
is_target(PlannerInfo *root, Oid relid, RelOptInfo *rel)
{
	if (planned == NULL || relid != planned->relid || rel->relid != 1)
		return false;
	return root->query_level == 1 ||
		(root->query_level == 2 &&
		 (root->parse->rowMarks != NIL || root->parse->commandType == CMD_DELETE));
}

/*
 * Have the statement planned if that has not been done, while the hook is told
 * of it, and show its plan. One that was made behind our back (the server plans
 * anew after a change of the table) may not be as meant: it is to be prepared
 * again.
 */
void
dbops_scan_inspect(DbopsStatement *statement, const DbopsScan *scan,
				   DbopsPlanCallback look, void *arg)
{
	int			nest_level = NewGUCNestLevel();

	use_settings(scan);
	PushActiveSnapshot(GetTransactionSnapshot());
	planned = scan;
	PG_TRY();
	{
		dbops_statement_inspect(statement, look, arg);
	}
	PG_FINALLY();
	{
		planned = NULL;
	}
	PG_END_TRY();
	PopActiveSnapshot();
	AtEOXact_GUC(false, nest_level);
}

static void
use_settings(const DbopsScan *scan)
{
	dbops_set_nested("enable_tidscan", OidIsValid(scan->index) ? "off" : "on");
	if (!OidIsValid(scan->index))
		return;
	dbops_set_nested("enable_indexscan", "on");
	dbops_set_nested("enable_seqscan", "off");
	dbops_set_nested("enable_bitmapscan", "off");
	dbops_set_nested("enable_sort", "off");
}

/* Does the plan read the target as it is meant to? */
bool
dbops_scan_is_as_meant(const PlannedStmt *plan, const DbopsScan *scan)
{
	const ModifyTable *delete = find_delete(plan);

	if (delete != NULL)
		return !scans_otherwise(outerPlan(&delete->plan), linitial_int(delete->resultRelations), scan->index);
	return !scans_otherwise(plan->planTree, 1, scan->index);
}

/* The DELETE that a statement has in a WITH clause; NULL: none. */
static const ModifyTable *
find_delete(const PlannedStmt *plan)
{
	ListCell   *cell;

	foreach(cell, plan->subplans)
	{
		const ModifyTable *subplan = lfirst(cell);

		if (subplan != NULL && IsA(subplan, ModifyTable) && subplan->operation == CMD_DELETE)
			return subplan;
	}
	return NULL;
}

/* Does the plan read the target by another scan? */
static bool
scans_otherwise(Plan *plan, Index target, Oid index)
{
	if (plan == NULL)
		return false;

	switch (nodeTag(plan))
	{
		case T_IndexScan:
			return ((Scan *) plan)->scanrelid == target &&
				(((IndexScan *) plan)->indexid != index || ((IndexScan *) plan)->indexqual == NIL);
		case T_IndexOnlyScan:
			return ((Scan *) plan)->scanrelid == target &&
				(((IndexOnlyScan *) plan)->indexid != index || ((IndexOnlyScan *) plan)->indexqual == NIL);
		case T_SeqScan:
		case T_SampleScan:
		case T_BitmapHeapScan:
		case T_TidScan:
			return ((Scan *) plan)->scanrelid == target;
		case T_TidRangeScan:
			return ((Scan *) plan)->scanrelid == target && OidIsValid(index);
		case T_Append:
		case T_MergeAppend:
		case T_SubqueryScan:
			return false;		/* never above the target */
		default:
			return scans_otherwise(outerPlan(plan), target, index) ||
				scans_otherwise(innerPlan(plan), target, index);
	}
}
