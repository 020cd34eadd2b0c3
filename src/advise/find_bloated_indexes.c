/*
 * find_bloated_indexes.c
 *		The indexes of which a rebuild would win most, in bytes.
 *
 * Every btree of the database is a candidate; of other kinds it is not known what
 * they would win. Where the server and the transaction allow it the best of each
 * index is remembered on the way (core/index_best.c).
 */
#include "advise/bloat_list.h"

/* The indexes that can be read. */
#define BTREES \
	"SELECT r.oid, false, " BLOAT_FILE " FROM pg_class r JOIN pg_index i ON i.indexrelid = r.oid " \
	"WHERE r.relkind = 'i' AND r.relam = 403 AND i.indisready " \
	"AND (r.relpersistence <> 't' OR r.relnamespace = pg_my_temp_schema())"

PG_FUNCTION_INFO_V1(dbops_find_bloated_indexes);

static void measure(const BloatSubject *subject, int blocks, Bloat *bloat);
static void measure_and_remember(const BloatSubject *subject, int blocks, Bloat *bloat);

const BloatKind dbops_bloat_of_indexes = {
	.example = "SELECT * FROM dbops.find_bloated_indexes(20, 100, 10485760);",
	.size = sizeof(IndexBloat),
	.measure = measure,
	.put = dbops_index_bloat_put
};

static const BloatKind remembered = {
	.example = "SELECT * FROM dbops.find_bloated_indexes(20, 100, 10485760);",
	.size = sizeof(IndexBloat),
	.measure = measure_and_remember,
	.put = dbops_index_bloat_put
};

/* find_bloated_indexes(min_percent, row_limit, min_bytes) → setof record */
Datum
dbops_find_bloated_indexes(PG_FUNCTION_ARGS)
{
	BloatList	list;

	dbops_bloat_list_begin(&list, &dbops_bloat_of_indexes, fcinfo);
	InitMaterializedSRF(fcinfo, 0);
	dbops_query_each(BTREES, 0, NULL, dbops_bloat_list_add, &list);
	if (dbops_index_best_open())
		list.kind = &remembered;
	dbops_bloat_list_measure(&list);
	if (list.kind == &remembered)
		dbops_index_best_prune();
	dbops_bloat_list_put(&list, (ReturnSetInfo *) fcinfo->resultinfo);
	return (Datum) 0;
}

static void
measure(const BloatSubject *subject, int blocks, Bloat *bloat)
{
	dbops_index_measure(subject->relation, blocks, (IndexBloat *) bloat);
}

static void
measure_and_remember(const BloatSubject *subject, int blocks, Bloat *bloat)
{
	measure(subject, blocks, bloat);
	dbops_index_best_record((IndexBloat *) bloat);
}
