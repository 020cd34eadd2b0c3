-- change_type(): values, defaults and sequences of the new type are what ALTER TABLE would make of them, or the call is refused.
\set VERBOSITY terse
SET dbops.progress_interval = 0;
SET client_min_messages = warning;
TRUNCATE dbops.column_change RESTART IDENTITY;
CREATE SCHEMA valued;
SET search_path = valued;
-- The end of a value that is too long is not lost: what an application has written is told, and kept.
CREATE DOMAIN short AS varchar(3);
CREATE TABLE cut (id int PRIMARY KEY, a text, b text, c bit varying, d text, e varchar(9)[]);
INSERT INTO cut VALUES (1, 'abc', 'abc', '101', 'abc', '{abc}');
CALL dbops.change_type('cut', 'a', 'varchar(3)');
CALL dbops.change_type('cut', 'b', 'char(3)');
CALL dbops.change_type('cut', 'c', 'bit(3)');
CALL dbops.change_type('cut', 'd', 'short');
UPDATE cut SET a = 'abcdef';
UPDATE cut SET b = 'abcdef';
UPDATE cut SET c = '101101';
UPDATE cut SET d = 'abcdef';
\set VERBOSITY sqlstate
CALL dbops.finish_change(1);
CALL dbops.finish_change(2);
CALL dbops.finish_change(3);
CALL dbops.finish_change(4);
\set VERBOSITY terse
SELECT a, b, c, d FROM cut;
-- Spaces at the end are cut by an assignment too.
UPDATE cut SET a = 'abd  ', b = 'abd  ', c = '110', d = 'abd  ';
CALL dbops.finish_change(1);
CALL dbops.finish_change(2);
CALL dbops.finish_change(3);
CALL dbops.finish_change(4);
SELECT '<' || a || '>' AS a, b, c, '<' || d || '>' AS d FROM cut;
UPDATE cut SET a = 'abcdef';
CALL dbops.change_type('cut', 'e', 'varchar(3)[]');
CALL dbops.change_type('cut', 'e', 'varchar(3)[]', 'e::varchar(3)[]');
UPDATE cut SET e = '{abcdef}' RETURNING dbops_new_e;
CALL dbops.finish_change(5);
CALL dbops.change_type('cut', 'e', 'varchar(20)[]');
CALL dbops.abort_change(6);

-- A default is assigned.
CREATE TABLE defaults (id int PRIMARY KEY, v text DEFAULT 'none', n int DEFAULT 7, u text DEFAULT 'abcdef') PARTITION BY RANGE (id);
CREATE TABLE defaults_1 PARTITION OF defaults FOR VALUES FROM (0) TO (10);
INSERT INTO defaults VALUES (1, '5', 5, 'abc');
CALL dbops.change_type('defaults', 'v', 'int', 'nullif(v, ''none'')::int');
ALTER TABLE ONLY defaults ALTER v DROP DEFAULT;
CALL dbops.change_type('defaults', 'v', 'int', 'nullif(v, ''none'')::int');
ALTER TABLE defaults ALTER v DROP DEFAULT;
CALL dbops.change_type('defaults', 'v', 'int', 'nullif(v, ''none'')::int');
ALTER TABLE defaults ALTER v SET DEFAULT 'later';
CALL dbops.finish_change(7);
ALTER TABLE defaults ALTER v DROP DEFAULT;
CALL dbops.finish_change(7);
CALL dbops.change_type('defaults', 'n', 'bigint');
CALL dbops.finish_change(8);
CALL dbops.change_type('defaults', 'u', 'varchar(3)');
CALL dbops.finish_change(9);
INSERT INTO defaults (id) VALUES (2);
INSERT INTO defaults (id, u) VALUES (3, 'b') RETURNING *;

-- A generated column is computed after the trigger.
CREATE TABLE generated (id int PRIMARY KEY, a int, g int GENERATED ALWAYS AS (a * 2) STORED, f int, v int);
CALL dbops.sync_columns('generated', 'f = g');
CALL dbops.sync_columns('generated', 'f = v', 'v = g');
CALL dbops.change_type('generated', 'v', 'text', '(g + v)::text');

-- The column is in the change, also where it is not read.
CREATE TABLE unread (id int PRIMARY KEY, v int, b int);
CALL dbops.change_type('unread', 'v', 'text', 'b::text');
CALL dbops.rename_column('unread', 'v', 'w');
CALL dbops.drop_column('unread', 'v');
CALL dbops.sync_columns('unread', 'v = id');
CALL dbops.finish_change(10);

-- A sequence counts as far as the new type does.
CREATE TABLE counted (id int, s smallserial, t serial);
CALL dbops.change_type('counted', 's', 'int');
CALL dbops.finish_change(11);
CALL dbops.change_type('counted', 't', 'bigint');
CALL dbops.finish_change(12);
SELECT sequencename, data_type, max_value FROM pg_sequences WHERE schemaname = 'valued' ORDER BY 1;
CALL dbops.change_type('counted', 's', 'bigint');
CALL dbops.finish_change(13);
SELECT sequencename, data_type, max_value FROM pg_sequences WHERE schemaname = 'valued' ORDER BY 1;

-- What has the type already stays as it is.
SET client_min_messages = notice;
CALL dbops.change_type('unread', 'b', 'int', 'b * 2');

-- Rows that fail: the error says how to see them all, and what gives the change up.
SET client_min_messages = warning;
CREATE TABLE unfit (id int PRIMARY KEY, d bigint);
INSERT INTO unfit VALUES (1, 99999999999), (2, 2), (3, 99999999999);
TRUNCATE dbops.column_change RESTART IDENTITY;
\set VERBOSITY default
\set SHOW_CONTEXT never
CALL dbops.change_type('unfit', 'd', 'int');
\set VERBOSITY terse
CALL dbops.batched_backfill('valued.unfit', 'dbops_new_d = d', on_error => 'quarantine');
SELECT * FROM unfit ORDER BY id;
CALL dbops.abort_change(1);

SET client_min_messages = warning;
DROP SCHEMA valued CASCADE;
TRUNCATE dbops.column_change RESTART IDENTITY;
