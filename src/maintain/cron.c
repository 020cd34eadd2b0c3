/*
 * cron.c
 *		When something recurs: five fields as cron has them, or an interval.
 *
 * A line is kept as one set of bits for each field. The next time is searched
 * by month, day, hour and minute in each stretch in which the zone's clock
 * runs evenly, so that it costs the same however rare the line is.
 *
 * Where the clock jumps forward, local times that are left out are run once,
 * at the jump; where it jumps back, those that come twice are run the first
 * time. A line that names every hour follows the time that passes instead:
 * it runs whenever the clock shows a time of it.
 *
 * An interval counts from 1970-01-01 00:00 UTC and not from the last run, so
 * that it neither drifts nor shifts when it is defined again.
 */
#include "maintain/maintain.h"

#include "datatype/timestamp.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/formatting.h"

#define BIT(n)			(UINT64CONST(1) << (n))
#define MINUTES_PER_DAY	(24 * 60)
#define FARTHEST		(100 * 366) /* days; no line that ever matches is rarer */
#define NO_TIME			PG_INT64_MAX
#define LONGEST_EVERY	3650	/* days */

enum
{
	ON_MINUTE, ON_HOUR, ON_DAY, ON_MONTH, ON_WEEKDAY, FIELDS
};

#define LAST_DAY		0		/* the bit of ON_DAY that stands for the last of the month */

struct Cron
{
	int64		every;			/* us; 0: the fields count */
	uint64		fields[FIELDS]; /* a bit for each value */
	bool		either;			/* day or weekday decides, not both */
	bool		evenly;			/* follows the time that passes */
};

typedef struct Field
{
	const char *name;
	int			low;
	int			high;			/* of weekdays 7, which is 0 again */
	const char *names;			/* three letters each, from first_name on; or NULL */
	int			first_name;
	const char *allowed;		/* for the hint */
} Field;

static const Field fields[FIELDS] = {
	{"minute", 0, 59, NULL, 0, "0 to 59, such as 5, 0-30, */15 or 0,30"},
	{"hour", 0, 23, NULL, 0, "0 to 23, such as 3, 8-18, */2 or 0,12"},
	{"day of month", 1, 31, NULL, 0, "1 to 31 or L for the last, such as 1, 1-7, */2 or 1,15"},
	{"month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec", 1, "1 to 12 or jan to dec, such as 1, apr-sep, */3 or jan,jul"},
	{"day of week", 0, 7, "sunmontuewedthufrisat", 0, "0 to 7 (0 and 7 are Sunday) or sun to sat, such as 1, mon-fri or sat,sun"},
};

static const char *const shortcuts[][2] = {
	{"@hourly", "0 * * * *"},
	{"@daily", "0 0 * * *"},
	{"@midnight", "0 0 * * *"},
	{"@weekly", "0 0 * * 0"},
	{"@monthly", "0 0 1 * *"},
	{"@yearly", "0 0 1 1 *"},
	{"@annually", "0 0 1 1 *"},
};

static const char *expand_shortcut(const char *text, const char *line);
static void parse_every(Cron *cron, const char *interval, const char *text);
static bool read_interval(const char *text, Interval *interval);
static void parse_fields(Cron *cron, const char *line, const char *text);
static uint64 parse_field(const Field *field, char *word, const char *text);
static bool parse_item(const Field *field, const char *item, uint64 *set);
static bool parse_value(const Field *field, const char **at, int *value);
static bool parse_number(const char **at, int *value);
static int64 next_multiple(int64 every, TimestampTz after);
static int64 next_in_stretch(const Cron *cron, const ZoneStretch *stretch, int64 earliest);
static int64 next_local(const Cron *cron, int64 local);
static int	next_minute(const Cron *cron, int minute);
static bool day_matches(const Cron *cron, int year, int month, int day, int64 number);
static int64 month_begin(int year, int month);

/* ---- parsing ---- */

/* Parse a schedule, or refuse it and say what is wrong. */
Cron *
dbops_cron_parse(const char *text)
{
	Cron	   *cron = palloc0(sizeof(Cron));
	char	   *line = asc_tolower(text, strlen(text));

	if (strncmp(line, "@every", 6) == 0)
	{
		parse_every(cron, line + 6, text);
		return cron;
	}
	parse_fields(cron, (line[0] == '@') ? expand_shortcut(text, line) : line, text);
	if (next_local(cron, 0) == NO_TIME)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("schedule \"%s\" never comes", text),
				 errhint("No such day is in any year. L as the day of month is the last day of each month.")));
	return cron;
}

/* The fields that a word such as @daily stands for. */
static const char *
expand_shortcut(const char *text, const char *line)
{
	for (int i = 0; i < lengthof(shortcuts); i++)
		if (strcmp(line, shortcuts[i][0]) == 0)
			return shortcuts[i][1];
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown schedule \"%s\"", text),
			 errhint("Give five fields, @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually, or @every and an interval.")));
}

/* Take an interval from @every. */
static void
parse_every(Cron *cron, const char *interval, const char *text)
{
	Interval	every;

	if (!read_interval(interval, &every))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid interval in schedule \"%s\"", text),
				 errhint("Write @every and an interval, such as @every 30 seconds.")));
	if (every.month != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the interval of schedule \"%s\" has months, which differ in length", text),
				 errhint("Use @monthly, @yearly or five fields, such as 0 0 1 */3 *.")));
	if (every.day > LONGEST_EVERY || every.day < 0 || every.time < 0 || every.time > LONGEST_EVERY * USECS_PER_DAY ||
		every.day * USECS_PER_DAY + every.time < USECS_PER_SEC)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the interval of schedule \"%s\" is not between 1 second and %d days", text, LONGEST_EVERY)));
	cron->every = every.day * USECS_PER_DAY + every.time;
}

/* Read an interval as the server does; false if it is none. */
static bool
read_interval(const char *text, Interval *interval)
{
	char		buffer[MAXDATELEN + 1];
	char	   *parts[MAXDATEFIELDS];
	int			types[MAXDATEFIELDS];
	int			count;
	int			type;
	struct pg_itm_in units;

	return ParseDateTime(text, buffer, sizeof(buffer), parts, types, MAXDATEFIELDS, &count) == 0 &&
		DecodeInterval(parts, types, count, INTERVAL_FULL_RANGE, &type, &units) == 0 &&
		type == DTK_DELTA && itmin2interval(&units, interval) == 0;
}

static void
parse_fields(Cron *cron, const char *line, const char *text)
{
	char	   *words = pstrdup(line);
	char	   *rest;
	char	   *word[FIELDS];
	int			count = 0;

	for (char *next = strtok_r(words, " \t\n\r", &rest); next != NULL; next = strtok_r(NULL, " \t\n\r", &rest))
	{
		if (count < FIELDS)
			word[count] = next;
		count++;
	}
	if (count != FIELDS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("schedule \"%s\" has %d fields instead of five", text, count),
				 errhint("Give minute, hour, day of month, month and day of week, such as 0 3 * * mon-fri; "
						 "or @daily and the like; or an interval, such as @every 30 seconds.")));

	/* As in cron, a day field that begins with * does not count as restricted. */
	cron->either = (word[ON_DAY][0] != '*' && word[ON_WEEKDAY][0] != '*');
	for (int i = 0; i < FIELDS; i++)
		cron->fields[i] = parse_field(&fields[i], word[i], text);
	cron->evenly = (cron->fields[ON_HOUR] == BIT(24) - 1);
}

/* Parse one field, a list of items. */
static uint64
parse_field(const Field *field, char *word, const char *text)
{
	char	   *whole = pstrdup(word);
	uint64		set = 0;
	char	   *item;
	bool		valid = true;

	while (valid && (item = strsep(&word, ",")) != NULL)
	{
		if (field == &fields[ON_DAY] && strcmp(item, "l") == 0)
			set |= BIT(LAST_DAY);
		else
			valid = parse_item(field, item, &set);
	}
	if (!valid)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid %s \"%s\" in schedule \"%s\"", field->name, whole, text),
				 errhint("The %s is * or %s.", field->name, field->allowed)));
	return set;
}

/* Take days of the week in lower case, such as mon or mon-fri; false if it is none. */
bool
dbops_cron_weekdays(const char *item, uint64 *days)
{
	return parse_item(&fields[ON_WEEKDAY], item, days);
}

/* Parse a value, a range, or either * or a range with a step; false if it is none. */
static bool
parse_item(const Field *field, const char *item, uint64 *set)
{
	bool		week = (field == &fields[ON_WEEKDAY]);
	int			from = field->low;
	int			to = week ? 6 : field->high;
	int			step = 1;
	bool		range = true;

	if (*item == '*')
		item++;
	else
	{
		if (!parse_value(field, &item, &from))
			return false;
		to = from;
		range = (*item == '-');
		if (range && (item++, !parse_value(field, &item, &to)))
			return false;
		if (week && to < from)
			to += 7;
	}
	if (*item == '/' && range && (item++, !parse_number(&item, &step)))
		return false;
	if (*item != '\0' || to < from || step < 1)
		return false;
	for (int i = from; i <= to; i += step)
		*set |= BIT(week ? i % 7 : i);
	return true;
}

/* Parse a number or a name that the field knows. */
static bool
parse_value(const Field *field, const char **at, int *value)
{
	if (parse_number(at, value))
		return *value >= field->low && *value <= field->high;
	for (int i = 0; field->names != NULL && field->names[i] != '\0'; i += 3)
		if (strncmp(*at, field->names + i, 3) == 0)
		{
			*at += 3;
			*value = field->first_name + i / 3;
			return true;
		}
	return false;
}

/* Parse one to three digits. */
static bool
parse_number(const char **at, int *value)
{
	int			digits = strspn(*at, "0123456789");

	if (digits < 1 || digits > 3)
		return false;
	*value = atoi(*at);
	*at += digits;
	return true;
}

/* ---- the next time ---- */

/* The first time after another; DT_NOEND when there is none to be had. */
TimestampTz
dbops_cron_next(const Cron *cron, TimestampTz after, pg_tz *zone)
{
	int64		earliest;
	int64		at;
	ZoneStretch stretch;

	if (TIMESTAMP_NOT_FINITE(after))
		return DT_NOEND;
	if (cron->every != 0)
		return next_multiple(cron->every, after);

	earliest = timestamptz_to_time_t(after) + 1;
	dbops_zone_begin(&stretch, zone, earliest - ZONE_LONGEST_JUMP);
	do
	{
		at = next_in_stretch(cron, &stretch, earliest);
		if (at < stretch.end)
			break;
	} while (dbops_zone_advance(&stretch));
	if (at == NO_TIME || !IS_VALID_TIMESTAMP(time_t_to_timestamptz(at)))
		return DT_NOEND;
	return time_t_to_timestamptz(at);
}

/* The first multiple of an interval since 1970 that is after a time. */
static int64
next_multiple(int64 every, TimestampTz after)
{
	TimestampTz origin = time_t_to_timestamptz(0);
	int64		passed = (after - origin) % every;

	if (passed < 0)
		passed += every;
	after += every - passed;
	return IS_VALID_TIMESTAMP(after) ? after : DT_NOEND;
}

/*
 * The first time not before earliest at which the line is run, as the clock
 * of this stretch has it; it may lie behind its end. NO_TIME: there is none.
 */
static int64
next_in_stretch(const Cron *cron, const ZoneStretch *stretch, int64 earliest)
{
	int64		local = Max(earliest, stretch->begin) + stretch->offset;

	if (!cron->evenly)
	{
		int64		shown = stretch->begin + stretch->before;

		if (stretch->begin >= earliest && next_local(cron, shown) < stretch->begin + stretch->offset)
			return stretch->begin;
		local = Max(local, shown);
	}
	local = next_local(cron, local);
	return (local == NO_TIME) ? NO_TIME : local - stretch->offset;
}

/* The first local time of the line that is not before another. */
static int64
next_local(const Cron *cron, int64 local)
{
	int64		minutes = local / 60 + (local % 60 > 0);
	int64		day = minutes / MINUTES_PER_DAY - (minutes % MINUTES_PER_DAY < 0);
	int			minute = minutes - day * MINUTES_PER_DAY;
	int64		last = day + FARTHEST;

	while (day <= last)
	{
		int			year;
		int			month;
		int			mday;

		j2date(day + UNIX_EPOCH_JDATE, &year, &month, &mday);
		if ((cron->fields[ON_MONTH] & BIT(month)) == 0)
			day = month_begin(year, month + 1);
		else
		{
			if (day_matches(cron, year, month, mday, day) &&
				(minute = next_minute(cron, minute)) < MINUTES_PER_DAY)
				return (day * MINUTES_PER_DAY + minute) * 60;
			day++;
		}
		minute = 0;
	}
	return NO_TIME;
}

/* The first minute of a day, from one on, at which the line is run; a whole day if none. */
static int
next_minute(const Cron *cron, int minute)
{
	for (; minute < MINUTES_PER_DAY; minute++)
	{
		if ((cron->fields[ON_HOUR] & BIT(minute / 60)) == 0)
			minute = (minute / 60 + 1) * 60 - 1;
		else if ((cron->fields[ON_MINUTE] & BIT(minute % 60)) != 0)
			break;
	}
	return minute;
}

static bool
day_matches(const Cron *cron, int year, int month, int day, int64 number)
{
	bool		is_last = (number + 1 == month_begin(year, month + 1));
	bool		of_month = (cron->fields[ON_DAY] & BIT(day)) != 0 ||
		(is_last && (cron->fields[ON_DAY] & BIT(LAST_DAY)) != 0);
	bool		of_week = (cron->fields[ON_WEEKDAY] & BIT(j2day(number + UNIX_EPOCH_JDATE))) != 0;

	return cron->either ? (of_month || of_week) : (of_month && of_week);
}

/* The day on which a month begins, in days since 1970; month 13 is the next January. */
static int64
month_begin(int year, int month)
{
	return (month > 12) ? date2j(year + 1, 1, 1) - UNIX_EPOCH_JDATE :
		date2j(year, month, 1) - UNIX_EPOCH_JDATE;
}
