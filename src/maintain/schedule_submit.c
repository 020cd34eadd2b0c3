/*
 * schedule_submit.c
 *		A schedule that is due becomes a job.
 *
 * Whether there is to be one is judged with the row locked; due.c says what
 * holds for all that is due.
 */
#include "maintain/maintain.h"

#include "access/xlog.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/builtins.h"

static void submit(Due *due);
static char *judge(const StoredSchedule *schedule, const DueTimes *times);
static int64 submit_job(const StoredSchedule *schedule, TimestampTz occurrence);
static TimestampTz spread(const StoredSchedule *schedule, TimestampTz occurrence);

const DueSource dbops_schedule_source = {
	.noun = "schedule",
	.table = "schedule",
	.key = "name",
	.is_key = "name = $1",
	.active = "active",
	.submit = submit
};

/* Submit one schedule, unless it is locked or has been submitted meanwhile. */
static void
submit(Due *due)
{
	StoredSchedule *schedule = dbops_schedule_lock_due(due->key, due->now);
	Recurrence	recurrence;
	DueTimes	times;
	char	   *reason;

	if (schedule == NULL || schedule->owner != due->owner)
		return;
	dbops_due_require_role(schedule->owner);
	dbops_require_login(schedule->owner);
	recurrence = dbops_recurrence(schedule->schedule, schedule->time_window, schedule->time_zone);
	times = dbops_due_times(&recurrence, schedule->next_run, schedule->broken, due->now);
	reason = judge(schedule, &times);
	if (reason == NULL)
		due->job = submit_job(schedule, times.time);
	dbops_due_note(due, &times, times.dropped + (reason != NULL), reason);
}

/* Why there is no run this time; NULL: there is. */
static char *
judge(const StoredSchedule *schedule, const DueTimes *times)
{
	if (times->missed && strcmp(schedule->missed, "skip") == 0)
		return psprintf("missed: the run of %s was not begun in time", timestamptz_to_str(times->time));
	return dbops_schedule_overlap(schedule);
}

static int64
submit_job(const StoredSchedule *schedule, TimestampTz occurrence)
{
	DbopsJobRequest request = {
		.kind = "command",
		.name = schedule->name,
		.owner = schedule->owner,
		.path = schedule->path,
		.command = schedule->command,
		.class = schedule->class,
		.atomic = schedule->atomic,
		.idempotent = schedule->idempotent,
		.priority = schedule->priority,
		.run_after = spread(schedule, occurrence),
		.timeout = schedule->timeout,
		.lock_timeout = schedule->lock_timeout,
		.max_attempts = schedule->max_attempts,
		.backoff = schedule->backoff,
		.schedule = schedule->name,
		.time_window = schedule->time_window,
		.time_zone = schedule->time_zone
	};

	return dbops_job_submit(&request);
}

/*
 * Move a time by a part of the jitter, one that is the same whenever it is
 * asked for and differs between schedules, databases and servers. What would
 * leave the window stays where it is.
 */
static TimestampTz
spread(const StoredSchedule *schedule, TimestampTz occurrence)
{
	uint64		seed = (uint64) occurrence ^ GetSystemIdentifier() ^ ((uint64) MyDatabaseId << 32);
	uint64		hash = hash_bytes_extended((const unsigned char *) schedule->name, strlen(schedule->name), seed);
	TimestampTz later = occurrence + (hash % (schedule->jitter * 1000 + 1));

	if (schedule->time_window != NULL &&
		!dbops_window_open(dbops_window_parse(schedule->time_window), later, dbops_zone_require(schedule->time_zone)))
		return occurrence;
	return later;
}
