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
 *
 * That all is replayed which came says nothing where the upstream itself is cut
 * off or hangs: it goes on sending signs of life, and no WAL. But the primary
 * beats (dbops.heartbeat), so that a standby which has replayed no commit for
 * longer than some beats is as late as its last one is old, by the server's
 * clock. Where it does not (primary_beat.c), or this standby's dbops.heartbeat is
 * 0, the upstream's signs of life are all that there is to go by.
 *
 * A standby that lagged and is gone has not caught up for that: it is remembered
 * for an hour, unless as many are there again.
 */
#include "observe/replication.h"

#include <math.h>

#include "access/xlog.h"
#include "access/xlogrecovery.h"
#include "pgstat.h"
#include "replication/slot.h"
#include "replication/walreceiver.h"
#include "storage/lwlock.h"
#include "storage/spin.h"

#define LAGS			5.0		/* s of lag with which a standby that goes is missed */
#define MISSED_FOR		((TimestampTz) SECS_PER_HOUR * USECS_PER_SEC)

/* What was seen last, by whom ever. */
typedef struct Seen
{
	TimestampTz caught_up;		/* this standby; 0: never */
	TimestampTz at;				/* the standbys of this server */
	int			standbys;
	double		lag;			/* s, of the last of them; or NaN */
} Seen;

static Seen *shared_seen = NULL;
static LWLock *shared_seen_lock = NULL;
static Seen own_seen;			/* where nothing is shared */

static void read_own_lag(Replication *replication);
static bool is_connected(void);
static double beat_silence(double beat);
static double upstream_silence(void);
static double replay_delay(TimestampTz caught_up);
static void remember_caught_up(void);
static void read_standbys(Replication *replication, XLogRecPtr written);
static void remember_standbys(const Replication *replication);
static Seen recall(void);
static void read_slots(Replication *replication, XLogRecPtr written);
static Slot *describe_slot(ReplicationSlot *slot, XLogRecPtr written);

/* Ask for the shared memory. */
void
dbops_replication_init(void)
{
	dbops_shared_request("dbops replication", sizeof(Seen), NULL,
						 (void **) &shared_seen, &shared_seen_lock);
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
	remember_standbys(replication);
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

	replication->receiving = WalRcvStreaming() && is_connected();
	replication->should_receive = (PrimaryConnInfo != NULL && *PrimaryConnInfo != '\0');
	replication->lag = NAN;
	replication->lag_bytes = -1;
	if (!replication->receiving)
		return;

	replication->lag_bytes = (received > replayed) ? received - replayed : 0;
	if (replication->lag_bytes > 0)
		replication->lag = replay_delay(recall().caught_up);
	else
		replication->lag = dbops_replication_silence();
	if (replication->lag == 0)
		remember_caught_up();
}

/* Has the receiver reached its server? Until then it may try for minutes, and counts as streaming. */
static bool
is_connected(void)
{
	bool		connected;

	SpinLockAcquire(&WalRcv->mutex);
	connected = WalRcv->ready_to_display;
	SpinLockRelease(&WalRcv->mutex);
	return connected;
}

/*
 * For how long nothing has come that should have, in seconds; NaN before the first
 * beat. Until it is known whether there is one, it is not known either.
 */
double
dbops_replication_silence(void)
{
	double		beat = (dbops_heartbeat == 0) ? 0 : dbops_primary_beat();
	double		silence;

	if (beat == 0)
		return upstream_silence();
	silence = beat_silence(isnan(beat) ? dbops_heartbeat / 1000.0 : beat);
	return (isnan(beat) && silence > 0) ? NAN : silence;
}

/* The beat is of the clock that the primary has, not of a test's. */
static double
beat_silence(double beat)
{
	TimestampTz last = GetLatestXTime();
	double		silence;

	if (last == 0)
		return NAN;
	silence = (GetCurrentTimestamp() - last) / (double) USECS_PER_SEC - recovery_min_apply_delay / 1000.0;
	return silence > BEAT_MISSED(beat) ? silence - beat : 0;
}

/* The receiver asks for a sign of life when none has come for half of its timeout. */
static double
upstream_silence(void)
{
	TimestampTz last;
	double		silence;

	SpinLockAcquire(&WalRcv->mutex);
	last = WalRcv->lastMsgReceiptTime;
	SpinLockRelease(&WalRcv->mutex);
	if (wal_receiver_timeout == 0 || last == 0)
		return 0;
	silence = (GetCurrentTimestamp() - last) / (double) USECS_PER_SEC;
	return silence > wal_receiver_timeout / 2000.0 + GRACE ? silence : 0;
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
	own_seen.caught_up = dbops_clock_now();
	if (shared_seen == NULL)
		return;
	LWLockAcquire(shared_seen_lock, LW_EXCLUSIVE);
	shared_seen->caught_up = own_seen.caught_up;
	LWLockRelease(shared_seen_lock);
}

static Seen
recall(void)
{
	Seen		seen = own_seen;

	if (shared_seen == NULL)
		return seen;
	LWLockAcquire(shared_seen_lock, LW_SHARED);
	seen = *shared_seen;
	LWLockRelease(shared_seen_lock);
	return seen;
}

/* The lag of a primary is that of the standby that is furthest behind. What only receives is none. */
static void
read_standbys(Replication *replication, XLogRecPtr written)
{
	ListCell   *cell;

	foreach(cell, dbops_standbys_read(written))
	{
		const Standby *standby = lfirst(cell);

		if (!standby->applies)
			continue;
		replication->standbys++;
		if (isnan(replication->lag) || standby->lag > replication->lag)
			replication->lag = standby->lag;
		replication->lag_bytes = Max(replication->lag_bytes, standby->lag_bytes);
	}
}

/* Is a standby gone that lagged when it was last seen? */
bool
dbops_replication_misses(const Replication *replication, GoneStandby *gone)
{
	TimestampTz now = dbops_clock_now();
	Seen		seen = recall();

	*gone = (GoneStandby) {.at = seen.at, .lag = seen.lag};
	return replication->standbys < seen.standbys && seen.lag >= LAGS &&
		seen.at <= now && now - seen.at < MISSED_FOR;
}

/* Unless one of them is missed. */
static void
remember_standbys(const Replication *replication)
{
	GoneStandby gone;

	if (dbops_replication_misses(replication, &gone))
		return;
	own_seen.at = dbops_clock_now();
	own_seen.standbys = replication->standbys;
	own_seen.lag = replication->lag;
	if (shared_seen == NULL)
		return;
	LWLockAcquire(shared_seen_lock, LW_EXCLUSIVE);
	shared_seen->at = own_seen.at;
	shared_seen->standbys = own_seen.standbys;
	shared_seen->lag = own_seen.lag;
	LWLockRelease(shared_seen_lock);
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
