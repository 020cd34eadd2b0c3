/*
 * cutoff.c
 *		A clock that has jumped must not empty a table.
 *
 * Between two runs the cutoff moves as time passes. How much time has passed
 * the machine knows from when it was booted, whatever its calendar is set to;
 * across a boot only the calendar is there to be asked, and the share of the
 * rows that would go is the guard that is left. A shorter time to keep, set
 * since, moves the cutoff as well.
 */
#include "maintain/cutoff.h"

#include <time.h>

#include "core/server.h"
#include "storage/fd.h"
#include "utils/timestamp.h"

/* us that the cutoff may move beyond the time that has passed; months differ by three days. */
#define TOLERANCE		USECS_PER_DAY
#define MONTHS_DIFFER	(3 * USECS_PER_DAY)

static int64 uptime(void);
static const char *boot(void);
static int64 passed_since(const CutoffMark *mark);

/* A cutoff that is allowed now. */
CutoffMark
dbops_cutoff_mark(int64 cutoff)
{
	CutoffMark	mark = {
		.cutoff = cutoff,
		.at = dbops_clock_now(),
		.uptime = uptime(),
		.boot = boot()
	};

	return mark;
}

/* The us since the machine has booted. */
static int64
uptime(void)
{
	struct timespec now;

#ifdef CLOCK_BOOTTIME
	clock_gettime(CLOCK_BOOTTIME, &now);
#else
	clock_gettime(CLOCK_MONOTONIC, &now);
#endif
	return now.tv_sec * USECS_PER_SEC + now.tv_nsec / 1000;
}

/* Which boot that counts from; empty where nobody tells. */
static const char *
boot(void)
{
	FILE	   *file = AllocateFile("/proc/sys/kernel/random/boot_id", "r");
	char		id[64] = "";

	if (file == NULL)
		return "";
	if (fgets(id, sizeof(id), file) != NULL)
		id[strcspn(id, "\n")] = '\0';
	FreeFile(file);
	return pstrdup(id);
}

/* Read what a policy remembers; a position of 0 is not stored. */
CutoffMark
dbops_cutoff_read(const Jsonb *memory)
{
	int64		cutoff = dbops_jsonb_integer(memory, "cutoff");
	CutoffMark	mark = {
		.cutoff = (cutoff == 0) ? CUTOFF_NONE : cutoff,
		.at = dbops_jsonb_integer(memory, "at"),
		.uptime = dbops_jsonb_integer(memory, "uptime"),
		.boot = dbops_jsonb_text(memory, "boot")
	};

	return mark;
}

/* Add it to the memory of a policy. */
void
dbops_cutoff_put(DbopsJson *json, const CutoffMark *mark)
{
	if (mark->cutoff == CUTOFF_NONE)
		return;
	dbops_json_integer(json, "cutoff", mark->cutoff);
	dbops_json_integer(json, "at", mark->at);
	dbops_json_integer(json, "uptime", mark->uptime);
	dbops_json_text(json, "boot", mark->boot);
}

/* Has the cutoff moved much further than time has passed? As a user reads it; NULL: it has not. */
const char *
dbops_cutoff_jump(const CutoffMark *mark, const Interval *keep, int64 cutoff)
{
	int64		moved = cutoff - mark->cutoff;
	int64		passed = passed_since(mark);
	int64		tolerance = TOLERANCE + (keep->month != 0 ? MONTHS_DIFFER : 0);

	if (mark->cutoff == CUTOFF_NONE || moved <= passed + tolerance)
		return NULL;
	return psprintf("the cutoff has moved by %s since the last run, and %s have passed: a clock has jumped, or keep is shorter",
					dbops_figure_duration((double) moved / USECS_PER_SEC),
					dbops_figure_duration((double) passed / USECS_PER_SEC));
}

/* What time it is, unless a clock has jumped since a cutoff was allowed: then, and what has passed. */
TimestampTz
dbops_cutoff_now(const CutoffMark *mark)
{
	return (mark->cutoff == CUTOFF_NONE) ? dbops_clock_now() : mark->at + passed_since(mark);
}

static int64
passed_since(const CutoffMark *mark)
{
	int64		by_calendar = Max(dbops_clock_now() - mark->at, 0);
	const char *now = boot();

	if (mark->boot == NULL || now[0] == '\0' || strcmp(now, mark->boot) != 0)
		return by_calendar;
	return Min(by_calendar, Max(uptime() - mark->uptime, 0));
}
