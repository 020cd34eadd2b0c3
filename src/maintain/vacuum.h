/*
 * vacuum.h
 *		Which tables need to be vacuumed or analyzed though autovacuum is there.
 */
#ifndef DBOPS_VACUUM_H
#define DBOPS_VACUUM_H

#include "maintain/policy.h"
#include "core/server.h"

/* ---- vacuum_figures.c: what the server has counted ---- */

typedef struct VacuumFigures
{
	Oid			relid;
	Oid			toast;			/* or InvalidOid */
	bool		parent;			/* of partitions, without rows of its own */
	int64		rows;			/* that the planner knows of; negative: never counted */
	int64		dead;
	int64		inserted;		/* since VACUUM */
	int64		changed;		/* since ANALYZE */
	int64		toast_dead;
	int64		toast_inserted;
	int			xid_age;		/* of the oldest id */
	int			mxid_age;
	int			toast_xid_age;
	int			toast_mxid_age;
	TimestampTz vacuumed;		/* last, by whomever; 0: not known */
	TimestampTz analyzed;
	int64		leaf_rows;		/* of a parent's partitions */
	int64		leaf_changed;	/* since they were analyzed themselves */
	int64		leaf_changes;	/* ever counted */
} VacuumFigures;

/* Which tables are looked at: those of a policy that no other one is nearer to. */
typedef struct VacuumScope
{
	Oid			relation;		/* with its partitions; InvalidOid: all tables */
	Oid			only;			/* this one of them; InvalidOid: all */
	List	   *others;			/* Oids of relations with a policy of their own */
} VacuumScope;

extern List *dbops_vacuum_figures(const VacuumScope *scope);	/* of VacuumFigures * */
extern TimestampTz dbops_vacuum_counted_since(void);

/* What shows that a table was vacuumed or analyzed. */
typedef struct VacuumProof
{
	int64		vacuums;
	int64		analyzes;
	TimestampTz vacuumed;
	TimestampTz analyzed;
	int64		frozen;			/* relfrozenxid */
} VacuumProof;

extern bool dbops_vacuum_proof(Oid relid, VacuumProof *proof);

/* ---- vacuum_look.c: what is to be done, and why ---- */

typedef struct VacuumCandidate
{
	const VacuumFigures *figures;
	bool		vacuum;
	bool		freeze;
	bool		analyze;
	bool		urgent;			/* its freezing does not wait for another window */
	bool		waits;			/* it may still be autovacuum that does it */
	TimestampTz since;			/* over twice a threshold; 0: not */
	double		urgency;
	const char *reason;
} VacuumCandidate;

typedef struct VacuumLook
{
	List	   *candidates;		/* of VacuumCandidate *, the most urgent first */
	int			due;			/* of them, the first ones */
	Jsonb	   *memory;			/* to be remembered; NULL: nothing */
} VacuumLook;

extern VacuumLook dbops_vacuum_look(const Policy *policy, Oid only);
extern const char *dbops_vacuum_statement(const VacuumCandidate *candidate);

/* ---- vacuum_pace.c: how long it will take ---- */

typedef struct VacuumForecast
{
	double		pages;			/* to be read, or written */
	double		seconds;
	const char *by;				/* what that is told by, as a user reads it */
} VacuumForecast;

extern VacuumForecast dbops_vacuum_forecast(const Policy *policy, const VacuumCandidate *candidate);
extern Jsonb *dbops_vacuum_learn(const Policy *policy, Oid relid, bool freeze, int64 pages, int64 took);
extern void dbops_vacuum_keep_paces(const Jsonb *memory, Oid relid, DbopsJson *paces);
extern double dbops_vacuum_cost_delay(void);
extern int	dbops_vacuum_cost_limit(void);

/* ---- vacuum_obstacle.c: why it would be in vain ---- */

extern const char *dbops_vacuum_locked(Oid relid);
extern const char *dbops_vacuum_in_vain(const VacuumCandidate *candidate);
extern const char *dbops_vacuum_too_long(const Policy *policy, const VacuumForecast *forecast);

/* ---- vacuum_policy.c: set_vacuum_policy and remove_vacuum_policy ---- */

#define VACUUM_POLICY	"vacuum"

extern void dbops_vacuum_policy_init(void);
extern Policy *dbops_vacuum_policy_default(void);

/* ---- vacuum_job.c: the job that sees to a policy ---- */

extern void dbops_vacuum_job_init(void);

#endif							/* DBOPS_VACUUM_H */
