/*
 * add_check_constraint.c
 *		CALL add_check_constraint(): rows have to fit a condition, without a
 *		moment in which nobody can write them.
 *
 * A look at the rows comes first, so that a call in vain leaves nothing behind.
 * Then the constraint holds for what is written from then on, and at last it is
 * proven of what was there.
 */
#include "change/constraint.h"
#include "change/online_index.h"

#include "utils/builtins.h"
#include "utils/lsyscache.h"

enum
{
	ARG_TABLE,
	ARG_EXPRESSION,
	ARG_NAME
};

/* What is looked for among constraints that are there. */
typedef struct Search
{
	const OnlineExpression *condition;
	List	   *same;			/* names of those that say the same */
} Search;

PG_FUNCTION_INFO_V1(dbops_add_check_constraint);

static void plan_steps(OnlinePlan *plan, FunctionCallInfo fcinfo);
static char *name_it(Oid table, const OnlineExpression *condition, const char *given);
static List *names_below(Oid table, const OnlineExpression *condition);
static void compare(HeapTuple row, TupleDesc desc, void *arg);
static const char *only_column(Oid table, const OnlineExpression *condition);
static void add_steps(OnlinePlan *plan, const char *name, const char *condition);

/* CALL add_check_constraint(table_name, expression, constraint_name, lock_timeout, max_wait, dry_run) */
Datum
dbops_add_check_constraint(PG_FUNCTION_ARGS)
{
	OnlinePlan	plan = {0};

	dbops_online_begin(fcinfo, &plan, "add_check_constraint");
	plan_steps(&plan, fcinfo);
	dbops_online_call(&plan);
	PG_RETURN_VOID();
}

static void
plan_steps(OnlinePlan *plan, FunctionCallInfo fcinfo)
{
	OnlineExpression *condition;
	char	   *name;

	dbops_require_argument(fcinfo, ARG_TABLE, "table_name");
	dbops_require_argument(fcinfo, ARG_EXPRESSION, "expression");
	dbops_online_take_for_rows(plan, PG_GETARG_OID(ARG_TABLE));
	condition = dbops_online_condition(plan->table, dbops_text_argument(fcinfo, ARG_EXPRESSION));
	name = name_it(plan->table, condition,
				   PG_ARGISNULL(ARG_NAME) ? NULL : NameStr(*PG_GETARG_NAME(ARG_NAME)));
	dbops_online_take_name(plan, name);
	plan->columns = dbops_online_same_read(plan->table, condition);
	add_steps(plan, name, condition->sql);
}

static char *
name_it(Oid table, const OnlineExpression *condition, const char *given)
{
	Search		search = {.condition = condition};
	DbopsParam	param = dbops_param_oid(table);
	OnlineNaming naming = {
		.table = table,
		.given = given,
		.is_constraint = true,
		.columns = only_column(table, condition),
		.label = "check"
	};

	dbops_query_each("SELECT conname::text, conbin::text FROM pg_constraint WHERE conrelid = $1 AND contype = 'c'"
					 " AND NOT connoinherit ORDER BY convalidated DESC, conname", 1, &param, compare, &search);
	naming.same = search.same;
	naming.taken = names_below(table, condition);
	return dbops_online_name(&naming);
}

/* Other constraints of tables below, which it would meet there; the same one is merged with it. */
static List *
names_below(Oid table, const OnlineExpression *condition)
{
	DbopsParam	param = dbops_param_text(condition->sql);
	List	   *names;
	ListCell   *cell;

	names = dbops_online_names(psprintf(ONLINE_TREE " SELECT DISTINCT k.conname::text FROM tree JOIN pg_constraint k ON k.conrelid = tree.oid"
										" WHERE tree.oid <> %u AND k.coninhcount = 0 AND (k.contype <> 'c' OR k.connoinherit"
										" OR pg_get_expr(k.conbin, k.conrelid) NOT IN ($1, '(' || $1 || ')')) ORDER BY 1", table, table),
							   1, &param);
	foreach(cell, names)
		lfirst(cell) = dbops_online_index_full_name(get_rel_namespace(table), lfirst(cell));
	return names;
}

static void
compare(HeapTuple row, TupleDesc desc, void *arg)
{
	Search	   *search = arg;

	if (dbops_online_is_stored_as(search->condition, dbops_row_text(row, desc, 2)))
		search->same = lappend(search->same, dbops_row_text(row, desc, 1));
}

/* The one column that is read, of which the server makes a name. */
static const char *
only_column(Oid table, const OnlineExpression *condition)
{
	AttrNumber	number = dbops_online_only_column(condition);

	return number > 0 ? get_attname(table, number, false) : NULL;
}

static void
add_steps(OnlinePlan *plan, const char *name, const char *condition)
{
	OnlinePart	part = {.table = plan->table,.name = name};

	dbops_online_add_look(plan, (OnlineStep) {
		.sql = psprintf("SELECT * FROM %s WHERE NOT %s", dbops_quote_relation(plan->table), condition),
		.reached = dbops_online_part_there(&part),
		.why = "A row that does not fit would be in the way.",
		.message = psprintf("some row of table \"%s\" does not fit the condition", get_rel_name(plan->table)),
		.sqlerrcode = ERRCODE_CHECK_VIOLATION,
		.hint = "Correct such rows first"
	});
	dbops_online_add_proven(plan, &part, psprintf("CHECK (%s)", condition), "rows that do not fit");
}
