/*
 * meaning.c
 *		The settings of a session that an expression's value depends on: the day
 *		that a time falls on, how a date is read and written.
 *
 * What a user gives once is evaluated later, in other sessions. It shall mean
 * there what it meant to who gave it, or at least the same to everybody.
 */
#include "core/core.h"

#include "utils/guc.h"

/* And the values with which it means the same to everybody: the time zone's is given. */
static const struct
{
	const char *name;
	const char *pinned;
}			meaning[] = {
	{"DateStyle", "ISO, MDY"},
	{"IntervalStyle", "postgres"},
	{"TimeZone", NULL},
	{"array_nulls", "on"},
	{"bytea_output", "hex"},
	{"default_text_search_config", "pg_catalog.simple"},
	{"extra_float_digits", "1"},
	{"lc_monetary", "C"},
	{"lc_numeric", "C"},
	{"lc_time", "C"},
	{"transform_null_equals", "off"},
	{"xmlbinary", "base64"},
	{"xmloption", "content"}
};

static void use(const char *name, const char *value);

/* The settings of this session. */
Jsonb *
dbops_meaning_of_session(void)
{
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	for (int i = 0; i < lengthof(meaning); i++)
		dbops_json_text(&json, meaning[i].name, GetConfigOption(meaning[i].name, false, false));
	return dbops_json_finish(&json);
}

/* Let those of another session (NULL: none) hold until the nested settings end. Texts are those of statements that dbops writes. */
void
dbops_meaning_use(const Jsonb *settings)
{
	use("standard_conforming_strings", "on");
	for (int i = 0; settings != NULL && i < lengthof(meaning); i++)
		use(meaning[i].name, dbops_jsonb_text(settings, meaning[i].name));
}

/* Let those hold that are the same for everybody, in this time zone. */
void
dbops_meaning_pin(const char *zone)
{
	use("standard_conforming_strings", "on");
	for (int i = 0; i < lengthof(meaning); i++)
		use(meaning[i].name, meaning[i].pinned != NULL ? meaning[i].pinned : zone);
}

/*
 * Write values into SQL, until the nested settings end, such that they are read
 * as the same ones whatever a session is set to.
 */
void
dbops_meaning_write(void)
{
	use("standard_conforming_strings", "on");
	use("DateStyle", "ISO");
	use("IntervalStyle", "postgres");
	use("extra_float_digits", "3");
	use("bytea_output", "hex");
}

static void
use(const char *name, const char *value)
{
	if (value != NULL && strcmp(GetConfigOption(name, false, false), value) != 0)
		dbops_set_nested(name, value);
}
