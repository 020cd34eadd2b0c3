/*
 * migration_job.c
 *		A migration whose statements cannot share a transaction, as a job.
 *
 *		begin -> together | concurrently | alone -> ... -> finish
 *
 * Statements that stand together and can share a transaction are one step; any
 * other is run at top level between two steps (migration_alone.c). A statement
 * is noted as done in the transaction that does it, or when the catalog says
 * that it is: so who takes over goes on with the first that is not, be that
 * another process or another call, and nothing ever has to be repaired.
 *
 * While the job is live the migration is in state running, which keeps all
 * others from the project. When it ends without success, the migration has
 * failed, in the same transaction, and can be applied again.
 */
#include "change/drift.h"
#include "change/migration_work.h"

#include "core/server.h"
#include "core/sql.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"

enum
{
	PHASE_BEGIN,
	PHASE_TOGETHER,
	PHASE_CONCURRENTLY,
	PHASE_ALONE,
	PHASE_FINISH,
	PHASES
};

/* Statements that are one step. */
typedef struct Together
{
	MigrationWork *work;
	int			last;
	StepLog    *log;			/* of those that are done */
} Together;

static char *job_name(const Migration *migration);
static Jsonb *describe_request(const MigrationJobRequest *request);
static void require_login(void);
static void *open_job(DbopsJob *job);
static void take_migration(MigrationWork *work);
static void read_text(MigrationWork *work);
static Jsonb *result(DbopsJob *job, void *state);
static void begin_step(DbopsJob *job, void *state, DbopsStep *step);
static void together_step(DbopsJob *job, void *state, DbopsStep *step);
static int	last_together(const MigrationWork *work);
static void run_together(void *arg);
static void keep_receipt(const MigrationReceipt *receipt, void *arg);
static void alone_step(DbopsJob *job, void *state, DbopsStep *step);
static void finish_step(DbopsJob *job, void *state, DbopsStep *step);
static void verify(void *arg);
static void record_end(const MigrationWork *work);
static bool was_applied(const Migration *migration);
static void go_on(MigrationWork *work, DbopsStep *step, int next);
static int	next_phase(const MigrationWork *work);
static bool is_concurrent(const MigrationWork *work);
static void note_progress(const MigrationWork *work, DbopsStep *step);
static void blame(const MigrationWork *work, ErrorData *error);
static const char *abandon(const DbopsJob *job, long patience);
static bool is_untouched(const DbopsJob *job);
static Jsonb *describe_failure(const DbopsJob *job);
static void put_reason(DbopsJson *json, int64 job);
static void take_reason(HeapTuple row, TupleDesc desc, void *arg);
static Jsonb *remains(const DbopsJob *job);
static const char *keeps(const DbopsJob *job);
static int	count_done(const DbopsJob *job);

/* Whose statements this process runs just now; 0: nobody's. */
static int64 job_at_work = 0;

static const DbopsPhase phases[PHASES] = {
	[PHASE_BEGIN] = {"begin", DBOPS_CLASS_PLAIN, false, true, begin_step},
	[PHASE_TOGETHER] = {"in a transaction", DBOPS_CLASS_PLAIN, false, true, together_step},
	[PHASE_CONCURRENTLY] = {"concurrently", DBOPS_CLASS_CONCURRENT_DDL, false, true, alone_step},
	[PHASE_ALONE] = {"alone", DBOPS_CLASS_PLAIN, false, true, alone_step},
	[PHASE_FINISH] = {"finish", DBOPS_CLASS_PLAIN, false, true, finish_step}
};

static const DbopsJobKind kind = {
	.name = "migration",
	.unit = "statements",
	.phases = phases,
	.n_phases = PHASES,
	.open = open_job,
	.result = result,
	.abandon = abandon,
	.remains = remains,
	.keeps = keeps,
	.as_owner = true,
	.asked_again = true
};

void
dbops_migration_job_init(void)
{
	dbops_job_kind_register(&kind);
}

/* ---- to have it done ---- */

/*
 * Submit the job of a migration that stands in the ledger as running, with its
 * steps. It runs as the current user. Returns its id.
 */
int64
dbops_migration_job_submit(const MigrationJobRequest *request)
{
	DbopsJobRequest job = {
		DBOPS_JOB_REQUEST,
		.kind = kind.name,
		.name = job_name(request->migration),
		.owner = GetUserId(),
		.path = dbops_query_submission_path(),
		.spec = describe_request(request),
		.class = DBOPS_CLASS_PLAIN,
		.idempotent = true
	};

	require_login();
	return dbops_job_submit(&job);
}

static char *
job_name(const Migration *migration)
{
	if (strcmp(migration->project, "default") == 0)
		return pstrdup(migration->version);
	return psprintf("%s/%s", migration->project, migration->version);
}

static Jsonb *
describe_request(const MigrationJobRequest *request)
{
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	dbops_json_text(&json, "project", request->migration->project);
	dbops_json_text(&json, "version", request->migration->version);
	dbops_json_text(&json, "direction", request->direction);
	dbops_json_integer(&json, "lock_timeout", request->lock_timeout);
	dbops_json_integer(&json, "max_wait", request->max_wait);
	dbops_json_text(&json, "reason", request->reason);
	dbops_json_document(&json, "settings", dbops_migration_settings());
	return dbops_json_finish(&json);
}

/* What cannot share a transaction is run by a session of the role itself. */
static void
require_login(void)
{
	if (!NOLOGIN_ROLES_RUN && !dbops_role_can_login(GetUserId()))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
				 errmsg("role \"%s\" cannot log in, so that no process can run the steps of this migration",
						GetUserNameFromId(GetUserId(), false)),
				 errhint("SET ROLE to a role with LOGIN that has the same rights, or use PostgreSQL 17 or later.")));
}

/* ---- the process that works on it ---- */

static void *
open_job(DbopsJob *job)
{
	MigrationWork *work = palloc0(sizeof(MigrationWork));

	work->job = job;
	work->memory = CurrentMemoryContext;
	work->statement_memory = AllocSetContextCreate(CurrentMemoryContext, "migration step", ALLOCSET_DEFAULT_SIZES);
	work->direction = dbops_jsonb_text(job->spec, "direction");
	work->lock_timeout = dbops_jsonb_integer(job->spec, "lock_timeout");
	work->max_wait = dbops_jsonb_integer(job->spec, "max_wait");
	work->settings = dbops_jsonb_document(job->spec, "settings");
	take_migration(work);
	read_text(work);
	work->next = dbops_migration_steps_done(work->migration->project, work->migration->version,
											 work->direction) + 1;
	return work;
}

/* Somebody may have decided otherwise about the migration while nobody worked on it. */
static void
take_migration(MigrationWork *work)
{
	const char *project = dbops_jsonb_text(work->job->spec, "project");
	const char *version = dbops_jsonb_text(work->job->spec, "version");

	work->migration = dbops_migration_load(project, version);
	if (work->migration == NULL || work->migration->job != work->job->id ||
		strcmp(work->migration->state, "running") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("migration \"%s\" of project \"%s\" is not to be done by this job any more", version, project),
				 errhint("See dbops.migration_status('%s').", project)));
}

/* With the settings that it was read with before. */
static void
read_text(MigrationWork *work)
{
	bool		up = (strcmp(work->direction, "up") == 0);
	int			nest_level = NewGUCNestLevel();

	dbops_migration_settings_nest(work);
	work->text = up ? dbops_migration_text_read("up_sql", work->migration->up_sql) :
		dbops_migration_text_read("down_sql", work->migration->down_sql);
	AtEOXact_GUC(false, nest_level);
}

static Jsonb *
result(DbopsJob *job, void *state)
{
	const MigrationWork *work = state;
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	dbops_json_text(&json, "direction", work->direction);
	dbops_json_integer(&json, "statements", list_length(work->text->statements));
	return dbops_json_finish(&json);
}

/* ---- the phases ---- */

static void
begin_step(DbopsJob *job, void *state, DbopsStep *step)
{
	MigrationWork *work = state;

	go_on(work, step, work->next);
	if (dbops_migration_alone_is_begun(work))
		step->goto_phase = PHASE_ALONE;
}

/* Run what can share a transaction, up to what cannot. */
static void
together_step(DbopsJob *job, void *state, DbopsStep *step)
{
	Together	group = {.work = state,.last = last_together(state)};

	if (dbops_migration_work_try(state, step, group.work->lock_timeout, run_together, &group))
		go_on(state, step, group.last + 1);
}

static int
last_together(const MigrationWork *work)
{
	int			last = work->next;

	while (last < list_length(work->text->statements) &&
		   !((MigrationStatement *) list_nth(work->text->statements, last))->alone)
		last++;
	return last;
}

static void
run_together(void *arg)
{
	Together   *group = arg;
	MigrationWork *work = group->work;
	MigrationRun run = {
		.text = work->text,
		.version = work->migration->version,
		.direction = work->direction,
		.first = work->next,
		.last = group->last,
		.lock_timeout = work->lock_timeout,
		.each = keep_receipt,
		.arg = group
	};

	work->at = work->next;
	group->log = dbops_step_log_begin(work->migration->project);
	dbops_migration_run(&run);
	dbops_step_log_end(group->log);
}

static void
keep_receipt(const MigrationReceipt *receipt, void *arg)
{
	Together   *group = arg;

	dbops_step_log_add(group->log, receipt);
	group->work->at = receipt->step + 1;
}

/*
 * Get on with a statement that cannot share a transaction; or see to what one
 * has left that stood in its place before the text was changed.
 */
static void
alone_step(DbopsJob *job, void *state, DbopsStep *step)
{
	MigrationWork *work = state;

	if (!dbops_migration_work_next(work)->alone && !dbops_migration_alone_is_begun(work))
		go_on(work, step, work->next);
	else if (dbops_migration_alone_step(work, step))
		go_on(work, step, work->next + 1);
	else
		note_progress(work, step);
}

/* Verify, and have the ledger say that it is done. */
static void
finish_step(DbopsJob *job, void *state, DbopsStep *step)
{
	MigrationWork *work = state;

	note_progress(work, step);
	if (strcmp(work->direction, "up") == 0 && work->migration->verify_sql != NULL &&
		!dbops_migration_work_try(work, step, work->lock_timeout, verify, work))
		return;
	record_end(work);
	dbops_drift_end_steps(work->migration->project, work->migration->version);
	step->finished = true;
}

static void
verify(void *arg)
{
	MigrationWork *work = arg;

	work->at = 0;
	dbops_migration_verify(work->migration->verify_sql);
}

static void
record_end(const MigrationWork *work)
{
	Migration	migration = *work->migration;
	bool		up = (strcmp(work->direction, "up") == 0);
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	dbops_json_integer(&json, "statements", list_length(work->text->statements));
	dbops_json_integer(&json, "job_id", work->job->id);
	migration.state = up ? "applied" : "reverted";
	if (up)
	{
		migration.position = 0;
		migration.applied_at = 0;
	}
	dbops_migration_note(migration.project, migration.version,
						 !up ? "roll_back" : was_applied(&migration) ? "apply_again" : "apply",
						 dbops_jsonb_text(work->job->spec, "reason"), dbops_json_finish(&json));
	dbops_migration_store(&migration);
}

/* Has it been applied before, and not rolled back since? */
static bool
was_applied(const Migration *migration)
{
	DbopsParam	params[] = {dbops_param_text(migration->project), dbops_param_text(migration->version)};
	Datum		applied;

	return dbops_store_value("SELECT event <> 'roll_back' FROM dbops.migration_event"
							 " WHERE project = $1 AND version = $2 AND event IN ('apply', 'apply_again', 'roll_back')"
							 " ORDER BY id DESC LIMIT 1",
							 lengthof(params), params, BOOLOID, &applied) && DatumGetBool(applied);
}

/* Go on with a statement, or finish behind the last. */
static void
go_on(MigrationWork *work, DbopsStep *step, int next)
{
	MemoryContextReset(work->statement_memory);
	work->wait.waits = false;
	work->ran = false;
	work->aim = NULL;
	work->remedy = NULL;
	work->met = NULL;
	work->next = next;
	step->finished = true;
	step->goto_phase = next_phase(work);
	note_progress(work, step);
}

static int
next_phase(const MigrationWork *work)
{
	if (work->next > list_length(work->text->statements))
		return PHASE_FINISH;
	if (!dbops_migration_work_next(work)->alone)
		return PHASE_TOGETHER;
	return is_concurrent(work) ? PHASE_CONCURRENTLY : PHASE_ALONE;
}

const MigrationStatement *
dbops_migration_work_next(const MigrationWork *work)
{
	return list_nth(work->text->statements, work->next - 1);
}

static bool
is_concurrent(const MigrationWork *work)
{
	return dbops_sql_is_concurrent(dbops_migration_statement_parse(work->text, dbops_migration_work_next(work))->stmt);
}

static void
note_progress(const MigrationWork *work, DbopsStep *step)
{
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	dbops_json_integer(&json, "statement", work->next);
	step->position = dbops_json_finish(&json);
	step->done = work->next - 1;
	step->total = list_length(work->text->statements);
}

/* ---- locks of others ---- */

/*
 * Do a part of the step that may meet a lock; false if it has, and then it is
 * undone and to be tried again with the next step.
 */
bool
dbops_migration_work_try(MigrationWork *work, DbopsStep *step, long lock_timeout,
						  DbopsCallback attempt, void *arg)
{
	ErrorData  *error;
	char	   *blocker;
	int			nest_level = NewGUCNestLevel();
	volatile bool done = false;

	dbops_migration_settings_nest(work);
	dbops_set_nested("lock_timeout", psprintf("%ld", lock_timeout));
	dbops_blocker_watch(lock_timeout);
	PG_TRY();
	{
		job_at_work = work->job->id;
		done = dbops_attempt(attempt, arg, &error);
		job_at_work = 0;
		if (!done && !dbops_migration_met_a_lock(error->sqlerrcode))
			ReThrowError(error);
	}
	PG_CATCH();
	{
		job_at_work = 0;
		dbops_blocker_unwatch();
		dbops_migration_work_rethrow(work);
	}
	PG_END_TRY();
	blocker = dbops_blocker_watched();
	AtEOXact_GUC(false, nest_level);
	if (!done)
		dbops_migration_work_wait(work, step, error, blocker);
	return done;
}

/* Has one of the job's own statements called what asks this? */
bool
dbops_migration_job_is_own(int64 job)
{
	return job != 0 && job == job_at_work;
}

/*
 * Throw the error that was caught, with a message that says whose it is, which
 * is all that a job keeps of it.
 */
void
dbops_migration_work_rethrow(MigrationWork *work)
{
	ErrorData  *error;

	MemoryContextSwitchTo(work->statement_memory);
	error = CopyErrorData();
	FlushErrorState();
	blame(work, error);
	ReThrowError(error);
}

static void
blame(const MigrationWork *work, ErrorData *error)
{
	const MigrationStatement *statement;

	if (work->at < 1 || work->at > list_length(work->text->statements))
		return;
	statement = list_nth(work->text->statements, work->at - 1);
	error->message = psprintf("statement %d, line %d, %s: %s%s%s", statement->number, statement->line,
							  statement->command, error->message,
							  error->detail != NULL ? ": " : "", error->detail != NULL ? error->detail : "");
	error->detail = NULL;
}

/* Wait, holding nothing, before the next try; or give up. */
void
dbops_migration_work_wait(MigrationWork *work, DbopsStep *step,
						   const ErrorData *error, const char *blocker)
{
	const MigrationStatement *statement = work->next > list_length(work->text->statements) ? NULL : dbops_migration_work_next(work);
	const char *what = statement != NULL ? psprintf("statement %d, %s,", statement->number, statement->command) : "verify_sql";

	if (blocker == NULL)
		blocker = error->detail;
	if (dbops_lock_wait_lasts(&work->wait) >= work->max_wait)
		ereport(ERROR,
				(errcode(error->sqlerrcode),
				 errmsg("%s of migration \"%s\" has met a lock of another session, again and again: %s",
						what, work->migration->version, error->message),
				 blocker != NULL ? errdetail_internal("%s", blocker) : 0,
				 errhint("Apply the migration again when it has ended, or with a longer max_wait or lock_timeout.")));
	if (dbops_lock_wait_again(&work->wait, step, blocker != NULL ? blocker : error->message) && work->job->foreground)
		ereport(NOTICE,
				(errmsg("%s of migration \"%s\" waits, with no lock of its own: %s",
						what, work->migration->version, error->message),
				 blocker != NULL ? errdetail_internal("%s", blocker) : 0));
}

/* ---- when it ends without success ---- */

/*
 * Let the migration be one that has failed, which can be gone on with; or still
 * one that is applied, where all of it was and nothing has been rolled back.
 */
static const char *
abandon(const DbopsJob *job, long patience)
{
	const char *project = dbops_jsonb_text(job->spec, "project");
	const char *version = dbops_jsonb_text(job->spec, "version");
	DbopsParam	params[] = {
		dbops_param_text(project), dbops_param_text(version), dbops_param_int8(job->id),
		dbops_param_text(is_untouched(job) ? "applied" : "failed")
	};

	if (dbops_store_each("UPDATE dbops.migration SET state = $4"
						 " WHERE project = $1 AND version = $2 AND job_id = $3 AND state = 'running'",
						 lengthof(params), params, NULL, NULL) == 1)
		dbops_migration_note(project, version, "fail", NULL, describe_failure(job));
	return NULL;
}

static bool
is_untouched(const DbopsJob *job)
{
	const char *project = dbops_jsonb_text(job->spec, "project");
	const char *version = dbops_jsonb_text(job->spec, "version");

	return strcmp(dbops_jsonb_text(job->spec, "direction"), "down") == 0 &&
		dbops_migration_steps_are(project, version, "down", "pending") &&
		dbops_migration_steps_are(project, version, "up", "done");
}

static Jsonb *
describe_failure(const DbopsJob *job)
{
	DbopsJson	json = {0};
	char	   *leftover = dbops_migration_alone_leftover(dbops_jsonb_text(job->spec, "project"),
														 dbops_jsonb_text(job->spec, "version"),
														 dbops_jsonb_text(job->spec, "direction"));

	dbops_json_object(&json, NULL);
	dbops_json_text(&json, "direction", dbops_jsonb_text(job->spec, "direction"));
	dbops_json_integer(&json, "statements_done", count_done(job));
	dbops_json_integer(&json, "job_id", job->id);
	put_reason(&json, job->id);
	if (leftover != NULL)
		dbops_json_text(&json, "leftover", leftover);
	return dbops_json_finish(&json);
}

/* Why the job has ended stands in its row already. */
static void
put_reason(DbopsJson *json, int64 job)
{
	DbopsParam	param = dbops_param_int8(job);

	dbops_store_each("SELECT state, sqlstate, message FROM dbops.job WHERE id = $1", 1, &param, take_reason, json);
}

static void
take_reason(HeapTuple row, TupleDesc desc, void *arg)
{
	DbopsJson  *json = arg;

	dbops_json_text(json, "job_state", dbops_row_text(row, desc, 1));
	dbops_json_text(json, "sqlstate", dbops_row_text(row, desc, 2));
	dbops_json_text(json, "message", dbops_row_text(row, desc, 3));
}

/* What was done and stays done. */
static Jsonb *
remains(const DbopsJob *job)
{
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	dbops_json_text(&json, "direction", dbops_jsonb_text(job->spec, "direction"));
	dbops_json_integer(&json, "statements_done", count_done(job));
	return dbops_json_finish(&json);
}

static const char *
keeps(const DbopsJob *job)
{
	int			done = count_done(job);

	if (done == 0)
		return NULL;
	return psprintf("%d statement%s of the migration %s done", done, done == 1 ? "" : "s", done == 1 ? "is" : "are");
}

static int
count_done(const DbopsJob *job)
{
	return dbops_migration_steps_done(dbops_jsonb_text(job->spec, "project"),
									  dbops_jsonb_text(job->spec, "version"),
									  dbops_jsonb_text(job->spec, "direction"));
}
