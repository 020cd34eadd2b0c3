/*
 * index_redundancy.c
 *		Whether one index does all that another one of its table does.
 *
 * It does if every query that could use the one could use the other, in the
 * same order of rows and without reading the table more, and if it enforces
 * whatever the one enforces. Names of columns are not enough for that: the
 * operator classes, collations and directions of the keys count, their options,
 * the included columns and the predicate. What cannot be compared without
 * running a user's function is taken to differ.
 *
 * Only a btree is searched by its first keys as well as by all, and only a
 * btree is read backward.
 */
#include "advise/index_advice.h"

#include "access/htup_details.h"
#include "catalog/pg_am.h"
#include "catalog/pg_index.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#define REVERSED	(INDOPTION_DESC | INDOPTION_NULLS_FIRST)

static bool has_same_keys(const DbopsIndex *index, const DbopsIndex *other);
static bool has_same_key(const DbopsIndex *index, const DbopsIndex *other, int key);
static bool is_ordered(const DbopsIndex *index, const DbopsIndex *other, int16 difference);
static bool enforces_as_much(const DbopsIndex *index, const DbopsIndex *other);
static bool has_columns(const DbopsIndex *index, const DbopsIndex *other);
static bool has_same_predicate(const DbopsIndex *index, const DbopsIndex *other);
static bool has_same_options(const DbopsIndex *index, const DbopsIndex *other);
static bool has_same_class_options(Oid index, Oid other, AttrNumber column);
static Datum options_of(HeapTuple attribute);
static bool is_same_datum(Datum one, Datum other);

/* Say whether the other index does all that this one does, and how. */
IndexRedundancy
dbops_index_redundancy(const DbopsIndex *index, const DbopsIndex *other)
{
	bool		forward;

	if (index->method != other->method || index->exclusion || !index->valid || !other->valid ||
		index->nkeys > other->nkeys ||
		(index->nkeys < other->nkeys && (index->method != BTREE_AM_OID || index->unique)) ||
		!has_same_keys(index, other) || !has_columns(index, other) ||
		!enforces_as_much(index, other) || !has_same_predicate(index, other) ||
		!has_same_options(index, other))
		return INDEX_NEEDED;
	forward = is_ordered(index, other, 0);
	if (!forward && (index->method != BTREE_AM_OID || !is_ordered(index, other, REVERSED)))
		return INDEX_NEEDED;
	if (index->nkeys < other->nkeys)
		return INDEX_PREFIX;
	if (index->ncolumns < other->ncolumns)
		return INDEX_COVERED;
	if (!forward)
		return INDEX_REVERSED;
	return (other->unique && !index->unique) ? INDEX_BESIDE_UNIQUE : INDEX_SAME;
}

const char *
dbops_redundancy_name(IndexRedundancy redundancy)
{
	switch (redundancy)
	{
		case INDEX_NEEDED:
			return "needed";
		case INDEX_SAME:
			return "same";
		case INDEX_REVERSED:
			return "reversed";
		case INDEX_BESIDE_UNIQUE:
			return "beside unique";
		case INDEX_COVERED:
			return "covered";
		case INDEX_PREFIX:
			return "prefix";
	}
	elog(ERROR, "unrecognized redundancy %d", (int) redundancy);
	return NULL;				/* keep the compiler quiet */
}

/* Compare the keys of the index with as many of the other one. */
static bool
has_same_keys(const DbopsIndex *index, const DbopsIndex *other)
{
	for (int key = 0; key < index->nkeys; key++)
		if (!has_same_key(index, other, key))
			return false;
	return true;
}

static bool
has_same_key(const DbopsIndex *index, const DbopsIndex *other, int key)
{
	if (index->columns[key] != other->columns[key] ||
		index->opfamilies[key] != other->opfamilies[key] ||
		index->types[key] != other->types[key] ||
		index->collations[key] != other->collations[key])
		return false;
	if (index->columns[key] == 0 &&
		!equal(dbops_index_expression(index, key), dbops_index_expression(other, key)))
		return false;
	return has_same_class_options(index->oid, other->oid, key + 1);
}

/* Those of their operator classes. What is gone meanwhile is like no other. */
static bool
has_same_class_options(Oid index, Oid other, AttrNumber column)
{
	HeapTuple	one = SearchSysCache2(ATTNUM, ObjectIdGetDatum(index), Int16GetDatum(column));
	HeapTuple	two = SearchSysCache2(ATTNUM, ObjectIdGetDatum(other), Int16GetDatum(column));
	bool		same = HeapTupleIsValid(one) && HeapTupleIsValid(two) && is_same_datum(options_of(one), options_of(two));

	if (HeapTupleIsValid(one))
		ReleaseSysCache(one);
	if (HeapTupleIsValid(two))
		ReleaseSysCache(two);
	return same;
}

static Datum
options_of(HeapTuple attribute)
{
	bool		isnull;
	Datum		options = SysCacheGetAttr(ATTNUM, attribute, Anum_pg_attribute_attoptions, &isnull);

	return isnull ? (Datum) 0 : options;
}

static bool
is_same_datum(Datum one, Datum other)
{
	if (one == (Datum) 0 || other == (Datum) 0)
		return one == other;
	return datumIsEqual(one, other, false, -1);
}

/* Whether the directions of all keys differ by just that. */
static bool
is_ordered(const DbopsIndex *index, const DbopsIndex *other, int16 difference)
{
	for (int key = 0; key < index->nkeys; key++)
		if ((index->options[key] ^ other->options[key]) != difference)
			return false;
	return true;
}

static bool
enforces_as_much(const DbopsIndex *index, const DbopsIndex *other)
{
	if (!index->unique)
		return true;
	return other->unique &&
		(other->nulls_not_distinct || !index->nulls_not_distinct) &&
		(other->immediate || !index->immediate);
}

/* Whether what the index includes can be read from the other one, too. */
static bool
has_columns(const DbopsIndex *index, const DbopsIndex *other)
{
	int			from = (index->method == BTREE_AM_OID) ? 0 : other->nkeys;

	for (int column = index->nkeys; column < index->ncolumns; column++)
	{
		bool		found = false;

		for (int place = from; place < other->ncolumns && !found; place++)
			found = (other->columns[place] == index->columns[column]);
		if (!found)
			return false;
	}
	return true;
}

/* The same conditions in any order. */
static bool
has_same_predicate(const DbopsIndex *index, const DbopsIndex *other)
{
	return list_difference(index->predicate, other->predicate) == NIL &&
		list_difference(other->predicate, index->predicate) == NIL;
}

/* What is set for storage changes what others than a btree can do. */
static bool
has_same_options(const DbopsIndex *index, const DbopsIndex *other)
{
	HeapTuple	one;
	HeapTuple	two;
	bool		same = false;

	if (index->method == BTREE_AM_OID)
		return true;
	one = SearchSysCache1(RELOID, ObjectIdGetDatum(index->oid));
	two = SearchSysCache1(RELOID, ObjectIdGetDatum(other->oid));
	if (HeapTupleIsValid(one) && HeapTupleIsValid(two))
	{
		bool		none;
		bool		other_none;
		Datum		options = SysCacheGetAttr(RELOID, one, Anum_pg_class_reloptions, &none);
		Datum		other_options = SysCacheGetAttr(RELOID, two, Anum_pg_class_reloptions, &other_none);

		same = (none || other_none) ? none == other_none : datumIsEqual(options, other_options, false, -1);
	}
	if (HeapTupleIsValid(one))
		ReleaseSysCache(one);
	if (HeapTupleIsValid(two))
		ReleaseSysCache(two);
	return same;
}
