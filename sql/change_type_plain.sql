-- change_type(): done at once only where no row of the table or of a partition has to be looked at.
\set VERBOSITY terse
SET dbops.progress_interval = 0;
TRUNCATE dbops.column_change RESTART IDENTITY;
CREATE SCHEMA plain;
SET search_path = plain;
CREATE TABLE p (id int, k int, v varchar(10), w varchar(10), x varchar(10), y varchar(10), z varchar(10)) PARTITION BY RANGE (k);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (id);
CREATE TABLE p21 PARTITION OF p2 FOR VALUES FROM (0) TO (100);
INSERT INTO p SELECT g, g, 'v', 'w', 'x', 'y', 'z' FROM generate_series(0, 19) g;
CREATE INDEX ON p21 (lower(v));
ALTER TABLE p1 ADD CHECK (w <> 'bad');
CREATE INDEX ON p1 (x varchar_pattern_ops);
CREATE INDEX ON p (y);
CREATE INDEX z1 ON p1 (z);
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'z1'::regclass;
CREATE TABLE files AS SELECT oid, pg_relation_filenode(oid) AS file FROM pg_class WHERE relnamespace = 'plain'::regnamespace AND relkind IN ('r', 'i');
\set VERBOSITY default
CALL dbops.change_type('p', 'y', 'varchar(20)', dry_run => true);
\set VERBOSITY terse
CALL dbops.change_type('p', 'y', 'varchar(20)');
CALL dbops.change_type('p', 'y', 'text');
SELECT count(*) AS "written anew" FROM files WHERE file <> pg_relation_filenode(oid);
-- These need a column of their own.
SET client_min_messages = warning;
CALL dbops.change_type('p', 'v', 'text');
CALL dbops.change_type('p', 'w', 'text');
CALL dbops.change_type('p', 'x', 'text');
CALL dbops.change_type('p', 'z', 'text');
SELECT column_name, state FROM dbops.column_change ORDER BY id;
SELECT count(*) AS "written anew" FROM files WHERE file <> pg_relation_filenode(oid);

DROP SCHEMA plain CASCADE;
TRUNCATE dbops.column_change RESTART IDENTITY;
