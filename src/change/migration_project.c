/*
 * migration_project.c
 *		One at a time in each project.
 *
 * Who works on a project holds its lock until the transaction ends. That lock
 * is never waited for in the server's queue of locks: a concurrent index build
 * of the holder would wait for the snapshot of who waits, and both for ever. It
 * is tried, with naps in between, and who holds it is told.
 *
 * A job that works on a project does not hold the lock between its steps; its
 * migration is in state running then, and others are refused at once.
 */
#include "change/migration.h"

#include "core/server.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"

#define NAP 50					/* ms between two tries */

/* A migration that others may have to wait for. */
typedef struct Unfinished
{
	const char *version;		/* that the caller is to work on; or NULL */
	const char *project;
} Unfinished;

static LOCKTAG project_lock(const char *project);
static void require_writable(const char *project);
static void require_fresh_snapshots(const char *project);
static bool try_lock(const LOCKTAG *tag);
static void wait_for_lock(const LOCKTAG *tag, const char *project, const char *version, long max_wait);
static long ms_since(instr_time begin);
static void refuse_unfinished(HeapTuple row, TupleDesc desc, void *arg);
static void refuse_running(const Unfinished *unfinished, const char *version, int64 job);
static void refuse_orphan(const Unfinished *unfinished, const char *version, int64 job);
static void refuse_failed(const Unfinished *unfinished, const char *version);

/*
 * Begin to set a project right, at a version of it or at none in particular
 * (NULL): nobody else works on it until the transaction ends, and it is the
 * caller's.
 */
void
dbops_migration_begin(const char *project, const char *version, long max_wait)
{
	dbops_migration_lock_project(project, version, max_wait);
	dbops_migration_require_rights(project);
	dbops_migration_require_idle(project, NULL);
}

/* ---- one at a time ---- */

/*
 * Lock a project until the end of the transaction, to work on a version of it
 * (or on none in particular: NULL). Waits up to max_wait ms for who has it, and
 * says who that is.
 */
void
dbops_migration_lock_project(const char *project, const char *version, long max_wait)
{
	LOCKTAG		tag = project_lock(project);

	require_writable(project);
	require_fresh_snapshots(project);
	if (!try_lock(&tag))
		wait_for_lock(&tag, project, version, max_wait);
}

/*
 * The same without waiting: is nobody at work on it now? Where nothing can be
 * written it is not locked, and what the ledger says holds for that server.
 */
bool
dbops_migration_lock_project_at_once(const char *project)
{
	LOCKTAG		tag = project_lock(project);

	return XactReadOnly || (!IsolationUsesXactSnapshot() && try_lock(&tag));
}

/* Projects that have the same hash only wait for each other. */
static LOCKTAG
project_lock(const char *project)
{
	LOCKTAG		tag;
	Oid			table = get_relname_relid("migration", get_namespace_oid("dbops", false));
	uint32		hash = DatumGetUInt32(hash_any((const unsigned char *) project, strlen(project)));

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, table, hash, 0);
	return tag;
}

/* On a standby the lock itself could not be had. */
static void
require_writable(const char *project)
{
	if (XactReadOnly)
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("project \"%s\" cannot be worked on in a read-only transaction", project),
				 RecoveryInProgress() ?
				 errhint("This server is a standby; connect to its primary.") :
				 errhint("Use another transaction: BEGIN READ WRITE.")));
}

/* The ledger is read when the lock is had, which an older snapshot would not show. */
static void
require_fresh_snapshots(const char *project)
{
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
				 errmsg("project \"%s\" cannot be worked on in a transaction that is %s", project,
						XactIsoLevel == XACT_SERIALIZABLE ? "SERIALIZABLE" : "REPEATABLE READ"),
				 errdetail("It would not see what another session has applied since it began."),
				 errhint("Use READ COMMITTED: SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED;")));
}

static bool
try_lock(const LOCKTAG *tag)
{
	return LockAcquire(tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

static void
wait_for_lock(const LOCKTAG *tag, const char *project, const char *version, long max_wait)
{
	const char *holder = dbops_blocker(tag, ExclusiveLock);
	instr_time	begin;

	ereport(NOTICE,
			(version == NULL ?
			 errmsg("another session works on project \"%s\"; waiting for it", project) :
			 errmsg("migration \"%s\" waits for another session that works on project \"%s\"", version, project),
			 holder != NULL ? errdetail_internal("%s", holder) : 0));
	INSTR_TIME_SET_CURRENT(begin);
	do
	{
		if (ms_since(begin) >= max_wait)
		{
			holder = dbops_blocker(tag, ExclusiveLock);
			ereport(ERROR,
					(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					 errmsg("another session works on project \"%s\"", project),
					 holder != NULL ? errdetail_internal("%s", holder) : 0,
					 errhint("Call again when its transaction has ended, or with a longer max_wait.")));
		}
		dbops_clock_wait(NAP);
	} while (!try_lock(tag));
}

static long
ms_since(instr_time begin)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, begin);
	return (long) INSTR_TIME_GET_MILLISEC(now);
}

/*
 * Refuse to work on a version, or on none in particular (NULL), while a job
 * works on the project, or while an earlier version of it is done in part. The
 * project is locked.
 */
void
dbops_migration_require_idle(const char *project, const char *version)
{
	Unfinished	unfinished = {.version = version,.project = project};
	DbopsParam	params[] = {dbops_param_text(project)};

	dbops_store_each_kept("SELECT version, state, job_id FROM dbops.migration"
						  " WHERE project = $1 AND state IN ('running', 'failed') ORDER BY state DESC",
						  lengthof(params), params, refuse_unfinished, &unfinished);
}

static void
refuse_unfinished(HeapTuple row, TupleDesc desc, void *arg)
{
	const Unfinished *unfinished = arg;
	const char *version = dbops_row_text(row, desc, 1);

	if (strcmp(dbops_row_text(row, desc, 2), "running") == 0)
	{
		int64		job = dbops_row_int8(row, desc, 3);

		dbops_migration_refuse_own_job(unfinished->project, version, job);
		if (dbops_migration_job_is_live(job))
			refuse_running(unfinished, version, job);
		if (unfinished->version == NULL || strcmp(version, unfinished->version) != 0)
			refuse_orphan(unfinished, version, job);
	}
	if (unfinished->version != NULL && dbops_version_compare(version, unfinished->version) < 0)
		refuse_failed(unfinished, version);
}

/*
 * Refuse what a migration in steps asks of its own project: it would have to
 * end first, so that to try again, which its job does after other errors of
 * this kind, is in vain.
 */
void
dbops_migration_refuse_own_job(const char *project, const char *version, int64 job)
{
	if (dbops_migration_job_is_own(job))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("migration \"%s\" works on project \"%s\" in steps, so it cannot change the ledger of that project itself",
						version, project),
				 errhint("Make what it calls a migration of its own, or have it call that for another project.")));
}

static void
refuse_running(const Unfinished *unfinished, const char *version, int64 job)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("job " INT64_FORMAT " works on migration \"%s\" of project \"%s\"",
					job, version, unfinished->project),
			 errhint("Wait for it: CALL dbops.wait_job(" INT64_FORMAT ");", job)));
}

static void
refuse_orphan(const Unfinished *unfinished, const char *version, int64 job)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("migration \"%s\" of project \"%s\" is done in part, and job " INT64_FORMAT ", which did it, is not there any more",
					version, unfinished->project, job),
			 errhint("Apply \"%s\" again to go on with it; or finish it by hand, or take it back, and say so with dbops.resolve_migration(). dbops.migration_step has the steps that are done.",
					 version)));
}

/*
 * Is the job of a running migration still there? It is not after a restore
 * elsewhere, where another one may have its id by now.
 */
bool
dbops_migration_job_is_live(int64 job)
{
	DbopsParam	params[] = {dbops_param_int8(job)};
	Datum		live;

	return dbops_store_value("SELECT true FROM dbops.job j JOIN dbops.migration m ON m.job_id = j.id"
							 " WHERE j.id = $1 AND j.kind = 'migration' AND j.finished_at IS NULL"
							 " AND j.spec ->> 'project' = m.project AND j.spec ->> 'version' = m.version",
							 lengthof(params), params, BOOLOID, &live);
}

static void
refuse_failed(const Unfinished *unfinished, const char *version)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("migration \"%s\" of project \"%s\" comes before \"%s\" and is done only in part",
					version, unfinished->project, unfinished->version),
			 errhint("Apply \"%s\" again to go on with it, or SELECT * FROM dbops.rollback_migration('%s', '%s'), or dbops.resolve_migration().",
					 version, version, unfinished->project)));
}
