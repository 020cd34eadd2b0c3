--
-- A policy of a partition that is partitioned itself: it makes none for times
-- of which that one gets no rows. Regression tests, since all of it is seen in
-- one session. The time is the test's own.
--
SET client_min_messages = warning;
SET timezone = 'UTC';
SET datestyle = 'ISO';
CREATE SCHEMA regress_levels;
SET search_path = regress_levels;
CREATE FUNCTION at(t timestamptz) RETURNS void LANGUAGE sql AS
$$SELECT set_config('dbops.test_now', extract(epoch FROM t)::text, false)$$;
CREATE FUNCTION parts(p regclass) RETURNS TABLE (name name, bound text) LANGUAGE sql AS
$$SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
   WHERE i.inhparent = p ORDER BY c.relname COLLATE "C"$$;
CREATE FUNCTION checked() RETURNS TABLE (severity text, object text, message text, remedy text) LANGUAGE sql AS
$$SELECT severity, object, message, remedy FROM dbops.health_checks()
   WHERE check_name = 'partitions.runway' AND object LIKE 'regress_levels.%' ORDER BY object COLLATE "C"$$;

-- a year from June to May by months, in a tree of tenants: bounds are those of all levels above by the same column
CREATE TABLE v (at timestamptz, tenant int) PARTITION BY RANGE (at);
CREATE TABLE v53 PARTITION OF v FOR VALUES FROM ('2052-06-01') TO ('2053-05-20') PARTITION BY LIST (tenant);
CREATE TABLE v53_1 PARTITION OF v53 FOR VALUES IN (1) PARTITION BY RANGE (at);
CREATE TABLE v53_1_2053_03 PARTITION OF v53_1 FOR VALUES FROM ('2053-03-01') TO ('2053-04-01');
SELECT at('2053-03-10 12:00');
SELECT dbops.set_partitioning('v53_1', runway => '6 months') IS NOT NULL AS set;
SELECT object, statement ~ '2053-05-20' AS to_the_end FROM dbops.partition_plan('v53_1') WHERE action = 'create partition';
CALL dbops.run_partitioning('v53_1');
SELECT * FROM parts('v53_1');
SELECT runway, wanted, missing FROM dbops.partition_status() WHERE parent = 'regress_levels.v53_1';
SELECT * FROM checked();
-- when its time is over nothing is asked of it
SELECT at('2053-07-01 12:00');
SELECT runway, wanted, missing FROM dbops.partition_status() WHERE parent = 'regress_levels.v53_1';
SELECT * FROM checked();
SELECT dbops.remove_partitioning('v53_1');

-- before it begins
CREATE TABLE v54 PARTITION OF v FOR VALUES FROM ('2053-07-10') TO ('2054-07-10') PARTITION BY RANGE (at);
SELECT dbops.set_partitioning('v54', '1 month', '1 month') IS NOT NULL AS set;
CALL dbops.run_partitioning('v54');
SELECT * FROM parts('v54');
SELECT * FROM checked();
SELECT dbops.remove_partitioning('v54');

-- rows that have no partition get one within the bounds
CREATE TABLE v54_default PARTITION OF v54 DEFAULT;
DROP TABLE v54_p20530710;
INSERT INTO v VALUES ('2053-07-12', 1);
CALL dbops.drain_default('v54');
SELECT * FROM parts('v54');

-- another column's bounds say nothing
CREATE TABLE o (made date, at date) PARTITION BY RANGE (made);
CREATE TABLE o53 PARTITION OF o FOR VALUES FROM ('2053-01-01') TO ('2053-07-15') PARTITION BY RANGE (at);
SELECT dbops.set_partitioning('o53', '1 month', '2 months') IS NOT NULL AS set;
CALL dbops.run_partitioning('o53');
SELECT * FROM parts('o53');

SET client_min_messages = error;
DROP SCHEMA regress_levels CASCADE;
SELECT count(*) >= 0 AS run FROM dbops.run_maintenance();
RESET dbops.test_now;
