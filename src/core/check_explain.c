/*
 * check_explain.c
 *		What reports show beside a finding: what is shipped for its check, and what
 *		a user has changed of that.
 */
#include "core/check.h"

static void copy_members(DbopsJson *json, Jsonb *data);
static void put_default(DbopsJson *json, const DbopsThreshold *threshold);
static void put_setting(DbopsJson *json, const DbopsCheckSetting *setting);
static void put_changed(DbopsJson *json, const char *key, double figure, const char *infinite);

/*
 * Add to the figures of a finding what dbops ships for its check, what a user
 * has changed of that (null: nothing), whose figures they are, and since when
 * it is so and until when it is muted.
 */
Jsonb *
dbops_check_explain(const DbopsCheckRun *run, const DbopsFinding *finding)
{
	const DbopsCheck *check = finding->check;
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	if (finding->data != NULL)
		copy_members(&json, finding->data);
	if (check != NULL)
	{
		put_default(&json, &check->threshold);
		put_setting(&json, dbops_override_of(dbops_check_overrides(run, check), check));
	}
	dbops_json_time(&json, "since", finding->since);
	dbops_json_time(&json, "muted_until", finding->muted_until);
	return dbops_json_finish(&json);
}

static void
copy_members(DbopsJson *json, Jsonb *data)
{
	JsonbIterator *iterator = JsonbIteratorInit(&data->root);
	JsonbValue	value;
	JsonbIteratorToken token;

	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
		if (token == WJB_KEY || token == WJB_VALUE)
			pushJsonbValue(&json->state, token, &value);
}

static void
put_default(DbopsJson *json, const DbopsThreshold *threshold)
{
	dbops_json_object(json, "default");
	if (threshold->unit != NULL)
	{
		dbops_check_put_figure(json, "warning", threshold->warning);
		dbops_check_put_figure(json, "critical", threshold->critical);
		if (threshold->guard_unit != NULL)
		{
			dbops_check_put_figure(json, "guard", threshold->guard);
			dbops_json_text(json, "guards", dbops_threshold_guards(threshold));
		}
	}
	dbops_json_integer(json, "duration", threshold->duration);
	dbops_json_integer(json, "keep_firing", threshold->keep_firing);
	dbops_check_put_figure(json, "clear", threshold->clear);
	dbops_json_object_end(json);
	dbops_json_text(json, "source", threshold->source);
}

static void
put_setting(DbopsJson *json, const DbopsCheckSetting *setting)
{
	if (setting == NULL)
	{
		dbops_json_null(json, "setting");
		return;
	}
	dbops_json_object(json, "setting");
	dbops_json_boolean(json, "enabled", setting->enabled);
	put_changed(json, "warning", setting->warning, "never");
	put_changed(json, "critical", setting->critical, "never");
	put_changed(json, "guard", setting->guard, "none");
	put_changed(json, "clear", setting->clear, "never");
	if (setting->duration >= 0)
		dbops_json_integer(json, "duration", setting->duration);
	if (setting->keep_firing >= 0)
		dbops_json_integer(json, "keep_firing", setting->keep_firing);
	dbops_json_object_end(json);
}

/* What was not changed is left out, and what is infinite has a word. */
static void
put_changed(DbopsJson *json, const char *key, double figure, const char *infinite)
{
	if (figure == DBOPS_NO_THRESHOLD)
		dbops_json_text(json, key, infinite);
	else if (!isnan(figure))
		dbops_check_put_figure(json, key, figure);
}
