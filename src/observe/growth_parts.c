/*
 * growth_parts.c
 *		What growth_forecast() says of disks, tables, ids and sequences.
 */
#include "observe/forecast.h"

#include <math.h>

#include "access/transam.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#define MOST_TABLES		10
#define MUCH_GROWTH		25.0	/* percent of all tables' growth that is advised on */
#define SOON			365		/* days until the end of a sequence that is advised on */
#define ALMOST_USED		75.0	/* percent of a sequence that is, whatever its rate */
#define SHOWN_FROM		0.1		/* percent used, of a sequence */
#define MOST_SEQUENCES	20
#define SOON_STOPPED	60		/* days until ids run out that is advised on */

/* Of transaction ids, or of multixact ids. */
typedef struct Ids
{
	const char *key;
	const char *what;
	ClusterMetric given;
	int64		age;
	int64		freeze_age;
	int64		stop_age;
} Ids;

static void put_disk(Growth *growth, const Disk *disk, List *past);
static void advise_disk(Growth *growth, const Disk *disk, const TrendArrival *arrival);
static double total_growth(const List *tables);
static double growth_of(const Figures *figures);
static void put_table(Growth *growth, FigureSet *table, double total);
static void put_ids(Growth *growth, const Ids *ids);
static void put_sequence(Growth *growth, const Sequence *sequence, List *past);
static void advise_sequence(Growth *growth, const Sequence *sequence, const TrendArrival *arrival);
static const char *days_text(double days);

/* Each device once, under the first of its names. */
void
dbops_growth_disks(Growth *growth)
{
	List	   *past = dbops_forecast_disks(growth->since);
	Disks		disks = {0};
	ListCell   *cell;

	dbops_disks_read(&disks);
	dbops_json_array(&growth->json, "disks");
	foreach(cell, disks.list)
	{
		const Disk *disk = lfirst(cell);

		if (disk->same_as == NULL && disk->total > 0)
			put_disk(growth, disk, past);
	}
	dbops_json_array_end(&growth->json);
}

/* It is full when nothing is free to the server; the reserve of root is not counted. */
static void
put_disk(Growth *growth, const Disk *disk, List *past)
{
	DbopsJson  *json = &growth->json;
	Trend		trend;
	TrendArrival arrival;

	dbops_forecast_disk(past, disk, &trend);
	dbops_json_object(json, NULL);
	dbops_json_text(json, "name", disk->name);
	dbops_json_integer(json, "used_bytes", disk->used);
	dbops_json_integer(json, "free_bytes", disk->free);
	dbops_json_decimal(json, "used_percent", 100 - dbops_disk_free_percent(disk));
	dbops_growth_trend(growth, &trend, "bytes");
	dbops_growth_arrival(growth, "days_until_full", &trend, (double) disk->used + disk->free, &arrival);
	dbops_json_object_end(json);
	if (trend.model == TREND_UNKNOWN)
		return;
	growth->looked_ahead = growth->judged ? Min(growth->looked_ahead, dbops_trend_furthest(&trend)) : dbops_trend_furthest(&trend);
	growth->judged = true;
	growth->soonest = fmin(growth->soonest, arrival.low);
	advise_disk(growth, disk, &arrival);
}

static void
advise_disk(Growth *growth, const Disk *disk, const TrendArrival *arrival)
{
	if (isnan(arrival->low) || arrival->low > SOON)
		return;
	growth->advice = lappend(growth->advice,
							 psprintf("Extend the disk of %s before %s: it is full %s, at the earliest in %s.", disk->name,
									dbops_growth_date(arrival->low),
									isnan(arrival->likely) ? "later than can be told" : psprintf("in about %s", days_text(arrival->likely)),
									days_text(arrival->low)));
}

/* The tables that grew most, and what they make of the growth. */
void
dbops_growth_tables(Growth *growth)
{
	List	   *tables = dbops_forecast_tables(growth->since, MOST_TABLES);
	double		total = total_growth(tables);
	ListCell   *cell;

	dbops_json_array(&growth->json, "tables");
	foreach(cell, tables)
		put_table(growth, lfirst(cell), total);
	dbops_json_array_end(&growth->json);
}

static double
total_growth(const List *tables)
{
	double		total = 0;
	ListCell   *cell;

	foreach(cell, tables)
		total += growth_of(&((const FigureSet *) lfirst(cell))->figures);
	return total;
}

static double
growth_of(const Figures *figures)
{
	return figures->value[figures->n - 1] - figures->value[0];
}

static void
put_table(Growth *growth, FigureSet *table, double total)
{
	DbopsJson  *json = &growth->json;
	char	   *name = get_rel_name(table->oid);
	double		bytes = table->figures.value[table->figures.n - 1];
	double		grown = growth_of(&table->figures);
	Trend		trend;
	TrendForecast year;

	if (name == NULL)
		return;
	name = dbops_quote_relation(table->oid);
	dbops_figures_carry(&table->figures, dbops_clock_now(), bytes);
	dbops_figures_fit(&table->figures, &trend);
	dbops_json_object(json, NULL);
	dbops_json_text(json, "name", name);
	dbops_json_integer(json, "size_bytes", (int64) bytes);
	dbops_json_integer(json, "grown_bytes", (int64) grown);
	dbops_json_decimal(json, "percent_of_growth", dbops_figure_percent(grown, total));
	dbops_growth_trend(growth, &trend, "bytes");
	dbops_trend_forecast(&trend, SOON, &year);
	if (trend.model == TREND_UNKNOWN)
		dbops_json_null(json, "365days_bytes");
	else
		dbops_json_integer(json, "365days_bytes", (int64) year.value);
	dbops_json_object_end(json);
	if (trend.model != TREND_UNKNOWN && trend.slope > 0 && dbops_figure_percent(grown, total) >= MUCH_GROWTH)
		growth->advice = lappend(growth->advice,
								 psprintf("%s makes %.0f percent of the growth of the largest tables: archive its old rows or set_retention() for it.",
										name, dbops_figure_percent(grown, total)));
}

/* Each kind of them has a limit of its own. */
void
dbops_growth_ids(Growth *growth)
{
	Ages		ages = {0};

	dbops_ages_read(&ages);
	put_ids(growth, &(Ids) {
			.key = "transaction_ids", .what = "transaction ids", .given = CM_XIDS_GIVEN,
			.age = ages.xid_age, .freeze_age = ages.xid_freeze_age, .stop_age = ages.xid_stop_age
	});
	put_ids(growth, &(Ids) {
			.key = "multixact_ids", .what = "multixact ids", .given = CM_MULTIXACTS_GIVEN,
			.age = ages.multixact_age, .freeze_age = ages.multixact_freeze_age, .stop_age = ages.multixact_stop_age
	});
}

/* In how long they are used up if nothing is frozen meanwhile. */
static void
put_ids(Growth *growth, const Ids *ids)
{
	DbopsJson  *json = &growth->json;
	Figures		figures = {0};
	Trend		trend;
	TrendArrival arrival;
	double		total;

	dbops_forecast_given(growth->since, ids->given, &figures);
	dbops_figures_fit(&figures, &trend);
	total = (figures.n > 0) ? figures.value[figures.n - 1] : 0;
	dbops_json_object(json, ids->key);
	dbops_json_integer(json, "age", ids->age);
	dbops_json_integer(json, "freeze_age", ids->freeze_age);
	dbops_json_integer(json, "stop_age", ids->stop_age);
	dbops_growth_trend(growth, &trend, "ids");
	dbops_growth_arrival(growth, "days_until_forced_vacuum", &trend, total + Max(ids->freeze_age - ids->age, 0), &arrival);
	dbops_growth_arrival(growth, "days_until_stop", &trend, total + ids->stop_age - ids->age, &arrival);
	dbops_json_object_end(json);
	if (arrival.low <= SOON_STOPPED)
		growth->advice = lappend(growth->advice,
								 psprintf("Have vacuum freeze: %s are used up in %s at the earliest if nothing is frozen.",
										ids->what, days_text(arrival.low)));
}

/* Those that have come furthest. */
void
dbops_growth_sequences(Growth *growth)
{
	List	   *past = dbops_forecast_sequences(growth->since);
	List	   *sequences = dbops_sequences_read(SHOWN_FROM, NULL);
	ListCell   *cell;
	int			put = 0;

	dbops_json_array(&growth->json, "sequences");
	foreach(cell, sequences)
	{
		const Sequence *sequence = lfirst(cell);

		if (!sequence->cycles && put++ < MOST_SEQUENCES)
			put_sequence(growth, sequence, past);
	}
	dbops_json_array_end(&growth->json);
}

/* One that descends is turned round, so that its bound lies above. */
static void
put_sequence(Growth *growth, const Sequence *sequence, List *past)
{
	DbopsJson  *json = &growth->json;
	double		sign = sequence->ascends ? 1 : -1;
	Figures		figures = {0};
	Trend		trend;
	TrendArrival arrival;
	ListCell   *cell;

	foreach(cell, past)
		if (((FigureSet *) lfirst(cell))->oid == sequence->oid)
			figures = ((FigureSet *) lfirst(cell))->figures;
	dbops_figures_add(&figures, dbops_clock_now(), sequence->last);
	for (int i = 0; i < figures.n; i++)
		figures.value[i] *= sign;
	dbops_figures_fit(&figures, &trend);
	dbops_json_object(json, NULL);
	dbops_json_text(json, "name", sequence->name);
	dbops_json_text(json, "column", sequence->column);
	dbops_json_text(json, "type", sequence->type);
	dbops_json_integer(json, "last_value", sequence->last);
	dbops_json_integer(json, "bound", sequence->bound);
	dbops_json_decimal(json, "used_percent", sequence->used);
	dbops_growth_trend(growth, &trend, "values");
	dbops_growth_arrival(growth, "days_until_exhausted", &trend, sign * (double) sequence->bound, &arrival);
	dbops_json_object_end(json);
	advise_sequence(growth, sequence, &arrival);
}

static void
advise_sequence(Growth *growth, const Sequence *sequence, const TrendArrival *arrival)
{
	if (!(arrival->low <= SOON) && sequence->used < ALMOST_USED)
		return;
	growth->advice = lappend(growth->advice,
							 psprintf("%s is %.0f percent used%s: %s.", sequence->name, sequence->used,
									isnan(arrival->low) ? "" : psprintf(" and ends in %s at the earliest", days_text(arrival->low)),
									sequence->column == NULL || strcmp(sequence->type, "bigint") == 0 ? "give it more room" :
									psprintf("make %s a bigint", sequence->column)));
}

static const char *
days_text(double days)
{
	return (days == 1) ? "1 day" : psprintf("%.0f days", days);
}
