/*
 * lint_habit.c
 *		Rules of habits: what makes a text one that can be run again.
 *
 * In a transaction it is undone as a whole, and dbops.apply_migration() goes on
 * where it has stopped, so that nobody needs IF EXISTS who uses either. Beside
 * CONCURRENTLY it does harm (index.if_not_exists).
 */
#include "change/lint.h"

static const DbopsRule rules[] = {
	{
		.name = "statement.not_repeatable", .severity = DBOPS_INFO, .off = true,
		.about = "CREATE and DROP outside of a transaction and without IF [NOT] EXISTS, which fail when the text is run again",
		.source = "squawk: prefer-robust-stmts"
	}
};

const DbopsRuleSet dbops_lint_habit_rules = {.review = "lint", .rules = rules, .n_rules = lengthof(rules)};

static const char *what_is_missing(Node *statement);
static const char *what_commands_miss(const AlterTableStmt *statement);

/* Judge whether a statement can be run again. */
void
dbops_lint_judge_habits(Lint *lint, Node *statement)
{
	const char *missing;

	if (lint->in_transaction || lint->in_block || !dbops_lint_wants(lint, &rules[0]) || (missing = what_is_missing(statement)) == NULL)
		return;
	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[0],
		.why = psprintf("without %s it fails when a text that was cut off is run again", missing),
		.safer = psprintf("Give it %s, or the text to dbops.apply_migration(), which goes on where it has stopped.", missing)
	});
}

/* NULL: nothing. */
static const char *
what_is_missing(Node *statement)
{
	bool		exists = true;

	switch (nodeTag(statement))
	{
		case T_CreateStmt:
			exists = ((CreateStmt *) statement)->if_not_exists;
			break;
		case T_CreateTableAsStmt:
			exists = ((CreateTableAsStmt *) statement)->if_not_exists;
			break;
		case T_CreateSeqStmt:
			exists = ((CreateSeqStmt *) statement)->if_not_exists;
			break;
		case T_CreateSchemaStmt:
			exists = ((CreateSchemaStmt *) statement)->if_not_exists;
			break;
		case T_CreateExtensionStmt:
			exists = ((CreateExtensionStmt *) statement)->if_not_exists;
			break;
		case T_IndexStmt:
			exists = ((IndexStmt *) statement)->if_not_exists || ((IndexStmt *) statement)->concurrent;
			break;
		case T_AlterTableStmt:
			return what_commands_miss((AlterTableStmt *) statement);
		case T_DropStmt:
			return (((DropStmt *) statement)->missing_ok) ? NULL : "IF EXISTS";
		default:
			break;
	}
	return exists ? NULL : "IF NOT EXISTS";
}

static const char *
what_commands_miss(const AlterTableStmt *statement)
{
	ListCell   *cell;

	foreach(cell, statement->cmds)
	{
		const AlterTableCmd *command = lfirst_node(AlterTableCmd, cell);

		if (command->missing_ok)
			continue;
		if (command->subtype == AT_AddColumn)
			return "IF NOT EXISTS";
		if (command->subtype == AT_DropColumn || command->subtype == AT_DropConstraint)
			return "IF EXISTS";
	}
	return NULL;
}
