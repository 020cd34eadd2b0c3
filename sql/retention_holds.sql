-- What a hold keeps, and what hides held rows from who deletes: then nothing is deleted, and nothing is dropped.
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET client_min_messages = warning;
SET dbops.test_now = 1911772800;	-- 2030-08-01 00:00 UTC
SET dbops.max_xmin_age = -1;	-- the processes of the server live in another time
SET dbops.max_retention_percent = 100;	-- tables are small
\set now '''2030-08-01 00:00 UTC''::timestamptz'

-- A hold on a partition of a table that refers: the rows that it is on keep those that they refer to.
CREATE TABLE regress_order (id integer PRIMARY KEY, at timestamptz);
CREATE TABLE regress_line (n integer, order_id integer REFERENCES regress_order ON DELETE CASCADE, note text) PARTITION BY RANGE (n);
CREATE INDEX ON regress_line (order_id);
CREATE TABLE regress_line_1 (note text, order_id integer, n integer NOT NULL);	-- in another order
CREATE TABLE regress_line_2 PARTITION OF regress_line FOR VALUES FROM (1000) TO (2000) PARTITION BY RANGE (n);
CREATE TABLE regress_line_2_a PARTITION OF regress_line_2 DEFAULT;
ALTER TABLE regress_line ATTACH PARTITION regress_line_1 FOR VALUES FROM (0) TO (1000);
CREATE TABLE regress_mark (order_id integer REFERENCES regress_order ON DELETE SET NULL, note text) PARTITION BY LIST (note);
CREATE INDEX ON regress_mark (order_id);
CREATE TABLE regress_mark_a PARTITION OF regress_mark DEFAULT;
INSERT INTO regress_order SELECT i, :now - i * interval '1 day' FROM generate_series(1, 400) i;
INSERT INTO regress_line SELECT i, i, CASE WHEN i % 2 = 0 THEN 'held' END FROM generate_series(391, 394) i;
INSERT INTO regress_line SELECT 1000 + i, i, CASE WHEN i % 2 = 0 THEN 'held' END FROM generate_series(395, 398) i;
INSERT INTO regress_mark VALUES (399, 'held'), (400, 'free');
SELECT dbops.place_hold('regress_line_1', 'note = ''held''', 'case 1') > 0 AS placed;
SELECT dbops.place_hold('regress_line_2', 'note = ''held''', 'case 2') > 0 AS placed;
SELECT dbops.place_hold('regress_mark_a', 'note = ''held''', 'case 3') > 0 AS placed;
SELECT dbops.set_retention('regress_order', 'at', '390 days');
CALL dbops.run_retention('regress_order');
SELECT id FROM regress_order WHERE id > 390 ORDER BY 1;
SELECT n, order_id, note FROM regress_line ORDER BY 1;
SELECT * FROM regress_mark ORDER BY 2;
DROP TABLE regress_order, regress_line, regress_mark;

-- Rows of a table that refer to others of it do not go along, young ones keep what they refer to.
CREATE TABLE regress_order (id integer PRIMARY KEY, at timestamptz, up integer REFERENCES regress_order ON DELETE CASCADE);
CREATE INDEX ON regress_order (up);
CREATE TABLE regress_line (order_id integer REFERENCES regress_order ON DELETE CASCADE, note text);
CREATE INDEX ON regress_line (order_id);
INSERT INTO regress_order SELECT i, :now - i * interval '1 day', CASE WHEN i < 5 THEN 396 + i END FROM generate_series(400, 1, -1) i;
INSERT INTO regress_line VALUES (1, 'held'), (2, 'free');
SELECT dbops.place_hold('regress_line', 'note = ''held''', 'case 4') AS hold \gset
SELECT dbops.set_retention('regress_order', 'at', '390 days');
CALL dbops.run_retention('regress_order');
SELECT up, id, note FROM regress_order LEFT JOIN regress_line ON order_id = id WHERE id > 390 OR id < 5 ORDER BY 2;
SELECT dbops.release_hold(:hold);
CALL dbops.run_retention('regress_order');
SELECT id FROM regress_order WHERE id > 390 OR id < 5;
SELECT * FROM regress_line;
DROP TABLE regress_order, regress_line;
-- Foreign keys that refer to one partition, on each level, of the table or of one whose rows go along: they count as others do.
CREATE TABLE regress_order (id integer, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE regress_order_1 PARTITION OF regress_order FOR VALUES FROM ('2030-01-01') TO ('2030-02-01') PARTITION BY RANGE (day);
CREATE TABLE regress_order_1_a PARTITION OF regress_order_1 DEFAULT;
CREATE TABLE regress_order_2 PARTITION OF regress_order FOR VALUES FROM ('2030-02-01') TO ('2030-03-01');
CREATE TABLE regress_order_3 PARTITION OF regress_order FOR VALUES FROM ('2030-03-01') TO ('2031-01-01');
INSERT INTO regress_order SELECT i, '2030-01-01'::date + i FROM generate_series(0, 200) i;
CREATE TABLE regress_line (id integer, day date, note text, FOREIGN KEY (id, day) REFERENCES regress_order_1 ON DELETE CASCADE);
CREATE TABLE regress_mark (id integer, day date, note text, CONSTRAINT regress_mark_leaf FOREIGN KEY (id, day) REFERENCES regress_order_1_a);
CREATE TABLE regress_note (n integer, id integer, day date, PRIMARY KEY (n, day)) PARTITION BY RANGE (n);
CREATE TABLE regress_note_1 PARTITION OF regress_note FOR VALUES FROM (0) TO (10);
CREATE TABLE regress_note_2 PARTITION OF regress_note FOR VALUES FROM (10) TO (20);
ALTER TABLE regress_note ADD FOREIGN KEY (id, day) REFERENCES regress_order_2 ON DELETE CASCADE;
CREATE INDEX ON regress_note (id, day);
CREATE TABLE regress_word (n integer, day date, note text, FOREIGN KEY (n, day) REFERENCES regress_note_2 ON DELETE SET NULL);
CREATE INDEX ON regress_word (n, day);
SELECT dbops.set_retention('regress_order', 'day', '3 months', confirm => true);
CREATE INDEX ON regress_line (id, day);
SELECT dbops.set_retention('regress_order', 'day', '3 months', confirm => true);
CREATE INDEX ON regress_mark (id, day);
SELECT dbops.set_retention('regress_order', 'day', '3 months', confirm => true) IS NOT NULL AS set;
INSERT INTO regress_line SELECT i, '2030-01-01'::date + i, CASE i WHEN 5 THEN 'held' ELSE 'free' END FROM generate_series(1, 5) i;
INSERT INTO regress_mark VALUES (10, '2030-01-11');
INSERT INTO regress_note SELECT i, 32 + i, '2030-02-02'::date + i FROM generate_series(8, 11) i;
INSERT INTO regress_word SELECT i, '2030-02-02'::date + i, CASE i WHEN 11 THEN 'held' END FROM generate_series(10, 11) i;
SELECT dbops.place_hold('regress_line', 'note = ''held''', 'case 5') > 0 AS placed;
SELECT dbops.place_hold('regress_word', 'note = ''held''', 'case 6') > 0 AS placed;
SELECT method, object, risk FROM dbops.retention_plan('regress_order') WHERE method !~ 'confirm';
CALL dbops.run_retention('regress_order');
SELECT o.id, l.note AS line, m.id IS NOT NULL AS mark, n.n, w.note AS word FROM regress_order o LEFT JOIN regress_line l USING (id) LEFT JOIN regress_mark m USING (id)
  LEFT JOIN regress_note n USING (id) LEFT JOIN regress_word w ON n.n = w.n WHERE o.day < '2030-03-01' ORDER BY 1;
SELECT relid FROM pg_partition_tree('regress_order') ORDER BY 1;
SELECT object, action, outcome, message FROM dbops.maintenance_report('2030-07-31') WHERE object LIKE '%regress_order%' AND outcome <> 'done' ORDER BY 1, 2;
DROP TABLE regress_line;
SELECT object, method, risk FROM dbops.retention_plan('regress_order') WHERE object LIKE '%order_1';
DROP TABLE regress_order, regress_mark, regress_note, regress_word;
-- Keys are compared by whatever names their columns have.
CREATE TABLE regress_order ("a%b" integer PRIMARY KEY, "%2$s" integer UNIQUE, at timestamptz);
CREATE TABLE regress_line ("a%1$s" integer REFERENCES regress_order, "%I" integer REFERENCES regress_order ("%2$s"));
CREATE INDEX ON regress_line ("a%1$s");
CREATE INDEX ON regress_line ("%I");
INSERT INTO regress_order SELECT i, i, :now - i * interval '1 day' FROM generate_series(1, 400) i;
INSERT INTO regress_line VALUES (400, NULL), (NULL, 399);
SELECT dbops.set_retention('regress_order', 'at', '390 days');
CALL dbops.run_retention('regress_order');
SELECT "a%b" FROM regress_order WHERE "a%b" > 390 ORDER BY 1;
DROP TABLE regress_order, regress_line;

-- Row-level security of a table that refers, or that a predicate reads, hides rows from the owner: nothing is deleted.
CREATE ROLE regress_holds_owner;
CREATE ROLE regress_holds_other;
SELECT dbops.grant_access('regress_holds_owner', 'operator');
GRANT CREATE ON SCHEMA public TO regress_holds_owner, regress_holds_other;
CREATE TABLE regress_order (id integer PRIMARY KEY, at timestamptz);
ALTER TABLE regress_order OWNER TO regress_holds_owner;
CREATE TABLE regress_line (order_id integer REFERENCES regress_order ON DELETE CASCADE, note text);
CREATE INDEX ON regress_line (order_id);
ALTER TABLE regress_line OWNER TO regress_holds_other;
GRANT SELECT ON regress_line TO regress_holds_owner;
INSERT INTO regress_order SELECT i, :now - i * interval '1 day' FROM generate_series(1, 400) i;
INSERT INTO regress_line SELECT i, CASE WHEN i > 395 THEN 'held' ELSE 'free' END FROM generate_series(391, 400) i;
ALTER TABLE regress_line ENABLE ROW LEVEL SECURITY;
CREATE POLICY open ON regress_line USING (note = 'free');
SELECT dbops.place_hold('regress_line', 'note = ''held''', 'case 7') AS hold \gset
SET ROLE regress_holds_owner;
SELECT dbops.set_retention('regress_order', 'at', '390 days');
CALL dbops.run_retention('regress_order');
RESET ROLE;
SELECT count(*) AS orders FROM regress_order;
SELECT count(*) FILTER (WHERE note = 'held') AS held, count(*) AS lines FROM regress_line;
SELECT dbops.release_hold(:hold);
SET ROLE regress_holds_owner;
SELECT dbops.place_hold('regress_order', 'EXISTS (SELECT FROM regress_line l WHERE order_id = id AND note = ''held'')', 'case 5') > 0 AS placed;
RESET ROLE;
ALTER TABLE regress_line DISABLE ROW LEVEL SECURITY;
SET ROLE regress_holds_owner;
SELECT dbops.place_hold('regress_order', 'EXISTS (SELECT FROM regress_line l WHERE order_id = id AND note = ''held'')', 'case 5') > 0 AS placed;
RESET ROLE;
ALTER TABLE regress_line ENABLE ROW LEVEL SECURITY;
SET ROLE regress_holds_owner;
CALL dbops.run_retention('regress_order');
RESET ROLE;
SELECT count(*) AS orders FROM regress_order;
ALTER TABLE regress_line DISABLE ROW LEVEL SECURITY;
SET ROLE regress_holds_owner;
CALL dbops.run_retention('regress_order');
RESET ROLE;
SELECT count(*) AS orders FROM regress_order;
SELECT order_id, note FROM regress_line ORDER BY 1;
-- Who owns the table needs no right to change the rows that go along with its own, though these are locked for a hold. What another
-- role has written for a hold is not evaluated with its rights: all rows that refer count as held.
SELECT count(dbops.release_hold(id)) FROM dbops.holds() WHERE in_force AND table_name = 'public.regress_order';
SELECT dbops.place_hold('regress_line', 'order_id = 400', 'case 8') > 0 AS placed;
SET ROLE regress_holds_owner;
CALL dbops.run_retention('regress_order');
RESET ROLE;
SELECT order_id, note FROM regress_line ORDER BY 1;
-- What a function reads that a predicate calls must not be hidden either.
SELECT count(dbops.release_hold(id)) FROM dbops.holds() WHERE in_force AND table_name = 'public.regress_line';
CREATE FUNCTION regress_is_held(integer) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN RETURN EXISTS (SELECT FROM public.regress_line WHERE order_id = $1 AND note = 'held'); END $$;
SELECT dbops.place_hold('regress_order', 'public.regress_is_held(id)', 'case 10') > 0 AS placed;
ALTER TABLE regress_line ENABLE ROW LEVEL SECURITY;
SET ROLE regress_holds_owner;
CALL dbops.run_retention('regress_order');
RESET ROLE;
SELECT count(*) AS old FROM regress_order WHERE id = 400;
DROP TABLE regress_order, regress_line;
DROP FUNCTION regress_is_held(integer);

-- Row-level security of a partition: it does not go as a whole, and where rows are to be archived or held nothing is deleted.
CREATE TABLE regress_hidden (n integer, at timestamptz NOT NULL, note text) PARTITION BY RANGE (at);
CREATE TABLE regress_hidden_1 PARTITION OF regress_hidden FOR VALUES FROM ('2029-01-01') TO ('2029-02-01');
CREATE TABLE regress_hidden_2 PARTITION OF regress_hidden FOR VALUES FROM ('2029-02-01') TO ('2029-03-01');
CREATE TABLE regress_hidden_3 PARTITION OF regress_hidden FOR VALUES FROM ('2029-03-01') TO ('2029-04-01');
CREATE TABLE regress_hidden_4 PARTITION OF regress_hidden FOR VALUES FROM ('2029-04-01') TO ('2031-01-01');
CREATE TABLE regress_hidden_archive (n integer, at timestamptz, note text);
ALTER TABLE regress_hidden OWNER TO regress_holds_owner;
ALTER TABLE regress_hidden_1 OWNER TO regress_holds_owner;
ALTER TABLE regress_hidden_2 OWNER TO regress_holds_owner;
ALTER TABLE regress_hidden_3 OWNER TO regress_holds_owner;
ALTER TABLE regress_hidden_4 OWNER TO regress_holds_owner;
ALTER TABLE regress_hidden_archive OWNER TO regress_holds_owner;
INSERT INTO regress_hidden SELECT i, timestamptz '2029-01-05 UTC' + i * interval '1 month', 'held' FROM generate_series(0, 3) i;
ALTER TABLE regress_hidden_1 ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
SELECT dbops.place_hold('regress_hidden', 'n < 2', 'case 9') > 0 AS placed;
SET ROLE regress_holds_owner;
SELECT dbops.set_partitioning('regress_hidden', keep => '1 year', confirm => true) IS NOT NULL AS set;
CALL dbops.run_partitioning('regress_hidden', confirm => true);
SELECT object, outcome, message FROM dbops.maintenance_report('2030-07-31') WHERE object LIKE '%regress_hidden%' AND action = 'drop partition' ORDER BY 1;
SELECT dbops.remove_partitioning('regress_hidden');
RESET ROLE;
SELECT tableoid::regclass, n FROM regress_hidden ORDER BY n;
SET ROLE regress_holds_owner;
SELECT dbops.set_retention('regress_hidden', 'at', '1 year', archive_to => 'regress_hidden_archive') IS NOT NULL AS set;
CALL dbops.run_retention('regress_hidden');
RESET ROLE;
SELECT n FROM regress_hidden ORDER BY n;
SELECT n FROM regress_hidden_archive ORDER BY n;
-- and of an archive, which would not let in what is not seen there
ALTER TABLE regress_hidden_archive ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
SET ROLE regress_holds_owner;
SELECT dbops.set_retention('regress_hidden', 'at', '1 year', archive_to => 'regress_hidden_archive') IS NOT NULL AS set;
RESET ROLE;
DROP TABLE regress_hidden, regress_hidden_archive;

REVOKE CREATE ON SCHEMA public FROM regress_holds_owner, regress_holds_other;
SELECT dbops.revoke_access('regress_holds_owner');
DROP ROLE regress_holds_owner, regress_holds_other;
SELECT count(*) >= 0 FROM dbops.run_maintenance();
