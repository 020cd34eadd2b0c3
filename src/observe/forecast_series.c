/*
 * forecast_series.c
 *		forecast_series(): the forecast of any figures that a caller has.
 *
 * It is what growth_forecast() says of its own history, for a user's series: of
 * rows, orders or files. It reads nothing but its arguments.
 */
#include "observe/forecast.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"

#define MOST_VALUES		100000
#define LARGEST_VALUE	1e100	/* of what is larger no squares and sums could be told */
#define N_COLUMNS		9

PG_FUNCTION_INFO_V1(dbops_forecast_series);

typedef struct Pair
{
	TimestampTz at;
	double		value;
} Pair;

static void take_figures(ArrayType *times, ArrayType *values, Figures *figures);
static Pair *take_pairs(ArrayType *times, ArrayType *values, int *n);
static void require_one_dimension(const ArrayType *array, const char *name);
static int	compare_pairs(const void *a, const void *b);
static void put_row(ReturnSetInfo *rsinfo, const Trend *trend, int horizon);

/* forecast_series(times timestamptz[], series float8[], horizons int[]) → setof record */
Datum
dbops_forecast_series(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	int			n_horizons;
	int		   *horizons;
	Figures		figures = {0};
	Trend		trend;

	dbops_require_argument(fcinfo, 0, "times");
	dbops_require_argument(fcinfo, 1, "series");
	horizons = dbops_forecast_horizons(fcinfo, 2, &n_horizons);
	take_figures(PG_GETARG_ARRAYTYPE_P(0), PG_GETARG_ARRAYTYPE_P(1), &figures);
	dbops_figures_fit(&figures, &trend);
	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < n_horizons; i++)
		put_row(rsinfo, &trend, horizons[i]);
	return (Datum) 0;
}

/* What is known of both arrays, in the order of time. */
static void
take_figures(ArrayType *times, ArrayType *values, Figures *figures)
{
	int			n;
	Pair	   *pairs = take_pairs(times, values, &n);

	qsort(pairs, n, sizeof(Pair), compare_pairs);
	for (int i = 0; i < n; i++)
		dbops_figures_add(figures, pairs[i].at, pairs[i].value);
	pfree(pairs);
}

/* The pairs of which both are known. */
static Pair *
take_pairs(ArrayType *times, ArrayType *values, int *n)
{
	Datum	   *time;
	Datum	   *value;
	bool	   *no_time;
	bool	   *no_value;
	int			n_times;
	int			n_values;
	Pair	   *pairs;

	require_one_dimension(times, "times");
	require_one_dimension(values, "series");
	deconstruct_array(times, TIMESTAMPTZOID, sizeof(TimestampTz), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &time, &no_time, &n_times);
	deconstruct_array(values, FLOAT8OID, sizeof(float8), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &value, &no_value, &n_values);
	if (n_times != n_values)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("there are %d times and %d values", n_times, n_values),
				 errhint("Give one value for each time, such as array_agg(at ORDER BY at), array_agg(value ORDER BY at).")));
	pairs = palloc(Max(n_times, 1) * sizeof(Pair));
	*n = 0;
	for (int i = 0; i < n_times; i++)
	{
		TimestampTz at = no_time[i] ? 0 : DatumGetTimestampTz(time[i]);
		double		known = no_value[i] ? NAN : DatumGetFloat8(value[i]);

		if (isinf(known) || (!no_time[i] && TIMESTAMP_NOT_FINITE(at)))
			ereport(ERROR,
					(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					 errmsg("times and values must be finite"),
					 errhint("Give null for what is not known.")));
		if (fabs(known) > LARGEST_VALUE)
			ereport(ERROR,
					(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					 errmsg("a value of %g is beyond %g", known, LARGEST_VALUE),
					 errhint("Give values in a larger unit.")));
		if (!no_time[i] && !isnan(known))
			pairs[(*n)++] = (Pair) {.at = at,.value = known};
	}
	return pairs;
}

static void
require_one_dimension(const ArrayType *array, const char *name)
{
	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("%s must have one dimension", name),
				 errhint("Such as array_agg(at ORDER BY at), array_agg(value ORDER BY at).")));
	if (ARR_NDIM(array) == 1 && ARR_DIMS(array)[0] > MOST_VALUES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("%s has more than %d elements", name, MOST_VALUES),
				 errhint("Give one value a day.")));
}

/* Of one time the smaller value comes first, so that the order of the arguments says nothing. */
static int
compare_pairs(const void *a, const void *b)
{
	const Pair *x = a;
	const Pair *y = b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	return (x->value > y->value) - (x->value < y->value);
}

static void
put_row(ReturnSetInfo *rsinfo, const Trend *trend, int horizon)
{
	Datum		values[N_COLUMNS] = {0};
	bool		nulls[N_COLUMNS] = {0};
	TrendForecast forecast;
	int			column = 0;

	values[column++] = Int32GetDatum(horizon);
	if (trend->model != TREND_UNKNOWN)
	{
		dbops_trend_forecast(trend, horizon, &forecast);
		values[column++] = Float8GetDatum(forecast.value);
		values[column++] = Float8GetDatum(forecast.low);
		values[column++] = Float8GetDatum(forecast.high);
		values[column++] = BoolGetDatum(forecast.extrapolated);
		values[column++] = Float8GetDatum(trend->slope);
	}
	else
		while (column < 6)
			nulls[column++] = true;
	values[column++] = CStringGetTextDatum(dbops_trend_model_name(trend->model));
	values[column++] = CStringGetTextDatum(dbops_trend_confidence(trend));
	values[column++] = Int32GetDatum(trend->n);
	Assert(column == N_COLUMNS);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}
