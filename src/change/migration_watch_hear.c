/*
 * migration_watch_hear.c
 *		Hear what the server says while a statement is watched.
 *
 * Whether a statement scans a table, rewrites it or builds an index, the
 * server decides while it runs, and says so in messages for the log at
 * debug1. So the log's level is lowered for the statement, and a hook takes
 * the messages and keeps from the log what would not have come there. They are
 * told by the texts in the server's source, which no locale translates.
 *
 * The hook runs where an error may already be on its way, so it neither looks
 * into the catalog nor fails for want of memory.
 */
#include "change/migration_watch.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timeout.h"

#define KEPT_NOTICES 100		/* of a statement */
#define KEPT_BYTES 1000			/* of a notice */

static emit_log_hook_type previous_log_hook = NULL;

static void hear(ErrorData *error);
static void note(Watch *watch, const ErrorData *error);
static bool ends_wait(const ErrorData *error);
static void end_wait(Watch *watch);
static void note_notice(Watch *watch, const ErrorData *error);
static void note_effect(Watch *watch, const ErrorData *error);
static void note_text(MemoryContext memory, slist_head *list, const char *message_id,
					  const char *prefix, const char *text);
static bool is_logged(const LogSettings *log, const ErrorData *error);
static bool is_told(const ErrorData *error);
static bool reaches(int level, int least);

void
dbops_watch_hear_init(void)
{
	previous_log_hook = emit_log_hook;
	emit_log_hook = hear;
}

/*
 * Take what the server says, and keep from the log what would not have come
 * there; also a parallel worker, which has the settings of the statement.
 */
static void
hear(ErrorData *error)
{
	if (dbops_watched != NULL && error->elevel < ERROR && CritSectionCount == 0)
	{
		for (Watch *watch = dbops_watched; watch != NULL; watch = watch->outer)
			note(watch, error);
		error->output_to_server = is_logged(&dbops_watched->log, error);
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

/* Keep a notice, with its severity; only the first ones, and not all of a long one. */
static void
note_notice(Watch *watch, const ErrorData *error)
{
	if (watch->n_notices++ < KEPT_NOTICES)
		note_text(watch->memory, &watch->notices, NULL,
				  error_severity(error->elevel), error->message);
}

/* Locks that may be given back before the statement ends are looked at now. */
static void
note_effect(Watch *watch, const ErrorData *error)
{
	note_text(watch->memory, &watch->told, error->message_id, "", error->message);
	if (GetCurrentTransactionNestLevel() > watch->nest_level)
		dbops_watch_see_locks(watch);
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
								   GetCurrentTimestamp(), log->deadlock_timeout) &&
		!is_told(error);
}

/* Is it said again of the same wait, for which a deadlock is looked for again and again? */
static bool
is_told(const ErrorData *error)
{
	static TimestampTz told;	/* the beginning of the wait */
	TimestampTz begin = get_timeout_start_time(DEADLOCK_TIMEOUT);

	if (strcmp(error->message_id, "process %d still waiting for %s on %s after %ld.%03d ms") != 0)
		return false;
	if (told == begin)
		return true;
	told = begin;
	return false;
}

/* LOG stands between ERROR and FATAL here, as the server has it for its log. */
static bool
reaches(int level, int least)
{
	if (level == LOG || level == LOG_SERVER_ONLY)
		return least == LOG || least <= ERROR;
	return least == LOG ? level >= FATAL : level >= least;
}

/* List the notices that were kept, as they came, and how many there were more. */
List *
dbops_watch_notices(Watch *watch)
{
	List	   *notices = NIL;
	slist_iter	iter;

	slist_foreach(iter, &watch->notices)
		notices = lcons(pstrdup(slist_container(Note, link, iter.cur)->text), notices);
	if (watch->n_notices > KEPT_NOTICES)
		notices = lappend(notices, psprintf("and %d more", watch->n_notices - KEPT_NOTICES));
	return notices;
}
