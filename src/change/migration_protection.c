/*
 * migration_protection.c
 *		before_migration(): is there a way back, and is now a good time?
 *
 * The way back from a change that no down text undoes is a backup and the WAL
 * up to a restore point just before it. So the restore point is made, its WAL
 * is handed to the archiver and waited for, and the newest backup is looked
 * for; beside these stand the checks of health that matter to who is about to
 * change the schema. Protected is who finds none of all that critical.
 *
 * Nothing is locked. The wait is bounded, and holds no more than the snapshot
 * of who asks.
 */
#include "change/migration.h"

#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "access/xlogarchive.h"
#include "core/server.h"
#include "mb/pg_wchar.h"
#include "pgstat.h"
#include "utils/builtins.h"

#define MAX_BACKUP_AGE	SECS_PER_DAY		/* s */
#define MAX_WAIT		60000L	/* ms */
#define LOOK_EVERY		50L		/* ms */
#define TELL_AFTER		1000L	/* ms */

PG_FUNCTION_INFO_V1(dbops_before_migration);

/* One answer, item by item. */
typedef struct Protection
{
	const char *name;			/* of the restore point, without the time */
	double		max_backup_age; /* s */
	long		max_wait;		/* ms */
	XLogRecPtr	point;			/* the restore point; invalid: there is none */
	List	   *items;			/* of DbopsFinding * */
	DbopsBackup backup;
	bool		has_backup;
} Protection;

/* Who receives WAL to keep it. */
typedef struct Receiver
{
	const char *name;			/* NULL: nobody */
	XLogRecPtr	reached;
} Receiver;

static void ask(Protection *protection);
static void make_restore_point(Protection *protection);
static char *point_name(const char *name);
static Jsonb *point_data(const char *name, XLogRecPtr point);
static void judge_archive(Protection *protection);
static bool await_archive(const Protection *protection, const char *file, Receiver *keeper);
static Receiver find_receiver(void);
static const char *archiver_trouble(void);
static void judge_backup(Protection *protection);
static void look_for_backup(void *protection);
static Jsonb *backup_data(const DbopsBackup *backup);
static void judge_proof(Protection *protection);
static void add(Protection *protection, DbopsFinding item);
static DbopsFinding conclude(const Protection *protection);
static char *reasons(const Protection *protection, DbopsSeverity severity);

/* before_migration(name text, max_backup_age interval, max_wait interval) → SETOF finding */
Datum
dbops_before_migration(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Protection	protection = {0};
	DbopsFinding conclusion;
	ListCell   *cell;

	dbops_require_argument(fcinfo, 1, "max_backup_age");
	dbops_require_argument(fcinfo, 2, "max_wait");
	protection.name = PG_ARGISNULL(0) ? "migration" : text_to_cstring(PG_GETARG_TEXT_PP(0));
	protection.max_backup_age = dbops_interval_ms(PG_GETARG_INTERVAL_P(1)) / 1000.0;
	protection.max_wait = (long) dbops_interval_ms(PG_GETARG_INTERVAL_P(2));

	InitMaterializedSRF(fcinfo, 0);
	ask(&protection);
	foreach(cell, protection.items)
		dbops_finding_put(result, lfirst(cell));
	conclusion = conclude(&protection);
	dbops_finding_put(result, &conclusion);
	return (Datum) 0;
}

/* Do what dbops.require_protection wants before a migration: ask, and say so or refuse. */
void
dbops_migration_require_protection(const char *project, const char *version)
{
	Protection	protection = {.name = version,.max_backup_age = MAX_BACKUP_AGE,.max_wait = MAX_WAIT};
	DbopsFinding conclusion;

	if (dbops_require_protection == DBOPS_PROTECTION_OFF)
		return;
	ask(&protection);
	conclusion = conclude(&protection);
	if (conclusion.severity == DBOPS_OK)
		return;
	ereport(dbops_require_protection == DBOPS_PROTECTION_ENFORCE ? ERROR : WARNING,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("migration \"%s\" of project \"%s\" has no way back", version, project),
			 errdetail("%s.", reasons(&protection, DBOPS_CRITICAL)),
			 errhint("See SELECT * FROM dbops.before_migration(), which says what to do; a superuser may SET dbops.require_protection = off.")));
}

/* Look at everything. */
static void
ask(Protection *protection)
{
	make_restore_point(protection);
	judge_archive(protection);
	judge_backup(protection);
	judge_proof(protection);
	protection->items = list_concat(protection->items,
									dbops_check_judge_before_change(dbops_check_look()));
}

/* ---- the restore point ---- */

static void
make_restore_point(Protection *protection)
{
	DbopsFinding item = {.check_name = "restore_point",.severity = DBOPS_CRITICAL};

	if (RecoveryInProgress())
	{
		item.message = "this server is in recovery, where no restore point can be made";
		item.remedy = "Ask on the primary, where the migration will be applied.";
	}
	else if (!XLogIsNeeded())
	{
		item.message = "no restore point can be made: wal_level is minimal";
		item.remedy = "Set wal_level to replica and restart.";
	}
	else
	{
		char	   *name = point_name(protection->name);

		protection->point = XLogRestorePoint(name);
		XLogFlush(protection->point);
		item.severity = DBOPS_OK;
		item.data = point_data(name, protection->point);
		item.message = psprintf("restore point \"%s\" is at %X/%X", name, LSN_FORMAT_ARGS(protection->point));
	}
	add(protection, item);
}

/*
 * With the time, in UTC: recovery stops at the first point of a name. A name
 * that is too long for that loses its end.
 */
static char *
point_name(const char *name)
{
	pg_time_t	now = timestamptz_to_time_t(dbops_clock_now());
	char		time[32];
	int			room;

	pg_strftime(time, sizeof(time), "_%Y%m%dT%H%M%SZ", pg_gmtime(&now));
	room = MAXFNAMELEN - 1 - (int) strlen(time);
	return psprintf("%.*s%s", pg_mbcliplen(name, strlen(name), room), name, time);
}

static Jsonb *
point_data(const char *name, XLogRecPtr point)
{
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	dbops_json_text(&json, "name", name);
	dbops_json_text(&json, "lsn", psprintf("%X/%X", LSN_FORMAT_ARGS(point)));
	return dbops_json_finish(&json);
}

/* ---- WAL up to it, elsewhere ---- */

/*
 * Has somebody else the WAL up to the restore point? The archiver gets whole
 * files only, so this one is ended.
 */
static void
judge_archive(Protection *protection)
{
	DbopsFinding item = {.check_name = "archive",.severity = DBOPS_CRITICAL};
	Receiver	keeper = {0};
	XLogSegNo	segment;
	char		file[MAXFNAMELEN];

	if (XLogRecPtrIsInvalid(protection->point))
		return;
	XLByteToPrevSeg(protection->point, segment, wal_segment_size);
	XLogFileName(file, GetWALInsertionTimeLine(), segment, wal_segment_size);
	if (dbops_archive_on())
		RequestXLogSwitch(false);

	if (await_archive(protection, file, &keeper))
	{
		item.severity = DBOPS_OK;
		item.message = (keeper.name == NULL) ? psprintf("WAL is archived up to the restore point, file %s", file) :
			psprintf("\"%s\" has received WAL up to the restore point", keeper.name);
	}
	else if (dbops_archive_on() || keeper.name != NULL)
	{
		item.message = psprintf("WAL up to the restore point was not archived within %s%s",
								dbops_figure_duration(protection->max_wait / 1000.0), archiver_trouble());
		item.remedy = "See the server's log for what archive_command or archive_library says, or the log of pg_receivewal.";
	}
	else
	{
		item.message = "WAL is neither archived nor received by others, so that no restore point can be reached";
		item.remedy = "Set archive_mode to on and archive_command, and restart; or run pg_receivewal with a slot.";
	}
	add(protection, item);
}

/*
 * Wait until the file is archived, or who only receives has the restore point;
 * false: in vain, or nobody could.
 */
static bool
await_archive(const Protection *protection, const char *file, Receiver *keeper)
{
	for (long waited = 0;; waited += LOOK_EVERY)
	{
		if (dbops_archive_on() && !XLogArchiveIsBusy(file))
			return true;
		*keeper = find_receiver();
		if (keeper->name != NULL && keeper->reached >= protection->point)
			return true;
		if (waited >= protection->max_wait || (!dbops_archive_on() && keeper->name == NULL))
			return false;
		if (waited == TELL_AFTER)
			ereport(NOTICE,
					(errmsg("waiting until WAL up to the restore point is archived, file %s, for %s at most",
							file, dbops_figure_duration(protection->max_wait / 1000.0))));
		dbops_clock_wait(LOOK_EVERY);
	}
}

/* Who keeps WAL instead of applying it, as pg_receivewal does, and has the most. */
static Receiver
find_receiver(void)
{
	Receiver	found = {0};
	ListCell   *cell;

	foreach(cell, dbops_standbys_read(dbops_written()))
	{
		const Standby *standby = lfirst(cell);
		const char *name;

		if (standby->applies || standby->logical || standby->reached <= found.reached)
			continue;
		pgstat_clear_backend_activity_snapshot();
		name = dbops_standby_name(standby->pid);
		if (name != NULL)
			found = (Receiver) {.name = name,.reached = standby->reached};
	}
	return found;
}

/* What the archiver failed at, if that is why. */
static const char *
archiver_trouble(void)
{
	PgStat_ArchiverStats *archiver;

	pgstat_clear_snapshot();
	archiver = pgstat_fetch_stat_archiver();
	if (archiver->last_failed_timestamp <= archiver->last_archived_timestamp)
		return "";
	return psprintf("; the archiver failed last at %s", archiver->last_failed_wal);
}

/* ---- the backup ---- */

static void
judge_backup(Protection *protection)
{
	DbopsFinding item = {.check_name = "backup",.severity = DBOPS_CRITICAL};
	ErrorData  *error;

	if (!dbops_attempt(look_for_backup, protection, &error))
		item.message = psprintf("backups cannot be looked for: %s", error->message);
	else if (!protection->has_backup)
		item.message = "no backup is recorded";
	else
	{
		double		age = (dbops_clock_now() - protection->backup.ended) / (double) USECS_PER_SEC;

		item.severity = (age <= protection->max_backup_age) ? DBOPS_OK : DBOPS_CRITICAL;
		item.data = backup_data(&protection->backup);
		item.message = psprintf("the newest backup, \"%s\", ended %s ago%s", protection->backup.label,
								dbops_figure_duration(Max(age, 0)),
								item.severity == DBOPS_OK ? "" : psprintf(", more than %s", dbops_figure_duration(protection->max_backup_age)));
	}
	if (item.severity != DBOPS_OK)
		item.remedy = "Make a backup with the tool that you use, such as pg_basebackup, and ask again.";
	add(protection, item);
}

static Jsonb *
backup_data(const DbopsBackup *backup)
{
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	dbops_json_text(&json, "label", backup->label);
	dbops_json_time(&json, "ended", backup->ended);
	return dbops_json_finish(&json);
}

static void
look_for_backup(void *protection)
{
	Protection *asked = protection;

	asked->has_backup = dbops_backup_newest(&asked->backup);
}

/* That it can be restored nobody knows who has not done it. */
static void
judge_proof(Protection *protection)
{
	DbopsFinding item = {.check_name = "backup.proof"};

	if (!protection->has_backup)
		return;
	item.severity = (protection->backup.proven == 0) ? DBOPS_UNKNOWN : DBOPS_OK;
	item.message = (protection->backup.proven == 0) ? "nothing records that it was ever restored" :
		psprintf("it was restored and compared %s ago",
				 dbops_figure_duration((dbops_clock_now() - protection->backup.proven) / (double) USECS_PER_SEC));
	if (item.severity != DBOPS_OK)
		item.remedy = "Restore it somewhere else, and look at what is there.";
	add(protection, item);
}

/* ---- the answer ---- */

static void
add(Protection *protection, DbopsFinding item)
{
	DbopsFinding *kept = palloc(sizeof(DbopsFinding));

	item.key = item.check_name;
	*kept = item;
	protection->items = lappend(protection->items, kept);
}

/* Protected, if nothing is critical; what is less than that is named. */
static DbopsFinding
conclude(const Protection *protection)
{
	char	   *missing = reasons(protection, DBOPS_CRITICAL);
	char	   *doubtful = reasons(protection, DBOPS_WARNING);
	DbopsFinding conclusion = {.check_name = "protected",.key = "protected"};

	conclusion.severity = (missing == NULL) ? DBOPS_OK : DBOPS_CRITICAL;
	if (missing != NULL)
		conclusion.message = psprintf("not protected: %s", missing);
	else if (doubtful != NULL)
		conclusion.message = psprintf("protected, but %s", doubtful);
	else
		conclusion.message = "protected";
	return conclusion;
}

/* The messages of items so grave, in one sentence; NULL: there are none. */
static char *
reasons(const Protection *protection, DbopsSeverity severity)
{
	StringInfoData text;
	ListCell   *cell;

	initStringInfo(&text);
	foreach(cell, protection->items)
	{
		const DbopsFinding *item = lfirst(cell);

		if (item->severity == severity)
			appendStringInfo(&text, "%s%s%s%s", text.len == 0 ? "" : "; ",
							 item->object == NULL ? "" : item->object,
							 item->object == NULL ? "" : ": ", item->message);
	}
	return text.len == 0 ? NULL : text.data;
}
