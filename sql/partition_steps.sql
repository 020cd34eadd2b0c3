--
-- A step that drops a partition looks at that one, however many there are: so
-- many rows and calls pg_stat_statements counts. A regression test, since what
-- is counted is what one session does.
--
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA regress_many;
SET search_path = regress_many;
CREATE EXTENSION pg_stat_statements;
SELECT set_config('dbops.test_now', extract(epoch FROM '2053-03-01'::timestamptz)::text, false) <> '' AS set;
CREATE TABLE many (at date) PARTITION BY RANGE (at);
DO $$BEGIN
  FOR i IN 0 .. 89 LOOP
    EXECUTE format('CREATE TABLE many_%s PARTITION OF many FOR VALUES FROM (%L) TO (%L)', to_char('2053-01-01'::date + i, 'YYYYMMDD'),
                   '2053-01-01'::date + i, '2053-01-01'::date + i + 1);
  END LOOP;
END$$;
SELECT dbops.set_partitioning('many', keep => '53 days', confirm => true) IS NOT NULL AS set;
SET pg_stat_statements.track = 'all';
SET pg_stat_statements.track_utility = off;
SELECT pg_stat_statements_reset() IS NOT NULL AS reset;
CALL dbops.run_partitioning('many');
RESET pg_stat_statements.track;
RESET pg_stat_statements.track_utility;
SELECT count(*) AS left FROM pg_inherits WHERE inhparent = 'many'::regclass;
-- six are dropped, in some 20 steps
SELECT sum(rows) AS measured FROM pg_stat_statements WHERE query LIKE 'WITH RECURSIVE tree(root%';
SELECT calls < 100 AS few_calls, CASE WHEN calls >= 100 THEN format('%s: %s', calls, query) END AS often
  FROM pg_stat_statements WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY calls DESC LIMIT 1;
SET client_min_messages = error;
DROP SCHEMA regress_many CASCADE;
SELECT count(*) >= 0 AS ok FROM dbops.run_maintenance();
RESET dbops.test_now;
