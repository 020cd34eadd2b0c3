/*
 * batch.h
 *		Batches: short transactions that change many rows of a table, one after
 *		the other, without harm to others.
 */
#ifndef DBOPS_BATCH_H
#define DBOPS_BATCH_H

#include "core/core.h"
#include "core/job.h"

#include "portability/instr_time.h"
#include "storage/block.h"

/* A batch, and what came of it. */
typedef struct DbopsBatch
{
	bool		careful;		/* wait for no row that others lock */
	int			most_ms;		/* that it may work before it is cut off, if it can be divided; 0: any */
	uint64		rows;			/* changed */
	uint64		left;			/* rows that a careful batch has left */
	bool		waited_for;		/* others wait for its locks */
	bool		delays_commits; /* others wait for WAL to be flushed, or did lately */
	double		ms;				/* that it took */
	uint64		wal;			/* bytes written */
} DbopsBatch;

/* ---- batch.c: do the work of a batch ---- */

typedef struct DbopsBatchWork
{
	Oid			relid;			/* the table */
	Oid			owner;			/* of it, with whose rights the work is done */
	bool		changes;		/* rows, or only looks and is undone */
	DbopsCallback callback;
	void	   *arg;
} DbopsBatchWork;

extern ErrorData *dbops_batch_attempt(const DbopsBatchWork *work, DbopsBatch *batch);
extern void dbops_batch_check_at_once(void);

/* ---- polite.c: how a batch behaves among the locks of others ---- */

extern int	dbops_polite_lock_wait(void);
extern void dbops_polite_bound_lock_waits(void);
extern void dbops_polite_watch_begin(int most_ms);
extern void dbops_polite_watch_end(void);
extern void dbops_polite_refuse_uncut(void);
extern void dbops_polite_keep_begin(Oid relid);
extern int	dbops_polite_keep_end(void);
extern bool dbops_polite_is_waited_for(Oid relid);
extern bool dbops_polite_commits_wait(void);
extern bool dbops_polite_gave_way(int sqlerrcode);
extern bool dbops_polite_took_too_long(const ErrorData *error);

/* ---- pace.c: how large batches are, and how long to wait before the next ---- */

/* What the batches of a piece of work may take; it lasts as long as the work. */
typedef struct DbopsPaceLimits
{
	long		pause;			/* ms between batches */
	int			batch_time;		/* ms that a batch may take; 0: dbops.backfill_batch_time */
	bool		yield;			/* leave time to commits that wait */
	int64		max_wal;		/* bytes of WAL a second, of all processes; 0: any */
} DbopsPaceLimits;

/* How large batches are, in blocks; where they are ranges of a key, in rows. */
typedef struct DbopsPace
{
	double		size;			/* blocks of the next batch; 0: not known yet */
	double		careful_from;	/* blocks from which on it grows slowly: harm was done there */
	double		ms_per_block;	/* smoothed; 0: not known */
	double		wal_per_block;	/* bytes, smoothed; 0: not known */
	double		wal_saved;		/* bytes that may be written at once; below 0: to be waited for */
	uint64		wal_written;	/* by this process, at the last look */
	instr_time	wal_looked;		/* when that was */
	int			workers;		/* processes at work on the table, this one too; 0: it alone */
} DbopsPace;

extern void dbops_pace_begin(DbopsPace *pace, BlockNumber first);
extern BlockNumber dbops_pace_size(const DbopsPace *pace);
extern void dbops_pace_follow(DbopsPace *pace, const DbopsPaceLimits *limits,
							  BlockNumber blocks, double most, const DbopsBatch *batch);
extern void dbops_pace_harm(DbopsPace *pace, const DbopsPaceLimits *limits);
extern void dbops_pace_cut(DbopsPace *pace, BlockNumber blocks);
extern void dbops_pace_too_long(DbopsPace *pace, BlockNumber blocks, const DbopsBatch *batch);
extern int	dbops_pace_most_ms(const DbopsPaceLimits *limits);
extern int	dbops_pace_places(const DbopsPaceLimits *limits, int places, const DbopsBatch *batch);
extern void dbops_pace_bound(DbopsPace *pace, BlockNumber most);
extern void dbops_pace_pause(DbopsPace *pace, const DbopsPaceLimits *limits,
							 DbopsStep *step, const DbopsBatch *batch);
extern uint64 dbops_pace_spend(DbopsPace *pace, const DbopsPaceLimits *limits);

/* ---- scan.c: how a statement reads the table that it is about ---- */

/* By ranges of blocks, or by the values of an index. */
typedef struct DbopsScan
{
	Oid			relid;			/* the target: the table that the statement changes, counts or locks first */
	Oid			index;			/* by which it is to be read; InvalidOid: by ranges of blocks */
	double		rows;			/* that one batch is about */
} DbopsScan;

extern void dbops_scan_init(void);
extern void dbops_scan_inspect(DbopsStatement *statement, const DbopsScan *scan,
							   DbopsPlanCallback look, void *arg);
extern bool dbops_scan_is_as_meant(const struct PlannedStmt *plan, const DbopsScan *scan);

#endif							/* DBOPS_BATCH_H */
