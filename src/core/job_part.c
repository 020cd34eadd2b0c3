/*
 * job_part.c
 *		Share a phase of a job among several processes.
 *
 * What is left of the phase is cut into parts, many more than there are
 * processes, so that all of them have work until the end. A part is a row:
 * who works on it and where it goes on. A process takes one that nobody has,
 * does the phase's steps on it, and writes its cursor in the transaction of
 * each step, as the job's own is written; so no two processes write the same
 * row, and what a part says is what has been done.
 *
 * The process that has claimed the job, its first worker, cuts the parts. Only
 * it has helping processes started, so it alone knows who is alive, gives back
 * the parts of those that are gone, fails with what they failed with, and when
 * all parts are done sums them up and deletes them in the transaction that
 * ends the phase. Parts exist exactly as long as a phase is shared: a process
 * that takes the job over goes on with those that it finds.
 */
#include "core/job.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"

#define LOOK_EVERY	500L		/* ms between two looks at what the others do */
#define WAIT_PARTS	50L			/* ms, for others to finish what they are at */

/* What a look at all parts but one's own found. */
typedef struct PartsLook
{
	DbopsShare *share;
	int			unfinished;
	Jsonb	   *error;			/* that a helping process ended with; or NULL */
} PartsLook;

/* What is handed through the rows of parts. */
typedef struct Gathering
{
	const DbopsPhase *phase;
	DbopsJob   *job;
	void	   *state;
} Gathering;

/* The same for who only reads them. */
typedef struct PartsReading
{
	DbopsPartCallback each;
	void	   *arg;
} PartsReading;

static bool goes_on_shared(const DbopsPhase *phase, DbopsJob *job, void *state, DbopsStep *step);
static bool has_parts(DbopsJob *job);
static int	store_parts(const DbopsJob *job, List *parts);
static bool take_part(DbopsJob *job);
static void take_position(HeapTuple row, TupleDesc desc, void *arg);
static void work_on_part(const DbopsPhase *phase, DbopsJob *job, void *state, DbopsStep *step);
static void save_part(const DbopsJob *job, const DbopsStep *step);
static void add_up(DbopsShare *share, DbopsStep *step);
static void await_others(const DbopsJobKind *kind, DbopsJob *job, void *state,
						 DbopsStep *step, int unfinished);
static int	look_at_others(DbopsJob *job, bool now);
static void take_look(HeapTuple row, TupleDesc desc, void *arg);
static void fail_as_helper(const Jsonb *error);
static void gather_parts(const DbopsPhase *phase, DbopsJob *job, void *state);
static void gather_part(HeapTuple row, TupleDesc desc, void *arg);
static void read_part(HeapTuple row, TupleDesc desc, void *arg);
static Jsonb *describe_error(const ErrorData *error);

/*
 * Do a step of a phase that can be shared: of a part, or of the phase itself
 * where it is not shared or all parts are done.
 */
void
dbops_job_part_step(const DbopsJobKind *kind, DbopsJob *job, void *state, DbopsStep *step)
{
	const DbopsPhase *phase = &kind->phases[job->phase];
	DbopsShare *share = &job->share;
	int			unfinished = 0;

	if (job->worker == 0)
	{
		if (!goes_on_shared(phase, job, state, step))
			return;
		unfinished = look_at_others(job, false);
	}
	if (share->part > 0 || take_part(job))
		work_on_part(phase, job, state, step);
	else if (job->worker > 0)
		share->idle = true;
	else if ((unfinished = look_at_others(job, true)) > 0)
		await_others(kind, job, state, step, unfinished);
	else
	{
		gather_parts(phase, job, state);
		phase->step(job, state, step);
	}
}

/*
 * Is the phase shared before this step? If it is not, either it is cut into
 * parts now or its step is done.
 */
static bool
goes_on_shared(const DbopsPhase *phase, DbopsJob *job, void *state, DbopsStep *step)
{
	DbopsShare *share = &job->share;
	List	   *parts;

	if (!share->looked)
		share->shared = has_parts(job);
	share->looked = true;
	if (share->shared)
		return true;

	parts = phase->share(job, state, step);
	share->shared = (parts != NIL);
	share->looked_at = 0;
	if (share->shared)
		share->unclaimed = store_parts(job, parts);
	else
		phase->step(job, state, step);
	return false;
}

/*
 * Has an earlier process left parts of this phase? Nobody works on them: who
 * helped that process is gone, or the job would not have been claimed.
 */
static bool
has_parts(DbopsJob *job)
{
	DbopsParam	params[] = {dbops_param_int8(job->id), dbops_param_int4(job->phase)};

	dbops_store_each("DELETE FROM dbops.job_part WHERE job_id = $1 AND phase <> $2",
					 lengthof(params), params, NULL, NULL);
	return dbops_store_each("UPDATE dbops.job_part SET worker = NULL, error = NULL WHERE job_id = $1",
							1, params, NULL, NULL) > 0;
}

/* Store the parts; returns how many there is something to do for. */
static int
store_parts(const DbopsJob *job, List *parts)
{
	ListCell   *cell;
	int			number = 0;
	int			unfinished = 0;

	foreach(cell, parts)
	{
		DbopsPart  *part = lfirst(cell);
		DbopsParam	params[] = {
			dbops_param_int8(job->id),
			dbops_param_int4(++number),
			dbops_param_int4(job->phase),
			dbops_param_jsonb(part->position),
			dbops_param_int8(part->total),
			dbops_param_int8(part->done)
		};

		dbops_store_each("INSERT INTO dbops.job_part (job_id, part, phase, position, total, done, finished)"
						 " VALUES ($1, $2, $3, $4, $5, $6, $6 = $5)",
						 lengthof(params), params, NULL, NULL);
		unfinished += (part->done < part->total);
	}
	return unfinished;
}

/* Take the first part that nobody has; false if there is none. */
static bool
take_part(DbopsJob *job)
{
	DbopsShare *share = &job->share;
	DbopsParam	params[] = {
		dbops_param_int8(job->id),
		dbops_param_int4(job->phase),
		dbops_param_int4(job->worker),
		dbops_param_int4(0)
	};

	if (dbops_store_each("SELECT part, position FROM dbops.job_part"
						 " WHERE job_id = $1 AND phase = $2 AND worker IS NULL AND NOT finished"
						 " ORDER BY part LIMIT 1 FOR UPDATE SKIP LOCKED",
						 2, params, take_position, share) == 0)
		return false;
	params[3] = dbops_param_int4(share->part);
	dbops_store_each("UPDATE dbops.job_part SET worker = $3 WHERE job_id = $1 AND phase = $2 AND part = $4",
					 lengthof(params), params, NULL, NULL);
	job->keeper->take_part(job, share->part, job->keeper->arg);
	if (job->worker == 0)
		(void) look_at_others(job, true);	/* of which this part was one */
	return true;
}

static void
take_position(HeapTuple row, TupleDesc desc, void *arg)
{
	DbopsShare *share = arg;

	share->part = dbops_row_int4(row, desc, 1);
	share->position = dbops_row_jsonb(row, desc, 2);
}

/* Do a step of the part in work; the phase stays where it is. */
static void
work_on_part(const DbopsPhase *phase, DbopsJob *job, void *state, DbopsStep *step)
{
	DbopsShare *share = &job->share;

	phase->step(job, state, step);
	share->position = NULL;
	save_part(job, step);
	if (step->finished)
		share->part = 0;
	add_up(share, step);
	step->finished = false;
	step->position = NULL;
	step->goto_phase = 0;
	if (share->part == 0)
		job->keeper->take_part(job, 0, job->keeper->arg);
}

/* Write the part's cursor; it must still be this process's. */
static void
save_part(const DbopsJob *job, const DbopsStep *step)
{
	DbopsParam	params[] = {
		dbops_param_int8(job->id),
		dbops_param_int4(job->share.part),
		dbops_param_int4(job->worker),
		dbops_param_jsonb(step->position),
		dbops_param_int8(step->done),
		dbops_param_int8(step->total),
		dbops_param_int8(step->rows),
		dbops_param_bool(step->finished)
	};

	if (dbops_store_each("UPDATE dbops.job_part SET position = coalesce($4, position), done = $5, total = $6, row_count = $7,"
						 " steps = steps + 1, finished = $8, worker = CASE WHEN NOT $8 THEN worker END"
						 " WHERE job_id = $1 AND part = $2 AND worker = $3 AND NOT finished",
						 lengthof(params), params, NULL, NULL) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("part %d of job " INT64_FORMAT " is not this process's any more",
						job->share.part, job->id)));
}

/* Make the figures of the part in work those of all; one that is done is an other one. */
static void
add_up(DbopsShare *share, DbopsStep *step)
{
	step->done += share->done;
	step->total += share->total;
	step->rows += share->rows;
	if (share->part > 0)
		return;
	share->done = step->done;
	share->total = step->total;
	share->rows = step->rows;
}

/* Nothing is left to be taken: wait until the others have finished theirs. */
static void
await_others(const DbopsJobKind *kind, DbopsJob *job, void *state,
			 DbopsStep *step, int unfinished)
{
	step->pause = WAIT_PARTS;
	step->waiting = psprintf("for other workers to finish the last %d of its parts", unfinished);
	step->done = job->share.done;
	step->total = job->share.total;
	step->rows = job->share.rows;
	if (kind->report != NULL)
		kind->report(job, state);
}

/*
 * Look, now or now and then, at what the other parts say; returns how many are
 * not finished. What a helping process failed with is this one's failure.
 */
static int
look_at_others(DbopsJob *job, bool now)
{
	DbopsShare *share = &job->share;
	PartsLook	look = {.share = share};
	DbopsParam	params[] = {dbops_param_int8(job->id), dbops_param_int4(share->part)};

	if (!now && !TimestampDifferenceExceeds(share->looked_at, GetCurrentTimestamp(), LOOK_EVERY))
		return 0;
	share->looked_at = GetCurrentTimestamp();
	dbops_store_each("SELECT coalesce(sum(done), 0)::bigint, coalesce(sum(total), 0)::bigint, coalesce(sum(row_count), 0)::bigint,"
					 " (count(*) FILTER (WHERE worker IS NULL AND NOT finished))::integer, (count(*) FILTER (WHERE NOT finished))::integer,"
					 " (array_agg(error) FILTER (WHERE error IS NOT NULL))[1]"
					 " FROM dbops.job_part WHERE job_id = $1 AND part <> $2",
					 lengthof(params), params, take_look, &look);
	if (look.error != NULL)
		fail_as_helper(look.error);
	return look.unfinished;
}

static void
take_look(HeapTuple row, TupleDesc desc, void *arg)
{
	PartsLook  *look = arg;

	look->share->done = dbops_row_int8(row, desc, 1);
	look->share->total = dbops_row_int8(row, desc, 2);
	look->share->rows = dbops_row_int8(row, desc, 3);
	look->share->unclaimed = dbops_row_int4(row, desc, 4);
	look->unfinished = dbops_row_int4(row, desc, 5);
	look->error = dbops_row_jsonb(row, desc, 6);
}

static void
fail_as_helper(const Jsonb *error)
{
	const char *detail = dbops_jsonb_text(error, "detail");
	const char *hint = dbops_jsonb_text(error, "hint");
	const char *context = dbops_jsonb_text(error, "context");

	ereport(ERROR,
			(errcode((int) dbops_jsonb_integer(error, "sqlerrcode")),
			 errmsg_internal("%s", dbops_jsonb_text(error, "message")),
			 detail ? errdetail_internal("%s", detail) : 0,
			 hint ? errhint("%s", hint) : 0,
			 context ? errcontext("%s", context) : 0));
}

/* All parts are done: take over what they say, and delete them. */
static void
gather_parts(const DbopsPhase *phase, DbopsJob *job, void *state)
{
	Gathering	gathering = {.phase = phase,.job = job,.state = state};
	DbopsParam	param = dbops_param_int8(job->id);

	dbops_store_each("SELECT position FROM dbops.job_part WHERE job_id = $1 ORDER BY part",
					 1, &param, gather_part, &gathering);
	dbops_store_each("DELETE FROM dbops.job_part WHERE job_id = $1", 1, &param, NULL, NULL);
	job->share = (DbopsShare)
	{
		.wanted = job->share.wanted,.looked = true
	};
}

static void
gather_part(HeapTuple row, TupleDesc desc, void *arg)
{
	Gathering  *gathering = arg;

	gathering->phase->gather(gathering->job, gathering->state, dbops_row_jsonb(row, desc, 1));
}

/* Call back with what each part of a job says, of one that has ended too. */
void
dbops_job_part_each(int64 job, DbopsPartCallback each, void *arg)
{
	PartsReading reading = {.each = each,.arg = arg};
	DbopsParam	param = dbops_param_int8(job);

	dbops_store_each("SELECT position FROM dbops.job_part WHERE job_id = $1", 1, &param, read_part, &reading);
}

static void
read_part(HeapTuple row, TupleDesc desc, void *arg)
{
	PartsReading *reading = arg;

	reading->each(dbops_row_jsonb(row, desc, 1), reading->arg);
}

/* Give back the parts of helping processes that are not among those alive. */
void
dbops_job_part_release(int64 job, const int *alive, int n_alive)
{
	Datum	   *numbers = palloc(sizeof(Datum) * (n_alive + 1));
	DbopsParam	params[] = {dbops_param_int8(job), {.type = INT4ARRAYOID}};

	for (int i = 0; i < n_alive; i++)
		numbers[i] = Int32GetDatum(alive[i]);
	params[1].value = PointerGetDatum(construct_array(numbers, n_alive, INT4OID,
													  sizeof(int32), true, TYPALIGN_INT));
	dbops_store_each("UPDATE dbops.job_part SET worker = NULL"
					 " WHERE job_id = $1 AND worker > 0 AND worker <> ALL ($2)",
					 lengthof(params), params, NULL, NULL);
}

/*
 * Leave what ended the work of a helping process with its part, or another
 * one if it had none, for the first process to fail with; false if there is
 * no part to leave it with.
 */
bool
dbops_job_part_fail(int64 job, int worker, const ErrorData *error)
{
	DbopsParam	params[] = {
		dbops_param_int8(job),
		dbops_param_int4(worker),
		dbops_param_jsonb(describe_error(error))
	};

	return dbops_store_each("UPDATE dbops.job_part SET error = $3 WHERE job_id = $1 AND part = ("
							" SELECT part FROM dbops.job_part WHERE job_id = $1 AND NOT finished"
							" ORDER BY worker IS DISTINCT FROM $2, part LIMIT 1)",
							lengthof(params), params, NULL, NULL) > 0;
}

static Jsonb *
describe_error(const ErrorData *error)
{
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	dbops_json_integer(&json, "sqlerrcode", error->sqlerrcode);
	dbops_json_text(&json, "message", error->message ? error->message : "unknown error");
	dbops_json_text(&json, "detail", error->detail);
	dbops_json_text(&json, "hint", error->hint);
	dbops_json_text(&json, "context", error->context);
	return dbops_json_finish(&json);
}

/*
 * Count a crash of the server by the process that worked on a part: how many
 * there were without a step of that part between them; 0 if there is no such
 * part any more.
 */
int
dbops_job_part_crashes(int64 job, int part)
{
	DbopsParam	params[] = {dbops_param_int8(job), dbops_param_int4(part)};
	Datum		crashes;

	if (!dbops_store_value("UPDATE dbops.job_part SET crash_steps = steps,"
						   " crashes = CASE WHEN steps > crash_steps THEN 1 ELSE crashes + 1 END"
						   " WHERE job_id = $1 AND part = $2 RETURNING crashes",
						   lengthof(params), params, INT4OID, &crashes))
		return 0;
	return DatumGetInt32(crashes);
}
