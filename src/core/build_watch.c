/*
 * build_watch.c
 *		What a process that builds or drops an index is doing, seen from another one.
 *
 * Statements that are CONCURRENTLY leave no time to say how far they are. Of a
 * build the server's own progress does: blocks while it builds, and for whom it
 * waits in between. Of a drop, and of any wait for the table, the lock does that
 * is waited for.
 */
#include "core/server.h"

typedef struct Progress
{
	int64	   *done;
	int64	   *total;
	char	   *sentence;
} Progress;

/* Who a process is, as a user knows it: SQL of its number. */
#define WHO(pid) \
	"format('for process %s (%s)', " pid "," \
	" coalesce((SELECT nullif(a.application_name, '') FROM pg_stat_get_activity(" pid "::integer) a), 'no application_name'))"

/* The server shows a prepared transaction, which has no process, in its own ways. */
#define PREPARED	"'for a prepared transaction'"

static void take_progress(HeapTuple row, TupleDesc desc, void *arg);
static void take_wait(HeapTuple row, TupleDesc desc, void *arg);

/* Say what it does, and for whom it waits; with its blocks if it counts any. NULL: nothing that takes long. */
char *
dbops_build_watch(int pid, int64 *done, int64 *total)
{
	DbopsParam	params[] = {dbops_param_int4(pid)};
	Progress	progress = {.done = done,.total = total};

	dbops_store_each("SELECT phase, CASE WHEN phase LIKE 'waiting%' AND current_locker_pid = $1 THEN " PREPARED
					 " WHEN phase LIKE 'waiting%' AND current_locker_pid <> 0 THEN " WHO("current_locker_pid") " END,"
					 " blocks_done, blocks_total FROM pg_stat_progress_create_index"
					 " WHERE pid = $1 AND datname = current_database()",
					 lengthof(params), params, take_progress, &progress);
	if (progress.sentence == NULL)
		dbops_store_each("SELECT CASE WHEN blocker = 0 THEN " PREPARED " ELSE " WHO("blocker") " END"
						 " FROM unnest(pg_blocking_pids($1)) blocker ORDER BY blocker LIMIT 1",
						 lengthof(params), params, take_wait, &progress);
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

static void
take_wait(HeapTuple row, TupleDesc desc, void *arg)
{
	((Progress *) arg)->sentence = psprintf("waiting: %s", dbops_row_text(row, desc, 1));
}
