/*
 * reindex.h
 *		Indexes that are rebuilt, and what is left of builds that were cut off.
 *
 * reindex_index.c knows an index by the catalogs, reindex_judge.c says whether a
 * rebuild is worth it, reindex_gate.c whether it can be begun now. A job goes from
 * one to the next (reindex_work.h), reindex_rebuild.c knows one rebuild. Indexes are
 * known by name from one rebuild to the next: a concurrent one gives them a new OID.
 */
#ifndef DBOPS_REINDEX_H
#define DBOPS_REINDEX_H

#include "core/page_sample.h"
#include "maintain/policy.h"

/* ---- reindex_index.c: an index as the catalogs have it ---- */

typedef struct ReindexIndex
{
	Oid			oid;
	Oid			table;
	Oid			main;			/* whose rows it is for: the table, or the one that this is the TOAST table of */
	const char *name;			/* as SQL writes it */
	const char *table_name;
	Oid			owner;			/* of the table */
	Oid			tablespace;		/* that its file is in */
	bool		btree;
	bool		unique;
	bool		exclusion;		/* of a constraint EXCLUDE */
	bool		valid;
	bool		of_catalog;		/* of a table of the server's own */
	bool		temporary;
	bool		leftover;		/* has the name of a rebuild that was cut off */
	bool		logged;			/* its changes go to WAL */
	double		rows;			/* as last counted by vacuum or analyze; -1: never */
	int64		bytes;
	int64		table_bytes;
} ReindexIndex;

/* One of whose collations has another order than when it was recorded. */
typedef struct ReindexMismatch
{
	Oid			index;
	const char *what;			/* as a user reads it */
} ReindexMismatch;

extern ReindexIndex *dbops_reindex_index(Oid index);	/* NULL: there is none, or it has no file */
extern List *dbops_reindex_indexes(Oid table, int64 min_bytes);
extern List *dbops_reindex_leaves(Oid index);
extern Oid	dbops_reindex_find(Oid table, const char *name);
extern const char *dbops_reindex_refusal(const ReindexIndex *index);
extern List *dbops_reindex_mismatches(void);

/* ---- reindex_policy.c: what is asked for ---- */

typedef struct ReindexLimits
{
	double		min_percent;	/* of the file that a rebuild wins */
	int64		min_bytes;
	int64		min_interval;	/* ms since the last rebuild */
	const char *unique;			/* auto, yes, no */
} ReindexLimits;

extern void dbops_reindex_init(void);
extern ReindexLimits dbops_reindex_limits(const Policy *policy);
extern int64 dbops_reindex_least_bytes(void);
extern List *dbops_reindex_policies(void);	/* of Policy * */
extern const Policy *dbops_reindex_policy_of(const ReindexIndex *index, const List *policies);

/* ---- reindex_history.c: what rebuilds have brought ---- */

typedef struct ReindexRecord
{
	int64		job;
	int64		duration;		/* ms */
	TimestampTz rebuilt_at;
	int64		bytes_before;
	int64		bytes_after;
	double		density_before; /* percent; NaN: not known */
	double		density_after;
	double		percent_before;
	double		rows;			/* that it pointed to afterwards */
} ReindexRecord;

extern void dbops_reindex_history_add(const ReindexIndex *index, const ReindexRecord *record);
extern bool dbops_reindex_history_last(const char *name, ReindexRecord *record);
extern bool dbops_reindex_history_returns(const char *name, bool is_back);
extern int64 dbops_reindex_history_predict(int64 bytes);

/* ---- reindex_judge.c: whether a rebuild is worth it ---- */

typedef struct ReindexVerdict
{
	double		estimate;		/* percent, by the catalogs; NaN: not known */
	bool		measured;
	IndexBloat	bloat;
	const char *reason;			/* for a rebuild; NULL: it is not worth it */
	const char *obstacle;		/* why there is none all the same; or NULL */
	bool		passes;			/* the obstacle does, by itself */
	int64		duration;		/* ms that a rebuild is expected to take; 0: not known */
} ReindexVerdict;

extern double dbops_reindex_estimate(const ReindexIndex *index);
extern bool dbops_reindex_is_candidate(const ReindexIndex *index, const ReindexLimits *limits, double *estimate);

/* limits: NULL, it is asked for by name. notes: write down that it has come back. */
extern void dbops_reindex_judge(const ReindexIndex *index, const ReindexLimits *limits, bool notes, ReindexVerdict *verdict);

/* ---- reindex_conflict.c: INSERT ... ON CONFLICT beside a rebuild ---- */

extern const char *dbops_reindex_conflict(const ReindexIndex *index, const char *unique);

/* ---- reindex_gate.c: whether it can be begun now ---- */

/* Why not, with figures; NULL: it can. passes: by itself, soon. window: of the policy, or NULL. */
extern const char *dbops_reindex_obstacle(const ReindexIndex *index, const ReindexVerdict *verdict,
										  const char *window, const char *zone, bool *passes);
extern const char *dbops_reindex_lock_obstacle(Oid table, bool waits);

/* ---- reindex_rebuild.c: one index ---- */

typedef struct ReindexBegun
{
	int64		job;
	Oid			index;			/* the one that is to be replaced */
	Oid			table;
	const char *name;
	const char *table_name;
	TimestampTz at;
	int64		bytes;
	double		density;		/* NaN: not known */
	double		percent;
} ReindexBegun;

typedef enum ReindexOutcome
{
	REINDEX_NOT_DONE,
	REINDEX_DONE,
	REINDEX_GONE				/* somebody has dropped the index */
} ReindexOutcome;

extern void dbops_reindex_begin(int64 job, const ReindexIndex *index, const ReindexVerdict *verdict);
extern ReindexBegun *dbops_reindex_begun(int64 job);
extern void dbops_reindex_end(int64 job);
extern void dbops_reindex_forget_ended(void);
extern ReindexOutcome dbops_reindex_outcome(const ReindexBegun *begun);
extern char *dbops_reindex_sql(const ReindexBegun *begun);
extern ErrorData *dbops_reindex_try(DbopsCallback work, void *arg, MemoryContext memory);

/* ---- reindex_job.c ---- */

extern const DbopsJobKind dbops_reindex_kind;

/* ---- leftover.c: what builds that were cut off have left ---- */

typedef struct Leftover
{
	Oid			index;
	Oid			table;
	const char *name;			/* as SQL writes it */
	const char *table_name;
	int64		job;			/* of ours that has left it; 0: not proven */
} Leftover;

#define LEFTOVER_NAME	"_cc(new|old)[0-9]*$"

/* How index i of class c is defined, but for its name. */
#define LEFTOVER_SHAPE \
	"concat_ws('|', c.relam, i.indisunique, i.indnkeyatts, i.indkey, i.indclass, i.indcollation, i.indoption," \
	" pg_get_expr(i.indexprs, i.indrelid), pg_get_expr(i.indpred, i.indrelid))"

/* Index i of class c has been left by b, of reindex_begun: as long as that has not ended by proof, then it is written down. */
#define LEFTOVER_IS_OF \
	"i.indrelid = b.table_oid AND NOT i.indisvalid AND CASE WHEN b.ended THEN i.indexrelid = b.leftover" \
	" ELSE i.indexrelid = b.index_oid AND c.relname ~ '_ccold[0-9]*$'" \
	" OR c.relname ~ '_ccnew[0-9]*$' AND i.indexrelid <> ALL (b.invalid) AND " LEFTOVER_SHAPE " = b.shape END"

extern Leftover *dbops_leftover_of_job(int64 job);
extern Leftover *dbops_leftover_find(Oid index);
extern List *dbops_leftovers_of_ended_jobs(Oid role);
extern bool dbops_leftover_is_at_work(Oid index);

/* ---- leftover_job.c: remove one ---- */

extern const DbopsJobKind dbops_leftover_kind;
extern int64 dbops_leftover_submit(const Leftover *leftover, Oid owner);
extern char *dbops_leftover_sql(const Leftover *leftover);
extern void dbops_leftover_drop(void *leftover);

#endif							/* DBOPS_REINDEX_H */
