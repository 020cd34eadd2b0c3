/*
 * rollup.c
 *		From the ring to minutes, and from each tier to the next.
 *
 * How far a tier has been rolled up is written in the same transaction as its
 * rows, and it goes on from there; a bucket is written once it is over and the
 * sample after it has had time to come. To write it again changes nothing. A
 * clock that was set back takes the mark with it, and what is sampled now comes
 * over what was written when the clock was ahead. A time without samples has
 * no rows.
 *
 * Only one process rolls up at a time; another one finds nothing to do.
 */
#include "observe/history.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"

const HistoryTier dbops_history_tiers[N_TIERS] = {
	[HISTORY_1M] = {60, "1m"},
	[HISTORY_5M] = {300, "5m"},
	[HISTORY_1H] = {3600, "1h"},
	[HISTORY_1D] = {86400, "1d"}
};

/* Buckets of a tier, put together from those of the one before. */
typedef struct Summing
{
	int			tier;
	bool		cluster;
	Bucket	   *part;			/* as it is read */
	Bucket	   *sum;
	int			written;
} Summing;

PG_FUNCTION_INFO_V1(dbops_roll_up_metrics);

static void upkeep(void *unused);
static int	roll_up(bool cluster);
static TimestampTz find_begin(int tier, bool cluster, TimestampTz now);
static TimestampTz find_again(int tier, bool cluster, TimestampTz now);
static int	roll_up_ring(bool cluster, TimestampTz since, TimestampTz until);
static int	roll_up_minutes(Oid database, const Sample *samples, int n, TimestampTz since, TimestampTz until);
static int	roll_up_tier(int tier, bool cluster, TimestampTz since, TimestampTz until);
static void add_part(void *arg);
static void write_sum(Summing *summing);
static void note_progress(int tier, bool cluster, TimestampTz until);

static const DbopsUpkeep rolling = {.name = "metric_history", .every = 60000, .elsewhere = 600000, .run = upkeep};

/* Register the upkeep. */
void
dbops_rollup_init(void)
{
	dbops_upkeep_register(&rolling);
}

static void
upkeep(void *unused)
{
	if (!dbops_history_lock())
		return;
	roll_up(false);
	if (dbops_home_database() == MyDatabaseId)
		roll_up(true);
	dbops_roll_up_waits(dbops_clock_now());
}

/* roll_up_metrics(of_cluster boolean) → int */
Datum
dbops_roll_up_metrics(PG_FUNCTION_ARGS)
{
	bool		of_cluster = PG_ARGISNULL(0) ? dbops_home_database() == MyDatabaseId : PG_GETARG_BOOL(0);
	int			written;

	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("history is not written on a standby"),
				 errhint("Call it on the primary; here, dbops.metric_history() shows what has been replicated and the last hour.")));
	if (!dbops_history_lock())
		PG_RETURN_INT32(0);
	written = roll_up(false);
	if (of_cluster)
		written += roll_up(true);
	dbops_roll_up_waits(dbops_clock_now());
	PG_RETURN_INT32(written);
}

/* Roll up all tiers; each can be only as far as the one before. Returns how many rows were written. */
static int
roll_up(bool cluster)
{
	TimestampTz now = dbops_clock_now();
	TimestampTz until = now - HISTORY_GRACE;
	int			written = 0;

	for (int tier = 0; tier < N_TIERS; tier++)
	{
		TimestampTz since = find_begin(tier, cluster, now);

		until = dbops_bucket_begin(until, dbops_history_tiers[tier].seconds);
		if (until <= since)
		{
			until = since;
			continue;
		}
		written += (tier == 0) ? roll_up_ring(cluster, since, until) :
			roll_up_tier(tier, cluster, since, until);
		note_progress(tier, cluster, until);
	}
	return written;
}

/*
 * Where a tier goes on. After a clock was set back, everything of which memory
 * has all samples is written again; its first minute it may not have in full.
 */
static TimestampTz
find_begin(int tier, bool cluster, TimestampTz now)
{
	int			seconds = dbops_history_tiers[tier].seconds;
	TimestampTz until = dbops_rolled_until(tier, cluster);
	TimestampTz current = dbops_bucket_begin(now, seconds);
	TimestampTz next = current + seconds * USECS_PER_SEC;

	if (until <= next)
		return until;
	until = find_again(tier, cluster, now);
	note_progress(tier, cluster, until);
	return until;
}

static TimestampTz
find_again(int tier, bool cluster, TimestampTz now)
{
	TimestampTz length = dbops_history_tiers[tier].seconds * USECS_PER_SEC;
	Sample		oldest;
	bool		found = dbops_ring_read(cluster ? InvalidOid : MyDatabaseId, DT_NOBEGIN, &oldest, 1) > 0;
	TimestampTz begin = dbops_bucket_begin(found ? Min(oldest.at, now) : now, dbops_history_tiers[tier].seconds);

	return (tier == 0) ? begin + length : begin;
}

/* The bucket that a time is in. */
TimestampTz
dbops_bucket_begin(TimestampTz at, int64 seconds)
{
	int64		length = seconds * USECS_PER_SEC;

	return at - ((at % length) + length) % length;
}

/* How far a tier has been rolled up; long ago if it never was. */
TimestampTz
dbops_rolled_until(int tier, bool cluster)
{
	DbopsParam	params[] = {
		dbops_param_text(dbops_history_tiers[tier].name), dbops_param_bool(cluster)
	};
	Datum		until;

	if (!dbops_store_value("SELECT rolled_until FROM dbops.history_progress WHERE tier = $1 AND cluster = $2",
						   lengthof(params), params, TIMESTAMPTZOID, &until))
		return dbops_bucket_begin(-1, dbops_history_tiers[tier].seconds);
	return DatumGetTimestampTz(until);
}

static void
note_progress(int tier, bool cluster, TimestampTz until)
{
	DbopsParam	params[] = {
		dbops_param_text(dbops_history_tiers[tier].name), dbops_param_bool(cluster), dbops_param_time(until)
	};

	dbops_store_each("INSERT INTO dbops.history_progress (tier, cluster, rolled_until) VALUES ($1, $2, $3)"
					 " ON CONFLICT (tier, cluster) DO UPDATE SET rolled_until = excluded.rolled_until",
					 lengthof(params), params, NULL, NULL);
}

/* ---- minutes ---- */

static int
roll_up_ring(bool cluster, TimestampTz since, TimestampTz until)
{
	Oid			database = cluster ? InvalidOid : MyDatabaseId;
	Sample	   *samples = palloc(sizeof(Sample) * RING_TICKS);
	int			n = dbops_ring_read(database, DT_NOBEGIN, samples, RING_TICKS);
	int			written = 0;

	if (n > 0)
		written = roll_up_minutes(database, samples, n, since, until);
	pfree(samples);
	return written;
}

/* Write the minutes in which there are samples; these are in the order of time. */
static int
roll_up_minutes(Oid database, const Sample *samples, int n, TimestampTz since, TimestampTz until)
{
	TimestampTz length = dbops_history_tiers[0].seconds * USECS_PER_SEC;
	Bucket	   *bucket = dbops_bucket_make(dbops_metric_count(database));
	int			written = 0;

	for (int sample = 0; sample < n; sample++)
	{
		TimestampTz at = dbops_bucket_begin(samples[sample].at, dbops_history_tiers[0].seconds);

		if (at < since || at >= until || at == bucket->at)
			continue;
		dbops_bucket_clear(bucket, at);
		for (int i = Max(sample - 1, 0); i < n; i++)
			dbops_bucket_sample(bucket, database, (i > 0) ? &samples[i - 1] : NULL, &samples[i], at + length);
		dbops_bucket_store(0, !OidIsValid(database), bucket);
		written++;
	}
	pfree(bucket);
	return written;
}

/* ---- the tiers above ---- */

static int
roll_up_tier(int tier, bool cluster, TimestampTz since, TimestampTz until)
{
	int			n_figures = dbops_metric_count(cluster ? InvalidOid : MyDatabaseId);
	Summing		summing = {
		.tier = tier,.cluster = cluster,
		.part = dbops_bucket_make(n_figures),.sum = dbops_bucket_make(n_figures)
	};

	(void) dbops_bucket_load(tier - 1, cluster, since, until, add_part, &summing, summing.part);
	write_sum(&summing);
	return summing.written;
}

static void
add_part(void *arg)
{
	Summing    *summing = arg;
	TimestampTz at = dbops_bucket_begin(summing->part->at, dbops_history_tiers[summing->tier].seconds);

	if (summing->sum->n > 0 && summing->sum->at != at)
		write_sum(summing);
	if (summing->sum->n == 0)
		dbops_bucket_clear(summing->sum, at);
	dbops_bucket_add(summing->sum, summing->part);
}

static void
write_sum(Summing *summing)
{
	if (summing->sum->n == 0)
		return;
	dbops_bucket_store(summing->tier, summing->cluster, summing->sum);
	dbops_bucket_clear(summing->sum, 0);
	summing->written++;
}
