/*
 * tick.c
 *		What the launcher does again and again besides starting schedulers.
 *
 * Areas register what is to be done and how often; the launcher runs what is
 * due and sleeps until the next. Each runs in a transaction of its own, so that
 * whatever an error leaves behind is released, and one that fails keeps none of
 * the others from running. The launcher has no database: a tick reads memory,
 * files and pg_database, and no other catalog. It runs on a standby as well.
 *
 * What all of them cost is counted in shared memory, under a lock held for a
 * moment. What a setting times, which is the heartbeat and a standby's watch of
 * it, does not count where nothing else is due: the mean is that of the rounds
 * that matter.
 */
#include "core/core.h"

#include "access/xact.h"
#include "portability/instr_time.h"
#include "utils/memutils.h"

#define MAX_TICKS		16
#define LONGEST_NAP		60000L	/* ms */

static const DbopsTick *ticks[MAX_TICKS];
static TimestampTz due[MAX_TICKS];	/* real time; 0: at once */
static int	failures[MAX_TICKS];	/* one after the other */
static int	n_ticks = 0;

static DbopsTickCost *shared_cost = NULL;
static LWLock *shared_cost_lock = NULL;

static long interval_of(const DbopsTick *tick);
static bool is_due(int i, TimestampTz now);
static void run_tick(int i);
static void note_failure(int i, MemoryContext context);
static void count_cost(instr_time began);

/* Ask for the shared memory. */
void
dbops_tick_init(void)
{
	dbops_shared_request("dbops ticks", sizeof(DbopsTickCost), NULL,
						 (void **) &shared_cost, &shared_cost_lock);
}

/* Add one; called when the library is loaded. */
void
dbops_tick_register(const DbopsTick *tick)
{
	if (n_ticks == MAX_TICKS)
		elog(ERROR, "too many ticks");
	ticks[n_ticks++] = tick;
}

/* Run those that are due. Returns for how long none will be, in ms. */
long
dbops_tick_run(void)
{
	long		nap = LONGEST_NAP;
	bool		counts = false;
	instr_time	began;
	TimestampTz now = GetCurrentTimestamp();

	INSTR_TIME_SET_CURRENT(began);
	for (int i = 0; i < n_ticks; i++)
	{
		if (!is_due(i, now))
			continue;
		due[i] = TimestampTzPlusMilliseconds(now, interval_of(ticks[i]));
		run_tick(i);
		counts |= (ticks[i]->every_setting == NULL);
	}
	if (counts)
		count_cost(began);

	now = GetCurrentTimestamp();
	for (int i = 0; i < n_ticks; i++)
		if (interval_of(ticks[i]) > 0)
			nap = Min(nap, TimestampDifferenceMilliseconds(now, due[i]));
	return nap;
}

/* Read what all ticks have cost since the server was started. */
void
dbops_tick_cost(DbopsTickCost *cost)
{
	*cost = (DbopsTickCost) {0};
	if (shared_cost == NULL)
		return;
	LWLockAcquire(shared_cost_lock, LW_SHARED);
	*cost = *shared_cost;
	LWLockRelease(shared_cost_lock);
}

static long
interval_of(const DbopsTick *tick)
{
	return (tick->every_setting != NULL) ? *tick->every_setting : tick->every;
}

/* A clock that was set back, or a shorter interval, makes it due at once. */
static bool
is_due(int i, TimestampTz now)
{
	long		every = interval_of(ticks[i]);

	return every > 0 &&
		(due[i] <= now || due[i] > TimestampTzPlusMilliseconds(now, every));
}

static void
run_tick(int i)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		SetCurrentStatementStartTimestamp();
		StartTransactionCommand();
		ticks[i]->run(NULL);
		CommitTransactionCommand();
		failures[i] = 0;
	}
	PG_CATCH();
	{
		note_failure(i, context);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
}

/* Tell of the first failure, and ever more rarely of those that follow it. */
static void
note_failure(int i, MemoryContext context)
{
	ErrorData  *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	AbortOutOfAnyTransaction();
	failures[i]++;
	if ((failures[i] & (failures[i] - 1)) == 0)
		ereport(LOG,
				(errcode(error->sqlerrcode),
				 errmsg("dbops could not do its \"%s\": %s", ticks[i]->name, error->message),
				 errdetail_plural("It has failed %d time in a row.",
								  "It has failed %d times in a row.", failures[i], failures[i])));
	FreeErrorData(error);
	if (shared_cost == NULL)
		return;
	LWLockAcquire(shared_cost_lock, LW_EXCLUSIVE);
	shared_cost->failures++;
	LWLockRelease(shared_cost_lock);
}

static void
count_cost(instr_time began)
{
	instr_time	took;
	double		ms;

	INSTR_TIME_SET_CURRENT(took);
	INSTR_TIME_SUBTRACT(took, began);
	ms = INSTR_TIME_GET_MILLISEC(took);
	if (shared_cost == NULL)
		return;
	LWLockAcquire(shared_cost_lock, LW_EXCLUSIVE);
	shared_cost->ms += ms;
	shared_cost->rounds++;
	if (ms > DBOPS_TICK_BUDGET)
		shared_cost->overruns++;
	LWLockRelease(shared_cost_lock);
}
