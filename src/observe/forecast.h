/*
 * forecast.h
 *		What the calls that forecast share.
 */
#ifndef DBOPS_FORECAST_H
#define DBOPS_FORECAST_H

#include "observe/observe.h"
#include "observe/trend.h"

/* ---- forecast_argument.c ---- */

extern int *dbops_forecast_horizons(FunctionCallInfo fcinfo, int number, int *n);

#endif							/* DBOPS_FORECAST_H */
