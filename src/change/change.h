/*
 * change.h
 *		Changes of schema and data that do not stop the application.
 */
#ifndef DBOPS_CHANGE_H
#define DBOPS_CHANGE_H

#include "core/core.h"

#include "nodes/pg_list.h"
#include "portability/instr_time.h"
#include "storage/block.h"
#include "utils/relcache.h"

/* What the caller of a backfill asks for. Lives as long as the call. */
typedef struct BackfillRequest
{
	Oid			relid;			/* the table named by the caller */
	char	   *set_clause;
	char	   *where_clause;	/* or NULL */
	int			batch_size;		/* rows a batch */
	long		pause;			/* ms between batches */
	bool		verify;
} BackfillRequest;

/*
 * The change as dbops understood it: SQL for a search_path of its own, with the
 * name of the table that the caller gave as its alias.
 */
typedef struct BackfillChange
{
	char	   *path;			/* search_path that the texts are written for */
	char	   *alias;			/* quoted */
	char	   *set_list;
	char	   *matches;		/* the caller's predicate */
	char	   *pending;		/* of the rows that match, those to be changed */
	bool		harmless_again; /* a row that is met again gets the same values */
	char	   *null_column;	/* column that a NULL would leave matching, or NULL */
} BackfillChange;

/* A table that holds rows: the caller's, or one below it. */
typedef struct BackfillLeaf
{
	Oid			relid;
	Oid			owner;			/* its rows are changed with this role's rights */
	Oid			schema;
	char	   *relname;
	char	   *name;			/* qualified and quoted */
	BlockNumber blocks;			/* size when the backfill looked at it */
	BlockNumber batch_blocks;	/* blocks that hold a batch of rows */
	int			batch_rows;
	Oid			filenode;		/* the storage that block numbers refer to */
	bool		has_before_trigger; /* that may change rows on the way */
} BackfillLeaf;

/* How far a backfill is, and where it is at work. */
typedef struct BackfillProgress
{
	const char *table;			/* as the caller names it */
	uint64		rows;			/* changed and committed */
	uint64		batches;		/* committed */
	uint64		blocks;			/* to be read in this pass */
	uint64		blocks_done;
	bool		verifying;
	instr_time	begin;
	instr_time	pass_begin;
	instr_time	reported;
	const BackfillLeaf *leaf;	/* the range in work, for error messages; or NULL */
	BlockNumber from;
	BlockNumber to;
} BackfillProgress;

/* One call. Lives as long as the call, across its transactions. */
typedef struct BackfillRun
{
	BackfillRequest request;
	BackfillChange *change;
	List	   *leaves;			/* BackfillLeaf */
	BackfillProgress progress;
	uint64		pending;		/* rows that the last count found to be changed */
	uint64		unfilled;		/* rows that still match because they got NULL */
	bool		rows_locked;	/* some were left because others lock them */
	char		obstacle[256];	/* what the last attempt at those said */
	bool		count_spoiled;	/* a table was rewritten during the count */
} BackfillRun;

/* ms that a lock on a table is waited for in all */
#define BACKFILL_TABLE_PATIENCE 60000L

/* backfill_target.c */
extern List *dbops_backfill_leaves(const BackfillRequest *request);
extern void dbops_backfill_look_again(BackfillLeaf *leaf, int batch_size);

/* backfill_change.c */
extern BackfillChange *dbops_backfill_understand(const BackfillRequest *request);

/* backfill_repeat.c */
extern void dbops_backfill_judge_repeat(struct Query *query, Relation rel,
										BackfillChange *change,
										bool *compare_image, int *null_resno);

/* backfill_batch.c */
typedef struct BackfillBatcher BackfillBatcher;

typedef enum BackfillOutcome
{
	BATCH_DONE,
	BATCH_ROWS_LOCKED,			/* gave up: others hold row locks */
	BATCH_TABLE_LOCKED,			/* gave up: others hold a lock on the table */
	BATCH_REWRITTEN,			/* the table has new storage: begin again */
	BATCH_GONE					/* the table has been dropped */
} BackfillOutcome;

typedef struct BackfillCounts
{
	uint64		pending;		/* rows that match and would be changed */
	uint64		matching;		/* rows that match */
} BackfillCounts;

extern void dbops_backfill_init(void);
extern void dbops_backfill_begin_transaction(void);
extern BackfillBatcher *dbops_backfill_batcher(const BackfillChange *change,
											   const BackfillLeaf *leaf);
extern BackfillOutcome dbops_backfill_update(BackfillBatcher *batcher,
											 BlockNumber from, BlockNumber to,
											 uint64 *rows);
extern BackfillOutcome dbops_backfill_count(BackfillBatcher *batcher,
											BlockNumber from, BlockNumber to,
											BackfillCounts *counts);
extern const char *dbops_backfill_obstacle(const BackfillBatcher *batcher);
extern void dbops_backfill_batcher_free(BackfillBatcher *batcher);

/* backfill_walk.c */
typedef struct BackfillWalk
{
	BackfillRun *run;
	BackfillLeaf *leaf;
	BackfillBatcher *batcher;
	BlockNumber size;			/* blocks of the next batch */
	BlockNumber skip;			/* blocks that are left out as one if their rows are locked */
	List	   *locked;			/* LockedRange: left out because others lock their rows */
	long		waited;			/* ms waited for the table's lock since the last batch */
	bool		returning;		/* to what was left out */
	bool		restart;		/* the table was rewritten: begin again */
} BackfillWalk;

extern void dbops_backfill_walk_table(BackfillRun *run, BackfillLeaf *leaf);
extern void dbops_backfill_walk_begin(BackfillWalk *walk, BackfillRun *run, BackfillLeaf *leaf);
extern void dbops_backfill_walk_range(BackfillWalk *walk, BlockNumber from, BlockNumber to);
extern void dbops_backfill_walk_locked(BackfillWalk *walk);
extern void dbops_backfill_walk_wait(BackfillWalk *walk);
extern void dbops_backfill_walk_end(BackfillWalk *walk);

/* backfill_verify.c */
extern void dbops_backfill_verify(BackfillRun *run);

/* backfill_progress.c */
extern void dbops_backfill_progress_begin(BackfillProgress *progress, const char *table);
extern void dbops_backfill_progress_pass(BackfillProgress *progress, uint64 blocks, bool verifying);
extern uint64 dbops_backfill_blocks(List *leaves);
extern void dbops_backfill_progress_range(BackfillProgress *progress, const BackfillLeaf *leaf,
										  BlockNumber from, BlockNumber to);
extern void dbops_backfill_progress_report(BackfillProgress *progress);
extern char *dbops_backfill_progress_pace(const BackfillProgress *progress);
extern char *dbops_backfill_rows(uint64 number);
extern void dbops_backfill_progress_context(void *progress);

#endif							/* DBOPS_CHANGE_H */
