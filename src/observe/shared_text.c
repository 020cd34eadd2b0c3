/*
 * shared_text.c
 *		Texts in shared memory, of limited length.
 *
 * Who writes one may have another encoding than who reads it, or none: the
 * launcher has no database, and names of roles and tablespaces are those of
 * whatever database made them.
 */
#include "observe/shared_text.h"

#include "catalog/namespace.h"
#include "mb/pg_wchar.h"

static char *convert(const char *place, int encoding);
static void blank(char *text);

/* Cut a text to what there is room for. NULL is empty. */
void
dbops_shared_text_put(char *place, const char *text, Size bytes)
{
	Size		length = (text == NULL) ? 0 : dbops_text_clip(text, bytes - 1);

	if (length > 0)
		memcpy(place, text, length);
	place[length] = '\0';
}

/* Copy it; what is nothing in this database's encoding becomes question marks. */
char *
dbops_shared_text_get(const char *place)
{
	char	   *text = pstrdup(place);

	if (!pg_verifymbstr(text, strlen(text), true))
		blank(text);
	return text;
}

/* Copy what a process wrote that has the given encoding; PG_SQL_ASCII: it is not known. */
char *
dbops_shared_text_from(const char *place, int encoding)
{
	char	   *text;

	if (encoding == GetDatabaseEncoding() || encoding == PG_SQL_ASCII || GetDatabaseEncoding() == PG_SQL_ASCII)
		return dbops_shared_text_get(place);
	text = convert(place, encoding);
	if (text == NULL)
	{
		text = pstrdup(place);
		blank(text);
	}
	return text;
}

/* NULL: it cannot be. To and from UTF-8 the server has what it takes, between others a user may have made it. */
static char *
convert(const char *place, int encoding)
{
	int			to = GetDatabaseEncoding();
	int			bytes = strlen(place);
	Oid			procedure = (encoding == PG_UTF8 || to == PG_UTF8) ? FindDefaultConversionProc(encoding, to) : InvalidOid;
	char	   *text = palloc(bytes * MAX_CONVERSION_GROWTH + 1);

	if (!OidIsValid(procedure) ||
		pg_do_encoding_conversion_buf(procedure, encoding, to, (unsigned char *) unconstify(char *, place), bytes,
									  (unsigned char *) text, bytes * MAX_CONVERSION_GROWTH + 1, true) != bytes)
		return NULL;
	return text;
}

static void
blank(char *text)
{
	for (char *c = text; *c != '\0'; c++)
		if (IS_HIGHBIT_SET(*c))
			*c = '?';
}
