-- Who may schedule, and whose schedules one may see, replace, submit and remove.
\set VERBOSITY terse
SET TimeZone = 'UTC';
SET datestyle = 'ISO';
SET dbops.test_now = 2240611200;    -- 2041-01-01
CREATE ROLE regress_schedule_owner LOGIN;
CREATE ROLE regress_schedule_member LOGIN IN ROLE regress_schedule_owner;
CREATE ROLE regress_schedule_other LOGIN;
CREATE ROLE regress_schedule_admin LOGIN;
CREATE ROLE regress_schedule_monitor LOGIN IN ROLE pg_monitor;
CREATE ROLE regress_schedule_nobody LOGIN;
SELECT dbops.grant_access('regress_schedule_owner', 'operator'), dbops.grant_access('regress_schedule_member', 'operator'),
       dbops.grant_access('regress_schedule_other', 'operator'), dbops.grant_access('regress_schedule_admin', 'admin');
GRANT SET ON PARAMETER dbops.test_now TO regress_schedule_owner, regress_schedule_other, regress_schedule_admin, regress_schedule_member;

SET ROLE regress_schedule_nobody;
SELECT dbops.schedule('a', '@daily', 'SELECT 1');
SELECT dbops.unschedule('a');
SELECT dbops.next_runs(schedule => '@daily');
SELECT dbops.run_maintenance();
SELECT * FROM dbops.policies();
SELECT * FROM dbops.schedule;
SET ROLE regress_schedule_monitor;
SELECT dbops.schedule('a', '@daily', 'SELECT 1');
SELECT dbops.unschedule('a');
SELECT dbops.run_maintenance();
SELECT * FROM dbops.next_runs(schedule => '@daily', n => 1);

SET ROLE regress_schedule_owner;
SELECT dbops.schedule('a', '@hourly', 'SELECT ''secret''');
SELECT * FROM dbops.schedule;
-- its command is shown to its role, and not to others
SELECT name, owner, command FROM dbops.policies();
SET ROLE regress_schedule_other;
SELECT name, owner, command FROM dbops.policies();
SELECT dbops.schedule('a', '@hourly', 'SELECT 2');
SELECT dbops.unschedule('a');
SET dbops.test_now = 2240614800;
SELECT count(*) FROM dbops.run_maintenance();
-- neither a member nor an admin puts a command under another role's name
SET ROLE regress_schedule_member;
SELECT dbops.schedule('a', '@hourly', 'SELECT 2');
SET ROLE regress_schedule_admin;
SELECT dbops.schedule('a', '@hourly', 'SELECT 2');
RESET ROLE;
SELECT dbops.schedule('a', '@hourly', 'SELECT 2');
-- a member of pg_read_all_stats sees the command; a member of the role submits and removes, and so does an admin
SET ROLE regress_schedule_monitor;
SELECT name, owner, command FROM dbops.policies();
SET ROLE regress_schedule_member;
SELECT name, owner, command FROM dbops.policies();
SELECT count(*) FROM dbops.run_maintenance();
RESET ROLE;
SELECT owner, submitter, command FROM dbops.job WHERE schedule = 'a';
SET ROLE regress_schedule_member;
SELECT dbops.unschedule('a');
SET ROLE regress_schedule_owner;
SELECT dbops.schedule('a', '@hourly', 'SELECT 3');
SET ROLE regress_schedule_admin;
SELECT name, owner, command FROM dbops.policies();
SELECT dbops.unschedule('a');
RESET ROLE;

-- look-alikes in front are not called
CREATE SCHEMA hostile_schedule;
GRANT ALL ON SCHEMA hostile_schedule TO regress_schedule_other;
SET ROLE regress_schedule_other;
CREATE FUNCTION hostile_schedule.trap(timestamptz, timestamptz) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$;
CREATE OPERATOR hostile_schedule.<= (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = hostile_schedule.trap);
CREATE FUNCTION hostile_schedule.trap(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$;
CREATE OPERATOR hostile_schedule.= (LEFTARG = text, RIGHTARG = text, FUNCTION = hostile_schedule.trap);
RESET ROLE;
SET search_path = hostile_schedule, pg_catalog;
SELECT dbops.schedule('a', '@hourly', 'SELECT 1'), dbops.schedule('a', '@hourly', 'SELECT 1');
SET dbops.test_now = 2240618400;
SELECT count(*) FROM dbops.run_maintenance();
SELECT count(*) FROM dbops.policies();
SELECT path FROM dbops.job WHERE schedule OPERATOR(pg_catalog.=) 'a' ORDER BY id DESC LIMIT 1;
SELECT dbops.unschedule('a', true);
RESET search_path;

RESET dbops.test_now;
DELETE FROM dbops.job_request WHERE job_id IN (SELECT id FROM dbops.job WHERE schedule IS NOT NULL);
DELETE FROM dbops.job WHERE schedule IS NOT NULL;
DROP SCHEMA hostile_schedule CASCADE;
REVOKE SET ON PARAMETER dbops.test_now FROM regress_schedule_owner, regress_schedule_other, regress_schedule_admin, regress_schedule_member;
SELECT dbops.revoke_access('regress_schedule_owner'), dbops.revoke_access('regress_schedule_member'),
       dbops.revoke_access('regress_schedule_other'), dbops.revoke_access('regress_schedule_admin');
DROP ROLE regress_schedule_owner, regress_schedule_member, regress_schedule_other, regress_schedule_admin,
    regress_schedule_monitor, regress_schedule_nobody;
