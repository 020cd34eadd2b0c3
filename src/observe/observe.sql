
-- Observe: looks at the server and changes nothing.

CREATE FUNCTION dbops.system_health_check(verbose boolean DEFAULT false) RETURNS jsonb
    LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_system_health_check';
COMMENT ON FUNCTION dbops.system_health_check(boolean) IS
    'Says how the server is. timestamp: ISO 8601. status: critical when a check is critical, else warning with more than 50 active sessions, more than '
    '10 slow statements or a hit ratio below 95, else healthy. database_size_mb: in 1024² bytes. active_connections: client sessions in state active, '
    'of all databases. slow_queries: statements with a mean over 1000 ms in pg_stat_statements. cache_hit_ratio: percent, of this database since its '
    'statistics'' reset. Nested: connections, performance (ms, percent), health (s, bytes, ids), storage (bytes), server, freshness (s), summary '
    '(findings by severity) and checks, those that are not ok unless verbose. What is not known is null and has a check that says why. Waits for no '
    'lock on a table and works on a standby. Errors: only that of a cancelled query.';
REVOKE ALL ON FUNCTION dbops.system_health_check(boolean) FROM PUBLIC;

CREATE FUNCTION dbops.health_checks() RETURNS SETOF dbops.finding
    LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_health_checks';
COMMENT ON FUNCTION dbops.health_checks() IS
    'Lists every check of the server''s health, the gravest first, then by name. data: the value that was judged and its thresholds, if it has any. '
    'A check that could not be judged is unknown and says why. Errors: only that of a cancelled query.';
REVOKE ALL ON FUNCTION dbops.health_checks() FROM PUBLIC;

INSERT INTO dbops.function_access VALUES
    ('system_health_check', 'monitor'),
    ('health_checks', 'monitor');

-- Observe: forecasts.

CREATE FUNCTION dbops.forecast_series(times timestamptz[], series float8[], horizons int[] DEFAULT '{30,90,180,365}',
    OUT horizon int, OUT forecast float8, OUT low float8, OUT high float8, OUT extrapolated boolean, OUT per_day float8,
    OUT model text, OUT confidence text, OUT days int) RETURNS SETOF record
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'dbops_forecast_series';
COMMENT ON FUNCTION dbops.forecast_series(timestamptz[], float8[], int[]) IS
    'Says where figures are going, a row for each horizon (days after the last figure, 1 to 3650). times and series are pairs, in any order; a null or NaN is '
    'left out, and the median of a day (UTC) counts. Steps that happened once are taken out, a changed rate counts since it changed, what recurs is kept. '
    'low and high: meant to have four of five outcomes between them. extrapolated: further ahead than four times the past. per_day: growth. model: '
    'unknown (fewer than seven days; nothing else is told), flat, steady, recent (the rate has changed), cycle (recurring steps). confidence: low below '
    '14 days, medium below 30, else high. Errors: arrays of different lengths, an infinite time or value, a horizon out of range.';
REVOKE ALL ON FUNCTION dbops.forecast_series(timestamptz[], float8[], int[]) FROM PUBLIC;

INSERT INTO dbops.function_access VALUES
    ('forecast_series', 'monitor');
