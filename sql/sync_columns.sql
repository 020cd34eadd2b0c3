-- sync_columns(): columns that are filled from others of the same row, and the way back.
\set VERBOSITY terse
SET dbops.progress_interval = 0;
TRUNCATE dbops.column_change RESTART IDENTITY;
CREATE SCHEMA kept;
SET search_path = kept;
CREATE TABLE "user" (id integer PRIMARY KEY, name text NOT NULL, "firstName" text, "lastName" text);
INSERT INTO "user" VALUES (1, 'Ada Lovelace'), (2, 'Grace Brewster Hopper'), (3, 'Plato'), (4, 'Alan  Turing');

-- A name is split into first and last, and put together again.
\set VERBOSITY default
CALL dbops.sync_columns('"user"',
    $$ "firstName" = split_part(name, ' ', 1), "lastName" = nullif(ltrim(substr(name, length(split_part(name, ' ', 1)) + 1)), '') $$,
    $$ name = concat_ws(' ', "firstName", "lastName") $$, dry_run => true);
\set VERBOSITY terse
CALL dbops.sync_columns('"user"',
    $$ "firstName" = split_part(name, ' ', 1), "lastName" = nullif(ltrim(substr(name, length(split_part(name, ' ', 1)) + 1)), '') $$,
    $$ name = concat_ws(' ', "firstName", "lastName") $$);
SELECT * FROM "user" ORDER BY id;
-- The old version writes names, the new one their parts.
INSERT INTO "user" (id, name) VALUES (5, 'Barbara Liskov') RETURNING *;
INSERT INTO "user" (id, "firstName", "lastName") VALUES (6, 'Edsger', 'Dijkstra') RETURNING *;
UPDATE "user" SET name = 'Ada King' WHERE id = 1 RETURNING *;
UPDATE "user" SET "lastName" = 'Hopper' WHERE id = 2 RETURNING *;
UPDATE "user" SET "firstName" = 'Aristocles', "lastName" = NULL WHERE id = 3 RETURNING *;
-- What the way back would lose stays where nothing is changed: two blanks.
UPDATE "user" SET "lastName" = "lastName" WHERE id = 4 RETURNING *;
UPDATE "user" SET name = 'Kurt G', "firstName" = 'x', "lastName" = 'y' WHERE id = 6 RETURNING *;
-- Another backfill is as good as any writer.
CALL dbops.batched_backfill('"user"', '"lastName" = upper("lastName")');
SELECT * FROM "user" ORDER BY id;
-- Again, in another way, and a column in use.
CALL dbops.sync_columns('"user"',
    $$ "firstName" = split_part(name, ' ', 1), "lastName" = nullif(ltrim(substr(name, length(split_part(name, ' ', 1)) + 1)), '') $$,
    $$ name = concat_ws(' ', "firstName", "lastName") $$);
CALL dbops.sync_columns('"user"', '"firstName" = name');
CALL dbops.rename_column('"user"', 'name', 'called');
SELECT id AS change FROM dbops.column_change WHERE column_name = 'firstName' \gset
\set VERBOSITY default
CALL dbops.finish_change(:change, drop_old_columns => true, dry_run => true);
\set VERBOSITY terse
CALL dbops.finish_change(:change, drop_old_columns => true);
CALL dbops.finish_change(:change, drop_old_columns => true);
\d "user"

-- One way, with a function that fails for some rows: they are written as they are.
CREATE TABLE parts (id integer, t text, n integer, doubled integer);
CREATE FUNCTION number_of(text) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN RETURN $1::integer; END $$;
ALTER FUNCTION number_of(text) IMMUTABLE;
INSERT INTO parts VALUES (1, '1'), (2, '2');
CALL dbops.sync_columns('parts', 'n = kept.number_of(t), doubled = 2 * kept.number_of(t)');
INSERT INTO parts VALUES (3, '3') RETURNING *;
INSERT INTO parts VALUES (4, 'four') RETURNING *;
INSERT INTO parts VALUES (5, 'five') RETURNING *;
UPDATE parts SET n = 7 WHERE id = 1 RETURNING *;
SELECT id AS change FROM dbops.column_change WHERE column_name = 'n' \gset
CALL dbops.abort_change(:change);
CALL dbops.abort_change(:change);
CALL dbops.finish_change(:change);
INSERT INTO parts VALUES (6, '6') RETURNING *;
-- A row that fails ends the call, which goes on when it has been set right.
\set VERBOSITY sqlstate
CALL dbops.sync_columns('parts', 'n = kept.number_of(t), doubled = 2 * kept.number_of(t)');
\set VERBOSITY terse
UPDATE parts SET t = '4' WHERE id IN (4, 5);
CALL dbops.sync_columns('parts', 'n = kept.number_of(t), doubled = 2 * kept.number_of(t)');
SELECT * FROM parts ORDER BY id;
SELECT id AS change FROM dbops.column_change WHERE column_name = 'n' AND state = 'ready' \gset
CALL dbops.finish_change(:change);
-- A table that is gone takes its change with it.
CALL dbops.sync_columns('parts', 'n = length(t)');
SELECT id AS change FROM dbops.column_change WHERE column_name = 'n' AND state = 'ready' \gset
DROP TABLE parts;
CALL dbops.abort_change(:change);

-- Refused.
CREATE TABLE refused (id integer PRIMARY KEY, a integer, b integer, c integer DEFAULT 0);
CALL dbops.sync_columns('refused', 'a = b; DROP TABLE refused');
CALL dbops.sync_columns('refused', 'a = b WHERE true');
CALL dbops.sync_columns('refused', 'a = 1');
CALL dbops.sync_columns('refused', 'a = a + b');
CALL dbops.sync_columns('refused', 'a = b * random()');
CALL dbops.sync_columns('refused', 'a = (SELECT b)');
CALL dbops.sync_columns('refused', 'nothing = b');
CALL dbops.sync_columns('refused', 'a = b', 'b = (SELECT a)');
CALL dbops.sync_columns('refused', 'a = b', 'id = a');
CALL dbops.sync_columns('refused', 'c = b', 'b = c');
CALL dbops.sync_columns('refused', 'id = b');
CALL dbops.sync_columns('refused', 'a = id', 'id = a');
CALL dbops.sync_columns('refused', NULL);
CALL dbops.finish_change(0);
CALL dbops.finish_change(NULL);
CALL dbops.abort_change(0);
SELECT count(*) FROM dbops.column_change WHERE state IN ('expanding', 'ready');

-- One that a dump has brought from another database: it goes on, but nothing is done to it until it is taken over.
CALL dbops.sync_columns('refused', 'a = b', 'b = a');
SELECT id AS change FROM dbops.column_change WHERE column_name = 'a' AND state = 'ready' \gset
UPDATE dbops.column_change SET home = '1/1', relid = 1 WHERE id = :change;
INSERT INTO refused (id, b) VALUES (1, 1) RETURNING *;
CALL dbops.finish_change(:change);
CALL dbops.abort_change(:change);
CALL dbops.sync_columns('refused', 'a = b', 'b = a');
SELECT state, relid::regclass, home <> '1/1' FROM dbops.column_change WHERE id = :change;
CALL dbops.abort_change(:change);

SET client_min_messages = warning;
DROP SCHEMA kept CASCADE;
TRUNCATE dbops.column_change RESTART IDENTITY;
