/*
 * after_migration.c
 *		after_migration(): is the hour after a migration worse than the one before?
 *
 * What a team watches after a deployment, out of the history of metrics, minute
 * by minute. The minute in which the migration was applied belongs to neither
 * hour. A ratio counts as worse only if it also rose by more than minutes
 * differ among themselves (Welch's t over 3), so that a quiet database with few
 * statements alarms nobody. Of 30 days history knows minutes or five of them;
 * what is older cannot be told apart this finely.
 */
#include "observe/forecast.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#define FIND_MIGRATION \
	"SELECT m.state, m.applied_at FROM dbops.migration_status($1) m WHERE m.version = $2"

/*
 * The figures, each with what it must rise by, absolutely and as a share, to
 * count as worse: statement times by a quarter and a millisecond, slow
 * statements by half and five a minute, lag by half and ten seconds, any
 * deadlock more, rollbacks by half and one in a hundred, waiting sessions by
 * half and one.
 */
#define FIGURES \
	"(VALUES " \
	"(1, 'statement time', 'ms', 'ratio', false, 'statements.time', 'statements.calls', 1, 1, 0.25, " \
	"'SELECT * FROM dbops.slow_queries(); shows which statements take the time.'), " \
	"(2, 'slow statements', 'a minute', 'rate', false, 'statements.slow_calls', NULL, 60, 5, 0.5, " \
	"'SELECT * FROM dbops.slow_queries(); shows them.'), " \
	"(3, 'replication lag', 's', 'maximum', true, 'replication.lag', NULL, 1, 10, 0.5, " \
	"'SELECT * FROM dbops.replication_status(); shows which standby is behind.'), " \
	"(4, 'deadlocks', 'an hour', 'rate', false, 'deadlocks', NULL, 3600, 0, 0, " \
	"'The server''s log names the statements of each.'), " \
	"(5, 'rollbacks', 'in 100 commits', 'ratio', false, 'transactions.rolled_back', 'transactions.committed', 100, 1, 0.5, " \
	"'The server''s log has the errors.'), " \
	"(6, 'waiting sessions', 'sessions', 'average', false, 'connections.waiting', NULL, 1, 1, 0.5, " \
	"'SELECT * FROM dbops.blocking_sessions(); shows who waits for whom.')" \
	") f(number, figure, unit, kind, of_cluster, metric, per, factor, least, share, remedy)"

/* $1 to $4: the two hours; minutes that only coarser tiers have are left out. */
#define COMPARE \
	"WITH f AS MATERIALIZED (SELECT * FROM " FIGURES "), " \
	"w(late, since, until) AS (VALUES (false, $1, $2), (true, $3, $4)), " \
	"m AS MATERIALIZED (SELECT DISTINCT metric, of_cluster FROM f UNION SELECT per, of_cluster FROM f WHERE per IS NOT NULL), " \
	"h AS MATERIALIZED (SELECT m.metric, w.late, h.* FROM m CROSS JOIN w " \
	"CROSS JOIN LATERAL dbops.metric_history(m.metric, w.since, w.until, interval '1 minute', m.of_cluster) h " \
	"WHERE w.since < w.until AND h.tier IN ('ring', '1m', '5m')), " \
	"minutes AS (SELECT f.number, f.kind, f.factor, h.late, h.delta AS part, g.delta AS whole, h.per_second, h.maximum, h.average, " \
	"f.factor * h.delta / nullif(g.delta, 0) AS ratio " \
	"FROM f JOIN h ON h.metric = f.metric LEFT JOIN h g ON g.metric = f.per AND g.late = h.late AND g.at = h.at), " \
	"hours AS (SELECT number, late, count(*) AS minutes, " \
	"CASE kind WHEN 'ratio' THEN factor * sum(part) FILTER (WHERE whole > 0) / nullif(sum(whole) FILTER (WHERE whole > 0), 0) " \
	"WHEN 'rate' THEN factor * avg(per_second) WHEN 'maximum' THEN max(maximum) ELSE avg(average) END AS value, " \
	"var_samp(ratio) / nullif(count(ratio), 0) AS doubt FROM minutes GROUP BY number, late, kind, factor), " \
	"both_hours AS (SELECT f.*, b.value AS earlier, a.value AS later, coalesce(b.minutes, 0) AS minutes_before, coalesce(a.minutes, 0) AS minutes_after, " \
	"CASE WHEN b.value IS NULL OR a.value IS NULL THEN 'unknown' " \
	"WHEN a.value - b.value > f.least AND a.value > b.value * (1 + f.share) " \
	"AND (f.kind <> 'ratio' OR a.value - b.value > 3 * sqrt(coalesce(a.doubt, 0) + coalesce(b.doubt, 0))) THEN 'warning' ELSE 'ok' END AS severity " \
	"FROM f LEFT JOIN hours b ON b.number = f.number AND NOT b.late LEFT JOIN hours a ON a.number = f.number AND a.late) " \
	"SELECT figure, unit, earlier, later, CASE WHEN earlier > 0 THEN 100 * (later / earlier - 1) END, severity, " \
	"CASE WHEN severity <> 'unknown' THEN format('%s: %s %s before, %s after', figure, round(earlier::numeric, 2), unit, round(later::numeric, 2)) " \
	"WHEN minutes_after = 0 AND minutes_before = 0 THEN format('%s: no history of either hour', figure) " \
	"WHEN minutes_after = 0 THEN format('%s: no history of the hour after', figure) " \
	"WHEN minutes_before = 0 THEN format('%s: no history of the hour before', figure) " \
	"ELSE format('%s: not known of both hours', figure) END, " \
	"CASE WHEN severity = 'warning' THEN remedy END, minutes_before::int, minutes_after::int FROM both_hours ORDER BY number"

PG_FUNCTION_INFO_V1(dbops_after_migration);

typedef struct Applied
{
	const char *state;			/* NULL: the ledger does not know it */
	TimestampTz at;
} Applied;

static TimestampTz find_applied(const char *project, const char *version);
static void take_applied(HeapTuple row, TupleDesc desc, void *arg);

/* after_migration(version text, project text) → setof record */
Datum
dbops_after_migration(PG_FUNCTION_ARGS)
{
	TimestampTz applied;
	TimestampTz minute;
	TimestampTz end;

	dbops_require_argument(fcinfo, 0, "version");
	dbops_require_argument(fcinfo, 1, "project");
	applied = find_applied(dbops_text_argument(fcinfo, 1), dbops_text_argument(fcinfo, 0));
	minute = applied - applied % USECS_PER_MINUTE - (applied % USECS_PER_MINUTE < 0 ? USECS_PER_MINUTE : 0);
	end = Min(minute + USECS_PER_MINUTE + USECS_PER_HOUR, dbops_clock_now());
	InitMaterializedSRF(fcinfo, 0);
	dbops_store_report((ReturnSetInfo *) fcinfo->resultinfo, COMPARE, 4, (DbopsParam[])
					   {
						   dbops_param_time(minute - USECS_PER_HOUR), dbops_param_time(minute),
						   dbops_param_time(minute + USECS_PER_MINUTE), dbops_param_time(end)
					   });
	return (Datum) 0;
}

/* When the migration was applied; refuses one that is not. */
static TimestampTz
find_applied(const char *project, const char *version)
{
	DbopsParam	params[] = {dbops_param_text(project), dbops_param_text(version)};
	Applied		applied = {0};

	dbops_store_each(FIND_MIGRATION, lengthof(params), params, take_applied, &applied);
	if (applied.state == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("the ledger has no migration \"%s\" of project \"%s\"", version, project),
				 errhint("SELECT * FROM dbops.migration_status(%s) lists those that it has.", quote_literal_cstr(project))));
	if (strcmp(applied.state, "applied") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("migration \"%s\" is not applied: it is %s", version, applied.state),
				 errhint("Ask when it has been applied.")));
	return applied.at;
}

static void
take_applied(HeapTuple row, TupleDesc desc, void *arg)
{
	Applied    *applied = arg;

	applied->state = dbops_row_text(row, desc, 1);
	applied->at = dbops_row_time(row, desc, 2);
}
