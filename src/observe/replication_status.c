/*
 * replication_status.c
 *		replication_status(): who receives from this server, and from whom it receives.
 *
 * A row for each receiver with the slot that it uses, one for each slot that
 * nobody uses, and on a standby the first for its upstream. How long a receiver
 * lags is 0 when it has all that was written, however long ago that was; where
 * the server has not measured it, it is told from when the WAL that is missing
 * there was written here.
 */
#include "observe/report.h"

#include "access/htup_details.h"
#include "access/xlog.h"
#include "access/xlogrecovery.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/pg_lsn.h"

PG_FUNCTION_INFO_V1(dbops_replication_status);

#define N_COLUMNS		19
#define DATABASE_COLUMN 15		/* counted from 0: comes as an OID */

static void put_upstream(ReturnSetInfo *rsinfo);
static void put_receivers(ReturnSetInfo *rsinfo);
static void put_row(HeapTuple row, TupleDesc desc, void *arg);
static double lag_of(const Standby *standby);
static DbopsParam lsn_param(XLogRecPtr position);
static DbopsParam interval_param(double seconds);

/* replication_status() → upstream, receivers, slots */
Datum
dbops_replication_status(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	if (RecoveryInProgress())
		put_upstream(rsinfo);
	put_receivers(rsinfo);
	return (Datum) 0;
}

/* Where a standby receives from; the row is there also when it does not. */
static void
put_upstream(ReturnSetInfo *rsinfo)
{
	Replication replication = {0};
	DbopsParam	params[3];

	dbops_replication_read(&replication);
	params[0] = lsn_param(GetXLogReplayRecPtr(NULL));
	params[1] = interval_param(replication.lag);
	params[2] = dbops_param_int8(replication.lag_bytes);
	params[2].isnull = (replication.lag_bytes < 0);
	dbops_store_each("SELECT 'upstream', r.sender_host || ':' || r.sender_port, r.pid, r.sender_host,"
					 " coalesce(r.status, 'disconnected'), NULL, NULL::pg_lsn, r.written_lsn, r.flushed_lsn, $1,"
					 " $2, $3, r.slot_name, NULL, NULL, 0::oid, NULL, NULL::bigint, r.last_msg_receipt_time"
					 " FROM (VALUES (1)) one LEFT JOIN pg_stat_get_wal_receiver() r ON r.pid IS NOT NULL",
					 lengthof(params), params, put_row, rsinfo);
}

static void
put_receivers(ReturnSetInfo *rsinfo)
{
	XLogRecPtr	written = dbops_written();
	List	   *standbys = dbops_standbys_read(written);
	int			n = list_length(standbys);
	Datum	   *pids = palloc(sizeof(Datum) * (n + 1));
	Datum	   *lags = palloc(sizeof(Datum) * (n + 1));
	Datum	   *bytes = palloc(sizeof(Datum) * (n + 1));
	DbopsParam	params[4];
	ListCell   *cell;

	foreach(cell, standbys)
	{
		const Standby *standby = lfirst(cell);
		int			i = foreach_current_index(cell);

		pids[i] = Int32GetDatum(standby->pid);
		lags[i] = Float8GetDatum(lag_of(standby));
		bytes[i] = Int64GetDatum(standby->lag_bytes);
	}
	params[0] = dbops_param_array(pids, n, INT4OID);
	params[1] = dbops_param_array(lags, n, FLOAT8OID);
	params[2] = dbops_param_array(bytes, n, INT8OID);
	params[3] = lsn_param(written);
	dbops_store_each("SELECT CASE WHEN w.pid IS NULL THEN 'slot' WHEN w.state = 'backup' THEN 'backup'"
					 " WHEN s.slot_type = 'logical' THEN 'subscriber' WHEN w.replay_lsn IS NULL THEN 'receiver' ELSE 'standby' END,"
					 " coalesce(nullif(a.application_name, ''), s.slot_name::text), coalesce(w.pid, s.active_pid), host(a.client_addr),"
					 " coalesce(w.state, CASE WHEN s.active THEN 'active' ELSE 'inactive' END), w.sync_state,"
					 " w.sent_lsn, w.write_lsn, w.flush_lsn, w.replay_lsn, nullif(l.lag, 'NaN') * interval '1 second', l.bytes,"
					 " s.slot_name::text, s.slot_type, s.wal_status, s.datoid,"
					 " greatest(0, $4 - s.restart_lsn)::bigint, s.safe_wal_size, w.reply_time"
					 " FROM pg_stat_get_wal_senders() w"
					 " LEFT JOIN pg_stat_get_activity(NULL) a ON a.pid = w.pid"
					 " FULL JOIN pg_get_replication_slots() s ON s.active_pid = w.pid"
					 " LEFT JOIN unnest($1, $2, $3) l (pid, lag, bytes) ON l.pid = w.pid"
					 " ORDER BY w.pid IS NULL, 2, 3",
					 lengthof(params), params, put_row, rsinfo);
}

/* Return a row, its database by name. */
static void
put_row(HeapTuple row, TupleDesc desc, void *arg)
{
	ReturnSetInfo *rsinfo = arg;
	Datum		values[N_COLUMNS];
	bool		nulls[N_COLUMNS];
	Oid			database;

	heap_deform_tuple(row, desc, values, nulls);
	database = nulls[DATABASE_COLUMN] ? InvalidOid : DatumGetObjectId(values[DATABASE_COLUMN]);
	nulls[DATABASE_COLUMN] = !OidIsValid(database);
	if (OidIsValid(database))
	{
		const char *name = dbops_database_name(database);

		values[DATABASE_COLUMN] = CStringGetTextDatum(name != NULL ? name : psprintf("%u", database));
	}
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* What only receives applies nothing that could be late. */
static double
lag_of(const Standby *standby)
{
	if (!standby->applies)
		return NAN;
	return isnan(standby->lag) ? dbops_past_since_written(standby->reached) : standby->lag;
}

static DbopsParam
lsn_param(XLogRecPtr position)
{
	return (DbopsParam) {.type = PG_LSNOID, .value = LSNGetDatum(position), .isnull = XLogRecPtrIsInvalid(position)};
}

static DbopsParam
interval_param(double seconds)
{
	return (DbopsParam)
	{
		.type = INTERVALOID, .isnull = isnan(seconds),
		.value = isnan(seconds) ? (Datum) 0 : IntervalPGetDatum(dbops_interval_of_ms((int64) (seconds * 1000)))
	};
}
