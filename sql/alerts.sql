-- Alerts: every transition, at times that the test sets. What is found is given
-- to evaluate_alerts(), so that nothing depends on how this server is; a session
-- that has set its time has a memory of its own, which it loads from the table.

-- One look at a check, so many seconds after the start: the events that it made
-- and how the alert stands then.
CREATE FUNCTION pg_temp.finding(severity text, value float8, rule jsonb DEFAULT '{}', object text DEFAULT NULL) RETURNS dbops.finding
    LANGUAGE sql AS $$
    SELECT ROW('regress.alert', severity, object, 'it is ' || coalesce(value::text, 'somehow'), 'SELECT 1', NULL,
               CASE WHEN value IS NULL THEN rule ELSE rule || jsonb_build_object('value', value) END)::dbops.finding
$$;
CREATE FUNCTION pg_temp.look(second int, findings dbops.finding[],
                             OUT events text, OUT state text, OUT severity text, OUT value float8, OUT suppressed text)
    LANGUAGE plpgsql AS $$
DECLARE
    last bigint := (SELECT coalesce(max(id), 0) FROM dbops.alert_history());
BEGIN
    PERFORM set_config('dbops.test_now', (1893456000 + second)::text, false);
    PERFORM dbops.evaluate_alerts(findings);
    SELECT string_agg(h.event || CASE WHEN h.told THEN '' ELSE ' (untold)' END || ' ' || h.before || '>' || h.severity, ', ' ORDER BY id)
      INTO events FROM dbops.alert_history() h WHERE id > last AND alert_key LIKE 'regress.%';
    SELECT a.state, a.severity, a.value, a.suppressed INTO state, severity, value, suppressed
      FROM dbops.alerts(false) a WHERE alert_key LIKE 'regress.%' ORDER BY alert_key LIMIT 1;
END
$$;
-- The same of a value that is bad above 80 and very bad above 95.
CREATE FUNCTION pg_temp.value_at(second int, v float8, rule jsonb,
                                 OUT events text, OUT state text, OUT severity text, OUT value float8, OUT suppressed text)
    LANGUAGE sql AS $$
    SELECT * FROM pg_temp.look(second, ARRAY[pg_temp.finding(
        CASE WHEN v > 95 THEN 'critical' WHEN v > 80 THEN 'warning' ELSE 'ok' END, v,
        '{"warning": 80, "critical": 95, "unit": "percent"}' || rule)])
$$;
CREATE PROCEDURE pg_temp.forget() LANGUAGE sql AS $$
    DELETE FROM dbops.alert WHERE alert_key LIKE 'regress.%';
    DELETE FROM dbops.alert_history WHERE alert_key LIKE 'regress.%';
    DELETE FROM dbops.alert_silence WHERE pattern LIKE 'regress.%';
$$;

-- it fires when it has been so for its duration, and not before
SELECT s, r.* FROM (VALUES (0, 85), (30, 85), (59, 85), (60, 86), (70, 87)) v(s, v), pg_temp.value_at(s, v, '{"duration": 60}') r;
-- it ends when it is so no more for as long as it is kept firing
SELECT s, r.* FROM (VALUES (100, 70), (129, 70), (130, 70), (140, 70)) v(s, v), pg_temp.value_at(s, v, '{"duration": 60, "keep_firing": 30}') r;
-- what was told
SELECT event, jsonb_pretty(payload - 'id' - 'timestamp' - 'since' - 'database') AS payload, payload->>'timestamp' AS "timestamp", payload->>'database' = current_database() AS here, jsonb_typeof(payload->'details') AS details
  FROM dbops.alert_history() WHERE alert_key LIKE 'regress.%' ORDER BY id;
CALL pg_temp.forget();

-- one that ends too early never was
SELECT s, r.* FROM (VALUES (0, 85), (50, 85), (55, 70), (60, 85), (119, 85), (120, 85)) v(s, v), pg_temp.value_at(s, v, '{"duration": 60}') r;
CALL pg_temp.forget();

-- a square wave that is shorter than keep_firing is one alert
SELECT count(*) AS looks, string_agg(r.events, '; ') AS events, array_agg(DISTINCT r.state) AS states
  FROM (SELECT s, CASE WHEN s / 20 % 2 = 0 THEN 85 ELSE 50 END AS v FROM generate_series(0, 600, 10) s) w,
       pg_temp.value_at(s, v, '{"keep_firing": 60}') r;
SELECT s, r.* FROM (VALUES (610, 50), (660, 50), (680, 50)) v(s, v), pg_temp.value_at(s, v, '{"keep_firing": 60}') r;
CALL pg_temp.forget();

-- escalation is an event, after the duration of its own; a step back is one after keep_firing, and is not the end
SELECT s, r.* FROM (VALUES (0, 85), (60, 85), (70, 99), (120, 99), (130, 99), (140, 85), (160, 85), (170, 85), (180, 99), (190, 70), (219, 70), (220, 70)) v(s, v),
       pg_temp.value_at(s, v, '{"duration": 60, "keep_firing": 30}') r;
CALL pg_temp.forget();
-- what is very bad from the beginning is so at once
SELECT s, r.* FROM (VALUES (0, 99), (60, 99)) v(s, v), pg_temp.value_at(s, v, '{"duration": 60}') r;
CALL pg_temp.forget();
-- what has only just become very bad fires as a warning first
SELECT s, r.* FROM (VALUES (0, 85), (50, 99), (60, 99), (110, 99)) v(s, v), pg_temp.value_at(s, v, '{"duration": 60}') r;
CALL pg_temp.forget();

-- hysteresis: it ends when the value is back by a tenth, each severity on its own
SELECT s, r.* FROM (VALUES (0, 85), (10, 79), (20, 72.1), (30, 72), (40, 79), (50, 81)) v(s, v), pg_temp.value_at(s, v, '{"clear": 10}') r;
CALL pg_temp.forget();
SELECT s, r.* FROM (VALUES (0, 99), (10, 94), (20, 86), (30, 85), (40, 73), (50, 71)) v(s, v), pg_temp.value_at(s, v, '{"clear": 10}') r;
CALL pg_temp.forget();
-- below: a share cannot be got back to more than the whole
SELECT s, r.* FROM (VALUES (0, 'warning', 90), (10, 'ok', 96), (20, 'ok', 97.4), (30, 'ok', 97.5)) v(s, sev, v),
       pg_temp.look(s, ARRAY[pg_temp.finding(sev, v, '{"below": true, "warning": 95, "clear": 10, "unit": "percent"}')]) r;
CALL pg_temp.forget();
-- a value that is bad but for its guard is well at once
SELECT s, r.* FROM (VALUES (0, 'warning', 90), (10, 'ok', 90)) v(s, sev, v),
       pg_temp.look(s, ARRAY[pg_temp.finding(sev, v, '{"warning": 80, "clear": 10}')]) r;
CALL pg_temp.forget();

-- it is told again after dbops.alert_repeat (4 hours), and told once what goes on
SELECT s, r.* FROM (VALUES (0, 85), (10, 85), (14399, 85), (14400, 85), (14410, 85), (28800, 85)) v(s, v), pg_temp.value_at(s, v, '{}') r;
SELECT event, payload->>'message' AS message FROM dbops.alert_history() WHERE alert_key LIKE 'regress.%' ORDER BY id;
CALL pg_temp.forget();

-- a clock that is set back undoes nothing and adds nothing
SELECT s, r.* FROM (VALUES (0, 85), (50, 85), (-3600, 85), (-3591, 85), (-3590, 85), (-3580, 70), (-7200, 70), (-7171, 70), (-7170, 70)) v(s, v),
       pg_temp.value_at(s, v, '{"duration": 60, "keep_firing": 30}') r;
CALL pg_temp.forget();

-- unknown passes for what it was for three intervals; then it is told to who was told that it fires
SELECT s, r.* FROM (VALUES (0, 'critical'), (10, 'unknown'), (39, 'unknown'), (40, 'unknown'), (50, 'unknown'), (60, 'warning'), (70, 'unknown'), (110, 'unknown'), (120, 'ok')) v(s, sev),
       pg_temp.look(s, ARRAY[pg_temp.finding(sev, NULL)]) r;
CALL pg_temp.forget();
-- where nothing fired it is an alert only if the check is required
SELECT s, r.* FROM (VALUES (0), (60)) v(s), pg_temp.look(s, ARRAY[pg_temp.finding('unknown', NULL)]) r;
SELECT s, r.* FROM (VALUES (0), (29), (30), (60)) v(s), pg_temp.look(s, ARRAY[pg_temp.finding('unknown', NULL, '{"required": true}')]) r;
CALL pg_temp.forget();
-- of a part of the time, what is bad is so, and what is not says nothing: neither that it ends, nor eases, nor is unknown
SELECT s, r.* FROM (VALUES (0, 'ok', 0), (10, 'warning', 6), (20, 'critical', 12), (30, 'warning', 6), (40, 'ok', 0), (50, 'unknown', NULL), (600, 'unknown', NULL), (610, 'ok', 1), (620, 'critical', 13)) v(s, sev, v),
       pg_temp.look(s, ARRAY[pg_temp.finding(sev, v, '{"partial": true}')]) r;
SELECT message FROM dbops.alerts() WHERE alert_key LIKE 'regress.%';
SELECT s, r.* FROM (VALUES (630, 'warning', 6), (640, 'ok', 0)) v(s, sev, v), pg_temp.look(s, ARRAY[pg_temp.finding(sev, v)]) r;
CALL pg_temp.forget();
-- one that waits for its time goes on waiting, one that has ended says so only when all of its time is well
SELECT s, r.* FROM (VALUES (0, 'warning', true), (10, 'ok', true), (60, 'warning', true), (70, 'ok', false), (80, 'ok', true), (100, 'ok', true), (110, 'ok', false)) v(s, sev, part),
       pg_temp.look(s, ARRAY[pg_temp.finding(sev, 1, jsonb_build_object('duration', 60, 'keep_firing', 30, 'partial', part))]) r;
CALL pg_temp.forget();
-- not even of a required one is it told that a part is unknown
SELECT s, r.* FROM (VALUES (0), (60)) v(s), pg_temp.look(s, ARRAY[pg_temp.finding('unknown', NULL, '{"required": true, "partial": true}')]) r;
CALL pg_temp.forget();
-- info raises no alert
SELECT r.* FROM pg_temp.look(0, ARRAY[pg_temp.finding('info', 99)]) r;

-- objects have alerts of their own; what is not found any more is well, but not while the check cannot tell
SELECT r.events FROM pg_temp.look(0, ARRAY[pg_temp.finding('warning', 1, '{}', 'a'), pg_temp.finding('critical', 2, '{}', 'b')]) r;
SELECT r.events FROM pg_temp.look(10, ARRAY[pg_temp.finding('unknown', NULL)]) r;
SELECT r.events FROM pg_temp.look(20, ARRAY[pg_temp.finding('warning', 1, '{}', 'a')]) r;
SELECT alert_key, state, severity, message FROM dbops.alerts(false) WHERE alert_key LIKE 'regress.%' ORDER BY 1;
SELECT r.events FROM pg_temp.look(30, ARRAY[pg_temp.finding('ok', 1)]) r;
CALL pg_temp.forget();

-- a storm of 5,000 objects is one event, within what a notification carries
SELECT r.* FROM pg_temp.look(0, ARRAY(SELECT pg_temp.finding(CASE i WHEN 4000 THEN 'critical' ELSE 'warning' END, i, '{}', format('"schema number %s"."a table with a rather long name, number %s"', i, i))
                                        FROM generate_series(1, 5000) i)) r;
SELECT octet_length(payload::text) < 8000 AS fits, payload->>'message' AS message, payload->'objects' AS objects, jsonb_array_length(payload->'details') AS details, payload->'details'->>2 AS detail
  FROM dbops.alert_history() WHERE alert_key LIKE 'regress.%';
-- it stays one alert until nothing is left, and says when it becomes less bad
SELECT r.* FROM pg_temp.look(10, ARRAY[pg_temp.finding('warning', 1, '{}', 'a')]) r;
SELECT r.* FROM pg_temp.look(20, ARRAY[pg_temp.finding('ok', 1)]) r;
CALL pg_temp.forget();
-- alerts of single objects become one, which goes on from them
SELECT r.events FROM pg_temp.look(0, ARRAY[pg_temp.finding('warning', 1, '{"duration": 60}', 'a')]) r;
SELECT r.events FROM pg_temp.look(60, ARRAY[pg_temp.finding('warning', 1, '{"duration": 60}', 'a')]) r;
SELECT r.events FROM pg_temp.look(70, ARRAY(SELECT pg_temp.finding('warning', i, '{"duration": 60}', 'object ' || i) FROM generate_series(1, 21) i)) r;
SELECT alert_key, event, message FROM dbops.alert_history() WHERE alert_key LIKE 'regress.%' ORDER BY id;
CALL pg_temp.forget();
-- texts of any length
SELECT r.events FROM pg_temp.look(0, ARRAY(SELECT ROW('regress.alert', 'warning', repeat('ö', 300) || i, repeat('ü', 30000), repeat('ä', 30000), NULL, '{"value": 1}')::dbops.finding FROM generate_series(1, 30) i)) r;
SELECT octet_length(payload::text) < 8000 AS fits FROM dbops.alert_history() WHERE alert_key LIKE 'regress.%';
CALL pg_temp.forget();

-- of names that are too long what is cut ends in a digest, so that each has its own alert, and its key is known everywhere
SELECT r.events FROM pg_temp.look(0, ARRAY(SELECT pg_temp.finding('warning', i, '{}', repeat('an object ', 25) || i) FROM generate_series(1, 3) i)) r;
SELECT count(DISTINCT alert_key) AS alerts, max(octet_length(alert_key)) AS bytes, bool_and(alert_key ~ '^regress.alert:an object .*~[0-9a-f]{16}$') AS digest FROM dbops.alerts() WHERE alert_key LIKE 'regress.%';
SELECT r.events FROM pg_temp.look(10, ARRAY(SELECT pg_temp.finding('warning', i, '{}', repeat('an object ', 25) || i) FROM generate_series(1, 3) i)) r;
SELECT dbops.evaluate_alerts(ARRAY(SELECT ROW('regress.' || repeat('check', 15) || i, 'warning', NULL, 'it is so', NULL, NULL, NULL)::dbops.finding FROM generate_series(1, 2) i)) AS events;
SELECT count(*), max(octet_length(alert_key)) AS bytes FROM dbops.alerts() WHERE alert_key LIKE 'regress.check%';
CALL pg_temp.forget();
-- also of what a check finds
BEGIN;
SET LOCAL dbops.health_max_age = 0;
SELECT format('%I.%I', repeat('"', 60) || 's', repeat('"', 60) || 't') AS one, format('%I.%I', repeat('"', 60) || 's', repeat('"', 60) || 'u') AS two, quote_ident(repeat('"', 60) || 's') AS schema \gset
CREATE SCHEMA :schema CREATE SEQUENCE :one MAXVALUE 1000 CREATE SEQUENCE :two MAXVALUE 1000;
SELECT setval(:'one', 995), setval(:'two', 995);
SELECT dbops.evaluate_alerts() >= 2 AS evaluated;
SELECT count(*) AS alerts, max(octet_length(alert_key)) <= 255 AS fits, bool_and(alert_key IN (SELECT key FROM dbops.health_checks())) AS key_of_health FROM dbops.alert WHERE check_name = 'sequences.exhaustion' AND alert_key LIKE '%""""%';
SELECT dbops.mute_finding(min(alert_key), 'the test works on it', timestamptz '2030-01-01 00:10:00+00') FROM dbops.alert WHERE check_name = 'sequences.exhaustion' AND alert_key LIKE '%""""%';
SELECT dbops.evaluate_alerts() >= 0 AS evaluated;
SELECT suppressed, count(*) FROM dbops.alert WHERE check_name = 'sequences.exhaustion' AND alert_key LIKE '%""""%' GROUP BY 1 ORDER BY 1;
ROLLBACK;
-- a storm of which some are muted is one of the others
BEGIN;
SELECT dbops.mute_finding('sequences.exhaustion:regress ' || i, 'the test works on it', timestamptz '2030-01-01 00:10:00+00') FROM generate_series(1, 2) i;
SELECT dbops.evaluate_alerts(ARRAY(SELECT ROW('sequences.exhaustion', CASE WHEN i < 3 THEN 'critical' ELSE 'warning' END, 'regress ' || i, 'it is so', NULL, NULL, '{"value": 99}')::dbops.finding FROM generate_series(1, 24) i)) >= 3 AS evaluated;
SELECT alert_key, severity, suppressed, value FROM dbops.alert WHERE alert_key LIKE 'sequences.exhaustion:regress %' OR alert_key = 'sequences.exhaustion:*' ORDER BY alert_key COLLATE "C";
ROLLBACK;

-- events that there is no room for are told at the next look
SELECT look, dbops.evaluate_alerts(ARRAY(SELECT ROW('regress.' || i, 'critical', 'a', 'it is so', NULL, NULL, NULL)::dbops.finding FROM generate_series(1, 300) i)) AS events
  FROM generate_series(1, 3) look;
SELECT count(*) AS events, count(DISTINCT alert_key) AS alerts, bool_and(told) AS told FROM dbops.alert_history() WHERE alert_key LIKE 'regress.%';
CALL pg_temp.forget();

-- an alert that fires keeps its place: those that find none are told of as such, and the others once
SELECT look, dbops.evaluate_alerts(ARRAY(SELECT ROW('regress.' || 1000 + i, 'critical', 'a', 'it is so', NULL, NULL, NULL)::dbops.finding FROM generate_series(1, 1300) i)) AS events
  FROM generate_series(1, 5) look;
SELECT count(*) AS events, count(DISTINCT alert_key) AS alerts, bool_and(told) AS told FROM dbops.alert_history() WHERE alert_key LIKE 'regress.%';
SELECT severity, message FROM dbops.health_checks() WHERE check_name = 'alerts.room';
-- when some end, others have theirs
SELECT count(dbops.evaluate_alerts(ARRAY(SELECT ROW('regress.' || 1000 + i, 'ok', 'a', 'it is well', NULL, NULL, NULL)::dbops.finding FROM generate_series(1, 600) i))) AS looks
  FROM generate_series(1, 5) look;
SELECT count(dbops.evaluate_alerts(ARRAY(SELECT ROW('regress.' || 1000 + i, 'critical', 'a', 'it is so', NULL, NULL, NULL)::dbops.finding FROM generate_series(601, 1300) i))) AS looks
  FROM generate_series(1, 5) look;
SELECT event, count(DISTINCT alert_key) AS alerts, count(*) AS events FROM dbops.alert_history() WHERE alert_key LIKE 'regress.%' AND told GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM dbops.alerts() WHERE alert_key LIKE 'regress.%';
SELECT severity, message FROM dbops.health_checks() WHERE check_name = 'alerts.room';
CALL pg_temp.forget();


-- silences: nobody is told, and what still fires at the end is told then
SET dbops.test_now = 1893456000;
SELECT dbops.silence_alerts('regress.al%', 'the test works on it', timestamptz '2030-01-01 00:01:00+00') IS NOT NULL AS silenced;
SELECT pattern, reason, until AT TIME ZONE 'UTC' AS until FROM dbops.alert_silences();
SELECT s, r.* FROM (VALUES (0, 85), (10, 85), (59, 99), (60, 99)) v(s, v), pg_temp.value_at(s, v, '{}') r;
-- that it is over is told to who was told, and is not suppressed
SELECT dbops.silence_alerts('regress.alert', 'again', timestamptz '2030-01-01 00:10:00+00') IS NOT NULL AS silenced;
SELECT s, r.* FROM (VALUES (70, 99), (80, 50), (90, 99), (100, 50)) v(s, v), pg_temp.value_at(s, v, '{}') r;
SELECT event, told, suppressed FROM dbops.alert_history() WHERE alert_key LIKE 'regress.%' ORDER BY id;
SELECT dbops.unsilence_alerts(silence_id) FROM dbops.alert_silences();
SELECT count(*) AS silences FROM dbops.alert_silences();
SELECT r.* FROM pg_temp.value_at(110, 85, '{}') r;
CALL pg_temp.forget();
-- another's key is not silenced
SELECT dbops.silence_alerts('regress.other%', 'the test works on it', timestamptz '2030-01-01 00:10:00+00') IS NOT NULL AS silenced;
SELECT r.* FROM pg_temp.value_at(110, 85, '{}') r;
SELECT dbops.unsilence_alerts(silence_id) FROM dbops.alert_silences();
SELECT dbops.unsilence_alerts(-1);
CALL pg_temp.forget();
-- as many as there is room for
SELECT count(dbops.silence_alerts('regress.' || i, 'the test works on it', timestamptz '2030-01-01 00:10:00+00')) AS silences FROM generate_series(1, 32) i;
SELECT dbops.silence_alerts('regress.alert', 'one more', timestamptz '2030-01-01 00:10:00+00');
CALL pg_temp.forget();

-- what is no check of dbops can be muted where it has been found, by its object or by its name
SELECT r.events FROM pg_temp.look(0, ARRAY[pg_temp.finding('warning', 1, '{}', 'a'), pg_temp.finding('warning', 1, '{}', 'b')]) r;
SELECT dbops.mute_finding('regress.alert:a', 'the test works on it', timestamptz '2030-01-01 00:10:00+00');
SELECT r.events FROM pg_temp.look(10, ARRAY[pg_temp.finding('critical', 2, '{}', 'a'), pg_temp.finding('critical', 2, '{}', 'b')]) r;
SELECT alert_key, suppressed FROM dbops.alerts() WHERE alert_key LIKE 'regress.%' ORDER BY 1;
SELECT dbops.mute_finding('regress.alert', 'all of it', timestamptz '2030-01-01 00:10:00+00');
SELECT r.events FROM pg_temp.look(20, ARRAY[pg_temp.finding('critical', 2, '{}', 'a'), pg_temp.finding('warning', 2, '{}', 'b'), pg_temp.finding('warning', 2, '{}', 'c')]) r;
SELECT dbops.unmute_finding('regress.alert'), dbops.unmute_finding('regress.alert:a');
SELECT r.events FROM pg_temp.look(30, ARRAY[pg_temp.finding('critical', 2, '{}', 'a'), pg_temp.finding('warning', 2, '{}', 'b'), pg_temp.finding('warning', 2, '{}', 'c')]) r;
-- but not a name that was never found, which may be mistyped
SELECT dbops.mute_finding('regress.alerd', 'why', timestamptz '2030-01-01 00:10:00+00');
\echo :SQLSTATE
CALL pg_temp.forget();
DELETE FROM dbops.muted_finding WHERE key LIKE 'regress.%';

-- a call that has waited is not made for what is the past, but it is told that it is over
SELECT s, r.events FROM (VALUES (0, 85), (10, 50)) v(s, v), pg_temp.value_at(s, v, '{}') r;
CREATE TABLE regress_told (n int, at timestamptz);
CREATE FUNCTION regress_tell(alert jsonb) RETURNS void LANGUAGE sql AS $$ INSERT INTO public.regress_told VALUES ((alert->>'n')::int) $$;
SELECT dbops.set_alert_function('regress_tell(jsonb)');
SET dbops.test_now = 1893456000;
SELECT count(dbops.call_alert_function(jsonb_build_object('n', n, 'key', key, 'event', event, 'timestamp', timestamptz '2030-01-01 00:00:00+00' - age, 'database', current_database()))) AS calls
  FROM (VALUES (1, 'regress.other', 'firing', interval '59 minutes'), (2, 'regress.other', 'firing', '61 minutes'), (3, 'regress.other', 'resolved', '61 minutes'),
               (4, 'regress.alert', 'firing', '2 minutes'), (5, 'regress.alert', 'firing', '30 seconds'), (6, 'regress.alert', 'resolved', '2 minutes')) v(n, key, event, age);
SELECT dbops.call_alert_function('{"n": 7}'), dbops.call_alert_function('[7]');
SELECT array_agg(n ORDER BY n) AS told FROM regress_told;
SELECT dbops.remove_alert_function();
DROP FUNCTION regress_tell(jsonb);
DROP TABLE regress_told;
CALL pg_temp.forget();

-- maintenance mode silences everything
SET dbops.test_now = 1893456000;
SELECT dbops.begin_maintenance_mode('the test works', timestamptz '2030-01-01 00:01:00+00');
SELECT s, r.* FROM (VALUES (0, 85), (59, 85), (60, 85)) v(s, v), pg_temp.value_at(s, v, '{}') r;
SELECT dbops.end_maintenance_mode() IS NOT NULL AS ended;
CALL pg_temp.forget();

-- just after a start, what must settle first is not told
SELECT ceil(extract(epoch FROM pg_postmaster_start_time()))::bigint - 1893456000 AS started \gset
SELECT s, r.* FROM (VALUES (0, 85), (200, 85), (301, 85)) v(s, v), pg_temp.value_at(:started + s, v, '{"settling": true}') r;
CALL pg_temp.forget();

-- events stand and fall with their transaction
BEGIN;
SELECT r.events FROM pg_temp.value_at(0, 85, '{}') r;
ROLLBACK;
SELECT r.events FROM pg_temp.value_at(10, 85, '{}') r;
CALL pg_temp.forget();

-- another session goes on where the first has left it
SELECT r.* FROM pg_temp.value_at(0, 85, '{"duration": 60}') r;
\c
SET dbops.test_now = 1893456060;
SELECT dbops.evaluate_alerts(ARRAY[ROW('regress.alert', 'warning', NULL, 'it is 85', NULL, NULL, '{"value": 85, "duration": 60}')::dbops.finding]);
SELECT alert_key, state, severity, since AT TIME ZONE 'UTC' AS since, fired_at AT TIME ZONE 'UTC' AS fired_at FROM dbops.alerts() WHERE alert_key LIKE 'regress.%';
SELECT dbops.evaluate_alerts(ARRAY[ROW('regress.alert', 'ok', NULL, 'it is 5', NULL, NULL, NULL)::dbops.finding]);

-- figures beyond all bounds
SELECT dbops.evaluate_alerts(ARRAY[ROW('regress.bounds', 'critical', NULL, 'it is so', NULL, NULL, '{"value": 1e400, "warning": -1e400, "clear": 1e400, "duration": -1e400, "keep_firing": 1e400}')::dbops.finding]);
SELECT state, value FROM dbops.alerts() WHERE alert_key = 'regress.bounds';

-- all checks at once
BEGIN;
SELECT dbops.evaluate_alerts() >= 0 AS evaluated;
ROLLBACK;

-- bad input
SELECT dbops.evaluate_alerts(ARRAY[ROW('regress.alert', 'dreadful', NULL, NULL, NULL, NULL, NULL)::dbops.finding]);
SELECT dbops.evaluate_alerts(ARRAY[ROW(NULL, 'ok', NULL, NULL, NULL, NULL, NULL)::dbops.finding]);
SELECT dbops.evaluate_alerts(ARRAY[NULL::dbops.finding]);
SELECT dbops.silence_alerts(NULL, 'why', now() + interval '1 hour');
SELECT dbops.silence_alerts('', 'why', now() + interval '1 hour');
SELECT dbops.silence_alerts('disk.free\', 'why', timestamptz '2030-01-01 01:00:00+00');
SELECT dbops.silence_alerts('disk.free', NULL, timestamptz '2030-01-01 01:00:00+00');
SELECT dbops.silence_alerts('disk.free', ' ', timestamptz '2030-01-01 01:00:00+00');
SELECT dbops.silence_alerts('disk.free', 'why', NULL);
SELECT dbops.silence_alerts('disk.free', 'why', 'infinity');
SELECT dbops.silence_alerts('disk.free', 'why', timestamptz '2040-01-01 01:00:00+00');
SELECT dbops.silence_alerts('disk.free', 'why', timestamptz '2029-01-01 01:00:00+00');
SELECT * FROM dbops.alert_history(now(), now() - interval '1 hour');
SELECT dbops.set_alert_function('pg_catalog.now()');
SELECT dbops.set_alert_function(NULL);
SELECT dbops.set_alert_function(1);
SELECT dbops.set_alert_function('pg_catalog.jsonb_typeof(jsonb)', '0 seconds');

DELETE FROM dbops.alert WHERE alert_key LIKE 'regress.%';
DELETE FROM dbops.alert_history WHERE alert_key LIKE 'regress.%';
DELETE FROM dbops.alert_silence WHERE pattern LIKE 'regress.%';
