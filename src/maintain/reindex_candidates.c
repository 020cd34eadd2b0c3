/*
 * reindex_candidates.c
 *		reindex_candidates(): which indexes a policy would rebuild, and why not now.
 *
 * The same functions judge as in the jobs, so that what is shown is what would
 * be done. Only what locks a table is not asked, since that needs a lock.
 */
#include "maintain/reindex.h"

#include <math.h>

#include "catalog/pg_class.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/tuplestore.h"

#define COLUMNS 13

PG_FUNCTION_INFO_V1(dbops_reindex_candidates);

/* What is read once for all indexes. */
typedef struct Candidates
{
	ReturnSetInfo *rsinfo;
	int64		least;			/* bytes below which no policy is asked for */
	List	   *policies;		/* of Policy * */
	List	   *mismatches;		/* of ReindexMismatch *, by OID */
} Candidates;

static Oid	table_argument(FunctionCallInfo fcinfo);
static void put_candidate(const Candidates *candidates, const ReindexIndex *index);
static void consider(const ReindexIndex *index, const List *policies, ReindexVerdict *verdict);
static void judge(const ReindexIndex *index, const Policy *policy, const ReindexLimits *limits, ReindexVerdict *verdict);
static const char *other_reason(const ReindexIndex *index, const ReindexVerdict *verdict, const List *mismatches);
static const char *find_mismatch(const List *mismatches, Oid index);
static void put_row(ReturnSetInfo *rsinfo, const ReindexIndex *index, const ReindexVerdict *verdict);
static Datum percent(double number, bool known, bool *isnull);

/* reindex_candidates(table_name regclass) → setof record */
Datum
dbops_reindex_candidates(PG_FUNCTION_ARGS)
{
	Oid			table = table_argument(fcinfo);
	Candidates	candidates = {
		.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo,.least = dbops_reindex_least_bytes(),
		.policies = dbops_reindex_policies(),.mismatches = dbops_reindex_mismatches()
	};
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, dbops_reindex_indexes(table, candidates.mismatches != NIL ? 0 : candidates.least))
	{
		CHECK_FOR_INTERRUPTS();
		put_candidate(&candidates, lfirst(cell));
	}
	return (Datum) 0;
}

/* The table whose indexes are meant; InvalidOid: all of the database. */
static Oid
table_argument(FunctionCallInfo fcinfo)
{
	Oid			table = dbops_policy_relation_argument(fcinfo, 0);
	char		relkind = OidIsValid(table) ? get_rel_relkind(table) : RELKIND_RELATION;

	if (relkind == RELKIND_RELATION || relkind == RELKIND_MATVIEW || relkind == RELKIND_PARTITIONED_TABLE || relkind == RELKIND_TOASTVALUE)
		return table;
	ereport(ERROR,
			(errcode(relkind == '\0' ? ERRCODE_UNDEFINED_TABLE : ERRCODE_WRONG_OBJECT_TYPE),
			 errmsg(relkind == '\0' ? "%s does not exist" : "%s is not a table", dbops_policy_object(table)),
			 errhint("Give the table whose indexes are meant, or null for all of the database.")));
}

/* Put an index if there is any reason to rebuild it. */
static void
put_candidate(const Candidates *candidates, const ReindexIndex *index)
{
	ReindexVerdict verdict = {.estimate = NAN};
	const char *reason;

	if (index->bytes >= candidates->least)
		consider(index, candidates->policies, &verdict);
	reason = other_reason(index, &verdict, candidates->mismatches);
	if (reason != NULL)
		verdict.reason = (verdict.reason == NULL) ? reason : psprintf("%s; %s", verdict.reason, reason);
	if (verdict.reason != NULL)
		put_row(candidates->rsinfo, index, &verdict);
}

static void
consider(const ReindexIndex *index, const List *policies, ReindexVerdict *verdict)
{
	const Policy *policy = dbops_reindex_policy_of(index, policies);
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
other_reason(const ReindexIndex *index, const ReindexVerdict *verdict, const List *mismatches)
{
	const char *mismatch = find_mismatch(mismatches, index->oid);

	if (mismatch != NULL)
		return mismatch;
	if (verdict->measured && verdict->bloat.version < BTREE_VERSION && !index->unique)
		return "it was never deduplicated: a rebuild makes it smaller where keys repeat";
	return NULL;
}

/* The list is in the order of the OIDs. */
static const char *
find_mismatch(const List *mismatches, Oid index)
{
	int			from = 0;
	int			to = list_length(mismatches);

	while (from < to)
	{
		int			middle = (from + to) / 2;
		const ReindexMismatch *mismatch = list_nth(mismatches, middle);

		if (mismatch->index == index)
			return mismatch->what;
		if (mismatch->index < index)
			from = middle + 1;
		else
			to = middle;
	}
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
	values[4] = percent(bloat->base.percent, verdict->measured, &nulls[4]);
	values[5] = percent(bloat->base.low, verdict->measured, &nulls[5]);
	values[6] = percent(bloat->base.high, verdict->measured, &nulls[6]);
	nulls[7] = !verdict->measured;
	values[7] = Int64GetDatum(bloat->base.wasted);
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
