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
INSERT INTO ended VALUES ('2026-01-15');
SELECT pg_stat_force_next_flush();
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
-- nothing went into an archive; what is seldom asked for is asked for thirty days before, not eleven months
CREATE TABLE archive (at date) PARTITION BY RANGE (at);
CREATE TABLE archive_2019 PARTITION OF archive FOR VALUES FROM ('2019-01-01') TO ('2020-01-01');
CREATE TABLE yearly (at date) PARTITION BY RANGE (at);
CREATE TABLE yearly_2026 PARTITION OF yearly FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE yearly_late (at date) PARTITION BY RANGE (at);
CREATE TABLE yearly_late_1 PARTITION OF yearly_late FOR VALUES FROM ('2025-04-13') TO ('2026-04-13');
-- a day beyond all timestamps is no end; a part of a range of numbers is judged by itself
CREATE TABLE far (at date) PARTITION BY RANGE (at);
CREATE TABLE far_1 PARTITION OF far FOR VALUES FROM ('2000-01-01') TO ('300000-01-01');
CREATE TABLE by_tenant (tenant int, at date) PARTITION BY RANGE (tenant);
CREATE TABLE by_tenant_1 PARTITION OF by_tenant FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (at);
CREATE TABLE by_tenant_1_1 PARTITION OF by_tenant_1 FOR VALUES FROM ('2019-01-01') TO ('2020-01-01');
CREATE TABLE by_month (tenant int, at date) PARTITION BY RANGE (at);
CREATE TABLE by_month_4 PARTITION OF by_month FOR VALUES FROM ('2026-03-01') TO ('2030-04-01') PARTITION BY LIST (tenant);
CREATE TABLE by_month_4_1 PARTITION OF by_month_4 FOR VALUES IN (1) PARTITION BY RANGE (at);
CREATE TABLE by_month_4_1_1 PARTITION OF by_month_4_1 FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
SELECT severity, object, message FROM pg_temp.found('partitions.ahead') WHERE object ~ '(archive|yearly|far|by_)';
-- a gap at now is one, whatever comes later; so are partitions that all begin later, and a last one that ends where timestamps begin
CREATE TABLE gap (at timestamptz) PARTITION BY RANGE (at);
CREATE TABLE gap_1 PARTITION OF gap FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE gap_2 PARTITION OF gap FOR VALUES FROM ('2030-01-01') TO (MAXVALUE);
CREATE TABLE gap_soon (at timestamptz) PARTITION BY RANGE (at);
CREATE TABLE gap_soon_1 PARTITION OF gap_soon FOR VALUES FROM (MINVALUE) TO ('2026-03-20 00:00+00');
CREATE TABLE gap_soon_2 PARTITION OF gap_soon FOR VALUES FROM ('2030-01-01') TO ('2031-01-01');
CREATE TABLE gap_later (at timestamptz) PARTITION BY RANGE (at);
CREATE TABLE gap_later_1 PARTITION OF gap_later FOR VALUES FROM ('2030-01-01') TO ('2031-01-01');
CREATE TABLE gap_none (at timestamp) PARTITION BY RANGE (at);
CREATE TABLE gap_none_2 PARTITION OF gap_none FOR VALUES FROM ('2026-03-01') TO (MAXVALUE);
CREATE TABLE gap_none_1 PARTITION OF gap_none FOR VALUES FROM (MINVALUE) TO ('2000-01-01');
CREATE TABLE gap_2000 (at timestamp) PARTITION BY RANGE (at);
CREATE TABLE gap_2000_1 PARTITION OF gap_2000 FOR VALUES FROM (MINVALUE) TO ('2000-01-01');
SELECT severity, object, message FROM pg_temp.found('partitions.ahead') WHERE object ~ 'gap';
-- a policy that does not get on is not replaced by another one
CREATE TABLE kept (at date NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE kept_1 PARTITION OF kept FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
SELECT dbops.set_partitioning('kept', '1 month', keep => '1 year') IS NOT NULL AS set;
SELECT * FROM pg_temp.found('partitions.ahead') WHERE object ~ 'kept';
SELECT dbops.remove_partitioning('kept');
DROP TABLE archive, yearly, yearly_late, far, by_tenant, by_month, kept, gap, gap_soon, gap_later, gap_none, gap_2000;
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
CREATE TABLE numbered_rest (id int) PARTITION BY RANGE (id);
CREATE TABLE numbered_rest_default PARTITION OF numbered_rest DEFAULT;
INSERT INTO numbered_rest VALUES (11);
ANALYZE numbered_rest_default;
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
CREATE TABLE loaded (id int, at timestamptz DEFAULT now());
CREATE TABLE customers (id int PRIMARY KEY, at timestamptz DEFAULT now());
CREATE TABLE customer_notes (customer int REFERENCES customers);
INSERT INTO loaded SELECT generate_series(1, 100000);
INSERT INTO customers SELECT generate_series(1, 100000);
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
-- without a history of sizes more is not known; with one, what was loaded once does not grow; and what is referenced is no event
SELECT severity, object, message FROM pg_temp.found('retention.undefined');
CREATE TABLE relation_1d_209001 PARTITION OF dbops.relation_1d FOR VALUES FROM ('2090-01-01') TO ('2090-02-01');
INSERT INTO dbops.relation_1d (relid, at, bytes)
SELECT t::regclass, timestamptz '2090-01-01 00:00+00' + d * interval '1 day', CASE WHEN t = 'loaded' THEN least(d, 2) ELSE d END * 8192
  FROM unnest('{grows,grows_parted_3,shrinks,few,timeless,recounted,loaded,customers}'::text[]) t, generate_series(1, 4) d;
SELECT set_config('dbops.test_now', extract(epoch FROM timestamptz '2090-01-20 12:00+00')::text, false) IS NOT NULL AS weeks_later;
SELECT * FROM pg_temp.found('retention.undefined');
SELECT dbops.set_retention('grows', 'createdAt', interval '100 years') IS NOT NULL AS set;
SELECT object FROM pg_temp.found('retention.undefined');
SELECT dbops.remove_retention('grows');
DROP TABLE relation_1d_209001;
SELECT set_config('dbops.test_now', extract(epoch FROM timestamptz '2026-03-15 12:00+00')::text, false) IS NOT NULL AS now;

-- very large, by the length that the catalog has
CREATE TABLE piece (id int, at timestamptz NOT NULL);
CREATE TABLE piece_smaller (id int, at timestamptz NOT NULL);
UPDATE pg_class SET relpages = 13107200 WHERE oid = 'piece'::regclass;
UPDATE pg_class SET relpages = 13107199 WHERE oid = 'piece_smaller'::regclass;
SELECT * FROM pg_temp.found('tables.large_unpartitioned');

-- soft delete where nothing need be restored; a blog is no log
CREATE TABLE sessions (id int, deleted_at timestamptz);
CREATE TABLE "errorLog" (id int, "isDeleted" boolean);
CREATE DOMAIN flag AS boolean;
CREATE TABLE caches (id int, deleted flag);
CREATE TABLE user_tokens (id int, is_deleted int NOT NULL DEFAULT 0);
-- when something was deleted, which is all that is logged here, marks no row
CREATE TABLE deletion_log (id int, deleted_at timestamptz NOT NULL);
CREATE TABLE removal_log (id int, deleted_at timestamptz DEFAULT now());
CREATE TABLE blog (id int, deleted_at timestamptz);
CREATE TABLE catalog_items (id int, deleted_at timestamptz);
CREATE TABLE log_levels (id int, deleted_at timestamptz);
CREATE TABLE api_tokens (id int, expires_at timestamptz);
SELECT * FROM pg_temp.found('soft_delete.transient');

-- changes that are written nowhere, for who asks
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER keep AFTER UPDATE OR DELETE ON few FOR EACH ROW EXECUTE FUNCTION keep();
CREATE TRIGGER keep AFTER UPDATE ON timeless FOR EACH ROW EXECUTE FUNCTION keep();
SELECT * FROM pg_temp.found('audit.missing') WHERE object ~ '(few|timeless)$';
SELECT count(*) FROM dbops.review_schema() WHERE check_name = 'audit.missing';

RESET dbops.test_now;
DROP SCHEMA review_growth CASCADE;
