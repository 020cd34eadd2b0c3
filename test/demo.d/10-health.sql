\echo '== Health'
\echo
\echo '   How is the server? One call answers, and an application reads from it what it'
\echo '   decides by:'
\echo
SELECT * FROM jsonb_to_record(dbops.system_health_check())
           AS (status text, database_size_mb numeric, active_connections int, slow_queries int, cache_hit_ratio numeric);

\echo '   What is not as it should be, and what to do about it:'
\echo
SELECT check_name, severity, message, remedy FROM dbops.health_checks() JOIN dbops.check_list() USING (check_name)
 WHERE severity IN ('warning', 'critical') AND NOT advice \gx

\echo '   What is advice, and what nobody knows of so new a server, counts for nothing:'
\echo
SELECT CASE severity WHEN 'unknown' THEN 'unknown' ELSE 'advice' END AS finding, count(*), (array_agg(check_name ORDER BY check_name))[1:3] AS such_as
  FROM dbops.health_checks() JOIN dbops.check_list() USING (check_name) WHERE severity = 'unknown' OR (severity <> 'ok' AND advice) GROUP BY 1;

\echo '   The whole answer, for people and for monitoring, here without the checks:'
\echo
\pset format unaligned
\pset tuples_only on
SELECT jsonb_pretty(dbops.system_health_check() - 'checks');
