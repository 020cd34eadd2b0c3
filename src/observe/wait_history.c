/*
 * wait_history.c
 *		wait_history(): what was waited for, and who was in the way.
 *
 * Minutes that are over are written down, in the home database those of all
 * databases and elsewhere its own; what is not written yet is read from memory.
 * To write a minute again takes the place of what it had.
 */
#include "observe/history.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/builtins.h"
#include "utils/wait_event.h"

#define TIER		"waits"
#define DEFAULT_RANGE	USECS_PER_DAY
#define GRACE		(TICK * (USECS_PER_SEC / 1000))

/* The columns of dbops.wait_1m, from a document. */
#define RECORDS(document) \
	"jsonb_to_recordset(" document "->'waits') AS w(at timestamptz, database text, wait_type text, wait text, query_id bigint," \
	" samples integer, cadence integer, blocker integer, blocker_state text, blocker_role text, blocker_query_id bigint)"

PG_FUNCTION_INFO_V1(dbops_wait_history);

static TimestampTz rolled_until(void);
static void note_progress(TimestampTz until);
static bool keeps_all(void);
static Jsonb *document_of(TimestampTz since, TimestampTz until, int *n);
static void put_entry(DbopsJson *json, const WaitMinute *minute, const WaitEntry *entry);

/* Write down the minutes that are over. Returns how many rows that were. */
int
dbops_roll_up_waits(TimestampTz now)
{
	TimestampTz current = dbops_bucket_begin(now, SECS_PER_MINUTE);
	TimestampTz since = rolled_until();
	TimestampTz until = dbops_bucket_begin(now - GRACE, SECS_PER_MINUTE);
	DbopsParam	params[] = {dbops_param_time(since), dbops_param_time(until), {.type = JSONBOID}};
	int			n;

	if (since > current + SECS_PER_MINUTE * USECS_PER_SEC)
		note_progress(current); /* the clock was set back */
	if (until <= since)
		return 0;
	params[2] = dbops_param_jsonb(document_of(since, until, &n));
	dbops_store_each("DELETE FROM dbops.wait_1m WHERE at >= $1 AND at < $2", 2, params, NULL, NULL);
	if (n > 0)
	{
		dbops_history_begin_partition(HISTORY_WAITS, since);
		dbops_history_begin_partition(HISTORY_WAITS, until - 1);
		dbops_store_each("INSERT INTO dbops.wait_1m (at, database, wait_type, wait, query_id, samples, cadence,"
						 " blocker, blocker_state, blocker_role, blocker_query_id)"
						 " SELECT at, database, wait_type, wait, query_id, samples, cadence,"
						 " blocker, blocker_state, blocker_role, blocker_query_id"
						 " FROM " RECORDS("$3") " WHERE at >= $1 AND at < $2",
						 lengthof(params), params, NULL, NULL);
	}
	note_progress(until);
	return n;
}

/* Not before what memory can have. */
static TimestampTz
rolled_until(void)
{
	TimestampTz oldest = dbops_bucket_begin(dbops_clock_now(), SECS_PER_MINUTE) -
		(WAIT_MINUTES - 1) * SECS_PER_MINUTE * USECS_PER_SEC;
	DbopsParam	param = dbops_param_text(TIER);
	Datum		until;

	if (!dbops_store_value("SELECT rolled_until FROM dbops.history_progress WHERE tier = $1 AND NOT cluster",
						   1, &param, TIMESTAMPTZOID, &until))
		return oldest;
	return Max(oldest, DatumGetTimestampTz(until));
}

static void
note_progress(TimestampTz until)
{
	DbopsParam	params[] = {dbops_param_text(TIER), dbops_param_time(until)};

	dbops_store_each("INSERT INTO dbops.history_progress (tier, cluster, rolled_until) VALUES ($1, false, $2)"
					 " ON CONFLICT (tier, cluster) DO UPDATE SET rolled_until = excluded.rolled_until",
					 lengthof(params), params, NULL, NULL);
}

/* Whether this database has the waits of all of them; where nobody knows which has, memory shows them. */
static bool
keeps_all(void)
{
	Oid			home = dbops_home_database();

	return !OidIsValid(home) || home == MyDatabaseId;
}

/* The minutes in memory, as a document with names. */
static Jsonb *
document_of(TimestampTz since, TimestampTz until, int *n)
{
	WaitMinute *minutes = palloc(sizeof(WaitMinute) * WAIT_MINUTES);
	int			n_minutes = dbops_waits_read(since, until, minutes);
	bool		all = keeps_all();
	DbopsJson	json = {0};

	*n = 0;
	dbops_json_object(&json, NULL);
	dbops_json_array(&json, "waits");
	for (int i = 0; i < n_minutes; i++)
		for (int j = 0; j < minutes[i].n; j++)
		{
			const WaitEntry *entry = &minutes[i].entries[j];

			if (!all && entry->database != MyDatabaseId)
				continue;
			put_entry(&json, &minutes[i], entry);
			(*n)++;
		}
	dbops_json_array_end(&json);
	pfree(minutes);
	return dbops_json_finish(&json);
}

static void
put_entry(DbopsJson *json, const WaitMinute *minute, const WaitEntry *entry)
{
	static const char *const states[] = {
		[BLOCKER_NONE] = NULL,
		[BLOCKER_ACTIVE] = "active",
		[BLOCKER_IDLE] = "idle in transaction",
		[BLOCKER_PREPARED] = "prepared",
		[BLOCKER_OTHER] = "other"
	};
	bool		known = OidIsValid(entry->database);
	bool		blocked = (entry->blocker_state != BLOCKER_NONE);

	dbops_json_object(json, NULL);
	dbops_json_time(json, "at", minute->at);
	dbops_json_text(json, "database", known ? get_database_name(entry->database) : NULL);
	dbops_json_text(json, "wait_type", !known ? "other" :
					(entry->event == 0) ? "CPU" : pgstat_get_wait_event_type(entry->event));
	dbops_json_text(json, "wait", (known && entry->event != 0) ? pgstat_get_wait_event(entry->event) : NULL);
	if (entry->query_id != 0)
		dbops_json_integer(json, "query_id", (int64) entry->query_id);
	dbops_json_integer(json, "samples", entry->samples);
	dbops_json_integer(json, "cadence", minute->cadence);
	if (blocked)
		dbops_json_integer(json, "blocker", entry->blocker);
	dbops_json_text(json, "blocker_state", states[entry->blocker_state]);
	dbops_json_text(json, "blocker_role", OidIsValid(entry->blocker_role) ? dbops_role_name(entry->blocker_role) : NULL);
	if (entry->blocker_query_id != 0)
		dbops_json_integer(json, "blocker_query_id", (int64) entry->blocker_query_id);
	dbops_json_object_end(json);
}

/* wait_history(since, until) → SETOF record */
Datum
dbops_wait_history(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	TimestampTz since;
	TimestampTz until;
	TimestampTz written;
	int			n;
	DbopsParam	params[4];

	dbops_history_range(fcinfo, 0, DEFAULT_RANGE, "a day", &since, &until);
	since = dbops_bucket_begin(since, SECS_PER_MINUTE);
	InitMaterializedSRF(fcinfo, 0);
	written = Max(since, rolled_until());
	params[0] = dbops_param_time(since);
	params[1] = dbops_param_time(until);
	params[2] = dbops_param_time(written);
	params[3] = dbops_param_jsonb(document_of(written, until, &n));
	dbops_store_report(result,
					   "SELECT database, wait_type, wait, query_id, sum(samples)::bigint, sum(samples * cadence / 1000.0)::float8,"
					   " round(100.0 * sum(samples * cadence) / nullif(sum(sum(samples * cadence)) OVER (), 0), 1)::float8,"
					   " blocker, blocker_state, blocker_role, blocker_query_id, min(at), max(at)"
					   " FROM (SELECT at, database, wait_type, wait, query_id, samples, cadence, blocker, blocker_state, blocker_role, blocker_query_id"
					   "         FROM dbops.wait_1m WHERE at >= $1 AND at < least($2, $3)"
					   "       UNION ALL"
					   "       SELECT at, database, wait_type, wait, query_id, samples, cadence, blocker, blocker_state, blocker_role, blocker_query_id"
					   "         FROM " RECORDS("$4") ") seen"
					   " GROUP BY database, wait_type, wait, query_id, blocker, blocker_state, blocker_role, blocker_query_id"
					   " ORDER BY 6 DESC, 1, 2, 3, 4, 8",
					   lengthof(params), params);
	return (Datum) 0;
}
