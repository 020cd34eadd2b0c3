/*
 * lint_limit.c
 *		What the text sets for itself, and until when: limits of time, search_path
 *		and the time zone.
 *
 * SET lasts until the session ends, if its transaction commits; SET LOCAL until
 * the transaction ends, and does nothing outside of one; both are undone when it
 * is rolled back, or a savepoint. set_config() is the same as a function.
 */
#include "change/lint.h"

#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/varlena.h"

/* Before PostgreSQL 17 there is no transaction_timeout. */
static const char *const names[] = {
	[LINT_STATEMENT_TIMEOUT] = "statement_timeout",
	[LINT_IDLE_TIMEOUT] = "idle_in_transaction_session_timeout",
	[LINT_TRANSACTION_TIMEOUT] = "transaction_timeout"
};

static void follow_set(Lint *lint, VariableSetStmt *statement);
static void follow_call(Lint *lint, const SelectStmt *statement);
static A_Const *constant(Node *node);
static bool is_true(A_Const *value);
static void set(Lint *lint, const char *name, const char *value, bool is_local);
static void set_in(Lint *lint, LintLimits *limits, const char *name, const char *value);
static void keep(Lint *lint);
static const char *lock_timeout_of_reset(Lint *lint);
static void reset_all(Lint *lint);
static void follow_path(const char *path);
static void follow_timezone(const char *name);
static void follow_end(Lint *lint, const TransactionStmt *statement);

/* What holds when the text begins: the session's. */
void
dbops_lint_limits_begin(Lint *lint)
{
	lint->limits = (LintLimits) {.lock_timeout = MemoryContextStrdup(lint->memory, GetConfigOption("lock_timeout", false, false))};
	lint->limits_kept = lint->limits;
}

/* In ms; 0: none. It is set by the text, or else in the session. */
int
dbops_lint_limit(const Lint *lint, int timeout)
{
	const char *value = lint->limits.timeouts[timeout] != NULL ? lint->limits.timeouts[timeout] : GetConfigOption(names[timeout], true, false);
	int			ms;

	return (value != NULL && parse_int(value, &ms, GUC_UNIT_MS, NULL)) ? ms : 0;
}

/* Follow what a statement sets for those behind it, or takes back. */
void
dbops_lint_follow_setting(Lint *lint, Node *statement)
{
	if (IsA(statement, VariableSetStmt))
		follow_set(lint, (VariableSetStmt *) statement);
	else if (IsA(statement, SelectStmt))
		follow_call(lint, (SelectStmt *) statement);
	else if (IsA(statement, TransactionStmt))
		follow_end(lint, (TransactionStmt *) statement);
}

static void
follow_set(Lint *lint, VariableSetStmt *statement)
{
	if (statement->kind == VAR_RESET_ALL)
		reset_all(lint);
	else if (statement->kind == VAR_SET_VALUE)
		set(lint, statement->name, ExtractSetVariableArgs(statement), statement->is_local);
	else if (statement->kind == VAR_SET_DEFAULT || statement->kind == VAR_RESET)
		set(lint, statement->name, NULL, statement->is_local);
}

/* SELECT set_config('lock_timeout', '1s', false) */
static void
follow_call(Lint *lint, const SelectStmt *statement)
{
	ListCell   *cell;

	foreach(cell, statement->targetList)
	{
		const FuncCall *call = (const FuncCall *) lfirst_node(ResTarget, cell)->val;
		A_Const    *name;
		A_Const    *value;
		A_Const    *is_local;

		if (call == NULL || !IsA(call, FuncCall) || list_length(call->args) != 3 || strcmp(strVal(llast(call->funcname)), "set_config") != 0)
			continue;
		name = constant(linitial(call->args));
		value = constant(lsecond(call->args));
		is_local = constant(lthird(call->args));
		if (name != NULL && IsA(&name->val, String) && value != NULL && IsA(&value->val, String) && is_local != NULL)
			set(lint, strVal(&name->val), strVal(&value->val), is_true(is_local));
	}
}

static A_Const *
constant(Node *node)
{
	while (IsA(node, TypeCast))
		node = ((TypeCast *) node)->arg;
	return (IsA(node, A_Const) && !((A_Const *) node)->isnull) ? (A_Const *) node : NULL;
}

static bool
is_true(A_Const *value)
{
	bool		is_so = false;

	if (IsA(&value->val, Boolean))
		return boolVal(&value->val);
	return IsA(&value->val, String) && parse_bool(strVal(&value->val), &is_so) && is_so;
}

/* value: NULL: the default. */
static void
set(Lint *lint, const char *name, const char *value, bool is_local)
{
	MemoryContext caller;

	if (is_local && !lint->in_transaction && !lint->in_block)
		return;
	caller = MemoryContextSwitchTo(lint->memory);
	value = (value != NULL) ? pstrdup(value) : NULL;
	MemoryContextSwitchTo(caller);
	if (value != NULL && strcmp(name, "search_path") == 0)
		follow_path(value);
	if (value != NULL && pg_strcasecmp(name, "timezone") == 0)
		follow_timezone(value);
	keep(lint);
	set_in(lint, &lint->limits, name, value);
	if (!is_local)
		set_in(lint, &lint->limits_kept, name, value);
}

static void
set_in(Lint *lint, LintLimits *limits, const char *name, const char *value)
{
	if (strcmp(name, "lock_timeout") == 0)
		limits->lock_timeout = (value != NULL) ? value : lock_timeout_of_reset(lint);
	for (int i = 0; i < LINT_TIMEOUTS; i++)
		if (strcmp(name, names[i]) == 0)
			limits->timeouts[i] = value;
}

static void
keep(Lint *lint)
{
	dbops_lint_keep(lint, &lint->limits, sizeof(LintLimits));
	dbops_lint_keep(lint, &lint->limits_kept, sizeof(LintLimits));
}

/* The server gives back what it writes over the next time. */
static const char *
lock_timeout_of_reset(Lint *lint)
{
	return MemoryContextStrdup(lint->memory, GetConfigOptionResetString("lock_timeout"));
}

static void
reset_all(Lint *lint)
{
	keep(lint);
	lint->limits = (LintLimits) {.lock_timeout = lock_timeout_of_reset(lint)};
	lint->limits_kept = lint->limits;
}

/* One that set_config() is given may be no list, which the server refuses. */
static void
follow_path(const char *path)
{
	List	   *schemas;

	if (SplitIdentifierString(pstrdup(path), ',', &schemas))
		dbops_set_nested("search_path", path);
}

/* It says whether a timestamp is stored as one with a time zone; a name that is none changes nothing. */
static void
follow_timezone(const char *name)
{
	if (pg_tzset(name) != NULL)
		dbops_set_nested("timezone", name);
}

/* What is rolled back lint_undo.c has put back. */
static void
follow_end(Lint *lint, const TransactionStmt *statement)
{
	if (statement->kind == TRANS_STMT_COMMIT || statement->kind == TRANS_STMT_PREPARE)
		lint->limits = lint->limits_kept;
}
