/*
 * partition_drain.c
 *		CALL drain_default(): rows of the default partition get partitions of
 *		their own.
 *
 * A partition cannot be attached while the default has rows of its time, and
 * rows that are on their way in two transactions could be seen by nobody in
 * between. So each step makes one partition, moves its rows and attaches it in
 * one transaction, see partition_move.c: until it commits everybody sees the rows
 * where they were. Everybody is locked out at the end of it, and writers from the
 * beginning where others change the rows that are moved; how long that may take is
 * estimated before, and refused if it is longer than max_lock.
 *
 * The rows leave by DELETE, and come into a table that is no partition yet. Where
 * that would mean something, by triggers, rules, foreign keys that reference the
 * table, or publications, it is refused.
 */
#include "maintain/partition.h"

#include "access/xact.h"
#include "catalog/partition.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#define SCAN_PER_MS		(512 * 1024)	/* bytes of a table that are read in a millisecond, with caution */
#define COPY_PER_MS		(8 * 1024)	/* that are moved, with indexes and foreign keys */
#define MOST_IN_VAIN	3

PG_FUNCTION_INFO_V1(dbops_drain_default);

typedef struct Drain
{
	Oid			parent;
	const char *time_zone;
	Jsonb	   *spec;			/* of the policy; or NULL */
	int64		max_lock;		/* ms */
	TimestampTz waits_since;	/* 0: it does not wait */
	bool		disturbed;		/* others change rows of the time that is moved */
	int			in_vain;		/* times that all rows of it were copied, and could not be attached */
	int			made;
	int64		moved;
} Drain;

static void *begin(DbopsJob *job);
static void drain_step(DbopsJob *job, void *state, DbopsStep *step);
static void end(const PartitionPlan *plan, const DbopsJob *job, DbopsStep *step);
static void note(const PartitionMove *work);
static void refuse_effects(const PartitionSet *set);
static void refuse_published(const PartitionSet *set);
static void refuse_long_lock(const Drain *drain, const PartitionSet *set);
static void refuse_long_copy(const Drain *drain, const PartitionSet *set, Oid owner, const PartitionGap *gap);
static int64 bytes_of(Oid relid);
static bool find_first(const PartitionSet *set, Oid owner, const PartitionPlan *plan, PartitionGap *gap);
static void bound_by_neighbours(const PartitionSet *set, PartitionGap *gap);
static char *column_list(Oid relid);
static void undone(Drain *drain, const PartitionMove *work, DbopsStep *step, const char *why);
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
	refuse_published(plan->set);
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
	PartitionMove work = {.set = plan->set,.gap = &gap,.owner = job->owner,.exclusive = drain->disturbed};
	const char *why;

	if (plan->set->default_partition == NULL || !find_first(plan->set, job->owner, plan, &gap))
	{
		end(plan, job, step);
		return;
	}
	refuse_long_lock(drain, plan->set);
	if (work.exclusive)
		refuse_long_copy(drain, plan->set, job->owner, &gap);
	plan->missing = list_make1(&gap);
	dbops_partition_name_all(plan);
	work.columns = column_list(plan->set->default_partition->relid);
	if (!dbops_partition_try(dbops_partition_move, &work, &why))
	{
		undone(drain, &work, step, work.why != NULL ? work.why : why);
		return;
	}
	drain->waits_since = drain->in_vain = drain->disturbed = 0;
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
	if (bytes_of(other->relid) > 0)
		step->vacuum = other->relid;
}

static void
note(const PartitionMove *work)
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

/* Subscribers would be told that rows leave, and not that they come into what is no partition yet. */
static void
refuse_published(const PartitionSet *set)
{
	List	   *tables = find_all_inheritors(set->default_partition->relid, NoLock, NULL);
	DbopsParam	param;
	char	   *publication;

	tables = lappend_oid(tables, set->parent);
	if (get_rel_relispartition(set->parent))
		tables = list_concat(tables, get_partition_ancestors(set->parent));
	param = dbops_param_oids(tables);
	publication = dbops_query_text("SELECT quote_ident(pubname) FROM pg_publication p WHERE (pubinsert OR pubdelete) AND (puballtables"
								   " OR EXISTS (SELECT FROM pg_publication_rel WHERE prpubid = p.oid AND prrelid = ANY ($1))"
								   " OR EXISTS (SELECT FROM pg_publication_namespace JOIN pg_class ON relnamespace = pnnspid"
								   "  WHERE pnpubid = p.oid AND pg_class.oid = ANY ($1))) ORDER BY pubname LIMIT 1",
								   1, &param);
	if (publication != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("rows of default partition %s cannot be moved: publication %s replicates them",
						set->default_partition->name, publication),
				 errdetail("Subscribers would lose them: that they leave is published, and that they come into a table which is no partition yet is not."),
				 errhint("In one transaction, move them by DELETE into an unlogged table, make their partition, and INSERT them into %s.", set->name)));
}

/* The server reads what is left under its lock. */
static void
refuse_long_lock(const Drain *drain, const PartitionSet *set)
{
	int64		bytes = bytes_of(set->default_partition->relid);

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

/* Where others change these rows, writers are kept out while they are copied. */
static void
refuse_long_copy(const Drain *drain, const PartitionSet *set, Oid owner, const PartitionGap *gap)
{
	const char *column = dbops_quote_name(set->column);
	int64		bytes = bytes_of(set->default_partition->relid);
	char	   *sql = psprintf("SELECT count(*) FILTER (WHERE %s >= %s AND %s < %s)::float8 / greatest(count(*), 1) FROM %s",
							   column, dbops_partition_literal(&set->clock, gap->lower),
							   column, dbops_partition_literal(&set->clock, gap->upper), set->default_partition->name);
	Datum		share;
	int64		ms;

	if (!dbops_partition_ask(owner, sql, FLOAT8OID, &share))
		return;
	ms = bytes / SCAN_PER_MS + bytes * DatumGetFloat8(share) / COPY_PER_MS;
	if (ms <= drain->max_lock)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("other sessions change rows of default partition %s that are to be moved", set->default_partition->name),
			 errdetail("All writers of table %s would have to wait for about " INT64_FORMAT " ms while these are copied.", set->name, ms),
			 errhint("CALL dbops.drain_default(%s, max_lock => '" INT64_FORMAT " ms') at a quiet time.",
					 quote_literal_cstr(set->name), ms + 1)));
}

static int64
bytes_of(Oid relid)
{
	int64		bytes = 0;
	ListCell   *cell;

	foreach(cell, find_all_inheritors(relid, NoLock, NULL))
		bytes += dbops_relation_bytes(lfirst_oid(cell));
	return bytes;
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

/* All of it was undone; what is not to be had is not tried again and again at the price of copying all. */
static void
undone(Drain *drain, const PartitionMove *work, DbopsStep *step, const char *why)
{
	drain->disturbed |= work->disturbed;
	if (work->copied && ++drain->in_vain == MOST_IN_VAIN)
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("all rows of a partition were copied %d times in vain: waited %s", drain->in_vain, why),
				 errhint("What was moved before stays moved. CALL again at a quieter time.")));
	wait_or_fail(drain, step, why);
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
