/*
 * set_not_null.c
 *		CALL set_not_null(): a column gets NOT NULL while the application goes on.
 */
#include "change/constraint.h"

#include "catalog/pg_attribute.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

enum
{
	ARG_TABLE,
	ARG_COLUMN,
	ARG_FILL
};

PG_FUNCTION_INFO_V1(dbops_set_not_null);

static void plan_steps(OnlinePlan *plan, FunctionCallInfo fcinfo);
static void take_fill(OnlineNotNull *what, const char *text);
static void refuse_generated(Oid table, const char *column);

/* CALL set_not_null(table_name, column_name, fill, lock_timeout, max_wait, dry_run) */
Datum
dbops_set_not_null(PG_FUNCTION_ARGS)
{
	OnlinePlan	plan = {0};

	dbops_online_begin(fcinfo, &plan, "set_not_null");
	plan_steps(&plan, fcinfo);
	dbops_online_call(&plan);
	PG_RETURN_VOID();
}

static void
plan_steps(OnlinePlan *plan, FunctionCallInfo fcinfo)
{
	OnlineNotNull what = {0};
	AttrNumber	number;

	dbops_require_argument(fcinfo, ARG_TABLE, "table_name");
	dbops_require_argument(fcinfo, ARG_COLUMN, "column_name");
	what.table = PG_GETARG_OID(ARG_TABLE);
	what.column = pstrdup(NameStr(*PG_GETARG_NAME(ARG_COLUMN)));
	dbops_online_take_for_rows(plan, what.table);
	number = dbops_online_column_number(what.table, what.column);
	what.is_row = type_is_rowtype(get_atttype(what.table, number));
	if (!PG_ARGISNULL(ARG_FILL))
		take_fill(&what, dbops_text_argument(fcinfo, ARG_FILL));
	plan->name = psprintf("%s.%s", dbops_quote_relation(what.table), dbops_quote_name(what.column));
	plan->key = psprintf("%u.%d", what.table, number);
	plan->columns = dbops_online_same_columns(dbops_online_columns_of(what.table, list_make1(unconstify(char *, what.column))), what.table);
	if (dbops_online_proves_not_null(what.table, what.column))
		dbops_online_add_proven_not_null(plan, &what);
	else
		dbops_online_add_not_null(plan, &what);
}

static void
take_fill(OnlineNotNull *what, const char *text)
{
	OnlineExpression *fill = dbops_online_fill(what->table, what->column, text);

	refuse_generated(what->table, what->column);
	if (fill->is_null)
		ereport(ERROR,
				(errcode(ERRCODE_NOT_NULL_VIOLATION),
				 errmsg("fill is NULL"),
				 errhint("Give a value, or an expression of other columns, that is not NULL for any row.")));
	what->fill = fill->sql;
	what->sync = !fill->has_subselect;
}

static void
refuse_generated(Oid table, const char *column)
{
	HeapTuple	tuple = SearchSysCacheAttName(table, column);
	bool		generated = ((Form_pg_attribute) GETSTRUCT(tuple))->attgenerated != '\0';

	ReleaseSysCache(tuple);
	if (generated)
		ereport(ERROR,
				(errcode(ERRCODE_GENERATED_ALWAYS),
				 errmsg("column \"%s\" of table \"%s\" is generated and cannot be filled", column, get_rel_name(table)),
				 errhint("Fill the columns that it is made of, and CALL this without fill.")));
}
