/*
 * reindex_run.c
 *		The rebuild itself, and the removal of what one has left.
 *
 * The phases rebuild and clean of a job of rebuilds. A step asks the catalogs how
 * far it is, and has the statement that comes next run at top level, when the step
 * is committed. So whoever takes over after a crash goes on the same way.
 */
#include "maintain/reindex_work.h"

#include "core/server.h"
#include "core/sql.h"

#include "portability/instr_time.h"

#define LOCK_WAIT		(10 * 60 * 1000L)	/* ms that a rebuild waits for others' transactions */
#define MOST_DROPS		3		/* tries to remove what is left */

static void have_rebuilt(ReindexWork *work, DbopsStep *step);
static void rebuild_outside(void *arg);
static void rebuild(void *arg);
static void clean_outside(void *arg);

/* Ask the catalogs how far it is, and have done what comes next. */
void
dbops_reindex_rebuild_step(DbopsJob *job, void *state, DbopsStep *step)
{
	ReindexWork *work = state;

	dbops_reindex_take_begun(work);
	if (work->begun == NULL)
		dbops_reindex_go_to(step, REINDEX_GATE);
	else if (work->drops < MOST_DROPS && dbops_leftover_of_job(job->id) != NULL)
		dbops_reindex_go_to(step, REINDEX_CLEAN);
	else if (work->ran || work->met != NULL || dbops_reindex_outcome(work->begun) != REINDEX_NOT_DONE)
		dbops_reindex_go_to(step, REINDEX_NOTE);
	else
		have_rebuilt(work, step);
	dbops_reindex_put_position(work, step);
}

/* Have it rebuilt after the step, when nobody else has the table. */
static void
have_rebuilt(ReindexWork *work, DbopsStep *step)
{
	const char *obstacle = dbops_reindex_lock_obstacle(work->begun->table, true);

	if (obstacle != NULL && dbops_reindex_waits(work, step, obstacle))
		return;
	step->outside = rebuild_outside;
	step->outside_arg = work;
	step->outside_what = dbops_reindex_sql(work->begun);
}

static void
rebuild_outside(void *arg)
{
	ReindexWork *work = arg;
	MemoryContext passing;
	instr_time	begin;
	instr_time	end;

	INSTR_TIME_SET_CURRENT(begin);
	work->met = dbops_reindex_try(rebuild, work, work->memory);
	work->ran = (work->met == NULL);
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, begin);
	work->took = Max((int64) INSTR_TIME_GET_MILLISEC(end), 1);
	passing = MemoryContextSwitchTo(work->memory);
	work->blocker = dbops_blocker_watched();
	MemoryContextSwitchTo(passing);
}

/* At top level. Its index expressions are the table's owner's, and run as that. */
static void
rebuild(void *arg)
{
	ReindexWork *work = arg;
	char	   *sql = dbops_reindex_sql(work->begun);
	RawStmt    *raw = linitial_node(RawStmt, dbops_sql_parse(sql, RAW_PARSE_DEFAULT));

	dbops_job_setting_put("search_path", dbops_query_safe_path(work->job->path));
	dbops_job_setting_put("lock_timeout", psprintf("%ld", LOCK_WAIT));
	(void) dbops_sql_run_own(raw, sql, true);
}

/* Have removed what is left of a rebuild that was cut off. */
void
dbops_reindex_clean_step(DbopsJob *job, void *state, DbopsStep *step)
{
	ReindexWork *work = state;
	MemoryContext passing = MemoryContextSwitchTo(work->memory);

	work->leftover = dbops_leftover_of_job(job->id);
	MemoryContextSwitchTo(passing);
	dbops_reindex_take_begun(work);
	if (work->begun == NULL || work->leftover == NULL || work->drops >= MOST_DROPS)
		dbops_reindex_go_to(step, REINDEX_REBUILD);
	else
	{
		/* The old index is invalid once the new one has its place. */
		if (work->leftover->index == work->begun->index)
			work->ran = true;
		step->outside = clean_outside;
		step->outside_arg = work;
		step->outside_what = dbops_leftover_sql(work->leftover);
	}
	dbops_reindex_put_position(work, step);
}

/* What cannot be removed stays, is shown by leftover_indexes(), and is tried again when the next job begins. */
static void
clean_outside(void *arg)
{
	ReindexWork *work = arg;
	ErrorData  *error = dbops_reindex_try(dbops_leftover_drop, work->leftover, work->memory);

	if (error != NULL)
		work->drops++;
}
