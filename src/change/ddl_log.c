/*
 * ddl_log.c
 *		DDL in no migration is written down: who, when, from where, what.
 *
 * Two event triggers fire when a command is done, in its transaction: what is
 * undone is not in the log, and what cannot be written down is not done. The
 * server lists what the command has made, changed and dropped, also by CASCADE,
 * so nothing is guessed from its text; commands without event triggers, such as
 * REASSIGN OWNED, are written down by what they change along. The rows are written as the extension's
 * owner, for any role.
 *
 * Left out are migrations, which have a ledger; scripts of extensions, which
 * stand in the log as the command that ran them; temporary objects; and the
 * server's own upgrade. What dbops has done of its own, as a policy or a call of
 * somebody says, is marked.
 */
#include "change/ddl_log.h"

#include "change/ddl_guard.h"
#include "change/migration_watch.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_trigger.h"
#include "commands/event_trigger.h"
#include "commands/extension.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "tcop/deparse_utility.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(dbops_ddl_history);
PG_FUNCTION_INFO_V1(dbops_log_ddl);

static bool is_recorded(Node *statement);
static bool lock_log(void);
static List *made_or_changed(void);
static void take_command(HeapTuple row, TupleDesc desc, void *arg);
static List *dropped(void);
static void take_dropped(HeapTuple row, TupleDesc desc, void *arg);
static bool is_worth_a_name(Oid class);
static bool names_nothing(Node *statement);
static void write_down(const char *command, bool was_dropped, List *objects, List *wholes, const char *text);
static void prune(void *arg);

static const DbopsUpkeep pruning = {
	.name = "ddl log",.every = 3600000,.elsewhere = 3600000,.run = prune
};

/* Register what is done in the background, and hear texts; called when the library is loaded. */
void
dbops_ddl_log_init(void)
{
	dbops_ddl_text_init();
	dbops_ddl_along_init();
	dbops_upkeep_register(&pruning);
}

/* log_ddl() → event_trigger */
Datum
dbops_log_ddl(PG_FUNCTION_ARGS)
{
	const EventTriggerData *event = (const EventTriggerData *) fcinfo->context;
	bool		was_dropped;
	List	   *objects;
	List	   *wholes = NIL;

	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("dbops.log_ddl() can only be called as an event trigger"),
				 errhint("It serves those of dbops; dbops.ddl_history() shows what they have written down.")));
	if (!is_recorded(event->parsetree) || !lock_log())
		PG_RETURN_NULL();

	was_dropped = (strcmp(event->event, "sql_drop") == 0);
	if (was_dropped)
		wholes = objects = dropped();
	else
		objects = dbops_ddl_along_names(made_or_changed(), &wholes);
	if (objects != NIL || (!was_dropped && names_nothing(event->parsetree)))
		write_down(CreateCommandName(event->parsetree), was_dropped, objects, wholes, dbops_ddl_text());
	PG_RETURN_NULL();
}

/* Write down, when it is done, a command that the server fires no event triggers for. */
void
dbops_ddl_log_unheard(Node *statement)
{
	List	   *objects;
	List	   *wholes;

	if (command_tag_event_trigger_ok(CreateCommandTag(statement)) || !is_recorded(statement) || !lock_log())
		return;
	CommandCounterIncrement();
	objects = dbops_ddl_along_names(NIL, &wholes);
	if (objects != NIL)
		write_down(CreateCommandName(statement), false, objects, wholes, dbops_ddl_text());
}

static bool
is_recorded(Node *statement)
{
	return dbops_record_ddl && !IsBinaryUpgrade && !creating_extension && dbops_watched == NULL &&
		(dbops_guard_kind(statement) & GUARD_SCHEMA) != 0;
}

/* False: somebody has dropped dbops, and there is nothing to write to. */
static bool
lock_log(void)
{
	Oid			schema = get_namespace_oid("dbops", true);
	Oid			log = OidIsValid(schema) ? get_relname_relid("ddl_log", schema) : InvalidOid;

	if (!OidIsValid(log))
		return false;
	LockRelationOid(log, RowExclusiveLock);
	return SearchSysCacheExists1(RELOID, ObjectIdGetDatum(log));
}

/* ---- what a command was about ---- */

static List *
made_or_changed(void)
{
	List	   *names = NIL;

	dbops_store_each_kept("SELECT classid, objid, objsubid, command FROM pg_event_trigger_ddl_commands()"
						  " WHERE NOT in_extension AND (schema_name IS NULL OR schema_name NOT IN ('pg_temp', 'dbops'))",
						  0, NULL, take_command, &names);
	return names;
}

static void
take_command(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **names = arg;
	bool		isnull;
	Datum		command = heap_getattr(row, 4, desc, &isnull);
	ObjectAddress address = {
		.classId = dbops_row_oid(row, desc, 1),
		.objectId = dbops_row_oid(row, desc, 2),
		.objectSubId = dbops_row_int4(row, desc, 3)
	};

	/* What dbops adds to itself. */
	if (address.classId == ExtensionRelationId && dbops_is_own())
		return;
	*names = dbops_ddl_names(*names, &address, (const CollectedCommand *) DatumGetPointer(command));
}

static List *
dropped(void)
{
	List	   *names = NIL;

	dbops_store_each_kept("SELECT classid, original OR normal, object_identity, address_names, address_args"
						  " FROM pg_event_trigger_dropped_objects()"
						  " WHERE NOT is_temporary AND (schema_name IS NULL OR schema_name NOT IN ('pg_toast', 'dbops'))",
						  0, NULL, take_dropped, &names);
	return names;
}

static void
take_dropped(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **names = arg;
	Oid			class = dbops_row_oid(row, desc, 1);
	char	   *name;

	if (!dbops_row_bool(row, desc, 2) && !is_worth_a_name(class))
		return;
	name = dbops_ddl_name(class, dbops_row_text(row, desc, 3), dbops_row_texts(row, desc, 4), dbops_row_texts(row, desc, 5));
	if (!dbops_ddl_is_temporary(name))
		*names = lappend(*names, name);
}

/* Of what goes with something else, as the type of a table does, is it looked for by name? */
static bool
is_worth_a_name(Oid class)
{
	return class == RelationRelationId || class == ConstraintRelationId || class == TriggerRelationId ||
		class == PolicyRelationId || class == RewriteRelationId;
}

/* Does the server not say what such a command is about? */
static bool
names_nothing(Node *statement)
{
	return IsA(statement, DropOwnedStmt) || IsA(statement, AlterDefaultPrivilegesStmt);
}

/* ---- the log ---- */

/* Write down what is no DDL, but is to be found beside it. */
void
dbops_ddl_log_note(const char *command, List *objects, const char *text)
{
	write_down(command, false, objects, NIL, text);
}

static void
write_down(const char *command, bool was_dropped, List *objects, List *wholes, const char *text)
{
	MigrationOwner user = dbops_migration_owner_current();
	DbopsParam	params[] = {
		dbops_param_time(dbops_clock_now()),
		dbops_param_text(user.name),
		dbops_param_oid(user.role),
		dbops_param_int8(user.cluster),
		dbops_param_text(dbops_migration_owner_login()),
		dbops_param_text(application_name),
		dbops_param_int4(MyProcPid),
		dbops_param_int8((int64) U64FromFullTransactionId(GetTopFullTransactionId())),
		dbops_param_text(command),
		dbops_param_bool(was_dropped),
		dbops_param_bool(dbops_is_own()),
		dbops_param_texts(objects),
		dbops_param_text(text),
		dbops_param_texts(wholes)
	};

	dbops_store_each_kept("INSERT INTO dbops.ddl_log (at, role_name, role_oid, cluster, session_role, application_name,"
						  " client_address, pid, transaction_id, command, dropped, by_dbops, objects, statement, wholes)"
						  " VALUES ($1, $2, $3, $4, $5, $6, inet_client_addr(), $7, $8, $9, $10, $11, coalesce($12, '{}'), $13, coalesce($14, '{}'))",
						  lengthof(params), params, NULL, NULL);
}

/* Delete what is older than it is kept. */
static void
prune(void *arg)
{
	DbopsParam	until = dbops_param_time(TimestampTzPlusMilliseconds(dbops_clock_now(), -60000.0 * dbops_ddl_log_age));

	dbops_store_each("DELETE FROM dbops.ddl_log WHERE at < $1", 1, &until, NULL, NULL);
}

/* ddl_history(object_name, since, until) → rows; texts only for who may read those of all */
Datum
dbops_ddl_history(PG_FUNCTION_ARGS)
{
	DbopsParam	params[] = {
		dbops_param_text(dbops_text_argument(fcinfo, 0)),
		dbops_param_time(PG_ARGISNULL(1) ? DT_NOBEGIN : PG_GETARG_TIMESTAMPTZ(1)),
		dbops_param_time(PG_ARGISNULL(2) ? DT_NOEND : PG_GETARG_TIMESTAMPTZ(2)),
		dbops_param_bool(has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS))
	};

	InitMaterializedSRF(fcinfo, 0);
	dbops_store_report((ReturnSetInfo *) fcinfo->resultinfo,
					   "SELECT at, role_name, session_role, application_name, client_address, pid, transaction_id,"
					   " command, dropped, by_dbops, objects, CASE WHEN $4 THEN statement END"
					   " FROM dbops.ddl_log WHERE at >= $2 AND at < $3 AND ($1 IS NULL OR"
					   " EXISTS (SELECT FROM unnest(objects) o WHERE o = $1 OR starts_with(o, $1 || '.')))"
					   " ORDER BY at, pid, dropped DESC",
					   lengthof(params), params);
	return (Datum) 0;
}
