/*
 * partition_confirm.c
 *		How much may be dropped at once, before somebody has seen it.
 *
 * One partition may always go, as long as another one is there that has begun:
 * that is what passing time does to any set. More than that may go up to
 * dbops.max_retention_percent of the partitions that have begun and of their
 * rows. But nothing goes when the time before which things go has moved further
 * than time has passed (cutoff.h). What is confirmed is a cutoff: whatever ends
 * by then.
 *
 * The policy's memory has what was last shown, what was confirmed, and what was
 * last allowed. It is all about one time to keep, and forgotten with another.
 */
#include "maintain/partition.h"
#include "maintain/cutoff.h"

/* What the policy remembers about a time to keep. */
typedef struct Memory
{
	int64		shown;			/* cutoff that was refused; CUTOFF_NONE: none was */
	int64		confirmed;		/* cutoff up to which any number may go; CUTOFF_NONE */
	CutoffMark	allowed;
} Memory;

static Memory read_memory(const PartitionPlan *plan, const Jsonb *memory);
static bool is_about(const Interval *keep, const Jsonb *memory);
static int64 read_position(const Jsonb *memory, const char *key);
static Jsonb *write_memory(const PartitionPlan *plan, const Memory *memory);
static void put_position(DbopsJson *json, const char *key, int64 position);

/* Why a run must be confirmed first, as a user reads it; NULL: it need not be. Sizes have been measured. */
const char *
dbops_partition_needs_confirmation(const PartitionPlan *plan, const Jsonb *memory)
{
	Memory		known = read_memory(plan, memory);
	int			begun = 0;
	int			count = 0;
	int64		rows = 0;
	int64		rows_lost = 0;
	const char *jump;
	ListCell   *cell;

	foreach(cell, plan->set->partitions)
	{
		const Partition *partition = lfirst(cell);
		bool		lost = (partition->upper <= plan->cutoff && partition->upper > known.confirmed);

		begun += (partition->lower <= plan->now);
		count += lost;
		rows += Max(partition->rows, 0);
		rows_lost += lost ? Max(partition->rows, 0) : 0;
	}
	if (count == 0)
		return NULL;
	jump = dbops_cutoff_jump(&known.allowed, plan->keep, plan->cutoff);
	if (jump != NULL)
		return jump;
	if (count == 1 && begun > 1)
		return NULL;
	if (count * 100.0 <= begun * (double) dbops_max_retention_percent &&
		rows_lost * 100.0 <= rows * (double) dbops_max_retention_percent)
		return NULL;
	return psprintf("that is more than dbops.max_retention_percent (%d) allows at once", dbops_max_retention_percent);
}

/* May this one go, as somebody has confirmed it? */
bool
dbops_partition_is_confirmed(const PartitionPlan *plan, const Partition *partition, const Jsonb *memory)
{
	return partition->upper <= read_memory(plan, memory).confirmed;
}

/* ---- what is remembered ---- */

/* For a policy that is set: what was learnt about the same time to keep stays; confirm: what there is now may go. */
Jsonb *
dbops_partition_remember(const PartitionPlan *plan, const Jsonb *memory, bool confirm)
{
	Memory		known = read_memory(plan, memory);

	if (plan->keep == NULL)
		return NULL;
	known.shown = CUTOFF_NONE;
	if (confirm)
		known.confirmed = plan->cutoff;
	if (confirm || known.allowed.cutoff == CUTOFF_NONE)
		known.allowed = dbops_cutoff_mark(plan->cutoff);
	return write_memory(plan, &known);
}

/* What is shown, and refused. */
Jsonb *
dbops_partition_show(const PartitionPlan *plan, const Jsonb *memory)
{
	Memory		known = read_memory(plan, memory);

	known.shown = plan->cutoff;
	return write_memory(plan, &known);
}

/* A run with this cutoff is allowed; one that drops nothing allows no jump. */
Jsonb *
dbops_partition_allow(const PartitionPlan *plan, const Jsonb *memory)
{
	Memory		known = read_memory(plan, memory);

	if (dbops_cutoff_jump(&known.allowed, plan->keep, plan->cutoff) == NULL)
		known.allowed = dbops_cutoff_mark(plan->cutoff);
	known.shown = CUTOFF_NONE;
	return write_memory(plan, &known);
}

/* Confirm what was last shown; what would be shown now if nothing was. */
Jsonb *
dbops_partition_confirm(const PartitionPlan *plan, const Jsonb *memory)
{
	Memory		known = read_memory(plan, memory);

	known.confirmed = (known.shown != CUTOFF_NONE) ? Min(known.shown, plan->cutoff) : plan->cutoff;
	known.allowed = dbops_cutoff_mark(known.confirmed);
	known.shown = CUTOFF_NONE;
	return write_memory(plan, &known);
}

static Memory
read_memory(const PartitionPlan *plan, const Jsonb *memory)
{
	Memory		known = {.shown = CUTOFF_NONE,.confirmed = CUTOFF_NONE,.allowed = {.cutoff = CUTOFF_NONE}};

	if (memory == NULL || plan->keep == NULL || !is_about(plan->keep, memory))
		return known;
	known.shown = read_position(memory, "shown");
	known.confirmed = read_position(memory, "confirmed");
	known.allowed = dbops_cutoff_read(memory);
	return known;
}

static bool
is_about(const Interval *keep, const Jsonb *memory)
{
	int64	   *parts;

	return dbops_jsonb_integers(memory, "keep", &parts) == 3 &&
		parts[0] == keep->month && parts[1] == keep->day && parts[2] == keep->time;
}

static int64
read_position(const Jsonb *memory, const char *key)
{
	int64		position = dbops_jsonb_integer(memory, key);

	return (position == 0) ? CUTOFF_NONE : position;
}

static Jsonb *
write_memory(const PartitionPlan *plan, const Memory *memory)
{
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	dbops_json_array(&json, "keep");
	dbops_json_integer(&json, NULL, plan->keep->month);
	dbops_json_integer(&json, NULL, plan->keep->day);
	dbops_json_integer(&json, NULL, plan->keep->time);
	dbops_json_array_end(&json);
	put_position(&json, "shown", memory->shown);
	put_position(&json, "confirmed", memory->confirmed);
	dbops_cutoff_put(&json, &memory->allowed);
	return dbops_json_finish(&json);
}

static void
put_position(DbopsJson *json, const char *key, int64 position)
{
	if (position != CUTOFF_NONE)
		dbops_json_integer(json, key, position);
}
