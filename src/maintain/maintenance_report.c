/*
 * maintenance_report.c
 *		maintenance_report(): what policies have done, won or left out.
 */
#include "maintain/policy.h"

#include "catalog/pg_type.h"
#include "datatype/timestamp.h"

#define REPORTED	INT64CONST(7 * 86400000)	/* ms, when nothing is said; a double would make infinity another time */

PG_FUNCTION_INFO_V1(dbops_maintenance_report);

/* maintenance_report(since timestamptz) → the notes since then, the latest first */
Datum
dbops_maintenance_report(PG_FUNCTION_ARGS)
{
	TimestampTz since = PG_ARGISNULL(0) ? TimestampTzPlusMilliseconds(dbops_clock_now(), -REPORTED) :
		PG_GETARG_TIMESTAMPTZ(0);
	DbopsParam	param = {.type = TIMESTAMPTZOID,.value = TimestampTzGetDatum(since)};

	if (TIMESTAMP_IS_NOEND(since))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("since must not be infinity"),
				 errhint("Give a time, -infinity for all that is kept, or null for the last 7 days.")));
	InitMaterializedSRF(fcinfo, 0);
	dbops_store_report((ReturnSetInfo *) fcinfo->resultinfo,
					   "SELECT last_at, kind, object, action, outcome, times, row_count, bytes_before, bytes_after,"
					   " bytes_before - bytes_after, duration * interval '1 ms', message, job_id"
					   " FROM dbops.maintenance_log WHERE last_at >= $1 ORDER BY last_at DESC, id DESC",
					   1, &param);
	return (Datum) 0;
}
