/*
 * lint_enum.c
 *		Rules of types that are made, and of the values of enum types.
 *
 * What a domain checks cannot be changed without a look at each column of it. Of enums a
 * value can be added and get another name, but never goes. One that is added
 * cannot be used before the transaction has ended that adds it; so string
 * constants of that transaction are held against it, where the statement names
 * the type, or a table with a column of it.
 */
#include "change/lint.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"

enum
{
	VALUE_RENAMED,
	VALUE_USED_AT_ONCE,
	VALUE_UNPLACED,
	MADE,
	CHECKED_DOMAIN
};

static const DbopsRule rules[] = {
	[VALUE_RENAMED] = {
		.name = "type.value_renamed", .severity = DBOPS_WARNING,
		.about = "enum values that get another name, which breaks code that runs",
		.source = "PostgreSQL: ALTER TYPE"
	},
	[VALUE_USED_AT_ONCE] = {
		.name = "type.value_used_at_once", .severity = DBOPS_CRITICAL,
		.about = "enum values that are used in the transaction which adds them, which the server refuses",
		.source = "PostgreSQL: ALTER TYPE, notes"
	},
	[VALUE_UNPLACED] = {
		.name = "type.value_unplaced", .severity = DBOPS_INFO, .off = true,
		.about = "enum values that are added behind all others, as neither BEFORE nor AFTER is said",
		.source = "PostgreSQL: ALTER TYPE"
	},
	[MADE] = {
		.name = "type.enum", .severity = DBOPS_INFO, .off = true,
		.about = "new enum types, whose values can never be taken away",
		.source = "eugene: W13"
	},
	[CHECKED_DOMAIN] = {
		.name = "type.checked_domain", .severity = DBOPS_INFO, .off = true,
		.about = "new domains with constraints, which a column that is added of them has the table rewritten for",
		.source = "squawk: ban-create-domain-with-constraint"
	}
};

const DbopsRuleSet dbops_lint_enum_rules = {.review = "lint", .rules = rules, .n_rules = lengthof(rules)};

/* A value that the transaction in turn has added. The key comes first. */
typedef struct AddedValue
{
	char		label[NAMEDATALEN];
	char		type_name[NAMEDATALEN];
	Oid			type;
	const LintStatement *judged;	/* against it, last */
} AddedValue;

static void judge_domain(Lint *lint, const CreateDomainStmt *statement);
static void judge_alter(Lint *lint, const AlterEnumStmt *statement);
static bool is_used(Oid type);
static void note_added(Lint *lint, const AlterEnumStmt *statement, Oid type);
static void judge_values(Lint *lint, Node *statement);
static void judge_value(Lint *lint, Node *statement, const AddedValue *value, const char *source);
static bool has_column(Node *statement, Oid type);

/* Judge what a statement does to enum types, and which of their values it has. */
void
dbops_lint_judge_enums(Lint *lint, Node *statement)
{
	if (lint->added_values != NULL && lint->added_in != lint->transaction)
	{
		hash_destroy(lint->added_values);
		lint->added_values = NULL;
	}
	if (IsA(statement, CreateEnumStmt))
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[MADE], .part = NameListToQuotedString(((CreateEnumStmt *) statement)->typeName),
			.why = "its values can be added to and renamed, but never go",
			.safer = "A table of the values, and a foreign key to it."
		});
	if (IsA(statement, CreateDomainStmt))
		judge_domain(lint, (CreateDomainStmt *) statement);
	if (IsA(statement, AlterEnumStmt))
		judge_alter(lint, (AlterEnumStmt *) statement);
	else if (lint->added_values != NULL)
		judge_values(lint, statement);
}

/* A default is no constraint, and NULL is none either. */
static void
judge_domain(Lint *lint, const CreateDomainStmt *statement)
{
	ListCell   *cell;

	foreach(cell, statement->constraints)
		if (lfirst_node(Constraint, cell)->contype == CONSTR_CHECK || lfirst_node(Constraint, cell)->contype == CONSTR_NOTNULL)
			break;
	if (cell == NULL)
		return;
	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[CHECKED_DOMAIN], .part = NameListToQuotedString(statement->domainname),
		.why = "a column that is added of it has its table rewritten, and another constraint reads all tables that have one",
		.safer = "The type itself, and a CHECK of each table."
	});
}

/* Of a type that the text makes nobody knows the values yet. */
static void
judge_alter(Lint *lint, const AlterEnumStmt *statement)
{
	char	   *name = NameListToQuotedString(statement->typeName);
	Oid			type;
	int32		typmod;

	if (!dbops_lint_type(makeTypeNameFromNameList(statement->typeName), &type, &typmod))
		return;
	if (statement->oldVal == NULL && (lint->in_transaction || lint->in_block))
		note_added(lint, statement, type);
	if (statement->oldVal != NULL && is_used(type))
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[VALUE_RENAMED], .part = name,
			.why = psprintf("code that runs knows the value %s by the old name, and fails from here on", dbops_quote_text(statement->oldVal)),
			.safer = psprintf("ALTER TYPE %s ADD VALUE %s AFTER %s; -- and have code and rows use it, in transactions behind it", name,
							  dbops_quote_text(statement->newVal), dbops_quote_text(statement->oldVal))
		});
	if (statement->oldVal == NULL && statement->newValNeighbor == NULL)
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[VALUE_UNPLACED], .part = name,
			.why = psprintf("%s sorts behind all other values", dbops_quote_text(statement->newVal)),
			.safer = "Say BEFORE or AFTER which."
		});
}

/* By a column, a domain, a function or a view? */
static bool
is_used(Oid type)
{
	DbopsParam	param = dbops_param_oid(type);
	Datum		found;

	return dbops_query_value("SELECT true FROM pg_depend d, pg_type t WHERE t.oid = $1 AND d.refclassid = 'pg_type'::regclass"
							 " AND d.refobjid IN (t.oid, t.typarray) AND d.deptype = 'n' LIMIT 1",
							 1, &param, BOOLOID, &found);
}

static void
note_added(Lint *lint, const AlterEnumStmt *statement, Oid type)
{
	HASHCTL		control = {
		.keysize = NAMEDATALEN,
		.entrysize = sizeof(AddedValue),
		.hcxt = lint->memory
	};
	char		label[NAMEDATALEN];
	AddedValue *value;

	if (lint->added_values == NULL)
		lint->added_values = hash_create("dbops lint enum values", 16, &control, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	lint->added_in = lint->transaction;
	strlcpy(label, statement->newVal, NAMEDATALEN);
	value = hash_search(lint->added_values, label, HASH_ENTER, NULL);
	value->type = type;
	value->judged = NULL;
	strlcpy(value->type_name, strVal(llast(statement->typeName)), NAMEDATALEN);
}

static void
judge_values(Lint *lint, Node *statement)
{
	char	   *source = dbops_lint_source(lint);
	MigrationScan *scan = dbops_migration_scan_begin("sql", source);
	MigrationToken token;

	while (dbops_migration_scan_next(scan, &token) && !token.ends)
	{
		AddedValue *value = NULL;
		char		label[NAMEDATALEN];

		if (source[token.start] == '\'' && token.value != NULL && strlcpy(label, token.value, NAMEDATALEN) < NAMEDATALEN)
			value = hash_search(lint->added_values, label, HASH_FIND, NULL);
		if (value == NULL || value->judged == lint->statement)
			continue;
		value->judged = lint->statement;
		judge_value(lint, statement, value, source);
	}
	dbops_migration_scan_end(scan);
}

static void
judge_value(Lint *lint, Node *statement, const AddedValue *value, const char *source)
{
	if (strstr(source, value->type_name) == NULL && !has_column(statement, value->type))
		return;
	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[VALUE_USED_AT_ONCE], .part = value->type_name,
		.why = psprintf("%s cannot be used before the transaction that adds it has committed: the statement fails", dbops_quote_text(value->label)),
		.safer = "Add the value in a transaction, or a migration, of its own before this one."
	});
}

/* Has a relation that the statement names a column of the type? */
static bool
has_column(Node *statement, Oid type)
{
	ListCell   *cell;

	foreach(cell, dbops_migration_targets(statement))
	{
		DbopsParam	params[] = {dbops_param_oid(((const MigrationTarget *) lfirst(cell))->relid), dbops_param_oid(type)};
		Datum		found;

		if (dbops_query_value("SELECT true FROM pg_attribute a, pg_type t WHERE a.attrelid = $1 AND t.oid = $2 AND a.atttypid IN (t.oid, t.typarray) LIMIT 1",
							  lengthof(params), params, BOOLOID, &found))
			return true;
	}
	return false;
}
