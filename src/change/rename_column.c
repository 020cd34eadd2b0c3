/*
 * rename_column.c
 *		CALL dbops.rename_column(): a second name for a column, as long as two
 *		versions of an application are in use.
 *
 * A rename by itself is a moment's work, but every statement that has the old
 * name fails from then on, and none that has the new one could run before. So the
 * new name is a column of its own, which a trigger keeps equal to the old one,
 * until finish_change() drops the old one.
 */
#include "change/constraint.h"
#include "change/drop_column.h"
#include "change/twin.h"

#include "utils/builtins.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(dbops_rename_column);

static void plan_rename(OnlinePlan *plan, const char *name, const char *new_name);
static bool is_renamed(Oid table, const char *name, const char *new_name);
static void plan_twin(OnlinePlan *plan, const char *name, const char *new_name);
static void check_same_change(const TwinChange *known, const char *new_name);

/* rename_column(table_name regclass, column_name name, new_name name, lock_timeout interval, max_wait interval, dry_run boolean) */
Datum
dbops_rename_column(PG_FUNCTION_ARGS)
{
	OnlinePlan	plan = {0};

	dbops_online_begin(fcinfo, &plan, "rename_column");
	dbops_require_argument(fcinfo, 0, "table_name");
	dbops_require_argument(fcinfo, 1, "column_name");
	dbops_require_argument(fcinfo, 2, "new_name");
	dbops_online_take_table(&plan, PG_GETARG_OID(0));
	dbops_twin_check_table(&plan);
	plan_rename(&plan, pstrdup(NameStr(*PG_GETARG_NAME(1))), pstrdup(NameStr(*PG_GETARG_NAME(2))));
	dbops_online_call(&plan);
	PG_RETURN_VOID();
}

static void
plan_rename(OnlinePlan *plan, const char *name, const char *new_name)
{
	dbops_twin_name_plan(plan, name);
	if (!is_renamed(plan->table, name, new_name))
		plan_twin(plan, name, new_name);
}

/* Was the call made before, and is its change finished? A script that is run again has nothing to do. */
static bool
is_renamed(Oid table, const char *name, const char *new_name)
{
	return get_attnum(table, name) == InvalidAttrNumber && dbops_twin_is_finished(table, "rename_column", name, new_name);
}

static void
plan_twin(OnlinePlan *plan, const char *name, const char *new_name)
{
	const TwinColumn *column = dbops_twin_column(plan->table, name);
	TwinChange *known = dbops_twin_find(plan->table, plan->call, name);
	TwinType	type = {column->type, column->typmod, column->collation, false};
	List	   *clones = dbops_twin_clones(column, new_name);
	TwinChange	change = {
		.relid = plan->table,
		.table = column->table,
		.call = plan->call,
		.column = name,
		.new_name = new_name,
		.old_columns = list_make1(unconstify(char *, name)),
		.new_columns = list_make1(unconstify(char *, new_name))
	};

	check_same_change(known, new_name);
	dbops_twin_check_old(known);
	if (known != NULL)
	{
		change.id = known->id;
		change.here = known->here;
	}
	dbops_twin_check_column(column, true);
	dbops_twin_check_triggers(plan->table, name);
	dbops_twin_check_type(column->type);
	change.adopts = dbops_twin_is_to_adopt(column, new_name, &type, known);
	if (!change.adopts)
		dbops_twin_check_free(column, new_name, known);
	dbops_twin_check_clones(clones);
	dbops_twin_tell_triggers(column, new_name);
	dbops_twin_put_copy(&change, NULL, true, dbops_twin_owners(plan->table));
	dbops_twin_check_shared(&change);
	dbops_twin_store(&change, plan->dry_run);
	dbops_twin_tell_place(column, known);
	plan->columns = dbops_online_same_columns(dbops_online_columns_of(plan->table, list_make1(unconstify(char *, name))), plan->table);
	if (known == NULL)
	{
		dbops_twin_tell_deferrable(column, clones);
		dbops_online_tell_published(plan->table, new_name);
		dbops_online_tell_fired(plan->table, new_name);
		dbops_drop_column_tell_row_functions(plan->table, name,
											 "Before finish_change(), which refuses until then, CREATE OR REPLACE them with bodies that read the new column.");
	}
	dbops_twin_expand(plan, column, &change, &type,
					  psprintf("%s = %s", quote_identifier(new_name), quote_identifier(name)));
}

/* A column gets one new name at a time. */
static void
check_same_change(const TwinChange *known, const char *new_name)
{
	if (known != NULL && strcmp(known->new_name, new_name) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("column \"%s\" of table %s is being renamed to \"%s\" already", known->column, known->table, known->new_name),
				 errhint("Give that name to go on with it, or end it first: CALL dbops.abort_change(" INT64_FORMAT ");", known->id)));
}
