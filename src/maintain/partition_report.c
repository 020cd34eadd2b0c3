/*
 * partition_report.c
 *		partition_plan() and partition_status(): what will be done about a
 *		partitioned table, and how it stands.
 *
 * A table without a policy is shown as one that is adopted as it is: with the
 * interval of its partitions, the usual runway, and nothing dropped.
 */
#include "maintain/partition.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/tuplestore.h"

#define N_STATUS	15			/* columns of partition_status() */

PG_FUNCTION_INFO_V1(dbops_partition_plan);
PG_FUNCTION_INFO_V1(dbops_partition_status);

/* A row of partition_plan(). */
typedef struct PlanRow
{
	int			step;
	const char *action;
	const char *object;
	const char *statement;		/* or NULL */
	const char *lock_mode;		/* of the parent; or NULL */
	const Partition *partition; /* with figures; or NULL */
	const char *note;			/* or NULL */
} PlanRow;

/* A policy to be shown. */
typedef struct Shown
{
	const Policy *policy;
	PartitionPlan *plan;
} Shown;

static void put_missing(ReturnSetInfo *rsinfo, const PartitionPlan *plan, int *step);
static void put_half_done(ReturnSetInfo *rsinfo, const PartitionPlan *plan, int *step);
static void put_in_hand(ReturnSetInfo *rsinfo, const PartitionPlan *plan, int *step);
static bool judge_hand(const PartitionPlan *plan, const PartitionHand *hand, bool attached, PlanRow *row);
static void put_expired(ReturnSetInfo *rsinfo, const PartitionPlan *plan, const Jsonb *memory, int *step);
static const char *reference_note(const Partition *partition);
static void put_row(ReturnSetInfo *rsinfo, const PlanRow *row);
static void put_status(ReturnSetInfo *rsinfo, const Policy *policy);
static void fill_extent(Datum *values, bool *nulls, const PartitionPlan *plan);
static void fill_set(Datum *values, bool *nulls, const PartitionPlan *plan);
static void put_text(Datum *values, bool *nulls, int column, const char *text);
static void read_plan(void *arg);
static void put_time(Datum *value, bool *isnull, const PartitionPlan *plan, int64 position);

/* partition_plan(parent regclass) → the statements of the next run */
Datum
dbops_partition_plan(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Policy	   *policy;
	PartitionPlan *plan;
	int			step = 0;

	dbops_require_argument(fcinfo, 0, "parent");
	InitMaterializedSRF(fcinfo, 0);
	policy = dbops_policy_find(PARTITION_KIND, PG_GETARG_OID(0));
	plan = (policy != NULL) ? dbops_partition_plan_of(policy) :
		dbops_partition_plan_read(PG_GETARG_OID(0), NULL, pg_get_timezone_name(session_timezone));
	dbops_partition_set_measure(plan->set);
	put_missing(rsinfo, plan, &step);
	put_half_done(rsinfo, plan, &step);
	put_in_hand(rsinfo, plan, &step);
	put_expired(rsinfo, plan, policy != NULL ? policy->memory : NULL, &step);
	return (Datum) 0;
}

static void
put_missing(ReturnSetInfo *rsinfo, const PartitionPlan *plan, int *step)
{
	const PartitionSet *set = plan->set;
	bool		default_has_rows = (set->default_partition != NULL && set->default_partition->bytes > 0);
	ListCell   *cell;

	foreach(cell, plan->missing)
	{
		const PartitionGap *gap = lfirst(cell);
		PlanRow		row = {
			.step = ++*step,
			.action = "create partition",
			.object = dbops_quote_qualified(dbops_partition_schema(set), gap->relname),
			.statement = psprintf("%s; %s", dbops_partition_create_sql(set, gap), dbops_partition_attach_sql(set, gap)),
			.lock_mode = "ShareUpdateExclusiveLock",
			.note = !default_has_rows ? NULL :
			psprintf("left out if the default partition %s has rows of its time", set->default_partition->name)
		};

		put_row(rsinfo, &row);
	}
}

static void
put_half_done(ReturnSetInfo *rsinfo, const PartitionPlan *plan, int *step)
{
	const PartitionSet *set = plan->set;
	PlanRow		row = {.action = "finish detach",.lock_mode = "ShareUpdateExclusiveLock"};

	if (set->pending == NULL)
		return;
	row.step = ++*step;
	row.object = set->pending->name;
	row.statement = psprintf("ALTER TABLE %s DETACH PARTITION %s FINALIZE", set->name, set->pending->name);
	row.partition = set->pending;
	row.note = "a concurrent detach was cut off";
	put_row(rsinfo, &row);
}

/* What has been noted to go; what is attached, and is too old as well, comes with the others. */
static void
put_in_hand(ReturnSetInfo *rsinfo, const PartitionPlan *plan, int *step)
{
	ListCell   *cell;

	foreach(cell, dbops_partition_hand_list(plan->set->parent))
	{
		const PartitionHand *hand = lfirst(cell);
		const Partition *attached = dbops_partition_find(plan->set, hand->partition);
		PlanRow		row = {.step = *step + 1,.object = hand->name};

		if (attached != NULL && attached == plan->set->pending)
			continue;
		if (strcmp(hand->kind, PARTITION_KIND) != 0)
		{
			row.action = "leave partition";
			row.note = psprintf("a job of %s has begun with it, and goes on with its next run", hand->kind);
		}
		else if (!judge_hand(plan, hand, attached != NULL, &row))
			continue;
		row.partition = &(Partition) {.rows = hand->rows,.bytes = hand->bytes};
		put_row(rsinfo, &row);
		++*step;
	}
}

/* Say what will become of what the policy has noted; false: it is shown as what is too old. */
static bool
judge_hand(const PartitionPlan *plan, const PartitionHand *hand, bool attached, PlanRow *row)
{
	bool		expired = (hand->upper <= plan->cutoff);

	if (attached && expired)
		return false;
	row->action = expired ? "drop partition" : "keep partition";
	row->statement = expired ? psprintf("DROP TABLE %s", hand->name) : NULL;
	if (!expired)
		row->note = attached ? "an earlier run was about to detach it; the policy keeps it now" :
			"an earlier run has detached it; the policy keeps it now, and it stays as a table";
	else
		row->note = "an earlier run has detached it";
	return true;
}

static void
put_expired(ReturnSetInfo *rsinfo, const PartitionPlan *plan, const Jsonb *memory, int *step)
{
	const PartitionSet *set = plan->set;
	bool		concurrently = dbops_partition_drops_concurrently(set);
	const char *why = dbops_partition_needs_confirmation(plan, memory);
	ListCell   *cell;

	foreach(cell, plan->expired)
	{
		const Partition *partition = lfirst(cell);
		const char *obstacle = dbops_partition_obstacle(set, partition);
		PlanRow		row = {
			.step = ++*step,
			.action = (obstacle != NULL) ? "keep partition" : "drop partition",
			.object = partition->name,
			.lock_mode = concurrently ? "ShareUpdateExclusiveLock" : "AccessExclusiveLock",
			.partition = partition,
			.note = (obstacle != NULL) ? obstacle : (why != NULL) ? psprintf("not before it is confirmed: %s", why) : reference_note(partition)
		};

		if (obstacle == NULL)
			row.statement = psprintf("ALTER TABLE %s DETACH PARTITION %s%s; DROP TABLE %s",
									 set->name, partition->name, concurrently ? " CONCURRENTLY" : "", partition->name);
		else
			row.lock_mode = NULL;
		put_row(rsinfo, &row);
	}
}

/* What its detaching does under locks; NULL: next to nothing. */
static const char *
reference_note(const Partition *partition)
{
	const char *references = dbops_partition_references(partition);
	const char *limit = (dbops_max_detach_time > 0) ? psprintf(", for %d ms at most", dbops_max_detach_time) : "";

	return references == NULL ? NULL :
		psprintf("while others wait the server looks through foreign key %s%s: see dbops.max_detach_time", references, limit);
}

static void
put_row(ReturnSetInfo *rsinfo, const PlanRow *row)
{
	Datum		values[8] = {0};
	bool		nulls[8] = {false};

	values[0] = Int32GetDatum(row->step);
	values[1] = CStringGetTextDatum(row->action);
	values[2] = CStringGetTextDatum(row->object);
	nulls[3] = (row->statement == NULL);
	if (!nulls[3])
		values[3] = CStringGetTextDatum(row->statement);
	nulls[4] = (row->lock_mode == NULL);
	if (!nulls[4])
		values[4] = CStringGetTextDatum(row->lock_mode);
	nulls[5] = (row->partition == NULL || row->partition->rows < 0);
	nulls[6] = (row->partition == NULL);
	if (row->partition != NULL)
	{
		values[5] = Int64GetDatum(row->partition->rows);
		values[6] = Int64GetDatum(row->partition->bytes);
	}
	nulls[7] = (row->note == NULL);
	if (!nulls[7])
		values[7] = CStringGetTextDatum(row->note);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* ---- how they stand ---- */

/* partition_status() → every table that is looked after */
Datum
dbops_partition_status(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, dbops_policy_list(PARTITION_KIND))
		put_status(rsinfo, lfirst(cell));
	return (Datum) 0;
}

/*
 * parent, column_name, every, keep, partitions, oldest, newest, runway, wanted, missing, expired,
 * default_partition, default_rows, half_done, stopped_because
 */
static void
put_status(ReturnSetInfo *rsinfo, const Policy *policy)
{
	Shown		shown = {.policy = policy};
	ErrorData  *error;
	Datum		values[N_STATUS] = {0};
	bool		nulls[N_STATUS];
	bool		readable = dbops_attempt(read_plan, &shown, &error);

	memset(nulls, true, sizeof(nulls));
	put_text(values, nulls, 0, dbops_policy_object(policy->relation));
	if (readable)
	{
		fill_extent(values, nulls, shown.plan);
		fill_set(values, nulls, shown.plan);
	}
	put_text(values, nulls, 14, readable ? dbops_policy_stopped(policy) : error->message);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* Since when and until when there are partitions, and how far that is. */
static void
fill_extent(Datum *values, bool *nulls, const PartitionPlan *plan)
{
	int64		covered = dbops_partition_covered_until(plan);

	if (plan->set->partitions == NIL)
		return;
	put_time(&values[5], &nulls[5], plan, ((Partition *) linitial(plan->set->partitions))->lower);
	put_time(&values[6], &nulls[6], plan, covered);
	nulls[7] = (covered == PARTITION_END);
	if (!nulls[7])
		values[7] = dbops_partition_runway_datum(plan, covered);
}

static void
fill_set(Datum *values, bool *nulls, const PartitionPlan *plan)
{
	const PartitionSet *set = plan->set;

	put_text(values, nulls, 1, set->column);
	values[2] = IntervalPGetDatum(unconstify(Interval *, &plan->grid.every));
	values[3] = IntervalPGetDatum(plan->keep);
	values[4] = Int32GetDatum(list_length(set->partitions));
	values[8] = dbops_partition_runway_datum(plan, plan->until);
	values[9] = Int32GetDatum(list_length(plan->missing));
	values[10] = Int32GetDatum(list_length(plan->expired));
	nulls[2] = nulls[4] = nulls[8] = nulls[9] = nulls[10] = false;
	nulls[3] = (plan->keep == NULL);
	if (set->default_partition != NULL)
	{
		put_text(values, nulls, 11, set->default_partition->name);
		dbops_partition_measure(set->default_partition);
		values[12] = Int64GetDatum(set->default_partition->rows);
		nulls[12] = (set->default_partition->rows < 0);
	}
	put_text(values, nulls, 13, set->pending != NULL ? set->pending->name : NULL);
}

static void
put_text(Datum *values, bool *nulls, int column, const char *text)
{
	nulls[column] = (text == NULL);
	if (text != NULL)
		values[column] = CStringGetTextDatum(text);
}

static void
read_plan(void *arg)
{
	Shown	   *shown = arg;

	shown->plan = dbops_partition_plan_of(shown->policy);
}

/* A position as a time; null: without end. */
static void
put_time(Datum *value, bool *isnull, const PartitionPlan *plan, int64 position)
{
	*isnull = (position == PARTITION_BEGINNING || position == PARTITION_END);
	if (!*isnull)
		*value = TimestampTzGetDatum(dbops_partition_at(&plan->set->clock, position));
}

/* How far it is from now to a position. */
Datum
dbops_partition_runway_datum(const PartitionPlan *plan, int64 position)
{
	int64		distance = Max(position - plan->now, 0);
	Interval   *runway = palloc0(sizeof(Interval));

	runway->day = distance / USECS_PER_DAY;
	runway->time = distance % USECS_PER_DAY;
	return IntervalPGetDatum(runway);
}

/* Up to where rows of the present and later have a partition. */
int64
dbops_partition_covered_until(const PartitionPlan *plan)
{
	int64		covered = Max(plan->now, plan->set->lower);
	ListCell   *cell;

	foreach(cell, plan->set->partitions)
	{
		const Partition *partition = lfirst(cell);

		if (partition->lower <= covered && partition->upper > covered && !partition->pending)
			covered = partition->upper;
	}
	return covered;
}
