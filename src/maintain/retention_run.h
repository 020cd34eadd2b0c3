/*
 * retention_run.h
 *		A run of retention on its way through the phases of its job.
 *
 * What the position keeps is written with every step, and another process goes
 * on from it; the rest lasts as long as the process works on the job.
 */
#ifndef DBOPS_RETENTION_RUN_H
#define DBOPS_RETENTION_RUN_H

#include "maintain/retention.h"

enum
{
	PHASE_BEGIN,
	PHASE_PARTITIONS,
	PHASE_ROWS,
	PHASE_END,
	PHASES
};

typedef struct RetentionRun
{
	DbopsJob   *job;
	MemoryContext memory;
	Jsonb	   *asked;			/* the policy's spec, as of the run's beginning */
	RetentionWalk walk;
	PartitionDrop drop;
	List	   *left_out;		/* OIDs of partitions that do not go as a whole */
	long		waited;			/* ms, for other policies */
	TransactionId last_xid;		/* of the last batch */
	TimestampTz vacuumed;		/* when the table was, or the run began; 0: not yet */
	Oid			taken_leaf;		/* that another process was at, with this storage and so far */
	Oid			taken_storage;
	int64		taken_at;
	bool		taken_by_blocks;

	/* What the position keeps. */
	int64		cutoff;
	TimestampTz began;
	double		expected;		/* rows */
	double		most;			/* rows that may go in all */
	int64		rows;
	int64		partitions;
	int			left;			/* why rows were left on the way: bits of RETENTION_LEFT_* */
	int64		rest;			/* old rows that there are at the end */
	int64		kept;			/* besides, for holds or references */
	bool		exact;			/* they were counted */
	Oid			next_leaf;		/* those before it are done */
	int			passes_before;	/* in earlier rounds over all tables */
	int			passes;			/* in this one, over a table, at most */
	int64		of_round;		/* rows that were deleted in this one */
	int64		since_vacuum;	/* rows */
	double		work;			/* ms of batches */
	const char *stopped;		/* why it ends before all is done; or NULL */
} RetentionRun;

/* ---- retention_job.c ---- */

extern RetentionSpec *dbops_retention_take_spec(RetentionRun *run, Policy **policy);
extern bool dbops_retention_is_over(RetentionRun *run);
extern void dbops_retention_note(const RetentionRun *run, const char *object, const char *action,
								 const char *outcome, const char *message, int64 rows);

/* ---- retention_begin.c: the cutoff is fixed, and whether so much may go ---- */

extern void dbops_retention_begin_step(DbopsJob *job, void *state, DbopsStep *step);

/* ---- retention_partitions.c: those that go as a whole ---- */

extern void dbops_retention_partitions_prepare(RetentionRun *run);
extern void dbops_retention_partitions_step(DbopsJob *job, void *state, DbopsStep *step);

/* ---- retention_rows.c: the rows of the tables that are left ---- */

extern void dbops_retention_rows_step(DbopsJob *job, void *state, DbopsStep *step);

/* ---- retention_position.c: what the job keeps ---- */

extern void dbops_retention_position_save(RetentionRun *run, DbopsStep *step);
extern void dbops_retention_position_take(RetentionRun *run, const Jsonb *position);

#endif							/* DBOPS_RETENTION_RUN_H */
