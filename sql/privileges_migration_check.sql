-- Who may try migrations, and as whom they run.
\set VERBOSITY terse
CREATE ROLE regress_check_owner;
CREATE ROLE regress_check_other;
CREATE ROLE regress_check_monitor IN ROLE pg_monitor;
SELECT dbops.grant_access('regress_check_owner', 'operator');
SELECT dbops.grant_access('regress_check_other', 'operator');
CREATE SCHEMA regress_check_owned AUTHORIZATION regress_check_owner;
SET ROLE regress_check_owner;
CREATE TABLE regress_check_owned.t (id integer);
RESET ROLE;

-- not a monitor
SET ROLE regress_check_monitor;
SELECT * FROM dbops.check_migration('SELECT 1');
SELECT * FROM dbops.check_migration(ARRAY['SELECT 1'], depth => 'plan');

-- as the caller, with the caller's rights
SET ROLE regress_check_other;
SELECT state, message FROM dbops.check_migration('ALTER TABLE regress_check_owned.t ADD COLUMN a integer') WHERE step IS NULL;
SELECT state, message FROM dbops.check_migration('SET ROLE regress_check_owner; ALTER TABLE regress_check_owned.t ADD COLUMN a integer') WHERE step IS NULL;
SELECT state, message FROM dbops.check_migration('SELECT set_config(''role'', ''none'', false); ALTER TABLE regress_check_owned.t ADD COLUMN a integer') WHERE step IS NULL;
SELECT * FROM dbops.check_migration('RESET ROLE');
SELECT state, message FROM dbops.check_migration('UPDATE dbops.migration SET owner = current_user') WHERE step IS NULL;
SELECT current_user;
SET ROLE regress_check_owner;
SELECT state, message FROM dbops.check_migration('ALTER TABLE regress_check_owned.t ADD COLUMN a integer', 'ALTER TABLE regress_check_owned.t DROP COLUMN a') WHERE step IS NULL;

-- a deferred trigger cannot leave the role
SELECT state, message FROM dbops.check_migration('CREATE TABLE regress_check_owned.d (a integer);
CREATE FUNCTION regress_check_owned.leaves() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RESET ROLE; RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER leaves AFTER INSERT ON regress_check_owned.d DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION regress_check_owned.leaves();
INSERT INTO regress_check_owned.d VALUES (1)', 'DROP TABLE regress_check_owned.d') WHERE step IS NULL;
-- a function of a hostile owner is not called with more rights than the caller's
CREATE FUNCTION regress_check_owned.who() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'as %', current_user; RETURN true; END $$;
ALTER TABLE regress_check_owned.t ADD CHECK (regress_check_owned.who());
SELECT state, notices FROM dbops.check_migration('INSERT INTO regress_check_owned.t VALUES (1)');
RESET ROLE;

DROP SCHEMA regress_check_owned CASCADE;
SELECT dbops.revoke_access('regress_check_owner'), dbops.revoke_access('regress_check_other');
DROP ROLE regress_check_owner, regress_check_other, regress_check_monitor;
