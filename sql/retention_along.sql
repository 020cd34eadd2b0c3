-- What refers to old rows: how much of it would go along counts for the guard, and where it cannot be changed as the foreign
-- key says the old row stays, and the run goes on. Holds that count for all rows of a table are said.
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET client_min_messages = warning;
SET dbops.test_now = 1911772800;	-- 2030-08-01 00:00 UTC
SET dbops.max_xmin_age = -1;	-- the processes of the server live in another time
CREATE FUNCTION pg_temp.ago(days integer) RETURNS timestamptz IMMUTABLE LANGUAGE sql AS $$SELECT '2030-08-01 00:00 UTC'::timestamptz - days * interval '1 day'$$;
CREATE FUNCTION pg_temp.last_message() RETURNS text LANGUAGE sql AS $$SELECT message FROM dbops.job WHERE kind = 'retention' ORDER BY id DESC LIMIT 1$$;

-- One old row takes most of another table along, and of one that refers to that.
CREATE TABLE regress_along_order (id integer PRIMARY KEY, at timestamptz);
CREATE TABLE regress_along_line (id integer PRIMARY KEY, order_id integer REFERENCES regress_along_order ON DELETE CASCADE);
CREATE INDEX ON regress_along_line (order_id);
CREATE TABLE regress_along_part (n integer, line_id integer REFERENCES regress_along_line ON DELETE CASCADE) PARTITION BY RANGE (n);
CREATE TABLE regress_along_part_1 PARTITION OF regress_along_part FOR VALUES FROM (1) TO (500);
CREATE TABLE regress_along_part_2 PARTITION OF regress_along_part FOR VALUES FROM (500) TO (5000);
CREATE INDEX ON regress_along_part (line_id);
INSERT INTO regress_along_order SELECT i, pg_temp.ago(i) FROM generate_series(1, 100) i;
INSERT INTO regress_along_line SELECT i, CASE WHEN i <= 200 THEN 100 ELSE 1 END FROM generate_series(1, 1000) i;
INSERT INTO regress_along_part SELECT i, CASE WHEN i <= 600 THEN i % 200 + 1 ELSE 1000 END FROM generate_series(1, 1000) i;
SELECT dbops.set_retention('regress_along_order', 'at', '99 days') IS NOT NULL AS set;
SELECT method, object, row_count, risk, remedy FROM dbops.retention_plan('regress_along_order');
CALL dbops.run_retention('regress_along_order');
SELECT (SELECT count(*) FROM regress_along_order) AS orders, (SELECT count(*) FROM regress_along_line) AS lines, (SELECT count(*) FROM regress_along_part) AS parts;
-- what has come since it was shown was not confirmed
INSERT INTO regress_along_part SELECT i, 1 FROM generate_series(1001, 1500) i;
CALL dbops.run_retention('regress_along_order', confirm => true);
SELECT count(*) FROM regress_along_order;
CALL dbops.run_retention('regress_along_order', confirm => true);
SELECT (SELECT count(*) FROM regress_along_order) AS orders, (SELECT count(*) FROM regress_along_line) AS lines, (SELECT count(*) FROM regress_along_part) AS parts;
-- and nothing is confirmed for the next run
SET dbops.test_now = 1911859200;	-- a day later
UPDATE regress_along_line SET order_id = 99 WHERE id <= 900;
CALL dbops.run_retention('regress_along_order');
SET dbops.test_now = 1911772800;
-- a row that is held, or has a policy of its own, does not go along, and is not counted
SELECT dbops.place_hold('regress_along_line', 'order_id = 99', 'case 1') AS hold \gset
SELECT method, object, row_count FROM dbops.retention_plan('regress_along_order', 'at', '98 days');
SELECT dbops.release_hold(:hold);
DROP TABLE regress_along_order, regress_along_line, regress_along_part;

-- What must not be null, or is otherwise refused, keeps the row that it refers to.
CREATE DOMAIN regress_along_some AS integer NOT NULL;
CREATE TABLE regress_along_order (id integer PRIMARY KEY, at timestamptz);
CREATE TABLE regress_along_line (order_id integer NOT NULL REFERENCES regress_along_order ON DELETE SET NULL);
CREATE TABLE regress_along_mark (order_id integer REFERENCES regress_along_order ON DELETE SET NULL, note text, CHECK (order_id IS NOT NULL OR note = 'free'));
CREATE TABLE regress_along_word (order_id integer DEFAULT -1 REFERENCES regress_along_order ON DELETE SET DEFAULT);
CREATE TABLE regress_along_some_of (order_id regress_along_some REFERENCES regress_along_order ON DELETE SET NULL);
CREATE INDEX ON regress_along_line (order_id);
CREATE INDEX ON regress_along_mark (order_id);
CREATE INDEX ON regress_along_word (order_id);
CREATE INDEX ON regress_along_some_of (order_id);
INSERT INTO regress_along_order SELECT i, pg_temp.ago(i) FROM generate_series(1, 400) i;
INSERT INTO regress_along_line VALUES (399), (1);
INSERT INTO regress_along_mark VALUES (398, 'bound'), (397, 'free');
INSERT INTO regress_along_word VALUES (396);
INSERT INTO regress_along_some_of VALUES (395);
SELECT dbops.set_retention('regress_along_order', 'at', '380 days') IS NOT NULL AS set;
SELECT method, object, risk FROM dbops.retention_plan('regress_along_order') WHERE object <> 'public.regress_along_order';
CALL dbops.run_retention('regress_along_order');
SELECT pg_temp.last_message();
SELECT id FROM regress_along_order WHERE id > 380 ORDER BY 1;
SELECT * FROM regress_along_mark ORDER BY 2;
SELECT object, action, outcome, message FROM dbops.maintenance_report('2030-07-31') WHERE object = 'public.regress_along_order' AND outcome = 'skipped' ORDER BY 4;
DROP TABLE regress_along_order, regress_along_line, regress_along_mark, regress_along_word, regress_along_some_of;
DROP DOMAIN regress_along_some;

-- A row that comes to be referred to while it is deleted stays too.
CREATE TABLE regress_along_order (id integer PRIMARY KEY, at timestamptz);
CREATE TABLE regress_along_line (order_id integer REFERENCES regress_along_order ON DELETE RESTRICT);
CREATE INDEX ON regress_along_line (order_id);
INSERT INTO regress_along_order SELECT i, pg_temp.ago(i) FROM generate_series(1, 400) i;
CREATE FUNCTION regress_along_late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO regress_along_line VALUES (OLD.id); RETURN OLD; END $$;
CREATE TRIGGER late BEFORE DELETE ON regress_along_order FOR EACH ROW WHEN (OLD.id = 390) EXECUTE FUNCTION regress_along_late();
SELECT dbops.set_retention('regress_along_order', 'at', '380 days') IS NOT NULL AS set;
CALL dbops.run_retention('regress_along_order');
SELECT pg_temp.last_message();
DROP TABLE regress_along_order, regress_along_line;
DROP FUNCTION regress_along_late();

-- A hold of another role above the table keeps all of its rows: that is said.
CREATE ROLE regress_along_owner;
CREATE ROLE regress_along_other;
CREATE TABLE regress_along_visit (id integer, at timestamptz) PARTITION BY LIST (id);
CREATE TABLE regress_along_visit_1 PARTITION OF regress_along_visit FOR VALUES IN (1);
INSERT INTO regress_along_visit SELECT 1, pg_temp.ago(i) FROM generate_series(1, 100) i;
ALTER TABLE regress_along_visit OWNER TO regress_along_other;
ALTER TABLE regress_along_visit_1 OWNER TO regress_along_owner;
SELECT dbops.place_hold('regress_along_visit', 'id = 2', 'case 2') AS hold \gset
SELECT dbops.set_retention('regress_along_visit_1', 'at', '90 days') IS NOT NULL AS set;
SELECT method, object, row_count, replace(risk, :'hold', 'N') AS risk, remedy FROM dbops.retention_plan('regress_along_visit_1');
CALL dbops.run_retention('regress_along_visit_1');
SELECT count(*) FROM regress_along_visit;
SELECT object, action, outcome, replace(message, :'hold', 'N') AS message FROM dbops.maintenance_report('2030-07-31') WHERE object = 'public.regress_along_visit_1' AND outcome = 'skipped';
SELECT dbops.release_hold(:hold);
CALL dbops.run_retention('regress_along_visit_1');
SELECT count(*) FROM regress_along_visit;
DROP TABLE regress_along_visit;
DROP ROLE regress_along_owner, regress_along_other;

-- Rows of a partitioned table that refer to rows of other partitions go in one run, whichever partition comes first.
CREATE TABLE regress_along_tree (id integer, up integer, n integer, up_n integer, at timestamptz, PRIMARY KEY (id, n)) PARTITION BY LIST (n);
CREATE TABLE regress_along_tree_1 PARTITION OF regress_along_tree FOR VALUES IN (1);
CREATE TABLE regress_along_tree_2 PARTITION OF regress_along_tree FOR VALUES IN (2);
ALTER TABLE regress_along_tree ADD FOREIGN KEY (up, up_n) REFERENCES regress_along_tree;
CREATE INDEX ON regress_along_tree (up, up_n);
INSERT INTO regress_along_tree SELECT i, nullif(i - 1, 0), i % 2 + 1, CASE WHEN i > 1 THEN (i - 1) % 2 + 1 END, pg_temp.ago(400) FROM generate_series(1, 10) i;
SELECT dbops.set_retention('regress_along_tree', 'at', '30 days', confirm => true) IS NOT NULL AS set;
CALL dbops.run_retention('regress_along_tree');
SELECT pg_temp.last_message();
DROP TABLE regress_along_tree;

-- A clock that jumps while a run is on its way lets no hold end.
CREATE TABLE regress_along_jump (id integer, at timestamptz);
INSERT INTO regress_along_jump SELECT i, pg_temp.ago(400) FROM generate_series(1, 20000) i;
CREATE FUNCTION regress_along_pause() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM dbops.pause_job(max(id)) FROM dbops.job WHERE kind = 'retention'; RETURN OLD; END $$;
CREATE TRIGGER pause BEFORE DELETE ON regress_along_jump FOR EACH ROW WHEN (OLD.id = 1) EXECUTE FUNCTION regress_along_pause();
SELECT dbops.place_hold('regress_along_jump', 'id > 19000', 'case 3', until => '2030-08-02 00:00 UTC') > 0 AS placed;
SELECT dbops.set_retention('regress_along_jump', 'at', '30 days', confirm => true) IS NOT NULL AS set;
CALL dbops.run_retention('regress_along_jump');
SELECT count(*) < 20000 AS begun, count(*) FILTER (WHERE id > 19000) AS held FROM regress_along_jump;
DROP TRIGGER pause ON regress_along_jump;
SET dbops.test_now = 1912032000;	-- three days later
SELECT id AS job FROM dbops.job WHERE kind = 'retention' ORDER BY id DESC LIMIT 1 \gset
SELECT dbops.resume_job(:job);
CALL dbops.run_job(:job);
SELECT count(*) AS held FROM regress_along_jump;
DROP TABLE regress_along_jump;
DROP FUNCTION regress_along_pause();
SELECT count(*) >= 0 FROM dbops.run_maintenance();
