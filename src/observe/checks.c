/*
 * checks.c
 *		Which sets of checks there are, and what is known of each check.
 *
 * The list tells a user what can be changed and muted, also of checks that
 * have nothing to say right now.
 */
#include "core/rule.h"
#include "observe/checks.h"

#include "utils/builtins.h"
#include "utils/varlena.h"

#define LIKELY_MEANT	5		/* letters that differ, if the name has more than twice as many */

/* The name that differs least from one that is unknown, if it does not differ much; or NULL. */
typedef struct Likely
{
	const char *name;
	int			distance;
} Likely;

PG_FUNCTION_INFO_V1(dbops_check_list);

static void like_check(const char *name, Likely *likely);
static void like_rule(const char *name, Likely *likely);
static void compare(const char *name, const char *known, Likely *likely);
static void put_check(ReturnSetInfo *result, const DbopsCheck *check);
static void put_number(Datum *value, bool *isnull, double number);

/* Register all of them. */
void
dbops_checks_init(void)
{
	dbops_check_register(&dbops_alert_checks_set);
	dbops_check_register(&dbops_cron_checks_set);
	dbops_check_register(&dbops_forecast_checks_set);
	dbops_check_register(&dbops_host_checks_set);
	dbops_check_register(&dbops_io_checks_set);
	dbops_check_register(&dbops_limit_checks_set);
	dbops_check_register(&dbops_memory_checks_set);
	dbops_check_register(&dbops_rate_checks_set);
	dbops_check_register(&dbops_relation_checks_set);
	dbops_check_register(&dbops_replication_checks_set);
	dbops_check_register(&dbops_schema_checks_set);
	dbops_check_register(&dbops_sequence_checks_set);
	dbops_check_register(&dbops_server_checks_set);
	dbops_check_register(&dbops_session_checks_set);
	dbops_check_register(&dbops_setting_checks_set);
	dbops_check_register(&dbops_wal_checks_set);
}

/* Find a check that a user names; an error if there is none. */
const DbopsCheck *
dbops_check_require(const char *name)
{
	const DbopsCheck *check = dbops_check_find(name);
	Likely		likely = {NULL};

	if (check != NULL)
		return check;
	like_check(name, &likely);
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("check \"%s\" does not exist", name),
			 likely.name != NULL ? errhint("Perhaps you mean \"%s\".", likely.name) :
			 errhint("SELECT check_name FROM dbops.check_list(); lists them.")));
	return NULL;				/* keep the compiler quiet */
}

/* Refuse what a user has named and is neither a check nor a rule. */
void
dbops_check_or_rule_refuse(const char *name)
{
	Likely		likely = {NULL};

	like_check(name, &likely);
	like_rule(name, &likely);
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("check or rule \"%s\" does not exist", name),
			 likely.name != NULL ? errhint("Perhaps you mean \"%s\".", likely.name) :
			 errhint("SELECT check_name FROM dbops.check_list(); lists the checks, SELECT rule_name FROM dbops.rule_list(); the rules.")));
}

static void
like_check(const char *name, Likely *likely)
{
	const DbopsCheck *check;

	for (int i = 0; (check = dbops_check_at(i)) != NULL; i++)
		compare(name, check->name, likely);
}

static void
like_rule(const char *name, Likely *likely)
{
	const DbopsRule *rule;
	const char *alias;

	for (int i = 0; (rule = dbops_rule_at(i, NULL)) != NULL; i++)
		compare(name, rule->name, likely);
	for (int i = 0; (alias = dbops_rule_alias_at(i)) != NULL; i++)
		compare(name, alias, likely);
}

static void
compare(const char *name, const char *known, Likely *likely)
{
	int			length = strlen(name);
	int			distance;

	if (length > NAMEDATALEN)
		return;
	distance = varstr_levenshtein(name, length, known, strlen(known), 1, 1, 1, true);
	if (distance > LIKELY_MEANT || distance * 2 >= length || (likely->name != NULL && distance >= likely->distance))
		return;
	likely->name = known;
	likely->distance = distance;
}

/* check_list() → every check with what it looks at and its shipped thresholds */
Datum
dbops_check_list(PG_FUNCTION_ARGS)
{
	const DbopsCheck *check;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; (check = dbops_check_at(i)) != NULL; i++)
		put_check((ReturnSetInfo *) fcinfo->resultinfo, check);
	return (Datum) 0;
}

static void
put_check(ReturnSetInfo *result, const DbopsCheck *check)
{
	static const char *const reaches[] = {
		[DBOPS_REACH_CATALOG] = "catalog",
		[DBOPS_REACH_DATABASE] = "database",
		[DBOPS_REACH_CLUSTER] = "cluster"
	};
	const DbopsThreshold *threshold = &check->threshold;
	Datum		values[12];
	bool		nulls[12] = {0};
	bool		judged = (threshold->unit != NULL);

	values[0] = CStringGetTextDatum(check->name);
	nulls[1] = (check->about == NULL);
	values[1] = CStringGetTextDatum(nulls[1] ? "" : check->about);
	values[2] = CStringGetTextDatum(reaches[check->reach]);
	values[3] = BoolGetDatum(check->advice);
	nulls[4] = !judged;
	values[4] = CStringGetTextDatum(judged ? threshold->unit : "");
	values[5] = CStringGetTextDatum(threshold->below ? "below" : "above");
	nulls[5] = !judged;
	put_number(&values[6], &nulls[6], judged ? threshold->warning : DBOPS_NO_THRESHOLD);
	put_number(&values[7], &nulls[7], judged ? threshold->critical : DBOPS_NO_THRESHOLD);
	put_number(&values[8], &nulls[8], threshold->guard_unit != NULL ? threshold->guard : DBOPS_NO_THRESHOLD);
	nulls[9] = (threshold->guard_unit == NULL);
	values[9] = CStringGetTextDatum(nulls[9] ? "" : threshold->guard_unit);
	nulls[10] = nulls[9];
	values[10] = CStringGetTextDatum(dbops_threshold_guards(threshold));
	nulls[11] = (threshold->source == NULL);
	values[11] = CStringGetTextDatum(nulls[11] ? "" : threshold->source);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static void
put_number(Datum *value, bool *isnull, double number)
{
	*isnull = (number == DBOPS_NO_THRESHOLD);
	*value = Float8GetDatum(*isnull ? 0 : number);
}
