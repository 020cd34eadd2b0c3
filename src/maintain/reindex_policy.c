/*
 * reindex_policy.c
 *		set_reindex_policy(): which indexes are to be rebuilt by themselves.
 *
 * A policy is of a table, with its partitions and what is stored out of line of
 * them, or of the whole database; a table's own goes before that. The database's
 * runs as who has set it and touches only what that role may maintain.
 */
#include "maintain/reindex.h"

#include "catalog/catalog.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#define DEFAULT_MIN_PERCENT		30.0
#define DEFAULT_MIN_BYTES		(100 * 1024 * 1024L)
#define DEFAULT_MIN_INTERVAL	(7 * 86400000L) /* ms */

enum
{
	ARG_TABLE,
	ARG_MIN_PERCENT,
	ARG_MIN_BYTES,
	ARG_MIN_INTERVAL,
	ARG_WINDOW,
	ARG_ZONE,
	ARG_SCHEDULE,
	ARG_UNIQUE
};

PG_FUNCTION_INFO_V1(dbops_set_reindex_policy);
PG_FUNCTION_INFO_V1(dbops_remove_reindex_policy);

static Oid	table_argument(FunctionCallInfo fcinfo);
static Jsonb *read_spec(FunctionCallInfo fcinfo);
static double percent_argument(FunctionCallInfo fcinfo);
static const char *unique_argument(FunctionCallInfo fcinfo);
static void refuse(const char *message);
static const Policy *find_policy(const List *policies, Oid relation);

static const PolicyKind kind = {
	.name = "reindex",
	.set_call = "set_reindex_policy",
	.job_kind = "reindex",
	.class = DBOPS_CLASS_PLAIN
};

void
dbops_reindex_init(void)
{
	dbops_policy_kind_register(&kind);
	dbops_job_kind_register(&dbops_reindex_kind);
	dbops_job_kind_register(&dbops_leftover_kind);
}

/*
 * set_reindex_policy(table_name regclass, min_percent numeric, min_bytes bigint,
 *		min_interval interval, time_window text, time_zone text, schedule text,
 *		unique_indexes text) → timestamptz
 */
Datum
dbops_set_reindex_policy(PG_FUNCTION_ARGS)
{
	Policy	   *policy = dbops_policy_new("reindex", table_argument(fcinfo));

	dbops_require_argument(fcinfo, ARG_SCHEDULE, "schedule");
	policy->spec = read_spec(fcinfo);
	dbops_policy_take_times(policy, dbops_text_argument(fcinfo, ARG_SCHEDULE),
							dbops_text_argument(fcinfo, ARG_WINDOW), dbops_text_argument(fcinfo, ARG_ZONE));
	dbops_policy_set(policy);
	PG_RETURN_TIMESTAMPTZ(policy->next_run);
}

/* The table, or InvalidOid for the whole database. */
static Oid
table_argument(FunctionCallInfo fcinfo)
{
	Oid			table = dbops_policy_relation_argument(fcinfo, ARG_TABLE);
	char		relkind = OidIsValid(table) ? get_rel_relkind(table) : RELKIND_RELATION;

	if (OidIsValid(table) && IsCatalogRelationOid(table))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("\"%s\" is a catalog, which the server does not rebuild concurrently", get_rel_name(table)),
				 errhint("REINDEX TABLE %s; rebuilds its indexes, and keeps others from writing meanwhile.", dbops_quote_relation(table))));
	if (relkind == '\0' || relkind == RELKIND_RELATION || relkind == RELKIND_MATVIEW || relkind == RELKIND_PARTITIONED_TABLE)
		return table;
	ereport(ERROR,
			(errcode(ERRCODE_WRONG_OBJECT_TYPE),
			 errmsg("\"%s\" is not a table", get_rel_name(table)),
			 errhint("A policy is of a table, all of whose indexes it looks after; SELECT dbops.start_reindex(...) rebuilds one index now.")));
}

static Jsonb *
read_spec(FunctionCallInfo fcinfo)
{
	DbopsJson	json = {0};
	double		percent = percent_argument(fcinfo);

	dbops_require_argument(fcinfo, ARG_MIN_BYTES, "min_bytes");
	dbops_require_argument(fcinfo, ARG_MIN_INTERVAL, "min_interval");
	if (PG_GETARG_INT64(ARG_MIN_BYTES) < 0)
		refuse("min_bytes must not be negative");
	if (dbops_interval_ms(PG_GETARG_INTERVAL_P(ARG_MIN_INTERVAL)) < 0)
		refuse("min_interval must not be negative");
	dbops_json_object(&json, NULL);
	dbops_json_decimal(&json, "min_percent", percent);
	dbops_json_integer(&json, "min_bytes", PG_GETARG_INT64(ARG_MIN_BYTES));
	dbops_json_text(&json, "min_interval", dbops_interval_text(PG_GETARG_INTERVAL_P(ARG_MIN_INTERVAL)));
	dbops_json_text(&json, "unique_indexes", unique_argument(fcinfo));
	return dbops_json_finish(&json);
}

static double
percent_argument(FunctionCallInfo fcinfo)
{
	double		percent;

	dbops_require_argument(fcinfo, ARG_MIN_PERCENT, "min_percent");
	percent = DatumGetFloat8(DirectFunctionCall1(numeric_float8, PG_GETARG_DATUM(ARG_MIN_PERCENT)));
	if (!(percent >= 0 && percent < 100))
		refuse("min_percent must be at least 0 and less than 100");
	return percent;
}

static const char *
unique_argument(FunctionCallInfo fcinfo)
{
	const char *unique;

	dbops_require_argument(fcinfo, ARG_UNIQUE, "unique_indexes");
	unique = dbops_text_argument(fcinfo, ARG_UNIQUE);
	if (strcmp(unique, "auto") != 0 && strcmp(unique, "yes") != 0 && strcmp(unique, "no") != 0)
		refuse(psprintf("unique_indexes must be auto, yes or no, not \"%s\"", unique));
	return unique;
}

static void
refuse(const char *message)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s", message)));
}

/* remove_reindex_policy(table_name regclass) */
Datum
dbops_remove_reindex_policy(PG_FUNCTION_ARGS)
{
	dbops_policy_remove("reindex", dbops_policy_relation_argument(fcinfo, 0));
	PG_RETURN_VOID();
}

/* What a policy asks for; of none: what one would ask for by default. */
ReindexLimits
dbops_reindex_limits(const Policy *policy)
{
	ReindexLimits limits = {DEFAULT_MIN_PERCENT, DEFAULT_MIN_BYTES, DEFAULT_MIN_INTERVAL, "auto"};
	Datum		interval;

	if (policy == NULL)
		return limits;
	interval = DirectFunctionCall3(interval_in, CStringGetDatum(dbops_jsonb_text(policy->spec, "min_interval")),
								   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
	limits.min_percent = dbops_jsonb_decimal(policy->spec, "min_percent");
	limits.min_bytes = dbops_jsonb_integer(policy->spec, "min_bytes");
	limits.min_interval = dbops_interval_ms(DatumGetIntervalP(interval));
	limits.unique = dbops_jsonb_text(policy->spec, "unique_indexes");
	return limits;
}

/* The size below which no policy looks at an index, nor one of default figures would. */
int64
dbops_reindex_least_bytes(void)
{
	DbopsParam	params[] = {dbops_param_int8(DEFAULT_MIN_BYTES)};
	Datum		least;

	if (!dbops_store_value("SELECT least($1, min((spec ->> 'min_bytes')::bigint)) FROM dbops.policy WHERE kind = 'reindex'",
						   lengthof(params), params, INT8OID, &least))
		return DEFAULT_MIN_BYTES;
	return DatumGetInt64(least);
}

/* All that there are; to be read once, and not for each index. */
List *
dbops_reindex_policies(void)
{
	return dbops_policy_list(kind.name);
}

/* The one of these that looks after an index: of its table, of what that is a part of, or of the database; NULL: none. */
const Policy *
dbops_reindex_policy_of(const ReindexIndex *index, const List *policies)
{
	const Policy *policy = find_policy(policies, index->main);
	ListCell   *cell;

	if (policy == NULL && list_length(policies) > 0 && get_rel_relispartition(index->main))
		foreach(cell, get_partition_ancestors(index->main))
			if ((policy = find_policy(policies, lfirst_oid(cell))) != NULL)
				break;
	return (policy != NULL) ? policy : find_policy(policies, InvalidOid);
}

static const Policy *
find_policy(const List *policies, Oid relation)
{
	ListCell   *cell;

	foreach(cell, policies)
		if (((const Policy *) lfirst(cell))->relation == relation)
			return lfirst(cell);
	return NULL;
}
