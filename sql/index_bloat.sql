-- index_bloat: what it says of each state that an index can be in. The indexes
-- are small, so that they are read whole and the answers are the same always.
-- a vacuum removes what no snapshot may need: wait for those that others have taken
CREATE PROCEDURE pg_temp.be_alone() LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 3000 LOOP
        EXIT WHEN NOT EXISTS (SELECT FROM pg_stat_activity WHERE coalesce(backend_xmin, backend_xid) IS NOT NULL AND pid <> pg_backend_pid());
        PERFORM pg_sleep(0.01), pg_stat_clear_snapshot();
    END LOOP;
END $$;
CREATE TABLE ib (id bigint, d int, txt text, arr int[], p point) WITH (autovacuum_enabled = off);
INSERT INTO ib SELECT g, g % 7, md5(g::text), ARRAY[g % 50, g % 77], point(g % 100, g % 93) FROM generate_series(1, 20000) g;
CREATE INDEX ib_id ON ib (id);
CREATE INDEX ib_full ON ib (id) WITH (fillfactor = 100);

-- fresh: nothing to be won, at any fillfactor
SELECT index_name, size_bytes, bloat_percent, low_percent, high_percent, wasted_bytes, pages_read, method, rebuilt_bytes,
       density_percent, fillfactor, over_best_percent, deleted_pages, half_dead_pages, killable_percent, damaged_pages, note
  FROM dbops.index_bloat('ib_id');
SELECT bloat_percent, wasted_bytes, fillfactor, rebuilt_bytes = size_bytes AS same FROM dbops.index_bloat('ib_full');

-- two rows of three are deleted: what is predicted is what a rebuild gives
DELETE FROM ib WHERE id % 3 > 0;
CALL pg_temp.be_alone();
VACUUM (INDEX_CLEANUP on) ib;
SELECT size_bytes, bloat_percent, wasted_bytes, rebuilt_bytes, over_steady_percent, deleted_pages, half_dead_pages FROM dbops.index_bloat('ib_id');
REINDEX INDEX ib_id;
SELECT pg_relation_size('ib_id'), bloat_percent FROM dbops.index_bloat('ib_id');

-- pages deleted from the tree are won whole, and the rest is dense
DELETE FROM ib WHERE id BETWEEN 2000 AND 18000;
CALL pg_temp.be_alone();
VACUUM (INDEX_CLEANUP on) ib;
SELECT size_bytes, bloat_percent, rebuilt_bytes, deleted_pages, density_percent FROM dbops.index_bloat('ib_id');

-- items known to be dead are no bloat
CREATE TABLE ib_killed (id int) WITH (autovacuum_enabled = off);
INSERT INTO ib_killed SELECT generate_series(1, 5000);
CREATE INDEX ib_killed_id ON ib_killed (id);
DELETE FROM ib_killed WHERE id % 2 = 0;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT count(*) FROM ib_killed WHERE id > 0;
RESET enable_seqscan;
RESET enable_bitmapscan;
SELECT bloat_percent, killable_percent > 30 AS killable FROM dbops.index_bloat('ib_killed_id');

-- empty ones, and such of one page
CREATE TABLE ib_empty (id int PRIMARY KEY);
SELECT size_bytes, bloat_percent, rebuilt_bytes, method FROM dbops.index_bloat('ib_empty_pkey');
INSERT INTO ib_empty VALUES (1);
SELECT size_bytes, bloat_percent, rebuilt_bytes, method FROM dbops.index_bloat('ib_empty_pkey');

-- a sample reads as many pages as it is told, and one of the first
SELECT pages_read < 57 AS fewer, method, bloat_percent >= low_percent AND bloat_percent <= high_percent AS within
  FROM dbops.index_bloat('ib_full', 20);
SELECT method, pages_read > 50 AS all_read FROM dbops.index_bloat('ib_full', 20, exact => true);
-- one of more than there are is all of them
SELECT method, pages_read = size_bytes / current_setting('block_size')::int AS all_read FROM dbops.index_bloat('ib_full', 10000);

-- the leaves of a partitioned index are summed
CREATE TABLE ib_tree (id int, k text) PARTITION BY RANGE (id);
CREATE TABLE ib_tree_1 PARTITION OF ib_tree FOR VALUES FROM (0) TO (5000);
CREATE TABLE ib_tree_2 PARTITION OF ib_tree FOR VALUES FROM (5000) TO (10000) PARTITION BY RANGE (id);
CREATE TABLE ib_tree_2a PARTITION OF ib_tree_2 FOR VALUES FROM (5000) TO (9999);
INSERT INTO ib_tree SELECT g, md5(g::text) FROM generate_series(1, 9998) g;
CREATE INDEX ib_tree_id ON ib_tree (id);
SELECT index_name, size_bytes = pg_relation_size('ib_tree_1_id_idx') + pg_relation_size('ib_tree_2a_id_idx') AS sum,
       bloat_percent, method, fillfactor, note FROM dbops.index_bloat('ib_tree_id');
SELECT method, bloat_percent, note FROM dbops.index_bloat('ib_tree_id', exact => true);
-- of the leaves of one that is no btree what each can say, too
CREATE TABLE ib_words (id int, arr int[]) PARTITION BY RANGE (id);
CREATE TABLE ib_words_1 PARTITION OF ib_words FOR VALUES FROM (0) TO (1000) WITH (autovacuum_enabled = off);
CREATE TABLE ib_words_2 PARTITION OF ib_words FOR VALUES FROM (1000) TO (9999) WITH (autovacuum_enabled = off);
CREATE INDEX ib_words_gin ON ib_words USING gin (arr);
CREATE INDEX ib_words_hash ON ib_words USING hash (id);
CREATE INDEX ib_words_brin ON ib_words USING brin (id);
INSERT INTO ib_words SELECT g, ARRAY[g] FROM generate_series(500, 1499) g;
SELECT index_name, (SELECT sum(pg_relation_size(inhrelid)) FROM pg_inherits WHERE inhparent = index_name) = size_bytes AS sum, bloat_percent, wasted_bytes, density_percent BETWEEN 1 AND 100 AS density,
       method, regexp_replace(note, '[0-9]+ (pages|overflow|buckets|unused)', 'n \1', 'g') AS note
  FROM unnest(ARRAY['ib_words_gin', 'ib_words_hash', 'ib_words_brin']::regclass[]) n, dbops.index_bloat(n);
CREATE TABLE ib_bare (id int) PARTITION BY RANGE (id);
CREATE INDEX ib_bare_id ON ib_bare (id);
SELECT size_bytes, bloat_percent, method FROM dbops.index_bloat('ib_bare_id');

-- other kinds say what they can
CREATE INDEX ib_gin ON ib USING gin (arr);
CREATE INDEX ib_gist ON ib USING gist (p);
CREATE INDEX ib_spgist ON ib USING spgist (p);
CREATE INDEX ib_hash ON ib USING hash (d);
CREATE INDEX ib_brin ON ib USING brin (d);
INSERT INTO ib SELECT 100000 + g, 1, 'new', ARRAY[g], NULL FROM generate_series(1, 500) g;
SELECT index_name, size_bytes = pg_relation_size(index_name) AS size, bloat_percent, wasted_bytes, method,
       density_percent BETWEEN 1 AND 100 AS density, regexp_replace(note, '[0-9]+ (overflow pages beside) [0-9]+ (buckets, and) [0-9]+', 'n \1 n \2 n') AS note
  FROM unnest(ARRAY['ib_gin', 'ib_gist', 'ib_spgist', 'ib_hash', 'ib_brin']::regclass[]) n, dbops.index_bloat(n);
-- what vacuum has emptied: pages of a gist index, the pending list of a gin index
CREATE TABLE ib_emptied (id int, p point, arr int[]) WITH (autovacuum_enabled = off);
INSERT INTO ib_emptied SELECT g, point(g, g), ARRAY[1, g % 3] FROM generate_series(1, 20000) g;
CREATE INDEX ib_emptied_gist ON ib_emptied USING gist (p);
CREATE INDEX ib_emptied_gin ON ib_emptied USING gin (arr);
SELECT note LIKE '%deleted%' AS deleted FROM dbops.index_bloat('ib_emptied_gist');
-- buckets overflow where few values have many rows, and not where each has one
CREATE INDEX ib_emptied_few ON ib_emptied USING hash ((id % 3));
CREATE INDEX ib_emptied_many ON ib_emptied USING hash (id);
SELECT index_name, substring(note FROM '([0-9]+) overflow')::int > 40 AS overflown, substring(note FROM '([0-9]+) buckets')::int > 1 AS buckets
  FROM unnest(ARRAY['ib_emptied_few', 'ib_emptied_many']::regclass[]) n, dbops.index_bloat(n);
DROP INDEX ib_emptied_many;
DELETE FROM ib_emptied WHERE id > 10;
CALL pg_temp.be_alone();
VACUUM (INDEX_CLEANUP on) ib_emptied;
-- what vacuum has freed of these waits for others
SELECT substring(note FROM '([0-9]+) overflow') AS overflown, substring(note FROM '([0-9]+) unused')::int > 40 AS unused FROM dbops.index_bloat('ib_emptied_few');
DROP INDEX ib_emptied_few;
SELECT regexp_replace(note, '[0-9]+ (of its pages)', 'n \1') AS note FROM unnest(ARRAY['ib_emptied_gist', 'ib_emptied_gin']::regclass[]) n, dbops.index_bloat(n);
SELECT note LIKE '%about%of its pages are deleted%' AS about FROM dbops.index_bloat('ib_emptied_gist', 20);

-- an index whose build was left is not read; one that is only not valid is
SELECT (SELECT count(*) FROM dbops.index_bloat('ib_id')) AS rows;
BEGIN;
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ib_id'::regclass;
SELECT bloat_percent > 0 AS bloated, method, note FROM dbops.index_bloat('ib_id');
UPDATE pg_index SET indisready = false WHERE indexrelid = 'ib_id'::regclass;
SELECT bloat_percent, pages_read, method, note FROM dbops.index_bloat('ib_id');
ROLLBACK;

-- indexes of catalogs, also of those that all databases share, and temporary ones
SELECT bloat_percent IS NOT NULL AS measured, size_bytes > 0 AS size
  FROM unnest(ARRAY['pg_class_oid_index', 'pg_database_oid_index']::regclass[]) n, dbops.index_bloat(n);
CREATE TEMP TABLE ib_temp (id int PRIMARY KEY);
SELECT method FROM dbops.index_bloat('ib_temp_pkey');

-- in a transaction that may not write
BEGIN READ ONLY;
SELECT method FROM dbops.index_bloat('ib_id');
COMMIT;

-- vacuum's cost limits hold for its reads, and it can be cancelled meanwhile
SET vacuum_cost_delay = 100;
SET vacuum_cost_limit = 1;
SET statement_timeout = '100ms';
SELECT method FROM dbops.index_bloat('ib_full');
RESET statement_timeout;
RESET vacuum_cost_limit;
RESET vacuum_cost_delay;

-- bad input
SELECT dbops.index_bloat('ib');
SELECT dbops.index_bloat(1);
SELECT dbops.index_bloat(NULL);
SELECT dbops.index_bloat('ib_id', 0);
SELECT dbops.index_bloat('ib_id', 10001);
SELECT dbops.index_bloat('ib_id', NULL);
SELECT dbops.index_bloat('ib_id', exact => NULL);

DROP TABLE ib, ib_emptied, ib_killed, ib_empty, ib_tree, ib_words, ib_bare, ib_temp;
