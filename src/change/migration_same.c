/*
 * migration_same.c
 *		A migration that is given again: is its text still the one that was applied?
 *
 * Deployers give all that their folder holds, each time. What was applied is
 * not run again, so a text that says something else by now must be noticed; one
 * that only looks different must not stop a deployment.
 */
#include "change/migration.h"

static void refuse_other_text(const char *message, const Migration *known,
							  const TextDifference *difference, const char *hint);
static char *beginning(const MigrationText *text, int statements);

/*
 * Hold a text against that of a migration that is applied, and tell how they
 * differ. Only one that is repeatable may say something else.
 */
TextLikeness
dbops_migration_hold_against(const Migration *known, const Migration *wanted)
{
	TextDifference difference;

	if (known->up_sql == NULL || strcmp(known->up_sql, wanted->up_sql) == 0)
		difference.likeness = TEXTS_IDENTICAL;
	else
		difference = dbops_migration_text_compare(known->up_sql, wanted->up_sql);

	if (difference.likeness == TEXTS_DIFFERENT && !wanted->repeatable)
		refuse_other_text("was applied with another text", known, &difference,
						  "Leave it as it was applied and write what is to change as a new migration; or say repeatable => true, if it may run again whenever it changes.");
	return difference.likeness;
}

/* Refuse a text whose beginning is not the one of which so many statements are done. */
void
dbops_migration_require_unchanged(const Migration *known, const MigrationText *text, int done)
{
	MigrationText *old = dbops_migration_text_read("up_sql", known->up_sql);
	TextDifference difference = dbops_migration_text_compare(beginning(old, done), beginning(text, done));

	if (difference.likeness == TEXTS_DIFFERENT)
		refuse_other_text("is done in part, and the text differs in that part", known, &difference,
						  "Leave the statements that are done as they were, and change those that follow; or roll the migration back first.");
}

/* A text as far as the statement behind these, or its end. */
static char *
beginning(const MigrationText *text, int statements)
{
	MigrationStatement *next;

	if (statements >= list_length(text->statements))
		return pstrdup(text->sql);
	next = list_nth(text->statements, statements);
	return pnstrdup(text->sql, next->start);
}

static void
refuse_other_text(const char *message, const Migration *known,
				  const TextDifference *difference, const char *hint)
{
	char	   *old = (difference->old_token == NULL) ? pstrdup("ends") :
		psprintf("has \"%s\" in line %d", difference->old_token, difference->old_line);
	char	   *new = (difference->new_token == NULL) ? pstrdup("ends") :
		psprintf("has \"%s\" in line %d", difference->new_token, difference->new_line);

	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("migration \"%s\" of project \"%s\" %s", known->version, known->project, message),
			 errdetail("Where the text that was applied %s, up_sql %s.", old, new),
			 errhint("%s", hint)));
}
