/*
 * job_standstill.c
 *		A job at work elsewhere that does not get on, for calls that wait for it.
 *
 * It gets on when its cursor moves, and while its process is at work in one long
 * statement. What waits for a lock, at a gate or in the queue does not, however
 * often it tries: whoever waits for that shall be told so, and not for ever.
 */
#include "maintain/maintain.h"

#include "core/server.h"

static void look(HeapTuple row, TupleDesc desc, void *arg);
static void note_waiting(JobProgress *progress);
static void refuse(const JobProgress *progress);

/* Once it has not got on for as long as the caller has patience, refuse to wait on. */
void
dbops_job_require_progress(JobProgress *progress)
{
	DbopsParam	param = dbops_param_int8(progress->id);

	dbops_store_each("SELECT hashtextextended(concat_ws(' ', c.phase, c.done, c.row_count, c.position), 0),"
					 " coalesce((extract(epoch FROM a.xact_start) * 1000000)::bigint, 0),"
					 " coalesce(a.wait_event_type IN ('IO', 'IPC', 'LWLock', 'BufferPin'), a.state = 'active', false)"
					 " FROM dbops.job j LEFT JOIN dbops.job_cursor c ON c.job_id = j.id"
					 " LEFT JOIN pg_stat_get_activity(j.runner_pid) a ON j.state = 'running' WHERE j.id = $1",
					 1, &param, look, progress);
	note_waiting(progress);
	if (GetCurrentTimestamp() >= TimestampTzPlusMilliseconds(progress->moved_at, progress->patience))
		refuse(progress);
}

/* A transaction that was there at the last look, and works, is one long statement. */
static void
look(HeapTuple row, TupleDesc desc, void *arg)
{
	JobProgress *progress = arg;
	int64		mark = dbops_row_int8(row, desc, 1);
	int64		began = dbops_row_int8(row, desc, 2);
	bool		works = dbops_row_bool(row, desc, 3);

	if (mark != progress->mark || (works && began != 0 && began == progress->began))
	{
		progress->moved_at = GetCurrentTimestamp();
		progress->waiting[0] = '\0';
	}
	progress->mark = mark;
	progress->began = began;
}

/* Between its waits it tries, which takes a moment and is no news. */
static void
note_waiting(JobProgress *progress)
{
	int			index;

	if (dbops_engine == NULL)
		return;
	LWLockAcquire(dbops_engine_lock, LW_SHARED);
	index = dbops_runner_find(MyDatabaseId, progress->id);
	if (index >= 0 && dbops_engine->runners[index].waiting[0] != '\0')
		strlcpy(progress->waiting, dbops_engine->runners[index].waiting, ENGINE_WAITING);
	LWLockRelease(dbops_engine_lock);
}

static void
refuse(const JobProgress *progress)
{
	DbopsParam	param = dbops_param_int8(progress->id);
	char	   *waiting = dbops_store_text("SELECT dbops.job_status($1) ->> 'waiting'", 1, &param);

	if (waiting == NULL && progress->waiting[0] != '\0')
		waiting = pstrdup(progress->waiting);
	ereport(ERROR,
			(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
			 errmsg("job " INT64_FORMAT ", which is at work on this already, has not got on for %s",
					progress->id, dbops_figure_duration(progress->patience / 1000.0)),
			 waiting != NULL ? errdetail_internal("It waits %s", waiting) : 0,
			 errhint("It goes on; CALL dbops.wait_job(" INT64_FORMAT ") waits for it, and dbops.cancel_job(" INT64_FORMAT ") ends it.",
					 progress->id, progress->id)));
}
