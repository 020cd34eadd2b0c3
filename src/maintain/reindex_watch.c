/*
 * reindex_watch.c
 *		What a process that rebuilds an index is doing, seen from another one.
 *
 * REINDEX CONCURRENTLY leaves no time to say how far it is, but the server's own
 * progress does: blocks while it builds, and for whom it waits in between.
 */
#include "maintain/reindex.h"

typedef struct Progress
{
	int64	   *done;
	int64	   *total;
	char	   *sentence;
} Progress;

static void take_progress(HeapTuple row, TupleDesc desc, void *arg);

/* Say what it does, and for whom it waits; with its blocks if it counts any. NULL: it builds nothing. */
char *
dbops_reindex_watch(int pid, int64 *done, int64 *total)
{
	DbopsParam	params[] = {dbops_param_int4(pid)};
	Progress	progress = {.done = done,.total = total};

	/* A prepared transaction has no process: the server then shows its own. */
	dbops_store_each("SELECT phase, CASE WHEN phase LIKE 'waiting%' AND current_locker_pid = $1 THEN 'for a prepared transaction'"
					 " WHEN phase LIKE 'waiting%' AND current_locker_pid <> 0 THEN"
					 " format('for process %s (%s)', current_locker_pid,"
					 " coalesce((SELECT nullif(a.application_name, '') FROM pg_stat_get_activity(current_locker_pid::integer) a), 'no application_name')) END,"
					 " blocks_done, blocks_total FROM pg_stat_progress_create_index"
					 " WHERE pid = $1 AND datname = current_database()",
					 lengthof(params), params, take_progress, &progress);
	return progress.sentence;
}

static void
take_progress(HeapTuple row, TupleDesc desc, void *arg)
{
	Progress   *progress = arg;
	char	   *phase = dbops_row_text(row, desc, 1);
	char	   *locker = dbops_row_text(row, desc, 2);
	int64		total = dbops_row_int8(row, desc, 4);

	progress->sentence = (locker == NULL) ? phase : psprintf("%s: %s", phase, locker);
	if (total > 0)
	{
		*progress->done = dbops_row_int8(row, desc, 3);
		*progress->total = total;
	}
}
