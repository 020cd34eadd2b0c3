/*
 * lint_choice.c
 *		Which rules a user wants.
 *
 * set_check() turns a rule on or off for good, as it does for reviews: what is a
 * matter of taste is off until somebody asks for it. It is looked up when a rule
 * has something to say for the first time, so that a text without findings costs
 * nothing.
 */
#include "change/lint.h"

static void read_choices(void *arg);
static void take_choice(HeapTuple row, TupleDesc desc, void *arg);

/* Is a rule to be heard? Where that cannot be read, it is as it is shipped. */
bool
dbops_lint_wants(Lint *lint, const DbopsRule *rule)
{
	ErrorData  *error;

	if (!lint->has_choices)
	{
		lint->has_choices = true;
		(void) dbops_attempt(read_choices, lint, &error);
	}
	return rule->off == dbops_texts_have(lint->choices, rule->name);
}

static void
read_choices(void *arg)
{
	(void) dbops_store_each("SELECT check_name, enabled FROM dbops.check_setting", 0, NULL, take_choice, arg);
}

static void
take_choice(HeapTuple row, TupleDesc desc, void *arg)
{
	Lint	   *lint = arg;
	const DbopsRule *rule = dbops_rule_find(dbops_row_text(row, desc, 1));
	MemoryContext caller;

	if (rule == NULL || dbops_row_bool(row, desc, 2) != rule->off)
		return;
	caller = MemoryContextSwitchTo(lint->memory);
	lint->choices = lappend(lint->choices, unconstify(char *, rule->name));
	MemoryContextSwitchTo(caller);
}
