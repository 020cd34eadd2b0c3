/*
 * partition_confirm.c
 *		How much may be dropped at once, before somebody has seen it.
 *
 * One partition may always go, as long as another one is there that has begun:
 * that is what passing time does to any set. More than that may go up to
 * dbops.max_retention_percent of the partitions that have begun and of their
 * rows. What was confirmed is a cutoff: whatever ends by then.
 *
 * The policy's memory has two positions: what was last shown, and what was
 * confirmed.
 */
#include "maintain/partition.h"

static int64 confirmed_until(const Jsonb *memory);

/* Would a run drop too much? Sizes have been measured. */
bool
dbops_partition_needs_confirmation(const PartitionPlan *plan, const Jsonb *memory)
{
	int			begun = 0;
	int			count = 0;
	int64		rows = 0;
	int64		rows_lost = 0;
	ListCell   *cell;

	foreach(cell, plan->set->partitions)
	{
		const Partition *partition = lfirst(cell);
		bool		lost = (partition->upper <= plan->cutoff && !dbops_partition_is_confirmed(partition, memory));

		begun += (partition->lower <= plan->now);
		count += lost;
		rows += partition->rows;
		rows_lost += lost ? partition->rows : 0;
	}
	if (count == 0 || (count == 1 && begun > 1))
		return false;
	return count * 100.0 > begun * (double) dbops_max_retention_percent ||
		rows_lost * 100.0 > rows * (double) dbops_max_retention_percent;
}

/* May this one go, as somebody has confirmed it? */
bool
dbops_partition_is_confirmed(const Partition *partition, const Jsonb *memory)
{
	return partition->upper <= confirmed_until(memory);
}

/* The memory with a position in it; the other stays. */
Jsonb *
dbops_partition_memory(const Jsonb *memory, const char *key, int64 position)
{
	static const char *const keys[] = {"shown", "confirmed"};
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	for (int i = 0; i < lengthof(keys); i++)
	{
		if (strcmp(keys[i], key) == 0)
			dbops_json_integer(&json, keys[i], position);
		else if (memory != NULL && dbops_jsonb_integer(memory, keys[i]) != 0)
			dbops_json_integer(&json, keys[i], dbops_jsonb_integer(memory, keys[i]));
	}
	return dbops_json_finish(&json);
}

/* Confirm what was last shown; what would be shown now if nothing was. */
Jsonb *
dbops_partition_confirm(const PartitionPlan *plan, const Jsonb *memory)
{
	int64		shown = (memory != NULL) ? dbops_jsonb_integer(memory, "shown") : 0;

	return dbops_partition_memory(memory, "confirmed", shown != 0 ? shown : plan->cutoff);
}

static int64
confirmed_until(const Jsonb *memory)
{
	int64		confirmed = (memory != NULL) ? dbops_jsonb_integer(memory, "confirmed") : 0;

	return confirmed != 0 ? confirmed : PARTITION_BEGINNING;
}
