/*
 * setting_value.c
 *		Settings as the server has them, and as a configuration file writes them.
 *
 * What the session that asks has set for itself says nothing of the server: the
 * value is the one that RESET would bring back.
 */
#include "advise/setting_review.h"

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

static const struct config_generic *find(const char *name);
static double unit_size(int flags);
static const char *write_in(const Unit *units, int n, double figure);

static const struct config_generic *
find(const char *name)
{
	int			n;
	struct config_generic **settings = all_settings(&n);

	for (int i = 0; i < n; i++)
		if (strcmp(settings[i]->name, name) == 0)
			return settings[i];
	return NULL;
}

/* A number in bytes, ms, or as it is; NaN: there is no such setting. What is -1 stays it. */
double
dbops_setting_figure(const char *name)
{
	const struct config_generic *setting = find(name);
	double		figure;

	if (setting == NULL)
		return NAN;
	figure = strtod(GetConfigOptionResetString(name), NULL);
	return (figure == -1) ? -1 : figure * unit_size(setting->flags);
}

/* Is a setting, one of text or a switch, of that value? */
bool
dbops_setting_is(const char *name, const char *value)
{
	return find(name) != NULL && strcmp(GetConfigOptionResetString(name), value) == 0;
}

/* The value as a configuration file would write it: a number in its largest unit, no text as two quotes. */
const char *
dbops_setting_shown(const char *name)
{
	const struct config_generic *setting = find(name);
	const char *value;

	if (setting == NULL)
		return "";
	if (setting->vartype == PGC_INT || setting->vartype == PGC_REAL)
		return dbops_setting_write(name, dbops_setting_figure(name));
	value = GetConfigOptionResetString(name);
	return (value == NULL || *value == '\0') ? "''" : pstrdup(value);
}

/* Write a figure as a value of the setting. */
const char *
dbops_setting_write(const char *name, double figure)
{
	const struct config_generic *setting = find(name);

	if (figure == -1 || figure == 0 || setting == NULL)
		return psprintf("%g", figure);
	if (setting->flags & GUC_UNIT_MEMORY)
		return write_in(byte_units, lengthof(byte_units), figure);
	if (setting->flags & GUC_UNIT_TIME)
		return write_in(time_units, lengthof(time_units), figure);
	return psprintf("%g", figure);
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

/* Does a new value only count after a restart? */
bool
dbops_setting_needs_restart(const char *name)
{
	const struct config_generic *setting = find(name);

	return setting != NULL && setting->context == PGC_POSTMASTER;
}
