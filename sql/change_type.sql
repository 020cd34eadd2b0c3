-- change_type(): another type for a column, by a column that takes its place.
\set VERBOSITY terse
SET dbops.progress_interval = 0;
TRUNCATE dbops.column_change RESTART IDENTITY;
CREATE SCHEMA retyped;
SET search_path = retyped;
CREATE TABLE ref (id bigint PRIMARY KEY);
INSERT INTO ref SELECT generate_series(1, 10);
CREATE TABLE orders (id integer PRIMARY KEY, n serial UNIQUE, amount integer NOT NULL DEFAULT 7 CHECK (amount > 0), ref integer REFERENCES ref, note varchar(10), t text, at timestamp);
CREATE INDEX orders_amount ON orders (amount, (amount + 1)) WHERE amount > 5;
CREATE INDEX orders_note ON orders (note);
INSERT INTO orders (id, amount, ref, note, t) SELECT i, i, 1 + i % 10, 'n' || i, i::text FROM generate_series(1, 1000) i;

\set VERBOSITY default
CALL dbops.change_type('orders', 'amount', 'bigint', dry_run => true);
\set VERBOSITY terse
CALL dbops.change_type('orders', 'amount', 'bigint');
CALL dbops.change_type('orders', 'amount', 'bigint');
CALL dbops.change_type('orders', 'amount', 'numeric');
INSERT INTO orders (id, amount) VALUES (2001, 11) RETURNING id, amount, dbops_new_amount;
INSERT INTO orders (id) VALUES (2002) RETURNING id, amount, dbops_new_amount;
UPDATE orders SET amount = 12 WHERE id = 2001 RETURNING id, amount, dbops_new_amount;
INSERT INTO orders (id, amount) VALUES (2003, -1);
SELECT id AS change FROM dbops.column_change WHERE column_name = 'amount' \gset
\set VERBOSITY default
CALL dbops.finish_change(:change, dry_run => true);
\set VERBOSITY terse
CALL dbops.finish_change(:change);
CALL dbops.finish_change(:change);
-- It has the type now.
CALL dbops.change_type('orders', 'amount', 'bigint');
INSERT INTO orders (id) VALUES (2004) RETURNING id, amount;
INSERT INTO orders (id, amount) VALUES (2005, 10000000000) RETURNING id, amount;
-- A sequence that counts for the column, and a foreign key.
CALL dbops.change_type('orders', 'n', 'bigint');
SELECT id AS change FROM dbops.column_change WHERE column_name = 'n' \gset
CALL dbops.finish_change(:change);
CALL dbops.change_type('orders', 'ref', 'bigint');
SELECT id AS change FROM dbops.column_change WHERE column_name = 'ref' \gset
CALL dbops.finish_change(:change);
INSERT INTO orders (id) VALUES (2006) RETURNING id, n;
\d orders
SELECT seqtypid::regtype FROM pg_sequence WHERE seqrelid = 'orders_n_seq'::regclass;

-- What the server needs to look at no row for is done at once.
CALL dbops.change_type('orders', 'note', 'varchar(20)', dry_run => true);
CALL dbops.change_type('orders', 'note', 'varchar(20)');
CALL dbops.change_type('orders', 'note', 'text');
SET timezone = 'UTC';
CALL dbops.change_type('orders', 'at', 'timestamp(6)');
SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname IN ('note', 'at') ORDER BY attnum;
CALL dbops.change_type('orders', 'note', 'text COLLATE "C"');
SELECT id AS change FROM dbops.column_change WHERE column_name = 'note' \gset
CALL dbops.finish_change(:change);
SELECT attcollation::regcollation FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = 'note';

-- Values that cannot be converted: those that are there end the call, those that come later are found in the end.
UPDATE orders SET t = 'none' WHERE id = 7;
SET client_min_messages = warning;
\set VERBOSITY sqlstate
CALL dbops.change_type('orders', 't', 'integer', 't::integer');
\set VERBOSITY terse
UPDATE orders SET t = '-7' WHERE id = 7;
CALL dbops.change_type('orders', 't', 'integer', 't::integer');
RESET client_min_messages;
UPDATE orders SET t = 'late' WHERE id = 8 RETURNING id, t, dbops_new_t;
SELECT id AS change FROM dbops.column_change WHERE column_name = 't' \gset
CALL dbops.finish_change(:change);
UPDATE orders SET t = '8' WHERE id = 8;
UPDATE orders SET t = '9' WHERE id = 9;
ALTER TABLE orders DISABLE TRIGGER zz_dbops_t;
UPDATE orders SET t = '10000' WHERE id = 10;
ALTER TABLE orders ENABLE ALWAYS TRIGGER zz_dbops_t;
CALL dbops.finish_change(:change);
UPDATE orders SET t = '10' WHERE id = 10;
CALL dbops.finish_change(:change);
SELECT id, t FROM orders WHERE id BETWEEN 7 AND 10 ORDER BY id;
-- Taken back.
CALL dbops.change_type('orders', 't', 'text', 't::text || id');
SELECT id AS change FROM dbops.column_change WHERE column_name = 't' AND state = 'ready' \gset
SELECT t, dbops_new_t FROM orders WHERE id = 7;
UPDATE orders SET id = 7000 WHERE id = 7 RETURNING t, dbops_new_t;
CALL dbops.abort_change(:change);
SELECT attname FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum;

-- Refused.
CREATE TABLE refused (id integer PRIMARY KEY, a text, b point, c integer CHECK (c & 1 = 1), d integer, e integer REFERENCES refused);
CREATE INDEX ON refused (d);
CREATE VIEW refused_view AS SELECT a FROM refused;
CREATE DOMAIN short AS text NOT NULL;
CALL dbops.change_type('refused', 'id', 'bigint');
CALL dbops.change_type('refused', 'a', 'varchar(3)');
CALL dbops.change_type('refused', 'b', 'integer');
CALL dbops.change_type('refused', 'c', 'text');
CALL dbops.change_type('refused', 'd', 'json', 'to_json(d)');
CALL dbops.change_type('refused', 'd', 'short', 'd::text');
CALL dbops.change_type('refused', 'e', 'date', '''2020-01-01''::date');
CALL dbops.change_type('refused', 'd', 'nothing');
CALL dbops.change_type('refused', 'd', 'serial');
CALL dbops.change_type('refused', 'd', 'anyelement');
CALL dbops.change_type('refused', 'd', ' ');
CALL dbops.change_type('refused', 'd', 'setof bigint');
CALL dbops.change_type('refused', 'd', 'bigint, x integer');
CALL dbops.change_type('refused', 'd', 'bigint NOT NULL');
CALL dbops.change_type('refused', 'd', 'bigint); DROP TABLE refused; --');
CALL dbops.change_type('refused', 'd', 'bigint', 'd; DROP TABLE refused');
CALL dbops.change_type('refused', 'd', 'bigint', 'random()');
CALL dbops.change_type('refused', 'd', 'timestamptz', 'now()');
CALL dbops.change_type('refused', 'd', 'bigint', '(SELECT 1)');
CALL dbops.change_type('refused', 'd', 'bigint', 'sum(d)');
CALL dbops.change_type('refused', 'd', 'text', 'refused::text');
CALL dbops.change_type('refused', 'x', 'bigint');
CALL dbops.change_type('refused', 'd', NULL);
SELECT count(*) FROM dbops.column_change WHERE state IN ('expanding', 'ready');

SET client_min_messages = warning;
DROP SCHEMA retyped CASCADE;
TRUNCATE dbops.column_change RESTART IDENTITY;
