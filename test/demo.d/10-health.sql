\echo '== Health'
\echo
\echo '   How is the server? One call answers, and an application reads from it what it'
\echo '   decides by:'
\echo
SELECT * FROM jsonb_to_record(dbops.system_health_check())
           AS (status text, database_size_mb numeric, active_connections int, slow_queries int, cache_hit_ratio numeric);

\echo '   What is not ok, and what to do about it:'
\echo
SELECT check_name, severity, message, remedy FROM dbops.health_checks() WHERE severity <> 'ok' \gx

\echo '   The whole answer, for people and for monitoring:'
\echo
\pset format unaligned
\pset tuples_only on
SELECT jsonb_pretty(dbops.system_health_check());
