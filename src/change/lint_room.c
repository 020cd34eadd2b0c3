/*
 * lint_room.c
 *		Rules of what the disks have no room for.
 *
 * A table that is written anew stands beside the old one until its transaction has
 * ended, and so do its indexes. What is needed is guessed from sizes, as
 * check_migration() does; what is free is what the tablespace's file system says.
 * One that does not answer is not waited for, and nothing is said of it.
 */
#include "change/migration_plan.h"

#include "core/server.h"
#include "core/sql.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "commands/tablespace.h"
#include "miscadmin.h"
#include "utils/syscache.h"

static const DbopsRule rules[] = {
	{
		.name = "table.no_room", .severity = DBOPS_CRITICAL,
		.about = "tables that are written anew, and indexes that are built, where the tablespace has no room for them",
		.source = "PostgreSQL: monitoring disk usage, disk full failure"
	}
};

const DbopsRuleSet dbops_lint_room_rules = {.review = "lint", .rules = rules, .n_rules = lengthof(rules)};

static const char *effect_of(const Lint *lint, Node *statement, const List *targets);
static LintTable *table_of(Lint *lint, const List *targets);
static Oid	tablespace_of(Node *statement, const LintTable *table);
static const char *named_tablespace(Node *statement);

/* Judge what a statement needs, once the other rules have said whether it works on rows. */
void
dbops_lint_judge_room(Lint *lint, Node *statement)
{
	List	   *targets = dbops_sql_is_concurrent(statement) || lint->worked_on != NULL ? dbops_migration_targets(statement) : NIL;
	const char *effect = targets == NIL ? NULL : effect_of(lint, statement, targets);
	LintTable  *table = effect == NULL ? NULL : table_of(lint, targets);
	double		needed;
	Disk		disk = {0};

	if (table == NULL)
		return;
	needed = dbops_migration_written(effect, list_make1(linitial(targets)));	/* others it only locks */
	if (!dbops_disk_of(tablespace_of(statement, table), &disk) || needed <= disk.free)
		return;
	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[0], .weight = LINT_ALWAYS, .table = table,
		.why = psprintf("it needs about %s beside what is there, and tablespace %s has %s: the statement fails, and whoever writes there meanwhile may fail too",
						dbops_figure_bytes(needed), dbops_quote_name(dbops_tablespace_name(tablespace_of(statement, table))), dbops_figure_bytes(disk.free)),
		.safer = "Make room first, or name a tablespace that has it: SELECT * FROM dbops.database_growth(); says what grows."
	});
}

/* NULL: it takes no more room. */
static const char *
effect_of(const Lint *lint, Node *statement, const List *targets)
{
	const char *effect = dbops_migration_effect(statement, lint->type_effect);

	if (IsA(statement, VacuumStmt) && ((const MigrationTarget *) linitial(targets))->mode == AccessExclusiveLock)
		return "rewrite";
	return effect != NULL && (strcmp(effect, "rewrite") == 0 || strcmp(effect, "index build") == 0) ? effect : NULL;
}

/* The first that is there, and that others know. */
static LintTable *
table_of(Lint *lint, const List *targets)
{
	const MigrationTarget *target = linitial(targets);
	LintTable  *table = dbops_lint_find_oid(lint, target->relid);

	if (table == NULL || table->is_new || table->emptied)
		return NULL;
	return table;
}

static Oid
tablespace_of(Node *statement, const LintTable *table)
{
	const char *name = named_tablespace(statement);
	Oid			tablespace = name != NULL && name[0] != '\0' ? get_tablespace_oid(name, true) : InvalidOid;
	HeapTuple	tuple;

	if (IsA(statement, IndexStmt) && !OidIsValid(tablespace))
		tablespace = GetDefaultTablespace(RELPERSISTENCE_PERMANENT, false);
	else if (!OidIsValid(tablespace) && HeapTupleIsValid(tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table->relid))))
	{
		tablespace = ((Form_pg_class) GETSTRUCT(tuple))->reltablespace;
		ReleaseSysCache(tuple);
	}
	return OidIsValid(tablespace) ? tablespace : MyDatabaseTableSpace;
}

/* That it says; NULL: none. */
static const char *
named_tablespace(Node *statement)
{
	ListCell   *cell;

	if (IsA(statement, IndexStmt))
		return ((IndexStmt *) statement)->tableSpace;
	if (IsA(statement, AlterTableStmt))
		foreach(cell, ((AlterTableStmt *) statement)->cmds)
			if (lfirst_node(AlterTableCmd, cell)->subtype == AT_SetTableSpace)
				return lfirst_node(AlterTableCmd, cell)->name;
	return NULL;
}
