-- find_bloated_indexes: which indexes are listed, in which order, and what is
-- remembered of them on the way.
-- a vacuum removes what no snapshot may need: wait for those that others have taken
CREATE PROCEDURE pg_temp.be_alone() LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 3000 LOOP
        EXIT WHEN NOT EXISTS (SELECT FROM pg_stat_activity WHERE coalesce(backend_xmin, backend_xid) IS NOT NULL AND pid <> pg_backend_pid());
        PERFORM pg_sleep(0.01), pg_stat_clear_snapshot();
    END LOOP;
END $$;
CREATE SCHEMA fb;
SET search_path = fb, public;
CREATE TABLE half (id int, k text) WITH (autovacuum_enabled = off);
INSERT INTO half SELECT g, md5(g::text) FROM generate_series(1, 10000) g;
CREATE INDEX half_id ON half (id);
CREATE INDEX half_k ON half (k);
CREATE INDEX half_hash ON half USING hash (k);
CREATE TABLE little (id int) WITH (autovacuum_enabled = off);
INSERT INTO little SELECT generate_series(1, 12000);
CREATE INDEX little_id ON little (id);
CREATE TEMP TABLE small (id int) WITH (autovacuum_enabled = off);
INSERT INTO small SELECT generate_series(1, 2000);
CREATE INDEX small_id ON small (id);

-- each is at its best, and that is remembered
CREATE VIEW best AS
    SELECT index_name, round(row_bytes::numeric, 1) AS row_bytes, size_bytes, file = pg_relation_filenode(index_name) AS same_file
      FROM dbops.index_best JOIN pg_class c ON c.oid = index_name
     WHERE relnamespace IN ('fb'::regnamespace, pg_my_temp_schema()) ORDER BY c.relname;
SELECT count(*) FROM dbops.find_bloated_indexes(min_percent => 1, min_bytes => 0) WHERE index_name::text LIKE 'half%';
SELECT * FROM best;

-- those that win most come first; no index of another kind, and none that is not bloated
DELETE FROM half WHERE id % 10 < 7;
DELETE FROM little WHERE id % 100 = 0;
DELETE FROM small WHERE id % 2 = 0;
CALL pg_temp.be_alone();
VACUUM (INDEX_CLEANUP on) half;
VACUUM (INDEX_CLEANUP on) little;
VACUUM (INDEX_CLEANUP on) small;
CREATE VIEW found AS
    SELECT index_name, size_bytes, bloat_percent, wasted_bytes, over_best_percent, method
      FROM dbops.find_bloated_indexes(min_bytes => 0) f
     WHERE index_name IN (SELECT oid FROM pg_class WHERE relnamespace IN ('fb'::regnamespace, pg_my_temp_schema()));
SELECT * FROM found;
SELECT index_name FROM dbops.find_bloated_indexes(60, 1, 0);
SELECT index_name FROM dbops.find_bloated_indexes(60, min_bytes => 200000);
SELECT count(*) FROM dbops.find_bloated_indexes(100);

-- those of the catalog, too, and those of all databases
SELECT index_name FROM dbops.find_bloated_indexes(0, 1000000, 0) WHERE index_name IN ('pg_attribute_relid_attnum_index'::regclass, 'pg_database_oid_index'::regclass) ORDER BY 1;

-- a worse one is not remembered; after a rebuild the best is that of the new file
SELECT * FROM best;
REINDEX INDEX half_k;
SELECT over_best_percent FROM dbops.index_bloat('half_k');
SELECT count(*) FROM found;
SELECT * FROM best;
SELECT over_best_percent FROM dbops.index_bloat('half_k');

-- nothing is remembered where nothing may be written, and dropped indexes are forgotten
UPDATE dbops.index_best SET row_bytes = 999999;
BEGIN READ ONLY;
SELECT count(*) FROM found;
COMMIT;
SELECT count(*) FROM best WHERE row_bytes <> 999999;
INSERT INTO dbops.index_best VALUES (1, 1, 1, 1, now());
SELECT count(*) FROM found;
SELECT count(*) FROM dbops.index_best WHERE index_name = 1;
SELECT count(*) FROM best WHERE row_bytes <> 999999;

-- bad input
SELECT dbops.find_bloated_indexes(-1);
SELECT dbops.find_bloated_indexes(101);
SELECT dbops.find_bloated_indexes('NaN');
SELECT dbops.find_bloated_indexes(NULL);
SELECT dbops.find_bloated_indexes(row_limit => 0);
SELECT dbops.find_bloated_indexes(row_limit => NULL);
SELECT dbops.find_bloated_indexes(min_bytes => -1);
SELECT dbops.find_bloated_indexes(min_bytes => NULL);

DROP TABLE small;
RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA fb CASCADE;
