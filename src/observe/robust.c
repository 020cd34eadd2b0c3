/*
 * robust.c
 *		Statistics that a few wrong figures do not move.
 *
 * Medians stand where means would: a temporary file of a night must not change
 * what is said of the next year. Memory is the caller's context.
 */
#include "observe/trend.h"

#include <math.h>

/* A normal deviate's standard deviation in terms of its median deviation. */
#define MEDIAN_TO_SIGMA	1.4826

/* A correlation from which on nothing could be told from any number of days. */
#define MOST_CORRELATION	0.9

/* What part of a slope's order statistics one standard error is taken from. */
#define SLOPE_DEVIATES	1.645

static int	compare(const void *a, const void *b);
static double sorted_quantile(const double *sorted, int n, double share);
static int	pair_slopes(const double *days, const double *values, int n, double *slopes);

/* The value below which a share of the values lies. */
double
dbops_robust_quantile(const double *values, int n, double share)
{
	double	   *sorted = palloc(n * sizeof(double));
	double		quantile;

	memcpy(sorted, values, n * sizeof(double));
	qsort(sorted, n, sizeof(double), compare);
	quantile = sorted_quantile(sorted, n, share);
	pfree(sorted);
	return quantile;
}

double
dbops_robust_median(const double *values, int n)
{
	return dbops_robust_quantile(values, n, 0.5);
}

/* How far values lie from a centre, as a standard deviation. */
double
dbops_robust_scale(const double *values, int n, double centre)
{
	double	   *deviations = palloc(n * sizeof(double));
	double		scale;

	for (int i = 0; i < n; i++)
		deviations[i] = fabs(values[i] - centre);
	scale = MEDIAN_TO_SIGMA * dbops_robust_median(deviations, n);
	pfree(deviations);
	return scale;
}

/*
 * How much a value says of the next, from 0: deviations beyond three scales
 * count as three. Few values understate it, and that is made good (Kendall 1954).
 */
double
dbops_robust_autocorrelation(const double *values, int n)
{
	double		centre = dbops_robust_median(values, n);
	double		bound = 3 * dbops_robust_scale(values, n, centre);
	double		products = 0;
	double		squares = 0;
	double		before = 0;

	for (int i = 0; i < n; i++)
	{
		double		deviation = Min(Max(values[i] - centre, -bound), bound);

		products += deviation * before;
		squares += deviation * deviation;
		before = deviation;
	}
	if (squares <= 0 || n < 6 || products <= 0)
		return 0;
	return Min((products / squares * n + 1) / (n - 3), MOST_CORRELATION);
}

/*
 * The median of the slopes between any two points (Theil and Sen), and its
 * standard error from the order statistics that Kendall's variance names (Sen
 * 1968). The error is widened where values hang together: inflation is the
 * factor by which that multiplies a standard error.
 */
void
dbops_robust_slope(const double *days, const double *values, int n,
				   double inflation, double *slope, double *error)
{
	double	   *slopes = palloc(Max(n * (n - 1) / 2, 1) * sizeof(double));
	int			pairs = pair_slopes(days, values, n, slopes);
	double		sigma = sqrt(n * (n - 1.0) * (2.0 * n + 5) / 18);
	double		share = Min(SLOPE_DEVIATES * sigma / Max(pairs, 1) / 2, 0.5);

	*slope = *error = 0;
	if (pairs > 0)
	{
		qsort(slopes, pairs, sizeof(double), compare);
		*slope = sorted_quantile(slopes, pairs, 0.5);
		*error = inflation * (sorted_quantile(slopes, pairs, 0.5 + share) -
							  sorted_quantile(slopes, pairs, 0.5 - share)) / (2 * SLOPE_DEVIATES);
	}
	pfree(slopes);
}

/* The slope of each pair of points of different days; returns how many there are. */
static int
pair_slopes(const double *days, const double *values, int n, double *slopes)
{
	int			pairs = 0;

	for (int i = 0; i < n; i++)
		for (int j = i + 1; j < n; j++)
			if (days[j] > days[i])
				slopes[pairs++] = (values[j] - values[i]) / (days[j] - days[i]);
	return pairs;
}

/* Between two values it is as far as the share says. */
static double
sorted_quantile(const double *sorted, int n, double share)
{
	double		position = share * (n - 1);
	int			below = Min(Max((int) floor(position), 0), n - 1);
	int			above = Min(below + 1, n - 1);

	return sorted[below] + (position - below) * (sorted[above] - sorted[below]);
}

static int
compare(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}
