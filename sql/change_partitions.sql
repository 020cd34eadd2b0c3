-- rename_column() and change_type() of partitioned tables: what each partition has is copied and put together as it was.
\set VERBOSITY terse
SET dbops.progress_interval = 0;
TRUNCATE dbops.column_change RESTART IDENTITY;
CREATE SCHEMA parted;
SET search_path = parted;
CREATE TABLE ref (code text PRIMARY KEY);
INSERT INTO ref VALUES ('v1'), ('v2');
CREATE TABLE p (id int, k int, v text DEFAULT 'v1', CONSTRAINT p_fk FOREIGN KEY (v) REFERENCES ref, CONSTRAINT ck CHECK (v <> '')) PARTITION BY RANGE (k);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (id);
CREATE TABLE p2a PARTITION OF p2 FOR VALUES FROM (0) TO (100);
-- One whose columns have other numbers, and a default and NOT NULL of its own.
CREATE TABLE p3 (extra int, v text NOT NULL DEFAULT 'v2', k int, id int, CONSTRAINT ck CHECK (v <> ''));
ALTER TABLE p3 DROP COLUMN extra;
ALTER TABLE p ATTACH PARTITION p3 FOR VALUES FROM (20) TO (30);
CREATE INDEX p_v ON p (v, lower(v));
CREATE UNIQUE INDEX p_u ON p (k, v, id);
ALTER TABLE p ADD CONSTRAINT p_key UNIQUE (id, k, v);
CREATE INDEX p1_own ON p1 (v DESC) WHERE v <> 'q';
ALTER TABLE p1 ADD CONSTRAINT own_ck CHECK (length(v) < 9);
CREATE UNIQUE INDEX p3_identity ON p3 (v, id, k);
ALTER TABLE p3 ALTER id SET NOT NULL, ALTER k SET NOT NULL, REPLICA IDENTITY USING INDEX p3_identity;
CREATE INDEX p1_order ON p1 (lower(v));
CLUSTER p1 USING p1_order;
ALTER INDEX p1_v_lower_idx ALTER COLUMN 2 SET STATISTICS 77;
COMMENT ON INDEX p_v IS 'an index''s';
COMMENT ON INDEX p1_own IS 'own';
COMMENT ON CONSTRAINT ck ON p IS 'whole';
COMMENT ON CONSTRAINT ck ON p1 IS 'part';
COMMENT ON CONSTRAINT p_fk ON p3 IS 'foreign key';
COMMENT ON CONSTRAINT p2a_id_k_v_key ON p2a IS 'key';
COMMENT ON COLUMN p3.v IS 'column';
GRANT SELECT (v) ON p1 TO pg_monitor;
INSERT INTO p SELECT g, g % 30, 'v' || 1 + g % 2 FROM generate_series(1, 60) g;
-- All that there is, by the names of tables, without that of the column.
CREATE VIEW facts AS
    SELECT c.relname AS object, concat(replace(replace(pg_get_indexdef(c.oid), 'dbops_new_v', 'v'), 'w', 'v'), ' ', i.indisvalid, ' ', i.indisreplident, ' ', i.indisclustered, ' ',
        (SELECT h.inhparent::regclass FROM pg_inherits h WHERE h.inhrelid = c.oid), ' ', obj_description(c.oid, 'pg_class'), ' ',
        (SELECT max(a.attstattarget) FILTER (WHERE a.attstattarget > 0) FROM pg_attribute a WHERE a.attrelid = c.oid)) AS fact
    FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid WHERE c.relnamespace = 'parted'::regnamespace
    UNION ALL SELECT concat(c.conrelid::regclass, ' ', c.conname), concat(replace(replace(pg_get_constraintdef(c.oid), 'dbops_new_v', 'v'), 'w', 'v'), ' ', c.conislocal, ' ', c.coninhcount, ' ', c.convalidated, ' ',
        obj_description(c.oid, 'pg_constraint')) FROM pg_constraint c WHERE c.connamespace = 'parted'::regnamespace AND c.contype <> 'n'
    UNION ALL SELECT concat(a.attrelid::regclass), concat(a.attnotnull, ' ', pg_get_expr(d.adbin, d.adrelid), ' ', col_description(a.attrelid, a.attnum), ' ', a.attacl)
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE c.relnamespace = 'parted'::regnamespace AND c.relkind IN ('r', 'p') AND a.attname IN ('v', 'w');
CREATE TABLE before AS SELECT * FROM facts;

\set VERBOSITY default
CALL dbops.rename_column('p', 'v', 'w', dry_run => true);
\set VERBOSITY terse
SET client_min_messages = warning;
CALL dbops.rename_column('p', 'v', 'w');
SET client_min_messages = notice;
CALL dbops.rename_column('p', 'v', 'w');
-- What was cut off: an index that is not attached, one that is not there, a foreign key of a partition.
SET client_min_messages = warning;
DROP INDEX p_v_dbops_new;
CREATE INDEX p_v_dbops_new ON ONLY p (w, lower(w));
CREATE INDEX p1_v_lower_idx_dbops_new ON p1 (w, lower(w));
ALTER INDEX p_v_dbops_new ATTACH PARTITION p1_v_lower_idx_dbops_new;
ALTER TABLE p DROP CONSTRAINT p_fk_dbops_new;
ALTER TABLE p2a ADD CONSTRAINT p_fk_dbops_new FOREIGN KEY (w) REFERENCES ref NOT VALID;
UPDATE dbops.column_change SET state = 'expanding';
SET client_min_messages = notice;
CALL dbops.rename_column('p', 'v', 'w');
-- A partition that comes has what the others have, made by the server under names of its own.
CREATE TABLE p4 PARTITION OF p FOR VALUES FROM (30) TO (40);
INSERT INTO before SELECT * FROM facts WHERE object ~ '^p4' AND object !~ 'dbops_new|_w_' AND fact !~ '_dbops_new' AND fact <> 'f   ';
INSERT INTO p (id, k, w) VALUES (1, 31, 'v2') RETURNING *;
CREATE TABLE files AS SELECT indexrelid AS index, pg_relation_filenode(indexrelid) AS file FROM pg_index JOIN pg_class c ON c.oid = indrelid WHERE c.relnamespace = 'parted'::regnamespace;
SET client_min_messages = warning;
CALL dbops.finish_change(1);
SET client_min_messages = notice;
SELECT * FROM before EXCEPT SELECT * FROM facts ORDER BY 1;
SELECT * FROM facts WHERE object !~ '^(before|files)' EXCEPT SELECT * FROM before ORDER BY 1;
-- Of what is unique there was no copy before, which finish_change() has built while others could write; all other files are those that were there.
SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
    WHERE t.relname ~ '^p[0-9]' AND t.relnamespace = 'parted'::regnamespace AND t.relkind = 'r' AND NOT EXISTS (SELECT FROM files WHERE index = i.indexrelid AND file = pg_relation_filenode(i.indexrelid)) ORDER BY 1;

-- Another type, taken back, and finished.
CREATE TABLE n (id int, k int, v int, UNIQUE (k, v)) PARTITION BY RANGE (k);
CREATE TABLE n1 PARTITION OF n FOR VALUES FROM (0) TO (10);
CREATE TABLE n2 PARTITION OF n FOR VALUES FROM (10) TO (20);
CREATE INDEX ON n (v);
INSERT INTO n SELECT g, g, g FROM generate_series(0, 19) g;
SET client_min_messages = warning;
CALL dbops.change_type('n', 'v', 'bigint');
CALL dbops.abort_change(2);
SELECT indexrelid::regclass FROM pg_index WHERE indrelid IN ('n'::regclass, 'n1'::regclass, 'n2'::regclass) ORDER BY 1;
CALL dbops.change_type('n', 'v', 'bigint');
CALL dbops.finish_change(3);
\d n
\d n2

-- A foreign key to a partitioned table is one, though the catalog has one for each partition of that.
CREATE TABLE r (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE r1 PARTITION OF r FOR VALUES FROM (0) TO (10);
CREATE TABLE r2 PARTITION OF r FOR VALUES FROM (10) TO (20);
INSERT INTO r SELECT generate_series(0, 19);
CREATE TABLE f (a int REFERENCES r);
INSERT INTO f SELECT generate_series(0, 19);
CALL dbops.rename_column('f', 'a', 'b');
CALL dbops.finish_change(4);
\d f

-- What only a partition has is refused, too.
CREATE TABLE l (id int, v text) PARTITION BY RANGE (id);
CREATE TABLE l1 PARTITION OF l FOR VALUES FROM (0) TO (10);
CREATE VIEW of_part AS SELECT v FROM l1;
CALL dbops.rename_column('l', 'v', 'w');
DROP VIEW of_part;
ALTER TABLE l1 ADD PRIMARY KEY (v);
CALL dbops.rename_column('l', 'v', 'w');

-- So is a table of which a partition is half detached: that gets no column any more.
CREATE TABLE h (id int, v text) PARTITION BY RANGE (id);
CREATE TABLE h1 PARTITION OF h FOR VALUES FROM (0) TO (10);
CREATE TABLE h2 PARTITION OF h FOR VALUES FROM (10) TO (20);
INSERT INTO h VALUES (1), (11);
UPDATE pg_inherits SET inhdetachpending = true WHERE inhrelid = 'h1'::regclass;
\set VERBOSITY default
CALL dbops.rename_column('h', 'v', 'w');
CALL dbops.set_not_null('h', 'v', fill => '0');
ALTER TABLE parted.h DETACH PARTITION parted.h1 FINALIZE;
\set VERBOSITY terse
CALL dbops.rename_column('h', 'v', 'w');
SELECT count(*) FROM dbops.column_change WHERE relid = 'h'::regclass;

DROP SCHEMA parted CASCADE;
TRUNCATE dbops.column_change RESTART IDENTITY;
