-- table_bloat and find_bloated_tables: what VACUUM gives back, what only a rewrite
-- does, and what neither can yet. The tables are small, so that they are read whole
-- and the answers are the same always.
-- a vacuum removes what no snapshot may need: wait for those that others have taken
CREATE PROCEDURE pg_temp.be_alone() LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 3000 LOOP
        EXIT WHEN NOT EXISTS (SELECT FROM pg_stat_activity WHERE coalesce(backend_xmin, backend_xid) IS NOT NULL AND pid <> pg_backend_pid());
        PERFORM pg_sleep(0.01), pg_stat_clear_snapshot();
    END LOOP;
END $$;
-- whether rows are there for good is noted on them only when what was committed beside
-- their transactions, of which 32 share a place, is flushed: leave that behind
CREATE PROCEDURE pg_temp.leave_behind() LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 64 LOOP
        PERFORM pg_current_xact_id();
        COMMIT;
    END LOOP;
END $$;
CREATE SCHEMA tb;
SET search_path = tb, public;
CREATE TABLE t (id int, k int) WITH (autovacuum_enabled = off);
INSERT INTO t SELECT g, g FROM generate_series(1, 20000) g;

-- fresh: nothing to be won
CALL pg_temp.be_alone();
SELECT * FROM dbops.table_bloat('t');

-- two rows of three are dead: VACUUM frees them for new rows, a rewrite gives them back
DELETE FROM t WHERE id % 3 > 0;
CALL pg_temp.be_alone();
SELECT size_bytes, bloat_percent, wasted_bytes, vacuum_returns_bytes, rewrite_only_bytes, dead_bytes, held_bytes, live_rows, dead_rows, all_visible_percent FROM dbops.table_bloat('t');
CALL pg_temp.leave_behind();
CHECKPOINT;
CALL pg_temp.be_alone();
VACUUM t;
SELECT size_bytes, bloat_percent, wasted_bytes, dead_bytes, free_bytes > 400000 AS free, live_rows, dead_rows, all_visible_percent FROM dbops.table_bloat('t');
-- what is predicted is what a rewrite gives
SELECT size_bytes - wasted_bytes AS predicted FROM dbops.table_bloat('t') \gset
CALL pg_temp.be_alone();
VACUUM FULL t;
SELECT pg_relation_size('t') = :predicted AS as_predicted, bloat_percent FROM dbops.table_bloat('t');

-- rows of different lengths, and a fillfactor
CREATE TABLE lengths (id int, v text) WITH (autovacuum_enabled = off, fillfactor = 70);
INSERT INTO lengths SELECT g, repeat('-', (g * 7919) % 1500) FROM generate_series(1, 2000) g;
DELETE FROM lengths WHERE id % 2 = 0;
CALL pg_temp.be_alone();
SELECT size_bytes - wasted_bytes AS predicted FROM dbops.table_bloat('lengths') \gset
CALL pg_temp.be_alone();
VACUUM FULL lengths;
SELECT abs(pg_relation_size('lengths') - :predicted) <= 0.03 * pg_relation_size('lengths') AS as_predicted;

-- empty pages at the end are what VACUUM gives back, if they are many
CREATE TABLE tail (id int) WITH (autovacuum_enabled = off);
INSERT INTO tail SELECT generate_series(1, 10000);
DELETE FROM tail WHERE id > 9900;
CALL pg_temp.be_alone();
SELECT vacuum_returns_bytes FROM dbops.table_bloat('tail');
DELETE FROM tail WHERE id > 5000;
CALL pg_temp.be_alone();
SELECT size_bytes, wasted_bytes, vacuum_returns_bytes, rewrite_only_bytes FROM dbops.table_bloat('tail');
SELECT size_bytes - vacuum_returns_bytes AS predicted FROM dbops.table_bloat('tail') \gset
BEGIN;
ALTER TABLE tail SET (vacuum_truncate = off);
SELECT vacuum_returns_bytes, note FROM dbops.table_bloat('tail');
ROLLBACK;
-- 18 has that as a setting, which a table's own option overrides
DO $$ BEGIN
    IF current_setting('server_version_num')::int >= 180000 THEN
        PERFORM set_config('vacuum_truncate', 'off', false);
    END IF;
END $$;
CALL pg_temp.be_alone();
SELECT (vacuum_returns_bytes = 0) = (current_setting('server_version_num')::int >= 180000) AS as_set FROM dbops.table_bloat('tail');
ALTER TABLE tail SET (vacuum_truncate = on);
CALL pg_temp.be_alone();
SELECT vacuum_returns_bytes > 0 AS returns FROM dbops.table_bloat('tail');
DO $$ BEGIN
    IF current_setting('server_version_num')::int >= 180000 THEN
        PERFORM set_config('vacuum_truncate', 'on', false);
    END IF;
END $$;
CALL pg_temp.be_alone();
VACUUM tail;
SELECT pg_relation_size('tail') = :predicted AS as_predicted FROM dbops.table_bloat('tail');
DELETE FROM tail;
CALL pg_temp.be_alone();
SELECT size_bytes = vacuum_returns_bytes AS whole, bloat_percent FROM dbops.table_bloat('tail');

-- what this transaction has deleted, it may yet keep
BEGIN;
DELETE FROM t;
SELECT dead_rows, live_rows FROM dbops.table_bloat('t');
ROLLBACK;

-- the TOAST table has a row of its own
CREATE TABLE toasted (id int, v text) WITH (autovacuum_enabled = off);
ALTER TABLE toasted ALTER v SET STORAGE EXTERNAL;
INSERT INTO toasted SELECT g, repeat('-', 3000) FROM generate_series(1, 150) g;
DELETE FROM toasted WHERE id % 2 = 0;
CALL pg_temp.be_alone();
SELECT table_name, part, size_bytes, bloat_percent > 40 AS bloated, dead_rows, live_rows FROM dbops.table_bloat('toasted');

DELETE FROM toasted WHERE id > 75;
CALL pg_temp.be_alone();
SELECT part, vacuum_returns_bytes > 0 AS returns, note FROM dbops.table_bloat('toasted');
ALTER TABLE toasted SET (toast.vacuum_truncate = off);
CALL pg_temp.be_alone();
SELECT part, vacuum_returns_bytes > 0 AS returns, note FROM dbops.table_bloat('toasted');

-- a materialized view has the option, too
CREATE TABLE shown AS SELECT g AS id FROM generate_series(1, 10000) g;
CREATE MATERIALIZED VIEW tailing WITH (autovacuum_enabled = off) AS SELECT id FROM shown;
CREATE UNIQUE INDEX ON tailing (id);
DELETE FROM shown WHERE id > 10;
REFRESH MATERIALIZED VIEW CONCURRENTLY tailing;
CALL pg_temp.be_alone();
SELECT vacuum_returns_bytes > 0 AS returns, note FROM dbops.table_bloat('tailing');
ALTER MATERIALIZED VIEW tailing SET (vacuum_truncate = off);
CALL pg_temp.be_alone();
SELECT vacuum_returns_bytes > 0 AS returns, note FROM dbops.table_bloat('tailing');

-- nothing is written: not even the hints on rows that the next who reads them leaves there
CREATE TABLE hints (id int) WITH (autovacuum_enabled = off);
INSERT INTO hints SELECT generate_series(1, 10000);
CALL pg_temp.leave_behind();
CHECKPOINT;
SELECT live_rows FROM dbops.table_bloat('hints');
CREATE FUNCTION pg_temp.dirtied(query text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, FORMAT json) ' || query INTO plan;
    RETURN plan->0->'Plan'->>'Shared Dirtied Blocks';
END $$;
SET max_parallel_workers_per_gather = 0;
SELECT pg_temp.dirtied('SELECT count(*) FROM tb.hints') >= pg_relation_size('hints') / current_setting('block_size')::int AS all_of_it;
RESET max_parallel_workers_per_gather;

-- rows that are locked, updated by several, or deleted by who has given up
CREATE TABLE fates (id int PRIMARY KEY, v int) WITH (autovacuum_enabled = off);
INSERT INTO fates SELECT g, g FROM generate_series(1, 100) g;
BEGIN;
SELECT count(*) FROM (SELECT FROM fates WHERE id <= 10 FOR KEY SHARE) locked;
SAVEPOINT a;
UPDATE fates SET v = 0 WHERE id <= 20;
SELECT live_rows, dead_rows FROM dbops.table_bloat('fates');
ROLLBACK TO a;
SELECT live_rows, dead_rows FROM dbops.table_bloat('fates');
UPDATE fates SET v = 1 WHERE id <= 5;
COMMIT;
BEGIN;
DELETE FROM fates;
ROLLBACK;
CALL pg_temp.be_alone();
SELECT live_rows, dead_rows FROM dbops.table_bloat('fates');
CALL pg_temp.be_alone();
VACUUM fates;
SELECT live_rows, dead_rows FROM dbops.table_bloat('fates');

-- partitions are summed
CREATE TABLE tree (id int, v text) PARTITION BY RANGE (id);
CREATE TABLE tree_1 PARTITION OF tree FOR VALUES FROM (0) TO (5000) WITH (autovacuum_enabled = off);
CREATE TABLE tree_2 PARTITION OF tree FOR VALUES FROM (5000) TO (10000) PARTITION BY RANGE (id);
CREATE TABLE tree_2a PARTITION OF tree_2 FOR VALUES FROM (5000) TO (10000) WITH (autovacuum_enabled = off);
INSERT INTO tree SELECT g, 'x' FROM generate_series(1, 9999) g;
DELETE FROM tree WHERE id >= 5000 AND id % 2 = 0;
CALL pg_temp.be_alone();
SELECT table_name, part, size_bytes = pg_relation_size('tree_1') + pg_relation_size('tree_2a') AS sum, dead_rows, live_rows, method FROM dbops.table_bloat('tree');

-- a sample reads no more than it is told, and a page or so at the end
SELECT method, pages_read < 10 AS few, bloat_percent BETWEEN low_percent AND high_percent AS within FROM dbops.table_bloat('lengths', 1);
CREATE TABLE empty (id int);
SELECT size_bytes, bloat_percent, wasted_bytes, all_visible_percent, method FROM dbops.table_bloat('empty');
CREATE TEMP TABLE tbtemp (id int);
SELECT method FROM dbops.table_bloat('tbtemp');
CREATE MATERIALIZED VIEW matview AS SELECT 1 AS a;
SELECT method, live_rows FROM dbops.table_bloat('matview');
SELECT live_rows > 100 AS rows FROM dbops.table_bloat('pg_class');
BEGIN READ ONLY;
SELECT method FROM dbops.table_bloat('t');
COMMIT;

-- those that win most come first, tables and TOAST tables
DELETE FROM t WHERE id % 2 = 0;
CALL pg_temp.be_alone();
SELECT table_name, part, bloat_percent > 40 AS bloated FROM dbops.find_bloated_tables(min_bytes => 8192)
 WHERE table_name IN (SELECT oid FROM pg_class WHERE relnamespace = 'tb'::regnamespace) ORDER BY 1, 2;
SELECT bool_and(wasted <= coalesce(before, wasted)) AS sorted
  FROM (SELECT wasted_bytes AS wasted, lag(wasted_bytes) OVER () AS before FROM dbops.find_bloated_tables(0, 100, 0) WHERE bloat_percent IS NOT NULL) x;
-- of the catalog, too, and of that of all databases
SELECT table_name FROM dbops.find_bloated_tables(0, 1000000, 0) WHERE table_name IN ('pg_attribute'::regclass, 'pg_class'::regclass, 'pg_database'::regclass) ORDER BY 1;
SELECT count(*) FROM dbops.find_bloated_tables(0, 1, 0);
SELECT count(*) FROM dbops.find_bloated_tables(row_limit => 1000, min_bytes => 100000000000);

-- bad input
SELECT dbops.table_bloat(NULL);
SELECT dbops.table_bloat(1);
SELECT dbops.table_bloat('pg_class_oid_index');
SELECT dbops.table_bloat('pg_user');
SELECT dbops.table_bloat('t', 0);
SELECT dbops.table_bloat('t', 10001);
SELECT dbops.table_bloat('t', NULL);
SELECT dbops.find_bloated_tables(-1);
SELECT dbops.find_bloated_tables('NaN');
SELECT dbops.find_bloated_tables(NULL);
SELECT dbops.find_bloated_tables(row_limit => 0);
SELECT dbops.find_bloated_tables(min_bytes => -1);

-- rows of which few fit on a page, and chunks of TOAST, leave as much free after a rewrite as before
CREATE TABLE few_rows (id int, z text);
ALTER TABLE few_rows ALTER z SET STORAGE PLAIN;
INSERT INTO few_rows SELECT g, repeat('x', 4050 + g % 20) FROM generate_series(1, 2000) g;
CREATE TABLE chunks (id int, z text);
ALTER TABLE chunks ALTER z SET STORAGE EXTERNAL;
INSERT INTO chunks SELECT g, repeat('x', 3000) FROM generate_series(1, 2000) g;
SELECT t, part, bloat_percent < 1 AS none FROM unnest('{few_rows,chunks}'::text[]) t, dbops.table_bloat(t::regclass) WHERE t = 'few_rows' OR part = 'TOAST';
-- what columns were that are gone
ALTER TABLE few_rows DROP COLUMN z;
SELECT note FROM dbops.table_bloat('few_rows') WHERE part = 'table';

-- a monitor needs no rights on the table, others see nothing
CREATE ROLE regress_table_bloat;
SET ROLE regress_table_bloat;
SELECT dbops.table_bloat(1);
RESET ROLE;
SELECT 't'::regclass::oid AS t \gset
GRANT pg_monitor TO regress_table_bloat;
SET ROLE regress_table_bloat;
SELECT method FROM dbops.table_bloat(:t);
SELECT count(*) > 0 AS found FROM dbops.find_bloated_tables(0, 100000, 0);
RESET ROLE;

RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA tb CASCADE;
DROP ROLE regress_table_bloat;
DROP TABLE tbtemp;
