/*
 * lint_column.c
 *		Rules of new columns: which make the server write every row anew.
 *
 * A default that is the same for all rows is kept in the catalog and no row is
 * touched; one that is computed for each row, a generated or numbered column and
 * one of a domain that checks its values have the whole table rewritten while
 * everybody else is kept out.
 */
#include "change/lint.h"
#include "change/unrun.h"

#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "utils/lsyscache.h"

enum
{
	VOLATILE_DEFAULT,
	GENERATED,
	NUMBERED,
	CHECKED_DOMAIN,
	NOT_NULL_WITHOUT_DEFAULT,
	DEFAULT_UNKNOWN
};

static const DbopsRule rules[] = {
	[VOLATILE_DEFAULT] = {
		.name = "column.volatile_default", .severity = DBOPS_CRITICAL,
		.about = "new columns whose default is computed for each row, which rewrites the table",
		.source = "PostgreSQL: ALTER TABLE, notes"
	},
	[GENERATED] = {
		.name = "column.generated", .severity = DBOPS_CRITICAL,
		.about = "new stored generated columns, which rewrite the table",
		.source = "PostgreSQL: ALTER TABLE, notes"
	},
	[NUMBERED] = {
		.name = "column.numbered", .severity = DBOPS_CRITICAL,
		.about = "new serial and identity columns, which rewrite the table",
		.source = "PostgreSQL: ALTER TABLE, notes"
	},
	[CHECKED_DOMAIN] = {
		.name = "column.checked_domain", .severity = DBOPS_CRITICAL,
		.about = "new columns of a domain with constraints, which rewrite the table",
		.source = "PostgreSQL: ALTER TABLE, notes"
	},
	[NOT_NULL_WITHOUT_DEFAULT] = {
		.name = "column.not_null_without_default", .severity = DBOPS_CRITICAL,
		.about = "new NOT NULL columns without a default: fails if there is a row",
		.source = "PostgreSQL: ALTER TABLE"
	},
	[DEFAULT_UNKNOWN] = {
		.name = "column.default_unknown", .severity = DBOPS_WARNING,
		.about = "new columns whose default cannot be judged, as it calls what does not exist yet",
		.source = "dbops"
	}
};

const DbopsRuleSet dbops_lint_column_rules = {.review = "lint", .rules = rules, .n_rules = lengthof(rules)};

/* What is said of a new column. */
typedef struct NewColumn
{
	const ColumnDef *definition;
	Node	   *default_value;	/* as parsed; or NULL */
	bool		has_none;		/* it is said that there is none, whatever the type has */
	LintValue	of_type;		/* where nothing is said of it: what the catalog says of the type */
	bool		not_null;
	bool		stored;			/* generated, and kept in the row */
	bool		numbered;		/* serial, or an identity */
	bool		checked_domain;
} NewColumn;

static void judge_command(Lint *lint, LintTable *table, const AlterTableCmd *command);
static void judge_column(Lint *lint, LintTable *table, const ColumnDef *definition);
static NewColumn read_column(const Lint *lint, const ColumnDef *definition);
static void read_default_of_type(const Lint *lint, NewColumn *column);
static LintValue default_as(const ColumnDef *definition, const TypeName *type, Node *default_value);
static bool is_null(const Node *value);
static bool is_serial(const TypeName *type);
static void judge_default(Lint *lint, LintTable *table, const NewColumn *column);
static void report_volatile(Lint *lint, LintTable *table, const NewColumn *column, const char *what, const char *sql);
static bool takes_numbers(Node *value, void *arg);
static bool is_constant(const Node *value);
static char *added_by_call(const LintTable *table, const NewColumn *column, const char *default_sql);
static char *numbered_by_hand(const LintTable *table, const NewColumn *column);

/* Judge the columns that a statement adds. */
void
dbops_lint_judge_columns(Lint *lint, Node *statement)
{
	dbops_lint_each_command(lint, statement, judge_command);
}

static void
judge_command(Lint *lint, LintTable *table, const AlterTableCmd *command)
{
	LintColumn	there;

	if (command->subtype != AT_AddColumn ||
		(command->missing_ok && dbops_lint_column(table, castNode(ColumnDef, command->def)->colname, &there)))
		return;
	judge_column(lint, table, castNode(ColumnDef, command->def));
}

static void
judge_column(Lint *lint, LintTable *table, const ColumnDef *definition)
{
	NewColumn	column = read_column(lint, definition);
	LintFinding finding = {.weight = LINT_WORK, .table = table, .part = definition->colname};

	if (column.stored)
	{
		finding.rule = &rules[GENERATED];
		finding.why = "the value of a stored generated column is computed for each row: the table is written anew under ACCESS EXCLUSIVE";
		finding.safer = "Add a plain column, keep it by a trigger and fill it with dbops.batched_backfill(); or, from PostgreSQL 18 on, make it VIRTUAL.";
	}
	else if (column.numbered)
	{
		finding.rule = &rules[NUMBERED];
		finding.why = "each row gets its own number: the table is written anew under ACCESS EXCLUSIVE";
		finding.safer = numbered_by_hand(table, &column);
	}
	else if (column.checked_domain)
	{
		finding.rule = &rules[CHECKED_DOMAIN];
		finding.why = "the domain has constraints, which are checked for each row: the table is written anew under ACCESS EXCLUSIVE";
		finding.safer = "Add the column with the type that the domain is made of, and its condition by dbops.add_check_constraint().";
	}
	if (finding.rule != NULL)
		dbops_lint_report(lint, finding);
	if (column.default_value != NULL && !column.stored)
		judge_default(lint, table, &column);
	else if (column.of_type.sql != NULL && column.of_type.is_volatile)
		report_volatile(lint, table, &column, column.of_type.sql, column.of_type.sql);
	else if (column.of_type.sql != NULL)
		return;
	else if (column.not_null && !column.numbered && !column.stored)
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[NOT_NULL_WITHOUT_DEFAULT], .weight = LINT_WORK, .table = table, .part = definition->colname,
			.why = "rows that are there would have NULL: it fails if there is one",
			.safer = added_by_call(table, &column, NULL)
		});
}

static NewColumn
read_column(const Lint *lint, const ColumnDef *definition)
{
	NewColumn	column = {.definition = definition,.default_value = definition->raw_default,.not_null = definition->is_not_null};
	ListCell   *cell;

	foreach(cell, definition->constraints)
	{
		const Constraint *constraint = lfirst_node(Constraint, cell);

		if (constraint->contype == CONSTR_DEFAULT)
			column.default_value = constraint->raw_expr;
		column.not_null |= constraint->contype == CONSTR_NOTNULL || constraint->contype == CONSTR_PRIMARY;
		column.stored |= constraint->contype == CONSTR_GENERATED && !is_virtual(constraint);
		column.numbered |= constraint->contype == CONSTR_IDENTITY;
	}
	column.has_none = column.default_value != NULL && is_null(column.default_value);
	if (column.has_none)
		column.default_value = NULL;
	column.numbered |= is_serial(definition->typeName);
	column.checked_domain = dbops_lint_is_checked(lint, definition->typeName);
	column.not_null |= dbops_lint_refuses_null(lint, definition->typeName);
	if (column.default_value == NULL && !column.has_none && !column.numbered && !column.stored && definition->typeName != NULL)
		read_default_of_type(lint, &column);
	return column;
}

/* A domain may have one, and a column that has none takes that. */
static void
read_default_of_type(const Lint *lint, NewColumn *column)
{
	const TypeName *type = column->definition->typeName;

	if (!dbops_lint_default_of_type(lint, &type, &column->default_value) && type->arrayBounds == NIL)
		column->of_type = default_as(column->definition, type, NULL);
}

/* The default of a column as if it were of that type. */
static LintValue
default_as(const ColumnDef *definition, const TypeName *type, Node *default_value)
{
	ColumnDef	column = *definition;

	column.typeName = unconstify(TypeName *, type);
	return dbops_lint_default(&column, default_value);
}

/* Is it a default that is none? */
static bool
is_null(const Node *value)
{
	while (IsA(value, TypeCast))
		value = ((const TypeCast *) value)->arg;
	return IsA(value, A_Const) && ((const A_Const *) value)->isnull;
}

/* Words that the server takes for types. */
static bool
is_serial(const TypeName *type)
{
	static const char *const words[] = {"smallserial", "serial2", "serial", "serial4", "bigserial", "serial8"};

	for (int i = 0; type != NULL && !type->pct_type && list_length(type->names) == 1 && i < lengthof(words); i++)
		if (strcmp(strVal(linitial(type->names)), words[i]) == 0)
			return true;
	return false;
}

static void
judge_default(Lint *lint, LintTable *table, const NewColumn *column)
{
	LintValue	value = default_as(column->definition, dbops_lint_stored_type(lint, column->definition->typeName), column->default_value);
	const char *call = dbops_lint_volatile_call(lint, column->default_value);

	if (call != NULL)
	{
		report_volatile(lint, table, column, psprintf("%s(), which the text makes so,", call), NULL);
		return;
	}
	if (dbops_lint_is_steady_call(lint, column->default_value))
		return;
	if (!value.known && is_constant(column->default_value) && dbops_lint_makes_type(lint, column->definition->typeName))
		return;
	if (!value.known && takes_numbers(column->default_value, NULL))
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[VOLATILE_DEFAULT], .weight = LINT_WORK, .table = table, .part = column->definition->colname,
			.why = "nextval() is called for each row: the table is written anew under ACCESS EXCLUSIVE",
			.safer = "Make the sequence in an earlier migration, and let dbops.add_column() add the column with that default."
		});
	else if (!value.known)
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[DEFAULT_UNKNOWN], .weight = LINT_WORK, .table = table, .part = column->definition->colname,
			.why = psprintf("its default cannot be judged (%s); if it is volatile, the table is written anew", value.error),
			.safer = "Judge it where what it calls exists, or use CALL dbops.add_column()."
		});
	else if (value.is_volatile)
		report_volatile(lint, table, column, value.sql, value.sql);
}

/* sql: NULL, what the text makes is not there for a call of ours yet. */
static void
report_volatile(Lint *lint, LintTable *table, const NewColumn *column, const char *what, const char *sql)
{
	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[VOLATILE_DEFAULT], .weight = LINT_WORK, .table = table, .part = column->definition->colname,
		.why = psprintf("%s is computed for each row: the table is written anew under ACCESS EXCLUSIVE", what),
		.safer = sql != NULL ? added_by_call(table, column, sql) :
		"Make the function in an earlier migration, and let dbops.add_column() add the column with that default."
	});
}

/* Does it call nextval(), of a sequence that the text makes? */
static bool
takes_numbers(Node *value, void *arg)
{
	if (value == NULL)
		return false;
	if (IsA(value, FuncCall) && strcmp(strVal(llast(((FuncCall *) value)->funcname)), "nextval") == 0)
		return true;
	return raw_expression_tree_walker(value, takes_numbers, arg);
}

/* What every row gets alike, whatever the type makes of it. */
static bool
is_constant(const Node *value)
{
	ListCell   *cell;

	while (IsA(value, TypeCast))
		value = ((const TypeCast *) value)->arg;
	if (!IsA(value, A_ArrayExpr))
		return IsA(value, A_Const);
	foreach(cell, ((const A_ArrayExpr *) value)->elements)
		if (!is_constant(lfirst(cell)))
			return false;
	return true;
}

/* What rows get that are there, where the text does not tell, is for who wrote it to say. */
static char *
added_by_call(const LintTable *table, const NewColumn *column, const char *default_sql)
{
	if (column->definition->collClause != NULL)
		return "Add the column with its collation, and without a default, first; then set that, and fill the rows with dbops.batched_backfill().";
	return psprintf("%s%s, %s, %s, %s%s)%s", default_sql == NULL ? "Say which value rows get: " : "",
					dbops_lint_call("add_column", table), dbops_quote_text(column->definition->colname),
					dbops_quote_text(dbops_lint_type_name(column->definition->typeName)),
					default_sql == NULL ? "'...'" : dbops_quote_text(default_sql),
					column->not_null ? ", not_null => true" : "", default_sql == NULL ? "." : ";");
}

/* The sequence is there before the rows get their numbers. */
static char *
numbered_by_hand(const LintTable *table, const NewColumn *column)
{
	char	   *sequence = dbops_quote_qualified(table->schema, psprintf("%s_%s_seq", table->name, column->definition->colname));

	return psprintf("CREATE SEQUENCE %s; -- with the options that it is to have\n%s, %s, 'bigint', %s, not_null => true);\nALTER SEQUENCE %s OWNED BY %s.%s;",
					sequence, dbops_lint_call("add_column", table), dbops_quote_text(column->definition->colname),
					dbops_quote_text(psprintf("nextval(%s)", dbops_quote_text(sequence))),
					sequence, dbops_quote_qualified(table->schema, table->name), dbops_quote_name(column->definition->colname));
}
