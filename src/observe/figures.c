/*
 * figures.c
 *		Figures with their times, as they are read one by one.
 */
#include "observe/forecast.h"

#include <math.h>

#define FIRST_ROOM	128

/* Add one that is not earlier than those before it. */
void
dbops_figures_add(Figures *figures, TimestampTz at, double value)
{
	if (figures->n == figures->most)
	{
		int			most = Max(FIRST_ROOM, 2 * figures->most);
		Size		size = most * sizeof(double);

		figures->day = (figures->n == 0) ? palloc(size) : repalloc(figures->day, size);
		figures->value = (figures->n == 0) ? palloc(size) : repalloc(figures->value, size);
		figures->most = most;
	}
	figures->day[figures->n] = at / (double) USECS_PER_DAY;
	figures->value[figures->n++] = value;
}

/* The same where only changes were kept: each day since the one before has its value. */
void
dbops_figures_carry(Figures *figures, TimestampTz at, double value)
{
	double		day = floor(at / (double) USECS_PER_DAY);

	while (figures->n > 0 && floor(figures->day[figures->n - 1]) + 1 < day)
		dbops_figures_add(figures, (TimestampTz) ((floor(figures->day[figures->n - 1]) + 1.5) * USECS_PER_DAY),
						  figures->value[figures->n - 1]);
	dbops_figures_add(figures, at, value);
}

/* Move all of them so that the last one has a value. */
void
dbops_figures_end_at(Figures *figures, double value)
{
	double		move = (figures->n > 0) ? value - figures->value[figures->n - 1] : 0;

	for (int i = 0; i < figures->n; i++)
		figures->value[i] += move;
}

void
dbops_figures_fit(const Figures *figures, Trend *trend)
{
	dbops_trend_fit(figures->day, figures->value, figures->n, trend);
}
