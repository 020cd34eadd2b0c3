/*
 * metrics.c
 *		metrics(): every figure that is sampled, as it stands.
 *
 * From the newest sample, with what a counter gained in a second over the last
 * minute. Where the session has a ring of its own, because dbops is not
 * preloaded, the first sample is taken for the caller.
 */
#include "observe/metric.h"

#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#define LAST_MINUTE		60.0	/* s */

PG_FUNCTION_INFO_V1(dbops_metrics);

static void put_metrics(ReturnSetInfo *result, Oid database, const char *name);
static Datum number(double value, bool *isnull);

/* metrics() → SETOF (name, database, kind, unit, value, per_second, about) */
Datum
dbops_metrics(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	char	   *name = get_database_name(MyDatabaseId);

	Sample		newest;

	InitMaterializedSRF(fcinfo, 0);
	if (dbops_ring_is_own() && !dbops_ring_newest(InvalidOid, &newest))
		dbops_collector_sample();
	put_metrics(result, InvalidOid, NULL);
	put_metrics(result, MyDatabaseId, name);
	return (Datum) 0;
}

static void
put_metrics(ReturnSetInfo *result, Oid database, const char *name)
{
	SampleWindow window;

	(void) dbops_ring_window(database, LAST_MINUTE, &window);
	if (window.newest.at == 0)
		return;
	for (int i = 0; i < dbops_metric_count(database); i++)
	{
		const Metric *metric = dbops_metric(database, i);
		bool		counts = (metric->kind == METRIC_COUNTER);
		Datum		values[7];
		bool		nulls[7] = {0};

		values[0] = CStringGetTextDatum(metric->name);
		values[1] = (name == NULL) ? (Datum) 0 : CStringGetTextDatum(name);
		nulls[1] = (name == NULL);
		values[2] = CStringGetTextDatum(counts ? "counter" : "gauge");
		values[3] = CStringGetTextDatum(metric->unit);
		values[4] = number(window.newest.values[i], &nulls[4]);
		values[5] = number(counts ? dbops_ring_per_second(&window, i) : NAN, &nulls[5]);
		values[6] = CStringGetTextDatum(metric->about);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
}

/* What is not known is null. */
static Datum
number(double value, bool *isnull)
{
	*isnull = isnan(value);
	return *isnull ? (Datum) 0 : Float8GetDatum(value);
}
