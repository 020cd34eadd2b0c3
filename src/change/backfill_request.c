/*
 * backfill_request.c
 *		The arguments of a backfill, as batched_backfill, start_backfill and
 *		backfill_plan take them, in this order.
 *
 * What can be judged by an argument alone is judged here; whether the table
 * and the change allow it is judged where those are understood.
 */
#include "change/change.h"

#include "utils/builtins.h"
#include "utils/timestamp.h"

enum
{
	ARG_TABLE,
	ARG_SET,
	ARG_WHERE,
	ARG_BATCH_SIZE,
	ARG_PAUSE,
	ARG_VERIFY,
	ARG_WORKERS,
	ARG_METHOD,
	ARG_SYNC,
	ARG_APP_WRITES,
	ARG_ON_ERROR,
	ARG_VACUUM_EVERY,
	ARG_MAX_WAL
};

static const char *const names[] = {
	[ARG_TABLE] = "table_name",
	[ARG_SET] = "set_clause",
	[ARG_BATCH_SIZE] = "batch_size",
	[ARG_PAUSE] = "pause",
	[ARG_VERIFY] = "verify",
	[ARG_WORKERS] = "workers",
	[ARG_METHOD] = "method",
	[ARG_SYNC] = "sync",
	[ARG_APP_WRITES] = "app_writes",
	[ARG_ON_ERROR] = "on_error"
};

static const char *const methods[] = {
	[BACKFILL_AUTO] = "auto",
	[BACKFILL_BLOCKS] = "blocks",
	[BACKFILL_KEYSET] = "keyset"
};

static int	read_batch_size(int size);
static int	read_workers(int workers);
static bool read_on_error(const char *what);
static double read_vacuum_every(double share);
static int64 read_max_wal(int64 bytes);
static void check_together(const BackfillRequest *request);
static void refuse(const char *message, const char *hint);

void
dbops_backfill_read_request(FunctionCallInfo fcinfo, BackfillRequest *request)
{
	for (int i = 0; i < lengthof(names); i++)
		if (names[i] != NULL)
			dbops_require_argument(fcinfo, i, names[i]);

	request->relid = PG_GETARG_OID(ARG_TABLE);
	request->set_clause = text_to_cstring(PG_GETARG_TEXT_PP(ARG_SET));
	if (!PG_ARGISNULL(ARG_WHERE))
		request->where_clause = text_to_cstring(PG_GETARG_TEXT_PP(ARG_WHERE));
	request->batch_size = read_batch_size(PG_GETARG_INT32(ARG_BATCH_SIZE));
	request->limits.pause = dbops_backfill_check_pause(PG_GETARG_INTERVAL_P(ARG_PAUSE));
	request->verify = PG_GETARG_BOOL(ARG_VERIFY);
	request->workers = read_workers(PG_GETARG_INT32(ARG_WORKERS));
	request->method = dbops_backfill_method(text_to_cstring(PG_GETARG_TEXT_PP(ARG_METHOD)));
	request->sync = PG_GETARG_BOOL(ARG_SYNC);
	request->app_writes = PG_GETARG_BOOL(ARG_APP_WRITES);
	request->quarantine = read_on_error(text_to_cstring(PG_GETARG_TEXT_PP(ARG_ON_ERROR)));
	request->max_errors = dbops_backfill_max_errors;
	request->limits.batch_time = dbops_backfill_batch_time;
	request->limits.yield = dbops_backfill_yield;
	if (!PG_ARGISNULL(ARG_VACUUM_EVERY))
		request->vacuum_every = read_vacuum_every(PG_GETARG_FLOAT8(ARG_VACUUM_EVERY));
	if (!PG_ARGISNULL(ARG_MAX_WAL))
		request->limits.max_wal = read_max_wal(PG_GETARG_INT64(ARG_MAX_WAL));
	check_together(request);
}

static int
read_batch_size(int size)
{
	if (size <= 0)
		refuse("batch_size must be at least 1 row", NULL);
	return size;
}

/* Take an interval for milliseconds, at most an hour. */
long
dbops_backfill_check_pause(const Interval *pause)
{
	int64		ms = dbops_interval_ms(pause);

	if (ms < 0 || ms > SECS_PER_HOUR * 1000L)
		refuse("pause must be between 0 and 1 hour", NULL);
	return (long) ms;
}

/* How many there can be depends on who is worker 1; see backfill.c. */
static int
read_workers(int workers)
{
	if (workers < 1)
		refuse("workers must be at least 1", NULL);
	return workers;
}

BackfillMethod
dbops_backfill_method(const char *name)
{
	for (int i = 0; i < lengthof(methods); i++)
		if (strcmp(name, methods[i]) == 0)
			return (BackfillMethod) i;
	refuse(psprintf("unknown method \"%s\" of a backfill", name),
		   "Methods are auto, blocks and keyset.");
	return BACKFILL_AUTO;		/* keep compiler quiet */
}

const char *
dbops_backfill_method_name(BackfillMethod method)
{
	return methods[method];
}

/* Are rows that fail to be set aside? */
static bool
read_on_error(const char *what)
{
	if (strcmp(what, "quarantine") != 0 && strcmp(what, "stop") != 0)
		refuse(psprintf("unknown on_error \"%s\" of a backfill", what),
			   "It is stop or quarantine.");
	return strcmp(what, "quarantine") == 0;
}

static double
read_vacuum_every(double share)
{
	if (!(share >= 0.01 && share <= 1))
		refuse("vacuum_every must be a share of the table between 0.01 and 1",
			   "With 0.1 the table is vacuumed ten times on the way.");
	return share;
}

static int64
read_max_wal(int64 bytes)
{
	if (bytes < BACKFILL_LEAST_WAL)
		refuse("max_wal_per_s must be at least 1 MB",
			   "It is a number of bytes, such as pg_size_bytes('20 MB').");
	return bytes;
}

static void
check_together(const BackfillRequest *request)
{
	if (request->sync && request->app_writes)
		refuse("a backfill has either sync or app_writes",
			   "With sync a trigger makes new rows right, with app_writes the application does.");
	if (request->workers > 1 && request->method == BACKFILL_KEYSET)
		refuse("method keyset has one worker",
			   "Several workers share the blocks of a table, not the order of a key.");
}

static void
refuse(const char *message, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg_internal("%s", message),
			 hint ? errhint("%s", hint) : 0));
}
