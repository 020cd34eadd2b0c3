/*
 * rule.c
 *		The registry of the rules of reviews.
 *
 * Sets are registered when the library is loaded and never change.
 */
#include "core/rule.h"

#define MAX_RULE_SETS	32

static const DbopsRuleSet *rule_sets[MAX_RULE_SETS];
static int	n_rule_sets = 0;

/* Add a set of rules; called when the library is loaded. */
void
dbops_rule_register(const DbopsRuleSet *set)
{
	if (n_rule_sets == MAX_RULE_SETS)
		elog(ERROR, "too many sets of rules");
	rule_sets[n_rule_sets++] = set;
}

/* The rule of a number, and the review that it is of; NULL: there is none. */
const DbopsRule *
dbops_rule_at(int number, const char **review)
{
	for (int i = 0; i < n_rule_sets; i++)
	{
		if (number < rule_sets[i]->n_rules)
		{
			if (review != NULL)
				*review = rule_sets[i]->review;
			return &rule_sets[i]->rules[number];
		}
		number -= rule_sets[i]->n_rules;
	}
	return NULL;
}

/* Find a rule by its name; NULL: there is none. */
const DbopsRule *
dbops_rule_find(const char *name)
{
	const DbopsRule *rule;

	for (int i = 0; (rule = dbops_rule_at(i, NULL)) != NULL; i++)
		if (strcmp(rule->name, name) == 0)
			return rule;
	return NULL;
}
