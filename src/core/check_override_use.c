/*
 * check_override_use.c
 *		What follows from what users changed of checks: the thresholds in force,
 *		and which findings are muted.
 */
#include "core/check_override.h"

#include "common/hashfn.h"

/* What a user changed of a check; NULL: nothing. */
const DbopsCheckSetting *
dbops_override_of(const DbopsOverrides *overrides, const DbopsCheck *check)
{
	int			number;

	if (overrides->n_settings == 0)
		return NULL;
	number = dbops_check_number(check);
	for (int i = 0; i < overrides->n_settings; i++)
		if (overrides->settings[i].check == number)
			return &overrides->settings[i];
	return NULL;
}

/* What is shipped, but for what was changed. */
DbopsThreshold
dbops_override_threshold(const DbopsOverrides *overrides, const DbopsCheck *check)
{
	const DbopsCheckSetting *setting = dbops_override_of(overrides, check);
	DbopsThreshold threshold = check->threshold;

	if (setting == NULL)
		return threshold;
	if (!isnan(setting->warning))
		threshold.warning = setting->warning;
	if (!isnan(setting->critical))
		threshold.critical = setting->critical;
	if (!isnan(setting->guard))
		threshold.guard = setting->guard;
	if (!isnan(setting->clear))
		threshold.clear = setting->clear;
	if (setting->duration >= 0)
		threshold.duration = setting->duration;
	if (setting->keep_firing >= 0)
		threshold.keep_firing = setting->keep_firing;
	return threshold;
}

/* Until when a finding is muted, by its key or with all of its check; 0: it is not. */
TimestampTz
dbops_override_muted_until(const DbopsOverrides *overrides, const char *check_name, const char *key)
{
	TimestampTz until = 0;
	uint64		of_key;
	uint64		of_check;

	if (overrides->n_mutes == 0)
		return 0;
	of_key = dbops_override_hash(key);
	of_check = dbops_override_hash(check_name);
	for (int i = 0; i < overrides->n_mutes; i++)
		if (overrides->mutes[i].key == of_key || overrides->mutes[i].key == of_check)
			until = Max(until, overrides->mutes[i].until);
	return (until > dbops_clock_now()) ? until : 0;
}

/* What stands for a key. */
uint64
dbops_override_hash(const char *key)
{
	return hash_bytes_extended((const unsigned char *) key, strlen(key), 0);
}
