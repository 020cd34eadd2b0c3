-- lint_sql(): what a text rolls back it has not done.
SET track_counts = off;
SET lock_timeout = '1s';
CREATE SCHEMA lint_undo;
SET search_path = lint_undo;
CREATE TABLE t (id int, b int);
INSERT INTO t SELECT g, g FROM generate_series(1, 1000) g;
CREATE TABLE other (id int);
INSERT INTO other SELECT generate_series(1, 1000);
CREATE INDEX j ON other (id);
SELECT n, text, string_agg(DISTINCT rule || ' ' || relation, ', ') AS rules
  FROM unnest(ARRAY[
           -- a proof
           $$BEGIN; ALTER TABLE t ADD CONSTRAINT c CHECK (b IS NOT NULL); ALTER TABLE t ALTER b SET NOT NULL; COMMIT$$,
           $$BEGIN; ALTER TABLE t ADD CONSTRAINT c CHECK (b IS NOT NULL); COMMIT; ALTER TABLE t ALTER b SET NOT NULL$$,
           $$BEGIN; ALTER TABLE t ADD CONSTRAINT c CHECK (b IS NOT NULL); ROLLBACK; ALTER TABLE t ALTER b SET NOT NULL$$,
           $$BEGIN; SAVEPOINT s; ALTER TABLE t ADD CONSTRAINT c CHECK (b IS NOT NULL); ROLLBACK TO s; ALTER TABLE t ALTER b SET NOT NULL; COMMIT$$,
           $$BEGIN; SAVEPOINT s; ALTER TABLE t ADD CONSTRAINT c CHECK (b IS NOT NULL); RELEASE s; ALTER TABLE t ALTER b SET NOT NULL; COMMIT$$,
           $$BEGIN; ALTER TABLE t ADD CONSTRAINT c CHECK (b IS NOT NULL); SAVEPOINT s; ALTER TABLE t DROP CONSTRAINT c; ROLLBACK TO s; ALTER TABLE t ALTER b SET NOT NULL; COMMIT$$,
           $$BEGIN; ALTER TABLE t ADD CONSTRAINT c CHECK (b IS NOT NULL) NOT VALID; SAVEPOINT s; ALTER TABLE t VALIDATE CONSTRAINT c; ROLLBACK TO s; ALTER TABLE t ALTER b SET NOT NULL; COMMIT$$,
           $$BEGIN; ALTER TABLE t ALTER b SET NOT NULL; SAVEPOINT s; ALTER TABLE t ALTER b DROP NOT NULL; ROLLBACK TO s; ALTER TABLE t ALTER b SET NOT NULL; COMMIT$$,
           -- savepoints of one name, one behind another, and back to one twice
           $$BEGIN; SAVEPOINT s; ALTER TABLE t ADD CONSTRAINT c CHECK (b IS NOT NULL); SAVEPOINT s; ROLLBACK TO s; ALTER TABLE t ALTER b SET NOT NULL; COMMIT$$,
           $$BEGIN; SAVEPOINT s; ALTER TABLE t ADD CONSTRAINT c CHECK (b IS NOT NULL); SAVEPOINT s; RELEASE s; ROLLBACK TO s; ALTER TABLE t ALTER b SET NOT NULL; COMMIT$$,
           $$BEGIN; SAVEPOINT s; TRUNCATE t; ROLLBACK TO s; TRUNCATE t; ROLLBACK TO s; ALTER TABLE t ALTER b SET NOT NULL; COMMIT$$,
           $$BEGIN; ROLLBACK TO s; TRUNCATE t; COMMIT; ALTER TABLE t ALTER b SET NOT NULL$$,
           -- rows
           $$BEGIN; TRUNCATE t; COMMIT; ALTER TABLE t ALTER b SET NOT NULL$$,
           $$BEGIN; TRUNCATE t; ROLLBACK; ALTER TABLE t ALTER b SET NOT NULL$$,
           -- relations
           $$BEGIN; DROP TABLE t; ROLLBACK; CREATE INDEX ON t (b)$$,
           $$BEGIN; DROP TABLE t; COMMIT; CREATE INDEX ON t (b)$$,
           $$BEGIN; ALTER TABLE t RENAME TO t2; ROLLBACK; CREATE INDEX ON t (b); CREATE INDEX ON t2 (b)$$,
           $$BEGIN; ALTER TABLE t RENAME TO t2; ALTER TABLE t2 ADD c int; COMMIT; CREATE INDEX ON t (b); CREATE INDEX ON t2 (b)$$,
           $$BEGIN; CREATE TABLE n (id int PRIMARY KEY); ROLLBACK; CREATE INDEX ON n (id)$$,
           $$BEGIN; CREATE TABLE n (id int PRIMARY KEY); COMMIT; CREATE INDEX ON n (id)$$,
           $$BEGIN; CREATE INDEX i ON t (b); ROLLBACK; DROP INDEX i$$,
           $$BEGIN; ALTER TABLE t RENAME TO t2; ALTER TABLE other RENAME TO t; ROLLBACK; ALTER TABLE t ALTER b SET NOT NULL; ALTER TABLE other ALTER id SET NOT NULL$$,
           $$BEGIN; ALTER TABLE t DROP b, ADD b int NOT NULL DEFAULT 0; ROLLBACK; ALTER TABLE t ALTER b SET NOT NULL$$,
           $$BEGIN; ALTER TABLE t SET SCHEMA pg_temp; ROLLBACK AND CHAIN; ALTER TABLE t ALTER b SET NOT NULL; COMMIT$$,
           -- schemas
           $$BEGIN; ALTER SCHEMA lint_undo RENAME TO z; CREATE INDEX ON z.t (b); ROLLBACK; CREATE INDEX ON z.t (b); CREATE INDEX ON t (b)$$,
           $$BEGIN; DROP SCHEMA lint_undo CASCADE; ROLLBACK; CREATE INDEX ON t (b)$$,
           $$BEGIN; CREATE SCHEMA z; CREATE TABLE z.t (); ROLLBACK; ALTER TABLE z.t ADD c int$$,
           -- an index that is dropped before another takes its place, locks of two tables
           $$BEGIN; DROP INDEX j; CREATE INDEX j ON other (id); COMMIT$$,
           $$BEGIN; SAVEPOINT s; DROP INDEX j; ROLLBACK TO s; CREATE INDEX k ON other (id); COMMIT$$,
           $$BEGIN; SAVEPOINT s; ALTER TABLE t ADD x int; ROLLBACK TO s; ALTER TABLE other ADD x int; COMMIT$$,
           $$BEGIN; ALTER TABLE t ADD x int; ALTER TABLE other ADD x int; COMMIT$$]) WITH ORDINALITY x(text, n)
       LEFT JOIN LATERAL dbops.lint_sql(text) ON rule NOT IN ('transaction.no_idle_timeout', 'table.altered_again', 'column.dropped', 'transaction.work_behind_lock')
 GROUP BY n, text ORDER BY n;
-- The whole of a text that is run in a transaction.
SELECT rule, relation FROM dbops.lint_sql('TRUNCATE t; ROLLBACK; ALTER TABLE t ALTER b SET NOT NULL', true) WHERE rule = 'column.set_not_null';
-- Nothing is taken back twice, nor anything that was done when no transaction was open.
SELECT rule, relation FROM dbops.lint_sql('TRUNCATE t; ROLLBACK; BEGIN; ROLLBACK; ALTER TABLE t ALTER b SET NOT NULL') WHERE rule = 'column.set_not_null';
SET client_min_messages = warning;
DROP SCHEMA lint_undo CASCADE;
