-- Indexes that are rebuilt by a policy or on demand: what is chosen, what is left
-- out and why, and what is kept about it. Due jobs are submitted in a year in
-- which nothing happens by itself, and run here. Crashes: test/t/reindex_crash.pl.
\set VERBOSITY terse
SET TimeZone = 'UTC';
SET datestyle = 'ISO';
SET client_min_messages = warning;
CREATE SCHEMA reindex_policy;
SET search_path = reindex_policy;
-- a vacuum removes what no snapshot may need: wait for those that others have taken
CREATE PROCEDURE pg_temp.be_alone() LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 3000 LOOP
        EXIT WHEN NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid());
        PERFORM pg_sleep(0.01), pg_stat_clear_snapshot();
    END LOOP;
END $$;
CREATE FUNCTION pg_temp.submit(t timestamptz) RETURNS SETOF bigint LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('dbops.test_now', extract(epoch FROM t)::text, true);
    RETURN QUERY SELECT dbops.run_maintenance();
    PERFORM set_config('dbops.test_now', '0', true);
END
$$;
CREATE VIEW pg_temp.report AS
    SELECT object, action, outcome, times, bytes_won > 0 AS wins, duration > '0' AS took, regexp_replace(message, '\d+', 'N', 'g') AS message
      FROM dbops.maintenance_report() WHERE kind = 'reindex' ORDER BY object, last_at DESC;

CREATE TABLE visits (id int PRIMARY KEY, v int, w text);
CREATE VIEW pg_temp.candidates AS
    SELECT index_name, bloat_percent > 60 AS bloated, wasted_bytes > 0 AS wins, regexp_replace(reason, '\d+ \w+,', 'N bytes,') AS reason, obstacle, last_rebuild IS NOT NULL AS was_rebuilt, command
      FROM dbops.reindex_candidates('visits') ORDER BY index_name::text;
INSERT INTO visits SELECT i, i, md5(i::text) FROM generate_series(1, 20000) i;
CREATE INDEX visits_v ON visits (v);
CREATE INDEX visits_w ON visits USING hash (w);
CREATE INDEX visits_small ON visits (v) WHERE v < 0;
DELETE FROM visits WHERE id % 5 <> 0;
CALL pg_temp.be_alone();
VACUUM ANALYZE visits;

-- without a policy there are default figures, for which these are too small
SELECT * FROM pg_temp.candidates;
SELECT dbops.set_reindex_policy('visits', min_percent => 50, min_bytes => 40960, schedule => '0 3 1 1 *') IS NOT NULL AS set;
SELECT kind, name, schedule, command FROM dbops.policies() WHERE kind = 'reindex';
SELECT * FROM pg_temp.candidates;

-- a unique index is left out where nobody knows of ON CONFLICT
SELECT pg_temp.submit('2040-01-01 12:00') AS job \gset
CALL dbops.run_job(:job);
SELECT state, message ~ '^1 rebuilt, .* won; 1 left out, 0 failed' AS told, result - 'message' - 'bytes_won' AS result
  FROM (SELECT s ->> 'state' AS state, s ->> 'message' AS message, s -> 'result' AS result FROM dbops.job_status(:job) s) x;
SELECT * FROM pg_temp.report;
SELECT index_name, bytes_before > bytes_after AS smaller, density_before < 40 AS was_sparse, density_after > 80 AS is_dense, returned_at FROM dbops.reindex_history();
SELECT indexrelid::regclass, indisvalid FROM pg_index WHERE indrelid = 'visits'::regclass ORDER BY indexrelid::regclass::text;
SELECT * FROM pg_temp.candidates;
SELECT count(*) FROM dbops.reindex_begun;

-- it may be, when it is said so
SELECT dbops.set_reindex_policy('visits', min_percent => 50, min_bytes => 40960, schedule => '0 3 1 1 *', unique_indexes => 'yes') IS NOT NULL AS set;
SELECT pg_temp.submit('2041-01-01 12:00') AS job \gset
CALL dbops.run_job(:job);
SELECT index_name, bytes_before > bytes_after AS smaller FROM dbops.reindex_history();
SELECT * FROM pg_temp.candidates;

-- as bloated again before min_interval is over
DELETE FROM visits WHERE id % 25 <> 0;
CALL pg_temp.be_alone();
VACUUM ANALYZE visits;
INSERT INTO visits SELECT i, i, 'x' FROM generate_series(20001, 40000) i;
DELETE FROM visits WHERE id > 20000 AND id % 25 <> 0;
CALL pg_temp.be_alone();
VACUUM ANALYZE visits;
SELECT index_name, regexp_replace(obstacle, '\d+ ms|\d+(\.\d+)? s', 'N s') AS obstacle FROM pg_temp.candidates;
SELECT pg_temp.submit('2042-01-01 12:00') AS job \gset
CALL dbops.run_job(:job);
SELECT index_name, returned_at IS NOT NULL AS returned FROM dbops.reindex_history();
-- after it is over it is rebuilt again; but not when it comes back a second time
UPDATE dbops.reindex_history SET rebuilt_at = rebuilt_at - interval '8 days';
SELECT pg_temp.submit('2043-01-01 12:00') AS job \gset
CALL dbops.run_job(:job);
SELECT index_name, returned_at IS NOT NULL AS returned FROM dbops.reindex_history();
INSERT INTO visits SELECT i, i, 'x' FROM generate_series(40001, 60000) i;
DELETE FROM visits WHERE id > 40000 AND id % 25 <> 0;
CALL pg_temp.be_alone();
VACUUM ANALYZE visits;
UPDATE dbops.reindex_history SET rebuilt_at = rebuilt_at - interval '8 days';
SELECT pg_temp.submit('2044-01-01 12:00') AS job \gset
CALL dbops.run_job(:job);
SELECT index_name, returned_at IS NOT NULL AS returned FROM dbops.reindex_history();
SELECT index_name, obstacle FROM pg_temp.candidates;
-- but for who asks for it by name
SELECT dbops.start_reindex('visits_v') AS job \gset
CALL dbops.wait_job(:job);
SELECT index_name, obstacle FROM pg_temp.candidates;

-- a window that is too short, a prepared transaction
INSERT INTO visits SELECT i, i, 'x' FROM generate_series(60001, 80000) i;
DELETE FROM visits WHERE id > 60000 AND id % 25 <> 0;
CALL pg_temp.be_alone();
VACUUM ANALYZE visits;
TRUNCATE dbops.reindex_history;
INSERT INTO dbops.reindex_history (index_name, table_name, job_id, rebuilt_at, duration, table_bytes, bytes_before, bytes_after)
    VALUES ('public.slow', 'public.slow_table', 0, '2020-01-01', 3600000, 3600, 1, 0);
SELECT dbops.set_reindex_policy('visits', min_percent => 50, min_bytes => 40960, unique_indexes => 'yes', time_window => '00:00-12:00;12:00-13:00', time_zone => 'UTC', schedule => '0 3 1 1 *') IS NOT NULL AS set;
SET dbops.test_now = 2240571300; -- 12:55
SELECT index_name, regexp_replace(obstacle, '[\d.]+ (days|h)', 'N \1') AS obstacle FROM pg_temp.candidates;
RESET dbops.test_now;
TRUNCATE dbops.reindex_history;
SELECT dbops.set_reindex_policy('visits', min_percent => 50, min_bytes => 40960, unique_indexes => 'yes', schedule => '0 3 1 1 *') IS NOT NULL AS set;
BEGIN;  -- which has only read it: the old index is not dropped before it ends
SELECT count(*) FROM visits WHERE id = -1;
PREPARE TRANSACTION 'regress reindex''s';
SELECT index_name, regexp_replace(obstacle, 'since .*', 'since T') AS obstacle FROM pg_temp.candidates;
ROLLBACK PREPARED 'regress reindex''s';
SELECT index_name, obstacle FROM pg_temp.candidates;
-- one that has nothing to do with it is none, however old
CREATE TABLE elsewhere (id int);
BEGIN;
INSERT INTO elsewhere VALUES (1);
PREPARE TRANSACTION 'regress reindex''s';
SELECT set_config('dbops.test_now', extract(epoch FROM now() + interval '1 hour')::text, false) IS NOT NULL AS later;
SELECT index_name, obstacle FROM pg_temp.candidates;
RESET dbops.test_now;
ROLLBACK PREPARED 'regress reindex''s';

-- where statements are known, a unique index waits for none that may fail
SELECT dbops.set_reindex_policy('visits', min_percent => 50, min_bytes => 40960, schedule => '0 3 1 1 *') IS NOT NULL AS set;
CREATE EXTENSION pg_stat_statements;
SELECT pg_stat_statements_reset() IS NOT NULL AS reset;
INSERT INTO visits VALUES (25) ON CONFLICT DO NOTHING;
SELECT index_name, obstacle FROM pg_temp.candidates WHERE index_name = 'visits_pkey'::regclass;
SELECT pg_stat_statements_reset() IS NOT NULL AS reset;
CREATE TABLE other_visits (id int PRIMARY KEY);
INSERT INTO other_visits VALUES (25) ON CONFLICT DO NOTHING;
SELECT index_name, obstacle FROM pg_temp.candidates WHERE index_name = 'visits_pkey'::regclass;
DROP EXTENSION pg_stat_statements;

-- the policy of the database leaves to a table what has its own, and takes what its role may maintain
SELECT dbops.remove_reindex_policy('visits');
SELECT dbops.set_reindex_policy(min_percent => 50, min_bytes => 40960, unique_indexes => 'no', schedule => '0 3 1 1 *') IS NOT NULL AS set;
SELECT index_name, obstacle FROM pg_temp.candidates;
CREATE TABLE parts (id int, v int) PARTITION BY RANGE (id);
CREATE TABLE part_1 PARTITION OF parts FOR VALUES FROM (0) TO (20000);
CREATE TABLE part_2 PARTITION OF parts FOR VALUES FROM (20000) TO (40000);
CREATE INDEX parts_v ON parts (v);
INSERT INTO parts SELECT i, i FROM generate_series(0, 39999) i;
DELETE FROM parts WHERE id % 5 <> 0;
CALL pg_temp.be_alone();
VACUUM ANALYZE parts;
SELECT dbops.set_reindex_policy('parts', min_percent => 50, min_bytes => 1000000000, schedule => '0 3 1 1 *') IS NOT NULL AS set;
SELECT ids[1] AS one, ids[2] AS other FROM (SELECT array_agg(id) AS ids FROM pg_temp.submit('2045-01-01 12:00') id) x \gset
CALL dbops.run_job(:one);
CALL dbops.run_job(:other);
SELECT index_name FROM dbops.reindex_history() ORDER BY 1;
SELECT dbops.start_reindex('parts_v') AS job \gset
CALL dbops.wait_job(:job);
SELECT index_name FROM dbops.reindex_history() ORDER BY 1;

-- a partition that is dropped before its turn is left out, and the others are rebuilt
CREATE TABLE part_3 PARTITION OF parts FOR VALUES FROM (40000) TO (60000);
BEGIN;
LOCK part_1 IN ACCESS EXCLUSIVE MODE;
PREPARE TRANSACTION 'regress reindex';
SELECT dbops.start_reindex('parts_v') AS job \gset
SELECT set_config('regress.job', :'job', false) AS job \gset
DO $$ BEGIN FOR i IN 1..3000 LOOP EXIT WHEN (SELECT position ? 'queue' FROM dbops.job_cursor WHERE job_id = current_setting('regress.job')::bigint); COMMIT; PERFORM pg_sleep(0.01); END LOOP; END $$;
DROP TABLE part_2;
ROLLBACK PREPARED 'regress reindex';
CALL dbops.wait_job(:job);
SELECT state, regexp_replace(message, ', .* won', ', N won') AS message FROM dbops.job WHERE id = :job;
SELECT outcome, message FROM dbops.maintenance_report() WHERE kind = 'reindex' AND object LIKE '%parts_v' AND outcome = 'skipped';

-- names that need quotes, and the index of a TOAST table
CREATE TABLE "a ""table""" (id int, big text);
CREATE INDEX "an ""index"" of it's" ON "a ""table""" (id);
SELECT dbops.start_reindex('"an ""index"" of it''s"') AS job \gset
CALL dbops.wait_job(:job);
SELECT reltoastrelid::regclass || '_index' AS toast FROM pg_class WHERE oid = '"a ""table"""'::regclass \gset
SELECT dbops.start_reindex(:'toast') AS job \gset
CALL dbops.wait_job(:job);
SELECT regexp_replace(index_name, '\d+', 'N') AS index_name, job_id = :job AS last FROM dbops.reindex_history() LIMIT 2;

-- leftovers of others are shown, and dropped when that is asked for
CREATE TABLE twice (id int);
INSERT INTO twice VALUES (1), (1);
CREATE UNIQUE INDEX CONCURRENTLY twice_id ON twice (id);
SELECT index_name, origin, at_work, job_id, remedy FROM dbops.leftover_indexes();
SELECT dbops.start_reindex('twice_id') AS job \gset
CALL dbops.wait_job(:job);
SELECT state, message FROM dbops.jobs() WHERE id = :job;
SELECT count(*) FROM dbops.leftover_indexes();
SELECT dbops.cancel_job(:job);
SELECT dbops.drop_leftover_index('twice_id') AS job \gset
CALL dbops.wait_job(:job);
SELECT count(*) FROM dbops.leftover_indexes();
SELECT object, action, outcome, message FROM dbops.maintenance_report() WHERE kind = 'reindex' AND action = 'drop leftover index';

-- what cannot be
CREATE TABLE ex (r int4range, EXCLUDE USING gist (r WITH &&));
CREATE TEMP TABLE passing (id int PRIMARY KEY);
CREATE VIEW seen AS SELECT 1 AS one;
SELECT dbops.start_reindex('ex_r_excl');
SELECT dbops.start_reindex('pg_class_oid_index');
SELECT dbops.start_reindex('visits');
SELECT dbops.start_reindex(1);
SELECT dbops.start_reindex(NULL);
SELECT dbops.drop_leftover_index('visits_v');
SELECT dbops.drop_leftover_index('parts_v');
SELECT dbops.drop_leftover_index(1);
SELECT dbops.set_reindex_policy('seen');
SELECT dbops.set_reindex_policy('passing');
SELECT dbops.set_reindex_policy('visits_v');
SELECT dbops.set_reindex_policy('visits', min_percent => 100);
SELECT dbops.set_reindex_policy('visits', min_bytes => -1);
SELECT dbops.set_reindex_policy('visits', min_interval => '-1 day');
SELECT dbops.set_reindex_policy('visits', unique_indexes => 'perhaps');
SELECT dbops.set_reindex_policy('visits', schedule => 'now and then');
SELECT dbops.remove_reindex_policy('visits');

SELECT dbops.remove_reindex_policy();
SELECT dbops.remove_reindex_policy('parts');

-- more than are chosen at once are left out, and those behind them have their turn
CREATE TABLE crowd (id int, v int);
DO $$
BEGIN
    FOR i IN 1 .. 101 LOOP
        EXECUTE format('CREATE UNIQUE INDEX crowd_%s ON crowd (id)', i);
    END LOOP;
END
$$;
CREATE INDEX crowd_last ON crowd (v);
INSERT INTO crowd SELECT i, i FROM generate_series(1, 1000) i;
DELETE FROM crowd WHERE id % 10 <> 0;
VACUUM ANALYZE crowd;
SELECT dbops.set_reindex_policy('crowd', min_percent => 30, min_bytes => 0, unique_indexes => 'no', schedule => '0 3 1 1 *') IS NOT NULL AS set;
SELECT pg_temp.submit('2047-01-01 12:00') AS job \gset
CALL dbops.run_job(:job);
SELECT regexp_replace(message, 'rebuilt, .* won', 'rebuilt, N won') AS message FROM dbops.job WHERE id = :job;
SELECT index_name FROM dbops.reindex_history() WHERE table_name LIKE '%crowd';
SELECT dbops.remove_reindex_policy('crowd');
SET client_min_messages = error;
TRUNCATE dbops.reindex_history, dbops.maintenance_log;
DROP SCHEMA reindex_policy CASCADE;
