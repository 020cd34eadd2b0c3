/*
 * heartbeat.c
 *		A sign of life in the WAL, and where it stood when.
 *
 * A standby knows how old the last commit is that it has replayed. When nobody
 * writes, that says nothing of its lag. So an empty transaction is committed
 * every dbops.heartbeat, without waiting for the disk: it costs one transaction
 * id and some ten bytes of WAL, and no table. With each beat it is noted how far
 * the WAL has come (past.c), from which a position can be told the time.
 *
 * A standby notes how far it has replayed, and beats not.
 */
#include "core/server.h"

#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"

static void beat(void *arg);
static bool ids_are_short(void);

static const DbopsTick heartbeat = {.name = "heartbeat", .every_setting = &dbops_heartbeat, .run = beat};

/* Have the launcher beat. */
void
dbops_heartbeat_init(void)
{
	dbops_tick_register(&heartbeat);
}

/* A transaction that has written nothing is committed asynchronously, whatever the settings. */
static void
beat(void *arg)
{
	dbops_past_mark();
	if (!RecoveryInProgress() && !ids_are_short())
		(void) GetTopTransactionId();
}

/* Where the server complains that its ids run out, none is spent. */
static bool
ids_are_short(void)
{
	bool		short_of;

	LWLockAcquire(XidGenLock, LW_SHARED);
	short_of = TransactionIdFollowsOrEquals(XidFromFullTransactionId(TransamVariables->nextXid),
											TransamVariables->xidWarnLimit);
	LWLockRelease(XidGenLock);
	return short_of;
}
