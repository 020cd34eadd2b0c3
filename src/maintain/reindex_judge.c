/*
 * reindex_judge.c
 *		Whether a rebuild of an index is worth it.
 *
 * The catalogs say for nothing which indexes are much larger than their rows
 * need, or than they were when they were last rebuilt; how much of the file a
 * rebuild would win is then measured from a sample of its pages. Rows that the
 * catalogs know nothing of are no reason to leave an index out: the sample
 * decides. What has come back soon after its last two rebuilds is of that size,
 * and the likely cause is named instead.
 */
#include "maintain/reindex.h"

#include <math.h>

#include "core/server.h"

#include "catalog/pg_type.h"

#define LEAF_USED		0.88	/* of a page of a new btree, for rows */
#define LEAST_BLOCKS	2		/* of a btree that has rows */
#define MUCH_KILLABLE	10.0	/* percent of the file: dead items that are still there */
#define OLD_SNAPSHOT	SECS_PER_HOUR

static bool is_due(const ReindexIndex *index, const ReindexLimits *limits, ReindexVerdict *verdict);
static void judge_reason(const ReindexIndex *index, const ReindexLimits *limits, bool notes, ReindexVerdict *verdict);
static const char *find_cause(const ReindexIndex *index, const IndexBloat *bloat);

/* By how much of its file, in percent, an index exceeds what its rows need; NaN: the catalogs do not say. */
double
dbops_reindex_estimate(const ReindexIndex *index)
{
	DbopsParam	params[] = {dbops_param_oid(index->oid), dbops_param_int8((int64) index->rows)};
	ReindexRecord last;
	Datum		expected;

	if (!index->btree || index->rows < 0 || index->bytes == 0)
		return NAN;
	if (dbops_reindex_history_last(index->name, &last) && last.rows > 0)
		return 100 * (1 - last.bytes_after * (index->rows / last.rows) / index->bytes);

	/* The least that it can need: rows with the same key share it where they may. */
	if (!dbops_store_value_kept("SELECT CASE WHEN count(*) = count(s.stawidth) THEN CASE WHEN bool_or(i.indisunique) THEN $2 * (12 + sum(s.stawidth))"
						   " ELSE least($2 * (12 + sum(s.stawidth)),"
						   " $2 * 6 + max(CASE WHEN s.stadistinct < 0 THEN -s.stadistinct * $2 ELSE s.stadistinct END) * (12 + sum(s.stawidth)))"
						   " END END::float8"
						   " FROM pg_index i CROSS JOIN LATERAL generate_series(0, i.indnkeyatts - 1) k"
						   " LEFT JOIN LATERAL (SELECT stawidth, stadistinct FROM pg_statistic"
						   " WHERE starelid = CASE i.indkey[k] WHEN 0 THEN i.indexrelid ELSE i.indrelid END"
						   " AND staattnum = CASE i.indkey[k] WHEN 0 THEN k + 1 ELSE i.indkey[k] END ORDER BY stainherit LIMIT 1) s ON true"
						   " WHERE i.indexrelid = $1",
						   lengthof(params), params, FLOAT8OID, &expected))
		return NAN;
	return 100 * (1 - DatumGetFloat8(expected) / LEAF_USED / index->bytes);
}

/* Is it worth a sample? Half of what is asked for, since the catalogs are rough. */
bool
dbops_reindex_is_candidate(const ReindexIndex *index, const ReindexLimits *limits, double *estimate)
{
	*estimate = NAN;
	if (!index->btree || !index->valid || index->bytes <= LEAST_BLOCKS * BLCKSZ || index->bytes < limits->min_bytes || dbops_reindex_refusal(index) != NULL)
		return false;
	*estimate = dbops_reindex_estimate(index);
	return isnan(*estimate) || *estimate >= limits->min_percent / 2;
}

/* Measure it, and say whether it is to be rebuilt and what is against it. */
void
dbops_reindex_judge(const ReindexIndex *index, const ReindexLimits *limits, bool notes, ReindexVerdict *verdict)
{
	verdict->obstacle = dbops_reindex_refusal(index);
	dbops_index_measure(index->oid, DEFAULT_SAMPLE_BLOCKS, &verdict->bloat);
	verdict->measured = verdict->bloat.base.judged;
	if (verdict->bloat.base.skipped != NULL && verdict->obstacle == NULL && limits != NULL)
	{
		verdict->obstacle = psprintf("it could not be measured: %s", verdict->bloat.base.skipped);
		verdict->passes = (strcmp(verdict->bloat.base.skipped, "locked") == 0);
	}
	verdict->duration = dbops_reindex_history_predict(index->table_bytes +
													  (verdict->measured ? verdict->bloat.rebuilt_bytes : index->bytes));
	if (limits == NULL)
		verdict->reason = "asked for";
	else if (verdict->measured)
		judge_reason(index, limits, notes, verdict);
}

static void
judge_reason(const ReindexIndex *index, const ReindexLimits *limits, bool notes, ReindexVerdict *verdict)
{
	const IndexBloat *bloat = &verdict->bloat;
	bool		returns;

	if (bloat->base.percent < limits->min_percent || bloat->base.wasted < limits->min_bytes)
		return;
	verdict->reason = psprintf("a rebuild wins %s, %.0f percent of it",
							   dbops_figure_bytes(bloat->base.wasted), bloat->base.percent);
	returns = dbops_reindex_history_returns(index->name, notes);
	if (verdict->obstacle != NULL)
		return;
	if (returns)
		verdict->obstacle = psprintf("it was as bloated again within 14 days of its last two rebuilds: %s",
									 find_cause(index, bloat));
	else if (!is_due(index, limits, verdict))
		return;
	else
		verdict->obstacle = dbops_reindex_conflict(index, limits->unique);
}

/* Is its last rebuild long enough ago? */
static bool
is_due(const ReindexIndex *index, const ReindexLimits *limits, ReindexVerdict *verdict)
{
	ReindexRecord last;
	double		since;

	if (!dbops_reindex_history_last(index->name, &last))
		return true;
	since = (dbops_clock_now() - last.rebuilt_at) / 1000.0;
	if (since >= limits->min_interval)
		return true;
	verdict->obstacle = psprintf("it was rebuilt %s ago, less than min_interval (%s)",
								 dbops_figure_duration(since / 1000), dbops_figure_duration(limits->min_interval / 1000.0));
	return false;
}

/* Why it does not stay small, and what would help. */
static const char *
find_cause(const ReindexIndex *index, const IndexBloat *bloat)
{
	HorizonHolder oldest;

	dbops_horizon_oldest(dbops_gate_ignores, &oldest);
	if (oldest.name != NULL && oldest.age > OLD_SNAPSHOT)
		return psprintf("%s has kept vacuum from removing rows for %s, and what it keeps stays in the index; end it",
						oldest.name, dbops_figure_duration(oldest.age));
	if (bloat->steady_percent < 10)
		return psprintf("its rows come in random order, which leaves pages of any btree some 70 percent full; "
						"a fillfactor of 70 (now %d) makes a rebuild last, and nothing else is to be won", bloat->base.fillfactor);
	if (bloat->killable_percent > MUCH_KILLABLE)
		return psprintf("%.0f percent of it are dead items that no vacuum has removed yet; "
						"have autovacuum come sooner: ALTER TABLE %s SET (autovacuum_vacuum_scale_factor = 0.02)",
						bloat->killable_percent, index->table_name);
	return psprintf("rows are deleted or updated faster than vacuum keeps up with; have autovacuum come sooner"
					" (ALTER TABLE %s SET (autovacuum_vacuum_scale_factor = 0.02)),"
					" or leave out of the index what updates change, so that they can be HOT", index->table_name);
}
