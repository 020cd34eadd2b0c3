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

#endif							/* DBOPS_SQL_H */
