--
-- Backfills of tables with what PostgreSQL 18 brought: virtual generated columns,
-- which have no values of their own to be assigned, set aside or made right.
-- Older servers have another expected output, which ends here.
--
SELECT current_setting('server_version_num')::int < 180000 AS is_older \gset
\if :is_older
\quit
\endif
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE TABLE backfill_virtual (id integer PRIMARY KEY, n integer, place integer, twice integer GENERATED ALWAYS AS (n * 2) VIRTUAL);
INSERT INTO backfill_virtual SELECT i, i % 5 FROM generate_series(1, 100) i;
CALL dbops.batched_backfill('backfill_virtual', 'twice = 1');

-- It is read, also where rows fail by it and are set aside.
CALL dbops.batched_backfill('backfill_virtual', 'place = 60 / twice', 'place IS NULL', on_error => 'quarantine');
SELECT count(place), count(*) FILTER (WHERE place = 60 / nullif(twice, 0)) AS right_ones FROM backfill_virtual;
SELECT e.key, e.sqlstate FROM dbops.job j, dbops.backfill_errors(j.id) e WHERE j.name = 'backfill_virtual' ORDER BY j.id, e.key LIMIT 2;

-- A row that is written meanwhile is made right by the trigger.
UPDATE backfill_virtual SET n = id;
SELECT dbops.start_backfill('backfill_virtual', 'place = twice + 1', 'place IS DISTINCT FROM twice + 1', batch_size => 10, pause => '1 h', sync => true) AS job \gset
SELECT set_config('regress.job', :'job', false) = :'job' AS set;
DO $$ BEGIN FOR i IN 1..1000 LOOP EXIT WHEN (SELECT waiting FROM dbops.jobs() WHERE id = current_setting('regress.job')::bigint) = 'for its pause of 3600 s'; PERFORM pg_sleep(0.01); END LOOP; END $$;
INSERT INTO backfill_virtual VALUES (101, 50);
SELECT place, twice FROM backfill_virtual WHERE id = 101;
SELECT dbops.tune_job(:job, settings => '{"pause": 0, "batch_size": 10000}');
CALL dbops.wait_job(:job);
SELECT count(*) FROM backfill_virtual WHERE place = n * 2 + 1;
DROP TABLE backfill_virtual;
