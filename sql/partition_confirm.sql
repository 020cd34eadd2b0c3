--
-- What is confirmed is what was shown for this time to keep, and a clock that
-- jumps drops nothing unasked. Regression tests, since all of it is seen in one
-- session. The time is the test's own.
--
SET client_min_messages = warning;
SET timezone = 'UTC';
SET datestyle = 'ISO';
CREATE SCHEMA regress_partconf;
SET search_path = regress_partconf;
CREATE FUNCTION at(t timestamptz) RETURNS void LANGUAGE sql AS
$$SELECT set_config('dbops.test_now', extract(epoch FROM t)::text, false)$$;
CREATE FUNCTION fill(p regclass, since date, number int, every interval, pattern text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 0 .. number - 1 LOOP
    EXECUTE format('CREATE TABLE %I PARTITION OF %s FOR VALUES FROM (%L) TO (%L)', to_char(since + i * every, pattern), p,
                   since + i * every, since + (i + 1) * every);
  END LOOP;
END $$;
CREATE FUNCTION oldest(p regclass) RETURNS TABLE (oldest text, number bigint) LANGUAGE sql AS
$$SELECT min(inhrelid::regclass::text COLLATE "C"), count(*) FROM pg_inherits WHERE inhparent = p$$;
CREATE FUNCTION dropped(p regclass) RETURNS TABLE (number bigint, note text) LANGUAGE sql AS
$$SELECT count(*), min(note) FROM dbops.partition_plan(p) WHERE action = 'drop partition'$$;

-- too short a time to keep is refused, and the right one is confirmed: as much as that means
SELECT at('2053-01-15');
CREATE TABLE sc (at timestamptz) PARTITION BY RANGE (at);
SELECT fill('sc', '2051-02-01', 24, '1 month', '"sc_"YYYY_MM');
SELECT dbops.set_partitioning('sc', keep => '3 months');
\set VERBOSITY terse
CALL dbops.run_partitioning('sc');
\set VERBOSITY default
SELECT * FROM oldest('sc');
SELECT dbops.set_partitioning('sc', keep => '20 months', confirm => true);
SELECT * FROM dropped('sc');
CALL dbops.run_partitioning('sc');
SELECT * FROM oldest('sc');
-- another one, later: nothing of it was confirmed
SELECT dbops.set_partitioning('sc', keep => '4 months');
SELECT * FROM dropped('sc');
\set VERBOSITY terse
CALL dbops.run_partitioning('sc');
\set VERBOSITY default
SELECT * FROM oldest('sc');
-- what was shown under a longer one does not bound what is confirmed under this one
SELECT dbops.set_partitioning('sc', keep => '2 months');
CALL dbops.run_partitioning('sc', confirm => true);
SELECT * FROM oldest('sc');
-- the same one again stays confirmed
SELECT fill('sc', '2051-02-01', 2, '1 month', '"sc_"YYYY_MM');
SELECT dbops.set_partitioning('sc', keep => '2 months');
SELECT * FROM dropped('sc');

-- a clock that jumps by three weeks, which is less than max_retention_percent of what is there
CREATE TABLE cj (at timestamptz) PARTITION BY RANGE (at);
SELECT fill('cj', '2052-10-16', 105, '1 day', '"cj_"YYYYMMDD');
SELECT dbops.set_partitioning('cj', keep => '90 days');
CALL dbops.run_partitioning('cj');
SELECT * FROM oldest('cj');
SELECT at('2053-02-05');
-- of which no time has passed, whether the machine tells since when it runs or not
UPDATE dbops.policy SET memory = jsonb_set(memory, '{at}', to_jsonb((extract(epoch FROM '2053-02-05 00:00+00' - '2000-01-01 00:00+00'::timestamptz) * 1000000)::bigint))
 WHERE kind = 'partitioning' AND relation = 'cj'::regclass;
SELECT number, regexp_replace(note, '[^ ]+ [^ ]+ have passed', '... have passed') AS note FROM dropped('cj');
\set VERBOSITY sqlstate
CALL dbops.run_partitioning('cj');
\set VERBOSITY default
SELECT * FROM oldest('cj');
-- what was confirmed goes, and the next day comes of itself
CALL dbops.run_partitioning('cj', confirm => true);
SELECT * FROM oldest('cj');
SELECT at('2053-02-06');
CALL dbops.run_partitioning('cj');
SELECT * FROM oldest('cj');

SET client_min_messages = error;
DROP SCHEMA regress_partconf CASCADE;
SELECT count(*) >= 0 AS ok FROM dbops.run_maintenance();
RESET dbops.test_now;
