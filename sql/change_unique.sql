-- rename_column() and change_type(): of a unique column the new one is unique in the end, and no write fails because of it before.
\set VERBOSITY terse
SET dbops.progress_interval = 0;
SET client_min_messages = warning;
TRUNCATE dbops.column_change RESTART IDENTITY;
CREATE SCHEMA alone;
SET search_path = alone;
CREATE TABLE d (id int PRIMARY KEY, v int UNIQUE DEFERRABLE INITIALLY DEFERRED, t text, CONSTRAINT d_t UNIQUE (t));
CREATE UNIQUE INDEX d_lower ON d (lower(t)) WHERE id > 0;
INSERT INTO d SELECT g, g, g FROM generate_series(1, 5) g;
CALL dbops.rename_column('d', 'v', 'w');
CALL dbops.rename_column('d', 't', 'u');
SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 'd'::regclass ORDER BY 1;
UPDATE d SET v = v + 1;
UPDATE d SET w = w + 1;
INSERT INTO d (id, v, t) VALUES (6, 10, '6') ON CONFLICT (t) DO NOTHING;
INSERT INTO d (id, v, u) VALUES (7, 11, '6') ON CONFLICT ON CONSTRAINT d_t DO UPDATE SET w = 12 RETURNING id, v;
SET client_min_messages = notice;
\set VERBOSITY default
CALL dbops.finish_change(1, dry_run => true);
CALL dbops.finish_change(2, dry_run => true);
\set VERBOSITY terse
SET client_min_messages = warning;
-- Cut off: an index that is built, and one that is not valid.
CREATE UNIQUE INDEX d_v_key_dbops_new ON d (w);
CREATE UNIQUE INDEX d_lower_dbops_new ON d (lower(u)) WHERE id > 0;
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'd_lower_dbops_new'::regclass;
CALL dbops.finish_change(1);
CALL dbops.finish_change(1);
CALL dbops.finish_change(2);
\d d
UPDATE d SET w = w + 1;
INSERT INTO d (id, w, u) VALUES (8, 14, '6') ON CONFLICT (u) DO UPDATE SET w = 20 RETURNING id, w;

-- Values that differ and are the same in the new type: those that are there are told first, those that come later in the end.
CREATE TABLE lossy (id int PRIMARY KEY, v text UNIQUE);
INSERT INTO lossy VALUES (1, '1'), (2, '01');
SET client_min_messages = notice;
\set VERBOSITY default
CALL dbops.change_type('lossy', 'v', 'int', 'v::int', dry_run => true);
\set VERBOSITY terse
SET client_min_messages = warning;
CALL dbops.change_type('lossy', 'v', 'int', 'v::int');
DELETE FROM lossy WHERE id = 2;
INSERT INTO lossy VALUES (4, NULL), (5, NULL);
CALL dbops.change_type('lossy', 'v', 'int', 'v::int');
INSERT INTO lossy VALUES (2, '01');
CALL dbops.finish_change(3);
SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 'lossy'::regclass ORDER BY 1;
INSERT INTO lossy VALUES (3, '001');
DELETE FROM lossy WHERE id IN (2, 3);
CALL dbops.finish_change(3);
\d lossy

-- What columns have in common is copied for one of them at a time.
CREATE TABLE shared (id int, a int, b int, c int, d int, e int, CHECK (a < b)) PARTITION BY RANGE (id);
CREATE TABLE shared_1 PARTITION OF shared FOR VALUES FROM (0) TO (10);
CREATE INDEX shared_ac ON shared (a, c);
CREATE INDEX shared_ad ON shared_1 ((a + d));
INSERT INTO shared VALUES (1, 1, 2, 3, 4, 5);
CALL dbops.rename_column('shared', 'a', 'x');
\set VERBOSITY default
CALL dbops.rename_column('shared', 'b', 'y');
\set VERBOSITY terse
CALL dbops.change_type('shared', 'c', 'bigint');
CALL dbops.rename_column('shared', 'd', 'y');
CALL dbops.rename_column('shared', 'e', 'y');
CALL dbops.finish_change(4);
CALL dbops.rename_column('shared', 'b', 'z');
CALL dbops.finish_change(5);
CALL dbops.finish_change(6);
\d shared_1

DROP SCHEMA alone CASCADE;
TRUNCATE dbops.column_change RESTART IDENTITY;
