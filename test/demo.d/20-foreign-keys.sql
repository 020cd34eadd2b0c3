\set ECHO none
SET client_min_messages = warning;
DROP INDEX IF EXISTS reviews_venue_id_idx, reviews_visit_id_visit_date_idx, venue_visits_venue_id_idx;
RESET client_min_messages;
\set ECHO queries
\echo '== Foreign keys without an index'
\echo
\echo '   To delete a venue, the server looks for its visits and its reviews. This venue'
\echo '   has none, and yet it takes long; the triggers say where:'
\echo
BEGIN;
EXPLAIN (ANALYZE, COSTS OFF) DELETE FROM venues WHERE id = 8001;
ROLLBACK;

\echo
\echo '   Which foreign keys are looked up without an index that serves them?'
\echo
SELECT table_name, columns, severity, reason FROM dbops.find_unindexed_fkeys();

\echo '   Each comes with the statements that help. They do not block the application, and'
\echo '   run as they are, here by \\gexec of psql:'
\echo
SELECT create_index FROM dbops.find_unindexed_fkeys() WHERE table_name = 'reviews'::regclass \gexec

\echo
\echo '   For a partitioned table they are one a line, of which these are the first:'
\echo
SELECT line FROM dbops.find_unindexed_fkeys(), regexp_split_to_table(create_index, '\n') AS line
 WHERE table_name = 'venue_visits'::regclass LIMIT 3;

\echo '   All of them are run now; and then the same deletion again, and the same question.'
\echo
\set ECHO none
SELECT line FROM dbops.find_unindexed_fkeys(), regexp_split_to_table(create_index, '\n') AS line
 WHERE table_name = 'venue_visits'::regclass \gexec
\set ECHO queries
BEGIN;
EXPLAIN (ANALYZE, COSTS OFF) DELETE FROM venues WHERE id = 8001;
ROLLBACK;

SELECT table_name, columns, severity, reason FROM dbops.find_unindexed_fkeys();
