/*
 * job_setting.c
 *		Settings of the session that a job changes.
 *
 * What runs at top level has transactions of its own, so that a setting for it
 * has to be the session's. A session in the foreground is to find its settings
 * as they were, however the job ends: each is remembered when it is changed
 * first, in memory that no error frees, and whoever runs the job puts them back.
 */
#include "core/job.h"

#include "utils/guc.h"
#include "utils/memutils.h"

/* A setting that was changed. */
typedef struct Changed
{
	char	   *name;
	char	   *value;			/* that it had; NULL: there was none of that name */
} Changed;

static List *changed = NIL;		/* of Changed *, the latest first; in TopMemoryContext */

static void remember(const char *name);

/* Change a setting of the session until the job ends. Needs a transaction. */
void
dbops_job_setting_put(const char *name, const char *value)
{
	remember(name);
	dbops_set_session(name, value);
}

static void
remember(const char *name)
{
	MemoryContext before = MemoryContextSwitchTo(TopMemoryContext);
	const char *value = GetConfigOption(name, true, false);
	Changed    *setting;
	ListCell   *cell;

	foreach(cell, changed)
		if (pg_strcasecmp(((Changed *) lfirst(cell))->name, name) == 0)
			break;
	if (cell == NULL)
	{
		setting = palloc(sizeof(Changed));
		setting->name = pstrdup(name);
		setting->value = (value != NULL) ? pstrdup(value) : NULL;
		changed = lcons(setting, changed);
	}
	MemoryContextSwitchTo(before);
}

/* Put all back. Needs a transaction. */
void
dbops_job_settings_restore(void)
{
	while (changed != NIL)
	{
		Changed    *setting = linitial(changed);

		dbops_set_session(setting->name, setting->value);
		changed = list_delete_first(changed);
		if (setting->value != NULL)
			pfree(setting->value);
		pfree(setting->name);
		pfree(setting);
	}
}
