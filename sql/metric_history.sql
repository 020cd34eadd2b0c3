-- What becomes of samples when memory forgets them. The time is set and the
-- figures are known, in a memory of this session's own, and everything happens
-- in transactions that are rolled back: they keep background processes from
-- rolling up meanwhile.
\set VERBOSITY terse
SET TimeZone = 'UTC';
SET DateStyle = ISO;
CREATE FUNCTION pg_temp.set_time(at timestamptz) RETURNS void LANGUAGE sql AS
    $$ SELECT set_config('dbops.test_now', extract(epoch FROM at)::text, false) $$;
-- a sample every so often, committing so many transactions a second; the size is the number of the second
CREATE FUNCTION pg_temp.sample(since timestamptz, until timestamptz, cadence interval DEFAULT '10 s', counted int DEFAULT 0,
                               epoch timestamptz DEFAULT '2000-01-01 00:00+00') RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    at timestamptz;
BEGIN
    FOR at IN SELECT generate_series(since, until - interval '1 us', cadence) LOOP
        PERFORM pg_temp.set_time(at);
        PERFORM dbops.put_sample(jsonb_build_object('size', extract(epoch FROM at - since),
                                                    'transactions.committed', counted + 2 * extract(epoch FROM at - since)), epoch, cadence);
        IF extract(epoch FROM at)::bigint % 1800 < extract(epoch FROM cadence) THEN
            PERFORM dbops.roll_up_metrics(false);
        END IF;
    END LOOP;
    PERFORM pg_temp.set_time(until + interval '10 s');
END
$$;

-- every tier has the same: least, average, greatest and last of a gauge, and all of a counter
BEGIN;
SELECT pg_temp.sample('2030-01-01 00:00:03+00', '2030-01-02 02:00:03+00');
SELECT dbops.roll_up_metrics(false) > 0 AS written;
SELECT '1m' AS tier, count(*) AS rows, min(n) AS n, min(coverage) AS coverage, min(span) AS span, bool_or(reset) AS reset FROM dbops.metric_1m WHERE at > '2030-01-01 00:00+00'
 UNION ALL SELECT '5m', count(*), min(n), min(coverage), min(span), bool_or(reset) FROM dbops.metric_5m WHERE at > '2030-01-01 00:00+00'
 UNION ALL SELECT '1h', count(*), min(n), min(coverage), min(span), bool_or(reset) FROM dbops.metric_1h WHERE at > '2030-01-01 00:00+00'
 UNION ALL SELECT '1d', count(*), min(n), min(coverage), min(span), bool_or(reset) FROM dbops.metric_1d WHERE at >= '2030-01-01 00:00+00';
SELECT at, n, coverage, tier, minimum, average, maximum, last, delta FROM dbops.metric_history('size', '2030-01-01', '2030-01-03', '1 day');
SELECT at, n, coverage, tier, minimum, delta, per_second FROM dbops.metric_history('transactions.committed', '2030-01-01', '2030-01-03', '1 day');
SELECT count(*), min(per_second), max(per_second), min(tier), max(tier) FROM dbops.metric_history('transactions.committed', '2030-01-01 01:00', '2030-01-02 02:00', '1 min');
-- the last hour, as it is in memory; and the time that has not been rolled up
SELECT count(*), min(tier), min(coverage), sum(delta) FROM dbops.metric_history('transactions.committed');
SELECT at, n, tier, delta, per_second FROM dbops.metric_history('transactions.committed', '2030-01-02 00:00', NULL, '1 h');
-- the same again changes nothing
CREATE TEMP TABLE before ON COMMIT DROP AS SELECT * FROM dbops.metric_1m;
SELECT dbops.roll_up_metrics(false);
UPDATE dbops.history_progress SET rolled_until = rolled_until - interval '30 min' WHERE tier = '1m';
SELECT dbops.roll_up_metrics(false);
SELECT count(*) FROM (TABLE before EXCEPT TABLE dbops.metric_1m) differing;
-- partitions are those of the time, and belong to dbops, so that no dump has them
SELECT c.relname, d.deptype FROM pg_class c JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_extension'::regclass
 WHERE c.relname ~ '^metric_1[mhd]_2030' AND c.relkind = 'r' ORDER BY 1;
ROLLBACK;

-- a counter that begins anew; a restart alone loses nothing
BEGIN;
SELECT pg_temp.sample('2031-03-01 00:00+00', '2031-03-01 00:10+00', counted => 1000);
SELECT pg_temp.sample('2031-03-01 00:10+00', '2031-03-01 00:20+00', counted => 0, epoch => '2031-03-01 00:09:58+00');
SELECT pg_temp.sample('2031-03-01 00:20+00', '2031-03-01 00:30+00', counted => 1200, epoch => '2031-03-01 00:19:55+00');
SELECT at, n, coverage, reset, delta, round(per_second::numeric, 3) AS per_second
  FROM dbops.metric_history('transactions.committed', '2031-03-01 00:08', '2031-03-01 00:22', '1 min') WHERE at >= '2031-03-01 00:09' AND (reset OR delta <> 120);
SELECT dbops.roll_up_metrics(false) > 0 AS written;
SELECT at, n, reset, delta FROM dbops.metric_history('transactions.committed', '2031-03-01 00:00', '2031-03-01 00:30', '5 min');
ROLLBACK;

-- a time without samples has no rows; what was counted in it is told with the time that it took
BEGIN;
SELECT pg_temp.sample('2032-03-01 00:00+00', '2032-03-01 00:10+00');
SELECT pg_temp.sample('2032-03-01 00:20+00', '2032-03-01 00:40+00', counted => 4800);
SELECT dbops.roll_up_metrics(false) > 0 AS written;
SELECT at, n, coverage, reset, minimum FROM dbops.metric_history('size', '2032-03-01', '2032-03-01 00:40', '5 min');
SELECT at, n, coverage, delta, round(per_second::numeric, 3) AS per_second FROM dbops.metric_history('transactions.committed', '2032-03-01 00:18', '2032-03-01 00:22', '1 min');
ROLLBACK;

-- another cadence
BEGIN;
SELECT pg_temp.sample('2033-03-01 00:00+00', '2033-03-01 00:10+00');
SELECT pg_temp.sample('2033-03-01 00:10+00', '2033-03-01 00:20+00', '30 s', counted => 1200);
SELECT dbops.roll_up_metrics(false) > 0 AS written;
SELECT at, n, cadence, coverage, span FROM dbops.metric_1m WHERE at BETWEEN '2033-03-01 00:08+00' AND '2033-03-01 00:12+00' AND NOT cluster ORDER BY at;
SELECT at, n, cadence, coverage, span FROM dbops.metric_5m WHERE at >= '2033-03-01 00:00+00' AND NOT cluster ORDER BY at;
ROLLBACK;

-- somebody samples besides, every three seconds: nothing is counted twice, and memory has the hour
BEGIN;
DO $$
BEGIN
    FOR i IN 0 .. 1210 LOOP
        PERFORM pg_temp.set_time('2033-05-01 00:00+00'::timestamptz + i * interval '3 s');
        PERFORM dbops.put_sample(jsonb_build_object('size', 3 * i, 'transactions.committed', 6 * i), '2000-01-01 00:00+00', '10 s');
        IF i % 7 = 0 THEN
            PERFORM dbops.roll_up_metrics(false);
        END IF;
    END LOOP;
END
$$;
SELECT count(*), sum(n), min(coverage), min(span) FROM dbops.metric_1m WHERE at >= '2033-05-01 00:00+00' AND NOT cluster;
SELECT tier, count(*), min(at), sum(n) BETWEEN 360 AND 402 AS few, sum(delta) FROM dbops.metric_history('transactions.committed', '2033-05-01 00:00+00', '2033-05-01 01:00:01+00', '1 min') GROUP BY tier;
SELECT tier, min(at), sum(n) BETWEEN 360 AND 402 AS few, sum(delta) FROM dbops.metric_history('transactions.committed', '2033-05-01 00:00+00', '2033-05-01 01:00:01+00', '10 s') GROUP BY tier;
ROLLBACK;

-- one that came early and has been written down stays: what is counted up to it is not counted again
BEGIN;
DO $$
DECLARE
    seconds integer;
BEGIN
    FOREACH seconds IN ARRAY '{0, 10, 20, 30, 40, 50, 53, 72, 82, 92, 102, 112, 122}'::int[] LOOP
        PERFORM pg_temp.set_time('2033-06-01 00:00+00'::timestamptz + seconds * interval '1 s');
        PERFORM dbops.roll_up_metrics(false);
        PERFORM dbops.put_sample(jsonb_build_object('transactions.committed', seconds), '2000-01-01 00:00+00', '10 s');
    END LOOP;
END
$$;
SELECT pg_temp.set_time('2033-06-01 00:02:12+00');
SELECT dbops.roll_up_metrics(false);
SELECT at, n, delta, tier FROM dbops.metric_history('transactions.committed', '2033-06-01 00:00+00', '2033-06-01 00:02:12+00', '1 min');
ROLLBACK;

-- a counter that falls while nothing tells of a reset has begun anew all the same
BEGIN;
SELECT pg_temp.sample('2033-06-02 00:00+00', '2033-06-02 00:05+00', counted => 1000);
SELECT pg_temp.sample('2033-06-02 00:05+00', '2033-06-02 00:10+00', counted => 7);
SELECT dbops.roll_up_metrics(false) > 0 AS written;
SELECT at, reset, delta FROM dbops.metric_history('transactions.committed', '2033-06-02 00:04', '2033-06-02 00:07', '1 min');
ROLLBACK;

-- a gauge that stands still takes room once, and is known in full, in every tier
BEGIN;
DO $$
BEGIN
    FOR i IN 0 .. 8700 LOOP
        PERFORM pg_temp.set_time('2033-07-01 00:00+00'::timestamptz + i * interval '10 s');
        PERFORM dbops.put_sample('{"size": 123456, "connections.total": 3.5}', '2000-01-01 00:00+00', '10 s');
        IF i % 180 = 60 THEN
            PERFORM dbops.roll_up_metrics(false);
        END IF;
    END LOOP;
END
$$;
SELECT DISTINCT mins, avgs, maxs, lasts[1], lasts[23] FROM dbops.metric_1m WHERE at > '2033-07-01' AND NOT cluster;
SELECT DISTINCT mins, avgs, maxs, lasts[1], lasts[23] FROM dbops.metric_1d WHERE at >= '2033-07-01' AND NOT cluster;
SELECT DISTINCT tier, minimum, average, maximum, last FROM dbops.metric_history('connections.total', '2033-07-01', '2033-07-02', '1 h', false);
SELECT DISTINCT tier, minimum, average, maximum, last FROM dbops.metric_history('size', '2033-07-01', '2033-07-02', '1 day');
ROLLBACK;

-- a clock that is set back: what is sampled now comes over what was written when it was ahead
BEGIN;
SELECT pg_temp.sample('2034-03-01 00:00+00', '2034-03-01 01:00+00');
SELECT dbops.roll_up_metrics(false) > 0 AS written;
SELECT pg_temp.sample('2034-03-01 00:30+00', '2034-03-01 00:50+00');
SELECT dbops.roll_up_metrics(false) > 0 AS written;
SELECT tier, rolled_until FROM dbops.history_progress WHERE NOT cluster AND tier IN ('1m', '5m') ORDER BY 1;
SELECT at, n, tier, minimum, maximum FROM dbops.metric_history('size', '2034-03-01 00:20', '2034-03-01 01:00', '5 min');
ROLLBACK;

-- a clock that jumps ahead finds a partition, and what was kept is not dropped for it
BEGIN;
SELECT pg_temp.sample('2035-03-01 00:00+00', '2035-03-01 00:10+00');
SELECT pg_temp.sample('2044-02-29 23:55+00', '2044-03-01 00:05+00');
SELECT dbops.roll_up_metrics(false) > 0 AS written;
SELECT relname FROM pg_class WHERE relname ~ '^metric_.*_20(35|44)' AND relkind = 'r' ORDER BY 1;
SELECT dbops.prune_history();
SELECT count(*) FROM dbops.metric_1m WHERE at BETWEEN '2035-01-01' AND '2036-01-01';
ROLLBACK;

-- what is older than is kept goes, and no sooner
BEGIN;
SELECT pg_temp.sample('2036-03-01 00:00+00', '2036-03-10 12:00+00', '5 min');
SELECT dbops.roll_up_metrics(false) > 0 AS written;
SELECT dbops.prune_history() >= 2 AS pruned;
SELECT min(relname), max(relname), count(*) FROM pg_class WHERE relname ~ '^metric_1m_2036' AND relkind = 'r';
SELECT min(relname), max(relname), count(*) FROM pg_class WHERE relname ~ '^metric_5m_2036' AND relkind = 'r';
-- of the time whose minutes are gone there are coarser rows, each moment once
SELECT tier, count(*), min(at), max(at) FROM dbops.metric_history('size', '2036-03-01', '2036-03-05', '1 min') GROUP BY tier ORDER BY 3;
SELECT sum(delta) FROM dbops.metric_history('transactions.committed', '2036-03-01', '2036-03-05', '1 min');
ROLLBACK;

-- hours and days are those of UTC: the clock of summer is no matter
BEGIN;
SET LOCAL TimeZone = 'Europe/Berlin';
SELECT pg_temp.sample('2037-03-29 00:00+00', '2037-03-30 01:00+00', '1 min');
SELECT dbops.roll_up_metrics(false) > 0 AS written;
SELECT count(*), min(at), max(at), count(DISTINCT at) FROM dbops.metric_history('size', '2037-03-29 00:00+00', '2037-03-30 00:00+00', '1 h');
SELECT at, n FROM dbops.metric_history('size', '2037-03-28 22:00+00', '2037-03-30 00:00+00', '1 day');
ROLLBACK;

-- what a metric did not have when a row was written is not known
BEGIN;
SELECT pg_temp.sample('2038-03-01 00:00+00', '2038-03-01 00:10+00');
SELECT dbops.roll_up_metrics(false) > 0 AS written;
UPDATE dbops.metric_1m SET mins = mins[1:5], avgs = avgs[1:5], maxs = maxs[1:5], lasts = lasts[1:5];
SELECT DISTINCT minimum, average, maximum, last FROM dbops.metric_history('size', '2038-03-01 00:00', '2038-03-01 00:09', '1 min');
SELECT DISTINCT delta FROM dbops.metric_history('deadlocks', '2038-03-01 00:00', '2038-03-01 00:09', '1 min');
ROLLBACK;

-- questions that have no answer
SELECT * FROM dbops.metric_history(NULL);
SELECT * FROM dbops.metric_history('sise');
SELECT * FROM dbops.metric_history('wal.bytes', of_cluster => false);
SELECT * FROM dbops.metric_history('size', of_cluster => true);
SELECT * FROM dbops.metric_history('size', now(), now() - interval '1 day');
SELECT * FROM dbops.metric_history('size', now(), now());
\set VERBOSITY default
SELECT * FROM dbops.metric_history('size', '-infinity');
SELECT * FROM dbops.metric_history('deadlocks', '4714-11-24 00:00+00 BC', '294276-12-31 00:00+00', '1 s');
SELECT * FROM dbops.metric_history('deadlocks', '4714-11-24 00:00+00 BC', '294276-12-31 00:00+00');
\set VERBOSITY terse
SELECT count(*) FROM dbops.metric_history('deadlocks', '4714-11-24 00:00+00 BC', '2000-01-01 00:00+00', '1000 days');
SELECT * FROM dbops.metric_history('size', until => 'infinity');
SELECT * FROM dbops.metric_history('size', step => '0');
SELECT * FROM dbops.metric_history('size', step => '-1 h');
SELECT * FROM dbops.metric_history('size', '2000-01-01', '2040-01-01', '1 s');
SELECT count(*) FROM dbops.metric_history('size', '1990-01-01', '1990-02-01');
RESET dbops.test_now;
SELECT dbops.put_sample('{"size": 1}');
SET dbops.test_now = 2000000000;
\set VERBOSITY default
SELECT dbops.put_sample('{"sise": 1}');
SELECT dbops.put_sample('{"size": "much"}');
SELECT dbops.put_sample('{"size": 1}', cadence => '0');
\set VERBOSITY terse

-- another table where a partition is to be is said, and is not written to
BEGIN;
CREATE TABLE dbops.metric_1m_20310101 (at timestamptz);
SELECT pg_temp.sample('2031-01-01 00:00:13+00', '2031-01-01 00:05:03+00');
SELECT dbops.roll_up_metrics(false);
ROLLBACK;
