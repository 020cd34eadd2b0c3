/*
 * retention_guard.c
 *		A clock that has jumped must not empty a table.
 *
 * Between two runs the cutoff moves as time passes. How much time has passed
 * the machine knows from when it was booted, whatever its calendar is set to;
 * across a boot only the calendar is there to be asked, and the share of the
 * rows that would go is the guard that is left. A shorter time to keep, set
 * since, moves the cutoff as well.
 */
#include "maintain/retention.h"

#include <time.h>

#include "core/server.h"
#include "storage/fd.h"
#include "utils/timestamp.h"

/* us that the cutoff may move beyond the time that has passed; months differ by three days. */
#define TOLERANCE		USECS_PER_DAY
#define MONTHS_DIFFER	(3 * USECS_PER_DAY)

static int64 uptime(void);
static const char *boot(void);
static int64 passed_since(const RetentionMemory *memory);

/* Remember that a run with this cutoff is allowed, and when that was. */
void
dbops_retention_allow(RetentionMemory *memory, int64 cutoff)
{
	memory->cutoff = cutoff;
	memory->at = dbops_clock_now();
	memory->uptime = uptime();
	memory->boot = boot();
	memory->confirmed = cutoff;
	memory->shown = RETENTION_NONE;
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

/* Has the cutoff moved much further than time has passed? As a user reads it; NULL: it has not. */
const char *
dbops_retention_jump(const RetentionSpec *spec, const RetentionMemory *memory, int64 cutoff)
{
	int64		moved = cutoff - memory->cutoff;
	int64		passed = passed_since(memory);
	int64		tolerance = TOLERANCE + (spec->keep->month != 0 ? MONTHS_DIFFER : 0);

	if (memory->cutoff == RETENTION_NONE || moved <= passed + tolerance)
		return NULL;
	return psprintf("the cutoff has moved by %s since the last run, and %s have passed: a clock has jumped, or keep is shorter",
					dbops_figure_duration((double) moved / USECS_PER_SEC),
					dbops_figure_duration((double) passed / USECS_PER_SEC));
}

static int64
passed_since(const RetentionMemory *memory)
{
	int64		by_calendar = Max(dbops_clock_now() - memory->at, 0);
	const char *now = boot();

	if (memory->boot == NULL || now[0] == '\0' || strcmp(now, memory->boot) != 0)
		return by_calendar;
	return Min(by_calendar, Max(uptime() - memory->uptime, 0));
}

/* Somebody has confirmed: what was shown, or what would be shown now. */
void
dbops_retention_confirm(RetentionMemory *memory, int64 cutoff)
{
	dbops_retention_allow(memory, memory->shown != RETENTION_NONE ? Min(memory->shown, cutoff) : cutoff);
}
