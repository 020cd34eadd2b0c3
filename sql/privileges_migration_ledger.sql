-- Who may roll back, read and set right what is in the ledger of migrations, and
-- that no text and no table of one role gets hold of another's rights.
\set VERBOSITY default
\pset null ~
SET client_min_messages = warning;
CREATE ROLE regress_ledger_owner;
CREATE ROLE regress_ledger_member IN ROLE regress_ledger_owner;
CREATE ROLE regress_ledger_other;
CREATE ROLE regress_ledger_nobody;
CREATE ROLE regress_ledger_monitor IN ROLE pg_monitor;
SELECT dbops.grant_access(r::regrole, 'operator')
  FROM unnest(ARRAY['regress_ledger_owner', 'regress_ledger_member', 'regress_ledger_other']) r;
CREATE SCHEMA regress_ledger AUTHORIZATION regress_ledger_owner;
GRANT USAGE ON SCHEMA regress_ledger TO PUBLIC;
SET search_path = regress_ledger, public;

SET ROLE regress_ledger_owner;
SELECT state FROM dbops.apply_migration('V1', 'CREATE TABLE migrated (who name)', 'DROP TABLE migrated', project => 'ledger_owned') WHERE step IS NULL;
SELECT state FROM dbops.apply_migration('V2', 'INSERT INTO migrated VALUES (current_user)',
    'CREATE TABLE rolled_back AS SELECT current_user AS who', project => 'ledger_owned') WHERE step IS NULL;
RESET client_min_messages;

-- nobody; somebody who only looks; all that the ledger holds goes through the functions
SET ROLE regress_ledger_nobody;
SELECT * FROM dbops.migration_status();
SET ROLE regress_ledger_monitor;
SELECT version, state, owner FROM dbops.migration_status('ledger_owned');
SELECT * FROM dbops.rollback_migration('V2', 'ledger_owned');
SELECT dbops.baseline_migration('V3', project => 'ledger_owned');
SELECT dbops.resolve_migration('V2', 'reverted', 'why', 'ledger_owned');
SELECT * FROM dbops.repair_checksums('{V1}', '{x}', 'ledger_owned');
SELECT * FROM dbops.import_migrations('prisma', 'ledger_owned');
SELECT * FROM dbops.import_migrations('pg_class', 'relname', NULL, 'ledger_owned');
SET ROLE regress_ledger_owner;
SELECT count(*) FROM dbops.migration;
DELETE FROM dbops.migration_event;

-- an operator to whom the project does not belong
SET ROLE regress_ledger_other;
SELECT * FROM dbops.rollback_migration('V2', 'ledger_owned');
SELECT dbops.baseline_migration('V3', project => 'ledger_owned');
SELECT dbops.resolve_migration('V2', 'reverted', 'why', 'ledger_owned');
SELECT * FROM dbops.repair_checksums('{V1}', '{x}', 'ledger_owned');
SELECT * FROM dbops.import_migrations('pg_class', 'relname', NULL, 'ledger_owned');

-- a member works on the project, and so does a superuser; a stored text runs as who has stored it
SET ROLE regress_ledger_member;
SELECT dbops.resolve_migration('V3', 'applied', 'by hand', 'ledger_owned');
SELECT dbops.resolve_migration('V3', 'reverted', 'by hand', 'ledger_owned');
SELECT * FROM dbops.rollback_migration('V2', 'ledger_owned');
RESET ROLE;
SELECT * FROM dbops.rollback_migration('V2', 'ledger_owned');
SET ROLE regress_ledger_owner;
SELECT state FROM dbops.rollback_migration('V2', 'ledger_owned') WHERE step IS NULL;
SELECT who FROM rolled_back;
SELECT version, role_name FROM dbops.migration_status('ledger_owned') s
  LEFT JOIN (VALUES (current_user)) r (role_name) ON r.role_name = s.owner;

-- a role that is gone
RESET ROLE;
CREATE ROLE regress_ledger_gone;
SELECT dbops.grant_access('regress_ledger_gone', 'operator');
SET client_min_messages = warning;
SET ROLE regress_ledger_gone;
SELECT state FROM dbops.apply_migration('V1', 'SELECT 1', 'SELECT 2', project => 'ledger_orphaned') WHERE step IS NULL;
RESET ROLE;
SELECT dbops.revoke_access('regress_ledger_gone');
DROP ROLE regress_ledger_gone;
SELECT * FROM dbops.rollback_migration('V1', 'ledger_orphaned');
SELECT dbops.resolve_migration('V1', 'reverted', 'its role is gone', 'ledger_orphaned');
SET ROLE regress_ledger_other;
SELECT dbops.resolve_migration('V1', 'applied', 'it is not mine', 'ledger_orphaned');

-- a role that is called otherwise by now is the same; one that has got its name is not
RESET ROLE;
CREATE ROLE regress_ledger_named;
SELECT dbops.grant_access('regress_ledger_named', 'operator');
SET ROLE regress_ledger_named;
SELECT state FROM dbops.apply_migration('V1', 'SELECT 1', 'SELECT current_user', project => 'ledger_named') WHERE step IS NULL;
RESET ROLE;
ALTER ROLE regress_ledger_named RENAME TO regress_ledger_renamed;
CREATE ROLE regress_ledger_named;
SELECT dbops.grant_access('regress_ledger_named', 'operator');
RESET client_min_messages;
SET ROLE regress_ledger_named;
SELECT state FROM dbops.apply_migration('V2', 'SELECT 1', project => 'ledger_named') WHERE step IS NULL;
SELECT state FROM dbops.rollback_migration('V1', 'ledger_named');
SET ROLE regress_ledger_renamed;
SELECT version, owner FROM dbops.migration_status('ledger_named');
SELECT state FROM dbops.apply_migration('V2', 'SELECT 1', 'SELECT 2', project => 'ledger_named') WHERE step IS NULL;
SELECT state FROM dbops.rollback_migration('V2', 'ledger_named') WHERE step IS NULL;
RESET ROLE;
SELECT state FROM dbops.apply_migration('V1', 'SELECT 1', 'DROP TABLE of_postgres', project => 'ledger_named') WHERE step IS NULL;

-- when it is gone who has its name, and is an operator, is still another
SELECT dbops.revoke_access('regress_ledger_renamed');
DROP ROLE regress_ledger_renamed;
SET ROLE regress_ledger_named;
SELECT state FROM dbops.apply_migration('V3', 'SELECT 1', project => 'ledger_named') WHERE step IS NULL;
SELECT state FROM dbops.rollback_migration('V1', 'ledger_named');

-- who has the level admin takes the project over, but never runs what is stored
RESET ROLE;
SELECT dbops.grant_access('regress_ledger_named', 'admin');
SET ROLE regress_ledger_named;
SELECT dbops.resolve_migration('V2', 'applied', 'by hand', 'ledger_named');
SELECT dbops.resolve_migration('V2', 'reverted', 'by hand', 'ledger_named');
SELECT state FROM dbops.rollback_migration('V1', 'ledger_named');
SELECT state FROM dbops.apply_migration('V3', 'SELECT 1', project => 'ledger_named', reason => 'I do it now') WHERE step IS NULL;
RESET ROLE;
SELECT version, event, role_name, role_name::regrole::oid = role_oid AS same, cluster = system_identifier AS here, reason, details
  FROM dbops.migration_event, pg_control_system() WHERE project = 'ledger_named' AND event = 'take_over';
SELECT dbops.revoke_access('regress_ledger_named');
SELECT dbops.grant_access('regress_ledger_named', 'operator');
SET ROLE regress_ledger_named;
SELECT state FROM dbops.rollback_migration('V1', 'ledger_named');
SELECT state FROM dbops.apply_migration('V1', 'SELECT 1', 'SELECT current_user', project => 'ledger_named') WHERE step IS NULL;
SELECT version, owner, reversible FROM dbops.migration_status('ledger_named');
SELECT dbops.resolve_migration('V3', 'reverted', 'nothing to undo', 'ledger_named');
SELECT state FROM dbops.rollback_migration('V1', 'ledger_named') WHERE step IS NULL;
SET ROLE regress_ledger_other;
SELECT state FROM dbops.apply_migration('V4', 'SELECT 1', project => 'ledger_named') WHERE step IS NULL;
RESET ROLE;
SELECT dbops.revoke_access('regress_ledger_named');
DROP ROLE regress_ledger_named;
SET client_min_messages = warning;

-- importing reads as the caller
SET ROLE regress_ledger_owner;
CREATE TABLE alembic_version (version_num varchar(32));
INSERT INTO alembic_version VALUES ('one'), ('two');
SET ROLE regress_ledger_other;
SELECT * FROM dbops.import_migrations('alembic', 'ledger_imported');

-- no policy, function, cast or view of another's table is called
SET ROLE regress_ledger_owner;
CREATE FUNCTION steal() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'called as %', current_user; RETURN true; END $$;
GRANT SELECT ON alembic_version TO PUBLIC;
ALTER TABLE alembic_version ENABLE ROW LEVEL SECURITY;
CREATE POLICY steal ON alembic_version USING (steal());
SET ROLE regress_ledger_other;
SELECT * FROM dbops.import_migrations('alembic', 'ledger_imported');
SET ROLE regress_ledger_owner;
CREATE TYPE mood AS ENUM ('good');
CREATE FUNCTION steal(mood) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'called as %', current_user; RETURN 'x'; END $$;
CREATE CAST (mood AS text) WITH FUNCTION steal(mood) AS IMPLICIT;
CREATE TABLE moods (version mood, at text);
INSERT INTO moods VALUES ('good');
CREATE VIEW views AS SELECT 'x'::text AS version FROM (SELECT steal()) s;
RESET ROLE;
SELECT * FROM dbops.import_migrations('moods', 'version', NULL, 'ledger_imported');
SELECT * FROM dbops.import_migrations('views', 'version', NULL, 'ledger_imported');
SELECT version FROM dbops.import_migrations('alembic', 'ledger_imported');

RESET client_min_messages;
SET client_min_messages = warning;
DROP SCHEMA regress_ledger CASCADE;
SELECT dbops.revoke_access(r::regrole)
  FROM unnest(ARRAY['regress_ledger_owner', 'regress_ledger_member', 'regress_ledger_other']) r;
DROP ROLE regress_ledger_member, regress_ledger_owner, regress_ledger_other, regress_ledger_nobody, regress_ledger_monitor;
