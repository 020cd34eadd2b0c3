-- lint_sql(): what a text sets, by SET or set_config(), holds as long as the server has it hold.
SET track_counts = off;
SET lock_timeout = 0;
CREATE SCHEMA lint_limit;
SET search_path = lint_limit;
CREATE TABLE t (id int);
CREATE TABLE large (id int);
INSERT INTO large SELECT generate_series(1, 260000);
INSERT INTO t SELECT generate_series(1, 1000);
CREATE TABLE none (id int);
SELECT n, text, string_agg(DISTINCT rule || ' ' || relation, ', ') AS rules
  FROM unnest(ARRAY[
           $$BEGIN; SET LOCAL lock_timeout = '1s'; ALTER TABLE t ADD a int; COMMIT$$,
           $$BEGIN; SET LOCAL lock_timeout = '1s'; COMMIT; ALTER TABLE t ADD a int$$,
           $$BEGIN; SET lock_timeout = '1s'; COMMIT; ALTER TABLE t ADD a int$$,
           $$BEGIN; SET lock_timeout = '1s'; ROLLBACK; ALTER TABLE t ADD a int$$,
           $$BEGIN; SAVEPOINT s; SET lock_timeout = '1s'; ROLLBACK TO s; ALTER TABLE t ADD a int; COMMIT$$,
           $$BEGIN; SET lock_timeout = '1s'; SAVEPOINT s; SET lock_timeout = 0; ROLLBACK TO s; ALTER TABLE t ADD a int; COMMIT$$,
           $$BEGIN; SAVEPOINT s; SET lock_timeout = '1s'; RELEASE s; ALTER TABLE t ADD a int; COMMIT$$,
           $$SET lock_timeout = '1s'; BEGIN; SET LOCAL lock_timeout = 0; COMMIT; ALTER TABLE t ADD a int$$,
           $$SET lock_timeout = '1s'; RESET lock_timeout; ALTER TABLE t ADD a int$$,
           $$SET lock_timeout = '1s'; RESET ALL; ALTER TABLE t ADD a int$$,
           $$BEGIN; SET LOCAL lock_timeout = '1s'; ALTER TABLE none ADD z int; COMMIT; CREATE INDEX CONCURRENTLY ON t (id)$$,
           $$SELECT set_config('lock_timeout', '1s', false); ALTER TABLE t ADD a int$$,
           $$BEGIN; SELECT pg_catalog.set_config('lock_timeout', '1s', true); COMMIT; ALTER TABLE t ADD a int$$,
           $$SELECT set_config('search_path', '"a', false); SELECT set_config('timezone', 'none', false); ALTER TABLE t ALTER id TYPE text$$,
           $$SELECT set_config('search_path', '', false); SET lock_timeout = '1s'; ALTER TABLE t ALTER id TYPE text$$]) WITH ORDINALITY x(text, n)
       LEFT JOIN LATERAL dbops.lint_sql(text) ON rule IN ('transaction.no_lock_timeout', 'index.under_lock_timeout', 'column.type_changed')
 GROUP BY n, text ORDER BY n;
-- SET LOCAL does nothing outside of a transaction.
SELECT in_transaction, count(rule) FROM (VALUES (false), (true)) x(in_transaction)
       LEFT JOIN LATERAL dbops.lint_sql($$SET LOCAL lock_timeout = '1s'; ALTER TABLE t ADD a int$$, in_transaction) ON rule = 'transaction.no_lock_timeout'
 GROUP BY 1 ORDER BY 1;
-- That there is none is told of a text once, and again where it is graver.
SELECT line, rule, severity, relation FROM dbops.lint_sql($$
ALTER TABLE none ADD z int;
ALTER TABLE t ADD z int;
ALTER TABLE large ADD z int;
ALTER TABLE t ADD y int;$$) WHERE rule = 'transaction.no_lock_timeout' ORDER BY line;
-- One statement that the server refuses in a transaction, and the caller says that it is in one.
SELECT x.in_transaction, rule FROM (VALUES (NULL), (false), (true)) x(in_transaction)
       LEFT JOIN LATERAL dbops.lint_sql('CREATE INDEX CONCURRENTLY ON t (id)', in_transaction) ON rule = 'transaction.cannot_be_in_one' ORDER BY 1;

-- The SQL that is safer does the same, or says what is to be added by hand.
CREATE TABLE key (id int PRIMARY KEY, v text);
INSERT INTO key VALUES (1, 'a');
SELECT text, rule, safer_sql FROM unnest(ARRAY[
           $$ALTER TABLE t ALTER id TYPE text USING concat(id, ', ', 'x'), ADD b int$$,
           $$ALTER TABLE key ALTER v TYPE varchar(3) COLLATE "C" USING left(v, 3)$$,
           $$ALTER TABLE t ALTER id TYPE bigint$$,
           $$ALTER TABLE t ADD UNIQUE (id)$$,
           $$ALTER TABLE t ADD UNIQUE NULLS NOT DISTINCT (id)$$,
           $$ALTER TABLE t ADD UNIQUE (id) DEFERRABLE$$,
           $$ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (id) REFERENCES key MATCH FULL$$,
           $$ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (id) REFERENCES key DEFERRABLE INITIALLY DEFERRED$$,
           $$ALTER TABLE t ADD CONSTRAINT c CHECK (id > 0) NO INHERIT$$,
           $$ALTER TABLE t ADD y text COLLATE "C" DEFAULT clock_timestamp()::text$$,
           $$CREATE SEQUENCE s; ALTER TABLE t ADD y int DEFAULT nextval('s')$$,
           $$ALTER TABLE t ADD y int NOT NULL DEFAULT NULL$$,
           $$ALTER TABLE t ADD y int NOT NULL DEFAULT NULL::int$$]) WITH ORDINALITY x(text, n), dbops.lint_sql(text)
 WHERE rule NOT LIKE 'transaction.%' AND rule NOT LIKE '%unindexed' AND rule NOT LIKE 'statement.%' ORDER BY n, rule;

-- A constraint of the catalog proves something of its own column, as long as it is there.
CREATE TABLE proved (id int, b int CONSTRAINT b_there CHECK (b IS NOT NULL), g int);
INSERT INTO proved SELECT g, g, g FROM generate_series(1, 1000) g;
SELECT text, rule FROM unnest(ARRAY[
           $$ALTER TABLE proved ALTER b SET NOT NULL$$,
           $$ALTER TABLE proved DROP CONSTRAINT b_there, ALTER b SET NOT NULL$$,
           $$ALTER TABLE proved DROP CONSTRAINT b_there; ALTER TABLE proved ALTER b SET NOT NULL$$,
           $$ALTER TABLE proved RENAME b TO b2; ALTER TABLE proved RENAME g TO b; ALTER TABLE proved ALTER b SET NOT NULL$$,
           $$ALTER TABLE proved DROP b; ALTER TABLE proved ADD b int; ALTER TABLE proved ALTER b SET NOT NULL$$]) WITH ORDINALITY x(text, n)
       LEFT JOIN LATERAL dbops.lint_sql(text) ON rule = 'column.set_not_null' ORDER BY n;

-- A column that refers to one of another type, whoever makes it, and what of.
SELECT text, relation, why FROM unnest(ARRAY[
           $$ALTER TABLE t ADD z bigint REFERENCES key (id)$$,
           $$ALTER TABLE t ADD z bigint REFERENCES key$$,
           $$ALTER TABLE t ADD z int REFERENCES key$$,
           $$CREATE TABLE new (id int, c bigint REFERENCES key)$$,
           $$CREATE TABLE new (id int, c numeric, FOREIGN KEY (c) REFERENCES key)$$,
           $$CREATE TABLE new (id int, c int, FOREIGN KEY (c) REFERENCES key)$$,
           $$CREATE TABLE new (id bigint PRIMARY KEY); CREATE TABLE newer (c int REFERENCES new)$$]) WITH ORDINALITY x(text, n)
       LEFT JOIN LATERAL dbops.lint_sql(text) ON rule = 'constraint.foreign_key_types' ORDER BY n;
SET client_min_messages = warning;
DROP SCHEMA lint_limit CASCADE;
