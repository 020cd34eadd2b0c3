/*
 * lint_replacement.c
 *		Rules of CREATE OR REPLACE: what cannot take the place of what is there.
 *
 * A function keeps its kind, what it returns, and its parameters' names and
 * defaults; a view its columns. What changes them is refused when it is run.
 */
#include "change/lint.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "parser/analyze.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

enum
{
	FUNCTION,
	VIEW
};

static const DbopsRule rules[] = {
	[FUNCTION] = {
		.name = "function.not_replaceable", .severity = DBOPS_CRITICAL,
		.about = "CREATE OR REPLACE FUNCTION that returns another type, or renames parameters: the server refuses it",
		.source = "PostgreSQL: CREATE FUNCTION"
	},
	[VIEW] = {
		.name = "view.not_replaceable", .severity = DBOPS_CRITICAL,
		.about = "CREATE OR REPLACE VIEW that leaves out, renames or retypes columns: the server refuses it",
		.source = "PostgreSQL: CREATE VIEW"
	}
};

const DbopsRuleSet dbops_lint_replacement_rules = {.review = "lint", .rules = rules, .n_rules = lengthof(rules)};

/* A view's query on its way through the analysis. */
typedef struct Analysis
{
	const Lint *lint;
	const ViewStmt *view;
	List	   *columns;		/* of TargetEntry * */
} Analysis;

static void judge_function(Lint *lint, const CreateFunctionStmt *statement);
static const char *difference(const LintOldFunction *old, const CreateFunctionStmt *statement);
static bool is_other_result(const LintOldFunction *old, const CreateFunctionStmt *statement);
static const char *renamed_parameter(const LintOldFunction *old, const CreateFunctionStmt *statement);
static Oid	namespace_of(const List *name);
static bool is_input(const FunctionParameter *parameter);
static void judge_view(Lint *lint, const ViewStmt *statement);
static void analyze(void *arg);
static const char *difference_of_view(const LintTable *view, const ViewStmt *statement, const List *columns);

/* Judge what is to be replaced. */
void
dbops_lint_judge_replacements(Lint *lint, Node *statement)
{
	if (IsA(statement, CreateFunctionStmt) && ((CreateFunctionStmt *) statement)->replace)
		judge_function(lint, (CreateFunctionStmt *) statement);
	else if (IsA(statement, ViewStmt) && ((ViewStmt *) statement)->replace)
		judge_view(lint, (ViewStmt *) statement);
}

/* ---- functions ---- */

static void
judge_function(Lint *lint, const CreateFunctionStmt *statement)
{
	LintOldFunction old;
	const char *what;

	if (!dbops_lint_old_function(statement, &old) || (what = difference(&old, statement)) == NULL)
		return;
	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[FUNCTION], .part = old.label,
		.why = psprintf("%s: the statement fails", what),
		.safer = psprintf("DROP %s %s; -- before it, in the same transaction", old.kind == PROKIND_PROCEDURE ? "PROCEDURE" : "FUNCTION", old.label)
	});
}

static const char *
difference(const LintOldFunction *old, const CreateFunctionStmt *statement)
{
	const char *renamed;
	int			defaults = 0;
	ListCell   *cell;

	if ((old->kind == PROKIND_PROCEDURE) != statement->is_procedure || old->kind == PROKIND_AGGREGATE)
		return "one of another kind has the name and the arguments";
	if (is_other_result(old, statement))
		return "it returns another type";
	if ((renamed = renamed_parameter(old, statement)) != NULL)
		return psprintf("the parameter %s gets another name", dbops_quote_name(renamed));
	foreach(cell, statement->parameters)
		defaults += lfirst_node(FunctionParameter, cell)->defexpr != NULL;
	return (defaults < old->defaults) ? "a parameter loses its default" : NULL;
}

/* Columns that are returned count by their types. */
static bool
is_other_result(const LintOldFunction *old, const CreateFunctionStmt *statement)
{
	List	   *types = NIL;
	Oid			type = VOIDOID;
	int32		typmod;
	ListCell   *cell;

	foreach(cell, statement->parameters)
	{
		const FunctionParameter *parameter = lfirst_node(FunctionParameter, cell);

		if (parameter->mode == FUNC_PARAM_IN || parameter->mode == FUNC_PARAM_DEFAULT || parameter->mode == FUNC_PARAM_VARIADIC)
			continue;
		if (!dbops_lint_type(parameter->argType, &type, &typmod))
			return false;
		types = lappend_oid(types, type);
	}
	if (statement->is_procedure)
		return !equal(types, old->results);
	if (list_length(types) > 1)
		return old->returns != RECORDOID || !equal(types, old->results);
	if (statement->returnType != NULL && !dbops_lint_type(statement->returnType, &type, &typmod))
		return false;
	return type != old->returns || (statement->returnType != NULL && statement->returnType->setof) != old->returns_set;
}

static const char *
renamed_parameter(const LintOldFunction *old, const CreateFunctionStmt *statement)
{
	ListCell   *cell;
	int			i = 0;

	foreach(cell, statement->parameters)
	{
		const FunctionParameter *parameter = lfirst_node(FunctionParameter, cell);
		const char *name;

		if (!is_input(parameter))
			continue;
		if (i >= list_length(old->names))
			break;
		name = list_nth(old->names, i++);
		if (*name != '\0' && (parameter->name == NULL || strcmp(name, parameter->name) != 0))
			return name;
	}
	return NULL;
}

/* Find the function that a CREATE would replace; false: there is none. */
bool
dbops_lint_old_function(const CreateFunctionStmt *statement, LintOldFunction *old)
{
	Oid			namespace = namespace_of(statement->funcname);
	Oid			types[FUNC_MAX_ARGS];
	int32		typmod;
	int			n = 0;
	ListCell   *cell;

	if (!OidIsValid(namespace))
		return false;
	foreach(cell, statement->parameters)
	{
		const FunctionParameter *parameter = lfirst_node(FunctionParameter, cell);

		if (is_input(parameter) && (n == FUNC_MAX_ARGS || !dbops_lint_type(parameter->argType, &types[n++], &typmod)))
			return false;
	}
	*old = (LintOldFunction) {
		.oid = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum(strVal(llast(statement->funcname))),
							   PointerGetDatum(buildoidvector(types, n)), ObjectIdGetDatum(namespace))
	};
	return OidIsValid(old->oid) && dbops_lint_read_function(old);
}

static Oid
namespace_of(const List *name)
{
	List	   *path;
	Oid			first;

	if (list_length(name) > 1)
		return get_namespace_oid(strVal(list_nth(name, list_length(name) - 2)), true);
	path = fetch_search_path(false);
	first = (path == NIL) ? InvalidOid : linitial_oid(path);
	list_free(path);
	return first;
}

static bool
is_input(const FunctionParameter *parameter)
{
	return parameter->mode != FUNC_PARAM_OUT && parameter->mode != FUNC_PARAM_TABLE;
}

/* Read what is needed of a function; false: it has gone. */
bool
dbops_lint_read_function(LintOldFunction *old)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(old->oid));
	Form_pg_proc proc;
	Datum		source;
	bool		isnull;
	Oid		   *types;
	char	  **names;
	char	   *modes;
	int			n;

	if (!HeapTupleIsValid(tuple))
		return false;
	proc = (Form_pg_proc) GETSTRUCT(tuple);
	old->name = pstrdup(NameStr(proc->proname));
	old->label = format_procedure_qualified(old->oid);
	old->kind = proc->prokind;
	old->volatility = proc->provolatile;
	old->returns = proc->prorettype;
	old->returns_set = proc->proretset;
	old->defaults = proc->pronargdefaults;
	old->language = get_language_name(proc->prolang, true);
	source = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_prosrc, &isnull);
	old->source = isnull ? NULL : TextDatumGetCString(source);
	n = get_func_arg_info(tuple, &types, &names, &modes);
	for (int i = 0; i < n; i++)
	{
		bool		out = modes != NULL && (modes[i] == PROARGMODE_OUT || modes[i] == PROARGMODE_TABLE);

		if (!out && names != NULL)
			old->names = lappend(old->names, names[i]);
		if (out || (modes != NULL && modes[i] == PROARGMODE_INOUT))
			old->results = lappend_oid(old->results, types[i]);
	}
	ReleaseSysCache(tuple);
	return true;
}

/* ---- views ---- */

static void
judge_view(Lint *lint, const ViewStmt *statement)
{
	LintTable  *view = dbops_lint_find(lint, statement->view);
	Analysis	analysis = {.lint = lint,.view = statement};
	const char *what;
	ErrorData  *error;

	if (view == NULL || !OidIsValid(view->relid) || view->kind != RELKIND_VIEW || view->columns != NIL ||
		!dbops_attempt(analyze, &analysis, &error) || (what = difference_of_view(view, statement, analysis.columns)) == NULL)
		return;
	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[VIEW], .table = view,
		.why = psprintf("%s: the statement fails", what),
		.safer = psprintf("DROP VIEW %s; -- before it, in the same transaction; or give new columns behind the old ones", dbops_lint_label(view))
	});
}

/* What the text makes is not there yet, and the view is not judged then. */
static void
analyze(void *arg)
{
	Analysis   *analysis = arg;
	RawStmt    *raw = makeNode(RawStmt);
	ListCell   *cell;

	raw->stmt = copyObject(analysis->view->query);
	foreach(cell, parse_analyze_fixedparams(raw, dbops_lint_source(analysis->lint), NULL, 0, NULL)->targetList)
		if (!lfirst_node(TargetEntry, cell)->resjunk)
			analysis->columns = lappend(analysis->columns, lfirst(cell));
}

static const char *
difference_of_view(const LintTable *view, const ViewStmt *statement, const List *columns)
{
	const char *old_name;

	for (int i = 0; (old_name = get_attname(view->relid, i + 1, true)) != NULL; i++)
	{
		const TargetEntry *column;
		const char *name;
		Oid			type;
		int32		typmod;
		Oid			collation;

		if (i >= list_length(columns))
			return psprintf("it leaves out the column %s", dbops_quote_name(old_name));
		column = list_nth_node(TargetEntry, columns, i);
		name = (i < list_length(statement->aliases)) ? strVal(list_nth(statement->aliases, i)) : column->resname;
		if (name == NULL || strcmp(name, old_name) != 0)
			return psprintf("it renames the column %s", dbops_quote_name(old_name));
		get_atttypetypmodcoll(view->relid, i + 1, &type, &typmod, &collation);
		if (exprType((Node *) column->expr) != type || exprTypmod((Node *) column->expr) != typmod)
			return psprintf("it gives the column %s another type", dbops_quote_name(old_name));
	}
	return NULL;
}
