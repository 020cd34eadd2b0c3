/*
 * sql.c
 *		A user's statement: what the server asks of it, and running it.
 *
 * Nothing is looked up to tell what a statement needs: it is told from the
 * server's own parse, so what the text names need not exist yet.
 *
 * SPI cannot run VACUUM or a concurrent index build, since those refuse to
 * stand inside anything. So a statement gets a portal, as a client's would.
 */
#include "core/sql.h"

#include "commands/defrem.h"
#include "parser/analyze.h"
#include "tcop/pquery.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"

/* A statement of ours on its way. */
typedef struct OwnStatement
{
	RawStmt    *raw;
	const char *sql;
	bool		alone;
	uint64		rows;
} OwnStatement;

static bool reindexes_concurrently(const ReindexStmt *statement);
static bool detaches_concurrently(const AlterTableStmt *statement);
static bool calls_dbops(const CallStmt *statement);
static bool moves_database(const AlterDatabaseStmt *statement);
static void run_own(void *arg);
static List *plan(RawStmt *raw, const char *sql);

/* Parse a text; an error points into that text, not into the caller's query. */
List *
dbops_sql_parse(const char *sql, RawParseMode mode)
{
	ErrorContextCallback context = {
		.previous = error_context_stack,
		.callback = dbops_sql_point,
		.arg = unconstify(char *, sql)
	};
	List	   *parsed;

	error_context_stack = &context;
	parsed = raw_parser(sql, mode);
	error_context_stack = context.previous;
	return parsed;
}

/* Error context: show an error's position in the text that dbops gave the server. */
void
dbops_sql_point(void *sql)
{
	int			position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery((const char *) sql);
	}
}

/* Does the server refuse this beside others, or inside a transaction? */
bool
dbops_sql_must_be_alone(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_VacuumStmt:
			return ((VacuumStmt *) statement)->is_vacuumcmd;
		case T_ReindexStmt:
			return reindexes_concurrently((ReindexStmt *) statement) ||
				((ReindexStmt *) statement)->kind >= REINDEX_OBJECT_SCHEMA;
		case T_ClusterStmt:
			return ((ClusterStmt *) statement)->relation == NULL;
		case T_AlterDatabaseStmt:
			return moves_database((AlterDatabaseStmt *) statement);
		case T_DiscardStmt:
			return ((DiscardStmt *) statement)->target == DISCARD_ALL;
		case T_CreatedbStmt:
		case T_DropdbStmt:
		case T_CreateTableSpaceStmt:
		case T_DropTableSpaceStmt:
		case T_AlterSystemStmt:
		case T_CreateSubscriptionStmt:
		case T_AlterSubscriptionStmt:
		case T_DropSubscriptionStmt:
			return true;
		case T_CallStmt:
			return calls_dbops((CallStmt *) statement);
		default:
			return dbops_sql_is_concurrent(statement);
	}
}

/* Does it wait for all older snapshots and lockers, in several transactions? */
bool
dbops_sql_is_concurrent(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_ReindexStmt:
			return reindexes_concurrently((ReindexStmt *) statement);
		case T_IndexStmt:
			return ((IndexStmt *) statement)->concurrent;
		case T_DropStmt:
			return ((DropStmt *) statement)->concurrent;
		case T_AlterTableStmt:
			return detaches_concurrently((AlterTableStmt *) statement);
		default:
			return false;
	}
}

static bool
reindexes_concurrently(const ReindexStmt *statement)
{
	ListCell   *cell;

	foreach(cell, statement->params)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, "concurrently") == 0)
			return defGetBoolean(option);
	}
	return false;
}

static bool
detaches_concurrently(const AlterTableStmt *statement)
{
	ListCell   *cell;

	foreach(cell, statement->cmds)
	{
		AlterTableCmd *command = lfirst_node(AlterTableCmd, cell);

		if (command->subtype == AT_DetachPartition &&
			((PartitionCmd *) command->def)->concurrent)
			return true;
	}
	return false;
}

/* Our procedures commit on the way. */
static bool
calls_dbops(const CallStmt *statement)
{
	const List *name = statement->funccall->funcname;

	return list_length(name) > 1 &&
		strcmp(strVal(list_nth(name, list_length(name) - 2)), "dbops") == 0;
}

static bool
moves_database(const AlterDatabaseStmt *statement)
{
	ListCell   *cell;

	foreach(cell, statement->options)
		if (strcmp(lfirst_node(DefElem, cell)->defname, "tablespace") == 0)
			return true;
	return false;
}

/*
 * Run one statement through a portal, in the caller's memory; only one that is
 * alone is at top level. What it returns goes to the receiver.
 */
void
dbops_sql_run(RawStmt *raw, const char *sql, bool alone,
			  DestReceiver *receiver, QueryCompletion *completion)
{
	List	   *plans = plan(raw, sql);
	Portal		portal = CreateNewPortal();
	int16		format = 0;

	portal->visible = false;
	PortalDefineQuery(portal, NULL, sql, CreateCommandTag(raw->stmt), plans, NULL);
	PortalStart(portal, NULL, 0, InvalidSnapshot);
	PortalSetResultFormat(portal, 1, &format);
	run_portal(portal, alone, receiver, completion);
	PortalDrop(portal, false);
	if (!alone)
		CommandCounterIncrement();
}

/* The same for a statement that dbops has written; returns the number of rows. */
uint64
dbops_sql_run_own(RawStmt *raw, const char *sql, bool alone)
{
	OwnStatement statement = {.raw = raw,.sql = sql,.alone = alone};

	dbops_as_own(run_own, &statement);
	return statement.rows;
}

static void
run_own(void *arg)
{
	OwnStatement *statement = arg;
	QueryCompletion completion;

	InitializeQueryCompletion(&completion);
	dbops_sql_run(statement->raw, statement->sql, statement->alone, None_Receiver, &completion);
	statement->rows = completion.nprocessed;
}

/* Analyze, rewrite and plan in the caller's memory. */
static List *
plan(RawStmt *raw, const char *sql)
{
	bool		snapshot = analyze_requires_snapshot(raw);
	List	   *plans;

	if (snapshot)
		PushActiveSnapshot(GetTransactionSnapshot());
	plans = pg_plan_queries(pg_analyze_and_rewrite_fixedparams(raw, sql, NULL, 0, NULL),
							sql, CURSOR_OPT_PARALLEL_OK, NULL);
	if (snapshot)
		PopActiveSnapshot();
	return plans;
}
