/*
 * check_override_pool.c
 *		What users changed of checks, in shared memory, when dbops is preloaded.
 *
 * It is one pool for all databases, since few of them change much. None takes
 * more of it than its share, and the others leave the home database its own. A
 * database whose rows do not fit has its sessions read the tables each time, and
 * the launcher knows as much as fits. A standby hears of no commit and reads
 * again after a moment.
 */
#include "core/check_override.h"

#include "access/xlog.h"
#include "miscadmin.h"

#define MAX_DATABASES	4096	/* whose tables are known, as many as are looked after; the one read longest ago gives way */
#define MAX_SETTINGS	4096	/* of all databases */
#define MAX_MUTES		8192	/* likewise */
#define READ_AGAIN		10		/* s, on a standby */

typedef struct KnownDatabase
{
	bool		cut;			/* not all of it did fit */
	TimestampTz read_at;
} KnownDatabase;

typedef struct SharedSetting
{
	Oid			database;
	DbopsCheckSetting setting;
} SharedSetting;

typedef struct SharedMute
{
	Oid			database;
	DbopsMute	mute;
} SharedMute;

typedef struct Pool
{
	uint64		generation;		/* goes up with each change that commits */
	Oid			oids[MAX_DATABASES];	/* InvalidOid: free */
	KnownDatabase databases[MAX_DATABASES]; /* beside them */
	int			n_settings;
	int			n_mutes;
	SharedSetting settings[MAX_SETTINGS];
	SharedMute	mutes[MAX_MUTES];
} Pool;

static Pool *pool = NULL;		/* NULL: not preloaded */
static LWLock *pool_lock = NULL;

static void forget(Oid database);
static bool serves(const DbopsCheckScope *scope, const KnownDatabase *known);
static KnownDatabase *find_database(Oid database);
static void publish(const DbopsOverrides *overrides);
static KnownDatabase *take_database(Oid database);
static void remove_rows(Oid database);
static bool add_rows(Oid database, const DbopsOverrides *overrides);
static int	places(int n, int share, int n_free, bool home);

/* Ask for the shared memory. */
void
dbops_override_pool_init(void)
{
	dbops_shared_request("dbops check overrides", sizeof(Pool), NULL,
						 (void **) &pool, &pool_lock);
	dbops_forget_register(forget);
}

/* What was changed there is gone with its tables. */
static void
forget(Oid database)
{
	KnownDatabase *known;

	if (pool == NULL)
		return;
	LWLockAcquire(pool_lock, LW_EXCLUSIVE);
	known = find_database(database);
	if (known != NULL)
	{
		remove_rows(database);
		pool->oids[known - pool->databases] = InvalidOid;
		memset(known, 0, sizeof(KnownDatabase));
	}
	pool->generation++;
	LWLockRelease(pool_lock);
}

/* ---- reading ---- */

/* Copy what was published; false if the tables are to be read instead. */
bool
dbops_override_recall(const DbopsCheckScope *scope, DbopsOverrides *overrides)
{
	bool		known;

	if (pool == NULL)
		return false;
	LWLockAcquire(pool_lock, LW_SHARED);
	known = serves(scope, find_database(scope->database));
	LWLockRelease(pool_lock);
	if (known)
		dbops_override_copy(scope->database, overrides);
	return known;
}

/* The lock is held. */
static bool
serves(const DbopsCheckScope *scope, const KnownDatabase *known)
{
	if (known == NULL)
		return false;
	return !scope->connected ||
		!(known->cut || (RecoveryInProgress() &&
						 TimestampDifferenceExceeds(known->read_at, GetCurrentTimestamp(), READ_AGAIN * 1000)));
}

/* The lock is held. */
static KnownDatabase *
find_database(Oid database)
{
	for (int i = 0; i < MAX_DATABASES; i++)
		if (OidIsValid(database) && pool->oids[i] == database)
			return &pool->databases[i];
	return NULL;
}

/* Copy what there is of a database, all of it or not. */
void
dbops_override_copy(Oid database, DbopsOverrides *overrides)
{
	if (pool == NULL)
		return;
	/* Allocated before, since nothing may fail under the lock but what releases it. */
	overrides->settings = palloc(sizeof(DbopsCheckSetting) * MAX_CHECKS);
	overrides->mutes = palloc(sizeof(DbopsMute) * DBOPS_MOST_MUTES);
	LWLockAcquire(pool_lock, LW_SHARED);
	for (int i = 0; i < pool->n_settings; i++)
		if (pool->settings[i].database == database && overrides->n_settings < MAX_CHECKS)
			overrides->settings[overrides->n_settings++] = pool->settings[i].setting;
	for (int i = 0; i < pool->n_mutes; i++)
		if (pool->mutes[i].database == database && overrides->n_mutes < DBOPS_MOST_MUTES)
			overrides->mutes[overrides->n_mutes++] = pool->mutes[i].mute;
	LWLockRelease(pool_lock);
}

/* How often something has been published, to tell whether it was meanwhile. */
uint64
dbops_override_pool_generation(void)
{
	uint64		now = 0;

	if (pool == NULL)
		return 0;
	LWLockAcquire(pool_lock, LW_SHARED);
	now = pool->generation;
	LWLockRelease(pool_lock);
	return now;
}

/* ---- publishing ---- */

/* Publish what was read, unless somebody else has published since the generation that was seen. */
void
dbops_override_publish(const DbopsOverrides *overrides, uint64 seen)
{
	if (pool == NULL)
		return;
	LWLockAcquire(pool_lock, LW_EXCLUSIVE);
	if (pool->generation == seen)
		publish(overrides);
	LWLockRelease(pool_lock);
}

/* Publish what this transaction has changed. Nothing here may fail. */
void
dbops_override_publish_at_commit(void *overrides)
{
	if (pool == NULL)
		return;
	LWLockAcquire(pool_lock, LW_EXCLUSIVE);
	pool->generation++;
	publish(overrides);
	LWLockRelease(pool_lock);
}

/* The lock is held. Nothing here may fail. */
static void
publish(const DbopsOverrides *overrides)
{
	KnownDatabase *known = take_database(MyDatabaseId);
	Oid		   *oid = &pool->oids[known - pool->databases];

	remove_rows(*oid);
	*oid = MyDatabaseId;
	known->read_at = GetCurrentTimestamp();
	known->cut = !add_rows(*oid, overrides);
}

/* This database's place, or the one that was read longest ago. */
static KnownDatabase *
take_database(Oid database)
{
	KnownDatabase *known = find_database(database);

	if (known != NULL)
		return known;
	known = &pool->databases[0];
	for (int i = 1; i < MAX_DATABASES; i++)
		if (pool->databases[i].read_at < known->read_at)
			known = &pool->databases[i];
	return known;
}

static void
remove_rows(Oid database)
{
	int			n = 0;

	for (int i = 0; i < pool->n_settings; i++)
		if (pool->settings[i].database != database)
			pool->settings[n++] = pool->settings[i];
	pool->n_settings = n;
	n = 0;
	for (int i = 0; i < pool->n_mutes; i++)
		if (pool->mutes[i].database != database)
			pool->mutes[n++] = pool->mutes[i];
	pool->n_mutes = n;
}

/* False: there is no room for all. */
static bool
add_rows(Oid database, const DbopsOverrides *overrides)
{
	bool		home = (database == dbops_home_database());
	int			settings = places(overrides->n_settings, MAX_CHECKS, MAX_SETTINGS - pool->n_settings, home);
	int			mutes = places(overrides->n_mutes, DBOPS_MOST_MUTES, MAX_MUTES - pool->n_mutes, home);

	for (int i = 0; i < settings; i++)
		pool->settings[pool->n_settings++] =
			(SharedSetting) {.database = database, .setting = overrides->settings[i]};
	for (int i = 0; i < mutes; i++)
		pool->mutes[pool->n_mutes++] =
			(SharedMute) {.database = database, .mute = overrides->mutes[i]};
	return settings == overrides->n_settings && mutes == overrides->n_mutes;
}

/* How many of so many get a place, of those that are free; one share is kept for the home database. */
static int
places(int n, int share, int n_free, bool home)
{
	return Max(0, Min(Min(n, share), home ? n_free : n_free - share));
}
