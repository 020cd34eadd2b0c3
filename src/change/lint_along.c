/*
 * lint_along.c
 *		Rules of tables that a statement works on without naming them.
 *
 * Which these are the catalog says, as it is before the text. What another rule
 * has said of such a table, for the same statement, is not said again. Of the
 * tables of a whole schema or database those that are large are told one by one,
 * and the largest of the others for all of them.
 */
#include "change/lint.h"

#include "core/server.h"

#include "utils/lsyscache.h"

enum
{
	DROPPED,
	COLUMN_DROPPED,
	STRIPPED,
	WORKED_ON,
	LOCKED,
	NOT_CHANGEABLE
};

static const DbopsRule rules[] = {
	[DROPPED] = {
		.name = "table.dropped_along", .severity = DBOPS_CRITICAL,
		.about = "tables that go with what is dropped: DROP OWNED, DROP SCHEMA and others with CASCADE",
		.source = "PostgreSQL: dependency tracking"
	},
	[COLUMN_DROPPED] = {
		.name = "column.dropped_along", .severity = DBOPS_CRITICAL,
		.about = "columns that go with their type, collation or function",
		.source = "PostgreSQL: dependency tracking"
	},
	[STRIPPED] = {
		.name = "table.stripped_along", .severity = DBOPS_WARNING,
		.about = "indexes, constraints, defaults, triggers and policies that go with what is dropped",
		.source = "PostgreSQL: dependency tracking"
	},
	[WORKED_ON] = {
		.name = "table.worked_on_along", .severity = DBOPS_CRITICAL,
		.about = "tables that are read or written anew by a statement that does not name them: of a domain's columns, made of a type, with a foreign key to a column that changes",
		.source = "PostgreSQL: ALTER DOMAIN, ALTER TYPE, ALTER TABLE"
	},
	[LOCKED] = {
		.name = "table.locked_along", .severity = DBOPS_WARNING,
		.about = "tables that are locked against everybody by a statement that does not name them, as those of a foreign key that goes",
		.source = "PostgreSQL: explicit locking"
	},
	[NOT_CHANGEABLE] = {
		.name = "type.not_changeable", .severity = DBOPS_CRITICAL,
		.about = "composite types and domains that cannot be changed so, as tables are made of them or have columns of them, or of types around them",
		.source = "PostgreSQL: ALTER TYPE, ALTER DOMAIN"
	}
};

const DbopsRuleSet dbops_lint_along_rules = {.review = "lint", .rules = rules, .n_rules = lengthof(rules)};

static List *tables_told(const Lint *lint);
static bool is_refused(Node *statement, const List *along);
static void judge_along(Lint *lint, Node *statement, const MigrationAlong *along, const List *told);
static bool is_of_schemas(Node *statement, Oid relid);
static void report_dropped(Lint *lint, LintTable *table);
static void report_column(Lint *lint, Node *statement, LintTable *table, const char *column);
static void report_stripped(Lint *lint, LintTable *table, const MigrationAlong *along);
static void report_read(Lint *lint, Node *statement, LintTable *table);
static void report_rewritten(Lint *lint, LintTable *table, const char *column);
static void report_locked(Lint *lint, LintTable *table, const MigrationAlong *along);
static void report_refused(Lint *lint, Node *statement, LintTable *table, const char *column);
static void judge_one(Lint *lint, Oid relid, LintWholeJudge judge);

/* Judge what becomes of tables that a statement does not name. */
void
dbops_lint_judge_along(Lint *lint, Node *statement)
{
	List	   *along = dbops_migration_along(statement);
	List	   *told = along == NIL ? NIL : tables_told(lint);
	bool		refused = is_refused(statement, along);
	ListCell   *cell;

	foreach(cell, along)
	{
		CHECK_FOR_INTERRUPTS();
		if (!refused || ((const MigrationAlong *) lfirst(cell))->deed == MIGRATION_REFUSES)
			judge_along(lint, statement, lfirst(cell), told);
	}
}

/* Does the server refuse a domain's constraint, because of one of the tables? Then it reads none to its end. */
static bool
is_refused(Node *statement, const List *along)
{
	ListCell   *cell;

	foreach(cell, IsA(statement, AlterDomainStmt) ? along : NIL)
		if (((const MigrationAlong *) lfirst(cell))->deed == MIGRATION_REFUSES)
			return true;
	return false;
}

/* Of which tables is something grave said by now (List of LintTable *)? */
static List *
tables_told(const Lint *lint)
{
	List	   *told = NIL;
	ListCell   *cell;

	foreach(cell, lint->findings)
	{
		const LintFinding *finding = lfirst(cell);

		if (finding->statement == lint->statement && finding->table != NULL && finding->rule->severity >= DBOPS_WARNING &&
			finding->weight != LINT_LOCK)
			told = list_append_unique_ptr(told, finding->table);
	}
	return told;
}

static void
judge_along(Lint *lint, Node *statement, const MigrationAlong *along, const List *told)
{
	LintTable  *table = dbops_lint_find_oid(lint, along->relid);

	if (table == NULL || table->is_new)
		return;
	switch (along->deed)
	{
		case MIGRATION_DROPS:
			if (!is_of_schemas(statement, along->relid))
				report_dropped(lint, table);
			break;
		case MIGRATION_DROPS_COLUMN:
			report_column(lint, statement, table, along->part);
			break;
		case MIGRATION_STRIPS:
			if (!list_member_ptr(told, table))
				report_stripped(lint, table, along);
			break;
		case MIGRATION_READS:
			report_read(lint, statement, table);
			break;
		case MIGRATION_REWRITES:
			report_rewritten(lint, table, along->part);
			break;
		case MIGRATION_LOCKS:
			if (!list_member_ptr(told, table))
				report_locked(lint, table, along);
			break;
		case MIGRATION_REFUSES:
			report_refused(lint, statement, table, along->part);
			break;
	}
}

/* What is in a schema that goes is told with that. */
static bool
is_of_schemas(Node *statement, Oid relid)
{
	const DropStmt *drop = (const DropStmt *) statement;
	char	   *schema;
	ListCell   *cell;

	if (!IsA(statement, DropStmt) || drop->removeType != OBJECT_SCHEMA)
		return false;
	schema = get_namespace_name(get_rel_namespace(relid));
	foreach(cell, drop->objects)
		if (schema != NULL && strcmp(strVal(lfirst(cell)), schema) == 0)
			return true;
	return false;
}

/* ---- what is dropped ---- */

static void
report_dropped(Lint *lint, LintTable *table)
{
	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[DROPPED], .weight = LINT_LOSS, .table = table,
		.why = "it goes with what is dropped, and its rows are lost",
		.safer = psprintf("ALTER TABLE %s RENAME TO %s; -- and drop it by its name when nobody has missed it", dbops_lint_label(table),
						  dbops_quote_name(psprintf("%.*s_dropped", (int) dbops_text_clip(table->name, NAMEDATALEN - 9), table->name)))
	});
}

/* A column of a table that is made of a type goes with the attribute only. */
static void
report_column(Lint *lint, Node *statement, LintTable *table, const char *column)
{
	const char *call = psprintf("%s, %s);", dbops_lint_call("drop_column", table), dbops_quote_text(column));

	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[COLUMN_DROPPED], .weight = LINT_LOSS, .table = table, .part = column,
		.why = "it goes with what is dropped, and its values are lost",
		.safer = IsA(statement, AlterTableStmt) ? psprintf("ALTER TABLE %s NOT OF; %s", dbops_lint_label(table), call) : call
	});
}

static void
report_stripped(Lint *lint, LintTable *table, const MigrationAlong *along)
{
	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[STRIPPED], .weight = LINT_BREAK, .table = table, .part = along->part,
		.why = psprintf("its %s %s goes with what is dropped, and it is locked against everybody for that", along->what, dbops_quote_name(along->part)),
		.safer = "Drop or change what goes along first, by its own name."
	});
}

/* ---- what is worked on ---- */

static void
report_read(Lint *lint, Node *statement, LintTable *table)
{
	bool		by_domain = IsA(statement, AlterDomainStmt);

	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[WORKED_ON], .weight = LINT_WORK, .table = table,
		.why = by_domain ? "it has a column of the domain: all its rows are read while nobody writes to it" :
		"a foreign key between it and the table is dropped and made again: all its rows are looked up while nobody reads or writes either table",
		.safer = by_domain ? "Add it to the domain NOT VALID, which reads no table, and see that each column keeps it by dbops.add_check_constraint()." :
		"Let dbops.change_type() change the column, which does not have others wait."
	});
}

static void
report_rewritten(Lint *lint, LintTable *table, const char *column)
{
	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[WORKED_ON], .weight = LINT_WORK, .table = table, .part = column,
		.why = "it is made of the type: it and its indexes are written anew under ACCESS EXCLUSIVE",
		.safer = psprintf("ALTER TABLE %s NOT OF; -- and let dbops.change_type() change its column then", dbops_lint_label(table))
	});
}

static void
report_locked(Lint *lint, LintTable *table, const MigrationAlong *along)
{
	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[LOCKED], .weight = LINT_LOCK, .table = table,
		.why = psprintf("it is locked against everybody because of its %s%s%s, and the statement does not name it", along->what,
						along->part == NULL ? "" : " ", along->part == NULL ? "" : dbops_quote_name(along->part)),
		.safer = "SET lock_timeout = '200ms'; -- and try again when it is over, as dbops.apply_migration() does by itself"
	});
}

static void
report_refused(Lint *lint, Node *statement, LintTable *table, const char *column)
{
	LintFinding finding = {.rule = &rules[NOT_CHANGEABLE], .weight = LINT_ALWAYS, .table = table};

	if (IsA(statement, AlterDomainStmt))
	{
		finding.why = "a column of it is of an array or another type that has the domain in it, which the server does not look into: the statement fails";
		finding.safer = "Add it NOT VALID, which holds for new values, and is not to be validated while there is such a column; or change the column by CALL dbops.change_type() first.";
	}
	else if (column != NULL)
	{
		finding.why = "it is made of the type, which is changed with CASCADE only: the statement fails";
		finding.safer = psprintf("ALTER TABLE %s NOT OF; -- before it", dbops_lint_label(table));
	}
	else
	{
		finding.why = "a column of it is of the type, or of an array or another type made of it: the statement fails";
		finding.safer = "Make a new type, and change the columns to that by CALL dbops.change_type().";
	}
	dbops_lint_report(lint, finding);
}

/* ---- all tables of something ---- */

/* Judge the tables of a statement that names all of them at once: each that is large, and of the others the largest. */
void
dbops_lint_each_of_whole(Lint *lint, Node *statement, LintWholeJudge judge)
{
	Oid			largest = InvalidOid;
	int64		most = 0;
	ListCell   *cell;

	foreach(cell, dbops_migration_tables_of_whole(statement))
	{
		int64		bytes = dbops_relation_bytes(lfirst_oid(cell));

		CHECK_FOR_INTERRUPTS();
		if (bytes >= dbops_guard_min_size * INT64CONST(1024))
			judge_one(lint, lfirst_oid(cell), judge);
		else if (bytes > most)
		{
			largest = lfirst_oid(cell);
			most = bytes;
		}
	}
	judge_one(lint, largest, judge);
}

static void
judge_one(Lint *lint, Oid relid, LintWholeJudge judge)
{
	LintTable  *table = dbops_lint_find_oid(lint, relid);

	if (table != NULL)
		judge(lint, table);
}
