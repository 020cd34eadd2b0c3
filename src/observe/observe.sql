
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
