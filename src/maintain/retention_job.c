/*
 * retention_job.c
 *		The job that deletes what is older than it is to be kept.
 *
 *		begin		the cutoff is fixed, and whether so much may go
 *		partitions	those go that hold nothing younger, as a whole
 *		rows		the old rows of the tables that are left, in batches
 *		end			what was done, what is left, and why
 */
#include "maintain/retention_run.h"

static void *open_job(DbopsJob *job);
static void judge_holds(const RetentionRun *run, const Policy *policy);
static void end_step(DbopsJob *job, void *state, DbopsStep *step);
static Jsonb *result(DbopsJob *job, void *state);
static char *message(const RetentionRun *run);
static Jsonb *remains(const DbopsJob *job);

static const DbopsPhase phases[PHASES] = {
	[PHASE_BEGIN] = {.name = "begin",.class = DBOPS_CLASS_PLAIN,.timed = true,.step = dbops_retention_begin_step},
	[PHASE_PARTITIONS] = {.name = "partitions",.class = DBOPS_CLASS_CONCURRENT_DDL,.step = dbops_retention_partitions_step},
	[PHASE_ROWS] = {.name = "rows",.class = DBOPS_CLASS_BATCHES,.timed = true,.step = dbops_retention_rows_step},
	[PHASE_END] = {.name = "end",.class = DBOPS_CLASS_PLAIN,.timed = true,.step = end_step}
};

static const DbopsJobKind job_kind = {
	.name = RETENTION_KIND,
	.unit = "rows",
	.phases = phases,
	.n_phases = PHASES,
	.open = open_job,
	.result = result,
	.remains = remains
};

static const PolicyKind policy_kind = {
	.name = RETENTION_KIND,
	.set_call = "set_retention",
	.job_kind = RETENTION_KIND,
	.class = DBOPS_CLASS_PLAIN
};

void
dbops_retention_init(void)
{
	dbops_job_kind_register(&job_kind);
	dbops_policy_kind_register(&policy_kind);
	dbops_retention_check_init();
}

static void *
open_job(DbopsJob *job)
{
	RetentionRun *run = palloc0(sizeof(RetentionRun));

	run->job = job;
	run->memory = CurrentMemoryContext;
	run->walk.memory = CurrentMemoryContext;
	run->walk.limits.yield = dbops_backfill_yield;
	dbops_retention_partitions_prepare(run);
	if (job->position != NULL)
		dbops_retention_position_take(run, job->position);
	return run;
}

/* What is asked for; a run ends where that has changed. */
RetentionSpec *
dbops_retention_take_spec(RetentionRun *run, Policy **policy)
{
	*policy = dbops_policy_of_job(run->job);
	if (run->asked == NULL)
	{
		MemoryContext before = MemoryContextSwitchTo(run->memory);

		run->asked = DatumGetJsonbPCopy(JsonbPGetDatum((*policy)->spec));
		MemoryContextSwitchTo(before);
	}
	else if (VARSIZE(run->asked) != VARSIZE((*policy)->spec) ||
			 memcmp(run->asked, (*policy)->spec, VARSIZE(run->asked)) != 0)
		run->stopped = "the policy was set again";
	judge_holds(run, *policy);
	return dbops_retention_spec(*policy);
}

/* A clock that jumps while the run is on its way lets no hold end. */
static void
judge_holds(const RetentionRun *run, const Policy *policy)
{
	if (run->began != 0)
		dbops_hold_judge_at(dbops_cutoff_now(&dbops_retention_memory(policy->memory)->allowed));
}

/* Is the run to end before all is done? */
bool
dbops_retention_is_over(RetentionRun *run)
{
	int64		most = dbops_jsonb_integer(run->job->spec, "max_duration");

	if (run->stopped == NULL && most > 0 && TimestampDifferenceExceeds(run->began, GetCurrentTimestamp(), (int) most))
		run->stopped = "max_duration is over";
	if (run->stopped == NULL && run->rows > run->most)
		run->stopped = "more rows have become old meanwhile than may go unconfirmed";
	return run->stopped != NULL;
}

/* Write in the log of maintenance what was done, or why it was not. */
void
dbops_retention_note(const RetentionRun *run, const char *object, const char *action, const char *outcome,
					 const char *message, int64 rows)
{
	MaintenanceNote said = {
		MAINTENANCE_NOTE,
		.kind = RETENTION_KIND,
		.object = object,
		.action = action,
		.outcome = outcome,
		.message = message,
		.job = run->job->id
	};

	said.rows = rows;
	if (strcmp(outcome, "done") == 0)
		said.duration = (int64) run->work;
	dbops_maintenance_note(&said);
}

/* ---- the end ---- */

static void
end_step(DbopsJob *job, void *state, DbopsStep *step)
{
	RetentionRun *run = state;
	Policy	   *policy = dbops_policy_of_job(job);
	RetentionSpec *spec = dbops_retention_spec(policy);
	RetentionMemory *memory = dbops_retention_memory(policy->memory);
	RetentionEstimate rest = {.oldest = RETENTION_NONE,.exact = true};

	judge_holds(run, policy);
	dbops_retention_estimate_all(spec, run->cutoff, RETENTION_NONE, &rest);
	memory->backlog_rows = rest.expired;
	memory->backlog_bytes = rest.bytes;
	memory->oldest = rest.oldest;
	memory->stopped = run->stopped;
	if (run->work > 0)
		memory->rate = run->rows / (run->work / 1000);
	if (run->stopped == NULL)
	{
		memory->last_success = dbops_clock_now();
		memory->confirmed = RETENTION_NONE;
		memory->confirmed_rows = 0;
		memory->confirmed_along = NIL;
	}
	else
		memory->confirmed_rows = Max(memory->confirmed_rows - run->rows, 0);
	if (memory->n_left == RETENTION_BACKLOGS)
		memmove(memory->left, memory->left + 1, sizeof(int64) * --memory->n_left);
	memory->left[memory->n_left++] = (int64) rest.expired;
	run->rest = (int64) rest.expired;
	run->kept = (int64) rest.kept;
	run->exact = rest.exact;
	dbops_policy_remember(policy->id, dbops_retention_memory_put(memory));
	dbops_retention_note(run, spec->table, spec->archive != NULL ? "archive rows" : "delete rows", "done", message(run), run->rows);
	step->done = run->rows;
	step->total = run->rows;
	step->rows = run->rows;
	step->finished = true;
	dbops_retention_position_save(run, step);
}

static Jsonb *
result(DbopsJob *job, void *state)
{
	const RetentionRun *run = state;
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	dbops_json_integer(&json, "rows", run->rows);
	dbops_json_integer(&json, "partitions", run->partitions);
	dbops_json_integer(&json, "left", run->rest);
	dbops_json_integer(&json, "kept", run->kept);
	dbops_json_text(&json, "stopped", run->stopped);
	dbops_json_text(&json, "message", message(run));
	return dbops_json_finish(&json);
}

static char *
message(const RetentionRun *run)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfo(&text, INT64_FORMAT " rows deleted", run->rows);
	if (run->partitions > 0)
		appendStringInfo(&text, ", " INT64_FORMAT " %s dropped", run->partitions, run->partitions == 1 ? "partition" : "partitions");
	if (run->kept > 0)
		appendStringInfo(&text, ", %s" INT64_FORMAT " kept because a hold is on them or other rows refer to them",
						 run->exact ? "" : "about ", run->kept);
	if (run->rest > 0)
		appendStringInfo(&text, ", %s" INT64_FORMAT " left", run->exact ? "" : "about ", run->rest);
	if ((run->left & RETENTION_LEFT_LOCKED) != 0)
		appendStringInfoString(&text, ", some because others have locked them");
	if ((run->left & RETENTION_LEFT_REFERENCED) != 0)
		appendStringInfoString(&text, ", some because rows have come that refer to them");
	if ((run->left & RETENTION_LEFT_UNCHANGEABLE) != 0)
		appendStringInfoString(&text, ", some because rows that refer to them cannot be changed");
	if ((run->left & RETENTION_LEFT_LONG) != 0)
		appendStringInfoString(&text, ", some because they take longer than statement_timeout allows");
	if (run->stopped != NULL)
		appendStringInfo(&text, "; ended early: %s", run->stopped);
	return text.data;
}

/* What a job that does not succeed has done. */
static Jsonb *
remains(const DbopsJob *job)
{
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	dbops_json_integer(&json, "rows", dbops_jsonb_integer(job->position, "rows"));
	dbops_json_integer(&json, "partitions", dbops_jsonb_integer(job->position, "partitions"));
	return dbops_json_finish(&json);
}
