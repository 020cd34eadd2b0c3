/*
 * online_lock.c
 *		How a step of a change gets its locks: without making others wait.
 *
 * Whoever waits for a lock that keeps others out has all of them wait behind it.
 * So a step looks first who holds the table: behind a transaction that is not
 * new it does not queue at all, behind others only for lock_timeout. Autovacuum
 * gives way to who waits for it for deadlock_timeout, so that is asked for by a
 * lock which keeps neither readers nor writers out, before the one that does. A
 * step that has not got all its locks gives back those that it has, waits for a
 * time that differs each time, and tries again, until max_wait is over.
 */
#include "change/online.h"

#include "change/migration.h"
#include "core/server.h"
#include "core/sql.h"

#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#define LOOKS			5		/* for a moment in which nobody holds it, before one queues */
#define NAP				10		/* ms between two looks */
#define NEW_TRANSACTION	1000	/* ms; behind an older one nobody queues */

static bool is_of_one_table(Node *statement, Oid relid);
static List *add_tables(List *targets, const MigrationTarget *target, bool all);
static List *add_target(List *targets, const MigrationTarget *target);
static int	by_oid(const ListCell *a, const ListCell *b);
static void lock_all(List *targets, long lock_timeout);
static void have_autovacuum_leave(Oid relid);
static bool lock_at_once(const MigrationTarget *target, int looks);
static void refuse_old_holder(const MigrationTarget *target);
static bool is_old_transaction(const LOCKTAG *tag, LOCKMODE mode);
static void wait_in_queue(Oid relid, LOCKMODE mode, long ms);
static void raise_failure(const OnlineWork *work);

/*
 * Lock all that statements will, for the transaction, in one order. An error
 * that says whose lock was met is raised where that is not to be had now.
 */
void
dbops_online_lock_tables(List *statements, long lock_timeout)
{
	List	   *targets = dbops_online_targets(statements, ShareLock);	/* such as keep others out */
	ListCell   *cell;

	list_sort(targets, by_oid);
	foreach(cell, targets)
		have_autovacuum_leave(((const MigrationTarget *) lfirst(cell))->relid);
	lock_all(targets, lock_timeout);
}

/* One that leaves out what is below the table. */
static bool
is_of_one_table(Node *statement, Oid relid)
{
	if (IsA(statement, AlterTableStmt))
		return ((AlterTableStmt *) statement)->objtype == OBJECT_INDEX;
	if (IsA(statement, SelectStmt))
		return true;
	return IsA(statement, IndexStmt) &&
		(!((IndexStmt *) statement)->relation->inh || get_rel_relkind(relid) != RELKIND_PARTITIONED_TABLE);
}

/* A table, and those below it. */
static List *
add_tables(List *targets, const MigrationTarget *target, bool all)
{
	MigrationTarget each = *target;
	ListCell   *cell;

	if (!all)
		return add_target(targets, target);
	foreach(cell, find_all_inheritors(target->relid, NoLock, NULL))
	{
		each.relid = lfirst_oid(cell);
		targets = add_target(targets, &each);
	}
	return targets;
}

/* What statements lock that is there, in a mode or a stronger one, each relation once with the strongest (of MigrationTarget *). */
List *
dbops_online_targets(List *statements, LOCKMODE least)
{
	List	   *targets = NIL;
	ListCell   *cell;
	ListCell   *inner;

	foreach(cell, statements)
	{
		Node	   *statement = lfirst_node(RawStmt, cell)->stmt;

		foreach(inner, dbops_migration_targets(statement))
		{
			const MigrationTarget *target = lfirst(inner);

			if (target->mode >= least)
				targets = add_tables(targets, target, !is_of_one_table(statement, target->relid));
		}
	}
	return targets;
}

static List *
add_target(List *targets, const MigrationTarget *target)
{
	MigrationTarget *copy;
	ListCell   *cell;

	foreach(cell, targets)
	{
		copy = lfirst(cell);
		if (copy->relid != target->relid)
			continue;
		copy->mode = Max(copy->mode, target->mode);
		return targets;
	}
	copy = palloc(sizeof(MigrationTarget));
	*copy = *target;
	return lappend(targets, copy);
}

static int
by_oid(const ListCell *a, const ListCell *b)
{
	Oid			first = ((const MigrationTarget *) lfirst(a))->relid;
	Oid			second = ((const MigrationTarget *) lfirst(b))->relid;

	return (first > second) - (first < second);
}

/* Behind each of these locks others wait from now on: the time for all of them together is bounded. */
static void
lock_all(List *targets, long lock_timeout)
{
	TimestampTz begin = 0;
	ListCell   *cell;

	foreach(cell, targets)
	{
		const MigrationTarget *target = lfirst(cell);
		long		left = lock_timeout;

		if (begin != 0)
			left -= TimestampDifferenceMilliseconds(begin, GetCurrentTimestamp());
		if (!lock_at_once(target, begin == 0 ? LOOKS : 1))
		{
			refuse_old_holder(target);
			/* Who has it in use, and wants a lock that waits for this one, would be in a deadlock with who queues behind him. */
			UnlockRelationOid(target->relid, ShareUpdateExclusiveLock);
			wait_in_queue(target->relid, target->mode, left);
		}
		if (begin == 0)
			begin = GetCurrentTimestamp();
	}
}

/* From now on autovacuum leaves the table alone. */
static void
have_autovacuum_leave(Oid relid)
{
	if (!ConditionalLockRelationOid(relid, ShareUpdateExclusiveLock))
		wait_in_queue(relid, ShareUpdateExclusiveLock, DBOPS_TABLE_PATIENCE);
}

static bool
lock_at_once(const MigrationTarget *target, int looks)
{
	for (int look = 1;; look++)
	{
		if (ConditionalLockRelationOid(target->relid, target->mode))
			return true;
		if (look >= looks)
			return false;
		dbops_clock_wait(NAP);
	}
}

static void
refuse_old_holder(const MigrationTarget *target)
{
	LOCKTAG		tag;
	char	   *holder;

	SET_LOCKTAG_RELATION(tag, MyDatabaseId, target->relid);
	if (!is_old_transaction(&tag, target->mode))
		return;
	holder = dbops_blocker(&tag, target->mode);
	ereport(ERROR,
			(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
			 errmsg("%s is locked by a transaction that is older than %d s",
					dbops_quote_relation(target->relid), NEW_TRANSACTION / 1000),
			 holder != NULL ? errdetail_internal("%s", holder) : 0));
}

/* Does one hold it who has been at work for some time, or a prepared transaction? What others do the table's owner may not see himself. */
static bool
is_old_transaction(const LOCKTAG *tag, LOCKMODE mode)
{
	int			count;
	VirtualTransactionId *holders = GetLockConflicts(tag, mode, &count);
	List	   *pids = NIL;
	DbopsParam	params[2];
	Datum		old;

	for (int i = 0; i < count; i++)
	{
		PGPROC	   *proc = vxid_process(holders[i]);

		if (proc == NULL || proc->pid == 0)
			return true;
		pids = lappend_oid(pids, (Oid) proc->pid);
	}
	params[0] = dbops_param_oids(pids);
	params[1] = dbops_param_int4(NEW_TRANSACTION);
	pgstat_clear_backend_activity_snapshot();
	return dbops_store_value("SELECT true FROM pg_stat_get_activity(NULL) WHERE pid::oid = ANY ($1)"
							 " AND clock_timestamp() > xact_start + $2 * interval '1 ms' LIMIT 1",
							 lengthof(params), params, BOOLOID, &old);
}

static void
wait_in_queue(Oid relid, LOCKMODE mode, long ms)
{
	int			nest_level = NewGUCNestLevel();

	dbops_set_nested("lock_timeout", psprintf("%ld", Max(ms, 1)));
	LockRelationOid(relid, mode);
	AtEOXact_GUC(false, nest_level);
}

/* ---- to try, and to wait ---- */

/*
 * Do a part of the step that may meet a lock; false if it has, and then it is
 * undone and to be tried again with the next step.
 */
bool
dbops_online_try(OnlineWork *work, DbopsStep *step, long lock_timeout,
				 DbopsCallback attempt, void *arg)
{
	int			nest_level = NewGUCNestLevel();
	ErrorData  *error;
	char	   *blocker;
	bool		done;

	dbops_set_nested("search_path", work->job->path);
	dbops_set_nested("lock_timeout", psprintf("%ld", lock_timeout));
	dbops_blocker_watch(lock_timeout);
	done = dbops_attempt(attempt, arg, &error);
	blocker = dbops_blocker_watched();
	AtEOXact_GUC(false, nest_level);
	if (!done && !dbops_migration_met_a_lock(error->sqlerrcode))
		ReThrowError(error);
	if (!done)
		dbops_online_wait(work, step, error, blocker);
	return done;
}

/* Wait, holding nothing, before the next try; or give up. */
void
dbops_online_wait(OnlineWork *work, DbopsStep *step, const ErrorData *error, const char *blocker)
{
	const char *reason = (blocker != NULL) ? blocker : (error->detail != NULL) ? error->detail : error->message;
	double		waited = dbops_lock_wait_lasts(&work->wait);

	if (waited >= work->plan->max_wait && work->failure != NULL)
		raise_failure(work);
	if (waited >= work->plan->max_wait)
		ereport(ERROR,
				(errcode(error->sqlerrcode),
				 errmsg("%s of %s has met a lock of another session, again and again",
						work->plan->call, work->plan->name),
				 errdetail_internal("%s", reason),
				 errhint("Make the same call again when that has ended, or with a longer max_wait; what was done stays.")));
	if (dbops_lock_wait_again(&work->wait, step, reason) && work->job->foreground)
		ereport(NOTICE,
				(errmsg("%s of %s waits for a lock of another session, with none of its own",
						work->plan->call, work->plan->name),
				 errdetail_internal("%s", reason)));
}

/* What is to be taken away after a failure stays, as others hold the table; the failure is the error all the same. */
static void
raise_failure(const OnlineWork *work)
{
	ErrorData  *error = work->failure;
	const char *otherwise = dbops_online_next(work)->otherwise;

	if (otherwise != NULL)
		error->hint = psprintf("Others hold the table, so that this is left to be done: %s;", otherwise);
	ReThrowError(error);
}
