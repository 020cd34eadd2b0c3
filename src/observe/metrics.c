/*
 * metrics.c
 *		metrics(), collector_status() and host_figures(): what is sampled, as it stands.
 *
 * Figures are those of the newest sample, with what a counter gained in a second over the last
 * minute. Where the session has a ring of its own, because dbops is not
 * preloaded, the first sample is taken for the caller.
 */
#include "observe/metric.h"

#include "catalog/pg_database.h"
#include "catalog/pg_authid_d.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "access/htup_details.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#define LAST_MINUTE		60.0	/* s */

PG_FUNCTION_INFO_V1(dbops_collector_status);
PG_FUNCTION_INFO_V1(dbops_host_figures);
PG_FUNCTION_INFO_V1(dbops_metrics);

static void require_file_rights(void);
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

/* collector_status() → (preloaded, stale, last_sample, tick_ms, samples, overruns, failures) */
Datum
dbops_collector_status(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	CollectorState state;
	Datum		values[7];
	bool		nulls[7] = {0};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "a row is expected");
	dbops_collector_state(&state);
	values[0] = BoolGetDatum(state.preloaded);
	values[1] = BoolGetDatum(state.stale);
	values[2] = TimestampTzGetDatum(state.last);
	nulls[2] = (state.last == 0);
	values[3] = number(state.tick_ms, &nulls[3]);
	values[4] = Int64GetDatum(state.samples);
	values[5] = Int64GetDatum(state.overruns);
	values[6] = Int64GetDatum(state.failures);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* host_figures(directory text) → (cpus, load, memory_total, memory_available, pressure_cpu, pressure_io, pressure_memory, memory_kills, swapped_in) */
Datum
dbops_host_figures(PG_FUNCTION_ARGS)
{
	char	   *directory = dbops_text_argument(fcinfo, 0);
	TupleDesc	desc;
	Host		host;
	Datum		values[9];
	bool		nulls[9];

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "a row is expected");
	if (directory != NULL)
		require_file_rights();
	dbops_host_read(directory == NULL ? "" : directory, &host);
	values[0] = number(host.cpus, &nulls[0]);
	values[1] = number(host.load, &nulls[1]);
	values[2] = number(host.memory_total, &nulls[2]);
	values[3] = number(host.memory_available, &nulls[3]);
	values[4] = number(host.pressure_cpu, &nulls[4]);
	values[5] = number(host.pressure_io, &nulls[5]);
	values[6] = number(host.pressure_memory, &nulls[6]);
	values[7] = number(host.memory_kills, &nulls[7]);
	values[8] = number(host.memory_swapped_in, &nulls[8]);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* Other directories than the kernel's are read as any file of the server is. */
static void
require_file_rights(void)
{
	if (!has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to read files of the server"),
				 errhint("Leave the directory out, or have a superuser GRANT pg_read_server_files.")));
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
