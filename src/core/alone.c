/*
 * alone.c
 *		Run a statement of ours at top level that is only right as long as its
 *		table is as it was when it was judged.
 *
 * What has been cut off is removed by statements that can share no transaction,
 * and what they are to remove may be the work of another session by the time
 * that they run. Any such work has its table locked for as long as it takes. So
 * the table is locked for the session, and then it is judged again; an error
 * gives the lock back.
 */
#include "core/sql.h"

#include "core/job.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "utils/inval.h"

static void run(const DbopsAlone *alone);

/*
 * Run it if it is still right, with the session's lock_timeout set until the job
 * ends. Waits for the table as long as autovacuum may need to leave it. Needs a transaction, and
 * is in one when it returns.
 */
void
dbops_alone_run(const DbopsAlone *alone)
{
	LOCKTAG		tag;

	dbops_job_setting_put("lock_timeout", psprintf("%d", DBOPS_TABLE_PATIENCE));
	SET_LOCKTAG_RELATION(tag, MyDatabaseId, alone->table);
	(void) LockAcquire(&tag, ShareUpdateExclusiveLock, true, false);
	AcceptInvalidationMessages();
	if (alone->is_right(alone->arg))
		run(alone);
	LockRelease(&tag, ShareUpdateExclusiveLock, true);
}

static void
run(const DbopsAlone *alone)
{
	RawStmt    *raw = linitial_node(RawStmt, dbops_sql_parse(alone->sql, RAW_PARSE_DEFAULT));

	dbops_job_setting_put("lock_timeout", psprintf("%ld", alone->lock_timeout));
	(void) dbops_sql_run_own(raw, alone->sql, true);
}
