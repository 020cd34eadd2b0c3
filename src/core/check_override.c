/*
 * check_override.c
 *		What users changed of checks, and muted of what they find.
 *
 * It is in two tables of each database (check_override_table.c), and for
 * processes that are not connected there in shared memory (check_override_pool.c).
 *
 * Who changes the tables publishes all that they hold, seen with what it has
 * done itself, when its transaction commits. Until then it has a lock that
 * other changers wait for, so that what is published last is what was committed
 * last. What was prepared is published at COMMIT PREPARED. A session that finds
 * nothing published reads the tables and publishes them, unless somebody else has
 * meanwhile.
 */
#include "core/check_override.h"

#include "access/transam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(dbops_publish_overrides);

/* The transaction that has changed the tables, which others do not see yet. */
static FullTransactionId changed_by = {0};

typedef struct TableRead
{
	DbopsOverrides overrides;
	bool		done;			/* nobody had locked them */
} TableRead;

static void refresh(void *arg);
static bool try_tables(DbopsOverrides *overrides);
static void read_tables(void *arg);
static void publish_unless_changed(const DbopsOverrides *overrides, uint64 seen);
static bool is_changing(void);
static void judge_anew(void *unused);

static const DbopsUpkeep upkeep = {
	.name = "check settings",
	.every = 60000,
	.elsewhere = 600000,
	.run = refresh,
	.read = refresh
};

/* Ask for the shared memory, and for what keeps it up. */
void
dbops_override_init(void)
{
	dbops_override_pool_init();
	dbops_upkeep_register(&upkeep);
}

/* Publish what a restart has forgotten, or what came without a trigger. */
static void
refresh(void *arg)
{
	uint64		seen = dbops_override_pool_generation();
	DbopsOverrides overrides = {0};

	if (dbops_override_read_tables(&overrides))
		publish_unless_changed(&overrides, seen);
}

/* Publish what a prepared transaction has changed that was committed just now, if it has. */
void
dbops_override_refresh(void)
{
	uint64		seen = dbops_override_pool_generation();
	DbopsOverrides overrides = {0};

	if (try_tables(&overrides))
		publish_unless_changed(&overrides, seen);
}

/* Give what was changed in a database, as far as it can be known here. */
const DbopsOverrides *
dbops_override_read(const DbopsCheckScope *scope)
{
	DbopsOverrides *overrides = palloc0(sizeof(DbopsOverrides));
	uint64		seen;

	if (!(scope->connected && is_changing()) && dbops_override_recall(scope, overrides))
		return overrides;
	if (!scope->connected)
		return overrides;

	seen = dbops_override_pool_generation();
	if (try_tables(overrides))
		publish_unless_changed(overrides, seen);
	else
		dbops_override_copy(scope->database, overrides);
	return overrides;
}

/* Read the tables, unless somebody has locked one of them or a catalog. */
static bool
try_tables(DbopsOverrides *overrides)
{
	TableRead	read = {0};
	ErrorData  *error;

	if (!dbops_attempt(read_tables, &read, &error) || !read.done)
		return false;
	*overrides = read.overrides;
	return true;
}

static void
read_tables(void *arg)
{
	TableRead  *read = arg;

	read->done = dbops_override_read_tables(&read->overrides);
}

/* Publish what was read, but not what only this transaction sees. */
static void
publish_unless_changed(const DbopsOverrides *overrides, uint64 seen)
{
	if (!is_changing())
		dbops_override_publish(overrides, seen);
}

/* Has this transaction changed the tables itself? */
static bool
is_changing(void)
{
	return FullTransactionIdIsValid(changed_by) &&
		FullTransactionIdEquals(changed_by, GetTopFullTransactionIdIfAny());
}

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
	if (dbops_override_read_tables(overrides))
		dbops_at_commit_only(dbops_override_publish_at_commit, overrides, NULL);
	MemoryContextSwitchTo(caller);
	dbops_at_commit(judge_anew, NULL);
	return PointerGetDatum(NULL);
}

/* What was judged in the background is held against other thresholds now. */
static void
judge_anew(void *unused)
{
	dbops_upkeep_request(MyDatabaseId, "checks");
}
