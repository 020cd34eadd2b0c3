-- schema_drift(): each object that is not as migrations have left it, and who did
-- that; a migration takes what it has touched and hides nothing else; and
-- accept_drift(). Plain SQL, as the catalogs and the record of DDL say all there is.
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = error;
CREATE ROLE regress_drift;
CREATE ROLE "regress ""hand""";
CREATE ROLE regress_drift_operator;
CREATE ROLE regress_drift_monitor;
SELECT dbops.grant_access('regress_drift_operator', 'operator'), dbops.grant_access('regress_drift_monitor', 'monitor');
-- what other tests have left is not of this one
SELECT dbops.accept_drift('a test begins') >= 0 AS accepted;
CREATE FUNCTION pg_temp.drift(project text DEFAULT NULL) RETURNS TABLE (change text, kind text, object text, details text, of text, who text, what text) LANGUAGE sql AS $$
  SELECT change, kind, object, replace(CASE kind WHEN 'view' THEN left(details, 11) ELSE details END, session_user, 'me'), last_project || ' ' || last_version, concat_ws(' by ', nullif(role_name, session_user), nullif(application_name, 'pg_regress/drift')),
    coalesce(nullif(command, 'CREATE SERVER'), left(remark, 37)) FROM dbops.schema_drift(project) $$;

SELECT state FROM dbops.apply_migration('1', $$
  CREATE SCHEMA drift;
  CREATE TABLE drift.orders (id int PRIMARY KEY, customer int, note text DEFAULT 'x', total int CONSTRAINT positive CHECK (total > 0));
  CREATE TABLE drift.customers (id int PRIMARY KEY, name text);
  CREATE INDEX orders_customer ON drift.orders (customer);
  CREATE VIEW drift.open_orders AS SELECT id FROM drift.orders;
  CREATE FUNCTION drift.f(a int, b text) RETURNS int LANGUAGE sql AS 'SELECT 1';
  CREATE TYPE drift.mood AS ENUM ('sad');
  CREATE TABLE drift.log (id int);
  GRANT ALL ON SCHEMA drift TO regress_drift, "regress ""hand"""
$$, $$ DROP SCHEMA drift CASCADE $$, project => 'drift') WHERE step IS NULL;
ALTER TABLE drift.orders OWNER TO regress_drift;
SELECT * FROM pg_temp.drift();
SELECT dbops.accept_drift('it belongs to them', 'drift.orders');
SELECT * FROM pg_temp.drift();
SELECT state FROM dbops.apply_migration('1', 'CREATE TABLE drift.other (id int)', 'DROP TABLE drift.other', project => 'drift-other') WHERE step IS NULL;
SELECT * FROM pg_temp.drift();

-- By hand: by roles, and by what they use.
SET application_name = 'an editor';
SET ROLE regress_drift;
ALTER TABLE drift.orders ALTER note TYPE varchar(10), ALTER note DROP DEFAULT;
ALTER TABLE drift.orders ADD COLUMN "by Hand" int;
CREATE INDEX orders_total ON drift.orders (total);
SET ROLE "regress ""hand""";
CREATE TABLE drift."quick ""fix" (id int PRIMARY KEY, "a.b" int);
RESET ROLE;
RESET application_name;
DROP INDEX drift.orders_customer;
ALTER TABLE drift.customers RENAME name TO full_name;
ALTER TABLE drift.log RENAME TO journal;
GRANT SELECT ON drift.customers TO regress_drift;
CREATE OR REPLACE FUNCTION drift.f(a int, b text) RETURNS int LANGUAGE sql AS 'SELECT 2';
ALTER TYPE drift.mood ADD VALUE 'glad';
CREATE SCHEMA drift_too;
CREATE OR REPLACE VIEW drift.open_orders AS SELECT id, total FROM drift.orders;
SET dbops.record_ddl = off;
COMMENT ON TABLE drift.customers IS 'unrecorded';
CREATE TABLE drift.unrecorded (id int);
RESET dbops.record_ddl;
BEGIN;
CREATE TABLE drift.undone (id int);
ROLLBACK;
CREATE TABLE drift.passing (id int);
DROP TABLE drift.passing;
SELECT * FROM pg_temp.drift();
SELECT change, object, session_role = session_user AS by_me, changed_at > now() - interval '1 hour' AS lately, command, statement, accept FROM dbops.schema_drift() WHERE object LIKE '%fix"' OR object = 'drift.orders_total';
-- of one project, and what belongs to none
SELECT object FROM pg_temp.drift('drift-other');

-- A migration takes what it has touched as it then is, and hides nothing else; what a rollback takes back is no drift.
SELECT state FROM dbops.apply_migration('2', 'ALTER TABLE drift.customers ADD COLUMN phone text', 'ALTER TABLE drift.customers DROP COLUMN phone', project => 'drift') WHERE step IS NULL;
SELECT change, kind, object FROM pg_temp.drift();
SELECT state FROM dbops.rollback_migration('2', 'drift') WHERE step IS NULL;
SELECT state FROM dbops.rollback_migration('1', 'drift-other') WHERE step IS NULL;
SELECT count(*) FROM pg_temp.drift() WHERE object IN ('drift.customers', 'drift.other');
-- one that fails leaves what was known
SELECT state FROM dbops.apply_migration('3', 'ALTER TABLE drift.orders ADD z int; SELECT 1 / 0', project => 'drift');
SELECT count(*) FROM pg_temp.drift() WHERE object LIKE 'drift.orders%';
-- and a dry run
SELECT state FROM dbops.check_migration('ALTER TABLE drift.orders ADD z int', 'ALTER TABLE drift.orders DROP z') WHERE step IS NULL AND state NOT LIKE 'finding%';
SELECT count(*) FROM pg_temp.drift() WHERE object LIKE 'drift.orders%';

-- One in steps takes all that nobody else is known to have done.
SELECT job_id AS job FROM dbops.apply_migration('4', 'CREATE INDEX CONCURRENTLY customers_name ON drift.customers (full_name)', project => 'drift') \gset
CALL dbops.wait_job(:job);
SELECT change, kind, object FROM pg_temp.drift();

-- Accepted: one object with its table, one of a kind of which there are few, and all.
SELECT dbops.accept_drift('what is left of it') > 0 AS accepted;
CREATE TABLE drift.more (id int);
CREATE SCHEMA drift_three;
DROP FUNCTION drift.f;
ALTER TABLE drift.customers ADD COLUMN extra int;
CREATE INDEX ON drift.customers (extra);
SELECT change, kind, object FROM pg_temp.drift();
SELECT dbops.accept_drift('tried by hand first', 'drift.customers.extra');
SELECT dbops.accept_drift('for later', 'drift_three');
SELECT change, kind, object FROM pg_temp.drift();
SELECT dbops.accept_drift('never used', 'drift.f(integer,text)');
SELECT dbops.accept_drift('why', 'drift.f(integer,text)');
SELECT dbops.accept_drift(' ');
SELECT dbops.accept_drift(NULL);
SELECT dbops.accept_drift('all of it');
SELECT dbops.accept_drift('nothing');
SELECT * FROM pg_temp.drift();
SELECT role_name = current_user AS by_me, objects, statement FROM dbops.ddl_history(since => now() - interval '1 day') WHERE command = 'accept_drift' AND statement NOT LIKE 'a test%' AND statement NOT LIKE 'what is left%';

-- Who has done it is known of each kind, by the name that a snapshot has for it.
CREATE TYPE drift.tone AS ENUM ('low');
CREATE CAST (drift.tone AS text) WITH INOUT;
CREATE OPERATOR FAMILY drift.family USING hash;
CREATE OPERATOR CLASS drift."Class" FOR TYPE int USING btree AS OPERATOR 1 <(int, int), FUNCTION 1 btint4cmp(int, int);
CREATE FOREIGN DATA WRAPPER drift_wrapper;
CREATE SERVER drift_server FOREIGN DATA WRAPPER drift_wrapper;
CREATE USER MAPPING FOR PUBLIC SERVER drift_server;
CREATE USER MAPPING FOR "regress ""hand""" SERVER drift_server;
SELECT kind, object, role_name IS NOT NULL AS known FROM dbops.schema_drift();

-- Who has switched or granted a part of a table last is named, not who has changed it otherwise before.
CREATE TABLE drift.parts (id int, c int);
ALTER TABLE drift.parts OWNER TO regress_drift;
CREATE TRIGGER t BEFORE UPDATE ON drift.parts FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
CREATE TRIGGER u BEFORE UPDATE ON drift.parts FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
CREATE RULE r AS ON DELETE TO drift.parts DO INSTEAD NOTHING;
SELECT dbops.accept_drift('as they are') > 0 AS accepted;
SET ROLE regress_drift;
COMMENT ON TRIGGER t ON drift.parts IS 'a trigger';
COMMENT ON TRIGGER u ON drift.parts IS 'another';
COMMENT ON RULE r ON drift.parts IS 'a rule';
COMMENT ON COLUMN drift.parts.c IS 'a column';
RESET ROLE;
ALTER TABLE drift.parts DISABLE TRIGGER t;
ALTER TABLE drift.parts DISABLE RULE r;
GRANT SELECT (c) ON drift.parts TO PUBLIC;
SELECT object, role_name = session_user AS by_me, command FROM dbops.schema_drift();
ALTER TABLE drift.parts DISABLE TRIGGER USER;
SELECT object, role_name = session_user AS by_me, command FROM dbops.schema_drift() WHERE kind = 'trigger';
SELECT dbops.accept_drift('as they are') > 0 AS accepted;

-- What is made a member of an extension does not hide behind it.
CREATE EXTENSION hstore SCHEMA drift;
SELECT dbops.accept_drift('with an extension') > 0 AS accepted;
CREATE TABLE drift.hidden (id int);
CREATE FUNCTION drift.hidden_too() RETURNS int LANGUAGE sql AS 'SELECT 1';
ALTER EXTENSION hstore ADD TABLE drift.hidden;
ALTER EXTENSION hstore ADD FUNCTION drift.hidden_too();
SELECT kind, object, substring(details from '^[a-z]+') AS attribute, details ~ ': (\d+), digest \w+, now (\d+), digest \w+$' AS told, role_name = session_user AS by_me, command FROM dbops.schema_drift();
SELECT command, objects FROM dbops.ddl_history('drift.hidden');
ALTER EXTENSION hstore DROP TABLE drift.hidden;
ALTER EXTENSION hstore DROP FUNCTION drift.hidden_too();
SELECT kind, object FROM dbops.schema_drift();
SELECT dbops.accept_drift('with an extension') > 0 AS accepted;
ALTER EXTENSION hstore ADD TABLE drift.hidden;
ALTER EXTENSION hstore DROP OPERATOR drift.->(drift.hstore, text);
-- a member instead of another
SELECT kind, object, substring(details from '^[a-z]+') AS attribute FROM dbops.schema_drift();
ALTER EXTENSION hstore DROP TABLE drift.hidden;
ALTER EXTENSION hstore ADD OPERATOR drift.->(drift.hstore, text);
DROP EXTENSION hstore;
DROP TABLE drift.hidden;
SELECT dbops.accept_drift('as it was') > 0 AS accepted;

-- A project that is misspelt is none without drift; and what a migration that has failed halfway has left is perhaps its.
SELECT * FROM dbops.schema_drift('drfit');
CREATE TABLE drift.halfway (a int);
INSERT INTO drift.halfway VALUES (1), (1);
SELECT dbops.accept_drift('as they are') > 0 AS accepted;
SELECT job_id AS job FROM dbops.apply_migration('half', 'CREATE TABLE drift.half (a int); CREATE UNIQUE INDEX CONCURRENTLY half_unique ON drift.halfway (a)', project => 'drift-other') \gset
CALL dbops.wait_job(:job);
SELECT object, role_name, remark LIKE '%: perhaps %migration half of project drift-other, which is failed%' AS told FROM dbops.schema_drift() WHERE object = 'drift.half';
DROP TABLE drift.half, drift.halfway;
SELECT dbops.resolve_migration('half', 'reverted', 'by hand', 'drift-other');

-- Who has changed one object of which there are few is known, also when a migration has changed another, or that was accepted.
CREATE SCHEMA drift_gone;
CREATE SCHEMA drift_kept;
SELECT dbops.accept_drift('as they are') > 0 AS accepted;
DROP SCHEMA drift_gone;
COMMENT ON SCHEMA drift_kept IS 'kept';
SELECT state FROM dbops.apply_migration('few', 'CREATE SCHEMA drift_few', 'DROP SCHEMA drift_few', project => 'drift') WHERE step IS NULL;
SELECT change, object, role_name = session_user AS by_me, command FROM dbops.schema_drift();
SELECT dbops.accept_drift('it is', 'drift_kept');
SELECT change, object, role_name = session_user AS by_me, command FROM dbops.schema_drift();
-- what was accepted is nobody's
SET dbops.record_ddl = off;
COMMENT ON SCHEMA drift_kept IS 'kept too';
RESET dbops.record_ddl;
SELECT change, object, role_name = session_user AS by_me, command FROM dbops.schema_drift();
SELECT state FROM dbops.rollback_migration('few', 'drift') WHERE step IS NULL;
DROP SCHEMA drift_kept;
-- so is what was as it had been when all was accepted
ALTER TABLE drift.customers ADD COLUMN passing int;
ALTER TABLE drift.customers DROP COLUMN passing;
SELECT dbops.accept_drift('as they are') > 0 AS accepted;
SET dbops.record_ddl = off;
ALTER TABLE drift.customers ADD COLUMN passing int;
RESET dbops.record_ddl;
SELECT change, object, role_name, command FROM dbops.schema_drift();
SELECT dbops.accept_drift('as they are') > 0 AS accepted;

-- What is part of a table that others have changed is theirs; a migration in steps that has locked none of it takes none of it.
CREATE TABLE drift.theirs (a int CONSTRAINT theirs_a CHECK (a > 0));
CREATE TABLE drift.steps (a int);
SELECT dbops.accept_drift('as they are') > 0 AS accepted;
ALTER TABLE drift.theirs RENAME a TO aa;
SELECT job_id AS job FROM dbops.apply_migration('steps', 'CREATE INDEX CONCURRENTLY steps_a ON drift.steps (a)', project => 'drift') \gset
CALL dbops.wait_job(:job);
SELECT change, kind, object FROM pg_temp.drift();

-- A table that was made anew is what the migration that has touched it has left.
SELECT dbops.accept_drift('as they are') > 0 AS accepted;
DROP TABLE drift.theirs;
CREATE TABLE drift.theirs (b int);
SELECT state FROM dbops.apply_migration('anew', 'ALTER TABLE drift.theirs ADD c int', project => 'drift') WHERE step IS NULL;
SELECT change, kind, object FROM pg_temp.drift();

-- So it is where another table has its name by now; what that has been renamed to is somebody else's.
ALTER TABLE drift.theirs RENAME TO theirs_old;
CREATE TABLE drift.theirs (b int, d int);
SELECT state FROM dbops.apply_migration('swapped', 'ALTER TABLE drift.theirs ADD e int', project => 'drift') WHERE step IS NULL;
SELECT change, kind, object, what FROM pg_temp.drift();
-- accepted are those of one name
SELECT dbops.accept_drift('as they are') > 0 AS accepted;
CREATE TABLE drift.theirs_too (z int);
SELECT dbops.accept_drift('as they are') > 0 AS accepted;
ALTER TABLE drift.theirs_too RENAME TO theirs_three;
ALTER TABLE drift.theirs RENAME TO theirs_too;
ALTER TABLE drift.theirs_three RENAME TO theirs;
SELECT dbops.accept_drift('as it is', 'drift.theirs') > 0 AS accepted;
SELECT change, kind, object, what FROM pg_temp.drift();
SELECT dbops.accept_drift('as it is', 'drift.theirs_too') > 0 AS accepted;
ALTER TABLE drift.theirs_too RENAME TO theirs_three;
CREATE TABLE drift.theirs_too (y int);
SELECT dbops.accept_drift('as it is', 'drift.theirs_too') > 0 AS accepted;
SELECT change, kind, object, what FROM pg_temp.drift();
DROP TABLE drift.theirs_three;
SELECT change, kind, object, what FROM pg_temp.drift();

-- An extension, or what else is of a kind of which there are few, is all that the migration has changed.
CREATE TABLE drift.byhand (a int);
SELECT state FROM dbops.apply_migration('extension', 'CREATE EXTENSION pg_trgm SCHEMA drift; CREATE FOREIGN DATA WRAPPER drift_too', project => 'drift') WHERE step IS NULL;
SELECT change, kind, object FROM pg_temp.drift();
SELECT dbops.accept_drift('as they are') > 0 AS accepted;

-- What dbops does for a policy is none; what it does for somebody is.
SELECT state FROM dbops.apply_migration('5', 'CREATE TABLE drift.visit (at timestamptz NOT NULL) PARTITION BY RANGE (at)', project => 'drift') WHERE step IS NULL;
SELECT dbops.set_partitioning('drift.visit', '1 month') IS NOT NULL AS set;
CALL dbops.run_partitioning('drift.visit');
SELECT count(*) > 0 AS partitions FROM pg_inherits WHERE inhparent = 'drift.visit'::regclass;
CALL dbops.add_column('drift.journal', 'x', 'int');
SELECT change, kind, object, what FROM pg_temp.drift() WHERE object LIKE 'drift.%';
SELECT dbops.remove_partitioning('drift.visit') IS NOT NULL AS removed;

-- Who may.
SET ROLE regress_drift;
SELECT * FROM dbops.schema_drift();
SELECT dbops.accept_drift('mine');
SET ROLE regress_drift_operator;
SELECT dbops.accept_drift('mine');
SELECT * FROM dbops.drift_part;
SET ROLE regress_drift_monitor;
BEGIN READ ONLY;
SELECT change, object, role_name IS NOT NULL AS known, statement FROM dbops.schema_drift() WHERE object LIKE 'drift.journal%';
COMMIT;
RESET ROLE;

-- Where no state is known, that is said, and the next migration begins with one.
BEGIN;
DELETE FROM dbops.drift_state;
SAVEPOINT unknown;
SELECT * FROM dbops.schema_drift();
ROLLBACK TO unknown;
CREATE TABLE drift.before_it (id int);
SELECT state FROM dbops.apply_migration('6', 'CREATE TABLE drift.six (id int)', project => 'drift') WHERE step IS NULL;
SELECT * FROM pg_temp.drift();
SET LOCAL client_min_messages = warning;
INSERT INTO dbops.drift_state SELECT clock_timestamp(), cluster, database, format, 'a table is locked', NULL, transaction_id FROM dbops.drift_state;
SELECT * FROM pg_temp.drift();
SELECT state FROM dbops.apply_migration('7', 'CREATE TABLE drift.seven (id int)', project => 'drift') WHERE step IS NULL;
SELECT * FROM pg_temp.drift();
UPDATE dbops.drift_state SET format = 0;
SELECT * FROM dbops.schema_drift();
ROLLBACK;

DROP SCHEMA drift, drift_too, drift_three CASCADE;
DROP FOREIGN DATA WRAPPER drift_wrapper, drift_too CASCADE;
SELECT dbops.accept_drift('the end') > 0 AS accepted;
SELECT dbops.revoke_access('regress_drift_operator'), dbops.revoke_access('regress_drift_monitor');
DROP ROLE regress_drift, "regress ""hand""", regress_drift_operator, regress_drift_monitor;
