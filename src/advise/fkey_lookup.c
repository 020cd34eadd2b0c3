/*
 * fkey_lookup.c
 *		What a referential-integrity trigger looks for.
 *
 * When a referenced row is deleted or its key changes, the server runs
 *
 *		SELECT 1 FROM [ONLY] referencing x WHERE $1 = x.a AND $2 = x.b ...
 *
 * (or a DELETE or UPDATE with the same WHERE) from a plan that is made once,
 * for any values. The clauses are built here as the parser would build them
 * out of the text that ri_triggers.c writes: the constraint's own operators,
 * the value on the left with the referenced column's type, casts wherever a
 * type is not the operator's, and the collation that the parser derives. What
 * an index must offer follows from them and from nothing else.
 */
#include "advise/advise.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

typedef struct ColumnType
{
	const char *name;
	Oid			type;
	int32		typmod;
	Oid			collation;
} ColumnType;

static AttrNumber column_in(Oid table, const DbopsFkey *fkey, int pair);
static bool build_column(const DbopsFkeyPair *pair, Oid table, Oid referenced,
						 DbopsFkeyLookup *lookup);
static bool read_column(Oid table, AttrNumber attnum, ColumnType *column);
static Expr *build_clause(const DbopsFkeyPair *pair, int param, AttrNumber attnum,
						  const ColumnType *referencing, const ColumnType *referenced);
static void take_clause(DbopsFkeyColumn *column, Expr *clause);
static Node *bare_operand(Node *operand);

/*
 * Build the lookup on one table, which is the referencing table or one of its
 * partitions. NULL if a column has vanished meanwhile.
 */
DbopsFkeyLookup *
dbops_fkey_lookup(const DbopsFkey *fkey, Oid table)
{
	DbopsFkeyLookup *lookup = palloc0(sizeof(DbopsFkeyLookup));

	lookup->columns = palloc0(sizeof(DbopsFkeyColumn) * fkey->npairs);
	for (int i = 0; i < fkey->npairs; i++)
	{
		DbopsFkeyPair pair = fkey->pairs[i];

		pair.column = column_in(table, fkey, i);
		if (!build_column(&pair, table, fkey->referenced, lookup))
			return NULL;
	}
	return lookup;
}

/* Find a column of the foreign key in a table; partitions number their own. */
static AttrNumber
column_in(Oid table, const DbopsFkey *fkey, int pair)
{
	AttrNumber	attnum = fkey->pairs[pair].column;
	char	   *name;

	if (table == fkey->table)
		return attnum;
	name = get_attname(fkey->table, attnum, true);
	return name == NULL ? InvalidAttrNumber : get_attnum(table, name);
}

/* Append a pair's column and clause to the lookup. */
static bool
build_column(const DbopsFkeyPair *pair, Oid table, Oid referenced_table,
			 DbopsFkeyLookup *lookup)
{
	DbopsFkeyColumn *column = &lookup->columns[lookup->ncolumns];
	ColumnType	referencing;
	ColumnType	referenced;
	Expr	   *clause;

	if (!read_column(table, pair->column, &referencing) ||
		!read_column(referenced_table, pair->referenced, &referenced))
		return false;

	clause = build_clause(pair, lookup->ncolumns + 1, pair->column, &referencing, &referenced);
	column->attnum = pair->column;
	column->name = referencing.name;
	column->collation = referencing.collation;
	take_clause(column, clause);
	lookup->clauses = lappend(lookup->clauses, clause);
	lookup->ncolumns++;
	return true;
}

static bool
read_column(Oid table, AttrNumber attnum, ColumnType *column)
{
	HeapTuple	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(table),
										Int16GetDatum(attnum));
	Form_pg_attribute form;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_attribute) GETSTRUCT(tuple);
	column->name = pstrdup(NameStr(form->attname));
	column->type = form->atttypid;
	column->typmod = form->atttypmod;
	column->collation = form->attcollation;
	ReleaseSysCache(tuple);
	return true;
}

/* Build "$param = column" as the parser and the planner's first pass would. */
static Expr *
build_clause(const DbopsFkeyPair *pair, int param, AttrNumber attnum,
			 const ColumnType *referencing, const ColumnType *referenced)
{
	Param	   *value = makeNode(Param);
	Node	   *left;
	Node	   *right;
	Oid			left_type;
	Oid			right_type;
	Expr	   *clause;

	value->paramkind = PARAM_EXTERN;
	value->paramid = param;
	value->paramtype = referenced->type;
	value->paramtypmod = -1;
	value->paramcollid = get_typcollation(referenced->type);
	value->location = -1;

	op_input_types(pair->equality, &left_type, &right_type);
	left = coerce_to_target_type(NULL, (Node *) value, referenced->type, left_type, -1,
								 COERCION_EXPLICIT, COERCE_EXPLICIT_CAST, -1);
	right = coerce_to_target_type(NULL,
								  (Node *) makeVar(1, attnum, referencing->type,
												   referencing->typmod, referencing->collation, 0),
								  referencing->type, right_type, -1,
								  COERCION_EXPLICIT, COERCE_EXPLICIT_CAST, -1);
	if (fkey_lookup_names_collation(referenced->collation, referencing->collation))
	{
		CollateExpr *collate = makeNode(CollateExpr);

		collate->arg = (Expr *) right;
		collate->collOid = referenced->collation;
		collate->location = -1;
		right = (Node *) collate;
	}

	clause = make_opclause(pair->equality, BOOLOID, false,
						   (Expr *) left, (Expr *) right, InvalidOid, InvalidOid);
	assign_expr_collations(NULL, (Node *) clause);
	return (Expr *) dbops_expression_simplify((Node *) clause);
}

/*
 * Take from a clause what an index is matched with. An equality that the
 * planner inlines into something else is of no use to any index.
 */
static void
take_clause(DbopsFkeyColumn *column, Expr *clause)
{
	OpExpr	   *equality = (OpExpr *) clause;

	if (!IsA(clause, OpExpr) || list_length(equality->args) != 2)
		return;
	column->operand = bare_operand(lsecond(equality->args));
	column->index_operator = get_commutator(equality->opno);
	column->lookup_collation = equality->inputcollid;
}

/* Strip what changes an operand's type or collation, but not its value. */
static Node *
bare_operand(Node *operand)
{
	for (;;)
	{
		if (IsA(operand, RelabelType))
			operand = (Node *) ((RelabelType *) operand)->arg;
		else if (IsA(operand, CollateExpr))
			operand = (Node *) ((CollateExpr *) operand)->arg;
		else
			return operand;
	}
}
