/*
 * partition.h
 *		Partitioned tables whose partitions are ranges of time: to read them, to
 *		have them made ahead, and to get rid of those that are too old.
 *
 * All arithmetic is on positions: microseconds on the axis of the key. For a
 * timestamptz and an integer epoch that is the time since 2000-01-01 00:00 UTC,
 * as of TimestampTz; for a timestamp and a date, which say no zone, it is what
 * the clock of the policy's zone shows. So the order of positions is that of
 * the bounds, whatever the clocks do.
 *
 * Locks are asked for parent first, then the default partition, then the
 * partition, as readers do, and never queued for longer than
 * PARTITION_LOCK_WAIT: whoever reads is not kept waiting for longer by a
 * transaction that does not end.
 */
#ifndef DBOPS_PARTITION_H
#define DBOPS_PARTITION_H

#include "maintain/policy.h"

#define PARTITION_LOCK_WAIT	100	/* ms, the longest that anybody waits behind us for a lock */
#define PARTITION_KIND		"partitioning"	/* of policies and of their jobs */

/* ---- partition_clock.c: times as values of the key ---- */

typedef struct PartitionClock
{
	Oid			type;			/* of the key */
	int64		unit;			/* of an integer epoch: its units in a second; 0: it is none */
	struct pg_tz *zone;			/* of the policy */
	struct pg_tz *grid_zone;	/* in which days and months begin; that of the policy, or UTC */
} PartitionClock;

extern int64 dbops_epoch_unit(const char *name);	/* s, ms, us, ns; 22023 */
extern int64 dbops_epoch_unit_of(int64 value);	/* as it looks; 0: it does not look like a time */
extern const char *dbops_epoch_unit_name(int64 unit);
extern bool dbops_partition_type_is_time(Oid type); /* or an integer, that can be an epoch */
extern int64 dbops_partition_position(const PartitionClock *clock, Datum value);
extern Datum dbops_partition_value(const PartitionClock *clock, int64 position);
extern int64 dbops_partition_position_at(const PartitionClock *clock, TimestampTz at);
extern TimestampTz dbops_partition_at(const PartitionClock *clock, int64 position);
extern Timestamp dbops_partition_local(const PartitionClock *clock, int64 position);	/* in the grid's zone */
extern int64 dbops_partition_from_local(const PartitionClock *clock, Timestamp local);
extern int64 dbops_partition_cutoff(const PartitionClock *clock, TimestampTz now, const Interval *keep);
extern char *dbops_partition_literal(const PartitionClock *clock, int64 position);	/* as SQL, quoted */

/* ---- partition_set.c: what is there ---- */

#define PARTITION_BEGINNING	PG_INT64_MIN	/* position of MINVALUE */
#define PARTITION_END		PG_INT64_MAX	/* position of MAXVALUE */

typedef struct Partition
{
	Oid			relid;
	const char *schema;
	const char *relname;
	const char *name;			/* as SQL writes it */
	char		relkind;		/* 'r'; 'p': has partitions of its own; 'f': a foreign table */
	bool		pending;		/* its detaching has begun and is not finished */
	int64		lower;			/* position of its first value */
	int64		upper;			/* of the first behind it */
	int64		rows;			/* estimated, with those of its own partitions; -1: nobody has analyzed them */
	int64		bytes;			/* with indexes and TOAST; both are 0 until they are measured */
} Partition;

typedef struct PartitionSet
{
	Oid			parent;
	const char *name;			/* as SQL writes it */
	const char *schema;
	const char *relname;
	const char *column;			/* of the key, as in the catalog */
	int64		lower;			/* its own bounds, where it is a partition by the same key itself, ... */
	int64		upper;			/* ... else those of no bound */
	PartitionClock clock;
	List	   *partitions;		/* of Partition *, by their bounds; without the default */
	Partition  *default_partition;	/* or NULL */
	Partition  *pending;		/* the one that is half detached; or NULL */
} PartitionSet;

/*
 * Read a set. zone: the policy's; unit: of an integer epoch, 0: as the bounds
 * look. Refuses what cannot be kept by time (22023, 42809) with the reason.
 */
extern PartitionSet *dbops_partition_set_read(Oid parent, struct pg_tz *zone, int64 unit);

/* The reason alone, for who would do without partitions; NULL: it can be read. */
extern const char *dbops_partition_set_defect(Oid parent);
extern void dbops_partition_set_measure(PartitionSet *set); /* fill in rows and bytes; needs no lock */
extern void dbops_partition_measure(Partition *partition);	/* of one alone */
extern Partition *dbops_partition_find(const PartitionSet *set, Oid relid);	/* NULL: none of it */

/* Those that hold nothing at or after a position, the oldest first; of Partition *. */
extern List *dbops_partition_expired(const PartitionSet *set, int64 cutoff);

/* ---- partition_lock.c: locks for which nobody has to wait long ---- */

/*
 * Lock relations in this order, in AccessExclusiveLock mode or a weaker one, or
 * none of them; false: somebody has one, and why says who, and the caller tries
 * again in a later step. NIL members do not come; an OID of 0 is left out.
 */
extern bool dbops_partition_lock(const Oid *relations, int n_relations, int mode, const char **why);

/* Unlock the parent and the default partition, that were locked by the same transaction. */
extern void dbops_partition_unlock(const PartitionSet *set, int mode);

/* The same of what foreign keys of tables refer to and what refers to them, one after the other; those it had are kept. */
extern bool dbops_partition_lock_referenced(const List *tables, int mode, const char **why);

/* Is it, now that it is locked, still the table of that name, by which DDL reaches it? */
extern bool dbops_partition_is_named(Oid relid, const char *schema, const char *relname, const char **why);

extern bool dbops_partition_met_lock(const ErrorData *error);

/* Have the step wait, with nothing locked, before the next try. */
extern void dbops_partition_wait(DbopsStep *step, const char *why);

/* Has what waits since then, 0 at first, to be given up? */
extern bool dbops_partition_waited_long(TimestampTz *since);

/*
 * Do something in a subtransaction, within PARTITION_LOCK_WAIT for each lock.
 * Tried: false: a lock was not to be had, see why; other errors are thrown.
 * Attempted: false: it failed. DDL is tried, as a role.
 */
extern bool dbops_partition_try(DbopsCallback callback, void *arg, const char **why);
extern bool dbops_partition_attempt(DbopsCallback callback, void *arg, ErrorData **error);
extern bool dbops_partition_ddl(Oid role, const char *sql, const char **why);
extern bool dbops_partition_alter(Oid table, Oid role, int mode, const char *sql, const char **why);

/* How long something may take, and what is said when it was cancelled for that. */
typedef struct PartitionLimit
{
	long		ms;				/* 0: as long as it likes */
	int			sqlerrcode;
	const char *message;
	const char *hint;			/* or NULL */
} PartitionLimit;

extern void dbops_partition_within(const PartitionLimit *limit, DbopsCallback callback, void *arg);

/* ---- partition_hand.c: partitions that are on their way out ---- */

typedef struct PartitionHand
{
	Oid			partition;
	const char *name;			/* when it was noted */
	const char *kind;			/* of the policy */
	int64		upper;			/* position of the first value behind it */
	bool		begun;			/* we have begun to detach it */
	int64		rows;
	int64		bytes;
} PartitionHand;

extern bool dbops_partition_hand_find(int64 policy, PartitionHand *hand);
extern List *dbops_partition_hand_list(Oid parent);
extern void dbops_partition_hand_put(int64 policy, const char *kind, Oid parent, const Partition *partition);
extern void dbops_partition_hand_set_begun(Oid partition, bool begun);
extern void dbops_partition_hand_forget(Oid partition);

/* For who sets a policy again, and for who removes one, before it is removed. */
extern void dbops_partition_hand_judge_anew(int64 policy);
extern void dbops_partition_hand_leave(const char *kind, Oid parent);

/* ---- partition_obstacle.c ---- */

/*
 * Why a partition cannot be dropped, as a user reads it; NULL: it can. Looks for
 * rows that reference it, as the owner of the parent, so not for free.
 */
extern const char *dbops_partition_obstacle(const PartitionSet *set, const Partition *partition);

/*
 * Foreign keys from which others refer to a partition, as a user reads it; NULL: none.
 * When it is detached the server looks through these tables, under its locks.
 */
extern const char *dbops_partition_references(const Partition *partition);

/* Why one that they refer to stays, where that takes longer than dbops.max_detach_time. */
extern const char *dbops_partition_too_long(const char *references);

/* ---- partition_drop.c: get rid of a partition, in several steps ---- */

/* A table, and what it was called. */
typedef struct PartitionNamed
{
	Oid			relid;
	const char *schema;
	const char *relname;
} PartitionNamed;

typedef struct PartitionDrop
{
	DbopsJob   *job;
	const char *kind;			/* of the policy, for the maintenance log */
	int64		policy;			/* whose notes are seen to; set before each step, as the next */
	int64		cutoff;			/* what ends later stays, whatever was noted; PARTITION_BEGINNING: all */

	/*
	 * Called with the detached table, locked, in the transaction that drops it.
	 * It can copy the rows elsewhere, or put the table itself elsewhere and
	 * return true: then it stays. NULL: the table is dropped.
	 */
	bool		(*keep) (Oid table, void *arg);
	void	   *arg;
	int			dropped;		/* so far; kept ones too */
	Oid			left;			/* that this step has left as it is, not to be begun again in this run; or 0 */

	/* The file's own; memory is that of the job's state, set in open. */
	MemoryContext memory;
	const char *statement;		/* to be run outside */
	PartitionLimit limit;		/* for it */
	PartitionNamed named[2];	/* what it names: the parent and the partition */
	Oid			pending;		/* the one that was last seen half detached */
	TimestampTz pending_since;	/* that is known, on the server's clock */
	ErrorData  *met;			/* what it has met there; or NULL */
	TimestampTz waits_since;	/* on the server's clock; 0: it does not wait */
} PartitionDrop;

/* How it will be done: the statement and the strongest lock on the parent. */
extern bool dbops_partition_drops_concurrently(const PartitionSet *set);

/* Is one of the set's partitions on its way out, by this policy, or half detached by whomever? */
extern bool dbops_partition_drop_in_hand(const PartitionSet *set, int64 policy);

/* The one that this policy has noted, where nothing was done about it yet; NULL: there is none. */
extern const Partition *dbops_partition_drop_noted(const PartitionSet *set, int64 policy);

/* Begin with one; the steps that follow are of dbops_partition_drop_step. */
extern void dbops_partition_drop_begin(PartitionDrop *drop, const PartitionSet *set, const Partition *partition);

/*
 * Do one step's work on what is in hand. The phase is one of class
 * DBOPS_CLASS_CONCURRENT_DDL. Call it while dbops_partition_drop_in_hand; it
 * may ask the step to wait, or for something outside.
 */
extern void dbops_partition_drop_step(PartitionDrop *drop, const PartitionSet *set, DbopsStep *step);

/* ---- partition_grid.c: where partitions begin ---- */

typedef struct PartitionGrid
{
	const PartitionClock *clock;
	Interval	every;
	Timestamp	anchor;			/* where one begins, on the grid's clock */
} PartitionGrid;

extern void dbops_partition_check_every(Interval *every, Oid type);	/* 22023 */
extern bool dbops_partition_infer(PartitionSet *set, Interval *every);
extern PartitionGrid dbops_partition_grid(PartitionSet *set, const Interval *every);
extern int64 dbops_partition_next(const PartitionGrid *grid, int64 position);
extern int64 dbops_partition_begin_of(const PartitionGrid *grid, int64 position);

/* A partition that is missing. */
typedef struct PartitionGap
{
	int64		lower;
	int64		upper;
	const char *relname;
} PartitionGap;

/* ---- partition_plan.c: what is to be done ---- */

typedef struct PartitionPlan
{
	PartitionSet *set;
	PartitionGrid grid;
	Interval	runway;
	Interval   *keep;			/* or NULL: nothing is dropped */
	int64		now;
	int64		until;			/* partitions are to reach at least so far, within the set's own bounds */
	int64		cutoff;			/* those that end by then are dropped; PARTITION_BEGINNING: none */
	List	   *missing;		/* of PartitionGap * */
	List	   *expired;		/* of Partition * */
} PartitionPlan;

extern PartitionPlan *dbops_partition_plan_of(const Policy *policy);
extern PartitionPlan *dbops_partition_plan_read(Oid parent, const Jsonb *spec, const char *time_zone);

/* ---- partition_name.c ---- */

extern void dbops_partition_name_all(const PartitionPlan *plan);
extern const char *dbops_partition_schema(const PartitionSet *set); /* in which new ones are made */

/* ---- partition_create.c ---- */

extern char *dbops_partition_create_sql(const PartitionSet *set, const PartitionGap *gap);
extern char *dbops_partition_attach_sql(const PartitionSet *set, const PartitionGap *gap);

/* The same in two parts, each as the table's owner, with locks waited for as the session is set. */
typedef struct PartitionMaking
{
	const PartitionSet *set;
	const PartitionGap *gap;
	const char *lacks;			/* set when it is attached: what it was not given; or NULL */
} PartitionMaking;

extern bool dbops_partition_lock_parents(const PartitionSet *set, const char **why);
extern void dbops_partition_make_table(void *making);
extern void dbops_partition_attach_table(void *making);

/* SQL, of an entry x of an access list: whose it is, and whether it may be passed on. */
#define PARTITION_GRANTEE		"CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END"
#define PARTITION_GRANT_OPTION	"CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END"

/* SQL, of an option o of a column: has somebody set it? Late minors of servers keep one for themselves. */
#define PARTITION_OWN_OPTION	"o NOT LIKE 'pg\\_%'"

/* ---- partition_ask.c: what rows there are, asked as the table's owner ---- */

extern bool dbops_partition_ask(Oid role, const char *sql, Oid type, Datum *value); /* false: none, or null */
extern bool dbops_partition_has_rows(const PartitionSet *set, Oid relid, Oid owner, int64 lower, int64 upper);

/* The position of the first row of the default partition between two positions; PARTITION_END: there is none. */
extern int64 dbops_partition_first_row(const PartitionSet *set, Oid owner, int64 lower, int64 upper);

/* ---- partition_proof.c: that the default partition has no rows of a time ---- */

#define PARTITION_PROOF_NAME	"dbops_no_rows_of_that_time"

typedef enum PartitionProof
{
	PARTITION_PROVEN,
	PARTITION_DISPROVEN,
	PARTITION_PROOF_GOES_ON,	/* with the next step */
	PARTITION_PROOF_WAITS		/* for a lock */
} PartitionProof;

/* The constraint as it stands. */
typedef struct PartitionConstraint
{
	bool		exists;
	bool		validated;
	PartitionGap span;			/* that it is about */
} PartitionConstraint;

extern PartitionConstraint dbops_partition_proof_find(Oid table);

/* Get on by one step; a constraint that does not exist yet will be about the span. */
extern PartitionProof dbops_partition_proof_step(const PartitionSet *set, const PartitionConstraint *constraint,
												 const PartitionGap *span, Oid owner, const char **why);
extern bool dbops_partition_proof_remove(Oid table, Oid owner, const char **why);

/* ---- partition_default.c: what a default partition says to one that is to be made ---- */

typedef enum PartitionAnswer
{
	PARTITION_MAY_BE_MADE,
	PARTITION_MADE,
	PARTITION_MADE_LATER,		/* ask again with the next step */
	PARTITION_WAITS,			/* for a lock */
	PARTITION_LEFT_OUT
} PartitionAnswer;

typedef struct PartitionQuestion
{
	const PartitionPlan *plan;
	const PartitionGap *gap;
	Oid			owner;			/* of the table, who asks */
	bool		single;			/* it is proven of each time alone, since that has failed of several at once */
	PartitionAnswer answer;
	const char *why;			/* it waits or is left out */
} PartitionQuestion;

extern void dbops_partition_ask_default(PartitionQuestion *question);
extern char *dbops_partition_unseen_rows(const PartitionSet *set);

/* Make one; PARTITION_WAITS or PARTITION_LEFT_OUT: nothing is made, see why; PARTITION_MADE: why says what it lacks, or is NULL. */
extern PartitionAnswer dbops_partition_create(const PartitionSet *set, const PartitionGap *gap, Oid owner, const char **why);

/* ---- partition_move.c: rows of the default partition on their way into another one ---- */

typedef struct PartitionMove
{
	const PartitionSet *set;
	const PartitionGap *gap;
	Oid			owner;
	const char *columns;		/* that can be inserted, as SQL */
	bool		exclusive;		/* writers are kept out from the beginning */
	int64		rows;
	bool		copied;			/* all rows were, when it failed */
	bool		disturbed;		/* it failed because others change rows that are moved */
	const char *why;			/* it waits; or NULL */
	const char *lacks;			/* what the partition was not given; or NULL */
} PartitionMove;

extern void dbops_partition_move(void *move);	/* in a subtransaction; 55P03: a lock was not to be had */

/* ---- partition_rest.c: what stays in the default partition when it is drained ---- */

#define PARTITION_DRAIN		"drain default partition"	/* in the maintenance log */

/* No partition is made for rows before this: what is earlier is rarely meant as a time. */
extern int64 dbops_partition_drained_from(const PartitionPlan *plan);

extern void dbops_partition_rest_note(const PartitionPlan *plan, Oid owner, int64 job);
extern const char *dbops_partition_rest_said(const PartitionPlan *plan);

/* ---- partition_confirm.c: how much may be dropped at once ---- */

extern const char *dbops_partition_needs_confirmation(const PartitionPlan *plan, const Jsonb *memory);
extern bool dbops_partition_is_confirmed(const PartitionPlan *plan, const Partition *partition, const Jsonb *memory);

/* What a policy remembers from now on, whose plan has a time to keep. */
extern Jsonb *dbops_partition_remember(const PartitionPlan *plan, const Jsonb *memory, bool confirm);	/* when it is set */
extern Jsonb *dbops_partition_show(const PartitionPlan *plan, const Jsonb *memory);
extern Jsonb *dbops_partition_allow(const PartitionPlan *plan, const Jsonb *memory);
extern Jsonb *dbops_partition_confirm(const PartitionPlan *plan, const Jsonb *memory);

/* ---- partition_table.c ---- */

#define PARTITION_TABLE_PROOF	"dbops_before_next_partition"	/* one without a CALL at work was left behind by a crash */

/* ---- partition_report.c ---- */

extern Datum dbops_partition_runway_datum(const PartitionPlan *plan, int64 position);
extern int64 dbops_partition_covered_until(const PartitionPlan *plan);

/* ---- partition_policy.c ---- */

extern void dbops_partition_refuse_retention(Oid parent);	/* 55000 */

/* ---- partition_job.c, partition_check.c, partition_left.c ---- */

extern void dbops_partition_init(void);
extern void dbops_partition_check_init(void);
extern void dbops_partition_left_init(void);

#endif							/* DBOPS_PARTITION_H */
