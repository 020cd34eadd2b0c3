-- drop_index(): an index goes while others use its table, unless something needs it.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA dix;
CREATE SCHEMA "dix ""2""";
SET search_path = dix, "dix ""2""";
CREATE TABLE t (id int PRIMARY KEY, a int, b int NOT NULL, c int UNIQUE);
INSERT INTO t SELECT g, g, g, g FROM generate_series(1, 100) g;
CREATE INDEX t_a ON t (a);
CREATE TABLE "dix ""2"""."T" (a int);
CREATE INDEX "I ""1'" ON "dix ""2"""."T" (a);
RESET client_min_messages;

-- a dry run, the call, and the same call again
CALL dbops.drop_index('t_a', dry_run => true);
SELECT to_regclass('t_a');
CALL dbops.drop_index('t_a');
CALL dbops.drop_index('t_a');
SELECT to_regclass('t_a');
CALL dbops.drop_index('"I ""1''"');
CALL dbops.drop_index('"dix ""2"""."I ""1''"');
CALL dbops.drop_index('nowhere.t_a');

-- what a drop has left that was cut off
CREATE INDEX t_a ON t (a);
UPDATE pg_index SET indisvalid = false, indisready = false, indislive = false WHERE indexrelid = 't_a'::regclass;
CALL dbops.drop_index('t_a');
SELECT to_regclass('t_a');

-- what something needs
CREATE UNIQUE INDEX t_b ON t (b);
CREATE TABLE r (b int REFERENCES t (b));
CALL dbops.drop_index('t_pkey');
CALL dbops.drop_index('t_c_key');
CALL dbops.drop_index('t_b');
DROP TABLE r;
ALTER TABLE t REPLICA IDENTITY USING INDEX t_b;
CALL dbops.drop_index('t_b');
ALTER TABLE t REPLICA IDENTITY DEFAULT, CLUSTER ON t_b;
CALL dbops.drop_index('t_b');

-- Partitions: the whole, in a moment, and no part of it.
SET client_min_messages = warning;
CREATE TABLE p (id int) PARTITION BY LIST (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2);
CREATE INDEX pi ON p (id);
CREATE TABLE q (id int PRIMARY KEY) PARTITION BY LIST (id);
CREATE INDEX p1_own ON p1 (id);
RESET client_min_messages;
CALL dbops.drop_index('p1_id_idx');
CALL dbops.drop_index('q_pkey');
CALL dbops.drop_index('p1_own');
CALL dbops.drop_index('pi', dry_run => true);
CALL dbops.drop_index('pi');
CALL dbops.drop_index('pi');
SELECT to_regclass('p1_id_idx');
-- what partitions would lose with it
CREATE TABLE r (id int NOT NULL) PARTITION BY LIST (id);
CREATE TABLE r1 PARTITION OF r FOR VALUES IN (1);
CREATE UNIQUE INDEX r_u ON r (id);
ALTER TABLE r1 REPLICA IDENTITY USING INDEX r1_id_idx;
CALL dbops.drop_index('r_u');
ALTER TABLE r1 REPLICA IDENTITY DEFAULT;
CREATE TABLE refers_to_r1 (id int REFERENCES r1 (id));
CALL dbops.drop_index('r_u');
DROP TABLE refers_to_r1;
ALTER TABLE r1 CLUSTER ON r1_id_idx;
CALL dbops.drop_index('r_u');

-- bad input
CALL dbops.drop_index('t');
CALL dbops.drop_index('pg_class_oid_index');
\set VERBOSITY terse
CALL dbops.drop_index(NULL);
CALL dbops.drop_index('');
CALL dbops.drop_index('t_a t_b');
CALL dbops.drop_index('t_a; DROP TABLE t');
CALL dbops.drop_index('t_pkey', dry_run => NULL);
SELECT dbops.drop_index('t_pkey');
\set VERBOSITY default
-- of a partition: what keeps it is the partitioned table's
CREATE TABLE kept (id int PRIMARY KEY) PARTITION BY LIST (id);
CREATE TABLE kept_1 PARTITION OF kept FOR VALUES IN (1);
CALL dbops.drop_index('kept_1_pkey');
DROP TABLE kept;
SET client_min_messages = warning;
CREATE TEMP TABLE tmp (a int);
CREATE INDEX tmp_a ON tmp (a);
SELECT dbops.start_drop_index('tmp_a') IS NULL;
CALL dbops.drop_index('tmp_a');
SELECT to_regclass('tmp_a');

-- whose table it is
CREATE ROLE regress_dix_owner;
CREATE ROLE regress_dix_member IN ROLE regress_dix_owner;
CREATE ROLE regress_dix_other;
GRANT USAGE, CREATE ON SCHEMA dix TO regress_dix_owner, regress_dix_other;
SELECT dbops.grant_access('regress_dix_member', 'operator'), dbops.grant_access('regress_dix_other', 'operator');
CREATE TABLE owned (a int);
CREATE INDEX owned_a ON owned (a);
ALTER TABLE owned OWNER TO regress_dix_owner;
RESET client_min_messages;
SET ROLE regress_dix_owner;
CALL dbops.drop_index('owned_a');
SET ROLE regress_dix_other;
CALL dbops.drop_index('owned_a');
SELECT dbops.start_drop_index('owned_a');
SET ROLE regress_dix_member;
CALL dbops.drop_index('owned_a');
RESET ROLE;

-- in the background
CREATE INDEX t_a ON t (a);
SELECT dbops.start_drop_index('t_a', dry_run => true);
SELECT dbops.start_drop_index('t_a') AS job \gset
CALL dbops.wait_job(:job);
SELECT kind, name, state FROM dbops.jobs() WHERE id = :job;
SELECT dbops.start_drop_index('t_a');

SET client_min_messages = warning;
SELECT dbops.revoke_access('regress_dix_member'), dbops.revoke_access('regress_dix_other');
DROP SCHEMA dix CASCADE;
DROP SCHEMA "dix ""2""" CASCADE;
DROP ROLE regress_dix_member, regress_dix_owner, regress_dix_other;
