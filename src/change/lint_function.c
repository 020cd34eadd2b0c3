/*
 * lint_function.c
 *		Rules of functions that others are made of.
 *
 * An index, a generated column, a CHECK and a partition key hold what a function
 * said when their rows were written. Replaced, it may say something else; nobody
 * looks at the rows again, and queries by the index miss some.
 */
#include "change/lint.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "nodes/makefuncs.h"
#include "parser/parse_func.h"

enum
{
	IN_USE,
	STORED_RESULTS,
	NO_LONGER_IMMUTABLE
};

static const DbopsRule rules[] = {
	[IN_USE] = {
		.name = "function.in_use", .severity = DBOPS_CRITICAL,
		.about = "DROP FUNCTION of what triggers, defaults, indexes, constraints, policies or views use",
		.source = "PostgreSQL: DROP FUNCTION"
	},
	[STORED_RESULTS] = {
		.name = "function.stored_results", .severity = DBOPS_CRITICAL,
		.about = "functions with another body, whose old results are in an index, a generated column, a CHECK or a partition key",
		.source = "safe-migrate: broken-compute"
	},
	[NO_LONGER_IMMUTABLE] = {
		.name = "function.no_longer_immutable", .severity = DBOPS_CRITICAL,
		.about = "functions that an index, a generated column or a partition key uses and that are not immutable any more",
		.source = "safe-migrate: function-volatility-change"
	}
};

const DbopsRuleSet dbops_lint_function_rules = {.review = "lint", .rules = rules, .n_rules = lengthof(rules)};

/* The rows o of a catalog that depend on function $1. */
#define DEPENDS(catalog) \
	" FROM pg_depend d JOIN " catalog " o ON d.classid = '" catalog "'::regclass AND d.objid = o.oid AND d.refclassid = 'pg_proc'::regclass AND d.refobjid = $1"
#define OF_TABLES \
	" JOIN pg_class r ON r.oid = u.relid JOIN pg_namespace n ON n.oid = r.relnamespace ORDER BY 1, 2, 3, 4"

/* What holds its results: schema, table, name, what it is, and what to do; CHECKs only if $2. */
static const char stored_results[] =
	"SELECT DISTINCT n.nspname::text, r.relname::text, u.name, u.what, u.remedy FROM ("
	"SELECT i.indrelid AS relid, o.relname::text AS name, 'the index ' || o.oid::regclass AS what, format('REINDEX INDEX CONCURRENTLY %s;', o.oid::regclass) AS remedy"
	DEPENDS("pg_class") " JOIN pg_index i ON i.indexrelid = o.oid"
	" UNION ALL SELECT o.oid, NULL, 'the partition key', 'Make a new partitioned table and move the rows.'" DEPENDS("pg_class") " WHERE o.relkind = 'p' AND d.objsubid = 0"
	" UNION ALL SELECT a.attrelid, a.attname, format('the generated column %I', a.attname), format('UPDATE %s SET %I = DEFAULT; -- all rows', a.attrelid::regclass, a.attname)"
	DEPENDS("pg_attrdef") " JOIN pg_attribute a ON (a.attrelid, a.attnum) = (o.adrelid, o.adnum) AND a.attgenerated = 's'"
	" UNION ALL SELECT o.conrelid, o.conname, format('the constraint %I', o.conname),"
	" format('SELECT count(*) FROM %s WHERE NOT (%s); -- 0 if all rows fulfil it', o.conrelid::regclass, pg_get_expr(o.conbin, o.conrelid))"
	DEPENDS("pg_constraint") " WHERE o.contype = 'c' AND o.conrelid <> 0 AND $2) u" OF_TABLES;

/* What uses it: schema, table, name, what it is, and as what the text may have dropped it. */
static const char users[] =
	"SELECT DISTINCT n.nspname::text, r.relname::text, u.name, u.what, u.part FROM ("
	"SELECT o.tgrelid AS relid, o.tgname::text AS name, format('the trigger %I', o.tgname) AS what, 'trigger ' || o.tgname AS part" DEPENDS("pg_trigger") " WHERE NOT o.tgisinternal"
	" UNION ALL SELECT o.polrelid, o.polname, format('the policy %I', o.polname), 'policy ' || o.polname" DEPENDS("pg_policy")
	" UNION ALL SELECT a.attrelid, a.attname, format('the %s %I', CASE WHEN a.attgenerated = '' THEN 'default of' ELSE 'generated column' END, a.attname), 'default ' || a.attname"
	DEPENDS("pg_attrdef") " JOIN pg_attribute a ON (a.attrelid, a.attnum) = (o.adrelid, o.adnum)"
	" UNION ALL SELECT o.conrelid, o.conname, format('the constraint %I', o.conname), o.conname" DEPENDS("pg_constraint") " WHERE o.conrelid <> 0"
	" UNION ALL SELECT o.ev_class, NULL, 'the view', NULL" DEPENDS("pg_rewrite")
	" UNION ALL SELECT i.indrelid, o.relname, format('the index %I', o.relname), 'index ' || o.relname" DEPENDS("pg_class") " JOIN pg_index i ON i.indexrelid = o.oid"
	" UNION ALL SELECT o.oid, NULL, 'the partition key', NULL" DEPENDS("pg_class") " WHERE o.relkind = 'p' AND d.objsubid = 0) u" OF_TABLES;

/* A function that is about to become another. */
typedef struct Change
{
	Lint	   *lint;
	LintOldFunction old;
	bool		cascade;
	const DbopsRule *rule;
	const char *volatility;		/* that it gets, if that is worse; or NULL */
} Change;

static void judge_create(Lint *lint, const CreateFunctionStmt *statement);
static void judge_alter(Lint *lint, const AlterFunctionStmt *statement);
static void judge_stored(Lint *lint, const LintOldFunction *old, bool other_body, const char *volatility);
static void take_stored(HeapTuple row, TupleDesc desc, void *arg);
static void judge_drop(Lint *lint, const DropStmt *statement);
static void take_user(HeapTuple row, TupleDesc desc, void *arg);
static bool is_gone(Lint *lint, const LintTable *table, const char *part);
static bool is_other_body(const LintOldFunction *old, const CreateFunctionStmt *statement);
static const DefElem *option(const List *options, const char *name);

/* Judge what becomes of functions. */
void
dbops_lint_judge_functions(Lint *lint, Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_CreateFunctionStmt:
			if (((CreateFunctionStmt *) statement)->replace)
				judge_create(lint, (CreateFunctionStmt *) statement);
			break;
		case T_AlterFunctionStmt:
			judge_alter(lint, (AlterFunctionStmt *) statement);
			break;
		case T_DropStmt:
			switch (((DropStmt *) statement)->removeType)
			{
				case OBJECT_FUNCTION:
				case OBJECT_PROCEDURE:
				case OBJECT_ROUTINE:
				case OBJECT_AGGREGATE:
					judge_drop(lint, (DropStmt *) statement);
					break;
				default:
					break;
			}
			break;
		default:
			break;
	}
}

/* ---- what is replaced ---- */

static void
judge_create(Lint *lint, const CreateFunctionStmt *statement)
{
	LintOldFunction old;
	const DefElem *volatility = option(statement->options, "volatility");

	if (dbops_lint_old_function(statement, &old))
		judge_stored(lint, &old, is_other_body(&old, statement), volatility == NULL ? "volatile" : strVal(volatility->arg));
}

static void
judge_alter(Lint *lint, const AlterFunctionStmt *statement)
{
	LintOldFunction old = {.oid = LookupFuncWithArgs(OBJECT_ROUTINE, statement->func, true)};
	const DefElem *volatility = option(statement->actions, "volatility");

	if (OidIsValid(old.oid) && volatility != NULL && dbops_lint_read_function(&old))
		judge_stored(lint, &old, false, strVal(volatility->arg));
}

static void
judge_stored(Lint *lint, const LintOldFunction *old, bool other_body, const char *volatility)
{
	Change		change = {.lint = lint,.old = *old};
	DbopsParam	params[] = {dbops_param_oid(old->oid), dbops_param_bool(true)};

	if (old->volatility == PROVOLATILE_IMMUTABLE && strcmp(volatility, "immutable") != 0)
	{
		change.rule = &rules[NO_LONGER_IMMUTABLE];
		change.volatility = volatility;
		params[1] = dbops_param_bool(false);
	}
	else if (other_body)
		change.rule = &rules[STORED_RESULTS];
	else
		return;
	dbops_query_each(stored_results, lengthof(params), params, take_stored, &change);
}

static void
take_stored(HeapTuple row, TupleDesc desc, void *arg)
{
	const Change *change = arg;
	LintTable  *table = dbops_lint_find(change->lint, makeRangeVar(dbops_row_text(row, desc, 1), dbops_row_text(row, desc, 2), -1));

	if (table == NULL)
		return;
	dbops_lint_report(change->lint, (LintFinding) {
		.rule = change->rule, .weight = LINT_WORK, .table = table, .part = dbops_row_text(row, desc, 3),
		.why = change->volatility != NULL ?
		psprintf("%s is to be %s, and %s relies on it: rows that are looked up need not be found, and a dump of it cannot be restored",
				 change->old.label, change->volatility, dbops_row_text(row, desc, 4)) :
		psprintf("%s holds what the old body of %s has said: where the new one says otherwise, rows are not found, or do not fulfil it",
				 dbops_row_text(row, desc, 4), change->old.label),
		.safer = dbops_row_text(row, desc, 5)
	});
}

/* Bodies of the SQL standard are not compared. */
static bool
is_other_body(const LintOldFunction *old, const CreateFunctionStmt *statement)
{
	const DefElem *body = option(statement->options, "as");
	const DefElem *language = option(statement->options, "language");

	if (body == NULL || !IsA(body->arg, List) || statement->sql_body != NULL || old->source == NULL)
		return true;
	if (language != NULL && strcmp(strVal(language->arg), old->language) != 0)
		return true;
	return strcmp(strVal(llast((List *) body->arg)), old->source) != 0;
}

static const DefElem *
option(const List *options, const char *name)
{
	ListCell   *cell;

	foreach(cell, options)
		if (strcmp(lfirst_node(DefElem, cell)->defname, name) == 0)
			return lfirst_node(DefElem, cell);
	return NULL;
}

/* ---- what is dropped ---- */

static void
judge_drop(Lint *lint, const DropStmt *statement)
{
	ListCell   *cell;

	foreach(cell, statement->objects)
	{
		Change		change = {.lint = lint,.cascade = statement->behavior == DROP_CASCADE};
		DbopsParam	param;

		change.old.oid = LookupFuncWithArgs(statement->removeType, lfirst_node(ObjectWithArgs, cell), true);
		if (!OidIsValid(change.old.oid) || !dbops_lint_read_function(&change.old))
			continue;
		param = dbops_param_oid(change.old.oid);
		dbops_query_each(users, 1, &param, take_user, &change);
	}
}

static void
take_user(HeapTuple row, TupleDesc desc, void *arg)
{
	const Change *change = arg;
	LintTable  *table = dbops_lint_find(change->lint, makeRangeVar(dbops_row_text(row, desc, 1), dbops_row_text(row, desc, 2), -1));

	if (table == NULL || is_gone(change->lint, table, dbops_row_text(row, desc, 5)))
		return;
	dbops_lint_report(change->lint, (LintFinding) {
		.rule = &rules[IN_USE], .table = table, .part = dbops_row_text(row, desc, 3),
		.why = psprintf(change->cascade ? "%s uses %s and goes with it" : "%s uses %s: the statement fails", dbops_row_text(row, desc, 4), change->old.label),
		.safer = "Drop or change what uses it first, by name."
	});
}

/* By an earlier statement of the text. */
static bool
is_gone(Lint *lint, const LintTable *table, const char *part)
{
	if (part == NULL)
		return false;
	if (strncmp(part, "index ", 6) == 0)
		return dbops_lint_find(lint, makeRangeVar(pstrdup(table->schema), pstrdup(part + 6), -1)) == NULL;
	return dbops_texts_have(table->gone_parts, part) || dbops_texts_have(table->dropped, part);
}
