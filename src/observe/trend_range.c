/*
 * trend_range.c
 *		What a line says of days to come, with a range.
 *
 * That figures lie around a line tells little of how far the line will be off:
 * rates change, and there will be steps. So the range has a part for each: the
 * figures' own scatter, the error of the slope, a change of the rate, steps as
 * often and as large as there were. How much of it all a series needs is learnt
 * from itself: lines through shorter pasts are held against what came.
 *
 * The weights were set with random series and then measured with others; the
 * benchmark forecast tells both (test/bench/forecast.sh).
 */
#include "observe/trend.h"

#include <math.h>

#define DEVIATES		1.2816	/* of a normal distribution, below which nine tenths lie */
#define RATE_CHANGE		0.5		/* of a rate, that a quarter changes it by, as a standard deviation */
#define QUARTER			90.0	/* days */
#define STEPS_BEFORE	0.2		/* steps that are taken to have been in a quarter before the past */
#define STEP_SHARE		0.05	/* of the figures' level that such a step is */
#define OTHER_WAY		0.3		/* of a step, that counts for steps the other way */
#define PRIOR_WEIGHT	3.0		/* of what is expected, in looks back */
#define LOOKS_WEIGHT	3.0		/* of all looks back: they overlap */
#define FEW_DAYS		9.0		/* that make the errors twice as large */
#define MOST_SURPRISE	3.0		/* that a look can tell */
#define LOOKS			12		/* pasts that are held against what came */

static void spread(const Trend *trend, double ahead, double *down, double *up);
static double side(const Trend *trend, double scatter, double both, double steps, double bent);
static double step_spread(const Trend *trend, double ahead, int direction);
static double look_back(const double *days, const double *values, int n, int now);

void
dbops_trend_forecast(const Trend *trend, double ahead, TrendForecast *forecast)
{
	double		down;
	double		up;

	spread(trend, ahead, &down, &up);
	forecast->value = trend->level + trend->slope * ahead;
	forecast->low = forecast->value - down;
	forecast->high = forecast->value + up;
	forecast->extrapolated = ahead > TREND_REACH * trend->span;
	if (trend->least >= 0)
	{
		forecast->value = Max(forecast->value, 0);
		forecast->low = Max(forecast->low, 0);
		forecast->high = Max(forecast->high, 0);
	}
}

/*
 * When a bound will be reached, from below; NaN: not as far ahead as the past
 * allows to look. What recurs reaches it with its peaks.
 */
void
dbops_trend_arrival(const Trend *trend, double bound, TrendArrival *arrival)
{
	double		furthest = dbops_trend_furthest(trend);
	double		peak = (trend->model == TREND_CYCLE) ? trend->above : 0;

	*arrival = (TrendArrival) {.low = NAN,.likely = NAN,.high = NAN};
	for (int ahead = 0; ahead <= furthest; ahead++)
	{
		TrendForecast forecast;

		dbops_trend_forecast(trend, ahead, &forecast);
		if (isnan(arrival->low) && forecast.high >= bound)
			arrival->low = ahead;
		if (isnan(arrival->likely) && forecast.value + peak >= bound)
			arrival->likely = ahead;
		if (forecast.low >= bound)
		{
			arrival->high = ahead;
			break;
		}
	}
}

/* How many days ahead anything is said of when. */
double
dbops_trend_furthest(const Trend *trend)
{
	return Min(TREND_REACH * trend->span, TREND_FURTHEST);
}

/* How far below and above the line a figure may come to lie. */
static void
spread(const Trend *trend, double ahead, double *down, double *up)
{
	double		held = trend->last - trend->since;
	double		slope = trend->slope_error * ahead;
	double		rate = RATE_CHANGE * trend->slope * ahead * sqrt(ahead / (ahead + held));
	double		wander = trend->wander * sqrt(ahead);
	double		few = 1 + FEW_DAYS / trend->n;
	double		both = few * few * (slope * slope + rate * rate + wander * wander);
	double		bent = trend->acceleration * ahead * (ahead + held) / 2;

	*down = side(trend, trend->below, both, step_spread(trend, ahead, -1), -bent);
	*up = side(trend, trend->above, both, step_spread(trend, ahead, 1), bent);
	*down = Max(*down, -trend->undecided);
	*up = Max(*up, trend->undecided);
}

/* The parts of one side together; that lines were right before makes the scatter no less. */
static double
side(const Trend *trend, double scatter, double both, double steps, double bent)
{
	double		line = DEVIATES * trend->surprise * sqrt(both + steps * steps);

	scatter *= Max(trend->surprise, 1);
	return sqrt(scatter * scatter + line * line) + Max(bent, 0);
}

/* What steps of one direction may come to until then, as a standard deviation. */
static double
step_spread(const Trend *trend, double ahead, int direction)
{
	double		size = STEP_SHARE * trend->scale;
	double		squares = STEPS_BEFORE * size * size;

	if (trend->model == TREND_CYCLE)
		return 0;
	for (int s = 0; s < trend->n_steps; s++)
	{
		double		weight = (trend->steps[s].size > 0) == (direction > 0) ? 1 : OTHER_WAY;

		squares += weight * trend->steps[s].size * trend->steps[s].size;
	}
	return sqrt(ahead * squares / (trend->span + QUARTER));
}

/* Hold lines through shorter pasts against what came after them. */
void
dbops_trend_learn(const double *days, const double *values, int n, Trend *trend)
{
	double		sum = 0;
	int			looks = 0;

	for (int look = 1; look <= LOOKS; look++)
	{
		int			then = n - (int) ((n / 2.0) * look / LOOKS);
		double		off;

		if (then < TREND_FEWEST || then > n - 2)
			continue;
		off = look_back(days, values, then, n);
		if (!isnan(off))
		{
			sum += off * off;
			looks++;
		}
	}
	if (looks > 0)
		trend->surprise = sqrt((PRIOR_WEIGHT + LOOKS_WEIGHT * sum / looks) / (PRIOR_WEIGHT + LOOKS_WEIGHT));
}

/* How far the newest figures are off the line that was laid then, in terms of its range; NaN: there was none. */
static double
look_back(const double *days, const double *values, int then, int now)
{
	Trend		trend;
	double		ahead = days[now - 1] - days[then - 1];
	double		off;
	double		down;
	double		up;

	dbops_trend_line(days, values, then, &trend);
	if (trend.model == TREND_UNKNOWN || ahead <= 0)
		return NAN;
	spread(&trend, ahead, &down, &up);
	off = dbops_robust_median(values + now - Min(3, now - then), Min(3, now - then)) - trend.level - trend.slope * ahead;
	off = (off > 0) ? off / up : -off / down;
	return isfinite(off) ? Min(DEVIATES * off, MOST_SURPRISE) : NAN;
}
