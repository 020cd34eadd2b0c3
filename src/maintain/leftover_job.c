/*
 * leftover_job.c
 *		drop_leftover_index(): remove what a build has left that was cut off.
 *
 * A job of one step: DROP INDEX CONCURRENTLY, which keeps nobody from reading or
 * writing. It is run when the table is free and the index is still invalid, and
 * so cannot be the work of another session. What rebuilds of ours have left when
 * their job ends is removed the same way, without being asked.
 */
#include "maintain/reindex.h"

#include "core/sql.h"

#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#define LOCK_WAIT	(10 * 60 * 1000L)	/* ms, for transactions that use the table */
#define NAP			1000				/* ms between two looks at the table */
#define MOST_LOOKS	600

PG_FUNCTION_INFO_V1(dbops_drop_leftover_index);

/* One in work. */
typedef struct Work
{
	Leftover   *leftover;		/* as it was found last; NULL: it is gone, or valid */
	ErrorData  *met;			/* with what the last try failed; or NULL */
	int			looks;
	MemoryContext memory;
} Work;

static void check_index(Oid index);
static const Leftover *require_leftover(Oid index);
static void *open_job(DbopsJob *job);
static void drop_step(DbopsJob *job, void *state, DbopsStep *step);
static void require_rights(const DbopsJob *job, const Leftover *leftover);
static void have_dropped(Work *work, DbopsStep *step);
static void drop_outside(void *arg);
static bool is_still_invalid(void *arg);
static void note_end(const DbopsJob *job, bool gone);

enum
{
	PHASE_DROP,
	PHASES
};

static const DbopsPhase phases[PHASES] = {
	[PHASE_DROP] = {"drop", DBOPS_CLASS_CONCURRENT_DDL, false, false, drop_step}
};

const DbopsJobKind dbops_leftover_kind = {
	.name = "drop leftover index",
	.unit = "indexes",
	.phases = phases,
	.n_phases = PHASES,
	.open = open_job
};

/* drop_leftover_index(index_name regclass) → bigint, the job */
Datum
dbops_drop_leftover_index(PG_FUNCTION_ARGS)
{
	const Leftover *leftover;

	dbops_require_argument(fcinfo, 0, "index_name");
	check_index(PG_GETARG_OID(0));
	leftover = require_leftover(PG_GETARG_OID(0));
	dbops_require_table_owner(leftover->index);
	PG_RETURN_INT64(dbops_leftover_submit(leftover, dbops_relation_owner(leftover->table)));
}

static void
check_index(Oid index)
{
	char		relkind = get_rel_relkind(index);

	if (relkind == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no index with OID %u", index)));
	if (relkind != RELKIND_INDEX)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not an index with a file of its own", get_rel_name(index)),
				 errhint("SELECT * FROM dbops.leftover_indexes(); lists what can be removed.")));
}

/* Refuse what is no leftover, or not one yet. */
static const Leftover *
require_leftover(Oid index)
{
	const Leftover *leftover = dbops_leftover_find(index);

	if (leftover == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("index \"%s\" is valid", get_rel_name(index)),
				 errhint("Only what a build has left that was cut off is removed here. To drop a valid index: DROP INDEX CONCURRENTLY %s;",
						 dbops_quote_relation(index))));
	if (dbops_leftover_is_at_work(index))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("index \"%s\" is being built or dropped by another session", get_rel_name(index)),
				 errhint("See pg_stat_progress_create_index, and wait for its end.")));
	if (get_rel_relispartition(index))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("index \"%s\" is a part of a partitioned index, and cannot be dropped alone", get_rel_name(index)),
				 errhint("Build it anew: SELECT dbops.start_reindex('%s');", leftover->name)));
	return leftover;
}

/* Submit the job that removes it; while one lives there is no second. */
int64
dbops_leftover_submit(const Leftover *leftover, Oid owner)
{
	DbopsJson	json = {0};
	DbopsJobRequest request = {
		DBOPS_JOB_REQUEST,
		.kind = dbops_leftover_kind.name,
		.name = leftover->name,
		.owner = owner,
		.path = "",
		.class = DBOPS_CLASS_CONCURRENT_DDL,
		.idempotent = true,
		.dedupe_key = psprintf("dbops drop leftover index %u", leftover->index)
	};

	dbops_json_object(&json, NULL);
	dbops_json_integer(&json, "index", leftover->index);
	dbops_json_integer(&json, "table", leftover->table);
	dbops_json_text(&json, "name", leftover->name);
	request.spec = dbops_json_finish(&json);
	return dbops_job_submit(&request);
}

/* ---- the job ---- */

static void *
open_job(DbopsJob *job)
{
	Work	   *work = palloc0(sizeof(Work));

	work->memory = CurrentMemoryContext;
	return work;
}

/* See that it is gone; or have it dropped after the step, when its table is free. */
static void
drop_step(DbopsJob *job, void *state, DbopsStep *step)
{
	Work	   *work = state;
	Oid			index = dbops_jsonb_integer(job->spec, "index");
	MemoryContext passing = MemoryContextSwitchTo(work->memory);

	work->leftover = dbops_leftover_find(index);
	MemoryContextSwitchTo(passing);
	step->total = 1;
	if (work->leftover == NULL || work->leftover->table != (Oid) dbops_jsonb_integer(job->spec, "table"))
	{
		step->finished = true;
		step->done = 1;
		note_end(job, get_rel_name(index) == NULL);
		return;
	}
	if (work->met != NULL)
		ReThrowError(work->met);
	require_rights(job, work->leftover);
	have_dropped(work, step);
}

static void
require_rights(const DbopsJob *job, const Leftover *leftover)
{
	if (!object_ownercheck(RelationRelationId, leftover->table, job->owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("table %s has another owner than when the job was submitted", leftover->table_name),
				 errhint("Call dbops.drop_leftover_index('%s') again.", leftover->name)));
}

static void
have_dropped(Work *work, DbopsStep *step)
{
	const char *obstacle = dbops_reindex_lock_obstacle(work->leftover->table, true);

	if (obstacle == NULL)
	{
		step->outside = drop_outside;
		step->outside_arg = work;
		step->outside_what = dbops_leftover_sql(work->leftover);
		return;
	}
	if (++work->looks > MOST_LOOKS)
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("index %s could not be dropped: %s", work->leftover->name, obstacle)));
	step->pause = NAP;
	step->waiting = obstacle;
}

static void
drop_outside(void *arg)
{
	Work	   *work = arg;

	work->met = dbops_reindex_try(dbops_leftover_drop, work->leftover, work->memory);
}

char *
dbops_leftover_sql(const Leftover *leftover)
{
	return psprintf("DROP INDEX CONCURRENTLY IF EXISTS %s", leftover->name);
}

/* Drop it, if it is still that when nobody else has its table. Runs outside. */
void
dbops_leftover_drop(void *leftover)
{
	const Leftover *what = leftover;
	DbopsAlone	alone = {
		.sql = dbops_leftover_sql(what),
		.table = what->table,
		.lock_timeout = LOCK_WAIT,
		.is_right = is_still_invalid,
		.arg = leftover
	};

	dbops_alone_run(&alone);
}

static bool
is_still_invalid(void *arg)
{
	const Leftover *was = arg;
	const Leftover *is = dbops_leftover_find(was->index);

	return is != NULL && is->table == was->table && strcmp(is->name, was->name) == 0;
}

static void
note_end(const DbopsJob *job, bool gone)
{
	MaintenanceNote note = {
		MAINTENANCE_NOTE,.kind = "reindex",.object = dbops_jsonb_text(job->spec, "name"),.action = "drop leftover index",
		.outcome = gone ? "done" : "skipped",.message = gone ? NULL : "it is valid now",.job = job->id
	};

	dbops_reindex_forget_ended();
	dbops_maintenance_note(&note);
}
