/*
 * reindex_history.c
 *		What rebuilds of indexes have brought, and how long it lasted.
 *
 * The history says how fast this server rebuilds, how small an index is when it
 * is new, and whether a rebuild helps: an index that is as bloated as before
 * within two weeks, twice in a row, is not bloated but of that size.
 */
#include "maintain/reindex.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"

#define USUAL_RATE		(30 * 1024 * 1024.0)	/* bytes/s of table and index, before anything is learnt */
#define LASTING			(14 * 86400000.0)	/* ms; a rebuild that does not last so long has not helped */
#define KEPT_RECORDS	100		/* of an index */

PG_FUNCTION_INFO_V1(dbops_reindex_history);

static DbopsParam decimal(double number);
static void take_record(HeapTuple row, TupleDesc desc, void *arg);
static double row_decimal(HeapTuple row, TupleDesc desc, int column);

/* Add one. */
void
dbops_reindex_history_add(const ReindexIndex *index, const ReindexRecord *record)
{
	DbopsParam	params[] = {
		dbops_param_text(index->name),
		dbops_param_text(index->table_name),
		dbops_param_int8(record->job),
		dbops_param_time(record->rebuilt_at),
		dbops_param_int8(record->duration),
		dbops_param_int8(index->table_bytes),
		dbops_param_int8(record->bytes_before),
		dbops_param_int8(record->bytes_after),
		decimal(record->density_before),
		decimal(record->density_after),
		decimal(record->percent_before),
		decimal(record->rows),
		dbops_param_int4(KEPT_RECORDS)
	};

	dbops_store_each("INSERT INTO dbops.reindex_history (index_name, table_name, job_id, rebuilt_at, duration, table_bytes,"
					 " bytes_before, bytes_after, density_before, density_after, percent_before, row_count)"
					 " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
					 lengthof(params) - 1, params, NULL, NULL);
	dbops_store_each("DELETE FROM dbops.reindex_history WHERE index_name = $1 AND id <="
					 " (SELECT id FROM dbops.reindex_history WHERE index_name = $1 ORDER BY id DESC OFFSET $13 LIMIT 1)",
					 lengthof(params), params, NULL, NULL);
}

static DbopsParam
decimal(double number)
{
	return (DbopsParam) {.type = FLOAT8OID,.value = Float8GetDatum(number),.isnull = isnan(number)};
}

/* The last one of an index; false if there is none. */
bool
dbops_reindex_history_last(const char *name, ReindexRecord *record)
{
	DbopsParam	params[] = {dbops_param_text(name)};

	return dbops_store_each_kept("SELECT rebuilt_at, bytes_after, density_after, row_count FROM dbops.reindex_history"
							" WHERE index_name = $1 ORDER BY id DESC LIMIT 1",
							lengthof(params), params, take_record, record) > 0;
}

static void
take_record(HeapTuple row, TupleDesc desc, void *arg)
{
	ReindexRecord *record = arg;

	*record = (ReindexRecord) {
		.rebuilt_at = dbops_row_time(row, desc, 1),
		.bytes_after = dbops_row_int8(row, desc, 2),
		.density_after = row_decimal(row, desc, 3),
		.rows = row_decimal(row, desc, 4)
	};
}

static double
row_decimal(HeapTuple row, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = heap_getattr(row, column, desc, &isnull);

	return isnull ? NAN : DatumGetFloat8(value);
}

/*
 * Has the index come back soon after its last two rebuilds? is_back: it is as
 * bloated now as is not to be; then that is written down, once.
 */
bool
dbops_reindex_history_returns(const char *name, bool is_back)
{
	TimestampTz now = dbops_clock_now();
	DbopsParam	params[] = {
		dbops_param_text(name), dbops_param_time(now),
		dbops_param_time(TimestampTzPlusMilliseconds(now, -LASTING))
	};
	Datum		twice;

	if (is_back)
		dbops_store_each("UPDATE dbops.reindex_history SET returned_at = $2 WHERE returned_at IS NULL AND rebuilt_at > $3"
						 " AND id = (SELECT max(id) FROM dbops.reindex_history WHERE index_name = $1)",
						 lengthof(params), params, NULL, NULL);
	return dbops_store_value("SELECT count(returned_at) = 2 FROM (SELECT returned_at FROM dbops.reindex_history"
							 " WHERE index_name = $1 ORDER BY id DESC LIMIT 2) h",
							 1, params, BOOLOID, &twice) && DatumGetBool(twice);
}

/* How long so many bytes of table and new index will take, in ms, as the latest took. */
int64
dbops_reindex_history_predict(int64 bytes)
{
	Datum		rate;

	if (!dbops_store_value("SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY (table_bytes + bytes_after) * 1000.0 / duration)"
						   " FROM (SELECT * FROM dbops.reindex_history WHERE duration >= 1000 ORDER BY id DESC LIMIT 20) h",
						   0, NULL, FLOAT8OID, &rate) || DatumGetFloat8(rate) < 1)
		return (int64) (bytes / USUAL_RATE * 1000);
	return (int64) (bytes / DatumGetFloat8(rate) * 1000);
}

/* reindex_history() → every rebuild that is remembered, the latest first */
Datum
dbops_reindex_history(PG_FUNCTION_ARGS)
{
	InitMaterializedSRF(fcinfo, 0);
	dbops_store_report((ReturnSetInfo *) fcinfo->resultinfo,
					   "SELECT index_name, table_name, rebuilt_at, duration * interval '1 ms', bytes_before, bytes_after,"
					   " round(density_before::numeric, 1), round(density_after::numeric, 1), round(percent_before::numeric, 1),"
					   " returned_at, job_id FROM dbops.reindex_history ORDER BY id DESC",
					   0, NULL);
	return (Datum) 0;
}
