/*
 * lint_reference.c
 *		Rules of foreign keys that the server refuses, and of several at once.
 *
 * Each keeps others from writing to the table that it refers to, until the
 * transaction ends.
 */
#include "change/lint.h"

#include "catalog/pg_class.h"
#include "utils/guc.h"

#define FIRST_NOT_VALID_OF_PARTITIONED	180000

enum
{
	PARTITIONED,
	MANY
};

static const DbopsRule rules[] = {
	[PARTITIONED] = {
		.name = "constraint.foreign_key_partitioned", .severity = DBOPS_CRITICAL,
		.about = "foreign keys of partitioned tables that are added NOT VALID, which servers before 18 refuse",
		.source = "PostgreSQL: ALTER TABLE"
	},
	[MANY] = {
		.name = "transaction.many_foreign_keys", .severity = DBOPS_WARNING,
		.about = "transactions that add foreign keys to several tables, which nobody writes to meanwhile, and may meet others in another order",
		.source = "online_migrations: multiple_foreign_keys"
	}
};

const DbopsRuleSet dbops_lint_reference_rules = {.review = "lint", .rules = rules, .n_rules = lengthof(rules)};

static void judge_create(Lint *lint, const CreateStmt *statement);
static void judge_command(Lint *lint, LintTable *table, const AlterTableCmd *command);
static void judge_constraints(Lint *lint, const List *constraints);
static void judge_partitioned(Lint *lint, LintTable *table, const Constraint *constraint);
static void judge_many(Lint *lint, const Constraint *constraint);

/* Judge the foreign keys that a statement adds. */
void
dbops_lint_judge_references(Lint *lint, Node *statement)
{
	if (lint->referred_in != lint->transaction)
		lint->referred = NIL;
	lint->referred_in = lint->transaction;
	if (IsA(statement, CreateStmt))
		judge_create(lint, (CreateStmt *) statement);
	else
		dbops_lint_each_command(lint, statement, judge_command);
}

static void
judge_create(Lint *lint, const CreateStmt *statement)
{
	ListCell   *cell;

	foreach(cell, statement->tableElts)
	{
		if (IsA(lfirst(cell), Constraint))
			judge_many(lint, lfirst(cell));
		else if (IsA(lfirst(cell), ColumnDef))
			judge_constraints(lint, ((ColumnDef *) lfirst(cell))->constraints);
	}
}

static void
judge_command(Lint *lint, LintTable *table, const AlterTableCmd *command)
{
	if (command->subtype == AT_AddColumn)
		judge_constraints(lint, castNode(ColumnDef, command->def)->constraints);
	else if (command->subtype == AT_AddConstraint)
	{
		judge_partitioned(lint, table, castNode(Constraint, command->def));
		judge_many(lint, castNode(Constraint, command->def));
	}
}

static void
judge_constraints(Lint *lint, const List *constraints)
{
	ListCell   *cell;

	foreach(cell, constraints)
		judge_many(lint, lfirst_node(Constraint, cell));
}

static void
judge_partitioned(Lint *lint, LintTable *table, const Constraint *constraint)
{
	if (constraint->contype != CONSTR_FOREIGN || !constraint->skip_validation || table->kind != RELKIND_PARTITIONED_TABLE ||
		atoi(GetConfigOption("server_version_num", false, false)) >= FIRST_NOT_VALID_OF_PARTITIONED)
		return;
	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[PARTITIONED], .table = table, .part = constraint->conname,
		.why = "before PostgreSQL 18 a foreign key of a partitioned table cannot be NOT VALID: the statement fails",
		.safer = "Add it NOT VALID to each partition, and validate it there; then to the partitioned table, which takes over those of its partitions and reads no rows."
	});
}

static void
judge_many(Lint *lint, const Constraint *constraint)
{
	LintTable  *referenced = constraint->contype == CONSTR_FOREIGN ? dbops_lint_find(lint, constraint->pktable) : NULL;
	MemoryContext caller;

	if (referenced == NULL || referenced->is_new || list_member_ptr(lint->referred, referenced))
		return;
	if (lint->referred != NIL)
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[MANY], .weight = LINT_LOCK, .table = referenced,
			.why = psprintf("the transaction keeps others from writing to %s already: who has written to this table and goes on to that one, and the transaction, wait for each other",
							dbops_lint_label(linitial(lint->referred))),
			.safer = "Make a transaction of each; CALL dbops.add_foreign_key() does it by itself."
		});
	caller = MemoryContextSwitchTo(lint->memory);
	dbops_lint_keep_list(lint, &lint->referred);
	lint->referred = lappend(lint->referred, referenced);
	MemoryContextSwitchTo(caller);
}
