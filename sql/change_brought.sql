-- Changes of columns that a dump, a copy or an upgrade has brought: listed with the call that takes them over, and of those of which only
-- the trigger came nothing is lost that was written to one of the columns meanwhile. (Real dumps are tried by hand: they are the server's.)
\set VERBOSITY terse
\set SHOW_CONTEXT never
SET client_min_messages = warning;
TRUNCATE dbops.column_change RESTART IDENTITY;
CREATE SCHEMA brought;
SET search_path = brought;
CREATE FUNCTION unfinished() RETURNS TABLE (table_name regclass, object text, detail text, command text) LANGUAGE sql
    AS 'SELECT table_name, object, detail, command FROM dbops.unfinished_changes() WHERE kind = ''column change'' ORDER BY 1, 2';
CREATE TABLE t (id int PRIMARY KEY, a text, n int UNIQUE);
INSERT INTO t SELECT g, 'x' || g, g FROM generate_series(1, 100) g;
CREATE TABLE "T p" (id int, "o'ld" text, m text) PARTITION BY RANGE (id);
CREATE TABLE "T p1" PARTITION OF "T p" FOR VALUES FROM (0) TO (10);
INSERT INTO "T p" VALUES (1, 'one');
CALL dbops.rename_column('t', 'a', 'aa');
CALL dbops.change_type('t', 'n', 'bigint', 'n + 1');
CALL dbops.sync_columns('"T p"', 'm = upper("o''ld")');

-- with their rows: each with its call, which takes it over
UPDATE dbops.column_change SET home = '1/1', relid = 1;
SELECT * FROM unfinished();
SELECT command FROM unfinished() WHERE object <> 'm' \gexec
SELECT table_name, object, command FROM unfinished();
-- not those whose tables did not come along
UPDATE dbops.column_change SET table_name = 'brought.gone' WHERE home = '1/1';
SELECT object, command FROM unfinished();

-- without: it is said, and a writer is told once
DELETE FROM dbops.column_change;
\c -
\set VERBOSITY terse
SET search_path = brought;
SELECT * FROM unfinished();
INSERT INTO t (id, a) VALUES (1001, 'old');
INSERT INTO t (id, aa) VALUES (1002, 'new');
UPDATE t SET a = 'u' WHERE id = 1;
UPDATE t SET a = 'x3', aa = 'y3' WHERE id = 3;
INSERT INTO "T p" VALUES (2, 'two');
SET client_min_messages = warning;
-- the same call takes the columns over, when no value would be lost by that; also when it is made again
CALL dbops.rename_column('t', 'a', 'aa');
\set VERBOSITY default
CALL dbops.rename_column('t', 'a', 'aa');
\set VERBOSITY terse
SELECT id, a, aa FROM t WHERE aa IS NOT NULL AND pg_catalog.record_image_ne(ROW(aa), ROW(a)) ORDER BY id;
UPDATE t SET aa = a WHERE id = 1;
UPDATE t SET a = aa WHERE id IN (3, 1002);
CALL dbops.rename_column('t', 'a', 'aa');
SELECT id, a, aa FROM t WHERE id IN (1, 3, 1001, 1002) ORDER BY id;
-- another type, or another name, is not what the trigger stands for
CALL dbops.change_type('t', 'n', 'numeric', 'n + 1');
CALL dbops.rename_column('t', 'n', 'a');
SELECT object, command FROM unfinished();
UPDATE t SET n = 500 WHERE id = 5;
\set VERBOSITY default
CALL dbops.change_type('t', 'n', 'bigint', 'n + 1');
\set VERBOSITY terse
UPDATE t SET dbops_new_n = CAST(n + 1 AS bigint) WHERE id = 5;
CALL dbops.change_type('t', 'n', 'bigint', 'n + 1');
CALL dbops.sync_columns('"T p"', 'm = upper("o''ld")');
SELECT * FROM "T p" ORDER BY id;
SELECT id AS change FROM dbops.column_change WHERE column_name = 'n' AND state = 'ready' \gset
CALL dbops.finish_change(:change);
SELECT id AS change FROM dbops.column_change WHERE column_name = 'a' AND state = 'ready' \gset
CALL dbops.finish_change(:change);
SELECT * FROM t WHERE id IN (1, 3, 5, 1001, 1002) ORDER BY id;
SELECT object FROM unfinished();
-- a column of that name without the trigger is somebody's
SELECT id AS change FROM dbops.column_change WHERE column_name = 'm' AND state = 'ready' \gset
CALL dbops.abort_change(:change);
CALL dbops.rename_column('"T p"', 'o''ld', 'm');

SET client_min_messages = warning;
DROP SCHEMA brought CASCADE;
TRUNCATE dbops.column_change RESTART IDENTITY;
