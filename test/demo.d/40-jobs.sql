\set ECHO none
SET client_min_messages = warning;
SELECT dbops.unschedule(name) FROM dbops.policies() WHERE kind = 'schedule' \g (format=unaligned tuples_only=on) /dev/null
ALTER TABLE venue_visits DROP COLUMN IF EXISTS visit_year;
DROP INDEX IF EXISTS venue_visits_2023_visit_year_idx;
RESET client_min_messages;
\set ECHO queries
\echo '== Jobs'
\echo
\echo '   The same work in the background: the call returns at once with the id of a job.'
\echo
ALTER TABLE venue_visits ADD COLUMN visit_year integer;

SELECT dbops.start_backfill('venue_visits', 'visit_year = extract(year FROM visit_date)', 'visit_year IS NULL') AS backfill
\gset
\echo
\echo '   The session that started it may leave. Another one looks how far it is:'
\echo
\set ECHO none
\connect -
SELECT pg_sleep(3) \g /dev/null
\set ECHO queries
SELECT id, name, state, percent, row_count, time_left, waiting FROM dbops.jobs() WHERE id = :backfill;

\echo
\echo '   It can be paused and goes on where it was; the same holds for a crash of the server.'
\echo
SELECT dbops.pause_job(:backfill);
CALL dbops.wait_job(:backfill);
SELECT state, percent, waiting FROM dbops.jobs() WHERE id = :backfill;

SELECT dbops.resume_job(:backfill);
CALL dbops.wait_job(:backfill);
SELECT dbops.job_status(:backfill) -> 'result' AS result;

\echo
\echo '   Any SQL can be a job, also what no transaction block takes. What cannot be one is'
\echo '   refused when it is submitted.'
\echo
SELECT dbops.enqueue('VACUUM (ANALYZE) venue_visits') AS vacuum
\gset
CALL dbops.wait_job(:vacuum);

\set ON_ERROR_STOP off
SELECT dbops.enqueue('DELETE FROM reviews WHERE rating < 1; VACUUM reviews');
\set ON_ERROR_STOP on

\echo
\echo '   And it can recur, in a time zone, within a maintenance window:'
\echo
SELECT dbops.schedule('nightly analyze', '30 2 * * mon-fri', 'ANALYZE', time_zone => 'Europe/Berlin', time_window => 'mon-fri 01:00-05:00');

SELECT * FROM dbops.next_runs('nightly analyze', 3);

SELECT name, schedule, time_zone, next_run, last_state FROM dbops.policies();
