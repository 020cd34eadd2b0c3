-- Checks of what the server reads, decodes, evicts and has in memory, and of its
-- role and clock, told from samples that one knows: with the clock of the tests,
-- the memory of samples is this session's own. Each is unknown, ok and bad.
\set VERBOSITY terse
CREATE FUNCTION pg_temp.look(name text) RETURNS TABLE (severity text, message text, value numeric)
    LANGUAGE sql AS $$ SELECT f.severity, f.message, (f.data->>'value')::numeric FROM dbops.health_checks() f WHERE f.check_name = name $$;
CREATE TEMP SEQUENCE clock START 1900000000;
CREATE PROCEDURE pg_temp.after(seconds int, figures jsonb) LANGUAGE sql AS $$
    SELECT set_config('dbops.test_now', setval('clock', nextval('clock') - 1 + seconds)::text, false);
    SELECT dbops.put_sample(figures, of_cluster => true);
$$;
-- ten minutes in which so much of it happened, after two hours without a sample
CREATE PROCEDURE pg_temp.happens(figures jsonb) LANGUAGE plpgsql AS $$
DECLARE
    before jsonb := (SELECT jsonb_object_agg(key, 1000) FROM jsonb_each(figures));
    after jsonb := (SELECT jsonb_object_agg(key, 1000 + value::numeric) FROM jsonb_each(figures));
BEGIN
    CALL pg_temp.after(7200, before);
    CALL pg_temp.after(600, after);
END $$;

-- without samples all are unknown, and say so
SET dbops.test_now = 1900000000;
SELECT check_name, severity, message FROM dbops.health_checks()
 WHERE check_name IN ('collector.databases', 'host.clock', 'locks.fast_path', 'memory.swapping', 'memory.kills', 'multixacts.misses', 'replication.spilled', 'server.promoted',
                      'statements.evicted', 'statements.texts', 'subtransactions.misses') ORDER BY check_name COLLATE "C";
SELECT severity, message FROM pg_temp.look('io.read_latency');

-- reads: few are no measure
CALL pg_temp.happens('{"io.reads": 500, "io.read_time": 50000}');
SELECT * FROM pg_temp.look('io.read_latency');
CALL pg_temp.happens('{"io.reads": 5000, "io.read_time": 50000}');
SELECT * FROM pg_temp.look('io.read_latency');
CALL pg_temp.happens('{"io.reads": 5000, "io.read_time": 500000}');
SELECT * FROM pg_temp.look('io.read_latency');
CALL pg_temp.happens('{"io.reads": 0, "io.read_time": 0}');
SELECT * FROM pg_temp.look('io.read_latency');
CALL pg_temp.happens('{"wal.bytes": 1}');
SELECT * FROM pg_temp.look('io.read_latency');

-- the caches of what became of transactions
CALL pg_temp.happens('{"subtransactions.hit": 1000, "subtransactions.read": 1000, "multixacts.hit": 100000000, "multixacts.read": 200000}');
SELECT * FROM pg_temp.look('subtransactions.misses') UNION ALL SELECT * FROM pg_temp.look('multixacts.misses');
CALL pg_temp.happens('{"subtransactions.hit": 1000000, "subtransactions.read": 200000, "multixacts.hit": 1000000, "multixacts.read": 1000000}');
SELECT * FROM pg_temp.look('subtransactions.misses') UNION ALL SELECT * FROM pg_temp.look('multixacts.misses');

-- databases in use of which there is no room for samples
CALL pg_temp.after(10, '{"databases.unsampled": 0}');
SELECT * FROM pg_temp.look('collector.databases');
CALL pg_temp.after(10, '{"databases.unsampled": 1}');
SELECT * FROM pg_temp.look('collector.databases');
CALL pg_temp.after(10, '{"databases.unsampled": 3}');
SELECT * FROM pg_temp.look('collector.databases');

-- what decoding wrote to disk
CALL pg_temp.happens('{"slots.spilled": 1000000}');
SELECT * FROM pg_temp.look('replication.spilled');
CALL pg_temp.happens('{"slots.spilled": 5000000000}');
SELECT * FROM pg_temp.look('replication.spilled');

-- statements that had to go; after a reset, those since then
CALL pg_temp.happens('{"statements.evictions": 3}');
SELECT * FROM pg_temp.look('statements.evicted');
CALL pg_temp.happens('{"statements.evictions": 40}');
SELECT * FROM pg_temp.look('statements.evicted');
CALL pg_temp.after(10, '{"statements.evictions": 7}');
SELECT * FROM pg_temp.look('statements.evicted');
CALL pg_temp.after(10, '{"statements.texts": 1000000}');
SELECT * FROM pg_temp.look('statements.texts');
CALL pg_temp.after(10, '{"statements.texts": 700000000}');
SELECT * FROM pg_temp.look('statements.texts');
CALL pg_temp.after(10, '{}');
SELECT * FROM pg_temp.look('statements.texts');

-- memory
CALL pg_temp.happens('{"memory.kills": 0, "memory.swapped_in": 1000000, "memory.total": 0}');
SELECT * FROM pg_temp.look('memory.kills') UNION ALL SELECT * FROM pg_temp.look('memory.swapping');
CALL pg_temp.happens('{"memory.kills": 2, "memory.swapped_in": 6000000000}');
SELECT * FROM pg_temp.look('memory.kills') UNION ALL SELECT * FROM pg_temp.look('memory.swapping');
SELECT severity, message FROM pg_temp.look('memory.commitment');
CALL pg_temp.after(10, '{"memory.total": 100000000000000}');
SELECT severity FROM pg_temp.look('memory.commitment');
CALL pg_temp.after(10, '{"memory.total": 1000000}');
SELECT severity, message LIKE '% sessions may take % each, and with shared memory and autovacuum % in all; the server has 977 kB' AS says FROM pg_temp.look('memory.commitment');

-- the role: a promotion, a primary that was promoted elsewhere
CALL pg_temp.after(7200, '{"server.standby": 1, "server.timeline": 3}');
CALL pg_temp.after(600, '{"server.standby": 1, "server.timeline": 3}');
SELECT * FROM pg_temp.look('server.promoted');
CALL pg_temp.after(10, '{"server.standby": 1, "server.timeline": 4}');
SELECT * FROM pg_temp.look('server.promoted');
CALL pg_temp.after(7200, '{"server.standby": 1, "server.timeline": 4}');
CALL pg_temp.after(600, '{"server.standby": 0, "server.timeline": 5}');
SELECT * FROM pg_temp.look('server.promoted');
CALL pg_temp.after(7200, '{"server.standby": 0, "server.timeline": 5}');
CALL pg_temp.after(600, '{"server.standby": 0, "server.timeline": 5}');
SELECT * FROM pg_temp.look('server.promoted');
SELECT * FROM pg_temp.look('server.role');

-- the clock: one that is set back is noticed by the next sample, and forgotten after an hour
CALL pg_temp.after(10, '{"clock.set_back": 0}');
SELECT * FROM pg_temp.look('host.clock');
CALL pg_temp.after(10, '{"clock.set_back": 30}');
SELECT * FROM pg_temp.look('host.clock');
CALL pg_temp.after(10, '{}');
SELECT * FROM pg_temp.look('host.clock');
\c -
CREATE FUNCTION pg_temp.look(name text) RETURNS TABLE (severity text, message text, value numeric)
    LANGUAGE sql AS $$ SELECT f.severity, f.message, (f.data->>'value')::numeric FROM dbops.health_checks() f WHERE f.check_name = name $$;
CREATE PROCEDURE pg_temp.sample(seconds int) LANGUAGE sql AS $$
    SELECT set_config('dbops.test_now', (1900000000 + seconds)::text, false);
    SELECT dbops.sample_server();
$$;
CALL pg_temp.sample(0);
CALL pg_temp.sample(10);
SELECT * FROM pg_temp.look('host.clock');
CALL pg_temp.sample(-50);
CALL pg_temp.sample(-60);
CALL pg_temp.sample(100);
SELECT * FROM pg_temp.look('host.clock');
CALL pg_temp.sample(3700);
SELECT * FROM pg_temp.look('host.clock');

-- locks of more relations than a session has room for; a session of the background may be another for a moment
CREATE PROCEDURE pg_temp.sample_until_ok(seconds int) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 0..80 LOOP
        CALL pg_temp.sample(seconds + i);
        EXIT WHEN (SELECT severity FROM pg_temp.look('locks.fast_path')) = 'ok';
        PERFORM pg_sleep(0.1);
    END LOOP;
END $$;
BEGIN;
DO $$ BEGIN FOR i IN 1..400 LOOP EXECUTE format('CREATE TABLE many_locks_%s (id int)', i); END LOOP; END $$;
COMMIT;
SELECT dbops.set_check('locks.fast_path', warning => 0);
CALL pg_temp.sample_until_ok(3710);
SELECT severity FROM pg_temp.look('locks.fast_path');
BEGIN;
DO $$ BEGIN FOR i IN 1..400 LOOP EXECUTE format('LOCK TABLE many_locks_%s IN ACCESS SHARE MODE', i); END LOOP; END $$;
CALL pg_temp.sample(3800);
SELECT severity, value >= 1 AS counted FROM pg_temp.look('locks.fast_path');
COMMIT;
CALL pg_temp.sample_until_ok(3810);
SELECT severity FROM pg_temp.look('locks.fast_path');
SELECT dbops.reset_check('locks.fast_path');
BEGIN;
DO $$ BEGIN FOR i IN 1..400 LOOP EXECUTE format('DROP TABLE many_locks_%s', i); END LOOP; END $$;
COMMIT;

-- settings are known by the server's memory, its program by the kernel
SELECT severity IN ('ok', 'warning', 'unknown') AS judged FROM pg_temp.look('settings.changed');
SELECT severity, message FROM pg_temp.look('server.program');
RESET dbops.test_now;
