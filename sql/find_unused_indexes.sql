-- find_unused_indexes: what is listed, what is never called safe to drop, and
-- what must be known first. The clock is set ahead where an index has to be old.
CREATE SCHEMA un;
SET search_path = un, public;
CREATE VIEW found AS
    SELECT index_name, backs, safe_to_drop, regexp_replace(reason, 'for [0-9.]+ (s|min|h|days)', 'for some time') AS reason, statement
      FROM dbops.find_unused_indexes() JOIN pg_class c ON c.oid = index_name
     WHERE relnamespace = 'un'::regnamespace ORDER BY relname;
-- read a table more often than builds of its indexes and dumps do
CREATE PROCEDURE read_often(which regclass) LANGUAGE plpgsql
    AS $$ BEGIN FOR i IN 1 .. 100 LOOP EXECUTE format('SELECT FROM %s', which); END LOOP; END $$;
SELECT floor(extract(epoch FROM now()))::int AS real_now, floor(extract(epoch FROM now() + interval '40 days'))::int AS later \gset

-- of a young index nothing is known
CREATE TABLE t (id int PRIMARY KEY, a int, b int, c int UNIQUE, d int, e text);
INSERT INTO t SELECT g, g, g, g, g, g FROM generate_series(1, 1000) g;
CREATE INDEX t_a ON t (a);
CREATE INDEX t_b ON t (b);
CREATE UNIQUE INDEX t_d ON t (d);
SET enable_seqscan = off;
SELECT count(*) FROM t WHERE b = 1;
RESET enable_seqscan;
CALL read_often('t');
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
CALL read_often('f');
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

-- two reports must not leave a foreign key without an index: the longer one stays for the shorter one
CREATE TABLE p (id int PRIMARY KEY);
CREATE TABLE f (p int REFERENCES p, q int);
CREATE INDEX f_p ON f (p);
CREATE INDEX f_pq ON f (p, q);
INSERT INTO f SELECT NULL, g FROM generate_series(1, 3000) g;
CALL read_often('f');
SELECT pg_stat_force_next_flush();
SELECT index_name, safe_to_drop, reason FROM found WHERE index_name IN ('f_p'::regclass, 'f_pq'::regclass);
SELECT index_name, backs, safe_to_drop FROM dbops.find_duplicate_indexes() WHERE table_name = 'f'::regclass;
DROP TABLE f, p;

-- a table that nobody has read: builds of its indexes count as scans of it
CREATE TABLE unread (a int);
CREATE INDEX unread_a ON unread (a);
REINDEX TABLE unread;
SELECT pg_stat_force_next_flush();
SELECT * FROM found WHERE index_name <> 't_b'::regclass;
-- nor do dumps
DO $$ BEGIN FOR i IN 1 .. 30 LOOP PERFORM FROM un.unread; END LOOP; END $$;
SELECT pg_stat_force_next_flush();
SELECT safe_to_drop FROM found WHERE index_name = 'unread_a'::regclass;
CALL read_often('unread');
SELECT pg_stat_force_next_flush();
SELECT * FROM found WHERE index_name <> 't_b'::regclass;
-- nor one that nobody has read since its reads were noted
INSERT INTO dbops.table_reads SELECT 'unread'::regclass, to_timestamp(:real_now) + interval '1 day', seq_scan, seq_tup_read, 0 FROM pg_stat_user_tables WHERE relid = 'unread'::regclass;
SELECT safe_to_drop, reason FROM found WHERE index_name <> 't_b'::regclass;
DELETE FROM dbops.table_reads WHERE table_oid = 'unread'::regclass;

-- what was reset while a transaction looked on is not old
BEGIN;
SELECT safe_to_drop FROM found WHERE index_name = 'unread_a'::regclass;
SELECT pg_stat_reset_single_table_counters('unread_a'::regclass);
SELECT safe_to_drop, reason FROM dbops.find_unused_indexes(0, '40 days') WHERE index_name = 'unread_a'::regclass;
SELECT observed_since >= to_timestamp(:real_now) AS since FROM dbops.index_usage('unread');
ROLLBACK;
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
CALL read_often('tree');
SELECT pg_stat_force_next_flush();
SELECT index_name, safe_to_drop, reason FROM found;
SET dbops.test_now = :later;
SELECT index_name, safe_to_drop, reason, statement FROM found WHERE index_name IN ('tree_c'::regclass, 'tree_2_ba'::regclass);
-- without partitions there is nothing to know
CREATE TABLE bare (a int) PARTITION BY RANGE (a);
CREATE INDEX bare_a ON bare (a);
SELECT index_name, safe_to_drop, reason FROM found WHERE index_name = 'bare_a'::regclass;
DROP TABLE tree, bare;
-- an index that was taken over may be older than the partitioned one: nothing is known before one was made for that
CREATE TABLE taken (a int, b int);
CREATE INDEX taken_b ON taken (b);
-- (the time of a file is that of a tick of the clock, which comes late where the processors are busy)
DO 'BEGIN PERFORM pg_sleep(1); END';
SELECT clock_timestamp() - interval '0.5 s' AS made \gset
CREATE TABLE whole (a int, b int) PARTITION BY RANGE (a);
ALTER TABLE whole ATTACH PARTITION taken FOR VALUES FROM (0) TO (10);
CREATE INDEX whole_b ON whole (b);
CALL read_often('whole');
SELECT pg_stat_force_next_flush();
SELECT index_name, safe_to_drop, reason FROM found WHERE index_name = 'whole_b'::regclass;
CREATE TABLE whole_2 PARTITION OF whole FOR VALUES FROM (10) TO (20);
SELECT safe_to_drop, observed_since > :'made' AS since FROM dbops.find_unused_indexes() WHERE index_name = 'whole_b'::regclass;
DROP TABLE whole;
-- where partitions come others go, and take along how often theirs was scanned
CREATE TABLE coming (a int, b int) PARTITION BY RANGE (a);
CREATE TABLE coming_1 PARTITION OF coming FOR VALUES FROM (0) TO (10);
CREATE INDEX coming_b ON coming (b);
CALL read_often('coming');
SELECT pg_stat_force_next_flush();
SELECT pg_sleep(0.05);
SELECT clock_timestamp() AS between \gset
SELECT pg_sleep(0.05);
SELECT safe_to_drop FROM dbops.find_unused_indexes(0, to_timestamp(:later) - :'between') WHERE index_name = 'coming_b'::regclass;
CREATE TABLE coming_2 PARTITION OF coming FOR VALUES FROM (10) TO (20);
SELECT safe_to_drop, reason FROM dbops.find_unused_indexes(0, to_timestamp(:later) - :'between') WHERE index_name = 'coming_b'::regclass;
DROP TABLE coming;
-- children by inheritance have siblings as partitions have
CREATE TABLE parent (a int, b int);
CREATE TABLE child_1 () INHERITS (parent);
CREATE TABLE child_2 () INHERITS (parent);
CREATE INDEX child_1_a ON child_1 (a);
CREATE INDEX child_2_a ON child_2 (a);
CREATE INDEX child_2_b ON child_2 (b);
-- and so has the parent, which children are made like
CREATE INDEX parent_a ON parent (a);
CREATE INDEX parent_ab ON parent (a, b);
CALL read_often('parent');
SELECT pg_stat_force_next_flush();
SELECT dbops.import_index_usage('regress_child', jsonb_build_object('observed_since', to_timestamp(0), 'taken_at', to_timestamp(:later),
       'indexes', jsonb_build_array(jsonb_build_object('name', 'un.child_1_a', 'scans', 5, 'tuples_read', 5, 'tuples_fetched', 5, 'last_scan', to_timestamp(:later)))));
SELECT index_name, backs, safe_to_drop, reason FROM found WHERE index_name::text ~ '^(un.)?(child|parent)';
SELECT dbops.forget_index_usage('regress_child');
DROP TABLE parent CASCADE;
-- parts of parts are of one family
CREATE TABLE levels (m int, r int, b int) PARTITION BY RANGE (m);
CREATE TABLE levels_1 PARTITION OF levels FOR VALUES FROM (0) TO (1) PARTITION BY LIST (r);
CREATE TABLE levels_1a PARTITION OF levels_1 FOR VALUES IN (1);
CREATE TABLE levels_2 PARTITION OF levels FOR VALUES FROM (1) TO (2) PARTITION BY LIST (r);
CREATE TABLE levels_2a PARTITION OF levels_2 FOR VALUES IN (1);
CREATE INDEX levels_1a_b ON levels_1a (b);
CREATE INDEX levels_2a_b ON levels_2a (b);
CREATE INDEX levels_2a_r ON levels_2a (r);
CALL read_often('levels');
SELECT pg_stat_force_next_flush();
SELECT dbops.import_index_usage('regress_levels', jsonb_build_object('observed_since', to_timestamp(0), 'taken_at', to_timestamp(:later),
       'indexes', jsonb_build_array(jsonb_build_object('name', 'un.levels_1a_b', 'scans', 5, 'tuples_read', 5, 'tuples_fetched', 5, 'last_scan', to_timestamp(:later)))));
SELECT index_name, safe_to_drop, reason FROM found WHERE index_name::text ~ 'levels';
SELECT dbops.forget_index_usage('regress_levels');
DROP TABLE levels;
-- one that a partition has by itself could be dropped for that of all partitions: then that stays
CREATE TABLE halves (a int, b int) PARTITION BY RANGE (a);
CREATE TABLE halves_1 PARTITION OF halves FOR VALUES FROM (0) TO (10);
CREATE INDEX halves_ba ON halves (b, a);
CREATE INDEX halves_own ON halves_1 (b);
CALL read_often('halves');
SELECT pg_stat_force_next_flush();
SELECT index_name, safe_to_drop, reason FROM found WHERE index_name::text ~ 'halves';
SELECT index_name, safe_to_drop FROM dbops.find_duplicate_indexes() WHERE index_name::text ~ 'halves';
DROP TABLE halves;

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
-- nor what roles, databases or functions do for which it is switched off; such a server has nothing to export
CREATE ROLE regress_uncounted;
ALTER ROLE regress_uncounted SET track_counts = off;
SELECT index_name, safe_to_drop, reason FROM found WHERE index_name = 't_a'::regclass;
SELECT dbops.export_index_usage();
ALTER ROLE regress_uncounted RESET track_counts;
SELECT safe_to_drop FROM found WHERE index_name = 't_a'::regclass;
DROP ROLE regress_uncounted;
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
SELECT backs, safe_to_drop, reason FROM found WHERE index_name = 't_a'::regclass;
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
-- and such that end before the time that is asked for
SELECT dbops.import_index_usage('regress_replica', jsonb_build_object('observed_since', to_timestamp(0), 'taken_at', to_timestamp(:later) - interval '6 days', 'indexes', '[]'::jsonb));
SELECT safe_to_drop, reason FROM dbops.find_unused_indexes(0, '33 days') WHERE index_name = 't_a'::regclass;
SELECT safe_to_drop, reason FROM dbops.find_unused_indexes(0, '39 days') WHERE index_name = 't_a'::regclass;
-- standbys that it feeds are not known
SELECT dbops.import_index_usage('regress_replica', jsonb_build_object('observed_since', to_timestamp(0), 'taken_at', to_timestamp(:later), 'indexes', '[]'::jsonb, 'downstream', '["regress_behind"]'::jsonb));
SELECT safe_to_drop, reason FROM found WHERE index_name = 't_a'::regclass;
SELECT dbops.import_index_usage('regress_behind', jsonb_build_object('observed_since', to_timestamp(0), 'taken_at', to_timestamp(:later), 'indexes', '[]'::jsonb));
SELECT safe_to_drop, nodes FROM dbops.find_unused_indexes() WHERE index_name = 't_a'::regclass;
SELECT dbops.forget_index_usage('regress_behind');
SELECT dbops.forget_index_usage('regress_replica'), dbops.forget_index_usage('regress_replica') AS again;
-- nor are those that were connected lately
SELECT dbops.note_standbys();
INSERT INTO dbops.index_usage_standby VALUES ('regress ''away', to_timestamp(:later) - interval '3 min'), ('regress_gone', to_timestamp(:later) - interval '8 days');
SELECT safe_to_drop, reason FROM found WHERE index_name = 't_a'::regclass;
SELECT dbops.forget_index_usage('regress ''away'), dbops.forget_index_usage('regress ''away') AS again, dbops.forget_index_usage('regress_gone') AS gone;
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
SELECT dbops.import_index_usage('this server', :'exported');
SELECT dbops.import_index_usage('regress_bad', '{"observed_since": "2020-01-01", "taken_at": "2020-01-01", "indexes": [{"name": "un.t_a", "scans": 9007199254740993, "tuples_read": 0, "tuples_fetched": 0}]}');
SELECT dbops.import_index_usage('regress_bad', '{"observed_since": "2020-01-01", "taken_at": "2020-01-01", "indexes": [{"name": "un.t_a", "scans": 1, "tuples_read": 0, "tuples_fetched": 0, "last_scan": "-infinity"}]}');
SELECT dbops.import_index_usage('regress_bad', '{"observed_since": "2020-01-01", "taken_at": "2020-01-01", "indexes": [{"name": "un.t_a", "scans": 1, "tuples_read": 0, "tuples_fetched": 0, "last_scan": "2020-01-02"}]}');
SELECT dbops.import_index_usage('regress_bad', '{"observed_since": "2020-01-01", "taken_at": "2020-01-01", "indexes": [], "downstream": "x"}');
SELECT dbops.import_index_usage('regress_bad', '{"observed_since": "2020-01-01", "taken_at": "2020-01-01", "indexes": [], "downstream": [null]}');
SELECT count(*) FROM dbops.index_usage_node;
-- the most that can be told is no error
SELECT dbops.import_index_usage('regress_much_' || g, '{"observed_since": "2020-01-01", "taken_at": "2020-01-01", "indexes": [{"name": "un.t_a", "scans": 9007199254740992, "tuples_read": 9007199254740992, "tuples_fetched": 0}]}') FROM generate_series(1, 2) g;
SELECT scans FROM dbops.index_usage('t') WHERE index_name = 't_a'::regclass;
SELECT count(dbops.forget_index_usage('regress_much_' || g)) FROM generate_series(1, 2) g;

RESET dbops.test_now;
RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA un CASCADE;
