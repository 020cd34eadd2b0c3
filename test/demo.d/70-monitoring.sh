# shellcheck shell=bash
#
# A scene in shell, because sessions wait for each other: one forgets to commit,
# and what the server says of that is shown. The alert is raised by the server's
# own processes; psql waits until it has arrived, for at most a minute.

forgetful='dbname=venues application_name=till'
waiting='dbname=venues application_name=app'

# Wait until a query gives true.
until_true() {
	for _ in {1..300}; do
		[ "$(run psql -XAtc "$1")" != t ] || return 0
		sleep 0.1
	done
	die "this never came true: $1"
}

run psql -X -q -c 'SET client_min_messages = warning' -c "SELECT dbops.reset_check('connections.idle_in_transaction'), dbops.remove_alert_function()" \
	-c 'DROP TABLE IF EXISTS pages' -c 'DROP FUNCTION IF EXISTS page_me(jsonb)' >/dev/null

exec {till}> >(run psql -X -q -d "$forgetful" >/dev/null 2>&1)
echo 'BEGIN; UPDATE venues SET name = name WHERE id = 1;' >&"$till"
until_true "SELECT EXISTS (SELECT FROM dbops.connections() WHERE application_name = 'till' AND state = 'idle in transaction')"
run psql -X -q -d "$waiting" -c 'UPDATE venues SET name = name WHERE id = 1' &
waiter=$!
until_true 'SELECT count(*) = 2 FROM dbops.blocking_sessions()'

show <<'SQL'
\echo '== Monitoring'
\echo
\echo '   A session has changed a venue and forgotten to commit; another waits for it. Who'
\echo '   holds everything up, and what ends it?'
\echo
SELECT tree, application_name, state, lock_type, relation, remedy FROM dbops.blocking_sessions();

\echo '   Five minutes of that are a warning. This application wants to know sooner, by'
\echo '   NOTIFY and by a function of its own:'
\echo
SELECT dbops.set_check('connections.idle_in_transaction', warning => 1, critical => 60);
\set ECHO none
SET pg_stat_statements.track = none;
DO $$
BEGIN
    WHILE (SELECT severity FROM dbops.health_checks() WHERE check_name = 'connections.idle_in_transaction') = 'ok' LOOP
        PERFORM pg_sleep(0.1);
    END LOOP;
END
$$;
RESET pg_stat_statements.track;
\set ECHO queries
SELECT severity, message, remedy FROM dbops.health_checks() WHERE check_name = 'connections.idle_in_transaction' \gx

CREATE TABLE pages (alert jsonb);
CREATE FUNCTION page_me(alert jsonb) RETURNS void LANGUAGE sql AS 'INSERT INTO pages VALUES (alert)';
SELECT dbops.set_alert_function('page_me(jsonb)');
LISTEN dbops_alert;

\echo
\echo '   The server looks every ten seconds, whether or not anybody asks:'
\echo
\set ECHO none
SET pg_stat_statements.track = none;
DO $$
DECLARE
    due timestamptz := clock_timestamp() + interval '1 minute';
BEGIN
    WHILE NOT EXISTS (SELECT FROM pages WHERE alert->>'key' = 'connections.idle_in_transaction') LOOP
        ASSERT clock_timestamp() < due, 'no alert came';
        PERFORM pg_sleep(0.1);
    END LOOP;
END
$$;
RESET pg_stat_statements.track;
\set ECHO queries

SELECT alert->>'level' AS level, alert->>'event' AS event, alert->>'message' AS message, alert->'details'->>0 AS detail FROM pages \gx
UNLISTEN dbops_alert;

\echo
\echo '   What was said to end it ends it. Afterwards it is known who waited, and for whom:'
\echo
SELECT remedy FROM dbops.blocking_sessions() WHERE depth = 0 \gexec
SELECT wait_type, wait, seconds, blocker, blocker_state, blocker_role FROM dbops.wait_history(now() - interval '1 minute') WHERE blocker IS NOT NULL;

\echo '   Which statements took the time?'
\echo
SELECT calls, mean_ms, share_percent, rows_per_call, left(query, 60) AS query FROM dbops.slow_queries(5, 'share');

\echo '   When is the disk full? This server has no past, so here are ninety days of one, in a'
\echo '   transaction that is rolled back: it doubled, and half of that on one day.'
\echo
\set ECHO none
\o /dev/null
BEGIN;
SET LOCAL client_min_messages = warning;
SET LOCAL pg_stat_statements.track = none;
DO $$
DECLARE
    size float8 := dbops.growth_forecast()->'current'->>'size_bytes';
BEGIN
    FOR day IN 1 .. 90 LOOP
        PERFORM set_config('dbops.test_now', extract(epoch FROM now() + day * interval '1 day')::text, true);
        PERFORM dbops.put_sample(jsonb_build_object('size', size * (CASE WHEN day < 60 THEN 0.5 ELSE 0.75 END + day / 360.0)));
    END LOOP;
    PERFORM dbops.roll_up_metrics(false);
END
$$;
CREATE TABLE dbops.disk_1h_999901 PARTITION OF dbops.disk_1h DEFAULT;
INSERT INTO dbops.disk_1h (at, disk, total_bytes, used_bytes, free_bytes)
SELECT now() + day * interval '1 day', disk->>'name', 0, (disk->>'used_bytes')::int8 - (90 - day) * (disk->>'free_bytes')::int8 / 200, 0
  FROM generate_series(1, 90) AS day, jsonb_array_elements(dbops.growth_forecast()->'disks') AS disk;
\o
\set ECHO queries
SELECT jsonb_pretty(g->'current') AS current, jsonb_pretty(g->'forecast') AS forecast, g#>>'{growth,steps,0,at}' AS step_at FROM dbops.growth_forecast() AS g;

SELECT advice FROM jsonb_array_elements_text(dbops.growth_forecast()->'recommendations') AS advice;
\set ECHO none
ROLLBACK;
\set ECHO queries

\echo '   Prometheus, Nagios and Grafana are served as well:'
\echo
SELECT line FROM regexp_split_to_table(dbops.openmetrics(), '\n') AS line LIMIT 6;

SELECT dbops.nagios('connections.used');
SQL

exec {till}>&-
wait "$waiter" || die 'who waited did not get on'
run psql -X -q -c "SELECT dbops.reset_check('connections.idle_in_transaction'), dbops.remove_alert_function()" >/dev/null
