/*
 * online_fill.c
 *		Steps of a change that are backfills.
 *
 * The phases of a backfill are phases of this job, from ONLINE_PHASE_FILL on, and
 * its own steps do the work; what it keeps stands in the position of the job. So
 * it goes on where it was, with the pace, the gates and the proof of any other.
 */
#include "change/online.h"

#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/jsonb.h"

static void judge(void *arg);
static BackfillRun *understand(const OnlineStep *fill);
static void open_fill(OnlineWork *work, const DbopsJob *job);
static void take_step(OnlineWork *work, const DbopsStep *done, DbopsStep *step);
static bool is_done(const OnlineWork *work);
static void finish(OnlineWork *work, DbopsStep *step);

/* Refuse what would be refused when it is its turn, and something has been done to the table already. */
void
dbops_online_judge_fill(const OnlineStep *fill, bool has_columns)
{
	if (dbops_online_is_reached(fill))
		return;
	if (has_columns)
		dbops_look(judge, unconstify(OnlineStep *, fill));
	else
		dbops_backfill_check_tables(fill->table);
}

static void
judge(void *arg)
{
	dbops_set_local("search_path", dbops_query_safe_path(dbops_query_submission_path()));
	(void) understand(arg);
}

/* Understand what is to be filled, as the table is by now, and note that. */
void
dbops_online_begin_fill_step(DbopsJob *job, void *state, DbopsStep *step)
{
	OnlineWork *work = state;
	MemoryContext passing;
	int			nest_level;

	if (dbops_online_is_reached(dbops_online_next(work)))
	{
		dbops_online_skip(work, step);
		return;
	}
	passing = MemoryContextSwitchTo(work->step_memory);
	nest_level = NewGUCNestLevel();
	dbops_set_nested("search_path", job->path);
	work->fill = dbops_backfill_spec(understand(dbops_online_next(work)));
	work->fill_position = NULL;
	work->fill_run = NULL;
	AtEOXact_GUC(false, nest_level);
	MemoryContextSwitchTo(passing);
	step->finished = true;
	step->goto_phase = ONLINE_PHASE_FILL;
	dbops_online_put_position(work, step);
}

static BackfillRun *
understand(const OnlineStep *fill)
{
	BackfillRun *run = palloc0(sizeof(BackfillRun));
	BackfillRequest *request = &run->request;

	request->relid = fill->table;
	request->set_clause = unconstify(char *, fill->set_clause);
	request->where_clause = unconstify(char *, fill->where_clause);
	request->batch_size = 10000;	/* as batched_backfill() has it */
	request->verify = true;
	request->workers = 1;
	request->method = BACKFILL_BLOCKS;
	request->sync = fill->sync;
	request->kept = !fill->sync;
	request->max_errors = dbops_backfill_max_errors;
	request->limits.batch_time = dbops_backfill_batch_time;
	request->limits.yield = dbops_backfill_yield;
	dbops_backfill_judge(run, true);
	return run;
}

/* A step of the backfill, as its own job would do it. */
void
dbops_online_fill_step(DbopsJob *job, void *state, DbopsStep *step)
{
	OnlineWork *work = state;
	DbopsStep	done = {0};

	open_fill(work, job);
	dbops_backfill_kind.phases[work->fill_job.phase].step(&work->fill_job, work->fill_run, &done);
	take_step(work, &done, step);
}

/* Opened, it may say that it begins with a later phase. */
static void
open_fill(OnlineWork *work, const DbopsJob *job)
{
	MemoryContext passing;

	if (work->fill_run != NULL)
	{
		work->fill_job.settings = job->settings;
		work->fill_job.keeper = job->keeper;
		return;
	}
	passing = MemoryContextSwitchTo(work->step_memory);
	work->fill_job = *job;
	work->fill_job.kind = dbops_backfill_kind.name;
	work->fill_job.spec = work->fill;
	work->fill_job.phase = job->phase - ONLINE_PHASE_FILL;
	work->fill_job.position = work->fill_position;
	work->fill_job.call = NULL;
	work->fill_run = dbops_backfill_kind.open(&work->fill_job);
	((BackfillRun *) work->fill_run)->patience = Max(work->plan->max_wait, 1);
	((BackfillRun *) work->fill_run)->row_hint = dbops_online_next(work)->hint;
	MemoryContextSwitchTo(passing);
}

/* Move on as the backfill's step says. */
static void
take_step(OnlineWork *work, const DbopsStep *done, DbopsStep *step)
{
	DbopsJob   *job = &work->fill_job;
	MemoryContext passing = MemoryContextSwitchTo(work->step_memory);

	if (done->position != NULL)
		work->fill_position = job->position = DatumGetJsonbPCopy(JsonbPGetDatum(done->position));
	MemoryContextSwitchTo(passing);
	*step = *done;
	step->goto_phase = 0;
	if (done->finished)
	{
		job->phase = (done->goto_phase > 0) ? done->goto_phase : job->phase + 1;
		step->goto_phase = ONLINE_PHASE_FILL + job->phase;
	}
	if (is_done(work))
		finish(work, step);
	else
		dbops_online_put_position(work, step);
}

/* Has it come to its end, or to where it would take its trigger away, which is to stay? */
static bool
is_done(const OnlineWork *work)
{
	int			end = dbops_backfill_kind.n_phases - (dbops_online_next(work)->stays ? 1 : 0);

	return work->fill_job.phase >= end;
}

/* Rows that are left would make all that follows fail. */
static void
finish(OnlineWork *work, DbopsStep *step)
{
	Jsonb	   *result = dbops_backfill_kind.result(&work->fill_job, work->fill_run);

	if (dbops_jsonb_integer(result, "left") > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s of %s: %s", work->plan->call, work->plan->name, dbops_jsonb_text(result, "message")),
				 errhint("Make the same call again when that has been seen to; what was done stays.")));
	dbops_online_go_on(work, step);
}
