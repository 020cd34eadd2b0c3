-- Checks of tables, each provoked: rows that are dead, changed and never looked
-- at, autovacuum that is off, rows that a crash takes, updates that change
-- indexes. Autovacuum is off in the server of the tests, so that they stay.
\set VERBOSITY terse
CREATE SCHEMA check_tables;
SET search_path = check_tables;
CREATE FUNCTION pg_temp.findings(like_name text) RETURNS TABLE (check_name text, severity text, object text, message text, remedy text)
    LANGUAGE sql AS $$ SELECT f.check_name, f.severity, f.object, f.message, f.remedy FROM dbops.health_checks() f
                        WHERE f.check_name LIKE like_name AND f.object LIKE 'check_tables.%' ORDER BY f.key $$;
CREATE PROCEDURE pg_temp.count_now() LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_stat_force_next_flush(); END $$;

-- a table of many rows that was never analyzed; one of few may be
CREATE TABLE large (id int, n int);
INSERT INTO large SELECT g, g FROM generate_series(1, 300000) g;
CREATE TABLE little (id int);
INSERT INTO little SELECT g FROM generate_series(1, 100) g;
CALL pg_temp.count_now();
SELECT * FROM pg_temp.findings('analyze.never');
ANALYZE large;
SELECT * FROM pg_temp.findings('analyze.never');

-- many changes since, and many dead rows
UPDATE large SET n = n + 1;
CALL pg_temp.count_now();
SELECT * FROM pg_temp.findings('analyze.overdue');
SELECT * FROM pg_temp.findings('vacuum.%');
SELECT severity, message, data->>'guard_value' AS guard FROM dbops.health_checks()
 WHERE check_name = 'vacuum.dead_rows' AND object = 'check_tables.large';

-- a share of few rows is nothing: the guard
SELECT dbops.set_check('vacuum.dead_rows', guard => 500000);
SELECT * FROM pg_temp.findings('vacuum.dead_rows');
SELECT dbops.reset_check('vacuum.dead_rows');
VACUUM ANALYZE large;
CALL pg_temp.count_now();
SELECT * FROM pg_temp.findings('analyze.%') UNION ALL SELECT * FROM pg_temp.findings('vacuum.%');

-- autovacuum is off for a large table
ALTER TABLE large SET (autovacuum_enabled = off);
ALTER TABLE little SET (autovacuum_enabled = off);
SELECT * FROM pg_temp.findings('vacuum.disabled_table');
ALTER TABLE large RESET (autovacuum_enabled);

-- a table's own threshold counts
ALTER TABLE large SET (autovacuum_vacuum_scale_factor = 0.9);
DELETE FROM large WHERE id > 150000;
CALL pg_temp.count_now();
SELECT check_name, severity FROM pg_temp.findings('vacuum.overdue');
ALTER TABLE large SET (autovacuum_vacuum_scale_factor = 0.001);
SELECT check_name, severity FROM pg_temp.findings('vacuum.overdue');
DROP TABLE large;

-- updates that change indexes
CREATE TABLE updated (id int, n int);
CREATE INDEX ON updated (n);
INSERT INTO updated SELECT g, g FROM generate_series(1, 20000) g;
UPDATE updated SET n = n + 1;
CALL pg_temp.count_now();
SELECT * FROM pg_temp.findings('updates.%');
DROP TABLE updated;

-- what a crash empties
CREATE UNLOGGED TABLE fleeting AS SELECT g FROM generate_series(1, 1000) g;
SELECT * FROM pg_temp.findings('tables.unlogged');
VACUUM fleeting;
SELECT * FROM pg_temp.findings('tables.unlogged');
DROP TABLE fleeting;

-- a partitioned table is not analyzed by itself
CREATE TABLE parts (id int) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10000000);
INSERT INTO parts SELECT g FROM generate_series(1, 20000) g;
CALL pg_temp.count_now();
SELECT * FROM pg_temp.findings('analyze.partitioned');
ANALYZE parts;
SELECT * FROM pg_temp.findings('analyze.partitioned');

-- thousands that are overdue by many times, of few rows each, do not hide the one that matters; all are counted
CREATE TABLE matters (id int) WITH (autovacuum_enabled = off, autovacuum_analyze_threshold = 10000);
INSERT INTO matters SELECT g FROM generate_series(1, 30000) g;
DO $$ BEGIN
    FOR i IN 1 .. 2100 LOOP
        EXECUTE format('CREATE TABLE few_%s (id int) WITH (autovacuum_enabled = off, autovacuum_analyze_threshold = 0, autovacuum_analyze_scale_factor = 0)', i);
        EXECUTE format('INSERT INTO few_%s SELECT g FROM generate_series(1, 12) g', i);
    END LOOP;
END $$;
CALL pg_temp.count_now();
SELECT * FROM pg_temp.findings('analyze.overdue');
BEGIN;
SELECT dbops.set_check('vacuum.disabled_table', warning => 5);
SELECT count(*), max(substring(message FROM '^so it is with (\d+) more$')::int) >= 2091 AS counted FROM dbops.health_checks() WHERE check_name = 'vacuum.disabled_table';
ROLLBACK;
DO $$ BEGIN
    FOR i IN 1 .. 2100 LOOP
        EXECUTE format('DROP TABLE few_%s', i);
    END LOOP;
END $$;
DROP TABLE matters;

DROP SCHEMA check_tables CASCADE;
