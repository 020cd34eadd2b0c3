/*
 * ddl_guard_text.c
 *		The text of a statement, as far as it may be written down.
 *
 * Options of what connects to other servers can be passwords.
 */
#include "change/ddl_guard.h"

static bool alters_secrets(const AlterTableStmt *statement);
static bool has_column_options(const List *columns);

/* Its text; NULL where that may hold a password. */
char *
dbops_guard_source(const GuardedStatement *guarded)
{
	const char *begin = guarded->query + Max(guarded->location, 0);

	if (dbops_guard_has_secrets(guarded->node))
		return NULL;
	return guarded->length > 0 ? pnstrdup(begin, guarded->length) : pstrdup(begin);
}

bool
dbops_guard_has_secrets(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_CreateUserMappingStmt:
		case T_AlterUserMappingStmt:
		case T_CreateForeignServerStmt:
		case T_AlterForeignServerStmt:
		case T_CreateSubscriptionStmt:
		case T_AlterSubscriptionStmt:
			return true;
		case T_CreateFdwStmt:
			return ((CreateFdwStmt *) statement)->options != NIL;
		case T_AlterFdwStmt:
			return ((AlterFdwStmt *) statement)->options != NIL;
		case T_CreateForeignTableStmt:
			return ((CreateForeignTableStmt *) statement)->options != NIL ||
				has_column_options(((CreateForeignTableStmt *) statement)->base.tableElts);
		case T_ImportForeignSchemaStmt:
			return ((ImportForeignSchemaStmt *) statement)->options != NIL;
		case T_AlterTableStmt:
			return alters_secrets((AlterTableStmt *) statement);
		default:
			return false;
	}
}

/* Those of a foreign table, which ALTER TABLE takes too. */
static bool
alters_secrets(const AlterTableStmt *statement)
{
	ListCell   *cell;

	foreach(cell, statement->cmds)
	{
		const AlterTableCmd *command = lfirst(cell);

		if (command->subtype == AT_GenericOptions || command->subtype == AT_AlterColumnGenericOptions ||
			(command->subtype == AT_AddColumn && has_column_options(list_make1(command->def))))
			return true;
	}
	return false;
}

static bool
has_column_options(const List *columns)
{
	ListCell   *cell;

	foreach(cell, columns)
		if (IsA(lfirst(cell), ColumnDef) && lfirst_node(ColumnDef, cell)->fdwoptions != NIL)
			return true;
	return false;
}
