/*
 * alert_function.c
 *		set_alert_function(): a user's function that is told of alerts.
 *
 * It is called in a job of whoever has set it, in a session of that role, so
 * that neither it nor its owner gains anything by it, and one that fails, hangs
 * or is dropped keeps nothing else waiting. Where many calls are waiting
 * already, no more are added: the notification and the history are there.
 *
 * It is kept by name, which survives a dump and pg_upgrade as an oid does not,
 * together with its owner. When it is gone somebody else could make another of
 * that name, which would run with the rights of whoever has set the first one:
 * so a function of another owner is not called, which is looked at both when a
 * call is submitted and in the job, just before.
 *
 * Nor does its name say what it does: its owner can replace it at any time. So
 * it must be a function of somebody who has all rights of the role that calls
 * it: of that role, of one that is a member of it, or of a superuser.
 */
#include "core/primary.h"
#include "observe/alert.h"

#include "core/job.h"

#include "access/htup_details.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

#define JOB_NAME		"alert function"
#define MOST_WAITING	50		/* calls */
#define LONGEST_TIMEOUT	3600000 /* ms */
#define STALE			3600	/* s after which nobody is told any more that an alert fires */
#define LATE			60		/* s after which it is asked first whether it still does */

PG_FUNCTION_INFO_V1(dbops_set_alert_function);
PG_FUNCTION_INFO_V1(dbops_remove_alert_function);
PG_FUNCTION_INFO_V1(dbops_alert_function);
PG_FUNCTION_INFO_V1(dbops_call_alert_function);

/* The function that is set beside the one that there is now, and why it is not to be called. */
#define SET_AND_FOUND \
	" FROM dbops.alert_function s LEFT JOIN (pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace)" \
	" ON p.pronargs = 1 AND p.proargtypes[0] = 'jsonb'::regtype AND format('%I.%I', n.nspname, p.proname) = s.function_name"
#define PROBLEM \
	"CASE WHEN p.oid IS NULL THEN 'it is gone'" \
	" WHEN p.proowner <> s.function_owner THEN 'its owner is not who it was when it was set'" \
	" WHEN NOT pg_has_role(p.proowner, s.owner::oid, 'USAGE') THEN 'its owner could make it do what only the role that calls it may' END"

/* A call that is to be submitted, or made. */
typedef struct Call
{
	const char *payload;
	const char *name;			/* of the function, qualified and quoted */
	const char *problem;		/* why it is not to be called; or NULL */
	Oid			function;		/* InvalidOid: it is gone */
	Oid			owner;			/* of the job */
	const char *path;
	long		timeout;		/* ms */
	int64		waiting;		/* calls that are */
} Call;

static Oid	require_fit(Oid function);
static void require_owner_with_rights(Oid function, Oid owner);
static long take_timeout(FunctionCallInfo fcinfo);
static void read_function(Call *call);
static void take_function(HeapTuple row, TupleDesc desc, void *arg);
static void submit(void *arg);
static const char *why_not_told(const Jsonb *alert);
static bool is_over(const Jsonb *alert);
static void call_by_oid(Oid function, Datum alert);

/* set_alert_function(function_name regprocedure, timeout interval) → void */
Datum
dbops_set_alert_function(PG_FUNCTION_ARGS)
{
	Oid			function;
	Oid			function_owner;
	long		timeout;

	dbops_require_argument(fcinfo, 0, "function_name");
	dbops_require_primary(fcinfo);
	function = PG_GETARG_OID(0);
	function_owner = require_fit(function);
	timeout = take_timeout(fcinfo);
	dbops_require_login(GetUserId());
	dbops_store_each("INSERT INTO dbops.alert_function (function_name, function_owner, owner, path, timeout, set_at) VALUES ($1, $2, $3, $4, $5, $6)"
					 " ON CONFLICT (one) DO UPDATE SET (function_name, function_owner, owner, path, timeout, set_at) = ($1, $2, $3, $4, $5, $6)",
					 6, (DbopsParam[]) {
		dbops_param_text(dbops_quote_qualified(get_namespace_name(get_func_namespace(function)),
											   get_func_name(function))),
		dbops_param_oid(function_owner),
		dbops_param_oid(GetUserId()),
		dbops_param_text(dbops_query_submission_path()),
		dbops_param_int8(timeout),
		dbops_param_time(dbops_clock_now())
	}, NULL, NULL);
	PG_RETURN_VOID();
}

/* remove_alert_function() → boolean: whether there was one */
Datum
dbops_remove_alert_function(PG_FUNCTION_ARGS)
{
	Datum		was;

	dbops_require_primary(fcinfo);
	PG_RETURN_BOOL(dbops_store_value("DELETE FROM dbops.alert_function RETURNING true", 0, NULL, BOOLOID, &was));
}

/* alert_function() → the one that is set, if any */
Datum
dbops_alert_function(PG_FUNCTION_ARGS)
{
	InitMaterializedSRF(fcinfo, 0);
	dbops_store_report((ReturnSetInfo *) fcinfo->resultinfo,
					   "SELECT s.function_name, s.owner, s.timeout * interval '1 ms', s.set_at, " PROBLEM SET_AND_FOUND,
					   0, NULL);
	return (Datum) 0;
}

/* A function that exists, may be called by the caller and takes one jsonb. Returns its owner. */
static Oid
require_fit(Oid function)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Form_pg_proc proc;
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("there is no function %u", function),
				 errhint("Give its name with the type of its argument: 'page_me(jsonb)'.")));
	proc = (Form_pg_proc) GETSTRUCT(tuple);
	if (proc->prokind != PROKIND_FUNCTION || proc->proretset || proc->pronargs != 1 ||
		proc->proargtypes.values[0] != JSONBOID)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
				 errmsg("%s cannot be told of alerts", format_procedure(function)),
				 errdetail("It must be a function of one argument of type jsonb that returns no set."),
				 errhint("CREATE FUNCTION page_me(alert jsonb) RETURNS void …")));
	owner = proc->proowner;
	ReleaseSysCache(tuple);
	if (object_aclcheck(ProcedureRelationId, function, GetUserId(), ACL_EXECUTE) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FUNCTION, get_func_name(function));
	require_owner_with_rights(function, owner);
	return owner;
}

/* Who can replace the function gains nothing by its being called: that role has all rights of the caller. */
static void
require_owner_with_rights(Oid function, Oid owner)
{
	if (has_privs_of_role(owner, GetUserId()))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("%s belongs to role \"%s\", which has not the rights of role \"%s\"",
					format_procedure(function), GetUserNameFromId(owner, false), GetUserNameFromId(GetUserId(), false)),
			 errdetail("It is called as the role that sets it, and its owner can replace it by anything."),
			 errhint("SET ROLE to its owner and set it as that role, or ALTER FUNCTION %s OWNER TO %s.",
					 format_procedure(function), quote_identifier(GetUserNameFromId(GetUserId(), false)))));
}

static long
take_timeout(FunctionCallInfo fcinfo)
{
	int64		ms;

	dbops_require_argument(fcinfo, 1, "timeout");
	ms = dbops_interval_ms(PG_GETARG_INTERVAL_P(1));
	if (ms < 1 || ms > LONGEST_TIMEOUT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("timeout must be more than 0 and at most an hour"),
				 errhint("Such as '30 seconds'.")));
	return (long) ms;
}

/* Have the function called, if there is one. That it cannot be is told to the log and stops nothing. */
void
dbops_alert_function_call(const char *payload)
{
	Call		call = {.payload = payload};
	ErrorData  *error;

	read_function(&call);
	if (call.name == NULL)
		return;
	if (call.problem != NULL)
		ereport(LOG,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("dbops does not call the alert function %s: %s", call.name, call.problem),
				 errhint("Make it again and call dbops.set_alert_function(), or dbops.remove_alert_function().")));
	else if (call.waiting >= MOST_WAITING)
		ereport(LOG,
				(errmsg("dbops does not call the alert function %s: " INT64_FORMAT " calls are waiting already",
						call.name, call.waiting)));
	else if (!dbops_attempt(submit, &call, &error))
		ereport(LOG,
				(errcode(error->sqlerrcode),
				 errmsg("dbops cannot call the alert function %s: %s", call.name, error->message)));
}

static void
read_function(Call *call)
{
	dbops_store_each("SELECT s.function_name, " PROBLEM ", p.oid, s.owner::oid, s.path, s.timeout,"
					 " (SELECT count(*) FROM dbops.job WHERE name = '" JOB_NAME "' AND kind = 'command' AND finished_at IS NULL)"
					 SET_AND_FOUND,
					 0, NULL, take_function, call);
}

static void
take_function(HeapTuple row, TupleDesc desc, void *arg)
{
	Call	   *call = arg;

	call->name = dbops_row_text(row, desc, 1);
	call->problem = dbops_row_text(row, desc, 2);
	call->function = dbops_row_oid(row, desc, 3);
	call->owner = dbops_row_oid(row, desc, 4);
	call->path = dbops_row_text(row, desc, 5);
	call->timeout = (long) dbops_row_int8(row, desc, 6);
	call->waiting = dbops_row_int8(row, desc, 7);
}

static void
submit(void *arg)
{
	const Call *call = arg;
	DbopsJobRequest request = {
		DBOPS_JOB_REQUEST,
		.kind = "command",
		.name = JOB_NAME,
		.owner = call->owner,
		.path = call->path,
		.class = DBOPS_CLASS_PLAIN,
		.atomic = true
	};

	dbops_require_login(call->owner);
	request.timeout = call->timeout;
	request.lock_timeout = call->timeout;
	request.command = psprintf("SELECT dbops.call_alert_function(%s::pg_catalog.jsonb)", quote_literal_cstr(call->payload));
	dbops_job_submit(&request);
}

/* call_alert_function(alert jsonb) → void: what the job does */
Datum
dbops_call_alert_function(PG_FUNCTION_ARGS)
{
	Call		call = {0};
	const char *why_not;

	dbops_require_argument(fcinfo, 0, "alert");
	read_function(&call);
	if (call.name == NULL || call.owner != GetUserId())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("there is no alert function that the current role has set"),
				 errhint("Set one with dbops.set_alert_function().")));
	if (call.problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("the alert function %s is not called: %s", call.name, call.problem),
				 errhint("Make it again and call dbops.set_alert_function(), or dbops.remove_alert_function().")));
	(void) require_fit(call.function);
	why_not = why_not_told(PG_GETARG_JSONB_P(0));
	if (why_not == NULL)
		call_by_oid(call.function, PG_GETARG_DATUM(0));
	else
		ereport(LOG,
				(errmsg("dbops does not call the alert function %s: %s", call.name, why_not)));
	PG_RETURN_VOID();
}

/*
 * Calls may have waited, as where jobs were paused or the database was in
 * quarantine: nobody is to be woken for what is the past. That an alert has
 * ended is told however late, since somebody may wait for that. NULL: it is told.
 */
static const char *
why_not_told(const Jsonb *alert)
{
	const char *at = dbops_jsonb_text(alert, "timestamp");
	const char *event = dbops_jsonb_text(alert, "event");
	double		age;

	if (at == NULL || event == NULL || strcmp(event, dbops_alert_event_name(ALERT_ENDS)) == 0)
		return NULL;
	age = (dbops_clock_now() - DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in, CStringGetDatum(at),
																	   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)))) / (double) USECS_PER_SEC;
	if (age > STALE)
		return psprintf("what it is to be told of was %s ago", dbops_figure_duration(age));
	return (age > LATE && is_over(alert)) ? "the alert that it is to be told of has ended" : NULL;
}

/* Is it known that an alert does not fire any more? */
static bool
is_over(const Jsonb *alert)
{
	const char *key = dbops_jsonb_text(alert, "key");
	const char *name = dbops_jsonb_text(alert, "database");
	Oid			database = (name == NULL) ? InvalidOid : get_database_oid(name, true);
	const AlertEntry *entry;
	bool		over = false;

	if (key == NULL || (name != NULL && !OidIsValid(database)) || !dbops_alert_memory_is_there())
		return false;
	dbops_alert_memory_lock(LW_SHARED);
	entry = dbops_alert_memory_find(database, key);
	over = (entry != NULL && entry->alert.told == DBOPS_OK);
	dbops_alert_memory_unlock();
	return over;
}

/* What it returns is of no interest, and may be null, as of a function in SQL that returns void. */
static void
call_by_oid(Oid function, Datum alert)
{
	LOCAL_FCINFO(fcinfo, 1);
	FmgrInfo	flinfo;

	fmgr_info(function, &flinfo);
	InitFunctionCallInfoData(*fcinfo, &flinfo, 1, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = alert;
	fcinfo->args[0].isnull = false;
	(void) FunctionCallInvoke(fcinfo);
}
