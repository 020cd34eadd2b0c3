/*
 * abort_change.c
 *		CALL dbops.abort_change(): take a change of columns back.
 *
 * It may come at any time: while the job that prepares the change is at work, that
 * is cancelled first. The trigger and the new column go in one transaction, and
 * with the column the copies of indexes and constraints; the old column was in use
 * all the time and stays as it is.
 */
#include "change/drop_column.h"
#include "change/twin.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(dbops_abort_change);

#define LOOK_AGAIN	50			/* ms between two looks whether a job has ended */

static void end_jobs(const OnlinePlan *plan, const TwinChange *change);
static int64 live_job(const TwinChange *change);
static bool is_aborted(const TwinChange *change);
static void refuse_finished(const TwinChange *change);
static void plan_abort(OnlinePlan *plan, const TwinChange *change);
static bool has_added(const TwinChange *change);

/* abort_change(change_id bigint, lock_timeout interval, max_wait interval, dry_run boolean) */
Datum
dbops_abort_change(PG_FUNCTION_ARGS)
{
	OnlinePlan	plan = {0};
	TwinChange *change;

	dbops_online_begin(fcinfo, &plan, "abort_change");
	dbops_require_argument(fcinfo, 0, "change_id");
	change = dbops_twin_by_id(PG_GETARG_INT64(0));
	if (change->here && get_rel_relkind(change->relid) == '\0')
	{
		dbops_twin_forget(change);
		dbops_procedure_end();
		PG_RETURN_VOID();
	}
	dbops_twin_take(&plan, change);
	if (!plan.dry_run && !is_aborted(change))
	{
		end_jobs(&plan, change);
		change->state = dbops_twin_by_id(change->id)->state;
	}
	if (!is_aborted(change))
	{
		refuse_finished(change);
		plan_abort(&plan, change);
	}
	dbops_online_call(&plan);
	PG_RETURN_VOID();
}

/* Cancel what is at work on it, and wait for its end. */
static void
end_jobs(const OnlinePlan *plan, const TwinChange *change)
{
	long		waited = 0;
	int64		job;

	while ((job = live_job(change)) != 0)
	{
		DbopsParam	param = dbops_param_int8(job);

		if (waited > plan->max_wait)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("job " INT64_FORMAT ", which is at work on the change, has not ended in time", job),
					 errhint("Look at SELECT * FROM dbops.job_status(" INT64_FORMAT "); and call again.", job)));
		if (waited == 0)
			(void) dbops_query_text("SELECT dbops.cancel_job($1)::text", 1, &param);
		dbops_procedure_commit();
		dbops_clock_pause(LOOK_AGAIN);
		waited += LOOK_AGAIN;
	}
}

/* The job of the call that has begun it, or of one to finish it; 0: none. */
static int64
live_job(const TwinChange *change)
{
	DbopsParam	params[] = {
		dbops_param_text(change->call),
		dbops_param_oid(change->relid),
		dbops_param_text(change->column)
	};
	Datum		id;

	return dbops_store_value("SELECT id FROM dbops.job WHERE kind = 'change' AND finished_at IS NULL"
							 " AND dedupe_key IN (format('dbops %s %s %s', $1, $2, $3), format('dbops finish_change %s %s', $2, $3)) LIMIT 1",
							 lengthof(params), params, INT8OID, &id) ? DatumGetInt64(id) : 0;
}

static bool
is_aborted(const TwinChange *change)
{
	return strcmp(change->state, "aborted") == 0;
}

/* Where the old column has been dropped, by hand perhaps, the new one is all there is of it. */
static void
refuse_finished(const TwinChange *change)
{
	if (strcmp(change->state, "finished") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("change " INT64_FORMAT " is finished", change->id),
				 errhint("Make a change the other way round.")));
	dbops_twin_check_old(change);
	if (change->new_name != NULL && get_attnum(change->relid, change->column) == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("column \"%s\" of table %s has been dropped: \"%s\" stands in its place", change->column, change->table, change->new_name),
				 errhint("CALL dbops.finish_change(" INT64_FORMAT ");", change->id)));
}

/* The old column is asked for once more when the table is locked: a finish may have been at work. */
static void
plan_abort(OnlinePlan *plan, const TwinChange *change)
{
	OnlineStep	step = {
		.sql = dbops_twin_trigger_drop(change),
		.message = psprintf("change " INT64_FORMAT " has been finished meanwhile", change->id),
		.why = "What the change has added goes."
	};

	if (change->new_name != NULL && dbops_twin_has_made(change, change->relid))
	{
		dbops_twin_check_unused(dbops_twin_column(change->relid, change->new_name));
		dbops_drop_column_refuse_row_functions(change->relid, change->new_name, "CREATE OR REPLACE them with bodies that read the old column again.");
		step.sql = psprintf("%s; ALTER TABLE %s DROP COLUMN IF EXISTS %s%s", step.sql, change->table, quote_identifier(change->new_name),
							dbops_drop_column_renew_indexes(change->relid, change->new_name));
		step.still = psprintf("%s AND %s", dbops_twin_has_column(change->relid, change->column), dbops_twin_has_columns(change));
		step.message = psprintf("change " INT64_FORMAT " has been finished, or a column of it dropped, meanwhile", change->id);
	}
	else if (change->new_name != NULL && strcmp(change->state, "ready") == 0)
		ereport(WARNING,
				(errmsg("column \"%s\" of table %s, which change " INT64_FORMAT " has added, is not there", change->new_name, change->table, change->id),
				 errhint("If it has been renamed it stays, with what has been written to it since.")));
	if (has_added(change))
		dbops_twin_add_end(plan, change, "aborted", step);
	else
		dbops_online_add(plan, (OnlineStep)
		{
			.kind = ONLINE_SHORT,
			.ours = true,
			.asks_ours = true,
			.sql = dbops_twin_set_over(change, "aborted"),
			.reached = dbops_twin_has_ended(change, "aborted"),
			.still = psprintf("NOT %s", dbops_twin_is_over(change)),
			.message = psprintf("change " INT64_FORMAT " has been finished meanwhile", change->id),
			.why = "Nothing has been added yet, so that no lock is needed."
		});
}

/* Is there a trigger, or a column, that it has made? */
static bool
has_added(const TwinChange *change)
{
	DbopsParam	params[] = {
		dbops_param_oid(change->relid),
		dbops_param_text(dbops_twin_trigger_name(change->column))
	};

	return (change->new_name != NULL && dbops_twin_has_made(change, change->relid)) ||
		dbops_query_each("SELECT FROM pg_trigger WHERE tgrelid = $1 AND tgname = $2", lengthof(params), params, NULL, NULL) > 0;
}
