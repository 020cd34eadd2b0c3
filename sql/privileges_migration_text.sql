-- As whom a text is run: as the caller or a role that the caller may set, and
-- as nobody else, whatever the text tries.
CREATE ROLE regress_text_deployer LOGIN;
CREATE ROLE regress_text_member;
CREATE ROLE regress_text_other;
GRANT regress_text_member TO regress_text_deployer;
SELECT dbops.grant_access('regress_text_deployer', 'operator');
CREATE SCHEMA regress_text AUTHORIZATION regress_text_deployer;
GRANT USAGE, CREATE ON SCHEMA regress_text TO regress_text_member;
CREATE TABLE regress_text.whose (who text);
GRANT INSERT ON regress_text.whose TO PUBLIC;

-- a superuser's session that has become the deployer
SET ROLE regress_text_deployer;
SET search_path = regress_text, pg_catalog;
SELECT state FROM dbops.apply_migration('001', $text$
INSERT INTO whose VALUES (current_user);
SET ROLE regress_text_member;
INSERT INTO whose VALUES (current_user);
CREATE TABLE members (a int);
SET LOCAL ROLE regress_text_deployer;
INSERT INTO whose VALUES (current_user);
SET ROLE 'regress_text_member';
$text$, project => 'rights', verify_sql => 'SELECT current_user = ''regress_text_deployer''') WHERE step IS NULL;
SELECT current_user;
SELECT relowner::regrole FROM pg_class WHERE oid = 'members'::regclass;

-- the same in steps, each of which begins as the deployer
SELECT job_id AS job FROM dbops.apply_migration('step', $text$
SET ROLE regress_text_member;
SET search_path = regress_text;
CREATE TABLE s1 (a int);
CREATE INDEX CONCURRENTLY s1_a ON s1 (a);
CREATE TABLE s2 (a int);
SET ROLE regress_text_deployer;
CREATE TABLE s3 (a int);
DROP INDEX CONCURRENTLY s1_a;
$text$, project => 'text_steps', verify_sql => 'SELECT current_user = ''regress_text_deployer'' AND current_setting(''search_path'') ~ ''pg_catalog''') \gset
CALL dbops.wait_job(:job);
SELECT state, note FROM dbops.migration_status('text_steps');
SELECT relname, relowner::regrole FROM pg_class WHERE relnamespace = 'regress_text'::regnamespace AND relname ~ '^s[0-9]' ORDER BY relname;

-- other roles are out of reach
SELECT * FROM dbops.apply_migration('100', 'SET ROLE regress_text_other', project => 'rights');
SELECT * FROM dbops.apply_migration('100', 'SET ROLE missing', project => 'rights');
SELECT rolname AS superuser FROM pg_roles WHERE oid = 10 \gset
\set VERBOSITY sqlstate
SELECT * FROM dbops.apply_migration('100', 'SET ROLE ' || quote_ident(:'superuser'), project => 'rights');
\set VERBOSITY default
SELECT * FROM dbops.apply_migration('100', 'SELECT set_config(''role'', ''none'', false)', project => 'rights');
SELECT * FROM dbops.apply_migration('100', 'SELECT set_config(''session_authorization'', ''default'', true)', project => 'rights');
SELECT * FROM dbops.apply_migration('100', 'DO $$ BEGIN RESET ROLE; END $$', project => 'rights');
SELECT * FROM dbops.apply_migration('100', 'DO $$ BEGIN EXECUTE ''SET ROLE NONE''; END $$', project => 'rights');
SELECT * FROM dbops.apply_migration('100', 'DO $$ BEGIN SET SESSION AUTHORIZATION DEFAULT; END $$', project => 'rights');
SELECT * FROM dbops.apply_migration('100', 'CREATE FUNCTION f() RETURNS text SET role = ''none'' LANGUAGE sql AS ''SELECT current_user::text''; SELECT f()', project => 'rights');
SELECT * FROM dbops.apply_migration('100', 'SELECT 1', verify_sql => 'SELECT set_config(''role'', ''none'', false) = ''none''', project => 'rights');
SELECT * FROM dbops.apply_migration('100', 'UPDATE pg_class SET relname = relname WHERE false', project => 'rights');
SELECT * FROM dbops.apply_migration('100', 'SELECT * FROM dbops.migration', project => 'rights');
-- nor is what a trigger or a default would do as the ledger's owner
SELECT current_user, count(*) FROM dbops.migration_status('rights') WHERE version = '100';
RESET search_path;
RESET ROLE;
SELECT who FROM regress_text.whose;

-- COPY asks for the rights that it asks for elsewhere
CREATE TABLE regress_text.columns (a int, b int);
CREATE TABLE regress_text.rows (a int);
ALTER TABLE regress_text.rows ENABLE ROW LEVEL SECURITY;
CREATE POLICY all_rows ON regress_text.rows USING (true);
GRANT INSERT (a) ON regress_text.columns TO regress_text_deployer;
GRANT INSERT ON regress_text.rows TO regress_text_deployer;
SET ROLE regress_text_deployer;
SELECT row_count FROM dbops.apply_migration('002', E'COPY regress_text.columns (a) FROM stdin;\n1\n\\.\n', project => 'rights') WHERE step = 1;
SELECT * FROM dbops.apply_migration('100', E'COPY regress_text.columns FROM stdin;\n1\t2\n\\.\n', project => 'rights');
SELECT * FROM dbops.apply_migration('100', E'COPY regress_text.rows FROM stdin;\n1\n\\.\n', project => 'rights');
SELECT * FROM dbops.apply_migration('100', E'COPY dbops.migration FROM stdin;\n\\.\n', project => 'rights');
\set VERBOSITY sqlstate
SELECT * FROM dbops.apply_migration('100', 'COPY regress_text.columns FROM PROGRAM ''true''', project => 'rights');
RESET ROLE;

SET client_min_messages = warning;
DROP SCHEMA regress_text CASCADE;
DROP OWNED BY regress_text_deployer, regress_text_member, regress_text_other;
DROP ROLE regress_text_deployer, regress_text_member, regress_text_other;
