-- Checks of pg_cron, without it: tables as it has them belong to an extension that
-- goes by its name until the transaction is rolled back. A table that only has the
-- name is not read.
\set VERBOSITY terse
CREATE FUNCTION pg_temp.look() RETURNS TABLE (check_name text, severity text, object text, message text, remedy text)
    LANGUAGE sql AS $$ SELECT f.check_name, f.severity, f.object, regexp_replace(f.message, 'failed .* ago', 'failed some time ago'), f.remedy
                         FROM dbops.health_checks() f WHERE f.check_name LIKE 'cron.%' ORDER BY f.key $$;

SELECT * FROM pg_temp.look();
CREATE SCHEMA cron;
CREATE TABLE cron.job (jobid bigint PRIMARY KEY, active boolean NOT NULL DEFAULT true);
CREATE TABLE cron.job_run_details (jobid bigint, runid bigint PRIMARY KEY, command text, status text, return_message text, start_time timestamptz, end_time timestamptz);
INSERT INTO cron.job VALUES (1, true), (2, true), (3, true), (4, false);
INSERT INTO cron.job_run_details
SELECT job, 100 * run + job, 'SELECT secret', status, 'secret', now() - interval '1 hour', now()
  FROM (VALUES (1, 1, 'failed'), (1, 2, 'succeeded'), (2, 1, 'succeeded'), (2, 2, 'failed'), (2, 3, 'running'), (4, 1, 'failed'), (9, 1, 'failed')) v(job, run, status);
SELECT * FROM pg_temp.look();

CREATE EXTENSION pg_stat_statements;
SET allow_system_table_mods = on;
BEGIN;
UPDATE pg_extension SET extname = 'pg_cron' WHERE extname = 'pg_stat_statements';
SELECT * FROM pg_temp.look();
ALTER EXTENSION pg_cron ADD TABLE cron.job;
ALTER EXTENSION pg_cron ADD TABLE cron.job_run_details;
SELECT * FROM pg_temp.look();
-- who may not read them sees the same, and no more
CREATE ROLE regress_monitor IN ROLE pg_monitor;
SET LOCAL ROLE regress_monitor;
SELECT * FROM pg_temp.look();
RESET ROLE;
-- many are named up to ten
INSERT INTO cron.job SELECT g FROM generate_series(101, 113) g;
INSERT INTO cron.job_run_details SELECT g, 10000 + g, '', 'failed', '', now(), now() - g * interval '1 s' FROM generate_series(101, 113) g;
SELECT count(*) AS findings, count(object) AS by_name, max(message) FILTER (WHERE object IS NULL) AS others FROM pg_temp.look() WHERE check_name = 'cron.failed';
UPDATE cron.job_run_details SET status = 'succeeded';
SELECT severity, message FROM pg_temp.look() WHERE check_name = 'cron.failed';
-- one that lacks what is read is unknown, and no error
ALTER TABLE cron.job_run_details RENAME runid TO run;
SELECT severity, message FROM pg_temp.look() WHERE check_name = 'cron.failed';
-- the size of the table
SELECT dbops.set_check('cron.history', warning => 0);
SELECT severity, message, remedy FROM pg_temp.look() WHERE check_name = 'cron.history';
ROLLBACK;
RESET allow_system_table_mods;
DROP EXTENSION pg_stat_statements;
DROP SCHEMA cron CASCADE;
