-- Rolling back: in the reverse of the order of application, the stored down
-- text as one transaction with the ledger's row. (Who may is in
-- privileges_migration_ledger.)
\set VERBOSITY default
\pset null ~
SET client_min_messages = warning;
CREATE FUNCTION pg_temp.apply(version text, up text, down text, requires text[] DEFAULT '{}', repeatable boolean DEFAULT false)
    RETURNS text LANGUAGE sql AS $$
    SELECT state FROM dbops.apply_migration(version, up, down, project => 'rollback', requires => requires, repeatable => repeatable)
     WHERE step IS NULL $$;
SELECT pg_temp.apply('V1', 'CREATE TABLE migration_a (x integer)', 'DROP TABLE migration_a');
SELECT pg_temp.apply('V2', 'ALTER TABLE migration_a ADD y integer; COMMENT ON COLUMN migration_a.y IS ''why''',
                     E'-- the other way round\nCOMMENT ON COLUMN migration_a.y IS NULL;\nALTER TABLE migration_a DROP y');
SELECT pg_temp.apply('V3', 'CREATE TABLE migration_b (x integer)', 'DROP TABLE migration_b', '{V1}');
SELECT pg_temp.apply('R_view', 'CREATE OR REPLACE VIEW migration_v AS SELECT x FROM migration_b', 'DROP VIEW migration_v', '{V3}', true);
SELECT pg_temp.apply('R_other', 'CREATE OR REPLACE VIEW migration_w AS SELECT 1 AS one', 'DROP VIEW migration_w', repeatable => true);
RESET client_min_messages;

-- what came later, or requires it, is in the way; repeatable ones have no place in the order
SELECT * FROM dbops.rollback_migration('V1', 'rollback');
SELECT * FROM dbops.rollback_migration('V3', 'rollback');
SELECT * FROM dbops.rollback_migration(project => 'rollback');
SELECT version, direction, step, line, command, state FROM dbops.rollback_migration('R_view', 'rollback');
SELECT version, direction, step, line, command, state FROM dbops.rollback_migration(project => 'rollback');
SELECT to_regclass('migration_b'), to_regclass('migration_v'), to_regclass('migration_w');
SELECT version, direction, step, line, command, state FROM dbops.rollback_migration('V2', 'rollback', reason => 'not needed');
SELECT attname FROM pg_attribute WHERE attrelid = 'migration_a'::regclass AND attnum > 0 AND NOT attisdropped;

-- rolled back already; unknown
SELECT version, state FROM dbops.rollback_migration('V2', 'rollback');
SELECT * FROM dbops.rollback_migration('V4', 'rollback');
SELECT * FROM dbops.rollback_migration('V4', 'nosuch');
SELECT * FROM dbops.rollback_migration(project => 'nosuch');

-- a down text that fails leaves all as it was
SELECT pg_temp.apply('V5', 'CREATE TABLE migration_c ()', E'DROP TABLE migration_c;\n\nDROP TABLE migration_nosuch');
SELECT * FROM dbops.rollback_migration('V5', 'rollback');
SELECT to_regclass('migration_c'), state FROM dbops.migration WHERE project = 'rollback' AND version = 'V5';

-- the role that has applied it may give another one, and then it goes
SELECT state FROM dbops.apply_migration('V5', 'CREATE TABLE migration_c ()', 'DROP TABLE migration_c', project => 'rollback');
SELECT version, state FROM dbops.rollback_migration('V5', 'rollback') WHERE step IS NULL;

-- no down text; never run
SELECT pg_temp.apply('V6', 'SELECT 1', NULL);
SELECT * FROM dbops.rollback_migration('V6', 'rollback');
SELECT dbops.resolve_migration('V6', 'reverted', 'nothing to undo', 'rollback');
SELECT dbops.baseline_migration('V7', project => 'rollback');
SELECT * FROM dbops.rollback_migration('V7', 'rollback');
SELECT * FROM dbops.rollback_migration(project => 'rollback');

-- the baseline came after V1
SELECT * FROM dbops.rollback_migration('V1', 'rollback');
SELECT dbops.resolve_migration('V7', 'reverted', 'set by mistake', 'rollback');
SELECT version, state FROM dbops.rollback_migration(project => 'rollback') WHERE step IS NULL;

-- settings of the down text do not outlive it
SELECT pg_temp.apply('V8', 'SELECT 1', 'SET search_path = pg_catalog; SELECT 1');
SHOW search_path;
SELECT version, state FROM dbops.rollback_migration('V8', 'rollback') WHERE step IS NULL;
SHOW search_path;

-- applied again, it can be rolled back again
SELECT pg_temp.apply('V2', 'CREATE TABLE migration_a (x integer)', 'DROP TABLE migration_a');
SELECT version, state FROM dbops.rollback_migration('V2', 'rollback') WHERE step IS NULL;

-- the ledger and its log
SELECT version, state FROM dbops.migration WHERE project = 'rollback' ORDER BY position;
SELECT version, direction, step, line, command, state FROM dbops.migration_step
 WHERE project = 'rollback' AND version IN ('V2', 'V3') ORDER BY version, direction, step;
SELECT version, event, reason, details - 'duration_ms' AS details FROM dbops.migration_event
 WHERE project = 'rollback' AND event = 'roll_back' ORDER BY id;

-- bad input
SELECT * FROM dbops.rollback_migration('V 1', 'rollback');
SELECT * FROM dbops.rollback_migration('V1', NULL);
SELECT * FROM dbops.rollback_migration('V1', 'rollback', lock_timeout => '0');
SELECT * FROM dbops.rollback_migration('V1', 'rollback', max_wait => '-1 s');
BEGIN READ ONLY;
SELECT * FROM dbops.rollback_migration('V1', 'rollback');
ROLLBACK;

SELECT version FROM dbops.rollback_migration('R_other', 'rollback') WHERE step IS NULL;
