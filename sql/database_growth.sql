-- What databases and disks hold, and how they grow: sizes of all databases, or
-- none, and growth over days. Time is the test's and so are samples and history,
-- in a memory of this session's own and a transaction that is rolled back.
\set VERBOSITY terse
SET timezone = 'UTC';
BEGIN;
LOCK TABLE dbops.history_progress IN SHARE UPDATE EXCLUSIVE MODE;
LOCK TABLE dbops.relation_1d, dbops.disk_1h IN SHARE ROW EXCLUSIVE MODE;
DELETE FROM dbops.disk_1h;

-- what was not measured is not known, and a session that measures tells samples too
SET dbops.test_now = 1925000000;
SET dbops.health_max_age = 0;
SELECT dbops.sample_server();
SELECT name, value FROM dbops.metrics() WHERE name IN ('size', 'databases.bytes') ORDER BY name;
SELECT (h->'storage'->'size_bytes')::bigint > 0 AS measured FROM dbops.system_health_check() h;
SELECT dbops.sample_server();
SELECT name, value > 0 AS known FROM dbops.metrics() WHERE name IN ('size', 'databases.bytes') ORDER BY name;
-- all databases: none without dbops is left out, nor a template
SELECT dbops.measure_sizes();
SELECT dbops.sample_server();
SELECT abs(value - (SELECT sum(pg_database_size(oid)) FROM pg_database)) < 2e6 AS all_of_them FROM dbops.metrics() WHERE name = 'databases.bytes';
SELECT count(*) = (SELECT count(*) FROM pg_database) AS all_of_them, count(*) FILTER (WHERE abs(bytes - pg_database_size(name)) > 2e6) AS wrong
  FROM dbops.disk_usage() WHERE kind = 'database';

-- a day and two hours, in which the database grows by a million bytes an hour: before there is a day nothing is told
CREATE FUNCTION pg_temp.grow(since timestamptz, until timestamptz, bytes bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    at timestamptz;
BEGIN
    FOR at IN SELECT generate_series(since, until, '10 min') LOOP
        PERFORM set_config('dbops.test_now', extract(epoch FROM at)::text, false);
        PERFORM dbops.put_sample(jsonb_build_object('size', bytes + 1000000 * extract(epoch FROM at - since) / 3600), cadence => '10 min');
        PERFORM dbops.roll_up_metrics(false);
    END LOOP;
END
$$;
SELECT pg_temp.grow('2032-01-01 00:00', '2032-01-01 20:00', 1000000000);
SELECT dbops.measure_sizes();
SELECT h->'storage'->'growth_bytes_per_day' AS growth FROM dbops.system_health_check() h;
SELECT pg_temp.grow('2032-01-01 20:10', '2032-01-02 02:00', 1020166667);
SELECT dbops.measure_sizes();
SELECT round((h->'storage'->>'growth_bytes_per_day')::numeric, -6) AS growth FROM dbops.system_health_check() h;
SELECT round(growth_bytes_per_day, -6) AS growth FROM dbops.disk_usage() WHERE kind = 'database' AND name = current_database();
-- three days later that is too long ago
SELECT set_config('dbops.test_now', extract(epoch FROM timestamptz '2032-01-05')::text, false) IS NOT NULL AS later;
SELECT h->'storage'->'growth_bytes_per_day' AS growth FROM dbops.system_health_check() h;

-- disks likewise; those that share one have its growth
DELETE FROM dbops.disk_1h;
CREATE TABLE dbops.disk_1h_999901 PARTITION OF dbops.disk_1h DEFAULT;
INSERT INTO dbops.disk_1h (at, disk, total_bytes, used_bytes, free_bytes)
SELECT timestamptz '2032-01-05' - make_interval(hours => i), 'WAL', 1e12, 5e11 - i * 1e6, 5e11 + i * 1e6 FROM generate_series(0, 22) i;
SELECT growth_bytes_per_day FROM dbops.disk_usage() WHERE kind = 'WAL';
INSERT INTO dbops.disk_1h (at, disk, total_bytes, used_bytes, free_bytes)
SELECT timestamptz '2032-01-05' - make_interval(hours => i), 'WAL', 1e12, 5e11 - i * 1e6, 5e11 + i * 1e6 FROM generate_series(23, 167) i;
SELECT DISTINCT growth_bytes_per_day FROM dbops.disk_usage() WHERE kind = 'WAL' OR same_disk_as = 'WAL';
ROLLBACK;
