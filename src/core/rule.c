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

static bool is_same(const char *a, const char *b);

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

/* Is a name somebody else's for the rule? */
bool
dbops_rule_is_alias(const char *rule, const char *name)
{
	for (int i = 0; i < n_aliases; i++)
		if (strcmp(aliases[i].rule, rule) == 0 && is_same(aliases[i].name, name))
			return true;
	return false;
}

/* In whatever case, and however its words are put together: ban-drop-table is banDropTable. */
static bool
is_same(const char *a, const char *b)
{
	for (;; a++, b++)
	{
		while (*a == '-' || *a == '_')
			a++;
		while (*b == '-' || *b == '_')
			b++;
		if (pg_tolower((unsigned char) *a) != pg_tolower((unsigned char) *b))
			return false;
		if (*a == '\0')
			return true;
	}
}

/* What others call a rule, one after the other; NULL: there are no more. */
const char *
dbops_rule_alias_at(int number)
{
	return (number < n_aliases) ? aliases[number].name : NULL;
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
		if (is_same(aliases[i].name, name))
			rules = lappend(rules, unconstify(DbopsRule *, dbops_rule_find(aliases[i].rule)));
	return rules;
}
