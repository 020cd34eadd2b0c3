-- Rules about indexes that can go, and tables that may lack one: what the reports
-- find, as findings, with a near miss for each. The clock is set ahead, so that
-- indexes are old.
CREATE SCHEMA review_unneeded;
SET search_path = review_unneeded;
CREATE FUNCTION pg_temp.found(rule text) RETURNS TABLE (severity text, object text, message text, remedy text)
    LANGUAGE sql AS $$ SELECT f.severity, f.object, f.message, f.remedy FROM dbops.review_schema(ARRAY[rule]) f WHERE f.object LIKE 'review_unneeded.%' ORDER BY f.key $$;
CREATE TABLE t (a int, b int, c int);
INSERT INTO t SELECT g, g, g FROM generate_series(1, 60000) g;
CREATE INDEX t_a ON t (a);
CREATE INDEX t_ab ON t (a, b);
CREATE INDEX t_ba ON t (b, a);
ALTER TABLE t ADD CONSTRAINT t_once UNIQUE (c), ADD CONSTRAINT t_twice UNIQUE (c);
CREATE TABLE small (a int);
CREATE INDEX small_a ON small (a);
CREATE INDEX small_invalid ON small (a);
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'small_invalid'::regclass;
SELECT count(*) FROM small;
ANALYZE t;
SET max_parallel_workers_per_gather = 0;
DO $$ BEGIN FOR i IN 1 .. 100 LOOP PERFORM count(*) FROM review_unneeded.t WHERE c + 0 = i; END LOOP; END $$;
SELECT pg_stat_force_next_flush();

SELECT * FROM pg_temp.found('indexes.invalid');
SELECT * FROM pg_temp.found('indexes.duplicate');
-- and those of long values
CREATE TABLE long (a text);
UPDATE pg_index SET indisvalid = false FROM pg_class c WHERE c.oid = 'long'::regclass AND indrelid = c.reltoastrelid;
SELECT f.severity, split_part(f.message, ':', 1) AS message FROM dbops.review_schema('{indexes.invalid}') f JOIN pg_index i ON i.indexrelid = f.object::regclass JOIN pg_class c ON c.reltoastrelid = i.indrelid WHERE c.oid = 'long'::regclass;
UPDATE pg_index SET indisvalid = true FROM pg_class c WHERE c.oid = 'long'::regclass AND indrelid = c.reltoastrelid;
-- what the health check of that name finds has the same key
SELECT count(*) FROM dbops.review_schema('{indexes.invalid}') r JOIN dbops.health_checks() h USING (key) WHERE r.key LIKE '%review_unneeded%';
-- young indexes are no findings, small ones never
SELECT * FROM pg_temp.found('indexes.unused');
SELECT extract(epoch FROM now() + interval '40 days')::int AS later \gset
SET dbops.test_now = :later;
SELECT severity, object, regexp_replace(message, '[0-9.]+ days, since [0-9-]+', 'n days, since then') AS message, remedy FROM pg_temp.found('indexes.unused');
RESET dbops.test_now;
SELECT severity, object, message LIKE '% sequential scans in which % rows were read; candidate; %' AS message FROM pg_temp.found('tables.read_by_scans');

RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA review_unneeded CASCADE;
