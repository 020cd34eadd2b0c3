/*
 * node_status.c
 *		node_status(): may this server be read from, and written to?
 *
 * For routers and load balancers, which ask often: all of it is in shared
 * memory. A standby may be read from when it is known to be behind by no more
 * than the caller bears; what is not known is not good enough. On an idle
 * primary the beat of the heartbeat keeps that known.
 */
#include "observe/maintenance_mode.h"
#include "observe/replication.h"

#include "core/server_default.h"

#include "access/xlog.h"
#include "access/xlogrecovery.h"
#include "miscadmin.h"

#define LONGEST_LAG		(INT64CONST(1000) * SECS_PER_DAY)	/* ms */

PG_FUNCTION_INFO_V1(dbops_node_status);

static int64 take_max_lag(FunctionCallInfo fcinfo);
static int64 take_max_lag_bytes(FunctionCallInfo fcinfo);
static void put_standby(DbopsJson *json, const Replication *replication);
static bool read_ok(const Replication *replication, int64 max_lag, int64 max_bytes);
static TimeLineID timeline(bool standby);

/* node_status(max_lag interval, max_lag_bytes bigint) → jsonb */
Datum
dbops_node_status(PG_FUNCTION_ARGS)
{
	int64		max_lag = take_max_lag(fcinfo);
	int64		max_bytes = take_max_lag_bytes(fcinfo);
	Replication replication = {0};
	DbopsJson	json = {0};
	bool		standby;

	dbops_replication_read(&replication);
	standby = replication.standby;
	if (!standby)
	{
		replication.lag = 0;
		replication.lag_bytes = 0;
	}
	dbops_json_object(&json, NULL);
	dbops_json_time(&json, "timestamp", dbops_clock_now());
	dbops_json_text(&json, "role", standby ? "standby" : "primary");
	dbops_json_integer(&json, "timeline", timeline(standby));
	dbops_json_boolean(&json, "read_ok", !standby || read_ok(&replication, max_lag, max_bytes));
	dbops_json_boolean(&json, "write_ok", !standby && !dbops_server_read_only());
	dbops_json_decimal(&json, "lag_s", replication.lag);
	if (replication.lag_bytes < 0)
		dbops_json_null(&json, "lag_bytes");
	else
		dbops_json_integer(&json, "lag_bytes", replication.lag_bytes);
	dbops_json_decimal(&json, "max_lag_s", max_lag / 1000.0);
	if (max_bytes < 0)
		dbops_json_null(&json, "max_lag_bytes");
	else
		dbops_json_integer(&json, "max_lag_bytes", max_bytes);
	if (standby)
		put_standby(&json, &replication);
	dbops_json_time(&json, "started", PgStartTime);
	dbops_maintenance_mode_put(&json, "maintenance");
	PG_RETURN_JSONB_P(dbops_json_finish(&json));
}

static void
put_standby(DbopsJson *json, const Replication *replication)
{
	double		beat = dbops_primary_beat();

	dbops_json_boolean(json, "receiving", replication->receiving);
	dbops_json_boolean(json, "replay_paused", GetRecoveryPauseState() != RECOVERY_NOT_PAUSED);
	if (isnan(beat))
		dbops_json_null(json, "primary_beats");
	else
		dbops_json_boolean(json, "primary_beats", beat > 0);
}

static int64
take_max_lag(FunctionCallInfo fcinfo)
{
	int64		max_lag;

	dbops_require_argument(fcinfo, 0, "max_lag");
	max_lag = dbops_interval_ms(PG_GETARG_INTERVAL_P(0));
	if (max_lag < 0 || max_lag > LONGEST_LAG)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_lag must be between 0 and 1 day"),
				 errhint("Such as '30 seconds'.")));
	return max_lag;
}

/* -1: any number, when null is given. */
static int64
take_max_lag_bytes(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(1))
		return -1;
	if (PG_GETARG_INT64(1) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_lag_bytes must not be negative"),
				 errhint("Give a number of bytes, or null for any number.")));
	return PG_GETARG_INT64(1);
}

/* One that receives nothing does not know what it lacks. */
static bool
read_ok(const Replication *replication, int64 max_lag, int64 max_bytes)
{
	return replication->receiving && !isnan(replication->lag) &&
		replication->lag * 1000 <= max_lag &&
		(max_bytes < 0 || replication->lag_bytes <= max_bytes);
}

static TimeLineID
timeline(bool standby)
{
	TimeLineID	timeline;

	if (!standby)
		return GetWALInsertionTimeLine();
	(void) GetXLogReplayRecPtr(&timeline);
	return timeline;
}
