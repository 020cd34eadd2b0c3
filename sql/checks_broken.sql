-- A check that fails, for whatever reason, is unknown and says why; all others are
-- judged. What breaks here is a function that a check calls, in the place of that
-- of pg_stat_statements, and then the stack, of which some checks need more than
-- others.
\set VERBOSITY terse
CREATE EXTENSION pg_stat_statements;
ALTER EXTENSION pg_stat_statements DROP VIEW pg_stat_statements;
DROP VIEW pg_stat_statements;
ALTER EXTENSION pg_stat_statements DROP FUNCTION pg_stat_statements(boolean);
DROP FUNCTION pg_stat_statements(boolean);
CREATE FUNCTION pg_stat_statements(showtext boolean) RETURNS SETOF pg_class LANGUAGE c AS '$libdir/dbops', 'dbops_publish_overrides';
ALTER EXTENSION pg_stat_statements ADD FUNCTION pg_stat_statements(boolean);
SET dbops.health_max_age = 0;
SELECT severity, message, remedy FROM dbops.health_checks() WHERE check_name = 'statements.slow';
SELECT check_name FROM dbops.check_list() EXCEPT SELECT check_name FROM dbops.health_checks();
SELECT check_name, message FROM dbops.health_checks() WHERE message LIKE 'could not be judged%' AND check_name <> 'statements.slow';
SELECT h->'slow_queries' AS slow_queries, jsonb_typeof(h->'active_connections') AS active_connections, jsonb_typeof(h->'database_size_mb') AS database_size_mb,
       h->>'status' <> '' AS status, dbops.health_public()->>'status' <> '' AS public FROM dbops.system_health_check() h;
DROP EXTENSION pg_stat_statements;

-- near the end of the stack what needs more of it is unknown, and what needs less is told: on the way down there are calls in which
-- some checks have failed for want of it and most have not, and never is one missing
SET max_stack_depth = '200kB';
CREATE FUNCTION pg_temp.deep(level int, OUT checks bigint, OUT failed bigint, OUT told bigint) LANGUAGE plpgsql AS $$
BEGIN
    IF level > 0 THEN
        SELECT d.checks, d.failed, d.told INTO checks, failed, told FROM pg_temp.deep(level - 1) d;
    ELSE
        SELECT count(DISTINCT check_name), count(*) FILTER (WHERE message LIKE 'could not be judged: stack depth limit exceeded%'), count(*) FILTER (WHERE severity = 'ok')
          INTO checks, failed, told FROM dbops.health_checks();
    END IF;
END $$;
CREATE FUNCTION pg_temp.deepest(OUT none_is_missing boolean, OUT some_failed boolean) LANGUAGE plpgsql AS $$
DECLARE
    all_checks CONSTANT bigint := (SELECT count(*) FROM dbops.check_list());
    found record;
BEGIN
    none_is_missing := true; some_failed := false;
    FOR level IN 0 .. 1000 LOOP
        BEGIN
            SELECT * INTO found FROM pg_temp.deep(level);
        EXCEPTION WHEN statement_too_complex THEN
            RETURN;
        END;
        none_is_missing := none_is_missing AND found.checks = all_checks;
        some_failed := some_failed OR (found.failed > 0 AND found.told > found.failed);
    END LOOP;
END $$;
SELECT * FROM pg_temp.deepest();
