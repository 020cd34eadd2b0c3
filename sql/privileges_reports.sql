-- Who may call the reports, that a role with the level monitor sees as much as a
-- superuser but no texts of statements, and that nobody's look-alikes are called.
\set VERBOSITY terse
CREATE EXTENSION pg_stat_statements;
CREATE ROLE regress_nobody;
CREATE ROLE regress_monitor IN ROLE pg_monitor;
CREATE ROLE regress_granted;
CREATE ROLE regress_hostile;
SELECT dbops.grant_access('regress_granted', 'monitor');
GRANT USAGE ON SCHEMA dbops TO regress_nobody;

-- a role with nothing
SET ROLE regress_nobody;
SELECT * FROM dbops.connections();
SELECT * FROM dbops.blocking_sessions();
SELECT * FROM dbops.replication_status();
SELECT * FROM dbops.disk_usage();
SELECT * FROM dbops.largest_relations();
SELECT * FROM dbops.slow_queries();
SELECT dbops.sample_statements();
SELECT dbops.measure_sizes();
SELECT * FROM dbops.statement_text;
SELECT * FROM dbops.statement_1h;
SELECT * FROM dbops.relation_1d;
RESET ROLE;
REVOKE USAGE ON SCHEMA dbops FROM regress_nobody;

-- members of pg_monitor see texts
SET ROLE regress_monitor;
SELECT bool_and(query IS NOT NULL) AS texts FROM dbops.connections() WHERE pid = pg_backend_pid();
SELECT count(*) > 0 AS rows, bool_or(query IS NOT NULL) AS texts FROM dbops.slow_queries();
SELECT dbops.sample_statements();
-- others see everything else
SET ROLE regress_granted;
SELECT state, role_name IS NOT NULL AS role, query_id IS NOT NULL AS query_id, query FROM dbops.connections() WHERE pid = pg_backend_pid();
SELECT count(*) > 0 AS rows, bool_or(query IS NOT NULL) AS texts, bool_and(query_id IS NOT NULL) AS ids FROM dbops.slow_queries();
SELECT count(*) > 0 AS rows FROM dbops.disk_usage();
SELECT count(*) > 0 AS rows FROM dbops.largest_relations();
SELECT count(*) FROM dbops.replication_status();
SELECT count(*) FROM dbops.blocking_sessions() WHERE database_name = current_database();
RESET ROLE;

-- look-alikes first in the path
GRANT CREATE ON DATABASE :DBNAME TO regress_hostile;
SET ROLE regress_hostile;
CREATE SCHEMA hostile;
GRANT USAGE ON SCHEMA hostile TO PUBLIC;
CREATE FUNCTION hostile.caught() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'called the look-alike as %', current_user; END $$;
CREATE FUNCTION hostile.host(inet) RETURNS text LANGUAGE sql AS 'SELECT ''x''::text WHERE hostile.caught()';
CREATE FUNCTION hostile.pg_stat_get_activity(int) RETURNS TABLE (pid int) LANGUAGE sql AS 'SELECT 1 WHERE hostile.caught()';
CREATE FUNCTION hostile.pg_stat_statements(showtext boolean) RETURNS TABLE (calls bigint) LANGUAGE sql AS 'SELECT 1::bigint WHERE hostile.caught()';
CREATE FUNCTION hostile.pg_stat_statements_info() RETURNS TABLE (stats_reset timestamptz) LANGUAGE sql AS 'SELECT now() WHERE hostile.caught()';
CREATE FUNCTION hostile.same(oid, oid) RETURNS boolean LANGUAGE sql AS 'SELECT hostile.caught()';
CREATE OPERATOR hostile.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = hostile.same);
RESET ROLE;
SET search_path = hostile, public, pg_catalog;
CREATE TEMP TABLE answers AS
    SELECT (SELECT pg_catalog.count(*) FROM dbops.connections()) AS connections, (SELECT pg_catalog.count(*) FROM dbops.blocking_sessions()) AS blocking,
           (SELECT pg_catalog.count(*) FROM dbops.replication_status()) AS replication, (SELECT pg_catalog.count(*) FROM dbops.disk_usage()) AS disks,
           (SELECT pg_catalog.count(*) FROM dbops.largest_relations()) AS largest, (SELECT pg_catalog.count(*) FROM dbops.slow_queries()) AS statements,
           dbops.sample_statements() IS NULL AS sampled, dbops.measure_sizes() IS NULL AS measured;
RESET search_path;
SELECT connections > 0 AS connections, disks > 0 AS disks, largest > 0 AS largest, statements > 0 AS statements FROM answers;

SELECT dbops.revoke_access('regress_granted');
DROP TABLE answers;
DROP OWNED BY regress_hostile;
DROP ROLE regress_nobody, regress_monitor, regress_granted, regress_hostile;
DROP EXTENSION pg_stat_statements;
