/*
 * reindex_turn.c
 *		Whether the index whose turn it is is to be rebuilt now.
 *
 * The phase gate of a job of rebuilds: the next index is measured and judged, and
 * what can be known to keep a rebuild from its end is asked (reindex_judge.c,
 * reindex_gate.c). When nothing does, the rebuild is written down as begun. A
 * policy leaves out what is not to be, and goes on to the next; who has asked for
 * an index by name is told.
 */
#include "maintain/reindex_work.h"

#include "core/server.h"

#include <math.h>

#include "catalog/pg_class.h"
#include "miscadmin.h"

#define NAP				5000	/* ms between two looks at what passes */
#define MOST_LOOKS		24		/* of a policy */
#define MOST_LOOKS_ASKED 720	/* at what is asked for by name */

static void note_gone(ReindexWork *work);
static void judge(ReindexWork *work, DbopsStep *step, const ReindexIndex *index);
static const char *rights_obstacle(const ReindexWork *work, const ReindexIndex *index);
static void meet_obstacle(ReindexWork *work, DbopsStep *step, const ReindexIndex *index,
						  const char *obstacle, bool passes);
static void refuse(const ReindexIndex *index, const char *obstacle, bool passes);

/* Judge the next one, and begin its rebuild or go on to the one after it. */
void
dbops_reindex_gate_step(DbopsJob *job, void *state, DbopsStep *step)
{
	ReindexWork *work = state;
	const ReindexIndex *index;

	dbops_reindex_take_begun(work);
	if (work->next >= work->length && work->more)
		dbops_reindex_choose(work);
	if (work->next >= work->length)
		dbops_reindex_go_to(step, REINDEX_PHASES);
	else if (work->begun != NULL)
		dbops_reindex_go_to(step, REINDEX_REBUILD);
	else if ((index = dbops_reindex_index(work->queue[work->next])) != NULL)
		judge(work, step, index);
	else
	{
		if (work->policy == NULL)
			note_gone(work);
		dbops_reindex_go_to_next(work, step);
	}
	dbops_reindex_put_position(work, step);
}

/* Say that an index that somebody has asked for is not there any more. */
static void
note_gone(ReindexWork *work)
{
	dbops_reindex_leave_out(work, work->job->name,
							work->length > 1 ? "one of its indexes has been dropped, or rebuilt by another session" :
							"it has been dropped, or rebuilt by another session", -1);
}

static void
judge(ReindexWork *work, DbopsStep *step, const ReindexIndex *index)
{
	ReindexVerdict verdict = {.estimate = NAN};
	const char *obstacle = rights_obstacle(work, index);
	bool		passes = false;

	if (obstacle == NULL)
	{
		dbops_reindex_judge(index, work->policy ? &work->limits : NULL, true, &verdict);
		obstacle = verdict.obstacle;
		passes = verdict.passes;
		if (obstacle == NULL && verdict.reason == NULL)
			obstacle = psprintf("a rebuild would win %s, %.0f percent of it: less than is asked for",
								dbops_figure_bytes(verdict.bloat.base.wasted), verdict.bloat.base.percent);
	}
	if (obstacle == NULL)
		obstacle = dbops_reindex_obstacle(index, &verdict, work->policy ? work->policy->time_window : NULL,
										  work->policy ? work->policy->time_zone : NULL, &passes);
	if (obstacle == NULL && (obstacle = dbops_reindex_lock_obstacle(index->table, true)) != NULL)
		passes = true;
	if (obstacle != NULL)
	{
		meet_obstacle(work, step, index, obstacle, passes);
		return;
	}
	dbops_reindex_begin(work->job->id, index, &verdict);
	dbops_reindex_take_begun(work);
	work->looks = 0;
	dbops_reindex_go_to(step, REINDEX_REBUILD);
}

/* The table may have been given to another role meanwhile. */
static const char *
rights_obstacle(const ReindexWork *work, const ReindexIndex *index)
{
	if (object_ownercheck(RelationRelationId, index->table, work->job->owner))
		return NULL;
	return psprintf("its table %s belongs to a role that \"%s\" does not act for",
					index->table_name, GetUserNameFromId(work->job->owner, false));
}

/* Wait for what passes; else leave it out, or say to a human what to do. */
static void
meet_obstacle(ReindexWork *work, DbopsStep *step, const ReindexIndex *index,
			  const char *obstacle, bool passes)
{
	if (passes && dbops_reindex_waits(work, step, obstacle))
		return;
	if (work->policy == NULL)
		refuse(index, obstacle, passes);
	dbops_reindex_leave_out(work, index->name, obstacle, index->bytes);
	dbops_reindex_go_to_next(work, step);
}

/* What does not pass blocks the job until somebody has seen to it. */
static void
refuse(const ReindexIndex *index, const char *obstacle, bool passes)
{
	ereport(ERROR,
			(errcode(passes ? ERRCODE_LOCK_NOT_AVAILABLE : ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("index %s is not rebuilt: %s", index->name, obstacle),
			 errhint("See to that, then dbops.resume_job() lets it go on.")));
}

/* Look again after a while; false: it has been waited for long enough. */
bool
dbops_reindex_waits(ReindexWork *work, DbopsStep *step, const char *reason)
{
	if (++work->looks > (work->policy ? MOST_LOOKS : MOST_LOOKS_ASKED))
		return false;
	step->pause = NAP;
	step->waiting = psprintf("to rebuild an index: %s", reason);
	return true;
}
