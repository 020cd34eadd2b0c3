-- Where checks begin to find something: on the limit and just beyond it, of an
-- hour of samples that are known, and what each check has by itself besides its
-- thresholds. The samples are this session's own.
\set VERBOSITY terse
SET timezone = 'UTC';
CREATE FUNCTION pg_temp.look(name text) RETURNS TABLE (severity text, object text, message text, data jsonb)
    LANGUAGE sql AS $$ SELECT f.severity, f.object, f.message, f.data FROM dbops.health_checks() f WHERE f.check_name = name ORDER BY f.key $$;

-- how alerts of each check behave
SELECT check_name, min(data#>>'{default,duration}') AS duration, min(data#>>'{default,keep_firing}') AS keep_firing, min(data#>>'{default,clear}') AS clear
  FROM dbops.health_checks() WHERE check_name !~ '^(history|jobs|partitions|retention)\.' GROUP BY check_name
 HAVING bool_or((data#>'{default,duration}', data#>'{default,keep_firing}', data#>'{default,clear}') <> ('0', '0', '0')) ORDER BY check_name COLLATE "C";

-- which checks wait after a start, and of which it is told that they cannot judge
BEGIN;
SELECT set_config('dbops.test_now', (ceil(extract(epoch FROM pg_postmaster_start_time())) + 200)::text, true) IS NOT NULL AS just_started;
DO $$ BEGIN PERFORM dbops.evaluate_alerts(ARRAY(SELECT ROW(check_name, 'warning', NULL, 'it is so', NULL, NULL, NULL)::dbops.finding FROM dbops.check_list() WHERE NOT advice)); END $$;
SELECT check_name FROM dbops.alerts(false) WHERE suppressed = 'just started' AND message = 'it is so' ORDER BY check_name COLLATE "C";
ROLLBACK;
BEGIN;
SET LOCAL dbops.test_now = 1950000000;
DO $$ BEGIN PERFORM dbops.evaluate_alerts(ARRAY(SELECT ROW(check_name, 'unknown', NULL, 'nobody knows', NULL, NULL, NULL)::dbops.finding FROM dbops.check_list() WHERE NOT advice)); END $$;
SET LOCAL dbops.test_now = 1950010000;
DO $$ BEGIN PERFORM dbops.evaluate_alerts(ARRAY(SELECT ROW(check_name, 'unknown', NULL, 'nobody knows', NULL, NULL, NULL)::dbops.finding FROM dbops.check_list() WHERE NOT advice)); END $$;
SELECT check_name FROM dbops.alerts(false) WHERE state = 'firing' AND severity = 'unknown' AND message = 'nobody knows' ORDER BY check_name COLLATE "C";
ROLLBACK;

-- an hour in which so much happened
CREATE PROCEDURE pg_temp.hour(began bigint, counted jsonb, of_cluster jsonb) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 0 .. 360 LOOP
        PERFORM set_config('dbops.test_now', (began + i * 10)::text, false);
        PERFORM dbops.put_sample((SELECT jsonb_object_agg(key, value::float8 * i / 360) FROM jsonb_each_text(counted)));
        PERFORM dbops.put_sample((SELECT jsonb_object_agg(key, value::float8 * i / 360) FROM jsonb_each_text(of_cluster)), of_cluster => true);
    END LOOP;
END
$$;
CREATE VIEW pg_temp.rate AS
SELECT check_name, severity, message, round((data->>'value')::numeric, 1) AS value FROM dbops.health_checks()
 WHERE check_name IN ('buffers.backend_writes', 'buffers.cleaning_stopped', 'cache.hit_ratio', 'cache.index_hit_ratio', 'checkpoints.backend_fsyncs', 'checkpoints.duration',
                      'checkpoints.requested', 'connections.abandoned', 'connections.churn', 'connections.fatal', 'connections.killed', 'database.deadlocks', 'replication.conflicts',
                      'statements.slow_calls', 'temp.rate', 'transactions.rollbacks', 'wal.buffers_full', 'wal.full_page_images', 'wal.rate');

-- on the limit nothing is found
CALL pg_temp.hour(1900000000,
    '{"deadlocks": 5, "conflicts": 0, "sessions.abandoned": 100, "sessions.fatal": 10, "sessions.killed": 10, "sessions.opened": 36000,
      "blocks.hit": 9072000, "blocks.read": 1008000, "index.fetched": 1000000, "index.hit": 950000, "temp.bytes": 377487360000,
      "transactions.committed": 3240000, "transactions.rolled_back": 360000, "statements.slow_calls": 6000}',
    '{"buffers.backend": 10000, "buffers.checkpoint": 6000, "buffers.cleaned": 4000, "buffers.cleaning_stopped": 1000, "buffers.backend_fsync": 0,
      "checkpoints.timed": 5, "checkpoints.requested": 5, "checkpoints.write_time": 3200000, "checkpoints.sync_time": 40000,
      "wal.buffers_full": 3600, "wal.bytes": 2147483648, "wal.full_page_images": 131072, "xids.given": 36000}');
SHOW checkpoint_timeout;
SHOW checkpoint_completion_target;
SELECT * FROM pg_temp.rate ORDER BY check_name COLLATE "C";
SELECT severity, (data->>'value')::int > 1000 AS long FROM pg_temp.look('wraparound.days_left');

-- beyond it something is
CALL pg_temp.hour(1910000000,
    '{"deadlocks": 6, "conflicts": 1, "sessions.abandoned": 101, "sessions.fatal": 11, "sessions.killed": 11, "sessions.opened": 36360,
      "blocks.hit": 8990000, "blocks.read": 1010000, "index.fetched": 1000000, "index.hit": 949000, "temp.bytes": 377490000000,
      "transactions.committed": 899000, "transactions.rolled_back": 101000, "statements.slow_calls": 6060}',
    '{"buffers.backend": 10100, "buffers.checkpoint": 6000, "buffers.cleaned": 4000, "buffers.cleaning_stopped": 1001, "buffers.backend_fsync": 1,
      "checkpoints.timed": 5, "checkpoints.requested": 6, "checkpoints.write_time": 3600000, "checkpoints.sync_time": 40000,
      "wal.buffers_full": 3601, "wal.bytes": 2147483648, "wal.full_page_images": 131172, "xids.given": 18000000}');
SELECT * FROM pg_temp.rate ORDER BY check_name COLLATE "C";
-- of ids, only when half of them are gone
SELECT severity, (data->>'value')::int BETWEEN 2 AND 6 AS days FROM pg_temp.look('wraparound.days_left');
SELECT dbops.set_check('wraparound.days_left', guard => 'infinity');
SELECT severity, (data->>'value')::int BETWEEN 2 AND 6 AS days FROM pg_temp.look('wraparound.days_left');
SELECT dbops.reset_check('wraparound.days_left');

-- but not of so little that a share says nothing
CALL pg_temp.hour(1920000000,
    '{"blocks.hit": 0, "blocks.read": 59000, "index.fetched": 9999, "index.hit": 0, "transactions.committed": 0, "transactions.rolled_back": 5900}',
    '{"buffers.backend": 10000, "buffers.checkpoint": 0, "buffers.cleaned": 0, "checkpoints.timed": 0, "checkpoints.requested": 2, "checkpoints.write_time": 3600000, "checkpoints.sync_time": 0,
      "wal.bytes": 1073741824, "wal.full_page_images": 131072, "xids.given": 0}');
SELECT * FROM pg_temp.rate WHERE check_name IN ('buffers.backend_writes', 'cache.hit_ratio', 'cache.index_hit_ratio', 'checkpoints.duration', 'checkpoints.requested', 'transactions.rollbacks', 'wal.full_page_images')
 ORDER BY check_name COLLATE "C";
SELECT severity, message FROM pg_temp.look('wraparound.days_left');
RESET dbops.test_now;

-- what was not sampled is not known, though other things were
SET dbops.test_now = 1930000000;
SELECT dbops.put_sample('{"size": 1}'), dbops.put_sample('{"xids.age": 1}', of_cluster => true);
SET dbops.test_now = 1930000010;
SELECT dbops.put_sample('{"size": 1}'), dbops.put_sample('{"xids.age": 1}', of_cluster => true);
SELECT severity, message, count(*) FROM pg_temp.rate GROUP BY 1, 2 ORDER BY 3 DESC;
RESET dbops.test_now;

-- who hides what it does may be what is looked for
SET track_activities = off;
SELECT check_name, severity, message FROM dbops.health_checks()
 WHERE check_name IN ('connections.active', 'connections.idle_in_transaction', 'statements.longest', 'transactions.longest', 'transactions.oldest') ORDER BY 1;
RESET track_activities;

-- and who is seen is named
BEGIN;
SELECT txid_current() IS NOT NULL AS holds;
SELECT severity, regexp_replace(message, '[0-9]+', 'N', 'g') AS message, remedy FROM pg_temp.look('transactions.oldest'), LATERAL (SELECT h.remedy FROM dbops.health_checks() h WHERE h.check_name = 'transactions.oldest') r;
SELECT severity, message FROM pg_temp.look('connections.idle_in_transaction');
COMMIT;

-- what is wrong is named, and what is not is not
SELECT array_agg(object ORDER BY object) = (SELECT array_agg(name ORDER BY name) FROM pg_settings WHERE (name, setting) IN (('fsync', 'off'), ('full_page_writes', 'off'), ('zero_damaged_pages', 'on'))) AS unsafe
  FROM pg_temp.look('settings.unsafe');
SET dbops.health_max_age = 0;
SELECT severity, message ~ '^the database holds [0-9]+ (kB|MB|GB|TB)$' AS told FROM pg_temp.look('database.size');
SELECT bool_and(message ~ '^the age of the oldest transaction id, in database [a-z0-9_"]+, is [0-9]+; ') AS of_which_database FROM dbops.health_checks() WHERE check_name IN ('wraparound.xid', 'wraparound.xid_forced');
SELECT message = format('PostgreSQL %s is maintained until November %s', current_setting('server_version_num')::int / 10000, 2012 + current_setting('server_version_num')::int / 10000) AS year
  FROM pg_temp.look('version.end_of_life') WHERE message LIKE '%is maintained%';
SELECT message LIKE '%; settings, slots and the archiver explain ' || pg_size_pretty((SELECT sum(pg_size_bytes(current_setting(s))) FROM unnest(ARRAY['max_wal_size', 'wal_keep_size']) s)) AS explained
  FROM pg_temp.look('wal.directory');
RESET dbops.health_max_age;

-- one threshold that is changed leaves the other
SELECT dbops.set_check('connections.idle_in_transaction', critical => 1e6);
SELECT data->'warning' AS warning, data->'critical' AS critical, data->'setting' AS setting FROM pg_temp.look('connections.idle_in_transaction');
SELECT dbops.reset_check('connections.idle_in_transaction');
SELECT dbops.set_check('disk.free', clear => 11);
SELECT DISTINCT data->'warning' AS warning, data->'critical' AS critical FROM pg_temp.look('disk.free');
SELECT dbops.reset_check('disk.free');

-- what another database has changed or muted is its own
SELECT current_database() AS here \gset
CREATE DATABASE regress_limits;
\c regress_limits
CREATE EXTENSION dbops;
SELECT dbops.set_check('temp.rate', warning => 7);
SELECT dbops.mute_finding('temp.rate', 'it is known here', now() + interval '1 hour');
SELECT data->'default'->'warning' AS shipped, data->'setting' AS setting, data->'muted_until' <> 'null' AS muted FROM dbops.health_checks() WHERE check_name = 'temp.rate';
\c :here
SELECT data->'default'->'warning' AS shipped, data->'setting' AS setting, data->'muted_until' <> 'null' AS muted FROM dbops.health_checks() WHERE check_name = 'temp.rate';
DROP DATABASE regress_limits;
