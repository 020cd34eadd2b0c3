/*
 * reindex_work.h
 *		A job of rebuilds in work, for the files that do its phases.
 *
 * reindex_job.c has the list of indexes and the cursor, reindex_turn.c the gate,
 * reindex_run.c the rebuild and the cleaning, reindex_note.c what came of it.
 */
#ifndef DBOPS_REINDEX_WORK_H
#define DBOPS_REINDEX_WORK_H

#include "maintain/reindex.h"

enum
{
	REINDEX_CHOOSE,
	REINDEX_GATE,
	REINDEX_REBUILD,
	REINDEX_CLEAN,
	REINDEX_NOTE,
	REINDEX_PHASES
};

typedef struct ReindexWork
{
	DbopsJob   *job;
	MemoryContext memory;
	Policy	   *policy;			/* NULL: asked for by name */
	ReindexLimits limits;

	/* The cursor. */
	int64	   *queue;			/* OIDs */
	int			length;
	int			next;			/* index into it */
	bool		more;			/* there may be, behind the last index that was looked at */
	Oid			last;
	int64		last_bytes;
	int64		rebuilt;		/* indexes */
	int64		skipped;
	int64		failed;
	int64		won;			/* bytes */
	int64		blocks_done;	/* of those that are done with */
	int64		blocks;			/* of all */

	/* Of the index that is next; in memory, since whoever takes over begins anew. */
	int			looks;
	int			drops;
	ReindexBegun *begun;
	bool		ran;			/* here, to its end, or at least until the new index was the valid one */
	int64		took;			/* ms that the last run did; 0: it was another process's */
	ErrorData  *met;			/* with what it failed; or NULL */
	char	   *blocker;		/* for whom it waited then; or NULL */
	Leftover   *leftover;
} ReindexWork;

/* ---- reindex_job.c: the cursor, and what was begun ---- */

extern void dbops_reindex_choose(ReindexWork *work);
extern void dbops_reindex_take_begun(ReindexWork *work);
extern void dbops_reindex_go_to_next(ReindexWork *work, DbopsStep *step);
extern void dbops_reindex_go_to(DbopsStep *step, int phase);
extern void dbops_reindex_put_position(const ReindexWork *work, DbopsStep *step);

/* ---- the phases ---- */

extern void dbops_reindex_gate_step(DbopsJob *job, void *state, DbopsStep *step);
extern void dbops_reindex_rebuild_step(DbopsJob *job, void *state, DbopsStep *step);
extern void dbops_reindex_clean_step(DbopsJob *job, void *state, DbopsStep *step);
extern void dbops_reindex_note_step(DbopsJob *job, void *state, DbopsStep *step);

/* reindex_turn.c */
extern bool dbops_reindex_waits(ReindexWork *work, DbopsStep *step, const char *reason);

/* reindex_note.c */
extern void dbops_reindex_leave_out(ReindexWork *work, const char *object, const char *why, int64 bytes);

#endif							/* DBOPS_REINDEX_WORK_H */
