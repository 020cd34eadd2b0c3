-- begin_maintenance_mode() and end_maintenance_mode(): shown where somebody looks,
-- with an end. That it holds across a restart is tested in health_state.pl.
SELECT h->'maintenance' AS health, dbops.node_status()->'maintenance' AS node FROM dbops.system_health_check() h;

SELECT dbops.begin_maintenance_mode('new disks', now() + interval '1 hour');
SELECT h->'maintenance'->'reason' AS reason, h->'maintenance'->>'begun_by' = current_user AS by_me,
       (h->'maintenance'->>'until')::timestamptz - (h->'maintenance'->>'since')::timestamptz > interval '59 minutes' AS an_hour,
       h->'maintenance' = dbops.node_status()->'maintenance' AS the_same
  FROM dbops.system_health_check() h;

-- it replaces what was, at COMMIT, and says nothing of who may read
BEGIN;
SELECT dbops.begin_maintenance_mode('other disks', now() + interval '2 hours');
SELECT dbops.node_status()->'maintenance'->'reason' AS not_yet;
ROLLBACK;
SELECT dbops.node_status()->'maintenance'->'reason' AS never;
SELECT dbops.begin_maintenance_mode('other disks', now() + interval '2 hours');
SELECT n->'maintenance'->'reason' AS reason, n->'read_ok' AS read_ok, n->'write_ok' AS write_ok FROM dbops.node_status() n;

-- it ends by itself
SELECT set_config('dbops.test_now', (extract(epoch FROM now()) + 7210)::text, false) IS NOT NULL AS two_hours_later;
SELECT dbops.node_status()->'maintenance' AS over, dbops.end_maintenance_mode() AS was_on;
RESET dbops.test_now;
SELECT dbops.begin_maintenance_mode('short', now() + interval '1 minute');
SELECT dbops.end_maintenance_mode() AS was_on, dbops.node_status()->'maintenance'->'reason' AS at_commit;
SELECT dbops.end_maintenance_mode() AS was_on, dbops.node_status()->'maintenance' AS over;

-- nobody could begin it when what is prepared is committed
BEGIN;
SELECT dbops.begin_maintenance_mode('prepared', now() + interval '1 hour');
SAVEPOINT s;
SELECT dbops.end_maintenance_mode();
ROLLBACK TO s;
PREPARE TRANSACTION 'regress_maintenance';
\echo :SQLSTATE
SELECT dbops.node_status()->'maintenance' AS none;
BEGIN;
SAVEPOINT s;
SELECT dbops.begin_maintenance_mode('not prepared', now() + interval '1 hour');
ROLLBACK TO s;
PREPARE TRANSACTION 'regress_maintenance';
COMMIT PREPARED 'regress_maintenance';
SELECT dbops.node_status()->'maintenance' AS none;

-- in a read-only transaction
BEGIN READ ONLY;
SELECT dbops.begin_maintenance_mode('reading', now() + interval '1 hour');
COMMIT;
SELECT dbops.node_status()->'maintenance'->'reason' AS reason, dbops.end_maintenance_mode();

-- what cannot be meant
SELECT dbops.begin_maintenance_mode(NULL, now() + interval '1 hour');
\echo :SQLSTATE
SELECT dbops.begin_maintenance_mode('  ', now() + interval '1 hour');
\echo :SQLSTATE
SELECT dbops.begin_maintenance_mode(repeat('x', 256), now() + interval '1 hour');
\echo :SQLSTATE
SELECT dbops.begin_maintenance_mode('why', NULL);
\echo :SQLSTATE
SELECT dbops.begin_maintenance_mode('why', 'infinity');
\echo :SQLSTATE
SELECT dbops.begin_maintenance_mode('why', now() - interval '1 hour');
\echo :SQLSTATE
SELECT dbops.begin_maintenance_mode('why', now() + interval '32 days');
\echo :SQLSTATE
SELECT dbops.node_status()->'maintenance' AS none;
