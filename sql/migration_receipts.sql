-- What each statement of a migration has done, as the server says it while it
-- works. Its messages are read by their texts, so this fails on a server that
-- has changed one of them. Durations and bytes of WAL are not shown.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA receipts;
SET search_path = receipts;

CREATE FUNCTION receipt(statement text)
RETURNS TABLE (effect text, locks jsonb, objects jsonb, notices text[])
LANGUAGE sql
AS $$
    SELECT r.effect, r.locks, r.objects, r.notices
    FROM dbops.apply_migration((SELECT 'V' || count(*) + 1 FROM dbops.migration WHERE project = 'receipts'),
                               statement, project => 'receipts') r
    WHERE r.step IS NOT NULL
$$;
\pset format unaligned
\pset tuples_only on

CREATE TABLE customer (id integer PRIMARY KEY, name text, age integer);
INSERT INTO customer SELECT i, 'name ' || i, 20 FROM generate_series(1, 100) i;
CREATE TABLE purchase (id integer, customer_id integer, note text);
INSERT INTO purchase SELECT i, i FROM generate_series(1, 100) i;

-- a table, with what hangs on it
SELECT * FROM receipt('CREATE TABLE item (id serial PRIMARY KEY, name text NOT NULL CHECK (name <> ''''), price integer DEFAULT 0, UNIQUE (name))');

-- columns: what is only written into the catalog, what is looked through, what is copied
SELECT * FROM receipt('ALTER TABLE customer ADD COLUMN city text');
SELECT * FROM receipt('ALTER TABLE customer ADD COLUMN state text DEFAULT ''new''');
SELECT * FROM receipt('ALTER TABLE customer ADD COLUMN luck float DEFAULT random()');
SELECT * FROM receipt('ALTER TABLE customer ALTER COLUMN state SET DEFAULT ''old''');
SELECT * FROM receipt('ALTER TABLE customer ALTER COLUMN name SET STORAGE EXTERNAL');
SELECT * FROM receipt('ALTER TABLE purchase ALTER COLUMN note TYPE varchar');
SELECT * FROM receipt('ALTER TABLE purchase ALTER COLUMN note TYPE varchar(10)');
SELECT * FROM receipt('ALTER TABLE customer ALTER COLUMN id TYPE bigint');
SELECT * FROM receipt('ALTER TABLE customer ALTER COLUMN age SET NOT NULL');
SELECT * FROM receipt('ALTER TABLE customer ALTER COLUMN age SET NOT NULL');
SELECT * FROM receipt('ALTER TABLE customer DROP COLUMN luck');
SELECT * FROM receipt('ALTER TABLE customer RENAME COLUMN city TO town');

-- constraints, checked for all rows or not
SELECT * FROM receipt('ALTER TABLE customer ADD CONSTRAINT adult CHECK (age >= 18) NOT VALID');
SELECT * FROM receipt('ALTER TABLE customer VALIDATE CONSTRAINT adult');
SELECT * FROM receipt('ALTER TABLE customer ADD CONSTRAINT named CHECK (name IS NOT NULL AND name <> '''')');
SELECT * FROM receipt('ALTER TABLE customer ALTER COLUMN name SET NOT NULL');
SELECT * FROM receipt('ALTER TABLE purchase ADD CONSTRAINT purchase_customer FOREIGN KEY (customer_id) REFERENCES customer NOT VALID');
SELECT * FROM receipt('ALTER TABLE purchase VALIDATE CONSTRAINT purchase_customer');
SELECT * FROM receipt('ALTER TABLE purchase DROP CONSTRAINT purchase_customer');
SELECT * FROM receipt('ALTER TABLE purchase ADD FOREIGN KEY (customer_id) REFERENCES customer');
SELECT * FROM receipt('CREATE DOMAIN amount AS integer');
SELECT * FROM receipt('ALTER TABLE purchase ADD COLUMN paid amount');
SELECT * FROM receipt('ALTER DOMAIN amount ADD CHECK (value > 0)');
SELECT * FROM receipt('ALTER DOMAIN amount SET DEFAULT 1');

-- indexes
SELECT * FROM receipt('CREATE INDEX purchase_customer ON purchase (customer_id)');
SELECT * FROM receipt('REINDEX INDEX purchase_customer');
SELECT * FROM receipt('ALTER INDEX purchase_customer RENAME TO purchase_of');
SELECT * FROM receipt('DROP INDEX purchase_of');
SET min_parallel_table_scan_size = 0;
SELECT * FROM receipt('CREATE INDEX purchase_parallel ON purchase (customer_id)');
RESET min_parallel_table_scan_size;

-- what copies a table otherwise, or empties it
SELECT * FROM receipt('ALTER TABLE purchase SET UNLOGGED');
SELECT * FROM receipt('CLUSTER purchase USING purchase_parallel');
SELECT * FROM receipt('CREATE MATERIALIZED VIEW totals AS SELECT count(*) FROM purchase');
SELECT * FROM receipt('REFRESH MATERIALIZED VIEW totals');
SELECT * FROM receipt('TRUNCATE purchase');

-- partitions: looked through, or known from a constraint
CREATE TABLE measure (at integer) PARTITION BY RANGE (at);
CREATE TABLE early (at integer);
CREATE TABLE late (at integer NOT NULL CHECK (at >= 100 AND at < 200));
CREATE TABLE other PARTITION OF measure DEFAULT;
INSERT INTO other VALUES (1000);
SELECT * FROM receipt('ALTER TABLE measure ATTACH PARTITION early FOR VALUES FROM (0) TO (100)');
SELECT * FROM receipt('CREATE TABLE middle PARTITION OF measure FOR VALUES FROM (200) TO (300)');
SELECT * FROM receipt('ALTER TABLE other ADD CONSTRAINT far CHECK (at IS NOT NULL AND at >= 1000)');
SELECT * FROM receipt('ALTER TABLE measure ATTACH PARTITION late FOR VALUES FROM (100) TO (200)');
SELECT * FROM receipt('CREATE TABLE latest PARTITION OF measure FOR VALUES FROM (300) TO (400)');
SELECT * FROM receipt('ALTER TABLE measure DETACH PARTITION early');
SELECT * FROM receipt('CREATE INDEX measure_at ON measure (at)');

-- rows
SELECT * FROM receipt('INSERT INTO customer (id, age, name) VALUES (1000, 33, ''Ann'')');
SELECT * FROM receipt('UPDATE customer SET town = ''Basel'' WHERE id = 1000');
SELECT * FROM receipt('CREATE TABLE adult AS SELECT * FROM customer');
SELECT * FROM receipt('SELECT count(*) FROM customer');
SELECT * FROM receipt('SET work_mem = ''1MB''');

-- objects that are no tables, and those that the server does not tell the hook of
SELECT * FROM receipt('CREATE VIEW adults AS SELECT id, name FROM customer');
SELECT * FROM receipt('CREATE OR REPLACE VIEW adults AS SELECT id, name, age FROM customer');
SELECT * FROM receipt('CREATE FUNCTION one() RETURNS integer LANGUAGE sql RETURN 1');
SELECT * FROM receipt('CREATE TYPE mood AS ENUM (''fine'')');
SELECT * FROM receipt('ALTER TYPE mood ADD VALUE ''well''');
SELECT * FROM receipt('CREATE TRIGGER same BEFORE UPDATE ON customer FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()');
SELECT * FROM receipt('ALTER TABLE customer ENABLE ROW LEVEL SECURITY');
SELECT * FROM receipt('CREATE POLICY everyone ON customer USING (true)');
SELECT * FROM receipt('COMMENT ON COLUMN customer.name IS ''as it is spelled''');
SELECT effect, objects FROM receipt('GRANT SELECT ON customer TO PUBLIC');
SELECT * FROM receipt('GRANT EXECUTE ON FUNCTION one() TO PUBLIC');

-- what is dropped takes other things along, and its parts are not told
SELECT * FROM receipt('DROP TABLE customer CASCADE');
SELECT * FROM receipt('DROP TABLE IF EXISTS customer');

-- types and functions that hang on each other have no name left when they are dropped
CREATE TYPE shape;
CREATE FUNCTION shape_in(cstring) RETURNS shape LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION shape_out(shape) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
CREATE TYPE shape (INPUT = shape_in, OUTPUT = shape_out, LIKE = text);
SELECT effect FROM receipt('DROP TYPE shape CASCADE');

-- what a statement does inside counts, but for what it has taken back itself
SELECT * FROM receipt($migration$
DO $$
BEGIN
    RAISE NOTICE 'beginning';
    BEGIN
        CREATE TABLE gone (id integer);
        ALTER TABLE purchase ALTER COLUMN note SET NOT NULL;
        DROP TABLE item;
        RAISE division_by_zero;
    EXCEPTION WHEN division_by_zero THEN
        RAISE WARNING 'taken back';
    END;
    CREATE TABLE stays (id integer);
    CREATE TABLE passes (id integer);
    DROP TABLE passes;
END $$
$migration$);
-- a migration that applies another one; each has a receipt of its own
SELECT * FROM receipt($$ SELECT effect FROM dbops.apply_migration('1', 'ALTER TABLE stays ADD COLUMN name text NOT NULL', project => 'inner') $$);

-- in one transaction: what is locked already is told where it is worked at, what is new is not
BEGIN;
SELECT * FROM receipt('LOCK TABLE item; SELECT 1; INSERT INTO item (name) VALUES (''a''); CREATE TABLE fresh (id integer); ALTER TABLE fresh ADD PRIMARY KEY (id)');
ROLLBACK;

-- names that look like parts of messages
SELECT * FROM receipt('CREATE TABLE "odd"" on table ""name" ("a.b" integer); INSERT INTO "odd"" on table ""name" VALUES (1)');
SELECT * FROM receipt('CREATE INDEX "i"" serially" ON "odd"" on table ""name" ("a.b")');
SELECT * FROM receipt('ALTER TABLE "odd"" on table ""name" ADD CHECK ("a.b" IS NOT NULL)');
SELECT * FROM receipt('ALTER TABLE "odd"" on table ""name" ALTER COLUMN "a.b" SET NOT NULL');

-- a message that only looks like one of the server's is a message
SELECT * FROM receipt('DO $$ BEGIN RAISE DEBUG ''rewriting table "item"''; END $$');

-- after an error the settings are what they were, and nothing is watched
SELECT * FROM receipt('SELECT 1 / 0');
SHOW log_min_messages;
SHOW log_lock_waits;
SHOW deadlock_timeout;
DO $$
BEGIN
    PERFORM receipts.receipt('SELECT 1 / 0');
EXCEPTION WHEN division_by_zero THEN
    SET client_min_messages = notice;
    RAISE NOTICE 'log_min_messages is %', current_setting('log_min_messages');
END $$;
SET client_min_messages = warning;
-- a setting of the text stays among its statements, a watch does not
SELECT notices FROM receipt('SET log_min_messages = error; DO $$ BEGIN RAISE WARNING ''%'', current_setting(''deadlock_timeout''); END $$; SHOW log_min_messages');
SHOW log_min_messages;

-- many notices are cut
SELECT cardinality(notices), left(notices[1], 9), octet_length(notices[100]), notices[101]
FROM receipt('DO $$ BEGIN FOR i IN 1 .. 150 LOOP RAISE NOTICE ''%'', repeat(''ü'', 2000); END LOOP; END $$');

-- the ledger keeps the same
SELECT receipt - 'duration_ms' - 'wal_bytes' - 'waited_ms', receipt ?& '{duration_ms,wal_bytes,waited_ms}'
FROM dbops.migration_step WHERE project = 'receipts' AND version = 'V2';

DROP SCHEMA receipts CASCADE;
DELETE FROM dbops.migration WHERE project IN ('receipts', 'inner');
