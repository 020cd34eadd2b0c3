-- Comes last, when every area has declared its functions.

SELECT dbops.grant_access('pg_monitor', 'monitor');
