/*
 * sync_columns.c
 *		CALL dbops.sync_columns(): columns that are filled from others of the same
 *		row, and the way back, as long as two versions of an application are in use.
 *
 * The columns are there already; what is added is the trigger, and the values of
 * the rows that were there before it.
 */
#include "change/twin.h"

#include "utils/builtins.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(dbops_sync_columns);

static void plan_sync(OnlinePlan *plan, const char *set_clause, const char *reverse_set);
static void check_same_change(const TwinChange *known, const TwinChange *change);
static bool same_text(const char *a, const char *b);
static void check_columns(const TwinChange *change);

/* sync_columns(table_name regclass, set_clause text, reverse_set text, lock_timeout interval, max_wait interval, dry_run boolean) */
Datum
dbops_sync_columns(PG_FUNCTION_ARGS)
{
	OnlinePlan	plan = {0};

	dbops_online_begin(fcinfo, &plan, "sync_columns");
	dbops_require_argument(fcinfo, 0, "table_name");
	dbops_require_argument(fcinfo, 1, "set_clause");
	dbops_online_take_table(&plan, PG_GETARG_OID(0));
	dbops_twin_check_table(&plan);
	plan_sync(&plan, dbops_text_argument(fcinfo, 1), dbops_text_argument(fcinfo, 2));
	dbops_online_call(&plan);
	PG_RETURN_VOID();
}

static void
plan_sync(OnlinePlan *plan, const char *set_clause, const char *reverse_set)
{
	TwinChange	change = {
		.relid = plan->table,
		.table = dbops_quote_relation(plan->table),
		.call = plan->call,
		.set_clause = set_clause,
		.reverse_set = reverse_set
	};
	TwinChange *known;

	dbops_twin_put_sets(&change, dbops_twin_owners(plan->table));
	known = dbops_twin_find(plan->table, plan->call, change.column);
	check_same_change(known, &change);
	if (known != NULL)
	{
		change.id = known->id;
		change.here = known->here;
	}
	check_columns(&change);
	dbops_twin_check_triggers(plan->table, change.column);
	dbops_twin_store(&change, plan->dry_run);
	dbops_twin_name_plan(plan, change.column);
	dbops_twin_add_row_look(plan, &change);
	dbops_twin_add_trigger(plan, &change);
	dbops_twin_add_backfill(plan, &change, set_clause);
	dbops_twin_add_ready(plan, &change);
}

static void
check_same_change(const TwinChange *known, const TwinChange *change)
{
	if (known == NULL ||
		(same_text(known->set_clause, change->set_clause) && same_text(known->reverse_set, change->reverse_set)))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("column \"%s\" of table %s is kept by sync_columns already, in another way", known->column, known->table),
			 errdetail("set_clause is: %s", known->set_clause),
			 errhint("Give the same arguments to go on with it, or end it first: CALL dbops.abort_change(" INT64_FORMAT ");", known->id)));
}

static bool
same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* Rows must not move to other partitions, nor their keys change, by our hand. */
static void
check_columns(const TwinChange *change)
{
	ListCell   *cell;

	foreach(cell, change->new_columns)
		dbops_twin_check_key(dbops_twin_column(change->relid, lfirst(cell)), false);
	if (change->reverse_set == NULL)
		return;
	foreach(cell, change->old_columns)
		dbops_twin_check_key(dbops_twin_column(change->relid, lfirst(cell)), false);
}
