/*
 * ddl_guard.h
 *		What the parts of guarding DDL share.
 *
 * What a client tells the server to do to its schema is looked at on its way, by
 * one hook. Nothing of dbops is asked for more than a few settings while they
 * are off, nor for a statement that is no DDL.
 */
#ifndef DBOPS_DDL_GUARD_H
#define DBOPS_DDL_GUARD_H

#include "change/lint.h"

/* ---- ddl_guard.c: the hook ---- */

extern void dbops_ddl_guard_init(void);

/* ---- ddl_guard_kind.c: what is to be asked of a statement? ---- */

typedef int GuardKind;			/* several of these; 0: nothing */

#define GUARD_WAITS		0x01	/* dbops.ddl_lock_timeout bounds its waits for locks */
#define GUARD_RULES		0x02	/* the rules of lint_sql() may find something */
#define GUARD_SCHEMA	0x04	/* it changes what schema_snapshot() describes */

extern Node *dbops_guard_subject(Node *statement);
extern GuardKind dbops_guard_kind(Node *statement);

/* A statement that is looked at. Its tree belongs to somebody else, and is not to be changed. */
typedef struct GuardedStatement
{
	Node	   *node;
	const char *command;		/* such as ALTER TABLE */
	const char *query;			/* the text that it is in */
	int			location;		/* bytes of that before it; -1: not known */
	int			length;			/* bytes; 0: to the end */
	GuardKind	kind;
} GuardedStatement;

/* ---- ddl_guard_who.c: whose, and where? ---- */

extern bool dbops_guard_looks(void);

/* ---- ddl_guard_temporary.c: is it about nothing else? ---- */

extern bool dbops_guard_is_temporary(Node *statement);

/* ---- ddl_guard_migration.c: is it in a migration? ---- */

extern bool dbops_guard_require_migration(const GuardedStatement *guarded);
extern void dbops_guard_note_done(const GuardedStatement *guarded);

/* ---- ddl_guard_text.c: its text, if that may be written down ---- */

extern char *dbops_guard_source(const GuardedStatement *guarded);
extern bool dbops_guard_has_secrets(Node *statement);

/* ---- ddl_guard_judge.c, ddl_guard_tell.c: what is dangerous in it ---- */

extern int64 dbops_guard_min_bytes(void);
extern List *dbops_guard_judge(const GuardedStatement *guarded, ErrorData **error);
extern void dbops_guard_tell(const GuardedStatement *guarded);

/* ---- ddl_guard_wait.c: how long it waits for locks ---- */

extern void dbops_guard_bound_waits(Node *statement, DbopsCallback run, void *arg);

#endif							/* DBOPS_DDL_GUARD_H */
