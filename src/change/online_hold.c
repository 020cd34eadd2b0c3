/*
 * online_hold.c
 *		What holds only as long as a process is at work on a change.
 *
 * From the look of finish_change() at all rows up to the swap, a write of a value
 * that cannot be converted has to be an error. Who gives up, is cancelled, paused or
 * killed must not leave it so. So the trigger, told by an argument that it may be
 * strict, is so while somebody holds the advisory lock of the change, which is one
 * of the session: it passes with the process, however that ends, and the
 * engine gives it back when that only leaves the job. SQL knows the classes 1 and 2 of such
 * locks; of this one nobody else can have a part.
 *
 * No writer that found the lock free comes between look and swap. It looks while
 * it has its table in ROW EXCLUSIVE mode, which it keeps until its transaction, or
 * what of that it takes back, ends. The process takes the advisory lock first, and
 * then the table, with all partitions, in SHARE ROW EXCLUSIVE mode, to make the
 * trigger anew. So it waits for all who looked before, and the look at the rows,
 * which comes later, sees what they have written; who has the table later finds the
 * lock taken. A process that takes over a job does not hold what the one before it
 * held: it goes back to the step that takes the lock, and looks again.
 */
#include "change/online.h"

#include "miscadmin.h"
#include "storage/lock.h"

#define CLASS_AT_WORK	3		/* of advisory locks; those of SQL are 1 and 2 */

static LOCKTAG tag_of(int64 change);

static int64 held = 0;			/* by this process; 0: none */

/* This process is at work on a change from now on; it waits only for those that are looking whether it is. */
void
dbops_online_hold(int64 change)
{
	LOCKTAG		tag = tag_of(change);

	if (held == change)
		return;
	dbops_online_leave();
	(void) LockAcquire(&tag, ExclusiveLock, true, false);
	held = change;
}

static LOCKTAG
tag_of(int64 change)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) (change >> 32), (uint32) change, CLASS_AT_WORK);
	return tag;
}

/* It is not any more. */
void
dbops_online_leave(void)
{
	LOCKTAG		tag = tag_of(held);

	if (held == 0)
		return;
	held = 0;
	(void) LockRelease(&tag, ExclusiveLock, true);
}

/* Is any process? Asked by who has the table that is changed locked in ROW EXCLUSIVE mode. */
bool
dbops_online_is_held(int64 change)
{
	LOCKTAG		tag = tag_of(change);

	if (held == change)
		return true;
	if (LockAcquire(&tag, ShareLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
		return true;
	(void) LockRelease(&tag, ShareLock, false);
	return false;
}
