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

CALL dbops.batched_backfill('backfill_input', 'place = 1', workers => NULL);
CALL dbops.batched_backfill('backfill_input', 'place = 1', workers => -1);
CALL dbops.batched_backfill('backfill_input', 'place = 1', workers => 1000000);
CALL dbops.batched_backfill('backfill_input', 'place = 1', method => NULL);
CALL dbops.batched_backfill('backfill_input', 'place = 1', method => 'Blocks');
CALL dbops.batched_backfill('backfill_input', 'place = 1', method => 'keyset');
CALL dbops.batched_backfill('backfill_input', 'place = 1', sync => NULL);
CALL dbops.batched_backfill('backfill_input', 'place = 1', app_writes => NULL);
CALL dbops.batched_backfill('backfill_input', 'place = 1', sync => true, app_writes => true);
CALL dbops.batched_backfill('backfill_input', 'place = 1', on_error => NULL);
CALL dbops.batched_backfill('backfill_input', 'place = 1', on_error => 'ignore');
CALL dbops.batched_backfill('backfill_input', 'place = 1', vacuum_every => 'NaN');
CALL dbops.batched_backfill('backfill_input', 'place = 1', vacuum_every => 'infinity');
CALL dbops.batched_backfill('backfill_input', 'place = 1', vacuum_every => -0.1);
CALL dbops.batched_backfill('backfill_input', 'place = 1', max_wal_per_s => -1);
CALL dbops.batched_backfill('backfill_input', 'place = 1', max_wal_per_s => 1);
SET dbops.backfill_max_errors = -1;

-- columns that have their values from elsewhere, and keys of partitions
CREATE TABLE backfill_made (id integer GENERATED ALWAYS AS IDENTITY, twice integer GENERATED ALWAYS AS (n * 2) STORED, n integer);
CALL dbops.batched_backfill('backfill_made', 'id = 1');
CALL dbops.batched_backfill('backfill_made', 'twice = 1');
CREATE TABLE backfill_keyed (id integer, place text) PARTITION BY LIST (id);
CREATE TABLE backfill_keyed_1 PARTITION OF backfill_keyed FOR VALUES IN (1);
CALL dbops.batched_backfill('backfill_keyed', 'id = 1');
CALL dbops.batched_backfill('backfill_keyed_1', 'id = 1');
CALL dbops.batched_backfill('backfill_made', 'n = ''x''::text');
CALL dbops.batched_backfill('backfill_made', 'n = true');
CALL dbops.batched_backfill('backfill_made', 'n = 1', '''2020-01-01''::date');
DROP TABLE backfill_made, backfill_keyed;

-- nonsense to tune a job with
BEGIN;
SELECT dbops.start_backfill('backfill_input', 'place = ''never''', 'id < 0') AS job \gset
SELECT dbops.cancel_job(:job);
COMMIT;
BEGIN;
SELECT dbops.start_backfill('backfill_input', 'place = ''never''', 'id < 0') AS live \gset
\set ON_ERROR_ROLLBACK on
\set VERBOSITY terse
SELECT dbops.tune_job(:live, settings => '{"nosuch": 1}');
SELECT dbops.tune_job(:live, settings => '[1]');
SELECT dbops.tune_job(:live, settings => '"batch_size"');
SELECT dbops.tune_job(:live, settings => '{"batch_size": "many"}');
SELECT dbops.tune_job(:live, settings => '{"batch_size": null}');
SELECT dbops.tune_job(:live, settings => '{"batch_size": [1]}');
SELECT dbops.tune_job(:live, settings => '{"batch_size": {"a": 1}}');
SELECT dbops.tune_job(:live, settings => '{"pause": "soon"}');
SELECT dbops.tune_job(:live, settings => '{"pause": -1}');
\set ON_ERROR_ROLLBACK off
ROLLBACK;
\set VERBOSITY sqlstate
SELECT dbops.tune_job(:job, settings => '{"batch_size": 1}');
SELECT dbops.tune_job(:job, priority => 1);
\set VERBOSITY terse
-- nor one that does no steps
BEGIN;
SELECT dbops.enqueue('SELECT 1') AS command \gset
SAVEPOINT enqueued;
SELECT dbops.tune_job(:command, settings => '{"batch_size": 1}');
ROLLBACK TO enqueued;
SELECT dbops.tune_job(:command, priority => 1);
ROLLBACK;
\set VERBOSITY default

-- nobody else sees a temporary table
CREATE TEMP TABLE backfill_temporary (id integer, place text);
SELECT dbops.start_backfill('backfill_temporary', 'place = 1');
DROP TABLE backfill_temporary;

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
