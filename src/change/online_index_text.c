/*
 * online_index_text.c
 *		The statement that builds an index, written anew from its definition.
 *
 * A statement is run by another process, perhaps much later, and once for each
 * partition: so it names everything qualified and writes values in full, whatever
 * the search_path and the settings of the call are, and says what the definition
 * means, as pg_get_indexdef() does. A
 * partition's columns have the names of the partitioned table's, so what stands
 * behind the table's name is the same text for all of them.
 */
#include "change/online_index.h"

#include "core/sql.h"

#include "commands/defrem.h"
#include "lib/stringinfo.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"

static void put_columns(StringInfo tail, const IndexDefinition *definition, int from, int to);
static void put_column(StringInfo tail, const IndexDefinition *definition, const IndexColumn *column);
static void put_expression(StringInfo tail, const IndexDefinition *definition, Node *expression);
static void put_key(StringInfo tail, const IndexColumn *column);
static void put_settings(StringInfo tail, List *settings);

/* Write what stands behind the name of the table. */
const char *
dbops_online_index_tail(const IndexDefinition *definition)
{
	const IndexStmt *statement = definition->statement;
	int			nest_level = NewGUCNestLevel();
	StringInfoData tail;

	dbops_set_nested("search_path", "pg_catalog");
	dbops_meaning_write();
	initStringInfo(&tail);
	appendStringInfo(&tail, "USING %s (", quote_identifier(statement->accessMethod));
	put_columns(&tail, definition, 0, definition->n_keys);
	if (definition->n_columns > definition->n_keys)
	{
		appendStringInfoString(&tail, ") INCLUDE (");
		put_columns(&tail, definition, definition->n_keys, definition->n_columns);
	}
	appendStringInfoString(&tail, statement->nulls_not_distinct ? ") NULLS NOT DISTINCT" : ")");
	if (statement->options != NIL)
	{
		appendStringInfoString(&tail, " WITH");
		put_settings(&tail, statement->options);
	}
	if (statement->tableSpace != NULL)
		appendStringInfo(&tail, " TABLESPACE %s", quote_identifier(statement->tableSpace));
	if (definition->predicate != NIL)
	{
		appendStringInfoString(&tail, " WHERE ");
		put_expression(&tail, definition, (Node *) make_ands_explicit(definition->predicate));
	}
	AtEOXact_GUC(false, nest_level);
	return tail.data;
}

static void
put_columns(StringInfo tail, const IndexDefinition *definition, int from, int to)
{
	for (int i = from; i < to; i++)
	{
		if (i > from)
			appendStringInfoString(tail, ", ");
		put_column(tail, definition, &definition->columns[i]);
		if (i < definition->n_keys)
			put_key(tail, &definition->columns[i]);
	}
}

static void
put_column(StringInfo tail, const IndexDefinition *definition, const IndexColumn *column)
{
	if (column->element->name != NULL)
		appendStringInfoString(tail, quote_identifier(column->element->name));
	else
		put_expression(tail, definition, column->element->expr);
}

static void
put_expression(StringInfo tail, const IndexDefinition *definition, Node *expression)
{
	List	   *names = deparse_context_for(definition->relname, definition->table);

	appendStringInfo(tail, "(%s)", deparse_expression(expression, names, false, false));
}

static void
put_key(StringInfo tail, const IndexColumn *column)
{
	const IndexElem *element = column->element;

	if (element->collation != NIL)
		appendStringInfo(tail, " COLLATE %s", generate_collation_name(column->collation));
	if (element->opclass != NIL || element->opclassopts != NIL)
		appendStringInfo(tail, " %s", generate_opclass_name(column->opclass));
	if (element->opclassopts != NIL)
		put_settings(tail, element->opclassopts);
	if (element->ordering != SORTBY_DEFAULT)
		appendStringInfoString(tail, element->ordering == SORTBY_DESC ? " DESC" : " ASC");
	if (element->nulls_ordering != SORTBY_NULLS_DEFAULT)
		appendStringInfoString(tail, element->nulls_ordering == SORTBY_NULLS_FIRST ? " NULLS FIRST" : " NULLS LAST");
}

static void
put_settings(StringInfo tail, List *settings)
{
	ListCell   *cell;

	appendStringInfoString(tail, " (");
	foreach(cell, settings)
	{
		DefElem    *setting = lfirst_node(DefElem, cell);

		if (foreach_current_index(cell) > 0)
			appendStringInfoString(tail, ", ");
		if (setting->defnamespace != NULL)
			appendStringInfo(tail, "%s.", quote_identifier(setting->defnamespace));
		appendStringInfoString(tail, quote_identifier(setting->defname));
		if (setting->arg != NULL)
			appendStringInfo(tail, "=%s", quote_literal_cstr(defGetString(setting)));
	}
	appendStringInfoChar(tail, ')');
}

/* The statement; options stand between INDEX and the name, or, for "ONLY", before the table. */
char *
dbops_online_index_statement(const IndexDefinition *definition, const char *options, const char *name)
{
	bool		only = (strcmp(options, "ONLY") == 0);

	return psprintf("CREATE %sINDEX %s%s ON %s%s.%s %s",
					definition->statement->unique ? "UNIQUE " : "",
					(only || options[0] == '\0') ? "" : psprintf("%s ", options), quote_identifier(name),
					only ? "ONLY " : "",
					quote_identifier(get_namespace_name(definition->schema)), quote_identifier(definition->relname),
					definition->tail);
}

/* The same definition, read for a partition of the table. */
IndexDefinition *
dbops_online_index_read_for(const IndexDefinition *definition, Oid table)
{
	IndexDefinition other = *definition;
	IndexDefinition *read;
	const char *text;

	other.schema = get_rel_namespace(table);
	other.relname = get_rel_name(table);
	text = dbops_online_index_statement(&other, "", "i");
	read = dbops_online_index_read(table, dbops_online_index_parse(text), text, definition->to_come);
	read->why = definition->why;
	return read;
}
