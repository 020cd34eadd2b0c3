/*
 * lint_object.c
 *		Rules of objects that are not there, that go, or get another name.
 *
 * The lock of a DROP or a RENAME is short. What breaks is the code that still
 * uses the object, and what is lost are its rows.
 */
#include "change/lint.h"

#include "catalog/pg_class.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "utils/lsyscache.h"

enum
{
	MISSING,
	TABLE_DROPPED,
	COLUMN_DROPPED,
	SCHEMA_DROPPED,
	SCHEMA_RENAMED,
	RENAMED,
	COLUMN_RENAMED,
	MOVED
};

static const DbopsRule rules[] = {
	[MISSING] = {
		.name = "object.missing", .severity = DBOPS_CRITICAL,
		.about = "tables, indexes and columns that do not exist at this place of the text",
		.source = "the catalog"
	},
	[TABLE_DROPPED] = {
		.name = "table.dropped", .severity = DBOPS_CRITICAL,
		.about = "DROP TABLE: its rows are lost",
		.source = "atlas: DS102"
	},
	[COLUMN_DROPPED] = {
		.name = "column.dropped", .severity = DBOPS_WARNING,
		.about = "DROP COLUMN: its values are lost, and so are indexes and constraints that name it",
		.source = "atlas: DS103"
	},
	[SCHEMA_DROPPED] = {
		.name = "schema.dropped", .severity = DBOPS_CRITICAL,
		.about = "DROP SCHEMA ... CASCADE and DROP DATABASE",
		.source = "atlas: DS101"
	},
	[SCHEMA_RENAMED] = {
		.name = "schema.renamed", .severity = DBOPS_WARNING,
		.about = "schemas that get another name, which breaks code that runs, and search_paths",
		.source = "atlas: BC101"
	},
	[RENAMED] = {
		.name = "table.renamed", .severity = DBOPS_WARNING,
		.about = "tables and views that get another name, which breaks code that runs",
		.source = "atlas: BC101"
	},
	[COLUMN_RENAMED] = {
		.name = "column.renamed", .severity = DBOPS_WARNING,
		.about = "columns that get another name, which breaks code that runs",
		.source = "atlas: BC102"
	},
	[MOVED] = {
		.name = "table.moved", .severity = DBOPS_WARNING,
		.about = "tables and views that get into another schema, which breaks code that runs",
		.source = "squawk: renaming-table"
	}
};

const DbopsRuleSet dbops_lint_object_rules = {.review = "lint", .rules = rules, .n_rules = lengthof(rules)};

static void judge_alter(Lint *lint, const AlterTableStmt *statement);
static void judge_command(Lint *lint, LintTable *table, const AlterTableCmd *command);
static void require_column(Lint *lint, LintTable *table, const AlterTableStmt *statement, const AlterTableCmd *command);
static bool alters_column(const AlterTableCmd *command);
static void require(Lint *lint, const RangeVar *name);
static void report_missing(Lint *lint, const char *name);
static void judge_drop(Lint *lint, const DropStmt *statement);
static void judge_dropped(Lint *lint, const DropStmt *statement, List *name);
static void judge_rename(Lint *lint, const RenameStmt *statement);
static void judge_schema(Lint *lint, const RenameStmt *statement);
static void judge_move(Lint *lint, const AlterObjectSchemaStmt *statement);

/* Judge what becomes of objects. */
void
dbops_lint_judge_objects(Lint *lint, Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_AlterTableStmt:
			judge_alter(lint, (AlterTableStmt *) statement);
			break;
		case T_IndexStmt:
			require(lint, ((IndexStmt *) statement)->relation);
			break;
		case T_DropStmt:
			judge_drop(lint, (DropStmt *) statement);
			break;
		case T_DropdbStmt:
			dbops_lint_report(lint, (LintFinding) {
				.rule = &rules[SCHEMA_DROPPED], .part = dbops_quote_name(((DropdbStmt *) statement)->dbname),
				.why = "all that is in the database is lost",
				.safer = "Give it another name first, and drop it when nobody has missed it."
			});
			break;
		case T_RenameStmt:
			judge_rename(lint, (RenameStmt *) statement);
			break;
		case T_AlterObjectSchemaStmt:
			judge_move(lint, (AlterObjectSchemaStmt *) statement);
			break;
		default:
			break;
	}
}

static void
judge_alter(Lint *lint, const AlterTableStmt *statement)
{
	LintTable  *table;
	ListCell   *cell;

	if (statement->objtype == OBJECT_TYPE)
		return;
	if (!statement->missing_ok)
		require(lint, statement->relation);
	dbops_lint_each_command(lint, (Node *) statement, judge_command);
	if ((table = dbops_lint_find(lint, statement->relation)) != NULL && OidIsValid(table->relid) &&
		(table->kind == RELKIND_RELATION || table->kind == RELKIND_PARTITIONED_TABLE))
		foreach(cell, statement->cmds)
			require_column(lint, table, statement, lfirst_node(AlterTableCmd, cell));
}

/* The columns of a table that the catalog has are all known; one that the same statement adds is there for its other commands. Of what is run the server says it. */
static void
require_column(Lint *lint, LintTable *table, const AlterTableStmt *statement, const AlterTableCmd *command)
{
	LintColumn	column;
	ListCell   *cell;

	if (lint->is_running || !alters_column(command) || command->name == NULL || command->missing_ok || dbops_lint_column(table, command->name, &column))
		return;
	foreach(cell, statement->cmds)
	{
		const AlterTableCmd *other = lfirst_node(AlterTableCmd, cell);

		if (other->subtype == AT_AddColumn && strcmp(castNode(ColumnDef, other->def)->colname, command->name) == 0)
			return;
	}
	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[MISSING], .table = table, .part = command->name,
		.why = "the table has no such column at this place of the text: the statement fails",
		.safer = "Name the column as it is called by then, or judge the text together with the one that adds it."
	});
}

static bool
alters_column(const AlterTableCmd *command)
{
	switch (command->subtype)
	{
		case AT_DropColumn:
		case AT_AlterColumnType:
		case AT_ColumnDefault:
		case AT_SetNotNull:
		case AT_DropNotNull:
		case AT_SetStatistics:
		case AT_SetStorage:
		case AT_SetOptions:
		case AT_ResetOptions:
		case AT_AddIdentity:
		case AT_SetIdentity:
			return true;
		default:
			return false;
	}
}

static void
judge_command(Lint *lint, LintTable *table, const AlterTableCmd *command)
{
	LintColumn	column;

	if (command->subtype != AT_DropColumn || !dbops_lint_column(table, command->name, &column) || column.is_new)
		return;
	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[COLUMN_DROPPED], .weight = LINT_BREAK, .table = table, .part = command->name,
		.why = "code that runs may still name it, and its indexes and constraints go with it without a word",
		.safer = psprintf("%s, %s);", dbops_lint_call("drop_column", table), dbops_quote_text(command->name))
	});
}

static void
require(Lint *lint, const RangeVar *name)
{
	if (dbops_lint_find(lint, name) == NULL)
		report_missing(lint, name->schemaname == NULL ? dbops_quote_name(name->relname) :
					   dbops_quote_qualified(name->schemaname, name->relname));
}

static void
report_missing(Lint *lint, const char *name)
{
	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[MISSING], .part = name,
		.why = "it does not exist at this place of the text: the statement fails",
		.safer = "Give its schema, or judge the text together with the one that creates it."
	});
}

/* ---- what goes ---- */

static void
judge_drop(Lint *lint, const DropStmt *statement)
{
	ListCell   *cell;

	foreach(cell, statement->objects)
	{
		if (statement->removeType == OBJECT_SCHEMA && statement->behavior == DROP_CASCADE &&
			OidIsValid(get_namespace_oid(strVal(lfirst(cell)), true)))
			dbops_lint_report(lint, (LintFinding) {
				.rule = &rules[SCHEMA_DROPPED], .part = dbops_quote_name(strVal(lfirst(cell))),
				.why = "all that is in the schema is lost, and all that depends on it elsewhere",
				.safer = psprintf("ALTER SCHEMA %s RENAME TO %s; -- and drop it when nobody has missed it", dbops_quote_name(strVal(lfirst(cell))),
								  dbops_quote_name(psprintf("%.*s_dropped", (int) dbops_text_clip(strVal(lfirst(cell)), NAMEDATALEN - 9), strVal(lfirst(cell)))))
			});
		else if (statement->removeType == OBJECT_TABLE || statement->removeType == OBJECT_INDEX ||
				 statement->removeType == OBJECT_VIEW || statement->removeType == OBJECT_MATVIEW)
			judge_dropped(lint, statement, lfirst_node(List, cell));
	}
}

static void
judge_dropped(Lint *lint, const DropStmt *statement, List *name)
{
	LintTable  *table = dbops_lint_find_list(lint, name);

	if (table == NULL)
	{
		if (!statement->missing_ok)
			report_missing(lint, NameListToQuotedString(name));
		return;
	}
	if (statement->removeType == OBJECT_TABLE)
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[TABLE_DROPPED], .weight = LINT_LOSS, .table = table,
			.why = statement->behavior == DROP_CASCADE ? "its rows are lost, and views and foreign keys that depend on it" : "its rows are lost",
			.safer = psprintf("ALTER TABLE %s RENAME TO %s;", dbops_lint_label(table),
							  dbops_quote_name(psprintf("%.*s_dropped", (int) dbops_text_clip(table->name, NAMEDATALEN - 9), table->name)))
		});
}

/* ---- what gets another name ---- */

static void
judge_rename(Lint *lint, const RenameStmt *statement)
{
	LintTable  *table = (statement->relation == NULL) ? NULL : dbops_lint_find(lint, statement->relation);
	LintColumn	column;

	if (statement->renameType == OBJECT_SCHEMA)
		judge_schema(lint, statement);
	if (statement->relation != NULL && table == NULL && !statement->missing_ok && statement->renameType != OBJECT_ATTRIBUTE)
		require(lint, statement->relation);
	if (table == NULL)
		return;
	if (statement->renameType == OBJECT_TABLE || statement->renameType == OBJECT_VIEW || statement->renameType == OBJECT_MATVIEW)
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[RENAMED], .weight = LINT_BREAK, .table = table,
			.why = "code that runs knows it by the old name",
			.safer = psprintf("CREATE VIEW %s AS SELECT * FROM %s; -- in the same transaction",
							  dbops_lint_label(table), dbops_quote_qualified(table->schema, statement->newname))
		});
	else if (statement->renameType == OBJECT_COLUMN && dbops_lint_column(table, statement->subname, &column) && !column.is_new)
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[COLUMN_RENAMED], .weight = LINT_BREAK, .table = table, .part = statement->subname,
			.why = "code that runs knows it by the old name",
			.safer = psprintf("%s, %s, %s);", dbops_lint_call("rename_column", table),
							  dbops_quote_text(statement->subname), dbops_quote_text(statement->newname))
		});
}

/* One that the text makes nobody knows, and an empty one nobody misses. */
static void
judge_schema(Lint *lint, const RenameStmt *statement)
{
	DbopsParam	name = dbops_param_text(statement->subname);
	Datum		used;

	if (dbops_lint_makes_schema(lint, statement->subname) ||
		!dbops_query_value("SELECT true FROM pg_namespace n WHERE nspname = $1 AND (EXISTS (SELECT FROM pg_class WHERE relnamespace = n.oid)"
						   " OR EXISTS (SELECT FROM pg_proc WHERE pronamespace = n.oid) OR EXISTS (SELECT FROM pg_type WHERE typnamespace = n.oid))",
						   1, &name, BOOLOID, &used))
		return;
	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[SCHEMA_RENAMED], .part = dbops_quote_name(statement->subname),
		.why = "code that runs, functions and settings of search_path know all that is in it by the old name",
		.safer = psprintf("CREATE SCHEMA %s; -- and move to it what code knows by both names, table by table, each with a view at its old place", dbops_quote_name(statement->newname))
	});
}

static void
judge_move(Lint *lint, const AlterObjectSchemaStmt *statement)
{
	LintTable  *table = (statement->relation == NULL) ? NULL : dbops_lint_find(lint, statement->relation);

	if (table != NULL)
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[MOVED], .weight = LINT_BREAK, .table = table,
			.why = "code that runs knows it in the old schema",
			.safer = psprintf("CREATE VIEW %s AS SELECT * FROM %s; -- in the same transaction", dbops_lint_label(table),
							  dbops_quote_qualified(statement->newschema, table->name))
		});
}
