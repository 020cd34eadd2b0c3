/*
 * statement_text.c
 *		The texts that are kept beside what statements did.
 *
 * pg_stat_statements blanks the constants of queries only, and not even those
 * where it meets the plan of a query anew whose row it has lost. What is kept
 * in a table is in backups and on standbys too, and stays when somebody resets
 * pg_stat_statements: so strings that are left in a query are blanked here, and
 * of all other statements, which may hold a password in many places, nothing is
 * kept but what kind of statement they are.
 */
#include "observe/statement.h"

#include "catalog/pg_type.h"
#include "core/sql.h"
#include "parser/scanner.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/formatting.h"

#define LONGEST_TEXT	4000	/* characters that are kept */
#define BLANK			"'...'"

/* A text that is made fit to be kept. */
typedef struct Fitting
{
	const char *text;
	const char *kind;			/* of statement, at first what it begins with */
	bool		query;
	StringInfoData kept;		/* of a query */
} Fitting;

/* What a query begins with, and nothing else. */
static const char *const query_words[] = {
	"select", "insert", "update", "delete", "merge", "with", "values", "table", "prepare"
};

static void take_key(HeapTuple row, TupleDesc desc, void *arg);
static const char *fit_to_keep(const char *text);
static void fit(void *arg);
static bool begins_query(int code);
static bool is_string(const char *token);
static void insert_texts(Datum *databases, Datum *ids, Datum *texts, int n);

/* Keep the texts of the statements that have rows of an hour and none yet. */
void
dbops_statement_text_keep(TimestampTz hour)
{
	DbopsParam	params[] = {dbops_param_time(hour)};
	List	   *missing = NIL;
	ListCell   *cell;
	StatementLook look;
	Datum	   *databases;
	Datum	   *ids;
	Datum	   *texts;
	int			n = 0;

	dbops_store_each("SELECT s.role_id, s.database_id, s.query_id, s.toplevel FROM dbops.statement_1h s"
					 " WHERE s.at = $1 AND s.query_id <> 0 AND NOT EXISTS (SELECT FROM dbops.statement_text t"
					 " WHERE t.query_id = s.query_id AND t.database_id = s.database_id)",
					 lengthof(params), params, take_key, &missing);
	if (missing == NIL || dbops_statements_look(&look, true) != STATEMENTS_READ)
		return;
	databases = palloc(sizeof(Datum) * list_length(missing));
	ids = palloc(sizeof(Datum) * list_length(missing));
	texts = palloc(sizeof(Datum) * list_length(missing));
	foreach(cell, missing)
	{
		const Statement *statement = dbops_statement_find(&look, lfirst(cell));

		if (statement == NULL || statement->text == NULL)
			continue;
		databases[n] = ObjectIdGetDatum(statement->key.database);
		ids[n] = Int64GetDatum(statement->key.id);
		texts[n++] = CStringGetTextDatum(fit_to_keep(statement->text));
	}
	insert_texts(databases, ids, texts, n);
}

static void
take_key(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **keys = arg;
	StatementKey *key = palloc(sizeof(StatementKey));

	key->role = dbops_row_oid(row, desc, 1);
	key->database = dbops_row_oid(row, desc, 2);
	key->id = dbops_row_int8(row, desc, 3);
	key->toplevel = dbops_row_bool(row, desc, 4);
	*keys = lappend(*keys, key);
}

/*
 * A text may be written for other settings than those here, or have parameters
 * where the server's parser takes none; then what it begins with is kept.
 */
static const char *
fit_to_keep(const char *text)
{
	Fitting		fitting = {.text = text,.kind = ""};
	ErrorData  *error;

	initStringInfo(&fitting.kept);
	return dbops_attempt(fit, &fitting, &error) && fitting.query ? fitting.kept.data : fitting.kind;
}

/* A query without the strings it has; of another statement, its kind. */
static void
fit(void *arg)
{
	Fitting    *fitting = arg;
	core_yy_extra_type extra;
	core_yyscan_t scanner = scanner_init(fitting->text, &extra, &ScanKeywords, ScanKeywordTokens);
	core_YYSTYPE value = {0};
	int			start = 0;
	int			end = 0;
	int			code;

	extra.escape_string_warning = false;
	while ((code = core_yylex(&value, &start, scanner)) != 0)
	{
		appendBinaryStringInfo(&fitting->kept, fitting->text + end, start - end);

		/* The scanner has put a NUL behind the token. */
		end = start + strlen(extra.scanbuf + start);
		if (fitting->kind[0] == '\0')
		{
			fitting->kind = asc_toupper(fitting->text + start, end - start);
			fitting->query = begins_query(code);
			if (!fitting->query)
				break;
		}
		if (is_string(fitting->text + start))
			appendStringInfoString(&fitting->kept, BLANK);
		else
			appendBinaryStringInfo(&fitting->kept, fitting->text + start, end - start);
	}
	scanner_finish(scanner);
	if (!fitting->query)
		fitting->kind = CreateCommandName((Node *) linitial(dbops_sql_parse(fitting->text, RAW_PARSE_DEFAULT)));
}

static bool
begins_query(int code)
{
	for (int i = 0; i < lengthof(query_words); i++)
		if (code == ScanKeywordTokens[ScanKeywordLookup(query_words[i], &ScanKeywords)])
			return true;
	return code == '(';
}

/* Told from how it begins, since no header of the server has the codes of tokens. */
static bool
is_string(const char *token)
{
	if (token[0] == '\'' || (token[0] == '$' && !(token[1] >= '0' && token[1] <= '9')))
		return true;
	if (pg_strncasecmp(token, "u&'", 3) == 0)
		return true;
	return token[0] != '\0' && strchr("bBeExXnN", token[0]) != NULL && token[1] == '\'';
}

static void
insert_texts(Datum *databases, Datum *ids, Datum *texts, int n)
{
	DbopsParam	params[] = {
		dbops_param_array(databases, n, OIDOID),
		dbops_param_array(ids, n, INT8OID),
		dbops_param_array(texts, n, TEXTOID)
	};

	dbops_store_each("INSERT INTO dbops.statement_text (database_id, query_id, query)"
					 " SELECT t.database_id, t.query_id, left(t.query, " CppAsString2(LONGEST_TEXT) ")"
					 " FROM unnest($1, $2, $3) t (database_id, query_id, query)"
					 " ON CONFLICT DO NOTHING",
					 lengthof(params), params, NULL, NULL);
}
