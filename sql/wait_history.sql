-- What sessions waited for, minute by minute: here of a session that samples
-- itself, since it is at work then; what dbops does in the background has no query_id. Who waits for whom takes several sessions:
-- test/t/history.pl.
\set VERBOSITY terse
SET TimeZone = 'UTC';
SET DateStyle = ISO;
SET compute_query_id = on;
CREATE FUNCTION pg_temp.set_time(at timestamptz) RETURNS void LANGUAGE sql AS
    $$ SELECT set_config('dbops.test_now', extract(epoch FROM at)::text, false) $$;
CREATE FUNCTION pg_temp.sample(since timestamptz, until timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    at timestamptz;
BEGIN
    FOR at IN SELECT generate_series(since, until - interval '1 us', '10 s') LOOP
        PERFORM pg_temp.set_time(at);
        PERFORM dbops.sample_server();
    END LOOP;
    PERFORM pg_temp.set_time(until + interval '10 s');
END
$$;

BEGIN;
SELECT pg_temp.sample('2030-01-01 00:00:03+00', '2030-01-01 00:05:03+00');
-- from memory
SELECT wait_type, wait, query_id IS NOT NULL AS has_query, samples, seconds, blocker, first_at, last_at
  FROM dbops.wait_history() WHERE database = current_database() AND query_id IS NOT NULL;
SELECT dbops.roll_up_metrics(false) > 0 AS written;
-- from the table, and what is not there yet from memory; each moment once
SELECT count(*), sum(samples), min(at), max(at) FROM dbops.wait_1m WHERE database = current_database() AND query_id IS NOT NULL AND at >= '2030-01-01';
SELECT wait_type, samples, seconds, first_at, last_at FROM dbops.wait_history() WHERE database = current_database() AND query_id IS NOT NULL;
SELECT wait_type, samples, first_at, last_at FROM dbops.wait_history('2030-01-01 00:02:30', '2030-01-01 00:04') WHERE database = current_database() AND query_id IS NOT NULL;
-- again, nothing is written twice
UPDATE dbops.history_progress SET rolled_until = rolled_until - interval '3 min' WHERE tier = 'waits';
SELECT dbops.roll_up_metrics(false);
SELECT count(*), sum(samples) FROM dbops.wait_1m WHERE database = current_database() AND query_id IS NOT NULL AND at >= '2030-01-01';
-- more than memory can have goes on from what it has
SELECT pg_temp.sample('2030-01-01 00:05:03+00', '2030-01-01 01:00:03+00');
SELECT dbops.roll_up_metrics(false) > 0 AS written;
SELECT count(DISTINCT at), max(at) FROM dbops.wait_1m WHERE database = current_database() AND query_id IS NOT NULL AND at >= '2030-01-01';
ROLLBACK;

-- questions that have no answer
SELECT * FROM dbops.wait_history(now(), now() - interval '1 day');
\set VERBOSITY default
SELECT * FROM dbops.wait_history('-infinity');
SELECT * FROM dbops.wait_history('4714-11-24 00:00+00 BC', '294276-12-31 00:00+00');
\set VERBOSITY terse
SELECT * FROM dbops.wait_history(until => 'infinity');
SELECT count(*) FROM dbops.wait_history('1990-01-01', '1990-02-01');
