/*
 * trend_rate.c
 *		Since when does a figure grow at the rate at which it grows now?
 *
 * A line with one bend is laid at each day through the running median, by least
 * squares; the best of them counts if it explains far more than chance would.
 * What lies far from it is drawn near before that is judged, and the more days
 * hang together, the less each of them tells.
 */
#include "observe/trend.h"

#include <math.h>

#define SHORTEST_PART	10		/* points that a rate of its own needs */
#define SMOOTHED		7		/* points of the running median */
#define CLEAR_BREAK		25.0	/* F of a bend, against that of chance */
#define MOST_BREAKS		3
#define LEAST_CHANGE	0.1		/* of the rate, relative to the larger one: less is not worth a shorter past */

/* A bent line, by least squares: from a day on it has another slope. */
typedef struct Bent
{
	double		day;			/* of the bend */
	double		level;			/* there */
	double		slope;			/* before it */
	double		change;			/* of the slope, after it */
	double		error;			/* sum of squares around it */
} Bent;

static int	find_break(const double *day, const double *value, int n);
static double *smooth(const double *values, int n);
static double bend(const double *day, const double *value, int n, double at, Bent *bent);
static double bent_at(const Bent *bent, double day);
static bool is_clear(const double *day, const double *value, int n, const Bent *bent);
static double straight_error(const double *day, const double *value, int n);

/* The first point since when the rate is what it is at the end. */
int
dbops_trend_first_of_rate(const TrendSeries *series)
{
	int			first = 0;

	for (int breaks = 0; breaks < MOST_BREAKS; breaks++)
	{
		int			at = find_break(series->day + first, series->value + first, series->n - first);

		if (at == 0)
			break;
		first += at;
	}
	return first;
}

/* Where the rate changed most clearly; 0: it did not, as far as can be told. The edges could be spikes. */
static int
find_break(const double *day, const double *value, int n)
{
	double	   *smoothed = smooth(value, n);
	int			edge = SMOOTHED / 2;
	Bent		best = {.error = INFINITY};
	int			at = 0;

	for (int i = SHORTEST_PART; i <= n - SHORTEST_PART; i++)
	{
		Bent		bent;

		if (bend(day + edge, smoothed + edge, n - 2 * edge, day[i], &bent) < best.error)
		{
			best = bent;
			at = i;
		}
	}
	if (at > 0 && !is_clear(day, value, n, &best))
		at = 0;
	pfree(smoothed);
	return at;
}

/* A running median, narrower towards the ends. */
static double *
smooth(const double *values, int n)
{
	double	   *smoothed = palloc(n * sizeof(double));

	for (int i = 0; i < n; i++)
	{
		int			side = Min(SMOOTHED / 2, Min(i, n - 1 - i));

		smoothed[i] = dbops_robust_median(values + i - side, 2 * side + 1);
	}
	return smoothed;
}

/* Lay a line with a bend at a day through points; returns the sum of squares around it. */
static double
bend(const double *day, const double *value, int n, double at, Bent *bent)
{
	double		sums[3][4] = {{0}};

	for (int i = 0; i < n; i++)
	{
		double		terms[4] = {1, day[i] - at, Max(day[i] - at, 0), value[i] - value[0]};

		for (int row = 0; row < 3; row++)
			for (int column = 0; column < 4; column++)
				sums[row][column] += terms[row] * terms[column];
	}
	for (int pivot = 0; pivot < 3; pivot++)
		for (int row = 0; row < 3; row++)
		{
			double		share = sums[row][pivot] / sums[pivot][pivot];

			for (int column = pivot; row != pivot && column < 4; column++)
				sums[row][column] -= share * sums[pivot][column];
		}
	bent->day = at;
	bent->level = value[0] + sums[0][3] / sums[0][0];
	bent->slope = sums[1][3] / sums[1][1];
	bent->change = sums[2][3] / sums[2][2];
	bent->error = 0;
	for (int i = 0; i < n; i++)
		bent->error += (value[i] - bent_at(bent, day[i])) * (value[i] - bent_at(bent, day[i]));
	return bent->error;
}

static double
bent_at(const Bent *bent, double day)
{
	return bent->level + bent->slope * (day - bent->day) + bent->change * Max(day - bent->day, 0);
}

/* The sum of squares around a straight line. */
static double
straight_error(const double *day, const double *value, int n)
{
	double		t = 0, v = 0, tt = 0, tv = 0, vv = 0;

	for (int i = 0; i < n; i++)
	{
		t += day[i] / n;
		v += value[i] / n;
	}
	for (int i = 0; i < n; i++)
	{
		tt += (day[i] - t) * (day[i] - t);
		tv += (day[i] - t) * (value[i] - v);
		vv += (value[i] - v) * (value[i] - v);
	}
	return vv - tv * tv / tt;
}

/* Does the bend explain more than chance would, with what lies far away drawn near? */
static bool
is_clear(const double *day, const double *value, int n, const Bent *bent)
{
	double	   *rest = palloc(n * sizeof(double));
	double	   *drawn = palloc(n * sizeof(double));
	double		centre;
	double		bound;
	double		correlation;
	double		error = 0;
	double		straight;

	for (int i = 0; i < n; i++)
		rest[i] = value[i] - bent_at(bent, day[i]);
	centre = dbops_robust_median(rest, n);
	bound = 3 * dbops_robust_scale(rest, n, centre);
	correlation = dbops_robust_autocorrelation(rest, n);
	for (int i = 0; i < n; i++)
	{
		rest[i] = Min(Max(rest[i], centre - bound), centre + bound);
		drawn[i] = bent_at(bent, day[i]) + rest[i];
		error += rest[i] * rest[i];
	}
	straight = straight_error(day, drawn, n);
	pfree(rest);
	pfree(drawn);
	return (straight - error) / 2 * (n - 4) * (1 - correlation) / (1 + correlation) > CLEAR_BREAK * error &&
		fabs(bent->change) > LEAST_CHANGE * Max(fabs(bent->slope), fabs(bent->slope + bent->change));
}
