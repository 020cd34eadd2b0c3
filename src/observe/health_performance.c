/*
 * health_performance.c
 *		The document of health: how fast it goes, and the host that it runs on.
 *
 * Figures since the statistics' reset say what was; the window says what is:
 * the last minutes, from the samples in memory. Where there are too few of them,
 * or too little happened to say anything, its figures are null.
 */
#include "observe/health_document.h"

#include "miscadmin.h"

#define WINDOW			300.0	/* s */
#define LONG_WINDOW		3600.0	/* s, for what is measured or happens seldom */
#define FEW_BLOCKS		1000.0	/* that tell no ratio */

static void put_window(DbopsJson *json);
static double statement_time(const SampleWindow *window);
static double per_hour(const SampleWindow *window, int position);
static double index_hit_percent(const Health *health);
static double cache_hit_percent(const Health *health);
static double hit_percent(double hit, double fetched);

/* Put the guides' figures of performance, and what goes on now. */
void
dbops_health_put_performance(DbopsJson *json, const Health *health)
{
	const Sizes *sizes = &health->sizes;
	const Statements *statements = &health->statements;
	bool		counted = dbops_health_stands(health, PART_COUNTERS);
	SampleWindow window;

	(void) dbops_ring_window(MyDatabaseId, WINDOW, &window);
	dbops_json_object(json, "performance");
	dbops_json_decimal(json, "avg_query_time_ms",
					   dbops_health_has_statements(health) && statements->calls > 0 ?
					   statements->total_time / statements->calls : NAN);
	if (dbops_health_has_statements(health))
		dbops_json_integer(json, "slow_queries", statements->slow);
	else
		dbops_json_null(json, "slow_queries");
	dbops_json_decimal(json, "queries_per_second", dbops_ring_per_second(&window, DM_STATEMENT_CALLS));
	dbops_json_decimal(json, "cache_hit_percent", cache_hit_percent(health));
	dbops_json_decimal(json, "index_hit_percent", index_hit_percent(health));
	dbops_json_decimal(json, "cache_hit_ratio", counted ? dbops_hit_ratio(&health->counters) : NAN);
	dbops_json_decimal(json, "index_hit_ratio",
					   dbops_health_has_index_figures(health) ?
					   dbops_figure_percent(sizes->index_hit, sizes->index_fetched) : NAN);
	dbops_json_time(json, "since", counted ? health->counters.since : 0);
	put_window(json);
	dbops_json_object_end(json);
}

/* What was measured before the statistics' reset is not of today's statistics. */
bool
dbops_health_has_index_figures(const Health *health)
{
	return dbops_health_stands(health, PART_SIZES) && health->sizes.measured_at != 0 &&
		health->sizes.n_largest >= 0 &&
		dbops_health_stands(health, PART_COUNTERS) &&
		health->sizes.measured_at >= health->counters.since;
}

/* Of this database, but for what only the cluster counts: WAL. */
static void
put_window(DbopsJson *json)
{
	SampleWindow database;
	SampleWindow hour;
	SampleWindow cluster;

	if (!dbops_ring_window(MyDatabaseId, WINDOW, &database))
	{
		dbops_json_null(json, "window");
		return;
	}
	(void) dbops_ring_window(MyDatabaseId, LONG_WINDOW, &hour);
	(void) dbops_ring_window(InvalidOid, WINDOW, &cluster);
	dbops_json_object(json, "window");
	dbops_json_decimal(json, "seconds", database.seconds);
	dbops_json_decimal(json, "transactions_per_second",
					   (database.delta[DM_TRANSACTIONS_COMMITTED] + database.delta[DM_TRANSACTIONS_ROLLED_BACK]) / database.seconds);
	dbops_json_decimal(json, "rollbacks_per_second", dbops_ring_per_second(&database, DM_TRANSACTIONS_ROLLED_BACK));
	dbops_json_decimal(json, "queries_per_second", dbops_ring_per_second(&database, DM_STATEMENT_CALLS));
	dbops_json_decimal(json, "avg_query_time_ms", statement_time(&database));
	dbops_json_decimal(json, "slow_queries_per_minute", dbops_ring_per_second(&database, DM_STATEMENT_SLOW_CALLS) * SECS_PER_MINUTE);
	dbops_json_decimal(json, "cache_hit_percent",
					   hit_percent(database.delta[DM_BLOCKS_HIT], database.delta[DM_BLOCKS_HIT] + database.delta[DM_BLOCKS_READ]));
	dbops_json_decimal(json, "deadlocks_per_hour", per_hour(&hour, DM_DEADLOCKS));
	dbops_json_decimal(json, "temp_bytes_per_second", dbops_ring_per_second(&database, DM_TEMP_BYTES));
	dbops_json_decimal(json, "wal_bytes_per_second", dbops_ring_per_second(&cluster, CM_WAL_POSITION));
	dbops_json_object_end(json);
}

/* The mean time of the statements of the window; NaN if there was none. */
static double
statement_time(const SampleWindow *window)
{
	double		calls = window->delta[DM_STATEMENT_CALLS];

	return (calls > 0) ? window->delta[DM_STATEMENT_TIME] / calls : NAN;
}

/* What happened once in a few minutes has not happened twelve times an hour. */
static double
per_hour(const SampleWindow *window, int position)
{
	return (window->seconds > 0) ? window->delta[position] * LONG_WINDOW / Max(window->seconds, LONG_WINDOW) : NAN;
}

/* Of the last minutes if enough was read then, else since the statistics' reset. */
static double
cache_hit_percent(const Health *health)
{
	SampleWindow window;
	double		percent = NAN;

	if (dbops_ring_window(MyDatabaseId, WINDOW, &window))
		percent = hit_percent(window.delta[DM_BLOCKS_HIT],
							  window.delta[DM_BLOCKS_HIT] + window.delta[DM_BLOCKS_READ]);
	if (isnan(percent) && dbops_health_stands(health, PART_COUNTERS))
		percent = dbops_hit_ratio(&health->counters);
	return percent;
}

/* The same of the blocks of indexes, which are read with the sizes. */
static double
index_hit_percent(const Health *health)
{
	SampleWindow window;
	double		percent = NAN;

	if (dbops_ring_window(MyDatabaseId, LONG_WINDOW, &window))
		percent = hit_percent(window.delta[DM_INDEX_HIT], window.delta[DM_INDEX_FETCHED]);
	if (isnan(percent) && dbops_health_has_index_figures(health))
		percent = dbops_figure_percent(health->sizes.index_hit, health->sizes.index_fetched);
	return percent;
}

static double
hit_percent(double hit, double fetched)
{
	return (fetched >= FEW_BLOCKS) ? dbops_figure_percent(hit, fetched) : NAN;
}

/* Put what the server may use of its host, as its control group sees it, and how hard it presses. */
void
dbops_health_put_host(DbopsJson *json)
{
	Sample		sample;

	if (!dbops_ring_newest(InvalidOid, &sample))
	{
		dbops_json_null(json, "host");
		return;
	}
	dbops_json_object(json, "host");
	dbops_json_decimal(json, "cpus", sample.values[CM_HOST_CPUS]);
	dbops_json_decimal(json, "load", sample.values[CM_HOST_LOAD]);
	dbops_health_put_bytes(json, "memory_total_bytes", sample.values[CM_MEMORY_TOTAL]);
	dbops_health_put_bytes(json, "memory_available_bytes", sample.values[CM_MEMORY_AVAILABLE]);
	dbops_json_decimal(json, "cpu_pressure_percent", sample.values[CM_PRESSURE_CPU]);
	dbops_json_decimal(json, "io_pressure_percent", sample.values[CM_PRESSURE_IO]);
	dbops_json_decimal(json, "memory_pressure_percent", sample.values[CM_PRESSURE_MEMORY]);
	dbops_json_object_end(json);
}
