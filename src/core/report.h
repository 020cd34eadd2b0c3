/*
 * report.h
 *		What the reports share that answer a DBA's questions: rows, and sessions.
 *
 * Reports show everybody who may call them the same: they read with the rights
 * of the extension's owner, and leave out only the texts of statements, which
 * are for members of pg_read_all_stats.
 */
#ifndef DBOPS_CORE_REPORT_H
#define DBOPS_CORE_REPORT_H

#include "core/core.h"

#include "nodes/pg_list.h"
#include "utils/tuplestore.h"

/* ---- report.c: rows of reports ---- */

/* A row that is being filled, column by column, in the order of its function's result. */
typedef struct ReportRow
{
	ReturnSetInfo *rsinfo;
	int			n;				/* columns that are filled */
	Datum		values[40];
	bool		nulls[40];
} ReportRow;

extern void dbops_report_begin(ReportRow *row, ReturnSetInfo *rsinfo);
extern void dbops_report_put(ReportRow *row);
extern void dbops_report_null(ReportRow *row);
extern void dbops_report_text(ReportRow *row, const char *text);	/* NULL is null, and so on */
extern void dbops_report_integer(ReportRow *row, int number);
extern void dbops_report_pid(ReportRow *row, int pid);	/* 0 is null */
extern void dbops_report_oid(ReportRow *row, Oid oid);	/* InvalidOid is null */
extern void dbops_report_pids(ReportRow *row, const List *pids);
extern void dbops_report_bigint(ReportRow *row, int64 number);
extern void dbops_report_bytes(ReportRow *row, int64 bytes);	/* -1 is null */
extern void dbops_report_decimal(ReportRow *row, double number);	/* NaN is null */
extern void dbops_report_boolean(ReportRow *row, bool boolean);
extern void dbops_report_time(ReportRow *row, TimestampTz time);	/* 0 is null */
extern void dbops_report_interval(ReportRow *row, double seconds);	/* NaN is null */
extern bool dbops_report_shows_texts(void);
extern int	dbops_report_limit(FunctionCallInfo fcinfo, int argument);

/* ---- activity.c: what each session does ---- */

typedef struct Activity
{
	int			pid;
	int			leader;			/* of a parallel worker; or 0 */
	Oid			database;
	Oid			role;
	const char *type;			/* "client backend" and so on */
	const char *application;
	const char *client;			/* address; NULL: a local socket, or none */
	bool		encrypted;
	const char *state;			/* NULL: not known */
	TimestampTz state_since;
	TimestampTz connected;
	TimestampTz transaction_since;
	TimestampTz query_since;
	const char *wait_type;
	const char *wait;
	int64		query_id;		/* 0: not known */
	const char *query;
	int			workers;		/* parallel ones that work for it now */
} Activity;

extern List *dbops_activity_read(void); /* of Activity *, ordered by pid, parallel workers folded */
extern Activity *dbops_activity_find(const List *activities, int pid);
extern bool dbops_activity_is_idle_in_transaction(const Activity *activity);
extern const char *dbops_activity_remedy(const Activity *activity, bool has_statement);

#endif							/* DBOPS_CORE_REPORT_H */
