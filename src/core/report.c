/*
 * report.c
 *		Rows of reports, a column at a time.
 *
 * A report has twenty columns and more; filled one after the other, in the
 * order in which its function declares them, each knows for itself whether it
 * is null. That their number fits is checked with every row.
 */
#include "core/report.h"

#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

static void add(ReportRow *row, Datum value, bool isnull);

void
dbops_report_begin(ReportRow *row, ReturnSetInfo *rsinfo)
{
	row->rsinfo = rsinfo;
	row->n = 0;
}

/* Return the row, and begin the next. */
void
dbops_report_put(ReportRow *row)
{
	if (row->n != row->rsinfo->setDesc->natts)
		elog(ERROR, "a row of %d columns where there are %d", row->n, row->rsinfo->setDesc->natts);
	tuplestore_putvalues(row->rsinfo->setResult, row->rsinfo->setDesc, row->values, row->nulls);
	row->n = 0;
}

static void
add(ReportRow *row, Datum value, bool isnull)
{
	if (row->n == lengthof(row->values))
		elog(ERROR, "too many columns");
	row->values[row->n] = value;
	row->nulls[row->n++] = isnull;
}

void
dbops_report_null(ReportRow *row)
{
	add(row, (Datum) 0, true);
}

void
dbops_report_text(ReportRow *row, const char *text)
{
	add(row, text == NULL ? (Datum) 0 : CStringGetTextDatum(text), text == NULL);
}

void
dbops_report_integer(ReportRow *row, int number)
{
	add(row, Int32GetDatum(number), false);
}

void
dbops_report_pid(ReportRow *row, int pid)
{
	add(row, Int32GetDatum(pid), pid == 0);
}

/* As oid, regclass or the like. */
void
dbops_report_oid(ReportRow *row, Oid oid)
{
	add(row, ObjectIdGetDatum(oid), !OidIsValid(oid));
}

/* A list of integers; an empty one is null. */
void
dbops_report_pids(ReportRow *row, const List *pids)
{
	Datum	   *values = palloc(sizeof(Datum) * (list_length(pids) + 1));
	ListCell   *cell;

	foreach(cell, pids)
		values[foreach_current_index(cell)] = Int32GetDatum(lfirst_int(cell));
	add(row, PointerGetDatum(construct_array(values, list_length(pids), INT4OID,
											 sizeof(int32), true, TYPALIGN_INT)), pids == NIL);
}

void
dbops_report_bigint(ReportRow *row, int64 number)
{
	add(row, Int64GetDatum(number), false);
}

void
dbops_report_bytes(ReportRow *row, int64 bytes)
{
	add(row, Int64GetDatum(bytes), bytes < 0);
}

/* As numeric, with two places. */
void
dbops_report_decimal(ReportRow *row, double number)
{
	Datum		value = (Datum) 0;

	if (!isnan(number))
		value = DirectFunctionCall2(numeric_round,
									DirectFunctionCall1(float8_numeric, Float8GetDatum(number)),
									Int32GetDatum(2));
	add(row, value, isnan(number));
}

void
dbops_report_boolean(ReportRow *row, bool boolean)
{
	add(row, BoolGetDatum(boolean), false);
}

void
dbops_report_time(ReportRow *row, TimestampTz time)
{
	add(row, TimestampTzGetDatum(time), time == 0);
}

void
dbops_report_interval(ReportRow *row, double seconds)
{
	add(row, isnan(seconds) ? (Datum) 0 : IntervalPGetDatum(dbops_interval_of_ms((int64) (seconds * 1000))),
		isnan(seconds));
}

/* May the caller see the texts of others' statements? */
bool
dbops_report_shows_texts(void)
{
	return has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS);
}

/* Take a row_limit: a number of rows; null is all of them. */
int
dbops_report_limit(FunctionCallInfo fcinfo, int argument)
{
	if (PG_ARGISNULL(argument))
		return PG_INT32_MAX;
	if (PG_GETARG_INT32(argument) < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("row_limit must be at least 1"),
				 errhint("Say how many rows you want, or NULL for all.")));
	return PG_GETARG_INT32(argument);
}
