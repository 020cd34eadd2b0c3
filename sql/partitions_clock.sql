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

-- Made on a server in UTC, with a policy of a zone with summer time, with the interval given or not; the newest alone tell.
SET timezone = 'UTC';
SELECT at('2053-12-10 12:00');
SELECT make('utc', '2053-01-01', '1 month', 12, '_YYYY_MM'), make('given', '2053-01-01', '1 month', 12, '_YYYY_MM'), make('days', '2053-11-03', '1 day', 31, '_YYYYMMDD');
SELECT dbops.set_partitioning('utc', runway => '200 days', time_zone => 'America/New_York') IS NOT NULL AS set;
SELECT dbops.set_partitioning('given', '1 month', '200 days', time_zone => 'America/New_York') IS NOT NULL AS set;
SELECT dbops.set_partitioning('days', runway => '100 days', time_zone => 'America/New_York') IS NOT NULL AS set;
CALL dbops.run_partitioning('utc');
CALL dbops.run_partitioning('given');
CALL dbops.run_partitioning('days');
SELECT * FROM parts('utc') WHERE name > 'utc_2053_11';
SELECT u.bound FROM parts('utc') u EXCEPT SELECT bound FROM parts('given');
SELECT count(*), min(name), max(name), bool_and(bound ~ ' 00:00:00\+00''\) TO .* 00:00:00\+00''\)') AS midnights
  FROM parts('days') WHERE name > 'days_20531203';
-- since then made by hand, by the clock of New York
SELECT make('mixed', '2053-01-01', '1 month', 8, '_YYYY_MM');
CREATE TABLE mixed_2053_09 PARTITION OF mixed FOR VALUES FROM ('2053-09-01 00:00+00') TO ('2053-10-01 00:00-04');
SET timezone = 'America/New_York';
SELECT format('CREATE TABLE mixed_2053_%s PARTITION OF mixed FOR VALUES FROM (%L) TO (%L)', i, make_timestamptz(2053, i, 1, 0, 0, 0),
  make_timestamptz(2053, i, 1, 0, 0, 0) + interval '1 month') FROM generate_series(10, 12) i \gexec
SELECT dbops.set_partitioning('mixed', runway => '110 days') IS NOT NULL AS set;
CALL dbops.run_partitioning('mixed');
SELECT * FROM parts('mixed') WHERE name > 'mixed_2053_11';
-- and the other way round
CREATE TABLE back (at timestamptz) PARTITION BY RANGE (at);
SELECT format('CREATE TABLE back_2053_%s PARTITION OF back FOR VALUES FROM (%L) TO (%L)', to_char(i, 'FM00'),
  make_timestamptz(2053, i, 1, 0, 0, 0, CASE WHEN i > 9 THEN 'UTC' ELSE 'America/New_York' END),
  make_timestamptz(2053 + i / 12, i % 12 + 1, 1, 0, 0, 0, CASE WHEN i > 8 THEN 'UTC' ELSE 'America/New_York' END))
  FROM generate_series(4, 12) i WHERE i <> 9 \gexec
SELECT dbops.set_partitioning('back', '1 month', '110 days') IS NOT NULL AS set;
CALL dbops.run_partitioning('back');
SELECT name, replace(bound, 'FOR VALUES', '') AS bound FROM parts('back') WHERE name > 'back_2053_11';
-- by neither clock: the months of New York for a policy of Los Angeles
SET timezone = 'America/Los_Angeles';
SELECT dbops.remove_partitioning('mixed');
SELECT dbops.set_partitioning('mixed', '1 month', '230 days') IS NOT NULL AS set;
CALL dbops.run_partitioning('mixed');
SELECT * FROM parts('mixed') WHERE name > 'mixed_2054_03';

SET client_min_messages = error;
DROP SCHEMA regress_clock CASCADE;
SELECT count(*) >= 0 AS run FROM dbops.run_maintenance();
RESET dbops.test_now;
