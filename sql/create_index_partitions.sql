-- create_index() of partitioned tables: each partition's index is built while
-- others write, and attached; whatever is there of it is taken over.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA cip;
SET search_path = cip;
CREATE FUNCTION fold(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT pg_catalog.lower($1)';
CREATE TABLE p (id int, k int, a text) PARTITION BY LIST (k);
CREATE TABLE "P 1" PARTITION OF p FOR VALUES IN (1);
CREATE TABLE p2 (a text, gone int, k int, id int);
ALTER TABLE p2 DROP gone;
ALTER TABLE p ATTACH PARTITION p2 FOR VALUES IN (2);
CREATE TABLE p3 PARTITION OF p FOR VALUES IN (3, 4) PARTITION BY RANGE (id);
CREATE TABLE p3a PARTITION OF p3 FOR VALUES FROM (0) TO (100);
CREATE TABLE p3b PARTITION OF p3 DEFAULT;
INSERT INTO p SELECT g, g % 4 + 1, g FROM generate_series(1, 400) g;
CREATE FUNCTION tree(regclass) RETURNS TABLE (index regclass, parent regclass, on_table regclass, valid boolean) LANGUAGE sql AS
    $$SELECT t.relid, t.parentrelid, i.indrelid, i.indisvalid FROM pg_partition_tree($1) t JOIN pg_index i ON i.indexrelid = t.relid ORDER BY i.indrelid::regclass::text COLLATE "C"$$;
RESET client_min_messages;

-- one of the partitions has an index that does: it is taken
CREATE INDEX mine ON p2 (fold(a)) WHERE k > 0;
CALL dbops.create_index('CREATE INDEX pi ON p (fold(p.a)) WHERE p.k > 0', dry_run => true);
CALL dbops.create_index('CREATE INDEX pi ON p (fold(p.a)) WHERE p.k > 0');
CALL dbops.create_index('CREATE INDEX pi ON p (fold(p.a)) WHERE p.k > 0');
SELECT * FROM tree('pi');

-- A call that was cut off: the same call goes on, with partitions that came meanwhile.
CREATE INDEX pc ON ONLY p (id);
CREATE INDEX CONCURRENTLY p2_id_idx ON p2 (id);
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'p2_id_idx'::regclass;
CREATE INDEX p3_id_idx ON ONLY p3 (id);
CREATE INDEX p3a_id_idx ON p3a (id);
ALTER INDEX p3_id_idx ATTACH PARTITION p3a_id_idx;
CREATE TABLE p5 PARTITION OF p FOR VALUES IN (5);
CREATE TABLE p6 PARTITION OF p FOR VALUES IN (6);
DROP TABLE p6;
CALL dbops.create_index('CREATE INDEX pc ON p (id)');
SELECT * FROM tree('pc');

-- A partition's index that is attached and was found invalid, and its repair.
UPDATE pg_index SET indisvalid = false WHERE indexrelid IN ('pc'::regclass, 'p3_id_idx'::regclass, 'p3b_id_idx'::regclass);
CALL dbops.create_index('CREATE INDEX pc ON p (id)');
REINDEX INDEX CONCURRENTLY p3b_id_idx;
CALL dbops.create_index('CREATE INDEX pc ON p (id)');
SELECT count(*) FROM tree('pc') WHERE NOT valid;

-- Unique: with the partition keys of all levels, and rows that are unique in each partition.
CALL dbops.create_index('CREATE UNIQUE INDEX pu ON p (id)');
CALL dbops.create_index('CREATE UNIQUE INDEX pu ON p (k)');
CALL dbops.create_index('CREATE UNIQUE INDEX pu ON p (k) INCLUDE (id)');
INSERT INTO p VALUES (3, 4), (3, 4);
SET client_min_messages = warning;
CALL dbops.create_index('CREATE UNIQUE INDEX pu ON p (id, k)');
SELECT * FROM tree('pu');
DELETE FROM p WHERE a IS NULL;
CALL dbops.create_index('CREATE UNIQUE INDEX pu ON p (id, k)');
RESET client_min_messages;
SELECT * FROM tree('pu');
CREATE TABLE by_expression (id int) PARTITION BY RANGE ((id + 1));
CALL dbops.create_index('CREATE UNIQUE INDEX ON by_expression (id)');
CALL dbops.create_index('CREATE INDEX ON by_expression (id)');
CALL dbops.create_index('CREATE INDEX ON by_expression (id)');

-- names: one that has another meaning, none, ones that would be the same
CALL dbops.create_index('CREATE INDEX pi ON p (a)');
CALL dbops.create_index('CREATE INDEX pi2 ON p (fold(a)) WHERE k > 0');
CALL dbops.create_index('CREATE INDEX ON ONLY p (a)');
SET client_min_messages = warning;
CREATE TABLE n (id int) PARTITION BY LIST (id);
CREATE TABLE "a name of sixty-three bytes, which differs at its end from others 1" PARTITION OF n FOR VALUES IN (1);
CREATE TABLE "a name of sixty-three bytes, which differs at its end from o'r 2" PARTITION OF n FOR VALUES IN (2);
CALL dbops.create_index('CREATE INDEX ON n (id)');
RESET client_min_messages;
SELECT * FROM tree('n_id_idx');
CALL dbops.create_index('CREATE INDEX ON n (id)');
-- with a second of the same, partitions have two
CALL dbops.create_index('CREATE INDEX n2 ON n (id)', allow_duplicate => true);
CALL dbops.create_index('CREATE INDEX n2 ON n (id)', allow_duplicate => true);
-- a partition alone
CALL dbops.create_index('CREATE INDEX ON p2 (a, id)');

-- Foreign tables have no indexes: the others' are built, and the whole is created at the end.
SET client_min_messages = warning;
DROP INDEX pu;
CREATE FOREIGN DATA WRAPPER regress_cip;
CREATE SERVER regress_cip FOREIGN DATA WRAPPER regress_cip;
CREATE FOREIGN TABLE p9 PARTITION OF p FOR VALUES IN (9) SERVER regress_cip;
RESET client_min_messages;
CALL dbops.create_index('CREATE UNIQUE INDEX pf ON p (id, k)');
CALL dbops.create_index('CREATE INDEX pf ON p (a)', dry_run => true);
CALL dbops.create_index('CREATE INDEX pf ON p (a)');
CALL dbops.create_index('CREATE INDEX pf ON p (a)');
SELECT * FROM tree('pf');

-- The same call, when its job has stopped and the table has changed since, goes on with what it was asked for.
SET client_min_messages = warning;
CREATE TABLE q (id int, k int) PARTITION BY LIST (k);
CREATE TABLE q1 PARTITION OF q FOR VALUES IN (1);
BEGIN;
SELECT dbops.start_create_index('CREATE INDEX qi ON q (id)') AS job \gset
SELECT dbops.pause_job(:job);
COMMIT;
CREATE TABLE q2 PARTITION OF q FOR VALUES IN (2);
\set VERBOSITY sqlstate
CALL dbops.create_index('CREATE INDEX qi ON q (id)', allow_duplicate => true);
\set VERBOSITY default
CALL dbops.create_index('CREATE INDEX qi ON q (id)', lock_timeout => '1 second');
SELECT * FROM tree('qi');
SELECT state, message FROM dbops.job WHERE id = :job;
-- what its closing step relies on is looked at under its locks
CREATE FOREIGN TABLE q9 PARTITION OF q FOR VALUES IN (9) SERVER regress_cip;
BEGIN;
SELECT dbops.start_create_index('CREATE INDEX qk ON q (k)') AS job \gset
SELECT dbops.pause_job(:job);
COMMIT;
CREATE TABLE q3 PARTITION OF q FOR VALUES IN (3);
SELECT dbops.resume_job(:job) = 'queued';
CALL dbops.wait_job(:job, '1 minute', NULL);
SELECT state, message FROM dbops.job WHERE id = :job;
SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('qk');

DROP SCHEMA cip CASCADE;
DROP FOREIGN DATA WRAPPER regress_cip CASCADE;
