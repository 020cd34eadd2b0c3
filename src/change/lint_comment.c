/*
 * lint_comment.c
 *		What comments say to a linter.
 *
 * Whoever has looked at a finding and decided otherwise says so in the text,
 * on lines of their own before the statement, in the words of the linter that
 * they come from:
 *
 *		-- dbops: ignore rule, rule: why
 *		-- squawk-ignore rule, rule
 *		-- squawk-ignore-file rule, rule
 *		-- eugene: ignore E5, E4
 *		-- pgt-ignore lint/safety/banDropTable: why
 *		-- pgls-ignore-all lint/safety/banDropTable: why
 *
 * Without a name it is all rules, as it is with the name of a category or group
 * of postgres-language-server's. One for the whole file may stand anywhere.
 */
#include "change/lint.h"

/* How a comment begins that is meant for a linter. */
static const struct
{
	const char *words;
	bool		for_all;
}			beginnings[] = {
	{"dbops: ignore-file", true},
	{"dbops: ignore", false},
	{"squawk-ignore-file", true},
	{"squawk-ignore", false},
	{"eugene: ignore", false},
	{"pgt-ignore-all", true},
	{"pgt-ignore", false},
	{"pgls-ignore-all", true},
	{"pgls-ignore", false}
};

static List *read_line(const char *line, const char *end, bool *for_all);
static const char *behind(const char *line, const char *end, const char *words);
static List *read_names(const char *from, const char *end);
static char *without_group(char *name);

/* The rules that comments between two statements name (List of char *); "*" is all. Those for the whole text go to for_all. */
List *
dbops_lint_comment_read(const char *comments, size_t length, List **for_all)
{
	const char *end = comments + length;
	List	   *names = NIL;

	for (const char *line = comments; line < end;)
	{
		const char *newline = memchr(line, '\n', end - line);
		const char *line_end = (newline == NULL) ? end : newline;
		bool		is_for_all = false;
		List	   *more = read_line(line, line_end, &is_for_all);

		if (is_for_all)
			*for_all = list_concat(*for_all, more);
		else
			names = list_concat(names, more);
		line = line_end + 1;
	}
	return names;
}

/* A line that is a comment, and nothing else. */
static List *
read_line(const char *line, const char *end, bool *for_all)
{
	while (line < end && (*line == ' ' || *line == '\t'))
		line++;
	if (end - line < 2 || line[0] != '-' || line[1] != '-')
		return NIL;
	for (int i = 0; i < lengthof(beginnings); i++)
	{
		const char *names = behind(line + 2, end, beginnings[i].words);

		if (names == NULL)
			continue;
		*for_all = beginnings[i].for_all;
		return read_names(names, end);
	}
	return NIL;
}

/* What stands behind the words, of which a blank may be any number of them; NULL: the line does not begin so. */
static const char *
behind(const char *line, const char *end, const char *words)
{
	while (line < end && (*line == ' ' || *line == '\t'))
		line++;
	for (; *words != '\0'; words++)
	{
		if (*words == ' ')
			while (line < end && (*line == ' ' || *line == '\t'))
				line++;
		else if (line == end || pg_tolower((unsigned char) *line++) != *words)
			return NULL;
	}
	return (line == end || strchr(" \t\r:", *line) != NULL) ? line : NULL;
}

/* Names are divided by commas or blanks; behind a colon stands the reason. */
static List *
read_names(const char *from, const char *end)
{
	List	   *names = NIL;

	while (from < end && *from != ':')
	{
		const char *name = from;

		while (from < end && strchr(" \t\r,:", *from) == NULL)
			from++;
		if (from > name)
			names = lappend(names, without_group(pnstrdup(name, from - name)));
		else
			from++;
	}
	return (names == NIL) ? list_make1("*") : names;
}

/* The rule of a category and group that are named before it; all rules, if they are named alone. */
static char *
without_group(char *name)
{
	static const char group[] = "lint/safety";

	if (strcmp(name, "lint") == 0 || strcmp(name, group) == 0)
		return "*";
	return (strncmp(name, group, strlen(group)) == 0 && name[strlen(group)] == '/') ? name + strlen(group) + 1 : name;
}
