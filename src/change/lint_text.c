/*
 * lint_text.c
 *		The statements of a text that may be anything.
 *
 * A migration's text is refused for its first mistake (migration_text.c). One
 * that is only to be judged is read on: a statement that cannot be parsed is
 * one finding and the next is judged, and so are psql's commands passed over.
 * Only where the server's scanner itself is lost, as in a string without end,
 * the text ends there.
 */
#include "change/lint.h"

#include "core/sql.h"

#include "mb/pg_wchar.h"
#include "utils/guc.h"

/* A text on its way through the scanner, and the parser. */
typedef struct LintReader
{
	LintText   *text;
	MigrationScan *scan;
	MemoryContext trees;
	size_t		end;			/* of what has been read */
	Node	   *parsed;
	const LintStatement *statement;
} LintReader;

static void read_all(void *arg);
static void pass_line(void *arg, int line, const char *command);
static void take_scan_error(LintReader *reader, const ErrorData *error);
static LintStatement *read_statement(LintReader *reader);
static bool find_end(LintReader *reader, LintStatement *statement);
static void look_at(LintReader *reader, LintStatement *statement);
static void parse(void *arg);
static void take_parse_error(LintReader *reader, LintStatement *statement, const ErrorData *error);

/* Divide a text, which must stay, into statements. */
LintText *
dbops_lint_text_read(const char *sql)
{
	LintText   *text = palloc0(sizeof(LintText));
	LintReader	reader = {.text = text};
	int			nest_level = NewGUCNestLevel();
	ErrorData  *error;

	/* Names that are cut are a rule's to tell. */
	dbops_set_nested("client_min_messages", "error");
	text->sql = sql;
	reader.trees = AllocSetContextCreate(CurrentMemoryContext, "dbops lint statement", ALLOCSET_DEFAULT_SIZES);
	if (!dbops_attempt(read_all, &reader, &error))
		take_scan_error(&reader, error);
	MemoryContextDelete(reader.trees);
	AtEOXact_GUC(false, nest_level);
	return text;
}

static void
read_all(void *arg)
{
	LintReader *reader = arg;
	LintStatement *statement;

	reader->scan = dbops_migration_scan_begin("sql", reader->text->sql);
	dbops_migration_scan_tolerate(reader->scan, pass_line, reader);
	while ((statement = read_statement(reader)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		look_at(reader, statement);
		reader->text->statements = lappend(reader->text->statements, statement);
	}
	dbops_migration_scan_end(reader->scan);
	(void) dbops_lint_comment_read(reader->text->sql + reader->end, strlen(reader->text->sql + reader->end), &reader->text->ignored);
}

/* psql would have read this line itself. */
static void
pass_line(void *arg, int line, const char *command)
{
	LintReader *reader = arg;
	LintProblem *problem = palloc0(sizeof(LintProblem));

	problem->line = line;
	problem->what = psprintf("%s is a command of psql's; the server does not know it, and what it does is not judged", command);
	problem->remedy = "Give the SQL that it stands for, or take it out.";
	reader->text->problems = lappend(reader->text->problems, problem);
}

/* The scanner cannot go on: what follows is not known. */
static void
take_scan_error(LintReader *reader, const ErrorData *error)
{
	const char *sql = reader->text->sql;
	LintProblem *problem = palloc0(sizeof(LintProblem));
	size_t		place = reader->end + strspn(sql + reader->end, " \t\r\n\f\v;");

	problem->line = dbops_migration_line(sql, place);
	problem->is_end = true;
	problem->what = psprintf("the text cannot be read from here on: %.*s", (int) strcspn(error->message, "\r\n"), error->message);
	problem->remedy = error->hint != NULL ? error->hint : "Mend it, and look again.";
	reader->text->problems = lappend(reader->text->problems, problem);
}

static LintStatement *
read_statement(LintReader *reader)
{
	LintStatement *statement = palloc0(sizeof(LintStatement));
	size_t		gap = reader->end;

	if (!find_end(reader, statement))
	{
		pfree(statement);
		return NULL;
	}
	statement->ignored = dbops_lint_comment_read(reader->text->sql + gap, statement->start - gap, &reader->text->ignored);
	return statement;
}

static bool
find_end(LintReader *reader, LintStatement *statement)
{
	MigrationToken token;
	size_t		end;

	if (!dbops_migration_scan_next(reader->scan, &token))
		return false;
	statement->text = reader->text;
	statement->start = token.start;
	statement->line = dbops_migration_scan_line(reader->scan, token.start);
	end = token.start;
	while (!token.ends)
	{
		end = token.end;
		if (!dbops_migration_scan_next(reader->scan, &token))
			break;
	}
	statement->length = end - statement->start;
	reader->end = (token.data != NULL) ? token.data + token.data_length - reader->text->sql : Max(end, token.end);
	return true;
}

static void
look_at(LintReader *reader, LintStatement *statement)
{
	ErrorData  *error;

	reader->statement = statement;
	if (dbops_attempt(parse, reader, &error))
	{
		statement->alone = dbops_sql_must_be_alone(reader->parsed);
		reader->text->in_steps |= statement->alone;
		reader->text->has_brackets |= IsA(reader->parsed, TransactionStmt);
	}
	else
		take_parse_error(reader, statement, error);
	MemoryContextReset(reader->trees);
}

static void
parse(void *arg)
{
	LintReader *reader = arg;
	MemoryContext caller = MemoryContextSwitchTo(reader->trees);

	reader->parsed = dbops_lint_parse(reader->text, reader->statement);
	MemoryContextSwitchTo(caller);
}

/* Positions count characters of the statement. */
static void
take_parse_error(LintReader *reader, LintStatement *statement, const ErrorData *error)
{
	const char *sql = reader->text->sql;
	size_t		place = statement->start;

	if (error->cursorpos > 0)
		place += pg_mbcharcliplen(sql + place, statement->length, error->cursorpos - 1);
	statement->error = error->message;
	statement->error_line = statement->line + dbops_migration_line(sql + statement->start, place - statement->start) - 1;
}

/* Parse a statement, in the current memory. */
Node *
dbops_lint_parse(const LintText *text, const LintStatement *statement)
{
	List	   *parsed = raw_parser(pnstrdup(text->sql + statement->start, statement->length), RAW_PARSE_DEFAULT);

	if (list_length(parsed) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("it is %d statements", list_length(parsed))));
	return linitial_node(RawStmt, parsed)->stmt;
}
