-- Migrations whose statements cannot share a transaction: a job does them, and
-- the catalog says what is done. pg_regress: each job is waited for, so what is
-- shown is what came of it.
\set VERBOSITY terse
SET search_path = steps, public;
CREATE SCHEMA steps;

-- What stands together is one transaction; the rest runs at top level.
SELECT step, state, message, job_id AS job FROM dbops.apply_migration('1', $$
CREATE TABLE t (id int, v int, w int);
INSERT INTO t SELECT g, g FROM generate_series(1, 100) g;
CREATE INDEX CONCURRENTLY t_id ON t (id);
CALL dbops.batched_backfill('t', 'w = v', 'w IS NULL');
VACUUM t;
ALTER TABLE t ALTER w SET NOT NULL;
REINDEX TABLE CONCURRENTLY t;
CREATE UNIQUE INDEX CONCURRENTLY t_v ON t (v);
DROP INDEX CONCURRENTLY t_id
$$, down_sql => 'DROP INDEX CONCURRENTLY t_v; DROP TABLE t', verify_sql => 'SELECT count(*) = 100 FROM t WHERE w = v', project => 'steps') \gset
\echo :state
CALL dbops.wait_job(:job);
SELECT step, line, command, state, receipt ->> 'effect' AS effect, receipt -> 'locks' AS locks
  FROM dbops.migration_step WHERE project = 'steps' ORDER BY step;
SELECT kind, name, state, message FROM dbops.jobs() WHERE id = :job;
SELECT version, state, job_id = :job AS by_job FROM dbops.migration WHERE project = 'steps';
SELECT event, reason, details - 'job_id' - 'duration_ms' AS details FROM dbops.migration_event WHERE project = 'steps' ORDER BY id;
\d t

-- The way back is done in steps too.
SELECT step, state, job_id AS job FROM dbops.rollback_migration('1', 'steps', reason => 'no more use') \gset
\echo :state
CALL dbops.wait_job(:job);
SELECT state FROM dbops.migration WHERE project = 'steps';
SELECT event, reason FROM dbops.migration_event WHERE project = 'steps' ORDER BY id DESC LIMIT 1;
SELECT to_regclass('t') AS t;

-- A build that fails leaves the migration failed: later ones are refused, and it
-- goes on from there. What is done must stay as it was.
CREATE TABLE t (id int, v int);
INSERT INTO t VALUES (1, 1), (2, 1);
SELECT job_id AS job FROM dbops.apply_migration('2', $$ALTER TABLE t ADD w int;
CREATE UNIQUE INDEX CONCURRENTLY t_v ON t (v);
CREATE INDEX CONCURRENTLY t_w ON t (w)$$, project => 'steps') \gset
CALL dbops.wait_job(:job);
SELECT state, message FROM dbops.jobs() WHERE id = :job;
SELECT version, state FROM dbops.migration WHERE project = 'steps' AND version = '2';
SELECT details - 'job_id' AS details FROM dbops.migration_event WHERE project = 'steps' ORDER BY id DESC LIMIT 1;
SELECT * FROM dbops.apply_migration('3', 'SELECT 1', project => 'steps');
SELECT * FROM dbops.apply_migration('2', $$ALTER TABLE t ADD x int;
CREATE UNIQUE INDEX CONCURRENTLY t_v ON t (v)$$, project => 'steps');
SELECT indexrelid::regclass, indisvalid FROM pg_index WHERE indrelid = 't'::regclass;
DELETE FROM t WHERE id = 2;
SELECT job_id AS job FROM dbops.apply_migration('2', $$ALTER TABLE t ADD w int;
CREATE UNIQUE INDEX CONCURRENTLY t_v ON t (v);
CREATE INDEX CONCURRENTLY t_w ON t (w, id)$$, project => 'steps') \gset
CALL dbops.wait_job(:job);
SELECT version, state FROM dbops.migration WHERE project = 'steps' AND version = '2';
\d t

-- IF NOT EXISTS builds an invalid index again; without it the name is taken.
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 't_w'::regclass;
SELECT job_id AS job FROM dbops.apply_migration('3', 'CREATE INDEX CONCURRENTLY t_w ON t (w)', project => 'steps') \gset
CALL dbops.wait_job(:job);
SELECT details ->> 'sqlstate' AS sqlstate, details ->> 'message' AS message FROM dbops.migration_event ORDER BY id DESC LIMIT 1;
SELECT job_id AS job FROM dbops.apply_migration('3', 'CREATE INDEX CONCURRENTLY IF NOT EXISTS t_w ON t (w)', project => 'steps') \gset
CALL dbops.wait_job(:job);
SELECT pg_get_indexdef(indexrelid), indisvalid FROM pg_index WHERE indexrelid = 't_w'::regclass;

-- Verification that fails leaves it failed; nothing is done twice.
SELECT job_id AS job FROM dbops.apply_migration('4', 'INSERT INTO t VALUES (3, 3); DROP INDEX CONCURRENTLY t_w; INSERT INTO t VALUES (4, 4)',
	verify_sql => 'SELECT count(*) = 4 FROM t', project => 'steps') \gset
CALL dbops.wait_job(:job);
SELECT details ->> 'sqlstate' AS sqlstate, details ->> 'message' AS message FROM dbops.migration_event ORDER BY id DESC LIMIT 1;
INSERT INTO t VALUES (5, 5);
SELECT job_id AS job FROM dbops.apply_migration('4', 'INSERT INTO t VALUES (3, 3); DROP INDEX CONCURRENTLY t_w; INSERT INTO t VALUES (4, 4)',
	verify_sql => 'SELECT count(*) = 4 FROM t', project => 'steps') \gset
CALL dbops.wait_job(:job);
SELECT version, state FROM dbops.migration WHERE project = 'steps' AND version = '4';
SELECT id FROM t ORDER BY id;

-- What the text sets holds for the rest of it, in each of its transactions; the
-- text means what it meant here, and the job's session is not this one.
CREATE SCHEMA other;
CREATE ROLE regress_steps;
GRANT CREATE, USAGE ON SCHEMA other TO regress_steps;
SET DateStyle = 'SQL, DMY';
SELECT job_id AS job FROM dbops.apply_migration('5', $$SET ROLE regress_steps;
SET search_path = other;
SET statement_timeout = '1min';
CREATE TABLE t (id int, at date DEFAULT '02/01/2026');
CREATE INDEX CONCURRENTLY t_at ON t (at);
INSERT INTO t (id) VALUES (1);
VACUUM t;
CREATE TABLE settings AS SELECT current_user AS role, current_setting('search_path') AS path, current_setting('statement_timeout') AS timeout$$, project => 'steps') \gset
CALL dbops.wait_job(:job);
SELECT state, message FROM dbops.jobs() WHERE id = :job;
SET DateStyle = 'ISO, YMD';
SELECT * FROM other.t;
SELECT * FROM other.settings;
SELECT relname, pg_get_userbyid(relowner) AS owner FROM pg_class WHERE relnamespace = 'other'::regnamespace ORDER BY relname;

-- Each statement has the statement_timeout of the text, and the message says whose it was.
SELECT job_id AS job FROM dbops.apply_migration('5a', $$VACUUM other.t;
SET statement_timeout = '100ms';
SELECT pg_sleep(600)$$, project => 'steps') \gset
CALL dbops.wait_job(:job);
SELECT message FROM dbops.jobs() WHERE id = :job;
SELECT job_id AS job FROM dbops.apply_migration('5a', 'VACUUM other.t; SELECT 1', project => 'steps') \gset
CALL dbops.wait_job(:job);

-- Partitions are detached; a repeatable text is applied again.
CREATE TABLE p (id int) PARTITION BY LIST (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
SELECT job_id AS job FROM dbops.apply_migration('6', 'ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY', repeatable => true, project => 'steps') \gset
CALL dbops.wait_job(:job);
SELECT count(*) FROM pg_inherits WHERE inhparent = 'p'::regclass;
SELECT job_id AS job FROM dbops.apply_migration('6', 'DROP INDEX CONCURRENTLY IF EXISTS nothing; VACUUM p1', repeatable => true, project => 'steps') \gset
CALL dbops.wait_job(:job);
SELECT event FROM dbops.migration_event WHERE project = 'steps' AND version = '6' ORDER BY id;

-- A text in steps that asks something of its own project has failed at once: it would wait for itself.
SELECT job_id AS job FROM dbops.apply_migration('6a', 'VACUUM t; SELECT dbops.apply_migration(''6b'', ''SELECT 1'', project => ''steps'')', project => 'steps') \gset
CALL dbops.wait_job(:job);
SELECT state, message FROM dbops.jobs() WHERE id = :job;
SELECT job_id AS job FROM dbops.apply_migration('6a', 'VACUUM t; SELECT dbops.resolve_migration(''6a'', ''applied'', ''itself'', ''steps'')', project => 'steps') \gset
CALL dbops.wait_job(:job);
SELECT state, message FROM dbops.jobs() WHERE id = :job;
SELECT job_id AS job FROM dbops.apply_migration('6a', 'VACUUM t; SELECT state FROM dbops.apply_migration(''6b'', ''SELECT 1'', project => ''steps_other'')', project => 'steps') \gset
CALL dbops.wait_job(:job);
SELECT project, state FROM dbops.migration WHERE version IN ('6a', '6b') ORDER BY version;

-- In a transaction block the job begins at its commit; a later version is told to
-- wait for it. One that is cancelled has failed, and can be gone on with.
SELECT dbops.pause_jobs('for the test');
BEGIN;
SET LOCAL client_min_messages = warning;
SELECT state, job_id AS job FROM dbops.apply_migration('7', 'VACUUM t', project => 'steps') \gset
COMMIT;
DO $$ BEGIN PERFORM dbops.apply_migration('8', 'SELECT 1', project => 'steps');
EXCEPTION WHEN object_in_use THEN RAISE NOTICE '%', regexp_replace(SQLERRM, '[0-9]+', 'N'); END $$;
DO $$ BEGIN PERFORM dbops.rollback_migration('6', project => 'steps');
EXCEPTION WHEN object_in_use THEN RAISE NOTICE '%', regexp_replace(SQLERRM, '[0-9]+', 'N'); END $$;
SELECT dbops.cancel_job(:job);
SELECT version, state FROM dbops.migration WHERE project = 'steps' AND version = '7';
SELECT details - 'job_id' AS details FROM dbops.migration_event WHERE project = 'steps' ORDER BY id DESC LIMIT 1;
SELECT state, job_id AS job FROM dbops.apply_migration('7', 'VACUUM t', project => 'steps') \gset

-- Here and now, without a process in the background; the session stays as it is.
SET lock_timeout = '7s';
CALL dbops.run_job(:job);
SELECT version, state FROM dbops.migration WHERE project = 'steps' AND version = '7';
SELECT job_id AS job FROM dbops.apply_migration('9', 'SET search_path = other; SET work_mem = ''1MB''; DROP INDEX CONCURRENTLY t_at; DROP INDEX CONCURRENTLY nothing', project => 'steps') \gset
CALL dbops.run_job(:job);
SELECT version, state FROM dbops.migration WHERE project = 'steps' AND version = '9';
SHOW search_path;
SHOW lock_timeout;
SHOW work_mem;
SELECT job_id AS job FROM dbops.apply_migration('9', 'SET search_path = other; SET work_mem = ''1MB''; DROP INDEX CONCURRENTLY t_at; DROP INDEX CONCURRENTLY IF EXISTS nothing; CALL dbops.batched_backfill(''t'', ''id = 2'', ''id = 1'', sync => true)', project => 'steps') \gset
CALL dbops.run_job(:job);
SELECT version, state FROM dbops.migration WHERE project = 'steps' AND version = '9';
SELECT id FROM other.t;
SHOW search_path;

SELECT dbops.resume_jobs();
SET client_min_messages = warning;
DROP SCHEMA steps CASCADE;
DROP SCHEMA other CASCADE;
DROP ROLE regress_steps;
