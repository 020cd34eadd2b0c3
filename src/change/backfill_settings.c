/*
 * backfill_settings.c
 *		What of a running backfill can be changed, and under which settings of
 *		the session its expressions are evaluated.
 *
 * A job runs in another session than the one that submitted it. What the
 * submitter's settings make of a value (the day that a time falls on, how a
 * date is read and written) they shall make of it there.
 */
#include "change/change.h"

#include <math.h>

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/numeric.h"

static const char *const meaning[] = {
	"DateStyle",
	"IntervalStyle",
	"TimeZone",
	"array_nulls",
	"bytea_output",
	"default_text_search_config",
	"extra_float_digits",
	"lc_monetary",
	"lc_numeric",
	"lc_time",
	"transform_null_equals",
	"xmlbinary",
	"xmloption"
};

static void use(const char *name, const char *value);
static void refuse_setting(const char *key, const char *hint);
static int64 read_batch_size(const JsonbValue *value);
static int	read_workers(const JsonbValue *value);
static int64 integer_of(const JsonbValue *value);
static long read_pause(const JsonbValue *value);

/* The settings of this session that values depend on. */
Jsonb *
dbops_backfill_submission_settings(void)
{
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	for (int i = 0; i < lengthof(meaning); i++)
		dbops_json_text(&json, meaning[i], GetConfigOption(meaning[i], false, false));
	return dbops_json_finish(&json);
}

/* Let them hold until the nested settings end. The texts are written for the first. */
void
dbops_backfill_use_settings(const BackfillChange *change)
{
	use("standard_conforming_strings", "on");
	for (int i = 0; change->settings != NULL && i < lengthof(meaning); i++)
		use(meaning[i], dbops_jsonb_text(change->settings, meaning[i]));
}

/* The same, and the search_path that the texts are written for. */
void
dbops_backfill_use_meaning(const BackfillChange *change)
{
	dbops_set_nested("search_path", change->path);
	dbops_backfill_use_settings(change);
}

static void
use(const char *name, const char *value)
{
	if (value != NULL && strcmp(GetConfigOption(name, false, false), value) != 0)
		dbops_set_nested(name, value);
}

/* Check what tune_job is to change. */
void
dbops_backfill_check_settings(Jsonb *settings)
{
	JsonbIterator *members = JsonbIteratorInit(&settings->root);
	JsonbValue	key;
	JsonbValue	value;
	JsonbIteratorToken token;

	while ((token = JsonbIteratorNext(&members, &key, true)) != WJB_DONE)
	{
		char	   *name;

		if (token != WJB_KEY)
			continue;
		(void) JsonbIteratorNext(&members, &value, true);
		name = pnstrdup(key.val.string.val, key.val.string.len);
		if (strcmp(name, "batch_size") == 0)
			(void) read_batch_size(&value);
		else if (strcmp(name, "pause") == 0)
			(void) read_pause(&value);
		else if (strcmp(name, "workers") == 0)
			(void) read_workers(&value);
		else
			refuse_setting(name, "A backfill has the settings batch_size, pause and workers.");
	}
}

/* Take over what tune_job has changed. */
void
dbops_backfill_tune(BackfillRun *run, Jsonb *settings)
{
	BackfillRequest *request = &run->request;
	int			before = request->batch_size;
	JsonbValue	value;
	ListCell   *cell;

	if (settings == NULL)
		return;
	if (getKeyJsonValueFromContainer(&settings->root, "pause", strlen("pause"), &value) != NULL)
		request->pause = read_pause(&value);
	if (getKeyJsonValueFromContainer(&settings->root, "workers", strlen("workers"), &value) != NULL)
		request->workers = integer_of(&value);
	if (getKeyJsonValueFromContainer(&settings->root, "batch_size", strlen("batch_size"), &value) != NULL)
		request->batch_size = read_batch_size(&value);
	if (request->batch_size == before)
		return;

	foreach(cell, run->leaves)
	{
		BackfillLeaf *leaf = lfirst(cell);
		double		blocks = (double) leaf->batch_blocks * request->batch_size / before;

		leaf->batch_rows = request->batch_size;
		leaf->batch_blocks = (BlockNumber) Min(Max(blocks, 1), Max(leaf->blocks, 1));
	}
	if (run->walk.leaf != NULL)
		run->walk.size = Min(run->walk.size, run->walk.leaf->batch_blocks);
}

static int64
read_batch_size(const JsonbValue *value)
{
	int64		size = integer_of(value);

	if (size < 1 || size > PG_INT32_MAX)
		refuse_setting("batch_size", "Give a number of rows, at least 1.");
	return size;
}

/* Who is worker 1 is not known here: a session may be, beside the background. */
static int
read_workers(const JsonbValue *value)
{
	int64		workers = integer_of(value);

	if (workers < 1 || workers > dbops_backfill_most_workers(true))
		refuse_setting("workers", psprintf("Give a number of processes, from 1 to %d (dbops.max_workers, and one in a CALL).",
										   dbops_backfill_most_workers(true)));
	return (int) workers;
}

/* A number as an integer; what is none is 0. */
static int64
integer_of(const JsonbValue *value)
{
	if (value->type != jbvNumeric)
		return 0;
	return DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(value->val.numeric)));
}

/* Milliseconds as a number, or an interval as text. */
static long
read_pause(const JsonbValue *value)
{
	if (value->type == jbvNumeric)
	{
		Interval   *pause = dbops_interval_of_ms(DatumGetInt64(DirectFunctionCall1(numeric_int8,
																				   NumericGetDatum(value->val.numeric))));

		return dbops_backfill_check_pause(pause);
	}
	if (value->type != jbvString)
		refuse_setting("pause", "Give a number of milliseconds, or an interval as text.");
	return dbops_backfill_check_pause(DatumGetIntervalP(
				DirectFunctionCall3(interval_in,
									CStringGetDatum(pnstrdup(value->val.string.val, value->val.string.len)),
									ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1))));
}

static void
refuse_setting(const char *key, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid setting \"%s\" of a backfill", key),
			 errhint("%s", hint)));
}
