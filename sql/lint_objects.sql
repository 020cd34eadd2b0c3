-- lint_sql() on what belongs to tables, or is used by them: functions, views, rights,
-- policies, publications and schemas; what the text itself has done to them counts.
SET client_min_messages = warning;
CREATE SCHEMA lno;
SET search_path = lno, public;
SET lock_timeout = '1s';
CREATE FUNCTION twice(x int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT x * 2';
CREATE TABLE "Odd ""T" (id int, k int, g int GENERATED ALWAYS AS (twice(id)) STORED, CONSTRAINT "K k" CHECK (twice(id) > 0));
INSERT INTO "Odd ""T" SELECT g, g FROM generate_series(1, 10) g;
CREATE INDEX "Odd i" ON "Odd ""T" (twice(k));
CREATE TABLE parted (id int) PARTITION BY LIST (twice(id));
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES IN (2);
INSERT INTO parted VALUES (1);
CREATE TABLE plain (id int);
INSERT INTO plain VALUES (1);
CREATE TABLE empty_one (id int, CHECK (twice(id) > 0));
CREATE VIEW doubled AS SELECT twice(id) AS t FROM parted;
CREATE FUNCTION "100%s %n"(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE INDEX "%s %d" ON plain ("100%s %n"(id));
RESET client_min_messages;
CREATE FUNCTION pg_temp.found(sql text) RETURNS TABLE (line int, rule text, severity text, relation text, why text, safer text) LANGUAGE sql
    AS $$ SELECT line, rule, severity, relation, why, safer_sql FROM dbops.lint_sql(sql, false) WHERE rule NOT IN ('transaction.no_idle_timeout', 'table.altered_again') $$;

-- a function whose results are stored
SELECT relation, why, safer FROM pg_temp.found($$CREATE OR REPLACE FUNCTION twice(x int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT x + x'$$);
SELECT rule, relation FROM pg_temp.found('ALTER FUNCTION twice STABLE; ALTER FUNCTION twice COST 7');
SELECT rule, relation FROM pg_temp.found('CREATE OR REPLACE FUNCTION twice(x int) RETURNS int LANGUAGE sql IMMUTABLE RETURN x + x; CREATE OR REPLACE FUNCTION public.twice(x int) RETURNS int LANGUAGE sql AS $$SELECT 1$$');
SELECT relation, why, safer FROM pg_temp.found($$CREATE OR REPLACE FUNCTION "100%s %n"(int) RETURNS int LANGUAGE sql AS 'SELECT $1'; DROP FUNCTION "100%s %n"$$) WHERE rule LIKE 'function%';
-- what uses it, but for what the text has dropped
SELECT relation, why FROM pg_temp.found('DROP FUNCTION twice');
SELECT relation, why FROM pg_temp.found('DROP TABLE "Odd ""T"; DROP VIEW doubled; ALTER TABLE empty_one DROP CONSTRAINT empty_one_id_check; DROP FUNCTION twice(int) CASCADE') WHERE rule = 'function.in_use';

-- what cannot take the place of what is there
CREATE FUNCTION args(a int, b int DEFAULT 1, OUT c int, OUT d text) LANGUAGE sql AS $$SELECT 1, 'x'$$;
CREATE PROCEDURE does(a int) LANGUAGE sql AS 'SELECT 1';
SELECT line, rule, relation, why FROM pg_temp.found($$CREATE OR REPLACE FUNCTION args(a int, b int DEFAULT 1, OUT c int, OUT d text) LANGUAGE sql AS 'SELECT 2, ''y''';
CREATE OR REPLACE FUNCTION args(x int, b int DEFAULT 1, OUT c int, OUT d text) LANGUAGE sql AS 'SELECT 2, ''y''';
CREATE OR REPLACE FUNCTION args(a int, b int, OUT c int, OUT d text) LANGUAGE sql AS 'SELECT 2, ''y''';
CREATE OR REPLACE FUNCTION args(a int, b int DEFAULT 1, OUT c int, OUT d int) LANGUAGE sql AS 'SELECT 2, 1';
CREATE OR REPLACE FUNCTION args(a int, b int DEFAULT 1) RETURNS SETOF int LANGUAGE sql AS 'SELECT 2';
CREATE OR REPLACE FUNCTION args(a int, b text) RETURNS int LANGUAGE sql AS 'SELECT 2';
CREATE OR REPLACE FUNCTION does(a int) RETURNS int LANGUAGE sql AS 'SELECT 2';
CREATE OR REPLACE PROCEDURE does(a int) LANGUAGE sql AS 'SELECT 2';$$);
SELECT line, why, safer FROM pg_temp.found($$CREATE OR REPLACE VIEW doubled AS SELECT id AS t, id FROM parted;
CREATE OR REPLACE VIEW doubled AS SELECT id FROM parted;
CREATE OR REPLACE VIEW doubled (t) AS SELECT id FROM parted;
CREATE OR REPLACE VIEW doubled AS SELECT id::bigint AS t FROM parted;
CREATE OR REPLACE VIEW doubled AS SELECT id AS t FROM not_there;$$);

-- what runs others
SELECT line, why FROM pg_temp.found($$DO 'BEGIN IF true THEN ALTER TABLE parted ADD a int; EXECUTE format(''DROP TABLE %I'', 1); END IF; DELETE FROM parted; END';
DO $body$BEGIN PERFORM 'execute; drop'; END$body$;
CALL does(1);
SELECT 1 FROM parted WHERE id = (SELECT args.c FROM args(1));
SELECT count(*), twice(1) FROM parted;
EXECUTE some_plan;$$);

-- rights
CREATE ROLE regress_lint_grantee;
GRANT SELECT (id) ON parted TO regress_lint_grantee;
GRANT regress_lint_grantee TO pg_monitor;
SELECT line, rule, relation FROM pg_temp.found($$REVOKE ALL ON parted FROM regress_lint_grantee;
REVOKE ALL ON empty_one FROM regress_lint_grantee;
REVOKE ALL ON ALL TABLES IN SCHEMA lno FROM regress_lint_grantee, PUBLIC;
REVOKE regress_lint_grantee FROM pg_monitor;
REVOKE regress_lint_grantee FROM pg_read_all_data;
GRANT USAGE ON SCHEMA lno TO PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
GRANT SELECT ON not_there, parted TO PUBLIC;$$);
REVOKE regress_lint_grantee FROM pg_monitor;

-- policies
SELECT line, rule, relation, why FROM pg_temp.found($$CREATE POLICY none ON parted AS RESTRICTIVE USING (false);
ALTER TABLE parted ENABLE ROW LEVEL SECURITY;
CREATE POLICY all_of_them ON parted USING (true);
CREATE POLICY fewer ON parted AS RESTRICTIVE USING (false);
ALTER POLICY all_of_them ON parted USING (false);
CREATE POLICY first ON empty_one USING (true);
ALTER TABLE empty_one ENABLE ROW LEVEL SECURITY;
CREATE TABLE new (a int);
ALTER TABLE new ENABLE ROW LEVEL SECURITY;$$);

-- at once where nothing follows, so that the guard sees it
SELECT line, rule, relation FROM pg_temp.found('ALTER TABLE plain ENABLE ROW LEVEL SECURITY');
SET dbops.guard_min_size = '1kB';
SET dbops.ddl_guard = 'enforce';
ALTER TABLE plain ENABLE ROW LEVEL SECURITY;
CREATE POLICY all_of_it ON plain USING (true);
ALTER TABLE plain ENABLE ROW LEVEL SECURITY;
RESET dbops.ddl_guard;
RESET dbops.guard_min_size;

-- keys of what is published
SELECT line, rule, relation FROM pg_temp.found($$CREATE PUBLICATION p FOR TABLES IN SCHEMA lno;
CREATE TABLE new (a int);
CREATE TABLE with_key (a int);
CREATE TEMP TABLE passing (a int);
CREATE TABLE part PARTITION OF parted DEFAULT;
CREATE TABLE public.elsewhere (a int);
ALTER TABLE with_key ADD PRIMARY KEY (a);$$) WHERE rule LIKE 'table.%';
SELECT line, rule, relation FROM pg_temp.found('CREATE PUBLICATION p FOR TABLES IN SCHEMA CURRENT_SCHEMA; CREATE TABLE new (a int)') WHERE rule LIKE 'table.%';
SELECT line, rule, relation FROM pg_temp.found($$CREATE PUBLICATION p FOR ALL TABLES WITH (publish = 'insert, truncate'); CREATE TABLE new (a int);$$) WHERE rule LIKE 'table.%';
SELECT line, rule, relation FROM pg_temp.found($$CREATE PUBLICATION p FOR TABLES IN SCHEMA lno; CREATE TABLE new (a int); DROP PUBLICATION p;$$) WHERE rule LIKE 'table.%';
SELECT line, rule, relation FROM pg_temp.found($$CREATE TABLE new (a int); ALTER TABLE new REPLICA IDENTITY FULL; CREATE PUBLICATION p FOR TABLE new, empty_one;
ALTER PUBLICATION p ADD TABLE parted_2; ALTER PUBLICATION p DROP TABLE parted_2;$$) WHERE rule LIKE 'table.%';

-- CREATE SCHEMA with what is in it
SELECT line, rule, relation FROM pg_temp.found($$CREATE SCHEMA within
    CREATE INDEX ON inner_one (r)
    CREATE TABLE inner_one (id int PRIMARY KEY, r int REFERENCES lno.parted_2)
    CREATE VIEW inner_view AS SELECT id FROM inner_one
    GRANT SELECT ON inner_view TO PUBLIC;
ALTER TABLE within.inner_one ADD COLUMN u uuid DEFAULT gen_random_uuid();
ALTER TABLE inner_one ADD COLUMN u int;
CREATE SCHEMA AUTHORIZATION CURRENT_USER CREATE TABLE whose (id int PRIMARY KEY);$$);

-- names that the server cuts
SELECT dbops.set_check('identifier-too-long', enabled => true);
SELECT line, rule, left(why, 20) AS why FROM pg_temp.found('SELECT ''' || repeat('x', 70) || ''', $$' || repeat('x', 70) || '$$, 1 AS ' || repeat('x', 63) || E';\n'
    || 'SELECT 1 AS ' || repeat('X', 70) || ', 2 AS "' || repeat('x', 70) || '", 3 AS "' || repeat('""', 40) || E'";\n'
    || 'SELECT 1 AS ' || repeat('é', 32) || ', 2 AS ' || repeat('é', 31) || 'eé;');
SELECT dbops.reset_check('identifier-too-long');

-- indexes and tables that are made again
CREATE INDEX parted_2_id ON parted_2 (id);
SELECT line, rule, relation, safer FROM pg_temp.found($$DROP INDEX CONCURRENTLY parted_2_id;
CREATE INDEX CONCURRENTLY parted_2_id ON parted_2 (abs(id));
CREATE INDEX CONCURRENTLY other ON parted_2 (id);
CREATE TABLE there (id int); DROP TABLE there; CREATE TABLE there (id int);
DROP TABLE empty_one; CREATE TABLE empty_one (id int);$$);

-- columns that views show, but for those that the text has dropped, and what makes the view again
CREATE VIEW "Seen %s" AS SELECT "Odd ""T".id FROM "Odd ""T";
CREATE MATERIALIZED VIEW seen_too AS SELECT k FROM "Odd ""T";
SELECT line, relation, why, regexp_replace(regexp_replace(safer, E'CREATE.*AS\n .*', 'CREATE ...;'), E'\n', ' / ', 'g') AS safer
  FROM pg_temp.found($$ALTER TABLE "Odd ""T" DROP COLUMN id CASCADE;
ALTER TABLE "Odd ""T" ALTER k TYPE bigint;
DROP VIEW "Seen %s"; DROP MATERIALIZED VIEW seen_too; ALTER TABLE "Odd ""T" DROP COLUMN id, DROP COLUMN k;$$) WHERE rule = 'column.in_view';
SELECT safer AS remedy FROM pg_temp.found('ALTER TABLE "Odd ""T" ALTER k TYPE bigint') WHERE rule = 'column.in_view' \gset
:remedy
DROP MATERIALIZED VIEW seen_too; DROP VIEW "Seen %s";

-- a schema that gets another name takes along what is in it; one that is dropped, and a name that is free again
SELECT line, rule, relation FROM pg_temp.found($$ALTER SCHEMA lno RENAME TO lno_new;
ALTER TABLE lno_new.plain DROP COLUMN id;
ALTER TABLE lno.plain DROP COLUMN id;
CREATE TABLE lno_new.made (a int PRIMARY KEY); ALTER SCHEMA lno_new RENAME TO lno_newer; SET search_path = lno_newer;
ALTER TABLE made DROP COLUMN a; ALTER TABLE plain DROP COLUMN id;
DROP TABLE empty_one; ALTER SCHEMA lno_newer RENAME TO lno;
ALTER TABLE lno.empty_one ADD a int; TRUNCATE lno.plain;
DROP SCHEMA lno CASCADE; CREATE SCHEMA lno; CREATE TABLE lno.plain (id int PRIMARY KEY);
ALTER TABLE lno.plain DROP COLUMN id; ALTER TABLE lno.doubled RENAME TO d;$$) WHERE rule ~ '^(object|column.dropped|rows|schema|text|table.renamed)';
-- a value that gets another name is a constant under it
CREATE TYPE lno.mood AS ENUM ('calm');
SELECT line, rule, relation FROM pg_temp.found($$ALTER TYPE lno.mood RENAME VALUE 'calm' TO 'quiet';
ALTER TABLE lno.plain ADD m lno.mood DEFAULT 'quiet';$$) WHERE rule ~ '^(column|type|text)';
CREATE TABLE lno.moody (m lno.mood);
SELECT line, rule, relation, why, safer FROM pg_temp.found($$ALTER TYPE lno.mood RENAME VALUE 'calm' TO 'quiet';
ALTER TABLE lno.plain ADD m lno.mood DEFAULT 'quiet';$$) WHERE rule ~ '^(column|type|text)';
-- SELECT INTO makes a table, in whichever schema
SELECT line, rule, relation FROM pg_temp.found($$SELECT * INTO lno.made FROM lno.moody;
CREATE INDEX ON lno.made (m);
SELECT 1 AS a INTO lno.joined UNION SELECT 2 UNION SELECT 3;
CREATE INDEX ON lno.joined (a);
SELECT 1 AS a INTO TEMP passing;
CREATE INDEX ON passing (a); CREATE INDEX ON lno.passing (a);$$) WHERE rule ~ '^(object.missing|index|text)';
SET client_min_messages = warning;
DROP SCHEMA lno CASCADE;
DROP ROLE regress_lint_grantee;
