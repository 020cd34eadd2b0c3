-- What bounds the pace of a backfill: a budget of WAL, and what tune_job takes.
-- Times are asserted from below only, where the budget makes them certain.
ALTER SEQUENCE dbops.job_id_seq RESTART WITH 61001;

CREATE TABLE regress_pace (id integer, fill text, v integer);
ALTER TABLE regress_pace ALTER fill SET STORAGE PLAIN;
INSERT INTO regress_pace SELECT i, repeat('x', 1900) FROM generate_series(1, 1200) i;
ANALYZE regress_pace;
SET client_min_messages = warning;

-- 2.3 MB of new rows at 1 MB a second, in batches of a budget's second at most
BEGIN;
SELECT dbops.start_backfill('regress_pace', 'v = id', 'v IS NULL', max_wal_per_s => 1048576) AS job \gset
SELECT dbops.pause_job(:job);
COMMIT;
SELECT clock_timestamp() AS begin \gset
CALL dbops.run_job(:job);
SELECT clock_timestamp() - :'begin' > '1 s' AS waited;
SELECT (s #>> '{result,batches}')::int >= 3 AS batches, s #> '{result,rows}' AS rows FROM dbops.job_status(:job) s;

-- Nonsense is refused by what it is.
BEGIN;
SELECT dbops.start_backfill('regress_pace', 'v = 0') AS job \gset
SELECT dbops.pause_job(:job);
COMMIT;
SELECT dbops.tune_job(:job, settings => '{"speed": 9}');
SELECT dbops.tune_job(:job, settings => '{"batch_size": 1e30}');
SELECT dbops.tune_job(:job, settings => '{"batch_size": [1]}');
SELECT dbops.tune_job(:job, settings => '{"batch_time": 0}');
SELECT dbops.tune_job(:job, settings => '{"batch_time": "fast"}');
SELECT dbops.tune_job(:job, settings => '{"max_wal_per_s": 1000}');
SELECT dbops.tune_job(:job, settings => '{"max_wal_per_s": -1}');
SELECT dbops.tune_job(:job, settings => '{"batch_time": 100, "max_wal_per_s": null, "pause": 0}');
CALL dbops.run_job(:job);
SELECT count(*) FROM regress_pace WHERE v = 0;
CALL dbops.batched_backfill('regress_pace', 'v = 1', max_wal_per_s => 5);

DROP TABLE regress_pace;
