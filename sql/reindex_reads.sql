-- What reindex_candidates() reads once however many indexes there are, and what
-- it and policies refuse.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA reindex_reads;
SET search_path = reindex_reads;

-- a policy is found for many indexes, those of TOAST tables and partitions too, without all tables being read for each
CREATE TABLE parent (id int PRIMARY KEY, w text) PARTITION BY RANGE (id);
SELECT format('CREATE TABLE part_%s PARTITION OF parent FOR VALUES FROM (%s) TO (%s)', i, i * 1000, i * 1000 + 1000) FROM generate_series(0, 3) i \gexec
ALTER TABLE parent ALTER COLUMN w SET STORAGE EXTERNAL;
SELECT format('ALTER TABLE part_%s ALTER COLUMN w SET STORAGE EXTERNAL', i) FROM generate_series(0, 3) i \gexec
INSERT INTO parent SELECT i, CASE WHEN i % 4 = 0 THEN repeat(md5(i::text), 200) END FROM generate_series(0, 3999) i;
DELETE FROM parent WHERE id % 8 <> 0;
VACUUM ANALYZE parent;
CREATE FUNCTION pg_temp.reads(relation regclass) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    before bigint := pg_stat_get_xact_numscans('pg_class'::regclass);
BEGIN
    PERFORM FROM dbops.reindex_candidates(relation);
    RETURN pg_stat_get_xact_numscans('pg_class'::regclass) - before;
END
$$;
SELECT dbops.set_reindex_policy('parent', min_percent => 0, min_bytes => 0, schedule => '0 3 1 1 *', unique_indexes => 'yes') IS NOT NULL AS set;
BEGIN;
SELECT pg_temp.reads('part_1') AS of_one, pg_temp.reads('parent') AS of_all \gset
SELECT :of_all - :of_one AS more_for_four_tables;
COMMIT;
SELECT count(*) FILTER (WHERE table_name::text LIKE 'pg_toast.%') AS of_toast, count(*) FILTER (WHERE table_name::text LIKE 'part_%') AS of_parts,
       count(obstacle) AS left_out FROM dbops.reindex_candidates('parent');
SELECT dbops.remove_reindex_policy('parent');
DELETE FROM dbops.maintenance_log WHERE object LIKE 'reindex_reads.%';

-- what is no table is refused, and 0 is not all tables
CREATE VIEW looks AS SELECT 1;
SELECT dbops.reindex_candidates('looks');
SELECT dbops.reindex_candidates('part_1_pkey');
SELECT dbops.reindex_candidates(0);
SELECT dbops.reindex_candidates(4000000000);
SELECT dbops.set_reindex_policy(0);
SELECT dbops.set_reindex_policy('pg_class');
SELECT dbops.remove_reindex_policy(0);
SELECT dbops.set_vacuum_policy(0);
SELECT dbops.remove_vacuum_policy(0);

SET client_min_messages = error;
DROP SCHEMA reindex_reads CASCADE;
