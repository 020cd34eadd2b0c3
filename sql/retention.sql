-- Retention of rows, in the foreground: what is deleted, by which ways, and what
-- is not. The time is virtual and years ahead, so that nothing runs by itself.
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET dbops.test_now = 1911772800;	-- 2030-08-01 00:00 UTC
SET dbops.max_xmin_age = -1;	-- the processes of the server live in another time
\set now '''2030-08-01 00:00 UTC''::timestamptz'

-- By key: as much as is old, and not a row more. Infinite times and nulls stay.
CREATE TABLE regress_visit (id integer PRIMARY KEY, visited_at timestamptz, note text);
INSERT INTO regress_visit SELECT i, :now - i * interval '1 day', 'visit' FROM generate_series(0, 399) i;
INSERT INTO regress_visit VALUES (-1, '-infinity'), (-2, 'infinity'), (-3, NULL);
CREATE INDEX ON regress_visit (visited_at);
ANALYZE regress_visit;
SELECT step, method, object, row_count, risk FROM dbops.retention_plan('regress_visit', 'visited_at', '1 year');
SELECT dbops.set_retention('regress_visit', 'visited_at', '1 year');
CALL dbops.run_retention('regress_visit');
SELECT count(*), max(id), count(*) FILTER (WHERE id < 0) AS apart FROM regress_visit;
SELECT table_name, column_name, keep, backlog_rows, last_run, last_success, last_state, stopped_because, holds FROM dbops.retention_status() WHERE table_name = 'regress_visit'::regclass;
SELECT object, action, outcome, message, row_count FROM dbops.maintenance_report(:now - interval '1 day') WHERE object = 'public.regress_visit' ORDER BY 1, 2;
-- nothing is old now
CALL dbops.run_retention('regress_visit');
SELECT message FROM dbops.job WHERE kind = 'retention' ORDER BY id DESC LIMIT 1;
-- months are those of the calendar: in a leap year, on the 31st, and where the day begins in the policy's zone
SET dbops.test_now = 1964217600;	-- 2032-03-30 00:00 UTC
CREATE TABLE regress_day (day date NOT NULL);
INSERT INTO regress_day SELECT '2032-02-01'::date + i FROM generate_series(0, 40) i;
SELECT dbops.set_retention('regress_day', 'day', '1 month', time_zone => 'Pacific/Honolulu', confirm => true);
CALL dbops.run_retention('regress_day');
SELECT min(day), count(*) FROM regress_day;
SET dbops.test_now = 1911772800;

-- By block where there is no index, in the units of an epoch; by places where a value has more rows than a batch.
CREATE TABLE regress_epoch (at bigint, seconds integer);
INSERT INTO regress_epoch SELECT extract(epoch FROM :now - i * interval '1 day') * 1000, extract(epoch FROM :now - i * interval '1 day') FROM generate_series(0, 99) i;
SELECT dbops.set_retention('regress_epoch', 'at', '90 days', epoch_unit => 'milliseconds');
SELECT step, method, row_count FROM dbops.retention_plan('regress_epoch');
CALL dbops.run_retention('regress_epoch');
SELECT count(*), :now - to_timestamp(min(at) / 1000) AS oldest FROM regress_epoch;
SELECT dbops.set_retention('regress_epoch', 'seconds', '80 days');
CALL dbops.run_retention('regress_epoch');
SELECT count(*) FROM regress_epoch;
CREATE TABLE regress_same (day date, n integer);
INSERT INTO regress_same SELECT '2030-08-01'::date - i, j FROM generate_series(0, 39) i, generate_series(1, 1500) j;
CREATE INDEX ON regress_same (day);
ANALYZE regress_same;
SELECT dbops.set_retention('regress_same', 'day', '30 days');
CALL dbops.run_retention('regress_same');
SELECT min(day), count(*) FROM regress_same;

-- Where the table is in another order than the column, and much of it is old, its blocks are fewer than the rows.
CREATE TABLE regress_other_order (at timestamptz, n integer);
INSERT INTO regress_other_order SELECT :now - i * 37 % 5000 * interval '1 hour', i FROM generate_series(1, 5000) i;
CREATE INDEX ON regress_other_order (at);
ANALYZE regress_other_order;
SELECT method, row_count FROM dbops.retention_plan('regress_other_order', 'at', '100 days') LIMIT 1;
SELECT method, row_count FROM dbops.retention_plan('regress_other_order', 'at', '208 days') LIMIT 1;
DROP TABLE regress_other_order;

-- A partial index serves if it has all rows that are meant; soft-deleted rows go after 30 days, errors after 90 if resolved.
CREATE TABLE regress_soft (id integer, deleted_at timestamptz, resolved boolean);
INSERT INTO regress_soft SELECT i, CASE WHEN i % 10 = 0 THEN :now - i * interval '1 day' END, i % 20 = 0 FROM generate_series(1, 1000) i;
ANALYZE regress_soft;
CREATE INDEX regress_soft_deleted ON regress_soft (deleted_at) WHERE deleted_at IS NOT NULL;
SELECT method, row_count FROM dbops.retention_plan('regress_soft', 'deleted_at', '30 days');
SELECT dbops.set_retention('regress_soft', 'deleted_at', '90 days', filter => 'resolved');
SELECT method, row_count FROM dbops.retention_plan('regress_soft');
DROP INDEX regress_soft_deleted;
CREATE INDEX regress_soft_resolved ON regress_soft (deleted_at) WHERE resolved;
SELECT method, row_count FROM dbops.retention_plan('regress_soft');
SELECT method FROM dbops.retention_plan('regress_soft', 'deleted_at', '90 days') LIMIT 1;
CALL dbops.run_retention('regress_soft');
SELECT count(*) FILTER (WHERE deleted_at < :now - interval '90 days') AS old, count(*) FILTER (WHERE deleted_at < :now - interval '90 days' AND resolved) AS resolved FROM regress_soft;

-- Archived in the same statement: columns by name, in any order; identities and generated columns.
CREATE TABLE regress_log (id integer GENERATED ALWAYS AS IDENTITY, at timestamptz, "odd ""name" text, double_id integer GENERATED ALWAYS AS (3) STORED);
INSERT INTO regress_log (at, "odd ""name") SELECT :now - i * interval '1 day', 'log ' || i FROM generate_series(0, 99) i;
CREATE TABLE regress_archive ("odd ""name" text, double_id integer, archived boolean DEFAULT true, at timestamptz, id integer GENERATED ALWAYS AS IDENTITY);
SELECT dbops.set_retention('regress_log', 'at', '80 days', archive_to => 'regress_archive');
CALL dbops.run_retention('regress_log');
SELECT count(*) FROM regress_log;
SELECT count(*), min(id), max(id), bool_and(archived), min(double_id), max("odd ""name") FROM regress_archive;
-- what the archive could not hold is refused with each run, and so is an archive that leaves rows out
SET dbops.test_now = 1912377600;	-- a week later
ALTER TABLE regress_log ADD COLUMN place text;
CALL dbops.run_retention('regress_log', confirm => true);
ALTER TABLE regress_archive ADD COLUMN place text;
CREATE FUNCTION regress_leave_out() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN CASE WHEN NEW.id % 2 = 0 THEN NEW END; END $$;
CREATE TRIGGER leave_out BEFORE INSERT ON regress_archive FOR EACH ROW EXECUTE FUNCTION regress_leave_out();
CALL dbops.run_retention('regress_log', confirm => true);
SELECT (SELECT count(*) FROM regress_log) AS rows, (SELECT count(*) FROM regress_archive) AS archived;
DROP TRIGGER leave_out ON regress_archive;
CALL dbops.run_retention('regress_log', confirm => true);
SELECT (SELECT count(*) FROM regress_log) AS rows, (SELECT count(*) FROM regress_archive) AS archived;
SET dbops.test_now = 1911772800;

-- Holds: rows for which the predicate is true stay; where it is null they do not.
CREATE TABLE regress_held (id integer PRIMARY KEY, at timestamptz, customer integer);
INSERT INTO regress_held SELECT i, :now - i * interval '1 day', nullif(i % 4, 0) FROM generate_series(1, 100) i;
SELECT dbops.place_hold('regress_held', 'customer = 1', 'case 17', :now + interval '1 day') AS hold \gset
SELECT dbops.set_retention('regress_held', 'at', '50 days', confirm => true);
SELECT method, row_count, risk FROM dbops.retention_plan('regress_held');
CALL dbops.run_retention('regress_held');
SELECT customer, count(*), max(id) FROM regress_held GROUP BY 1 ORDER BY 1;
SELECT message FROM dbops.job WHERE kind = 'retention' ORDER BY id DESC LIMIT 1;
SELECT holds FROM dbops.retention_status() WHERE table_name = 'regress_held'::regclass;
SELECT table_name, predicate, reason, in_force, placed_at, until FROM dbops.holds() WHERE id = :hold;
SELECT dbops.release_hold(:hold, 'closed');
\set VERBOSITY sqlstate
SELECT dbops.release_hold(:hold);
\set VERBOSITY default
SELECT in_force, released_at, release_reason FROM dbops.holds() WHERE id = :hold;
CALL dbops.run_retention('regress_held', confirm => true);
SELECT count(*) FROM regress_held;

-- Foreign keys: one without an index is refused; rows that are referred to stay, rows that go with others do.
CREATE TABLE regress_parent (id integer PRIMARY KEY, at timestamptz);
CREATE TABLE regress_child (id integer PRIMARY KEY, "the parent" integer CONSTRAINT regress_child_parent REFERENCES regress_parent);
CREATE TABLE regress_grandchild (child integer REFERENCES regress_child ON DELETE CASCADE);
CREATE INDEX ON regress_grandchild (child);
INSERT INTO regress_parent SELECT i, :now - i * interval '1 day' FROM generate_series(1, 100) i;
INSERT INTO regress_child SELECT i, 100 - i FROM generate_series(0, 4) i;
INSERT INTO regress_grandchild SELECT i FROM generate_series(0, 4) i;
SELECT dbops.set_retention('regress_parent', 'at', '90 days');
SELECT method, row_count, risk, remedy FROM dbops.retention_plan('regress_parent', 'at', '90 days');
CREATE INDEX ON regress_child ("the parent");
SELECT dbops.set_retention('regress_parent', 'at', '90 days');
CALL dbops.run_retention('regress_parent');
SELECT count(*), count(*) FILTER (WHERE id > 90) AS kept FROM regress_parent;
SELECT message FROM dbops.job WHERE kind = 'retention' ORDER BY id DESC LIMIT 1;
ALTER TABLE regress_child DROP CONSTRAINT regress_child_parent, ADD CONSTRAINT regress_child_parent FOREIGN KEY ("the parent") REFERENCES regress_parent ON DELETE CASCADE;
ANALYZE regress_child;
SELECT method, object, risk FROM dbops.retention_plan('regress_parent');
-- a hold on a row that would go with others keeps these
SELECT dbops.place_hold('regress_grandchild', 'child = 2', 'kept') > 0 AS placed;
CALL dbops.run_retention('regress_parent', confirm => true);
SELECT p.id, c.id AS child, g.child AS grandchild FROM regress_parent p LEFT JOIN regress_child c ON c."the parent" = p.id LEFT JOIN regress_grandchild g ON g.child = c.id WHERE p.id > 90;

-- A row that refers to another one of its own table
CREATE TABLE regress_tree (id integer PRIMARY KEY, at timestamptz, up integer REFERENCES regress_tree);
CREATE INDEX ON regress_tree (up);
INSERT INTO regress_tree SELECT i, :now - (100 - i) * interval '1 day', nullif(i - 1, 0) FROM generate_series(1, 99) i;
SELECT dbops.set_retention('regress_tree', 'at', '98 days');
CALL dbops.run_retention('regress_tree');
SELECT count(*), min(id) FROM regress_tree;
-- goes when that one has gone, in the same run
INSERT INTO regress_tree SELECT i, :now - i * interval '1 day', nullif(i - 1, 199) FROM generate_series(200, 209) i;
SELECT method, row_count, risk FROM dbops.retention_plan('regress_tree');
CALL dbops.run_retention('regress_tree');
SELECT count(*), max(id) FROM regress_tree;
SELECT message FROM dbops.job WHERE kind = 'retention' ORDER BY id DESC LIMIT 1;
-- but not more of them than may go at once before that is confirmed, and none that a hold is on
INSERT INTO regress_tree SELECT i, :now - i * interval '1 day', nullif(i + 1, 260) FROM generate_series(200, 259) i;
SELECT dbops.place_hold('regress_tree', 'id = 205', 'case') AS hold \gset
CALL dbops.run_retention('regress_tree');
SELECT min(id), max(id) FROM regress_tree WHERE id >= 200;
SELECT dbops.release_hold(:hold);
CALL dbops.run_retention('regress_tree');
SELECT count(*) AS old FROM regress_tree WHERE id >= 200;
SELECT message FROM dbops.job WHERE kind = 'retention' ORDER BY id DESC LIMIT 1;
SELECT stopped_because FROM dbops.retention_status() WHERE table_name = 'regress_tree'::regclass;
CALL dbops.run_retention('regress_tree', confirm => true);
SELECT count(*), max(id) FROM regress_tree;

-- Partitions whose rows refer to others of the same table: level by level as well.
CREATE TABLE regress_forest (id integer PRIMARY KEY, at timestamptz, up integer) PARTITION BY RANGE (id);
CREATE TABLE regress_forest_1 PARTITION OF regress_forest DEFAULT;
ALTER TABLE regress_forest ADD FOREIGN KEY (up) REFERENCES regress_forest;
CREATE INDEX ON regress_forest (up);
INSERT INTO regress_forest SELECT i, :now - (100 - i) * interval '1 day', CASE WHEN i > 90 THEN NULL ELSE nullif(i - 1, 0) END FROM generate_series(1, 99) i;
UPDATE regress_forest SET at = :now - interval '60 days' WHERE id BETWEEN 40 AND 90;
SELECT dbops.set_retention('regress_forest', 'at', '59 days', confirm => true);
SELECT method, row_count FROM dbops.retention_plan('regress_forest') WHERE method !~ 'confirm';
CALL dbops.run_retention('regress_forest');
SELECT count(*), min(id), max(id) FROM regress_forest;
SELECT message FROM dbops.job WHERE kind = 'retention' ORDER BY id DESC LIMIT 1;
DROP TABLE regress_forest;

-- max_duration ends a run early, and says so; the next one goes on.
CREATE TABLE regress_many (at timestamptz, n integer);
INSERT INTO regress_many SELECT :now - i * interval '1 minute', i FROM generate_series(1, 5000) i;
CREATE INDEX ON regress_many (at);
ANALYZE regress_many;
SELECT dbops.set_retention('regress_many', 'at', '1 hour', confirm => true);
CALL dbops.run_retention('regress_many', max_duration => '1 microsecond');
SELECT backlog_rows > 0 AS backlog, last_success IS NULL AS no_success, stopped_because FROM dbops.retention_status() WHERE table_name = 'regress_many'::regclass;
CALL dbops.run_retention('regress_many');
SELECT backlog_rows, last_success = last_run AS success, stopped_because FROM dbops.retention_status() WHERE table_name = 'regress_many'::regclass;
SELECT max(n) FROM regress_many;

-- Plain inheritance: the rows of the children are the table's.
CREATE TABLE regress_above (at timestamptz, n integer);
CREATE TABLE regress_below () INHERITS (regress_above);
INSERT INTO regress_above SELECT :now - i * interval '1 day', i FROM generate_series(1, 20) i;
INSERT INTO regress_below SELECT :now - i * interval '1 day', i FROM generate_series(1, 20) i;
-- and a hold on the table is on those too
SELECT dbops.place_hold('regress_above', 'n = 20', 'kept') > 0 AS placed;
SELECT dbops.set_retention('regress_above', 'at', '16 days');
CALL dbops.run_retention('regress_above');
SELECT tableoid::regclass, count(*) FROM regress_above GROUP BY 1 ORDER BY 1;

-- A foreign key that comes later and has no index stops a run before anything is counted by it, also further down.
CREATE TABLE regress_top (id integer PRIMARY KEY, at timestamptz);
INSERT INTO regress_top SELECT i, :now - i * interval '1 day' FROM generate_series(1, 100) i;
SELECT dbops.set_retention('regress_top', 'at', '90 days');
CREATE TABLE regress_middle (id integer PRIMARY KEY, top integer REFERENCES regress_top ON DELETE CASCADE);
CREATE INDEX ON regress_middle (top);
INSERT INTO regress_middle SELECT id, id FROM regress_top;
CREATE TABLE regress_bottom (middle integer REFERENCES regress_middle);
INSERT INTO regress_bottom VALUES (99);
SELECT method, object, row_count, risk, remedy FROM dbops.retention_plan('regress_top');
CALL dbops.run_retention('regress_top');
CREATE INDEX ON regress_bottom (middle);
CALL dbops.run_retention('regress_top');
SELECT count(*), max(id) FROM regress_top;

-- A row that takes longer than a batch may is deleted alone, and the others of its block without it, by block and by key.
CREATE TABLE regress_slow (at timestamptz, id integer);
INSERT INTO regress_slow SELECT :now - i * interval '1 day', i FROM generate_series(1, 100) i;
CREATE FUNCTION regress_slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.05); RETURN OLD; END';
CREATE TRIGGER regress_slow BEFORE DELETE ON regress_slow FOR EACH ROW WHEN (OLD.id % 10 = 5) EXECUTE FUNCTION regress_slow();
SET dbops.backfill_batch_time = 1;
SELECT dbops.set_retention('regress_slow', 'at', '90 days');
CALL dbops.run_retention('regress_slow');
CREATE INDEX ON regress_slow (at);
ANALYZE regress_slow;
SELECT dbops.set_retention('regress_slow', 'at', '80 days', confirm => true);
SELECT method, row_count FROM dbops.retention_plan('regress_slow') LIMIT 1;
CALL dbops.run_retention('regress_slow');
RESET dbops.backfill_batch_time;
SELECT message FROM dbops.job WHERE kind = 'retention' ORDER BY id DESC LIMIT 2;
SELECT count(*), max(id) FROM regress_slow;

-- A foreign key of the archive is no row that refers: the run fails and says why.
CREATE TABLE regress_source (id integer, at timestamptz);
INSERT INTO regress_source SELECT i, :now - i * interval '1 day' FROM generate_series(1, 100) i;
CREATE TABLE regress_target (LIKE regress_source, FOREIGN KEY (id) REFERENCES regress_top);
SELECT dbops.set_retention('regress_source', 'at', '90 days', archive_to => 'regress_target');
CALL dbops.run_retention('regress_source');
SELECT (SELECT count(*) FROM regress_source), (SELECT count(*) FROM regress_target);

SELECT kind, name, command FROM dbops.policies() WHERE kind = 'retention' AND name LIKE '%soft';
SELECT dbops.remove_retention('regress_soft');
SELECT dbops.remove_retention('regress_soft');
SELECT severity, regexp_replace(message, '\d+', 'N') FROM dbops.health_checks() WHERE check_name = 'retention.backlog';

-- three runs in a row that have left more than the one before; nothing but what is remembered is looked at
UPDATE dbops.policy SET memory = memory || '{"left": [7, 10, 20, 30]}' WHERE relation = 'regress_visit'::regclass;
SELECT severity, object, message FROM dbops.health_checks() WHERE check_name = 'retention.backlog';
UPDATE dbops.policy SET memory = memory || '{"left": [7, 10, 20, 20]}' WHERE relation = 'regress_visit'::regclass;
SELECT severity, object FROM dbops.health_checks() WHERE check_name = 'retention.backlog';

DROP TABLE regress_visit, regress_day, regress_epoch, regress_same, regress_soft, regress_log, regress_archive, regress_held,
  regress_parent, regress_child, regress_grandchild, regress_tree, regress_many, regress_above, regress_below,
  regress_top, regress_middle, regress_bottom, regress_slow, regress_source, regress_target;
DROP FUNCTION regress_leave_out(), regress_slow();
SELECT count(*) >= 0 FROM dbops.run_maintenance();
