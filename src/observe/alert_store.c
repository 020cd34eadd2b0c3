/*
 * alert_store.c
 *		Alerts in their table: what outlives the server, and what happened.
 *
 * The table has a row for each alert that something has happened to. What it
 * says was told last counts for what this server has not told itself: so a
 * restart tells nothing again, and after a promotion what only the log was told
 * is told.
 */
#include "observe/alert.h"
#include "observe/shared_text.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"

#define KEEP_HISTORY	"400 days"
#define KEEP_EVENTS		"10000"
#define KEEP_RESOLVED	"7 days"
#define MOST_LOADED		"1024"	/* as many as there are places */

/* A row of dbops.alert. */
typedef struct StoredAlert
{
	bool		whole_cluster;
	AlertSubject subject;
	AlertSuppression suppression;
	Alert		alert;
} StoredAlert;

/* What a load is about. */
typedef struct Load
{
	bool		own;			/* the alerts of this database */
	bool		cluster;
} Load;

static Load what_to_load(bool home);
static void take_row(HeapTuple row, TupleDesc desc, void *arg);
static AlertState state_of(const char *name);
static DbopsSeverity severity_of(const char *name);
static void forget_told(AlertEntry *entry, void *arg);
static void merge(const StoredAlert *stored);
static void save(const AlertEntry *entry);
static DbopsParam param_float(double value);

/* Load what is not loaded yet of this database, and of the cluster where this is home. */
void
dbops_alert_store_load(bool home)
{
	Load		load = what_to_load(home);
	Oid			table = dbops_alert_table();
	List	   *rows = NIL;
	ListCell   *cell;

	if (!load.own && !load.cluster)
		return;
	dbops_store_each("SELECT whole_cluster, check_name, object, message, remedy, unit, state, severity, told, value, objects,"
					 " looked_at, since, critical_since, better_since, unknown_since, fired_at, resolved_at, told_at,"
					 " suppressed"
					 " FROM dbops.alert WHERE state <> 'ok' OR told <> 'ok' OR unknown_since IS NOT NULL"
					 " ORDER BY told <> 'ok' DESC, state NOT IN ('ok', 'resolved') DESC, looked_at DESC NULLS LAST LIMIT " MOST_LOADED,
					 0, NULL, take_row, &rows);
	dbops_alert_memory_lock(LW_EXCLUSIVE);
	(void) dbops_alert_memory_next_turn();
	load.own = load.own && dbops_alert_set_loaded(MyDatabaseId, table);
	load.cluster = load.cluster && dbops_alert_set_loaded(InvalidOid, table);
	dbops_alert_memory_each(forget_told, &load);
	foreach(cell, rows)
	{
		const StoredAlert *stored = lfirst(cell);

		if (stored->whole_cluster ? load.cluster : load.own)
			merge(stored);
	}
	dbops_alert_memory_unlock();
}

/* The cluster's alerts that another home has loaded go on. */
static Load
what_to_load(bool home)
{
	return (Load) {
		.own = !dbops_alert_is_loaded_here(MyDatabaseId),
		.cluster = home && !dbops_alert_is_loaded(InvalidOid)
	};
}

static void
take_row(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **rows = arg;
	StoredAlert *stored = palloc0(sizeof(StoredAlert));
	AlertSubject *subject = &stored->subject;
	TimestampTz *const times[] = {
		&stored->alert.at, &stored->alert.since, &stored->alert.critical_since, &stored->alert.better_since,
		&stored->alert.unknown_since, &stored->alert.fired_at, &stored->alert.resolved_at, &stored->alert.told_at
	};
	bool		isnull;
	Datum		value = heap_getattr(row, 10, desc, &isnull);

	stored->whole_cluster = dbops_row_bool(row, desc, 1);
	subject->check_name = dbops_row_text(row, desc, 2);
	subject->object = dbops_row_text(row, desc, 3);
	subject->key = (subject->object == NULL) ? subject->check_name :
		psprintf("%s:%s", subject->check_name, subject->object);
	subject->message = dbops_row_text(row, desc, 4);
	subject->remedy = dbops_row_text(row, desc, 5);
	subject->unit = dbops_row_text(row, desc, 6);
	subject->objects = dbops_row_int4(row, desc, 11);
	stored->alert.state = state_of(dbops_row_text(row, desc, 7));
	stored->alert.severity = severity_of(dbops_row_text(row, desc, 8));
	stored->alert.told = severity_of(dbops_row_text(row, desc, 9));
	stored->alert.value = isnull ? NAN : DatumGetFloat8(value);
	for (int i = 0; i < lengthof(times); i++)
		*times[i] = dbops_row_time(row, desc, 12 + i);
	stored->suppression = dbops_alert_suppression_named(dbops_row_text(row, desc, 12 + lengthof(times)));
	*rows = lappend(*rows, stored);
}

static AlertState
state_of(const char *name)
{
	for (AlertState state = ALERT_OK; state < ALERT_RESOLVED; state++)
		if (strcmp(name, dbops_alert_state_name(state)) == 0)
			return state;
	return ALERT_RESOLVED;
}

static DbopsSeverity
severity_of(const char *name)
{
	for (DbopsSeverity severity = DBOPS_OK; severity < DBOPS_CRITICAL; severity++)
		if (strcmp(name, dbops_severity_name(severity)) == 0)
			return severity;
	return DBOPS_CRITICAL;
}

/* What only a log was told has not been told. */
static void
forget_told(AlertEntry *entry, void *arg)
{
	const Load *load = arg;

	if (entry->handed_over ||
		!(OidIsValid(entry->database) ? (load->own && entry->database == MyDatabaseId) : load->cluster))
		return;
	entry->alert.told = DBOPS_OK;
	entry->version++;
}

/* What is in memory is newer, but for what was told. What has no place there waits for one. */
static void
merge(const StoredAlert *stored)
{
	Oid			database = stored->whole_cluster ? InvalidOid : MyDatabaseId;
	AlertEntry *entry = dbops_alert_memory_find(database, stored->subject.key);

	if (entry == NULL || !dbops_alert_entry_lives(entry))
	{
		entry = dbops_alert_memory_take(database, &stored->subject);
		if (entry == NULL)
			return;
		dbops_alert_entry_describe(entry, &stored->subject);
		entry->alert = stored->alert;
		entry->suppression = stored->suppression;
	}
	else if (!entry->handed_over)
	{
		entry->alert.told = stored->alert.told;
		entry->alert.told_at = stored->alert.told_at;
		entry->alert.since = stored->alert.since;
	}
	entry->handed_over = true;
}

/*
 * Keep the cluster's alerts in this table, if they were another home's, or of
 * another installation here: what it says of them is old. Where this is not home
 * it has none.
 */
void
dbops_alert_store_take_over(bool home)
{
	Oid			table = dbops_alert_table();

	if (home ? dbops_alert_is_loaded_here(InvalidOid) : !OidIsValid(dbops_home_database()))
		return;
	dbops_store_each("DELETE FROM dbops.alert WHERE whole_cluster", 0, NULL, NULL, NULL);
	if (!home)
		return;
	dbops_alert_memory_lock(LW_EXCLUSIVE);
	(void) dbops_alert_set_loaded(InvalidOid, table);
	dbops_alert_memory_unlock();
}

/* Write rows for alerts (AlertEntry *). */
void
dbops_alert_store_save(const List *entries)
{
	ListCell   *cell;

	foreach(cell, entries)
		save(lfirst(cell));
}

static void
save(const AlertEntry *entry)
{
	const Alert *alert = &entry->alert;
	DbopsParam	params[] = {
		dbops_param_text(dbops_shared_text_get(dbops_alert_key(entry))),
		dbops_param_bool(!OidIsValid(entry->database)),
		dbops_param_text(dbops_shared_text_get(entry->check_name)),
		dbops_param_text(entry->has_object ? dbops_shared_text_get(entry->object) : NULL),
		dbops_param_text(dbops_shared_text_get(entry->message)),
		dbops_param_text(entry->remedy[0] != '\0' ? dbops_shared_text_get(entry->remedy) : NULL),
		dbops_param_text(entry->unit[0] != '\0' ? dbops_shared_text_get(entry->unit) : NULL),
		dbops_param_text(dbops_alert_state_name(alert->state)),
		dbops_param_text(dbops_severity_name(alert->severity)),
		dbops_param_text(dbops_severity_name(alert->told)),
		param_float(alert->value),
		dbops_param_int4(entry->objects),
		dbops_param_time(alert->at),
		dbops_param_time(alert->since),
		dbops_param_time(alert->critical_since),
		dbops_param_time(alert->better_since),
		dbops_param_time(alert->unknown_since),
		dbops_param_time(alert->fired_at),
		dbops_param_time(alert->resolved_at),
		dbops_param_time(alert->told_at),
		dbops_param_text(dbops_alert_suppression_name(entry->suppression))
	};

	dbops_store_each("INSERT INTO dbops.alert (alert_key, whole_cluster, check_name, object, message, remedy, unit, state,"
					 " severity, told, value, objects, looked_at, since, critical_since, better_since, unknown_since, fired_at,"
					 " resolved_at, told_at, suppressed)"
					 " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)"
					 " ON CONFLICT (alert_key, whole_cluster) DO UPDATE SET (message, remedy, unit, state, severity, told, value,"
					 " objects, looked_at, since, critical_since, better_since, unknown_since, fired_at, resolved_at,"
					 " told_at, suppressed)"
					 " = ($5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)",
					 lengthof(params), params, NULL, NULL);
}

/* NaN is null. */
static DbopsParam
param_float(double value)
{
	return (DbopsParam) {.type = FLOAT8OID,.value = Float8GetDatum(value),.isnull = isnan(value)};
}

/* Draw the number of an event. */
int64
dbops_alert_store_next_id(void)
{
	Datum		id;

	(void) dbops_store_value("SELECT nextval('dbops.alert_history_id_seq')", 0, NULL, INT8OID, &id);
	return DatumGetInt64(id);
}

/* Write down what happened; without a payload nobody was told. */
void
dbops_alert_store_history(int64 id, const AlertNews *news, const Jsonb *payload)
{
	const AlertEntry *entry = &news->entry;
	DbopsParam	params[] = {
		dbops_param_int8(id),
		dbops_param_time(news->at),
		dbops_param_text(dbops_alert_event_name(news->step.event)),
		dbops_param_text(dbops_shared_text_get(dbops_alert_key(entry))),
		dbops_param_text(dbops_shared_text_get(entry->check_name)),
		dbops_param_text(entry->has_object ? dbops_shared_text_get(entry->object) : NULL),
		dbops_param_text(dbops_severity_name(news->step.event == ALERT_ENDS ? DBOPS_OK : entry->alert.severity)),
		dbops_param_text(dbops_severity_name(news->step.before)),
		param_float(entry->alert.value),
		dbops_param_text(entry->unit[0] != '\0' ? dbops_shared_text_get(entry->unit) : NULL),
		dbops_param_text(dbops_shared_text_get(entry->message)),
		dbops_param_text(payload == NULL ? dbops_alert_suppression_name(entry->suppression) : NULL),
		dbops_param_time(entry->alert.since),
		dbops_param_jsonb(payload)
	};

	dbops_store_each("INSERT INTO dbops.alert_history (id, happened_at, event, alert_key, check_name, object, severity, before,"
					 " value, unit, message, suppressed, since, payload)"
					 " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
					 lengthof(params), params, NULL, NULL);
}

/* Forget what is long over. */
void
dbops_alert_store_prune(void)
{
	DbopsParam	now = dbops_param_time(dbops_clock_now());

	dbops_store_each("DELETE FROM dbops.alert WHERE state IN ('ok', 'resolved') AND told = 'ok'"
					 " AND looked_at < $1 - interval '" KEEP_RESOLVED "'",
					 1, &now, NULL, NULL);
	dbops_store_each("DELETE FROM dbops.alert_history WHERE happened_at < $1 - interval '" KEEP_HISTORY "'"
					 " OR id <= (SELECT max(id) FROM dbops.alert_history) - " KEEP_EVENTS,
					 1, &now, NULL, NULL);
	dbops_store_each("DELETE FROM dbops.alert_silence WHERE until < $1 - interval '" KEEP_RESOLVED "'",
					 1, &now, NULL, NULL);
}
