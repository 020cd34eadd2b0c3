-- apply_migration(): a text and its row in the ledger are one transaction, what
-- it says is read to its end first, and the session is what it was afterwards.
\pset null '~'

-- what it returns, and what the ledger keeps
SELECT version, direction, step, line, command, state, row_count, notices, message, job_id
  FROM dbops.apply_migration('001', $$
CREATE TABLE migration_apply (id integer PRIMARY KEY, v text);
INSERT INTO migration_apply SELECT i, 'x' FROM generate_series(1, 10) i;

DO 'BEGIN RAISE NOTICE ''hello''; END';
COMMENT ON TABLE migration_apply IS 'a table';
$$, 'DROP TABLE migration_apply', 'first', 'apply', reason => 'to see it work');
SELECT name, state, owner = current_user AS own, down_sql, requires, environments, repeatable, origin,
       checksum = sha256(convert_to(up_sql, 'UTF8')) AS checksum, job_id
  FROM dbops.migration WHERE project = 'apply';
SELECT direction, step, line, command, state, receipt -> 'rows' AS rows, receipt -> 'notices' AS notices
  FROM dbops.migration_step WHERE project = 'apply' ORDER BY step;
SELECT version, event, role_name = current_user AS own, session_role = session_user AS session,
       application_name, reason, details - 'duration_ms' AS details
  FROM dbops.migration_event WHERE project = 'apply' ORDER BY id;

-- all or nothing, be it for an error, for verify_sql or for the caller
SELECT state FROM dbops.apply_migration('002', $$
CREATE TABLE migration_second (id integer);
INSERT INTO migration_second
SELECT 1 / (id - 1) FROM migration_apply$$, project => 'apply');
SELECT state FROM dbops.apply_migration('002', 'CREATE TABLE migration_second (id integer)', project => 'apply',
    verify_sql => 'SELECT count(*) = 1 FROM migration_second');
SELECT state FROM dbops.apply_migration('002', 'CREATE TABLE migration_second (id integer)', project => 'apply',
    verify_sql => 'SELECT count(*) = 1 FROM migration_third');
BEGIN;
SELECT state FROM dbops.apply_migration('002', 'CREATE TABLE migration_second (id integer)', project => 'apply');
ROLLBACK;
SELECT to_regclass('migration_second'), count(*) FROM dbops.migration WHERE project = 'apply';
SELECT step, state FROM dbops.apply_migration('002', 'CREATE TABLE migration_second (id integer)', project => 'apply',
    verify_sql => 'SELECT count(*) = 0 FROM migration_second');

-- a mistake anywhere is found before anything is done
\set VERBOSITY terse
SELECT * FROM dbops.apply_migration('003', 'CREATE TABLE migration_third (id integer); SELEC 1', project => 'apply');
SELECT * FROM dbops.apply_migration('003', 'CREATE TABLE migration_third (id integer)', 'DROP TABLE', project => 'apply');
SELECT * FROM dbops.apply_migration('003', 'CREATE TABLE migration_third (id integer)', project => 'apply', verify_sql => 'SELECT FROM');
SELECT * FROM dbops.apply_migration('003', 'CREATE TABLE migration_third (id integer)', project => 'apply', verify_sql => 'SELECT true; SELECT true');
SELECT * FROM dbops.apply_migration('003', ' ', project => 'apply');
SELECT * FROM dbops.apply_migration(NULL, 'SELECT 1');
SELECT * FROM dbops.apply_migration('003', NULL);
SELECT * FROM dbops.apply_migration('003', 'SELECT 1', project => NULL);
SELECT * FROM dbops.apply_migration('', 'SELECT 1');
SELECT * FROM dbops.apply_migration('0 3', 'SELECT 1');
SELECT * FROM dbops.apply_migration('003;', 'SELECT 1');
SELECT * FROM dbops.apply_migration('ü', 'SELECT 1');
SELECT * FROM dbops.apply_migration(repeat('0', 201), 'SELECT 1');
SELECT * FROM dbops.apply_migration('003', 'SELECT 1', project => 'a/b');
SELECT * FROM dbops.apply_migration('003', 'SELECT 1', requires => '{001,NULL}');
SELECT * FROM dbops.apply_migration('003', 'SELECT 1', environments => '{"the staging"}');
SELECT * FROM dbops.apply_migration('003', 'SELECT 1', lock_timeout => '0');
SELECT * FROM dbops.apply_migration('003', 'SELECT 1', lock_timeout => NULL);
SELECT * FROM dbops.apply_migration('003', 'SELECT 1', max_wait => '-1 s');
SELECT * FROM dbops.apply_migration('003', 'SELECT 1', max_wait => '2 days');
SELECT to_regclass('migration_third'), count(*) FROM dbops.migration WHERE project = 'default' AND version = '003';

-- the session is what it was
SET search_path = pg_catalog, public;
SELECT state FROM dbops.apply_migration('004', $$
SELECT set_config('search_path', '', false);
SET lock_timeout = 0;
SET work_mem = '1234kB';
CREATE TABLE public.migration_pathless (id integer)$$, project => 'apply');
SHOW search_path;
SHOW lock_timeout;
SELECT current_setting('work_mem') = '1234kB' AS leaked;
RESET search_path;

-- in a transaction that cannot write, or that does not see what others have done since
BEGIN READ ONLY;
SELECT * FROM dbops.apply_migration('005', 'SELECT 1', project => 'apply');
ROLLBACK;
\set VERBOSITY default
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT * FROM dbops.apply_migration('005', 'SELECT 1', project => 'apply');
ROLLBACK;

-- a text may apply another migration, or the one that it is
SELECT command, state FROM dbops.apply_migration('006', $$
SELECT FROM dbops.apply_migration('006', 'SELECT 1; SELECT 2', project => 'apply')$$, project => 'apply');
SELECT command, state FROM dbops.apply_migration('006', $$
SELECT FROM dbops.apply_migration('007', 'CREATE TABLE migration_inner (id integer)', project => 'apply')$$, project => 'apply');
SELECT version, state FROM dbops.migration WHERE project = 'apply' ORDER BY position;

-- many statements, whose steps are written in lots
SELECT count(*), max(step) FROM dbops.apply_migration('many',
    (SELECT string_agg('INSERT INTO migration_apply VALUES (' || i || ')', '; ') FROM generate_series(1001, 1500) i), project => 'apply');
SELECT count(*), count(DISTINCT step), bool_and(state = 'done' AND finished_at IS NOT NULL)
  FROM dbops.migration_step WHERE project = 'apply' AND version = 'many';

-- a migration in steps whose job is not there any more, as in a database that was restored
INSERT INTO dbops.migration (project, version, state, owner, owner_oid, cluster, up_sql, requires, environments, repeatable, origin, applied_at, job_id)
VALUES ('apply_restored', '001', 'running', current_user, 0, 0, 'CREATE TABLE migration_restored (id integer)', '{}', '{}', false, 'dbops', now(), 0);
SELECT state FROM dbops.apply_migration('002', 'SELECT 1', project => 'apply_restored');
SELECT state, job_id > 0 AS job FROM dbops.apply_migration('001', 'CREATE TABLE migration_restored (id bigint)', project => 'apply_restored');
\set VERBOSITY sqlstate
SELECT state FROM dbops.apply_migration('002', 'SELECT 1', project => 'apply_restored');
\set VERBOSITY default
SELECT job_id FROM dbops.migration WHERE project = 'apply_restored' \gset
CALL dbops.wait_job(:job_id);
SELECT state FROM dbops.apply_migration('002', 'SELECT 1', project => 'apply_restored');
DROP TABLE migration_restored;

-- environments; the hint names the database
\set VERBOSITY terse
SELECT state FROM dbops.apply_migration('seed', 'INSERT INTO migration_second VALUES (1)', project => 'apply', environments => '{dev,staging}');
\set VERBOSITY default
SET dbops.environment = 'production';
SELECT state, message FROM dbops.apply_migration('seed', 'INSERT INTO migration_second VALUES (1)', project => 'apply', environments => '{dev,staging}');
SELECT state, message FROM dbops.apply_migration('seed', 'INSERT INTO migration_second VALUES (2)', project => 'apply', environments => '{dev,staging}');
SELECT state FROM dbops.apply_migration('seed-all', 'INSERT INTO migration_second VALUES (3)', project => 'apply', environments => NULL);
SELECT m.state, m.environments, (SELECT count(*) FROM dbops.migration_event e WHERE e.project = 'apply' AND e.version = 'seed') AS events
  FROM dbops.migration m WHERE m.project = 'apply' AND m.version = 'seed';
SET dbops.environment = 'staging';
SELECT step, state FROM dbops.apply_migration('seed', 'INSERT INTO migration_second VALUES (2)', project => 'apply', environments => '{dev,staging}');
RESET dbops.environment;
SELECT array_agg(id ORDER BY id) FROM migration_second;

DROP TABLE migration_apply, migration_second, migration_inner, migration_pathless;

-- a down text that was never run may not be SQL: it need not be given
SELECT state FROM dbops.apply_migration('no-down', 'SELECT 1', E'DROP TABLE a;\nDROP TABEL b', project => 'apply');
SELECT state FROM dbops.apply_migration('no-down', 'SELECT 1', NULL, project => 'apply');
