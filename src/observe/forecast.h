/*
 * forecast.h
 *		What the calls that forecast share: figures of the past, and where they
 *		are read.
 */
#ifndef DBOPS_FORECAST_H
#define DBOPS_FORECAST_H

#include "core/sequences.h"
#include "observe/metric.h"
#include "observe/trend.h"

/* ---- forecast_argument.c ---- */

extern int *dbops_forecast_horizons(FunctionCallInfo fcinfo, int number, int *n);
extern TimestampTz dbops_forecast_since(FunctionCallInfo fcinfo, int number);

/* ---- figures.c: figures with their times ---- */

typedef struct Figures
{
	int			n;
	int			most;			/* that there is room for */
	double	   *day;			/* UTC, since 2000; in order */
	double	   *value;
} Figures;

extern void dbops_figures_add(Figures *figures, TimestampTz at, double value);
extern void dbops_figures_carry(Figures *figures, TimestampTz at, double value);
extern void dbops_figures_end_at(Figures *figures, double value);
extern void dbops_figures_fit(const Figures *figures, Trend *trend);

/* ---- forecast_history.c: the past of what is forecast ---- */

/* Of one table, disk or sequence. */
typedef struct FigureSet
{
	Oid			oid;			/* of the table or sequence */
	char	   *name;			/* of the disk; else empty */
	Figures		figures;
} FigureSet;

extern void dbops_forecast_size(TimestampTz since, Figures *figures);
extern void dbops_forecast_given(TimestampTz since, ClusterMetric counter, Figures *figures);
extern List *dbops_forecast_disks(TimestampTz since);	/* of FigureSet * */
extern void dbops_forecast_disk(List *past, const Disk *disk, Trend *trend);
extern List *dbops_forecast_tables(TimestampTz since, int most);
extern List *dbops_forecast_sequences(TimestampTz since);

/* ---- growth_forecast.c and its parts ---- */

/* What is put together while the document is written. */
typedef struct Growth
{
	DbopsJson	json;
	TimestampTz since;
	List	   *advice;			/* of char * */
	double		soonest;		/* days until the first thing is full, at the earliest; NaN: nothing is */
	bool		judged;			/* some disk was */
	double		looked_ahead;	/* days, of disks */
} Growth;

extern void dbops_growth_arrival(Growth *growth, const char *key, const Trend *trend, double bound,
								 TrendArrival *arrival);
extern const char *dbops_growth_date(double days);
extern void dbops_growth_trend(Growth *growth, const Trend *trend, const char *unit);
extern void dbops_growth_disks(Growth *growth);
extern void dbops_growth_tables(Growth *growth);
extern void dbops_growth_ids(Growth *growth);
extern void dbops_growth_sequences(Growth *growth);

#endif							/* DBOPS_FORECAST_H */
