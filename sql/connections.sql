-- connections(): the sessions of clients, with what the server's own view says of
-- them. Who blocks them is tested where sessions wait.
\set VERBOSITY terse
SET application_name = 'regress connections';
BEGIN;
SELECT database_name = current_database() AS database, role_name = current_user AS role, application_name, client_addr, encrypted, state,
       transaction_age >= state_age AS ages, wait_type, wait, blocked_by, workers, query_id IS NOT NULL AS query_id, left(query, 20) AS query
  FROM dbops.connections() WHERE pid = pg_backend_pid();
COMMIT;
SELECT count(*) = (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND datname = current_database()) AS all_of_them
  FROM dbops.connections() WHERE database_name = current_database();
SELECT state, count(*) FROM dbops.connections() WHERE pid = pg_backend_pid() GROUP BY 1;
RESET application_name;
