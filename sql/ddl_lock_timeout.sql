-- dbops.ddl_lock_timeout: DDL of any client waits so long for a lock, and what
-- else it does and everybody else waits as before. By pg_regress, since all of it
-- is seen in one session: a prepared transaction has the lock.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA ddl_wait;
SET search_path = ddl_wait;
CREATE TABLE held (id int PRIMARY KEY, part int);
CREATE TABLE free (id int PRIMARY KEY);
CREATE MATERIALIZED VIEW held_view AS SELECT 1 AS one;
BEGIN;
SELECT * FROM held;
SELECT * FROM held_view;
PREPARE TRANSACTION 'ddl_lock_timeout reader';
-- What waits longer than it should ends by this at last, and says so.
SET statement_timeout = '20s';

-- Off, nothing is bounded.
SHOW dbops.ddl_lock_timeout;
SET lock_timeout = '30ms';
ALTER TABLE held ADD COLUMN a int;
RESET lock_timeout;

SET dbops.ddl_lock_timeout = '50ms';

-- Each kind of statement that locks others out.
ALTER TABLE held ADD COLUMN a int;
ALTER TABLE held RENAME TO other;
ALTER TABLE held RENAME COLUMN part TO other;
ALTER TABLE held SET SCHEMA public;
DROP TABLE held;
TRUNCATE held;
CREATE RULE r AS ON INSERT TO held DO NOTHING;
CREATE POLICY p ON held;
DROP INDEX held_pkey;
REINDEX INDEX held_pkey;
CLUSTER held USING held_pkey;
VACUUM FULL held;
REFRESH MATERIALIZED VIEW held_view;
CREATE TABLE child (CHECK (true)) INHERITS (held);
DROP SCHEMA ddl_wait CASCADE;
DROP TABLE child;

-- The session is as it was, after an error and without one.
SHOW lock_timeout;
ALTER TABLE free ADD COLUMN a int;
SHOW lock_timeout;
VACUUM FULL free;
SHOW lock_timeout;

-- A shorter limit of the session's holds, a longer one does not.
SET lock_timeout = '10ms';
ALTER TABLE held ADD COLUMN a int;
SET lock_timeout = '1min';
ALTER TABLE held ADD COLUMN a int;
REINDEX TABLE free;
SHOW lock_timeout;
RESET lock_timeout;

-- Not what is no DDL, nor what runs CONCURRENTLY, nor what a query waits for.
SET statement_timeout = '1s';
BEGIN;
LOCK TABLE held;
ROLLBACK;
CREATE INDEX CONCURRENTLY held_part ON held (part);
DROP INDEX CONCURRENTLY held_part;
BEGIN;
INSERT INTO free VALUES (1);
PREPARE TRANSACTION 'ddl_lock_timeout writer';
INSERT INTO free VALUES (1);
ROLLBACK PREPARED 'ddl_lock_timeout writer';
SET statement_timeout = '20s';

-- In a transaction block, each statement for itself.
BEGIN;
ALTER TABLE free ADD COLUMN b int;
SAVEPOINT s;
ALTER TABLE held ADD COLUMN a int;
ROLLBACK TO s;
SHOW lock_timeout;
SET LOCAL lock_timeout = '3s';
ALTER TABLE held ADD COLUMN a int;
ROLLBACK TO s;
ALTER TABLE free ADD COLUMN c int;
COMMIT;
SHOW lock_timeout;

-- Wherever it comes from.
DO $$BEGIN ALTER TABLE held ADD COLUMN a int; END$$;
CREATE FUNCTION alters() RETURNS void LANGUAGE plpgsql AS $$BEGIN EXECUTE 'ALTER TABLE held ADD COLUMN a int'; END$$;
CREATE FUNCTION alters_sql() RETURNS void LANGUAGE sql AS 'ALTER TABLE held ADD COLUMN a int';
CREATE PROCEDURE alters_twice() LANGUAGE plpgsql AS $$
BEGIN
    ALTER TABLE free ADD COLUMN d int;
    COMMIT;
    ALTER TABLE held ADD COLUMN a int;
END$$;
SELECT alters();
SELECT alters_sql();
CALL alters_twice();
SELECT current_setting('lock_timeout');
-- Caught, it has done no harm.
DO $$
BEGIN
    ALTER TABLE held ADD COLUMN a int;
EXCEPTION WHEN lock_not_available THEN
    RAISE WARNING 'caught, lock_timeout is %', current_setting('lock_timeout');
END$$;

-- What a statement sets while it runs stays set, unless it fails.
CREATE FUNCTION sets() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN PERFORM set_config('lock_timeout', '7s', false); END$$;
CREATE EVENT TRIGGER ddl_wait_sets ON ddl_command_start EXECUTE FUNCTION sets();
SET dbops.ddl_lock_timeout = '500ms';
CREATE TABLE free (id int);
SHOW lock_timeout;
ALTER TABLE free ADD COLUMN e int;
SHOW lock_timeout;
DROP EVENT TRIGGER ddl_wait_sets;
RESET lock_timeout;

-- A function does not keep what it is created with.
CREATE FUNCTION keeps() RETURNS text LANGUAGE sql SET lock_timeout FROM CURRENT AS $$SELECT current_setting('lock_timeout')$$;
SELECT keeps();

-- In a failed transaction.
SET dbops.ddl_lock_timeout = '50ms';
BEGIN;
SELECT 1 / 0;
ALTER TABLE held ADD COLUMN a int;
ROLLBACK;

-- Who is not the DBA can make it shorter by lock_timeout, and not longer.
CREATE ROLE regress_ddl_wait;
SET ROLE regress_ddl_wait;
SET dbops.ddl_lock_timeout = 0;
SET lock_timeout = 0;
SHOW dbops.ddl_lock_timeout;
RESET ROLE;

RESET dbops.ddl_lock_timeout;
RESET statement_timeout;
ROLLBACK PREPARED 'ddl_lock_timeout reader';
DROP SCHEMA ddl_wait CASCADE;
DROP ROLE regress_ddl_wait;
