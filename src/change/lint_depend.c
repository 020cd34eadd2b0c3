/*
 * lint_depend.c
 *		Rules of what hangs on a column, or on how a relation is stored.
 *
 * The server refuses to drop a column that a view shows, or to change its type;
 * with CASCADE the view goes. Views of views go along, but the one in the way is
 * told. What the text has dropped before is in nobody's way.
 */
#include "change/lint.h"

#include "access/reloptions.h"
#include "catalog/pg_class.h"
#include "commands/defrem.h"
#include "nodes/makefuncs.h"
#include "utils/lsyscache.h"

enum
{
	IN_VIEW,
	OPTION_LOCKS
};

static const DbopsRule rules[] = {
	[IN_VIEW] = {
		.name = "column.in_view", .severity = DBOPS_CRITICAL,
		.about = "columns that are dropped, or get another type, while a view shows them: the server refuses it, or drops the view",
		.source = "PostgreSQL: dependency tracking"
	},
	[OPTION_LOCKS] = {
		.name = "table.option_locks", .severity = DBOPS_WARNING,
		.about = "storage parameters that take ACCESS EXCLUSIVE to change, as most do not",
		.source = "PostgreSQL: ALTER TABLE, SET storage_parameter"
	}
};

const DbopsRuleSet dbops_lint_depend_rules = {.review = "lint", .rules = rules, .n_rules = lengthof(rules)};

/* A column on its way to the views that show it. */
typedef struct Shown
{
	Lint	   *lint;
	LintTable  *table;
	const AlterTableCmd *command;
} Shown;

static void judge_command(Lint *lint, LintTable *table, const AlterTableCmd *command);
static void judge_column(Lint *lint, LintTable *table, const AlterTableCmd *command);
static void report_view(HeapTuple row, TupleDesc desc, void *arg);
static void judge_options(Lint *lint, LintTable *table, List *options);

/* Judge what a statement changes that others hang on. */
void
dbops_lint_judge_dependents(Lint *lint, Node *statement)
{
	dbops_lint_each_command(lint, statement, judge_command);
}

static void
judge_command(Lint *lint, LintTable *table, const AlterTableCmd *command)
{
	if (command->subtype == AT_DropColumn || command->subtype == AT_AlterColumnType)
		judge_column(lint, table, command);
	else if (command->subtype == AT_SetRelOptions || command->subtype == AT_ResetRelOptions)
		judge_options(lint, table, castNode(List, command->def));
}

static void
judge_column(Lint *lint, LintTable *table, const AlterTableCmd *command)
{
	Shown		shown = {.lint = lint,.table = table,.command = command};
	AttrNumber	number = OidIsValid(table->relid) ? get_attnum(table->relid, command->name) : InvalidAttrNumber;
	DbopsParam	params[] = {dbops_param_oid(table->relid), dbops_param_int4(number)};
	LintColumn	column;

	if (number > InvalidAttrNumber && dbops_lint_column(table, command->name, &column) && !column.is_new)
		dbops_query_each("SELECT DISTINCT n.nspname::text, v.relname::text, v.relkind = 'm', pg_get_viewdef(v.oid)"
						 " FROM pg_depend d JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid"
						 " JOIN pg_class v ON v.oid = r.ev_class AND v.relkind IN ('v', 'm') JOIN pg_namespace n ON n.oid = v.relnamespace"
						 " WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND d.refobjsubid = $2 AND v.oid <> $1 ORDER BY 1, 2",
						 lengthof(params), params, report_view, &shown);
}

static void
report_view(HeapTuple row, TupleDesc desc, void *arg)
{
	const Shown *shown = arg;
	char	   *schema = dbops_row_text(row, desc, 1);
	char	   *name = dbops_row_text(row, desc, 2);
	const char *kind = dbops_row_bool(row, desc, 3) ? "MATERIALIZED VIEW" : "VIEW";
	char	   *label = dbops_quote_qualified(schema, name);
	bool		drops = shown->command->subtype == AT_DropColumn;

	if (dbops_lint_find(shown->lint, makeRangeVar(schema, name, -1)) == NULL)
		return;
	dbops_lint_report(shown->lint, (LintFinding) {
		.rule = &rules[IN_VIEW], .table = shown->table, .part = shown->command->name,
		.why = (drops && shown->command->behavior == DROP_CASCADE) ?
		psprintf("the view %s shows it, and goes with it, and all that hangs on that", label) :
		psprintf("the view %s shows it: the statement fails", label),
		.safer = psprintf("DROP %s %s;\n-- the statement, and then the view%s:\nCREATE %s %s AS\n%s", kind, label,
						  drops ? " without the column" : "", kind, label, dbops_row_text(row, desc, 4))
	});
}

static void
judge_options(Lint *lint, LintTable *table, List *options)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		if (table->kind == RELKIND_VIEW || AlterTableGetRelOptionsLockLevel(list_make1(option)) < AccessExclusiveLock)
			continue;
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[OPTION_LOCKS], .weight = LINT_LOCK, .table = table, .part = option->defname,
			.why = "to change this parameter the server takes ACCESS EXCLUSIVE, and all who come to the table wait behind it",
			.safer = "SET lock_timeout = '200ms'; -- and try again when it is over, as dbops.apply_migration() does by itself"
		});
	}
}
