/*
 * setting_changed.c
 *		Settings that were changed and are not in force: they wait for a restart, or
 *		their file was never read again, or could not be.
 *
 * What the files say now is compared with what the server has, number with number
 * in whatever unit either is written. Values of settings that may hold a secret are
 * not shown: the files are read as the extension's owner. A setting that a role or
 * database has its own of, in the session that asks, is left out: the server's is not
 * seen here. What a session keeps as it began with it, it cannot tell either: there
 * it counts whether the file was changed since it was read.
 */
#include "advise/setting_review.h"

#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/guc_tables.h"

#define RELOAD	"SELECT pg_reload_conf();"

static void report_broken(DbopsReview *review, const SettingFiles *files);
static void judge_line(DbopsReview *review, const struct config_generic *setting, const SettingLine *line, const SettingFiles *files);
static bool is_unread(const struct config_generic *setting, const SettingLine *line, const SettingFiles *files);
static bool is_same(const struct config_generic *setting, const char *text);
static bool is_same_list(const char *one, const char *other);
static void report(DbopsReview *review, const char *name, const char *in_file, const char *why, const char *remedy);

/* What only a start can do, whether the files were read again or not: the server marks it when they are looked at. */
void
dbops_setting_judge_pending(DbopsReview *review)
{
	const SettingFiles *files = dbops_setting_facts(review)->files;
	int			n;
	struct config_generic **settings = all_settings(&n);

	for (int i = 0; i < n; i++)
	{
		const SettingLine *line = dbops_setting_line(files, settings[i]->name);

		if ((settings[i]->status & GUC_PENDING_RESTART) == 0)
			continue;
		if (dbops_setting_is_of_command_line(settings[i]->name))
			report(review, settings[i]->name, "the same in both", "the files have another value than it was given when the server was started, which counts more, after a restart too",
				   "Give the value of the files when the server is started, or take it out of the files.");
		else
			report(review, settings[i]->name, line == NULL ? "the default" : line->value,
				   psprintf("%s, and the server has to be restarted for it", line == NULL ? "it was taken out of the files" : psprintf("%s says so", line->place)),
				   "Restart the server at a quiet time, or take the change back.");
	}
}

/* What a reading of the files would change. */
void
dbops_setting_judge_unread(DbopsReview *review)
{
	const SettingFiles *files = dbops_setting_facts(review)->files;
	int			n;
	struct config_generic **settings = all_settings(&n);

	if (files->broken != NULL)
		report_broken(review, files);
	for (int i = 0; i < n; i++)
	{
		const struct config_generic *setting = settings[i];
		const SettingLine *line = dbops_setting_line(files, setting->name);

		if (setting->context == PGC_INTERNAL || setting->context == PGC_POSTMASTER || setting->reset_source > PGC_S_FILE)
			continue;
		if (line != NULL)
			judge_line(review, setting, line, files);
		else if (setting->reset_source == PGC_S_FILE && files->broken == NULL && !dbops_setting_keeps(setting->name))
			report(review, setting->name, "the default", "it was taken out of the files, and nobody had the server read them", RELOAD);
	}
}

static void
report_broken(DbopsReview *review, const SettingFiles *files)
{
	SettingVerdict verdict = {
		.severity = review->rule->severity,
		.recommended = "corrected",
		.why = "it cannot be understood, so that nothing of the files is taken over"
	};

	dbops_setting_report(review, files->broken, "as it is", NULL, "PostgreSQL's manual",
						 psprintf("Correct %s, and have the server read it, by %s", files->broken, RELOAD), &verdict);
}

static void
judge_line(DbopsReview *review, const struct config_generic *setting, const SettingLine *line, const SettingFiles *files)
{
	if (line->wrong)
		report(review, setting->name, "a value that it can have", psprintf("%s has a value that it cannot have", line->place),
			   psprintf("Correct %s, and have the server read it, by %s", line->place, RELOAD));
	else if (!is_unread(setting, line, files))
		return;
	else if (files->broken != NULL)
		report(review, setting->name, line->value, psprintf("%s says so, and %s keeps the server from taking it over", line->place, files->broken),
			   psprintf("Correct %s first, and have the server read it, by %s", files->broken, RELOAD));
	else
		report(review, setting->name, line->value, psprintf("%s says so, and nobody had the server read it", line->place), RELOAD);
}

/* Does the server have another value than the file? A session tells its own, and texts are rewritten: there the file must be newer. */
static bool
is_unread(const struct config_generic *setting, const SettingLine *line, const SettingFiles *files)
{
	bool		newer = line->newer || files->broken != NULL;

	if (line->value == NULL || is_same(setting, line->value))
		return false;
	return newer || (setting->vartype != PGC_STRING && !dbops_setting_keeps(setting->name));
}

/* Does a text mean the value that the server has? */
static bool
is_same(const struct config_generic *setting, const char *text)
{
	const char *now = dbops_setting_here(setting);

	if (strcmp(dbops_setting_normal(setting->name, text), now) == 0)
		return true;
	return setting->vartype == PGC_STRING && (setting->flags & GUC_LIST_INPUT) && !(setting->flags & GUC_LIST_QUOTE) && is_same_list(text, now);
}

/* The server writes lists of words in its own way: capitals and blanks are no change. */
static bool
is_same_list(const char *one, const char *other)
{
	for (;;)
	{
		one += strspn(one, " ");
		other += strspn(other, " ");
		if (pg_tolower((unsigned char) *one) != pg_tolower((unsigned char) *other))
			return false;
		if (*one == '\0')
			return true;
		one++;
		other++;
	}
}

static void
report(DbopsReview *review, const char *name, const char *in_file, const char *why, const char *remedy)
{
	const struct config_generic *setting = find_setting(name);
	bool		secret = (setting == NULL || (setting->flags & (GUC_SUPERUSER_ONLY | GUC_CUSTOM_PLACEHOLDER)) != 0);
	SettingVerdict verdict = {.severity = review->rule->severity,.recommended = secret ? "changed" : in_file,.why = why};

	dbops_setting_report(review, name, secret ? "not shown" : dbops_setting_shown(dbops_setting_facts(review), name), NULL, "PostgreSQL's manual", remedy, &verdict);
}
