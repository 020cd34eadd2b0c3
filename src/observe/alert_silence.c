/*
 * alert_silence.c
 *		silence_alerts() and unsilence_alerts(): what nobody wants to hear of.
 *
 * A silence is a row of the database whose alerts it is about; those of the
 * home database are also about the cluster's. The launcher cannot read rows, so
 * that they are in shared memory too: a silence is put there when it commits,
 * and what is there follows the rows whenever the alerts of the database are
 * looked after. What was prepared waits for that.
 */
#include "core/primary.h"
#include "observe/alert.h"
#include "observe/shared_text.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

#define SILENCES		1024	/* of all databases, in memory */
#define SILENCES_EACH	32		/* of one database; as many places are kept for the home database's */
#define PATTERN_BYTES	128
#define LONGEST			366		/* days */
#define MOST_TRIES		3		/* to read what nobody changes meanwhile */

PG_FUNCTION_INFO_V1(dbops_silence_alerts);
PG_FUNCTION_INFO_V1(dbops_unsilence_alerts);
PG_FUNCTION_INFO_V1(dbops_alert_silences);

typedef struct Silence
{
	Oid			database;		/* InvalidOid: free */
	int64		id;
	TimestampTz until;
	char		pattern[PATTERN_BYTES];
} Silence;

typedef struct Silences
{
	uint64		generation;		/* goes up with each commit that changes some */
	Silence		places[SILENCES];
} Silences;

static Silences *shared_silences = NULL;	/* or NULL */
static LWLock *shared_silences_lock = NULL;
static Silences own_silences;

static void require_room(void);
static char *take_pattern(FunctionCallInfo fcinfo);
static bool ends_in_escape(const char *pattern);
static TimestampTz take_until(FunctionCallInfo fcinfo);
static bool matches(const char *key, const char *pattern);
static void put_at_commit(int64 id, const char *pattern, TimestampTz until);
static void put(void *arg);
static void take_away(void *arg);
static Silences *lock_silences(LWLockMode mode);
static void unlock_silences(void);
static Silence *free_place(Silences *silences, bool home);
static void clear(Silences *silences, Oid database);
static bool follow(const List *found, uint64 seen);
static void take_silence(HeapTuple row, TupleDesc desc, void *arg);

/* Ask for the shared memory. */
void
dbops_alert_silence_init(void)
{
	dbops_shared_request("dbops alert silences", sizeof(Silences), NULL,
						 (void **) &shared_silences, &shared_silences_lock);
}

/* silence_alerts(pattern text, reason text, until timestamptz) → bigint */
Datum
dbops_silence_alerts(PG_FUNCTION_ARGS)
{
	const char *pattern = take_pattern(fcinfo);
	const char *reason = dbops_reason_argument(fcinfo, 1);
	TimestampTz until = take_until(fcinfo);
	DbopsParam	params[] = {
		dbops_param_text(pattern),
		dbops_param_text(reason),
		dbops_param_time(until),
		dbops_param_text(GetUserNameFromId(GetUserId(), false)),
		dbops_param_time(dbops_clock_now())
	};
	Datum		id;

	dbops_require_primary(fcinfo);
	require_room();
	(void) dbops_store_value("INSERT INTO dbops.alert_silence (pattern, reason, until, silenced_by, silenced_at)"
							 " VALUES ($1, $2, $3, $4, $5) RETURNING id",
							 lengthof(params), params, INT8OID, &id);
	put_at_commit(DatumGetInt64(id), pattern, until);
	PG_RETURN_DATUM(id);
}

/* unsilence_alerts(silence_id bigint) → boolean: whether it silenced anything */
Datum
dbops_unsilence_alerts(PG_FUNCTION_ARGS)
{
	DbopsParam	params[] = {dbops_param_int8(PG_GETARG_INT64(0)), dbops_param_time(dbops_clock_now())};
	int64	   *id = MemoryContextAlloc(TopTransactionContext, sizeof(int64));
	Datum		was;

	dbops_require_primary(fcinfo);
	if (!dbops_store_value("DELETE FROM dbops.alert_silence WHERE id = $1 RETURNING until > $2",
						   2, params, BOOLOID, &was))
		PG_RETURN_BOOL(false);
	*id = PG_GETARG_INT64(0);
	dbops_at_commit_only(take_away, id, NULL);
	PG_RETURN_DATUM(was);
}

/* alert_silences() → those that are not over */
Datum
dbops_alert_silences(PG_FUNCTION_ARGS)
{
	DbopsParam	now = dbops_param_time(dbops_clock_now());

	InitMaterializedSRF(fcinfo, 0);
	dbops_store_report((ReturnSetInfo *) fcinfo->resultinfo,
					   "SELECT id, pattern, reason, until, silenced_by, silenced_at"
					   " FROM dbops.alert_silence WHERE until > $1 ORDER BY until, id",
					   1, &now);
	return (Datum) 0;
}

/* A silence that does not fit in memory would silence nothing. */
static void
require_room(void)
{
	DbopsParam	now = dbops_param_time(dbops_clock_now());
	Datum		n;

	if (dbops_store_value("SELECT count(*) FROM dbops.alert_silence WHERE until > $1", 1, &now, INT8OID, &n) &&
		DatumGetInt64(n) >= SILENCES_EACH)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("a database can have at most %d silences", SILENCES_EACH),
				 errhint("End one with dbops.unsilence_alerts(silence_id); dbops.alert_silences() lists them. One pattern can stand for many keys: 'disk.%%'.")));
}

/* A pattern that LIKE understands. */
static char *
take_pattern(FunctionCallInfo fcinfo)
{
	char	   *pattern;

	dbops_require_argument(fcinfo, 0, "pattern");
	pattern = dbops_text_argument(fcinfo, 0);
	if (pattern[0] == '\0' || strlen(pattern) >= PATTERN_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("pattern must have 1 to %d bytes", PATTERN_BYTES - 1),
				 errhint("Give the key of an alert, as dbops.alerts() shows it, or a part of it with %% for the rest.")));
	if (ends_in_escape(pattern))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_ESCAPE_SEQUENCE),
				 errmsg("pattern must not end with an escape character"),
				 errhint("Write a backslash twice.")));
	return pattern;
}

/* LIKE would fail, in the launcher. */
static bool
ends_in_escape(const char *pattern)
{
	const char *end = pattern + strlen(pattern);
	int			n = 0;

	while (n < end - pattern && end[-1 - n] == '\\')
		n++;
	return n % 2 == 1;
}

static TimestampTz
take_until(FunctionCallInfo fcinfo)
{
	TimestampTz until = dbops_until_argument(fcinfo, 2);

	if (until == DT_NOEND || until > dbops_clock_now() + LONGEST * USECS_PER_DAY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a silence must have an end, at most %d days ahead", LONGEST),
				 errhint("What is never to be told can be turned off: dbops.set_check(check_name, enabled => false).")));
	return until;
}

static bool
matches(const char *key, const char *pattern)
{
	return DatumGetBool(DirectFunctionCall2Coll(textlike, C_COLLATION_OID,
												CStringGetTextDatum(key), CStringGetTextDatum(pattern)));
}

/* ---- in memory ---- */

/* Whoever judges next is to know it, also where no scheduler comes before. */
static void
put_at_commit(int64 id, const char *pattern, TimestampTz until)
{
	Silence    *silence = MemoryContextAllocZero(TopTransactionContext, sizeof(Silence));

	silence->database = MyDatabaseId;
	silence->id = id;
	silence->until = until;
	strlcpy(silence->pattern, pattern, PATTERN_BYTES);
	dbops_at_commit_only(put, silence, NULL);
}

/* Runs at commit. */
static void
put(void *arg)
{
	bool		home = dbops_alert_is_home();
	Silences   *silences = lock_silences(LW_EXCLUSIVE);
	Silence    *place = free_place(silences, home);

	silences->generation++;
	if (place != NULL)
		*place = *(const Silence *) arg;
	unlock_silences();
	dbops_upkeep_request(MyDatabaseId, "alerts");
}

/* Likewise. */
static void
take_away(void *arg)
{
	Silences   *silences = lock_silences(LW_EXCLUSIVE);

	silences->generation++;
	for (int i = 0; i < SILENCES; i++)
		if (silences->places[i].database == MyDatabaseId && silences->places[i].id == *(const int64 *) arg)
			silences->places[i].database = InvalidOid;
	unlock_silences();
	dbops_upkeep_request(MyDatabaseId, "alerts");
}

/* Have memory follow the rows of this database; what commits meanwhile is read again. */
void
dbops_alert_silence_load(void)
{
	DbopsParam	now = dbops_param_time(dbops_clock_now());
	List	   *found;
	uint64		seen;
	int			tries = 0;

	do
	{
		seen = lock_silences(LW_SHARED)->generation;
		unlock_silences();
		found = NIL;
		dbops_store_each("SELECT id, pattern, until FROM dbops.alert_silence WHERE until > $1 ORDER BY until DESC LIMIT " CppAsString2(SILENCES_EACH),
						 1, &now, take_silence, &found);
	} while (!follow(found, seen) && ++tries < MOST_TRIES);
}

/* False: something has committed since that generation. */
static bool
follow(const List *found, uint64 seen)
{
	bool		home = dbops_alert_is_home();
	Silences   *silences = lock_silences(LW_EXCLUSIVE);
	bool		current = (silences->generation == seen);
	Silence    *place = NULL;
	ListCell   *cell;

	if (current)
		clear(silences, MyDatabaseId);
	foreach(cell, found)
	{
		if (!current || (place = free_place(silences, home)) == NULL)
			break;
		*place = *(Silence *) lfirst(cell);
	}
	unlock_silences();
	if (current && cell != NULL)
		ereport(LOG,
				(errmsg("dbops has no room for all silences of alerts of database \"%s\"", get_database_name(MyDatabaseId)),
				 errdetail("All databases together have more than %d.", SILENCES - SILENCES_EACH)));
	return current;
}

/* The lock is held; NULL: there is none. */
static Silence *
free_place(Silences *silences, bool home)
{
	for (int i = home ? 0 : SILENCES_EACH; i < SILENCES; i++)
		if (!OidIsValid(silences->places[i].database))
			return &silences->places[i];
	return NULL;
}

/* A database is gone, or has dbops no more. Nothing here may fail. */
void
dbops_alert_silence_forget(Oid database)
{
	clear(lock_silences(LW_EXCLUSIVE), database);
	unlock_silences();
}

static void
clear(Silences *silences, Oid database)
{
	for (int i = 0; i < SILENCES; i++)
		if (silences->places[i].database == database)
			silences->places[i].database = InvalidOid;
}

static void
take_silence(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **found = arg;
	Silence    *silence = palloc0(sizeof(Silence));

	silence->database = MyDatabaseId;
	silence->id = dbops_row_int8(row, desc, 1);
	strlcpy(silence->pattern, dbops_row_text(row, desc, 2), PATTERN_BYTES);
	silence->until = dbops_row_time(row, desc, 3);
	*found = lappend(*found, silence);
}

/* Does nobody want to hear of an alert of a database, or of the cluster? */
bool
dbops_alert_is_silenced(Oid database, const char *key, TimestampTz now)
{
	Oid			keeper = OidIsValid(database) ? database :
		dbops_alert_memory_is_own() ? MyDatabaseId : dbops_home_database();
	const Silence *places = lock_silences(LW_SHARED)->places;
	bool		silenced = false;

	for (int i = 0; OidIsValid(keeper) && i < SILENCES && !silenced; i++)
		silenced = places[i].database == keeper && places[i].until > now &&
			matches(key, places[i].pattern);
	unlock_silences();
	return silenced;
}

static Silences *
lock_silences(LWLockMode mode)
{
	if (dbops_alert_memory_is_own())
		return &own_silences;
	LWLockAcquire(shared_silences_lock, mode);
	return shared_silences;
}

static void
unlock_silences(void)
{
	if (!dbops_alert_memory_is_own())
		LWLockRelease(shared_silences_lock);
}
