-- Who may submit jobs, see them and act on them, and as whom they run.

-- Messages name ids: begin with one that no other test changes.
ALTER SEQUENCE dbops.job_id_seq RESTART WITH 2001;

CREATE ROLE regress_jobs_alice LOGIN;
CREATE ROLE regress_jobs_bob LOGIN;
CREATE ROLE regress_jobs_admin LOGIN;
CREATE ROLE regress_jobs_watcher LOGIN;
CREATE ROLE regress_jobs_nobody LOGIN;
SELECT dbops.grant_access('regress_jobs_alice', 'operator');
SELECT dbops.grant_access('regress_jobs_bob', 'operator');
SELECT dbops.grant_access('regress_jobs_admin', 'admin');
SELECT dbops.grant_access('regress_jobs_watcher', 'monitor');
CREATE TABLE regress_jobs_secret (i integer);

-- Without a grant nothing, with monitor no action, and never the tables.
SET ROLE regress_jobs_nobody;
SELECT dbops.enqueue('SELECT 1');
SELECT * FROM dbops.jobs();
SET ROLE regress_jobs_watcher;
SELECT dbops.enqueue('SELECT 1');
SELECT count(*) >= 0 AS sees FROM dbops.jobs();
SELECT * FROM dbops.job;
SELECT * FROM dbops.job_request;
SELECT * FROM dbops.job_cursor;
SET ROLE regress_jobs_alice;
SELECT * FROM dbops.job;
INSERT INTO dbops.job_request (job_id, requested_by, requested_at) VALUES (1, 'regress_jobs_alice', now());

-- A job runs as who submitted it, and cannot become anybody else.
SELECT dbops.enqueue('SELECT current_user, session_user') AS who \gset
CALL dbops.wait_job(:who);
SELECT dbops.job_status(:who) #> '{result,rows}' AS rows;
SELECT dbops.enqueue('SELECT * FROM regress_jobs_secret') AS denied \gset
CALL dbops.wait_job(:denied);
SELECT dbops.job_status(:denied) ->> 'message' AS message;
SELECT dbops.enqueue('RESET SESSION AUTHORIZATION; RESET ROLE; SELECT current_user, session_user') AS reset \gset
CALL dbops.wait_job(:reset);
SELECT dbops.job_status(:reset) #> '{result,rows}' AS rows;
SELECT dbops.enqueue('SET SESSION AUTHORIZATION regress_jobs_bob; SELECT 1') AS become \gset
CALL dbops.wait_job(:become);
SELECT dbops.job_status(:become) ->> 'message' AS message;

-- What it leaves in its session does not reach the record.
SELECT dbops.enqueue($$ SET search_path = pg_temp; CREATE TEMP TABLE job (id bigint); SELECT 1 $$) AS shadow \gset
CALL dbops.wait_job(:shadow);

-- Others' jobs: seen, but not their commands, and not acted on.
SELECT dbops.enqueue('SELECT ''secret''', run_after => 'infinity', name => 'of alice') AS job \gset
SET ROLE regress_jobs_bob;
SELECT name, state, owner, command FROM dbops.jobs() WHERE id = :job;
SELECT dbops.job_status(:job) -> 'command' AS command, dbops.job_status(:who) -> 'result' AS result;
SELECT dbops.cancel_job(:job);
SELECT dbops.pause_job(:job);
SELECT dbops.resume_job(:job);
SELECT dbops.tune_job(:job, priority => 1);
CALL dbops.run_job(:job);
-- The key of another's job is not one's own.
SELECT dbops.enqueue('SELECT 1', run_after => 'infinity', dedupe_key => 'k') AS bobs \gset
SET ROLE regress_jobs_alice;
SELECT dbops.enqueue('SELECT 1', run_after => 'infinity', dedupe_key => 'k') = :bobs AS same;

-- An admin acts on others' jobs, but does not become them.
SET ROLE regress_jobs_admin;
SELECT dbops.pause_job(:job);
SELECT dbops.resume_job(:job);
CALL dbops.run_job(:job);
SELECT dbops.cancel_job(:job);

-- A session that could take the role off again does not run its commands.
RESET ROLE;
SET SESSION AUTHORIZATION regress_jobs_alice;
SELECT dbops.enqueue('RESET SESSION AUTHORIZATION; CREATE TABLE regress_jobs_escape ()', run_after => 'infinity') AS escape \gset
CALL dbops.run_job(:escape);
RESET SESSION AUTHORIZATION;

-- Defaults of the role hold for its commands, not for what dbops writes.
ALTER ROLE regress_jobs_alice SET default_transaction_read_only = on;
ALTER ROLE regress_jobs_alice SET default_transaction_isolation = 'serializable';
SET ROLE regress_jobs_alice;
SELECT dbops.enqueue($$ SELECT current_setting('transaction_read_only') AS read_only, current_setting('transaction_isolation') AS isolation $$) AS defaults \gset
CALL dbops.wait_job(:defaults);
SELECT dbops.job_status(:defaults) #> '{result,rows}' AS rows;
SELECT dbops.enqueue('CREATE TABLE regress_jobs_read_only ()') AS refused \gset
CALL dbops.wait_job(:refused);
SELECT dbops.job_status(:refused) ->> 'message' AS message;
RESET ROLE;
CREATE SCHEMA regress_jobs_alice AUTHORIZATION regress_jobs_alice CREATE TABLE filled (i integer, v integer);
INSERT INTO regress_jobs_alice.filled SELECT generate_series(1, 1000);
ALTER TABLE regress_jobs_alice.filled OWNER TO regress_jobs_alice;
SELECT dbops.start_backfill('regress_jobs_alice.filled', 'v = i', 'v IS NULL') AS filled \gset
CALL dbops.wait_job(:filled);
SELECT count(v) FROM regress_jobs_alice.filled;
ALTER ROLE regress_jobs_alice RESET ALL;
DROP SCHEMA regress_jobs_alice CASCADE;

-- A member acts for the role.
RESET ROLE;
GRANT regress_jobs_alice TO regress_jobs_bob;
SET ROLE regress_jobs_bob;
SELECT dbops.cancel_job(id) FROM dbops.jobs() WHERE owner = 'regress_jobs_alice'::regrole AND state = 'queued';

RESET ROLE;
SELECT dbops.cancel_job(id) FROM dbops.jobs() WHERE state IN ('queued', 'blocked');
DROP TABLE regress_jobs_secret;
SELECT dbops.revoke_access(r) FROM unnest('{regress_jobs_alice,regress_jobs_bob,regress_jobs_admin,regress_jobs_watcher}'::regrole[]) r;
DROP ROLE regress_jobs_alice, regress_jobs_bob, regress_jobs_admin, regress_jobs_watcher, regress_jobs_nobody;
