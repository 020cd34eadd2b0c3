-- Comes last, when every area has declared its functions and tables.

DO $$
DECLARE
    guarded regclass;
BEGIN
    FOREACH guarded IN ARRAY ARRAY[
        'dbops.alert_function', 'dbops.function_access', 'dbops.hold', 'dbops.instance', 'dbops.job', 'dbops.job_request',
        'dbops.migration', 'dbops.migration_step', 'dbops.policy', 'dbops.schedule']::regclass[]
    LOOP
        EXECUTE pg_catalog.format(
            'CREATE TRIGGER keep_rows BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s EXECUTE FUNCTION dbops.keep_rows()', guarded);
        EXECUTE pg_catalog.format('ALTER TABLE %s ENABLE ALWAYS TRIGGER keep_rows', guarded);
    END LOOP;
END
$$;

-- What default privileges gave to others on tables of whoever installs is taken back.
DO $$
DECLARE
    given record;
BEGIN
    FOR given IN
        SELECT DISTINCT pg_catalog.format(
                   'REVOKE ALL ON %s %s FROM %s CASCADE', CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.oid::regclass,
                   CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END) AS back
          FROM pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) a
         WHERE c.relnamespace = 'dbops'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'S') AND a.grantee <> c.relowner
    LOOP
        EXECUTE given.back;
    END LOOP;
END
$$;

SELECT dbops.grant_access('pg_monitor', 'monitor');
