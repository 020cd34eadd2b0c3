-- The policies that folders of maintenance scripts stand for, with their numbers:
-- soft-deleted rows 30 days, visits 1 year, error logs 90 days and resolved,
-- performance metrics 30 days, history 2 years, indexes bloated by 30 percent, an
-- ANALYZE a week. Each keeps what is a second too young. In virtual time.
\set VERBOSITY terse
SET TimeZone = 'UTC';
SET datestyle = 'ISO';
SET intervalstyle = 'postgres';
SET client_min_messages = warning;
-- a vacuum removes what no snapshot may need: wait for those that others have taken
CREATE PROCEDURE pg_temp.be_alone() LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 3000 LOOP
        EXIT WHEN NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid());
        PERFORM pg_sleep(0.01), pg_stat_clear_snapshot();
    END LOOP;
END $$;
CREATE SCHEMA guide_policies;
SET search_path = guide_policies;
SELECT set_config('dbops.test_now', extract(epoch FROM timestamptz '2046-07-15 12:00')::text, false) \g /dev/null

CREATE TABLE venues (id int PRIMARY KEY, deleted_at timestamptz);
CREATE TABLE reviews (id int PRIMARY KEY, venue_id int NOT NULL REFERENCES venues ON DELETE CASCADE, deleted_at timestamptz);
CREATE INDEX ON reviews (venue_id);
CREATE TABLE venue_visits (id int, visit_date timestamptz NOT NULL) PARTITION BY RANGE (visit_date);
CREATE TABLE error_logs (id int PRIMARY KEY, "timestamp" timestamptz NOT NULL, resolved boolean NOT NULL);
CREATE TABLE performance_metrics (id int PRIMARY KEY, "timestamp" timestamp NOT NULL);
CREATE TABLE preference_history (id int PRIMARY KEY, changed_at timestamptz NOT NULL);
SELECT format('CREATE TABLE venue_visits_%s PARTITION OF venue_visits FOR VALUES FROM (%L) TO (%L)', to_char(m, 'YYYY_MM'), m, m + interval '1 month')
  FROM generate_series(timestamptz '2045-06-01', '2046-08-01', '1 month') m \gexec

-- one row a second too young and one a second too old of each, and many that are young
CREATE VIEW rows_of AS
    SELECT i, CASE i WHEN 1 THEN cutoff - interval '1 second' WHEN 2 THEN cutoff + interval '1 second' ELSE timestamptz '2046-07-15 11:00' END AS at, keep
      FROM (VALUES ('30 days', timestamptz '2046-06-15 12:00'), ('1 year', '2045-07-15 12:00'), ('90 days', '2046-04-16 12:00'), ('2 years', '2044-07-15 12:00')) k(keep, cutoff),
           generate_series(1, 20) i;
INSERT INTO venues SELECT i, CASE WHEN i <= 2 THEN at END FROM rows_of WHERE keep = '30 days';
INSERT INTO reviews SELECT i, 10, CASE WHEN i <= 2 THEN at END FROM rows_of WHERE keep = '30 days';
INSERT INTO venue_visits SELECT i, at FROM rows_of WHERE keep = '1 year';
INSERT INTO venue_visits VALUES (0, '2045-06-30 23:59:59');
INSERT INTO error_logs SELECT i, at, true FROM rows_of WHERE keep = '90 days';
INSERT INTO error_logs VALUES (0, '2046-01-01', false);
INSERT INTO performance_metrics SELECT i, at AT TIME ZONE 'UTC' FROM rows_of WHERE keep = '30 days';
INSERT INTO preference_history SELECT i, at FROM rows_of WHERE keep = '2 years';
ANALYZE venues, reviews, venue_visits, error_logs, performance_metrics, preference_history;

SELECT dbops.set_retention('reviews', 'deleted_at', '30 days');
SELECT dbops.set_retention('venues', 'deleted_at', '30 days');
SELECT dbops.set_retention('venue_visits', 'visit_date', '1 year');
SELECT dbops.set_retention('error_logs', 'timestamp', '90 days', filter => 'resolved');
SELECT dbops.set_retention('performance_metrics', 'timestamp', '30 days');
SELECT dbops.set_retention('preference_history', 'changed_at', '2 years');
SELECT name, command FROM dbops.policies() WHERE kind = 'retention' AND name LIKE 'guide_policies.%' ORDER BY name;

-- an hour later all are due, and each is one job; the rows move with the clock
SELECT set_config('dbops.test_now', extract(epoch FROM timestamptz '2046-07-15 13:00')::text, false) \g /dev/null
SELECT count(*) FROM dbops.run_maintenance();
UPDATE venues SET deleted_at = deleted_at + interval '1 hour';
UPDATE reviews SET deleted_at = deleted_at + interval '1 hour';
UPDATE venue_visits SET visit_date = visit_date + interval '1 hour' WHERE id IN (1, 2);
UPDATE error_logs SET "timestamp" = "timestamp" + interval '1 hour' WHERE id > 0;
UPDATE performance_metrics SET "timestamp" = "timestamp" + interval '1 hour';
UPDATE preference_history SET changed_at = changed_at + interval '1 hour';
\set ECHO none
SELECT format('CALL dbops.run_job(%s)', id) FROM dbops.job WHERE kind = 'retention' AND name LIKE 'guide_policies.%' AND state = 'queued' ORDER BY id \gexec
\set ECHO all
SELECT name, state, message FROM dbops.jobs() WHERE kind = 'retention' AND name LIKE 'guide_policies.%' ORDER BY name;
SELECT array_agg(id ORDER BY id) AS venues FROM venues WHERE id <= 3;
SELECT array_agg(id ORDER BY id) AS reviews FROM reviews WHERE id <= 3;
-- of visits the month goes as a whole, when it is all older than a year
SELECT array_agg(id ORDER BY id) AS visits, count(DISTINCT tableoid::regclass) AS partitions FROM venue_visits WHERE id <= 3;
SELECT to_regclass('venue_visits_2045_06') AS june, to_regclass('venue_visits_2045_07') AS july;
-- what is not resolved stays
SELECT array_agg(id ORDER BY id) AS error_logs FROM error_logs WHERE id <= 3;
SELECT array_agg(id ORDER BY id) AS performance_metrics FROM performance_metrics WHERE id <= 3;
SELECT array_agg(id ORDER BY id) AS preference_history FROM preference_history WHERE id <= 3;

-- indexes: 30 percent, and only where there is something to be won
CREATE TABLE bloated (id int) WITH (autovacuum_enabled = off);
INSERT INTO bloated SELECT generate_series(1, 30000);
CREATE INDEX ON bloated (id);
DELETE FROM bloated WHERE id % 3 <> 0;
CALL pg_temp.be_alone();
VACUUM ANALYZE bloated;
SELECT dbops.set_reindex_policy('bloated', min_percent => 30) IS NOT NULL AS is_set;
SELECT index_name, bloat_percent > 30 AS bloated, regexp_replace(reason, '\d+(\.\d+)?', 'N', 'g') AS reason FROM dbops.reindex_candidates('bloated');
SELECT dbops.set_reindex_policy('bloated', min_percent => 30, min_bytes => 100000) IS NOT NULL AS is_set;
SELECT index_name, bloat_percent > 30 AS bloated, regexp_replace(reason, '\d+(\.\d+)?', 'N', 'g') AS reason FROM dbops.reindex_candidates('bloated');

-- statistics a week old of what has changed at all
SELECT dbops.set_vacuum_policy('error_logs', analyze_every => '7 days');
SELECT pg_stat_force_next_flush();
SELECT table_name, statement, regexp_replace(reason, '[\d.]+ days', 'N days') AS reason FROM dbops.vacuum_candidates() WHERE table_name = 'error_logs'::regclass;

SELECT dbops.remove_reindex_policy('bloated'), dbops.remove_vacuum_policy('error_logs');
SELECT dbops.remove_retention(relation) FROM dbops.policy WHERE kind = 'retention' AND name LIKE 'guide_policies.%';
RESET dbops.test_now;
DELETE FROM dbops.job WHERE name LIKE 'guide_policies.%';
DELETE FROM dbops.job_request;
DELETE FROM dbops.maintenance_log WHERE object LIKE 'guide_policies.%';
DROP SCHEMA guide_policies CASCADE;
RESET client_min_messages;
