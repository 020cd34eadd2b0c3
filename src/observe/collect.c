/*
 * collect.c
 *		One look at the whole cluster, as figures.
 *
 * It must do without a database, since the launcher has none: memory, files and
 * what the server counts. What is not known here stays NaN. A counter of the
 * server that was reset gives the sample another epoch.
 */
#include "observe/metric.h"

#include "access/xlog.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/backend_status.h"

#define MOST_WAITING	1000	/* files that are counted while they wait to be archived */

static void collect_sessions(double *values);
static void collect_ids(double *values);
static void collect_wal(Sample *sample);
static void collect_checkpoints(Sample *sample);
static void collect_replication(double *values);
static void collect_archiving(Sample *sample);
static void collect_disks(double *values);
static void collect_host(double *values);
static int	count_autovacuum_workers(void);
static void begin_no_earlier(Sample *sample, TimestampTz reset);

/* Fill in what is the cluster's, but for the sums of its databases. */
void
dbops_collect_cluster(Sample *sample)
{
	collect_sessions(sample->values);
	collect_ids(sample->values);
	collect_wal(sample);
	collect_checkpoints(sample);
	collect_replication(sample->values);
	collect_archiving(sample);
	collect_disks(sample->values);
	collect_host(sample->values);
	dbops_collect_server(sample);
	sample->values[CM_AUTOVACUUM_WORKERS] = count_autovacuum_workers();
}

static void
collect_sessions(double *values)
{
	Sessions	sessions = {0};

	dbops_sessions_read(&sessions);
	values[CM_CONNECTIONS_TOTAL] = sessions.clients;
	values[CM_CONNECTIONS_ACTIVE] = sessions.active;
	values[CM_CONNECTIONS_IDLE] = sessions.idle;
	values[CM_CONNECTIONS_IDLE_IN_TRANSACTION] = sessions.idle_in_transaction;
	values[CM_CONNECTIONS_WAITING] = sessions.waiting;
	values[CM_CONNECTIONS_USED] = dbops_sessions_used_percent(&sessions);
	values[CM_LOCKS_WAITING] = sessions.lock_waits;
	values[CM_LOCKS_LONGEST_WAIT] = sessions.longest_lock_wait;
	values[CM_TRANSACTIONS_OLDEST] = sessions.oldest.age;
	values[CM_TRANSACTIONS_OLDEST_HORIZON] = sessions.oldest_horizon.age;
	values[CM_TRANSACTIONS_PREPARED] = sessions.prepared;
}

static void
collect_ids(double *values)
{
	Ages		ages = {0};

	dbops_ages_read(&ages);
	values[CM_XIDS_GIVEN] = U64FromFullTransactionId(ReadNextFullTransactionId());
	values[CM_XID_AGE] = ages.xid_age;
	values[CM_MULTIXACT_AGE] = ages.multixact_age;
	values[CM_MULTIXACTS_GIVEN] = ages.multixacts_given;
}

static void
collect_wal(Sample *sample)
{
	double	   *values = sample->values;
	TimestampTz reset;

	values[CM_WAL_POSITION] = dbops_written();
	stat_wal(&values[CM_WAL_RECORDS], &values[CM_WAL_FULL_PAGE_IMAGES],
			 &values[CM_WAL_BUFFERS_FULL], &reset);
	begin_no_earlier(sample, reset);
}

static void
collect_checkpoints(Sample *sample)
{
	PgStat_CheckpointerStats *checkpoints = pgstat_fetch_stat_checkpointer();
	PgStat_BgWriterStats *cleaning = pgstat_fetch_stat_bgwriter();
	double	   *values = sample->values;
	TimestampTz reset;

	values[CM_CHECKPOINTS_TIMED] = stat_checkpoints_timed(checkpoints);
	values[CM_CHECKPOINTS_REQUESTED] = stat_checkpoints_requested(checkpoints);
	values[CM_CHECKPOINT_WRITE_TIME] = stat_checkpoints_write_time(checkpoints);
	values[CM_CHECKPOINT_SYNC_TIME] = stat_checkpoints_sync_time(checkpoints);
	values[CM_BUFFERS_CHECKPOINT] = stat_checkpoints_buffers(checkpoints);
	values[CM_BUFFERS_CLEANED] = cleaning->buf_written_clean;
	values[CM_CLEANING_STOPPED] = cleaning->maxwritten_clean;
	stat_backend_writes(&values[CM_BUFFERS_BACKEND], &values[CM_BUFFERS_BACKEND_FSYNC], &reset);
	begin_no_earlier(sample, reset);
	begin_no_earlier(sample, cleaning->stat_reset_timestamp);
	begin_no_earlier(sample, stat_checkpoints_reset(checkpoints));
}

/* A lag that is not known, and one of nobody, are NaN. */
static void
collect_replication(double *values)
{
	Replication replication = {0};
	int			inactive = 0;
	int64		retained = 0;
	ListCell   *cell;

	dbops_replication_read(&replication);
	foreach(cell, replication.slots)
	{
		const Slot *slot = lfirst(cell);

		retained = Max(retained, slot->retained);
		if (!slot->active)
			inactive++;
	}
	values[CM_REPLICATION_STANDBYS] = replication.standbys;
	values[CM_REPLICATION_LAG] = replication.lag;
	if (replication.lag_bytes >= 0)
		values[CM_REPLICATION_LAG_BYTES] = replication.lag_bytes;
	values[CM_SLOTS_RETAINED] = retained;
	values[CM_SLOTS_INACTIVE] = inactive;
}

static void
collect_archiving(Sample *sample)
{
	PgStat_ArchiverStats *stats = pgstat_fetch_stat_archiver();
	int			waiting;

	if (!dbops_archive_on())
		return;
	sample->values[CM_ARCHIVED] = stats->archived_count;
	sample->values[CM_ARCHIVE_FAILED] = stats->failed_count;
	waiting = dbops_archive_waiting(MOST_WAITING);
	sample->values[CM_ARCHIVE_WAITING] = (waiting >= 0) ? waiting : NAN;
	begin_no_earlier(sample, stats->stat_reset_timestamp);
}

/*
 * The disk that has least is what matters; which one it is, the checks say. It
 * is not known while one of them is silent.
 */
static void
collect_disks(double *values)
{
	Disks		disks = {0};
	double		least = NAN;
	double		least_bytes = NAN;
	ListCell   *cell;

	dbops_disks_read(&disks);
	foreach(cell, disks.list)
	{
		const Disk *disk = lfirst(cell);
		double		free = dbops_disk_free_percent(disk);

		if (disk->silent != NULL)
			return;
		if (disk->total == 0 || isnan(free) || free >= least)
			continue;
		least = free;
		least_bytes = disk->free;
	}
	values[CM_DISK_FREE] = least;
	values[CM_DISK_FREE_BYTES] = least_bytes;
}

static void
collect_host(double *values)
{
	Host		host;

	dbops_host_read("", &host);
	values[CM_HOST_LOAD] = host.load;
	values[CM_HOST_CPUS] = host.cpus;
	values[CM_MEMORY_TOTAL] = host.memory_total;
	values[CM_MEMORY_AVAILABLE] = host.memory_available;
	values[CM_PRESSURE_CPU] = host.pressure_cpu;
	values[CM_PRESSURE_IO] = host.pressure_io;
	values[CM_PRESSURE_MEMORY] = host.pressure_memory;
	values[CM_MEMORY_KILLS] = host.memory_kills;
	values[CM_MEMORY_SWAPPED_IN] = host.memory_swapped_in;
}

static int
count_autovacuum_workers(void)
{
	int			n = pgstat_fetch_stat_numbackends();
	int			workers = 0;

	for (int i = 1; i <= n; i++)
		if (pgstat_get_local_beentry_by_index(i)->backendStatus.st_backendType == B_AUTOVAC_WORKER)
			workers++;
	return workers;
}

static void
begin_no_earlier(Sample *sample, TimestampTz reset)
{
	sample->epoch = Max(sample->epoch, reset);
}
