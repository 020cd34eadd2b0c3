/*
 * online_index_same.c
 *		Whether an index that is there is what is asked for.
 *
 * Definitions are compared, not texts: columns and operator classes by what they
 * are, expressions as the server has analyzed them. Nothing of them is evaluated,
 * so whose they are does not matter.
 */
#include "change/online_index.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

static bool has_same_form(const IndexDefinition *definition, Form_pg_index form);
static bool has_same_columns(const IndexDefinition *definition, HeapTuple tuple);
static bool has_same_keys(const IndexDefinition *definition, HeapTuple tuple);
static const oidvector *oids_of(HeapTuple tuple, AttrNumber attribute);
static bool has_same_expressions(const IndexDefinition *definition, HeapTuple tuple);
static bool has_same_predicate(const IndexDefinition *definition, HeapTuple tuple);
static Node *tree_of(HeapTuple tuple, AttrNumber attribute);
static bool has_same_column_settings(const IndexDefinition *definition, Oid index);
static bool has_same_storage(const IndexDefinition *definition, Oid index, bool all);
static bool are_same_settings(Datum one, Datum other);

/* storage: where it is kept and how counts too. Whether it is valid does not matter. */
bool
dbops_online_index_is_same(const IndexDefinition *definition, Oid index, bool storage)
{
	HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
	bool		same;

	if (!HeapTupleIsValid(tuple))
		return false;
	same = has_same_form(definition, (Form_pg_index) GETSTRUCT(tuple)) &&
		has_same_storage(definition, index, storage) &&
		has_same_columns(definition, tuple) &&
		has_same_keys(definition, tuple) &&
		has_same_expressions(definition, tuple) &&
		has_same_predicate(definition, tuple) &&
		has_same_column_settings(definition, index);
	ReleaseSysCache(tuple);
	return same;
}

static bool
has_same_form(const IndexDefinition *definition, Form_pg_index form)
{
	const IndexStmt *statement = definition->statement;

	return form->indrelid == definition->table && form->indisunique == statement->unique &&
		form->indnullsnotdistinct == statement->nulls_not_distinct &&
		!form->indisexclusion && form->indimmediate &&
		form->indnatts == definition->n_columns && form->indnkeyatts == definition->n_keys;
}

static bool
has_same_columns(const IndexDefinition *definition, HeapTuple tuple)
{
	Form_pg_index form = (Form_pg_index) GETSTRUCT(tuple);

	for (int i = 0; i < definition->n_columns; i++)
		if (form->indkey.values[i] != definition->columns[i].attribute)
			return false;
	return true;
}

static bool
has_same_keys(const IndexDefinition *definition, HeapTuple tuple)
{
	const oidvector *collations = oids_of(tuple, Anum_pg_index_indcollation);
	const oidvector *opclasses = oids_of(tuple, Anum_pg_index_indclass);
	bool		isnull;
	const int2vector *options = (const int2vector *)
		DatumGetPointer(SysCacheGetAttr(INDEXRELID, tuple, Anum_pg_index_indoption, &isnull));

	for (int i = 0; i < definition->n_keys; i++)
	{
		const IndexColumn *column = &definition->columns[i];

		if (collations->values[i] != column->collation || opclasses->values[i] != column->opclass ||
			options->values[i] != column->option)
			return false;
	}
	return true;
}

static const oidvector *
oids_of(HeapTuple tuple, AttrNumber attribute)
{
	bool		isnull;

	return (const oidvector *) DatumGetPointer(SysCacheGetAttr(INDEXRELID, tuple, attribute, &isnull));
}

static bool
has_same_expressions(const IndexDefinition *definition, HeapTuple tuple)
{
	List	   *expressions = NIL;

	for (int i = 0; i < definition->n_columns; i++)
		if (definition->columns[i].expression != NULL)
			expressions = lappend(expressions, definition->columns[i].expression);
	return equal(expressions, tree_of(tuple, Anum_pg_index_indexprs));
}

static bool
has_same_predicate(const IndexDefinition *definition, HeapTuple tuple)
{
	Expr	   *predicate = (Expr *) tree_of(tuple, Anum_pg_index_indpred);

	return equal(definition->predicate, make_ands_implicit(predicate));
}

static Node *
tree_of(HeapTuple tuple, AttrNumber attribute)
{
	bool		isnull;
	Datum		tree = SysCacheGetAttr(INDEXRELID, tuple, attribute, &isnull);

	return isnull ? NULL : stringToNode(TextDatumGetCString(tree));
}

static bool
has_same_column_settings(const IndexDefinition *definition, Oid index)
{
	for (int i = 0; i < definition->n_keys; i++)
		if (!are_same_settings(definition->columns[i].settings, get_attoptions(index, i + 1)))
			return false;
	return true;
}

/* The method, and, if asked for, the settings and the tablespace. */
static bool
has_same_storage(const IndexDefinition *definition, Oid index, bool all)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(index));
	bool		same = false;

	if (HeapTupleIsValid(tuple))
	{
		Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);
		Oid			place = OidIsValid(form->reltablespace) ? form->reltablespace : MyDatabaseTableSpace;
		bool		isnull;
		Datum		settings = SysCacheGetAttr(RELOID, tuple, Anum_pg_class_reloptions, &isnull);

		same = form->relam == definition->method &&
			(!all || are_same_settings(definition->settings, isnull ? (Datum) 0 : settings)) &&
			(!all || !OidIsValid(definition->tablespace) || place == definition->tablespace);
		ReleaseSysCache(tuple);
	}
	return same;
}

/* Arrays of texts, or 0. */
static bool
are_same_settings(Datum one, Datum other)
{
	if (one == (Datum) 0 || other == (Datum) 0)
		return one == other;
	return datumIsEqual(PointerGetDatum(PG_DETOAST_DATUM(one)), PointerGetDatum(PG_DETOAST_DATUM(other)), false, -1);
}

/* Is it built to its end? */
bool
dbops_online_index_is_whole(Oid index)
{
	HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
	bool		whole = false;

	if (HeapTupleIsValid(tuple))
	{
		Form_pg_index form = (Form_pg_index) GETSTRUCT(tuple);

		whole = form->indisvalid && form->indisready && form->indislive;
		ReleaseSysCache(tuple);
	}
	return whole;
}

/* List the indexes of the table that do the same, or would, the oldest first. */
List *
dbops_online_index_same_ones(const IndexDefinition *definition, bool whole)
{
	Relation	table = RelationIdGetRelation(definition->table);
	List	   *same = NIL;
	ListCell   *cell;

	foreach(cell, RelationGetIndexList(table))
		if ((!whole || dbops_online_index_is_whole(lfirst_oid(cell))) && dbops_online_index_is_same(definition, lfirst_oid(cell), false))
			same = lappend_oid(same, lfirst_oid(cell));
	RelationClose(table);
	list_sort(same, list_oid_cmp);
	return same;
}
