-- Who may ask for the server's health, and that nobody's look-alikes are called
-- when somebody does.
\set VERBOSITY terse
CREATE EXTENSION pg_stat_statements;
CREATE ROLE regress_nobody;
CREATE ROLE regress_monitor IN ROLE pg_monitor;
CREATE ROLE regress_granted;
CREATE ROLE regress_hostile;

-- a role with nothing
SET ROLE regress_nobody;
SELECT dbops.system_health_check();
SELECT * FROM dbops.health_checks();
RESET ROLE;
GRANT USAGE ON SCHEMA dbops TO regress_nobody;
SET ROLE regress_nobody;
SELECT dbops.system_health_check();
SELECT * FROM dbops.health_checks();
RESET ROLE;
REVOKE USAGE ON SCHEMA dbops FROM regress_nobody;

-- a member of pg_monitor, and a role that has only been granted dbops, see what
-- a superuser sees
SELECT dbops.grant_access('regress_granted', 'monitor');
SET dbops.health_max_age = 0;
CREATE FUNCTION pg_temp.shape(h jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT md5(string_agg(key || jsonb_typeof(value), ',' ORDER BY key)) ||
           md5(h->>'database_size_mb' || (h->>'active_connections') || (h->>'slow_queries') || (h->'connections'->>'total') ||
               (h->'health'->'xid'->>'stop_age') || (h->'storage'->'wal'->>'total_bytes') || (h->'storage'->>'largest_tables'))
      FROM jsonb_each(h)
$$;
GRANT EXECUTE ON FUNCTION pg_temp.shape(jsonb) TO PUBLIC;
SELECT pg_temp.shape(dbops.system_health_check()) AS superuser \gset
SET ROLE regress_monitor;
SELECT pg_temp.shape(dbops.system_health_check()) = :'superuser' AS same;
SELECT count(*) FILTER (WHERE message LIKE 'could not be judged%') AS failed, count(*) > 15 AS judged FROM dbops.health_checks();
SET ROLE regress_granted;
SELECT pg_temp.shape(dbops.system_health_check()) = :'superuser' AS same;
SELECT count(*) FILTER (WHERE message LIKE 'could not be judged%') AS failed, count(*) > 15 AS judged FROM dbops.health_checks();
RESET ROLE;

-- one who may not call pg_stat_statements gets no figure, and is told
REVOKE EXECUTE ON FUNCTION pg_stat_statements(boolean) FROM PUBLIC;
SET ROLE regress_monitor;
SELECT dbops.system_health_check()->'slow_queries' AS slow_queries;
SELECT severity, message, remedy FROM dbops.health_checks() WHERE check_name = 'statements.slow';
RESET ROLE;
GRANT EXECUTE ON FUNCTION pg_stat_statements(boolean) TO PUBLIC;

-- no text of a statement is shown
SELECT 'regress secret' AS secret;
SELECT dbops.system_health_check(true)::text LIKE '%regress secret%' AS shows_text;

-- look-alikes of all that a careless implementation would call, first in the path
GRANT CREATE ON SCHEMA public TO regress_hostile;
GRANT CREATE ON DATABASE :DBNAME TO regress_hostile;
SET ROLE regress_hostile;
CREATE SCHEMA hostile;
GRANT USAGE ON SCHEMA hostile TO PUBLIC;
CREATE FUNCTION hostile.caught() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'called the look-alike as %', current_user; END $$;
DO $$
DECLARE
    place text;
BEGIN
    FOREACH place IN ARRAY ARRAY['hostile', 'public'] LOOP
        EXECUTE format($f$
            CREATE FUNCTION %1$I.pg_stat_statements(showtext boolean, extra int DEFAULT 0) RETURNS TABLE (calls bigint, total_exec_time float8, mean_exec_time float8)
                LANGUAGE sql AS 'SELECT 1::bigint, 1e6::float8, 1e6::float8 WHERE hostile.caught()';
            CREATE FUNCTION %1$I.pg_prepared_xact() RETURNS TABLE (gid text, prepared timestamptz)
                LANGUAGE sql AS 'SELECT ''x'', now() WHERE hostile.caught()';
            CREATE FUNCTION %1$I.pg_database_size(name) RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint WHERE hostile.caught()';
            CREATE FUNCTION %1$I.round(numeric, int) RETURNS numeric LANGUAGE sql AS 'SELECT 1::numeric WHERE hostile.caught()';
            CREATE FUNCTION %1$I.larger(float8, int) RETURNS boolean LANGUAGE sql AS 'SELECT hostile.caught()';
            CREATE OPERATOR %1$I.> (LEFTARG = float8, RIGHTARG = int, FUNCTION = %1$I.larger);
            CREATE FUNCTION %1$I.same(name, text) RETURNS boolean LANGUAGE sql AS 'SELECT hostile.caught()';
            CREATE OPERATOR %1$I.= (LEFTARG = name, RIGHTARG = text, FUNCTION = %1$I.same);
            CREATE FUNCTION %1$I.get(jsonb, text) RETURNS jsonb LANGUAGE sql AS 'SELECT NULL::jsonb WHERE hostile.caught()';
            CREATE OPERATOR %1$I.-> (LEFTARG = jsonb, RIGHTARG = text, FUNCTION = %1$I.get);
        $f$, place);
    END LOOP;
END
$$;
CREATE FUNCTION hostile.pg_stat_statements(showtext boolean) RETURNS TABLE (calls bigint, total_exec_time float8, mean_exec_time float8)
    LANGUAGE sql AS 'SELECT 1::bigint, 1e6::float8, 1e6::float8 WHERE hostile.caught()';
CREATE VIEW hostile.pg_stat_statements AS SELECT 1::bigint AS calls, 1e6::float8 AS mean_exec_time WHERE hostile.caught();
CREATE VIEW hostile.pg_stat_activity AS SELECT 'active'::text AS state FROM generate_series(1, 99) WHERE hostile.caught();
CREATE VIEW hostile.pg_extension AS SELECT 'pg_stat_statements'::name AS extname WHERE hostile.caught();
RESET ROLE;
BEGIN;
CREATE TABLE prepared_here (id int);
PREPARE TRANSACTION 'regress_observe';
SET search_path = hostile, public, pg_catalog;
CREATE TEMP TABLE answer AS SELECT dbops.system_health_check() AS h, (SELECT pg_catalog.count(*) FROM dbops.health_checks()) AS n;
RESET search_path;
SELECT (h->>'slow_queries')::int >= 0 AS slow_queries, (h->>'active_connections')::int < 50 AS active_connections, n > 15 AS checks FROM answer;
ROLLBACK PREPARED 'regress_observe';

-- without the extension its look-alike still is not called
DROP EXTENSION pg_stat_statements;
SET search_path = hostile, public, pg_catalog;
CREATE TEMP TABLE answer_without AS SELECT dbops.system_health_check() AS h;
RESET search_path;
SELECT h->'slow_queries' AS slow_queries FROM answer_without;

RESET dbops.health_max_age;
SELECT dbops.revoke_access('regress_granted');
DROP OWNED BY regress_hostile;
DROP ROLE regress_nobody, regress_monitor, regress_granted, regress_hostile;
