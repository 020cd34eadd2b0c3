/*
 * ddl_guard.c
 *		Look at DDL on its way to the server, whoever sends it.
 *
 * A statement is looked at once: as a client, a function, a DO block or a
 * prepared statement gives it, and not the parts that the server makes of it. What
 * an extension's script does, a parallel worker or a statement of dbops' own is
 * not looked at.
 */
#include "change/ddl_guard.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "tcop/utility.h"

/* What the hook was called with. */
typedef struct Utility
{
	PlannedStmt *statement;
	const char *query;
	bool		read_only_tree;
	ProcessUtilityContext context;
	ParamListInfo params;
	QueryEnvironment *environment;
	DestReceiver *dest;
	QueryCompletion *completion;
} Utility;

static ProcessUtility_hook_type previous_hook = NULL;

static void process_utility(PlannedStmt *statement, const char *query, bool read_only_tree,
							ProcessUtilityContext context, ParamListInfo params,
							QueryEnvironment *environment, DestReceiver *dest,
							QueryCompletion *completion);
static GuardKind what_to_ask(const Utility *utility);
static bool is_on(void);
static bool is_guarded(void);
static bool is_looked_at(GuardKind kind);
static bool look_at(GuardedStatement *guarded);
static void pass_on(void *arg);

/* Have all that clients send pass here; called when the library is loaded. */
void
dbops_ddl_guard_init(void)
{
	if (IsBinaryUpgrade)
		return;
	previous_hook = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
}

static void
process_utility(PlannedStmt *statement, const char *query, bool read_only_tree,
				ProcessUtilityContext context, ParamListInfo params,
				QueryEnvironment *environment, DestReceiver *dest,
				QueryCompletion *completion)
{
	Utility		utility = {statement, query, read_only_tree, context, params, environment, dest, completion};
	GuardedStatement guarded = {
		.node = statement->utilityStmt,
		.query = query,
		.location = statement->stmt_location,
		.length = statement->stmt_len,
		.kind = what_to_ask(&utility)
	};
	bool		note = false;

	if (is_looked_at(guarded.kind))
		note = look_at(&guarded);
	if ((guarded.kind & GUARD_WAITS) != 0 && dbops_ddl_lock_timeout > 0)
		dbops_guard_bound_waits(guarded.node, pass_on, &utility);
	else
		pass_on(&utility);
	if (note)
		dbops_guard_note_done(&guarded);
}

/* The cheapest questions come first. */
static GuardKind
what_to_ask(const Utility *utility)
{
	GuardKind	kind;

	if (!is_on() || utility->context == PROCESS_UTILITY_SUBCOMMAND)
		return 0;
	kind = dbops_guard_kind(dbops_guard_subject(utility->statement->utilityStmt));
	return (kind != 0 && is_guarded()) ? kind : 0;
}

static bool
is_on(void)
{
	return dbops_ddl_guard != DBOPS_GUARD_OFF || dbops_ddl_lock_timeout > 0 || dbops_require_migration;
}

/* Is what runs now somebody's own wish, and can it be done? */
static bool
is_guarded(void)
{
	return !creating_extension && !IsParallelWorker() && !dbops_is_own() &&
		IsTransactionState() && !RecoveryInProgress();
}

static bool
is_looked_at(GuardKind kind)
{
	return ((kind & GUARD_SCHEMA) != 0 && dbops_require_migration) ||
		((kind & GUARD_RULES) != 0 && dbops_ddl_guard != DBOPS_GUARD_OFF);
}

/* True: it is to be noted when it is done. Whatever memory that takes is given back. */
static bool
look_at(GuardedStatement *guarded)
{
	MemoryContext memory = AllocSetContextCreate(CurrentMemoryContext, "dbops ddl guard", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(memory);
	bool		note = false;

	guarded->node = dbops_guard_subject(guarded->node);
	guarded->command = CreateCommandName(guarded->node);
	if (dbops_guard_looks() && !dbops_guard_is_temporary(guarded->node))
	{
		if ((guarded->kind & GUARD_SCHEMA) != 0 && dbops_require_migration)
			note = dbops_guard_require_migration(guarded);
		if ((guarded->kind & GUARD_RULES) != 0 && dbops_ddl_guard != DBOPS_GUARD_OFF)
			dbops_guard_tell(guarded);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(memory);
	return note;
}

static void
pass_on(void *arg)
{
	const Utility *utility = arg;
	ProcessUtility_hook_type next = (previous_hook != NULL) ? previous_hook : standard_ProcessUtility;

	next(utility->statement, utility->query, utility->read_only_tree, utility->context,
		 utility->params, utility->environment, utility->dest, utility->completion);
}
