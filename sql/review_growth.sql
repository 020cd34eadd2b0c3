-- Rules about partitions and about tables that grow. Time is what the test says.
\set VERBOSITY terse
CREATE FUNCTION pg_temp.found(rule text) RETURNS TABLE (severity text, object text, message text, remedy text)
    LANGUAGE sql AS $$ SELECT f.severity, f.object, f.message, f.remedy FROM dbops.review_schema(ARRAY[rule]) f WHERE f.object LIKE '%review_%' ORDER BY f.key $$;
CREATE SCHEMA review_growth;
SET search_path = review_growth;
SET timezone = 'UTC';
SELECT set_config('dbops.test_now', extract(epoch FROM timestamptz '2026-03-15 12:00+00')::text, false) IS NOT NULL AS now;

-- partitions that end with this month or ended before; with a default that takes the rows
CREATE TABLE "Ends" (at timestamptz) PARTITION BY RANGE (at);
CREATE TABLE ends_3 PARTITION OF "Ends" FOR VALUES FROM ('2026-03-01') TO ('2026-04-01');
CREATE TABLE ended (at date) PARTITION BY RANGE (at);
CREATE TABLE ended_1 PARTITION OF ended FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE ended_2 PARTITION OF ended FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
CREATE TABLE ended_default (at timestamp) PARTITION BY RANGE (at);
CREATE TABLE ended_default_2 PARTITION OF ended_default FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
CREATE TABLE ended_default_rest PARTITION OF ended_default DEFAULT;
-- one is ahead; one has no end; others have no time, or more than it; and one is a part of a range of time
CREATE TABLE ahead (at timestamptz) PARTITION BY RANGE (at);
CREATE TABLE ahead_3 PARTITION OF ahead FOR VALUES FROM ('2026-03-01') TO ('2026-04-01');
CREATE TABLE ahead_4 PARTITION OF ahead FOR VALUES FROM ('2026-04-01') TO ('2026-05-01');
CREATE TABLE endless (at timestamptz) PARTITION BY RANGE (at);
CREATE TABLE endless_1 PARTITION OF endless FOR VALUES FROM (MINVALUE) TO ('2020-01-01');
CREATE TABLE endless_2 PARTITION OF endless FOR VALUES FROM ('2020-01-01') TO (MAXVALUE);
CREATE TABLE infinite (at date) PARTITION BY RANGE (at);
CREATE TABLE infinite_1 PARTITION OF infinite FOR VALUES FROM ('2020-01-01') TO ('infinity');
CREATE TABLE numbers (id int) PARTITION BY RANGE (id);
CREATE TABLE numbers_1 PARTITION OF numbers FOR VALUES FROM (0) TO (10);
CREATE TABLE both_of (at date, id int) PARTITION BY RANGE (at, id);
CREATE TABLE both_1 PARTITION OF both_of FOR VALUES FROM ('2020-01-01', 0) TO ('2020-02-01', 0);
CREATE TABLE listed (at date) PARTITION BY LIST (at);
CREATE TABLE listed_1 PARTITION OF listed FOR VALUES IN ('2020-01-01');
CREATE TABLE ahead_5 PARTITION OF ahead FOR VALUES FROM ('2026-02-01') TO ('2026-03-01') PARTITION BY RANGE (at);
CREATE TABLE ahead_5_1 PARTITION OF ahead_5 FOR VALUES FROM ('2026-02-01') TO ('2026-02-02');
CREATE TABLE empty (at date) PARTITION BY RANGE (at);
SELECT * FROM pg_temp.found('partitions.ahead');
INSERT INTO ended VALUES ('2026-03-15');
SELECT set_config('dbops.test_now', extract(epoch FROM timestamptz '2026-04-01 00:00+00')::text, false) IS NOT NULL AS next_month;
SELECT severity, object, message FROM pg_temp.found('partitions.ahead') WHERE object IN ('review_growth."Ends"', 'review_growth.ahead');
SELECT set_config('dbops.test_now', extract(epoch FROM timestamptz '2026-03-15 12:00+00')::text, false) IS NOT NULL AS now;
CREATE TABLE ends_4 PARTITION OF "Ends" FOR VALUES FROM ('2026-04-01') TO ('2026-05-01');
SELECT object FROM pg_temp.found('partitions.ahead');

-- the default partition of a range is for nothing; that of a list may be meant so
CREATE TABLE rest (at date) PARTITION BY RANGE (at);
CREATE TABLE rest_default PARTITION OF rest DEFAULT;
CREATE TABLE listed_rest PARTITION OF listed DEFAULT;
SELECT object FROM pg_temp.found('partitions.default_filled');
INSERT INTO rest VALUES ('2026-03-01');
INSERT INTO listed VALUES ('2026-03-01');
ANALYZE rest_default, listed_rest;
SELECT * FROM pg_temp.found('partitions.default_filled');

-- tables that only grow, also as partitions; not where rows go, are few, have no time, or were counted anew
CREATE TABLE grows (id int, updated_at timestamptz NOT NULL DEFAULT now(), "createdAt" timestamptz NOT NULL DEFAULT now());
CREATE TABLE grows_parted (id int, at timestamptz NOT NULL DEFAULT '2026-03-01') PARTITION BY RANGE (at);
CREATE TABLE grows_parted_3 PARTITION OF grows_parted FOR VALUES FROM ('2026-03-01') TO ('2030-04-01');
CREATE TABLE shrinks (id int, at timestamptz DEFAULT now());
CREATE TABLE few (id int, at timestamptz DEFAULT now());
CREATE TABLE timeless (id int);
CREATE TABLE recounted (id int, at timestamptz DEFAULT now());
INSERT INTO grows SELECT generate_series(1, 100000);
INSERT INTO grows_parted SELECT generate_series(1, 100000);
INSERT INTO shrinks SELECT generate_series(1, 100001);
INSERT INTO few SELECT generate_series(1, 1000);
INSERT INTO timeless SELECT generate_series(1, 100000);
INSERT INTO recounted SELECT generate_series(1, 100000);
DELETE FROM shrinks WHERE id = 1;
ANALYZE recounted;
SELECT pg_stat_force_next_flush();
SELECT pg_stat_reset_single_table_counters('recounted'::regclass);
SELECT * FROM pg_temp.found('retention.undefined');
SELECT dbops.set_retention('grows', 'createdAt', interval '100 years') IS NOT NULL AS set;
SELECT object FROM pg_temp.found('retention.undefined');
SELECT dbops.remove_retention('grows');

-- very large, by the length that the catalog has
CREATE TABLE piece (id int, at timestamptz NOT NULL);
CREATE TABLE piece_smaller (id int, at timestamptz NOT NULL);
UPDATE pg_class SET relpages = 13107200 WHERE oid = 'piece'::regclass;
UPDATE pg_class SET relpages = 13107199 WHERE oid = 'piece_smaller'::regclass;
SELECT * FROM pg_temp.found('tables.large_unpartitioned');

-- soft delete where nothing need be restored; a blog is no log
CREATE TABLE sessions (id int, deleted_at timestamptz);
CREATE TABLE "errorLog" (id int, "isDeleted" boolean);
CREATE TABLE blog (id int, deleted_at timestamptz);
CREATE TABLE catalog_items (id int, deleted_at timestamptz);
CREATE TABLE log_levels (id int, deleted_at timestamptz);
CREATE TABLE api_tokens (id int, expires_at timestamptz);
SELECT * FROM pg_temp.found('soft_delete.transient');
SELECT remedy FROM pg_temp.found('soft_delete.transient') \gexec
SELECT object FROM pg_temp.found('soft_delete.transient');

-- changes that are written nowhere, for who asks
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER keep AFTER UPDATE OR DELETE ON few FOR EACH ROW EXECUTE FUNCTION keep();
CREATE TRIGGER keep AFTER UPDATE ON timeless FOR EACH ROW EXECUTE FUNCTION keep();
SELECT * FROM pg_temp.found('audit.missing') WHERE object ~ '(few|timeless)$';
SELECT count(*) FROM dbops.review_schema() WHERE check_name = 'audit.missing';

RESET dbops.test_now;
DROP SCHEMA review_growth CASCADE;
