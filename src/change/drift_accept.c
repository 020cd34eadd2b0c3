/*
 * drift_accept.c
 *		accept_drift(): what differs is meant to be so from now on.
 *
 * The state that migrations have left is replaced by the present one, of an
 * object or of all, and that is written down with who did it and why. What is
 * part of a table is accepted together with all that differs of that table.
 */
#include "change/drift.h"

#include "change/ddl_log.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(dbops_accept_drift);

static List *find_objects(const Drift *drift, const char *name);
static void refuse(const char *name);
static void take_whole(const Drift *drift, const SchemaDifference *difference, const char *whole,
					   const char *project, const char *version);
static void take_part(Oid number, const char *project, const char *version);
static List *names_of(const List *differences);

/* accept_drift(reason text, object_name text) → how many objects */
Datum
dbops_accept_drift(PG_FUNCTION_ARGS)
{
	const char *reason = dbops_reason_argument(fcinfo, 0);
	const char *name = dbops_text_argument(fcinfo, 1);
	Drift		drift = {0};
	List	   *objects = NIL;
	List	   *names;

	if (name == NULL)
	{
		drift.state = dbops_drift_state();
		if (drift.state != NULL)
			drift.differences = dbops_schema_compare(drift.state, dbops_schema_snapshot_take(NIL));
		objects = drift.differences;
		dbops_drift_store_all(NULL, NULL);
	}
	else
	{
		drift = dbops_drift_find();
		objects = find_objects(&drift, name);
		if (objects == NIL)
			refuse(name);
		dbops_drift_take(&drift, objects, NULL, NULL);
	}
	names = names_of(objects);
	dbops_ddl_log_note("accept_drift", names, reason);
	PG_RETURN_INT64(list_length(names));
}

/* What differs of an object and its parts. */
static List *
find_objects(const Drift *drift, const char *name)
{
	List	   *found = NIL;
	ListCell   *cell;

	foreach(cell, drift->differences)
	{
		const SchemaDifference *difference = lfirst(cell);

		if (strcmp(difference->object, name) == 0 || strcmp(dbops_drift_whole_of(drift, difference), name) == 0)
			found = lappend(found, lfirst(cell));
	}
	return found;
}

static void
refuse(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("nothing of object %s differs from what migrations have left", name),
			 errhint("Name it as dbops.schema_drift() does.")));
}

/* Take objects as they are, each with all that belongs to its table; for a migration, or for nobody. */
void
dbops_drift_take(const Drift *drift, const List *differences, const char *project, const char *version)
{
	List	   *taken = NIL;	/* of char *, tables and the like */
	ListCell   *cell;

	foreach(cell, differences)
	{
		const SchemaDifference *difference = lfirst(cell);
		const char *whole = dbops_drift_whole_of(drift, difference);

		if (dbops_drift_is_of_few(difference))
			dbops_drift_store_object(difference, drift->now, true);
		else if (!dbops_texts_have(taken, whole))
		{
			take_whole(drift, difference, whole, project, version);
			taken = lappend(taken, unconstify(char *, whole));
		}
	}
}

/* By its name: what has its number may have another one by now. */
static void
take_whole(const Drift *drift, const SchemaDifference *difference, const char *whole,
		   const char *project, const char *version)
{
	DbopsParam	params[] = {dbops_param_text(whole), dbops_param_text(difference->kind), dbops_param_text(difference->object)};
	Oid			number = dbops_drift_number(drift->now, drift->numbers, whole);
	Datum		part;

	if (!OidIsValid(number))
		number = dbops_drift_number(drift->now, drift->numbers, difference->object);
	if (!OidIsValid(number) &&
		dbops_store_value("SELECT number FROM dbops.drift_part WHERE number <> 0 AND object IS NULL AND document -> $2 ? $3",
						  lengthof(params), params, OIDOID, &part))
		number = DatumGetObjectId(part);
	if (OidIsValid(number))
		take_part(number, project, version);
	else
		dbops_store_each("DELETE FROM dbops.drift_part WHERE object = $1", 1, params, NULL, NULL);
}

static void
take_part(Oid number, const char *project, const char *version)
{
	SchemaTouched one = {.numbers = list_make1_oid(number)};
	List	   *numbers;
	Jsonb	   *document = dbops_schema_snapshot_some(&one, &numbers);
	List	   *parts = NIL;
	ListCell   *cell;

	foreach(cell, dbops_drift_parts(document, numbers))
		if (((const DriftPart *) lfirst(cell))->number == number)
			parts = lappend(parts, lfirst(cell));
	dbops_drift_store(parts, &one, project, version);
}

/* Each object once; its differences are behind each other. */
static List *
names_of(const List *differences)
{
	List	   *names = NIL;
	ListCell   *cell;

	foreach(cell, differences)
	{
		const SchemaDifference *difference = lfirst(cell);

		if (names == NIL || strcmp(llast(names), difference->object) != 0)
			names = lappend(names, unconstify(char *, difference->object));
	}
	return names;
}
