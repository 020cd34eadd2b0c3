\echo '== Health'
\echo '   How is the server? One call, for people, for programs and for monitoring.'
\echo '   The first keys are what applications read; then what is behind them, and'
\echo '   each check that is not ok, with its remedy.'
\echo
SELECT jsonb_pretty(dbops.system_health_check());

\echo '   An application decides with it as with any other value:'
\echo
SELECT health ->> 'status' AS status,
       (health ->> 'active_connections')::int > 50 AS crowded
  FROM dbops.system_health_check() AS health;
