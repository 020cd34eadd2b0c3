/*
 * backfill_skip.c
 *		The statement that changes a range without waiting for rows that others
 *		lock.
 *
 * It locks what it finds free first, by a TID Range Scan in a subselect, and
 * changes those rows by their places, by a TID Scan. That reads every row
 * twice, so it is not the normal form: it comes where a batch has met a lock.
 * A row that another session moves meanwhile is left where it is; the caller
 * counts what is left and comes back.
 *
 * Rows are locked as UPDATE itself would lock them: foreign keys that refer to
 * a row go on unless a column of a key is assigned.
 */
#include "change/change.h"

#include "access/relation.h"
#include "access/sysattr.h"
#include "nodes/plannodes.h"
#include "utils/rel.h"
#include "utils/relcache.h"

static bool is_scan_of(Plan *plan, NodeTag type);
static Plan *find_scan(Plan *plan);

/* Write the statement. key: a column is assigned that foreign keys may refer to. */
char *
dbops_backfill_skip_sql(const BackfillChange *change, const BackfillLeaf *leaf,
						bool key, const char *returning)
{
	return psprintf("UPDATE ONLY %s AS %s SET %s"
					" WHERE %s.ctid OPERATOR(pg_catalog.=) ANY (ARRAY("
					"SELECT %s.ctid FROM ONLY %s AS %s"
					" WHERE %s.ctid OPERATOR(pg_catalog.>=) $1"
					" AND %s.ctid OPERATOR(pg_catalog.<) $2"
					" AND (%s) AND (%s)"
					" FOR %s OF %s SKIP LOCKED))"
					" AND (%s) AND (%s)%s",
					leaf->name, change->alias, change->set_list,
					change->alias,
					change->alias, leaf->name, change->alias,
					change->alias,
					change->alias,
					change->matches, change->pending,
					key ? "UPDATE" : "NO KEY UPDATE", change->alias,
					change->matches, change->pending, returning);
}

/* Does the plan of an UPDATE assign a column that foreign keys may refer to? */
bool
dbops_backfill_assigns_key(const PlannedStmt *plan, const BackfillLeaf *leaf)
{
	const ModifyTable *update = castNode(ModifyTable, plan->planTree);
	Relation	rel = relation_open(leaf->relid, NoLock);
	Bitmapset  *key = RelationGetIndexAttrBitmap(rel, INDEX_ATTR_BITMAP_KEY);
	bool		found = false;
	ListCell   *cell;

	foreach(cell, (List *) linitial(update->updateColnosLists))
		found |= bms_is_member(lfirst_int(cell) - FirstLowInvalidHeapAttributeNumber, key);
	relation_close(rel, NoLock);
	return found;
}

/* Is it planned as it is meant, so that it costs what its range costs? */
bool
dbops_backfill_skips_by_range(const PlannedStmt *plan)
{
	ListCell   *cell;

	if (!is_scan_of(plan->planTree, T_TidScan))
		return false;
	foreach(cell, plan->subplans)
	{
		Plan	   *subplan = lfirst(cell);

		if (subplan != NULL && IsA(subplan, LockRows))
			return is_scan_of(subplan, T_TidRangeScan);
	}
	return false;
}

static bool
is_scan_of(Plan *plan, NodeTag type)
{
	Plan	   *scan = find_scan(plan);

	return scan != NULL && nodeTag(scan) == type;
}

/* Down to where a plan with one input begins. */
static Plan *
find_scan(Plan *plan)
{
	while (plan != NULL && outerPlan(plan) != NULL)
	{
		if (innerPlan(plan) != NULL)
			return NULL;
		plan = outerPlan(plan);
	}
	return plan;
}
