/*
 * fragment.c
 *		A user's piece of SQL, taken for exactly what it is meant to be.
 *
 * Calls such as batched_backfill take a predicate or a set list as text. The
 * server's own parser decides where such a text ends: it is parsed on its own
 * and must turn out to be one expression or one set list and nothing more,
 * before it is ever put into a statement. No text is searched for quotes,
 * semicolons or comments.
 */
#include "core/sql.h"

#include "parser/analyze.h"

static bool is_one_expression(const SelectStmt *select);
static bool is_one_set_list(const UpdateStmt *update);
static void refuse(const char *argument, const char *what, const char *hint);

/* Refuse a text that is not one expression. */
void
dbops_fragment_check_expression(const char *text, const char *argument)
{
	List	   *parsed = dbops_sql_parse(text, RAW_PARSE_PLPGSQL_EXPR);
	RawStmt    *raw = linitial_node(RawStmt, parsed);

	if (!IsA(raw->stmt, SelectStmt) || !is_one_expression((SelectStmt *) raw->stmt))
		refuse(argument, "exactly one expression",
			   "Give what would stand behind WHERE, without WHERE, clauses that follow it, or a semicolon.");
}

/* Refuse a text that is not one set list. */
void
dbops_fragment_check_set_list(const char *text, const char *argument)
{
	List	   *parsed = dbops_sql_parse(psprintf("UPDATE t SET %s", text), RAW_PARSE_DEFAULT);
	RawStmt    *raw = linitial_node(RawStmt, parsed);

	/* A length is known only where a semicolon ends the statement. */
	if (list_length(parsed) != 1 || raw->stmt_len != 0 ||
		!IsA(raw->stmt, UpdateStmt) || !is_one_set_list((UpdateStmt *) raw->stmt))
		refuse(argument, "exactly one set list",
			   "Give what would stand behind SET, without SET, clauses that follow it, or a semicolon.");
}

/*
 * Analyze a statement that was put together from checked fragments. Errors
 * point into the statement's text.
 */
Query *
dbops_fragment_analyze(const char *statement)
{
	List	   *parsed = dbops_sql_parse(statement, RAW_PARSE_DEFAULT);
	ErrorContextCallback context = {
		.previous = error_context_stack,
		.callback = dbops_sql_point,
		.arg = unconstify(char *, statement)
	};
	Query	   *query;

	Assert(list_length(parsed) == 1);
	error_context_stack = &context;
	query = parse_analyze_fixedparams(linitial_node(RawStmt, parsed),
									  statement, NULL, 0, NULL);
	error_context_stack = context.previous;
	return query;
}

static bool
is_one_expression(const SelectStmt *select)
{
	ResTarget  *target;

	if (list_length(select->targetList) != 1 ||
		select->distinctClause != NIL || select->intoClause != NULL ||
		select->fromClause != NIL || select->whereClause != NULL ||
		select->groupClause != NIL || select->havingClause != NULL ||
		select->windowClause != NIL || select->valuesLists != NIL ||
		select->sortClause != NIL || select->limitOffset != NULL ||
		select->limitCount != NULL || select->lockingClause != NIL ||
		select->withClause != NULL || select->op != SETOP_NONE)
		return false;

	target = linitial_node(ResTarget, select->targetList);
	return target->name == NULL && target->indirection == NIL;
}

static bool
is_one_set_list(const UpdateStmt *update)
{
	return update->whereClause == NULL && update->fromClause == NIL &&
		!update_has_returning(update) && update->withClause == NULL;
}

static void
refuse(const char *argument, const char *what, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_SYNTAX_ERROR),
			 errmsg("%s must be %s", argument, what),
			 errhint("%s", hint)));
}
