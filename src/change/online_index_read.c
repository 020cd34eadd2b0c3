/*
 * online_index_read.c
 *		The definition of an index as a user writes it, read as the server would.
 *
 * The text is one CREATE INDEX statement and nothing more, by the server's own
 * parser, and its parts are looked up as CREATE INDEX looks them up: so what is
 * asked for can be held against what is there, without building it. What it names
 * is found by the search_path of the call, once.
 */
#include "change/online_index.h"

#include "core/sql.h"

#include "access/amapi.h"
#include "access/reloptions.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/defrem.h"
#include "commands/tablespace.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_utilcmd.h"
#include "utils/lsyscache.h"

static IndexDefinition *read_definition(Oid table, IndexStmt *statement, const char *text, bool to_come);
static void refuse_definition(void);
static void check_method(const IndexDefinition *definition, const IndexAmRoutine *method);
static void read_columns(IndexDefinition *definition);
static void read_column(const IndexDefinition *definition, IndexColumn *column, bool is_key);
static Oid	read_attribute(const IndexDefinition *definition, IndexColumn *column);
static Oid	read_expression(const IndexDefinition *definition, IndexColumn *column, bool is_key);
static int16 read_option(const IndexElem *element);
static void check_immutable(void *arg);
static void refuse_mutable(Node *expression, const char *what);

/* Parse a text that is to be exactly one CREATE INDEX statement. */
IndexStmt *
dbops_online_index_parse(const char *text)
{
	List	   *parsed = dbops_sql_parse(text, RAW_PARSE_DEFAULT);

	if (list_length(parsed) != 1 || !IsA(linitial_node(RawStmt, parsed)->stmt, IndexStmt))
		refuse_definition();
	return castNode(IndexStmt, linitial_node(RawStmt, parsed)->stmt);
}

static void
refuse_definition(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_SYNTAX_ERROR),
			 errmsg("definition must be exactly one CREATE INDEX statement"),
			 errhint("Give it as one would run it, such as 'CREATE INDEX ON public.orders (customer_id)'; one that is not CONCURRENTLY is built as if it were.")));
}

/*
 * Look up what a statement names, of a table that is locked. The statement is
 * changed; errors point into the text. to_come: columns may be yet to come, and
 * then no index that is there is the same.
 */
IndexDefinition *
dbops_online_index_read(Oid table, IndexStmt *statement, const char *text, bool to_come)
{
	ErrorContextCallback context = {
		.previous = error_context_stack,
		.callback = dbops_sql_point,
		.arg = unconstify(char *, text)
	};
	IndexDefinition *definition;

	error_context_stack = &context;
	definition = read_definition(table, statement, text, to_come);
	error_context_stack = context.previous;
	return definition;
}

static IndexDefinition *
read_definition(Oid table, IndexStmt *statement, const char *text, bool to_come)
{
	IndexDefinition *definition = palloc0(sizeof(IndexDefinition));
	const IndexAmRoutine *method;

	statement = transformIndexStmt(table, statement, text);
	definition->statement = statement;
	definition->table = table;
	definition->to_come = to_come;
	definition->schema = get_rel_namespace(table);
	definition->relname = get_rel_name(table);
	definition->relkind = get_rel_relkind(table);
	definition->method = get_index_am_oid(statement->accessMethod, false);
	method = GetIndexAmRoutineByAmId(definition->method, false);
	definition->ordered = method->amcanorder;
	definition->predicate = make_ands_implicit((Expr *) statement->whereClause);
	definition->settings = transformRelOptions((Datum) 0, statement->options, NULL, NULL, false, false);
	if (statement->tableSpace != NULL)
		definition->tablespace = get_tablespace_oid(statement->tableSpace, false);
	check_method(definition, method);
	read_columns(definition);
	dbops_run_as(dbops_relation_owner(table), check_immutable, definition);
	definition->tail = dbops_online_index_tail(definition);
	return definition;
}

/* What the server would refuse only when it builds. */
static void
check_method(const IndexDefinition *definition, const IndexAmRoutine *method)
{
	const IndexStmt *statement = definition->statement;
	const char *lacks = NULL;

	if (statement->unique && !method->amcanunique)
		lacks = "unique indexes";
	else if (list_length(statement->indexParams) > 1 && !method->amcanmulticol)
		lacks = "indexes of several columns";
	else if (statement->indexIncludingParams != NIL && !method->amcaninclude)
		lacks = "included columns";
	if (lacks != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("access method \"%s\" has no %s", statement->accessMethod, lacks),
				 errhint("Leave that out, or use btree, which has them.")));
}

static void
read_columns(IndexDefinition *definition)
{
	const IndexStmt *statement = definition->statement;
	List	   *elements = list_concat_copy(statement->indexParams, statement->indexIncludingParams);
	ListCell   *cell;

	definition->n_keys = list_length(statement->indexParams);
	definition->n_columns = list_length(elements);
	definition->columns = palloc0(sizeof(IndexColumn) * definition->n_columns);
	foreach(cell, elements)
	{
		int			i = foreach_current_index(cell);

		definition->columns[i].element = lfirst_node(IndexElem, cell);
		read_column(definition, &definition->columns[i], i < definition->n_keys);
	}
}

static void
read_column(const IndexDefinition *definition, IndexColumn *column, bool is_key)
{
	const IndexElem *element = column->element;
	Oid			type = (element->name != NULL) ? read_attribute(definition, column) :
		read_expression(definition, column, is_key);

	if (!is_key || !OidIsValid(type))
	{
		column->collation = InvalidOid;
		return;
	}
	if (element->collation != NIL)
		column->collation = get_collation_oid(element->collation, false);
	column->opclass = ResolveOpClass(element->opclass, type, definition->statement->accessMethod, definition->method);
	if (definition->ordered)
		column->option = read_option(element);
	if (element->opclassopts != NIL)
		column->settings = transformRelOptions((Datum) 0, element->opclassopts, NULL, NULL, false, false);
}

/* InvalidOid: it is yet to come. */
static Oid
read_attribute(const IndexDefinition *definition, IndexColumn *column)
{
	const char *name = column->element->name;
	Oid			type;
	int32		typmod;

	column->attribute = get_attnum(definition->table, name);
	if (column->attribute == InvalidAttrNumber && definition->to_come)
		return InvalidOid;
	if (column->attribute == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of relation \"%s\" does not exist", name, definition->relname),
				 errhint("A definition names columns, and puts expressions into parentheses.")));
	if (column->attribute < 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("system column \"%s\" cannot be indexed", name),
				 errhint("Index a column that the table declares.")));
	get_atttypetypmodcoll(definition->table, column->attribute, &type, &typmod, &column->collation);
	return type;
}

/* A column in parentheses is a column all the same, and a collation is not part of the expression. */
static Oid
read_expression(const IndexDefinition *definition, IndexColumn *column, bool is_key)
{
	Node	   *expression = column->element->expr;
	Oid			type;

	if (!is_key)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("an index can include columns, but no expressions"),
				 errhint("Name columns behind INCLUDE.")));
	type = exprType(expression);
	column->collation = exprCollation(expression);
	while (IsA(expression, CollateExpr))
		expression = (Node *) ((CollateExpr *) expression)->arg;
	if (IsA(expression, Var) && ((Var *) expression)->varattno != InvalidAttrNumber)
		column->attribute = ((Var *) expression)->varattno;
	else
		column->expression = expression;
	return type;
}

/* NULLs are the largest values, unless it is said otherwise. */
static int16
read_option(const IndexElem *element)
{
	bool		descends = (element->ordering == SORTBY_DESC);
	bool		nulls_first = (element->nulls_ordering == SORTBY_NULLS_DEFAULT) ? descends :
		(element->nulls_ordering == SORTBY_NULLS_FIRST);

	return (descends ? INDOPTION_DESC : 0) | (nulls_first ? INDOPTION_NULLS_FIRST : 0);
}

/* As the table's owner: to find out may evaluate what of an expression is constant. */
static void
check_immutable(void *arg)
{
	const IndexDefinition *definition = arg;

	for (int i = 0; i < definition->n_columns; i++)
		if (definition->columns[i].expression != NULL)
			refuse_mutable(definition->columns[i].expression, "expression");
	if (definition->predicate != NIL)
		refuse_mutable((Node *) make_ands_explicit(definition->predicate), "predicate");
}

static void
refuse_mutable(Node *expression, const char *what)
{
	if (contain_mutable_functions((Node *) expression_planner(copyObject((Expr *) expression))))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("the %s of the index must be immutable", what),
				 errhint("Use functions only whose results depend on nothing but their arguments, and give a time zone where one is needed.")));
}
