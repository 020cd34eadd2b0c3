/*
 * migration_breaking.c
 *		Does a statement take away what running code may use?
 *
 * While a migration is deployed the application that was there before it still
 * runs. Dropping, renaming or moving a table, a column, a function or a type
 * breaks it at once, and so does a column that takes less than it did: another
 * type, or no nulls. What the same text has created itself nobody uses yet; so
 * a table that does not exist when this is asked is none that breaks.
 */
#include "change/migration.h"

#include "catalog/namespace.h"

static bool drop_breaks(const DropStmt *statement);
static bool names_table(const List *objects);
static bool alter_breaks(const AlterTableStmt *statement);
static bool rename_breaks(const RenameStmt *statement);
static bool exists(const RangeVar *name);

bool
dbops_migration_breaks(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_DropStmt:
			return drop_breaks((DropStmt *) statement);
		case T_AlterTableStmt:
			return alter_breaks((AlterTableStmt *) statement);
		case T_RenameStmt:
			return rename_breaks((RenameStmt *) statement);
		case T_AlterObjectSchemaStmt:
			return ((AlterObjectSchemaStmt *) statement)->relation == NULL ||
				exists(((AlterObjectSchemaStmt *) statement)->relation);
		case T_GrantStmt:
			return !((GrantStmt *) statement)->is_grant;
		case T_GrantRoleStmt:
			return !((GrantRoleStmt *) statement)->is_grant;
		case T_DropOwnedStmt:
		case T_DropRoleStmt:
			return true;
		case T_TruncateStmt:
			return false;			/* takes rows, not what code is written for */
		default:
			return false;
	}
}

static bool
drop_breaks(const DropStmt *statement)
{
	switch (statement->removeType)
	{
		case OBJECT_TABLE:
		case OBJECT_VIEW:
		case OBJECT_MATVIEW:
		case OBJECT_FOREIGN_TABLE:
		case OBJECT_SEQUENCE:
			return names_table(statement->objects);
		case OBJECT_SCHEMA:
		case OBJECT_FUNCTION:
		case OBJECT_PROCEDURE:
		case OBJECT_ROUTINE:
		case OBJECT_AGGREGATE:
		case OBJECT_TYPE:
		case OBJECT_DOMAIN:
		case OBJECT_OPERATOR:
		case OBJECT_CAST:
		case OBJECT_EXTENSION:
		case OBJECT_COLLATION:
			return true;
		default:
			return false;
	}
}

static bool
names_table(const List *objects)
{
	ListCell   *cell;

	foreach(cell, objects)
		if (exists(makeRangeVarFromNameList(lfirst_node(List, cell))))
			return true;
	return false;
}

static bool
alter_breaks(const AlterTableStmt *statement)
{
	ListCell   *cell;

	if (statement->objtype != OBJECT_TYPE && !exists(statement->relation))
		return false;
	foreach(cell, statement->cmds)
	{
		const AlterTableCmd *command = lfirst_node(AlterTableCmd, cell);

		switch (command->subtype)
		{
			case AT_DropColumn:
			case AT_AlterColumnType:
			case AT_SetNotNull:
				return true;
			case AT_ColumnDefault:
				if (command->def == NULL)
					return true;
				break;
			default:
				break;
		}
	}
	return false;
}

/* The names of indexes, constraints, triggers and the like stand in no query. */
static bool
rename_breaks(const RenameStmt *statement)
{
	switch (statement->renameType)
	{
		case OBJECT_INDEX:
		case OBJECT_TABCONSTRAINT:
		case OBJECT_DOMCONSTRAINT:
		case OBJECT_TRIGGER:
		case OBJECT_POLICY:
		case OBJECT_RULE:
		case OBJECT_EVENT_TRIGGER:
		case OBJECT_STATISTIC_EXT:
			return false;
		default:
			return statement->relation == NULL || exists(statement->relation);
	}
}

static bool
exists(const RangeVar *name)
{
	return OidIsValid(dbops_migration_find_relation(name));
}
