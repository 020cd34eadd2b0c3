/*
 * batch.c
 *		Do the work of a batch as the owner of its table, or give way.
 *
 * A batch runs in a subtransaction of the step's transaction, which waits for
 * others' locks only briefly and gives way in a deadlock; see polite.c. What it
 * has met is for the caller to judge.
 */
#include "core/batch.h"

#include "access/xact.h"
#include "commands/trigger.h"
#include "executor/instrument.h"
#include "utils/resowner.h"

static void attempt(const DbopsBatchWork *work, DbopsBatch *batch);

/*
 * Do the work, and note what it took; the error, in the caller's memory, if it
 * has failed and was rolled back. A statement timeout covers each batch, not
 * the whole call.
 */
ErrorData *
dbops_batch_attempt(const DbopsBatchWork *work, DbopsBatch *batch)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;
	uint64		wal = pgWalUsage.wal_bytes;
	instr_time	begin;
	instr_time	took;

	INSTR_TIME_SET_CURRENT(begin);
	dbops_clock_restart_timeouts();
	BeginInternalSubTransaction(NULL);	/* and work in its memory */
	PG_TRY();
	{
		attempt(work, batch);
	}
	PG_CATCH();
	{
		dbops_polite_watch_end();
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;

	INSTR_TIME_SET_CURRENT(took);
	INSTR_TIME_SUBTRACT(took, begin);
	batch->ms = INSTR_TIME_GET_MILLISEC(took);
	batch->wal = pgWalUsage.wal_bytes - wal;
	batch->delays_commits = dbops_polite_commits_wait();
	return error;
}

static void
attempt(const DbopsBatchWork *work, DbopsBatch *batch)
{
	dbops_polite_watch_begin(batch->most_ms);
	dbops_run_as(work->owner, work->callback, work->arg);
	dbops_polite_refuse_uncut();
	dbops_polite_watch_end();
	batch->waited_for = work->changes && dbops_polite_is_waited_for(work->relid);
	if (work->changes)
		ReleaseCurrentSubTransaction();
	else
		RollbackAndReleaseCurrentSubTransaction();	/* gives the locks back */
}

/*
 * Have deferred constraints checked with the batch, which is all of its
 * transaction, so that a row that breaks one is found.
 */
void
dbops_batch_check_at_once(void)
{
	ConstraintsSetStmt all = {.type = T_ConstraintsSetStmt,.constraints = NIL,.deferred = false};

	AfterTriggerSetState(&all);
}
