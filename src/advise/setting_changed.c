/*
 * setting_changed.c
 *		Settings that were changed and are not in force: they wait for a restart, or
 *		their file was never read again.
 *
 * What the files say now is compared with what the server has, number with number
 * in whatever unit either is written. Values of settings that may hold a secret are
 * not shown: the files are read as the extension's owner. A setting that a role or database has its
 * own of, in the session that asks, is left out: the server's is not seen here.
 */
#include "advise/setting_review.h"

#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/guc_tables.h"

#define IN_FILES \
	"SELECT f.name, f.setting, format('line %s of %s', f.sourceline, regexp_replace(f.sourcefile, '^.*/', '')) " \
	"FROM (SELECT DISTINCT ON (f.name) f.* FROM pg_show_all_file_settings() f WHERE f.name IS NOT NULL ORDER BY f.name, f.seqno DESC) f ORDER BY f.name"

static void take_pending(HeapTuple row, TupleDesc desc, void *arg);
static void take_unread(HeapTuple row, TupleDesc desc, void *arg);
static void report_taken_out(DbopsReview *review, const List *named);
static const struct config_generic *find(const char *name);
static bool is_same(const struct config_generic *setting, const char *text);
static bool is_same_choice(const struct config_generic *setting, const char *text, const char *now);
static bool is_same_text(const char *one, const char *other);
static void report(DbopsReview *review, const char *name, const char *in_file, const char *why, const char *remedy);

/* What only a start can do, whether the files were read again or not. */
void
dbops_setting_judge_pending(DbopsReview *review)
{
	(void) dbops_store_each(IN_FILES, 0, NULL, take_pending, review);
}

static void
take_pending(HeapTuple row, TupleDesc desc, void *arg)
{
	const char *name = dbops_row_text(row, desc, 1);
	const struct config_generic *setting = find(name);

	if (setting == NULL || !(setting->status & GUC_PENDING_RESTART))
		return;
	report(arg, setting->name, dbops_row_text(row, desc, 2),
		   psprintf("%s says so, and the server has to be restarted for it", dbops_row_text(row, desc, 3)),
		   "Restart the server at a quiet time, or take the change back.");
}

/* What a reading of the files would change. */
void
dbops_setting_judge_unread(DbopsReview *review)
{
	List	   *named = NIL;

	review->state = &named;
	(void) dbops_store_each(IN_FILES, 0, NULL, take_unread, review);
	report_taken_out(review, named);
}

static void
take_unread(HeapTuple row, TupleDesc desc, void *arg)
{
	const char *name = dbops_row_text(row, desc, 1);
	const char *in_file = dbops_row_text(row, desc, 2);
	const struct config_generic *setting = find(name);
	List	  **named = ((DbopsReview *) arg)->state;

	if (setting != NULL)
		*named = lappend(*named, unconstify(char *, setting->name));
	if (setting == NULL || in_file == NULL || setting->context == PGC_INTERNAL || setting->context == PGC_POSTMASTER ||
		setting->reset_source > PGC_S_FILE || is_same(setting, in_file))
		return;
	report(arg, setting->name, in_file,
		   psprintf("%s says so, and nobody had the server read it", dbops_row_text(row, desc, 3)),
		   "SELECT pg_reload_conf();");
}

/* What came from a file that no longer has it would be as it is shipped. */
static void
report_taken_out(DbopsReview *review, const List *named)
{
	int			n;
	struct config_generic **settings = all_settings(&n);

	for (int i = 0; i < n; i++)
		if (settings[i]->reset_source == PGC_S_FILE && settings[i]->context != PGC_POSTMASTER &&
			settings[i]->context != PGC_INTERNAL && !dbops_texts_have(named, settings[i]->name))
			report(review, settings[i]->name, "the default",
				   "it was taken out of the files, and nobody had the server read them", "SELECT pg_reload_conf();");
}

static const struct config_generic *
find(const char *name)
{
	int			n;
	struct config_generic **settings = all_settings(&n);

	for (int i = 0; i < n; i++)
		if (pg_strcasecmp(settings[i]->name, name) == 0)
			return settings[i];
	return NULL;
}

/* Does a text mean the value that the server has? */
static bool
is_same(const struct config_generic *setting, const char *text)
{
	const char *now = GetConfigOptionResetString(setting->name);
	int			whole;
	double		number;
	bool		one;
	bool		other;

	if (now == NULL)
		now = "";
	if (setting->vartype == PGC_INT && parse_int(text, &whole, setting->flags, NULL))
		return whole == strtol(now, NULL, 10);
	if (setting->vartype == PGC_REAL && parse_real(text, &number, setting->flags, NULL))
		return number == strtod(now, NULL) || fabs(number - strtod(now, NULL)) <= 1e-5 * fabs(number);
	if (setting->vartype == PGC_ENUM)
		return is_same_choice(setting, text, now);
	if (setting->vartype == PGC_BOOL && parse_bool(text, &one) && parse_bool(now, &other))
		return one == other;
	return is_same_text(text, now);
}

/* A choice may have several names. */
static bool
is_same_choice(const struct config_generic *setting, const char *text, const char *now)
{
	struct config_enum *choices = (struct config_enum *) setting;
	int			one;
	int			other;

	return config_enum_lookup_by_name(choices, text, &one) && config_enum_lookup_by_name(choices, now, &other) && one == other;
}

/* The server writes some texts in its own way, as lists: capitals and blanks are no change. */
static bool
is_same_text(const char *one, const char *other)
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
	const struct config_generic *setting = find(name);
	bool		secret = (setting == NULL || (setting->flags & (GUC_SUPERUSER_ONLY | GUC_CUSTOM_PLACEHOLDER)) != 0);
	SettingVerdict verdict = {.severity = review->rule->severity, .recommended = secret ? "changed" : in_file, .why = why};

	dbops_setting_report(review, name, secret ? "not shown" : dbops_setting_shown(name), NULL, "PostgreSQL's manual", remedy, &verdict);
}
