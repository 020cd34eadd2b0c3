-- What can be called where. dbops' procedures are written in C, without SET and
-- without SECURITY DEFINER, because others could not commit; its index builds
-- need a process at top level; it arms statement_timeout for each batch because
-- the server's own covers a whole CALL; and its reports look at indisvalid
-- because IF NOT EXISTS does not.
SET client_min_messages = warning;
\set VERBOSITY terse
\set SHOW_CONTEXT never
CREATE TABLE facts_calls (id integer, filler text, done boolean);
INSERT INTO facts_calls SELECT g, repeat('x', 1500) FROM generate_series(1, 20) g;

-- a procedure may commit
CREATE PROCEDURE facts_commits() LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$;
CALL facts_commits();
-- but not with a setting of its own, nor as its owner, nor in a transaction block
ALTER PROCEDURE facts_commits() SET search_path = pg_catalog;
CALL facts_commits();
ALTER PROCEDURE facts_commits() RESET search_path;
ALTER PROCEDURE facts_commits() SECURITY DEFINER;
CALL facts_commits();
ALTER PROCEDURE facts_commits() SECURITY INVOKER;
BEGIN;
CALL facts_commits();
ROLLBACK;
CALL facts_commits();

-- what runs at top level only
CREATE PROCEDURE facts_executes(command text) LANGUAGE plpgsql AS $$ BEGIN COMMIT; EXECUTE command; END $$;
CREATE FUNCTION facts_executes_too(command text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE command; END $$;
CALL facts_executes('CREATE INDEX CONCURRENTLY facts_index ON facts_calls (id)');
SELECT facts_executes_too('CREATE INDEX CONCURRENTLY facts_index ON facts_calls (id)');
DO $$ BEGIN EXECUTE 'CREATE INDEX CONCURRENTLY facts_index ON facts_calls (id)'; END $$;
CALL facts_executes('VACUUM facts_calls');
CALL facts_executes('REINDEX TABLE CONCURRENTLY facts_calls');
-- several statements in one message are one transaction
SELECT 1 AS one \; CREATE INDEX CONCURRENTLY facts_index ON facts_calls (id);
SELECT count(*) AS indexes FROM pg_index WHERE indrelid = 'facts_calls'::regclass;

-- A build that failed leaves an invalid index, which IF NOT EXISTS takes for done.
INSERT INTO facts_calls VALUES (1);
CREATE UNIQUE INDEX CONCURRENTLY facts_index ON facts_calls (id);
SET client_min_messages = notice;
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS facts_index ON facts_calls (id);
SET client_min_messages = warning;
SELECT indisvalid FROM pg_index WHERE indexrelid = 'facts_index'::regclass;
DROP INDEX facts_index;
DELETE FROM facts_calls WHERE filler IS NULL;

-- statement_timeout ends a procedure that commits within the time, again and again, and sets it anew
CREATE PROCEDURE facts_loop() LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1..20 LOOP
        PERFORM set_config('statement_timeout', '400ms', false);
        UPDATE facts_calls SET done = true WHERE id = i;
        COMMIT;
        PERFORM pg_sleep(0.1);
    END LOOP;
END $$;
SET statement_timeout = '400ms';
CALL facts_loop();
RESET statement_timeout;
SELECT count(done) BETWEEN 1 AND 19 AS ended_on_the_way FROM facts_calls;
-- and not a call of dbops whose batches are shorter, however long it takes
UPDATE facts_calls SET done = NULL;
VACUUM FULL facts_calls;
SELECT clock_timestamp() AS began \gset
SET statement_timeout = '1s';
CALL dbops.batched_backfill('facts_calls', 'done = true', 'done IS NULL', batch_size => 5, pause => '450ms');
RESET statement_timeout;
SELECT count(done) AS done, clock_timestamp() - :'began' > interval '1 s' AS took_longer FROM facts_calls;

-- transaction_timeout is known from 17 on
SELECT (count(*) = 1) = (current_setting('server_version_num')::integer >= 170000) AS since_17
  FROM pg_settings WHERE name = 'transaction_timeout';
-- deadlock_timeout is for those who may: an application's role is not, so it cannot offer itself as the victim
CREATE ROLE regress_facts;
SET ROLE regress_facts;
SET deadlock_timeout = '1ms';
RESET ROLE;
DROP ROLE regress_facts;

DROP PROCEDURE facts_commits, facts_executes, facts_loop;
DROP FUNCTION facts_executes_too;
DROP TABLE facts_calls;
