-- Alerts, where two rules meet: what is back by half of what is needed, what
-- becomes worse again before it is less bad, what is known again, and what became
-- of single alerts that one about all of them has taken in. Times and findings are
-- the test's, as in alerts.
CREATE FUNCTION pg_temp.look(second int, findings dbops.finding[], OUT events text, OUT states text)
    LANGUAGE plpgsql AS $$
DECLARE
    last bigint := (SELECT coalesce(max(id), 0) FROM dbops.alert_history());
BEGIN
    PERFORM set_config('dbops.test_now', (1893456000 + second)::text, false);
    PERFORM dbops.evaluate_alerts(findings);
    SELECT string_agg(h.event || CASE WHEN h.told THEN '' ELSE ' (untold)' END || ' ' || h.before || '>' || h.severity, ', ' ORDER BY id)
      INTO events FROM dbops.alert_history() h WHERE id > last AND alert_key LIKE 'regress.%';
    SELECT string_agg(concat_ws(' ', a.object, a.state, a.severity, a.suppressed), ', ' ORDER BY alert_key)
      INTO states FROM dbops.alerts(false) a WHERE alert_key LIKE 'regress.%';
END
$$;
CREATE FUNCTION pg_temp.finding(severity text, value float8, rule jsonb DEFAULT '{}', object text DEFAULT NULL) RETURNS dbops.finding
    LANGUAGE sql AS $$
    SELECT ROW('regress.rule', severity, object, 'it is ' || coalesce(value::text, 'somehow'), 'SELECT 1', NULL,
               CASE WHEN value IS NULL THEN rule ELSE rule || jsonb_build_object('value', value) END)::dbops.finding
$$;
CREATE PROCEDURE pg_temp.forget() LANGUAGE sql AS $$
    DELETE FROM dbops.alert WHERE alert_key LIKE 'regress.%';
    DELETE FROM dbops.alert_history WHERE alert_key LIKE 'regress.%';
    DELETE FROM dbops.alert_silence WHERE pattern LIKE 'regress.%';
$$;

-- what is bad below and no share of anything must be back by all of a tenth
SELECT s, r.* FROM (VALUES (0, 'warning', 900), (10, 'ok', 1099), (20, 'ok', 1100)) v(s, sev, v),
       pg_temp.look(s, ARRAY[pg_temp.finding(sev, v, '{"below": true, "warning": 1000, "clear": 10, "unit": "bytes"}')]) r;
CALL pg_temp.forget();
-- a share of more than the whole likewise
SELECT s, r.* FROM (VALUES (0, 'warning', 140), (10, 'ok', 164), (20, 'ok', 165)) v(s, sev, v),
       pg_temp.look(s, ARRAY[pg_temp.finding(sev, v, '{"below": true, "warning": 150, "clear": 10, "unit": "percent"}')]) r;
CALL pg_temp.forget();
-- without a clear, or a value, it ends at once
SELECT s, r.* FROM (VALUES (0, 'warning', 81), (10, 'ok', 80)) v(s, sev, v), pg_temp.look(s, ARRAY[pg_temp.finding(sev, v, '{"warning": 80}')]) r;
CALL pg_temp.forget();
SELECT s, r.* FROM (VALUES (0, 'warning'), (10, 'ok')) v(s, sev), pg_temp.look(s, ARRAY[pg_temp.finding(sev, NULL, '{"warning": 80, "clear": 10}')]) r;
CALL pg_temp.forget();
-- what never was critical has no critical limit to come back from
SELECT s, r.* FROM (VALUES (0, 'warning', 94), (10, 'ok', 70), (20, 'ok', 60)) v(s, sev, v), pg_temp.look(s, ARRAY[pg_temp.finding(sev, v, '{"warning": 80, "critical": 95, "clear": 10}')]) r;
CALL pg_temp.forget();

-- what becomes worse again begins anew to be less bad
SELECT s, r.* FROM (VALUES (0, 'critical'), (10, 'warning'), (20, 'critical'), (30, 'warning'), (45, 'warning'), (59, 'warning'), (60, 'warning')) v(s, sev),
       pg_temp.look(s, ARRAY[pg_temp.finding(sev, NULL, '{"keep_firing": 30}')]) r;
CALL pg_temp.forget();
-- a warning that was on its way to critical begins anew too
SELECT s, r.* FROM (VALUES (0, 'warning'), (60, 'warning'), (70, 'critical'), (100, 'warning'), (110, 'critical'), (169, 'critical'), (170, 'critical')) v(s, sev),
       pg_temp.look(s, ARRAY[pg_temp.finding(sev, NULL, '{"duration": 60}')]) r;
CALL pg_temp.forget();
-- what was nearly over and is bad again goes on, and its end begins anew
SELECT s, r.* FROM (VALUES (0, 'warning'), (10, 'ok'), (35, 'warning'), (40, 'ok'), (69, 'ok'), (70, 'ok')) v(s, sev),
       pg_temp.look(s, ARRAY[pg_temp.finding(sev, NULL, '{"keep_firing": 30}')]) r;
CALL pg_temp.forget();

-- what is known again is told at once, however long an alert is kept firing
SELECT s, r.* FROM (VALUES (0, 'critical'), (10, 'unknown'), (40, 'unknown'), (50, 'warning'), (60, 'unknown'), (90, 'unknown'), (100, 'critical')) v(s, sev),
       pg_temp.look(s, ARRAY[pg_temp.finding(sev, NULL, '{"keep_firing": 600}')]) r;
CALL pg_temp.forget();
-- a moment in which it was known begins the three intervals anew
SELECT s, r.* FROM (VALUES (0, 'warning'), (10, 'unknown'), (30, 'warning'), (40, 'unknown'), (69, 'unknown'), (70, 'unknown')) v(s, sev),
       pg_temp.look(s, ARRAY[pg_temp.finding(sev, NULL)]) r;
CALL pg_temp.forget();

-- single alerts that one about all of them takes in are over for themselves, and those of other checks are not
SELECT r.* FROM pg_temp.look(0, ARRAY[pg_temp.finding('warning', 1, '{}', 'a'), pg_temp.finding('critical', 2, '{}', 'b'),
                                      ROW('regress.rules', 'warning', 'c', 'it is so', NULL, NULL, NULL)::dbops.finding]) r;
SELECT r.events FROM pg_temp.look(10, ARRAY(SELECT pg_temp.finding('warning', i, '{}', 'object ' || i) FROM generate_series(1, 21) i)
                                      || ROW('regress.rules', 'warning', 'c', 'it is so', NULL, NULL, NULL)::dbops.finding) r;
SELECT alert_key, state, severity, message LIKE 'is one of the objects of the alert regress.rule:%' AS taken_in, since AT TIME ZONE 'UTC' AS since
  FROM dbops.alerts(false) WHERE alert_key LIKE 'regress.%' ORDER BY 1;
-- so that the end of that one is the only one
SELECT r.events FROM pg_temp.look(20, ARRAY[pg_temp.finding('ok', NULL), ROW('regress.rules', 'warning', 'c', 'it is so', NULL, NULL, NULL)::dbops.finding]) r;
CALL pg_temp.forget();
-- a critical one that is taken in has been critical for as long
SELECT r.* FROM pg_temp.look(0, ARRAY[pg_temp.finding('critical', 1, '{"duration": 60}', 'a'), pg_temp.finding('warning', 1, '{"duration": 60}', 'b')]) r;
SELECT r.events FROM pg_temp.look(60, ARRAY(SELECT pg_temp.finding('critical', i, '{"duration": 60}', 'object ' || i) FROM generate_series(1, 21) i)) r;
CALL pg_temp.forget();

-- of what is suppressed events are noted and not told, and by what is said, maintenance before a silence
SET dbops.test_now = 1893456000;
SELECT dbops.silence_alerts('regress.rule', 'the test works on it', timestamptz '2030-01-01 01:00:00+00') IS NOT NULL AS silenced;
SELECT r.* FROM pg_temp.look(0, ARRAY[pg_temp.finding('warning', 1)]) r;
SELECT r.* FROM pg_temp.look(10, ARRAY[pg_temp.finding('critical', 1)]) r;
SELECT dbops.begin_maintenance_mode('the test works', timestamptz '2030-01-01 01:00:00+00');
SELECT r.* FROM pg_temp.look(20, ARRAY[pg_temp.finding('critical', 1)]) r;
SELECT dbops.end_maintenance_mode() IS NOT NULL AS ended;
SELECT dbops.unsilence_alerts(silence_id) FROM dbops.alert_silences();
SELECT r.* FROM pg_temp.look(30, ARRAY[pg_temp.finding('critical', 1)]) r;
CALL pg_temp.forget();
