/*
 * lint_row.c
 *		Rules of statements that change rows, all of them or nobody sees which.
 */
#include "change/lint.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "nodes/makefuncs.h"
#include "utils/lsyscache.h"

enum
{
	ALL_ROWS,
	TRUNCATED,
	WITH_SCHEMA,
	ASSIGNED_TWICE
};

static const DbopsRule rules[] = {
	[ALL_ROWS] = {
		.name = "rows.all_changed", .severity = DBOPS_CRITICAL,
		.about = "UPDATE, DELETE and MERGE of all rows, without a condition or with one that is always true: one transaction that holds them, and bloat of the whole table",
		.source = "strong_migrations: backfilling data"
	},
	[TRUNCATED] = {
		.name = "rows.truncated", .severity = DBOPS_CRITICAL,
		.about = "TRUNCATE: rows are lost, with CASCADE those of other tables too",
		.source = "squawk: ban-truncate-cascade"
	},
	[WITH_SCHEMA] = {
		.name = "rows.with_schema", .severity = DBOPS_WARNING,
		.about = "rows that are changed in the transaction that alters tables",
		.source = "strong_migrations: backfilling data"
	},
	[ASSIGNED_TWICE] = {
		.name = "rows.assigned_twice", .severity = DBOPS_CRITICAL,
		.about = "UPDATE that gives a column two values, which the server refuses",
		.source = "squawk: ban-duplicate-column-assignments"
	}
};

const DbopsRuleSet dbops_lint_row_rules = {.review = "lint", .rules = rules, .n_rules = lengthof(rules)};

static void judge_change(Lint *lint, Node *statement, Node *change);
static const RangeVar *target_of(Node *change);
static void report_all(Lint *lint, LintTable *table, Node *statement, Node *change);
static void judge_assignments(Lint *lint, const UpdateStmt *statement);
static char *safer_change(const Lint *lint, const LintTable *table, Node *statement, Node *change);
static void judge_truncate(Lint *lint, const TruncateStmt *statement);
static void judge_truncated_along(Lint *lint, const TruncateStmt *statement, const List *named);
static void report_truncated(Lint *lint, LintTable *table, const char *why);

/* Judge what a statement does to rows. */
void
dbops_lint_judge_rows(Lint *lint, Node *statement)
{
	ListCell   *cell;

	if (IsA(statement, TruncateStmt))
		judge_truncate(lint, (TruncateStmt *) statement);
	foreach(cell, dbops_lint_changes(lint, statement))
	{
		CHECK_FOR_INTERRUPTS();
		judge_change(lint, statement, lfirst(cell));
	}
}

/* ONLY is that of the change, wherever in the statement it stands. */
static void
judge_change(Lint *lint, Node *statement, Node *change)
{
	LintTable  *table = dbops_lint_find(lint, target_of(change));
	bool		only = lint->only;

	if (IsA(change, UpdateStmt))
		judge_assignments(lint, (UpdateStmt *) change);
	if (table == NULL)
		return;
	lint->only = dbops_lint_is_only(change);
	if (dbops_lint_changes_all(table, change))
		report_all(lint, table, statement, change);
	if (lint->locked != NIL)
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[WITH_SCHEMA], .weight = LINT_WORK, .table = table,
			.why = "an earlier statement of the transaction has altered a table, whose lock is held meanwhile",
			.safer = "Make a transaction, or a migration, of its own of it."
		});
	lint->only = only;
}

static const RangeVar *
target_of(Node *change)
{
	switch (nodeTag(change))
	{
		case T_UpdateStmt:
			return ((UpdateStmt *) change)->relation;
		case T_DeleteStmt:
			return ((DeleteStmt *) change)->relation;
		default:
			return castNode(MergeStmt, change)->relation;
	}
}

static void
report_all(Lint *lint, LintTable *table, Node *statement, Node *change)
{
	bool		deletes = IsA(change, DeleteStmt);
	const char *command = IsA(change, MergeStmt) ? "MERGE" : deletes ? "DELETE" : "UPDATE";
	const Node *where = IsA(change, MergeStmt) ? ((MergeStmt *) change)->joinCondition :
		deletes ? ((DeleteStmt *) change)->whereClause : ((UpdateStmt *) change)->whereClause;

	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[ALL_ROWS], .weight = LINT_WORK, .table = table,
		.why = psprintf("%s %s holds all rows until it commits, and writes them all anew",
						command, where == NULL ? "without WHERE" : "whose condition is the same for each row"),
		.safer = safer_change(lint, table, statement, change)
	});
}

/* A field or an element of a column may be given besides others of it. */
static void
judge_assignments(Lint *lint, const UpdateStmt *statement)
{
	List	   *names = NIL;
	ListCell   *cell;

	foreach(cell, statement->targetList)
	{
		const ResTarget *target = lfirst_node(ResTarget, cell);

		if (foreach_current_index(cell) >= MaxTupleAttributeNumber)
			break;				/* the server takes no more */
		if (target->indirection != NIL)
			continue;
		if (dbops_texts_have(names, target->name))
			dbops_lint_report(lint, (LintFinding) {
				.rule = &rules[ASSIGNED_TWICE], .part = dbops_quote_name(target->name),
				.why = "it is given two values: the statement fails",
				.safer = "Take one of them out."
			});
		names = lappend(names, target->name);
	}
}

/* What SET says is taken from a statement that has no other. */
static char *
safer_change(const Lint *lint, const LintTable *table, Node *statement, Node *change)
{
	const UpdateStmt *update = (const UpdateStmt *) change;
	const char *set = NULL;

	if (IsA(change, DeleteStmt))
		return psprintf("TRUNCATE %s; -- if all rows are to go", dbops_lint_label(table));
	if (change == statement && IsA(change, UpdateStmt) && update->fromClause == NIL && update->withClause == NULL)
		set = dbops_lint_between(lint, "set", update->whereClause != NULL ? "where" : "returning");
	return set == NULL ? pstrdup("Change them in batches that commit, by CALL dbops.batched_backfill().") :
		psprintf("%s, %s);", dbops_lint_call("batched_backfill", table), dbops_quote_text(set));
}

static void
judge_truncate(Lint *lint, const TruncateStmt *statement)
{
	List	   *named = NIL;
	ListCell   *cell;

	foreach(cell, statement->relations)
	{
		LintTable  *table = dbops_lint_find(lint, lfirst_node(RangeVar, cell));

		if (table == NULL)
			continue;
		named = lappend(named, table);
		report_truncated(lint, table, statement->behavior == DROP_CASCADE ?
						 "its rows are lost, and those of all tables that refer to it" : "its rows are lost");
	}
	if (statement->behavior == DROP_CASCADE)
		judge_truncated_along(lint, statement, named);
}

/* Tables that refer to them, and so on; of partitioned ones, the whole. */
static void
judge_truncated_along(Lint *lint, const TruncateStmt *statement, const List *named)
{
	ListCell   *cell;

	foreach(cell, dbops_migration_targets((Node *) statement))
	{
		Oid			relid = ((const MigrationTarget *) lfirst(cell))->relid;
		LintTable  *table = get_rel_relispartition(relid) ? NULL :
			dbops_lint_find(lint, makeRangeVar(get_namespace_name(get_rel_namespace(relid)), get_rel_name(relid), -1));

		if (table != NULL && !list_member_ptr(named, table))
			report_truncated(lint, table, "its rows are lost too, as it refers to a table that is truncated with CASCADE");
	}
}

static void
report_truncated(Lint *lint, LintTable *table, const char *why)
{
	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[TRUNCATED], .weight = LINT_LOSS, .table = table, .why = why,
		.safer = "See that a backup has them; or dbops.set_retention(), which archives what it removes."
	});
}
