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
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/timeout.h"

static bool is_there(const PartitionTurn *turn);
static void arm(const PartitionTurn *turn);
static void give_up(void);

static TimeoutId overtaken = MAX_TIMEOUTS;	/* until it is registered */

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

/* Have it validated while everybody works, as long as rows of the boundary are not due. */
bool
dbops_partition_turn_validate_proof(PartitionTurn *turn)
{
	volatile bool done = false;

	arm(turn);
	PG_TRY();
	{
		done = dbops_partition_alter(turn->table, turn->owner, ShareUpdateExclusiveLock,
									 dbops_partition_turn_validate_sql(turn), &turn->why);
		disable_timeout(overtaken, false);
	}
	PG_CATCH();
	{
		disable_timeout(overtaken, true);
		if (get_timeout_indicator(overtaken, true))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("all rows of table %s could not be read before those of %s are due",
							turn->name, dbops_partition_literal(&turn->set.clock, turn->boundary)),
					 errhint("CALL again at a quieter time.")));
		PG_RE_THROW();
	}
	PG_END_TRY();
	return done;
}

/* Cancel it half a day before the boundary. */
static void
arm(const PartitionTurn *turn)
{
	int64		now = dbops_partition_position_at(&turn->set.clock, dbops_clock_now());
	int64		left = (turn->boundary - now - USECS_PER_DAY / 2) / 1000;

	if (overtaken == MAX_TIMEOUTS)
		overtaken = RegisterTimeout(USER_TIMEOUT, give_up);
	enable_timeout_after(overtaken, (int) Max(1, Min(left, PG_INT32_MAX)));
}

/* As a user would; runs in the handler of a signal. */
static void
give_up(void)
{
	InterruptPending = true;
	QueryCancelPending = true;
	SetLatch(MyLatch);
}
