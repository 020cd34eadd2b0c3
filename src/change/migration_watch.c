/*
 * migration_watch.c
 *		Watch a statement at work: what it does, as the server itself says.
 *
 * Whether a statement scans a table, rewrites it or builds an index, the
 * server decides while it runs, and says so in messages for the log at
 * debug1. So the log's level is lowered for the statement, and a hook takes
 * the messages and keeps from the log what would not have come there. They are
 * told by the texts in the server's source, which no locale translates.
 *
 * Waits for locks are told about in the log too, when they have taken as long
 * as deadlock_timeout, which is shortened. So a migration finds a deadlock
 * before the application does, and gives way.
 *
 * Watches nest: a statement can call a function that applies a migration. What
 * is done belongs to all of them. The hooks look at one pointer when nothing is
 * watched. They run where an error may already be on its way, so they neither
 * look into the catalog nor fail for want of memory.
 */
#include "change/migration_watch.h"

#include "access/xact.h"
#include "executor/instrument.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timeout.h"

#define KEPT_NOTICES 100		/* of a statement */
#define KEPT_BYTES 1000			/* of a notice */
#define SHORT_WAIT 10			/* ms; waits for locks that are shorter are not counted */

/* How the log is set where nothing is watched. */
typedef struct LogSettings
{
	int			level;
	bool		waits;
	int			deadlock_timeout;	/* ms */
} LogSettings;

/* A text that the server has said. The latest is the first of its list. */
typedef struct Note
{
	slist_node	link;
	const char *message_id;		/* in the server's source; or NULL */
	char		text[FLEXIBLE_ARRAY_MEMBER];
} Note;

typedef struct Watch
{
	struct Watch *outer;
	MemoryContext memory;		/* of the notes */
	LogSettings log;
	int			nest_level;		/* of the settings that are changed for it */
	instr_time	began;
	WalUsage	wal;
	HeldLocks  *before;
	HeldLocks  *seen;			/* held at any time that was looked at */
	double		waited;			/* ms */
	slist_head	notices;
	int			n_notices;
} Watch;

/* The innermost one; NULL: nothing is watched. */
static Watch *watched = NULL;
static emit_log_hook_type previous_log_hook = NULL;

static void begin(Watch *watch);
static void set_log(Watch *watch);
static void end(Watch *watch, MigrationReceipt *receipt);
static void end_wait(Watch *watch);
static Jsonb *describe_locks(const Watch *watch);
static bool is_told(const Watch *watch, const HeldLock *lock);
static const char *strongest_mode(LOCKMASK modes);
static List *list_notices(Watch *watch);
static void hear(ErrorData *error);
static void note(Watch *watch, const ErrorData *error);
static void note_notice(Watch *watch, const ErrorData *error);
static void note_text(MemoryContext memory, slist_head *list, const char *message_id,
					  const char *prefix, const char *text);
static bool ends_wait(const ErrorData *error);
static bool is_logged(const LogSettings *log, const ErrorData *error);
static bool reaches(int level, int least);

void
dbops_migration_watch_init(void)
{
	previous_log_hook = emit_log_hook;
	emit_log_hook = hear;
}

/*
 * Call back, and fill in what of the receipt can be seen from outside; what
 * only the callback knows, such as the number of rows, it fills in itself.
 */
void
dbops_migration_watch(MigrationReceipt *receipt, DbopsCallback work, void *arg)
{
	Watch		watch = {0};

	begin(&watch);
	PG_TRY();
	{
		work(arg);
	}
	PG_FINALLY();
	{
		watched = watch.outer;
	}
	PG_END_TRY();
	end(&watch, receipt);
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

	set_log(watch);
	watch->outer = watched;
	watch->wal = pgWalUsage;
	INSTR_TIME_SET_CURRENT(watch->began);
	watched = watch;
}

static void
set_log(Watch *watch)
{
	watch->log.level = log_min_messages;
	watch->log.waits = log_lock_waits;
	watch->log.deadlock_timeout = DeadlockTimeout;
	if (watched != NULL)
		watch->log = watched->log;

	watch->nest_level = NewGUCNestLevel();
	dbops_set_nested("log_min_messages", "debug1");
	dbops_set_nested("log_lock_waits", "on");
	dbops_set_nested("deadlock_timeout",
					 psprintf("%d", Min(watch->log.deadlock_timeout, SHORT_WAIT)));
}

static void
end(Watch *watch, MigrationReceipt *receipt)
{
	instr_time	duration;
	MemoryContext caller;

	INSTR_TIME_SET_CURRENT(duration);
	INSTR_TIME_SUBTRACT(duration, watch->began);
	receipt->duration = INSTR_TIME_GET_MILLISEC(duration);
	receipt->wal = pgWalUsage.wal_bytes - watch->wal.wal_bytes;
	receipt->waited = watch->waited;
	dbops_locks_count_blocked(&receipt->blocked_sessions, &receipt->blocked_for);
	AtEOXact_GUC(true, watch->nest_level);

	caller = MemoryContextSwitchTo(watch->memory);
	watch->seen = dbops_locks_join(watch->seen, dbops_locks_held());
	MemoryContextSwitchTo(caller);

	CommandCounterIncrement();
	receipt->locks = describe_locks(watch);
	receipt->notices = list_notices(watch);
}

/* Tell the strongest mode held on each relation that the statement has locked. */
static Jsonb *
describe_locks(const Watch *watch)
{
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	for (int i = 0; i < watch->seen->n; i++)
	{
		const HeldLock *lock = &watch->seen->locks[i];

		if (is_told(watch, lock))
			dbops_json_text(&json,
							dbops_quote_qualified(get_namespace_name(get_rel_namespace(lock->relid)),
												  get_rel_name(lock->relid)),
							strongest_mode(lock->modes));
	}
	return dbops_json_finish(&json);
}

static bool
is_told(const Watch *watch, const HeldLock *lock)
{
	return (lock->modes & ~dbops_locks_on(watch->before, lock->relid)) != 0 &&
		lock->relid >= FirstNormalObjectId &&
		get_rel_name(lock->relid) != NULL;
}

static const char *
strongest_mode(LOCKMASK modes)
{
	LOCKMODE	mode = MaxLockMode;

	while ((modes & LOCKBIT_ON(mode)) == 0)
		mode--;
	return GetLockmodeName(DEFAULT_LOCKMETHOD, mode);
}

static List *
list_notices(Watch *watch)
{
	List	   *notices = NIL;
	slist_iter	iter;

	slist_foreach(iter, &watch->notices)
		notices = lcons(pstrdup(slist_container(Note, link, iter.cur)->text), notices);
	if (watch->n_notices > KEPT_NOTICES)
		notices = lappend(notices, psprintf("and %d more", watch->n_notices - KEPT_NOTICES));
	return notices;
}

/* Take what the server says, and keep from the log what would not have come there. */
static void
hear(ErrorData *error)
{
	if (watched != NULL && error->elevel < ERROR && CritSectionCount == 0)
	{
		for (Watch *watch = watched; watch != NULL; watch = watch->outer)
			note(watch, error);
		error->output_to_server = is_logged(&watched->log, error);
	}
	if (previous_log_hook != NULL && error->output_to_server)
		previous_log_hook(error);
}

static void
note(Watch *watch, const ErrorData *error)
{
	if (ends_wait(error))
		end_wait(watch);
	else if (error->elevel >= INFO && error->elevel <= WARNING)
		note_notice(watch, error);
}

/* Keep a notice, with its severity; only the first ones, and not all of a long one. */
static void
note_notice(Watch *watch, const ErrorData *error)
{
	if (watch->n_notices++ < KEPT_NOTICES)
		note_text(watch->memory, &watch->notices, NULL,
				  error_severity(error->elevel), error->message);
}

/* Keep a text; where there is no memory for it, not. */
static void
note_text(MemoryContext memory, slist_head *list, const char *message_id,
		  const char *prefix, const char *text)
{
	int			length = pg_mbcliplen(text, strlen(text), KEPT_BYTES);
	Size		size = strlen(prefix) + length + sizeof(": ");
	Note	   *note = MemoryContextAllocExtended(memory, offsetof(Note, text) + size,
												  MCXT_ALLOC_NO_OOM);

	if (note == NULL)
		return;
	note->message_id = message_id;
	snprintf(note->text, size, "%s%s%.*s", prefix, prefix[0] == '\0' ? "" : ": ", length, text);
	slist_push_head(list, &note->link);
}

static bool
ends_wait(const ErrorData *error)
{
	return error->elevel == LOG && error->message_id != NULL &&
		strcmp(error->message_id, "process %d acquired %s on %s after %ld.%03d ms") == 0;
}

/* A wait for a lock begins when the timeout for deadlocks is set. */
static void
end_wait(Watch *watch)
{
	watch->waited += (GetCurrentTimestamp() - get_timeout_start_time(DEADLOCK_TIMEOUT)) / 1000.0;
}

/* Would it have come to the log? Waits only when they are as long as was asked for. */
static bool
is_logged(const LogSettings *log, const ErrorData *error)
{
	if (!error->output_to_server || !reaches(error->elevel, log->level))
		return false;
	if (error->elevel != LOG || error->message_id == NULL ||
		strncmp(error->message_id, "process %d ", strlen("process %d ")) != 0)
		return true;
	return log->waits &&
		TimestampDifferenceExceeds(get_timeout_start_time(DEADLOCK_TIMEOUT),
								   GetCurrentTimestamp(), log->deadlock_timeout);
}

/* LOG stands between ERROR and FATAL here, as the server has it for its log. */
static bool
reaches(int level, int least)
{
	if (level == LOG || level == LOG_SERVER_ONLY)
		return least == LOG || least <= ERROR;
	return least == LOG ? level >= FATAL : level >= least;
}
