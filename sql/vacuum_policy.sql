-- What autovacuum leaves is found by the server's own counters and done by a
-- job, in virtual time. autovacuum is off here, and the clock of this session is
-- in a year in which nothing happens by itself.
\set VERBOSITY terse
SET TimeZone = 'UTC';
SET datestyle = 'ISO';
SET client_min_messages = warning;
CREATE SCHEMA vacuum_policy;
SET search_path = vacuum_policy;
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
CREATE FUNCTION pg_temp.maintain(t timestamptz) RETURNS TABLE (kind text, name text, state text) LANGUAGE plpgsql AS $$
DECLARE
    ids bigint[];
BEGIN
    PERFORM pg_temp.at(t);
    ids := ARRAY(SELECT dbops.run_maintenance());
    PERFORM set_config('regress.job', ids[1]::text, false);
    RETURN QUERY SELECT j.kind, j.name, j.state FROM dbops.job j WHERE id = ANY (ids) ORDER BY id;
END
$$;
CREATE VIEW pg_temp.policy AS
    SELECT kind, name, next_run, last_run, last_state, last_message, skipped, command FROM dbops.policies() WHERE kind = 'vacuum';
CREATE VIEW pg_temp.candidates AS
    SELECT table_name, statement, reason, since, due, dead_rows, changed_rows, policy FROM dbops.vacuum_candidates()
     WHERE (SELECT relnamespace FROM pg_class WHERE oid = table_name) = 'vacuum_policy'::regnamespace;
CREATE VIEW pg_temp.report AS
    SELECT object, action, outcome, times, row_count, message FROM dbops.maintenance_report('2000-01-01') WHERE kind = 'vacuum';

-- never analyzed; and over twice a threshold, which is autovacuum's business for six hours
SELECT pg_temp.at('2040-01-01 12:00');
CREATE TABLE visits (id int, note text);
INSERT INTO visits SELECT i, 'v' FROM generate_series(1, 1000) i;
SELECT pg_stat_force_next_flush();
SELECT * FROM pg_temp.candidates;
SELECT dbops.set_vacuum_policy('visits', analyze_every => NULL);
SELECT * FROM pg_temp.policy;
SELECT * FROM pg_temp.maintain('2040-01-01 13:00');
CALL dbops.run_job(current_setting('regress.job')::bigint);
SELECT * FROM pg_temp.report;
SELECT * FROM pg_temp.candidates;
DELETE FROM visits WHERE id <= 600;
SELECT pg_stat_force_next_flush();
-- 50 and 20 percent of 1000 are 250 for VACUUM, 50 and 10 percent 150 for ANALYZE
SELECT * FROM pg_temp.candidates;
SELECT * FROM pg_temp.maintain('2040-01-01 14:00');
SELECT last_message, skipped FROM pg_temp.policy;
SELECT since, due FROM pg_temp.candidates;
SELECT * FROM pg_temp.maintain('2040-01-01 19:00');
SELECT * FROM pg_temp.maintain('2040-01-01 20:00');
SELECT since, due, policy FROM pg_temp.candidates;
CALL dbops.run_job(current_setting('regress.job')::bigint);
SELECT * FROM pg_temp.report;
SELECT * FROM pg_temp.candidates;
SELECT * FROM pg_temp.maintain('2040-01-01 22:00');
SELECT * FROM pg_temp.policy;
-- autovacuum has done it before the six hours are over: it is forgotten
DELETE FROM visits WHERE id <= 1000;
SELECT pg_stat_force_next_flush();
SELECT * FROM pg_temp.maintain('2040-01-01 23:00');
SELECT count(*) FROM pg_temp.candidates;
CALL pg_temp.be_alone();
VACUUM ANALYZE visits;
SELECT * FROM pg_temp.maintain('2040-01-02 00:00');
SELECT memory - 'counted' AS memory FROM dbops.policy WHERE kind = 'vacuum';

-- thresholds are those of the table where it has its own, and inserts count
ALTER TABLE visits SET (autovacuum_vacuum_threshold = 3, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_insert_threshold = -1,
    autovacuum_analyze_threshold = 1000000);
INSERT INTO visits SELECT i, 'v' FROM generate_series(1, 3000) i;
DELETE FROM visits WHERE id <= 6;   -- that is twice the threshold, and not more
SELECT pg_stat_force_next_flush();
SELECT count(*) FROM pg_temp.candidates;
DELETE FROM visits WHERE id <= 7;
SELECT pg_stat_force_next_flush();
SELECT reason FROM pg_temp.candidates;
ALTER TABLE visits SET (autovacuum_vacuum_threshold = 100000, autovacuum_vacuum_insert_threshold = 1400, autovacuum_vacuum_insert_scale_factor = 0);
SELECT reason FROM pg_temp.candidates;
ALTER TABLE visits RESET (autovacuum_vacuum_threshold, autovacuum_vacuum_scale_factor, autovacuum_vacuum_insert_threshold, autovacuum_vacuum_insert_scale_factor,
    autovacuum_analyze_threshold);
CALL pg_temp.be_alone();
VACUUM ANALYZE visits;

-- the TOAST table has thresholds of its own
CREATE TABLE notes (id int, note text);
ALTER TABLE notes ALTER note SET STORAGE EXTERNAL;
INSERT INTO notes SELECT i, repeat('x', 10000) FROM generate_series(1, 40) i;
SELECT dbops.set_vacuum_policy('notes', analyze_every => NULL);
CALL pg_temp.be_alone();
VACUUM ANALYZE notes;
DELETE FROM notes;
SELECT pg_stat_force_next_flush();
SELECT statement, reason FROM pg_temp.candidates;
SELECT dbops.remove_vacuum_policy('notes');
DROP TABLE notes;

-- statistics get old where a table changes at all
INSERT INTO visits VALUES (0, 'v');
SELECT pg_stat_force_next_flush();
SELECT dbops.set_vacuum_policy('visits', analyze_every => '30 days');
SELECT * FROM pg_temp.maintain('2040-02-01 00:00');
SELECT statement, regexp_replace(reason, '[\d.]+ days', 'N days') AS reason, due, policy FROM pg_temp.candidates;
SELECT dbops.set_vacuum_policy('visits', analyze_every => NULL);
SELECT count(*) FROM pg_temp.candidates;
-- the job that it had has given way, and the policy is due at once
SELECT state, message FROM dbops.job WHERE id = current_setting('regress.job')::bigint;
SELECT next_run, command FROM pg_temp.policy;
SELECT * FROM pg_temp.maintain('2040-02-01 00:00');
SELECT last_message FROM pg_temp.policy;

-- age: autovacuum would freeze it at any time of the day
UPDATE pg_class SET relfrozenxid = ((4294967296 + txid_current() - 90000) % 4294967296)::text::xid WHERE oid = 'visits'::regclass;
ALTER TABLE visits SET (autovacuum_freeze_max_age = 100000);
SELECT statement, regexp_replace(reason, 'is \d+ old', 'is N old') AS reason, due FROM pg_temp.candidates;
SELECT dbops.set_vacuum_policy('visits', freeze_ahead => false, analyze_every => NULL);
SELECT count(*) FROM pg_temp.candidates;
SELECT dbops.set_vacuum_policy('visits', time_window => '01:00-05:00', analyze_every => NULL);
SELECT * FROM pg_temp.maintain('2040-02-01 01:00');
CALL dbops.run_job(current_setting('regress.job')::bigint);
SELECT object, action, outcome FROM pg_temp.report LIMIT 1;
SELECT age(relfrozenxid) < 80000 AS frozen FROM pg_class WHERE oid = 'visits'::regclass;
SELECT count(*) FROM pg_temp.candidates;
SELECT dbops.remove_vacuum_policy('visits');

-- partitions: autovacuum looks at each, and never at their parent
CREATE TABLE metrics (at date, value int) PARTITION BY RANGE (at);
CREATE TABLE metrics_1 PARTITION OF metrics FOR VALUES FROM ('2040-01-01') TO ('2040-02-01');
CREATE TABLE metrics_2 PARTITION OF metrics FOR VALUES FROM ('2040-02-01') TO ('2040-03-01');
INSERT INTO metrics SELECT '2040-01-01'::date + i % 60, i FROM generate_series(1, 1000) i WHERE i % 60 < 59;
SELECT pg_stat_force_next_flush();
ANALYZE metrics_1; ANALYZE metrics_2;
SELECT statement, reason FROM pg_temp.candidates WHERE table_name = 'metrics'::regclass;
SELECT dbops.set_vacuum_policy('metrics', analyze_every => NULL);
SELECT * FROM pg_temp.maintain('2040-02-01 02:00');
CALL dbops.run_job(current_setting('regress.job')::bigint);
SELECT object, action, outcome FROM pg_temp.report LIMIT 1;
SELECT count(*) > 0 AS statistics, bool_and(inherited) AS of_all FROM pg_stats WHERE tablename = 'metrics';
SELECT * FROM pg_temp.maintain('2040-02-01 03:00');
SELECT last_message FROM pg_temp.policy;
-- what the partitions have been analyzed for themselves counts for the parent
UPDATE metrics_1 SET value = 0 WHERE value <= 90;
SELECT pg_stat_force_next_flush();
ANALYZE metrics_1;
SELECT count(*) FROM pg_temp.candidates WHERE table_name = 'metrics'::regclass;
UPDATE metrics_2 SET value = 0 WHERE value <= 150 AND value > 0;
SELECT pg_stat_force_next_flush();
SELECT statement, reason, due, policy FROM pg_temp.candidates WHERE table_name = 'metrics'::regclass;
SELECT * FROM pg_temp.maintain('2040-02-01 04:00');
CALL dbops.run_job(current_setting('regress.job')::bigint);
SELECT count(*) FROM pg_temp.candidates WHERE table_name = 'metrics'::regclass;
-- once: that a partition's own statistics stay old, as its settings want, is no reason to do it every hour
ALTER TABLE metrics_2 SET (autovacuum_analyze_threshold = 1000000);
INSERT INTO metrics SELECT '2040-02-01', 1000 + i FROM generate_series(1, 300) i;
SELECT pg_stat_force_next_flush();
SELECT statement, reason FROM pg_temp.candidates WHERE table_name = 'metrics'::regclass;
SELECT * FROM pg_temp.maintain('2040-02-01 05:00');
CALL dbops.run_job(current_setting('regress.job')::bigint);
SELECT * FROM pg_temp.maintain('2040-02-01 06:00');
SELECT count(*) FROM pg_temp.candidates WHERE table_name = 'metrics'::regclass;
INSERT INTO metrics SELECT '2040-02-01', 2000 + i FROM generate_series(1, 60) i;
SELECT pg_stat_force_next_flush();
SELECT count(*) FROM pg_temp.candidates WHERE table_name = 'metrics'::regclass;
INSERT INTO metrics SELECT '2040-02-01', 3000 + i FROM generate_series(1, 90) i;
SELECT pg_stat_force_next_flush();
SELECT statement, reason FROM pg_temp.candidates WHERE table_name = 'metrics'::regclass;
ANALYZE metrics_1; ANALYZE metrics_2;
SELECT * FROM pg_temp.maintain('2040-02-01 07:00');
CALL dbops.run_job(current_setting('regress.job')::bigint);
-- and so does a partition that is gone with its rows
ALTER TABLE metrics DETACH PARTITION metrics_1;
SELECT statement, reason FROM pg_temp.candidates WHERE table_name = 'metrics'::regclass;

-- the nearest policy counts
ALTER TABLE metrics ATTACH PARTITION metrics_1 FOR VALUES FROM ('2040-01-01') TO ('2040-02-01');
DELETE FROM metrics WHERE value % 2 = 0;
DELETE FROM visits;
SELECT pg_stat_force_next_flush();
SELECT dbops.set_vacuum_policy('metrics_2', analyze_every => NULL), dbops.set_vacuum_policy(analyze_every => NULL);
SELECT table_name, policy FROM pg_temp.candidates ORDER BY 1;
SELECT name, command FROM pg_temp.policy;
SELECT dbops.remove_vacuum_policy('metrics_2'), dbops.remove_vacuum_policy();
SELECT table_name, policy FROM pg_temp.candidates ORDER BY 1;

-- it is dropped: so is its policy, and the log says so; renamed, it is shown as it is called today
SELECT dbops.set_vacuum_policy('visits');
ALTER TABLE visits RENAME TO "The ""Visits""";
SELECT name FROM pg_temp.policy;
BEGIN;  -- so that the background does not see it first
DROP TABLE "The ""Visits""", metrics;
SELECT name FROM pg_temp.policy;
SELECT * FROM pg_temp.maintain('2040-03-01');
SELECT count(*) FROM pg_temp.policy;
COMMIT;
SELECT object, action, outcome, message FROM pg_temp.report WHERE action = 'remove policy' ORDER BY object;

-- what is refused
\set VERBOSITY default
CREATE VIEW seen AS SELECT 1 AS one;
CREATE TABLE plain (id int PRIMARY KEY);
CREATE TEMPORARY TABLE passing (id int);
SELECT dbops.set_vacuum_policy('seen');
SELECT dbops.set_vacuum_policy('plain_pkey');
SELECT dbops.set_vacuum_policy('passing');
SELECT dbops.set_vacuum_policy('plain', analyze_every => '0');
SELECT dbops.set_vacuum_policy('plain', schedule => 'sometimes');
SELECT dbops.set_vacuum_policy('plain', time_window => 'night');
SELECT dbops.set_vacuum_policy('plain', time_zone => 'Europe/Atlantis');
SELECT dbops.remove_vacuum_policy('plain');
SELECT dbops.remove_vacuum_policy();

RESET dbops.test_now;
DELETE FROM dbops.job WHERE kind = 'vacuum';
DELETE FROM dbops.job_request;
DELETE FROM dbops.maintenance_log;
DROP SCHEMA vacuum_policy CASCADE;
RESET client_min_messages;
