/*
 * unfinished_job.c
 *		Backfills, migrations and changes that stand still, and the triggers of
 *		backfills that are over.
 *
 * A job that a human has to let go on is unfinished, and so is one that failed,
 * unless the same was asked for again since. Where nothing runs in the background
 * those are too that nobody works on. What a job was given is a user's SQL, so
 * that the call that repeats one is for those who may see that.
 */
#include "change/unfinished.h"

#include "change/online.h"

#include "access/xlog.h"
#include "utils/lsyscache.h"

/* Who lists them. */
typedef struct Listing
{
	ReportRow  *row;
	bool		texts;			/* the caller may see statements of others */
	bool		background;		/* processes here do jobs */
	const char *path;			/* the session's search_path */
} Listing;

/* The calls whose jobs are about a change that outlives them. */
#define COLUMN_CALLS "'rename_column', 'change_type', 'sync_columns', 'finish_change', 'abort_change'"

/* One of them. */
typedef struct StoppedJob
{
	int64		id;
	const char *kind;
	const char *name;
	const char *state;
	Oid			owner;
	const char *message;
	Jsonb	   *spec;
	const char *path;
	TimestampTz since;
	bool		of_columns;		/* it begins or ends a change of dbops.column_change */
	const Jsonb *position;		/* or NULL */
} StoppedJob;

/* A question about a plan. */
typedef struct Question
{
	const OnlinePlan *plan;
	int			next;			/* its step that is not done */
	bool		answer;
} Question;

static void take_job(HeapTuple row, TupleDesc desc, void *arg);
static void put_job(const Listing *listing, const StoppedJob *job);
static const char *command_for(const Listing *listing, const StoppedJob *job, Oid table);
static const char *call_again(const Listing *listing, const StoppedJob *job, Oid table);
static const char *under_its_path(const Listing *listing, const StoppedJob *job, const char *call);
static bool is_over(const StoppedJob *job, Oid table);
static bool is_complete(const StoppedJob *job);
static void ask_whether_complete(void *arg);
static bool has_left_nothing(const StoppedJob *job);
static void ask_what_is_left(void *arg);
static Oid	table_of(const StoppedJob *job);
static const char *explain(const StoppedJob *job);
static void put_trigger(HeapTuple row, TupleDesc desc, void *arg);

void
dbops_unfinished_jobs(ReportRow *row)
{
	Listing		listing = {
		.row = row,
		.texts = dbops_report_shows_texts(),
		.background = dbops_job_workers_exist(),
		.path = dbops_query_submission_path()
	};
	DbopsParam	param = dbops_param_bool(listing.background || RecoveryInProgress());
	List	   *jobs = NIL;
	ListCell   *cell;

	dbops_store_each("SELECT j.id, j.kind, coalesce(j.name, j.id::text), j.state, j.owner::oid, j.message, j.spec, j.path,"
					 " coalesce(j.finished_at, r.requested_at, c.moved_at, j.started_at, j.submitted_at),"
					 " j.spec ->> 'call' IN (" COLUMN_CALLS "), c.position"
					 " FROM dbops.job j LEFT JOIN dbops.job_cursor c ON c.job_id = j.id"
					 " LEFT JOIN dbops.job_request r ON r.job_id = j.id AND r.pause AND j.state = 'paused'"
					 " WHERE j.kind IN ('backfill', 'migration', 'change') AND CASE j.state WHEN 'paused' THEN true WHEN 'blocked' THEN true"
					 " WHEN 'queued' THEN NOT $1 AND j.ending IS NULL"
					 " WHEN 'running' THEN NOT $1 AND NOT EXISTS (SELECT FROM pg_stat_get_activity(NULL) a"
					 " WHERE a.pid = j.runner_pid AND a.backend_start = j.runner_start)"
					 " WHEN 'failed' THEN NOT EXISTS (SELECT FROM dbops.job l WHERE l.id > j.id AND l.kind = j.kind AND l.dedupe_key = j.dedupe_key)"
					 " AND (j.kind <> 'migration' OR EXISTS (SELECT FROM dbops.migration m WHERE m.job_id = j.id AND m.state IN ('failed', 'running')))"
					 " AND (j.spec ->> 'call' IS NULL OR j.spec ->> 'call' NOT IN (" COLUMN_CALLS ")"
					 " OR EXISTS (SELECT FROM dbops.column_change t WHERE t.state IN ('expanding', 'ready') AND j.dedupe_key IN (" UNFINISHED_COLUMN_KEYS("t") ")))"
					 " ELSE false END ORDER BY j.id",
					 1, &param, take_job, &jobs);
	foreach(cell, jobs)
		put_job(&listing, lfirst(cell));
}

static void
take_job(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **jobs = arg;
	StoppedJob *job = palloc(sizeof(StoppedJob));

	*job = (StoppedJob) {
		.id = dbops_row_int8(row, desc, 1),
		.kind = dbops_row_text(row, desc, 2),
		.name = dbops_row_text(row, desc, 3),
		.state = dbops_row_text(row, desc, 4),
		.owner = dbops_row_oid(row, desc, 5),
		.message = dbops_row_text(row, desc, 6),
		.spec = dbops_row_jsonb(row, desc, 7),
		.path = dbops_row_text(row, desc, 8),
		.since = dbops_row_time(row, desc, 9),
		.of_columns = dbops_row_bool(row, desc, 10),
		.position = dbops_row_jsonb(row, desc, 11)
	};
	*jobs = lappend(*jobs, job);
}

static void
put_job(const Listing *listing, const StoppedJob *job)
{
	Oid			table = table_of(job);

	if (strcmp(job->state, "failed") == 0 && is_over(job, table))
		return;
	dbops_unfinished_put(listing->row, &(Unfinished) {
						 .kind = job->kind,
						 .object = job->name,
						 .table = table,
						 .detail = explain(job),
						 .since = job->since,
						 .command = command_for(listing, job, table)
						 });
}

/* Is nothing left to be finished of one that failed: has somebody else seen to it, or is the table gone? */
static bool
is_over(const StoppedJob *job, Oid table)
{
	if (strcmp(job->kind, "migration") == 0)
		return false;
	return !OidIsValid(table) || (strcmp(job->kind, "change") == 0 && (is_complete(job) || has_left_nothing(job)));
}

/* What tells is asked of the catalog, also where it is of schemas that who reads the report may not use. */
static bool
is_complete(const StoppedJob *job)
{
	Question	question = {.plan = dbops_online_read_spec(job->spec)};

	dbops_run_as_extension(ask_whether_complete, &question);
	return question.answer;
}

static void
ask_whether_complete(void *arg)
{
	Question   *question = arg;

	question->answer = dbops_online_is_complete(question->plan);
}

/* Has it been refused before it has changed anything, or has all of that been taken back? */
static bool
has_left_nothing(const StoppedJob *job)
{
	Question	question = {.plan = dbops_online_read_spec(job->spec)};

	if (job->of_columns)
		return false;
	if (job->position == NULL || dbops_jsonb_document(job->position, "fill") != NULL)
		return job->position == NULL;
	if (!dbops_jsonb_boolean(job->position, "changed"))
		return true;
	question.next = (int) dbops_jsonb_integer(job->position, "next");
	dbops_run_as_extension(ask_what_is_left, &question);
	return question.answer;
}

static void
ask_what_is_left(void *arg)
{
	Question   *question = arg;

	question->answer = true;
	for (int i = 0; i < question->next && question->answer; i++)
	{
		const OnlineStep *step = list_nth(question->plan->steps, i);

		if (step->kind != ONLINE_REFUSE)
			question->answer = step->kind != ONLINE_BACKFILL && step->reached != NULL && !dbops_online_is_reached(step);
	}
}

/* The table that is changed, if it is there. */
static Oid
table_of(const StoppedJob *job)
{
	Oid			table = (Oid) dbops_jsonb_integer(job->spec, strcmp(job->kind, "change") == 0 ? "table" : "relid");

	return (get_rel_name(table) == NULL) ? InvalidOid : table;
}

static const char *
explain(const StoppedJob *job)
{
	return psprintf("job " INT64_FORMAT " is %s%s%s", job->id,
					strcmp(job->state, "running") == 0 ? "left by its process, and none runs in the background" :
					strcmp(job->state, "queued") == 0 ? "queued, and no process runs in the background" : job->state,
					job->message ? ": " : "", job->message ? job->message : "");
}

static const char *
command_for(const Listing *listing, const StoppedJob *job, Oid table)
{
	if (strcmp(job->state, "failed") != 0)
		return listing->background && strcmp(job->state, "queued") != 0 ?
			psprintf("SELECT dbops.resume_job(" INT64_FORMAT ");", job->id) :
			psprintf("CALL dbops.run_job(" INT64_FORMAT ");", job->id);
	if (!listing->texts && !dbops_acts_for(job->owner))
		return NULL;
	return under_its_path(listing, job, call_again(listing, job, table));
}

static const char *
call_again(const Listing *listing, const StoppedJob *job, Oid table)
{
	if (strcmp(job->kind, "backfill") == 0)
		return dbops_unfinished_backfill_call(table, job->spec, listing->background);
	if (strcmp(job->kind, "migration") == 0)
		return dbops_unfinished_migration_call(job->spec);
	return dbops_jsonb_text(job->spec, "again");
}

/* Texts of a user were written for the search_path of the call; where that is not the session's, it is set first. */
static const char *
under_its_path(const Listing *listing, const StoppedJob *job, const char *call)
{
	if (call == NULL || strcmp(job->path, listing->path) == 0 ||
		strcmp(job->path, dbops_query_safe_path(listing->path)) == 0)
		return call;
	return psprintf("SET search_path = %s; %s", job->path[0] != '\0' ? job->path : "''", call);
}

/* List triggers that a backfill has put on a table, and whose job has ended or is not known here. */
void
dbops_unfinished_triggers(ReportRow *row)
{
	DbopsParam	param = dbops_unfinished_times_known();

	dbops_store_each("SELECT t.tgrelid, t.tgname::text, CASE WHEN j.id IS NULL THEN 'the job that it served is not there any more'"
					 " ELSE format('job %s, which it served, is %s', j.id, j.state) END, coalesce(j.finished_at, " UNFINISHED_SINCE("t", "$1") ")"
					 " FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid"
					 " LEFT JOIN dbops.job j ON j.id::text = substring(t.tgname::text FROM '^dbops_[a-z]+_([0-9]+)$')"
					 " WHERE p.pronamespace = 'dbops'::regnamespace AND p.proname IN ('backfill_sync', 'backfill_guard')"
					 " AND t.tgparentid = 0 AND NOT t.tgisinternal AND (j.id IS NULL OR j.finished_at IS NOT NULL)"
					 " ORDER BY t.tgrelid::regclass::text, 2",
					 1, &param, put_trigger, row);
}

static void
put_trigger(HeapTuple row, TupleDesc desc, void *arg)
{
	Oid			table = dbops_row_oid(row, desc, 1);
	const char *name = dbops_row_text(row, desc, 2);

	dbops_unfinished_put(arg, &(Unfinished) {
						 .kind = "trigger left",
						 .object = dbops_quote_name(name),
						 .table = table,
						 .detail = psprintf("%s, and it does nothing", dbops_row_text(row, desc, 3)),
						 .since = dbops_row_time(row, desc, 4),
						 .command = psprintf("DROP TRIGGER %s ON %s;", dbops_quote_name(name), dbops_quote_relation(table))
						 });
}
