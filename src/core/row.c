/*
 * row.c
 *		Values on their way into a query and out of its rows.
 */
#include "core/core.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

static Datum column_value(HeapTuple row, TupleDesc desc, int column, Oid type, bool *isnull);

DbopsParam
dbops_param_text(const char *text)
{
	return (DbopsParam)
	{
		.type = TEXTOID, .isnull = (text == NULL),
		.value = (text == NULL) ? (Datum) 0 : CStringGetTextDatum(text)
	};
}

DbopsParam
dbops_param_texts(List *texts)
{
	Datum	   *values = palloc(sizeof(Datum) * (list_length(texts) + 1));
	ListCell   *cell;

	foreach(cell, texts)
		values[foreach_current_index(cell)] = CStringGetTextDatum(lfirst(cell));
	return (DbopsParam)
	{
		.type = TEXTARRAYOID,
		.value = PointerGetDatum(construct_array(values, list_length(texts), TEXTOID,
												 -1, false, TYPALIGN_INT))
	};
}

DbopsParam
dbops_param_int4(int32 number)
{
	return (DbopsParam) {.type = INT4OID, .value = Int32GetDatum(number)};
}

DbopsParam
dbops_param_int8(int64 number)
{
	return (DbopsParam) {.type = INT8OID, .value = Int64GetDatum(number)};
}

DbopsParam
dbops_param_bool(bool boolean)
{
	return (DbopsParam) {.type = BOOLOID, .value = BoolGetDatum(boolean)};
}

DbopsParam
dbops_param_oid(Oid oid)
{
	return (DbopsParam) {.type = OIDOID, .value = ObjectIdGetDatum(oid), .isnull = !OidIsValid(oid)};
}

/* Of a list of OIDs, which may be empty. */
DbopsParam
dbops_param_oids(const List *oids)
{
	Datum	   *values = palloc(sizeof(Datum) * (list_length(oids) + 1));
	int			n = 0;
	ListCell   *cell;

	foreach(cell, oids)
		values[n++] = ObjectIdGetDatum(lfirst_oid(cell));
	return (DbopsParam)
	{
		.type = OIDARRAYOID,
		.value = PointerGetDatum(construct_array(values, n, OIDOID, sizeof(Oid), true, TYPALIGN_INT))
	};
}

/* Values of a type that has arrays, as one; none is null. */
DbopsParam
dbops_param_array(Datum *values, int n, Oid type)
{
	int16		length;
	bool		by_value;
	char		align;

	get_typlenbyvalalign(type, &length, &by_value, &align);
	return (DbopsParam)
	{
		.type = get_array_type(type),
		.value = PointerGetDatum(construct_array(values, n, type, length, by_value, align))
	};
}

DbopsParam
dbops_param_time(TimestampTz time)
{
	return (DbopsParam) {.type = TIMESTAMPTZOID, .value = TimestampTzGetDatum(time), .isnull = (time == 0)};
}

DbopsParam
dbops_param_jsonb(const Jsonb *document)
{
	return (DbopsParam) {.type = JSONBOID, .value = PointerGetDatum(document), .isnull = (document == NULL)};
}

char *
dbops_row_text(HeapTuple row, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = column_value(row, desc, column, TEXTOID, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

List *
dbops_row_texts(HeapTuple row, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = column_value(row, desc, column, TEXTARRAYOID, &isnull);

	return isnull ? NIL : dbops_texts(DatumGetArrayTypeP(value));
}

int64
dbops_row_int8(HeapTuple row, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = column_value(row, desc, column, INT8OID, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

int32
dbops_row_int4(HeapTuple row, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = column_value(row, desc, column, INT4OID, &isnull);

	return isnull ? 0 : DatumGetInt32(value);
}

double
dbops_row_float8(HeapTuple row, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = column_value(row, desc, column, FLOAT8OID, &isnull);

	return isnull ? NAN : DatumGetFloat8(value);
}

bool
dbops_row_bool(HeapTuple row, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = column_value(row, desc, column, BOOLOID, &isnull);

	return !isnull && DatumGetBool(value);
}

Oid
dbops_row_oid(HeapTuple row, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = column_value(row, desc, column, OIDOID, &isnull);

	return isnull ? InvalidOid : DatumGetObjectId(value);
}

TimestampTz
dbops_row_time(HeapTuple row, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = column_value(row, desc, column, TIMESTAMPTZOID, &isnull);

	return isnull ? 0 : DatumGetTimestampTz(value);
}

Jsonb *
dbops_row_jsonb(HeapTuple row, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = column_value(row, desc, column, JSONBOID, &isnull);

	return isnull ? NULL : DatumGetJsonbPCopy(value);
}

/* Take a column for what the caller says it is; an OID may be a role or a table. */
static Datum
column_value(HeapTuple row, TupleDesc desc, int column, Oid type, bool *isnull)
{
	Oid			actual = TupleDescAttr(desc, column - 1)->atttypid;

	if (actual != type &&
		!(type == OIDOID && (actual == REGROLEOID || actual == REGCLASSOID)))
		elog(ERROR, "column %d has type %u where type %u is expected", column, actual, type);
	return heap_getattr(row, column, desc, isnull);
}
