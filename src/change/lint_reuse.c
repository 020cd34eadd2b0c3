/*
 * lint_reuse.c
 *		Which indexes are built again when a column gets a type that is stored alike.
 *
 * The server compares what the index is with what its definition would make of the
 * new type (CheckIndexCompatible): operator classes, collations and exclusion
 * operators, with what is polymorphic among them. A class that is the default of
 * the old type is not part of the definition, so that the new type's default takes
 * its place: timestamp to timestamptz is written nowhere and orders alike, and has
 * its indexes built again all the same. Expressions and predicates it never compares.
 */
#include "change/lint.h"

#include "core/server.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "parser/parse_oper.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

/* A column that gets another type. */
typedef struct Retyped
{
	Lint	   *lint;
	const LintTable *table;
	Oid			type;
	Oid			collation;
	int			n;				/* indexes that are built again */
	int64		bytes;			/* of them */
	const char *first;			/* by name */
} Retyped;

static void look(HeapTuple row, TupleDesc desc, void *arg);
static bool is_gone(const Retyped *retyped, Oid index, const char *name);
static bool is_reused(const Retyped *retyped, Oid index, Oid method, AttrNumber column);
static bool are_keys_same(const Retyped *retyped, HeapTuple tuple, Oid method, AttrNumber column);
static Oid	class_then(Oid class, Oid method, Oid before, Oid then);
static bool are_operators_same(const Retyped *retyped, Oid index, AttrNumber column);
static void compare_operator(HeapTuple row, TupleDesc desc, void *arg);

/* Say which indexes of a table and all below it are built again, with their size; NULL: none. */
char *
dbops_lint_built_again(Lint *lint, const LintTable *table, const char *column, Oid type, Oid collation)
{
	Retyped		retyped = {.lint = lint,.table = table,.type = type,.collation = collation};
	DbopsParam	params[] = {dbops_param_oids(find_all_inheritors(table->relid, NoLock, NULL)), dbops_param_text(column)};

	dbops_query_each("SELECT i.indexrelid, a.attnum::integer, i.indexrelid::regclass::text, c.relam FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid AND c.relkind = 'i'"
					 " JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attname = $2 AND NOT a.attisdropped WHERE i.indrelid = ANY ($1)"
					 " AND (a.attnum = ANY (i.indkey) OR ((i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)"
					 "  AND EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid"
					 "   AND d.refclassid = 'pg_class'::regclass AND d.refobjid = i.indrelid AND d.refobjsubid = a.attnum)))"
					 " ORDER BY c.relname, c.oid", lengthof(params), params, look, &retyped);
	if (retyped.n == 0)
		return NULL;
	if (retyped.n == 1)
		return psprintf("index %s of %s is built again", retyped.first, dbops_figure_bytes(retyped.bytes));
	return psprintf("%d indexes of %s in all are built again, one is %s", retyped.n, dbops_figure_bytes(retyped.bytes), retyped.first);
}

static void
look(HeapTuple row, TupleDesc desc, void *arg)
{
	Retyped    *retyped = arg;
	Oid			index = dbops_row_oid(row, desc, 1);

	CHECK_FOR_INTERRUPTS();
	if (is_gone(retyped, index, get_rel_name(index)) || is_reused(retyped, index, dbops_row_oid(row, desc, 4), dbops_row_int4(row, desc, 2)))
		return;
	if (retyped->n++ == 0)
		retyped->first = dbops_row_text(row, desc, 3);
	retyped->bytes += dbops_relation_bytes(index);
}

/* Has the text dropped it, by itself or with its constraint? */
static bool
is_gone(const Retyped *retyped, Oid index, const char *name)
{
	return name == NULL || dbops_lint_is_dropped(retyped->lint, index) || dbops_texts_have(retyped->table->dropped, name);
}

/* Does the server take its storage over as it is? */
static bool
is_reused(const Retyped *retyped, Oid index, Oid method, AttrNumber column)
{
	HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
	bool		reused;

	if (!HeapTupleIsValid(tuple))
		return true;			/* it is gone by now */
	reused = ((Form_pg_index) GETSTRUCT(tuple))->indisvalid && heap_attisnull(tuple, Anum_pg_index_indexprs, NULL) &&
		heap_attisnull(tuple, Anum_pg_index_indpred, NULL) && are_keys_same(retyped, tuple, method, column) &&
		(!((Form_pg_index) GETSTRUCT(tuple))->indisexclusion || are_operators_same(retyped, index, column));
	ReleaseSysCache(tuple);
	return reused;
}

static bool
are_keys_same(const Retyped *retyped, HeapTuple tuple, Oid method, AttrNumber column)
{
	Form_pg_index form = (Form_pg_index) GETSTRUCT(tuple);
	bool		isnull;
	const oidvector *classes = (const oidvector *) DatumGetPointer(SysCacheGetAttr(INDEXRELID, tuple, Anum_pg_index_indclass, &isnull));
	const oidvector *collations = (const oidvector *) DatumGetPointer(SysCacheGetAttr(INDEXRELID, tuple, Anum_pg_index_indcollation, &isnull));

	for (int i = 0; i < form->indnkeyatts; i++)
	{
		AttrNumber	key = form->indkey.values[i];
		Oid			before;
		int32		typmod;
		Oid			collation;
		Oid			then;

		get_atttypetypmodcoll(form->indrelid, key, &before, &typmod, &collation);
		then = key == column ? retyped->type : before;
		if (class_then(classes->values[i], method, before, then) != classes->values[i] ||
			(IsPolymorphicType(get_opclass_input_type(classes->values[i])) && get_atttype(form->indexrelid, i + 1) != then))
			return false;
		/* One that was asked for by itself stays. */
		if (key == column && collations->values[i] == collation && retyped->collation != collation)
			return false;
	}
	return true;
}

/* One that is the old type's own gives way to the new type's. */
static Oid
class_then(Oid class, Oid method, Oid before, Oid then)
{
	return before != then && GetDefaultOpClass(before, method) == class ? GetDefaultOpClass(then, method) : class;
}

/* ---- exclusion constraints ---- */

/* Operators as an exclusion constraint has them, compared one by one. */
typedef struct Exclusion
{
	const Retyped *retyped;
	AttrNumber	column;
	bool		same;
} Exclusion;

static bool
are_operators_same(const Retyped *retyped, Oid index, AttrNumber column)
{
	Exclusion	exclusion = {.retyped = retyped,.column = column,.same = true};
	DbopsParam	param = dbops_param_oid(index);

	dbops_query_each("SELECT o.operator, i.indkey[o.place - 1]::integer, i.indrelid, a.atttypid FROM pg_index i JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.conexclop IS NOT NULL"
					 " CROSS JOIN LATERAL unnest(k.conexclop) WITH ORDINALITY o (operator, place)"
					 " JOIN pg_attribute a ON a.attrelid = i.indexrelid AND a.attnum = o.place WHERE i.indexrelid = $1", 1, &param, compare_operator, &exclusion);
	return exclusion.same;
}

/* The definition has its name, which is looked up for the new type. */
static void
compare_operator(HeapTuple row, TupleDesc desc, void *arg)
{
	Exclusion  *exclusion = arg;
	Oid			operator = dbops_row_oid(row, desc, 1);
	AttrNumber	key = dbops_row_int4(row, desc, 2);
	Oid			type = exclusion->retyped->type;
	HeapTuple	tuple;
	Form_pg_operator form;

	if (key != exclusion->column)
		type = get_atttype(dbops_row_oid(row, desc, 3), key);
	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(operator));
	if (!HeapTupleIsValid(tuple))
		return;
	form = (Form_pg_operator) GETSTRUCT(tuple);
	exclusion->same &= compatible_oper_opid(list_make2(makeString(get_namespace_name(form->oprnamespace)), makeString(pstrdup(NameStr(form->oprname)))),
											type, type, true) == operator &&
		!((IsPolymorphicType(form->oprleft) || IsPolymorphicType(form->oprright)) && dbops_row_oid(row, desc, 4) != type);
	ReleaseSysCache(tuple);
}
