/*
 * migration_tokens.c
 *		Are two texts the same to the server?
 *
 * They are if its scanner reads the same tokens in them. Comments, white
 * space, the case of words, semicolons that end nothing and lines that only
 * psql obeys are not among them; the body of a function is one token, so that
 * a comment in there is a difference.
 */
#include "change/migration.h"

#include "mb/pg_wchar.h"

#define TOKEN_BYTES		60		/* of a token that a message shows */

/*
 * The core scanner's codes for tokens with a value. They do not depend on the
 * words that a server knows: PL/pgSQL's grammar is built on that too.
 */
enum
{
	TOKEN_FIRST_TEXT = 258,		/* IDENT */
	TOKEN_LAST_TEXT = 265,		/* Op */
	TOKEN_ICONST = 266,
	TOKEN_PARAM = 267
};

static bool is_same(const MigrationToken *a, const MigrationToken *b);
static char *shown(const char *sql, const MigrationToken *token);

/* Compare two texts, and find where they differ first. */
TextDifference
dbops_migration_text_compare(const char *old, const char *new)
{
	TextDifference difference = {.likeness = TEXTS_IDENTICAL};
	MigrationScan *old_scan;
	MigrationScan *new_scan;
	MigrationToken old_token;
	MigrationToken new_token;
	bool		old_goes_on;
	bool		new_goes_on;

	if (strcmp(old, new) == 0)
		return difference;

	old_scan = dbops_migration_scan_begin("the text in the ledger", old);
	new_scan = dbops_migration_scan_begin("the text", new);
	do
	{
		old_goes_on = dbops_migration_scan_next(old_scan, &old_token);
		new_goes_on = dbops_migration_scan_next(new_scan, &new_token);
	} while (old_goes_on && new_goes_on && is_same(&old_token, &new_token));

	difference.likeness = TEXTS_COSMETIC;
	if (old_goes_on || new_goes_on)
	{
		difference.likeness = TEXTS_DIFFERENT;
		difference.old_line = dbops_migration_scan_line(old_scan, old_token.start);
		difference.new_line = dbops_migration_scan_line(new_scan, new_token.start);
		difference.old_token = old_goes_on ? shown(old, &old_token) : NULL;
		difference.new_token = new_goes_on ? shown(new, &new_token) : NULL;
	}
	dbops_migration_scan_end(old_scan);
	dbops_migration_scan_end(new_scan);
	return difference;
}

static bool
is_same(const MigrationToken *a, const MigrationToken *b)
{
	if (a->code != b->code)
		return false;
	if (a->code >= TOKEN_FIRST_TEXT && a->code <= TOKEN_LAST_TEXT)
		return strcmp(a->value, b->value) == 0;
	if (a->code == TOKEN_ICONST || a->code == TOKEN_PARAM)
		return a->number == b->number;
	return (a->data == NULL) == (b->data == NULL) && a->data_length == b->data_length &&
		(a->data == NULL || memcmp(a->data, b->data, a->data_length) == 0);
}

/* A token as its text has it, if it is not too long to be shown whole. */
static char *
shown(const char *sql, const MigrationToken *token)
{
	int			length = pg_mbcliplen(sql + token->start, token->end - token->start, TOKEN_BYTES);

	if (length < token->end - token->start)
		return psprintf("%s...", pnstrdup(sql + token->start, length));
	return pnstrdup(sql + token->start, length);
}
