/*
 * backfill.c
 *		CALL dbops.batched_backfill(): change the rows of a large table in short
 *		transactions, in the calling session.
 *
 * The table is walked once in block order, up to the block that was its last
 * when the walk began, with a commit for every batch; what a row costs does
 * not depend on the size of the table. A row can escape the walk: another
 * session moves it behind the walk, changes it at the very moment, or holds
 * its lock. So the walk is followed by sweeps that count the rows which are
 * still to be changed and change them, until a sweep finds none: that is the
 * proof. A sweep that gets nowhere ends the call, which says how many rows
 * are left and why.
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

/* A walk begins with batches of this many blocks and doubles them. */
#define FIRST_BLOCKS 64

/* Blocks that a sweep counts in one transaction (32 MB). */
#define SWEEP_BLOCKS 4096

/* Sweeps that may find no fewer rows than before, while they find few or many. */
#define STALLED_SWEEPS_FEW 3
#define STALLED_SWEEPS_MANY 1

/* How often, and how long at first, rows locked by others are waited for. */
#define LOCKED_ROUNDS 6
#define LOCKED_WAIT 100L		/* ms; doubles each round */

/* How long a lock on the table is waited for, in total and between tries. */
#define TABLE_PATIENCE 60000L	/* ms */
#define TABLE_WAIT 100L			/* ms */

typedef struct BackfillRun
{
	BackfillRequest request;
	BackfillChange *change;
	List	   *leaves;			/* BackfillLeaf */
	BackfillProgress progress;
	uint64		pending;		/* rows that the last sweep found to be changed */
	uint64		unfilled;		/* rows that still match because they got NULL */
	bool		rows_locked;	/* some were left because others lock them */
} BackfillRun;

/* A walk over the blocks of one table. */
typedef struct Walk
{
	BackfillRun *run;
	BackfillLeaf *leaf;
	BackfillBatcher *batcher;
	BlockNumber size;			/* blocks of the next batch */
	List	   *locked;			/* blocks left out because others lock their rows */
	long		waited;			/* ms waited for the table's lock since the last batch */
	bool		restart;		/* the table was rewritten: begin again */
} Walk;

PG_FUNCTION_INFO_V1(dbops_batched_backfill);

static void read_request(FunctionCallInfo fcinfo, BackfillRequest *request);
static void require_argument(FunctionCallInfo fcinfo, int number, const char *name);
static long read_pause(const Interval *pause);
static void plan(BackfillRun *run);
static void fill(BackfillRun *run);
static void fill_leaf(BackfillRun *run, BackfillLeaf *leaf);
static void fill_range(Walk *walk, BlockNumber from, BlockNumber to);
static BlockNumber take_batch(Walk *walk, BlockNumber from, BlockNumber to);
static void adapt_size(Walk *walk, uint64 rows);
static BackfillOutcome update_batch(Walk *walk, BlockNumber from, BlockNumber to, uint64 *rows);
static void retry_locked(Walk *walk);
static void wait_for_table(Walk *walk);
static void verify(BackfillRun *run);
static void sweep(BackfillRun *run, bool change);
static void sweep_leaf(BackfillRun *run, BackfillLeaf *leaf, bool change);
static BlockNumber sweep_range(Walk *walk, BlockNumber from, bool change);
static void begin_walk(Walk *walk, BackfillRun *run, BackfillLeaf *leaf);
static void end_walk(Walk *walk);
static void make_durable(void);
static void report(const BackfillRun *run);
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
	fill(run);
	if (run->request.verify)
		verify(run);
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
	dbops_set_local("lock_timeout", psprintf("%ld", TABLE_PATIENCE));
	run->leaves = dbops_backfill_leaves(&run->request);
	run->change = dbops_backfill_understand(&run->request);
	dbops_procedure_commit();
}

/* Walk all tables once. */
static void
fill(BackfillRun *run)
{
	ListCell   *cell;

	dbops_backfill_progress_pass(&run->progress, run->leaves, false);
	foreach(cell, run->leaves)
		fill_leaf(run, lfirst(cell));
}

/* Walk one table, anew if it is rewritten meanwhile. */
static void
fill_leaf(BackfillRun *run, BackfillLeaf *leaf)
{
	Walk		walk;

	begin_walk(&walk, run, leaf);
	do
	{
		walk.restart = false;
		fill_range(&walk, 0, leaf->blocks);
		retry_locked(&walk);
	} while (walk.restart);
	end_walk(&walk);
}

/* Change the rows of [from, to) batch by batch. */
static void
fill_range(Walk *walk, BlockNumber from, BlockNumber to)
{
	BackfillProgress *progress = &walk->run->progress;

	while (from < to && !walk->restart)
	{
		BlockNumber next = take_batch(walk, from, Min(to, from + walk->size));

		if (!progress->verifying)
			progress->blocks_done += next - from;
		from = next;
		dbops_backfill_progress_report(progress);
	}
}

/* Do a batch, or what keeps it from being done. Returns where to go on. */
static BlockNumber
take_batch(Walk *walk, BlockNumber from, BlockNumber to)
{
	uint64		rows;

	switch (update_batch(walk, from, to, &rows))
	{
		case BATCH_DONE:
			walk->waited = 0;
			adapt_size(walk, rows);
			if (rows > 0)
				dbops_clock_wait(walk->run->request.pause);
			return to;

		case BATCH_ROWS_LOCKED:
			/* Split, so that only the rows that are locked have to wait. */
			walk->size = Max((to - from) / 2, 1);
			if (to - from > 1)
				return from;
			walk->locked = lappend_oid(walk->locked, from);
			return to;

		case BATCH_TABLE_LOCKED:
			wait_for_table(walk);
			return from;

		case BATCH_REWRITTEN:
			ereport(NOTICE,
					(errmsg("table %s was rewritten, beginning again with its first block",
							walk->leaf->name)));
			dbops_backfill_look_again(walk->leaf, walk->run->request.batch_size);
			dbops_procedure_commit();
			walk->restart = true;
			return to;

		case BATCH_GONE:
			return to;
	}
	return to;					/* keep the compiler quiet */
}

/* Run a batch and commit it. */
static BackfillOutcome
update_batch(Walk *walk, BlockNumber from, BlockNumber to, uint64 *rows)
{
	BackfillProgress *progress = &walk->run->progress;
	BackfillOutcome outcome;

	progress->leaf = walk->leaf;
	progress->from = from;
	progress->to = to;
	outcome = dbops_backfill_update(walk->batcher, from, to, rows);
	dbops_procedure_commit();

	if (*rows > 0)
	{
		progress->rows += *rows;
		progress->batches++;
	}
	return outcome;
}

/* Grow towards the size that the table's density suggests, or correct it. */
static void
adapt_size(Walk *walk, uint64 rows)
{
	if (rows > walk->run->request.batch_size)
		walk->leaf->batch_blocks =
			Max((double) walk->size * walk->run->request.batch_size / rows, 1);
	walk->size = Min(walk->size * 2, walk->leaf->batch_blocks);
}

/* Come back to the blocks whose rows others had locked, a few times. */
static void
retry_locked(Walk *walk)
{
	for (int round = 0; round < LOCKED_ROUNDS && walk->locked != NIL && !walk->restart; round++)
	{
		List	   *blocks = walk->locked;
		ListCell   *cell;

		dbops_clock_wait(LOCKED_WAIT << round);
		walk->locked = NIL;
		foreach(cell, blocks)
		{
			walk->size = 1;
			fill_range(walk, lfirst_oid(cell), lfirst_oid(cell) + 1);
		}
		list_free(blocks);
	}
	walk->run->rows_locked |= (walk->locked != NIL);
	list_free(walk->locked);
	walk->locked = NIL;
}

/* Wait for the lock on the table without standing in its queue. */
static void
wait_for_table(Walk *walk)
{
	if (walk->waited >= TABLE_PATIENCE)
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("table %s has been locked by other sessions for too long",
						walk->leaf->name),
				 errhint("Look for them in pg_locks, and CALL again with the same arguments to go on: rows that have been changed are left alone.")));
	if (walk->waited == 0)
		ereport(NOTICE,
				(errmsg("waiting for a lock on table %s that another session holds",
						walk->leaf->name)));
	dbops_clock_wait(TABLE_WAIT);
	walk->waited += TABLE_WAIT + dbops_backfill_lock_timeout;
}

/*
 * Sweep until nothing is left, or sweeping does not help: a trigger that
 * undoes the assignment must not have the table rewritten for ever.
 */
static void
verify(BackfillRun *run)
{
	uint64		last = run->progress.rows;
	int			stalled = 0;

	for (;;)
	{
		uint64		before = run->progress.rows;

		sweep(run, true);
		if (run->pending == 0)
			return;
		if (run->progress.rows == before)
			return;				/* what was found could not be changed */
		if (run->pending >= last)
			stalled++;
		if (stalled >= (run->pending <= run->request.batch_size ?
						STALLED_SWEEPS_FEW : STALLED_SWEEPS_MANY))
			break;
		last = run->pending;
	}
	sweep(run, false);
}

/* Count what is left in all tables, with those that have come meanwhile. */
static void
sweep(BackfillRun *run, bool change)
{
	ListCell   *cell;

	dbops_set_local("lock_timeout", psprintf("%ld", TABLE_PATIENCE));
	run->leaves = dbops_backfill_leaves(&run->request);
	dbops_procedure_commit();

	run->pending = 0;
	run->unfilled = 0;
	run->rows_locked = false;
	dbops_backfill_progress_pass(&run->progress, run->leaves, true);
	foreach(cell, run->leaves)
		sweep_leaf(run, lfirst(cell), change);
}

static void
sweep_leaf(BackfillRun *run, BackfillLeaf *leaf, bool change)
{
	Walk		walk;
	BlockNumber from = 0;

	begin_walk(&walk, run, leaf);
	while (from < leaf->blocks)
	{
		from = sweep_range(&walk, from, change);
		if (walk.restart)
			from = 0;
		walk.restart = false;
		dbops_backfill_progress_report(&run->progress);
	}
	retry_locked(&walk);
	end_walk(&walk);
}

/* Count a range, and change what is found. Returns where to go on. */
static BlockNumber
sweep_range(Walk *walk, BlockNumber from, bool change)
{
	BackfillRun *run = walk->run;
	BlockNumber to = Min(from + SWEEP_BLOCKS, walk->leaf->blocks);
	BackfillCounts counts = {0};
	BackfillOutcome outcome;

	run->progress.leaf = walk->leaf;
	run->progress.from = from;
	run->progress.to = to;
	outcome = dbops_backfill_count(walk->batcher, from, to, &counts);
	dbops_procedure_commit();

	if (outcome == BATCH_TABLE_LOCKED || outcome == BATCH_ROWS_LOCKED)
	{
		wait_for_table(walk);
		return from;
	}
	walk->waited = 0;
	run->pending += counts.pending;
	if (run->change->null_column != NULL)
		run->unfilled += counts.matching - counts.pending;
	run->progress.blocks_done += to - from;

	if (outcome == BATCH_REWRITTEN || (counts.pending > 0 && change))
		fill_range(walk, from, to);
	return to;
}

static void
begin_walk(Walk *walk, BackfillRun *run, BackfillLeaf *leaf)
{
	memset(walk, 0, sizeof(*walk));
	walk->run = run;
	walk->leaf = leaf;
	walk->batcher = dbops_backfill_batcher(run->change, leaf);
	walk->size = Min(FIRST_BLOCKS, leaf->batch_blocks);
}

static void
end_walk(Walk *walk)
{
	dbops_backfill_batcher_free(walk->batcher);
	walk->run->progress.leaf = NULL;
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
	SyncRepWaitForLSN(XactLastCommitEnd, true);
}

/* Say what was done. */
static void
report(const BackfillRun *run)
{
	if (run->pending > 0 || run->unfilled > 0)
		report_left(run);
	else
		ereport(NOTICE,
				(errmsg("backfill of %s: %s changed, %s",
						run->progress.table, dbops_backfill_rows(run->progress.rows),
						run->request.verify ? "none left" : "not verified"),
				 errdetail_internal("%s", dbops_backfill_progress_pace(&run->progress))));
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
		reason = "They are locked by other transactions.";
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
