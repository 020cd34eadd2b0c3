-- Comes last, when every area has declared its functions.

GRANT SELECT ON dbops.function_access TO pg_monitor;
SELECT dbops.grant_access('pg_monitor', 'monitor');
