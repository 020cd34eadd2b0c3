/*
 * lint_index.c
 *		Rules of indexes: which are built, dropped and rebuilt beside writers.
 *
 * CONCURRENTLY is not all. IF NOT EXISTS takes an invalid leftover for the index
 * that is asked for, and a lock_timeout ends the build while it waits for old
 * transactions, which leaves one.
 */
#include "change/lint.h"

#include "core/sql.h"

#include "access/htup_details.h"
#include "catalog/index.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "nodes/makefuncs.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#define MANY_COLUMNS	3

enum
{
	NOT_CONCURRENTLY,
	PARTITIONED_CONCURRENTLY,
	IF_NOT_EXISTS,
	UNDER_LOCK_TIMEOUT,
	WIDE,
	DROPPED_NOT_CONCURRENTLY,
	REBUILT_NOT_CONCURRENTLY
};

static const DbopsRule rules[] = {
	[NOT_CONCURRENTLY] = {
		.name = "index.not_concurrently", .severity = DBOPS_CRITICAL,
		.about = "CREATE INDEX without CONCURRENTLY: nobody writes while it is built",
		.source = "PostgreSQL: CREATE INDEX"
	},
	[PARTITIONED_CONCURRENTLY] = {
		.name = "index.partitioned_concurrently", .severity = DBOPS_CRITICAL,
		.about = "CREATE and DROP INDEX CONCURRENTLY of a partitioned table, which the server refuses",
		.source = "PostgreSQL: CREATE INDEX, DROP INDEX"
	},
	[IF_NOT_EXISTS] = {
		.name = "index.if_not_exists", .severity = DBOPS_WARNING,
		.about = "CREATE INDEX CONCURRENTLY IF NOT EXISTS, which takes an invalid or another index of that name for done",
		.source = "dbops: tried on PostgreSQL 15 to 18"
	},
	[UNDER_LOCK_TIMEOUT] = {
		.name = "index.under_lock_timeout", .severity = DBOPS_WARNING,
		.about = "CONCURRENTLY under a lock_timeout, which ends it while it waits for old transactions",
		.source = "dbops: tried on PostgreSQL 15 to 18"
	},
	[WIDE] = {
		.name = "index.wide", .severity = DBOPS_INFO, .off = true,
		.about = "indexes of more than three columns that do not keep rows unique",
		.source = "strong_migrations: add_index_columns"
	},
	[DROPPED_NOT_CONCURRENTLY] = {
		.name = "index.dropped_not_concurrently", .severity = DBOPS_WARNING,
		.about = "DROP INDEX without CONCURRENTLY: nobody reads or writes the table while it waits for its lock",
		.source = "PostgreSQL: DROP INDEX"
	},
	[REBUILT_NOT_CONCURRENTLY] = {
		.name = "index.rebuilt_not_concurrently", .severity = DBOPS_CRITICAL,
		.about = "REINDEX without CONCURRENTLY: nobody writes, and nobody uses the index, while it is built",
		.source = "PostgreSQL: REINDEX"
	}
};

const DbopsRuleSet dbops_lint_index_rules = {.review = "lint", .rules = rules, .n_rules = lengthof(rules)};

static void judge_create(Lint *lint, const IndexStmt *statement);
static void judge_existing(Lint *lint, LintTable *table, const IndexStmt *statement);
static char *create_call(const Lint *lint);
static void judge_drop(Lint *lint, const DropStmt *statement);
static void judge_dropped(Lint *lint, LintTable *index, const DropStmt *statement);
static void judge_reindex(Lint *lint, const ReindexStmt *statement);
static void report_rebuilt_all(Lint *lint, LintTable *table);
static void judge_lock_timeout(Lint *lint, Node *statement, LintTable *table);
static LintTable *table_of(Lint *lint, LintTable *index);
static List *columns_of_text(const LintTable *table, const char *index);
static List *columns_of_catalog(const LintTable *table, const char *index);

/* Judge what a statement does to indexes. */
void
dbops_lint_judge_indexes(Lint *lint, Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_IndexStmt:
			judge_create(lint, (IndexStmt *) statement);
			break;
		case T_DropStmt:
			if (((DropStmt *) statement)->removeType == OBJECT_INDEX)
				judge_drop(lint, (DropStmt *) statement);
			break;
		case T_ReindexStmt:
			judge_reindex(lint, (ReindexStmt *) statement);
			break;
		default:
			break;
	}
}

static void
judge_create(Lint *lint, const IndexStmt *statement)
{
	LintTable  *table = dbops_lint_find(lint, statement->relation);

	if (table == NULL)
		return;
	if (!statement->concurrent)
	{
		if (table->kind != RELKIND_PARTITIONED_TABLE || statement->relation->inh)
			dbops_lint_report(lint, (LintFinding) {
				.rule = &rules[NOT_CONCURRENTLY], .weight = LINT_WORK, .table = table, .part = statement->idxname,
				.why = "nobody writes to the table while the index is built",
				.safer = create_call(lint)
			});
	}
	else if (table->kind == RELKIND_PARTITIONED_TABLE)
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[PARTITIONED_CONCURRENTLY], .weight = LINT_ALWAYS, .table = table, .part = statement->idxname,
			.why = "the server builds no index of a partitioned table concurrently",
			.safer = create_call(lint)
		});
	else
	{
		judge_existing(lint, table, statement);
		judge_lock_timeout(lint, (Node *) statement, table);
	}
	if (list_length(statement->indexParams) > MANY_COLUMNS && !statement->unique)
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[WIDE], .weight = LINT_ALWAYS, .table = table, .part = statement->idxname,
			.why = psprintf("it has %d columns, each of which makes it larger and slower to keep", list_length(statement->indexParams)),
			.safer = "Leave out the columns that do not make rows fewer."
		});
}

/* Is there such an index already, and which? */
static void
judge_existing(Lint *lint, LintTable *table, const IndexStmt *statement)
{
	LintTable  *index;
	HeapTuple	tuple;
	bool		valid = true;

	if (!statement->if_not_exists || statement->idxname == NULL)
		return;
	index = dbops_lint_find(lint, makeRangeVar(table->schema, statement->idxname, -1));
	if (index != NULL && OidIsValid(index->relid))
	{
		tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index->relid));
		valid = HeapTupleIsValid(tuple) && ((Form_pg_index) GETSTRUCT(tuple))->indisvalid;
		if (HeapTupleIsValid(tuple))
			ReleaseSysCache(tuple);
	}
	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[IF_NOT_EXISTS], .weight = LINT_WORK, .table = table, .part = statement->idxname,
		.why = !valid ? "an invalid index of that name is there, which is left as it is and called done" :
		"a build that fails leaves an invalid index, which the next run calls done",
		.safer = create_call(lint)
	});
}

static char *
create_call(const Lint *lint)
{
	return psprintf("CALL dbops.create_index(%s);", dbops_quote_text(dbops_lint_source(lint)));
}

/* ---- dropping and rebuilding ---- */

static void
judge_drop(Lint *lint, const DropStmt *statement)
{
	ListCell   *cell;

	foreach(cell, statement->objects)
	{
		LintTable  *index = dbops_lint_find_list(lint, lfirst_node(List, cell));

		if (index != NULL)
			judge_dropped(lint, index, statement);
	}
}

static void
judge_dropped(Lint *lint, LintTable *index, const DropStmt *statement)
{
	LintTable  *table = table_of(lint, index);

	if (table == NULL)
		return;
	if (statement->concurrent && index->kind == RELKIND_PARTITIONED_INDEX)
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[PARTITIONED_CONCURRENTLY], .weight = LINT_ALWAYS, .table = table, .part = index->name,
			.why = "the server drops no index of a partitioned table concurrently",
			.safer = psprintf("CALL dbops.drop_index(%s);", dbops_quote_text(dbops_lint_label(index)))
		});
	else if (statement->concurrent)
		judge_lock_timeout(lint, (Node *) statement, table);
	else
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[DROPPED_NOT_CONCURRENTLY], .weight = LINT_LOCK, .table = table, .part = index->name,
			.why = index->kind == RELKIND_PARTITIONED_INDEX ? "nobody reads or writes the table or any of its partitions from the moment it waits for its locks" :
			"nobody reads or writes the table from the moment it waits for its lock",
			.safer = psprintf("CALL dbops.drop_index(%s);", dbops_quote_text(dbops_lint_label(index)))
		});
}

static void
judge_reindex(Lint *lint, const ReindexStmt *statement)
{
	LintTable  *named = dbops_lint_find(lint, statement->relation);
	LintTable  *table = (statement->kind == REINDEX_OBJECT_INDEX && named != NULL) ? table_of(lint, named) : named;

	if (table == NULL)
	{
		if (!dbops_sql_is_concurrent((Node *) statement))
			dbops_lint_each_of_whole(lint, (Node *) statement, report_rebuilt_all);
		return;
	}
	if (dbops_sql_is_concurrent((Node *) statement))
		judge_lock_timeout(lint, (Node *) statement, table);
	else
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[REBUILT_NOT_CONCURRENTLY], .weight = LINT_WORK, .table = table,
			.part = statement->kind == REINDEX_OBJECT_INDEX ? named->name : NULL,
			.why = "nobody writes to the table, and nobody reads by the index, while it is built",
			.safer = statement->kind == REINDEX_OBJECT_INDEX ?
			psprintf("SELECT dbops.start_reindex(%s);", dbops_quote_text(dbops_lint_label(named))) :
			psprintf("REINDEX (CONCURRENTLY) TABLE %s;", dbops_lint_label(table))
		});
}

static void
report_rebuilt_all(Lint *lint, LintTable *table)
{
	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[REBUILT_NOT_CONCURRENTLY], .weight = LINT_WORK, .table = table,
		.why = "nobody writes to the table, and nobody reads by its indexes, while they are built: it is one of all that the statement works on",
		.safer = psprintf("REINDEX (CONCURRENTLY) TABLE %s;", dbops_lint_label(table))
	});
}

static void
judge_lock_timeout(Lint *lint, Node *statement, LintTable *table)
{
	if (!dbops_lint_has_lock_timeout(lint))
		return;
	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[UNDER_LOCK_TIMEOUT], .weight = LINT_WORK, .table = table,
		.why = psprintf("lock_timeout is %s, and waiting for old transactions counts as waiting for a lock: it fails, and leaves an invalid index", lint->limits.lock_timeout),
		.safer = IsA(statement, IndexStmt) ? create_call(lint) : "SET lock_timeout = 0 before it."
	});
}

/* ---- what an index is of ---- */

static LintTable *
table_of(Lint *lint, LintTable *index)
{
	return OidIsValid(index->relid) ? dbops_lint_find_oid(lint, IndexGetRelation(index->relid, true)) : NULL;
}

/* The columns of an index of a table (List of String), as the text or the catalog has it. */
List *
dbops_lint_index_columns(const LintTable *table, const char *index)
{
	List	   *columns = columns_of_text(table, index);

	return (columns != NIL) ? columns : columns_of_catalog(table, index);
}

static List *
columns_of_text(const LintTable *table, const char *index)
{
	List	   *columns = NIL;
	ListCell   *cell;
	ListCell   *inner;

	foreach(cell, table->indexes)
	{
		const LintIndex *made = lfirst(cell);

		if (made->name == NULL || strcmp(made->name, index) != 0)
			continue;
		foreach(inner, made->definition->indexParams)
			if (lfirst_node(IndexElem, inner)->name != NULL)
				columns = lappend(columns, makeString(lfirst_node(IndexElem, inner)->name));
	}
	return columns;
}

static List *
columns_of_catalog(const LintTable *table, const char *index)
{
	Oid			relid = OidIsValid(table->relid) ? get_relname_relid(index, get_rel_namespace(table->relid)) : InvalidOid;
	HeapTuple	tuple = OidIsValid(relid) ? SearchSysCache1(INDEXRELID, ObjectIdGetDatum(relid)) : NULL;
	Form_pg_index found;
	List	   *columns = NIL;

	if (!HeapTupleIsValid(tuple))
		return NIL;
	found = (Form_pg_index) GETSTRUCT(tuple);
	for (int i = 0; i < found->indnkeyatts; i++)
		if (found->indkey.values[i] > 0)
			columns = lappend(columns, makeString(get_attname(found->indrelid, found->indkey.values[i], false)));
	ReleaseSysCache(tuple);
	return columns;
}
