-- Checks of what has happened lately. With the clock of the tests, samples and
-- what is told from them are this session's own, so that two samples make an
-- hour, and none from elsewhere comes between. What the server counts is the
-- whole server's: only rates that this test brings about are looked at.
\set VERBOSITY terse
CREATE FUNCTION pg_temp.look(name text) RETURNS TABLE (severity text, message text, value numeric)
    LANGUAGE sql AS $$ SELECT f.severity, f.message, (f.data->>'value')::numeric FROM dbops.health_checks() f WHERE f.check_name = name $$;
CREATE FUNCTION pg_temp.sample(seconds int) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('dbops.test_now', (1900000000 + seconds)::text, false);
    RETURN dbops.sample_server()::text;
END $$;

-- without samples all of these are unknown for the reason that they share
SET dbops.test_now = 1900000000;
SELECT count(*) FILTER (WHERE message = 'no samples yet') > 15 AS share_the_reason,
       count(*) FILTER (WHERE message = 'no samples yet' AND remedy IS NULL) AS without_remedy
  FROM dbops.health_checks() WHERE severity = 'unknown';
SELECT check_name FROM dbops.health_checks()
 WHERE check_name IN ('database.deadlocks', 'temp.rate', 'wal.rate', 'checkpoints.requested', 'buffers.backend_writes') AND severity <> 'unknown' ORDER BY 1;

-- one is none
SELECT pg_stat_force_next_flush() \g /dev/null
SELECT pg_temp.sample(0) \g /dev/null
SELECT severity, message FROM pg_temp.look('temp.rate');

-- temporary files: a few MB in ten seconds
SET work_mem = '64kB';
SET temp_file_limit = -1;
SELECT count(*) FROM (SELECT g, repeat('x', 100) FROM generate_series(1, 200000) g ORDER BY g DESC) s;
SELECT pg_stat_force_next_flush() \g /dev/null
SELECT pg_temp.sample(10) \g /dev/null
SELECT severity, value BETWEEN 1e5 AND 1e7 AS much_in_a_second FROM pg_temp.look('temp.rate');
SELECT dbops.set_check('temp.rate', warning => 10000);
SELECT severity, value BETWEEN 1e5 AND 1e7 AS much_in_a_second FROM pg_temp.look('temp.rate');
SELECT dbops.reset_check('temp.rate');
RESET work_mem;

-- transactions that are rolled back: few are no ratio
SELECT severity FROM pg_temp.look('transactions.rollbacks');
SELECT dbops.set_check('transactions.rollbacks', guard => 0, warning => 0);
BEGIN; SELECT 1 AS one; ROLLBACK;
SELECT pg_stat_force_next_flush() \g /dev/null
SELECT pg_temp.sample(20) \g /dev/null
SELECT severity FROM pg_temp.look('transactions.rollbacks');
SELECT dbops.reset_check('transactions.rollbacks');

-- blocks: few are no ratio
SELECT severity FROM pg_temp.look('cache.hit_ratio');

-- requested checkpoints: the last may not be counted yet
SELECT dbops.set_check('checkpoints.requested', guard => 0);
CHECKPOINT;
CHECKPOINT;
CHECKPOINT;
SELECT pg_stat_force_next_flush() \g /dev/null
SELECT pg_temp.sample(3600) \g /dev/null
SELECT severity, value >= 50 AS most FROM pg_temp.look('checkpoints.requested');
SELECT severity, value >= 0 AS known FROM pg_temp.look('checkpoints.duration');

SELECT dbops.reset_check('checkpoints.requested');

-- WAL and transaction ids
CREATE TABLE rates AS SELECT g FROM generate_series(1, 1000) g;
DROP TABLE rates;
SELECT pg_temp.sample(3610) \g /dev/null
SELECT severity, value > 0 AS written FROM pg_temp.look('wal.rate');
SELECT severity, value > 1000 AS days FROM pg_temp.look('wraparound.days_left');
SELECT severity, message ~ '^([02-9] deadlocks|1 deadlock) in 60 min$' AS counted FROM pg_temp.look('database.deadlocks');

-- the age of the newest sample
SELECT severity, message FROM pg_temp.look('collector.samples');
SET dbops.test_now = 1900003700;
SELECT severity, message FROM pg_temp.look('collector.samples');

-- what was reset meanwhile is not counted from before
SELECT pg_stat_reset() IS NOT NULL AS reset;
SELECT pg_stat_force_next_flush() \g /dev/null
SELECT pg_temp.sample(3720) \g /dev/null
SELECT severity FROM pg_temp.look('temp.rate');
RESET dbops.test_now;
