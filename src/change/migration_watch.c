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

#include "access/parallel.h"
#include "access/xact.h"
#include "catalog/catalog.h"
#include "executor/executor.h"
#include "executor/instrument.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/proc.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
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

typedef struct Watch
{
	struct Watch *outer;
	MemoryContext memory;		/* of what is noted */
	LogSettings log;
	instr_time	began;
	WalUsage	wal;
	HeldLocks  *before;
	HeldLocks  *seen;			/* held at any time that was looked at */
	double		waited;			/* ms */
	CommandId	command;		/* that it began with */
	int			nest_level;		/* of transactions, that it began in; 0: it may end them all */
	bool		writes;			/* into any table or catalog */
	slist_head	notices;		/* of Note, the latest first, as below */
	int			n_notices;
	slist_head	told;			/* what the server says that it does */
	ObjectEvents events;
} Watch;

/* A watch that has ended, and where it is to be described. */
typedef struct Description
{
	Watch	   *watch;
	MigrationReceipt *receipt;
} Description;

/* The innermost one; NULL: nothing is watched. */
static Watch *watched = NULL;
static emit_log_hook_type previous_log_hook = NULL;
static object_access_hook_type previous_object_hook = NULL;
static ExecutorCheckPerms_hook_type previous_permissions_hook = NULL;
static ProcessUtility_hook_type previous_utility_hook = NULL;

/* Called before each command of what is watched, nested ones too; or NULL. */
MigrationCommandCallback dbops_migration_command_begins = NULL;

static void begin(Watch *watch);
static void look_back(Watch *watch, MigrationReceipt *receipt);
static void end_wait(Watch *watch);
static void see_locks(Watch *watch);
static void describe(Watch *watch, MigrationReceipt *receipt);
static void try_to_describe(void *arg);
static bool writes_rows(const MigrationReceipt *receipt);
static Jsonb *describe_locks(Watch *watch);
static bool is_told(Watch *watch, const HeldLock *lock, const List *touched);
static const char *relation_name(Watch *watch, Oid relid);
static Jsonb *describe_objects(Watch *watch, const MigrationEffects *effects);
static void add_names(DbopsJson *json, const char *key, List *names);
static const char *strongest_mode(LOCKMASK modes);
static List *list_notices(Watch *watch);
static void see_object(ObjectAccessType access, Oid class, Oid object, int part, void *arg);
static bool see_tables(CHECK_PERMISSIONS_ARGUMENTS);
static void see_table(const PermissionEntry *entry);
static void see_command(PlannedStmt *statement, const char *query, bool read_only_tree,
						ProcessUtilityContext context, ParamListInfo params,
						QueryEnvironment *environment, DestReceiver *dest,
						QueryCompletion *completion);
static void end_subxact(SubXactEvent event, SubTransactionId mine,
						SubTransactionId parent, void *arg);
static void hear(ErrorData *error);
static void note(Watch *watch, const ErrorData *error);
static void note_effect(Watch *watch, const ErrorData *error);
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
	previous_object_hook = object_access_hook;
	object_access_hook = see_object;
	previous_permissions_hook = ExecutorCheckPerms_hook;
	ExecutorCheckPerms_hook = see_tables;
	previous_utility_hook = ProcessUtility_hook;
	ProcessUtility_hook = see_command;
	RegisterSubXactCallback(end_subxact, NULL);
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
		watched = &watch;
		work(arg);
	}
	PG_FINALLY();
	{
		watched = watch.outer;
	}
	PG_END_TRY();
	look_back(&watch, receipt);
	AtEOXact_GUC(true, nest_level);
	describe(&watch, receipt);
	MemoryContextDelete(watch.memory);
}

/*
 * The same for a statement that is alone in its transactions. Nested settings
 * would end with the first of them, and a session's would outlive an error, so
 * the server's variables are set themselves. A deadlock is not looked for sooner:
 * CREATE INDEX CONCURRENTLY must not be the one to give way. The memory of the
 * caller must outlive the transaction.
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
		watched = &watch;
		work(arg);
	}
	PG_FINALLY();
	{
		watched = watch.outer;
		log_min_messages = log.level;
		log_lock_waits = log.waits;
	}
	PG_END_TRY();
	look_back(&watch, receipt);
	describe(&watch, receipt);
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
	if (watched != NULL)
		watch->log = watched->log;
	watch->events.memory = watch->memory;
	watch->nest_level = GetCurrentTransactionNestLevel();
	watch->command = GetCurrentCommandId(false);
	watch->outer = watched;
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
	see_locks(watch);
	CommandCounterIncrement();
	watch->writes = GetCurrentCommandId(false) != watch->command;
}

/* Look at the locks that are held now. Those that were seen before are kept in mind. */
static void
see_locks(Watch *watch)
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

/* Put into words what was seen and heard. The statement does not fail where that does. */
static void
describe(Watch *watch, MigrationReceipt *receipt)
{
	Description description = {.watch = watch, .receipt = receipt};
	ErrorData  *error;

	receipt->notices = list_notices(watch);
	if (!dbops_attempt(try_to_describe, &description, &error))
		receipt->notices = lappend(receipt->notices,
								   psprintf("WARNING: what the statement has done cannot be described: %s",
											error->message));
}

static void
try_to_describe(void *arg)
{
	Watch	   *watch = ((Description *) arg)->watch;
	MigrationReceipt *receipt = ((Description *) arg)->receipt;
	MigrationEffects effects = dbops_effects_find(&watch->told, watch->before,
												  watch->seen, &watch->events);

	if (watch->events.rows_written)
		effects.worst = Max(effects.worst, EFFECT_ROWS);
	if (watch->writes)
		effects.worst = Max(effects.worst, writes_rows(receipt) ? EFFECT_ROWS : EFFECT_METADATA);
	receipt->effect = dbops_effect_name(effects.worst);
	receipt->locks = describe_locks(watch);
	receipt->objects = describe_objects(watch, &effects);
}

/* CREATE TABLE AS and the like: what is written is in no table that was there before. */
static bool
writes_rows(const MigrationReceipt *receipt)
{
	return receipt->rows > 0 && receipt->command != NULL &&
		strcmp(receipt->command, "SELECT") != 0;
}

/* Tell the strongest mode held on each relation that the statement has locked or worked at. */
static Jsonb *
describe_locks(Watch *watch)
{
	List	   *touched = dbops_objects_touched(&watch->events);
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	for (int i = 0; i < watch->seen->n; i++)
	{
		const HeldLock *lock = &watch->seen->locks[i];

		if (is_told(watch, lock, touched))
			dbops_json_text(&json, relation_name(watch, lock->relid),
							strongest_mode(lock->modes));
	}
	return dbops_json_finish(&json);
}

/*
 * Left out are relations that nobody else knows yet, and locks that no reader
 * or writer waits for where they are on something that is not used by name.
 */
static bool
is_told(Watch *watch, const HeldLock *lock, const List *touched)
{
	bool		weak = lock->modes < LOCKBIT_ON(ShareUpdateExclusiveLock);
	char		kind = get_rel_relkind(lock->relid);

	if ((lock->modes & ~dbops_locks_on(watch->before, lock->relid)) == 0 &&
		!list_member_oid(touched, lock->relid))
		return false;
	if (kind == '\0')
		return dbops_objects_dropped_relation(&watch->events, lock->relid) != NULL;
	if (IsToastNamespace(get_rel_namespace(lock->relid)) || dbops_relation_is_new(lock->relid))
		return false;
	return !weak || !(kind == RELKIND_INDEX || kind == RELKIND_PARTITIONED_INDEX ||
					  IsCatalogNamespace(get_rel_namespace(lock->relid)));
}

/* As it is called now, or, when it was dropped, as it was called then. */
static const char *
relation_name(Watch *watch, Oid relid)
{
	const char *dropped = dbops_objects_dropped_relation(&watch->events, relid);

	return dropped != NULL ? dropped :
		dbops_quote_qualified(get_namespace_name(get_rel_namespace(relid)), get_rel_name(relid));
}

static Jsonb *
describe_objects(Watch *watch, const MigrationEffects *effects)
{
	ObjectNames names = dbops_objects_name(&watch->events);
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	add_names(&json, "created", names.created);
	add_names(&json, "changed", watch->writes ? names.changed : NIL);
	add_names(&json, "dropped", names.dropped);
	add_names(&json, "scanned", dbops_names_sort(effects->scanned));
	add_names(&json, "rewritten", dbops_names_sort(effects->rewritten));
	add_names(&json, "indexed", dbops_names_sort(effects->indexed));
	add_names(&json, "proved", dbops_names_sort(effects->proved));
	return dbops_json_finish(&json);
}

static void
add_names(DbopsJson *json, const char *key, List *names)
{
	ListCell   *lc;

	if (names == NIL)
		return;
	dbops_json_array(json, key);
	foreach(lc, names)
		dbops_json_text(json, NULL, lfirst(lc));
	dbops_json_array_end(json);
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

/* Note what the server writes into its catalogs. */
static void
see_object(ObjectAccessType access, Oid class, Oid object, int part, void *arg)
{
	if (previous_object_hook != NULL)
		previous_object_hook(access, class, object, part, arg);
	for (Watch *watch = watched; watch != NULL; watch = watch->outer)
		dbops_objects_note(&watch->events, access, class, object, part, arg);
}

/* Note the tables whose rows are read or written. */
static bool
see_tables(CHECK_PERMISSIONS_ARGUMENTS)
{
	ListCell   *lc;

	if (watched != NULL)
		foreach(lc, permissions)
			see_table(lfirst(lc));
	return previous_permissions_hook == NULL ||
		previous_permissions_hook(CHECK_PERMISSIONS_PASSED);
}

static void
see_table(const PermissionEntry *entry)
{
	for (Watch *watch = watched; watch != NULL; watch = watch->outer)
		if (OidIsValid(entry->relid) && entry->requiredPerms != 0)
			dbops_objects_note_use(&watch->events, entry->relid,
								   (entry->requiredPerms & ~ACL_SELECT) != 0);
}

/*
 * Note what a command changes by its name only, when it has done so. Of others
 * nothing may be looked at then: one that ends a transaction is gone with it.
 */
static void
see_command(PlannedStmt *statement, const char *query, bool read_only_tree,
			ProcessUtilityContext context, ParamListInfo params,
			QueryEnvironment *environment, DestReceiver *dest, QueryCompletion *completion)
{
	bool		silent = watched != NULL && dbops_silent_is(statement->utilityStmt);
	int			events = watched == NULL ? 0 : dbops_objects_count(&watched->events);

	if (watched != NULL && dbops_migration_command_begins != NULL)
		dbops_migration_command_begins(statement->utilityStmt);
	if (previous_utility_hook != NULL)
		previous_utility_hook(statement, query, read_only_tree, context, params,
							  environment, dest, completion);
	else
		standard_ProcessUtility(statement, query, read_only_tree, context, params,
								environment, dest, completion);
	if (!silent || dbops_objects_count(&watched->events) != events)
		return;
	for (Watch *watch = watched; watch != NULL; watch = watch->outer)
		dbops_silent_note(&watch->events, statement->utilityStmt);
}

static void
end_subxact(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	for (Watch *watch = watched; watch != NULL; watch = watch->outer)
	{
		if (event == SUBXACT_EVENT_ABORT_SUB)
			dbops_objects_forget(&watch->events, mine);
		else if (event == SUBXACT_EVENT_COMMIT_SUB)
			dbops_objects_adopt(&watch->events, mine, parent);
	}
}

/*
 * Take what the server says, and keep from the log what would not have come
 * there; also a parallel worker, which has the settings of the statement.
 */
static void
hear(ErrorData *error)
{
	if (watched != NULL && error->elevel < ERROR && CritSectionCount == 0)
	{
		for (Watch *watch = watched; watch != NULL; watch = watch->outer)
			note(watch, error);
		error->output_to_server = is_logged(&watched->log, error);
	}
	else if (dbops_watched_log_level != 0 && IsParallelWorker())
		error->output_to_server &= reaches(error->elevel, dbops_watched_log_level);
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
	else if (dbops_effect_is_told(error))
		note_effect(watch, error);
}

/* Locks that may be given back before the statement ends are looked at now. */
static void
note_effect(Watch *watch, const ErrorData *error)
{
	note_text(watch->memory, &watch->told, error->message_id, "", error->message);
	if (GetCurrentTransactionNestLevel() > watch->nest_level)
		see_locks(watch);
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
