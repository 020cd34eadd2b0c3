-- How a table is walked, and what becomes of its pages. dbops walks by ranges of
-- blocks because that needs no index, vacuums on the way because the space then
-- serves the next rows, predicts the share of HOT updates from fillfactor and
-- indexes, and takes no cursor from the order of RETURNING.
SET client_min_messages = warning;
SET max_parallel_workers_per_gather = 0;
CREATE TABLE facts_walk (id integer PRIMARY KEY, filler text, place integer) WITH (autovacuum_enabled = off);
CREATE PROCEDURE facts_fill(fillfactor integer DEFAULT 100) LANGUAGE plpgsql AS $$
BEGIN
    TRUNCATE facts_walk;
    EXECUTE format('ALTER TABLE facts_walk SET (fillfactor = %s)', fillfactor);
    INSERT INTO facts_walk SELECT g, repeat('x', 60) FROM generate_series(1, 8000) g;
END $$;
-- fill all rows, and say how many of the updates were in place
CREATE FUNCTION facts_update(OUT updated bigint, OUT hot bigint) LANGUAGE plpgsql AS $$
DECLARE
    updated_before bigint := pg_stat_get_xact_tuples_updated('facts_walk'::regclass);
    hot_before bigint := pg_stat_get_xact_tuples_hot_updated('facts_walk'::regclass);
BEGIN
    UPDATE facts_walk SET place = id;
    updated := pg_stat_get_xact_tuples_updated('facts_walk'::regclass) - updated_before;
    hot := pg_stat_get_xact_tuples_hot_updated('facts_walk'::regclass) - hot_before;
END $$;

-- a range of blocks is read as such, without an index
EXPLAIN (COSTS OFF) SELECT id FROM facts_walk WHERE ctid >= '(1,0)' AND ctid < '(3,0)';
EXPLAIN (COSTS OFF) UPDATE facts_walk SET place = 1 WHERE ctid >= '(1,0)' AND ctid < '(3,0)' AND place IS NULL;

-- full pages: no update is HOT, half full ones: all are; not if an index has the column
CALL facts_fill();
SELECT updated, hot < 100 AS almost_none FROM facts_update();
SELECT pg_relation_size('facts_walk') AS one_update \gset
CALL facts_fill(45);
SELECT updated, hot = updated AS every_one FROM facts_update();
CREATE INDEX facts_place ON facts_walk (place);
CALL facts_fill(45);
SELECT * FROM facts_update();
DROP INDEX facts_place;

-- one UPDATE doubles the table, ranges with VACUUM between them do not
CALL facts_fill();
SELECT pg_relation_size('facts_walk') AS before \gset
SELECT :one_update >= :before * 1.9 AS one_update_doubles;
SELECT :before / 8192 / 8 + 1 AS part \gset
SELECT format('UPDATE facts_walk SET place = id WHERE ctid >= ''(%s,0)'' AND ctid < ''(%s,0)''', :part * n, :part * (n + 1)), 'VACUUM facts_walk'
  FROM generate_series(0, 7) n
\gexec
SELECT count(*) - count(place) AS missed, pg_relation_size('facts_walk') <= :before * 1.3 AS almost_its_size FROM facts_walk;

-- rows come from RETURNING in the order of the plan: the last one is not the highest,
-- once one has been updated before and stands at the end of the table
CALL facts_fill();
ANALYZE facts_walk;
UPDATE facts_walk SET place = 0 WHERE id = 50;
SET enable_nestloop = off;
SET enable_mergejoin = off;
WITH batch AS MATERIALIZED (SELECT id FROM facts_walk ORDER BY id LIMIT 100),
     changed AS (UPDATE facts_walk w SET place = w.id FROM batch WHERE w.id = batch.id RETURNING w.id)
SELECT max(id) AS highest, (SELECT last_value(id) OVER () FROM changed LIMIT 1) = max(id) AS last_is_highest FROM changed;
RESET enable_nestloop;
RESET enable_mergejoin;

-- a new file means that block numbers mean other rows
SELECT pg_relation_filenode('facts_walk') AS file \gset
VACUUM facts_walk;
SELECT pg_relation_filenode('facts_walk') = :file AS same_after_vacuum;
VACUUM FULL facts_walk;
SELECT pg_relation_filenode('facts_walk') = :file AS same_after_vacuum_full;

DROP TABLE facts_walk;
DROP PROCEDURE facts_fill;
DROP FUNCTION facts_update;
RESET max_parallel_workers_per_gather;
