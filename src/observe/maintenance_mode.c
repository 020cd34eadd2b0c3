/*
 * maintenance_mode.c
 *		begin_maintenance_mode() and end_maintenance_mode(): work is being done here.
 *
 * It is the whole server's, standbys each their own, and shown by health and
 * node_status(); alerts are silent. Nobody can forget to end it: it says until
 * when, and is over then. It holds across a restart, which often is the work.
 *
 * As it silences the alerts of all databases, operators begin it in the home
 * database, where those of the server are; elsewhere only admins do.
 */
#include "observe/maintenance_mode.h"

#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#define LONGEST			31		/* days */

PG_FUNCTION_INFO_V1(dbops_begin_maintenance_mode);
PG_FUNCTION_INFO_V1(dbops_end_maintenance_mode);

static DbopsKeptNote kept_mode = {.file_name = "dbops.maintenance"};

static void restore(void *place);
static TimestampTz take_until(FunctionCallInfo fcinfo);
static void require_preloading(void);
static void require_home(void);

/* Ask for the shared memory. */
void
dbops_maintenance_mode_init(void)
{
	dbops_shared_request("dbops maintenance mode", sizeof(DbopsNote), restore,
						 (void **) &kept_mode.place, &kept_mode.lock);
}

static void
restore(void *place)
{
	dbops_note_restore(&kept_mode, place);
}

/* begin_maintenance_mode(reason text, until timestamptz) */
Datum
dbops_begin_maintenance_mode(PG_FUNCTION_ARGS)
{
	const char *reason = dbops_reason_argument(fcinfo, 0);
	TimestampTz until = take_until(fcinfo);

	require_preloading();
	require_home();
	dbops_note_keep(&kept_mode, GetUserNameFromId(GetUserId(), false), reason, until);
	PG_RETURN_VOID();
}

/* end_maintenance_mode() → whether it was on */
Datum
dbops_end_maintenance_mode(PG_FUNCTION_ARGS)
{
	require_preloading();
	require_home();
	dbops_note_remove(&kept_mode, NULL);
	PG_RETURN_BOOL(dbops_maintenance_mode(NULL));
}

static TimestampTz
take_until(FunctionCallInfo fcinfo)
{
	TimestampTz until = dbops_until_argument(fcinfo, 1);

	if (until > dbops_clock_now() + LONGEST * USECS_PER_DAY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("until must be at most %d days ahead", LONGEST),
				 errhint("Call dbops.begin_maintenance_mode() again where the work takes longer.")));
	return until;
}

static void
require_preloading(void)
{
	if (kept_mode.place == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("maintenance mode can be used only when dbops is preloaded"),
				 errhint("Add dbops to shared_preload_libraries and restart the server.")));
}

/* Whoever may operate one database may not so silence all others. */
static void
require_home(void)
{
	Oid			home = dbops_home_database();
	const char *name;

	if (!OidIsValid(home) || home == MyDatabaseId || dbops_is_admin())
		return;
	name = get_database_name(home);
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("maintenance mode silences the alerts of all databases"),
			 errdetail("Outside of database \"%s\", which holds what is the server's, it takes the level admin.", name == NULL ? "?" : name),
			 errhint("Connect to database %s with the level operator there; alerts of this one are silenced by dbops.silence_alerts().",
					 name == NULL ? "?" : quote_identifier(name))));
}

bool
dbops_maintenance_mode(DbopsNote *mode)
{
	DbopsNote	note = dbops_note_read(&kept_mode);

	if (mode != NULL)
		*mode = note;
	return note.since != 0 && note.until > dbops_clock_now();
}

/* Put it into a document: an object, or null. */
void
dbops_maintenance_mode_put(DbopsJson *json, const char *key)
{
	DbopsNote	mode;

	if (!dbops_maintenance_mode(&mode))
	{
		dbops_json_null(json, key);
		return;
	}
	dbops_json_object(json, key);
	dbops_json_text(json, "reason", mode.reason);
	dbops_json_text(json, "begun_by", mode.by);
	dbops_json_time(json, "since", mode.since);
	dbops_json_time(json, "until", mode.until);
	dbops_json_object_end(json);
}
