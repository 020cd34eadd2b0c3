/*
 * zone.c
 *		The clock of a time zone, as stretches in which it runs evenly.
 *
 * Twice a year in many zones, and now and then in any, the clock jumps. What
 * is planned by local time walks over the stretches between two jumps; inside
 * one, local time is the time plus an offset. Times here are seconds since
 * 1970, local ones as if they were of UTC.
 */
#include "maintain/maintain.h"

#include "pgtime.h"
#include "utils/datetime.h"

static void measure(ZoneStretch *stretch);

/* Begin a walk over the stretches of a zone with the one that a time is in. */
void
dbops_zone_begin(ZoneStretch *stretch, pg_tz *zone, int64 at)
{
	stretch->zone = zone;
	stretch->begin = at;
	measure(stretch);
	stretch->before = stretch->offset;
}

/* Go on to the next stretch; false if the clock does not jump any more. */
bool
dbops_zone_advance(ZoneStretch *stretch)
{
	if (stretch->end == ZONE_NEVER)
		return false;
	stretch->before = stretch->offset;
	stretch->begin = stretch->end;
	measure(stretch);
	return true;
}

/* Find out how the clock runs from where the stretch begins, and until when. */
static void
measure(ZoneStretch *stretch)
{
	pg_time_t	begin = stretch->begin;
	pg_time_t	end;
	long		offset;
	long		next_offset;
	int			is_dst;
	int			next_is_dst;

	stretch->end = ZONE_NEVER;
	if (pg_next_dst_boundary(&begin, &offset, &is_dst, &end, &next_offset, &next_is_dst, stretch->zone) > 0)
		stretch->end = end;
	stretch->offset = offset;
}

/*
 * When the clock shows a local time: the first time where it does so twice,
 * and the moment of the jump where it leaves that time out.
 */
int64
dbops_zone_time_of(pg_tz *zone, int64 local)
{
	ZoneStretch stretch;

	dbops_zone_begin(&stretch, zone, local - ZONE_LONGEST_JUMP);
	while (local - stretch.offset >= stretch.end)
		dbops_zone_advance(&stretch);
	return Max(local - stretch.offset, stretch.begin);
}

/* What the clock shows at a time. */
int64
dbops_zone_local_at(pg_tz *zone, int64 at)
{
	ZoneStretch stretch;

	dbops_zone_begin(&stretch, zone, at);
	return at + stretch.offset;
}

/* Take a zone by its name, or refuse. */
pg_tz *
dbops_zone_require(const char *name)
{
	pg_tz	   *zone = pg_tzset(name);

	if (zone == NULL || !pg_tz_acceptable(zone))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there is no time zone \"%s\"", name),
				 errhint("Give a name from pg_timezone_names, such as Europe/Berlin or UTC.")));
	return zone;
}
