-- system_health_check() and health_checks(): the shape of the document, that
-- its figures are the server's own, and the words that it sums them up in.
-- Figures that no test can fix are held against the server's own views.
\set VERBOSITY terse

-- every key, in a database that lacks both extensions, of a server that has been sampled and a database that has been measured to its end
SELECT dbops.sample_server();
SET dbops.health_max_age = 0;
SELECT dbops.system_health_check() IS NOT NULL AS measured;
RESET dbops.health_max_age;
SELECT key, jsonb_typeof(value) AS type
  FROM jsonb_each(dbops.system_health_check()) ORDER BY key;
SELECT section, key, jsonb_typeof(value) AS type
  FROM dbops.system_health_check() h,
       unnest(ARRAY['connections', 'performance', 'health', 'storage', 'server', 'freshness', 'summary', 'verdict']) section,
       jsonb_each(h->section)
 WHERE key NOT IN ('since', 'window', 'sample_cost_ms', 'queries_per_second')
 ORDER BY section, key;

-- a missing extension gives null and an unknown check with the remedy, no false ok
SELECT h->'slow_queries' AS slow_queries, h->'performance'->'avg_query_time_ms' AS avg_query_time,
       h->'server'->'extensions' AS extensions
  FROM dbops.system_health_check() h;
SELECT c->>'check_name' AS check_name, c->>'severity' AS severity, c->>'message' AS message, c->>'remedy' AS remedy
  FROM jsonb_array_elements(dbops.system_health_check()->'checks') c
 WHERE c->>'severity' = 'unknown' AND c->>'check_name' IN ('extension.pgstattuple', 'statements.slow');

-- of each check the figures, what is shipped and what was changed, whose figures they are and since when it is so
SELECT DISTINCT jsonb_object_keys(data) AS key FROM dbops.health_checks() WHERE data ? 'value' AND data ? 'warning' AND data ? 'critical' AND NOT data ? 'guard' ORDER BY 1;
SELECT count(*) AS without_source FROM dbops.health_checks() WHERE data ? 'value' AND data->>'source' IS NULL;

-- the gravest first, then by name
SELECT array_agg(key) = array_agg(key ORDER BY array_position(ARRAY['critical', 'warning', 'info', 'unknown', 'ok'], severity),
                                               key COLLATE "C") AS in_order
  FROM dbops.health_checks();

-- verbose lists all of them, otherwise only those that are not ok
SELECT bool_or(c->>'severity' = 'ok') AS lists_ok,
       count(*) = (SELECT sum(value::int) FROM jsonb_each_text(h->'summary')) AS lists_all
  FROM dbops.system_health_check(true) h, jsonb_array_elements(h->'checks') c GROUP BY h;
SELECT bool_or(c->>'severity' = 'ok') AS lists_ok FROM jsonb_array_elements(dbops.system_health_check()->'checks') c;
SELECT dbops.system_health_check(NULL);

-- the clock is the one that tests can set; the time is ISO 8601
SET dbops.test_now = 1800000000;
SET timezone = 'UTC';
SELECT dbops.system_health_check()->'timestamp' AS "timestamp";
SET timezone = 'Asia/Kolkata';
SELECT dbops.system_health_check()->'timestamp' AS "timestamp";
RESET timezone;
RESET dbops.test_now;

-- the flat figures are those that views would give
CREATE FUNCTION pg_temp.hit_ratio() RETURNS numeric LANGUAGE sql AS
    'SELECT round(100.0 * blks_hit / nullif(blks_hit + blks_read, 0), 2) FROM pg_stat_database WHERE datname = current_database()';
BEGIN;
SET LOCAL stats_fetch_consistency = snapshot;
SET LOCAL dbops.health_max_age = 0;
SELECT (h->>'database_size_mb')::numeric = round(pg_database_size(current_database()) / 1024.0 / 1024.0, 2) AS database_size_mb,
       (h->>'active_connections')::int = (SELECT count(*) FROM pg_stat_activity
                                           WHERE state = 'active' AND backend_type = 'client backend') AS active_connections,
       (h->>'cache_hit_ratio')::numeric = pg_temp.hit_ratio() AS cache_hit_ratio,
       (h->'connections'->>'max_connections')::int = current_setting('max_connections')::int AS max_connections,
       (h->'connections'->>'max')::int = current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
         - coalesce(current_setting('reserved_connections', true), '0')::int AS max,
       (h->'connections'->>'pool_utilization')::numeric = round(100 * (h->'connections'->>'total')::numeric / (h->'connections'->>'max')::numeric, 2) AS pool_utilization,
       (h->'connections'->>'total')::int = (SELECT count(*) FROM pg_stat_activity
                                             WHERE backend_type = 'client backend') AS connections
  FROM dbops.system_health_check() h;
COMMIT;

-- the status is that of the gravest check that is not advice, whatever the document says besides, and the reasons are those checks
SELECT h->>'status' = CASE WHEN bool_or(c->>'severity' = 'critical') THEN 'critical'
                           WHEN bool_or(c->>'severity' = 'warning' OR c->>'check_name' = 'collector.samples' AND c->>'severity' = 'unknown') THEN 'warning'
                           ELSE 'healthy' END AS status_follows,
       (h->'verdict'->'reasons') - 'collector' @> coalesce(jsonb_agg(c->'key') FILTER (WHERE c->>'severity' IN ('warning', 'critical')), '[]') AS reasons_follow
  FROM dbops.system_health_check() h, jsonb_array_elements(h->'checks') c
 WHERE NOT (SELECT l.advice FROM dbops.check_list() l WHERE l.check_name = c->>'check_name') GROUP BY h;

-- the statistics' reset leaves nothing to divide by
SELECT pg_stat_reset() IS NOT NULL AS reset;
SELECT h->>'status' <> '' AS answers FROM dbops.system_health_check() h;

-- for everybody no more than the status and the time
SELECT key, jsonb_typeof(value) AS type FROM jsonb_each(dbops.health_public()) ORDER BY key;
SELECT dbops.health_public()->'status' = dbops.system_health_check()->'status' AS same_status;

-- the guides' other figures are the same as those that were there before, in their units
SELECT h->'storage'->'size_bytes' = h->'storage'->'database_size' AS size,
       h->'performance'->'slow_queries' = h->'slow_queries' AS slow_queries,
       (SELECT bool_and(t->'bytes' = t->'size_bytes') FROM jsonb_array_elements(h->'storage'->'largest_tables') t) AS largest
  FROM dbops.system_health_check() h;

-- what goes on now is told from samples, in a session's own time from its own
SET dbops.test_now = 1800000000;
SELECT dbops.sample_server();
SELECT h->'performance'->'window' AS a_window, h->'freshness'->'collector' AS collector FROM dbops.system_health_check() h;
SET dbops.test_now = 1800000060;
SELECT dbops.sample_server();
SELECT jsonb_object_keys(h->'performance'->'window') AS key FROM dbops.system_health_check() h ORDER BY 1;
SELECT h->'performance'->'window'->'seconds' AS seconds, (h->'performance'->'window'->>'transactions_per_second')::numeric >= 0 AS transactions,
       h->'freshness'->'collector' AS collector, h->'freshness'->'sample_age_s' AS sample_age
  FROM dbops.system_health_check() h;

-- figures that come no more are stale, which is at least a warning
SET dbops.test_now = 1800000089;
SELECT h->'freshness'->'collector' AS collector FROM dbops.system_health_check() h;
SET dbops.test_now = 1800000091;
SELECT h->'freshness'->'collector' AS collector, h->>'status' <> 'healthy' AS is_no_longer_healthy,
       h->'verdict'->'reasons' ? 'collector' AS is_a_reason
  FROM dbops.system_health_check() h;
RESET dbops.test_now;

-- in a read-only transaction
BEGIN READ ONLY;
SELECT jsonb_typeof(dbops.system_health_check(true)) AS type;
SELECT count(*) > 10 AS checks FROM dbops.health_checks();
COMMIT;

-- sizes: what pg_total_relation_size() says, with names that can be used
CREATE SCHEMA "Health ""Schema";
CREATE TABLE "Health ""Schema"."Big Table" AS SELECT g AS id, repeat('x', 100) AS filler FROM generate_series(1, 20000) g;
CREATE INDEX ON "Health ""Schema"."Big Table" (id);
CREATE TABLE health_toasted (id int PRIMARY KEY, body text);
ALTER TABLE health_toasted ALTER body SET STORAGE EXTERNAL;
INSERT INTO health_toasted SELECT g, repeat('y', 4000) FROM generate_series(1, 300) g;
CHECKPOINT;
SET dbops.health_max_age = 0;
SELECT t->>'name' AS name, (t->>'bytes')::bigint = pg_total_relation_size((t->>'name')::regclass) AS bytes_are_right
  FROM jsonb_array_elements(dbops.system_health_check()->'storage'->'largest_tables') t
 WHERE t->>'name' LIKE '%Health%' OR t->>'name' LIKE '%health%';
SELECT lo_from_bytea(0, (SELECT string_agg(sha256(g::text::bytea), '') FROM generate_series(1, 200000) g)) AS large_object \gset
CHECKPOINT;
SELECT bool_and((t->>'bytes')::bigint = pg_total_relation_size((t->>'name')::regclass)) AS all_are_right,
       bool_or(t->>'name' = 'pg_catalog.pg_largeobject') AS lists_large_objects,
       bool_or(t->>'name' = 'pg_catalog.pg_proc') AS lists_catalogs
  FROM jsonb_array_elements(dbops.system_health_check()->'storage'->'largest_tables') t;
SELECT lo_unlink(:large_object);
VACUUM pg_largeobject;
SELECT (SELECT max((t->>'bytes')::bigint) FROM jsonb_array_elements(h->'storage'->'largest_tables') t) =
       (h->'storage'->'largest_tables'->0->>'bytes')::bigint AS largest_first,
       jsonb_array_length(h->'storage'->'largest_tables') <= 10 AS at_most_ten
  FROM dbops.system_health_check() h;

-- a size is kept for as long as the setting says, and its age is told
SET dbops.test_now = 1800000000;
SET dbops.health_max_age = '1min';
SELECT dbops.system_health_check()->>'database_size_mb' AS before \gset
DROP TABLE "Health ""Schema"."Big Table";
SELECT h->>'database_size_mb' = :'before' AS kept, h->'freshness'->'size_age_s' AS age,
       h->'storage'->'largest_tables' @> '[{"name": "public.health_toasted"}]' AS lists_what_is,
       h->'storage'->'largest_tables' @> '[{"name": "\"Health \"\"Schema\".\"Big Table\""}]' AS lists_what_was
  FROM dbops.system_health_check() h;
SET dbops.test_now = 1800003600;
SELECT (h->>'database_size_mb')::numeric < :before AS measured_again, h->'freshness'->'size_age_s' AS age
  FROM dbops.system_health_check() h;
RESET dbops.test_now;
RESET dbops.health_max_age;
DROP SCHEMA "Health ""Schema";
DROP TABLE health_toasted;

-- pg_stat_statements is found in whatever schema it is, without a search_path
CREATE SCHEMA "Mixed ""Case";
CREATE EXTENSION pg_stat_statements SCHEMA "Mixed ""Case";
SET dbops.health_max_age = 0;
SELECT "Mixed ""Case".pg_stat_statements_reset() IS NOT NULL AS reset;
SELECT h->'slow_queries' AS slow_queries FROM dbops.system_health_check() h;
SELECT pg_sleep(1.1);
SELECT h->'slow_queries' AS slow_queries, (h->'performance'->>'avg_query_time_ms')::numeric > 0 AS avg_query_time
  FROM dbops.system_health_check() h;
SELECT severity, message, data->'value' AS value, data->'warning' AS warning FROM dbops.health_checks() WHERE check_name = 'statements.slow';

-- what a session is told to track says nothing of the others
SET pg_stat_statements.track = 'none';
SELECT jsonb_typeof(dbops.system_health_check()->'slow_queries') AS slow_queries;
RESET pg_stat_statements.track;

-- a statement that is not slow
SELECT pg_sleep(0.3), 'short';
SELECT h->'slow_queries' AS slow_queries FROM dbops.system_health_check() h;
SELECT (h->'performance'->>'avg_query_time_ms')::numeric =
       (SELECT round((sum(total_exec_time) / sum(calls))::numeric, 2) FROM "Mixed ""Case".pg_stat_statements) AS avg_query_time
  FROM dbops.system_health_check() h;

-- a version whose SQL lacks what is asked for
DROP EXTENSION pg_stat_statements;
CREATE EXTENSION pg_stat_statements SCHEMA "Mixed ""Case" VERSION '1.4';
SELECT severity, message, remedy FROM dbops.health_checks() WHERE check_name = 'statements.slow';
DROP EXTENSION pg_stat_statements;
DROP SCHEMA "Mixed ""Case";
RESET dbops.health_max_age;

CREATE EXTENSION pgstattuple;
SELECT severity, message FROM dbops.health_checks() WHERE check_name = 'extension.pgstattuple';
DROP EXTENSION pgstattuple;

-- a check grows graver with time; one that is critical makes the status critical
BEGIN;
CREATE TABLE health_prepared (id int);
PREPARE TRANSACTION 'regress''s own';
SELECT severity, message FROM dbops.health_checks() WHERE check_name = 'transactions.prepared';
SELECT set_config('dbops.test_now', (extract(epoch FROM now()) + 610)::text, false) IS NOT NULL AS ten_minutes_later;
SELECT severity, message, remedy, data->'warning' AS warning
  FROM dbops.health_checks() WHERE check_name = 'transactions.prepared';
SELECT o->'pid' AS pid, o->'gid' AS gid, (o->>'age_s')::numeric >= 600 AS ten_minutes
  FROM dbops.system_health_check() h, LATERAL (SELECT h->'health'->'oldest_transaction' AS o) o;
SELECT set_config('dbops.test_now', (extract(epoch FROM now()) + 7800)::text, false) IS NOT NULL AS hours_later;
SELECT severity, message FROM dbops.health_checks() WHERE check_name = 'transactions.prepared';
SELECT h->'status' AS status, h->'checks'->0->>'severity' AS first_severity FROM dbops.system_health_check() h;
ROLLBACK PREPARED 'regress''s own';
RESET dbops.test_now;

-- each of these needs two lockers of one row
CREATE TABLE health_locked (id int PRIMARY KEY, n int);
INSERT INTO health_locked SELECT g, 0 FROM generate_series(1, 20) g;
DO $$
DECLARE row record;
BEGIN
    FOR row IN SELECT id FROM health_locked LOOP
        PERFORM FROM health_locked WHERE id = row.id FOR KEY SHARE;
        BEGIN
            UPDATE health_locked SET n = 1 WHERE id = row.id;
        EXCEPTION WHEN division_by_zero THEN NULL;
        END;
    END LOOP;
END $$;
DROP TABLE health_locked;
SELECT max(mxid_age(datminmxid)) >= 20 AS multixacts FROM pg_database;

-- figures of indexes from before the statistics' reset are not shown
SET dbops.test_now = 1000000000;
SET dbops.health_max_age = 0;
SELECT h->'performance'->'index_hit_ratio' AS index_hit_ratio, h->'freshness'->'index_hit_ratio_age_s' AS age
  FROM dbops.system_health_check() h;
RESET dbops.test_now;
RESET dbops.health_max_age;

-- the ids' limits are the server's
SELECT (h->'health'->'xid'->>'freeze_max_age')::int = current_setting('autovacuum_freeze_max_age')::int AS freeze,
       (h->'health'->'xid'->>'age')::bigint = (SELECT max(age(datfrozenxid)) FROM pg_database) AS age,
       (h->'health'->'multixact'->>'age')::bigint = (SELECT max(mxid_age(datminmxid)) FROM pg_database) AS multixact_age,
       (h->'health'->'xid'->>'stop_age')::bigint BETWEEN 2144000000 AND 2147483647 AS stop
  FROM dbops.system_health_check() h;
