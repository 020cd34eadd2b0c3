/*
 * check_changed.c
 *		Whether findings that were judged before are held against what is in force now.
 *
 * Who changes a check wants to see what follows from it, not what followed from
 * what was said before. So what is judged to be served later carries a mark of
 * what users had changed then of the checks that need catalogs; the others are
 * judged each time. Mutes are no part of it: they are looked up with each report.
 */
#include "core/check.h"

#include "common/hashfn.h"

static uint64 hash_setting(const DbopsCheckSetting *setting);

/* The same as long as nobody has changed such a check, in whatever order the changes are read. */
uint64
dbops_override_mark(const DbopsOverrides *overrides)
{
	uint64		mark = 0;

	for (int i = 0; i < overrides->n_settings; i++)
	{
		const DbopsCheckSetting *setting = &overrides->settings[i];

		if (dbops_check_at(setting->check)->reach == DBOPS_REACH_CATALOG)
			mark += hash_setting(setting);
	}
	return mark;
}

/* Of what a run judges by. */
uint64
dbops_check_mark(const DbopsCheckRun *run)
{
	return dbops_override_mark(run->of_database);
}

static uint64
hash_setting(const DbopsCheckSetting *setting)
{
	double		figures[] = {
		setting->check, setting->enabled, setting->warning, setting->critical, setting->guard,
		setting->clear, setting->duration, setting->keep_firing
	};

	return hash_bytes_extended((const unsigned char *) figures, sizeof(figures), 0);
}
