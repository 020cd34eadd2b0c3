/*
 * ddl_guard_kind.c
 *		What is to be asked of a statement, by its form alone.
 *
 * This is asked of all that any client runs, and looks nothing up: transaction
 * statements run where nothing can be looked up. What is DDL is what the server
 * says for log_statement = 'ddl'; the exceptions stand here:
 *
 *		TRUNCATE, REINDEX, CLUSTER, VACUUM FULL and REFRESH MATERIALIZED VIEW
 *				change no schema, but lock tables and work on them
 *		plain VACUUM and ANALYZE, LOCK, COPY, CALL, DO, EXECUTE, EXPLAIN
 *				are not asked; what runs inside of them is. What EXPLAIN ANALYZE
 *				makes is made without the hook, and asked in its place
 *		CREATE TABLE AS, SELECT INTO
 *				wait for what their query waits for, as any query does
 *		what runs CONCURRENTLY
 *				waits for transactions, and is worth waiting for
 *		functions
 *				lock nothing that others use, and can keep the settings that
 *				they are created with
 *		databases, roles, tablespaces, parameters of the server, large objects
 *				are no schema of this database
 *
 * GRANT, COMMENT, SECURITY LABEL, ALTER DEFAULT PRIVILEGES, IMPORT FOREIGN
 * SCHEMA, DROP OWNED, REASSIGN OWNED, publications, extensions and event triggers are changes
 * of the schema as any. CREATE SCHEMA with its elements is one statement.
 */
#include "change/ddl_guard.h"

#include "core/sql.h"

#include "commands/defrem.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"

static GuardKind kind_of_work(Node *statement);
static bool has_option(const List *options, const char *name);
static GuardKind kind_of_ddl(Node *statement);
static bool is_of_cluster(Node *statement);
static bool is_outside(ObjectType type);

/* The statement that is to be asked: of an EXPLAIN that makes a table, that. */
Node *
dbops_guard_subject(Node *statement)
{
	const ExplainStmt *explain = (const ExplainStmt *) statement;
	const Query *query;

	if (!IsA(statement, ExplainStmt) || !has_option(explain->options, "analyze") || !IsA(explain->query, Query))
		return statement;
	query = (const Query *) explain->query;
	return (query->commandType == CMD_UTILITY && IsA(query->utilityStmt, CreateTableAsStmt)) ?
		query->utilityStmt : statement;
}

/* Tell what is to be asked. */
GuardKind
dbops_guard_kind(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_TransactionStmt:
		case T_VariableSetStmt:
		case T_VariableShowStmt:
		case T_FetchStmt:
		case T_PrepareStmt:
		case T_ExecuteStmt:
		case T_ExplainStmt:
			return 0;
		case T_TruncateStmt:
		case T_ReindexStmt:
		case T_ClusterStmt:
		case T_VacuumStmt:
		case T_RefreshMatViewStmt:
			return kind_of_work(statement);
		default:
			return (GetCommandLogLevel(statement) == LOGSTMT_DDL || IsA(statement, ReassignOwnedStmt)) ? kind_of_ddl(statement) : 0;
	}
}

/* What leaves the schema as it is. */
static GuardKind
kind_of_work(Node *statement)
{
	if (IsA(statement, VacuumStmt) && !has_option(((VacuumStmt *) statement)->options, "full"))
		return 0;
	if (dbops_sql_is_concurrent(statement) ||
		(IsA(statement, RefreshMatViewStmt) && ((RefreshMatViewStmt *) statement)->concurrent))
		return GUARD_RULES;
	return GUARD_RULES | GUARD_WAITS;
}

static bool
has_option(const List *options, const char *name)
{
	bool		on = false;
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, name) == 0)
			on = defGetBoolean(option);
	}
	return on;
}

static GuardKind
kind_of_ddl(Node *statement)
{
	if (is_of_cluster(statement))
		return 0;
	switch (nodeTag(statement))
	{
		case T_CreateTableAsStmt:
		case T_CreateFunctionStmt:
		case T_AlterFunctionStmt:
			return GUARD_SCHEMA | GUARD_RULES;
		default:
			return GUARD_SCHEMA | GUARD_RULES | (dbops_sql_is_concurrent(statement) ? 0 : GUARD_WAITS);
	}
}

/* Is it about what is not in the schema of this database? */
static bool
is_of_cluster(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_CreatedbStmt:
		case T_DropdbStmt:
		case T_AlterDatabaseStmt:
		case T_AlterDatabaseSetStmt:
		case T_AlterDatabaseRefreshCollStmt:
		case T_CreateRoleStmt:
		case T_AlterRoleStmt:
		case T_AlterRoleSetStmt:
		case T_DropRoleStmt:
		case T_GrantRoleStmt:
		case T_CreateTableSpaceStmt:
		case T_DropTableSpaceStmt:
		case T_AlterTableSpaceOptionsStmt:
		case T_AlterSystemStmt:
			return true;
		case T_RenameStmt:
			return is_outside(((RenameStmt *) statement)->renameType);
		case T_AlterOwnerStmt:
			return is_outside(((AlterOwnerStmt *) statement)->objectType);
		case T_CommentStmt:
			return is_outside(((CommentStmt *) statement)->objtype);
		case T_SecLabelStmt:
			return is_outside(((SecLabelStmt *) statement)->objtype);
		case T_GrantStmt:
			return is_outside(((GrantStmt *) statement)->objtype);
		default:
			return false;
	}
}

static bool
is_outside(ObjectType type)
{
	switch (type)
	{
		case OBJECT_DATABASE:
		case OBJECT_ROLE:
		case OBJECT_TABLESPACE:
		case OBJECT_PARAMETER_ACL:
		case OBJECT_LARGEOBJECT:
			return true;
		default:
			return false;
	}
}
