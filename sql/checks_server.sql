-- Checks of the server and its sessions, as far as one session can provoke
-- them: thresholds are lowered to what it can reach, and the clock of the tests
-- lets time pass.
\set VERBOSITY terse
CREATE FUNCTION pg_temp.look(name text) RETURNS TABLE (severity text, object text, message text, remedy text)
    LANGUAGE sql AS $$ SELECT f.severity, f.object, f.message, f.remedy FROM dbops.health_checks() f WHERE f.check_name = name ORDER BY f.key $$;

-- settings that the server of the tests has
SELECT * FROM pg_temp.look('settings.unsafe') WHERE object = 'fsync';
SELECT * FROM pg_temp.look('vacuum.disabled');
SELECT severity, message FROM pg_temp.look('settings.pending_restart');
SELECT severity, message FROM pg_temp.look('settings.access_errors') UNION ALL SELECT severity, message FROM pg_temp.look('settings.file_errors');

-- a long transaction, in which this is asked, and its statement
BEGIN;
SELECT severity FROM pg_temp.look('transactions.longest');
SELECT set_config('dbops.test_now', (extract(epoch FROM now()) + 3600)::text, false) IS NOT NULL AS an_hour_later;
SELECT severity, regexp_replace(message, '\d+', 'N') AS message, regexp_replace(remedy, '\d+', 'N', 'g') AS remedy FROM pg_temp.look('transactions.longest');
SELECT severity, regexp_replace(message, '\d+', 'N') AS message FROM pg_temp.look('statements.longest');
SET application_name = 'pg_dump';
COMMIT;
BEGIN;
SELECT severity, message FROM pg_temp.look('transactions.longest') WHERE message LIKE '%' || pg_backend_pid() || '%';
COMMIT;
RESET application_name;
RESET dbops.test_now;

-- locks of many tables
SELECT severity FROM pg_temp.look('locks.table_used');
SELECT dbops.set_check('locks.table_used', warning => 2, critical => 90);
BEGIN;
DO $$ BEGIN FOR i IN 1..400 LOOP EXECUTE format('CREATE TEMP TABLE locked_%s (id int)', i); END LOOP; END $$;
SELECT severity FROM pg_temp.look('locks.table_used');
ROLLBACK;
SELECT dbops.reset_check('locks.table_used');

-- notifications that nobody has read yet
SELECT severity, message FROM pg_temp.look('notifications.queue');

-- a slot that nobody uses, and who keeps dead rows
SELECT slot_name FROM pg_create_physical_replication_slot('regress_unused', true);
SELECT * FROM pg_temp.look('replication.inactive_slots') WHERE object = 'regress_unused';
SELECT pg_drop_replication_slot('regress_unused');
SELECT dbops.set_check('horizon.age', warning => 5, critical => 1000000);
BEGIN;
CREATE TABLE kept (id int);
PREPARE TRANSACTION 'regress keeps';
DO $$ BEGIN FOR i IN 1..10 LOOP PERFORM txid_current(); COMMIT; END LOOP; END $$;
SELECT severity, regexp_replace(message, '\d+', 'N') AS message FROM pg_temp.look('horizon.age');
ROLLBACK PREPARED 'regress keeps';
SELECT dbops.reset_check('horizon.age');

-- standbys
SELECT severity, message FROM pg_temp.look('replication.missing');
SELECT severity, message FROM pg_temp.look('replication.synchronous');

-- a major version ends some day
SET dbops.test_now = 1950000000;
SELECT severity, regexp_replace(message, '\d+', 'N', 'g') AS message FROM pg_temp.look('version.end_of_life');
RESET dbops.test_now;

-- what is near its limit is so by the value, whatever it is of
SELECT check_name, severity FROM dbops.health_checks()
 WHERE check_name IN ('disk.files', 'disk.read_only', 'checksums.failures', 'archiver.backlog', 'replication.paused') ORDER BY 1;
SELECT dbops.set_check('disk.files', warning => 100);
SELECT severity IN ('warning', 'ok') AS judged FROM pg_temp.look('disk.files');
SELECT dbops.reset_check('disk.files');
