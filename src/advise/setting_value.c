/*
 * setting_value.c
 *		Settings as the server has them, and as a configuration file writes them.
 *
 * What the session that asks has of its own says nothing of the server. It may have
 * SET it, so the value is the one that RESET would bring back; where that is its
 * role's, its database's or its connection's, and where a session that has begun
 * keeps what it began with, it is the one of the files, as far as the server has
 * read them.
 */
#include "advise/setting_review.h"

#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/guc_tables.h"

/* A unit as configuration files write it, in bytes or ms. */
typedef struct Unit
{
	const char *name;
	double		size;
} Unit;

static const Unit byte_units[] = {{"GB", 1024.0 * 1024 * 1024}, {"MB", 1024.0 * 1024}, {"kB", 1024}, {"B", 1}};
static const Unit time_units[] = {{"d", 86400000}, {"h", 3600000}, {"min", 60000}, {"s", 1000}, {"ms", 1}};

/* Of a setting of that type, in value_text(). */
#define PICK(type) \
	(shipped ? ((const struct type *) setting)->boot_val : ((const struct type *) setting)->reset_val)

static const char *text_of(const SettingFacts *facts, const struct config_generic *setting);
static const char *value_text(const struct config_generic *setting, bool shipped);
static double unit_size(int flags);
static const char *write_in(const Unit *units, int n, double figure);

/* A number in bytes, ms, or as it is; NaN: there is no such setting, or nobody who would obey it. What is -1 stays it. */
double
dbops_setting_figure(const SettingFacts *facts, const char *name)
{
	const struct config_generic *setting = find_setting(name);
	double		figure;

	if (setting == NULL || (setting->flags & GUC_CUSTOM_PLACEHOLDER))
		return NAN;
	figure = strtod(text_of(facts, setting), NULL);
	return (figure == -1) ? -1 : figure * unit_size(setting->flags);
}

/* Is a setting, one of text or of choices, of that value? */
bool
dbops_setting_is(const SettingFacts *facts, const char *name, const char *value)
{
	const struct config_generic *setting = find_setting(name);

	return setting != NULL && strcmp(text_of(facts, setting), value) == 0;
}

/* Is a switch on? One that has become a list is, unless it says no or nothing. */
bool
dbops_setting_is_on(const SettingFacts *facts, const char *name)
{
	const struct config_generic *setting = find_setting(name);
	const char *text = (setting == NULL) ? "" : text_of(facts, setting);
	bool		on;

	return parse_bool(text, &on) ? on : *text != '\0';
}

/* The value as a configuration file would write it: a number in its largest unit, no text as two quotes. */
const char *
dbops_setting_shown(const SettingFacts *facts, const char *name)
{
	const struct config_generic *setting = find_setting(name);
	const char *value;

	if (setting == NULL)
		return "";
	if (setting->vartype == PGC_INT || setting->vartype == PGC_REAL)
		return dbops_setting_write(name, dbops_setting_figure(facts, name));
	value = text_of(facts, setting);
	return (*value == '\0') ? "''" : value;
}

/* ---- which value is the server's ---- */

static const char *
text_of(const SettingFacts *facts, const struct config_generic *setting)
{
	const char *here = dbops_setting_here(setting);
	bool		own = (setting->reset_source > PGC_S_ARGV);
	const SettingLine *line;

	if (!own && !dbops_setting_keeps(setting->name))
		return here;
	line = dbops_setting_line(facts->files, setting->name);
	if (line == NULL)
		return own ? value_text(setting, true) : here;
	return (line->newer || line->wrong || facts->files->broken != NULL) ? here : dbops_setting_normal(setting->name, line->value);
}

/* Does a session keep the value that it began with, whatever is set since? */
bool
dbops_setting_keeps(const char *name)
{
	const struct config_generic *setting = find_setting(name);

	return setting != NULL && (setting->context == PGC_BACKEND || setting->context == PGC_SU_BACKEND);
}

/* The value that RESET would bring back, whoever may see it. */
const char *
dbops_setting_here(const struct config_generic *setting)
{
	return value_text(setting, false);
}

/* As text: what it is reset to, or is as long as nobody sets it. */
static const char *
value_text(const struct config_generic *setting, bool shipped)
{
	const char *text = "";

	switch (setting->vartype)
	{
		case PGC_BOOL:
			text = PICK(config_bool) ? "on" : "off";
			break;
		case PGC_INT:
			text = psprintf("%d", PICK(config_int));
			break;
		case PGC_REAL:
			text = psprintf("%g", PICK(config_real));
			break;
		case PGC_STRING:
			text = PICK(config_string);
			break;
		case PGC_ENUM:
			text = config_enum_lookup_by_value(unconstify(struct config_enum *, (const struct config_enum *) setting), PICK(config_enum));
			break;
	}
	return (text == NULL) ? "" : pstrdup(text);
}

/* A value as the server tells it: switches as on and off, choices by their first name, numbers in the setting's own unit. */
const char *
dbops_setting_normal(const char *name, const char *text)
{
	struct config_generic *setting = find_setting(name);
	int			whole;
	double		number;
	bool		on;

	if (setting == NULL || text == NULL)
		return text;
	if (setting->vartype == PGC_BOOL && parse_bool(text, &on))
		return on ? "on" : "off";
	if (setting->vartype == PGC_INT && parse_int(text, &whole, setting->flags, NULL))
		return psprintf("%d", whole);
	if (setting->vartype == PGC_REAL && parse_real(text, &number, setting->flags, NULL))
		return psprintf("%g", number);
	if (setting->vartype == PGC_ENUM && config_enum_lookup_by_name((struct config_enum *) setting, text, &whole))
		return config_enum_lookup_by_value((struct config_enum *) setting, whole);
	return text;
}

/* ---- how values are written ---- */

/* Write a figure as a value of the setting. */
const char *
dbops_setting_write(const char *name, double figure)
{
	const struct config_generic *setting = find_setting(name);

	if (figure != -1 && figure != 0 && setting != NULL && (setting->flags & GUC_UNIT_MEMORY))
		return write_in(byte_units, lengthof(byte_units), figure);
	if (figure != -1 && figure != 0 && setting != NULL && (setting->flags & GUC_UNIT_TIME))
		return write_in(time_units, lengthof(time_units), figure);
	return psprintf("%.15g", figure);
}

/* In the largest unit of which it is a whole number. */
static const char *
write_in(const Unit *units, int n, double figure)
{
	for (int i = 0; i < n - 1; i++)
		if (fmod(figure, units[i].size) == 0)
			return psprintf("%.0f%s", figure / units[i].size, units[i].name);
	return psprintf("%.0f%s", figure / units[n - 1].size, units[n - 1].name);
}

/* How much 1 is, in bytes or ms. */
static double
unit_size(int flags)
{
	switch (flags & GUC_UNIT)
	{
		case GUC_UNIT_KB:
			return 1024;
		case GUC_UNIT_BLOCKS:
			return BLCKSZ;
		case GUC_UNIT_XBLOCKS:
			return XLOG_BLCKSZ;
		case GUC_UNIT_MB:
			return 1024.0 * 1024;
		case GUC_UNIT_S:
			return 1000;
		case GUC_UNIT_MIN:
			return 60000;
		default:
			return 1;
	}
}

/* ---- how they are changed ---- */

/* Does a new value only count after a restart? */
bool
dbops_setting_needs_restart(const char *name)
{
	const struct config_generic *setting = find_setting(name);

	return setting != NULL && setting->context == PGC_POSTMASTER;
}

/* Was it given when the server was started, which files cannot change? */
bool
dbops_setting_is_of_command_line(const char *name)
{
	const struct config_generic *setting = find_setting(name);

	return setting != NULL && setting->reset_source == PGC_S_ARGV;
}
