\set ECHO none
SET client_min_messages = warning;
SELECT format('SELECT dbops.rollback_migration(%L)', version) FROM dbops.migration_status() WHERE state = 'applied' AND reversible ORDER BY version DESC \gexec (format=unaligned tuples_only=on) /dev/null
CALL dbops.wait_job(0);
RESET client_min_messages;
\set ECHO queries
