/*
 * backfill.c
 *		CALL dbops.batched_backfill(), and dbops.start_backfill(): change the rows
 *		of a large table in short transactions, in the calling session or as a
 *		job in the background.
 *
 * The table is walked once in block order, up to the block that was its last
 * when the walk began, with a commit for every batch; what a row costs does
 * not depend on the size of the table. Then it is proved that no row is left,
 * or said how many are and why.
 *
 * Nothing is remembered between calls: what has been committed no longer
 * matches or holds its value already, so that the same call goes on where the
 * last one was cut off. A job also remembers where it was (backfill_job.c).
 */
#include "change/change.h"

#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(dbops_batched_backfill);
PG_FUNCTION_INFO_V1(dbops_start_backfill);

#define ATTEMPTS		10		/* that get nowhere: rows may be locked for hours */
#define STEP_TIMEOUT 600000L	/* ms that one batch of a job may take */

static void check_workers(const BackfillRequest *request, bool call);
static void plan(BackfillRun *run);
static void settle_method(BackfillRun *run);
static bool can_follow_keys(const BackfillRequest *request);
static bool have_keys(const BackfillRun *run);
static void require_keys(const BackfillRun *run);
static bool needs_job(const BackfillRequest *request);
static bool is_job_already(const BackfillRequest *request);
static void report_set_aside(const BackfillRun *run);
static void report_came(const BackfillRun *run);
static void report_locked(const BackfillRun *run);
static void report_left(const BackfillRun *run);
static Oid	background_login(Oid owner);
static void refuse_temporary(const BackfillRequest *request, bool call);
static int64 submit(const BackfillRun *run, Oid owner, bool here);
static char *dedupe_key(const BackfillRequest *request);

/*
 * batched_backfill(table_name regclass, set_clause text, where_clause text,
 *					batch_size int, pause interval, verify boolean, workers int,
 *					method text, sync boolean, app_writes boolean, on_error text,
 *					vacuum_every double precision, max_wal_per_s bigint)
 */
Datum
dbops_batched_backfill(PG_FUNCTION_ARGS)
{
	DbopsJob	job = {.kind = "backfill",.foreground = true};
	Jsonb	   *result;
	BackfillRun *run;
	ErrorContextCallback context;

	dbops_procedure_begin(fcinfo, "batched_backfill");
	PreventCommandIfReadOnly("CALL dbops.batched_backfill()");
	run = palloc0(sizeof(BackfillRun));
	dbops_backfill_read_request(fcinfo, &run->request);
	job.call = run;

	context.previous = error_context_stack;
	context.callback = dbops_backfill_progress_context;
	context.arg = &run->progress;
	error_context_stack = &context;

	dbops_backfill_judge(run, true);
	if (needs_job(&run->request) || is_job_already(&run->request))
	{
		error_context_stack = context.previous;
		dbops_job_run_here(submit(run, dbops_relation_owner(run->request.relid), true));
		PG_RETURN_VOID();
	}
	dbops_procedure_commit();
	dbops_job_work(&dbops_backfill_kind, &job, NULL, &result);
	dbops_durable_await();		/* each batch alone was committed without waiting */

	error_context_stack = context.previous;
	dbops_backfill_report(run);
	dbops_procedure_end();
	PG_RETURN_VOID();
}

/* Find everything that can be refused: call, to be done by this session; else in the background. */
void
dbops_backfill_judge(BackfillRun *run, bool call)
{
	BackfillRequest *request = &run->request;

	check_workers(request, call);
	request->login = call ? GetUserId() : background_login(dbops_relation_owner(request->relid));
	if (call && request->workers > 1)
		request->helper_login = background_login(dbops_relation_owner(request->relid));
	plan(run);
	if (!call || request->workers > 1)
		refuse_temporary(request, call);
}

/* Refuse more processes than there can be. In a call the session is one of them. */
static void
check_workers(const BackfillRequest *request, bool call)
{
	int			most = dbops_backfill_most_workers(call);

	if (request->workers == 1)
		return;
	if (call && !dbops_job_workers_exist())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("a backfill has several workers only where dbops is preloaded"),
				 errhint("Add dbops to shared_preload_libraries and restart the server, or CALL with workers => 1.")));
	if (request->workers > most)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("workers must be at most %d", Max(most, 1)),
				 call ? errdetail("One is this session, and dbops.max_workers lets %d processes run in the background.",
								  dbops_max_workers) :
				 errdetail("dbops.max_workers lets %d processes run in the background.", dbops_max_workers),
				 errhint("Raise dbops.max_workers, and max_worker_processes with it, or give fewer workers.")));
}

/* How many processes one backfill can have. */
int
dbops_backfill_most_workers(bool call)
{
	return dbops_max_workers + (call ? 1 : 0);
}

/*
 * Look at the table and understand the change, in a transaction that changes
 * nothing. Everything that can be refused is refused here.
 */
static void
plan(BackfillRun *run)
{
	char	   *table = get_rel_name(run->request.relid);

	if (table == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table with OID %u does not exist", run->request.relid)));

	dbops_backfill_progress_begin(&run->progress, quote_identifier(table));
	run->leaves = dbops_backfill_leaves(&run->request);
	run->change = dbops_backfill_understand(&run->request);
	settle_method(run);
}

/*
 * Decide in which order the rows are changed: that of the blocks where a row
 * may be met again, that of a key where it may not.
 */
static void
settle_method(BackfillRun *run)
{
	BackfillRequest *request = &run->request;
	const char *twice = run->change->twice;

	if (request->method == BACKFILL_AUTO)
		request->method = (twice != NULL && can_follow_keys(request) && have_keys(run)) ? BACKFILL_KEYSET : BACKFILL_BLOCKS;
	if (request->method == BACKFILL_KEYSET)
	{
		require_keys(run);
		request->verify = false;	/* nothing is left that could be counted */
	}
	else if (twice != NULL)
		dbops_backfill_refuse_twice(twice, psprintf("%s Or %s method => 'keyset' with one worker, without sync and app_writes, which visits each row once.",
													run->change->twice_hint, have_keys(run) ? "use" :
													"give the table a primary key that is not assigned, and use"));
}

/* Is nothing asked for that the order of a key does not have? */
static bool
can_follow_keys(const BackfillRequest *request)
{
	return request->workers == 1 && !request->sync && !request->app_writes;
}

/* Has each table a key to follow? */
static bool
have_keys(const BackfillRun *run)
{
	ListCell   *cell;

	foreach(cell, run->leaves)
	{
		char	   *defect;

		if (dbops_backfill_key_find(((BackfillLeaf *) lfirst(cell))->relid, run->request.relid,
									run->change->assigned, &defect) == NULL)
			return false;
	}
	return true;
}

static void
require_keys(const BackfillRun *run)
{
	const BackfillRequest *request = &run->request;
	ListCell   *cell;

	if (get_rel_relkind(request->relid) == RELKIND_PARTITIONED_TABLE)
		(void) dbops_backfill_key_require(request->relid, request->relid, run->change->assigned);
	foreach(cell, run->leaves)
		(void) dbops_backfill_key_require(((BackfillLeaf *) lfirst(cell))->relid, request->relid,
										  run->change->assigned);
	if (request->sync && run->change->twice != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("sync would change rows more often than once"),
				 errdetail("%s", run->change->twice),
				 errhint("Leave sync out: rows that applications insert meanwhile are left as they are.")));
}

/*
 * Is it more than this session alone can keep? Then the call is done by a job,
 * of which this session is the first worker.
 */
static bool
needs_job(const BackfillRequest *request)
{
	return request->workers > 1 || request->method == BACKFILL_KEYSET ||
		request->sync || request->quarantine;
}

/* Does a job do this change already? Then the call goes on with that, or is refused as it is at work. */
static bool
is_job_already(const BackfillRequest *request)
{
	DbopsParam	params[] = {
		dbops_param_oid(dbops_relation_owner(request->relid)),
		dbops_param_text(dedupe_key(request))
	};
	Datum		id;

	return get_rel_persistence(request->relid) != RELPERSISTENCE_TEMP &&
		dbops_store_value("SELECT id FROM dbops.job WHERE owner = $1 AND dedupe_key = $2 AND finished_at IS NULL",
						  lengthof(params), params, INT8OID, &id);
}

/* Say what was done. */
void
dbops_backfill_report(const BackfillRun *run)
{
	if (run->quarantined > 0)
		report_set_aside(run);
	if (run->came != NULL)
		report_came(run);
	if (dbops_backfill_left(run) > 0 || run->unfilled > 0)
		report_left(run);
	else if (run->quarantined > 0 || run->came != NULL)
		return;
	else if (run->rows_locked && !run->request.verify)
		report_locked(run);
	else
		ereport(NOTICE,
				(errmsg("backfill of %s: %s changed, %s",
						run->progress.table, dbops_backfill_rows(run->progress.rows),
						run->request.method == BACKFILL_KEYSET ? "each row visited once" :
						run->request.verify ? "none left" : "not verified"),
				 errdetail_internal("%s %s", dbops_backfill_progress_pace(&run->progress),
									dbops_backfill_meanwhile(run))));
}

/* Say that rows are as they were because they fail. */
static void
report_set_aside(const BackfillRun *run)
{
	ereport(WARNING,
			(errmsg("backfill of %s: %s changed, %s",
					run->progress.table, dbops_backfill_rows(run->progress.rows),
					dbops_backfill_aside(run)),
			 errdetail_internal("%s", dbops_backfill_progress_pace(&run->progress)),
			 run->request.method == BACKFILL_KEYSET ?
			 errhint("See dbops.backfill_errors(" INT64_FORMAT "), correct those rows or the expression, and CALL with a where_clause that only they match: every row that matches is changed again.",
					 run->job->id) :
			 errhint("See dbops.backfill_errors(" INT64_FORMAT "), correct those rows or the expression, and CALL again with the same arguments.",
					 run->job->id)));
}

/* Say that there are rows of which it is not known whether they were to be changed. */
static void
report_came(const BackfillRun *run)
{
	const char *hint;

	(void) dbops_backfill_left_reason(run, &hint);
	ereport(WARNING,
			(errmsg("backfill of %s: %s changed, each row visited once but those of tables that came meanwhile",
					run->progress.table, dbops_backfill_rows(run->progress.rows)),
			 errdetail_internal("%s %s", dbops_backfill_progress_pace(&run->progress),
								dbops_backfill_meanwhile(run)),
			 errhint("%s", hint)));
}

/* Say that rows were left out, where it was not asked for their number. */
static void
report_locked(const BackfillRun *run)
{
	ereport(WARNING,
			(errmsg("backfill of %s: %s changed, rows that other transactions lock left out",
					run->progress.table, dbops_backfill_rows(run->progress.rows)),
			 errdetail("The last attempt said: %s.", run->obstacle),
			 errhint("CALL again with the same arguments when those have ended.")));
}

/* Say how many rows are left and why. */
static void
report_left(const BackfillRun *run)
{
	const char *hint;
	const char *reason = dbops_backfill_left_reason(run, &hint);

	ereport(WARNING,
			(errmsg("backfill of %s: %s changed, %s left",
					run->progress.table, dbops_backfill_rows(run->progress.rows),
					dbops_backfill_rows(dbops_backfill_left(run) + run->unfilled)),
			 errdetail_internal("%s", reason),
			 errhint("%s", hint)));
}

/* Why rows are left, and what to do about it; NULL: none are known to be. */
const char *
dbops_backfill_left_reason(const BackfillRun *run, const char **hint)
{
	uint64		left = dbops_backfill_left(run);

	if (left == 0 && run->unfilled > 0)
	{
		*hint = "Give an expression that is never NULL, such as COALESCE(..., default).";
		return psprintf("The expression for column \"%s\" yields NULL for them, which is what where_clause asks for.",
						run->change->null_column);
	}
	if (run->rows_locked && (left > 0 || !run->request.verify))
	{
		*hint = "CALL again with the same arguments when those have ended.";
		return psprintf("They are locked by other transactions. The last attempt said: %s.",
						run->obstacle);
	}
	if (run->came != NULL)
	{
		*hint = "Look whether they have to be changed, and CALL for these tables alone if so.";
		return run->came;
	}
	*hint = "Make new rows right first (a column default or a trigger), then CALL again with the same arguments.";
	return (left == 0) ? NULL :
		"Other sessions insert or change rows so that they match, a trigger changes what is assigned, or an expression yields NULL.";
}

/*
 * start_backfill(the same) → bigint
 *
 * Everything that can be refused is refused here, with the caller's rights.
 */
Datum
dbops_start_backfill(PG_FUNCTION_ARGS)
{
	BackfillRun *run = palloc0(sizeof(BackfillRun));

	PreventCommandIfReadOnly("dbops.start_backfill()");
	dbops_backfill_prepare(fcinfo, run, false);
	PG_RETURN_INT64(submit(run, dbops_relation_owner(run->request.relid), false));
}

/* Understand and judge what is asked for, as if a call were to do it or the background. */
void
dbops_backfill_prepare(FunctionCallInfo fcinfo, BackfillRun *run, bool call)
{
	int			nest_level = NewGUCNestLevel();

	dbops_backfill_read_request(fcinfo, &run->request);
	dbops_backfill_judge(run, call);
	AtEOXact_GUC(false, nest_level);
}

/* As whom the process that does it will be logged in; see dbops_job_login. */
static Oid
background_login(Oid owner)
{
	if (NOLOGIN_ROLES_RUN || dbops_role_can_login(owner))
		return owner;
	return BOOTSTRAP_SUPERUSERID;
}

/* Nobody else sees a temporary table. */
static void
refuse_temporary(const BackfillRequest *request, bool call)
{
	if (get_rel_persistence(request->relid) == RELPERSISTENCE_TEMP)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot backfill temporary table \"%s\" in the background",
						get_rel_name(request->relid)),
				 call ? errhint("CALL with workers => 1: this session alone sees the table.") :
				 errhint("CALL dbops.batched_backfill() in this session.")));
}

static int64
submit(const BackfillRun *run, Oid owner, bool here)
{
	DbopsJobRequest request = {
		DBOPS_JOB_REQUEST,
		.kind = dbops_backfill_kind.name,
		.name = run->progress.table,
		.owner = owner,
		.path = run->change->path,
		.spec = dbops_backfill_spec(run),
		.class = DBOPS_CLASS_BATCHES,
		.idempotent = (run->request.method != BACKFILL_KEYSET),
		.dedupe_key = dedupe_key(&run->request),
		.here = here
	};

	int64		id;

	request.timeout = STEP_TIMEOUT;
	request.max_attempts = ATTEMPTS;
	id = dbops_job_submit(&request);
	dbops_backfill_check_same(id, request.spec);
	return id;
}

/* The same change of the same table is one job as long as it lives. */
static char *
dedupe_key(const BackfillRequest *request)
{
	StringInfoData texts;
	Datum		hash;

	initStringInfo(&texts);
	appendStringInfoString(&texts, dbops_query_submission_path());
	appendStringInfoChar(&texts, '\0');
	appendStringInfoString(&texts, request->set_clause);
	appendStringInfoChar(&texts, '\0');
	if (request->where_clause != NULL)
		appendStringInfoString(&texts, request->where_clause);
	hash = DirectFunctionCall1(sha256_bytea,
							   PointerGetDatum(cstring_to_text_with_len(texts.data, texts.len)));
	hash = DirectFunctionCall2(binary_encode, hash, PointerGetDatum(cstring_to_text("hex")));
	return psprintf("backfill %u %s", request->relid, TextDatumGetCString(hash));
}
