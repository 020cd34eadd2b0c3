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
\set VERBOSITY terse
CALL dbops.partition_table('quick', 'at', '1 day');
\set VERBOSITY default
SELECT proofs('quick'), is_plain('quick');
SELECT count(*) FROM pg_class WHERE relnamespace = 'regress_turn'::regnamespace AND relname ~ 'before|copy';

-- a call that has died has left its constraint: it goes, also when the next one is refused
ALTER TABLE unproven ADD CONSTRAINT dbops_before_next_partition CHECK (at < '2053-02-11') NOT VALID;
CALL dbops.partition_table('unproven', 'at', '1 day', dry_run => true);
SELECT proofs('unproven');
SELECT severity, object, message, remedy FROM dbops.health_checks() WHERE check_name = 'partitions.left_constraint';
BEGIN;
LOCK TABLE unproven IN SHARE UPDATE EXCLUSIVE MODE;
SELECT severity, object, message, remedy FROM dbops.health_checks() WHERE check_name = 'partitions.left_constraint';
COMMIT;
-- that of a run which nobody works for is told, too
CREATE TABLE refused (at timestamptz) PARTITION BY RANGE (at);
CREATE TABLE refused_rest PARTITION OF refused DEFAULT;
ALTER TABLE refused_rest ADD CONSTRAINT dbops_no_rows_of_that_time CHECK (at < '2053-01-01');
SELECT severity, object, message, remedy FROM dbops.health_checks() WHERE check_name = 'partitions.left_constraint' AND object LIKE '%refused_rest';
DROP TABLE refused;
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

-- a call that was cut off after the swap is gone on with; other partitioned tables are not its matter
SELECT count(*) AS whole FROM pg_inherits WHERE inhparent = 'now'::regclass \gset
SELECT format('DROP TABLE %s', inhrelid::regclass) FROM pg_inherits WHERE inhparent = 'now'::regclass ORDER BY inhrelid DESC LIMIT 2 \gexec
SET client_min_messages = notice;
CALL dbops.partition_table('now', 'at', '12 hours', dry_run => true);
SELECT count(*) - :whole AS missing FROM pg_inherits WHERE inhparent = 'now'::regclass;
CALL dbops.partition_table('now', 'at', '12 hours');
CALL dbops.partition_table('now', 'at', '12 hours', dry_run => true);
SELECT count(*) - :whole AS missing FROM pg_inherits WHERE inhparent = 'now'::regclass;
SET client_min_messages = warning;
CREATE TABLE by_hand (at date) PARTITION BY RANGE (at);
CREATE TABLE by_hand_p20530201 PARTITION OF by_hand FOR VALUES FROM ('2053-02-01') TO ('2053-03-01');
CALL dbops.partition_table('by_hand', 'at', '1 month');

-- names go with the table; those of the first partition are others
CREATE TABLE keyed (at date NOT NULL, id int NOT NULL, r int CONSTRAINT to_ref REFERENCES ref, CONSTRAINT the_key PRIMARY KEY (id, at), UNIQUE (at, r));
CREATE INDEX "by R" ON keyed (r) WHERE r > 0;
CREATE UNIQUE INDEX a_name_that_is_as_long_as_names_may_be_so_that_nothing_follows_ ON keyed (id, at, r);
CREATE INDEX taken ON keyed (id);
CREATE TABLE taken_before ();
INSERT INTO keyed VALUES ('2053-02-01', 1);
CALL dbops.partition_table('keyed', 'at', '7 days');
INSERT INTO keyed VALUES ('2053-02-01', 1) ON CONFLICT ON CONSTRAINT the_key DO UPDATE SET at = '2053-02-02';
SELECT tableoid::regclass, * FROM keyed;
SELECT conname, contype FROM pg_constraint WHERE conrelid = 'keyed'::regclass AND contype <> 'n' ORDER BY conname COLLATE "C";
SELECT i.indrelid::regclass, regexp_replace(c.relname, '\d+', 'N') AS name, indisvalid FROM pg_index i JOIN pg_class c ON c.oid = indexrelid
  WHERE indrelid IN ('keyed'::regclass, 'keyed_before'::regclass) ORDER BY i.indrelid::regclass::text COLLATE "C", c.relname COLLATE "C";

-- options of an identity column, and names that look like parts of commands
CREATE TABLE counted (at date NOT NULL, id int GENERATED ALWAYS AS IDENTITY (MAXVALUE 1000 CYCLE CACHE 20), "{table}" int);
CREATE INDEX "by USING at" ON counted (id);
GRANT SELECT ("{table}") ON counted TO PUBLIC;
ALTER TABLE counted ALTER at SET STATISTICS 50, ALTER id SET (n_distinct = -1), ADD CONSTRAINT one UNIQUE (id, at), CLUSTER ON "by USING at";
COMMENT ON INDEX "by USING at" IS 'the planner''s';
COMMENT ON CONSTRAINT one ON counted IS 'of each day';
CALL dbops.partition_table('counted', 'at', '7 days');
SELECT seqmax, seqcycle, seqcache FROM pg_sequence WHERE seqrelid = pg_get_serial_sequence('counted', 'id')::regclass;
SELECT indrelid::regclass, pg_get_indexdef(indexrelid), obj_description(indexrelid, 'pg_class') FROM pg_index WHERE indexrelid = '"by USING at"'::regclass;
SELECT conrelid::regclass, obj_description(oid, 'pg_constraint') FROM pg_constraint WHERE conname = 'one';
SELECT count(*) > 1 AS several, min(nullif(attstattarget, -1)) AS target, count(*) - count(*) FILTER (WHERE attoptions::text LIKE '%n_distinct=-1%') AS without
  FROM pg_attribute WHERE attrelid IN (SELECT 'counted'::regclass UNION SELECT inhrelid FROM pg_inherits WHERE inhparent = 'counted'::regclass)
   AND attname IN ('at', 'id') GROUP BY attname ORDER BY attname;
SELECT count(*) FROM pg_index WHERE indrelid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'counted'::regclass)
   AND indisclustered IS DISTINCT FROM (pg_get_indexdef(indexrelid) LIKE '%btree (id)') ;
SELECT count(*) - count(attacl) AS without_grant FROM pg_inherits JOIN pg_attribute ON attrelid = inhrelid AND attname = '{table}' WHERE inhparent = 'counted'::regclass;

-- by which index a row is known to subscribers, who else may count, and as which table changes are published
CREATE TABLE known (at date NOT NULL, k int NOT NULL, id int GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME "Ids"));
CREATE UNIQUE INDEX known_k ON known (k, at);
ALTER TABLE known REPLICA IDENTITY USING INDEX known_k;
GRANT USAGE ON SEQUENCE "Ids" TO PUBLIC;
SET client_min_messages = error;
CREATE PUBLICATION regress_turn FOR TABLES IN SCHEMA regress_turn;
SET client_min_messages = warning;
CALL dbops.partition_table('known', 'at', '7 days');
ALTER PUBLICATION regress_turn SET (publish_via_partition_root = true);
CALL dbops.partition_table('known', 'at', '7 days');
DROP PUBLICATION regress_turn;
SELECT count(*) > 2 AS several, count(*) FILTER (WHERE relreplident <> 'i') AS other FROM pg_class
  WHERE oid IN (SELECT 'known'::regclass UNION SELECT inhrelid FROM pg_inherits WHERE inhparent = 'known'::regclass);
SELECT pg_get_serial_sequence('known', 'id'), has_sequence_privilege('pg_monitor', '"Ids"', 'USAGE') AS others;

-- what would go on to read the first partition alone
CREATE TABLE used (at date NOT NULL);
CREATE FUNCTION atomic() RETURNS bigint BEGIN ATOMIC SELECT count(*) FROM used; END;
CREATE FUNCTION row_of(used) RETURNS date LANGUAGE sql AS 'SELECT $1.at';
CREATE FUNCTION rows_of() RETURNS used[] LANGUAGE sql AS 'SELECT NULL::used[]';
CREATE TABLE other (at date);
CREATE POLICY looks ON other USING (at IN (SELECT u.at FROM used u));
CALL dbops.partition_table('used', 'at', '7 days');

-- what is kept about the table is about the new one
CREATE TABLE minded (at timestamptz NOT NULL);
SELECT dbops.set_vacuum_policy('minded') > now() AS set;
SELECT dbops.set_retention('minded', 'at', '1 year', confirm => true) > now() AS set;
SELECT dbops.place_hold('minded', 'at IS NULL', 'a test') > 0 AS held;
CALL dbops.partition_table('minded', 'at', '7 days');
SELECT kind, relation, relation = 'minded'::regclass AS new FROM dbops.policy WHERE relation IN ('minded'::regclass, 'minded_before'::regclass) ORDER BY kind COLLATE "C";
SELECT relation, relation = 'minded'::regclass AS new FROM dbops.hold WHERE relation IN ('minded'::regclass, 'minded_before'::regclass);
CALL dbops.run_retention('minded');
SELECT dbops.remove_vacuum_policy('minded');
SELECT dbops.remove_retention('minded');
DELETE FROM dbops.hold WHERE relation = 'minded'::regclass;

-- rights and row security are those of the table, not those of a new one
CREATE ROLE regress_turn_owner;
CREATE ROLE regress_turn_reader;
CREATE ROLE regress_turn_writer;
SELECT dbops.grant_access('regress_turn_owner', 'operator');
GRANT ALL ON SCHEMA regress_turn TO regress_turn_owner;
GRANT USAGE ON SCHEMA regress_turn TO PUBLIC;
CREATE FUNCTION rights(t regclass) RETURNS TABLE (grantee text, rights text) LANGUAGE sql AS
$$SELECT CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(x.grantee) END,
    string_agg(x.privilege_type || CASE WHEN x.is_grantable THEN '*' ELSE '' END, ' ' ORDER BY x.privilege_type COLLATE "C")
  FROM pg_class c, aclexplode(coalesce(relacl, acldefault('r', relowner))) x
  WHERE c.oid = t AND x.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'TRUNCATE') GROUP BY x.grantee ORDER BY CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(x.grantee) END COLLATE "C"$$;
SET ROLE regress_turn_owner;
CREATE TABLE plain_rights (at date NOT NULL);
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO regress_turn_reader;
ALTER DEFAULT PRIVILEGES IN SCHEMA regress_turn GRANT INSERT ON TABLES TO PUBLIC;
ALTER DEFAULT PRIVILEGES REVOKE TRUNCATE ON TABLES FROM regress_turn_owner;
CREATE TABLE guarded (at date NOT NULL, secret text);
REVOKE ALL ON guarded FROM regress_turn_reader, PUBLIC, regress_turn_owner;
GRANT SELECT, INSERT ON guarded TO regress_turn_owner WITH GRANT OPTION;
GRANT UPDATE (secret) ON guarded TO regress_turn_writer;
GRANT INSERT ON guarded TO regress_turn_writer WITH GRANT OPTION;
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
INSERT INTO plain_rights VALUES ('2053-02-01');
SELECT * FROM rights('guarded');
SELECT * FROM rights('plain_rights');
-- the owner who sees no row cannot say where the last one is
CALL dbops.partition_table('guarded', 'at', '7 days');
ALTER TABLE guarded NO FORCE ROW LEVEL SECURITY;
CALL dbops.partition_table('guarded', 'at', '7 days');
CALL dbops.partition_table('plain_rights', 'at', '7 days');
SELECT * FROM rights('guarded');
SELECT attname, attacl FROM pg_attribute WHERE attrelid = 'guarded'::regclass AND attacl IS NOT NULL;
SELECT * FROM rights('plain_rights');
SELECT relname, relrowsecurity, relforcerowsecurity FROM pg_class WHERE relname IN ('guarded', 'guarded_before', 'plain_rights') ORDER BY relname COLLATE "C";
-- partitions that are made have what CREATE TABLE ... PARTITION OF gives
CREATE TABLE plain_rights_of PARTITION OF plain_rights FOR VALUES FROM ('2054-01-01') TO ('2054-02-01');
SELECT grantee, rights, count(*) > 2 AND count(*) = (SELECT count(*) - 1 FROM pg_inherits WHERE inhparent = 'plain_rights'::regclass) AS all_but_the_first
  FROM pg_inherits i, rights(i.inhrelid) WHERE inhparent = 'plain_rights'::regclass AND inhrelid <> 'plain_rights_before'::regclass GROUP BY 1, 2 ORDER BY grantee COLLATE "C";
ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM regress_turn_reader;
ALTER DEFAULT PRIVILEGES IN SCHEMA regress_turn REVOKE INSERT ON TABLES FROM PUBLIC;
RESET ROLE;
-- forced where the owner sees all rows
CREATE TABLE forced (at date NOT NULL);
ALTER TABLE forced ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CALL dbops.partition_table('forced', 'at', '7 days');
SELECT relname, relrowsecurity, relforcerowsecurity FROM pg_class WHERE oid = 'forced'::regclass;

-- what is made is the owner's, whoever calls, and he must be able to make it
CREATE TABLE theirs (at date NOT NULL, r int REFERENCES ref);
ALTER TABLE theirs OWNER TO regress_turn_owner;
REVOKE ALL ON SCHEMA regress_turn FROM regress_turn_owner;
\set VERBOSITY terse
CALL dbops.partition_table('theirs', 'at', '7 days');
GRANT CREATE ON SCHEMA regress_turn TO regress_turn_owner;
CALL dbops.partition_table('theirs', 'at', '7 days');
SELECT proofs('theirs'), is_plain('theirs');
GRANT REFERENCES ON ref TO regress_turn_owner;
CALL dbops.partition_table('theirs', 'at', '7 days');
\set VERBOSITY default
SELECT DISTINCT relkind, relowner::regrole FROM pg_class WHERE relnamespace = 'regress_turn'::regnamespace AND relname LIKE 'theirs%' ORDER BY relkind;

DROP SCHEMA regress_turn CASCADE;
SELECT dbops.revoke_access('regress_turn_owner');
DROP OWNED BY regress_turn_owner;
DROP ROLE regress_turn_owner, regress_turn_reader, regress_turn_writer;
