-- before_migration() on a server that neither archives nor has a backup: every
-- item, what restore points are called, and the arguments. What protection
-- there is elsewhere is shown by the TAP test of this name, which takes backups.
\set VERBOSITY terse
SET dbops.test_now = 1893456000;    -- 2030-01-01 00:00:00 UTC

-- what decides comes first, then health, then the answer
SELECT array_agg(DISTINCT check_name ORDER BY check_name) AS items FROM dbops.before_migration();
SELECT check_name, severity, message, remedy FROM dbops.before_migration() WHERE check_name IN ('archive', 'backup');
SELECT check_name, severity, starts_with(message, 'not protected: WAL is neither archived nor received by others, so that no restore point can be reached; no backup is recorded') AS says_why
  FROM dbops.before_migration() WITH ORDINALITY ORDER BY ordinality DESC LIMIT 1;

-- the restore point has the time in its name, and is where it says
SELECT pg_current_wal_insert_lsn() AS before \gset
SELECT severity, message = format('restore point "%s" is at %s', data->>'name', data->>'lsn') AS said, data->>'name' AS name,
       (data->>'lsn')::pg_lsn > :'before' AS later, (data->>'lsn')::pg_lsn <= pg_current_wal_flush_lsn() AS flushed
  FROM dbops.before_migration('V002') WHERE check_name = 'restore_point';
SELECT data->>'name' AS name FROM dbops.before_migration() WHERE check_name = 'restore_point';

-- a long name loses its end, not a part of a character
SELECT data->>'name' AS name, length(data->>'name'), octet_length(data->>'name')
  FROM dbops.before_migration('x' || repeat('é', 100)) WHERE check_name = 'restore_point';
SELECT data->>'name' AS name FROM dbops.before_migration('') WHERE check_name = 'restore_point';

-- the checks of health are those of health_checks()
RESET dbops.test_now;
SELECT count(*) FILTER (WHERE c.key IS NULL) AS unknown_to_health, count(*) > 5 AS several
  FROM dbops.before_migration() b LEFT JOIN dbops.health_checks() c ON c.key = b.key AND c.check_name = b.check_name
 WHERE b.check_name LIKE '%.%' AND b.check_name <> 'backup.proof';

-- nothing is written to a table, so also in a transaction that may not
BEGIN READ ONLY;
SELECT severity FROM dbops.before_migration() WHERE check_name = 'protected';
COMMIT;

-- arguments
SELECT * FROM dbops.before_migration('V002', max_backup_age => NULL);
SELECT * FROM dbops.before_migration('V002', max_wait => NULL);
SELECT severity FROM dbops.before_migration('V002', '-1 day', '-1 s') WHERE check_name = 'protected';
SET dbops.require_protection = 'perhaps';

-- what apply_migration() makes of it; what is applied already is not asked about
CREATE TABLE regress_protected (x int);
SET dbops.require_protection = 'warn';
SELECT step, state FROM dbops.apply_migration('1', 'ALTER TABLE regress_protected ADD one int', project => 'protected');
SELECT step, state FROM dbops.apply_migration('1', 'ALTER TABLE regress_protected ADD one int', project => 'protected');
SET dbops.require_protection = 'enforce';
SELECT step, state FROM dbops.apply_migration('2', 'ALTER TABLE regress_protected ADD two int', project => 'protected');
\echo :LAST_ERROR_SQLSTATE
SELECT step, state FROM dbops.apply_migration('1', 'ALTER TABLE regress_protected ADD one int', project => 'protected');
SET dbops.require_protection = 'off';
SELECT step, state FROM dbops.apply_migration('3', 'ALTER TABLE regress_protected ADD three int', project => 'protected');
SELECT version, state FROM dbops.migration_status('protected') ORDER BY version;
SELECT attname FROM pg_attribute WHERE attrelid = 'regress_protected'::regclass AND attnum > 1 ORDER BY attnum;
RESET dbops.require_protection;
DROP TABLE regress_protected;
