/*
 * table_statements.c
 *		Which of the statements that the server has recorded read a table, and by
 *		which columns.
 *
 * pg_stat_statements keeps texts. Those that contain a table's name are parsed by
 * the server's own parser, and nothing is looked up or run. A name without a
 * schema is taken for the table of that name whatever its schema: the search_path
 * of the statement is not known. What reads a table by way of a view or a function
 * does not name it, and is not found.
 */
#include "advise/table_reads.h"

#include "core/server.h"
#include "core/sql.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#define MOST_STATEMENTS	"5000"	/* those that take most time */

/* What a statement names. */
typedef struct Gathering
{
	const char *sql;
	List	   *relations;		/* of RangeVar * */
	List	   *columns;		/* of char *: that it compares */
} Gathering;

typedef struct Search
{
	List	   *tables;			/* of NamedTable * */
	const char *sql;			/* that reads the statements */
} Search;

static void read_statements(void *arg);
static void take_statement(HeapTuple row, TupleDesc desc, void *arg);
static bool has_name(const List *tables, const char *text);
static const char *spelled(const char *name);
static void parse(void *arg);
static bool gather(Node *node, void *arg);
static void gather_compared(Gathering *gathering, const A_Expr *comparison);
static bool compares(const A_Expr *expression);
static void add_column(Gathering *gathering, Node *node);
static bool is_named(const Gathering *gathering, const NamedTable *table);

/* Fill in the statements; why not, as a clause, or NULL. */
const char *
dbops_table_statements(List *tables)
{
	DbopsExtension extension = dbops_extension_find("pg_stat_statements");
	Oid			function = OidIsValid(extension.oid) ?
		dbops_extension_function(extension.oid, "pg_stat_statements", 1) : InvalidOid;
	Search		search = {.tables = tables};
	ErrorData  *error;

	if (!OidIsValid(function))
		return "pg_stat_statements is not installed in this database";
	search.sql = psprintf("SELECT queryid, calls, total_exec_time, query FROM %s(true)"
						  " WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND query IS NOT NULL"
						  " AND queryid IS NOT NULL ORDER BY total_exec_time DESC LIMIT " MOST_STATEMENTS,
						  quote_qualified_identifier(get_namespace_name(get_func_namespace(function)), get_func_name(function)));
	if (dbops_attempt(read_statements, &search, &error))
		return NULL;
	if (error->sqlerrcode != ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE)
		ReThrowError(error);
	return "pg_stat_statements is not loaded: add it to shared_preload_libraries";
}

static void
read_statements(void *arg)
{
	Search	   *search = arg;

	dbops_store_each(search->sql, 0, NULL, take_statement, search);
}

static void
take_statement(HeapTuple row, TupleDesc desc, void *arg)
{
	Search	   *search = arg;
	Gathering	gathering = {.sql = dbops_row_text(row, desc, 4)};
	TableStatement *statement;
	ErrorData  *error;
	ListCell   *cell;

	CHECK_FOR_INTERRUPTS();
	if (!has_name(search->tables, gathering.sql) || !dbops_attempt(parse, &gathering, &error))
		return;					/* a text may have been cut off */
	statement = palloc(sizeof(TableStatement));
	statement->id = dbops_row_int8(row, desc, 1);
	statement->calls = dbops_row_int8(row, desc, 2);
	statement->time = dbops_row_float8(row, desc, 3);
	statement->text = gathering.sql;
	statement->columns = gathering.columns;
	foreach(cell, search->tables)
	{
		NamedTable *table = lfirst(cell);

		if (is_named(&gathering, table))
			table->statements = lappend(table->statements, statement);
	}
}

/* Whether it is worth parsing; names in texts may be in any case. */
static bool
has_name(const List *tables, const char *text)
{
	ListCell   *cell;

	foreach(cell, tables)
		if (strcasestr(text, spelled(((NamedTable *) lfirst(cell))->name)) != NULL)
			return true;
	return false;
}

/* Quotes in a name are written twice. */
static const char *
spelled(const char *name)
{
	StringInfoData text;

	if (strchr(name, '"') == NULL)
		return name;
	initStringInfo(&text);
	for (; *name != '\0'; name++)
	{
		if (*name == '"')
			appendStringInfoChar(&text, '"');
		appendStringInfoChar(&text, *name);
	}
	return text.data;
}

static void
parse(void *arg)
{
	Gathering  *gathering = arg;
	ListCell   *cell;

	foreach(cell, dbops_sql_parse(gathering->sql, RAW_PARSE_DEFAULT))
	{
		Node	   *statement = lfirst_node(RawStmt, cell)->stmt;

		switch (nodeTag(statement))
		{
			case T_SelectStmt:
			case T_UpdateStmt:
			case T_DeleteStmt:
				(void) gather(statement, gathering);
				break;
			case T_InsertStmt:	/* does not read what it writes to */
				(void) gather(((InsertStmt *) statement)->selectStmt, gathering);
				break;
			default:
				break;
		}
	}
}

static bool
gather(Node *node, void *arg)
{
	Gathering  *gathering = arg;

	if (node == NULL)
		return false;
	if (IsA(node, RangeVar))
		gathering->relations = lappend(gathering->relations, node);
	else if (IsA(node, A_Expr))
		gather_compared(gathering, (A_Expr *) node);
	return raw_expression_tree_walker(node, gather, arg);
}

static void
gather_compared(Gathering *gathering, const A_Expr *comparison)
{
	if (!compares(comparison))
		return;
	add_column(gathering, comparison->lexpr);
	add_column(gathering, comparison->rexpr);
}

/* Whether a btree could serve it. */
static bool
compares(const A_Expr *expression)
{
	const char *name;

	switch (expression->kind)
	{
		case AEXPR_OP:
		case AEXPR_OP_ANY:
			name = strVal(llast(expression->name));
			return strcmp(name, "=") == 0 || strcmp(name, "<") == 0 || strcmp(name, ">") == 0 ||
				strcmp(name, "<=") == 0 || strcmp(name, ">=") == 0;
		case AEXPR_IN:
			return strcmp(strVal(llast(expression->name)), "=") == 0;
		case AEXPR_BETWEEN:
			return true;
		default:
			return false;
	}
}

static void
add_column(Gathering *gathering, Node *node)
{
	Node	   *name;

	if (node == NULL || !IsA(node, ColumnRef))
		return;
	name = llast(((ColumnRef *) node)->fields);
	if (IsA(name, String) && !dbops_texts_have(gathering->columns, strVal(name)))
		gathering->columns = lappend(gathering->columns, strVal(name));
}

static bool
is_named(const Gathering *gathering, const NamedTable *table)
{
	ListCell   *cell;

	foreach(cell, gathering->relations)
	{
		const RangeVar *relation = lfirst(cell);

		if (strcmp(relation->relname, table->name) == 0 &&
			(relation->schemaname == NULL || strcmp(relation->schemaname, table->schema) == 0))
			return true;
	}
	return false;
}
