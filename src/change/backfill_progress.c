/*
 * backfill_progress.c
 *		Tell the caller how far a backfill is, and where it was when it failed.
 */
#include "change/change.h"

/* Seconds between two notices. */
#define REPORT_INTERVAL 1.0

static double seconds_since(instr_time begin);
static const char *pluralize(uint64 number, const char *one, const char *many);

void
dbops_backfill_progress_begin(BackfillProgress *progress, const char *table)
{
	memset(progress, 0, sizeof(*progress));
	progress->table = table;
	INSTR_TIME_SET_CURRENT(progress->begin);
	progress->reported = progress->begin;
}

/* Begin to walk the tables, to change rows or to verify that none is left. */
void
dbops_backfill_progress_pass(BackfillProgress *progress, List *leaves, bool verifying)
{
	ListCell   *cell;

	progress->verifying = verifying;
	progress->blocks_done = 0;
	progress->blocks = 0;
	foreach(cell, leaves)
		progress->blocks += ((BackfillLeaf *) lfirst(cell))->blocks;
	INSTR_TIME_SET_CURRENT(progress->pass_begin);
}

/* Report about once a second: rows, share of the blocks, rate, time left. */
void
dbops_backfill_progress_report(BackfillProgress *progress)
{
	double		elapsed = seconds_since(progress->pass_begin);
	double		share = (double) progress->blocks_done / Max(progress->blocks, 1);

	if (seconds_since(progress->reported) < REPORT_INTERVAL || share <= 0)
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
				(errmsg("backfill of %s: " UINT64_FORMAT " rows, %.1f %%, %.0f rows/s, about %.0f s left",
						progress->table, progress->rows, 100 * share,
						progress->rows / seconds_since(progress->begin),
						elapsed * (1 - share) / share)));
}

/* Sum up what has been done and how fast. */
char *
dbops_backfill_progress_pace(const BackfillProgress *progress)
{
	double		elapsed = Max(seconds_since(progress->begin), 0.001);

	return psprintf(UINT64_FORMAT " %s in " UINT64_FORMAT " %s, %.1f s, %.0f rows/s.",
					progress->rows, pluralize(progress->rows, "row", "rows"),
					progress->batches, pluralize(progress->batches, "batch", "batches"),
					elapsed, progress->rows / elapsed);
}

/* Add to an error where it happened and what stays done. */
void
dbops_backfill_progress_context(void *arg)
{
	BackfillProgress *progress = arg;

	if (progress->leaf != NULL)
		errcontext("backfill of table %s, blocks %u to %u; " UINT64_FORMAT " rows in " UINT64_FORMAT " batches are committed",
				   progress->leaf->name, progress->from, progress->to - 1,
				   progress->rows, progress->batches);

	if (geterrcode() == ERRCODE_QUERY_CANCELED && progress->leaf != NULL)
	{
		errdetail(UINT64_FORMAT " rows in " UINT64_FORMAT " batches are committed and stay changed.",
				  progress->rows, progress->batches);
		errhint("CALL again with the same arguments to go on: rows that have been changed are left alone.");
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

static const char *
pluralize(uint64 number, const char *one, const char *many)
{
	return number == 1 ? one : many;
}
