/*
 * table_statements.c
 *		Which of the statements that the server has recorded read a table, and by
 *		which columns.
 *
 * pg_stat_statements keeps texts. Those that contain a table's name are parsed by
 * the server's own parser, and nothing is looked up or run. A name without a
 * schema is taken for the table of that name whatever its schema: the search_path
 * of the statement is not known. Nor is it known whose a column is that stands
 * without its table's name or alias, or with that of a subquery: it may be of any.
 * What reads a table by way of a view or a function does not name it, and is not
 * found.
 */
#include "advise/table_reads.h"

#include "core/server.h"
#include "core/sql.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#define MOST_STATEMENTS	"5000"	/* those that take most time */

/* A column that a statement compares. */
typedef struct Compared
{
	const char *relation;		/* as the statement calls it; NULL: not said */
	const char *column;
} Compared;

/* What a statement names. */
typedef struct Gathering
{
	const char *sql;
	List	   *relations;		/* of RangeVar * */
	List	   *columns;		/* of Compared * */
} Gathering;

/* The tables that are called by a word, in whatever case. */
typedef struct Word
{
	char		word[NAMEDATALEN];
	List	   *names;			/* of TableName * */
	List	   *tables;			/* of NamedTable *, one for each */
} Word;

typedef struct Search
{
	HTAB	   *words;			/* of Word */
	const char *sql;			/* that reads the statements */
} Search;

static void read_statements(void *arg);
static void take_statement(HeapTuple row, TupleDesc desc, void *arg);
static HTAB *list_words(const List *tables);
static Word *find_word(HTAB *words, const char *name, HASHACTION action, bool *found);
static bool has_name(HTAB *words, const char *text);
static const char *read_word(const char *text, char *word);
static bool is_in_word(char letter);
static List *parse_quietly(const char *sql);
static void parse(void *arg);
static bool gather(Node *node, void *arg);
static void gather_compared(Gathering *gathering, const A_Expr *comparison);
static bool compares(const A_Expr *expression);
static void add_column(Gathering *gathering, Node *node);
static List *tables_of(const Search *search, const RangeVar *relation);
static List *columns_of(const Search *search, const Gathering *gathering, const NamedTable *table);
static bool may_be_of(const Search *search, const Gathering *gathering, const Compared *compared, const NamedTable *table);

/* Fill in the statements; why not, as a clause, or NULL. */
const char *
dbops_table_statements(List *tables)
{
	DbopsExtension extension = dbops_extension_find("pg_stat_statements");
	Oid			function = OidIsValid(extension.oid) ?
		dbops_extension_function(extension.oid, "pg_stat_statements", 1) : InvalidOid;
	Search		search = {.words = list_words(tables)};
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
	List	   *tables = NIL;
	ErrorData  *error;
	ListCell   *cell;

	CHECK_FOR_INTERRUPTS();
	if (!has_name(search->words, gathering.sql) || !dbops_attempt(parse, &gathering, &error))
		return;					/* a text may have been cut off */
	foreach(cell, gathering.relations)
		tables = list_concat_unique_ptr(tables, tables_of(search, lfirst(cell)));
	foreach(cell, tables)
	{
		NamedTable *table = lfirst(cell);
		TableStatement *statement = palloc(sizeof(TableStatement));

		statement->id = dbops_row_int8(row, desc, 1);
		statement->calls = dbops_row_int8(row, desc, 2);
		statement->time = dbops_row_float8(row, desc, 3);
		statement->text = gathering.sql;
		statement->columns = columns_of(search, &gathering, table);
		table->statements = lappend(table->statements, statement);
	}
}

/* List what tables are called, so that a text costs as much to look through however many they are. */
static HTAB *
list_words(const List *tables)
{
	HASHCTL		control = {.keysize = NAMEDATALEN,.entrysize = sizeof(Word),.hcxt = CurrentMemoryContext};
	HTAB	   *words = hash_create("names of tables", 256, &control, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	ListCell   *cell;
	ListCell   *name;

	foreach(cell, tables)
		foreach(name, ((NamedTable *) lfirst(cell))->names)
		{
			bool		found;
			Word	   *word = find_word(words, ((TableName *) lfirst(name))->name, HASH_ENTER, &found);

			if (!found)
				word->names = word->tables = NIL;
			word->names = lappend(word->names, lfirst(name));
			word->tables = lappend(word->tables, lfirst(cell));
		}
	return words;
}

/* By name, without regard to case; NULL: no table is called so. */
static Word *
find_word(HTAB *words, const char *name, HASHACTION action, bool *found)
{
	char		word[NAMEDATALEN];
	int			length = 0;

	for (; name[length] != '\0' && length < NAMEDATALEN - 1; length++)
		word[length] = pg_tolower((unsigned char) name[length]);
	word[length] = '\0';
	return hash_search(words, word, action, found);
}

/*
 * Whether it is worth parsing: whether it has a word by which a table is called.
 * What is written with escapes, or is too long for a name, may be one.
 */
static bool
has_name(HTAB *words, const char *text)
{
	char		word[NAMEDATALEN];

	if (strstr(text, "U&\"") != NULL || strstr(text, "u&\"") != NULL)
		return true;
	while (*text != '\0')
	{
		text = read_word(text, word);
		if (strlen(word) == NAMEDATALEN - 1 || (*word != '\0' && find_word(words, word, HASH_FIND, NULL) != NULL))
			return true;
	}
	return false;
}

/* Read a word, quoted or not, or pass over something else, which is the empty word; returns what follows. */
static const char *
read_word(const char *text, char *word)
{
	bool		quoted = (*text == '"');
	int			length = 0;

	word[0] = '\0';
	if (!quoted && !is_in_word(*text))
		return text + 1;
	for (text += quoted; *text != '\0' && (quoted || is_in_word(*text)); text++)
	{
		if (quoted && *text == '"' && *++text != '"')
			break;				/* one in the name is written twice */
		if (length < NAMEDATALEN - 1)
			word[length++] = *text;
	}
	word[length] = '\0';
	return text;
}

static bool
is_in_word(char letter)
{
	return isalnum((unsigned char) letter) || letter == '_' || letter == '$' || IS_HIGHBIT_SET(letter);
}

/* What the parser says to whoever wrote it, such as of names that are too long, is not for who reads the report. */
static List *
parse_quietly(const char *sql)
{
	int			nest_level = NewGUCNestLevel();
	List	   *parsed;

	dbops_set_nested("client_min_messages", "error");
	parsed = dbops_sql_parse(sql, RAW_PARSE_DEFAULT);
	AtEOXact_GUC(false, nest_level);
	return parsed;
}

static void
parse(void *arg)
{
	Gathering  *gathering = arg;
	List	   *parsed = parse_quietly(gathering->sql);
	ListCell   *cell;

	foreach(cell, parsed)
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

/* The last field is the column, the one before it whose it is. */
static void
add_column(Gathering *gathering, Node *node)
{
	List	   *fields = (node != NULL && IsA(node, ColumnRef)) ? ((ColumnRef *) node)->fields : NIL;
	int			n = list_length(fields);
	Compared   *compared;

	if (n == 0 || !IsA(llast(fields), String))
		return;
	compared = palloc(sizeof(Compared));
	compared->column = strVal(llast(fields));
	compared->relation = (n == 1) ? NULL : strVal(list_nth(fields, n - 2));
	gathering->columns = lappend(gathering->columns, compared);
}

/* List the tables that a name in a statement may mean. */
static List *
tables_of(const Search *search, const RangeVar *relation)
{
	Word	   *word = find_word(search->words, relation->relname, HASH_FIND, NULL);
	List	   *tables = NIL;
	ListCell   *cell;
	ListCell   *table;

	if (word == NULL)
		return NIL;
	forboth(cell, word->names, table, word->tables)
	{
		const TableName *name = lfirst(cell);

		if (strcmp(relation->relname, name->name) == 0 &&
			(relation->schemaname == NULL || strcmp(relation->schemaname, name->schema) == 0))
			tables = list_append_unique_ptr(tables, lfirst(table));
	}
	return tables;
}

/* List the columns that the statement compares and that may be the table's, each once. */
static List *
columns_of(const Search *search, const Gathering *gathering, const NamedTable *table)
{
	List	   *columns = NIL;
	ListCell   *cell;

	foreach(cell, gathering->columns)
	{
		const Compared *compared = lfirst(cell);

		if (!dbops_texts_have(columns, compared->column) && may_be_of(search, gathering, compared, table))
			columns = lappend(columns, unconstify(char *, compared->column));
	}
	return columns;
}

/* It is not if it is said to be of other tables only. */
static bool
may_be_of(const Search *search, const Gathering *gathering, const Compared *compared, const NamedTable *table)
{
	bool		said = false;
	ListCell   *cell;

	if (compared->relation == NULL)
		return true;
	foreach(cell, gathering->relations)
	{
		const RangeVar *relation = lfirst(cell);
		const char *name = (relation->alias != NULL) ? relation->alias->aliasname : relation->relname;

		if (strcmp(name, compared->relation) != 0)
			continue;
		if (list_member_ptr(tables_of(search, relation), table))
			return true;
		said = true;
	}
	return !said;
}
