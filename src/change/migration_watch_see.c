/*
 * migration_watch_see.c
 *		See what the server does while a statement is watched, by its hooks.
 *
 * Each of them passes on what it was called for, and notes it in every watch
 * there is. A subtransaction that ends takes what it has done with it, or hands
 * it to its parent.
 */
#include "change/migration_watch.h"

#include "access/xact.h"
#include "executor/executor.h"
#include "tcop/utility.h"

static object_access_hook_type previous_object_hook = NULL;
static ExecutorCheckPerms_hook_type previous_permissions_hook = NULL;
static ProcessUtility_hook_type previous_utility_hook = NULL;

/* Called before and after each command of what is watched, nested ones too; or NULL. */
MigrationCommandCallback dbops_migration_command_begins = NULL;
void		(*dbops_migration_command_ends) (void) = NULL;

static void see_object(ObjectAccessType access, Oid class, Oid object, int part, void *arg);
static bool see_tables(CHECK_PERMISSIONS_ARGUMENTS);
static void see_table(const PermissionEntry *entry);
static void see_command(PlannedStmt *statement, const char *query, bool read_only_tree,
						ProcessUtilityContext context, ParamListInfo params,
						QueryEnvironment *environment, DestReceiver *dest,
						QueryCompletion *completion);
static void end_subxact(SubXactEvent event, SubTransactionId mine, SubTransactionId parent,
						void *arg);

void
dbops_watch_see_init(void)
{
	previous_object_hook = object_access_hook;
	object_access_hook = see_object;
	previous_permissions_hook = ExecutorCheckPerms_hook;
	ExecutorCheckPerms_hook = see_tables;
	previous_utility_hook = ProcessUtility_hook;
	ProcessUtility_hook = see_command;
	RegisterSubXactCallback(end_subxact, NULL);
}

/* Note what the server writes into its catalogs. */
static void
see_object(ObjectAccessType access, Oid class, Oid object, int part, void *arg)
{
	if (previous_object_hook != NULL)
		previous_object_hook(access, class, object, part, arg);
	for (Watch *watch = dbops_watched; watch != NULL; watch = watch->outer)
		dbops_objects_note(&watch->events, access, class, object, part, arg);
}

/* Note the tables whose rows are read or written. */
static bool
see_tables(CHECK_PERMISSIONS_ARGUMENTS)
{
	ListCell   *lc;

	if (dbops_watched != NULL)
		foreach(lc, permissions)
			see_table(lfirst(lc));
	return previous_permissions_hook == NULL ||
		previous_permissions_hook(CHECK_PERMISSIONS_PASSED);
}

static void
see_table(const PermissionEntry *entry)
{
	for (Watch *watch = dbops_watched; watch != NULL; watch = watch->outer)
		if (OidIsValid(entry->relid) && entry->requiredPerms != 0)
			dbops_objects_note_use(&watch->events, entry->relid,
								   (entry->requiredPerms & ~ACL_SELECT) != 0);
}

/*
 * Note what a command changes by its name only, when it has done so. Of others
 * nothing may be looked at then: one that ends a transaction is gone with it.
 */
static void
see_command(PlannedStmt *statement, const char *query, bool read_only_tree,
			ProcessUtilityContext context, ParamListInfo params,
			QueryEnvironment *environment, DestReceiver *dest, QueryCompletion *completion)
{
	bool		silent = dbops_watched != NULL && dbops_silent_is(statement->utilityStmt);
	int			events = dbops_watched == NULL ? 0 : dbops_objects_count(&dbops_watched->events);

	if (dbops_watched != NULL && dbops_migration_command_begins != NULL)
		dbops_migration_command_begins(statement->utilityStmt);
	if (previous_utility_hook != NULL)
		previous_utility_hook(statement, query, read_only_tree, context, params,
							  environment, dest, completion);
	else
		standard_ProcessUtility(statement, query, read_only_tree, context, params,
								environment, dest, completion);
	if (dbops_watched != NULL && dbops_migration_command_ends != NULL)
		dbops_migration_command_ends();
	if (!silent || dbops_objects_count(&dbops_watched->events) != events)
		return;
	for (Watch *watch = dbops_watched; watch != NULL; watch = watch->outer)
		dbops_silent_note(&watch->events, statement->utilityStmt);
}

static void
end_subxact(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	for (Watch *watch = dbops_watched; watch != NULL; watch = watch->outer)
	{
		if (event == SUBXACT_EVENT_ABORT_SUB)
			dbops_objects_forget(&watch->events, mine);
		else if (event == SUBXACT_EVENT_COMMIT_SUB)
			dbops_objects_adopt(&watch->events, mine, parent);
	}
}
