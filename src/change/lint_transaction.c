/*
 * lint_transaction.c
 *		Rules of what statements do to each other: locks that are held, or waited for.
 *
 * A lock is held to the end of its transaction, so that what follows makes it
 * long; and who waits for a strong one has everybody behind it wait.
 */
#include "change/lint.h"

#include "core/sql.h"

#include "catalog/pg_class.h"
#include "nodes/makefuncs.h"
#include "storage/lmgr.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

enum
{
	CANNOT_BE_IN_ONE,
	NESTED,
	NOT_COMMITTED,
	NO_LOCK_TIMEOUT,
	WORK_BEHIND_LOCK,
	MANY_TABLES
};

static const DbopsRule rules[] = {
	[CANNOT_BE_IN_ONE] = {
		.name = "transaction.cannot_be_in_one", .severity = DBOPS_CRITICAL,
		.about = "statements in a transaction that the server refuses there",
		.source = "PostgreSQL: its own list of such commands"
	},
	[NESTED] = {
		.name = "transaction.nested", .severity = DBOPS_WARNING,
		.about = "BEGIN within a transaction, and COMMIT of one that somebody else has begun",
		.source = "squawk: transaction-nesting"
	},
	[NOT_COMMITTED] = {
		.name = "transaction.not_committed", .severity = DBOPS_WARNING,
		.about = "BEGIN without a COMMIT: what follows it is undone",
		.source = "squawk: ban-uncommitted-transaction"
	},
	[NO_LOCK_TIMEOUT] = {
		.name = "transaction.no_lock_timeout", .severity = DBOPS_CRITICAL,
		.about = "strong locks that are waited for without a lock_timeout, so that everybody behind waits too",
		.source = "PostgreSQL: explicit locking; eugene: E9"
	},
	[WORK_BEHIND_LOCK] = {
		.name = "transaction.work_behind_lock", .severity = DBOPS_CRITICAL,
		.about = "statements that work on rows while the transaction holds ACCESS EXCLUSIVE on a table",
		.source = "eugene: E4"
	},
	[MANY_TABLES] = {
		.name = "transaction.many_tables", .severity = DBOPS_WARNING,
		.about = "transactions that hold ACCESS EXCLUSIVE on several tables, and may meet others in another order",
		.source = "PostgreSQL: deadlocks"
	}
};

const DbopsRuleSet dbops_lint_transaction_rules = {.review = "lint", .rules = rules, .n_rules = lengthof(rules)};

static void judge_bracket(Lint *lint, const TransactionStmt *statement);
static void judge_locks(Lint *lint, Node *statement);
static void judge_lock(Lint *lint, Node *statement, LintTable *table, LOCKMODE mode);
static void note_locked(Lint *lint, LintTable *table);
static bool is_index(const LintTable *table);
static void judge_work(Lint *lint, Node *statement);
static bool changes_rows(Node *statement);

/* Before a statement is judged: what earlier transactions of the text have locked is free again. */
void
dbops_lint_begin_statement(Lint *lint)
{
	lint->worked_on = NULL;
	if (lint->transaction == lint->locking)
		return;
	lint->locking = lint->transaction;
	lint->locked = NIL;
}

/* Judge a statement among those before it. */
void
dbops_lint_judge_transaction(Lint *lint, Node *statement)
{
	if (IsA(statement, TransactionStmt))
		judge_bracket(lint, (TransactionStmt *) statement);
	if (lint->statement->alone && (lint->in_block || lint->in_transaction))
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[CANNOT_BE_IN_ONE], .weight = LINT_ALWAYS,
			.why = "the server refuses it in a transaction",
			.safer = "Run it by itself; dbops.apply_migration() runs a text with such a statement in steps."
		});
	judge_work(lint, statement);
	judge_locks(lint, statement);
}

/* Say what is wrong when the text has ended. */
void
dbops_lint_judge_end(Lint *lint)
{
	if (lint->in_block)
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[NOT_COMMITTED], .weight = LINT_ALWAYS, .line = lint->began,
			.why = "no COMMIT follows: all of it is undone when the session ends",
			.safer = "COMMIT;"
		});
}

static void
judge_bracket(Lint *lint, const TransactionStmt *statement)
{
	bool		begins = statement->kind == TRANS_STMT_BEGIN || statement->kind == TRANS_STMT_START;
	bool		ends = statement->kind == TRANS_STMT_COMMIT || statement->kind == TRANS_STMT_ROLLBACK;

	if ((begins && (lint->in_block || lint->in_transaction)) || (ends && !lint->in_block))
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[NESTED], .weight = LINT_ALWAYS,
			.why = begins ? "a transaction has begun already: this one does nothing" :
			"no transaction has begun in this text: it ends that of who runs it, or none",
			.safer = "Take it out."
		});
	if (begins)
		lint->began = lint->statement->line;
}

/* ---- locks ---- */

/* Does the text, or the session, limit how long locks are waited for? */
bool
dbops_lint_has_lock_timeout(const Lint *lint)
{
	int			ms;

	return parse_int(lint->limits.lock_timeout, &ms, GUC_UNIT_MS, NULL) && ms > 0;
}

static void
judge_locks(Lint *lint, Node *statement)
{
	ListCell   *cell;

	foreach(cell, dbops_migration_targets(statement))
	{
		const MigrationTarget *target = lfirst(cell);
		LintTable  *table = dbops_lint_find_oid(lint, target->relid);

		if (table == NULL || table->is_new)
			continue;
		dbops_lint_judge_wait(lint, statement, table, target->mode);
		if (!target->along)
			judge_lock(lint, statement, table, target->mode);
	}
}

static void
judge_lock(Lint *lint, Node *statement, LintTable *table, LOCKMODE mode)
{
	if (mode >= ShareRowExclusiveLock && !lint->is_migration && !dbops_lint_has_lock_timeout(lint) && dbops_lint_is_worse(lint, table, rules[NO_LOCK_TIMEOUT].severity, &lint->told_timeout))
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[NO_LOCK_TIMEOUT], .weight = LINT_LOCK, .table = table,
			.why = psprintf("it waits for %s without a limit, and all who come to the table wait behind it",
							GetLockmodeName(DEFAULT_LOCKMETHOD, mode)),
			.safer = "SET lock_timeout = '200ms'; -- and try again when it is over, as dbops.apply_migration() does by itself"
		});
	if (mode < AccessExclusiveLock || is_index(table) || list_member_ptr(lint->locked, table))
		return;
	if (lint->locked != NIL)
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[MANY_TABLES], .weight = LINT_LOCK, .table = table,
			.why = psprintf("the transaction holds ACCESS EXCLUSIVE on %s already: who has this table and waits for that one, and the transaction, wait for each other",
							dbops_lint_label(linitial(lint->locked))),
			.safer = "Make a transaction of each."
		});
	note_locked(lint, table);
}

/* What is told once of a text is told again where a table makes it graver. */
bool
dbops_lint_is_worse(Lint *lint, LintTable *table, DbopsSeverity worst, DbopsSeverity *told)
{
	DbopsSeverity severity = worst;

	if (!dbops_lint_weigh(table, LINT_LOCK, lint->only, &severity) || severity <= *told)
		return false;
	*told = severity;
	return true;
}

/* Note that the transaction keeps others out of a relation since before the text. */
void
dbops_lint_hold(Lint *lint, Oid relid)
{
	LintTable  *table = dbops_lint_find_oid(lint, relid);

	if (table != NULL && !table->is_new &&
		(table->kind == RELKIND_RELATION || table->kind == RELKIND_PARTITIONED_TABLE || table->kind == RELKIND_MATVIEW))
		note_locked(lint, table);
}

static void
note_locked(Lint *lint, LintTable *table)
{
	MemoryContext caller = MemoryContextSwitchTo(lint->memory);

	dbops_lint_keep_list(lint, &lint->locked);
	lint->locked = lappend(lint->locked, table);
	MemoryContextSwitchTo(caller);
}

/* Who locks one of its table has that too. */
static bool
is_index(const LintTable *table)
{
	return table->kind == RELKIND_INDEX || table->kind == RELKIND_PARTITIONED_INDEX;
}

/* Whoever is locked out waits for it too; of its own table a statement keeps others out anyhow. */
static void
judge_work(Lint *lint, Node *statement)
{
	LintTable  *table = (lint->locked == NIL) ? NULL : linitial(lint->locked);

	if (table == NULL || (!changes_rows(statement) && (lint->worked_on == NULL || lint->worked_on == table)))
		return;
	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[WORK_BEHIND_LOCK], .weight = LINT_LOCK, .table = table,
		.why = "the transaction holds ACCESS EXCLUSIVE on it since an earlier statement, while this one works on rows",
		.safer = "Commit before it, or do it before the table is locked."
	});
}

static bool
changes_rows(Node *statement)
{
	const char *effect = dbops_migration_effect(statement, NULL);

	return effect != NULL && strcmp(effect, "rows") == 0;
}
