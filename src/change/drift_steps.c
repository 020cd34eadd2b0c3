/*
 * drift_steps.c
 *		What a migration in steps has left.
 *
 * It has many transactions, between which others do what they like, so that the
 * catalogs do not tell what it has touched. So all that differs is the migration's,
 * but for what somebody else is known to have done (drift_theirs.c). Where that is
 * much, the schema is taken as a whole, but for that.
 */
#include "change/drift.h"

#define MOST_TAKEN	100			/* objects; each is described by itself */

static List *locked_tables(const char *project, const char *version);
static void take_name(HeapTuple row, TupleDesc desc, void *arg);

/* Take what it has left; the caller sees to errors, and that there is a state. */
void
dbops_drift_take_steps(const char *project, const char *version)
{
	Drift		drift = dbops_drift_find();
	List	   *theirs = dbops_drift_theirs(&drift, locked_tables(project, version));
	List	   *ours = list_difference_ptr(drift.differences, theirs);

	if (list_length(ours) > MOST_TAKEN)
	{
		dbops_drift_store_all_but(&drift, theirs, project, version);
		return;
	}
	dbops_drift_take(&drift, ours, project, version);
}

/* By name; its receipts tell. */
static List *
locked_tables(const char *project, const char *version)
{
	DbopsParam	params[] = {dbops_param_text(project), dbops_param_text(version)};
	List	   *names = NIL;

	dbops_store_each("SELECT DISTINCT l FROM dbops.migration_step, jsonb_object_keys(receipt -> 'locks') l"
					 " WHERE project = $1 AND version = $2 AND jsonb_typeof(receipt -> 'locks') = 'object'",
					 lengthof(params), params, take_name, &names);
	return names;
}

static void
take_name(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **names = arg;

	*names = lappend(*names, dbops_row_text(row, desc, 1));
}
