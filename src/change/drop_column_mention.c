/*
 * drop_column_mention.c
 *		Texts that may name a column: the server does not know.
 *
 * The bodies of functions are texts to the server until they run, and so are the
 * statements of applications. Those that have the name of the table and that of
 * the column in them, as words, are told. It may be another table's column, or a
 * word in a comment; and what is put together at run time, or is selected by *,
 * is not found.
 */
#include "change/drop_column.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#define MOST_MENTIONS	20		/* that are listed */
#define MOST_LETTERS	120		/* bytes of a statement */

/* Is a text worth a look for table, $1, and column, $2? */
#define MAY_MENTION(text) \
	" strpos(lower(" text "), lower($1)) > 0 AND strpos(lower(" text "), lower($2)) > 0"

/* Texts on their way into a message. */
typedef struct Mentions
{
	const char *table;			/* as a text writes it, without quotes around it */
	const char *column;
	const char *statements;		/* the query that reads them */
	int			n;
	StringInfoData text;
} Mentions;

static Mentions search_for(const ColumnDrop *drop);
static char *as_written(const char *name);
static void tell_functions(const ColumnDrop *drop);
static void tell_policies(const ColumnDrop *drop);
static void tell_statements(const ColumnDrop *drop);
static void read_statements(void *arg);
static void take_mention(HeapTuple row, TupleDesc desc, void *arg);
static bool has_word(const char *text, const char *word);
static bool is_in_word(char letter);
static char *on_one_line(const char *text);

void
dbops_drop_column_tell_mentions(const ColumnDrop *drop)
{
	tell_functions(drop);
	tell_policies(drop);
	tell_statements(drop);
}

static Mentions
search_for(const ColumnDrop *drop)
{
	Mentions	mentions = {
		.table = as_written(get_rel_name(drop->table)),
		.column = as_written(drop->column)
	};

	initStringInfo(&mentions.text);
	return mentions;
}

/* A quote in a name is written twice. */
static char *
as_written(const char *name)
{
	StringInfoData text;

	initStringInfo(&text);
	for (; *name != '\0'; name++)
	{
		appendStringInfoChar(&text, *name);
		if (*name == '"')
			appendStringInfoChar(&text, *name);
	}
	return text.data;
}

static void
tell_functions(const ColumnDrop *drop)
{
	Mentions	mentions = search_for(drop);
	DbopsParam	params[] = {dbops_param_text(mentions.table), dbops_param_text(mentions.column)};

	dbops_query_each("SELECT object, prosrc FROM (SELECT pg_describe_object('pg_proc'::regclass, p.oid, 0) AS object, p.prosrc FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang"
					 " WHERE p.oid >= 16384 AND p.prosqlbody IS NULL AND l.lanname NOT IN ('internal', 'c') AND" MAY_MENTION("p.prosrc")
					 ") x ORDER BY object COLLATE \"C\"",
					 lengthof(params), params, take_mention, &mentions);
	if (mentions.n > 0)
		ereport(NOTICE,
				(errmsg("%d function%s may name column %s of %s", mentions.n, mentions.n == 1 ? "" : "s", drop->name, drop->table_name),
				 errdetail_internal("%s", mentions.text.data),
				 errhint("The server does not look into them: they fail when they run.")));
}

/* What should stay true of the table may rest on the column. */
static void
tell_policies(const ColumnDrop *drop)
{
	Mentions	mentions = search_for(drop);
	DbopsParam	params[] = {dbops_param_oid(drop->table), dbops_param_text(mentions.table)};

	dbops_store_each("SELECT format('policy %s of %s', kind, name), concat_ws(' ', $2, spec) FROM dbops.policy WHERE relation = $1 ORDER BY kind",
					 lengthof(params), params, take_mention, &mentions);
	if (mentions.n > 0)
		ereport(NOTICE,
				(errmsg("%d polic%s of dbops may name column %s of %s", mentions.n, mentions.n == 1 ? "y" : "ies", drop->name, drop->table_name),
				 errdetail_internal("%s", mentions.text.data),
				 errhint("See dbops.policies().")));
}

/* Those that the caller may read, where there are any; what changed the schema will not be run again. */
static void
tell_statements(const ColumnDrop *drop)
{
	DbopsExtension extension = dbops_extension_find("pg_stat_statements");
	Oid			function = OidIsValid(extension.oid) ?
		dbops_extension_function(extension.oid, "pg_stat_statements", 1) : InvalidOid;
	Mentions	mentions = search_for(drop);
	ErrorData  *error;

	if (!OidIsValid(function))
		return;
	mentions.statements = psprintf("SELECT CASE WHEN calls = 1 THEN '1 call: ' ELSE calls || ' calls: ' END, query FROM %s(true)"
								   " WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())"
								   " AND query !~* '^\\s*(create|alter|drop|comment|grant|revoke|call\\s+dbops)\\M' AND" MAY_MENTION("query")
								   " ORDER BY calls DESC, query COLLATE \"C\"",
								   quote_qualified_identifier(get_namespace_name(get_func_namespace(function)), get_func_name(function)));
	if (!dbops_attempt(read_statements, &mentions, &error) || mentions.n == 0)
		return;
	ereport(NOTICE,
			(errmsg("%d statement%s of those that were run lately may name column %s of %s", mentions.n, mentions.n == 1 ? "" : "s",
					drop->name, drop->table_name),
			 errdetail_internal("%s", mentions.text.data),
			 errhint("Have the application do without the column first.")));
}

/* With the rights of the caller. */
static void
read_statements(void *arg)
{
	Mentions   *mentions = arg;
	DbopsParam	params[] = {dbops_param_text(mentions->table), dbops_param_text(mentions->column)};

	dbops_query_each(mentions->statements, lengthof(params), params, take_mention, mentions);
}

/* Of a label and a text; a label that ends in a blank has the text shown. */
static void
take_mention(HeapTuple row, TupleDesc desc, void *arg)
{
	Mentions   *mentions = arg;
	char	   *label = dbops_row_text(row, desc, 1);
	char	   *text = dbops_row_text(row, desc, 2);

	CHECK_FOR_INTERRUPTS();
	if (has_word(text, mentions->table) && has_word(text, mentions->column))
	{
		if (mentions->n++ < MOST_MENTIONS)
			appendStringInfo(&mentions->text, "%s%s%s", mentions->n > 1 ? "\n" : "", label,
							 label[strlen(label) - 1] == ' ' ? on_one_line(text) : "");
		else if (mentions->n == MOST_MENTIONS + 1)
			appendStringInfoString(&mentions->text, "\n...");
	}
	pfree(label);
	pfree(text);
}

/* Is it there, in whatever case, and not within a longer one? */
static bool
has_word(const char *text, const char *word)
{
	size_t		length = strlen(word);

	for (const char *at = text; *at != '\0'; at++)
		if (pg_strncasecmp(at, word, length) == 0 && (at == text || !is_in_word(at[-1])) && !is_in_word(at[length]))
			return true;
	return false;
}

/* Does a text have the column behind a dot, as what reads it of a row has? */
bool
dbops_text_has_field(const char *text, const char *column)
{
	const char *word = as_written(column);
	size_t		length = strlen(word);

	for (const char *dot = strchr(text, '.'); dot != NULL; dot = strchr(dot + 1, '.'))
	{
		const char *at = dot + 1 + strspn(dot + 1, " \t\r\n\"");

		if (pg_strncasecmp(at, word, length) == 0 && !is_in_word(at[length]))
			return true;
	}
	return false;
}

static bool
is_in_word(char letter)
{
	return isalnum((unsigned char) letter) || letter == '_' || letter == '$' || IS_HIGHBIT_SET(letter);
}

/* Its beginning. */
static char *
on_one_line(const char *text)
{
	StringInfoData line;
	Size		length;

	initStringInfo(&line);
	for (; *text != '\0' && line.len <= MOST_LETTERS; text++)
		if (!isspace((unsigned char) *text))
			appendStringInfoChar(&line, *text);
		else if (line.len > 0 && line.data[line.len - 1] != ' ')
			appendStringInfoChar(&line, ' ');
	length = dbops_text_clip(line.data, MOST_LETTERS);
	if (length < line.len)
		return psprintf("%.*s...", (int) length, line.data);
	return line.data;
}
