/*
 * trend.c
 *		A line through the figures of the past that holds from now on.
 *
 * A figure of a database does not grow along one line: tables are rewritten and
 * loaded, rates change, temporary files come and go, partitions are dropped each
 * month. Least squares, and robust slopes too, follow a jump for months. So
 * steps are found first and taken out (trend_steps.c); then the day is found
 * since when the rate is what it is; then the slope is the median of the slopes
 * between any two days since. What recurs is not taken out: its middle is what
 * the line is laid through. A slope that cannot be told from none is none.
 */
#include "observe/trend.h"

#include <math.h>

#define ANCHOR_DAYS		14		/* of which the median says where the line stands */
#define TOLD_FROM_NONE	1.96	/* standard errors of a slope */
#define TENTH			0.1
#define HANGS_TOGETHER	0.5		/* an autocorrelation from which on figures may not come back to a line */
#define FAR				4		/* scales of noise that the newest figure is away from the line */
#define LEAST_SHARE		0.03	/* of the figures' level that it is away too */

static void take_days(const double *days, const double *values, int n, TrendSeries *series, Trend *trend);
static void put_point(TrendSeries *series, double day, const double *values, int n);
static void lay_line(const TrendSeries *series, int first, Trend *trend);
static double daily_change(const double *rest, int n);
static double acceleration(const TrendSeries *series);
static void measure_rest(const TrendSeries *series, int first, Trend *trend);

/*
 * Lay a line through figures in the order of time; several of a day count as
 * their median. With fewer than TREND_FEWEST days the model is TREND_UNKNOWN
 * and nothing else is told than how many there are.
 */
void
dbops_trend_fit(const double *days, const double *values, int n, Trend *trend)
{
	dbops_trend_line(days, values, n, trend);
	if (trend->model != TREND_UNKNOWN)
		dbops_trend_learn(days, values, n, trend);
}

/* The same without a look at how well such lines did before. */
void
dbops_trend_line(const double *days, const double *values, int n, Trend *trend)
{
	TrendSeries *series = palloc(sizeof(TrendSeries));
	int			first = 0;

	memset(trend, 0, sizeof(Trend));
	trend->surprise = 1;
	take_days(days, values, n, series, trend);
	if (trend->n >= TREND_FEWEST)
	{
		trend->current = values[n - 1];
		if (dbops_trend_find_steps(series, trend))
			trend->model = TREND_CYCLE;
		else
		{
			dbops_trend_take_steps(series, trend);
			first = dbops_trend_first_of_rate(series);
			trend->model = (first > 0) ? TREND_RECENT : TREND_STEADY;
		}
		lay_line(series, first, trend);
		trend->acceleration = acceleration(series);
		measure_rest(series, first, trend);
	}
	pfree(series);
}

const char *
dbops_trend_model_name(TrendModel model)
{
	static const char *const names[] = {"unknown", "flat", "steady", "recent", "cycle"};

	return names[model];
}

/* How much past there is to judge by, in a word. */
const char *
dbops_trend_confidence(const Trend *trend)
{
	return trend->n < 14 ? "low" : trend->n < 30 ? "medium" : "high";
}

/* One point a day, or of several days when there are more than TREND_MOST. */
static void
take_days(const double *days, const double *values, int n, TrendSeries *series, Trend *trend)
{
	double		each = 1;
	int			start = 0;

	series->n = 0;
	if (n == 0)
		return;
	trend->least = values[0];
	trend->last = floor(days[n - 1]);
	trend->span = trend->last - floor(days[0]);
	each = ceil((trend->span + 1) / TREND_MOST);
	for (int i = 0; i < n; i++)
	{
		double		day = floor(days[i]);

		trend->least = Min(trend->least, values[i]);
		if (i + 1 == n || floor(days[i + 1]) != day)
			trend->n++;
		/* whole groups are counted from the end, so that the last one is full */
		if (i + 1 == n || floor((trend->last - floor(days[i + 1])) / each) != floor((trend->last - day) / each))
		{
			put_point(series, trend->last - floor((trend->last - day) / each) * each - (each - 1) / 2,
					  values + start, i + 1 - start);
			start = i + 1;
		}
	}
}

static void
put_point(TrendSeries *series, double day, const double *values, int n)
{
	series->day[series->n] = day;
	series->value[series->n++] = dbops_robust_median(values, n);
}

/* The slope since a point, and where the line stands on the last day. */
static void
lay_line(const TrendSeries *series, int first, Trend *trend)
{
	const double *day = series->day + first;
	const double *value = series->value + first;
	int			n = series->n - first;
	double	   *rest = palloc(n * sizeof(double));
	int			anchor = 0;
	double		correlation;

	dbops_robust_slope(day, value, n, 1, &trend->slope, &trend->slope_error);
	for (int i = 0; i < n; i++)
		rest[i] = value[i] - trend->slope * (day[i] - trend->last);
	correlation = dbops_robust_autocorrelation(rest, n);
	trend->slope_error *= sqrt((1 + correlation) / (1 - correlation));
	if (fabs(trend->slope) <= TOLD_FROM_NONE * trend->slope_error || trend->slope == 0)
	{
		trend->slope = 0;
		memcpy(rest, value, n * sizeof(double));
		if (trend->model != TREND_CYCLE)
			trend->model = TREND_FLAT;
	}
	if (trend->model != TREND_CYCLE)
		while (anchor < n - 3 && day[anchor] <= trend->last - ANCHOR_DAYS)
			anchor++;
	trend->level = dbops_robust_median(rest + anchor, n - anchor);
	trend->since = day[0];
	pfree(rest);
}

/* By how much the rate of the later half exceeds that of the earlier, a day; 0: that may be chance. */
static double
acceleration(const TrendSeries *series)
{
	int			half = series->n / 2;
	double		span = series->day[series->n - 1] - series->day[0];
	double		early;
	double		late;
	double		early_error;
	double		late_error;

	dbops_robust_slope(series->day, series->value, half, 1, &early, &early_error);
	dbops_robust_slope(series->day + half, series->value + half, series->n - half, 1, &late, &late_error);
	if (fabs(late - early) < TOLD_FROM_NONE * hypot(early_error, late_error))
		return 0;
	return (late - early) / (span / 2);
}

/* The scale of what changes from one point to the next. */
static double
daily_change(const double *rest, int n)
{
	double	   *changes = palloc(n * sizeof(double));
	double		scale;

	for (int i = 1; i < n; i++)
		changes[i - 1] = rest[i] - rest[i - 1];
	scale = dbops_robust_scale(changes, n - 1, 0);
	pfree(changes);
	return scale;
}

/* How figures lie around the line. */
static void
measure_rest(const TrendSeries *series, int first, Trend *trend)
{
	int			n = series->n - first;
	double	   *rest = palloc(n * sizeof(double));

	for (int i = 0; i < n; i++)
		rest[i] = series->value[first + i] - trend->level - trend->slope * (series->day[first + i] - trend->last);
	trend->noise = dbops_robust_scale(rest, n, 0);
	trend->scale = fabs(dbops_robust_median(series->value, series->n));
	if (fabs(rest[n - 1]) > Max(FAR * trend->noise, LEAST_SHARE * trend->scale))
		trend->undecided = rest[n - 1];
	trend->wander = daily_change(rest, n) * sqrt(Max(dbops_robust_autocorrelation(rest, n) - HANGS_TOGETHER, 0) / (1 - HANGS_TOGETHER));
	trend->below = Max(-dbops_robust_quantile(rest, n, TENTH), 0);
	trend->above = Max(dbops_robust_quantile(rest, n, 1 - TENTH), 0);
	pfree(rest);
}
