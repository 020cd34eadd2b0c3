/*
 * setting_drift.c
 *		Which settings of the server are not what they were?
 *
 * Once a minute the launcher, which no database's or role's settings reach,
 * compares a hash of each with the one that it has seen last. What is kept is in
 * shared memory: names, hashes, and when one changed; never a value, since some
 * are secret. A setting that is new, as those of a library, has not changed.
 */
#include "observe/setting_drift.h"

#include "common/hashfn.h"
#include "utils/guc_tables.h"

#define MOST_SETTINGS	1024	/* those beyond are not followed */

typedef struct KnownSetting
{
	char		name[NAMEDATALEN];
	uint64		hash;			/* of its value */
	TimestampTz changed_at;		/* 0: not since it is followed */
} KnownSetting;

/* In the order of their names, as the server has them. */
typedef struct KnownSettings
{
	TimestampTz since;			/* 0: nobody has looked */
	int			n;
	KnownSetting settings[MOST_SETTINGS];
} KnownSettings;

static KnownSettings *shared_settings = NULL;	/* or NULL */
static LWLock *shared_settings_lock = NULL;

static void follow(void *arg);
static int	look_at_settings(KnownSetting *settings);
static uint64 hash_value(const struct config_generic *setting);
static bool compare(KnownSetting *settings, int n, TimestampTz now);

static const DbopsTick following = {.name = "settings",.every = 60000,.run = follow};

/* Ask for the shared memory, and to be called. */
void
dbops_setting_drift_init(void)
{
	dbops_shared_request("dbops settings", sizeof(KnownSettings), NULL,
						 (void **) &shared_settings, &shared_settings_lock);
	dbops_tick_register(&following);
}

/* Only what differs is written. */
static void
follow(void *arg)
{
	TimestampTz now = dbops_clock_now();
	KnownSetting *settings = palloc0(sizeof(KnownSetting) * MOST_SETTINGS);
	int			n = look_at_settings(settings);

	LWLockAcquire(shared_settings_lock, LW_EXCLUSIVE);
	if (compare(settings, n, now))
	{
		memcpy(shared_settings->settings, settings, sizeof(KnownSetting) * n);
		shared_settings->n = n;
	}
	if (shared_settings->since == 0)
		shared_settings->since = now;
	LWLockRelease(shared_settings_lock);
}

/* All but those that nobody can set. Returns how many there are. */
static int
look_at_settings(KnownSetting *settings)
{
	int			n_all;
	struct config_generic **all = all_settings(&n_all);
	int			n = 0;

	for (int i = 0; i < n_all && n < MOST_SETTINGS; i++)
	{
		if (all[i]->context == PGC_INTERNAL)
			continue;
		strlcpy(settings[n].name, all[i]->name, NAMEDATALEN);
		settings[n].hash = hash_value(all[i]);
		n++;
	}
	return n;
}

/* As the server has it, whatever this process was told beside. */
static uint64
hash_value(const struct config_generic *setting)
{
	const char *text;

	switch (setting->vartype)
	{
		case PGC_BOOL:
			return ((const struct config_bool *) setting)->reset_val;
		case PGC_INT:
			return (uint32) ((const struct config_int *) setting)->reset_val;
		case PGC_ENUM:
			return (uint32) ((const struct config_enum *) setting)->reset_val;
		case PGC_REAL:
			return hash_bytes_extended((const unsigned char *) &((const struct config_real *) setting)->reset_val, sizeof(double), 0);
		case PGC_STRING:
			text = ((const struct config_string *) setting)->reset_val;
			return text == NULL ? 0 : hash_bytes_extended((const unsigned char *) text, strlen(text), 1);
	}
	return 0;
}

/* Mark those that have changed, and take along when others had; whether anything is new. The lock must be held. */
static bool
compare(KnownSetting *settings, int n, TimestampTz now)
{
	bool		differs = (n != shared_settings->n);
	int			known = 0;

	for (int i = 0; i < n; i++)
	{
		const KnownSetting *before = NULL;

		for (int j = known; j < shared_settings->n && before == NULL; j++)
			if (strcmp(shared_settings->settings[j].name, settings[i].name) == 0)
			{
				before = &shared_settings->settings[j];
				known = j + 1;
			}
		if (before == NULL)
			continue;
		settings[i].changed_at = (before->hash == settings[i].hash) ? before->changed_at : now;
		differs = differs || before->hash != settings[i].hash;
	}
	return differs;
}

/* The names (of char *) of those that have changed since a time. Returns since when they are followed; 0: nobody does. */
TimestampTz
dbops_setting_drift_read(TimestampTz since, List **names)
{
	TimestampTz followed;

	*names = NIL;
	if (shared_settings == NULL)
		return 0;
	LWLockAcquire(shared_settings_lock, LW_SHARED);
	followed = shared_settings->since;
	for (int i = 0; i < shared_settings->n; i++)
		if (shared_settings->settings[i].changed_at >= since && shared_settings->settings[i].changed_at != 0)
			*names = lappend(*names, pstrdup(shared_settings->settings[i].name));
	LWLockRelease(shared_settings_lock);
	return followed;
}
