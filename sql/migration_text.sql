-- What a text may hold, and how it is divided: all of it is read before the
-- first statement runs, as psql and the server would read it.
CREATE SCHEMA regress_text;
SET search_path = regress_text, pg_catalog;

-- statements end where the server says, whatever looks like an end
SELECT step, line, command, row_count FROM dbops.apply_migration('001', $text$
-- a comment; with a semicolon
CREATE TABLE t (a int, b text DEFAULT ';');;
/* another; /* nested; */ one */ CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql
BEGIN ATOMIC
  SELECT CASE a WHEN 1 THEN 2 ELSE (SELECT CASE WHEN true THEN 3 END) END;
  SELECT a + 1;
END;
CREATE FUNCTION g() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  RETURN 'x;y';
END $$;
CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT 1; SELECT 2);
INSERT INTO t VALUES (1, 'it''s; '), (2, E'\';'), (3, $x$;$x$), (4, U&'d\0061t;'), (5, 'two '
  'lines;');
CREATE TABLE "a;b" (begin int, atomic int, "end" int);
SELECT begin atomic FROM "a;b";
SELECT CASE WHEN true THEN 1 END  -- no semicolon
$text$, project => 'text') WHERE step IS NOT NULL;
SELECT f(1), g();
SELECT * FROM t ORDER BY a;

-- psql's own lines say nothing to the server; a carriage return ends none
SELECT step, line, command FROM dbops.apply_migration('002', $text$\restrict it's"a$key
\set ON_ERROR_STOP on
	\set  ON_ERROR_ROLLBACK 1
\set QUIET
\set ECHO all
\set VERBOSITY verbose
\timing
\pset pager off
\x
\echo 'not closed
\qecho a
\warn b
SELECT 1;
\unrestrict it's"a$key$text$ || E'\r\nSELECT 2;\r\n\\timing off\r\n', project => 'text') WHERE step IS NOT NULL;
-- some editors put a mark before a text
SELECT step, line, command FROM dbops.apply_migration('003', U&'\FEFF' || 'SELECT 1', project => 'text') WHERE step IS NOT NULL AND getdatabaseencoding() = 'UTF8';

-- the outer pair is psql's way to say what is so anyway
SELECT step, line, command FROM dbops.apply_migration('004', 'BEGIN; SELECT 1; COMMIT;', project => 'text') WHERE step IS NOT NULL;
SELECT step, line, command FROM dbops.apply_migration('005', E'-- x\nSTART TRANSACTION;\nSELECT 1;\nEND WORK', project => 'text') WHERE step IS NOT NULL;

-- a mistake in the last statement, told with its line, and the first has not run
SELECT * FROM dbops.apply_migration('100', E'CREATE TABLE never (a int);\n\nSELECT 1,\n  nothing FROM WHERE;', project => 'text');
SELECT * FROM dbops.apply_migration('100', E'CREATE TABLE never (a int);\nSELECT ''not closed;\n', project => 'text');
SELECT * FROM dbops.apply_migration('100', E'CREATE TABLE never (a int);\nSELECT /* not closed;\n', project => 'text');
SELECT * FROM dbops.apply_migration('100', E'CREATE TABLE never (a int);\nSELECT (1;\nSELECT 2', project => 'text');
SELECT * FROM dbops.apply_migration('100', 'CREATE TABLE never (a int);' || repeat(' ', 1000) || 'SELEC ' || repeat('+ ', 500), project => 'text');
SELECT * FROM dbops.apply_migration('100', 'SELECT 1', E'DROP TABLE never;\nDROP nothing', project => 'text');
SELECT * FROM dbops.apply_migration('100', 'SELECT 1', verify_sql => 'SELECT FROM WHERE', project => 'text');

-- a migration that was withdrawn, or has nothing to take back, says so in a
-- comment; a text without even that is none
SELECT step, state FROM dbops.apply_migration('099', E'-- withdrawn\n', '/* nothing to take back */', project => 'comments');
SELECT step, state FROM dbops.rollback_migration('099', project => 'comments');
SELECT step, state FROM dbops.apply_migration('099', E' ;; -- nothing\n\\timing\n', 'BEGIN; COMMIT', project => 'comments');
SELECT step, state FROM dbops.rollback_migration('099', project => 'comments');
SELECT * FROM dbops.apply_migration('100', '', project => 'text');
-- a down file that is blank is none
SELECT step, state FROM dbops.apply_migration('100', 'SELECT 1', E' \n\t\r\n', project => 'comments');
SELECT * FROM dbops.rollback_migration('100', project => 'comments');

-- what a migration cannot do
CREATE FUNCTION refused(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE hint text;
BEGIN
  PERFORM dbops.apply_migration('100', E'CREATE TABLE never (a int);\n' || statement, project => 'text');
  RETURN 'applied';
EXCEPTION WHEN feature_not_supported THEN
  GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
  RETURN regexp_replace(sqlerrm, ' of up_sql cannot be( part of a migration)?', ' ...') || E'\n   ' || hint;
END $$;
\pset format unaligned
SELECT refused(statement) FROM unnest(ARRAY[
  'ROLLBACK', 'COMMIT', 'BEGIN', 'SAVEPOINT a', 'RELEASE a', 'PREPARE TRANSACTION ''x''', 'COMMIT AND CHAIN',
  'RESET ROLE', 'SET ROLE NONE', 'SET LOCAL ROLE TO DEFAULT', 'SET role = ''none''',
  'SET SESSION AUTHORIZATION postgres', 'RESET SESSION AUTHORIZATION', 'SET LOCAL SESSION AUTHORIZATION DEFAULT',
  'RESET ALL', 'DISCARD ALL', 'DISCARD TEMP', 'LISTEN a', 'UNLISTEN *', 'COPY t TO STDOUT', 'COPY (SELECT 1) TO STDOUT',
  'SET standard_conforming_strings = off', 'SET LOCAL backslash_quote = on', 'RESET standard_conforming_strings',
  'CREATE DATABASE a', 'DROP DATABASE a', 'CREATE TABLESPACE a LOCATION ''/a''', 'DROP TABLESPACE a',
  'CREATE SUBSCRIPTION a CONNECTION ''a'' PUBLICATION a', 'ALTER SUBSCRIPTION a DISABLE', 'DROP SUBSCRIPTION a',
  'CREATE INDEX CONCURRENTLY ON t (a)', 'PREPARE a AS SELECT 1', 'DEALLOCATE a', E'COPY t FROM stdin; COPY t FROM stdin;\n1\n\\.',
  '\i other.sql', '\connect elsewhere', '\set name value', '\gexec', '\.', '\', '  \copy t FROM ''x''',
  E'SELECT 1 \\g\n', E'SELECT 1\n\\gset', '/* */ \timing', '\timingx']) AS statement;
\pset format aligned
-- BEGIN and COMMIT anywhere else
SELECT * FROM dbops.apply_migration('100', 'BEGIN; CREATE TABLE never (a int)', project => 'text');
SELECT * FROM dbops.apply_migration('100', 'BEGIN; CREATE TABLE never (a int); COMMIT; SELECT 1', project => 'text');
SELECT * FROM dbops.apply_migration('100', 'BEGIN ISOLATION LEVEL SERIALIZABLE; CREATE TABLE never (a int); COMMIT', project => 'text');
SELECT * FROM dbops.apply_migration('100', 'BEGIN; CREATE INDEX CONCURRENTLY i ON t (a); COMMIT', project => 'text');
SELECT to_regclass('never');
-- what it was read with may be set to what it is
SELECT step, command FROM dbops.apply_migration('006', 'SET standard_conforming_strings = true; SET backslash_quote = safe_encoding;', project => 'text') WHERE step IS NOT NULL;
SET standard_conforming_strings = off;
SELECT step, line, command FROM dbops.apply_migration('007', $$SELECT '\';', 1;$$, project => 'text') WHERE step IS NOT NULL;
RESET standard_conforming_strings;

-- what the server warns of is said once
SELECT command FROM dbops.apply_migration('008', 'CREATE TABLE ' || repeat('x', 70) || ' (a int)', project => 'text') WHERE step IS NOT NULL;

SELECT version, state FROM dbops.migration_status('text') ORDER BY version;
SET client_min_messages = warning;
DROP SCHEMA regress_text CASCADE;
