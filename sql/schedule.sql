-- Schedules become jobs when they are due. The clock of this session is in a
-- year in which the background never looks at them, so nothing else does.
\set VERBOSITY terse
SET TimeZone = 'UTC';
SET datestyle = 'ISO';
CREATE FUNCTION pg_temp.at(t timestamptz) RETURNS void LANGUAGE sql AS
    $$ SELECT set_config('dbops.test_now', extract(epoch FROM t)::text, false) $$;
CREATE FUNCTION pg_temp.maintain(t timestamptz) RETURNS TABLE (name text, run_after timestamptz, state text) LANGUAGE plpgsql AS $$
DECLARE
    ids bigint[];
BEGIN
    PERFORM pg_temp.at(t);
    ids := ARRAY(SELECT dbops.run_maintenance());
    RETURN QUERY SELECT j.name, j.run_after, j.state FROM dbops.job j WHERE id = ANY (ids) ORDER BY id;
END
$$;
CREATE VIEW pg_temp.jobs AS
    SELECT row_number() OVER (PARTITION BY schedule ORDER BY id) AS n, schedule, run_after, state, message,
           coalesce((SELECT cancel FROM dbops.job_request r WHERE r.job_id = id), false) AS cancelling
      FROM dbops.job WHERE schedule IS NOT NULL;
CREATE FUNCTION pg_temp.be(schedule text, state text, sqlstate text DEFAULT NULL) RETURNS void LANGUAGE sql AS $$
    UPDATE dbops.job j SET state = be.state, sqlstate = be.sqlstate, message = CASE WHEN be.state = 'blocked' THEN 'why' END,
           finished_at = CASE WHEN be.state IN ('succeeded', 'failed', 'cancelled') THEN submitted_at END
     WHERE id = (SELECT min(id) FROM dbops.job i WHERE i.schedule = be.schedule AND finished_at IS NULL)
$$;

-- from definition to job: everything that is given arrives there
SELECT pg_temp.at('2040-01-01 12:00');
SELECT dbops.schedule('nightly', '0 3 * * *', 'VACUUM pg_class');
SELECT dbops.schedule('all of it', '@every 10 minutes', 'SELECT 1; SELECT 2', time_zone => 'europe/berlin', overlap => 'queue_one', missed => 'skip',
    time_window => '01:00-05:00', timeout => '5 minutes', lock_timeout => '3 seconds', max_attempts => 7, backoff => '1 minute', priority => 4, idempotent => true);
SELECT * FROM dbops.next_runs('nightly', 3);
SELECT * FROM dbops.next_runs('all of it', 3);
SELECT * FROM pg_temp.maintain('2040-01-02 02:59:59.999') WHERE name = 'nightly';
SELECT * FROM pg_temp.maintain('2040-01-02 03:00');
-- not twice
SELECT * FROM pg_temp.maintain('2040-01-02 03:00');
SELECT kind, name, owner = current_user::regrole AS mine, path, command, class, atomic, idempotent, priority, time_window, time_zone, timeout, lock_timeout, max_attempts, backoff
  FROM dbops.job WHERE schedule IS NOT NULL ORDER BY id;
SELECT kind, name, schedule, time_zone, time_window, active, next_run, last_run, last_job IS NOT NULL AS has_job, last_state, last_message, skipped, command FROM dbops.policies();
SELECT dbops.unschedule('all of it');
-- that job had not begun
SELECT n, schedule, state FROM pg_temp.jobs ORDER BY schedule, n;

-- defined again: the same times keep a run that is due, others begin anew
SELECT pg_temp.at('2040-01-03 03:00:10');
SELECT dbops.schedule('nightly', '0 3 * * *', 'SELECT 3');
SELECT dbops.schedule('nightly', '0 4 * * *', 'SELECT 4');
SELECT dbops.schedule('nightly', '0 4 * * *', 'SELECT 4', active => false);
SELECT active, next_run, last_run FROM dbops.policies();
SELECT * FROM dbops.next_runs('nightly', 2);
SELECT * FROM pg_temp.maintain('2040-02-01');
SELECT dbops.schedule('nightly', '0 4 * * *', 'SELECT 4');
SELECT dbops.unschedule('nightly', true);
SELECT dbops.unschedule('nightly');

-- overlap: skip
SELECT pg_temp.at('2040-03-01');
SELECT dbops.schedule('skip', '@hourly', 'SELECT 1');
SELECT * FROM pg_temp.maintain('2040-03-01 01:00');
SELECT * FROM pg_temp.maintain('2040-03-01 02:00');
SELECT pg_temp.be('skip', 'running');
SELECT * FROM pg_temp.maintain('2040-03-01 03:00');
SELECT next_run, last_run, last_state, regexp_replace(last_message, '\d+', 'N') AS last_message, skipped FROM dbops.policies();
SELECT pg_temp.be('skip', 'succeeded');
SELECT * FROM pg_temp.maintain('2040-03-01 04:00');
SELECT next_run, last_run, last_state, last_message, skipped FROM dbops.policies();
-- one that waits for a human gives way, unless it may have been done
SELECT pg_temp.be('skip', 'blocked', '42P01');
SELECT * FROM pg_temp.maintain('2040-03-01 05:00');
SELECT n, state, message FROM pg_temp.jobs WHERE schedule = 'skip' ORDER BY n;
SELECT pg_temp.be('skip', 'blocked', '08007');
SELECT * FROM pg_temp.maintain('2040-03-01 06:00');
SELECT last_state, regexp_replace(last_message, '\d+', 'N') AS last_message FROM dbops.policies();
SELECT dbops.unschedule('skip', true);

-- overlap: queue_one
SELECT pg_temp.at('2040-04-01');
SELECT dbops.schedule('queue', '@hourly', 'SELECT 1', overlap => 'queue_one');
SELECT * FROM pg_temp.maintain('2040-04-01 01:00');
-- it has not begun: nothing is to be queued behind it
SELECT * FROM pg_temp.maintain('2040-04-01 02:00');
SELECT pg_temp.be('queue', 'running');
SELECT * FROM pg_temp.maintain('2040-04-01 03:00');
SELECT * FROM pg_temp.maintain('2040-04-01 04:00');
SELECT n, state, cancelling FROM pg_temp.jobs WHERE schedule = 'queue' ORDER BY n;
-- the second waits for the first
SELECT regexp_replace(dbops.job_status(max(id))->>'waiting', '\d+', 'N') AS waiting FROM dbops.job WHERE schedule = 'queue';
SELECT pg_temp.be('queue', 'succeeded');
SELECT dbops.job_status(max(id))->>'waiting' LIKE '%run before%' AS waits FROM dbops.job WHERE schedule = 'queue';
SELECT dbops.unschedule('queue');
SELECT n, state FROM pg_temp.jobs WHERE schedule = 'queue' ORDER BY n;

-- overlap: cancel_old
SELECT pg_temp.at('2040-05-01');
SELECT dbops.schedule('cancel', '@hourly', 'SELECT 1', overlap => 'cancel_old');
SELECT * FROM pg_temp.maintain('2040-05-01 01:00');
SELECT * FROM pg_temp.maintain('2040-05-01 02:00');
SELECT pg_temp.be('cancel', 'running');
SELECT * FROM pg_temp.maintain('2040-05-01 03:00');
SELECT n, state, cancelling FROM pg_temp.jobs WHERE schedule = 'cancel' ORDER BY n;
SELECT regexp_replace(dbops.job_status(max(id))->>'waiting', '\d+', 'N') AS waiting FROM dbops.job WHERE schedule = 'cancel';
SELECT dbops.unschedule('cancel', true);
SELECT n, state, cancelling FROM pg_temp.jobs WHERE schedule = 'cancel' ORDER BY n;

-- missed runs: one for all of them, or none
SELECT pg_temp.at('2040-06-01 00:30');
SELECT dbops.schedule('once', '*/10 * * * *', 'SELECT 1'), dbops.schedule('never', '*/10 * * * *', 'SELECT 1', missed => 'skip'),
       dbops.schedule('seconds', '@every 1 second', 'SELECT 1');
SELECT * FROM pg_temp.maintain('2040-06-01 04:05');
SELECT name, next_run, last_run, last_message, skipped FROM dbops.policies() ORDER BY name;
UPDATE dbops.job SET state = 'succeeded', finished_at = submitted_at WHERE finished_at IS NULL AND schedule IN ('once', 'never', 'seconds');
-- within a minute is not late, also after a longer time
SELECT * FROM pg_temp.maintain('2040-06-01 05:00:59');
SELECT name, next_run, last_run, last_message, skipped FROM dbops.policies() ORDER BY name;
SELECT dbops.unschedule(name, true) FROM dbops.policies();

-- jitter: the same for the same run, within its bounds, and inside the window
SELECT pg_temp.at('2040-07-01');
SELECT dbops.schedule('spread', '@hourly', 'SELECT 1', jitter => '10 minutes'), dbops.schedule('spread inside', '@hourly', 'SELECT 1', jitter => '24 hours', time_window => '01:00-01:30');
SELECT name, run_after BETWEEN '2040-07-01 01:00' AND '2040-07-01 01:00'::timestamptz + CASE name WHEN 'spread' THEN '10 min' ELSE '30 min' END::interval AS within
  FROM pg_temp.maintain('2040-07-01 01:00');
SELECT run_after AS before FROM dbops.job WHERE schedule = 'spread' \gset
DELETE FROM dbops.job WHERE schedule = 'spread';
UPDATE dbops.schedule SET next_run = last_run WHERE name = 'spread';
SELECT run_after = :'before' AS same FROM pg_temp.maintain('2040-07-01 01:00:30');
SELECT dbops.unschedule(name, true) FROM dbops.policies();

-- one that cannot be run does not stop the others, and goes on when it can
CREATE ROLE regress_schedule_gone LOGIN;
SELECT dbops.grant_access('regress_schedule_gone', 'operator');
SELECT pg_temp.at('2040-08-01');
SET ROLE regress_schedule_gone;
SELECT dbops.schedule('role', '@hourly', 'SELECT 1');
RESET ROLE;
SELECT dbops.revoke_access('regress_schedule_gone');
DROP ROLE regress_schedule_gone;
SELECT dbops.schedule('zone', '@hourly', 'SELECT 1'), dbops.schedule('zzz', '@hourly', 'SELECT 1');
UPDATE dbops.schedule SET time_zone = 'Europe/Atlantis' WHERE name = 'zone';
SELECT * FROM pg_temp.maintain('2040-08-01 01:00');
SELECT name, next_run, last_state, regexp_replace(last_message, '\d+', 'N') AS last_message FROM dbops.policies() ORDER BY name;
UPDATE dbops.schedule SET time_zone = 'UTC' WHERE name = 'zone';
SELECT * FROM pg_temp.maintain('2040-08-01 01:10');
SELECT name, next_run, last_message FROM dbops.policies() WHERE name = 'zone';
SELECT dbops.unschedule(name, true) FROM dbops.policies();

-- a rollback takes back both the job and the next time
SELECT pg_temp.at('2040-09-01');
SELECT dbops.schedule('undone', '@hourly', 'SELECT 1');
BEGIN;
SELECT * FROM pg_temp.maintain('2040-09-01 01:00');
-- nothing that is indexed has changed
SELECT pg_stat_get_xact_tuples_updated('dbops.schedule'::regclass) > 0 AS updated,
       pg_stat_get_xact_tuples_updated('dbops.schedule'::regclass) = pg_stat_get_xact_tuples_hot_updated('dbops.schedule'::regclass) AS in_place;
ROLLBACK;
SELECT * FROM pg_temp.maintain('2040-09-01 01:00');
SELECT dbops.unschedule('undone', true);

-- what is refused
\set VERBOSITY default
\set SHOW_CONTEXT never
SELECT dbops.schedule(NULL, '@daily', 'SELECT 1');
SELECT dbops.schedule('', '@daily', 'SELECT 1');
SELECT dbops.schedule('x', NULL, 'SELECT 1');
SELECT dbops.schedule('x', '@daily', NULL);
SELECT dbops.schedule('x', '30 2 30 2 *', 'SELECT 1');
SELECT dbops.schedule('x', '@daily', 'SELEC 1');
SELECT dbops.schedule('x', '@daily', 'SELECT 1; VACUUM');
SELECT dbops.schedule('x', '@daily', 'SELECT 1', time_zone => 'Europe/Atlantis');
SELECT dbops.schedule('x', '@daily', 'SELECT 1', overlap => 'both');
SELECT dbops.schedule('x', '@daily', 'SELECT 1', missed => 'all');
SELECT dbops.schedule('x', '@daily', 'SELECT 1', jitter => '-1 second');
SELECT dbops.schedule('x', '@daily', 'SELECT 1', jitter => '25 hours');
SELECT dbops.schedule('x', '@daily', 'SELECT 1', time_window => 'noon');
SELECT dbops.schedule('x', '@daily', 'SELECT 1', timeout => '0');
SELECT dbops.schedule('x', '@daily', 'SELECT 1', max_attempts => 0);
SELECT dbops.unschedule('x');
SELECT dbops.unschedule(NULL);
SELECT count(*) FROM dbops.policies();

RESET dbops.test_now;
DELETE FROM dbops.job_request WHERE job_id IN (SELECT id FROM dbops.job WHERE schedule IS NOT NULL);
DELETE FROM dbops.job WHERE schedule IS NOT NULL;
