/*
 * largest_relations.c
 *		largest_relations(): the tables that hold most, and how they grow.
 *
 * Sizes are those of the files now, without a lock on any table. Growth is told
 * from the history: since the table was first written down, or the day that is
 * RECENT_DAYS ago, whichever is later.
 */
#include "observe/report.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "observe/size_history.h"
#include "utils/guc.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(dbops_largest_relations);

#define CANDIDATES	4			/* times as many files are looked at: a table has several */
#define RECENT_DAYS 30
#define LOCK_WAIT	1000		/* ms for a lock that somebody holds against all readers */

/* What a table held before. */
typedef struct Before
{
	Oid			relid;
	TimestampTz at;				/* 0: nothing is known */
	int64		bytes;
} Before;

static void measure(Measurement *measurement, int limit);
static List *read_before(const Measurement *measurement, int n);
static void take_before(HeapTuple row, TupleDesc desc, void *arg);
static int	by_size(const void *a, const void *b);
static void put_table(ReportRow *row, const Measurement *measurement, const MeasuredTable *table, const List *before);
static void put_growth(ReportRow *row, const MeasuredTable *table, const List *before);

/* largest_relations(row_limit integer) → tables, the largest first */
Datum
dbops_largest_relations(PG_FUNCTION_ARGS)
{
	int			limit = dbops_report_limit(fcinfo, 0);
	Measurement *measurement;
	ReportRow	row;

	InitMaterializedSRF(fcinfo, 0);
	dbops_report_begin(&row, (ReturnSetInfo *) fcinfo->resultinfo);
	measurement = dbops_measure_begin();
	PG_TRY();
	{
		List	   *before;

		measure(measurement, limit);
		limit = Min(limit, measurement->n_tables);
		before = read_before(measurement, limit);
		for (int i = 0; i < limit; i++)
			put_table(&row, measurement, &measurement->tables[i], before);
	}
	PG_FINALLY();
	{
		dbops_measure_abandon(measurement);
	}
	PG_END_TRY();
	return (Datum) 0;
}

/* Measure what may be among the largest, and sort it. */
static void
measure(Measurement *measurement, int limit)
{
	Sizes		sizes = {0};

	measurement->wanted = Max(measurement->wanted, Min(limit, PG_INT32_MAX / CANDIDATES) * CANDIDATES);
	if (!dbops_measure_continue(measurement, INFINITY, &sizes))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("pg_class is locked"),
				 errhint("Ask again later; SELECT * FROM dbops.blocking_sessions() shows who waits.")));
	qsort(measurement->tables, measurement->n_tables, sizeof(MeasuredTable), by_size);
}

static int
by_size(const void *a, const void *b)
{
	const MeasuredTable *left = a;
	const MeasuredTable *right = b;

	if (left->bytes != right->bytes)
		return left->bytes < right->bytes ? 1 : -1;
	return (left->relid > right->relid) - (left->relid < right->relid);
}

/* Ask what the first tables held before. List of Before *, in their order. */
static List *
read_before(const Measurement *measurement, int n)
{
	List	   *relids = NIL;
	List	   *before = NIL;
	TimestampTz now = dbops_clock_now();
	int			nest_level = dbops_begin_bounded_wait(LOCK_WAIT);
	DbopsParam	params[3];

	for (int i = 0; i < n; i++)
		relids = lappend_oid(relids, measurement->tables[i].relid);
	params[0] = dbops_param_oids(relids);
	params[1] = dbops_param_time(now - RECENT_DAYS * USECS_PER_DAY);
	params[2] = dbops_param_time(now);
	dbops_store_each("SELECT t.relid, greatest(coalesce(old.at, young.at), $2), coalesce(old.bytes, young.bytes)"
					 " FROM unnest($1) WITH ORDINALITY t (relid, n)"
					 " LEFT JOIN LATERAL (SELECT r.at, r.bytes FROM dbops.relation_1d r WHERE r.relid = t.relid AND r.at <= $2"
					 " ORDER BY r.at DESC LIMIT 1) old ON true"
					 " LEFT JOIN LATERAL (SELECT r.at, r.bytes FROM dbops.relation_1d r WHERE r.relid = t.relid AND r.at > $2 AND r.at <= $3"
					 " ORDER BY r.at LIMIT 1) young ON true"
					 " WHERE coalesce(old.at, young.at) IS NOT NULL ORDER BY t.n",
					 lengthof(params), params, take_before, &before);
	AtEOXact_GUC(true, nest_level);
	return before;
}

static void
take_before(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **all = arg;
	Before	   *before = palloc(sizeof(Before));

	before->relid = dbops_row_oid(row, desc, 1);
	before->at = dbops_row_time(row, desc, 2);
	before->bytes = dbops_row_int8(row, desc, 3);
	*all = lappend(*all, before);
}

static void
put_table(ReportRow *row, const Measurement *measurement, const MeasuredTable *table, const List *before)
{
	const char *name = dbops_relation_name(table->relid);
	MeasuredParts parts;
	HeapTuple	class = SearchSysCache1(RELOID, ObjectIdGetDatum(table->relid));
	double		rows;

	if (!HeapTupleIsValid(class))
		return;
	rows = ((Form_pg_class) GETSTRUCT(class))->reltuples;
	ReleaseSysCache(class);
	dbops_measure_parts(measurement, table->relid, &parts);
	dbops_report_text(row, name);
	dbops_report_bytes(row, table->bytes);
	dbops_report_bytes(row, parts.table);
	dbops_report_bytes(row, parts.indexes);
	dbops_report_bytes(row, parts.toast);
	dbops_report_bytes(row, rows < 0 ? -1 : (int64) rows);
	put_growth(row, table, before);
	dbops_report_put(row);
}

/* Less than a day tells nothing. */
static void
put_growth(ReportRow *row, const MeasuredTable *table, const List *before)
{
	const Before *past = NULL;
	double		days = 0;
	ListCell   *cell;

	foreach(cell, before)
		if (((const Before *) lfirst(cell))->relid == table->relid)
			past = lfirst(cell);
	if (past != NULL)
		days = (dbops_clock_now() - past->at) / (double) USECS_PER_DAY;
	if (days < 1)
		past = NULL;
	if (past != NULL)
		dbops_report_bigint(row, table->bytes - past->bytes);
	else
		dbops_report_null(row);
	if (past != NULL)
		dbops_report_bigint(row, (int64) rint((table->bytes - past->bytes) / days));
	else
		dbops_report_null(row);
	dbops_report_time(row, past != NULL ? past->at : 0);
}
