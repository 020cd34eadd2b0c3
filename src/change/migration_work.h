/*
 * migration_work.h
 *		What the parts of a migration in steps share.
 */
#ifndef DBOPS_MIGRATION_WORK_H
#define DBOPS_MIGRATION_WORK_H

#include "change/lock_wait.h"
#include "change/migration.h"

/* ---- migration_job.c: a text in work, as a job ---- */

/* A migration that is done in work, in a process that works on it. */
typedef struct MigrationWork
{
	const DbopsJob *job;
	MemoryContext memory;		/* as long as the process works on it */
	Migration  *migration;
	MigrationText *text;
	const char *direction;
	long		lock_timeout;	/* ms */
	long		max_wait;		/* ms, for each statement */
	Jsonb	   *settings;		/* of the session that asked for it: name, value */
	int			next;			/* statement, from 1; behind the last: finish */
	int			at;				/* statement that an error would be of; 0: none */

	/* Of the statement that is next; forgotten when it is done. */
	MemoryContext statement_memory;
	LockWait	wait;			/* that it has met */
	bool		ran;			/* this process has run it to its end, at top level */
	Jsonb	   *aim;			/* see migration_outcome.c */
	const char *remedy;			/* to be run at top level in its place; or NULL */
	Oid			table;			/* that the remedy is for */
	ErrorData  *met;			/* the lock that it has met at top level; NULL: none */
	char	   *blocker;		/* who had that; or NULL */
	MigrationReceipt receipt;
} MigrationWork;

extern const MigrationStatement *dbops_migration_work_next(const MigrationWork *work);
extern bool dbops_migration_work_try(MigrationWork *work, DbopsStep *step, long lock_timeout,
									  DbopsCallback attempt, void *arg);
extern void dbops_migration_work_rethrow(MigrationWork *work);
extern void dbops_migration_work_wait(MigrationWork *work, DbopsStep *step,
									   const ErrorData *error, const char *blocker);

/* ---- migration_settings.c: what the text was read with, and what it has set ---- */

extern Jsonb *dbops_migration_settings(void);
extern void dbops_migration_settings_nest(const MigrationWork *work);
extern void dbops_migration_settings_nest_all(const MigrationWork *work);
extern void dbops_migration_settings_put(const MigrationWork *work);

/* ---- migration_alone.c: a statement that cannot share a transaction ---- */

extern bool dbops_migration_alone_step(MigrationWork *work, DbopsStep *step);
extern bool dbops_migration_alone_is_begun(const MigrationWork *work);
extern char *dbops_migration_alone_leftover(const char *project, const char *version,
											const char *direction);

/* ---- migration_outcome.c: what has come of it ---- */

typedef struct MigrationOutcome
{
	bool		done;
	char	   *remedy;			/* SQL to be run before anything else; or NULL */
	Oid			table;			/* that it is about; InvalidOid: none in particular */
} MigrationOutcome;

extern Jsonb *dbops_migration_aim(const RawStmt *raw);
extern MigrationOutcome dbops_migration_outcome(const Jsonb *aim, bool ran);
extern void dbops_migration_remedy_run(const Jsonb *aim, const char *remedy, Oid table, long lock_timeout);
extern void dbops_migration_see_free(Oid table);

#endif							/* DBOPS_MIGRATION_WORK_H */
