-- pause_jobs and resume_jobs of a database and of the cluster, as gates() and
-- with it the jobs see them. Time is set instead of waited for; restarts are in
-- test/t/gates.pl.
\set VERBOSITY terse
SET timezone = 'UTC';
SET dbops.test_now = 1800000000;
CREATE VIEW pause AS SELECT closed, replace(detail, 'by ' || current_user, 'by me') AS detail FROM dbops.gates() WHERE gate = 'pause';

-- a database, until somebody resumes it
SELECT dbops.resume_jobs() AS was_paused;
SELECT dbops.pause_jobs('moving house');
SELECT * FROM pause;
SELECT paused_at, paused_until, reason FROM dbops.pause;
SELECT dbops.resume_jobs() AS was_paused;
SELECT * FROM pause;

-- for a while
SELECT dbops.pause_jobs(reason => 'lunch', until => to_timestamp(1800003600));
SELECT * FROM pause;
SET dbops.test_now = 1800003599;
SELECT * FROM pause;
SET dbops.test_now = 1800003600;
SELECT * FROM pause;
SET dbops.test_now = 1800000000;

-- the last call counts, and one that is rolled back does not
SELECT dbops.pause_jobs('first');
SELECT dbops.pause_jobs('second', 'infinity');
BEGIN;
SELECT dbops.pause_jobs('third');
ROLLBACK;
SELECT detail FROM pause;
BEGIN;
SELECT dbops.resume_jobs();
ROLLBACK;
SELECT detail FROM pause;
SELECT count(*) FROM dbops.pause;

-- the cluster, at COMMIT
BEGIN;
SELECT dbops.pause_jobs('all of them', whole_cluster => true);
SELECT detail FROM pause;
COMMIT;
SELECT detail FROM pause;

-- one does not end the other
SELECT dbops.resume_jobs() AS was_paused;
SELECT detail FROM pause;
SELECT dbops.pause_jobs('below');
SELECT dbops.resume_jobs(whole_cluster => true) AS was_paused;
SELECT dbops.resume_jobs(whole_cluster => true) AS was_paused;
SELECT detail FROM pause;
SELECT dbops.resume_jobs() AS was_paused;

-- what is rolled back leaves nothing, neither in memory nor on disk
BEGIN;
SELECT dbops.pause_jobs('never', whole_cluster => true);
ROLLBACK;
BEGIN;
SELECT dbops.pause_jobs('kept', whole_cluster => true);
SAVEPOINT s;
SELECT dbops.pause_jobs('forgotten', whole_cluster => true);
ROLLBACK TO s;
COMMIT;
SELECT detail FROM pause;
SELECT pg_ls_dir AS files FROM pg_ls_dir('pg_stat_tmp') WHERE pg_ls_dir LIKE 'dbops%';
BEGIN;
SELECT dbops.resume_jobs(true);
SELECT dbops.pause_jobs('in order', whole_cluster => true);
COMMIT;
SELECT detail FROM pause;
BEGIN;
SELECT dbops.pause_jobs('on and', whole_cluster => true);
SELECT dbops.resume_jobs(true);
COMMIT;
SELECT detail FROM pause;
SELECT pg_ls_dir AS files FROM pg_ls_dir('pg_stat_tmp') WHERE pg_ls_dir LIKE 'dbops%';

-- a cluster's pause ends by itself too
SELECT dbops.pause_jobs('short', to_timestamp(1800000060), true);
SELECT detail FROM pause;
SET dbops.test_now = 1800000060;
SELECT detail FROM pause;
SELECT dbops.resume_jobs(true);
SET dbops.test_now = 1800000000;

-- a reason from a database with another encoding stays readable
SELECT dbops.pause_jobs(U&'caf\00e9 is open', whole_cluster => true);
SELECT current_database() AS home \gset
CREATE DATABASE regress_pause TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C';
\c regress_pause
CREATE EXTENSION dbops;
SELECT substr(detail, strpos(detail, 'caf')) AS reason FROM dbops.gates() WHERE gate = 'pause';
\c :home
DROP DATABASE regress_pause;
SELECT dbops.resume_jobs(true);

-- bad input
SELECT dbops.pause_jobs(NULL);
SELECT dbops.pause_jobs(E' \n\t');
SELECT dbops.pause_jobs(repeat('x', 256));
SELECT dbops.pause_jobs('late', 'yesterday');
SELECT dbops.pause_jobs('late', '-infinity');
SELECT dbops.pause_jobs('which', NULL, NULL);
SELECT dbops.resume_jobs(NULL);
SELECT * FROM pause;

-- the longest reason, and one of several lines
SELECT dbops.pause_jobs(repeat('x', 255), whole_cluster => true);
SELECT length(substr(detail, strpos(detail, 'x'))) FROM pause;
SELECT dbops.pause_jobs(E'two\nlines', whole_cluster => true);
SELECT detail LIKE E'%: two\nlines' AS kept FROM pause;
SELECT dbops.resume_jobs(true);

DROP VIEW pause;
