/*
 * drift_steps.c
 *		What a migration in steps has left.
 *
 * It has many transactions, between which others do what they like, so that the
 * catalogs do not tell what it has touched. But what others have done to an
 * object is in the record of DDL by its name, and what the migration did is not:
 * so all that differs is the migration's, but for what somebody else is known to
 * have done. Where that is much, the schema is taken as a whole.
 */
#include "change/drift.h"

#include "catalog/pg_type.h"

#define MOST_TAKEN	100			/* objects; each is described by itself */

static List *those_of_nobody_else(const Drift *drift);
static bool is_somebody_elses(const Drift *drift, const SchemaDifference *difference);

/* Take what it has left; the caller sees to errors, and that there is a state. */
void
dbops_drift_take_steps(const char *project, const char *version)
{
	Drift		drift = dbops_drift_find();
	List	   *taken;
	ListCell   *cell;

	if (list_length(drift.differences) > MOST_TAKEN)
	{
		dbops_drift_store_all(project, version);
		return;
	}
	taken = those_of_nobody_else(&drift);
	foreach(cell, taken)
		dbops_drift_take(&drift, lfirst(cell), project, version);
}

/* Before anything is taken: that is the moment since which somebody may have changed it. */
static List *
those_of_nobody_else(const Drift *drift)
{
	List	   *those = NIL;
	ListCell   *cell;

	foreach(cell, drift->differences)
		if (!is_somebody_elses(drift, lfirst(cell)))
			those = lappend(those, lfirst(cell));
	return those;
}

static bool
is_somebody_elses(const Drift *drift, const SchemaDifference *difference)
{
	Oid			number = dbops_drift_number_of(drift, difference);
	DbopsParam	params[] = {
		{.type = OIDOID,.value = ObjectIdGetDatum(number)},
		dbops_param_text(difference->object)
	};
	Datum		found;

	return dbops_store_value("SELECT true FROM dbops.ddl_log WHERE $2 = ANY (objects) AND command <> 'accept_drift'"
							 " AND at >= coalesce((SELECT at FROM dbops.drift_part WHERE number = $1 AND number <> 0),"
							 " (SELECT min(at) FROM dbops.drift_state)) LIMIT 1",
							 lengthof(params), params, BOOLOID, &found);
}
