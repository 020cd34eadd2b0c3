--
-- A policy of partitions that has stopped says so, and why. Regression tests,
-- since all of it is seen in one session. The time is the test's own.
--
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA regress_parthalt;
SET search_path = regress_parthalt;
CREATE FUNCTION at(t timestamptz) RETURNS void LANGUAGE sql AS
$$SELECT set_config('dbops.test_now', extract(epoch FROM t)::text, false)$$;
CREATE FUNCTION stopped(OUT parent text, OUT stopped_because text) RETURNS SETOF record LANGUAGE sql AS
$$SELECT parent, stopped_because FROM dbops.partition_status() WHERE parent LIKE 'regress_parthalt.%' ORDER BY 1$$;
CREATE FUNCTION health(OUT severity text, OUT message text, OUT remedy text) RETURNS SETOF record LANGUAGE sql AS
$$SELECT severity, message, remedy FROM dbops.health_checks()
   WHERE check_name = 'partitions.runway' AND object LIKE 'regress_parthalt.%' ORDER BY object$$;
CREATE ROLE regress_parthalt_owner;
GRANT ALL ON SCHEMA regress_parthalt TO regress_parthalt_owner;

SELECT at('2053-01-10');
CREATE TABLE t (at date) PARTITION BY RANGE (at);
CREATE TABLE t_2052_01 PARTITION OF t FOR VALUES FROM ('2052-01-01') TO ('2052-02-01');
CREATE TABLE t_2052_02 PARTITION OF t FOR VALUES FROM ('2052-02-01') TO ('2052-03-01');
CREATE TABLE t_2053_01 PARTITION OF t FOR VALUES FROM ('2053-01-01') TO ('2053-02-01');
SELECT dbops.set_partitioning('t', '1 month', keep => '6 months') IS NOT NULL AS set;
SELECT * FROM stopped();
-- a call that is refused
\set VERBOSITY sqlstate
CALL dbops.run_partitioning('t');
\set VERBOSITY default
SELECT * FROM stopped();
SELECT * FROM health();
CALL dbops.run_partitioning('t', confirm => true);
SELECT * FROM stopped();
SELECT * FROM health();
-- another owner
ALTER TABLE t OWNER TO regress_parthalt_owner;
SELECT * FROM stopped();
SELECT * FROM health();
ALTER TABLE t OWNER TO CURRENT_USER;
SELECT * FROM stopped();
-- what could not be submitted when it was last due
UPDATE dbops.policy SET broken = true, note = 'its time zone is gone' WHERE relation = 't'::regclass;
SELECT * FROM stopped();

SET client_min_messages = error;
DROP SCHEMA regress_parthalt CASCADE;
DROP ROLE regress_parthalt_owner;
SELECT count(*) >= 0 AS ok FROM dbops.run_maintenance();
RESET dbops.test_now;
