-- The collector: what a sample holds, what two of them tell, and what resets,
-- gaps and a clock that is set back do to that. A session that sets its time has
-- samples of its own, so nothing here depends on what the launcher samples. How
-- it does that by itself is for TAP.
\set VERBOSITY terse
SET timezone = 'UTC';
SELECT current_database() AS here \gset

-- every figure: names that stay, kinds, units
SET dbops.test_now = 1900000000;
SELECT last_sample FROM dbops.collector_status();
SELECT name, kind, unit FROM dbops.metrics() WHERE database IS NULL ORDER BY name COLLATE "C";
SELECT name, kind, unit FROM dbops.metrics() WHERE database = current_database() ORDER BY name COLLATE "C";
SELECT count(*) FILTER (WHERE about = '') AS without_words, count(*) - count(DISTINCT (name, database)) AS twice FROM dbops.metrics();

-- one sample gives no rates; what is counted elsewhere is the same here
SELECT count(per_second) AS rates FROM dbops.metrics();
BEGIN;
SET LOCAL stats_fetch_consistency = none;
SELECT dbops.sample_server();
SELECT m.name, m.value = v.value AS as_the_server
  FROM dbops.metrics() m,
       LATERAL (SELECT CASE m.name
                       WHEN 'connections.active' THEN (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND state = 'active' AND datname = current_database())
                       WHEN 'connections.total' THEN (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND datname = current_database())
                       WHEN 'sessions.opened' THEN (SELECT sessions FROM pg_stat_database WHERE datname = current_database())
                       END AS value) v
 WHERE m.database = current_database() AND v.value IS NOT NULL
 ORDER BY 1;
-- ids may have been given to others since
SELECT m.name, v.value - m.value BETWEEN 0 AND CASE m.name WHEN 'xids.age' THEN 100000 ELSE 0 END AS as_the_server
  FROM dbops.metrics() m,
       LATERAL (SELECT CASE m.name
                       WHEN 'slots.inactive' THEN (SELECT count(*) FROM pg_replication_slots WHERE NOT active)
                       WHEN 'transactions.prepared' THEN (SELECT count(*) FROM pg_prepared_xacts)
                       WHEN 'xids.age' THEN (SELECT max(age(datfrozenxid)) FROM pg_database)
                       END AS value) v
 WHERE m.database IS NULL AND v.value IS NOT NULL
 ORDER BY 1;
COMMIT;

-- work between two samples gives a rate
CREATE TABLE collected (i int);
SELECT pg_stat_force_next_flush();
SET dbops.test_now = 1900000100;
SELECT dbops.sample_server();
INSERT INTO collected SELECT generate_series(1, 50000);
SELECT pg_stat_force_next_flush();
SET dbops.test_now = 1900000110;
SELECT dbops.sample_server();
SELECT name, database IS NULL AS of_cluster, per_second BETWEEN 5000 AND 6000 AS inserted
  FROM dbops.metrics() WHERE name = 'tuples.inserted' ORDER BY 2;
SELECT per_second > 100000 AS wal FROM dbops.metrics() WHERE name = 'wal.bytes';
SELECT count(per_second) AS rates_of_gauges FROM dbops.metrics() WHERE kind = 'gauge';
SELECT last_sample, stale FROM dbops.collector_status();

-- the window is of the last minute: what was before it does not count
SET dbops.test_now = 1900000160;
SELECT dbops.sample_server();
SET dbops.test_now = 1900000180;
SELECT dbops.sample_server();
SELECT name, per_second < 1000 AS calm FROM dbops.metrics() WHERE name = 'tuples.inserted' AND database IS NOT NULL;

-- for three ticks a sample tells how it is; then it is the past, and what is now is not known
SET dbops.test_now = 1900000210;
SELECT h->'performance'->'window'->>'seconds' AS seconds, h->'host' <> 'null' AS host FROM dbops.system_health_check() h;
SELECT severity FROM dbops.health_checks() WHERE check_name IN ('connections.churn', 'wal.rate') ORDER BY check_name;
SET dbops.test_now = 1900000211;
SELECT h->'performance'->'window' AS window, h->'host' AS host, h->'freshness'->>'sample_age_s' AS sample_age_s FROM dbops.system_health_check() h;
SELECT severity, message FROM dbops.health_checks() WHERE check_name IN ('connections.churn', 'wal.rate') ORDER BY check_name;
SELECT dbops.nagios('wal.rate');

-- after a gap of more than a minute there is nothing to compare with
SET dbops.test_now = 1900000300;
SELECT stale FROM dbops.collector_status();
SELECT dbops.sample_server();
SELECT count(per_second) AS rates FROM dbops.metrics();

-- a reset of the database's statistics: no rate over it, and a right one after it
SET dbops.test_now = 1900000310;
SELECT pg_stat_reset();
SELECT dbops.sample_server();
SELECT count(per_second) AS rates FROM dbops.metrics() WHERE database IS NOT NULL;
SELECT per_second >= 0 AS cluster_goes_on FROM dbops.metrics() WHERE database IS NULL AND name = 'transactions.committed';
INSERT INTO collected SELECT generate_series(1, 50000);
SELECT pg_stat_force_next_flush();
SET dbops.test_now = 1900000320;
SELECT dbops.sample_server();
SELECT database IS NULL AS of_cluster, per_second BETWEEN 2000 AND 6000 AS inserted
  FROM dbops.metrics() WHERE name = 'tuples.inserted' ORDER BY 1;

-- one of what is counted for the whole server begins anew for all of it
SELECT pg_stat_reset_shared('bgwriter');
SET dbops.test_now = 1900000330;
SELECT dbops.sample_server();
SELECT count(per_second) AS rates FROM dbops.metrics() WHERE database IS NULL;

-- a database that goes takes nothing from the sums
CREATE DATABASE regress_collected;
\c regress_collected
CREATE TABLE t AS SELECT generate_series(1, 20000) i;
SELECT pg_stat_force_next_flush();
\c :here
SET timezone = 'UTC';
SET dbops.test_now = 1900001000;
SELECT dbops.sample_server();
SELECT value AS before FROM dbops.metrics() WHERE database IS NULL AND name = 'tuples.inserted' \gset
DROP DATABASE regress_collected;
SET dbops.test_now = 1900001100;
SELECT dbops.sample_server();
SELECT value >= :before AS sum_stays FROM dbops.metrics() WHERE database IS NULL AND name = 'tuples.inserted';

-- a clock that is set back: the samples that it has not reached again are gone
SET dbops.test_now = 1900000990;
SELECT dbops.sample_server();
SELECT last_sample, stale FROM dbops.collector_status();
SELECT count(per_second) AS rates FROM dbops.metrics();

-- the hour is over: the ring keeps as many samples as it has places
DO $$
BEGIN
    FOR i IN 1 .. 400 LOOP
        PERFORM set_config('dbops.test_now', (1900002000 + i * 10)::text, false);
        PERFORM dbops.sample_server();
    END LOOP;
END
$$;
SELECT last_sample, stale FROM dbops.collector_status();
SELECT per_second FROM dbops.metrics() WHERE name = 'collector.ticks';

-- whoever samples much takes nothing from that hour
DO $$
BEGIN
    FOR i IN 1 .. 1000 LOOP
        PERFORM set_config('dbops.test_now', (1900006000 + i * 0.01)::text, false);
        PERFORM dbops.sample_server();
    END LOOP;
END
$$;
SELECT last_sample FROM dbops.collector_status();
SET client_min_messages = warning;	-- where the cluster's history is does not matter
SELECT count(*), min(at) FROM dbops.metric_history('collector.ticks', since => '2030-03-17 18:00+00', step => '10 s') WHERE tier = 'ring';
RESET client_min_messages;

-- the host: what the kernel tells
SELECT cpus > 0 AS cpus, load >= 0 AS load, memory_total > 1e6 AS memory_total,
       memory_available BETWEEN 1 AND memory_total AS memory_available
  FROM dbops.host_figures();

-- for those who scrape: each family once, its lines together, and an end
CREATE TEMP TABLE line AS SELECT line, n FROM regexp_split_to_table(dbops.openmetrics(), E'\n') WITH ORDINALITY _ (line, n);
SELECT count(*) - count(DISTINCT line) AS twice FROM line WHERE line LIKE '# TYPE %';
SELECT line FROM line WHERE line NOT LIKE '#%' AND line !~ '^dbops_[a-z_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? -?[0-9.e+-]+$' ORDER BY n;
SELECT line FROM line WHERE line ~ '^# TYPE .*_total ' AND line NOT LIKE '% counter' OR line ~ '^# TYPE .* counter' AND line !~ '_total ';
SELECT line FROM line ORDER BY n DESC LIMIT 2;
SELECT count(*) > 15 AS checks FROM line WHERE line LIKE 'dbops_check_status{%';
SELECT line FROM line WHERE line LIKE '# % dbops_connections %' OR line LIKE '# TYPE dbops_database_temp_bytes_total %' ORDER BY n;

-- no sample is there twice; each belongs to the family above it, and a family has one name in each format
SELECT sample FROM (SELECT regexp_replace(line, ' [^ ]+$', '') AS sample FROM line WHERE line LIKE 'dbops\_%') s GROUP BY sample HAVING count(*) > 1;
SELECT line FROM (SELECT line, max(split_part(line, ' ', 3)) FILTER (WHERE line LIKE '# TYPE %') OVER (PARTITION BY family) AS family
                    FROM (SELECT line, n, count(*) FILTER (WHERE line LIKE '# TYPE %') OVER (ORDER BY n) AS family FROM line WHERE line NOT LIKE '# HELP %') f) f
 WHERE line LIKE 'dbops\_%' AND split_part(split_part(line, ' ', 1), '{', 1) <> family;
SELECT count(*) FILTER (WHERE line LIKE '# TYPE %' AND line NOT LIKE 'dbops%') = count(*) FILTER (WHERE line LIKE '# HELP %') AS each_has_help FROM line;
CREATE TEMP TABLE strict AS SELECT line, n FROM regexp_split_to_table(dbops.openmetrics(true), E'\n') WITH ORDINALITY _ (line, n);
SELECT count(*) FILTER (WHERE line ~ '^# (TYPE|HELP) [a-z_]*_total ') AS families_with_total, count(*) FILTER (WHERE line LIKE '# TYPE % counter') > 40 AS counters,
       (array_agg(line ORDER BY n DESC))[1] AS last FROM strict;
SELECT line FROM (SELECT line, max(split_part(line, ' ', 3)) FILTER (WHERE line LIKE '# TYPE %') OVER w AS family, max(split_part(line, ' ', 4)) FILTER (WHERE line LIKE '# TYPE %') OVER w AS type
                    FROM (SELECT line, n, count(*) FILTER (WHERE line LIKE '# TYPE %') OVER (ORDER BY n) AS family FROM strict WHERE line NOT LIKE '# HELP %') f
                  WINDOW w AS (PARTITION BY family)) f
 WHERE line LIKE 'dbops\_%' AND split_part(split_part(line, ' ', 1), '{', 1) <> family || CASE WHEN type = 'counter' THEN '_total' ELSE '' END;
SELECT (SELECT count(*) FROM line WHERE line LIKE '#%') = (SELECT count(*) FROM strict WHERE line LIKE '#%') AS as_many, (SELECT count(*) FROM strict WHERE line = '') AS empty;
SELECT dbops.openmetrics(NULL);

-- a name that must be escaped
SELECT E'regress\\ "quoted"' AS odd \gset
CREATE DATABASE :"odd";
\c :"odd"
CREATE EXTENSION dbops;
SET dbops.test_now = 1900000000;
SELECT line FROM regexp_split_to_table(dbops.openmetrics(), E'\n') line WHERE line LIKE 'dbops_database_connections{%';
\c :here
SET dbops.test_now = 1900000000;
DROP DATABASE :"odd";

-- as Nagios wants it
SELECT dbops.nagios('connections.used') ~ '^OK - connections\.used: .* \| ''connections\.used''=[0-9.]+%;80;95$' AS line;
SELECT dbops.nagios('disk.free') ~ '''disk\.free:WAL''=[0-9.]+%;[0-9]+:;[0-9]+:' AS below;
SELECT dbops.nagios('statements.slow') ~ '^UNKNOWN - statements\.slow: ' AS unknown;
SELECT dbops.nagios() ~ '^(UNKNOWN|WARNING|CRITICAL) - ' AS all_checks;
-- what is advice makes no state
SELECT severity FROM dbops.health_checks() WHERE check_name = 'settings.idle_timeout';
WITH told AS MATERIALIZED (SELECT dbops.nagios() AS lines, dbops.openmetrics() AS metrics)
SELECT check_name FROM told, dbops.check_list()
 WHERE advice AND (lines ~ (E'(^|\\n)[A-Z]+ - ' || check_name || '[: ]') OR metrics ~ ('check="' || check_name || '",object="[^"]*"} [1-9]'));
-- what an object is called ends no line, and begins no figures; each figure is 'label'=value[unit];warning;critical
SELECT E'regress=|it''s a\nline' AS odd \gset
SET allow_in_place_tablespaces = on;
CREATE TABLESPACE :"odd" LOCATION '';
SELECT line FROM regexp_split_to_table(dbops.nagios('disk.free'), E'\n') line WHERE line !~ '^(OK|WARNING|CRITICAL|UNKNOWN) - disk\.free[: ]';
SELECT rest FROM regexp_replace(regexp_replace(dbops.nagios('disk.free'), '^[^|]*\|', ''), '\n[^|]*$', '') rest
 WHERE rest !~ '^( ''([^''=|]|'''')+''=-?[0-9.]+(s|%|B|c)?;(~?[0-9.]*:?[0-9.]*)?;(~?[0-9.]*:?[0-9.]*)?)+$';
SELECT dbops.nagios('disk.free') LIKE '%''disk.free:tablespace "regress__it''''s a_line"''=%' AS label;
DROP TABLESPACE :"odd";
RESET allow_in_place_tablespaces;
SELECT dbops.nagios('nonsense');
SELECT dbops.nagios('');

DROP TABLE collected;
