-- What the ledger holds is not lost: its log only grows, for its owner too, and
-- the extension is not dropped with it by mistake. A database of its own, since
-- the extension is dropped. (Dump and restore are in test/t/migration_dump.pl.)
\set VERBOSITY terse
SELECT current_database() AS home \gset
CREATE ROLE regress_migration_keeper SUPERUSER;
CREATE DATABASE regress_migration_event;
\c regress_migration_event
SET ROLE regress_migration_keeper;
CREATE EXTENSION dbops;
RESET ROLE;

-- an empty ledger holds nothing up
DROP EXTENSION dbops;
SET ROLE regress_migration_keeper;
CREATE EXTENSION dbops;

INSERT INTO dbops.migration_event (at, project, version, event, role_name, role_oid, cluster, session_role, application_name)
VALUES (now(), 'default', 'V1', 'apply', 'app', 0, 0, 'app', 'test');
UPDATE dbops.migration_event SET reason = 'none';
UPDATE dbops.migration_event SET reason = 'none' WHERE false;
DELETE FROM dbops.migration_event;
TRUNCATE dbops.migration_event;
INSERT INTO dbops.migration_event SELECT * FROM dbops.migration_event
    ON CONFLICT (id) DO UPDATE SET reason = 'none';
MERGE INTO dbops.migration_event e USING (VALUES ('V1')) v (version) ON v.version = e.version
    WHEN MATCHED THEN DELETE;
SET session_replication_role = replica;
DELETE FROM dbops.migration_event;
RESET session_replication_role;
SELECT version, event, reason FROM dbops.migration_event;

-- the log alone keeps the extension, and so do migrations
\set VERBOSITY default
DROP EXTENSION dbops;
\set VERBOSITY terse
DROP EXTENSION dbops CASCADE;
RESET ROLE;
DROP OWNED BY regress_migration_keeper;
DROP OWNED BY regress_migration_keeper CASCADE;
SELECT version, event FROM dbops.migration_event;
SET dbops.allow_data_loss = on;
DROP EXTENSION dbops;
RESET dbops.allow_data_loss;
CREATE EXTENSION dbops;
INSERT INTO dbops.migration (project, version, state, owner, owner_oid, cluster, requires, environments, repeatable, origin, applied_at)
VALUES ('default', 'V1', 'applied', 'app', 0, 0, '{}', '{}', false, 'dbops', now());
DROP EXTENSION dbops;
SELECT version, state FROM dbops.migration;
SET dbops.allow_data_loss = on;
DROP EXTENSION dbops;
RESET dbops.allow_data_loss;

-- a table of the same name that is not dbops' own is nobody's business
CREATE SCHEMA dbops;
CREATE TABLE dbops.migration AS SELECT 1 AS version;
DROP TABLE dbops.migration;
DROP SCHEMA dbops;
CREATE EXTENSION dbops;
CREATE TABLE migration AS SELECT 1 AS version;
DROP TABLE migration;
DROP EXTENSION dbops;

\c :home
DROP DATABASE regress_migration_event;
DROP ROLE regress_migration_keeper;
