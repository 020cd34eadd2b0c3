\set ECHO none
SET client_min_messages = warning;
\o /dev/null
ALTER TABLE venues DROP COLUMN IF EXISTS emergency_phone;
DROP INDEX IF EXISTS venues_by_hand;
SELECT dbops.accept_drift('the scene begins');
\o
RESET client_min_messages;
\set ECHO queries
\echo '== Drift'
\echo
\echo '   At night somebody helps himself, past the migrations:'
\echo
SET application_name = 'psql at 3 in the morning';
ALTER TABLE venues ADD COLUMN emergency_phone text;
CREATE INDEX venues_by_hand ON venues (emergency_phone);
RESET application_name;

\echo
\echo '   In the morning it is known what is not as migrations have left it, and who did that.'
\echo
SELECT change, kind, object, role_name, application_name, statement FROM dbops.schema_drift();

\echo
\echo '   What is meant is accepted, with a reason that stays in the record.'
\echo
SELECT dbops.accept_drift('incident 4711: the hotline needs it', 'public.venues');
SELECT command, objects, statement FROM dbops.ddl_history(since => now() - interval '1 minute') ORDER BY at DESC LIMIT 3;
SELECT count(*) AS drift FROM dbops.schema_drift();
