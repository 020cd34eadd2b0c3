/*
 * window.c
 *		When something may run: "mon-fri 01:00-05:00", "22:00-04:00; sat,sun".
 *
 *		window = part ; part ...
 *		part   = days times , days times ...
 *
 * Days without times are whole days, times without days are those of every
 * day. Days belong to the times that follow them, and times to the days before
 * them. A stretch over midnight belongs to the day on which it begins. It
 * begins and ends when the zone's clock first shows those times, at a jump of
 * the clock if it leaves them out.
 */
#include "maintain/maintain.h"

#include <math.h>

#include "nodes/pg_list.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/formatting.h"

#define MINUTES_PER_DAY	(24 * 60)
#define EVERY_DAY		UINT64CONST(0x7f)
#define FARTHEST		15		/* days; a day's stretch may be lost to a jump of the clock */

typedef struct Span
{
	uint64		days;			/* a bit for each day of the week, from Sunday */
	int			begin;			/* minute of the day */
	int			end;			/* the same; more than a day if it is of the next */
} Span;

struct Window
{
	List	   *spans;			/* of Span * */
};

/* What has been read of one part of a window's text. */
typedef struct Part
{
	Window	   *window;
	uint64		days;			/* that the next times belong to; 0: none yet */
	bool		has_times;		/* of those days */
	bool		open;			/* more days may be added to them */
} Part;

static double seconds_until(TimestampTz time);
static void refuse(const char *text);
static bool parse_part(Window *window, char *text);
static bool parse_word(Part *part, const char *word);
static bool end_days(Part *part);
static bool parse_times(const char *word, Span *span);
static bool parse_time(const char **at, int *minute);
static void add_span(Window *window, Span span);
static TimestampTz next_on_day(const Window *window, int64 day, TimestampTz after, pg_tz *zone);
static TimestampTz end_on_day(const Window *window, int64 day, TimestampTz end, pg_tz *zone);
static int64 local_day(TimestampTz at, pg_tz *zone);
static TimestampTz time_on_day(int64 day, int minute, pg_tz *zone);

/* Parse a window, or refuse it. */
Window *
dbops_window_parse(const char *text)
{
	Window	   *window = palloc0(sizeof(Window));
	char	   *rest = asc_tolower(text, strlen(text));
	char	   *part;

	while ((part = strsep(&rest, ";")) != NULL)
		if (!parse_part(window, part))
			refuse(text);
	return window;
}

static void
refuse(const char *text)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid time_window \"%s\"", text),
			 errhint("Write days, times from and to, or both, such as mon-fri 01:00-05:00; 22:00-04:00; sat,sun.")));
}

/* Parse what is between two semicolons; false if it is not a part. */
static bool
parse_part(Window *window, char *text)
{
	Part		part = {.window = window};
	char	   *rest;

	for (char *word = strtok_r(text, ", \t\n\r", &rest); word != NULL; word = strtok_r(NULL, ", \t\n\r", &rest))
		if (!parse_word(&part, word))
			return false;
	return end_days(&part);
}

/* Parse days or times. */
static bool
parse_word(Part *part, const char *word)
{
	Span		span;

	if (parse_times(word, &span))
	{
		span.days = (part->days != 0) ? part->days : EVERY_DAY;
		add_span(part->window, span);
		part->has_times = true;
		part->open = false;
		return true;
	}
	if (!part->open)
	{
		(void) end_days(part);
		part->days = 0;
		part->has_times = false;
		part->open = true;
	}
	return word[0] >= 'a' && dbops_cron_weekdays(word, &part->days);
}

/* No more times come for the days that were read: without any, they are whole days. */
static bool
end_days(Part *part)
{
	if (part->days != 0 && !part->has_times)
		add_span(part->window, (Span) {.days = part->days,.begin = 0,.end = MINUTES_PER_DAY});
	return part->days != 0 || part->has_times;
}

/* Parse times such as 01:00-05:00; false if they are none. */
static bool
parse_times(const char *word, Span *span)
{
	if (!parse_time(&word, &span->begin) || *word++ != '-' ||
		!parse_time(&word, &span->end) || *word != '\0')
		return false;
	if (span->begin == span->end || span->begin == MINUTES_PER_DAY)
		return false;
	if (span->end < span->begin)
		span->end += MINUTES_PER_DAY;
	return true;
}

/* Parse a time of day up to 24:00. */
static bool
parse_time(const char **at, int *minute)
{
	int			hours = strspn(*at, "0123456789");
	int			hour = atoi(*at);

	if (hours < 1 || hours > 2 || (*at)[hours] != ':')
		return false;
	*at += hours + 1;
	if (strspn(*at, "0123456789") != 2)
		return false;
	*minute = hour * 60 + atoi(*at);
	*at += 2;
	return *minute % 60 == *minute - hour * 60 && *minute <= MINUTES_PER_DAY;
}

static void
add_span(Window *window, Span span)
{
	Span	   *copy = palloc(sizeof(Span));

	*copy = span;
	window->spans = lappend(window->spans, copy);
}

/* How long it will be open, now and then; window: NULL where there is none. */
void
dbops_window_times(const char *window, const char *zone, WindowTimes *times)
{
	TimestampTz now = dbops_clock_now();
	TimestampTz opens;
	TimestampTz closes;
	TimestampTz again;
	Window	   *parsed;
	pg_tz	   *tz;

	*times = (WindowTimes) {INFINITY, INFINITY, INFINITY};
	if (window == NULL)
		return;
	parsed = dbops_window_parse(window);
	tz = (zone != NULL) ? dbops_zone_require(zone) : session_timezone;
	opens = dbops_window_next(parsed, now, tz);
	closes = dbops_window_end(parsed, opens, tz);
	again = dbops_window_next(parsed, closes, tz);
	if (opens == now)
		times->left = seconds_until(closes);
	times->again = seconds_until(again);
	times->whole = seconds_until(dbops_window_end(parsed, again, tz)) - times->again;
}

static double
seconds_until(TimestampTz time)
{
	return (time - dbops_clock_now()) / (double) USECS_PER_SEC;
}

/* Is it open at a time? */
bool
dbops_window_open(const Window *window, TimestampTz at, pg_tz *zone)
{
	return dbops_window_next(window, at, zone) == at;
}

/* When it opens next; the time itself if it is open then. */
TimestampTz
dbops_window_next(const Window *window, TimestampTz after, pg_tz *zone)
{
	TimestampTz next = DT_NOEND;
	int64		day;

	if (TIMESTAMP_NOT_FINITE(after))
		return DT_NOEND;
	day = local_day(after, zone);

	/* Of two days in a row either may have what is first, by spans over midnight. */
	for (int i = -1; i <= FARTHEST && next == DT_NOEND; i++)
		next = Min(next_on_day(window, day + i, after, zone),
				   next_on_day(window, day + i + 1, after, zone));
	return next;
}

/* Until when it is open, from a time at which it is; what follows without a gap is one with it. */
TimestampTz
dbops_window_end(const Window *window, TimestampTz at, pg_tz *zone)
{
	int64		day = local_day(at, zone);
	TimestampTz end = at;

	for (int i = -1; i <= FARTHEST; i++)
		end = end_on_day(window, day + i, end, zone);
	return end;
}

/* The same, by what begins on one day. */
static TimestampTz
end_on_day(const Window *window, int64 day, TimestampTz end, pg_tz *zone)
{
	ListCell   *cell;
	bool		longer = true;

	while (longer)
	{
		longer = false;
		foreach(cell, window->spans)
		{
			Span	   *span = lfirst(cell);

			if ((span->days & (UINT64CONST(1) << j2day(day + UNIX_EPOCH_JDATE))) == 0 ||
				time_on_day(day, span->begin, zone) > end || time_on_day(day, span->end, zone) <= end)
				continue;
			end = time_on_day(day, span->end, zone);
			longer = true;
		}
	}
	return end;
}

/* When it opens next, by what begins on one day. */
static TimestampTz
next_on_day(const Window *window, int64 day, TimestampTz after, pg_tz *zone)
{
	TimestampTz next = DT_NOEND;
	ListCell   *cell;

	foreach(cell, window->spans)
	{
		Span	   *span = lfirst(cell);
		TimestampTz begin;
		TimestampTz end;

		if ((span->days & (UINT64CONST(1) << j2day(day + UNIX_EPOCH_JDATE))) == 0)
			continue;
		begin = time_on_day(day, span->begin, zone);
		end = time_on_day(day, span->end, zone);
		if (begin < end && end > after)
			next = Min(next, Max(begin, after));
	}
	return next;
}

/* What day it is, in days since 1970. */
static int64
local_day(TimestampTz at, pg_tz *zone)
{
	int64		local = dbops_zone_local_at(zone, timestamptz_to_time_t(at));

	return local / SECS_PER_DAY - (local % SECS_PER_DAY < 0);
}

static TimestampTz
time_on_day(int64 day, int minute, pg_tz *zone)
{
	return time_t_to_timestamptz(dbops_zone_time_of(zone, day * SECS_PER_DAY + minute * SECS_PER_MINUTE));
}
