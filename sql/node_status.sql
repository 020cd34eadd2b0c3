-- node_status(): every key of it on a primary, and its bounds. A standby, which is
-- what it is for, is in health_state.pl.
SELECT key, jsonb_typeof(value) AS type FROM jsonb_each(dbops.node_status()) ORDER BY key;
SELECT n - ARRAY['timestamp', 'started'] AS status, (n->>'started')::timestamptz = pg_postmaster_start_time() AS started FROM dbops.node_status() n;
SELECT n->'read_ok' AS read_ok, n->'max_lag_s' AS max_lag_s, n->'max_lag_bytes' AS max_lag_bytes FROM dbops.node_status('1.5 seconds', 0) n;

-- what this session has for a default says nothing of the server
SET default_transaction_read_only = on;
SELECT n->'read_ok' AS read_ok, n->'write_ok' AS write_ok FROM dbops.node_status() n;
RESET default_transaction_read_only;

-- what cannot be meant
SELECT dbops.node_status(NULL);
\echo :SQLSTATE
SELECT dbops.node_status('-1 second');
\echo :SQLSTATE
SELECT dbops.node_status('2 days');
\echo :SQLSTATE
SELECT dbops.node_status('1 second', -1);
\echo :SQLSTATE
