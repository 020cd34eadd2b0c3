-- Gates and their report: what each measures, when it is closed, and that no
-- lock is waited for. Time is set instead of waited for. Standbys and archiving
-- need servers of their own: test/t/gates.pl.
\set VERBOSITY terse

-- nothing is wrong here
SELECT gate, closed, setting, threshold, measured IS NULL AS not_known
  FROM dbops.gates() WHERE gate NOT IN ('free_disk', 'xmin_age');
SELECT setting, threshold FROM dbops.gates() WHERE gate IN ('free_disk', 'xmin_age');

-- what a gate says when nothing is measured
SELECT gate, detail FROM dbops.gates() WHERE gate IN ('replica_lag', 'archive_backlog');

-- an old transaction, unless it is one's own
BEGIN;
CREATE TABLE gates_held (id int);
PREPARE TRANSACTION 'regress''s gate';
SELECT closed FROM dbops.gates() WHERE gate = 'xmin_age';
SELECT set_config('dbops.test_now', (extract(epoch FROM now()) + 3700)::text, false) IS NOT NULL AS an_hour_later;
SELECT closed, detail FROM dbops.gates() WHERE gate = 'xmin_age';

-- a setting moves the threshold, -1 opens the gate
SET dbops.max_xmin_age = '2h';
SELECT closed, threshold FROM dbops.gates() WHERE gate = 'xmin_age';
SELECT set_config('dbops.test_now', (extract(epoch FROM now()) + 7600)::text, false) IS NOT NULL AS two_hours_later;
SELECT closed, threshold FROM dbops.gates() WHERE gate = 'xmin_age';
SET dbops.max_xmin_age = -1;
SELECT closed, threshold FROM dbops.gates() WHERE gate = 'xmin_age';
RESET dbops.max_xmin_age;
ROLLBACK PREPARED 'regress''s gate';
RESET dbops.test_now;

-- a transaction of one's own
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT set_config('dbops.test_now', (extract(epoch FROM now()) + 7600)::text, true) IS NOT NULL AS two_hours_later;
SELECT closed, detail FROM dbops.gates() WHERE gate = 'xmin_age';
ROLLBACK;

-- a share of the disk, and what is plenty
SET dbops.min_free_disk = 100;
SELECT closed = (detail !~ '^\S.* has (\d{3,}|[5-9]\d) GB|TB') AS unless_plenty, threshold, measured LIKE '% percent' AS percent
  FROM dbops.gates() WHERE gate = 'free_disk';
SET dbops.min_free_disk = 0;
SELECT closed, threshold FROM dbops.gates() WHERE gate = 'free_disk';
RESET dbops.min_free_disk;

-- settings have bounds
SET dbops.max_archive_backlog = -2;
SET dbops.max_replica_lag_bytes = 'much';
SET dbops.min_free_disk = 101;
