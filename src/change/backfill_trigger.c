/*
 * backfill_trigger.c
 *		Put triggers of ours on a user's table, and take them away.
 *
 * A trigger is made and dropped under a lock that others may hold for long and
 * that, once it is asked for, holds up everybody who comes after. So it is
 * asked for briefly: the tables of a tree together get no longer than a batch
 * gets for its locks, and when that does not do, all of them are given back
 * and the caller tries again in a later step.
 *
 * The triggers belong to the table as any other does: partitions that come
 * later get a clone, which the server makes with the rights of who creates them.
 * So the owner of a partitioned table may execute its function meanwhile
 * (trigger_rights.c). All is done as the extension's owner, by the server's code for CREATE TRIGGER and not
 * by its text, which would name a table that may have another name by now. They
 * fire always, so that they also hold for changes that a subscription applies.
 */
#include "change/change.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "nodes/parsenodes.h"
#include "nodes/value.h"
#include "parser/parse_func.h"
#include "parser/parser.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#define TRIGGER_SCHEMA "dbops"

/* A trigger on its way through the callbacks. */
typedef struct TriggerWork
{
	Oid			relid;
	const char *name;
	const char *events;			/* as in CREATE TRIGGER, such as "BEFORE INSERT OR UPDATE" */
	const char *condition;		/* what would stand behind WHEN; or NULL */
	const char *function;		/* of schema dbops */
	List	   *args;			/* char * */
} TriggerWork;

static bool try(DbopsCallback work, TriggerWork *trigger);
static void create(void *arg);
static void create_as_extension(void *arg);
static void drop(void *arg);
static void drop_as_extension(void *arg);
static void with_snapshot(DbopsCallback work, void *arg);
static void lock_tree(Oid relid, LOCKMODE mode);
static bool is_there(const TriggerWork *work, Oid function);
static void refuse_other(const TriggerWork *work);
static bool has_arguments(const Trigger *trigger, List *args);
static Trigger *find(Relation rel, const char *name);
static CreateTrigStmt *statement(const TriggerWork *work);

/*
 * Make a trigger, unless it is there already; false if the table's lock could
 * not be had now. A trigger of that name that is another's is an error.
 */
bool
dbops_backfill_trigger_create(Oid relid, const char *name, const char *events,
							  const char *function, List *args)
{
	return dbops_backfill_trigger_create_when(relid, name, events, NULL, function, args);
}

/* The same, to fire only under a condition. */
bool
dbops_backfill_trigger_create_when(Oid relid, const char *name, const char *events,
								   const char *condition, const char *function, List *args)
{
	TriggerWork work = {
		.relid = relid,.name = name,.events = events,.condition = condition,
		.function = function,.args = args
	};

	return try(create, &work);
}

/*
 * Drop a trigger of ours; false if the table's lock could not be had now. It
 * is no error if there is none, or no table.
 */
bool
dbops_backfill_trigger_drop(Oid relid, const char *name)
{
	TriggerWork work = {.relid = relid,.name = name};

	if (!OidIsValid(get_trigger_oid(relid, name, true)))
		return true;
	return try(drop, &work);
}

/* The statement that drops a trigger, for messages. */
char *
dbops_backfill_trigger_drop_statement(Oid relid, const char *name)
{
	return psprintf("DROP TRIGGER %s ON %s;", quote_identifier(name), dbops_quote_relation(relid));
}

/* Do it, or undo all of it if others hold the locks. */
static bool
try(DbopsCallback work, TriggerWork *trigger)
{
	ErrorData  *error;

	if (dbops_attempt(work, trigger, &error))
		return true;
	if (!dbops_polite_gave_way(error->sqlerrcode))
		ReThrowError(error);
	FreeErrorData(error);
	return false;
}

static void
create(void *arg)
{
	with_snapshot(create_as_extension, arg);
}

static void
create_as_extension(void *arg)
{
	TriggerWork *work = arg;
	Oid			function;

	function = LookupFuncName(list_make2(makeString(TRIGGER_SCHEMA),
										 makeString(pstrdup(work->function))),
							  0, NULL, false);
	lock_tree(work->relid, ShareRowExclusiveLock);
	if (is_there(work, function))
		return;
	dbops_trigger_grant(work->relid, function);
	CreateTriggerFiringOn(statement(work), NULL, work->relid, InvalidOid, InvalidOid,
						  InvalidOid, function, InvalidOid, NULL, false, false,
						  TRIGGER_FIRES_ALWAYS);
}

static void
drop(void *arg)
{
	with_snapshot(drop_as_extension, arg);
}

static void
drop_as_extension(void *arg)
{
	TriggerWork *work = arg;
	ObjectAddress address = {.classId = TriggerRelationId};
	Relation	rel;
	Trigger    *trigger;

	lock_tree(work->relid, AccessExclusiveLock);
	rel = try_table_open(work->relid, NoLock);
	if (rel == NULL)
		return;
	trigger = find(rel, work->name);
	if (trigger != NULL && !trigger->tgisclone &&
		get_func_namespace(trigger->tgfoid) == get_namespace_oid(TRIGGER_SCHEMA, false))
		address.objectId = trigger->tgoid;
	table_close(rel, NoLock);
	if (OidIsValid(address.objectId))
		performDeletion(&address, DROP_RESTRICT, 0);
}

/* Catalogs with long values are changed under a snapshot. */
static void
with_snapshot(DbopsCallback work, void *arg)
{
	PushActiveSnapshot(GetTransactionSnapshot());
	dbops_run_as_extension(work, arg);
	PopActiveSnapshot();
}

/*
 * Lock a table, and the partitions below it, in the order in which the server
 * does, waiting for all of them together no longer than a batch may.
 */
static void
lock_tree(Oid relid, LOCKMODE mode)
{
	List	   *tables = list_make1_oid(relid);
	instr_time	begin;
	long		limit;
	ListCell   *cell;

	dbops_polite_bound_lock_waits();
	limit = LockTimeout;
	INSTR_TIME_SET_CURRENT(begin);
	if (get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE)
		tables = find_all_inheritors(relid, NoLock, NULL);
	foreach(cell, tables)
	{
		instr_time	took;

		INSTR_TIME_SET_CURRENT(took);
		INSTR_TIME_SUBTRACT(took, begin);
		dbops_set_nested("lock_timeout",
						 psprintf("%ld", Max(limit - (long) INSTR_TIME_GET_MILLISEC(took), 1)));
		LockRelationOid(lfirst_oid(cell), mode);
	}
}

/*
 * Has the table the trigger already? Jobs have numbers of their own in each
 * database; so one of ours with the same number and other arguments came from
 * another database, with a dump, and makes room.
 */
static bool
is_there(const TriggerWork *work, Oid function)
{
	Relation	rel = table_open(work->relid, NoLock);
	const Trigger *trigger = find(rel, work->name);
	bool		found = (trigger != NULL);
	ObjectAddress stray = {.classId = TriggerRelationId};

	if (found && trigger->tgfoid != function)
		refuse_other(work);
	if (found && !has_arguments(trigger, work->args))
		stray.objectId = trigger->tgoid;
	table_close(rel, NoLock);
	if (!OidIsValid(stray.objectId))
		return found;
	lock_tree(work->relid, AccessExclusiveLock);
	performDeletion(&stray, DROP_RESTRICT, 0);
	CommandCounterIncrement();
	return false;
}

static void
refuse_other(const TriggerWork *work)
{
	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_OBJECT),
			 errmsg("table \"%s\" has a trigger \"%s\" that is not this backfill's",
					get_rel_name(work->relid), work->name),
			 errhint("Rename it: ALTER TRIGGER %s ON %s RENAME TO ...;",
					 quote_identifier(work->name),
					 dbops_quote_relation(work->relid))));
}

static bool
has_arguments(const Trigger *trigger, List *args)
{
	if (trigger->tgnargs != list_length(args))
		return false;
	for (int i = 0; i < trigger->tgnargs; i++)
		if (strcmp(trigger->tgargs[i], list_nth(args, i)) != 0)
			return false;
	return true;
}

static Trigger *
find(Relation rel, const char *name)
{
	TriggerDesc *triggers = rel->trigdesc;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
		if (strcmp(triggers->triggers[i].tgname, name) == 0)
			return &triggers->triggers[i];
	return NULL;
}

/* Have the server's parser make the statement; the table and the function are given by OID. */
static CreateTrigStmt *
statement(const TriggerWork *work)
{
	StringInfoData sql;
	ListCell   *cell;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TRIGGER %s %s ON t FOR EACH ROW%s%s%s EXECUTE FUNCTION %s(",
					 quote_identifier(work->name), work->events,
					 work->condition ? " WHEN (" : "", work->condition ? work->condition : "",
					 work->condition ? ")" : "", quote_identifier(work->function));
	foreach(cell, work->args)
		appendStringInfo(&sql, "%s%s", cell == list_head(work->args) ? "" : ", ",
						 quote_literal_cstr(lfirst(cell)));
	appendStringInfoChar(&sql, ')');
	return castNode(CreateTrigStmt,
					linitial_node(RawStmt, raw_parser(sql.data, RAW_PARSE_DEFAULT))->stmt);
}
