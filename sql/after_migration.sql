-- after_migration() against two hours that are written here, minute by minute,
-- by the clock of tests. All of it is rolled back, and the history is locked
-- meanwhile, so that no scheduler writes between.
SET timezone = 'UTC';
\pset null (null)
-- in which database the cluster's history is depends on others
SET client_min_messages = warning;

BEGIN;
LOCK TABLE dbops.history_progress IN EXCLUSIVE MODE;
SET LOCAL dbops.test_now = 1932897630;  -- 2031-04-02 12:00:30
SELECT count(*) FROM dbops.apply_migration('regress1', 'SELECT 1', project => 'regress_after');
UPDATE dbops.migration SET applied_at = '2031-04-02 12:00:20+00' WHERE project = 'regress_after';
CREATE TABLE dbops.metric_1m_20310402 PARTITION OF dbops.metric_1m FOR VALUES FROM ('2031-04-02 00:00+00') TO ('2031-04-03 00:00+00');
INSERT INTO dbops.history_progress VALUES ('1m', false, '2031-04-02 14:00+00'), ('1m', true, '2031-04-02 14:00+00')
    ON CONFLICT (tier, cluster) DO UPDATE SET rolled_until = EXCLUDED.rolled_until;

-- nothing was sampled: it says so
SELECT figure, severity, message, minutes_before, minutes_after FROM dbops.after_migration('regress1', 'regress_after');

-- an hour of 1,000 statements a minute of 2 ms; afterwards as the arguments say, of one minute: statements, their time, slow ones, deadlocks, rollbacks of
-- 500 commits, waiting sessions, lag
CREATE FUNCTION pg_temp.fill(since timestamptz, minutes int, calls float8, spent float8, slow float8, deadlocks float8, rollbacks float8, waiting float8, lag float8) RETURNS void LANGUAGE sql AS $$
    INSERT INTO dbops.metric_1m (at, cluster, n, cadence, coverage, span, reset, mins, avgs, maxs, lasts, deltas)
    SELECT since + i * interval '1 minute', false, 6, 10000, 1, 60, false, v.g, v.g, v.g, v.g,
           -- positions of metric.h: commits, rollbacks; deadlocks; statements, time, slow
           array_fill(NULL::float8, '{4}') || ARRAY[500, rollbacks]::float8[] || array_fill(NULL::float8, '{7}') ||
           CASE WHEN i = 0 THEN deadlocks ELSE 0 END || array_fill(NULL::float8, '{11}') || ARRAY[calls, spent * (0.9 + 0.2 * (i % 2)), slow]::float8[]
      FROM generate_series(0, minutes - 1) i, LATERAL (SELECT array_fill(NULL::float8, '{3}') || waiting AS g) v
    UNION ALL
    SELECT since + i * interval '1 minute', true, 6, 10000, 1, 60, false, v.g, v.g, v.g, v.g, '{}'::float8[]
      FROM generate_series(0, minutes - 1) i, LATERAL (SELECT array_fill(NULL::float8, '{46}') || lag AS g) v
$$;
SELECT pg_temp.fill('2031-04-02 11:00+00', 60, 1000, 2000, 1, 0, 2, 0, 0.5);
SELECT figure, severity, message, minutes_before, minutes_after FROM dbops.after_migration('regress1', 'regress_after');

-- the hour after is a quarter over, and all is as before
SET LOCAL dbops.test_now = 1932898560;  -- 12:16
SAVEPOINT before;
SELECT pg_temp.fill('2031-04-02 12:01+00', 15, 1000, 2000, 1, 0, 2, 0, 0.5);
SELECT figure, unit, round(before::numeric, 3) AS before, round(after::numeric, 3) AS after, round(change_percent::numeric) AS change, severity, remedy, minutes_before, minutes_after
  FROM dbops.after_migration('regress1', 'regress_after');
ROLLBACK TO before;

-- all of it is worse
SELECT pg_temp.fill('2031-04-02 12:01+00', 15, 1000, 6000, 50, 2, 25, 3, 90);
SELECT figure, unit, round(before::numeric, 3) AS before, round(after::numeric, 3) AS after, round(change_percent::numeric) AS change, severity, remedy
  FROM dbops.after_migration('regress1', 'regress_after');
SELECT severity, message FROM dbops.after_migration('regress1', 'regress_after');
ROLLBACK TO before;

-- a little worse is not worse; nor is a lot of few statements that differ by the minute
SELECT pg_temp.fill('2031-04-02 12:01+00', 15, 1000, 2300, 2, 0, 2.5, 0.5, 5);
SELECT figure, severity FROM dbops.after_migration('regress1', 'regress_after');
ROLLBACK TO before;
SELECT pg_temp.fill('2031-04-02 12:01+00', 14, 10, 20, 0, 0, 2, 0, 0.5), pg_temp.fill('2031-04-02 12:15+00', 1, 10, 2000, 0, 0, 2, 0, 0.5);
SELECT figure, round(after::numeric, 3) AS after, severity FROM dbops.after_migration('regress1', 'regress_after') WHERE figure = 'statement time';
ROLLBACK TO before;

-- the minute in which it was applied counts for neither, nor does what comes after the hour
SET LOCAL dbops.test_now = 1932904800;  -- 14:00
SELECT pg_temp.fill('2031-04-02 12:00+00', 1, 1000, 9e6, 1000, 100, 400, 50, 5000),
       pg_temp.fill('2031-04-02 12:01+00', 60, 1000, 2000, 1, 0, 2, 0, 0.5),
       pg_temp.fill('2031-04-02 13:01+00', 10, 1000, 9e6, 1000, 100, 400, 50, 5000);
SELECT figure, severity, minutes_before, minutes_after FROM dbops.after_migration('regress1', 'regress_after');

-- one that is not applied
UPDATE dbops.migration SET state = 'reverted' WHERE project = 'regress_after';
SAVEPOINT refused;
SELECT dbops.after_migration('regress1', 'regress_after');
ROLLBACK;

-- what is refused
SELECT dbops.after_migration('regress none');
SELECT dbops.after_migration('regress none', 'regress''s');
SELECT dbops.after_migration(NULL);
SELECT dbops.after_migration('1', NULL);
