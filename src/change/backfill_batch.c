/*
 * backfill_batch.c
 *		Change, or count, the rows of one range of blocks.
 *
 * A range is read by a TID Range Scan, so that a batch costs what its blocks
 * cost and nothing grows with the table; see scan.c.
 *
 * A range runs in a subtransaction and gives way to others; see batch.c. A
 * careful batch waits for no row: it leaves out those that others lock, and
 * counts what it has left. Rows are changed with the rights of the table's owner.
 */
#include "change/change.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "nodes/plannodes.h"
#include "parser/parsetree.h"
#include "storage/itemptr.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

struct BackfillBatcher
{
	const BackfillLeaf *leaf;
	const BackfillChange *change;
	char	   *update_sql;
	char	   *count_sql;
	const char *returning;
	char		obstacle[256];	/* what the last attempt that gave way said */
	ErrorData  *failure;		/* of the last range that failed; or NULL */
	DbopsStatement *update;		/* prepared when first needed */
	DbopsStatement *skip;		/* the same without waiting for rows */
	DbopsStatement *count;
};

/* One range on its way through the callbacks. */
typedef struct Range
{
	BackfillBatcher *batcher;
	ItemPointerData bounds[2];	/* where it begins, and where the next one does */
	bool		update;			/* or count */
	DbopsCallback work;			/* that is done in the place of these; or NULL */
	void	   *arg;			/* of work */
	bool		careful;		/* wait for no row */
	bool		divisible;		/* it could be done with fewer blocks, or rows */
	bool		table_lock_taken;
	bool		planned;		/* what fails from here on is not the statement */
	BackfillOutcome outcome;
	uint64		rows;
	BackfillCounts counts;
} Range;

/* What a look at a plan is for, and what it found. */
typedef struct PlanLook
{
	const BackfillLeaf *leaf;
	DbopsScan	scan;
	bool		as_meant;
	bool		skips;			/* what it finds locked */
	bool		assigns_key;
} PlanLook;

static char *count_sql(const BackfillChange *change, const BackfillLeaf *leaf, const char *columns);
static BackfillOutcome measure(Range *range, DbopsBatch *batch);
static BackfillOutcome run_range(Range *range, DbopsBatch *batch);
static void note_failure(Range *range, ErrorData *error);
static BackfillOutcome judge_failure(const Range *range, const ErrorData *error);
static void run_as_owner(void *arg);
static BackfillOutcome look_at_storage(const BackfillLeaf *leaf);
static void refuse_renamed(const BackfillLeaf *leaf);
static void update_range(Range *range);
static BackfillOutcome skip_range(Range *range);
static bool plan_to_skip(BackfillBatcher *batcher);
static void count_range(Range *range);
static DbopsStatement *prepare(const char *sql);
static void plan_as_range_scan(DbopsStatement **statement, const char *sql, const BackfillLeaf *leaf);
static PlanLook look_at(DbopsStatement *statement, const BackfillLeaf *leaf, Oid index);
static void look_at_plan(PlannedStmt *plan, void *arg);
static void block_bounds(BlockNumber from, BlockNumber to, ItemPointerData *bounds);
static void keep_failure(BackfillBatcher *batcher, ErrorData *error);
static void refuse_met_again(HeapTuple row, TupleDesc desc, void *arg);
static void take_counts(HeapTuple row, TupleDesc desc, void *arg);

/* Prepare to work on one table. The memory and the result are the caller's. */
BackfillBatcher *
dbops_backfill_batcher(const BackfillChange *change, const BackfillLeaf *leaf)
{
	BackfillBatcher *batcher = palloc0(sizeof(BackfillBatcher));
	const char *returning = "";

	/* A trigger may undo what makes a second visit harmless: see. */
	if (leaf->has_before_trigger && !change->harmless_again)
		returning = psprintf(" RETURNING (%s) AND (%s)", change->matches, change->pending);

	batcher->leaf = leaf;
	batcher->change = change;
	batcher->returning = returning;
	batcher->update_sql =
		psprintf("UPDATE ONLY %s AS %s SET %s"
				 " WHERE %s.ctid OPERATOR(pg_catalog.>=) $1"
				 " AND %s.ctid OPERATOR(pg_catalog.<) $2"
				 " AND (%s) AND (%s)%s",
				 leaf->name, change->alias, change->set_list,
				 change->alias, change->alias, change->matches, change->pending,
				 returning);
	batcher->count_sql = count_sql(change, leaf, "");
	return batcher;
}

/*
 * The same to look at a few ranges: its counts also have the sizes of each
 * column that is assigned, before and after, if the values may be computed.
 */
BackfillBatcher *
dbops_backfill_sampler(const BackfillChange *change, const BackfillLeaf *leaf, bool sizes)
{
	BackfillBatcher *batcher = dbops_backfill_batcher(change, leaf);
	StringInfoData columns;
	ListCell   *cell;

	initStringInfo(&columns);
	foreach(cell, sizes ? change->columns : NIL)
	{
		const BackfillColumn *column = lfirst(cell);

		appendStringInfo(&columns,
						 ", pg_catalog.sum(pg_catalog.pg_column_size(%s.%s)) FILTER (WHERE %s)"
						 ", pg_catalog.sum(pg_catalog.pg_column_size(%s)) FILTER (WHERE %s)",
						 change->alias, quote_identifier(column->name), change->pending,
						 column->value, change->pending);
	}
	batcher->count_sql = count_sql(change, leaf, columns.data);
	return batcher;
}

static char *
count_sql(const BackfillChange *change, const BackfillLeaf *leaf, const char *columns)
{
	return psprintf("SELECT pg_catalog.count(*) FILTER (WHERE %s), pg_catalog.count(*)%s"
					" FROM ONLY %s AS %s"
					" WHERE %s.ctid OPERATOR(pg_catalog.>=) $1"
					" AND %s.ctid OPERATOR(pg_catalog.<) $2"
					" AND (%s)",
					change->pending, columns, leaf->name, change->alias,
					change->alias, change->alias, change->matches);
}

void
dbops_backfill_batcher_free(BackfillBatcher *batcher)
{
	if (batcher->update)
		dbops_statement_free(batcher->update);
	if (batcher->skip)
		dbops_statement_free(batcher->skip);
	if (batcher->count)
		dbops_statement_free(batcher->count);
	if (batcher->failure)
		FreeErrorData(batcher->failure);
	pfree(batcher->update_sql);
	pfree(batcher->count_sql);
	pfree(batcher);
}

/* Change the pending rows of blocks [from, to). The caller commits. */
BackfillOutcome
dbops_backfill_update(BackfillBatcher *batcher, BlockNumber from, BlockNumber to,
					  DbopsBatch *batch)
{
	Range		range = {.batcher = batcher,.update = true,.careful = batch->careful,.divisible = true};

	block_bounds(from, to, range.bounds);
	return measure(&range, batch);
}

/* The same for some line pointers of a block, [from, to). */
BackfillOutcome
dbops_backfill_update_places(BackfillBatcher *batcher, BlockNumber block, int from, int to,
							 DbopsBatch *batch)
{
	Range		range = {.batcher = batcher,.update = true,.careful = batch->careful,.divisible = (to - from > 1)};

	ItemPointerSet(&range.bounds[0], block, from);
	ItemPointerSet(&range.bounds[1], block, to);
	return measure(&range, batch);
}

/* Run a range, and note what it did and took. */
static BackfillOutcome
measure(Range *range, DbopsBatch *batch)
{
	BackfillOutcome outcome = run_range(range, batch);

	batch->rows = range->rows;
	batch->left = range->counts.pending;
	return outcome;
}

/* The same for the rows from one place to another; most_ms: when to cut it off, 0: never. */
BackfillOutcome
dbops_backfill_update_tids(BackfillBatcher *batcher, const ItemPointerData *bounds,
						   int most_ms, uint64 *rows)
{
	Range		range = {.batcher = batcher,.bounds = {bounds[0], bounds[1]},.update = true,
		.divisible = (most_ms > 0)};
	DbopsBatch	batch = {.most_ms = most_ms};
	BackfillOutcome outcome = run_range(&range, &batch);

	*rows = range.rows;
	return outcome;
}

/* Count the matching and the pending rows of blocks [from, to). */
BackfillOutcome
dbops_backfill_count(BackfillBatcher *batcher, BlockNumber from, BlockNumber to,
					 BackfillCounts *counts)
{
	ItemPointerData bounds[2];

	block_bounds(from, to, bounds);
	return dbops_backfill_count_tids(batcher, bounds, counts);
}

/* The same for the rows from one place to another. */
BackfillOutcome
dbops_backfill_count_tids(BackfillBatcher *batcher, const ItemPointerData *bounds,
						  BackfillCounts *counts)
{
	Range		range = {.batcher = batcher,.bounds = {bounds[0], bounds[1]},.update = false,.counts = *counts};
	DbopsBatch	batch = {0};
	BackfillOutcome outcome = run_range(&range, &batch);

	*counts = range.counts;
	return outcome;
}

/* (from, 0) is below every row of the first block: offsets begin at 1. */
static void
block_bounds(BlockNumber from, BlockNumber to, ItemPointerData *bounds)
{
	ItemPointerSet(&bounds[0], from, 0);
	ItemPointerSet(&bounds[1], to, 0);
}

/*
 * Do something else that changes rows of the table, in the way of a range: with
 * the same locks, rights and settings, and giving way to others as it does. How
 * many rows it has changed is for the work to say.
 */
BackfillOutcome
dbops_backfill_attempt(BackfillBatcher *batcher, DbopsCallback work, void *arg,
					   bool divisible, DbopsBatch *batch)
{
	Range		range = {.batcher = batcher,.update = true,.work = work,.arg = arg,.divisible = divisible};

	return measure(&range, batch);
}

/*
 * Run a range. If others hold its locks for too long, or something in a row
 * makes it fail, it is rolled back and the outcome says so; any other error is
 * the caller's.
 */
static BackfillOutcome
run_range(Range *range, DbopsBatch *batch)
{
	const BackfillLeaf *leaf = range->batcher->leaf;
	DbopsBatchWork work = {
		.relid = leaf->relid,.owner = leaf->owner,.changes = range->update,
		.callback = run_as_owner,.arg = range
	};
	ErrorData  *error;

	if (!range->divisible)
		batch->most_ms = 0;
	error = dbops_batch_attempt(&work, batch);
	if (error != NULL)
		note_failure(range, error);
	return range->outcome;
}

/* A range was rolled back: note what that means, or throw what nothing can be done about. */
static void
note_failure(Range *range, ErrorData *error)
{
	range->rows = 0;
	range->outcome = judge_failure(range, error);
	if (range->outcome == BATCH_DONE)
	{
		dbops_backfill_explain_columns(range->batcher->change, range->batcher->leaf, error);
		ReThrowError(error);
	}
	if (range->outcome == BATCH_FAILED)
		keep_failure(range->batcher, error);
	else
	{
		strlcpy(range->batcher->obstacle, error->message, sizeof(range->batcher->obstacle));
		FreeErrorData(error);
	}
}

/* What is to be done about an error; BATCH_DONE: nothing can be. */
static BackfillOutcome
judge_failure(const Range *range, const ErrorData *error)
{
	if (range->divisible && dbops_polite_took_too_long(error))
		return BATCH_TOO_LONG;
	if (range->planned && dbops_backfill_is_of_row(error->sqlerrcode))
		return BATCH_FAILED;
	if (dbops_polite_gave_way(error->sqlerrcode))
		return range->table_lock_taken ? BATCH_ROWS_LOCKED : BATCH_TABLE_LOCKED;
	return BATCH_DONE;
}

/* Keep the error of the last range that failed, and no other. */
static void
keep_failure(BackfillBatcher *batcher, ErrorData *error)
{
	if (batcher->failure != NULL)
		FreeErrorData(batcher->failure);
	batcher->failure = error;
}

/* Lock the table, see that it is still the same, and do the range. */
static void
run_as_owner(void *arg)
{
	Range	   *range = arg;
	const BackfillLeaf *leaf = range->batcher->leaf;

	dbops_polite_bound_lock_waits();
	dbops_backfill_use_meaning(range->batcher->change);
	dbops_set_nested("plan_cache_mode", "force_generic_plan");
	LockRelationOid(leaf->relid, range->update ? RowExclusiveLock : AccessShareLock);
	range->table_lock_taken = true;

	range->outcome = look_at_storage(leaf);
	if (range->work != NULL && range->outcome == BATCH_REWRITTEN)
		range->outcome = BATCH_DONE;	/* no block numbers are kept */
	if (range->outcome != BATCH_DONE)
		return;
	dbops_backfill_check_still(leaf);
	range->planned = (range->work != NULL);
	if (range->work != NULL)
	{
		dbops_batch_check_at_once();
		range->work(range->arg);
	}
	else if (range->careful)
		range->outcome = skip_range(range);
	else if (range->update)
		update_range(range);
	else
		count_range(range);
}

/* The error of a table that is not found under its name any more. */
static void
refuse_renamed(const BackfillLeaf *leaf)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("table %s has been renamed during the backfill", leaf->name),
			 errhint("CALL again with its new name to go on: rows that no longer match, or have their value, are left alone.")));
}

/* Are the block numbers of the walk still those of the table? */
static BackfillOutcome
look_at_storage(const BackfillLeaf *leaf)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(leaf->relid));
	Form_pg_class class;
	BackfillOutcome outcome;

	if (!HeapTupleIsValid(tuple))
		return BATCH_GONE;
	class = (Form_pg_class) GETSTRUCT(tuple);
	outcome = (class->relfilenode == leaf->filenode) ? BATCH_DONE : BATCH_REWRITTEN;

	if (strcmp(NameStr(class->relname), leaf->relname) != 0 ||
		class->relnamespace != leaf->schema)
		refuse_renamed(leaf);

	/* Rights were judged for the owner that the table had. */
	if (class->relowner != leaf->owner)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the owner of table %s has been changed during the backfill", leaf->name),
				 errhint("CALL again with the same arguments to go on.")));
	ReleaseSysCache(tuple);
	return outcome;
}

static void
update_range(Range *range)
{
	Datum		values[] = {PointerGetDatum(&range->bounds[0]), PointerGetDatum(&range->bounds[1])};

	plan_as_range_scan(&range->batcher->update, range->batcher->update_sql,
					   range->batcher->leaf);
	range->planned = true;
	dbops_batch_check_at_once();
	range->rows = dbops_statement_run(range->batcher->update, values, false,
									  refuse_met_again, range);
}

/* Change what nobody else locks, and count what is left. */
static BackfillOutcome
skip_range(Range *range)
{
	Datum		values[] = {PointerGetDatum(&range->bounds[0]), PointerGetDatum(&range->bounds[1])};

	if (!plan_to_skip(range->batcher))
		return BATCH_ROWS_LOCKED;
	range->planned = true;
	dbops_batch_check_at_once();
	range->rows = dbops_statement_run(range->batcher->skip, values, false, refuse_met_again, range);
	count_range(range);
	return BATCH_DONE;
}

/* Have that statement planned; false if the planner will not do it by ranges. */
static bool
plan_to_skip(BackfillBatcher *batcher)
{
	if (batcher->skip == NULL)
	{
		plan_as_range_scan(&batcher->update, batcher->update_sql, batcher->leaf);
		batcher->skip =
			prepare(dbops_backfill_skip_sql(batcher->change, batcher->leaf,
											look_at(batcher->update, batcher->leaf, InvalidOid).assigns_key,
											batcher->returning));
	}
	if (look_at(batcher->skip, batcher->leaf, InvalidOid).skips)
		return true;
	dbops_statement_free(batcher->skip);
	batcher->skip = NULL;
	return false;
}

static void
count_range(Range *range)
{
	Datum		values[] = {PointerGetDatum(&range->bounds[0]), PointerGetDatum(&range->bounds[1])};

	plan_as_range_scan(&range->batcher->count, range->batcher->count_sql,
					   range->batcher->leaf);
	range->planned = true;
	dbops_statement_run(range->batcher->count, values, !range->update, take_counts, &range->counts);
}

static DbopsStatement *
prepare(const char *sql)
{
	static const Oid types[2] = {TIDOID, TIDOID};

	return dbops_statement_prepare(sql, 2, types);
}

/*
 * Have the statement planned now, while the hook is told of it, so that it
 * will run with that plan. A plan that was made behind our back (the server
 * replans after a change of the table) is made again.
 */
static void
plan_as_range_scan(DbopsStatement **statement, const char *sql, const BackfillLeaf *leaf)
{
	if (*statement == NULL)
		*statement = prepare(sql);
	if (look_at(*statement, leaf, InvalidOid).as_meant)
		return;

	dbops_statement_free(*statement);
	*statement = NULL;
	*statement = prepare(sql);
	if (!look_at(*statement, leaf, InvalidOid).as_meant)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the planner does not read table %s by ranges of blocks", leaf->name),
				 errdetail("Every batch would read the whole table."),
				 errhint("Remove from where_clause what keeps it from a TID Range Scan.")));
}

static PlanLook
look_at(DbopsStatement *statement, const BackfillLeaf *leaf, Oid index)
{
	PlanLook	look = {
		.leaf = leaf,
		.scan = {.relid = leaf->relid,.index = index,.rows = leaf->batch_rows}
	};

	dbops_scan_inspect(statement, &look.scan, look_at_plan, &look);
	return look;
}

/*
 * Have a statement planned that reads the table by an index, in the order of
 * that; see plan_as_range_scan.
 */
void
dbops_backfill_plan_by_key(DbopsStatement **statement, const char *sql, int nparams,
						   const Oid *types, const BackfillLeaf *leaf, Oid index)
{
	if (*statement == NULL)
		*statement = dbops_statement_prepare(sql, nparams, types);
	if (look_at(*statement, leaf, index).as_meant)
		return;

	dbops_statement_free(*statement);
	*statement = NULL;
	*statement = dbops_statement_prepare(sql, nparams, types);
	if (!look_at(*statement, leaf, index).as_meant)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the planner does not read table %s by its key", leaf->name),
				 errdetail("Every batch would read the whole table."),
				 errhint("Remove from where_clause what keeps it from an Index Scan.")));
}

static void
look_at_plan(PlannedStmt *plan, void *arg)
{
	PlanLook   *look = arg;

	if (plan == NULL)
		elog(ERROR, "a statement for table %s became none or several", look->leaf->name);

	/* The text names the table; the walk means one that had the name. */
	if (rt_fetch(1, plan->rtable)->relid != look->leaf->relid)
		refuse_renamed(look->leaf);
	look->as_meant = dbops_scan_is_as_meant(plan, &look->scan);
	look->skips = dbops_backfill_skips_by_range(plan);
	look->assigns_key = (plan->commandType == CMD_UPDATE) && dbops_backfill_assigns_key(plan, look->leaf);
}

/* The row says whether, as it is now, it would be changed again. */
static void
refuse_met_again(HeapTuple row, TupleDesc desc, void *arg)
{
	Range	   *range = arg;
	bool		isnull;
	Datum		again = heap_getattr(row, 1, desc, &isnull);

	if (!isnull && DatumGetBool(again))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("this backfill could change a row twice"),
				 errdetail("A BEFORE UPDATE trigger of table %s changes what is assigned, what an expression reads or what where_clause asks for, so that a row would be changed again when it is met again.",
						   range->batcher->leaf->name),
				 errhint("Disable the trigger for the time of the backfill, or add to where_clause a condition that the assignment ends and the trigger leaves alone.")));
}

static void
take_counts(HeapTuple row, TupleDesc desc, void *arg)
{
	BackfillCounts *counts = arg;
	bool		isnull;

	counts->pending = DatumGetInt64(heap_getattr(row, 1, desc, &isnull));
	counts->matching = DatumGetInt64(heap_getattr(row, 2, desc, &isnull));
	for (int i = 0; i < desc->natts - 2; i++)
	{
		Datum		size = heap_getattr(row, i + 3, desc, &isnull);

		counts->sizes[i] = isnull ? 0 : DatumGetInt64(size);
	}
}

/* What the last attempt that gave way said. */
const char *
dbops_backfill_obstacle(const BackfillBatcher *batcher)
{
	return batcher->obstacle;
}

/* The error of the last range that failed. */
ErrorData *
dbops_backfill_failure(const BackfillBatcher *batcher)
{
	return batcher->failure;
}
