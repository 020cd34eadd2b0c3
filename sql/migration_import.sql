-- The ledgers of other tools, as each of them writes its table, and any other
-- table. (What reading them must not do is in privileges_migration_ledger.)
\pset null ~
SET timezone = 'UTC';
SET client_min_messages = notice;
CREATE SCHEMA migration_tools;
SET search_path = migration_tools, public;

-- there is no such table, or not here
SELECT * FROM dbops.import_migrations('flyway', 'import_nothing');

-- prisma: one has failed and was applied then, one has failed, one was marked as rolled back
CREATE TABLE _prisma_migrations (
    id varchar(36) PRIMARY KEY, checksum varchar(64) NOT NULL, finished_at timestamptz, migration_name varchar(255) NOT NULL,
    logs text, rolled_back_at timestamptz, started_at timestamptz NOT NULL DEFAULT now(), applied_steps_count integer NOT NULL DEFAULT 0);
INSERT INTO _prisma_migrations (id, checksum, finished_at, migration_name, rolled_back_at, started_at) VALUES
    ('a', encode(sha256('SELECT 1'), 'hex'), '2024-01-01 00:01', '20240101_init', NULL, '2024-01-01'),
    ('b', encode(sha256('SELECT 2'), 'hex'), NULL, '20240102_two', '2024-01-02 00:05', '2024-01-02'),
    ('c', encode(sha256(E'SELECT 2\n'), 'hex'), '2024-01-02 00:10', '20240102_two', NULL, '2024-01-02 00:09'),
    ('d', encode(sha256('SELECT 3'), 'hex'), NULL, '20240103_three', NULL, '2024-01-03'),
    ('e', 'none', NULL, '20240104_four', '2024-01-04', '2024-01-04'),
    ('f', 'none', '2023-12-01', 'odd näme', NULL, '2023-12-01');
SELECT * FROM dbops.import_migrations('prisma', 'import_prisma');
SELECT version, name, state, owner = current_user AS mine, origin, repeatable, applied_at, up_sql, checksum
  FROM dbops.migration WHERE project = 'import_prisma' ORDER BY position;
SELECT version, event, details FROM dbops.migration_event WHERE project = 'import_prisma' ORDER BY id;

-- again: only what is new
UPDATE _prisma_migrations SET finished_at = '2024-01-03 01:00' WHERE id = 'd';
SELECT version, state, outcome FROM dbops.import_migrations('prisma', 'import_prisma');
SELECT count(*) FROM dbops.migration_event WHERE project = 'import_prisma';

-- what was imported is there: it is not run, and has no way back
SELECT version, state FROM dbops.apply_migration('20240101_init', 'SELECT 1', project => 'import_prisma');
SELECT version, state FROM dbops.apply_migration('20240101_init', 'SELECT 1 ', project => 'import_prisma');
SELECT version, state FROM dbops.apply_migration('odd_n__me', 'SELECT 1', project => 'import_prisma');
SELECT * FROM dbops.rollback_migration('20240103_three', 'import_prisma');

-- a text with the checksum that the tool has kept is taken over, another is not
SELECT * FROM dbops.repair_checksums('{20240101_init}', '{SELECT  1}', 'import_prisma');
SELECT * FROM dbops.repair_checksums('{20240101_init,20240102_two}', '{SELECT 1,SELECT 2}', 'import_prisma');
SELECT * FROM dbops.repair_checksums('{20240101_init}', '{SELECT  1}', 'import_prisma');

-- flyway: a baseline, an undo, a repeatable text that ran twice, a failure, a class
CREATE TABLE flyway_schema_history (
    installed_rank integer PRIMARY KEY, version varchar(50), description varchar(200) NOT NULL, type varchar(20) NOT NULL,
    script varchar(1000) NOT NULL, checksum integer, installed_by varchar(100) NOT NULL, installed_on timestamp NOT NULL DEFAULT now(),
    execution_time integer NOT NULL, success boolean NOT NULL);
INSERT INTO flyway_schema_history VALUES
    (0, NULL, '<< Flyway Schema Creation >>', 'SCHEMA', '"app"', NULL, 'u', '2024-01-01', 0, true),
    (1, '1', '<< Flyway Baseline >>', 'BASELINE', '<< Flyway Baseline >>', NULL, 'u', '2024-01-01', 0, true),
    (2, '2.1', 'add x', 'SQL', 'V2_1__add_x.sql', -1022459430, 'u', '2024-01-02', 0, true),
    (3, NULL, 'views', 'SQL', 'R__views.sql', 5, 'u', '2024-01-03', 0, true),
    (4, NULL, 'views', 'SQL', 'R__views.sql', -6, 'u', '2024-01-04', 0, true),
    (5, '003', 'y', 'SQL', 'later/V003__y.sql', 7, 'u', '2024-01-05', 0, true),
    (6, '003', 'y', 'UNDO_SQL', 'later/U003__y.sql', 7, 'u', '2024-01-06', 0, true),
    (7, '4', 'z', 'SQL', 'V4__z.sql', 7, 'u', '2024-01-07', 0, false),
    (8, '5', 'J', 'JDBC', 'db.migration.V5__J', NULL, 'u', '2024-01-08', 0, true),
    (9, '6', 'gone', 'SQL', 'V6__gone.sql', 7, 'u', '2024-01-09', 0, true),
    (10, '6', 'gone', 'DELETE', 'V6__gone.sql', 7, 'u', '2024-01-10', 0, true),
    (11, '7', 'a  b', 'SQL', 'V0__old/V7__a__b.sql', 7, 'u', '2024-01-11', 0, true),
    (12, '8.1', 'J  K', 'JDBC', 'db.migration.V8_1__J__K', NULL, 'u', '2024-01-12', 0, true);
SELECT * FROM dbops.import_migrations('flyway', 'import_flyway');
SELECT version, repeatable, checksum FROM dbops.migration WHERE project = 'import_flyway' ORDER BY position;
-- its checksum is of the lines, whatever ends them
SELECT * FROM dbops.repair_checksums('{V2_1}', ARRAY[E'CREATE TABLE x (\r\n    id int\r\n);\r\n'], 'import_flyway');
SELECT * FROM dbops.repair_checksums('{R__views}', '{SELECT 1}', 'import_flyway');

-- drizzle: only the order says which file is which; since 1.0 there are names
CREATE SCHEMA drizzle;
CREATE TABLE drizzle.__drizzle_migrations (id serial PRIMARY KEY, hash text NOT NULL, created_at bigint);
INSERT INTO drizzle.__drizzle_migrations (id, hash, created_at) VALUES
    (1, encode(sha256('SELECT 1'), 'hex'), 1704067200000), (3, encode(sha256('SELECT 2'), 'hex'), 1704067300000);
SELECT * FROM dbops.import_migrations('drizzle', 'import_drizzle');
SELECT * FROM dbops.repair_checksums('{0001}', '{SELECT 2}', 'import_drizzle');
ALTER TABLE drizzle.__drizzle_migrations ADD name text;
UPDATE drizzle.__drizzle_migrations SET name = '20240101000000_init' WHERE id = 1;
SELECT version, state FROM dbops.import_migrations('drizzle', 'import_drizzle_named');

-- alembic: heads only
CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);
INSERT INTO alembic_version VALUES ('ae1027a6acf'), ('1975ea83b712');
SELECT * FROM dbops.import_migrations('alembic', 'import_alembic');

-- any other: in the order of its times, and of its versions where they are missing
CREATE TABLE schema_migrations (version bigint PRIMARY KEY, at timestamp, "odd "" name" text, flags integer[]);
INSERT INTO schema_migrations VALUES (2, '2024-01-01', 'b'), (1, '2024-01-02', 'c'), (10, NULL, 'a'), (9, NULL, 'd');
SELECT * FROM dbops.import_migrations('schema_migrations', 'version', 'at', 'import_others');
SELECT version FROM dbops.migration WHERE project = 'import_others' ORDER BY position;
SELECT * FROM dbops.import_migrations('schema_migrations', 'version', NULL, 'import_others_timeless');
SELECT version FROM dbops.import_migrations('schema_migrations', 'odd " name', NULL, 'import_others_odd');

-- bad input
SELECT * FROM dbops.import_migrations('rails');
SELECT * FROM dbops.import_migrations(NULL);
SELECT * FROM dbops.import_migrations('prisma', 'a b');
BEGIN READ ONLY;
SELECT * FROM dbops.import_migrations('prisma', 'import_prisma_other');
ROLLBACK;
SELECT * FROM dbops.import_migrations('schema_migrations', 'versio', NULL);
SELECT * FROM dbops.import_migrations('schema_migrations', 'ctid', NULL);
SELECT * FROM dbops.import_migrations('schema_migrations', 'flags', NULL);
SELECT * FROM dbops.import_migrations('schema_migrations', 'version', 'flags');
SELECT * FROM dbops.import_migrations(4000000000::regclass, 'version', NULL);
INSERT INTO schema_migrations VALUES (3, NULL, 'c');
SELECT * FROM dbops.import_migrations('schema_migrations', 'odd " name', NULL, 'import_others_twice');
UPDATE schema_migrations SET "odd "" name" = NULL WHERE version = 3;
SELECT * FROM dbops.import_migrations('schema_migrations', 'odd " name', NULL, 'import_others_null');
ALTER TABLE _prisma_migrations DROP COLUMN finished_at;
SELECT * FROM dbops.import_migrations('prisma', 'import_prisma_other');
DROP TABLE _prisma_migrations;
CREATE VIEW _prisma_migrations AS SELECT 1;
SELECT * FROM dbops.import_migrations('prisma', 'import_prisma_other');
SET search_path = public;
SELECT * FROM dbops.import_migrations('alembic', 'import_alembic_other');
SELECT * FROM dbops.import_migrations('prisma', 'import_prisma_other');
SELECT count(*) FROM dbops.migration WHERE project ~ '^import_.*_(other|twice|null)$';

SET client_min_messages = warning;
DROP SCHEMA migration_tools, drizzle CASCADE;
