/*
 * alert_report.c
 *		alerts() and alert_history(): what is wrong, and what was.
 *
 * Alerts are shown as they are in memory, those of the cluster in every
 * database; where this session has none that others share, as the table has
 * them.
 */
#include "observe/alert.h"
#include "observe/shared_text.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#define N_COLUMNS		17

PG_FUNCTION_INFO_V1(dbops_alerts);
PG_FUNCTION_INFO_V1(dbops_alert_history);

static bool is_shown(const AlertEntry *entry, bool active);
static int	by_severity_and_key(const ListCell *a, const ListCell *b);
static void put(ReturnSetInfo *result, const AlertEntry *entry);
static void set_text(Datum *value, bool *isnull, const AlertEntry *entry, const char *text);
static void set_time(Datum *value, bool *isnull, TimestampTz time);

/* alerts(active boolean) → the alerts of the cluster and of this database */
Datum
dbops_alerts(PG_FUNCTION_ARGS)
{
	bool		active = PG_ARGISNULL(0) || PG_GETARG_BOOL(0);
	List	   *entries;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	if (dbops_alert_memory_is_own() && !RecoveryInProgress())
	{
		dbops_alert_memory_forget_own();
		dbops_alert_store_load(true);
	}
	entries = dbops_alert_memory_copy(MyDatabaseId);
	list_sort(entries, by_severity_and_key);
	foreach(cell, entries)
		if (is_shown(lfirst(cell), active))
			put((ReturnSetInfo *) fcinfo->resultinfo, lfirst(cell));
	return (Datum) 0;
}

static bool
is_shown(const AlertEntry *entry, bool active)
{
	return entry->alert.state == ALERT_FIRING || entry->alert.state == ALERT_RESOLVING ||
		(!active && entry->alert.state != ALERT_OK);
}

static int
by_severity_and_key(const ListCell *a, const ListCell *b)
{
	const AlertEntry *left = lfirst(a);
	const AlertEntry *right = lfirst(b);

	if (left->alert.severity != right->alert.severity)
		return (left->alert.severity > right->alert.severity) ? -1 : 1;
	return strcmp(dbops_alert_key(left), dbops_alert_key(right));
}

static void
put(ReturnSetInfo *result, const AlertEntry *entry)
{
	const Alert *alert = &entry->alert;
	Datum		values[N_COLUMNS];
	bool		nulls[N_COLUMNS] = {0};
	int			i = 0;

	set_text(&values[i], &nulls[i], entry, dbops_alert_key(entry)), i++;
	set_text(&values[i], &nulls[i], entry, dbops_alert_state_name(alert->state)), i++;
	set_text(&values[i], &nulls[i], entry, dbops_severity_name(alert->severity)), i++;
	set_text(&values[i], &nulls[i], entry, entry->message), i++;
	set_text(&values[i], &nulls[i], entry, entry->remedy[0] != '\0' ? entry->remedy : NULL), i++;
	set_text(&values[i], &nulls[i], entry, dbops_alert_suppression_name(entry->suppression)), i++;
	set_time(&values[i], &nulls[i], alert->since), i++;
	set_time(&values[i], &nulls[i], alert->fired_at), i++;
	set_time(&values[i], &nulls[i], alert->told_at), i++;
	set_time(&values[i], &nulls[i], alert->resolved_at), i++;
	nulls[i] = isnan(alert->value);
	values[i++] = Float8GetDatum(alert->value);
	set_text(&values[i], &nulls[i], entry, entry->unit[0] != '\0' ? entry->unit : NULL), i++;
	values[i++] = Int32GetDatum(Max(entry->objects, 1));
	set_text(&values[i], &nulls[i], entry, entry->check_name), i++;
	set_text(&values[i], &nulls[i], entry, entry->has_object ? entry->object : NULL), i++;
	values[i++] = BoolGetDatum(!OidIsValid(entry->database));
	set_time(&values[i], &nulls[i], alert->at), i++;
	Assert(i == N_COLUMNS);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static void
set_text(Datum *value, bool *isnull, const AlertEntry *entry, const char *text)
{
	*isnull = (text == NULL);
	*value = (text == NULL) ? (Datum) 0 : CStringGetTextDatum(dbops_shared_text_from(text, entry->encoding));
}

static void
set_time(Datum *value, bool *isnull, TimestampTz time)
{
	*isnull = (time == 0);
	*value = TimestampTzGetDatum(time);
}

/* alert_history(since timestamptz, until timestamptz) → what happened, the latest first */
Datum
dbops_alert_history(PG_FUNCTION_ARGS)
{
	TimestampTz until = PG_ARGISNULL(1) ? DT_NOEND : PG_GETARG_TIMESTAMPTZ(1);
	TimestampTz since = PG_ARGISNULL(0) ? DT_NOBEGIN : PG_GETARG_TIMESTAMPTZ(0);
	DbopsParam	params[] = {
		{.type = TIMESTAMPTZOID,.value = TimestampTzGetDatum(since)},
		{.type = TIMESTAMPTZOID,.value = TimestampTzGetDatum(until)}
	};

	if (since >= until)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("since must be before until"),
				 errhint("Leave both out for all that is kept.")));
	InitMaterializedSRF(fcinfo, 0);
	dbops_store_report((ReturnSetInfo *) fcinfo->resultinfo,
					   "SELECT id, happened_at, event, alert_key, severity, before, message, value, unit, since, suppressed,"
					   " payload IS NOT NULL, check_name, object, payload"
					   " FROM dbops.alert_history WHERE happened_at >= $1 AND happened_at < $2 ORDER BY id DESC",
					   2, params);
	return (Datum) 0;
}
