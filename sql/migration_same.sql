-- A migration that is given again: the same text, one that only looks different,
-- another one, and one that may be applied again.
\pset null '~'
CREATE TABLE migration_log (line text);

-- the same, and white space and comments
SELECT step, state FROM dbops.apply_migration('001', 'INSERT INTO migration_log VALUES (''one'');
CREATE FUNCTION migration_one() RETURNS text LANGUAGE sql AS ''SELECT 1::text''', project => 'same');
SELECT step, state FROM dbops.apply_migration('001', 'INSERT INTO migration_log VALUES (''one'');
CREATE FUNCTION migration_one() RETURNS text LANGUAGE sql AS ''SELECT 1::text''', project => 'same');
SELECT step, state FROM dbops.apply_migration('001', '-- Copyright
INSERT  INTO migration_log /* why */ VALUES (''one'');
CREATE FUNCTION migration_one() RETURNS text LANGUAGE sql AS ''SELECT 1::text'';', project => 'same');

-- another one: a value, a comment within a function, less, more
SELECT step, state FROM dbops.apply_migration('001', '-- Copyright
INSERT INTO migration_log VALUES (''two'');
CREATE FUNCTION migration_one() RETURNS text LANGUAGE sql AS ''SELECT 1::text''', project => 'same');
\set VERBOSITY terse
SELECT step, state FROM dbops.apply_migration('001', 'INSERT INTO migration_log VALUES (''one'');
CREATE FUNCTION migration_one() RETURNS text LANGUAGE sql AS ''SELECT 1::text /* text */''', project => 'same');
\set VERBOSITY default
SELECT step, state FROM dbops.apply_migration('001', 'INSERT INTO migration_log VALUES (''one'')', project => 'same');
SELECT step, state FROM dbops.apply_migration('001', 'INSERT INTO migration_log VALUES (''one'');
CREATE FUNCTION migration_one() RETURNS text LANGUAGE sql AS ''SELECT 1::text'';
SELECT 1', project => 'same');
SELECT array_agg(line) FROM migration_log;

-- a down text that was not given, or was mended: it has not been run yet
SELECT state FROM dbops.apply_migration('002', 'INSERT INTO migration_log VALUES (''two'')', project => 'same');
SELECT state FROM dbops.apply_migration('002', 'INSERT INTO migration_log VALUES (''two'')', 'DELETE FROM migration_lag', project => 'same');
SELECT state FROM dbops.apply_migration('002', 'INSERT INTO migration_log VALUES (''two'')', 'DELETE FROM migration_log', project => 'same', reason => 'typing error');
SELECT state FROM dbops.apply_migration('002', 'INSERT INTO migration_log VALUES (''two'')', project => 'same');
SELECT state FROM dbops.apply_migration('002', 'INSERT INTO migration_log VALUES (''two'')', 'DELETE FROM', project => 'same');
SELECT down_sql FROM dbops.migration WHERE project = 'same' AND version = '002';
SELECT version, event, reason, details - 'duration_ms' AS details FROM dbops.migration_event WHERE project = 'same' ORDER BY id;

-- repeatable: again when it says something else, and only then
SELECT step, state FROM dbops.apply_migration('R_view', 'CREATE OR REPLACE VIEW migration_view AS SELECT 1 AS a', project => 'same', repeatable => true);
SELECT step, state FROM dbops.apply_migration('R_view', 'CREATE OR REPLACE VIEW migration_view AS SELECT 1 AS a', project => 'same', repeatable => true);
SELECT step, state FROM dbops.apply_migration('R_view', 'CREATE OR REPLACE VIEW migration_view AS SELECT 1 AS a;', project => 'same', repeatable => true);
SELECT step, state FROM dbops.apply_migration('R_view', 'CREATE OR REPLACE VIEW migration_view AS SELECT 2 AS a', project => 'same', repeatable => true);
SELECT a FROM migration_view;
SELECT event FROM dbops.migration_event WHERE project = 'same' AND version = 'R_view' ORDER BY id;
\set VERBOSITY terse
SELECT step, state FROM dbops.apply_migration('R_view', 'CREATE OR REPLACE VIEW migration_view AS SELECT 3 AS a', project => 'same');

-- rolled back, it is applied again, with any text
SELECT state FROM dbops.apply_migration('003', 'CREATE TABLE migration_third (id integer)', 'DROP TABLE migration_third', project => 'same');
SELECT state FROM dbops.rollback_migration('003', 'same');
SELECT step, state FROM dbops.apply_migration('003', 'CREATE TABLE migration_third (id bigint)', 'DROP TABLE migration_third', project => 'same');
SELECT direction, step, state FROM dbops.migration_step WHERE project = 'same' AND version = '003';

DROP TABLE migration_log, migration_third;
DROP VIEW migration_view;
DROP FUNCTION migration_one();
