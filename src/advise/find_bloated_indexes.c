/*
 * find_bloated_indexes.c
 *		The indexes of which a rebuild would win most, in bytes.
 *
 * Every btree of the database is measured, the largest first, for as long as it
 * could still be among those that are listed: an index cannot win more than its
 * size. So the small ones, which are many, are not read where there are enough
 * large ones. Each costs a sample, its locks are given back before the next, and
 * what is locked is told and not waited for.
 *
 * Where the server and the transaction allow it the best of each index is
 * remembered on the way (core/index_best.c).
 *
 * Memory: some bytes for each index of the database, and the rows of the result.
 */
#include "advise/advise.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

typedef struct Candidate
{
	Oid			index;
	int64		bytes;
} Candidate;

typedef struct Search
{
	double		min_percent;
	int64		min_bytes;
	int			limit;
	List	   *candidates;		/* of Candidate *, the largest first */
	List	   *found;			/* of IndexBloat *, those that win most first */
	List	   *skipped;		/* of IndexBloat * */
	MemoryContext context;
	bool		records;
} Search;

/* The indexes that can be read, the relation's length as it was last counted in case its file is not known by name. */
#define BTREES \
	"SELECT c.oid, c.relpages::int8 * current_setting('block_size')::int8 FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid " \
	"WHERE c.relkind = 'i' AND c.relam = 403 AND i.indisready " \
	"AND (c.relpersistence <> 't' OR c.relnamespace = pg_my_temp_schema())"

PG_FUNCTION_INFO_V1(dbops_find_bloated_indexes);

static void take_arguments(FunctionCallInfo fcinfo, Search *search);
static void add_candidate(HeapTuple row, TupleDesc desc, void *arg);
static int	compare_candidates(const ListCell *a, const ListCell *b);
static void measure_all(Search *search);
static bool can_be_listed(const Search *search, int64 bytes);
static void measure(Search *search, Oid index);
static void keep(Search *search, const IndexBloat *bloat);
static IndexBloat *copy(const Search *search, const IndexBloat *bloat);
static int	compare_found(const ListCell *a, const ListCell *b);
static void put_all(ReturnSetInfo *rsinfo, List *rows);

/* find_bloated_indexes(min_percent, row_limit, min_bytes) → setof record */
Datum
dbops_find_bloated_indexes(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Search		search = {.context = CurrentMemoryContext};

	take_arguments(fcinfo, &search);
	InitMaterializedSRF(fcinfo, 0);
	dbops_query_each(BTREES, 0, NULL, add_candidate, &search);
	list_sort(search.candidates, compare_candidates);
	search.records = dbops_index_best_open();
	measure_all(&search);
	if (search.records)
		dbops_index_best_prune();
	put_all(rsinfo, search.found);
	put_all(rsinfo, search.skipped);
	return (Datum) 0;
}

static void
take_arguments(FunctionCallInfo fcinfo, Search *search)
{
	dbops_require_argument(fcinfo, 0, "min_percent");
	dbops_require_argument(fcinfo, 1, "row_limit");
	dbops_require_argument(fcinfo, 2, "min_bytes");
	search->min_percent = DatumGetFloat8(DirectFunctionCall1(numeric_float8, PG_GETARG_DATUM(0)));
	search->limit = PG_GETARG_INT32(1);
	search->min_bytes = PG_GETARG_INT64(2);
	if (!(search->min_percent >= 0 && search->min_percent <= 100))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("min_percent must be between 0 and 100")));
	if (search->limit < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("row_limit must be at least 1")));
	if (search->min_bytes < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("min_bytes must not be negative")));
}

static void
add_candidate(HeapTuple row, TupleDesc desc, void *arg)
{
	Search	   *search = arg;
	Candidate  *candidate = palloc(sizeof(Candidate));

	CHECK_FOR_INTERRUPTS();
	candidate->index = dbops_row_oid(row, desc, 1);
	candidate->bytes = dbops_relation_bytes(candidate->index);
	if (candidate->bytes == 0)
		candidate->bytes = dbops_row_int8(row, desc, 2);
	if (candidate->bytes >= search->min_bytes)
		search->candidates = lappend(search->candidates, candidate);
}

static int
compare_candidates(const ListCell *a, const ListCell *b)
{
	const Candidate *one = lfirst(a);
	const Candidate *other = lfirst(b);

	if (one->bytes != other->bytes)
		return (one->bytes > other->bytes) ? -1 : 1;
	return (one->index < other->index) ? -1 : (one->index > other->index);
}

static void
measure_all(Search *search)
{
	MemoryContext per_index = AllocSetContextCreate(CurrentMemoryContext, "dbops bloat of an index",
													ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(per_index);
	ListCell   *cell;

	foreach(cell, search->candidates)
	{
		Candidate  *candidate = lfirst(cell);

		if (!can_be_listed(search, candidate->bytes))
			break;
		measure(search, candidate->index);
		MemoryContextReset(per_index);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(per_index);
}

/* Whether an index of this size could win as much as those that have been found. */
static bool
can_be_listed(const Search *search, int64 bytes)
{
	if (list_length(search->found) < search->limit)
		return true;
	return bytes > ((IndexBloat *) llast(search->found))->wasted;
}

static void
measure(Search *search, Oid index)
{
	IndexBloat	bloat;

	dbops_index_measure(index, DEFAULT_SAMPLE_BLOCKS, &bloat);
	if (search->records)
		dbops_index_best_record(&bloat);
	if (bloat.skipped != NULL || !bloat.judged)
	{
		MemoryContext caller = MemoryContextSwitchTo(search->context);

		search->skipped = lappend(search->skipped, copy(search, &bloat));
		MemoryContextSwitchTo(caller);
	}
	else if (bloat.percent >= search->min_percent && bloat.wasted >= search->min_bytes)
		keep(search, &bloat);
}

/* Put it among those that win most. */
static void
keep(Search *search, const IndexBloat *bloat)
{
	MemoryContext caller = MemoryContextSwitchTo(search->context);

	search->found = lappend(search->found, copy(search, bloat));
	list_sort(search->found, compare_found);
	search->found = list_truncate(search->found, search->limit);
	MemoryContextSwitchTo(caller);
}

static IndexBloat *
copy(const Search *search, const IndexBloat *bloat)
{
	IndexBloat *kept = MemoryContextAlloc(search->context, sizeof(IndexBloat));

	*kept = *bloat;
	kept->method = MemoryContextStrdup(search->context, bloat->method);
	if (bloat->note != NULL)
		kept->note = MemoryContextStrdup(search->context, bloat->note);
	return kept;
}

static int
compare_found(const ListCell *a, const ListCell *b)
{
	const IndexBloat *one = lfirst(a);
	const IndexBloat *other = lfirst(b);

	if (one->wasted != other->wasted)
		return (one->wasted > other->wasted) ? -1 : 1;
	return (one->index < other->index) ? -1 : (one->index > other->index);
}

static void
put_all(ReturnSetInfo *rsinfo, List *rows)
{
	ListCell   *cell;

	foreach(cell, rows)
		dbops_index_bloat_put(rsinfo, lfirst(cell));
}
