/*
 * alert_deliver.c
 *		Write alerts down and tell of them.
 *
 * One process of a database does that at a time, in one transaction: the rows,
 * the history, the notifications and the jobs that call the user's function
 * come together, or stay to be done by the next. The home database also tells
 * of what happened in others; it is written down there.
 *
 * That is a scheduler, whose transactions are short and do not wait for
 * standbys. A session's may last, fail or be prepared, so it leaves what it has
 * found to the scheduler, unless there will be none.
 */
#include "observe/alert.h"

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "commands/async.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#define CHANNEL			"dbops_alert"
#define WAIT_AGAIN		10		/* ms between two tries to be alone */
#define MOST_TRIES		1000

/* What a transaction has taken, once it commits. */
typedef struct Delivery
{
	bool		home;
	List	   *news;			/* of AlertNews * */
	List	   *stored;			/* of AlertEntry * */
} Delivery;

static void deliver_one(const AlertNews *news, bool home, const List *grouped);
static bool is_stood_for(const AlertNews *news, const List *grouped);
static void notify(Jsonb *payload);
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
	List	   *grouped = NIL;
	ListCell   *cell;

	delivery->home = dbops_alert_is_home();
	if (delivery->home && !dbops_alert_memory_is_own())
		grouped = dbops_alert_group_databases();
	delivery->stored = dbops_alert_memory_unstored(MyDatabaseId, delivery->home);
	delivery->news = dbops_alert_news(MyDatabaseId, delivery->home);
	MemoryContextSwitchTo(before);

	dbops_alert_store_save(delivery->stored);
	foreach(cell, delivery->news)
		deliver_one(lfirst(cell), delivery->home, grouped);
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
deliver_one(const AlertNews *news, bool home, const List *grouped)
{
	bool		ours = OidIsValid(news->entry.database) ? news->entry.database == MyDatabaseId : home;
	int64		id;
	Jsonb	   *payload;

	if (ours ? !news->for_own : is_stood_for(news, grouped))
		return;					/* told here already, before this was home, or as one with others */
	id = ours ? dbops_alert_store_next_id() : 0;
	payload = news->step.tell ? dbops_alert_payload(id, news) : NULL;
	if (ours)
		dbops_alert_store_history(id, news, payload);
	if (payload == NULL)
		return;
	if (dbops_alert_notify == DBOPS_NOTIFY_FULL)
		notify(payload);
	else if (dbops_alert_notify == DBOPS_NOTIFY_BRIEF)
		notify(dbops_alert_brief(id, news));
	dbops_alert_function_call(JsonbToCString(NULL, &payload->root, VARSIZE(payload)));
}

/* Is there an alert about many databases that has told this one? */
static bool
is_stood_for(const AlertNews *news, const List *grouped)
{
	ListCell   *cell;

	foreach(cell, grouped)
		if (strcmp(lfirst(cell), news->entry.check_name) == 0)
			return !news->handed;
	return false;
}

static void
notify(Jsonb *payload)
{
	Async_Notify(CHANNEL, JsonbToCString(NULL, &payload->root, VARSIZE(payload)));
}

static void
confirm(void *arg)
{
	const Delivery *delivery = arg;

	dbops_alert_news_taken(delivery->news, MyDatabaseId, delivery->home);
	dbops_alert_memory_stored(delivery->stored);
}

/* Is there nobody in the background who delivers what a session has found? */
bool
dbops_alert_deliver_here(void)
{
	return dbops_alert_memory_is_own() || !dbops_enabled;
}

/* Have this transaction be the only one that delivers the alerts of this database; false: there is another. */
bool
dbops_alert_deliver_alone(void)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, RelationRelationId,
					   dbops_alert_table(), 0);
	return LockAcquire(&tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

/* The same, once the other has ended, for a session that nobody delivers for. */
void
dbops_alert_await_turn(void)
{
	for (int i = 0; !dbops_alert_deliver_alone(); i++)
	{
		if (i == MOST_TRIES)
			ereport(ERROR,
					(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					 errmsg("another transaction evaluates the alerts of this database"),
					 errhint("Try again when it has ended: SELECT pid, granted FROM pg_locks WHERE locktype = 'object' AND objid = 'dbops.alert'::regclass;")));
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, WAIT_AGAIN, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}
