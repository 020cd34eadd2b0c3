/*
 * replication.c
 *		How far behind standbys are, what slots retain, whether WAL is archived.
 *
 * An idle server must not look as if it lagged: who has replayed all that was
 * sent is 0 s behind, however long ago the last commit was. But neither is a
 * standby up to date merely because nothing has reached it.
 *
 * The last commit that a standby replayed may be hours old because its primary
 * was idle. So it is remembered when the standby was last seen with nothing to
 * replay: in shared memory, under a lock held for a moment, or by each session
 * when dbops is not preloaded.
 */
#include "observe/observe.h"

#include <math.h>

#include "access/xlog.h"
#include "access/xlogrecovery.h"
#include "pgstat.h"
#include "replication/slot.h"
#include "replication/walreceiver.h"
#include "storage/lwlock.h"
#include "storage/spin.h"

static TimestampTz *shared_caught_up = NULL;	/* 0: never; or NULL */
static LWLock *shared_caught_up_lock = NULL;
static TimestampTz own_caught_up;	/* when there is none */

static void read_own_lag(Replication *replication);
static double replay_delay(TimestampTz caught_up);
static void remember_caught_up(void);
static TimestampTz recall_caught_up(void);
static void read_standbys(Replication *replication, XLogRecPtr written);
static void read_slots(Replication *replication, XLogRecPtr written);
static Slot *describe_slot(ReplicationSlot *slot, XLogRecPtr written);

/* Ask for the shared memory. */
void
dbops_replication_init(void)
{
	dbops_shared_request("dbops replication", sizeof(TimestampTz), NULL,
						 (void **) &shared_caught_up, &shared_caught_up_lock);
}

/* Look at replication to and from this server. */
void
dbops_replication_read(Replication *replication)
{
	XLogRecPtr	written = dbops_written();

	replication->standby = RecoveryInProgress();
	replication->lag = NAN;
	replication->lag_bytes = -1;

	read_standbys(replication, written);
	if (replication->standby)
		read_own_lag(replication);
	read_slots(replication, written);
}

/* A standby answers for itself: what it has received and not yet replayed. */
static void
read_own_lag(Replication *replication)
{
	XLogRecPtr	received = GetWalRcvFlushRecPtr(NULL, NULL);
	XLogRecPtr	replayed = GetXLogReplayRecPtr(NULL);

	replication->receiving = WalRcvStreaming();
	replication->should_receive = (PrimaryConnInfo != NULL && *PrimaryConnInfo != '\0');
	replication->lag = NAN;
	replication->lag_bytes = -1;
	if (!replication->receiving)
		return;

	replication->lag_bytes = (received > replayed) ? received - replayed : 0;
	if (replication->lag_bytes > 0)
		replication->lag = replay_delay(recall_caught_up());
	else
	{
		replication->lag = 0;
		remember_caught_up();
	}
}

/*
 * For how long there has been something to replay, in seconds: at most since
 * the last commit that was, and since there was nothing. NaN if that was never
 * seen, or by a clock that has been set back.
 */
static double
replay_delay(TimestampTz caught_up)
{
	TimestampTz now = dbops_clock_now();
	TimestampTz since = Max(caught_up, GetLatestXTime());
	double		wanted = recovery_min_apply_delay / 1000.0;

	if (caught_up == 0 || caught_up > now)
		return NAN;
	return Max(0, (now - since) / (double) USECS_PER_SEC - wanted);
}

static void
remember_caught_up(void)
{
	own_caught_up = dbops_clock_now();
	if (shared_caught_up == NULL)
		return;
	LWLockAcquire(shared_caught_up_lock, LW_EXCLUSIVE);
	*shared_caught_up = own_caught_up;
	LWLockRelease(shared_caught_up_lock);
}

static TimestampTz
recall_caught_up(void)
{
	TimestampTz caught_up;

	if (shared_caught_up == NULL)
		return own_caught_up;
	LWLockAcquire(shared_caught_up_lock, LW_SHARED);
	caught_up = *shared_caught_up;
	LWLockRelease(shared_caught_up_lock);
	return caught_up;
}

/* The lag of a primary is that of the standby that is furthest behind. */
static void
read_standbys(Replication *replication, XLogRecPtr written)
{
	ListCell   *cell;

	foreach(cell, dbops_standbys_read(written))
	{
		const Standby *standby = lfirst(cell);

		replication->standbys++;
		if (isnan(replication->lag) || standby->lag > replication->lag)
			replication->lag = standby->lag;
		replication->lag_bytes = Max(replication->lag_bytes, standby->lag_bytes);
	}
}

static void
read_slots(Replication *replication, XLogRecPtr written)
{
	LWLockAcquire(ReplicationSlotControlLock, LW_SHARED);
	for (int i = 0; i < max_replication_slots; i++)
	{
		ReplicationSlot *slot = &ReplicationSlotCtl->replication_slots[i];

		if (slot->in_use)
			replication->slots = lappend(replication->slots,
										 describe_slot(slot, written));
	}
	LWLockRelease(ReplicationSlotControlLock);
}

static Slot *
describe_slot(ReplicationSlot *slot, XLogRecPtr written)
{
	Slot	   *described = palloc(sizeof(Slot));
	XLogRecPtr	needed;

	SpinLockAcquire(&slot->mutex);
	described->name = slot->data.name;
	described->active = (slot->active_pid != 0);
	described->lost = slot_is_invalidated(slot);
	needed = slot->data.restart_lsn;
	SpinLockRelease(&slot->mutex);

	described->retained = (XLogRecPtrIsInvalid(needed) || needed >= written) ?
		0 : written - needed;
	return described;
}

/* Look at the archiver. */
void
dbops_archiver_read(Archiver *archiver)
{
	PgStat_ArchiverStats *stats = pgstat_fetch_stat_archiver();

	archiver->on = dbops_archive_on();
	archiver->configured = (XLogArchiveCommand != NULL && *XLogArchiveCommand != '\0') ||
		(XLogArchiveLibrary != NULL && *XLogArchiveLibrary != '\0');
	archiver->failures = stats->failed_count;
	archiver->last_success = stats->last_archived_timestamp;
	archiver->last_failure = stats->last_failed_timestamp;
	archiver->since = stats->stat_reset_timestamp;
	archiver->waiting = archiver->on && stats->last_archived_timestamp == 0 &&
		stats->last_failed_timestamp == 0 && dbops_archive_waiting(1) > 0;
}
