-- largest_relations() and the history of sizes: what tables hold by their parts,
-- how they grow, and that a day is written once, a table only if it has changed
-- and forgotten when it is gone. Time is the test's, and so is the history: the
-- background, which measures too, is kept out until all is rolled back.
\set VERBOSITY terse
SET timezone = 'UTC';
BEGIN;
LOCK TABLE dbops.history_progress IN SHARE UPDATE EXCLUSIVE MODE;
LOCK TABLE dbops.relation_1d, dbops.disk_1h IN SHARE ROW EXCLUSIVE MODE;
DELETE FROM dbops.relation_1d;
DELETE FROM dbops.disk_1h;
CREATE TABLE size_grows (id int PRIMARY KEY, filler text);
CREATE TABLE size_rests (id int PRIMARY KEY, filler text);
CREATE TABLE size_small (id int);
CREATE TABLE size_goes (id int, filler text);
INSERT INTO size_grows SELECT i, repeat('x', 500) FROM generate_series(1, 20000) i;
INSERT INTO size_rests SELECT i, repeat('x', 500) FROM generate_series(1, 8000) i;
INSERT INTO size_goes SELECT i, repeat('x', 500) FROM generate_series(1, 8000) i;
ANALYZE size_grows;

-- the figures are the server's own, in order
SELECT relation, bytes = pg_total_relation_size(relation) AS bytes, table_bytes = pg_table_size(relation) - toast_bytes AS of_table,
       index_bytes = pg_indexes_size(relation) AS of_indexes, toast_bytes > 0 AS has_toast, row_estimate, growth_bytes, since
  FROM dbops.largest_relations(3) WHERE relation LIKE 'public.size_%' ORDER BY bytes DESC LIMIT 1;
SELECT array_agg(bytes) = array_agg(bytes ORDER BY bytes DESC) AS in_order, count(*) FROM dbops.largest_relations(5);
SELECT count(*) = 1 AS there FROM dbops.largest_relations(NULL) WHERE relation = 'public.size_rests';
SAVEPOINT before;
SELECT * FROM dbops.largest_relations(0);
ROLLBACK TO before;

-- a day is measured once; small tables have no history
CREATE TEMP VIEW history AS
    SELECT to_char(at, 'MM-DD') AS day, relid::regclass AS relation FROM dbops.relation_1d
     WHERE at >= '2031-01-01' AND relid IN (SELECT oid FROM pg_class WHERE relname LIKE 'size\_%') ORDER BY relid::regclass::text, at;
SET dbops.test_now = 1925000000;
SELECT dbops.measure_sizes();
SELECT * FROM history;
SELECT at, bytes > 0 AS database FROM dbops.relation_1d WHERE relid = 0 AND at >= '2031-01-01';
INSERT INTO size_grows SELECT i, repeat('x', 500) FROM generate_series(20001, 40000) i;
SET dbops.test_now = 1925010000;
SELECT dbops.measure_sizes();
SELECT count(*) FROM history;
-- growth needs a day
SELECT growth_bytes FROM dbops.largest_relations() WHERE relation = 'public.size_grows';

-- the next day: only what has changed
SET dbops.test_now = 1925086400;
SELECT dbops.measure_sizes();
SELECT * FROM history;
SET dbops.test_now = 1925172800;
SELECT relation, growth_bytes = bytes - (SELECT h.bytes FROM dbops.relation_1d h WHERE h.relid = l.relation::regclass ORDER BY h.at LIMIT 1) AS growth,
       growth_bytes_per_day = round(growth_bytes * 86400 / (1925172800 - extract(epoch FROM since))) AS per_day, growth_bytes_per_day > 0 AS grows, since
  FROM dbops.largest_relations() l WHERE relation IN ('public.size_grows', 'public.size_rests') ORDER BY relation;

-- a table that shrinks below the limit is written once more, one that is gone is forgotten
TRUNCATE size_rests;
SELECT 'size_goes'::regclass::oid AS gone \gset
DROP TABLE size_goes;
SELECT dbops.measure_sizes();
SELECT * FROM history;
SELECT count(*) FROM dbops.relation_1d WHERE relid = :gone;

-- disks, by the hour
SELECT at, disk, used_bytes + free_bytes <= total_bytes AS fits FROM dbops.disk_1h WHERE at >= '2031-01-01' ORDER BY at;

-- and as they are now
SELECT kind, nullif(name, current_database()) AS name, bytes IS NOT NULL AS has_bytes, free_percent BETWEEN 0 AND 100 AS has_room, same_disk_as
  FROM dbops.disk_usage() WHERE kind = 'WAL' OR name = current_database();
SELECT bytes % 1048576 AS rest FROM dbops.disk_usage() WHERE kind = 'WAL';

-- with a month all that are large are written anew, though they have not changed, so that the month before can go
SET dbops.test_now = 1927764800;
SELECT dbops.measure_sizes();
SELECT * FROM history;
SELECT DISTINCT tableoid::regclass::text AS month FROM dbops.relation_1d WHERE at >= '2031-01-01' ORDER BY 1;
SELECT DISTINCT tableoid::regclass::text AS month FROM dbops.disk_1h WHERE at >= '2031-01-01' ORDER BY 1;

-- what is older than 400 days goes with its month, of tables and of disks
SELECT dbops.measure_sizes() FROM generate_series(1, 15) i, LATERAL (SELECT set_config('dbops.test_now', (1927764800 + i * 2678400)::text, false)) later;
SELECT dbops.prune_history() > 0 AS pruned;
SELECT count(DISTINCT date_trunc('month', at)) AS months, min(at) > now_at - interval '432 days' AS kept_no_longer, min(at) < now_at - interval '400 days' AS as_long
  FROM (SELECT to_timestamp(current_setting('dbops.test_now')::float8) AS now_at) n, dbops.disk_1h WHERE at >= '2031-01-01' GROUP BY now_at;
SELECT min(inhrelid::regclass::text) AS oldest FROM pg_inherits WHERE inhparent = 'dbops.disk_1h'::regclass AND inhrelid::regclass::text >= 'dbops.disk_1h_2031';

ROLLBACK;
