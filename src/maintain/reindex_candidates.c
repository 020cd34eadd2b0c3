/*
 * reindex_candidates.c
 *		reindex_candidates(): which indexes a policy would rebuild, and why not now.
 *
 * The same functions judge as in the jobs, so that what is shown is what would
 * be done. Only what locks a table is not asked, since that needs a lock.
 */
#include "maintain/reindex.h"

#include <math.h>

#include "utils/builtins.h"
#include "utils/numeric.h"
#include "utils/tuplestore.h"

#define COLUMNS 13

PG_FUNCTION_INFO_V1(dbops_reindex_candidates);

static void put_candidate(ReturnSetInfo *rsinfo, const ReindexIndex *index, int64 least, bool any_mismatch);
static void consider(const ReindexIndex *index, ReindexVerdict *verdict);
static void judge(const ReindexIndex *index, const Policy *policy, const ReindexLimits *limits, ReindexVerdict *verdict);
static const char *other_reason(const ReindexIndex *index, const ReindexVerdict *verdict, bool any_mismatch);
static void put_row(ReturnSetInfo *rsinfo, const ReindexIndex *index, const ReindexVerdict *verdict);
static Datum percent(double number, bool known, bool *isnull);

/* reindex_candidates(table_name regclass) → setof record */
Datum
dbops_reindex_candidates(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Oid			table = PG_ARGISNULL(0) ? InvalidOid : PG_GETARG_OID(0);
	bool		any_mismatch = dbops_reindex_any_mismatch();
	int64		least = dbops_reindex_least_bytes();
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, dbops_reindex_indexes(table, any_mismatch ? 0 : least))
	{
		CHECK_FOR_INTERRUPTS();
		put_candidate(rsinfo, lfirst(cell), least, any_mismatch);
	}
	return (Datum) 0;
}

/* Put an index if there is any reason to rebuild it. least: bytes below which no policy is asked for. */
static void
put_candidate(ReturnSetInfo *rsinfo, const ReindexIndex *index, int64 least, bool any_mismatch)
{
	ReindexVerdict verdict = {.estimate = NAN};
	const char *reason;

	if (index->bytes >= least)
		consider(index, &verdict);
	reason = other_reason(index, &verdict, any_mismatch);
	if (reason != NULL)
		verdict.reason = (verdict.reason == NULL) ? reason : psprintf("%s; %s", verdict.reason, reason);
	if (verdict.reason != NULL)
		put_row(rsinfo, index, &verdict);
}

static void
consider(const ReindexIndex *index, ReindexVerdict *verdict)
{
	const Policy *policy = dbops_reindex_policy_of(index);
	ReindexLimits limits = dbops_reindex_limits(policy);

	if (dbops_reindex_is_candidate(index, &limits, &verdict->estimate))
		judge(index, policy, &limits, verdict);
}

static void
judge(const ReindexIndex *index, const Policy *policy, const ReindexLimits *limits, ReindexVerdict *verdict)
{
	bool		passes;

	dbops_reindex_judge(index, limits, false, verdict);
	if (verdict->reason != NULL && verdict->obstacle == NULL)
		verdict->obstacle = dbops_reindex_obstacle(index, verdict, policy ? policy->time_window : NULL,
												   policy ? policy->time_zone : NULL, &passes);
	if (verdict->reason != NULL && verdict->obstacle == NULL && policy == NULL)
		verdict->obstacle = "no policy looks after it: dbops.set_reindex_policy() sets one";
}

/* What a policy does not act upon, since only a human can end it. */
static const char *
other_reason(const ReindexIndex *index, const ReindexVerdict *verdict, bool any_mismatch)
{
	const char *mismatch = any_mismatch ? dbops_reindex_mismatch(index->oid) : NULL;

	if (mismatch != NULL)
		return mismatch;
	if (verdict->measured && verdict->bloat.version < BTREE_VERSION && !index->unique)
		return "it was never deduplicated: a rebuild makes it smaller where keys repeat";
	return NULL;
}

static void
put_row(ReturnSetInfo *rsinfo, const ReindexIndex *index, const ReindexVerdict *verdict)
{
	const IndexBloat *bloat = &verdict->bloat;
	Datum		values[COLUMNS];
	bool		nulls[COLUMNS] = {false};
	ReindexRecord last;

	values[0] = ObjectIdGetDatum(index->oid);
	values[1] = ObjectIdGetDatum(index->table);
	values[2] = Int64GetDatum(index->bytes);
	values[3] = percent(verdict->estimate, true, &nulls[3]);
	values[4] = percent(bloat->percent, verdict->measured, &nulls[4]);
	values[5] = percent(bloat->low, verdict->measured, &nulls[5]);
	values[6] = percent(bloat->high, verdict->measured, &nulls[6]);
	nulls[7] = !verdict->measured;
	values[7] = Int64GetDatum(bloat->wasted);
	values[8] = CStringGetTextDatum(verdict->reason);
	nulls[9] = (verdict->obstacle == NULL);
	values[9] = nulls[9] ? (Datum) 0 : CStringGetTextDatum(verdict->obstacle);
	nulls[10] = (verdict->duration == 0);
	values[10] = IntervalPGetDatum(dbops_interval_of_ms(verdict->duration));
	nulls[11] = !dbops_reindex_history_last(index->name, &last);
	values[11] = nulls[11] ? (Datum) 0 : TimestampTzGetDatum(last.rebuilt_at);
	values[12] = CStringGetTextDatum(psprintf("SELECT dbops.start_reindex(%s);", quote_literal_cstr(index->name)));
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* With one decimal; null where it is not known. */
static Datum
percent(double number, bool known, bool *isnull)
{
	*isnull = !known || isnan(number);
	return *isnull ? (Datum) 0 : NumericGetDatum(int64_div_fast_to_numeric((int64) rint(number * 10), 1));
}
