/*
 * migration_settings.c
 *		Settings that a migration in steps needs in each of its transactions.
 *
 * A text means what it meant in the session that gave it, whichever process
 * does its steps: what can change that meaning, or what the server builds, is
 * noted when it is submitted. What the text itself sets holds for the rest of
 * it, also when that is done in another process.
 */
#include "change/migration_work.h"

#include "utils/guc.h"

/* How a setting is to be made. */
typedef void (*Setter) (const char *name, const char *value);

static void set_nested(const char *name, const char *value);
static void set_all(const MigrationWork *work, Setter set);
static void set_noted(const MigrationWork *work, Setter set);
static void set_again(const MigrationWork *work, const MigrationStatement *statement, Setter set);

/* Others are the role's and the database's. */
static const char *const kept[] = {
	"standard_conforming_strings",
	"backslash_quote",
	"DateStyle",
	"IntervalStyle",
	"TimeZone",
	"xmloption",
	"check_function_bodies",
	"default_tablespace",
	"default_table_access_method",
	"maintenance_work_mem",
	"max_parallel_maintenance_workers"
};

/* Note the settings of this session. */
Jsonb *
dbops_migration_settings(void)
{
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	for (int i = 0; i < lengthof(kept); i++)
		dbops_json_text(&json, kept[i], GetConfigOption(kept[i], false, false));
	return dbops_json_finish(&json);
}

/*
 * Set what was noted, until the caller's GUC nest level is closed. What the text
 * has set is set again by its run, and is not for what comes behind it.
 */
void
dbops_migration_settings_nest(const MigrationWork *work)
{
	set_noted(work, dbops_set_nested);
}

/* The same, and what the statements before the next one have set. */
void
dbops_migration_settings_nest_all(const MigrationWork *work)
{
	set_all(work, set_nested);
}

/* To find what a statement names, nobody's role is needed. */
static void
set_nested(const char *name, const char *value)
{
	if (strcmp(name, "role") != 0)
		dbops_set_nested(name, value);
}

/* Set all of it for the session, until the job's settings are restored. */
void
dbops_migration_settings_put(const MigrationWork *work)
{
	set_all(work, dbops_job_setting_put);
}

static void
set_all(const MigrationWork *work, Setter set)
{
	set_noted(work, set);
	for (int i = 1; i < work->next; i++)
		set_again(work, list_nth(work->text->statements, i - 1), set);
}

static void
set_noted(const MigrationWork *work, Setter set)
{
	set("search_path", work->job->path);
	for (int i = 0; i < lengthof(kept); i++)
	{
		const char *value = dbops_jsonb_text(work->settings, kept[i]);

		if (value != NULL)
			set(kept[i], value);
	}
}

/* The statement has been run, so its role could set it. */
static void
set_again(const MigrationWork *work, const MigrationStatement *statement, Setter set)
{
	VariableSetStmt *parsed;

	if (!statement->setting)
		return;
	parsed = castNode(VariableSetStmt, dbops_migration_statement_parse(work->text, statement)->stmt);
	if (parsed->kind != VAR_SET_MULTI)
		set(parsed->name, ExtractSetVariableArgs(parsed));
}
