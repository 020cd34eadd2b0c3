-- Who may apply migrations, as whom their texts run, and whose a project is.
\set VERBOSITY terse
CREATE ROLE regress_migration_owner;
CREATE ROLE regress_migration_member IN ROLE regress_migration_owner;
CREATE ROLE regress_migration_other;
CREATE ROLE regress_migration_monitor IN ROLE pg_monitor;
SELECT dbops.grant_access('regress_migration_owner', 'operator');
SELECT dbops.grant_access('regress_migration_other', 'operator');
CREATE SCHEMA migration_owned AUTHORIZATION regress_migration_owner;
CREATE SCHEMA migration_others AUTHORIZATION regress_migration_other;

-- operators may, and run as themselves
SET ROLE regress_migration_monitor;
SELECT state FROM dbops.apply_migration('001', 'SELECT 1', project => 'owned');
SET ROLE regress_migration_owner;
SELECT state FROM dbops.apply_migration('001', 'CREATE TABLE migration_owned.t AS SELECT current_user AS made_by', 'SELECT 1', project => 'owned');
SELECT made_by FROM migration_owned.t;
SELECT state FROM dbops.apply_migration('002', 'CREATE TABLE migration_others.t (id integer)', project => 'owned');
SELECT state FROM dbops.apply_migration('002', 'SELECT FROM dbops.migration', project => 'owned');
SELECT state FROM dbops.apply_migration('002', 'UPDATE dbops.migration_event SET reason = NULL', project => 'owned');
SELECT * FROM dbops.migration;
SELECT * FROM dbops.migration_step;
SELECT * FROM dbops.migration_event;
SELECT state FROM dbops.apply_migration('002', $$SELECT set_config('role', 'none', false); CREATE TABLE migration_others.t (id integer)$$, project => 'owned');
SET dbops.environment = 'dev';
RESET ROLE;

-- a project is theirs who have begun it, and their members'
SET ROLE regress_migration_other;
\set VERBOSITY default
SELECT state FROM dbops.apply_migration('001', 'CREATE TABLE migration_owned.t AS SELECT current_user AS made_by', project => 'owned');
\set VERBOSITY terse
SELECT state FROM dbops.apply_migration('002', 'SELECT 1', project => 'owned');
SELECT state FROM dbops.apply_migration('001', 'SELECT 1', project => 'others');
SET ROLE regress_migration_member;
SELECT state FROM dbops.apply_migration('002', 'SELECT 1', project => 'owned');
SELECT state FROM dbops.apply_migration('002', 'SELECT 1', project => 'others');

-- a down text is stored only by whom it is run as later
SELECT state FROM dbops.apply_migration('001', 'CREATE TABLE migration_owned.t AS SELECT current_user AS made_by', 'SELECT 2', project => 'owned');
RESET ROLE;
SELECT version, owner, down_sql FROM dbops.migration WHERE project = 'owned' ORDER BY version;

-- it stays theirs when the first version is applied anew by a member, and superusers may
SET ROLE regress_migration_owner;
SELECT state FROM dbops.rollback_migration('001', 'owned');
RESET ROLE;
SET ROLE regress_migration_member;
SELECT state FROM dbops.rollback_migration('002', 'owned');
SELECT state FROM dbops.apply_migration('002', 'SELECT 1', 'SELECT 1', project => 'owned');
SELECT state FROM dbops.rollback_migration('002', 'owned');
SET ROLE regress_migration_owner;
SELECT state FROM dbops.rollback_migration('001', 'owned');
RESET ROLE;
SET ROLE regress_migration_member;
SELECT state FROM dbops.apply_migration('001', 'SELECT 3', project => 'owned');
SET ROLE regress_migration_owner;
SELECT state FROM dbops.apply_migration('003', 'SELECT 1', project => 'owned');
RESET ROLE;
SELECT state FROM dbops.apply_migration('004', 'SELECT 1', project => 'owned');

-- the role is gone
DROP OWNED BY regress_migration_other;
SELECT dbops.revoke_access('regress_migration_owner');
DROP OWNED BY regress_migration_owner CASCADE;
DROP ROLE regress_migration_owner, regress_migration_other;
SELECT dbops.grant_access('regress_migration_member', 'operator');
SET ROLE regress_migration_member;
SELECT state FROM dbops.apply_migration('005', 'SELECT 1', project => 'owned');
RESET ROLE;
SELECT state FROM dbops.apply_migration('005', 'SELECT 1', project => 'owned');

DROP OWNED BY regress_migration_member, regress_migration_monitor;
DROP ROLE regress_migration_member, regress_migration_monitor;
