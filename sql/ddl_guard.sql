-- dbops.ddl_guard: DDL of any client is held against the rules of lint_sql(). One
-- table is large and busy, so that what works on its rows is critical; what is
-- refused costs nothing, and what is let pass is undone.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA guarded;
CREATE SCHEMA guarded_too;
SET search_path = guarded;
SET lock_timeout = '10s';
CREATE TABLE busy (id int NOT NULL, b int, t text);
INSERT INTO busy SELECT g, g, 'x' FROM generate_series(1, 1000000) g;
CREATE INDEX busy_id ON busy (id);
SELECT pg_stat_force_next_flush();
CREATE TABLE small (id int PRIMARY KEY, b int);
INSERT INTO small VALUES (1, 1);
CREATE TABLE parted (id int, k int) PARTITION BY RANGE (k);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10000);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (10000) TO (20000);
INSERT INTO parted SELECT g, g FROM generate_series(0, 19999) g;
SELECT pg_stat_force_next_flush();

-- Off, as shipped; and on, what is small.
SHOW dbops.ddl_guard;
SHOW dbops.guard_min_size;
BEGIN;
ALTER TABLE busy ALTER b SET NOT NULL;
SET LOCAL dbops.ddl_guard = 'enforce';
ALTER TABLE busy ALTER b DROP NOT NULL;
TRUNCATE busy;
ROLLBACK;

-- A warning of each finding, and it is done.
SET dbops.guard_min_size = '8MB';
SET dbops.ddl_guard = 'warn';
BEGIN;
ALTER TABLE busy ALTER b SET NOT NULL;
SELECT attnotnull FROM pg_attribute WHERE attrelid = 'busy'::regclass AND attname = 'b';
ROLLBACK;
BEGIN;
SET LOCAL lock_timeout = 0;
ALTER TABLE busy RENAME b TO c;
ROLLBACK;

-- Refused, with all that is found.
SET dbops.ddl_guard = 'enforce';
ALTER TABLE busy ALTER b SET NOT NULL, ADD COLUMN u uuid DEFAULT gen_random_uuid();
DO $$
BEGIN
    DROP TABLE busy;
EXCEPTION WHEN prohibited_sql_statement_attempted THEN
    RAISE WARNING 'caught %', SQLSTATE;
END$$;
-- What is only dangerous is a warning here too.
BEGIN;
ALTER TABLE busy RENAME TO busier;
ROLLBACK;

-- Each kind.
\set VERBOSITY terse
ALTER TABLE busy ALTER b TYPE bigint;
ALTER TABLE busy ADD CHECK (b > 0);
ALTER TABLE busy ADD FOREIGN KEY (b) REFERENCES small;
ALTER TABLE busy ADD UNIQUE (b);
ALTER TABLE busy ADD PRIMARY KEY (b);
ALTER TABLE busy ADD COLUMN s serial;
ALTER TABLE busy ADD COLUMN g int GENERATED ALWAYS AS (b + 1) STORED;
ALTER TABLE busy SET UNLOGGED;
CREATE INDEX ON busy (b);
REINDEX TABLE busy;
CLUSTER busy USING busy_id;
VACUUM FULL busy;
TRUNCATE small, busy;
DROP TABLE small, busy;
DROP SCHEMA guarded CASCADE;

-- What it takes along, or shows at its end only.
ALTER TABLE busy ADD CONSTRAINT b_small FOREIGN KEY (b) REFERENCES small NOT VALID;
TRUNCATE small CASCADE;
ALTER TABLE busy DROP CONSTRAINT b_small;
ALTER TABLE busy ENABLE ROW LEVEL SECURITY;
DROP EXTENSION dbops CASCADE;

-- Near misses.
BEGIN;
ALTER TABLE busy ADD COLUMN c int DEFAULT 1 NOT NULL;
ALTER TABLE busy ADD CONSTRAINT later CHECK (b > 0) NOT VALID;
COMMENT ON TABLE busy IS 'busy';
GRANT SELECT ON busy TO pg_monitor;
CREATE VIEW of_busy AS SELECT * FROM busy;
CREATE TABLE from_busy AS SELECT * FROM busy LIMIT 10;
SELECT * INTO into_busy FROM busy LIMIT 10;
CREATE INDEX ON small (b);
TRUNCATE small;
DROP SCHEMA guarded_too CASCADE;
DROP TABLE small;
ROLLBACK;
CREATE INDEX CONCURRENTLY busy_b ON busy (b);
DROP INDEX CONCURRENTLY busy_b;
ANALYZE busy;
ALTER TABLE IF EXISTS nobody ALTER b SET NOT NULL;
ALTER TABLE nobody ALTER b SET NOT NULL;

-- Of partitions, all together count.
SET dbops.guard_min_size = '500kB';
TRUNCATE parted;
DROP TABLE parted;
BEGIN;
DROP TABLE parted_1;
ROLLBACK;
SET dbops.guard_min_size = '8MB';

-- Wherever it comes from; a statement that is kept is not changed.
CREATE FUNCTION alters() RETURNS void LANGUAGE plpgsql AS $$BEGIN ALTER TABLE busy ALTER b TYPE bigint; END$$;
CREATE FUNCTION executes() RETURNS void LANGUAGE plpgsql AS $$BEGIN EXECUTE 'ALTER TABLE busy ALTER b TYPE bigint'; END$$;
CREATE FUNCTION alters_sql() RETURNS void LANGUAGE sql AS 'SELECT 1; ALTER TABLE busy ALTER b TYPE bigint; SELECT 2';
CREATE PROCEDURE alters_later() LANGUAGE plpgsql AS $$BEGIN COMMIT; ALTER TABLE busy ALTER b TYPE bigint; END$$;
SELECT alters();
SELECT alters();
SELECT executes();
SELECT alters_sql();
CALL alters_later();
SELECT 1 \; ALTER TABLE busy ALTER b TYPE bigint \; SELECT 2;
BEGIN;
SET LOCAL dbops.ddl_guard = 'warn';
SELECT alters();
ROLLBACK;
BEGIN;
SET LOCAL dbops.ddl_guard = 'off';
SELECT alters();
ROLLBACK;
-- Words come out of the statement itself, not out of what stands beside it.
\set VERBOSITY default
/* set c = 1 */ SELECT 'CHECK (wrong)' AS text \; ALTER TABLE busy ADD CHECK (b > 0 AND b < 5);
\set VERBOSITY terse
PREPARE made AS SELECT * FROM busy LIMIT 1;
CREATE TABLE made_by AS EXECUTE made;
DROP TABLE made_by;

-- What a transaction has made itself nobody else waits for; what it has locked counts.
BEGIN;
CREATE TABLE mine AS SELECT * FROM busy;
ALTER TABLE mine ALTER b SET NOT NULL;
CREATE INDEX ON mine (b);
DROP TABLE mine;
CREATE TEMP TABLE passing AS SELECT * FROM busy;
ALTER TABLE passing ALTER b SET NOT NULL;
CREATE INDEX ON passing (b);
TRUNCATE passing;
DROP TABLE passing;
ALTER TABLE small ADD COLUMN c int;
ALTER TABLE busy ADD COLUMN c int;
ROLLBACK;

-- A failed transaction, and what is no DDL in it.
BEGIN;
ALTER TABLE busy ALTER b SET NOT NULL;
ALTER TABLE busy ALTER b SET NOT NULL;
SAVEPOINT s;
ROLLBACK;
BEGIN;
SAVEPOINT s;
ALTER TABLE busy ALTER b SET NOT NULL;
ROLLBACK TO s;
ALTER TABLE small ADD COLUMN c int;
COMMIT;

-- Mutes, of a finding and of a rule, and a rule that is off.
SELECT dbops.mute_finding('column.set_not_null:guarded.busy.b', 'looked at', now() + interval '1 hour');
BEGIN;
ALTER TABLE busy ALTER b SET NOT NULL;
ROLLBACK;
SELECT dbops.unmute_finding('column.set_not_null:guarded.busy.b');
SELECT dbops.mute_finding('column.set_not_null', 'looked at', now() + interval '1 hour');
BEGIN;
ALTER TABLE busy ALTER b SET NOT NULL;
ROLLBACK;
SELECT dbops.unmute_finding('column.set_not_null');
ALTER TABLE busy ALTER b SET NOT NULL;
SELECT dbops.set_check('column.set_not_null', enabled => false);
BEGIN;
ALTER TABLE busy ALTER b SET NOT NULL;
ROLLBACK;
SELECT dbops.reset_check('column.set_not_null');
-- A comment is the client's, and does not count.
-- dbops: ignore column.set_not_null: looked at
/* dbops: ignore column.set_not_null: looked at */ ALTER TABLE busy ALTER b SET NOT NULL;

-- Where choices cannot be read, the rules are as they are shipped.
BEGIN;
LOCK TABLE dbops.check_setting;
PREPARE TRANSACTION 'ddl_guard holder';
ALTER TABLE busy ALTER b SET NOT NULL;
ROLLBACK PREPARED 'ddl_guard holder';
-- What cannot be judged now can be later; a warning is no refusal.
BEGIN;
LOCK TABLE busy;
PREPARE TRANSACTION 'ddl_guard holder';
ALTER TABLE busy ALTER b SET NOT NULL;
SET dbops.ddl_guard = 'warn';
SET lock_timeout = '10ms';
ALTER TABLE busy ALTER b SET NOT NULL;
SET lock_timeout = '10s';
SET dbops.ddl_guard = 'enforce';
ROLLBACK PREPARED 'ddl_guard holder';

-- What runs while an extension's script does is the extension's.
CREATE FUNCTION empties() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN TRUNCATE guarded.busy; END$$;
CREATE EVENT TRIGGER guarded_empties ON ddl_command_start WHEN TAG IN ('CREATE VIEW') EXECUTE FUNCTION empties();
CREATE VIEW one AS SELECT 1 AS one;
BEGIN;
CREATE EXTENSION pg_stat_statements;
SELECT count(*) FROM busy;
ROLLBACK;
DROP EVENT TRIGGER guarded_empties;

-- The helpers of dbops pass: they are what the guard asks for.
CALL dbops.add_check_constraint('busy', 'b > 0', 'b_positive');
ALTER TABLE busy DROP CONSTRAINT b_positive;

-- What its own transaction has added is not validated at once, in whichever statement.
BEGIN;
ALTER TABLE busy ADD CONSTRAINT b_positive CHECK (b > 0) NOT VALID;
SAVEPOINT s;
ALTER TABLE busy VALIDATE CONSTRAINT b_positive;
ROLLBACK TO s;
COMMIT;
ALTER TABLE busy VALIDATE CONSTRAINT b_positive;
ALTER TABLE busy DROP CONSTRAINT b_positive, ADD CONSTRAINT b_positive CHECK (b > 0) NOT VALID, VALIDATE CONSTRAINT b_positive;
ALTER TABLE busy DROP CONSTRAINT b_positive;

-- What migrations do is a client's DDL.
SELECT state, message FROM dbops.apply_migration('1', 'ALTER TABLE guarded.busy ALTER b SET NOT NULL', project => 'ddl_guard');

-- Roles.
CREATE ROLE regress_guard_owner;
CREATE ROLE regress_guard_dba;
CREATE ROLE regress_guard_member IN ROLE regress_guard_dba, regress_guard_owner;
CREATE ROLE regress_guard_noinherit NOINHERIT IN ROLE regress_guard_dba, regress_guard_owner;
GRANT ALL ON SCHEMA guarded TO regress_guard_owner;
ALTER TABLE busy OWNER TO regress_guard_owner;
SET dbops.guard_exempt_roles = 'regress_guard_dba, "no such role"';
SET ROLE regress_guard_owner;
ALTER TABLE busy ALTER b SET NOT NULL;
SET dbops.ddl_guard = 'off';
SET dbops.guard_exempt_roles = 'regress_guard_owner';
SET dbops.guard_min_size = '1TB';
RESET ROLE;
-- a superuser is no member of all
ALTER TABLE busy ALTER b SET NOT NULL;
GRANT USAGE ON SCHEMA guarded TO PUBLIC;
SET ROLE regress_guard_noinherit;
ALTER TABLE busy ALTER b SET NOT NULL;
SET ROLE regress_guard_member;
BEGIN;
ALTER TABLE busy ALTER b SET NOT NULL;
ROLLBACK;
RESET ROLE;
-- a function passes as its owner
CREATE FUNCTION alters_as() RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = guarded AS $$BEGIN ALTER TABLE busy ALTER b SET NOT NULL; END$$;
ALTER FUNCTION alters_as() OWNER TO regress_guard_member;
SET ROLE regress_guard_owner;
BEGIN;
SELECT alters_as();
ROLLBACK;
RESET ROLE;
SET dbops.guard_exempt_roles = 'regress guard dba';
ALTER TABLE busy ALTER b SET NOT NULL;
RESET dbops.guard_exempt_roles;
-- per role and database
ALTER ROLE regress_guard_dba SET dbops.ddl_guard = 'warn';
ALTER ROLE regress_guard_dba SET dbops.ddl_guard = 'maybe';

RESET dbops.ddl_guard;
RESET dbops.guard_min_size;
SET client_min_messages = error;
DROP SCHEMA guarded, guarded_too CASCADE;
DROP OWNED BY regress_guard_owner;
DROP ROLE regress_guard_member, regress_guard_noinherit, regress_guard_owner, regress_guard_dba;
