/*
 * alert_deliver.c
 *		Write alerts down and tell of them.
 *
 * One process of a database does that at a time, in one transaction: the rows,
 * the history, the notifications and the jobs that call the user's function
 * come together, or stay to be done by the next. The home database also tells
 * of what happened in others; it is written down there.
 */
#include "observe/alert.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/async.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#define CHANNEL			"dbops_alert"

/* What a transaction has taken, once it commits. */
typedef struct Delivery
{
	bool		home;
	List	   *news;			/* of AlertNews * */
	List	   *stored;			/* of AlertEntry * */
} Delivery;

static void deliver_one(const AlertNews *news, bool home);
static void confirm(void *arg);

/*
 * Load what is not known here yet, then write down and tell what is. For who
 * can write; it is the caller's transaction.
 */
void
dbops_alert_deliver(void)
{
	MemoryContext before = MemoryContextSwitchTo(TopTransactionContext);
	Delivery   *delivery = palloc0(sizeof(Delivery));
	ListCell   *cell;

	delivery->home = dbops_alert_is_home();
	delivery->stored = dbops_alert_memory_unstored(MyDatabaseId, delivery->home);
	delivery->news = dbops_alert_memory_news(MyDatabaseId, delivery->home);
	MemoryContextSwitchTo(before);

	dbops_alert_store_save(delivery->stored);
	foreach(cell, delivery->news)
		deliver_one(lfirst(cell), delivery->home);
	if (delivery->stored == NIL && delivery->news == NIL)
		return;
	dbops_at_commit(confirm, delivery);
	ForceSyncCommit();			/* what was told is not to be told again after a crash */
}

/* Is this where the cluster's alerts are written down? A session with a memory of its own has no other place. */
bool
dbops_alert_is_home(void)
{
	return dbops_alert_memory_is_own() || dbops_home_database() == MyDatabaseId;
}

static void
deliver_one(const AlertNews *news, bool home)
{
	bool		ours = OidIsValid(news->entry.database) ? news->entry.database == MyDatabaseId : home;
	int64		id;
	Jsonb	   *payload;

	if (ours && !news->for_own)
		return;					/* told here already, before this was home */
	id = ours ? dbops_alert_store_next_id() : 0;
	payload = news->step.tell ? dbops_alert_payload(id, news) : NULL;
	if (ours)
		dbops_alert_store_history(id, news, payload);
	if (payload != NULL)
	{
		const char *text = JsonbToCString(NULL, &payload->root, VARSIZE(payload));

		Async_Notify(CHANNEL, text);
		dbops_alert_function_call(text);
	}
}

static void
confirm(void *arg)
{
	const Delivery *delivery = arg;

	dbops_alert_memory_taken(delivery->news, delivery->stored, MyDatabaseId, delivery->home);
}

/* Have this transaction be the only one that looks after the alerts of this database. */
void
dbops_alert_deliver_alone(void)
{
	LockDatabaseObject(RelationRelationId,
					   get_relname_relid("alert", get_namespace_oid("dbops", false)), 0, ExclusiveLock);
}
