/*
 * retention_plan.c
 *		retention_plan(): what a run would do, before anything happens.
 *
 * Nothing is deleted, and no lock is waited for but those of a reader. Rows are
 * counted in a sample of the table's blocks, by the condition that would delete
 * them.
 */
#include "maintain/retention.h"

#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "core/server.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(dbops_retention_plan);

#define LIKELY_RATE		50000.0	/* rows a second, where no run has shown another */
#define LARGE_TABLE		(128 * MB)	/* without an index it takes long to be read */

/* The report in the making. */
typedef struct RetentionPlan
{
	ReturnSetInfo *rsinfo;
	RetentionSpec *spec;
	RetentionMemory *memory;
	int64		cutoff;
	int			step;
	List	   *whole;			/* OIDs of partitions that go */
	RetentionEstimate all;
	List	   *cascades;		/* of RetentionCascade * */
} RetentionPlan;

typedef struct RetentionPlanRow
{
	const char *method;
	const char *object;
	double		rows;			/* -1: not known */
	double		bytes;
	double		seconds;
	const char *risk;			/* or NULL */
	const char *remedy;
} RetentionPlanRow;

static void plan_begin(FunctionCallInfo fcinfo, RetentionPlan *plan);
static void put_partitions(RetentionPlan *plan);
static void put_partition(RetentionPlan *plan, const PartitionSet *set, const Partition *partition);
static double rows_in(const RetentionPlan *plan, Oid relid);
static bool goes_as_a_whole(const RetentionPlan *plan, Oid relid);
static void put_rows(RetentionPlan *plan, Oid relid);
static void put_leaf(RetentionPlan *plan, RetentionLeaf *leaf);
static void put_other_owner(RetentionPlan *plan, Oid relid);
static void put_references(RetentionPlan *plan, Oid relid);
static void put_unindexed(RetentionPlan *plan);
static void put_reference(RetentionPlan *plan, const RetentionReference *reference);
static double rows_along(const RetentionPlan *plan, Oid relid);
static void put_cascades(RetentionPlan *plan);
static void put_holds(RetentionPlan *plan);
static void put_confirmation(RetentionPlan *plan);
static void put(RetentionPlan *plan, RetentionPlanRow row);

/* retention_plan(table_name, column_name, keep, filter, archive_to, epoch_unit) → what a run would do */
Datum
dbops_retention_plan(PG_FUNCTION_ARGS)
{
	RetentionPlan plan = {.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo,.all = {.oldest = RETENTION_NONE,.exact = true}};
	ListCell   *cell;

	dbops_require_argument(fcinfo, 0, "table_name");
	plan_begin(fcinfo, &plan);
	InitMaterializedSRF(fcinfo, 0);
	if (dbops_retention_by_partition(plan.spec))
		put_partitions(&plan);
	foreach(cell, dbops_retention_tables(plan.spec, plan.cutoff, false))
		if (!goes_as_a_whole(&plan, lfirst_oid(cell)))
			put_rows(&plan, lfirst_oid(cell));
	foreach(cell, dbops_retention_tables(plan.spec, plan.cutoff, true))
		if (!goes_as_a_whole(&plan, lfirst_oid(cell)))
			put_other_owner(&plan, lfirst_oid(cell));
	dbops_retention_estimate_all(plan.spec, plan.cutoff, plan.memory->confirmed, &plan.all);
	plan.cascades = dbops_retention_cascades(plan.spec, plan.cutoff);
	put_references(&plan, plan.spec->relid);
	put_unindexed(&plan);
	put_cascades(&plan);
	put_holds(&plan);
	put_confirmation(&plan);
	return (Datum) 0;
}

/* Take the policy, or what one would be. */
static void
plan_begin(FunctionCallInfo fcinfo, RetentionPlan *plan)
{
	Oid			relid = PG_GETARG_OID(0);

	dbops_retention_check_table(relid, "retention policy");
	dbops_require_table_owner(relid);
	if (PG_ARGISNULL(1) && PG_ARGISNULL(2))
	{
		Policy	   *policy = dbops_policy_require(RETENTION_KIND, relid);

		plan->spec = dbops_retention_spec(policy);
		plan->memory = dbops_retention_memory(policy->memory);
	}
	else
	{
		plan->spec = dbops_retention_read(fcinfo, (int[]) {1, 2, 3, 4, 5}, relid, pg_get_timezone_name(session_timezone));
		plan->memory = dbops_retention_memory(NULL);
	}
	plan->cutoff = dbops_partition_cutoff(&plan->spec->clock, dbops_clock_now(), plan->spec->keep);
}

/* Those that go, and the one in which the cutoff is. */
static void
put_partitions(RetentionPlan *plan)
{
	PartitionSet *set = dbops_partition_set_read(plan->spec->relid, plan->spec->clock.zone, plan->spec->clock.unit);
	ListCell   *cell;

	dbops_partition_set_measure(set);
	foreach(cell, set->partitions)
	{
		const Partition *partition = lfirst(cell);

		if (partition->upper <= plan->cutoff)
			put_partition(plan, set, partition);
		else if (partition->lower < plan->cutoff)
			put(plan, (RetentionPlanRow)
				{
					.method = "keep until whole",.object = partition->name,.rows = -1,.bytes = -1,.seconds = -1
				});
	}
}

/* One that goes, unless something keeps it: then its old rows go. */
static void
put_partition(RetentionPlan *plan, const PartitionSet *set, const Partition *partition)
{
	RetentionPlanRow row = {
		.method = dbops_partition_drops_concurrently(set) ? "detach concurrently and drop" : "detach and drop",
		.object = partition->name,.rows = rows_in(plan, partition->relid),.bytes = partition->bytes,
		.risk = dbops_partition_obstacle(set, partition)
	};

	if (row.risk == NULL)
	{
		plan->whole = lappend_oid(plan->whole, partition->relid);
		row.risk = dbops_retention_archive_obstacle(plan->spec, partition->relid);
	}
	else
	{
		row.method = "keep partition";
		row.rows = row.bytes = row.seconds = -1;
	}
	put(plan, row);
}

/* All of its rows, from a sample. */
static double
rows_in(const RetentionPlan *plan, Oid relid)
{
	RetentionEstimate estimate = {.oldest = RETENTION_NONE,.exact = true};
	ListCell   *cell;

	foreach(cell, find_all_inheritors(relid, NoLock, NULL))
	{
		RetentionLeaf *leaf = get_rel_relkind(lfirst_oid(cell)) == RELKIND_RELATION ?
			dbops_retention_leaf(plan->spec, lfirst_oid(cell)) : NULL;

		if (leaf != NULL)
			dbops_retention_estimate(plan->spec, leaf, NULL, plan->cutoff, RETENTION_NONE, &estimate);
	}
	return estimate.rows;
}

/* Is a table, or the partition that it is below, to go as a whole? */
static bool
goes_as_a_whole(const RetentionPlan *plan, Oid relid)
{
	ListCell   *cell;

	foreach(cell, plan->whole)
		if (list_member_oid(find_all_inheritors(lfirst_oid(cell), NoLock, NULL), relid))
			return true;
	return false;
}

/* The rows of one table, unless no run would begin with it. */
static void
put_rows(RetentionPlan *plan, Oid relid)
{
	RetentionLeaf *leaf = dbops_retention_leaf(plan->spec, relid);

	dbops_retention_check_table(relid, "retention policy");
	if (leaf != NULL)
		put_leaf(plan, leaf);
}

static void
put_leaf(RetentionPlan *plan, RetentionLeaf *leaf)
{
	RetentionEstimate estimate = {.oldest = RETENTION_NONE,.exact = true};
	RetentionPlanRow		row = {0};
	double		rate = (plan->memory->rate > 0) ? plan->memory->rate : LIKELY_RATE;
	bool		without;

	if (leaf == NULL)
		return;					/* gone just now */
	row.object = leaf->name;
	dbops_retention_estimate(plan->spec, leaf, dbops_retention_counted(plan->spec, leaf->relid), plan->cutoff,
							 plan->memory->confirmed, &estimate);
	without = !OidIsValid(leaf->index);
	dbops_retention_choose(leaf, estimate.expired);
	row.method = OidIsValid(leaf->index) ? psprintf("delete by key range of index %s", leaf->index_name) : "delete by block range";
	row.rows = estimate.expired;
	row.bytes = estimate.bytes;
	row.seconds = estimate.expired / rate;
	if (without && leaf->blocks * (double) BLCKSZ > LARGE_TABLE)
	{
		row.risk = psprintf("each run reads all %s of the table, for want of an index", dbops_figure_bytes(leaf->blocks * (double) BLCKSZ));
		row.remedy = psprintf("CREATE INDEX CONCURRENTLY ON %s (%s);", leaf->name, quote_identifier(plan->spec->column));
	}
	put(plan, row);
}

static void
put_other_owner(RetentionPlan *plan, Oid relid)
{
	put(plan, (RetentionPlanRow)
		{
			.method = "keep partition",.object = dbops_quote_relation(relid),.rows = -1,.bytes = -1,.seconds = -1,
			.risk = dbops_retention_other_owner(plan->spec, relid),
			.remedy = psprintf("ALTER TABLE %s OWNER TO %s;", dbops_quote_relation(relid),
							   quote_identifier(GetUserNameFromId(plan->spec->owner, true)))
		});
}

/* ---- what goes, or stays, besides ---- */

static void
put_references(RetentionPlan *plan, Oid relid)
{
	const RetentionReference *unindexed = dbops_retention_unindexed(relid);
	ListCell   *cell;

	foreach(cell, dbops_retention_references(relid))
	{
		const RetentionReference *reference = lfirst(cell);

		put_reference(plan, reference);
		if (unindexed != NULL && unindexed->constraint == reference->constraint)
			unindexed = NULL;
	}
	if (unindexed != NULL)
		put_reference(plan, unindexed); /* of rows that go along */
}

/* Foreign keys without an index to tables below the policy's own, which do not refer to that. */
static void
put_unindexed(RetentionPlan *plan)
{
	List	   *told = NIL;
	ListCell   *cell;

	if (dbops_retention_unindexed(plan->spec->relid) != NULL)
		return;
	foreach(cell, dbops_retention_tables(plan->spec, plan->cutoff, false))
	{
		const RetentionReference *reference = dbops_retention_unindexed(lfirst_oid(cell));

		if (reference == NULL || list_member_oid(told, reference->table))
			continue;
		put_reference(plan, reference);
		told = lappend_oid(told, reference->table);
	}
}

static void
put_reference(RetentionPlan *plan, const RetentionReference *reference)
{
	RetentionPlanRow		row = {.object = dbops_quote_relation(reference->table),.rows = -1,.bytes = -1,.seconds = -1};

	switch (reference->on_delete)
	{
		case FKCONSTR_ACTION_CASCADE:
			if (dbops_retention_keeps_cascaded(reference, plan->spec->relid))
			{
				row.method = "keep rows that it refers to";
				row.risk = psprintf("foreign key %s: rows of it go when they are old themselves, and those that they refer to go after them",
									quote_identifier(reference->name));
				break;
			}
			row.method = "delete with the rows that it refers to";
			row.risk = psprintf("foreign key %s deletes rows of it too", quote_identifier(reference->name));
			row.rows = rows_along(plan, reference->table);
			break;
		case FKCONSTR_ACTION_SETNULL:
		case FKCONSTR_ACTION_SETDEFAULT:
			row.method = "take the reference away";
			row.risk = psprintf("foreign key %s changes rows of it", quote_identifier(reference->name));
			break;
		default:
			row.method = "keep rows that it refers to";
			if (reference->table == plan->spec->relid)
				row.rows = plan->all.kept;	/* at most */
			if (reference->must_stay)
				row.risk = psprintf("foreign key %s would set columns to null that must not be null: rows that are referred to stay, and are counted as kept",
									quote_identifier(reference->name));
			else
				row.risk = reference->table == plan->spec->relid ?
				psprintf("foreign key %s: rows of the table itself refer to it, which go level by level, at most %d in a run",
						 quote_identifier(reference->name), RETENTION_PASSES) :
				psprintf("foreign key %s: rows that are referred to stay, and are counted as kept", quote_identifier(reference->name));
	}
	if (!reference->indexed)
	{
		row.risk = psprintf("foreign key %s has no index: a policy is refused", quote_identifier(reference->name));
		row.remedy = dbops_retention_reference_ddl(reference);
	}
	put(plan, row);
}

/* How many rows of it would go along, or -1. */
static double
rows_along(const RetentionPlan *plan, Oid relid)
{
	ListCell   *cell;

	foreach(cell, plan->cascades)
	{
		const RetentionCascade *cascade = lfirst(cell);

		if (cascade->table == relid && !cascade->hidden)
			return cascade->gone;
	}
	return -1;
}

/* Tables that refer to others whose rows go along. */
static void
put_cascades(RetentionPlan *plan)
{
	ListCell   *cell;

	foreach(cell, plan->cascades)
	{
		const RetentionCascade *cascade = lfirst(cell);

		if (!cascade->direct)
			put(plan, (RetentionPlanRow)
				{
					.method = "delete with the rows that it refers to",.object = cascade->name,
					.rows = rows_along(plan, cascade->table),.bytes = -1,.seconds = -1,
					.risk = "it refers to rows that go along"
				});
	}
}

static void
put_holds(RetentionPlan *plan)
{
	int			holds = dbops_hold_count(plan->spec->relid);
	ListCell   *cell;
	RetentionPlanRow		row = {.method = "keep rows that are held",.object = plan->spec->table,.rows = -1,.bytes = -1,.seconds = -1};

	row.risk = psprintf("%d %s; see dbops.holds()", holds, holds == 1 ? "hold" : "holds");
	if (holds > 0)
		put(plan, row);
	foreach(cell, dbops_hold_unasked(plan->spec->relid, plan->spec->owner))
	{
		row.method = "keep rows, held or not";
		row.risk = lfirst(cell);
		row.remedy = "Release it, or place it as the table's owner again.";
		put(plan, row);
	}
}

/* Would a run have to be confirmed? */
static void
put_confirmation(RetentionPlan *plan)
{
	RetentionPlanRow		row = {.method = "wait for confirmation",.object = plan->spec->table,.rows = -1,.bytes = -1,.seconds = -1};

	row.risk = dbops_cutoff_jump(&plan->memory->allowed, plan->spec->keep, plan->cutoff);
	if (row.risk == NULL && dbops_retention_unconfirmed(plan->memory, &plan->all) * 100.0 > plan->all.rows * dbops_max_retention_percent)
		row.risk = psprintf("%s are more than dbops.max_retention_percent (%d) allows at once",
							dbops_retention_share(&plan->all), dbops_max_retention_percent);
	if (row.risk == NULL)
		row.risk = dbops_retention_too_many(plan->spec, plan->cutoff, plan->memory->confirmed);
	if (row.risk == NULL)
		row.risk = dbops_retention_too_many_along(plan->memory, plan->cascades);
	if (row.risk == NULL)
		return;
	row.remedy = psprintf("CALL dbops.run_retention(%s, confirm => true);", quote_literal_cstr(plan->spec->table));
	put(plan, row);
}

static void
put(RetentionPlan *plan, RetentionPlanRow row)
{
	Datum		values[8];
	bool		nulls[8] = {false};

	values[0] = Int32GetDatum(++plan->step);
	values[1] = CStringGetTextDatum(row.method);
	values[2] = CStringGetTextDatum(row.object);
	values[3] = Int64GetDatum((int64) (row.rows + 0.5));
	values[4] = Int64GetDatum((int64) (row.bytes + 0.5));
	values[5] = IntervalPGetDatum(dbops_interval_of_ms((int64) (row.seconds * 1000)));
	nulls[3] = row.rows < 0;
	nulls[4] = row.bytes < 0;
	nulls[5] = row.seconds < 0;
	nulls[6] = row.risk == NULL;
	nulls[7] = row.remedy == NULL;
	values[6] = nulls[6] ? (Datum) 0 : CStringGetTextDatum(row.risk);
	values[7] = nulls[7] ? (Datum) 0 : CStringGetTextDatum(row.remedy);
	tuplestore_putvalues(plan->rsinfo->setResult, plan->rsinfo->setDesc, values, nulls);
}
