-- Mistakes that reports on indexes are known for (in brackets by whom): what looks
-- as if it could go and cannot, or the reverse. Each report has a test of its own
-- besides; here is what must not come back.
CREATE SCHEMA mistakes;
SET search_path = mistakes, public;
CREATE VIEW duplicates AS
    SELECT index_name, kind, replaced_by, safe_to_drop FROM dbops.find_duplicate_indexes() JOIN pg_class c ON c.oid = index_name
     WHERE relnamespace = 'mistakes'::regnamespace ORDER BY relname COLLATE "C";
CREATE VIEW unused AS
    SELECT index_name, backs, safe_to_drop, statement FROM dbops.find_unused_indexes() JOIN pg_class c ON c.oid = index_name
     WHERE relnamespace = 'mistakes'::regnamespace ORDER BY relname COLLATE "C";
SELECT extract(epoch FROM now() + interval '40 days')::int AS later \gset

-- columns compared as text: (a) is no prefix of (ab), nor (a, b) of (a, bc) [pglinter B002]
CREATE TABLE names (a int, ab int, b int, bc int, "a, b" int);
CREATE INDEX names_a ON names (a);
CREATE INDEX names_ab ON names (ab, b);
CREATE INDEX names_both ON names ("a, b");
SELECT * FROM duplicates;
CREATE INDEX names_a_b ON names (a, b);
CREATE INDEX names_a_bc ON names (a, bc);
SELECT * FROM duplicates;
DROP TABLE names;

-- a prefix that enforces something, has fewer rows or another expression [pglinter B002]
CREATE TABLE prefix (a int, b int, c text);
CREATE UNIQUE INDEX prefix_unique ON prefix (a);
CREATE INDEX prefix_partial ON prefix (a) WHERE b > 0;
CREATE INDEX prefix_expression ON prefix (abs(a));
CREATE INDEX prefix_ab ON prefix (a, b);
CREATE INDEX prefix_abs_b ON prefix (abs(a + 1), b);
SELECT * FROM duplicates;
CREATE INDEX prefix_a ON prefix (a);
SELECT * FROM duplicates;
DROP TABLE prefix;

-- (a, b) and (a, b DESC) serve different orders [pg-index-health duplicated_indexes]
CREATE TABLE orders (a int, b int);
CREATE INDEX orders_1 ON orders (a, b);
CREATE INDEX orders_2 ON orders (a, b DESC);
CREATE INDEX orders_3 ON orders (a, b NULLS FIRST);
SELECT * FROM duplicates;
CREATE INDEX orders_4 ON orders (a, b ASC NULLS LAST);
SELECT * FROM duplicates;
DROP TABLE orders;

-- a plain index beside a unique one of the same columns is one too many [splinter duplicate_index]
CREATE TABLE beside (a int UNIQUE);
CREATE INDEX beside_plain ON beside (a);
SELECT * FROM duplicates;
DROP TABLE beside;

-- operator classes, collations, included columns, methods [pghero #64, #251, #354, #508]
CREATE TABLE alike (a text, b text);
CREATE INDEX alike_1 ON alike (a);
CREATE INDEX alike_2 ON alike (a text_pattern_ops);
CREATE INDEX alike_3 ON alike (a COLLATE "C");
CREATE INDEX alike_4 ON alike (a) INCLUDE (b);
CREATE INDEX alike_5 ON alike USING hash (a);
SELECT * FROM duplicates;
DROP TABLE alike;

-- a foreign key is served by an index of the table that has it, not of the one that it refers to [postgres_dba supports_fk]
CREATE TABLE referred (id int PRIMARY KEY, other int);
CREATE TABLE refers (id int, referred_id int REFERENCES referred);
CREATE INDEX referred_other ON referred (other);
CREATE INDEX refers_id ON refers (id);
CREATE INDEX refers_referred_id ON refers (referred_id);
DO $$ BEGIN FOR i IN 1 .. 100 LOOP PERFORM FROM mistakes.referred; PERFORM FROM mistakes.refers; END LOOP; END $$;
SELECT pg_stat_force_next_flush();
SET dbops.test_now = :later;
SELECT * FROM unused;
RESET dbops.test_now;
DROP TABLE refers, referred;

-- a unique index works without being scanned; some methods count entries and no scans [nightscout #1158, pgroonga #1001]
CREATE TABLE counted (id int PRIMARY KEY, a int UNIQUE, b int);
CREATE INDEX counted_b ON counted (b);
DO $$ BEGIN FOR i IN 1 .. 100 LOOP PERFORM FROM mistakes.counted; END LOOP; END $$;
SELECT pg_stat_force_next_flush();
SET dbops.test_now = :later;
SELECT * FROM unused;
SELECT dbops.import_index_usage('regress_mistakes', jsonb_build_object('observed_since', to_timestamp(0), 'taken_at', to_timestamp(:later),
       'indexes', jsonb_build_array(jsonb_build_object('name', 'mistakes.counted_b', 'scans', 0, 'tuples_read', 4, 'tuples_fetched', 0))));
SELECT * FROM unused;
SELECT dbops.forget_index_usage('regress_mistakes');
RESET dbops.test_now;
DROP TABLE counted;

-- a partitioned index that waits for its partitions is no orphan [splinter #179]
CREATE TABLE waiting (a int) PARTITION BY RANGE (a);
CREATE TABLE waiting_1 PARTITION OF waiting FOR VALUES FROM (0) TO (10);
CREATE INDEX waiting_a ON ONLY waiting (a);
SELECT index_name, state, safe_to_drop, statement FROM dbops.find_invalid_indexes() WHERE table_name = 'waiting'::regclass;
DROP TABLE waiting;

-- candidates are no DDL for every column, leave out what an index begins with, and harm no prepared statement [index_advisor, pg_qualstats]
CREATE EXTENSION pg_stat_statements SCHEMA public;
SET pg_stat_statements.track = 'all';
CREATE TABLE scanned (id int, a int, b int, c int);
INSERT INTO scanned SELECT g, g, g, g FROM generate_series(1, 12000) g;
CREATE INDEX scanned_a ON scanned (a);
ANALYZE scanned;
SET max_parallel_workers_per_gather = 0;
DO $$ BEGIN FOR i IN 1 .. 12 LOOP PERFORM FROM mistakes.scanned WHERE a > 0 AND b = 1; END LOOP; END $$;
SELECT pg_stat_force_next_flush();
PREPARE kept AS SELECT 'still here' AS prepared;
SELECT candidate_columns, reason
  FROM dbops.find_missing_indexes() WHERE table_name = 'scanned'::regclass;
EXECUTE kept;

RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA mistakes CASCADE;
DROP EXTENSION pg_stat_statements;
