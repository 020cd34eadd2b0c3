/*
 * report.h
 *		What the reports share that answer a DBA's ad-hoc questions.
 *
 * Reports show everybody who may call them the same: they read with the rights
 * of the extension's owner, and leave out only the texts of statements, which
 * are for members of pg_read_all_stats.
 */
#ifndef DBOPS_REPORT_H
#define DBOPS_REPORT_H

#include "observe/observe.h"

#include "storage/lock.h"
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

/* ---- lock_graph.c: who waits for whom ---- */

/* Who waits for a heavyweight lock or keeps somebody waiting; a session with its parallel workers is one. */
typedef struct LockParty
{
	int			pid;			/* 0: a prepared transaction */
	TransactionId xid;			/* of that */
	bool		waits;
	LOCKTAG		tag;			/* what for */
	LOCKMODE	mode;
	TimestampTz since;			/* 0: not told yet */
	Oid			relation;		/* that it is about; or InvalidOid */
	Oid			database;		/* of the relation */
	List	   *holders;		/* numbers of those that hold what conflicts */
	List	   *ahead;			/* and of those that wait before it for what conflicts */
} LockParty;

typedef struct LockGraph
{
	int			n;
	LockParty  *parties;
} LockGraph;

extern void dbops_lock_graph_read(LockGraph *graph);
extern const List *dbops_lock_blockers(const LockGraph *graph, int party);
extern List *dbops_lock_blocking_pids(const LockGraph *graph, int party);
extern int	dbops_lock_party(const LockGraph *graph, int pid);

/* ---- blocking_tree.c: whom each wait goes back to ---- */

typedef struct Blocked
{
	int			parent;			/* number of the party that it waits for; -1: a root */
	int			root;
	int			depth;			/* 0: a root */
	bool		circle;			/* waits for itself, through others */
	int			n_below;		/* that wait for it, directly or not */
	List	   *children;		/* numbers */
} Blocked;

extern Blocked *dbops_blocking_tree(const LockGraph *graph, const List *activities);
extern List *dbops_blocking_order(const LockGraph *graph, Blocked *tree);

#endif							/* DBOPS_REPORT_H */
