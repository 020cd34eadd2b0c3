-- Whether history is written, and that no event trigger keeps it from that. The
-- time is set and memory is the session's own; everything happens in transactions
-- that are rolled back, which keep background processes from rolling up meanwhile
-- and from those triggers.
\set VERBOSITY terse
SET TimeZone = 'UTC';
CREATE FUNCTION pg_temp.set_time(at timestamptz) RETURNS void LANGUAGE sql AS
    $$ SELECT set_config('dbops.test_now', extract(epoch FROM at)::text, false) $$;
CREATE FUNCTION pg_temp.sample(since timestamptz, until timestamptz) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 0 .. extract(epoch FROM until - since)::int / 10 LOOP
        PERFORM pg_temp.set_time(since + i * interval '10 s');
        PERFORM dbops.put_sample('{"size": 1}'), dbops.put_sample('{"xids.age": 1}', of_cluster => true);
    END LOOP;
END
$$;
CREATE VIEW pg_temp.age AS
SELECT severity, object, message, remedy, data->'value' AS seconds FROM dbops.health_checks() WHERE check_name = 'history.age' ORDER BY object NULLS FIRST;

SELECT unit, bad_if, warning, critical, source FROM dbops.check_list() WHERE check_name = 'history.age';

-- up to when it is written, and what there is to say after half an hour
BEGIN;
SELECT dbops.roll_up_metrics(false) >= 0 AS locked;
SELECT pg_temp.sample('2030-01-01 00:00:03', '2030-01-01 00:05:03');
SELECT dbops.roll_up_metrics(false) > 0 AS written;
SELECT severity, message, remedy, seconds FROM pg_temp.age WHERE object IS NULL;
SELECT pg_temp.set_time('2030-01-01 00:34');
SELECT severity, message FROM pg_temp.age WHERE object IS NULL;
SELECT pg_temp.set_time('2030-01-01 00:34:01');
SELECT severity, message, remedy, seconds FROM pg_temp.age WHERE object IS NULL;
SELECT dbops.roll_up_metrics(false) >= 0 AS written;
SELECT severity, message FROM pg_temp.age WHERE object IS NULL;
-- what was never written counts since there is history at all
DELETE FROM dbops.history_progress WHERE tier <> 'begun';
SELECT severity FROM pg_temp.age WHERE object IS NULL;
UPDATE dbops.history_progress SET rolled_until = '2030-01-01 00:33';
SELECT severity, message FROM pg_temp.age WHERE object IS NULL;
ROLLBACK;

-- an event trigger that lets nobody make or drop a table is not asked, and others still are
BEGIN;
CREATE FUNCTION pg_temp.refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no DDL without a ticket: %', tg_event; END $$;
SELECT dbops.roll_up_metrics(false) >= 0 AS locked;
SELECT pg_temp.sample('2030-02-01 00:00:03', '2030-02-01 00:05:03');
CREATE EVENT TRIGGER regress_no_begin ON ddl_command_start EXECUTE FUNCTION pg_temp.refuse();
SELECT dbops.roll_up_metrics(false) > 0 AS written;
SELECT count(*) FROM dbops.metric_1m WHERE at >= '2030-02-01';
SAVEPOINT before;
CREATE TABLE regress_refused (i int);
ROLLBACK TO before;
SHOW session_replication_role;
-- eight days later the first of them goes
SELECT pg_temp.sample(timestamptz '2030-02-01 00:05:13' + i * interval '1 day', timestamptz '2030-02-01 00:08:03' + i * interval '1 day'), dbops.roll_up_metrics(false) > 0 AS written
  FROM generate_series(1, 9) i;
SELECT dbops.prune_history() > 0 AS pruned;
SELECT min(relname), max(relname) FROM pg_class WHERE relname ~ '^metric_1m_203002' AND relkind = 'r';
ROLLBACK;
BEGIN;
CREATE FUNCTION pg_temp.refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no DDL without a ticket: %', tg_event; END $$;
SELECT dbops.roll_up_metrics(false) >= 0 AS locked;
SELECT pg_temp.sample('2030-02-01 00:00:03', '2030-02-01 00:05:03');
CREATE EVENT TRIGGER regress_no_end ON ddl_command_end EXECUTE FUNCTION pg_temp.refuse();
SELECT dbops.roll_up_metrics(false) > 0 AS written;
ROLLBACK;
