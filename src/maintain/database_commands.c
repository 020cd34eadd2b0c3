/*
 * database_commands.c
 *		DROP DATABASE and other commands that need a database to themselves.
 *
 * The server makes them fail while anybody else is connected, and dbops is
 * connected where jobs run. So before such a command dbops leaves the database
 * and stays out of it until the command's transaction ends: jobs go on
 * afterwards, where the database is still there. This is done only for who has
 * the right to the command; all others get the server's error, and the jobs
 * notice nothing. The right is judged as the server judges it.
 *
 * Other commands only change what a scheduler should know at once.
 */
#include "maintain/maintain.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_tablespace.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "commands/tablespace.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

/* Who names no template copies this database. */
#define DEFAULT_TEMPLATE	"template1"

/* What is to be done after a command has succeeded. */
typedef struct Aftermath
{
	bool		prepared;		/* what was prepared is committed: look now */
	Oid			database;		/* look there at COMMIT; InvalidOid: nowhere */
	bool		stop;			/* and first stop what runs there */
	bool		forget;			/* this database has dbops no more */
} Aftermath;

static ProcessUtility_hook_type previous_hook = NULL;

static void process_utility(PlannedStmt *pstmt, const char *query, bool read_only_tree,
							ProcessUtilityContext context, ParamListInfo params,
							QueryEnvironment *environment, DestReceiver *dest,
							QueryCompletion *completion);
static Oid	database_to_leave(Node *statement, bool top_level);
static Oid	left_for_drop(const DropdbStmt *statement);
static Oid	left_for_copy(const CreatedbStmt *statement);
static bool may_create_for(const char *owner);
static Oid	left_for_move(const AlterDatabaseStmt *statement);
static Oid	left_for_rename(const RenameStmt *statement);
static Oid	left_for_drop_extension(const DropStmt *statement);
static Oid	left_for_extension(const char *name);
static Oid	other_database(const char *name);
static const char *option_text(List *options, const char *name);
static bool may_create_databases(void);
static bool is_template(Oid database);
static Aftermath plan_aftermath(Node *statement);
static Aftermath after_setting(const char *database, VariableSetStmt *setting);
static void do_aftermath(const Aftermath *aftermath);
static void look_at_prepared(void);
static bool is_looked_after(void);
static void forget_here(void *unused);
static void wake(void *database);
static void stop_and_wake(void *database);

/* Look at commands before the server does; called when the library is loaded. */
void
dbops_database_commands_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;
	previous_hook = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
}

static void
process_utility(PlannedStmt *pstmt, const char *query, bool read_only_tree,
				ProcessUtilityContext context, ParamListInfo params,
				QueryEnvironment *environment, DestReceiver *dest,
				QueryCompletion *completion)
{
	Oid			database = database_to_leave(pstmt->utilityStmt,
											 context == PROCESS_UTILITY_TOPLEVEL);
	Aftermath	aftermath = plan_aftermath(pstmt->utilityStmt);

	if (OidIsValid(database))
		dbops_engine_hold(database);
	if (previous_hook != NULL)
		previous_hook(pstmt, query, read_only_tree, context, params, environment, dest, completion);
	else
		standard_ProcessUtility(pstmt, query, read_only_tree, context, params, environment, dest, completion);
	do_aftermath(&aftermath);
}

/* ---- commands that need a database to themselves ---- */

/*
 * Which database the command needs to itself, if the caller may run it;
 * InvalidOid: none, or the command is going to fail anyway.
 */
static Oid
database_to_leave(Node *statement, bool top_level)
{
	bool		alone = !IsInTransactionBlock(top_level);

	if (XactReadOnly)
		return InvalidOid;
	switch (nodeTag(statement))
	{
		case T_DropdbStmt:
			return alone ? left_for_drop((DropdbStmt *) statement) : InvalidOid;
		case T_CreatedbStmt:
			return alone ? left_for_copy((CreatedbStmt *) statement) : InvalidOid;
		case T_AlterDatabaseStmt:
			return alone ? left_for_move((AlterDatabaseStmt *) statement) : InvalidOid;
		case T_RenameStmt:
			return left_for_rename((RenameStmt *) statement);
		case T_DropStmt:
			return left_for_drop_extension((DropStmt *) statement);
		case T_AlterExtensionStmt:
			return left_for_extension(((AlterExtensionStmt *) statement)->extname);
		default:
			return InvalidOid;
	}
}

/* DROP DATABASE: for the owner; neither a template nor the present database. */
static Oid
left_for_drop(const DropdbStmt *statement)
{
	Oid			database = other_database(statement->dbname);

	return is_template(database) ? InvalidOid : database;
}

/* CREATE DATABASE: who may create one may copy a template, or what is his. */
static Oid
left_for_copy(const CreatedbStmt *statement)
{
	const char *name = option_text(statement->options, "template");
	Oid			template = get_database_oid(name ? name : DEFAULT_TEMPLATE, true);

	if (!OidIsValid(template) || OidIsValid(get_database_oid(statement->dbname, true)) ||
		!may_create_databases() || !may_create_for(option_text(statement->options, "owner")))
		return InvalidOid;
	if (is_template(template) || object_ownercheck(DatabaseRelationId, template, GetUserId()))
		return template;
	return InvalidOid;
}

static bool
may_create_for(const char *owner)
{
	Oid			role = (owner == NULL) ? GetUserId() : get_role_oid(owner, true);

	return OidIsValid(role) && member_can_set_role(GetUserId(), role);
}

/* ALTER DATABASE ... SET TABLESPACE: for the owner who may create there. */
static Oid
left_for_move(const AlterDatabaseStmt *statement)
{
	const char *name = option_text(statement->options, "tablespace");
	Oid			tablespace = (name == NULL) ? InvalidOid : get_tablespace_oid(name, true);

	if (!OidIsValid(tablespace) ||
		object_aclcheck(TableSpaceRelationId, tablespace, GetUserId(), ACL_CREATE) != ACLCHECK_OK)
		return InvalidOid;
	return other_database(statement->dbname);
}

/* ALTER DATABASE ... RENAME: for the owner who may create databases. */
static Oid
left_for_rename(const RenameStmt *statement)
{
	if (statement->renameType != OBJECT_DATABASE || !may_create_databases() ||
		OidIsValid(get_database_oid(statement->newname, true)))
		return InvalidOid;
	return other_database(statement->subname);
}

static Oid
left_for_drop_extension(const DropStmt *statement)
{
	ListCell   *cell;

	if (statement->removeType != OBJECT_EXTENSION)
		return InvalidOid;
	foreach(cell, statement->objects)
	{
		Oid			database = left_for_extension(strVal(lfirst(cell)));

		if (OidIsValid(database))
			return database;
	}
	return InvalidOid;
}

/* This database, if the extension is dbops and the caller its owner. */
static Oid
left_for_extension(const char *name)
{
	Oid			extension;

	if (strcmp(name, "dbops") != 0)
		return InvalidOid;
	extension = get_extension_oid(name, true);
	if (!OidIsValid(extension) || !object_ownercheck(ExtensionRelationId, extension, GetUserId()))
		return InvalidOid;
	return MyDatabaseId;
}

/* Find a database of the caller's that is not the present one. */
static Oid
other_database(const char *name)
{
	Oid			database = get_database_oid(name, true);

	if (!OidIsValid(database) || database == MyDatabaseId ||
		!object_ownercheck(DatabaseRelationId, database, GetUserId()))
		return InvalidOid;
	return database;
}

static const char *
option_text(List *options, const char *name)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *option = lfirst(cell);

		if (strcmp(option->defname, name) == 0 && option->arg != NULL)
			return defGetString(option);
	}
	return NULL;
}

static bool
may_create_databases(void)
{
	HeapTuple	role;
	bool		may = superuser();

	if (may)
		return true;
	role = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetUserId()));
	if (HeapTupleIsValid(role))
	{
		may = ((Form_pg_authid) GETSTRUCT(role))->rolcreatedb;
		ReleaseSysCache(role);
	}
	return may;
}

static bool
is_template(Oid database)
{
	HeapTuple	row = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database));
	bool		template = false;

	if (HeapTupleIsValid(row))
	{
		template = ((Form_pg_database) GETSTRUCT(row))->datistemplate;
		ReleaseSysCache(row);
	}
	return template;
}

/* ---- commands that change what a scheduler should know ---- */

/* Read what is to be done afterwards, while the statement is still there. */
static Aftermath
plan_aftermath(Node *statement)
{
	Aftermath	aftermath = {0};

	if (IsA(statement, TransactionStmt))
		aftermath.prepared = (((TransactionStmt *) statement)->kind == TRANS_STMT_COMMIT_PREPARED);
	else if (IsA(statement, AlterDatabaseSetStmt))
	{
		AlterDatabaseSetStmt *alter = (AlterDatabaseSetStmt *) statement;

		aftermath = after_setting(alter->dbname, alter->setstmt);
	}
	else if (IsA(statement, AlterRoleSetStmt))
	{
		AlterRoleSetStmt *alter = (AlterRoleSetStmt *) statement;

		if (alter->role == NULL && alter->database != NULL)
			aftermath = after_setting(alter->database, alter->setstmt);
	}
	else if (IsA(statement, DropStmt))
		aftermath.forget = OidIsValid(left_for_drop_extension((DropStmt *) statement));
	return aftermath;
}

/* A process takes over its database's settings when it starts, and only then. */
static Aftermath
after_setting(const char *database, VariableSetStmt *setting)
{
	Aftermath	aftermath = {0};
	const char *value;
	bool		on;

	if (setting->kind != VAR_RESET_ALL && pg_strncasecmp(setting->name, "dbops.", 6) != 0)
		return aftermath;
	aftermath.database = get_database_oid(database, true);
	if (setting->kind != VAR_RESET_ALL && pg_strcasecmp(setting->name, "dbops.enabled") == 0)
	{
		value = ExtractSetVariableArgs(setting);
		aftermath.stop = (value != NULL && parse_bool(value, &on) && !on);
	}
	return aftermath;
}

static void
do_aftermath(const Aftermath *aftermath)
{
	Oid		   *database;

	if (aftermath->prepared)
		look_at_prepared();
	if (aftermath->forget)
		dbops_at_commit_only(forget_here, NULL, NULL);
	if (!OidIsValid(aftermath->database))
		return;
	database = MemoryContextAlloc(TopTransactionContext, sizeof(Oid));
	*database = aftermath->database;
	dbops_at_commit(aftermath->stop ? stop_and_wake : wake, database);
}

/* What was committed may be that dbops is gone from here. */
static void
look_at_prepared(void)
{
	if (OidIsValid(get_extension_oid("dbops", true)))
	{
		dbops_override_refresh();
		dbops_upkeep_request(MyDatabaseId, "alerts");
	}
	else if (is_looked_after())
	{
		forget_here(NULL);
		dbops_engine_wake_database(MyDatabaseId);
	}
}

/* Is dbops here, as far as those who look after the database know? */
static bool
is_looked_after(void)
{
	const DatabaseEntry *entry;
	bool		active;

	LWLockAcquire(dbops_engine_lock, LW_SHARED);
	entry = dbops_engine_database(MyDatabaseId, false);
	active = (entry != NULL && entry->state == DATABASE_ACTIVE);
	LWLockRelease(dbops_engine_lock);
	return active;
}

static void
forget_here(void *unused)
{
	dbops_forget_database(MyDatabaseId);
}

static void
wake(void *database)
{
	dbops_engine_wake_database(*(Oid *) database);
}

static void
stop_and_wake(void *database)
{
	dbops_engine_stop_runners(*(Oid *) database);
	dbops_engine_wake_database(*(Oid *) database);
}
