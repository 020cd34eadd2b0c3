-- Who may change checks, mute, and begin maintenance mode; that the tables behind
-- it are nobody's; and what a role without any rights is told of the status.
\set VERBOSITY terse
CREATE ROLE regress_nobody;
CREATE ROLE regress_monitor IN ROLE pg_monitor;
CREATE ROLE regress_operator;
CREATE ROLE regress_admin;
CREATE ROLE regress_anonymous;
SELECT dbops.grant_access('regress_operator', 'operator'), dbops.grant_access('regress_admin', 'admin');

-- a role with nothing but the schema
GRANT USAGE ON SCHEMA dbops TO regress_nobody;
SET ROLE regress_nobody;
SELECT dbops.health_public();
SELECT dbops.node_status();
SELECT dbops.set_check('connections.active', 1);
SELECT dbops.reset_check('connections.active');
SELECT dbops.mute_finding('connections.active', 'why', now() + interval '1 hour');
SELECT dbops.unmute_finding('connections.active');
SELECT * FROM dbops.muted_findings();
SELECT dbops.begin_maintenance_mode('why', now() + interval '1 hour');
SELECT dbops.end_maintenance_mode();
SELECT * FROM dbops.check_setting;
SELECT * FROM dbops.muted_finding;
RESET ROLE;
REVOKE USAGE ON SCHEMA dbops FROM regress_nobody;

-- who has all reports reads, and changes nothing
SET ROLE regress_monitor;
SELECT dbops.node_status() IS NOT NULL AS node, dbops.health_public() IS NOT NULL AS public, (SELECT count(*) FROM dbops.muted_findings()) AS muted;
SELECT dbops.set_check('connections.active', 1);
SELECT dbops.mute_finding('connections.active', 'why', now() + interval '1 hour');
SELECT dbops.begin_maintenance_mode('why', now() + interval '1 hour');
SELECT * FROM dbops.check_setting;
RESET ROLE;

-- who was given the level and nothing else, not pg_monitor either, sees as much: nothing is refused within
SELECT dbops.grant_access('regress_nobody', 'monitor');
SET ROLE regress_nobody;
SELECT check_name, message FROM dbops.health_checks() WHERE message LIKE 'could not be judged%' OR message LIKE '%permission%';
SELECT count(DISTINCT check_name) = (SELECT count(*) FROM dbops.check_list()) AS all_checks FROM dbops.health_checks();
SELECT count(*) AS sections FROM jsonb_each(dbops.system_health_check()) WHERE jsonb_typeof(value) = 'object' AND key IN ('connections', 'performance', 'health', 'storage', 'server', 'freshness', 'summary', 'verdict');
RESET ROLE;
SELECT dbops.revoke_access('regress_nobody');

-- who acts mutes and works, and leaves the thresholds
SET ROLE regress_operator;
SELECT dbops.mute_finding('connections.active', 'why', now() + interval '1 hour');
SELECT key, muted_by FROM dbops.muted_findings();
SELECT dbops.unmute_finding('connections.active');
SELECT dbops.begin_maintenance_mode('why', now() + interval '1 hour');
SELECT dbops.end_maintenance_mode();
SELECT dbops.set_check('connections.active', 1);
DELETE FROM dbops.muted_finding;
RESET ROLE;

-- who sets does so by the function only
SET ROLE regress_admin;
SELECT dbops.set_check('connections.active', 1);
UPDATE dbops.check_setting SET warning = 2;
RESET ROLE;
SELECT check_name, set_by FROM dbops.check_setting;
SET ROLE regress_admin;
SELECT dbops.reset_check('connections.active');
RESET ROLE;

-- one call for those whom nobody knows; it sees what others may not, and shows two keys
GRANT USAGE ON SCHEMA dbops TO regress_anonymous;
GRANT EXECUTE ON FUNCTION dbops.health_public() TO regress_anonymous;
CREATE EXTENSION pg_stat_statements;
REVOKE EXECUTE ON FUNCTION pg_stat_statements(boolean) FROM PUBLIC;
SELECT dbops.set_check('statements.slow', 0);
SELECT pg_sleep(1.1);
SET dbops.health_max_age = 0;
SELECT dbops.system_health_check()->'verdict'->'reasons' ? 'statements.slow' AS counts;
SET ROLE regress_anonymous;
SELECT array_agg(key ORDER BY key) AS keys, bool_or(value = '"warning"' OR value = '"critical"') AS not_healthy FROM jsonb_each(dbops.health_public());
SELECT dbops.system_health_check();
RESET ROLE;
RESET dbops.health_max_age;
SELECT dbops.reset_check('statements.slow');
DROP EXTENSION pg_stat_statements;

-- what is in the path is not called
CREATE SCHEMA regress_hostile;
CREATE FUNCTION regress_hostile.caught() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'called the look-alike as %', current_user; END $$;
CREATE FUNCTION regress_hostile.later(timestamptz, timestamptz) RETURNS boolean LANGUAGE sql AS 'SELECT regress_hostile.caught()';
CREATE OPERATOR regress_hostile.> (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = regress_hostile.later);
CREATE OPERATOR regress_hostile.<= (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = regress_hostile.later);
CREATE TABLE regress_hostile.check_setting (LIKE dbops.check_setting);
SET search_path = regress_hostile, pg_catalog;
SELECT dbops.mute_finding('connections.active', 'why', pg_catalog.now() OPERATOR(pg_catalog.+) interval '1 hour');
SELECT key FROM dbops.muted_findings();
SELECT dbops.unmute_finding('connections.active'), dbops.set_check('connections.active', 1), dbops.reset_check('connections.active');
RESET search_path;
DROP SCHEMA regress_hostile CASCADE;

SELECT dbops.revoke_access('regress_operator'), dbops.revoke_access('regress_admin');
DROP OWNED BY regress_anonymous;
DROP ROLE regress_nobody, regress_monitor, regress_operator, regress_admin, regress_anonymous;
