/*
 * check_override.c
 *		What users changed of checks, and muted of what they find.
 *
 * It is in two tables of each database, and for processes that are not
 * connected there in shared memory, when dbops is preloaded: one pool for all
 * databases, since few of them change much. A database whose rows do not fit
 * has its sessions read the tables each time, and the launcher knows as much as
 * fits.
 *
 * Who changes the tables publishes all that they hold, seen with what it has
 * done itself, when its transaction commits. Until then it has a lock that
 * other changers wait for, so that what is published last is what was committed
 * last. A session that finds nothing published reads the tables and publishes
 * them, unless somebody else has meanwhile. A standby hears of no commit and
 * reads again after a moment.
 *
 * The tables are read as they are, without a query and waiting for no lock: who
 * has locked them makes the last that was published count.
 */
#include "core/server.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "commands/trigger.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#define MAX_DATABASES	512		/* whose tables are known; the one read longest ago gives way */
#define MAX_SETTINGS	1024	/* of all databases */
#define MAX_MUTES		2048	/* likewise */
#define READ_AGAIN		10		/* s, on a standby */

PG_FUNCTION_INFO_V1(dbops_publish_overrides);

typedef struct KnownDatabase
{
	Oid			oid;			/* InvalidOid: free */
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
	KnownDatabase databases[MAX_DATABASES];
	int			n_settings;
	int			n_mutes;
	SharedSetting settings[MAX_SETTINGS];
	SharedMute	mutes[MAX_MUTES];
} Pool;

static Pool *pool = NULL;		/* NULL: not preloaded */
static LWLock *pool_lock = NULL;

/* The transaction that has changed the tables, which others do not see yet. */
static FullTransactionId changed_by = {0};

static void refresh(void *arg);

typedef void (*RowReader) (HeapTuple row, TupleDesc desc, DbopsOverrides *overrides);

static const DbopsUpkeep upkeep = {
	.name = "check settings",
	.every = 60000,
	.elsewhere = 600000,
	.run = refresh
};

static bool recall(const DbopsCheckScope *scope, DbopsOverrides *overrides);
static KnownDatabase *find_database(Oid database);
static void copy_rows(Oid database, DbopsOverrides *overrides);
static bool read_tables(DbopsOverrides *overrides);
static bool read_table(const char *name, RowReader each, DbopsOverrides *overrides);
static void take_setting(HeapTuple row, TupleDesc desc, DbopsOverrides *overrides);
static void take_mute(HeapTuple row, TupleDesc desc, DbopsOverrides *overrides);
static uint64 generation(void);
static void publish(const DbopsOverrides *overrides);
static void publish_unless_changed(const DbopsOverrides *overrides, uint64 seen);
static void publish_at_commit(void *overrides);
static KnownDatabase *take_database(Oid database);
static void remove_rows(Oid database);
static void add_rows(KnownDatabase *known, const DbopsOverrides *overrides);
static uint64 hash_key(const char *key);

/* Ask for the shared memory. */
void
dbops_override_init(void)
{
	dbops_shared_request("dbops check overrides", sizeof(Pool), NULL,
						 (void **) &pool, &pool_lock);
	dbops_upkeep_register(&upkeep);
}

/* Publish what a restart has forgotten, or what came without a trigger. */
static void
refresh(void *arg)
{
	uint64		seen = generation();
	DbopsOverrides overrides = {0};

	if (read_tables(&overrides))
		publish_unless_changed(&overrides, seen);
}

/* Give what was changed in a database, as far as it can be known here. */
const DbopsOverrides *
dbops_override_read(const DbopsCheckScope *scope)
{
	DbopsOverrides *overrides = palloc0(sizeof(DbopsOverrides));
	uint64		seen;

	if (recall(scope, overrides) || !scope->connected)
		return overrides;

	seen = generation();
	if (!read_tables(overrides))
		copy_rows(scope->database, overrides);
	else
		publish_unless_changed(overrides, seen);
	return overrides;
}

/* Copy what was published; false if the tables are to be read instead. */
static bool
recall(const DbopsCheckScope *scope, DbopsOverrides *overrides)
{
	KnownDatabase *known;
	bool		serves = false;

	if (pool == NULL)
		return false;
	if (scope->connected && FullTransactionIdIsValid(changed_by) &&
		FullTransactionIdEquals(changed_by, GetTopFullTransactionIdIfAny()))
		return false;

	LWLockAcquire(pool_lock, LW_SHARED);
	known = find_database(scope->database);
	serves = known != NULL &&
		!(scope->connected && known->cut) &&
		!(scope->connected && RecoveryInProgress() &&
		  TimestampDifferenceExceeds(known->read_at, GetCurrentTimestamp(), READ_AGAIN * 1000));
	LWLockRelease(pool_lock);
	if (serves)
		copy_rows(scope->database, overrides);
	return serves;
}

/* The lock is held. */
static KnownDatabase *
find_database(Oid database)
{
	for (int i = 0; i < MAX_DATABASES; i++)
		if (OidIsValid(database) && pool->databases[i].oid == database)
			return &pool->databases[i];
	return NULL;
}

static void
copy_rows(Oid database, DbopsOverrides *overrides)
{
	if (pool == NULL)
		return;
	/* Allocated before, since nothing may fail under the lock but what releases it. */
	overrides->settings = palloc(sizeof(DbopsCheckSetting) * MAX_CHECKS);
	overrides->mutes = palloc(sizeof(DbopsMute) * MAX_MUTES);
	LWLockAcquire(pool_lock, LW_SHARED);
	for (int i = 0; i < pool->n_settings; i++)
		if (pool->settings[i].database == database && overrides->n_settings < MAX_CHECKS)
			overrides->settings[overrides->n_settings++] = pool->settings[i].setting;
	for (int i = 0; i < pool->n_mutes; i++)
		if (pool->mutes[i].database == database)
			overrides->mutes[overrides->n_mutes++] = pool->mutes[i].mute;
	LWLockRelease(pool_lock);
}

/* Read the tables of this database; false if somebody has locked one. */
static bool
read_tables(DbopsOverrides *overrides)
{
	return read_table("check_setting", take_setting, overrides) &&
		read_table("muted_finding", take_mute, overrides);
}

/* One that is not there is empty: DROP EXTENSION may be under way. */
static bool
read_table(const char *name, RowReader each, DbopsOverrides *overrides)
{
	Oid			relid = get_relname_relid(name, get_namespace_oid("dbops", true));
	Relation	table;
	Snapshot	snapshot;
	TableScanDesc scan;
	HeapTuple	row;

	if (!OidIsValid(relid))
		return true;
	if (!ConditionalLockRelationOid(relid, AccessShareLock))
		return false;
	table = try_relation_open(relid, NoLock);
	if (table == NULL)
		return true;
	/* Not the statement's: what was committed since then has been published. */
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	scan = table_beginscan(table, snapshot, 0, NULL);
	while ((row = heap_getnext(scan, ForwardScanDirection)) != NULL)
		each(row, RelationGetDescr(table), overrides);
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	relation_close(table, AccessShareLock);
	return true;
}

/* A row of dbops.check_setting; one of a check that this version does not have waits for one that does. */
static void
take_setting(HeapTuple row, TupleDesc desc, DbopsOverrides *overrides)
{
	Datum		values[8];
	bool		nulls[8];
	const DbopsCheck *check;

	for (int i = 0; i < lengthof(values); i++)
		values[i] = heap_getattr(row, i + 1, desc, &nulls[i]);
	check = dbops_check_find(TextDatumGetCString(values[0]));
	if (check == NULL || overrides->n_settings == MAX_CHECKS)
		return;
	if (overrides->settings == NULL)
		overrides->settings = palloc(sizeof(DbopsCheckSetting) * MAX_CHECKS);
	overrides->settings[overrides->n_settings++] = (DbopsCheckSetting)
	{
		.check = dbops_check_number(check),
		.enabled = DatumGetBool(values[1]),
		.warning = nulls[2] ? NAN : DatumGetFloat8(values[2]),
		.critical = nulls[3] ? NAN : DatumGetFloat8(values[3]),
		.guard = nulls[4] ? NAN : DatumGetFloat8(values[4]),
		.duration = nulls[5] ? -1 : DatumGetInt32(values[5]),
		.keep_firing = nulls[6] ? -1 : DatumGetInt32(values[6]),
		.clear = nulls[7] ? NAN : DatumGetFloat8(values[7])
	};
}

/* A row of dbops.muted_finding. */
static void
take_mute(HeapTuple row, TupleDesc desc, DbopsOverrides *overrides)
{
	bool		isnull;
	const char *key = TextDatumGetCString(heap_getattr(row, 1, desc, &isnull));
	TimestampTz until = DatumGetTimestampTz(heap_getattr(row, 2, desc, &isnull));

	overrides->mutes = (overrides->mutes == NULL) ? palloc(sizeof(DbopsMute)) :
		repalloc(overrides->mutes, sizeof(DbopsMute) * (overrides->n_mutes + 1));
	overrides->mutes[overrides->n_mutes++] = (DbopsMute) {.key = hash_key(key), .until = until};
}

/* ---- publishing ---- */

/* Serves the triggers of the two tables: what they hold is known everywhere once this transaction commits. */
Datum
dbops_publish_overrides(PG_FUNCTION_ARGS)
{
	DbopsOverrides *overrides;
	MemoryContext caller;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("publish_overrides must be called as a trigger"),
				 errhint("Call dbops.set_check or dbops.mute_finding.")));

	LockDatabaseObject(NamespaceRelationId, get_namespace_oid("dbops", false), 1, ExclusiveLock);
	changed_by = GetTopFullTransactionId();
	CommandCounterIncrement();
	caller = MemoryContextSwitchTo(TopTransactionContext);
	overrides = palloc0(sizeof(DbopsOverrides));
	if (read_tables(overrides))
		dbops_at_commit(publish_at_commit, overrides);
	MemoryContextSwitchTo(caller);
	return PointerGetDatum(NULL);
}

static void
publish_at_commit(void *overrides)
{
	if (pool == NULL)
		return;
	LWLockAcquire(pool_lock, LW_EXCLUSIVE);
	pool->generation++;
	publish(overrides);
	LWLockRelease(pool_lock);
}

static uint64
generation(void)
{
	uint64		now = 0;

	if (pool == NULL)
		return 0;
	LWLockAcquire(pool_lock, LW_SHARED);
	now = pool->generation;
	LWLockRelease(pool_lock);
	return now;
}

/* Publish what was read, but not what only this transaction sees. */
static void
publish_unless_changed(const DbopsOverrides *overrides, uint64 seen)
{
	if (pool == NULL ||
		(FullTransactionIdIsValid(changed_by) &&
		 FullTransactionIdEquals(changed_by, GetTopFullTransactionIdIfAny())))
		return;
	LWLockAcquire(pool_lock, LW_EXCLUSIVE);
	if (pool->generation == seen)
		publish(overrides);
	LWLockRelease(pool_lock);
}

/* The lock is held. Nothing here may fail. */
static void
publish(const DbopsOverrides *overrides)
{
	KnownDatabase *known = take_database(MyDatabaseId);

	remove_rows(known->oid);
	known->oid = MyDatabaseId;
	known->read_at = GetCurrentTimestamp();
	add_rows(known, overrides);
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

static void
add_rows(KnownDatabase *known, const DbopsOverrides *overrides)
{
	int			settings = Min(overrides->n_settings, MAX_SETTINGS - pool->n_settings);
	int			mutes = Min(overrides->n_mutes, MAX_MUTES - pool->n_mutes);

	for (int i = 0; i < settings; i++)
		pool->settings[pool->n_settings++] =
			(SharedSetting) {.database = known->oid, .setting = overrides->settings[i]};
	for (int i = 0; i < mutes; i++)
		pool->mutes[pool->n_mutes++] =
			(SharedMute) {.database = known->oid, .mute = overrides->mutes[i]};
	known->cut = settings < overrides->n_settings || mutes < overrides->n_mutes;
}

/* ---- what follows from it ---- */

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
	of_key = hash_key(key);
	of_check = hash_key(check_name);
	for (int i = 0; i < overrides->n_mutes; i++)
		if (overrides->mutes[i].key == of_key || overrides->mutes[i].key == of_check)
			until = Max(until, overrides->mutes[i].until);
	return (until > dbops_clock_now()) ? until : 0;
}

static uint64
hash_key(const char *key)
{
	return hash_bytes_extended((const unsigned char *) key, strlen(key), 0);
}
