-- What is done by hand to a table whose columns are in a change, and what is there before one begins.
\set VERBOSITY terse
\set SHOW_CONTEXT never
SET dbops.progress_interval = 0;
SET client_min_messages = warning;
TRUNCATE dbops.column_change RESTART IDENTITY;
CREATE ROLE regress_hand_one;
CREATE ROLE regress_hand_two;
CREATE SCHEMA by_hand;
SET search_path = by_hand;

-- The old column gets another name: the trigger does not know it any more, which nothing ends with.
CREATE TABLE q (id integer PRIMARY KEY, v text);
INSERT INTO q VALUES (1, '5');
CALL dbops.rename_column('q', 'v', 'w');
ALTER TABLE q RENAME COLUMN v TO vv;
INSERT INTO q (id, vv) VALUES (2, 'a');
UPDATE q SET vv = 'b' WHERE id = 1;
CALL dbops.finish_change(1);
CALL dbops.abort_change(1);
ALTER TABLE q RENAME COLUMN vv TO v;
CALL dbops.finish_change(1);
UPDATE q SET w = v WHERE w IS DISTINCT FROM v;
CALL dbops.finish_change(1);
SELECT * FROM q ORDER BY id;
-- It is dropped, and another one has its name.
CALL dbops.rename_column('q', 'w', 'x');
ALTER TABLE q DROP COLUMN w;
ALTER TABLE q ADD COLUMN w text;
CALL dbops.finish_change(2);
CALL dbops.abort_change(2);
\set VERBOSITY default
CALL dbops.rename_column('q', 'w', 'x');
\set VERBOSITY terse
ALTER TABLE q RENAME COLUMN w TO w_other;
CALL dbops.finish_change(2);
SELECT * FROM q ORDER BY id;
ALTER TABLE q DROP COLUMN w_other;
CALL dbops.change_type('q', 'x', 'bytea', 'decode(x, ''escape'')');
ALTER TABLE q DROP COLUMN x;
ALTER TABLE q ADD COLUMN x bytea;
\set VERBOSITY default
CALL dbops.abort_change(3);
\set VERBOSITY terse
ALTER TABLE q RENAME COLUMN x TO x_other;
ALTER TABLE q RENAME COLUMN dbops_new_x TO x;
CALL dbops.abort_change(3);
SELECT * FROM q ORDER BY id;
ALTER TABLE q DROP COLUMN x_other;

-- A name that is none.
CALL dbops.rename_column('q', 'x', '');
SELECT count(*) FROM dbops.column_change WHERE state IN ('expanding', 'ready');

-- A column in a change gets no other type besides, not even in a moment.
CREATE TABLE s (id integer PRIMARY KEY, v varchar(10));
CALL dbops.rename_column('s', 'v', 'w');
CALL dbops.change_type('s', 'v', 'varchar(20)');
CALL dbops.change_type('s', 'w', 'varchar(20)');
CALL dbops.change_type('s', 'w', 'varchar(20)', dry_run => true);
CALL dbops.abort_change(4);

-- More than one sequence.
CREATE TABLE serials (id integer, v serial);
CREATE SEQUENCE second OWNED BY serials.v;
CALL dbops.rename_column('serials', 'v', 'w');
CALL dbops.finish_change(5);
SELECT pg_get_serial_sequence('serials', 'w'), count(*) FROM pg_depend WHERE refobjid = 'serials'::regclass AND deptype = 'a' AND classid = 'pg_class'::regclass AND refobjsubid = (SELECT attnum FROM pg_attribute WHERE attrelid = 'serials'::regclass AND attname = 'w');

-- Rows that cannot be written, since a constraint was never validated.
CREATE TABLE unfit (id integer PRIMARY KEY, v text, z integer, k integer) PARTITION BY RANGE (id);
CREATE TABLE unfit_1 PARTITION OF unfit FOR VALUES FROM (0) TO (100);
INSERT INTO unfit SELECT i, 'a', i FROM generate_series(1, 5) i;
ALTER TABLE unfit ADD CONSTRAINT "Not 3" CHECK (z <> 3) NOT VALID;
\set VERBOSITY default
CALL dbops.rename_column('unfit', 'v', 'w');
\set VERBOSITY terse
CALL dbops.sync_columns('unfit', 'k = z');
SELECT attname FROM pg_attribute WHERE attrelid = 'unfit'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum;
ALTER TABLE unfit ADD CONSTRAINT filled CHECK (k IS NOT NULL) NOT VALID;
ALTER TABLE unfit DROP CONSTRAINT "Not 3";
UPDATE unfit SET z = 30, k = 30 WHERE id = 3;
CALL dbops.sync_columns('unfit', 'k = z');
SELECT * FROM unfit ORDER BY id;
CALL dbops.finish_change(7);
UPDATE unfit SET k = 0 WHERE k IS NULL;
CALL dbops.rename_column('unfit', 'v', 'w');
CALL dbops.finish_change(6);

-- What is dropped from the old column is not asked of the new one any more.
CREATE TABLE h (id integer PRIMARY KEY, v text NOT NULL UNIQUE CHECK (v <> 'x'), k integer REFERENCES h);
CREATE INDEX h_lower ON h (lower(v));
CREATE INDEX h_kept ON h (v, k);
CREATE INDEX mine_dbops_new ON h (id);
INSERT INTO h VALUES (1, 'a');
CALL dbops.rename_column('h', 'v', 'w');
DROP INDEX h_lower;
ALTER TABLE h DROP CONSTRAINT h_v_key;
RESET client_min_messages;
CALL dbops.rename_column('h', 'v', 'w');
INSERT INTO h (id, v) VALUES (2, 'a');
ALTER TABLE h DROP CONSTRAINT h_v_check, ALTER v DROP NOT NULL;
SELECT id AS change FROM dbops.column_change WHERE table_name = 'by_hand.h' \gset
CALL dbops.finish_change(:change);
SET client_min_messages = warning;
INSERT INTO h (id, w) VALUES (3, 'x'), (4, NULL);
\d h

-- Privileges and comments that were given and taken meanwhile.
CREATE TABLE g (id integer PRIMARY KEY, v text, n integer);
GRANT SELECT (v) ON g TO regress_hand_one;
GRANT SELECT (n), UPDATE (n) ON g TO regress_hand_one;
CALL dbops.rename_column('g', 'v', 'w');
CALL dbops.change_type('g', 'n', 'bigint');
GRANT SELECT (v), UPDATE (v), SELECT (n) ON g TO regress_hand_two WITH GRANT OPTION;
REVOKE SELECT (v), SELECT (n) ON g FROM regress_hand_one;
COMMENT ON COLUMN g.v IS 'it''s later';
COMMENT ON COLUMN g.n IS 'so is this';
SELECT max(id) AS change FROM dbops.column_change WHERE column_name = 'v' \gset
CALL dbops.finish_change(:change);
SELECT max(id) AS change FROM dbops.column_change WHERE column_name = 'n' \gset
CALL dbops.finish_change(:change);
SELECT a.attname, grantee::regrole::text, privilege_type, is_grantable FROM pg_attribute a, aclexplode(attacl)
    WHERE attrelid = 'g'::regclass AND NOT attisdropped ORDER BY 1, 2, 3;
SELECT attname, col_description(attrelid, attnum) FROM pg_attribute WHERE attrelid = 'g'::regclass AND attnum > 1 AND NOT attisdropped ORDER BY 1;
-- They go back as well, with the comment.
CALL dbops.change_type('g', 'n', 'numeric');
COMMENT ON COLUMN g.n IS NULL;
REVOKE ALL (n) ON g FROM regress_hand_one, regress_hand_two;
SELECT max(id) AS change FROM dbops.column_change WHERE column_name = 'n' \gset
CALL dbops.finish_change(:change);
SELECT attacl, col_description(attrelid, attnum) FROM pg_attribute WHERE attrelid = 'g'::regclass AND attname = 'n';

-- A NULL does not tell who writes it.
CREATE TABLE d (id integer PRIMARY KEY, v text DEFAULT 'q');
CALL dbops.rename_column('d', 'v', 'w');
INSERT INTO d (id, w) VALUES (1, NULL) RETURNING *;
UPDATE d SET w = NULL RETURNING *;

-- What another trigger makes of the old column does not go over what is written to the new one.
CREATE TABLE n (id integer PRIMARY KEY, v text);
INSERT INTO n VALUES (1, 'abc');
CREATE FUNCTION norm() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.v := upper(new.V); RETURN new; END $$;
CREATE TRIGGER norm BEFORE INSERT OR UPDATE ON n FOR EACH ROW EXECUTE FUNCTION norm();
ALTER TABLE n DISABLE TRIGGER norm;
CALL dbops.rename_column('n', 'v', 'w.');
ALTER TABLE n ENABLE TRIGGER norm;
CALL dbops.rename_column('n', 'v', 'w.');
UPDATE n SET "w." = 'new' RETURNING *;
UPDATE n SET v = 'old' RETURNING *;
UPDATE n SET v = 'both', "w." = 'two' RETURNING *;
INSERT INTO n (id, "w.") VALUES (2, 'more') RETURNING *;
UPDATE n SET id = 3 WHERE id = 2 RETURNING *;
CREATE OR REPLACE FUNCTION norm() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new."w." := upper(new."w."); new.v := upper(new.v); RETURN new; END $$;
CALL dbops.rename_column('n', 'v', 'w.');

DROP SCHEMA by_hand CASCADE;
DROP ROLE regress_hand_one, regress_hand_two;
TRUNCATE dbops.column_change RESTART IDENTITY;
