/*
 * rule.c
 *		The registry of the rules of reviews.
 *
 * Sets are registered when the library is loaded and never change. So are the
 * names that others have for rules: whoever has one in their head may use it
 * wherever a rule is named.
 */
#include "core/rule.h"

#define MAX_RULE_SETS	64

static const DbopsRuleSet *rule_sets[MAX_RULE_SETS];
static int	n_rule_sets = 0;

static const DbopsRuleAlias *aliases = NULL;
static int	n_aliases = 0;

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

/* ---- names that others have ---- */

/* Add what others call rules, all of which must be there; called when the library is loaded. */
void
dbops_rule_register_aliases(const DbopsRuleAlias *list, int n)
{
	Assert(aliases == NULL);
	for (int i = 0; i < n; i++)
		if (dbops_rule_find(list[i].rule) == NULL)
			elog(ERROR, "\"%s\" is said to be another name of \"%s\", which is no rule", list[i].name, list[i].rule);
	aliases = list;
	n_aliases = n;
}

/* Is a name, in whatever case, somebody else's for the rule? */
bool
dbops_rule_is_alias(const char *rule, const char *name)
{
	for (int i = 0; i < n_aliases; i++)
		if (strcmp(aliases[i].rule, rule) == 0 && pg_strcasecmp(aliases[i].name, name) == 0)
			return true;
	return false;
}

/* The rules that a name may mean; NIL: it is no rule's. */
List *
dbops_rule_named(const char *name)
{
	const DbopsRule *rule = dbops_rule_find(name);
	List	   *rules = NIL;

	if (rule != NULL)
		return list_make1(unconstify(DbopsRule *, rule));
	for (int i = 0; i < n_aliases; i++)
		if (pg_strcasecmp(aliases[i].name, name) == 0)
			rules = lappend(rules, unconstify(DbopsRule *, dbops_rule_find(aliases[i].rule)));
	return rules;
}
