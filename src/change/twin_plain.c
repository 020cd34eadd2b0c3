/*
 * twin_plain.c
 *		Can a column get another type without a look at any row?
 *
 * The server's own rules, asked before its lock is: where they do not hold it
 * would write the table anew, or check a constraint or build an index of it or of
 * one of its partitions, while everybody is kept out. What was found is asked for
 * once more when the lock is held, since others may have come before.
 */
#include "change/twin.h"

#include "commands/defrem.h"
#include "nodes/primnodes.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

static bool keeps_stored(Node *node, AttrNumber column);
static bool is_bare(const TwinColumn *column);
static bool keeps_indexes(const TwinColumn *column, const TwinType *type, List *clones);
static bool has_other_operators(const TwinClone *clone, Oid type);

/* Nothing that is stored, checked or indexed, in the table or in a partition, depends on it. assigned: the column, to the type. */
bool
dbops_twin_is_plain(const TwinColumn *column, const TwinType *type, const Node *assigned)
{
	ListCell   *cell;

	if (!keeps_stored((Node *) expression_planner((Expr *) copyObject(assigned)), column->attnum))
		return false;
	foreach(cell, dbops_twin_columns(column))
		if (!is_bare(lfirst(cell)))
			return false;
	return keeps_indexes(column, type, dbops_twin_clones(column, column->name));
}

/* Is the value what is stored already? The rules of ALTER TABLE, but for times with and without a zone: another process may be in another zone. */
static bool
keeps_stored(Node *node, AttrNumber column)
{
	for (;;)
	{
		if (IsA(node, Var))
			return ((Var *) node)->varattno == column;
		if (IsA(node, RelabelType))
			node = (Node *) ((RelabelType *) node)->arg;
		else if (IsA(node, CoerceToDomain) && !DomainHasConstraints(((CoerceToDomain *) node)->resulttype))
			node = (Node *) ((CoerceToDomain *) node)->arg;
		else
			return false;
	}
}

/* Constraints are checked again for each row when a type is changed; an index that is not valid is built, too. */
static bool
is_bare(const TwinColumn *column)
{
	DbopsParam	params[] = {dbops_param_oid(column->relid), dbops_param_int4(column->attnum)};

	return dbops_query_each("SELECT FROM pg_constraint WHERE contype IN ('c', 'f') AND"
							" (conrelid = $1 AND $2 = ANY (conkey) OR confrelid = $1 AND $2 = ANY (confkey))"
							" UNION ALL SELECT FROM pg_index WHERE indrelid = $1 AND $2 = ANY (indkey::int2[]) AND NOT indisvalid"
							" AND indexrelid NOT IN (SELECT oid FROM pg_class WHERE relkind = 'I') LIMIT 1",
							lengthof(params), params, NULL, NULL) == 0;
}

/* An index stays as it is where order and equality do. */
static bool
keeps_indexes(const TwinColumn *column, const TwinType *type, List *clones)
{
	ListCell   *cell;

	foreach(cell, clones)
	{
		const TwinClone *clone = lfirst(cell);

		if (clone->expressions != NIL || type->collation != column->collation ||
			(OidIsValid(clone->operators) && type->type != column->type && has_other_operators(clone, type->type)))
			return false;
	}
	return true;
}

/* Is such an index on the new type another thing? */
static bool
has_other_operators(const TwinClone *clone, Oid type)
{
	Oid			other = clone->operators_default ? GetDefaultOpClass(type, clone->method) : InvalidOid;

	return !OidIsValid(other) || get_opclass_family(other) != get_opclass_family(clone->operators);
}

/* SQL for still: the column, and all that depends on it, is what it is now, in the table and in each partition. */
char *
dbops_twin_is_unaltered(const TwinColumn *column)
{
	char	   *facts = psprintf("(WITH own AS (SELECT a.* FROM pg_attribute a JOIN (SELECT %u UNION SELECT relid::oid FROM pg_partition_tree(%u)) t (relid)"
								 " ON t.relid = a.attrelid WHERE a.attname = %s AND NOT a.attisdropped)"
								 " SELECT string_agg(fact, ', ' ORDER BY fact) FROM ("
								 "SELECT format('%%s is %%s %%s %%s', attrelid, atttypid, atttypmod, attcollation) FROM own"
								 " UNION SELECT format('%%s has %%s %%s', attrelid, d.classid, d.objid) FROM own JOIN pg_depend d"
								 " ON d.refclassid = 'pg_class'::regclass AND d.refobjid = attrelid AND d.refobjsubid = attnum) f (fact))",
								 column->relid, column->relid, quote_literal_cstr(column->name));

	return psprintf("%s = %s", facts, quote_literal_cstr(dbops_query_text(psprintf("SELECT %s", facts), 0, NULL)));
}
