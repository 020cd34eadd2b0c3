-- Where projects stand, alone and against the versions of a folder.
\pset null ~
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE FUNCTION pg_temp.apply(project text, version text, down text DEFAULT NULL, repeatable boolean DEFAULT false) RETURNS text LANGUAGE sql AS $$
    SELECT state FROM dbops.apply_migration(version, 'SELECT 1', down, project => project, repeatable => repeatable) WHERE step IS NULL $$;

-- V2 comes after V10 although it is less; a repeatable one has no place in the order
SELECT pg_temp.apply('status', version, down, version = 'R_view')
  FROM (VALUES ('V1', 'SELECT 2'), ('V10', NULL), ('R_view', NULL), ('V2', NULL), ('V11', NULL)) v (version, down);
SELECT project, version, state, owner = current_user AS mine, origin, repeatable, reversible, note, remedy,
       applied_at <= now() AS in_the_past, job_id
  FROM dbops.migration_status('status');
SELECT version, state, note FROM dbops.migration_status('status');

-- against a folder: to come, to come late, lost; in order, each once
SELECT version, state, note, remedy FROM dbops.migration_status('status', '{V12,V1,V3,V10,V11,V3,R_view,V0009}');
SELECT version, state FROM dbops.migration_status('status', '{}');
SELECT count(*) FROM dbops.migration_status('status_nosuch', '{}');
SELECT project, version, state FROM dbops.migration_status('status_nosuch', '{B,A}');

-- what is there by a baseline; what was skipped, reverted or never heard of
SELECT dbops.baseline_migration('V5', project => 'status_based');
SELECT pg_temp.apply('status_based', 'V6'), pg_temp.apply('status_based', 'V7', 'SELECT 2');
SET dbops.environment = 'production';
SELECT state FROM dbops.apply_migration('V8', 'SELECT 1', project => 'status_based', environments => '{dev,staging}');
RESET dbops.environment;
SELECT state FROM dbops.rollback_migration('V7', 'status_based') WHERE step IS NULL;
SELECT version, state, note, remedy FROM dbops.migration_status('status_based', '{V1,V5,V5.1,V7,V8,V9}');

-- a job that failed, and one that went with a restore
INSERT INTO dbops.migration (project, version, state, owner, owner_oid, cluster, requires, environments, repeatable, origin, applied_at, job_id)
VALUES ('status_jobs', 'V1', 'failed', current_user, 0, 0, '{}', '{}', false, 'dbops', now(), 7),
       ('status_jobs', 'V2', 'running', current_user, 0, 0, '{}', '{}', false, 'dbops', now(), 900000000);
INSERT INTO dbops.migration_step (project, version, direction, step, line, command, state)
VALUES ('status_jobs', 'V1', 'up', 1, 1, 'CREATE TABLE', 'done'), ('status_jobs', 'V1', 'up', 2, 2, 'CREATE INDEX', 'pending'),
       ('status_jobs', 'V2', 'up', 1, 1, 'CREATE INDEX', 'pending');
SELECT version, state, job_id, note, remedy FROM dbops.migration_status('status_jobs');
\set VERBOSITY default
SELECT * FROM dbops.apply_migration('V3', 'SELECT 1', project => 'status_jobs');
\set VERBOSITY terse
SELECT dbops.resolve_migration('V2', 'applied', 'index was there', 'status_jobs');
SELECT version, state, note FROM dbops.migration_status('status_jobs');
SELECT dbops.resolve_migration('V1', 'reverted', 'by hand', 'status_jobs');

-- of all projects; without versions nothing is pending
SELECT project, version, state FROM dbops.migration_status() WHERE project IN ('status', 'status_based', 'status_jobs');

-- bad input
SELECT * FROM dbops.migration_status('status', '{V1,NULL}');
SELECT * FROM dbops.migration_status('status', '{V 1}');
