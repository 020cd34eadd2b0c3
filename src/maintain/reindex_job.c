/*
 * reindex_job.c
 *		Rebuild indexes, one after the other: those that a policy finds, or one
 *		that is asked for by name, or its partitions.
 *
 *		choose -> gate -> rebuild -> note -> gate ... -> the end
 *		               rebuild -> clean -> rebuild
 *
 * choose writes down which indexes come into question, the largest first; gate
 * measures the next one and sees whether it is worth it and can be begun;
 * rebuild has it rebuilt at top level and asks the catalogs what has come of it;
 * clean removes what a rebuild has left that was cut off; note measures again
 * and keeps both figures. A process may die at any point: another one goes on
 * from the cursor and what was written down when the rebuild was begun.
 *
 * A policy leaves out what cannot be rebuilt now, and goes on; what is asked for
 * by name waits for what passes, and is blocked by what does not.
 */
#include "maintain/reindex.h"

#include "core/server.h"
#include "core/sql.h"

#include <math.h>

#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#define MOST_INDEXES	100		/* of one run; the others come with the next */
#define LOCK_WAIT		(10 * 60 * 1000L)	/* ms that a rebuild waits for others' transactions */
#define NAP				5000	/* ms between two looks at what passes */
#define MOST_LOOKS		24		/* of a policy */
#define MOST_LOOKS_ASKED 720	/* at what is asked for by name */
#define MOST_DROPS		3		/* tries to remove what is left */

enum
{
	PHASE_CHOOSE,
	PHASE_GATE,
	PHASE_REBUILD,
	PHASE_CLEAN,
	PHASE_NOTE,
	PHASES
};

typedef struct ReindexWork
{
	DbopsJob   *job;
	MemoryContext memory;
	Policy	   *policy;			/* NULL: asked for by name */
	ReindexLimits limits;

	/* The cursor. */
	int64	   *queue;			/* OIDs */
	int			length;
	int			next;			/* index into it */
	int64		rebuilt;		/* indexes */
	int64		skipped;
	int64		failed;
	int64		won;			/* bytes */
	int64		blocks_done;	/* of those that are done with */
	int64		blocks;			/* of all */

	/* Of the index that is next; in memory, since whoever takes over begins anew. */
	int			looks;
	int			drops;
	ReindexBegun *begun;
	bool		ran;			/* here, to its end, or at least until the new index was the valid one */
	int64		took;			/* ms that the last run did; 0: it was another process's */
	ErrorData  *met;			/* with what it failed; or NULL */
	char	   *blocker;		/* for whom it waited then; or NULL */
	Leftover   *leftover;
} ReindexWork;

static void *open_job(DbopsJob *job);
static Jsonb *result(DbopsJob *job, void *state);
static const char *abandon(const DbopsJob *job, long patience);
static const char *keeps(const DbopsJob *job);
static void choose_step(DbopsJob *job, void *state, DbopsStep *step);
static void submit_leftovers(const DbopsJob *job);
static List *choose(ReindexWork *work);
static bool is_chosen(const ReindexWork *work, const ReindexIndex *index);
static void gate_step(DbopsJob *job, void *state, DbopsStep *step);
static void judge(ReindexWork *work, DbopsStep *step, const ReindexIndex *index);
static const char *rights_obstacle(const ReindexWork *work, const ReindexIndex *index);
static void meet_obstacle(ReindexWork *work, DbopsStep *step, const ReindexIndex *index,
						  const ReindexVerdict *verdict, const char *obstacle, bool passes);
static bool waits(ReindexWork *work, DbopsStep *step, const char *reason);
static void refuse(const ReindexIndex *index, const char *obstacle, bool passes);
static void rebuild_step(DbopsJob *job, void *state, DbopsStep *step);
static void take_begun(ReindexWork *work);
static void have_rebuilt(ReindexWork *work, DbopsStep *step);
static void rebuild_outside(void *arg);
static void rebuild(void *arg);
static void clean_step(DbopsJob *job, void *state, DbopsStep *step);
static void clean_outside(void *arg);
static void note_step(DbopsJob *job, void *state, DbopsStep *step);
static void note_gone(ReindexWork *work);
static void note_done(ReindexWork *work);
static void note_failed(ReindexWork *work);
static void throw_failure(const ReindexWork *work);
static char *describe_failure(const ReindexWork *work);
static void leave_out(ReindexWork *work, const char *object, const char *why, int64 bytes);
static void note(const ReindexWork *work, const char *object, const char *outcome, const char *message, int64 bytes);
static void go_to_next(ReindexWork *work, DbopsStep *step);
static void go_to(DbopsStep *step, int phase);
static void put_position(const ReindexWork *work, DbopsStep *step);
static void take_position(ReindexWork *work, const Jsonb *position);

static const DbopsPhase phases[PHASES] = {
	[PHASE_CHOOSE] = {"choose", DBOPS_CLASS_PLAIN, false, false, choose_step},
	[PHASE_GATE] = {"gate", DBOPS_CLASS_PLAIN, false, true, gate_step},
	[PHASE_REBUILD] = {"rebuild", DBOPS_CLASS_CONCURRENT_DDL, false, false, rebuild_step},
	[PHASE_CLEAN] = {"clean", DBOPS_CLASS_CONCURRENT_DDL, false, false, clean_step},
	[PHASE_NOTE] = {"note", DBOPS_CLASS_PLAIN, false, true, note_step}
};

const DbopsJobKind dbops_reindex_kind = {
	.name = "reindex",
	.unit = "blocks",
	.phases = phases,
	.n_phases = PHASES,
	.open = open_job,
	.result = result,
	.abandon = abandon,
	.keeps = keeps,
	.watch = dbops_reindex_watch
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
	List	   *chosen = choose(work);
	ListCell   *cell;

	submit_leftovers(job);
	work->queue = MemoryContextAlloc(work->memory, sizeof(int64) * (list_length(chosen) + 1));
	foreach(cell, chosen)
	{
		work->queue[work->length++] = lfirst_oid(cell);
		work->blocks += dbops_relation_bytes(lfirst_oid(cell)) / BLCKSZ;
	}
	go_to(step, work->length > 0 ? PHASE_GATE : PHASES);
	put_position(work, step);
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
	List	   *chosen = NIL;
	ListCell   *cell;

	if (work->policy == NULL)
		return dbops_reindex_leaves(dbops_jsonb_integer(work->job->spec, "index"));
	foreach(cell, dbops_reindex_indexes(work->policy->relation, work->limits.min_bytes))
	{
		const ReindexIndex *index = lfirst(cell);

		if (is_chosen(work, index))
			chosen = lappend_oid(chosen, index->oid);
		if (list_length(chosen) == MOST_INDEXES)
			break;
	}
	return chosen;
}

/* Does it look worth a sample, and is it this policy that looks after it? */
static bool
is_chosen(const ReindexWork *work, const ReindexIndex *index)
{
	double		estimate;
	const Policy *policy;

	if (!object_ownercheck(RelationRelationId, index->table, work->job->owner) ||
		!dbops_reindex_is_candidate(index, &work->limits, &estimate))
		return false;
	policy = dbops_reindex_policy_of(index);
	return policy != NULL && policy->id == work->policy->id;
}

/* ---- whether to begin ---- */

/* Judge the next one, and begin its rebuild or go on to the one after it. */
static void
gate_step(DbopsJob *job, void *state, DbopsStep *step)
{
	ReindexWork *work = state;
	const ReindexIndex *index;

	take_begun(work);
	if (work->next >= work->length)
		go_to(step, PHASES);
	else if (work->begun != NULL)
		go_to(step, PHASE_REBUILD);
	else if ((index = dbops_reindex_index(work->queue[work->next])) != NULL)
		judge(work, step, index);
	else
	{
		if (work->policy == NULL)
			note_gone(work);
		go_to_next(work, step);
	}
	put_position(work, step);
}

/* Say that an index that somebody has asked for is not there any more. */
static void
note_gone(ReindexWork *work)
{
	leave_out(work, work->job->name,
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
								dbops_figure_bytes(verdict.bloat.wasted), verdict.bloat.percent);
	}
	if (obstacle == NULL)
		obstacle = dbops_reindex_obstacle(index, &verdict, work->policy ? work->policy->time_window : NULL,
										  work->policy ? work->policy->time_zone : NULL, &passes);
	if (obstacle == NULL && (obstacle = dbops_reindex_lock_obstacle(index->table, true)) != NULL)
		passes = true;
	if (obstacle != NULL)
	{
		meet_obstacle(work, step, index, &verdict, obstacle, passes);
		return;
	}
	dbops_reindex_begin(work->job->id, index, &verdict);
	take_begun(work);
	work->looks = 0;
	go_to(step, PHASE_REBUILD);
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
			  const ReindexVerdict *verdict, const char *obstacle, bool passes)
{
	if (passes && waits(work, step, obstacle))
		return;
	if (work->policy == NULL)
		refuse(index, obstacle, passes);
	leave_out(work, index->name, obstacle, index->bytes);
	go_to_next(work, step);
}

/* Look again after a while; false: it has been waited for long enough. */
static bool
waits(ReindexWork *work, DbopsStep *step, const char *reason)
{
	if (++work->looks > (work->policy ? MOST_LOOKS : MOST_LOOKS_ASKED))
		return false;
	step->pause = NAP;
	step->waiting = psprintf("to rebuild an index: %s", reason);
	return true;
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

/* ---- the rebuild ---- */

/* Ask the catalogs how far it is, and have done what comes next. */
static void
rebuild_step(DbopsJob *job, void *state, DbopsStep *step)
{
	ReindexWork *work = state;

	take_begun(work);
	if (work->begun == NULL)
		go_to(step, PHASE_GATE);
	else if (work->drops < MOST_DROPS && dbops_leftover_of_job(job->id) != NULL)
		go_to(step, PHASE_CLEAN);
	else if (work->ran || work->met != NULL || dbops_reindex_outcome(work->begun) != REINDEX_NOT_DONE)
		go_to(step, PHASE_NOTE);
	else
		have_rebuilt(work, step);
	put_position(work, step);
}

/* What was begun lasts until it is done with. */
static void
take_begun(ReindexWork *work)
{
	MemoryContext passing = MemoryContextSwitchTo(work->memory);

	if (work->begun == NULL)
		work->begun = dbops_reindex_begun(work->job->id);
	MemoryContextSwitchTo(passing);
}

/* Have it rebuilt after the step, when nobody else has the table. */
static void
have_rebuilt(ReindexWork *work, DbopsStep *step)
{
	const char *obstacle = dbops_reindex_lock_obstacle(work->begun->table, true);

	if (obstacle != NULL && waits(work, step, obstacle))
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
	QueryCompletion completion;

	InitializeQueryCompletion(&completion);
	dbops_job_setting_put("search_path", dbops_query_safe_path(work->job->path));
	dbops_job_setting_put("lock_timeout", psprintf("%ld", LOCK_WAIT));
	dbops_sql_run(raw, sql, true, None_Receiver, &completion);
}

/* Have removed what is left of a rebuild that was cut off. */
static void
clean_step(DbopsJob *job, void *state, DbopsStep *step)
{
	ReindexWork *work = state;
	MemoryContext passing = MemoryContextSwitchTo(work->memory);

	work->leftover = dbops_leftover_of_job(job->id);
	MemoryContextSwitchTo(passing);
	take_begun(work);
	if (work->begun == NULL || work->leftover == NULL || work->drops >= MOST_DROPS)
		go_to(step, PHASE_REBUILD);
	else
	{
		/* The old index is invalid once the new one has its place. */
		if (work->leftover->index == work->begun->index)
			work->ran = true;
		step->outside = clean_outside;
		step->outside_arg = work;
		step->outside_what = dbops_leftover_sql(work->leftover);
	}
	put_position(work, step);
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

/* ---- what has come of it ---- */

/* Write down what a rebuild has brought, or that it has failed. */
static void
note_step(DbopsJob *job, void *state, DbopsStep *step)
{
	ReindexWork *work = state;
	ReindexOutcome outcome;

	take_begun(work);
	outcome = (work->begun != NULL) ? dbops_reindex_outcome(work->begun) : REINDEX_GONE;
	if (outcome == REINDEX_NOT_DONE && work->met == NULL && !work->ran)
	{
		/* The process that has seen it fail is gone. */
		dbops_reindex_end(job->id);
		work->begun = NULL;
		go_to(step, PHASE_GATE);
		put_position(work, step);
		return;
	}
	if (outcome == REINDEX_DONE && work->met != NULL && !work->ran)
		leave_out(work, work->begun->name, "another session has rebuilt it meanwhile", work->begun->bytes);
	else if (outcome == REINDEX_DONE)
		note_done(work);
	else if (outcome == REINDEX_NOT_DONE)
		note_failed(work);
	else if (work->begun != NULL)
		leave_out(work, work->begun->name, "another session has dropped it meanwhile", work->begun->bytes);
	dbops_reindex_end(job->id);
	go_to_next(work, step);
	put_position(work, step);
}

static void
note_done(ReindexWork *work)
{
	const ReindexBegun *begun = work->begun;
	ReindexIndex *index = dbops_reindex_index(dbops_reindex_find(begun->table, begun->name));
	IndexBloat	bloat;
	MaintenanceNote done = {
		MAINTENANCE_NOTE,.kind = "reindex",.object = begun->name,.action = "reindex",.outcome = "done",
		.job = work->job->id
	};

	if (index == NULL)
	{
		leave_out(work, begun->name, "another session has dropped it after it was rebuilt", begun->bytes);
		return;
	}
	dbops_index_measure(index->oid, DEFAULT_SAMPLE_BLOCKS, &bloat);
	if (dbops_index_best_open())
		dbops_index_best_record(&bloat);
	done.bytes_before = begun->bytes;
	done.bytes_after = index->bytes;
	done.duration = (work->took > 0) ? work->took : (dbops_clock_now() - begun->at) / 1000;
	if (bloat.judged && !isnan(begun->density))
		done.message = psprintf("its pages were %.0f percent full and are %.0f", begun->density, bloat.density);
	dbops_maintenance_note(&done);
	dbops_reindex_history_add(index, &(ReindexRecord) {
		.job = work->job->id,.rebuilt_at = dbops_clock_now(),.duration = done.duration,
		.bytes_before = begun->bytes,.bytes_after = index->bytes,.density_before = begun->density,
		.density_after = bloat.density,.percent_before = begun->percent,
		.rows = bloat.judged ? bloat.figures[BTREE_ROWS] : NAN
	});
	work->rebuilt++;
	work->won += begun->bytes - index->bytes;
}

/* What a policy has failed with it says, and goes on; what is asked for by name ends with it. */
static void
note_failed(ReindexWork *work)
{
	if (work->policy == NULL)
		throw_failure(work);
	note(work, work->begun->name, "failed", describe_failure(work), work->begun->bytes);
	work->failed++;
}

/* Rows that are not unique are for a human; most else is tried again. */
static void
throw_failure(const ReindexWork *work)
{
	int			code = (work->met != NULL) ? work->met->sqlerrcode : ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
	bool		duplicate = (code == ERRCODE_UNIQUE_VIOLATION);

	ereport(ERROR,
			(errcode(duplicate ? ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE : code),
			 errmsg("index %s could not be rebuilt: %s", work->begun->name, describe_failure(work)),
			 duplicate ? errhint("Rows of table %s have the same key: remove all of them but one, then dbops.resume_job() lets the job go on.",
								 work->begun->table_name) : 0));
}

static char *
describe_failure(const ReindexWork *work)
{
	const ErrorData *met = work->met;

	if (met == NULL)
		return "it has been rebuilt, and the new index is not there";
	return psprintf("%s%s%s%s%s", met->message, met->detail != NULL ? ": " : "", met->detail != NULL ? met->detail : "",
					met->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE && work->blocker != NULL ? "; " : "",
					met->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE && work->blocker != NULL ? work->blocker : "");
}

static void
leave_out(ReindexWork *work, const char *object, const char *why, int64 bytes)
{
	work->skipped++;
	note(work, object, "skipped", why, bytes);
}

static void
note(const ReindexWork *work, const char *object, const char *outcome, const char *message, int64 bytes)
{
	MaintenanceNote note = {
		MAINTENANCE_NOTE,.kind = "reindex",.object = object,.action = "reindex",.outcome = outcome,
		.message = message,.job = work->job->id
	};

	note.bytes_before = bytes;
	dbops_maintenance_note(&note);
}

/* ---- the cursor ---- */

static void
go_to_next(ReindexWork *work, DbopsStep *step)
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
	go_to(step, work->next < work->length ? PHASE_GATE : PHASES);
}

static void
go_to(DbopsStep *step, int phase)
{
	step->finished = true;
	step->goto_phase = phase;
}

static void
put_position(const ReindexWork *work, DbopsStep *step)
{
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	dbops_json_array(&json, "queue");
	for (int i = 0; i < work->length; i++)
		dbops_json_integer(&json, NULL, work->queue[i]);
	dbops_json_array_end(&json);
	dbops_json_integer(&json, "next", work->next);
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
	work->rebuilt = dbops_jsonb_integer(position, "rebuilt");
	work->skipped = dbops_jsonb_integer(position, "skipped");
	work->failed = dbops_jsonb_integer(position, "failed");
	work->won = dbops_jsonb_integer(position, "won");
	work->blocks_done = dbops_jsonb_integer(position, "done");
	work->blocks = dbops_jsonb_integer(position, "total");
}
