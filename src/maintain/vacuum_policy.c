/*
 * vacuum_policy.c
 *		set_vacuum_policy() and remove_vacuum_policy().
 *
 * Every hour the tables are looked at by whoever submits what is due, who
 * remembers what is over its thresholds since when; there is a job only when
 * something is to be done.
 */
#include "maintain/vacuum.h"

#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#define ANALYZE_EVERY	"7 days"
#define SHORTEST_EVERY	3600000 /* ms */

PG_FUNCTION_INFO_V1(dbops_set_vacuum_policy);
PG_FUNCTION_INFO_V1(dbops_remove_vacuum_policy);

static void require_kind(Oid relid);
static const char *take_every(FunctionCallInfo fcinfo, int number);
static Jsonb *make_spec(const char *analyze_every, bool freeze_ahead);
static const char *idle(const Policy *policy);
static bool is_same(const Jsonb *a, const Jsonb *b);

static const PolicyKind kind = {
	.name = VACUUM_POLICY,
	.set_call = "set_vacuum_policy",
	.job_kind = "vacuum",
	.class = DBOPS_CLASS_PLAIN,
	.idle = idle
};

void
dbops_vacuum_policy_init(void)
{
	dbops_policy_kind_register(&kind);
	dbops_vacuum_job_init();
}

/*
 * set_vacuum_policy(table_name regclass, analyze_every interval, freeze_ahead
 *			bool, time_window text, time_zone text, schedule text) → next run
 */
Datum
dbops_set_vacuum_policy(PG_FUNCTION_ARGS)
{
	Oid			relid = dbops_policy_relation_argument(fcinfo, 0);
	Policy	   *policy = dbops_policy_new(VACUUM_POLICY, relid);
	Policy	   *earlier = dbops_policy_find(VACUUM_POLICY, relid);

	if (OidIsValid(relid))
		require_kind(relid);
	policy->schedule = "@hourly";
	policy->spec = make_spec(take_every(fcinfo, 1), PG_ARGISNULL(2) || PG_GETARG_BOOL(2));
	policy->memory = (earlier != NULL) ? earlier->memory : NULL;
	dbops_policy_take_times(policy, dbops_text_argument(fcinfo, 5), dbops_text_argument(fcinfo, 3),
							dbops_text_argument(fcinfo, 4));
	dbops_policy_set(policy);
	PG_RETURN_TIMESTAMPTZ(policy->next_run);
}

/* remove_vacuum_policy(table_name regclass) */
Datum
dbops_remove_vacuum_policy(PG_FUNCTION_ARGS)
{
	dbops_policy_remove(VACUUM_POLICY, dbops_policy_relation_argument(fcinfo, 0));
	PG_RETURN_VOID();
}

static void
require_kind(Oid relid)
{
	char		relkind = get_rel_relkind(relid);

	if (relkind != RELKIND_RELATION && relkind != RELKIND_MATVIEW && relkind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("%s is not a table", dbops_quote_relation(relid)),
				 errhint("Give a table, a partitioned table or a materialized view, or null for all of the database.")));
}

/* How old statistics of a table that changes may get, as text; null is NULL: of any age. */
static const char *
take_every(FunctionCallInfo fcinfo, int number)
{
	if (PG_ARGISNULL(number))
		return NULL;
	if (dbops_interval_ms(PG_GETARG_INTERVAL_P(number)) < SHORTEST_EVERY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("analyze_every must be at least 1 hour"),
				 errhint("Such as '7 days', or null if statistics may get as old as they like.")));
	return dbops_interval_text(PG_GETARG_INTERVAL_P(number));
}

static Jsonb *
make_spec(const char *analyze_every, bool freeze_ahead)
{
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	dbops_json_text(&json, "analyze_every", analyze_every);
	dbops_json_boolean(&json, "freeze_ahead", freeze_ahead);
	return dbops_json_finish(&json);
}

/* What would be done where there is no policy, for reports. */
Policy *
dbops_vacuum_policy_default(void)
{
	Policy	   *policy = palloc0(sizeof(Policy));

	policy->kind = VACUUM_POLICY;
	policy->spec = make_spec(ANALYZE_EVERY, true);
	return policy;
}

/* Look, and remember what was seen; NULL if something is to be done. */
static const char *
idle(const Policy *policy)
{
	VacuumLook	look = dbops_vacuum_look(policy, InvalidOid);

	if (!is_same(look.memory, policy->memory))
		dbops_policy_remember(policy->id, look.memory);
	if (look.due > 0)
		return NULL;
	if (look.candidates == NIL)
		return "nothing to do";
	return psprintf("nothing is due yet; tables over twice autovacuum's thresholds for less than 6 hours: %d",
					list_length(look.candidates));
}

/* Either may be NULL. */
static bool
is_same(const Jsonb *a, const Jsonb *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return VARSIZE(a) == VARSIZE(b) && memcmp(a, b, VARSIZE(a)) == 0;
}
