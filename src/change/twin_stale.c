/*
 * twin_stale.c
 *		Copies of indexes and constraints whose originals have been dropped, or made
 *		anew, while both columns were there.
 *
 * What is no longer asked of the old column must not be asked of the new one: its
 * copies go, when the call is made again or the change is finished.
 */
#include "change/twin.h"

#include "catalog/namespace.h"
#include "catalog/pg_constraint.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* A table's column on its way through the callback. */
typedef struct StaleLook
{
	OnlinePlan *plan;
	const TwinColumn *column;
} StaleLook;

static Oid	copy_of(const TwinClone *clone);
static void look_at(OnlinePlan *plan, const TwinColumn *column, const char *twin);
static void take_stale(HeapTuple row, TupleDesc desc, void *arg);

/* Steps that drop them, of the table and its partitions. */
void
dbops_twin_add_stale(OnlinePlan *plan, const TwinColumn *column, const char *twin)
{
	ListCell   *cell;

	foreach(cell, dbops_twin_columns(column))
		look_at(plan, lfirst(cell), twin);
}

/* A copy is known by its name, which has that of the original in it. What is a partition's part goes with the whole. */
static void
look_at(OnlinePlan *plan, const TwinColumn *column, const char *twin)
{
	DbopsParam	params[] = {
		dbops_param_oid(column->relid),
		dbops_param_int4(column->attnum),
		dbops_param_text(twin),
		dbops_param_text(dbops_twin_not_null_name(twin))
	};
	StaleLook	look = {.plan = plan,.column = column};

	dbops_query_each_kept("SELECT s.name, s.is_constraint FROM pg_attribute w CROSS JOIN LATERAL ("
						  "SELECT k.conname::text, true, k.contype FROM pg_constraint k WHERE k.conrelid = w.attrelid AND w.attnum = ANY (k.conkey)"
						  " AND k.contype IN ('c', 'f', 'u') AND k.coninhcount = 0"
						  " UNION ALL SELECT c.relname::text, false, 'i' FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
						  " WHERE i.indrelid = w.attrelid AND NOT c.relispartition AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = c.oid AND k.conrelid = w.attrelid)"
						  " AND (w.attnum = ANY (i.indkey::int2[]) OR EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid"
						  " AND d.refclassid = 'pg_class'::regclass AND d.refobjid = w.attrelid AND d.refobjsubid = w.attnum))"
						  ") s (name, is_constraint, kind)"
						  " WHERE w.attrelid = $1 AND w.attname = $3"
						  " AND CASE WHEN s.name = $4 THEN s.kind = 'c' AND NOT (SELECT attnotnull FROM pg_attribute WHERE attrelid = $1 AND attnum = $2)"
						  " ELSE s.name LIKE '%\\_dbops\\_new'"
						  " AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = $1 AND k.conname = left(s.name, -length('_dbops_new')))"
						  " AND NOT EXISTS (SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
						  " WHERE i.indrelid = $1 AND c.relname = left(s.name, -length('_dbops_new'))) END"
						  " ORDER BY s.is_constraint, s.name",
						  lengthof(params), params, take_stale, &look);
}

static void
take_stale(HeapTuple row, TupleDesc desc, void *arg)
{
	const StaleLook *look = arg;
	const TwinColumn *column = look->column;
	const char *name = dbops_row_text(row, desc, 1);
	bool		is_constraint = dbops_row_bool(row, desc, 2);
	const char *index = quote_qualified_identifier(column->schema, name);

	dbops_online_add(look->plan, (OnlineStep)
	{
		.kind = ONLINE_SHORT,
		.sql = is_constraint ? psprintf("ALTER TABLE %s DROP CONSTRAINT %s", column->table, quote_identifier(name)) :
		psprintf("DROP INDEX %s", index),
		.reached = is_constraint ? psprintf("NOT %s", dbops_online_constraint_there(column->relid, name)) :
		psprintf("to_regclass(%s) IS NULL", quote_literal_cstr(index)),
		.why = "What it is a copy of has been dropped."
	});
}

/*
 * Steps that drop copies whose originals were made after them, perhaps in another
 * way under the same name: they are made anew. Numbers of objects come one after
 * the other, and begin again after the last one.
 */
void
dbops_twin_add_outdated(OnlinePlan *plan, List *clones)
{
	ListCell   *cell;

	foreach(cell, clones)
	{
		const TwinClone *clone = lfirst(cell);
		bool		is_index = (clone->kind == TWIN_INDEX || clone->kind == TWIN_UNIQUE);
		const char *name = is_index ? quote_qualified_identifier(clone->column->schema, clone->clone) : quote_identifier(clone->clone);
		Oid			copy = copy_of(clone);

		if (!OidIsValid(copy) || (int32) (clone->original - copy) < 0)
			continue;
		dbops_online_add(plan, (OnlineStep)
		{
			.kind = ONLINE_SHORT,
			.sql = is_index ? psprintf("DROP INDEX %s", name) : psprintf("ALTER TABLE %s DROP CONSTRAINT %s", clone->column->table, name),
			.reached = psprintf("NOT EXISTS (SELECT FROM %s WHERE oid = %u)", is_index ? "pg_class" : "pg_constraint", copy),
			.why = psprintf("%s has been made anew since: it is copied again.", quote_identifier(clone->name))
		});
	}
}

/* The copy that is there and can be dropped by itself; what is a partition's part goes with the whole. */
static Oid
copy_of(const TwinClone *clone)
{
	if (clone->definition == NULL || (clone->part_of != NULL && clone->part_of->kind != TWIN_UNIQUE))
		return InvalidOid;
	if (clone->kind == TWIN_INDEX || clone->kind == TWIN_UNIQUE)
		return get_relname_relid(clone->clone, get_namespace_oid(clone->column->schema, false));
	return get_relation_constraint_oid(clone->column->relid, clone->clone, true);
}
