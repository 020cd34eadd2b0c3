/*
 * lint_repeat.c
 *		Rules of what could be done at once.
 *
 * Commands of one ALTER TABLE share its lock, and one reading or writing of the
 * rows. That is only said where it counts: of two that follow each other and both
 * work on rows, or both wait for a strong lock and do no more. One that validates
 * waits for a weak one, and one that drops a constraint may need it to come last.
 */
#include "change/lint.h"

#include "commands/tablecmds.h"

static const DbopsRule rules[] = {
	{
		.name = "table.altered_again", .severity = DBOPS_WARNING,
		.about = "ALTER TABLE of one table several times, where one would lock it, or work on its rows, once",
		.source = "eugene: W12"
	}
};

const DbopsRuleSet dbops_lint_repeat_rules = {.review = "lint", .rules = rules, .n_rules = lengthof(rules)};

static bool can_be_joined(const AlterTableStmt *statement);
static void judge_again(Lint *lint, LintTable *table, bool works);

/* Judge an ALTER TABLE after another. */
void
dbops_lint_judge_repetitions(Lint *lint, Node *statement)
{
	const AlterTableStmt *alter = (const AlterTableStmt *) statement;
	LintTable  *table = NULL;
	bool		works;

	if (IsA(statement, AlterTableStmt) && alter->objtype == OBJECT_TABLE && can_be_joined(alter))
		table = dbops_lint_find(lint, alter->relation);
	else if (IsA(statement, VariableSetStmt))
		return;
	works = table != NULL && lint->worked_on == table;
	if (table != NULL && table == lint->altered)
		judge_again(lint, table, works);
	lint->altered = table;
	lint->altered_by = lint->statement;
	lint->altered_in = lint->transaction;
	lint->altered_rows = works;
}

static bool
can_be_joined(const AlterTableStmt *statement)
{
	ListCell   *cell;

	foreach(cell, statement->cmds)
		if (lfirst_node(AlterTableCmd, cell)->subtype == AT_DropConstraint)
			return false;
	return AlterTableGetLockLevel(statement->cmds) >= ShareRowExclusiveLock;
}

static void
judge_again(Lint *lint, LintTable *table, bool works)
{
	const char *safer = psprintf("One ALTER TABLE of %s with the commands of both, divided by commas.", dbops_lint_label(table));

	if (works != lint->altered_rows)
		return;
	if (works)
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[0], .weight = LINT_WORK, .table = table,
			.why = psprintf("the one of line %d works on its rows as well: one statement would read, or write, them once", lint->altered_by->line),
			.safer = safer
		});
	else if (lint->altered_in != lint->transaction)
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[0], .weight = LINT_LOCK, .table = table,
			.why = psprintf("the one of line %d has waited for its lock already, in a transaction of its own: one statement would wait once", lint->altered_by->line),
			.safer = safer
		});
}
