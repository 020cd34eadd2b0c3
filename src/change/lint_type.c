/*
 * lint_type.c
 *		Rules of the types of new columns.
 *
 * Most are a matter of taste. json is not: it has no equality, so that queries
 * which compare whole rows of a table fail once it has such a column.
 */
#include "change/lint.h"

enum
{
	JSON,
	CHAR,
	VARCHAR,
	TIMESTAMP,
	SMALL_KEY,
	SERIAL,
	MONEY,
	FLOAT_AMOUNT
};

static const DbopsRule rules[] = {
	[JSON] = {
		.name = "column.json", .severity = DBOPS_WARNING,
		.about = "columns of type json that a table in use gets: SELECT DISTINCT and UNION of its rows fail",
		.source = "eugene: E3"
	},
	[CHAR] = {
		.name = "column.char", .severity = DBOPS_INFO, .off = true,
		.about = "columns of type char(n), which are padded with blanks",
		.source = "squawk: ban-char-field"
	},
	[VARCHAR] = {
		.name = "column.varchar", .severity = DBOPS_INFO, .off = true,
		.about = "columns of type varchar(n), whose length takes an ALTER TABLE to change",
		.source = "squawk: prefer-text-field"
	},
	[TIMESTAMP] = {
		.name = "column.timestamp", .severity = DBOPS_INFO, .off = true,
		.about = "columns of type timestamp, which name no moment without a time zone",
		.source = "squawk: prefer-timestamp-tz"
	},
	[SMALL_KEY] = {
		.name = "column.small_key", .severity = DBOPS_INFO, .off = true,
		.about = "primary keys and numbered columns of type integer or smallint, which run out",
		.source = "squawk: prefer-bigint-over-int"
	},
	[SERIAL] = {
		.name = "column.serial", .severity = DBOPS_INFO, .off = true,
		.about = "columns of type serial, whose sequence anybody may go round",
		.source = "squawk: prefer-identity"
	},
	[MONEY] = {
		.name = "column.money", .severity = DBOPS_INFO, .off = true,
		.about = "columns of type money, whose currency a setting decides",
		.source = "PostgreSQL wiki: Don't Do This"
	},
	[FLOAT_AMOUNT] = {
		.name = "column.float_amount", .severity = DBOPS_INFO, .off = true,
		.about = "columns of amounts, by their name, of a type that rounds",
		.source = "PostgreSQL: floating-point types"
	}
};

const DbopsRuleSet dbops_lint_type_rules = {.review = "lint", .rules = rules, .n_rules = lengthof(rules)};

/* What is said of a type, as the parser names it. */
static const struct
{
	const char *name;
	int			rule;
	const char *why;
	const char *safer;
}			opinions[] = {
	{"json", JSON, "it has no equality: SELECT DISTINCT, GROUP BY and UNION of whole rows fail", "jsonb"},
	{"bpchar", CHAR, "values are padded with blanks, which count in some places and not in others", "text, with a CHECK of its length if there is one"},
	{"varchar", VARCHAR, "another length takes an ALTER TABLE", "text, with a CHECK of its length if there is one"},
	{"timestamp", TIMESTAMP, "without a time zone it names no moment, and shifts with the clocks", "timestamptz"},
	{"serial", SERIAL, "its sequence is one that writers may go round, and that needs rights of its own", "bigint GENERATED ALWAYS AS IDENTITY"},
	{"serial4", SERIAL, "its sequence is one that writers may go round, and that needs rights of its own", "bigint GENERATED ALWAYS AS IDENTITY"},
	{"bigserial", SERIAL, "its sequence is one that writers may go round, and that needs rights of its own", "bigint GENERATED ALWAYS AS IDENTITY"},
	{"serial8", SERIAL, "its sequence is one that writers may go round, and that needs rights of its own", "bigint GENERATED ALWAYS AS IDENTITY"},
	{"smallserial", SERIAL, "its sequence is one that writers may go round, and that needs rights of its own", "bigint GENERATED ALWAYS AS IDENTITY"},
	{"serial2", SERIAL, "its sequence is one that writers may go round, and that needs rights of its own", "bigint GENERATED ALWAYS AS IDENTITY"},
	{"money", MONEY, "lc_monetary decides its currency and its digits", "numeric"},
	{"float4", FLOAT_AMOUNT, "it rounds what is to be exact", "numeric"},
	{"float8", FLOAT_AMOUNT, "it rounds what is to be exact", "numeric"}
};

static const char *const small_types[] = {"int2", "int4", "serial", "serial4", "smallserial", "serial2"};
static const char *const amounts[] = {"amount", "price", "cost", "total", "balance", "salary", "fee", "payment"};

static void judge_create(Lint *lint, const CreateStmt *statement);
static void judge_command(Lint *lint, LintTable *table, const AlterTableCmd *command);
static void judge_column(Lint *lint, const RangeVar *name, LintTable *table, const ColumnDef *column, const char *as, bool is_key);
static bool concerns(int rule, const TypeName *type, const char *column);
static bool is_numbered(const ColumnDef *column);
static List *keys_of(const CreateStmt *statement);
static bool is_in(const char *name, const char *const *names, int n);
static void report(Lint *lint, const RangeVar *name, LintTable *table, const char *column, int rule, const char *why, const char *safer);

/* Judge the types that columns get. */
void
dbops_lint_judge_types(Lint *lint, Node *statement)
{
	if (IsA(statement, CreateStmt))
		judge_create(lint, (CreateStmt *) statement);
	else
		dbops_lint_each_command(lint, statement, judge_command);
}

static void
judge_create(Lint *lint, const CreateStmt *statement)
{
	List	   *keys = keys_of(statement);
	ListCell   *cell;

	foreach(cell, statement->tableElts)
	{
		const ColumnDef *column = lfirst(cell);

		if (IsA(column, ColumnDef))
			judge_column(lint, statement->relation, NULL, column, column->colname,
						 is_numbered(column) || dbops_texts_have(keys, column->colname));
	}
}

static void
judge_command(Lint *lint, LintTable *table, const AlterTableCmd *command)
{
	if (command->subtype == AT_AddColumn)
		judge_column(lint, NULL, table, castNode(ColumnDef, command->def), ((ColumnDef *) command->def)->colname,
					 is_numbered((ColumnDef *) command->def));
	else if (command->subtype == AT_AlterColumnType)
		judge_column(lint, NULL, table, castNode(ColumnDef, command->def), command->name, false);
}

/* A table that is made has no queries yet. */
static void
judge_column(Lint *lint, const RangeVar *name, LintTable *table, const ColumnDef *column, const char *as, bool is_key)
{
	const char *type = (column->typeName == NULL || column->typeName->names == NIL) ? NULL : strVal(llast(column->typeName->names));

	if (type == NULL)
		return;
	for (int i = 0; i < lengthof(opinions); i++)
		if (strcmp(opinions[i].name, type) == 0 && concerns(opinions[i].rule, column->typeName, as) &&
			(table != NULL || opinions[i].rule != JSON))
			report(lint, name, table, as, opinions[i].rule, opinions[i].why, opinions[i].safer);
	if (is_key && is_in(type, small_types, lengthof(small_types)))
		report(lint, name, table, as, SMALL_KEY, "its numbers run out, and a larger type takes a rewrite then", "bigint");
}

static bool
concerns(int rule, const TypeName *type, const char *column)
{
	switch (rule)
	{
		case JSON:
			return type->arrayBounds == NIL;
		case VARCHAR:
			return type->typmods != NIL;
		case FLOAT_AMOUNT:
			for (int i = 0; i < lengthof(amounts); i++)
				if (strstr(column, amounts[i]) != NULL)
					return true;
			return false;
		default:
			return true;
	}
}

/* By a sequence, or as the key. */
static bool
is_numbered(const ColumnDef *column)
{
	ListCell   *cell;

	if (column->typeName != NULL && strstr(strVal(llast(column->typeName->names)), "serial") != NULL)
		return true;
	foreach(cell, column->constraints)
		if (lfirst_node(Constraint, cell)->contype == CONSTR_PRIMARY || lfirst_node(Constraint, cell)->contype == CONSTR_IDENTITY)
			return true;
	return false;
}

/* The columns of a primary key that stands apart (List of char *). */
static List *
keys_of(const CreateStmt *statement)
{
	List	   *keys = NIL;
	ListCell   *cell;
	ListCell   *inner;

	foreach(cell, statement->tableElts)
		if (IsA(lfirst(cell), Constraint) && lfirst_node(Constraint, cell)->contype == CONSTR_PRIMARY)
			foreach(inner, lfirst_node(Constraint, cell)->keys)
				keys = lappend(keys, strVal(lfirst(inner)));
	return keys;
}

static bool
is_in(const char *name, const char *const *names, int n)
{
	for (int i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

static void
report(Lint *lint, const RangeVar *name, LintTable *table, const char *column, int rule, const char *why, const char *safer)
{
	if (!dbops_lint_wants(lint, &rules[rule]))
		return;
	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[rule], .weight = rule == JSON ? LINT_BREAK : LINT_ALWAYS, .table = table,
		.part = table != NULL ? column : dbops_quote_qualified(name->relname, column),
		.why = why, .safer = psprintf("Make it %s.", safer)
	});
}
