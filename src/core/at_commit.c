/*
 * at_commit.c
 *		What is done when the transaction has committed, and only then.
 *
 * Waking a process before the commit would have it look too early. A callback
 * that was asked for in a subtransaction is forgotten with it. Callbacks run
 * where nothing may fail, so they may only touch shared memory. At PREPARE
 * TRANSACTION they run too, since nobody will be there at COMMIT PREPARED: who
 * is woken too early finds nothing, so what they wake for is looked at again
 * when COMMIT PREPARED is run (maintain/database_commands.c).
 */
#include "core/core.h"

#include "access/xact.h"
#include "utils/memutils.h"

typedef struct AtCommit
{
	struct AtCommit *next;
	SubTransactionId subxact;	/* asked for in this one, or by now its parent */
	DbopsCallback callback;
	void	   *arg;
} AtCommit;

/* In TopTransactionContext; the latest first. */
static AtCommit *waiting = NULL;

static void at_end(XactEvent event, void *arg);
static AtCommit *reverse(AtCommit *list);
static void at_subxact_end(SubXactEvent event, SubTransactionId mine,
						   SubTransactionId parent, void *arg);

/*
 * Call back when the current transaction has committed, in the order of the
 * calls. The same callback with the same argument is called once; arg must last as long as the transaction.
 */
void
dbops_at_commit(DbopsCallback callback, void *arg)
{
	static bool registered = false;
	AtCommit   *entry;

	if (!registered)
	{
		RegisterXactCallback(at_end, NULL);
		RegisterSubXactCallback(at_subxact_end, NULL);
		registered = true;
	}
	for (entry = waiting; entry != NULL; entry = entry->next)
		if (entry->callback == callback && entry->arg == arg &&
			entry->subxact == GetCurrentSubTransactionId())
			return;

	entry = MemoryContextAlloc(TopTransactionContext, sizeof(AtCommit));
	entry->subxact = GetCurrentSubTransactionId();
	entry->callback = callback;
	entry->arg = arg;
	entry->next = waiting;
	waiting = entry;
}

static void
at_end(XactEvent event, void *arg)
{
	AtCommit   *entry = waiting;

	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_PREPARE && event != XACT_EVENT_ABORT)
		return;
	waiting = NULL;
	if (event == XACT_EVENT_ABORT)
		return;
	for (entry = reverse(entry); entry != NULL; entry = entry->next)
		entry->callback(entry->arg);
}

/* Put the earliest first. */
static AtCommit *
reverse(AtCommit *list)
{
	AtCommit   *reversed = NULL;

	while (list != NULL)
	{
		AtCommit   *next = list->next;

		list->next = reversed;
		reversed = list;
		list = next;
	}
	return reversed;
}

/* Forget what a rolled back subtransaction asked for; else it is its parent's. */
static void
at_subxact_end(SubXactEvent event, SubTransactionId mine,
			   SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		while (waiting != NULL && waiting->subxact == mine)
			waiting = waiting->next;
	}
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
	{
		for (AtCommit *entry = waiting; entry != NULL; entry = entry->next)
			if (entry->subxact == mine)
				entry->subxact = parent;
	}
}
