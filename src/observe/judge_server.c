/*
 * judge_server.c
 *		Checks of the server and what surrounds it: standbys, WAL and disks.
 *
 * Shares go with absolute amounts: a twentieth of a large disk is plenty.
 */
#include "observe/observe.h"

#include <math.h>

#include "access/xlog.h"
#include "utils/builtins.h"

#define LITTLE_FREE	15.0	/* percent: a warning */
#define LEAST_FREE	5.0		/* percent: critical */

#define LEAST_SEGMENTS	2		/* that a slot may always retain */

static void judge_slot(const Slot *slot, int64 wal_free, DbopsCheckRun *run);
static void judge_disk(const Disk *disk, DbopsCheckRun *run);

/*
 * 16 MB and 30 s, 1 GB and 300 s: CloudNativePG, pgmonitor, pganalyze. Both
 * must be exceeded; but who is 1 GB behind is late whatever the time says,
 * since a standby that is stuck stops reporting it.
 */
void
dbops_judge_replication_lag(const void *facts, DbopsCheckRun *run)
{
	const Replication *replication = &dbops_health_require(facts, PART_REPLICATION)->replication;
	double		bytes = replication->lag_bytes;
	double		lag = replication->lag;

	if (replication->standby && !replication->receiving)
		dbops_check_report(run, (DbopsFinding)
						   {
							   .severity = replication->should_receive ? DBOPS_WARNING : DBOPS_UNKNOWN,
							   .message = "this standby receives no WAL, so that its lag cannot be told",
							   .remedy = "See the server's log for why primary_conninfo does not connect."
						   });
	else if (bytes < 0)
		dbops_check_report(run, (DbopsFinding) {.message = "nothing replicates from this server"});
	else if (isnan(lag) && bytes >= 16 * MB && bytes < GB)
		dbops_health_report_unknown(run, NULL, psprintf("%s of WAL is yet to be replayed, since when is not known", dbops_figure_bytes(bytes)),
									"Look again: since when is known from when it was last seen with nothing to replay.");
	else
		dbops_health_report_above(run, (bytes >= GB && lag >= 300) ? 2 : (bytes >= GB || (bytes >= 16 * MB && lag >= 30)),
								  0, 1, (DbopsFinding)
								  {
									  .message = psprintf("%s is %s behind%s",
														  replication->standby ? "this standby" : "the last standby",
														  dbops_figure_bytes(bytes), isnan(lag) ? "" : psprintf(", %s", dbops_figure_duration(lag))),
									  .remedy = "See pg_stat_replication, and on the standby what replay waits for.",
									  .data = dbops_health_figures(bytes, 16 * MB, GB)
								  });
}

/* Each slot on its own. */
void
dbops_judge_slots(const void *facts, DbopsCheckRun *run)
{
	const Health *health = dbops_health_require(facts, PART_REPLICATION);
	int64		wal_free = 0;	/* not known */
	ListCell   *cell;

	if (dbops_health_stands(health, PART_DISKS))
		wal_free = ((const Disk *) linitial(health->disks.list))->free;
	if (health->replication.slots == NIL)
		dbops_check_report(run, (DbopsFinding) {.message = "there are no replication slots"});
	foreach(cell, health->replication.slots)
		judge_slot(lfirst(cell), wal_free, run);
}

/*
 * Half and four fifths of max_slot_wal_keep_size; without one, a fifth and a
 * half of what is free: check_pgactivity, pgmonitor. A few segments are kept
 * for any slot that is in use.
 */
static void
judge_slot(const Slot *slot, int64 wal_free, DbopsCheckRun *run)
{
	const char *name = quote_identifier(pstrdup(NameStr(slot->name)));
	const char *remedy = psprintf("Bring its consumer back, or SELECT pg_drop_replication_slot(%s);",
								  quote_literal_cstr(NameStr(slot->name)));
	bool		limited = (max_slot_wal_keep_size_mb >= 0);
	double		limit = Max(max_slot_wal_keep_size_mb * MB,
							(double) LEAST_SEGMENTS * wal_segment_size);

	if (slot->lost)
		dbops_check_report(run, (DbopsFinding)
						   {
							   .severity = DBOPS_CRITICAL,
							   .object = name,
							   .message = "the slot was invalidated: WAL or rows that its consumer needs are gone",
							   .remedy = psprintf("Rebuild its consumer, and SELECT pg_drop_replication_slot(%s);",
												  quote_literal_cstr(NameStr(slot->name)))
						   });
	else if (!limited && wal_free == 0)
		dbops_health_report_unknown(run, name, psprintf("the slot retains %s; how much WAL may grow is not known",
									dbops_figure_bytes(slot->retained)),
									"Set max_slot_wal_keep_size.");
	else
		dbops_health_report_above(run, slot->retained,
								  limited ? limit * 0.5 : wal_free * 0.2,
								  limited ? limit * 0.8 : wal_free * 0.5, (DbopsFinding)
								  {
									  .object = name,
									  .message = psprintf("the slot retains %s of WAL%s", dbops_figure_bytes(slot->retained),
														  slot->active ? "" : " and is not in use"),
									  .remedy = remedy
								  });
}

/* Failing is what the last attempt did; an hour of it: pgmonitor, pganalyze. */
void
dbops_judge_archiver(const void *facts, DbopsCheckRun *run)
{
	const Archiver *archiver = &dbops_health_require(facts, PART_ARCHIVER)->archiver;
	bool		failing = archiver->last_failure > archiver->last_success;
	TimestampTz worked = archiver->last_success != 0 ? archiver->last_success :
		Max(archiver->since, PgStartTime);
	double		since = (dbops_clock_now() - worked) / (double) USECS_PER_SEC;

	if (!archiver->on)
		dbops_check_report(run, (DbopsFinding) {.message = "WAL is not archived: archive_mode is off here"});
	else if (!archiver->configured)
		dbops_check_report(run, (DbopsFinding)
						   {
							   .severity = DBOPS_WARNING,
							   .message = "archive_mode is on, but WAL is kept because nothing archives it",
							   .remedy = "Set archive_command or archive_library."
						   });
	else if (failing)
		dbops_health_report_above(run, since, 0, SECS_PER_HOUR, (DbopsFinding)
								  {
									  .message = psprintf("the last attempt to archive WAL failed; nothing was archived for %s", dbops_figure_duration(since)),
									  .remedy = "See the server's log for what archive_command or archive_library says."
								  });
	else if (archiver->last_success == 0 && archiver->waiting)
		dbops_health_report_unknown(run, NULL, "WAL waits to be archived, and of no attempt is known how it ended",
									"Look again in a minute; see the server's log for what archive_command or archive_library says.");
	else
		dbops_check_report(run, (DbopsFinding) {.message = "the last attempt to archive WAL succeeded, or none was made"});
}

/* Each place where the cluster keeps something on its own. */
void
dbops_judge_disks(const void *facts, DbopsCheckRun *run)
{
	ListCell   *cell;

	foreach(cell, dbops_health_require(facts, PART_DISKS)->disks.list)
		judge_disk(lfirst(cell), run);
}

/* A share, unless that is plenty: pganalyze, check_postgres. */
static void
judge_disk(const Disk *disk, DbopsCheckRun *run)
{
	double		percent = dbops_disk_free_percent(disk);
	bool		plenty = (disk->free >= PLENTY_FREE);
	DbopsSeverity severity = (percent < LEAST_FREE && !plenty) ? DBOPS_CRITICAL :
		(percent < LITTLE_FREE && !plenty) ? DBOPS_WARNING : DBOPS_OK;

	if (disk->missing)
		dbops_check_report(run, (DbopsFinding)
						   {
							   .severity = DBOPS_WARNING,
							   .object = disk->name,
							   .message = "its directory is missing",
							   .remedy = "Mount its file system again, or drop the tablespace."
						   });
	else if (isnan(percent))
		dbops_health_report_unknown(run, disk->name, "its file system does not tell how much is free",
									"See with df, on the server, how much is free.");
	else
		dbops_check_report(run, (DbopsFinding)
						   {
							   .severity = severity,
							   .object = disk->name,
							   .message = psprintf("%s free, %.2f percent%s", dbops_figure_bytes(disk->free), percent,
												   disk->same_as == NULL ? "" : psprintf(", on the same device as %s", disk->same_as)),
							   .remedy = severity == DBOPS_OK ? NULL : "Make room before it is full: a server without room for WAL stops.",
							   .data = dbops_health_figures(percent, LITTLE_FREE, LEAST_FREE)
						   });
}
