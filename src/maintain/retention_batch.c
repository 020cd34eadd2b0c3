/*
 * retention_batch.c
 *		Delete the rows of one range, as the owner of the table.
 *
 * What keeps rows is read from the catalogs and the holds with each batch,
 * under the lock that holds are placed under, and the statement is made anew
 * when that has changed: no batch deletes what was held, referred to or altered
 * when it began.
 *
 * Rows that others may have locked, or refer to anew, are locked first, with
 * those that would go along if a hold may be on one (retention_along.c), and
 * deleted by another statement: what was committed while a lock was waited for is
 * seen by the last one, before the server takes along what refers to a row.
 *
 * Tables of other roles are asked as these are, before rows that they may refer
 * to are deleted (retention_foreign.c).
 *
 * All of it runs with row_security off, so that what is hidden from the owner is
 * an error: it may be held. That goes for the rows' own triggers too. To look
 * only at the tables that our conditions name would not do, since a predicate
 * may call a function that reads others.
 */
#include "maintain/retention.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "nodes/plannodes.h"
#include "parser/parsetree.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/relcache.h"

/* What is done with the rows of a range. */
typedef enum Doing
{
	DELETING,
	LOCKING,
	LOCKING_FREE				/* those that nobody else has locked */
} Doing;

/* Statements, by range and what they do. */
struct RetentionStatements
{
	MemoryContext memory;
	struct
	{
		DbopsStatement *statement;
		char	   *sql;
	}			made[RANGE_PLACES + 1][LOCKING_FREE + 1];
};

/* One batch on its way through the callbacks. */
typedef struct Batch
{
	RetentionStatements *statements;
	RetentionDelete *delete;
	const char *waits_for;		/* whose lock on the table, or on its holds; NULL: it has both */
	const char *expired;		/* the condition of the rows that may go */
	ArrayBuildState *locked;	/* where rows are that were locked; NULL: none was */
	RetentionOutcome outcome;
	uint64		rows;
} Batch;

/* A look at how a statement reads its table. */
typedef struct PlanLook
{
	Batch	   *batch;
	const DbopsScan *scan;
	bool		as_meant;
} PlanLook;

static void delete_as_owner(void *arg);
static bool is_same_table(const RetentionDelete *delete);
static DbopsStatement *make_statement(Batch *batch, Doing doing, RetentionRange range);
static void prepare(Batch *batch, Doing doing, RetentionRange range, const char *wanted);
static void forget(Batch *batch, Doing doing, RetentionRange range);
static bool is_as_meant(Batch *batch, DbopsStatement *statement, const DbopsScan *scan);
static void take_plan(struct PlannedStmt *plan, void *arg);
static bool is_target(const PlannedStmt *plan, Oid relid);
static void run(Batch *batch);
static void put_values(const RetentionDelete *delete, ItemPointer bounds, Datum *values);
static void take_place(HeapTuple row, TupleDesc desc, void *arg);
static void take_archived(HeapTuple row, TupleDesc desc, void *arg);
static RetentionOutcome judge(const Batch *batch, const ErrorData *error);

RetentionStatements *
dbops_retention_statements(MemoryContext memory)
{
	RetentionStatements *statements = MemoryContextAllocZero(memory, sizeof(RetentionStatements));

	statements->memory = memory;
	return statements;
}

void
dbops_retention_statements_free(RetentionStatements *statements)
{
	for (int range = 0; range <= RANGE_PLACES; range++)
		for (int doing = 0; doing <= LOCKING_FREE; doing++)
		{
			if (statements->made[range][doing].statement == NULL)
				continue;
			dbops_statement_free(statements->made[range][doing].statement);
			pfree(statements->made[range][doing].sql);
		}
	pfree(statements);
}

/* Delete the rows of a range, or say why not. The caller commits. */
RetentionOutcome
dbops_retention_batch(RetentionStatements *statements, RetentionDelete *delete, DbopsBatch *figures)
{
	Batch		batch = {.statements = statements,.delete = delete};
	DbopsBatchWork work = {
		.relid = delete->leaf->relid,.owner = delete->spec->owner,.changes = true,
		.callback = delete_as_owner,.arg = &batch
	};
	ErrorData  *error = dbops_batch_attempt(&work, figures);

	figures->rows = (error == NULL) ? batch.rows : 0;
	if (error == NULL)
		return batch.outcome;
	batch.outcome = judge(&batch, error);
	if (batch.outcome == DELETED)
		ReThrowError(error);
	if (delete->obstacle == NULL)
		delete->obstacle = (batch.waits_for != NULL) ? batch.waits_for : error->message;
	return batch.outcome;
}

/* Lock the table and the holds, see that it is still the same, and delete. */
static void
delete_as_owner(void *arg)
{
	Batch	   *batch = arg;
	RetentionDelete *delete = batch->delete;
	Oid			relid = delete->leaf->relid;

	dbops_polite_bound_lock_waits();
	dbops_retention_pin_settings(delete->spec);
	dbops_set_nested("plan_cache_mode", "force_generic_plan");
	dbops_set_nested("row_security", "off");
	batch->waits_for = "another session has locked it";
	LockRelationOid(relid, RowExclusiveLock);
	batch->waits_for = "a hold is being placed";
	(void) dbops_hold_lock(relid, InvalidOid, true);
	batch->waits_for = NULL;
	batch->outcome = is_same_table(delete) ? DELETED : REWRITTEN;
	if (batch->outcome != DELETED)
		return;
	batch->expired = dbops_retention_expired(delete->spec, relid, InvalidOid);
	run(batch);
}

/* Is it there, still a part of the policy's table, with the name, the storage and the owner that it had? */
static bool
is_same_table(const RetentionDelete *delete)
{
	Relation	rel = try_relation_open(delete->leaf->relid, NoLock);
	bool		same;

	if (rel == NULL)
		return false;
	if (rel->rd_rel->relowner != delete->spec->owner)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table %s belongs to another role than table %s, with whose owner's rights rows are deleted",
						delete->leaf->name, delete->spec->table),
				 errhint("ALTER TABLE %s OWNER TO the owner of that table.", delete->leaf->name)));
	same = rel->rd_rel->relfilenode == delete->leaf->filenode &&
		dbops_retention_is_part(delete->spec->relid, delete->leaf->relid) &&
		strcmp(delete->leaf->name, dbops_quote_relation(delete->leaf->relid)) == 0;
	relation_close(rel, NoLock);
	dbops_retention_check_table(delete->leaf->relid, "retention policy");
	return same;
}

/*
 * The statement as it is to be now. One that was planned behind our back, after
 * a change of the table, may read all of it and is prepared again; places are
 * read in no other way.
 */
static DbopsStatement *
make_statement(Batch *batch, Doing doing, RetentionRange range)
{
	const RetentionDelete *delete = batch->delete;
	DbopsStatement **statement = &batch->statements->made[range][doing].statement;
	DbopsScan	scan = {
		.relid = delete->leaf->relid,.rows = 1000,
		.index = (range == RANGE_KEYS) ? delete->leaf->index : InvalidOid
	};
	char	   *wanted = (doing == DELETING) ?
		dbops_retention_delete(delete->spec, delete->leaf, batch->expired, range) :
		dbops_retention_lock(delete->spec, delete->leaf, batch->expired, range, doing == LOCKING_FREE);

	if (*statement != NULL && strcmp(batch->statements->made[range][doing].sql, wanted) != 0)
		forget(batch, doing, range);
	if (*statement == NULL)
		prepare(batch, doing, range, wanted);
	if (is_as_meant(batch, *statement, &scan) || range == RANGE_PLACES)
		return *statement;
	forget(batch, doing, range);
	prepare(batch, doing, range, wanted);
	(void) is_as_meant(batch, *statement, &scan);
	return *statement;
}

static void
prepare(Batch *batch, Doing doing, RetentionRange range, const char *wanted)
{
	const Oid	column = batch->delete->spec->clock.type;
	Oid			keys[] = {column, column};
	Oid			blocks[] = {TIDOID, TIDOID, column};
	Oid			places[] = {TIDARRAYOID, column};

	batch->statements->made[range][doing].statement =
		dbops_statement_prepare(wanted, range == RANGE_BLOCKS ? 3 : 2,
								range == RANGE_KEYS ? keys : range == RANGE_BLOCKS ? blocks : places);
	batch->statements->made[range][doing].sql = MemoryContextStrdup(batch->statements->memory, wanted);
}

static void
forget(Batch *batch, Doing doing, RetentionRange range)
{
	dbops_statement_free(batch->statements->made[range][doing].statement);
	pfree(batch->statements->made[range][doing].sql);
	batch->statements->made[range][doing].statement = NULL;
}

/* Have it planned while it is known how the table is to be read, and see. */
static bool
is_as_meant(Batch *batch, DbopsStatement *statement, const DbopsScan *scan)
{
	PlanLook	look = {.batch = batch,.scan = scan};

	dbops_scan_inspect(statement, scan, take_plan, &look);
	return look.as_meant;
}

static void
take_plan(struct PlannedStmt *plan, void *arg)
{
	PlanLook   *look = arg;

	look->as_meant = (plan != NULL && dbops_scan_is_as_meant(plan, look->scan));
	if (plan != NULL && !is_target(plan, look->batch->delete->leaf->relid))
		look->batch->outcome = REWRITTEN;
}

/* A name may mean another table by now: the plan must be for the one that was locked. */
static bool
is_target(const PlannedStmt *plan, Oid relid)
{
	ListCell   *cell;

	foreach(cell, plan->resultRelations)
		if (rt_fetch(lfirst_int(cell), plan->rtable)->relid == relid)
			return true;
	foreach(cell, plan->rowMarks)
		if (rt_fetch(((PlanRowMark *) lfirst(cell))->rti, plan->rtable)->relid == relid)
			return true;
	return false;
}

/* Delete the rows of the range; where they are to be locked first, those that could be. */
static void
run(Batch *batch)
{
	const RetentionDelete *delete = batch->delete;
	RetentionRange range = delete->range;
	ItemPointerData bounds[2];
	Datum		values[3];
	bool		along = dbops_retention_must_lock(delete->leaf->relid, delete->leaf->relid);
	bool		asks = dbops_retention_asks_others(delete->leaf->relid, delete->spec->owner);
	DbopsStatement *statement;

	put_values(delete, bounds, values);
	if (delete->skip_locked || along || asks)
	{
		statement = make_statement(batch, delete->skip_locked ? LOCKING_FREE : LOCKING, range);
		if (batch->outcome != DELETED)
			return;
		dbops_statement_run(statement, values, false, take_place, batch);
		if (batch->locked == NULL)
			return;
		range = RANGE_PLACES;
		values[0] = makeArrayResult(batch->locked, CurrentMemoryContext);
		values[1] = dbops_partition_value(&delete->spec->clock, delete->cutoff);
		if (along)
			dbops_retention_lock_along(delete->leaf, values[0], !delete->skip_locked);
		if (asks && dbops_retention_ask_others(delete->leaf, delete->spec->owner, &values[0]) == 0)
			return;
	}
	statement = make_statement(batch, DELETING, range);
	if (batch->outcome != DELETED)
		return;
	dbops_batch_check_at_once();
	if (delete->spec->archive == NULL)
		batch->rows = dbops_statement_run(statement, values, false, NULL, NULL);
	else
		dbops_statement_run(statement, values, false, take_archived, batch);
}

static void
put_values(const RetentionDelete *delete, ItemPointer bounds, Datum *values)
{
	const PartitionClock *clock = &delete->spec->clock;

	switch (delete->range)
	{
		case RANGE_KEYS:
			values[0] = dbops_retention_datum(clock, delete->from);
			values[1] = dbops_retention_datum(clock, delete->to);
			break;
		case RANGE_BLOCKS:
			ItemPointerSet(&bounds[0], (BlockNumber) delete->from, 0);
			ItemPointerSet(&bounds[1], (BlockNumber) delete->to, 0);
			values[0] = PointerGetDatum(&bounds[0]);
			values[1] = PointerGetDatum(&bounds[1]);
			values[2] = dbops_partition_value(clock, delete->cutoff);
			break;
		case RANGE_PLACES:
			values[0] = delete->places;
			values[1] = dbops_partition_value(clock, delete->cutoff);
			break;
	}
}

static void
take_place(HeapTuple row, TupleDesc desc, void *arg)
{
	Batch	   *batch = arg;
	bool		isnull;

	batch->locked = accumArrayResult(batch->locked, heap_getattr(row, 1, desc, &isnull), false, TIDOID, CurrentMemoryContext);
}

/* A trigger of the archive may leave a row out, or one elsewhere put it elsewhere: nothing may be lost. */
static void
take_archived(HeapTuple row, TupleDesc desc, void *arg)
{
	Batch	   *batch = arg;
	int64		archived = dbops_row_int8(row, desc, 2);

	batch->rows = dbops_row_int8(row, desc, 1);
	if (archived != batch->rows)
		dbops_retention_refuse_archive(batch->delete->spec->archive, archived, batch->rows);
}

/* What is to be done about an error; DELETED: nothing can be. */
static RetentionOutcome
judge(const Batch *batch, const ErrorData *error)
{
	const char *key;

	if (dbops_polite_gave_way(error->sqlerrcode))
		return (batch->waits_for == NULL) ? ROWS_LOCKED : TABLE_LOCKED;
	key = dbops_retention_unchangeable(batch->delete->leaf->relid, error);
	if (key != NULL)
	{
		batch->delete->obstacle = psprintf("rows stay, since %s cannot change those that refer to them: %s", key, error->message);
		return UNCHANGEABLE;
	}
	if (error->sqlerrcode == ERRCODE_FOREIGN_KEY_VIOLATION || error->sqlerrcode == ERRCODE_RESTRICT_VIOLATION)
		return dbops_retention_is_referred_to(batch->delete->leaf->relid, error) ? REFERENCED : DELETED;
	if (dbops_polite_took_too_long(error))
		return TOO_LONG;
	return DELETED;
}
