/*
 * policy.h
 *		Policies: what should stay true of tables and indexes, and who sees to it.
 *
 * A policy is a row: of which kind it is, of which relation, with which figures,
 * and when it is looked after. When it is due the scheduler submits a job of its
 * kind, unless the one before still lives; that job reads the policy as it is
 * then. What a job has learnt for the next one it writes into the policy's
 * memory, and what was done, won or left out and why into the maintenance log,
 * both in the transaction of the step that did it.
 */
#ifndef DBOPS_POLICY_H
#define DBOPS_POLICY_H

#include "maintain/maintain.h"

/* ---- policy.c: what is defined ---- */

typedef struct Policy
{
	int64		id;				/* 0: not stored yet */
	const char *kind;
	Oid			relation;		/* InvalidOid: the whole database */
	const char *name;			/* of the relation, as SQL writes it, when it was set */
	Oid			owner;			/* the role that its jobs run as */
	Jsonb	   *spec;			/* what was asked for; the kind's own */
	Jsonb	   *memory;			/* what its jobs have learnt; or NULL */
	const char *schedule;		/* as of schedule() */
	const char *time_zone;
	const char *time_window;	/* or NULL */
	const char *path;			/* search_path of who set it */
	TimestampTz next_run;
	int64		last_job;		/* 0: none */
	bool		broken;			/* it could not be submitted when it was last due */
} Policy;

typedef struct PolicyKind
{
	const char *name;			/* such as "retention" */
	const char *set_call;		/* that sets one, such as "set_retention" */
	const char *job_kind;		/* of the jobs that see to it */
	DbopsJobClass class;		/* of their first phase */

	/* Why no job is needed now, as a user reads it; NULL: one is. Reads catalogs only. Or NULL. */
	const char *(*idle) (const Policy *policy);
} PolicyKind;

extern void dbops_policy_kind_register(const PolicyKind *kind);
extern const PolicyKind *dbops_policy_kind_find(const char *name);

/* The relation that an argument names; InvalidOid: null, the whole database. OID 0 is refused: 42P01. */
extern Oid	dbops_policy_relation_argument(FunctionCallInfo fcinfo, int number);

/* One to be filled in; the current user must own the relation, which must not be temporary. InvalidOid: the whole database. */
extern Policy *dbops_policy_new(const char *kind, Oid relation);

/* Fill in when it is looked after, from arguments of set_x; NULL schedule: as it is in the policy. */
extern void dbops_policy_take_times(Policy *policy, const char *schedule, const char *time_window, const char *time_zone);

/*
 * Store it in the place of the relation's earlier one of its kind, memory
 * included; sets id and next_run. Its jobs that wait, or are blocked, give way
 * to a new one, which is due at once. Wakes the scheduler at commit.
 */
extern void dbops_policy_set(Policy *policy);
extern Policy *dbops_policy_load(int64 id); /* NULL: there is none */
extern Policy *dbops_policy_lock_due(int64 id, TimestampTz now);	/* NULL: locked, or not due */
extern Policy *dbops_policy_find(const char *kind, Oid relation);	/* NULL: there is none */
extern Policy *dbops_policy_require(const char *kind, Oid relation);	/* 42704, with the hint to set one */
extern List *dbops_policy_list(const char *kind);	/* of Policy * */

/* Remove it, and cancel its jobs; 42704 if there is none, 42501 if the caller acts neither for its owner nor as an admin. */
extern void dbops_policy_remove(const char *kind, Oid relation);

/* Remember for its next job; in a job's step, so that it commits with the work. */
extern void dbops_policy_remember(int64 id, Jsonb *memory);

/* Remove the policies of relations that are gone; own: those that the caller may act for. */
extern void dbops_policy_forget_dropped(bool own);

/* What policies and notes call a relation: qualified, as SQL writes it; InvalidOid: "all tables". */
extern const char *dbops_policy_object(Oid relation);

/* Why nothing can be done about it as its relation and role are, as a user reads it; NULL: something can. */
extern const char *dbops_policy_refusal(const Policy *policy);

/* ---- policy_submit.c: from policies to jobs ---- */

extern const DueSource dbops_policy_source;

/*
 * Submit its job now, for CALL run_x, which goes on with dbops_job_run_here;
 * spec has the members of extra besides "policy". One that waits, or is
 * blocked, gives way to it; 55006 if one runs.
 */
extern int64 dbops_policy_submit(const Policy *policy, Jsonb *extra, bool here);

/* The policy that a job is about, from its spec's member "policy"; 55000 if it is gone or cannot be acted on. */
extern Policy *dbops_policy_of_job(const DbopsJob *job);

/* Why nothing is done about it, or what its last job was stopped by, as a user reads it; NULL: all is well. */
extern const char *dbops_policy_stopped(const Policy *policy);

/* Note that a job has failed, or is blocked, if it is one of a policy: what its step noted is undone with that. */
extern void dbops_policy_note_end(const DbopsJob *job, const char *outcome, const char *message);

/* Cancel its jobs; all of them, or those that no process has claimed. Returns how many. */
extern int	dbops_policy_cancel_jobs(const Policy *policy, bool all);

/* ---- maintenance_log.c: what was done, won or left out, and why ---- */

typedef struct MaintenanceNote
{
	const char *kind;			/* as of a policy */
	const char *object;			/* as SQL writes it; see dbops_policy_object */
	const char *action;			/* a verb and what it was done to, such as "drop partition" */
	const char *outcome;		/* done, skipped, failed, blocked */
	const char *message;		/* why, or with which figures; or NULL */
	int64		job;			/* 0: none */
	int64		rows;			/* -1: does not apply */
	int64		bytes_before;	/* -1: does not apply */
	int64		bytes_after;
	int64		duration;		/* ms; -1: does not apply */
} MaintenanceNote;

#define MAINTENANCE_NOTE	.rows = -1, .bytes_before = -1, .bytes_after = -1, .duration = -1

/* Write it down; the same again, its figures apart, only counts, unless it was done. */
extern void dbops_maintenance_note(const MaintenanceNote *note);
extern void dbops_maintenance_prune(void);

#endif							/* DBOPS_POLICY_H */
