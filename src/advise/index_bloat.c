/*
 * index_bloat.c
 *		How bloated one index is, measured from a sample of its pages.
 *
 * core/index_measure.c measures. With exact every page is read: by pgstatindex
 * where pgstattuple is installed, the caller may execute it and it can read the
 * index, else by the sampler. pgstatindex does not tell how long the items are,
 * so that a sample is taken for that beside.
 */
#include "advise/bloat_list.h"

#include <math.h>

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#define N_COLUMNS	18

/* What pgstatindex says, and about what. */
typedef struct Census
{
	IndexBloat *bloat;
	const char *function;		/* as SQL calls it */
	bool		done;
} Census;

PG_FUNCTION_INFO_V1(dbops_index_bloat);

static void check_index(Oid index);
static void measure(Oid index, int blocks, bool exact, IndexBloat *bloat);
static bool ask_pgstatindex(IndexBloat *bloat);
static const char *find_pgstatindex(void);
static void run_pgstatindex(void *arg);
static void take_census(HeapTuple row, TupleDesc desc, void *arg);

/* index_bloat(index_name, sample_blocks, exact) → setof record, of one row */
Datum
dbops_index_bloat(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	IndexBloat	bloat;
	int			blocks;

	dbops_require_argument(fcinfo, 0, "index_name");
	dbops_require_argument(fcinfo, 2, "exact");
	blocks = dbops_bloat_sample_argument(fcinfo, "To read every page, add exact => true.");
	check_index(PG_GETARG_OID(0));
	InitMaterializedSRF(fcinfo, 0);
	measure(PG_GETARG_OID(0), blocks, PG_GETARG_BOOL(2), &bloat);
	dbops_index_bloat_put(rsinfo, &bloat.base);
	return (Datum) 0;
}

static void
check_index(Oid index)
{
	char		kind = get_rel_relkind(index);

	if (kind == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no index with OID %u", index)));
	if (kind != RELKIND_INDEX && kind != RELKIND_PARTITIONED_INDEX)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not an index", get_rel_name(index)),
				 errhint("Name an index. To list the bloated ones: SELECT * FROM dbops.find_bloated_indexes();")));
}

static void
measure(Oid index, int blocks, bool exact, IndexBloat *bloat)
{
	dbops_index_measure(index, blocks, bloat);
	if (exact && bloat->base.judged && strcmp(bloat->base.method, "sample") == 0 && ask_pgstatindex(bloat))
		return;
	if (exact && bloat->base.skipped == NULL && strcmp(bloat->base.method, "census") != 0)
		dbops_index_measure(index, 0, bloat);
}

/* Put the truth about pages in the place of the sample's; false: it cannot be had so. */
static bool
ask_pgstatindex(IndexBloat *bloat)
{
	Census		census = {.bloat = bloat,.function = find_pgstatindex()};
	ErrorData  *error;

	return census.function != NULL &&
		dbops_attempt(run_pgstatindex, &census, &error) && census.done;
}

/* Find the function of the extension and no other; NULL: there is none for the caller. */
static const char *
find_pgstatindex(void)
{
	DbopsExtension extension = dbops_extension_find("pgstattuple");
	DbopsParam	params[] = {dbops_param_oid(extension.oid)};
	Datum		function;

	if (!OidIsValid(extension.oid) ||
		!dbops_query_value("SELECT pg_catalog.format('%I.%I', n.nspname, p.proname) "
						   "FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid JOIN pg_namespace n ON n.oid = p.pronamespace "
						   "WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid = $1 "
						   "AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e' AND p.proname = 'pgstatindex' "
						   "AND p.proargtypes = '2205'::oidvector AND has_function_privilege(p.oid, 'EXECUTE') "
						   "AND has_schema_privilege(n.oid, 'USAGE')",
						   lengthof(params), params, TEXTOID, &function))
		return NULL;
	return TextDatumGetCString(function);
}

/* It takes a lock that dbops has just had; a timeout keeps it from waiting for one. */
static void
run_pgstatindex(void *arg)
{
	Census	   *census = arg;
	DbopsParam	params[] = {dbops_param_oid(census->bloat->base.relation)};
	int			nest_level = NewGUCNestLevel();
	char	   *sql = psprintf("SELECT leaf_pages::int8, internal_pages::int8, deleted_pages::int8, empty_pages::int8, "
							   "(avg_leaf_density * 1000000)::int8 FROM %s($1::regclass)", census->function);

	dbops_set_nested("lock_timeout", "1ms");
	dbops_query_each(sql, lengthof(params), params, take_census, census);
	AtEOXact_GUC(false, nest_level);
}

/* The data of its leaves is what is not free, less the high keys and what pages take for themselves. */
static void
take_census(HeapTuple row, TupleDesc desc, void *arg)
{
	Census	   *census = arg;
	IndexBloat *bloat = census->bloat;
	double	   *figures = bloat->figures;
	double		leaves = dbops_row_int8(row, desc, 1);
	double		density = dbops_row_int8(row, desc, 5) / 1000000.0 / 100;
	double		sampled_used = figures[BTREE_LEAVES] * BTREE_PAGE_ROOM - figures[BTREE_FREE];
	double		used = leaves * BTREE_PAGE_ROOM * density;

	if (sampled_used <= 0)
		return;
	for (int i = BTREE_DATA; i < N_BTREE_FIGURES; i++)
		figures[i] *= used / sampled_used;
	figures[BTREE_FREE] = leaves * BTREE_PAGE_ROOM - used;
	figures[BTREE_LEAVES] = leaves;
	figures[BTREE_INTERNAL] = dbops_row_int8(row, desc, 2);
	figures[BTREE_DELETED] = dbops_row_int8(row, desc, 3);
	figures[BTREE_HALF_DEAD] = dbops_row_int8(row, desc, 4);
	bloat->base.pages_read += bloat->base.pages;
	bloat->data_error = 0;
	bloat->base.method = "pgstatindex";
	dbops_index_judge(bloat);
	census->done = true;
}

/* Add the row of an index to a report; index_bloat and find_bloated_indexes have the same columns. */
void
dbops_index_bloat_put(ReturnSetInfo *rsinfo, const Bloat *base)
{
	Datum		values[N_COLUMNS];
	bool		nulls[N_COLUMNS] = {false};
	const IndexBloat *bloat = (const IndexBloat *) base;

	nulls[2] = nulls[3] = nulls[4] = nulls[5] = nulls[8] = nulls[11] = nulls[12] = nulls[13] = nulls[14] = nulls[15] = !base->judged;
	values[0] = ObjectIdGetDatum(base->relation);
	values[1] = Int64GetDatum(base->bytes);
	nulls[1] = (base->skipped != NULL && base->bytes == 0);
	values[2] = dbops_bloat_figure(base->percent, &nulls[2]);
	values[3] = dbops_bloat_figure(base->low, &nulls[3]);
	values[4] = dbops_bloat_figure(base->high, &nulls[4]);
	values[5] = Int64GetDatum(base->wasted);
	values[6] = Int64GetDatum(base->pages_read);
	values[7] = CStringGetTextDatum(base->method);
	values[8] = Int64GetDatum(bloat->rebuilt_bytes);
	values[9] = dbops_bloat_figure(bloat->density, &nulls[9]);
	values[10] = Int32GetDatum(base->fillfactor);
	nulls[10] = (base->fillfactor == 0);
	values[11] = dbops_bloat_figure(bloat->steady_percent, &nulls[11]);
	values[12] = dbops_bloat_figure(dbops_index_best(bloat), &nulls[12]);
	values[13] = Int64GetDatum((int64) rint(bloat->figures[BTREE_DELETED] + bloat->figures[BTREE_NEW]));
	values[14] = Int64GetDatum((int64) rint(bloat->figures[BTREE_HALF_DEAD]));
	values[15] = dbops_bloat_figure(bloat->killable_percent, &nulls[15]);
	values[16] = Int64GetDatum(base->damaged);
	nulls[17] = (base->note == NULL);
	values[17] = nulls[17] ? (Datum) 0 : CStringGetTextDatum(base->note);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}
