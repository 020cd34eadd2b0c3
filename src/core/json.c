/*
 * json.c
 *		Reports as jsonb, a member at a time.
 *
 * Numbers are numbers with a fixed scale; what is not known is null, never
 * NaN, zero or an absent key.
 */
#include "core/core.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/numeric.h"

static void put_key(DbopsJson *json, const char *key);
static void put(DbopsJson *json, const char *key, JsonbValue *value);
static void put_numeric(DbopsJson *json, const char *key, Numeric number);

/* Open an object: the whole (a zeroed DbopsJson, no key), a member or, without a key, an element. */
void
dbops_json_object(DbopsJson *json, const char *key)
{
	put_key(json, key);
	pushJsonbValue(&json->state, WJB_BEGIN_OBJECT, NULL);
}

void
dbops_json_object_end(DbopsJson *json)
{
	json->value = pushJsonbValue(&json->state, WJB_END_OBJECT, NULL);
}

void
dbops_json_array(DbopsJson *json, const char *key)
{
	put_key(json, key);
	pushJsonbValue(&json->state, WJB_BEGIN_ARRAY, NULL);
}

void
dbops_json_array_end(DbopsJson *json)
{
	json->value = pushJsonbValue(&json->state, WJB_END_ARRAY, NULL);
}

/* Close the whole and return it. */
Jsonb *
dbops_json_finish(DbopsJson *json)
{
	dbops_json_object_end(json);
	return JsonbValueToJsonb(json->value);
}

void
dbops_json_null(DbopsJson *json, const char *key)
{
	JsonbValue	value = {.type = jbvNull};

	put(json, key, &value);
}

/* Put a text; NULL is null. */
void
dbops_json_text(DbopsJson *json, const char *key, const char *text)
{
	JsonbValue	value = {.type = jbvString};

	if (text == NULL)
	{
		dbops_json_null(json, key);
		return;
	}
	value.val.string.val = pstrdup(text);
	value.val.string.len = strlen(text);
	put(json, key, &value);
}

/* Put an array of texts; if there are none, nothing. */
void
dbops_json_texts(DbopsJson *json, const char *key, const List *texts)
{
	ListCell   *cell;

	if (texts == NIL)
		return;
	dbops_json_array(json, key);
	foreach(cell, texts)
		dbops_json_text(json, NULL, lfirst(cell));
	dbops_json_array_end(json);
}

void
dbops_json_boolean(DbopsJson *json, const char *key, bool boolean)
{
	JsonbValue	value = {.type = jbvBool, .val.boolean = boolean};

	put(json, key, &value);
}

void
dbops_json_integer(DbopsJson *json, const char *key, int64 number)
{
	put_numeric(json, key, int64_to_numeric(number));
}

/* Put a number with two decimals; one that is not finite is null. */
void
dbops_json_decimal(DbopsJson *json, const char *key, double number)
{
	if (isfinite(number) && fabs(number) < 1e16)
		put_numeric(json, key, int64_div_fast_to_numeric((int64) round(number * 100), 2));
	else
		dbops_json_null(json, key);
}

/* Put a time in ISO 8601, in the session's time zone; 0 is null. */
void
dbops_json_time(DbopsJson *json, const char *key, TimestampTz time)
{
	char		text[MAXDATELEN + 1];

	if (time == 0)
		dbops_json_null(json, key);
	else
		dbops_json_text(json, key,
						JsonEncodeDateTime(text, TimestampTzGetDatum(time),
										   TIMESTAMPTZOID, NULL));
}

/* Put a finished document; NULL is null. */
void
dbops_json_document(DbopsJson *json, const char *key, Jsonb *document)
{
	JsonbValue	value = {.type = jbvBinary};

	if (document == NULL)
	{
		dbops_json_null(json, key);
		return;
	}
	value.val.binary.data = &document->root;
	value.val.binary.len = VARSIZE(document) - VARHDRSZ;
	put(json, key, &value);
}

static void
put_numeric(DbopsJson *json, const char *key, Numeric number)
{
	JsonbValue	value = {.type = jbvNumeric, .val.numeric = number};

	put(json, key, &value);
}

static void
put(DbopsJson *json, const char *key, JsonbValue *value)
{
	put_key(json, key);
	pushJsonbValue(&json->state, key == NULL ? WJB_ELEM : WJB_VALUE, value);
}

static void
put_key(DbopsJson *json, const char *key)
{
	JsonbValue	value = {.type = jbvString};

	if (key == NULL)
		return;
	value.val.string.val = unconstify(char *, key);
	value.val.string.len = strlen(key);
	pushJsonbValue(&json->state, WJB_KEY, &value);
}
