/*
 * trend_steps.c
 *		The jumps of a figure that stays where it jumped to.
 *
 * A table that was rewritten or loaded at once moves all that comes later by
 * the same amount, and would bend any line that is laid through the whole. A
 * jump counts when medians of the days before and after it differ by far more
 * than days do, and when one day made most of the difference. What jumps again
 * and again (partitions that are dropped each month) is how the figure lives,
 * and stays. What jumps there and back within days is a spike, which medians pass
 * over. The edges are undecided: a jump of yesterday can be gone tomorrow.
 */
#include "observe/trend.h"

#include <math.h>

#define SIDE	5				/* points before and after, whose medians are compared */
#define FAR		6				/* scales of a day's change that a step exceeds */
#define LEAST_SHARE	0.03		/* of the figure's level that it exceeds too */
#define AT_ONCE	0.5				/* share of the step that one day made */
#define SIMILAR	0.35			/* steps that differ by less, relative to the larger */
#define FEWEST_REPEATED	2

static double *detrend(const TrendSeries *series, double *scale);
static double shift_at(const double *rest, int i);
static bool is_step(const TrendSeries *series, const double *rest, int i, double least);
static void remember(Trend *trend, const TrendSeries *series, int i, double size);
static void forget_spikes(Trend *trend);
static bool recurs(const Trend *trend);

/* Find them; true: they recur, so that they are part of what goes on. */
bool
dbops_trend_find_steps(const TrendSeries *series, Trend *trend)
{
	double		scale;
	double	   *rest = detrend(series, &scale);
	double		level = fabs(dbops_robust_median(series->value, series->n));
	double		least = Max(FAR * scale, LEAST_SHARE * level);

	trend->n_steps = 0;
	for (int i = SIDE; i <= series->n - SIDE; i++)
		if (is_step(series, rest, i, least))
			remember(trend, series, i, shift_at(rest, i));
	pfree(rest);
	forget_spikes(trend);
	return recurs(trend);
}

/* Put what was before a step where it would be had it not happened. */
void
dbops_trend_take_steps(TrendSeries *series, const Trend *trend)
{
	for (int s = 0; s < trend->n_steps; s++)
		for (int i = 0; i < trend->steps[s].index; i++)
			series->value[i] += trend->steps[s].size;
}

/* Take the usual change of a day away; its scale is that of what remains. */
static double *
detrend(const TrendSeries *series, double *scale)
{
	int			n = series->n;
	double	   *rates = palloc(n * sizeof(double));
	double	   *rest = palloc(n * sizeof(double));
	double		usual;

	for (int i = 1; i < n; i++)
		rates[i - 1] = (series->value[i] - series->value[i - 1]) / (series->day[i] - series->day[i - 1]);
	usual = dbops_robust_median(rates, n - 1);
	*scale = dbops_robust_scale(rates, n - 1, usual);
	for (int i = 0; i < n; i++)
		rest[i] = series->value[i] - usual * (series->day[i] - series->day[0]);
	pfree(rates);
	return rest;
}

/* By how much the points from one on lie higher than those before it. */
static double
shift_at(const double *rest, int i)
{
	return dbops_robust_median(rest + i, SIDE) - dbops_robust_median(rest + i - SIDE, SIDE);
}

/* Of neighbours that qualify it is the one where the figure jumped most. */
static bool
is_step(const TrendSeries *series, const double *rest, int i, double least)
{
	double		shift = shift_at(rest, i);
	double		jump = rest[i] - rest[i - 1];

	if (fabs(shift) <= least || jump / shift < AT_ONCE)
		return false;
	for (int k = Max(1, i - SIDE + 1); k < Min(series->n, i + SIDE); k++)
		if (k != i && (rest[k] - rest[k - 1]) / jump > 1)
			return false;
	return true;
}

/* When there is no more room the smallest gives way. */
static void
remember(Trend *trend, const TrendSeries *series, int i, double size)
{
	if (trend->n_steps == TREND_STEPS)
	{
		int			smallest = 0;

		for (int s = 1; s < TREND_STEPS; s++)
			if (fabs(trend->steps[s].size) < fabs(trend->steps[smallest].size))
				smallest = s;
		if (fabs(size) <= fabs(trend->steps[smallest].size))
			return;
		memmove(&trend->steps[smallest], &trend->steps[smallest + 1],
				(TREND_STEPS - 1 - smallest) * sizeof(TrendStep));
		trend->n_steps--;
	}
	trend->steps[trend->n_steps++] = (TrendStep) {.index = i, .day = series->day[i], .size = size};
}

/* Up and down again by much the same, within as many points as are compared. */
static void
forget_spikes(Trend *trend)
{
	int			kept = 0;

	for (int s = 0; s < trend->n_steps; s++)
	{
		const TrendStep *step = &trend->steps[s];
		const TrendStep *next = (s + 1 < trend->n_steps) ? step + 1 : NULL;

		if (next != NULL && next->index - step->index <= SIDE &&
			fabs(step->size + next->size) < SIMILAR * fabs(step->size))
			s++;
		else
			trend->steps[kept++] = *step;
	}
	trend->n_steps = kept;
}

/* Two or more in one direction, of much the same size. */
static bool
recurs(const Trend *trend)
{
	for (int a = 0; a < trend->n_steps; a++)
	{
		int			similar = 1;

		for (int b = 0; b < trend->n_steps; b++)
			if (b != a && trend->steps[b].size / trend->steps[a].size > 1 - SIMILAR &&
				trend->steps[a].size / trend->steps[b].size > 1 - SIMILAR)
				similar++;
		if (similar >= FEWEST_REPEATED)
			return true;
	}
	return false;
}
