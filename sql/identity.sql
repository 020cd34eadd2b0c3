-- Where jobs run: in the database that dbops was set up in, not in a copy; not
-- where dbops.enabled is off; and not with a library of another version. Copies
-- that take a restore or another server are in test/t/quarantine.pl.
\set VERBOSITY terse
SELECT current_database() AS home \gset

-- One row says which database this is.
SELECT i.system_identifier = s.system_identifier AS server, i.database_oid = d.oid AS database,
       i.timeline = c.timeline_id AS timeline, i.adopted_by = current_user AS adopted_by
  FROM dbops.instance i, pg_control_system() s, pg_control_checkpoint() c, pg_database d
 WHERE d.datname = current_database();
SELECT check_name, severity, message FROM dbops.health_checks() WHERE check_name LIKE 'jobs.%';

-- A copy by CREATE DATABASE has the jobs, and runs none.
CREATE DATABASE regress_identity;
\c regress_identity
CREATE EXTENSION dbops;
CREATE TABLE done (place name);
SELECT dbops.enqueue('INSERT INTO done SELECT current_database()', run_after => 'infinity') AS job \gset
CREATE VIEW why AS
SELECT id, state, regexp_replace(waiting, '\d{4,}', 'N', 'g') AS waiting FROM dbops.jobs() WHERE state = 'queued';
\c :home
CREATE DATABASE regress_identity_copy TEMPLATE regress_identity;
\c regress_identity_copy
SELECT dbops.enqueue('INSERT INTO done SELECT current_database()') AS job \gset
CALL dbops.wait_job(:job, '700ms');
SELECT * FROM why;
SELECT * FROM done;
SELECT check_name, severity, regexp_replace(message, '\d{4,}', 'N', 'g') AS message, remedy
  FROM dbops.health_checks() WHERE check_name LIKE 'jobs.%';
SELECT dbops.system_health_check() ->> 'status' AS status;
BEGIN READ ONLY;
SELECT count(*) FROM dbops.health_checks() WHERE check_name = 'jobs.quarantine' AND severity = 'critical';
SELECT dbops.adopt_database();
COMMIT;

-- What is rolled back has adopted nothing.
BEGIN;
SELECT dbops.adopt_database();
SELECT severity FROM dbops.health_checks() WHERE check_name = 'jobs.quarantine';
ROLLBACK;
SELECT severity FROM dbops.health_checks() WHERE check_name = 'jobs.quarantine';
SELECT dbops.adopt_database();
CALL dbops.wait_job(:job, '20s');
SELECT * FROM done;
SELECT severity, message FROM dbops.health_checks() WHERE check_name = 'jobs.quarantine';

-- As a restore leaves it: the row of the original beside that of the installation.
INSERT INTO dbops.instance SELECT system_identifier + 1, database_oid, timeline, adopted_at, 'gone' FROM dbops.instance;
SELECT dbops.enqueue('SELECT 1') AS job \gset
SELECT waiting FROM why WHERE id = :job;
SELECT dbops.adopt_database();
CALL dbops.wait_job(:job, '20s');
SELECT count(*) FROM dbops.instance;
-- restored into itself, nothing differs
INSERT INTO dbops.instance SELECT * FROM dbops.instance;
SELECT severity FROM dbops.health_checks() WHERE check_name = 'jobs.quarantine';
DELETE FROM dbops.instance;
SELECT severity, message FROM dbops.health_checks() WHERE check_name = 'jobs.quarantine';
SELECT dbops.adopt_database();

-- The switch, for one database: what runs is stopped, and goes on later.
SELECT dbops.enqueue('SELECT pg_sleep(600)') AS long \gset
DO $$
BEGIN
    FOR i IN 1 .. 200 LOOP
        EXIT WHEN EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND query = 'SELECT pg_sleep(600)');
        PERFORM pg_sleep(0.05), pg_stat_clear_snapshot();
    END LOOP;
END $$;
SELECT state FROM dbops.jobs() WHERE id = :long;
ALTER DATABASE regress_identity_copy SET dbops.enabled = off;
\c
DO $$
BEGIN
    FOR i IN 1 .. 200 LOOP
        EXIT WHEN NOT EXISTS (SELECT FROM dbops.jobs() WHERE state = 'running');
        PERFORM pg_sleep(0.05), pg_stat_clear_snapshot();
    END LOOP;
END $$;
SELECT state, waiting FROM dbops.jobs() WHERE id = :long;
SELECT dbops.enqueue('SELECT 1') AS job \gset
CALL dbops.wait_job(:job, '700ms');
SELECT waiting FROM why WHERE id = :job;
SELECT severity, message FROM dbops.health_checks() WHERE check_name = 'jobs.workers';
ALTER ROLE ALL IN DATABASE regress_identity_copy RESET dbops.enabled;
\c
CALL dbops.wait_job(:job, '20s');
DO $$
BEGIN
    FOR i IN 1 .. 200 LOOP
        EXIT WHEN EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND query = 'SELECT pg_sleep(600)');
        PERFORM pg_sleep(0.05), pg_stat_clear_snapshot();
    END LOOP;
END $$;
SELECT state FROM dbops.jobs() WHERE id = :long;
SELECT dbops.cancel_job(:long);

-- A library that does not fit what is installed: nothing runs, reports answer.
UPDATE pg_extension SET extversion = '0.9.12' WHERE extname = 'dbops';
SELECT dbops.enqueue('SELECT 1') AS job \gset
CALL dbops.wait_job(:job, '700ms');
SELECT waiting FROM why WHERE id = :job;
SELECT severity, message FROM dbops.health_checks() WHERE check_name = 'jobs.workers';
UPDATE pg_extension SET extversion = '1.0.10' WHERE extname = 'dbops';
SELECT waiting FROM why WHERE id = :job;
UPDATE pg_extension SET extversion = '1.0.0' WHERE extname = 'dbops';
SELECT dbops.adopt_database();
CALL dbops.wait_job(:job, '20s');

-- Jobs there do not keep a database from being copied, renamed or dropped.
SELECT dbops.enqueue('SELECT pg_sleep(600)') AS long \gset
\c :home
DROP DATABASE regress_identity_copy;
DROP DATABASE regress_identity;
