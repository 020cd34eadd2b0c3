/*
 * partition_turn_prove.c
 *		The constraint that says that all rows are before the boundary, which
 *		spares the swap a scan under its lock.
 *
 * Until the swap it refuses rows from the boundary on. So its validation is
 * given up before rows of that time can be due.
 */
#include "maintain/partition_turn.h"

#include "datatype/timestamp.h"

/* A validation on its way. */
typedef struct Validation
{
	PartitionTurn *turn;
	bool		done;
} Validation;

static bool is_there(const PartitionTurn *turn);
static long time_left(const PartitionTurn *turn);
static void validate(void *arg);

/* It says that all rows are before the boundary. */
char *
dbops_partition_turn_proof_sql(const PartitionTurn *turn)
{
	return psprintf("ALTER TABLE %s ADD CONSTRAINT " PARTITION_TABLE_PROOF " CHECK (%s < %s) NOT VALID",
					turn->name, dbops_quote_name(turn->column),
					dbops_partition_literal(&turn->set.clock, turn->boundary));
}

char *
dbops_partition_turn_validate_sql(const PartitionTurn *turn)
{
	return psprintf("ALTER TABLE %s VALIDATE CONSTRAINT " PARTITION_TABLE_PROOF, turn->name);
}

bool
dbops_partition_turn_add_proof(PartitionTurn *turn)
{
	return dbops_partition_alter(turn->table, turn->owner, AccessExclusiveLock, dbops_partition_turn_proof_sql(turn), &turn->why);
}

/* Remove it, with whatever call has left it. */
bool
dbops_partition_turn_remove_proof(PartitionTurn *turn)
{
	return !is_there(turn) ||
		dbops_partition_alter(turn->table, turn->owner, AccessExclusiveLock,
							  psprintf("ALTER TABLE %s DROP CONSTRAINT " PARTITION_TABLE_PROOF, turn->name), &turn->why);
}

static bool
is_there(const PartitionTurn *turn)
{
	DbopsParam	param = dbops_param_oid(turn->table);

	return dbops_query_each("SELECT FROM pg_constraint WHERE conrelid = $1 AND conname = '" PARTITION_TABLE_PROOF "'",
							1, &param, NULL, NULL) > 0;
}

/* Have it validated while everybody works, up to half a day before rows of the boundary are due. */
bool
dbops_partition_turn_validate_proof(PartitionTurn *turn)
{
	PartitionLimit limit = {
		.ms = time_left(turn),
		.sqlerrcode = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
		.message = psprintf("all rows of table %s could not be read before those of %s are due",
							turn->name, dbops_partition_literal(&turn->set.clock, turn->boundary)),
		.hint = "CALL again at a quieter time."
	};
	Validation	validation = {.turn = turn};

	dbops_partition_within(&limit, validate, &validation);
	return validation.done;
}

/* In ms. */
static long
time_left(const PartitionTurn *turn)
{
	int64		now = dbops_partition_position_at(&turn->set.clock, dbops_clock_now());

	return Max(1, (turn->boundary - now - USECS_PER_DAY / 2) / 1000);
}

static void
validate(void *arg)
{
	Validation *validation = arg;
	PartitionTurn *turn = validation->turn;

	validation->done = dbops_partition_alter(turn->table, turn->owner, ShareUpdateExclusiveLock,
											 dbops_partition_turn_validate_sql(turn), &turn->why);
}
