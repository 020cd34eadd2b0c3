/*
 * backfill_progress.c
 *		Tell the caller how far a backfill is, and where it was when it failed.
 */
#include "change/change.h"

#include "storage/proc.h"

static double working_time(const BackfillProgress *progress);
static double share_done(const BackfillProgress *progress);
static char *workers(const BackfillProgress *progress);
static uint64 in_flight(const BackfillProgress *progress);
static double seconds_since(instr_time begin);
static char *batches(uint64 number);

void
dbops_backfill_progress_begin(BackfillProgress *progress, const char *table)
{
	memset(progress, 0, sizeof(*progress));
	progress->table = table;
	INSTR_TIME_SET_CURRENT(progress->begin);
	progress->reported = progress->begin;
}

/* Begin a pass over so many blocks, to change rows or to verify that none is left. */
void
dbops_backfill_progress_pass(BackfillProgress *progress, uint64 blocks, bool verifying)
{
	progress->verifying = verifying;
	progress->blocks_done = 0;
	progress->blocks = blocks;
	INSTR_TIME_SET_CURRENT(progress->pass_begin);
	progress->pass_waited = dbops_job_gates_waited();
}

uint64
dbops_backfill_blocks(List *leaves)
{
	uint64		blocks = 0;
	ListCell   *cell;

	foreach(cell, leaves)
		blocks += ((BackfillLeaf *) lfirst(cell))->blocks;
	return blocks;
}

/* Note what is worked on, for the messages of errors. */
void
dbops_backfill_progress_range(BackfillProgress *progress, const BackfillLeaf *leaf,
							  BlockNumber from, BlockNumber to)
{
	progress->leaf = leaf;
	progress->from = from;
	progress->to = to;
}

/* Note a batch that has been done and is not committed yet. */
void
dbops_backfill_progress_batch(BackfillProgress *progress, uint64 rows)
{
	if (rows == 0)
		return;
	progress->rows += rows;
	progress->batches++;
	progress->batch_rows = rows;
	progress->batch_in = proc_local_xid(MyProc);
}

/* Rows of the last batch, as long as its transaction has not ended. */
static uint64
in_flight(const BackfillProgress *progress)
{
	return (progress->batch_in == proc_local_xid(MyProc)) ? progress->batch_rows : 0;
}

/* Report every dbops.progress_interval: rows, share of the blocks, rate, time left. */
void
dbops_backfill_progress_report(BackfillProgress *progress)
{
	double		elapsed = seconds_since(progress->pass_begin) - (dbops_job_gates_waited() - progress->pass_waited);
	double		share = share_done(progress);
	uint64		rows = progress->rows + (progress->in_part ? progress->other_rows : 0);

	if (dbops_progress_interval == 0 || share <= 0 ||
		seconds_since(progress->reported) * 1000 < dbops_progress_interval)
		return;
	INSTR_TIME_SET_CURRENT(progress->reported);

	share = Min(share, 1);
	if (progress->verifying)
		ereport(NOTICE,
				(errmsg("verifying %s: %.1f %%, about %.0f s left",
						progress->table, 100 * share,
						elapsed * (1 - share) / share)));
	else
		ereport(NOTICE,
				(errmsg("backfill of %s: " UINT64_FORMAT " rows, %.1f %%, %.0f rows/s, about %.0f s left%s",
						progress->table, rows, 100 * share,
						rows / working_time(progress),
						elapsed * (1 - share) / share, workers(progress))));
}

/* Seconds since it began, without those at closed gates. */
static double
working_time(const BackfillProgress *progress)
{
	return Max(seconds_since(progress->begin) - dbops_job_gates_waited(), 0.001);
}

/* The share of the blocks that is done, by all processes. */
static double
share_done(const BackfillProgress *progress)
{
	if (!progress->in_part)
		return (double) progress->blocks_done / Max(progress->blocks, 1);
	return (double) (progress->blocks_done + progress->other_blocks_done) /
		Max(progress->blocks + progress->other_blocks, 1);
}

/* How many processes are at work, where there can be several. */
static char *
workers(const BackfillProgress *progress)
{
	if (!progress->in_part || progress->workers == 0)
		return "";
	return psprintf(", %d %s", progress->workers, progress->workers == 1 ? "worker" : "workers");
}

/* Sum up what has been done and how fast. */
char *
dbops_backfill_progress_pace(const BackfillProgress *progress)
{
	double		waited = dbops_job_gates_waited();

	return psprintf("%s, %.1f s, %.0f rows/s.%s", batches(progress->batches),
					working_time(progress), progress->rows / working_time(progress),
					waited > 0 ? psprintf(" Closed gates were waited for %.0f s.", waited) : "");
}

/* Add to an error where it happened and what stays done. */
void
dbops_backfill_progress_context(void *arg)
{
	BackfillProgress *progress = arg;
	uint64		lost = in_flight(progress);
	char	   *rows = dbops_backfill_rows(progress->rows - lost);
	char	   *number = batches(progress->batches - (lost > 0));

	if (progress->leaf == NULL)
		return;
	if (progress->keys != NULL)
		errcontext("backfill of table %s, %s; %s in %s committed before",
				   progress->leaf->name, progress->keys, rows, number);
	else if (progress->in_part)
		errcontext("backfill of table %s, blocks %u to %u",
				   progress->leaf->name, progress->from, progress->to - 1);
	else
		errcontext("backfill of table %s, blocks %u to %u; %s in %s committed before",
				   progress->leaf->name, progress->from, progress->to - 1, rows, number);

	if (geterrcode() == ERRCODE_QUERY_CANCELED && !progress->job)
	{
		errdetail("%s in %s committed before, which stay changed.", rows, number);
		errhint("CALL again with the same arguments to go on: rows that no longer match, or have their value, are left alone.");
	}
}

static double
seconds_since(instr_time begin)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, begin);
	return INSTR_TIME_GET_DOUBLE(now);
}

/* Write a number of rows. */
char *
dbops_backfill_rows(uint64 number)
{
	return psprintf(UINT64_FORMAT " %s", number, number == 1 ? "row" : "rows");
}

static char *
batches(uint64 number)
{
	return psprintf(UINT64_FORMAT " %s", number, number == 1 ? "batch" : "batches");
}
