/*
 * sql.h
 *		A user's SQL, for what runs it: jobs and migrations.
 */
#ifndef DBOPS_SQL_H
#define DBOPS_SQL_H

#include "core/core.h"

#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "tcop/cmdtag.h"
#include "tcop/dest.h"

extern List *dbops_sql_parse(const char *sql, RawParseMode mode);
extern void dbops_sql_point(void *sql);
extern bool dbops_sql_must_be_alone(Node *statement);
extern bool dbops_sql_is_concurrent(Node *statement);
extern void dbops_sql_run(RawStmt *raw, const char *sql, bool alone,
						  DestReceiver *receiver, QueryCompletion *completion);
extern uint64 dbops_sql_run_own(RawStmt *raw, const char *sql, bool alone);

/* ---- alone.c: a statement of ours at top level, while its table is locked ---- */

#define DBOPS_TABLE_PATIENCE	(DeadlockTimeout + 1000)	/* ms in which autovacuum will have been told to give way */

typedef struct DbopsAlone
{
	const char *sql;			/* one statement */
	Oid			table;			/* to be locked for the session */
	long		lock_timeout;	/* ms, of the statement; 0: none */
	bool		(*is_right) (void *arg);	/* asked when the table is locked */
	void	   *arg;
} DbopsAlone;

extern void dbops_alone_run(const DbopsAlone *alone);

#endif							/* DBOPS_SQL_H */
