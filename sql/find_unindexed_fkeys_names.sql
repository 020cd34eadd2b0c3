--
-- find_unindexed_fkeys: statements that run as printed whatever things are
-- called and whatever the search_path is, and one statement for all foreign
-- keys that it helps. pg_regress, because it is names in and text out.
--
SET client_min_messages = warning;
CREATE SCHEMA "Fk ""n""";
CREATE SCHEMA fkn;
SET search_path = "Fk ""n""";
\pset null -

CREATE TABLE "P" ("K" int PRIMARY KEY, k2 int, UNIQUE ("K", k2));
CREATE TABLE "select" ("from" int REFERENCES "P");
CREATE TABLE "a ""quoted"" one" ("it's; --" int REFERENCES "P");
CREATE TABLE "line
break" ("back\slash
" int REFERENCES "P");
-- 63 bytes, and 2 to 4 bytes a character at the edge
CREATE TABLE t23456789_123456789_123456789_123456789_123456789_123456789_123
    (c23456789_123456789_123456789_123456789_123456789_123456789_123 int REFERENCES "P");
CREATE TABLE "ääääääääääääääääääääääääääääääx" ("öööööööööööööööööööööööööööööö" int REFERENCES "P");
CREATE TABLE "表表表表表表表表表表表表表表表表表表表表" ("🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘" int REFERENCES "P");
-- a name that is taken, and one that two suggestions would share
CREATE TABLE taken (a int REFERENCES "P");
CREATE TABLE taken_a_idx ();
CREATE SEQUENCE taken_a_idx1;
CREATE TABLE shared (a_b int REFERENCES "P", a int, b int, FOREIGN KEY (a, b) REFERENCES "P" ("K", k2));
-- the same name is free in another schema
CREATE TABLE fkn.taken (a int REFERENCES "P");
-- several foreign keys that one index serves
CREATE TABLE several (a int REFERENCES "P", b int, FOREIGN KEY (a, b) REFERENCES "P" ("K", k2),
    CONSTRAINT again FOREIGN KEY (a) REFERENCES "P" ON DELETE CASCADE,
    CONSTRAINT turned FOREIGN KEY (b, a) REFERENCES "P" (k2, "K"));
-- a self-reference, a temporary table, an unlogged one
CREATE TABLE self (k int PRIMARY KEY, up int REFERENCES self);
CREATE UNLOGGED TABLE unlogged (a int REFERENCES "P");
CREATE TEMP TABLE temp_p (k int PRIMARY KEY);
CREATE TEMP TABLE temp_f (a int REFERENCES temp_p);

SELECT table_name, columns, create_index, constraint_name, referenced_table, reason
  FROM dbops.find_unindexed_fkeys()
 ORDER BY table_name::text COLLATE "C", columns, constraint_name;

-- Whether a name is visible changes how it is printed, never the statement.
SET search_path = '';
SELECT count(*) FROM dbops.find_unindexed_fkeys() WHERE create_index !~ ' ON ("Fk ""n"""|fkn|pg_temp)\.';
SET quote_all_identifiers = on;
SELECT table_name, columns, create_index FROM dbops.find_unindexed_fkeys() WHERE table_name::text ~ 'unlogged';
RESET quote_all_identifiers;

\o /dev/null
SELECT create_index FROM dbops.find_unindexed_fkeys() \gexec
\o
SELECT * FROM dbops.find_unindexed_fkeys();

--
-- Foreign keys that are never looked up by, or not by ordinary sessions.
--
CREATE TABLE fkn.off (a int REFERENCES "Fk ""n"""."P");
CREATE TABLE fkn.off_p (k int PRIMARY KEY);
CREATE TABLE fkn.off_f (a int REFERENCES fkn.off_p, b int, CONSTRAINT not_valid FOREIGN KEY (b) REFERENCES fkn.off_p NOT VALID);
CREATE INDEX ON fkn.off (a);
SELECT columns FROM dbops.find_unindexed_fkeys() ORDER BY 1;
-- those on the referencing table only check new rows
ALTER TABLE fkn.off_f DISABLE TRIGGER ALL;
SELECT columns FROM dbops.find_unindexed_fkeys() ORDER BY 1;
ALTER TABLE fkn.off_p DISABLE TRIGGER ALL;
SELECT columns FROM dbops.find_unindexed_fkeys() ORDER BY 1;
\set ECHO none
SELECT format('ALTER TABLE fkn.off_p ENABLE REPLICA TRIGGER %I', tgname) FROM pg_trigger WHERE tgrelid = 'fkn.off_p'::regclass ORDER BY oid
\gexec
\set ECHO all
SELECT columns, severity, reason FROM dbops.find_unindexed_fkeys() ORDER BY 1;
\set ECHO none
SELECT format('ALTER TABLE fkn.off_p ENABLE ALWAYS TRIGGER %I', tgname) FROM pg_trigger WHERE tgrelid = 'fkn.off_p'::regclass ORDER BY oid
\gexec
\set ECHO all
SELECT columns, severity, reason FROM dbops.find_unindexed_fkeys() ORDER BY 1;
DROP TABLE fkn.off_f, fkn.off_p;

-- Inheritance: each table is looked up alone.
CREATE TABLE fkn.parent (a int REFERENCES "Fk ""n"""."P");
CREATE TABLE fkn.child () INHERITS (fkn.parent);
CREATE INDEX ON fkn.child (a);
SELECT table_name FROM dbops.find_unindexed_fkeys();
CREATE INDEX ON fkn.parent (a);
SELECT table_name FROM dbops.find_unindexed_fkeys();

-- An extension's table is its author's affair.
CREATE TABLE fkn.member (a int REFERENCES "Fk ""n"""."P");
ALTER EXTENSION dbops ADD TABLE fkn.member;
SELECT table_name FROM dbops.find_unindexed_fkeys();
ALTER EXTENSION dbops DROP TABLE fkn.member;
SELECT table_name FROM dbops.find_unindexed_fkeys();
DROP TABLE fkn.member;

-- A cast that is not immutable cannot be indexed.
CREATE TYPE fkn.e AS ENUM ('a', 'b');
CREATE FUNCTION fkn.e_int(fkn.e) RETURNS int LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN ascii($1::varchar); END $$;
CREATE CAST (fkn.e AS int) WITH FUNCTION fkn.e_int AS IMPLICIT;
CREATE TABLE fkn.cast_p (k int PRIMARY KEY);
CREATE TABLE fkn.cast_f (a fkn.e REFERENCES fkn.cast_p);
CREATE INDEX ON fkn.cast_f (a);
SELECT create_index, reason FROM dbops.find_unindexed_fkeys();
DROP TABLE fkn.cast_f;

--
-- Severity: bytes, the action, the deletes that were seen.
--
CREATE TABLE fkn.p (k int PRIMARY KEY);
INSERT INTO fkn.p VALUES (1), (2);
CREATE TABLE fkn.tiny (a int REFERENCES fkn.p ON DELETE CASCADE);
CREATE TABLE fkn.small (a int REFERENCES fkn.p, fill text);
CREATE TABLE fkn.writes (a int REFERENCES fkn.p ON UPDATE SET NULL, fill text);
CREATE TABLE fkn.large (a int REFERENCES fkn.p, fill text);
ALTER TABLE fkn.small ALTER fill SET STORAGE PLAIN;
ALTER TABLE fkn.writes ALTER fill SET STORAGE PLAIN;
ALTER TABLE fkn.large ALTER fill SET STORAGE PLAIN;
INSERT INTO fkn.small SELECT 1, repeat('-', 7000) FROM generate_series(1, 100);
INSERT INTO fkn.writes SELECT 1, repeat('-', 7000) FROM generate_series(1, 100);
INSERT INTO fkn.large SELECT 1, repeat('-', 7000) FROM generate_series(1, 1300);
CREATE TABLE fkn.partly (a int, b int, fill text);
ALTER TABLE fkn.partly ALTER fill SET STORAGE PLAIN;
CREATE TABLE fkn.p2 (k int, k2 int, PRIMARY KEY (k, k2));
INSERT INTO fkn.p2 VALUES (1, 1), (2, 2);
INSERT INTO fkn.partly SELECT 1, 1, repeat('-', 7000) FROM generate_series(1, 1300);
CREATE INDEX ON fkn.partly (a);
ALTER TABLE fkn.partly ADD FOREIGN KEY (a, b) REFERENCES fkn.p2 ON DELETE CASCADE;
-- the foreign keys do not refer to the rows of a table that inherits
CREATE TABLE fkn.heir () INHERITS (fkn.p);
INSERT INTO fkn.heir VALUES (1);
DELETE FROM fkn.heir;
SELECT pg_stat_force_next_flush();
SELECT table_name, severity, bytes, reason FROM dbops.find_unindexed_fkeys();
DELETE FROM fkn.p WHERE k = 2;
DELETE FROM fkn.p2 WHERE k = 2;
SELECT pg_stat_force_next_flush();
SELECT table_name, severity, reason FROM dbops.find_unindexed_fkeys();

SET client_min_messages = error;
DROP SCHEMA fkn CASCADE;
DROP SCHEMA "Fk ""n""" CASCADE;
