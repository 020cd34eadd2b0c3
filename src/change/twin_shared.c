/*
 * twin_shared.c
 *		Is an index or a constraint that a change would copy half of another change?
 *
 * Of two columns that one index is on, each change would copy the copy that the
 * other has made, and neither could tell in the end which one stands for what.
 */
#include "change/twin.h"

#include "utils/builtins.h"

static void refuse_shared(HeapTuple row, TupleDesc desc, void *arg);

/* Refuse a second change of columns that have one in common. */
void
dbops_twin_check_shared(const TwinChange *change)
{
	DbopsParam	params[] = {
		dbops_param_text(dbops_backfill_sync_home()),
		dbops_param_oid(change->relid),
		dbops_param_text(change->column),
		dbops_param_int8(change->id)
	};

	dbops_store_each("SELECT c.id, other.attname::text, pg_describe_object(d.classid, d.objid, 0) FROM dbops.column_change c"
					 " CROSS JOIN (SELECT $2 UNION SELECT relid::oid FROM pg_partition_tree($2)) t (relid)"
					 " JOIN pg_attribute own ON own.attrelid = t.relid AND own.attname = $3 AND NOT own.attisdropped"
					 " JOIN pg_attribute other ON other.attrelid = t.relid AND other.attname IN (c.column_name, c.new_name) AND NOT other.attisdropped"
					 " JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = t.relid AND d.refobjsubid = own.attnum"
					 " JOIN pg_depend o ON o.classid = d.classid AND o.objid = d.objid AND o.objsubid = d.objsubid"
					 " AND o.refclassid = d.refclassid AND o.refobjid = t.relid AND o.refobjsubid = other.attnum"
					 " WHERE c.home = $1 AND c.relid = $2 AND c.id <> $4 AND c.state IN ('expanding', 'ready') AND c.new_name IS NOT NULL"
					 " AND other.attname <> $3 AND (d.classid = 'pg_constraint'::regclass"
					 " OR d.classid = 'pg_class'::regclass AND EXISTS (SELECT FROM pg_index i WHERE i.indexrelid = d.objid))"
					 " ORDER BY c.id, d.objid LIMIT 1",
					 lengthof(params), params, refuse_shared, unconstify(TwinChange *, change));
}

static void
refuse_shared(HeapTuple row, TupleDesc desc, void *arg)
{
	const TwinChange *change = arg;
	int64		id = dbops_row_int8(row, desc, 1);

	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("%s has columns \"%s\" and \"%s\" of table %s, which is in change " INT64_FORMAT, dbops_row_text(row, desc, 3),
					change->column, dbops_row_text(row, desc, 2), change->table, id),
			 errhint("End that first: CALL dbops.finish_change(" INT64_FORMAT "); or CALL dbops.abort_change(" INT64_FORMAT ");", id, id)));
}
