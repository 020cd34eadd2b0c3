/*
 * partition_policy.c
 *		set_partitioning(), remove_partitioning() and CALL run_partitioning():
 *		that partitions exist before they are needed, and go when they are old.
 *
 * All that can be known is refused when the policy is set: what is not
 * partitioned by time, an interval that does not fit, a schema in which the
 * owner cannot make tables.
 */
#include "maintain/partition.h"

#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#define LONGEST_RUNWAY	1000	/* partitions */
#define LONGEST_YEARS	1000	/* of an interval */
#define MS_PER_DAY		86400000.0

PG_FUNCTION_INFO_V1(dbops_set_partitioning);
PG_FUNCTION_INFO_V1(dbops_remove_partitioning);
PG_FUNCTION_INFO_V1(dbops_run_partitioning);

static Jsonb *take_spec(FunctionCallInfo fcinfo, PartitionSet *set);
static Interval *take_every(FunctionCallInfo fcinfo, PartitionSet *set);
static void require_length(const Interval *interval, const char *name);
static void put_interval(DbopsJson *json, const Interval *interval, const char *key);
static char *interval_text(const Interval *interval);
static void judge(const Policy *policy, const PartitionPlan *plan);
static void refuse_sub_partitions(const PartitionSet *set);
static void require_schema_rights(const PartitionSet *set, Oid owner);
static void require_default_rights(const PartitionSet *set, Oid owner);
static void confirm(const Policy *policy);
static Oid	take_parent(FunctionCallInfo fcinfo);

/*
 * set_partitioning(parent regclass, every interval, runway interval, keep interval,
 *					time_window text, time_zone text, schedule text, confirm boolean)
 *					→ when it is looked after next
 */
Datum
dbops_set_partitioning(PG_FUNCTION_ARGS)
{
	Oid			parent = take_parent(fcinfo);
	Policy	   *policy = dbops_policy_new(PARTITION_KIND, parent);
	Policy	   *earlier = dbops_policy_find(PARTITION_KIND, parent);
	PartitionPlan *plan;

	policy->schedule = "@hourly";
	dbops_policy_take_times(policy, dbops_text_argument(fcinfo, 6), dbops_text_argument(fcinfo, 4), dbops_text_argument(fcinfo, 5));
	policy->spec = take_spec(fcinfo, dbops_partition_set_read(parent, dbops_zone_require(policy->time_zone), 0));
	plan = dbops_partition_plan_of(policy);
	judge(policy, plan);
	policy->memory = dbops_partition_remember(plan, earlier != NULL ? earlier->memory : NULL,
											  !PG_ARGISNULL(7) && PG_GETARG_BOOL(7));
	dbops_policy_set(policy);
	dbops_partition_hand_judge_anew(policy->id);
	PG_RETURN_TIMESTAMPTZ(policy->next_run);
}

/* remove_partitioning(parent regclass) */
Datum
dbops_remove_partitioning(PG_FUNCTION_ARGS)
{
	Oid			parent = take_parent(fcinfo);

	dbops_partition_hand_leave(PARTITION_KIND, parent);
	dbops_policy_remove(PARTITION_KIND, parent);
	PG_RETURN_VOID();
}

/* run_partitioning(parent regclass, confirm boolean) */
Datum
dbops_run_partitioning(PG_FUNCTION_ARGS)
{
	Oid			parent = take_parent(fcinfo);
	Policy	   *policy;

	dbops_procedure_begin(fcinfo, "run_partitioning");
	policy = dbops_policy_require(PARTITION_KIND, parent);
	dbops_require_table_owner(parent);
	if (!PG_ARGISNULL(1) && PG_GETARG_BOOL(1))
		confirm(policy);
	dbops_job_run_here(dbops_policy_submit(policy, NULL, true));
	PG_RETURN_VOID();
}

static void
confirm(const Policy *policy)
{
	const PartitionPlan *plan = dbops_partition_plan_of(policy);

	if (plan->keep != NULL)
		dbops_policy_remember(policy->id, dbops_partition_confirm(plan, policy->memory));
}

static Oid
take_parent(FunctionCallInfo fcinfo)
{
	dbops_require_argument(fcinfo, 0, "parent");
	return PG_GETARG_OID(0);
}

/* What is asked for; the interval and the unit of an integer key are as they look now, for ever. */
static Jsonb *
take_spec(FunctionCallInfo fcinfo, PartitionSet *set)
{
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	put_interval(&json, take_every(fcinfo, set), "every");
	put_interval(&json, PG_ARGISNULL(2) ? NULL : PG_GETARG_INTERVAL_P(2), "runway");
	put_interval(&json, PG_ARGISNULL(3) ? NULL : PG_GETARG_INTERVAL_P(3), "keep");
	if (set->clock.unit != 0)
		dbops_json_integer(&json, "unit", set->clock.unit);
	return dbops_json_finish(&json);
}

/* The interval that is asked for, or that of the partitions; NULL: they show none, which the plan refuses. */
static Interval *
take_every(FunctionCallInfo fcinfo, PartitionSet *set)
{
	Interval   *every = palloc(sizeof(Interval));

	if (!PG_ARGISNULL(1))
	{
		*every = *PG_GETARG_INTERVAL_P(1);
		dbops_partition_check_every(every, set->clock.type);
		return every;
	}
	return dbops_partition_infer(set, every) ? every : NULL;
}

/* Store it as text that means the same whatever intervalstyle is. */
static void
put_interval(DbopsJson *json, const Interval *interval, const char *key)
{
	if (interval == NULL)
		return;
	require_length(interval, key);
	dbops_json_text(json, key, interval_text(interval));
}

/* What is longer leads to times that the server does not know. */
static void
require_length(const Interval *interval, const char *name)
{
	int64		ms = dbops_interval_ms(interval);

	if (ms <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be longer than zero", name)));
	if (ms / MS_PER_DAY / DAYS_PER_YEAR > LONGEST_YEARS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be longer than %d years", name, LONGEST_YEARS)));
}

static char *
interval_text(const Interval *interval)
{
	StringInfoData text;

	initStringInfo(&text);
	if (interval->month != 0)
		appendStringInfo(&text, "%d months ", interval->month);
	if (interval->day != 0)
		appendStringInfo(&text, "%d days ", interval->day);
	if (interval->time % USECS_PER_SEC != 0)
		appendStringInfo(&text, INT64_FORMAT " microseconds ", interval->time);
	else if (interval->time % USECS_PER_HOUR != 0)
		appendStringInfo(&text, INT64_FORMAT " seconds ", interval->time / USECS_PER_SEC);
	else if (interval->time != 0)
		appendStringInfo(&text, INT64_FORMAT " hours ", interval->time / USECS_PER_HOUR);
	return pnstrdup(text.data, text.len - 1);
}

/* Refuse what could not be looked after. */
static void
judge(const Policy *policy, const PartitionPlan *plan)
{
	refuse_sub_partitions(plan->set);
	require_schema_rights(plan->set, policy->owner);
	if (plan->set->default_partition != NULL)
		require_default_rights(plan->set, policy->owner);
	if (list_length(plan->missing) >= LONGEST_RUNWAY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("runway asks for %d partitions or more", LONGEST_RUNWAY),
				 errhint("Give a shorter runway, or a longer interval.")));
	if (plan->keep != NULL)
		dbops_partition_refuse_retention(plan->set->parent);
}

/* Refuse to drop where a policy of the same rows, above or below, says what of them is to go, and what is done first. */
void
dbops_partition_refuse_retention(Oid parent)
{
	List	   *policies = dbops_policy_list("retention");
	List	   *tables;
	ListCell   *cell;

	if (policies == NIL)
		return;
	tables = find_all_inheritors(parent, NoLock, NULL);
	if (get_rel_relispartition(parent))
		tables = list_concat(tables, get_partition_ancestors(parent));
	foreach(cell, policies)
		if (list_member_oid(tables, ((Policy *) lfirst(cell))->relation))
		{
			char	   *name = dbops_quote_relation(((Policy *) lfirst(cell))->relation);

			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("table %s has a retention policy, which drops its old partitions", name),
					 errhint("Leave keep out, or SELECT dbops.remove_retention(%s).", quote_literal_cstr(name))));
		}
}

static void
refuse_sub_partitions(const PartitionSet *set)
{
	ListCell   *cell;

	foreach(cell, set->partitions)
	{
		const Partition *partition = lfirst(cell);

		if (partition->relkind == RELKIND_PARTITIONED_TABLE)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("partition %s of table %s is partitioned itself", partition->name, set->name),
					 errdetail("Partitions of partitions are not made."),
					 errhint("dbops.set_retention can drop such partitions as a whole.")));
	}
}

/* The owner asks the default partition for rows, and gives a large one a constraint. */
static void
require_default_rights(const PartitionSet *set, Oid owner)
{
	const Partition *other = set->default_partition;

	if (has_privs_of_role(owner, dbops_relation_owner(other->relid)) &&
		pg_class_aclcheck(other->relid, owner, ACL_SELECT) == ACLCHECK_OK)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("role \"%s\", which owns table %s, does not own its default partition %s, or cannot read it",
					GetUserNameFromId(owner, false), set->name, other->name),
			 errhint("ALTER TABLE %s OWNER TO %s.", other->name, quote_identifier(GetUserNameFromId(owner, false)))));
}

static void
require_schema_rights(const PartitionSet *set, Oid owner)
{
	const char *schema = dbops_partition_schema(set);
	DbopsParam	params[] = {dbops_param_oid(owner), dbops_param_text(schema)};
	Datum		may;

	if (dbops_query_value("SELECT has_schema_privilege($1, $2, 'CREATE')", lengthof(params), params, BOOLOID, &may) &&
		DatumGetBool(may))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("role \"%s\", which owns table %s, cannot make partitions in schema %s",
					GetUserNameFromId(owner, false), set->name, dbops_quote_name(schema)),
			 errhint("GRANT CREATE ON SCHEMA %s TO %s.", dbops_quote_name(schema),
					 quote_identifier(GetUserNameFromId(owner, false)))));
}
