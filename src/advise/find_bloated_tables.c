/*
 * find_bloated_tables.c
 *		The tables of which a rewrite would win most, in bytes.
 *
 * Every table and every TOAST table of the database is a candidate, those of the
 * catalog too, of which the files are known to the server's map only.
 */
#include "advise/table_bloat.h"

/* Tables with files, and their TOAST tables. */
#define TABLES \
	"SELECT r.oid, false, " BLOAT_FILE " FROM pg_class r WHERE " ARE_THERE("r") " UNION ALL " \
	"SELECT c.oid, true, " BLOAT_FILE " FROM pg_class c JOIN pg_class r ON r.oid = c.reltoastrelid WHERE " ARE_THERE("c")

#define ARE_THERE(alias) \
	alias ".relkind IN ('r', 'm') AND (" alias ".relpersistence <> 't' OR " alias ".relnamespace = pg_my_temp_schema())"

PG_FUNCTION_INFO_V1(dbops_find_bloated_tables);

static void measure(const BloatSubject *subject, int blocks, Bloat *bloat);

const BloatKind dbops_bloat_of_tables = {
	.example = "SELECT * FROM dbops.find_bloated_tables(20, 100, 10485760);",
	.size = sizeof(TableBloat),
	.measure = measure,
	.put = dbops_table_bloat_put
};

/* find_bloated_tables(min_percent, row_limit, min_bytes) → setof record */
Datum
dbops_find_bloated_tables(PG_FUNCTION_ARGS)
{
	BloatList	list;

	dbops_bloat_list_begin(&list, &dbops_bloat_of_tables, fcinfo);
	InitMaterializedSRF(fcinfo, 0);
	dbops_query_each(TABLES, 0, NULL, dbops_bloat_list_add, &list);
	dbops_bloat_list_measure(&list);
	dbops_bloat_list_put(&list, (ReturnSetInfo *) fcinfo->resultinfo);
	return (Datum) 0;
}

static void
measure(const BloatSubject *subject, int blocks, Bloat *bloat)
{
	dbops_heap_measure(subject->relation, subject->toast, blocks, (TableBloat *) bloat);
}
