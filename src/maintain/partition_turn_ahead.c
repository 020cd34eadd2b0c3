/*
 * partition_turn_ahead.c
 *		The partitions behind the first one, each in a transaction of its own,
 *		and what is said when they are there.
 */
#include "maintain/partition_turn.h"

#include "catalog/namespace.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* One that is to be made. */
typedef struct Ahead
{
	PartitionTurn *turn;
	const PartitionSet *set;
	const PartitionGap *gap;
	int			made;
} Ahead;

static PartitionPlan *plan_ahead(const PartitionTurn *turn);
static bool make_one(void *arg);

/* Make what is missing: rows behind the boundary need partitions before it comes. */
void
dbops_partition_turn_make_ahead(PartitionTurn *turn)
{
	PartitionPlan *plan = plan_ahead(turn);
	int			made = 0;
	ListCell   *cell;

	foreach(cell, plan->missing)
	{
		Ahead		ahead = {.turn = turn,.set = plan->set,.gap = lfirst(cell)};

		dbops_partition_turn_repeat(turn, make_one, &ahead);
		made += ahead.made;
	}
	ereport(NOTICE,
			(errmsg("table %s is partitioned, %s is its first partition, and %d more are there",
					turn->name, ((Partition *) linitial(plan->set->partitions))->name,
					list_length(plan->set->partitions) - 1 + made),
			 errhint("SELECT dbops.set_partitioning(%s, every => ...) has more made as time passes.", quote_literal_cstr(turn->name))));
}

void
dbops_partition_turn_show_ahead(const PartitionTurn *turn)
{
	const PartitionPlan *plan = plan_ahead(turn);
	ListCell   *cell;

	foreach(cell, plan->missing)
	{
		ereport(NOTICE, (errmsg("%s", dbops_partition_create_sql(plan->set, lfirst(cell)))));
		ereport(NOTICE, (errmsg("%s", dbops_partition_attach_sql(plan->set, lfirst(cell)))));
	}
}

static PartitionPlan *
plan_ahead(const PartitionTurn *turn)
{
	Oid			parent = get_relname_relid(turn->relname, get_namespace_oid(turn->schema, false));
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	dbops_json_text(&json, "every", psprintf("%d months %d days " INT64_FORMAT " microseconds",
											 turn->every.month, turn->every.day, turn->every.time));
	if (turn->set.clock.unit != 0)
		dbops_json_integer(&json, "unit", turn->set.clock.unit);
	return dbops_partition_plan_read(parent, dbops_json_finish(&json), pg_get_timezone_name(session_timezone));
}

/* One is left out where somebody has made a default partition meanwhile that has its rows. */
static bool
make_one(void *arg)
{
	Ahead	   *ahead = arg;
	PartitionAnswer answer = dbops_partition_create(ahead->set, ahead->gap, ahead->turn->owner, &ahead->turn->why);

	ahead->made = (answer == PARTITION_MADE);
	return answer != PARTITION_WAITS;
}
