/*
 * retention_status.c
 *		retention_status(): how far policies are, and why not further; and the
 *		check that they keep up.
 *
 * All of it is what runs have noted: no table of the user's is looked at.
 */
#include "maintain/retention.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(dbops_retention_status);

static void put_policy(const Policy *policy, ReturnSetInfo *rsinfo);
static void take_job(HeapTuple row, TupleDesc desc, void *arg);
static const char *why_stopped(const Policy *policy, const RetentionMemory *memory, int64 job, const char *state);
static TimestampTz oldest_at(const Policy *policy, const RetentionMemory *memory);
static const void *look(const DbopsCheckScope *scope);
static void judge_backlog(const void *facts, DbopsCheckRun *run);
static int	count_growing(const RetentionMemory *memory);

static const DbopsCheck checks[] = {
	{
		.name = "retention.backlog",
		.about = "runs of a retention policy, in a row, that have left more old rows than the one before",
		.judge = judge_backlog,
		.threshold = {
			.unit = "count", .warning = 2, .critical = DBOPS_NO_THRESHOLD, .source = "dbops: three times is no chance"
		}
	}
};

static const DbopsCheckSet check_set = {
	.look = look,
	.checks = checks,
	.n_checks = lengthof(checks)
};

/* Register the health check. */
void
dbops_retention_check_init(void)
{
	dbops_check_register(&check_set);
}

/* retention_status() → every policy, as its last run has left it */
Datum
dbops_retention_status(PG_FUNCTION_ARGS)
{
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, dbops_policy_list(RETENTION_KIND))
		if (get_rel_name(((Policy *) lfirst(cell))->relation) != NULL)
			put_policy(lfirst(cell), (ReturnSetInfo *) fcinfo->resultinfo);
	return (Datum) 0;
}

static void
put_policy(const Policy *policy, ReturnSetInfo *rsinfo)
{
	RetentionMemory *memory = dbops_retention_memory(policy->memory);
	const char *state = NULL;
	int64		job = dbops_retention_last_job(policy, &state);
	double		backlog = memory->backlog_rows;
	const char *stopped = why_stopped(policy, memory, job, state);
	TimestampTz oldest = oldest_at(policy, memory);
	Datum		values[13] = {0};
	bool		nulls[13] = {false};

	values[0] = ObjectIdGetDatum(policy->relation);
	values[1] = CStringGetTextDatum(dbops_jsonb_text(policy->spec, "column_name"));
	values[2] = DirectFunctionCall3(interval_in, CStringGetDatum(dbops_jsonb_text(policy->spec, "keep")),
									ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
	values[3] = TimestampTzGetDatum(oldest);
	nulls[3] = (oldest == RETENTION_NONE);
	values[4] = Int64GetDatum((int64) backlog);
	values[5] = Int64GetDatum((int64) memory->backlog_bytes);
	nulls[4] = nulls[5] = (memory->last_run == 0);
	values[6] = DirectFunctionCall1(float8_numeric, Float8GetDatum(rint(memory->rate)));
	nulls[6] = (memory->rate == 0);
	nulls[7] = (memory->rate == 0);
	values[7] = IntervalPGetDatum(dbops_interval_of_ms(nulls[7] ? 0 : (int64) (backlog / memory->rate * 1000)));
	values[8] = TimestampTzGetDatum(memory->last_run);
	nulls[8] = (memory->last_run == 0);
	values[9] = TimestampTzGetDatum(memory->last_success);
	nulls[9] = (memory->last_success == 0);
	nulls[10] = (state == NULL);
	nulls[11] = (stopped == NULL);
	values[10] = nulls[10] ? (Datum) 0 : CStringGetTextDatum(state);
	values[11] = nulls[11] ? (Datum) 0 : CStringGetTextDatum(stopped);
	values[12] = Int32GetDatum(dbops_hold_count(policy->relation));
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* A policy's last job. */
typedef struct LastJob
{
	int64		id;				/* 0: there is none */
	const char *state;
} LastJob;

/* Find it; 0: there is none. state: or NULL. */
int64
dbops_retention_last_job(const Policy *policy, const char **state)
{
	DbopsParam	params[] = {dbops_param_text(RETENTION_KIND), dbops_param_int8(policy->id)};
	LastJob		job = {0};

	dbops_store_each("SELECT id, state FROM dbops.job WHERE kind = $1 AND (spec ->> 'policy')::bigint = $2 ORDER BY id DESC LIMIT 1",
					 lengthof(params), params, take_job, &job);
	if (state != NULL)
		*state = job.state;
	return job.id;
}

static void
take_job(HeapTuple row, TupleDesc desc, void *arg)
{
	LastJob    *job = arg;

	job->id = dbops_row_int8(row, desc, 1);
	job->state = dbops_row_text(row, desc, 2);
}

/*
 * What keeps it from going on, or has ended the last run. Not what has been
 * answered since: by setting it again, or by having a job that was refused try
 * again.
 */
static const char *
why_stopped(const Policy *policy, const RetentionMemory *memory, int64 job, const char *state)
{
	bool		lives = (state != NULL && (strcmp(state, "queued") == 0 || strcmp(state, "running") == 0));
	const char *stopped = (job != 0 && job == memory->settled) ? dbops_policy_refusal(policy) : dbops_policy_stopped(policy);

	if (stopped == NULL && !(lives && memory->shown != RETENTION_NONE))
		stopped = memory->stopped;
	return stopped;
}

/* When the oldest row is of, on the calendar. */
static TimestampTz
oldest_at(const Policy *policy, const RetentionMemory *memory)
{
	PartitionClock clock = {.zone = dbops_zone_require(policy->time_zone)};
	AttrNumber	attnum = get_attnum(policy->relation, dbops_jsonb_text(policy->spec, "column_name"));

	if (memory->oldest == RETENTION_NONE || attnum <= 0)
		return RETENTION_NONE;
	clock.type = getBaseType(get_atttype(policy->relation, attnum));
	return dbops_partition_at(&clock, memory->oldest);
}

/* ---- the check ---- */

static const void *
look(const DbopsCheckScope *scope)
{
	return dbops_policy_list(RETENTION_KIND);
}

static void
judge_backlog(const void *facts, DbopsCheckRun *run)
{
	const List *policies = facts;
	int			most = 0;
	int			bad = 0;
	ListCell   *cell;

	foreach(cell, policies)
	{
		const Policy *policy = lfirst(cell);
		const RetentionMemory *memory = dbops_retention_memory(policy->memory);
		int			growing = count_growing(memory);

		most = Max(most, growing);
		if (dbops_threshold_severity(dbops_check_threshold(run), growing, NAN) == DBOPS_OK)
			continue;
		bad++;
		dbops_check_report_value(run, growing, NAN, (DbopsFinding)
								 {
									 .object = policy->name,
									 .message = psprintf("the last %d runs have each left more old rows than the one before, now about " INT64_FORMAT,
														 growing, memory->left[memory->n_left - 1]),
									 .remedy = "Look at stopped_because in dbops.retention_status(), and give it a longer time_window or more runs."
								 });
	}
	if (bad == 0)
		dbops_check_report_value(run, most, NAN, (DbopsFinding)
								 {
									 .message = policies == NIL ? "no table has a retention policy" :
										 psprintf(ngettext("%d retention policy keeps up", "%d retention policies keep up",
														   list_length(policies)), list_length(policies))
								 });
}

static int
count_growing(const RetentionMemory *memory)
{
	int			growing = 0;

	for (int i = memory->n_left - 1; i > 0 && memory->left[i] > memory->left[i - 1]; i--)
		growing++;
	return growing;
}
