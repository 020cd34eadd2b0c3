/*
 * find_bloated_tables.c
 *		The tables of which a rewrite would win most, in bytes.
 *
 * Every table and every TOAST table of the database is measured, the largest
 * first, for as long as it could still be among those that are listed: nothing
 * wins more than its size. Each costs a sample, its lock is given back before the
 * next, and what is locked is told and not waited for.
 *
 * Memory: some bytes for each table of the database, and the rows of the result.
 */
#include "advise/table_bloat.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

typedef struct Candidate
{
	Oid			table;
	bool		toast;
	int64		bytes;
} Candidate;

typedef struct Search
{
	double		min_percent;
	int64		min_bytes;
	int			limit;
	List	   *candidates;		/* of Candidate *, the largest first */
	List	   *found;			/* of TableBloat *, those that win most first */
	List	   *skipped;		/* of TableBloat * */
	MemoryContext context;
} Search;

/* Tables with files, and their TOAST tables. */
#define TABLES \
	"SELECT c.oid, r.oid, r.oid <> c.oid FROM pg_class c JOIN pg_class r ON r.oid IN (c.oid, c.reltoastrelid) " \
	"WHERE c.relkind IN ('r', 'm') AND (c.relpersistence <> 't' OR c.relnamespace = pg_my_temp_schema())"

PG_FUNCTION_INFO_V1(dbops_find_bloated_tables);

static void take_arguments(FunctionCallInfo fcinfo, Search *search);
static void refuse(const char *what);
static void add_candidate(HeapTuple row, TupleDesc desc, void *arg);
static int	compare_candidates(const ListCell *a, const ListCell *b);
static void measure_all(Search *search);
static bool can_be_listed(const Search *search, int64 bytes);
static void measure(Search *search, const Candidate *candidate);
static TableBloat *copy(const TableBloat *bloat);
static int	compare_found(const ListCell *a, const ListCell *b);
static void put_all(ReturnSetInfo *rsinfo, List *rows);

/* find_bloated_tables(min_percent, row_limit, min_bytes) → setof record */
Datum
dbops_find_bloated_tables(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Search		search = {.context = CurrentMemoryContext};

	take_arguments(fcinfo, &search);
	InitMaterializedSRF(fcinfo, 0);
	dbops_query_each(TABLES, 0, NULL, add_candidate, &search);
	list_sort(search.candidates, compare_candidates);
	measure_all(&search);
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
		refuse("min_percent must be between 0 and 100");
	if (search->limit < 1)
		refuse("row_limit must be at least 1");
	if (search->min_bytes < 0)
		refuse("min_bytes must not be negative");
}

static void
refuse(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s", what),
			 errhint("Type for example SELECT * FROM dbops.find_bloated_tables(20, 100, 10485760);")));
}

static void
add_candidate(HeapTuple row, TupleDesc desc, void *arg)
{
	Search	   *search = arg;
	Candidate  *candidate = palloc(sizeof(Candidate));

	CHECK_FOR_INTERRUPTS();
	candidate->table = dbops_row_oid(row, desc, 1);
	candidate->toast = dbops_row_bool(row, desc, 3);
	candidate->bytes = dbops_relation_bytes(dbops_row_oid(row, desc, 2));
	if (candidate->bytes > 0 && candidate->bytes >= search->min_bytes)
		search->candidates = lappend(search->candidates, candidate);
}

static int
compare_candidates(const ListCell *a, const ListCell *b)
{
	const Candidate *one = lfirst(a);
	const Candidate *other = lfirst(b);

	if (one->bytes != other->bytes)
		return (one->bytes > other->bytes) ? -1 : 1;
	return (one->table < other->table) ? -1 : (one->table > other->table);
}

static void
measure_all(Search *search)
{
	MemoryContext per_table = AllocSetContextCreate(CurrentMemoryContext, "dbops bloat of a table",
													ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(per_table);
	ListCell   *cell;

	foreach(cell, search->candidates)
	{
		const Candidate *candidate = lfirst(cell);

		if (!can_be_listed(search, candidate->bytes))
			break;
		measure(search, candidate);
		MemoryContextReset(per_table);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(per_table);
}

/* Whether a table of this size could win as much as those that have been found. */
static bool
can_be_listed(const Search *search, int64 bytes)
{
	if (list_length(search->found) < search->limit)
		return true;
	return bytes > ((TableBloat *) llast(search->found))->wasted;
}

/* Put it among those that win most, or among those that could not be measured. */
static void
measure(Search *search, const Candidate *candidate)
{
	TableBloat	bloat;
	MemoryContext caller;

	dbops_heap_measure(candidate->table, candidate->toast, DEFAULT_SAMPLE_BLOCKS, &bloat);
	caller = MemoryContextSwitchTo(search->context);
	if (!bloat.judged)
		search->skipped = lappend(search->skipped, copy(&bloat));
	else if (bloat.percent >= search->min_percent && bloat.wasted >= search->min_bytes)
	{
		search->found = lappend(search->found, copy(&bloat));
		list_sort(search->found, compare_found);
		search->found = list_truncate(search->found, search->limit);
	}
	MemoryContextSwitchTo(caller);
}

static TableBloat *
copy(const TableBloat *bloat)
{
	TableBloat *kept = palloc(sizeof(TableBloat));

	*kept = *bloat;
	kept->method = pstrdup(bloat->method);
	kept->note = (bloat->note == NULL) ? NULL : pstrdup(bloat->note);
	return kept;
}

static int
compare_found(const ListCell *a, const ListCell *b)
{
	const TableBloat *one = lfirst(a);
	const TableBloat *other = lfirst(b);

	if (one->wasted != other->wasted)
		return (one->wasted > other->wasted) ? -1 : 1;
	return (one->relation < other->relation) ? -1 : (one->relation > other->relation);
}

static void
put_all(ReturnSetInfo *rsinfo, List *rows)
{
	ListCell   *cell;

	foreach(cell, rows)
		dbops_table_bloat_put(rsinfo, lfirst(cell));
}
