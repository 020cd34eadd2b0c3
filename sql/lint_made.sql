-- Domains and functions that a text makes, changes or drops, and what they make of
-- new columns and new types: held against what the server does, which is undone.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET track_counts = off;                         -- no table is busy, however new the server is
CREATE SCHEMA lnm;
SET search_path = lnm;
CREATE TABLE big (id int PRIMARY KEY, a int, b text);
INSERT INTO big SELECT g, g, g FROM generate_series(1, 100) g;
CREATE DOMAIN plain AS int;
CREATE DOMAIN positive AS int CONSTRAINT above CHECK (value > 0);
CREATE DOMAIN upon AS positive;
CREATE DOMAIN known AS int NOT NULL;
CREATE DOMAIN token AS uuid DEFAULT gen_random_uuid();
CREATE DOMAIN zero AS int DEFAULT 0;
CREATE FUNCTION said_stable() RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN RETURN 1; END';
CREATE FUNCTION said_volatile() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';

CREATE TABLE cases (n int GENERATED ALWAYS AS IDENTITY, sql text);
INSERT INTO cases (sql) VALUES
    -- domains of the catalog
    ('ALTER TABLE big ADD c token'), ('ALTER TABLE big ADD c token DEFAULT NULL'), ('ALTER TABLE big ADD c token DEFAULT ''00000000-0000-0000-0000-000000000000'''),
    ('ALTER TABLE big ADD c token[]'), ('ALTER TABLE big ADD c zero NOT NULL'), ('ALTER TABLE big ADD c plain NOT NULL'), ('ALTER TABLE big ADD c known'),
    ('ALTER TABLE big ADD c upon'),
    -- made by the text
    ('CREATE DOMAIN d AS int; ALTER TABLE big ADD c d'), ('CREATE DOMAIN d AS int CHECK (value > 0); ALTER TABLE big ADD c d'),
    ('CREATE DOMAIN d AS int NOT NULL; ALTER TABLE big ADD c d'), ('CREATE DOMAIN d AS upon; ALTER TABLE big ADD c d'),
    ('CREATE DOMAIN d AS int; CREATE DOMAIN e AS d CHECK (value > 0); CREATE DOMAIN f AS e; ALTER TABLE big ADD c f'),
    ('CREATE DOMAIN d AS uuid DEFAULT gen_random_uuid(); ALTER TABLE big ADD c d'), ('CREATE DOMAIN d AS token; ALTER TABLE big ADD c d'),
    ('CREATE DOMAIN d AS int DEFAULT 1; ALTER TABLE big ADD c d NOT NULL'), ('CREATE DOMAIN d AS int CHECK (value > 0); ALTER TABLE big ADD c d[]'),
    ('CREATE DOMAIN d AS int; ALTER TABLE big ALTER a TYPE d'), ('CREATE DOMAIN d AS int CHECK (value > 0); ALTER TABLE big ALTER a TYPE d'),
    ('CREATE DOMAIN d AS bigint; ALTER TABLE big ALTER a TYPE d'), ('CREATE DOMAIN d AS varchar; ALTER TABLE big ALTER b TYPE d'),
    -- changed by it
    ('ALTER DOMAIN plain ADD CHECK (value > 0); ALTER TABLE big ADD c plain'), ('ALTER DOMAIN plain ADD CHECK (value > 0) NOT VALID; ALTER TABLE big ADD c plain'),
    ('ALTER DOMAIN positive DROP CONSTRAINT above; ALTER TABLE big ADD c positive'), ('ALTER DOMAIN positive DROP CONSTRAINT above; ALTER TABLE big ADD c upon'),
    ('ALTER DOMAIN positive ADD CONSTRAINT below CHECK (value < 9); ALTER DOMAIN positive DROP CONSTRAINT above; ALTER TABLE big ADD c positive'),
    ('ALTER DOMAIN upon ADD CHECK (value < 9); ALTER DOMAIN upon DROP CONSTRAINT upon_check; ALTER TABLE big ADD c upon'),
    ('CREATE DOMAIN d AS int CHECK (value > 0); ALTER DOMAIN d DROP CONSTRAINT d_check; ALTER TABLE big ADD c d'),
    ('ALTER DOMAIN known DROP NOT NULL; ALTER TABLE big ADD c known'), ('ALTER DOMAIN plain SET NOT NULL; ALTER TABLE big ADD c plain'),
    ('ALTER DOMAIN zero SET DEFAULT random() * 9; ALTER TABLE big ADD c zero'), ('ALTER DOMAIN token DROP DEFAULT; ALTER TABLE big ADD c token'),
    ('ALTER DOMAIN positive RENAME TO other; ALTER TABLE big ADD c other'), ('ALTER DOMAIN plain RENAME TO other; ALTER TABLE big ALTER a TYPE other'),
    ('DROP DOMAIN upon; CREATE DOMAIN upon AS int; ALTER TABLE big ADD c upon'),
    ('BEGIN; SAVEPOINT s; CREATE DOMAIN d AS int CHECK (value > 0); ROLLBACK TO s; CREATE DOMAIN d AS int; ALTER TABLE big ADD c d; COMMIT'),
    -- functions
    ('CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS ''BEGIN RETURN 1; END''; ALTER TABLE big ADD c int DEFAULT f()'),
    ('CREATE FUNCTION f(int DEFAULT 1) RETURNS int LANGUAGE plpgsql STABLE AS ''BEGIN RETURN 1; END''; ALTER TABLE big ADD c int DEFAULT lnm.f()'),
    ('CREATE FUNCTION f(int) RETURNS int LANGUAGE plpgsql AS ''BEGIN RETURN 1; END''; ALTER TABLE big ADD c int DEFAULT 1 + f(2)'),
    ('CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql STABLE AS ''BEGIN RETURN 1; END''; ALTER FUNCTION f VOLATILE; ALTER TABLE big ADD c int DEFAULT f()'),
    ('ALTER FUNCTION said_stable() VOLATILE; ALTER TABLE big ADD c int DEFAULT said_stable()'), ('ALTER FUNCTION said_volatile STABLE; ALTER TABLE big ADD c int DEFAULT said_volatile()'),
    ('CREATE OR REPLACE FUNCTION said_volatile() RETURNS int LANGUAGE plpgsql STABLE AS ''BEGIN RETURN 1; END''; ALTER TABLE big ADD c int DEFAULT said_volatile()'),
    ('CREATE FUNCTION said_stable(int) RETURNS int LANGUAGE plpgsql AS ''BEGIN RETURN 1; END''; ALTER TABLE big ADD c int DEFAULT said_stable()');

-- Is the table written anew? What the server does, fails included.
CREATE FUNCTION is_written_anew(sql text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    before oid := pg_relation_filenode('lnm.big');
    answer text;
BEGIN
    BEGIN
        EXECUTE regexp_replace(sql, '^BEGIN;.* TO s;|; COMMIT$', '', 'g');   -- what is rolled back leaves nothing
        answer := CASE WHEN pg_relation_filenode('lnm.big') <> before THEN 'anew' ELSE 'as it is' END;
        RAISE EXCEPTION USING errcode = 'DB000';
    EXCEPTION WHEN sqlstate 'DB000' THEN
        RETURN answer;
    WHEN OTHERS THEN
        RETURN 'fails: ' || sqlerrm;
    END;
END $$;

-- What is said of it, by the rules of new columns and types alone.
CREATE FUNCTION said(sql text) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(rule, ', ' ORDER BY rule), 'nothing') FROM dbops.lint_sql(sql)
    WHERE rule IN ('column.volatile_default', 'column.default_unknown', 'column.checked_domain', 'column.not_null_without_default', 'column.type_changed') $$;
\pset format unaligned
\pset tuples_only on
SELECT c.sql || E'\n    ' || is_written_anew(c.sql) || ': ' || said(c.sql) FROM cases c ORDER BY c.n;

-- The reasons.
SELECT f.why, f.safer_sql FROM (VALUES (1, 'ALTER TABLE big ADD c token'), (2, 'CREATE DOMAIN d AS int CHECK (value > 0); ALTER TABLE big ALTER a TYPE d'), (3, 'ALTER TABLE big ALTER a TYPE nowhere'),
    (4, 'CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS ''''; ALTER TABLE big ADD c int DEFAULT f()')) c (n, sql), dbops.lint_sql(c.sql) f
WHERE f.rule LIKE 'column.%' ORDER BY c.n;
DROP SCHEMA lnm CASCADE;
