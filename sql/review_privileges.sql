-- The audit of privileges: each rule with what it finds, what it must not take for
-- that, and its remedy, which is run as it is printed. Roles and objects are of
-- this test; what the cluster has besides is not looked at.
\set VERBOSITY terse
CREATE FUNCTION pg_temp.found(rule text) RETURNS TABLE (severity text, object text, message text, remedy text)
    LANGUAGE sql AS $$ SELECT f.severity, f.object, f.message, f.remedy FROM dbops.review_privileges(ARRAY[rule]) f WHERE f.object LIKE '%review_%' ORDER BY f.key $$;
-- runs the remedies of a rule as they are printed, one line after the other, and says whether the finding is gone
CREATE FUNCTION pg_temp.remedied(rule text) RETURNS TABLE (object text, gone boolean) LANGUAGE plpgsql AS $$
DECLARE
    finding record;
    last text := '';
    line text;
BEGIN
    LOOP
        SELECT * INTO finding FROM dbops.review_privileges(ARRAY[rule]) f WHERE f.object LIKE '%review_%' AND f.remedy ~ '^[A-Z]{2}' AND f.key > last COLLATE "C" ORDER BY f.key COLLATE "C" LIMIT 1;
        EXIT WHEN NOT FOUND;
        FOREACH line IN ARRAY string_to_array(finding.remedy, E'\n') LOOP
            EXECUTE line;
        END LOOP;
        last := finding.key;
        object := finding.object;
        gone := NOT EXISTS (SELECT FROM dbops.review_privileges(ARRAY[rule]) f WHERE f.key = last);
        RETURN NEXT;
    END LOOP;
END $$;
SET password_encryption = 'scram-sha-256';

-- who is above all rules
CREATE ROLE "regress_review_Super" SUPERUSER LOGIN;
CREATE ROLE regress_review_super_group SUPERUSER;
CREATE ROLE regress_review_bypass BYPASSRLS;
CREATE ROLE regress_review_maker CREATEROLE;
CREATE ROLE regress_review_copier REPLICATION LOGIN PASSWORD 'x';
CREATE ROLE regress_review_copier_group REPLICATION;
CREATE ROLE regress_review_reader IN ROLE pg_read_server_files;
CREATE ROLE regress_review_plain LOGIN PASSWORD 'x' IN ROLE pg_read_all_settings;
CREATE ROLE regress_review_heir IN ROLE regress_review_super_group;
CREATE ROLE regress_review_all IN ROLE pg_write_all_data;
SELECT * FROM pg_temp.found('roles.superuser');
SELECT * FROM pg_temp.found('roles.bypass_rls');
SELECT object, remedy FROM pg_temp.found('roles.create_role');
SELECT * FROM pg_temp.found('roles.replication');
SELECT * FROM pg_temp.found('roles.server_access');
SELECT * FROM pg_temp.found('roles.superuser_member');
SELECT * FROM pg_temp.found('roles.all_data');
-- not of who would be the last to log in, or whose dbops is
BEGIN;
DO $$ BEGIN EXECUTE format('ALTER ROLE %I NOLOGIN', (SELECT rolname FROM pg_roles WHERE oid = 10)); END $$;
SELECT replace(remedy, quote_ident((SELECT rolname FROM pg_roles WHERE oid = 10)), 'the first') AS remedy FROM pg_temp.found('roles.superuser') WHERE object LIKE '%Super%';
ROLLBACK;
BEGIN;
UPDATE pg_extension SET extowner = '"regress_review_Super"'::regrole WHERE extname = 'dbops';
SELECT object, remedy FROM pg_temp.found('roles.superuser');
ROLLBACK;
SELECT r.* FROM unnest('{roles.superuser_member,roles.all_data,roles.superuser,roles.bypass_rls,roles.create_role,roles.server_access}'::text[]) rule, pg_temp.remedied(rule) r;

-- how they log in: without a password, with one of md5, with one that ends
CREATE ROLE regress_review_none LOGIN;
CREATE ROLE regress_review_none_group;
SET client_min_messages = error;
CREATE ROLE regress_review_md5 LOGIN PASSWORD 'md50123456789abcdef0123456789abcdef';
CREATE ROLE regress_review_md5_group PASSWORD 'md50123456789abcdef0123456789abcdef';
RESET client_min_messages;
SELECT set_config('dbops.test_now', extract(epoch FROM timestamptz '2030-06-01 00:00+00')::text, false) IS NOT NULL AS now;
CREATE ROLE regress_review_soon LOGIN PASSWORD 'x' VALID UNTIL '2030-06-30 00:00+00';
CREATE ROLE regress_review_later LOGIN PASSWORD 'x' VALID UNTIL '2030-07-02 00:00+00';
CREATE ROLE regress_review_never LOGIN PASSWORD 'x' VALID UNTIL 'infinity';
CREATE ROLE regress_review_past LOGIN PASSWORD 'x' VALID UNTIL '2030-05-31 00:00+00';
CREATE ROLE regress_review_soon_none LOGIN VALID UNTIL '2030-06-30 00:00+00';
CREATE ROLE regress_review_long_past LOGIN PASSWORD 'x' VALID UNTIL '2030-05-01 00:00+00';
CREATE ROLE regress_review_always_past LOGIN PASSWORD 'x' VALID UNTIL '-infinity';
SELECT severity, object, remedy FROM pg_temp.found('roles.no_password') WHERE object NOT LIKE '%Super%';
SELECT * FROM pg_temp.found('roles.md5_password');
SELECT * FROM pg_temp.found('roles.password_expiring');

-- who is gone and still owns something; a group that cannot log in has members
CREATE ROLE regress_review_group;
CREATE ROLE regress_review_member LOGIN PASSWORD 'x' IN ROLE regress_review_group;
CREATE ROLE regress_review_alone;
CREATE SCHEMA review_privileges;
CREATE TABLE review_privileges.of_group (a int);
CREATE TABLE review_privileges.of_alone (a int);
CREATE TABLE review_privileges.of_past (a int);
CREATE TABLE review_privileges.of_later (a int);
ALTER TABLE review_privileges.of_group OWNER TO regress_review_group;
ALTER TABLE review_privileges.of_alone OWNER TO regress_review_alone;
ALTER TABLE review_privileges.of_past OWNER TO regress_review_past;
ALTER TABLE review_privileges.of_later OWNER TO regress_review_later;
SELECT severity, object, replace(message, quote_ident(current_database()), 'this') AS message, remedy FROM pg_temp.found('roles.owns_and_is_gone');
SELECT format('REASSIGN OWNED BY %s TO CURRENT_USER', object) FROM pg_temp.found('roles.owns_and_is_gone') \gexec
SELECT object FROM pg_temp.found('roles.owns_and_is_gone');
RESET dbops.test_now;

-- what everybody, or others, may create
CREATE SCHEMA "review_Open";
GRANT CREATE, USAGE ON SCHEMA "review_Open" TO PUBLIC;
GRANT CREATE ON SCHEMA "review_Open" TO regress_review_plain;
GRANT USAGE ON SCHEMA review_privileges TO PUBLIC;
SELECT * FROM pg_temp.found('privileges.public_create');
SELECT * FROM pg_temp.found('privileges.schema_create');
SELECT r.* FROM unnest('{privileges.public_create,privileges.schema_create}'::text[]) rule, pg_temp.remedied(rule) r;
-- by somebody else, who alone can take it back; a name with line breaks stays on one line, in keys too
CREATE SCHEMA "review_
'break";
CREATE ROLE "regress_review_
grantor";
GRANT CREATE ON SCHEMA "review_
'break" TO "regress_review_
grantor" WITH GRANT OPTION;
GRANT CREATE ON SCHEMA "review_
'break" TO regress_review_plain;
SET ROLE "regress_review_
grantor";
GRANT CREATE ON SCHEMA "review_
'break" TO PUBLIC, regress_review_plain;
RESET ROLE;
SELECT * FROM pg_temp.found('privileges.public_create');
SELECT * FROM pg_temp.found('privileges.schema_create');
SELECT count(*) AS keys_with_breaks FROM dbops.review_privileges('{%}') WHERE key ~ E'[\n\r]';
SELECT dbops.mute_finding(key, 'a name', now() + interval '1 hour') FROM dbops.review_privileges('{privileges.public_create}') WHERE object LIKE '%break%';
SELECT object, data ? 'muted_until' AS muted FROM dbops.review_privileges('{privileges.public_create}') WHERE object LIKE '%break%';
SELECT dbops.unmute_finding('privileges.public_create:U&"review_\000A''break"');
SELECT r.* FROM unnest('{privileges.public_create,privileges.schema_create}'::text[]) rule, pg_temp.remedied(rule) r;
DROP SCHEMA "review_
'break";
DROP ROLE "regress_review_
grantor";

-- what everybody may read and write; not where the schema keeps them out, or of one role
CREATE TABLE review_privileges.read_by_all (a int);
CREATE TABLE review_privileges.written_by_all (a int);
CREATE TABLE review_privileges.read_by_one (a int);
CREATE SEQUENCE review_privileges.counted_by_all;
CREATE SCHEMA review_closed;
CREATE TABLE review_closed.out_of_reach (a int);
GRANT SELECT ON review_privileges.read_by_all, review_closed.out_of_reach TO PUBLIC;
GRANT SELECT, INSERT ON review_privileges.written_by_all TO PUBLIC;
GRANT USAGE ON SEQUENCE review_privileges.counted_by_all TO PUBLIC;
GRANT SELECT ON review_privileges.read_by_one TO regress_review_plain WITH GRANT OPTION;
SELECT * FROM pg_temp.found('privileges.public_table');
SELECT * FROM pg_temp.found('privileges.grant_option');
SELECT r.* FROM unnest('{privileges.public_table,privileges.grant_option}'::text[]) rule, pg_temp.remedied(rule) r;
-- passed on: to everybody, and so to be taken back by whoever did it; and to one who loses it with him
CREATE ROLE regress_review_grantor;
GRANT SELECT ON review_privileges.read_by_one TO regress_review_grantor WITH GRANT OPTION;
SET ROLE regress_review_grantor;
GRANT SELECT ON review_privileges.read_by_one TO PUBLIC, regress_review_plain;
RESET ROLE;
SELECT * FROM pg_temp.found('privileges.public_table');
SELECT * FROM pg_temp.remedied('privileges.public_table');
SELECT * FROM pg_temp.found('privileges.grant_option');
SELECT * FROM pg_temp.remedied('privileges.grant_option');
DROP OWNED BY regress_review_grantor;
DROP ROLE regress_review_grantor;
-- of columns
GRANT SELECT (a) ON review_closed.out_of_reach TO PUBLIC;
GRANT UPDATE (a) ON review_privileges.written_by_all TO PUBLIC;
GRANT UPDATE (a) ON review_privileges.read_by_one TO regress_review_plain;
SELECT * FROM pg_temp.found('privileges.public_column');
SELECT * FROM pg_temp.remedied('privileges.public_column');

-- what is the server's or an extension's, and comes without those rights
SELECT object FROM dbops.review_privileges('{privileges.public_system}');
BEGIN;
GRANT SELECT ON pg_authid TO PUBLIC;
GRANT SELECT (subconninfo) ON pg_subscription TO PUBLIC;
GRANT UPDATE ON pg_class TO PUBLIC;
GRANT EXECUTE ON FUNCTION pg_read_file(text), pg_stat_reset() TO PUBLIC;
GRANT CREATE ON SCHEMA pg_catalog TO PUBLIC;
GRANT CREATE ON SCHEMA pg_catalog TO regress_review_plain;
GRANT SET ON PARAMETER log_statement TO PUBLIC;
GRANT SET ON PARAMETER log_duration TO regress_review_plain;
GRANT ALTER SYSTEM, SET ON PARAMETER "review.select" TO PUBLIC;
GRANT CREATE ON TABLESPACE pg_default TO PUBLIC;
CREATE FOREIGN DATA WRAPPER regress_review_wrapper;
CREATE SERVER "review Server" FOREIGN DATA WRAPPER regress_review_wrapper;
GRANT USAGE ON FOREIGN SERVER "review Server" TO PUBLIC;
GRANT USAGE ON FOREIGN DATA WRAPPER regress_review_wrapper TO PUBLIC;
GRANT SELECT ON dbops.muted_finding TO PUBLIC;
DO $$ BEGIN EXECUTE format('GRANT SELECT ON LARGE OBJECT %s, %s TO PUBLIC', lo_create(0), lo_create(0)); PERFORM lo_create(0); END $$;
CREATE TEMP TABLE given AS SELECT * FROM dbops.review_privileges('{privileges.public_system,privileges.public_setting,privileges.public_other,privileges.public_create,privileges.schema_create}');
SELECT check_name, severity, object, message, remedy FROM given ORDER BY key;
SELECT unnest(string_to_array(remedy, E'\n')) FROM given \gexec
SELECT count(*) AS left FROM dbops.review_privileges('{privileges.%}') f JOIN given USING (key);
ROLLBACK;

-- what everybody will have on what will be created
ALTER DEFAULT PRIVILEGES FOR ROLE regress_review_plain IN SCHEMA review_privileges GRANT SELECT ON TABLES TO PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE regress_review_plain IN SCHEMA review_privileges GRANT SELECT ON SEQUENCES TO regress_review_member;
ALTER DEFAULT PRIVILEGES FOR ROLE regress_review_plain GRANT USAGE ON SCHEMAS TO PUBLIC;
SELECT * FROM pg_temp.found('privileges.default_public');
SELECT * FROM pg_temp.remedied('privileges.default_public');

-- the database itself
SELECT count(*) FROM dbops.review_privileges('{privileges.public_database}');
GRANT CREATE ON DATABASE :"DBNAME" TO PUBLIC;
SELECT severity, object = quote_ident(:'DBNAME') AS this, message FROM dbops.review_privileges('{privileges.public_database}');
SELECT remedy AS run FROM dbops.review_privileges('{privileges.public_database}') \gset
:run
SELECT count(*) FROM dbops.review_privileges('{privileges.public_database}');
SELECT severity, message FROM dbops.review_privileges('{privileges.public_connect}');
SELECT count(*) FROM dbops.review_privileges() WHERE check_name = 'privileges.public_connect';

-- one password for all, elsewhere
CREATE FOREIGN DATA WRAPPER regress_review_fdw;
CREATE SERVER review_shared FOREIGN DATA WRAPPER regress_review_fdw;
CREATE SERVER review_own FOREIGN DATA WRAPPER regress_review_fdw;
CREATE USER MAPPING FOR PUBLIC SERVER review_shared OPTIONS (user 'x', password 'y');
CREATE USER MAPPING FOR PUBLIC SERVER review_own OPTIONS (user 'x');
CREATE USER MAPPING FOR regress_review_plain SERVER review_own OPTIONS (user 'x', password 'y');
SELECT * FROM pg_temp.found('privileges.user_mapping');

-- new passwords
SELECT count(*) FROM dbops.review_privileges('{settings.password_encryption}');

-- every finding has a key of its own
SELECT count(*) = count(DISTINCT key) AS told_apart FROM dbops.review_privileges('{%}');

-- for monitors, who are told the same and see no password
CREATE ROLE regress_review_nobody;
CREATE ROLE regress_review_monitor IN ROLE pg_monitor;
SET ROLE regress_review_nobody;
SELECT count(*) FROM dbops.review_privileges();
SET ROLE regress_review_monitor;
SELECT rolname FROM pg_authid;
BEGIN READ ONLY;
SELECT count(*) FILTER (WHERE object = 'regress_review_md5') AS found, count(*) FILTER (WHERE severity = 'unknown') AS unknown,
       count(*) FILTER (WHERE f::text LIKE '%0123456789abcdef%') AS shown FROM dbops.review_privileges('{%}') f;
COMMIT;
RESET ROLE;

-- a mute
SELECT dbops.mute_finding('roles.md5_password:regress_review_md5', 'until the driver is renewed', now() + interval '1 hour');
SELECT data ? 'muted_until' AS muted FROM dbops.review_privileges('{roles.md5_password}') WHERE object = 'regress_review_md5';
SELECT dbops.unmute_finding('roles.md5_password:regress_review_md5');

DROP FOREIGN DATA WRAPPER regress_review_fdw CASCADE;
DROP SCHEMA review_privileges, "review_Open", review_closed CASCADE;
DROP OWNED BY regress_review_plain;
DROP ROLE "regress_review_Super", regress_review_heir, regress_review_all, regress_review_super_group, regress_review_bypass, regress_review_maker, regress_review_copier, regress_review_copier_group,
    regress_review_reader, regress_review_plain, regress_review_none, regress_review_none_group, regress_review_md5, regress_review_md5_group, regress_review_soon,
    regress_review_later, regress_review_long_past, regress_review_always_past, regress_review_never, regress_review_past, regress_review_soon_none, regress_review_group, regress_review_member, regress_review_alone,
    regress_review_nobody, regress_review_monitor;
