/*
 * change.h
 *		Changes of schema and data that do not stop the application.
 */
#ifndef DBOPS_CHANGE_H
#define DBOPS_CHANGE_H

#include "core/core.h"
#include "core/batch.h"
#include "core/job.h"

#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/xlogdefs.h"
#include "nodes/pg_list.h"
#include "portability/instr_time.h"
#include "storage/block.h"
#include "storage/itemptr.h"
#include "storage/lockdefs.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

typedef enum BackfillMethod
{
	BACKFILL_AUTO,				/* blocks where rows may be met again, otherwise keyset */
	BACKFILL_BLOCKS,			/* in the order of the blocks; several processes may share them */
	BACKFILL_KEYSET				/* in the order of a key, each row once */
} BackfillMethod;

/* What the caller of a backfill asks for. Lives as long as the call. */
typedef struct BackfillRequest
{
	Oid			relid;			/* the table named by the caller */
	char	   *set_clause;
	char	   *where_clause;	/* or NULL */
	int			batch_size;		/* rows a batch */
	DbopsPaceLimits limits;		/* of its batches, all processes together */
	bool		verify;
	int			workers;		/* processes, at least 1 */
	BackfillMethod method;		/* never auto once the change is understood */
	bool		sync;			/* a trigger covers what is written meanwhile */
	bool		app_writes;		/* the application does */
	bool		foreseen;		/* it is only planned: what the server would refuse is told */
	bool		kept;			/* what a change of columns has put in place does */
	bool		quarantine;		/* rows that fail are set aside, or else end it */
	int			max_errors;		/* rows that may be set aside */
	double		vacuum_every;	/* share of the table after which it is vacuumed; 0: never */
	List	   *owners;			/* roles whose tables may be changed; NIL: those that the current user may act for */
	Oid			login;			/* as whom the process that does it is logged in */
	Oid			helper_login;	/* and those that help it; InvalidOid: the same */
	long		patience;		/* ms that a lock on a table is waited for when it is looked up; 0: BACKFILL_TABLE_PATIENCE */
} BackfillRequest;

/* A column that is assigned, and what to. */
typedef struct BackfillColumn
{
	char	   *name;
	char	   *value;			/* SQL, cast to the column's type */
} BackfillColumn;

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
	List	   *columns;		/* BackfillColumn; NIL in a job, which does without */
	Jsonb	   *settings;		/* of the submission, that values depend on; NULL: those of the session */
	List	   *assigned;		/* names of columns, with the generated ones that follow */
	Oid			relid;			/* the table named by the caller */
	List	   *used;			/* its columns that the texts name; see backfill_columns.c */
	const char *twice;			/* why a row must not be met twice, as an error's detail; NULL: it may */
	const char *twice_hint;
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
	bool		job;			/* nobody can repeat a call to go on */
	uint64		rows;			/* changed, with those of the batch in work */
	uint64		batches;
	uint64		batch_rows;		/* of the last batch that changed some */
	LocalTransactionId batch_in;	/* the transaction that it was done in */
	uint64		blocks;			/* to be read in this pass */
	uint64		blocks_done;
	bool		in_part;		/* these are a part's, and the next are all other parts' */
	uint64		other_rows;		/* with those that were changed before the parts */
	uint64		other_blocks;
	uint64		other_blocks_done;
	int			workers;		/* processes at work; 0: not known here */
	bool		verifying;
	instr_time	begin;
	instr_time	pass_begin;
	double		pass_waited;	/* s at closed gates before that */
	instr_time	reported;
	const BackfillLeaf *leaf;	/* the range in work, for error messages; or NULL */
	BlockNumber from;
	BlockNumber to;
	const char *keys;			/* the range where it is one of keys; or NULL */
} BackfillProgress;

/* Blocks of one table that are to be walked, or were left out. */
typedef struct BackfillRange
{
	BackfillLeaf *leaf;
	BlockNumber from;
	BlockNumber to;
} BackfillRange;

typedef struct BackfillBatcher BackfillBatcher;

/* A walk: of all blocks of all tables, or of those where rows were found. */
typedef struct BackfillWalk
{
	bool		sweep;			/* only where rows were found */
	List	   *ahead;			/* BackfillRange, in the order of the tables */
	BackfillLeaf *leaf;			/* the table that is walked; NULL: none yet */
	BackfillBatcher *batcher;
	DbopsPace pace;
	Oid			pace_of;		/* that table */
	int			careful;		/* batches to come that wait for no row */
	int			care;			/* as many the next time that one meets a lock; 0: none lately */
	int			places;			/* line pointers of a batch where a block takes too long; 0: it is blocks */
	int			at_place;		/* of the next block, where the next batch begins */
	int			empty;			/* batches in this block since one that has changed rows */
	bool		any;			/* batches in this block have changed rows, or left some */
	BlockNumber skip;			/* blocks that are left out as one if they cannot be changed */
	List	   *locked;			/* BackfillRange, of this table: left out because others lock their rows */
	int			round;			/* times that it came back to those */
	long		waited;			/* ms waited for the table's lock since the last batch */
	BlockNumber unvacuumed;		/* blocks whose rows were changed since the table was vacuumed */
	Oid			unvacuumed_of;	/* that table */
	uint64		blocks_before;	/* done before this table */
} BackfillWalk;

/* A moment of the server. */
typedef struct BackfillPoint
{
	XLogRecPtr	lsn;
	TimestampTz at;				/* 0: has not come */
	uint64		xid;			/* of the transaction that it is in; 0: not noted */
} BackfillPoint;

typedef struct BackfillBarrier BackfillBarrier;

/* One column of a key. */
typedef struct BackfillKeyColumn
{
	AttrNumber	attnum;
	Oid			type;
	int16		length;
	bool		by_value;
	Oid			collation;
	char	   *name;			/* quoted */
	FmgrInfo   *compare;		/* of the type's default order */
} BackfillKeyColumn;

/* The key by which a table is visited; see backfill_key.c. */
typedef struct BackfillKey
{
	Oid			index;			/* InvalidOid: only to compare values */
	int			columns;
	BackfillKeyColumn column[INDEX_MAX_KEYS];
	char	   *operators[BTMaxStrategyNumber + 1]; /* OPERATOR(schema.name), by strategy; if there is an index */
} BackfillKey;

/* How far the pass over a table is, in the order of its key. */
typedef struct BackfillPass
{
	int			columns;
	AttrNumber	attnums[INDEX_MAX_KEYS];
	bytea	   *cursor;			/* NULL: it has no rows to be visited */
	bool		cursor_visited; /* or is the first to be */
	bytea	   *bound;
} BackfillPass;

/* Whether a row has been visited, or what a note says of it. */
typedef enum BackfillVisit
{
	NOT_NOTED,
	VISITED,
	TO_COME
} BackfillVisit;

/* A row whose turn is still to come by a note. */
typedef struct BackfillNote
{
	Oid			relid;
	bytea	   *key;
	ItemPointerData tid;
	TransactionId written_by;
} BackfillNote;

typedef bool (*BackfillNoteCallback) (const BackfillNote *note, void *arg);

typedef struct BackfillKeyTable BackfillKeyTable;

/* How large batches by key are. */
typedef struct BackfillKeyPace
{
	DbopsPace pace;
	int			piece;			/* rows of the next batch while one that fails is looked for; 0: none is */
} BackfillKeyPace;

/* A walk by key. */
typedef struct BackfillKeyWalk
{
	BackfillKeyTable *table;	/* in work; NULL: none yet */
	int			next;			/* place in the list of tables of the one to come */
	BackfillKeyPace pass;		/* of the pass */
	BackfillKeyPace notes;		/* of rows to come by their notes, which cost more */
	char	   *key;			/* names of the columns of the last table's */
	char	   *reached;		/* the table and the key up to which rows are visited; NULL: none yet */
	bool		notes_left;		/* rows to come by their notes were seen */
	bool		notes_done;		/* a batch of them, so that the next one is the pass's */
	long		waited;			/* ms waited since something was last done */
} BackfillKeyWalk;

/*
 * What a process puts aside while it works on a part of a shared walk: what
 * the backfill had come to before.
 */
typedef struct BackfillAside
{
	uint64		rows;
	uint64		batches;
	uint64		blocks;
	uint64		blocks_done;
	instr_time	pass_begin;
	bool		rows_locked;
	bool		sweep;
} BackfillAside;

/* A backfill. Lives as long as a process works on it, across its transactions. */
typedef struct BackfillRun
{
	DbopsJob   *job;			/* that it is the work of; also of a call */
	MemoryContext memory;		/* that lasts as long */
	BackfillRequest request;
	BackfillChange *change;
	List	   *leaves;			/* BackfillLeaf, in the order of their OIDs */
	bool		looked_up;		/* the leaves, in this process */
	BackfillProgress progress;
	BackfillWalk walk;
	BackfillKeyWalk keys;
	BackfillAside aside;		/* while it works on a part */
	List	   *again;			/* OIDs of tables that were rewritten under their parts, to be walked anew */
	uint64		pending;		/* rows that the last count found to be changed */
	uint64		unfilled;		/* rows that still match because they got NULL */
	bool		rows_locked;	/* some were left because others lock them */
	bool		give_up;		/* this attempt: others lock what is left */
	char		obstacle[256];	/* what the last attempt at those said */
	BackfillBarrier *barrier;	/* transactions that are waited for before the walk; or NULL */
	List	   *synced;			/* OIDs of tables that this process has seen the trigger on */
	BackfillPoint covered_since;	/* what is written is right, by a trigger or the application */
	const char *gap;			/* a table where that was interrupted; or NULL */
	const char *came;			/* by key: tables that came meanwhile, in a sentence; or NULL */
	bool		clearing;		/* triggers are being dropped */
	bool		walked;			/* all that was known of; tables may have come */
	BackfillPoint counted_at;	/* when the last count's snapshot was taken */
	int			counted_tables;
	uint64		counted_blocks;
	long		patience;		/* ms that a lock is waited for, each time; 0: BACKFILL_TABLE_PATIENCE */
	long		table_waited;	/* ms waited for a table's lock to put or drop a trigger */
	bool		count_spoiled;	/* a table was rewritten during the count */
	uint64		last_pending;	/* of the count before; of the first one, the rows changed */
	int			stalled;		/* counts that have found no fewer */
	uint64		swept_from;		/* rows that had been changed when the last count began */
	int			pass;			/* 0: the walk; then the sweep */
	uint64		quarantined;	/* rows set aside; known when a pass has ended */
	ErrorData  *failure;		/* that the next step is to stop with; or NULL */
	bool		too_many;		/* it is the last of too many */
	const char *row_hint;		/* of the error of a row; NULL: the server's own */
} BackfillRun;

/* Ranges of blocks that a position tells apart. */
#define BACKFILL_POSITION_RANGES 20

/* Numbers that stand for one of them: table, its storage, from, to. */
#define BACKFILL_RANGE_NUMBERS 4

/* Line pointers of a block, as places in one order of all rows; (b, 0) holds none. */
#define BACKFILL_BLOCK_PLACES (MaxHeapTuplesPerPage + 1)
#define BACKFILL_PLACE(block) ((uint64) (block) * BACKFILL_BLOCK_PLACES)

/* ms that a lock on a table is waited for in all, where the call says nothing of it */
#define BACKFILL_TABLE_PATIENCE 60000L

/* bytes a second: the smallest budget of WAL */
#define BACKFILL_LEAST_WAL (1024 * 1024)

/* backfill_request.c */
extern void dbops_backfill_read_request(FunctionCallInfo fcinfo, BackfillRequest *request);
extern long dbops_backfill_check_pause(const Interval *pause);
extern BackfillMethod dbops_backfill_method(const char *name);
extern const char *dbops_backfill_method_name(BackfillMethod method);

/* backfill.c */
extern void dbops_backfill_judge(BackfillRun *run, bool call);
extern void dbops_backfill_prepare(FunctionCallInfo fcinfo, BackfillRun *run, bool call);
extern int	dbops_backfill_most_workers(bool call);
extern void dbops_backfill_report(const BackfillRun *run);
extern const char *dbops_backfill_left_reason(const BackfillRun *run, const char **hint);

/* backfill_job.c */
extern const DbopsJobKind dbops_backfill_kind;

extern void dbops_backfill_job_init(void);

/* backfill_same.c */
extern void dbops_backfill_check_same(int64 job, Jsonb *spec);

/* backfill_spec.c */
extern Jsonb *dbops_backfill_spec(const BackfillRun *run);
extern void dbops_backfill_read_spec(BackfillRun *run, Jsonb *spec);
extern void dbops_backfill_put_change(DbopsJson *json, const BackfillChange *change);
extern BackfillChange *dbops_backfill_read_change(const Jsonb *document);

/* backfill_position.c */
extern Jsonb *dbops_backfill_position(const BackfillRun *run);
extern void dbops_backfill_take_over(BackfillRun *run, Jsonb *position);
extern Jsonb *dbops_backfill_remains(const DbopsJob *job);
extern bool dbops_backfill_take_over_walk(BackfillRun *run, Jsonb *position, bool sweep);
extern bool dbops_backfill_position_fits(const BackfillRun *run, Jsonb *position);
extern BackfillLeaf *dbops_backfill_find_leaf(const BackfillRun *run, Oid relid);

/* backfill_settings.c */
extern void dbops_backfill_check_settings(Jsonb *settings);
extern void dbops_backfill_tune(BackfillRun *run, Jsonb *settings);

/* backfill_target.c */
extern List *dbops_backfill_leaves(const BackfillRequest *request);
extern List *dbops_backfill_look_up(const BackfillRequest *request);
extern void dbops_backfill_check_tables(Oid relid);
extern void dbops_backfill_look_again(BackfillLeaf *leaf, const BackfillRequest *request);
extern void dbops_backfill_check_still(const BackfillLeaf *leaf);

/* backfill_change.c */
extern bool dbops_backfill_is_moment(Node *node);
extern bool dbops_backfill_is_partition_key(Oid relid, const char *column);
extern BackfillChange *dbops_backfill_understand(const BackfillRequest *request);
extern void dbops_backfill_use_meaning(const BackfillChange *change);

/* backfill_repeat.c */
extern void dbops_backfill_judge_repeat(struct Query *query, Relation rel,
										BackfillChange *change,
										bool *compare_image, int *null_resno);
extern void dbops_backfill_refuse_twice(const char *detail, const char *hint);

/* backfill_columns.c */
extern List *dbops_backfill_columns(struct Query *query, Relation rel);
extern void dbops_backfill_put_columns(DbopsJson *json, const BackfillChange *change);
extern List *dbops_backfill_take_columns(const Jsonb *document);
extern void dbops_backfill_explain_columns(const BackfillChange *change, const BackfillLeaf *leaf,
										   const ErrorData *error);

/* backfill_batch.c */
typedef enum BackfillOutcome
{
	BATCH_DONE,
	BATCH_ROWS_LOCKED,			/* gave up: others hold row locks */
	BATCH_TABLE_LOCKED,			/* gave up: others hold a lock on the table */
	BATCH_TOO_LONG,				/* gave up: it was cut off or ran into statement_timeout, and can be made smaller */
	BATCH_REWRITTEN,			/* the table has new storage: begin again */
	BATCH_GONE,					/* the table has been dropped */
	BATCH_FAILED				/* because of what is in a row; see dbops_backfill_failure */
} BackfillOutcome;

typedef struct BackfillCounts
{
	uint64		pending;		/* rows that match and would be changed */
	uint64		matching;		/* rows that match */
	int64	   *sizes;			/* of a sampler: bytes before and after, column by column; or NULL */
} BackfillCounts;

/* Line pointers of a block, as places in one order of all rows; (b, 0) holds none. */
#define BLOCK_PLACES (MaxHeapTuplesPerPage + 1)

extern BackfillBatcher *dbops_backfill_batcher(const BackfillChange *change,
											   const BackfillLeaf *leaf);
extern BackfillBatcher *dbops_backfill_sampler(const BackfillChange *change,
											   const BackfillLeaf *leaf, bool sizes);
extern BackfillOutcome dbops_backfill_update(BackfillBatcher *batcher,
											 BlockNumber from, BlockNumber to,
											 DbopsBatch *batch);
extern BackfillOutcome dbops_backfill_update_places(BackfillBatcher *batcher, BlockNumber block,
													int from, int to, DbopsBatch *batch);
extern BackfillOutcome dbops_backfill_count(BackfillBatcher *batcher,
											BlockNumber from, BlockNumber to,
											BackfillCounts *counts);
extern BackfillOutcome dbops_backfill_update_tids(BackfillBatcher *batcher,
												  const ItemPointerData *bounds, int most_ms, uint64 *rows);
extern BackfillOutcome dbops_backfill_count_tids(BackfillBatcher *batcher,
												 const ItemPointerData *bounds,
												 BackfillCounts *counts);
extern const char *dbops_backfill_obstacle(const BackfillBatcher *batcher);
extern ErrorData *dbops_backfill_failure(const BackfillBatcher *batcher);
extern void dbops_backfill_batcher_free(BackfillBatcher *batcher);

/* backfill_skip.c */
struct PlannedStmt;
extern char *dbops_backfill_skip_sql(const BackfillChange *change, const BackfillLeaf *leaf,
									 bool key, const char *returning);
extern bool dbops_backfill_assigns_key(const struct PlannedStmt *plan, const BackfillLeaf *leaf);
extern bool dbops_backfill_skips_by_range(const struct PlannedStmt *plan);

/* For what is done to a table in the place of a range of blocks. */
extern BackfillOutcome dbops_backfill_attempt(BackfillBatcher *batcher, DbopsCallback work, void *arg,
											  bool divisible, DbopsBatch *batch);
extern void dbops_backfill_plan_by_key(DbopsStatement **statement, const char *sql, int nparams,
									   const Oid *types, const BackfillLeaf *leaf, Oid index);

/* backfill_key.c */
extern BackfillKey *dbops_backfill_key_find(Oid relid, Oid root, List *assigned, char **defect);
extern BackfillKey *dbops_backfill_key_require(Oid relid, Oid root, List *assigned);
extern BackfillKey *dbops_backfill_key_over(Oid relid, int columns, const AttrNumber *attnums);
extern BackfillKey *dbops_backfill_key_plain(TupleDesc desc, int columns, const AttrNumber *attnums);
extern bool dbops_backfill_key_of_row(const BackfillKey *key, HeapTuple row, TupleDesc desc, Datum *values);
extern int	dbops_backfill_key_compare(const BackfillKey *key, const Datum *a, const Datum *b);
extern bytea *dbops_backfill_key_pack(const BackfillKey *key, const Datum *values);
extern bool dbops_backfill_key_fits(const BackfillKey *key, const bytea *packed);
extern Datum *dbops_backfill_key_unpack(const BackfillKey *key, bytea *packed);
extern void dbops_backfill_key_ends(const BackfillKey *key, Oid relid, Oid owner,
									bytea **first, bytea **last);
extern char *dbops_backfill_key_order(const BackfillKey *key, const char *prefix, int strategy);
extern char *dbops_backfill_key_condition(const BackfillKey *key, const char *prefix,
										  int strategy, int parameter);
extern char *dbops_backfill_key_names(const BackfillKey *key);
extern char *dbops_backfill_key_text(const BackfillKey *key, const Datum *values);

/* backfill_visit.c */
extern bool dbops_backfill_pass_read(int64 job, Oid relid, Snapshot snapshot, BackfillPass *pass);
extern bool dbops_backfill_pass_of(int64 job, Oid relid, Oid root, BackfillPass *pass);
extern void dbops_backfill_pass_begin(int64 job, Oid relid, const BackfillKey *key,
									  const bytea *first, const bytea *last);
extern void dbops_backfill_pass_move(int64 job, Oid relid, bytea *cursor);
extern BackfillVisit dbops_backfill_pass_visit(const BackfillPass *pass, const BackfillKey *key,
											   const Datum *values);
extern bool dbops_backfill_pass_done(const BackfillPass *pass);
extern BackfillVisit dbops_backfill_note_find(int64 job, Oid relid, bytea *key, Snapshot snapshot);
extern void dbops_backfill_note_set(int64 job, Oid relid, bytea *key, BackfillVisit visit);
extern bool dbops_backfill_note_any(int64 job, Oid relid, Snapshot snapshot);
extern void dbops_backfill_note_each(int64 job, Oid relid, Snapshot snapshot,
									 BackfillNoteCallback each, void *arg);
extern void dbops_backfill_note_delete(const BackfillNote *note);
extern void dbops_backfill_notes_forget(int64 job, Oid relid);
extern bool dbops_backfill_visit_forget(int64 job, int rows);

/* backfill_guard.c */
extern bool dbops_backfill_guard_put(BackfillRun *run);
extern void dbops_backfill_guard_own(int64 job);
extern BackfillLeaf *dbops_backfill_guard_gap(const BackfillRun *run);

/* backfill_keyset.c */
extern bool dbops_backfill_keyset_step(BackfillRun *run, DbopsStep *step);

/* backfill_rights.c */
extern void dbops_backfill_check_rights(const struct Query *query, Relation target);

/* backfill_quarantine.c */
extern bool dbops_backfill_is_of_row(int sqlerrcode);
extern BackfillOutcome dbops_backfill_update_pieces(BackfillRun *run, BackfillBatcher *batcher,
													const BackfillLeaf *leaf, uint64 from,
													uint64 *to, uint64 *rows);
extern BackfillOutcome dbops_backfill_count_pieces(BackfillRun *run, BackfillBatcher *batcher,
												   const BackfillLeaf *leaf, BlockNumber from,
												   BlockNumber to, BackfillCounts *counts);
extern bool dbops_backfill_set_aside(BackfillRun *run, const BackfillLeaf *leaf,
									 const ItemPointerData *tid, const ErrorData *error);
extern void dbops_backfill_stop(const BackfillRun *run);
extern void dbops_backfill_settle(BackfillRun *run, int pass);
extern char *dbops_backfill_aside(const BackfillRun *run);
extern uint64 dbops_backfill_left(const BackfillRun *run);
extern Jsonb *dbops_backfill_last_error(int64 job);

/* backfill_walk.c */

/*
 * Blocks that must have been changed before a vacuum, whatever share of the
 * table they are: it reads every index of the table.
 */
#define BACKFILL_VACUUM_BLOCKS (256 * 1024 / BLCKSZ)
#define BACKFILL_TABLE_WAIT 100L	/* ms between two tries for a table's lock */

extern void dbops_backfill_walk_all(BackfillRun *run);
extern List *dbops_backfill_add_range(List *ranges, BackfillLeaf *leaf,
									  BlockNumber from, BlockNumber to);
extern void dbops_backfill_tell_rewritten(const BackfillLeaf *leaf);
extern void dbops_backfill_walk_enter(BackfillRun *run, BackfillLeaf *leaf);
extern bool dbops_backfill_walk_new(BackfillRun *run);
extern bool dbops_backfill_walk_step(BackfillRun *run, DbopsStep *step);
extern void dbops_backfill_ask_for_vacuum(BackfillRun *run, DbopsStep *step,
										  const BackfillLeaf *leaf, BlockNumber changed);
extern void dbops_backfill_walk_leave(BackfillWalk *walk);
extern BlockNumber dbops_backfill_certain_blocks(const BackfillLeaf *leaf);
extern void dbops_backfill_note_wait(const BackfillRun *run, const BackfillLeaf *leaf, long *waited);
extern bool dbops_backfill_is_patient(const BackfillRun *run, long waited);
extern char *dbops_backfill_who(const char *table, const char *mode);

/* backfill_share.c */
extern List *dbops_backfill_cut(BackfillRun *run);
extern void dbops_backfill_part_enter(BackfillRun *run, Jsonb *position);
extern void dbops_backfill_part_leave(BackfillRun *run);
extern void dbops_backfill_part_gather(BackfillRun *run, Jsonb *position);

/* backfill_verify.c */
extern bool dbops_backfill_verify_step(BackfillRun *run);
extern bool dbops_backfill_sweep_helped(const BackfillRun *run);

/* backfill_trigger.c */
extern bool dbops_backfill_trigger_create(Oid relid, const char *name, const char *events,
										  const char *function, List *args);
extern bool dbops_backfill_trigger_create_when(Oid relid, const char *name, const char *events,
											   const char *condition, const char *function,
											   List *args);
extern bool dbops_backfill_trigger_drop(Oid relid, const char *name);
extern char *dbops_backfill_trigger_drop_statement(Oid relid, const char *name);

/* trigger_rights.c */
extern void dbops_trigger_grant(Oid relid, Oid function);
extern void dbops_trigger_revoke(void);

/* backfill_clear.c */
extern char *dbops_backfill_trigger_name(const char *what, int64 job);
extern bool dbops_backfill_triggers_clear(BackfillRun *run, DbopsStep *step);
extern void dbops_backfill_await_table(BackfillRun *run, DbopsStep *step, Oid relid);
extern const char *dbops_backfill_triggers_abandon(int64 job, long patience);
extern const char *dbops_backfill_triggers_kept(int64 job);
extern char *dbops_backfill_table_name(Oid relid);

/* backfill_came.c */
extern char *dbops_backfill_came(const BackfillRun *run);

/* What a query begins with that is about a table and those above it: family (relid), of the table that is its first parameter. */
#define DBOPS_FAMILY \
	"WITH RECURSIVE family (relid) AS (SELECT $1::oid" \
	" UNION SELECT i.inhparent FROM family f JOIN pg_inherits i ON i.inhrelid = f.relid) "

/* backfill_sync.c */
extern void dbops_backfill_sync_check(struct Query *query);
extern bool dbops_backfill_sync_step(BackfillRun *run, DbopsStep *step);
extern BackfillLeaf *dbops_backfill_sync_gap(const BackfillRun *run);
extern char *dbops_backfill_sync_home(void);
extern void dbops_backfill_sync_forget(int64 job);
extern bool dbops_backfill_sync_is_known(const char *argument, Oid relid);

/* backfill_sync_row.c */
struct TriggerData;
typedef struct BackfillSync BackfillSync;	/* a statement's use of a trigger that makes rows right */

extern BackfillSync *dbops_backfill_sync_begin(const struct TriggerData *data, int part,
											   const char *argument, bool known, MemoryContext memory);
extern bool dbops_backfill_sync_may_fail(const BackfillSync *statement);
extern HeapTuple dbops_backfill_sync_row(BackfillSync *statement, const struct TriggerData *data);

/* backfill_barrier.c */
extern bool dbops_backfill_barrier_step(BackfillRun *run, DbopsStep *step);

/* backfill_proof.c */
extern void dbops_backfill_note_point(BackfillPoint *point, bool with_xid);
extern void dbops_backfill_put_points(DbopsJson *json, const BackfillRun *run);
extern void dbops_backfill_take_points(BackfillRun *run, const Jsonb *position);
extern void dbops_backfill_put_proof(DbopsJson *json, const BackfillRun *run);
extern char *dbops_backfill_meanwhile(const BackfillRun *run);

/* backfill_progress.c */
extern void dbops_backfill_progress_begin(BackfillProgress *progress, const char *table);
extern void dbops_backfill_progress_pass(BackfillProgress *progress, uint64 blocks, bool verifying);
extern uint64 dbops_backfill_blocks(List *leaves);
extern void dbops_backfill_progress_range(BackfillProgress *progress, const BackfillLeaf *leaf,
										  BlockNumber from, BlockNumber to);
extern void dbops_backfill_progress_report(BackfillProgress *progress);
extern char *dbops_backfill_progress_pace(const BackfillProgress *progress);
extern char *dbops_backfill_rows(uint64 number);
extern void dbops_backfill_progress_batch(BackfillProgress *progress, uint64 rows);
extern void dbops_backfill_progress_context(void *progress);

/* backfill_sample.c */

/* What a look at some blocks of a table has found: sums over those. */
typedef struct BackfillSample
{
	const BackfillLeaf *leaf;
	const char *error;			/* why rows could not be counted; or NULL */
	bool		sizes_known;	/* the new values could be computed */
	double		reserve;		/* bytes of a page that only updates of its rows fill */
	double		looked;			/* blocks */
	double		seconds;		/* that it took to count in them */
	double		rows;
	double		room;			/* bytes free on the pages */
	double		unfilled;		/* rows that match and would get NULL */
	double		failing;		/* rows whose expressions fail; in none of the others but rows */
	const char *failure;		/* what one of them said; or NULL */
	double		pending;		/* rows to be changed */
	double		pending_squares;	/* sum of the squares of each block's */
	double		old_bytes;		/* of the rows to be changed */
	double		new_bytes;
	double		assigned;		/* bytes of the new values alone */
	double		outside;		/* bytes of values that are kept outside of the row */
	double		fit;			/* rows to be changed that their page has room for */
	double		guarded;		/* of those, in the room that fillfactor reserves */
	double		open;			/* rows that pages have room for, of any page */
	double		empty;			/* pages without rows */
	double		touched;		/* blocks with rows to be changed */
	double		cold;			/* of those, not written since the last checkpoint */
	double		image;			/* bytes of their full-page images */
} BackfillSample;

extern List *dbops_backfill_sample(const BackfillRun *run);
extern double dbops_backfill_slot(double width);

/* backfill_forecast.c */

/* What will come of a backfill, of all its tables. */
typedef struct BackfillForecast
{
	double		looked;			/* blocks */
	double		rows;			/* of the tables */
	double		pending;		/* to be changed */
	double		variance;		/* of that estimate */
	double		unfilled;		/* rows that match and would get NULL */
	double		failing;		/* rows whose expressions fail */
	double		old_bytes;		/* of the rows to be changed */
	double		new_bytes;
	double		room;			/* bytes free on the pages */
	double		touched;		/* pages with rows to be changed */
	double		stay;			/* rows that stay on their page */
	double		hot;			/* of those, without an entry in any index */
	double		growth;			/* bytes of the tables */
	int			indexes;
	double		index_bytes;
	double		index_growth;
	double		entries;		/* index entries that are made */
	double		outside;		/* bytes of values kept outside of rows */
	double		batches;
	double		vacuums;
	double		records;		/* bytes of WAL without images */
	double		images;
	double		heap_images;	/* bytes, if each page were written once as a whole */
	double		cold;			/* pages not written since the last checkpoint */
	double		ordered_images; /* the same of indexes in the table's order */
	double		scattered_pages;	/* of indexes in another order */
	double		scattered_entries;	/* that those get */
	double		compute;		/* s, that counting in all blocks would take */
	List	   *blocking;		/* char *: assigned columns that are in an index */
	bool		sizes_known;
	bool		complete;		/* every table was looked at */
} BackfillForecast;

extern void dbops_backfill_forecast(const BackfillRun *run, List *samples, BackfillForecast *forecast);

/* backfill_effects.c */
extern void dbops_backfill_report_effects(const BackfillRun *run, double pending, ReturnSetInfo *rsinfo);
extern void dbops_backfill_report_warnings(const BackfillRun *run, double pending, ReturnSetInfo *rsinfo);

/* backfill_plan.c */
extern void dbops_backfill_plan_put(ReturnSetInfo *rsinfo, const char *item, const char *value,
									double number, const char *note);

/* blockers.c */
extern const char *dbops_lock_mode_name(LOCKMODE mode);

#endif							/* DBOPS_CHANGE_H */
