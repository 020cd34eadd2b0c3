/*
 * migration_run.c
 *		Run the statements of a migration, and put the session back.
 *
 * Statements run as the current user, who cannot be left from inside: the
 * server refuses to set the role in such a security context, by whatever
 * means. A SET ROLE that stands in the text by itself is done here, to a role
 * that the user could set, and holds for the rest of the text. Other settings
 * hold as long, in a level of their own, which the end of the run closes.
 *
 * What is told of each statement is told as the user who began the run.
 */
#include "change/migration.h"

#include "core/sql.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "parser/scanner.h"
#include "storage/proc.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

/* A run on its way. */
typedef struct RunState
{
	const MigrationRun *run;
	const MigrationStatement *statement;	/* at work */
	MemoryContext caller;
	MemoryContext memory;		/* of the statement; reset after each */
	Oid			user;			/* who began the run */
	int			context;		/* his security context, then */
	MigrationReceipt *receipt;	/* of the statement */
	bool		standard_strings;	/* as the text was read */
	int			statement_timeout;	/* ms, as the session is set */
} RunState;

static RunState begin(const MigrationRun *run);
static void run_statement(RunState *state, int number);
static void set_again(RunState *state, int number);
static void in_memory(RunState *state, int number, DbopsCallback work);
static void point_into_statement(void *arg);
static void bound_lock_wait(const RunState *state);
static void watch(void *arg);
static void execute_in_time(void *arg);
static void execute(void *arg);
static void execute_alone(void *arg);
static RawStmt *parse(const RunState *state);
static void execute_in(const RunState *state, RawStmt *raw, bool alone);
static void load(const RunState *state, const CopyStmt *copy);
static bool is_set_role(Node *statement);
static void set_role(const RunState *state, const VariableSetStmt *set);
static void count_rows(const RunState *state, CommandTag command, uint64 rows);
static void tell(void *arg);
static void make_plain(Node *statement);
static void leave_out_concurrently(ReindexStmt *statement);

/* Run the statements; an error in one of them is the caller's, as are locks. */
void
dbops_migration_run(const MigrationRun *run)
{
	RunState	state = begin(run);
	int			nest_level = NewGUCNestLevel();

	GetUserIdAndSecContext(&state.user, &state.context);
	SetUserIdAndSecContext(state.user, state.context | SECURITY_LOCAL_USERID_CHANGE);
	for (int i = 1; i < run->first; i++)
		set_again(&state, i);
	for (int i = run->first; i <= run->last; i++)
		run_statement(&state, i);
	MemoryContextDelete(state.memory);
	AtEOXact_GUC(false, nest_level);
	SetUserIdAndSecContext(state.user, state.context);
}

static RunState
begin(const MigrationRun *run)
{
	return (RunState)
	{
		.run = run,
		.caller = CurrentMemoryContext,
		.memory = AllocSetContextCreate(CurrentMemoryContext, "migration run", ALLOCSET_DEFAULT_SIZES),
		.standard_strings = standard_conforming_strings,
		.statement_timeout = StatementTimeout
	};
}

/*
 * Run the first statement at top level, where it may end transactions. The
 * caller stands inside nothing, and in memory that outlives a transaction; he
 * sets what the statements before have set.
 */
void
dbops_migration_run_alone(const MigrationRun *run)
{
	RunState	state = begin(run);

	in_memory(&state, run->first, execute_alone);
	MemoryContextDelete(state.memory);
}

static void
run_statement(RunState *state, int number)
{
	CHECK_FOR_INTERRUPTS();
	in_memory(state, number, watch);
}

/* Set what an earlier statement has set, in a transaction that has ended. */
static void
set_again(RunState *state, int number)
{
	const MigrationStatement *statement = list_nth(state->run->text->statements, number - 1);

	if (statement->setting)
		in_memory(state, number, execute);
}

/* Do it with a statement, in memory that is reset. */
static void
in_memory(RunState *state, int number, DbopsCallback work)
{
	ErrorContextCallback context = {
		.previous = error_context_stack,
		.callback = point_into_statement,
		.arg = state
	};

	MemoryContextSwitchTo(state->memory);
	state->statement = list_nth(state->run->text->statements, number - 1);
	error_context_stack = &context;
	work(state);
	error_context_stack = context.previous;
	MemoryContextSwitchTo(state->caller);
	MemoryContextReset(state->memory);
}

static void
point_into_statement(void *arg)
{
	const RunState *state = arg;
	const MigrationText *text = state->run->text;
	const MigrationStatement *statement = state->statement;
	int			line = statement->line;

	if (geterrposition() > 0)
		line = dbops_migration_point(text->sql, statement->start);
	errcontext("statement %d, line %d, of %smigration \"%s\"", statement->number, line,
			   strcmp(state->run->direction, "down") == 0 ? "the down text of " : "", state->run->version);
}

/* ---- one statement ---- */

/* Run the statement under watch, and tell of it. */
static void
watch(void *arg)
{
	RunState   *state = arg;
	const MigrationStatement *statement = state->statement;
	MigrationReceipt receipt = {
		MIGRATION_RECEIPT,.version = state->run->version,.direction = state->run->direction,
		.step = statement->number,.line = statement->line,
		.command = statement->command,.state = "done"
	};

	state->receipt = &receipt;
	bound_lock_wait(state);
	dbops_migration_watch(&receipt, execute_in_time, state);
	if (state->run->each != NULL)
		tell(state);
	state->receipt = NULL;
}

/* The text may make waits for locks shorter, not longer. */
static void
bound_lock_wait(const RunState *state)
{
	long		limit = state->run->lock_timeout;

	if (limit > 0 && (LockTimeout == 0 || LockTimeout > limit))
		dbops_set_local("lock_timeout", psprintf("%ld", limit));
}

/*
 * The server's timer of statement_timeout runs for the call that applies the
 * migration. Where the text has set it, it is to be each statement's, unless
 * that of the call is over before.
 */
static void
execute_in_time(void *arg)
{
	RunState   *state = arg;
	TimestampTz call_ends = get_timeout_active(STATEMENT_TIMEOUT) ? get_timeout_finish_time(STATEMENT_TIMEOUT) : 0;
	TimestampTz ends = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), StatementTimeout);

	if (StatementTimeout == state->statement_timeout || StatementTimeout == 0 ||
		(call_ends != 0 && call_ends <= ends))
	{
		execute(state);
		return;
	}
	PG_TRY();
	{
		enable_timeout_at(STATEMENT_TIMEOUT, ends);
		execute(state);
	}
	PG_FINALLY();
	{
		disable_timeout(STATEMENT_TIMEOUT, true);
		if (call_ends != 0)
			enable_timeout_at(STATEMENT_TIMEOUT, call_ends);
	}
	PG_END_TRY();
}

static void
execute(void *arg)
{
	RunState   *state = arg;
	RawStmt    *raw = parse(state);

	if (is_set_role(raw->stmt))
		set_role(state, (VariableSetStmt *) raw->stmt);
	else if (state->statement->data != NULL)
		load(state, (CopyStmt *) raw->stmt);
	else
	{
		if (state->run->plainly)
			make_plain(raw->stmt);
		execute_in(state, raw, false);
	}
}

static void
execute_alone(void *arg)
{
	execute_in(arg, parse(arg), true);
}

static RawStmt *
parse(const RunState *state)
{
	if (standard_conforming_strings != state->standard_strings)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("standard_conforming_strings has changed since the text was read"),
				 errhint("Take out what sets it.")));
	return dbops_migration_statement_parse(state->run->text, state->statement);
}

static void
execute_in(const RunState *state, RawStmt *raw, bool alone)
{
	QueryCompletion completion;

	InitializeQueryCompletion(&completion);
	dbops_sql_run(raw, dbops_migration_statement_sql(state->run->text, state->statement), alone,
				  None_Receiver, &completion);
	count_rows(state, completion.commandTag, completion.nprocessed);
}

static void
load(const RunState *state, const CopyStmt *copy)
{
	count_rows(state, CMDTAG_COPY, dbops_migration_copy(copy, state->statement));
}

static bool
is_set_role(Node *statement)
{
	return IsA(statement, VariableSetStmt) && ((VariableSetStmt *) statement)->name != NULL &&
		strcmp(((VariableSetStmt *) statement)->name, "role") == 0;
}

/* Go on as a role that the user who began the run may set. */
static void
set_role(const RunState *state, const VariableSetStmt *set)
{
	const char *name = ExtractSetVariableArgs(unconstify(VariableSetStmt *, set));
	Oid			role = get_role_oid(name, false);

	if (!member_can_set_role(state->user, role))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to set role \"%s\"", name),
				 errhint("Apply the migration as a member of that role.")));
	SetUserIdAndSecContext(role, state->context | SECURITY_LOCAL_USERID_CHANGE);
}

static void
count_rows(const RunState *state, CommandTag command, uint64 rows)
{
	if (state->receipt != NULL && command_tag_display_rowcount(command))
		state->receipt->rows = rows;
}

/* Tell of the statement as the user who began the run. */
static void
tell(void *arg)
{
	const RunState *state = arg;
	Oid			user;
	int			context;

	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(state->user, state->context);
	MemoryContextSwitchTo(state->caller);
	state->run->each(state->receipt, state->run->arg);
	MemoryContextSwitchTo(state->memory);
	SetUserIdAndSecContext(user, context);
}

/* ---- what must be alone, in a transaction ---- */

/* Make of a statement the form of it that can be undone, if there is one. */
static void
make_plain(Node *statement)
{
	if (IsA(statement, IndexStmt))
		((IndexStmt *) statement)->concurrent = false;
	else if (IsA(statement, DropStmt))
		((DropStmt *) statement)->concurrent = false;
	else if (IsA(statement, ReindexStmt))
		leave_out_concurrently((ReindexStmt *) statement);
	else if (IsA(statement, AlterTableStmt) && dbops_sql_is_concurrent(statement))
		((PartitionCmd *) linitial_node(AlterTableCmd, ((AlterTableStmt *) statement)->cmds)->def)->concurrent = false;
}

static void
leave_out_concurrently(ReindexStmt *statement)
{
	ListCell   *cell;

	foreach(cell, statement->params)
		if (strcmp(lfirst_node(DefElem, cell)->defname, "concurrently") == 0)
			statement->params = foreach_delete_current(statement->params, cell);
}
