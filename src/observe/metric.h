/*
 * metric.h
 *		The figures that are sampled, and the memory of the last hour.
 *
 * Each figure has a position that it keeps for ever, since history stores
 * arrays: new ones are added at the end, and one that is given up leaves its
 * place empty. A counter is stored as it stands; what happened in a time is
 * told from two samples, by dbops_ring_window(), which knows of resets. What is
 * not known is NaN, never 0.
 *
 * The launcher samples, and a session that calls sample_server(); all read under
 * a shared lock, held for copying only. A figure that needs a connection is put
 * into the place of its own (dbops_metric_supply) by the home database's
 * scheduler, and goes from there into each sample until it is too old.
 *
 * Where dbops is not preloaded, and in a session that has set dbops.test_now
 * while the server's own processes do not obey that, the ring is the session's
 * own: empty at first, and filled by its sample_server() alone.
 */
#ifndef DBOPS_METRIC_H
#define DBOPS_METRIC_H

#include "observe/observe.h"

typedef enum MetricKind
{
	METRIC_GAUGE,				/* how it stands at the time */
	METRIC_COUNTER				/* how much there has been, since it began or was reset */
} MetricKind;

typedef struct Metric
{
	const char *name;			/* "transactions.committed"; dots and lower case */
	const char *unit;			/* "", "bytes", "s", "ms", "percent", "ids" */
	MetricKind	kind;
	const char *about;			/* one phrase */
} Metric;

/* Of the whole cluster. Positions are stored: append only. */
typedef enum ClusterMetric
{
	CM_CONNECTIONS_TOTAL,
	CM_CONNECTIONS_ACTIVE,
	CM_CONNECTIONS_IDLE,
	CM_CONNECTIONS_IDLE_IN_TRANSACTION,
	CM_CONNECTIONS_WAITING,
	CM_CONNECTIONS_USED,		/* percent of those that ordinary roles may open */
	CM_LOCKS_WAITING,
	CM_LOCKS_LONGEST_WAIT,
	CM_TRANSACTIONS_OLDEST,
	CM_TRANSACTIONS_OLDEST_HORIZON,
	CM_TRANSACTIONS_PREPARED,
	CM_TRANSACTIONS_COMMITTED,
	CM_TRANSACTIONS_ROLLED_BACK,
	CM_BLOCKS_READ,
	CM_BLOCKS_HIT,
	CM_TUPLES_RETURNED,
	CM_TUPLES_FETCHED,
	CM_TUPLES_INSERTED,
	CM_TUPLES_UPDATED,
	CM_TUPLES_DELETED,
	CM_DEADLOCKS,
	CM_CONFLICTS,
	CM_TEMP_FILES,
	CM_TEMP_BYTES,
	CM_SESSIONS_OPENED,
	CM_SESSIONS_ABANDONED,
	CM_SESSIONS_FATAL,
	CM_SESSIONS_KILLED,
	CM_CHECKSUM_FAILURES,
	CM_WAL_POSITION,			/* counter, bytes */
	CM_WAL_RECORDS,
	CM_WAL_FULL_PAGE_IMAGES,
	CM_WAL_BUFFERS_FULL,
	CM_XIDS_GIVEN,				/* counter: the next id, with its epoch */
	CM_XID_AGE,
	CM_MULTIXACT_AGE,
	CM_CHECKPOINTS_TIMED,
	CM_CHECKPOINTS_REQUESTED,
	CM_CHECKPOINT_WRITE_TIME,
	CM_CHECKPOINT_SYNC_TIME,
	CM_BUFFERS_CHECKPOINT,
	CM_BUFFERS_CLEANED,
	CM_BUFFERS_BACKEND,			/* written by clients; NaN where the server does not tell */
	CM_BUFFERS_BACKEND_FSYNC,
	CM_CLEANING_STOPPED,		/* maxwritten_clean */
	CM_REPLICATION_STANDBYS,
	CM_REPLICATION_LAG,
	CM_REPLICATION_LAG_BYTES,
	CM_SLOTS_RETAINED,			/* bytes, of the slot that retains most */
	CM_SLOTS_INACTIVE,
	CM_ARCHIVED,
	CM_ARCHIVE_FAILED,
	CM_ARCHIVE_WAITING,
	CM_DISK_FREE,				/* percent, of the disk that has least */
	CM_DISK_FREE_BYTES,			/* of the same */
	CM_AUTOVACUUM_WORKERS,
	CM_HOST_LOAD,				/* of one minute */
	CM_HOST_CPUS,				/* that the server may use */
	CM_MEMORY_TOTAL,			/* that the server may use */
	CM_MEMORY_AVAILABLE,
	CM_PRESSURE_CPU,			/* percent, "some" of a minute */
	CM_PRESSURE_IO,
	CM_PRESSURE_MEMORY,
	CM_STATEMENT_CALLS,			/* supplied: of pg_stat_statements */
	CM_STATEMENT_TIME,			/* supplied: ms */
	CM_STATEMENT_SLOW_CALLS,	/* supplied: calls of statements whose mean in the last minute was slow */
	CM_DATABASES_BYTES,			/* supplied: of all databases */
	CM_COLLECTOR_TIME,			/* ms that the launcher's ticks took, counter */
	CM_COLLECTOR_TICKS,			/* counter */
	CM_MULTIXACTS_GIVEN,		/* counter: the next id, which begins anew after 2³² */
	CM_STANDBY,					/* 1 in recovery */
	CM_TIMELINE,
	CM_CLOCK_SET_BACK,			/* s, in the last hour */
	CM_FAST_PATH_FULL,			/* sessions */
	CM_SLOTS_SPILLED,			/* counter, bytes */
	CM_SUBTRANSACTIONS_HIT,
	CM_SUBTRANSACTIONS_READ,
	CM_MULTIXACTS_HIT,
	CM_MULTIXACTS_READ,
	CM_IO_READS,				/* NaN, as the next, while track_io_timing is off */
	CM_IO_READ_TIME,			/* ms */
	CM_MEMORY_KILLS,
	CM_MEMORY_SWAPPED_IN,		/* counter, bytes */
	CM_STATEMENT_EVICTIONS,		/* supplied: of pg_stat_statements */
	CM_STATEMENT_TEXTS,			/* bytes, of its file */
	CM_DATABASES_UNSAMPLED,		/* in use, without a place for their samples */
	CM_LAUNCHER_TIME,			/* ms of processor time, counter */
	N_CLUSTER_METRICS
} ClusterMetric;

/* Of one database. Positions are stored: append only. */
typedef enum DatabaseMetric
{
	DM_CONNECTIONS_TOTAL,
	DM_CONNECTIONS_ACTIVE,
	DM_CONNECTIONS_IDLE_IN_TRANSACTION,
	DM_CONNECTIONS_WAITING,
	DM_TRANSACTIONS_COMMITTED,
	DM_TRANSACTIONS_ROLLED_BACK,
	DM_BLOCKS_READ,
	DM_BLOCKS_HIT,
	DM_TUPLES_RETURNED,
	DM_TUPLES_FETCHED,
	DM_TUPLES_INSERTED,
	DM_TUPLES_UPDATED,
	DM_TUPLES_DELETED,
	DM_DEADLOCKS,
	DM_CONFLICTS,
	DM_TEMP_FILES,
	DM_TEMP_BYTES,
	DM_SESSIONS_OPENED,
	DM_SESSIONS_ABANDONED,
	DM_SESSIONS_FATAL,
	DM_SESSIONS_KILLED,
	DM_CHECKSUM_FAILURES,
	DM_SIZE,					/* bytes, as last measured */
	DM_INDEX_FETCHED,			/* blocks of user indexes, as last measured */
	DM_INDEX_HIT,
	DM_STATEMENT_CALLS,			/* supplied */
	DM_STATEMENT_TIME,			/* supplied: ms */
	DM_STATEMENT_SLOW_CALLS,	/* supplied */
	N_DATABASE_METRICS
} DatabaseMetric;

#define N_MOST_METRICS	Max((int) N_CLUSTER_METRICS, (int) N_DATABASE_METRICS)

/* metric.c: their names */
extern const Metric dbops_cluster_metrics[N_CLUSTER_METRICS];
extern const Metric dbops_database_metrics[N_DATABASE_METRICS];
extern int	dbops_metric_count(Oid database);	/* InvalidOid: of the cluster */
extern const Metric *dbops_metric(Oid database, int position);
extern int	dbops_metric_position(Oid database, const char *name);	/* -1: there is none */

/* ---- ring.c: the samples of the last hour ---- */

#define TICK			10000	/* ms between two samples */
#define STALE_TICKS		3		/* after which a sample says nothing of how it is now */
#define RING_TICKS		402		/* an hour, were each as early as it may be to stay, and the one before it */
#define RING_DATABASES	64		/* whose samples are kept; the least recently active give way */

/* One look. A sample of the cluster has database InvalidOid. */
typedef struct Sample
{
	TimestampTz at;				/* 0: none */
	TimestampTz epoch;			/* counters that are compared must have the same: changes with a reset and a restart */
	int			cadence;		/* ms that were meant to pass between samples */
	double		values[N_MOST_METRICS];
} Sample;

extern void dbops_ring_init(void);
extern bool dbops_ring_is_own(void);	/* this session's: not preloaded, or a test has set its time */
extern int	dbops_ring_databases(Oid *databases);	/* at most RING_DATABASES; returns how many */
extern bool dbops_ring_take(Oid database, TimestampTz at, bool active);
extern bool dbops_ring_put(Oid database, const Sample *sample); /* true: no other gave its place to it */
extern int	dbops_ring_read(Oid database, TimestampTz after, Sample *samples, int most);	/* the oldest first */
extern bool dbops_ring_newest(Oid database, Sample *sample);	/* false also: it is stale */
extern TimestampTz dbops_ring_last(Oid database);	/* when the newest was taken, stale or not; 0: there is none */
extern void dbops_metric_supply(Oid database, int position, double value, TimestampTz at);

/* What happened between two samples of a database or of the cluster. */
typedef struct SampleWindow
{
	double		seconds;		/* 0: there is no window yet */
	bool		reset;			/* counters were reset within it: it begins after that */
	bool		whole;			/* it is as long as was asked for, but for two ticks */
	bool		crowded;		/* there are no samples of it, since RING_DATABASES others are in use */
	int			n;				/* samples */
	double		delta[N_MOST_METRICS];	/* of counters; NaN: not known. Of gauges the change */
	double		took[N_MOST_METRICS];	/* s, of each delta: less where it is known for less, and as they were counted */
	Sample		newest;
} SampleWindow;

extern bool dbops_ring_window(Oid database, double seconds, SampleWindow *window);
extern double dbops_ring_per_second(const SampleWindow *window, int position);

/* ---- collect_databases.c: counters and sessions of each database, and their sums ---- */

/* The first figures of databases are the server's own counters of them, up to DM_CHECKSUM_FAILURES. */
#define FIRST_COUNTED	DM_TRANSACTIONS_COMMITTED
#define N_COUNTED		(DM_CHECKSUM_FAILURES - FIRST_COUNTED + 1)

extern void dbops_collect_databases_init(void);
extern void dbops_collect_databases(Sample *cluster);

/* ---- waits.c: who waited for what, and for whom ---- */

extern void dbops_waits_init(void);
extern void dbops_waits_sample(TimestampTz at, int cadence);

/* ---- collect.c: what is the cluster's ---- */

extern void dbops_collect_cluster(Sample *sample);

/* ---- collect_server.c: the server's role, and what it counts of its own doings ---- */

extern void dbops_collect_slots_init(void);
extern void dbops_collect_server(Sample *sample);

/* ---- collector.c: the sampling, in the launcher's tick ---- */

extern void dbops_collector_init(void);
extern void dbops_collector_sample(void);

/* Whether samples still come; not preloaded: they never did. */
typedef struct CollectorState
{
	bool		preloaded;
	bool		stale;			/* the launcher has taken no sample for three ticks */
	TimestampTz last;			/* of the newest sample, whoever took it; 0: never */
	double		age;			/* s, of the newest that the launcher took; NaN: none */
	double		tick_ms;		/* mean of the launcher's ticks in the ring; NaN: not known */
	int64		samples;		/* taken since the server was started */
	int64		overruns;		/* ticks of the launcher that took longer than 1 ms */
	int64		failures;		/* of single ticks */
} CollectorState;

extern void dbops_collector_state(CollectorState *state);

#endif							/* DBOPS_METRIC_H */
