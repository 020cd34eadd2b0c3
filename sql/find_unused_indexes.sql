-- find_unused_indexes: what is listed, what is never called safe to drop, and
-- what must be known first. The clock is set ahead where an index has to be old.
CREATE SCHEMA un;
SET search_path = un, public;
CREATE VIEW found AS
    SELECT index_name, backs, safe_to_drop, regexp_replace(reason, 'for [0-9.]+ (s|min|h|days)', 'for some time') AS reason, statement
      FROM dbops.find_unused_indexes() JOIN pg_class c ON c.oid = index_name
     WHERE relnamespace = 'un'::regnamespace ORDER BY relname;
SELECT extract(epoch FROM now())::int AS real_now, extract(epoch FROM now() + interval '40 days')::int AS later \gset

-- of a young index nothing is known
CREATE TABLE t (id int PRIMARY KEY, a int, b int, c int UNIQUE, d int, e text);
INSERT INTO t SELECT g, g, g, g, g, g FROM generate_series(1, 1000) g;
CREATE INDEX t_a ON t (a);
CREATE INDEX t_b ON t (b);
CREATE UNIQUE INDEX t_d ON t (d);
SET enable_seqscan = off;
SELECT count(*) FROM t WHERE b = 1;
RESET enable_seqscan;
SELECT pg_stat_force_next_flush();
SELECT * FROM found;
-- of one that was observed long enough it is; unique ones, though never scanned, are not listed
SET dbops.test_now = :later;
SELECT * FROM found WHERE index_name <> 't_b'::regclass;
SELECT safe_to_drop, size_bytes = pg_relation_size(index_name) AS size, scans, last_scan, observed_since BETWEEN to_timestamp(:real_now) - interval '1 min' AND now() AS since, nodes
  FROM dbops.find_unused_indexes(1, '39 days') WHERE index_name = 't_a'::regclass;
SELECT safe_to_drop, reason FROM dbops.find_unused_indexes(0, '41 days') WHERE index_name = 't_a'::regclass;
SELECT count(*) FROM dbops.find_unused_indexes(1000000) WHERE index_name = 't_a'::regclass;

-- the statement runs as printed
SELECT statement FROM found WHERE index_name = 't_a'::regclass \gexec
SELECT count(*) FROM found WHERE index_name <> 't_b'::regclass;

-- CLUSTER goes by it; its expression has statistics
CREATE INDEX t_cluster ON t (a);
ALTER TABLE t CLUSTER ON t_cluster;
CREATE INDEX t_expr ON t (lower(e));
SELECT * FROM found WHERE index_name <> 't_b'::regclass;
DROP INDEX t_cluster, t_expr;

-- a foreign key finds its rows by it, and by no other
CREATE TABLE p (id int PRIMARY KEY);
CREATE TABLE f (p int REFERENCES p, q int);
INSERT INTO f VALUES (NULL, 1);
SELECT count(*) FROM f;
SELECT pg_stat_force_next_flush();
CREATE INDEX f_p ON f (p);
SELECT * FROM found WHERE index_name <> 't_b'::regclass;
-- of two that do, one can go, not both
CREATE INDEX f_hash ON f USING hash (p);
INSERT INTO f SELECT NULL, g FROM generate_series(1, 3000) g;
SELECT safe_to_drop, backs FROM found WHERE index_name <> 't_b'::regclass ORDER BY 1;
-- whether its triggers fire now or not
ALTER TABLE p DISABLE TRIGGER ALL;
SELECT safe_to_drop, backs FROM found WHERE index_name <> 't_b'::regclass ORDER BY 1;
DROP TABLE f, p;

-- two reports must not have both go: a used index that this one could replace
CREATE TABLE pair (a int, b int);
INSERT INTO pair SELECT g, g FROM generate_series(1, 100) g;
CREATE INDEX pair_a ON pair (a);
RESET dbops.test_now;
SET enable_seqscan = off;
SELECT count(*) FROM pair WHERE a = 1;
RESET enable_seqscan;
SELECT pg_stat_force_next_flush();
CREATE INDEX pair_ab ON pair (a, b);
SET dbops.test_now = :later;
SELECT dbops.import_index_usage('regress_pair', jsonb_build_object('observed_since', to_timestamp(0), 'taken_at', to_timestamp(:later),
       'indexes', jsonb_build_array(jsonb_build_object('name', 'un.pair_a', 'scans', 5, 'tuples_read', 5, 'tuples_fetched', 5, 'last_scan', to_timestamp(:later)))));
SELECT * FROM found WHERE index_name = 'pair_ab'::regclass;
SELECT dbops.forget_index_usage('regress_pair');
DROP TABLE pair;

-- a table that nobody has read
CREATE TABLE unread (a int);
CREATE INDEX unread_a ON unread (a);
SELECT * FROM found WHERE index_name <> 't_b'::regclass;
DROP TABLE unread;

-- a partitioned index is used if one of its partitions is; it cannot be dropped concurrently
RESET dbops.test_now;
CREATE TABLE tree (a int, b int, c int) PARTITION BY RANGE (a);
CREATE TABLE tree_1 PARTITION OF tree FOR VALUES FROM (0) TO (10);
CREATE TABLE tree_2 PARTITION OF tree FOR VALUES FROM (10) TO (20);
INSERT INTO tree SELECT g, g, g FROM generate_series(0, 19) g;
CREATE INDEX tree_b ON tree (b);
CREATE INDEX tree_c ON tree (c);
CREATE INDEX tree_1_ab ON tree_1 (a, b);
CREATE INDEX tree_2_ab ON tree_2 (a, b);
CREATE INDEX tree_2_ba ON tree_2 (b, a);
SET enable_seqscan = off;
SELECT count(*) FROM tree_1 WHERE b = 3;
SELECT count(*) FROM tree_1 WHERE a = 3 AND b = 3;
RESET enable_seqscan;
SELECT count(*) FROM tree;
SELECT pg_stat_force_next_flush();
SELECT index_name, safe_to_drop, reason FROM found;
SET dbops.test_now = :later;
SELECT index_name, safe_to_drop, statement FROM found WHERE index_name IN ('tree_c'::regclass, 'tree_2_ba'::regclass);
-- without partitions there is nothing to know
CREATE TABLE bare (a int) PARTITION BY RANGE (a);
CREATE INDEX bare_a ON bare (a);
SELECT index_name, safe_to_drop, reason FROM found WHERE index_name = 'bare_a'::regclass;
DROP TABLE tree, bare;

-- methods whose scans may not be counted; invalid ones are another report's
CREATE EXTENSION bloom;
CREATE INDEX t_bloom ON t USING bloom (a, b);
CREATE INDEX t_invalid ON t (a);
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 't_invalid'::regclass;
SELECT index_name, safe_to_drop, reason FROM found WHERE index_name <> 't_b'::regclass;
DROP INDEX t_bloom, t_invalid;
DROP EXTENSION bloom;

-- nothing is counted; temporary tables and extensions are left out
CREATE INDEX t_a ON t (a);
SET track_counts = off;
SELECT safe_to_drop, reason FROM found WHERE index_name = 't_a'::regclass;
RESET track_counts;
CREATE TEMP TABLE untemp (a int);
CREATE INDEX ON untemp (a);
SELECT count(*) FROM dbops.find_unused_indexes() WHERE table_name = 'untemp'::regclass OR table_name::text LIKE 'dbops.%';
DROP TABLE untemp;

-- other nodes: what they have scanned counts; what they have not said is not known
SELECT dbops.export_index_usage() AS exported \gset
SELECT jsonb_path_query_array(:'exported', '$.keyvalue().key') AS keys,
       (SELECT count(*) FROM jsonb_array_elements(:'exported'::jsonb -> 'indexes') i WHERE i ->> 'name' LIKE 'un.%') AS indexes;
SELECT dbops.import_index_usage('regress_replica', jsonb_set(:'exported', '{indexes}', '[]'));
SELECT safe_to_drop, nodes FROM dbops.find_unused_indexes() WHERE index_name = 't_a'::regclass;
SELECT dbops.import_index_usage('regress_replica', jsonb_set(:'exported', '{indexes}',
       jsonb_build_array(jsonb_build_object('oid', 't_a'::regclass::oid, 'name', 'un.renamed', 'scans', 3, 'tuples_read', 4, 'tuples_fetched', 5),
                         jsonb_build_object('oid', 1, 'name', 'un.gone', 'scans', 3, 'tuples_read', 4, 'tuples_fetched', 5))));
SELECT count(*) FROM found WHERE index_name = 't_a'::regclass;
SELECT scans, tuples_read, tuples_fetched, status, nodes FROM dbops.index_usage('t') WHERE index_name = 't_a'::regclass;
-- a logical replica has other OIDs and the same names
SELECT dbops.import_index_usage('regress_replica', jsonb_build_object('observed_since', to_timestamp(0), 'taken_at', to_timestamp(:later),
       'indexes', jsonb_build_array(jsonb_build_object('oid', 1, 'name', 'un.t_a', 'scans', 3, 'tuples_read', 4, 'tuples_fetched', 5))));
SELECT scans FROM dbops.index_usage('t') WHERE index_name = 't_a'::regclass;
-- figures that are young, and such that are old
SELECT dbops.import_index_usage('regress_replica', jsonb_build_object('observed_since', to_timestamp(:later) - interval '1 day', 'taken_at', to_timestamp(:later), 'indexes', '[]'::jsonb));
SELECT safe_to_drop, reason FROM dbops.find_unused_indexes() WHERE index_name = 't_a'::regclass;
SELECT dbops.import_index_usage('regress_replica', jsonb_build_object('observed_since', to_timestamp(0), 'taken_at', to_timestamp(:later) - interval '8 days', 'indexes', '[]'::jsonb));
SELECT safe_to_drop, reason FROM dbops.find_unused_indexes() WHERE index_name = 't_a'::regclass;
SELECT dbops.forget_index_usage('regress_replica'), dbops.forget_index_usage('regress_replica') AS again;
SELECT safe_to_drop FROM found WHERE index_name = 't_a'::regclass;
-- a slot without a standby belongs to one that will come back; an expected one has its name
SELECT count(*) FROM pg_create_physical_replication_slot('regress_unused', true);
SELECT safe_to_drop, reason FROM found WHERE index_name = 't_a'::regclass;
SELECT dbops.import_index_usage('regress_unused', jsonb_build_object('observed_since', to_timestamp(0), 'taken_at', to_timestamp(:later), 'indexes', '[]'::jsonb));
SELECT safe_to_drop FROM found WHERE index_name = 't_a'::regclass;
SELECT pg_drop_replication_slot('regress_unused');
SELECT dbops.forget_index_usage('regress_unused');

-- bad input
SELECT dbops.find_unused_indexes(-1);
SELECT dbops.find_unused_indexes(0, '-1 day');
SELECT dbops.find_unused_indexes(NULL);
SELECT dbops.find_unused_indexes(0, NULL);
SELECT dbops.import_index_usage(NULL, '{}');
SELECT dbops.import_index_usage('', '{}');
SELECT dbops.import_index_usage('regress_bad', NULL);
SELECT dbops.import_index_usage('regress_bad', '{}');
SELECT dbops.import_index_usage('regress_bad', '[]');
SELECT dbops.import_index_usage('regress_bad', '1');
SELECT dbops.import_index_usage('regress_bad', '{"observed_since": "yesterday", "taken_at": "soon", "indexes": []}');
SELECT dbops.import_index_usage('regress_bad', '{"observed_since": "-infinity", "taken_at": "2020-01-01", "indexes": []}');
SELECT dbops.import_index_usage('regress_bad', '{"observed_since": "2020-01-01", "taken_at": "2019-01-01", "indexes": []}');
SELECT dbops.import_index_usage('regress_bad', '{"observed_since": "2020-01-01", "taken_at": "2020-01-01"}');
SELECT dbops.import_index_usage('regress_bad', '{"observed_since": "2020-01-01", "taken_at": "2020-01-01", "indexes": {}}');
SELECT dbops.import_index_usage('regress_bad', '{"observed_since": "2020-01-01", "taken_at": "2020-01-01", "indexes": [1]}');
SELECT dbops.import_index_usage('regress_bad', '{"observed_since": "2020-01-01", "taken_at": "2020-01-01", "indexes": [{"name": "un.t_a"}]}');
SELECT dbops.import_index_usage('regress_bad', '{"observed_since": "2020-01-01", "taken_at": "2020-01-01", "indexes": [{"name": "un.t_a", "scans": -1, "tuples_read": 0, "tuples_fetched": 0}]}');
SELECT dbops.import_index_usage('regress_bad', '{"observed_since": "2020-01-01", "taken_at": "2020-01-01", "indexes": [{"name": "a.b.c.d.e", "scans": 1, "tuples_read": 0, "tuples_fetched": 0}]}');
SELECT dbops.import_index_usage('regress_bad', '{"observed_since": "2020-01-01", "taken_at": "3020-01-01", "indexes": []}');
SELECT dbops.import_index_usage('regress_bad', jsonb_set(:'exported', '{database}', '1'));
SELECT count(*) FROM dbops.index_usage_node;

RESET dbops.test_now;
RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA un CASCADE;
