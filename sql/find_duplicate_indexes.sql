-- find_duplicate_indexes: which index does the work of which, for each way in
-- which two can be alike, and each in which they only look it.
CREATE SCHEMA dup;
SET search_path = dup, public;
CREATE VIEW found AS
    SELECT index_name, kind, replaced_by, backs, safe_to_drop, reason, statement
      FROM dbops.find_duplicate_indexes() JOIN pg_class c ON c.oid = index_name
     WHERE relnamespace = 'dup'::regnamespace ORDER BY relname;

-- the same; of three, one stays, and it is the oldest
CREATE TABLE same (a int, b int, c text);
CREATE INDEX same_1 ON same (a, b);
CREATE INDEX same_2 ON same (a, b);
CREATE INDEX same_3 ON same (a, b) WITH (fillfactor = 50);
SELECT * FROM found;
-- near misses: the order of columns, a direction, nulls, a method
CREATE INDEX same_ba ON same (b, a);
CREATE INDEX same_desc ON same (a, b DESC);
CREATE INDEX same_nulls ON same (a, b NULLS FIRST);
CREATE INDEX same_hash ON same USING hash (a);
CREATE INDEX same_brin ON same USING brin (a, b);
SELECT index_name, replaced_by FROM found;
-- all directions reversed: the same read backward
CREATE INDEX same_back ON same (a DESC, b DESC);
SELECT index_name, kind, replaced_by FROM found WHERE index_name = 'same_back'::regclass;
DROP TABLE same;

-- operator classes, their parameters, collations
CREATE EXTENSION pg_trgm;
CREATE TABLE class (c text, v varchar);
CREATE INDEX class_1 ON class (c);
CREATE INDEX class_pattern ON class (c text_pattern_ops);
CREATE INDEX class_c ON class (c COLLATE "C");
CREATE INDEX class_v ON class (v);
CREATE INDEX class_v_text ON class (v text_ops);
CREATE INDEX class_trgm ON class USING gist (c gist_trgm_ops (siglen = 32));
CREATE INDEX class_trgm_64 ON class USING gist (c gist_trgm_ops (siglen = 64));
CREATE INDEX class_trgm_same ON class USING gist (c gist_trgm_ops (siglen = 32));
SELECT index_name, kind, replaced_by FROM found;
DROP TABLE class;
DROP EXTENSION pg_trgm;

-- a prefix, also read backward; only of a btree, and never the longer one
CREATE TABLE prefix (a int, b int, c int, d int[]);
CREATE INDEX prefix_abc ON prefix (a, b DESC, c);
CREATE INDEX prefix_ab ON prefix (a, b DESC);
CREATE INDEX prefix_a ON prefix (a DESC);
CREATE INDEX prefix_back ON prefix (a DESC, b);
CREATE INDEX prefix_not ON prefix (a, b);
CREATE INDEX prefix_b ON prefix (b);
CREATE INDEX prefix_gin ON prefix USING gin (d);
CREATE INDEX prefix_brin ON prefix USING brin (a);
CREATE INDEX prefix_brin_ab ON prefix USING brin (a, b);
CREATE INDEX prefix_brin_a64 ON prefix USING brin (a) WITH (pages_per_range = 64);
SELECT index_name, kind, replaced_by FROM found;
DROP TABLE prefix;

-- included columns must be there, as keys or included
CREATE TABLE incl (a int, b int, c int);
CREATE INDEX incl_a_c ON incl (a) INCLUDE (c);
CREATE INDEX incl_ab ON incl (a, b);
SELECT index_name, replaced_by FROM found;
CREATE INDEX incl_ab_c ON incl (a, b) INCLUDE (c);
SELECT index_name, kind, replaced_by FROM found;
DROP INDEX incl_ab_c, incl_ab;
CREATE INDEX incl_ac ON incl (a, c);
CREATE INDEX incl_a ON incl (a);
SELECT index_name, kind, replaced_by FROM found;
DROP TABLE incl;

-- predicates: the same however they are written; a narrower one is another index
CREATE TABLE part (a int, state text, gone bool);
CREATE INDEX part_1 ON part (a) WHERE state = 'new' AND NOT gone;
CREATE INDEX part_2 ON part (a) WHERE   NOT gone  AND state='new'::text;
CREATE INDEX part_new ON part (a) WHERE state = 'new';
CREATE INDEX part_old ON part (a) WHERE state = 'old';
CREATE INDEX part_all ON part (a);
SELECT index_name, kind, replaced_by FROM found;
DROP TABLE part;

-- expressions
CREATE TABLE expr (a text, b text);
CREATE INDEX expr_1 ON expr (lower(a), b);
CREATE INDEX expr_2 ON expr (lower( a ), b);
CREATE INDEX expr_lower ON expr (lower(a));
CREATE INDEX expr_b ON expr (lower(b));
CREATE INDEX expr_upper ON expr (upper(a));
SELECT index_name, kind, replaced_by FROM found;
DROP TABLE expr;

-- unique beside plain; what keeps a constraint stays, and is never said to be safe
CREATE TABLE uniq (a int NOT NULL, b int, c int);
CREATE INDEX uniq_plain ON uniq (a);
ALTER TABLE uniq ADD CONSTRAINT uniq_key UNIQUE (a);
SELECT * FROM found;
CREATE UNIQUE INDEX uniq_index ON uniq (a);
ALTER TABLE uniq ADD CONSTRAINT uniq_again UNIQUE (a);
SELECT * FROM found;
DROP INDEX uniq_plain, uniq_index;
ALTER TABLE uniq DROP CONSTRAINT uniq_again;
-- a foreign key refers to the younger one: the older one goes
CREATE UNIQUE INDEX uniq_b ON uniq (b);
CREATE UNIQUE INDEX uniq_b2 ON uniq (b);
CREATE TABLE refers (b int);
ALTER TABLE refers ADD FOREIGN KEY (b) REFERENCES uniq (b);
SELECT (SELECT conindid FROM pg_constraint WHERE conrelid = 'refers'::regclass) = replaced_by AS stays, safe_to_drop FROM found;
DROP TABLE refers;
DROP INDEX uniq_b, uniq_b2;
-- what is enforced otherwise: another set of rows, nulls, at another time
CREATE UNIQUE INDEX uniq_1 ON uniq (b) WHERE c > 0;
CREATE UNIQUE INDEX uniq_2 ON uniq (b);
CREATE UNIQUE INDEX uniq_bc ON uniq (b, c);
CREATE UNIQUE INDEX uniq_nulls ON uniq (b, c) NULLS NOT DISTINCT;
ALTER TABLE uniq ADD CONSTRAINT uniq_later UNIQUE (c) DEFERRABLE;
SELECT index_name, kind, replaced_by FROM found;
CREATE UNIQUE INDEX uniq_now ON uniq (c);
SELECT index_name, kind, replaced_by, safe_to_drop FROM found WHERE index_name IN ('uniq_now'::regclass, 'uniq_later'::regclass);
DROP TABLE uniq;

-- needed for something else
CREATE TABLE needed (a int NOT NULL);
CREATE INDEX needed_1 ON needed (a);
CREATE INDEX needed_cluster ON needed (a);
CLUSTER needed USING needed_cluster;
CREATE UNIQUE INDEX needed_u1 ON needed (a);
CREATE UNIQUE INDEX needed_u2 ON needed (a);
ALTER TABLE needed REPLICA IDENTITY USING INDEX needed_u2;
SELECT index_name, kind, replaced_by, backs, safe_to_drop, reason FROM found;
DROP TABLE needed;

-- a small one that is used is not the same as a large one that begins with it
CREATE TABLE small (a int, b text);
INSERT INTO small SELECT g % 10, repeat(md5(g::text), 3) FROM generate_series(1, 2000) g;
CREATE INDEX small_a ON small (a);
CREATE INDEX small_ab ON small (a, b);
SELECT kind, safe_to_drop FROM found;
-- that nobody has used it is known once it was watched for long enough
SELECT extract(epoch FROM now() + interval '40 days')::int AS later \gset
SET dbops.test_now = :later;
SELECT kind, safe_to_drop FROM found;
RESET dbops.test_now;
DROP INDEX small_ab;
SET enable_seqscan = off;
SELECT count(*) FROM small WHERE a = 3;
RESET enable_seqscan;
SELECT pg_stat_force_next_flush();
CREATE INDEX small_ab ON small (a, b);
SELECT kind, safe_to_drop, regexp_replace(reason, '[0-9]+ kB', 'n kB', 'g') AS reason, statement FROM found;
DROP TABLE small;

-- partitioned: once, for all partitions; one that is made on a partition is its own
CREATE TABLE tree (a int, b int) PARTITION BY RANGE (a);
CREATE TABLE tree_1 PARTITION OF tree FOR VALUES FROM (0) TO (10);
CREATE TABLE tree_2 (b int, gone int, a int);
ALTER TABLE tree_2 DROP gone;
ALTER TABLE tree ATTACH PARTITION tree_2 FOR VALUES FROM (10) TO (20);
CREATE INDEX tree_b ON tree (b);
CREATE INDEX tree_ba ON tree (b, a);
CREATE INDEX tree_2_own ON tree_2 (b, a);
SELECT index_name, kind, replaced_by, safe_to_drop, reason, statement FROM found;
DROP TABLE tree;

-- what needs the index of one partition needs all of it
CREATE TABLE identified (a int NOT NULL, b int) PARTITION BY RANGE (a);
CREATE TABLE identified_1 PARTITION OF identified FOR VALUES FROM (0) TO (10);
CREATE UNIQUE INDEX identified_u1 ON identified (a);
CREATE UNIQUE INDEX identified_u2 ON identified (a);
ALTER TABLE identified_1 REPLICA IDENTITY USING INDEX identified_1_a_idx1;
SELECT index_name, kind, replaced_by, safe_to_drop, statement FROM found;
DROP TABLE identified;
CREATE TABLE clustered (a int NOT NULL) PARTITION BY RANGE (a);
CREATE TABLE clustered_1 PARTITION OF clustered FOR VALUES FROM (0) TO (10);
CREATE INDEX clustered_1st ON clustered (a);
CREATE INDEX clustered_2nd ON clustered (a);
ALTER TABLE clustered_1 CLUSTER ON clustered_1_a_idx;
SELECT index_name, replaced_by, safe_to_drop, statement FROM found;
ALTER TABLE clustered_1 CLUSTER ON clustered_1_a_idx1;
SELECT index_name, replaced_by, safe_to_drop, statement FROM found;
DROP TABLE clustered;
CREATE TABLE kept (a int NOT NULL) PARTITION BY RANGE (a);
CREATE TABLE kept_1 PARTITION OF kept FOR VALUES FROM (0) TO (10);
ALTER TABLE kept_1 ADD CONSTRAINT kept_1_once UNIQUE (a);
CREATE UNIQUE INDEX kept_a ON kept (a);
ALTER TABLE kept ADD CONSTRAINT kept_once UNIQUE (a);
SELECT index_name, replaced_by, backs, safe_to_drop, reason FROM found;
DROP TABLE kept;

-- a small one that is read is not replaced by a large one, though the keys are the same
CREATE TABLE wide (a int, doc text);
INSERT INTO wide SELECT g % 100, (SELECT string_agg(md5((g * 10 + i)::text), '') FROM generate_series(1, 10) i) FROM generate_series(1, 2000) g;
CREATE INDEX wide_a_doc ON wide (a) INCLUDE (doc);
CREATE INDEX wide_a ON wide (a);
SELECT index_name, replaced_by, safe_to_drop FROM found;
ANALYZE wide;
SET enable_seqscan = off;
SET enable_indexonlyscan = off;
SELECT count(*) FROM wide WHERE a = 1;
RESET enable_seqscan;
RESET enable_indexonlyscan;
SELECT pg_stat_force_next_flush();
SELECT index_name, kind, replaced_by, safe_to_drop FROM found;
-- nor while both happen to be empty
TRUNCATE wide;
SELECT index_name, kind, safe_to_drop, reason FROM found;
DROP TABLE wide;

-- what a partition has by itself is not dropped for what goes with the partitioned index that it is a part of
CREATE TABLE turns (a int, b int, c text) PARTITION BY RANGE (a);
CREATE TABLE turns_1 PARTITION OF turns FOR VALUES FROM (0) TO (10);
CREATE INDEX turns_b ON turns (b);
CREATE INDEX turns_bc ON turns (b, c);
CREATE INDEX turns_own ON turns_1 (b);
SELECT index_name, replaced_by, safe_to_drop, reason, statement FROM found;
DROP INDEX turns_b;
SELECT index_name, replaced_by, safe_to_drop, statement FROM found;
DROP TABLE turns;

-- a foreign key that finds its rows by either is told
CREATE TABLE referred (id int PRIMARY KEY);
CREATE TABLE refers (r int REFERENCES referred, q int);
CREATE INDEX refers_r ON refers (r);
CREATE INDEX refers_rq ON refers (r, q);
SELECT index_name, replaced_by, backs, safe_to_drop FROM found;
DROP TABLE refers, referred;

-- invalid ones count on neither side; names are quoted; temporary tables are left out
CREATE TABLE "Odd ""T" (a int);
CREATE INDEX "Odd 1" ON "Odd ""T" (a);
CREATE INDEX "Odd ""2" ON "Odd ""T" (a);
SELECT index_name, replaced_by, statement FROM found;
BEGIN;
UPDATE pg_index SET indisvalid = false WHERE indexrelid = '"Odd 1"'::regclass;
SELECT count(*) FROM found;
ROLLBACK;
DROP TABLE "Odd ""T";
CREATE TEMP TABLE duptemp (a int);
CREATE INDEX ON duptemp (a);
CREATE INDEX ON duptemp (a);
SELECT count(*) FROM dbops.find_duplicate_indexes() WHERE table_name = 'duptemp'::regclass;
DROP TABLE duptemp;

-- columns that are common to the reports on indexes
CREATE TABLE cols (a int);
CREATE INDEX cols_1 ON cols (a);
CREATE INDEX cols_2 ON cols (a);
SELECT table_name, size_bytes, scans, last_scan, observed_since <= now() AS since, nodes FROM dbops.find_duplicate_indexes() WHERE table_name = 'cols'::regclass;

RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA dup CASCADE;
