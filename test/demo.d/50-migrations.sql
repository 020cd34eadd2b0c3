\set ECHO none
SET client_min_messages = warning;
\o /dev/null
SELECT format('SELECT dbops.rollback_migration(%L, ''venues'')', version) FROM dbops.migration_status('venues') WHERE state = 'applied' ORDER BY version DESC \gexec
\o
RESET client_min_messages;
\set ECHO queries
\echo '== Migrations'
\echo
\echo '   Before it is deployed, a migration is run for real, taken back by its down text, and'
\echo '   the schema compared with what it was; then all of that is rolled back. This down text'
\echo '   forgets something:'
\echo
SELECT direction, step, command, state, effect, flags, message FROM dbops.check_migration(
    $$ ALTER TABLE venues ADD COLUMN timezone text NOT NULL DEFAULT 'UTC';
       ALTER TABLE venue_amenities ALTER COLUMN wifi_mbps TYPE bigint;
       CREATE TYPE seat AS ENUM ('bench', 'stool', 'sofa'); $$,
    $$ ALTER TABLE venue_amenities ALTER COLUMN wifi_mbps TYPE int;
       ALTER TABLE venues DROP COLUMN timezone; $$, force => true);

\echo
\echo '   Now it is complete. It is applied in one transaction with its row in the ledger; where'
\echo '   it would make others wait for locks, it gives back those that it has and tries again.'
\echo
SELECT step, command, state, effect, locks, duration FROM dbops.apply_migration('V001',
    $$ ALTER TABLE venues ADD COLUMN timezone text NOT NULL DEFAULT 'UTC';
       ALTER TABLE venue_amenities ALTER COLUMN wifi_mbps TYPE bigint;
       CREATE TYPE seat AS ENUM ('bench', 'stool', 'sofa'); $$,
    $$ DROP TYPE seat;
       ALTER TABLE venue_amenities ALTER COLUMN wifi_mbps TYPE int;
       ALTER TABLE venues DROP COLUMN timezone; $$,
    project => 'venues', verify_sql => $$ SELECT count(*) > 8000 FROM venues WHERE timezone = 'UTC' $$);

\echo
\echo '   What cannot be in a transaction is done by a job, statement by statement. If the server'
\echo '   dies in the middle of the index, the catalog says where to go on.'
\echo
SELECT state, job_id AS job FROM dbops.apply_migration('V002',
    $$ CREATE INDEX CONCURRENTLY reviews_created_at_idx ON reviews (created_at);
       COMMENT ON INDEX reviews_created_at_idx IS 'newest reviews first'; $$,
    $$ DROP INDEX reviews_created_at_idx; $$, project => 'venues')
\gset
CALL dbops.wait_job(:job);

\echo
\echo '   The same text again is a notice, and so is another comment. Another text is an error:'
\echo
\set ON_ERROR_STOP off
SELECT state FROM dbops.apply_migration('V002',
    $$ CREATE INDEX CONCURRENTLY reviews_created_at_idx ON reviews (created_at DESC);
       COMMENT ON INDEX reviews_created_at_idx IS 'newest reviews first'; $$, project => 'venues');
\set ON_ERROR_STOP on

\echo '   And back:'
\echo
SELECT step, command, state, locks FROM dbops.rollback_migration(project => 'venues');

SELECT version, state, reversible, note FROM dbops.migration_status('venues', '{V001,V002,V003}');

\echo
\echo '   Should that not be enough: is there a backup, and WAL up to this moment?'
\echo
SELECT check_name, severity, message FROM dbops.before_migration('V003') WHERE severity <> 'ok';
