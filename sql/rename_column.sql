-- rename_column(): a second name for a column, kept by a trigger until finish_change().
\set VERBOSITY terse
SET dbops.progress_interval = 0;
TRUNCATE dbops.column_change RESTART IDENTITY;
CREATE ROLE regress_change_owner;
CREATE ROLE regress_change_reader;
CREATE ROLE regress_change_stranger;
SELECT dbops.grant_access('regress_change_owner', 'operator');
SELECT dbops.grant_access('regress_change_stranger', 'operator');
CREATE SCHEMA twin;
GRANT ALL ON SCHEMA twin TO regress_change_owner, regress_change_stranger;
SET ROLE regress_change_owner;
SET search_path = twin;
CREATE TABLE country (code text PRIMARY KEY);
INSERT INTO country VALUES ('de'), ('fr');
CREATE TABLE users (id integer PRIMARY KEY, name text NOT NULL DEFAULT 'nobody' CHECK (length(name) < 100),
    country text REFERENCES country ON DELETE CASCADE DEFERRABLE, UNIQUE (name, id) DEFERRABLE INITIALLY DEFERRED);
CREATE INDEX users_lower ON users (lower(name), id DESC) INCLUDE (name) WHERE name <> 'q';
CREATE INDEX "Users name" ON users USING btree (name text_pattern_ops DESC NULLS LAST) WITH (fillfactor = 80);
ALTER TABLE users ALTER name SET STATISTICS 500, ALTER name SET STORAGE EXTERNAL, ALTER name SET (n_distinct = -0.5);
COMMENT ON COLUMN users.name IS 'what it''s called';
GRANT SELECT (name), UPDATE (name) ON users TO regress_change_reader WITH GRANT OPTION;
INSERT INTO users SELECT i, 'u' || i, 'de' FROM generate_series(1, 1000) i;

-- A dry run changes nothing.
\set VERBOSITY default
CALL dbops.rename_column('users', 'name', 'full_name', dry_run => true);
\set VERBOSITY terse
\d users
RESET ROLE;
SELECT count(*) FROM dbops.column_change;
SET ROLE regress_change_owner;

CALL dbops.rename_column('users', 'name', 'full_name');
\d users
SELECT attname, attstorage, attstattarget, array(SELECT o FROM unnest(attoptions) o WHERE o ~ 'distinct'), col_description(attrelid, attnum), attacl FROM pg_attribute WHERE attrelid = 'users'::regclass AND attname IN ('name', 'full_name') ORDER BY attnum;
-- Again: nothing is left.
CALL dbops.rename_column('users', 'name', 'full_name');

-- Both versions of the application.
INSERT INTO users (id, name) VALUES (2001, 'old') RETURNING id, name, full_name;
INSERT INTO users (id, full_name) VALUES (2002, 'new') RETURNING id, name, full_name;
INSERT INTO users (id) VALUES (2003) RETURNING id, name, full_name;
UPDATE users SET name = 'by old' WHERE id = 1 RETURNING id, name, full_name;
UPDATE users SET full_name = 'by new' WHERE id = 1 RETURNING id, name, full_name;
UPDATE users SET full_name = 'new', name = 'old' WHERE id = 1 RETURNING id, name, full_name;
UPDATE users SET country = 'fr' WHERE id = 1 RETURNING id, name, full_name;
INSERT INTO users (id, full_name) VALUES (2, 'conflict') ON CONFLICT (id) DO UPDATE SET full_name = EXCLUDED.full_name RETURNING id, name, full_name;
INSERT INTO users (id, name) VALUES (2, 'conflict 2') ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name RETURNING id, name, full_name;
MERGE INTO users u USING (VALUES (3, 'merged'), (2004, 'merged')) v (id, x) ON u.id = v.id
    WHEN MATCHED THEN UPDATE SET full_name = x WHEN NOT MATCHED THEN INSERT (id, full_name) VALUES (v.id, x);
COPY users (id, full_name) FROM stdin;
2005	copied
\.
SELECT id, name, full_name FROM users WHERE id IN (3, 2004, 2005) ORDER BY id;
UPDATE users SET full_name = NULL WHERE id = 3;
SELECT count(*) FROM users WHERE name IS DISTINCT FROM full_name;
-- Ours fires behind others, which may change what is written.
CREATE FUNCTION trim_name() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.name := trim(NEW.name); RETURN NEW; END $$;
CREATE TRIGGER trim BEFORE INSERT OR UPDATE ON users FOR EACH ROW EXECUTE FUNCTION trim_name();
UPDATE users SET name = '  trimmed ' WHERE id = 4 RETURNING id, name, full_name;
DROP TRIGGER trim ON users;

-- A second change of a column that is in one.
CALL dbops.rename_column('users', 'name', 'other');
CALL dbops.rename_column('users', 'full_name', 'other');
CALL dbops.change_type('users', 'name', 'varchar(100)');
CALL dbops.sync_columns('users', 'full_name = country');

-- A trigger that somebody has disabled is put back, and rows are filled again.
ALTER TABLE users DISABLE TRIGGER zz_dbops_name;
UPDATE users SET name = 'missed' WHERE id = 5;
RESET ROLE;
SELECT id AS change FROM dbops.column_change WHERE new_name = 'full_name' \gset
SET ROLE regress_change_owner;
CALL dbops.finish_change(:change);
CALL dbops.rename_column('users', 'name', 'full_name');
SELECT name, full_name FROM users WHERE id = 5;
-- What was cut off in between: an index that is not there, one that is not valid, a constraint that is not.
DROP INDEX users_lower_dbops_new;
ALTER TABLE users DROP CONSTRAINT users_name_check_dbops_new;
ALTER TABLE users ADD CONSTRAINT users_name_check_dbops_new CHECK (length(full_name) < 100) NOT VALID;
RESET ROLE;
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'twin."Users name_dbops_new"'::regclass;
UPDATE dbops.column_change SET state = 'expanding' WHERE id = :change;
SET ROLE regress_change_owner;
CALL dbops.finish_change(:change);
CALL dbops.rename_column('users', 'name', 'full_name');

-- Who may.
SET ROLE regress_change_stranger;
CALL dbops.rename_column('users', 'name', 'full_name');
CALL dbops.finish_change(:change);
CALL dbops.abort_change(:change);
CREATE TRIGGER mine BEFORE INSERT ON country FOR EACH ROW EXECUTE FUNCTION dbops.change_sync('name');
SET ROLE regress_change_owner;
CALL dbops.finish_change(:change, drop_old_columns => true);
\set VERBOSITY default
CALL dbops.finish_change(:change, dry_run => true);
\set VERBOSITY terse
CALL dbops.finish_change(:change);
\d users
INSERT INTO users (id) VALUES (3000) RETURNING full_name;
CALL dbops.finish_change(:change);
CALL dbops.abort_change(:change);
-- A script that is run again.
CALL dbops.rename_column('users', 'name', 'full_name');
CALL dbops.rename_column('users', 'name', 'other');

-- A serial, a partitioned table, names that need quotes, and a type without equality.
CREATE TABLE "Odd ""t" (a serial, "Na me" point NOT NULL) PARTITION BY RANGE (a);
CREATE TABLE odd_1 PARTITION OF "Odd ""t" FOR VALUES FROM (0) TO (100);
INSERT INTO "Odd ""t" ("Na me") SELECT '(1, 1)' FROM generate_series(1, 10);
CALL dbops.rename_column('"Odd ""t"', 'Na me', 'New "N');
CREATE TABLE odd_2 PARTITION OF "Odd ""t" FOR VALUES FROM (100) TO (200);
INSERT INTO "Odd ""t" VALUES (150, '(2, 2)') RETURNING *;
UPDATE "Odd ""t" SET "New ""N" = '(3, 3)' WHERE a = 150 RETURNING *;
UPDATE "Odd ""t" SET a = 50 WHERE a = 150 RETURNING tableoid::regclass, *;
RESET ROLE;
SELECT id AS change FROM dbops.column_change WHERE new_name = 'New "N' \gset
SET ROLE regress_change_owner;
SELECT has_function_privilege('dbops.change_sync()', 'EXECUTE') AS as_long_as_it_needs;
CALL dbops.finish_change(:change);
SELECT has_function_privilege('dbops.change_sync()', 'EXECUTE') AS still;
\d odd_2
CREATE TABLE numbers (id serial, n serial);
INSERT INTO numbers DEFAULT VALUES;
CALL dbops.rename_column('numbers', 'n', 'm');
-- Nobody has seen the new column without the trigger: what is written to it is not filled again.
SELECT a.xmin = t.xmin AS at_once FROM pg_attribute a JOIN pg_trigger t ON t.tgrelid = a.attrelid WHERE attrelid = 'numbers'::regclass AND attname = 'm';
RESET ROLE;
SELECT id AS change FROM dbops.column_change WHERE new_name = 'm' \gset
SET ROLE regress_change_owner;
CALL dbops.finish_change(:change);
INSERT INTO numbers DEFAULT VALUES RETURNING *;
\d numbers

-- Refused before anything is done.
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE TABLE refused (id integer PRIMARY KEY, a text, b integer GENERATED ALWAYS AS IDENTITY, c integer GENERATED ALWAYS AS (id * 2) STORED,
    d positive, v text, p text, t text, u text, g integer, h integer GENERATED ALWAYS AS (g + 1) STORED, s integer, k integer UNIQUE, w text, x int4range,
    EXCLUDE USING gist (x WITH &&));
CREATE VIEW refused_view AS SELECT v FROM refused;
CREATE POLICY refused_policy ON refused USING (p = 'x');
CREATE TRIGGER refused_of AFTER UPDATE OF t ON refused FOR EACH ROW EXECUTE FUNCTION trim_name();
CREATE TRIGGER refused_when AFTER UPDATE ON refused FOR EACH ROW WHEN (NEW.u = 'x') EXECUTE FUNCTION trim_name();
CREATE STATISTICS refused_statistics ON s, g FROM refused;
CREATE TABLE refers (k integer REFERENCES refused (k));
CREATE RULE refused_rule AS ON UPDATE TO refused WHERE OLD.w = 'x' DO NOTHING;
CALL dbops.rename_column('refused', 'id', 'n');
CALL dbops.rename_column('refused', 'b', 'n');
CALL dbops.rename_column('refused', 'c', 'n');
CALL dbops.rename_column('refused', 'd', 'n');
CALL dbops.rename_column('refused', 'v', 'n');
CALL dbops.rename_column('refused', 'p', 'n');
CALL dbops.rename_column('refused', 't', 'n');
CALL dbops.rename_column('refused', 'u', 'n');
CALL dbops.rename_column('refused', 'g', 'n');
CALL dbops.rename_column('refused', 's', 'n');
CALL dbops.rename_column('refused', 'k', 'n');
CALL dbops.rename_column('refused', 'w', 'n');
CALL dbops.rename_column('refused', 'x', 'n');
CALL dbops.rename_column('refused', 'a', 'v');
CALL dbops.rename_column('refused', 'a', 'ctid');
CALL dbops.rename_column('refused', 'ctid', 'n');
CALL dbops.rename_column('refused', 'nothing', 'n');
CALL dbops.rename_column('refused', NULL, 'n');
CALL dbops.rename_column('refused_view', 'v', 'n');
CALL dbops.rename_column('pg_catalog.pg_class', 'relname', 'n');
CREATE TABLE parent (a integer, b integer);
CREATE TABLE child () INHERITS (parent);
CREATE TABLE part (a integer, b integer) PARTITION BY LIST (a);
CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1);
CREATE TEMP TABLE passing (a integer);
CALL dbops.rename_column('parent', 'a', 'n');
CALL dbops.rename_column('child', 'a', 'n');
CALL dbops.rename_column('part', 'a', 'n');
CALL dbops.rename_column('part_1', 'b', 'n');
CALL dbops.rename_column('passing', 'a', 'n');
CREATE INDEX refused_a ON refused (a);
CREATE TABLE refused_a_dbops_new ();
CALL dbops.rename_column('refused', 'a', 'n');
BEGIN;
CALL dbops.rename_column('refused', 'a', 'n');
ROLLBACK;
RESET ROLE;
SELECT count(*) FROM dbops.column_change WHERE state IN ('expanding', 'ready');

-- What it sets off elsewhere is told.
SET client_min_messages = error;
CREATE TABLE told (a int, b int);
CREATE PUBLICATION told_all FOR TABLE told;
CREATE PUBLICATION told_some FOR TABLE told (b);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN new; END$$;
CREATE TRIGGER fires BEFORE UPDATE ON told FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER does_not BEFORE UPDATE OF b ON told FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER not_either BEFORE INSERT ON told FOR EACH ROW EXECUTE FUNCTION touch();
SET client_min_messages = warning;
\set VERBOSITY default
CALL dbops.rename_column('told', 'a', 'aa', dry_run => true);
ALTER TABLE told ADD PRIMARY KEY (b);
CALL dbops.rename_column('told', 'a', 'aa', dry_run => true);
CALL dbops.add_column('told', 'c', 'int');
\set VERBOSITY terse
DROP PUBLICATION told_all, told_some;
DROP TABLE told;
DROP FUNCTION touch;

DROP TABLE passing;
DROP SCHEMA twin CASCADE;
SELECT dbops.revoke_access('regress_change_owner');
SELECT dbops.revoke_access('regress_change_stranger');
DROP OWNED BY regress_change_owner, regress_change_stranger;
DROP ROLE regress_change_owner, regress_change_reader, regress_change_stranger;
TRUNCATE dbops.column_change RESTART IDENTITY;
