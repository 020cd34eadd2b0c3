/*
 * lint_null.c
 *		Rules of NOT NULL: SET NOT NULL reads the table, unless it is proved.
 *
 * The server asks its theorem prover whether valid constraints leave no NULL, and
 * so does this: a CHECK that only has the words is none, and one that says more
 * is enough.
 */
#include "change/lint.h"

enum
{
	SET_NOT_NULL,
	DROP_NOT_NULL
};

static const DbopsRule rules[] = {
	[SET_NOT_NULL] = {
		.name = "column.set_not_null", .severity = DBOPS_CRITICAL,
		.about = "SET NOT NULL that reads the table under ACCESS EXCLUSIVE, as no valid constraint proves it",
		.source = "PostgreSQL: ALTER TABLE"
	},
	[DROP_NOT_NULL] = {
		.name = "column.drop_not_null", .severity = DBOPS_INFO,
		.about = "DROP NOT NULL: readers may not expect NULL",
		.source = "squawk: ban-drop-not-null"
	}
};

const DbopsRuleSet dbops_lint_null_rules = {.review = "lint", .rules = rules, .n_rules = lengthof(rules)};

static void judge_command(Lint *lint, LintTable *table, const AlterTableCmd *command);
static void note_dropping(Lint *lint, LintTable *table, const AlterTableCmd *command);

/* Judge what a statement does to NOT NULL. */
void
dbops_lint_judge_nulls(Lint *lint, Node *statement)
{
	lint->dropping = NIL;
	dbops_lint_each_command(lint, statement, note_dropping);
	dbops_lint_each_command(lint, statement, judge_command);
}

/* The server drops them first, wherever that stands in ALTER TABLE. */
static void
note_dropping(Lint *lint, LintTable *table, const AlterTableCmd *command)
{
	if (command->subtype == AT_DropConstraint)
		lint->dropping = lappend(lint->dropping, unconstify(char *, dbops_lint_constraint_was(table, command->name)));
}

static void
judge_command(Lint *lint, LintTable *table, const AlterTableCmd *command)
{
	LintColumn	column;
	const char *name = dbops_lint_made_not_null(command);

	if (command->subtype == AT_DropNotNull)
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[DROP_NOT_NULL], .weight = LINT_BREAK, .table = table, .part = command->name,
			.why = "code that reads the column may not expect NULL"
		});
	if (name == NULL || (dbops_lint_column(table, name, &column) && column.not_null) ||
		dbops_lint_is_proven(lint, table, name))
		return;
	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[SET_NOT_NULL], .weight = LINT_WORK, .table = table, .part = name,
		.why = "all rows are read under ACCESS EXCLUSIVE, as no valid constraint proves that none has NULL",
		.safer = psprintf("%s, %s);", dbops_lint_call("set_not_null", table), dbops_quote_text(name))
	});
}

/* The column of which no row may have NULL behind the command, also as 18 writes that; NULL: none is made so. */
const char *
dbops_lint_made_not_null(const AlterTableCmd *command)
{
	const Constraint *constraint;

	if (command->subtype == AT_SetNotNull)
		return command->name;
	if (command->subtype != AT_AddConstraint)
		return NULL;
	constraint = castNode(Constraint, command->def);
	return (constraint->contype == CONSTR_NOTNULL && !constraint->skip_validation && constraint->keys != NIL) ?
		strVal(linitial(constraint->keys)) : NULL;
}
