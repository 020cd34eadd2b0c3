--
-- partition_table: what would be refused is refused before the table is
-- touched, what was left behind is removed, and what the table has follows.
-- Regression tests, since all of it is seen in one session. The time is the
-- test's own.
--
SET client_min_messages = warning;
SET timezone = 'UTC';
SET datestyle = 'ISO';
SELECT set_config('dbops.test_now', extract(epoch FROM timestamptz '2053-02-10 12:00+00')::text, false) IS NOT NULL AS set;
CREATE SCHEMA regress_turn;
SET search_path = regress_turn;
CREATE FUNCTION proofs(t regclass) RETURNS text LANGUAGE sql AS
$$SELECT format('%s: %s', conrelid::regclass, pg_get_constraintdef(oid)) FROM pg_constraint WHERE conrelid = t AND conname = 'dbops_before_next_partition'$$;
CREATE FUNCTION is_plain(t regclass) RETURNS boolean LANGUAGE sql AS
$$SELECT relkind = 'r' AND relpartbound IS NULL FROM pg_class WHERE oid = t$$;
CREATE FUNCTION upper_end(t regclass) RETURNS text LANGUAGE sql AS
$$SELECT substring(pg_get_expr(relpartbound, oid) FROM 'TO (.*)') FROM pg_class WHERE oid = t$$;

-- what is not validated cannot be a partition of what is
CREATE TABLE ref (id int PRIMARY KEY);
CREATE TABLE unproven (at date NOT NULL, r int);
ALTER TABLE unproven ADD CONSTRAINT unproven_fkey FOREIGN KEY (r) REFERENCES ref NOT VALID,
  ADD CONSTRAINT unproven_check CHECK (r > 0) NOT VALID, ADD CONSTRAINT alone CHECK (r > 1) NO INHERIT;
CALL dbops.partition_table('unproven', 'at', '1 day');
SELECT proofs('unproven'), is_plain('unproven');

-- what only the server knows is found by a rehearsal, of which nothing is left
CREATE UNLOGGED TABLE scratch (id int PRIMARY KEY);
CREATE UNLOGGED TABLE quick (at date NOT NULL, s int REFERENCES scratch);
CALL dbops.partition_table('quick', 'at', '1 day');
SELECT proofs('quick'), is_plain('quick');
SELECT count(*) FROM pg_class WHERE relnamespace = 'regress_turn'::regnamespace AND relname ~ 'before|copy';

-- a call that has died has left its constraint: it goes, also when the next one is refused
ALTER TABLE unproven ADD CONSTRAINT dbops_before_next_partition CHECK (at < '2053-02-11') NOT VALID;
CALL dbops.partition_table('unproven', 'at', '1 day', dry_run => true);
SELECT proofs('unproven');
CALL dbops.partition_table('unproven', 'at', '1 day');
SELECT proofs('unproven'), is_plain('unproven');

-- the boundary is a day ahead, of now and of rows that are ahead of it
CREATE TABLE now (at timestamptz NOT NULL);
CREATE TABLE ahead (at timestamptz NOT NULL);
CREATE TABLE epoch (at bigint NOT NULL);
INSERT INTO now VALUES ('2053-02-10 11:59+00');
INSERT INTO ahead VALUES ('2053-05-01 00:30+00');
INSERT INTO epoch VALUES (extract(epoch FROM timestamptz '2053-02-10 11:59+00'));
ALTER TABLE now ADD CONSTRAINT dbops_before_next_partition CHECK (at < '2053-02-11') NOT VALID;
CALL dbops.partition_table('now', 'at', '12 hours');
CALL dbops.partition_table('ahead', 'at', '12 hours');
CALL dbops.partition_table('epoch', 'at', '1 day');
SELECT upper_end('now_before') AS now, upper_end('ahead_before') AS ahead, upper_end('epoch_before') AS epoch;
SELECT proofs('now'), proofs('now_before');

-- rows so far ahead that all others would be in one partition with them
CREATE TABLE unending (at timestamptz NOT NULL);
INSERT INTO unending VALUES ('infinity');
CALL dbops.partition_table('unending', 'at', '7 days');
UPDATE unending SET at = '9999-12-31';
CALL dbops.partition_table('unending', 'at', '7 days');
UPDATE unending SET at = '-infinity';
CALL dbops.partition_table('unending', 'at', '7 days');
SELECT tableoid::regclass, * FROM unending;

DROP SCHEMA regress_turn CASCADE;
