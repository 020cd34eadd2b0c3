/*
 * fkey_coverage.c
 *		Whether an index serves a foreign key's lookup.
 *
 * An index is usable as the planner would use it for a generic plan:
 *
 *	- it is valid, and its predicate follows from the lookup's clauses alone
 *	  (so "a IS NOT NULL" does, because equality is strict);
 *	- a key matches a clause if it is the compared column (or the same cast of
 *	  it), in the collation of the comparison, and if the operator family has
 *	  the commuted operator. INCLUDE's columns are not keys.
 *
 * Usable is not yet covered: what counts is that no more of the index and the
 * table is read than the rows that refer to the key.
 *
 *	btree, hash, spgist	covered if the first keys are all of the columns, in any
 *						order; partial if the first key is one of them
 *	gist				covered if the keys have all of the columns, the first
 *						key is one of them; partial if any is
 *	brin, gin			partial
 *	others				unknown: dbops cannot say how such an index searches
 *
 * Everything is decided from catalogs and nothing is locked.
 */
#include "advise/advise.h"

#include "access/stratnum.h"
#include "catalog/pg_am.h"
#include "nodes/bitmapset.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/lsyscache.h"

/* What a key must have in common with a clause, each level more. */
typedef enum Strictness
{
	SAME_COLUMN,
	SAME_OPERATOR,
	SAME_COLLATION				/* that is: everything */
} Strictness;

static bool is_plain_key(const DbopsIndex *index, int nkeys, const DbopsFkeyPair *pair);
static DbopsVerdict judge_index(const DbopsFkeyLookup *lookup, DbopsIndex *index);
static DbopsCoverage coverage_by_keys(const DbopsFkeyLookup *lookup,
									  const DbopsIndex *index, Strictness strictness);
static Bitmapset *clauses_of_key(const DbopsFkeyLookup *lookup, const DbopsIndex *index,
								 int key, Strictness strictness);
static bool key_is_operand(const DbopsIndex *index, int key, Node *operand);
static DbopsObstacle why_keys_differ(const DbopsFkeyLookup *lookup, const DbopsIndex *index);
static bool has_column(const DbopsFkeyLookup *lookup, const DbopsIndex *index,
					   int from, int to, bool cast);
static bool is_better(const DbopsVerdict *a, const DbopsVerdict *b);

/*
 * Say whether an index covers so plainly that the columns need not be looked
 * at: a btree or hash whose first keys are the foreign key's columns, without
 * predicate and collation, for the very type that the operators take. Such a
 * column needs no cast but a relabeling. A false answer says nothing.
 */
bool
dbops_fkey_plainly_covered(const DbopsFkey *fkey, List *indexes)
{
	ListCell   *cell;

	foreach(cell, indexes)
	{
		const DbopsIndex *index = lfirst(cell);
		int			matched = 0;

		if (!OidIsValid(index->oid) || !index->valid || index->predicate != NIL ||
			(index->method != BTREE_AM_OID && index->method != HASH_AM_OID) ||
			index->nkeys < fkey->npairs)
			continue;
		for (int i = 0; i < fkey->npairs; i++)
			matched += is_plain_key(index, fkey->npairs, &fkey->pairs[i]);
		if (matched == fkey->npairs)
			return true;
	}
	return false;
}

/* Look for a pair's column among the first keys of an index. */
static bool
is_plain_key(const DbopsIndex *index, int nkeys, const DbopsFkeyPair *pair)
{
	Oid			left_type;
	Oid			right_type;

	for (int key = 0; key < nkeys; key++)
	{
		if (index->columns[key] != pair->column)
			continue;
		op_input_types(pair->equality, &left_type, &right_type);
		return index->types[key] == right_type &&
			!OidIsValid(index->collations[key]) &&
			dbops_fkey_operator_fits(get_commutator(pair->equality), index->method,
									 index->opfamilies[key]);
	}
	return false;
}

/* Judge by the best of a table's indexes. */
DbopsVerdict
dbops_fkey_judge(const DbopsFkeyLookup *lookup, List *indexes)
{
	DbopsVerdict best = {DBOPS_UNCOVERED, DBOPS_NO_INDEX, NULL, NULL};
	Bitmapset  *together = NULL;
	ListCell   *cell;

	foreach(cell, indexes)
	{
		DbopsIndex *index = lfirst(cell);
		DbopsIndex *repairable = best.repairable;
		DbopsVerdict verdict;

		if (!OidIsValid(index->oid))
			continue;			/* does not exist yet */
		verdict = judge_index(lookup, index);
		if (verdict.obstacle == DBOPS_SOME_COLUMNS)
			together = bms_add_members(together,
									   clauses_of_key(lookup, index, 0, SAME_COLLATION));
		if (is_better(&verdict, &best))
			best = verdict;
		if (best.repairable == NULL)
			best.repairable = (verdict.repairable != NULL) ? verdict.repairable : repairable;
	}
	if (best.obstacle == DBOPS_SOME_COLUMNS && bms_num_members(together) == lookup->ncolumns)
		best.obstacle = DBOPS_SEVERAL_INDEXES;
	return best;
}

/* Find the advised index, if any, that would serve this lookup as well. */
const DbopsIndex *
dbops_fkey_served_by_advice(const DbopsFkeyLookup *lookup, List *indexes)
{
	ListCell   *cell;

	foreach(cell, indexes)
	{
		DbopsIndex	index = *(DbopsIndex *) lfirst(cell);

		index.valid = true;
		if (index.advised_for != NULL &&
			judge_index(lookup, &index).coverage == DBOPS_COVERED)
			return lfirst(cell);
	}
	return NULL;
}

/* Judge by one index, as if there were no other. */
static DbopsVerdict
judge_index(const DbopsFkeyLookup *lookup, DbopsIndex *index)
{
	DbopsVerdict verdict = {DBOPS_UNCOVERED, DBOPS_NO_INDEX, index, NULL};
	DbopsCoverage by_keys = coverage_by_keys(lookup, index, SAME_COLLATION);

	if (by_keys == DBOPS_UNCOVERED)
		verdict.obstacle = why_keys_differ(lookup, index);
	else if (!predicate_implied_by(index->predicate, lookup->clauses, false))
		verdict.obstacle = DBOPS_UNPROVEN_PREDICATE;
	else if (!index->valid)
	{
		verdict.obstacle = DBOPS_INVALID;
		if (by_keys == DBOPS_COVERED && !index->unique && !index->exclusion)
			verdict.repairable = index;
	}
	else
		verdict.coverage = by_keys;

	if (verdict.coverage == DBOPS_COVERAGE_UNKNOWN)
		verdict.obstacle = DBOPS_FOREIGN_METHOD;
	else if (verdict.coverage == DBOPS_PARTIAL)
		verdict.obstacle = (index->method == BRIN_AM_OID || index->method == GIN_AM_OID) ?
			DBOPS_LOSSY : DBOPS_SOME_COLUMNS;
	return verdict;
}

/* Say how far an index's keys serve the lookup, its predicate apart. */
static DbopsCoverage
coverage_by_keys(const DbopsFkeyLookup *lookup, const DbopsIndex *index,
				 Strictness strictness)
{
	Bitmapset  *first = clauses_of_key(lookup, index, 0, strictness);
	Bitmapset  *run = bms_copy(first);	/* clauses of keys up to the first without any */
	Bitmapset  *all = bms_copy(first);
	bool		unbroken = (first != NULL);

	for (int key = 1; key < index->nkeys; key++)
	{
		Bitmapset  *clauses = clauses_of_key(lookup, index, key, strictness);

		unbroken = unbroken && clauses != NULL;
		if (unbroken)
			run = bms_add_members(run, clauses);
		all = bms_add_members(all, clauses);
	}

	switch (index->method)
	{
		case BTREE_AM_OID:
		case HASH_AM_OID:
		case SPGIST_AM_OID:
			if (bms_num_members(run) == lookup->ncolumns)
				return DBOPS_COVERED;
			return first != NULL ? DBOPS_PARTIAL : DBOPS_UNCOVERED;
		case GIST_AM_OID:
			if (first != NULL && bms_num_members(all) == lookup->ncolumns)
				return DBOPS_COVERED;
			return all != NULL ? DBOPS_PARTIAL : DBOPS_UNCOVERED;
		case BRIN_AM_OID:
		case GIN_AM_OID:
			return all != NULL ? DBOPS_PARTIAL : DBOPS_UNCOVERED;
		default:
			return all != NULL ? DBOPS_COVERAGE_UNKNOWN : DBOPS_UNCOVERED;
	}
}

/* Collect the clauses that a key of the index can search for. */
static Bitmapset *
clauses_of_key(const DbopsFkeyLookup *lookup, const DbopsIndex *index, int key,
			   Strictness strictness)
{
	Bitmapset  *clauses = NULL;

	for (int i = 0; i < lookup->ncolumns; i++)
	{
		const DbopsFkeyColumn *column = &lookup->columns[i];

		if (key_is_operand(index, key, column->operand) &&
			(strictness < SAME_OPERATOR ||
			 dbops_fkey_operator_fits(column->index_operator, index->method,
									  index->opfamilies[key])) &&
			(strictness < SAME_COLLATION ||
			 !OidIsValid(index->collations[key]) ||
			 index->collations[key] == column->lookup_collation))
			clauses = bms_add_member(clauses, i);
	}
	return clauses;
}

static bool
key_is_operand(const DbopsIndex *index, int key, Node *operand)
{
	Node	   *expression;

	if (operand == NULL)
		return false;
	if (index->columns[key] != 0)
		return IsA(operand, Var) &&
			((Var *) operand)->varattno == index->columns[key];

	expression = dbops_index_expression(index, key);
	if (IsA(expression, RelabelType))
		expression = (Node *) ((RelabelType *) expression)->arg;
	return equal(expression, operand);
}

/* Say whether an index of this method and family searches with the operator. */
bool
dbops_fkey_operator_fits(Oid index_operator, Oid method, Oid opfamily)
{
	int			strategy = OidIsValid(index_operator) ?
		get_op_opfamily_strategy(index_operator, opfamily) : InvalidStrategy;

	switch (method)
	{
		case BTREE_AM_OID:
			return strategy == BTEqualStrategyNumber;
		case HASH_AM_OID:
			return strategy == HTEqualStrategyNumber;
		default:
			return strategy != InvalidStrategy;
	}
}

/* Find the reason why an index's keys do not serve. */
static DbopsObstacle
why_keys_differ(const DbopsFkeyLookup *lookup, const DbopsIndex *index)
{
	if (has_column(lookup, index, 0, index->nkeys, true))
		return DBOPS_CAST;
	if (coverage_by_keys(lookup, index, SAME_OPERATOR) != DBOPS_UNCOVERED)
		return DBOPS_OTHER_COLLATION;
	if (coverage_by_keys(lookup, index, SAME_COLUMN) != DBOPS_UNCOVERED)
		return DBOPS_OTHER_OPERATOR;
	if (has_column(lookup, index, 0, index->nkeys, false))
		return DBOPS_NOT_LEADING;
	if (has_column(lookup, index, index->nkeys, index->ncolumns, false))
		return DBOPS_INCLUDED_ONLY;
	return DBOPS_NO_INDEX;
}

/*
 * Look for a column of the foreign key among some columns of an index; if
 * asked so, for one that the lookup casts.
 */
static bool
has_column(const DbopsFkeyLookup *lookup, const DbopsIndex *index, int from, int to, bool cast)
{
	for (int i = 0; i < lookup->ncolumns; i++)
	{
		const DbopsFkeyColumn *column = &lookup->columns[i];

		if (cast && (column->operand == NULL || IsA(column->operand, Var)))
			continue;
		for (int key = from; key < to; key++)
			if (index->columns[key] == column->attnum)
				return true;
	}
	return false;
}

/* Compare two verdicts; of invalid indexes, speak of one that can be repaired. */
static bool
is_better(const DbopsVerdict *a, const DbopsVerdict *b)
{
	if (a->coverage != b->coverage)
		return a->coverage < b->coverage;
	if (a->obstacle != b->obstacle)
		return a->obstacle > b->obstacle;
	return a->repairable != NULL && b->repairable != b->index;
}

/* Word the reason of a verdict that is not "covered". */
char *
dbops_fkey_obstacle(const DbopsVerdict *verdict)
{
	const char *index = "";

	if (verdict->index != NULL && OidIsValid(verdict->index->oid))
	{
		index = get_rel_name(verdict->index->oid);
		index = (index == NULL) ? "(dropped)" : dbops_quote_name(index);
	}
	switch (verdict->obstacle)
	{
		case DBOPS_NO_INDEX:
			return pstrdup("no index has these columns");
		case DBOPS_NOT_LEADING:
			return psprintf("index %s does not begin with these columns", index);
		case DBOPS_INCLUDED_ONLY:
			return psprintf("index %s only includes the column, it cannot be searched by it", index);
		case DBOPS_OTHER_OPERATOR:
			return psprintf("the operator class of index %s lacks the foreign key's operator", index);
		case DBOPS_CAST:
			return psprintf("the lookup casts the column to the referenced column's type, so index %s cannot serve it", index);
		case DBOPS_OTHER_COLLATION:
			return psprintf("index %s has another collation than the lookup", index);
		case DBOPS_UNPROVEN_PREDICATE:
			return psprintf("index %s is partial and may lack rows that the lookup needs", index);
		case DBOPS_INVALID:
			return dbops_index_in_progress(verdict->index->oid) ?
				psprintf("index %s is being built now", index) :
				psprintf("index %s is invalid", index);
		case DBOPS_LOSSY:
			return psprintf("index %s is lossy: the lookup reads more than the rows it needs", index);
		case DBOPS_SOME_COLUMNS:
			return psprintf("index %s narrows the lookup by a part of the columns only", index);
		case DBOPS_SEVERAL_INDEXES:
			return psprintf("the columns are spread over several indexes, such as %s, which the lookup has to combine", index);
		case DBOPS_FOREIGN_METHOD:
			return psprintf("index %s is of an access method that dbops cannot judge", index);
	}
	elog(ERROR, "unrecognized obstacle %d", (int) verdict->obstacle);
	return NULL;				/* keep the compiler quiet */
}
