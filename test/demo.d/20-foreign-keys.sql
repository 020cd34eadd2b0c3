\set ECHO none
SET client_min_messages = warning;
DROP INDEX IF EXISTS reviews_venue_id_idx;
RESET client_min_messages;
\set ECHO queries
\echo '== Foreign keys without an index'
\echo '   Deleting a venue must look for its reviews: without an index it reads all'
\echo '   of them, once per deleted venue. Which foreign keys would do so?'
\echo
SELECT table_name, columns, create_index FROM dbops.find_unindexed_fkeys();
