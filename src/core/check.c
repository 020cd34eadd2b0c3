/*
 * check.c
 *		The registry of health checks.
 *
 * An area registers a set of checks together with the function that looks at
 * what they judge. They are numbered in the order of registration, which is the
 * same in all processes of a server, so that shared memory can refer to them.
 * By name they are found in an index that is sorted at the first search: each
 * finding of each tick asks.
 */
#include "core/check.h"

#include "utils/memutils.h"

static const DbopsCheckSet *check_sets[MAX_CHECK_SETS];
static int	n_check_sets = 0;

static const DbopsCheck **by_name = NULL;	/* sorted; NULL: not yet */
static int	n_checks = 0;

static void sort_by_name(void);
static int	compare_names(const void *a, const void *b);

/* Add a set of checks; called when the library is loaded. */
void
dbops_check_register(const DbopsCheckSet *set)
{
	if (n_check_sets == MAX_CHECK_SETS)
		elog(ERROR, "too many sets of checks");
	check_sets[n_check_sets++] = set;
}

/* The set of a number, from 0; NULL: there are no more. */
const DbopsCheckSet *
dbops_check_set_at(int number)
{
	return (number < n_check_sets) ? check_sets[number] : NULL;
}

/* The set that a check is of. */
const DbopsCheckSet *
dbops_check_set_of(const DbopsCheck *check)
{
	for (int i = 0; i < n_check_sets; i++)
		if (check >= check_sets[i]->checks && check < check_sets[i]->checks + check_sets[i]->n_checks)
			return check_sets[i];
	elog(ERROR, "check is not registered");
	return NULL;				/* keep the compiler quiet */
}

/* Find a check by its name; NULL: there is none. */
const DbopsCheck *
dbops_check_find(const char *name)
{
	DbopsCheck	wanted = {.name = name};
	const DbopsCheck *key = &wanted;
	const DbopsCheck **found;

	if (by_name == NULL)
		sort_by_name();
	found = bsearch(&key, by_name, n_checks, sizeof(*by_name), compare_names);
	return (found == NULL) ? NULL : *found;
}

static void
sort_by_name(void)
{
	const DbopsCheck **checks;

	while (dbops_check_at(n_checks) != NULL)
		n_checks++;
	checks = MemoryContextAlloc(TopMemoryContext, n_checks * sizeof(*checks));
	for (int i = 0; i < n_checks; i++)
		checks[i] = dbops_check_at(i);
	qsort(checks, n_checks, sizeof(*checks), compare_names);
	by_name = checks;
}

static int
compare_names(const void *a, const void *b)
{
	const DbopsCheck *const *left = a;
	const DbopsCheck *const *right = b;

	return strcmp((*left)->name, (*right)->name);
}

/* The number of a check, the same in all processes of a server. */
int
dbops_check_number(const DbopsCheck *check)
{
	const DbopsCheckSet *set = dbops_check_set_of(check);
	int			number = check - set->checks;

	for (int i = 0; check_sets[i] != set; i++)
		number += check_sets[i]->n_checks;
	return number;
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
