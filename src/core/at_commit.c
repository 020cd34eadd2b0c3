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
 *
 * What makes something count is not done at PREPARE, as that may be rolled back:
 * either it is found again at COMMIT PREPARED, or such a transaction cannot be
 * prepared.
 */
#include "core/core.h"

#include "access/xact.h"
#include "utils/memutils.h"

typedef struct AtCommit
{
	struct AtCommit *next;
	SubTransactionId subxact;	/* asked for in this one, or by now its parent */
	bool		only;			/* not at PREPARE */
	const char *refusal;		/* what the transaction has done that keeps it from that; or NULL */
	DbopsCallback callback;
	void	   *arg;
} AtCommit;

/* In TopTransactionContext; the latest first. */
static AtCommit *waiting = NULL;

static AtCommit *add(DbopsCallback callback, void *arg);
static void at_end(XactEvent event, void *arg);
static void refuse_prepare(void);
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
	(void) add(callback, arg);
}

/*
 * The same, but not at PREPARE, which fails where there is a refusal: what the
 * transaction has done, to follow "a transaction that has". It must last likewise.
 */
void
dbops_at_commit_only(DbopsCallback callback, void *arg, const char *refusal)
{
	AtCommit   *entry = add(callback, arg);

	entry->only = true;
	entry->refusal = refusal;
}

static AtCommit *
add(DbopsCallback callback, void *arg)
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
			return entry;

	entry = MemoryContextAllocZero(TopTransactionContext, sizeof(AtCommit));
	entry->subxact = GetCurrentSubTransactionId();
	entry->callback = callback;
	entry->arg = arg;
	entry->next = waiting;
	waiting = entry;
	return entry;
}

static void
at_end(XactEvent event, void *arg)
{
	AtCommit   *entry = waiting;

	if (event == XACT_EVENT_PRE_PREPARE)
		refuse_prepare();
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_PREPARE && event != XACT_EVENT_ABORT)
		return;
	waiting = NULL;
	if (event == XACT_EVENT_ABORT)
		return;
	for (entry = reverse(entry); entry != NULL; entry = entry->next)
		if (event == XACT_EVENT_COMMIT || !entry->only)
			entry->callback(entry->arg);
}

/* Nobody could do at COMMIT PREPARED what is to be done. */
static void
refuse_prepare(void)
{
	for (const AtCommit *entry = waiting; entry != NULL; entry = entry->next)
		if (entry->refusal != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot PREPARE a transaction that has %s", entry->refusal),
					 errhint("Do that in a transaction of its own, and COMMIT it.")));
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
