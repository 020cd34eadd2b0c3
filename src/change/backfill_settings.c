/*
 * backfill_settings.c
 *		What of a running backfill can be changed.
 */
#include "change/change.h"

#include <math.h>

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/numeric.h"

/* What can be changed while it runs, in the order of their names. */
typedef struct Setting
{
	const char *name;
	void		(*take) (const JsonbValue *value, BackfillRequest *request);	/* or refuse it */
} Setting;

static const Setting *find_tunable(const char *name);
static const char *setting_names(void);
static void resize_batches(BackfillRun *run, int before);
static void take_batch_size(const JsonbValue *value, BackfillRequest *request);
static void take_batch_time(const JsonbValue *value, BackfillRequest *request);
static void take_max_wal(const JsonbValue *value, BackfillRequest *request);
static void take_pause(const JsonbValue *value, BackfillRequest *request);
static void take_workers(const JsonbValue *value, BackfillRequest *request);
static void take_yield(const JsonbValue *value, BackfillRequest *request);
static void refuse_too_many(int workers);
static const char *workers_hint(void);
static int64 read_number(const char *name, const JsonbValue *value, int64 least, int64 most, const char *hint);
static void refuse_setting(const char *name, const char *hint);

static const Setting settings[] = {
	{"batch_size", take_batch_size},
	{"batch_time", take_batch_time},
	{"max_wal_per_s", take_max_wal},
	{"pause", take_pause},
	{"workers", take_workers},
	{"yield", take_yield}
};

/* Check what tune_job is to change. */
void
dbops_backfill_check_settings(Jsonb *document)
{
	JsonbIterator *members = JsonbIteratorInit(&document->root);
	BackfillRequest unused = {0};
	JsonbValue	key;
	JsonbValue	value;
	JsonbIteratorToken token;

	while ((token = JsonbIteratorNext(&members, &key, true)) != WJB_DONE)
	{
		if (token != WJB_KEY)
			continue;
		(void) JsonbIteratorNext(&members, &value, true);
		find_tunable(pnstrdup(key.val.string.val, key.val.string.len))->take(&value, &unused);
	}
	refuse_too_many(unused.workers);
}

static const Setting *
find_tunable(const char *name)
{
	for (int i = 0; i < lengthof(settings); i++)
		if (strcmp(settings[i].name, name) == 0)
			return &settings[i];
	refuse_setting(name, psprintf("A backfill has the settings %s.", setting_names()));
	return NULL;				/* keep compiler quiet */
}

/* All of them, as a sentence lists them. */
static const char *
setting_names(void)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < lengthof(settings); i++)
		appendStringInfo(&names, "%s%s", i == 0 ? "" : i + 1 < lengthof(settings) ? ", " : " and ",
						 settings[i].name);
	return names.data;
}

/* Take over what tune_job has changed. */
void
dbops_backfill_tune(BackfillRun *run, Jsonb *document)
{
	int			before = run->request.batch_size;
	JsonbValue	value;

	if (document == NULL)
		return;
	for (int i = 0; i < lengthof(settings); i++)
		if (getKeyJsonValueFromContainer(&document->root, settings[i].name,
										 strlen(settings[i].name), &value) != NULL)
			settings[i].take(&value, &run->request);
	if (run->request.batch_size != before)
		resize_batches(run, before);
}

static void
resize_batches(BackfillRun *run, int before)
{
	int			rows = run->request.batch_size;
	ListCell   *cell;

	foreach(cell, run->leaves)
	{
		BackfillLeaf *leaf = lfirst(cell);
		double		blocks = (double) leaf->batch_blocks * rows / before;

		leaf->batch_rows = rows;
		leaf->batch_blocks = (BlockNumber) Min(Max(blocks, 1), Max(leaf->blocks, 1));
	}
	if (run->walk.leaf != NULL)
		dbops_pace_bound(&run->walk.pace, run->walk.leaf->batch_blocks);
}

static void
take_batch_size(const JsonbValue *value, BackfillRequest *request)
{
	request->batch_size = (int) read_number("batch_size", value, 1, PG_INT32_MAX,
											"Give a number of rows, at least 1.");
}

static void
take_batch_time(const JsonbValue *value, BackfillRequest *request)
{
	request->limits.batch_time = (value->type == jbvNull) ? 0 :
		(int) read_number("batch_time", value, 1, 60000,
						  "Give a number of milliseconds between 1 and 60000, or null for dbops.backfill_batch_time.");
}

static void
take_max_wal(const JsonbValue *value, BackfillRequest *request)
{
	const char *hint = "Give a number of bytes, at least 1 MB (1048576), or 0 or null for no limit.";

	request->limits.max_wal = (value->type == jbvNull) ? 0 :
		read_number("max_wal_per_s", value, 0, PG_INT64_MAX / 2, hint);
	if (request->limits.max_wal > 0 && request->limits.max_wal < BACKFILL_LEAST_WAL)
		refuse_setting("max_wal_per_s", hint);
}

/* Milliseconds as a number, or an interval as text. */
static void
take_pause(const JsonbValue *value, BackfillRequest *request)
{
	const char *hint = "Give a number of milliseconds, at most 1 hour, or an interval as text.";

	if (value->type != jbvString)
		request->limits.pause = (long) read_number("pause", value, 0, SECS_PER_HOUR * 1000, hint);
	else
		request->limits.pause = dbops_backfill_check_pause(DatumGetIntervalP(
				DirectFunctionCall3(interval_in,
									CStringGetDatum(pnstrdup(value->val.string.val, value->val.string.len)),
									ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1))));
}

static void
take_workers(const JsonbValue *value, BackfillRequest *request)
{
	request->workers = (int) read_number("workers", value, 1, PG_INT32_MAX, workers_hint());
}

static void
take_yield(const JsonbValue *value, BackfillRequest *request)
{
	if (value->type != jbvBool)
		refuse_setting("yield", "Give true or false: whether it leaves time to commits that wait.");
	request->limits.yield = value->val.boolean;
}

/* As many as there can be now; a job that has more goes on with fewer. */
static void
refuse_too_many(int workers)
{
	if (workers > dbops_backfill_most_workers(true))
		refuse_setting("workers", workers_hint());
}

/* Who is worker 1 is not known here: a session may be, beside the background. */
static const char *
workers_hint(void)
{
	return psprintf("Give a number of processes, from 1 to %d (dbops.max_workers, and one in a CALL).",
					dbops_backfill_most_workers(true));
}

/* A whole number within bounds. */
static int64
read_number(const char *name, const JsonbValue *value, int64 least, int64 most, const char *hint)
{
	double		number = NAN;

	if (value->type == jbvNumeric)
		number = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow,
													NumericGetDatum(value->val.numeric)));
	if (isnan(number) || rint(number) != number || number < least || number > most)
		refuse_setting(name, hint);
	return (int64) number;
}

static void
refuse_setting(const char *name, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid setting \"%s\" of a backfill", name),
			 errhint("%s", hint)));
}
