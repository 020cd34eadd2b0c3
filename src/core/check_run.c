/*
 * check_run.c
 *		How health checks are run: look, then judge.
 *
 * Looking and judging are separate, so that a report can show the very figures
 * that were judged. Each check runs on its own: one that fails is unknown, for
 * the reason that it gave, and the others go on.
 *
 * A value is held against the thresholds in force: those that are shipped, but
 * for what a user has changed. What a check of the cluster is held against, the
 * home database says.
 */
#include "core/check.h"

#include "miscadmin.h"

typedef struct Look
{
	const DbopsCheckSet *set;
	const DbopsCheckScope *scope;
	const void **facts;
} Look;

/* Which checks a run judges. */
typedef bool (*Selection) (const DbopsCheckRun *run, const DbopsCheckSet *set, const DbopsCheck *check);

static bool is_looked_at(const DbopsCheckScope *scope, const DbopsCheckSet *set);
static void look(DbopsCheckRun *run, int set);
static void call_look(void *arg);
static List *judge(DbopsCheckRun *run, Selection is_selected);
static bool is_any(const DbopsCheckRun *run, const DbopsCheckSet *set, const DbopsCheck *check);
static bool is_before_change(const DbopsCheckRun *run, const DbopsCheckSet *set, const DbopsCheck *check);
static List *look_and_judge(DbopsCheckRun *run, DbopsCheckReach reach, Selection is_selected);
static bool is_of_reach(const DbopsCheckRun *run, const DbopsCheckSet *set, const DbopsCheck *check);
static bool is_left_out(const DbopsCheckRun *run, const DbopsCheckSet *set, const DbopsCheck *check);
static bool is_wanted(const DbopsCheckRun *run, const DbopsCheckSet *set, const DbopsCheck *check);
static bool has_selected(const DbopsCheckRun *run, const DbopsCheckSet *set, Selection is_selected);
static void judge_set(DbopsCheckRun *run, int set, Selection is_selected);
static bool can_read(const DbopsCheckScope *scope, DbopsCheckReach reach);
static bool is_apart(const DbopsCheckSet *set, const DbopsCheck *check);
static void run_check(DbopsCheckRun *run);
static const DbopsThreshold *threshold_in_force(const DbopsOverrides *overrides, const DbopsCheck *check);
static void call_check(void *arg);
static void adopt(DbopsCheckRun *run, const DbopsFinding *found);
static void mark_muted(DbopsCheckRun *run, int from);
static List *sort(DbopsCheckRun *run);
static int	by_severity_and_name(const ListCell *a, const ListCell *b);

/* ---- looking, for reports that show what is judged ---- */

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
	DbopsCheckRun *run = dbops_check_begin(scope);
	const DbopsCheckSet *set;

	for (int i = 0; (set = dbops_check_set_at(i)) != NULL; i++)
		if (is_looked_at(scope, set))
			look(run, i);
	return run;
}

/* Look at nothing yet. */
DbopsCheckRun *
dbops_check_begin(const DbopsCheckScope *scope)
{
	DbopsCheckRun *run = palloc0(sizeof(DbopsCheckRun));
	DbopsCheckScope home = {.database = dbops_home_database()};

	run->scope = *scope;
	run->of_database = dbops_override_read(scope);
	run->of_cluster = (!OidIsValid(home.database) || home.database == scope->database) ?
		run->of_database : dbops_override_read(&home);
	return run;
}

static bool
is_looked_at(const DbopsCheckScope *scope, const DbopsCheckSet *set)
{
	return can_read(scope, set->reach) &&
		!(scope->sparing && set->reach == DBOPS_REACH_CATALOG);
}

/* Have a set look; what it waits for in vain, as a lock, makes its checks unknown. */
static void
look(DbopsCheckRun *run, int set)
{
	Look		call = {.set = dbops_check_set_at(set), .scope = &run->scope, .facts = &run->facts[set]};

	(void) dbops_attempt(call_look, &call, &run->errors[set]);
}

static void
call_look(void *arg)
{
	const Look *call = arg;

	*call->facts = call->set->look(call->scope);
}

/* What a set's look function returned in this run. */
const void *
dbops_check_facts(const DbopsCheckRun *run, const DbopsCheckSet *set)
{
	const DbopsCheckSet *other;

	for (int i = 0; (other = dbops_check_set_at(i)) != NULL; i++)
		if (other == set)
			return run->facts[i];
	elog(ERROR, "set of checks is not registered");
	return NULL;				/* keep the compiler quiet */
}

/* ---- judging ---- */

/* Judge; returns a list of DbopsFinding *, the gravest first, then by name. */
List *
dbops_check_judge(DbopsCheckRun *run)
{
	return judge(run, is_any);
}

static bool
is_any(const DbopsCheckRun *run, const DbopsCheckSet *set, const DbopsCheck *check)
{
	return can_read(&run->scope, check->reach) && !(run->scope.sparing && is_apart(set, check));
}

/* The same of the checks that matter to who is about to change the schema. */
List *
dbops_check_judge_before_change(DbopsCheckRun *run)
{
	return judge(run, is_before_change);
}

static bool
is_before_change(const DbopsCheckRun *run, const DbopsCheckSet *set, const DbopsCheck *check)
{
	return check->before_change && is_any(run, set, check);
}

static List *
judge(DbopsCheckRun *run, Selection is_selected)
{
	const DbopsCheckSet *set;

	for (int i = 0; (set = dbops_check_set_at(i)) != NULL; i++)
		if (is_looked_at(&run->scope, set))
			judge_set(run, i, is_selected);
	return sort(run);
}

/*
 * Look at what the checks of one reach judge, and judge that only: the list is
 * as dbops_check_judge's.
 */
List *
dbops_check_judge_reach(const DbopsCheckScope *scope, DbopsCheckReach reach)
{
	return look_and_judge(dbops_check_begin(scope), reach, is_of_reach);
}

static bool
is_of_reach(const DbopsCheckRun *run, const DbopsCheckSet *set, const DbopsCheck *check)
{
	return check->reach == run->reach;
}

/* Judge those that are left out of a sparing run, which need catalogs. The list is as dbops_check_judge's. */
List *
dbops_check_judge_apart(const DbopsCheckScope *scope)
{
	return look_and_judge(dbops_check_begin(scope), DBOPS_REACH_CATALOG, is_left_out);
}

static bool
is_left_out(const DbopsCheckRun *run, const DbopsCheckSet *set, const DbopsCheck *check)
{
	return is_apart(set, check);
}

/* Judge one check only, having looked at what its set judges. */
List *
dbops_check_judge_one(const DbopsCheckScope *scope, const DbopsCheck *check)
{
	DbopsCheckRun *run = dbops_check_begin(scope);

	run->wanted = check;
	return look_and_judge(run, check->reach, is_wanted);
}

static bool
is_wanted(const DbopsCheckRun *run, const DbopsCheckSet *set, const DbopsCheck *check)
{
	return check == run->wanted;
}

static List *
look_and_judge(DbopsCheckRun *run, DbopsCheckReach reach, Selection is_selected)
{
	const DbopsCheckSet *set;

	run->reach = reach;
	for (int i = 0; (set = dbops_check_set_at(i)) != NULL; i++)
	{
		if (!can_read(&run->scope, reach) || !has_selected(run, set, is_selected))
			continue;
		look(run, i);
		judge_set(run, i, is_selected);
	}
	return sort(run);
}

static bool
has_selected(const DbopsCheckRun *run, const DbopsCheckSet *set, Selection is_selected)
{
	for (int i = 0; i < set->n_checks; i++)
		if (is_selected(run, set, &set->checks[i]))
			return true;
	return false;
}

static void
judge_set(DbopsCheckRun *run, int number, Selection is_selected)
{
	const DbopsCheckSet *set = dbops_check_set_at(number);

	run->check_facts = run->facts[number];
	run->look_error = run->errors[number];
	for (int i = 0; i < set->n_checks; i++)
	{
		run->check = &set->checks[i];
		if (is_selected(run, set, run->check))
			run_check(run);
	}
}

/* Can what a check needs be read where we are? */
static bool
can_read(const DbopsCheckScope *scope, DbopsCheckReach reach)
{
	return scope->connected || reach == DBOPS_REACH_CLUSTER ||
		(reach == DBOPS_REACH_DATABASE && OidIsValid(scope->database));
}

/* Whether a sparing run leaves a check out: it needs catalogs, and nobody reads those for the document anyway. */
static bool
is_apart(const DbopsCheckSet *set, const DbopsCheck *check)
{
	return check->reach == DBOPS_REACH_CATALOG && !set->shown;
}

/* The same of any check. */
bool
dbops_check_needs_catalogs(const DbopsCheck *check)
{
	return is_apart(dbops_check_set_of(check), check);
}

/* Run one check; if it fails, that is its finding. */
static void
run_check(DbopsCheckRun *run)
{
	const DbopsOverrides *overrides = dbops_check_overrides(run, run->check);
	const DbopsCheckSetting *setting = dbops_override_of(overrides, run->check);
	int			before = list_length(run->findings);
	ErrorData  *error;

	run->threshold = threshold_in_force(overrides, run->check);
	if (setting != NULL && !setting->enabled)
		dbops_check_report_disabled(run);
	else if (run->look_error != NULL)
		dbops_check_report_failed(run, run->look_error);
	else if (!dbops_attempt(call_check, run, &error))
	{
		run->findings = list_truncate(run->findings, before);
		dbops_check_report_failed(run, error);
	}
	mark_muted(run, before);
}

static const DbopsThreshold *
threshold_in_force(const DbopsOverrides *overrides, const DbopsCheck *check)
{
	DbopsThreshold *threshold = palloc(sizeof(DbopsThreshold));

	*threshold = dbops_override_threshold(overrides, check);
	return threshold;
}

static void
call_check(void *arg)
{
	DbopsCheckRun *run = arg;

	run->check->judge(run->check_facts, run);
}

/* ---- what was judged before ---- */

/*
 * Take what was found of checks that need catalogs into a sparing run, and
 * return all of its findings. What was turned off or muted since is so.
 */
List *
dbops_check_adopt(DbopsCheckRun *run, const List *findings)
{
	ListCell   *cell;

	foreach(cell, findings)
	{
		const DbopsFinding *found = lfirst(cell);

		run->check = dbops_check_find(found->check_name);
		if (run->check != NULL && dbops_check_needs_catalogs(run->check))
			adopt(run, found);
	}
	return sort(run);
}

static void
adopt(DbopsCheckRun *run, const DbopsFinding *found)
{
	const DbopsCheckSetting *setting = dbops_override_of(dbops_check_overrides(run, run->check), run->check);
	DbopsFinding *adopted;

	if (setting != NULL && !setting->enabled && found->severity != DBOPS_INFO)
		return;
	adopted = palloc(sizeof(DbopsFinding));
	*adopted = *found;
	adopted->check = run->check;
	run->findings = lappend(run->findings, adopted);
	mark_muted(run, list_length(run->findings) - 1);
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

/* What users have changed that counts for a check: in this database, or for one of the cluster at home. */
const DbopsOverrides *
dbops_check_overrides(const DbopsCheckRun *run, const DbopsCheck *check)
{
	return (check->reach == DBOPS_REACH_CLUSTER) ? run->of_cluster : run->of_database;
}

/* The gravest first, then by name. */
static List *
sort(DbopsCheckRun *run)
{
	list_sort(run->findings, by_severity_and_name);
	return run->findings;
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
