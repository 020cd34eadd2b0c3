/*
 * check.c
 *		The registry of health checks, and how they are run.
 *
 * An area registers a set of checks together with the function that looks at
 * what they judge. Looking and judging are separate, so that a report can show
 * the very figures that were judged. Each check runs on its own: one that
 * fails is unknown, for the reason that it gave, and the others go on.
 *
 * A value is held against the thresholds in force: those that are shipped, but
 * for what a user has changed. What a check of the cluster is held against, the
 * home database says.
 */
#include "core/core.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#define MAX_CHECK_SETS	24

struct DbopsCheckRun
{
	DbopsCheckScope scope;
	const void *facts[MAX_CHECK_SETS];	/* what each set has seen */
	ErrorData  *errors[MAX_CHECK_SETS]; /* why it could not look; or NULL */
	const DbopsOverrides *of_database;
	const DbopsOverrides *of_cluster;	/* what the home database says */
	const DbopsCheck *check;	/* the one that is running */
	DbopsThreshold threshold;	/* in force for it */
	const void *check_facts;	/* its set's */
	ErrorData  *look_error;		/* likewise */
	List	   *findings;		/* of DbopsFinding * */
};

typedef struct Look
{
	DbopsCheckRun *run;
	int			set;
} Look;

static const DbopsCheckSet *check_sets[MAX_CHECK_SETS];
static int	n_check_sets = 0;

static void look(DbopsCheckRun *run, int set);
static void call_look(void *arg);
static void use_facts(DbopsCheckRun *run, int set);
static DbopsCheckRun *begin(const DbopsCheckScope *scope);
static bool has_check(const DbopsCheckSet *set, DbopsCheckReach reach);
static bool is_apart(const DbopsCheckSet *set, const DbopsCheck *check);
static const DbopsCheckSet *set_of(const DbopsCheck *check);
static bool is_looked_at(const DbopsCheckScope *scope, const DbopsCheckSet *set);
static bool can_read(const DbopsCheckScope *scope, DbopsCheckReach reach);
static List *judge(DbopsCheckRun *run, bool all);
static const DbopsOverrides *overrides_for(const DbopsCheckRun *run, const DbopsCheck *check);
static void run_check(DbopsCheckRun *run);
static void call_check(void *arg);
static void report_failed(DbopsCheckRun *run, const ErrorData *error);
static void report_disabled(DbopsCheckRun *run);
static void mark_muted(DbopsCheckRun *run, int from);
static DbopsSeverity severity_of(double value, double guard, const DbopsThreshold *threshold);
static bool is_beyond(double value, double limit, bool below);
static Jsonb *describe(double value, double guard, const DbopsThreshold *threshold);
static void copy_members(DbopsJson *json, Jsonb *data);
static void put_default(DbopsJson *json, const DbopsThreshold *threshold);
static void put_setting(DbopsJson *json, const DbopsCheckSetting *setting);
static void put_changed(DbopsJson *json, const char *key, double figure);
static void put_figure(DbopsJson *json, const char *key, double figure);
static int	by_severity_and_name(const ListCell *a, const ListCell *b);

/* Add a set of checks; called when the library is loaded. */
void
dbops_check_register(const DbopsCheckSet *set)
{
	if (n_check_sets == MAX_CHECK_SETS)
		elog(ERROR, "too many sets of checks");
	check_sets[n_check_sets++] = set;
}

/* Find a check by its name; NULL: there is none. */
const DbopsCheck *
dbops_check_find(const char *name)
{
	const DbopsCheck *check;

	for (int i = 0; (check = dbops_check_at(i)) != NULL; i++)
		if (strcmp(check->name, name) == 0)
			return check;
	return NULL;
}

/* The number of a check, the same in all processes of a server. */
int
dbops_check_number(const DbopsCheck *check)
{
	int			number = 0;

	for (int i = 0; i < n_check_sets; i++)
	{
		if (check >= check_sets[i]->checks && check < check_sets[i]->checks + check_sets[i]->n_checks)
			return number + (check - check_sets[i]->checks);
		number += check_sets[i]->n_checks;
	}
	elog(ERROR, "check is not registered");
	return -1;					/* keep the compiler quiet */
}

/* The check of a number; NULL: there is none. */
const DbopsCheck *
dbops_check_at(int number)
{
	for (int i = 0; i < n_check_sets; i++)
	{
		if (number < check_sets[i]->n_checks)
			return &check_sets[i]->checks[number];
		number -= check_sets[i]->n_checks;
	}
	return NULL;
}

/* Look at everything that the checks judge. */
DbopsCheckRun *
dbops_check_look(void)
{
	DbopsCheckScope scope = {.database = MyDatabaseId, .connected = true};

	return dbops_check_look_at(&scope);
}

/* The same as far as it can be read where we are. */
DbopsCheckRun *
dbops_check_look_at(const DbopsCheckScope *scope)
{
	DbopsCheckRun *run = begin(scope);

	for (int i = 0; i < n_check_sets; i++)
		if (is_looked_at(scope, check_sets[i]))
			look(run, i);
	return run;
}

/* Have a set look; what it waits for in vain, as a lock, makes its checks unknown. */
static void
look(DbopsCheckRun *run, int set)
{
	Look		call = {.run = run, .set = set};

	(void) dbops_attempt(call_look, &call, &run->errors[set]);
}

static void
call_look(void *arg)
{
	const Look *call = arg;

	call->run->facts[call->set] = check_sets[call->set]->look(&call->run->scope);
}

static void
use_facts(DbopsCheckRun *run, int set)
{
	run->check_facts = run->facts[set];
	run->look_error = run->errors[set];
}

static DbopsCheckRun *
begin(const DbopsCheckScope *scope)
{
	DbopsCheckRun *run = palloc0(sizeof(DbopsCheckRun));
	DbopsCheckScope home = {.database = dbops_home_database()};

	run->scope = *scope;
	run->of_database = dbops_override_read(scope);
	run->of_cluster = (!OidIsValid(home.database) || home.database == scope->database) ?
		run->of_database : dbops_override_read(&home);
	return run;
}

/*
 * Look at what the checks of one reach judge, and judge that only: the list is
 * as dbops_check_judge's.
 */
List *
dbops_check_judge_reach(const DbopsCheckScope *scope, DbopsCheckReach reach)
{
	DbopsCheckRun *run = begin(scope);

	for (int i = 0; i < n_check_sets; i++)
	{
		if (!has_check(check_sets[i], reach) || !can_read(scope, reach))
			continue;
		look(run, i);
		use_facts(run, i);
		for (int j = 0; j < check_sets[i]->n_checks; j++)
		{
			run->check = &check_sets[i]->checks[j];
			if (run->check->reach == reach)
				run_check(run);
		}
	}
	list_sort(run->findings, by_severity_and_name);
	return run->findings;
}

/*
 * Judge those that are left out of a sparing run, which need catalogs. The list is as dbops_check_judge's.
 */
List *
dbops_check_judge_apart(const DbopsCheckScope *scope)
{
	DbopsCheckRun *run = begin(scope);

	for (int i = 0; i < n_check_sets; i++)
	{
		if (check_sets[i]->shown || !has_check(check_sets[i], DBOPS_REACH_CATALOG))
			continue;
		look(run, i);
		use_facts(run, i);
		for (int j = 0; j < check_sets[i]->n_checks; j++)
		{
			run->check = &check_sets[i]->checks[j];
			if (is_apart(check_sets[i], run->check))
				run_check(run);
		}
	}
	list_sort(run->findings, by_severity_and_name);
	return run->findings;
}

/*
 * Take what was found of them before into a sparing run, and return all of its
 * findings. What was turned off or muted since is so.
 */
List *
dbops_check_adopt(DbopsCheckRun *run, const List *findings)
{
	ListCell   *cell;

	foreach(cell, findings)
	{
		const DbopsFinding *found = lfirst(cell);
		const DbopsCheckSetting *setting;
		DbopsFinding *adopted;

		run->check = dbops_check_find(found->check_name);
		if (run->check == NULL || !is_apart(set_of(run->check), run->check))
			continue;
		setting = dbops_override_of(overrides_for(run, run->check), run->check);
		if (setting != NULL && !setting->enabled && found->severity != DBOPS_INFO)
			continue;
		adopted = palloc(sizeof(DbopsFinding));
		*adopted = *found;
		adopted->check = run->check;
		run->findings = lappend(run->findings, adopted);
		mark_muted(run, list_length(run->findings) - 1);
	}
	list_sort(run->findings, by_severity_and_name);
	return run->findings;
}

/* What a user has changed of a check, as this run saw it; NULL: nothing. */
const DbopsCheckSetting *
dbops_check_setting(const DbopsCheckRun *run, const char *name)
{
	const DbopsCheck *check = dbops_check_find(name);

	return (check == NULL) ? NULL : dbops_override_of(overrides_for(run, check), check);
}

/* Whether a sparing run leaves a check out: it needs catalogs, and nobody reads those for the document anyway. */
static bool
is_apart(const DbopsCheckSet *set, const DbopsCheck *check)
{
	return check->reach == DBOPS_REACH_CATALOG && !set->shown;
}

static const DbopsCheckSet *
set_of(const DbopsCheck *check)
{
	for (int i = 0; i < n_check_sets; i++)
		if (check >= check_sets[i]->checks && check < check_sets[i]->checks + check_sets[i]->n_checks)
			return check_sets[i];
	elog(ERROR, "check is not registered");
	return NULL;				/* keep the compiler quiet */
}

static bool
is_looked_at(const DbopsCheckScope *scope, const DbopsCheckSet *set)
{
	return can_read(scope, set->reach) &&
		!(scope->sparing && set->reach == DBOPS_REACH_CATALOG);
}

static bool
has_check(const DbopsCheckSet *set, DbopsCheckReach reach)
{
	for (int i = 0; i < set->n_checks; i++)
		if (set->checks[i].reach == reach)
			return true;
	return false;
}

/* Can what a check needs be read where we are? */
static bool
can_read(const DbopsCheckScope *scope, DbopsCheckReach reach)
{
	return scope->connected || reach == DBOPS_REACH_CLUSTER ||
		(reach == DBOPS_REACH_DATABASE && OidIsValid(scope->database));
}

/* What a set's look function returned in this run. */
const void *
dbops_check_facts(const DbopsCheckRun *run, const DbopsCheckSet *set)
{
	for (int i = 0; i < n_check_sets; i++)
		if (check_sets[i] == set)
			return run->facts[i];
	elog(ERROR, "set of checks is not registered");
	return NULL;				/* keep the compiler quiet */
}

/* Judge; returns a list of DbopsFinding *, the gravest first, then by name. */
List *
dbops_check_judge(DbopsCheckRun *run)
{
	return judge(run, true);
}

/* The same of the checks that matter to who is about to change the schema. */
List *
dbops_check_judge_before_change(DbopsCheckRun *run)
{
	return judge(run, false);
}

static List *
judge(DbopsCheckRun *run, bool all)
{
	for (int i = 0; i < n_check_sets; i++)
	{
		if (!is_looked_at(&run->scope, check_sets[i]))
			continue;
		use_facts(run, i);
		for (int j = 0; j < check_sets[i]->n_checks; j++)
		{
			run->check = &check_sets[i]->checks[j];
			if ((all || run->check->before_change) && can_read(&run->scope, run->check->reach) &&
				!(run->scope.sparing && is_apart(check_sets[i], run->check)))
				run_check(run);
		}
	}
	list_sort(run->findings, by_severity_and_name);
	return run->findings;
}

/* Called by a check for each thing that it has judged. */
void
dbops_check_report(DbopsCheckRun *run, DbopsFinding finding)
{
	DbopsFinding *kept = palloc(sizeof(DbopsFinding));

	finding.check = run->check;
	finding.check_name = run->check->name;
	finding.key = (finding.object == NULL) ? finding.check_name :
		psprintf("%s:%s", finding.check_name, finding.object);
	*kept = finding;
	run->findings = lappend(run->findings, kept);
}

/*
 * Called by a check that holds a value against the thresholds that are in force.
 * guard is the absolute figure beside it, NaN where there is none. The remedy is
 * left out where nothing is wrong.
 */
void
dbops_check_report_value(DbopsCheckRun *run, double value, double guard, DbopsFinding finding)
{
	const DbopsThreshold *threshold = dbops_check_threshold(run);

	finding.severity = severity_of(value, guard, threshold);
	if (finding.severity == DBOPS_OK)
		finding.remedy = NULL;
	if (finding.data == NULL)
		finding.data = describe(value, guard, threshold);
	dbops_check_report(run, finding);
}

/* Called by a check that cannot tell, with the reason. */
void
dbops_check_report_unknown(DbopsCheckRun *run, const char *object, const char *message,
						   const char *remedy)
{
	dbops_check_report(run, (DbopsFinding)
					   {
						   .severity = DBOPS_UNKNOWN,
						   .object = object,
						   .message = message,
						   .remedy = remedy
					   });
}

/* The thresholds in force for the check that is running. */
const DbopsThreshold *
dbops_check_threshold(const DbopsCheckRun *run)
{
	return &run->threshold;
}

/* A value that is not known is unknown, and one within its guard is ok. */
static DbopsSeverity
severity_of(double value, double guard, const DbopsThreshold *threshold)
{
	if (isnan(value))
		return DBOPS_UNKNOWN;
	if (threshold->guard_unit != NULL && !isnan(guard) &&
		!is_beyond(guard, threshold->guard, threshold->below))
		return DBOPS_OK;
	return is_beyond(value, threshold->critical, threshold->below) ? DBOPS_CRITICAL :
		is_beyond(value, threshold->warning, threshold->below) ? DBOPS_WARNING : DBOPS_OK;
}

static bool
is_beyond(double value, double limit, bool below)
{
	if (limit == DBOPS_NO_THRESHOLD)
		return false;
	return below ? value < limit : value > limit;
}

/* The figures of a finding: value, unit, warning, critical, and the guard if there is one. */
static Jsonb *
describe(double value, double guard, const DbopsThreshold *threshold)
{
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	put_figure(&json, "value", value);
	dbops_json_text(&json, "unit", threshold->unit);
	put_figure(&json, "warning", threshold->warning);
	put_figure(&json, "critical", threshold->critical);
	if (threshold->guard_unit != NULL)
		put_figure(&json, "guard", guard);
	return dbops_json_finish(&json);
}

/*
 * Add to the figures of a finding what dbops ships for its check, what a user
 * has changed of that (null: nothing), whose figures they are, and since when
 * it is so and until when it is muted.
 */
Jsonb *
dbops_check_explain(const DbopsCheckRun *run, const DbopsFinding *finding)
{
	const DbopsCheck *check = finding->check;
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	if (finding->data != NULL)
		copy_members(&json, finding->data);
	if (check != NULL)
	{
		put_default(&json, &check->threshold);
		put_setting(&json, dbops_override_of(overrides_for(run, check), check));
	}
	dbops_json_time(&json, "since", finding->since);
	dbops_json_time(&json, "muted_until", finding->muted_until);
	return dbops_json_finish(&json);
}

static void
copy_members(DbopsJson *json, Jsonb *data)
{
	JsonbIterator *iterator = JsonbIteratorInit(&data->root);
	JsonbValue	value;
	JsonbIteratorToken token;

	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
		if (token == WJB_KEY || token == WJB_VALUE)
			pushJsonbValue(&json->state, token, &value);
}

static void
put_default(DbopsJson *json, const DbopsThreshold *threshold)
{
	dbops_json_object(json, "default");
	if (threshold->unit != NULL)
	{
		put_figure(json, "warning", threshold->warning);
		put_figure(json, "critical", threshold->critical);
		if (threshold->guard_unit != NULL)
			put_figure(json, "guard", threshold->guard);
	}
	dbops_json_integer(json, "duration", threshold->duration);
	dbops_json_integer(json, "keep_firing", threshold->keep_firing);
	put_figure(json, "clear", threshold->clear);
	dbops_json_object_end(json);
	dbops_json_text(json, "source", threshold->source);
}

static void
put_setting(DbopsJson *json, const DbopsCheckSetting *setting)
{
	if (setting == NULL)
	{
		dbops_json_null(json, "setting");
		return;
	}
	dbops_json_object(json, "setting");
	dbops_json_boolean(json, "enabled", setting->enabled);
	put_changed(json, "warning", setting->warning);
	put_changed(json, "critical", setting->critical);
	put_changed(json, "guard", setting->guard);
	put_changed(json, "clear", setting->clear);
	if (setting->duration >= 0)
		dbops_json_integer(json, "duration", setting->duration);
	if (setting->keep_firing >= 0)
		dbops_json_integer(json, "keep_firing", setting->keep_firing);
	dbops_json_object_end(json);
}

/* What was not changed is left out. */
static void
put_changed(DbopsJson *json, const char *key, double figure)
{
	if (figure == DBOPS_NO_THRESHOLD)
		dbops_json_text(json, key, "never");
	else if (!isnan(figure))
		put_figure(json, key, figure);
}

/* A check that has no such threshold does not mention it. */
static void
put_figure(DbopsJson *json, const char *key, double figure)
{
	if (figure == DBOPS_NO_THRESHOLD)
		return;
	if (figure == floor(figure) && fabs(figure) < 1e15)
		dbops_json_integer(json, key, (int64) figure);
	else
		dbops_json_decimal(json, key, figure);
}

static const DbopsOverrides *
overrides_for(const DbopsCheckRun *run, const DbopsCheck *check)
{
	return (check->reach == DBOPS_REACH_CLUSTER) ? run->of_cluster : run->of_database;
}

/* Run one check; if it fails, that is its finding. */
static void
run_check(DbopsCheckRun *run)
{
	const DbopsOverrides *overrides = overrides_for(run, run->check);
	const DbopsCheckSetting *setting = dbops_override_of(overrides, run->check);
	int			before = list_length(run->findings);
	ErrorData  *error;

	run->threshold = dbops_override_threshold(overrides, run->check);
	if (setting != NULL && !setting->enabled)
		report_disabled(run);
	else if (run->look_error != NULL)
		report_failed(run, run->look_error);
	else if (!dbops_attempt(call_check, run, &error))
	{
		run->findings = list_truncate(run->findings, before);
		report_failed(run, error);
	}
	mark_muted(run, before);
}

static void
report_failed(DbopsCheckRun *run, const ErrorData *error)
{
	dbops_check_report_unknown(run, NULL,
							   psprintf("could not be judged: %s (SQLSTATE %s)", error->message,
										unpack_sql_state(error->sqlerrcode)),
							   error->hint);
}

/* What is turned off is neither good nor bad. */
static void
report_disabled(DbopsCheckRun *run)
{
	dbops_check_report(run, (DbopsFinding)
					   {
						   .severity = DBOPS_INFO,
						   .message = "is turned off",
						   .remedy = psprintf("SELECT dbops.set_check('%s', enabled => true);",
											  run->check->name)
					   });
}

/* Say of the findings of one check, from the given one on, which are muted: here, or in the home database. */
static void
mark_muted(DbopsCheckRun *run, int from)
{
	for (int i = from; i < list_length(run->findings); i++)
	{
		DbopsFinding *finding = list_nth(run->findings, i);

		finding->muted_until =
			dbops_override_muted_until(run->of_database, finding->check_name, finding->key);
		if (run->check->reach == DBOPS_REACH_CLUSTER)
			finding->muted_until = Max(finding->muted_until,
									   dbops_override_muted_until(run->of_cluster, finding->check_name, finding->key));
	}
}

static void
call_check(void *arg)
{
	DbopsCheckRun *run = arg;

	run->check->judge(run->check_facts, run);
}

static int
by_severity_and_name(const ListCell *a, const ListCell *b)
{
	const DbopsFinding *left = lfirst(a);
	const DbopsFinding *right = lfirst(b);

	if (left->severity != right->severity)
		return (left->severity > right->severity) ? -1 : 1;
	return strcmp(left->key, right->key);
}
