/*
 * finish_change.c
 *		CALL dbops.finish_change(): end a change of columns, when applications use
 *		only the new ones.
 *
 * All that is left takes a moment and is one transaction: whoever looks sees the
 * old column, the trigger and the new one, or the new one alone, with the default,
 * NOT NULL, the sequence, and the names of indexes and constraints that the old one
 * had. What would take longer, a look at all rows, comes before it.
 */
#include "change/constraint.h"
#include "change/drop_column.h"
#include "change/twin.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#define ROW_FUNCTION_HINT	"CREATE OR REPLACE them with bodies that read the new column instead, or drop those objects."

PG_FUNCTION_INFO_V1(dbops_finish_change);

static void plan_finish(OnlinePlan *plan, TwinChange *change, bool drop_old);
static void tell_half_filled(const TwinChange *change);
static bool has_taken_place(const TwinChange *change);
static void refuse_late_drop(const TwinChange *change);
static void check_ready(const TwinChange *change);
static void refuse_drop(const TwinChange *change);
static void tell_prepared(const TwinChange *change);
static void plan_swap(OnlinePlan *plan, const TwinChange *change);
static void add_look(OnlinePlan *plan, const TwinChange *change);
static char *values_to_set(const TwinChange *change);
static char *fill_again(const TwinChange *change);
static void add_equal(OnlinePlan *plan, const TwinChange *change);
static void plan_sync_end(OnlinePlan *plan, const TwinChange *change, bool drop_old);
static void tell_lost(const TwinChange *change, const char *column);
static void add_filled(OnlinePlan *plan, const TwinChange *change);
static char *list_of(List *columns);
static char *has_none(Oid relid, List *columns);

/* finish_change(change_id bigint, drop_old_columns boolean, lock_timeout interval, max_wait interval, dry_run boolean) */
Datum
dbops_finish_change(PG_FUNCTION_ARGS)
{
	OnlinePlan	plan = {0};
	TwinChange *change;

	dbops_online_begin(fcinfo, &plan, "finish_change");
	dbops_require_argument(fcinfo, 0, "change_id");
	dbops_require_argument(fcinfo, 1, "drop_old_columns");
	change = dbops_twin_by_id(PG_GETARG_INT64(0));
	dbops_twin_take(&plan, change);
	plan_finish(&plan, change, PG_GETARG_BOOL(1));
	dbops_online_call(&plan);
	PG_RETURN_VOID();
}

static void
plan_finish(OnlinePlan *plan, TwinChange *change, bool drop_old)
{
	if (strcmp(change->state, "aborted") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("change " INT64_FORMAT " was aborted", change->id),
				 errhint("The call of %s that had begun it, made again, begins another one.", change->call)));
	if (drop_old && change->new_name != NULL)
		refuse_drop(change);
	if (strcmp(change->state, "finished") == 0)
	{
		if (drop_old)
			refuse_late_drop(change);
		return;
	}
	dbops_twin_check_old(change);
	if (has_taken_place(change))
	{
		if (strcmp(change->state, "ready") != 0)
			tell_half_filled(change);
		dbops_twin_add_end(plan, change, "finished", (OnlineStep)
		{
			.sql = dbops_twin_trigger_drop(change),
			.message = psprintf("change " INT64_FORMAT " has been aborted meanwhile", change->id)
		});
		return;
	}
	check_ready(change);
	dbops_twin_check_triggers(change->relid, change->column);
	if (change->new_name == NULL)
		plan_sync_end(plan, change, drop_old);
	else
		plan_swap(plan, change);
}

/* What has not been carried over by then is gone. */
static void
tell_half_filled(const TwinChange *change)
{
	ereport(WARNING,
			(errmsg("column \"%s\" of table %s was dropped before \"%s\" was filled from it", change->column, change->table, change->new_name),
			 errdetail("Rows that were not filled have NULL there.")));
}

/* Has somebody dropped the old column by hand? */
static bool
has_taken_place(const TwinChange *change)
{
	return change->new_name != NULL && change->type == NULL && dbops_twin_old_is_dropped(change) &&
		get_attnum(change->relid, change->new_name) != InvalidAttrNumber;
}

/* The trigger is gone, and what was written since is in the new columns only. */
static void
refuse_late_drop(const TwinChange *change)
{
	ListCell   *cell;

	foreach(cell, change->old_columns)
		if (get_attnum(change->relid, lfirst(cell)) != InvalidAttrNumber)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("change " INT64_FORMAT " is finished, without drop_old_columns", change->id),
					 errhint("CALL dbops.drop_column(%s, %s);", quote_literal_cstr(change->table), quote_literal_cstr(lfirst(cell)))));
}

/* All rows must be equal, and have been since. */
static void
check_ready(const TwinChange *change)
{
	Datum		is_so;

	if (dbops_store_value(psprintf("SELECT %s AND %s", dbops_twin_is_in_state(change, "ready"), dbops_twin_has_trigger(change)),
						  0, NULL, BOOLOID, &is_so) && DatumGetBool(is_so) && dbops_twin_runs_as_owner(change))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("change " INT64_FORMAT " is not ready to be finished", change->id),
			 strcmp(change->state, "ready") == 0 ?
			 errdetail("Its trigger %s has been dropped or disabled, a new column was dropped, or the table has another owner: rows may differ.",
					   dbops_twin_trigger_name(change->column)) :
			 errdetail("It has not come to its end."),
			 errhint("Make the call of %s again, with the same arguments, which completes it.", change->call)));
}

static void
refuse_drop(const TwinChange *change)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("drop_old_columns is for changes of sync_columns"),
			 errhint("What %s has begun drops the old column anyway.", change->call)));
}

/* ---- a new column takes the place of an old one ---- */

/* The server looks at a plan's result only when it is used again. */
static void
tell_prepared(const TwinChange *change)
{
	ereport(NOTICE,
			(errmsg("statements that sessions have prepared, and that return column \"%s\" of table %s, fail once it is of type %s", change->column, change->table, change->type),
			 errdetail("The error is: cached plan must not change result type."),
			 errhint("Have them DEALLOCATE those statements or connect anew: pools keep them by themselves.")));
}

static void
plan_swap(OnlinePlan *plan, const TwinChange *change)
{
	const TwinColumn *column = dbops_twin_column(change->relid, change->column);
	const TwinColumn *twin = dbops_twin_column(change->relid, change->new_name);

	dbops_twin_check_column(column, true);
	dbops_twin_check_default(column, &(TwinType) {twin->type, twin->typmod, twin->collation, false});
	if (change->type == NULL)
	{
		dbops_drop_column_refuse_row_functions(change->relid, change->column, ROW_FUNCTION_HINT);
		dbops_twin_tell_privileges(column, change->new_name);
		dbops_online_tell_subscribed(change->relid, change->column);
		dbops_drop_column_tell_mentions(&(ColumnDrop) {change->relid, change->table, change->column, dbops_quote_name(change->column)});
	}
	else
		tell_prepared(change);
	if (change->type != NULL)
		add_look(plan, change);
	else
		add_equal(plan, change);
	dbops_twin_check_clones(dbops_twin_clones(column, change->new_name));
	dbops_twin_add_clones(plan, column, change->new_name, false);
	dbops_twin_add_not_nulls(plan, column, change->new_name);
	dbops_twin_add_unique(plan, column, change);
	dbops_twin_add_end(plan, change, "finished", (OnlineStep)
	{
		.sql = dbops_twin_swap(column, change),
		.still = psprintf("%s%s", dbops_twin_is_as_planned(change), dbops_twin_proofs(plan)),
		.message = psprintf("column %s of table %s, the table's triggers or partitions have been altered meanwhile, or change " INT64_FORMAT " aborted",
							quote_identifier(change->column), change->table, change->id),
		.why = "The new column takes the place of the old one."
	});
}

/* Values that were written since and could not be converted. */
static void
add_look(OnlinePlan *plan, const TwinChange *change)
{
	OnlineStep	look = dbops_twin_look(change, NULL);

	look.reached = psprintf("NOT %s", dbops_twin_has_column(change->relid, change->new_name));
	look.message = psprintf("table %s has rows whose %s could not be converted to %s", change->table,
							quote_identifier(change->column), change->type);
	look.sqlerrcode = ERRCODE_DATA_EXCEPTION;
	look.hint = change->set_clause != NULL ? fill_again(change) : values_to_set(change);
	dbops_twin_add_look(plan, change, look);
}

/* The values are the old ones, as the new type has them. */
static char *
values_to_set(const TwinChange *change)
{
	return psprintf("They are among these, whose %s is to be set right before the next call: SELECT * FROM %s WHERE %s::pg_catalog.text IS DISTINCT FROM %s::pg_catalog.text;",
					quote_identifier(change->column), change->table,
					quote_identifier(change->new_name), quote_identifier(change->column));
}

/* They are what using_expression yields, which may have failed when they were written. */
static char *
fill_again(const TwinChange *change)
{
	const char *new = quote_identifier(change->new_name);

	return psprintf("They are among these: SELECT * FROM %s WHERE %s::pg_catalog.text IS DISTINCT FROM CAST(%s AS %s)::pg_catalog.text; "
					"Set right what the expression reads, or, where it works by now, fill them: CALL dbops.batched_backfill(%s, %s);",
					change->table, new, change->set_clause, change->type,
					quote_literal_cstr(change->table), quote_literal_cstr(psprintf("%s = %s", new, change->set_clause)));
}

/* Rows that came past the trigger: with a partition that was attached, or while it was disabled. */
static void
add_equal(OnlinePlan *plan, const TwinChange *change)
{
	const char *old = quote_identifier(change->column);
	const char *new = quote_identifier(change->new_name);

	dbops_twin_add_marked_look(plan, change, (OnlineStep)
	{
		.sql = psprintf("SELECT FROM %s WHERE pg_catalog.record_image_ne(ROW(%s), ROW(%s)) LIMIT 1", change->table, old, new),
		.reached = psprintf("NOT %s", dbops_twin_has_column(change->relid, change->column)),
		.why = "A value that only the old column has would go with it.",
		.message = psprintf("table %s has rows in which %s and %s are not the same", change->table, old, new),
		.sqlerrcode = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
		.hint = psprintf("They came past the trigger, with a partition or while it was disabled. Set %s right in them, or take the old values: CALL dbops.batched_backfill(%s, %s, %s);",
						 new, quote_literal_cstr(change->table), quote_literal_cstr(psprintf("%s = %s", new, old)),
						 quote_literal_cstr(psprintf("pg_catalog.record_image_ne(ROW(%s), ROW(%s))", new, old)))
	});
}

/* ---- columns that were kept equal ---- */

static void
plan_sync_end(OnlinePlan *plan, const TwinChange *change, bool drop_old)
{
	StringInfoData sql;
	List	   *dropped = NIL;
	ListCell   *cell;

	initStringInfo(&sql);
	appendStringInfoString(&sql, dbops_twin_trigger_drop(change));
	if (drop_old)
		add_filled(plan, change);
	foreach(cell, drop_old ? change->old_columns : NIL)
	{
		if (get_attnum(change->relid, lfirst(cell)) == InvalidAttrNumber)
			continue;
		dbops_twin_check_column(dbops_twin_column(change->relid, lfirst(cell)), false);
		dbops_drop_column_refuse_row_functions(change->relid, lfirst(cell), ROW_FUNCTION_HINT);
		tell_lost(change, lfirst(cell));
		dropped = lappend(dropped, lfirst(cell));
		appendStringInfo(&sql, "; ALTER TABLE %s DROP COLUMN %s%s", change->table, quote_identifier(lfirst(cell)),
						 dbops_drop_column_renew_indexes(change->relid, lfirst(cell)));
	}
	if (dropped != NIL)
		plan->columns = dbops_online_same_columns(dbops_online_columns_of(change->relid, dropped), change->relid);
	dbops_twin_add_end(plan, change, "finished", (OnlineStep)
	{
		.sql = sql.data,
		.still = drop_old ? dbops_twin_is_in_force(change) : NULL,
		.message = psprintf("change " INT64_FORMAT " has been aborted, or the table's triggers, columns or partitions altered, meanwhile", change->id),
		.why = "The new columns stand for themselves."
	});
}

/* What else goes, as drop_column() tells it. */
static void
tell_lost(const TwinChange *change, const char *column)
{
	ColumnDrop	drop = {
		.table = change->relid,
		.table_name = change->table,
		.column = column,
		.name = dbops_quote_name(column)
	};

	dbops_drop_column_tell_lost(&drop);
	dbops_drop_column_tell_mentions(&drop);
}

/* Rows that came past the trigger, or could not be converted. */
static void
add_filled(OnlinePlan *plan, const TwinChange *change)
{
	OnlineStep	look = dbops_twin_look(change, NULL);
	char	   *new = list_of(change->new_columns);
	char	   *old = list_of(change->old_columns);

	look.reached = has_none(change->relid, change->old_columns);
	look.why = "What only the old columns have would go with them.";
	look.message = psprintf("table %s has rows whose new columns (%s) are not what the change makes of the old ones (%s)", change->table, new, old);
	look.sqlerrcode = ERRCODE_DATA_EXCEPTION;
	look.hint = psprintf("They came past the trigger, with a partition or while it was disabled, could not be converted, or were written by who knows only the new columns. "
						 "Set them right, or fill them: CALL dbops.batched_backfill(%s, %s); Where it is meant so, leave drop_old_columns out, and CALL dbops.drop_column().",
						 quote_literal_cstr(change->table), quote_literal_cstr(change->set_clause));
	dbops_twin_add_look(plan, change, look);
}

static char *
list_of(List *columns)
{
	StringInfoData text;
	ListCell   *cell;

	initStringInfo(&text);
	foreach(cell, columns)
		appendStringInfo(&text, "%s%s", text.len > 0 ? ", " : "", quote_identifier(lfirst(cell)));
	return text.data;
}

static char *
has_none(Oid relid, List *columns)
{
	StringInfoData sql;
	ListCell   *cell;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "true");
	foreach(cell, columns)
		appendStringInfo(&sql, " AND NOT %s", dbops_twin_has_column(relid, lfirst(cell)));
	return sql.data;
}
