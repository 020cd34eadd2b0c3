/*
 * trend.h
 *		Where a figure of each day is going, and how sure that is.
 *
 * Arithmetic over arrays and nothing else: who reads the figures is told apart
 * from what becomes of them. Times are days, of any beginning; values are of
 * any unit. What is not known is NaN, never 0 and never infinite.
 */
#ifndef DBOPS_TREND_H
#define DBOPS_TREND_H

#include "postgres.h"

#define TREND_FEWEST	7		/* days with a figure; with fewer nothing is said */
#define TREND_MOST		128		/* points that are looked at; a longer past is told by fewer a day */
#define TREND_STEPS		16		/* that are remembered, the largest */
#define TREND_COVERAGE	80		/* percent of what came that lay within the range, measured */
#define TREND_REACH		4		/* times the days of the past: what lies beyond is extrapolated */
#define TREND_FURTHEST	3650	/* days ahead, at most */

typedef enum TrendModel
{
	TREND_UNKNOWN,				/* there are too few days */
	TREND_FLAT,					/* it neither grows nor shrinks, as far as can be told */
	TREND_STEADY,				/* at one rate all the time */
	TREND_RECENT,				/* at another rate than earlier, since a day */
	TREND_CYCLE					/* up and down again and again, with or without growth */
} TrendModel;

/* The figure jumped and stayed there. */
typedef struct TrendStep
{
	int			index;			/* the first point after it */
	double		day;
	double		size;			/* below 0: down */
} TrendStep;

/* One figure a day, in the order of days. */
typedef struct TrendSeries
{
	int			n;
	double		day[TREND_MOST];
	double		value[TREND_MOST];
} TrendSeries;

typedef struct Trend
{
	TrendModel	model;
	int			n;				/* days with a figure */
	double		span;			/* days from the first to the last */
	double		last;			/* the last day */
	double		current;		/* the newest figure */
	double		least;			/* of all figures */

	double		slope;			/* a day; of the line, which is what is forecast */
	double		slope_error;	/* a standard error of it */
	double		level;			/* of the line on the last day */
	double		noise;			/* scale of the figures around the line */
	double		below;			/* how far figures lie under the line: a tenth lies further */
	double		above;			/* the same over it */
	double		since;			/* the day from which on the line holds */

	double		acceleration;	/* of the rate, a day; 0: not told from chance */
	double		wander;			/* of a day, of a figure that does not come back to a line */
	double		scale;			/* the usual size of the figures */
	double		undecided;		/* how far the newest lies off, a spike or a step; 0: it does not */
	double		surprise;		/* how far such lines were off before, in terms of what was expected */

	int			n_steps;		/* the earliest first */
	TrendStep	steps[TREND_STEPS];
} Trend;

typedef struct TrendForecast
{
	double		value;
	double		low;
	double		high;
	bool		extrapolated;	/* further ahead than the past allows */
} TrendForecast;

/* Days from the last one until a bound is reached; NaN: it is not, as far as can be seen. */
typedef struct TrendArrival
{
	double		low;			/* at the earliest */
	double		likely;
	double		high;			/* at the latest */
} TrendArrival;

/* trend.c */
extern void dbops_trend_fit(const double *days, const double *values, int n, Trend *trend);
extern void dbops_trend_line(const double *days, const double *values, int n, Trend *trend);
extern const char *dbops_trend_model_name(TrendModel model);
extern const char *dbops_trend_confidence(const Trend *trend);

/* trend_range.c */
extern void dbops_trend_learn(const double *days, const double *values, int n, Trend *trend);
extern void dbops_trend_forecast(const Trend *trend, double ahead, TrendForecast *forecast);
extern void dbops_trend_arrival(const Trend *trend, double bound, TrendArrival *arrival);
extern double dbops_trend_furthest(const Trend *trend);

/* trend_steps.c */
extern bool dbops_trend_find_steps(const TrendSeries *series, Trend *trend);
extern void dbops_trend_take_steps(TrendSeries *series, const Trend *trend);

/* trend_rate.c */
extern int	dbops_trend_first_of_rate(const TrendSeries *series);

/* robust.c: statistics that a few wrong figures do not move */
extern double dbops_robust_quantile(const double *values, int n, double share);
extern double dbops_robust_median(const double *values, int n);
extern double dbops_robust_scale(const double *values, int n, double centre);
extern double dbops_robust_autocorrelation(const double *values, int n);
extern void dbops_robust_slope(const double *days, const double *values, int n,
							   double inflation, double *slope, double *error);

#endif							/* DBOPS_TREND_H */
