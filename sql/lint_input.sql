-- lint_sql() with input that is no migration: it says what it cannot read, judges the rest, and runs nothing, whoever made what the text names.
\set VERBOSITY terse
CREATE SCHEMA regress_input;
SET search_path = regress_input;
CREATE TABLE t (a integer, b text);
INSERT INTO t VALUES (1, 'x');
CREATE FUNCTION found(sql text, in_transaction boolean DEFAULT NULL, OUT line integer, OUT rule text, OUT relation text, OUT why text) RETURNS SETOF record
    LANGUAGE sql AS 'SELECT line, rule, relation, left(why, 70) FROM dbops.lint_sql(sql, in_transaction) WHERE rule <> ''transaction.no_lock_timeout''';

-- nothing, and nothing but comments
SELECT * FROM found('');
SELECT * FROM found(E'-- nothing\n/* at /* all */ */ ;;;');
SELECT * FROM dbops.lint_sql(NULL);
-- what cannot be parsed, with its line, among what can
SELECT * FROM found(E'DROP TABLE t;\nSELEC 1;\nCREATE TABLE n (\n  a integer,,\n  b text);\nALTER TABLE t DROP COLUMN b;');
-- psql's commands, lines of data, and a script of pg_dump's
SELECT * FROM found(E'\\set x 1\n\\copy t from stdin\nDROP TABLE t;\n\\if :x\nSELECT :x, :''x'', :"x";\n\\endif');
SELECT * FROM found(E'COPY t (a, b) FROM stdin;\n1\tDROP TABLE t;\n2\tSELEC\n\\.\nTRUNCATE t;');
-- quotes, dollar quotes and comments without end: what is before them is judged
SELECT * FROM found(E'DROP TABLE t;\nSELECT ''it;\nTRUNCATE t;');
SELECT * FROM found(E'DROP TABLE t;\nSELECT "it;\nTRUNCATE t;');
SELECT * FROM found(E'DROP TABLE t;\nDO $x$ BEGIN $y$;\nTRUNCATE t;');
SELECT * FROM found(E'DROP TABLE t;\n/* no end\nTRUNCATE t;');
-- what is within quotes is no statement; what is within functions and DO is said to be unseen, or is not looked at
SELECT * FROM found(E'DO $$ BEGIN DROP TABLE t; END $$;\nCREATE FUNCTION f() RETURNS void LANGUAGE sql AS ''DROP TABLE t'';\nSELECT ''; DROP TABLE t;'';\nCALL p();');
-- bytes that are no text, and names of any kind
SELECT * FROM found(E'\x01\x02\x7f DROP TABLE t; \x0c TRUNCATE t;');
SELECT * FROM found('DROP TABLE "a""b;c", "' || repeat('x', 200) || '", nosuch.t, no.such.t, a.b.c.d');
SELECT * FROM found('ALTER TABLE nosuch ADD a integer; CREATE INDEX ON nosuch (a); UPDATE nosuch SET a = 1; ALTER TABLE t DROP COLUMN nosuch, ALTER nosuch TYPE bigint, ALTER nosuch SET NOT NULL, DROP CONSTRAINT nosuch, VALIDATE CONSTRAINT nosuch, ADD FOREIGN KEY (nosuch) REFERENCES nosuch, ADD UNIQUE USING INDEX nosuch');
-- nested as deep as the server's parser goes: that one is not judged
SELECT rule, why ~ 'stack depth|memory exhausted' AS deep FROM dbops.lint_sql('SELECT ' || repeat('(', 100000) || '1' || repeat(')', 100000) || '; DROP TABLE t', false) WHERE rule <> 'transaction.no_lock_timeout';
-- many statements
SELECT rule, count(*), max(line) FROM dbops.lint_sql(repeat(E'SELECT 1;\n', 100000) || 'DROP TABLE t') GROUP BY rule ORDER BY rule;
-- in a transaction that only reads, and in one that has failed
BEGIN READ ONLY;
SELECT * FROM found('DROP TABLE t');
SELECT 1 / 0;
SELECT * FROM found('DROP TABLE t');
ROLLBACK;
-- settings of the text last as long as it is judged
SELECT * FROM found('SET search_path = nosuch; DROP TABLE t');
SHOW search_path;
-- temporary tables, also before those that hide behind them, are nobody else's
CREATE TEMP TABLE t (a integer);
INSERT INTO pg_temp.t VALUES (1);
SELECT * FROM found('ALTER TABLE t ALTER a TYPE bigint; ALTER TABLE pg_temp.t ALTER a TYPE bigint; ALTER TABLE regress_input.t ALTER a TYPE bigint');
DROP TABLE pg_temp.t;
-- row security hides nothing that the catalog tells; who may not touch a table learns no more than its size
ALTER TABLE t ENABLE ROW LEVEL SECURITY;
CREATE ROLE regress_input_stranger;
GRANT USAGE ON SCHEMA dbops TO regress_input_stranger;
GRANT EXECUTE ON FUNCTION dbops.lint_sql TO regress_input_stranger;
SET ROLE regress_input_stranger;
SELECT line, rule, relation FROM dbops.lint_sql(E'ALTER TABLE regress_input.t ALTER a TYPE bigint;\nALTER TABLE regress_input.t ALTER a SET NOT NULL;\nDELETE FROM regress_input.t;\nSET ROLE postgres; DROP TABLE regress_input.t') ORDER BY line, rule;
SELECT current_user;
RESET ROLE;
REVOKE ALL ON FUNCTION dbops.lint_sql FROM regress_input_stranger;
REVOKE ALL ON SCHEMA dbops FROM regress_input_stranger;

-- Nothing of a user's is run: functions and operators that pretend to be immutable, casts, domains, and constraints of tables
-- would leave a lock of the session behind.
SET client_min_messages = warning;
CREATE SCHEMA regress_input_evil;
CREATE FUNCTION regress_input_evil.run(integer DEFAULT 1) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM pg_advisory_lock(4711, $1); RETURN 1; END';
CREATE FUNCTION regress_input_evil.run_sql(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT regress_input_evil.run(2)';
CREATE FUNCTION regress_input_evil.above(integer, integer) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM pg_advisory_lock(4711, 3); RETURN true; END';
CREATE FUNCTION regress_input_evil.length(text) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM pg_advisory_lock(4711, 4); RETURN 1; END';
CREATE OPERATOR regress_input_evil.> (LEFTARG = integer, RIGHTARG = integer, FUNCTION = regress_input_evil.above);
CREATE DOMAIN regress_input_evil.checked AS integer CHECK (value <> regress_input_evil.run(5));
CREATE DOMAIN regress_input_evil.behind AS regress_input_evil.checked;
CREATE DOMAIN regress_input_evil.plain AS integer;
CREATE TYPE regress_input_evil.pair AS (a integer);
CREATE FUNCTION regress_input_evil.to_integer(regress_input_evil.pair) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT regress_input_evil.run(6)';
CREATE CAST (regress_input_evil.pair AS integer) WITH FUNCTION regress_input_evil.to_integer(regress_input_evil.pair) AS IMPLICIT;
CREATE TABLE evil (a integer, b text, c regress_input_evil.behind, d regress_input_evil.pair);
INSERT INTO evil (a) VALUES (1);
CREATE INDEX evil_run ON evil (regress_input_evil.length(b)) WHERE regress_input_evil.length(b) = 1;
ALTER TABLE evil ADD CONSTRAINT evil_run CHECK (regress_input_evil.run(7) = 1 OR a IS NULL);
ALTER TABLE evil ADD CONSTRAINT evil_null CHECK (regress_input_evil.run(8) = 1 AND b IS NOT NULL) NOT VALID;
UPDATE evil SET b = 'x';
ALTER TABLE evil VALIDATE CONSTRAINT evil_null;
SELECT pg_advisory_unlock_all();
\c -
SET search_path = regress_input_evil, pg_catalog, regress_input;
SELECT line, rule, relation FROM dbops.lint_sql($text$ALTER TABLE evil ADD c1 integer DEFAULT run(), ADD c2 checked DEFAULT 1, ADD c3 behind DEFAULT 1 NOT NULL, ADD c4 plain DEFAULT 1;
ALTER TABLE evil ADD c5 integer DEFAULT (row(1)::pair)::integer, ADD c6 boolean DEFAULT 1 > 0, ADD c7 integer DEFAULT length('x'), ADD c8 integer DEFAULT run_sql(1);
ALTER TABLE evil ALTER a TYPE checked;
ALTER TABLE evil ALTER a TYPE plain;
ALTER TABLE evil ALTER c TYPE integer;
ALTER TABLE evil ALTER d TYPE integer;
ALTER TABLE evil ALTER b TYPE integer USING run();
ALTER TABLE evil ALTER a SET NOT NULL;
ALTER TABLE evil ALTER b SET NOT NULL;
ALTER TABLE evil ADD CONSTRAINT n CHECK (a > 0 AND a IS NOT NULL AND run() = 1) NOT VALID; ALTER TABLE evil VALIDATE CONSTRAINT n; ALTER TABLE evil ALTER a SET NOT NULL;
CREATE INDEX ON evil (length(b)) WHERE a > 0 AND run() = 1; CREATE STATISTICS s ON (length(b)), a FROM evil;
UPDATE evil SET a = run() WHERE a > 0; DELETE FROM evil WHERE run() = 1; SELECT run(), 1 > 0; INSERT INTO evil VALUES (run());
CREATE TABLE made (a integer DEFAULT run() CHECK (run() > 0), b integer GENERATED ALWAYS AS (length('x')) STORED, c checked DEFAULT 1);
CREATE POLICY p ON evil USING (run() > 0); CREATE VIEW v AS SELECT run(); CREATE TRIGGER g BEFORE INSERT ON evil FOR EACH ROW WHEN (run() > 0) EXECUTE FUNCTION run();
ALTER DOMAIN checked ADD CHECK (run() > value); ALTER DOMAIN behind SET NOT NULL; CREATE PUBLICATION p FOR TABLE evil WHERE (run() > 0);$text$)
 WHERE rule ~ '^column|unjudged';
SELECT objid FROM pg_locks WHERE locktype = 'advisory' AND classid = 4711 ORDER BY objid;
SELECT count(*) > 0 AS planned FROM dbops.check_migration('ALTER TABLE evil ADD c2 checked DEFAULT 1, ALTER b SET NOT NULL; UPDATE evil SET a = run(); CREATE INDEX ON evil (length(b))', depth => 'plan');
SELECT objid FROM pg_locks WHERE locktype = 'advisory' AND classid = 4711 ORDER BY objid;
-- and what a type of the text's own means is known: an array of its values is a constant, and no value is of a new type yet
SELECT line, rule, relation FROM dbops.lint_sql($text$CREATE TYPE mood AS ENUM ('calm');
ALTER TABLE evil ADD m mood[] DEFAULT ARRAY['calm']::mood[], ADD n mood[] DEFAULT ARRAY[moody()];
ALTER TABLE evil ALTER b TYPE mood USING b::mood;$text$) WHERE rule LIKE 'column.%';
-- a type that is stored alike: what hangs on the column is built or checked again, unless it need not be; the time zone is that of the text
SET search_path = regress_input;
CREATE TABLE alike (a varchar(10), b varchar(10), c text COLLATE "C", d integer CHECK (d > 0), e varchar(10), f timestamp, g text COLLATE "C");
INSERT INTO alike (d) VALUES (1);
CREATE INDEX ON alike (lower(a));
CREATE INDEX ON alike (e) WHERE b <> '';
CREATE INDEX ON alike (c);
SELECT line, rule, relation, why FROM dbops.lint_sql($text$ALTER TABLE alike ALTER a TYPE varchar(20);
ALTER TABLE alike ALTER b TYPE varchar(20);
ALTER TABLE alike ALTER c TYPE text COLLATE "POSIX";
ALTER TABLE alike ALTER d TYPE regress_input_evil.plain;
ALTER TABLE alike ALTER c TYPE varchar COLLATE "C", ALTER g TYPE text COLLATE "POSIX";
SET timezone = 'UTC'; ALTER TABLE alike ALTER f TYPE timestamptz;
SET timezone = 'Europe/Berlin'; ALTER TABLE alike ALTER f TYPE timestamptz;
SET timezone = 'Nowhere'; ALTER TABLE alike ALTER f TYPE timestamptz;$text$) WHERE rule LIKE 'column.%';
-- however much there is of what is wrong, it takes time and memory by its length: names that are cut to the same, mistakes, extensions
BEGIN;
SET LOCAL statement_timeout = '60s';
SELECT rule, count(*), max(length(why)) AS longest FROM dbops.lint_sql((SELECT string_agg('CREATE TABLE ' || repeat('x', 64) || g || ' (a int PRIMARY KEY);', E'\n') FROM generate_series(1, 20000) g)) WHERE rule = 'name.clash' GROUP BY 1;
SELECT left(why, 70) AS begins, length(why) FROM dbops.lint_sql(format('CREATE TABLE "%s1" (a int); CREATE TABLE "%1$s2" (a int)', repeat('y', 100000))) WHERE rule = 'name.clash';
SELECT rule, count(*), min(line), max(line) FROM dbops.lint_sql(repeat(E'SELEC 1;\n', 200000)) GROUP BY 1;
SELECT rule, count(*), min(line), max(line) FROM dbops.lint_sql(repeat(E'COPY 1;\n', 100000)) GROUP BY 1;
SELECT relation, count(*) FROM dbops.lint_sql(repeat('CREATE EXTENSION there_is_none; ALTER EXTENSION plpgsql UPDATE;', 3000)) WHERE rule LIKE 'extension.%' GROUP BY 1;
SELECT rule, relation FROM found('ALTER TABLE t ' || (SELECT string_agg('ADD c' || g || ' int', ', ') FROM generate_series(1, 50000) g), false);
SELECT rule, relation FROM found('UPDATE t SET ' || (SELECT string_agg('c' || g || ' = 1', ', ') FROM generate_series(1, 50000) g), false);
-- what the server's scanner would read again from each of its characters is not given to it: comments opened in each other, and no operators
SELECT * FROM found('DROP TABLE t; ' || repeat('/*', 1000000) || repeat('*/', 1000000) || ' TRUNCATE t;');
SELECT * FROM found('DROP TABLE t; SELECT 1 ' || repeat('+', 1000000) || ' 1; TRUNCATE t;');
SELECT * FROM found(repeat(E'/* /* */ /*/***/*/ */ --/*\n', 100) || '/*' || repeat('*', 10000) || '/ DROP TABLE t /*' || repeat('-', 10000) || '*/;--' || repeat('/*', 1000));
SELECT * FROM found(E'COPY t (a, b) FROM stdin;\n' || repeat('/*', 1000) || E'\n\\.\n\\echo ' || repeat('/*', 1000) || E'\nTRUNCATE t;');
COMMIT;
-- and who holds a table makes all of a text wait once, not each of its statements
BEGIN;
LOCK TABLE t;
PREPARE TRANSACTION 'lint_input holder';
SELECT clock_timestamp() AS began \gset
SELECT rule, count(*) FROM dbops.lint_sql(repeat('ALTER TABLE t ALTER a SET NOT NULL;', 200)) WHERE rule = 'text.unjudged' GROUP BY 1;
SELECT clock_timestamp() - :'began'::timestamptz < interval '15 s' AS waited_once;
ROLLBACK PREPARED 'lint_input holder';
SET client_min_messages = warning;
DROP SCHEMA regress_input, regress_input_evil CASCADE;
DROP ROLE regress_input_stranger;
