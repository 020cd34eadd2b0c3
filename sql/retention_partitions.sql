-- Retention of partitioned tables: partitions go as a whole, but for what keeps them.
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET dbops.test_now = 1911772800;	-- 2030-08-01 00:00 UTC
SET dbops.max_xmin_age = -1;	-- the processes of the server live in another time
CREATE TABLE regress_event (at timestamptz NOT NULL, n integer) PARTITION BY RANGE (at);
SELECT format('CREATE TABLE regress_event_%s PARTITION OF regress_event FOR VALUES FROM (%L) TO (%L)', i,
  timestamptz '2030-01-01' + i * interval '1 month', timestamptz '2030-01-01' + (i + 1) * interval '1 month') FROM generate_series(0, 9) i \gexec
INSERT INTO regress_event SELECT timestamptz '2030-01-01' + i * interval '1 day', i FROM generate_series(0, 250) i;
CREATE TABLE regress_event_archive (LIKE regress_event);

-- Three of ten are more than is usual; one is held in part; the one with the cutoff stays until it is whole.
SELECT dbops.set_retention('regress_event', 'at', '3 months 10 days', archive_to => 'regress_event_archive');
SELECT dbops.place_hold('regress_event_1', 'n = 40', 'one row of February') > 0 AS placed;
SELECT step, method, object, row_count, risk FROM dbops.retention_plan('regress_event');
CALL dbops.run_retention('regress_event');
CALL dbops.run_retention('regress_event', confirm => true);
SELECT tableoid::regclass, count(*), min(n) FROM regress_event GROUP BY 1 ORDER BY 1 LIMIT 2;
SELECT count(*), max(n) FROM regress_event_archive;
SELECT object, action, outcome, message FROM dbops.maintenance_report('2030-07-31') WHERE outcome <> 'failed' AND object LIKE '%event%' ORDER BY 1, 2, 3;
SELECT dbops.release_hold(id) FROM dbops.holds() WHERE in_force;
CALL dbops.run_retention('regress_event');
SELECT relid FROM pg_partition_tree('regress_event') WHERE level = 1 ORDER BY 1 LIMIT 1;

-- Old rows of a default partition go one by one.
CREATE TABLE regress_event_rest PARTITION OF regress_event DEFAULT;
INSERT INTO regress_event VALUES ('2029-12-01', -1), ('2040-01-01', -2);
SELECT dbops.set_retention('regress_event', 'at', '3 months', confirm => true);
SELECT method, object, row_count FROM dbops.retention_plan('regress_event');
CALL dbops.run_retention('regress_event');
SELECT n FROM regress_event WHERE n < 0;
SELECT message FROM dbops.job WHERE kind = 'retention' ORDER BY id DESC LIMIT 1;
SELECT count(*) FROM pg_partition_tree('regress_event');

-- With a filter no partition goes as a whole.
SELECT dbops.set_retention('regress_event', 'at', '1 month', filter => 'n % 2 = 0', confirm => true);
CALL dbops.run_retention('regress_event');
SELECT count(*), bool_and(n % 2 <> 0) FROM regress_event WHERE at < '2030-07-01';
SELECT count(*) FROM pg_partition_tree('regress_event');

-- A partition whose rows others refer to stays, and so do these rows.
CREATE TABLE regress_kept (day date PRIMARY KEY) PARTITION BY RANGE (day);
CREATE TABLE regress_kept_1 PARTITION OF regress_kept FOR VALUES FROM ('2030-06-01') TO ('2030-07-01');
CREATE TABLE regress_kept_2 PARTITION OF regress_kept FOR VALUES FROM ('2030-07-01') TO ('2030-09-01');
INSERT INTO regress_kept SELECT '2030-06-01'::date + i FROM generate_series(0, 60) i;
CREATE TABLE regress_refers (day date REFERENCES regress_kept);
CREATE INDEX ON regress_refers (day);
INSERT INTO regress_refers VALUES ('2030-06-15');
SELECT dbops.set_retention('regress_kept', 'day', '20 days', confirm => true);
CALL dbops.run_retention('regress_kept');
SELECT * FROM regress_kept WHERE day < '2030-07-01';

-- So does one that has a partition of its own on which a view depends; its old rows go one by one.
CREATE TABLE regress_within (at timestamptz NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE regress_within_1 PARTITION OF regress_within FOR VALUES FROM ('2030-01-01') TO ('2030-02-01') PARTITION BY RANGE (at);
CREATE TABLE regress_within_1a PARTITION OF regress_within_1 DEFAULT;
CREATE TABLE regress_within_2 PARTITION OF regress_within FOR VALUES FROM ('2030-07-01') TO ('2030-09-01');
INSERT INTO regress_within VALUES ('2030-01-10'), ('2030-07-10');
CREATE VIEW regress_within_view AS SELECT * FROM regress_within_1a;
SELECT dbops.set_retention('regress_within', 'at', '1 month', confirm => true);
SELECT method, object, risk FROM dbops.retention_plan('regress_within') WHERE risk IS NOT NULL;
CALL dbops.run_retention('regress_within');
SELECT relid FROM pg_partition_tree('regress_within') WHERE isleaf ORDER BY 1;
DROP VIEW regress_within_view;
CALL dbops.run_retention('regress_within');
SELECT relid FROM pg_partition_tree('regress_within') WHERE isleaf ORDER BY 1;
DROP TABLE regress_within;

-- A hold keeps a partition from any policy that drops some.
CREATE TABLE regress_parts (at timestamptz NOT NULL) PARTITION BY RANGE (at);
SELECT format('CREATE TABLE regress_parts_%s PARTITION OF regress_parts FOR VALUES FROM (%L) TO (%L)', i,
  timestamptz '2030-03-01' + i * interval '1 month', timestamptz '2030-03-01' + (i + 1) * interval '1 month') FROM generate_series(0, 5) i \gexec
INSERT INTO regress_parts VALUES ('2030-03-15'), ('2030-04-15'), ('2030-07-15');
SELECT dbops.place_hold('regress_parts', 'at < ''2030-04-01 UTC''', 'March') > 0 AS placed;
SELECT dbops.set_partitioning('regress_parts', keep => '2 months', confirm => true) IS NOT NULL AS set;
CALL dbops.run_partitioning('regress_parts', confirm => true);
SELECT min(at), count(*) FROM regress_parts;
SELECT object, outcome, message FROM dbops.maintenance_report('2030-07-31') WHERE object LIKE '%regress_parts%' AND action = 'drop partition' ORDER BY 1;
DROP TABLE regress_parts;

-- Partitions that have partitions of their own go with these, and stay with them where rows below are held.
CREATE TABLE regress_deep (at timestamptz NOT NULL, kind integer) PARTITION BY RANGE (at);
CREATE TABLE regress_deep_1 PARTITION OF regress_deep FOR VALUES FROM ('2030-04-01') TO ('2030-05-01') PARTITION BY LIST (kind);
CREATE TABLE regress_deep_1_a PARTITION OF regress_deep_1 FOR VALUES IN (1);
CREATE TABLE regress_deep_1_b PARTITION OF regress_deep_1 DEFAULT;
CREATE TABLE regress_deep_2 PARTITION OF regress_deep FOR VALUES FROM ('2030-05-01') TO ('2030-06-01') PARTITION BY LIST (kind);
CREATE TABLE regress_deep_2_a PARTITION OF regress_deep_2 DEFAULT;
CREATE TABLE regress_deep_3 PARTITION OF regress_deep FOR VALUES FROM ('2030-06-01') TO ('2030-09-01') PARTITION BY RANGE (at);
CREATE TABLE regress_deep_3_a PARTITION OF regress_deep_3 FOR VALUES FROM ('2030-06-01') TO ('2030-07-01');
CREATE TABLE regress_deep_3_b PARTITION OF regress_deep_3 FOR VALUES FROM ('2030-07-01') TO ('2030-09-01');
INSERT INTO regress_deep SELECT timestamptz '2030-04-01' + i * interval '1 day', i % 2 FROM generate_series(0, 121) i;
SELECT dbops.place_hold('regress_deep_2_a', 'at < ''2030-05-03 UTC''', 'two days of May') > 0 AS placed;
SELECT dbops.set_retention('regress_deep', 'at', '20 days', confirm => true);
SELECT method, object, row_count, risk FROM dbops.retention_plan('regress_deep');
CALL dbops.run_retention('regress_deep');
SELECT relid, level FROM pg_partition_tree('regress_deep') ORDER BY 1;
SELECT tableoid::regclass, count(*) FROM regress_deep GROUP BY 1 ORDER BY 1;
SELECT to_regclass('regress_deep_1_a') IS NULL AS gone;
DROP TABLE regress_deep;

-- A partition is not detached while the archive could not take its rows.
CREATE TABLE regress_kept_whole (n integer, at timestamptz) PARTITION BY RANGE (at);
CREATE TABLE regress_kept_whole_1 PARTITION OF regress_kept_whole FOR VALUES FROM ('2030-04-01') TO ('2030-05-01');
CREATE TABLE regress_kept_whole_2 PARTITION OF regress_kept_whole FOR VALUES FROM ('2030-05-01') TO ('2030-09-01');
CREATE TABLE regress_kept_archive (LIKE regress_kept_whole);
INSERT INTO regress_kept_whole SELECT i, timestamptz '2030-04-30' + i * interval '1 day' FROM generate_series(0, 90) i;
SELECT dbops.set_retention('regress_kept_whole', 'at', '20 days', archive_to => 'regress_kept_archive') IS NOT NULL AS set;
ALTER TABLE regress_kept_whole ADD note text;
SELECT method, object, risk FROM dbops.retention_plan('regress_kept_whole') LIMIT 1;
CALL dbops.run_retention('regress_kept_whole');
SELECT count(*) FROM regress_kept_whole;
ALTER TABLE regress_kept_archive ADD note text;
CALL dbops.run_retention('regress_kept_whole');
SELECT (SELECT count(*) FROM regress_kept_whole) AS left, count(*) AS archived FROM regress_kept_archive;
DROP TABLE regress_kept_whole, regress_kept_archive;

DROP TABLE regress_event, regress_event_archive, regress_refers, regress_kept;
SELECT count(*) >= 0 FROM dbops.run_maintenance();
