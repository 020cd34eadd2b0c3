-- review(): all reviews as one list of what there is to do; and the settings'. What
-- a machine has is its own: only that each is judged is looked at here, and what
-- follows from settings that this test makes.
\set VERBOSITY terse
CREATE SCHEMA review_all;
CREATE TABLE review_all.without_key (a int);
CREATE TABLE review_all.without_key_too (a int);

-- each setting that a guide has a figure for is judged, the guide's figure beside it
SELECT name AS not_judged FROM unnest('{shared_buffers,effective_cache_size,work_mem,maintenance_work_mem,wal_buffers,checkpoint_completion_target,checkpoint_timeout,
    max_wal_size,min_wal_size,default_statistics_target,random_page_cost,effective_io_concurrency,max_connections,superuser_reserved_connections,
    log_min_duration_statement,log_checkpoints,log_connections,log_disconnections,log_lock_waits,log_autovacuum_min_duration,autovacuum,autovacuum_max_workers,
    autovacuum_naptime,autovacuum_vacuum_threshold,autovacuum_vacuum_scale_factor,autovacuum_analyze_threshold,autovacuum_analyze_scale_factor,wal_level,
    max_wal_senders,wal_keep_size,hot_standby}'::text[]) name
 WHERE NOT EXISTS (SELECT FROM dbops.review_settings() r WHERE r.object = btrim(name, E' \n') AND r.current <> '' AND r.recommended <> '' AND r.message <> '' AND r.source <> '' AND r.data->>'guides' LIKE '001: %');
SELECT count(*) FROM dbops.review_settings() WHERE data->>'guides' LIKE '%003: %';
SELECT count(*) FROM dbops.review_settings() r WHERE r.severity = 'ok' AND r.current <> r.recommended AND r.object <> 'connection pool' OR r.severity <> 'ok' AND r.severity <> 'unknown' AND r.object <> 'connection pool' AND r.current = r.recommended;
SELECT count(*) FROM dbops.review_settings() r WHERE r.remedy LIKE 'ALTER SYSTEM%' AND r.severity = 'ok';
-- the pool of guide 002, beside what was seen
SELECT data->>'guides', message ~ 'cores, twice, and .* spindle.* make .* sessions .*; (at the peak|right now) there (were|are) [0-9]+ session' AS says, recommended::int > 0 AS figure, current::int >= 1 AS seen
  FROM dbops.review_settings() WHERE object = 'connection pool';

-- what the server has, of this database: each is found where it is wrong, and not where it is right
ALTER DATABASE :"DBNAME" SET random_page_cost = 0.5;
ALTER DATABASE :"DBNAME" SET default_statistics_target = 10;
ALTER DATABASE :"DBNAME" SET log_min_duration_statement = 0;
ALTER DATABASE :"DBNAME" SET log_lock_waits = off;
ALTER DATABASE :"DBNAME" SET idle_in_transaction_session_timeout = 0;
ALTER DATABASE :"DBNAME" SET effective_cache_size = '8MB';
ALTER DATABASE :"DBNAME" SET work_mem = '1TB';
ALTER DATABASE :"DBNAME" SET maintenance_work_mem = '1MB';
\c
-- (where the machine does not tell its memory, what follows from that is unknown, and not well)
SELECT object, severity <> 'ok' AS found, current, severity = 'unknown' OR remedy LIKE 'ALTER SYSTEM SET ' || object || ' = %' AS remedied FROM dbops.review_settings()
 WHERE object IN ('random_page_cost', 'default_statistics_target', 'log_min_duration_statement', 'log_lock_waits', 'idle_in_transaction_session_timeout',
                  'effective_cache_size', 'work_mem', 'maintenance_work_mem') ORDER BY 1;
SET random_page_cost = 3;
SELECT current FROM dbops.review_settings() WHERE object = 'random_page_cost';
ALTER DATABASE :"DBNAME" SET random_page_cost = 1.1;
ALTER DATABASE :"DBNAME" SET default_statistics_target = 200;
ALTER DATABASE :"DBNAME" SET log_min_duration_statement = '2s';
ALTER DATABASE :"DBNAME" SET log_lock_waits = on;
ALTER DATABASE :"DBNAME" SET idle_in_transaction_session_timeout = '10min';
\c
SELECT object, severity, current, recommended, remedy FROM dbops.review_settings()
 WHERE object IN ('random_page_cost', 'default_statistics_target', 'log_min_duration_statement', 'log_lock_waits', 'idle_in_transaction_session_timeout') ORDER BY 1;
ALTER DATABASE :"DBNAME" RESET random_page_cost;
ALTER DATABASE :"DBNAME" RESET default_statistics_target;
ALTER DATABASE :"DBNAME" RESET log_min_duration_statement;
ALTER DATABASE :"DBNAME" RESET log_lock_waits;
ALTER DATABASE :"DBNAME" RESET idle_in_transaction_session_timeout;
ALTER DATABASE :"DBNAME" RESET effective_cache_size;
ALTER DATABASE :"DBNAME" RESET work_mem;
ALTER DATABASE :"DBNAME" RESET maintenance_work_mem;
\c

-- changed and never read: as a number in another unit, a choice by another name or a text in other capitals it is the same
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
SELECT dbops.review_settings('{settings.no_such}');
\echo :SQLSTATE

-- all of it, without what is as it should be, the gravest first
SELECT check_name, object FROM dbops.review() WHERE object LIKE 'review_all.%' AND severity = 'warning' ORDER BY key;
SELECT count(*) FILTER (WHERE severity = 'ok') AS ok, count(*) FILTER (WHERE check_name LIKE 'settings.%') > 0 AS settings, count(*) FILTER (WHERE check_name LIKE 'hba.%') > 0 AS privileges,
       array_agg(DISTINCT severity) <@ '{unknown,info,warning,critical}' AS severities FROM dbops.review();
SELECT bool_and(coalesce(before >= rank, true)) AS sorted
  FROM (SELECT rank, lag(rank) OVER (ORDER BY n) AS before FROM (SELECT n, array_position('{unknown,info,warning,critical}', severity) AS rank FROM dbops.review() WITH ORDINALITY x (check_name, severity, object, message, remedy, key, data, n)) y) z;
SELECT count(*) FROM dbops.review() WHERE check_name = 'review.muted';

-- what is muted is left out, and not without a word
SELECT dbops.mute_finding('tables.no_primary_key:review_all.without_key', 'a log', now() + interval '1 hour');
SELECT object FROM dbops.review() WHERE check_name = 'tables.no_primary_key' AND object LIKE 'review_all%';
SELECT severity, message, remedy FROM dbops.review() WHERE check_name = 'review.muted';
SELECT object, data ? 'muted_until' AS muted FROM dbops.review(muted => true) WHERE check_name = 'tables.no_primary_key' AND object LIKE 'review_all%' ORDER BY 1;
SELECT key, reason FROM dbops.muted_findings();
SELECT dbops.mute_finding('settings.memory', 'as the provider has it', now() + interval '1 hour');
SELECT count(*) FROM dbops.review() WHERE check_name = 'settings.memory';
SELECT dbops.unmute_finding('settings.memory'), dbops.unmute_finding('tables.no_primary_key:review_all.without_key');
SELECT object FROM dbops.review() WHERE check_name = 'tables.no_primary_key' AND object LIKE 'review_all%' ORDER BY 1;

-- for monitors
CREATE ROLE regress_review_nobody;
CREATE ROLE regress_review_monitor IN ROLE pg_monitor;
SET ROLE regress_review_nobody;
SELECT count(*) FROM dbops.review();
SELECT count(*) FROM dbops.review_settings();
SET ROLE regress_review_monitor;
BEGIN READ ONLY;
SELECT count(*) > 0 AS found, count(*) FILTER (WHERE message LIKE 'could not be judged%') AS failed FROM dbops.review();
COMMIT;
RESET ROLE;
DROP ROLE regress_review_nobody, regress_review_monitor;
DROP SCHEMA review_all CASCADE;
