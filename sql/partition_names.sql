--
-- A name that is taken is given a number, and the names that follow are as they
-- were. Regression tests, since all of it is seen in one session. The time is
-- the test's own.
--
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA regress_partname;
SET search_path = regress_partname;
CREATE FUNCTION at(t timestamptz) RETURNS void LANGUAGE sql AS
$$SELECT set_config('dbops.test_now', extract(epoch FROM t)::text, false)$$;
CREATE FUNCTION parts(p regclass) RETURNS SETOF name LANGUAGE sql AS
$$SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = p ORDER BY c.relname COLLATE "C"$$;
SELECT at('2053-11-10');
CREATE TABLE pp (at date) PARTITION BY RANGE (at);
CREATE TABLE pp_p2053_10 PARTITION OF pp FOR VALUES FROM ('2053-10-01') TO ('2053-11-01');
CREATE TABLE pp_p2053_11 PARTITION OF pp FOR VALUES FROM ('2053-11-01') TO ('2053-12-01');
CREATE TABLE pp_p2053_12 ();
CREATE DOMAIN pp_p2054_02 AS int;
CREATE TYPE pp_p2054_03 AS ENUM ();
SELECT dbops.set_partitioning('pp', runway => '5 months') IS NOT NULL AS set;
SELECT object FROM dbops.partition_plan('pp');
CALL dbops.run_partitioning('pp');
SELECT * FROM parts('pp');
-- and so it stays when all that are looked at have numbers
SELECT at('2054-01-31');
CREATE TABLE pq (at date) PARTITION BY RANGE (at);
CREATE TABLE pq_2054_01_1 PARTITION OF pq FOR VALUES FROM ('2054-01-01') TO ('2054-02-01');
SELECT dbops.set_partitioning('pq', runway => '1 month') IS NOT NULL AS set;
CALL dbops.run_partitioning('pq');
SELECT * FROM parts('pq');
SET client_min_messages = error;
DROP SCHEMA regress_partname CASCADE;
SELECT count(*) >= 0 AS ok FROM dbops.run_maintenance();
RESET dbops.test_now;
