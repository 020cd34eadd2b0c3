/*
 * json_read.c
 *		Read the members of a jsonb object.
 *
 * What is missing, null or of another type is NULL, 0 or false: these are for
 * documents that dbops has written, or checked, itself.
 */
#include "core/core.h"

#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

static bool find(const Jsonb *object, const char *key, enum jbvType type, JsonbValue *value);
static int64 integer_of(const JsonbValue *value);

const char *
dbops_jsonb_text(const Jsonb *object, const char *key)
{
	JsonbValue	value;

	if (!find(object, key, jbvString, &value))
		return NULL;
	return pnstrdup(value.val.string.val, value.val.string.len);
}

int64
dbops_jsonb_integer(const Jsonb *object, const char *key)
{
	JsonbValue	value;

	return find(object, key, jbvNumeric, &value) ? integer_of(&value) : 0;
}

double
dbops_jsonb_decimal(const Jsonb *object, const char *key)
{
	JsonbValue	value;

	if (!find(object, key, jbvNumeric, &value))
		return 0;
	return DatumGetFloat8(DirectFunctionCall1(numeric_float8, NumericGetDatum(value.val.numeric)));
}

bool
dbops_jsonb_boolean(const Jsonb *object, const char *key)
{
	JsonbValue	value;

	return find(object, key, jbvBool, &value) && value.val.boolean;
}

/* An object or array in the object. */
Jsonb *
dbops_jsonb_document(const Jsonb *object, const char *key)
{
	JsonbValue	value;

	return find(object, key, jbvBinary, &value) ? JsonbValueToJsonb(&value) : NULL;
}

/* An array of integers; returns how many. */
int
dbops_jsonb_integers(const Jsonb *object, const char *key, int64 **numbers)
{
	Jsonb	   *array = dbops_jsonb_document(object, key);
	int			n = (array == NULL) ? 0 : JB_ROOT_COUNT(array);

	*numbers = palloc(sizeof(int64) * (n + 1));
	for (int i = 0; i < n; i++)
		(*numbers)[i] = integer_of(getIthJsonbValueFromContainer(&array->root, i));
	return n;
}

/* An array of texts, as a list of char *. */
List *
dbops_jsonb_texts(const Jsonb *object, const char *key)
{
	Jsonb	   *array = dbops_jsonb_document(object, key);
	int			n = (array == NULL) ? 0 : JB_ROOT_COUNT(array);
	List	   *texts = NIL;

	for (int i = 0; i < n; i++)
	{
		JsonbValue *value = getIthJsonbValueFromContainer(&array->root, i);

		texts = lappend(texts, pnstrdup(value->val.string.val, value->val.string.len));
	}
	return texts;
}

/* An array of objects, as a list of Jsonb *. */
List *
dbops_jsonb_documents(const Jsonb *object, const char *key)
{
	Jsonb	   *array = dbops_jsonb_document(object, key);
	int			n = (array == NULL) ? 0 : JB_ROOT_COUNT(array);
	List	   *documents = NIL;

	for (int i = 0; i < n; i++)
		documents = lappend(documents, JsonbValueToJsonb(getIthJsonbValueFromContainer(&array->root, i)));
	return documents;
}

static bool
find(const Jsonb *object, const char *key, enum jbvType type, JsonbValue *value)
{
	return object != NULL && JB_ROOT_IS_OBJECT(object) &&
		getKeyJsonValueFromContainer(unconstify(JsonbContainer *, &object->root),
									 key, strlen(key), value) != NULL &&
		value->type == type;
}

static int64
integer_of(const JsonbValue *value)
{
	return DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(value->val.numeric)));
}
