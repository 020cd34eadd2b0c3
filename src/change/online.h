/*
 * online.h
 *		Changes of a table in steps that keep nobody out for long.
 *
 * Each call (add_column, create_index and so on) puts a plan together: all the
 * steps that lead from any state in between to what was asked for, in their
 * order, each with what the catalog says when it is reached. The plan is one
 * job, and whoever works on it does the first step that is not reached: so the
 * same call again completes what was cut off, and one that finds everything
 * reached does nothing. A dry run prints the plan.
 */
#ifndef DBOPS_ONLINE_H
#define DBOPS_ONLINE_H

#include "change/change.h"
#include "change/lock_wait.h"

typedef enum OnlineStepKind
{
	ONLINE_SHORT,				/* a moment, in one transaction; may keep others out */
	ONLINE_SCAN,				/* reads the table in one transaction, beside readers and writers */
	ONLINE_ALONE,				/* shares no transaction: CREATE INDEX CONCURRENTLY and the like */
	ONLINE_BACKFILL,			/* changes rows in short transactions */
	ONLINE_REFUSE				/* a look into the table: if a row comes back, the plan ends with an error */
} OnlineStepKind;

/* One step. Texts are SQL with qualified and quoted names; what a user gave is read with the search_path of the call. */
typedef struct OnlineStep
{
	OnlineStepKind kind;
	const char *sql;			/* SHORT: one or more statements; others: one; REFUSE: a query that returns rows if ...; BACKFILL: its call, to be shown */
	const char *reached;		/* a boolean expression, for search_path pg_catalog, by names and not OIDs of what is yet to come: nothing of
								 * this step is left to be done, also as what comes after it is there already; NULL: only that it was done tells */
	const struct TwinProof *proof;	/* of what reached asks, for who plans; or NULL. See twin_proof.c */
	const char *why;			/* what it is for, as a user reads it; or NULL */
	const char *still;			/* SHORT and ALONE: a boolean expression like reached, asked when its tables are locked, or free: what it relies on is so; else the plan ends with an error; or NULL */
	bool		ours;			/* SHORT: run as the extension's owner; no user's code is in it */
	bool		asks_ours;		/* reached and still are about tables of dbops' own, which are asked as the extension's owner */
	const char *then;			/* SHORT: a statement of dbops' own that belongs to it, in the same transaction, as the extension's owner; or NULL */
	int64		holds;			/* SHORT: the change that the process is at work on from here until it leaves the job, as the steps behind rely on; 0: none. See online_hold.c */

	Oid			index;			/* SHORT and ALONE: that it drops by its name; InvalidOid: none */
	List	   *tables;			/* SHORT, SCAN and ALONE: OIDs of those that it is about */

	/* BACKFILL */
	Oid			table;
	const char *set_clause;
	const char *where_clause;	/* or NULL */
	bool		sync;			/* a trigger makes right what is written meanwhile */
	bool		stays;			/* that trigger goes in the transaction of the next step, a SHORT one of the same table */

	/* REFUSE: whose it is. */
	const char *path;			/* search_path; or NULL: that of the job */
	Jsonb	   *settings;		/* that values depend on; or NULL */
	const char *seen;			/* a text expression of dbops' own, asked before the look; or NULL */
	const char *note;			/* then a statement that keeps what it was, $1, with the look */

	/* SCAN and REFUSE: what goes before the error that rows do not fit (SQLSTATE class 23). */
	const char *otherwise;		/* a statement that takes back what an earlier step has put; or NULL */
	const char *message;		/* REFUSE, and a step with still: of the error */
	int			sqlerrcode;		/* REFUSE */
	const char *hint;			/* of either, of BACKFILL and of ALONE whose rows do not fit; NULL: the server's own */

	Oid			referred;		/* SCAN: to this table the rows are to refer, which it locks too; InvalidOid: none. To be shown */
} OnlineStep;

typedef struct OnlinePlan
{
	const char *call;			/* such as "add_column" */
	const char *name;			/* of the job, as a user reads it, such as "public.orders.state" */
	const char *key;			/* with call: while a job with both is live, no second */
	Oid			table;			/* as whose owner it runs */
	List	   *steps;			/* of OnlineStep * */
	long		lock_timeout;	/* ms that others may have to wait behind one of our locks */
	long		max_wait;		/* ms, for each step */
	bool		dry_run;
	const char *columns;		/* a boolean expression like reached: the columns that its steps name are those of now; or NULL */
	const char *again;			/* the call, as psql runs it */
	const char *asked;			/* its arguments but the common ones */
} OnlinePlan;

/* ---- online.c: put a plan together, and have it done ---- */

/*
 * Begin a CALL: opens the procedure and reads its last three arguments, which
 * are lock_timeout interval, max_wait interval and dry_run boolean.
 */
extern void dbops_online_begin(FunctionCallInfo fcinfo, OnlinePlan *plan, const char *call);

/* The same of a function that returns the id of the job. */
extern void dbops_online_begin_start(FunctionCallInfo fcinfo, OnlinePlan *plan, const char *call);

/* Check the table: there, owned by the caller or a role the caller is a member of, permanent and of a kind that has rows. */
extern void dbops_online_take_table(OnlinePlan *plan, Oid table);

extern void dbops_online_add(OnlinePlan *plan, OnlineStep step);

/* Refuse the step, if it is not reached, where the plan's owner may not put an index into a schema. */
extern void dbops_online_require_create(const OnlinePlan *plan, const OnlineStep *step, Oid schema);
extern bool dbops_online_may(Oid role, Oid schema, const char *privilege);

/* Print it, or do it in this session; ends the procedure. */
extern void dbops_online_call(OnlinePlan *plan);

/* Print it (returns null), or submit it; what is reached already is told and returns null. */
extern Datum dbops_online_start(FunctionCallInfo fcinfo, OnlinePlan *plan);

/* SQL for reached: of a constraint of a table by name, there and valid; there at all; of an index by name, valid. */
extern char *dbops_online_constraint_valid(Oid table, const char *name);
extern char *dbops_online_constraint_there(Oid table, const char *name);
extern char *dbops_online_index_valid(Oid table, const char *schema, const char *name);

/* One is so, or the other, which may be NULL. */
extern char *dbops_online_either(const char *one, const char *other);

/* SQL for still: a partitioned table has the leaves that it has now. And what to say if not. */
extern char *dbops_online_same_leaves(Oid table);

#define ONLINE_OTHER_LEAVES(table) \
	psprintf("table %s has got or lost a partition meanwhile", dbops_quote_relation(table))

/* ---- online_room.c: is there room in the server's table of locks? ---- */

extern int	dbops_online_locks(List *statements);
extern void dbops_online_check_locks(const OnlinePlan *plan, int needed);
extern void dbops_online_check_all_locks(const OnlinePlan *plan);
extern void dbops_online_refuse_full(List *statements);

#define ONLINE_FEW_LOCKS	100		/* at once; any server has room for them */

/* ---- online_again.c: a call as psql runs it ---- */

#define ONLINE_COMMON_ARGUMENTS	3	/* lock_timeout, max_wait, dry_run: the last ones of each call */

extern char *dbops_online_again(FunctionCallInfo fcinfo);
extern char *dbops_online_asked(FunctionCallInfo fcinfo);

/* ---- online_same.c: what names stand for ---- */

extern List *dbops_online_tables_of(List *statements);	/* of RawStmt * */
extern void dbops_online_require_same(const OnlinePlan *plan, const OnlineStep *step, List *statements);
extern LOCKTAG dbops_online_keep_index(const OnlineStep *step, bool for_session);

/* ---- online_print.c: a plan as a user reads it ---- */

extern void dbops_online_print(const OnlinePlan *plan);

/* ---- online_spec.c: a plan as the document that its job keeps ---- */

extern Jsonb *dbops_online_spec(const OnlinePlan *plan);
extern Jsonb *dbops_online_terms(const OnlinePlan *plan);
extern OnlinePlan *dbops_online_read_spec(const Jsonb *spec);
extern bool dbops_online_is_reached(const OnlineStep *step);
extern bool dbops_online_is_so(const OnlineStep *step, const char *expression);
extern bool dbops_online_is_complete(const OnlinePlan *plan);

/* ---- online_job.c: the job ---- */

/* A plan in work, in a process that works on it. */
typedef struct OnlineWork
{
	DbopsJob   *job;
	MemoryContext memory;		/* as long as the process works on it */
	OnlinePlan *plan;
	int			next;			/* step, from 0; behind the last: done */
	int			done;			/* steps that this job has done */
	bool		changed;		/* this job has changed something, and not only looked */
	bool		covered;		/* triggers of the step before stand, and go with the next one */

	/* Of the step that is next; forgotten when it is done. */
	MemoryContext step_memory;
	LockWait	wait;			/* that it has met */
	bool		ran;			/* ALONE: this process has run it to its end */
	Jsonb	   *aim;			/* ALONE: see migration_outcome.c; NULL: not begun */
	const char *remedy;			/* ALONE: to be run in its place; or NULL */
	Oid			table;			/* ALONE: that it is about */
	ErrorData  *met;			/* ALONE: the lock that it has met at top level; NULL: none */
	ErrorData  *failure;		/* ALONE and SCAN: it has failed, and is to end so when what it leaves is taken away; or NULL */
	char	   *blocker;		/* who had that; or NULL */
	Jsonb	   *fill;			/* BACKFILL: its spec; NULL: not begun */
	Jsonb	   *fill_position;
	DbopsJob	fill_job;		/* the backfill, as its own steps see it */
	void	   *fill_run;		/* NULL: not opened by this process */
} OnlineWork;

extern void dbops_online_job_init(void);
extern char *dbops_online_dedupe_key(const OnlinePlan *plan);
extern bool dbops_online_is_live(const OnlinePlan *plan);
extern int64 dbops_online_submit(const OnlinePlan *plan, bool here);
extern OnlineStep *dbops_online_next(const OnlineWork *work);
extern void dbops_online_go_on(OnlineWork *work, DbopsStep *step);
extern void dbops_online_skip(OnlineWork *work, DbopsStep *step);
extern void dbops_online_put_position(const OnlineWork *work, DbopsStep *step);

/* ---- online_hold.c: what holds as long as a process is at work ---- */

extern void dbops_online_hold(int64 change);
extern void dbops_online_leave(void);
extern bool dbops_online_is_held(int64 change);

/* ---- online_lock.c: locks of others ---- */

extern bool dbops_online_try(OnlineWork *work, DbopsStep *step, long lock_timeout,
							 DbopsCallback attempt, void *arg);
extern void dbops_online_wait(OnlineWork *work, DbopsStep *step,
							  const ErrorData *error, const char *blocker);
extern List *dbops_online_targets(List *statements, LOCKMODE least);	/* of MigrationTarget * */
extern void dbops_online_lock_tables(List *statements, long lock_timeout);

/* ---- online_step.c: steps of one transaction ---- */

extern void dbops_online_require_still(const OnlineStep *step);
extern void dbops_online_short_step(DbopsJob *job, void *state, DbopsStep *step);
extern void dbops_online_scan_step(DbopsJob *job, void *state, DbopsStep *step);

/* ---- online_alone.c: steps that share no transaction ---- */

extern void dbops_online_alone_step(DbopsJob *job, void *state, DbopsStep *step);

/* ---- online_fill.c: backfills ---- */

#define ONLINE_FILL_PHASES	6	/* those of the kind backfill */

/* Refuse, while planning, what a backfill would refuse; has_columns: those that it is about are there already. */
extern void dbops_online_judge_fill(const OnlineStep *fill, bool has_columns);

extern void dbops_online_begin_fill_step(DbopsJob *job, void *state, DbopsStep *step);
extern void dbops_online_fill_step(DbopsJob *job, void *state, DbopsStep *step);

/* Phases of the job: one for each kind of step, and those of a backfill. */
enum
{
	ONLINE_PHASE_BEGIN,
	ONLINE_PHASE_SHORT,
	ONLINE_PHASE_SCAN,
	ONLINE_PHASE_ALONE,
	ONLINE_PHASE_BEGIN_FILL,
	ONLINE_PHASE_FILL,
	ONLINE_PHASES = ONLINE_PHASE_FILL + ONLINE_FILL_PHASES
};

#endif							/* DBOPS_ONLINE_H */
