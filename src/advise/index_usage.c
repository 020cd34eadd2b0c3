/*
 * index_usage.c
 *		How much the indexes of a table are used.
 *
 * Of a partitioned table they are summed over its partitions. An index without a
 * scan is not called unused where it keeps something: a unique one works with
 * every row that is written.
 */
#include "advise/index_advice.h"

#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#define N_COLUMNS	11

PG_FUNCTION_INFO_V1(dbops_index_usage);

static List *tables_to_read(Oid table);
static IndexAdvice *describe(IndexEntry *entry, const IndexNodes *nodes, IndexNeeds *needs);
static int	compare_usage(const ListCell *a, const ListCell *b);
static void put_usage(ReturnSetInfo *rsinfo, const IndexAdvice *advice, const IndexNodes *nodes);

/* index_usage(table_name) → setof record */
Datum
dbops_index_usage(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Oid			table = PG_ARGISNULL(0) ? InvalidOid : PG_GETARG_OID(0);
	List	   *tables = tables_to_read(table);
	IndexNodes *nodes = dbops_index_nodes_read();
	IndexNeeds *needs = dbops_index_needs_begin();
	List	   *rows = NIL;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, dbops_indexes_list(tables))
	{
		IndexEntry *entry = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (OidIsValid(table) ? entry->table == table : !OidIsValid(entry->parent))
			rows = lappend(rows, describe(entry, nodes, needs));
	}
	dbops_index_needs_end(needs);
	list_sort(rows, compare_usage);
	foreach(cell, rows)
		put_usage(rsinfo, lfirst(cell), nodes);
	return (Datum) 0;
}

/* The table and its partitions; NIL: all. */
static List *
tables_to_read(Oid table)
{
	if (!OidIsValid(table))
		return NIL;
	switch (get_rel_relkind(table))
	{
		case RELKIND_RELATION:
		case RELKIND_MATVIEW:
		case RELKIND_TOASTVALUE:
			return list_make1_oid(table);
		case RELKIND_PARTITIONED_TABLE:
			return find_all_inheritors(table, NoLock, NULL);
		case '\0':
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_TABLE),
					 errmsg("there is no table with OID %u", table),
					 errhint("Name a table, or NULL for all.")));
			break;
		default:
			ereport(ERROR,
					(errcode(ERRCODE_WRONG_OBJECT_TYPE),
					 errmsg("\"%s\" is not a table", get_rel_name(table)),
					 errhint("Name a table or a materialized view, or NULL for all.")));
	}
}

static IndexAdvice *
describe(IndexEntry *entry, const IndexNodes *nodes, IndexNeeds *needs)
{
	IndexAdvice *advice = dbops_index_advice(entry, nodes);
	const char *fkey = (advice->backs != NULL) ? NULL : dbops_index_serves_fkey(needs, entry, SERVES_ALONE);

	if (fkey != NULL)
		advice->backs = psprintf("foreign key %s finds its rows by it", fkey);
	return advice;
}

/* Those that are used most come first. */
static int
compare_usage(const ListCell *a, const ListCell *b)
{
	const IndexAdvice *one = lfirst(a);
	const IndexAdvice *other = lfirst(b);

	if (one->counters.scans != other->counters.scans)
		return (one->counters.scans > other->counters.scans) ? -1 : 1;
	return dbops_index_advice_by_size(a, b);
}

static void
put_usage(ReturnSetInfo *rsinfo, const IndexAdvice *advice, const IndexNodes *nodes)
{
	Datum		values[N_COLUMNS];
	bool		nulls[N_COLUMNS] = {false};
	const IndexCounters *counters = &advice->counters;
	const char *status = dbops_index_is_scanned(counters) ? "used" : (advice->backs != NULL) ? "needed" : "unused";

	values[0] = ObjectIdGetDatum(advice->index->oid);
	values[1] = ObjectIdGetDatum(advice->index->table);
	values[2] = Int64GetDatum(counters->scans);
	values[3] = Int64GetDatum(counters->tuples_read);
	values[4] = Int64GetDatum(counters->tuples_fetched);
	values[5] = Int64GetDatum(advice->bytes);
	nulls[5] = (advice->bytes < 0);
	values[6] = CStringGetTextDatum(status);
	values[7] = TimestampTzGetDatum(counters->last_scan);
	nulls[7] = (counters->last_scan == 0);
	values[8] = TimestampTzGetDatum(advice->observed_since);
	nulls[8] = (advice->observed_since == 0);
	values[9] = dbops_param_texts(nodes->names).value;
	nulls[10] = (advice->backs == NULL);
	values[10] = nulls[10] ? (Datum) 0 : CStringGetTextDatum(advice->backs);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}
