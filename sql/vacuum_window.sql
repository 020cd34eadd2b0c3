-- A vacuum is begun only if it will be done before the window closes, unless what
-- is to be frozen cannot wait for another one; and what the server has lost of its
-- counters does not begin the six hours anew. In virtual time.
\set VERBOSITY terse
SET TimeZone = 'UTC';
SET datestyle = 'ISO';
SET client_min_messages = warning;
CREATE SCHEMA vacuum_window;
SET search_path = vacuum_window;
-- a vacuum removes what no snapshot may need: wait for those that others have taken
CREATE PROCEDURE pg_temp.be_alone() LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 3000 LOOP
        EXIT WHEN NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid());
        PERFORM pg_sleep(0.01), pg_stat_clear_snapshot();
    END LOOP;
END $$;
CREATE FUNCTION pg_temp.at(t timestamptz) RETURNS void LANGUAGE sql AS
    $$ SELECT set_config('dbops.test_now', extract(epoch FROM t)::text, false) $$;
CREATE FUNCTION pg_temp.maintain(t timestamptz) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    ids bigint[];
BEGIN
    PERFORM pg_temp.at(t);
    ids := ARRAY(SELECT dbops.run_maintenance());
    PERFORM set_config('regress.job', ids[1]::text, false);
    RETURN cardinality(ids);
END
$$;
-- a page takes so long, as if it had been learnt of a table, or of all (0)
CREATE FUNCTION pg_temp.learn(key text, took interval) RETURNS void LANGUAGE sql AS $$
    UPDATE dbops.policy SET memory = jsonb_set(memory, ARRAY['paces', key], jsonb_build_object('pages', 1, 'ms', extract(epoch FROM took) * 1000,
               'at', (current_setting('dbops.test_now')::float8::bigint - 946684800) * 1000000))
     WHERE kind = 'vacuum'
$$;
CREATE FUNCTION pg_temp.age(rel regclass, xids bigint) RETURNS void LANGUAGE sql AS $$
    UPDATE pg_class SET relfrozenxid = ((4294967296 + txid_current() - xids) % 4294967296)::text::xid WHERE oid = rel
$$;
CREATE VIEW pg_temp.candidates AS
    SELECT table_name, statement, reason, since, due FROM dbops.vacuum_candidates()
     WHERE (SELECT relnamespace FROM pg_class WHERE oid = table_name) = 'vacuum_window'::regnamespace;
CREATE VIEW pg_temp.report AS
    SELECT object, action, outcome, times, message FROM dbops.maintenance_report('2043-01-01') WHERE object LIKE 'vacuum_window.%' AND kind = 'vacuum';

-- 50 pages, whatever the length of a row's header
CREATE TABLE visits (id int, note text) WITH (fillfactor = 100);
ALTER TABLE visits ALTER note SET STORAGE PLAIN;
INSERT INTO visits SELECT i, repeat('v', 3900) FROM generate_series(1, 100) i;
CREATE TABLE small (id int);
INSERT INTO small VALUES (1);
CALL pg_temp.be_alone();
VACUUM ANALYZE visits, small;
ALTER TABLE visits SET (autovacuum_vacuum_threshold = 20, autovacuum_vacuum_scale_factor = 0);
ALTER TABLE small SET (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0);
UPDATE visits SET id = id;
DELETE FROM small;
SELECT pg_stat_force_next_flush();
SELECT pg_temp.at('2043-01-01 01:00');
SELECT dbops.set_vacuum_policy('visits', analyze_every => NULL, time_window => '01:00-05:00'), dbops.set_vacuum_policy('small', analyze_every => NULL, time_window => '01:00-05:00');
SELECT pg_temp.maintain('2043-01-01 02:00');
SELECT table_name, reason, since, due FROM pg_temp.candidates;

-- before anything is learnt, the settings tell: 0.3 ms for each of 100 pages and more
SELECT pg_temp.maintain('2043-01-02 04:59');
SELECT id FROM dbops.job WHERE kind = 'vacuum' AND name = 'vacuum_window.visits' ORDER BY id DESC LIMIT 1 \gset
SELECT id AS small FROM dbops.job WHERE kind = 'vacuum' AND name = 'vacuum_window.small' ORDER BY id DESC LIMIT 1 \gset
SELECT pg_temp.at('2043-01-02 04:59:59.99');
CALL dbops.run_job(:id);
CALL dbops.run_job(:small);
SELECT object, action, outcome, regexp_replace(message, '\(\d+ pages', '(N pages') AS message FROM pg_temp.report ORDER BY object, action;
-- as others took: it fits no window; then this one no more
SELECT pg_temp.maintain('2043-01-03 01:00');
SELECT pg_temp.learn('0', '10 min');
CALL dbops.run_job(current_setting('regress.job')::bigint);
SELECT pg_temp.maintain('2043-01-03 03:00');
SELECT pg_temp.learn('0', '1.5 min');
CALL dbops.run_job(current_setting('regress.job')::bigint);
SELECT outcome, times, regexp_replace(message, '\(\d+ pages', '(N pages') AS message FROM pg_temp.report WHERE object = 'vacuum_window.visits';
-- what it took itself comes before that of others; memory goes through a look
SELECT pg_temp.maintain('2043-01-04 01:00');
SELECT pg_temp.learn('visits'::regclass::oid::text, '1 s');
CALL dbops.run_job(current_setting('regress.job')::bigint);
SELECT outcome, times, message FROM pg_temp.report WHERE object = 'vacuum_window.visits' LIMIT 1;
SELECT memory -> 'paces' -> '0' AS others, memory -> 'paces' -> 'visits'::regclass::oid::text AS own FROM dbops.policy WHERE relation = 'visits'::regclass;
-- without a window it may last
DELETE FROM visits;
SELECT pg_stat_force_next_flush();
SELECT dbops.set_vacuum_policy('visits', analyze_every => NULL);
SELECT pg_temp.maintain('2043-01-04 02:00');
SELECT pg_temp.learn('visits'::regclass::oid::text, '1 year');
SELECT pg_temp.maintain('2043-01-04 08:00');
CALL dbops.run_job(current_setting('regress.job')::bigint);
SELECT outcome, times, message FROM pg_temp.report WHERE object = 'vacuum_window.visits' LIMIT 1;

-- to be frozen: it waits for another window at 85 percent, and not at 96
INSERT INTO visits SELECT i, repeat('v', 3900) FROM generate_series(1, 100) i;
SELECT pg_stat_force_next_flush();
SELECT dbops.set_vacuum_policy('visits', analyze_every => NULL, time_window => '01:00-05:00');
SELECT pg_temp.age('visits', 170000000);
SELECT pg_temp.maintain('2043-01-05 01:00');
SELECT pg_temp.learn(visits || ' freeze', '1 hour') FROM CAST('visits'::regclass::oid AS text) visits;
CALL dbops.run_job(current_setting('regress.job')::bigint);
SELECT outcome, regexp_replace(message, 'is \d+ old|\(\d+ pages|[\d.]+ days', 'N', 'g') AS message FROM pg_temp.report WHERE object = 'vacuum_window.visits' LIMIT 1;
SELECT pg_temp.age('visits', 192000000);
SELECT pg_temp.maintain('2043-01-05 02:00');
CALL dbops.run_job(current_setting('regress.job')::bigint);
SELECT outcome, regexp_replace(message, 'is \d+ old|\(\d+ pages|[\d.]+ days', 'N', 'g') AS message FROM pg_temp.report WHERE object = 'vacuum_window.visits' LIMIT 1;
SELECT age(relfrozenxid) < 1000000 AS frozen FROM pg_class WHERE oid = 'visits'::regclass;

-- less than 80 percent, but ids are given out so fast that it would be too late in a week
ALTER TABLE visits SET (autovacuum_freeze_max_age = 100000);
SELECT dbops.set_vacuum_policy('visits', analyze_every => NULL, time_window => 'tue 01:00-05:00');
SELECT pg_temp.age('visits', 70000);
SELECT pg_temp.at('2043-01-20 00:00');
SELECT count(*) FROM pg_temp.candidates WHERE table_name = 'visits'::regclass;
DO $$
BEGIN
    CREATE TEMPORARY TABLE spent (id int);
    FOR i IN 1 .. 2000 LOOP
        BEGIN
            INSERT INTO spent VALUES (i);
        EXCEPTION WHEN division_by_zero THEN
        END;
    END LOOP;
END
$$;
SELECT pg_temp.at('2043-01-20 02:00');
SELECT regexp_replace(reason, 'is \d+|about \d+', 'N', 'g') AS reason, due FROM pg_temp.candidates WHERE table_name = 'visits'::regclass;
SELECT dbops.set_vacuum_policy('visits', analyze_every => NULL, freeze_ahead => false);
SELECT count(*) FROM pg_temp.candidates WHERE table_name = 'visits'::regclass;
ALTER TABLE visits RESET (autovacuum_freeze_max_age);

-- its TOAST table has settings and ids of its own; and what is old in it is frozen with the table
CREATE TABLE notes (id int, note text) WITH (toast.autovacuum_freeze_max_age = 100000);
ALTER TABLE notes ALTER note SET STORAGE EXTERNAL;
INSERT INTO notes VALUES (1, repeat('n', 5000));
CALL pg_temp.be_alone();
VACUUM ANALYZE notes;
SELECT dbops.set_vacuum_policy('notes', analyze_every => NULL);
SELECT pg_temp.age(reltoastrelid, 90000), pg_temp.age(oid, 90000) FROM pg_class WHERE oid = 'notes'::regclass;
SELECT statement, regexp_replace(reason, 'is \d+ old', 'is N old') AS reason, due FROM pg_temp.candidates WHERE table_name = 'notes'::regclass;
SELECT pg_temp.maintain('2043-01-20 03:00') > 0 AS some;
SELECT id FROM dbops.job WHERE kind = 'vacuum' AND name = 'vacuum_window.notes' ORDER BY id DESC LIMIT 1 \gset
CALL dbops.run_job(:id);
SELECT action, outcome FROM pg_temp.report WHERE object = 'vacuum_window.notes';
SELECT age(relfrozenxid) < 80000 AS frozen FROM pg_class WHERE oid = (SELECT reltoastrelid FROM pg_class WHERE oid = 'notes'::regclass);
SELECT dbops.remove_vacuum_policy('notes');

-- counters that are lost: it is over since it was, once it is seen to be again
SELECT dbops.remove_vacuum_policy('visits');
CALL pg_temp.be_alone();
VACUUM ANALYZE visits;
SELECT pg_stat_reset_single_table_counters('visits'::regclass);
SELECT dbops.set_vacuum_policy('visits', analyze_every => NULL);
INSERT INTO visits SELECT i, 'v' FROM generate_series(1, 200) i;
DELETE FROM visits WHERE id <= 50;
SELECT pg_stat_force_next_flush();
SELECT pg_temp.maintain('2043-02-01 00:00');
SELECT since, due FROM pg_temp.candidates WHERE table_name = 'visits'::regclass;
SELECT pg_stat_reset_single_table_counters('visits'::regclass);
SELECT pg_temp.maintain('2043-02-01 01:00');
SELECT count(*) FROM pg_temp.candidates WHERE table_name = 'visits'::regclass;
SELECT pg_temp.maintain('2043-02-01 02:00');
DELETE FROM visits WHERE id BETWEEN 60 AND 110;
SELECT pg_stat_force_next_flush();
SELECT pg_temp.maintain('2043-02-01 05:00');
SELECT since, due FROM pg_temp.candidates WHERE table_name = 'visits'::regclass;
SELECT pg_temp.maintain('2043-02-01 06:00');
SELECT dbops.cancel_job(current_setting('regress.job')::bigint);
SELECT since, due FROM pg_temp.candidates WHERE table_name = 'visits'::regclass;
-- and forgotten when it has been vacuumed after that
SELECT pg_stat_reset_single_table_counters('visits'::regclass);
SELECT pg_temp.maintain('2043-02-01 07:00');
CALL pg_temp.be_alone();
VACUUM ANALYZE visits;
SELECT pg_temp.maintain('2043-02-01 08:00');
SELECT memory -> 'lost' AS lost, memory -> 'over' AS over FROM dbops.policy WHERE relation = 'visits'::regclass;
-- statistics of an unknown age are as old as the counters at least, and so are those of a parent
CREATE TABLE metrics (at int, value int) PARTITION BY RANGE (at);
CREATE TABLE metrics_1 PARTITION OF metrics FOR VALUES FROM (1) TO (1001);
INSERT INTO metrics SELECT i, 0 FROM generate_series(1, 1000) i;
SELECT pg_stat_force_next_flush();
ANALYZE metrics;
SELECT dbops.set_vacuum_policy('metrics', analyze_every => '30 days');
SELECT pg_stat_reset_single_table_counters('metrics'::regclass), pg_stat_reset_single_table_counters('metrics_1'::regclass);
SELECT pg_temp.maintain('2043-02-01 09:00') > 0 AS some;
SELECT count(*) FROM pg_temp.candidates WHERE table_name IN ('metrics'::regclass, 'metrics_1'::regclass);
UPDATE metrics SET value = 1 WHERE at <= 95;
SELECT pg_stat_force_next_flush();
SELECT table_name, statement, regexp_replace(reason, '[\d.]+ (days|h|min|s)\M', 'N days') AS reason FROM pg_temp.candidates
 WHERE table_name IN ('metrics'::regclass, 'metrics_1'::regclass) ORDER BY table_name::text;
SELECT dbops.set_vacuum_policy('metrics', analyze_every => NULL);
UPDATE metrics SET value = 2 WHERE at <= 95;
SELECT pg_stat_force_next_flush();
SELECT table_name, reason FROM pg_temp.candidates WHERE table_name = 'metrics'::regclass;

-- what was learnt is believed for a month, so that what a bad day has taught passes
CREATE TABLE slowed (id int) WITH (autovacuum_vacuum_threshold = 20, autovacuum_vacuum_scale_factor = 0);
INSERT INTO slowed SELECT generate_series(1, 100);
VACUUM ANALYZE slowed;
DELETE FROM slowed;
SELECT pg_stat_force_next_flush();
SELECT pg_temp.at('2043-06-01 01:00');
SELECT dbops.set_vacuum_policy('slowed', analyze_every => NULL, time_window => '01:00-05:00');
SELECT pg_temp.maintain('2043-06-01 02:00');
SELECT pg_temp.learn('slowed'::regclass::oid::text, '1 year'), pg_temp.learn('0', '1 year');
SELECT pg_temp.maintain('2043-06-30 01:00') > 0 AS some;
SELECT id FROM dbops.job WHERE kind = 'vacuum' AND name = 'vacuum_window.slowed' ORDER BY id DESC LIMIT 1 \gset
CALL dbops.run_job(:id);
SELECT outcome, regexp_replace(message, '\(\d+ pages', '(N pages') AS message FROM pg_temp.report WHERE object = 'vacuum_window.slowed' AND action LIKE 'vacuum%' LIMIT 1;
SELECT pg_temp.maintain('2043-07-02 01:00') > 0 AS some;
SELECT id FROM dbops.job WHERE kind = 'vacuum' AND name = 'vacuum_window.slowed' ORDER BY id DESC LIMIT 1 \gset
CALL dbops.run_job(:id);
SELECT outcome FROM pg_temp.report WHERE object = 'vacuum_window.slowed' AND action LIKE 'vacuum%' LIMIT 1;

DROP SCHEMA vacuum_window CASCADE;
BEGIN;
SELECT pg_temp.maintain('2043-03-01');
COMMIT;
RESET dbops.test_now;
DELETE FROM dbops.job WHERE kind = 'vacuum';
DELETE FROM dbops.job_request;
DELETE FROM dbops.maintenance_log WHERE object LIKE 'vacuum_window.%';
RESET client_min_messages;
