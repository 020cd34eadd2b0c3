-- backfill_plan: what it predicts is held against what the backfill then does.
-- The tables are small enough to be looked at in full, or large enough that they
-- are not; either way the bounds are wide, and autovacuum is off in these tests.
\set VERBOSITY terse
SET client_min_messages = warning;

CREATE TABLE plan_result (item text, predicted float8, measured float8);
CREATE TABLE plan_before (wal pg_lsn, size float8, hot bigint, updated bigint);

-- Predict, do, and measure: rows and HOT share as the server counts them.
CREATE PROCEDURE plan_note(relation regclass) LANGUAGE sql AS $$
    DELETE FROM plan_before;
    INSERT INTO plan_before SELECT pg_current_wal_insert_lsn(), pg_table_size(relation),
        pg_stat_get_tuples_hot_updated(relation), pg_stat_get_tuples_updated(relation) $$;
CREATE FUNCTION plan_compare(relation regclass, OUT "rows" boolean, OUT hot boolean, OUT wal boolean, OUT growth boolean) LANGUAGE sql AS $$
    WITH m AS (SELECT pg_stat_get_tuples_updated(relation) - updated AS updated,
            pg_stat_get_tuples_hot_updated(relation) - hot AS hot,
            pg_current_wal_insert_lsn() - wal AS wal, pg_table_size(relation) - size AS growth FROM plan_before),
        p AS (SELECT max(predicted) FILTER (WHERE item = 'rows to change') AS updated,
            max(predicted) FILTER (WHERE item = 'HOT updates') AS hot,
            max(predicted) FILTER (WHERE item = 'WAL') AS wal,
            max(predicted) FILTER (WHERE item = 'table growth') AS growth FROM plan_result)
    SELECT abs(p.updated - m.updated) <= 0.05 * m.updated,
           abs(p.hot - 100.0 * m.hot / m.updated) <= 10,
           p.wal BETWEEN 0.7 * m.wal AND 1.3 * m.wal,
           abs(p.growth - m.growth) <= 0.3 * m.growth + 64 * 1024
      FROM m, p $$;
\set predict 'TRUNCATE plan_result; INSERT INTO plan_result SELECT item, number FROM dbops.backfill_plan(''plan_t'', :''set'', ''b IS NULL'', vacuum_every => :every); CALL plan_note(''plan_t'');'
\set measure 'CALL dbops.batched_backfill(''plan_t'', :''set'', ''b IS NULL'', vacuum_every => :every); DO $x$ BEGIN PERFORM pg_stat_force_next_flush(); END $x$; '
\set compare 'SELECT * FROM plan_compare(''plan_t'');'
\set every null
\set set 'b = 1'

-- full pages: no row has room
CREATE TABLE plan_t (id integer PRIMARY KEY, a text, b integer);
INSERT INTO plan_t SELECT i, 'n' || i FROM generate_series(1, 20000) i;
VACUUM ANALYZE plan_t;
CHECKPOINT;
:predict
:measure
:compare
DROP TABLE plan_t;

-- half of each page is reserved, wide rows: all are HOT
CREATE TABLE plan_t (id integer PRIMARY KEY, a text, b integer) WITH (fillfactor = 50);
INSERT INTO plan_t SELECT i, repeat('n', 500) FROM generate_series(1, 5000) i;
VACUUM ANALYZE plan_t;
CHECKPOINT;
:predict
:measure
:compare
DROP TABLE plan_t;

-- the same with an index on what is assigned, by its predicate: none is
CREATE TABLE plan_t (id integer PRIMARY KEY, a text, b integer) WITH (fillfactor = 50);
INSERT INTO plan_t SELECT i, repeat('n', 50) FROM generate_series(1, 10000) i;
CREATE INDEX ON plan_t (a) WHERE b > 0;
VACUUM ANALYZE plan_t;
CHECKPOINT;
:predict
SELECT value, note FROM dbops.backfill_plan('plan_t', 'b = 1', 'b IS NULL') WHERE item = 'HOT updates';
:measure
:compare
DROP TABLE plan_t;

-- deleted rows have left room for some
CREATE TABLE plan_t (id integer PRIMARY KEY, a text, b integer);
INSERT INTO plan_t SELECT i, 'n' || i FROM generate_series(1, 25000) i;
DELETE FROM plan_t WHERE id % 5 = 0;
VACUUM ANALYZE plan_t;
CHECKPOINT;
:predict
:measure
:compare
DROP TABLE plan_t;

-- longer rows in a table larger than the sample, vacuumed on the way
\set set 'b = 1, a = repeat(''y'', 60)'
\set every 0.1
CREATE TABLE plan_t (id integer PRIMARY KEY, a text, b integer);
INSERT INTO plan_t SELECT i, repeat('n', 60) FROM generate_series(1, 60000) i;
VACUUM ANALYZE plan_t;
CHECKPOINT;
:predict
-- How much of it a vacuum can give back depends on who else has a snapshot.
\set compare 'SELECT "rows", hot, wal FROM plan_compare(''plan_t'');'
:measure
:compare
\set compare 'SELECT * FROM plan_compare(''plan_t'');'
DROP TABLE plan_t;

-- values that are kept outside of the row
\set set 'b = 1, a = repeat(md5(id::text), 100)'
\set every null
CREATE TABLE plan_t (id integer PRIMARY KEY, a text, b integer);
ALTER TABLE plan_t ALTER a SET STORAGE EXTERNAL;
INSERT INTO plan_t SELECT i FROM generate_series(1, 2000) i;
VACUUM ANALYZE plan_t;
CHECKPOINT;
:predict
:measure
:compare
DROP TABLE plan_t;
RESET client_min_messages;

-- What an update sets off: a trigger of another column and one for deletes are not in it.
CREATE TABLE plan_refs (code text PRIMARY KEY);
CREATE TABLE plan_parts (id integer, place text REFERENCES plan_refs, "it's ""b""" integer, UNIQUE (id, place)) PARTITION BY RANGE (id);
CREATE TABLE plan_parts_1 PARTITION OF plan_parts FOR VALUES FROM (1) TO (1001);
CREATE TABLE plan_parts_2 PARTITION OF plan_parts FOR VALUES FROM (1001) TO (2001);
CREATE TABLE plan_children (parent integer, place text, FOREIGN KEY (parent, place) REFERENCES plan_parts (id, place));
CREATE FUNCTION plan_nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER stamp BEFORE UPDATE ON plan_parts FOR EACH ROW EXECUTE FUNCTION plan_nothing();
CREATE TRIGGER of_place AFTER UPDATE OF place ON plan_parts FOR EACH ROW EXECUTE FUNCTION plan_nothing();
CREATE TRIGGER of_id AFTER UPDATE OF id ON plan_parts FOR EACH ROW EXECUTE FUNCTION plan_nothing();
CREATE TRIGGER gone AFTER DELETE ON plan_parts FOR EACH ROW EXECUTE FUNCTION plan_nothing();
CREATE TRIGGER once AFTER UPDATE ON plan_parts_1 FOR EACH STATEMENT EXECUTE FUNCTION plan_nothing();
SET client_min_messages = error;
CREATE PUBLICATION regress_plan FOR TABLE plan_parts;
CREATE PUBLICATION regress_plan_inserts FOR TABLE plan_parts WITH (publish = 'insert');
RESET client_min_messages;
INSERT INTO plan_refs VALUES ('PT');
INSERT INTO plan_parts SELECT i FROM generate_series(1, 1500) i;
ANALYZE plan_parts;
SELECT item, value, number, note FROM dbops.backfill_plan('plan_parts', 'place = ''PT''', 'place IS NULL')
 WHERE item IN ('tables', 'rows', 'rows to change', 'method', 'batches', 'trigger', 'foreign key', 'publication', 'rows written meanwhile')
    OR item = 'warning' AND value LIKE '%identity%';
SELECT item, value, number FROM dbops.backfill_plan('plan_parts', '"it''s ""b""" = id', '"it''s ""b""" IS NULL')
 WHERE item IN ('rows to change', 'trigger', 'foreign key', 'HOT updates');

-- What keeps an update from being HOT: a column in an expression, or a generated
-- one that is made of it; BRIN only up to 15.
CREATE TABLE plan_hot (id integer, a text, b integer, c integer GENERATED ALWAYS AS (b + 1) STORED, d integer) WITH (fillfactor = 40);
INSERT INTO plan_hot SELECT i, 'n' || i FROM generate_series(1, 1000) i;
CREATE INDEX ON plan_hot (c);
CREATE INDEX ON plan_hot (lower(a));
CREATE INDEX ON plan_hot USING brin (d);
VACUUM ANALYZE plan_hot;
SELECT s AS set_clause, p.value, p.note
  FROM unnest('{"a = ''x''", "b = 1"}'::text[]) s, dbops.backfill_plan('plan_hot', s) p WHERE p.item = 'HOT updates';
SELECT (number = 100) = (current_setting('server_version_num')::int >= 160000) AS brin
  FROM dbops.backfill_plan('plan_hot', 'd = 1') WHERE item = 'HOT updates';
DROP TABLE plan_hot;

-- warnings: of a table that was never analyzed, and of a transaction that has been open for an hour
CREATE TABLE plan_new (id integer, b integer);
INSERT INTO plan_new SELECT generate_series(1, 100);
BEGIN;
CREATE TABLE plan_prepared ();
PREPARE TRANSACTION 'regress_plan';
SELECT extract(epoch FROM now() + '1 hour 1 minute') AS later \gset
SET dbops.test_now = :later;
SELECT item, value, note FROM dbops.backfill_plan('plan_new', 'b = 1') WHERE item = 'warning';
RESET dbops.test_now;
ROLLBACK PREPARED 'regress_plan';
ANALYZE plan_new;
SELECT item, value, note FROM dbops.backfill_plan('plan_new', 'b = 1') WHERE item = 'warning';

-- an inactive slot
SELECT slot_name FROM pg_create_physical_replication_slot('regress_plan', true);
SELECT item, value, note FROM dbops.backfill_plan('plan_new', 'b = 1') WHERE item LIKE '%slot';
SELECT pg_drop_replication_slot('regress_plan');
DROP TABLE plan_new;

-- rows that would get NULL
SELECT item, value, number FROM dbops.backfill_plan('plan_parts', 'place = CASE WHEN id <= 500 THEN NULL ELSE ''PT'' END', 'place IS NULL')
 WHERE item = 'rows to change' OR value LIKE '%NULL%';

-- by a key, where blocks are not enough
CREATE TABLE plan_keyed ("My Id" integer PRIMARY KEY, b integer);
INSERT INTO plan_keyed SELECT i, i FROM generate_series(1, 500) i;
ANALYZE plan_keyed;
SELECT item, value, number, note FROM dbops.backfill_plan('plan_keyed', 'b = b * 2', 'b > 0')
 WHERE item IN ('method', 'rows to change', 'own trigger', 'rows written meanwhile');
DROP TABLE plan_keyed;

-- nothing to be changed
SELECT item, value, number, note FROM dbops.backfill_plan('plan_parts', 'place = ''PT''', 'id < 0') WHERE item IN ('rows to change', 'HOT updates', 'WAL', 'table growth');

-- It changes nothing: what would write is refused, and no lock is left. A value
-- that cannot be had without it is taken to be as long as the old one.
CREATE SEQUENCE plan_numbers;
CREATE FUNCTION plan_writes(id integer) RETURNS text LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO plan_refs VALUES ('w' || id); RETURN 'PT'; END $$;
BEGIN;
SELECT item, number, note FROM dbops.backfill_plan('plan_parts', '"it''s ""b""" = nextval(''plan_numbers'')', '"it''s ""b""" IS NULL')
 WHERE item IN ('rows to change', 'row width');
SELECT item, number FROM dbops.backfill_plan('plan_parts', 'place = plan_writes(id)', 'place IS NULL') WHERE item = 'rows to change';
SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND relation IN ('plan_parts'::regclass, 'plan_parts_1'::regclass);
SELECT current_setting('transaction_read_only'), current_setting('lock_timeout') AS lock_timeout;
COMMIT;
SELECT is_called FROM plan_numbers;
SELECT count(*) FROM plan_refs;
BEGIN READ ONLY;
SELECT count(*) > 10 AS planned FROM dbops.backfill_plan('plan_parts', 'place = ''PT''', 'place IS NULL');
COMMIT;

-- rows that fail are counted, and everything else is of the others
SELECT item, value, number, note FROM dbops.backfill_plan('plan_parts', 'place = ''PT''', '1 / (id - 1400) IS NOT NULL')
 WHERE item IN ('rows', 'rows to change') OR value LIKE '%fail';
CREATE TABLE plan_bad (id integer PRIMARY KEY, divisor integer, place integer);
INSERT INTO plan_bad SELECT i, CASE WHEN i % 500 = 0 THEN 0 ELSE 1 END FROM generate_series(1, 20000) i;
VACUUM ANALYZE plan_bad;
SELECT item, value, number, note FROM dbops.backfill_plan('plan_bad', 'place = id / divisor', 'place IS NULL', on_error => 'quarantine')
 WHERE item IN ('rows', 'rows to change', 'row width', 'batches') OR value LIKE '%fail';
SELECT item, number > 20000 AS some FROM dbops.backfill_plan('plan_bad', 'place = id / divisor', 'place IS NULL') WHERE item IN ('WAL', 'table growth');
SET dbops.backfill_max_errors = 39;
SELECT value, note FROM dbops.backfill_plan('plan_bad', 'place = id / divisor', 'place IS NULL', on_error => 'quarantine') WHERE value LIKE '%fail';
RESET dbops.backfill_max_errors;
-- all of them
SELECT item, value FROM dbops.backfill_plan('plan_bad', 'place = id / (divisor * 0)', 'place IS NULL AND id <= 100')
 WHERE item IN ('rows', 'rows to change') OR value LIKE '%fail';
-- of an estimate it is one: a table that is larger than the sample
INSERT INTO plan_bad SELECT i, CASE WHEN i % 200 = 0 THEN 0 ELSE 1 END FROM generate_series(20001, 100000) i;
SELECT value LIKE 'about % rows would fail' AS about, number BETWEEN 300 AND 600 AS near
  FROM dbops.backfill_plan('plan_bad', 'place = id / divisor', 'place IS NULL') WHERE value LIKE '%fail';

-- where nothing can be known nothing is said to be 0
CREATE FUNCTION plan_unable(integer) RETURNS integer LANGUAGE plpgsql AS
    $$ BEGIN RAISE feature_not_supported USING MESSAGE = 'not able to'; END $$;
SELECT item, value, number, note FROM dbops.backfill_plan('plan_bad', 'place = plan_unable(id)', 'plan_unable(id) IS NULL', verify => false)
 WHERE item NOT IN ('tables', 'blocks', 'size', 'method', 'disk', 'own trigger', 'rows written meanwhile', 'warning');
DROP TABLE plan_bad;

-- How long other tables took says nothing of clauses that take longer to evaluate.
CREATE TABLE plan_slow (id integer PRIMARY KEY, b integer);
INSERT INTO plan_slow SELECT i FROM generate_series(1, 100) i;
CREATE TABLE plan_past (id integer PRIMARY KEY, b integer);
INSERT INTO plan_past SELECT i FROM generate_series(1, 10000) i;
SET client_min_messages = warning;
CALL dbops.batched_backfill('plan_past', 'b = id', 'b IS NULL', on_error => 'quarantine');
RESET client_min_messages;
ANALYZE plan_slow;
CREATE FUNCTION plan_sleep(integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS
    $$ BEGIN PERFORM pg_sleep(0.002); RETURN $1; END $$;
SELECT number >= 0.2 AS measured, note LIKE '%as the last %backfill% of this database, and at least the time that the sample took' AS said
  FROM dbops.backfill_plan('plan_slow', 'b = plan_sleep(id)', 'b IS NULL') WHERE item = 'duration';
SELECT value FROM dbops.backfill_plan('plan_slow', 'b = 1', 'b IS NULL') WHERE item = 'duration';
DROP TABLE plan_slow, plan_past;

-- it is refused as the call is
SELECT * FROM dbops.backfill_plan('plan_parts', '"it''s ""b""" = "it''s ""b""" + 1');
SELECT * FROM dbops.backfill_plan('plan_parts', 'id = 1');
SELECT * FROM dbops.backfill_plan('plan_parts', 'place = ''x''; DROP TABLE plan_refs');
SELECT * FROM dbops.backfill_plan('plan_parts', NULL);
SELECT * FROM dbops.backfill_plan('plan_parts', 'place = ''x''', vacuum_every => 2);
-- of a temporary table one process
CREATE TEMP TABLE plan_temp (id integer, b integer);
INSERT INTO plan_temp SELECT generate_series(1, 10);
SELECT item, value FROM dbops.backfill_plan('plan_temp', 'b = 1') WHERE item = 'rows to change';
SELECT * FROM dbops.backfill_plan('plan_temp', 'b = 1', workers => 2);
CALL dbops.batched_backfill('plan_temp', 'b = 1', workers => 2);
SELECT count(*) AS jobs FROM dbops.job WHERE name = 'plan_temp';
-- as many processes as the call can have, which is one more than in the background
SELECT value, note FROM dbops.backfill_plan('plan_parts', 'place = ''PT''', workers => current_setting('dbops.max_workers')::integer + 1) WHERE item = 'method';
SELECT * FROM dbops.backfill_plan('plan_parts', 'place = ''PT''', workers => current_setting('dbops.max_workers')::integer + 2);
CREATE ROLE regress_plan_other;
-- a trigger that could run with the rights of the caller
CREATE TABLE plan_deferred (id integer, b integer);
CREATE CONSTRAINT TRIGGER later AFTER UPDATE ON plan_deferred DEFERRABLE FOR EACH ROW EXECUTE FUNCTION plan_nothing();
ALTER TABLE plan_deferred OWNER TO regress_plan_other;
SELECT * FROM dbops.backfill_plan('plan_deferred', 'b = 1');
CALL dbops.batched_backfill('plan_deferred', 'b = 1');
DROP TABLE plan_deferred;
SELECT dbops.grant_access('regress_plan_other', 'operator');
SET ROLE regress_plan_other;
SELECT * FROM dbops.backfill_plan('plan_parts', 'place = ''PT''');
RESET ROLE;
SELECT dbops.revoke_access('regress_plan_other');

DROP PUBLICATION regress_plan, regress_plan_inserts;
DROP TABLE plan_children, plan_parts, plan_refs, plan_temp, plan_result, plan_before;
DROP SEQUENCE plan_numbers;
DROP FUNCTION plan_nothing, plan_writes, plan_compare, plan_unable, plan_sleep;
DROP PROCEDURE plan_note;
DROP ROLE regress_plan_other;
