/*
 * import_index_usage.c
 *		What other nodes have counted of the scans of indexes.
 *
 * A replica counts its own scans, and nobody tells the primary. So they are
 * taken there as a document and brought here by hand or by a schedule. What is
 * brought replaces what was known of that node. The indexes of a physical
 * replica have the same OIDs, those of a logical one the same names. A replica
 * that feeds others says so, since nobody else knows of them.
 */
#include "advise/index_advice.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#define LONGEST_NAME	200		/* bytes */

/* A document on its way into the tables. */
typedef struct Import
{
	const char *node;
	Jsonb	   *usage;
	bool		same_cluster;	/* it is of a physical replica, and of this database */
	Datum		indexes;		/* that are known here: int8 */
} Import;

PG_FUNCTION_INFO_V1(dbops_export_index_usage);
PG_FUNCTION_INFO_V1(dbops_import_index_usage);
PG_FUNCTION_INFO_V1(dbops_forget_index_usage);

static void require_counted(void);
static void put_indexes(DbopsJson *json);
static void put_index(DbopsJson *json, const IndexEntry *entry, const IndexCounters *counters);
static const char *take_node(FunctionCallInfo fcinfo);
static void require_primary(void);
static Jsonb *take_indexes(const Jsonb *usage);
static bool is_of_same_cluster(const Jsonb *usage);
static void store(void *arg);
static void store_node(const Import *import);
static void store_indexes(Import *import);
static void refuse(const ErrorData *error);
static void refuse_document(const char *why);
static void require_past(const char *node);
static void require_scans_before(const char *node);

/* export_index_usage() → jsonb, for import_index_usage() on the primary */
Datum
dbops_export_index_usage(PG_FUNCTION_ARGS)
{
	DbopsJson	json = {0};
	const char *why;

	require_counted();
	dbops_json_object(&json, NULL);
	dbops_json_text(&json, "system_identifier", psprintf(UINT64_FORMAT, GetSystemIdentifier()));
	dbops_json_integer(&json, "database", MyDatabaseId);
	dbops_json_time(&json, "observed_since", dbops_counting_since(&why));
	dbops_json_time(&json, "taken_at", dbops_clock_now());
	dbops_json_texts(&json, "downstream", dbops_index_readers());
	dbops_json_array(&json, "indexes");
	put_indexes(&json);
	dbops_json_array_end(&json);
	PG_RETURN_JSONB_P(dbops_json_finish(&json));
}

/* Silence would be taken for indexes that nobody uses. */
static void
require_counted(void)
{
	const char *why = dbops_index_uncounted();

	if (why != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("what is scanned here cannot be exported: %s", why),
				 errhint("Switch track_counts on, and SELECT pg_stat_reset(); so that what was not counted is not taken for unused.")));
}

/* Those that were scanned here. */
static void
put_indexes(DbopsJson *json)
{
	ListCell   *cell;

	foreach(cell, dbops_indexes_list(NIL))
	{
		const IndexEntry *entry = lfirst(cell);
		IndexCounters counters = {0};

		CHECK_FOR_INTERRUPTS();
		if (!entry->partitioned)
			dbops_relation_counters_add(entry->oid, &counters);
		if (dbops_index_is_scanned(&counters))
			put_index(json, entry, &counters);
	}
}

static void
put_index(DbopsJson *json, const IndexEntry *entry, const IndexCounters *counters)
{
	dbops_json_object(json, NULL);
	dbops_json_integer(json, "oid", entry->oid);
	dbops_json_text(json, "name", entry->name);
	dbops_json_integer(json, "scans", counters->scans);
	dbops_json_integer(json, "tuples_read", counters->tuples_read);
	dbops_json_integer(json, "tuples_fetched", counters->tuples_fetched);
	if (counters->last_scan != 0)
		dbops_json_time(json, "last_scan", counters->last_scan);
	dbops_json_object_end(json);
}

/* import_index_usage(node, usage) → how many indexes of this database it tells of */
Datum
dbops_import_index_usage(PG_FUNCTION_ARGS)
{
	Import		import = {.node = take_node(fcinfo)};
	int64		given;
	ErrorData  *error;
	Jsonb	   *indexes;

	dbops_require_argument(fcinfo, 1, "usage");
	require_primary();
	import.usage = PG_GETARG_JSONB_P(1);
	indexes = take_indexes(import.usage);
	import.same_cluster = is_of_same_cluster(import.usage);
	if (!dbops_attempt(store, &import, &error))
		refuse(error);
	require_past(import.node);
	require_scans_before(import.node);
	given = JB_ROOT_COUNT(indexes);
	if (DatumGetInt64(import.indexes) < given)
		ereport(NOTICE,
				(errmsg("%lld of %lld indexes of node %s are not in this database",
						(long long) (given - DatumGetInt64(import.indexes)), (long long) given,
						dbops_quote_name(import.node))));
	PG_RETURN_DATUM(import.indexes);
}

static const char *
take_node(FunctionCallInfo fcinfo)
{
	const char *node;

	dbops_require_argument(fcinfo, 0, "node");
	node = dbops_text_argument(fcinfo, 0);
	if (*node == '\0' || strlen(node) > LONGEST_NAME)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("node must have between 1 and %d bytes", LONGEST_NAME),
				 errhint("Call a standby by its application_name, as pg_stat_replication shows it.")));
	if (strcmp(node, THIS_SERVER) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("node \"%s\" is what reports call the server that they run on", THIS_SERVER),
				 errhint("Give the standby another application_name.")));
	return node;
}

static void
require_primary(void)
{
	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("a standby keeps no figures of other nodes"),
				 errhint("Call it on the primary, with what SELECT dbops.export_index_usage(); gives here.")));
}

static Jsonb *
take_indexes(const Jsonb *usage)
{
	Jsonb	   *indexes = JB_ROOT_IS_OBJECT(usage) ? dbops_jsonb_document(usage, "indexes") : NULL;

	if (indexes == NULL || !JB_ROOT_IS_ARRAY(indexes))
		refuse_document("it has no array of indexes");
	return indexes;
}

static bool
is_of_same_cluster(const Jsonb *usage)
{
	const char *cluster = dbops_jsonb_text(usage, "system_identifier");

	if (cluster == NULL || strcmp(cluster, psprintf(UINT64_FORMAT, GetSystemIdentifier())) != 0)
		return false;
	if (dbops_jsonb_integer(usage, "database") != MyDatabaseId)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("usage is of another database"),
				 errhint("On the other node connect to database %s, and type SELECT dbops.export_index_usage();",
						 get_database_name(MyDatabaseId))));
	return true;
}

/* Replace what is known of the node. */
static void
store(void *arg)
{
	Import	   *import = arg;

	store_node(import);
	store_indexes(import);
}

static void
store_node(const Import *import)
{
	DbopsParam	params[] = {
		dbops_param_text(import->node), dbops_param_jsonb(import->usage),
		dbops_param_text(GetUserNameFromId(GetUserId(), false)), dbops_param_time(dbops_clock_now())
	};

	dbops_store_each("INSERT INTO dbops.index_usage_node (node, observed_since, taken_at, downstream, imported_by, imported_at)"
					 " SELECT $1, ($2->>'observed_since')::timestamptz, ($2->>'taken_at')::timestamptz,"
					 " ARRAY(SELECT jsonb_array_elements_text(coalesce($2->'downstream', '[]'))), $3, $4"
					 " ON CONFLICT (node) DO UPDATE SET observed_since = excluded.observed_since, taken_at = excluded.taken_at,"
					 " downstream = excluded.downstream, imported_by = excluded.imported_by, imported_at = excluded.imported_at",
					 lengthof(params), params, NULL, NULL);
}

static void
store_indexes(Import *import)
{
	DbopsParam	match[] = {
		dbops_param_text(import->node), dbops_param_jsonb(import->usage), dbops_param_bool(import->same_cluster)
	};

	dbops_store_each("DELETE FROM dbops.index_usage_imported WHERE node = $1", 1, match, NULL, NULL);
	(void) dbops_store_value("WITH written AS (INSERT INTO dbops.index_usage_imported (node, index_oid, scans, tuples_read, tuples_fetched, last_scan)"
							 " SELECT $1, c.oid, sum(u.scans), sum(u.tuples_read), sum(u.tuples_fetched), max(u.last_scan)"
							 " FROM jsonb_to_recordset($2->'indexes')"
							 " u(oid oid, name text, scans bigint, tuples_read bigint, tuples_fetched bigint, last_scan timestamptz)"
							 " JOIN pg_class c ON c.relkind = 'i' AND c.oid = CASE WHEN $3 THEN u.oid ELSE to_regclass(u.name) END"
							 " GROUP BY c.oid RETURNING 1) SELECT count(*) FROM written",
							 lengthof(match), match, INT8OID, &import->indexes);
}

/* What cannot be read as such a document is the caller's mistake. */
static void
refuse(const ErrorData *error)
{
	int			category = ERRCODE_TO_CATEGORY(error->sqlerrcode);

	if (category != ERRCODE_DATA_EXCEPTION && category != ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION &&
		category != ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION)
		ReThrowError(unconstify(ErrorData *, error));
	refuse_document(error->message);
}

static void
refuse_document(const char *why)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("usage is not what dbops.export_index_usage() gives"),
			 errdetail_internal("%s", why),
			 errhint("On the other node type SELECT dbops.export_index_usage(); and pass what it gives.")));
}

static void
require_past(const char *node)
{
	DbopsParam	params[] = {dbops_param_text(node), dbops_param_time(dbops_clock_now() + USECS_PER_HOUR)};
	Datum		known;

	if (dbops_store_value("SELECT true FROM dbops.index_usage_node WHERE node = $1 AND taken_at > $2",
						  lengthof(params), params, BOOLOID, &known))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("taken_at of usage is in the future"),
				 errhint("Set the clocks of both nodes, and type SELECT dbops.export_index_usage(); there again.")));
}

/* A scan after the counters were taken has not been counted. */
static void
require_scans_before(const char *node)
{
	DbopsParam	param = dbops_param_text(node);
	Datum		known;

	if (dbops_store_value("SELECT true FROM dbops.index_usage_node n JOIN dbops.index_usage_imported i USING (node)"
						  " WHERE node = $1 AND i.last_scan > n.taken_at + interval '1 hour' LIMIT 1", 1, &param, BOOLOID, &known))
		refuse_document("an index was scanned after its scans were counted");
}

/* forget_index_usage(node) → whether anything was known of it, if only that it was connected */
Datum
dbops_forget_index_usage(PG_FUNCTION_ARGS)
{
	DbopsParam	param = dbops_param_text(take_node(fcinfo));
	Datum		known;

	require_primary();
	PG_RETURN_BOOL(dbops_store_value("WITH gone AS (DELETE FROM dbops.index_usage_imported WHERE node = $1),"
									 " seen AS (DELETE FROM dbops.index_usage_standby WHERE name = $1 RETURNING true AS known),"
									 " node AS (DELETE FROM dbops.index_usage_node WHERE node = $1 RETURNING true AS known)"
									 " SELECT known FROM node UNION SELECT known FROM seen",
									 1, &param, BOOLOID, &known));
}
