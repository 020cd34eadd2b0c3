/*
 * retention_value.c
 *		Values of the column as numbers, in their own order.
 *
 * Every type that says when is stored as an integer, so that the value after
 * another one is known, and a batch can be one value.
 */
#include "maintain/retention.h"

#include "catalog/pg_type.h"
#include "utils/date.h"

int64
dbops_retention_raw(const PartitionClock *clock, Datum value)
{
	if (clock->type == DATEOID || clock->type == INT4OID)
		return DatumGetInt32(value);
	return DatumGetInt64(value);
}

Datum
dbops_retention_datum(const PartitionClock *clock, int64 raw)
{
	if (clock->type == DATEOID || clock->type == INT4OID)
		return Int32GetDatum((int32) raw);
	return Int64GetDatum(raw);
}

/* The least value that is finite; integers all are. */
int64
dbops_retention_least(const PartitionClock *clock)
{
	switch (clock->type)
	{
		case DATEOID:
			return (int64) DATEVAL_NOBEGIN + 1;
		case INT4OID:
			return PG_INT32_MIN;
		case INT8OID:
			return PG_INT64_MIN;
		default:
			return DT_NOBEGIN + 1;
	}
}
