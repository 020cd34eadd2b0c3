/*
 * partition_left.c
 *		Health: has a CALL of partition_table() that has died left its constraint
 *		on a table, which refuses all rows of times to come?
 *
 * While a call is at work its session has a lock on the table, so that one is
 * not taken for left behind.
 */
#include "maintain/partition.h"

#include "catalog/pg_constraint.h"
#include "core/server.h"
#include "utils/builtins.h"

/* What was found. */
typedef struct Left
{
	bool		locked;			/* the catalog is, by somebody else: nothing is known */
	List	   *tables;			/* of names as SQL writes them */
} Left;

static const void *look(void);
static void take_table(HeapTuple row, TupleDesc desc, void *arg);
static void judge(const void *facts, DbopsCheckRun *run);
static void report(const char *table, DbopsCheckRun *run);

static const DbopsCheck checks[] = {
	{"partitions.left_constraint", judge, false}
};

static const DbopsCheckSet check_set = {
	.look = look,
	.checks = checks,
	.n_checks = lengthof(checks)
};

void
dbops_partition_left_init(void)
{
	dbops_check_register(&check_set);
}

/* Find the constraints by their name, of which there is an index. */
static const void *
look(void)
{
	Left	   *left = palloc0(sizeof(Left));

	left->locked = !dbops_catalog_lock(ConstraintRelationId, ConstraintNameNspIndexId);
	if (left->locked)
		return left;
	dbops_query_each("SELECT format('%I.%I', n.nspname, c.relname) FROM pg_constraint k"
					 " JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
					 " WHERE k.conname = '" PARTITION_TABLE_PROOF "' AND k.contype = 'c' AND NOT EXISTS"
					 "  (SELECT FROM pg_locks l WHERE l.locktype = 'relation' AND l.relation = k.conrelid AND l.granted"
					 "   AND l.mode IN ('ShareUpdateExclusiveLock', 'AccessExclusiveLock')"
					 "   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()))"
					 " ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\"",
					 0, NULL, take_table, left);
	dbops_catalog_unlock(ConstraintRelationId, ConstraintNameNspIndexId);
	return left;
}

static void
take_table(HeapTuple row, TupleDesc desc, void *arg)
{
	Left	   *left = arg;

	left->tables = lappend(left->tables, dbops_row_text(row, desc, 1));
}

static void
judge(const void *facts, DbopsCheckRun *run)
{
	const Left *left = facts;
	ListCell   *cell;

	if (left->locked)
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("pg_constraint is locked"),
				 errhint("Look again later.")));
	if (left->tables == NIL)
		dbops_check_report(run, (DbopsFinding) {.message = "no constraint of partition_table was left behind"});
	foreach(cell, left->tables)
		report(lfirst(cell), run);
}

static void
report(const char *table, DbopsCheckRun *run)
{
	dbops_check_report(run, (DbopsFinding) {
		.severity = DBOPS_CRITICAL,
		.object = table,
		.message = psprintf("constraint " PARTITION_TABLE_PROOF ", which a CALL of partition_table that was cut off has left on %s, refuses rows of times to come", table),
		.remedy = psprintf("ALTER TABLE %s DROP CONSTRAINT " PARTITION_TABLE_PROOF, table)
	});
}
