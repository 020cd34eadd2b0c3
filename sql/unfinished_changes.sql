-- unfinished_changes: each kind of thing that is left half done is made by hand,
-- listed with the command that finishes it, and finished by that command.
\set VERBOSITY terse
CREATE SCHEMA unf;
SET search_path = unf, public;
ALTER SEQUENCE dbops.job_id_seq RESTART WITH 9001;
CREATE VIEW left_over AS
    SELECT kind, object, table_name, detail, age >= '0' AS age, command FROM dbops.unfinished_changes()
     WHERE table_name IS NULL OR table_name IN (SELECT oid FROM pg_class WHERE relnamespace = 'unf'::regnamespace)
     ORDER BY kind, object COLLATE "C", detail;
SELECT * FROM left_over;

-- constraints: of tables, domains, with names of all kinds; those below a table are its own, temporary tables are nobody's
CREATE TABLE "Odd ""T" (id int PRIMARY KEY, a int);
INSERT INTO "Odd ""T" VALUES (1, 1);
ALTER TABLE "Odd ""T" ADD CONSTRAINT "a, 'positive'" CHECK (a > 0) NOT VALID;
CREATE TABLE refers (a int);
ALTER TABLE refers ADD CONSTRAINT fk FOREIGN KEY (a) REFERENCES "Odd ""T" NOT VALID;
CREATE DOMAIN few AS int;
CREATE TABLE uses (f few);
ALTER DOMAIN few ADD CONSTRAINT few_only CHECK (VALUE < 10) NOT VALID;
CREATE TABLE parted (a int, b int) PARTITION BY RANGE (a);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (10) TO (20);
ALTER TABLE parted ADD CONSTRAINT b_positive CHECK (b > 0) NOT VALID;
CREATE TEMP TABLE unf_temp (a int);
ALTER TABLE unf_temp ADD CHECK (a > 0) NOT VALID;
SELECT * FROM left_over;
SELECT count(*) FROM dbops.unfinished_changes() WHERE object LIKE 'unf_temp%';
SELECT command FROM left_over \gexec
SELECT * FROM left_over;

-- indexes: of a build, of a rebuild, of a drop, and one that could not be unique
CREATE INDEX refers_cut ON refers (a);
CREATE INDEX refers_b ON refers ((a + 1));
CREATE INDEX refers_b_ccnew ON refers ((a + 1));
CREATE INDEX refers_dropped ON refers ((a + 2));
CREATE TABLE ex (a int4range, EXCLUDE USING gist (a WITH &&));
UPDATE pg_index SET indisvalid = false WHERE indexrelid IN ('refers_cut'::regclass, 'refers_b_ccnew'::regclass, 'refers_dropped'::regclass, 'ex_a_excl'::regclass);
UPDATE pg_index SET indisready = false, indislive = false WHERE indexrelid = 'refers_dropped'::regclass;
INSERT INTO refers VALUES (1), (1);
CREATE UNIQUE INDEX CONCURRENTLY refers_failed ON refers (a);
SELECT * FROM left_over;
DELETE FROM refers WHERE ctid = '(0,1)';
SELECT command FROM left_over \gexec
SELECT * FROM left_over;
SELECT indexrelid::regclass, indisvalid FROM pg_index WHERE indrelid = 'refers'::regclass ORDER BY 1;

-- of partitioned tables: the tree is completed by one call, after what is invalid below it; one of a constraint has no such call
CREATE TABLE tree (a int, b int) PARTITION BY RANGE (a);
CREATE TABLE tree_1 PARTITION OF tree FOR VALUES FROM (0) TO (10);
CREATE TABLE tree_2 PARTITION OF tree FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (a);
CREATE TABLE tree_2_1 PARTITION OF tree_2 FOR VALUES FROM (10) TO (20);
CREATE UNIQUE INDEX "tree's" ON ONLY tree (a, b) WHERE b > 0;
CREATE INDEX "tree ON ONLY b" ON ONLY tree (b);
CREATE INDEX tree_1_b ON tree_1 (b);
CREATE INDEX tree_2_b ON ONLY tree_2 (b);
ALTER INDEX "tree ON ONLY b" ATTACH PARTITION tree_2_b;
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'tree_1_b'::regclass;
ALTER INDEX "tree ON ONLY b" ATTACH PARTITION tree_1_b;
SELECT kind, object, table_name, command FROM dbops.unfinished_changes() WHERE table_name::text LIKE 'tree%';
SET client_min_messages = error;
SELECT command FROM dbops.unfinished_changes() WHERE table_name::text LIKE 'tree%' \gexec
RESET client_min_messages;
SELECT * FROM left_over;
SELECT i.indexrelid::regclass, indisvalid FROM pg_index i JOIN pg_class c ON c.oid = indrelid WHERE relname LIKE 'tree%' ORDER BY i.indexrelid::regclass::text COLLATE "C";
ALTER TABLE ONLY tree ADD CONSTRAINT tree_key UNIQUE (a);
SELECT kind, object, table_name, command FROM left_over;
DROP TABLE tree;

-- a step on the way to NOT NULL
CREATE TABLE nulls (id int PRIMARY KEY, "N n" int);
ALTER TABLE nulls ADD CONSTRAINT "dbops_not_null_N n" CHECK ("N n" IS NOT NULL) NOT VALID;
SELECT * FROM left_over;
SET client_min_messages = error;
SELECT command FROM left_over \gexec
RESET client_min_messages;
SELECT * FROM left_over;
\d nulls

-- columns that have a twin, until one of the two goes
CREATE TABLE named (id int PRIMARY KEY, "First" text, other text);
INSERT INTO named VALUES (1, 'a', 'b');
ALTER TABLE dbops.column_change ALTER id RESTART WITH 701;
SET client_min_messages = error;
CALL dbops.rename_column('named', 'First', 'first');
CALL dbops.rename_column('named', 'other', 'others');
UPDATE dbops.column_change SET state = 'expanding' WHERE id = 702;
RESET client_min_messages;
SELECT * FROM left_over;
CALL dbops.drop_column('named', 'other');
CALL dbops.drop_column('named', 'first');
SET client_min_messages = error;
SELECT command FROM left_over \gexec
SELECT * FROM left_over;
SELECT command FROM left_over \gexec
RESET client_min_messages;
SELECT * FROM left_over;
\d named
-- a job that has failed stands for its columns, unless the change is taken back
BEGIN;
SELECT count(*) FROM named;
PREPARE TRANSACTION 'regress_unf';
SET client_min_messages = error;
CALL dbops.rename_column('named', 'others', 'other', lock_timeout => '10 ms', max_wait => '50 ms');
COMMIT PREPARED 'regress_unf';
SELECT kind, object, table_name, command FROM left_over;
CALL dbops.abort_change(703);
RESET client_min_messages;
SELECT * FROM left_over;
-- the table of one is gone
SET client_min_messages = error;
CALL dbops.rename_column('named', 'others', 'other');
DROP TABLE named;
RESET client_min_messages;
SELECT * FROM left_over;
SELECT command FROM left_over \gexec
SELECT * FROM left_over;

-- a partition on its way out
UPDATE pg_inherits SET inhdetachpending = true WHERE inhrelid = 'parted_2'::regclass;
SELECT * FROM left_over;
SELECT command FROM left_over \gexec
SELECT * FROM left_over;
SELECT relispartition FROM pg_class WHERE oid = 'parted_2'::regclass;

-- a backfill that failed, with arguments of all kinds; the same call again makes it over
CREATE TABLE filled (id int PRIMARY KEY, a int, "B b" text);
INSERT INTO filled SELECT g FROM generate_series(0, 10) g;
SET client_min_messages = error;
CALL dbops.batched_backfill('filled', 'a = 1 / id, "B b" = E''two\nlines''', 'a IS NULL', batch_size => 3, pause => '1 ms', sync => true);
SELECT dbops.start_backfill('filled', 'a = 1 / (id - 5)', verify => false, method => 'blocks', app_writes => true, vacuum_every => 0.5, max_wal_per_s => 2000000, on_error => 'stop') AS id \gset
CALL dbops.wait_job(:id);
RESET client_min_messages;
SELECT kind, object, table_name, age, command FROM left_over;
-- under another search_path it is set before
SET search_path = public, unf;
SELECT regexp_replace(command, 'SELECT.*', 'SELECT ...') AS command FROM left_over;
SET search_path = unf, public;
DELETE FROM filled WHERE id IN (0, 5);
SELECT string_agg(rtrim(replace(command, 'SELECT ', ''), ';'), ', ') AS calls FROM left_over \gset
SELECT id1, id2 FROM (SELECT :calls) c (id1, id2) \gset
CALL dbops.wait_job(:id1);
CALL dbops.wait_job(:id2);
SELECT * FROM left_over;
SELECT * FROM filled ORDER BY 1;

-- those that wait for a human; only those of changes
SET client_min_messages = error;
SELECT dbops.pause_jobs('not now');
SELECT dbops.start_backfill('filled', 'a = 2', 'a = 0') AS paused \gset
SELECT dbops.start_backfill('filled', 'a = 3', 'a = 0') AS blocked \gset
SELECT dbops.start_backfill('filled', 'a = 4', 'a = 0') AS cancelled \gset
SELECT dbops.enqueue('SELECT 1') AS command \gset
SELECT dbops.pause_job(:paused), dbops.pause_job(:command), dbops.cancel_job(:cancelled);
UPDATE dbops.job SET state = 'blocked', message = 'a human must act' WHERE id = :blocked;
RESET client_min_messages;
SELECT * FROM left_over;
SELECT command FROM left_over \gexec
SELECT * FROM left_over;
SELECT dbops.resume_jobs();
CALL dbops.wait_job(:paused);
CALL dbops.wait_job(:blocked);
SELECT dbops.cancel_job(:command);

-- who reads it need not be allowed the schemas of what failed
SET client_min_messages = error;
CREATE SCHEMA unf_apart;
CREATE TABLE unf_apart.t (a int) PARTITION BY LIST (a);
CREATE TABLE unf_apart.t_1 PARTITION OF unf_apart.t DEFAULT;
SELECT dbops.pause_jobs('not now');
SELECT dbops.start_create_index('CREATE INDEX t_a ON unf_apart.t (a)') AS built \gset
CREATE INDEX t_a ON ONLY unf_apart.t (a);
UPDATE dbops.job SET state = 'failed', finished_at = now() WHERE id = :built;
INSERT INTO dbops.job_cursor (job_id, phase, position, began_at, moved_at) VALUES (:built, 0, '{"next": 1, "done": 1, "changed": true}', now(), now())
    ON CONFLICT (job_id) DO UPDATE SET position = EXCLUDED.position;
SELECT dbops.resume_jobs();
RESET client_min_messages;
SET ROLE pg_monitor;
SELECT kind, object FROM dbops.unfinished_changes() WHERE object = 'unf_apart.t_a';
RESET ROLE;
DROP INDEX unf_apart.t_a;
SELECT kind, object FROM dbops.unfinished_changes() WHERE object = 'unf_apart.t_a';
DROP SCHEMA unf_apart CASCADE;

-- what was refused before it has changed anything leaves nothing
SET client_min_messages = error;
CREATE TABLE refused (a int, b int);
INSERT INTO refused VALUES (1, NULL), (1, NULL);
CALL dbops.add_unique('refused', '{a}');
CALL dbops.add_unique('refused', '{b}', primary_key => true);
CALL dbops.set_not_null('refused', 'b');
CALL dbops.add_check_constraint('refused', 'a > 1');
RESET client_min_messages;
SELECT count(*) FROM dbops.job WHERE state = 'failed' AND name LIKE 'unf.refused%';
SELECT * FROM left_over;

-- an index that a job builds is the job's, until it ends without
SELECT dbops.pause_jobs('not now');
SELECT dbops.start_create_index('CREATE INDEX refused_a ON refused (a)') AS built \gset
INSERT INTO dbops.job_cursor (job_id, phase, position, began_at, moved_at)
    SELECT :built, 3, jsonb_build_object('next', 0, 'done', 0, 'aim', jsonb_build_object('kind', 'create index', 'schema', 'unf'::regnamespace::oid::int8, 'name', 'refused_a')), now(), now()
    ON CONFLICT (job_id) DO UPDATE SET position = EXCLUDED.position;
CREATE INDEX refused_a ON refused (a);
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'refused_a'::regclass;
SELECT * FROM left_over;
SELECT dbops.cancel_job(:built);
SELECT kind, object, command FROM left_over;
SELECT dbops.resume_jobs();
DROP TABLE refused;

-- a table that is gone leaves nothing to be finished
CREATE TABLE gone (id int PRIMARY KEY, a int);
INSERT INTO gone VALUES (0);
CALL dbops.batched_backfill('gone', 'a = 1 / id', sync => true);
SELECT count(*) FROM left_over WHERE object = 'gone';
DROP TABLE gone;
SELECT count(*) FROM left_over WHERE object = 'gone';

-- triggers of backfills that are over, and of none
CREATE TRIGGER dbops_sync_9001 BEFORE INSERT ON parted FOR EACH ROW EXECUTE FUNCTION dbops.backfill_sync();
CREATE TRIGGER dbops_exact_99999999999999999999 BEFORE INSERT ON filled FOR EACH ROW EXECUTE FUNCTION dbops.backfill_guard();
SELECT * FROM left_over;
SELECT command FROM left_over \gexec
SELECT * FROM left_over;

-- migrations that failed on their way up and down go on with the text of the ledger
CREATE TABLE migrated (id int);
INSERT INTO migrated VALUES (1), (1);
SELECT job_id AS id FROM dbops.apply_migration('1', E'ALTER TABLE migrated ADD b text DEFAULT ''a\\b'';\nCREATE UNIQUE INDEX CONCURRENTLY migrated_id ON migrated (id)',
    down_sql => 'DROP INDEX CONCURRENTLY migrated_id; SELECT 1 / count(*) FROM unf.migrated; ALTER TABLE unf.migrated DROP b', project => 'unf', name => 'it''s one') \gset
CALL dbops.wait_job(:id);
SELECT kind, object, table_name, age, command FROM left_over WHERE kind = 'migration';
DELETE FROM migrated;
SELECT regexp_replace(rtrim(command, ';'), '^SELECT \*', 'SELECT job_id AS id') AS command FROM left_over WHERE kind = 'migration' \gset
:command \gset
CALL dbops.wait_job(:id);
SELECT * FROM left_over;
SELECT job_id AS id FROM dbops.rollback_migration('1', 'unf') \gset
CALL dbops.wait_job(:id);
SELECT kind, object, table_name, age, command FROM left_over;
INSERT INTO migrated VALUES (1);
SELECT regexp_replace(rtrim(command, ';'), '^SELECT \*', 'SELECT job_id AS id') AS command FROM left_over WHERE kind = 'migration' \gset
:command \gset
CALL dbops.wait_job(:id);
SELECT * FROM left_over;
\d migrated

-- monitors see all, but no text of another's call; others see nothing
INSERT INTO filled VALUES (0);
SET client_min_messages = fatal;
CALL dbops.batched_backfill('filled', 'a = 1 / id, "B b" = ''secret''', 'id = 0', sync => true);
RESET client_min_messages;
CREATE ROLE regress_unfinished;
GRANT USAGE ON SCHEMA unf TO regress_unfinished;
SET ROLE regress_unfinished;
SELECT count(*) FROM dbops.unfinished_changes();
RESET ROLE;
SELECT dbops.grant_access('regress_unfinished', 'monitor');
SET ROLE regress_unfinished;
SELECT kind, object, table_name, regexp_replace(detail, '\([0-9,]+\)', '(N,N)') AS detail, command FROM dbops.unfinished_changes() WHERE table_name = 'unf.filled'::regclass;
RESET ROLE;
GRANT pg_read_all_stats TO regress_unfinished;
SET ROLE regress_unfinished;
SELECT command FROM dbops.unfinished_changes() WHERE table_name = 'unf.filled'::regclass;
RESET ROLE;

SELECT dbops.revoke_access('regress_unfinished');
SET client_min_messages = warning;
DROP SCHEMA unf CASCADE;
DROP ROLE regress_unfinished;
DELETE FROM dbops.job WHERE id > 9000;
DELETE FROM dbops.column_change WHERE id > 700;
