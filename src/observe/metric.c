/*
 * metric.c
 *		The names of the figures that are sampled, and what they mean.
 *
 * The names are what users write in calls and dashboards; a position never
 * changes its name, since history stores arrays.
 */
#include "observe/metric.h"

#define GAUGE(position, name, unit, about) [position] = {name, unit, METRIC_GAUGE, about}
#define COUNTER(position, name, unit, about) [position] = {name, unit, METRIC_COUNTER, about}

const Metric dbops_cluster_metrics[N_CLUSTER_METRICS] = {
	GAUGE(CM_CONNECTIONS_TOTAL, "connections.total", "", "sessions of clients"),
	GAUGE(CM_CONNECTIONS_ACTIVE, "connections.active", "", "sessions that run a statement"),
	GAUGE(CM_CONNECTIONS_IDLE, "connections.idle", "", "sessions that wait for their client, outside a transaction"),
	GAUGE(CM_CONNECTIONS_IDLE_IN_TRANSACTION, "connections.idle_in_transaction", "", "sessions that wait for their client, in a transaction"),
	GAUGE(CM_CONNECTIONS_WAITING, "connections.waiting", "", "sessions that wait for a heavyweight lock"),
	GAUGE(CM_CONNECTIONS_USED, "connections.used", "percent", "of the connections that ordinary roles may open"),
	GAUGE(CM_LOCKS_WAITING, "locks.waiting", "", "processes that wait for a heavyweight lock"),
	GAUGE(CM_LOCKS_LONGEST_WAIT, "locks.longest_wait", "s", "the longest of these waits"),
	GAUGE(CM_TRANSACTIONS_OLDEST, "transactions.oldest", "s", "age of the oldest transaction"),
	GAUGE(CM_TRANSACTIONS_OLDEST_HORIZON, "transactions.oldest_horizon", "s", "age of the oldest transaction that keeps vacuum from removing rows"),
	GAUGE(CM_TRANSACTIONS_PREPARED, "transactions.prepared", "", "prepared transactions"),
	COUNTER(CM_TRANSACTIONS_COMMITTED, "transactions.committed", "", "transactions committed"),
	COUNTER(CM_TRANSACTIONS_ROLLED_BACK, "transactions.rolled_back", "", "transactions rolled back"),
	COUNTER(CM_BLOCKS_READ, "blocks.read", "", "blocks that were not found in shared buffers"),
	COUNTER(CM_BLOCKS_HIT, "blocks.hit", "", "blocks that were found in shared buffers"),
	COUNTER(CM_TUPLES_RETURNED, "tuples.returned", "", "rows that scans read"),
	COUNTER(CM_TUPLES_FETCHED, "tuples.fetched", "", "rows that index scans fetched"),
	COUNTER(CM_TUPLES_INSERTED, "tuples.inserted", "", "rows inserted"),
	COUNTER(CM_TUPLES_UPDATED, "tuples.updated", "", "rows updated"),
	COUNTER(CM_TUPLES_DELETED, "tuples.deleted", "", "rows deleted"),
	COUNTER(CM_DEADLOCKS, "deadlocks", "", "deadlocks"),
	COUNTER(CM_CONFLICTS, "conflicts", "", "statements cancelled on a standby by conflicts with recovery"),
	COUNTER(CM_TEMP_FILES, "temp.files", "", "temporary files of statements"),
	COUNTER(CM_TEMP_BYTES, "temp.bytes", "bytes", "written to them"),
	COUNTER(CM_SESSIONS_OPENED, "sessions.opened", "", "sessions begun"),
	COUNTER(CM_SESSIONS_ABANDONED, "sessions.abandoned", "", "sessions that lost their client"),
	COUNTER(CM_SESSIONS_FATAL, "sessions.fatal", "", "sessions that a fatal error ended"),
	COUNTER(CM_SESSIONS_KILLED, "sessions.killed", "", "sessions that an operator ended"),
	COUNTER(CM_CHECKSUM_FAILURES, "checksum.failures", "", "pages whose checksum was wrong"),
	COUNTER(CM_WAL_POSITION, "wal.bytes", "bytes", "WAL written, as a position; on a standby, replayed"),
	COUNTER(CM_WAL_RECORDS, "wal.records", "", "records of WAL"),
	COUNTER(CM_WAL_FULL_PAGE_IMAGES, "wal.full_page_images", "", "images of whole pages in WAL"),
	COUNTER(CM_WAL_BUFFERS_FULL, "wal.buffers_full", "", "writes because the WAL buffers were full"),
	COUNTER(CM_XIDS_GIVEN, "xids.given", "ids", "transaction ids given out"),
	GAUGE(CM_XID_AGE, "xids.age", "ids", "age of the oldest transaction id that is still needed"),
	GAUGE(CM_MULTIXACT_AGE, "multixacts.age", "ids", "age of the oldest multixact id that is still needed"),
	COUNTER(CM_CHECKPOINTS_TIMED, "checkpoints.timed", "", "checkpoints that were due by time"),
	COUNTER(CM_CHECKPOINTS_REQUESTED, "checkpoints.requested", "", "checkpoints that WAL or a command asked for"),
	COUNTER(CM_CHECKPOINT_WRITE_TIME, "checkpoints.write_time", "ms", "spent on writing in checkpoints"),
	COUNTER(CM_CHECKPOINT_SYNC_TIME, "checkpoints.sync_time", "ms", "spent on flushing in checkpoints"),
	COUNTER(CM_BUFFERS_CHECKPOINT, "buffers.checkpoint", "", "buffers written by checkpoints"),
	COUNTER(CM_BUFFERS_CLEANED, "buffers.cleaned", "", "buffers written by the background writer"),
	COUNTER(CM_BUFFERS_BACKEND, "buffers.backend", "", "buffers that sessions had to write themselves"),
	COUNTER(CM_BUFFERS_BACKEND_FSYNC, "buffers.backend_fsync", "", "files that sessions had to flush themselves"),
	COUNTER(CM_CLEANING_STOPPED, "buffers.cleaning_stopped", "", "rounds of the background writer that ended at bgwriter_lru_maxpages"),
	GAUGE(CM_REPLICATION_STANDBYS, "replication.standbys", "", "standbys and subscribers that are connected"),
	GAUGE(CM_REPLICATION_LAG, "replication.lag", "s", "by which the last of them, or this standby, is behind"),
	GAUGE(CM_REPLICATION_LAG_BYTES, "replication.lag_bytes", "bytes", "by which the last of them, or this standby, is behind"),
	GAUGE(CM_SLOTS_RETAINED, "slots.retained", "bytes", "WAL kept for the replication slot that needs most"),
	GAUGE(CM_SLOTS_INACTIVE, "slots.inactive", "", "replication slots that nobody uses"),
	COUNTER(CM_ARCHIVED, "archive.succeeded", "", "files of WAL archived"),
	COUNTER(CM_ARCHIVE_FAILED, "archive.failed", "", "attempts to archive one that failed"),
	GAUGE(CM_ARCHIVE_WAITING, "archive.waiting", "", "files of WAL that wait to be archived, at most 1000"),
	GAUGE(CM_DISK_FREE, "disk.free", "percent", "free of the disk that has least, of those the server uses"),
	GAUGE(CM_DISK_FREE_BYTES, "disk.free_bytes", "bytes", "free of that disk"),
	GAUGE(CM_AUTOVACUUM_WORKERS, "autovacuum.workers", "", "autovacuum workers at work"),
	GAUGE(CM_HOST_LOAD, "host.load", "", "load average of one minute"),
	GAUGE(CM_HOST_CPUS, "host.cpus", "", "CPUs that the server may use"),
	GAUGE(CM_MEMORY_TOTAL, "memory.total", "bytes", "memory that the server may use"),
	GAUGE(CM_MEMORY_AVAILABLE, "memory.available", "bytes", "memory that is left, caches counted as left"),
	GAUGE(CM_PRESSURE_CPU, "pressure.cpu", "percent", "of the last minute in which something waited for a CPU"),
	GAUGE(CM_PRESSURE_IO, "pressure.io", "percent", "of the last minute in which something waited for I/O"),
	GAUGE(CM_PRESSURE_MEMORY, "pressure.memory", "percent", "of the last minute in which something waited for memory"),
	COUNTER(CM_STATEMENT_CALLS, "statements.calls", "", "statements run, by pg_stat_statements"),
	COUNTER(CM_STATEMENT_TIME, "statements.time", "ms", "spent on them"),
	COUNTER(CM_STATEMENT_SLOW_CALLS, "statements.slow_calls", "", "calls of statements that were slow in the minute of the call"),
	GAUGE(CM_DATABASES_BYTES, "databases.bytes", "bytes", "size of all databases, as last measured"),
	COUNTER(CM_COLLECTOR_TIME, "collector.time", "ms", "spent on sampling and on what else the launcher does at each tick"),
	COUNTER(CM_COLLECTOR_TICKS, "collector.ticks", "", "ticks of the launcher, in which it samples and judges alerts"),
	COUNTER(CM_MULTIXACTS_GIVEN, "multixacts.given", "ids", "multixact ids given out"),
	GAUGE(CM_STANDBY, "server.standby", "", "1 on a standby, 0 on a primary"),
	GAUGE(CM_TIMELINE, "server.timeline", "", "timeline that is written or replayed"),
	GAUGE(CM_CLOCK_SET_BACK, "clock.set_back", "s", "by which the clock was set back in the last hour, the most at a time"),
	GAUGE(CM_FAST_PATH_FULL, "locks.fast_path_full", "", "sessions with so many locks of relations that more go through the shared table"),
	COUNTER(CM_SLOTS_SPILLED, "slots.spilled", "bytes", "written to disk while transactions were decoded"),
	COUNTER(CM_SUBTRANSACTIONS_HIT, "subtransactions.hit", "", "pages of the parents of subtransactions that were found in memory"),
	COUNTER(CM_SUBTRANSACTIONS_READ, "subtransactions.read", "", "pages of the parents of subtransactions that were read"),
	COUNTER(CM_MULTIXACTS_HIT, "multixacts.hit", "", "pages of multixact ids that were found in memory"),
	COUNTER(CM_MULTIXACTS_READ, "multixacts.read", "", "pages of multixact ids that were read"),
	COUNTER(CM_IO_READS, "io.reads", "", "reads of blocks that sessions waited for, while track_io_timing is on"),
	COUNTER(CM_IO_READ_TIME, "io.read_time", "ms", "spent on them"),
	COUNTER(CM_MEMORY_KILLS, "memory.kills", "", "processes that the kernel killed for want of memory"),
	COUNTER(CM_MEMORY_SWAPPED_IN, "memory.swapped_in", "bytes", "that the machine had to read back from its swap space"),
	COUNTER(CM_STATEMENT_EVICTIONS, "statements.evictions", "", "times that pg_stat_statements made room for new statements"),
	GAUGE(CM_STATEMENT_TEXTS, "statements.texts", "bytes", "size of the file of texts of pg_stat_statements"),
	GAUGE(CM_DATABASES_UNSAMPLED, "databases.unsampled", "", "databases in use of which no samples are kept, since there is no room for more"),
	COUNTER(CM_LAUNCHER_TIME, "launcher.time", "ms", "processor time of the launcher, for all that it does"),
};

const Metric dbops_database_metrics[N_DATABASE_METRICS] = {
	GAUGE(DM_CONNECTIONS_TOTAL, "connections.total", "", "sessions of clients"),
	GAUGE(DM_CONNECTIONS_ACTIVE, "connections.active", "", "sessions that run a statement"),
	GAUGE(DM_CONNECTIONS_IDLE_IN_TRANSACTION, "connections.idle_in_transaction", "", "sessions that wait for their client, in a transaction"),
	GAUGE(DM_CONNECTIONS_WAITING, "connections.waiting", "", "sessions that wait for a heavyweight lock"),
	COUNTER(DM_TRANSACTIONS_COMMITTED, "transactions.committed", "", "transactions committed"),
	COUNTER(DM_TRANSACTIONS_ROLLED_BACK, "transactions.rolled_back", "", "transactions rolled back"),
	COUNTER(DM_BLOCKS_READ, "blocks.read", "", "blocks that were not found in shared buffers"),
	COUNTER(DM_BLOCKS_HIT, "blocks.hit", "", "blocks that were found in shared buffers"),
	COUNTER(DM_TUPLES_RETURNED, "tuples.returned", "", "rows that scans read"),
	COUNTER(DM_TUPLES_FETCHED, "tuples.fetched", "", "rows that index scans fetched"),
	COUNTER(DM_TUPLES_INSERTED, "tuples.inserted", "", "rows inserted"),
	COUNTER(DM_TUPLES_UPDATED, "tuples.updated", "", "rows updated"),
	COUNTER(DM_TUPLES_DELETED, "tuples.deleted", "", "rows deleted"),
	COUNTER(DM_DEADLOCKS, "deadlocks", "", "deadlocks"),
	COUNTER(DM_CONFLICTS, "conflicts", "", "statements cancelled on a standby by conflicts with recovery"),
	COUNTER(DM_TEMP_FILES, "temp.files", "", "temporary files of statements"),
	COUNTER(DM_TEMP_BYTES, "temp.bytes", "bytes", "written to them"),
	COUNTER(DM_SESSIONS_OPENED, "sessions.opened", "", "sessions begun"),
	COUNTER(DM_SESSIONS_ABANDONED, "sessions.abandoned", "", "sessions that lost their client"),
	COUNTER(DM_SESSIONS_FATAL, "sessions.fatal", "", "sessions that a fatal error ended"),
	COUNTER(DM_SESSIONS_KILLED, "sessions.killed", "", "sessions that an operator ended"),
	COUNTER(DM_CHECKSUM_FAILURES, "checksum.failures", "", "pages whose checksum was wrong"),
	GAUGE(DM_SIZE, "size", "bytes", "size of the database, as last measured"),
	COUNTER(DM_INDEX_FETCHED, "index.fetched", "", "blocks of indexes that were asked for, as last measured"),
	COUNTER(DM_INDEX_HIT, "index.hit", "", "of these, found in shared buffers"),
	COUNTER(DM_STATEMENT_CALLS, "statements.calls", "", "statements run, by pg_stat_statements"),
	COUNTER(DM_STATEMENT_TIME, "statements.time", "ms", "spent on them"),
	COUNTER(DM_STATEMENT_SLOW_CALLS, "statements.slow_calls", "", "calls of statements that were slow in the minute of the call"),
};

/* How many figures a database, or with InvalidOid the cluster, has. */
int
dbops_metric_count(Oid database)
{
	return OidIsValid(database) ? N_DATABASE_METRICS : N_CLUSTER_METRICS;
}

const Metric *
dbops_metric(Oid database, int position)
{
	Assert(position >= 0 && position < dbops_metric_count(database));
	return OidIsValid(database) ? &dbops_database_metrics[position] : &dbops_cluster_metrics[position];
}

/* Find a figure by its name; -1: there is none. */
int
dbops_metric_position(Oid database, const char *name)
{
	for (int i = 0; i < dbops_metric_count(database); i++)
		if (strcmp(dbops_metric(database, i)->name, name) == 0)
			return i;
	return -1;
}
