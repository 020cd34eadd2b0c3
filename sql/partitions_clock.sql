--
-- Which clock partitions follow, and days that begin at one o'clock because
-- clocks go forward at midnight. Regression tests, in years to come, since what
-- was due long ago the server's own processes would see to.
--
SET client_min_messages = warning;
SET datestyle = 'ISO';
CREATE SCHEMA regress_clock;
SET search_path = regress_clock;
CREATE FUNCTION at(t timestamptz) RETURNS void LANGUAGE sql AS
$$SELECT set_config('dbops.test_now', extract(epoch FROM t)::text, false)$$;
CREATE FUNCTION make(t text, first timestamptz, every interval, n int, names text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE TABLE %I (at timestamptz) PARTITION BY RANGE (at)', t);
  FOR i IN 0 .. n - 1 LOOP
    EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
      t || to_char(first + i * every, names), t, first + i * every, first + (i + 1) * every);
  END LOOP;
END $$;
CREATE FUNCTION parts(p regclass) RETURNS TABLE (name name, bound text) LANGUAGE sql AS
$$SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
   WHERE i.inhparent = p ORDER BY c.relname COLLATE "C"$$;

-- No midnight on 30 March 2053 in Beirut, nor on 7 September in Santiago.
SET timezone = 'Asia/Beirut';
SELECT at('2053-03-27 12:00');
SELECT make('day', '2053-03-26', '1 day', 2, '_YYYYMMDD');
SELECT dbops.set_partitioning('day', runway => '1 day') IS NOT NULL AS set;
SELECT spec -> 'every' AS every FROM dbops.policy WHERE name = 'regress_clock.day';
CALL dbops.run_partitioning('day');
SELECT at('2053-03-28 12:00');
CALL dbops.run_partitioning('day');
SELECT at('2053-03-29 12:00');
CALL dbops.run_partitioning('day');
SELECT * FROM parts('day');
-- that day is the newest, and the interval is to be seen from it and from the one before
SELECT at('2053-03-30 12:00');
SELECT dbops.remove_partitioning('day');
DROP TABLE day_20530326, day_20530327, day_20530328;
SELECT dbops.set_partitioning('day', runway => '2 days') IS NOT NULL AS set;
DROP TABLE day_20530329;
SELECT dbops.set_partitioning('day', runway => '2 days') IS NOT NULL AS set;
CALL dbops.run_partitioning('day');
SELECT * FROM parts('day');
SET timezone = 'America/Santiago';
SELECT at('2053-09-03 12:00');
SELECT make('week', '2053-08-31', '7 days', 1, '_YYYYMMDD');
SELECT dbops.set_partitioning('week', runway => '7 days') IS NOT NULL AS set;
CALL dbops.run_partitioning('week');
SELECT at('2053-09-13 12:00');
SELECT dbops.set_partitioning('week', runway => '1 day') IS NOT NULL AS set;
CALL dbops.run_partitioning('week');
SELECT * FROM parts('week');

SET client_min_messages = error;
DROP SCHEMA regress_clock CASCADE;
SELECT count(*) >= 0 AS run FROM dbops.run_maintenance();
RESET dbops.test_now;
