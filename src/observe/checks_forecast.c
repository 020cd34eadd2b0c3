/*
 * checks_forecast.c
 *		When will a disk be full?
 *
 * What is judged is the earliest day of the forecast's range: who plans by the
 * likely day is late every other time. The disks' history is the cluster's, so
 * that the home database alone judges it.
 */
#include "observe/checks.h"
#include "observe/forecast.h"

#include <math.h>

#include "miscadmin.h"

#define LOOKBACK	90			/* days */

typedef struct Facts
{
	ErrorData  *error;			/* NULL: they were read */
	bool		elsewhere;		/* another database is home */
	Disks		disks;
	List	   *past;			/* of FigureSet * */
} Facts;

static const void *look(const DbopsCheckScope *scope);
static void look_and_undo(void *facts);
static void read_past(void *arg);
static void judge_full(const void *facts, DbopsCheckRun *run);
static void judge_disk(const Disk *disk, const Facts *facts, DbopsCheckRun *run);
static const char *when_text(const TrendArrival *arrival, const Trend *trend);

static const DbopsCheck checks[] = {
	{
		.name = "capacity.days_until_full",
		.about = "days until a disk is full, at the earliest, by its growth of 90 days",
		.judge = judge_full,
		.threshold = {
			.unit = "days", .below = true, .warning = 30, .critical = 7, .guard = 40, .guard_unit = "percent free",
			.clear = 10, .source = "a month to buy one; node_exporter's mixin"
		}
	}
};

const DbopsCheckSet dbops_forecast_checks_set = {
	.look = look,
	.checks = checks,
	.n_checks = lengthof(checks)
};

static const void *
look(const DbopsCheckScope *scope)
{
	Facts	   *facts = palloc0(sizeof(Facts));

	(void) dbops_attempt(look_and_undo, facts, &facts->error);
	return facts;
}

static void
look_and_undo(void *facts)
{
	dbops_look(read_past, facts);
}

static void
read_past(void *arg)
{
	Facts	   *facts = arg;
	Oid			home = dbops_home_database();

	facts->elsewhere = OidIsValid(home) && home != MyDatabaseId;
	if (facts->elsewhere)
		return;
	dbops_disks_read(&facts->disks);
	facts->past = dbops_forecast_disks(dbops_clock_now() - LOOKBACK * USECS_PER_DAY);
}

static void
judge_full(const void *arg, DbopsCheckRun *run)
{
	const Facts *facts = arg;
	ListCell   *cell;

	if (facts->error != NULL)
		ThrowErrorData(facts->error);
	if (facts->elsewhere)
		dbops_check_report(run, (DbopsFinding) {.message = "the disks are judged in the home database"});
	foreach(cell, facts->disks.list)
	{
		const Disk *disk = lfirst(cell);

		if (disk->same_as == NULL && disk->total > 0)
			judge_disk(disk, facts, run);
	}
}

/* One that is not seen to fill is as far away as anybody looks. */
static void
judge_disk(const Disk *disk, const Facts *facts, DbopsCheckRun *run)
{
	Trend		trend;
	TrendArrival arrival;

	dbops_forecast_disk(facts->past, disk, &trend);
	if (trend.model == TREND_UNKNOWN)
	{
		dbops_check_report_unknown(run, disk->name,
								   psprintf("%d days of history are needed, there are %d", TREND_FEWEST, trend.n),
								   "Preload dbops, and look again when there are as many.");
		return;
	}
	dbops_trend_arrival(&trend, (double) disk->used + disk->free, &arrival);
	dbops_check_report_value(run, isnan(arrival.low) ? TREND_FURTHEST : arrival.low, dbops_disk_free_percent(disk), (DbopsFinding)
							 {
								 .object = disk->name,
								 .message = psprintf("%s: %s", disk->name, when_text(&arrival, &trend)),
								 .remedy = "Extend it, or see tables in dbops.growth_forecast() for what fills it."
							 });
}

static const char *
when_text(const TrendArrival *arrival, const Trend *trend)
{
	if (isnan(arrival->low))
		return psprintf("not full within %.0f days", dbops_trend_furthest(trend));
	if (isnan(arrival->likely))
		return psprintf("full in %s at the earliest", dbops_figure_count(arrival->low, "day", "days"));
	return psprintf("full in %s at the earliest, in %.0f likely", dbops_figure_count(arrival->low, "day", "days"), arrival->likely);
}
