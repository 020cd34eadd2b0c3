-- dbops.require_migration: the schema changes by migrations only, whoever sends the
-- statement; and dbops.break_glass, which lets it pass and is written down.
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA needs;
SET search_path = needs;
CREATE TABLE t (id int PRIMARY KEY, b int);
CREATE MATERIALIZED VIEW m AS SELECT 1 AS one;
CREATE FUNCTION event_does_nothing() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN END$$;
SHOW dbops.require_migration;
CREATE ROLE regress_needs;
CREATE ROLE regress_needs_dba;
GRANT ALL ON SCHEMA needs TO regress_needs;
SELECT dbops.grant_access('regress_needs', 'monitor');
SET dbops.require_migration = on;

-- Each kind that changes the schema.
\set VERBOSITY default
CREATE TABLE u (id int);
\set VERBOSITY terse
CREATE TABLE u AS SELECT 1 AS a;
SELECT 1 AS a INTO u;
CREATE UNLOGGED TABLE u (id int);
CREATE VIEW v AS SELECT 1;
CREATE SEQUENCE s;
CREATE INDEX ON t (b);
CREATE INDEX CONCURRENTLY ON t (b);
CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE TYPE e AS ENUM ('a');
CREATE DOMAIN d AS int;
CREATE SCHEMA needs_too CREATE TABLE u (id int);
CREATE TRIGGER g AFTER INSERT ON t EXECUTE FUNCTION f();
CREATE POLICY p ON t;
CREATE RULE r AS ON INSERT TO t DO NOTHING;
CREATE STATISTICS x ON id, b FROM t;
CREATE PUBLICATION p FOR TABLE t;
CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION event_does_nothing();
CREATE EXTENSION pg_stat_statements;
ALTER TABLE t ADD COLUMN c int;
ALTER TABLE t RENAME TO u;
ALTER TABLE t SET SCHEMA public;
ALTER TABLE t OWNER TO regress_needs;
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC;
GRANT SELECT ON t TO PUBLIC;
REVOKE SELECT ON t FROM PUBLIC;
COMMENT ON TABLE t IS 't';
DROP TABLE t;
DROP FUNCTION event_does_nothing();
DROP SCHEMA needs CASCADE;
DROP OWNED BY regress_needs;
REASSIGN OWNED BY regress_needs TO regress_needs_dba;
IMPORT FOREIGN SCHEMA s FROM SERVER s INTO needs;
EXPLAIN ANALYZE CREATE TABLE u AS SELECT 1 AS a;
EXPLAIN ANALYZE CREATE MATERIALIZED VIEW u AS SELECT 1 AS a;

-- What dbops does of its own, with all that belongs to it.
SET client_min_messages = error;
CALL dbops.rename_column('t', 'b', 'c');
SELECT max(id) AS id FROM dbops.column_change \gset
CALL dbops.finish_change(:id);
CALL dbops.change_type('t', 'c', 'bigint', 'c + 0');
SELECT max(id) AS id FROM dbops.column_change \gset
CALL dbops.finish_change(:id);
CALL dbops.rename_column('t', 'c', 'b');
SELECT max(id) AS id FROM dbops.column_change \gset
CALL dbops.finish_change(:id);
SET client_min_messages = warning;
\d t

-- What does not change it.
EXPLAIN (COSTS off) CREATE TABLE u AS SELECT 1 AS a;
EXPLAIN (ANALYZE off, COSTS off) CREATE TABLE u AS SELECT 1 AS a;
INSERT INTO t VALUES (1, 1);
TRUNCATE t;
REINDEX TABLE t;
CLUSTER t USING t_pkey;
VACUUM FULL t;
ANALYZE t;
REFRESH MATERIALIZED VIEW m;
BEGIN;
LOCK TABLE t;
CREATE ROLE regress_needs_three;
COMMENT ON ROLE regress_needs_three IS 'three';
ALTER ROLE regress_needs_three SET work_mem = '1MB';
GRANT regress_needs TO regress_needs_three;
DROP ROLE regress_needs_three;
COMMIT;

-- Temporary objects.
CREATE TEMP TABLE passing (id int PRIMARY KEY, b int);
CREATE TABLE pg_temp.too (id int);
CREATE TEMP VIEW pv AS SELECT 1 AS one;
CREATE TEMP SEQUENCE ps;
SELECT 1 AS a INTO TEMP pa;
CREATE TABLE pg_temp.pc AS SELECT 1 AS a;
CREATE INDEX ON passing (b);
ALTER TABLE passing ADD COLUMN c int;
ALTER TABLE passing RENAME COLUMN c TO d;
ALTER TABLE pg_temp.passing RENAME d TO e;
COMMENT ON TABLE passing IS 'passing';
COMMENT ON COLUMN passing.e IS 'passing';
GRANT SELECT ON passing TO PUBLIC;
CREATE FUNCTION pg_temp.pf() RETURNS int LANGUAGE sql AS 'SELECT 1';
ALTER FUNCTION pg_temp.pf() STABLE;
GRANT EXECUTE ON FUNCTION pg_temp.pf() TO CURRENT_USER;
ALTER FUNCTION pg_temp.pf() RENAME TO pg;
DROP FUNCTION pg_temp.pg();
CREATE TYPE pg_temp.pt AS ENUM ('a');
ALTER TYPE pt ADD VALUE 'b';
ALTER TYPE pg_temp.pt OWNER TO CURRENT_USER;
COMMENT ON TYPE pt IS 'passing';
ALTER TYPE pt RENAME TO pu;
DROP TYPE pu;
CREATE DOMAIN pg_temp.pd AS int;
ALTER DOMAIN pd ADD CONSTRAINT k CHECK (value > 0);
COMMENT ON CONSTRAINT k ON DOMAIN pd IS 'passing';
DROP DOMAIN pd;
CREATE AGGREGATE pg_temp.pagg (int) (sfunc = int4pl, stype = int);
DROP AGGREGATE pg_temp.pagg (int);
-- and what is not there
DROP TABLE IF EXISTS nobody;
DROP VIEW IF EXISTS nobody;
DROP TABLE nobody;
DO $$BEGIN EXECUTE 'EXPLAIN ANALYZE CREATE TEMP TABLE explained AS SELECT 1 AS a'; END$$;
DROP TABLE explained;
DROP VIEW pv;
DROP SEQUENCE ps;
DROP TABLE pa, pc, too;
DROP TABLE passing, t;
-- one that has the name of a temporary one
CREATE TABLE passing (id int);
CREATE TABLE needs.passing (id int);
SET search_path = pg_temp, needs;
CREATE TABLE first (id int);
DROP TABLE first;
SET search_path = needs;
DROP TABLE passing;

-- Wherever it comes from.
DO $$BEGIN ALTER TABLE needs.t ADD COLUMN c int; END$$;
DO $$
BEGIN
    EXECUTE 'ALTER TABLE needs.t ADD COLUMN c int';
EXCEPTION WHEN prohibited_sql_statement_attempted THEN
    RAISE WARNING 'caught';
END$$;
BEGIN;
ALTER TABLE t ADD COLUMN c int;
ALTER TABLE t ADD COLUMN c int;
ROLLBACK;

-- Migrations, and what dbops does of its own.
SELECT state FROM dbops.apply_migration('1', 'CREATE TABLE needs.made (id int); DO $$BEGIN ALTER TABLE needs.made ADD COLUMN b int; END$$', 'DROP TABLE needs.made', project => 'needs');
SELECT bool_or(state = 'no down text') AS tried FROM dbops.check_migration('CREATE TABLE needs.tried (id int)', depth => 'execute');
SELECT state FROM dbops.rollback_migration('1', project => 'needs');
ALTER TABLE t ADD COLUMN c int;
CALL dbops.add_column('needs.t', 'c', 'int', '1', true);
CALL dbops.create_index('CREATE INDEX t_c ON needs.t (c)');
CALL dbops.drop_index('needs.t_c');
SELECT dbops.grant_access('regress_needs', 'monitor');

-- The glass.
SET dbops.break_glass = '  ';
ALTER TABLE t ADD COLUMN d int;
SET dbops.break_glass = 'the disk is full';
BEGIN;
ALTER TABLE t ADD COLUMN undone int;
ROLLBACK;
ALTER TABLE t ADD COLUMN d int; ALTER TABLE t ADD COLUMN "D d" int;
CREATE INDEX CONCURRENTLY t_d ON t (d);
DROP INDEX CONCURRENTLY t_d;
TRUNCATE t;
CREATE TEMP TABLE passing (id int);
CREATE FOREIGN DATA WRAPPER needs_wrapper;
CREATE SERVER needs_server FOREIGN DATA WRAPPER needs_wrapper;
CREATE USER MAPPING FOR PUBLIC SERVER needs_server OPTIONS (password 'secret');
DROP FOREIGN DATA WRAPPER needs_wrapper CASCADE;
-- It is one session's, and no function's, role's or database's.
CREATE FUNCTION always() RETURNS void LANGUAGE sql SET dbops.break_glass = 'always' AS '';
RESET dbops.break_glass;
ALTER ROLE CURRENT_USER SET dbops.break_glass = 'always';
SELECT format('ALTER DATABASE %I SET dbops.break_glass = %L', current_database(), 'always') \gexec
SELECT format('ALTER DATABASE %I SET dbops.break_glass = %L', current_database(), '') \gexec
SELECT format('ALTER DATABASE %I RESET dbops.break_glass', current_database()) \gexec
ALTER TABLE t ADD COLUMN e int;
SELECT role_name = session_user AND session_role = session_user AS me, application_name, command, statement, reason FROM dbops.break_glass_uses() WHERE reason = 'the disk is full';
SELECT count(*) FROM dbops.break_glass_uses(since => now() + interval '1 hour');
SELECT count(*) FROM dbops.break_glass_uses(until => now() - interval '1 hour');
-- it stays
DELETE FROM dbops.break_glass_use;
UPDATE dbops.break_glass_use SET reason = '';
TRUNCATE dbops.break_glass_use;
SET dbops.require_migration = off;
DROP EXTENSION dbops;
SET dbops.require_migration = on;
ALTER SYSTEM SET dbops.break_glass = 'for ever';

-- Who may.
SET ROLE regress_needs;
CREATE TABLE mine (id int);
SET dbops.require_migration = off;
SET dbops.break_glass = 'I want to';
SELECT count(*) > 5 AS several, count(statement) AS texts FROM dbops.break_glass_uses();
SELECT * FROM dbops.break_glass_use;
CREATE FUNCTION pg_temp.breaks() RETURNS void LANGUAGE sql SET dbops.break_glass = 'I want to' AS 'SELECT';
RESET ROLE;
GRANT SET ON PARAMETER dbops.break_glass TO regress_needs;
SET ROLE regress_needs;
SET dbops.break_glass = 'I may';
CREATE TABLE mine (id int);
RESET dbops.break_glass;
CREATE TABLE mine_too (id int);
RESET ROLE;
SELECT role_name, session_role = session_user AS me, command, reason FROM dbops.break_glass_uses() WHERE role_name <> session_user;
SET dbops.guard_exempt_roles = 'regress_needs';
SET ROLE regress_needs;
DROP TABLE mine;
RESET ROLE;
DROP TABLE t;
RESET dbops.guard_exempt_roles;

SET dbops.require_migration = off;
SET client_min_messages = error;
REVOKE SET ON PARAMETER dbops.break_glass FROM regress_needs;
SELECT dbops.revoke_access('regress_needs');
DROP SCHEMA needs CASCADE;
DROP ROLE regress_needs, regress_needs_dba;
