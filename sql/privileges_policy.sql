-- Policies belong to the owners of their tables: who may set, replace, submit,
-- see and remove them, as whom their jobs run, and what becomes of them when
-- the owner is another one or gone. Plain SQL, in virtual time.
\set VERBOSITY terse
SET TimeZone = 'UTC';
SET datestyle = 'ISO';
SET client_min_messages = warning;
SET dbops.test_now = 2240611200;    -- 2041-01-01
CREATE ROLE regress_policy_owner LOGIN;
CREATE ROLE regress_policy_member LOGIN IN ROLE regress_policy_owner;
CREATE ROLE regress_policy_other LOGIN;
CREATE ROLE regress_policy_admin LOGIN;
CREATE ROLE regress_policy_monitor LOGIN IN ROLE pg_monitor;
CREATE ROLE regress_policy_nobody LOGIN;
SELECT dbops.grant_access('regress_policy_owner', 'operator'), dbops.grant_access('regress_policy_member', 'operator'),
       dbops.grant_access('regress_policy_other', 'operator'), dbops.grant_access('regress_policy_admin', 'admin');
GRANT SET ON PARAMETER dbops.test_now TO PUBLIC;
CREATE SCHEMA privileges_policy;
GRANT ALL ON SCHEMA privileges_policy TO PUBLIC;
SET search_path = privileges_policy;
SET ROLE regress_policy_owner;
CREATE TABLE visits (id int);
INSERT INTO visits SELECT generate_series(1, 10);
SELECT pg_stat_force_next_flush();
RESET ROLE;

SET ROLE regress_policy_nobody;
SELECT dbops.set_vacuum_policy('visits');
SELECT dbops.remove_vacuum_policy('visits');
SELECT * FROM dbops.vacuum_candidates();
SELECT * FROM dbops.maintenance_report();
SELECT * FROM dbops.policy;
SELECT * FROM dbops.maintenance_log;
SELECT nextval('dbops.policy_id_seq');
-- reports are for monitors, who set nothing
SET ROLE regress_policy_monitor;
SELECT dbops.set_vacuum_policy('visits');
SELECT dbops.remove_vacuum_policy('visits');
SELECT count(*) FROM dbops.vacuum_candidates() WHERE table_name = 'visits'::regclass;
SELECT count(*) FROM dbops.maintenance_report() WHERE object LIKE 'privileges_policy.%';
SELECT * FROM dbops.policy;

-- who sets one for all tables hides those of others from nobody
SET ROLE regress_policy_other;
SELECT dbops.set_vacuum_policy() IS NOT NULL AS is_set;
SET ROLE regress_policy_monitor;
SELECT count(*), count(policy) AS of_policy FROM dbops.vacuum_candidates() WHERE table_name = 'visits'::regclass;
-- and the database's owner may vacuum those, too
RESET ROLE;
BEGIN;
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I OWNER TO regress_policy_other', current_database()); END $$;
SELECT count(*), count(policy) AS of_policy FROM dbops.vacuum_candidates() WHERE table_name = 'visits'::regclass;
ROLLBACK;
SET ROLE regress_policy_other;
SELECT dbops.remove_vacuum_policy();
RESET ROLE;
-- only for one's own tables
SET ROLE regress_policy_other;
SELECT dbops.set_vacuum_policy('visits');
SET ROLE regress_policy_admin;
SELECT dbops.set_vacuum_policy('visits');
-- a member of the owner sets it, and it is the owner's
SET ROLE regress_policy_member;
SELECT dbops.set_vacuum_policy('visits');
SELECT kind, name, owner, command IS NOT NULL AS shown FROM dbops.policies();
SET ROLE regress_policy_other;
SELECT kind, name, owner, command IS NOT NULL AS shown FROM dbops.policies();
SELECT dbops.remove_vacuum_policy('visits');
-- nor does he submit it
SET dbops.test_now = 2240614800;
SELECT count(*) FROM dbops.run_maintenance();
SET ROLE regress_policy_member;
SELECT count(*) FROM dbops.run_maintenance();
RESET ROLE;
SELECT kind, name, owner, submitter FROM dbops.job WHERE kind = 'vacuum' ORDER BY id;
SELECT id AS job FROM dbops.job WHERE kind = 'vacuum' \gset
SET ROLE regress_policy_other;
\set VERBOSITY sqlstate
SELECT dbops.cancel_job(:job);
\set VERBOSITY terse
RESET ROLE;
CALL dbops.run_job(:job);
SELECT object, action, outcome FROM dbops.maintenance_report() WHERE object LIKE 'privileges_policy.%';

-- another owner: nothing is done until he sets it, and then as him
ALTER TABLE visits OWNER TO regress_policy_other;
SET dbops.test_now = 2240618400;
SELECT count(*) FROM dbops.run_maintenance();
SELECT owner, last_message FROM dbops.policies();
SET ROLE regress_policy_owner;
SELECT dbops.set_vacuum_policy('visits');
SET ROLE regress_policy_other;
SELECT dbops.set_vacuum_policy('visits', schedule => '@daily');
SELECT owner, last_message FROM dbops.policies();
SET ROLE regress_policy_owner;
SELECT dbops.remove_vacuum_policy('visits');
-- an admin removes what is anybody's
SET ROLE regress_policy_admin;
SELECT dbops.remove_vacuum_policy('visits');
RESET ROLE;

-- all tables: those that the role may vacuum, and one such policy
CREATE TABLE mine (id int);
INSERT INTO mine VALUES (1);
SELECT pg_stat_force_next_flush();
ALTER TABLE visits OWNER TO regress_policy_owner;
SET ROLE regress_policy_owner;
CREATE TABLE own (id int);
INSERT INTO own VALUES (1);
SELECT pg_stat_force_next_flush();
SELECT dbops.set_vacuum_policy(analyze_every => NULL);
SET ROLE regress_policy_other;
SELECT dbops.set_vacuum_policy();
SELECT dbops.remove_vacuum_policy();
SET ROLE regress_policy_owner;
SET dbops.test_now = 2240622000;
SELECT count(*) FROM dbops.run_maintenance();
RESET ROLE;
SELECT max(id) AS job FROM dbops.job WHERE kind = 'vacuum' \gset
CALL dbops.run_job(:job);
SELECT object, action, outcome FROM dbops.maintenance_report() WHERE job_id = :job;
SELECT message FROM dbops.jobs() WHERE id = :job;

-- its role is gone: it is broken, and can be removed
SELECT dbops.revoke_access('regress_policy_owner');
DROP OWNED BY regress_policy_owner;
REVOKE regress_policy_owner FROM regress_policy_member;
DROP ROLE regress_policy_owner;
SET dbops.test_now = 2240625600;
SELECT count(*) FROM dbops.run_maintenance();
SELECT name, regexp_replace(last_message, '\d+', 'N') AS last_message FROM dbops.policies();
SELECT dbops.remove_vacuum_policy();

-- look-alikes in front are not called
SET ROLE regress_policy_other;
CREATE FUNCTION trap(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$;
CREATE OPERATOR = (LEFTARG = text, RIGHTARG = text, FUNCTION = trap);
CREATE FUNCTION trap(oid, oid) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$;
CREATE OPERATOR = (LEFTARG = oid, RIGHTARG = oid, FUNCTION = trap);
CREATE FUNCTION pg_stat_get_dead_tuples(oid) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$;
CREATE TABLE pg_class (oid oid);
RESET ROLE;
SET search_path = privileges_policy, pg_catalog;
SELECT dbops.set_vacuum_policy('mine'), dbops.set_vacuum_policy('mine');
SET dbops.test_now = 2240629200;
SELECT count(*) FROM dbops.run_maintenance();
SELECT max(id) AS job FROM dbops.job WHERE kind OPERATOR(pg_catalog.=) 'vacuum' \gset
CALL dbops.run_job(:job);
SELECT count(*) FROM dbops.vacuum_candidates() WHERE table_name OPERATOR(pg_catalog.=) 'mine'::regclass;
SELECT object, action, outcome FROM dbops.maintenance_report() WHERE job_id OPERATOR(pg_catalog.=) :job;
SELECT count(*) FROM dbops.policies();
SELECT dbops.remove_vacuum_policy('mine');
RESET search_path;

RESET dbops.test_now;
DELETE FROM dbops.job WHERE kind = 'vacuum';
DELETE FROM dbops.job_request;
DELETE FROM dbops.maintenance_log;
DROP SCHEMA privileges_policy CASCADE;
REVOKE SET ON PARAMETER dbops.test_now FROM PUBLIC;
SELECT dbops.revoke_access('regress_policy_member'), dbops.revoke_access('regress_policy_other'), dbops.revoke_access('regress_policy_admin');
DROP ROLE regress_policy_member, regress_policy_other, regress_policy_admin, regress_policy_monitor, regress_policy_nobody;
RESET client_min_messages;
