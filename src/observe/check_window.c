/*
 * check_window.c
 *		What checks say of a time, told from two samples.
 *
 * Without samples all of them are unknown for a reason that they share, and
 * collector.samples says it for all of them.
 */
#include "observe/checks.h"
#include "observe/metric.h"

/* Report a value, or that nothing is known of the time. */
void
dbops_window_report(DbopsCheckRun *run, const SampleWindow *window, double value, double guard,
					const char *message, const char *remedy)
{
	if (window->crowded)
		dbops_check_report_unknown(run, NULL,
								   psprintf("%d other databases are in use, and samples of more are not kept", RING_DATABASES),
								   "Disconnect from databases that nobody needs: one is given up a minute after its last client has gone.");
	else if (window->seconds == 0)
		dbops_check_report_unknown(run, NULL, DBOPS_NO_SAMPLES, "See the check collector.samples.");
	else if (isnan(value))
		dbops_window_report_unknown(run, window, "the samples do not tell", "See SELECT * FROM dbops.metrics();");
	else
		dbops_check_report_value(run, value, guard, (DbopsFinding)
								 {
									 .message = message,.remedy = remedy,.partial = dbops_window_is_partial(window)
								 });
}

/* After a start or a reset there are samples, but not yet for as long as is judged. */
bool
dbops_window_is_partial(const SampleWindow *window)
{
	return window->seconds > 0 && !window->whole;
}

/* What is not known of a part may be known of the whole. */
void
dbops_window_report_unknown(DbopsCheckRun *run, const SampleWindow *window, const char *message, const char *remedy)
{
	dbops_check_report(run, (DbopsFinding)
					   {
						   .severity = DBOPS_UNKNOWN,.message = message,.remedy = remedy,.partial = dbops_window_is_partial(window)
					   });
}

/* Events are those that were seen: of less than an hour no more are made up. */
void
dbops_window_report_events(DbopsCheckRun *run, const SampleWindow *window, int metric,
						   const char *one, const char *many, const char *remedy)
{
	double		n = window->delta[metric];

	dbops_window_report(run, window, n, NAN, psprintf("%s in %s", dbops_figure_count(n, one, many), dbops_figure_duration(window->seconds)), remedy);
}
