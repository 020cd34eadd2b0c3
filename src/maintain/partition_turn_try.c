/*
 * partition_turn_try.c
 *		The steps on the way, each tried until it is done, and what is left of
 *		one that fails.
 *
 * Whatever ends the call takes the constraint away in a transaction of its own,
 * since that refuses rows of times to come. Where the server has died, or the
 * session was terminated, it stays; the next call removes it before all else.
 */
#include "maintain/partition_turn.h"

#include "utils/timestamp.h"

#define REMOVAL_WAIT	10000	/* ms of tries when the call has failed */

/* An attempt on its way. */
typedef struct Attempt
{
	PartitionTurn *turn;
	PartitionTurnStep step;		/* false: a lock was not to be had */
	TimestampTz waits_since;
	bool		done;
} Attempt;

static void guard(PartitionTurn *turn, DbopsCallback callback, Attempt *attempt);
static void attempt_once(void *arg);
static void wait_once(void *arg);
static void take_proof_away(PartitionTurn *turn);

/* Make one attempt after the other, with nothing locked in between but the session's lock. */
void
dbops_partition_turn_try(PartitionTurn *turn, PartitionTurnStep step)
{
	Attempt		attempt = {.turn = turn,.step = step};

	for (;;)
	{
		guard(turn, attempt_once, &attempt);
		dbops_procedure_commit();
		if (attempt.done)
			return;
		guard(turn, wait_once, &attempt);
	}
}

/* Make them where an error leaves nothing behind that would have to be taken away. */
void
dbops_partition_turn_repeat(PartitionTurn *turn, bool (*step) (void *arg), void *arg)
{
	Attempt		attempt = {.turn = turn};

	for (;;)
	{
		attempt.done = step(arg);
		dbops_procedure_commit();
		if (attempt.done)
			return;
		wait_once(&attempt);
	}
}

/* Call back; when that fails or is cancelled, take the constraint away first. */
static void
guard(PartitionTurn *turn, DbopsCallback callback, Attempt *attempt)
{
	ErrorData  *error;

	if (dbops_attempt_until_cancelled(callback, attempt, &error))
		return;
	dbops_procedure_commit();
	take_proof_away(turn);
	ReThrowError(error);
}

static void
attempt_once(void *arg)
{
	Attempt    *attempt = arg;

	attempt->done = attempt->step(attempt->turn);
}

static void
wait_once(void *arg)
{
	Attempt    *attempt = arg;
	DbopsStep	step = {0};

	if (dbops_partition_waited_long(&attempt->waits_since))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("table %s could not be locked: waited %s", attempt->turn->name, attempt->turn->why),
				 errhint("CALL again when the other session has ended.")));
	dbops_partition_wait(&step, attempt->turn->why);
	dbops_clock_pause(step.pause);
}

/* In transactions of its own; if that is not to be had, say how it is done. */
static void
take_proof_away(PartitionTurn *turn)
{
	Attempt		attempt = {.turn = turn,.step = dbops_partition_turn_remove_proof};
	TimestampTz began = GetCurrentTimestamp();
	ErrorData  *error;

	for (;;)
	{
		bool		failed = !dbops_attempt_until_cancelled(attempt_once, &attempt, &error);

		dbops_procedure_commit();
		if (attempt.done)
			return;
		if (failed || TimestampDifferenceExceeds(began, GetCurrentTimestamp(), REMOVAL_WAIT) ||
			!dbops_attempt_until_cancelled(wait_once, &attempt, &error))
			break;
	}
	ereport(WARNING,
			(errmsg("constraint " PARTITION_TABLE_PROOF " is left on table %s and refuses rows from %s on",
					turn->name, dbops_partition_literal(&turn->set.clock, turn->boundary)),
			 errhint("ALTER TABLE %s DROP CONSTRAINT " PARTITION_TABLE_PROOF ", or CALL dbops.partition_table again.", turn->name)));
}
