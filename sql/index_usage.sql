-- index_usage: what was counted of each index of a table, summed over partitions,
-- and what is not called unused although nobody scans it.
CREATE SCHEMA usage;
SET search_path = usage, public;
CREATE TABLE u (id int PRIMARY KEY, a int, b int);
INSERT INTO u SELECT g, g, g % 10 FROM generate_series(1, 1000) g;
CREATE INDEX u_a ON u (a);
CREATE INDEX u_b ON u (b);
CREATE UNIQUE INDEX u_ab ON u (a, b);
CREATE TABLE refers (b int REFERENCES u (id));
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT count(*) FROM (SELECT * FROM u WHERE b = 3) x;
SELECT id FROM u WHERE id = 7;
RESET enable_seqscan;
RESET enable_bitmapscan;
SELECT pg_stat_force_next_flush();
SELECT index_name, table_name, scans > 0 AS scanned, tuples_read, tuples_fetched, size_bytes = pg_relation_size(index_name) AS size,
       status, observed_since <= now() AS since, nodes, backs
  FROM dbops.index_usage('u');

-- a foreign key finds its rows by it, and by no other
CREATE INDEX refers_b ON refers (b);
SELECT index_name, status, backs FROM dbops.index_usage('refers');
CREATE INDEX refers_bb ON refers USING hash (b);
SELECT index_name, status, backs FROM dbops.index_usage('refers');

-- partitions are summed; each can be asked for alone
CREATE TABLE tree (a int, b int) PARTITION BY RANGE (a);
CREATE TABLE tree_1 PARTITION OF tree FOR VALUES FROM (0) TO (10);
CREATE TABLE tree_2 PARTITION OF tree FOR VALUES FROM (10) TO (20);
CREATE INDEX tree_b ON tree (b);
CREATE INDEX tree_2_a ON tree_2 (a);
INSERT INTO tree SELECT g, g FROM generate_series(0, 19) g;
SET enable_seqscan = off;
SELECT count(*) FROM tree WHERE b = 3;
SELECT count(*) FROM tree_2 WHERE b = 15;
RESET enable_seqscan;
SELECT pg_stat_force_next_flush();
SELECT index_name, scans, size_bytes, status FROM dbops.index_usage('tree');
SELECT index_name, scans, size_bytes, status FROM dbops.index_usage('tree_2');
-- without a table all of users' tables, partitions with the partitioned one
SELECT index_name, scans FROM dbops.index_usage() WHERE table_name IN ('tree'::regclass, 'tree_1'::regclass, 'tree_2'::regclass);
SELECT count(*) FROM dbops.index_usage() WHERE table_name::oid < 16384;

-- catalogs, TOAST tables, one's own temporary tables
SELECT index_name, size_bytes = pg_relation_size(index_name) AS size, backs FROM dbops.index_usage('pg_class') WHERE index_name = 'pg_class_oid_index'::regclass;
SELECT count(*) FROM dbops.index_usage('pg_database');
SELECT count(*) FROM dbops.index_usage((SELECT reltoastrelid FROM pg_class WHERE oid = 'pg_proc'::regclass));
CREATE TEMP TABLE usagetemp (a int PRIMARY KEY);
SELECT index_name, size_bytes, status FROM dbops.index_usage('usagetemp');
DROP TABLE usagetemp;

-- a table without indexes; bad input
CREATE TABLE bare (a int);
SELECT * FROM dbops.index_usage('bare');
SELECT dbops.index_usage('u_a');
SELECT dbops.index_usage(1);
CREATE VIEW v AS SELECT 1;
SELECT dbops.index_usage('v');

RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA usage CASCADE;
