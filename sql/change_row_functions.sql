-- Functions of whole rows that read a column which is changed or dropped.
CREATE SCHEMA rowf;
SET search_path = rowf, public;
ALTER SEQUENCE dbops.job_id_seq RESTART WITH 9401;
TRUNCATE dbops.column_change RESTART IDENTITY;
SET client_min_messages = warning;

CREATE TABLE rowf_t (id int PRIMARY KEY, a text, b int);
INSERT INTO rowf_t SELECT g, 'v' || g, g FROM generate_series(1, 100) g;
CREATE FUNCTION key_of(rowf_t) RETURNS text IMMUTABLE LANGUAGE sql AS $$SELECT $1.a$$;
CREATE FUNCTION holds(r rowf_t) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$BEGIN RETURN r . "a" IS NULL OR r.A <> ''; END$$;
CREATE FUNCTION other(rowf_t) RETURNS boolean IMMUTABLE LANGUAGE sql AS $$SELECT a.ab IS NOT NULL AND $1.b > 0 FROM (SELECT 1 AS ab) a$$;
CREATE FUNCTION unused(rowf_t) RETURNS text LANGUAGE sql AS $$SELECT $1.a$$;
CREATE INDEX rowf_key ON rowf_t (key_of(rowf_t));
CREATE VIEW keys AS SELECT key_of(t) FROM rowf_t t;
ALTER TABLE rowf_t ADD CHECK (holds(rowf_t)), ADD CHECK (other(rowf_t));
\set VERBOSITY default
CALL dbops.drop_column('rowf_t', 'a', dry_run => true);
CALL dbops.change_type('rowf_t', 'b', 'bigint', dry_run => true);
CALL dbops.rename_column('rowf_t', 'a', 'aa');
CALL dbops.finish_change(1);

-- They may read the new one as soon as it is there, and no session stays with what they were.
CREATE OR REPLACE FUNCTION key_of(rowf_t) RETURNS text IMMUTABLE LANGUAGE sql AS $$SELECT $1.aa$$;
CREATE OR REPLACE FUNCTION holds(r rowf_t) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$BEGIN RETURN r.aa <> ''; END$$;
INSERT INTO rowf_t VALUES (101, 'v101', 101);
CALL dbops.abort_change(1);
CALL dbops.finish_change(1);
INSERT INTO rowf_t (id, aa, b) VALUES (102, 'v102', 102);
UPDATE rowf_t SET b = b + 1 WHERE id = 101;
SELECT count(*) FROM keys;
SET enable_seqscan = off;
SELECT id FROM rowf_t t WHERE key_of(t) IN ('v101', 'v102') ORDER BY id;
RESET enable_seqscan;
SELECT reloptions FROM pg_class WHERE oid = 'rowf_key'::regclass;

-- When nothing reads it any more it goes, and in partitions as well.
CREATE OR REPLACE FUNCTION key_of(rowf_t) RETURNS text IMMUTABLE LANGUAGE sql AS $$SELECT $1.b::text$$;
CREATE OR REPLACE FUNCTION holds(r rowf_t) RETURNS boolean IMMUTABLE LANGUAGE sql AS $$SELECT true$$;
CALL dbops.drop_column('rowf_t', 'aa');
INSERT INTO rowf_t VALUES (103, 103);
CREATE TABLE rowf_p (k int, a text, b int) PARTITION BY LIST (k);
CREATE TABLE rowf_p1 PARTITION OF rowf_p FOR VALUES IN (1);
CREATE FUNCTION key_of(rowf_p1) RETURNS text IMMUTABLE LANGUAGE sql AS $$SELECT $1.a$$;
CREATE INDEX ON rowf_p1 (key_of(rowf_p1));
CALL dbops.drop_column('rowf_p', 'a');

-- A function of using_expression that is gone for a while: what is written then is found, and how to fill it told.
CREATE TABLE rowf_u (id int PRIMARY KEY, b int);
INSERT INTO rowf_u SELECT g, g FROM generate_series(1, 10) g;
CREATE FUNCTION doubled(int) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2::bigint';
CALL dbops.change_type('rowf_u', 'b', 'bigint', 'rowf.doubled(b)');
DROP FUNCTION doubled(int);
UPDATE rowf_u SET b = 700 WHERE id = 2;
CREATE FUNCTION doubled(int) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2::bigint';
CALL dbops.finish_change(2);
SELECT * FROM rowf.rowf_u WHERE dbops_new_b::pg_catalog.text IS DISTINCT FROM CAST((rowf.doubled(b)) AS bigint)::pg_catalog.text;
CALL dbops.batched_backfill('rowf.rowf_u', 'dbops_new_b = rowf.doubled(b)');
CALL dbops.finish_change(2);
SELECT b FROM rowf_u WHERE id = 2;

\set VERBOSITY terse
SET client_min_messages = error;
DROP SCHEMA rowf CASCADE;
TRUNCATE dbops.column_change RESTART IDENTITY;
