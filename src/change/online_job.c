/*
 * online_job.c
 *		A change that is done in steps, as a job.
 *
 *		begin -> short | scan | alone | begin fill -> fill ... -> the end
 *
 * Which phase comes next is what the plan says of its next step that the catalog
 * does not show to be reached. Short steps and their cursor commit together; of
 * all others the catalog tells what has come of them. So a process may die at any
 * point, and another one goes on.
 */
#include "change/online_index.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

static void *open_job(DbopsJob *job);
static void take_position(OnlineWork *work, const Jsonb *position);
static void go_back(OnlineWork *work);
static Jsonb *result(DbopsJob *job, void *state);
static void begin_step(DbopsJob *job, void *state, DbopsStep *step);
static void move_on(OnlineWork *work, DbopsStep *step, bool covered);
static int	next_phase(OnlineWork *work);
static void forget_step(OnlineWork *work);
static void tell_done(const OnlineWork *work);
static const char *abandon(const DbopsJob *job, long patience);
static long patience(const DbopsJob *job);
static const char *keeps(const DbopsJob *job);
static bool has_other_steps(int64 job, Jsonb *spec);
static bool is_replaced(int64 job, const DbopsJobRequest *request);
static void check_asked(int64 job, const DbopsJobRequest *request);

static const DbopsPhase phases[ONLINE_PHASES] = {
	[ONLINE_PHASE_BEGIN] = {"begin", DBOPS_CLASS_PLAIN, false, true, begin_step},
	[ONLINE_PHASE_SHORT] = {"short", DBOPS_CLASS_PLAIN, false, true, dbops_online_short_step},
	[ONLINE_PHASE_SCAN] = {"scan", DBOPS_CLASS_SNAPSHOT, false, true, dbops_online_scan_step},
	[ONLINE_PHASE_ALONE] = {"alone", DBOPS_CLASS_CONCURRENT_DDL, false, true, dbops_online_alone_step},
	[ONLINE_PHASE_BEGIN_FILL] = {"begin backfill", DBOPS_CLASS_PLAIN, false, true, dbops_online_begin_fill_step},
	[ONLINE_PHASE_FILL] = {"prepare", DBOPS_CLASS_BATCHES, true, false, dbops_online_fill_step},
	[ONLINE_PHASE_FILL + 1] = {"walk", DBOPS_CLASS_BATCHES, true, true, dbops_online_fill_step},
	[ONLINE_PHASE_FILL + 2] = {"verify", DBOPS_CLASS_SNAPSHOT, false, false, dbops_online_fill_step},
	[ONLINE_PHASE_FILL + 3] = {"sweep", DBOPS_CLASS_BATCHES, true, false, dbops_online_fill_step},
	[ONLINE_PHASE_FILL + 4] = {"keys", DBOPS_CLASS_BATCHES, true, true, dbops_online_fill_step},
	[ONLINE_PHASE_FILL + 5] = {"finish", DBOPS_CLASS_PLAIN, true, false, dbops_online_fill_step}
};

static const DbopsJobKind kind = {
	.name = "change",
	.unit = "steps",
	.phases = phases,
	.n_phases = ONLINE_PHASES,
	.open = open_job,
	.result = result,
	.leave = dbops_online_leave,
	.abandon = abandon,
	.patience = patience,
	.keeps = keeps,
	.watch = dbops_online_watch,
	.check_settings = dbops_backfill_check_settings,
	.asked_again = true
};

void
dbops_online_job_init(void)
{
	dbops_job_kind_register(&kind);
}

/* Submit the job of a plan, to run as the owner of its table; or find the one that does it already. */
int64
dbops_online_submit(const OnlinePlan *plan, bool here)
{
	DbopsJobRequest request = {
		DBOPS_JOB_REQUEST,
		.kind = kind.name,
		.name = plan->name,
		.owner = dbops_relation_owner(plan->table),
		.path = dbops_query_safe_path(dbops_query_submission_path()),
		.spec = dbops_online_spec(plan),
		.class = DBOPS_CLASS_PLAIN,
		.idempotent = true,
		.dedupe_key = dbops_online_dedupe_key(plan),
		.here = here
	};
	int64		id = dbops_job_submit(&request);

	if (has_other_steps(id, request.spec) && is_replaced(id, &request))
		id = dbops_job_submit(&request);
	return id;
}

/* What two jobs of the same call for the same have in common. */
char *
dbops_online_dedupe_key(const OnlinePlan *plan)
{
	return psprintf("dbops %s %u %s", plan->call, plan->table, plan->key);
}

/* Is there a job that does it already? */
bool
dbops_online_is_live(const OnlinePlan *plan)
{
	DbopsParam	params[] = {dbops_param_text(kind.name), dbops_param_text(dbops_online_dedupe_key(plan))};

	return dbops_store_each("SELECT FROM dbops.job WHERE kind = $1 AND dedupe_key = $2 AND finished_at IS NULL",
							lengthof(params), params, NULL, NULL) > 0;
}

/* The job may have been submitted before. */
static bool
has_other_steps(int64 job, Jsonb *spec)
{
	DbopsParam	params[] = {dbops_param_int8(job), dbops_param_jsonb(spec)};

	return dbops_store_each("SELECT FROM dbops.job WHERE id = $1 AND spec -> 'steps' <> $2 -> 'steps'",
							lengthof(params), params, NULL, NULL) > 0;
}

/*
 * It was asked for the same, when the table was another: it makes room for what
 * leads there now, unless a process is at work on it. That one goes on, and ends
 * where what it relies on is not so any more.
 */
static bool
is_replaced(int64 job, const DbopsJobRequest *request)
{
	check_asked(job, request);
	if (!dbops_job_end_idle(job))
		return false;
	ereport(NOTICE,
			(errmsg("job " INT64_FORMAT ", which was to do this and is not at work, is replaced: the table has changed since", job)));
	return true;
}

static void
check_asked(int64 job, const DbopsJobRequest *request)
{
	DbopsParam	params[] = {dbops_param_int8(job), dbops_param_jsonb(request->spec), dbops_param_text(request->path)};

	if (dbops_store_each("SELECT FROM dbops.job WHERE id = $1 AND spec ->> 'asked' = $2 ->> 'asked' AND path = $3",
						 lengthof(params), params, NULL, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job " INT64_FORMAT " does this change already, in another way", job),
				 errdetail("It was asked for with other arguments, or with another search_path."),
				 errhint("Cancel it and make the call again, which does what is left: SELECT dbops.cancel_job(" INT64_FORMAT ");", job)));
}

/* ---- the process that works on it ---- */

static void *
open_job(DbopsJob *job)
{
	OnlineWork *work = palloc0(sizeof(OnlineWork));

	work->job = job;
	work->memory = CurrentMemoryContext;
	work->step_memory = AllocSetContextCreate(CurrentMemoryContext, "change step", ALLOCSET_DEFAULT_SIZES);
	work->plan = dbops_online_read_spec(job->spec);
	if (job->position != NULL)
		take_position(work, job->position);
	if (job->phase < ONLINE_PHASES)
		go_back(work);
	return work;
}

static void
take_position(OnlineWork *work, const Jsonb *position)
{
	work->next = (int) dbops_jsonb_integer(position, "next");
	work->done = (int) dbops_jsonb_integer(position, "done");
	work->changed = dbops_jsonb_boolean(position, "changed");
	work->covered = dbops_jsonb_boolean(position, "covered");
	work->aim = dbops_jsonb_document(position, "aim");
	work->fill = dbops_jsonb_document(position, "fill");
	work->fill_position = dbops_jsonb_document(position, "fill_position");
}

/* What an earlier process held while it was at work has not held since: begin again with the step that takes it. */
static void
go_back(OnlineWork *work)
{
	for (int step = 0; step < work->next; step++)
	{
		if (((OnlineStep *) list_nth(work->plan->steps, step))->holds == 0)
			continue;
		work->next = step;
		work->aim = NULL;
		work->job->phase = ONLINE_PHASE_BEGIN;
		return;
	}
}

void
dbops_online_put_position(const OnlineWork *work, DbopsStep *step)
{
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	dbops_json_integer(&json, "next", work->next);
	dbops_json_integer(&json, "done", work->done);
	dbops_json_boolean(&json, "changed", work->changed);
	dbops_json_boolean(&json, "covered", work->covered);
	if (work->aim != NULL)
		dbops_json_document(&json, "aim", work->aim);
	if (work->fill != NULL)
		dbops_json_document(&json, "fill", work->fill);
	if (work->fill_position != NULL)
		dbops_json_document(&json, "fill_position", work->fill_position);
	step->position = dbops_json_finish(&json);
	step->done = work->next;
	step->total = list_length(work->plan->steps);
}

static Jsonb *
result(DbopsJob *job, void *state)
{
	const OnlineWork *work = state;
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	dbops_json_text(&json, "call", work->plan->call);
	dbops_json_integer(&json, "steps", list_length(work->plan->steps));
	dbops_json_integer(&json, "done", work->done);
	return dbops_json_finish(&json);
}

OnlineStep *
dbops_online_next(const OnlineWork *work)
{
	return list_nth(work->plan->steps, work->next);
}

/* ---- from step to step ---- */

static void
begin_step(DbopsJob *job, void *state, DbopsStep *step)
{
	OnlineWork *work = state;

	step->finished = true;
	step->goto_phase = next_phase(work);
	dbops_online_put_position(work, step);
}

/* The step is done: go on with the next one that is not reached. */
void
dbops_online_go_on(OnlineWork *work, DbopsStep *step)
{
	work->done++;
	work->changed = work->changed || dbops_online_next(work)->kind != ONLINE_REFUSE;
	tell_done(work);
	move_on(work, step, dbops_online_next(work)->stays);
}

/* Nothing was left to be done of it. */
void
dbops_online_skip(OnlineWork *work, DbopsStep *step)
{
	move_on(work, step, false);
}

static void
move_on(OnlineWork *work, DbopsStep *step, bool covered)
{
	forget_step(work);
	work->covered = covered;
	work->next++;
	step->finished = true;
	step->goto_phase = next_phase(work);
	dbops_online_put_position(work, step);
}

static int
next_phase(OnlineWork *work)
{
	static const int phase_of[] = {
		[ONLINE_SHORT] = ONLINE_PHASE_SHORT,
		[ONLINE_SCAN] = ONLINE_PHASE_SCAN,
		[ONLINE_REFUSE] = ONLINE_PHASE_SCAN,
		[ONLINE_ALONE] = ONLINE_PHASE_ALONE,
		[ONLINE_BACKFILL] = ONLINE_PHASE_BEGIN_FILL
	};

	while (work->next < list_length(work->plan->steps) && !work->covered && dbops_online_is_reached(dbops_online_next(work)))
		work->next++;
	return (work->next < list_length(work->plan->steps)) ? phase_of[dbops_online_next(work)->kind] : ONLINE_PHASES;
}

static void
forget_step(OnlineWork *work)
{
	work->wait.waits = false;
	work->ran = false;
	work->aim = NULL;
	work->remedy = NULL;
	work->met = NULL;
	work->failure = NULL;
	work->blocker = NULL;
	work->fill = NULL;
	work->fill_position = NULL;
	work->fill_run = NULL;
	MemoryContextReset(work->step_memory);
}

static void
tell_done(const OnlineWork *work)
{
	if (work->job->foreground)
		ereport(NOTICE,
				(errmsg("step %d of %d done: %s", work->next + 1, list_length(work->plan->steps),
						dbops_online_next(work)->sql)));
}

/* ---- when it ends without success ---- */

static const char *
abandon(const DbopsJob *job, long patience)
{
	return dbops_backfill_kind.abandon(job, patience);
}

/* What is waited for is waited for no longer than each step does for its locks. */
static long
patience(const DbopsJob *job)
{
	return (long) dbops_jsonb_integer(job->spec, "max_wait");
}

static const char *
keeps(const DbopsJob *job)
{
	return dbops_backfill_kind.keeps(job);
}
