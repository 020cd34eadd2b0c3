/*
 * table_bloat.c
 *		How bloated one table is, and its TOAST table, measured from samples.
 */
#include "advise/table_bloat.h"

#include "catalog/pg_class.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"

#define N_COLUMNS	19

PG_FUNCTION_INFO_V1(dbops_table_bloat);

static int	sample_argument(FunctionCallInfo fcinfo);
static void check_table(Oid table);
static Datum figure(double number, bool *isnull);

/* table_bloat(table_name, sample_blocks) → setof record: the table, and its TOAST table if that has anything */
Datum
dbops_table_bloat(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	TableBloat	bloat;
	Oid			table;
	int			blocks;

	dbops_require_argument(fcinfo, 0, "table_name");
	blocks = sample_argument(fcinfo);
	table = PG_GETARG_OID(0);
	check_table(table);
	InitMaterializedSRF(fcinfo, 0);
	dbops_heap_measure(table, false, blocks, &bloat);
	dbops_table_bloat_put(rsinfo, &bloat);
	if (dbops_heap_has_toast(table))
	{
		dbops_heap_measure(table, true, blocks, &bloat);
		if (bloat.bytes > 0 || !bloat.judged)
			dbops_table_bloat_put(rsinfo, &bloat);
	}
	return (Datum) 0;
}

static int
sample_argument(FunctionCallInfo fcinfo)
{
	int			blocks;

	dbops_require_argument(fcinfo, 1, "sample_blocks");
	blocks = PG_GETARG_INT32(1);
	if (blocks < 1 || blocks > MAX_SAMPLE_BLOCKS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("sample_blocks must be between 1 and %d", MAX_SAMPLE_BLOCKS),
				 errhint("Leave it out for %d blocks.", DEFAULT_SAMPLE_BLOCKS)));
	return blocks;
}

static void
check_table(Oid table)
{
	char		kind = get_rel_relkind(table);

	if (kind == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("there is no table with OID %u", table),
				 errhint("Name a table. To list the bloated ones: SELECT * FROM dbops.find_bloated_tables();")));
	if (!RELKIND_HAS_TABLE_AM(kind) && kind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a table", get_rel_name(table)),
				 errhint("Name a table. To list the bloated ones: SELECT * FROM dbops.find_bloated_tables();")));
}

/* Add a row; table_bloat and find_bloated_tables have the same columns. */
void
dbops_table_bloat_put(ReturnSetInfo *rsinfo, const TableBloat *bloat)
{
	Datum		values[N_COLUMNS];
	bool		nulls[N_COLUMNS] = {false};
	const double *figures = bloat->figures;

	values[0] = ObjectIdGetDatum(bloat->relation);
	values[1] = CStringGetTextDatum(bloat->toast ? "TOAST" : "table");
	values[2] = Int64GetDatum(bloat->bytes);
	nulls[2] = (!bloat->judged && bloat->bytes == 0);
	for (int i = 3; i <= 14; i++)
		nulls[i] = !bloat->judged;
	values[3] = figure(bloat->percent, &nulls[3]);
	values[4] = figure(bloat->low, &nulls[4]);
	values[5] = figure(bloat->high, &nulls[5]);
	values[6] = Int64GetDatum(bloat->wasted);
	values[7] = Int64GetDatum(bloat->vacuum_returns);
	values[8] = Int64GetDatum(bloat->wasted - bloat->vacuum_returns);
	values[9] = Int64GetDatum((int64) rint(figures[HEAP_DEAD_BYTES]));
	values[10] = Int64GetDatum((int64) rint(figures[HEAP_HELD_BYTES]));
	values[11] = Int64GetDatum((int64) rint(figures[HEAP_FREE_BYTES]));
	values[12] = Int64GetDatum((int64) rint(figures[HEAP_LIVE_ROWS]));
	values[13] = Int64GetDatum((int64) rint(figures[HEAP_DEAD_ROWS] + figures[HEAP_HELD_ROWS]));
	values[14] = figure(bloat->pages > 0 ? 100 * bloat->visible_pages / bloat->pages : NAN, &nulls[14]);
	values[15] = Int64GetDatum(bloat->pages_read);
	values[16] = Int64GetDatum(bloat->damaged);
	values[17] = CStringGetTextDatum(bloat->method);
	nulls[18] = (bloat->note == NULL);
	values[18] = nulls[18] ? (Datum) 0 : CStringGetTextDatum(bloat->note);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* A figure with two decimals, unless it is null already or not known. */
static Datum
figure(double number, bool *isnull)
{
	*isnull = *isnull || isnan(number);
	if (*isnull)
		return (Datum) 0;
	return NumericGetDatum(int64_div_fast_to_numeric((int64) rint(number * 100), 2));
}
