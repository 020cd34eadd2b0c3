/*
 * growth_forecast.c
 *		growth_forecast(): how large the database will be, and what that fills.
 *
 * The members that applications know stand at the top as they know them: current,
 * forecast with a size as text for each horizon, recommendations. Beside them is
 * what these were told from. Each subject has its own line through its own past
 * (trend.c): this database, each disk, the tables that grew most, ids, sequences.
 * What there is too little past for says so, in a member unknown, and is never a
 * number. A day on which something is full is a range, and null when it is
 * further ahead than the past allows to look, or never.
 */
#include "observe/forecast.h"

#include <math.h>

#include "catalog/pg_tablespace_d.h"
#include "commands/dbcommands.h"
#include "commands/tablespace.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datetime.h"

#define A_YEAR	365

PG_FUNCTION_INFO_V1(dbops_growth_forecast);

static int64 size_now(void);
static void put_current(Growth *growth, int64 size);
static void put_utilization(Growth *growth);
static void put_forecast(Growth *growth, const Trend *trend, const int *horizons, int n);
static void put_ranges(Growth *growth, const Trend *trend, const int *horizons, int n);
static void put_range(Growth *growth, const Trend *trend, int horizon);
static void put_recommendations(Growth *growth, const Trend *trend);
static const char *capacity_advice(const Growth *growth, const Trend *trend);
static const char *missing_advice(void);

/* growth_forecast(horizons int[], lookback interval) → jsonb */
Datum
dbops_growth_forecast(PG_FUNCTION_ARGS)
{
	Growth		growth = {.soonest = NAN};
	int			n_horizons;
	int		   *horizons = dbops_forecast_horizons(fcinfo, 0, &n_horizons);
	Figures		sizes = {0};
	int64		size;
	Trend		trend;

	growth.since = dbops_forecast_since(fcinfo, 1);
	size = size_now();
	dbops_forecast_size(growth.since, &sizes);
	if (size > 0)
		dbops_figures_add(&sizes, dbops_clock_now(), size);
	dbops_figures_fit(&sizes, &trend);

	dbops_json_object(&growth.json, NULL);
	dbops_json_time(&growth.json, "timestamp", dbops_clock_now());
	put_current(&growth, size);
	put_forecast(&growth, &trend, horizons, n_horizons);
	put_ranges(&growth, &trend, horizons, n_horizons);
	dbops_json_object(&growth.json, "growth");
	dbops_growth_trend(&growth, &trend, "bytes");
	dbops_json_object_end(&growth.json);
	dbops_growth_disks(&growth);
	dbops_growth_tables(&growth);
	dbops_growth_ids(&growth);
	dbops_growth_sequences(&growth);
	put_recommendations(&growth, &trend);
	PG_RETURN_JSONB_P(dbops_json_finish(&growth.json));
}

/* The last measurement of this database; 0: there is none yet. */
static int64
size_now(void)
{
	Sizes		sizes = {0};

	dbops_sizes_read(&sizes);
	return sizes.measured_at == 0 ? 0 : sizes.database;
}

static void
put_current(Growth *growth, int64 size)
{
	dbops_json_object(&growth->json, "current");
	if (size > 0)
	{
		dbops_json_text(&growth->json, "size", dbops_figure_bytes(size));
		dbops_json_integer(&growth->json, "size_bytes", size);
	}
	else
	{
		dbops_json_null(&growth->json, "size");
		dbops_json_null(&growth->json, "size_bytes");
	}
	put_utilization(growth);
	dbops_json_object_end(&growth->json);
}

/* How full the disk is that this database's tables go to. */
static void
put_utilization(Growth *growth)
{
	Disks		disks = {0};
	char	   *tablespace = dbops_tablespace_name(MyDatabaseTableSpace);
	double		used = NAN;
	ListCell   *cell;

	dbops_disks_read(&disks);
	foreach(cell, disks.list)
	{
		const Disk *disk = lfirst(cell);

		if (disk->tablespace != NULL && tablespace != NULL && strcmp(disk->tablespace, tablespace) == 0)
			used = 100 - dbops_disk_free_percent(disk);
	}
	dbops_json_text(&growth->json, "utilization", isnan(used) ? NULL : psprintf("%.0f%%", used));
	dbops_json_decimal(&growth->json, "utilization_percent", used);
}

/* A size for each horizon, such as 30days. */
static void
put_forecast(Growth *growth, const Trend *trend, const int *horizons, int n)
{
	dbops_json_object(&growth->json, "forecast");
	for (int i = 0; i < n; i++)
	{
		const char *size = NULL;
		TrendForecast forecast;

		if (trend->model != TREND_UNKNOWN)
		{
			dbops_trend_forecast(trend, horizons[i], &forecast);
			size = dbops_figure_bytes(forecast.value);
		}
		dbops_json_text(&growth->json, psprintf("%ddays", horizons[i]), size);
	}
	dbops_json_object_end(&growth->json);
}

/* The same with its range, in bytes. */
static void
put_ranges(Growth *growth, const Trend *trend, const int *horizons, int n)
{
	dbops_json_object(&growth->json, "ranges");
	for (int i = 0; i < n; i++)
	{
		dbops_json_object(&growth->json, psprintf("%ddays", horizons[i]));
		put_range(growth, trend, horizons[i]);
		dbops_json_object_end(&growth->json);
	}
	dbops_json_object_end(&growth->json);
}

static void
put_range(Growth *growth, const Trend *trend, int horizon)
{
	static const char *const members[] = {"range", "bytes", "low_bytes", "high_bytes", "extrapolated"};
	TrendForecast forecast;

	if (trend->model == TREND_UNKNOWN)
	{
		for (int i = 0; i < lengthof(members); i++)
			dbops_json_null(&growth->json, members[i]);
		return;
	}
	dbops_trend_forecast(trend, horizon, &forecast);
	dbops_json_text(&growth->json, "range", psprintf("%s to %s", dbops_figure_bytes(forecast.low), dbops_figure_bytes(forecast.high)));
	dbops_json_integer(&growth->json, "bytes", (int64) forecast.value);
	dbops_json_integer(&growth->json, "low_bytes", (int64) forecast.low);
	dbops_json_integer(&growth->json, "high_bytes", (int64) forecast.high);
	dbops_json_boolean(&growth->json, "extrapolated", forecast.extrapolated);
}

/* What a line is made of; of too few days only that. */
void
dbops_growth_trend(Growth *growth, const Trend *trend, const char *unit)
{
	DbopsJson  *json = &growth->json;
	bool		known = trend->model != TREND_UNKNOWN;

	if (known)
		dbops_json_null(json, "unknown");
	else
		dbops_json_text(json, "unknown", psprintf("%d days with figures are needed, there are %d", TREND_FEWEST, trend->n));
	dbops_json_integer(json, "days", trend->n);
	if (known)
		dbops_json_decimal(json, psprintf("%s_per_day", unit), trend->slope);
	else
		dbops_json_null(json, psprintf("%s_per_day", unit));
	dbops_json_text(json, "model", known ? dbops_trend_model_name(trend->model) : NULL);
	dbops_json_text(json, "confidence", known ? dbops_trend_confidence(trend) : NULL);
	dbops_json_decimal(json, "looks_ahead_days", known ? dbops_trend_furthest(trend) : NAN);
	dbops_json_array(json, "steps");
	for (int i = 0; i < trend->n_steps && trend->model != TREND_CYCLE; i++)
	{
		dbops_json_object(json, NULL);
		dbops_json_time(json, "at", (TimestampTz) (trend->steps[i].day * USECS_PER_DAY));
		dbops_json_integer(json, unit, (int64) trend->steps[i].size);
		dbops_json_object_end(json);
	}
	dbops_json_array_end(json);
}

/* In how many days a bound is reached, as a member; the earliest of all is remembered. */
void
dbops_growth_arrival(Growth *growth, const char *key, const Trend *trend, double bound, TrendArrival *arrival)
{
	*arrival = (TrendArrival) {.low = NAN,.likely = NAN,.high = NAN};
	if (trend->model != TREND_UNKNOWN)
		dbops_trend_arrival(trend, bound, arrival);
	dbops_json_object(&growth->json, key);
	dbops_json_decimal(&growth->json, "low", arrival->low);
	dbops_json_decimal(&growth->json, "likely", arrival->likely);
	dbops_json_decimal(&growth->json, "high", arrival->high);
	dbops_json_object_end(&growth->json);
}

/* What the parts found, after a sentence on all of them. */
static void
put_recommendations(Growth *growth, const Trend *trend)
{
	ListCell   *cell;

	dbops_json_array(&growth->json, "recommendations");
	dbops_json_text(&growth->json, NULL, capacity_advice(growth, trend));
	foreach(cell, growth->advice)
		dbops_json_text(&growth->json, NULL, lfirst(cell));
	dbops_json_array_end(&growth->json);
}

static const char *
capacity_advice(const Growth *growth, const Trend *trend)
{
	if (!growth->judged)
		return missing_advice();
	if (!isnan(growth->soonest) && growth->soonest <= A_YEAR)
		return psprintf("Plan more capacity by %s: a disk may be full in %.0f days.", dbops_growth_date(growth->soonest), growth->soonest);
	if (growth->looked_ahead >= A_YEAR)
		return "No disk is expected to be full within 12 months.";
	return psprintf("No disk is expected to be full within %.0f days, as far as %d days of history tell.", growth->looked_ahead, trend->n);
}

/* Why there is no past of any disk, and what to do about it. */
static const char *
missing_advice(void)
{
	Oid			home = dbops_home_database();
	char	   *name = OidIsValid(home) ? get_database_name(home) : NULL;
	CollectorState collector;

	dbops_collector_state(&collector);
	if (!collector.preloaded)
		return psprintf("Nothing is known to plan by: history is kept when dbops is in shared_preload_libraries. Ask again after %d days of it.", TREND_FEWEST);
	if (name != NULL && home != MyDatabaseId)
		return psprintf("The disks are judged in the home database, %s.", dbops_quote_name(name));
	return psprintf("Too little is known to plan by: ask again when there are %d days of history.", TREND_FEWEST);
}

/* The day so many days ahead, in UTC. */
const char *
dbops_growth_date(double days)
{
	int			year;
	int			month;
	int			day;

	j2date((int) floor(dbops_clock_now() / (double) USECS_PER_DAY + days) + POSTGRES_EPOCH_JDATE, &year, &month, &day);
	return psprintf("%04d-%02d-%02d", year, month, day);
}
