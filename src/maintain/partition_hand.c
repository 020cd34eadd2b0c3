/*
 * partition_hand.c
 *		Partitions that are on their way out: the rows of dbops.partition_drop.
 *
 * A note is one policy's, and counts for that policy's jobs alone: only they
 * know whether the rows are to be archived first. It goes with its policy, and
 * what is still attached is not noted any more once the policy is set again; so
 * whoever wants a partition to stay only has to say so to the policy.
 *
 * A note says how far the partition reaches, so that it can be judged by the
 * policy of today when it is detached already, and whether it was us who have
 * begun to detach it: a table that somebody else has detached is his.
 */
#include "maintain/partition.h"

#include "utils/guc.h"

#define LOCK_WAIT		5000	/* ms, for a step of the policy's job */
#define HAND_COLUMNS	"partition, name, kind, upper_end, begun, row_count, bytes"

static void take_hand(HeapTuple row, TupleDesc desc, void *arg);
static void add_hand(HeapTuple row, TupleDesc desc, void *arg);
static void note_left(const PartitionHand *hand);

/* Find what a policy is to go on with; false: nothing. */
bool
dbops_partition_hand_find(int64 policy, PartitionHand *hand)
{
	DbopsParam	param = dbops_param_int8(policy);

	return dbops_store_each("SELECT " HAND_COLUMNS " FROM dbops.partition_drop WHERE policy = $1"
							" ORDER BY began_at, partition LIMIT 1",
							1, &param, take_hand, hand) == 1;
}

static void
take_hand(HeapTuple row, TupleDesc desc, void *arg)
{
	PartitionHand *hand = arg;

	hand->partition = dbops_row_oid(row, desc, 1);
	hand->name = dbops_row_text(row, desc, 2);
	hand->kind = dbops_row_text(row, desc, 3);
	hand->upper = dbops_row_int8(row, desc, 4);
	hand->begun = dbops_row_bool(row, desc, 5);
	hand->rows = dbops_row_int8(row, desc, 6);
	hand->bytes = dbops_row_int8(row, desc, 7);
}

/* All that are noted of a table, whoever has noted them, of PartitionHand *. */
List *
dbops_partition_hand_list(Oid parent)
{
	DbopsParam	param = dbops_param_oid(parent);
	List	   *hands = NIL;

	dbops_store_each("SELECT " HAND_COLUMNS " FROM dbops.partition_drop WHERE parent = $1 ORDER BY began_at, partition",
					 1, &param, add_hand, &hands);
	return hands;
}

static void
add_hand(HeapTuple row, TupleDesc desc, void *arg)
{
	PartitionHand *hand = palloc0(sizeof(PartitionHand));

	take_hand(row, desc, hand);
	*(List **) arg = lappend(*(List **) arg, hand);
}

/* Note what is to go; from now on it is seen to. */
void
dbops_partition_hand_put(int64 policy, const char *kind, Oid parent, const Partition *partition)
{
	DbopsParam	params[] = {
		dbops_param_oid(partition->relid),
		dbops_param_oid(parent),
		dbops_param_text(partition->name),
		dbops_param_int8(policy),
		dbops_param_text(kind),
		dbops_param_int8(partition->upper),
		dbops_param_int8(partition->rows),
		dbops_param_int8(partition->bytes),
		dbops_param_time(dbops_clock_now())
	};

	dbops_store_each("INSERT INTO dbops.partition_drop (partition, parent, name, policy, kind, upper_end, row_count, bytes, began_at)"
					 " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
					 " ON CONFLICT (partition) DO UPDATE SET parent = $2, name = $3, policy = $4, kind = $5, upper_end = $6,"
					 " begun = false, row_count = $7, bytes = $8, began_at = $9",
					 lengthof(params), params, NULL, NULL);
}

/* Note that we begin to detach it, or that this has come to nothing. */
void
dbops_partition_hand_set_begun(Oid partition, bool begun)
{
	DbopsParam	params[] = {dbops_param_oid(partition), dbops_param_bool(begun)};

	dbops_store_each("UPDATE dbops.partition_drop SET begun = $2 WHERE partition = $1 AND begun <> $2",
					 lengthof(params), params, NULL, NULL);
}

void
dbops_partition_hand_forget(Oid partition)
{
	DbopsParam	param = dbops_param_oid(partition);

	dbops_store_each("DELETE FROM dbops.partition_drop WHERE partition = $1", 1, &param, NULL, NULL);
}

/* The policy is set again: whether what has not begun to go is to go is judged anew. */
void
dbops_partition_hand_judge_anew(int64 policy)
{
	DbopsParam	param = dbops_param_int8(policy);

	dbops_store_each("DELETE FROM dbops.partition_drop WHERE policy = $1 AND NOT begun", 1, &param, NULL, NULL);
}

/*
 * The policy is removed: nothing goes any more, and what is half gone is said.
 * The policy is locked first, as a step does that remembers something.
 */
void
dbops_partition_hand_leave(const char *kind, Oid parent)
{
	int			nest_level = dbops_begin_bounded_wait(LOCK_WAIT);
	DbopsParam	params[] = {dbops_param_text(kind), dbops_param_oid(parent)};
	ListCell   *cell;

	dbops_store_each("SELECT FROM dbops.policy WHERE kind = $1 AND relation = $2 FOR UPDATE", lengthof(params), params, NULL, NULL);
	foreach(cell, dbops_partition_hand_list(parent))
	{
		const PartitionHand *hand = lfirst(cell);

		if (strcmp(hand->kind, kind) != 0)
			continue;
		if (hand->begun)
			note_left(hand);
		dbops_partition_hand_forget(hand->partition);
	}
	AtEOXact_GUC(false, nest_level);
}

static void
note_left(const PartitionHand *hand)
{
	MaintenanceNote said = {
		MAINTENANCE_NOTE,
		.kind = hand->kind,
		.object = hand->name,
		.action = "drop partition",
		.outcome = "skipped",
		.message = "its detaching has begun, and it stays as a table: the policy was removed"
	};

	dbops_maintenance_note(&said);
}
