-- find_invalid_indexes: what became of each, and whether it can go. Those that
-- somebody is building are in the isolation test of the same name.
CREATE SCHEMA inv;
SET search_path = inv, public;
CREATE VIEW found AS
    SELECT index_name, table_name, state, same_as, backs, safe_to_drop, reason, statement
      FROM dbops.find_invalid_indexes() JOIN pg_class c ON c.oid = index_name
     WHERE relnamespace IN ('inv'::regnamespace, 'pg_toast'::regnamespace) ORDER BY relname COLLATE "C";
CREATE PROCEDURE invalidate(VARIADIC indexes regclass[]) LANGUAGE sql
    AS $$ UPDATE pg_index SET indisvalid = false WHERE indexrelid = ANY (indexes) $$;

-- a build that failed: unique, because of rows in its way; and one that was cut off
CREATE TABLE t (a int, b int, c int);
INSERT INTO t VALUES (1, 1, 1), (1, 2, 2);
CREATE INDEX t_fine ON t (a);
CREATE UNIQUE INDEX CONCURRENTLY t_failed ON t (a);
CREATE INDEX t_cut ON t (b);
CREATE INDEX t_unready ON t (c);
CALL invalidate('t_cut', 't_unready');
UPDATE pg_index SET indisready = false WHERE indexrelid = 't_unready'::regclass;
SELECT * FROM found;
-- the same unique one, were it kept up to date: it enforces what it can
BEGIN;
UPDATE pg_index SET indisready = true WHERE indexrelid = 't_failed'::regclass;
SELECT index_name, backs, safe_to_drop, reason FROM found WHERE index_name = 't_failed'::regclass;
ROLLBACK;
-- the statements run as printed
\set ECHO none
SELECT statement FROM found WHERE safe_to_drop = 'yes' \gexec
\set ECHO all
SELECT count(*) FROM found;

-- what a rebuild has left is known by its definition, whatever its name
CREATE TABLE r (a int PRIMARY KEY, b int, c int);
CREATE UNIQUE INDEX r_pkey_ccnew ON r (a);
CREATE INDEX r_b ON r (b);
CREATE INDEX r_b_any ON r (b);
CREATE INDEX r_c_ccnew ON r (c);
CREATE INDEX r_ab ON r (a, b);
CREATE INDEX r_a ON r (a);
CALL invalidate('r_pkey_ccnew', 'r_b_any', 'r_c_ccnew', 'r_a');
SELECT * FROM found;

-- what keeps something is never said to be safe, whatever is there beside it
CREATE UNIQUE INDEX r_b_key ON r (b);
ALTER TABLE r ADD CONSTRAINT r_b_key UNIQUE USING INDEX r_b_key;
CREATE UNIQUE INDEX r_b_twin ON r (b);
CALL invalidate('r_b_key', 'r_pkey');
SELECT index_name, state, same_as, backs, safe_to_drop, reason FROM found WHERE index_name IN ('r_b_key'::regclass, 'r_pkey'::regclass);

-- a foreign key would find its rows by it, unless another index serves it
CREATE TABLE referred (id int PRIMARY KEY);
CREATE TABLE refers (a int REFERENCES referred, b int);
CREATE INDEX refers_a ON refers (a);
CALL invalidate('refers_a');
SELECT index_name, state, backs, safe_to_drop, reason, statement FROM found WHERE index_name = 'refers_a'::regclass;
CREATE INDEX refers_ab ON refers (a, b);
SELECT index_name, state, backs, safe_to_drop, reason, statement FROM found WHERE index_name = 'refers_a'::regclass;
DROP TABLE refers, referred;

-- not all can be rebuilt while others write
CREATE TABLE ex (a int4range, EXCLUDE USING gist (a WITH &&));
CALL invalidate('ex_a_excl');
SELECT index_name, backs, safe_to_drop, reason FROM found WHERE index_name = 'ex_a_excl'::regclass;
REINDEX INDEX CONCURRENTLY inv.ex_a_excl;
REINDEX INDEX inv.ex_a_excl;
SELECT count(*) FROM found WHERE index_name = 'ex_a_excl'::regclass;
DROP TABLE ex;

-- a drop that was cut off
UPDATE pg_index SET indisvalid = false, indisready = false, indislive = false WHERE indexrelid = 'r_b'::regclass;
SELECT * FROM found WHERE index_name = 'r_b'::regclass;
DROP TABLE t, r;

-- a partitioned one waits for its partitions and is no orphan
CREATE TABLE tree (a int, b int) PARTITION BY RANGE (a);
CREATE TABLE tree_1 PARTITION OF tree FOR VALUES FROM (0) TO (10);
CREATE TABLE "tree 2" PARTITION OF tree FOR VALUES FROM (10) TO (20);
CREATE TABLE tree_3 PARTITION OF tree FOR VALUES FROM (20) TO (30) PARTITION BY RANGE (b);
CREATE INDEX tree_b ON ONLY tree (b);
SELECT * FROM found;
CREATE INDEX tree_1_b ON tree_1 (b);
ALTER INDEX tree_b ATTACH PARTITION tree_1_b;
SELECT index_name, state, safe_to_drop, reason FROM found;
CREATE INDEX "tree 2_b" ON "tree 2" (b);
ALTER INDEX tree_b ATTACH PARTITION "tree 2_b";
-- one that has partitions itself, where none is created concurrently
SELECT index_name, state, safe_to_drop, reason FROM found;
CREATE INDEX tree_3_b ON tree_3 (b);
ALTER INDEX tree_b ATTACH PARTITION tree_3_b;
SELECT count(*) FROM found;
CALL invalidate('tree_1_b');
SELECT * FROM found;
DROP TABLE tree;

-- a partition of another server has none
CREATE FOREIGN DATA WRAPPER regress_inv;
CREATE SERVER regress_inv FOREIGN DATA WRAPPER regress_inv;
CREATE TABLE mixed (a int, b int) PARTITION BY RANGE (a);
CREATE FOREIGN TABLE mixed_1 PARTITION OF mixed FOR VALUES FROM (0) TO (10) SERVER regress_inv;
CREATE TABLE mixed_2 PARTITION OF mixed FOR VALUES FROM (10) TO (20);
CREATE INDEX mixed_b ON ONLY mixed (b);
CREATE INDEX mixed_2_b ON mixed_2 (b);
ALTER INDEX mixed_b ATTACH PARTITION mixed_2_b;
SELECT index_name, state, safe_to_drop, reason FROM found;
CREATE INDEX mixed_c ON mixed (b);
SELECT index_name FROM found;
DROP FOREIGN DATA WRAPPER regress_inv CASCADE;
DROP TABLE mixed;

-- of a TOAST table, which cannot do without; none of temporary tables
CREATE TABLE toasted (t text);
SELECT indexrelid::regclass AS toast_index FROM pg_index WHERE indrelid = (SELECT reltoastrelid FROM pg_class WHERE oid = 'toasted'::regclass) \gset
BEGIN;
CALL invalidate(:'toast_index');
SELECT index_name = :'toast_index'::regclass AS found, state, safe_to_drop, regexp_replace(reason, '_[0-9]+_', '_N_') AS reason FROM found;
UPDATE pg_index SET indisready = false WHERE indexrelid = :'toast_index'::regclass;
SELECT safe_to_drop FROM found;
ROLLBACK;
CREATE TEMP TABLE invtemp (a int);
CREATE INDEX invtemp_a ON invtemp (a);
CALL invalidate('invtemp_a');
SELECT count(*) FROM dbops.find_invalid_indexes() WHERE table_name = 'invtemp'::regclass;
DROP TABLE invtemp;

RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA inv CASCADE;
