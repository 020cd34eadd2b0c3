/*
 * rollup_store.c
 *		Buckets as rows of the tiers.
 *
 * A figure stands at its metric's position, the first at 1; what is not known,
 * and what a metric of its kind does not have, is null and takes no room. Rows
 * that were written before a metric came are shorter.
 *
 * Rows are many, and written with that in mind, as the server compresses none
 * that is under 2 kB: of a gauge that stood still only the last value is written,
 * from which the others follow, and days alone, which are few and stay, have more
 * digits than a float4.
 */
#include "observe/history.h"

#include "catalog/pg_type.h"
#include "utils/array.h"

/* Arrays of a row, in the order of its columns. */
typedef enum Column
{
	COLUMN_MIN,
	COLUMN_AVERAGE,
	COLUMN_MAX,
	COLUMN_LAST,
	COLUMN_DELTA,
	N_COLUMNS
} Column;

#define FIRST_ARRAY		7		/* columns before them */

typedef struct Loading
{
	Bucket	   *bucket;
	int			tier;
	DbopsCallback each;
	void	   *arg;
} Loading;

static DbopsParam array_param(int tier, const Bucket *bucket, Column column);
static double value_of(const BucketFigure *figure, Column column);
static bool stood_still(const BucketFigure *figure);
static bool is_precise(int tier, Column column);
static void load_row(HeapTuple row, TupleDesc desc, void *arg);
static void load_array(const Loading *loading, Column column, HeapTuple row, TupleDesc desc);
static void set_value(BucketFigure *figure, Column column, double value, int n);
static void fill_in_still(BucketFigure *figure, int n);

/* Write a bucket, over what stood there. */
void
dbops_bucket_store(int tier, bool cluster, const Bucket *bucket)
{
	double		coverage = Min(1, bucket->covered / dbops_history_tiers[tier].seconds);
	DbopsParam	params[FIRST_ARRAY + N_COLUMNS] = {
		dbops_param_time(bucket->at),
		dbops_param_bool(cluster),
		dbops_param_int4(bucket->n),
		dbops_param_int4(bucket->cadence),
		{.type = FLOAT4OID,.value = Float4GetDatum(coverage)},
		{.type = FLOAT4OID,.value = Float4GetDatum(bucket->span)},
		dbops_param_bool(bucket->reset)
	};

	for (int column = 0; column < N_COLUMNS; column++)
		params[FIRST_ARRAY + column] = array_param(tier, bucket, column);
	dbops_history_begin_partition((HistoryKind) tier, bucket->at);
	dbops_store_each(psprintf("INSERT INTO dbops.%s (at, cluster, n, cadence, coverage, span, reset, mins, avgs, maxs, lasts, deltas)"
							  " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
							  " ON CONFLICT (at, cluster) DO UPDATE SET n = excluded.n, cadence = excluded.cadence,"
							  " coverage = excluded.coverage, span = excluded.span, reset = excluded.reset, mins = excluded.mins,"
							  " avgs = excluded.avgs, maxs = excluded.maxs, lasts = excluded.lasts, deltas = excluded.deltas",
							  dbops_history_tables[tier].name),
					 lengthof(params), params, NULL, NULL);
}

/* The array of a column, as far as there is something in it. */
static DbopsParam
array_param(int tier, const Bucket *bucket, Column column)
{
	bool		precise = is_precise(tier, column);
	Datum	   *values = palloc(sizeof(Datum) * bucket->n_figures);
	bool	   *nulls = palloc(sizeof(bool) * bucket->n_figures);
	int			n = 0;
	int			first = 1;

	for (int i = 0; i < bucket->n_figures; i++)
	{
		double		value = value_of(&bucket->figures[i], column);

		nulls[i] = isnan(value);
		values[i] = precise ? Float8GetDatum(value) : Float4GetDatum(value);
		if (!nulls[i])
			n = i + 1;
	}
	return (DbopsParam)
	{
		.type = precise ? FLOAT8ARRAYOID : FLOAT4ARRAYOID,
		.value = PointerGetDatum(construct_md_array(values, nulls, 1, &n, &first,
													precise ? FLOAT8OID : FLOAT4OID, precise ? 8 : 4,
													precise ? FLOAT8PASSBYVAL : true,
													precise ? TYPALIGN_DOUBLE : TYPALIGN_INT))
	};
}

static double
value_of(const BucketFigure *figure, Column column)
{
	switch (column)
	{
		case COLUMN_MIN:
			return stood_still(figure) ? NAN : figure->min;
		case COLUMN_AVERAGE:
			return stood_still(figure) ? NAN : dbops_bucket_average(figure);
		case COLUMN_MAX:
			return stood_still(figure) ? NAN : figure->max;
		case COLUMN_LAST:
			return figure->last;
		default:
			return figure->delta;
	}
}

static bool
stood_still(const BucketFigure *figure)
{
	return figure->min == figure->max && figure->max == figure->last;
}

static bool
is_precise(int tier, Column column)
{
	return tier == HISTORY_1D && (column == COLUMN_LAST || column == COLUMN_DELTA);
}

/* Read the buckets of a time, in their order, into one and the same, and call back for each. */
uint64
dbops_bucket_load(int tier, bool cluster, TimestampTz since, TimestampTz until,
				  DbopsCallback each, void *arg, Bucket *bucket)
{
	Loading		loading = {
		.bucket = bucket,.tier = tier,.each = each,.arg = arg
	};
	DbopsParam	params[] = {
		dbops_param_bool(cluster), dbops_param_time(since), dbops_param_time(until)
	};

	return dbops_store_each(psprintf("SELECT at, cluster, n, cadence, coverage, span, reset, mins, avgs, maxs, lasts, deltas"
									 " FROM dbops.%s WHERE cluster = $1 AND at >= $2 AND at < $3 ORDER BY at",
									 dbops_history_tables[tier].name),
							lengthof(params), params, load_row, &loading);
}

static void
load_row(HeapTuple row, TupleDesc desc, void *arg)
{
	Loading    *loading = arg;
	Bucket	   *bucket = loading->bucket;
	bool		isnull;

	dbops_bucket_clear(bucket, dbops_row_time(row, desc, 1));
	bucket->n = dbops_row_int4(row, desc, 3);
	bucket->cadence = dbops_row_int4(row, desc, 4);
	bucket->covered = DatumGetFloat4(heap_getattr(row, 5, desc, &isnull)) *
		(double) dbops_history_tiers[loading->tier].seconds;
	bucket->span = DatumGetFloat4(heap_getattr(row, 6, desc, &isnull));
	bucket->reset = dbops_row_bool(row, desc, 7);
	for (int column = 0; column < N_COLUMNS; column++)
		load_array(loading, column, row, desc);
	for (int i = 0; i < bucket->n_figures; i++)
		fill_in_still(&bucket->figures[i], bucket->n);
	loading->each(loading->arg);
}

static void
load_array(const Loading *loading, Column column, HeapTuple row, TupleDesc desc)
{
	Bucket	   *bucket = loading->bucket;
	bool		precise = is_precise(loading->tier, column);
	bool		isnull;
	Datum		array = heap_getattr(row, FIRST_ARRAY + column + 1, desc, &isnull);
	Datum	   *values;
	bool	   *nulls;
	int			n;

	deconstruct_array(DatumGetArrayTypeP(array), precise ? FLOAT8OID : FLOAT4OID, precise ? 8 : 4,
					  precise ? FLOAT8PASSBYVAL : true, precise ? TYPALIGN_DOUBLE : TYPALIGN_INT,
					  &values, &nulls, &n);
	for (int i = 0; i < Min(n, bucket->n_figures); i++)
		if (!nulls[i])
			set_value(&bucket->figures[i], column,
					  precise ? DatumGetFloat8(values[i]) : DatumGetFloat4(values[i]), bucket->n);
	pfree(values);
	pfree(nulls);
}

static void
set_value(BucketFigure *figure, Column column, double value, int n)
{
	switch (column)
	{
		case COLUMN_MIN:
			figure->min = value;
			break;
		case COLUMN_AVERAGE:
			figure->weight = n;
			figure->sum = value * n;
			break;
		case COLUMN_MAX:
			figure->max = value;
			break;
		case COLUMN_LAST:
			figure->last = value;
			break;
		default:
			figure->delta = value;
	}
}

static void
fill_in_still(BucketFigure *figure, int n)
{
	if (isnan(figure->last) || !isnan(figure->max))
		return;
	figure->min = figure->last;
	figure->max = figure->last;
	figure->weight = n;
	figure->sum = figure->last * n;
}
