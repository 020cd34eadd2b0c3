-- How the statements of a text are run: one after the other with the settings
-- that the text makes, which are the session's no longer when it has ended.
CREATE SCHEMA regress_run;
SET search_path = regress_run, pg_catalog;
CREATE FUNCTION show_settings() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  RAISE NOTICE 'search_path %, lock_timeout %, work_mem %, x %', current_setting('search_path'),
    current_setting('lock_timeout'), current_setting('work_mem'), current_setting('regress.x', true);
END $$;

-- settings hold for the rest of the text
SELECT state FROM dbops.apply_migration('001', $text$
SELECT show_settings();
SET search_path = pg_catalog;
SET LOCAL work_mem = '77MB';
SELECT set_config('regress.x', 'y', false);
SELECT set_config('lock_timeout', '50ms', false);
SELECT regress_run.show_settings();
RESET work_mem;
SET lock_timeout = 0;
SELECT regress_run.show_settings();
SET LOCAL lock_timeout = '1h';
SELECT regress_run.show_settings();
RESET lock_timeout;
SELECT set_config('search_path', '', false);
SELECT regress_run.show_settings();
CREATE TABLE regress_run.t (a int)
$text$, project => 'run') WHERE step IS NULL;
SELECT show_settings();
-- also after an error
SELECT state FROM dbops.apply_migration('100', $text$
SET search_path = pg_catalog; SET work_mem = '77MB'; SELECT 1/0;
$text$, project => 'run');
SELECT show_settings();
-- and what the session has set in a transaction stays
BEGIN;
SET LOCAL work_mem = '5MB';
SELECT state FROM dbops.apply_migration('002', 'SET work_mem = ''6MB''; SET LOCAL search_path = pg_catalog; SELECT regress_run.show_settings()', project => 'run') WHERE step IS NULL;
SELECT show_settings();
COMMIT;
SELECT show_settings();

-- an error says where: statement, line, version, and the line itself
SELECT * FROM dbops.apply_migration('100', E'SELECT 1;\n\nALTER TABLE t\n  ADD COLUMN b int,\n  ADD COLUMN a int;', project => 'run');
SELECT * FROM dbops.apply_migration('100', E'SELECT 1;\n\nSELECT a,\n  missing\nFROM t;', project => 'run');
SELECT * FROM dbops.apply_migration('100', E'DO $$\nBEGIN\n  PERFORM missing;\nEND $$', project => 'run');
SELECT * FROM dbops.apply_migration('100', E'CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$\n  SELECT missing $$', project => 'run');
SELECT * FROM dbops.apply_migration('100', E'DO $$ BEGIN COMMIT; END $$', project => 'run');
CREATE PROCEDURE commits() LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$;
SELECT * FROM dbops.apply_migration('100', 'CALL commits()', project => 'run');
-- what a client would be sent is nobody's
SELECT step, command, row_count FROM dbops.apply_migration('003', $text$
SELECT i FROM generate_series(1, 3) i;
INSERT INTO t SELECT i FROM generate_series(1, 5) i RETURNING a;
UPDATE t SET a = a WHERE a < 3;
DELETE FROM t WHERE a = 5;
DECLARE c CURSOR FOR SELECT a FROM t ORDER BY a;
FETCH 2 FROM c;
CLOSE c;
EXPLAIN SELECT 1;
SHOW search_path;
TRUNCATE t;
CREATE TABLE u AS SELECT 1 AS a;
$text$, project => 'run') WHERE step IS NOT NULL;

-- statements see what those before them have done, whatever plans are cached
SELECT state FROM dbops.apply_migration('004', $text$
CREATE FUNCTION count_t() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM t';
INSERT INTO t VALUES (1);
DO $$ BEGIN ASSERT count_t() = 1; END $$;
ALTER TABLE t ADD COLUMN b int DEFAULT 7;
DO $$ BEGIN ASSERT (SELECT b FROM t) = 7; END $$;
ALTER TABLE t DROP COLUMN b;
$text$, project => 'run') WHERE step IS NULL;

-- a limit on the time of a statement is each statement's
SELECT state FROM dbops.apply_migration('100', $text$
SET statement_timeout = '200ms';
SELECT 1;
SELECT pg_sleep(100);
$text$, project => 'run');
SELECT state FROM dbops.apply_migration('005', $text$
SET statement_timeout = '10s';
SET statement_timeout = 0;
$text$, project => 'run') WHERE step IS NULL;
-- but that of the call goes on
BEGIN;
SET LOCAL statement_timeout = '100ms';
SELECT state FROM dbops.apply_migration('100', $text$
SET statement_timeout = '100s';
SELECT pg_sleep(100);
$text$, project => 'run');
ROLLBACK;

-- in a trial, what must be alone runs in its other form, and what has none is left out
SELECT step, command, state, message FROM dbops.check_migration($text$
CREATE INDEX CONCURRENTLY t_a ON t (a);
REINDEX INDEX CONCURRENTLY t_a;
REINDEX (CONCURRENTLY) TABLE t;
DROP INDEX CONCURRENTLY t_a;
CREATE TABLE p (a int) PARTITION BY LIST (a);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY;
VACUUM t;
CLUSTER;
REINDEX SCHEMA regress_run;
ALTER SYSTEM SET work_mem = '4MB';
CALL dbops.batched_backfill('t', 'a = 2');
$text$) WHERE step IS NOT NULL;

-- verify: only yes is yes
CREATE FUNCTION verified(verify_sql text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE detail text;
BEGIN
  RETURN (SELECT state FROM dbops.apply_migration('100', 'CREATE TABLE v AS SELECT 1 AS a', verify_sql => verify_sql, project => 'verify') WHERE step IS NULL);
EXCEPTION WHEN others THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
  RETURN concat_ws(' ', sqlstate, sqlerrm, detail);
END $$;
SELECT verified(sql) FROM unnest(ARRAY['SELECT false', 'SELECT NULL::bool', 'SELECT true WHERE false', 'VALUES (true), (true), (NULL)',
  'SELECT 1', 'SELECT true, true', 'SELECT 1/0 = 1', 'SELECT missing', 'SELECT true; SELECT true', 'DELETE FROM v RETURNING true',
  'SELECT true INTO w', '', 'CREATE INDEX CONCURRENTLY i ON v (a)']) AS sql;
SELECT to_regclass('v'), to_regclass('w');
SELECT * FROM dbops.apply_migration('100', 'SELECT 1', verify_sql => E'SELECT\n  count(*) = 7\nFROM t', project => 'verify');
SELECT * FROM dbops.apply_migration('100', 'SELECT 1', verify_sql => E'SELECT\n  missing\nFROM t', project => 'verify');
-- it sees what was done
SELECT verified('WITH x AS (SELECT a FROM v) SELECT a = 1 FROM x');

SET client_min_messages = warning;
DROP SCHEMA regress_run CASCADE;
