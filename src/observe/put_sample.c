/*
 * put_sample.c
 *		put_sample(): figures of somebody's choice instead of the server's.
 *
 * What becomes of samples can be seen only with samples that are known. They go
 * into the session's own ring, where it has one, and never among the server's.
 */
#include "observe/metric.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

PG_FUNCTION_INFO_V1(dbops_put_sample);

static void take_figures(Jsonb *figures, Oid database, Sample *sample);
static void take_figure(const JsonbValue *key, const JsonbValue *value, Oid database, Sample *sample);

/* put_sample(figures jsonb, epoch timestamptz, cadence interval, of_cluster boolean) → void */
Datum
dbops_put_sample(PG_FUNCTION_ARGS)
{
	Oid			database = PG_GETARG_BOOL(3) ? InvalidOid : MyDatabaseId;
	Sample		sample = {
		.at = dbops_clock_now(),
		.epoch = PG_GETARG_TIMESTAMPTZ(1),
		.cadence = (int) dbops_interval_ms(PG_GETARG_INTERVAL_P(2))
	};

	if (!dbops_ring_is_own())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the samples of this session are the server's"),
				 errhint("SET dbops.test_now first, in a server without dbops.test_clock.")));
	if (sample.cadence <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cadence must be positive"),
				 errhint("Such as '10 s'.")));
	take_figures(PG_GETARG_JSONB_P(0), database, &sample);
	(void) dbops_ring_take(database, sample.at, true);
	(void) dbops_ring_put(database, &sample);
	PG_RETURN_VOID();
}

static void
take_figures(Jsonb *figures, Oid database, Sample *sample)
{
	JsonbIterator *iterator = JsonbIteratorInit(&figures->root);
	JsonbIteratorToken token;
	JsonbValue	item;
	JsonbValue	key = {.type = jbvNull};

	for (int i = 0; i < N_MOST_METRICS; i++)
		sample->values[i] = NAN;
	while ((token = JsonbIteratorNext(&iterator, &item, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			key = item;
		else if (token == WJB_VALUE)
			take_figure(&key, &item, database, sample);
	}
}

static void
take_figure(const JsonbValue *key, const JsonbValue *value, Oid database, Sample *sample)
{
	char	   *name = pnstrdup(key->val.string.val, key->val.string.len);
	int			position = dbops_metric_position(database, name);

	if (position < 0 || value->type != jbvNumeric)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is no metric, or its value no number", name),
				 errhint("SELECT name, database, about FROM dbops.metrics() lists them.")));
	sample->values[position] = DatumGetFloat8(DirectFunctionCall1(numeric_float8, NumericGetDatum(value->val.numeric)));
}
