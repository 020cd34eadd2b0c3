-- When cron lines recur: a preview needs no schedule, so that each line is
-- judged by its times alone, in virtual time.
\set VERBOSITY terse
SET TimeZone = 'UTC';
SET datestyle = 'ISO';
SET dbops.test_now = 1893456000;    -- 2030-01-01, a Tuesday
CREATE FUNCTION pg_temp.runs(line text, zone text DEFAULT 'UTC', n int DEFAULT 4, time_window text DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('TimeZone', zone, true);
    RETURN (SELECT string_agg(to_char(t, 'YYYY-MM-DD HH24:MI:SS TZH:TZM'), ', ' ORDER BY t)
              FROM dbops.next_runs(n => n, schedule => line, time_zone => zone, time_window => time_window) t);
END
$$;
CREATE FUNCTION pg_temp.at(t timestamptz) RETURNS void LANGUAGE sql AS
    $$ SELECT set_config('dbops.test_now', extract(epoch FROM t)::text, false) $$;

-- the fields
SELECT line, pg_temp.runs(line) FROM unnest(ARRAY[
    '* * * * *', '*/15 * * * *', '5 * * * *', '10,40 3 * * *', '0 8-18/5 * * *', '59 23 31 12 *', '0 0 29 2 *',
    '0 0 L * *', '30 6 15,L feb *', '0 12 * * mon-fri', '0 0 * * 7', '0 0 * * 0', '0 0 * * SUN', '0 0 * * sat-sun', '0 0 * * 5-7', '0 0 * * fri-mon',
    '0 0 13 * fri', '0 0 */2 * fri', '0 0 1-7 * *', '0 0 1 JAN,jul *', '0 0 1 */3 *', '  0   5 * * *  ', E'0\t5 * * *',
    '@hourly', '@daily', '@midnight', '@weekly', '@monthly', '@yearly', '@annually', '@DAILY',
    '@every 30 seconds', '@every 1 second', '@every 90 minutes', '@every 1.5 s', '@every 2 days', '@every 1h30m', '@EVERY 01:00:00']) line;
-- rare ones, and what a leap year leaves out
SELECT line, pg_temp.runs(line, n => 3) FROM unnest(ARRAY['0 0 29 2 */3', '0 0 29 2 mon', '0 0 31 */2 *']) line;
SELECT pg_temp.at('2096-03-01');
SELECT pg_temp.runs('0 0 29 2 *'), pg_temp.runs('0 0 L 2 *', n => 5);
SELECT pg_temp.at('2030-01-01');
-- strictly after now
SELECT pg_temp.at('2030-01-01 03:00'), pg_temp.runs('0 3 * * *', n => 1);
SELECT pg_temp.at('2030-01-01 02:59:59.999'), pg_temp.runs('0 3 * * *', n => 1);
-- @every counts from 1970, whatever now is
SELECT pg_temp.at('2030-01-01 02:59:47.3'), pg_temp.runs('@every 7 minutes');
SELECT pg_temp.at('2030-01-01');

-- the clock jumps forward at 02:00 on 31 March 2030 in Berlin
SELECT pg_temp.at('2030-03-30 20:00');
SELECT line, pg_temp.runs(line, 'Europe/Berlin', 5) FROM unnest(ARRAY[
    '30 2 * * *', '0 2 * * *', '0 3 * * *', '15,30,45 2 * * *', '30 1-4 * * *', '0 */2 * * *', '30 2 31 3 *', '0 2 * * sun']) line;
SELECT pg_temp.at('2030-03-31 00:35');
SELECT line, pg_temp.runs(line, 'Europe/Berlin', 5) FROM unnest(ARRAY['*/10 * * * *', '30 * * * *', '*/10 2 * * *', '@hourly', '@every 10 minutes']) line;
-- and back from 03:00 on 27 October
SELECT pg_temp.at('2030-10-26 20:00');
SELECT line, pg_temp.runs(line, 'Europe/Berlin', 5) FROM unnest(ARRAY[
    '30 2 * * *', '0 2 * * *', '0 3 * * *', '30 1-4 * * *', '0 */2 * * *', '0 2 * * sun']) line;
SELECT pg_temp.at('2030-10-26 23:55');
SELECT line, pg_temp.runs(line, 'Europe/Berlin', 8) FROM unnest(ARRAY['*/20 * * * *', '0,30 2 * * *']) line;
-- asked between the two times that the clock shows 02:30
SELECT pg_temp.at('2030-10-27 00:40'), pg_temp.runs('30 2 * * *', 'Europe/Berlin', 1), pg_temp.runs('50 2 * * *', 'Europe/Berlin', 1);
SELECT pg_temp.at('2030-10-27 01:10'), pg_temp.runs('30 2 * * *', 'Europe/Berlin', 1), pg_temp.runs('30 * * * *', 'Europe/Berlin', 1);
-- jumps of half an hour, at midnight, and of a whole day
SELECT pg_temp.at('2030-04-06 10:00'), pg_temp.runs('45 1 * * *', 'Australia/Lord_Howe', 3);
SELECT pg_temp.at('2030-10-05 10:00'), pg_temp.runs('15 2 * * *', 'Australia/Lord_Howe', 3);
SELECT pg_temp.at('2018-11-03 12:00'), pg_temp.runs('0 0 * * *', 'America/Sao_Paulo', 3);
SELECT pg_temp.at('2018-02-17 12:00'), pg_temp.runs('30 23 * * *', 'America/Sao_Paulo', 3);
SELECT pg_temp.at('2011-12-29 12:00'), pg_temp.runs('0 3 * * *', 'Pacific/Apia', 4);
-- by the day and by the hour through a jump, as the server's own clock has them
SELECT pg_temp.at('2030-03-01');
SET TimeZone = 'America/New_York';
SELECT count(*), count(DISTINCT t), bool_and(extract(minute FROM t) = 17 AND extract(hour FROM t) = 4) AS right
  FROM dbops.next_runs(n => 1000, schedule => '17 4 * * *', time_zone => 'America/New_York') t;
SELECT count(*), max(t) - min(t) AS passed, bool_and(t = t2) AS right
  FROM dbops.next_runs(n => 1000, schedule => '0 */1 * * *', time_zone => 'America/New_York') WITH ORDINALITY a(t, o)
  JOIN generate_series('2030-02-28 20:00'::timestamptz, '2031-12-31', '1 hour') WITH ORDINALITY b(t2, o) USING (o);
SET TimeZone = 'UTC';

-- windows
SELECT pg_temp.at('2030-01-01');
SELECT line, w, pg_temp.runs(line, 'UTC', 4, w) FROM (VALUES
    ('0 3 * * *', 'mon-fri 01:00-05:00'), ('0 3 * * *', '04:00-05:00'), ('*/30 * * * *', '01:00-02:00'), ('0 * * * *', 'sat,sun'),
    ('0 */6 * * *', '22:00-04:00'), ('0 12 * * *', 'fri 22:00-04:00'), ('0 12 * * *', 'sun 23:00-01:00; wed 10:00-11:00'),
    ('0 * * * *', 'mon-fri 01:00-02:00, sat, sun 10:00-11:30'), ('0 */8 * * *', '00:00-24:00'), ('0 1 * * *', 'SAT-SUN'), ('@every 20 minutes', '9:00-9:30,21:00-21:10'),
    ('30 * * * *', 'sat; sun 02:00-03:00'), ('0 0 1 * *', 'fri-mon 03:00-04:00')) v(line, w);
-- the end is outside, the beginning inside
SELECT pg_temp.at('2030-01-01 00:59'), pg_temp.runs('* * * * *', n => 3, time_window => '01:00-01:02');
-- windows where the clock jumps: open as long as the clock first shows those times
SELECT pg_temp.at('2030-03-30 23:00'), pg_temp.runs('*/15 * * * *', 'Europe/Berlin', 6, '01:30-03:30');
SELECT pg_temp.at('2030-03-30 23:00'), pg_temp.runs('*/30 * * * *', 'Europe/Berlin', 2, '02:00-03:00');
SELECT pg_temp.at('2030-10-26 23:00'), pg_temp.runs('*/30 * * * *', 'Europe/Berlin', 6, '01:30-02:30');
SELECT pg_temp.at('2030-10-26 23:00'), pg_temp.runs('*/30 * * * *', 'Europe/Berlin', 7, '01:30-03:00');

-- what is refused
\set VERBOSITY default
\set SHOW_CONTEXT never
SELECT dbops.next_runs(schedule => '60 * * * *');
SELECT dbops.next_runs(schedule => '0 24 * * *');
SELECT dbops.next_runs(schedule => '0 0 32 * *');
SELECT dbops.next_runs(schedule => '0 0 0 * *');
SELECT dbops.next_runs(schedule => '0 0 * 13 *');
SELECT dbops.next_runs(schedule => '0 0 * foo *');
SELECT dbops.next_runs(schedule => '0 0 * * 8');
SELECT dbops.next_runs(schedule => '30 2 30 2 *');
SELECT dbops.next_runs(schedule => '0 0 31 4,6,9,11 *');
SELECT dbops.next_runs(schedule => '0 3 * *');
SELECT dbops.next_runs(schedule => '0 0 3 * * *');
SELECT dbops.next_runs(schedule => '');
SELECT dbops.next_runs(schedule => '@reboot');
SELECT dbops.next_runs(schedule => '30 seconds');
SELECT dbops.next_runs(schedule => '@every 0.5 seconds');
SELECT dbops.next_runs(schedule => '@every -1 hour');
SELECT dbops.next_runs(schedule => '@every 1 month');
SELECT dbops.next_runs(schedule => '@every 20 years 1 day');
SELECT dbops.next_runs(schedule => '@every 9999999 days');
SELECT dbops.next_runs(schedule => '@every now and then');
SELECT dbops.next_runs(schedule => '@every');
SELECT dbops.next_runs(schedule => '@every infinity');
\set VERBOSITY terse
DO $$
DECLARE
    line text;
BEGIN
    FOREACH line IN ARRAY ARRAY['5/15 * * * *', '*/0 * * * *', '30-10 * * * *', '1,,2 * * * *', ', * * * *', '1- * * * *', '-1 * * * *', '*5 * * * *', '1/ * * * *',
        '0001 * * * *', '99999999999 * * * *', '0 0 l-3 * *', '0 0 * * monday', '0 0 * * L', '* * * jan-13 *', '*/1000 * * * *', '0 0 ? * *', '²  * * * *'] LOOP
        BEGIN
            PERFORM dbops.next_runs(schedule => line);
            RAISE NOTICE 'not refused: %', line;
        EXCEPTION WHEN invalid_parameter_value THEN
            RAISE NOTICE '%', sqlerrm;
        END;
    END LOOP;
    FOREACH line IN ARRAY ARRAY['', ';', 'mon-fri 1-5', '25:00-26:00', '01:00-01:00', '01:60-02:00', '24:00-25:00', 'foo', 'mon 01:00', '01:00-05:00;', '1 02:00-03:00', '*', 'mon/2', '01:00 - 02:00'] LOOP
        BEGIN
            PERFORM dbops.next_runs(schedule => '@daily', time_window => line);
            RAISE NOTICE 'not refused: %', line;
        EXCEPTION WHEN invalid_parameter_value THEN
            RAISE NOTICE '%', sqlerrm;
        END;
    END LOOP;
END
$$;
SELECT dbops.next_runs(schedule => '@daily', time_zone => 'Europe/Atlantis');
SELECT dbops.next_runs(schedule => '@daily', n => 0);
SELECT dbops.next_runs(schedule => '@daily', n => 1001);
SELECT dbops.next_runs('no such');
SELECT dbops.next_runs();
SELECT dbops.next_runs('a', schedule => '@daily');
RESET dbops.test_now;
