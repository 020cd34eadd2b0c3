/*
 * figure.c
 *		Figures as people read them.
 */
#include "core/server.h"

#include <math.h>

#include "utils/builtins.h"

/* Part of a whole in percent; NaN if there is no whole. */
double
dbops_figure_percent(double part, double whole)
{
	return whole > 0 ? 100.0 * part / whole : NAN;
}

const char *
dbops_figure_duration(double seconds)
{
	if (seconds < 2 * SECS_PER_MINUTE)
		return psprintf("%.0f s", seconds);
	if (seconds < 2 * SECS_PER_HOUR)
		return psprintf("%.0f min", seconds / SECS_PER_MINUTE);
	if (seconds < 2 * SECS_PER_DAY)
		return psprintf("%.1f h", seconds / SECS_PER_HOUR);
	return psprintf("%.1f days", seconds / SECS_PER_DAY);
}

/* So many of a thing, in words that go with the number. */
const char *
dbops_figure_count(double n, const char *one, const char *many)
{
	return psprintf("%.0f %s", n, n == 1 ? one : many);
}

const char *
dbops_figure_bytes(double bytes)
{
	return TextDatumGetCString(DirectFunctionCall1(pg_size_pretty,
												   Int64GetDatum((int64) bytes)));
}
