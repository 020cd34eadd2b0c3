--
-- Partitions are made beside a default partition that has rows, or is large, or
-- belongs to somebody else. Of a constraint that proves something of it an event
-- trigger tells, since it is gone when the run has ended. Regression tests, since
-- all of it is seen in one session. The time is the test's own.
--
SET client_min_messages = warning;
SET timezone = 'Europe/Berlin';
SET datestyle = 'ISO';
CREATE SCHEMA regress_partdef;
SET search_path = regress_partdef;
CREATE FUNCTION parts(p regclass) RETURNS TABLE (name name, bound text) LANGUAGE sql AS
$$SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
   WHERE i.inhparent = p ORDER BY c.relname COLLATE "C"$$;
CREATE FUNCTION at(t timestamptz) RETURNS void LANGUAGE sql AS
$$SELECT set_config('dbops.test_now', extract(epoch FROM t)::text, false)$$;
CREATE TABLE proof (id serial, definition text);
CREATE FUNCTION tell() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO regress_partdef.proof (definition)
  SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'dbops_no_rows_of_that_time' AND NOT convalidated
     AND conrelid = 'regress_partdef.log_default'::regclass;
END $$;
CREATE FUNCTION said(OUT object text, OUT outcome text, OUT message text) RETURNS SETOF record LANGUAGE sql AS
$$SELECT object, outcome, message FROM dbops.maintenance_log WHERE object LIKE 'regress_partdef.%' AND action = 'create partition' ORDER BY id$$;

-- a large one with rows of now and of March: neither time is ever constrained, and all else is made
SELECT at('2053-01-10 12:00');
CREATE TABLE log (at timestamptz, v text) PARTITION BY RANGE (at);
CREATE TABLE log_default PARTITION OF log DEFAULT WITH (autovacuum_enabled = off);
ALTER TABLE log_default ALTER v SET STORAGE plain;
INSERT INTO log SELECT '2048-01-01', repeat('x', 7000) FROM generate_series(1, 1100);
INSERT INTO log VALUES ('2053-01-10 11:00', 1), ('2053-03-03', 1);
SELECT dbops.set_partitioning('log', '1 month', '130 days');
CREATE EVENT TRIGGER regress_partdef ON ddl_command_end WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION tell();
CALL dbops.run_partitioning('log');
SELECT * FROM parts('log');
SELECT DISTINCT definition FROM proof ORDER BY 1;
SELECT * FROM said();
-- none of now, nor of half an hour from now: but such rows may come while it is read
DELETE FROM log WHERE at > '2053-01-01';
DROP TABLE log_p20530201;
TRUNCATE proof;
SELECT at('2053-01-31 23:30');
CALL dbops.run_partitioning('log');
SELECT name FROM parts('log');
SELECT DISTINCT definition FROM proof ORDER BY 1;
-- a constraint that was left behind when its time came is removed
ALTER TABLE log_default ADD CONSTRAINT dbops_no_rows_of_that_time CHECK (at < '2053-02-01' OR at >= '2053-03-01') NOT VALID;
DO $$BEGIN
  EXECUTE format('COMMENT ON CONSTRAINT dbops_no_rows_of_that_time ON log_default IS %L',
    (SELECT string_agg((extract(epoch FROM t - '2000-01-01 00:00+00'::timestamptz) * 1000000)::bigint::text, ' ' ORDER BY t)
       FROM unnest('{2053-02-01, 2053-03-01}'::timestamptz[]) t));
END$$;
TRUNCATE proof;
SELECT at('2053-02-10 12:00');
CALL dbops.run_partitioning('log');
SELECT DISTINCT definition FROM proof ORDER BY 1;
SELECT count(*) FROM pg_constraint WHERE conrelid = 'log_default'::regclass AND contype = 'c';
-- but where it has been validated, its partition is made
ALTER TABLE log_default ADD CONSTRAINT dbops_no_rows_of_that_time CHECK (at IS NULL OR at < '2053-02-01' OR at >= '2053-03-01');
DO $$BEGIN
  EXECUTE format('COMMENT ON CONSTRAINT dbops_no_rows_of_that_time ON log_default IS %L',
    (SELECT string_agg((extract(epoch FROM t - '2000-01-01 00:00+00'::timestamptz) * 1000000)::bigint::text, ' ' ORDER BY t)
       FROM unnest('{2053-02-01, 2053-03-01}'::timestamptz[]) t));
END$$;
CALL dbops.run_partitioning('log');
SELECT name FROM parts('log');
DROP EVENT TRIGGER regress_partdef;
DROP TABLE log;

-- one of another owner is refused when the policy is set; later it keeps partitions from being made, and not old ones from going
CREATE ROLE regress_partdef_owner;
CREATE ROLE regress_partdef_other;
GRANT ALL ON SCHEMA regress_partdef TO regress_partdef_owner, regress_partdef_other;
CREATE TABLE own (at date) PARTITION BY RANGE (at);
CREATE TABLE own_2052_11 PARTITION OF own FOR VALUES FROM ('2052-11-01') TO ('2052-12-01');
CREATE TABLE own_2053_01 PARTITION OF own FOR VALUES FROM ('2053-01-01') TO ('2053-02-01');
CREATE TABLE own_default PARTITION OF own DEFAULT;
ALTER TABLE own OWNER TO regress_partdef_owner;
ALTER TABLE own_2052_11 OWNER TO regress_partdef_owner;
ALTER TABLE own_2053_01 OWNER TO regress_partdef_owner;
ALTER TABLE own_default OWNER TO regress_partdef_other;
INSERT INTO own VALUES ('2050-01-01');
SELECT dbops.set_partitioning('own', '1 month', '1 month', keep => '1 month');
ALTER TABLE own_default OWNER TO regress_partdef_owner;
REVOKE SELECT ON own_default FROM regress_partdef_owner;
SELECT dbops.set_partitioning('own', '1 month', '1 month', keep => '1 month');
GRANT SELECT ON own_default TO regress_partdef_owner;
SELECT dbops.set_partitioning('own', '1 month', '1 month', keep => '1 month', confirm => true) IS NOT NULL AS set;
ALTER TABLE own_default OWNER TO regress_partdef_other;
CALL dbops.run_partitioning('own');
SELECT name FROM parts('own');
SELECT * FROM said() WHERE object LIKE '%.own%';
ALTER TABLE own_default OWNER TO regress_partdef_owner;
-- rows that its owner does not see keep their own partition from being made, and not those behind it
ALTER TABLE own_default ENABLE ROW LEVEL SECURITY;
ALTER TABLE own_default FORCE ROW LEVEL SECURITY;
INSERT INTO own VALUES ('2053-03-05');
SELECT at('2053-02-20');
SELECT dbops.set_partitioning('own', '1 month', '2 months', keep => '2 years') IS NOT NULL AS set;
CALL dbops.run_partitioning('own');
SELECT name FROM parts('own');
SELECT * FROM said() WHERE object LIKE '%.own%';
DROP TABLE own;

SET client_min_messages = error;
DROP SCHEMA regress_partdef CASCADE;
DROP ROLE regress_partdef_owner, regress_partdef_other;
SELECT count(*) >= 0 AS ok FROM dbops.run_maintenance();
RESET dbops.test_now;
