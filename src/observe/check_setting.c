/*
 * check_setting.c
 *		set_check() and reset_check(): thresholds other than those shipped.
 *
 * What is shipped is compiled in, and the table holds only what somebody
 * changed: a dump takes that along, and a new version's figures reach everybody
 * who has not decided otherwise. Each value is judged together with what holds
 * beside it.
 *
 * A rule of a review is turned on or off in the same way, and has nothing else to
 * set. The name that another linter has for rules means all of them.
 */
#include "core/primary.h"
#include "core/rule.h"
#include "observe/observe.h"

#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#define LONGEST			(7 * SECS_PER_DAY)	/* of duration and keep_firing */

PG_FUNCTION_INFO_V1(dbops_set_check);
PG_FUNCTION_INFO_V1(dbops_reset_check);

static List *take_rules(FunctionCallInfo fcinfo);
static void set_rules(FunctionCallInfo fcinfo, const List *rules);
static bool forget(const char *name);
static bool forget_rules(const List *rules);
static bool is_any_given(FunctionCallInfo fcinfo, int from, int to);
static const DbopsCheck *take_check(FunctionCallInfo fcinfo);
static void require_decider(const DbopsCheck *check);
static const char *find_decider(const DbopsCheck *check);
static double take_threshold(FunctionCallInfo fcinfo, int number, const char *argument,
							 const DbopsCheck *check);
static double take_guard(FunctionCallInfo fcinfo, const DbopsCheck *check);
static double take_clear(FunctionCallInfo fcinfo);
static double take_figure(FunctionCallInfo fcinfo, int number, const char *argument, const char *unit);
static int	take_seconds(FunctionCallInfo fcinfo, int number, const char *argument);
static void require_order(const DbopsCheck *check, const DbopsCheckSetting *setting);
static void store(const char *name, const DbopsCheckSetting *setting, DbopsParam enabled);
static DbopsParam figure_param(double figure);
static DbopsParam seconds_param(int seconds);

/*
 * set_check(check_name text, warning float8, critical float8, guard float8,
 *			duration interval, keep_firing interval, clear float8, enabled bool)
 */
Datum
dbops_set_check(PG_FUNCTION_ARGS)
{
	List	   *rules = take_rules(fcinfo);
	const DbopsCheck *check;
	DbopsCheckSetting setting;

	if (rules != NIL)
	{
		set_rules(fcinfo, rules);
		PG_RETURN_VOID();
	}
	check = take_check(fcinfo);
	setting = (DbopsCheckSetting) {
		.warning = take_threshold(fcinfo, 1, "warning", check),
		.critical = take_threshold(fcinfo, 2, "critical", check),
		.guard = take_guard(fcinfo, check),
		.duration = take_seconds(fcinfo, 4, "duration"),
		.keep_firing = take_seconds(fcinfo, 5, "keep_firing"),
		.clear = take_clear(fcinfo)
	};
	if (!is_any_given(fcinfo, 1, PG_NARGS()))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("nothing to set for check %s", check->name),
				 errhint("Give warning, critical, guard, duration, keep_firing, clear or enabled; dbops.reset_check goes back to what is shipped.")));
	dbops_require_primary(fcinfo);
	require_decider(check);
	require_order(check, &setting);
	store(check->name, &setting, PG_ARGISNULL(7) ? (DbopsParam) {.type = BOOLOID, .isnull = true} :
		  dbops_param_bool(PG_GETARG_BOOL(7)));
	PG_RETURN_VOID();
}

/* reset_check(check_name text) → whether anything had been changed */
Datum
dbops_reset_check(PG_FUNCTION_ARGS)
{
	List	   *rules = take_rules(fcinfo);
	const DbopsCheck *check = (rules != NIL) ? NULL : take_check(fcinfo);
	const char *decider = (rules != NIL) ? NULL : find_decider(check);

	dbops_require_primary(fcinfo);
	if (decider != NULL)
		ereport(NOTICE,
				(errmsg("check %s is of the whole cluster, and database \"%s\" decides about those", check->name, decider),
				 errhint("Call it there: what is set in this database would count only if it were home.")));
	PG_RETURN_BOOL(rules != NIL ? forget_rules(rules) : forget(check->name));
}

static bool
forget_rules(const List *rules)
{
	bool		any = false;
	ListCell   *cell;

	foreach(cell, rules)
		any |= forget(((const DbopsRule *) lfirst(cell))->name);
	return any;
}

static bool
forget(const char *name)
{
	DbopsParam	param = dbops_param_text(name);

	return dbops_store_each("DELETE FROM dbops.check_setting WHERE check_name = $1", 1, &param, NULL, NULL) > 0;
}

/* The rules of that name, unless a check has it too; or NIL. */
static List *
take_rules(FunctionCallInfo fcinfo)
{
	const char *name;

	dbops_require_argument(fcinfo, 0, "check_name");
	name = dbops_text_argument(fcinfo, 0);
	return (dbops_check_find(name) == NULL) ? dbops_rule_named(name) : NIL;
}

static void
set_rules(FunctionCallInfo fcinfo, const List *rules)
{
	DbopsCheckSetting nothing = {.warning = NAN, .critical = NAN, .guard = NAN, .clear = NAN, .duration = -1, .keep_firing = -1};
	const DbopsRule *first = linitial(rules);
	ListCell   *cell;

	if (PG_ARGISNULL(7) || is_any_given(fcinfo, 1, 7))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("rule %s can only be turned on or off", first->name),
				 errhint("SELECT dbops.set_check('%s', enabled => %s);", first->name, first->off ? "true" : "false")));
	dbops_require_primary(fcinfo);
	foreach(cell, rules)
		store(((const DbopsRule *) lfirst(cell))->name, &nothing, dbops_param_bool(PG_GETARG_BOOL(7)));
}

/* Is any of the arguments from .. to - 1 not null? */
static bool
is_any_given(FunctionCallInfo fcinfo, int from, int to)
{
	for (int i = from; i < to; i++)
		if (!PG_ARGISNULL(i))
			return true;
	return false;
}

static const DbopsCheck *
take_check(FunctionCallInfo fcinfo)
{
	const DbopsCheck *check;

	dbops_require_argument(fcinfo, 0, "check_name");
	check = dbops_check_find(dbops_text_argument(fcinfo, 0));
	if (check == NULL)
		dbops_check_or_rule_refuse(dbops_text_argument(fcinfo, 0));
	return check;
}

/* A check of the whole cluster obeys one database; a row elsewhere would change nothing. */
static void
require_decider(const DbopsCheck *check)
{
	const char *decider = find_decider(check);

	if (decider != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("check %s is of the whole cluster, and database \"%s\" decides about those", check->name, decider),
				 errhint("Call it there, or set dbops.home_database to this database.")));
}

/* The database that decides about a check, if it is another; NULL: this one does. */
static const char *
find_decider(const DbopsCheck *check)
{
	Oid			home = dbops_home_database();
	const char *name;

	if (check->reach != DBOPS_REACH_CLUSTER || !OidIsValid(home) || home == MyDatabaseId)
		return NULL;
	name = get_database_name(home);
	return (name == NULL) ? psprintf("OID %u", home) : name;
}

static double
take_threshold(FunctionCallInfo fcinfo, int number, const char *argument, const DbopsCheck *check)
{
	if (!PG_ARGISNULL(number) && check->threshold.unit == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("check %s has no threshold", check->name),
				 errhint("Its duration, keep_firing and enabled can be set.")));
	return take_figure(fcinfo, number, argument, check->threshold.unit);
}

static double
take_guard(FunctionCallInfo fcinfo, const DbopsCheck *check)
{
	if (!PG_ARGISNULL(3) && check->threshold.guard_unit == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("check %s has no guard", check->name),
				 errhint("Set its warning or critical.")));
	return take_figure(fcinfo, 3, "guard", check->threshold.guard_unit);
}

static double
take_clear(FunctionCallInfo fcinfo)
{
	double		clear = take_figure(fcinfo, 6, "clear", "percent");

	if (clear == DBOPS_NO_THRESHOLD)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("clear must not be infinite"),
				 errhint("It is the percent of the threshold that the value must be back by, such as 10.")));
	return clear;
}

/* A figure in its unit; null is NaN: as it stands. */
static double
take_figure(FunctionCallInfo fcinfo, int number, const char *argument, const char *unit)
{
	double		figure;

	if (PG_ARGISNULL(number))
		return NAN;
	figure = PG_GETARG_FLOAT8(number);
	if (isnan(figure))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be NaN", argument),
				 errhint("Give a number (%s), 'infinity' for never, or null to leave it as it is.", unit)));
	if (figure < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be negative", argument),
				 errhint("Give a number (%s), or 'infinity' for never.", unit)));
	if (strcmp(unit, "percent") == 0 && figure > 100 && !isinf(figure))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be above 100 percent", argument),
				 errhint("Give a number between 0 and 100, or 'infinity' for never.")));
	return figure;
}

/* A length of time in whole seconds; null is -1: as it stands. */
static int
take_seconds(FunctionCallInfo fcinfo, int number, const char *argument)
{
	int64		ms;

	if (PG_ARGISNULL(number))
		return -1;
	ms = dbops_interval_ms(PG_GETARG_INTERVAL_P(number));
	if (ms < 0 || ms > LONGEST * INT64CONST(1000))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be between 0 and 7 days", argument),
				 errhint("Such as '5 minutes'; 0 is at once.")));
	return (int) ((ms + 999) / 1000);
}

/* What is critical must be beyond what is a warning, given now or standing already. */
static void
require_order(const DbopsCheck *check, const DbopsCheckSetting *setting)
{
	DbopsCheckScope here = {.database = MyDatabaseId, .connected = true};
	DbopsThreshold threshold = dbops_override_threshold(dbops_override_read(&here), check);
	double		warning = isnan(setting->warning) ? threshold.warning : setting->warning;
	double		critical = isnan(setting->critical) ? threshold.critical : setting->critical;

	if (isinf(warning) || isinf(critical) ||
		(threshold.below ? warning >= critical : warning <= critical))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("warning (%g) is beyond critical (%g)", warning, critical),
			 errdetail("Of %s, what is %s is bad.", check->name, threshold.below ? "below" : "above"),
			 errhint("Give both, critical %s warning; 'infinity' is never.",
					 threshold.below ? "at most" : "at least")));
}

static void
store(const char *name, const DbopsCheckSetting *setting, DbopsParam enabled)
{
	DbopsParam	params[] = {
		dbops_param_text(name),
		enabled,
		figure_param(setting->warning),
		figure_param(setting->critical),
		figure_param(setting->guard),
		seconds_param(setting->duration),
		seconds_param(setting->keep_firing),
		figure_param(setting->clear),
		dbops_param_text(GetUserNameFromId(GetUserId(), false)),
		dbops_param_time(dbops_clock_now())
	};

	dbops_store_each("INSERT INTO dbops.check_setting AS s"
					 " (check_name, enabled, warning, critical, guard, duration, keep_firing, clear, set_by, set_at)"
					 " VALUES ($1, coalesce($2, true), $3, $4, $5, $6, $7, $8, $9, $10)"
					 " ON CONFLICT (check_name) DO UPDATE SET enabled = coalesce($2, s.enabled),"
					 " warning = coalesce($3, s.warning), critical = coalesce($4, s.critical),"
					 " guard = coalesce($5, s.guard), duration = coalesce($6, s.duration),"
					 " keep_firing = coalesce($7, s.keep_firing), clear = coalesce($8, s.clear),"
					 " set_by = $9, set_at = $10",
					 lengthof(params), params, NULL, NULL);
}

static DbopsParam
figure_param(double figure)
{
	return (DbopsParam) {.type = FLOAT8OID, .value = Float8GetDatum(figure), .isnull = isnan(figure)};
}

static DbopsParam
seconds_param(int seconds)
{
	return (DbopsParam) {.type = INT4OID, .value = Int32GetDatum(seconds), .isnull = seconds < 0};
}
