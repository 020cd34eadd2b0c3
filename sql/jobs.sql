-- Jobs: what is submitted, how it ends, and what is asked of it. Jobs that must
-- stay in the queue are for a time that never comes; jobs that the background
-- runs are waited for. Who may do what stands in privileges_jobs.

-- Messages name ids: begin with one that no other test changes.
ALTER SEQUENCE dbops.job_id_seq RESTART WITH 1001;

CREATE TABLE regress_jobs (i integer PRIMARY KEY, note text);

-- One statement, run in the background; its rows are kept.
SELECT dbops.enqueue('SELECT i, i * 2 AS twice FROM generate_series(1, 3) i', name => 'numbers') AS numbers \gset
CALL dbops.wait_job(:numbers);
SELECT s ->> 'state' AS state, s ->> 'name' AS name, s -> 'attempts' AS attempts, s -> 'result' AS result
  FROM dbops.job_status(:numbers) s;

-- Statements that no transaction block takes.
SELECT dbops.enqueue('VACUUM regress_jobs') AS vacuum \gset
CALL dbops.wait_job(:vacuum);
SELECT dbops.enqueue('CREATE INDEX CONCURRENTLY regress_jobs_note ON regress_jobs (note)') AS build \gset
CALL dbops.wait_job(:build);
SELECT dbops.enqueue('REINDEX INDEX CONCURRENTLY regress_jobs_note') AS rebuild \gset
CALL dbops.wait_job(:rebuild);
SELECT indisvalid FROM pg_index WHERE indexrelid = 'regress_jobs_note'::regclass;
CREATE PROCEDURE regress_commits() LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO regress_jobs VALUES (100, 'first'); COMMIT;
    INSERT INTO regress_jobs VALUES (101, 'second'); COMMIT;
END $$;
SELECT dbops.enqueue('CALL regress_commits()') AS procedure \gset
CALL dbops.wait_job(:procedure);
SELECT * FROM regress_jobs ORDER BY i;

-- Several share one transaction: all or nothing.
SELECT dbops.enqueue($$ INSERT INTO regress_jobs VALUES (1, 'a'); UPDATE regress_jobs SET note = 'b' WHERE i = 1 $$) AS several \gset
CALL dbops.wait_job(:several);
SELECT dbops.job_status(:several) -> 'result' AS result;
SELECT dbops.enqueue($$ INSERT INTO regress_jobs VALUES (2, 'a'); SELECT 1 / 0 $$) AS half \gset
CALL dbops.wait_job(:half);
SELECT state, message FROM dbops.jobs() WHERE id = :half;
SELECT * FROM regress_jobs WHERE i < 100 ORDER BY i;

-- It means what it means on the path of the submission.
CREATE SCHEMA regress_jobs_path;
CREATE TABLE regress_jobs_path.only_here (i integer);
SET search_path = regress_jobs_path, public;
SELECT dbops.enqueue('INSERT INTO only_here VALUES (1)') AS path \gset
RESET search_path;
CALL dbops.wait_job(:path);
SELECT * FROM regress_jobs_path.only_here;

-- A read-only transaction, and one of a stricter level, are recorded like others.
SELECT dbops.enqueue('SET TRANSACTION READ ONLY; SELECT 1') AS reads \gset
CALL dbops.wait_job(:reads);
SELECT dbops.enqueue('SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; SELECT 1') AS strict \gset
CALL dbops.wait_job(:strict);

-- How errors end: at once, waiting for a human, or with another attempt.
SELECT dbops.enqueue('SELECT 1 / 0') AS zero \gset
CALL dbops.wait_job(:zero);
SELECT dbops.enqueue('SELECT * FROM regress_jobs_not_there') AS missing \gset
CALL dbops.wait_job(:missing);
SELECT dbops.enqueue('SELECT pg_sleep(60)', timeout => '100 ms', max_attempts => 2, backoff => '1 ms') AS slow \gset
CALL dbops.wait_job(:slow);
SELECT dbops.enqueue($$ DO 'BEGIN RAISE serialization_failure; END' $$, max_attempts => 3, backoff => '1 ms') AS conflict \gset
CALL dbops.wait_job(:conflict);
SELECT name, state, attempts, message, waiting FROM dbops.jobs() WHERE id IN (:zero, :missing, :slow, :conflict) ORDER BY id;
SELECT dbops.job_status(:slow) ->> 'sqlstate' AS slow, dbops.job_status(:missing) ->> 'sqlstate' AS missing;

-- What a human has mended goes on.
CREATE TABLE regress_jobs_not_there (i integer);
SELECT dbops.resume_job(:missing);
CALL dbops.wait_job(:missing);
DROP TABLE regress_jobs_not_there;

-- No more of a result is kept than was asked for.
SET dbops.job_result_rows = 2;
SELECT dbops.enqueue('SELECT i FROM generate_series(1, 5) i', run_after => 'infinity') AS many \gset
CALL dbops.run_job(:many);
SELECT dbops.job_status(:many) -> 'result' AS result;
RESET dbops.job_result_rows;
SELECT dbops.enqueue($$ SELECT repeat('x', 40000) FROM generate_series(1, 5) $$) AS wide \gset
CALL dbops.wait_job(:wide);
SELECT r -> 'row_count' AS row_count, jsonb_array_length(r -> 'rows') AS kept FROM (SELECT dbops.job_status(:wide) -> 'result') _ (r);

-- What is kept of a result never fails the job.
SELECT dbops.enqueue($$ INSERT INTO regress_jobs VALUES (7, 'kept') RETURNING '{"a": "\u0000"}'::json $$) AS null_byte \gset
CALL dbops.wait_job(:null_byte);
SELECT dbops.job_status(:null_byte) -> 'result' AS result, (SELECT note FROM regress_jobs WHERE i = 7);
SELECT dbops.enqueue($$ SELECT repeat('x', 3000000) $$) AS wide \gset
CALL dbops.wait_job(:wide);
SELECT dbops.job_status(:wide) -> 'result' AS result;

-- The timeout also covers what runs at COMMIT.
CREATE FUNCTION regress_sleeps() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER sleeps AFTER DELETE ON regress_jobs DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION regress_sleeps();
SELECT dbops.enqueue('DELETE FROM regress_jobs WHERE i = 7', timeout => '200 ms', max_attempts => 1) AS deferred \gset
CALL dbops.wait_job(:deferred);
SELECT state, message, (SELECT count(*) FROM regress_jobs WHERE i = 7) AS still_there FROM dbops.jobs() WHERE id = :deferred;
DROP TRIGGER sleeps ON regress_jobs;
DROP FUNCTION regress_sleeps();

-- A temporary schema of the submitting session is none of the job's.
CREATE TEMP TABLE regress_jobs_temp ();
SET search_path = pg_temp, public;
SELECT dbops.enqueue('SHOW search_path') AS path \gset
RESET search_path;
CALL dbops.wait_job(:path);
SELECT dbops.job_status(:path) #> '{result,rows}' AS rows;

-- In the foreground a job runs at once, whatever it waits for.
SELECT dbops.enqueue('SELECT current_setting(''search_path'') AS path', run_after => 'infinity') AS later \gset
SELECT state, waiting FROM dbops.jobs() WHERE id = :later;
SET search_path = pg_temp, public;
CALL dbops.run_job(:later);
SHOW search_path;
RESET search_path;
SELECT state, waiting FROM dbops.jobs() WHERE id = :later;
SELECT dbops.job_status(:later) #> '{result,rows}' AS rows;
CALL dbops.run_job(:later);
SELECT dbops.enqueue('VACUUM regress_jobs', run_after => 'infinity') AS later \gset
CALL dbops.run_job(:later);
SELECT dbops.job_status(:later) -> 'result' AS result;
SELECT dbops.enqueue('CALL regress_commits()', run_after => 'infinity') AS later \gset
CALL dbops.run_job(:later);
SELECT state, message FROM dbops.jobs() WHERE id = :later;
SELECT dbops.enqueue('SELECT 1 / 0', run_after => 'infinity') AS later \gset
CALL dbops.run_job(:later);
SELECT state, message FROM dbops.jobs() WHERE id = :later;
BEGIN;
CALL dbops.run_job(:later);
ROLLBACK;
BEGIN;
CALL dbops.wait_job(:later);
ROLLBACK;

-- Pause, resume, tune, cancel, while no process has it.
SELECT dbops.enqueue('SELECT 1', run_after => 'infinity', name => 'steered') AS steered \gset
SELECT dbops.pause_job(:steered);
SELECT state, waiting FROM dbops.jobs() WHERE id = :steered;
SELECT dbops.pause_job(:steered);
SELECT dbops.resume_job(:steered);
SELECT dbops.tune_job(:steered, priority => 7, timeout => '5 min');
SELECT s -> 'priority' AS priority, s ->> 'state' AS state FROM dbops.job_status(:steered) s;
SELECT dbops.tune_job(:steered, settings => '{"batch_size": 1}');
SELECT dbops.cancel_job(:steered);
SELECT dbops.cancel_job(:steered);
SELECT dbops.resume_job(:steered);
SELECT dbops.tune_job(:steered, priority => 1);

-- And while one has it.
SELECT dbops.enqueue('SELECT pg_sleep(600)') AS running \gset
DO $$ BEGIN
    WHILE NOT EXISTS (SELECT FROM dbops.jobs() WHERE state = 'running' AND command = 'SELECT pg_sleep(600)') LOOP
        PERFORM pg_sleep(0.01);
    END LOOP;
END $$;
SELECT dbops.pause_job(:running);
SELECT dbops.cancel_job(:running);
CALL dbops.wait_job(:running);

-- A cancel that is rolled back was none.
SELECT pg_advisory_lock(1001);
SELECT dbops.enqueue('SELECT pg_advisory_xact_lock(1001)') AS running \gset
BEGIN;
SELECT dbops.cancel_job(:running) IS NOT NULL AS asked;
ROLLBACK;
SELECT pg_advisory_unlock(1001);
CALL dbops.wait_job(:running);

-- One job for one key, as long as it lives.
SELECT dbops.enqueue('SELECT 1', run_after => 'infinity', dedupe_key => 'k') AS first \gset
SELECT dbops.enqueue('SELECT 2', run_after => 'infinity', dedupe_key => 'k') = :first AS same;
SELECT dbops.cancel_job(:first);
SELECT dbops.enqueue('SELECT 2', run_after => 'infinity', dedupe_key => 'k') = :first AS same;

-- Nothing is submitted by a transaction that rolls back.
BEGIN;
SELECT dbops.enqueue('SELECT 3') AS gone \gset
ROLLBACK;
SELECT dbops.job_status(:gone);

-- Waiting has an end.
SELECT dbops.enqueue('SELECT 1', run_after => 'infinity') AS never \gset
CALL dbops.wait_job(:never, '10 ms');
CALL dbops.wait_job(-1);

SELECT dbops.cancel_job(id) FROM dbops.jobs() WHERE state IN ('queued', 'blocked');
DROP SCHEMA regress_jobs_path CASCADE;
DROP PROCEDURE regress_commits;
DROP TABLE regress_jobs;
