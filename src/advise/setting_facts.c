/*
 * setting_facts.c
 *		What settings are judged by: the machine, and what the server has counted.
 *
 * All of it is looked up once in a review. The machine is what the server may use
 * of it, a container's limits counted. Whether a disk rotates, the kernel tells,
 * but virtual disks say so too, and a container hides it. A rate is taken over no
 * less than an hour, since the first minutes say little.
 */
#include "advise/setting_review.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/fd.h"

#define COUNTED \
	"SELECT (SELECT sum(c.relpages::int8) * current_setting('block_size')::int8 FROM pg_class c)::float8, " \
	"(SELECT max(c.reltuples) FROM pg_class c WHERE c.relkind IN ('r', 'm'))::float8, d.temp_bytes::float8, " \
	"d.sessions / greatest(extract(epoch FROM now() - coalesce(d.stats_reset, pg_postmaster_start_time())), 3600)::float8, " \
	"(w.wal_bytes / greatest(extract(epoch FROM now() - w.stats_reset), 3600))::float8, extract(epoch FROM now() - w.stats_reset)::float8, w.wal_buffers_full::float8, " \
	"(SELECT count(*) FROM pg_stat_get_wal_senders())::float8, (SELECT count(*) FROM pg_replication_slots)::float8, " \
	"(SELECT count(*) FROM pg_stat_get_wal_senders() s WHERE s.pid NOT IN (SELECT p.active_pid FROM pg_replication_slots p WHERE p.active_pid IS NOT NULL))::float8, " \
	"(SELECT count(*) - 1 FROM pg_tablespace)::float8, (SELECT count(*) FROM pg_stat_activity a WHERE a.backend_type = 'client backend')::float8 " \
	"FROM pg_stat_database d CROSS JOIN (SELECT wal_bytes, wal_buffers_full, coalesce(stats_reset, pg_postmaster_start_time()) AS stats_reset FROM pg_stat_get_wal()) w " \
	"WHERE d.datname = current_database()"

#define PEAK \
	"SELECT max(h.maximum) FROM dbops.metric_history('connections.total', $1 - interval '30 days', $1, interval '1 hour', true) h"

static void take_counted(HeapTuple row, TupleDesc desc, void *arg);
static void count_checkpoints(SettingFacts *facts);
static void find_peak(SettingFacts *facts);
static void ask_peak(void *arg);
static void take_peak(HeapTuple row, TupleDesc desc, void *arg);
static int	rotates(void);
static int	read_digit(const char *path);

/* Look around, once in a review. */
const SettingFacts *
dbops_setting_facts(DbopsReview *review)
{
	SettingFacts *facts;
	Host		host;

	if (review->shared != NULL)
		return review->shared;
	facts = palloc0(sizeof(SettingFacts));
	dbops_host_read("", &host);
	facts->memory = host.memory_total;
	facts->cpus = host.cpus;
	facts->rotates = rotates();
	(void) dbops_store_each(COUNTED, 0, NULL, take_counted, facts);
	count_checkpoints(facts);
	find_peak(facts);
	review->shared = facts;
	return facts;
}

static void
take_counted(HeapTuple row, TupleDesc desc, void *arg)
{
	SettingFacts *facts = arg;

	facts->data = dbops_row_float8(row, desc, 1);
	facts->largest_rows = dbops_row_float8(row, desc, 2);
	facts->temporary = dbops_row_float8(row, desc, 3);
	facts->sessions_rate = dbops_row_float8(row, desc, 4);
	facts->wal_rate = dbops_row_float8(row, desc, 5);
	facts->wal_time = dbops_row_float8(row, desc, 6);
	facts->wal_buffers_full = dbops_row_float8(row, desc, 7);
	facts->standbys = dbops_row_float8(row, desc, 8);
	facts->slots = dbops_row_float8(row, desc, 9);
	facts->standbys_without_slot = dbops_row_float8(row, desc, 10);
	facts->disks = dbops_row_float8(row, desc, 11);
	facts->connected = dbops_row_float8(row, desc, 12);
}

static void
count_checkpoints(SettingFacts *facts)
{
	PgStat_CheckpointerStats *stats = pgstat_fetch_stat_checkpointer();

	facts->checkpoints_timed = stat_checkpoints_timed(stats);
	facts->checkpoints_requested = stat_checkpoints_requested(stats);
}

/* The most sessions that history knows; where there is none, those of now. */
static void
find_peak(SettingFacts *facts)
{
	ErrorData  *error;

	facts->peak = NAN;
	(void) dbops_attempt(ask_peak, facts, &error);
	facts->peak_is_history = !isnan(facts->peak);
	facts->peak = facts->peak_is_history ? Max(facts->peak, facts->connected) : facts->connected;
}

static void
ask_peak(void *arg)
{
	DbopsParam	now = dbops_param_time(dbops_clock_now());

	/* That this database has only an hour of it need not be told. */
	dbops_set_nested("client_min_messages", "warning");
	(void) dbops_store_each(PEAK, 1, &now, take_peak, arg);
}

static void
take_peak(HeapTuple row, TupleDesc desc, void *arg)
{
	((SettingFacts *) arg)->peak = dbops_row_float8(row, desc, 1);
}

/* Does the disk of the data directory rotate? The kernel tells of the disk, or of the one that a partition is on. */
static int
rotates(void)
{
	static const char *const places[] = {"queue/rotational", "../queue/rotational"};
	struct stat file;

	if (stat(DataDir, &file) != 0)
		return -1;
	for (int i = 0; i < lengthof(places); i++)
	{
		int			digit = read_digit(psprintf("/sys/dev/block/%u:%u/%s", major(file.st_dev), minor(file.st_dev), places[i]));

		if (digit >= 0)
			return digit;
	}
	return -1;
}

static int
read_digit(const char *path)
{
	int			file = OpenTransientFile(path, O_RDONLY);
	char		digit = 0;
	bool		done;

	if (file < 0)
		return -1;
	done = (read(file, &digit, 1) == 1);
	CloseTransientFile(file);
	return (done && (digit == '0' || digit == '1')) ? digit - '0' : -1;
}
