-- Bad input: each a specific error, before anything is changed.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE TABLE backfill_input (id integer, place text);
INSERT INTO backfill_input SELECT i FROM generate_series(1, 10) i;

-- clauses that are more, or less, than they should be
CALL dbops.batched_backfill('backfill_input', 'place = 1; DROP TABLE backfill_input');
CALL dbops.batched_backfill('backfill_input', 'place = 1;');
CALL dbops.batched_backfill('backfill_input', 'place = 1 WHERE id = 1');
CALL dbops.batched_backfill('backfill_input', 'place = 1 WHERE id = 1 --');
CALL dbops.batched_backfill('backfill_input', 'place = 1 FROM backfill_input b');
CALL dbops.batched_backfill('backfill_input', 'place = 1 RETURNING *');
CALL dbops.batched_backfill('backfill_input', '');
CALL dbops.batched_backfill('backfill_input', 'place');
CALL dbops.batched_backfill('backfill_input', 'place = ''1');
CALL dbops.batched_backfill('backfill_input', 'place = 1 /*');
CALL dbops.batched_backfill('backfill_input', 'place = $1');
CALL dbops.batched_backfill('backfill_input', 'place = 1', '');
CALL dbops.batched_backfill('backfill_input', 'place = 1', 'true; DROP TABLE backfill_input');
CALL dbops.batched_backfill('backfill_input', 'place = 1', 'true) OR (true');
CALL dbops.batched_backfill('backfill_input', 'place = 1', 'id = 1 ORDER BY id');
CALL dbops.batched_backfill('backfill_input', 'place = 1', 'id = 1 LIMIT 1');
CALL dbops.batched_backfill('backfill_input', 'place = 1', 'true, false');
CALL dbops.batched_backfill('backfill_input', 'place = 1', 'true AS x');
CALL dbops.batched_backfill('backfill_input', 'place = 1', 'id');
CALL dbops.batched_backfill('backfill_input', 'place = 1', 'count(*) > 1');
-- a comment at the end is no more than a comment
CALL dbops.batched_backfill('backfill_input', 'place = 1 -- one', 'id = 1 -- the first');

-- things that are not there, not of the type, or write
CALL dbops.batched_backfill('backfill_input', 'nosuch = 1');
CALL dbops.batched_backfill('backfill_input', 'place = nosuch');
CALL dbops.batched_backfill('backfill_input', 'place = 1', 'nosuch = 1');
CALL dbops.batched_backfill('backfill_input', 'id = ''x''::text');
CALL dbops.batched_backfill('backfill_input', 'place = (WITH d AS (DELETE FROM backfill_input RETURNING 1) SELECT count(*) FROM d)');
CALL dbops.batched_backfill('backfill_input', 'place = (DELETE FROM backfill_input RETURNING 1)');
CALL dbops.batched_backfill('backfill_input', 'place = 1', 'EXISTS (WITH d AS (DELETE FROM backfill_input RETURNING 1) SELECT FROM d)');
CALL dbops.batched_backfill('backfill_input', 'place = count(*)');
CALL dbops.batched_backfill('backfill_input', 'place = generate_series(1, 2)');
CALL dbops.batched_backfill('backfill_input', 'place = 1, place = 2');
CALL dbops.batched_backfill('backfill_input', 'ctid = ''(0,1)''');

-- arguments
CALL dbops.batched_backfill(NULL, 'place = 1');
CALL dbops.batched_backfill('backfill_input', NULL);
CALL dbops.batched_backfill('backfill_input', 'place = 1', batch_size => NULL);
CALL dbops.batched_backfill('backfill_input', 'place = 1', pause => NULL);
CALL dbops.batched_backfill('backfill_input', 'place = 1', verify => NULL);
CALL dbops.batched_backfill('backfill_input', 'place = 1', batch_size => 0);
CALL dbops.batched_backfill('backfill_input', 'place = 1', batch_size => -1);
CALL dbops.batched_backfill('backfill_input', 'place = 1', pause => '-1 second');
CALL dbops.batched_backfill('backfill_input', 'place = 1', pause => '2 hours');
CALL dbops.batched_backfill('backfill_nosuch', 'place = 1');
CALL dbops.batched_backfill(4294967295, 'place = 1');

-- what is not a table to be walked
CREATE VIEW backfill_view AS SELECT * FROM backfill_input;
CREATE MATERIALIZED VIEW backfill_matview AS SELECT * FROM backfill_input;
CREATE SEQUENCE backfill_sequence;
CREATE INDEX backfill_index ON backfill_input (id);
CREATE FOREIGN DATA WRAPPER backfill_wrapper;
CREATE SERVER backfill_server FOREIGN DATA WRAPPER backfill_wrapper;
CREATE FOREIGN TABLE backfill_foreign (id integer, place text) SERVER backfill_server;
CALL dbops.batched_backfill('backfill_view', 'place = 1');
CALL dbops.batched_backfill('backfill_matview', 'place = 1');
CALL dbops.batched_backfill('backfill_sequence', 'last_value = 1');
CALL dbops.batched_backfill('backfill_index', 'id = 1');
CALL dbops.batched_backfill('backfill_foreign', 'place = 1');
CALL dbops.batched_backfill('pg_class', 'relname = ''x''');
CREATE TABLE backfill_parted (id integer, place text) PARTITION BY LIST (id);
CREATE FOREIGN TABLE backfill_parted_foreign PARTITION OF backfill_parted FOR VALUES IN (1) SERVER backfill_server;
CREATE TABLE backfill_parted_local PARTITION OF backfill_parted FOR VALUES IN (2);
CALL dbops.batched_backfill('backfill_parted', 'place = 1');
CREATE TABLE backfill_ruled (id integer, place text);
CREATE RULE ruled AS ON UPDATE TO backfill_ruled DO INSTEAD NOTHING;
CALL dbops.batched_backfill('backfill_ruled', 'place = 1');

-- inside something that it would commit
BEGIN;
CALL dbops.batched_backfill('backfill_input', 'place = 1');
ROLLBACK;
DO $$ BEGIN CALL dbops.batched_backfill('backfill_input', 'place = 1'); END $$;
CREATE PROCEDURE backfill_wrap() LANGUAGE plpgsql AS
    $$ BEGIN CALL dbops.batched_backfill('backfill_input', 'place = 1'); END $$;
CALL backfill_wrap();
SET default_transaction_read_only = on;
CALL dbops.batched_backfill('backfill_input', 'place = 1');
RESET default_transaction_read_only;

-- programs tell them apart by SQLSTATE
\set VERBOSITY sqlstate
CALL dbops.batched_backfill('backfill_input', 'place = 1; SELECT 1');
CALL dbops.batched_backfill('backfill_input', 'place = 1', 'true, false');
CALL dbops.batched_backfill('backfill_input', 'nosuch = 1');
CALL dbops.batched_backfill('backfill_input', 'place = 1', 'id');
CALL dbops.batched_backfill('backfill_input', NULL);
CALL dbops.batched_backfill('backfill_input', 'place = 1', batch_size => 0);
CALL dbops.batched_backfill('backfill_input', 'place = 1', pause => '-1 second');
CALL dbops.batched_backfill('backfill_nosuch', 'place = 1');
CALL dbops.batched_backfill('backfill_view', 'place = 1');
CALL dbops.batched_backfill('backfill_foreign', 'place = 1');
CALL dbops.batched_backfill('pg_class', 'relname = ''x''');
CALL dbops.batched_backfill('backfill_ruled', 'place = 1');
CALL dbops.batched_backfill('backfill_input', 'id = id + 1');
DO $$ BEGIN CALL dbops.batched_backfill('backfill_input', 'place = 1'); END $$;
SET default_transaction_read_only = on;
CALL dbops.batched_backfill('backfill_input', 'place = 1');
RESET default_transaction_read_only;
\set VERBOSITY default

-- nothing of all this has changed anything but the one row that was asked for
SELECT * FROM backfill_input WHERE place IS NOT NULL;

DROP PROCEDURE backfill_wrap();
DROP TABLE backfill_input, backfill_parted, backfill_ruled CASCADE;
DROP SEQUENCE backfill_sequence;
DROP FOREIGN DATA WRAPPER backfill_wrapper CASCADE;
