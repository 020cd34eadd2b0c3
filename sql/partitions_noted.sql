--
-- What a job has noted to drop and has not dropped, because it was killed or
-- cancelled or still waits, is its own policy's, and goes only if that policy
-- would still have it go. Regression tests: what such a job leaves is written
-- down by hand here; that jobs leave it so the specs and TAP tests show.
--
SET client_min_messages = warning;
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET dbops.test_now = 1911772800;	-- 2030-08-01 00:00 UTC
SET dbops.max_xmin_age = -1;	-- the processes of the server live in another time
CREATE SCHEMA regress_noted;
SET search_path = regress_noted;
CREATE FUNCTION make(t text, others text DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE TABLE %I (at timestamptz NOT NULL) PARTITION BY RANGE (at)', t);
  FOR i IN 1 .. 12 LOOP
    EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)', t || to_char(i, 'FM00'), t,
      make_timestamptz(2030, i, 1, 0, 0, 0), make_timestamptz(2030, i, 1, 0, 0, 0) + interval '1 month');
    EXECUTE format('INSERT INTO %I VALUES (%L)', t, make_timestamptz(2030, i, 2, 0, 0, 0));
  END LOOP;
  IF others IS NOT NULL THEN EXECUTE format('CREATE TABLE %I PARTITION OF %I DEFAULT', others, t); END IF;
END $$;
-- a run has noted it, and has gone so far with it
CREATE FUNCTION noted(t text, month int, of_kind text, so_far text DEFAULT 'noted') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO dbops.partition_drop (partition, parent, name, policy, kind, upper_end, begun, row_count, bytes, began_at)
    SELECT (t || to_char(month, 'FM00'))::regclass, relation, format('regress_noted.%s', t || to_char(month, 'FM00')), id, kind,
      extract(epoch FROM make_timestamptz(2030, month, 1, 0, 0, 0) + interval '1 month' - timestamptz '2000-01-01') * 1000000,
      so_far = 'detached', 1, 8192, now()
      FROM (SELECT id, relation, kind FROM dbops.policy) p WHERE kind = of_kind AND relation = t::regclass;
  IF so_far <> 'noted' THEN EXECUTE format('ALTER TABLE %I DETACH PARTITION %I', t, t || to_char(month, 'FM00')); END IF;
END $$;
-- the partitions, and the tables that were some
CREATE FUNCTION there(t text) RETURNS TABLE (first regclass, count bigint, beside regclass[]) LANGUAGE sql AS
$$SELECT min(oid::regclass::text) FILTER (WHERE relispartition)::regclass, count(*) FILTER (WHERE relispartition),
   array_agg(oid::regclass ORDER BY relname) FILTER (WHERE NOT relispartition)
   FROM pg_class WHERE relname ~ ('^' || t || '\d\d$') AND relnamespace = 'regress_noted'::regnamespace$$;
CREATE FUNCTION said(t text) RETURNS TABLE (kind text, object text, action text, outcome text, message text) LANGUAGE sql AS
$$SELECT kind, object, action, outcome, message FROM dbops.maintenance_log
   WHERE object ~ ('^regress_noted\.' || t || '\d\d$') ORDER BY id$$;
CREATE VIEW hand AS SELECT kind, name FROM dbops.partition_drop WHERE name LIKE 'regress\_noted.%' ORDER BY name;

-- What retention has noted is retention's: it is archived, by whomever the next run is called.
SELECT make('r', 'r_rest');
CREATE TABLE r_archive (LIKE r);
SELECT dbops.set_retention('r', 'at', '5 months', archive_to => 'r_archive', confirm => true) IS NOT NULL AS set;
SELECT dbops.set_partitioning('r', runway => '10 days') IS NOT NULL AS set;
SELECT noted('r', 1, 'retention', 'detached'), noted('r', 2, 'retention');
SELECT step, action, object, statement, row_count, note FROM dbops.partition_plan('r');
CALL dbops.run_partitioning('r');
SELECT * FROM there('r');
TABLE hand;
-- what is held since stays, in the table and beside it
SELECT dbops.place_hold('r', 'at = ''2030-02-02 UTC''', 'case') > 0 AS placed;
CALL dbops.run_retention('r');
SELECT * FROM there('r');
SELECT * FROM r_archive;
TABLE hand;
SELECT * FROM said('r');
SELECT dbops.release_hold(id) FROM dbops.holds() WHERE table_name = 'regress_noted.r';
-- nor is it dropped whole when only some of its rows are to go now
SELECT noted('r', 2, 'retention', 'detached');
SELECT dbops.set_retention('r', 'at', '5 months', filter => 'at < ''2030-06-01 UTC''', archive_to => 'r_archive', confirm => true) IS NOT NULL AS set;
CALL dbops.run_retention('r');
SELECT * FROM there('r');
SELECT * FROM said('r') OFFSET 2;

-- A policy that is removed or set again has the last word.
SELECT make('p');
SELECT dbops.set_partitioning('p', keep => '5 months', confirm => true) IS NOT NULL AS set;
SELECT noted('p', 1, 'partitioning'), noted('p', 2, 'partitioning', 'detached');
SELECT step, action, object, statement, note FROM dbops.partition_plan('p');
SELECT dbops.set_partitioning('p', keep => '5 years') IS NOT NULL AS set;
TABLE hand;
SELECT step, action, object, statement, note FROM dbops.partition_plan('p');
CALL dbops.run_partitioning('p');
SELECT * FROM there('p');
TABLE hand;
ALTER TABLE p ATTACH PARTITION p02 FOR VALUES FROM ('2030-02-01') TO ('2030-03-01');
SELECT dbops.set_partitioning('p', keep => '5 months') IS NOT NULL AS set;
SELECT noted('p', 1, 'partitioning'), noted('p', 2, 'partitioning', 'detached');
SELECT dbops.remove_partitioning('p');
TABLE hand;
SELECT dbops.set_partitioning('p') IS NOT NULL AS set;
SELECT noted('p', 4, 'partitioning');
CALL dbops.run_partitioning('p');
SELECT * FROM there('p');
SELECT * FROM said('p');
-- a clock that was put right, and a table that somebody has detached himself
ALTER TABLE p ATTACH PARTITION p02 FOR VALUES FROM ('2030-02-01') TO ('2030-03-01');
SELECT dbops.set_partitioning('p', keep => '6 months', confirm => true) IS NOT NULL AS set;
SELECT noted('p', 3, 'partitioning'), noted('p', 1, 'partitioning', 'by hand');
CALL dbops.run_partitioning('p');
SELECT * FROM there('p');
SELECT * FROM said('p') OFFSET 3;
-- nor does a note allow what has not been confirmed
SELECT dbops.set_partitioning('p', keep => '1 day') IS NOT NULL AS set;
UPDATE dbops.policy SET memory = NULL WHERE relation = 'p'::regclass;
SELECT noted('p', 2, 'partitioning');
\set VERBOSITY terse
CALL dbops.run_partitioning('p');
\set VERBOSITY default
SELECT * FROM there('p');
CALL dbops.run_partitioning('p', confirm => true);
SELECT * FROM there('p');

-- One of the two drops, in whichever order they are set, above and below too.
SELECT make('o');
SELECT dbops.set_partitioning('o', keep => '5 months') IS NOT NULL AS set;
SELECT dbops.set_retention('o', 'at', '5 months');
SELECT dbops.set_retention('o01', 'at', '5 months');
SELECT dbops.set_partitioning('o') IS NOT NULL AS set;
SELECT dbops.set_retention('o01', 'at', '5 months') IS NOT NULL AS set;
SELECT dbops.set_partitioning('o', keep => '5 months');
SELECT dbops.remove_retention('o01');
SELECT dbops.set_retention('o', 'at', '5 months') IS NOT NULL AS set;
SELECT dbops.set_partitioning('o', keep => '5 months');
-- were both there all the same, the one that asks nobody waits
UPDATE dbops.policy SET spec = spec || '{"keep": "5 months"}' WHERE relation = 'o'::regclass AND kind = 'partitioning';
CALL dbops.run_partitioning('o');
SELECT * FROM there('o');

-- A hold keeps a partition from set_partitioning too, when it is noted, detached, or neither.
SELECT make('h');
SELECT dbops.set_partitioning('h', keep => '3 months', confirm => true) IS NOT NULL AS set;
SELECT noted('h', 1, 'partitioning', 'detached'), noted('h', 2, 'partitioning');
SELECT dbops.place_hold('h', 'extract(month FROM at AT TIME ZONE ''UTC'') < 4', 'case') > 0 AS placed;
CALL dbops.run_partitioning('h');
SELECT * FROM there('h');
SELECT * FROM said('h');
SELECT dbops.release_hold(id) FROM dbops.holds() WHERE table_name = 'regress_noted.h';

SET client_min_messages = error;
DROP SCHEMA regress_noted CASCADE;
SELECT count(*) >= 0 AS run FROM dbops.run_maintenance();
RESET dbops.test_now;
