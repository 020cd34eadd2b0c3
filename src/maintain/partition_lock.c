/*
 * partition_lock.c
 *		Locks for which nobody has to wait long.
 *
 * Who waits for an AccessExclusiveLock keeps everybody waiting who comes later.
 * So the locks are tried for without waiting, parent first as readers take
 * them, and only on the first of them is there a short wait, when nobody has it
 * who has had it for long: such a wait would be in vain for us and not for those
 * behind us. What cannot be had now is tried again in a later step, which begins
 * with nothing locked.
 */
#include "maintain/partition.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "common/pg_prng.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/timeout.h"

#define TRIES			20		/* without waiting, before there is a wait */
#define NAP				5L		/* ms between two of them, at most */
#define LONG_HELD		"1 second"	/* who has held a lock for so long will go on to */
#define SHORTEST_PAUSE	100
#define LONGEST_PAUSE	600
#define LONGEST_WAIT	600000	/* ms of tries */
#define ANOTHER_SESSION "for a lock that another session had"

/* A relation to be waited for. */
typedef struct LockTry
{
	Oid			relid;
	int			mode;
} LockTry;

/* DDL on its way. */
typedef struct Ddl
{
	Oid			role;
	const char *sql;
} Ddl;

static bool lock_at_once(const Oid *relations, int n_relations, int mode, Oid *met);
static void unlock(const Oid *relations, int n_relations, int mode);
static bool lock_rest(const Oid *relations, int n_relations, int mode, Oid *met);
static bool wait_for_first(Oid relid, int mode);
static void lock_one(void *arg);
static const char *holder_of(Oid relid, bool for_long);
static void nap(void);
static void take_relation(HeapTuple row, TupleDesc desc, void *arg);
static void run_as_role(void *arg);
static void run_sql(void *arg);
static void cancel(void);
static bool end_limit(void);

static TimeoutId limit_timer = MAX_TIMEOUTS;	/* until it is registered */

/* Lock relations in this order, or none of them. */
bool
dbops_partition_lock(const Oid *relations, int n_relations, int mode, const char **why)
{
	Oid			met = InvalidOid;

	for (int i = 0; i < TRIES; i++)
	{
		if (lock_at_once(relations, n_relations, mode, &met))
			return true;
		nap();
	}
	*why = holder_of(relations[0], true);
	if (*why == NULL && wait_for_first(relations[0], mode))
	{
		if (lock_rest(relations, n_relations, mode, &met))
			return true;
		unlock(relations, 1, mode);
	}
	if (*why == NULL)
		*why = holder_of(met, false);
	return false;
}

static bool
lock_at_once(const Oid *relations, int n_relations, int mode, Oid *met)
{
	for (int i = 0; i < n_relations; i++)
		if (OidIsValid(relations[i]) && !ConditionalLockRelationOid(relations[i], mode))
		{
			*met = relations[i];
			unlock(relations, i, mode);
			return false;
		}
	return true;
}

static void
unlock(const Oid *relations, int n_relations, int mode)
{
	for (int i = n_relations - 1; i >= 0; i--)
		if (OidIsValid(relations[i]))
			UnlockRelationOid(relations[i], mode);
}

void
dbops_partition_unlock(const PartitionSet *set, int mode)
{
	Oid			relations[] = {set->parent, set->default_partition != NULL ? set->default_partition->relid : InvalidOid};

	unlock(relations, lengthof(relations), mode);
}

/* With the first one locked, nobody comes to the others by way of it. */
static bool
lock_rest(const Oid *relations, int n_relations, int mode, Oid *met)
{
	for (int i = 0; i < PARTITION_LOCK_WAIT / NAP / 2; i++)
	{
		if (lock_at_once(relations + 1, n_relations - 1, mode, met))
			return true;
		nap();
	}
	return false;
}

/* Queue for the first, for a moment. */
static bool
wait_for_first(Oid relid, int mode)
{
	LockTry		first = {.relid = relid,.mode = mode};
	const char *why;

	return dbops_partition_try(lock_one, &first, &why);
}

static void
lock_one(void *arg)
{
	const LockTry *lock = arg;

	LockRelationOid(lock->relid, lock->mode);
}

/*
 * Say who has a lock on a relation, the one whose transaction is the oldest;
 * NULL: nobody has, or nobody has had it for long. Times of others are shown to
 * the extension's owner only, and this shows no more than that.
 */
static const char *
holder_of(Oid relid, bool for_long)
{
	DbopsParam	params[] = {dbops_param_oid(relid), dbops_param_bool(for_long)};
	const char *holder;

	holder = dbops_store_text("SELECT format('for a lock on %s, which %s has in a transaction since %s',"
					 " $1::regclass, coalesce('process ' || l.pid, 'a prepared transaction'),"
					 " coalesce(a.xact_start::timestamptz(0)::text, 'a time that is not shown'))"
					 " FROM pg_locks l LEFT JOIN pg_stat_get_activity(NULL) a ON a.pid = l.pid"
					 " WHERE l.locktype = 'relation' AND l.relation = $1 AND l.granted AND l.pid IS DISTINCT FROM pg_backend_pid()"
					 " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
					 " AND (NOT $2 OR l.pid IS NULL OR a.xact_start < clock_timestamp() - interval '" LONG_HELD "')"
					 " ORDER BY a.xact_start NULLS LAST LIMIT 1",
							  lengthof(params), params);
	if (holder == NULL && !for_long)
		holder = ANOTHER_SESSION;
	return holder;
}

static void
nap(void)
{
	CHECK_FOR_INTERRUPTS();
	pg_usleep((long) (pg_prng_double(&pg_global_prng_state) * NAP * 1000));
}

/* Have the step wait, with nothing locked, before the next try. */
void
dbops_partition_wait(DbopsStep *step, const char *why)
{
	step->pause = SHORTEST_PAUSE + (long) (pg_prng_double(&pg_global_prng_state) * (LONGEST_PAUSE - SHORTEST_PAUSE));
	step->waiting = why;
}

/* Who had the lock may have given the name to another table. */
bool
dbops_partition_is_named(Oid relid, const char *schema, const char *relname, const char **why)
{
	Oid			namespace = get_namespace_oid(schema, true);

	if (OidIsValid(namespace) && get_relname_relid(relname, namespace) == relid)
		return true;
	*why = "to look again, as another session has renamed or dropped it";
	return false;
}

/*
 * Lock what the foreign keys of tables refer to, and what refers to them, in the
 * order of their OIDs: the server locks that as well when one is attached,
 * detached or dropped.
 */
bool
dbops_partition_lock_referenced(const List *tables, int mode, const char **why)
{
	List	   *others = NIL;
	ListCell   *cell;

	foreach(cell, tables)
	{
		DbopsParam	param = dbops_param_oid(lfirst_oid(cell));

		dbops_query_each("SELECT DISTINCT CASE conrelid WHEN $1 THEN confrelid ELSE conrelid END FROM pg_constraint"
						 " WHERE contype = 'f' AND $1 IN (conrelid, confrelid) AND conrelid <> confrelid",
						 1, &param, take_relation, &others);
	}
	list_sort(others, list_oid_cmp);
	foreach(cell, others)
	{
		Oid			relid = lfirst_oid(cell);

		if (!dbops_partition_lock(&relid, 1, mode, why))
			return false;
	}
	return true;
}

static void
take_relation(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **relations = arg;

	*relations = list_append_unique_oid(*relations, dbops_row_oid(row, desc, 1));
}

/* Has it gone on for longer than anything may? The first question begins the count. */
bool
dbops_partition_waited_long(TimestampTz *since)
{
	TimestampTz now = GetCurrentTimestamp();

	if (*since == 0)
		*since = now;
	return TimestampDifferenceExceeds(*since, now, LONGEST_WAIT);
}

/* Run DDL as a role, all or nothing; false: it has met a lock. */
bool
dbops_partition_ddl(Oid role, const char *sql, const char **why)
{
	Ddl			ddl = {.role = role,.sql = sql};

	return dbops_partition_try(run_as_role, &ddl, why);
}

static void
run_as_role(void *arg)
{
	Ddl		   *ddl = arg;

	dbops_run_as(ddl->role, run_sql, ddl);
}

static void
run_sql(void *arg)
{
	dbops_query_command(((Ddl *) arg)->sql);
}

/* Run it on a table that is locked first. */
bool
dbops_partition_alter(Oid table, Oid role, int mode, const char *sql, const char **why)
{
	return dbops_partition_lock(&table, 1, mode, why) && dbops_partition_ddl(role, sql, why);
}

/* Call back, all or nothing; false: it has met a lock. */
bool
dbops_partition_try(DbopsCallback callback, void *arg, const char **why)
{
	ErrorData  *error;

	if (dbops_partition_attempt(callback, arg, &error))
		return true;
	if (!dbops_partition_met_lock(error))
		ReThrowError(error);
	*why = ANOTHER_SESSION;
	return false;
}

/* Call back with no lock waited for longer than anybody may wait behind us. */
bool
dbops_partition_attempt(DbopsCallback callback, void *arg, ErrorData **error)
{
	int			nest_level = NewGUCNestLevel();
	bool		done;

	dbops_set_nested("lock_timeout", psprintf("%d", PARTITION_LOCK_WAIT));
	done = dbops_attempt(callback, arg, error);
	AtEOXact_GUC(false, nest_level);
	return done;
}

/* Call back, and cancel it as a user would when it takes longer than it may; then the limit's error is raised. */
void
dbops_partition_within(const PartitionLimit *limit, DbopsCallback callback, void *arg)
{
	if (limit_timer == MAX_TIMEOUTS)
		limit_timer = RegisterTimeout(USER_TIMEOUT, cancel);
	if (limit->ms > 0)
		enable_timeout_after(limit_timer, (int) Min(limit->ms, PG_INT32_MAX));
	PG_TRY();
	{
		callback(arg);
	}
	PG_CATCH();
	{
		if (end_limit() && geterrcode() == ERRCODE_QUERY_CANCELED)
			ereport(ERROR,
					(errcode(limit->sqlerrcode),
					 errmsg("%s", limit->message),
					 limit->hint != NULL ? errhint("%s", limit->hint) : 0));
		PG_RE_THROW();
	}
	PG_END_TRY();
	if (end_limit())
		QueryCancelPending = false; /* it was done just then */
}

/* Runs in the handler of a signal. */
static void
cancel(void)
{
	InterruptPending = true;
	QueryCancelPending = true;
	SetLatch(MyLatch);
}

/* True: it was reached. */
static bool
end_limit(void)
{
	disable_timeout(limit_timer, true);
	return get_timeout_indicator(limit_timer, true);
}

/* Is it an error that passes when another session gives its lock back? */
bool
dbops_partition_met_lock(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ||
		error->sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED;
}
