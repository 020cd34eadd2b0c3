/*
 * history.h
 *		What is kept of the samples when memory forgets them.
 *
 * Four tiers of the same shape, each rolled up from the one before: a row is a
 * bucket of time, of the cluster or of this database, with an array for each
 * kind of figure. An element's place is the metric's position. All of it is in
 * partitions of time, and goes by dropping these. Buckets and partitions begin
 * where UTC says so, whatever the time zone.
 */
#ifndef DBOPS_HISTORY_H
#define DBOPS_HISTORY_H

#include "observe/metric.h"

/* ---- history_partition.c: the tables, their partitions, and how large they may be ---- */

typedef enum HistoryPeriod
{
	PERIOD_DAY,
	PERIOD_MONTH,
	PERIOD_YEAR
} HistoryPeriod;

typedef struct HistoryTable
{
	const char *name;
	HistoryPeriod period;		/* of a partition */
	int			keep;			/* days; 0: for ever */
} HistoryTable;

typedef enum HistoryKind
{
	HISTORY_1M,
	HISTORY_5M,
	HISTORY_1H,
	HISTORY_1D,
	HISTORY_WAITS,
	HISTORY_STATEMENTS,
	HISTORY_RELATIONS,
	HISTORY_DISKS,
	HISTORY_SEQUENCES,
	N_HISTORY_TABLES
} HistoryKind;

#define N_TIERS		(HISTORY_1D + 1)

extern const HistoryTable dbops_history_tables[N_HISTORY_TABLES];

extern bool dbops_history_begin_partition(HistoryKind kind, TimestampTz at);
extern int	dbops_history_prune(void);
extern int64 dbops_history_bytes(void);
extern bool dbops_history_lock(void);
extern void dbops_history_init(void);

/* ---- history_checks.c ---- */

extern void dbops_history_checks_init(void);

/* ---- history_bucket.c: figures of a time, put together from smaller ones ---- */

/* One metric in a bucket. Gauges have all but delta, counters have that; NaN is not known. */
typedef struct BucketFigure
{
	double		min;
	double		sum;			/* of averages, each times its weight */
	double		weight;			/* samples */
	double		max;
	double		last;
	double		delta;
} BucketFigure;

typedef struct Bucket
{
	TimestampTz at;				/* its beginning */
	int			n;				/* samples; 0: it is empty */
	int			cadence;		/* ms that were meant to be between the last of them */
	double		covered;		/* s for which samples stand */
	double		span;			/* s over which the deltas run */
	bool		reset;			/* a counter began anew: its delta is at least so much */
	int			n_figures;
	BucketFigure figures[FLEXIBLE_ARRAY_MEMBER];
} Bucket;

extern Bucket *dbops_bucket_make(int n_figures);
extern void dbops_bucket_clear(Bucket *bucket, TimestampTz at);
extern void dbops_bucket_sample(Bucket *bucket, Oid database, const Sample *previous, const Sample *sample, TimestampTz end);
extern void dbops_bucket_add(Bucket *sum, const Bucket *part);
extern void dbops_bucket_add_figure(BucketFigure *sum, const BucketFigure *part);
extern double dbops_bucket_average(const BucketFigure *figure);

/* ---- rollup.c: from the ring and from tier to tier ---- */

typedef struct HistoryTier
{
	int			seconds;		/* of a bucket */
	const char *name;			/* as reports call it */
} HistoryTier;

extern const HistoryTier dbops_history_tiers[N_TIERS];

#define HISTORY_GRACE	(TICK * (USECS_PER_SEC / 1000))	/* for the sample after a bucket to come, before it is rolled up */

extern void dbops_rollup_init(void);
extern TimestampTz dbops_bucket_begin(TimestampTz at, int64 seconds);
extern TimestampTz dbops_rolled_until(int tier, bool cluster);

/* ---- history_range.c ---- */

extern void dbops_history_range(FunctionCallInfo fcinfo, int number, TimestampTz usual, const char *usually,
								TimestampTz *since, TimestampTz *until);

/* ---- rollup_store.c: buckets as rows ---- */

extern void dbops_bucket_store(int tier, bool cluster, const Bucket *bucket);
extern uint64 dbops_bucket_load(int tier, bool cluster, TimestampTz since, TimestampTz until,
								DbopsCallback each, void *arg, Bucket *bucket);

/* ---- waits.c: what sessions waited for, minute by minute ---- */

typedef enum BlockerState
{
	BLOCKER_NONE,				/* nobody's lock is waited for */
	BLOCKER_ACTIVE,
	BLOCKER_IDLE,				/* in its transaction */
	BLOCKER_PREPARED,			/* a prepared transaction */
	BLOCKER_OTHER				/* a process of the server, or one that has gone */
} BlockerState;

/* Sessions of one kind in a minute. */
typedef struct WaitEntry
{
	Oid			database;		/* InvalidOid: more kinds than there is room for */
	uint32		event;			/* 0: it worked */
	uint64		query_id;		/* 0: not known */
	BlockerState blocker_state;
	int			blocker;		/* pid of whom all before it wait for; 0 of a prepared transaction */
	Oid			blocker_role;
	uint64		blocker_query_id;
	int			samples;
} WaitEntry;

#define WAIT_MINUTES	16		/* that are remembered */
#define WAIT_ENTRIES	256		/* kinds that are told apart in one; the last is for all others */

typedef struct WaitMinute
{
	TimestampTz at;				/* its beginning; 0: none */
	int			cadence;		/* ms */
	int			n;
	WaitEntry	entries[WAIT_ENTRIES];
} WaitMinute;

extern int	dbops_waits_read(TimestampTz since, TimestampTz until, WaitMinute *minutes);	/* room for WAIT_MINUTES */

/* ---- wait_history.c ---- */

extern int	dbops_roll_up_waits(TimestampTz now);

#endif							/* DBOPS_HISTORY_H */
