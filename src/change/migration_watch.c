/*
 * migration_watch.c
 *		Watch a statement at work: what it does, as the server itself says.
 *
 * While a statement runs, what the server does is seen by hooks, and what it says
 * is heard in its log, whose level is lowered for that. What can be counted or
 * looked at from outside is so before and after. All of it makes the receipt.
 *
 * Waits for locks are told about in the log too, when they have taken as long
 * as deadlock_timeout, which is shortened. So a migration finds a deadlock
 * before the application does, and gives way.
 *
 * Watches nest: a statement can call a function that applies a migration. What
 * is done belongs to all of them. The hooks look at one pointer when nothing is
 * watched.
 */
#include "change/migration_watch.h"

#include "access/xact.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#define SHORT_WAIT 10			/* ms; waits for locks that are shorter are not counted */

Watch	   *dbops_watched = NULL;

static void begin(Watch *watch);
static void look_back(Watch *watch, MigrationReceipt *receipt);

void
dbops_migration_watch_init(void)
{
	dbops_watch_see_init();
	dbops_watch_hear_init();
}

/*
 * Call back, and fill in what of the receipt can be seen from outside; what
 * only the callback knows, such as the number of rows, it fills in itself.
 */
void
dbops_migration_watch(MigrationReceipt *receipt, DbopsCallback work, void *arg)
{
	Watch		watch = {0};
	int			nest_level = NewGUCNestLevel();

	begin(&watch);
	dbops_set_nested("dbops.watched_log_level", psprintf("%d", watch.log.level));
	dbops_set_nested("log_min_messages", "debug1");
	dbops_set_nested("log_lock_waits", "on");
	dbops_set_nested("deadlock_timeout",
					 psprintf("%d", Min(watch.log.deadlock_timeout, SHORT_WAIT)));
	PG_TRY();
	{
		dbops_watched = &watch;
		work(arg);
	}
	PG_FINALLY();
	{
		dbops_watched = watch.outer;
	}
	PG_END_TRY();
	look_back(&watch, receipt);
	AtEOXact_GUC(true, nest_level);
	dbops_watch_describe(&watch, receipt);
	MemoryContextDelete(watch.memory);
}

/*
 * The same for a statement that is alone in its transactions. Nested settings
 * would end with the first of them, and a session's would outlive an error, so
 * the server's variables are set themselves. Who runs it has a deadlock looked for
 * (blocker.c). The memory of the caller must outlive the transaction.
 */
void
dbops_migration_watch_alone(MigrationReceipt *receipt, DbopsCallback work, void *arg)
{
	Watch		watch = {0};
	LogSettings log = {log_min_messages, log_lock_waits, DeadlockTimeout};

	begin(&watch);
	watch.nest_level = 0;
	log_min_messages = DEBUG1;
	log_lock_waits = true;
	PG_TRY();
	{
		dbops_watched = &watch;
		work(arg);
	}
	PG_FINALLY();
	{
		dbops_watched = watch.outer;
		log_min_messages = log.level;
		log_lock_waits = log.waits;
	}
	PG_END_TRY();
	look_back(&watch, receipt);
	dbops_watch_describe(&watch, receipt);
	MemoryContextDelete(watch.memory);
}

static void
begin(Watch *watch)
{
	MemoryContext caller = CurrentMemoryContext;

	watch->memory = AllocSetContextCreate(caller, "migration watch", ALLOCSET_SMALL_SIZES);
	MemoryContextSwitchTo(watch->memory);
	watch->before = dbops_locks_held();
	watch->seen = watch->before;
	MemoryContextSwitchTo(caller);

	watch->log.level = log_min_messages;
	watch->log.waits = log_lock_waits;
	watch->log.deadlock_timeout = DeadlockTimeout;
	if (dbops_watched != NULL)
		watch->log = dbops_watched->log;
	watch->events.memory = watch->memory;
	watch->nest_level = GetCurrentTransactionNestLevel();
	watch->command = GetCurrentCommandId(false);
	watch->outer = dbops_watched;
	watch->wal = pgWalUsage;
	INSTR_TIME_SET_CURRENT(watch->began);
}

/* Look at what can be seen when the statement has ended. */
static void
look_back(Watch *watch, MigrationReceipt *receipt)
{
	instr_time	duration;

	INSTR_TIME_SET_CURRENT(duration);
	INSTR_TIME_SUBTRACT(duration, watch->began);
	receipt->duration = INSTR_TIME_GET_MILLISEC(duration);
	receipt->wal = pgWalUsage.wal_bytes - watch->wal.wal_bytes;
	receipt->waited = watch->waited;
	dbops_locks_count_blocked(&receipt->blocked_sessions, &receipt->blocked_for);
	dbops_watch_see_locks(watch);
	CommandCounterIncrement();
	watch->writes = GetCurrentCommandId(false) != watch->command;
}

/* Look at the locks that are held now. Those that were seen before are kept in mind. */
void
dbops_watch_see_locks(Watch *watch)
{
	MemoryContext caller = MemoryContextSwitchTo(watch->memory);
	HeldLocks  *held = dbops_locks_held();
	HeldLocks  *seen = dbops_locks_join(watch->seen, held);

	dbops_locks_free(held);
	if (watch->seen != watch->before)
		dbops_locks_free(watch->seen);
	watch->seen = seen;
	MemoryContextSwitchTo(caller);
}
