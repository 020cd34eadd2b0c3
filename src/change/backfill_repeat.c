/*
 * backfill_repeat.c
 *		Judge whether a backfill may meet a row twice.
 *
 * In block order a row can be met again: another session moved it ahead of
 * the walk, a sweep returns to it, or the call is repeated after a crash. So
 * a change is made only if meeting a row again does no harm:
 *
 * (a) nothing in it is volatile and nothing in it reads what it assigns; then
 *     the same row yields the same values, and the engine leaves alone the
 *     rows that hold them already; or
 *
 * (b) the predicate has a condition that the assignment ends, so that a row
 *     that has been changed is not met again: either "column IS NULL", with
 *     something assigned to the column, or a condition that the server's own
 *     theorem prover refutes from what is assigned.
 *
 * Anything else (balance = balance * 1.1) takes a key by which each row is
 * visited once (backfill_keyset.c), or is refused. A BEFORE UPDATE trigger can break either rule, by changing what an expression reads or by making the
 * row match again; where that would do harm, the batch looks at its own rows.
 */
#include "change/change.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/pg_inherits.h"
#include "catalog/partition.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/prep.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/typcache.h"

/* What is being judged. */
typedef struct Judgement
{
	Query	   *query;			/* the analyzed UPDATE ONLY */
	Relation	rel;
	List	   *conditions;		/* the predicate's conjuncts, simplified */
	Bitmapset  *assigned;		/* attribute numbers, with generated columns that follow */
	Bitmapset  *pinned;			/* attribute numbers that are null in every row met */
	List	   *family;			/* oids of the tables above and below, and of itself */
	BackfillChange *change;		/* where the judgement goes */
} Judgement;

/* What a walk over an expression looks for. */
typedef struct ReadWalk
{
	const Judgement *judgement;
	int			level;			/* of subselect */
	Bitmapset  *harmless;		/* attribute numbers that may be read */
	bool		row;			/* reads anything of the row */
	bool		system;			/* reads where or when the row was stored */
	bool		assigned;		/* reads what is assigned */
	bool		elsewhere;		/* of other rows as well, in a subselect */
	bool		volatile_view;	/* a view or a sample has other rows each time */
	bool		locking;		/* locks rows */
} ReadWalk;

static const char *const ends_match_hint =
"Add to where_clause a condition that the assignment ends, such as \"column IS NULL\" of a column that is assigned a value.";

static void name_assigned(const Judgement *judgement);
static List *find_conditions(Query *query);
static Bitmapset *find_assigned(Query *query, Relation rel);
static Bitmapset *find_pinned(const Judgement *judgement);
static int	null_tested_column(Node *condition);
static List *find_family(Oid relid);
static void judge_common(const Judgement *judgement);
static int	find_null_column(const Judgement *judgement);
static bool assignment_ends_condition(const Judgement *judgement);
static bool refutes(const TargetEntry *target, const Judgement *judgement, Node *condition);
static Node *assigned_value_clause(const TargetEntry *target, Relation rel);
static Node *equality_clause(Var *column, Expr *value);
static bool reads_assigned(const Judgement *judgement, Node *node, Bitmapset *harmless);
static bool reads_row(const Judgement *judgement, Node *node);
static bool read_walker(Node *node, ReadWalk *walk);
static void note_tables(Query *query, ReadWalk *walk);
static void note_view(Oid relid, ReadWalk *walk);
static bool has_moment(Node *node, void *context);
static void note_columns(Bitmapset *columns, ReadWalk *walk);
static void note_column(AttrNumber attnum, ReadWalk *walk);
static void add_ancestor(HeapTuple row, TupleDesc desc, void *arg);
static void note_harm(const Judgement *judgement, const char *detail, const char *hint);
static void refuse(const char *detail, const char *hint);

/*
 * Judge a change: twice says why a second visit would do harm, which is an
 * error where rows are not visited by a key. What a single visit does not make
 * right either is an error here.
 *
 * compare_image: rows that hold the assigned values already must be left
 * alone. null_resno: rows for which this column's expression yields NULL still
 * match, and must be left alone unless images are compared; or 0.
 */
void
dbops_backfill_judge_repeat(Query *query, Relation rel, BackfillChange *change,
							bool *compare_image, int *null_resno)
{
	Judgement	judgement = {.query = query, .rel = rel, .change = change};
	Node	   *assignments = (Node *) query->targetList;
	int			null_column;

	judgement.conditions = find_conditions(query);
	judgement.assigned = find_assigned(query, rel);
	judgement.pinned = find_pinned(&judgement);
	judgement.family = find_family(RelationGetRelid(rel));
	*compare_image = false;
	*null_resno = 0;
	name_assigned(&judgement);
	judge_common(&judgement);
	if (change->twice != NULL)
		return;

	null_column = find_null_column(&judgement);
	if (null_column > 0 || assignment_ends_condition(&judgement))
	{
		TargetEntry *target = get_tle_by_resno(query->targetList, null_column);

		if (target != NULL && !contain_volatile_functions((Node *) target->expr))
			*null_resno = null_column;
		change->harmless_again = !reads_assigned(&judgement, assignments, judgement.pinned);

		/* A row that gets no value in that column still gets the others. */
		*compare_image = *null_resno > 0 && change->harmless_again &&
			list_length(query->targetList) > 1 &&
			!contain_volatile_functions(assignments);
		return;
	}

	if (contain_volatile_functions(assignments))
		note_harm(&judgement, "An expression is volatile: it would yield another value when the row is met again.",
				  reads_assigned(&judgement, assignments, judgement.pinned) ?
				  "Assign what is volatile in a backfill of its own, and the rest in another." :
				  ends_match_hint);
	else if (reads_assigned(&judgement, assignments, NULL))
		note_harm(&judgement, "An expression reads a column that is assigned: it would be applied twice when the row is met again.",
				  ends_match_hint);
	if (change->twice != NULL)
		return;
	*compare_image = true;
	change->harmless_again = !reads_row(&judgement, assignments);
}

static void
name_assigned(const Judgement *judgement)
{
	int			attnum = -1;

	while ((attnum = bms_next_member(judgement->assigned, attnum)) >= 0)
		judgement->change->assigned = lappend(judgement->change->assigned,
											  get_attname(RelationGetRelid(judgement->rel), attnum, false));
}

/* Split the predicate as the planner would. */
static List *
find_conditions(Query *query)
{
	Node	   *where = copyObject(query->jointree->quals);

	if (where == NULL)
		return NIL;
	where = eval_const_expressions(NULL, where);
	return make_ands_implicit(canonicalize_qual((Expr *) where, false));
}

/* Collect the assigned columns and the generated columns that read them. */
static Bitmapset *
find_assigned(Query *query, Relation rel)
{
	Bitmapset  *assigned = NULL;
	TupleDesc	desc = RelationGetDescr(rel);
	ListCell   *cell;

	foreach(cell, query->targetList)
		assigned = bms_add_member(assigned, lfirst_node(TargetEntry, cell)->resno);

	for (int i = 0; i < desc->natts; i++)
	{
		Bitmapset  *read = NULL;
		int			attnum = -1;

		if (TupleDescAttr(desc, i)->attgenerated == '\0')
			continue;
		pull_varattnos(build_column_default(rel, i + 1), 1, &read);
		while ((attnum = bms_next_member(read, attnum)) >= 0)
			if (bms_is_member(attnum + FirstLowInvalidHeapAttributeNumber, assigned))
				assigned = bms_add_member(assigned, i + 1);
	}
	return assigned;
}

/* Collect the columns that are null in every row that matches. */
static Bitmapset *
find_pinned(const Judgement *judgement)
{
	Bitmapset  *pinned = NULL;
	ListCell   *cell;

	foreach(cell, judgement->conditions)
	{
		int			column = null_tested_column(lfirst(cell));

		if (column > 0)
			pinned = bms_add_member(pinned, column);
	}
	return pinned;
}

/* The column of a condition "column IS NULL", or 0. */
static int
null_tested_column(Node *condition)
{
	NullTest   *test = (NullTest *) condition;
	Var		   *column;

	if (!IsA(condition, NullTest) || test->nulltesttype != IS_NULL ||
		test->argisrow || !IsA(test->arg, Var))
		return 0;
	column = (Var *) test->arg;
	if (column->varno != 1 || column->varlevelsup != 0 ||
		column->varattno <= 0 || type_is_rowtype(column->vartype))
		return 0;
	return column->varattno;
}

/* A subselect on any of these tables may read the rows that are changed. */
static List *
find_family(Oid relid)
{
	List	   *family = find_all_inheritors(relid, NoLock, NULL);
	DbopsParam	self = {.type = OIDOID, .value = ObjectIdGetDatum(relid)};

	dbops_query_each("WITH RECURSIVE above AS ("
					 "  SELECT inhparent FROM pg_inherits WHERE inhrelid = $1"
					 "  UNION SELECT i.inhparent FROM pg_inherits i JOIN above a ON i.inhrelid = a.inhparent)"
					 " SELECT inhparent FROM above",
					 1, &self, add_ancestor, &family);
	return family;
}

/* An ancestor's other children are read with it. */
static void
add_ancestor(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **family = arg;
	bool		isnull;
	Oid			ancestor = DatumGetObjectId(heap_getattr(row, 1, desc, &isnull));

	*family = list_concat_unique_oid(*family, find_all_inheritors(ancestor, NoLock, NULL));
}

/* What no rule allows: refuse what a single visit does not make right, and note the rest. */
static void
judge_common(const Judgement *judgement)
{
	ReadWalk	walk = {.judgement = judgement};

	read_walker((Node *) judgement->query->targetList, &walk);
	read_walker(judgement->query->jointree->quals, &walk);

	if (walk.elsewhere)
		refuse("A subselect reads what is assigned: each batch would see what the batches before it have changed.",
			   "Keep the result of the subselect in a table first, and read it from there.");
	if (walk.locking)
		refuse("A subselect locks rows.", "Remove FOR UPDATE or its like from the subselect.");
	if (contain_volatile_functions(judgement->query->jointree->quals))
		note_harm(judgement, "where_clause is volatile: it would match other rows each time.",
				  "Remove from where_clause what changes from one moment to the next.");
	else if (walk.system)
		note_harm(judgement, "A system column is read: its value changes whenever the row is changed.",
				  "Read a column of the table instead.");
	else if (walk.volatile_view)
		note_harm(judgement, "A subselect yields other rows each time it is run.",
				  "Keep the result of the subselect in a table first, and read it from there.");
}

/*
 * Find an assigned column that the predicate requires to be null, so that
 * whatever is assigned ends the match. Where the values are volatile a null
 * cannot be foreseen: the row is then met again, and it must not matter.
 */
static int
find_null_column(const Judgement *judgement)
{
	ListCell   *cell;

	foreach(cell, judgement->query->targetList)
	{
		TargetEntry *target = lfirst_node(TargetEntry, cell);

		if (!bms_is_member(target->resno, judgement->pinned))
			continue;
		if (!contain_volatile_functions((Node *) target->expr) ||
			!reads_assigned(judgement, (Node *) judgement->query->targetList,
							judgement->pinned))
			return target->resno;
	}
	return 0;
}

/* Does some assignment make some condition of the predicate untrue? */
static bool
assignment_ends_condition(const Judgement *judgement)
{
	ListCell   *target;
	ListCell   *condition;

	foreach(target, judgement->query->targetList)
		foreach(condition, judgement->conditions)
			if (refutes(lfirst_node(TargetEntry, target), judgement, lfirst(condition)))
				return true;
	return false;
}

/*
 * Prove that the condition is not true of the row after the assignment. The
 * proof speaks of the new row, so neither the value nor the condition may
 * read other columns that are assigned.
 */
static bool
refutes(const TargetEntry *target, const Judgement *judgement, Node *condition)
{
	Node	   *value = eval_const_expressions(NULL, copyObject((Node *) target->expr));
	Bitmapset  *self = bms_make_singleton(target->resno);
	TargetEntry simplified = *target;
	Node	   *clause;

	if (contain_volatile_functions(value) || contain_subplans(value) ||
		reads_assigned(judgement, value, NULL) ||
		reads_assigned(judgement, condition, self))
		return false;

	simplified.expr = (Expr *) value;
	clause = assigned_value_clause(&simplified, judgement->rel);
	if (clause == NULL || !predicate_refuted_by(list_make1(condition), list_make1(clause), true))
		return false;

	/* A value that may be null needs the proof for null as well. */
	if (IsA(value, Const))
		return true;
	simplified.expr = (Expr *) makeNullConst(exprType(value), exprTypmod(value),
											 exprCollation(value));
	clause = assigned_value_clause(&simplified, judgement->rel);
	return predicate_refuted_by(list_make1(condition), list_make1(clause), true);
}

/* State what holds of the column after the assignment, as the planner would. */
static Node *
assigned_value_clause(const TargetEntry *target, Relation rel)
{
	Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(rel), target->resno - 1);
	Var		   *column = makeVar(1, target->resno, attribute->atttypid,
								 attribute->atttypmod, attribute->attcollation, 0);
	Const	   *constant = IsA(target->expr, Const) ? (Const *) target->expr : NULL;

	if (constant != NULL && constant->constisnull)
	{
		NullTest   *test = makeNode(NullTest);

		test->arg = (Expr *) column;
		test->nulltesttype = IS_NULL;
		test->location = -1;
		return (Node *) test;
	}
	if (constant != NULL && attribute->atttypid == BOOLOID)
		return DatumGetBool(constant->constvalue) ? (Node *) column :
			(Node *) makeBoolExpr(NOT_EXPR, list_make1(column), -1);
	return equality_clause(column, target->expr);
}

/* column = value, by the type's own equality; NULL if it has none. */
static Node *
equality_clause(Var *column, Expr *value)
{
	TypeCacheEntry *type = lookup_type_cache(column->vartype, TYPECACHE_EQ_OPR);
	Oid			left;
	Oid			right;

	if (!OidIsValid(type->eq_opr))
		return NULL;
	op_input_types(type->eq_opr, &left, &right);
	if (IsPolymorphicType(left))
		left = right = column->vartype;

	return (Node *) make_opclause(type->eq_opr, BOOLOID, false,
								  (Expr *) applyRelabelType((Node *) column, left, -1,
															column->varcollid,
															COERCE_IMPLICIT_CAST, -1, false),
								  (Expr *) applyRelabelType((Node *) value, right, -1,
															column->varcollid,
															COERCE_IMPLICIT_CAST, -1, false),
								  InvalidOid, column->varcollid);
}

/* Does the expression read an assigned column, other than the harmless ones? */
static bool
reads_assigned(const Judgement *judgement, Node *node, Bitmapset *harmless)
{
	ReadWalk	walk = {.judgement = judgement, .harmless = harmless};

	read_walker(node, &walk);
	return walk.assigned;
}

static bool
reads_row(const Judgement *judgement, Node *node)
{
	ReadWalk	walk = {.judgement = judgement};

	read_walker(node, &walk);
	return walk.row;
}

/* Note which columns of the table's row an expression reads. */
static bool
read_walker(Node *node, ReadWalk *walk)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;

		if (var->varno == 1 && var->varlevelsup == walk->level)
			note_column(var->varattno, walk);
		return false;
	}
	if (IsA(node, Query))
	{
		check_stack_depth();
		note_tables((Query *) node, walk);
		walk->level++;
		(void) query_tree_walker((Query *) node, read_walker, walk, 0);
		walk->level--;
		return false;
	}
	return expression_tree_walker(node, read_walker, walk);
}

/* Note subselects that read the rows being changed, through views as well. */
static void
note_tables(Query *query, ReadWalk *walk)
{
	ListCell   *cell;

	if (query->rowMarks != NIL)
		walk->locking = true;
	foreach(cell, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);

		if (rte->rtekind != RTE_RELATION)
			continue;
		if (rte->tablesample != NULL)
			walk->volatile_view = true;
		if (rte->relid == RelationGetRelid(walk->judgement->rel))
			note_columns(rte_selected_columns(query, rte), walk);
		else if (list_member_oid(walk->judgement->family, rte->relid))
			walk->assigned = walk->elsewhere = true;
		else if (rte->relkind == RELKIND_VIEW && rte->inFromCl)
			note_view(rte->relid, walk);
	}
}

static void
note_view(Oid relid, ReadWalk *walk)
{
	Relation	view = table_open(relid, AccessShareLock);
	Node	   *query = (Node *) get_view_query(view);

	if (contain_volatile_functions(query) || has_moment(query, NULL))
		walk->volatile_view = true;
	(void) read_walker(query, walk);
	table_close(view, NoLock);
}

/* Does it ask for the time, or who asks? A view would be asked in every batch. */
static bool
has_moment(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (dbops_backfill_is_moment(node))
		return true;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, has_moment, context, 0);
	return expression_tree_walker(node, has_moment, context);
}

/* Note columns as they stand in permission bitmaps: offset, to hold system columns. */
static void
note_columns(Bitmapset *columns, ReadWalk *walk)
{
	int			member = -1;

	while ((member = bms_next_member(columns, member)) >= 0)
	{
		AttrNumber	attnum = member + FirstLowInvalidHeapAttributeNumber;

		if (attnum == InvalidAttrNumber || bms_is_member(attnum, walk->judgement->assigned))
			walk->assigned = walk->elsewhere = true;
	}
}

static void
note_column(AttrNumber attnum, ReadWalk *walk)
{
	walk->row = true;
	if (attnum == TableOidAttributeNumber)
		return;
	if (attnum < 0)
		walk->system = true;
	else if (attnum == InvalidAttrNumber)	/* the whole row */
		walk->assigned = true;
	else if (bms_is_member(attnum, walk->judgement->assigned) &&
			 !bms_is_member(attnum, walk->harmless))
		walk->assigned = true;
}

static void
note_harm(const Judgement *judgement, const char *detail, const char *hint)
{
	judgement->change->twice = detail;
	judgement->change->twice_hint = hint;
}

/* The error of a change that could be applied twice, also with what to do about it. */
void
dbops_backfill_refuse_twice(const char *detail, const char *hint)
{
	refuse(detail, hint);
}

static void
refuse(const char *detail, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("this backfill could change a row twice"),
			 errdetail("%s", detail),
			 errhint("%s", hint)));
}
