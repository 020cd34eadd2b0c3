/*
 * partition_grid.c
 *		Where partitions begin: an interval, counted from one that is there.
 *
 * Months and days are counted on a clock, so that a partition begins at
 * midnight in summer and in winter; hours are counted in time that passes.
 * Which clock the partitions follow that are there is seen from where the newest
 * begin, before anything is counted: that of the policy's zone or, where a server
 * in UTC has made them, that of UTC, whichever shows midnight there. By their
 * length alone months of one clock now and then fit the other one.
 *
 * Where clocks go forward at midnight a day begins at one o'clock, so that a
 * bound is taken for the midnight that it stands for: for the day it begins.
 *
 * Bounds are counted from one anchor and not each from the last, so that a
 * month that is too short for a day does not shift all that follow.
 */
#include "maintain/partition.h"

#include "catalog/pg_type.h"
#include "datatype/timestamp.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#define LEAST_TIME		(60 * USECS_PER_SEC)
#define WEEK			7		/* days */
#define SHORTEST_MONTH	28		/* days */

/* How many of the newest partitions are looked at to find the interval, in this order. */
static const int looked_at[] = {12, 3, 1};

static void refuse_every(const Interval *every, const char *why);
static char *interval_text(const Interval *interval);
static bool divides(int64 part, int64 whole);
static void choose_zone(PartitionSet *set);
static bool follow(PartitionSet *set, const List *partitions);
static bool are_midnights(const PartitionSet *set, const List *partitions);
static bool infer_of(const PartitionSet *set, const List *partitions, Interval *every);
static List *newest_of(const PartitionSet *set, int count);
static int64 months_between(Timestamp lower, Timestamp upper);
static bool is_every(const PartitionSet *set, const List *partitions, const Interval *every);
static bool fits(const PartitionSet *set, const Partition *partition, const Interval *every);
static Timestamp bound_of(const PartitionSet *set, int64 position);
static bool is_finite(const Partition *partition);
static bool is_time_only(const Interval *every);
static Timestamp default_anchor(const Interval *every);
static Timestamp add(Timestamp from, const Interval *every, int64 times);
static bool anchor(PartitionGrid *grid, const PartitionSet *set, bool aligned);
static bool is_anchor(const PartitionGrid *grid, const PartitionSet *set, bool aligned);
static int	day_of(Timestamp local);
static void require_aligned(const PartitionGrid *grid, const PartitionSet *set);
static int64 nth(const PartitionGrid *grid, int64 n);
static int64 index_of(const PartitionGrid *grid, int64 position);
static int64 length_of(const Interval *every);

/* ---- the interval ---- */

/* Refuse an interval that partitions cannot have; whole days of hours become days. */
void
dbops_partition_check_every(Interval *every, Oid type)
{
	if (every->time != 0 && every->time % USECS_PER_DAY == 0 && every->day == 0 && every->month == 0)
	{
		every->day = every->time / USECS_PER_DAY;
		every->time = 0;
	}
	if (every->month < 0 || every->day < 0 || every->time < 0 || length_of(every) <= 0)
		refuse_every(every, "It must be longer than zero.");
	if ((every->month != 0) + (every->day != 0) + (every->time != 0) > 1)
		refuse_every(every, "It must be of months, of days or of hours and minutes alone.");
	if (every->month != 0 && !divides(every->month, MONTHS_PER_YEAR))
		refuse_every(every, "It does not divide a year.");
	if (every->time != 0 && type == DATEOID)
		refuse_every(every, "The key is a date, which knows no hours.");
	if (every->time != 0 && (every->time < LEAST_TIME || USECS_PER_DAY % every->time != 0))
		refuse_every(every, "It does not divide a day, or is shorter than a minute.");
}

static void
refuse_every(const Interval *every, const char *why)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("partitions cannot be made for every \"%s\"", interval_text(every)),
			 errdetail("%s", why),
			 errhint("Give an interval such as 1 hour, 1 day, 7 days, 1 month, 3 months or 1 year.")));
}

static char *
interval_text(const Interval *interval)
{
	return DatumGetCString(DirectFunctionCall1(interval_out, IntervalPGetDatum(unconstify(Interval *, interval))));
}

/* Does one divide the other, or the other way round? */
static bool
divides(int64 part, int64 whole)
{
	return whole % part == 0 || part % whole == 0;
}

/* Find the interval of the partitions that are there, and set the zone that they follow. */
bool
dbops_partition_infer(PartitionSet *set, Interval *every)
{
	choose_zone(set);
	for (int i = 0; i < lengthof(looked_at); i++)
	{
		List	   *partitions = newest_of(set, looked_at[i]);

		if (partitions == NIL)
			break;
		if (infer_of(set, partitions, every))
			return true;
	}
	return false;
}

/* Take the clock of the newest partitions, of fewer where more do not agree; else the policy's. */
static void
choose_zone(PartitionSet *set)
{
	for (int i = 0; i < lengthof(looked_at); i++)
		if (follow(set, newest_of(set, looked_at[i])))
			return;
	set->clock.grid_zone = set->clock.zone;
}

/* Follow UTC where partitions begin at midnights of UTC, and not of the policy's zone; false: at those of neither. */
static bool
follow(PartitionSet *set, const List *partitions)
{
	set->clock.grid_zone = set->clock.zone;
	if (are_midnights(set, partitions))
		return true;
	set->clock.grid_zone = pg_tzset("UTC");
	return are_midnights(set, partitions);
}

static bool
are_midnights(const PartitionSet *set, const List *partitions)
{
	ListCell   *cell;

	foreach(cell, partitions)
		if (bound_of(set, ((Partition *) lfirst(cell))->lower) % USECS_PER_DAY != 0)
			return false;
	return true;
}

static bool
infer_of(const PartitionSet *set, const List *partitions, Interval *every)
{
	const Partition *last = llast(partitions);
	Timestamp	lower = bound_of(set, last->lower);
	Timestamp	upper = bound_of(set, last->upper);
	Interval	tried[3] = {{0}};

	tried[0].month = months_between(lower, upper);
	if ((upper - lower) % USECS_PER_DAY == 0)
		tried[1].day = (upper - lower) / USECS_PER_DAY;
	else if ((last->upper - last->lower) < USECS_PER_DAY && USECS_PER_DAY % (last->upper - last->lower) == 0)
		tried[2].time = last->upper - last->lower;
	if (tried[0].month != 0 && !divides(tried[0].month, MONTHS_PER_YEAR))
		tried[0].month = 0;
	for (int i = 0; i < lengthof(tried); i++)
		if (length_of(&tried[i]) > 0 && is_every(set, partitions, &tried[i]))
		{
			*every = tried[i];
			return true;
		}
	return false;
}

/* The newest with two bounds, the oldest of them first. */
static List *
newest_of(const PartitionSet *set, int count)
{
	List	   *newest = NIL;
	int			i;

	for (i = list_length(set->partitions) - 1; i >= 0 && list_length(newest) < count; i--)
		if (is_finite(list_nth(set->partitions, i)))
			newest = lcons(list_nth(set->partitions, i), newest);
	return newest;
}

static int64
months_between(Timestamp lower, Timestamp upper)
{
	struct pg_tm from;
	struct pg_tm to;
	fsec_t		fraction;

	if (timestamp2tm(lower, NULL, &from, &fraction, NULL, NULL) != 0 ||
		timestamp2tm(upper, NULL, &to, &fraction, NULL, NULL) != 0)
		return 0;
	return (int64) (to.tm_year - from.tm_year) * MONTHS_PER_YEAR + to.tm_mon - from.tm_mon;
}

static bool
is_every(const PartitionSet *set, const List *partitions, const Interval *every)
{
	ListCell   *cell;

	foreach(cell, partitions)
		if (!fits(set, lfirst(cell), every))
			return false;
	return true;
}

static bool
fits(const PartitionSet *set, const Partition *partition, const Interval *every)
{
	if (is_time_only(every))
		return partition->upper - partition->lower == every->time;
	return add(bound_of(set, partition->lower), every, 1) == bound_of(set, partition->upper);
}

/* What the grid's clock shows at a bound, or would show if it did not leave that midnight out. */
static Timestamp
bound_of(const PartitionSet *set, int64 position)
{
	Timestamp	local = dbops_partition_local(&set->clock, position);
	Timestamp	midnight = local - ((local % USECS_PER_DAY) + USECS_PER_DAY) % USECS_PER_DAY;

	return (dbops_partition_from_local(&set->clock, midnight) == position) ? midnight : local;
}

static bool
is_finite(const Partition *partition)
{
	return partition->lower != PARTITION_BEGINNING && partition->upper != PARTITION_END;
}

static bool
is_time_only(const Interval *every)
{
	return every->time != 0;
}

/* ---- the grid ---- */

/* Count an interval from where the partitions that are there begin; refuse one that does not fit them. */
PartitionGrid
dbops_partition_grid(PartitionSet *set, const Interval *every)
{
	PartitionGrid grid = {.clock = &set->clock,.every = *every,.anchor = default_anchor(every)};

	if (is_time_only(every))
		set->clock.grid_zone = pg_tzset("UTC");
	else
		choose_zone(set);
	if (!anchor(&grid, set, true) && !anchor(&grid, set, false))
		require_aligned(&grid, set);
	return grid;
}

/* Anchor it at the newest partition that is as long as the interval, on the set's clock, and from which it counts to what follows. */
static bool
anchor(PartitionGrid *grid, const PartitionSet *set, bool aligned)
{
	Timestamp	none = grid->anchor;

	for (int i = list_length(set->partitions) - 1; i >= 0; i--)
	{
		Partition  *partition = list_nth(set->partitions, i);

		if (!is_finite(partition) || !fits(set, partition, &grid->every))
			continue;
		grid->anchor = bound_of(set, partition->lower);
		if (is_anchor(grid, set, aligned))
			return true;
	}
	grid->anchor = none;
	return false;
}

/*
 * aligned: the last one has to end where one of the grid's begins. Else it may
 * end elsewhere, but then a length that fits by chance must not be taken: that
 * of a month of another clock, from the end of a month or not from midnight.
 */
static bool
is_anchor(const PartitionGrid *grid, const PartitionSet *set, bool aligned)
{
	const Partition *last = llast(set->partitions);

	if (aligned)
		return last->upper == PARTITION_END || dbops_partition_begin_of(grid, last->upper) == last->upper;
	if (is_time_only(&grid->every))
		return true;
	return (grid->anchor % USECS_PER_DAY == 0 || !are_midnights(set, newest_of(set, 1))) &&
		(grid->every.month == 0 || day_of(grid->anchor) <= SHORTEST_MONTH);
}

static int
day_of(Timestamp local)
{
	struct pg_tm tm;
	fsec_t		fraction;

	return (timestamp2tm(local, NULL, &tm, &fraction, NULL, NULL) == 0) ? tm.tm_mday : 0;
}

/* Where none is as long, the last must at least end where one of the interval's begins. */
static void
require_aligned(const PartitionGrid *grid, const PartitionSet *set)
{
	Partition  *last = (set->partitions == NIL) ? NULL : llast(set->partitions);

	if (last == NULL || last->upper == PARTITION_END ||
		dbops_partition_begin_of(grid, last->upper) == last->upper)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("partitions for every \"%s\" do not fit those of table %s", interval_text(&grid->every), set->name),
			 errdetail("The last one, %s, ends at %s, where none of that length begins.",
					   last->name, dbops_partition_literal(&set->clock, last->upper)),
			 errhint("Leave every out to go on as they are, or make one by hand that ends where the new ones are to begin.")));
}

/* Where counting begins in a set without partitions: January, Monday, midnight. */
static Timestamp
default_anchor(const Interval *every)
{
	int64		day = (every->day != 0 && every->day % WEEK == 0) ? 2 : 0;	/* 2000-01-03 was a Monday */

	return day * USECS_PER_DAY;
}

/* Where the first one begins behind a position. */
int64
dbops_partition_next(const PartitionGrid *grid, int64 position)
{
	int64		n = index_of(grid, position) + 1;
	int64		next = nth(grid, n);

	while (next <= position)	/* two may begin at once where a clock leaves them out */
		next = nth(grid, ++n);
	return next;
}

/* Where the one begins that a position is in. */
int64
dbops_partition_begin_of(const PartitionGrid *grid, int64 position)
{
	return nth(grid, index_of(grid, position));
}

static int64
nth(const PartitionGrid *grid, int64 n)
{
	return dbops_partition_from_local(grid->clock, add(grid->anchor, &grid->every, n));
}

/* The number of the last one that begins at or before a position. */
static int64
index_of(const PartitionGrid *grid, int64 position)
{
	int64		anchor = dbops_partition_from_local(grid->clock, grid->anchor);
	int64		n = (position - anchor) / length_of(&grid->every);

	while (nth(grid, n) > position)
		n--;
	while (nth(grid, n + 1) <= position)
		n++;
	return n;
}

static Timestamp
add(Timestamp from, const Interval *every, int64 times)
{
	Interval	distance = {
		.month = every->month * times,
		.day = every->day * times,
		.time = every->time * times
	};

	return DatumGetTimestamp(DirectFunctionCall2(timestamp_pl_interval, TimestampGetDatum(from), IntervalPGetDatum(&distance)));
}

/* About how long it is, in microseconds. */
static int64
length_of(const Interval *every)
{
	return every->time + (every->day + (int64) every->month * DAYS_PER_MONTH) * USECS_PER_DAY;
}
