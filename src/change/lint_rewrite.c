/*
 * lint_rewrite.c
 *		Rules of statements that write a whole table anew, or look at all of it.
 *
 * Whether ALTER COLUMN ... TYPE does so is decided as the server decides it: the
 * conversion is planned, and what is left of it says whether the stored value
 * would do. varchar that gets longer needs nothing; integer to bigint does.
 */
#include "change/lint.h"
#include "change/unrun.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "commands/tablespace.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

enum
{
	TYPE_CHANGED,
	STORED_ANEW,
	VACUUMED_FULL,
	REFRESHED
};

static const DbopsRule rules[] = {
	[TYPE_CHANGED] = {
		.name = "column.type_changed", .severity = DBOPS_CRITICAL,
		.about = "ALTER COLUMN ... TYPE that writes the table anew under ACCESS EXCLUSIVE",
		.source = "PostgreSQL: ALTER TABLE, notes"
	},
	[STORED_ANEW] = {
		.name = "table.stored_anew", .severity = DBOPS_CRITICAL,
		.about = "SET LOGGED, UNLOGGED, ACCESS METHOD and TABLESPACE, which copy the table under ACCESS EXCLUSIVE",
		.source = "PostgreSQL: ALTER TABLE"
	},
	[VACUUMED_FULL] = {
		.name = "table.vacuumed_full", .severity = DBOPS_CRITICAL,
		.about = "VACUUM FULL and CLUSTER, which copy the table under ACCESS EXCLUSIVE",
		.source = "PostgreSQL: VACUUM, CLUSTER"
	},
	[REFRESHED] = {
		.name = "view.refreshed", .severity = DBOPS_WARNING,
		.about = "REFRESH MATERIALIZED VIEW without CONCURRENTLY: nobody reads it meanwhile",
		.source = "PostgreSQL: REFRESH MATERIALIZED VIEW"
	}
};

const DbopsRuleSet dbops_lint_rewrite_rules = {.review = "lint", .rules = rules, .n_rules = lengthof(rules)};

static void report_copied(Lint *lint, LintTable *table);
static void report_moved(Lint *lint, LintTable *table);
static void judge_command(Lint *lint, LintTable *table, const AlterTableCmd *command);
static bool is_stored_so(const LintTable *table, const AlterTableCmd *command);
static void judge_type(Lint *lint, LintTable *table, const AlterTableCmd *command);
static char *change_call(const Lint *lint, const LintTable *table, const AlterTableCmd *command, const char *type);
static Oid	collation_of(const ColumnDef *definition, Oid type);
static void judge_dependents(Lint *lint, LintTable *table, const AlterTableCmd *command, Oid type, Oid collation);
static char *checked_again(const LintTable *table, const char *column);
static void note_effect(Lint *lint, const char *effect);
static void report_new_type(Lint *lint, LintTable *table, const AlterTableCmd *command);
static bool keeps_values(const LintColumn *column, AttrNumber number, const ColumnDef *definition, Oid type, int32 typmod);
static Node *stored_value(const LintColumn *column, AttrNumber number, Node *using);
static bool is_itself(const Node *value, const char *column);
static bool keeps_value(Node *node, AttrNumber number);
static bool is_full(const VacuumStmt *statement);

/* Judge what writes a table anew. */
void
dbops_lint_judge_rewrites(Lint *lint, Node *statement)
{
	ListCell   *cell;

	dbops_lint_each_command(lint, statement, judge_command);
	if (IsA(statement, RefreshMatViewStmt) && !((RefreshMatViewStmt *) statement)->concurrent)
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[REFRESHED], .weight = LINT_WORK, .table = dbops_lint_find(lint, ((RefreshMatViewStmt *) statement)->relation),
			.why = "nobody reads the view until it is filled",
			.safer = "Have it refreshed CONCURRENTLY, which needs a unique index on the view."
		});
	if (IsA(statement, VacuumStmt) && is_full((VacuumStmt *) statement))
		foreach(cell, ((VacuumStmt *) statement)->rels)
			dbops_lint_report(lint, (LintFinding) {
				.rule = &rules[VACUUMED_FULL], .weight = LINT_WORK,
				.table = dbops_lint_find(lint, lfirst_node(VacuumRelation, cell)->relation),
				.why = "the table is copied under ACCESS EXCLUSIVE",
				.safer = "dbops.table_bloat() says what is to be gained; pg_repack and pg_squeeze do it beside readers and writers."
			});
	if (IsA(statement, ClusterStmt) && ((ClusterStmt *) statement)->relation != NULL)
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[VACUUMED_FULL], .weight = LINT_WORK, .table = dbops_lint_find(lint, ((ClusterStmt *) statement)->relation),
			.why = "the table is copied under ACCESS EXCLUSIVE",
			.safer = "pg_repack and pg_squeeze do it beside readers and writers."
		});
	if (!IsA(statement, ReindexStmt))
		dbops_lint_each_of_whole(lint, statement, IsA(statement, AlterTableMoveAllStmt) ? report_moved : report_copied);
}

/* One of all that VACUUM FULL or CLUSTER copies. */
static void
report_copied(Lint *lint, LintTable *table)
{
	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[VACUUMED_FULL], .weight = LINT_WORK, .table = table,
		.why = "the table is one of all that the statement copies, each under ACCESS EXCLUSIVE",
		.safer = "dbops.find_bloated_tables() says where something is to be gained; pg_repack and pg_squeeze do it beside readers and writers."
	});
}

/* One of all of a tablespace. */
static void
report_moved(Lint *lint, LintTable *table)
{
	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[STORED_ANEW], .weight = LINT_WORK, .table = table,
		.why = "the table, or an index of it, is one of all that the statement copies, and all stay under ACCESS EXCLUSIVE to its end",
		.safer = "Move them one by one, when nobody needs them; of an index build another in the new tablespace by CALL dbops.create_index(), and drop the old one."
	});
}

static void
judge_command(Lint *lint, LintTable *table, const AlterTableCmd *command)
{
	switch (command->subtype)
	{
		case AT_AlterColumnType:
			judge_type(lint, table, command);
			break;
		case AT_SetLogged:
		case AT_SetUnLogged:
		case AT_SetAccessMethod:
		case AT_SetTableSpace:
			if (is_stored_so(table, command))
				break;
			dbops_lint_report(lint, (LintFinding) {
				.rule = &rules[STORED_ANEW], .weight = LINT_WORK, .table = table,
				.why = command->subtype == AT_SetUnLogged ?
				"the table is copied under ACCESS EXCLUSIVE, is empty after a crash, and goes to no standby" :
				"the table is copied under ACCESS EXCLUSIVE",
				.safer = "Do it when nobody needs the table, or fill a new table that takes the place of this one."
			});
			break;
		default:
			break;
	}
}

/* Is it stored that way already, and nothing done? What the text has changed is not known. */
static bool
is_stored_so(const LintTable *table, const AlterTableCmd *command)
{
	HeapTuple	tuple;
	Form_pg_class class;
	bool		same = false;

	if (table->is_stored_anew || !OidIsValid(table->relid) || !HeapTupleIsValid(tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table->relid))))
		return false;
	class = (Form_pg_class) GETSTRUCT(tuple);
	switch (command->subtype)
	{
		case AT_SetLogged:
			same = class->relpersistence == RELPERSISTENCE_PERMANENT;
			break;
		case AT_SetUnLogged:
			same = class->relpersistence == RELPERSISTENCE_UNLOGGED;
			break;
		case AT_SetTableSpace:
			same = get_tablespace_oid(command->name, true) == (OidIsValid(class->reltablespace) ? class->reltablespace : MyDatabaseTableSpace);
			break;
		default:
			same = command->name != NULL && get_am_oid(command->name, true) == class->relam;
			break;
	}
	ReleaseSysCache(tuple);
	return same;
}

static void
judge_type(Lint *lint, LintTable *table, const AlterTableCmd *command)
{
	const ColumnDef *definition = castNode(ColumnDef, command->def);
	AttrNumber	number = OidIsValid(table->relid) ? get_attnum(table->relid, command->name) : InvalidAttrNumber;
	const TypeName *stored = dbops_lint_stored_type(lint, definition->typeName);
	LintColumn	column;
	Oid			type;
	int32		typmod;

	if (!dbops_lint_column(table, command->name, &column) || !OidIsValid(column.type))
	{
		note_effect(lint, "rewrite");
		return;
	}
	if ((stored != definition->typeName && dbops_lint_is_checked(lint, definition->typeName)) || !dbops_lint_type(stored, &type, &typmod))
	{
		note_effect(lint, "rewrite");
		report_new_type(lint, table, command);
		return;
	}
	if (keeps_values(&column, Max(number, 1), definition, type, typmod))
	{
		note_effect(lint, "metadata");
		if (number > 0 && !column.is_new && !column.is_renamed)
			judge_dependents(lint, table, command, type, collation_of(definition, type));
		return;
	}
	note_effect(lint, "rewrite");
	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[TYPE_CHANGED], .weight = LINT_WORK, .table = table, .part = command->name,
		.why = psprintf("%s is stored otherwise than %s, or may not fit: the table and its indexes are written anew under ACCESS EXCLUSIVE",
						format_type_with_typemod(type, typmod), format_type_with_typemod(column.type, column.typmod)),
		.safer = change_call(lint, table, command, format_type_with_typemod(type, typmod))
	});
}

/* With its expression, as it is typed, and its collation. */
static char *
change_call(const Lint *lint, const LintTable *table, const AlterTableCmd *command, const char *type)
{
	const ColumnDef *definition = castNode(ColumnDef, command->def);
	char	   *using = NULL;

	if (definition->raw_default != NULL && (using = dbops_lint_behind(lint, definition->location, "using")) == NULL)
		return "CALL dbops.change_type(), with what stands behind USING as its using_expression.";
	if (definition->collClause != NULL)
		type = psprintf("%s COLLATE %s", type, NameListToQuotedString(definition->collClause->collname));
	return psprintf("%s, %s, %s%s%s);", dbops_lint_call("change_type", table), dbops_quote_text(command->name), dbops_quote_text(type),
					using != NULL ? ", " : "", using != NULL ? dbops_quote_text(using) : "");
}

static Oid
collation_of(const ColumnDef *definition, Oid type)
{
	return definition->collClause != NULL ? get_collation_oid(definition->collClause->collname, true) : get_typcollation(type);
}

/* The server builds indexes again that the new type makes others of, and checks constraints again. */
static void
judge_dependents(Lint *lint, LintTable *table, const AlterTableCmd *command, Oid type, Oid collation)
{
	char	   *dependent = dbops_lint_built_again(lint, table, command->name, type, collation);

	if (dependent != NULL)
		note_effect(lint, "index build");
	else if ((dependent = checked_again(table, command->name)) != NULL)
		note_effect(lint, "scan");
	else
		return;
	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[TYPE_CHANGED], .weight = LINT_WORK, .table = table, .part = command->name,
		.why = psprintf("values stay as they are stored, but %s: all rows are read under ACCESS EXCLUSIVE", dependent),
		.safer = change_call(lint, table, command, dbops_lint_type_name(castNode(ColumnDef, command->def)->typeName))
	});
}

static char *
checked_again(const LintTable *table, const char *column)
{
	DbopsParam	params[] = {dbops_param_oid(table->relid), dbops_param_int4(get_attnum(table->relid, column))};

	return dbops_query_text("SELECT 'constraint ' || quote_ident(k.conname) || ' is checked again' FROM pg_constraint k"
							" WHERE k.conrelid = $1 AND k.contype = 'c' AND k.convalidated AND $2 = ANY (k.conkey) ORDER BY k.conname LIMIT 1",
							lengthof(params), params);
}

/* Of several types in a statement the worst counts. */
static void
note_effect(Lint *lint, const char *effect)
{
	lint->type_effect = dbops_migration_worse_effect(lint->type_effect, effect);
}

/* No value is one of a type that is not there yet; of one that nobody makes in sight, as an extension may, not more is known. */
static void
report_new_type(Lint *lint, LintTable *table, const AlterTableCmd *command)
{
	const TypeName *type = castNode(ColumnDef, command->def)->typeName;

	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[TYPE_CHANGED], .weight = LINT_WORK, .table = table, .part = command->name,
		.why = psprintf(dbops_lint_makes_type(lint, type) ?
						"the text makes %s, and the table and its indexes are written anew under ACCESS EXCLUSIVE to hold its values" :
						"%s does not exist yet: unless its values are stored alike, the table and its indexes are written anew under ACCESS EXCLUSIVE",
						dbops_lint_type_name(type)),
		.safer = psprintf("Make the type in an earlier migration, and then %s, %s, ...);", dbops_lint_call("change_type", table), dbops_quote_text(command->name))
	});
}

/* Is the value that is stored one of the new type as it stands? */
static bool
keeps_values(const LintColumn *column, AttrNumber number, const ColumnDef *definition, Oid type, int32 typmod)
{
	Node	   *value = stored_value(column, number, definition->raw_default);

	if (value != NULL)
		value = coerce_to_target_type(NULL, value, exprType(value), type, typmod, COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST, -1);
	return value != NULL && keeps_value(value, number);
}

/* What USING, which may be left out, makes of the value by casts alone; NULL: it does something else. */
static Node *
stored_value(const LintColumn *column, AttrNumber number, Node *using)
{
	const TypeCast *cast = (const TypeCast *) using;
	Node	   *value;
	Oid			type;
	int32		typmod;

	check_stack_depth();
	if (using == NULL || is_itself(using, column->name))
		return (Node *) makeVar(1, number, column->type, column->typmod, get_typcollation(column->type), 0);
	if (!IsA(using, TypeCast) || !dbops_lint_type(cast->typeName, &type, &typmod) ||
		(value = stored_value(column, number, cast->arg)) == NULL)
		return NULL;
	return coerce_to_target_type(NULL, value, exprType(value), type, typmod, COERCION_EXPLICIT, COERCE_EXPLICIT_CAST, -1);
}

/* Is it no more than the column, by itself or behind the name of its table? */
static bool
is_itself(const Node *value, const char *column)
{
	const ColumnRef *reference = (const ColumnRef *) value;

	return IsA(value, ColumnRef) && IsA(llast(reference->fields), String) && strcmp(strVal(llast(reference->fields)), column) == 0;
}

static bool
keeps_value(Node *node, AttrNumber number)
{
	for (;;)
	{
		node = dbops_fold_unrun(node);
		if (IsA(node, Var))
			return ((Var *) node)->varattno == number;
		if (IsA(node, RelabelType))
			node = (Node *) ((RelabelType *) node)->arg;
		else if (IsA(node, CoerceToDomain))
		{
			if (dbops_domain_is_checked(((CoerceToDomain *) node)->resulttype))
				return false;
			node = (Node *) ((CoerceToDomain *) node)->arg;
		}
		else if (IsA(node, FuncExpr) &&
				 (((FuncExpr *) node)->funcid == F_TIMESTAMPTZ_TIMESTAMP || ((FuncExpr *) node)->funcid == F_TIMESTAMP_TIMESTAMPTZ) &&
				 !TimestampTimestampTzRequiresRewrite())
			node = linitial(((FuncExpr *) node)->args);
		else
			return false;
	}
}

static bool
is_full(const VacuumStmt *statement)
{
	ListCell   *cell;

	foreach(cell, statement->options)
		if (strcmp(lfirst_node(DefElem, cell)->defname, "full") == 0)
			return defGetBoolean(lfirst_node(DefElem, cell));
	return false;
}
