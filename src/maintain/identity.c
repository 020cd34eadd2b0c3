/*
 * identity.c
 *		Is this the database that the jobs are meant for?
 *
 * A copy of a database has the jobs of its original, and must not send its
 * mails or delete its files a second time. So dbops records which database it
 * was set up in, and runs nothing where something else is recorded: after
 * CREATE DATABASE ... TEMPLATE, a logical restore, which brings the row of the
 * original beside the one of the installation (there is no unique key, so that
 * it can), and pg_upgrade.
 *
 * A copy of the whole server has the same identifiers. One that was recovered
 * to a target says so in the history of its timeline, and one that was started
 * from a base backup keeps the label of that; one that was promoted without a
 * target cannot be told from a failover, so dbops.on_promotion decides.
 *
 * Jobs and schedules are what a copy must not have twice. It is watched as any
 * other database: that no job runs in it is itself something to be told.
 *
 * Health asks too, and waits for nobody's lock.
 */
#include "maintain/maintain.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "core/server.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* What the server writes into a history when it was promoted without a target. */
#define PROMOTED	"no recovery target specified"

/* Columns of dbops.instance. */
#define INSTANCE_SYSTEM		1
#define INSTANCE_DATABASE	2
#define INSTANCE_TIMELINE	3
#define INSTANCE_ADOPTED	4

/* The latest of what is recorded. */
typedef struct Recorded
{
	TimeLineID	timeline;		/* 0: nothing is */
	TimestampTz adopted;
} Recorded;

PG_FUNCTION_INFO_V1(dbops_adopt_database);

static void record_identity(void);
static char *find_version_difference(void);
static int	compare_versions(const char *a, const char *b);
static char *find_quarantine(bool wait);
static char *compare_identity(bool wait, Recorded *recorded);
static char *compare_row(TupleTableSlot *row, Recorded *recorded);
static Relation open_instance(bool wait);
static Oid	find_instance(void);
static char *judge_base_backup(TimestampTz adopted);
static char *judge_timeline(TimeLineID recorded);
static char *find_recovery_target(TimeLineID since, TimeLineID present);
static char *read_reason(char *line, TimeLineID *parent);
static const void *look(const DbopsCheckScope *scope);
static void judge_identity(const void *facts, DbopsCheckRun *run);
static void judge_workers(const void *facts, DbopsCheckRun *run);
static void report_stopped(DbopsCheckRun *run, const char *message, const char *remedy);
static void report_info(DbopsCheckRun *run, const char *message, const char *remedy);

static const DbopsCheck checks[] = {
	{
		.name = "jobs.quarantine",
		.about = "whether jobs stand still, because this is not the database that dbops was set up in",
		.judge = judge_identity,
		.threshold = {
			.unit = "count", .warning = DBOPS_NO_THRESHOLD, .critical = 0, .source = "dbops: what a copy would do twice"
		}
	},
	{
		.name = "jobs.workers",
		.about = "whether something keeps all jobs from running in the background",
		.judge = judge_workers,
		.threshold = {
			.unit = "count", .warning = 0, .critical = DBOPS_NO_THRESHOLD, .source = "pg_cron's and pg_timetable's manuals"
		}
	}
};

static const DbopsCheckSet check_set = {
	.look = look,
	.checks = checks,
	.n_checks = lengthof(checks)
};

/* Register the health checks. */
void
dbops_identity_init(void)
{
	dbops_check_register(&check_set);
}

/*
 * adopt_database() → void
 *
 * Installing dbops calls it too. Whoever adopts a copy says that the jobs in it
 * are to run here.
 */
Datum
dbops_adopt_database(PG_FUNCTION_ARGS)
{
	dbops_store_each("DELETE FROM dbops.instance", 0, NULL, NULL, NULL);
	record_identity();
	dbops_at_commit(dbops_engine_wake_at_commit, NULL);
	PG_RETURN_VOID();
}

static void
record_identity(void)
{
	DbopsParam	params[] = {
		dbops_param_int8((int64) GetSystemIdentifier()),
		dbops_param_oid(MyDatabaseId),
		dbops_param_int8(GetWALInsertionTimeLine()),
		dbops_param_time(dbops_clock_now()),
		dbops_param_text(GetUserNameFromId(GetUserId(), false))
	};

	dbops_store_each("INSERT INTO dbops.instance (system_identifier, database_oid, timeline, adopted_at, adopted_by)"
					 " VALUES ($1, $2, $3, $4, $5)",
					 lengthof(params), params, NULL, NULL);
}

/* Say why nothing is done here in the background; NULL: what only looks may run. */
char *
dbops_background_refusal(void)
{
	if (!dbops_enabled)
		return pstrdup("dbops.enabled is off");
	return find_version_difference();
}

/* Say why this database runs no job; NULL: it may. */
char *
dbops_identity_refusal(void)
{
	char	   *why = dbops_background_refusal();

	if (why != NULL)
		return why;
	why = find_quarantine(true);
	if (why != NULL)
		return psprintf("quarantined: %s; SELECT dbops.adopt_database() lets its jobs run here", why);
	return NULL;
}

/*
 * Take note of a timeline that jobs may go on in, for the scheduler: what
 * dbops.on_promotion is set to later says nothing about it.
 */
void
dbops_identity_follow(void)
{
	Recorded	recorded;
	DbopsParam	param = dbops_param_int8(GetWALInsertionTimeLine());

	if (compare_identity(true, &recorded) == NULL && recorded.timeline < GetWALInsertionTimeLine())
		dbops_store_each("UPDATE dbops.instance SET timeline = $1", 1, &param, NULL, NULL);
}

/* ---- versions ---- */

/* Say that the library does not fit what is installed here; NULL: it does. */
static char *
find_version_difference(void)
{
	DbopsExtension extension = dbops_extension_find("dbops");
	int			order;

	if (extension.hidden)
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("pg_extension is locked"),
				 errhint("Look again later.")));
	if (extension.version == NULL)
		return pstrdup("dbops is not installed in this database");
	order = compare_versions(DBOPS_VERSION, extension.version);
	if (order == 0)
		return NULL;
	if (order > 0)
		return psprintf("the library is version %s, and dbops in this database is %s: ALTER EXTENSION dbops UPDATE",
						DBOPS_VERSION, extension.version);
	return psprintf("dbops in this database is version %s, and the library is %s: install that of %s and restart the server",
					extension.version, DBOPS_VERSION, extension.version);
}

/* Number by number; what is no number, such as a suffix, as text. */
static int
compare_versions(const char *a, const char *b)
{
	while (*a != '\0' && *b != '\0')
	{
		char	   *after_a;
		char	   *after_b;
		long		left = strtol(a, &after_a, 10);
		long		right = strtol(b, &after_b, 10);

		if (after_a == a || after_b == b)
			return strcmp(a, b);
		if (left != right)
			return (left > right) ? 1 : -1;
		a = after_a + (*after_a == '.');
		b = after_b + (*after_b == '.');
	}
	return strcmp(a, b);
}

/* ---- quarantine ---- */

/* Say why this cannot be the database that the jobs are meant for; NULL: it can. */
static char *
find_quarantine(bool wait)
{
	Recorded	recorded;
	char	   *why = compare_identity(wait, &recorded);

	if (why != NULL || RecoveryInProgress())
		return why;
	why = judge_base_backup(recorded.adopted);
	return (why != NULL) ? why : judge_timeline(recorded.timeline);
}

/* Say which row is about another database; NULL: none is. */
static char *
compare_identity(bool wait, Recorded *recorded)
{
	Relation	instance = open_instance(wait);
	Snapshot	snapshot = RegisterSnapshot(ActiveSnapshotSet() ? GetActiveSnapshot() :
											GetTransactionSnapshot());
	TableScanDesc scan = table_beginscan(instance, snapshot, 0, NULL);
	TupleTableSlot *slot = table_slot_create(instance, NULL);
	char	   *why = NULL;

	*recorded = (Recorded) {0};
	while (why == NULL && table_scan_getnextslot(scan, ForwardScanDirection, slot))
		why = compare_row(slot, recorded);
	ExecDropSingleTupleTableSlot(slot);
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(instance, AccessShareLock);
	if (why == NULL && recorded->timeline == 0)
		return pstrdup("dbops.instance does not say which database this is");
	return why;
}

static char *
compare_row(TupleTableSlot *row, Recorded *recorded)
{
	int64		present = (int64) GetSystemIdentifier();
	bool		isnull;
	int64		system = DatumGetInt64(slot_getattr(row, INSTANCE_SYSTEM, &isnull));
	Oid			database = DatumGetObjectId(slot_getattr(row, INSTANCE_DATABASE, &isnull));
	int64		timeline = DatumGetInt64(slot_getattr(row, INSTANCE_TIMELINE, &isnull));
	TimestampTz adopted = DatumGetTimestampTz(slot_getattr(row, INSTANCE_ADOPTED, &isnull));

	recorded->timeline = Max(recorded->timeline, (TimeLineID) timeline);
	recorded->adopted = Max(recorded->adopted, adopted);
	if (system != present)
		return psprintf("dbops was set up on another server (system identifier " INT64_FORMAT ", and this one's is " INT64_FORMAT ")",
						system, present);
	if (database != MyDatabaseId)
		return psprintf("dbops was set up in another database (OID %u, and this one's is %u)",
						database, MyDatabaseId);
	return NULL;
}

/* Open dbops.instance; without waiting, not if it or pg_class is locked. */
static Relation
open_instance(bool wait)
{
	Oid			relid = InvalidOid;

	if (wait)
	{
		relid = find_instance();
		if (!OidIsValid(relid))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_TABLE),
					 errmsg("dbops.instance is missing"),
					 errhint("DROP EXTENSION dbops and CREATE it again, or restart the server with the library that fits.")));
		return table_open(relid, AccessShareLock);
	}
	if (dbops_catalog_lock(RelationRelationId, ClassNameNspIndexId))
	{
		relid = find_instance();
		dbops_catalog_unlock(RelationRelationId, ClassNameNspIndexId);
	}
	if (!OidIsValid(relid) || !ConditionalLockRelationOid(relid, AccessShareLock))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("dbops.instance is locked"),
				 errhint("Look again later.")));
	return table_open(relid, NoLock);
}

static Oid
find_instance(void)
{
	return get_relname_relid("instance", get_namespace_oid("dbops", false));
}

/* Say that it was started from a base backup of the original. The label tells no fractions of a second. */
static char *
judge_base_backup(TimestampTz adopted)
{
	TimestampTz begun;

	if (!dbops_backup_restored(&begun) || begun + USECS_PER_SEC <= adopted)
		return NULL;
	return psprintf("this server was started from a base backup, begun at %s", timestamptz_to_str(begun));
}

/* Say what began a timeline newer than the recorded one, if that matters. */
static char *
judge_timeline(TimeLineID recorded)
{
	TimeLineID	present = GetWALInsertionTimeLine();
	char	   *why;

	if (present <= recorded)
		return NULL;
	why = find_recovery_target(recorded, present);
	if (why == NULL && dbops_on_promotion == DBOPS_PROMOTION_QUARANTINE)
		why = psprintf("this server was promoted from timeline %u to %u, and dbops.on_promotion is quarantine",
					   recorded, present);
	return why;
}

/*
 * Find a recovery target in the history of the present timeline, at which it or
 * one before it began since the given one. A history that is not there, or ends
 * early, tells of none.
 */
static char *
find_recovery_target(TimeLineID since, TimeLineID present)
{
	char		path[MAXPGPATH];
	char		line[MAXPGPATH];
	char	   *why = NULL;
	FILE	   *file;

	TLHistoryFilePath(path, present);
	file = AllocateFile(path, "r");
	if (file == NULL)
		return NULL;
	while (why == NULL && fgets(line, sizeof(line), file) != NULL)
	{
		TimeLineID	parent;
		const char *reason = read_reason(line, &parent);

		if (reason != NULL && parent >= since && strcmp(reason, PROMOTED) != 0)
			why = psprintf("this server was recovered to a target (it left timeline %u: %s)", parent, reason);
	}
	FreeFile(file);
	return why;
}

/* Read "parent timeline, tab, position, tab, reason"; NULL: not such a line. */
static char *
read_reason(char *line, TimeLineID *parent)
{
	char	   *reason = strrchr(line, '\t');

	if (reason == NULL || sscanf(line, "%u", parent) != 1)
		return NULL;
	reason[strcspn(reason, "\r\n")] = '\0';
	return reason + 1;
}

/* ---- health ---- */

/* The checks look for themselves, so that each can fail alone. */
static const void *
look(const DbopsCheckScope *scope)
{
	return NULL;
}

static void
judge_identity(const void *facts, DbopsCheckRun *run)
{
	char	   *why = find_quarantine(false);

	dbops_check_report_value(run, why == NULL ? 0 : 1, NAN, (DbopsFinding)
							 {
								 .message = why == NULL ? "this is the database that dbops was set up in" :
									 psprintf("no job runs here: %s", why),
								 .remedy = "SELECT dbops.adopt_database(), if the jobs are to run here."
							 });
}

static void
judge_workers(const void *facts, DbopsCheckRun *run)
{
	char	   *difference = find_version_difference();
	bool		alive;
	bool		no_process_slot;

	if (difference != NULL)
	{
		report_stopped(run, psprintf("no job runs here: %s", difference),
					   "Have the library and the extension in this database be of the same version.");
		return;
	}
	if (dbops_engine == NULL)
	{
		report_info(run, "dbops is not preloaded, so nothing runs in the background",
					"Add dbops to shared_preload_libraries and restart the server.");
		return;
	}
	LWLockAcquire(dbops_engine_lock, LW_SHARED);
	alive = (dbops_engine->launcher_pid != 0);
	no_process_slot = dbops_engine->no_process_slot;
	LWLockRelease(dbops_engine_lock);

	if (!dbops_enabled)
		report_info(run, "no job runs here: dbops.enabled is off", "Set dbops.enabled = on, and SELECT pg_reload_conf();");
	else if (!alive)
		report_stopped(run, "the launcher is not running", "See the server's log for why it does not start.");
	else if (no_process_slot)
		report_stopped(run, psprintf("jobs wait for a background process, because all %d are in use", max_worker_processes),
					   "Raise max_worker_processes.");
	else
		dbops_check_report_value(run, 0, NAN, (DbopsFinding) {.message = "the launcher is running"});
}

static void
report_stopped(DbopsCheckRun *run, const char *message, const char *remedy)
{
	dbops_check_report_value(run, 1, NAN, (DbopsFinding) {.message = message,.remedy = remedy});
}

/* What somebody wants so is not bad. */
static void
report_info(DbopsCheckRun *run, const char *message, const char *remedy)
{
	dbops_check_report(run, (DbopsFinding) {.severity = DBOPS_INFO,.message = message,.remedy = remedy});
}
