\set ECHO none
SET client_min_messages = warning;
SET timezone = 'UTC';
\o /dev/null
-- As it was: no policies and holds, rows that were archived or dropped, no
-- partitions beyond the next month, and an index half empty.
SELECT format('SELECT dbops.remove_%s(%L)', CASE WHEN kind IN ('vacuum', 'reindex') THEN kind || '_policy' ELSE kind END, relation)
  FROM dbops.policy WHERE relation IS NOT NULL \gexec
SELECT format('SELECT dbops.remove_%s_policy()', kind) FROM dbops.policy WHERE relation IS NULL \gexec
SELECT dbops.release_hold(id) FROM dbops.holds() WHERE released_at IS NULL;
DELETE FROM dbops.maintenance_log;
CREATE TABLE IF NOT EXISTS reviews_archive (LIKE reviews);
INSERT INTO reviews SELECT * FROM reviews_archive;
TRUNCATE reviews_archive;
CREATE UNLOGGED TABLE IF NOT EXISTS history_before AS
SELECT * FROM user_preferences_history WHERE changed_at < now() - interval '1 year';
SELECT format('CREATE TABLE IF NOT EXISTS %I PARTITION OF user_preferences_history FOR VALUES FROM (%L) TO (%L)',
              'user_preferences_history' || to_char(month, '_YYYY_MM'), month, month + interval '1 month')
  FROM generate_series((SELECT date_trunc('month', min(changed_at)) FROM history_before),
                       date_trunc('month', now()), interval '1 month') AS month
\gexec
INSERT INTO user_preferences_history SELECT * FROM history_before
 WHERE NOT EXISTS (SELECT FROM user_preferences_history WHERE changed_at < now() - interval '395 days');
SELECT format('ALTER TABLE venue_visits DETACH PARTITION %1$s; DROP TABLE %1$s', inhrelid::regclass) FROM pg_inherits
 WHERE inhparent = 'venue_visits'::regclass AND inhrelid::regclass::text > 'venue_visits' || to_char(now() + interval '1 month', '_YYYY_MM') \gexec
SELECT ddl FROM unnest(ARRAY['ALTER INDEX users_email_key SET (fillfactor = 50)', 'REINDEX INDEX users_email_key',
                             'ALTER INDEX users_email_key RESET (fillfactor)']) ddl
 WHERE pg_relation_size('users_email_key') < 3500000 \gexec
ANALYZE reviews, reviews_archive, history_before, user_preferences_history;
\o
RESET client_min_messages;
\set ECHO queries
\echo '== Maintenance'
\echo
\echo '   Preferences are kept for a year. What would be done, before anything happens:'
\echo
SELECT step, method, object, row_count, duration, risk, remedy FROM dbops.retention_plan('user_preferences_history', 'changed_at', '1 year');

\echo '   So much at once is done only when somebody confirms it:'
\echo
SELECT dbops.set_retention('user_preferences_history', 'changed_at', '1 year', time_window => '01:00-05:00');
CALL dbops.run_retention('user_preferences_history', confirm => true);

\echo
\echo '   Visits older than a year could go too, but not those that reviews refer to:'
\echo
SELECT method, count(*), sum(row_count) AS rows, pg_size_pretty(sum(bytes)) AS size, sum(duration) AS duration, min(risk) AS risk
  FROM dbops.retention_plan('venue_visits', 'visit_date', '1 year') GROUP BY method ORDER BY min(step);

\echo '   Soft-deleted reviews go into an archive after 30 days, but for those of a venue in a dispute:'
\echo
SELECT dbops.place_hold('reviews', 'venue_id < 100', 'dispute 2026/17') AS hold;
SELECT dbops.set_retention('reviews', 'deleted_at', '30 days', archive_to => 'reviews_archive');
CALL dbops.run_retention('reviews');
SELECT count(*) AS archived FROM reviews_archive;
SELECT table_name, keep, oldest, backlog_rows, holds, last_state FROM dbops.retention_status();

\echo '   Partitions exist before they are needed; those that are there are adopted as they are:'
\echo
SELECT dbops.set_partitioning('venue_visits');
CALL dbops.run_partitioning('venue_visits');
SELECT parent, every, partitions, newest, runway, missing, default_rows FROM dbops.partition_status();

\echo '   Which indexes are worth a rebuild? A sample of their pages tells, with its 95 percent interval:'
\echo
SELECT index_name, pg_size_pretty(size_bytes) AS size, bloat_percent, low_percent, high_percent, pg_size_pretty(wasted_bytes) AS wasted, pages_read
  FROM dbops.find_bloated_indexes(30, row_limit => 3);

SELECT dbops.start_reindex(index_name) AS rebuild FROM dbops.find_bloated_indexes(30, row_limit => 1)
\gset
CALL dbops.wait_job(:rebuild);
SELECT index_name, pg_size_pretty(bytes_before) AS before, pg_size_pretty(bytes_after) AS after, duration FROM dbops.reindex_history() LIMIT 1;

\echo '   What autovacuum leaves is looked for every hour, and what was done, won or left out is in one place:'
\echo
SELECT dbops.set_vacuum_policy(time_window => '01:00-05:00');
SELECT table_name, statement, reason, due FROM dbops.vacuum_candidates() LIMIT 3;
SELECT kind, object, action, outcome, row_count, pg_size_pretty(bytes_won) AS won, message FROM dbops.maintenance_report() ORDER BY last_at;
