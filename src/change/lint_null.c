/*
 * lint_null.c
 *		Rules of NOT NULL: SET NOT NULL reads the table, unless it is proved.
 *
 * The server asks its theorem prover whether valid constraints leave no NULL, and
 * so does this: a CHECK that only has the words is none, and one that says more
 * is enough.
 */
#include "change/lint.h"

#include "change/constraint.h"

#include "access/table.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_relation.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

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

/* A question to the prover. */
typedef struct Proof
{
	const LintTable *table;
	const char *column;
	bool		proven;
} Proof;

static void judge_command(Lint *lint, LintTable *table, const AlterTableCmd *command);
static bool drops_constraint(Node *statement);
static bool is_proven_by_text(const LintTable *table, const char *column);
static void prove(void *arg);
static Node *understand(const LintConstraint *constraint, Relation rel);

/* Judge what a statement does to NOT NULL. */
void
dbops_lint_judge_nulls(Lint *lint, Node *statement)
{
	lint->drops_constraint = drops_constraint(statement);
	dbops_lint_each_command(lint, statement, judge_command);
}

/* The server drops them first, wherever that stands in ALTER TABLE. */
static bool
drops_constraint(Node *statement)
{
	ListCell   *cell;

	if (IsA(statement, AlterTableStmt))
		foreach(cell, ((AlterTableStmt *) statement)->cmds)
			if (lfirst_node(AlterTableCmd, cell)->subtype == AT_DropConstraint)
				return true;
	return false;
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
		(!lint->drops_constraint && dbops_lint_is_proven(table, name)))
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

/* Do valid constraints of the catalog, or of the text, prove that the column has no NULL? */
bool
dbops_lint_is_proven(const LintTable *table, const char *column)
{
	LintColumn	known;

	if (!OidIsValid(table->relid) || get_attnum(table->relid, column) == InvalidAttrNumber)
		return false;
	if (dbops_lint_column(table, column, &known) && (known.is_new || known.is_renamed))
		return false;			/* the catalog speaks of another column */
	return is_proven_by_text(table, column) ||
		(table->dropped == NIL && dbops_online_proves_not_null(table->relid, column));
}

/* With partitions and children each has the constraint of its parent. */
static bool
is_proven_by_text(const LintTable *table, const char *column)
{
	Proof		proof = {.table = table,.column = column};
	ErrorData  *error;

	return table->constraints != NIL && dbops_attempt(prove, &proof, &error) && proof.proven;
}

static void
prove(void *arg)
{
	Proof	   *proof = arg;
	Relation	rel = table_open(proof->table->relid, AccessShareLock);
	AttrNumber	number = get_attnum(proof->table->relid, proof->column);
	Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(rel), number - 1);
	NullTest   *test = makeNode(NullTest);

	test->arg = (Expr *) makeVar(1, number, attribute->atttypid, attribute->atttypmod, attribute->attcollation, 0);
	test->nulltesttype = IS_NOT_NULL;
	test->location = -1;
	proof->proven = predicate_implied_by(list_make1(test), dbops_lint_conditions(proof->table, rel), true);
	table_close(rel, NoLock);
}

/* What valid CHECK constraints of the text say of each row, for the prover. */
List *
dbops_lint_conditions(const LintTable *table, Relation rel)
{
	List	   *conditions = NIL;
	ListCell   *cell;

	foreach(cell, table->constraints)
	{
		const LintConstraint *constraint = lfirst(cell);

		if (constraint->valid && constraint->definition->contype == CONSTR_CHECK && !constraint->definition->is_no_inherit)
			conditions = list_concat(conditions, make_ands_implicit((Expr *)
					canonicalize_qual((Expr *) understand(constraint, rel), true)));
	}
	return conditions;
}

/* Nothing is evaluated. */
static Node *
understand(const LintConstraint *constraint, Relation rel)
{
	ParseState *state = make_parsestate(NULL);
	Node	   *condition;

	addNSItemToQuery(state, addRangeTableEntryForRelation(state, rel, AccessShareLock, NULL, false, true), false, true, true);
	condition = transformExpr(state, copyObject(constraint->definition->raw_expr), EXPR_KIND_CHECK_CONSTRAINT);
	condition = coerce_to_boolean(state, condition, "CHECK");
	assign_expr_collations(state, condition);
	return condition;
}
