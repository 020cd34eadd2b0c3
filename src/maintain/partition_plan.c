/*
 * partition_plan.c
 *		What is to be done about a partitioned table now.
 *
 * Partitions are to reach ahead by a runway of time. What is missing is made
 * from the partition of the present on, and from where the last one ends if
 * that is earlier; holes further back are left as they are. Where the table is
 * a partition itself, none is made for times of which it gets no rows.
 */
#include "maintain/partition.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#define MOST_MISSING	1000	/* partitions that are made in one go */
#define LEAST_AHEAD		3		/* partitions, that a runway which is not given has */
#define DEFAULT_RUNWAY	14		/* days */

static Interval *take_interval(const Jsonb *spec, const char *key);
static void find_every(PartitionPlan *plan, const Interval *every);
static int64 reach(const PartitionPlan *plan, const Interval *runway, TimestampTz now);
static void find_missing(PartitionPlan *plan);
static int64 begin_of_missing(const PartitionPlan *plan);
static const Partition *covering(const PartitionSet *set, int64 position);
static int64 end_of_gap(const PartitionPlan *plan, int64 position);

/* Plan what a policy asks for. */
PartitionPlan *
dbops_partition_plan_of(const Policy *policy)
{
	return dbops_partition_plan_read(policy->relation, policy->spec, policy->time_zone);
}

/* The same of a table for which nothing has been asked: spec is NULL. */
PartitionPlan *
dbops_partition_plan_read(Oid parent, const Jsonb *spec, const char *time_zone)
{
	PartitionPlan *plan = palloc0(sizeof(PartitionPlan));
	TimestampTz now = dbops_clock_now();

	plan->set = dbops_partition_set_read(parent, dbops_zone_require(time_zone),
										 spec != NULL ? dbops_jsonb_integer(spec, "unit") : 0);
	find_every(plan, take_interval(spec, "every"));
	plan->now = dbops_partition_position_at(&plan->set->clock, now);
	plan->until = Min(reach(plan, take_interval(spec, "runway"), now), plan->set->upper);
	plan->keep = take_interval(spec, "keep");
	plan->cutoff = (plan->keep == NULL) ? PARTITION_BEGINNING :
		dbops_partition_cutoff(&plan->set->clock, now, plan->keep);
	if (plan->keep != NULL)
		plan->expired = dbops_partition_expired(plan->set, plan->cutoff);
	find_missing(plan);
	dbops_partition_name_all(plan);
	return plan;
}

/* An interval as it was stored; NULL: none. */
static Interval *
take_interval(const Jsonb *spec, const char *key)
{
	const char *text = (spec != NULL) ? dbops_jsonb_text(spec, key) : NULL;

	if (text == NULL)
		return NULL;
	return DatumGetIntervalP(DirectFunctionCall3(interval_in, CStringGetDatum(text),
												 ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

/* Take the interval that is asked for, or that of the partitions that are there. */
static void
find_every(PartitionPlan *plan, const Interval *every)
{
	Interval	found;

	if (every != NULL)
		found = *every;
	else if (!dbops_partition_infer(plan->set, &found))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the partitions of table %s do not show in which interval they follow each other", plan->set->name),
				 errhint("Give every, such as every => '1 month'.")));
	dbops_partition_check_every(&found, plan->set->clock.type);
	plan->grid = dbops_partition_grid(plan->set, &found);
}

/* How far partitions are to reach; without a runway, the larger of 14 days and 3 partitions. */
static int64
reach(const PartitionPlan *plan, const Interval *runway, TimestampTz now)
{
	const PartitionClock *clock = &plan->set->clock;
	Interval	ahead = (runway != NULL) ? *runway : (Interval) {.day = DEFAULT_RUNWAY};
	Timestamp	local = dbops_partition_local(clock, plan->now);
	int64		until = dbops_partition_from_local(clock, DatumGetTimestamp(DirectFunctionCall2(timestamp_pl_interval,
																								TimestampGetDatum(local),
																								IntervalPGetDatum(&ahead))));
	int64		counted = plan->now;

	for (int i = 0; runway == NULL && i <= LEAST_AHEAD; i++)
		counted = dbops_partition_next(&plan->grid, counted);
	return Max(until, counted);
}

/* ---- what is missing ---- */

static void
find_missing(PartitionPlan *plan)
{
	int64		position = Max(begin_of_missing(plan), plan->set->lower);

	while (position < plan->until)
	{
		const Partition *there = covering(plan->set, position);
		PartitionGap *gap;

		if (there != NULL)
		{
			position = there->upper;
			continue;
		}
		if (list_length(plan->missing) == MOST_MISSING)
			break;
		gap = palloc0(sizeof(PartitionGap));
		gap->lower = position;
		gap->upper = end_of_gap(plan, position);
		plan->missing = lappend(plan->missing, gap);
		position = gap->upper;
	}
}

/* From the present, or from where the last one ends, unless that is too long ago. */
static int64
begin_of_missing(const PartitionPlan *plan)
{
	int64		present = dbops_partition_begin_of(&plan->grid, plan->now);
	int64		last = (plan->set->partitions == NIL) ? present : ((Partition *) llast(plan->set->partitions))->upper;
	int64		count = 0;

	if (last >= present || last < plan->cutoff)
		return present;
	for (int64 position = last; position < present; position = dbops_partition_next(&plan->grid, position))
		if (++count == MOST_MISSING)
			return present;
	return last;
}

/* The partition that a position is in; NULL: none. */
static const Partition *
covering(const PartitionSet *set, int64 position)
{
	ListCell   *cell;

	foreach(cell, set->partitions)
	{
		const Partition *partition = lfirst(cell);

		if (partition->lower <= position && position < partition->upper)
			return partition;
	}
	return NULL;
}

/* Where the next one of the grid begins, or one that is there. */
static int64
end_of_gap(const PartitionPlan *plan, int64 position)
{
	int64		end = Min(dbops_partition_next(&plan->grid, position), plan->set->upper);
	ListCell   *cell;

	foreach(cell, plan->set->partitions)
	{
		const Partition *partition = lfirst(cell);

		if (partition->lower > position)
			end = Min(end, partition->lower);
	}
	return end;
}
