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

-- rows that no partition is made for: what the check says is true of them, and of those that come in the way later
SELECT at('2053-03-10 12:00');
CREATE FUNCTION checked() RETURNS TABLE (severity text, message text, remedy text) LANGUAGE sql AS
$$SELECT severity, message, remedy FROM dbops.health_checks() WHERE check_name = 'partitions.default' AND object LIKE 'regress_partdef.%'$$;
CREATE TABLE rest (at timestamptz) PARTITION BY RANGE (at);
CREATE TABLE rest_2053_03 PARTITION OF rest FOR VALUES FROM ('2053-03-01') TO ('2053-04-01');
CREATE TABLE rest_default PARTITION OF rest DEFAULT WITH (autovacuum_enabled = off);
SELECT dbops.set_partitioning('rest', runway => '1 month', keep => '1 year') IS NOT NULL AS set;
INSERT INTO rest VALUES (NULL), (NULL), ('-infinity'), ('2030-01-01'), ('2052-12-24'), ('2053-08-01'), ('infinity');
SELECT * FROM checked();
CALL dbops.drain_default('rest');
SELECT * FROM checked();
SELECT name FROM parts('rest');
-- an hour later partitions of other times are missing, and the rows are not in their way
SELECT at('2053-05-10 12:00');
SELECT * FROM checked();
CALL dbops.run_partitioning('rest');
SELECT * FROM checked();
SELECT at('2053-07-10 12:00');
CALL dbops.run_partitioning('rest');
SELECT * FROM checked();
CALL dbops.drain_default('rest');
SELECT * FROM checked();
-- when they are gone the check sees that
DELETE FROM rest WHERE at IS NULL OR NOT isfinite(at) OR at < '2052-01-01';
CALL dbops.drain_default('rest');
SELECT * FROM checked();
-- without a time to keep all that have a time get a partition
SELECT dbops.set_partitioning('rest', runway => '1 month') IS NOT NULL AS set;
INSERT INTO rest VALUES (NULL), ('-infinity'), ('0001-01-01 00:00+00'), ('0044-03-15 BC'), ('2050-01-01'), ('infinity');
CALL dbops.drain_default('rest');
SELECT * FROM checked();
SELECT name FROM parts('rest');
SELECT object, action, outcome, times, row_count, message FROM dbops.maintenance_log WHERE object LIKE '%.rest%' AND action LIKE 'drain%' ORDER BY id;
DROP TABLE rest;

-- numbers that are no times of today; units in which not all times can be said
CREATE TABLE seconds (at int) PARTITION BY RANGE (at);
CREATE TABLE nanos (at bigint) PARTITION BY RANGE (at);
CREATE TABLE seconds_2053_07 PARTITION OF seconds FOR VALUES FROM (extract(epoch FROM timestamptz '2037-07-01')::int) TO (extract(epoch FROM timestamptz '2037-08-01')::int);
CREATE TABLE nanos_2053_07 PARTITION OF nanos FOR VALUES FROM (2635106400000000000) TO (2637784800000000000);
CREATE TABLE seconds_default PARTITION OF seconds DEFAULT;
CREATE TABLE nanos_default PARTITION OF nanos DEFAULT;
SELECT at('2037-07-10 12:00');
INSERT INTO seconds VALUES (-2147483648), (extract(epoch FROM timestamptz '2037-06-10')), (2147483647), (NULL);
CALL dbops.drain_default('seconds');
SELECT dbops.set_partitioning('seconds', runway => '5 days', keep => '900 years') IS NOT NULL AS set;
INSERT INTO seconds VALUES (extract(epoch FROM timestamptz '2037-05-10'));
CALL dbops.drain_default('seconds');
SELECT name FROM parts('seconds');
SELECT at('2053-07-10 12:00');
INSERT INTO nanos VALUES (-9223372036854775808), (2634106400000000000), (9223372036854775807);
SELECT dbops.set_partitioning('nanos', keep => '1000 years') IS NOT NULL AS set;
CALL dbops.drain_default('nanos');
SELECT name FROM parts('nanos');
SELECT object, outcome, message FROM dbops.maintenance_log WHERE object ~ '(seconds|nanos)_default' AND action LIKE 'drain%' ORDER BY id;

-- what rows that leave would mean to others: of the default partition itself, and of what it is made of
CREATE TABLE led (id int, at date) PARTITION BY RANGE (at);
CREATE TABLE led_2053_07 PARTITION OF led FOR VALUES FROM ('2053-07-01') TO ('2053-08-01');
CREATE TABLE led_default PARTITION OF led DEFAULT PARTITION BY LIST (id);
CREATE TABLE led_default_1 PARTITION OF led_default (PRIMARY KEY (id)) DEFAULT;
INSERT INTO led VALUES (1, '2053-06-05');
CREATE TABLE follows (id int REFERENCES led_default_1 ON DELETE CASCADE);
INSERT INTO follows VALUES (1);
CALL dbops.drain_default('led');
DROP TABLE follows;
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER stays BEFORE DELETE ON led_default_1 FOR EACH ROW EXECUTE FUNCTION nothing();
CALL dbops.drain_default('led');
DROP TRIGGER stays ON led_default_1;
CREATE RULE stays AS ON DELETE TO led_default DO INSTEAD NOTHING;
CALL dbops.drain_default('led');
DROP RULE stays ON led_default;
CALL dbops.drain_default('led');
SELECT tableoid::regclass, * FROM led;

SET client_min_messages = error;
DROP SCHEMA regress_partdef CASCADE;
DROP ROLE regress_partdef_owner, regress_partdef_other;
SELECT count(*) >= 0 AS ok FROM dbops.run_maintenance();
RESET dbops.test_now;
