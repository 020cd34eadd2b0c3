/*
 * retention.h
 *		Rows that are kept for so long, and holds on those that must stay.
 *
 * A run fixes its cutoff once. Where the table is partitioned by the column,
 * whole partitions go (partition.h); else rows do, in batches that are ranges of
 * the column's values or ranges of blocks. All times are positions on the axis
 * of the column, as partition.h has them.
 *
 * Every condition is SQL over one row of the table by the name RETENTION_ROW,
 * written so that each name in it is qualified.
 */
#ifndef DBOPS_RETENTION_H
#define DBOPS_RETENTION_H

#include "maintain/cutoff.h"
#include "maintain/hold.h"
#include "maintain/policy.h"
#include "maintain/partition.h"

#include "core/batch.h"
#include "storage/itemptr.h"

#define RETENTION_KIND	"retention"		/* of policies and of their jobs */
#define RETENTION_ROW	"dbops_row"		/* what conditions call a row of the table */
#define RETENTION_ALONG	"dbops_along"	/* and one of a table whose rows go along with its rows */
#define RETENTION_PASSES 50		/* over a table whose rows refer to each other, in a run */
#define RETENTION_SAMPLE_ERROR 0.1	/* of a number of rows that was not counted */
#define RETENTION_NONE	PARTITION_BEGINNING		/* position of no time at all */

/* ---- retention_spec.c: what is asked for ---- */

typedef struct RetentionSpec
{
	Oid			relid;
	const char *table;			/* as SQL writes it */
	Oid			owner;			/* with whose rights rows are deleted */
	const char *column;
	PartitionClock clock;		/* of the column */
	Interval   *keep;
	const char *filter;			/* as it was given; or NULL */
	const char *condition;		/* the same as a condition; or NULL */
	Jsonb	   *names;			/* what the names in it and of the column were (retention_names.c) */
	const char *archive;		/* as SQL writes it; or NULL */
	const char *path;			/* search_path that statements run with */
	const char *zone;
} RetentionSpec;

extern Jsonb *dbops_retention_put(const RetentionSpec *spec);
extern void dbops_retention_pin_settings(const RetentionSpec *spec);
extern RetentionSpec *dbops_retention_spec(const Policy *policy);
extern RetentionSpec *dbops_retention_read(FunctionCallInfo fcinfo, const int *places, Oid relid, const char *zone);
extern const char *dbops_retention_unit_name(int64 in_second);
extern bool dbops_retention_same_rows(const Jsonb *a, const Jsonb *b);
extern bool dbops_retention_by_partition(const RetentionSpec *spec);

/* ---- retention_epoch.c: does an integer count time? ---- */

extern void dbops_retention_check_epoch(const RetentionSpec *spec, bool given);

/* ---- retention_value.c: values of the column as numbers, in their own order ---- */

extern int64 dbops_retention_raw(const PartitionClock *clock, Datum value);
extern Datum dbops_retention_datum(const PartitionClock *clock, int64 raw);
extern int64 dbops_retention_least(const PartitionClock *clock);	/* the least that is finite */

/* ---- retention_target.c: the tables that hold the rows ---- */

typedef struct RetentionLeaf
{
	Oid			relid;
	const char *name;			/* as SQL writes it */
	Oid			filenode;		/* the storage that block numbers refer to */
	BlockNumber blocks;
	double		rows;			/* as the server estimates */
	double		bytes;			/* of a row, with what is kept outside of it */
	Oid			index;			/* by which it is read; InvalidOid: by blocks */
	const char *index_name;		/* or NULL */
	bool		partial;		/* that index has only rows that are meant */
	double		order;			/* how far the table is in the order of the column; 0 to 1 */
} RetentionLeaf;

extern void dbops_retention_check_table(Oid relid, const char *what);
extern void dbops_retention_check_fights(Oid relid);
extern bool dbops_retention_is_same_tree(Oid one, Oid other);
extern bool dbops_retention_is_part(Oid table, Oid relid);
extern List *dbops_retention_tables(const RetentionSpec *spec, int64 cutoff, bool others);
extern const char *dbops_retention_other_owner(const RetentionSpec *spec, Oid relid);
extern RetentionLeaf *dbops_retention_next_leaf(const RetentionSpec *spec, int64 cutoff, Oid from);
extern RetentionLeaf *dbops_retention_leaf(const RetentionSpec *spec, Oid relid);
extern void dbops_retention_choose(RetentionLeaf *leaf, double expired);
extern bool dbops_retention_keeps_index(const RetentionSpec *spec, RetentionLeaf *leaf);

/* ---- retention_names.c: what the names in a condition were ---- */

/* The columns that are named of a table. */
typedef struct RetentionNamed
{
	Oid			relid;
	Bitmapset  *columns;		/* their numbers */
} RetentionNamed;

typedef struct RetentionNames
{
	RetentionNamed own;			/* of the table whose rows are meant */
	List	   *others;			/* of RetentionNamed * */
} RetentionNames;

/*
 * SQL: what has been renamed since, or null. names: as dbops_retention_names_put
 * has written them. relation: the OID of the table whose rows are meant; in a
 * copy, where it is another one, the numbers are others and nothing is compared.
 */
#define RETENTION_RENAMED(names, relation) \
	"(WITH named (relation, name, numbers) AS (SELECT " relation ", NULL, " names " -> 'numbers'" \
	" UNION ALL SELECT (o ->> 'table')::oid, o ->> 'name', o -> 'numbers' FROM jsonb_array_elements(" names " -> 'others') o)" \
	" SELECT renamed FROM (SELECT name FROM named WHERE name <> coalesce((SELECT format('%I.%I', n.nspname, r.relname)" \
	" FROM pg_class r JOIN pg_namespace n ON n.oid = r.relnamespace WHERE r.oid = named.relation), '')" \
	" UNION ALL SELECT coalesce(name || '.', '') || quote_ident(key) FROM named, jsonb_each_text(numbers) WHERE NOT EXISTS" \
	" (SELECT FROM pg_attribute WHERE attrelid = named.relation AND attname = key AND attnum = value::int2 AND NOT attisdropped)) r (renamed)" \
	" WHERE (" names " ->> 'table')::oid = " relation " LIMIT 1)"

extern void dbops_retention_note_names(struct Query *query, RetentionNames *names);
extern Jsonb *dbops_retention_names_put(const RetentionNames *names);

/* ---- retention_condition.c: a user's predicate as a condition ---- */

extern char *dbops_retention_filter_condition(Oid relid, const char *text, RetentionNames *names);
extern char *dbops_retention_hold_condition(Oid relid, const char *text, RetentionNames *names);

/* ---- retention_archive.c: where rows go that are deleted ---- */

extern void dbops_retention_check_archive(const RetentionSpec *spec, Oid partition);
extern const char *dbops_retention_archive_obstacle(const RetentionSpec *spec, Oid partition);
extern void dbops_retention_refuse_archive(const char *archive, int64 archived, int64 rows);
extern void dbops_retention_copy(const char *sql, const char *table, const char *archive);
extern char *dbops_retention_archive_columns(const RetentionSpec *spec, Oid leaf, Oid *archive, bool *override);

/* ---- retention_reference.c: who refers to the rows ---- */

typedef struct RetentionReference
{
	Oid			constraint;
	const char *name;
	Oid			table;			/* that refers */
	char		on_delete;		/* FKCONSTR_ACTION_*, as far as it can be done */
	bool		must_stay;		/* SET NULL or SET DEFAULT cannot: its columns must not be null */
	const char *columns;		/* of it, quoted and separated by commas */
	const char *join;			/* %s stands for the name of a row of the table that is referred to, %s for one that refers */
	bool		indexed;		/* the server finds rows that refer by an index */
	Oid			referred;		/* whose rows it refers to: the table that was asked about, or one of its partitions */
	int			n_keys;
	const char *keys;			/* the columns that are referred to, of RETENTION_ROW, separated by commas */
	const char *match;			/* of a row that refers, by the name RETENTION_ROW, to the keys $1, $2 and so on */
} RetentionReference;

/* Does it change rows that refer when those that they refer to go? */
#define REFERENCE_GOES_ALONG(reference) ((reference)->on_delete == FKCONSTR_ACTION_CASCADE || \
	(reference)->on_delete == FKCONSTR_ACTION_SETNULL || (reference)->on_delete == FKCONSTR_ACTION_SETDEFAULT)

extern List *dbops_retention_references(Oid relid);
extern char *dbops_retention_reference_join(const RetentionReference *reference, const char *row, const char *other);
extern bool dbops_retention_is_referred_to(Oid relid, const ErrorData *error);
extern const char *dbops_retention_unchangeable(Oid relid, const ErrorData *error);
extern const RetentionReference *dbops_retention_unindexed(Oid relid);
extern void dbops_retention_check_references(Oid relid);
extern bool dbops_retention_refers_to_itself(Oid relid);
extern bool dbops_retention_keeps_cascaded(const RetentionReference *reference, Oid first);
extern char *dbops_retention_reference_ddl(const RetentionReference *reference);
extern const char *dbops_retention_waits_for(const Policy *policy);

/* ---- retention_along.c: lock the rows that would go along ---- */

extern bool dbops_retention_must_lock(Oid relid, Oid first);
extern void dbops_retention_lock_along(const RetentionLeaf *leaf, Datum places, bool wait);

/* ---- retention_foreign.c: ask tables of other roles who refer ---- */

extern bool dbops_retention_is_foreign(const RetentionReference *reference, Oid role);
extern bool dbops_retention_foreign_keeps(const RetentionReference *reference, Oid first);
extern bool dbops_retention_asks_others(Oid relid, Oid role);
extern int	dbops_retention_ask_others(const RetentionLeaf *leaf, Oid role, Datum *places);

/* ---- retention_sql.c: statements about the rows ---- */

typedef enum RetentionRange
{
	RANGE_KEYS,					/* $1 <= column < $2 */
	RANGE_BLOCKS,				/* $1 <= ctid < $2, column < $3 */
	RANGE_PLACES				/* ctid = ANY ($1), column < $2 */
} RetentionRange;

extern char *dbops_retention_meant(const RetentionSpec *spec);
extern char *dbops_retention_expired(const RetentionSpec *spec, Oid relid, Oid beside);
extern char *dbops_retention_delete(const RetentionSpec *spec, const RetentionLeaf *leaf, const char *expired,
									RetentionRange range);
extern char *dbops_retention_lock(const RetentionSpec *spec, const RetentionLeaf *leaf, const char *expired,
								  RetentionRange range, bool skip_locked);

/* ---- retention_memory.c: what a policy remembers ---- */

#define RETENTION_BACKLOGS 4

/* Rows of another table. */
typedef struct RetentionAlong
{
	Oid			table;
	double		rows;
} RetentionAlong;

typedef struct RetentionMemory
{
	CutoffMark	allowed;		/* the last run that was */
	int64		confirmed;		/* cutoff before which confirmed_rows may go; RETENTION_NONE */
	double		confirmed_rows;
	int64		shown;			/* cutoff that was refused; RETENTION_NONE */
	double		shown_rows;
	List	   *confirmed_along;	/* of RetentionAlong *: those that may go along with them */
	List	   *shown_along;
	int64		oldest;			/* position; RETENTION_NONE: not known */
	double		backlog_rows;	/* expired, at the last look */
	double		backlog_bytes;
	double		rate;			/* rows a second; 0: not known */
	TimestampTz last_run;		/* 0: never */
	TimestampTz last_success;
	const char *stopped;		/* why the last run ended before all was done; or NULL */
	int64		settled;		/* the last job before the policy was set again; 0: none */
	int			n_left;
	int64		left[RETENTION_BACKLOGS];	/* rows that runs have left, the newest last */
} RetentionMemory;

extern RetentionMemory *dbops_retention_memory(const Jsonb *memory);
extern Jsonb *dbops_retention_memory_put(const RetentionMemory *memory);
extern void dbops_retention_forget_shown(RetentionMemory *memory);
extern void dbops_retention_allow(RetentionMemory *memory, int64 cutoff);
extern void dbops_retention_confirm(RetentionMemory *memory, const RetentionSpec *spec, int64 cutoff);

/* ---- retention_estimate.c: how much there is to do ---- */

typedef struct RetentionEstimate
{
	double		rows;			/* of the tables */
	double		expired;		/* that would be deleted */
	double		kept;			/* that are old as well, and stay for holds or references */
	double		beyond;			/* of the expired ones, at or after a position that was confirmed */
	double		bytes;			/* of the expired ones */
	int64		oldest;			/* position; RETENTION_NONE: not known */
	bool		exact;			/* all blocks were looked at */
} RetentionEstimate;

extern const char *dbops_retention_counted(const RetentionSpec *spec, Oid relid);
extern void dbops_retention_estimate(const RetentionSpec *spec, const RetentionLeaf *leaf, const char *expired,
									 int64 cutoff, int64 confirmed, RetentionEstimate *sum);
extern void dbops_retention_estimate_all(const RetentionSpec *spec, int64 cutoff, int64 confirmed, RetentionEstimate *sum);
extern const char *dbops_retention_too_many(const RetentionSpec *spec, int64 cutoff, int64 confirmed);
extern double dbops_retention_countable(const RetentionSpec *spec, const RetentionEstimate *estimate);
extern double dbops_retention_unconfirmed(const RetentionMemory *memory, const RetentionEstimate *estimate);
extern char *dbops_retention_share(const RetentionEstimate *estimate);

typedef void (*RetentionCounting) (void *arg, int64 from, int64 to);	/* count the rows of these blocks */

extern void dbops_retention_sample(int64 blocks, TimestampTz end, RetentionCounting count, void *arg);

/* ---- retention_cascade.c: how much of other tables would go along ---- */

typedef struct RetentionCascade
{
	Oid			table;
	const char *name;			/* as SQL writes it */
	const char *condition;		/* of a row of it by the name RETENTION_ALONG: it would go */
	double		rows;			/* of the table */
	double		gone;
	bool		exact;			/* all blocks were looked at */
	bool		direct;			/* refers to the table itself */
	bool		hidden;			/* the owner may not read it: it is not known */
} RetentionCascade;

extern List *dbops_retention_cascades(const RetentionSpec *spec, int64 cutoff);
extern const char *dbops_retention_too_many_along(const RetentionMemory *memory, const List *cascades);
extern void dbops_retention_remember_along(List **along, const List *cascades);
extern void dbops_retention_limit_along(List *along, const List *cascades);

/* ---- retention_batch.c: delete the rows of one range ---- */

typedef enum RetentionOutcome
{
	DELETED,
	ROWS_LOCKED,				/* gave up: others hold row locks */
	TABLE_LOCKED,				/* gave up: others hold a lock on the table, or place a hold */
	TOO_LONG,					/* gave up: it can be made smaller */
	REFERENCED,					/* gave up: rows have come that refer to some */
	UNCHANGEABLE,				/* gave up: rows that refer to some must lose that, and cannot */
	REWRITTEN					/* the table has new storage, or is gone */
} RetentionOutcome;

typedef struct RetentionDelete
{
	const RetentionSpec *spec;
	const RetentionLeaf *leaf;
	RetentionRange range;
	bool		skip_locked;
	int64		cutoff;
	int64		from;			/* raw values of the column, or blocks */
	int64		to;
	Datum		places;			/* array of tid */
	const char *obstacle;		/* what it has met; or NULL */
} RetentionDelete;

typedef struct RetentionStatements RetentionStatements;

extern RetentionStatements *dbops_retention_statements(MemoryContext memory);
extern void dbops_retention_statements_free(RetentionStatements *statements);
extern RetentionOutcome dbops_retention_batch(RetentionStatements *statements, RetentionDelete *delete, DbopsBatch *batch);

/* ---- retention_walk.c: one table, batch after batch ---- */

/* Why a row was left. */
#define RETENTION_LEFT_LOCKED		1	/* others have locked it */
#define RETENTION_LEFT_REFERENCED	2	/* rows have come that refer to it */
#define RETENTION_LEFT_LONG			4	/* it takes longer than statement_timeout */
#define RETENTION_LEFT_UNCHANGEABLE	8	/* rows that refer to it must lose that, and cannot */

typedef struct RetentionWalk
{
	RetentionLeaf *leaf;		/* NULL: none yet */
	RetentionStatements *statements;
	DbopsPace	pace;
	DbopsPaceLimits limits;
	int64		at;				/* raw value or block from which on it goes on */
	bool		begun;			/* that is known */
	bool		taken_over;		/* from another process */
	MemoryContext memory;		/* that lasts as long as the walk */
	double		span;			/* of raw values that an entry takes, where they were counted last; 0: to be counted */
	double		share;			/* rows that were deleted there, of an entry */
	ArrayType  *places;			/* of the rows of one value, which are too many for a batch; or NULL */
	int			at_place;
	ItemPointerData after;		/* the last of those that were read */
	bool		careful;		/* the next batch waits for no row */
	int			refusals;		/* of the next range, because rows refer to it */
	int			left;			/* why rows were left: bits of RETENTION_LEFT_* */
	const char *obstacle;		/* why one was left in this step, where a user can do something about it; or NULL */
	int			passes;			/* from the beginning to the end, so far */
	int64		deleted;		/* rows, in this one */
	TimestampTz waits_since;	/* for the table's lock; 0: it does not */
} RetentionWalk;

extern bool dbops_retention_walk_step(const RetentionSpec *spec, RetentionWalk *walk, int64 cutoff,
									  DbopsStep *step, DbopsBatch *batch);
extern bool dbops_retention_walk_frees_rows(const RetentionWalk *walk, int passes_before);
extern void dbops_retention_walk_again(RetentionWalk *walk);

/* ---- retention_status.c ---- */

extern int64 dbops_retention_last_job(const Policy *policy, const char **state);

/* ---- retention_job.c ---- */

extern void dbops_retention_init(void);
extern void dbops_retention_check_init(void);

#endif							/* DBOPS_RETENTION_H */
