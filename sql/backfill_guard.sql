-- What applications do to keys while a backfill by key is under way: here it
-- stands still at a row that fails, so that rows are before and behind it. At
-- the end every row that was there has n = 1, and every row that came n = 0.
-- The same with transactions that overlap is in test/specs/backfill_exact.spec.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE ROLE regress_guard_writer;
CREATE TABLE regress_guard (id integer PRIMARY KEY, n integer NOT NULL DEFAULT 0, bad boolean NOT NULL DEFAULT false, what text);
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON regress_guard TO regress_guard_writer;
INSERT INTO regress_guard SELECT i * 10 FROM generate_series(1, 100) i;
UPDATE regress_guard SET bad = true WHERE id = 500;
CALL dbops.batched_backfill('regress_guard', 'n = n + 1 / (NOT bad)::integer', batch_size => 8);
SELECT n, count(*), min(id), max(id) FROM regress_guard GROUP BY n ORDER BY n;

-- a writer who has rights on nothing of dbops
SET ROLE regress_guard_writer;
-- before its turn to where the pass has been, beyond the bound, and about; and back
UPDATE regress_guard SET id = 15, what = 'to the done' WHERE id = 800;
UPDATE regress_guard SET id = 99999, what = 'beyond' WHERE id = 810;
UPDATE regress_guard SET id = 825, what = 'nearby' WHERE id = 820;
UPDATE regress_guard SET id = 25, what = 'there and back' WHERE id = 830;
UPDATE regress_guard SET id = 830 WHERE id = 25;
UPDATE regress_guard SET id = 35, what = 'there and elsewhere' WHERE id = 840;
UPDATE regress_guard SET id = 845 WHERE id = 35;
-- after its turn to where the pass is still to come, and back again
UPDATE regress_guard SET id = 855, what = 'done, ahead' WHERE id = 100;
UPDATE regress_guard SET id = 865, what = 'done, ahead and back' WHERE id = 110;
UPDATE regress_guard SET id = 110 WHERE id = 865;
UPDATE regress_guard SET id = 99998, what = 'done, beyond' WHERE id = 120;
UPDATE regress_guard SET id = 875, what = 'done, beyond, ahead' WHERE id = 130;
-- rows change places
UPDATE regress_guard SET id = -1 WHERE id = 200;
UPDATE regress_guard SET id = 200, what = 'swapped' WHERE id = 900;
UPDATE regress_guard SET id = 900, what = 'swapped' WHERE id = -1;
-- many at once, each to where the one before it was
CREATE TEMP TABLE shifted AS SELECT id FROM regress_guard WHERE id BETWEEN 480 AND 520;
UPDATE regress_guard SET id = id + 100000 WHERE id IN (SELECT id FROM shifted) AND NOT bad;
UPDATE regress_guard SET id = id - 100000 + 1, what = 'shifted' WHERE id > 100000;
-- rows that come: before, ahead, beyond, in the place of one that is gone
INSERT INTO regress_guard (id, what) VALUES (16, 'new'), (705, 'new'), (100001, 'new'), (0, 'new');
DELETE FROM regress_guard WHERE id IN (50, 710, 99999);
INSERT INTO regress_guard (id, what) VALUES (50, 'new'), (710, 'new'), (99999, 'new');
-- new, and moved before and with the same command
WITH came AS (INSERT INTO regress_guard (id, what) VALUES (715, 'new') RETURNING id) SELECT count(*) FROM came;
UPDATE regress_guard SET id = 716 WHERE id = 715;
BEGIN;
INSERT INTO regress_guard (id, what) VALUES (725, 'new');
UPDATE regress_guard SET id = 726 WHERE id = 725;
UPDATE regress_guard SET id = 727 WHERE id = 726;
COMMIT;
-- ON CONFLICT, with one that is there and one that is not
INSERT INTO regress_guard (id, what) VALUES (730, 'conflict') ON CONFLICT DO NOTHING;
INSERT INTO regress_guard (id, what) VALUES (740, 'conflict') ON CONFLICT (id) DO UPDATE SET what = EXCLUDED.what;
INSERT INTO regress_guard (id, what) VALUES (741, 'new') ON CONFLICT (id) DO UPDATE SET what = EXCLUDED.what;
INSERT INTO regress_guard (id, what) VALUES (750, 'conflict') ON CONFLICT (id) DO UPDATE SET id = 5, what = EXCLUDED.what;
MERGE INTO regress_guard g USING (VALUES (760), (761)) v (id) ON g.id = v.id
  WHEN MATCHED THEN UPDATE SET id = 765, what = 'merged' WHEN NOT MATCHED THEN INSERT (id, what) VALUES (v.id, 'new');
-- undone in part and whole
BEGIN;
UPDATE regress_guard SET what = 'kept' WHERE id = 770;
SAVEPOINT a;
UPDATE regress_guard SET id = 6 WHERE id = 770;
INSERT INTO regress_guard (id, what) VALUES (771, 'new');
ROLLBACK TO a;
UPDATE regress_guard SET id = 7, what = 'kept' WHERE id = 780;
COMMIT;
BEGIN;
UPDATE regress_guard SET id = 8 WHERE id = 790;
ROLLBACK;
-- at the levels that keep one snapshot
BEGIN ISOLATION LEVEL REPEATABLE READ;
UPDATE regress_guard SET id = 9, what = 'repeatable' WHERE id = 600;
INSERT INTO regress_guard (id, what) VALUES (605, 'new');
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
UPDATE regress_guard SET id = 11, what = 'serializable' WHERE id = 610;
COMMIT;
DROP TABLE shifted;
RESET ROLE;
-- by replication, which fires no other triggers
SET session_replication_role = replica;
UPDATE regress_guard SET id = 12, what = 'replica' WHERE id = 620;
INSERT INTO regress_guard (id, what) VALUES (625, 'new');
RESET session_replication_role;
-- a trigger that has its own mind about the key and about what is inserted
CREATE FUNCTION regress_guard_mind() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.what = 'suppressed' THEN RETURN NULL; END IF;
    IF NEW.what = 'other key' THEN NEW.id = NEW.id + 3; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER zzz BEFORE INSERT OR UPDATE ON regress_guard FOR EACH ROW EXECUTE FUNCTION regress_guard_mind();
UPDATE regress_guard SET id = 13, what = 'suppressed' WHERE id = 630;
UPDATE regress_guard SET what = 'other key' WHERE id = 640;
UPDATE regress_guard SET id = 14, what = 'other key' WHERE id = 650;
INSERT INTO regress_guard (id, what) VALUES (660, 'suppressed');
DROP TRIGGER zzz ON regress_guard;
DROP FUNCTION regress_guard_mind;

UPDATE regress_guard SET bad = false;
CALL dbops.batched_backfill('regress_guard', 'n = n + 1 / (NOT bad)::integer', batch_size => 8);
SELECT what IS NOT DISTINCT FROM 'new' AS new, n, count(*) FROM regress_guard GROUP BY 1, 2 ORDER BY 1, 2;
SELECT * FROM regress_guard WHERE n <> (what IS DISTINCT FROM 'new')::integer;
SELECT state, result ->> 'rows' AS rows FROM dbops.job WHERE name = 'regress_guard';

-- TRUNCATE tells the trigger of no row: notes about those that are gone do no harm
TRUNCATE regress_guard;
INSERT INTO regress_guard SELECT i * 10 FROM generate_series(1, 100) i;
UPDATE regress_guard SET bad = true WHERE id = 500;
CALL dbops.batched_backfill('regress_guard', 'n = n + 1 / (NOT bad)::integer', batch_size => 8);
UPDATE regress_guard SET id = 15 WHERE id = 800;
UPDATE regress_guard SET id = 5000 WHERE id = 810;
UPDATE regress_guard SET id = 825 WHERE id = 100;
TRUNCATE regress_guard;
INSERT INTO regress_guard (id, what) SELECT i * 5, 'new' FROM generate_series(1, 1000) i;
CALL dbops.batched_backfill('regress_guard', 'n = n + 1 / (NOT bad)::integer', batch_size => 8);
SELECT n, count(*) FROM regress_guard GROUP BY n;
SELECT count(*) FROM dbops.backfill_note;

-- Partitions: rows move between them, to one that comes later, and out of the table
CREATE TABLE regress_moves (id integer, place integer, n integer NOT NULL DEFAULT 0, bad boolean NOT NULL DEFAULT false, what text,
    PRIMARY KEY (id, place)) PARTITION BY LIST (place);
CREATE TABLE regress_moves_1 PARTITION OF regress_moves FOR VALUES IN (1);
CREATE TABLE regress_moves_2 (what text, bad boolean NOT NULL DEFAULT false, place integer NOT NULL, n integer NOT NULL DEFAULT 0, id integer NOT NULL);
ALTER TABLE regress_moves ATTACH PARTITION regress_moves_2 FOR VALUES IN (2);
INSERT INTO regress_moves SELECT i, i % 2 + 1 FROM generate_series(1, 200) i;
UPDATE regress_moves SET bad = true WHERE id = 101;
CALL dbops.batched_backfill('regress_moves', 'n = n + 1 / (NOT bad)::integer', batch_size => 8);
SELECT tableoid::regclass, n, count(*) FROM regress_moves WHERE NOT bad GROUP BY 1, 2 ORDER BY 1, 2;
-- done and not done, either way
UPDATE regress_moves SET place = 2, what = 'moved' WHERE place = 1 AND id % 4 = 0;
UPDATE regress_moves SET place = 1, what = 'moved' WHERE place = 2 AND id % 4 = 1 AND NOT bad;
UPDATE regress_moves SET id = id + 1000, place = 3 - place, what = 'moved' WHERE id % 4 = 2;
CREATE TABLE regress_moves_3 PARTITION OF regress_moves FOR VALUES IN (3);
UPDATE regress_moves SET place = 3, what = 'to the new one' WHERE id % 10 = 3 AND NOT bad;
UPDATE regress_moves SET id = id + 2000, what = 'about in the new one' WHERE place = 3 AND id > 100;
INSERT INTO regress_moves (id, place, what) VALUES (3000, 3, 'new'), (151, 1, 'new'), (154, 2, 'new');
-- a move that a trigger of the other partition stops
CREATE FUNCTION regress_moves_stop() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.what = 'stopped' THEN RETURN NULL; END IF; RETURN NEW; END $$;
CREATE TRIGGER stop BEFORE INSERT ON regress_moves_3 FOR EACH ROW EXECUTE FUNCTION regress_moves_stop();
UPDATE regress_moves SET place = 3, what = 'stopped' WHERE id = 7;
INSERT INTO regress_moves (id, place, what) VALUES (7, 1, 'new');
-- the table of a row that is noted is detached, or dropped
CREATE TABLE regress_moves_4 PARTITION OF regress_moves FOR VALUES IN (4);
CREATE TABLE regress_moves_5 PARTITION OF regress_moves FOR VALUES IN (5);
UPDATE regress_moves SET place = 4, what = 'detached' WHERE id = 199;
UPDATE regress_moves SET place = 5, what = 'dropped' WHERE id = 195;
ALTER TABLE regress_moves DETACH PARTITION regress_moves_4;
DROP TABLE regress_moves_5;
UPDATE regress_moves SET bad = false WHERE bad;
CALL dbops.batched_backfill('regress_moves', 'n = n + 1 / (NOT bad)::integer', batch_size => 8);
SELECT what IS NOT DISTINCT FROM 'new' AS new, n, count(*) FROM regress_moves GROUP BY 1, 2 ORDER BY 1, 2;
SELECT n, what FROM regress_moves_4;
SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'dbops%';
SELECT count(*) FROM dbops.backfill_note;

-- tables that come with rows: nobody knows whether those have been changed, so
-- they are left alone, and the end says so
CREATE TABLE regress_comes (id integer, place integer, n integer NOT NULL DEFAULT 0, bad boolean NOT NULL DEFAULT false,
    PRIMARY KEY (id, place)) PARTITION BY LIST (place);
CREATE TABLE regress_comes_1 PARTITION OF regress_comes FOR VALUES IN (1);
INSERT INTO regress_comes SELECT i, 1, 0, i = 50 FROM generate_series(1, 100) i;
CREATE TABLE regress_comes_2 (LIKE regress_comes INCLUDING ALL);
INSERT INTO regress_comes_2 SELECT i, 2 FROM generate_series(1, 10) i;
CALL dbops.batched_backfill('regress_comes', 'n = n + 1 / (NOT bad)::integer', batch_size => 8);
ALTER TABLE regress_comes ATTACH PARTITION regress_comes_2 FOR VALUES IN (2);
CREATE TABLE regress_comes_3 PARTITION OF regress_comes FOR VALUES IN (3);
UPDATE regress_comes SET place = 2 WHERE id IN (20, 90);
UPDATE regress_comes SET bad = false;
CALL dbops.batched_backfill('regress_comes', 'n = n + 1 / (NOT bad)::integer', batch_size => 8);
SELECT tableoid::regclass, n, count(*) FROM regress_comes GROUP BY 1, 2 ORDER BY 1, 2;
SELECT state, message, result ->> 'reason' = message AS reason, result ->> 'meanwhile' AS meanwhile FROM dbops.job WHERE name = 'regress_comes';
-- an inheritance child, older than its parent and so before it in the order of the tables
CREATE TABLE regress_child (id integer PRIMARY KEY, n integer NOT NULL DEFAULT 0, bad boolean NOT NULL DEFAULT false);
CREATE TABLE regress_parent (id integer PRIMARY KEY, n integer NOT NULL DEFAULT 0, bad boolean NOT NULL DEFAULT false);
INSERT INTO regress_child SELECT generate_series(1, 100);
INSERT INTO regress_parent SELECT i, 0, i = 50 FROM generate_series(1, 100) i;
CALL dbops.batched_backfill('regress_parent', 'n = n + 1 / (NOT bad)::integer', batch_size => 8);
ALTER TABLE regress_child INHERIT regress_parent;
UPDATE regress_parent SET bad = false;
CALL dbops.batched_backfill('regress_parent', 'n = n + 1 / (NOT bad)::integer', batch_size => 8);
SELECT tableoid::regclass, n, count(*) FROM regress_parent GROUP BY 1, 2 ORDER BY 1, 2;
SELECT state, result ->> 'meanwhile' AS meanwhile FROM dbops.job WHERE name = 'regress_parent';
DROP TABLE regress_comes, regress_parent, regress_child;

-- a column of the key that gets another type, after the trigger that forbids it was
-- dropped: its stored values are not read as what they are not
ALTER SEQUENCE dbops.job_id_seq RESTART WITH 92001;
CREATE TABLE regress_retyped (id bigint PRIMARY KEY, n integer NOT NULL, bad boolean);
INSERT INTO regress_retyped SELECT i, 0, i = 50 FROM generate_series(1, 100) i;
CALL dbops.batched_backfill('regress_retyped', 'n = n + 1 / (NOT bad)::integer', batch_size => 8);
ALTER TABLE regress_retyped ALTER id TYPE text;
DROP TRIGGER dbops_exactkey_92001 ON regress_retyped;
ALTER TABLE regress_retyped ALTER id TYPE text;
INSERT INTO regress_retyped VALUES ('new', 0, false);
UPDATE regress_retyped SET id = 'other' WHERE id = '99';
CALL dbops.run_job(92001);
SELECT dbops.cancel_job(92001);
SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'dbops%';

-- columns of the clauses that are changed: what has been is said, not what a statement
-- says of it; and the backfill goes on when they are as they were
CREATE TABLE regress_columns (id bigint PRIMARY KEY, n integer NOT NULL, bad boolean);
INSERT INTO regress_columns SELECT i, 0, i = 50 FROM generate_series(1, 100) i;
CALL dbops.batched_backfill('regress_columns', 'n = n + 1 / (NOT bad)::integer', batch_size => 8);
UPDATE regress_columns SET bad = false;
ALTER TABLE regress_columns RENAME bad TO worse;
SELECT id AS job FROM dbops.jobs() WHERE name = 'regress_columns' \gset
SELECT dbops.resume_job(:job);
CALL dbops.wait_job(:job);
SELECT regexp_replace(message, '\d+ stays', 'N stays') AS message FROM dbops.jobs() WHERE id = :job;
ALTER TABLE regress_columns RENAME worse TO bad;
ALTER TABLE regress_columns ALTER n TYPE text;
CALL dbops.run_job(:job);
ALTER TABLE regress_columns ALTER n TYPE integer USING n::integer;
CALL dbops.run_job(:job);
SELECT n, count(*) FROM regress_columns GROUP BY n;
DROP TABLE regress_columns;

DROP TABLE regress_guard, regress_moves, regress_moves_4, regress_retyped;
DROP FUNCTION regress_moves_stop;
DROP ROLE regress_guard_writer;
DELETE FROM dbops.job;
