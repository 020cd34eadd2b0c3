/*
 * retention_condition.c
 *		A user's predicate as a condition that can be put into statements.
 *
 * It is analyzed by the server, once, with the search_path of who gives it and
 * the rights of the table's owner, and kept as text in which every name is
 * qualified, with what these names were (retention_names.c). Old rows are met
 * again and again: a predicate must be the same each time and must not change
 * anything.
 *
 * A filter is evaluated with the settings of its policy. Holds of several roles
 * meet in one statement, so that a hold's predicate must not depend on any.
 */
#include "maintain/retention.h"

#include "access/table.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteHandler.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/snapmgr.h"

/* A predicate on its way to a condition. */
typedef struct Understanding
{
	Oid			relid;
	const char *text;
	const char *argument;		/* that it was given as */
	bool		of_hold;
	char	   *path;			/* the caller's search_path, as names */
	char	   *condition;
	RetentionNames *names;		/* to which what it names is added */
} Understanding;

static char *understand_text(Understanding *understanding);
static void understand(void *arg);
static Query *analyze(const Understanding *understanding, Relation rel);
static void refuse_what_is_not_the_same(const Understanding *understanding, const Query *query);
static bool locks_or_names_no_column(Node *node, void *context);
static bool depends_on_settings(Node *node, void *context);
static bool function_depends_on_settings(Oid function, void *context);
static void refuse(const Understanding *understanding, const char *what, const char *hint);
static char *deparse(Relation rel, Node *where);
static void run_once(const Understanding *understanding, Relation rel);

/* Take a policy's filter for a condition, or refuse it; what it names is added to the names. */
char *
dbops_retention_filter_condition(Oid relid, const char *text, RetentionNames *names)
{
	Understanding understanding = {.relid = relid,.text = text,.argument = "filter",.names = names};

	return understand_text(&understanding);
}

/* The same of the predicate of a hold. */
char *
dbops_retention_hold_condition(Oid relid, const char *text, RetentionNames *names)
{
	Understanding understanding = {.relid = relid,.text = text,.argument = "predicate",.of_hold = true,.names = names};

	return understand_text(&understanding);
}

static char *
understand_text(Understanding *understanding)
{
	Relation	rel = table_open(understanding->relid, AccessShareLock);
	MemoryContext context = CurrentMemoryContext;

	understanding->path = dbops_query_submission_path();
	dbops_fragment_check_expression(understanding->text, understanding->argument);
	PushActiveSnapshot(GetTransactionSnapshot());
	dbops_run_as(rel->rd_rel->relowner, understand, understanding);
	PopActiveSnapshot();
	table_close(rel, NoLock);
	MemoryContextSwitchTo(context);
	return understanding->condition;
}

static void
understand(void *arg)
{
	Understanding *understanding = arg;
	Relation	rel = table_open(understanding->relid, NoLock);
	Query	   *query;

	dbops_set_nested("search_path", understanding->path);
	query = analyze(understanding, rel);
	refuse_what_is_not_the_same(understanding, query);
	dbops_retention_note_names(query, understanding->names);
	understanding->condition = deparse(rel, query->jointree->quals);
	run_once(understanding, rel);
	table_close(rel, NoLock);
}

static Query *
analyze(const Understanding *understanding, Relation rel)
{
	return dbops_fragment_analyze(psprintf("SELECT FROM ONLY %s\nWHERE %s",
										   dbops_quote_relation(RelationGetRelid(rel)), understanding->text));
}

/* Refuse what would have an effect, or would be another thing the next time. Views are looked into. */
static void
refuse_what_is_not_the_same(const Understanding *understanding, const Query *query)
{
	ListCell   *cell;

	if (locks_or_names_no_column(query->jointree->quals, NULL))
		refuse(understanding, "locks rows, or reads the whole row or a column of the system",
			   "Name the columns, and leave FOR UPDATE out.");
	foreach(cell, QueryRewrite(copyObject(unconstify(Query *, query))))
	{
		if (understanding->of_hold && depends_on_settings(lfirst(cell), NULL))
			refuse(understanding, "would mean other rows in a session with other settings, such as TimeZone or DateStyle",
				   "Compare with values of the column's own type, and convert times with AT TIME ZONE.");
		if (contain_volatile_functions(lfirst(cell)))
			refuse(understanding, "calls a volatile function, which may have effects or yield another result each time",
				   "Use functions that are stable or immutable.");
	}
}

/* Rows are also met under other names, where only their own columns are seen. */
static bool
locks_or_names_no_column(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
		return ((Var *) node)->varattno <= InvalidAttrNumber;
	if (IsA(node, Query))
		return ((Query *) node)->rowMarks != NIL ||
			query_tree_walker((Query *) node, locks_or_names_no_column, context, 0);
	return expression_tree_walker(node, locks_or_names_no_column, context);
}

/* Does it call what settings of the session, or who it is, decide about? Of users' functions that is not known. */
static bool
depends_on_settings(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, SQLValueFunction))
		return ((SQLValueFunction *) node)->op != SVFOP_CURRENT_TIMESTAMP &&
			((SQLValueFunction *) node)->op != SVFOP_CURRENT_TIMESTAMP_N;
	if (check_functions_in_node(node, function_depends_on_settings, NULL))
		return true;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, depends_on_settings, context, 0);
	return expression_tree_walker(node, depends_on_settings, context);
}

static bool
function_depends_on_settings(Oid function, void *context)
{
	return func_volatile(function) == PROVOLATILE_STABLE && get_func_namespace(function) == PG_CATALOG_NAMESPACE &&
		function != F_NOW && function != F_TRANSACTION_TIMESTAMP && function != F_STATEMENT_TIMESTAMP;
}

static void
refuse(const Understanding *understanding, const char *what, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s %s", understanding->argument, what),
			 errhint("%s", hint)));
}

/* Write it with every name qualified, the same whatever a session is set to. */
static char *
deparse(Relation rel, Node *where)
{
	int			nest_level = NewGUCNestLevel();
	char	   *text;

	dbops_set_nested("search_path", "pg_catalog, pg_temp");
	dbops_meaning_pin("UTC");
	text = deparse_expression(where, deparse_context_for(RETENTION_ROW, RelationGetRelid(rel)), true, true);
	AtEOXact_GUC(false, nest_level);
	return text;
}

/* Have the server find out at once which rights or objects it lacks, and which rows are hidden from it. */
static void
run_once(const Understanding *understanding, Relation rel)
{
	dbops_meaning_pin("UTC");
	dbops_set_nested("row_security", "off");
	dbops_query_each(psprintf("SELECT FROM ONLY %s AS " RETENTION_ROW " WHERE %s LIMIT 0",
							  dbops_quote_relation(RelationGetRelid(rel)), understanding->condition),
					 0, NULL, NULL, NULL);
}
