-- Rows that ON DELETE CASCADE would take along, but that are not to go with others: those of the table itself, and those
-- of a table with a policy of its own.
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET dbops.test_now = 1911772800;	-- 2030-08-01 00:00 UTC
SET dbops.max_xmin_age = -1;	-- the processes of the server live in another time
CREATE FUNCTION pg_temp.ago(days integer) RETURNS timestamptz IMMUTABLE LANGUAGE sql AS $$SELECT '2030-08-01 00:00 UTC'::timestamptz - days * interval '1 day'$$;

-- A tree whose branches are archived whole, each row of it: the leaves first.
CREATE TABLE regress_tree (id integer PRIMARY KEY, up integer REFERENCES regress_tree ON DELETE CASCADE, at timestamptz);
CREATE INDEX ON regress_tree (up);
CREATE TABLE regress_tree_archive (id integer, up integer, at timestamptz);
INSERT INTO regress_tree SELECT i, CASE WHEN i > 10 THEN i / 10 END, pg_temp.ago(400 + i % 7) FROM generate_series(1, 999) i;
SELECT dbops.set_retention('regress_tree', 'at', '30 days', archive_to => 'regress_tree_archive', confirm => true) IS NOT NULL AS set;
CALL dbops.run_retention('regress_tree', confirm => true);
SELECT (SELECT count(*) FROM regress_tree) AS left, count(*) AS archived, count(DISTINCT id) AS unlike FROM regress_tree_archive;

-- Young rows keep the old ones that they refer to; a row that refers to itself does not keep itself.
INSERT INTO regress_tree VALUES (1, NULL, pg_temp.ago(400)), (2, 1, pg_temp.ago(400)), (3, 2, pg_temp.ago(1)), (4, 1, pg_temp.ago(400)), (5, 5, pg_temp.ago(400));
CALL dbops.run_retention('regress_tree', confirm => true);
SELECT id FROM regress_tree ORDER BY id;
UPDATE regress_tree SET at = pg_temp.ago(400) WHERE id = 3;
CALL dbops.run_retention('regress_tree', confirm => true);
SELECT count(*) FROM regress_tree;
SELECT count(*) FROM regress_tree_archive WHERE id < 6;
DROP TABLE regress_tree, regress_tree_archive;

-- A partitioned tree likewise.
CREATE TABLE regress_tree (id integer, up integer, n integer, at timestamptz, PRIMARY KEY (id, n)) PARTITION BY LIST (n);
CREATE TABLE regress_tree_1 PARTITION OF regress_tree FOR VALUES IN (1);
CREATE TABLE regress_tree_2 PARTITION OF regress_tree FOR VALUES IN (2);
ALTER TABLE regress_tree ADD FOREIGN KEY (up, n) REFERENCES regress_tree ON DELETE CASCADE;
CREATE INDEX ON regress_tree (up, n);
INSERT INTO regress_tree SELECT i, CASE WHEN i > 2 THEN i - 2 END, i % 2 + 1, pg_temp.ago(CASE WHEN i < 9 THEN 400 ELSE 1 END) FROM generate_series(1, 9) i;
SELECT dbops.set_retention('regress_tree', 'at', '30 days', confirm => true) IS NOT NULL AS set;
CALL dbops.run_retention('regress_tree', confirm => true);
CALL dbops.run_retention('regress_tree', confirm => true);
SELECT array_agg(id ORDER BY id) FROM regress_tree;
DROP TABLE regress_tree;

-- Rows with a policy of their own go by that, and into its archive; those that they refer to wait for them.
CREATE TABLE regress_order (id integer PRIMARY KEY, at timestamptz);
CREATE TABLE regress_line (order_id integer REFERENCES regress_order ON DELETE CASCADE, at timestamptz);
CREATE INDEX ON regress_line (order_id);
CREATE TABLE regress_line_archive (LIKE regress_line);
INSERT INTO regress_order SELECT i, pg_temp.ago(i) FROM generate_series(1, 100) i;
INSERT INTO regress_line SELECT i, pg_temp.ago(i) FROM generate_series(1, 100) i;
SELECT dbops.set_retention('regress_line', 'at', '90 days', archive_to => 'regress_line_archive', confirm => true) IS NOT NULL AS set;
SELECT dbops.set_retention('regress_order', 'at', '50 days', confirm => true) IS NOT NULL AS set;
CALL dbops.run_retention('regress_order', confirm => true);
SELECT (SELECT count(*) FROM regress_order) AS orders, (SELECT count(*) FROM regress_line) AS lines, (SELECT count(*) FROM regress_line_archive) AS archived;
CALL dbops.run_retention('regress_line', confirm => true);
CALL dbops.run_retention('regress_order', confirm => true);
SELECT (SELECT count(*) FROM regress_order) AS orders, (SELECT count(*) FROM regress_line) AS lines, (SELECT count(*) FROM regress_line_archive) AS archived;
SELECT dbops.remove_retention('regress_line');
CALL dbops.run_retention('regress_order', confirm => true);
SELECT (SELECT count(*) FROM regress_order) AS orders, (SELECT count(*) FROM regress_line) AS lines, (SELECT count(*) FROM regress_line_archive) AS archived;
DROP TABLE regress_order, regress_line, regress_line_archive;

-- A row that one refers to which goes along with it, and nothing else, goes.
CREATE TABLE regress_user (id integer PRIMARY KEY, at timestamptz, address integer);
CREATE TABLE regress_address (id integer PRIMARY KEY, user_id integer REFERENCES regress_user ON DELETE CASCADE);
CREATE INDEX ON regress_address (user_id);
ALTER TABLE regress_user ADD FOREIGN KEY (address) REFERENCES regress_address;
CREATE INDEX ON regress_user (address);
INSERT INTO regress_user SELECT i, pg_temp.ago(i) FROM generate_series(1, 100) i;
INSERT INTO regress_address SELECT i, i FROM generate_series(1, 100) i;
UPDATE regress_user SET address = CASE id WHEN 1 THEN 100 ELSE id END;
SELECT dbops.set_retention('regress_user', 'at', '90 days', confirm => true) IS NOT NULL AS set;
CALL dbops.run_retention('regress_user');
SELECT count(*), max(id) FROM regress_user;
DROP TABLE regress_user, regress_address;

-- Keys that compare in another collation than the columns that refer.
CREATE TABLE regress_order (id text COLLATE "C" PRIMARY KEY, at timestamptz);
CREATE TABLE regress_line (order_id text COLLATE "POSIX" REFERENCES regress_order);
CREATE INDEX ON regress_line (order_id);
INSERT INTO regress_order SELECT i, pg_temp.ago(i) FROM generate_series(1, 100) i;
INSERT INTO regress_line VALUES ('99');
SELECT dbops.set_retention('regress_order', 'at', '90 days', confirm => true) IS NOT NULL AS set;
CALL dbops.run_retention('regress_order', confirm => true);
SELECT id FROM regress_order ORDER BY at LIMIT 2;
DROP TABLE regress_order, regress_line;

-- A column that has got the name of the one that was meant is not meant: all rows count as held, and a policy is blocked.
CREATE TABLE regress_renamed (id integer, at timestamptz, status text);
INSERT INTO regress_renamed SELECT i, pg_temp.ago(i), 'open' FROM generate_series(1, 100) i;
SELECT dbops.place_hold('regress_renamed', 'status = ''held''', 'case 9') AS hold \gset
SELECT dbops.set_retention('regress_renamed', 'at', '90 days', filter => 'status = ''open''', confirm => true) IS NOT NULL AS set;
ALTER TABLE regress_renamed RENAME status TO status_before;
ALTER TABLE regress_renamed ADD status text DEFAULT 'open';
CALL dbops.run_retention('regress_renamed');
SELECT dbops.set_retention('regress_renamed', 'at', '90 days', confirm => true) IS NOT NULL AS set;
CALL dbops.run_retention('regress_renamed');
SELECT count(*) FROM regress_renamed;
SELECT dbops.release_hold(:hold);
CALL dbops.run_retention('regress_renamed', confirm => true);
SELECT count(*) FROM regress_renamed;

-- Rows are the same whatever the session is set to: a filter has the policy's zone, a hold's predicate may not depend on one.
CREATE TABLE regress_zone (id integer, at timestamptz, day text);
INSERT INTO regress_zone VALUES (1, '2030-03-01 23:30 UTC', '02/03/2030'), (2, '2030-03-02 23:30 UTC', '03/03/2030');
SET timezone = 'Europe/Berlin';
SET datestyle = 'ISO, DMY';
SELECT dbops.place_hold('regress_zone', 'at::date = ''2030-03-02''', 'two days in one zone');
SELECT dbops.place_hold('regress_zone', 'day::date = ''2030-03-02''', 'as the date style has it');
SELECT dbops.place_hold('regress_zone', 'id = 1 AND at < current_date', 'today is where?');
SELECT dbops.place_hold('regress_zone', 'at > now() - interval ''1 day''', 'a day with 23 hours?');
SELECT dbops.place_hold('regress_zone', '(at AT TIME ZONE ''Europe/Berlin'')::date = ''2030-03-02'' AND at < now() AND id::text <> ''2''', 'said with the zone') > 0 AS placed;
SELECT dbops.set_retention('regress_zone', 'at', '30 days', filter => 'at::date = ''2030-03-02''', time_zone => 'UTC', confirm => true) IS NOT NULL AS set;
SELECT method, row_count FROM dbops.retention_plan('regress_zone') WHERE row_count IS NOT NULL;
CALL dbops.run_retention('regress_zone', confirm => true);
SELECT id FROM regress_zone;
RESET datestyle;
DROP TABLE regress_renamed, regress_zone;
SELECT count(*) >= 0 FROM dbops.run_maintenance();
