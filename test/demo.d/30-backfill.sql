\set ECHO none
ALTER TABLE users DROP COLUMN IF EXISTS phone_number;
ALTER TABLE venue_visits DROP COLUMN IF EXISTS duration;
\set ECHO queries
\echo '== Backfill'
\echo '   A new column is to be filled in 1,200,000 rows, while the application works.'
\echo '   One UPDATE would hold its row locks to the end; this commits every batch.'
\echo
ALTER TABLE venue_visits ADD COLUMN duration interval;
CALL dbops.batched_backfill('venue_visits', 'duration = left_at - visit_date', 'duration IS NULL');
