-- Rows that fail: the backfill stops with the row named, or sets such rows aside and goes on.
SET client_min_messages = warning;
CREATE FUNCTION backfill_aside(OUT table_name text, OUT key jsonb, OUT sqlstate text, OUT message text, OUT detail text)
    RETURNS SETOF record LANGUAGE sql AS
    $$ SELECT e.table_name, e.key, e.sqlstate, e.message, e.detail
         FROM dbops.backfill_errors((SELECT id FROM dbops.job ORDER BY submitted_at DESC LIMIT 1)) e
        ORDER BY e.table_name, e.key $$;
CREATE FUNCTION backfill_outcome(OUT state text, OUT sqlstate text, OUT message text, OUT result jsonb)
    LANGUAGE sql AS
    $$ SELECT j.state, j.sqlstate, replace(j.message, '(' || j.id || ')', '(N)'),
              jsonb_build_object('left', j.result -> 'left', 'quarantined', j.result -> 'quarantined', 'rows', j.result -> 'rows')
         FROM dbops.job j ORDER BY j.submitted_at DESC LIMIT 1 $$;

CREATE TABLE backfill_bad ("Id" integer PRIMARY KEY, divisor integer, place integer) WITH (autovacuum_enabled = off);
INSERT INTO backfill_bad SELECT i, CASE WHEN i IN (7, 3000, 3001, 9999) THEN 0 ELSE 5 END FROM generate_series(1, 10000) i;

-- stop: the row is named, and the rows before it stay changed
CALL dbops.batched_backfill('backfill_bad', 'place = 100 / divisor', 'place IS NULL', batch_size => 2000);
SELECT count(*), max("Id") FROM backfill_bad WHERE place IS NOT NULL;
UPDATE backfill_bad SET divisor = 5 WHERE "Id" = 7;
\set VERBOSITY terse
CALL dbops.batched_backfill('backfill_bad', 'place = 100 / divisor', 'place IS NULL', batch_size => 2000);
SELECT count(*), max("Id") FROM backfill_bad WHERE place IS NOT NULL;
SELECT count(*) AS recorded FROM dbops.backfill_error e JOIN dbops.job j ON j.id = e.job_id WHERE j.name = 'backfill_bad';

-- a job that stops has recorded the row
SELECT dbops.start_backfill('backfill_bad', 'place = 100 / divisor', 'place IS NULL') AS job \gset
\set VERBOSITY terse
CALL dbops.run_job(:job);
SELECT * FROM backfill_outcome();
SELECT * FROM backfill_aside();
SELECT row_ctid, place FROM dbops.backfill_errors(:job), backfill_bad b WHERE b.ctid = row_ctid;
-- and its message says where the row is; its key is for those who may see the job's command
SELECT dbops.job_status(:job) -> 'result' -> 'last_error' AS last_error;
CREATE ROLE regress_backfill_watcher;
SELECT dbops.grant_access('regress_backfill_watcher', 'monitor');
SET ROLE regress_backfill_watcher;
SELECT dbops.job_status(:job) -> 'message' AS message, dbops.job_status(:job) -> 'result' AS result;
RESET ROLE;
SELECT dbops.revoke_access('regress_backfill_watcher');
DROP ROLE regress_backfill_watcher;
-- by a key too, where the job can go on
SELECT dbops.start_backfill('backfill_bad', 'place = 100 / divisor', 'place IS NULL', method => 'keyset') AS job \gset
CALL dbops.run_job(:job);
SELECT state, regexp_replace(message, 'dbops_exact_\d+', 'dbops_exact_N') AS message FROM backfill_outcome();
SELECT dbops.cancel_job(:job);

-- quarantine: everything else is changed
CALL dbops.batched_backfill('backfill_bad', 'place = 100 / divisor', 'place IS NULL', batch_size => 2000, on_error => 'quarantine');
SELECT * FROM backfill_outcome();
SELECT * FROM backfill_aside();
SELECT count(*) FROM backfill_bad WHERE place IS NULL;
-- without a verification too, and where the expression fails in it
CALL dbops.batched_backfill('backfill_bad', 'place = 101 / divisor', verify => false, on_error => 'quarantine');
SELECT * FROM backfill_outcome();
CALL dbops.batched_backfill('backfill_bad', 'place = 102 / divisor', on_error => 'quarantine');
SELECT * FROM backfill_outcome();
SELECT * FROM backfill_aside();
SELECT place, count(*) FROM backfill_bad GROUP BY place ORDER BY place;
-- by several processes
CALL dbops.batched_backfill('backfill_bad', 'place = 103 / divisor', on_error => 'quarantine', workers => 2);
SELECT * FROM backfill_outcome();
SELECT * FROM backfill_aside();
\set VERBOSITY sqlstate
CALL dbops.batched_backfill('backfill_bad', 'place = 104 / divisor', workers => 2);
\set VERBOSITY terse
SELECT state, sqlstate, regexp_replace(message, '\d+,\d+', 'b,n') AS message FROM backfill_outcome();
SELECT count(*) BETWEEN 1 AND 2 AS some FROM backfill_aside();
-- corrected
UPDATE backfill_bad SET divisor = 1 WHERE divisor = 0;
CALL dbops.batched_backfill('backfill_bad', 'place = 102 / divisor', on_error => 'quarantine');
SELECT * FROM backfill_outcome();
SELECT * FROM backfill_aside();

-- a whole block, with its neighbours
VACUUM FULL backfill_bad;
UPDATE backfill_bad SET divisor = 0 WHERE (ctid::text::point)[0] = 20;
VACUUM FULL backfill_bad;
SELECT count(*) FROM backfill_bad WHERE divisor = 0;
CALL dbops.batched_backfill('backfill_bad', 'place = 103 / divisor', on_error => 'quarantine');
SELECT count(*) AS aside, count(DISTINCT key) AS keys FROM backfill_aside();
SELECT place, count(*), count(*) FILTER (WHERE divisor = 0) AS zero FROM backfill_bad GROUP BY place ORDER BY place;

-- too many: it stops, with those recorded
SET dbops.backfill_max_errors = 3;
CALL dbops.batched_backfill('backfill_bad', 'place = 104 / (divisor * 0)', on_error => 'quarantine');
RESET dbops.backfill_max_errors;
SELECT state, sqlstate, message FROM backfill_outcome();
SELECT key, message FROM backfill_aside();
SET dbops.backfill_max_errors = 0;
\set VERBOSITY terse
CALL dbops.batched_backfill('backfill_bad', 'place = 104 / (divisor * 0)', on_error => 'quarantine');
SELECT count(*) FROM backfill_aside();
RESET dbops.backfill_max_errors;

-- A row that is repaired behind the walk is changed before the end, and no longer recorded.
UPDATE backfill_bad SET place = NULL, divisor = CASE WHEN "Id" IN (10, 20, 30, 40, 9910, 9920, 9930, 9940) THEN 0 ELSE 5 END;
VACUUM FULL backfill_bad;
CREATE FUNCTION backfill_repair() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE backfill_bad SET divisor = 1
     WHERE "Id" = (SELECT min((key ->> 'Id')::integer) FROM dbops.backfill_error WHERE job_id = (SELECT max(job_id) FROM dbops.backfill_error));
    RETURN NEW;
END $$;
CREATE TRIGGER repair BEFORE UPDATE ON backfill_bad FOR EACH ROW WHEN (NEW."Id" = 9000) EXECUTE FUNCTION backfill_repair();
CALL dbops.batched_backfill('backfill_bad', 'place = 100 / divisor', 'place IS NULL', batch_size => 500, on_error => 'quarantine');
DROP TRIGGER repair ON backfill_bad;
SELECT * FROM backfill_outcome();
SELECT string_agg(key ->> 'Id', ' ' ORDER BY key ->> 'Id') AS recorded FROM backfill_aside();
SELECT place, count(*), min("Id"), max("Id") FROM backfill_bad WHERE place IS DISTINCT FROM 20 GROUP BY place ORDER BY place;
-- How many may fail holds for all processes together: neither end of the table has too many. One that has recorded
-- some and has not committed is not seen by the others.
UPDATE backfill_bad SET place = NULL, divisor = 0 WHERE "Id" = 10;
SET dbops.backfill_max_errors = 5;
CALL dbops.batched_backfill('backfill_bad', 'place = 100 / divisor', 'place IS NULL', batch_size => 500, on_error => 'quarantine', workers => 2);
RESET dbops.backfill_max_errors;
SELECT state, sqlstate, message FROM backfill_outcome();
SELECT count(*) BETWEEN 6 AND 8 AS some, count(DISTINCT key) = count(*) AS once FROM backfill_aside();

-- every constraint there is, a deferred one too, and a trigger that raises its own error
CREATE TABLE backfill_parent (id integer PRIMARY KEY);
INSERT INTO backfill_parent SELECT generate_series(1, 1000);
CREATE TABLE backfill_bound (id integer PRIMARY KEY, wanted text, checked integer CHECK (checked <> 13), filled integer NOT NULL DEFAULT 0,
    small smallint, parent integer REFERENCES backfill_parent DEFERRABLE INITIALLY DEFERRED, code integer UNIQUE,
    later integer UNIQUE DEFERRABLE INITIALLY DEFERRED) WITH (autovacuum_enabled = off);
INSERT INTO backfill_bound (id, wanted) SELECT i, i::text FROM generate_series(1, 500) i;
UPDATE backfill_bound SET wanted = 'x' WHERE id = 20;
UPDATE backfill_bound SET wanted = '40000' WHERE id = 30;
UPDATE backfill_bound SET wanted = '2000' WHERE id = 40;
UPDATE backfill_bound SET wanted = '51' WHERE id = 50;
UPDATE backfill_bound SET wanted = NULL WHERE id = 60;
CREATE FUNCTION backfill_raise() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.id = 70 THEN
        RAISE EXCEPTION 'no % here', NEW.id USING ERRCODE = 'ZZ070', DETAIL = 'It is not wanted.', HINT = 'Take another.';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER raise AFTER UPDATE ON backfill_bound FOR EACH ROW EXECUTE FUNCTION backfill_raise();
CALL dbops.batched_backfill('backfill_bound', 'small = wanted::smallint', 'small IS NULL', on_error => 'quarantine');
SELECT * FROM backfill_aside();
CALL dbops.batched_backfill('backfill_bound', 'checked = id', 'checked IS NULL', on_error => 'quarantine');
SELECT * FROM backfill_aside();
CALL dbops.batched_backfill('backfill_bound', 'filled = nullif(id, 80)', 'filled = 0', on_error => 'quarantine');
SELECT key, sqlstate, message FROM backfill_aside();
CALL dbops.batched_backfill('backfill_bound', 'parent = small', 'parent IS NULL AND small IS NOT NULL', on_error => 'quarantine');
SELECT * FROM backfill_aside();
CALL dbops.batched_backfill('backfill_bound', 'code = small', 'code IS NULL AND small IS NOT NULL', on_error => 'quarantine');
SELECT key IN ('{"id": 50}', '{"id": 51}') AS one_of_two, sqlstate, message, detail FROM backfill_aside();
CALL dbops.batched_backfill('backfill_bound', 'later = small', 'later IS NULL AND small IS NOT NULL', on_error => 'quarantine');
SELECT key IN ('{"id": 50}', '{"id": 51}') AS one_of_two, sqlstate, message, detail FROM backfill_aside();
\set VERBOSITY default
CALL dbops.batched_backfill('backfill_bound', 'small = 70', 'id = 70');
SET ROLE pg_monitor;
SELECT * FROM dbops.backfill_errors(0);
RESET ROLE;

-- Unique values that rows give up while others take them: those that failed in the walk succeed in the sweep.
\set VERBOSITY terse
CREATE TABLE backfill_chain (id integer PRIMARY KEY, code integer UNIQUE, wanted integer) WITH (autovacuum_enabled = off);
INSERT INTO backfill_chain SELECT i, i, CASE WHEN i % 2 = 1 THEN i + 1 ELSE i + 1000 END FROM generate_series(1, 300) i;
CALL dbops.batched_backfill('backfill_chain', 'code = wanted', on_error => 'quarantine', batch_size => 100);
SELECT state, message, result FROM backfill_outcome();
SELECT count(*) FILTER (WHERE code = wanted) AS done, count(*) FROM backfill_chain;
SELECT count(*) FROM backfill_aside();

-- by a key: each row but those is changed once; neighbours, the first and the last one, and a deferred constraint
CREATE TABLE backfill_once (id integer PRIMARY KEY, divisor integer NOT NULL, n integer NOT NULL DEFAULT 0,
    parent integer REFERENCES backfill_parent DEFERRABLE INITIALLY DEFERRED);
INSERT INTO backfill_once SELECT i, CASE WHEN i IN (1, 300, 301, 302, 777, 1000) THEN 0 ELSE 5 END, 0, CASE WHEN i = 400 THEN NULL ELSE i END FROM generate_series(1, 1000) i;
CALL dbops.batched_backfill('backfill_once', 'n = n + 5 / divisor, parent = coalesce(parent, -1)', batch_size => 50, on_error => 'quarantine');
SELECT spec ->> 'method' AS method FROM dbops.job ORDER BY submitted_at DESC LIMIT 1;
SELECT * FROM backfill_outcome();
SELECT * FROM backfill_aside() ORDER BY (key ->> 'id')::integer;
SELECT n, count(*) FROM backfill_once GROUP BY n ORDER BY n;
UPDATE backfill_once SET n = 0;
UPDATE backfill_once SET divisor = 0 WHERE id = 2;
CALL dbops.batched_backfill('backfill_once', 'n = n + 5 / divisor', 'id < 3', on_error => 'quarantine');
-- rows moved to another key before their turn: one that fails there, and one that no longer does
CREATE FUNCTION backfill_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.id = 10 THEN
        UPDATE backfill_once SET id = id + 10000 WHERE id IN (300, 500, 777);
        UPDATE backfill_once SET divisor = 5 WHERE id IN (301, 10300);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER move BEFORE UPDATE OF n ON backfill_once FOR EACH ROW EXECUTE FUNCTION backfill_move();
UPDATE backfill_once SET n = 0 WHERE id <> 10;
CALL dbops.batched_backfill('backfill_once', 'n = n + 5 / divisor', batch_size => 50, on_error => 'quarantine');
SELECT * FROM backfill_outcome();
SELECT key, message FROM backfill_aside() ORDER BY (key ->> 'id')::integer;
SELECT n, count(*), min(id), max(id), count(*) FILTER (WHERE divisor = 0) AS zero FROM backfill_once GROUP BY n ORDER BY n;
DROP TRIGGER move ON backfill_once;
-- too many, of which that one is not recorded; when it is repaired the same call goes on with it
UPDATE backfill_once SET n = 0;
SET dbops.backfill_max_errors = 2;
CALL dbops.batched_backfill('backfill_once', 'n = n + 5 / divisor', batch_size => 50, on_error => 'quarantine');
SELECT state, sqlstate, regexp_replace(message, '_\d+', '_N') AS message FROM backfill_outcome();
SELECT key FROM backfill_aside() ORDER BY (key ->> 'id')::integer;
UPDATE backfill_once SET divisor = 5 WHERE id > 2;
CALL dbops.batched_backfill('backfill_once', 'n = n + 5 / divisor', batch_size => 50, on_error => 'quarantine');
SELECT * FROM backfill_outcome();
SELECT n, count(*) FROM backfill_once GROUP BY n ORDER BY n;
RESET dbops.backfill_max_errors;

-- partitions, with names and keys that need quotes, and one without a key
CREATE TABLE "Backfill parts" (part integer, "a ""b" text, divisor integer, place integer) PARTITION BY LIST (part);
CREATE TABLE "Backfill part '1" PARTITION OF "Backfill parts" FOR VALUES IN (1);
CREATE TABLE backfill_part_2 PARTITION OF "Backfill parts" FOR VALUES IN (2);
ALTER TABLE "Backfill part '1" ADD PRIMARY KEY ("a ""b");
INSERT INTO "Backfill parts" SELECT i % 2 + 1, 'it''s ' || i, CASE WHEN i IN (150, 151) THEN 0 ELSE 1 END FROM generate_series(1, 200) i;
INSERT INTO "Backfill parts" VALUES (1, repeat('x', 1000), 0);
\set VERBOSITY terse
CALL dbops.batched_backfill('"Backfill parts"', 'place = 1 / divisor', 'place IS NULL', on_error => 'quarantine');
SELECT table_name, length(key ->> 'a "b'), left(key::text, 30) AS key, message FROM backfill_aside();
\set VERBOSITY default
DELETE FROM "Backfill parts" WHERE length("a ""b") < 1000 AND divisor <> 0;
CALL dbops.batched_backfill('"Backfill parts"', 'place = 1 / divisor', 'place IS NULL');

-- what is not of a row ends it, whatever was asked for
CREATE FUNCTION backfill_broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM nosuch; RETURN NEW; END $$;
CREATE TRIGGER broken BEFORE UPDATE ON backfill_chain FOR EACH ROW EXECUTE FUNCTION backfill_broken();
\set VERBOSITY terse
CALL dbops.batched_backfill('backfill_chain', 'code = -wanted', on_error => 'quarantine');
SELECT * FROM backfill_aside();
DROP TRIGGER broken ON backfill_chain;
-- a statement's trigger fails without a row
CREATE FUNCTION backfill_statement() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no statement'; END $$;
CREATE TRIGGER statement BEFORE UPDATE ON backfill_chain FOR EACH STATEMENT EXECUTE FUNCTION backfill_statement();
CALL dbops.batched_backfill('backfill_chain', 'code = -wanted', on_error => 'quarantine');
SELECT * FROM backfill_aside();
CALL dbops.batched_backfill('backfill_chain', 'code = code - 10000', on_error => 'quarantine');
SELECT * FROM backfill_aside();
SELECT dbops.cancel_job(id) FROM dbops.job WHERE name = 'backfill_chain' AND finished_at IS NULL;

-- triggers that take long, so that the pieces beside a bad row are cut off; a step ends within a block
CREATE TABLE backfill_slow (id integer PRIMARY KEY, divisor integer, place integer);
CREATE TABLE backfill_slow_log (id integer, transaction_id xid8);
INSERT INTO backfill_slow SELECT i, CASE WHEN i = 40 THEN 0 ELSE 1 END FROM generate_series(1, 60) i;
CREATE FUNCTION backfill_slow_log() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_sleep(0.005); INSERT INTO backfill_slow_log VALUES (NEW.id, pg_current_xact_id()); RETURN NULL; END $$;
CREATE TRIGGER log AFTER UPDATE ON backfill_slow FOR EACH ROW EXECUTE FUNCTION backfill_slow_log();
SET dbops.backfill_batch_time = 20;
CALL dbops.batched_backfill('backfill_slow', 'place = 1 / divisor', 'place IS NULL', on_error => 'quarantine');
SELECT count(place), (SELECT count(*) FROM backfill_slow_log) AS logged, (SELECT count(DISTINCT id) FROM backfill_slow_log) AS once,
    (SELECT count(DISTINCT transaction_id::text) > 1 FROM backfill_slow_log) AS in_steps FROM backfill_slow;
RESET dbops.backfill_batch_time;

-- the records go with the history of the job
SELECT count(DISTINCT job_id) > 1 AS some FROM dbops.backfill_error;
DELETE FROM dbops.job_part WHERE job_id IN (SELECT job_id FROM dbops.backfill_error);
DELETE FROM dbops.job WHERE id IN (SELECT job_id FROM dbops.backfill_error);
SELECT count(*) FROM dbops.backfill_error;
SELECT * FROM dbops.backfill_errors(0);
SELECT * FROM dbops.backfill_errors(NULL);

DROP TABLE backfill_bad, backfill_bound, backfill_once, backfill_parent, backfill_chain, backfill_slow, backfill_slow_log, "Backfill parts";
DROP FUNCTION backfill_aside, backfill_outcome, backfill_move, backfill_raise, backfill_repair, backfill_broken, backfill_statement, backfill_slow_log;

