/*
 * replication.c
 *		How far behind standbys are, what slots retain, whether WAL is archived.
 *
 * An idle server must not look as if it lagged: who has replayed all that was
 * sent is 0 s behind, however long ago the last commit was. But neither is a
 * standby up to date merely because nothing has reached it.
 */
#include "observe/observe.h"

#include <math.h>

#include "access/xlog.h"
#include "access/xlogrecovery.h"
#include "pgstat.h"
#include "replication/slot.h"
#include "replication/walreceiver.h"
#include "replication/walsender.h"
#include "replication/walsender_private.h"
#include "storage/lwlock.h"
#include "storage/spin.h"

static void read_own_lag(Replication *replication);
static void read_standbys(Replication *replication, XLogRecPtr written);
static bool read_sender(WalSnd *sender, XLogRecPtr written, double *lag,
						int64 *lag_bytes);
static void read_slots(Replication *replication, XLogRecPtr written);
static Slot *describe_slot(ReplicationSlot *slot, XLogRecPtr written);

/* Look at replication to and from this server. */
void
dbops_replication_read(Replication *replication)
{
	XLogRecPtr	written;

	replication->standby = RecoveryInProgress();
	replication->lag = NAN;
	replication->lag_bytes = -1;

	written = replication->standby ? GetXLogReplayRecPtr(NULL) : GetFlushRecPtr(NULL);
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
	TimestampTz last_commit = GetLatestXTime();
	double		delay = recovery_min_apply_delay / 1000.0;

	replication->receiving = WalRcvStreaming();
	replication->should_receive = (PrimaryConnInfo != NULL && *PrimaryConnInfo != '\0');
	replication->lag = NAN;
	replication->lag_bytes = -1;
	if (!replication->receiving)
		return;

	replication->lag_bytes = (received > replayed) ? received - replayed : 0;
	if (replication->lag_bytes == 0)
		replication->lag = 0;
	else if (last_commit != 0)
		replication->lag = Max(0, (dbops_clock_now() - last_commit) /
							   (double) USECS_PER_SEC - delay);
}

/* The lag of a primary is that of the standby that is furthest behind. */
static void
read_standbys(Replication *replication, XLogRecPtr written)
{
	for (int i = 0; i < max_wal_senders; i++)
	{
		double		lag;
		int64		lag_bytes;

		if (!read_sender(&WalSndCtl->walsnds[i], written, &lag, &lag_bytes))
			continue;
		replication->standbys++;
		if (isnan(replication->lag) || lag > replication->lag)
			replication->lag = lag;
		replication->lag_bytes = Max(replication->lag_bytes, lag_bytes);
	}
}

/* Read the lag of one standby; false if the slot serves none. */
static bool
read_sender(WalSnd *sender, XLogRecPtr written, double *lag, int64 *lag_bytes)
{
	pid_t		pid;
	WalSndState state;
	XLogRecPtr	reached;
	TimeOffset	measured;

	SpinLockAcquire(&sender->mutex);
	pid = sender->pid;
	state = sender->state;
	/* What only receives, as pg_receivewal does, never applies. */
	reached = XLogRecPtrIsInvalid(sender->apply) ? sender->flush : sender->apply;
	measured = sender->applyLag;
	SpinLockRelease(&sender->mutex);

	if (pid == 0 || state == WALSNDSTATE_BACKUP || XLogRecPtrIsInvalid(reached))
		return false;
	*lag_bytes = (written > reached) ? written - reached : 0;
	if (*lag_bytes == 0)
		*lag = 0;
	else
		*lag = (measured >= 0) ? measured / (double) USECS_PER_SEC : NAN;
	return true;
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

	archiver->on = RecoveryInProgress() ? XLogArchivingAlways() : XLogArchivingActive();
	archiver->configured = (XLogArchiveCommand != NULL && *XLogArchiveCommand != '\0') ||
		(XLogArchiveLibrary != NULL && *XLogArchiveLibrary != '\0');
	archiver->failures = stats->failed_count;
	archiver->last_success = stats->last_archived_timestamp;
	archiver->last_failure = stats->last_failed_timestamp;
	archiver->since = stats->stat_reset_timestamp;
}
