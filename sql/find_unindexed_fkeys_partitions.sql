--
-- find_unindexed_fkeys on partitioned tables: judged by leaf, reported once for
-- each constraint, and advised as a script that runs from its first line to its
-- last. pg_regress, because it is catalogs in and text out.
--
SET client_min_messages = warning;
CREATE SCHEMA fkp;
SET search_path = fkp;
\pset null -

CREATE TABLE p (k int PRIMARY KEY, k2 int, UNIQUE (k, k2));

-- Neither the parent nor a leaf has an index. Leaves number and order their
-- columns in ways of their own; below, there is a second level.
CREATE TABLE t (id int NOT NULL, a int REFERENCES p, b int, FOREIGN KEY (b, a) REFERENCES p (k, k2)) PARTITION BY RANGE (id);
CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (0) TO (10);
CREATE TABLE t_2 (gone text, b int, gone_too text, id int NOT NULL, a int);
ALTER TABLE t_2 DROP COLUMN gone, DROP COLUMN gone_too;
ALTER TABLE t ATTACH PARTITION t_2 FOR VALUES FROM (10) TO (20);
CREATE TABLE t_3 PARTITION OF t FOR VALUES FROM (20) TO (30) PARTITION BY LIST (b);
CREATE TABLE t_3_1 (b int, a int, id int NOT NULL);
ALTER TABLE t_3 ATTACH PARTITION t_3_1 FOR VALUES IN (1);
CREATE TABLE t_3_2 PARTITION OF t_3 FOR VALUES IN (2);

-- One leaf has an index of the same definition, one of another that serves,
-- one that is invalid.
CREATE TABLE s (id int NOT NULL, a int REFERENCES p) PARTITION BY RANGE (id);
CREATE TABLE s_equal PARTITION OF s FOR VALUES FROM (0) TO (10);
CREATE TABLE s_other PARTITION OF s FOR VALUES FROM (10) TO (20);
CREATE TABLE s_invalid PARTITION OF s FOR VALUES FROM (20) TO (30);
CREATE TABLE s_none PARTITION OF s FOR VALUES FROM (30) TO (40);
CREATE INDEX s_equal_a ON s_equal (a);
CREATE INDEX s_other_a ON s_other (a, id);
CREATE INDEX s_invalid_a ON s_invalid (a);
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 's_invalid_a'::regclass;

-- Leaves with indexes of their own are all that the lookup needs.
CREATE TABLE ok (id int NOT NULL, a int REFERENCES p) PARTITION BY RANGE (id);
CREATE TABLE ok_1 PARTITION OF ok FOR VALUES FROM (0) TO (10);
CREATE TABLE ok_2 PARTITION OF ok FOR VALUES FROM (10) TO (20);
CREATE INDEX ON ok_1 (a);
CREATE INDEX ON ok_2 (a) WHERE a IS NOT NULL;

-- Without partitions there is nothing to read.
CREATE TABLE empty (id int NOT NULL, a int REFERENCES p) PARTITION BY RANGE (id);

-- A script that broke off: the parent's index is there, one leaf is attached.
CREATE TABLE half (id int NOT NULL, a int REFERENCES p) PARTITION BY RANGE (id);
CREATE TABLE half_1 PARTITION OF half FOR VALUES FROM (0) TO (10);
CREATE TABLE half_2 PARTITION OF half FOR VALUES FROM (10) TO (20);
CREATE INDEX half_index ON ONLY half (a);
CREATE INDEX half_1_index ON half_1 (a);
ALTER INDEX half_index ATTACH PARTITION half_1_index;

-- A leaf's index that belongs to another index of the parent is not free.
CREATE TABLE taken (id int NOT NULL, a int REFERENCES p) PARTITION BY RANGE (id);
CREATE TABLE taken_1 PARTITION OF taken FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (id);
CREATE TABLE taken_1_1 PARTITION OF taken_1 FOR VALUES FROM (0) TO (10);
CREATE TABLE taken_2 PARTITION OF taken FOR VALUES FROM (10) TO (20);
CREATE INDEX taken_1_index ON taken_1 (a);

-- A partition with a foreign key of its own besides the inherited one.
CREATE TABLE own (id int NOT NULL, a int REFERENCES p) PARTITION BY RANGE (id);
CREATE TABLE own_1 PARTITION OF own FOR VALUES FROM (0) TO (10);
ALTER TABLE own_1 ADD CONSTRAINT own_1_other FOREIGN KEY (a) REFERENCES p ON DELETE CASCADE;

-- The referenced side is partitioned, too; a table that refers to itself.
CREATE TABLE pp (k int PRIMARY KEY) PARTITION BY RANGE (k);
CREATE TABLE pp_1 PARTITION OF pp FOR VALUES FROM (0) TO (10);
CREATE TABLE pp_2 PARTITION OF pp FOR VALUES FROM (10) TO (20);
CREATE TABLE both_sides (id int NOT NULL, k int REFERENCES pp) PARTITION BY RANGE (id);
CREATE TABLE both_sides_1 PARTITION OF both_sides FOR VALUES FROM (0) TO (10);
CREATE TABLE plain (k int REFERENCES pp);
CREATE TABLE self (k int PRIMARY KEY, up int REFERENCES self) PARTITION BY RANGE (k);
CREATE TABLE self_1 PARTITION OF self FOR VALUES FROM (0) TO (10);
CREATE TABLE self_2 PARTITION OF self FOR VALUES FROM (10) TO (20);

SELECT table_name, columns, constraint_name, referenced_table, coverage, partitions, reason
  FROM dbops.find_unindexed_fkeys() ORDER BY table_name::text COLLATE "C", columns;

\pset format unaligned
\pset tuples_only on
CREATE TABLE advice AS
    SELECT row_number() OVER (ORDER BY table_name::text COLLATE "C", columns) AS n, * FROM dbops.find_unindexed_fkeys();
SELECT create_index FROM advice ORDER BY n;

-- Everything runs as printed, each line on its own.
SELECT line FROM advice, regexp_split_to_table(create_index, E'\n') WITH ORDINALITY x(line, i) ORDER BY n, i
\gexec

-- No finding is left, every index of a parent is valid, every leaf's is attached.
SELECT count(*) FROM dbops.find_unindexed_fkeys();
SELECT indexrelid::regclass FROM pg_index JOIN pg_class c ON c.oid = indexrelid
 WHERE relnamespace = 'fkp'::regnamespace AND NOT indisvalid;
SELECT i.indrelid::regclass, i.indexrelid::regclass, inhparent::regclass
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid LEFT JOIN pg_inherits ON inhrelid = i.indexrelid
 WHERE c.relnamespace = 'fkp'::regnamespace AND c.relname !~ 'key' ORDER BY i.indexrelid::regclass::text COLLATE "C";

-- A partition whose own foreign key is the next one to be judged.
DROP SCHEMA fkp CASCADE;
CREATE SCHEMA fkp;
CREATE TABLE p (k int PRIMARY KEY);
CREATE TABLE t (id int NOT NULL, a int REFERENCES p) PARTITION BY RANGE (id);
CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (0) TO (10);
ALTER TABLE t_1 ADD FOREIGN KEY (a) REFERENCES p ON DELETE CASCADE;
CREATE INDEX ON t_1 (a);
SELECT count(*) FROM dbops.find_unindexed_fkeys();

-- Foreign keys on two levels of one tree, the inner table being the older: one
-- script, the root's, serves both.
DROP SCHEMA fkp CASCADE;
CREATE SCHEMA fkp;
CREATE TABLE p (k int PRIMARY KEY);
CREATE TABLE mid (id int NOT NULL, a int) PARTITION BY RANGE (id);
CREATE TABLE mid_1 PARTITION OF mid FOR VALUES FROM (0) TO (10);
CREATE TABLE mid_2 PARTITION OF mid FOR VALUES FROM (10) TO (20);
CREATE TABLE root (id int NOT NULL, a int CONSTRAINT root_own REFERENCES p) PARTITION BY RANGE (id);
CREATE TABLE root_1 PARTITION OF root FOR VALUES FROM (100) TO (200);
ALTER TABLE mid ADD CONSTRAINT mid_own FOREIGN KEY (a) REFERENCES p ON DELETE CASCADE;
ALTER TABLE root ATTACH PARTITION mid FOR VALUES FROM (0) TO (100);
SELECT table_name, constraint_name, reason, create_index FROM dbops.find_unindexed_fkeys();

-- Of two invalid indexes, the reason names the one that is repaired.
CREATE TABLE invalid (a int REFERENCES p);
CREATE UNIQUE INDEX invalid_1_unique ON invalid (a);
CREATE INDEX invalid_2 ON invalid (a);
CREATE UNIQUE INDEX invalid_3_unique ON invalid (a);
UPDATE pg_index SET indisvalid = false WHERE indrelid = 'invalid'::regclass;
SELECT reason, create_index FROM dbops.find_unindexed_fkeys() WHERE table_name = 'invalid'::regclass;
-- a unique one may be invalid because of what is in the table
DROP INDEX invalid_2;
SELECT create_index FROM dbops.find_unindexed_fkeys() WHERE table_name = 'invalid'::regclass;
-- nor is an index repaired that is being dropped
CREATE INDEX invalid_2 ON invalid (a);
UPDATE pg_index SET indisvalid = false, indisready = false, indislive = false WHERE indexrelid = 'invalid_2'::regclass;
SELECT create_index FROM dbops.find_unindexed_fkeys() WHERE table_name = 'invalid'::regclass;

DROP SCHEMA fkp CASCADE;
