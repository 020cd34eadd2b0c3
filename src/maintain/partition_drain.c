/*
 * partition_drain.c
 *		CALL drain_default(): rows of the default partition get partitions of
 *		their own.
 *
 * A partition cannot be attached while the default has rows of its time, and
 * rows that are on their way in two transactions could be seen by nobody in
 * between. So each step makes one partition, moves its rows and attaches it in
 * one transaction: until it commits everybody sees the rows where they were.
 * The parent and the default partition are locked at the end of it, for the rows
 * that have come meanwhile and the server's own scan of what is left; how long that may take
 * is estimated before, and refused if it is longer than max_lock.
 *
 * The rows leave by DELETE. Where that would mean something, by triggers or by
 * foreign keys that reference the table, it is refused.
 */
#include "maintain/partition.h"

#include "access/xact.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#define SCAN_PER_MS		(512 * 1024)	/* bytes of a table that are read in a millisecond, with caution */

PG_FUNCTION_INFO_V1(dbops_drain_default);

typedef struct Drain
{
	Oid			parent;
	const char *time_zone;
	Jsonb	   *spec;			/* of the policy; or NULL */
	int64		max_lock;		/* ms */
	TimestampTz waits_since;	/* 0: it does not wait */
	int			made;
	int64		moved;
} Drain;

/* A partition on its way, as the owner makes it. */
typedef struct Move
{
	const PartitionSet *set;
	const PartitionGap *gap;
	Oid			owner;
	const char *columns;
	int64		rows;
	const char *why;
	const char *lacks;			/* what the partition was not given; or NULL */
} Move;

static void *begin(DbopsJob *job);
static void drain_step(DbopsJob *job, void *state, DbopsStep *step);
static void end(const PartitionPlan *plan, const DbopsJob *job, DbopsStep *step);
static void note(const Move *work);
static void refuse_effects(const PartitionSet *set);
static void refuse_long_lock(const Drain *drain, const PartitionSet *set);
static bool find_first(const PartitionSet *set, Oid owner, const PartitionPlan *plan, PartitionGap *gap);
static void bound_by_neighbours(const PartitionSet *set, PartitionGap *gap);
static char *column_list(Oid relid);
static void move(void *arg);
static void move_rows(void *arg);
static void wait_or_fail(Drain *drain, DbopsStep *step, const char *why);
static void report(const Drain *drain);

static const DbopsPhase phases[] = {
	{.name = "drain",.class = DBOPS_CLASS_BATCHES,.step = drain_step}
};

static const DbopsJobKind drain_kind = {
	.name = "drain",
	.unit = "partitions",
	.phases = phases,
	.n_phases = lengthof(phases),
	.open = begin
};

/* drain_default(parent regclass, max_lock interval) */
Datum
dbops_drain_default(PG_FUNCTION_ARGS)
{
	Drain	   *drain;
	DbopsJob	job = {.kind = "drain",.foreground = true};
	Policy	   *policy;
	PartitionPlan *plan;
	Jsonb	   *result;

	dbops_require_argument(fcinfo, 0, "parent");
	dbops_require_argument(fcinfo, 1, "max_lock");
	dbops_procedure_begin(fcinfo, "drain_default");
	PreventCommandIfReadOnly("CALL dbops.drain_default()");
	drain = palloc0(sizeof(Drain));
	drain->parent = PG_GETARG_OID(0);
	drain->max_lock = dbops_interval_ms(PG_GETARG_INTERVAL_P(1));
	dbops_require_table_owner(drain->parent);
	policy = dbops_policy_find(PARTITION_KIND, drain->parent);
	drain->spec = (policy != NULL) ? policy->spec : NULL;
	drain->time_zone = (policy != NULL) ? policy->time_zone : pg_get_timezone_name(session_timezone);
	plan = dbops_partition_plan_read(drain->parent, drain->spec, drain->time_zone);
	if (plan->set->default_partition == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table %s has no default partition", plan->set->name)));
	refuse_effects(plan->set);
	job.owner = dbops_relation_owner(drain->parent);
	job.call = drain;
	dbops_procedure_commit();
	dbops_job_work(&drain_kind, &job, NULL, &result);
	report(drain);
	dbops_procedure_end();
	PG_RETURN_VOID();
}

static void *
begin(DbopsJob *job)
{
	return job->call;
}

/* Make the partition of the oldest row, with all of its rows. */
static void
drain_step(DbopsJob *job, void *state, DbopsStep *step)
{
	Drain	   *drain = state;
	PartitionPlan *plan = dbops_partition_plan_read(drain->parent, drain->spec, drain->time_zone);
	PartitionGap gap = {0};
	Move		work = {.set = plan->set,.gap = &gap,.owner = job->owner};
	const char *why;

	if (plan->set->default_partition == NULL || !find_first(plan->set, job->owner, plan, &gap))
	{
		end(plan, job, step);
		return;
	}
	refuse_long_lock(drain, plan->set);
	plan->missing = list_make1(&gap);
	dbops_partition_name_all(plan);
	work.columns = column_list(plan->set->default_partition->relid);
	if (!dbops_partition_try(move, &work, &why))
	{
		wait_or_fail(drain, step, work.why != NULL ? work.why : why);
		return;
	}
	drain->waits_since = 0;
	drain->made++;
	drain->moved += work.rows;
	step->done = drain->made;
	step->rows = drain->moved;
	note(&work);
}

/* Say what stays, and have the room of the rest given back, since the pages of rows that are gone look like rows. */
static void
end(const PartitionPlan *plan, const DbopsJob *job, DbopsStep *step)
{
	const Partition *other = plan->set->default_partition;

	step->finished = true;
	if (other == NULL)
		return;
	dbops_partition_rest_note(plan, job->owner, job->id);
	if (dbops_relation_bytes(other->relid) > 0)
		step->vacuum = other->relid;
}

static void
note(const Move *work)
{
	MaintenanceNote said = {
		MAINTENANCE_NOTE,
		.kind = PARTITION_KIND,
		.object = dbops_quote_qualified(dbops_partition_schema(work->set), work->gap->relname),
		.action = PARTITION_DRAIN,
		.outcome = "done",
		.message = work->lacks
	};

	said.rows = work->rows;
	dbops_maintenance_note(&said);
}

/* ---- what is refused ---- */

static void
refuse_effects(const PartitionSet *set)
{
	List	   *tables = find_all_inheritors(set->default_partition->relid, NoLock, NULL);
	DbopsParam	params[] = {dbops_param_oids(lappend_oid(tables, set->parent)), dbops_param_oid(set->parent)};
	char	   *effect;

	effect = dbops_query_text("SELECT what FROM (SELECT format('foreign key %I of table %s references %s', conname, conrelid::regclass, confrelid::regclass)"
					 " FROM pg_constraint WHERE contype = 'f' AND confrelid = ANY ($1) AND (conparentid = 0 OR confrelid = $2)"
					 " UNION ALL SELECT format('trigger %I of table %s fires for each row that is deleted', tgname, tgrelid::regclass) FROM pg_trigger"
					 " WHERE tgrelid = ANY ($1) AND tgrelid <> $2 AND NOT tgisinternal AND tgenabled <> 'D' AND tgtype & 8 <> 0"
					 " UNION ALL SELECT format('rule %I of table %s says what DELETE does', rulename, ev_class::regclass) FROM pg_rewrite"
					 " WHERE ev_class = ANY ($1) AND ev_class <> $2 AND ev_type = '4' AND ev_enabled <> 'D') effects(what)"
					 " ORDER BY what COLLATE \"C\" LIMIT 1",
							  lengthof(params), params);
	if (effect != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("rows of default partition %s cannot be moved: %s", set->default_partition->name, effect),
				 errdetail("They leave by DELETE."),
				 errhint("Drop the foreign key, or disable the trigger or rule, while the rows are moved.")));
}

/* The server reads what is left under its lock. */
static void
refuse_long_lock(const Drain *drain, const PartitionSet *set)
{
	int64		bytes = dbops_relation_bytes(set->default_partition->relid);

	if (bytes / SCAN_PER_MS <= drain->max_lock)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("default partition %s would be locked for about " INT64_FORMAT " ms for each partition",
					set->default_partition->name, bytes / SCAN_PER_MS),
			 errdetail("It has " INT64_FORMAT " MB, which the server reads when a partition is attached.", bytes / 1024 / 1024),
			 errhint("CALL dbops.drain_default(%s, max_lock => '" INT64_FORMAT " ms') at a quiet time.",
					 quote_literal_cstr(set->name), bytes / SCAN_PER_MS + 1)));
}

/* ---- what comes first ---- */

/* The time of the oldest row that may have a partition: none is made for what is too old, or beyond the runway. */
static bool
find_first(const PartitionSet *set, Oid owner, const PartitionPlan *plan, PartitionGap *gap)
{
	int64		first = dbops_partition_first_row(set, owner, dbops_partition_drained_from(plan), plan->until);

	if (first == PARTITION_END)
		return false;
	gap->lower = dbops_partition_begin_of(&plan->grid, first);
	gap->upper = dbops_partition_next(&plan->grid, gap->lower);
	bound_by_neighbours(set, gap);
	return true;
}

static void
bound_by_neighbours(const PartitionSet *set, PartitionGap *gap)
{
	ListCell   *cell;

	gap->lower = Max(gap->lower, set->lower);
	gap->upper = Min(gap->upper, set->upper);
	foreach(cell, set->partitions)
	{
		const Partition *partition = lfirst(cell);

		if (partition->lower <= gap->lower)
			gap->lower = Max(gap->lower, partition->upper);
		else
			gap->upper = Min(gap->upper, partition->lower);
	}
}

/* All columns that can be inserted. */
static char *
column_list(Oid relid)
{
	DbopsParam	param = dbops_param_oid(relid);

	return dbops_query_text("SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute"
					 " WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped AND attgenerated = ''",
							1, &param);
}

/* ---- to move ---- */

/*
 * In a subtransaction: make the table, move its rows, and attach it with those
 * that have come meanwhile. Who comes then has to wait at the parent: a
 * statement that knows its partitions already, and waits at the default one,
 * would go on without the new one, and with a snapshot that sees the rows gone.
 */
static void
move(void *arg)
{
	Move	   *work = arg;
	Oid			relations[] = {work->set->parent, work->set->default_partition->relid};
	PartitionMaking making = {.set = work->set,.gap = work->gap};

	dbops_run_as(work->owner, dbops_partition_make_table, &making);
	dbops_run_as(work->owner, move_rows, work);
	if (!dbops_partition_lock_referenced(list_make1_oid(relations[0]), ShareRowExclusiveLock, &work->why) ||
		!dbops_partition_lock(relations, lengthof(relations), AccessExclusiveLock, &work->why))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("waits %s", work->why)));
	work->why = NULL;
	dbops_run_as(work->owner, move_rows, work);
	dbops_run_as(work->owner, dbops_partition_attach_table, &making);
	work->lacks = making.lacks;
}

static void
move_rows(void *arg)
{
	Move	   *work = arg;
	const PartitionSet *set = work->set;
	const char *column = dbops_quote_name(set->column);
	char	   *sql = psprintf("WITH moved AS (DELETE FROM %s WHERE %s >= %s AND %s < %s RETURNING *)"
							   " INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM moved",
							   set->default_partition->name, column, dbops_partition_literal(&set->clock, work->gap->lower),
							   column, dbops_partition_literal(&set->clock, work->gap->upper),
							   dbops_quote_qualified(dbops_partition_schema(set), work->gap->relname),
							   work->columns, work->columns);

	work->rows += dbops_query_change(sql);
}

static void
wait_or_fail(Drain *drain, DbopsStep *step, const char *why)
{
	if (dbops_partition_waited_long(&drain->waits_since))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("the default partition could not be locked: waited %s", why),
				 errhint("What was moved stays moved. CALL again when the other session has ended.")));
	dbops_partition_wait(step, why);
}

/* ---- the end ---- */

static void
report(const Drain *drain)
{
	ereport(NOTICE,
			(errmsg(INT64_FORMAT " rows moved into %d new partitions", drain->moved, drain->made),
			 errdetail("Rows that have no time, that are older than what is kept, or newer than the runway stay in the default partition.")));
}
