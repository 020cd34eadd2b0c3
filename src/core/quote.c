/*
 * quote.c
 *		Names and texts in the SQL that reports print.
 *
 * Such SQL is meant to be run as printed, by whomever and with any
 * search_path: names are qualified, and each statement stays on one line,
 * whatever characters a name has.
 */
#include "core/core.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

static char *quote_line_breaks(const char *name);

/* Quote a name where that is needed. */
char *
dbops_quote_name(const char *name)
{
	if (strpbrk(name, "\n\r") != NULL)
		return quote_line_breaks(name);
	return pstrdup(quote_identifier(name));
}

char *
dbops_quote_qualified(const char *schema, const char *name)
{
	return psprintf("%s.%s", dbops_quote_name(schema), dbops_quote_name(name));
}

/* Name a relation that is there. */
char *
dbops_quote_relation(Oid relid)
{
	return dbops_quote_qualified(get_namespace_name(get_rel_namespace(relid)), get_rel_name(relid));
}

/* Quote a text as a literal. */
char *
dbops_quote_text(const char *text)
{
	StringInfoData quoted;

	if (strpbrk(text, "\n\r\\") == NULL)
		return quote_literal_cstr(text);
	initStringInfo(&quoted);
	appendStringInfoString(&quoted, "E'");
	for (const char *c = text; *c != '\0'; c++)
	{
		if (*c == '\n' || *c == '\r')
			appendStringInfoString(&quoted, *c == '\n' ? "\\n" : "\\r");
		else if (*c == '\\' || *c == '\'')
			appendStringInfo(&quoted, "%c%c", *c, *c);
		else
			appendStringInfoChar(&quoted, *c);
	}
	appendStringInfoChar(&quoted, '\'');
	return quoted.data;
}

/* Write a name that has line breaks on one line, in the form U&"...". */
static char *
quote_line_breaks(const char *name)
{
	StringInfoData quoted;

	initStringInfo(&quoted);
	appendStringInfoString(&quoted, "U&\"");
	for (const char *c = name; *c != '\0'; c++)
	{
		if (*c == '\n' || *c == '\r')
			appendStringInfo(&quoted, "\\%04X", (unsigned char) *c);
		else if (*c == '\\' || *c == '"')
			appendStringInfo(&quoted, "%c%c", *c, *c);
		else
			appendStringInfoChar(&quoted, *c);
	}
	appendStringInfoChar(&quoted, '"');
	return quoted.data;
}
