-- drop_column: what it lists, what it refuses, and the drop.
CREATE SCHEMA dcol;
SET search_path = dcol, public;
ALTER SEQUENCE dbops.job_id_seq RESTART WITH 9101;
SET client_min_messages = error;
CREATE EXTENSION pg_stat_statements;
RESET client_min_messages;

CREATE TABLE area (area_id int PRIMARY KEY);
CREATE TABLE dcol_orders (
    id    int PRIMARY KEY,
    state int DEFAULT 3 CHECK (state > 0) REFERENCES area,
    total int CHECK (total <> state),
    twice int GENERATED ALWAYS AS (state + total) STORED,
    code  serial,
    UNIQUE (state, total));
INSERT INTO area VALUES (3);
INSERT INTO dcol_orders (id, total) VALUES (1, 1);
CREATE INDEX orders_state ON dcol_orders (state);
CREATE INDEX orders_total ON dcol_orders (total) WHERE state > 0;
CREATE STATISTICS orders_both ON state, total FROM dcol_orders;

-- what is in the way, through all levels, is listed with what to do
CREATE VIEW "First" AS SELECT state FROM dcol_orders;
CREATE VIEW second AS SELECT * FROM "First";
CREATE MATERIALIZED VIEW third AS SELECT * FROM second;
CREATE VIEW whole AS SELECT dcol_orders FROM dcol_orders;
CREATE FUNCTION atomic() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT state FROM dcol_orders; END;
CREATE FUNCTION fires() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER of_state BEFORE UPDATE OF state ON dcol_orders FOR EACH ROW EXECUTE FUNCTION fires();
CREATE TRIGGER when_state BEFORE UPDATE ON dcol_orders FOR EACH ROW WHEN (NEW.state > 1) EXECUTE FUNCTION fires();
CREATE TRIGGER any_column BEFORE UPDATE ON dcol_orders FOR EACH ROW EXECUTE FUNCTION fires();
CREATE POLICY own_state ON dcol_orders USING (state > 0);
CREATE RULE looks AS ON UPDATE TO dcol_orders DO ALSO SELECT OLD.state;
CREATE TABLE items (state int, total int, FOREIGN KEY (state, total) REFERENCES dcol_orders (state, total));
CREATE TABLE other (code int DEFAULT nextval('dcol_orders_code_seq'));
SET client_min_messages = error;
CREATE PUBLICATION regress_dcol FOR TABLE dcol_orders (id, state);
RESET client_min_messages;
CALL dbops.drop_column('dcol_orders', 'state');
CALL dbops.drop_column('dcol_orders', 'state', dry_run => true);
CALL dbops.drop_column('dcol_orders', 'code');
SELECT attname FROM pg_attribute WHERE attrelid = 'dcol_orders'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum;
DROP PUBLICATION regress_dcol;
DROP TABLE items, other;
DROP RULE looks ON dcol_orders;
DROP POLICY own_state ON dcol_orders;
DROP TRIGGER of_state ON dcol_orders;
DROP TRIGGER when_state ON dcol_orders;
DROP FUNCTION atomic();
SET client_min_messages = error;
DROP VIEW "First" CASCADE;
RESET client_min_messages;
CALL dbops.drop_column('dcol_orders', 'twice');
CALL dbops.drop_column('dcol_orders', 'code', dry_run => true);

-- what may name it: texts of functions, policies and statements, with both names as words of their own
CREATE FUNCTION may() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT o."state" FROM DCOL.Dcol_Orders o); END $$;
CREATE FUNCTION may_not() RETURNS int LANGUAGE sql AS $$ SELECT 1 AS n FROM (SELECT 1 AS dcol_orders_state, 2 AS statement, 3 AS dcol_orders) x $$;
SET client_min_messages = error;
CREATE TABLE dcol_kept (id int PRIMARY KEY, "made at" timestamptz NOT NULL DEFAULT now(), note text);
SELECT dbops.set_retention('dcol_kept', 'made at', '1 year') IS NOT NULL AS policy;
RESET client_min_messages;
SELECT count(*) FROM dcol_orders WHERE state = 5;
SELECT count(*) FROM dcol_orders WHERE state = 6;
SELECT count(*),
       'a long list of columns to be cut off somewhere' AS of_columns FROM dcol_orders WHERE state IS DISTINCT FROM 17 AND total > 0;
CALL dbops.drop_column('dcol_kept', 'made at', dry_run => true);
CALL dbops.drop_column('dcol_kept', 'note', dry_run => true);
CALL dbops.drop_column('dcol_orders', 'state', dry_run => true);
CALL dbops.drop_column('dcol_orders', 'state');
\d dcol_orders
-- the same again finds nothing to be done
CALL dbops.drop_column('dcol_orders', 'state');
CALL dbops.drop_column('dcol_orders', 'totla');
SELECT kind, name, state, message FROM dbops.jobs() WHERE name LIKE 'dcol.%' ORDER BY id;

-- refused, whatever is there
CALL dbops.drop_column('dcol_orders', 'id');
CALL dbops.drop_column('dcol_orders', 'ctid');
CALL dbops.drop_column(NULL, 'id');
CALL dbops.drop_column('dcol_orders', NULL);
CALL dbops.drop_column(1, 'id');
CALL dbops.drop_column('whole', 'dcol_orders');
CALL dbops.drop_column('dcol_orders', 'total', lock_timeout => '0');
CREATE MATERIALIZED VIEW stored AS SELECT 1 AS a;
CALL dbops.drop_column('stored', 'a');
CREATE TYPE pair AS (a int, b int);
CREATE TABLE pairs OF pair;
CALL dbops.drop_column('pairs', 'b');
CREATE TABLE published (id int PRIMARY KEY, a int NOT NULL UNIQUE);
ALTER TABLE published REPLICA IDENTITY USING INDEX published_a_key;
CALL dbops.drop_column('published', 'a');
CREATE TABLE referred (id int PRIMARY KEY, a int UNIQUE, b int REFERENCES referred (a));
CALL dbops.drop_column('referred', 'a');
CALL dbops.drop_column('referred', 'b', dry_run => true);
BEGIN;
CALL dbops.drop_column('referred', 'b');
ROLLBACK;

-- while something works on it
SET client_min_messages = error;
SELECT dbops.pause_jobs('not now');
SELECT dbops.start_backfill('dcol_orders', 'total = total + 1', 'code = 1', method => 'keyset') AS id \gset
RESET client_min_messages;
CALL dbops.drop_column('dcol_orders', 'code');
CALL dbops.drop_column('dcol_orders', 'total');
SELECT dbops.cancel_job(:id), dbops.resume_jobs();

-- names of all kinds
CREATE TABLE "Odd ""T'" ("a b" int, "C""c'" int, ünï int, select_ int);
CREATE INDEX "Odd ix" ON "Odd ""T'" ("C""c'");
CREATE FUNCTION odd() RETURNS int LANGUAGE sql AS $$ SELECT "C""c'" FROM "Odd ""T'" $$;
CALL dbops.drop_column('"Odd ""T''"', 'C"c''');
CALL dbops.drop_column('"Odd ""T''"', 'ünï');
SELECT attname FROM pg_attribute WHERE attrelid = '"Odd ""T''"'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum;

-- partitions on several levels, and what they have of their own
CREATE TABLE dcol_tree (a int, b int, c int, d int) PARTITION BY RANGE (a);
CREATE TABLE dcol_tree_1 PARTITION OF dcol_tree FOR VALUES FROM (0) TO (10) PARTITION BY LIST ((b + 1));
CREATE TABLE dcol_tree_1_1 PARTITION OF dcol_tree_1 DEFAULT;
CREATE TABLE dcol_tree_2 (d int, c int, b int, a int);
ALTER TABLE dcol_tree ATTACH PARTITION dcol_tree_2 FOR VALUES FROM (10) TO (20);
CREATE INDEX dcol_tree_c ON dcol_tree (c);
CREATE INDEX dcol_tree_2_own ON dcol_tree_2 (c);
CALL dbops.drop_column('dcol_tree', 'a');
CALL dbops.drop_column('dcol_tree', 'b');
CALL dbops.drop_column('dcol_tree_1_1', 'c');
CREATE VIEW of_partition AS SELECT c FROM dcol_tree_2;
CALL dbops.drop_column('dcol_tree', 'c');
DROP VIEW of_partition;
CALL dbops.drop_column('dcol_tree', 'c');
SELECT attrelid::regclass, attname FROM pg_attribute WHERE attrelid IN ('dcol_tree'::regclass, 'dcol_tree_1_1'::regclass, 'dcol_tree_2'::regclass)
   AND attnum > 0 AND NOT attisdropped ORDER BY 1, attnum;

-- children keep what is theirs
CREATE TABLE dcol_parent (a int, b int);
CREATE TABLE dcol_child (b int) INHERITS (dcol_parent);
CREATE TABLE dcol_grandchild () INHERITS (dcol_child);
CREATE INDEX dcol_child_a ON dcol_child (a);
CREATE INDEX dcol_child_b ON dcol_child (b);
CALL dbops.drop_column('dcol_grandchild', 'a');
CALL dbops.drop_column('dcol_parent', 'a');
CALL dbops.drop_column('dcol_parent', 'b');
SELECT attrelid::regclass, attname FROM pg_attribute WHERE attrelid IN ('dcol_parent'::regclass, 'dcol_child'::regclass, 'dcol_grandchild'::regclass)
   AND attnum > 0 AND NOT attisdropped ORDER BY 1, attnum;
-- the last one
CREATE TABLE dcol_alone (only_one int);
CALL dbops.drop_column('dcol_alone', 'only_one');

-- where the table is locked for good, the call ends and leaves nothing that is unfinished; made again it does
CREATE TABLE dcol_locked (id int PRIMARY KEY, "It's" int);
BEGIN;
SELECT count(*) FROM dcol_locked;
PREPARE TRANSACTION 'regress_dcol';
\set VERBOSITY terse
SET client_min_messages = error;
CALL dbops.drop_column('dcol_locked', 'It''s', lock_timeout => '10 ms', max_wait => '50 ms');
RESET client_min_messages;
SELECT count(*) FROM dbops.unfinished_changes() WHERE table_name = 'dcol_locked'::regclass;
SELECT spec ->> 'again' AS command FROM dbops.job WHERE kind = 'change' AND name = 'dcol.dcol_locked."It''s"' \gset
\echo :command
COMMIT PREPARED 'regress_dcol';
:command
SELECT count(*) FROM dbops.unfinished_changes() WHERE table_name = 'dcol_locked'::regclass;
\d dcol_locked

-- tables that are the server's, or an extension's
CALL dbops.drop_column('dbops.job', 'spec');
CALL dbops.drop_column('pg_class', 'relname');

-- owners, their members, and others
CREATE ROLE regress_dcol_owner;
CREATE ROLE regress_dcol_member LOGIN IN ROLE regress_dcol_owner;
CREATE ROLE regress_dcol_other;
GRANT USAGE ON SCHEMA dcol TO regress_dcol_owner, regress_dcol_other;
CREATE TABLE dcol_owned (a int, b int, c int);
ALTER TABLE dcol_owned OWNER TO regress_dcol_owner;
SET ROLE regress_dcol_member;
CALL dbops.drop_column('dcol_owned', 'a');
RESET ROLE;
SELECT dbops.grant_access('regress_dcol_member', 'operator');
SELECT dbops.grant_access('regress_dcol_other', 'operator');
SET ROLE regress_dcol_member;
CALL dbops.drop_column('dcol_owned', 'a');
CALL dbops.drop_column('dcol_orders', 'total');
SET ROLE regress_dcol_other;
CALL dbops.drop_column('dcol_owned', 'b', dry_run => true);
RESET ROLE;
\d dcol_owned

SELECT dbops.revoke_access('regress_dcol_member'), dbops.revoke_access('regress_dcol_other');
SET client_min_messages = warning;
SELECT dbops.remove_retention('dcol_kept') IS NOT NULL AS removed;
DROP SCHEMA dcol CASCADE;
DROP ROLE regress_dcol_owner, regress_dcol_member, regress_dcol_other;
