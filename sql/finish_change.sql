-- finish_change() and abort_change(): what has happened to a table since its change was ready.
\set VERBOSITY terse
SET dbops.progress_interval = 0;
SET client_min_messages = warning;
TRUNCATE dbops.column_change RESTART IDENTITY;
CREATE ROLE regress_change_first;
CREATE ROLE regress_change_second;
CREATE SCHEMA ended;
GRANT ALL ON SCHEMA ended TO regress_change_first, regress_change_second;
SET search_path = ended;
CREATE TABLE t (id integer PRIMARY KEY, a text NOT NULL, b integer NOT NULL);
INSERT INTO t SELECT i, 'a' || i, i FROM generate_series(1, 100) i;
CREATE VIEW open_changes AS SELECT kind, object, table_name, regexp_replace(detail, '\(\d+\)', '(N)') AS detail, regexp_replace(command, '\(\d+\)', '(N)') AS command
    FROM dbops.unfinished_changes() WHERE kind = 'column change';
CREATE PROCEDURE cut_off() LANGUAGE sql AS $$ UPDATE dbops.column_change SET state = 'expanding' WHERE state = 'ready' $$;

-- An index, a constraint and a view that came later name the old column, and not the new one.
CALL dbops.rename_column('t', 'a', 'n');
SELECT * FROM open_changes;
CREATE INDEX later ON t (upper(a));
ALTER TABLE t ADD CONSTRAINT later_check CHECK (a <> '');
CREATE VIEW later_view AS SELECT a FROM t;
CALL dbops.finish_change(1);
DROP VIEW later_view;
RESET client_min_messages;
CALL dbops.finish_change(1);
SET client_min_messages = warning;
\d t
SELECT * FROM open_changes;

-- The new column was dropped by hand: the same call fills another one.
CALL dbops.rename_column('t', 'n', 'm');
ALTER TABLE t DROP COLUMN m;
INSERT INTO t (id, n, b) VALUES (101, 'x', 0);
CALL dbops.finish_change(2);
-- One that somebody has made is neither filled nor dropped.
ALTER TABLE t ADD COLUMN m text;
CALL dbops.finish_change(2);
CALL dbops.rename_column('t', 'n', 'm');
ALTER TABLE t DROP COLUMN m;
CALL dbops.rename_column('t', 'n', 'm');
SELECT count(*) FROM t WHERE m IS DISTINCT FROM n;
-- The old one was: all that is left is the trigger.
ALTER TABLE t DROP COLUMN n;
RESET client_min_messages;
CALL dbops.finish_change(2);
SET client_min_messages = warning;
INSERT INTO t (id, m, b) VALUES (102, 'y', 0);
-- The table was renamed.
CALL dbops.rename_column('t', 'm', 'n');
ALTER TABLE t RENAME TO u;
INSERT INTO u (id, n, b) VALUES (103, 'z', 0) RETURNING *;
RESET client_min_messages;
CALL dbops.finish_change(3);
SET client_min_messages = warning;

-- What was cut off is listed with the call that completes it.
CALL dbops.change_type('u', 'b', 'numeric(10,2)', 'b * 2');
CALL cut_off();
SELECT * FROM open_changes;
CALL dbops.change_type('ended.u', 'b', 'numeric(10,2)', '(b * 2)');
CALL dbops.abort_change(4);
CALL dbops.rename_column('u', 'b', 'c');
CALL cut_off();
SELECT * FROM open_changes;
CALL dbops.abort_change(5);
ALTER TABLE u ADD COLUMN c integer, ADD COLUMN d integer;
CALL dbops.sync_columns('u', 'c = b', 'b = c');
CALL cut_off();
SELECT * FROM open_changes;
CALL dbops.abort_change(6);

-- A table that is given to another role: expressions do not run as that one until it says so; copies go on.
GRANT CREATE ON SCHEMA ended TO regress_change_first;
ALTER TABLE u OWNER TO regress_change_first;
SELECT dbops.grant_access('regress_change_first', 'operator');
SELECT dbops.grant_access('regress_change_second', 'operator');
CREATE FUNCTION twice(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS $$ SELECT 2 * $1 $$;
SET ROLE regress_change_first;
CALL dbops.sync_columns('u', 'c = ended.twice(b)');
CALL dbops.rename_column('u', 'n', 'm');
RESET ROLE;
INSERT INTO u (id, n, b) VALUES (104, 'first', 4) RETURNING *;
ALTER TABLE u OWNER TO regress_change_second;
INSERT INTO u (id, n, b) VALUES (105, 'second', 5) RETURNING *;
SET ROLE regress_change_first;
CALL dbops.finish_change(7);
SET ROLE regress_change_second;
CALL dbops.finish_change(7);
CALL dbops.sync_columns('u', 'c = ended.twice(b)');
INSERT INTO u (id, n, b) VALUES (106, 'second', 6) RETURNING *;
SELECT id, c FROM u WHERE id = 105;
CALL dbops.finish_change(7);
CALL dbops.finish_change(8);
RESET ROLE;
\d u

-- A finish that was cut off when the old column had gone is finished, and not taken back.
CREATE TABLE cut (id int PRIMARY KEY, old text);
INSERT INTO cut VALUES (1, 'kept');
CALL dbops.rename_column('cut', 'old', 'new');
SELECT max(id) AS change FROM dbops.column_change \gset
DROP TRIGGER zz_dbops_old ON cut;
ALTER TABLE cut DROP COLUMN old;
CALL dbops.abort_change(:change);
CALL dbops.finish_change(:change);
SELECT * FROM cut;

-- A change that has ended is nobody else's: the column is in another one since, which goes on.
CREATE TABLE ended_once (id int PRIMARY KEY, v int);
INSERT INTO ended_once VALUES (1, 1);
CALL dbops.change_type('ended_once', 'v', 'bigint');
SELECT max(id) AS first FROM dbops.column_change \gset
CALL dbops.abort_change(:first);
CALL dbops.change_type('ended_once', 'v', 'bigint');
SELECT max(id) AS second FROM dbops.column_change \gset
RESET client_min_messages;
CALL dbops.abort_change(:first);
SET client_min_messages = warning;
SELECT state FROM dbops.column_change WHERE id = :second;
CALL dbops.finish_change(:second);
-- It is finished with the type: there is no state between.
CALL dbops.abort_change(:second);
CALL dbops.rename_column('ended_once', 'v', 'w');
SELECT max(id) AS third FROM dbops.column_change \gset
RESET client_min_messages;
CALL dbops.finish_change(:second);
CALL dbops.abort_change(:third);
SET client_min_messages = warning;
SELECT call, state FROM dbops.column_change WHERE id >= :first ORDER BY id;
\d ended_once
-- The swap does not come without its state, nor that without the swap.
CALL dbops.change_type('ended_once', 'v', 'text');
SELECT max(id) AS fourth FROM dbops.column_change \gset
CREATE FUNCTION not_yet() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not yet'; END $$;
CREATE TRIGGER not_yet BEFORE UPDATE OF state ON dbops.column_change FOR EACH ROW EXECUTE FUNCTION not_yet();
CALL dbops.finish_change(:fourth);
DROP TRIGGER not_yet ON dbops.column_change;
SELECT atttypid::regtype, (SELECT state FROM dbops.column_change WHERE id = :fourth) FROM pg_attribute WHERE attrelid = 'ended_once'::regclass AND attname = 'v';
-- The new column has been dropped by hand: nothing has taken the old one's place.
ALTER TABLE ended_once DROP COLUMN dbops_new_v;
CALL dbops.finish_change(:fourth);
CALL dbops.abort_change(:fourth);

-- What uses the new column by then keeps it from being taken back.
CREATE TABLE used (id int PRIMARY KEY, v text);
CALL dbops.rename_column('used', 'v', 'w');
SELECT max(id) AS used FROM dbops.column_change \gset
CREATE VIEW uses AS SELECT w FROM used;
CALL dbops.abort_change(:used);
DROP VIEW uses;
CALL dbops.abort_change(:used);
DROP TABLE used;
-- A change that was cut off before it had made its column: one of that name is somebody else's.
CREATE TABLE precious (id int PRIMARY KEY, v text);
CREATE FUNCTION no_column() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not yet'; END $$;
CREATE EVENT TRIGGER no_column ON ddl_command_start WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION no_column();
CALL dbops.rename_column('precious', 'v', 'w');
SELECT max(id) AS change FROM dbops.column_change \gset
DROP EVENT TRIGGER no_column;
ALTER TABLE precious ADD COLUMN w text;
INSERT INTO precious VALUES (1, 'a', 'precious');
CALL dbops.rename_column('precious', 'v', 'w');
CALL dbops.abort_change(:change);
SELECT * FROM precious;

-- What has been made anew under its name is copied as it is then.
CREATE TABLE anew (id int PRIMARY KEY, v text, CONSTRAINT ck CHECK (v <> 'bad'));
CREATE INDEX anew_v ON anew (v);
INSERT INTO anew VALUES (1, 'a');
CALL dbops.rename_column('anew', 'v', 'w');
SELECT max(id) AS change FROM dbops.column_change \gset
DROP INDEX anew_v;
CREATE UNIQUE INDEX anew_v ON anew (v DESC);
ALTER TABLE anew DROP CONSTRAINT ck, ADD CONSTRAINT ck CHECK (v <> 'worse');
CALL dbops.finish_change(:change);
\d anew

-- A trigger that would fire behind the change's own, of the table or a partition.
CREATE FUNCTION upper_old() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.old := upper(NEW.old); RETURN NEW; END $$;
CREATE TABLE behind (id int, k int, old text, copy text) PARTITION BY RANGE (k);
CREATE TABLE behind_1 PARTITION OF behind FOR VALUES FROM (0) TO (10);
CREATE TRIGGER zzz BEFORE INSERT ON behind_1 FOR EACH ROW EXECUTE FUNCTION upper_old();
CREATE TRIGGER zzz_after AFTER INSERT ON behind_1 FOR EACH ROW EXECUTE FUNCTION upper_old();
CREATE TRIGGER zzz_delete BEFORE DELETE ON behind_1 FOR EACH ROW EXECUTE FUNCTION upper_old();
CREATE TRIGGER zzz_off BEFORE INSERT ON behind_1 FOR EACH ROW EXECUTE FUNCTION upper_old();
ALTER TABLE behind_1 DISABLE TRIGGER zzz_off;
CALL dbops.rename_column('behind', 'old', 'new');
CALL dbops.change_type('behind', 'old', 'varchar(3)');
CALL dbops.sync_columns('behind', 'copy = old');
\d behind
ALTER TRIGGER zzz ON behind_1 RENAME TO aaa;
CALL dbops.rename_column('behind', 'old', 'new');
SELECT max(id) AS change FROM dbops.column_change \gset
CREATE TRIGGER "{x" BEFORE UPDATE OF id ON behind FOR EACH ROW EXECUTE FUNCTION upper_old();
CALL dbops.finish_change(:change);
DROP TRIGGER "{x" ON behind;
CALL dbops.finish_change(:change);

-- A value that is too long is not cut, whatever a cast would do: it is as it was written, and found.
CREATE TABLE cut_short (id int PRIMARY KEY, v text, c text, f varchar(3));
INSERT INTO cut_short VALUES (1, 'abc', 'abc');
CALL dbops.change_type('cut_short', 'v', 'varchar(3)');
SELECT max(id) AS change FROM dbops.column_change \gset
UPDATE cut_short SET v = 'abcdef' RETURNING v, dbops_new_v;
CALL dbops.finish_change(:change);
-- No finish_change() is at work: the trigger fails nobody.
UPDATE cut_short SET v = 'abcdefg' RETURNING v, dbops_new_v;
UPDATE cut_short SET v = 'abc  ' RETURNING v, dbops_new_v || '.';
CREATE TRIGGER not_yet BEFORE UPDATE OF state ON dbops.column_change FOR EACH ROW EXECUTE FUNCTION not_yet();
CALL dbops.finish_change(:change);
UPDATE cut_short SET v = 'abcdef' RETURNING v, dbops_new_v;
DROP TRIGGER not_yet ON dbops.column_change;
UPDATE cut_short SET v = 'abc  ' RETURNING v, dbops_new_v || '.';
CALL dbops.finish_change(:change);
SELECT id, v || '.' FROM cut_short;
CALL dbops.sync_columns('cut_short', 'f = c');
SELECT max(id) AS change FROM dbops.column_change \gset
UPDATE cut_short SET c = 'abcdef' RETURNING c, f;
CALL dbops.finish_change(:change, drop_old_columns => true);
UPDATE cut_short SET c = 'ab' RETURNING c, f;
CALL dbops.finish_change(:change, drop_old_columns => true);
SELECT * FROM cut_short;

-- A value that could not be converted when it was updated has the one from before in the new column.
CREATE TABLE stale (id int PRIMARY KEY, v text, n int, m int);
INSERT INTO stale VALUES (1, '5');
CALL dbops.sync_columns('stale', 'n = v::int, m = 2 * (v::int)');
SELECT max(id) AS change FROM dbops.column_change \gset
UPDATE stale SET v = 'abc' RETURNING *;
CALL dbops.finish_change(:change, drop_old_columns => true);
UPDATE stale SET v = '7', m = 3;
UPDATE stale SET m = 3 RETURNING *;
CALL dbops.finish_change(:change, drop_old_columns => true);
UPDATE stale SET v = '8' RETURNING *;
CALL dbops.finish_change(:change, drop_old_columns => true);
SELECT * FROM stale;

-- What was lossy on its way back is as the new columns have it.
CREATE TABLE both_ways (id int PRIMARY KEY, name text, first text, last text);
INSERT INTO both_ways VALUES (1, 'Ada Lovelace'), (2, 'Ada  King');
CALL dbops.sync_columns('both_ways', 'first = split_part(name, '' '', 1), last = split_part(name, '' '', 2)', 'name = concat_ws('' '', first, last)');
SELECT max(id) AS change FROM dbops.column_change \gset
UPDATE both_ways SET first = 'Ada Augusta' WHERE id = 1 RETURNING *;
CALL dbops.finish_change(:change, drop_old_columns => true);
SELECT * FROM both_ways ORDER BY id;

-- The look has the settings of the call that has begun the change.
CREATE TABLE zoned (id int PRIMARY KEY, v timestamptz, d date);
INSERT INTO zoned VALUES (1, '2026-01-01 12:00+00', '2026-01-02');
SET TimeZone = 'UTC';
SET DateStyle = 'SQL, DMY';
CALL dbops.change_type('zoned', 'v', 'timestamp');
CALL dbops.change_type('zoned', 'd', 'text');
SELECT max(id) AS change FROM dbops.column_change \gset
SET TimeZone = 'America/New_York';
SET DateStyle = 'ISO, MDY';
CALL dbops.finish_change(:change);
CALL dbops.finish_change(:change - 1);
SELECT * FROM zoned;
RESET TimeZone;
RESET DateStyle;

-- A dump has brought a change from another database: its trigger goes on, and the same call takes it over.
CALL dbops.rename_column('u', 'm', 'l');
UPDATE dbops.column_change SET home = '1/1', relid = 1 WHERE state = 'ready' RETURNING id AS change \gset
INSERT INTO u (id, l, b) VALUES (107, 'copy', 7) RETURNING id, l, m;
CALL dbops.finish_change(:change);
CALL dbops.rename_column('u', 'm', 'l');
CALL dbops.finish_change(:change);
SELECT id, l FROM u WHERE id = 107;

-- Rows of a partition that was attached since are not as the trigger would have made them.
CREATE TABLE parts (id int, k int, old text) PARTITION BY RANGE (k);
CREATE TABLE part_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
INSERT INTO parts VALUES (1, 1, 'one');
CALL dbops.rename_column('parts', 'old', 'new');
SELECT max(id) AS change FROM dbops.column_change \gset
CREATE TABLE part_2 (LIKE part_1);
INSERT INTO part_2 (id, k, old) VALUES (2, 11, 'two');
ALTER TABLE parts ATTACH PARTITION part_2 FOR VALUES FROM (10) TO (20);
CALL dbops.finish_change(:change);
CALL dbops.batched_backfill('parts', 'new = old', 'new IS DISTINCT FROM old');
CALL dbops.finish_change(:change);
SELECT * FROM parts ORDER BY id;

-- So are those that were written while the trigger was disabled, of columns that are kept in step.
CREATE TABLE split (id int PRIMARY KEY, name text, first_name text);
CALL dbops.sync_columns('split', 'first_name = split_part(name, '' '', 1)');
SELECT max(id) AS change FROM dbops.column_change \gset
ALTER TABLE split DISABLE TRIGGER USER;
INSERT INTO split VALUES (1, 'Ada Lovelace');
ALTER TABLE split ENABLE ALWAYS TRIGGER zz_dbops_first_name;
CALL dbops.finish_change(:change, drop_old_columns => true);
CALL dbops.finish_change(:change);

-- Rows that are equal, and not the same: the old values are taken by the call that the hint names.
CREATE TABLE same (id int PRIMARY KEY, v numeric, j json);
INSERT INTO same VALUES (1, 1.0, '{}');
CALL dbops.rename_column('same', 'v', 'w');
CALL dbops.rename_column('same', 'j', 'k');
SELECT max(id) AS change FROM dbops.column_change \gset
ALTER TABLE same DISABLE TRIGGER USER;
UPDATE same SET v = 1.00, j = '{ }';
ALTER TABLE same ENABLE ALWAYS TRIGGER zz_dbops_v, ENABLE ALWAYS TRIGGER zz_dbops_j;
\set VERBOSITY default
\set SHOW_CONTEXT never
CALL dbops.finish_change(:change - 1);
\set VERBOSITY terse
CALL dbops.finish_change(:change);
CALL dbops.batched_backfill('ended.same', 'w = v', 'pg_catalog.record_image_ne(ROW(w), ROW(v))');
CALL dbops.batched_backfill('ended.same', 'k = j', 'pg_catalog.record_image_ne(ROW(k), ROW(j))');
CALL dbops.finish_change(:change - 1);
CALL dbops.finish_change(:change);
SELECT * FROM same;

-- What goes with the old columns is told.
CREATE TABLE lost (id int PRIMARY KEY, k int, v text, f text, UNIQUE (k, v));
CREATE INDEX lost_v ON lost (lower(v));
CREATE FUNCTION of_lost() RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT v FROM ended.lost LIMIT 1); END';
CALL dbops.sync_columns('lost', 'f = v');
SELECT max(id) AS change FROM dbops.column_change \gset
SET client_min_messages = notice;
\set VERBOSITY default
CALL dbops.finish_change(:change, drop_old_columns => true);
CREATE FUNCTION of_same() RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT w FROM ended.same LIMIT 1); END';
SET client_min_messages = warning;
CALL dbops.rename_column('same', 'w', 'x');
SET client_min_messages = notice;
SELECT max(id) AS change FROM dbops.column_change \gset
CALL dbops.finish_change(:change, dry_run => true);
\set VERBOSITY terse
SET client_min_messages = warning;

-- A trigger of that name that is another's.
CREATE TRIGGER zz_dbops_d BEFORE UPDATE ON u FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
CALL dbops.rename_column('u', 'd', 'e');

DROP SCHEMA ended CASCADE;
DROP OWNED BY regress_change_first, regress_change_second;
DROP ROLE regress_change_first, regress_change_second;
TRUNCATE dbops.column_change RESTART IDENTITY;
