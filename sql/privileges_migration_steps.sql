-- As whom a migration in steps runs: as the role that has submitted it and as
-- nobody else, whoever runs the job.
\set VERBOSITY terse
CREATE ROLE regress_steps_alice LOGIN;
CREATE ROLE regress_steps_bob LOGIN;
CREATE ROLE regress_steps_watcher LOGIN;
SELECT dbops.grant_access('regress_steps_alice', 'operator');
SELECT dbops.grant_access('regress_steps_bob', 'operator');
SELECT dbops.grant_access('regress_steps_watcher', 'monitor');
CREATE SCHEMA steps;
GRANT CREATE, USAGE ON SCHEMA steps TO regress_steps_alice;
CREATE TABLE steps.secret (id int);
SET search_path = steps;

-- What monitor may do.
SET ROLE regress_steps_watcher;
SELECT dbops.apply_migration('1', 'VACUUM', project => 'alice');

-- The job is the submitter's: the session of its process is his own.
SET ROLE regress_steps_alice;
SELECT job_id AS job FROM dbops.apply_migration('1', $$CREATE TABLE t AS SELECT 1 AS id;
CREATE INDEX CONCURRENTLY t_id ON t (id);
CREATE TABLE who AS SELECT current_user AS me, session_user AS session$$, project => 'alice') \gset
CALL dbops.wait_job(:job);
SELECT owner FROM dbops.jobs() WHERE id = :job;
SELECT * FROM who;

-- What the server refuses to him, it refuses in steps too.
SELECT job_id AS job FROM dbops.apply_migration('2', 'CREATE INDEX CONCURRENTLY secret_id ON secret (id)', project => 'alice') \gset
CALL dbops.wait_job(:job);
SELECT message FROM dbops.jobs() WHERE id = :job;
SELECT job_id AS job FROM dbops.apply_migration('2', 'SET ROLE regress_steps_bob; VACUUM t', project => 'alice') \gset
CALL dbops.wait_job(:job);
SELECT message FROM dbops.jobs() WHERE id = :job;
CREATE FUNCTION leave() RETURNS text LANGUAGE sql BEGIN ATOMIC SELECT set_config('role', 'none', false); END;
SELECT job_id AS job FROM dbops.apply_migration('2', 'VACUUM t; SELECT leave()', project => 'alice') \gset
CALL dbops.wait_job(:job);
SELECT message FROM dbops.jobs() WHERE id = :job;
RESET ROLE;

-- Nobody else runs it: a session that has only taken the role on could leave it.
SELECT dbops.pause_jobs('for the test');
SET ROLE regress_steps_alice;
SELECT job_id AS job FROM dbops.apply_migration('2', 'VACUUM t', project => 'alice') \gset
\set VERBOSITY sqlstate
CALL dbops.run_job(:job);
SET ROLE regress_steps_bob;
CALL dbops.run_job(:job);
SELECT dbops.cancel_job(:job);
RESET ROLE;
CALL dbops.run_job(:job);
SELECT dbops.cancel_job(:job);
SELECT dbops.resume_jobs();

SET client_min_messages = warning;
DROP SCHEMA steps CASCADE;
SELECT dbops.revoke_access(r) FROM unnest('{regress_steps_alice,regress_steps_bob,regress_steps_watcher}'::regrole[]) r;
DROP ROLE regress_steps_alice, regress_steps_bob, regress_steps_watcher;
