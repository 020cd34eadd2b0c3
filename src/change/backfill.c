/*
 * backfill.c
 *		CALL dbops.batched_backfill(): change the rows of a large table in short
 *		transactions, in the calling session.
 *
 * The table is walked once in block order, up to the block that was its last
 * when the walk began, with a commit for every batch; what a row costs does
 * not depend on the size of the table. Then it is proved that no row is left,
 * or said how many are and why.
 *
 * Nothing is remembered between calls: what has been committed no longer
 * matches or holds its value already, so that the same call goes on where the
 * last one was cut off.
 */
#include "change/change.h"

#include <math.h>

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "replication/syncrep.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(dbops_batched_backfill);

static void read_request(FunctionCallInfo fcinfo, BackfillRequest *request);
static void require_argument(FunctionCallInfo fcinfo, int number, const char *name);
static long read_pause(const Interval *pause);
static void plan(BackfillRun *run);
static void walk(BackfillRun *run);
static void make_durable(void);
static void report(const BackfillRun *run);
static void report_locked(const BackfillRun *run);
static void report_left(const BackfillRun *run);

/*
 * batched_backfill(table_name regclass, set_clause text, where_clause text,
 *					batch_size int, pause interval, verify boolean)
 */
Datum
dbops_batched_backfill(PG_FUNCTION_ARGS)
{
	BackfillRun *run;
	ErrorContextCallback context;

	dbops_procedure_begin(fcinfo, "batched_backfill");
	PreventCommandIfReadOnly("CALL dbops.batched_backfill()");
	run = palloc0(sizeof(BackfillRun));
	read_request(fcinfo, &run->request);

	context.previous = error_context_stack;
	context.callback = dbops_backfill_progress_context;
	context.arg = &run->progress;
	error_context_stack = &context;

	plan(run);
	walk(run);
	if (run->request.verify)
		dbops_backfill_verify(run);
	make_durable();

	error_context_stack = context.previous;
	report(run);
	dbops_procedure_end();
	PG_RETURN_VOID();
}

static void
read_request(FunctionCallInfo fcinfo, BackfillRequest *request)
{
	require_argument(fcinfo, 0, "table_name");
	require_argument(fcinfo, 1, "set_clause");
	require_argument(fcinfo, 3, "batch_size");
	require_argument(fcinfo, 4, "pause");
	require_argument(fcinfo, 5, "verify");

	request->relid = PG_GETARG_OID(0);
	request->set_clause = text_to_cstring(PG_GETARG_TEXT_PP(1));
	request->where_clause = PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2));
	request->batch_size = PG_GETARG_INT32(3);
	request->pause = read_pause(PG_GETARG_INTERVAL_P(4));
	request->verify = PG_GETARG_BOOL(5);

	if (request->batch_size <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("batch_size must be at least 1 row")));
}

static void
require_argument(FunctionCallInfo fcinfo, int number, const char *name)
{
	if (PG_ARGISNULL(number))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name)));
}

/* Take an interval for milliseconds, at most an hour. */
static long
read_pause(const Interval *pause)
{
	double		seconds = pause->time / (double) USECS_PER_SEC +
		(double) SECS_PER_DAY * (pause->day + (double) DAYS_PER_MONTH * pause->month);

	if (seconds < 0 || seconds > SECS_PER_HOUR)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("pause must be between 0 and 1 hour")));
	return (long) ceil(seconds * 1000);
}

/*
 * Look at the table and understand the change, in a transaction that changes
 * nothing. Everything that can be refused is refused here.
 */
static void
plan(BackfillRun *run)
{
	char	   *table = get_rel_name(run->request.relid);

	if (table == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table with OID %u does not exist", run->request.relid)));

	dbops_backfill_progress_begin(&run->progress, quote_identifier(table));
	run->leaves = dbops_backfill_leaves(&run->request);
	run->change = dbops_backfill_understand(&run->request);
	dbops_procedure_commit();
}

/* Walk all tables once. */
static void
walk(BackfillRun *run)
{
	ListCell   *cell;

	dbops_backfill_progress_pass(&run->progress, dbops_backfill_blocks(run->leaves), false);
	foreach(cell, run->leaves)
		dbops_backfill_walk_table(run, lfirst(cell));
}

/*
 * Make all batches as durable as the session's synchronous_commit asks for;
 * each of them alone was committed without waiting.
 */
static void
make_durable(void)
{
	if (synchronous_commit <= SYNCHRONOUS_COMMIT_OFF || XLogRecPtrIsInvalid(XactLastCommitEnd))
		return;
	XLogFlush(XactLastCommitEnd);

	/* As at a commit, the wait for standbys handles interrupts itself. */
	HOLD_INTERRUPTS();
	SyncRepWaitForLSN(XactLastCommitEnd, true);
	RESUME_INTERRUPTS();
}

/* Say what was done. */
static void
report(const BackfillRun *run)
{
	if (run->pending > 0 || run->unfilled > 0)
		report_left(run);
	else if (run->rows_locked && !run->request.verify)
		report_locked(run);
	else
		ereport(NOTICE,
				(errmsg("backfill of %s: %s changed, %s",
						run->progress.table, dbops_backfill_rows(run->progress.rows),
						run->request.verify ? "none left" : "not verified"),
				 errdetail_internal("%s", dbops_backfill_progress_pace(&run->progress))));
}

/* Say that rows were left out, where it was not asked for their number. */
static void
report_locked(const BackfillRun *run)
{
	ereport(WARNING,
			(errmsg("backfill of %s: %s changed, rows that other transactions lock left out",
					run->progress.table, dbops_backfill_rows(run->progress.rows)),
			 errdetail("The last attempt said: %s.", run->obstacle),
			 errhint("CALL again with the same arguments when those have ended.")));
}

/* Say how many rows are left and why. */
static void
report_left(const BackfillRun *run)
{
	const char *reason;
	const char *hint;

	if (run->pending == 0)
	{
		reason = psprintf("The expression for column \"%s\" yields NULL for them, which is what where_clause asks for.",
						  run->change->null_column);
		hint = "Give an expression that is never NULL, such as COALESCE(..., default).";
	}
	else if (run->rows_locked)
	{
		reason = psprintf("They are locked by other transactions. The last attempt said: %s.",
						  run->obstacle);
		hint = "CALL again with the same arguments when those have ended.";
	}
	else
	{
		reason = "Other sessions insert or change rows so that they match, a trigger changes what is assigned, or an expression yields NULL.";
		hint = "Make new rows right first (a column default or a trigger), then CALL again with the same arguments.";
	}

	ereport(WARNING,
			(errmsg("backfill of %s: %s changed, %s left",
					run->progress.table, dbops_backfill_rows(run->progress.rows),
					dbops_backfill_rows(run->pending + run->unfilled)),
			 errdetail_internal("%s", reason),
			 errhint("%s", hint)));
}
