/*
 * setting_facts.c
 *		What settings are judged by: the machine, and what the server has counted.
 *
 * All of it is looked up once in a review. The machine is what the server may use
 * of it, a container's limits counted. Whether a disk rotates, the kernel tells,
 * but virtual disks say so too, and a container hides it. Settings are the server's,
 * so what they are judged by is of all databases, as far as one can see from here.
 */
#include "advise/setting_review.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/fd.h"

/* A table that has a factor of its own does not go by the server's. */
#define MOST_ROWS(factor) \
	"(SELECT max(c.reltuples) FROM pg_class c WHERE c.relkind IN ('r', 'm') AND (c.reloptions IS NULL OR NOT EXISTS (SELECT FROM unnest(c.reloptions) o WHERE starts_with(o, '" factor "='))))::float8"

#define COUNTED \
	"SELECT " MOST_ROWS("autovacuum_vacuum_scale_factor") ", " MOST_ROWS("autovacuum_analyze_scale_factor") ", " \
	"w.wal_bytes::float8, extract(epoch FROM $1 - coalesce(w.stats_reset, pg_postmaster_start_time()))::float8, w.wal_buffers_full::float8, " \
	"(SELECT count(*) FROM pg_replication_slots s WHERE NOT s.temporary)::float8, " \
	"(SELECT count(*) FROM pg_stat_activity a WHERE a.backend_type = 'client backend')::float8 " \
	"FROM pg_stat_get_wal() w"

/* $1: processes that send WAL to who applies it; $2: of them, to standbys; $3: all. A backup has a slot for its own time, or none. */
#define SENDERS \
	"WITH s AS MATERIALIZED (SELECT active_pid, temporary FROM pg_replication_slots WHERE active_pid IS NOT NULL) " \
	"SELECT (SELECT count(*) FROM unnest($3::int4[]) p WHERE p = ANY ($1) OR p IN (SELECT active_pid FROM s WHERE NOT temporary))::float8, " \
	"(SELECT count(*) FROM unnest($2::int4[]) p WHERE p NOT IN (SELECT active_pid FROM s))::float8"

static void take_counted(HeapTuple row, TupleDesc desc, void *arg);
static void count_checkpoints(SettingFacts *facts);
static void find_sizes(SettingFacts *facts);
static void take_sizes(HeapTuple row, TupleDesc desc, void *arg);
static void find_disks(SettingFacts *facts);
static void find_senders(SettingFacts *facts);
static void take_senders(HeapTuple row, TupleDesc desc, void *arg);
static double count_names(const char *list);
static int	rotates(void);
static int	read_digit(const char *path);

/* Look around, once in a review. */
const SettingFacts *
dbops_setting_facts(DbopsReview *review)
{
	SettingFacts *facts;
	DbopsParam	now = dbops_param_time(dbops_clock_now());
	Host		host;

	if (review->shared != NULL)
		return review->shared;
	facts = palloc0(sizeof(SettingFacts));
	dbops_host_read("", &host);
	facts->memory = host.memory_total;
	facts->cpus = host.cpus;
	facts->rotates = rotates();
	facts->files = dbops_setting_files_read();
	dbops_setting_history_read(&facts->history);
	(void) dbops_store_each(COUNTED, 1, &now, take_counted, facts);
	count_checkpoints(facts);
	find_sizes(facts);
	find_disks(facts);
	find_senders(facts);
	review->shared = facts;
	return facts;
}

static void
take_counted(HeapTuple row, TupleDesc desc, void *arg)
{
	SettingFacts *facts = arg;

	facts->most_rows_vacuum = fmax(0, dbops_row_float8(row, desc, 1));
	facts->most_rows_analyze = fmax(0, dbops_row_float8(row, desc, 2));
	facts->wal_counted = dbops_row_float8(row, desc, 3);
	facts->wal_time = dbops_row_float8(row, desc, 4);
	facts->wal_buffers_full = dbops_row_float8(row, desc, 5);
	facts->slots = dbops_row_float8(row, desc, 6);
	facts->connected = dbops_row_float8(row, desc, 7);
}

static void
count_checkpoints(SettingFacts *facts)
{
	PgStat_CheckpointerStats *stats = pgstat_fetch_stat_checkpointer();

	facts->checkpoints_timed = stat_checkpoints_timed(stats);
	facts->checkpoints_requested = stat_checkpoints_requested(stats);
}

/* ---- data and disks ---- */

/* As they were measured; where nobody has, their files are counted now. */
static void
find_sizes(SettingFacts *facts)
{
	facts->data = facts->history.data;
	facts->data_here = facts->history.data_here;
	if (isnan(facts->data) || isnan(facts->data_here))
		(void) dbops_store_each("SELECT sum(b)::float8, (sum(b) FILTER (WHERE here))::float8 "
								"FROM (SELECT pg_database_size(d.oid) AS b, d.datname = current_database() AS here FROM pg_database d) d",
								0, NULL, take_sizes, facts);
}

static void
take_sizes(HeapTuple row, TupleDesc desc, void *arg)
{
	SettingFacts *facts = arg;

	facts->data = dbops_row_float8(row, desc, 1);
	facts->data_here = dbops_row_float8(row, desc, 2);
}

/* A disk may have several tablespaces on it, and WAL too. */
static void
find_disks(SettingFacts *facts)
{
	Disks		disks = {0};
	bool		with_wal = false;
	ListCell   *cell;

	dbops_disks_read(&disks);
	foreach(cell, disks.list)
	{
		const Disk *disk = lfirst(cell);

		if (disk->tablespace == NULL)
			facts->wal_room = (disk->total > 0) ? disk->free : NAN;
		else if (disk->same_as == NULL)
			facts->disks++;
		else if (strcmp(disk->same_as, "WAL") == 0)
			with_wal = true;
	}
	if (with_wal)
		facts->disks++;
}

/* ---- who is sent WAL ---- */

static void
find_senders(SettingFacts *facts)
{
	List	   *standbys = dbops_standbys_read(dbops_written());
	int			n = list_length(standbys);
	Datum	   *pids[3];
	int			counts[3] = {0};
	DbopsParam	params[3];
	ListCell   *cell;

	for (int i = 0; i < 3; i++)
		pids[i] = palloc(sizeof(Datum) * Max(n, 1));
	foreach(cell, standbys)
	{
		const Standby *standby = lfirst(cell);
		Datum		pid = Int32GetDatum(standby->pid);

		pids[2][counts[2]++] = pid;
		if (standby->applies)
			pids[0][counts[0]++] = pid;
		if (standby->applies && !standby->logical)
			pids[1][counts[1]++] = pid;
	}
	for (int i = 0; i < 3; i++)
		params[i] = dbops_param_array(pids[i], counts[i], INT4OID);
	(void) dbops_store_each(SENDERS, lengthof(params), params, take_senders, facts);
	facts->expected = count_names(dbops_expected_standbys);
}

static void
take_senders(HeapTuple row, TupleDesc desc, void *arg)
{
	SettingFacts *facts = arg;

	facts->senders = dbops_row_float8(row, desc, 1);
	facts->unslotted = dbops_row_float8(row, desc, 2);
}

/* Those of a list with commas. */
static double
count_names(const char *list)
{
	int			n = 0;

	while (list != NULL && *list != '\0')
	{
		size_t		length;

		list += strspn(list, ", ");
		length = strcspn(list, ",");
		n += (length > 0);
		list += length;
	}
	return n;
}

/* ---- the disk of the data directory ---- */

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
