/*
 * lint_recreate.c
 *		Rules of what is dropped and made again.
 *
 * An index that goes before another can serve its queries leaves them to read the
 * whole table meanwhile; a table that is made again is another one, without the
 * rows.
 */
#include "change/lint.h"

#include "catalog/index.h"
#include "catalog/pg_class.h"
#include "nodes/makefuncs.h"
#include "utils/lsyscache.h"

enum
{
	INDEX_DROPPED_FIRST,
	TABLE_MADE_AGAIN
};

static const DbopsRule rules[] = {
	[INDEX_DROPPED_FIRST] = {
		.name = "index.dropped_first", .severity = DBOPS_WARNING,
		.about = "indexes that are dropped before the ones are made that take their place",
		.source = "online_migrations: replace_index"
	},
	[TABLE_MADE_AGAIN] = {
		.name = "table.made_again", .severity = DBOPS_CRITICAL,
		.about = "tables that are dropped and created by the same text: their rows are lost each time that it is run",
		.source = "strong_migrations: create_table with force"
	}
};

const DbopsRuleSet dbops_lint_recreate_rules = {.review = "lint", .rules = rules, .n_rules = lengthof(rules)};

typedef struct LintDroppedIndex
{
	LintTable  *table;
	const char *name;
	const char *label;			/* qualified */
	const char *first;			/* column; or NULL: an expression */
	int			line;
} LintDroppedIndex;

static void note_dropped(Lint *lint, const DropStmt *statement);
static LintTable *table_of(Lint *lint, const LintTable *index);
static void judge_index(Lint *lint, const IndexStmt *statement);
static void report_index(Lint *lint, const LintDroppedIndex *dropped, const IndexStmt *statement);

/* Judge what is made where something was dropped. */
void
dbops_lint_judge_recreations(Lint *lint, Node *statement)
{
	LintTable  *dropped;

	switch (nodeTag(statement))
	{
		case T_DropStmt:
			if (((DropStmt *) statement)->removeType == OBJECT_INDEX)
				note_dropped(lint, (DropStmt *) statement);
			break;
		case T_IndexStmt:
			judge_index(lint, (IndexStmt *) statement);
			break;
		case T_CreateStmt:
			dropped = dbops_lint_replaced(lint, ((CreateStmt *) statement)->relation);
			if (dropped != NULL && (dropped->kind == RELKIND_RELATION || dropped->kind == RELKIND_PARTITIONED_TABLE))
				dbops_lint_report(lint, (LintFinding) {
					.rule = &rules[TABLE_MADE_AGAIN], .weight = LINT_LOSS, .table = dropped,
					.why = "the text has dropped the table with its rows, and makes an empty one of that name",
					.safer = "Alter it into what it is to be; or CREATE TABLE IF NOT EXISTS, where it is there already."
				});
			break;
		default:
			break;
	}
}

static void
note_dropped(Lint *lint, const DropStmt *statement)
{
	MemoryContext caller = MemoryContextSwitchTo(lint->memory);
	ListCell   *cell;

	foreach(cell, statement->objects)
	{
		LintTable  *index = dbops_lint_find_list(lint, lfirst_node(List, cell));
		LintTable  *table = (index == NULL) ? NULL : table_of(lint, index);
		LintDroppedIndex *dropped;
		List	   *columns;

		if (table == NULL)
			continue;
		columns = dbops_lint_index_columns(table, index->name);
		dropped = palloc(sizeof(LintDroppedIndex));
		*dropped = (LintDroppedIndex) {
			.table = table, .name = pstrdup(index->name), .label = dbops_lint_label(index),
			.first = (columns == NIL) ? NULL : pstrdup(strVal(linitial(columns))), .line = lint->statement->line
		};
		dbops_lint_keep_list(lint, &lint->dropped_indexes);
		lint->dropped_indexes = lappend(lint->dropped_indexes, dropped);
	}
	MemoryContextSwitchTo(caller);
}

static LintTable *
table_of(Lint *lint, const LintTable *index)
{
	return OidIsValid(index->relid) ? dbops_lint_find_oid(lint, IndexGetRelation(index->relid, true)) : NULL;
}

/* It takes the place of one that began with the same column, or had the same name. */
static void
judge_index(Lint *lint, const IndexStmt *statement)
{
	LintTable  *table = (lint->dropped_indexes == NIL) ? NULL : dbops_lint_find(lint, statement->relation);
	const char *first = linitial_node(IndexElem, statement->indexParams)->name;
	ListCell   *cell;

	if (table == NULL)
		return;
	foreach(cell, lint->dropped_indexes)
	{
		const LintDroppedIndex *dropped = lfirst(cell);

		if (dropped->table == table &&
			((first != NULL && dropped->first != NULL && strcmp(first, dropped->first) == 0) ||
			 (statement->idxname != NULL && strcmp(statement->idxname, dropped->name) == 0)))
			report_index(lint, dropped, statement);
	}
}

static void
report_index(Lint *lint, const LintDroppedIndex *dropped, const IndexStmt *statement)
{
	bool		same_name = statement->idxname == NULL || strcmp(statement->idxname, dropped->name) == 0;

	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[INDEX_DROPPED_FIRST], .weight = LINT_WORK, .table = dropped->table, .part = statement->idxname,
		.why = psprintf("it takes the place of %s, which line %d has dropped: until it is built, queries read the whole table", dropped->label, dropped->line),
		.safer = same_name ? "Create it by another name, drop the old one then, and ALTER INDEX ... RENAME TO last." :
		psprintf("CALL dbops.create_index(%s);\nCALL dbops.drop_index(%s);", dbops_quote_text(dbops_lint_source(lint)), dbops_quote_text(dropped->label))
	});
}
