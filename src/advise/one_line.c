/*
 * one_line.c
 *		Line breaks in what reviews print.
 *
 * A remedy has one statement a line, to be run one by one, and a key is typed
 * again. A name or a value that has a line break of its own, as whoever may create
 * a table can give it one, is written with an escape in its place. What core
 * quotes (quote.c) is spelled the same.
 */
#include "advise/review.h"

#include <ctype.h>

#include "lib/stringinfo.h"

static const char *escape(const char *text, bool values);
static bool begins_value(const char *text, const char *at);
static bool has_escapes(const char *text, const char *at);
static size_t quoted_length(const char *quoted, bool escapes);
static void append_name(StringInfo line, const char *name, size_t length);
static void append_value(StringInfo line, const char *value, size_t length, bool escapes);
static bool has_break(const char *quoted, size_t length);

/* Write line breaks in quoted names as escapes, wherever these stand. */
const char *
dbops_one_line_names(const char *text)
{
	return escape(text, false);
}

/* The same in SQL, which has quoted values as well; those between statements stay. */
const char *
dbops_one_line_statements(const char *sql)
{
	return escape(sql, true);
}

static const char *
escape(const char *text, bool values)
{
	StringInfoData line;
	const char *at = text;

	if (text == NULL || strpbrk(text, "\n\r") == NULL)
		return text;
	initStringInfo(&line);
	while (*at != '\0')
	{
		bool		value = values && begins_value(text, at);
		bool		escapes = value && has_escapes(text, at);
		size_t		length = (value || *at == '"') ? quoted_length(at, escapes) : 0;

		if (length == 0)
			appendStringInfoChar(&line, *at++);
		else if (value)
			append_value(&line, at, length, escapes);
		else
			append_name(&line, at, length);
		at += length;
	}
	return line.data;
}

/* Is it the quote of a value, rather than the apostrophe of a word? */
static bool
begins_value(const char *text, const char *at)
{
	return *at == '\'' && (at == text || !isalnum((unsigned char) at[-1]) || has_escapes(text, at));
}

/* Is it the quote of E'...'? */
static bool
has_escapes(const char *text, const char *at)
{
	return at > text && at[-1] == 'E' && (at - 1 == text || !isalnum((unsigned char) at[-2]));
}

/* How long what is quoted is, with its quotes; 0: it does not end. */
static size_t
quoted_length(const char *quoted, bool escapes)
{
	for (const char *at = quoted + 1; *at != '\0'; at++)
	{
		if (escapes && at[0] == '\\' && at[1] != '\0')
			at++;
		else if (at[0] == *quoted && at[1] == *quoted)
			at++;
		else if (at[0] == *quoted)
			return at - quoted + 1;
	}
	return 0;
}

/* Write a name that has line breaks in the form U&"...". */
static void
append_name(StringInfo line, const char *name, size_t length)
{
	bool		breaks = has_break(name, length);

	if (breaks)
		appendStringInfoString(line, "U&");
	for (size_t i = 0; i < length; i++)
	{
		if (name[i] == '\n' || name[i] == '\r')
			appendStringInfo(line, "\\%04X", (unsigned char) name[i]);
		else if (breaks && name[i] == '\\')
			appendStringInfoString(line, "\\\\");
		else
			appendStringInfoChar(line, name[i]);
	}
}

/* Write a value that has line breaks in the form E'...', the letter of which may stand before it already. */
static void
append_value(StringInfo line, const char *value, size_t length, bool escapes)
{
	bool		breaks = has_break(value, length);

	if (breaks && !escapes)
		appendStringInfoChar(line, 'E');
	for (size_t i = 0; i < length; i++)
	{
		if (value[i] == '\n' || value[i] == '\r')
			appendStringInfoString(line, value[i] == '\n' ? "\\n" : "\\r");
		else if (breaks && !escapes && value[i] == '\\')
			appendStringInfoString(line, "\\\\");
		else
			appendStringInfoChar(line, value[i]);
	}
}

static bool
has_break(const char *quoted, size_t length)
{
	return memchr(quoted, '\n', length) != NULL || memchr(quoted, '\r', length) != NULL;
}
