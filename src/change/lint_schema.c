/*
 * lint_schema.c
 *		The statements in a CREATE SCHEMA.
 *
 * They are judged and followed one by one, as if each stood for itself and the
 * schema came first in search_path.
 */
#include "change/lint.h"

static int	place_of_element(Node *element);

/* The statements in a CREATE SCHEMA (List of Node *), in the order in which the server runs them, and its name. */
List *
dbops_lint_schema_elements(Node *statement, const char **schema)
{
	const CreateSchemaStmt *create = (const CreateSchemaStmt *) statement;
	List	   *elements = NIL;
	ListCell   *cell;

	if (!IsA(statement, CreateSchemaStmt) || create->schemaElts == NIL)
		return NIL;
	*schema = dbops_lint_schema_name(create);
	for (int place = 0; *schema != NULL && place <= 3; place++)
		foreach(cell, create->schemaElts)
			if (place_of_element(lfirst(cell)) == place)
				elements = lappend(elements, lfirst(cell));
	return elements;
}

static int
place_of_element(Node *element)
{
	switch (nodeTag(element))
	{
		case T_CreateSeqStmt:
			return 0;
		case T_CreateStmt:
			return 1;
		case T_ViewStmt:
			return 2;
		default:
			return 3;
	}
}

/* Without a name it has that of its owner; NULL: that is not known here. */
const char *
dbops_lint_schema_name(const CreateSchemaStmt *statement)
{
	if (statement->schemaname != NULL || statement->authrole == NULL)
		return statement->schemaname;
	return statement->authrole->rolename;
}
