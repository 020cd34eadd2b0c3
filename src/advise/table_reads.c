/*
 * table_reads.c
 *		How tables were read in a time, and not ever since.
 *
 * The server's counters only grow: a table that was read from end to end before
 * it got its index looks bad for ever. So once a day the counters of large tables
 * are written down, and what was read in a time is what they have grown by. Where
 * nothing was written down before that time, or the counters have been reset, all
 * that they have counts.
 */
#include "advise/table_reads.h"

#include "advise/index_advice.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"

#define KEPT_ROWS		10000	/* tables with as many rows are written down */
#define KEPT_DAYS		"31"

/* What is known of tables, and what was known at the beginning of the time. */
typedef struct Reading
{
	List	   *tables;			/* of TableReads * */
	TimestampTz counting;
} Reading;

PG_FUNCTION_INFO_V1(dbops_note_table_reads);

static void keep_daily(void *arg);
static int64 note_tables(void);
static void take_table(HeapTuple row, TupleDesc desc, void *arg);
static void subtract(TableReads *reads, int64 scans, int64 rows_read, int64 rows_by_index, TimestampTz at);

static const DbopsUpkeep keeping_reads = {
	.name = "table_reads",.every = 3600000,.elsewhere = 3600000,.run = keep_daily
};

/* Register what is done in the background. */
void
dbops_table_reads_init(void)
{
	dbops_upkeep_register(&keeping_reads);
}

/* Once a day is enough. */
static void
keep_daily(void *arg)
{
	DbopsParam	day = dbops_param_time(dbops_clock_now() - 23 * USECS_PER_HOUR);
	Datum		known;

	if (!dbops_store_value("SELECT true FROM dbops.table_reads WHERE at > $1 LIMIT 1", 1, &day, BOOLOID, &known))
		(void) note_tables();
}

/* note_table_reads() → how many tables were written down */
Datum
dbops_note_table_reads(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(note_tables());
}

/* Write down what was counted of large tables, and forget what is old. */
static int64
note_tables(void)
{
	List	   *tables = dbops_table_reads(KEPT_ROWS, DT_NOEND);
	TimestampTz now = dbops_clock_now();
	DbopsParam	param = dbops_param_time(now);
	ListCell   *cell;

	foreach(cell, tables)
	{
		const TableReads *reads = lfirst(cell);
		DbopsParam	params[] = {
			dbops_param_oid(reads->table), dbops_param_time(now), dbops_param_int8(reads->scans),
			dbops_param_int8(reads->rows_read), dbops_param_int8(reads->rows_by_index)
		};

		CHECK_FOR_INTERRUPTS();
		dbops_store_each_kept("INSERT INTO dbops.table_reads (table_oid, at, scans, rows_read, rows_by_index)"
							  " VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
							  lengthof(params), params, NULL, NULL);
	}
	dbops_store_each("DELETE FROM dbops.table_reads WHERE at < $1 - interval '" KEPT_DAYS " days'", 1, &param, NULL, NULL);
	return list_length(tables);
}

/* List the users' tables with at least so many rows, and how they were read since a time; DT_NOEND: all that was counted. */
List *
dbops_table_reads(double min_rows, TimestampTz since)
{
	const char *why;
	Reading		reading = {.counting = dbops_counting_since(&why)};
	DbopsParam	params[] = {dbops_param_int8((int64) min_rows), dbops_param_time(since)};

	dbops_store_each("SELECT c.oid, n.nspname::text, c.relname::text, c.reltuples::float8, k.scans, k.rows_read, k.rows_by_index, k.at,"
					 " (SELECT sum(pg_stat_get_tuples_returned(i.indexrelid))::bigint FROM pg_index i WHERE i.indrelid = c.oid)"
					 " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
					 " LEFT JOIN LATERAL (SELECT r.* FROM dbops.table_reads r WHERE r.table_oid = c.oid AND r.at <= $2"
					 " AND $2 <> 'infinity' ORDER BY r.at DESC LIMIT 1) k ON true"
					 " WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND c.oid >= 16384 AND c.reltuples >= $1"
					 " AND n.nspname <> 'information_schema'"
					 " AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')"
					 " ORDER BY c.oid",
					 lengthof(params), params, take_table, &reading);
	return reading.tables;
}

static void
take_table(HeapTuple row, TupleDesc desc, void *arg)
{
	Reading    *reading = arg;
	TableReads *reads = palloc0(sizeof(TableReads));
	IndexCounters counters = {0};

	CHECK_FOR_INTERRUPTS();
	reads->table = dbops_row_oid(row, desc, 1);
	reads->schema = dbops_row_text(row, desc, 2);
	reads->name = dbops_row_text(row, desc, 3);
	reads->rows = dbops_row_float8(row, desc, 4);
	dbops_relation_counters_add(reads->table, &counters);
	reads->scans = counters.scans;
	reads->rows_read = counters.tuples_read;
	reads->rows_by_index = dbops_row_int8(row, desc, 9);
	reads->since = reading->counting;
	subtract(reads, dbops_row_int8(row, desc, 5), dbops_row_int8(row, desc, 6),
			 dbops_row_int8(row, desc, 7), dbops_row_time(row, desc, 8));
	reading->tables = lappend(reading->tables, reads);
}

/* What was counted by then is not of the time, unless it was reset. */
static void
subtract(TableReads *reads, int64 scans, int64 rows_read, int64 rows_by_index, TimestampTz at)
{
	if (at < reads->since || scans > reads->scans || rows_read > reads->rows_read || rows_by_index > reads->rows_by_index)
		return;
	reads->scans -= scans;
	reads->rows_read -= rows_read;
	reads->rows_by_index -= rows_by_index;
	reads->since = at;
}
