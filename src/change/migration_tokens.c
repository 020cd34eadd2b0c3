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
#include "miscadmin.h"

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

/* Two texts on their way through dbops_migration_scan_quietly. */
typedef struct Comparison
{
	const char *old;
	const char *new;
	TextDifference difference;
} Comparison;

static void compare_tokens(void *arg);
static bool is_same(const MigrationToken *a, const MigrationToken *b);
static void describe(Comparison *comparison, const MigrationToken *old_token, const MigrationToken *new_token);
static const char *begin_of(const char *sql, const MigrationToken *token);
static const char *end_of(const char *sql, const MigrationToken *token);
static int	common_bytes(const char *old, const char *new);
static char *shown(const char *begin, const char *end);

/* Compare two texts, and find where they differ first. */
TextDifference
dbops_migration_text_compare(const char *old, const char *new)
{
	Comparison	comparison = {.old = old,.new = new,.difference = {.likeness = TEXTS_IDENTICAL}};

	if (strcmp(old, new) != 0)
		dbops_migration_scan_quietly(compare_tokens, &comparison);
	return comparison.difference;
}

static void
compare_tokens(void *arg)
{
	Comparison *comparison = arg;
	MigrationScan *old = dbops_migration_scan_begin("the text in the ledger", comparison->old);
	MigrationScan *new = dbops_migration_scan_begin("the text", comparison->new);
	MigrationToken old_token;
	MigrationToken new_token;
	bool		old_goes_on;
	bool		new_goes_on;

	do
	{
		CHECK_FOR_INTERRUPTS();
		old_goes_on = dbops_migration_scan_next(old, &old_token);
		new_goes_on = dbops_migration_scan_next(new, &new_token);
	} while (old_goes_on && new_goes_on && is_same(&old_token, &new_token));

	comparison->difference.likeness = TEXTS_COSMETIC;
	if (old_goes_on || new_goes_on)
		describe(comparison, old_goes_on ? &old_token : NULL, new_goes_on ? &new_token : NULL);
	dbops_migration_scan_end(old);
	dbops_migration_scan_end(new);
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

/* Say where the texts differ, at these tokens; NULL: the text has ended. */
static void
describe(Comparison *comparison, const MigrationToken *old_token, const MigrationToken *new_token)
{
	TextDifference *difference = &comparison->difference;
	const char *old = begin_of(comparison->old, old_token);
	const char *new = begin_of(comparison->new, new_token);
	int			common = 0;

	/* A long token, such as the body of a function, is shown from where it differs. */
	if (old_token != NULL && new_token != NULL)
		common = common_bytes(old, new);
	difference->likeness = TEXTS_DIFFERENT;
	difference->old_line = dbops_migration_line(comparison->old, old + common - comparison->old);
	difference->new_line = dbops_migration_line(comparison->new, new + common - comparison->new);
	if (old_token != NULL)
		difference->old_token = shown(old + common, end_of(comparison->old, old_token));
	if (new_token != NULL)
		difference->new_token = shown(new + common, end_of(comparison->new, new_token));
}

/* Where in the text a token begins, or the lines of data that it stands for. */
static const char *
begin_of(const char *sql, const MigrationToken *token)
{
	if (token == NULL)
		return sql + strlen(sql);
	return token->data != NULL ? token->data : sql + token->start;
}

static const char *
end_of(const char *sql, const MigrationToken *token)
{
	return token->data != NULL ? token->data + token->data_length : sql + token->end;
}

/* How much of two tokens is the same before the line that differs, or the place in it. */
static int
common_bytes(const char *old, const char *new)
{
	const char *line = old;
	const char *place = old;
	int			length;

	while (*place != '\0' && *place == new[place - old])
	{
		length = pg_mblen(place);
		if (strncmp(place, new + (place - old), length) != 0)
			break;
		if (*place == '\n' || place - line > TOKEN_BYTES / 2)
			line = place + length;
		place += length;
	}
	return line - old;
}

/* A token as its text has it, if it is not too long to be shown whole. */
static char *
shown(const char *begin, const char *end)
{
	int			line = strcspn(begin, "\r\n");
	int			length = pg_mbcliplen(begin, Min(line, end - begin), TOKEN_BYTES);

	return psprintf("%s%s", pnstrdup(begin, length), begin + length < end ? "..." : "");
}
