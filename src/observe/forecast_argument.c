/*
 * forecast_argument.c
 *		Arguments of the calls that forecast.
 */
#include "observe/forecast.h"

#include "catalog/pg_type.h"

#define MOST_HORIZONS	20
#define SHORTEST_PAST	7		/* days */
#define LONGEST_PAST	3650

/* Days ahead, in the order given. */
int *
dbops_forecast_horizons(FunctionCallInfo fcinfo, int number, int *n)
{
	ArrayType  *array;
	int		   *horizons;

	dbops_require_argument(fcinfo, number, "horizons");
	array = PG_GETARG_ARRAYTYPE_P(number);
	if (ARR_NDIM(array) != 1 || array_contains_nulls(array) || ARR_DIMS(array)[0] > MOST_HORIZONS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("horizons must be 1 to %d days ahead, none of them null", MOST_HORIZONS),
				 errhint("Such as '{30,90,180,365}'.")));
	*n = ARR_DIMS(array)[0];
	horizons = (int *) ARR_DATA_PTR(array);
	for (int i = 0; i < *n; i++)
		if (horizons[i] < 1 || horizons[i] > TREND_FURTHEST)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("a horizon of %d days is not between 1 and %d", horizons[i], TREND_FURTHEST),
					 errhint("Such as '{30,90,180,365}'.")));
	return horizons;
}

/* The past that is looked at, told by how long it is; returns when it begins. */
TimestampTz
dbops_forecast_since(FunctionCallInfo fcinfo, int number)
{
	int64		ms;

	dbops_require_argument(fcinfo, number, "lookback");
	ms = dbops_interval_ms(PG_GETARG_INTERVAL_P(number));
	if (ms < (int64) SHORTEST_PAST * SECS_PER_DAY * 1000 || ms > (int64) LONGEST_PAST * SECS_PER_DAY * 1000)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("lookback must be between %d and %d days", SHORTEST_PAST, LONGEST_PAST),
				 errhint("Such as '90 days'.")));
	return dbops_clock_now() - ms * 1000;
}
