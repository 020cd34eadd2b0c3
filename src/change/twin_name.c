/*
 * twin_name.c
 *		Names of what a change of a column makes, and a column's name inside of
 *		the expressions that are to be copied for another column.
 *
 * Names are made of those that are there, so that the same call finds what an
 * earlier one has made. Expressions come from the server, as it writes them; its
 * own parser says where in the text a column is named.
 */
#include "change/twin.h"

#include "core/sql.h"

#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"

/* Places where a column is named in a text. */
typedef struct NameWalk
{
	const char *name;
	List	   *places;			/* of int: bytes from the beginning */
} NameWalk;

static bool find_name(Node *node, void *context);
static int	by_place(const ListCell *a, const ListCell *b);

/* An expression that the server has written, with another column, or anything else, in the place of one. */
char *
dbops_twin_rewrite(const char *expression, const char *old, const char *replacement)
{
	NameWalk	walk = {.name = old};
	StringInfoData text;
	int			at = 0;
	ListCell   *cell;

	find_name((Node *) linitial_node(RawStmt, dbops_sql_parse(expression, RAW_PARSE_PLPGSQL_EXPR))->stmt, &walk);
	list_sort(walk.places, by_place);
	initStringInfo(&text);
	foreach(cell, walk.places)
	{
		appendBinaryStringInfo(&text, expression + at, lfirst_int(cell) - at);
		appendStringInfoString(&text, replacement);
		at = lfirst_int(cell) + strlen(quote_identifier(old));
	}
	appendStringInfoString(&text, expression + at);
	return text.data;
}

static bool
find_name(Node *node, void *context)
{
	NameWalk   *walk = context;

	if (node == NULL)
		return false;
	if (IsA(node, ColumnRef))
	{
		const ColumnRef *column = (const ColumnRef *) node;

		if (IsA(linitial(column->fields), String) && strcmp(strVal(linitial(column->fields)), walk->name) == 0)
			walk->places = lappend_int(walk->places, column->location);
		return false;
	}
	return raw_expression_tree_walker(node, find_name, context);
}

static int
by_place(const ListCell *a, const ListCell *b)
{
	return lfirst_int(a) - lfirst_int(b);
}

/*
 * The name of the copy of an index or a constraint, until it gets the name of the
 * original. Constraints are checked in the order of their names: an application
 * is to be told of those that it knows.
 */
char *
dbops_twin_clone_name(const char *name)
{
	return unconstify(char *, dbops_text_fit(psprintf("%s_dbops_new", name), NAMEDATALEN));
}

/* Triggers fire in the order of their names: this one is to see what others have made of a row. */
char *
dbops_twin_trigger_name(const char *column)
{
	return unconstify(char *, dbops_text_fit(psprintf("zz_dbops_%s", column), NAMEDATALEN));
}

/* The column that takes the place of another one in the end. */
char *
dbops_twin_column_name(const char *column)
{
	return unconstify(char *, dbops_text_fit(psprintf("dbops_new_%s", column), NAMEDATALEN));
}

/* The CHECK that proves the new column to be never null, until it is NOT NULL. */
char *
dbops_twin_not_null_name(const char *column)
{
	return unconstify(char *, dbops_text_fit(psprintf("dbops_not_null_%s", column), NAMEDATALEN));
}
