/*
 * lint_proof.c
 *		What constraints say of a table's rows at this place of the text.
 *
 * Those of the catalog count as long as the text has not dropped them, or a column
 * of theirs, and also when it has validated them; those of the text when they are
 * valid. A column may have another name by now, so columns are known by the name
 * that they have in the catalog, which is what was_name is. What a new column is
 * in proves nothing here.
 */
#include "change/lint.h"
#include "change/unrun.h"
#include "compat.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_relation.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

/* A question to the prover. */
typedef struct Proof
{
	const Lint *lint;
	const LintTable *table;
	const char *column;			/* as the catalog has it */
	bool		with_text;		/* by constraints of the text as well */
	bool		proven;
} Proof;

/* Whose columns an expression is looked through for. */
typedef struct Columns
{
	const LintTable *table;
	Relation	rel;
} Columns;

static void prove(void *arg);
static bool is_proven_of(const Proof *proof, Oid relid);
static List *conditions_of_catalog(const Lint *lint, const LintTable *table, Relation rel);
static List *not_nulls(const LintTable *table, Relation rel);
static bool is_not_null(const LintTable *table, TupleDesc desc, int i);
static Expr *not_null_test(const FormData_pg_attribute *attribute);
static bool counts(const Lint *lint, const LintTable *table, const ConstrCheck *check);
static List *conditions_of_text(const Lint *lint, const LintTable *table, Relation rel);
static Node *understand(const LintConstraint *constraint, Relation rel);
static bool has_lost_column(Node *node, void *arg);
static bool is_lost(const LintTable *table, const char *was_name);
static const LintColumn *column_that_was(const LintTable *table, const char *was_name);
static bool use_names_of_catalog(Node *node, void *arg);

/* Do valid constraints of the catalog, or of the text, prove that the column has no NULL? */
bool
dbops_lint_is_proven(const Lint *lint, const LintTable *table, const char *column)
{
	LintColumn	known;
	Proof		proof = {.lint = lint,.table = table};
	ErrorData  *error;

	if (!OidIsValid(table->relid) || !dbops_lint_column(table, column, &known) || known.was_name == NULL)
		return false;
	proof.column = known.was_name;
	prove(&proof);
	if (proof.proven || table->constraints == NIL)
		return proof.proven;
	proof.with_text = true;		/* which may not be understood */
	return dbops_attempt(prove, &proof, &error) && proof.proven;
}

/* With partitions and children each is asked: the catalog has constraints of theirs. */
static void
prove(void *arg)
{
	Proof	   *proof = arg;
	ListCell   *cell;

	proof->proven = true;
	foreach(cell, find_all_inheritors(proof->table->relid, NoLock, NULL))
	{
		CHECK_FOR_INTERRUPTS();
		if (get_rel_relkind(lfirst_oid(cell)) != RELKIND_PARTITIONED_TABLE && !is_proven_of(proof, lfirst_oid(cell)))
			proof->proven = false;
		if (!proof->proven)
			return;
	}
}

static bool
is_proven_of(const Proof *proof, Oid relid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	AttrNumber	number = get_attnum(relid, proof->column);
	List	   *known = conditions_of_catalog(proof->lint, proof->table, rel);
	bool		proven;

	if (proof->with_text)
		known = list_concat(known, conditions_of_text(proof->lint, proof->table, rel));
	proven = number > 0 && known != NIL &&
		predicate_implied_by(list_make1(not_null_test(TupleDescAttr(RelationGetDescr(rel), number - 1))), known, true);
	table_close(rel, NoLock);
	return proven;
}

/* What is known of each row of a table, for the prover; table: what the text has done to it, or NULL. */
List *
dbops_lint_conditions(const Lint *lint, const LintTable *table, Relation rel)
{
	List	   *conditions = list_concat(not_nulls(table, rel), conditions_of_catalog(lint, table, rel));

	return (table == NULL) ? conditions : list_concat(conditions, conditions_of_text(lint, table, rel));
}

/* ---- of the catalog ---- */

static List *
conditions_of_catalog(const Lint *lint, const LintTable *table, Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);
	Columns		columns = {.table = table,.rel = rel};
	List	   *conditions = NIL;

	for (int i = 0; desc->constr != NULL && i < desc->constr->num_check; i++)
	{
		Node	   *condition;

		if (!counts(lint, table, &desc->constr->check[i]))
			continue;
		condition = stringToNode(desc->constr->check[i].ccbin);
		if (!has_lost_column(condition, &columns))
			conditions = list_concat(conditions, dbops_lint_fold(condition));
	}
	return conditions;
}

/* As the server does it, but that nothing of a user's runs. */
List *
dbops_lint_fold(Node *condition)
{
	return make_ands_implicit((Expr *) canonicalize_qual((Expr *) dbops_fold_unrun(condition), true));
}

static List *
not_nulls(const LintTable *table, Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);
	List	   *conditions = NIL;

	for (int i = 0; i < desc->natts; i++)
		if (!TupleDescAttr(desc, i)->attisdropped && is_not_null(table, desc, i))
			conditions = lappend(conditions, not_null_test(TupleDescAttr(desc, i)));
	return conditions;
}

static bool
is_not_null(const LintTable *table, TupleDesc desc, int i)
{
	const char *name = NameStr(TupleDescAttr(desc, i)->attname);
	const LintColumn *column = (table == NULL) ? NULL : column_that_was(table, name);

	if (column != NULL)
		return column->not_null;
	return column_is_not_null(desc, i) && (table == NULL || !is_lost(table, name));
}

static Expr *
not_null_test(const FormData_pg_attribute *attribute)
{
	NullTest   *test = makeNode(NullTest);

	test->arg = (Expr *) makeVar(1, attribute->attnum, attribute->atttypid, attribute->atttypmod, attribute->attcollation, 0);
	test->nulltesttype = IS_NOT_NULL;
	test->location = -1;
	return (Expr *) test;
}

/* Is it there, and valid? The server drops those of a statement first, wherever that stands in it. */
static bool
counts(const Lint *lint, const LintTable *table, const ConstrCheck *check)
{
	if (table == NULL)
		return check->ccvalid;
	return !dbops_texts_have(table->dropped, check->ccname) && !dbops_texts_have(lint->dropping, check->ccname) &&
		(check->ccvalid || dbops_texts_have(table->validated, check->ccname));
}

/* ---- of the text ---- */

static List *
conditions_of_text(const Lint *lint, const LintTable *table, Relation rel)
{
	Columns		columns = {.table = table,.rel = rel};
	List	   *conditions = NIL;
	ListCell   *cell;

	foreach(cell, table->constraints)
	{
		const LintConstraint *constraint = lfirst(cell);
		Node	   *condition;

		if (!constraint->valid || constraint->is_of_new || constraint->definition->contype != CONSTR_CHECK ||
			constraint->definition->is_no_inherit || (constraint->name != NULL && dbops_texts_have(lint->dropping, constraint->name)))
			continue;
		condition = understand(constraint, rel);
		if (!has_lost_column(condition, &columns))
			conditions = list_concat(conditions, make_ands_implicit((Expr *) canonicalize_qual((Expr *) condition, true)));
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

/* ---- columns by their names in the catalog ---- */

/* With a column the constraints go that speak of it. */
static bool
has_lost_column(Node *node, void *arg)
{
	const Columns *columns = arg;
	const Var  *var = (const Var *) node;

	if (node == NULL || columns->table == NULL)
		return false;
	if (IsA(node, Var) && var->varattno > 0)
		return is_lost(columns->table, NameStr(TupleDescAttr(RelationGetDescr(columns->rel), var->varattno - 1)->attname));
	return expression_tree_walker(node, has_lost_column, arg);
}

/* Has the text dropped it? */
static bool
is_lost(const LintTable *table, const char *was_name)
{
	LintColumn	column;

	if (column_that_was(table, was_name) != NULL)
		return false;
	return !dbops_lint_column(table, was_name, &column) || column.was_name == NULL || strcmp(column.was_name, was_name) != 0;
}

/* The column of the catalog as the text has changed it; NULL: it has not, or dropped it. */
static const LintColumn *
column_that_was(const LintTable *table, const char *was_name)
{
	ListCell   *cell;

	foreach(cell, table->columns)
	{
		const LintColumn *column = lfirst(cell);

		if (!column->gone && column->was_name != NULL && strcmp(column->was_name, was_name) == 0)
			return column;
	}
	return NULL;
}

/* Have a constraint of the text speak of columns by their names in the catalog. */
void
dbops_lint_note_names(const LintTable *table, LintConstraint *constraint)
{
	if (constraint->definition->contype == CONSTR_CHECK && OidIsValid(table->relid))
		constraint->is_of_new = use_names_of_catalog(constraint->definition->raw_expr, unconstify(LintTable *, table));
}

/* True: there is a column of which it has none. */
static bool
use_names_of_catalog(Node *node, void *arg)
{
	ColumnRef  *reference = (ColumnRef *) node;
	LintColumn	column;

	if (node == NULL)
		return false;
	if (!IsA(node, ColumnRef))
		return raw_expression_tree_walker(node, use_names_of_catalog, arg);
	if (!IsA(llast(reference->fields), String) || !dbops_lint_column(arg, strVal(llast(reference->fields)), &column) || column.was_name == NULL)
		return true;
	reference->fields = list_make1(makeString(pstrdup(column.was_name)));
	return false;
}
