/*
 * backfill_same.c
 *		A call that asks for what a job does already.
 *
 * The same change of the same table is one job as long as it lives, and the
 * call goes on with it. What it asks for otherwise than that job was asked must
 * not be dropped in silence: where the work would mean something else it is
 * refused, and where it would only go at another pace the caller is told.
 */
#include "change/change.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

/* Members of the spec, as the arguments are called. */
#define WHAT_IT_MEANS "{method,sync,app_writes,quarantine,verify}"
#define HOW_IT_GOES "{workers,batch_size,pause,max_wal_per_s,vacuum_every}"

static const char *difference(int64 job, Jsonb *spec, const char *members);

/* Hold a job, which was submitted now or before, against what this call asks for. */
void
dbops_backfill_check_same(int64 job, Jsonb *spec)
{
	const char *other = difference(job, spec, WHAT_IT_MEANS);

	if (other != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job " INT64_FORMAT " does this backfill already, with another %s", job, other),
				 errhint("Give the same arguments to go on with it, or cancel it first: SELECT dbops.cancel_job(" INT64_FORMAT ");", job)));
	other = difference(job, spec, HOW_IT_GOES);
	if (other != NULL)
		ereport(NOTICE,
				(errmsg("job " INT64_FORMAT " does this backfill already and keeps its own %s", job, other),
				 errhint("dbops.tune_job(" INT64_FORMAT ", settings => ...) changes how it goes.", job)));
}

/* The first of these members that is another one in the job, as its argument is called; NULL: none is. */
static const char *
difference(int64 job, Jsonb *spec, const char *members)
{
	DbopsParam	params[] = {
		dbops_param_int8(job),
		dbops_param_jsonb(spec),
		dbops_param_text(members)
	};
	Datum		other;

	if (!dbops_store_value("SELECT CASE m.name WHEN 'quarantine' THEN 'on_error' ELSE m.name END"
						   " FROM dbops.job j, unnest($3::text[]) WITH ORDINALITY m (name, n)"
						   " WHERE j.id = $1 AND j.spec -> m.name IS DISTINCT FROM $2 -> m.name"
						   " ORDER BY m.n LIMIT 1",
						   lengthof(params), params, TEXTOID, &other))
		return NULL;
	return TextDatumGetCString(other);
}
