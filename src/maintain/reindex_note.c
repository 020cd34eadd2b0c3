/*
 * reindex_note.c
 *		What has come of a rebuild: measured again, and written down.
 *
 * The phase note of a job of rebuilds. The catalogs say what has come of it, not
 * the statement's own end, which another process may have seen.
 */
#include "maintain/reindex_work.h"

#include <math.h>

static void note_done(ReindexWork *work);
static void note_failed(ReindexWork *work);
static void throw_failure(const ReindexWork *work);
static char *describe_failure(const ReindexWork *work);
static void note(const ReindexWork *work, const char *object, const char *outcome, const char *message, int64 bytes);

/* Write down what a rebuild has brought, or that it has failed. */
void
dbops_reindex_note_step(DbopsJob *job, void *state, DbopsStep *step)
{
	ReindexWork *work = state;
	ReindexOutcome outcome;

	dbops_reindex_take_begun(work);
	outcome = (work->begun != NULL) ? dbops_reindex_outcome(work->begun) : REINDEX_GONE;
	if (outcome == REINDEX_NOT_DONE && work->met == NULL && !work->ran)
	{
		/* The process that has seen it fail is gone. */
		dbops_reindex_end(job->id);
		work->begun = NULL;
		dbops_reindex_go_to(step, REINDEX_GATE);
		dbops_reindex_put_position(work, step);
		return;
	}
	if (outcome == REINDEX_DONE && work->met != NULL && !work->ran)
		dbops_reindex_leave_out(work, work->begun->name, "another session has rebuilt it meanwhile", work->begun->bytes);
	else if (outcome == REINDEX_DONE)
		note_done(work);
	else if (outcome == REINDEX_NOT_DONE)
		note_failed(work);
	else if (work->begun != NULL)
		dbops_reindex_leave_out(work, work->begun->name, "another session has dropped it meanwhile", work->begun->bytes);
	dbops_reindex_end(job->id);
	dbops_reindex_go_to_next(work, step);
	dbops_reindex_put_position(work, step);
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
		dbops_reindex_leave_out(work, begun->name, "another session has dropped it after it was rebuilt", begun->bytes);
		return;
	}
	dbops_index_measure(index->oid, DEFAULT_SAMPLE_BLOCKS, &bloat);
	if (dbops_index_best_open())
		dbops_index_best_record(&bloat);
	done.bytes_before = begun->bytes;
	done.bytes_after = index->bytes;
	done.duration = (work->took > 0) ? work->took : (dbops_clock_now() - begun->at) / 1000;
	if (bloat.base.judged && !isnan(begun->density))
		done.message = psprintf("its pages were %.0f percent full and are %.0f", begun->density, bloat.density);
	dbops_maintenance_note(&done);
	dbops_reindex_history_add(index, &(ReindexRecord) {
		.job = work->job->id,.rebuilt_at = dbops_clock_now(),.duration = done.duration,
		.bytes_before = begun->bytes,.bytes_after = index->bytes,.density_before = begun->density,
		.density_after = bloat.density,.percent_before = begun->percent,
		.rows = bloat.base.judged ? bloat.figures[BTREE_ROWS] : NAN
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
	const char *detail;

	if (met == NULL)
		return "it has been rebuilt, and the new index is not there";

	/* Who may see the job need not be allowed to see the rows that are told of. */
	detail = (ERRCODE_TO_CATEGORY(met->sqlerrcode) == ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION) ? NULL : met->detail;
	return psprintf("%s%s%s%s%s", met->message, detail != NULL ? ": " : "", detail != NULL ? detail : "",
					met->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE && work->blocker != NULL ? "; " : "",
					met->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE && work->blocker != NULL ? work->blocker : "");
}

void
dbops_reindex_leave_out(ReindexWork *work, const char *object, const char *why, int64 bytes)
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
