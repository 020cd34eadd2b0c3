-- What is done to the schema in no migration is written down, whoever does it:
-- each kind of command, what it was about by the names of a snapshot, and its text
-- without passwords. Plain SQL, for event triggers do it.
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = error;
CREATE ROLE regress_ddl;
CREATE ROLE "regress ""quoted""";
CREATE ROLE regress_ddl_monitor;
SELECT dbops.grant_access('regress_ddl_monitor', 'monitor');
CREATE SCHEMA logged;
GRANT ALL ON SCHEMA logged TO regress_ddl, "regress ""quoted""";
SET search_path = logged;
CREATE TEMP TABLE seen AS SELECT coalesce(max(transaction_id), 0) AS last FROM dbops.ddl_history();
-- What was written down since the last look.
CREATE FUNCTION pg_temp.written() RETURNS TABLE (command text, dropped boolean, objects text) LANGUAGE plpgsql AS $$
BEGIN
  RETURN QUERY SELECT h.command || CASE WHEN h.by_dbops THEN ' by dbops' ELSE '' END, h.dropped, CASE h.command WHEN 'DROP EXTENSION' THEN h.objects[1] ELSE (SELECT string_agg(replace(o, 'of ' || quote_ident(session_user) || ' on', 'of me on'), ' ' ORDER BY o COLLATE "C") FROM unnest(h.objects) o) END
    FROM dbops.ddl_history() h WHERE h.transaction_id > (SELECT last FROM seen)
    ORDER BY h.at, h.dropped DESC;
  UPDATE seen SET last = (SELECT max(transaction_id) FROM dbops.ddl_history());
END $$;
UPDATE seen SET last = (SELECT max(transaction_id) FROM dbops.ddl_history());
SHOW dbops.record_ddl;

-- Tables and what is part of them.
CREATE TABLE orders (id serial PRIMARY KEY, "A b" text DEFAULT 'x', c int CHECK (c > 0));
CREATE TABLE IF NOT EXISTS orders (id int);
ALTER TABLE orders RENAME c TO d;
ALTER TABLE orders RENAME CONSTRAINT orders_c_check TO positive;
ALTER TABLE orders RENAME TO "Orders. x";
ALTER TABLE "Orders. x" ADD e int, ALTER d SET DEFAULT 1;
ALTER TABLE "Orders. x" DROP e;
CREATE TABLE copy AS SELECT 1 AS one;
SELECT 1 AS one INTO copy_too;
CREATE INDEX CONCURRENTLY an_index ON "Orders. x" (d);
DROP INDEX CONCURRENTLY an_index;
CREATE TABLE parts (k int) PARTITION BY LIST (k) ;
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
SELECT * FROM pg_temp.written();
-- servers list other objects of these
ALTER TABLE parts DETACH PARTITION parts_1 CONCURRENTLY;
SELECT count(*) FROM dbops.ddl_history('logged.parts') WHERE statement LIKE '%CONCURRENTLY';
ALTER TABLE copy ALTER one SET NOT NULL;
ALTER TABLE copy ALTER one DROP NOT NULL;
SELECT command FROM dbops.ddl_history('logged.copy.one') WHERE NOT dropped;
UPDATE seen SET last = (SELECT max(transaction_id) FROM dbops.ddl_history());

-- Others.
CREATE FUNCTION f(a int, b text, c numeric[]) RETURNS int LANGUAGE sql AS 'SELECT 1';
ALTER FUNCTION f RENAME TO g;
ALTER FUNCTION g SET SCHEMA public;
DROP FUNCTION public.g;
CREATE FUNCTION t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER a_trigger BEFORE INSERT ON copy FOR EACH ROW EXECUTE FUNCTION t();
CREATE POLICY a_policy ON copy;
CREATE RULE a_rule AS ON DELETE TO copy DO NOTHING;
CREATE STATISTICS a_statistics ON id, d FROM "Orders. x";
CREATE DOMAIN d AS int CONSTRAINT positive CHECK (VALUE > 0);
ALTER DOMAIN d DROP CONSTRAINT positive;
CREATE TYPE mood AS ENUM ('sad');
ALTER TYPE mood RENAME TO humour;
ALTER TYPE humour ADD VALUE 'glad';
CREATE SCHEMA logged_too CREATE TABLE u (id int) CREATE VIEW v AS SELECT 1 AS a;
ALTER SCHEMA logged_too RENAME TO logged_three;
DROP SCHEMA logged_three CASCADE;
GRANT SELECT ON ALL TABLES IN SCHEMA logged TO regress_ddl;
GRANT USAGE ON SCHEMA logged TO regress_ddl_monitor;
COMMENT ON COLUMN copy.one IS 'one';
ALTER DEFAULT PRIVILEGES IN SCHEMA logged GRANT SELECT ON TABLES TO regress_ddl;
ALTER DEFAULT PRIVILEGES IN SCHEMA logged REVOKE SELECT ON TABLES FROM regress_ddl;
CREATE EXTENSION pg_trgm;
DROP EXTENSION pg_trgm;
CREATE PUBLICATION a_publication FOR TABLE copy;
DROP PUBLICATION a_publication;
SELECT * FROM pg_temp.written();

-- What is not in the record: what is no part of the schema, temporary, undone, dbops' own, or in a migration.
CREATE TEMP TABLE temporary (id int PRIMARY KEY);
CREATE INDEX ON temporary (id);
GRANT SELECT ON temporary TO PUBLIC;
COMMENT ON TABLE temporary IS 'x';
ALTER TABLE temporary ADD b int;
ALTER TABLE temporary DROP b;
DROP TABLE temporary;
BEGIN;
CREATE TABLE undone (id int);
ROLLBACK;
REINDEX TABLE "Orders. x";
CREATE MATERIALIZED VIEW m AS SELECT 1 AS one;
UPDATE seen SET last = (SELECT max(transaction_id) FROM dbops.ddl_history());
REFRESH MATERIALIZED VIEW m;
TRUNCATE copy;
ALTER ROLE regress_ddl SET work_mem = '1MB';
SELECT dbops.grant_access('regress_ddl', 'monitor');
SELECT dbops.revoke_access('regress_ddl');
BEGIN;
SELECT version, state FROM dbops.apply_migration('V1', 'CREATE TABLE logged.migrated (id int); DROP TABLE logged.copy_too', project => 'regress_record') WHERE step IS NULL;
SELECT state FROM dbops.check_migration('DROP TABLE logged.migrated', 'CREATE TABLE logged.migrated (id int)') WHERE step IS NULL AND state NOT LIKE 'finding%';
SELECT count(*) FROM dbops.ddl_history('logged.migrated');
ROLLBACK;
SET dbops.record_ddl = off;
CREATE TABLE unrecorded (id int);
DROP TABLE unrecorded;
RESET dbops.record_ddl;
SELECT * FROM pg_temp.written();

-- What dbops does for somebody says so.
CALL dbops.add_column('copy', 'two', 'int');
SELECT DISTINCT command, objects FROM pg_temp.written();

-- Texts: of one statement alone, as the innermost had it, cut, and without passwords.
\o /dev/null
SELECT 1 \; CREATE TABLE several (id int) \; SELECT 2;
\o
DO $$ BEGIN EXECUTE 'CREATE VIEW inner_one AS SELECT 1 AS a'; END $$;
PREPARE p AS SELECT 1 AS prepared;
CREATE TABLE executed AS EXECUTE p;
DO $$ BEGIN EXECUTE format('CREATE FUNCTION long() RETURNS text LANGUAGE sql AS %L', 'SELECT ''' || repeat('é', 9000) || ''''); END $$;
CREATE FOREIGN DATA WRAPPER w OPTIONS (password 'secret');
CREATE SERVER s FOREIGN DATA WRAPPER w OPTIONS (password 'secret');
CREATE USER MAPPING FOR PUBLIC SERVER s OPTIONS (password 'secret');
ALTER USER MAPPING FOR PUBLIC SERVER s OPTIONS (SET password 'secret');
CREATE FOREIGN TABLE far (id int) SERVER s OPTIONS (password 'secret');
ALTER TABLE far OPTIONS (SET password 'secret');
ALTER FOREIGN TABLE far ALTER id OPTIONS (password 'secret');
ALTER TABLE far ADD b int OPTIONS (password 'secret');
CREATE FOREIGN TABLE far_2 (id int OPTIONS (password 'secret')) SERVER s;
\o /dev/null
CREATE ROLE regress_ddl_password PASSWORD 'secret' \; CREATE TABLE beside (id int);
\o
DROP FOREIGN DATA WRAPPER w CASCADE;
SELECT objects[1] AS object, length(statement) AS length, octet_length(statement) AS bytes, left(statement, 60) AS statement
  FROM dbops.ddl_history() WHERE transaction_id > (SELECT last FROM seen) ORDER BY at, dropped DESC;
SELECT count(*) FROM dbops.ddl_history() WHERE statement LIKE '%''secret''%' AND transaction_id > (SELECT last FROM seen);
DROP ROLE regress_ddl_password;

-- Who: a role that has no right on anything of dbops, and cannot be kept from its work.
SET ROLE regress_ddl;
SET application_name = 'deploy';
CREATE TABLE theirs (id int);
RESET ROLE;
SET ROLE "regress ""quoted""";
CREATE TABLE "quoted ""too" (id int);
ALTER TABLE "quoted ""too" RENAME TO "'; DROP TABLE dbops.ddl_log; --";
SET search_path = logged, pg_catalog;
CREATE FUNCTION unnest(anyarray) RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN RAISE 'called'; END $$;
CREATE FUNCTION lower_too() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION as_definer() RETURNS void LANGUAGE sql SECURITY DEFINER AS 'CREATE TABLE logged.by_definer (id int)';
RESET ROLE;
SELECT as_definer();
SELECT role_name, session_role = session_user AS by_me, application_name, pid = pg_backend_pid() AS here, objects FROM dbops.ddl_history(since => now() - interval '1 day')
  WHERE application_name = 'deploy' ORDER BY at;
DROP FUNCTION unnest(anyarray);
SET search_path = logged;
-- who has logged in is not who a session is said to be of
SELECT session_user AS login \gset
SET SESSION AUTHORIZATION regress_ddl;
CREATE TABLE said_to_be_theirs (id int);
RESET SESSION AUTHORIZATION;
SELECT role_name, session_role = :'login' AS by_me FROM dbops.ddl_history('logged.said_to_be_theirs');
RESET application_name;
SET ROLE regress_ddl;
SET dbops.record_ddl = off;
SELECT * FROM dbops.ddl_history();
SELECT * FROM dbops.ddl_log;
INSERT INTO dbops.ddl_log DEFAULT VALUES;
SELECT dbops.log_ddl();
CREATE EVENT TRIGGER mine ON sql_drop EXECUTE FUNCTION dbops.log_ddl();
RESET ROLE;
-- a right on all tables is none to write here
GRANT pg_write_all_data TO regress_ddl;
SET ROLE regress_ddl;
DELETE FROM dbops.ddl_log;
RESET ROLE;
-- texts only for who may read those of all
SET ROLE regress_ddl_monitor;
SELECT count(*) > 0 AS rows, count(statement) AS texts FROM dbops.ddl_history();
RESET ROLE;

-- The history of an object is that of its parts, too, and of nothing else.
CREATE TABLE one (id int, v int);
CREATE TABLE "one too" (id int);
ALTER TABLE one ALTER v SET DEFAULT 1;
ALTER TABLE one DROP v;
DROP TABLE one;
SELECT command, dropped, objects FROM dbops.ddl_history('logged.one', now() - interval '1 day');
SELECT command, dropped, objects FROM dbops.ddl_history('logged.one.v');
SELECT count(*) FROM dbops.ddl_history('logged.one', until => now() - interval '1 day');

-- Who has deleted dbops can go on, also in the same transaction.
BEGIN;
SET LOCAL dbops.allow_data_loss = on;
DROP EXTENSION dbops CASCADE;
CREATE TABLE without (id int);
DROP TABLE without;
ROLLBACK;

SET client_min_messages = error;
DROP SCHEMA logged CASCADE;
REVOKE pg_write_all_data FROM regress_ddl;
SELECT dbops.revoke_access('regress_ddl_monitor');
DROP OWNED BY regress_ddl, "regress ""quoted""", regress_ddl_monitor CASCADE;
DROP ROLE regress_ddl, "regress ""quoted""", regress_ddl_monitor;
