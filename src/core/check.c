/*
 * check.c
 *		The registry of health checks, and how they are run.
 *
 * An area registers a set of checks together with the function that looks at
 * what they judge. Looking and judging are separate, so that a report can show
 * the very figures that were judged. Each check runs on its own: one that
 * fails is unknown, for the reason that it gave, and the others go on.
 */
#include "core/core.h"

#include "utils/memutils.h"

#define MAX_CHECK_SETS	8

struct DbopsCheckRun
{
	const void *facts[MAX_CHECK_SETS];	/* what each set has seen */
	const DbopsCheck *check;	/* the one that is running */
	const void *check_facts;	/* its set's */
	List	   *findings;		/* of DbopsFinding * */
};

static const DbopsCheckSet *check_sets[MAX_CHECK_SETS];
static int	n_check_sets = 0;

static List *judge(DbopsCheckRun *run, bool all);
static void run_check(DbopsCheckRun *run);
static void call_check(void *arg);
static int	by_severity_and_name(const ListCell *a, const ListCell *b);

/* Add a set of checks; called when the library is loaded. */
void
dbops_check_register(const DbopsCheckSet *set)
{
	if (n_check_sets == MAX_CHECK_SETS)
		elog(ERROR, "too many sets of checks");
	check_sets[n_check_sets++] = set;
}

/* Look at everything that the checks judge. */
DbopsCheckRun *
dbops_check_look(void)
{
	DbopsCheckRun *run = palloc0(sizeof(DbopsCheckRun));

	for (int i = 0; i < n_check_sets; i++)
		run->facts[i] = check_sets[i]->look();
	return run;
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
		run->check_facts = run->facts[i];
		for (int j = 0; j < check_sets[i]->n_checks; j++)
		{
			run->check = &check_sets[i]->checks[j];
			if (all || run->check->before_change)
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

	finding.check_name = run->check->name;
	finding.key = (finding.object == NULL) ? finding.check_name :
		psprintf("%s:%s", finding.check_name, finding.object);
	*kept = finding;
	run->findings = lappend(run->findings, kept);
}

/* Run one check; if it fails, that is its finding. */
static void
run_check(DbopsCheckRun *run)
{
	int			before = list_length(run->findings);
	ErrorData  *error;

	if (dbops_attempt(call_check, run, &error))
		return;

	run->findings = list_truncate(run->findings, before);
	dbops_check_report(run, (DbopsFinding)
					   {
						   .severity = DBOPS_UNKNOWN,
						   .message = psprintf("could not be judged: %s (SQLSTATE %s)",
											   error->message,
											   unpack_sql_state(error->sqlerrcode)),
						   .remedy = error->hint
					   });
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
