/*
 * migration_scan.c
 *		The tokens of a migration's text, as the server reads them.
 *
 * A text is what somebody would have given to psql. The server's own scanner
 * says where its strings, comments and names end; what psql alone would have
 * read is taken out here: its commands on lines of their own, and the lines of
 * data that follow COPY FROM STDIN.
 *
 * The scanner works on its own copy of the text, in one go, also for a text of
 * 50 MB. What it is not to see is blanked out there before it comes to it.
 */
#include "change/migration.h"

#include "core/sql.h"

#include "mb/pg_wchar.h"
#include "parser/scanner.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#define BYTE_ORDER_MARK	"\xEF\xBB\xBF"	/* in UTF-8; editors put it before a text */
#define LINE_BEFORE		60		/* characters of a line that an error shows before its place */
#define LINE_AFTER		120		/* bytes of it that are shown after that */
#define MOST_IN_ONE		(NAMEDATALEN - 1)	/* operator's characters in one run */
#define OPERATOR		"~!@#^&|`?+-*/%<>="

struct MigrationScan
{
	const char *argument;
	const char *sql;
	size_t		length;
	core_yyscan_t scanner;
	core_yy_extra_type extra;
	MemoryContext tokens;		/* the last one's value */
	size_t		read;			/* up to here */
	size_t		hidden;			/* from here on the scanner is kept from seeing the text */
	size_t		hidden_end;
	size_t		statement;		/* where the current one begins; only if open */
	bool		open;			/* a statement has begun and not ended */
	bool		may_copy;		/* it begins with COPY */
	bool		may_have_body;	/* it begins with CREATE */
	int			parentheses;
	int			body;			/* BEGIN ATOMIC and CASE, less their ENDs */
	bool		after_begin;	/* the last token was BEGIN */
	int			line;			/* that counted is on */
	size_t		counted;
	MigrationLineCallback pass; /* told of psql's lines, which are passed over; NULL: they are refused */
	void	   *pass_arg;
};

/* Where a statement ends. */
typedef struct Ending
{
	MigrationScan *scan;
	size_t		end;
	bool		takes_lines;
} Ending;

/* Where a statement begins, for errors in it. */
typedef struct MigrationPlace
{
	const char *argument;
	const char *sql;
	size_t		start;
} MigrationPlace;

/* The core scanner's codes of these words; looked up, since no header of the server tells them. */
static int	word_atomic;
static int	word_begin;
static int	word_case;
static int	word_copy;
static int	word_create;
static int	word_end;

static int	word_code(const char *word);
static void look_ahead(MigrationScan *scan);
static size_t pass_comment(MigrationScan *scan, size_t from);
static void refuse_run(MigrationScan *scan, size_t place, const char *what);
static void point_into_text(void *arg);
static void lex(MigrationScan *scan, MigrationToken *token);
static void follow(MigrationScan *scan, const MigrationToken *token);
static bool ends_statement(const MigrationScan *scan, const MigrationToken *token);
static void end_statement(MigrationScan *scan, MigrationToken *token);
static bool begins_line(const MigrationScan *scan, size_t location);
static bool skip_psql_line(MigrationScan *scan, size_t location);
static void tell_psql_line(MigrationScan *scan, size_t location, size_t end);
static char *psql_command(const MigrationScan *scan, size_t location, size_t end);
static bool is_skipped(const char *line, size_t length);
static bool is_word(const char *line, size_t length, const char *word);
static void refuse_psql_line(MigrationScan *scan, size_t location, size_t end);
static bool takes_lines(MigrationScan *scan, size_t end);
static void look_for_lines(void *arg);
static void point_into_statement(void *arg);
static void take_lines(MigrationScan *scan, MigrationToken *token);
static size_t line_end(const MigrationScan *scan, size_t from);
static void skip(MigrationScan *scan, size_t from, size_t to);
static void blank(MigrationScan *scan, size_t from, size_t to);

/* Begin to read a text, which must stay; argument is its name in messages. */
MigrationScan *
dbops_migration_scan_begin(const char *argument, const char *sql)
{
	MigrationScan *scan = palloc0(sizeof(MigrationScan));

	word_atomic = word_code("atomic");
	word_begin = word_code("begin");
	word_case = word_code("case");
	word_copy = word_code("copy");
	word_create = word_code("create");
	word_end = word_code("end");

	scan->argument = argument;
	scan->sql = sql;
	scan->length = strlen(sql);
	scan->line = 1;
	scan->tokens = AllocSetContextCreate(CurrentMemoryContext, "migration tokens", ALLOCSET_DEFAULT_SIZES);
	scan->scanner = scanner_init(sql, &scan->extra, &ScanKeywords, ScanKeywordTokens);
	scan->extra.escape_string_warning = false;
	if (GetDatabaseEncoding() == PG_UTF8 && strncmp(sql, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK)) == 0)
		skip(scan, 0, strlen(BYTE_ORDER_MARK));
	return scan;
}

static int
word_code(const char *word)
{
	return ScanKeywordTokens[ScanKeywordLookup(word, &ScanKeywords)];
}

/* Pass over what only psql understands, and tell of it, instead of refusing the text. */
void
dbops_migration_scan_tolerate(MigrationScan *scan, MigrationLineCallback pass, void *arg)
{
	scan->pass = pass;
	scan->pass_arg = arg;
}

/*
 * Call back without what the server has to say of names that are too long and
 * the like: it says that again when a statement is run.
 */
void
dbops_migration_scan_quietly(DbopsCallback callback, void *arg)
{
	int			nest_level = NewGUCNestLevel();

	dbops_set_nested("client_min_messages", "error");
	callback(arg);
	AtEOXact_GUC(false, nest_level);
}

void
dbops_migration_scan_end(MigrationScan *scan)
{
	scanner_finish(scan->scanner);
	MemoryContextDelete(scan->tokens);
	pfree(scan);
}

/*
 * Read the next token; false when the text has ended. A statement's last token
 * is ';', also where the text ends without one. Its value lasts until the next
 * one is read: a statement may have millions of them.
 */
bool
dbops_migration_scan_next(MigrationScan *scan, MigrationToken *token)
{
	memset(token, 0, sizeof(MigrationToken));
	for (;;)
	{
		lex(scan, token);
		if (token->code == '\\' && !skip_psql_line(scan, token->start))
			continue;
		if (token->code == '\\')
		{
			token->code = ';';	/* psql sends what stands before it, and statements end so */
			break;
		}
		if (scan->open || (token->code != ';' && token->code != 0))
			break;
		else if (token->code == 0)
			return false;
	}
	if (ends_statement(scan, token))
		end_statement(scan, token);
	else
		follow(scan, token);
	return true;
}

/* Which line a place of the text is on; fastest for places in their order. */
int
dbops_migration_scan_line(MigrationScan *scan, size_t location)
{
	if (location < scan->counted)
	{
		scan->counted = 0;
		scan->line = 1;
	}
	for (; scan->counted < location; scan->counted++)
		if (scan->sql[scan->counted] == '\n')
			scan->line++;
	return scan->line;
}

/* Have the server's scanner read a token; an error says where it stands. */
static void
lex(MigrationScan *scan, MigrationToken *token)
{
	ErrorContextCallback context = {
		.previous = error_context_stack,
		.callback = point_into_text,
		.arg = scan
	};
	MemoryContext caller;
	core_YYSTYPE value = {0};
	int			location;

	MemoryContextReset(scan->tokens);
	caller = MemoryContextSwitchTo(scan->tokens);
	error_context_stack = &context;
	CHECK_FOR_INTERRUPTS();
	look_ahead(scan);
	token->code = core_yylex(&value, &location, scan->scanner);
	error_context_stack = context.previous;
	MemoryContextSwitchTo(caller);

	/* The scanner has put a NUL behind the token. */
	token->start = location;
	token->end = location + strlen(scan->extra.scanbuf + location);
	token->value = value.str;
	token->number = value.ival;
	scan->read = token->end;
}

/*
 * Refuse what the server's scanner would read again from each of its characters,
 * in one go that nobody could cancel: comments that are opened one in the other
 * without a blank, and what is no operator for its length.
 */
static void
look_ahead(MigrationScan *scan)
{
	const char *sql = scan->sql;
	size_t		at = scan->read;
	size_t		run;

	for (;;)
	{
		at += strspn(sql + at, " \t\r\n\f\v");
		if (at >= scan->hidden && at < scan->hidden_end)
			at = scan->hidden_end;
		else if (sql[at] == '-' && sql[at + 1] == '-')
			at += strcspn(sql + at, "\r\n");
		else if (sql[at] == '/' && sql[at + 1] == '*')
			at = pass_comment(scan, at);
		else
			break;
	}
	run = strspn(sql + at, OPERATOR);
	for (size_t i = 0; i + 1 < run; i++)
		if ((sql[at + i] == '-' && sql[at + i + 1] == '-') || (sql[at + i] == '/' && sql[at + i + 1] == '*'))
			run = i;
	if (run > MOST_IN_ONE)
		refuse_run(scan, at, "operator too long");
	scan->read = at;
}

/* Behind a comment, or at the end of the text. */
static size_t
pass_comment(MigrationScan *scan, size_t from)
{
	const char *sql = scan->sql;
	size_t		at = from;
	int			depth = 0;
	int			in_run = 0;

	do
	{
		CHECK_FOR_INTERRUPTS();
		if (sql[at] == '/' && sql[at + 1] == '*')
		{
			depth++;
			at += 2;
			if (++in_run > MOST_IN_ONE)
				refuse_run(scan, from, "too many comments are opened one in the other without a blank");
		}
		else if (sql[at] == '*' && sql[at + 1] == '/')
		{
			depth--;
			at += 2;
		}
		else if (strchr(OPERATOR, sql[at++]) == NULL)
			in_run = 0;
	} while (depth > 0 && sql[at] != '\0');
	return at;
}

static void
refuse_run(MigrationScan *scan, size_t place, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_SYNTAX_ERROR),
			 errmsg("%s", what),
			 errposition(pg_mbstrlen_with_len(scan->sql, place) + 1)));
}

static void
point_into_text(void *arg)
{
	MigrationScan *scan = arg;

	errcontext("line %d of %s", dbops_migration_point(scan->sql, 0), scan->argument);
}

/*
 * For an error context: show the line that the error's position is on instead
 * of the whole text. The position counts from start. Returns the line, or that
 * of start for an error without a position.
 */
int
dbops_migration_point(const char *sql, size_t start)
{
	int			position = geterrposition();
	size_t		place = start;

	if (position > 0)
	{
		size_t		begin;
		size_t		end;
		int			before;

		/* Positions count characters. */
		place += pg_mbcharcliplen(sql + start, strlen(sql + start), position - 1);
		for (begin = place; begin > 0 && sql[begin - 1] != '\n';)
			begin--;
		end = place + strcspn(sql + place, "\r\n");
		before = pg_mbstrlen_with_len(sql + begin, place - begin);
		if (before > LINE_BEFORE)
		{
			begin += pg_mbcharcliplen(sql + begin, place - begin, before - LINE_BEFORE);
			before = LINE_BEFORE;
		}
		end = place + pg_mbcliplen(sql + place, end - place, LINE_AFTER);
		errposition(0);
		internalerrposition(before + 1);
		internalerrquery(pnstrdup(sql + begin, end - begin));
	}
	return dbops_migration_line(sql, place);
}

/* Parse a statement of a text; start says where it begins there, for errors. */
List *
dbops_migration_parse(const char *argument, const char *sql, size_t start, const char *statement)
{
	MigrationPlace place = {.argument = argument,.sql = sql,.start = start};
	ErrorContextCallback context = {
		.previous = error_context_stack,
		.callback = point_into_statement,
		.arg = &place
	};
	List	   *parsed;

	error_context_stack = &context;
	parsed = raw_parser(statement, RAW_PARSE_DEFAULT);
	error_context_stack = context.previous;
	return parsed;
}

static void
point_into_statement(void *arg)
{
	const MigrationPlace *place = arg;

	errcontext("line %d of %s", dbops_migration_point(place->sql, place->start), place->argument);
}

/* Which line of a text a place is on, from 1. */
int
dbops_migration_line(const char *sql, size_t place)
{
	int			line = 1;

	for (const char *c = sql; c < sql + place; c++)
		if (*c == '\n')
			line++;
	return line;
}

/* Note what a token means for where its statement ends. */
static void
follow(MigrationScan *scan, const MigrationToken *token)
{
	if (!scan->open)
	{
		scan->open = true;
		scan->statement = token->start;
		scan->may_copy = (token->code == word_copy);
		scan->may_have_body = (token->code == word_create);
		scan->parentheses = 0;
		scan->body = 0;
		scan->after_begin = false;
	}
	if (token->code == '(')
		scan->parentheses++;
	else if (token->code == ')' && scan->parentheses > 0)
		scan->parentheses--;
	else if (token->code == word_atomic && scan->after_begin && scan->may_have_body)
		scan->body++;
	else if (token->code == word_case && scan->body > 0)
		scan->body++;
	else if (token->code == word_end && scan->body > 0)
		scan->body--;
	scan->after_begin = (token->code == word_begin);
}

static bool
ends_statement(const MigrationScan *scan, const MigrationToken *token)
{
	return token->code == 0 ||
		(token->code == ';' && scan->parentheses == 0 && scan->body == 0);
}

static void
end_statement(MigrationScan *scan, MigrationToken *token)
{
	bool		ended = (token->code == 0);

	if (scan->may_copy && takes_lines(scan, token->start))
		take_lines(scan, token);
	if (ended)
		token->end = token->start;
	token->code = ';';
	token->ends = true;
	scan->open = false;
}

/* ---- what psql would have read ---- */

/* Go on behind a line of psql's that does nothing here, or refuse it; true: it ends a statement. */
static bool
skip_psql_line(MigrationScan *scan, size_t location)
{
	size_t		end = line_end(scan, location);

	if (scan->open || !begins_line(scan, location) ||
		!is_skipped(scan->sql + location + 1, end - location - 1))
		tell_psql_line(scan, location, end);
	if (end > location + 1)
		skip(scan, location + 1, end);
	if (scan->open)
		scan->parentheses = scan->body = 0;
	return scan->open;
}

static void
tell_psql_line(MigrationScan *scan, size_t location, size_t end)
{
	if (scan->pass == NULL)
		refuse_psql_line(scan, location, end);
	scan->pass(scan->pass_arg, dbops_migration_scan_line(scan, location), psql_command(scan, location, end));
}

static bool
begins_line(const MigrationScan *scan, size_t location)
{
	while (location > 0 && (scan->sql[location - 1] == ' ' || scan->sql[location - 1] == '\t'))
		location--;
	return location == 0 || scan->sql[location - 1] == '\n';
}

/* Does a command of psql's say only how psql is to run the text, or show it? */
static bool
is_skipped(const char *line, size_t length)
{
	static const char *const commands[] = {
		"restrict", "unrestrict", "echo", "qecho", "warn", "timing", "pset", "x",
		"set ON_ERROR_STOP", "set ON_ERROR_ROLLBACK", "set ECHO", "set QUIET", "set VERBOSITY"
	};

	for (int i = 0; i < lengthof(commands); i++)
		if (is_word(line, length, commands[i]))
			return true;
	return false;
}

/* Does a line begin with a word, or with two that are one blank apart here and any there? */
static bool
is_word(const char *line, size_t length, const char *word)
{
	const char *end = line + length;

	for (; *word != '\0'; word++)
	{
		if (*word == ' ')
		{
			const char *blanks = line;

			while (line < end && (*line == ' ' || *line == '\t'))
				line++;
			if (line == blanks)
				return false;
		}
		else if (line == end || *line++ != *word)
			return false;
	}
	return line == end || *line == ' ' || *line == '\t' || *line == '\r';
}

static void
refuse_psql_line(MigrationScan *scan, size_t location, size_t end)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("psql's %s on line %d of %s cannot be run in the server",
					psql_command(scan, location, end), dbops_migration_scan_line(scan, location), scan->argument),
			 errhint("Give the SQL that it stands for, or take it out.")));
}

static char *
psql_command(const MigrationScan *scan, size_t location, size_t end)
{
	const char *command = scan->sql + location;
	int			length = strcspn(command, " \t\r\n;'\"");

	return pnstrdup(command, pg_mbcliplen(command, Min(length, end - location), NAMEDATALEN));
}

/* Is the statement that ends here COPY FROM STDIN? One that cannot be parsed is none, where that is no reason to end. */
static bool
takes_lines(MigrationScan *scan, size_t end)
{
	Ending		ending = {.scan = scan,.end = end};
	ErrorData  *error;

	if (scan->pass == NULL)
		look_for_lines(&ending);
	else
		(void) dbops_attempt(look_for_lines, &ending, &error);
	return ending.takes_lines;
}

static void
look_for_lines(void *arg)
{
	Ending	   *ending = arg;
	MigrationScan *scan = ending->scan;
	MemoryContext caller = MemoryContextSwitchTo(scan->tokens);
	char	   *sql = pnstrdup(scan->sql + scan->statement, ending->end - scan->statement);
	List	   *parsed = scan->pass != NULL ? raw_parser(sql, RAW_PARSE_DEFAULT) :
		dbops_migration_parse(scan->argument, scan->sql, scan->statement, sql);
	Node	   *statement = list_length(parsed) == 1 ? linitial_node(RawStmt, parsed)->stmt : NULL;

	MemoryContextSwitchTo(caller);
	ending->takes_lines = statement != NULL && IsA(statement, CopyStmt) &&
		((CopyStmt *) statement)->is_from && ((CopyStmt *) statement)->filename == NULL;
}

/* Take the lines of data that follow the line which a COPY ends on. */
static void
take_lines(MigrationScan *scan, MigrationToken *token)
{
	size_t		begin = Min(line_end(scan, token->start) + 1, scan->length);
	size_t		line = begin;
	size_t		end;

	for (;; line = end + 1)
	{
		if (line >= scan->length)
			ereport(ERROR,
					(errcode(ERRCODE_BAD_COPY_FILE_FORMAT),
					 errmsg("COPY block that begins on line %d of %s is cut short",
							dbops_migration_scan_line(scan, scan->statement), scan->argument),
					 errhint("End its data with a line that has \\. and nothing else.")));
		end = line_end(scan, line);
		if (scan->sql[line] == '\\' && scan->sql[line + 1] == '.' &&
			(end == line + 2 || (end == line + 3 && scan->sql[line + 2] == '\r')))
			break;
	}
	token->data = scan->sql + begin;
	token->data_length = line - begin;
	blank(scan, begin, end);
}

/* Where the line ends that a place is on: at its newline, or with the text. */
static size_t
line_end(const MigrationScan *scan, size_t from)
{
	const char *newline = memchr(scan->sql + from, '\n', scan->length - from);

	return newline == NULL ? scan->length : newline - scan->sql;
}

/*
 * Keep from the scanner what is next, which begins with a letter. It has that
 * letter in its own hands already, so that a name of one letter is still to come.
 */
static void
skip(MigrationScan *scan, size_t from, size_t to)
{
	MigrationToken letter;

	blank(scan, from + 1, to);
	lex(scan, &letter);
}

/* Keep from the scanner a part of the text that it has not come to. */
static void
blank(MigrationScan *scan, size_t from, size_t to)
{
	if (to <= from)
		return;
	memset(scan->extra.scanbuf + from, ' ', to - from);
	scan->hidden = from;
	scan->hidden_end = to;
}
