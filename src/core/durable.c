/*
 * durable.c
 *		Durability that is waited for when a transaction's locks are gone.
 *
 * At a commit the server waits for synchronous standbys while the transaction still
 * has its locks; with remote_apply for as long as a query there is in the way of
 * one of them. Who commits a step with a strong lock would keep everybody out of
 * the table for that time. So a step is committed on this server alone, and the
 * standbys are waited for then, as long as the session's synchronous_commit asks for.
 */
#include "core/core.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "replication/syncrep.h"

/* Have the commit that comes wait for no standby; true if one is to be waited for after it. */
bool
dbops_durable_put_off(void)
{
	if (synchronous_commit <= SYNCHRONOUS_COMMIT_LOCAL_FLUSH || SyncRepStandbyNames == NULL || SyncRepStandbyNames[0] == '\0')
		return false;
	dbops_set_local("synchronous_commit", "local");
	return true;
}

/* Make what was committed as durable as the session's synchronous_commit asks for. */
void
dbops_durable_await(void)
{
	if (synchronous_commit <= SYNCHRONOUS_COMMIT_OFF || XLogRecPtrIsInvalid(XactLastCommitEnd))
		return;
	XLogFlush(XactLastCommitEnd);

	/* As at a commit, the wait for standbys handles interrupts itself. */
	HOLD_INTERRUPTS();
	SyncRepWaitForLSN(XactLastCommitEnd, true);
	RESUME_INTERRUPTS();
}
