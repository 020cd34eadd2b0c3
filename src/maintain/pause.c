/*
 * pause.c
 *		pause_jobs() and resume_jobs(): nothing new starts, steps end.
 *
 * The pause of a database is a row. That of the cluster is a note in shared
 * memory that outlives the server, and no copy of it is paused by that.
 */
#include "maintain/maintain.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(dbops_pause_jobs);
PG_FUNCTION_INFO_V1(dbops_resume_jobs);

static DbopsKeptNote cluster_pause = {.file_name = "dbops.paused"};

static void restore(void *place);
static char *check_reason(FunctionCallInfo fcinfo);
static TimestampTz check_until(FunctionCallInfo fcinfo);
static bool check_whole_cluster(FunctionCallInfo fcinfo, int argument);
static void pause_database(const char *by, const char *reason, TimestampTz until);
static bool resume_database(void);
static bool resume_cluster(void);
static void wake_all(void *arg);
static void take_database_pause(HeapTuple row, TupleDesc desc, void *arg);
static char *describe(const char *what, const char *by, TimestampTz since,
					  TimestampTz until, const char *reason);
static const char *describe_time(TimestampTz time);

/* Ask for the shared memory. */
void
dbops_pause_init(void)
{
	dbops_shared_request("dbops pause", sizeof(DbopsNote), restore,
						 (void **) &cluster_pause.place, &cluster_pause.lock);
}

/* Go on being paused after a restart. */
static void
restore(void *place)
{
	dbops_note_restore(&cluster_pause, place);
}

/* ---- the calls ---- */

/* pause_jobs(reason text, until timestamptz, whole_cluster boolean) → void */
Datum
dbops_pause_jobs(PG_FUNCTION_ARGS)
{
	const char *by = GetUserNameFromId(GetUserId(), false);
	const char *reason = check_reason(fcinfo);
	TimestampTz until = check_until(fcinfo);

	if (check_whole_cluster(fcinfo, 2))
		dbops_note_keep(&cluster_pause, by, reason, until);
	else
		pause_database(by, reason, until);
	PG_RETURN_VOID();
}

/* resume_jobs(whole_cluster boolean) → boolean: whether they were paused */
Datum
dbops_resume_jobs(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(check_whole_cluster(fcinfo, 0) ? resume_cluster() : resume_database());
}

static char *
check_reason(FunctionCallInfo fcinfo)
{
	char	   *reason = PG_ARGISNULL(0) ? "" : text_to_cstring(PG_GETARG_TEXT_PP(0));

	if (strspn(reason, " \t\r\n") == strlen(reason))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("reason must not be empty"),
				 errhint("Say why, for those who wonder later why nothing runs.")));
	if (strlen(reason) >= NOTE_REASON_SIZE)
		ereport(ERROR,
				(errcode(ERRCODE_STRING_DATA_RIGHT_TRUNCATION),
				 errmsg("reason must not be longer than %d bytes", NOTE_REASON_SIZE - 1)));
	return reason;
}

static TimestampTz
check_until(FunctionCallInfo fcinfo)
{
	TimestampTz until = PG_ARGISNULL(1) ? DT_NOEND : PG_GETARG_TIMESTAMPTZ(1);

	if (until <= dbops_clock_now())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("until must be in the future"),
				 errhint("Leave it out to pause until resume_jobs is called.")));
	return until;
}

static bool
check_whole_cluster(FunctionCallInfo fcinfo, int argument)
{
	if (PG_ARGISNULL(argument))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("whole_cluster must not be null")));
	if (PG_GETARG_BOOL(argument) && cluster_pause.place == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the jobs of the whole cluster can be paused only when dbops is preloaded"),
				 errhint("Add dbops to shared_preload_libraries and restart the server.")));
	return PG_GETARG_BOOL(argument);
}

/* ---- a database ---- */

static void
pause_database(const char *by, const char *reason, TimestampTz until)
{
	DbopsParam	params[] = {
		dbops_param_text(by),
		dbops_param_time(dbops_clock_now()),
		dbops_param_time(until),
		dbops_param_text(reason)
	};

	dbops_store_each("INSERT INTO dbops.pause (paused_by, paused_at, paused_until, reason) VALUES ($1, $2, $3, $4)"
					 " ON CONFLICT (one) DO UPDATE SET paused_by = excluded.paused_by, paused_at = excluded.paused_at,"
					 " paused_until = excluded.paused_until, reason = excluded.reason",
					 lengthof(params), params, NULL, NULL);
}

static bool
resume_database(void)
{
	Datum		was_paused;

	dbops_at_commit(dbops_engine_wake_at_commit, NULL);
	return dbops_store_value("DELETE FROM dbops.pause RETURNING true", 0, NULL, BOOLOID, &was_paused);
}

/* ---- the cluster ---- */

static bool
resume_cluster(void)
{
	dbops_note_remove(&cluster_pause, wake_all);
	return dbops_note_read(&cluster_pause).since != 0;
}

static void
wake_all(void *arg)
{
	dbops_engine_wake_all();
}

/* ---- is it paused? ---- */

/*
 * Whether this database or the cluster is paused, and why, as a user reads it;
 * NULL: it is not. Needs a transaction.
 */
char *
dbops_gate_paused(void)
{
	DbopsNote	pause = dbops_note_read(&cluster_pause);
	char	   *paused = NULL;

	if (pause.since != 0 && pause.until > dbops_clock_now())
		return describe("all databases paused", pause.by, pause.since, pause.until, pause.reason);
	dbops_store_each("SELECT paused_by, paused_at, paused_until, reason FROM dbops.pause",
					 0, NULL, take_database_pause, &paused);
	return paused;
}

/* A pause whose time has passed is none. */
static void
take_database_pause(HeapTuple row, TupleDesc desc, void *arg)
{
	TimestampTz until = dbops_row_time(row, desc, 3);

	if (until > dbops_clock_now())
		*(char **) arg = describe("paused", dbops_row_text(row, desc, 1),
								  dbops_row_time(row, desc, 2), until, dbops_row_text(row, desc, 4));
}

static char *
describe(const char *what, const char *by, TimestampTz since, TimestampTz until, const char *reason)
{
	return psprintf("%s by %s since %s%s%s: %s", what, by, describe_time(since),
					until == DT_NOEND ? "" : " until ",
					until == DT_NOEND ? "" : describe_time(until), reason);
}

/* To the second, as a copy: the server's own function has one buffer. */
static const char *
describe_time(TimestampTz time)
{
	return pstrdup(timestamptz_to_str(time - time % USECS_PER_SEC));
}
