/*
 * table_bloat.c
 *		How bloated one table is, and its TOAST table, measured from samples.
 */
#include "advise/table_bloat.h"

#include <math.h>

#include "catalog/pg_class.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#define N_COLUMNS	19

PG_FUNCTION_INFO_V1(dbops_table_bloat);

static void check_table(Oid table);

/* table_bloat(table_name, sample_blocks) → setof record: the table, and its TOAST table if that has anything */
Datum
dbops_table_bloat(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	TableBloat	bloat;
	Oid			table;
	int			blocks;

	dbops_require_argument(fcinfo, 0, "table_name");
	blocks = dbops_bloat_sample_argument(fcinfo, psprintf("Leave it out for %d blocks.", DEFAULT_SAMPLE_BLOCKS));
	table = PG_GETARG_OID(0);
	check_table(table);
	InitMaterializedSRF(fcinfo, 0);
	dbops_heap_measure(table, false, blocks, &bloat);
	dbops_table_bloat_put(rsinfo, &bloat.base);
	if (dbops_heap_has_toast(table))
	{
		dbops_heap_measure(table, true, blocks, &bloat);
		if (bloat.base.bytes > 0 || !bloat.base.judged)
			dbops_table_bloat_put(rsinfo, &bloat.base);
	}
	return (Datum) 0;
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
dbops_table_bloat_put(ReturnSetInfo *rsinfo, const Bloat *base)
{
	Datum		values[N_COLUMNS];
	bool		nulls[N_COLUMNS] = {false};
	const TableBloat *bloat = (const TableBloat *) base;
	const double *figures = bloat->figures;

	values[0] = ObjectIdGetDatum(base->relation);
	values[1] = CStringGetTextDatum(bloat->toast ? "TOAST" : "table");
	values[2] = Int64GetDatum(base->bytes);
	nulls[2] = (base->skipped != NULL && base->bytes == 0);
	for (int i = 3; i <= 14; i++)
		nulls[i] = !base->judged;
	values[3] = dbops_bloat_figure(base->percent, &nulls[3]);
	values[4] = dbops_bloat_figure(base->low, &nulls[4]);
	values[5] = dbops_bloat_figure(base->high, &nulls[5]);
	values[6] = Int64GetDatum(base->wasted);
	values[7] = Int64GetDatum(bloat->vacuum_returns);
	values[8] = Int64GetDatum(base->wasted - bloat->vacuum_returns);
	values[9] = Int64GetDatum((int64) rint(figures[HEAP_DEAD_BYTES]));
	values[10] = Int64GetDatum((int64) rint(figures[HEAP_HELD_BYTES]));
	values[11] = Int64GetDatum((int64) rint(figures[HEAP_FREE_BYTES]));
	values[12] = Int64GetDatum((int64) rint(figures[HEAP_LIVE_ROWS]));
	values[13] = Int64GetDatum((int64) rint(figures[HEAP_DEAD_ROWS] + figures[HEAP_HELD_ROWS]));
	values[14] = dbops_bloat_figure(base->pages > 0 ? 100 * bloat->visible_pages / base->pages : NAN, &nulls[14]);
	values[15] = Int64GetDatum(base->pages_read);
	values[16] = Int64GetDatum(base->damaged);
	values[17] = CStringGetTextDatum(base->method);
	nulls[18] = (base->note == NULL);
	values[18] = nulls[18] ? (Datum) 0 : CStringGetTextDatum(base->note);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}
