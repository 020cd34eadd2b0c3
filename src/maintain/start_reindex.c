/*
 * start_reindex.c
 *		start_reindex(): have one index rebuilt now.
 *
 * It is asked for by name, so neither its bloat nor its last rebuild is asked
 * about; what would break it or fill a disk is.
 */
#include "maintain/reindex.h"

#include "catalog/index.h"
#include "catalog/pg_class.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(dbops_start_reindex);

static void check_index(Oid index);
static void check_leaf(const ReindexIndex *index);
static void warn_of_conflict(const ReindexIndex *index);
static int64 submit(Oid index);

/* start_reindex(index_name regclass) → bigint, the job */
Datum
dbops_start_reindex(PG_FUNCTION_ARGS)
{
	Oid			oid;
	ListCell   *cell;

	dbops_require_argument(fcinfo, 0, "index_name");
	oid = PG_GETARG_OID(0);
	check_index(oid);
	dbops_require_table_owner(oid);
	foreach(cell, dbops_reindex_leaves(oid))
	{
		const ReindexIndex *index = dbops_reindex_index(lfirst_oid(cell));

		if (index == NULL)
			continue;
		check_leaf(index);
		warn_of_conflict(index);
	}
	PG_RETURN_INT64(submit(oid));
}

static void
check_index(Oid index)
{
	char		relkind = get_rel_relkind(index);

	if (relkind == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no index with OID %u", index)));
	if (relkind != RELKIND_INDEX && relkind != RELKIND_PARTITIONED_INDEX)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not an index", get_rel_name(index)),
				 errhint("SELECT * FROM dbops.reindex_candidates('%s'); shows which indexes a rebuild would make smaller.",
						 dbops_quote_relation(index))));
}

static void
check_leaf(const ReindexIndex *index)
{
	const char *refusal = dbops_reindex_refusal(index);

	if (refusal != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("index %s cannot be rebuilt concurrently: %s", index->name, refusal),
				 index->leftover ? errhint("SELECT dbops.drop_leftover_index('%s');", index->name) :
				 errhint("REINDEX INDEX %s; does it, and keeps others from writing meanwhile.", index->name)));
}

static void
warn_of_conflict(const ReindexIndex *index)
{
	const char *reason = dbops_reindex_conflict(index, "auto");

	if (reason != NULL)
		ereport(NOTICE,
				(errmsg("INSERT ... ON CONFLICT on table %s may fail with duplicate keys or deadlocks while unique index %s is rebuilt",
						index->table_name, index->name),
				 errdetail("The server does not keep it from that before version 19.")));
}

static int64
submit(Oid index)
{
	DbopsJson	json = {0};
	Oid			table = IndexGetRelation(index, false);
	DbopsJobRequest request = {
		DBOPS_JOB_REQUEST,
		.kind = dbops_reindex_kind.name,
		.name = dbops_quote_relation(index),
		.owner = dbops_relation_owner(table),
		.path = dbops_query_submission_path(),
		.class = DBOPS_CLASS_PLAIN,
		.idempotent = true,
		.dedupe_key = psprintf("dbops reindex %u", index)
	};

	dbops_json_object(&json, NULL);
	dbops_json_integer(&json, "index", index);
	request.spec = dbops_json_finish(&json);
	return dbops_job_submit(&request);
}
