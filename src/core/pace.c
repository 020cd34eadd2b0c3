/*
 * pace.c
 *		How many blocks the next batch has, and how long to wait before it. In
 *		a walk by key, what is said of blocks here is meant of rows.
 *
 * A batch may take a certain time, since nobody who wants one of its rows
 * waits longer than that. How many blocks that is follows from what blocks
 * have taken, smoothed; a batch grows by at most half of the one before, so
 * that a wrong guess costs little. A batch that takes twice as long is cut off,
 * which tells at least how long its blocks take; where that is one block, it is
 * done by some of its line pointers at a time.
 *
 * When a batch has done harm (others waited for it, it met a lock, it took part
 * in a deadlock) the next one has half the size. From there on the size grows
 * by small steps of equal length, which is the rule that a network's congestion
 * control has: additive increase and multiplicative decrease are what settles
 * (Chiu and Jain, 1989); without it a size would double back to where it does
 * harm at once. Batches so short that nobody would notice a shorter one are
 * not made shorter, or the work per batch would eat up the speed.
 *
 * Who commits waits until all WAL before his is written, ours too. While others
 * are seen that wait for that, batches are so short that little of ours lies
 * before theirs, and all workers together work a third of the time. At full
 * speed the slowest of a hundred commits takes three times as long as without a
 * backfill, and so less than twice as long (measured with as many clients as the
 * disk can serve).
 *
 * A budget of WAL is a bucket that fills evenly and is emptied by what this
 * process has written since the last look, with full pages, commits and
 * vacuums. Nothing here waits or looks at the clock by itself.
 */
#include "core/batch.h"

#include <math.h>

#include "core/server.h"
#include "executor/instrument.h"
#include "storage/proc.h"

/* The weight of the newest batch in what blocks take. */
#define NEWEST 0.4

/* A batch is at most so many times as large as the one before. */
#define GROWTH 1.5

/* After harm a batch grows by this share of its upper bound. */
#define STEP (1.0 / 32)

/* A batch is cut off after so many times the target, and the next is so many times smaller. */
#define CUT_OFF 2
#define CUT_TO 4

/* ms of a batch that nobody would notice, and its share of the target. */
#define SHORT_TIME 20.0
#define SHORT_SHARE 0.2

/*
 * While others wait to commit: ms of a batch, the share of the time in which all
 * workers together work, which is one in so many, and bytes a ms from which on a
 * batch has a part in their waiting.
 */
#define YIELD_BATCH 2.0
#define YIELD_SHARE 3
#define YIELD_FROM 1000.0

/* s that the WAL of one batch may stand for, and that a rest can be saved up for. */
#define WAL_BATCH 1.0
#define WAL_SAVED 0.1

static double smooth(double before, double now);
static double time_limit(const DbopsPace *pace, const DbopsPaceLimits *limits,
						 const DbopsBatch *batch);
static bool yields(const DbopsPaceLimits *limits, const DbopsBatch *batch);
static double wal_limit(const DbopsPace *pace, const DbopsPaceLimits *limits);
static long rest_of_yielding(const DbopsPace *pace, const DbopsPaceLimits *limits,
							 const DbopsBatch *batch);
static void grow(DbopsPace *pace, double limit);
static int	target(const DbopsPaceLimits *limits);
static double budget(const DbopsPace *pace, const DbopsPaceLimits *limits);
static double seconds_since(instr_time *last);

/* Begin with a table. What its rows take is not known; the budget goes on. */
void
dbops_pace_begin(DbopsPace *pace, BlockNumber first)
{
	pace->size = Max(first, 1);
	pace->careful_from = HUGE_VAL;
	pace->ms_per_block = 0;
	pace->wal_per_block = 0;
}

/* The blocks of the next batch, at least 1. */
BlockNumber
dbops_pace_size(const DbopsPace *pace)
{
	return (BlockNumber) Max(pace->size, 1);
}

/*
 * Find the size of the next batch from a batch of so many blocks. most: blocks
 * that hold no more rows than asked for. What rows take says nothing about
 * blocks without any; those behind them are cut off if need be.
 */
void
dbops_pace_follow(DbopsPace *pace, const DbopsPaceLimits *limits,
				  BlockNumber blocks, double most, const DbopsBatch *batch)
{
	if (batch->rows > 0 && batch->ms > 0)
	{
		pace->ms_per_block = smooth(pace->ms_per_block, batch->ms / blocks);
		pace->wal_per_block = smooth(pace->wal_per_block, (double) batch->wal / blocks);
	}
	if (batch->waited_for)
		dbops_pace_harm(pace, limits);
	else if (batch->rows == 0)
		grow(pace, most);
	else
		grow(pace, Min(most, Min(time_limit(pace, limits, batch), wal_limit(pace, limits))));
}

static double
smooth(double before, double now)
{
	return (before == 0) ? now : before + NEWEST * (now - before);
}

/* The blocks that take the time that a batch may take. */
static double
time_limit(const DbopsPace *pace, const DbopsPaceLimits *limits, const DbopsBatch *batch)
{
	double		time = target(limits);

	if (yields(limits, batch))
		time = Min(time, YIELD_BATCH);
	return (pace->ms_per_block > 0) ? time / pace->ms_per_block : HUGE_VAL;
}

/* Is it to leave time to others, who wait for WAL of which this batch wrote a part worth speaking of? */
static bool
yields(const DbopsPaceLimits *limits, const DbopsBatch *batch)
{
	return limits->yield && batch->delays_commits && batch->wal > batch->ms * YIELD_FROM;
}

/* The blocks that do not use up the budget for longer than WAL_BATCH. */
static double
wal_limit(const DbopsPace *pace, const DbopsPaceLimits *limits)
{
	if (limits->max_wal == 0 || pace->wal_per_block == 0)
		return HUGE_VAL;
	return budget(pace, limits) * WAL_BATCH / pace->wal_per_block;
}

/*
 * Grow towards the limit, in large steps up to where harm was done and in small
 * ones from there; or shrink to it.
 */
static void
grow(DbopsPace *pace, double limit)
{
	double		steep = pace->size * GROWTH;
	double		gentle = pace->size + Max(limit * STEP, 1);

	if (pace->size < pace->careful_from)
		steep = Min(steep, pace->careful_from);
	else
		steep = Min(Max(steep, pace->size + 1), gentle);
	pace->size = Max(Min(steep, limit), 1);
}

/* The last batch did harm: make the next one half as large, unless it is short already. */
void
dbops_pace_harm(DbopsPace *pace, const DbopsPaceLimits *limits)
{
	double		least = 1;

	if (pace->ms_per_block > 0)
		least = Max(Min(SHORT_TIME, target(limits) * SHORT_SHARE) / pace->ms_per_block, 1);
	pace->size = Max(pace->size / 2, Min(least, pace->size));
	pace->careful_from = pace->size;
}

/* A batch could not be done at its size: make it this small, whatever it costs. */
void
dbops_pace_cut(DbopsPace *pace, BlockNumber blocks)
{
	pace->size = Max(blocks, 1);
	pace->careful_from = pace->size;
}

/*
 * A batch took too long and was rolled back. What it would have taken is not
 * known, so the next one is much smaller; it grows fast up to half of this one.
 */
void
dbops_pace_too_long(DbopsPace *pace, BlockNumber blocks, const DbopsBatch *batch)
{
	pace->size = Max(blocks / CUT_TO, 1);
	pace->careful_from = Max(blocks / 2, 1);
	pace->ms_per_block = Max(pace->ms_per_block, batch->ms / blocks);
}

/* The ms that a batch may work before it is cut off. */
int
dbops_pace_most_ms(const DbopsPaceLimits *limits)
{
	return Max(CUT_OFF * target(limits), (int) SHORT_TIME);
}

/* The line pointers of the next batch within a block, from one that had so many and changed rows. */
int
dbops_pace_places(const DbopsPaceLimits *limits, int places, const DbopsBatch *batch)
{
	double		limit = places * target(limits) / Max(batch->ms, 1);

	return (int) Max(Min(limit, places * GROWTH + 1), 1);
}

/* A batch may have no more blocks than this. */
void
dbops_pace_bound(DbopsPace *pace, BlockNumber most)
{
	pace->size = Min(pace->size, most);
}

/* The ms that a batch may take, so that it ends before anybody looks for a deadlock. */
static int
target(const DbopsPaceLimits *limits)
{
	int			time = (limits->batch_time > 0) ? limits->batch_time : dbops_backfill_batch_time;

	return Max(Min(time, DeadlockTimeout * 9 / 10 - dbops_polite_lock_wait()), 1);
}

/* The share of this process, in bytes of WAL a second; 0: any. */
static double
budget(const DbopsPace *pace, const DbopsPaceLimits *limits)
{
	return (double) limits->max_wal / Max(pace->workers, 1);
}

/* After a batch: wait as the caller wishes, for others to commit, and as long as the budget of WAL asks for. */
void
dbops_pace_pause(DbopsPace *pace, const DbopsPaceLimits *limits,
						  DbopsStep *step, const DbopsBatch *batch)
{
	long		rest = rest_of_yielding(pace, limits, batch);
	uint64		written = dbops_pace_spend(pace, limits);
	double		wait = (pace->wal_saved < 0) ? ceil(-pace->wal_saved / budget(pace, limits) * 1000) : 0;

	step->pause = (batch->rows > 0) ? limits->pause : 0;
	if (rest > step->pause)
	{
		step->pause = rest;
		step->waiting = "so that other sessions, which wait for WAL to be flushed, can commit (dbops.backfill_yield)";
	}
	if (wait <= step->pause)
		return;
	step->pause = (long) wait;
	step->waiting = psprintf("for its budget of WAL, %ld ms: the last batch wrote %s, and %s a second are allowed%s",
							 step->pause, dbops_figure_bytes(written), dbops_figure_bytes(limits->max_wal),
							 pace->workers > 1 ? " to all workers" : "");
}

/* The ms to leave to those who wait to commit: what makes YIELD_SHARE of the time for all workers together. */
static long
rest_of_yielding(const DbopsPace *pace, const DbopsPaceLimits *limits,
				 const DbopsBatch *batch)
{
	if (!yields(limits, batch) || batch->rows == 0)
		return 0;
	return (long) ceil(batch->ms * (YIELD_SHARE * Max(pace->workers, 1) - 1));
}

/* Take the WAL that was written since the last look from the budget; returns its bytes. */
uint64
dbops_pace_spend(DbopsPace *pace, const DbopsPaceLimits *limits)
{
	uint64		before = pace->wal_written;
	double		passed = seconds_since(&pace->wal_looked);
	double		rate = budget(pace, limits);

	pace->wal_written = pgWalUsage.wal_bytes;
	pace->wal_saved = Min(pace->wal_saved + passed * rate, rate * WAL_SAVED);
	pace->wal_saved -= pace->wal_written - before;
	if (rate == 0 || passed == 0)
		pace->wal_saved = 0;
	return pace->wal_written - before;
}

/* The seconds since a time, which becomes now; 0 the first time. */
static double
seconds_since(instr_time *last)
{
	instr_time	now;
	instr_time	passed;

	INSTR_TIME_SET_CURRENT(now);
	passed = now;
	INSTR_TIME_SUBTRACT(passed, *last);
	if (INSTR_TIME_IS_ZERO(*last))
		INSTR_TIME_SET_ZERO(passed);
	*last = now;
	return INSTR_TIME_GET_DOUBLE(passed);
}
