/*
 * reindex_job.c
 *		Rebuild indexes, one after the other: those that a policy finds, or one
 *		that is asked for by name, or its partitions.
 *
 *		choose -> gate -> rebuild -> note -> gate ... -> the end
 *		               rebuild -> clean -> rebuild
 *
 * choose writes down which indexes come into question, the largest first, and the
 * next ones when those are done with; gate measures the next one and sees whether
 * it is worth it and can be begun;
 * rebuild has it rebuilt at top level and asks the catalogs what has come of it;
 * clean removes what a rebuild has left that was cut off; note measures again
 * and keeps both figures. A process may die at any point: another one goes on
 * from the cursor and what was written down when the rebuild was begun.
 *
 * A policy leaves out what cannot be rebuilt now, and goes on; what is asked for
 * by name waits for what passes, and is blocked by what does not.
 */
#include "maintain/reindex_work.h"

#include "core/server.h"

#include "catalog/pg_class.h"

#define MOST_INDEXES	100		/* that are chosen at once */
#define MOST_REBUILT	100		/* in one run; the others come with the next */

static void *open_job(DbopsJob *job);
static Jsonb *result(DbopsJob *job, void *state);
static const char *abandon(const DbopsJob *job, long patience);
static const char *keeps(const DbopsJob *job);
static void choose_step(DbopsJob *job, void *state, DbopsStep *step);
static void submit_leftovers(const DbopsJob *job);
static List *choose(ReindexWork *work);
static bool is_behind(const ReindexWork *work, const ReindexIndex *index);
static bool is_chosen(const ReindexWork *work, const ReindexIndex *index, const List *policies);
static void take_position(ReindexWork *work, const Jsonb *position);

static const DbopsPhase phases[REINDEX_PHASES] = {
	[REINDEX_CHOOSE] = {"choose", DBOPS_CLASS_PLAIN, false, false, choose_step},
	[REINDEX_GATE] = {"gate", DBOPS_CLASS_PLAIN, false, true, dbops_reindex_gate_step},
	[REINDEX_REBUILD] = {"rebuild", DBOPS_CLASS_CONCURRENT_DDL, false, false, dbops_reindex_rebuild_step},
	[REINDEX_CLEAN] = {"clean", DBOPS_CLASS_CONCURRENT_DDL, false, false, dbops_reindex_clean_step},
	[REINDEX_NOTE] = {"note", DBOPS_CLASS_PLAIN, false, true, dbops_reindex_note_step}
};

const DbopsJobKind dbops_reindex_kind = {
	.name = "reindex",
	.unit = "blocks",
	.phases = phases,
	.n_phases = REINDEX_PHASES,
	.open = open_job,
	.result = result,
	.abandon = abandon,
	.keeps = keeps,
	.watch = dbops_build_watch
};

static void *
open_job(DbopsJob *job)
{
	ReindexWork *work = palloc0(sizeof(ReindexWork));

	work->job = job;
	work->memory = CurrentMemoryContext;
	if (dbops_jsonb_integer(job->spec, "policy") != 0)
		work->policy = dbops_policy_of_job(job);
	work->limits = dbops_reindex_limits(work->policy);
	if (job->position != NULL)
		take_position(work, job->position);
	return work;
}

static Jsonb *
result(DbopsJob *job, void *state)
{
	const ReindexWork *work = state;
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	dbops_json_integer(&json, "rebuilt", work->rebuilt);
	dbops_json_integer(&json, "skipped", work->skipped);
	dbops_json_integer(&json, "failed", work->failed);
	dbops_json_integer(&json, "bytes_won", work->won);
	dbops_json_text(&json, "message",
					psprintf("%d rebuilt, %s won; %d left out, %d failed%s", (int) work->rebuilt,
							 dbops_figure_bytes(work->won), (int) work->skipped, (int) work->failed,
							 work->skipped + work->failed > 0 ? ": see dbops.maintenance_report()" : ""));
	return dbops_json_finish(&json);
}

/* What is left cannot be removed in the transaction that ends the job: another job is to do it. */
static const char *
abandon(const DbopsJob *job, long patience)
{
	const Leftover *leftover = dbops_leftover_of_job(job->id);

	if (leftover != NULL)
		(void) dbops_leftover_submit(leftover, job->owner);
	dbops_reindex_end(job->id);
	return NULL;
}

static const char *
keeps(const DbopsJob *job)
{
	const Leftover *leftover = dbops_leftover_of_job(job->id);

	return (leftover == NULL) ? NULL : psprintf("the invalid index %s stays until it goes on or ends", leftover->name);
}

/* ---- which indexes ---- */

/* Write down which indexes come into question. */
static void
choose_step(DbopsJob *job, void *state, DbopsStep *step)
{
	ReindexWork *work = state;

	submit_leftovers(job);
	dbops_reindex_choose(work);
	dbops_reindex_go_to(step, work->length > 0 ? REINDEX_GATE : REINDEX_PHASES);
	dbops_reindex_put_position(work, step);
}

/* Choose the next ones to be looked at. */
void
dbops_reindex_choose(ReindexWork *work)
{
	List	   *chosen = choose(work);
	ListCell   *cell;

	work->queue = MemoryContextAlloc(work->memory, sizeof(int64) * (list_length(chosen) + 1));
	work->length = 0;
	work->next = 0;
	foreach(cell, chosen)
	{
		work->queue[work->length++] = lfirst_oid(cell);
		work->blocks += dbops_relation_bytes(lfirst_oid(cell)) / BLCKSZ;
	}
}

/* What jobs of ours have left that have ended is removed first. */
static void
submit_leftovers(const DbopsJob *job)
{
	ListCell   *cell;

	foreach(cell, dbops_leftovers_of_ended_jobs(job->owner))
		(void) dbops_leftover_submit(lfirst(cell), job->owner);
}

static List *
choose(ReindexWork *work)
{
	List	   *policies = dbops_reindex_policies();
	List	   *chosen = NIL;
	ListCell   *cell;

	work->more = false;
	if (work->policy == NULL)
		return dbops_reindex_leaves(dbops_jsonb_integer(work->job->spec, "index"));
	foreach(cell, dbops_reindex_indexes(work->policy->relation, work->limits.min_bytes))
	{
		const ReindexIndex *index = lfirst(cell);

		if (list_length(chosen) == MOST_INDEXES)
		{
			work->more = true;
			break;
		}
		if (!is_behind(work, index))
			continue;
		if (is_chosen(work, index, policies))
			chosen = lappend_oid(chosen, index->oid);
		work->last = index->oid;
		work->last_bytes = index->bytes;
	}
	return chosen;
}

/* Does it come behind the last one that was looked at? The largest come first. */
static bool
is_behind(const ReindexWork *work, const ReindexIndex *index)
{
	if (!OidIsValid(work->last) || index->bytes < work->last_bytes)
		return true;
	return index->bytes == work->last_bytes && index->oid > work->last;
}

/* Does it look worth a sample, and is it this policy that looks after it? */
static bool
is_chosen(const ReindexWork *work, const ReindexIndex *index, const List *policies)
{
	const Policy *policy = dbops_reindex_policy_of(index, policies);
	double		estimate;

	return policy != NULL && policy->id == work->policy->id &&
		object_ownercheck(RelationRelationId, index->table, work->job->owner) &&
		dbops_reindex_is_candidate(index, &work->limits, &estimate);
}

/* ---- the cursor, and what was begun ---- */

/* What was begun lasts until it is done with. */
void
dbops_reindex_take_begun(ReindexWork *work)
{
	MemoryContext passing = MemoryContextSwitchTo(work->memory);

	if (work->begun == NULL)
		work->begun = dbops_reindex_begun(work->job->id);
	MemoryContextSwitchTo(passing);
}

void
dbops_reindex_go_to_next(ReindexWork *work, DbopsStep *step)
{
	work->blocks_done += (work->begun != NULL ? work->begun->bytes : dbops_relation_bytes(work->queue[work->next])) / BLCKSZ;
	work->next++;
	work->looks = 0;
	work->drops = 0;
	work->begun = NULL;
	work->ran = false;
	work->took = 0;
	work->met = NULL;
	work->blocker = NULL;
	dbops_reindex_go_to(step, work->next < work->length || (work->more && work->rebuilt < MOST_REBUILT) ?
						REINDEX_GATE : REINDEX_PHASES);
}

void
dbops_reindex_go_to(DbopsStep *step, int phase)
{
	step->finished = true;
	step->goto_phase = phase;
}

void
dbops_reindex_put_position(const ReindexWork *work, DbopsStep *step)
{
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	dbops_json_array(&json, "queue");
	for (int i = 0; i < work->length; i++)
		dbops_json_integer(&json, NULL, work->queue[i]);
	dbops_json_array_end(&json);
	dbops_json_integer(&json, "next", work->next);
	dbops_json_boolean(&json, "more", work->more);
	dbops_json_integer(&json, "last", work->last);
	dbops_json_integer(&json, "last_bytes", work->last_bytes);
	dbops_json_integer(&json, "rebuilt", work->rebuilt);
	dbops_json_integer(&json, "skipped", work->skipped);
	dbops_json_integer(&json, "failed", work->failed);
	dbops_json_integer(&json, "won", work->won);
	dbops_json_integer(&json, "done", work->blocks_done);
	dbops_json_integer(&json, "total", work->blocks);
	step->position = dbops_json_finish(&json);
	step->done = Min(work->blocks_done, work->blocks);
	step->total = work->blocks;
}

static void
take_position(ReindexWork *work, const Jsonb *position)
{
	work->length = dbops_jsonb_integers(position, "queue", &work->queue);
	work->next = dbops_jsonb_integer(position, "next");
	work->more = dbops_jsonb_boolean(position, "more");
	work->last = dbops_jsonb_integer(position, "last");
	work->last_bytes = dbops_jsonb_integer(position, "last_bytes");
	work->rebuilt = dbops_jsonb_integer(position, "rebuilt");
	work->skipped = dbops_jsonb_integer(position, "skipped");
	work->failed = dbops_jsonb_integer(position, "failed");
	work->won = dbops_jsonb_integer(position, "won");
	work->blocks_done = dbops_jsonb_integer(position, "done");
	work->blocks = dbops_jsonb_integer(position, "total");
}
