/*
 * schedule.c
 *		schedule() and unschedule(): what recurs, as it is defined.
 *
 * All that can be known about a schedule is checked when it is defined. A
 * schedule belongs to the role that defined it, whose commands it runs, and
 * only that role may define it anew: else it would run one role's command with
 * the rights of another.
 */
#include "maintain/maintain.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#define LONGEST_NAME	200		/* characters */
#define LONGEST_JITTER	(24 * 3600 * 1000L) /* ms */
#define LOCK_WAIT		5000	/* ms, for who changes the same schedule */

PG_FUNCTION_INFO_V1(dbops_schedule);
PG_FUNCTION_INFO_V1(dbops_unschedule);

static StoredSchedule take_definition(FunctionCallInfo fcinfo);
static char *take_name(FunctionCallInfo fcinfo);
static char *take_text(FunctionCallInfo fcinfo, int number, const char *name);
static char *take_choice(FunctionCallInfo fcinfo, int number, const char *name,
						 const char *const *choices);
static long take_jitter(FunctionCallInfo fcinfo, int number);
static bool store(const StoredSchedule *definition, TimestampTz *next_run);
static void take_next_run(HeapTuple row, TupleDesc desc, void *arg);
static void refuse_owner(const char *name);
static void end_jobs(const StoredSchedule *schedule, bool running);
static void take_id(HeapTuple row, TupleDesc desc, void *arg);
static void take_schedule(HeapTuple row, TupleDesc desc, void *arg);

/*
 * schedule(name text, schedule text, command text, time_zone text, overlap
 *			text, missed text, jitter interval, time_window text, active bool,
 *			timeout interval, lock_timeout interval, max_attempts int, backoff
 *			interval, priority int, idempotent bool) → when it runs next
 */
Datum
dbops_schedule(PG_FUNCTION_ARGS)
{
	StoredSchedule definition = take_definition(fcinfo);
	TimestampTz next_run;
	int			nest_level = dbops_begin_bounded_wait(LOCK_WAIT);
	bool		stored = store(&definition, &next_run);

	AtEOXact_GUC(false, nest_level);
	if (!stored)
		refuse_owner(definition.name);
	dbops_at_commit(dbops_engine_wake_at_commit, NULL);
	if (next_run == 0)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(next_run);
}

/* unschedule(name text, cancel_running bool) */
Datum
dbops_unschedule(PG_FUNCTION_ARGS)
{
	char	   *name = take_name(fcinfo);
	DbopsParam	param = dbops_param_text(name);
	StoredSchedule *stored = dbops_schedule_load(name);
	int			nest_level = dbops_begin_bounded_wait(LOCK_WAIT);

	if (stored != NULL && !dbops_acts_for(stored->owner))
		refuse_owner(name);
	if (stored == NULL ||
		dbops_store_each("DELETE FROM dbops.schedule WHERE name = $1", 1, &param, NULL, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no schedule \"%s\" in this database", name),
				 errhint("See dbops.policies().")));
	end_jobs(stored, !PG_ARGISNULL(1) && PG_GETARG_BOOL(1));
	AtEOXact_GUC(false, nest_level);
	dbops_at_commit(dbops_engine_wake_at_commit, NULL);
	PG_RETURN_VOID();
}

/* Take the arguments of schedule(), and refuse those that cannot be. */
static StoredSchedule
take_definition(FunctionCallInfo fcinfo)
{
	static const char *const overlaps[] = {"skip", "queue_one", "cancel_old", NULL};
	static const char *const misses[] = {"once", "skip", NULL};
	StoredSchedule definition = {.owner = GetUserId()};
	Recurrence	recurrence;
	CommandText checked;

	definition.name = take_name(fcinfo);
	definition.schedule = take_text(fcinfo, 1, "schedule");
	definition.command = take_text(fcinfo, 2, "command");
	definition.time_zone = PG_ARGISNULL(3) ? pg_get_timezone_name(session_timezone) :
		pg_get_timezone_name(dbops_zone_require(text_to_cstring(PG_GETARG_TEXT_PP(3))));
	definition.overlap = take_choice(fcinfo, 4, "overlap", overlaps);
	definition.missed = take_choice(fcinfo, 5, "missed", misses);
	definition.jitter = take_jitter(fcinfo, 6);
	definition.time_window = PG_ARGISNULL(7) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(7));
	definition.active = PG_ARGISNULL(8) || PG_GETARG_BOOL(8);
	definition.timeout = dbops_timeout_argument(fcinfo, 9, "timeout");
	definition.lock_timeout = dbops_timeout_argument(fcinfo, 10, "lock_timeout");
	definition.max_attempts = dbops_attempts_argument(fcinfo, 11);
	definition.backoff = dbops_timeout_argument(fcinfo, 12, "backoff");
	definition.priority = PG_ARGISNULL(13) ? 0 : PG_GETARG_INT32(13);
	definition.idempotent = !PG_ARGISNULL(14) && PG_GETARG_BOOL(14);

	recurrence = dbops_recurrence(definition.schedule, definition.time_window, definition.time_zone);
	if (definition.active)
		definition.next_run = dbops_recurrence_next(&recurrence, dbops_clock_now());
	checked = dbops_command_check(definition.command);
	definition.idempotent |= checked.repeatable;
	dbops_require_login(definition.owner);
	definition.atomic = checked.atomic;
	definition.class = checked.class;
	definition.path = dbops_query_submission_path();
	return definition;
}

static char *
take_name(FunctionCallInfo fcinfo)
{
	char	   *name = take_text(fcinfo, 0, "name");

	if (name[0] == '\0' || pg_mbstrlen(name) > LONGEST_NAME)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("name must have between 1 and %d characters", LONGEST_NAME)));
	return name;
}

static char *
take_text(FunctionCallInfo fcinfo, int number, const char *name)
{
	dbops_require_argument(fcinfo, number, name);
	return text_to_cstring(PG_GETARG_TEXT_PP(number));
}

/* Take one of some words; null is the first of them. */
static char *
take_choice(FunctionCallInfo fcinfo, int number, const char *name, const char *const *choices)
{
	StringInfoData all;
	char	   *given;

	if (PG_ARGISNULL(number))
		return pstrdup(choices[0]);
	given = text_to_cstring(PG_GETARG_TEXT_PP(number));
	initStringInfo(&all);
	for (int i = 0; choices[i] != NULL; i++)
	{
		if (strcmp(given, choices[i]) == 0)
			return given;
		appendStringInfo(&all, "%s%s", i > 0 ? ", " : "", choices[i]);
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s cannot be \"%s\"", name, given),
			 errhint("Give one of: %s.", all.data)));
}

/* Take the jitter in milliseconds; null is none. */
static long
take_jitter(FunctionCallInfo fcinfo, int number)
{
	int64		ms = PG_ARGISNULL(number) ? 0 : dbops_interval_ms(PG_GETARG_INTERVAL_P(number));

	if (ms < 0 || ms > LONGEST_JITTER)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("jitter must be between 0 and 24 hours")));
	return ms;
}

/*
 * Write a definition; false if the name is another role's. Defined again with
 * the same times, it keeps a run that is due and has not been submitted yet.
 */
static bool
store(const StoredSchedule *definition, TimestampTz *next_run)
{
	DbopsParam	params[] = {
		dbops_param_text(definition->name),
		dbops_param_oid(definition->owner),
		dbops_param_text(definition->schedule),
		dbops_param_text(definition->command),
		dbops_param_text(definition->time_zone),
		dbops_param_text(definition->overlap),
		dbops_param_text(definition->missed),
		dbops_param_int8(definition->jitter),
		dbops_param_text(definition->time_window),
		dbops_param_bool(definition->active),
		dbops_param_int8(definition->timeout),
		dbops_param_int8(definition->lock_timeout),
		dbops_param_int4(definition->max_attempts),
		dbops_param_int8(definition->backoff),
		dbops_param_int4(definition->priority),
		dbops_param_bool(definition->idempotent),
		dbops_param_text(definition->path),
		dbops_param_bool(definition->atomic),
		dbops_param_int4(definition->class),
		dbops_param_time(definition->next_run)
	};

	return dbops_store_each("INSERT INTO dbops.schedule AS s (name, owner, schedule, command, time_zone, overlap, missed, jitter,"
							" time_window, active, timeout, lock_timeout, max_attempts, backoff, priority, idempotent,"
							" path, atomic, class, next_run)"
							" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)"
							" ON CONFLICT (name) DO UPDATE SET schedule = $3, command = $4, time_zone = $5, overlap = $6,"
							" missed = $7, jitter = $8, time_window = $9, active = $10, timeout = $11, lock_timeout = $12,"
							" max_attempts = $13, backoff = $14, priority = $15, idempotent = $16, path = $17, atomic = $18,"
							" class = $19, note = NULL, broken = false,"
							" next_run = CASE WHEN $10 AND s.active AND NOT s.broken"
							" AND (s.schedule, s.time_zone) = ($3, $5) AND s.time_window IS NOT DISTINCT FROM $9"
							" THEN least(s.next_run, $20) ELSE $20 END"
							" WHERE s.owner = $2"
							" RETURNING next_run",
							lengthof(params), params, take_next_run, next_run) == 1;
}

static void
take_next_run(HeapTuple row, TupleDesc desc, void *arg)
{
	TimestampTz *next_run = arg;

	*next_run = dbops_row_time(row, desc, 1);
}

static void
refuse_owner(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("schedule \"%s\" belongs to another role", name),
			 errhint("dbops.policies() shows whose it is. SET ROLE to that role, or choose another name.")));
}

/* Cancel the jobs of a schedule that is gone: those that have not begun, or all. */
static void
end_jobs(const StoredSchedule *schedule, bool running)
{
	DbopsParam	params[] = {
		dbops_param_text(schedule->name),
		dbops_param_bool(running),
		dbops_param_oid(schedule->owner)
	};
	List	   *ids = NIL;
	ListCell   *cell;

	dbops_store_each("SELECT id FROM dbops.job WHERE finished_at IS NULL AND kind = 'command' AND schedule = $1 AND owner = $3"
					 " AND ($2 OR state = 'queued' AND attempts = 0)",
					 lengthof(params), params, take_id, &ids);
	foreach(cell, ids)
		(void) dbops_job_cancel(*(int64 *) lfirst(cell));
}

static void
take_id(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **ids = arg;
	int64	   *id = palloc(sizeof(int64));

	*id = dbops_row_int8(row, desc, 1);
	*ids = lappend(*ids, id);
}

/* ---- reading ---- */

#define SCHEDULE_COLUMNS \
	" name, owner, schedule, command, time_zone, overlap, missed, jitter, time_window, active, timeout, lock_timeout," \
	" max_attempts, backoff, priority, idempotent, path, atomic, class, next_run, broken FROM dbops.schedule"

/* Load a schedule into the current memory; NULL if there is none. */
StoredSchedule *
dbops_schedule_load(const char *name)
{
	StoredSchedule *schedule = palloc0(sizeof(StoredSchedule));
	DbopsParam	param = dbops_param_text(name);

	if (dbops_store_each("SELECT" SCHEDULE_COLUMNS " WHERE name = $1",
						 1, &param, take_schedule, schedule) == 0)
		return NULL;
	return schedule;
}

/* Load one that is still due, and lock it; NULL if it is not, or somebody else has locked it. */
StoredSchedule *
dbops_schedule_lock_due(const char *name, TimestampTz now)
{
	StoredSchedule *schedule = palloc0(sizeof(StoredSchedule));
	DbopsParam	params[] = {dbops_param_text(name), dbops_param_time(now)};

	if (dbops_store_each("SELECT" SCHEDULE_COLUMNS " WHERE name = $1 AND active AND next_run <= $2 FOR UPDATE SKIP LOCKED",
						 lengthof(params), params, take_schedule, schedule) == 0)
		return NULL;
	return schedule;
}

static void
take_schedule(HeapTuple row, TupleDesc desc, void *arg)
{
	StoredSchedule *schedule = arg;

	schedule->name = dbops_row_text(row, desc, 1);
	schedule->owner = dbops_row_oid(row, desc, 2);
	schedule->schedule = dbops_row_text(row, desc, 3);
	schedule->command = dbops_row_text(row, desc, 4);
	schedule->time_zone = dbops_row_text(row, desc, 5);
	schedule->overlap = dbops_row_text(row, desc, 6);
	schedule->missed = dbops_row_text(row, desc, 7);
	schedule->jitter = dbops_row_int8(row, desc, 8);
	schedule->time_window = dbops_row_text(row, desc, 9);
	schedule->active = dbops_row_bool(row, desc, 10);
	schedule->timeout = dbops_row_int8(row, desc, 11);
	schedule->lock_timeout = dbops_row_int8(row, desc, 12);
	schedule->max_attempts = dbops_row_int4(row, desc, 13);
	schedule->backoff = dbops_row_int8(row, desc, 14);
	schedule->priority = dbops_row_int4(row, desc, 15);
	schedule->idempotent = dbops_row_bool(row, desc, 16);
	schedule->path = dbops_row_text(row, desc, 17);
	schedule->atomic = dbops_row_bool(row, desc, 18);
	schedule->class = dbops_row_int4(row, desc, 19);
	schedule->next_run = dbops_row_time(row, desc, 20);
	schedule->broken = dbops_row_bool(row, desc, 21);
}
