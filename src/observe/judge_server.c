/*
 * judge_server.c
 *		Checks of the server and what surrounds it: standbys, WAL and disks.
 */
#include "observe/replication.h"

#include <math.h>

#include "access/xlog.h"
#include "utils/builtins.h"

#define LITTLE_WAL		(16 * MB)	/* that may be replayed at once */
#define NO_BEAT			"See whether the upstream of this standby itself receives, or hangs. If the primary does not beat: ALTER SYSTEM SET dbops.heartbeat = 0; SELECT pg_reload_conf(); on this standby."
#define LEAST_SEGMENTS	2		/* that a slot may always retain */

static bool report_no_replication(const Replication *replication, DbopsCheckRun *run);
static bool report_gone(const Replication *replication, DbopsCheckRun *run);
static double silence_of(const Replication *replication);
static const char *say_lag(const Replication *replication);
static const char *who_lags(const Replication *replication);
static void judge_slot(const Slot *slot, DbopsCheckRun *run);
static void judge_slot_disk(const Slot *slot, int64 wal_free, DbopsCheckRun *run);
static const char *slot_name(const Slot *slot);
static const char *not_in_use(const Slot *slot);
static const char *drop_slot(const Slot *slot);
static void judge_disk(const Disk *disk, DbopsCheckRun *run);

/* In time; what is not known is not 0, unless next to nothing is left to replay. */
void
dbops_judge_replication_lag(const void *facts, DbopsCheckRun *run)
{
	const Replication *replication = &dbops_health_require(facts, PART_REPLICATION)->replication;
	double		lag = replication->lag;

	if (report_gone(replication, run) || report_no_replication(replication, run))
		return;
	if (isnan(silence_of(replication)))
		dbops_check_report_unknown(run, NULL, "nothing has been replayed since this standby started, though its primary should beat",
								   NO_BEAT);
	else if (isnan(lag) && replication->lag_bytes >= LITTLE_WAL)
		dbops_check_report_unknown(run, NULL, psprintf("%s of WAL is yet to be replayed, since when is not known",
													   dbops_figure_bytes(replication->lag_bytes)),
								   "Look again: since when is known from when it was last seen with nothing to replay.");
	else
		dbops_check_report_value(run, isnan(lag) ? 0 : lag, NAN, (DbopsFinding)
								 {
									 .message = say_lag(replication),
									 .remedy = silence_of(replication) > 0 ? NO_BEAT : "Check replica health, may need to failover: SELECT * FROM dbops.replication_status(); and on the standby see what replay waits for: its disks, or a query that conflicts."
								 });
}

/* Report that a standby is gone which lagged: it has not caught up for that. */
static bool
report_gone(const Replication *replication, DbopsCheckRun *run)
{
	GoneStandby gone;
	double		since;

	if (!dbops_replication_misses(replication, &gone) || replication->lag > gone.lag)
		return false;
	since = Max(0, dbops_clock_now() - gone.at) / (double) USECS_PER_SEC;
	dbops_check_report_unknown(run, NULL, psprintf("a standby that was %s behind is gone; it was last seen %s ago",
												   dbops_figure_duration(gone.lag), dbops_figure_duration(since)),
							   "Bring it back; if it is not to come back, it is forgotten after an hour.");
	return true;
}

/* Where a standby has replayed all that came, it is late only if no beat came either. */
static double
silence_of(const Replication *replication)
{
	return (replication->standby && replication->lag_bytes == 0) ? dbops_replication_silence() : 0;
}

static const char *
say_lag(const Replication *replication)
{
	if (silence_of(replication) > 0)
		return psprintf("this standby is %s behind: nothing comes from the primary, not even its beat",
						dbops_figure_duration(replication->lag));
	return psprintf("%s is %s behind", who_lags(replication), dbops_figure_duration(isnan(replication->lag) ? 0 : replication->lag));
}

/* In bytes: a standby that is stuck stops reporting the time. */
void
dbops_judge_replication_lag_bytes(const void *facts, DbopsCheckRun *run)
{
	const Replication *replication = &dbops_health_require(facts, PART_REPLICATION)->replication;

	if (report_no_replication(replication, run))
		return;
	dbops_check_report_value(run, replication->lag_bytes, NAN, (DbopsFinding)
							 {
								 .message = psprintf("%s is %s behind", who_lags(replication), dbops_figure_bytes(replication->lag_bytes)),
								 .remedy = "See pg_stat_replication, and on the standby what replay waits for: its disks, or a query that conflicts."
							 });
}

/* Report that nothing replicates, if so. */
static bool
report_no_replication(const Replication *replication, DbopsCheckRun *run)
{
	if (replication->standby && !replication->receiving)
		dbops_check_report(run, (DbopsFinding)
						   {
							   .severity = replication->should_receive ? DBOPS_WARNING : DBOPS_UNKNOWN,
							   .message = "this standby receives no WAL, so that its lag cannot be told",
							   .remedy = "See the server's log for why primary_conninfo does not connect."
						   });
	else if (replication->lag_bytes < 0)
		dbops_check_report(run, (DbopsFinding) {.message = "nothing replicates from this server"});
	else
		return false;
	return true;
}

static const char *
who_lags(const Replication *replication)
{
	return replication->standby ? "this standby" : "the last standby";
}

/* Each slot on its own. */
void
dbops_judge_slots(const void *facts, DbopsCheckRun *run)
{
	const Health *health = dbops_health_require(facts, PART_REPLICATION);
	ListCell   *cell;

	if (health->replication.slots == NIL)
		dbops_check_report(run, (DbopsFinding) {.message = "there are no replication slots"});
	foreach(cell, health->replication.slots)
		judge_slot(lfirst(cell), run);
}

/* A few segments are kept for any slot that is in use. */
static void
judge_slot(const Slot *slot, DbopsCheckRun *run)
{
	const char *name = slot_name(slot);
	double		limit = Max(max_slot_wal_keep_size_mb * MB, (double) LEAST_SEGMENTS * wal_segment_size);

	if (slot->lost)
		dbops_check_report(run, (DbopsFinding)
						   {
							   .severity = DBOPS_CRITICAL,
							   .object = name,
							   .message = "the slot was invalidated: WAL or rows that its consumer needs are gone",
							   .remedy = psprintf("Rebuild its consumer, and SELECT pg_drop_replication_slot(%s);",
												  quote_literal_cstr(NameStr(slot->name)))
						   });
	else if (max_slot_wal_keep_size_mb < 0)
		dbops_check_report(run, (DbopsFinding)
						   {
							   .object = name,
							   .message = psprintf("the slot retains %s of WAL%s; max_slot_wal_keep_size sets no limit",
												   dbops_figure_bytes(slot->retained), not_in_use(slot))
						   });
	else
		dbops_check_report_value(run, dbops_figure_percent(slot->retained, limit), NAN, (DbopsFinding)
								 {
									 .object = name,
									 .message = psprintf("the slot retains %s of WAL%s; %s are allowed", dbops_figure_bytes(slot->retained),
														 not_in_use(slot), dbops_figure_bytes(limit)),
									 .remedy = drop_slot(slot)
								 });
}

/* Those without a limit may fill the disk. */
void
dbops_judge_slots_disk(const void *facts, DbopsCheckRun *run)
{
	const Health *health = dbops_health_require(facts, PART_REPLICATION);
	int64		wal_free = 0;	/* not known */
	ListCell   *cell;

	if (dbops_health_stands(health, PART_DISKS))
		wal_free = ((const Disk *) linitial(health->disks.list))->free;
	if (health->replication.slots == NIL || max_slot_wal_keep_size_mb >= 0)
		dbops_check_report(run, (DbopsFinding) {.message = "no slot may retain WAL without a limit"});
	else
		foreach(cell, health->replication.slots)
			judge_slot_disk(lfirst(cell), wal_free, run);
}

static void
judge_slot_disk(const Slot *slot, int64 wal_free, DbopsCheckRun *run)
{
	if (wal_free == 0)
		dbops_check_report_unknown(run, slot_name(slot), psprintf("the slot retains %s; how much WAL may grow is not known",
																  dbops_figure_bytes(slot->retained)),
								   "Set max_slot_wal_keep_size.");
	else
		dbops_check_report_value(run, dbops_figure_percent(slot->retained, (double) slot->retained + wal_free), NAN, (DbopsFinding)
								 {
									 .object = slot_name(slot),
									 .message = psprintf("the slot retains %s of WAL%s; %s are free", dbops_figure_bytes(slot->retained),
														 not_in_use(slot), dbops_figure_bytes(wal_free)),
									 .remedy = drop_slot(slot)
								 });
}

static const char *
slot_name(const Slot *slot)
{
	return quote_identifier(pstrdup(NameStr(slot->name)));
}

static const char *
not_in_use(const Slot *slot)
{
	return slot->active ? "" : " and is not in use";
}

static const char *
drop_slot(const Slot *slot)
{
	return psprintf("Bring its consumer back, or SELECT pg_drop_replication_slot(%s);",
					quote_literal_cstr(NameStr(slot->name)));
}

/* Failing is what the last attempt did. */
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
		dbops_check_report_value(run, since, NAN, (DbopsFinding)
								 {
									 .message = psprintf("the last attempt to archive WAL failed; nothing was archived for %s", dbops_figure_duration(since)),
									 .remedy = "See the server's log for what archive_command or archive_library says."
								 });
	else if (archiver->last_success == 0 && archiver->waiting)
		dbops_check_report_unknown(run, NULL, "WAL waits to be archived, and of no attempt is known how it ended",
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

/* A share; it is not critical where plenty is free. */
static void
judge_disk(const Disk *disk, DbopsCheckRun *run)
{
	double		percent = dbops_disk_free_percent(disk);

	if (disk->missing)
		dbops_check_report(run, (DbopsFinding)
						   {
							   .severity = DBOPS_WARNING,
							   .object = disk->name,
							   .message = "its directory is missing",
							   .remedy = "Mount its file system again, or drop the tablespace."
						   });
	else if (disk->silent != NULL)
		dbops_check_report_unknown(run, disk->name, disk->silent,
								   "See on the server what became of its mount; df hangs there too when its file system does not answer.");
	else if (isnan(percent))
		dbops_check_report_unknown(run, disk->name, "its file system does not tell how much is free",
								   "See with df, on the server, how much is free.");
	else
		dbops_check_report_value(run, percent, disk->free, (DbopsFinding)
								 {
									 .object = disk->name,
									 .message = psprintf("%s free, %.2f percent%s", dbops_figure_bytes(disk->free), percent,
														 disk->same_as == NULL ? "" : psprintf(", on the same device as %s", disk->same_as)),
									 .remedy = "Archive old data, increase storage, or clean up logs, before it is full: a server without room for WAL stops."
								 });
}
