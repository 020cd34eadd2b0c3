/*
 * partition_left.c
 *		Health: has a CALL of partition_table() that has died left its constraint
 *		on a table, which refuses all rows of times to come?
 *
 * While a call is at work its session has a lock on the table, so that one is
 * not taken for left behind. The same of the constraint on a default partition
 * that a run of the partitioning has left there: it is one while a process works
 * on the job that has it in its cursor.
 */
#include "maintain/partition.h"

#include "catalog/namespace.h"
#include "catalog/pg_constraint.h"
#include "core/server.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* What was found. */
typedef struct Left
{
	bool		locked;			/* the catalog is, by somebody else: nothing is known */
	List	   *tables;			/* of those that partition_table has left one on; names as SQL writes them */
	List	   *defaults;		/* of default partitions, that a run has left one on */
} Left;

static const void *look(const DbopsCheckScope *scope);
static void look_at_defaults(Left *left);
static void take_table(HeapTuple row, TupleDesc desc, void *arg);
static void judge(const void *facts, DbopsCheckRun *run);
static void report(const char *table, int n, const char *constraint, const char *who, DbopsCheckRun *run);

static const DbopsCheck checks[] = {
	{
		.name = "partitions.left_constraint",
		.about = "constraints left on tables by what was cut off, which refuse rows of times to come",
		.judge = judge,
		.threshold = {
			.unit = "count", .warning = DBOPS_NO_THRESHOLD, .critical = 0, .source = "dbops: such rows are lost"
		}
	}
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
look(const DbopsCheckScope *scope)
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
					 0, NULL, take_table, &left->tables);
	look_at_defaults(left);
	dbops_catalog_unlock(ConstraintRelationId, ConstraintNameNspIndexId);
	return left;
}

/* Find those that no job is at work on, where there are any. */
static void
look_at_defaults(Left *left)
{
	Oid			jobs = get_relname_relid("job", get_namespace_oid("dbops", false));

	if (dbops_query_each("SELECT FROM pg_constraint WHERE conname = '" PARTITION_PROOF_NAME "' AND contype = 'c'", 0, NULL, NULL, NULL) == 0)
		return;
	left->locked = !ConditionalLockRelationOid(jobs, AccessShareLock);
	if (left->locked)
		return;
	dbops_store_each("SELECT format('%I.%I', n.nspname, c.relname) FROM pg_constraint k"
					 " JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
					 " WHERE k.conname = '" PARTITION_PROOF_NAME "' AND k.contype = 'c' AND NOT EXISTS"
					 "  (SELECT FROM dbops.job j JOIN dbops.job_cursor u ON u.job_id = j.id"
					 "   JOIN pg_stat_get_activity(NULL) a ON a.pid = j.runner_pid AND a.backend_start = j.runner_start"
					 "   WHERE j.finished_at IS NULL AND j.state = 'running' AND (u.position ->> 'default')::oid = k.conrelid)"
					 " ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\"",
					 0, NULL, take_table, &left->defaults);
}

static void
take_table(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **tables = arg;

	*tables = lappend(*tables, dbops_row_text(row, desc, 1));
}

static void
judge(const void *facts, DbopsCheckRun *run)
{
	const Left *left = facts;
	int			n = list_length(left->tables) + list_length(left->defaults);
	ListCell   *cell;

	if (left->locked)
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("pg_constraint or dbops.job is locked"),
				 errhint("Look again later.")));
	if (n == 0)
		dbops_check_report_value(run, 0, NAN, (DbopsFinding) {.message = "no constraint of partition_table or of a run was left behind"});
	foreach(cell, left->tables)
		report(lfirst(cell), n, PARTITION_TABLE_PROOF, "a CALL of partition_table", run);
	foreach(cell, left->defaults)
		report(lfirst(cell), n, PARTITION_PROOF_NAME, "a run of the partitioning", run);
}

static void
report(const char *table, int n, const char *constraint, const char *who, DbopsCheckRun *run)
{
	dbops_check_report_value(run, n, NAN, (DbopsFinding) {
		.object = table,
		.message = psprintf("constraint %s, which %s that was cut off has left on %s, refuses rows of times to come", constraint, who, table),
		.remedy = psprintf("ALTER TABLE %s DROP CONSTRAINT %s", table, constraint)
	});
}
