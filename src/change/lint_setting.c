/*
 * lint_setting.c
 *		Rules of settings that end what takes too long.
 *
 * A lock_timeout ends the wait for a lock (lint_transaction.c). What has its lock
 * and works on and on, and who has it and does nothing, are ended by others.
 */
#include "change/lint.h"

enum
{
	NO_STATEMENT_TIMEOUT,
	NO_IDLE_TIMEOUT
};

static const DbopsRule rules[] = {
	[NO_STATEMENT_TIMEOUT] = {
		.name = "transaction.no_statement_timeout", .severity = DBOPS_WARNING, .off = true,
		.about = "statements that others wait for while they work on rows, without a statement_timeout",
		.source = "squawk: require-statement-timeout"
	},
	[NO_IDLE_TIMEOUT] = {
		.name = "transaction.no_idle_timeout", .severity = DBOPS_WARNING,
		.about = "transactions of the text that hold strong locks without an idle_in_transaction_session_timeout, for a client that stalls",
		.source = "postgres-language-server: requireIdleInTransactionTimeout"
	}
};

const DbopsRuleSet dbops_lint_setting_rules = {.review = "lint", .rules = rules, .n_rules = lengthof(rules)};

/* Judge what nothing would end. */
void
dbops_lint_judge_settings(Lint *lint, Node *statement)
{
	if (lint->worked_on != NULL && !lint->told_statement_timeout && !lint->statement->alone &&
		dbops_lint_limit(lint, LINT_STATEMENT_TIMEOUT) <= 0 && dbops_lint_limit(lint, LINT_TRANSACTION_TIMEOUT) <= 0)
	{
		lint->told_statement_timeout = true;
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[NO_STATEMENT_TIMEOUT], .weight = LINT_LOCK, .table = lint->worked_on,
			.why = "it works on the rows of the table for as long as it takes, while others wait",
			.safer = "SET statement_timeout = '1min';"
		});
	}
	if (lint->in_block && lint->locked != NIL && !lint->told_idle_timeout &&
		dbops_lint_limit(lint, LINT_IDLE_TIMEOUT) <= 0 && dbops_lint_limit(lint, LINT_TRANSACTION_TIMEOUT) <= 0)
	{
		lint->told_idle_timeout = true;
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[NO_IDLE_TIMEOUT], .weight = LINT_LOCK, .table = linitial(lint->locked),
			.why = "the transaction holds ACCESS EXCLUSIVE on it: when its client stalls, nobody reads or writes the table until somebody ends the session",
			.safer = "SET idle_in_transaction_session_timeout = '10s';"
		});
	}
}
