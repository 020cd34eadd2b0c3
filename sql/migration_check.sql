-- What a migration would do: each statement is run and undone, and the down text is proved or what differs is named.
\set VERBOSITY terse
CREATE SCHEMA regress_check;
SET search_path = regress_check;
-- the schema review is compared as long as its locks do not keep others waiting for it
SET dbops.dry_run_max_hold = '1 min';
CREATE TABLE orders (id serial PRIMARY KEY, name text, state text);
INSERT INTO orders (name) SELECT 'n' || i FROM generate_series(1, 100) i;
CREATE TYPE mood AS ENUM ('calm');

-- proved, in several statements
SELECT direction, step, line, command, state, effect, row_count, flags, message FROM dbops.check_migration(
'ALTER TABLE orders ADD COLUMN total integer;
UPDATE orders SET total = id;
ALTER TABLE orders ALTER total SET NOT NULL;
CREATE INDEX CONCURRENTLY orders_total ON orders (total);
VACUUM orders;
CREATE TABLE lines (order_id integer REFERENCES orders, n integer);',
'DROP TABLE lines; DROP INDEX orders_total; ALTER TABLE orders DROP COLUMN total');
-- and nothing of it is left
SELECT attname FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attnum > 0 ORDER BY attnum;
SELECT to_regclass('lines'), to_regclass('orders_total');

-- what differs, each on its own
SELECT direction, state, message FROM dbops.check_migration(
'CREATE TYPE colour AS ENUM (''red''); ALTER TABLE orders ALTER state SET DEFAULT ''new''; COMMENT ON TABLE orders IS ''x'';
GRANT SELECT ON orders TO PUBLIC; CREATE SEQUENCE left_behind', 'COMMENT ON TABLE orders IS NULL') WHERE step IS NULL AND state NOT LIKE 'finding%';
-- a column that comes back at the end
SELECT state, message FROM dbops.check_migration(
'ALTER TABLE orders DROP COLUMN name', 'ALTER TABLE orders ADD COLUMN name text') WHERE step IS NULL AND state NOT LIKE 'finding%';
-- the modes of locks, and breaking changes, as they would be with CONCURRENTLY
SELECT step, locks, flags FROM dbops.check_migration(
'CREATE INDEX CONCURRENTLY orders_name ON orders (name); ALTER TABLE orders RENAME name TO title; ALTER TABLE orders DROP COLUMN state;
DROP INDEX CONCURRENTLY orders_name; CREATE TABLE own (a integer); ALTER TABLE own RENAME a TO b', NULL, 'plan');
SELECT step, flags FROM dbops.check_migration(
'ALTER TABLE orders RENAME name TO title; ALTER TABLE orders DROP COLUMN state; CREATE TABLE own (a integer); ALTER TABLE own RENAME a TO b');

-- a chain, proved in its order
SELECT version, direction, step, command, state, message FROM dbops.check_migration(
ARRAY['CREATE TABLE a (i integer)', 'ALTER TABLE a ADD COLUMN j integer', 'CREATE INDEX a_j ON a (j)'],
ARRAY['DROP TABLE a', 'ALTER TABLE a DROP COLUMN j', 'DROP INDEX a_j']);
SELECT version, state, message FROM dbops.check_migration(
ARRAY['CREATE TABLE a (i integer)', 'ALTER TABLE a ADD COLUMN j integer'], ARRAY['DROP TABLE a', NULL]) WHERE step IS NULL AND state NOT LIKE 'finding%';
SELECT version, step, direction, state, message FROM dbops.check_migration(
ARRAY['CREATE TABLE a (i integer)', 'ALTER TABLE a ADD COLUMN j integer', 'ALTER TABLE a ADD k integer', 'DROP TABLE nosuch', 'SELECT 1'],
ARRAY['DROP TABLE nosuch', 'SELECT 1', 'ALTER TABLE a DROP k', NULL, 'SELECT 1']);
SELECT version, step, direction FROM dbops.check_migration(
ARRAY['CREATE TABLE a (i integer)', 'ALTER TABLE a ADD COLUMN j integer'], ARRAY['DROP TABLE a', 'SELECT 1'], depth => 'plan');
SELECT version, state, message FROM dbops.check_migration(
ARRAY['ALTER TYPE mood ADD VALUE ''wild''', 'CREATE TABLE m (mood mood DEFAULT ''wild'')']) WHERE step IS NULL AND state NOT LIKE 'finding%';

-- a table made of a query, by itself and on the way
SELECT step, command, state, effect FROM dbops.check_migration('CREATE TABLE made AS SELECT * FROM orders; SELECT 1 AS a INTO made_too;
DO $$ BEGIN CREATE TABLE made_three AS SELECT 1 AS a; END $$', 'DROP TABLE made, made_too, made_three');
RESET dbops.dry_run_max_hold;
-- what fails, and a constraint that would at COMMIT
SELECT step, line, command, state, message FROM dbops.check_migration(E'SELECT 1;\nSELECT 1;\nALTER TABLE nosuch ADD COLUMN a integer;\nSELECT 2');
SELECT step, state, message FROM dbops.check_migration('SELECT 1', 'DROP TABLE nosuch');
CREATE TABLE parent (id integer PRIMARY KEY);
CREATE TABLE child (id integer REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
SELECT step, state, message FROM dbops.check_migration('INSERT INTO child VALUES (1)');
SELECT count(*) FROM child;

-- it does not hold others up
SET dbops.dry_run_max_hold = '700 ms';
SELECT step, command, state, message FROM dbops.check_migration('ALTER TABLE orders ADD COLUMN x integer; SELECT pg_sleep(10)');
SELECT step, command, state, message FROM dbops.check_migration('DO $$ BEGIN ALTER TABLE orders ADD COLUMN x integer; PERFORM pg_sleep(0.01); END $$; SELECT pg_sleep(10)');
-- not even code that catches the cancel
SELECT step, command, state FROM dbops.check_migration('ALTER TABLE orders ADD COLUMN x integer;
DO $$ BEGIN PERFORM pg_sleep(10); EXCEPTION WHEN query_canceled THEN PERFORM pg_sleep(10); END $$');
-- nor a function that takes them on its way
SELECT step, command, state FROM dbops.check_migration('DO $$ BEGIN LOCK TABLE orders; PERFORM pg_sleep(10); END $$');
SELECT state, message FROM dbops.check_migration('LOCK TABLE orders; SELECT dbops.check_migration(''SELECT 1''); SELECT pg_sleep(10)') WHERE step IS NULL AND state NOT LIKE 'finding%';
-- reading does not, nor a table of its own
SELECT step, state FROM dbops.check_migration('CREATE TABLE own (a integer); ALTER TABLE own ADD COLUMN b integer; SELECT pg_sleep(0.8), count(*) FROM orders');
-- what a command locks that it does not name counts too, and what only sounds like it does not
CREATE DOMAIN positive AS integer;
CREATE DOMAIN above AS positive;
CREATE TYPE pair AS (a above, b text);
CREATE TYPE span AS RANGE (subtype = positive);
CREATE TABLE by_domain (a above);
INSERT INTO by_domain VALUES (1);
CREATE TABLE by_array (a positive[]);
CREATE TABLE by_composite (a pair);
CREATE TABLE by_range (a span);
CREATE VIEW by_view AS SELECT a FROM by_domain;
SELECT command, effect, locks FROM dbops.check_migration('ALTER DOMAIN positive SET NOT NULL; ALTER DOMAIN nosuch SET NOT NULL;
ALTER DOMAIN regress_check.above ADD CHECK (value > 0) NOT VALID; DROP TYPE pair CASCADE; DROP TYPE pair', depth => 'plan') WHERE step > 0;
DROP TABLE by_array, by_composite, by_range;
CREATE TYPE typed AS (a integer);
CREATE TABLE of_type OF typed;
CREATE SCHEMA regress_check_other CREATE TABLE gone (a integer);
CREATE FUNCTION slow(integer) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    BEGIN PERFORM 1 / 0; EXCEPTION WHEN division_by_zero THEN END;
    RETURN pg_sleep(10) IS NULL;
END $$;
SET dbops.dry_run_max_hold = '300 ms';
SELECT text, (SELECT state FROM dbops.check_migration(text) WHERE step IS NULL AND state NOT LIKE 'finding%')
  FROM unnest(ARRAY[
           'ALTER DOMAIN above ADD CHECK (slow(value))',
           'DO $$ BEGIN ALTER DOMAIN positive SET NOT NULL; PERFORM pg_sleep(10); END $$',
           'DO $$ BEGIN DROP DOMAIN above CASCADE; PERFORM pg_sleep(10); END $$',
           'DO $$ BEGIN DROP SCHEMA regress_check_other CASCADE; PERFORM pg_sleep(10); END $$',
           'DO $$ BEGIN ALTER TYPE typed ADD ATTRIBUTE b integer CASCADE; PERFORM pg_sleep(10); END $$',
           'DO $$ BEGIN COMMENT ON TABLE orders IS NULL; PERFORM pg_sleep(10); END $$',
           'DO $$ BEGIN ALTER DOMAIN positive SET DEFAULT 1; CREATE DOMAIN own AS integer; CREATE TABLE own_table (a own);
            ALTER DOMAIN own SET NOT NULL; PERFORM pg_sleep(0.6); END $$',
           'DO $$ BEGIN BEGIN ALTER DOMAIN nosuch SET NOT NULL; EXCEPTION WHEN undefined_object THEN END; PERFORM pg_sleep(0.6); END $$']) text;
DROP SCHEMA regress_check_other CASCADE;
RESET dbops.dry_run_max_hold;
-- a prepared statement that is executed
PREPARE counted AS SELECT count(*) FROM orders;
SELECT command, state, locks FROM dbops.check_migration('CREATE TABLE made AS EXECUTE counted') WHERE step > 0;
SELECT command, state, locks FROM dbops.check_migration('CREATE TABLE made AS EXECUTE counted', depth => 'plan') WHERE step > 0;
DEALLOCATE counted;
-- large tables
CREATE TABLE large (id integer, wide text, sizes above[]);
ALTER TABLE large ALTER wide SET STORAGE PLAIN;
INSERT INTO large SELECT i, repeat('x', 7000) FROM generate_series(1, 13500) i;
SELECT * FROM dbops.check_migration('ALTER TABLE large ADD COLUMN b integer');
SELECT state, flags FROM dbops.check_migration('ALTER TABLE large ADD COLUMN b integer', force => true);
SELECT * FROM dbops.check_migration('ALTER DOMAIN positive ADD CHECK (value > 0)');
SELECT state FROM dbops.check_migration('SELECT count(*) FROM large');
SET search_path = public;
SELECT * FROM dbops.check_migration('SET search_path = regress_check; DROP TABLE large');
SET search_path = regress_check;

-- bad input
\set VERBOSITY default
SELECT * FROM dbops.check_migration(NULL);
SELECT * FROM dbops.check_migration('');
SELECT * FROM dbops.check_migration('SELECT 1; SELEC 2');
SELECT * FROM dbops.check_migration('SELECT 1', depth => 'deep');
SELECT * FROM dbops.check_migration('SELECT 1', max_duration => '0');
SELECT * FROM dbops.check_migration('SELECT 1', lock_timeout => NULL);
SELECT * FROM dbops.check_migration('{}'::text[]);
SELECT * FROM dbops.check_migration(ARRAY['SELECT 1', NULL]);
SELECT * FROM dbops.check_migration(ARRAY['SELECT 1', E'SELECT 1;\nSELEC 2']);
SELECT * FROM dbops.check_migration(ARRAY['SELECT 1', 'SELECT 2'], ARRAY[' ', 'SELEC']);
SELECT * FROM dbops.check_migration(ARRAY['SELECT 1'], ARRAY['SELECT 1', 'SELECT 2']);
BEGIN READ ONLY;
SELECT * FROM dbops.check_migration('SELECT 1');
ROLLBACK;
BEGIN READ ONLY;
SELECT state FROM dbops.check_migration('SELECT 1', depth => 'plan');
ROLLBACK;

SET client_min_messages = warning;
DROP SCHEMA regress_check CASCADE;

-- a foreign key that goes is locked at its other end too, as it is foreseen
CREATE SCHEMA key_goes;
SET search_path = key_goes, public;
CREATE TABLE pointed (id int PRIMARY KEY);
CREATE TABLE pointing (id int PRIMARY KEY, p int REFERENCES pointed, q int, CONSTRAINT plain CHECK (q > 0));
CREATE TABLE pointed_in_parts (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE pointed_part PARTITION OF pointed_in_parts FOR VALUES FROM (0) TO (10);
CREATE TABLE pointing_in_parts (id int, p int CONSTRAINT to_parts REFERENCES pointed_in_parts) PARTITION BY RANGE (id);
CREATE TABLE pointing_part PARTITION OF pointing_in_parts FOR VALUES FROM (0) TO (10);
SELECT s.statement, e.locks @> p.locks AS as_foreseen, p.locks
  FROM (VALUES (1, 'ALTER TABLE pointing DROP COLUMN p'), (2, 'ALTER TABLE pointing DROP CONSTRAINT pointing_p_fkey'),
               (3, 'ALTER TABLE pointing DROP COLUMN q'), (4, 'ALTER TABLE pointing DROP CONSTRAINT plain'),
               (5, 'ALTER TABLE pointed DROP COLUMN id CASCADE')) s (n, statement),
       LATERAL (SELECT locks FROM dbops.check_migration(s.statement) WHERE step = 1) e,
       LATERAL (SELECT locks FROM dbops.check_migration(s.statement, depth => 'plan') WHERE step = 1) p
 ORDER BY s.n;
SELECT s.statement, e.locks - 'key_goes.pointing_part' @> p.locks AS as_foreseen, p.locks
  FROM (VALUES (1, 'ALTER TABLE pointing_in_parts DROP COLUMN p'), (2, 'ALTER TABLE pointing_in_parts DROP CONSTRAINT to_parts'),
               (3, 'DROP TABLE pointing'), (4, 'DROP TABLE pointed CASCADE'), (5, 'ALTER TABLE pointing ALTER COLUMN p TYPE bigint')) s (n, statement),
       LATERAL (SELECT locks FROM dbops.check_migration(s.statement) WHERE step = 1) e,
       LATERAL (SELECT locks FROM dbops.check_migration(s.statement, depth => 'plan') WHERE step = 1) p
 ORDER BY s.n;
RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA key_goes CASCADE;
RESET client_min_messages;
