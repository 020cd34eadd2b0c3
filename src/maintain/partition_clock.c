/*
 * partition_clock.c
 *		Times as values of a partition key, and back.
 *
 * A position is microseconds on the axis of the key; see partition.h. An
 * infinite value is the position of no bound at all, since nothing can be
 * beyond it.
 */
#include "maintain/partition.h"

#include "catalog/pg_type.h"
#include "common/int.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/lsyscache.h"

/* From 1970 to 2000, where PostgreSQL counts from. */
#define EPOCH_SHIFT		((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

/* Values of an epoch, between 1973 and the year 5000 or so in each unit. */
#define LEAST_EPOCH		INT64CONST(100000000)
#define MOST_SECONDS	INT64CONST(100000000000)

typedef struct EpochUnit
{
	const char *name;
	int64		in_second;
} EpochUnit;

static const EpochUnit units[] = {
	{"s", 1},
	{"ms", 1000},
	{"us", 1000000},
	{"ns", 1000000000}
};

typedef int64 (*ZoneConversion) (struct pg_tz *zone, int64 seconds);

static bool has_zone(const PartitionClock *clock);
static bool is_infinite(int64 position);
static int64 of_epoch(const PartitionClock *clock, int64 value);
static int64 to_epoch(const PartitionClock *clock, int64 position);
static Datum integer_datum(Oid type, int64 value);
static int64 floor_seconds(int64 us, int64 *rest);
static int64 local_in(struct pg_tz *zone, TimestampTz at);
static TimestampTz at_in(struct pg_tz *zone, int64 local);
static int64 convert(ZoneConversion of_zone, struct pg_tz *zone, int64 position);
static char *write_time(int64 position, const char *format);

/* ---- units of an integer epoch ---- */

/* Take the unit's name, or refuse. */
int64
dbops_epoch_unit(const char *name)
{
	for (int i = 0; i < lengthof(units); i++)
		if (strcmp(name, units[i].name) == 0)
			return units[i].in_second;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("epoch_unit cannot be \"%s\"", name),
			 errhint("Give one of: s, ms, us, ns.")));
}

/* Which unit a value is in, as it looks; 0: it does not look like a time. */
int64
dbops_epoch_unit_of(int64 value)
{
	int64		most = MOST_SECONDS;

	if (value < LEAST_EPOCH)
		return 0;
	for (int i = 0; i < lengthof(units) - 1; i++, most *= 1000)
		if (value < most)
			return units[i].in_second;
	return units[lengthof(units) - 1].in_second;
}

const char *
dbops_epoch_unit_name(int64 unit)
{
	for (int i = 0; i < lengthof(units); i++)
		if (unit == units[i].in_second)
			return units[i].name;
	return NULL;
}

/* ---- values and positions ---- */

/* Can a column of this type say when? */
bool
dbops_partition_type_is_time(Oid type)
{
	return type == TIMESTAMPTZOID || type == TIMESTAMPOID || type == DATEOID ||
		type == INT4OID || type == INT8OID;
}

/* Where a value of the key is. */
int64
dbops_partition_position(const PartitionClock *clock, Datum value)
{
	switch (clock->type)
	{
		case DATEOID:
			if (DATE_NOT_FINITE(DatumGetDateADT(value)))
				return DATE_IS_NOBEGIN(DatumGetDateADT(value)) ? PARTITION_BEGINNING : PARTITION_END;
			return DatumGetDateADT(value) * USECS_PER_DAY;
		case INT4OID:
			return of_epoch(clock, DatumGetInt32(value));
		case INT8OID:
			return of_epoch(clock, DatumGetInt64(value));
		default:
			return DatumGetTimestamp(value);
	}
}

/* The value of the key at a position, which must be finite. */
Datum
dbops_partition_value(const PartitionClock *clock, int64 position)
{
	Assert(!is_infinite(position));
	switch (clock->type)
	{
		case DATEOID:
			{
				int64		rest;

				return DateADTGetDatum(floor_seconds(position, &rest) / SECS_PER_DAY);
			}
		case INT4OID:
		case INT8OID:
			return integer_datum(clock->type, to_epoch(clock, position));
		default:
			return TimestampGetDatum(position);
	}
}

static int64
of_epoch(const PartitionClock *clock, int64 value)
{
	int64		us;

	if (clock->unit > USECS_PER_SEC)
		return value / (clock->unit / USECS_PER_SEC) - EPOCH_SHIFT;
	if (pg_mul_s64_overflow(value, USECS_PER_SEC / clock->unit, &us) ||
		pg_sub_s64_overflow(us, EPOCH_SHIFT, &us))
		return value < 0 ? PARTITION_BEGINNING : PARTITION_END;
	return us;
}

/* Rounded up: the first value that is not before the position. */
static int64
to_epoch(const PartitionClock *clock, int64 position)
{
	int64		us = position + EPOCH_SHIFT;
	int64		divisor;

	if (clock->unit > USECS_PER_SEC)
		return pg_mul_s64_overflow(us, clock->unit / USECS_PER_SEC, &us) ? (position < 0 ? PG_INT64_MIN : PG_INT64_MAX) : us;
	divisor = USECS_PER_SEC / clock->unit;
	return us / divisor + (us > 0 && us % divisor != 0 ? 1 : 0);
}

static Datum
integer_datum(Oid type, int64 value)
{
	if (type == INT8OID)
		return Int64GetDatum(value);
	if (value < PG_INT32_MIN || value > PG_INT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("an integer cannot hold " INT64_FORMAT " seconds since 1970", value),
				 errhint("Make the column a bigint before 2038.")));
	return Int32GetDatum((int32) value);
}

/* ---- times and positions ---- */

/* Where a time is on the axis. */
int64
dbops_partition_position_at(const PartitionClock *clock, TimestampTz at)
{
	return has_zone(clock) ? at : local_in(clock->zone, at);
}

/* When the policy's clock reaches a position. */
TimestampTz
dbops_partition_at(const PartitionClock *clock, int64 position)
{
	if (is_infinite(position) || has_zone(clock))
		return position;
	return at_in(clock->zone, position);
}

/* What the grid's clock shows at a position. */
Timestamp
dbops_partition_local(const PartitionClock *clock, int64 position)
{
	return has_zone(clock) ? local_in(clock->grid_zone, position) : position;
}

int64
dbops_partition_from_local(const PartitionClock *clock, Timestamp local)
{
	return has_zone(clock) ? at_in(clock->grid_zone, local) : local;
}

/* What is before this position is older than it may be; whole units of the key. */
int64
dbops_partition_cutoff(const PartitionClock *clock, TimestampTz now, const Interval *keep)
{
	Timestamp	local = local_in(clock->zone, now);
	Timestamp	then = DatumGetTimestamp(DirectFunctionCall2(timestamp_mi_interval, TimestampGetDatum(local),
															 IntervalPGetDatum(unconstify(Interval *, keep))));

	return has_zone(clock) ? at_in(clock->zone, then) : then;
}

/* Does a value of the key say when, wherever one is? */
static bool
has_zone(const PartitionClock *clock)
{
	return clock->type != TIMESTAMPOID && clock->type != DATEOID;
}

static bool
is_infinite(int64 position)
{
	return position == PARTITION_BEGINNING || position == PARTITION_END;
}

/* Whole seconds, and the microseconds beyond. */
static int64
floor_seconds(int64 us, int64 *rest)
{
	int64		seconds = us / USECS_PER_SEC;

	*rest = us % USECS_PER_SEC;
	if (*rest < 0)
	{
		*rest += USECS_PER_SEC;
		seconds--;
	}
	return seconds;
}

static int64
local_in(struct pg_tz *zone, TimestampTz at)
{
	return convert(dbops_zone_local_at, zone, at);
}

static TimestampTz
at_in(struct pg_tz *zone, int64 local)
{
	return convert(dbops_zone_time_of, zone, local);
}

/* Convert whole seconds since 1970, as zones count. */
static int64
convert(ZoneConversion of_zone, struct pg_tz *zone, int64 position)
{
	int64		rest;
	int64		seconds = floor_seconds(position + EPOCH_SHIFT, &rest);

	return of_zone(zone, seconds) * USECS_PER_SEC + rest - EPOCH_SHIFT;
}

/* ---- as SQL ---- */

/* The value at a position as a bound is written, the same whatever the session is set to. */
char *
dbops_partition_literal(const PartitionClock *clock, int64 position)
{
	const char *format = (position % USECS_PER_SEC == 0) ? "YYYY-MM-DD HH24:MI:SS" : "YYYY-MM-DD HH24:MI:SS.US";

	if (position == PARTITION_BEGINNING)
		return pstrdup("MINVALUE");
	if (position == PARTITION_END)
		return pstrdup("MAXVALUE");
	switch (clock->type)
	{
		case TIMESTAMPTZOID:
			return quote_literal_cstr(psprintf("%s+00", write_time(position, format)));
		case TIMESTAMPOID:
			return quote_literal_cstr(write_time(position, format));
		case DATEOID:
			return quote_literal_cstr(write_time(position, "YYYY-MM-DD"));
		case INT4OID:			/* which cannot say what is before 1901 */
			return psprintf("'" INT64_FORMAT "'", Max(to_epoch(clock, position), PG_INT32_MIN));
		default:
			return psprintf("'" INT64_FORMAT "'", to_epoch(clock, position));
	}
}

static char *
write_time(int64 position, const char *format)
{
	return TextDatumGetCString(DirectFunctionCall2(timestamp_to_char, TimestampGetDatum(position), CStringGetTextDatum(format)));
}
