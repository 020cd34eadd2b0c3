/*
 * standbys.c
 *		Who receives WAL from this server, and how far behind they are.
 *
 * An idle server must not look as if it lagged: who has applied all that was
 * written is 0 s behind, however long ago the last commit was.
 */
#include "core/server.h"

#include <math.h>

#include "access/xlog.h"
#include "access/xlogrecovery.h"
#include "replication/slot.h"
#include "replication/walsender.h"
#include "replication/walsender_private.h"
#include "storage/spin.h"
#include "utils/backend_status.h"

static bool read_sender(WalSnd *sender, XLogRecPtr written, Standby *standby);
static double lag_of(XLogRecPtr reached, TimeOffset measured);
static bool decodes(int pid);

/* Up to where there is WAL for others on this server. */
XLogRecPtr
dbops_written(void)
{
	return RecoveryInProgress() ? GetXLogReplayRecPtr(NULL) : GetFlushRecPtr(NULL);
}

/* Look at all of them; a base backup is none. List of Standby *. */
List *
dbops_standbys_read(XLogRecPtr written)
{
	List	   *standbys = NIL;

	for (int i = 0; i < max_wal_senders; i++)
	{
		Standby		standby;

		if (read_sender(&WalSndCtl->walsnds[i], written, &standby))
		{
			Standby    *copy = palloc(sizeof(Standby));

			*copy = standby;
			copy->logical = decodes(standby.pid);
			standbys = lappend(standbys, copy);
		}
	}
	return standbys;
}

/* Read the lag of one standby; false if the slot serves none. */
static bool
read_sender(WalSnd *sender, XLogRecPtr written, Standby *standby)
{
	WalSndState state;
	TimeOffset	measured;

	SpinLockAcquire(&sender->mutex);
	standby->pid = sender->pid;
	state = sender->state;
	/* What only receives, as pg_receivewal does, never applies. */
	standby->applies = !XLogRecPtrIsInvalid(sender->apply);
	standby->reached = standby->applies ? sender->apply : sender->flush;
	measured = sender->applyLag;
	SpinLockRelease(&sender->mutex);

	if (standby->pid == 0 || state == WALSNDSTATE_BACKUP || XLogRecPtrIsInvalid(standby->reached))
		return false;
	standby->lag_bytes = (written > standby->reached) ? written - standby->reached : 0;
	standby->lag = (standby->lag_bytes == 0) ? 0 : lag_of(standby->reached, measured);
	return true;
}

/*
 * What the sender measured is of the last reply that told something new, and
 * says nothing of a standby that is stuck: then it is as late as what it has not
 * reached is old.
 */
static double
lag_of(XLogRecPtr reached, TimeOffset measured)
{
	double		since = dbops_past_since_written(reached);

	if (measured < 0 && since == 0)
		return NAN;
	return Max(since, measured / (double) USECS_PER_SEC);
}

/* Does a process use a logical slot? */
static bool
decodes(int pid)
{
	bool		found = false;

	LWLockAcquire(ReplicationSlotControlLock, LW_SHARED);
	for (int i = 0; i < max_replication_slots && !found; i++)
	{
		ReplicationSlot *slot = &ReplicationSlotCtl->replication_slots[i];

		found = slot->in_use && slot->active_pid == pid && SlotIsLogical(slot);
	}
	LWLockRelease(ReplicationSlotControlLock);
	return found;
}

/* How a sender's receiver calls itself; NULL if the process is none. */
const char *
dbops_standby_name(int pid)
{
	int			n = pgstat_fetch_stat_numbackends();

	for (int i = 1; i <= n; i++)
	{
		PgBackendStatus *status = &pgstat_get_local_beentry_by_index(i)->backendStatus;

		if (status->st_procpid == pid && status->st_backendType == B_WAL_SENDER)
			return pstrdup(status->st_appname);
	}
	return NULL;
}
