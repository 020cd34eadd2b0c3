/*
 * drift.c
 *		schema_drift(): what is not as migrations have left it, and who did that.
 *
 * The state that they have left is held against the schema as it is, and what
 * differs is looked up in the record of DDL: by its name, or by that of the
 * table that it is part of, where that has come, gone or moved as a whole: who
 * has changed something else of it has nothing to do with it. What was written down before a migration had taken
 * the object as it then was, has nothing to do with it.
 *
 * A partition that dbops has made or dropped as a policy says, and a trigger of
 * its own on a table, are no drift.
 */
#include "change/drift.h"

#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(dbops_schema_drift);

/* What differs, an element for each object. */
typedef struct Columns
{
	List	   *changes;		/* of char * */
	List	   *kinds;
	List	   *objects;
	List	   *wholes;			/* "" for what is part of nothing */
	List	   *details;
	List	   *own;			/* "own": may be dbops' own; or "" */
	List	   *names;			/* to be looked up: objects and wholes */
} Columns;

static void require_project(const char *project);
static void require_state(const Jsonb *state);
static void take_state(HeapTuple row, TupleDesc desc, void *arg);
static Columns columns_of(const Drift *drift);
static bool is_same_object(const SchemaDifference *a, const SchemaDifference *b);
static char *details_of(const SchemaDifference *difference);
static bool may_be_own(const Drift *drift, const SchemaDifference *difference);
static char *attribute(const Jsonb *document, const char *kind, const char *object, const char *key);
static bool find_member(const JsonbContainer *container, const char *key, JsonbValue *value);

/* schema_drift(project text) → rows */
Datum
dbops_schema_drift(PG_FUNCTION_ARGS)
{
	Drift		drift;
	Columns		columns;
	DbopsParam	params[9];

	InitMaterializedSRF(fcinfo, 0);
	require_project(dbops_text_argument(fcinfo, 0));
	drift = dbops_drift_find();
	if (drift.differences == NIL)
		return (Datum) 0;
	columns = columns_of(&drift);
	params[0] = dbops_param_texts(columns.changes);
	params[1] = dbops_param_texts(columns.kinds);
	params[2] = dbops_param_texts(columns.objects);
	params[3] = dbops_param_texts(columns.wholes);
	params[4] = dbops_param_texts(columns.details);
	params[5] = dbops_param_texts(columns.own);
	params[6] = dbops_param_texts(columns.names);
	params[7] = dbops_param_text(dbops_text_argument(fcinfo, 0));
	params[8] = dbops_param_bool(has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS));
	dbops_store_report((ReturnSetInfo *) fcinfo->resultinfo,
					   "WITH d AS (SELECT * FROM unnest($1, $2, $3, $4, $5, $6)"
					   "  WITH ORDINALITY AS d (change, kind, object, whole, details, own, n)),"
					   " part AS MATERIALIZED (SELECT k.key AS kind, o AS object, p.project, p.version, p.at"
					   "  FROM dbops.drift_part p, jsonb_each(p.document) k, jsonb_object_keys(k.value) o WHERE o = ANY ($7)),"
					   " s AS MATERIALIZED " DRIFT_STATE ","
					   " logged AS MATERIALIZED (SELECT DISTINCT ON (o) o AS object, " DRIFT_IS_LATER " AS is_later, l.* FROM s, dbops.ddl_log l, unnest(l.objects) o"
					   "  WHERE o = ANY ($7) AND l.command <> 'accept_drift' ORDER BY o, l.at DESC, l.dropped DESC),"
					   " logged_whole AS MATERIALIZED (SELECT DISTINCT ON (o) o AS object, " DRIFT_IS_LATER " AS is_later, l.* FROM s, dbops.ddl_log l, unnest(l.wholes) o"
					   "  WHERE o = ANY ($7) ORDER BY o, l.at DESC, l.dropped DESC),"
					   " known AS (SELECT d.*, coalesce(p.project, w.project) AS project, coalesce(p.version, w.version) AS version,"
					   "  greatest(coalesce((f.taken ->> (d.kind || ' ' || d.object))::timestamptz, p.at, w.at), s.at) AS since"
					   "  FROM s, d LEFT JOIN part p ON p.kind = d.kind AND p.object = d.object"
					   "  LEFT JOIN part w ON w.kind IN ('table', 'view', 'materialized view', 'type') AND w.object = d.whole"
					   "  LEFT JOIN dbops.drift_part f ON f.number = 0)"
					   " SELECT k.change, k.kind, k.object, nullif(k.details, ''), k.project, k.version,"
					   "  coalesce(b.at, a.at), coalesce(b.role_name, a.role_name), coalesce(b.session_role, a.session_role),"
					   "  coalesce(b.application_name, a.application_name), CASE WHEN b.at IS NULL THEN a.client_address ELSE b.client_address END,"
					   "  coalesce(b.command, a.command), CASE WHEN $9 THEN CASE WHEN b.at IS NULL THEN a.statement ELSE b.statement END END,"
					   "  CASE WHEN a.at IS NULL AND b.at IS NULL THEN 'who did it is not in the record: ' || coalesce((SELECT 'perhaps ' ||"
					   "  string_agg(format('migration %s of project %s, which is %s', m.version, m.project, m.state), ', ' ORDER BY m.position)"
					   "  FROM dbops.migration m WHERE m.state IN ('failed', 'running')) || '; or ', '')"
					   "  || 'that was off (dbops.record_ddl), is kept for dbops.ddl_log_age, or is not told of such a command' END,"
					   "  format('SELECT dbops.accept_drift(''why'', %L);', k.object)"
					   " FROM s CROSS JOIN known k LEFT JOIN logged a ON a.object = k.object AND (a.at >= k.since OR (a.is_later AND k.since = s.at))"
					   " LEFT JOIN logged_whole b ON b.object = k.whole AND (b.at >= k.since OR (b.is_later AND k.since = s.at)) AND (a.at IS NULL OR b.at > a.at)"
					   " WHERE ($8 IS NULL OR k.project IS NULL OR k.project = $8)"
					   " AND NOT (k.own <> '' AND coalesce(b.by_dbops, a.by_dbops, false)) ORDER BY k.n",
					   lengthof(params), params);
	return (Datum) 0;
}

/* One that is misspelt would differ in nothing. */
static void
require_project(const char *project)
{
	DbopsParam	param = dbops_param_text(project);

	if (project != NULL && dbops_store_each("SELECT FROM dbops.migration WHERE project = $1 LIMIT 1", 1, &param, NULL, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no project \"%s\" in the ledger", project),
				 errhint("SELECT DISTINCT project FROM dbops.migration_status(); lists them.")));
}

/* Hold the schema against the state that migrations have left. */
Drift
dbops_drift_find(void)
{
	Drift		drift = {.state = dbops_drift_state()};
	SchemaTouched all = {.anything = true};

	require_state(drift.state);
	drift.now = dbops_schema_snapshot_some(&all, &drift.numbers);
	drift.differences = dbops_schema_compare(drift.state, drift.now);
	return drift;
}

static void
require_state(const Jsonb *state)
{
	if (state == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("it is not known how migrations have left the schema"),
				 errdetail("That is kept from the first migration on, while dbops.record_ddl is on."),
				 errhint("To take it as it is now: SELECT dbops.accept_drift('why');")));
	dbops_store_each("SELECT format, missed FROM dbops.drift_state ORDER BY at", 0, NULL, take_state, NULL);
}

/* Refuse what another version has described; tell of a migration whose changes would be taken for drift. */
static void
take_state(HeapTuple row, TupleDesc desc, void *arg)
{
	const char *missed = dbops_row_text(row, desc, 2);

	if (dbops_row_int4(row, desc, 1) != SNAPSHOT_FORMAT)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("how migrations have left the schema was described by another version of dbops"),
				 errhint("The next migration describes it anew. To take it as it is now: SELECT dbops.accept_drift('why');")));
	if (missed != NULL)
		ereport(WARNING,
				(errmsg("what a migration has left could not be described, and may be listed as drift: %s", missed),
				 errhint("To take the schema as it is now: SELECT dbops.accept_drift('why');")));
}

/* ---- what differs, by objects ---- */

static Columns
columns_of(const Drift *drift)
{
	Columns		columns = {NIL};
	const SchemaDifference *last = NULL;
	ListCell   *cell;

	foreach(cell, drift->differences)
	{
		const SchemaDifference *difference = lfirst(cell);
		const char *whole;

		CHECK_FOR_INTERRUPTS();
		if (last != NULL && is_same_object(last, difference))
		{
			lfirst(list_tail(columns.details)) = psprintf("%s; %s", (char *) llast(columns.details), details_of(difference));
			continue;
		}
		last = difference;
		whole = dbops_drift_whole(drift->now, difference->kind, difference->object);
		if (whole == NULL)
			whole = dbops_drift_whole(drift->state, difference->kind, difference->object);
		columns.changes = lappend(columns.changes, unconstify(char *, difference->change));
		columns.kinds = lappend(columns.kinds, unconstify(char *, difference->kind));
		columns.objects = lappend(columns.objects, unconstify(char *, difference->object));
		columns.wholes = lappend(columns.wholes, whole != NULL ? unconstify(char *, whole) : "");
		columns.details = lappend(columns.details, details_of(difference));
		columns.own = lappend(columns.own, may_be_own(drift, difference) ? "own" : "");
		columns.names = lappend(columns.names, unconstify(char *, difference->object));
		if (whole != NULL)
			columns.names = lappend(columns.names, unconstify(char *, whole));
	}
	return columns;
}

static bool
is_same_object(const SchemaDifference *a, const SchemaDifference *b)
{
	return strcmp(a->kind, b->kind) == 0 && strcmp(a->object, b->object) == 0 && strcmp(a->change, b->change) == 0;
}

static char *
details_of(const SchemaDifference *difference)
{
	if (difference->attribute == NULL)
		return pstrdup("");
	return psprintf("%s: %s, now %s", difference->attribute,
					difference->old != NULL ? difference->old : "none",
					difference->new != NULL ? difference->new : "none");
}

/* What it is part of, as it is or was: itself, where of nothing else. */
const char *
dbops_drift_whole_of(const Drift *drift, const SchemaDifference *difference)
{
	const char *whole = dbops_drift_whole(drift->now, difference->kind, difference->object);

	if (whole == NULL)
		whole = dbops_drift_whole(drift->state, difference->kind, difference->object);
	return whole != NULL ? whole : difference->object;
}

/* The table that an object is part of; NULL: of none. */
const char *
dbops_drift_whole(const Jsonb *document, const char *kind, const char *object)
{
	const char *whole = dbops_schema_whole_of(kind, object);

	return whole != NULL ? whole : attribute(document, kind, object, "table");
}

static bool
may_be_own(const Drift *drift, const SchemaDifference *difference)
{
	const char *last = strrchr(difference->object, '.');

	if (strcmp(difference->kind, "trigger") == 0)
		return last != NULL && strncmp(last + 1, "dbops_", strlen("dbops_")) == 0;
	return strcmp(difference->kind, "table") == 0 &&
		(attribute(drift->now, "table", difference->object, "partition_of") != NULL ||
		 attribute(drift->state, "table", difference->object, "partition_of") != NULL);
}

static char *
attribute(const Jsonb *document, const char *kind, const char *object, const char *key)
{
	JsonbValue	objects;
	JsonbValue	attributes;
	JsonbValue	value;

	if (!find_member(&document->root, kind, &objects) || objects.type != jbvBinary ||
		!find_member(objects.val.binary.data, object, &attributes) || attributes.type != jbvBinary ||
		!find_member(attributes.val.binary.data, key, &value) || value.type != jbvString)
		return NULL;
	return pnstrdup(value.val.string.val, value.val.string.len);
}

static bool
find_member(const JsonbContainer *container, const char *key, JsonbValue *value)
{
	return getKeyJsonValueFromContainer(unconstify(JsonbContainer *, container), key, strlen(key), value) != NULL;
}
