/*
 * ddl_log_text.c
 *		Which text does what is recorded?
 *
 * An event trigger is not told the text of the command that it fires for. So
 * it is kept while a command runs: that of the innermost one, which may be a
 * function's. In a session that has not loaded the library before its command,
 * the text is not known.
 */
#include "change/ddl_log.h"

#include "change/ddl_guard.h"

#include "miscadmin.h"
#include "tcop/utility.h"

/* Bytes of a text that are kept. */
#define MOST_TEXT	10000

static ProcessUtility_hook_type previous_hook = NULL;

/* What runs, with what it is within; NULL: nothing does. */
static const GuardedStatement *running = NULL;

static void process_utility(PlannedStmt *statement, const char *query, bool read_only_tree,
							ProcessUtilityContext context, ParamListInfo params,
							QueryEnvironment *environment, DestReceiver *dest,
							QueryCompletion *completion);
static ProcessUtility_hook_type next_hook(void);

/* Have all that clients send pass here. */
void
dbops_ddl_text_init(void)
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
	const GuardedStatement *outer = running;
	GuardedStatement current = {
		.node = statement->utilityStmt,
		.query = query,
		.location = statement->stmt_location,
		.length = statement->stmt_len
	};
	DdlAlong	along = {.statement = statement->utilityStmt,.parent = CurrentMemoryContext};
	DdlAlong   *outer_along;

	if (context == PROCESS_UTILITY_SUBCOMMAND || (dbops_guard_kind(current.node) & GUARD_SCHEMA) == 0)
	{
		next_hook() (statement, query, read_only_tree, context, params, environment, dest, completion);
		return;
	}
	running = &current;
	outer_along = dbops_ddl_along_begin(&along);
	PG_TRY();
	{
		next_hook() (statement, query, read_only_tree, context, params, environment, dest, completion);
		dbops_ddl_log_unheard(current.node);
	}
	PG_FINALLY();
	{
		dbops_ddl_along_end(outer_along);
		running = outer;
	}
	PG_END_TRY();
}

static ProcessUtility_hook_type
next_hook(void)
{
	return (previous_hook != NULL) ? previous_hook : standard_ProcessUtility;
}

/* The text of the command that runs, cut where it is long; NULL: it is not known, or may hold a password. */
char *
dbops_ddl_text(void)
{
	char	   *text = (running != NULL) ? dbops_guard_source(running) : NULL;

	if (text == NULL)
		return NULL;
	text += strspn(text, " \t\r\n");
	if (strlen(text) <= MOST_TEXT)
		return text;
	return psprintf("%.*s ...", (int) dbops_text_clip(text, MOST_TEXT), text);
}
