/*
 * vacuum_obstacle.c
 *		Why a table is better not vacuumed now.
 *
 * VACUUM leaves alone what somebody has locked, and cannot remove what an old
 * transaction may still see. Both are found out before it begins, so that a
 * table is not read for nothing hour after hour, and the reason has a name. So
 * is one that the window is too short for: once begun it goes on to its end.
 */
#include "maintain/vacuum.h"

#include "access/multixact.h"
#include "access/relation.h"
#include "access/transam.h"
#include "catalog/catalog.h"
#include "core/server.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/procarray.h"
#include "utils/rel.h"

#define FREEZE_AHEAD	0.8		/* of the age at which wraparound is prevented, as in vacuum_look.c */

static const char *oldest_holder(double since);
static bool is_own(int pid);
static bool freezes_in_vain(const VacuumCandidate *candidate);

/* Who has locked a table against it; NULL: nobody. Keeps the table until the transaction ends. */
const char *
dbops_vacuum_locked(Oid relid)
{
	LOCKTAG		tag;
	char	   *blocker;

	if (ConditionalLockRelationOid(relid, ShareUpdateExclusiveLock))
		return NULL;
	SET_LOCKTAG_RELATION(tag, IsSharedRelation(relid) ? InvalidOid : MyDatabaseId, relid);
	blocker = dbops_blocker(&tag, ShareUpdateExclusiveLock);
	return psprintf("locked by others: %s", blocker != NULL ? blocker : "Nobody any more.");
}

/* Why vacuum would remove or freeze nothing, the table being locked; NULL: it would. */
const char *
dbops_vacuum_in_vain(const VacuumCandidate *candidate)
{
	const VacuumFigures *figures = candidate->figures;
	double		since = (dbops_clock_now() - figures->vacuumed) / (double) USECS_PER_SEC;
	const char *holder;

	if (candidate->freeze)
	{
		if (!freezes_in_vain(candidate))
			return NULL;
		holder = oldest_holder(0);
		return psprintf("its old rows cannot be frozen because of %s", holder != NULL ? holder : "an old transaction");
	}
	if (figures->vacuumed == 0)
		return NULL;
	holder = oldest_holder(since);
	if (holder == NULL)
		return NULL;
	return psprintf("none of the rows that have died since the last VACUUM can be removed because of %s", holder);
}

/* Why it would outlast the window; NULL: it would not, or there is none. */
const char *
dbops_vacuum_too_long(const Policy *policy, const VacuumForecast *forecast)
{
	WindowTimes times;

	dbops_window_times(policy->time_window, policy->time_zone, &times);
	if (forecast->seconds <= times.left)
		return NULL;
	return psprintf("it would take about %s (%.0f pages, at the pace of %s), and the window %s closes in %s%s",
					dbops_figure_duration(forecast->seconds), forecast->pages, forecast->by, policy->time_window,
					dbops_figure_duration(times.left),
					forecast->seconds <= times.whole ? "" : "; nor is the next one long enough");
}

/* Who has kept dead rows from being removed for so many seconds at least; NULL: nobody. */
static const char *
oldest_holder(double since)
{
	HorizonHolder oldest;

	dbops_horizon_oldest(is_own, &oldest);
	if (oldest.name == NULL || oldest.age < since)
		return NULL;
	return psprintf("%s, for %s", oldest.name, dbops_figure_duration(oldest.age));
}

static bool
is_own(int pid)
{
	return pid == MyProcPid;
}

/* Would its oldest id be too old afterwards, too? */
static bool
freezes_in_vain(const VacuumCandidate *candidate)
{
	const VacuumFigures *figures = candidate->figures;
	VacuumThresholds thresholds;
	Relation	relation;
	int32		xid_age;
	int32		mxid_age;

	if (!dbops_vacuum_thresholds(figures->relid, InvalidOid, &thresholds))
		return false;
	relation = try_relation_open(figures->relid, NoLock);
	if (relation == NULL)
		return false;
	xid_age = (int32) (XidFromFullTransactionId(ReadNextFullTransactionId()) - GetOldestNonRemovableTransactionId(relation));
	mxid_age = (int32) (ReadNextMultiXactId() - GetOldestMultiXactId());
	relation_close(relation, NoLock);
	return xid_age > FREEZE_AHEAD * thresholds.xid_age || mxid_age > FREEZE_AHEAD * thresholds.mxid_age;
}
