/*
 * lint_source.c
 *		The words of a statement, for the SQL that is safer.
 *
 * What a user has written goes into a remedy as it stands, so that it means the
 * same there; the server's scanner says where it ends.
 */
#include "change/lint.h"

#include "parser/scanner.h"
#include "utils/builtins.h"

#define MOST_READ	(64 * 1024)	/* bytes of a statement */

static int	keyword_code(const char *word);

/* The whole statement, without the semicolon. */
char *
dbops_lint_source(const Lint *lint)
{
	return pnstrdup(lint->text->sql + lint->statement->start, lint->statement->length);
}

/*
 * What stands in the first parentheses behind a place of the statement, such as
 * that of a CHECK; NULL: there are none, or it is so long that thousands of them
 * would have it read again for each.
 */
char *
dbops_lint_parenthesis(const Lint *lint, int location)
{
	char	   *source;
	MigrationScan *scan;
	MigrationToken token;
	int			depth = 0;
	size_t		start = 0;
	char	   *inside = NULL;

	if (location < 0 || location >= lint->statement->length || lint->statement->length > MOST_READ)
		return NULL;
	source = dbops_lint_source(lint);
	scan = dbops_migration_scan_begin("sql", source + location);
	while (inside == NULL && dbops_migration_scan_next(scan, &token) && !token.ends)
	{
		if (token.code == '(' && depth++ == 0)
			start = token.end;
		else if (token.code == ')' && --depth == 0)
			inside = pnstrdup(source + location + start, token.start - start);
	}
	dbops_migration_scan_end(scan);
	return inside;
}

/* What stands behind a word, from a place of the statement on, and before the next comma outside of parentheses; NULL: there is no such word, or the statement is so long. */
char *
dbops_lint_behind(const Lint *lint, int location, const char *word)
{
	int			code = keyword_code(word);
	char	   *source;
	MigrationScan *scan;
	MigrationToken token;
	int			depth = 0;
	size_t		start = 0;
	size_t		last = 0;

	if (location < 0 || location >= lint->statement->length || lint->statement->length > MOST_READ)
		return NULL;
	source = dbops_lint_source(lint) + location;
	scan = dbops_migration_scan_begin("sql", source);
	while (dbops_migration_scan_next(scan, &token) && !token.ends && !(depth == 0 && token.code == ','))
	{
		depth += (token.code == '(' || token.code == '[') - (token.code == ')' || token.code == ']');
		if (start == 0 && depth == 0 && token.code == code)
			start = token.end + strspn(source + token.end, " \t\r\n");
		last = token.end;
	}
	dbops_migration_scan_end(scan);
	return last > start && start > 0 ? pnstrdup(source + start, last - start) : NULL;
}

/* What stands behind a word of the statement and before another, outside of parentheses; NULL: it has none such. The latter may be missing. */
char *
dbops_lint_between(const Lint *lint, const char *word, const char *end)
{
	char	   *source = dbops_lint_source(lint);
	int			code = keyword_code(word);
	int			end_code = keyword_code(end);
	MigrationScan *scan = dbops_migration_scan_begin("sql", source);
	MigrationToken token;
	int			depth = 0;
	size_t		start = 0;
	size_t		last = 0;		/* where the word before ends */

	while (dbops_migration_scan_next(scan, &token) && !token.ends)
	{
		depth += (token.code == '(') - (token.code == ')');
		if (start > 0 && depth == 0 && token.code == end_code)
			break;
		if (start == 0 && depth == 0 && token.code == code)
			start = token.end + strspn(source + token.end, " \t\r\n");
		last = token.end;
	}
	dbops_migration_scan_end(scan);
	return last > start && start > 0 ? pnstrdup(source + start, last - start) : NULL;
}

static int
keyword_code(const char *word)
{
	return ScanKeywordTokens[ScanKeywordLookup(word, &ScanKeywords)];
}

/* A list of names (of String) as an array of SQL. */
char *
dbops_lint_names(const List *names)
{
	StringInfoData array;
	ListCell   *cell;

	initStringInfo(&array);
	appendStringInfoString(&array, "ARRAY[");
	foreach(cell, names)
		appendStringInfo(&array, "%s%s", foreach_current_index(cell) > 0 ? ", " : "", dbops_quote_text(strVal(lfirst(cell))));
	appendStringInfoChar(&array, ']');
	return array.data;
}

/* The start of a call of ours for a table: CALL dbops.name('table' */
char *
dbops_lint_call(const char *name, const LintTable *table)
{
	return psprintf("CALL dbops.%s(%s", name, dbops_quote_text(dbops_lint_label(table)));
}
