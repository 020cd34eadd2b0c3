\set ECHO none
SET client_min_messages = warning;
ALTER TABLE venue_visits DROP COLUMN IF EXISTS duration;
RESET client_min_messages;
\set ECHO queries
\echo '== Backfill'
\echo
\echo '   A new column is to be filled in 1,200,000 visits while the application goes on.'
\echo '   This commits batch after batch and never holds a row for long.'
\echo
ALTER TABLE venue_visits ADD COLUMN duration interval;

CALL dbops.batched_backfill('venue_visits', 'duration = left_at - visit_date', 'duration IS NULL');

\echo
\echo '   Who forgot to check out has no left_at, so their duration stays NULL. A loop'
\echo '   that goes on until no row is NULL would never end; this one ended, and said why.'
\echo '   Give those visits a value too, and the column can be NOT NULL.'
\echo
CALL dbops.batched_backfill('venue_visits', 'duration = coalesce(left_at - visit_date, interval ''0'')', 'duration IS NULL');

ALTER TABLE venue_visits ALTER COLUMN duration SET NOT NULL;

\echo
\echo '   In block order a row can be met twice. Where that would change it again, rows'
\echo '   are visited in the order of their key, each once, also after a crash:'
\echo
CALL dbops.batched_backfill('pgbench_accounts', 'abalance = abalance * 1.1', 'abalance > 0');
