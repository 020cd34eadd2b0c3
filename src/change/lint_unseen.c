/*
 * lint_unseen.c
 *		Rules of statements that run others, which are not seen.
 *
 * A DO block, a procedure and a function are run by an interpreter of theirs. What
 * the words of a DO block show is said; what it makes when it runs, by EXECUTE, is
 * known to nobody before.
 */
#include "change/lint.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "commands/defrem.h"
#include "nodes/nodeFuncs.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

static const DbopsRule rules[] = {
	{
		.name = "statement.unseen", .severity = DBOPS_INFO,
		.about = "DO blocks, calls and functions, whose statements are not seen",
		.source = "dbops"
	}
};

const DbopsRuleSet dbops_lint_unseen_rules = {.review = "lint", .rules = rules, .n_rules = lengthof(rules)};

static const char *const commands[] = {"ALTER", "CREATE", "DROP", "TRUNCATE", "INSERT", "UPDATE", "DELETE", "MERGE", "GRANT", "REVOKE", "CALL"};

static void judge_block(Lint *lint, const DoStmt *statement);
static const char *words_of(const char *body);
static void note_words(StringInfo words, const char *body);
static bool find_function(Node *node, void *arg);
static bool is_unseen(const FuncCall *call);
static bool runs_statements(Oid function);
static void report(Lint *lint, const char *what, const char *more);

/* Judge what runs others. */
void
dbops_lint_judge_unseen(Lint *lint, Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_DoStmt:
			judge_block(lint, (DoStmt *) statement);
			break;
		case T_CallStmt:
			if (!lint->statement->alone)
				report(lint, "CALL", "");
			break;
		case T_ExecuteStmt:
			report(lint, "EXECUTE", "");
			break;
		case T_SelectStmt:
			(void) raw_expression_tree_walker(statement, find_function, lint);
			break;
		default:
			break;
	}
}

static void
judge_block(Lint *lint, const DoStmt *statement)
{
	const char *body = NULL;
	ListCell   *cell;

	foreach(cell, statement->args)
		if (strcmp(lfirst_node(DefElem, cell)->defname, "as") == 0)
			body = defGetString(lfirst_node(DefElem, cell));
	report(lint, "DO", body == NULL ? "" : words_of(body));
}

/* What the words of a body tell of what it does. */
static const char *
words_of(const char *body)
{
	StringInfoData words;

	initStringInfo(&words);
	note_words(&words, body);
	return words.data;
}

/* The first word of a statement stands at the beginning, or behind one of these. */
static void
note_words(StringInfo words, const char *body)
{
	MigrationScan *scan = dbops_migration_scan_begin("sql", body);
	MigrationToken token;
	bool		executes = false;
	List	   *seen = NIL;
	bool		at_start = true;

	while (dbops_migration_scan_next(scan, &token))
	{
		char	   *word = token.end > token.start ? pnstrdup(body + token.start, token.end - token.start) : pstrdup("");

		if (at_start && pg_strcasecmp(word, "execute") == 0)
			executes = true;
		for (int i = 0; at_start && i < lengthof(commands); i++)
			if (pg_strcasecmp(word, commands[i]) == 0 && !dbops_texts_have(seen, commands[i]))
				seen = lappend(seen, unconstify(char *, commands[i]));
		at_start = token.ends || pg_strcasecmp(word, "begin") == 0 || pg_strcasecmp(word, "then") == 0 ||
			pg_strcasecmp(word, "else") == 0 || pg_strcasecmp(word, "loop") == 0;
	}
	dbops_migration_scan_end(scan);
	for (int i = 0; i < list_length(seen); i++)
		appendStringInfo(words, "%s%s", i == 0 ? "; it has " : ", ", (char *) list_nth(seen, i));
	if (executes)
		appendStringInfoString(words, "; and EXECUTE, whose statements are made when it is run");
}

/* The first call in a query of a function that may do anything. */
static bool
find_function(Node *node, void *arg)
{
	if (node == NULL)
		return false;
	if (IsA(node, FuncCall) && is_unseen((FuncCall *) node))
	{
		report(arg, psprintf("the function %s", NameListToString(((FuncCall *) node)->funcname)), "");
		return true;
	}
	return raw_expression_tree_walker(node, find_function, arg);
}

/* A volatile one of a user's that some number of arguments makes. */
static bool
is_unseen(const FuncCall *call)
{
	FuncCandidateList candidate = FuncnameGetCandidates(call->funcname, list_length(call->args), NIL, true, true, false, true);

	for (; candidate != NULL; candidate = candidate->next)
		if (candidate->oid >= FirstNormalObjectId && func_volatile(candidate->oid) == PROVOLATILE_VOLATILE && runs_statements(candidate->oid))
			return true;
	return false;
}

/* One in C may, and hardly ever does. */
static bool
runs_statements(Oid function)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	bool		runs;

	if (!HeapTupleIsValid(tuple))
		return false;
	runs = ((Form_pg_proc) GETSTRUCT(tuple))->prolang != ClanguageId && ((Form_pg_proc) GETSTRUCT(tuple))->prolang != INTERNALlanguageId;
	ReleaseSysCache(tuple);
	return runs;
}

static void
report(Lint *lint, const char *what, const char *more)
{
	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[0],
		.why = psprintf("the statements inside of %s are not seen here%s", what, more),
		.safer = "dbops.check_migration(..., depth => 'execute') runs it and rolls it back, and says what it locked and rewrote."
	});
}
