-- Rolling back where statements must be alone: a job does it, and what has
-- become of it is told. (Crashes between steps are in test/t.)
\pset null ~
SET client_min_messages = warning;
CREATE TABLE migration_steps (x integer);
CREATE TEMP VIEW standing AS
    SELECT state, note, regexp_replace(remedy, 'wait_job\(\d+\)', 'wait_job(N)') AS remedy FROM dbops.migration_status('rollback_steps');
CREATE TEMP VIEW log AS
    SELECT event, reason, details - '{job_id,duration_ms}'::text[] AS details
      FROM dbops.migration_event WHERE project = 'rollback_steps' ORDER BY id;
\set up 'CREATE INDEX CONCURRENTLY migration_steps_x ON migration_steps (x);\nALTER TABLE migration_steps ADD y integer;'
\set down 'ALTER TABLE migration_steps DROP y;\nDROP INDEX CONCURRENTLY migration_steps_x;'
SELECT job_id FROM dbops.apply_migration('V1', :'up', :'down', project => 'rollback_steps') \gset
CALL dbops.wait_job(:job_id);

-- it begins when the transaction commits, and until it has ended nothing else is done
BEGIN;
SELECT state, job_id FROM dbops.rollback_migration(project => 'rollback_steps', reason => 'too many indexes') \gset
SELECT :'state' AS state;
SELECT * FROM standing;
SAVEPOINT s;
\set VERBOSITY sqlstate
SELECT * FROM dbops.rollback_migration(project => 'rollback_steps');
ROLLBACK TO s;
SELECT dbops.resolve_migration('V1', 'reverted', 'why', 'rollback_steps');
ROLLBACK TO s;
SELECT dbops.baseline_migration('V2', project => 'rollback_steps');
ROLLBACK TO s;
\set VERBOSITY default
COMMIT;
CALL dbops.wait_job(:job_id);
SELECT * FROM standing;
SELECT attname FROM pg_attribute WHERE attrelid = 'migration_steps'::regclass AND attnum > 0 AND NOT attisdropped;
SELECT to_regclass('migration_steps_x');
SELECT step, command, state FROM dbops.migration_step WHERE project = 'rollback_steps' AND direction = 'down' ORDER BY step;
SELECT * FROM log;

-- a way back that fails in the middle: it is not applied again, but gone on with
\set down 'DROP INDEX CONCURRENTLY migration_steps_x;\nALTER TABLE migration_steps DROP z;'
SELECT job_id FROM dbops.apply_migration('V1', :'up', :'down', project => 'rollback_steps') \gset
CALL dbops.wait_job(:job_id);
SELECT job_id FROM dbops.rollback_migration(project => 'rollback_steps') \gset
CALL dbops.wait_job(:job_id);
SELECT * FROM standing;
SELECT * FROM dbops.apply_migration('V1', :'up', :'down', project => 'rollback_steps');
ALTER TABLE migration_steps RENAME y TO z;
SELECT job_id FROM dbops.rollback_migration(project => 'rollback_steps') \gset
CALL dbops.wait_job(:job_id);
SELECT * FROM standing;

-- a job that was cancelled before it did anything leaves what was there: all of it, or a part
SELECT job_id FROM dbops.apply_migration('V1', :'up', :'down', project => 'rollback_steps') \gset
CALL dbops.wait_job(:job_id);
SELECT dbops.pause_jobs('the way back is not to begin');
SELECT job_id FROM dbops.rollback_migration(project => 'rollback_steps') \gset
SELECT dbops.cancel_job(:job_id);
SELECT * FROM standing;
SELECT dbops.resume_jobs();
SELECT dbops.resolve_migration('V1', 'reverted', 'for the next test', 'rollback_steps');
DROP INDEX migration_steps_x;
ALTER TABLE migration_steps DROP y;
SELECT job_id FROM dbops.apply_migration('V1', 'CREATE INDEX CONCURRENTLY migration_steps_x ON migration_steps (x); SELECT 1 / 0 FROM migration_steps HAVING true',
                                         'DROP INDEX CONCURRENTLY IF EXISTS migration_steps_x', project => 'rollback_steps') \gset
CALL dbops.wait_job(:job_id);
SELECT * FROM standing;
SELECT dbops.pause_jobs('the way back is not to begin');
SELECT job_id FROM dbops.rollback_migration(project => 'rollback_steps') \gset
SELECT dbops.cancel_job(:job_id);
SELECT * FROM standing;
SELECT dbops.resume_jobs();

-- what was done in part goes back too
SELECT job_id FROM dbops.rollback_migration(project => 'rollback_steps') \gset
CALL dbops.wait_job(:job_id);
SELECT * FROM standing;
SELECT to_regclass('migration_steps_x');

-- a job that is gone, as after a restore elsewhere, keeps nobody from taking back what it has done
SELECT job_id FROM dbops.apply_migration('V1', 'CREATE INDEX CONCURRENTLY migration_steps_x ON migration_steps (x); SELECT 1 / 0 FROM migration_steps HAVING true',
                                         'DROP INDEX CONCURRENTLY migration_steps_x', project => 'rollback_steps') \gset
CALL dbops.wait_job(:job_id);
UPDATE dbops.migration SET state = 'running', job_id = 900000000 WHERE project = 'rollback_steps';
SELECT * FROM standing;
SELECT job_id FROM dbops.rollback_migration(project => 'rollback_steps') \gset
CALL dbops.wait_job(:job_id);
SELECT * FROM standing;
SELECT to_regclass('migration_steps_x');
DROP TABLE migration_steps;
