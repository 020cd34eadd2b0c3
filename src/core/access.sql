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

SELECT dbops.grant_access('pg_monitor', 'monitor');
