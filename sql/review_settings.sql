-- review_settings(): each setting judged. What a machine has is its own: only that
-- all are judged is looked at here, and what follows from samples and settings that
-- this test makes. Samples of known figures go into a memory of this session's own,
-- with the time set.
\set VERBOSITY terse
SET TimeZone = 'UTC';
CREATE FUNCTION pg_temp.set_time(at timestamptz) RETURNS void LANGUAGE sql AS
    $$ SELECT set_config('dbops.test_now', extract(epoch FROM at)::text, false) $$;
-- a sample an hour, of gauges as they are and of counters that grow by so much in each
CREATE FUNCTION pg_temp.watch(since timestamptz, hours int, gauges jsonb, hourly jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 0 .. hours LOOP
        PERFORM pg_temp.set_time(since + i * interval '1 hour');
        PERFORM dbops.put_sample(gauges || (SELECT jsonb_object_agg(key, (1000 + i) * value::numeric) FROM jsonb_each_text(hourly)), cadence => '1 hour', of_cluster => true);
    END LOOP;
    PERFORM pg_temp.set_time(since + hours * interval '1 hour' + interval '1 s');
END
$$;

-- each setting that a guide has a figure for is judged, the guide's figure beside it
SELECT name AS not_judged FROM unnest('{shared_buffers,effective_cache_size,work_mem,maintenance_work_mem,wal_buffers,checkpoint_completion_target,checkpoint_timeout,
    max_wal_size,min_wal_size,default_statistics_target,random_page_cost,effective_io_concurrency,max_connections,superuser_reserved_connections,
    log_min_duration_statement,log_checkpoints,log_connections,log_disconnections,log_lock_waits,log_autovacuum_min_duration,autovacuum,autovacuum_max_workers,
    autovacuum_naptime,autovacuum_vacuum_threshold,autovacuum_vacuum_scale_factor,autovacuum_analyze_threshold,autovacuum_analyze_scale_factor,wal_level,
    max_wal_senders,wal_keep_size,hot_standby}'::text[]) name
 WHERE NOT EXISTS (SELECT FROM dbops.review_settings() r WHERE r.object = btrim(name, E' \n') AND r.current <> '' AND r.recommended <> '' AND r.message <> '' AND r.source <> '' AND r.data->>'guides' LIKE '001: %');
SELECT count(*) FROM dbops.review_settings() WHERE data->>'guides' LIKE '%003: %';
SELECT object FROM dbops.review_settings('{settings.timeouts}') ORDER BY 1;
SELECT object, severity, current, recommended FROM dbops.review_settings() r
 WHERE object <> 'connection pool' AND (severity = 'ok' AND current <> recommended OR severity NOT IN ('ok', 'unknown') AND current = recommended);
SELECT object, remedy FROM dbops.review_settings() r WHERE remedy IS NOT NULL AND severity = 'ok';
-- a remedy is statements, one a line, or a sentence
SELECT object, remedy FROM dbops.review_settings() r
 WHERE remedy !~ '^(ALTER SYSTEM SET [a-z_]+ = ''[^''\n]*'';\n?)+(SELECT pg_reload_conf\(\);)?$' AND remedy !~ '^[A-Z][a-z].*\.$' AND remedy <> 'SELECT pg_reload_conf();';
-- the pool of guide 002, beside what was seen
SELECT data->>'guides', message ~ 'cores, twice, and .* spindle.* make .* sessions .*; (at the peak of the last .*|right now) there (was|is|were|are) [0-9]+ session' AS says, recommended::int > 0 AS figure, current::int >= 1 AS seen
  FROM dbops.review_settings() WHERE object = 'connection pool';

-- what a session, its database or its connection has is not the server's
CREATE TEMP TABLE server AS SELECT object, current FROM dbops.review_settings() WHERE object IN ('random_page_cost', 'work_mem', 'log_lock_waits', 'log_min_duration_statement');
SET random_page_cost = 0.25;
SET work_mem = '77MB';
SELECT s.object, r.current FROM server s JOIN dbops.review_settings() r USING (object) WHERE s.current <> r.current;
SELECT current AS random_page_cost FROM server WHERE object = 'random_page_cost' \gset
SELECT current AS work_mem FROM server WHERE object = 'work_mem' \gset
SELECT current AS log_lock_waits FROM server WHERE object = 'log_lock_waits' \gset
SELECT current AS log_min_duration_statement FROM server WHERE object = 'log_min_duration_statement' \gset
ALTER DATABASE :"DBNAME" SET random_page_cost = 0.5;
ALTER DATABASE :"DBNAME" SET log_min_duration_statement = 0;
\c -reuse-previous=on "options='-c work_mem=1GB -c log_lock_waits=off'"
SELECT current_setting('random_page_cost') AS own, current = :'random_page_cost' AS of_server FROM dbops.review_settings() WHERE object = 'random_page_cost';
SELECT current_setting('work_mem') AS own, current = :'work_mem' AS of_server FROM dbops.review_settings() WHERE object = 'work_mem';
SELECT current_setting('log_lock_waits') AS own, current = :'log_lock_waits' AS of_server FROM dbops.review_settings() WHERE object = 'log_lock_waits';
SELECT current_setting('log_min_duration_statement') AS own, current = :'log_min_duration_statement' AS of_server FROM dbops.review_settings() WHERE object = 'log_min_duration_statement';
ALTER DATABASE :"DBNAME" RESET random_page_cost;
ALTER DATABASE :"DBNAME" RESET log_min_duration_statement;
\c -reuse-previous=on "options=''"
SET TimeZone = 'UTC';
CREATE FUNCTION pg_temp.set_time(at timestamptz) RETURNS void LANGUAGE sql AS
    $$ SELECT set_config('dbops.test_now', extract(epoch FROM at)::text, false) $$;
CREATE FUNCTION pg_temp.watch(since timestamptz, hours int, gauges jsonb, hourly jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 0 .. hours LOOP
        PERFORM pg_temp.set_time(since + i * interval '1 hour');
        PERFORM dbops.put_sample(gauges || (SELECT jsonb_object_agg(key, (1000 + i) * value::numeric) FROM jsonb_each_text(hourly)), cadence => '1 hour', of_cluster => true);
    END LOOP;
    PERFORM pg_temp.set_time(since + hours * interval '1 hour' + interval '1 s');
END
$$;

-- checkpoints for want of room: with a gigabyte of WAL in each hour there can be one, with 64 GB there are as many as were asked for
SELECT pg_temp.watch('2040-01-01 00:00+00', 30, '{}', '{"wal.bytes": 1000000000, "checkpoints.timed": 2, "checkpoints.requested": 6}');
SELECT severity, message FROM dbops.review_settings('{settings.wal}') WHERE object = 'max_wal_size';
SELECT pg_temp.watch('2041-01-01 00:00+00', 30, '{}', '{"wal.bytes": 6000000000, "checkpoints.timed": 2, "checkpoints.requested": 10}');
SELECT severity, current, recommended, message, left(remedy, 40) AS remedy FROM dbops.review_settings('{settings.wal}') WHERE object = 'max_wal_size';
SELECT severity, recommended FROM dbops.review_settings('{settings.wal}') WHERE object = 'checkpoint_timeout';
SELECT pg_temp.watch('2042-01-01 00:00+00', 30, '{}', '{"wal.bytes": 6000000000, "checkpoints.timed": 11, "checkpoints.requested": 10}');
SELECT severity, message FROM dbops.review_settings('{settings.wal}') WHERE object = 'max_wal_size';
-- more than the disk has, nobody is told to give
SELECT pg_temp.watch('2042-06-01 00:00+00', 30, '{}', '{"wal.bytes": 100000000000000, "checkpoints.timed": 0, "checkpoints.requested": 1000}');
SELECT severity, recommended FROM dbops.review_settings('{settings.wal}') WHERE object = 'max_wal_size';

-- times that WAL was written for want of room, an hour
SELECT pg_temp.watch('2043-01-01 00:00+00', 30, '{}', '{"wal.buffers_full": 9}');
SELECT severity, message FROM dbops.review_settings('{settings.wal}') WHERE object = 'wal_buffers';
SELECT pg_temp.watch('2044-01-01 00:00+00', 30, '{}', '{"wal.buffers_full": 11}');
SELECT severity, recommended, message FROM dbops.review_settings('{settings.wal}') WHERE object = 'wal_buffers';

-- sessions that begin: a counter's growth, whatever it stands at
SELECT pg_temp.watch('2045-01-01 00:00+00', 30, '{}', '{"sessions.opened": 35000}');
SELECT object, severity, recommended, message FROM dbops.review_settings('{settings.logging}') WHERE object IN ('log_connections', 'log_disconnections') ORDER BY 1;
SELECT pg_temp.watch('2046-01-01 00:00+00', 30, '{}', '{"sessions.opened": 37000}');
SELECT object, severity, message FROM dbops.review_settings('{settings.logging}') WHERE object IN ('log_connections', 'log_disconnections') ORDER BY 1;

-- temporary files, a day; a single large sort long ago is none (where the machine tells no memory, nothing is known)
SELECT pg_temp.watch('2047-01-01 00:00+00', 48, '{}', '{"temp.bytes": 40000000}');
SELECT severity IN ('ok', 'unknown') AS well, message ~ '; 916 MB a day were written|not known' AS told FROM dbops.review_settings('{settings.memory}') WHERE object = 'work_mem';
SELECT pg_temp.watch('2048-01-01 00:00+00', 48, '{}', '{"temp.bytes": 4000000000}');
SELECT message ~ '89 GB a day were written to temporary files|not known' AS told
  FROM dbops.review_settings('{settings.memory}') WHERE object = 'work_mem';

-- standbys that were seen, and are away
SELECT pg_temp.watch('2049-01-01 00:00+00', 30, '{"replication.standbys": 2}', '{"wal.bytes": 1}');
SELECT object, severity, recommended, message FROM dbops.review_settings('{settings.replication}') WHERE object IN ('max_wal_senders', 'wal_keep_size') ORDER BY 1;
SELECT pg_temp.watch('2050-01-01 00:00+00', 30, '{"replication.standbys": 9}', '{"wal.bytes": 1}');
SELECT severity, recommended, message, remedy FROM dbops.review_settings('{settings.replication}') WHERE object = 'max_wal_senders';
SELECT pg_temp.watch('2051-01-01 00:00+00', 30, '{"replication.standbys": 0}', '{"wal.bytes": 1}');
SELECT object, severity, message FROM dbops.review_settings('{settings.replication}') WHERE object IN ('max_wal_senders', 'wal_keep_size') ORDER BY 1;

-- the peak: of all that is known, and it says of how long
SELECT pg_temp.watch('2052-01-01 00:00+00', 170, '{"connections.total": 3}', '{"wal.bytes": 1}');
SELECT pg_temp.set_time('2052-01-08 02:30+00'), dbops.put_sample('{"connections.total": 99}', cadence => '1 hour', of_cluster => true), pg_temp.set_time('2052-01-08 02:30:01+00');
SELECT severity, recommended, regexp_replace(message, 'at most \d+;.* disks', 'at most N; M can work') AS message, remedy FROM dbops.review_settings('{settings.connections}') WHERE object = 'max_connections';
SELECT regexp_replace(message, '^.*; at', 'at') AS message, current FROM dbops.review_settings('{settings.connections}') WHERE object = 'connection pool';
RESET dbops.test_now;

-- changed and never read: as a number in another unit, a choice by another name or a list in other capitals it is the same
ALTER SYSTEM SET vacuum_cost_limit = 333;
ALTER SYSTEM SET wal_compression = 'pglz';
SELECT object, severity, current, recommended, regexp_replace(message, 'line \d+', 'line N') AS message, remedy FROM dbops.review_settings('{settings.not_reloaded}') WHERE object LIKE 'vacuum_cost%' OR object LIKE 'wal_comp%';
ALTER SYSTEM SET vacuum_cost_limit = 200;
ALTER SYSTEM SET wal_compression = 'no';
ALTER SYSTEM SET maintenance_work_mem = '65536kB';
ALTER SYSTEM SET datestyle = 'iso, MDY';
SELECT object FROM dbops.review_settings('{settings.not_reloaded}') WHERE object ~* '^(vacuum_cost_limit|wal_compression|maintenance_work_mem|datestyle)';
ALTER SYSTEM RESET vacuum_cost_limit;
ALTER SYSTEM RESET wal_compression;
ALTER SYSTEM RESET maintenance_work_mem;
ALTER SYSTEM RESET datestyle;
-- what may hold a secret is told of, and not shown
CREATE ROLE regress_review_monitor;
SELECT dbops.grant_access('regress_review_monitor', 'monitor');
ALTER SYSTEM SET primary_conninfo = 'password=secret';
SET ROLE regress_review_monitor;
SELECT object, current, recommended, r::text LIKE '%secret%' AS shown FROM dbops.review_settings('{settings.not_reloaded}') r WHERE object IS NULL OR object LIKE 'primary%';
RESET ROLE;
ALTER SYSTEM RESET primary_conninfo;
SELECT dbops.revoke_access('regress_review_monitor');
DROP ROLE regress_review_monitor;
SELECT dbops.review_settings('{settings.no_such}');
\echo :SQLSTATE
