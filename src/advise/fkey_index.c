/*
 * fkey_index.c
 *		The index that would serve a foreign key's lookup.
 *
 * Usually that is a plain btree on the columns. Where it is not, the design
 * says so: an operator class other than the type's default, the collation of
 * the lookup, the cast that the lookup applies, or gist for a key of ranges.
 * A design is judged like an index that exists, and is given up unless it
 * covers: what dbops advises cannot fail its own rule.
 */
#include "advise/advise.h"

#include "access/htup_details.h"
#include "catalog/pg_am.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_opclass.h"
#include "commands/defrem.h"
#include "lib/stringinfo.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

static bool design_for(Oid method, const DbopsFkeyLookup *lookup,
					   DbopsIndex *design, StringInfo keys);
static bool add_key(DbopsIndex *design, const DbopsFkeyColumn *column, StringInfo keys);
static void append_key_name(StringInfo keys, const DbopsFkeyColumn *column);
static void append_collation(StringInfo keys, Oid collation);
static void append_opclass(StringInfo keys, Oid opclass);
static bool is_designed(const DbopsIndex *design, const DbopsFkeyColumn *column);
static bool choose_opclass(Oid method, Oid type, Oid index_operator,
						   Oid *opfamily, Oid *opclass);
static Oid	default_opfamily(Oid method, Oid type);
static bool opclass_serves(Form_pg_opclass opclass, Oid type, Oid index_operator);

/*
 * Design an index for the lookup, and write what stands between CREATE
 * INDEX's parentheses, with USING before it if that is needed. False if no
 * index can serve.
 */
bool
dbops_fkey_index_design(const DbopsFkeyLookup *lookup, DbopsIndex *design,
						StringInfo keys)
{
	return design_for(BTREE_AM_OID, lookup, design, keys) ||
		design_for(GIST_AM_OID, lookup, design, keys);
}

static bool
design_for(Oid method, const DbopsFkeyLookup *lookup, DbopsIndex *design,
		   StringInfo keys)
{
	memset(design, 0, sizeof(DbopsIndex));
	design->method = method;
	design->valid = true;
	design->advised_for = "";
	resetStringInfo(keys);
	appendStringInfoString(keys, method == BTREE_AM_OID ? "(" : "USING gist (");

	for (int i = 0; i < lookup->ncolumns; i++)
		if (!is_designed(design, &lookup->columns[i]) &&
			!add_key(design, &lookup->columns[i], keys))
			return false;
	appendStringInfoChar(keys, ')');

	return dbops_fkey_served_by_advice(lookup, list_make1(design)) != NULL;
}

/* Add a key to the design; false if the method has no operator class for it. */
static bool
add_key(DbopsIndex *design, const DbopsFkeyColumn *column, StringInfo keys)
{
	int			key = design->nkeys;
	Oid			type = column->operand == NULL ? InvalidOid : exprType(column->operand);
	Oid			collation = OidIsValid(type) ? exprCollation(column->operand) : InvalidOid;
	Oid			opfamily;
	Oid			opclass;

	if (!choose_opclass(design->method, type, column->index_operator, &opfamily, &opclass) ||
		contain_mutable_functions(column->operand) ||
		(OidIsValid(collation) && !OidIsValid(column->lookup_collation)))
		return false;

	if (key > 0)
		appendStringInfoString(keys, ", ");
	append_key_name(keys, column);
	if (OidIsValid(collation) && collation != column->lookup_collation)
	{
		collation = column->lookup_collation;
		append_collation(keys, collation);
	}
	if (OidIsValid(opclass))
		append_opclass(keys, opclass);

	if (IsA(column->operand, Var))
		design->columns[key] = column->attnum;
	else
		design->expressions = lappend(design->expressions, column->operand);
	design->opfamilies[key] = opfamily;
	design->collations[key] = collation;
	design->nkeys++;
	design->ncolumns++;
	return true;
}

/* Write a key's column, or the cast of it that the lookup compares. */
static void
append_key_name(StringInfo keys, const DbopsFkeyColumn *column)
{
	if (IsA(column->operand, Var))
		appendStringInfoString(keys, dbops_quote_name(column->name));
	else
		appendStringInfo(keys, "((%s)::%s)", dbops_quote_name(column->name),
						 format_type_extended(exprType(column->operand), -1,
											  FORMAT_TYPE_TYPEMOD_GIVEN |
											  FORMAT_TYPE_FORCE_QUALIFY));
}

static void
append_collation(StringInfo keys, Oid collation)
{
	HeapTuple	tuple = SearchSysCache1(COLLOID, ObjectIdGetDatum(collation));
	Form_pg_collation form;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for collation %u", collation);
	form = (Form_pg_collation) GETSTRUCT(tuple);
	appendStringInfo(keys, " COLLATE %s",
					 dbops_quote_qualified(get_namespace_name(form->collnamespace),
										   NameStr(form->collname)));
	ReleaseSysCache(tuple);
}

static void
append_opclass(StringInfo keys, Oid opclass)
{
	HeapTuple	tuple = SearchSysCache1(CLAOID, ObjectIdGetDatum(opclass));
	Form_pg_opclass form;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator class %u", opclass);
	form = (Form_pg_opclass) GETSTRUCT(tuple);
	appendStringInfo(keys, " %s",
					 dbops_quote_qualified(get_namespace_name(form->opcnamespace),
										   NameStr(form->opcname)));
	ReleaseSysCache(tuple);
}

/* A foreign key may name a column twice; an index need not. */
static bool
is_designed(const DbopsIndex *design, const DbopsFkeyColumn *column)
{
	for (int key = 0; key < design->nkeys; key++)
		if (column->operand != NULL && IsA(column->operand, Var) &&
			design->columns[key] == column->attnum)
			return true;
	return false;
}

/*
 * Choose an operator class that accepts the type and whose family has the
 * operator. No class is named where the type's default one is right.
 */
static bool
choose_opclass(Oid method, Oid type, Oid index_operator, Oid *opfamily, Oid *opclass)
{
	CatCList   *list;

	*opclass = InvalidOid;
	*opfamily = default_opfamily(method, type);
	if (OidIsValid(*opfamily) &&
		dbops_fkey_operator_fits(index_operator, method, *opfamily))
		return true;

	list = SearchSysCacheList1(CLAAMNAMENSP, ObjectIdGetDatum(method));
	for (int i = 0; i < list->n_members; i++)
	{
		Form_pg_opclass form = (Form_pg_opclass) GETSTRUCT(&list->members[i]->tuple);

		if (opclass_serves(form, type, index_operator) &&
			(!OidIsValid(*opclass) || form->opcdefault))
		{
			*opclass = form->oid;
			*opfamily = form->opcfamily;
		}
	}
	ReleaseSysCacheList(list);
	return OidIsValid(*opclass);
}

/* Find the family of a type's default operator class; btree's is cached. */
static Oid
default_opfamily(Oid method, Oid type)
{
	Oid			opclass;

	if (!OidIsValid(type))
		return InvalidOid;
	if (method == BTREE_AM_OID)
		return lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY)->btree_opf;
	opclass = GetDefaultOpClass(type, method);
	return OidIsValid(opclass) ? get_opclass_family(opclass) : InvalidOid;
}

static bool
opclass_serves(Form_pg_opclass opclass, Oid type, Oid index_operator)
{
	return OidIsValid(type) && IsBinaryCoercible(type, opclass->opcintype) &&
		dbops_fkey_operator_fits(index_operator, opclass->opcmethod, opclass->opcfamily);
}
