/*
 * forecast_history.c
 *		The past of what is forecast, out of what history keeps.
 *
 * Days come from the tier of days, and those that it does not have yet from the
 * tier of hours. What is the cluster's is there in the home database only.
 */
#include "observe/forecast.h"

#include "access/xlog.h"

/* A gauge of this database at the end of each day, then of each hour since. */
#define SIZES \
	"SELECT at + interval '1 day' - interval '1 second', lasts[$2]::int8 FROM dbops.metric_1d " \
	"WHERE NOT cluster AND at >= $1 AND lasts[$2] > '-Infinity' AND lasts[$2] < 'Infinity' " \
	"UNION ALL SELECT at + interval '59 minutes', lasts[$2]::int8 FROM dbops.metric_1h " \
	"WHERE NOT cluster AND at >= $1 AND lasts[$2] > '-Infinity' AND lasts[$2] < 'Infinity' " \
	"AND at >= coalesce((SELECT max(at) + interval '1 day' FROM dbops.metric_1d WHERE NOT cluster), '-infinity') " \
	"ORDER BY 1"

/* What a counter of the cluster came to since then; the first counts from zero. */
#define TOTALS \
	"SELECT at, (sum(delta) OVER (ORDER BY at))::int8 FROM (" \
	"SELECT at + interval '1 day' - interval '1 second' AS at, deltas[$2] AS delta FROM dbops.metric_1d " \
	"WHERE cluster AND at >= $1 AND deltas[$2] >= 0 AND deltas[$2] < 'Infinity' " \
	"UNION ALL SELECT at + interval '59 minutes', deltas[$2] FROM dbops.metric_1h " \
	"WHERE cluster AND at >= $1 AND deltas[$2] >= 0 AND deltas[$2] < 'Infinity' " \
	"AND at >= coalesce((SELECT max(at) + interval '1 day' FROM dbops.metric_1d WHERE cluster), '-infinity')) d ORDER BY 1"

#define DISKS \
	"SELECT at, used_bytes, disk FROM dbops.disk_1h WHERE at >= $1 ORDER BY disk COLLATE \"C\", at"

/* The tables that grew most; what they had when the past begins counts too. */
#define TABLES \
	"WITH known AS (SELECT relid, at, bytes FROM dbops.relation_1d WHERE at >= $1 " \
	"UNION ALL (SELECT DISTINCT ON (relid) relid, $1, bytes FROM dbops.relation_1d WHERE at < $1 ORDER BY relid, at DESC)), " \
	"grown AS (SELECT relid, (array_agg(bytes ORDER BY at DESC))[1] - (array_agg(bytes ORDER BY at))[1] AS bytes " \
	"FROM known WHERE EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = relid AND c.relkind IN ('r', 'm')) " \
	"GROUP BY relid ORDER BY 2 DESC, relid LIMIT $2) " \
	"SELECT k.at, k.bytes, k.relid FROM grown g JOIN known k USING (relid) WHERE g.bytes > 0 ORDER BY g.bytes DESC, k.relid, k.at"

#define SEQUENCES \
	"SELECT at, last_value, sequence FROM dbops.sequence_1d WHERE at >= $1 ORDER BY sequence, at"

static void add_figure(HeapTuple row, TupleDesc desc, void *arg);
static void add_disk(HeapTuple row, TupleDesc desc, void *arg);
static void add_table(HeapTuple row, TupleDesc desc, void *arg);
static void add_sequence(HeapTuple row, TupleDesc desc, void *arg);
static FigureSet *set_of(List **sets, Oid oid, const char *name);

/* The bytes of this database. */
void
dbops_forecast_size(TimestampTz since, Figures *figures)
{
	DbopsParam	params[] = {dbops_param_time(since), dbops_param_int4(DM_SIZE + 1)};

	dbops_store_each(SIZES, lengthof(params), params, add_figure, figures);
}

/* How many ids of a kind were given out since then, added up. */
void
dbops_forecast_given(TimestampTz since, ClusterMetric counter, Figures *figures)
{
	DbopsParam	params[] = {dbops_param_time(since), dbops_param_int4(counter + 1)};

	dbops_store_each(TOTALS, lengthof(params), params, add_figure, figures);
}

/* The bytes used of each disk. */
List *
dbops_forecast_disks(TimestampTz since)
{
	DbopsParam	params[] = {dbops_param_time(since)};
	List	   *disks = NIL;

	dbops_store_each(DISKS, lengthof(params), params, add_disk, &disks);
	return disks;
}

/*
 * Where one disk is going, by its past and what it holds now. On a standby the
 * past is that of the primary's disk: its growth counts, and not its level.
 */
void
dbops_forecast_disk(List *past, const Disk *disk, Trend *trend)
{
	Figures		none = {0};
	Figures    *figures = &none;
	ListCell   *cell;

	foreach(cell, past)
		if (strcmp(((FigureSet *) lfirst(cell))->name, disk->name) == 0)
			figures = &((FigureSet *) lfirst(cell))->figures;
	if (RecoveryInProgress())
		dbops_figures_end_at(figures, disk->used);
	dbops_figures_add(figures, dbops_clock_now(), disk->used);
	dbops_figures_fit(figures, trend);
}

/* The bytes of the tables that grew most, with their indexes; they are kept when they change. */
List *
dbops_forecast_tables(TimestampTz since, int most)
{
	DbopsParam	params[] = {dbops_param_time(since), dbops_param_int4(most)};
	List	   *tables = NIL;

	dbops_store_each(TABLES, lengthof(params), params, add_table, &tables);
	return tables;
}

/* The last values of the sequences that have come far. */
List *
dbops_forecast_sequences(TimestampTz since)
{
	DbopsParam	params[] = {dbops_param_time(since)};
	List	   *sequences = NIL;

	dbops_store_each(SEQUENCES, lengthof(params), params, add_sequence, &sequences);
	return sequences;
}

static void
add_figure(HeapTuple row, TupleDesc desc, void *arg)
{
	dbops_figures_add(arg, dbops_row_time(row, desc, 1), dbops_row_int8(row, desc, 2));
}

static void
add_disk(HeapTuple row, TupleDesc desc, void *arg)
{
	add_figure(row, desc, &set_of(arg, InvalidOid, dbops_row_text(row, desc, 3))->figures);
}

static void
add_table(HeapTuple row, TupleDesc desc, void *arg)
{
	dbops_figures_carry(&set_of(arg, dbops_row_oid(row, desc, 3), "")->figures,
						dbops_row_time(row, desc, 1), dbops_row_int8(row, desc, 2));
}

static void
add_sequence(HeapTuple row, TupleDesc desc, void *arg)
{
	add_figure(row, desc, &set_of(arg, dbops_row_oid(row, desc, 3), "")->figures);
}

/* The set that a row belongs to: the last one, or a new one. */
static FigureSet *
set_of(List **sets, Oid oid, const char *name)
{
	FigureSet  *set = (*sets == NIL) ? NULL : llast(*sets);

	if (set == NULL || set->oid != oid || strcmp(set->name, name) != 0)
	{
		set = palloc0(sizeof(FigureSet));
		set->oid = oid;
		set->name = pstrdup(name);
		*sets = lappend(*sets, set);
	}
	return set;
}
