/*
 * report.h
 *		Who waits for whom, for the reports that answer a DBA's ad-hoc questions.
 */
#ifndef DBOPS_REPORT_H
#define DBOPS_REPORT_H

#include "core/report.h"
#include "observe/observe.h"

#include "storage/lock.h"

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
