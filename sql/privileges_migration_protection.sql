-- Who may ask whether there is a way back, and that nobody's look-alikes are
-- called when somebody does.
\set VERBOSITY terse
CREATE ROLE regress_protection_nobody;
CREATE ROLE regress_protection_monitor;
CREATE ROLE regress_protection_operator;
SELECT dbops.grant_access('regress_protection_monitor', 'monitor');
SELECT dbops.grant_access('regress_protection_operator', 'operator');
SELECT string_agg(check_name || coalesce(object, ''), ',' ORDER BY check_name, object) AS superuser FROM dbops.before_migration() \gset

SET ROLE regress_protection_nobody;
SELECT * FROM dbops.before_migration();
RESET ROLE;
GRANT USAGE ON SCHEMA dbops TO regress_protection_nobody;
SET ROLE regress_protection_nobody;
SELECT * FROM dbops.before_migration();
RESET ROLE;
REVOKE USAGE ON SCHEMA dbops FROM regress_protection_nobody;

-- it makes a restore point, so it is no report
SET ROLE regress_protection_monitor;
SELECT * FROM dbops.before_migration();

-- an operator makes one here only, and sees what a superuser sees
SET ROLE regress_protection_operator;
SELECT pg_create_restore_point('no');
SELECT severity FROM dbops.before_migration() WHERE check_name = 'restore_point';
SELECT string_agg(check_name || coalesce(object, ''), ',' ORDER BY check_name, object) = :'superuser' AS same FROM dbops.before_migration();

-- what is asked of migrations is no user's to say
SET dbops.require_protection = off;
RESET ROLE;

-- look-alikes first in the path are not called
CREATE SCHEMA hostile;
CREATE FUNCTION hostile.pg_size_pretty(bigint) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'called the look-alike as %', current_user; END $$;
CREATE FUNCTION hostile.pg_prepared_xact() RETURNS TABLE (gid text, prepared timestamptz) LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'called the look-alike as %', current_user; END $$;
SET search_path = hostile, pg_catalog;
SELECT severity FROM dbops.before_migration() WHERE check_name = 'restore_point';
RESET search_path;
DROP SCHEMA hostile CASCADE;

SELECT dbops.revoke_access('regress_protection_monitor');
SELECT dbops.revoke_access('regress_protection_operator');
DROP ROLE regress_protection_nobody, regress_protection_monitor, regress_protection_operator;
