/*
 * counters.c
 *		This database's counters, and how far the cluster's ids have run.
 *
 * All of it stands in shared memory. The limits are the ones that the server
 * itself acts on, not the arithmetic of a monitoring query.
 */
#include "observe/observe.h"

#include "access/multixact.h"
#include "access/transam.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/autovacuum.h"
#include "storage/lwlock.h"

/* As SetMultiXactIdLimit() sets them; the server keeps them to itself. */
#define MULTIXACT_WRAP_AGE		(MaxMultiXactId >> 1)
#define MULTIXACT_WARN_MARGIN	40000000
#define MULTIXACT_STOP_MARGIN	3000000

/* Read the counters of a database; without one there are none. */
void
dbops_counters_read(Oid database, Counters *counters)
{
	PgStat_StatDBEntry *entry = OidIsValid(database) ? pgstat_fetch_stat_dbentry(database) : NULL;

	if (entry == NULL)
		return;
	counters->blocks_fetched = stat_database_counter(entry, blocks_fetched);
	counters->blocks_hit = stat_database_counter(entry, blocks_hit);
	counters->deadlocks = stat_database_counter(entry, deadlocks);
	counters->since = entry->stat_reset_timestamp;
}

/* Read how far transaction ids and multixact ids are from their limits. */
void
dbops_ages_read(Ages *ages)
{
	MultiXactId oldest;
	MultiXactId next;

	LWLockAcquire(XidGenLock, LW_SHARED);
	{
		TransactionId xid = TransamVariables->oldestXid;

		ages->xid_age = XidFromFullTransactionId(TransamVariables->nextXid) - xid;
		ages->xid_warn_age = TransamVariables->xidWarnLimit - xid;
		ages->xid_stop_age = TransamVariables->xidStopLimit - xid;
		ages->xid_database = TransamVariables->oldestXidDB;
	}
	LWLockRelease(XidGenLock);
	ages->xid_freeze_age = autovacuum_freeze_max_age;

	ReadMultiXactIdRange(&oldest, &next);
	ages->multixact_age = next - oldest;
	ages->multixacts_given = next;
	ages->multixact_freeze_age = autovacuum_multixact_freeze_max_age;
	ages->multixact_warn_age = MULTIXACT_WRAP_AGE - MULTIXACT_WARN_MARGIN;
	ages->multixact_stop_age = MULTIXACT_WRAP_AGE - MULTIXACT_STOP_MARGIN;

	/* Vacuum is forced earlier as the space of their members runs out; a
	 * standby does not keep track of that space. */
	ages->multixact_members_low = !RecoveryInProgress() &&
		MultiXactMemberFreezeThreshold() < autovacuum_multixact_freeze_max_age;
}
