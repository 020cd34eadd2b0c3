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
SELECT dbops.tune_job(:job, settings => '{"batch_size": 1.5}');
SELECT dbops.tune_job(:job, settings => '{"workers": 1.5}');
SELECT dbops.tune_job(:job, settings => '{"batch_time": 0}');
SELECT dbops.tune_job(:job, settings => '{"batch_time": "fast"}');
SELECT dbops.tune_job(:job, settings => '{"yield": 1}');
SELECT dbops.tune_job(:job, settings => '{"max_wal_per_s": 1000}');
SELECT dbops.tune_job(:job, settings => '{"max_wal_per_s": -1}');
SELECT dbops.tune_job(:job, settings => '{"batch_time": 100, "max_wal_per_s": null, "pause": 0}');
CALL dbops.run_job(:job);
SELECT count(*) FROM regress_pace WHERE v = 0;
CALL dbops.batched_backfill('regress_pace', 'v = 1', max_wal_per_s => 5);

-- By a key a batch follows the time that it may take, too: one of 100 rows, then of 20 at most.
CREATE FUNCTION regress_slow(n integer) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.001); RETURN n + 1; END $$;
CREATE TABLE regress_pace_key (id integer PRIMARY KEY, n integer NOT NULL DEFAULT 0);
INSERT INTO regress_pace_key SELECT generate_series(1, 400);
SET dbops.backfill_batch_time = '20 ms';
CALL dbops.batched_backfill('regress_pace_key', 'n = regress_slow(n)', batch_size => 800);
RESET dbops.backfill_batch_time;
SELECT spec ->> 'method' AS method, (result ->> 'batches')::integer >= 16 AS batches, result -> 'rows' AS rows
  FROM dbops.job WHERE name = 'regress_pace_key' ORDER BY id DESC LIMIT 1;
-- as tune_job says, also as to how many rows it may have
BEGIN;
SELECT dbops.start_backfill('regress_pace_key', 'n = regress_slow(n)', batch_size => 800) AS job \gset
SELECT dbops.pause_job(:job);
COMMIT;
SELECT dbops.tune_job(:job, settings => '{"batch_time": 20}');
CALL dbops.run_job(:job);
SELECT (result ->> 'batches')::integer >= 16 AS batches, result -> 'rows' AS rows FROM dbops.job WHERE id = :job;
BEGIN;
SELECT dbops.start_backfill('regress_pace_key', 'n = n + 1', batch_size => 800) AS job \gset
SELECT dbops.pause_job(:job);
COMMIT;
SELECT dbops.tune_job(:job, settings => '{"batch_size": 10}');
CALL dbops.run_job(:job);
SELECT (result ->> 'batches')::integer >= 40 AS batches, result -> 'rows' AS rows FROM dbops.job WHERE id = :job;
SELECT n, count(*) FROM regress_pace_key GROUP BY n;

-- In block order a batch that takes too long is cut off, the first of a stretch of rows and one block too. A row
-- takes 2 ms at least, and a batch is cut off after 40 ms; two blocks have 300 rows.
CREATE FUNCTION regress_slow_again(n integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM pg_sleep(0.002); RETURN n + 1; END $$;
CREATE TABLE regress_pace_block (id integer, n integer);
INSERT INTO regress_pace_block SELECT i, CASE WHEN i <= 4520 THEN i + 1 END FROM generate_series(1, 4820) i;
VACUUM ANALYZE regress_pace_block;
SET dbops.backfill_batch_time = '20 ms';
CALL dbops.batched_backfill('regress_pace_block', 'n = regress_slow_again(id)', 'n IS NULL');
RESET dbops.backfill_batch_time;
SELECT max(rows) <= 50 AS short, sum(rows) AS rows
  FROM (SELECT count(*) FROM regress_pace_block WHERE id > 4520 GROUP BY xmin::text) b (rows);
SELECT count(*) FROM regress_pace_block WHERE n IS DISTINCT FROM id + 1;
-- one row that takes too long is waited for
DELETE FROM regress_pace_block WHERE id <> 4700;
UPDATE regress_pace_block SET n = NULL;
CREATE FUNCTION regress_stuck(n integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM pg_sleep(0.2); RETURN n; END $$;
SET dbops.backfill_batch_time = '20 ms';
CALL dbops.batched_backfill('regress_pace_block', 'n = regress_stuck(id - 4693)', 'n IS NULL');
RESET dbops.backfill_batch_time;
SELECT * FROM regress_pace_block;


-- Where rows take their time all along, a batch takes no longer than it may, well before it would be cut off. Each
-- row has a block of its own and takes 2 ms, and a batch may take 20.
CREATE TABLE regress_pace_wide (id integer, fill text, v text);
ALTER TABLE regress_pace_wide ALTER fill SET STORAGE PLAIN, ALTER v SET STORAGE EXTERNAL;
INSERT INTO regress_pace_wide SELECT i, repeat('x', 5000) FROM generate_series(1, 400) i;
VACUUM ANALYZE regress_pace_wide;
SET dbops.backfill_batch_time = '20 ms';
CALL dbops.batched_backfill('regress_pace_wide', 'v = regress_slow_again(id)', 'id <= 80', verify => false);
SELECT max(rows) <= 10 AS short, sum(rows) AS rows
  FROM (SELECT count(*) FROM regress_pace_wide WHERE v IS NOT NULL GROUP BY xmin::text) b (rows);
-- A batch that was cut off is made much smaller at once: so few are tried when, after many fast rows, four take 20 ms
-- each. A try looks at three at most.
CREATE SEQUENCE regress_pace_looks;
CREATE FUNCTION regress_look(n integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM nextval('regress_pace_looks'), pg_sleep(0.02); RETURN n; END $$;
CALL dbops.batched_backfill('regress_pace_wide', 'v = CASE WHEN id BETWEEN 351 AND 354 THEN regress_look(-id) ELSE -id END', 'id > 80', verify => false);
RESET dbops.backfill_batch_time;
SELECT count(*) FROM regress_pace_wide WHERE v = (-id)::text;
SELECT last_value BETWEEN 5 AND 40 AS few FROM regress_pace_looks;

-- The budget of WAL is of the workers that there are: one that has the table to itself, though two were asked for, has
-- all of it, which is six rows of these a second. A batch is one second's at most behind the first, which has four.
TRUNCATE regress_pace_wide;
INSERT INTO regress_pace_wide SELECT i, repeat('x', 5000) FROM generate_series(1, 9) i;
CALL dbops.batched_backfill('regress_pace_wide', 'v = repeat(''x'', 150000)', max_wal_per_s => 1048576, workers => 2, verify => false);
SELECT max(rows) > 4 AS whole, sum(rows) AS rows
  FROM (SELECT count(*) FROM regress_pace_wide GROUP BY xmin::text) b (rows);

-- A row that fails within a block that is done by parts, and code that takes the cutting off for a cancel of its own.
CREATE TABLE regress_pace_part (id integer, n integer, wide text);
INSERT INTO regress_pace_part SELECT i FROM generate_series(1, 150) i;
ANALYZE regress_pace_part;
CREATE FUNCTION regress_fails(n integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS
    $$ BEGIN PERFORM pg_sleep(0.002); IF n = 70 THEN RAISE 'not %', n; END IF; RETURN n; END $$;
CREATE FUNCTION regress_catches(n integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS
    $$ BEGIN PERFORM pg_sleep(0.002); RETURN n; EXCEPTION WHEN query_canceled THEN RETURN -1; END $$;
SET dbops.backfill_batch_time = '20 ms';
\set VERBOSITY terse
CALL dbops.batched_backfill('regress_pace_part', 'n = regress_fails(id)', 'n IS NULL', on_error => 'quarantine');
\set VERBOSITY default
CALL dbops.batched_backfill('regress_pace_part', 'n = regress_catches(id)', 'n IS NULL OR n > 0', verify => false);
SELECT count(*), count(*) FILTER (WHERE n = id) AS rightly FROM regress_pace_part;
CREATE FUNCTION regress_says_otherwise(n integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS
    $$ BEGIN PERFORM pg_sleep(0.002); RETURN -n; EXCEPTION WHEN query_canceled THEN RAISE 'stopped'; END $$;
CALL dbops.batched_backfill('regress_pace_part', 'n = regress_says_otherwise(id)', 'n > 0', verify => false);
SELECT count(*) FILTER (WHERE n = -id) AS rightly FROM regress_pace_part;
-- behind slow rows, blocks without any are done many at a time
TRUNCATE regress_pace_part;
ALTER TABLE regress_pace_part ALTER wide SET STORAGE PLAIN;
INSERT INTO regress_pace_part SELECT i, CASE WHEN i > 4 THEN i END, repeat('x', 1900) FROM generate_series(1, 4000) i;
ANALYZE regress_pace_part;
SELECT pg_current_xact_id()::text::bigint AS before \gset
CALL dbops.batched_backfill('regress_pace_part', 'n = regress_stuck(id)', 'n IS NULL', method => 'blocks', on_error => 'quarantine', verify => false);
RESET dbops.backfill_batch_time;
SELECT pg_current_xact_id()::text::bigint - :before < 300 AS transactions, count(*) FROM regress_pace_part WHERE n = id;

DROP TABLE regress_pace, regress_pace_key, regress_pace_block, regress_pace_wide, regress_pace_part;
DROP FUNCTION regress_slow, regress_slow_again, regress_stuck, regress_look, regress_fails, regress_catches, regress_says_otherwise;
DROP SEQUENCE regress_pace_looks;
